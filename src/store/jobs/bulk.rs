//! Actions on all jobs that match a filter.
//!
//! The jobs are frozen when they are counted: later ones, and those that end later, are left alone. An action takes them in
//! batches, in their order, and records its place with each batch.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, types::Json};
use uuid::Uuid;

use super::{JobsShown, NewJob, shown::minutes};
use crate::{
    store::{Result, Store, listen::CONSOLE},
    words::words,
};

words! {
    /// What operators do with jobs.
    pub enum JobAction {
        /// Run dead ones again.
        Retry,
        /// Cancel live ones.
        Cancel,
        /// Discard dead ones.
        Discard,
    }
}

words! {
    /// The states of a bulk action.
    pub enum BulkState {
        /// It goes on.
        Running,
        /// All jobs were seen.
        Done,
        /// An operator ended it.
        Cancelled,
    }
}

/// The jobs that a filter matched at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Frozen {
    pub filter: JobsShown,
    /// Jobs that ended later are left alone.
    pub until: DateTime<Utc>,
    /// Jobs that were enqueued later are left alone.
    pub last_id: i64,
    /// What was committed then.
    pub snapshot: String,
    /// How many they were.
    pub counted: i64,
}

/// An action on frozen jobs, to be started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Bulk {
    pub id: Uuid,
    pub action: JobAction,
    #[serde(flatten)]
    pub jobs: Frozen,
}

/// An action on frozen jobs, and how far it is.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub struct BulkAction {
    pub id: Uuid,
    pub action: JobAction,
    pub filter: Json<JobsShown>,
    pub until: DateTime<Utc>,
    pub last_id: i64,
    pub snapshot: String,
    pub counted: i64,
    /// The number of jobs that it changed.
    pub done: i64,
    pub place_at: Option<DateTime<Utc>>,
    pub place_id: Option<i64>,
    pub state: BulkState,
    pub actor: String,
    pub created_at: DateTime<Utc>,
    pub ended_at: Option<DateTime<Utc>>,
}

/// Jobs in one transaction.
const BATCH: i64 = 500;

impl Store {
    /// Counts the jobs that a filter matches now, exactly.
    pub async fn freeze_jobs(&self, filter: JobsShown) -> Result<Frozen> {
        if filter.is_finished() {
            let row = sqlx::query!(
                r#"select count(*) as "counted!", now() as "until!", coalesce(max(id), 0) as "last_id!",
                   pg_current_snapshot()::text as "snapshot!"
                   from shopkeeper.job_history
                   where outcome = $1 and ($2::text is null or kind = $2) and ($3::text is null or key = $3 collate "C")
                       and ($4::text is null or error_class = $4)
                       and ($5::integer is null or finished_at < now() - make_interval(mins => $5))
                       and finished_at <= now()"#,
                filter.state.map(<&str>::from),
                filter.kind,
                filter.key,
                filter.error,
                filter.older.map(minutes),
            );
            let row = row.fetch_one(&self.pool.by_values()).await?;
            return Ok(Frozen {
                filter,
                until: row.until,
                last_id: row.last_id,
                snapshot: row.snapshot,
                counted: row.counted,
            });
        }
        let (state, paused) = filter.live_state();
        let row = sqlx::query!(
            r#"select count(*) as "counted!", now() as "until!", coalesce(max(id), 0) as "last_id!",
                   pg_current_snapshot()::text as "snapshot!"
               from shopkeeper.job
               where ($1::text is null or kind = $1)
                   and ($2::text is null or state = $2 or $2 = 'scheduled' and state = 'blocked')
                   and ($3::boolean is null or $3 = (
                       kind in (select kind from shopkeeper.queue_kind where paused_at is not null)
                   ))
                   and ($4::text is null or key = $4 collate "C")
                   and ($5::integer is null or created_at < now() - make_interval(mins => $5))"#,
            filter.kind,
            state,
            paused,
            filter.key,
            filter.older.map(minutes),
        );
        let row = row.fetch_one(&self.pool.by_values()).await?;
        Ok(Frozen {
            filter,
            until: row.until,
            last_id: row.last_id,
            snapshot: row.snapshot,
            counted: row.counted,
        })
    }

    /// Changes these jobs, a page or a batch of them, in one transaction; returns their number.
    pub async fn change_jobs(&self, action: JobAction, ids: &[i64], bulk: Option<Uuid>) -> Result<u64> {
        match action {
            JobAction::Retry => self.retry(ids).await,
            JobAction::Cancel => self.cancel(ids).await,
            JobAction::Discard => self.discard(ids, bulk).await,
        }
    }

    /// Starts a bulk action; one that was started before, as by a button pressed twice, is left as it is. Returns whether
    /// it is new.
    pub async fn start_bulk(&self, bulk: &Bulk, actor: &str, job: NewJob) -> Result<bool> {
        self.pool
            .transact(async |connection| {
                let started = sqlx::query!(
                    "insert into shopkeeper.bulk_action (id, action, filter, until, last_id, snapshot, counted, actor)
                     values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict (id) do nothing",
                    bulk.id,
                    <&str>::from(bulk.action),
                    // An error may quote what customers wrote, and would stay here after their erasure.
                    Json(JobsShown { example: None, ..bulk.jobs.filter.clone() }) as _,
                    bulk.jobs.until,
                    bulk.jobs.last_id,
                    bulk.jobs.snapshot,
                    bulk.jobs.counted,
                    actor,
                );
                if started.execute(&mut *connection).await?.rows_affected() == 0 {
                    return Ok(false);
                }
                super::enqueue(connection, job.kind, &[job.key], &[job.payload], None).await?;
                Ok(true)
            })
            .await
    }

