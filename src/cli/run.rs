//! `run`: the daemon.

use std::path::Path;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{Ended, FAILED, log_format};
use crate::{
    config::Config,
    daemon::{self, Listeners},
    telemetry,
};

pub(super) async fn run(path: &Path) -> anyhow::Result<()> {
    let config = Config::load(path, &std::env::vars().collect())?;
    telemetry::start(&config.telemetry.log, log_format(&config));
    let stop = CancellationToken::new();
    let listeners = Listeners::bind(&config).await?;
    let running = daemon::run(&config, listeners, stop.clone(), |address| {
        let at = address.map(|address| format!(", API at http://{address}")).unwrap_or_default();
        tracing::info!(version = env!("CARGO_PKG_VERSION"), sources = config.sources.len(), "running{at}");
    });
    until_signalled(running, &stop).await
}

/// Runs until the first SIGTERM or SIGINT, which lets it end in order; the second ends it at once.
pub(super) async fn until_signalled(
    running: impl Future<Output = anyhow::Result<()>>,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let mut signalled = async || {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    tokio::pin!(running);
    tokio::select! {
        ended = &mut running => return ended,
        () = signalled() => stop.cancel(),
    }
    tokio::select! {
        ended = &mut running => ended,
        () = signalled() => Err(Ended {
            code: FAILED,
            message: "stopped at once by a second signal; what ran is taken over when its lease runs out".to_owned(),
        }
        .into()),
    }
}
