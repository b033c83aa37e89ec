//! Notifications to systemd (`sd_notify`); no effect unless systemd started the daemon.

use std::time::Duration;

use sd_notify::NotifyState;

/// How much each notification extends the start timeout: migrations may take long.
const EXTENSION: Duration = Duration::from_secs(30);

/// Keeps extending the start timeout; never returns.
pub(super) async fn keep_starting() {
    loop {
        let extension = u32::try_from(EXTENSION.as_micros()).unwrap_or(u32::MAX);
        notify(&[NotifyState::ExtendTimeoutUsec(extension), NotifyState::Status("starting")]);
        tokio::time::sleep(EXTENSION / 3).await;
    }
}

pub(super) fn ready(status: &str) {
    notify(&[NotifyState::Ready, NotifyState::Status(status)]);
    feed_watchdog();
}

pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => {
            notify(&[NotifyState::Reloading, now, NotifyState::Status("reading the settings again")]);
        }
        Err(error) => tracing::debug!(%error, "there is no monotonic clock"),
    }
}

pub(super) fn stopping() {
    notify(&[NotifyState::Stopping, NotifyState::Status("finishing what runs")]);
}

/// How often to feed the watchdog, if there is one.
pub(super) fn watchdog_interval() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|timeout| timeout / 3)
}

pub(super) fn feed_watchdog() {
    if watchdog_interval().is_some() {
        notify(&[NotifyState::Watchdog]);
    }
}

fn notify(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "systemd cannot be notified: {error}");
    }
}
