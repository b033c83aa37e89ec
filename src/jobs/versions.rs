//! The embedding models of the settings, and the index versions that hold their vectors.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::Mutex;

use super::{JobError, budget::Budget};
use crate::{
    index::{batching::BatchLimits, chunking::Chunking},
    model::{Embedder, EmbeddingModel},
    store::{Store, documents::IndexVersion},
};

/// How long a daemon goes on with the versions that it has seen.
pub const LOOK: Duration = Duration::from_secs(1);

/// An embedding model and how it is used.
pub struct Model {
    /// Its name and dimensions.
    pub model: EmbeddingModel,
    /// Makes the vectors.
    pub embedder: Arc<dyn Embedder>,
    /// What questions may ask of it.
    pub budget: Budget,
    /// What documents may ask of it.
    pub backfill: Budget,
    /// Cuts the texts.
    pub chunking: Arc<Chunking>,
    /// What one request may hold.
    pub limits: BatchLimits,
    /// Dollars for a million tokens.
    pub price: f64,
}

/// An index version and the model of its vectors.
#[derive(Clone)]
pub struct Version {
    /// The version.
    pub index: IndexVersion,
    /// Its model.
    pub model: Arc<Model>,
}

/// The index versions that this process can write and search.
pub struct Versions {
    store: Store,
    models: Vec<Arc<Model>>,
    seen: Mutex<Option<(Instant, Arc<[Version]>)>>,
}

impl Versions {
    /// Of these models, the first being the one for a new index.
    pub fn new(store: Store, models: Vec<Arc<Model>>) -> Self {
        Self { store, models, seen: Mutex::new(None) }
    }

    /// The models of the settings.
    pub fn models(&self) -> &[Arc<Model>] {
        &self.models
    }

    /// The model of a version, when the settings have it.
    pub fn model(&self, index: &IndexVersion) -> Option<&Arc<Model>> {
        self.models.iter().find(|known| {
            known.model.name == index.model
                && i64::from(known.model.dimensions) == i64::from(index.dimensions)
        })
    }

    /// The versions to write: the active one first.
    pub async fn written(&self) -> Result<Arc<[Version]>, JobError> {
        let mut seen = self.seen.lock().await;
        if let Some((when, versions)) = &*seen
            && when.elapsed() < LOOK
        {
            return Ok(versions.clone());
        }
        let all = self.store.index_versions().await?;
        if let Some(unknown) = all.iter().find(|index| index.state == "active" && self.model(index).is_none())
        {
            let reason = format!(
                "the active index version {} holds vectors of {} with {} dimensions, and the settings name no such model",
                unknown.id, unknown.model, unknown.dimensions
            );
            return Err(JobError::Snooze { after: super::OUTAGE, reason });
        }
        let known = all.into_iter().filter_map(|index| {
            let model = self.model(&index)?.clone();
            Some(Version { index, model })
        });
        let versions: Arc<[Version]> = known.collect();
        *seen = Some((Instant::now(), versions.clone()));
        Ok(versions)
    }

    /// The version to search.
    pub async fn active(&self) -> Result<Version, JobError> {
        let written = self.written().await?;
        let active = written.iter().find(|version| version.index.state == "active").cloned();
        active.ok_or_else(|| JobError::Retry("there is no active index version".to_owned()))
    }
}
