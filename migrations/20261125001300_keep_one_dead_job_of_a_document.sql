-- A document that fails each time it is tried is one dead job, however often that is: the last.

delete from shopkeeper.job_history where ctid = any (array(
    select ctid from (
        select ctid, row_number() over (partition by key order by id desc) as n from shopkeeper.job_history
        where outcome = 'dead' and kind = 'refresh_document' and key is not null
    ) as dead
    where n > 1
));

create index job_history_dead_document on shopkeeper.job_history (key)
where outcome = 'dead' and kind = 'refresh_document';

create or replace function shopkeeper.give_up() returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    told bigint;
begin
    if new.outcome = 'dead' and new.kind = 'refresh_document' then
        delete from shopkeeper.job_history as older
        where older.outcome = 'dead' and older.kind = 'refresh_document' and older.key = new.key and older.id < new.id;
    end if;
    if new.kind = 'answer_question' then
        with failed as (
            update shopkeeper.answer
            set status = case new.outcome when 'dead' then 'failed' else 'cancelled' end, error = new.error,
                fence = case new.outcome when 'dead' then nextval('shopkeeper.job_fence') else fence end,
                needs_escalation = new.outcome = 'dead',
                escalation_reason = case new.outcome when 'dead' then 'failed' end, completed_at = now()
            where id::text = new.key and status in ('queued', 'in_progress')
            returning id
        )
        select count(pg_notify('shopkeeper_answer', id::text)) into told from failed;
    elsif new.kind = 'deliver_webhook' then
        update shopkeeper.delivery set status = 'failed', error = coalesce(new.error, new.outcome)
        where id = case when new.key ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then new.key::uuid end and status = 'pending';
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
    end if;
    return null;
end
$$;
