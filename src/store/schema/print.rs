//! Prints the SQL of our schema for an administrator, who applies it if the daemon's role may not.

use super::{MIGRATIONS, SchemaState, repeatable};
use crate::store::{DatabaseSettings, Result, connections::options_of};

/// The privileges of a role that only asks. Printed for an administrator, never executed.
pub const CLIENT_GRANTS: &str = "\
-- For services that ask by SQL. Run once in each database, as an administrator; members of this role may ask, search
-- and read.
do $$ begin
    if not exists (select from pg_roles where rolname = 'shopkeeper_client') then
        create role shopkeeper_client nologin;
    end if;
exception when duplicate_object or unique_violation then null; -- Somebody made it just now, for another database.
end $$;
grant usage on schema shopkeeper to shopkeeper_client;
grant execute on function shopkeeper.ask, shopkeeper.cancel_answer, shopkeeper.feedback to shopkeeper_client;
grant execute on function shopkeeper.forget_session, shopkeeper.forget_customer to shopkeeper_client;
grant execute on function shopkeeper.refresh(text, text) to shopkeeper_client;
grant select on shopkeeper.answers, shopkeeper.chunks to shopkeeper_client;
grant execute on function shopkeeper.search to shopkeeper_client;
";

/// Returns the role that the daemon logs in as.
pub fn role(reach: &DatabaseSettings) -> Result<String> {
    let url = reach.direct_url.as_ref().unwrap_or(&reach.url);
    Ok(options_of(url)?.get_username().to_owned())
}

/// Returns the SQL of the missing migrations and their records; the daemon's role will own what it creates.
pub fn sql(role: &str, state: &SchemaState) -> String {
    if state.missing() == 0 {
        return "-- no migration is missing\n".to_owned();
    }
    let role = format!("\"{}\"", role.replace('"', "\"\""));
    let head = format!(
        "\
-- Run as an administrator of the database. What is made belongs to the daemon's role.
begin;
create schema if not exists shopkeeper authorization {role};
grant all on schema shopkeeper to {role};
create extension if not exists vector;
set local role {role};
-- Only when pgvector is loaded may a role that is no superuser name its settings.
do $$ begin perform '[1]'::vector; end $$;
create table if not exists shopkeeper.migration (
    version bigint primary key,
    description text not null,
    installed_on timestamptz not null default now(),
    success boolean not null,
    checksum bytea not null,
    execution_time bigint not null
);
"
    );
    head + &missing(state) + "commit;\n"
}

fn missing(state: &SchemaState) -> String {
    let versioned = MIGRATIONS.iter().zip(&state.migrations).filter(|(_, state)| !state.applied);
    let versioned = versioned.map(|(migration, _)| {
        let (version, description) = (migration.version, &migration.description);
        format!(
            "\n-- {version} {description}\n{}\
             insert into shopkeeper.migration (version, description, success, checksum, execution_time)\n\
             values ({version}, '{description}', true, '\\x{}', 0);\n",
            migration.sql.as_str(),
            hex(&migration.checksum),
        )
    });
    let number = repeatable::number();
    let repeatable = repeatable::FILES.iter().zip(&state.repeatable).filter(|(_, state)| !state.applied);
    let repeatable = repeatable.map(|(file, _)| {
        format!(
            "\n-- {name}\n{}\
             insert into shopkeeper.repeatable_migration (name, hash, schema_number)\n\
             values ('{name}', '\\x{}', {number})\n\
             on conflict (name) do update\n\
             set hash = excluded.hash, schema_number = excluded.schema_number, applied_at = now();\n",
            file.sql,
            hex(&file.hash()),
            name = file.name,
        )
    });
    let raise = format!(
        "update shopkeeper.repeatable_migration set schema_number = {number} where schema_number < {number};\n"
    );
    versioned.chain(repeatable).chain([raise]).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}
