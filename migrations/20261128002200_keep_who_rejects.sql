-- A document whose text the model rejects is not asked again at each sync: who rejected it is kept with the failure.

alter table shopkeeper.job_history add rejected_by text;
comment on column shopkeeper.job_history.rejected_by is
    'Of a dead job: the model server that will never take what was asked. Null when something else ended it.';

alter table shopkeeper.document_index add rejected_by text;
comment on column shopkeeper.document_index.rejected_by is
    'Of a failed document: the model server that will never take its text as it is. Null when something else failed.';

-- After give_up, which marks the documents as failed: triggers run in the order of their names.
create function shopkeeper.keep_who_rejects() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    update shopkeeper.document_index as indexed set rejected_by = new.rejected_by
    from shopkeeper.document as document, shopkeeper.index_version as version
    where document.source = new.payload ->> 'source'
        and document.key = any (array(select jsonb_array_elements_text(
            coalesce(new.payload -> 'keys', jsonb_build_array(new.payload -> 'key'))
        )))
        and indexed.version = version.id and indexed.source = document.source and indexed.key = document.key
        and indexed.state = 'failed' and indexed.indexed_revision = document.revision
        and indexed.rejected_by is distinct from new.rejected_by;
    return null;
end
$$;

comment on function shopkeeper.keep_who_rejects is 'Keeps with a failed document which model server rejects it.';

create trigger keep_who_rejects after insert on shopkeeper.job_history for each row
when (new.outcome = 'dead' and new.kind in ('refresh_document', 'index_documents'))
execute function shopkeeper.keep_who_rejects();

revoke execute on all functions in schema shopkeeper from public;
