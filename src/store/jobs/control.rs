//! What operators see of the queue and do to it.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{OnDead, WaitReason};
use crate::store::{Store, StoreError};

/// The states of a job, as they are named everywhere: those of live jobs, then the outcomes of finished ones.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Serialize,
    sqlx::Type,
    strum::Display,
    strum::EnumString,
    strum::IntoStaticStr,
    strum::VariantArray,
    strum::VariantNames,
)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum JobState {
    /// Due, and waiting for a slot.
    Ready,
    /// Waiting for its time, or for others of its group.
    Scheduled,
    /// Held by a worker.
    Running,
    /// Due, while its kind is paused.
    Paused,
    /// Succeeded.
    Done,
    /// Cancelled by an operator.
    Cancelled,
    /// Given up, and kept with its error.
    Dead,
}

/// Which jobs.
#[derive(Clone, Debug, Default)]
pub struct JobFilter {
    /// Of this kind.
    pub kind: Option<String>,
    /// In this state.
    pub state: Option<JobState>,
    /// These.
    pub ids: Option<Vec<i64>>,
    /// At most so many, the newest first.
    pub limit: u32,
}

/// One job, live or finished.
#[derive(Clone, Debug, Serialize)]
pub struct JobRow {
    /// Unique.
    pub id: i64,
    /// The kind of job.
    pub kind: String,
    /// At most one live job of the kind has it.
    pub key: Option<String>,
    /// Waiting, running, or how it ended.
    pub state: JobState,
    /// Attempts that began.
    pub attempts: i32,
    /// After so many it is dead; none until its first claim.
    pub max_attempts: Option<i32>,
    /// When it is or was due.
    pub run_at: DateTime<Utc>,
    /// Of its last attempt.
    pub last_error: Option<String>,
    /// Jobs of the same group run one after the other.
    pub group_key: Option<String>,
    /// Higher ones run first.
    pub priority: i16,
    /// Who has it, or had it last.
    pub worker: Option<String>,
    /// When it was enqueued.
    pub created_at: DateTime<Utc>,
    /// When its last attempt began.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
}

/// The jobs that an operator decides about.
#[derive(Clone, Debug)]
pub enum Selection {
    /// These.
    Ids(Vec<i64>),
    /// All dead jobs of a kind.
    Dead {
        /// The kind of job.
        kind: String,
    },
}

/// The place of a dead job among those of its kind.
#[derive(Clone, Copy)]
struct DeadJob {
    finished_at: DateTime<Utc>,
    id: i64,
}

/// Jobs of one transaction: enqueueing locks the group of each, and PostgreSQL has room for some thousand locks.
const BATCH: usize = 500;

impl Store {
    /// Lists jobs, live ones before finished ones, the newest first.
    pub async fn jobs(&self, filter: &JobFilter) -> Result<Vec<JobRow>, StoreError> {
        let rows = sqlx::query_as!(
            JobRow,
            r#"
            with live as (
                select id, kind, key,
                    case
                        when state = 'blocked' then 'scheduled'
                        when state = 'ready' and kind in
                            (select kind from shopkeeper.queue_kind where paused_at is not null) then 'paused'
                        else state
                    end as state,
                    attempts, max_attempts, run_at, last_error, group_key, priority, worker, created_at, started_at,
                    null::timestamptz as finished_at
                from shopkeeper.job
                where ($1::text is null or kind = $1) and ($3::bigint[] is null or id = any ($3))
            ), finished as (
                select id, kind, key, outcome as state, attempts, max_attempts, run_at, error as last_error, group_key,
                    priority, worker, created_at, started_at, finished_at
                from shopkeeper.job_history
                where ($1::text is null or kind = $1) and ($3::bigint[] is null or id = any ($3))
            )
            (select id as "id!", kind as "kind!", key, state as "state!: JobState", attempts as "attempts!", max_attempts,
                run_at as "run_at!", last_error, group_key, priority as "priority!", worker,
                created_at as "created_at!", started_at, finished_at
             from live where $2::text is null or state = $2 order by id desc limit $4)
            union all
            (select * from finished where $2::text is null or state = $2 order by finished_at desc, id desc limit $4)
            limit $4
            "#,
            filter.kind,
            filter.state.map(<&str>::from),
            filter.ids.as_deref(),
            i64::from(filter.limit),
        );
        Ok(rows.fetch_all(&self.pool.by_values()).await?)
    }

