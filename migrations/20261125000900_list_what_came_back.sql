-- A document that was indexed after it was no longer listed, because it had come back, is found by the next listing: to be
-- removed, or to be looked at once more.

update shopkeeper.document
set row_hash = 0
where row_hash is null and exists (
    select from shopkeeper.document_index as indexed
    where indexed.source = document.source and indexed.key = document.key
        and indexed.state = 'fresh' and indexed.indexed_revision = document.revision
);

comment on column shopkeeper.document.row_hash is 'Of the row when it was last listed; 0 when another row was read since; null when it is no longer listed.';

-- A job that was started before a version was known everywhere may not write it.
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
            and (job.worker is null or job.dirty or job.started_at > version.created_at + interval '10 seconds')
    );
