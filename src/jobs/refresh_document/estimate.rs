//! What a refresh of documents would embed, without doing it.

use std::collections::BTreeSet;

use super::{
    super::{JobError, plan_catalogue::Plan, versions::Version},
    RefreshDocument,
};
use crate::{catalogue::DocumentId, index::InputHash, store::usage::Cost};

impl RefreshDocument {
    /// Adds to a plan what these documents need in a version. `seen` are the inputs that are planned
    /// already.
    pub(in crate::jobs) async fn estimate(
        &self,
        version: &Version,
        source: &str,
        keys: &[String],
        seen: &mut BTreeSet<InputHash>,
        plan: &mut Plan,
    ) -> Result<(), JobError> {
        let model = &version.model;
        let ids: Vec<_> =
            keys.iter().map(|key| DocumentId { source: source.to_owned(), key: key.clone() }).collect();
        let known = self.store.indexed(version.index.id, ids.iter()).await?;
        let mut wanted = Vec::new();
        for (key, row) in self.read(source, keys.to_vec()).await {
            let Ok(document) = row? else {
                plan.faulty += 1;
                continue;
            };
            let known = known.get(&DocumentId { source: source.to_owned(), key });
            let fingerprint = model.chunking.fingerprint(&document, &model.model.name);
            if known.is_some_and(|known| known.fingerprint == Some(fingerprint)) {
                continue;
            }
            for chunk in model.chunking.chunks(&document) {
                let hash = chunk.hash();
                plan.chunks += 1;
                if known.is_some_and(|known| known.chunks.contains(&hash)) || !seen.insert(hash) {
                    plan.cached_chunks += 1;
                } else {
                    wanted.push((hash, u64::from(chunk.tokens)));
                }
            }
        }
        let hashes: Vec<_> = wanted.iter().map(|(hash, _)| *hash).collect();
        let found = self.store.vectors(&version.index, &hashes).await?;
        let embedded: Vec<_> = wanted.iter().filter(|(hash, _)| !found.contains_key(hash)).collect();
        plan.cached_chunks += (wanted.len() - embedded.len()) as u64;
        plan.tokens += embedded.iter().map(|(_, tokens)| tokens).sum::<u64>();
        plan.cost_usd = Cost::of("embedding", &[(plan.tokens, model.price)]).usd;
        Ok(())
    }
}
