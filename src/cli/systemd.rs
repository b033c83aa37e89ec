//! What systemd is told of the daemon (`sd_notify`); where it did not start us, nothing.

use std::time::Duration;

use sd_notify::NotifyState;

/// How much longer a start may take, each time it is said that it takes longer: migrations may be long.
const LONGER: Duration = Duration::from_secs(30);

/// systemd, if it started us.
pub(super) struct Systemd {
    watch: Option<Duration>,
}

impl Systemd {
    pub(super) fn from_environment() -> Self {
        Self { watch: sd_notify::watchdog_enabled() }
    }

    /// Says again and again that it is still starting; never ends.
    pub(super) async fn keep_starting(&self) {
        loop {
            let longer = u32::try_from(LONGER.as_micros()).unwrap_or(u32::MAX);
            tell(&[NotifyState::ExtendTimeoutUsec(longer), NotifyState::Status("starting")]);
            tokio::time::sleep(LONGER / 3).await;
        }
    }

    pub(super) fn ready(&self, status: &str) {
        tell(&[NotifyState::Ready, NotifyState::Status(status)]);
        self.is_well();
    }

    pub(super) fn reloading() {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => {
                tell(&[NotifyState::Reloading, now, NotifyState::Status("reading the settings again")]);
            }
            Err(error) => tracing::debug!(%error, "there is no monotonic clock"),
        }
    }

    pub(super) fn stopping() {
        tell(&[NotifyState::Stopping, NotifyState::Status("finishing what runs")]);
    }

    /// How often it wants to hear that all is well.
    pub(super) fn watch_every(&self) -> Option<Duration> {
        self.watch.map(|every| every / 3)
    }

    pub(super) fn is_well(&self) {
        if self.watch.is_some() {
            tell(&[NotifyState::Watchdog]);
        }
    }
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "systemd cannot be told: {error}");
    }
}
