//! The workers of a process.

use std::{fmt::Display, sync::Arc};

use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    answering::job::AnswerQuestion,
    config::{QueueLimits, Queues, Source, SourceKind},
    daemon::Parts,
    evaluation::job::Eval,
    indexing::{fill::FillIndex, maintain::MaintainIndex, refresh::RefreshDocument},
    job::{Backoff, BatchJob, Job},
    queue::{self, Limits, Queue, Schedule, Wakeup},
    retention::PruneHistory,
    store::Store,
    sync::{reconcile::SyncCatalogue, watch::WatchCatalogue},
    webhook::job::DeliverWebhook,
};

/// Workers that run beside something else, and end with it.
pub struct Workers {
    pub(super) queue: Queue,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Workers {
    /// The kinds of jobs that there are.
    pub const KINDS: &[&str] = &[
        SyncCatalogue::KIND,
        RefreshDocument::KIND,
        DeliverWebhook::KIND,
        FillIndex::KIND,
        AnswerQuestion::KIND,
        MaintainIndex::KIND,
        Eval::KIND,
        PruneHistory::KIND,
    ];

    /// Prepares workers; each `start…` adds one.
    pub fn new(store: &Store) -> Self {
        let (stop, tasks, wakeup) = (CancellationToken::new(), TaskTracker::new(), Wakeup::new(Self::KINDS));
        let queue = Queue::new(store.clone(), wakeup.clone(), stop.clone());
        let (store, stopped) = (store.clone(), stop.clone());
        tasks.spawn(async move { wakeup.listen(&store, &stopped).await });
        let upkeep = queue.clone();
        tasks.spawn(async move { upkeep.upkeep().await });
        Self { queue, stop, tasks }
    }

    /// Runs jobs of one kind, as the settings say.
    pub fn start<J: Job>(&self, job: &Arc<J>, settings: &QueueLimits) {
        let (queue, job, limits) = (self.queue.clone(), job.clone(), limits(settings));
        self.tasks.spawn(async move { report(J::KIND, queue.work(job, limits).await) });
    }

    /// Does so for a kind whose jobs are run many at a time.
    fn start_batches<J: BatchJob>(&self, job: &Arc<J>, settings: &QueueLimits) {
        let (queue, job, limits) = (self.queue.clone(), job.clone(), limits(settings));
        self.tasks.spawn(async move { report(J::KIND, queue.work_batches(job, limits).await) });
    }

    /// Runs the jobs that refresh documents, as the settings say.
    pub fn start_refreshing(&self, parts: &Parts, settings: &Queues) {
        self.start_batches(&parts.refresh, &settings.refresh_document);
        self.start(&parts.fill, &settings.fill_index);
    }

    /// Watches the sources in PostgreSQL between their listings.
    pub fn watch(&self, sync: &Arc<SyncCatalogue>, sources: &[Source]) {
        for source in sources {
            let SourceKind::Postgres(connection) = &source.kind else { continue };
            let (sync, source, poll) = (sync.clone(), source.name.clone(), connection.poll.0);
            let watch = WatchCatalogue { sync, source, poll, watcher: self.queue.worker().to_owned() };
            let stop = self.stop.clone();
            self.tasks.spawn(async move { watch.run(&stop).await });
        }
    }

    /// Enqueues the jobs of schedules at their ticks.
    pub fn keep(&self, schedules: Vec<Schedule>) {
        let queue = self.queue.clone();
        self.tasks.spawn(async move { queue.keep_schedules(&schedules).await });
    }

    /// Stops claiming and waits until what runs is finished.
    pub async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Drop for Workers {
    /// Whoever does not wait for them stops them all the same.
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn limits(limits: &QueueLimits) -> Limits {
    Limits {
        concurrency: limits.concurrency.get(),
        fleet_concurrency: (limits.fleet_concurrency > 0).then_some(limits.fleet_concurrency),
        max_attempts: limits.max_attempts.get(),
        ahead: queue::AHEAD,
        lease: limits.lease.0,
        backoff: Backoff { first: limits.backoff.first.0, max: limits.backoff.max.0 },
    }
}

fn report(kind: &str, ended: Result<(), impl Display>) {
    if let Err(error) = ended {
        tracing::error!(kind, %error, "a worker ended: {error}");
    }
}
