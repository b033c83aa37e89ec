//! The embedding models of the settings, and the index versions that hold their vectors.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::Mutex;

use crate::{
    indexing::{batching::BatchLimits, chunking::Chunking},
    job::{JobError, OUTAGE},
    model::{Embedder, EmbeddingModel, rate_limit::Budget},
    store::{
        Store, StoreError,
        versions::{IndexState, IndexVersion},
    },
};

/// How long versions are cached; longer only while they cannot be read.
pub const MAX_AGE: Duration = Duration::from_secs(1);
/// Time limit for reading them.
pub const READ_TIMEOUT: Duration = Duration::from_secs(3);

/// An embedding model and how it is used.
#[expect(missing_docs, reason = "the names say it")]
pub struct Model {
    pub model: EmbeddingModel,
    pub embedder: Arc<dyn Embedder>,
    /// The budget of questions.
    pub budget: Budget,
    /// The budget of documents.
    pub backfill: Budget,
    pub chunking: Arc<Chunking>,
    /// The limits of one request.
    pub limits: BatchLimits,
    /// Dollars per million tokens.
    pub price: f64,
}

impl Model {
    fn is_of(&self, name: &str, dimensions: i32) -> bool {
        self.model.name == name && i64::from(self.model.dimensions) == i64::from(dimensions)
    }

    /// The inputs of one request: what the settings say, or what the server taught.
    pub fn most_inputs(&self) -> usize {
        let learned = self.embedder.learned().lessons().max_inputs;
        learned.map_or(self.limits.items, |most| most.clamp(1, self.limits.items))
    }
}

/// An index version and the model of its vectors.
#[derive(Clone)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Version {
    pub index: IndexVersion,
    pub model: Arc<Model>,
}

/// The index versions that this process can write and search.
pub struct Versions {
    store: Store,
    models: Vec<Arc<Model>>,
    /// Locked while the versions are read.
    snapshot: Mutex<Option<VersionSnapshot>>,
}

/// The versions, and the time of the last attempt to read them.
struct VersionSnapshot {
    read_at: Instant,
    targets: WriteTargets,
}

/// The versions to write.
#[derive(Clone)]
pub struct WriteTargets {
    /// The versions whose model the settings have, the active one first.
    pub versions: Arc<[Version]>,
    /// The newest of all versions. Whether a newer one must be written is not known yet.
    pub newest: i32,
}

impl Versions {
    /// Uses these models; a new index gets the first one.
    pub fn new(store: Store, models: Vec<Arc<Model>>) -> Self {
        Self { store, models, snapshot: Mutex::default() }
    }

    /// The models of the settings.
    pub fn models(&self) -> &[Arc<Model>] {
        &self.models
    }

    /// The model of a version, if the settings have it.
    pub fn model(&self, index: &IndexVersion) -> Option<&Arc<Model>> {
        self.models.iter().find(|known| known.is_of(&index.model, index.dimensions))
    }

    /// Records what the settings give each version's model with documents.
    pub async fn keep_forms(&self) -> Result<(), StoreError> {
        for known in self.store.document_forms().await? {
            let model = self.models.iter().find(|model| model.is_of(&known.model, known.dimensions));
            if let Some(form) = model.map(|model| &model.chunking.form).filter(|form| **form != known.form.0)
            {
                self.store.set_document_form(known.version, form).await?;
            }
        }
        Ok(())
    }

    /// The versions to write, the active one first. If they cannot be read, because a connection hangs, the last ones read
    /// are used for some seconds more.
    pub async fn written(&self) -> Result<WriteTargets, JobError> {
        // One caller reads, with a shorter time limit, and the others wait for it.
        let mut snapshot = promptly(2 * READ_TIMEOUT, self.snapshot.lock()).await?;
        if let Some(VersionSnapshot { read_at, targets }) = &*snapshot
            && read_at.elapsed() < MAX_AGE
        {
            return Ok(targets.clone());
        }
        let all = promptly(READ_TIMEOUT, self.store.index_versions()).await.and_then(|all| Ok(all?));
        let targets = match (all, &*snapshot) {
            (Ok(all), _) => self.known(all).inspect_err(|_| *snapshot = None)?,
            (Err(JobError::Snooze { reason, .. }), Some(last)) => {
                tracing::debug!(
                    reason,
                    "the index versions cannot be read; continuing with those of the last time"
                );
                last.targets.clone()
            }
            (Err(error), _) => return Err(error),
        };
        *snapshot = Some(VersionSnapshot { read_at: Instant::now(), targets: targets.clone() });
        Ok(targets)
    }

    /// The versions whose model the settings have; the active one must be among them.
    fn known(&self, all: Vec<IndexVersion>) -> Result<WriteTargets, JobError> {
        if let Some(unknown) =
            all.iter().find(|index| index.state == IndexState::Active && self.model(index).is_none())
        {
            let reason = format!(
                "the active index version {} holds vectors of {} with {} dimensions, but no model in the settings matches",
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

    /// The version to plan for: the active one, or, if the settings lack its model, the one that would be created.
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

/// Applies a time limit; a timeout becomes a snooze.
async fn promptly<T>(limit: Duration, work: impl Future<Output = T>) -> Result<T, JobError> {
    tokio::time::timeout(limit, work).await.map_err(|_| {
        let waited = humantime::format_duration(limit);
        let reason = format!("the index versions could not be read within {waited}");
        JobError::Snooze { after: OUTAGE, reason }
    })
}
