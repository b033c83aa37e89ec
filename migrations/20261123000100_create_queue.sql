-- The queue: live jobs are rows of shopkeeper.job, finished ones rows of shopkeeper.job_history.

create sequence shopkeeper.job_fence;

create table shopkeeper.job (
    id           bigint generated always as identity primary key,
    kind         text        not null,
    key          text collate "C",
    group_key    text collate "C",
    state        text        not null default 'ready' check (state in ('ready', 'scheduled', 'blocked', 'running')),
    payload      jsonb       not null default '{}',
    priority     smallint    not null default 0,
    run_at       timestamptz not null default now(),
    attempts     integer     not null default 0,
    max_attempts integer,
    ahead        boolean     not null default false,
    worker       text,
    fence        bigint      not null default 0,
    lease_until  timestamptz,
    started_at   timestamptz,
    dirty        boolean     not null default false,
    last_error   text,
    traceparent  text,
    created_at   timestamptz not null default now(),
    check ((state = 'running') = (worker is not null) and (worker is null) = (lease_until is null))
) with (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);

comment on table shopkeeper.job is 'Live jobs: waiting, or running under a lease.';
comment on column shopkeeper.job.key is 'At most one live job of a kind has this key; enqueueing it again merges.';
comment on column shopkeeper.job.group_key is 'Jobs of a kind with the same one run one at a time, in the order they were enqueued.';
comment on column shopkeeper.job.state is 'ready: due. scheduled: due at run_at. blocked: behind others of its group. running.';
comment on column shopkeeper.job.max_attempts is 'Null until the first claim, which writes what jobs.toml says.';
comment on column shopkeeper.job.ahead is 'Claimed before there was a slot for it: if its worker dies, it need not have started.';
comment on column shopkeeper.job.fence is 'Of one claim only, raised by each; what a worker writes under an older one is void.';
comment on column shopkeeper.job.dirty is 'Enqueued again while it ran: it runs once more afterwards.';

-- Each state has an index of its own, so that what is claimed costs the same beside millions that wait.
create index job_ready on shopkeeper.job (kind, priority desc, run_at, id) where state = 'ready';
create index job_scheduled on shopkeeper.job (run_at) where state = 'scheduled';
create index job_blocked on shopkeeper.job (kind, group_key, id) where state = 'blocked';
create index job_running on shopkeeper.job (kind) where state = 'running';
create unique index job_key on shopkeeper.job (kind, key) where key is not null;
-- A group has one head: whatever goes wrong elsewhere, two of its jobs never run at once.
create unique index job_group_head on shopkeeper.job (kind, group_key) where group_key is not null and state <> 'blocked';

create table shopkeeper.job_history (
    id           bigint      not null,
    kind         text        not null,
    key          text collate "C",
    group_key    text collate "C",
    payload      jsonb       not null,
    priority     smallint    not null,
    outcome      text        not null check (outcome in ('done', 'cancelled', 'dead')),
    error        text,
    attempts     integer     not null,
    max_attempts integer,
    worker       text,
    traceparent  text,
    created_at   timestamptz not null,
    run_at       timestamptz not null,
    started_at   timestamptz,
    finished_at  timestamptz not null default now()
);

comment on table shopkeeper.job_history is 'Finished jobs: done, cancelled, or dead with the error that ended them.';
comment on column shopkeeper.job_history.started_at is 'When its last attempt was claimed.';

create index job_history_finished on shopkeeper.job_history (finished_at);
create index job_history_id on shopkeeper.job_history (id);
create index job_history_dead on shopkeeper.job_history (kind, finished_at) where outcome = 'dead';

create table shopkeeper.queue_kind (
    kind      text primary key,
    paused_at timestamptz
);

comment on table shopkeeper.queue_kind is 'One row for each kind that was paused, or that is limited over all daemons: these lock it while they claim.';

-- The functions below switch off what would read a whole index: the planner knows a queue only as it was when it
-- was last analysed, and takes a backlog for a handful of rows. What is left are walks through an index that end
-- when they have enough.

