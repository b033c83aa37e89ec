//! Waits for jobs: progress, pauses, and when to give up.

use std::{collections::BTreeSet, time::Duration};

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::Instant;

use super::output;
use crate::indexing::{fill::FillIndex, refresh::RefreshDocument};
use crate::job::{BatchJob, Job};
use crate::store::{Store, status::Backlog};

/// How long jobs may fail without progress before the wait ends.
const STALL_LIMIT: Duration = Duration::from_secs(15);
const PAUSE_INTERVAL: Duration = Duration::from_secs(1);

/// Watches jobs of some kinds with a progress bar, and reports each pause once.
pub(super) struct Watch<'a> {
    store: &'a Store,
    kinds: &'static [&'static str],
    pub(super) bar: ProgressBar,
    progress: Progress,
    pauses_read: Option<Instant>,
    reported: BTreeSet<String>,
}

impl<'a> Watch<'a> {
    /// Without a style there is no bar.
    pub(super) fn new(store: &'a Store, kinds: &'static [&'static str], style: Option<&str>) -> Result<Self> {
        let bar = match style {
            Some(style) => ProgressBar::new(0).with_style(ProgressStyle::with_template(style)?),
            None => ProgressBar::hidden(),
        };
        let progress = Progress { moved: Instant::now(), left: None };
        Ok(Self { store, kinds, bar, progress, pauses_read: None, reported: BTreeSet::new() })
    }

    /// Reports new pauses. Returns the last error once nothing has progressed for [`STALL_LIMIT`].
    pub(super) async fn stalled(&mut self, left: u64, last_error: Option<String>) -> Result<Option<String>> {
        if self.pauses_read.is_none_or(|read| read.elapsed() >= PAUSE_INTERVAL) {
            let stopped = self.store.stopped_since().await?;
            let stopped =
                stopped.map(|_| "model requests are paused: run `shopkeeper resume` to continue".to_owned());
            let paused = self.store.paused_kinds(self.kinds).await?.into_iter();
            let paused =
                paused.map(|kind| format!("{kind} is paused: `shopkeeper queue resume {kind}` goes on"));
            for text in stopped.into_iter().chain(paused) {
                if self.reported.insert(text.clone()) {
                    self.bar.suspend(|| output::note(text));
                }
            }
            self.pauses_read = Some(Instant::now());
        }
        Ok(self.progress.stalled(left, last_error))
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

struct Progress {
    moved: Instant,
    left: Option<u64>,
}

impl Progress {
    fn stalled(&mut self, left: u64, last_error: Option<String>) -> Option<String> {
        let before = self.left.replace(left);
        let Some(error) = last_error.filter(|_| before == Some(left)) else {
            self.moved = Instant::now();
            return None;
        };
        (self.moved.elapsed() > STALL_LIMIT).then_some(error)
    }
}

pub(super) async fn backlog(store: &Store, sources: &[String]) -> Result<Backlog> {
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
    fn a_wait_ends_when_jobs_fail_without_progress() {
        let mut progress = Progress { moved: Instant::now(), left: None };
        let mut later = |left, error: Option<&str>| {
            progress.moved = progress.moved.checked_sub(2 * STALL_LIMIT).unwrap();
            progress.stalled(left, error.map(str::to_owned))
        };
        assert_eq!(later(3, Some("away")), None);
        assert_eq!(later(3, Some("away")), Some("away".to_owned()));
        assert_eq!(later(2, Some("away")), None, "one finished");
        assert_eq!(later(2, None), None, "none fails");
    }
}
