//! apalis' view of our queue: a stream of claimed jobs, each with a slot to run in.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use apalis_core::{
    backend::{Backend, BackendConfig, finalize::Ephemeral},
    task::{Task, builder::TaskBuilder},
    worker::context::WorkerContext,
};
use tokio::sync::{Notify, OwnedSemaphorePermit, mpsc};
use tokio_util::sync::{CancellationToken, PollSemaphore};

use super::{
    Limits,
    acknowledge::{Acknowledge, AcknowledgeLayer},
    slots::Slots,
};
use crate::store::jobs::ClaimedJob;

/// How often a worker looks by itself, for hints that were missed.
const LOOK: Duration = Duration::from_secs(1);

/// A claimed job and the slot that it takes; dropping it frees the slot.
pub(super) struct Claimed {
    pub(super) job: ClaimedJob,
    slots: Slots,
    since: Instant,
    slot: Option<OwnedSemaphorePermit>,
}

impl Drop for Claimed {
    fn drop(&mut self) {
        self.slots.ran(self.since.elapsed());
        self.slot.take();
        self.slots.moved.notify_one();
    }
}

/// Claims jobs until stopped, and gives back those that nobody wants any more.
async fn claim(
    slots: Slots,
    jobs: mpsc::UnboundedSender<ClaimedJob>,
    bell: Arc<Notify>,
    stop: CancellationToken,
) {
    let mut is_reachable = true;
    while !stop.is_cancelled() {
        let room = slots.room();
        if room == 0 {
            tokio::select! {
                () = stop.cancelled() => return,
                () = slots.moved.notified() => continue,
            }
        }
        // Not raced against the stop: a claim that was sent is always heard, and given back then.
        let claimed = slots.claim(room).await;
        match &claimed {
            Ok(_) if !is_reachable => tracing::info!(kind = slots.kind, "the queue is reachable again"),
            Err(error) if is_reachable => {
                tracing::warn!(kind = slots.kind, %error, "jobs cannot be claimed; trying on");
            }
            _ => {}
        }
        is_reachable = claimed.is_ok();
        let found = claimed.unwrap_or_default();
        let is_empty = (found.len() as u64) < u64::from(room);
        for job in found {
            // The receiver lives until it was told that this sender is gone.
            let _ = jobs.send(job);
        }
        if is_empty && !is_advanced(&slots).await {
            tokio::select! {
                () = stop.cancelled() => {}
                () = bell.notified() => {}
                // Of a limited kind there may be more, but the limit was reached; a written end makes room.
                () = slots.moved.notified(), if slots.limits.fleet_concurrency.is_some() => {}
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }
}

/// Nothing is ready: whether a group can go on that nobody looked after.
async fn is_advanced(slots: &Slots) -> bool {
    slots.store.advance(Some(slots.kind)).await.is_ok_and(|advanced| advanced > 0)
}

/// The backend that apalis polls.
pub(super) struct QueueBackend {
    slots: Slots,
    acknowledge: Acknowledge,
    /// Until the first poll; then the line of claimed jobs.
    start: Option<(Arc<Notify>, CancellationToken)>,
    line: Option<mpsc::UnboundedReceiver<ClaimedJob>>,
    /// The first of the line, while there is no slot for it.
    next: Option<ClaimedJob>,
    permits: PollSemaphore,
    stopped: Pin<Box<tokio_util::sync::WaitForCancellationFutureOwned>>,
}

impl QueueBackend {
    pub(super) fn new(
        slots: Slots,
        acknowledge: Acknowledge,
        bell: Arc<Notify>,
        stop: CancellationToken,
    ) -> Self {
        let permits = PollSemaphore::new(slots.free.clone());
        let stopped = Box::pin(stop.clone().cancelled_owned());
        let start = Some((bell, stop));
        Self { slots, acknowledge, start, line: None, next: None, permits, stopped }
    }

    /// Gives back what was claimed and never started, at once: what runs may take long to end.
    fn give_back(&mut self) {
        let (slots, next) = (self.slots.clone(), self.next.take());
        let Some(mut line) = self.line.take() else { return };
        self.slots.tasks.spawn(async move {
            let mut leases: Vec<_> = next.iter().map(|job| job.lease).collect();
            while let Some(job) = line.recv().await {
                leases.push(job.lease);
            }
            if leases.is_empty() {
                return;
            }
            if let Err(error) = slots.store.give_back(&leases).await {
                tracing::warn!(%error, "claimed jobs could not be given back; their leases will run out");
            }
            slots.held.remove(&leases);
        });
    }
}

impl Backend for QueueBackend {
    type Task = Task<Claimed>;
    /// Nothing that goes wrong with the database ends a worker.
    type Error = std::convert::Infallible;

    fn poll_ready(&mut self, _: &mut Context<'_>, _: &WorkerContext) -> Poll<Result<(), Self::Error>> {
        if let Some((bell, stop)) = self.start.take() {
            let (sender, receiver) = mpsc::unbounded_channel();
            self.slots.tasks.spawn(claim(self.slots.clone(), sender, bell, stop));
            self.line = Some(receiver);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        worker: &WorkerContext,
    ) -> Poll<Option<Result<Self::Task, Self::Error>>> {
        if self.stopped.as_mut().poll(cx).is_ready() {
            self.give_back();
            // A stream that ends does not end its worker; only this does. It fails when done before.
            let _ = worker.stop();
            return Poll::Ready(None);
        }
        let Some(line) = self.line.as_mut() else { return Poll::Ready(None) };
        if self.next.is_none() {
            self.next = ready!(line.poll_recv(cx));
        }
        let slot = ready!(self.permits.poll_acquire(cx));
        let Some(job) = self.next.take() else { return Poll::Ready(None) };
        self.slots.leave_line();
        let claimed = Claimed { job, slots: self.slots.clone(), since: Instant::now(), slot };
        Poll::Ready(Some(Ok(TaskBuilder::new(claimed).build())))
    }

    fn poll_close(&mut self, _: &mut Context<'_>, _: &WorkerContext) -> Poll<Result<(), Self::Error>> {
        self.give_back();
        Poll::Ready(Ok(()))
    }
}

impl BackendConfig for QueueBackend {
    type Args = Claimed;
    type Id = i64;
    /// Jobs reach their handler as they were claimed; a payload that does not parse is the job's own
    /// failure and not the worker's.
    type Kind = Ephemeral;
    type Config = Limits;
    type Layer = AcknowledgeLayer;

    fn config(&self) -> &Limits {
        &self.slots.limits
    }

    fn middleware(&mut self, _: &mut WorkerContext) -> AcknowledgeLayer {
        AcknowledgeLayer(self.acknowledge.clone())
    }
}
