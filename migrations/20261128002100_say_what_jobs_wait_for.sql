-- What a job waits for that was put off is a value: it is shown, counted and ended by that.

alter table shopkeeper.job
    add waits_for text check (waits_for in ('rate_limit', 'daily_budget', 'stop')),
    add waits_server text,
    add waits_model text,
    add waits_since timestamptz;

comment on column shopkeeper.job.waits_for is
    'Of a scheduled job: rate_limit: the budget of a model; daily_budget: tomorrow''s money; stop: the stop button. Null: nothing of these.';
comment on column shopkeeper.job.waits_server is 'Of rate_limit: the model server''s address.';
comment on column shopkeeper.job.waits_model is 'Of rate_limit: the model there.';
comment on column shopkeeper.job.waits_since is 'When it was first put off for this, as long as it was put off for nothing else since.';

create index job_waits on shopkeeper.job (kind, waits_for, waits_since) where state = 'scheduled' and waits_for is not null;

-- Lets some jobs of a kind go on that wait for this, those first that have waited longest; how many. No other index has
-- that order, so that a plan for a small table cannot walk through all that are scheduled in a large one.
create function shopkeeper.hasten(kind text, waits_for text, jobs bigint) returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set plan_cache_mode = force_generic_plan
set enable_sort = off
as $$
#variable_conflict use_column
declare
    hastened bigint;
begin
    update shopkeeper.job
    set state = 'ready', run_at = now(), waits_for = null, waits_server = null, waits_model = null, waits_since = null
    where id = any (array(
        select id from shopkeeper.job
        where kind = hasten.kind and state = 'scheduled' and waits_for = hasten.waits_for
        order by waits_since limit hasten.jobs
        for update skip locked
    ));
    get diagnostics hastened = row_count;
    if hastened > 0 then
        perform pg_notify('shopkeeper_job', hasten.kind);
    end if;
    return hastened;
end
$$;

comment on function shopkeeper.hasten is 'Lets some jobs of a kind go on that wait for this.';

create table shopkeeper.budget_wait (
    worker  text        not null,
    kind    text        not null,
    server  text        not null,
    model   text        not null,
    jobs    integer     not null,
    since   timestamptz not null default now(),
    seen_at timestamptz not null default now(),
    primary key (worker, kind, server, model)
);

comment on table shopkeeper.budget_wait is 'Running jobs that wait in their slots for the budget of a model, as each daemon says every second while there are any.';
comment on column shopkeeper.budget_wait.since is 'When the daemon first said so; it has said so every second since.';
comment on column shopkeeper.budget_wait.seen_at is 'When it last said so; soon it holds no more.';

revoke execute on all functions in schema shopkeeper from public;
