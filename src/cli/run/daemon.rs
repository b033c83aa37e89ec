//! One daemon of the process, with the settings that it was started with.

use std::{net::SocketAddr, path::Path, time::Duration};

use anyhow::Context;
use tokio::{sync::oneshot, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::cli::{load, systemd};
use crate::daemon::{self, Listeners, Roles, Started};
use crate::{config::Config, queue::Heartbeat, telemetry};

const CHECK_INTERVAL: Duration = Duration::from_secs(5);

pub(super) struct Daemon {
    pub(super) id: tokio::task::Id,
    pub(super) config: Config,
    pub(super) stop: CancellationToken,
    pub(super) heartbeat: Heartbeat,
    pub(super) address: Option<SocketAddr>,
    pub(super) listeners: Listeners,
}

/// Starts a daemon beside the others, until `parent` is cancelled. Returns once it accepts work, or why it does not.
pub(super) async fn start(
    daemons: &mut JoinSet<anyhow::Result<()>>,
    config: Config,
    listeners: Listeners,
    roles: Roles,
    parent: &CancellationToken,
) -> anyhow::Result<Daemon> {
    let stop = parent.child_token();
    let (sender, started) = oneshot::channel();
    let (settings, own, stopped) = (config.clone(), listeners.try_clone()?, stop.clone());
    let id = daemons
        .spawn(async move {
            let mut waiting = Some(sender);
            let tell = |started| drop(waiting.take().map(|sender| sender.send(Ok(started))));
            let ended = daemon::run(&settings, own, roles, stopped, tell).await;
            let Some(sender) = waiting else { return ended };
            let ended = ended.and_then(|()| Err(anyhow::anyhow!("the daemon ended before it took work")));
            // The receiver reports the error, unless everything is stopping.
            match sender.send(ended) {
                Err(Err(error)) => Err(error),
                _ => Ok(()),
            }
        })
        .id();
    let started = started.await.context("the daemon panicked before it took work")?;
    let Started { address, heartbeat } = started?;
    let current = Daemon { id, config, stop, heartbeat, address, listeners };
    let status = current.status();
    let sources = current.config.sources.len();
    tracing::info!(version = env!("CARGO_PKG_VERSION"), sources, "{status}");
    Ok(current)
}

pub(super) async fn reload(
    daemons: &mut JoinSet<anyhow::Result<()>>,
    path: &Path,
    current: &Daemon,
    roles: Roles,
    stop: &CancellationToken,
) -> anyhow::Result<Daemon> {
    let config = load(path)?;
    let listeners = current.listeners.rebind(&current.config, &config, roles)?;
    start(daemons, config, listeners, roles, stop).await
}

impl Daemon {
    pub(super) fn status(&self) -> String {
        let at = self.address.map(|address| format!(", API at http://{address}")).unwrap_or_default();
        format!("running{at}")
    }

    /// Feeds the watchdog while the workers reach the database; never returns.
    pub(super) async fn keep_watching(&self) {
        let interval = systemd::watchdog_interval().map_or(CHECK_INTERVAL, |time| time.min(CHECK_INTERVAL));
        loop {
            tokio::time::sleep(interval).await;
            if self.heartbeat.is_steady() {
                systemd::feed_watchdog();
            } else {
                tracing::warn!("workers cannot reach the database");
            }
        }
    }
}

/// Ends alerts on schedules and sources that were removed from the settings.
pub(super) fn forget(old: &Config, new: &Config) {
    let schedules = old.schedules.iter().map(|schedule| schedule.name.as_str());
    let sources = old.sources.iter().map(|source| source.name.as_str());
    telemetry::forget(
        schedules.filter(|name| !new.schedules.iter().any(|kept| kept.name == **name)),
        sources.filter(|name| !new.sources.iter().any(|kept| kept.name == **name)),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn how_the_current_daemon_ends_is_known_even_if_another_fails_to_start_meanwhile() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("jobs.toml");
        std::fs::write(&path, "[database]\nurl = \"postgres://nobody@127.0.0.1:1/none\"\n").unwrap();
        let key = [("OPENAI_API_KEY".to_owned(), "sk-one".to_owned())];
        let config = Config::load(&path, &key.into()).unwrap();
        let mut daemons = JoinSet::new();
        let current = daemons.spawn(async { anyhow::bail!("as wished") }).id();
        let (listeners, stop) = (Listeners { api: None, admin: None }, CancellationToken::new());
        let started = start(&mut daemons, config, listeners, Roles::ALL, &stop).await;
        let error = started.err().expect("there is no database").to_string();
        assert!(error.contains("127.0.0.1:1"), "{error}");
        let (ended, how) = daemons.join_next_with_id().await.unwrap().unwrap();
        assert_eq!((ended, how.unwrap_err().to_string()), (current, "as wished".to_owned()));
    }
}
