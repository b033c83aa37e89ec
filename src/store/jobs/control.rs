//! What operators see of the queue and do to it.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;

use super::{OnDead, WaitReason};
use crate::{
    store::{Result, Store, listen::CANCELLED_JOB},
    words::words,
};

words! {
    /// The states of live jobs, then the outcomes of finished ones.
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
}

/// Which jobs.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "the names say it")]
pub struct JobFilter {
    pub kind: Option<String>,
    pub state: Option<JobState>,
    pub ids: Option<Vec<i64>>,
    /// At most so many, the newest first.
    pub limit: u32,
}

/// One job, live or finished.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct JobRow {
    pub id: i64,
    pub kind: String,
    pub key: Option<String>,
    pub state: JobState,
    pub attempts: i32,
    /// After so many it is dead; none until its first claim.
    pub max_attempts: Option<i32>,
    pub run_at: DateTime<Utc>,
    pub last_error: Option<String>,
    pub group_key: Option<String>,
    pub priority: i16,
    /// Who has it, or had it last.
    pub worker: Option<String>,
    pub created_at: DateTime<Utc>,
    /// When its last attempt began.
    pub started_at: Option<DateTime<Utc>>,
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

/// Jobs of one transaction: enqueueing locks the group of each, and PostgreSQL has room for some thousand locks.
const BATCH: usize = 500;

impl Store {
    /// Lists jobs, live ones before finished ones, the newest first.
    pub async fn jobs(&self, filter: &JobFilter) -> Result<Vec<JobRow>> {
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
    pub async fn job_payload(&self, id: i64) -> Result<Option<serde_json::Value>> {
        let payload = sqlx::query_scalar!(
            "select payload from shopkeeper.job where id = $1
             union all (select payload from shopkeeper.job_history where id = $1 order by finished_at desc limit 1)
             limit 1",
            id,
        );
        Ok(payload.fetch_optional(&self.pool).await?.flatten())
    }

    /// Runs jobs again: dead ones go back into the queue with all their attempts before them, waiting ones become due. A
    /// dead job whose key has been enqueued again since stays as it is: the newer one counts. Returns their number.
    pub async fn retry_jobs(&self, selection: &Selection) -> Result<u64> {
        self.in_batches(selection, async |ids| {
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
            );
            let row = row.fetch_one(&self.pool).await?;
            Ok((row.back + row.due).unsigned_abs())
        })
        .await
    }

    /// Works on jobs in batches, each a transaction of its own, which limits the locks. Jobs that die meanwhile are not
    /// among them.
    async fn in_batches(
        &self,
        selection: &Selection,
        work: impl AsyncFn(&[i64]) -> Result<u64>,
    ) -> Result<u64> {
        let ids = match selection {
            Selection::Ids(ids) => ids.clone(),
            Selection::Dead { kind } => {
                let dead = sqlx::query_scalar!(
                    r#"select array(
                           select id from shopkeeper.job_history
                           where outcome = 'dead' and kind = $1 and finished_at <= now()
                           order by finished_at, id
                       ) as "ids!""#,
                    kind
                );
                dead.fetch_one(&self.pool).await?
            }
        };
        let mut jobs = 0;
        for batch in ids.chunks(BATCH) {
            jobs += work(batch).await?;
        }
        Ok(jobs)
    }

    /// Resumes jobs of a kind that wait for this, those that have waited longest and `most` of them; returns their number.
    pub async fn hasten(&self, kind: &str, reason: WaitReason, most: u32) -> Result<u32> {
        let hastened = sqlx::query_scalar!(
            r#"select shopkeeper.hasten($1, $2, $3) as "hastened!""#,
            kind,
            <&str>::from(reason),
            i64::from(most),
        );
        Ok(u32::try_from(hastened.fetch_one(&self.pool).await?).unwrap_or(u32::MAX))
    }

    /// Cancels jobs, waiting or running: what a running one still writes is void, and its worker is told to leave it.
    /// Returns their number.
    pub async fn cancel_jobs(&self, ids: &[i64]) -> Result<u64> {
        let selection = Selection::Ids(ids.to_vec());
        let cancel =
            async |ids: &[i64]| self.pool.transact(async |connection| cancel(connection, ids).await).await;
        self.in_batches(&selection, cancel).await
    }

    /// Deletes dead jobs for good; returns their number.
    pub async fn discard_jobs(&self, selection: &Selection) -> Result<u64> {
        self.in_batches(selection, async |ids| {
            let gone = sqlx::query!(
                "delete from shopkeeper.job_history where outcome = 'dead' and id = any ($1)",
                ids
            );
            Ok(gone.execute(&self.pool).await?.rows_affected())
        })
        .await
    }

    /// Notes what happens when jobs of these kinds die or are cancelled.
    pub async fn declare_kinds(&self, kinds: &[(&str, Option<OnDead>)]) -> Result<()> {
        let (names, functions): (Vec<_>, Vec<_>) =
            kinds.iter().map(|(kind, on_dead)| ((*kind).to_owned(), on_dead.map(<&str>::from))).unzip();
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
    pub async fn pause(&self, kind: &str) -> Result<()> {
        let query = sqlx::query!(
            "insert into shopkeeper.queue_kind (kind, paused_at) values ($1, now())
             on conflict (kind) do update set paused_at = coalesce(queue_kind.paused_at, excluded.paused_at)",
            kind,
        );
        query.execute(&self.pool).await?;
        Ok(())
    }

    /// Lets a kind be claimed again.
    pub async fn resume(&self, kind: &str) -> Result<()> {
        let query = sqlx::query!(
            "with resumed as (update shopkeeper.queue_kind set paused_at = null where kind = $1)
             select pg_notify('shopkeeper_job', $1)",
            kind,
        );
        query.fetch_one(&self.pool).await?;
        Ok(())
    }
}

async fn cancel(connection: &mut PgConnection, ids: &[i64]) -> Result<u64> {
    let gone = sqlx::query!(
        r#"select kind as "kind!", group_key, was_running as "was_running!" from shopkeeper.cancel($1)"#,
        ids,
    );
    let gone = gone.fetch_all(&mut *connection).await?;
    for job in &gone {
        if let Some(group) = &job.group_key {
            let groups = std::slice::from_ref(group);
            sqlx::query!("select shopkeeper.advance($1, $2)", job.kind, groups)
                .fetch_one(&mut *connection)
                .await?;
        }
    }
    if gone.iter().any(|job| job.was_running) {
        sqlx::query!("select pg_notify($1, '')", CANCELLED_JOB).fetch_one(connection).await?;
    }
    Ok(gone.len() as u64)
}
