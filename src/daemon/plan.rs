//! Plans a sync: what it would find, embed and cost. Changes nothing, and sends no request to a model.

use std::{collections::BTreeSet, sync::Arc};

use futures::TryStreamExt;
use serde::Serialize;

use crate::{
    catalogue::changes::Change,
    indexing::refresh::estimate::Estimate,
    indexing::{
        refresh::RefreshDocument,
        versions::{Model, Version},
    },
    job::JobError,
    store::versions::IndexState,
    sync::{reconcile::SyncCatalogue, report::SyncError},
};

/// Documents per batch.
const BATCH: usize = 500;

/// What is planned.
#[expect(missing_docs, reason = "the names say it")]
pub struct PlanCatalogue {
    pub sync: Arc<SyncCatalogue>,
    pub refresh: Arc<RefreshDocument>,
}

/// The plan of a sync of one source.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Plan {
    pub source: String,
    /// The embedding model that the estimate is for.
    pub model: String,
    /// Not known before.
    pub added: u64,
    /// Listed with other content.
    pub changed: u64,
    /// No longer listed.
    pub removed: u64,
    /// Listed with the same content.
    pub unchanged: u64,
    /// Rows that cannot become documents.
    pub set_aside: u64,
    #[serde(flatten)]
    pub estimate: Estimate,
    /// The shortest time that the model server's limits allow.
    pub eta_seconds: f64,
}

impl PlanCatalogue {
    /// Plans a sync of one source for an index version, and reports its progress.
    pub async fn plan(&self, version: &Version, source: &str, told: impl Fn(u64)) -> Result<Plan, PlanError> {
        let is_active = version.index.state == IndexState::Active;
        let mut plan =
            Plan { source: source.to_owned(), model: version.index.model.clone(), ..Plan::default() };
        let (mut keys, mut seen) = (Vec::new(), BTreeSet::new());
        let (set_aside, changes) = self.sync.changes(source).await?;
        plan.set_aside = set_aside.count;
        futures::pin_mut!(changes);
        while let Some(change) = changes.try_next().await? {
            match change {
                Change::Added(entry) => {
                    plan.added += 1;
                    keys.push(entry.key);
                }
                Change::Modified(entry) => {
                    plan.changed += 1;
                    keys.push(entry.key);
                }
                Change::Removed(_) => plan.removed += 1,
                Change::Unchanged(entry) => {
                    plan.unchanged += 1;
                    // Another version may lack it all the same.
                    keys.extend((!is_active).then_some(entry.key));
                }
            }
            if keys.len() >= BATCH {
                self.refresh
                    .estimate(version, source, &std::mem::take(&mut keys), &mut seen, &mut plan.estimate)
                    .await?;
                told(plan.added + plan.changed + plan.unchanged);
            }
        }
        self.refresh.estimate(version, source, &keys, &mut seen, &mut plan.estimate).await?;
        plan.eta_seconds = eta(&version.model, &plan.estimate);
        Ok(plan)
    }
}

/// The time of as few requests as the server's limits allow, as fast as its rates allow.
#[expect(clippy::cast_precision_loss, reason = "an estimate")]
fn eta(model: &Model, estimate: &Estimate) -> f64 {
    let (limits, rates) = (model.limits, model.backfill.rates());
    let inputs = estimate.chunks - estimate.cached_chunks;
    let requests =
        inputs.div_ceil(limits.items.max(1) as u64).max(estimate.tokens.div_ceil(limits.weight.max(1)));
    let minutes = |wanted: u64, rate: Option<u32>| rate.map_or(0.0, |rate| wanted as f64 / f64::from(rate));
    60.0 * minutes(requests, rates.requests).max(minutes(estimate.tokens, rates.tokens))
}

/// Why no plan could be made.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The source could not be compared.
    #[error(transparent)]
    Sync(#[from] SyncError),
    /// Its rows could not be read.
    #[error(transparent)]
    Read(#[from] JobError),
}
