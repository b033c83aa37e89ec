-- What follows when a job is given up.

-- Ends what a dead or cancelled job was for, whatever ended the job: a panic, a lost worker or an operator. An answer
-- or a delivery that no job works on is not waited for, and a document that cannot be indexed says why, with the model
-- server that rejects it.
--
-- A dead question gets a new fence, so that a worker that wakes up later cannot take it; only a later claim can. Of
-- the dead jobs of a document only the last is kept. The status is compared as an expression, as in end_answers.
create or replace function shopkeeper.give_up() returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set jit = off
as $$
declare
    told  bigint;
    named constant uuid := case when new.key ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then new.key::uuid end;
begin
    if new.outcome = 'dead' and new.kind = 'refresh_document' then
        delete from shopkeeper.job_history as older
        where older.outcome = 'dead' and older.kind = 'refresh_document' and older.key = new.key and older.id < new.id;
    end if;
    if new.kind = 'answer_question' then
        with failed as (
            update shopkeeper.answer as answer
            set status = case new.outcome when 'dead' then 'failed' else 'cancelled' end, error = new.error,
                fence = case new.outcome when 'dead' then nextval('shopkeeper.job_fence') else answer.fence end,
                needs_escalation = new.outcome = 'dead',
                escalation_reason = case new.outcome when 'dead' then 'failed' end, completed_at = now()
            where answer.id = named and answer.status || '' in ('queued', 'in_progress')
            returning answer.id
        )
        select count(pg_notify('shopkeeper_answer', failed.id::text)) into told from failed;
    elsif new.kind = 'deliver_webhook' then
        update shopkeeper.delivery as delivery set status = 'failed', error = coalesce(new.error, new.outcome)
        where delivery.id = named and status = 'pending';
    elsif new.kind in ('refresh_document', 'index_documents') then
        insert into shopkeeper.document_index as indexed (version, source, key, indexed_revision, state, error)
        select version.id, document.source, document.key, document.revision, 'failed', coalesce(new.error, new.outcome)
        from shopkeeper.document as document, shopkeeper.index_version as version
        where document.source = new.payload ->> 'source'
            and document.key = any (array(select jsonb_array_elements_text(
                coalesce(new.payload -> 'keys', jsonb_build_array(new.payload -> 'key'))
            )))
            and version.state <> 'dropping'
        on conflict (version, source, key) do update
        set indexed_revision = excluded.indexed_revision, state = 'failed', error = excluded.error, indexed_at = now()
        where indexed.indexed_revision < excluded.indexed_revision;
        if new.outcome = 'dead' then
            update shopkeeper.document_index as indexed set rejected_by = new.rejected_by
            from shopkeeper.document as document, shopkeeper.index_version as version
            where document.source = new.payload ->> 'source'
                and document.key = any (array(select jsonb_array_elements_text(
                    coalesce(new.payload -> 'keys', jsonb_build_array(new.payload -> 'key'))
                )))
                and indexed.version = version.id and indexed.source = document.source and indexed.key = document.key
                and indexed.state = 'failed' and indexed.indexed_revision = document.revision
                and indexed.rejected_by is distinct from new.rejected_by;
        end if;
    end if;
    return null;
end
$$;

comment on function shopkeeper.give_up is 'Ends what a dead or cancelled job was for.';

revoke execute on function shopkeeper.give_up from public;
