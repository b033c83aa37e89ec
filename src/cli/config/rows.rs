//! Renders one row of each source, if the shop answers in time.

use std::time::Duration;

use futures::future::join_all;

use crate::catalogue::CatalogueError;
use crate::cli::{Exit, output};
use crate::{config::Config, daemon};

/// How long a shop may take: the settings can be checked without it.
const TIME_LIMIT: Duration = Duration::from_secs(2);

/// Fails with the settings that do not fit their source; what cannot be found out is a note.
pub(super) async fn check(config: &Config) -> anyhow::Result<()> {
    let checks = config.sources.iter().map(|source| async {
        let checking = tokio::time::timeout(TIME_LIMIT, render_one(config, &source.name)).await;
        checking.unwrap_or_else(|_| {
            output::note(format!(
                "note: source `{}` did not answer within 2 s: no row was rendered",
                source.name
            ));
            Ok(())
        })
    });
    let faults: Vec<_> = join_all(checks).await.into_iter().filter_map(Result::err).collect();
    if faults.is_empty() { Ok(()) } else { Err(Exit::usage(faults.join("\n")).into()) }
}

/// The inner error says which setting does not fit.
async fn render_one(config: &Config, name: &str) -> Result<(), String> {
    let note = |reason: String| {
        output::note(format!("note: no row was rendered: {reason}"));
        Ok(())
    };
    let (catalogue, _) = match daemon::previewed(config, name) {
        Ok(previewed) => previewed,
        Err(error) => return Err(format!("{error:#}")),
    };
    let looked = async {
        catalogue.check().await?;
        let keys = catalogue.sample(1).await?;
        catalogue.read(&keys).await
    };
    match looked.await {
        Err(error @ CatalogueError::Misfit { .. }) => Err(error.to_string()),
        Err(error) => note(error.to_string()),
        Ok(documents) => match documents.into_iter().next() {
            Some(Err(fault)) => note(format!("source `{name}`, key {:?}: {}", fault.key, fault.reason)),
            Some(Ok(_)) | None => Ok(()),
        },
    }
}
