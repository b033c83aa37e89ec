//! `migrate`: our schema.

use std::path::Path;

use clap::{Args, Subcommand};

use super::{output, settings};
use crate::{
    daemon,
    store::{
        Store,
        schema::{self, SchemaState},
    },
};

#[derive(Debug, Args)]
pub(super) struct Migrate {
    #[command(subcommand)]
    verb: Option<MigrateVerb>,
}

#[derive(Debug, Subcommand)]
enum MigrateVerb {
    /// List the migrations and whether the database has them
    Status {
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Print the SQL of the migrations that the database lacks, for those who may apply it, and the grants for services
    /// that ask by SQL; changes nothing
    Print(Print),
}

#[derive(Debug, Args)]
struct Print {
    /// All migrations, without a look at the database
    #[arg(long)]
    all: bool,
    /// The role of the daemon, to which everything is to belong; that of database.url when left out
    #[arg(long, value_name = "NAME")]
    role: Option<String>,
}

pub(super) async fn migrate(migrate: Migrate, path: &Path) -> anyhow::Result<()> {
    match migrate.verb {
        Some(MigrateVerb::Print(Print { all: true, role: Some(role) })) => {
            print(&role, &SchemaState::empty());
            Ok(())
        }
        Some(MigrateVerb::Print(Print { all, role })) => {
            let reach = daemon::reach(&settings(path)?);
            let role = role.map_or_else(|| schema::role(&reach), Ok)?;
            let state =
                if all { SchemaState::empty() } else { Store::connect(&reach).await?.schema_state().await? };
            print(&role, &state);
            Ok(())
        }
        Some(MigrateVerb::Status { json }) => {
            let state = Store::connect(&daemon::reach(&settings(path)?)).await?.schema_state().await?;
            if json {
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
            Ok(())
        }
        None => {
            let store = Store::open_migrated(&daemon::reach(&settings(path)?)).await?;
            let state = store.schema_state().await?;
            let migrations = state.migrations.len() + state.repeatable.len();
            output::line(format!("the schema is up to date: {migrations} migrations"));
            output::line("services that ask by SQL need these grants, once:\n");
            output::line(schema::CLIENT_GRANTS);
            Ok(())
        }
    }
}

fn print(role: &str, state: &SchemaState) {
    output::line(schema::sql(role, state));
    output::line(schema::CLIENT_GRANTS);
}
