-- Why a source cannot be listed, for `status`.

alter table shopkeeper.source add column sync_error text;

comment on column shopkeeper.source.sync_error is 'Why the last listing failed; null after one that did not.';
