//! The latest copy of a feed, and when a new one is taken.

use std::{
    fs::File,
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use crate::{
    catalogue::CatalogueResult,
    source::feed::{
        FeedSource, Place,
        copy::{FeedCopy, copy},
        fetch::{Fetched, State},
    },
};

/// The last copy of a feed.
pub(super) struct LatestCopy {
    pub copy: FeedCopy,
    state: State,
    taken: Instant,
    /// Whether it was taken because another state had been listed.
    is_sequel: bool,
}

/// The shortest time between two copies that are taken because another state was listed.
const COPY_INTERVAL: Duration = Duration::from_secs(10);

impl FeedSource {
    /// A copy of the feed as it is now.
    pub(super) async fn take(&self) -> CatalogueResult<Arc<LatestCopy>> {
        let _taking = self.taking.lock().await;
        self.fetch(false).await
    }

    /// The last copy; waits for the first one.
    pub(super) async fn held(&self) -> CatalogueResult<Arc<LatestCopy>> {
        if let Some(copy) = self.last() {
            return Ok(copy);
        }
        let _taking = self.taking.lock().await;
        match self.last() {
            Some(copy) => Ok(copy),
            None => self.fetch(false).await,
        }
    }

    /// Takes a copy that holds what was listed, unless the last one does, or the one that is being taken.
    pub(super) async fn follow(&self, listed: &[(String, Option<i64>)]) -> CatalogueResult<()> {
        if self.held().await?.copy.holds(listed) {
            return Ok(());
        }
        let _taking = self.taking.lock().await;
        let is_behind = |held: &LatestCopy| {
            !held.copy.holds(listed) && (held.taken.elapsed() > COPY_INTERVAL || !held.is_sequel)
        };
        if self.last().is_none_or(|held| is_behind(&held)) {
            self.fetch(true).await?;
        }
        Ok(())
    }

    fn last(&self) -> Option<Arc<LatestCopy>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes a copy, unless the feed is still in the state of the last one. The caller holds `taking`.
    async fn fetch(&self, is_sequel: bool) -> CatalogueResult<Arc<LatestCopy>> {
        let held = self.last();
        let state = held.as_ref().map(|held| &held.state);
        let fetched = match &self.settings.place {
            Place::Path(path) => self.open(path, state),
            Place::Url(url) => self.download(url.expose(), state).await,
            Place::Api(api) => self.download_items(api, None).await.map(Some),
        };
        let taken = match (fetched?, &held) {
            (None, Some(same)) => same.clone(),
            (None, None) => return Err(self.broken("the server says that it did not change".to_owned())),
            (Some(Fetched { file, state, is_whole }), _) => {
                let mut copy = self.copied(file, is_whole, true).await?;
                // An item that went from one page to another while they were read is on none, or on both.
                if let Some(api) = self.settings.place.api()
                    && api.may_shift()
                    && held.as_ref().is_none_or(|held| held.copy.has_more_than(&copy))
                {
                    let again = self.download_items(api, None).await?;
                    let first =
                        std::mem::replace(&mut copy, self.copied(again.file, again.is_whole, true).await?);
                    copy.adopt_missing(&first)
                        .map_err(|error| self.unreachable(format!("it cannot be kept: {error}")))?;
                }
                Arc::new(LatestCopy { copy, state, taken: Instant::now(), is_sequel })
            }
        };
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = Some(taken.clone());
        Ok(taken)
    }

    /// Reads a feed on a blocking thread. One that is not `complete` may lack columns.
    pub(super) async fn copied(
        &self,
        file: File,
        is_whole: bool,
        complete: bool,
    ) -> CatalogueResult<FeedCopy> {
        let (settings, columns, seed) = (self.settings.clone(), self.templates.columns(), self.seed);
        let copying = tokio::task::spawn_blocking(move || {
            let copied = copy(&settings, &columns, seed, file, is_whole)?;
            if complete {
                copied.check_columns(&settings, &columns)?;
            }
            Ok(copied)
        });
        copying.await.map_err(|error| self.broken(error.to_string()))?
    }
}
