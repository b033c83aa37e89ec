//! The embedding models of the settings, and the index versions that hold their vectors.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::Mutex;

use crate::{
    answering::handover::Fit,
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
/// How long a version must have been retired before it is dropped: longer than daemons use a cached list of versions, since
/// writes to a dropped version fail.
pub const DROP_DELAY: Duration = MAX_AGE.saturating_add(READ_TIMEOUT).saturating_add(Duration::from_secs(1));

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
    /// Whether questions in one language find documents in another.
    pub is_multilingual: bool,
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

impl Version {
    /// The version of a model among the known ones; without one, what would be created.
    pub fn planned(model: &Arc<Model>, known: &[IndexVersion]) -> Self {
        let EmbeddingModel { name, dimensions } = &model.model;
        let found = known.iter().find(|index| model.is_of(&index.model, index.dimensions)).cloned();
        let index = found.unwrap_or_else(|| IndexVersion {
            id: 0,
            model: name.clone(),
            dimensions: i32::try_from(*dimensions).unwrap_or(i32::MAX),
            state: IndexState::Building,
        });
        Self { index, model: model.clone() }
    }

    /// Whether it has been created.
    pub fn exists(&self) -> bool {
        self.index.id != 0
    }
}

/// The embedding models of the settings.
pub struct Models {
    /// The model of a new index.
    pub first: Arc<Model>,
    /// The model whose vectors are searched beside those of the active version.
    pub second: Option<Arc<Model>>,
    /// The model of the version that is to become active.
    pub next: Option<Arc<Model>>,
}

impl Models {
    fn all(&self) -> impl Iterator<Item = &Arc<Model>> {
        std::iter::once(&self.first).chain(&self.second).chain(&self.next)
    }
}

/// What a search reads: an index version, and the vectors of the second model beside it.
#[derive(Clone)]
#[expect(missing_docs, reason = "the names say it")]
pub struct SearchedVersions {
    pub first: Version,
    pub second: Option<Version>,
    /// When a human is needed, if it was fitted for the first version.
    pub fit: Option<Arc<Fit>>,
}

impl SearchedVersions {
    /// The names of the models.
    pub fn models(&self) -> String {
        let second = self.second.iter().map(|second| format!(" and {}", second.index.model));
        std::iter::once(self.first.index.model.clone()).chain(second).collect()
    }
}

/// The index versions that this process can write and search.
pub struct Versions {
    store: Store,
    models: Models,
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
    /// When a human is needed, by version.
    fits: Arc<BTreeMap<i32, Arc<Fit>>>,
}

impl Versions {
    /// Uses these models.
    pub fn new(store: Store, models: Models) -> Self {
        Self { store, models, snapshot: Mutex::default() }
    }

    /// The models of the settings, in their order.
    pub fn models(&self) -> impl Iterator<Item = &Arc<Model>> {
        self.models.all()
    }

    /// The model of a new index.
    pub fn first_model(&self) -> &Arc<Model> {
        &self.models.first
    }

    /// The second model, if the settings have one.
    pub fn second_model(&self) -> Option<&Arc<Model>> {
        self.models.second.as_ref()
    }

    /// The next model, if the settings have one.
    pub fn next_model(&self) -> Option<&Arc<Model>> {
        self.models.next.as_ref()
    }

    /// The model of a version, if the settings have it.
    pub fn model(&self, index: &IndexVersion) -> Option<&Arc<Model>> {
        self.models().find(|known| known.is_of(&index.model, index.dimensions))
    }

    /// Records what the settings give each version's model with documents.
    pub async fn keep_forms(&self) -> Result<(), StoreError> {
        for known in self.store.document_forms().await? {
            let model = self.models().find(|model| model.is_of(&known.model, known.dimensions));
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
        let read = async { Ok((self.store.index_versions().await?, self.store.handover_fits().await?)) };
        let read = promptly(READ_TIMEOUT, read).await.flatten();
        let targets = match (read, &*snapshot) {
            (Ok((all, fits)), _) => self.known(all, fits).inspect_err(|_| *snapshot = None)?,
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
    fn known(&self, all: Vec<IndexVersion>, fits: BTreeMap<i32, Fit>) -> Result<WriteTargets, JobError> {
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
        let fits = fits.into_iter().map(|(version, fit)| (version, Arc::new(fit))).collect();
        Ok(WriteTargets { versions: known.collect(), newest, fits: Arc::new(fits) })
    }

    /// The version to search.
    pub async fn active(&self) -> Result<Version, JobError> {
        Ok(self.searched().await?.first)
    }

    /// The versions to search.
    pub async fn searched(&self) -> Result<SearchedVersions, JobError> {
        let written = self.written().await?;
        let active =
            written.versions.iter().find(|version| version.index.state == IndexState::Active).cloned();
        let reason = "there is no index yet: a daemon makes it at its start, and so does `shopkeeper sync`";
        let first = active.ok_or_else(|| JobError::Retry(reason.to_owned()))?;
        let second = self.second_beside(&first, &written);
        let mut searched =
            SearchedVersions { fit: written.fits.get(&first.index.id).cloned(), first, second };
        searched.fit = searched.fit.take().or_else(|| Fit::built_in(&searched.models()));
        Ok(searched)
    }

    /// The complete version of the second model, unless it is searched as the first.
    fn second_beside(&self, first: &Version, written: &WriteTargets) -> Option<Version> {
        let model = self.models.second.as_ref()?;
        let is_second = |version: &&Version| {
            Arc::ptr_eq(&version.model, model)
                && version.index.id != first.index.id
                && matches!(version.index.state, IndexState::Ready | IndexState::Retired)
        };
        written.versions.iter().find(is_second).cloned()
    }

    /// The versions to plan for: the active one, and that of the second model. Those that do not exist yet are as they
    /// would be created.
    pub async fn planned(&self) -> Result<Vec<Version>, JobError> {
        let known = self.store.index_versions().await?;
        let active = known.iter().find(|index| index.state == IndexState::Active);
        let first = active.and_then(|index| self.model(index)).unwrap_or(&self.models.first);
        let second = self.models.second.iter().filter(|second| !Arc::ptr_eq(second, first));
        Ok(std::iter::once(first).chain(second).map(|model| Version::planned(model, &known)).collect())
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