-- Claims jobs of a kind that are due: by priority, then by time, then in the order they came. Ahead of free slots
-- only those that never failed: one that ends its worker is to be caught with as few others as may be.
create function shopkeeper.claim(
    kind         text,
    jobs         bigint,
    ahead        boolean,
    worker       text,
    lease        interval,
    max_attempts integer
) returns setof shopkeeper.job
language plpgsql
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set plan_cache_mode = force_generic_plan
set enable_sort = off
as $$
#variable_conflict use_column
begin
    return query
    update shopkeeper.job as job
    set state = 'running', worker = claim.worker, fence = nextval('shopkeeper.job_fence'),
        lease_until = now() + claim.lease, started_at = now(), attempts = attempts + 1, ahead = claim.ahead,
        max_attempts = coalesce(max_attempts, claim.max_attempts), dirty = false
    where id = any (array(
        select due.id from shopkeeper.job as due
        where due.kind = claim.kind and due.state = 'ready' and not exists (
            select from shopkeeper.queue_kind where queue_kind.kind = claim.kind and paused_at is not null
        )
        order by due.priority desc, due.run_at, due.id
        limit claim.jobs
        for update skip locked
    )) and (last_error is null or not claim.ahead)
    returning job.*;
end
$$;

comment on function shopkeeper.claim is 'Claims jobs that are due.';

-- Completes jobs that are held under these fences: into the history, or back into the queue (again) when they were
-- enqueued again while they ran. Gives those that were; a row that somebody else has locked is left as it is. A fence
-- is of one claim only, so the lists need not be joined. It asks for `worker is not null` and not for the state: the
-- index of what runs is full of what ran, until it is vacuumed.
create function shopkeeper.finish(
    jobs bigint[], fences bigint[], out id bigint, out kind text, out group_key text, out again boolean
) returns setof record
language plpgsql
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
begin
    return query
    with held as materialized (
        select id, dirty from shopkeeper.job
        where id = any (finish.jobs) and fence = any (finish.fences) and worker is not null
        for update skip locked
    ), gone as (
        delete from shopkeeper.job where id = any (array(select id from held where not dirty))
        returning *
    ), kept as (
        insert into shopkeeper.job_history
            (id, kind, key, group_key, payload, priority, outcome, attempts, max_attempts, worker, traceparent,
             created_at, run_at, started_at)
        select id, kind, key, group_key, payload, priority, 'done', attempts, max_attempts, worker, traceparent,
            created_at, run_at, started_at
        from gone
    ), again as (
        update shopkeeper.job
        set state = 'ready', worker = null, lease_until = null, attempts = 0, dirty = false, last_error = null,
            run_at = now()
        where id = any (array(select id from held where dirty))
        returning id, kind, group_key
    )
    select id, kind, group_key, false from gone
    union all select id, kind, group_key, true from again;
end
$$;

comment on function shopkeeper.finish is 'Completes jobs that are held under these fences.';

-- Frees jobs whose lease ran out; how many. Those that may have started are charged an attempt. One that may have
-- ended its worker more than once waits for a time drawn at random, so that it does not take the same others with it
-- each time.
create function shopkeeper.rescue(jobs bigint) returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
    reason  constant text := 'the lease ran out: the worker is gone or hangs';
    freed   bigint;
    kinds   text[];
begin
    with lost as materialized (
        select id, attempts - ahead::integer as charged from shopkeeper.job
        where state = 'running' and lease_until < now()
        limit rescue.jobs
        for update skip locked
    ), again as (
        update shopkeeper.job as job
        set state = case when charged > 1 then 'scheduled' else 'ready' end, worker = null, lease_until = null,
            last_error = reason, attempts = case when dirty then 0 else charged end, dirty = false,
            run_at = now() + case when charged > 1 then random() * least(2 ^ charged, 30) else 0 end * interval '1 s'
        from lost
        where job.id = any (array(select id from lost)) and job.id = lost.id and (charged < max_attempts or dirty)
        returning kind, state
    ), gone as (
        delete from shopkeeper.job as job using lost
        where job.id = any (array(select id from lost)) and job.id = lost.id and charged >= max_attempts and not dirty
        returning job.*
    ), kept as (
        insert into shopkeeper.job_history
            (id, kind, key, group_key, payload, priority, outcome, error, attempts, max_attempts, worker,
             traceparent, created_at, run_at, started_at)
        select id, kind, key, group_key, payload, priority, 'dead', reason, attempts, max_attempts, worker,
            traceparent, created_at, run_at, started_at
        from gone
    )
    select count(*), (select array_agg(distinct kind) from again where state = 'ready') into freed, kinds from lost;
    perform pg_notify('shopkeeper_job', kind) from unnest(kinds) as kind;
    return freed;
