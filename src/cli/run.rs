//! `run`: the daemon under a service manager.
//!
//! SIGHUP reads the settings again. A daemon with the new settings starts beside the old one, on the same sockets, as
//! another host would; when it takes work, the old one ends in order. If the new settings are wrong, or no daemon starts
//! with them, nothing changes, not even the log's filter. The first SIGTERM or SIGINT ends everything in order, the second
//! one at once.

use std::{net::SocketAddr, path::Path, time::Duration};

use anyhow::{Context, bail};
use clap::Args;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::oneshot,
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use super::{log_format, systemd, words};
use crate::{
    config::Config,
    daemon::{self, Listeners, Role, Roles, Started},
    queue::Heartbeat,
    telemetry,
};

#[derive(Debug, Args)]
pub(super) struct Run {
    /// Do only this part of the work; can be repeated
    #[arg(long = "role", value_parser = words::<Role>(), value_delimiter = ',')]
    roles: Vec<Role>,
    /// Run on the private PostgreSQL, the offline models and the sample shop of `demo`
    #[cfg(feature = "embedded")]
    #[arg(long)]
    embedded: bool,
}

const CHECK_INTERVAL: Duration = Duration::from_secs(5);

pub(super) async fn run(arguments: Run, path: &Path) -> anyhow::Result<()> {
    #[cfg(feature = "embedded")]
    if arguments.embedded {
        let (embedded, listeners) = crate::demo::EmbeddedStack::start().await?;
        let ended = keep_running(&arguments, &embedded.settings, Some(listeners)).await;
        embedded.stop().await?;
        return ended;
    }
    keep_running(&arguments, path, None).await
}

/// Runs on these sockets, or on those of the settings.
async fn keep_running(arguments: &Run, path: &Path, listeners: Option<Listeners>) -> anyhow::Result<()> {
    let config = load(path)?;
    let otlp = config.telemetry.otlp_endpoint.as_ref().map(|url| url.expose().as_str());
    telemetry::start(&config.telemetry.log, log_format(&config), otlp);
    let roles = Roles::of(&arguments.roles);
    let (mut terminate, mut hangup) = (StopSignal::new()?, signal(SignalKind::hangup())?);
    // The parent of every daemon's token, also of one that is still starting.
    let stop = CancellationToken::new();
    let mut daemons = JoinSet::new();
    let listeners = listeners.map_or_else(|| Listeners::bind(&config, roles), Ok)?;
    let mut current = tokio::select! {
        started = start(&mut daemons, config, listeners, roles, &stop) => started?,
        () = systemd::keep_starting() => unreachable!("it never returns"),
        () = terminate.signalled() => return Ok(()),
    };
    systemd::ready(&current.status());
    let mut before = None;
    loop {
        tokio::select! {
            ended = daemons.join_next_with_id() => match ended {
                Some(Ok((id, ended))) if id == current.id => return ended,
                // A daemon with older settings, or one that did not start.
                Some(Ok((_, ended))) => {
                    if let Err(error) = ended {
                        tracing::warn!("a daemon with other settings: {error:#}");
                    }
                    // It may have recorded metrics until its end.
                    if let Some(before) = &before {
                        forget(before, &current.config);
                    }
                }
                Some(Err(error)) if error.id() == current.id => return Err(error.into()),
                Some(Err(error)) => tracing::warn!("a daemon with other settings: {error}"),
                None => unreachable!("the current one is in the set"),
            },
            () = terminate.signalled() => break,
            _ = hangup.recv() => {
                systemd::reloading();
                let new = tokio::select! {
                    new = reload(&mut daemons, path, &current, roles, &stop) => new,
                    () = current.keep_watching() => unreachable!("it never returns"),
                    () = terminate.signalled() => break,
                };
                telemetry::reloaded(new.is_ok());
                match new {
                    Ok(new) => {
                        current.stop.cancel();
                        forget(&current.config, &new.config);
                        before = Some(std::mem::replace(&mut current, new).config);
                        telemetry::filter(&current.config.telemetry.log);
                        tracing::info!("the new settings are in force");
                    }
                    Err(error) => tracing::error!("reload failed, keeping the previous settings: {error:#}"),
                }
                systemd::ready(&current.status());
            }
            () = current.keep_watching() => unreachable!("it never returns"),
        }
    }
    systemd::stopping();
    stop.cancel();
    let ended = async {
        let mut last = Ok(());
        while let Some(ended) = daemons.join_next().await {
            last = last.and(ended.map_err(anyhow::Error::from).and_then(|ended| ended));
        }
        last
    };
    let ended = in_order_or_at_once(ended, &mut terminate).await;
    telemetry::flush();
    ended
}

struct Current {
    id: tokio::task::Id,
    config: Config,
    stop: CancellationToken,
    heartbeat: Heartbeat,
    address: Option<SocketAddr>,
    listeners: Listeners,
}

impl Current {
    fn status(&self) -> String {
        let at = self.address.map(|address| format!(", API at http://{address}")).unwrap_or_default();
        format!("running{at}")
    }

    /// Feeds the watchdog while the workers reach the database; never returns.
    async fn keep_watching(&self) {
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

/// Ends alerts on schedules and sources that left the settings.
fn forget(old: &Config, new: &Config) {
    let schedules = old.schedules.iter().map(|schedule| schedule.name.as_str());
    let sources = old.sources.iter().map(|source| source.name.as_str());
    telemetry::forget(
        schedules.filter(|name| !new.schedules.iter().any(|kept| kept.name == **name)),
        sources.filter(|name| !new.sources.iter().any(|kept| kept.name == **name)),
    );
}

fn load(path: &Path) -> anyhow::Result<Config> {
    Ok(Config::load(path, &std::env::vars().collect())?)
}

async fn reload(
    daemons: &mut JoinSet<anyhow::Result<()>>,
    path: &Path,
    current: &Current,
    roles: Roles,
    stop: &CancellationToken,
) -> anyhow::Result<Current> {
    let config = load(path)?;
    let listeners = current.listeners.rebind(&current.config, &config, roles)?;
    start(daemons, config, listeners, roles, stop).await
}

/// Starts a daemon beside the others; `parent` stops it too. Returns when it takes work, or why it does not.
async fn start(
    daemons: &mut JoinSet<anyhow::Result<()>>,
    config: Config,
    listeners: Listeners,
    roles: Roles,
    parent: &CancellationToken,
) -> anyhow::Result<Current> {
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
    let current = Current { id, config, stop, heartbeat, address, listeners };
    let status = current.status();
    let sources = current.config.sources.len();
    tracing::info!(version = env!("CARGO_PKG_VERSION"), sources, "{status}");
    Ok(current)
}

pub(super) struct StopSignal {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignal {
    pub(super) fn new() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn signalled(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Runs until the first signal, which ends it in order; the second one ends it at once.
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

async fn in_order_or_at_once(
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn how_the_current_daemon_ends_is_known_also_when_another_does_not_start_meanwhile() {
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
