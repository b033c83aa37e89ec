-- Jobs are claimed in batches. A job whose run may have ended its worker is claimed alone, so that it takes no other with it.

alter table shopkeeper.job rename ahead to shared;
alter table shopkeeper.job add alone boolean not null default false;

comment on column shopkeeper.job.shared is
    'Claimed for a batch, or before there was a slot for it: if its worker dies, another job may be to blame.';
comment on column shopkeeper.job.alone is
    'Its last run crashed, or its worker died: it is not run in a batch, nor claimed before there is a slot for it.';

create index job_alone on shopkeeper.job (kind, priority desc, run_at, id) where state = 'ready' and alone;

drop function shopkeeper.claim(text, bigint, boolean, text, interval, integer);

-- Claims jobs of a kind that are due: by priority, then by time, then in the order they came. A shared claim leaves out
-- those that must run alone, and takes so many of them separately.
create function shopkeeper.claim(
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
set enable_bitmapscan = off
set plan_cache_mode = force_generic_plan
set enable_sort = off
set jit = off
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

comment on function shopkeeper.claim is 'Claims jobs that are due.';

-- Frees jobs whose lease ran out; how many. Those that may have ended their worker are charged an attempt, and run alone
-- next, as do those that shared it with them. One that may have ended its worker more than once waits for a time drawn at
-- random, so that it does not take the same others with it each time.
create or replace function shopkeeper.rescue(jobs bigint) returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set plan_cache_mode = force_generic_plan
set jit = off
as $$
#variable_conflict use_column
declare
    reason  constant text := 'the lease ran out: the worker is gone or hangs';
    freed   bigint;
    kinds   text[];
begin
    with lost as materialized (
        select id, attempts - shared::integer as charged from shopkeeper.job
        where state = 'running' and lease_until < now()
        limit rescue.jobs
        for update skip locked
    ), again as (
        update shopkeeper.job as job
        set state = case when charged > 1 then 'scheduled' else 'ready' end, worker = null, lease_until = null,
            last_error = reason, attempts = case when dirty then 0 else charged end, dirty = false, alone = true,
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

create or replace function shopkeeper.finish(
    jobs bigint[], fences bigint[], out id bigint, out kind text, out group_key text, out again boolean
) returns setof record
language plpgsql
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set plan_cache_mode = force_generic_plan
set jit = off
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
        set state = 'ready', worker = null, lease_until = null, attempts = 0, dirty = false, alone = false,
            last_error = null, run_at = now()
        where id = any (array(select id from held where dirty))
        returning id, kind, group_key
    )
    select id, kind, group_key, false from gone
    union all select id, kind, group_key, true from again;
end
$$;

-- Puts jobs that did not succeed back, or into the history as dead. Each failure names its job and fence, the seconds until
-- the next attempt, whether this one is charged, and whether the job is dead. A job that was enqueued again while it ran
-- always goes on, with all its attempts before it. Gives those that were put back or ended; a row that somebody else has
-- locked is left as it is.
create function shopkeeper.fail(
    failures jsonb, out id bigint, out kind text, out group_key text, out again boolean
) returns setof record
language plpgsql
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set plan_cache_mode = force_generic_plan
set jit = off
as $$
#variable_conflict use_column
begin
    return query
    with failure as materialized (
        select * from jsonb_to_recordset(fail.failures) as failure (
            job bigint, fence bigint, delay double precision, charged boolean, dead boolean, alone boolean, error text,
            waits_for text, waits_server text, waits_model text, rejected_by text
        )
    ), held as materialized (
        select job.id, job.kind, job.group_key, job.dirty, failure.error, failure.charged, failure.alone,
            failure.waits_for, failure.waits_server, failure.waits_model, failure.rejected_by,
            job.last_error is not null
                and (job.waits_for, job.waits_server, job.waits_model)
                    is not distinct from (failure.waits_for, failure.waits_server, failure.waits_model) as waits_on,
            case when failure.dead then 0 else failure.delay end as delay,
            (failure.dead or (failure.charged and job.attempts >= job.max_attempts)) and not job.dirty as over
        from failure
        join shopkeeper.job as job on job.fence = failure.fence
        where job.id = any (array(select failure.job from failure)) and job.worker is not null
        for update of job skip locked
    ), again as (
        update shopkeeper.job as job
        set state = case when held.delay > 0 then 'scheduled' else 'ready' end,
            worker = null, lease_until = null, last_error = held.error, dirty = false, alone = held.alone,
            attempts = case when held.dirty then 0 when held.charged then attempts else attempts - 1 end,
            run_at = now() + make_interval(secs => held.delay), waits_for = held.waits_for,
            waits_server = held.waits_server, waits_model = held.waits_model,
            waits_since = case
                when held.waits_for is null then null
                when held.waits_on then coalesce(job.waits_since, now())
                else now()
            end
        from held
        where job.id = any (array(select held.id from held)) and job.id = held.id and not held.over
    ), gone as (
        delete from shopkeeper.job as job using held
        where job.id = any (array(select held.id from held)) and job.id = held.id and held.over
        returning job.*, held.error, held.rejected_by
    ), kept as (
        insert into shopkeeper.job_history
            (id, kind, key, group_key, payload, priority, outcome, error, rejected_by, attempts, max_attempts,
             worker, traceparent, created_at, run_at, started_at)
        select id, kind, key, group_key, payload, priority, 'dead', error, rejected_by, attempts,
            max_attempts, worker, traceparent, created_at, run_at, started_at
        from gone
    )
    select id, kind, group_key, not over and delay <= 0 from held;
end
$$;

comment on function shopkeeper.fail is 'Puts jobs that did not succeed back, or into the history as dead.';

-- A job that is completed has written every version that there was.
create or replace view shopkeeper.left_behind as
select version.id as version, document.source, document.key, indexed.state = 'failed' as has_failed
from shopkeeper.index_version as version
cross join shopkeeper.document as document
left join shopkeeper.document_index as indexed
    on indexed.version = version.id and indexed.source = document.source and indexed.key = document.key
where (indexed.indexed_revision is null or indexed.indexed_revision < document.revision or indexed.state = 'failed')
    and not exists (
        select from shopkeeper.job
        where job.kind = 'refresh_document' and job.key = document.source || '/' || document.key
    );

revoke execute on all functions in schema shopkeeper from public;