end
$$;

comment on function shopkeeper.rescue is 'Frees jobs whose lease ran out.';

-- Makes delayed jobs that are due ready; how many, and the seconds until the next one is due.
create function shopkeeper.promote(jobs bigint, out promoted bigint, out next_in double precision)
language plpgsql
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set plan_cache_mode = force_generic_plan
set enable_sort = off
as $$
declare
    kinds text[];
begin
    with ready as (
        update shopkeeper.job set state = 'ready'
        where id = any (array(
            select id from shopkeeper.job where state = 'scheduled' and run_at <= now()
            order by run_at limit promote.jobs
            for update skip locked
        ))
        returning kind
    )
    select array_agg(distinct kind), count(*) into kinds, promoted from ready;
    perform pg_notify('shopkeeper_job', kind) from unnest(kinds) as kind;
    select extract(epoch from run_at - now()) into next_in from shopkeeper.job
    where state = 'scheduled' and run_at > now() order by run_at limit 1;
end
$$;

comment on function shopkeeper.promote is 'Makes delayed jobs that are due ready.';

-- The lock of a group: held by who enqueues into it until the end of his transaction.
create function shopkeeper.group_lock(kind text, group_key text) returns bigint
language sql immutable
set search_path = pg_catalog, pg_temp
return hashtextextended(kind || ' ' || group_key, 5037481);

-- Enqueues jobs of one kind in the caller's transaction; says how many will run. A key that waits is
-- merged (earliest time, highest priority; a back-off or snooze is never shortened), a key that runs is
-- marked dirty. Keys without groups are taken in order, so that two bulks rarely lock each other out. Of a key that is
-- named twice the last payload counts; a null key merges with nothing.
--
-- With groups, each group is locked before its jobs take their numbers: numbers are given in the order of
-- commits. A caller waits for others who enqueue into the same group, and for nobody else.
create function shopkeeper.enqueue_many(
    kind         text,
    keys         text[],
    payloads     jsonb[],
    priority     smallint default 0,
    run_at       timestamptz default now(),
    group_keys   text[] default null,
    max_attempts integer default null,
    traceparent  text default null
) returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
    enqueued bigint;
begin
    if enqueue_many.group_keys is not null then
        perform pg_advisory_xact_lock(lock)
        from (
            select distinct shopkeeper.group_lock(enqueue_many.kind, group_key) as lock
            from unnest(enqueue_many.group_keys) as wanted (group_key) where group_key is not null
            order by 1
        ) as locks;
    end if;
    insert into shopkeeper.job as job
        (kind, key, group_key, state, payload, priority, run_at, max_attempts, traceparent)
    select enqueue_many.kind, key, group_key,
        case
            when group_key is not null and (
                n > 1
                or exists (
                    select from shopkeeper.job as ahead
                    where ahead.kind = enqueue_many.kind and ahead.group_key = wanted.group_key and ahead.state <> 'blocked'
                )
                or exists (
                    select from shopkeeper.job as ahead
                    where ahead.kind = enqueue_many.kind and ahead.group_key = wanted.group_key and ahead.state = 'blocked'
                )
            ) then 'blocked'
            when enqueue_many.run_at > now() then 'scheduled'
            else 'ready'
        end,
        payload, enqueue_many.priority, enqueue_many.run_at, enqueue_many.max_attempts, enqueue_many.traceparent
    from (
        select key, group_key, payload, place, row_number() over (partition by group_key order by place) as n
        from (
            select distinct on (key, case when key is null then place end)
                key collate "C" as key, group_key collate "C" as group_key, payload, place
            from unnest(enqueue_many.keys, enqueue_many.payloads, enqueue_many.group_keys) with ordinality
                as wanted (key, payload, group_key, place)
            order by key, case when key is null then place end, place desc
        ) as last
    ) as wanted
    order by case when group_key is null then key end, place
    on conflict (kind, key) where key is not null do update set
        payload = excluded.payload,
        priority = greatest(job.priority, excluded.priority),
        dirty = job.state = 'running',
        run_at = case when job.state <> 'running' and job.last_error is null
            then least(job.run_at, excluded.run_at) else job.run_at end,
        state = case when job.state = 'scheduled' and job.last_error is null and excluded.run_at <= now()
            then 'ready' else job.state end;
    get diagnostics enqueued = row_count;
    if enqueued > 0 and enqueue_many.run_at <= now() then
        perform pg_notify('shopkeeper_job', enqueue_many.kind);
    end if;
    return enqueued;
