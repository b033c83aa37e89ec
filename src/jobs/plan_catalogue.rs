//! What a sync would find, embed and cost. Nothing is changed, and no model is asked.

use std::{collections::BTreeSet, sync::Arc};

use futures::TryStreamExt;
use serde::Serialize;

use super::{
    JobError,
    refresh_document::RefreshDocument,
    sync_catalogue::{SyncCatalogue, SyncError},
};
use crate::{catalogue::changes::Change, store::usage::Rates};

/// Documents that are looked at together.
const BATCH: usize = 500;

/// What is planned.
pub struct PlanCatalogue {
    /// Compares.
    pub sync: Arc<SyncCatalogue>,
    /// Cuts, and knows which vectors there are.
    pub refresh: Arc<RefreshDocument>,
    /// What the model server lets us do in a minute.
    pub rates: Rates,
}

/// What a sync of one source would do.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Plan {
    /// The source's name.
    pub source: String,
    /// Not known before.
    pub added: u64,
    /// Listed with other content.
    pub changed: u64,
    /// No longer listed.
    pub removed: u64,
    /// As they were.
    pub unchanged: u64,
    /// Chunks of the texts that are not what is indexed.
    pub chunks: u64,
    /// Those of them whose vectors are known already.
    pub cached_chunks: u64,
    /// Tokens of the others.
    pub tokens: u64,
    /// What they cost, in dollars.
    pub cost_usd: f64,
    /// How long the model server's limits make it take.
    pub eta_seconds: f64,
    /// Rows that no document can be made of.
    pub faulty: u64,
}

impl PlanCatalogue {
    /// Plans a sync of one source; says how far it is.
    pub async fn plan(&self, source: &str, told: impl Fn(u64)) -> Result<Plan, PlanError> {
        let mut plan = Plan { source: source.to_owned(), ..Plan::default() };
        let (mut keys, mut seen) = (Vec::new(), BTreeSet::new());
        let changes = self.sync.changes(source)?;
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
                Change::Unchanged(_) => plan.unchanged += 1,
            }
            if keys.len() >= BATCH {
                self.refresh.estimate(source, &std::mem::take(&mut keys), &mut seen, &mut plan).await?;
                told(plan.added + plan.changed + plan.unchanged);
            }
        }
        self.refresh.estimate(source, &keys, &mut seen, &mut plan).await?;
        plan.eta_seconds = self.eta(&plan);
        Ok(plan)
    }

    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    fn eta(&self, plan: &Plan) -> f64 {
        let requests = self.refresh.requests(plan.chunks - plan.cached_chunks, plan.tokens);
        let by_requests = requests as f64 / f64::from(self.rates.requests);
        let by_tokens = plan.tokens as f64 / f64::from(self.rates.tokens);
        60.0 * by_requests.max(by_tokens)
    }
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
