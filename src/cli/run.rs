//! `run`: the daemon under a service manager.
//!
//! SIGHUP reloads the settings. A daemon with the new settings starts beside the old one, on the same sockets; once it
//! accepts work, the old one shuts down. If the new settings are wrong, or no daemon starts with them, nothing changes,
//! not even the log filter. The first SIGTERM or SIGINT ends everything in order, a second one at once.

use std::path::Path;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::daemon::{forget, reload, start};
use super::signal::{StopSignal, in_order_or_at_once};
use super::{load, log_format, systemd, words};
use crate::daemon::{Listeners, Role, Roles};
use crate::telemetry;

mod daemon;

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

pub(super) async fn run(arguments: Run, path: &Path) -> anyhow::Result<()> {
    #[cfg(feature = "embedded")]
    if arguments.embedded {
        let (embedded, listeners) =
            crate::demo::EmbeddedStack::start(crate::demo::SampleShop::default()).await?;
        let [api, admin] = [&listeners.api, &listeners.admin]
            .map(|socket| socket.as_ref().and_then(|socket| socket.local_addr().ok()));
        let filled = async {
            super::demo::announce(admin).await;
            if let Some(api) = api {
                super::demo::fill(&embedded, api).await;
            }
        };
        let running = keep_running(&arguments, &embedded.settings, Some(listeners));
        // The daemon goes on, whatever becomes of the sample.
        let ended = async {
            tokio::pin!(running);
            tokio::select! {
                ended = &mut running => return ended,
                () = filled => {}
            }
            running.await
        };
        let ended = ended.await;
        let ended = ended.map_err(|error| embedded.with_remedy(error));
        embedded.stop().await?;
        return ended;
    }
    keep_running(&arguments, path, None).await
}

/// Runs on these sockets, or on those in the settings.
async fn keep_running(arguments: &Run, path: &Path, listeners: Option<Listeners>) -> anyhow::Result<()> {
    let config = load(path)?;
    let otlp = config.telemetry.otlp_endpoint.as_ref().map(|url| url.expose().as_str());
    telemetry::start(&config.telemetry.log, log_format(&config), otlp);
    let roles = Roles::of(&arguments.roles);
    let (mut terminate, mut hangup) = (StopSignal::new()?, signal(SignalKind::hangup())?);
    // The parent of every daemon's token, including one that is still starting.
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
                    // It may have recorded metrics until it ended.
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
