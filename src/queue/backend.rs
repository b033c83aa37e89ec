//! apalis' view of our queue: a stream of batches of claimed jobs, each job with a slot to run in.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use apalis_core::{
    backend::{Backend, BackendConfig, finalize::Ephemeral},
    task::{Task, builder::TaskBuilder},
    worker::context::WorkerContext,
};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tower::layer::util::Identity;

use crate::queue::{
    Limits,
    maintenance::Sweep,
    slots::{SlotGuard, Slots},
};

/// Claims jobs until stopped, then gives back those that have not started: running jobs may take long.
pub(super) async fn claim(slots: Arc<Slots>, bell: Arc<Notify>, stop: CancellationToken) {
    let (mut is_reachable, mut groups, mut strays) = (true, Sweep::default(), None);
    while !stop.is_cancelled() {
        slots.give_back(slots.surplus()).await;
        let Some(want) = slots.want() else {
            slots.heartbeat.beat(slots.kind);
            slots.give_back_strays(&mut strays).await;
            tokio::select! {
                () = stop.cancelled() => {}
                () = slots.moved.notified() => {}
                () = tokio::time::sleep(slots.poll_interval()) => {}
            }
            continue;
        };
        // Not raced against the stop: the reply to a claim is always read, and its jobs are given back.
        let claimed = slots.claim(want).await;
        match &claimed {
            Ok(_) if !is_reachable => tracing::info!(kind = slots.kind, "the queue is reachable again"),
            Err(error) if is_reachable => {
                tracing::warn!(kind = slots.kind, %error, "jobs cannot be claimed; retrying");
            }
            _ => {}
        }
        is_reachable = claimed.is_ok();
        if is_reachable {
            slots.heartbeat.beat(slots.kind);
            slots.give_back_strays(&mut strays).await;
        }
        let is_full = claimed.is_ok_and(|found| found >= want.jobs);
        // Nothing is ready: a group may have been left without a head.
        if is_full || is_reachable && !want.ahead && groups.run(slots.store.advance(slots.kind)).await {
            continue;
        }
        // More jobs may be ready, unless the claim was ahead of the slots, or the limit over all daemons was reached: then
        // the next end makes room.
        let has_more = want.ahead || slots.limits.fleet_concurrency.is_some();
        tokio::select! {
            () = stop.cancelled() => {}
            () = bell.notified() => {}
            () = slots.moved.notified(), if has_more => {}
            () = tokio::time::sleep(slots.poll_interval()) => {}
        }
    }
    slots.give_back(slots.take_line()).await;
    slots.give_back_last_strays().await;
}

/// The backend that apalis polls.
pub(super) struct QueueBackend {
    slots: Arc<Slots>,
    stopped: Pin<Box<tokio_util::sync::WaitForCancellationFutureOwned>>,
}

impl QueueBackend {
    pub(super) fn new(slots: Arc<Slots>, stop: CancellationToken) -> Self {
        Self { slots, stopped: Box::pin(stop.cancelled_owned()) }
    }
}

impl Backend for QueueBackend {
    type Task = Task<Vec<SlotGuard>>;
    /// No error of the database ends a worker.
    type Error = std::convert::Infallible;

    fn poll_ready(&mut self, _: &mut Context<'_>, _: &WorkerContext) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        worker: &WorkerContext,
    ) -> Poll<Option<Result<Self::Task, Self::Error>>> {
        if self.stopped.as_mut().poll(cx).is_ready() {
            // A stream that ends does not end its worker; only this does. It fails when done before.
            let _ = worker.stop();
            return Poll::Ready(None);
        }
        let batch = ready!(self.slots.poll_next(cx));
        Poll::Ready(Some(Ok(TaskBuilder::new(batch).build())))
    }

    fn poll_close(&mut self, _: &mut Context<'_>, _: &WorkerContext) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }
}

impl BackendConfig for QueueBackend {
    type Args = Vec<SlotGuard>;
    type Id = i64;
    /// Jobs are passed on undecoded: a payload that does not parse fails its job and not the worker.
    type Kind = Ephemeral;
    type Config = Limits;
    type Layer = Identity;

    fn config(&self) -> &Limits {
        &self.slots.limits
    }

    fn middleware(&mut self, _: &mut WorkerContext) -> Identity {
        Identity::new()
    }
}
