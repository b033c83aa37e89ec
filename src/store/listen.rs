//! Notifications of the database. Each is a hint, and the rows are the truth: listeners also poll.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{PROMPT, Result, Store, StoreError};

/// Says the kind of jobs that are new.
pub const JOB: &str = "shopkeeper_job";
/// Says that running jobs were cancelled.
pub const CANCELLED_JOB: &str = "shopkeeper_job_cancel";
/// Says the id of an answer that was settled.
pub const ANSWER: &str = "shopkeeper_answer";
/// Says the id of an answer that goes on.
pub const ANSWER_EVENT: &str = "shopkeeper_answer_event";

/// A connection that says nothing for so long is asked whether it lives.
const SILENCE: Duration = Duration::from_secs(15);
/// How long after a lost connection listening is tried again.
const RECONNECT: Duration = Duration::from_secs(1);

impl Store {
    /// Hears what is said on some channels, until stopped, however often the connection is lost: `heard` gets the
    /// channel and the text, or nothing when listening begins and what was said before was not heard.
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
}
