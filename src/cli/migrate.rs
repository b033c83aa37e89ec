//! `migrate`: our schema.

use std::path::Path;

use clap::{Args, Subcommand};

use super::{output, settings};
use crate::{
    daemon,
    store::{Store, schema},
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
    /// Print the SQL of all migrations, and the grants for those who ask by SQL; changes nothing
    Print,
}

pub(super) async fn migrate(migrate: Migrate, path: &Path) -> anyhow::Result<()> {
    match migrate.verb {
        Some(MigrateVerb::Print) => {
            output::line(schema::sql());
            output::line(schema::CLIENT_GRANTS);
            Ok(())
        }
        Some(MigrateVerb::Status { json }) => {
            let store = Store::connect(&daemon::reach(&settings(path)?)).await?;
            let migrations = store.migrations().await?;
            if json {
                return output::json(&serde_json::json!({ "migrations": migrations }));
            }
            let rows = migrations.into_iter().map(|migration| {
                let state = if migration.applied { "applied" } else { "missing" };
                vec![migration.version.to_string(), migration.description, state.to_owned()]
            });
            output::table(&["version", "description", "state"], rows);
            Ok(())
        }
        None => {
            let store = Store::open_migrated(&daemon::reach(&settings(path)?)).await?;
            output::line(format!("the schema is up to date: {} migrations", store.migrations().await?.len()));
            output::line("services that ask by SQL need these grants, once:\n");
            output::line(schema::CLIENT_GRANTS);
            Ok(())
        }
    }
}
