//! The workers of a process.

use std::{fmt::Display, sync::Arc};

use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    answering::job::AnswerQuestion,
    bulk::ChangeJobs,
    config::{Config, Queues, Source},
    daemon::{Parts, Role, Roles},
    evaluation::job::Eval,
    indexing::{fill::FillIndex, maintain::MaintainIndex, refresh::RefreshDocument},
    job::{BatchJob, Job},
    queue::{Limits, Queue, Schedule, Wakeup},
    retention::PruneHistory,
    store::Store,
    sync::{reconcile::SyncCatalogue, watch::WatchCatalogue},
    webhook::job::DeliverWebhook,
};

/// The limits of each kind of job.
pub(super) fn limits(queues: &Queues) -> [(&'static str, &Limits); 9] {
    [
        (SyncCatalogue::KIND, &queues.sync_catalogue),
        (RefreshDocument::KIND, &queues.refresh_document),
        (DeliverWebhook::KIND, &queues.deliver_webhook),
        (FillIndex::KIND, &queues.fill_index),
        (AnswerQuestion::KIND, &queues.answer_question),
        (MaintainIndex::KIND, &queues.maintain_index),
        (Eval::KIND, &queues.eval),
        (PruneHistory::KIND, &queues.prune_history),
        (ChangeJobs::KIND, &queues.change_jobs),
    ]
}

/// Running workers; they stop when this is dropped.
pub struct Workers {
    pub(super) queue: Queue,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Workers {
    /// All kinds of jobs.
    pub const KINDS: &[&str] = &[
        SyncCatalogue::KIND,
        RefreshDocument::KIND,
        DeliverWebhook::KIND,
        FillIndex::KIND,
        AnswerQuestion::KIND,
        MaintainIndex::KIND,
        Eval::KIND,
        PruneHistory::KIND,
        ChangeJobs::KIND,
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
    pub fn start<J: Job>(&self, job: &Arc<J>, limits: &Limits) {
        let (queue, job, limits) = (self.queue.clone(), job.clone(), *limits);
        self.tasks.spawn(async move { report(J::KIND, queue.work(job, limits).await) });
    }

    /// Like [`Queue::work`], for a kind that runs in batches.
    fn start_batches<J: BatchJob>(&self, job: &Arc<J>, limits: &Limits) {
        let (queue, job, limits) = (self.queue.clone(), job.clone(), *limits);
        self.tasks.spawn(async move { report(J::KIND, queue.work_batches(job, limits).await) });
    }

    /// Runs the jobs of these roles.
    pub(super) fn start_roles(
        &self,
        config: &Config,
        store: &Store,
        parts: &Parts,
        roles: Roles,
        schedules: Vec<Schedule>,
    ) {
        let limits = &config.queue;
        if roles.has(Role::Refresh) {
            self.start_refreshing(parts, limits);
            self.start(&parts.maintain, &limits.maintain_index);
        }
        if roles.has(Role::Answer) {
            self.start(&parts.answer, &limits.answer_question);
            self.start(&parts.eval, &limits.eval);
        }
        if roles.has(Role::Webhook) {
            self.start(&parts.deliver, &limits.deliver_webhook);
        }
        if roles.has(Role::Scheduler) {
            let prune = PruneHistory {
                store: store.clone(),
                kept: config.retention.clone(),
                cache_entries: config.embedding.cache_entries,
            };
            self.start(&Arc::new(prune), &limits.prune_history);
            self.start(&ChangeJobs::new(store), &limits.change_jobs);
            self.keep_schedules(schedules);
        }
        if roles.has(Role::Sync) {
            self.start(&parts.sync, &limits.sync_catalogue);
            self.watch(&parts.sync, &config.sources);
        }
    }

    /// Runs the jobs that refresh documents, as the settings say.
    pub fn start_refreshing(&self, parts: &Parts, settings: &Queues) {
        self.start_batches(&parts.refresh, &settings.refresh_document);
        self.start(&parts.fill, &settings.fill_index);
    }

    /// Watches the sources in PostgreSQL between their listings.
    fn watch(&self, sync: &Arc<SyncCatalogue>, sources: &[Source]) {
        for source in sources {
            let Some(poll) = source.kind.poll() else { continue };
            let (sync, source) = (sync.clone(), source.name.clone());
            let watch = WatchCatalogue { sync, source, poll, watcher: self.queue.worker().to_owned() };
            let stop = self.stop.clone();
            self.tasks.spawn(async move { watch.run(&stop).await });
        }
    }

    /// Enqueues the jobs of schedules at their ticks.
    pub fn keep_schedules(&self, schedules: Vec<Schedule>) {
        let queue = self.queue.clone();
        self.tasks.spawn(async move { queue.keep_schedules(&schedules).await });
    }

    /// Stops claiming and waits until running jobs are finished.
    pub async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Drop for Workers {
    /// Stops the workers without waiting for them.
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn report(kind: &str, ended: Result<(), impl Display>) {
    if let Err(error) = ended {
        tracing::error!(kind, %error, "a worker ended: {error}");
    }
}
