//! `pause` and `resume`: the stop button.

use std::path::Path;

use super::{output, settings};
use crate::{daemon, store::Store};

/// Presses the stop button for all daemons, or lets it go.
pub(super) async fn pause(stop: bool, path: &Path) -> anyhow::Result<()> {
    let config = settings(path)?;
    let store = Store::open(&daemon::reach(&config)).await?;
    store.set_stopped(stop).await?;
    output::line(if stop {
        "nothing is asked of any model now: questions get answers.fallback, documents wait; `shopkeeper resume` goes on"
    } else {
        "models are asked again"
    });
    Ok(())
}
