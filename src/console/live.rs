//! Tells open pages that something changed: the database notifies, one task of the daemon listens, browsers are pushed.

use std::{convert::Infallible, sync::Arc, time::Duration};

use async_stream::stream;
use axum::{
    extract::State,
    http::HeaderName,
    response::{
        IntoResponse, Response, Sse,
        sse::{Event, KeepAlive},
    },
};
use serde::Deserialize;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{Pages, access::Visitor, page::Parameters};
use crate::store::{Store, listen};

/// The shortest time between two changes that a page is told of.
const CALM: Duration = Duration::from_secs(2);
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Changes, as a number that grows.
#[derive(Clone, Debug)]
pub struct Live(watch::Sender<u64>);

impl Default for Live {
    fn default() -> Self {
        Self(watch::Sender::new(0))
    }
}

impl Live {
    /// Listens to the database until stopped.
    pub async fn listen(&self, store: &Store, stop: &CancellationToken) {
        let channels = [listen::ANSWER, listen::JOB, listen::CANCELLED_JOB, listen::CONSOLE];
        store.listen(&channels, stop, |_| self.ring()).await;
    }

    /// The number of changes so far, of which a page that is read after this shows all.
    pub(super) fn seen(&self) -> u64 {
        *self.0.borrow()
    }

    /// Tells all pages.
    pub(super) fn ring(&self) {
        self.0.send_modify(|number| *number = number.wrapping_add(1));
    }
}

#[derive(Deserialize)]
pub(super) struct Since {
    /// The changes that the page had seen when it was read.
    since: Option<u64>,
}

/// `changed` at once if there were changes since the page was read, and after changes, at most every two seconds. What
/// follows a notification, such as the end of a job, is seen with the next one, which is why each is told once more a
/// moment later.
pub(super) async fn stream(
    State(pages): State<Arc<Pages>>,
    _: Visitor,
    Parameters(Since { since }): Parameters<Since>,
) -> Response {
    let (mut changes, stop) = (pages.live.0.subscribe(), pages.stop.clone());
    let seen = *changes.borrow_and_update();
    let events = stream! {
        if since.is_some_and(|since| since != seen) {
            yield Ok::<_, Infallible>(Event::default().event("changed").data("1"));
        }
        while stop.run_until_cancelled(changes.changed()).await.is_some_and(|changed| changed.is_ok()) {
            for _ in 0..2 {
                changes.mark_unchanged();
                yield Ok::<_, Infallible>(Event::default().event("changed").data("1"));
                if stop.run_until_cancelled(tokio::time::sleep(CALM)).await.is_none() {
                    return;
                }
                if changes.has_changed().unwrap_or(false) {
                    break;
                }
            }
        }
    };
    let events = Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE));
    // Proxies must not hold events back.
    ([(HeaderName::from_static("x-accel-buffering"), "no")], events).into_response()
}