    /// The arguments of a job, live or finished. They may quote customers: shown to who asks for one job.
    pub async fn job_payload(&self, id: i64) -> Result<Option<serde_json::Value>, StoreError> {
        let payload = sqlx::query_scalar!(
            "select payload from shopkeeper.job where id = $1
             union all (select payload from shopkeeper.job_history where id = $1 order by finished_at desc limit 1)
             limit 1",
            id,
        );
        Ok(payload.fetch_optional(&self.pool).await?.flatten())
    }

    /// Runs jobs again: dead ones go back into the queue with all their attempts before them, waiting
    /// ones need wait no longer. A dead one whose key has been enqueued again since stays as it is: the newer
    /// one counts. Says how many.
    ///
    /// They go in batches, each a transaction of its own: so many are never locked at once.
    pub async fn retry_jobs(&self, selection: &Selection) -> Result<u64, StoreError> {
        self.in_batches(selection, async |ids| self.retry_batch(ids).await).await
    }

    async fn in_batches(
        &self,
        selection: &Selection,
        work: impl AsyncFn(&[i64]) -> Result<u64, StoreError>,
    ) -> Result<u64, StoreError> {
        let mut jobs = 0;
        match selection {
            Selection::Ids(ids) => {
                for ids in ids.chunks(BATCH) {
                    jobs += work(ids).await?;
                }
            }
            Selection::Dead { kind } => {
                let mut after = DeadJob { finished_at: DateTime::UNIX_EPOCH, id: 0 };
                // Those that die again meanwhile are not taken again.
                let until = sqlx::query_scalar!(r#"select now() as "now!""#).fetch_one(&self.pool).await?;
                while let page = self.dead_jobs(kind, &after, until).await?
                    && let Some(last) = page.last()
                {
                    jobs += work(&page.iter().map(|job| job.id).collect::<Vec<_>>()).await?;
                    after = *last;
                }
            }
        }
        Ok(jobs)
    }

    async fn retry_batch(&self, ids: &[i64]) -> Result<u64, StoreError> {
        let row = sqlx::query!(
            r#"
            with gone as (
                delete from shopkeeper.job_history as dead
                where outcome = 'dead' and id = any ($1)
                    and not exists (select from shopkeeper.job where job.kind = dead.kind and job.key = dead.key)
                returning *
            ), back as (
                select shopkeeper.enqueue_many(
                    kind, array_agg(key order by id), array_agg(payload order by id), priority, now(),
                    array_agg(group_key order by id), max_attempts, traceparent
                ) as jobs
                from (
                    select distinct on (kind, key, case when key is null then id end) * from gone
                    order by kind, key, case when key is null then id end, id desc
                ) as newest
                group by kind, priority, max_attempts, traceparent
            ), due as (
                update shopkeeper.job set state = 'ready', run_at = now()
                where state = 'scheduled' and id = any ($1)
                returning kind
            ), woken as (
                select pg_notify('shopkeeper_job', kind) from (select distinct kind from due) as kinds
            )
            select (select coalesce(sum(jobs), 0) from back)::bigint as "back!", (select count(*) from due) as "due!",
                (select count(*) from woken) as woken
            "#,
            ids,
        )
        .fetch_one(&self.pool)
        .await?;
        Ok((row.back + row.due).unsigned_abs())
    }

    /// A page of the dead jobs of a kind, the oldest death first.
    async fn dead_jobs(
        &self,
        kind: &str,
        after: &DeadJob,
        until: DateTime<Utc>,
    ) -> Result<Vec<DeadJob>, StoreError> {
        let page = sqlx::query_as!(
            DeadJob,
            "select finished_at, id from shopkeeper.job_history
             where outcome = 'dead' and kind = $1 and (finished_at, id) > ($2, $3) and finished_at <= $5
             order by finished_at, id limit $4",
            kind,
            after.finished_at,
            after.id,
            i64::try_from(BATCH).unwrap_or(i64::MAX),
            until,
        );
        Ok(page.fetch_all(&self.pool).await?)
    }

    /// Lets jobs of a kind go on that wait for this, those that have waited longest and this many at most; says how many.
    pub async fn hasten(&self, kind: &str, reason: WaitReason, most: u32) -> Result<u32, StoreError> {
        let hastened = sqlx::query_scalar!(
            r#"select shopkeeper.hasten($1, $2, $3) as "hastened!""#,
            kind,
            <&str>::from(reason),
            i64::from(most),
        );
        Ok(u32::try_from(hastened.fetch_one(&self.pool).await?).unwrap_or(u32::MAX))
    }

    /// Takes jobs out, waiting or running, in batches: what a running one still writes is void, and its worker is
    /// told to leave it. Says how many.
    pub async fn cancel_jobs(&self, ids: &[i64]) -> Result<u64, StoreError> {
        let selection = Selection::Ids(ids.to_vec());
        self.in_batches(&selection, async |ids| self.cancel_batch(ids).await).await
    }

    async fn cancel_batch(&self, ids: &[i64]) -> Result<u64, StoreError> {
        self.pool
            .transact(async |connection| {
                let gone = sqlx::query!(
            r#"select kind as "kind!", group_key, was_running as "was_running!" from shopkeeper.cancel($1)"#,
            ids,
        )
        .fetch_all(&mut *connection)
        .await?;
                for job in &gone {
                    if let Some(group) = &job.group_key {
                        let groups = std::slice::from_ref(group);
                        sqlx::query!("select shopkeeper.advance($1, $2)", job.kind, groups)
                            .fetch_one(&mut *connection)
                            .await?;
                    }
                }
                if gone.iter().any(|job| job.was_running) {
                    sqlx::query!("select pg_notify($1, '')", crate::store::listen::CANCELLED_JOB)
                        .fetch_one(&mut *connection)
                        .await?;
                }
                Ok(gone.len() as u64)
            })
            .await
    }

    /// Deletes dead jobs for good, in batches; says how many.
    pub async fn discard_jobs(&self, selection: &Selection) -> Result<u64, StoreError> {
        self.in_batches(selection, async |ids| self.discard_batch(ids).await).await
    }

    async fn discard_batch(&self, ids: &[i64]) -> Result<u64, StoreError> {
        let gone =
            sqlx::query!("delete from shopkeeper.job_history where outcome = 'dead' and id = any ($1)", ids);
        Ok(gone.execute(&self.pool).await?.rows_affected())
    }

    /// Notes what happens when jobs of these kinds die or are cancelled.
    pub async fn declare_kinds(&self, kinds: &[(&str, OnDead)]) -> Result<(), StoreError> {
        let (names, functions): (Vec<_>, Vec<_>) =
            kinds.iter().map(|(kind, on_dead)| ((*kind).to_owned(), on_dead.function())).unzip();
        let declared = sqlx::query!(
            "insert into shopkeeper.queue_kind (kind, on_dead)
             select kind, on_dead from unnest($1::text[], $2::text[]) as declared (kind, on_dead) order by kind
             on conflict (kind) do update set on_dead = excluded.on_dead
             where queue_kind.on_dead is distinct from excluded.on_dead",
            &names,
            &functions as &[Option<&str>],
        );
        declared.execute(&self.pool).await?;
        Ok(())
    }

    /// Stops the claiming of a kind, in all daemons; what runs goes on.
    pub async fn pause(&self, kind: &str) -> Result<(), StoreError> {
        sqlx::query!(
            "insert into shopkeeper.queue_kind (kind, paused_at) values ($1, now())
             on conflict (kind) do update set paused_at = coalesce(queue_kind.paused_at, excluded.paused_at)",
            kind,
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Lets a kind be claimed again.
    pub async fn resume(&self, kind: &str) -> Result<(), StoreError> {
        sqlx::query!(
            "with resumed as (update shopkeeper.queue_kind set paused_at = null where kind = $1)
             select pg_notify('shopkeeper_job', $1)",
            kind,
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(())
    }
}
