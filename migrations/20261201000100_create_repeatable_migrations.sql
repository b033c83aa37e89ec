-- The records of repeatable migrations: views, triggers and the files of functions/.

create table shopkeeper.repeatable_migration (
    name          text primary key,
    hash          bytea       not null,
    schema_number bigint      not null,
    applied_at    timestamptz not null default now()
);

comment on table shopkeeper.repeatable_migration is
    'The files of functions, views and triggers as they were last applied. The table shopkeeper.migration lists '
    'the others.';
comment on column shopkeeper.repeatable_migration.hash is 'The BLAKE3 hash of the text that was applied.';
comment on column shopkeeper.repeatable_migration.schema_number is
    'The schema number of the newest program that found this text current. Programs with a lower number do not '
    'replace it.';
