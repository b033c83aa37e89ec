-- The rows of a source that cannot become documents, for `status`.

alter table shopkeeper.source
    add column set_aside bigint not null default 0,
    add column set_aside_rows jsonb;

comment on column shopkeeper.source.set_aside is 'Rows of the last listing that cannot become documents.';
comment on column shopkeeper.source.set_aside_rows is
    'The first of these rows: their places in the source, keys and reasons.';
