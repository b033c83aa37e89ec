//! Finds passages for a question.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures::future::join_all;
use tracing::{Instrument, info_span};

use crate::{
    answering::{
        Passage,
        codes::codes,
        cost::{AnswerCost, estimate_tokens},
    },
    catalogue::Catalogue,
    indexing::versions::{Version, Versions},
    job::JobError,
    store::{Store, chunks::SearchFilter, versions::IndexVersion},
};

/// How long an answer waits for the shop's present prices, as `live_metadata` says; then it takes the stored ones.
const LIVE_METADATA: Duration = Duration::from_millis(200);

/// Finds passages for a question.
pub struct Retriever {
    /// The index.
    pub store: Store,
    /// What is searched, and what makes the question's vector.
    pub versions: Arc<Versions>,
    /// The sources whose metadata is read as it is now, by name.
    pub live: BTreeMap<String, Arc<dyn Catalogue>>,
    /// Passages that are found unless another number is asked for.
    pub top_k: u32,
    /// Whether what a question names by its SKU goes first.
    pub names: bool,
}

impl Retriever {
    /// Finds passages of the version that is searched, for those who want no answer.
    pub async fn look_up(
        &self,
        text: &str,
        within: SearchFilter<'_>,
        top_k: u32,
    ) -> Result<Vec<Passage>, JobError> {
        let (version, spent) = (self.versions.active().await?, AnswerCost::default());
        let found = self.retrieve(&version, text, within, top_k, &spent).await;
        spent.account(&self.store).await;
        found
    }

    /// Finds the passages of an index version that are nearest to a question, the nearest first; what it names by its
    /// SKU goes before them.
    pub async fn retrieve(
        &self,
        version: &Version,
        question: &str,
        within: SearchFilter<'_>,
        top_k: u32,
        spent: &AnswerCost,
    ) -> Result<Vec<Passage>, JobError> {
        let Version { index, model } = version;
        let (inputs, tokens) = ([question.to_owned()], estimate_tokens(question));
        let embedded = model.budget.embed(&*model.embedder, &inputs, tokens, spent.jobs()).await?;
        spent.embedded(embedded.tokens, model.price);
        // As many vectors as inputs: its adapter counts them.
        let vector = embedded.vectors.first().map_or(&[][..], Vec::as_slice);
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
        let codes = if self.names { codes(question) } else { Vec::new() };
        let mut passages = match &*codes {
            [] => Vec::new(),
            codes => self.store.named(index, vector, codes, within).await?,
        };
        let place =
            |passage: &Passage| (passage.source.clone(), passage.key.clone(), passage.content.clone());
        let named: BTreeSet<_> = passages.iter().map(place).collect();
        let nearest = self.store.nearest(index, vector, top_k, within).await?;
        passages.extend(nearest.into_iter().filter(|near| !named.contains(&place(near))));
        passages.truncate(top_k as usize);
        Ok(passages)
    }

    /// Replaces the metadata of passages by what the shop says now; what cannot be read in time stays.
    async fn read_live(&self, passages: &mut [Passage]) {
        let mut keys: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        for passage in &*passages {
            if let Some((source, _)) = self.live.get_key_value(&passage.source) {
                keys.entry(source).or_default().insert(passage.key.clone());
            }
        }
        let reads = join_all(keys.into_iter().map(async |(source, keys)| {
            let keys: Vec<_> = keys.into_iter().collect();
            let read = tokio::time::timeout(LIVE_METADATA, self.live[source].read(&keys)).await;
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
