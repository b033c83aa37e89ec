-- What ends with a dead or cancelled job, whatever ended the job: a panic, a lost worker or an operator. Each function is
-- declared by a kind of job, and is given the rows that its jobs have in the history.

-- The keys of jobs that an operator enqueued by hand may be no ids.
create or replace function shopkeeper.as_id(key text) returns uuid
language sql immutable
set search_path = pg_catalog, pg_temp
return case when key ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then key::uuid end;

comment on function shopkeeper.as_id is 'Returns a key as an id, or null if it is none.';

-- An answer that no job works on is not waited for. A dead question gets a new fence, so that a worker that wakes up later
-- cannot take it; only a later claim can. The status is compared as an expression, as in end_answers.
create or replace function shopkeeper.give_up_answers(jobs shopkeeper.job_history[]) returns bigint
language sql
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set jit = off
as $$
    with given_up as (
        update shopkeeper.answer as answer
        set status = case job.outcome when 'dead' then 'failed' else 'cancelled' end, error = job.error,
            fence = case job.outcome when 'dead' then nextval('shopkeeper.job_fence') else answer.fence end,
            needs_escalation = job.outcome = 'dead',
            escalation_reason = case job.outcome when 'dead' then 'failed' end, completed_at = now()
        from unnest(jobs) as job
        where answer.id = any (array(select shopkeeper.as_id(named.key) from unnest(jobs) as named))
            and answer.id = shopkeeper.as_id(job.key) and answer.status || '' in ('queued', 'in_progress')
        returning answer.id
    )
    select count(pg_notify('shopkeeper_answer', id::text)) from given_up
$$;

comment on function shopkeeper.give_up_answers is 'Ends the answers of dead or cancelled jobs.';

create or replace function shopkeeper.give_up_deliveries(jobs shopkeeper.job_history[]) returns void
language sql
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set jit = off
as $$
    update shopkeeper.delivery as delivery set status = 'failed', error = coalesce(job.error, job.outcome)
    from unnest(jobs) as job
    where delivery.id = any (array(select shopkeeper.as_id(named.key) from unnest(jobs) as named))
        and delivery.id = shopkeeper.as_id(job.key) and status = 'pending'
$$;

comment on function shopkeeper.give_up_deliveries is 'Ends the deliveries of dead or cancelled jobs.';

-- A document that cannot be indexed says why, with the model server that rejects it. Of its dead jobs only the last is kept.
create or replace function shopkeeper.give_up_documents(jobs shopkeeper.job_history[]) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set jit = off
as $$
declare
    job shopkeeper.job_history;
begin
    foreach job in array jobs loop
        if job.outcome = 'dead' then
            delete from shopkeeper.job_history as older
            where older.outcome = 'dead' and older.kind = 'refresh_document' and older.key = job.key
                and older.id < job.id;
        end if;
        insert into shopkeeper.document_index as indexed
            (version, source, key, indexed_revision, state, error, rejected_by)
        select version.id, document.source, document.key, document.revision, 'failed',
            coalesce(job.error, job.outcome), job.rejected_by
        from shopkeeper.document as document, shopkeeper.index_version as version
        where document.source = job.payload ->> 'source' and document.key = job.payload ->> 'key'
            and version.state <> 'dropping'
        on conflict (version, source, key) do update
        set indexed_revision = excluded.indexed_revision, state = 'failed', error = excluded.error,
            rejected_by = excluded.rejected_by, indexed_at = now()
        where indexed.indexed_revision < excluded.indexed_revision
            or indexed.indexed_revision = excluded.indexed_revision and indexed.state = 'failed';
    end loop;
end
$$;

comment on function shopkeeper.give_up_documents is 'Marks the documents of dead or cancelled jobs as failed.';

-- A bulk action whose job has ended goes no further.
create or replace function shopkeeper.give_up_bulk_actions(jobs shopkeeper.job_history[]) returns void
language sql
set search_path = pg_catalog, pg_temp
as $$
    update shopkeeper.bulk_action as action set state = 'cancelled', ended_at = now()
    from unnest(jobs) as job where action.id = shopkeeper.as_id(job.key) and state = 'running'
$$;

comment on function shopkeeper.give_up_bulk_actions is 'Ends the bulk actions of dead or cancelled jobs.';

revoke execute on function shopkeeper.give_up_answers, shopkeeper.give_up_deliveries, shopkeeper.give_up_documents,
    shopkeeper.give_up_bulk_actions, shopkeeper.as_id from public;
