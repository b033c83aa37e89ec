//! Commands of operators: retry, cancel and discard jobs.

use sqlx::PgConnection;

use crate::store::{Result, Store, listen::CANCELLED_JOB};

/// The jobs that an operator's command applies to.
#[derive(Clone, Debug)]
pub enum Selection {
    /// The jobs with these ids.
    Ids(Vec<i64>),
    /// All dead jobs of a kind.
    Dead {
        /// Its name.
        kind: String,
    },
}

/// Jobs in one transaction. Enqueueing locks the group of each; PostgreSQL has room for a few thousand locks.
const BATCH: usize = 500;

impl Store {
    /// Runs jobs again: dead ones return to the queue with all their attempts, delayed ones become due. Skips a dead
    /// job whose key has been enqueued again since. Returns the number of jobs.
    pub async fn retry_jobs(&self, selection: &Selection) -> Result<u64> {
        self.in_batches(selection, async |ids| self.retry(ids).await).await
    }

    pub(super) async fn retry(&self, ids: &[i64]) -> Result<u64> {
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
    }

    /// Works on jobs in batches of one transaction each, which limits the locks. Leaves out jobs that die meanwhile.
    async fn in_batches(&self, jobs: &Selection, work: impl AsyncFn(&[i64]) -> Result<u64>) -> Result<u64> {
        let ids = match jobs {
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
        let mut count = 0;
        for batch in ids.chunks(BATCH) {
            count += work(batch).await?;
        }
        Ok(count)
    }

    /// Cancels waiting and running jobs; returns their number. A running job's writes become void; its worker stops it.
    pub async fn cancel_jobs(&self, ids: &[i64]) -> Result<u64> {
        let selection = Selection::Ids(ids.to_vec());
        self.in_batches(&selection, async |ids| self.cancel(ids).await).await
    }

    pub(super) async fn cancel(&self, ids: &[i64]) -> Result<u64> {
        self.pool.transact(async |connection| cancel(connection, ids).await).await
    }

    /// Discards dead jobs, which can be restored for an hour; returns their number.
    pub async fn discard_jobs(&self, selection: &Selection) -> Result<u64> {
        self.in_batches(selection, async |ids| self.discard(ids, None).await).await
    }
}

pub(super) async fn cancel(connection: &mut PgConnection, ids: &[i64]) -> Result<u64> {
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
