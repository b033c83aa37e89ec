-- The queue: live jobs are rows of shopkeeper.job, finished ones rows of shopkeeper.job_history.

create table shopkeeper.job (
    id           bigint generated always as identity primary key,
    kind         text        not null,
    key          text collate "C",
    group_key    text,
    payload      jsonb       not null default '{}',
    priority     smallint    not null default 0,
    run_at       timestamptz not null default now(),
    attempts     integer     not null default 0,
    max_attempts integer,
    worker       text,
    fence        bigint      not null default 0,
    lease_until  timestamptz,
    dirty        boolean     not null default false,
    last_error   text,
    traceparent  text,
    created_at   timestamptz not null default now(),
    check ((worker is null) = (lease_until is null))
) with (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);

comment on table shopkeeper.job is 'Live jobs: waiting (worker is null) or running (leased by a worker).';
comment on column shopkeeper.job.key is 'At most one live job of a kind has this key; enqueueing it again merges.';
comment on column shopkeeper.job.max_attempts is 'Null until the first claim, which writes what jobs.toml says.';
comment on column shopkeeper.job.fence is 'Raised by each claim; what a worker writes under an older fence is void.';
comment on column shopkeeper.job.dirty is 'Enqueued again while it ran: it runs once more afterwards.';

create index job_ready on shopkeeper.job (kind, priority desc, run_at, id) where worker is null;
create index job_leased on shopkeeper.job (lease_until) where worker is not null;
create unique index job_key on shopkeeper.job (kind, key) where key is not null;

create table shopkeeper.job_history (
    id           bigint      not null,
    kind         text        not null,
    key          text collate "C",
    group_key    text,
    payload      jsonb       not null,
    outcome      text        not null check (outcome in ('done', 'cancelled', 'dead')),
    error        text,
    attempts     integer     not null,
    max_attempts integer,
    created_at   timestamptz not null,
    finished_at  timestamptz not null default now()
);

comment on table shopkeeper.job_history is 'Finished jobs: done, cancelled, or dead with the error that ended them.';

create index job_history_finished on shopkeeper.job_history using brin (finished_at);
create index job_history_dead on shopkeeper.job_history (kind, finished_at) where outcome = 'dead';

-- Enqueues one job for each key, in the caller's transaction. A key that waits is merged (earliest
-- time, highest priority; a back-off is never shortened), a key that runs is marked dirty. The keys are
-- taken in order, so that two callers cannot lock each other out.
create function shopkeeper.enqueue(
    kind     text,
    keys     text[],
    payloads jsonb[],
    priority smallint default 0,
    run_at   timestamptz default now()
) returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    enqueued bigint;
begin
    insert into shopkeeper.job as job (kind, key, payload, priority, run_at)
    select enqueue.kind, wanted.key, wanted.payload, enqueue.priority, enqueue.run_at
    from (
        select distinct on (key) key collate "C" as key, payload
        from unnest(enqueue.keys, enqueue.payloads) as wanted (key, payload)
        order by key
    ) as wanted
    on conflict (kind, key) where key is not null do update set
        payload = excluded.payload,
        priority = greatest(job.priority, excluded.priority),
        dirty = job.worker is not null,
        run_at = case
            when job.worker is null and job.attempts = 0 and job.last_error is null
            then least(job.run_at, excluded.run_at)
            else job.run_at
        end;
    get diagnostics enqueued = row_count;
    perform pg_notify('shopkeeper_job', enqueue.kind);
    return enqueued;
end
$$;

comment on function shopkeeper.enqueue is 'Enqueues one job for each key; the number of jobs that will run.';
