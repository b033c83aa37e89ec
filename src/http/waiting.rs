//! Requests that wait for an answer: long polls by `Prefer: wait=n` (RFC 7240), and event streams.
//!
//! NOTIFY is a hint, the row is the truth: waiting requests also poll it.

use std::{
    collections::{HashMap, VecDeque},
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_stream::stream;
use axum::http::HeaderMap;
use futures::{Stream, StreamExt};
use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    answering::object::AnswerObject,
    store::{Store, StoreError, listen},
};

/// The longest wait of a request, in seconds; the client then asks again.
const MAX_WAIT: u64 = 25;
/// How often a row is read without a notification.
const POLL_INTERVAL: Duration = Duration::from_secs(2);

/// How many answers that were settled last are known.
const LAST_SETTLED: usize = 1024;

/// The waiting requests, by answer.
#[derive(Clone, Debug)]
pub struct Waiting {
    bells: Arc<Mutex<HashMap<Uuid, Arc<Bells>>>>,
    /// The newest last.
    last_settled: Arc<Mutex<VecDeque<Uuid>>>,
    stop: CancellationToken,
}

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Change {
    /// The end of the answer.
    Settled,
    /// Its events, and its end.
    Any,
}

/// The bells of one answer: one that rings once it may be settled, and one that also rings for its events.
#[derive(Debug, Default)]
struct Bells {
    settled: Notify,
    any: Notify,
}

impl Bells {
    fn of(&self, change: Change) -> &Notify {
        match change {
            Change::Settled => &self.settled,
            Change::Any => &self.any,
        }
    }

    fn ring(&self, is_settled: bool) {
        if is_settled {
            self.settled.notify_waiters();
        }
        self.any.notify_waiters();
    }
}

impl Waiting {
    /// Once `stop` is cancelled, nothing waits any more.
    pub fn new(stop: CancellationToken) -> Self {
        Self { bells: Arc::default(), last_settled: Arc::default(), stop }
    }

    /// Rings the bells of answers that the database notifies of, until stopped.
    pub async fn listen(&self, store: &Store) {
        store
            .listen(&[listen::ANSWER, listen::ANSWER_EVENT], &self.stop, |heard| match heard {
                // Notifications may have been lost.
                None => self.bells().values().for_each(|bells| bells.ring(true)),
                Some((channel, id)) => {
                    let Ok(id) = id.parse::<Uuid>() else { return };
                    let is_settled = channel == listen::ANSWER;
                    if is_settled {
                        self.note_settled(id);
                    }
                    if let Some(bells) = self.bells().get(&id) {
                        bells.ring(is_settled);
                    }
                }
            })
            .await;
    }

    /// Reads an answer once it is settled, or in its present state when the time is over. One that was accepted just now
    /// is not read before anything has happened.
    pub(super) async fn until_settled(
        &self,
        store: &Store,
        client: Option<&str>,
        id: Uuid,
        wait: Option<Duration>,
        is_new: bool,
    ) -> Result<Option<AnswerObject>, StoreError> {
        let until = Instant::now() + wait.unwrap_or_default();
        let mut changes = pin!(self.changes(id, Change::Settled));
        let mut is_first = true;
        while let Ok(Some(())) = tokio::time::timeout_at(until, changes.next()).await {
            // From the first time on the bell rings; it may have been settled before.
            if std::mem::take(&mut is_first) && is_new && !self.was_settled(id) {
                continue;
            }
            let answer = store.answer(client, id).await?;
            if Instant::now() >= until || answer.as_ref().is_none_or(|answer| answer.status.is_settled()) {
                return Ok(answer);
            }
        }
        store.answer(client, id).await
    }

    /// Yields at once, whenever this change may have come, and at intervals; ends when stopped.
    pub(super) fn changes(&self, id: Uuid, change: Change) -> impl Stream<Item = ()> + use<> {
        let waiting = self.clone();
        stream! {
            let bell = waiting.bell(id);
            while !waiting.stop.is_cancelled() {
                // Listens before the reader reads, so that no notification is lost.
                let mut rung = pin!(bell.bells.of(change).notified());
                rung.as_mut().enable();
                yield ();
                tokio::select! {
                    () = rung => {}
                    () = tokio::time::sleep(POLL_INTERVAL) => {}
                    () = waiting.stop.cancelled() => {}
                }
            }
        }
    }

    fn bell(&self, id: Uuid) -> Bell {
        let bells = self.bells().entry(id).or_default().clone();
        Bell { waiting: self.clone(), id, bells }
    }

    fn note_settled(&self, id: Uuid) {
        let mut last = self.last_settled();
        if last.len() == LAST_SETTLED {
            last.pop_front();
        }
        last.push_back(id);
    }

    fn was_settled(&self, id: Uuid) -> bool {
        self.last_settled().contains(&id)
    }

    fn last_settled(&self) -> std::sync::MutexGuard<'_, VecDeque<Uuid>> {
        self.last_settled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn bells(&self) -> std::sync::MutexGuard<'_, HashMap<Uuid, Arc<Bells>>> {
        self.bells.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Rings when an answer changes. Unregisters itself when dropped, so that a client that disconnects leaves nothing.
struct Bell {
    waiting: Waiting,
    id: Uuid,
    bells: Arc<Bells>,
}

impl Drop for Bell {
    fn drop(&mut self) {
        let mut bells = self.waiting.bells();
        // One in the map and this one.
        if Arc::strong_count(&self.bells) == 2 {
            bells.remove(&self.id);
        }
    }
}

/// Reads how long a client prefers to wait, at most `MAX_WAIT`; an invalid value is no preference.
pub(super) fn preferred_wait(headers: &HeaderMap) -> Option<Duration> {
    let given = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
    let mut preferences = given.flat_map(|value| value.split([',', ';'])).map(str::trim);
    let wait = preferences.find_map(|preference| {
        let (name, value) = preference.split_once('=')?;
        name.trim().eq_ignore_ascii_case("wait").then(|| value.trim().trim_matches('"'))
    })?;
    let seconds: u64 = wait.parse().ok()?;
    Some(Duration::from_secs(seconds.min(MAX_WAIT)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answers_that_were_settled_last_are_known() {
        let waiting = Waiting::new(CancellationToken::new());
        let ids: Vec<_> = (0..=LAST_SETTLED as u128).map(Uuid::from_u128).collect();
        for id in &ids {
            waiting.note_settled(*id);
        }
        assert!(!waiting.was_settled(ids[0]));
        assert!(ids[1..].iter().all(|id| waiting.was_settled(*id)));
    }

    #[test]
    fn a_preference_is_read_among_others_and_cut_to_what_we_allow() {
        let wait = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("prefer", axum::http::HeaderValue::from_static(value));
            preferred_wait(&headers)
        };
        assert_eq!(wait("respond-async, wait=10"), Some(Duration::from_secs(10)));
        assert_eq!(wait("Wait=600"), Some(Duration::from_secs(MAX_WAIT)));
        assert_eq!(wait("return=minimal"), None);
        assert_eq!(wait("wait=soon"), None);
    }
}
