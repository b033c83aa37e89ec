//! Finds changes of an API's items sooner than a listing does, where the API can be asked for them.

use chrono::{DateTime, TimeDelta, Utc};
use futures::{FutureExt, StreamExt, future::BoxFuture, stream::BoxStream};

use crate::{
    catalogue::{CatalogueResult, ChangeHints, ListedRow, Mark, MarkAt},
    clock,
    source::{
        api::TimeFormat,
        feed::{FeedSource, copy::hash_of},
    },
};

/// Clocks may differ, and a change may be visible late.
const OVERLAP: TimeDelta = TimeDelta::minutes(10);

impl FeedSource {
    /// The items that changed since a time.
    async fn changed_since(&self, since: Mark) -> CatalogueResult<Vec<ListedRow>> {
        let (Some(api), MarkAt::Time(since)) = (self.settings.place.api(), since.at) else {
            return Ok(Vec::new());
        };
        let fetched = self.download_items(api, Some(&since)).await?;
        // No items are no fault here.
        let is_empty = fetched.file.metadata().map_or(0, |file| file.len()) == 0;
        if is_empty {
            return Ok(Vec::new());
        }
        let copy = self.copied(fetched.file, fetched.is_whole, false).await?;
        let listed =
            copy.documents().map(|rows| ListedRow { key: rows[0].key.to_string(), row_hash: hash_of(rows) });
        Ok(listed.collect())
    }
}

/// The time in the API's own form.
fn written(time: DateTime<Utc>, format: TimeFormat) -> String {
    match format {
        TimeFormat::Rfc3339 => time.format("%Y-%m-%dT%H:%M:%SZ").to_string(),
        TimeFormat::Unix => time.timestamp().to_string(),
    }
}

impl ChangeHints for FeedSource {
    fn find<'a>(&'a self, keys: &'a [String]) -> BoxFuture<'a, CatalogueResult<Vec<ListedRow>>> {
        let find = async move {
            let held = self.held().await?;
            let found = keys.iter().map(|key| held.copy.find(key)).filter(|rows| !rows.is_empty());
            Ok(found
                .map(|rows| ListedRow { key: rows[0].key.to_string(), row_hash: hash_of(rows) })
                .collect())
        };
        find.boxed()
    }

    fn mark(&self) -> BoxFuture<'_, CatalogueResult<Option<Mark>>> {
        let api = self.settings.place.api();
        let mark = api.and_then(|api| Some((api, api.updated_since.as_ref()?))).map(|(api, by)| Mark {
            server: format!("{} {}", api.url, <&str>::from(by.format)),
            at: MarkAt::Time(written(clock::now() - OVERLAP, by.format)),
        });
        std::future::ready(Ok(mark)).boxed()
    }

    fn changed(&self, since: &Mark) -> BoxStream<'_, CatalogueResult<ListedRow>> {
        let since = since.clone();
        let changed = async_stream::try_stream! {
            for listed in self.changed_since(since).await? {
                yield listed;
            }
        };
        changed.boxed()
    }
}