end
$$;

comment on function shopkeeper.enqueue_many is 'Enqueues jobs of one kind; the number of jobs that will run.';

create function shopkeeper.enqueue(
    kind         text,
    key          text default null,
    payload      jsonb default '{}',
    priority     smallint default 0,
    run_at       timestamptz default now(),
    group_key    text default null,
    max_attempts integer default null,
    traceparent  text default null
) returns bigint
language sql
set search_path = pg_catalog, pg_temp
return shopkeeper.enqueue_many(
    kind, array[key], array[payload], priority, run_at,
    case when group_key is not null then array[group_key] end, max_attempts, traceparent
);

comment on function shopkeeper.enqueue is 'Enqueues one job.';

-- Makes the first blocked job of each group its head, where the group has none: after its head ended, or in
-- a group that nobody looked after (null: all groups of the kind). A group that somebody is enqueueing into
-- right now is left alone, because his job may be the first one and cannot be seen yet; his commit wakes a
-- worker, which looks again.
create function shopkeeper.advance(kind text, group_keys text[] default null) returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set plan_cache_mode = force_generic_plan
set enable_sort = off
as $$
#variable_conflict use_column
declare
    wanted   text[] := advance.group_keys;
    advanced bigint;
begin
    if wanted is null then
        -- From group to group through the index, however long each one is.
        with recursive grp (group_key) as (
            (
                select group_key from shopkeeper.job as job
                where job.kind = advance.kind and state = 'blocked' order by group_key limit 1
            )
            union all
            select (
                select job.group_key from shopkeeper.job as job
                where job.kind = advance.kind and state = 'blocked' and job.group_key > grp.group_key
                order by job.group_key limit 1
            )
            from grp where grp.group_key is not null
        )
        select array_agg(group_key) into wanted from grp
        where group_key is not null and not exists (
            select from shopkeeper.job as head
            where head.kind = advance.kind and head.group_key = grp.group_key and head.state <> 'blocked'
        );
    end if;
    if wanted is null then
        return 0;
    end if;
    select array_agg(group_key) into wanted from unnest(wanted) as free (group_key)
    where pg_try_advisory_xact_lock(shopkeeper.group_lock(advance.kind, group_key));
    -- A statement of its own: it sees what was committed before the locks were got.
    update shopkeeper.job as job
    set state = case when job.run_at > now() then 'scheduled' else 'ready' end
    from (
        select (
            select first.id from shopkeeper.job as first
            where first.kind = advance.kind and first.group_key = free.group_key and first.state = 'blocked'
            order by first.id limit 1
        ) as id
        from (select distinct group_key from unnest(wanted) as locked (group_key)) as free
        where not exists (
            select from shopkeeper.job as head
            where head.kind = advance.kind and head.group_key = free.group_key and head.state <> 'blocked'
        )
    ) as next
    where job.id = next.id;
    get diagnostics advanced = row_count;
    if advanced > 0 then
        perform pg_notify('shopkeeper_job', advance.kind);
    end if;
    return advanced;
end
$$;

comment on function shopkeeper.advance is 'Lets the next job of each group run; the number of jobs that may.';

-- Does the same for every kind that has blocked jobs.
create function shopkeeper.advance_all() returns bigint
language sql
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set enable_sort = off
as $$
    with recursive blocked (kind) as (
        (select kind from shopkeeper.job where state = 'blocked' order by kind limit 1)
        union all
        select (
            select job.kind from shopkeeper.job where state = 'blocked' and job.kind > blocked.kind
            order by job.kind limit 1
        )
        from blocked where blocked.kind is not null
    )
    select coalesce(sum(shopkeeper.advance(kind)), 0)::bigint from blocked where kind is not null
$$;

comment on function shopkeeper.advance_all is 'Lets the next job of each group of every kind run.';
