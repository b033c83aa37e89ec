//! Writes down how a job ended. The outermost layer, so that whatever ends a job is seen here.

use std::{
    task::{Context, Poll},
    time::Duration,
};

use apalis::prelude::BoxDynError;
use apalis_core::task::Task;
use futures::{FutureExt, future::BoxFuture};
use tower::{Layer, Service};

use super::backend::{Claimed, Slots};
use crate::{
    jobs::{JobError, Outcome},
    store::{
        StoreError,
        jobs::{Failure, Lease},
    },
};

/// Wraps a worker's service.
#[derive(Clone)]
pub(super) struct AcknowledgeLayer(pub(super) Slots);

impl<S> Layer<S> for AcknowledgeLayer {
    type Service = Acknowledge<S>;
    fn layer(&self, inner: S) -> Acknowledge<S> {
        Acknowledge { inner, slots: self.0.clone() }
    }
}

/// A worker's service whose outcomes are written down.
#[derive(Clone)]
pub(super) struct Acknowledge<S> {
    inner: S,
    slots: Slots,
}

impl<S> Service<Task<Claimed>> for Acknowledge<S>
where
    S: Service<Task<Claimed>, Response = Outcome>,
    S::Error: Into<BoxDynError>,
    S::Future: Send + 'static,
{
    type Response = ();
    type Error = BoxDynError;
    type Future = BoxFuture<'static, Result<(), BoxDynError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxDynError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, task: Task<Claimed>) -> Self::Future {
        let (lease, attempt) = (task.args.job.lease, task.args.job.attempt);
        let slots = self.slots.clone();
        let run = self.inner.call(task);
        async move {
            let ended = run.await.map_err(Into::into);
            slots.acknowledge(lease, attempt, ended).await;
            slots.release(lease);
            Ok(())
        }
        .boxed()
    }
}

/// How often an outcome is written before it is left to the lease.
const TRIES: u32 = 5;

impl Slots {
    async fn acknowledge(&self, lease: Lease, attempt: u32, ended: Result<Outcome, BoxDynError>) {
        let wait = self.limits.lease / (4 * TRIES);
        for _ in 0..TRIES {
            let written = match &ended {
                Ok(Outcome::Committed) => return,
                Ok(Outcome::Done(follow_ups)) => self.store.finish(lease, follow_ups).await,
                Err(error) => self.note(lease, attempt, error).await,
            };
            match written {
                Ok(()) => return,
                Err(StoreError::LeaseLost(job)) => {
                    tracing::info!(job.id = job, "another worker has job {job}: its lease was lost");
                    return;
                }
                Err(error) => {
                    tracing::warn!(job.id = lease.job, %error, "an outcome could not be written; trying on");
                    tokio::time::sleep(wait).await;
                }
            }
        }
    }

    async fn note(&self, lease: Lease, attempt: u32, error: &BoxDynError) -> Result<(), StoreError> {
        let text = error.to_string();
        let failure = match error.downcast_ref::<JobError>() {
            Some(JobError::LeaseLost) => return Err(StoreError::LeaseLost(lease.job)),
            Some(JobError::Snooze { after, .. }) => Failure::Snooze(spread(*after)),
            Some(JobError::Dead(_)) => Failure::Dead,
            Some(JobError::Retry(_)) | None => {
                Failure::Retry(self.limits.backoff.after(attempt, rand::random()))
            }
        };
        tracing::warn!(job.id = lease.job, attempt, "job {} did not succeed: {text}", lease.job);
        self.store.fail(lease, failure, &text).await
    }
}

/// Never earlier than asked, and not all at once.
fn spread(after: Duration) -> Duration {
    after.mul_f64(1.0 + 0.2 * rand::random::<f64>())
}
