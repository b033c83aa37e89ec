//! A read replica that serves searches while it is available.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::{Result, Store, StoreError, pool::Pool};

/// How long an unavailable replica is not used.
const PAUSE: Duration = Duration::from_secs(10);

/// A replica, and when it was last found to be unavailable.
#[derive(Clone, Debug)]
pub(super) struct Replica {
    pub(super) pool: Pool,
    away: Arc<Mutex<Option<Instant>>>,
}

impl Replica {
    pub(super) fn new(pool: Pool) -> Self {
        Self { pool, away: Arc::default() }
    }

    fn is_away(&self) -> bool {
        let away = self.away.lock().unwrap_or_else(PoisonError::into_inner);
        away.is_some_and(|since| since.elapsed() < PAUSE)
    }

    fn leave_alone(&self) {
        *self.away.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }
}

impl Store {
    /// Searches the replica, or the database itself while the replica is unavailable.
    pub(super) async fn search<'s, T, S>(&'s self, search: impl Fn(&'s Pool) -> S + Send) -> Result<T>
    where
        S: Future<Output = Result<T, sqlx::Error>> + Send,
    {
        if let Some(replica) = self.replica.as_ref().filter(|replica| !replica.is_away()) {
            match search(&replica.pool).await.map_err(StoreError::from) {
                Err(StoreError::Unreachable(reason) | StoreError::TooSlow(reason)) => {
                    tracing::warn!(
                        "the replica cannot be searched: {reason}; the database itself is, for a while"
                    );
                    replica.leave_alone();
                }
                found => return found,
            }
        }
        Ok(search(&self.pool).await?)
    }
}
