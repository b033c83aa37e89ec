//! Notifications to systemd (`sd_notify`), if it started the daemon.

use std::time::Duration;

use sd_notify::NotifyState;

/// How much each notification extends the time for the start: migrations may be long.
const EXTENSION: Duration = Duration::from_secs(30);

pub(super) struct Systemd {
    watchdog: Option<Duration>,
}

impl Systemd {
    pub(super) fn from_environment() -> Self {
        Self { watchdog: sd_notify::watchdog_enabled() }
    }

    /// Extends the time for the start at intervals; never returns.
    pub(super) async fn keep_starting(&self) {
        loop {
            let extension = u32::try_from(EXTENSION.as_micros()).unwrap_or(u32::MAX);
            notify(&[NotifyState::ExtendTimeoutUsec(extension), NotifyState::Status("starting")]);
            tokio::time::sleep(EXTENSION / 3).await;
        }
    }

    pub(super) fn ready(&self, status: &str) {
        notify(&[NotifyState::Ready, NotifyState::Status(status)]);
        self.feed_watchdog();
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

    /// How often to feed the watchdog.
    pub(super) fn watchdog_interval(&self) -> Option<Duration> {
        self.watchdog.map(|every| every / 3)
    }

    pub(super) fn feed_watchdog(&self) {
        if self.watchdog.is_some() {
            notify(&[NotifyState::Watchdog]);
        }
    }
}

fn notify(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "systemd cannot be notified: {error}");
    }
}
