//! Waiting for jobs: when nothing gets done any more, and what an operator has stopped.

use std::{collections::BTreeSet, time::Duration};

use tokio::time::Instant;

use super::{Exit, REFUSED, UNREACHABLE};
use crate::{
    daemon::Parts,
    indexing::{fill::FillIndex, refresh::RefreshDocument},
    job::{BatchJob, Job},
    store::{Store, status::Backlog},
};

/// How long nothing may get done while jobs fail, until waiting ends.
const STALLED: Duration = Duration::from_secs(15);

/// Whether anything gets done.
pub(super) struct Progress {
    moved: Instant,
    left: Option<u64>,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self { moved: Instant::now(), left: None }
    }

    /// Why nothing has got done for so long that it is not worth waiting; none as long as it is.
    pub(super) fn stalled(&mut self, left: u64, last_error: Option<String>) -> Option<String> {
        let before = self.left.replace(left);
        let Some(error) = last_error.filter(|_| before == Some(left)) else {
            self.moved = Instant::now();
            return None;
        };
        (self.moved.elapsed() > STALLED).then_some(error)
    }
}

/// How waiting for documents ends that is given up: those who stop all spending, or limit that of a day, refuse it; else
/// something cannot be reached.
pub(super) async fn given_up(store: &Store, parts: &Parts, message: String) -> anyhow::Error {
    match is_refused(store, parts).await {
        Ok(is_refused) => Exit { code: if is_refused { REFUSED } else { UNREACHABLE }, message }.into(),
        Err(error) => error,
    }
}

/// Whether documents may cost nothing now.
async fn is_refused(store: &Store, parts: &Parts) -> anyhow::Result<bool> {
    if store.stopped_since().await?.is_some() {
        return Ok(true);
    }
    let daily = parts.versions.models().iter().find_map(|model| model.backfill.daily());
    let Some((operation, most)) = daily else { return Ok(false) };
    Ok(store.usd_today(operation).await? >= most)
}

/// Says once what an operator has stopped, while one waits for it.
pub(super) struct Stopped {
    kinds: &'static [&'static str],
    looked: Option<Instant>,
    said: BTreeSet<String>,
}

/// How often it is looked for.
const LOOK: Duration = Duration::from_secs(1);

impl Stopped {
    /// For those who wait for jobs of these kinds.
    pub(super) fn new(kinds: &'static [&'static str]) -> Self {
        Self { kinds, looked: None, said: BTreeSet::new() }
    }

    /// What is to be said now, if anything.
    pub(super) async fn news(&mut self, store: &Store) -> anyhow::Result<Vec<String>> {
        if self.looked.is_some_and(|looked| looked.elapsed() < LOOK) {
            return Ok(Vec::new());
        }
        let mut stopped = Vec::new();
        if store.stopped_since().await?.is_some() {
            stopped.push(
                "the stop button is pressed, and no model is asked: `shopkeeper resume` goes on".to_owned(),
            );
        }
        let paused = store.paused_kinds(self.kinds).await?;
        stopped.extend(
            paused.iter().map(|kind| format!("{kind} is paused: `shopkeeper queue resume {kind}` goes on")),
        );
        self.looked = Some(Instant::now());
        stopped.retain(|text| self.said.insert(text.clone()));
        Ok(stopped)
    }
}

/// The documents of these sources that wait or are being refreshed.
pub(super) async fn backlog(store: &Store, sources: &[String]) -> anyhow::Result<Backlog> {
    let mut sum = Backlog { pending: 0, last_error: None };
    for source in sources {
        let one = store.backlog(RefreshDocument::KIND, FillIndex::KIND, source).await?;
        sum.pending += one.pending;
        sum.last_error = sum.last_error.or(one.last_error);
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_and_does_not_move_is_not_waited_for() {
        let mut progress = Progress::new();
        let mut later = |left, error: Option<&str>| {
            progress.moved = progress.moved.checked_sub(2 * STALLED).unwrap();
            progress.stalled(left, error.map(str::to_owned))
        };
        assert_eq!(later(3, Some("away")), None);
        assert_eq!(later(3, Some("away")), Some("away".to_owned()));
        assert_eq!(later(2, Some("away")), None, "one got done");
        assert_eq!(later(2, None), None, "none fails");
    }
}
