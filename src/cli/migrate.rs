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
            print(&role, &[]);
            Ok(())
        }
        Some(MigrateVerb::Print(Print { all, role })) => {
            let reach = daemon::reach(&settings(path)?);
            let role = role.map_or_else(|| schema::role(&reach), Ok)?;
            let known = if all { Vec::new() } else { Store::connect(&reach).await?.migrations().await? };
            let applied = known.iter().filter(|migration| migration.applied);
            print(&role, &applied.map(|migration| migration.version).collect::<Vec<_>>());
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

fn print(role: &str, applied: &[i64]) {
    output::line(schema::sql(role, applied));
    output::line(schema::CLIENT_GRANTS);
}