    /// Reads a bulk action.
    pub async fn bulk_action(&self, id: Uuid) -> Result<Option<BulkAction>> {
        let action = sqlx::query_as!(
            BulkAction,
            r#"select id, action as "action: JobAction", filter as "filter: Json<JobsShown>", until, last_id, snapshot, counted, done,
                   place_at, place_id, state as "state: BulkState", actor, created_at, ended_at
               from shopkeeper.bulk_action where id = $1"#,
            id,
        );
        Ok(action.fetch_optional(&self.pool).await?)
    }

    /// Ends a bulk action that runs; returns false if it has ended. What was changed stays changed.
    pub async fn end_bulk(&self, id: Uuid, state: BulkState) -> Result<bool> {
        let ended = sqlx::query!(
            "update shopkeeper.bulk_action set state = $2, ended_at = now() where id = $1 and state = 'running'",
            id,
            <&str>::from(state),
        );
        Ok(ended.execute(&self.pool).await?.rows_affected() > 0)
    }

    /// Does the next batch of a bulk action; returns whether there may be more.
    pub async fn next_of_bulk(&self, bulk: &BulkAction) -> Result<bool> {
        if !bulk.filter.is_finished() {
            return self.pool.transact(async |connection| cancel_batch(connection, bulk).await).await;
        }
        let jobs = self.batch_of(bulk).await?;
        let Some((last_at, last_id)) = jobs.last().copied() else { return Ok(false) };
        let ids: Vec<_> = jobs.into_iter().map(|(_, id)| id).collect();
        let changed = self.change_jobs(bulk.action, &ids, Some(bulk.id)).await?;
        self.pool
            .run(async |connection| place(connection, bulk.id, changed, Some(last_at), last_id).await)
            .await?;
        Ok(true)
    }

    /// The next finished jobs, in the order of their ends and numbers.
    async fn batch_of(&self, bulk: &BulkAction) -> Result<Vec<(DateTime<Utc>, i64)>> {
        let filter = &bulk.filter.0;
        let jobs = sqlx::query!(
            r#"select finished_at, id from shopkeeper.job_history
               where outcome = $1 and ($2::text is null or kind = $2) and ($3::text is null or key = $3 collate "C")
                   and ($4::text is null or error_class = $4)
                   and ($6::integer is null or finished_at < $5::timestamptz - make_interval(mins => $6))
                   and finished_at <= $5 and id <= $7
                   and ($8::timestamptz is null or finished_at >= $8 and (finished_at, id) > ($8, $9::bigint))
               order by finished_at, id limit $10"#,
            filter.state.map(<&str>::from),
            filter.kind,
            filter.key,
            filter.error,
            bulk.until,
            filter.older.map(minutes),
            bulk.last_id,
            bulk.place_at,
            bulk.place_id,
            BATCH,
        );
        let jobs = jobs.fetch_all(&self.pool.by_values()).await?;
        Ok(jobs.into_iter().map(|job| (job.finished_at, job.id)).collect())
    }
}

/// Cancels the next live jobs. One that waits and was changed since the count, or that runs since then, is another one by now:
/// it need not have matched.
async fn cancel_batch(connection: &mut PgConnection, bulk: &BulkAction) -> Result<bool> {
    let filter = &bulk.filter.0;
    let (state, paused) = filter.live_state();
    // Ages of transactions count from this one, now that it has a number.
    let this = sqlx::query_scalar!(r#"select pg_current_xact_id()::text::bigint as "this!""#);
    let this = this.fetch_one(&mut *connection).await?;
    let ids = sqlx::query_scalar!(
        r#"select id from shopkeeper.job
           where ($1::text is null or kind = $1)
               and ($2::text is null or state = $2 or $2 = 'scheduled' and state = 'blocked')
               and ($3::boolean is null or $3 = (
                   kind in (select kind from shopkeeper.queue_kind where paused_at is not null)
               ))
               and ($4::text is null or key = $4 collate "C")
               and ($5::integer is null or created_at < $6::timestamptz - make_interval(mins => $5))
               and id <= $7 and id > coalesce($8::bigint, 0)
               and case state
                   when 'running' then started_at <= $6
                   else $2::text is null or pg_visible_in_snapshot(
                       ($11::bigint - age(job.xmin))::text::xid8, $10::text::pg_snapshot
                   )
               end
           order by id limit $9 for update"#,
        filter.kind,
        state,
        paused,
        filter.key,
        filter.older.map(minutes),
        bulk.until,
        bulk.last_id,
        bulk.place_id,
        BATCH,
        bulk.snapshot,
        this,
    );
    let ids = ids.fetch_all(&mut *connection).await?;
    let Some(last) = ids.last().copied() else { return Ok(false) };
    let changed = super::control::cancel(connection, &ids).await?;
    place(connection, bulk.id, changed, None, last).await?;
    Ok(true)
}

/// Records how far a bulk action is, and tells the console.
async fn place(
    connection: &mut PgConnection,
    action: Uuid,
    changed: u64,
    at: Option<DateTime<Utc>>,
    id: i64,
) -> Result<()> {
    let placed = sqlx::query!(
        "with placed as (
             update shopkeeper.bulk_action set done = done + $2, place_at = $3, place_id = $4 where id = $1
         )
         select pg_notify($5, '')",
        action,
        i64::try_from(changed).unwrap_or(i64::MAX),
        at,
        id,
        CONSOLE,
    );
    placed.fetch_one(connection).await?;
    Ok(())
}
