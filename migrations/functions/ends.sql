-- How jobs end: done, tried again, dead or cancelled. As in claims.sql, no function of this file uses sequential scans.

-- Writes jobs that have ended to the history; nothing else does. What dead and cancelled jobs were for ends as their
-- kind has declared: by the function that queue_kind names. It is given the new rows of the history.
create or replace function shopkeeper.archive(
    jobs shopkeeper.job[], outcome text, errors text[] default null, rejected_by text[] default null
) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set jit = off
as $$
declare
    given_up record;
begin
    for given_up in
        with ended as (
            insert into shopkeeper.job_history as history
                (id, kind, key, group_key, payload, priority, outcome, error, rejected_by, attempts, max_attempts,
                 worker, traceparent, created_at, run_at, started_at)
            select job.id, job.kind, job.key, job.group_key, job.payload, job.priority, archive.outcome,
                archive.errors[job.ordinality], archive.rejected_by[job.ordinality], job.attempts, job.max_attempts,
                job.worker, job.traceparent, job.created_at, job.run_at, job.started_at
            from unnest(archive.jobs) with ordinality as job
            returning history as row
        )
        select queue_kind.on_dead, array_agg(ended.row) as rows
        from ended join shopkeeper.queue_kind as queue_kind on queue_kind.kind = (ended.row).kind
        where archive.outcome <> 'done' and queue_kind.on_dead is not null
        group by queue_kind.on_dead
    loop
        execute format('select shopkeeper.%I($1)', given_up.on_dead) using given_up.rows;
    end loop;
end
$$;

comment on function shopkeeper.archive is 'Writes jobs that have ended to the history.';

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
declare
    done     shopkeeper.job[];
    repeated shopkeeper.job[];
begin
    with held as materialized (
        select id, dirty from shopkeeper.job
        where id = any (finish.jobs) and fence = any (finish.fences) and worker is not null
        for update skip locked
    ), deleted as (
        delete from shopkeeper.job as job where id = any (array(select id from held where not dirty))
        returning job as row
    ), updated as (
        update shopkeeper.job as job
        set state = 'ready', worker = null, lease_until = null, attempts = 0, dirty = false, alone = false,
            last_error = null, run_at = now()
        where id = any (array(select id from held where dirty))
        returning job as row
    )
    select (select array_agg(row) from deleted), (select array_agg(row) from updated) into done, repeated;
    perform shopkeeper.archive(done, 'done');
    return query
    select ended.id, ended.kind, ended.group_key, false from unnest(done) as ended
    union all select ended.id, ended.kind, ended.group_key, true from unnest(repeated) as ended;
end
$$;

comment on function shopkeeper.finish is 'Completes jobs that are held under these fences.';

-- Puts jobs that did not succeed back, or moves them to the history as dead. Each failure names its job and fence, the
-- seconds until the next attempt, and whether this attempt is charged, the job is dead, or it must run alone from now
-- on. A job that was enqueued again while it ran always goes on, with all its attempts before it. Returns the jobs
-- whose failures were written; skips locked rows.
create or replace function shopkeeper.fail(
    failures jsonb, out id bigint, out kind text, out group_key text, out again boolean
) returns setof record
language plpgsql
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set jit = off
set enable_bitmapscan = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
    written record;
begin
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
    ), updated as (
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
    ), deleted as (
        delete from shopkeeper.job as job using held
        where job.id = any (array(select held.id from held)) and job.id = held.id and held.over
        returning job as row, held.error, held.rejected_by
    )
    select ended.*, dead.* into written
    from (
        select array_agg(id) as ids, array_agg(kind) as kinds, array_agg(group_key) as groups,
            array_agg(not over and delay <= 0) as again
        from held
    ) as ended, (
        select array_agg(row) as rows, array_agg(error) as errors, array_agg(rejected_by) as rejected_by from deleted
    ) as dead;
    perform shopkeeper.archive(written.rows, 'dead', written.errors, written.rejected_by);
    return query select * from unnest(written.ids, written.kinds, written.groups, written.again);
end
$$;

comment on function shopkeeper.fail is 'Puts jobs that did not succeed back, or moves them to the history as dead.';

-- Frees jobs whose lease has expired and returns their number. A job that may have killed its worker is charged an
-- attempt, and runs alone from now on, as do those that shared a claim with it. A job that may have killed its worker
-- more than once is delayed by a random time, so that it does not take the same jobs with it each time.
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
    reason  constant text := 'the lease expired: the worker died or hangs';
    freed   bigint;
    kinds   text[];
    dead    shopkeeper.job[];
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
    ), deleted as (
        delete from shopkeeper.job as job using lost
        where job.id = any (array(select id from lost)) and job.id = lost.id and charged >= max_attempts and not dirty
        returning job as row
    )
    select count(*), (select array_agg(distinct kind) from again where state = 'ready'),
        (select array_agg(row) from deleted)
    into freed, kinds, dead from lost;
    perform shopkeeper.archive(dead, 'dead', array(select reason from unnest(dead)));
    perform pg_notify('shopkeeper_job', kind) from unnest(kinds) as kind;
    return freed;
end
$$;

comment on function shopkeeper.rescue is 'Frees jobs whose lease has expired; returns their number.';

-- Moves jobs to the history as cancelled, also running ones, and returns what they were. Jobs are locked by their ids.
create or replace function shopkeeper.cancel(
    jobs bigint[], out kind text, out group_key text, out was_running boolean
) returns setof record
language plpgsql
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set jit = off
as $$
#variable_conflict use_column
declare
    cancelled shopkeeper.job[];
begin
    perform from shopkeeper.job as job where job.id = any (cancel.jobs) order by job.id for update;
    with deleted as (
        delete from shopkeeper.job as job where job.id = any (cancel.jobs) returning job as row
    )
    select array_agg(row) into cancelled from deleted;
    perform shopkeeper.archive(cancelled, 'cancelled', array(select job.last_error from unnest(cancelled) as job));
    return query select job.kind, job.group_key, job.state = 'running' from unnest(cancelled) as job;
end
$$;

comment on function shopkeeper.cancel is 'Moves jobs to the history as cancelled.';

revoke execute on function shopkeeper.archive, shopkeeper.finish, shopkeeper.fail, shopkeeper.rescue, shopkeeper.cancel
    from public;
