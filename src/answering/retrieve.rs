//! Finds passages for a question.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures::future::join_all;
use tracing::{Instrument, info_span};

use crate::{
    answering::{Passage, cost::AnswerCost, rank::Ranker, sku::find_skus},
    catalogue::Catalogue,
    indexing::versions::{Version, Versions},
    job::JobError,
    model::{InputRole, estimate_tokens},
    store::{Store, search::SearchFilter, versions::IndexVersion},
};

/// How long an answer waits for the shop's current metadata before it takes the stored copy.
const LIVE_METADATA_TIMEOUT: Duration = Duration::from_millis(200);

/// Finds passages for a question.
#[expect(missing_docs, reason = "the names say it")]
pub struct Retriever {
    pub store: Store,
    pub versions: Arc<Versions>,
    /// The sources whose metadata is read live, by name.
    pub live: BTreeMap<String, Arc<dyn Catalogue>>,
    /// The default number of passages.
    pub top_k: u32,
    /// Whether documents that the question names by SKU come first.
    pub names: bool,
    /// Orders what [`Retriever::look_up`] finds.
    pub ranker: Option<Ranker>,
}

impl Retriever {
    /// Searches the active index version, without an answer.
    pub async fn look_up(
        &self,
        text: &str,
        within: SearchFilter<'_>,
        top_k: u32,
    ) -> Result<Vec<Passage>, JobError> {
        let (version, cost) = (self.versions.active().await?, AnswerCost::default());
        let candidates = self.ranker.as_ref().map_or(top_k, |ranker| ranker.candidates.max(top_k));
        let found = self.retrieve(&version, text, within, candidates, &cost).await;
        let found = match (&self.ranker, found) {
            (Some(ranker), Ok(found)) => {
                let mut passages = ranker.rank(text, found, &cost).await;
                passages.truncate(top_k as usize);
                Ok(passages)
            }
            (_, found) => found,
        };
        cost.account(&self.store).await;
        found
    }

    /// Finds the passages of an index version that are nearest to a question, the nearest first; those of documents that
    /// it names by SKU come before them.
    pub async fn retrieve(
        &self,
        version: &Version,
        question: &str,
        within: SearchFilter<'_>,
        top_k: u32,
        cost: &AnswerCost,
    ) -> Result<Vec<Passage>, JobError> {
        let Version { index, model } = version;
        let (inputs, tokens) = ([question.to_owned()], estimate_tokens(question));
        let (embedder, role) = (&*model.embedder, InputRole::Question);
        let reply = model.budget.embed(embedder, role, &inputs, tokens, cost.jobs()).await?;
        cost.add_embedding(reply.tokens, tokens, model.price);
        // The adapter ensures as many vectors as inputs, and that one of them is usable.
        let vector = reply.vectors.first().and_then(|vector| vector.as_deref().ok()).unwrap_or_default();
        let passages = self.search(index, vector, question, within, top_k);
        let mut passages = passages.instrument(info_span!("search")).await?;
        self.read_live(&mut passages).instrument(info_span!("live_metadata")).await;
        Ok(passages)
    }

    async fn search(
        &self,
        index: &IndexVersion,
        vector: &[f32],
        question: &str,
        within: SearchFilter<'_>,
        top_k: u32,
    ) -> Result<Vec<Passage>, JobError> {
        let skus = if self.names { find_skus(question) } else { Vec::new() };
        let mut passages = match &*skus {
            [] => Vec::new(),
            skus => self.store.named(index, vector, skus, within).await?,
        };
        let place =
            |passage: &Passage| (passage.source.clone(), passage.key.clone(), passage.content.clone());
        let named: BTreeSet<_> = passages.iter().map(place).collect();
        let nearest = self.store.nearest(index, vector, top_k, within).await?;
        passages.extend(nearest.into_iter().filter(|near| !named.contains(&place(near))));
        passages.truncate(top_k as usize);
        Ok(passages)
    }

    /// Replaces the metadata of passages by the shop's current values, as far as these can be read in time.
    async fn read_live(&self, passages: &mut [Passage]) {
        let mut keys: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        for passage in &*passages {
            if let Some((source, _)) = self.live.get_key_value(&passage.source) {
                keys.entry(source).or_default().insert(passage.key.clone());
            }
        }
        let reads = join_all(keys.into_iter().map(async |(source, keys)| {
            let keys: Vec<_> = keys.into_iter().collect();
            let read = tokio::time::timeout(LIVE_METADATA_TIMEOUT, self.live[source].read(&keys)).await;
            let Ok(Ok(documents)) = read else {
                tracing::debug!(
                    source,
                    "present metadata could not be read in time; the stored copy is used"
                );
                return BTreeMap::new();
            };
            let now = documents.into_iter().flatten();
            now.map(|document| ((source, document.key), document.metadata)).collect()
        }));
        let now: BTreeMap<_, _> = reads.await.into_iter().flatten().collect();
        for passage in passages {
            if let Some(metadata) = now.get(&(passage.source.as_str(), passage.key.clone())) {
                passage.metadata.clone_from(metadata);
            }
        }
    }
}
