//! Changes all jobs that an operator's filter matched: in bounded batches, until done or cancelled.

use std::sync::Arc;

use serde::Deserialize;
use uuid::Uuid;

use crate::{
    job::{Attempt, Job, JobError, Outcome},
    store::{
        Store,
        jobs::{BulkState, NewJob, OnDead},
    },
};

/// Does bulk actions. The job's key is the action's id.
#[expect(missing_docs, reason = "the names say it")]
pub struct ChangeJobs {
    pub store: Store,
}

/// Empty.
#[derive(Clone, Debug, Deserialize)]
pub struct Payload {}

impl ChangeJobs {
    /// Prepares the job of a store.
    pub fn new(store: &Store) -> Arc<Self> {
        Arc::new(Self { store: store.clone() })
    }

    /// The job of a bulk action.
    pub fn of(action: Uuid) -> NewJob {
        NewJob { kind: Self::KIND, key: action.to_string(), payload: serde_json::json!({}) }
    }

    async fn change(&self, id: Uuid) -> Result<(), JobError> {
        while let Some(action) =
            self.store.bulk_action(id).await?.filter(|action| action.state == BulkState::Running)
        {
            if !self.store.next_of_bulk(&action).await? {
                self.store.end_bulk(id, BulkState::Done).await?;
                tracing::info!(action = %id, jobs = action.done, "a bulk action ended: {} jobs", action.done);
            }
        }
        Ok(())
    }
}

impl Job for ChangeJobs {
    const KIND: &'static str = "change_jobs";
    const ON_DEAD: Option<OnDead> = Some(OnDead::BulkActions);
    type Payload = Payload;

    async fn run(&self, _: Payload, attempt: &Attempt) -> Result<Outcome, JobError> {
        let id = attempt
            .key
            .parse()
            .map_err(|_| JobError::Dead(format!("not the id of a bulk action: {}", attempt.key)))?;
        attempt.unless_stopped(self.change(id)).await.map(|()| Outcome::Done(Vec::new()))
    }
}
