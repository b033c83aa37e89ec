-- Claiming jobs.
--
-- The functions of this file do not use sequential scans. The planner knows the queue only as it was when it was last
-- analysed, and may take a large backlog for a few rows. What remains are index scans that stop when they have enough
-- rows. JIT is off in every function that avoids sequential scans: its plans look expensive enough to be compiled, which
-- takes longer than running them.

-- Claims due jobs of a kind: by priority, then by run_at, then by id. A shared claim is for a batch, or is made ahead of free
-- slots: any of its jobs may be to blame if the worker dies. It leaves out the jobs that must run alone, and takes up to
-- `lone` of them separately.
create or replace function shopkeeper.claim(
    kind         text,
    jobs         bigint,
    shared       boolean,
    lone         bigint,
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
    if exists (select from shopkeeper.queue_kind where queue_kind.kind = claim.kind and paused_at is not null) then
        return;
    end if;
    return query
    update shopkeeper.job as job
    set state = 'running', worker = claim.worker, fence = nextval('shopkeeper.job_fence'),
        lease_until = now() + claim.lease, started_at = now(), attempts = attempts + 1,
        shared = claim.shared and not job.alone, max_attempts = coalesce(max_attempts, claim.max_attempts), dirty = false
    where id = any (array(
        select due.id from shopkeeper.job as due
        where due.kind = claim.kind and due.state = 'ready' and not (claim.shared and due.alone)
        order by due.priority desc, due.run_at, due.id
        limit claim.jobs
        for update skip locked
    ) || array(
        select due.id from shopkeeper.job as due
        where due.kind = claim.kind and due.state = 'ready' and due.alone
        order by due.priority desc, due.run_at, due.id
        limit claim.lone
        for update skip locked
    ))
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

revoke execute on function shopkeeper.claim, shopkeeper.claimed_by, shopkeeper.promote, shopkeeper.hasten from public;
