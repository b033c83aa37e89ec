//! Answers whose products changed after they were given.
//!
//! An answer remembers the documents that it cites, for `answers.watch_for`. Each minute they are compared with what is
//! known now: their texts with the index, and their metadata with the shop itself where it is read live, else with the
//! stored copy. The first difference marks the answer.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use crate::{
    answering::{Passage, family::without_others, grounding::Citation, object::Watched},
    catalogue::Catalogue,
    store::{Result, Store, answers::Present},
};

/// How often the documents of a source are compared, by one daemon or another.
const INTERVAL: Duration = Duration::from_mins(1);
/// Documents that are read in one request to the shop.
const BATCH: u32 = 500;
/// Answers that are marked in one transaction.
const MOST: u32 = 1000;

/// The documents that an answer cites, as it knew them.
pub(super) fn watched(
    passages: &[Passage],
    citations: &[Citation],
    version: i32,
    watch_for: Duration,
) -> Vec<Watched> {
    let mut watched: BTreeMap<(&str, &str), Watched> = BTreeMap::new();
    for (_, passage) in
        (1..).zip(passages).filter(|(n, _)| citations.iter().any(|citation| citation.source == *n))
    {
        let of = watched.entry((&passage.source, &passage.key)).or_insert_with(|| Watched {
            source: passage.source.clone(),
            key: passage.key.clone(),
            metadata: without_others(&passage.metadata),
            contents: Vec::new(),
            version,
            seconds: watch_for.as_secs_f64(),
        });
        of.contents.push(passage.content.clone());
    }
    watched.into_values().collect()
}

/// Compares recent answers with the catalogue.
#[expect(missing_docs, reason = "the names say it")]
pub struct OutdatedAnswers {
    pub store: Store,
    /// All sources of the settings, by name.
    pub sources: Vec<String>,
    /// Those whose metadata is read live.
    pub live: BTreeMap<String, Arc<dyn Catalogue>>,
}

impl OutdatedAnswers {
    /// Compares until stopped.
    pub async fn keep_marking(&self, stop: &CancellationToken) {
        while stop.run_until_cancelled(tokio::time::sleep(INTERVAL)).await.is_some() {
            for source in &self.sources {
                let marked = async {
                    if self.store.take_comparison(source, INTERVAL.mul_f64(0.9)).await? {
                        self.mark(source).await
                    } else {
                        Ok(0)
                    }
                };
                match stop.run_until_cancelled(marked).await {
                    Some(Ok(answers @ 1..)) => {
                        tracing::info!(
                            source,
                            answers,
                            "{answers} answers are outdated: what they cite of `{source}` changed"
                        );
                    }
                    Some(Err(error)) => {
                        tracing::debug!(source, %error, "answers could not be compared: {error}");
                    }
                    Some(Ok(0)) | None => {}
                }
            }
            if let Err(error) = self.store.prune_watches().await {
                tracing::debug!(%error, "watches that are over could not be deleted: {error}");
            }
        }
    }

    /// Marks the answers that cite documents of a source which have changed; returns their number.
    pub async fn mark(&self, source: &str) -> Result<u64> {
        let Some(catalogue) = self.live.get(source) else { return self.mark_these(source, None).await };
        let (mut marked, mut after) = (0, String::new());
        loop {
            let keys = self.store.watched_keys(source, &after, BATCH).await?;
            let Some(last) = keys.last().cloned() else { return Ok(marked) };
            match catalogue.read(&keys).await {
                Ok(documents) => {
                    let mut present: Present = keys.into_iter().map(|key| (key, None)).collect();
                    let found = documents.into_iter().flatten();
                    present.extend(found.map(|document| (document.key, Some(document.metadata))));
                    marked += self.mark_these(source, Some(present)).await?;
                }
                Err(error) => {
                    tracing::debug!(source, %error, "present metadata could not be read: {error}");
                    return Ok(marked);
                }
            }
            after = last;
        }
    }

    async fn mark_these(&self, source: &str, present: Option<Present>) -> Result<u64> {
        let mut marked = 0;
        loop {
            let more = self.store.mark_outdated(source, present.as_ref(), MOST).await?;
            marked += more;
            if more < u64::from(MOST) {
                return Ok(marked);
            }
        }
    }
}
