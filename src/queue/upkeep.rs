//! What the queue needs that belongs to no worker. Every daemon does it; they do not get in each other's
//! way, and one is enough.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::{
    store::{Store, StoreError},
    telemetry,
};

/// The longest between two looks.
const LOOK: Duration = Duration::from_secs(1);
/// The shortest, for delayed jobs that are due soon.
const SOONEST: Duration = Duration::from_millis(20);

/// Looks after the queue until stopped.
pub(super) async fn keep(store: &Store, stop: &CancellationToken) {
    let mut sweep = Instant::now();
    while !stop.is_cancelled() {
        telemetry::take_up();
        let wait = match look(store, &mut sweep).await {
            Ok(wait) => wait,
            Err(error) => {
                tracing::debug!(%error, "the queue could not be looked after");
                LOOK
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// Frees what is stuck and promotes what is due; says when to look again.
async fn look(store: &Store, sweep: &mut Instant) -> Result<Duration, StoreError> {
    let rescued = store.rescue().await?;
    if rescued > 0 {
        tracing::warn!(rescued, "freed {rescued} jobs whose lease ran out");
    }
    let promoted = store.promote().await?;
    // Workers that find nothing do this for their kind; those that are busy do not come to it. It goes
    // from group to group: where there are very many, not every second.
    let began = Instant::now();
    if began >= *sweep {
        let advanced = store.advance(None).await;
        *sweep = Instant::now() + 20 * began.elapsed();
        advanced?;
    }
    // A whole batch was due: there may be more.
    if promoted.is_full {
        return Ok(Duration::ZERO);
    }
    Ok(promoted.next.unwrap_or(LOOK).clamp(SOONEST, LOOK))
}
