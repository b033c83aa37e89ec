//! Requests that wait for an answer: by `Prefer: wait=n` (RFC 7240), or watching its events.
//!
//! NOTIFY is a hint, the row is the truth: whoever waits looks at it once in a while too.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::http::HeaderMap;
use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    answering::object::AnswerObject,
    store::{Store, StoreError, listen},
};

/// The longest that a request waits; the client asks again then.
const LONGEST: u64 = 25;
/// How often a row is looked at that nobody spoke of.
const LOOK: Duration = Duration::from_secs(2);

/// Those who wait, by the answer they wait for.
#[derive(Clone, Debug)]
pub struct Waiting {
    bells: Arc<Mutex<HashMap<Uuid, Arc<Notify>>>>,
    stop: CancellationToken,
}

impl Waiting {
    /// Nobody waits any longer once this is stopped.
    pub fn new(stop: CancellationToken) -> Self {
        Self { bells: Arc::default(), stop }
    }

    /// Rings the bells as the database says, until stopped.
    pub async fn listen(&self, store: &Store) {
        store
            .listen(&[listen::ANSWER, listen::ANSWER_EVENT], &self.stop, |heard| match heard {
                // What was said while nobody listened.
                None => self.bells().values().for_each(|bell| bell.notify_waiters()),
                Some((_, id)) => {
                    if let Ok(id) = id.parse::<Uuid>()
                        && let Some(bell) = self.bells().get(&id)
                    {
                        bell.notify_waiters();
                    }
                }
            })
            .await;
    }

    /// Reads an answer once it is settled, or as it is when the time is over.
    pub(super) async fn settled(
        &self,
        store: &Store,
        client: Option<&str>,
        id: Uuid,
        wait: Option<Duration>,
    ) -> Result<Option<AnswerObject>, StoreError> {
        let until = Instant::now() + wait.unwrap_or_default();
        let bell = self.bell(id);
        loop {
            // Before the row is read: what is said while it is read is heard.
            let rung = bell.rung();
            tokio::pin!(rung);
            rung.as_mut().enable();
            let answer = store.answer(client, id).await?;
            let is_over = Instant::now() >= until || self.stop.is_cancelled();
            if is_over || answer.as_ref().is_none_or(AnswerObject::is_settled) {
                return Ok(answer);
            }
            tokio::select! {
                () = rung => {}
                () = tokio::time::sleep_until(until.min(Instant::now() + LOOK)) => {}
                () = self.stop.cancelled() => {}
            }
        }
    }

    /// A place among those who wait for an answer, or for what is said of it.
    pub(super) fn bell(&self, id: Uuid) -> Bell {
        let notify = self.bells().entry(id).or_default().clone();
        Bell { waiting: self.clone(), id, notify }
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stop.is_cancelled()
    }

    pub(super) async fn stopped(&self) {
        self.stop.cancelled().await;
    }

    fn bells(&self) -> std::sync::MutexGuard<'_, HashMap<Uuid, Arc<Notify>>> {
        self.bells.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place among those who wait, given up when it is dropped: a client that goes away leaves nothing.
pub(super) struct Bell {
    waiting: Waiting,
    id: Uuid,
    notify: Arc<Notify>,
}

impl Bell {
    pub(super) fn rung(&self) -> tokio::sync::futures::Notified<'_> {
        self.notify.notified()
    }
}

impl Drop for Bell {
    fn drop(&mut self) {
        let mut bells = self.waiting.bells();
        // The map's and ours.
        if Arc::strong_count(&self.notify) == 2 {
            bells.remove(&self.id);
        }
    }
}

/// How long a client prefers to wait: what is longer than we let anybody wait is cut, and what is not understood is
/// no preference.
pub(super) fn preferred(headers: &HeaderMap) -> Option<Duration> {
    let given = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
    let mut preferences = given.flat_map(|value| value.split([',', ';'])).map(str::trim);
    let wait = preferences.find_map(|preference| {
        let (name, value) = preference.split_once('=')?;
        name.trim().eq_ignore_ascii_case("wait").then(|| value.trim().trim_matches('"'))
    })?;
    let seconds: u64 = wait.parse().ok()?;
    Some(Duration::from_secs(seconds.min(LONGEST)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preference_is_read_among_others_and_cut_to_what_we_allow() {
        let of = |value: &'static str| {
            let headers = HeaderMap::from_iter([(
                axum::http::HeaderName::from_static("prefer"),
                axum::http::HeaderValue::from_static(value),
            )]);
            preferred(&headers)
        };
        assert_eq!(of("respond-async, wait=10"), Some(Duration::from_secs(10)));
        assert_eq!(of("Wait=600"), Some(Duration::from_secs(LONGEST)));
        assert_eq!(of("return=minimal"), None);
        assert_eq!(of("wait=soon"), None);
    }
}
