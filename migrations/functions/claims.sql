-- Claiming jobs and ending claims.
--
-- The functions of this file do not use sequential scans. The planner knows the queue only as it was when it was last
-- analysed, and may take a large backlog for a few rows. What remains are index scans that stop when they have enough
-- rows. JIT is off in every function that avoids sequential scans: its plans look expensive enough to be compiled, which
-- takes longer than running them.

-- Claims due jobs of a kind: by priority, then by run_at, then by id. Claims ahead of free slots take only jobs that
-- have never failed: a job that kills its worker should take as few others as possible with it.
create or replace function shopkeeper.claim(
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
set jit = off
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

comment on function shopkeeper.claim is 'Claims due jobs of a kind for a worker.';

-- A worker that lost the reply to a claim asks which jobs it holds.
create or replace function shopkeeper.claimed_by(kind text, worker text, jobs bigint, out id bigint, out fence bigint)
returns setof record
language plpgsql stable
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set jit = off
set enable_bitmapscan = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
begin
    return query
    select job.id, job.fence from shopkeeper.job as job
    where job.kind = claimed_by.kind and job.worker = claimed_by.worker and job.state = 'running'
    limit claimed_by.jobs;
end
$$;

comment on function shopkeeper.claimed_by is 'Lists the jobs of a kind that a worker holds under a lease.';

-- Completes jobs that are held under these fences: moves them to the history, or back to the queue (`again`) if they
-- were enqueued again while they ran. Returns the jobs that it completed; skips locked rows. A fence belongs to one
-- claim only, so the lists need not be paired. The condition is `worker is not null` rather than the state, because
-- the index on running jobs is full of ended ones until it is vacuumed.
create or replace function shopkeeper.finish(
    jobs bigint[], fences bigint[], out id bigint, out kind text, out group_key text, out again boolean
) returns setof record
language plpgsql
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set jit = off
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

-- Frees jobs whose lease has expired and returns their number. A job that may have started is charged an attempt. A
-- job that may have killed its worker more than once is delayed by a random time, so that it does not take the same
-- jobs with it each time.
create or replace function shopkeeper.rescue(jobs bigint) returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set jit = off
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

comment on function shopkeeper.rescue is 'Frees jobs whose lease has expired; returns their number.';

-- Makes delayed jobs that are due ready. Returns their number, and the seconds until the next one is due.
create or replace function shopkeeper.promote(jobs bigint, out promoted bigint, out next_in double precision)
language plpgsql
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set jit = off
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

-- Makes jobs of a kind ready that wait for a budget or the stop button, those first that have waited longest; returns
-- their number. No other index has that order, so a plan made for a small table cannot walk through all scheduled jobs
-- of a large one.
create or replace function shopkeeper.hasten(kind text, waits_for text, jobs bigint) returns bigint
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

comment on function shopkeeper.hasten is
    'Makes jobs ready that wait for a budget or the stop button; returns their number.';

revoke execute on function shopkeeper.claim, shopkeeper.claimed_by, shopkeeper.finish, shopkeeper.rescue,
    shopkeeper.promote, shopkeeper.hasten from public;
