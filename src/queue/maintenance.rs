//! What the queue needs that belongs to no worker. Every daemon does it; they do not get in each other's
//! way, and one is enough.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::{
    queue::Heartbeat,
    store::{Store, StoreError},
    telemetry,
};

/// The longest wait for delayed jobs that are due.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// The shortest, for delayed jobs that are due soon.
const SOONEST: Duration = Duration::from_millis(20);

/// How long after an outage nothing is rescued: workers that live renew their leases first.
const RECOVERY: Duration = Duration::from_secs(2);

/// Looks after the queue until stopped.
pub(super) async fn keep(store: &Store, heartbeat: &Heartbeat, stop: &CancellationToken) {
    let (mut groups, mut rescue_from) = (Sweep::default(), Instant::now());
    while !stop.is_cancelled() {
        telemetry::take_up();
        let wait = match maintain(store, &mut groups, rescue_from).await {
            Ok(wait) => {
                heartbeat.beat("upkeep");
                wait
            }
            Err(error) => {
                tracing::debug!(%error, "the queue could not be looked after");
                rescue_from = Instant::now() + RECOVERY;
                POLL_INTERVAL
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// Frees what is stuck and promotes what is due; returns when to do so again.
async fn maintain(store: &Store, groups: &mut Sweep, rescue_from: Instant) -> Result<Duration, StoreError> {
    if Instant::now() >= rescue_from {
        let rescued = store.rescue().await?;
        if rescued > 0 {
            tracing::warn!(rescued, "freed {rescued} jobs whose lease ran out");
        }
    }
    let promoted = store.promote().await?;
    // Workers that find nothing do this for their kind; those that are busy do not come to it.
    groups.run(store.advance_all()).await;
    // A whole batch was due: there may be more.
    if promoted.is_full {
        return Ok(Duration::ZERO);
    }
    Ok(promoted.next.unwrap_or(POLL_INTERVAL).clamp(SOONEST, POLL_INTERVAL))
}

/// Lets groups go on that were left without a head. It goes from group to group: where there are very
/// many, it is done less often.
pub(super) struct Sweep(Instant);

impl Default for Sweep {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Sweep {
    /// Runs it if it is time, and says whether there were any.
    pub(super) async fn run(&mut self, advance: impl Future<Output = Result<u64, StoreError>>) -> bool {
        let began = Instant::now();
        if began < self.0 {
            return false;
        }
        let advanced = advance.await;
        self.0 = Instant::now() + 20 * began.elapsed();
        advanced.is_ok_and(|advanced| advanced > 0)
    }
}
