//! Finds strays: jobs that are claimed in the database for a worker that does not know of them.
//!
//! A claim may succeed although its reply is lost: the connection broke, or the statement timed out here and completed on
//! the server. Such a job never starts, waits until its lease ends, and is charged an attempt. So a worker that is in
//! doubt reads its claims once a second, and gives back the unknown ones. The doubt lasts as long as a lease: by then the
//! jobs of a lost claim are free in any case.
//!
//! Only the task that claims may do this, because only it knows which claims are its worker's.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::slots::Slots;
use crate::store::StoreError;

/// How often strays are searched for.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// Strays given back per statement.
const BATCH: usize = 1000;

/// The time until which a worker may have unknown claims.
#[derive(Debug, Default)]
pub(super) struct Doubt(Mutex<Option<Instant>>);

impl Doubt {
    /// Starts a doubt that lasts as long as a lease.
    pub(super) fn raise(&self, lease: Duration) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + lease);
    }

    fn is_raised(&self) -> bool {
        let end = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        end.is_some_and(|end| Instant::now() <= end)
    }
}

impl Slots {
    /// Gives strays back uncharged, if in doubt and not done a moment ago.
    pub(super) async fn give_back_strays(&self, last: &mut Option<Instant>) {
        if !self.doubt.is_raised() || last.is_some_and(|last| last.elapsed() < POLL_INTERVAL) {
            return;
        }
        *last = Some(Instant::now());
        match self.find_strays().await {
            Ok(0) => {}
            Ok(strays) => {
                tracing::info!(
                    kind = self.kind,
                    strays,
                    "gave back {strays} jobs whose claim was not heard of"
                );
            }
            Err(error) => {
                tracing::debug!(kind = self.kind, %error, "strays could not be given back; retrying");
                self.doubt.raise(self.limits.lease);
            }
        }
    }

    /// Does so for as long as there is doubt and jobs still run, after the last claim.
    pub(super) async fn give_back_last_strays(&self) {
        self.give_back_strays(&mut None).await;
        // One task is this one.
        while self.doubt.is_raised() && self.tasks.len() > 1 {
            tokio::time::sleep(POLL_INTERVAL).await;
            self.give_back_strays(&mut None).await;
        }
    }

    async fn find_strays(&self) -> Result<usize, StoreError> {
        // Before the database is asked: what ends meanwhile is no stray.
        let known = self.held.known();
        let mut claimed = self.store.claimed_by(self.kind, &self.worker, known.len() + BATCH).await?;
        self.held.forget_abandoned(&claimed);
        claimed.retain(|lease| !known.contains(lease));
        if claimed.is_empty() { Ok(0) } else { self.store.give_back(&claimed).await }
    }
}
