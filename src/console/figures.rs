//! Figures that read whole tables. They are counted apart from the pages, which show the last ones with their age.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use tokio::sync::Notify;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    clock,
    store::{
        Result, Store,
        documents::FailureGroup,
        figures::{AnswerHour, ClientCost, LagHour, SignalCount, SourceTokens},
        status::{QueueStatus, SourceStatus},
        versions::{Coverage, IndexStatus},
    },
};

/// How old figures are at least before they are counted again.
const AGE: Duration = Duration::from_secs(5);
/// The share of the time that counting may take is one in this many.
const REST: u32 = 20;
/// Figures of this age are not shown if newer ones are counted within [`PATIENCE`]: nobody looked for a while.
const OLD: chrono::TimeDelta = chrono::TimeDelta::seconds(30);
/// How long a page waits for the first figures, or for newer ones than old ones.
const PATIENCE: Duration = Duration::from_millis(800);

/// Figures, as they were counted at one time.
#[derive(Clone, Debug)]
pub(super) struct FigureSnapshot {
    pub(super) at: DateTime<Utc>,
    pub(super) sources: Vec<SourceStatus>,
    pub(super) queue: Vec<QueueStatus>,
    pub(super) index: Vec<(IndexStatus, Coverage)>,
    pub(super) failures: Vec<FailureGroup>,
    pub(super) answers: Vec<AnswerHour>,
    pub(super) signals: Vec<SignalCount>,
    pub(super) lags: Vec<LagHour>,
    pub(super) clients: Vec<ClientCost>,
    pub(super) embedded: Vec<SourceTokens>,
}

struct State {
    last: Option<Arc<FigureSnapshot>>,
    is_counting: bool,
    next: Option<Instant>,
}

/// The last figures, counted again when they are asked for and old.
#[derive(Clone)]
pub(super) struct Figures {
    store: Store,
    kinds: &'static [&'static str],
    tasks: TaskTracker,
    stop: CancellationToken,
    state: Arc<Mutex<State>>,
    counted: Arc<Notify>,
}

impl Figures {
    pub(super) fn new(
        store: &Store,
        kinds: &'static [&'static str],
        tasks: &TaskTracker,
        stop: &CancellationToken,
    ) -> Self {
        let state = State { last: None, is_counting: false, next: None };
        Self {
            store: store.clone(),
            kinds,
            tasks: tasks.clone(),
            stop: stop.clone(),
            state: Arc::new(Mutex::new(state)),
            counted: Arc::default(),
        }
    }

    /// The last figures; `None` if the first count takes longer than a page waits.
    pub(super) async fn last(&self) -> Option<Arc<FigureSnapshot>> {
        let counted = self.counted.notified();
        self.count_if_old();
        let (last, is_counting) = {
            let state = self.state();
            (state.last.clone(), state.is_counting)
        };
        let is_new = last.as_ref().is_some_and(|last| clock::now() - last.at < OLD);
        if is_new || !is_counting {
            return last;
        }
        let _ = tokio::time::timeout(PATIENCE, counted).await;
        self.state().last.clone()
    }

    fn count_if_old(&self) {
        let mut state = self.state();
        if state.is_counting || state.next.is_some_and(|next| Instant::now() < next) {
            return;
        }
        state.is_counting = true;
        let figures = self.clone();
        self.tasks.spawn(async move { figures.count().await });
    }

    async fn count(&self) {
        let last = self.state().last.clone();
        // Dropped also after a panic: the next page then counts again.
        let ended = Counting { figures: self, began: Instant::now() };
        let counted = self.stop.run_until_cancelled(read(&self.store, self.kinds, last.as_deref())).await;
        if let Some(counted) = counted {
            self.state().last = Some(Arc::new(counted));
        }
        drop(ended);
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A count that is under way.
struct Counting<'a> {
    figures: &'a Figures,
    began: Instant,
}

impl Drop for Counting<'_> {
    fn drop(&mut self) {
        let mut state = self.figures.state();
        state.is_counting = false;
        state.next = Some(Instant::now() + AGE.max(self.began.elapsed() * REST));
        drop(state);
        self.figures.counted.notify_waiters();
    }
}

/// Counts everything. What cannot be counted stays as it was.
async fn read(store: &Store, kinds: &[&str], last: Option<&FigureSnapshot>) -> FigureSnapshot {
    let versions = async {
        let mut index = Vec::new();
        for status in store.index_status().await? {
            let coverage = store.coverage(status.version.id).await?;
            index.push((status, coverage));
        }
        Ok(index)
    };
    // One after the other: the connections are those of the pages, which must not wait for a count.
    let sources = store.source_status().await;
    let queue = store.queue_status(kinds).await;
    let index = versions.await;
    let failures = store.failures(None, Some(10)).await;
    let answers = store.answer_hours().await;
    let signals = store.answer_signals().await;
    let lags = store.lag_hours().await;
    let clients = store.client_costs().await;
    let embedded = store.source_tokens().await;
    FigureSnapshot {
        at: clock::now(),
        sources: or_last(sources, last.map(|last| &last.sources)),
        queue: or_last(queue, last.map(|last| &last.queue)),
        index: or_last(index, last.map(|last| &last.index)),
        failures: or_last(failures, last.map(|last| &last.failures)),
        answers: or_last(answers, last.map(|last| &last.answers)),
        signals: or_last(signals, last.map(|last| &last.signals)),
        lags: or_last(lags, last.map(|last| &last.lags)),
        clients: or_last(clients, last.map(|last| &last.clients)),
        embedded: or_last(embedded, last.map(|last| &last.embedded)),
    }
}

fn or_last<T: Clone>(counted: Result<Vec<T>>, last: Option<&Vec<T>>) -> Vec<T> {
    counted.unwrap_or_else(|error| {
        tracing::warn!(%error, "a figure of the console could not be counted: {error}");
        last.cloned().unwrap_or_default()
    })
}
