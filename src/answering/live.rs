//! Metadata of passages as the shop has it now.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures::future::join_all;

use crate::{answering::Passage, catalogue::Catalogue};

/// How long an answer waits for the shop's current metadata before it takes the stored copy.
const LIVE_METADATA_TIMEOUT: Duration = Duration::from_millis(200);

/// Replaces the metadata of passages by the shop's current values, as far as these can be read in time. `live` are the
/// sources that are read, by name.
pub(super) async fn read_live(live: &BTreeMap<String, Arc<dyn Catalogue>>, passages: &mut [Passage]) {
    let mut keys: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for passage in &*passages {
        if let Some((source, _)) = live.get_key_value(&passage.source) {
            keys.entry(source).or_default().insert(passage.key.clone());
        }
    }
    let reads = join_all(keys.into_iter().map(async |(source, keys)| {
        let keys: Vec<_> = keys.into_iter().collect();
        let read = tokio::time::timeout(LIVE_METADATA_TIMEOUT, live[source].read(&keys)).await;
        let Ok(Ok(documents)) = read else {
            tracing::debug!(source, "present metadata could not be read in time; the stored copy is used");
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
