-- Enqueueing jobs in the transaction of the caller, and letting the jobs of a group run one after the other.

-- The advisory lock of a group. A transaction that enqueues into the group holds it until its end.
create or replace function shopkeeper.group_lock(kind text, group_key text) returns bigint
language sql immutable
set search_path = pg_catalog, pg_temp
return hashtextextended(kind || ' ' || group_key, 5037481);

comment on function shopkeeper.group_lock is 'Returns the key of the advisory lock of a group.';

-- Enqueues jobs of one kind and returns how many will run. A key that waits is merged: earliest time, highest
-- priority, last payload; a back-off or a snooze is never shortened. A key that runs is marked dirty. If a key occurs
-- twice, its last payload counts. A null key merges with nothing.
--
-- Jobs without groups are inserted in the order of their keys, so that two bulk inserts rarely deadlock. With groups,
-- each group is locked before its jobs take their ids, so that ids follow the order of commits. A caller waits for
-- others that enqueue into the same group, and for nobody else.
create or replace function shopkeeper.enqueue_many(
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
set jit = off
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

comment on function shopkeeper.enqueue_many is 'Enqueues jobs of one kind; returns how many will run.';

create or replace function shopkeeper.enqueue(
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

comment on function shopkeeper.enqueue is 'Enqueues one job; returns how many will run.';

-- Makes the first blocked job of each group its head if the group has none: after its head ended, or for every group
-- of the kind if group_keys is null. Skips groups that another transaction is enqueueing into: its job may be the
-- first, and is not visible yet. Its commit wakes a worker, which looks again.
create or replace function shopkeeper.advance(kind text, group_keys text[] default null) returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set jit = off
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
        -- Skips from group to group through the index, however long each group is.
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
    -- A separate statement, which sees everything that was committed before the locks were acquired.
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

comment on function shopkeeper.advance is 'Lets the next job of each group run; returns the number of jobs.';

create or replace function shopkeeper.advance_all() returns bigint
language sql
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set jit = off
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

comment on function shopkeeper.advance_all is
    'Lets the next job of each group of every kind run; returns the number of jobs.';

revoke execute on function shopkeeper.group_lock, shopkeeper.enqueue_many, shopkeeper.enqueue,
    shopkeeper.advance, shopkeeper.advance_all from public;
