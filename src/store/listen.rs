//! Listens to notifications of the database. They are only hints, so listeners also poll.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::{PROMPT, Result, Store, StoreError};

/// Carries the kind of new jobs.
pub const JOB: &str = "shopkeeper_job";
/// Running jobs were cancelled.
pub const CANCELLED_JOB: &str = "shopkeeper_job_cancel";
/// Carries the id of a settled answer.
pub const ANSWER: &str = "shopkeeper_answer";
/// Carries the id of an answer with new events.
pub const ANSWER_EVENT: &str = "shopkeeper_answer_event";

/// Something changed in the console.
pub const CONSOLE: &str = "shopkeeper_console";

/// How long a connection may be silent before it is pinged.
const SILENCE: Duration = Duration::from_secs(15);
const RECONNECT: Duration = Duration::from_secs(1);

impl Store {
    /// Listens on channels until stopped, reconnecting whenever the connection is lost. `heard` receives the channel
    /// and the payload, or `None` when listening begins and earlier notifications may be lost.
    pub async fn listen(
        &self,
        channels: &[&str],
        stop: &CancellationToken,
        heard: impl Fn(Option<(&str, &str)>) + Sync,
    ) {
        while !stop.is_cancelled() {
            let listening = stop.run_until_cancelled(self.hear(channels, &heard)).await;
            if let Some(Err(error)) = listening {
                tracing::debug!(%error, "the connection that listens was lost: {error}");
            }
            stop.run_until_cancelled(tokio::time::sleep(RECONNECT)).await;
        }
    }

    async fn hear(&self, channels: &[&str], heard: &(impl Fn(Option<(&str, &str)>) + Sync)) -> Result<()> {
        let silent = |_| StoreError::unreachable("no reply");
        let listening = async {
            let mut listener = self.direct.listener().await?;
            listener.eager_reconnect(false);
            listener.listen_all(channels.iter().copied()).await?;
            Ok::<_, StoreError>(listener)
        };
        let mut listener = tokio::time::timeout(2 * PROMPT, listening).await.map_err(silent)??;
        heard(None);
        loop {
            match tokio::time::timeout(SILENCE, listener.try_recv()).await {
                Ok(Ok(Some(said))) => heard(Some((said.channel(), said.payload()))),
                Ok(lost) => return lost.map(drop).map_err(StoreError::from),
                Err(_) => {
                    let ping = sqlx::query!("select 1 as one").fetch_one(&mut listener);
                    tokio::time::timeout(PROMPT, ping).await.map_err(silent)??;
                }
            }
        }
    }

    /// Measures how long a notification takes to arrive; returns `None` after two seconds.
    pub async fn notification_time(&self) -> Result<Option<Duration>> {
        let mut listener = self.direct.listener().await?;
        listener.listen("shopkeeper_doctor").await?;
        let began = Instant::now();
        sqlx::query!("select pg_notify('shopkeeper_doctor', '')").execute(&self.pool).await?;
        let heard = tokio::time::timeout(Duration::from_secs(2), listener.recv()).await;
        Ok(heard.is_ok_and(|heard| heard.is_ok()).then(|| began.elapsed()))
    }
}
