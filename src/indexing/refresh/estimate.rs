//! Estimates what a refresh of documents would embed.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::{
    catalogue::DocumentId,
    indexing::{chunk::InputHash, refresh::RefreshDocument, versions::Version},
    job::JobError,
    store::usage::{Cost, Operation},
};

/// What a refresh would embed.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Estimate {
    /// Chunks of the changed texts.
    pub chunks: u64,
    /// Of these, chunks whose vectors exist already.
    pub cached_chunks: u64,
    /// Tokens of the other chunks.
    pub tokens: u64,
    /// Their cost in dollars.
    pub cost_usd: f64,
    /// Rows that cannot be rendered.
    pub faulty: u64,
}

impl RefreshDocument {
    /// Adds what these documents need in a version. `seen` holds the inputs that were counted already.
    pub(crate) async fn estimate(
        &self,
        version: &Version,
        source: &str,
        keys: &[String],
        seen: &mut BTreeSet<InputHash>,
        sum: &mut Estimate,
    ) -> Result<(), JobError> {
        let model = &version.model;
        let ids: Vec<_> =
            keys.iter().map(|key| DocumentId { source: source.to_owned(), key: key.clone() }).collect();
        let known = self.store.indexed(version.index.id, ids.iter()).await?;
        let mut wanted = Vec::new();
        for (key, row) in self.read(source, keys.to_vec()).await {
            let Ok(document) = row? else {
                sum.faulty += 1;
                continue;
            };
            let known = known.get(&DocumentId { source: source.to_owned(), key });
            let fingerprint = model.chunking.fingerprint(&document, &model.model.name);
            if known.is_some_and(|known| known.fingerprint == Some(fingerprint)) {
                continue;
            }
            for chunk in model.chunking.chunks(&document) {
                let hash = chunk.hash(&model.chunking.form);
                sum.chunks += 1;
                if known.is_some_and(|known| known.chunks.contains(&hash)) || !seen.insert(hash) {
                    sum.cached_chunks += 1;
                } else {
                    wanted.push((hash, u64::from(chunk.tokens)));
                }
            }
        }
        let hashes: Vec<_> = wanted.iter().map(|(hash, _)| *hash).collect();
        let found = self.store.vectors(&version.index, &hashes).await?;
        let embedded: Vec<_> = wanted.iter().filter(|(hash, _)| !found.contains_key(hash)).collect();
        sum.cached_chunks += (wanted.len() - embedded.len()) as u64;
        sum.tokens += embedded.iter().map(|(_, tokens)| tokens).sum::<u64>();
        sum.cost_usd = Cost::new(Operation::Embedding, &[(sum.tokens, model.price)]).usd;
        Ok(())
    }
}
