//! The signals that stop a process: the first in order, the second at once.

use anyhow::bail;
use tokio::signal::unix::{Signal, SignalKind, signal};
#[cfg(feature = "embedded")]
use tokio_util::sync::CancellationToken;

pub(super) struct StopSignal {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignal {
    pub(super) fn new() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    pub(super) async fn signalled(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Runs until the first signal, which cancels `stop`; a second signal ends it at once.
#[cfg(feature = "embedded")]
pub(super) async fn until_signalled(
    running: impl Future<Output = anyhow::Result<()>>,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let mut terminate = StopSignal::new()?;
    tokio::pin!(running);
    tokio::select! {
        ended = &mut running => return ended,
        () = terminate.signalled() => stop.cancel(),
    }
    in_order_or_at_once(running, &mut terminate).await
}

pub(super) async fn in_order_or_at_once(
    ended: impl Future<Output = anyhow::Result<()>>,
    terminate: &mut StopSignal,
) -> anyhow::Result<()> {
    tokio::select! {
        ended = ended => ended,
        () = terminate.signalled() => {
            bail!("stopped at once by a second signal; running jobs are taken over when their leases run out")
        }
    }
}
