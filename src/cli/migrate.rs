//! `migrate`: the schema of our database.

use std::path::Path;

use clap::{Args, Subcommand};

use super::{Format, output, settings};
use crate::store::schema::SchemaState;
use crate::store::{Store, schema};

#[derive(Debug, Args)]
pub(super) struct Migrate {
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List the migrations and whether they are applied
    Status(Format),
    /// Print the SQL of the missing migrations and the grants for clients; changes nothing
    Print {
        /// All migrations, without connecting to the database
        #[arg(long)]
        all: bool,
        /// The role that will own everything; that of database.url by default
        #[arg(long, value_name = "NAME")]
        role: Option<String>,
    },
}

pub(super) async fn migrate(migrate: Migrate, path: &Path) -> anyhow::Result<()> {
    match migrate.verb {
        Some(Verb::Print { all: true, role: Some(role) }) => print(&role, &SchemaState::empty()),
        Some(Verb::Print { all, role }) => {
            let reach = settings(path)?.database;
            let role = role.map_or_else(|| schema::role(&reach), Ok)?;
            let state =
                if all { SchemaState::empty() } else { Store::connect(&reach).await?.schema_state().await? };
            print(&role, &state);
        }
        Some(Verb::Status(format)) => {
            let state = Store::connect(&settings(path)?.database).await?.schema_state().await?;
            if format.json {
                return output::json(&state);
            }
            let word = |applied| if applied { "applied" } else { "missing" }.to_owned();
            let versioned = state.migrations.into_iter().map(|migration| {
                vec![migration.version.to_string(), migration.description, word(migration.applied)]
            });
            let repeatable = state.repeatable.into_iter().map(|migration| {
                vec!["repeatable".to_owned(), migration.name.to_owned(), word(migration.applied)]
            });
            output::table(&["version", "description", "state"], versioned.chain(repeatable));
        }
        None => {
            let store = Store::open_migrated(&settings(path)?.database).await?;
            let state = store.schema_state().await?;
            let migrations = state.migrations.len() + state.repeatable.len();
            output::line(format!("the schema is up to date: {migrations} migrations"));
            output::line("services that ask by SQL need these grants, once:\n");
            output::line(schema::CLIENT_GRANTS);
        }
    }
    Ok(())
}

fn print(role: &str, state: &SchemaState) {
    output::line(schema::sql(role, state));
    output::line(schema::CLIENT_GRANTS);
}
