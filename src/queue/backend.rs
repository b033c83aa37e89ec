//! apalis' view of our queue: a stream of claimed jobs, never more than there are free slots.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use apalis_core::{
    backend::{Backend, BackendConfig, finalize::Ephemeral},
    task::{Task, builder::TaskBuilder},
    worker::context::WorkerContext,
};
use futures::{FutureExt, future::BoxFuture};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{Limits, acknowledge::AcknowledgeLayer, lease::Held};
use crate::store::{
    Store,
    jobs::{ClaimedJob, Lease},
};

/// How often a worker looks by itself: for delayed jobs that are due, and for hints that were missed.
const LOOK: Duration = Duration::from_secs(1);

/// A claimed job and the slot that it takes; dropping it frees the slot.
pub(super) struct Claimed {
    pub(super) job: ClaimedJob,
    _slot: OwnedSemaphorePermit,
}

/// What a worker's parts share: the slots, and the leases of the jobs in them.
#[derive(Clone)]
pub(super) struct Slots(Arc<Shared>);

pub(super) struct Shared {
    pub(super) store: Store,
    kind: &'static str,
    worker: Arc<str>,
    pub(super) limits: Limits,
    free: Arc<Semaphore>,
    held: Held,
    tasks: TaskTracker,
    /// Ends the keeping of leases; later than the claiming, for jobs that are being finished.
    closed: CancellationToken,
}

impl std::ops::Deref for Slots {
    type Target = Shared;
    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl Slots {
    pub(super) fn new(store: Store, kind: &'static str, worker: Arc<str>, limits: Limits) -> Self {
        let shared = Self(Arc::new(Shared {
            store,
            kind,
            worker,
            limits,
            free: Arc::new(Semaphore::new(limits.concurrency as usize)),
            held: Held::default(),
            tasks: TaskTracker::new(),
            closed: CancellationToken::new(),
        }));
        let keeping = shared.clone();
        shared.tasks.spawn(async move {
            keeping.held.keep(&keeping.store, keeping.limits.lease, &keeping.closed).await;
        });
        shared
    }

    /// Ends the worker's own tasks.
    pub(super) async fn close(&self) {
        self.closed.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    pub(super) fn release(&self, lease: Lease) {
        self.held.remove(lease);
    }

    /// Claims jobs into free slots until stopped.
    async fn claim(self, jobs: mpsc::Sender<Claimed>, bell: Arc<Notify>, stop: CancellationToken) {
        let mut is_reachable = true;
        while !stop.is_cancelled() {
            let slot = tokio::select! {
                () = stop.cancelled() => return,
                slot = self.free.clone().acquire_owned() => slot.expect("the semaphore is never closed"),
            };
            let mut slots = vec![slot];
            while let Ok(slot) = self.free.clone().try_acquire_owned() {
                slots.push(slot);
            }
            let limit = u32::try_from(slots.len()).unwrap_or(u32::MAX);
            let (lease, attempts) = (self.limits.lease, self.limits.max_attempts);
            // Not raced against the stop: a claim that was sent is always heard, and given back then.
            let claimed = self.store.claim(self.kind, &self.worker, limit, lease, attempts).await;
            let found = match claimed {
                Ok(claimed) => {
                    if !is_reachable {
                        tracing::info!(kind = self.kind, "the queue is reachable again");
                    }
                    is_reachable = true;
                    claimed
                }
                Err(error) => {
                    if is_reachable {
                        tracing::warn!(kind = self.kind, %error, "jobs cannot be claimed; trying on");
                    }
                    is_reachable = false;
                    Vec::new()
                }
            };
            let is_full = found.len() == slots.len();
            for (job, slot) in found.into_iter().zip(slots) {
                self.held.add(job.lease);
                if jobs.send(Claimed { job, _slot: slot }).await.is_err() {
                    return;
                }
            }
            if !is_full {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = bell.notified() => {}
                    () = tokio::time::sleep(LOOK) => {}
                }
            }
        }
    }
}

/// The backend that apalis polls.
pub(super) struct QueueBackend {
    slots: Slots,
    bell: Arc<Notify>,
    stop: CancellationToken,
    jobs: Option<mpsc::Receiver<Claimed>>,
    stopped: Pin<Box<tokio_util::sync::WaitForCancellationFutureOwned>>,
    closing: Option<BoxFuture<'static, ()>>,
}

impl QueueBackend {
    pub(super) fn new(slots: Slots, bell: Arc<Notify>, stop: CancellationToken) -> Self {
        let stopped = Box::pin(stop.clone().cancelled_owned());
        Self { slots, bell, stop, jobs: None, stopped, closing: None }
    }

    /// Gives back what was claimed and never started.
    fn give_back(&mut self) -> BoxFuture<'static, ()> {
        let (slots, jobs) = (self.slots.clone(), self.jobs.take());
        async move {
            let Some(mut jobs) = jobs else { return };
            let mut leases = Vec::new();
            while let Some(claimed) = jobs.recv().await {
                leases.push(claimed.job.lease);
            }
            if leases.is_empty() {
                return;
            }
            if let Err(error) = slots.store.give_back(&leases).await {
                tracing::warn!(%error, "claimed jobs could not be given back; their leases will run out");
            }
            for lease in leases {
                slots.release(lease);
            }
        }
        .boxed()
    }
}

impl Backend for QueueBackend {
    type Task = Task<Claimed>;
    /// Nothing that goes wrong with the database ends a worker.
    type Error = std::convert::Infallible;

    fn poll_ready(&mut self, _: &mut Context<'_>, _: &WorkerContext) -> Poll<Result<(), Self::Error>> {
        if self.jobs.is_none() {
            let (sender, receiver) = mpsc::channel(self.slots.limits.concurrency as usize);
            let claiming = self.slots.clone().claim(sender, self.bell.clone(), self.stop.clone());
            self.slots.tasks.spawn(claiming);
            self.jobs = Some(receiver);
        }
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
        let Some(jobs) = self.jobs.as_mut() else { return Poll::Ready(None) };
        let claimed = ready!(jobs.poll_recv(cx));
        Poll::Ready(claimed.map(|claimed| Ok(TaskBuilder::new(claimed).build())))
    }

    fn poll_close(&mut self, cx: &mut Context<'_>, _: &WorkerContext) -> Poll<Result<(), Self::Error>> {
        if self.closing.is_none() {
            self.closing = Some(self.give_back());
        }
        let Some(closing) = self.closing.as_mut() else { return Poll::Ready(Ok(())) };
        closing.poll_unpin(cx).map(Ok)
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
        AcknowledgeLayer(self.slots.clone())
    }
}
