//! The embedding models of the settings, and the index versions that hold their vectors.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::{
    indexing::{batching::BatchLimits, chunking::Chunking},
    job::{JobError, OUTAGE},
    model::{Embedder, EmbeddingModel, rate_limit::Budget},
    store::{
        Store,
        versions::{IndexState, IndexVersion},
    },
};

/// How long a daemon goes on with the versions that it has seen, and longer only while they cannot be read.
pub const LOOK: Duration = Duration::from_secs(1);
/// How long that look may take.
pub const PATIENCE: Duration = Duration::from_secs(3);

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
    seen: Mutex<Option<VersionSnapshot>>,
    /// Held by the one who looks.
    looking: tokio::sync::Mutex<()>,
}

/// The versions when they were last read, and when they were last to be read.
#[derive(Clone)]
struct VersionSnapshot {
    looked: Instant,
    written: WriteTargets,
}

/// The versions to write.
#[derive(Clone)]
pub struct WriteTargets {
    /// Those whose model the settings have, the active one first.
    pub versions: Arc<[Version]>,
    /// The newest of all versions: of a newer one it is not known yet whether it is to be written.
    pub newest: i32,
}

impl Versions {
    /// Of these models, the first being the one for a new index.
    pub fn new(store: Store, models: Vec<Arc<Model>>) -> Self {
        Self { store, models, seen: Mutex::default(), looking: tokio::sync::Mutex::default() }
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

    /// The versions to write: the active one first. When they cannot be read for some seconds, because a connection
    /// hangs, what was seen before is gone on with.
    pub async fn written(&self) -> Result<WriteTargets, JobError> {
        if let Some(written) = self.seen().as_ref().and_then(VersionSnapshot::fresh) {
            return Ok(written);
        }
        // One looks, and the others wait for it: its look ends sooner.
        let _looking = promptly(2 * PATIENCE, self.looking.lock()).await?;
        let seen = self.seen();
        if let Some(written) = seen.as_ref().and_then(VersionSnapshot::fresh) {
            return Ok(written);
        }
        let all = promptly(PATIENCE, self.store.index_versions()).await.and_then(|all| Ok(all?));
        let written = match (all, seen) {
            (Ok(all), _) => self.known(all).inspect_err(|_| self.see(None))?,
            (Err(JobError::Snooze { reason, .. }), Some(seen)) => {
                tracing::debug!(
                    reason,
                    "the index versions cannot be read; going on with those that were seen"
                );
                seen.written
            }
            (Err(error), _) => return Err(error),
        };
        self.see(Some(VersionSnapshot { looked: Instant::now(), written: written.clone() }));
        Ok(written)
    }

    /// Nothing, when what was seen must not be gone on with.
    fn see(&self, seen: Option<VersionSnapshot>) {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = seen;
    }

    fn seen(&self) -> Option<VersionSnapshot> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Those whose model the settings have; the active one must be among them.
    fn known(&self, all: Vec<IndexVersion>) -> Result<WriteTargets, JobError> {
        if let Some(unknown) =
            all.iter().find(|index| index.state == IndexState::Active && self.model(index).is_none())
        {
            let reason = format!(
                "the active index version {} holds vectors of {} with {} dimensions, and the settings name no such model",
                unknown.id, unknown.model, unknown.dimensions
            );
            return Err(JobError::Snooze { after: OUTAGE, reason });
        }
        let newest = all.iter().map(|index| index.id).max().unwrap_or_default();
        let known = all.into_iter().filter_map(|index| {
            let model = self.model(&index)?.clone();
            Some(Version { index, model })
        });
        Ok(WriteTargets { versions: known.collect(), newest })
    }

    /// The version to search.
    pub async fn active(&self) -> Result<Version, JobError> {
        let written = self.written().await?;
        let active =
            written.versions.iter().find(|version| version.index.state == IndexState::Active).cloned();
        let reason = "there is no index yet: a daemon makes it at its start, and so does `shopkeeper sync`";
        active.ok_or_else(|| JobError::Retry(reason.to_owned()))
    }

    /// The version to plan for: the active one, or the one that will be made where there is none of the settings' models.
    pub async fn planned(&self) -> Result<Version, JobError> {
        let active =
            self.store.index_versions().await?.into_iter().find(|index| index.state == IndexState::Active);
        if let Some(index) = active
            && let Some(model) = self.model(&index)
        {
            return Ok(Version { model: model.clone(), index });
        }
        let model = self.models.first().cloned();
        let model = model.ok_or_else(|| JobError::Dead("the settings name no embedding model".to_owned()))?;
        let EmbeddingModel { name, dimensions } = model.model.clone();
        let dimensions = i32::try_from(dimensions).unwrap_or(i32::MAX);
        let index = IndexVersion { id: 0, model: name, dimensions, state: IndexState::Active };
        Ok(Version { index, model })
    }
}

impl VersionSnapshot {
    fn fresh(&self) -> Option<WriteTargets> {
        (self.looked.elapsed() < LOOK).then(|| self.written.clone())
    }
}

/// What comes in time; a job waits for what does not.
async fn promptly<T>(limit: Duration, work: impl Future<Output = T>) -> Result<T, JobError> {
    tokio::time::timeout(limit, work).await.map_err(|_| {
        let waited = humantime::format_duration(limit);
        let reason = format!("the database did not say within {waited} which index versions there are");
        JobError::Snooze { after: OUTAGE, reason }
    })
}
