//! `pause` and `resume`: the stop button.

use std::path::Path;

use super::{open, output};

pub(super) async fn pause(stop: bool, path: &Path) -> anyhow::Result<()> {
    let (_, store) = open(path).await?;
    store.set_stopped(stop).await?;
    output::line(if stop {
        "no model is asked any more: questions get answers.fallback, documents wait; `shopkeeper resume` goes on"
    } else {
        "models are asked again"
    });
    Ok(())
}
