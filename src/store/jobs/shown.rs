//! Jobs as the console lists them: live ones, or finished ones, by a filter, page by page.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{JobRow, JobState};
use crate::store::{Result, Store};

/// Which jobs; what is `None` matches all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct JobsShown {
    pub kind: Option<String>,
    pub state: Option<JobState>,
    pub key: Option<String>,
    /// The class of the error, as [`ErrorGroup::class`].
    pub error: Option<String>,
    /// One error of this class, for people; it filters nothing.
    #[serde(default)]
    pub example: Option<String>,
    /// Only those that are older than this many minutes, since they were enqueued or ended.
    pub older: Option<u32>,
}

/// A place in a list of jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobPlace {
    /// When the job ended; `None` for live ones.
    pub at: Option<DateTime<Utc>>,
    /// The job.
    pub id: i64,
}

/// Dead jobs that failed for the same reason.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub struct ErrorGroup {
    /// A hash of the error without its numbers and ids.
    pub class: String,
    pub kind: String,
    /// The last error.
    pub error: String,
    pub first_at: DateTime<Utc>,
    pub last_at: DateTime<Utc>,
    /// Counted up to a limit.
    pub jobs: i64,
}

/// The most jobs of an error that are counted.
const MOST_COUNTED: i64 = 10_001;

impl JobsShown {
    /// Whether finished jobs are asked for.
    pub fn is_finished(&self) -> bool {
        matches!(self.state, Some(JobState::Done | JobState::Cancelled | JobState::Dead))
    }

    /// The state of a live job in the table, and whether its kind must be paused.
    pub(super) fn live_state(&self) -> (Option<&'static str>, Option<bool>) {
        match self.state {
            Some(JobState::Ready) => (Some("ready"), Some(false)),
            Some(JobState::Paused) => (Some("ready"), Some(true)),
            Some(JobState::Scheduled) => (Some("scheduled"), None),
            Some(JobState::Running) => (Some("running"), None),
            _ => (None, None),
        }
    }
}

impl Store {
    /// Lists jobs, newest first: finished ones if the filter asks for them, else live ones.
    pub async fn jobs_shown(
        &self,
        filter: &JobsShown,
        before: Option<JobPlace>,
        limit: u32,
    ) -> Result<Vec<JobRow>> {
        if filter.is_finished() {
            return self.finished_jobs(filter, before, limit).await;
        }
        let (state, paused) = filter.live_state();
        let rows = sqlx::query_as!(
            JobRow,
            r#"select id, kind, key,
                   case
                       when state = 'blocked' then 'scheduled'
                       when state = 'ready' and kind in
                           (select kind from shopkeeper.queue_kind where paused_at is not null) then 'paused'
                       else state
                   end as "state!: JobState",
                   attempts, max_attempts, run_at, last_error, group_key, priority, worker, created_at, started_at,
                   null::timestamptz as finished_at
               from shopkeeper.job
               where ($1::text is null or kind = $1)
                   and ($2::text is null or state = $2 or $2 = 'scheduled' and state = 'blocked')
                   and ($3::boolean is null or $3 = (
                       kind in (select kind from shopkeeper.queue_kind where paused_at is not null)
                   ))
                   and ($4::text is null or key = $4 collate "C")
                   and ($5::integer is null or created_at < now() - make_interval(mins => $5))
                   and ($6::bigint is null or id < $6)
               order by id desc limit $7"#,
            filter.kind,
            state,
            paused,
            filter.key,
            filter.older.map(minutes),
            before.map(|place| place.id),
            i64::from(limit),
        );
        Ok(rows.fetch_all(&self.pool.by_values()).await?)
    }

    async fn finished_jobs(
        &self,
        filter: &JobsShown,
        before: Option<JobPlace>,
        limit: u32,
    ) -> Result<Vec<JobRow>> {
        let rows = sqlx::query_as!(
            JobRow,
            r#"select id, kind, key, outcome as "state!: JobState", attempts, max_attempts, run_at, error as last_error,
                   group_key, priority, worker, created_at, started_at, finished_at
               from shopkeeper.job_history
               where outcome = $1 and ($2::text is null or kind = $2)
                   and ($3::text is null or key = $3 collate "C") and ($4::text is null or error_class = $4)
                   and ($5::integer is null or finished_at < now() - make_interval(mins => $5))
                   and ($6::timestamptz is null or finished_at <= $6 and (finished_at, id) < ($6, $7::bigint))
               order by finished_at desc, id desc limit $8"#,
            filter.state.map(<&str>::from),
            filter.kind,
            filter.key,
            filter.error,
            filter.older.map(minutes),
            before.and_then(|place| place.at),
            before.map(|place| place.id),
            i64::from(limit),
        );
        Ok(rows.fetch_all(&self.pool.by_values()).await?)
    }

    /// Groups dead jobs by their errors, the last seen first.
    pub async fn error_groups(&self, limit: u32) -> Result<Vec<ErrorGroup>> {
        // One look-up in the index for each class, however many jobs it has.
        let groups = sqlx::query_as!(
            ErrorGroup,
            r#"with recursive class as (
                   (select error_class from shopkeeper.job_history
                    where outcome = 'dead' and error_class is not null order by error_class limit 1)
                   union all
                   select (
                       select next.error_class from shopkeeper.job_history as next
                       where next.outcome = 'dead' and next.error_class > class.error_class
                       order by next.error_class limit 1
                   )
                   from class where class.error_class is not null
               ), known as (select error_class from class where error_class is not null limit 200)
               select known.error_class as "class!", last.kind as "kind!", last.error as "error!",
                   first.finished_at as "first_at!", last.finished_at as "last_at!", counted.jobs as "jobs!"
               from known
               cross join lateral (
                   select kind, left(error, 500) as error, finished_at from shopkeeper.job_history as job
                   where outcome = 'dead' and job.error_class = known.error_class
                   order by finished_at desc, id desc limit 1
               ) as last
               cross join lateral (
                   select finished_at from shopkeeper.job_history as job
                   where outcome = 'dead' and job.error_class = known.error_class order by finished_at, id limit 1
               ) as first
               cross join lateral (
                   select count(*) as jobs from (
                       select from shopkeeper.job_history as job
                       where outcome = 'dead' and job.error_class = known.error_class limit $2
                   ) as all_of_it
               ) as counted
               order by last.finished_at desc limit $1"#,
            i64::from(limit),
            MOST_COUNTED,
        );
        Ok(groups.fetch_all(&self.pool.by_values()).await?)
    }
}

pub(super) fn minutes(minutes: u32) -> i32 {
    i32::try_from(minutes).unwrap_or(i32::MAX)
}
