//! Lists jobs for operators.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;

use crate::{
    store::{Result, Store},
    words::words,
};

words! {
    /// The states of live jobs and the outcomes of finished ones.
    pub enum JobState {
        /// Due; waits for a slot.
        Ready,
        /// Waits for its time, or for others of its group.
        Scheduled,
        /// Held by a worker.
        Running,
        /// Due, while its kind is paused.
        Paused,
        /// Succeeded.
        Done,
        /// Cancelled by an operator.
        Cancelled,
        /// Given up; kept with its error.
        Dead,
    }
}

/// Which jobs to list.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "the names say it")]
pub struct JobFilter {
    pub kind: Option<String>,
    pub state: Option<JobState>,
    pub ids: Option<Vec<i64>>,
    pub limit: u32,
}

/// A live or finished job.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct JobRow {
    pub id: i64,
    pub kind: String,
    pub key: Option<String>,
    pub state: JobState,
    pub attempts: i32,
    /// The attempt after which the job is dead; `None` until its first claim.
    pub max_attempts: Option<i32>,
    pub run_at: DateTime<Utc>,
    pub last_error: Option<String>,
    pub group_key: Option<String>,
    pub priority: i16,
    pub worker: Option<String>,
    pub created_at: DateTime<Utc>,
    /// The start of the last attempt.
    pub started_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
}

impl Store {
    /// Lists jobs: live ones before finished ones, each newest first.
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

    /// Lists the live and finished jobs of a kind with this key, oldest first.
    pub async fn jobs_of(&self, kind: &str, key: &str) -> Result<Vec<JobRow>> {
        let rows = sqlx::query_as!(
            JobRow,
            r#"select id as "id!", kind as "kind!", key, state as "state!: JobState", attempts as "attempts!", max_attempts,
                   run_at as "run_at!", last_error, group_key, priority as "priority!", worker,
                   created_at as "created_at!", started_at, finished_at
               from (
                   select id, kind, key, case state when 'blocked' then 'scheduled' else state end as state, attempts,
                       max_attempts, run_at, last_error, group_key, priority, worker, created_at, started_at,
                       null::timestamptz as finished_at
                   from shopkeeper.job where kind = $1 and key = $2
                   union all
                   select id, kind, key, outcome, attempts, max_attempts, run_at, error, group_key, priority, worker,
                       created_at, started_at, finished_at
                   from shopkeeper.job_history
                   where kind = $1 and key = $2 and kind in ('answer_question', 'deliver_webhook')
               ) as jobs
               order by id limit 20"#,
            kind,
            key,
        );
        Ok(rows.fetch_all(&self.pool.by_values()).await?)
    }

    /// Reads the payload of a live or finished job. It may quote customers, so it is shown for one job at a time.
    pub async fn job_payload(&self, id: i64) -> Result<Option<Value>> {
        let payload = sqlx::query_scalar!(
            "select payload from shopkeeper.job where id = $1
             union all (select payload from shopkeeper.job_history where id = $1 order by finished_at desc limit 1)
             limit 1",
            id,
        );
        Ok(payload.fetch_optional(&self.pool).await?.flatten())
    }
}
