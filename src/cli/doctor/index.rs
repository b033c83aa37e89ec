//! The HNSW index: whether it exists, and whether searches use it.

use super::Checks;
use crate::store::{Store, versions::IndexState};

/// With fewer chunks, reading them all is faster than the index.
const MANY_CHUNKS: i64 = 10_000;

pub(super) async fn check_index(store: &Store, checks: &mut Checks) {
    let health = store.index_health().await;
    let Some(health) = checks.require("index", health, "run `shopkeeper migrate`") else { return };
    let Some(health) = health else {
        return checks.add("index", false, "there is none", "run `shopkeeper sync --wait`");
    };
    let version = health.version;
    if health.is_valid == Some(true) {
        checks.pass("index", format!("version {version} has its HNSW index"));
        check_search(store, checks).await;
    } else if health.is_filling {
        checks.pass("index", format!("version {version} gets its HNSW index when it is filled"));
    } else {
        checks.add(
            "index",
            false,
            format!("version {version} has no usable HNSW index: searches read every chunk"),
            "start a daemon: it builds the index when the sources are indexed",
        );
    }
}

async fn check_search(store: &Store, checks: &mut Checks) {
    let Some(indexes) = checks.require("search", store.index_status().await, "") else { return };
    let active = indexes.into_iter().find(|index| index.version.state == IndexState::Active);
    let Some(active) = active.filter(|active| active.chunks >= MANY_CHUNKS) else { return };
    let (version, chunks) = (active.version.id, active.chunks);
    match checks.require("search", store.is_searched_by_index(&active.version).await, "") {
        Some(true) => checks.pass("search", format!("goes through the HNSW index of version {version}")),
        Some(false) => checks.add(
            "search",
            false,
            format!("reads all {chunks} chunks of version {version} though it has its HNSW index"),
            &format!(
                "run `analyze shopkeeper.chunk_{version}` in the database; if that does not help, look at its \
                 random_page_cost and seq_page_cost"
            ),
        ),
        None => {}
    }
}
