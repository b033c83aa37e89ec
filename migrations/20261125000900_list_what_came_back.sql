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
