//! The table of notes in the shop's database.

/// Makes the schema and the table of notes. Refuses those that another role made first: their owner could change
/// what the functions write to, or read it.
pub(super) const CREATE_TABLE: &str = "do $shopkeeper_install$ declare
    owner text := (
        select pg_catalog.pg_get_userbyid(nspowner)::pg_catalog.text from pg_catalog.pg_namespace
        where nspname operator(pg_catalog.=) 'shopkeeper_change'::pg_catalog.name
    );
begin
    if owner is null then
        create schema shopkeeper_change;
        owner := current_user;
    end if;
    if owner operator(pg_catalog.=) current_user::pg_catalog.text then
        create table if not exists shopkeeper_change.note (
            id     bigint generated always as identity primary key,
            source text not null,
            key    text,
            at     timestamptz not null default now()
        );
        owner := (
            select pg_catalog.pg_get_userbyid(relowner)::pg_catalog.text from pg_catalog.pg_class
            where oid operator(pg_catalog.=) 'shopkeeper_change.note'::pg_catalog.regclass::pg_catalog.oid
        );
    end if;
    if owner operator(pg_catalog.<>) current_user::pg_catalog.text then
        raise insufficient_privilege using
            message = pg_catalog.format('the schema shopkeeper_change belongs to the role %I, not to %I', owner, current_user),
            hint = 'Install the triggers as its owner, or drop the schema if nothing of yours is in it.';
    end if;
end $shopkeeper_install$;
revoke all on schema shopkeeper_change from public;
create index if not exists note_source on shopkeeper_change.note (source, id);
comment on table shopkeeper_change.note is 'Documents that may have changed; a null key is all of a source.';
";
