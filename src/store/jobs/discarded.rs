//! Dead jobs that an operator discarded. They can be restored for an hour.

use uuid::Uuid;

use crate::store::{Result, Store};

impl Store {
    pub(super) async fn discard(&self, ids: &[i64], action: Option<Uuid>) -> Result<u64> {
        let gone = sqlx::query!(
            "with gone as (
                 delete from shopkeeper.job_history as dead where outcome = 'dead' and id = any ($1)
                 returning id, to_jsonb(dead) as job
             )
             insert into shopkeeper.discarded_job (id, job, bulk_action) select id, job, $2 from gone
             on conflict (id) do update
             set job = excluded.job, bulk_action = excluded.bulk_action, discarded_at = excluded.discarded_at",
            ids,
            action,
        );
        Ok(gone.execute(&self.pool).await?.rows_affected())
    }

    /// Restores one batch of the jobs that were discarded within the last hour: these, those of a bulk action, or all.
    /// Returns their number.
    pub async fn restore_jobs(&self, ids: Option<&[i64]>, action: Option<Uuid>) -> Result<u64> {
        let restored = sqlx::query!(
            "with back as (
                 delete from shopkeeper.discarded_job where id in (
                     select id from shopkeeper.discarded_job
                     where discarded_at > now() - interval '1 hour'
                         and ($1::bigint[] is null or id = any ($1)) and ($2::uuid is null or bulk_action = $2)
                     limit 5000
                 )
                 returning job
             )
             insert into shopkeeper.job_history
                 (id, kind, key, group_key, payload, priority, outcome, error, rejected_by, attempts, max_attempts, worker,
                  traceparent, created_at, run_at, started_at, finished_at)
             select job.id, job.kind, job.key, job.group_key, job.payload, job.priority, job.outcome, job.error,
                 job.rejected_by, job.attempts, job.max_attempts, job.worker, job.traceparent, job.created_at, job.run_at,
                 job.started_at, job.finished_at
             from back cross join lateral jsonb_populate_record(null::shopkeeper.job_history, back.job) as job",
            ids,
            action,
        );
        Ok(restored.execute(&self.pool.by_values()).await?.rows_affected())
    }

    /// Counts the discarded jobs that can still be restored; of a bulk action, or of all. At most `most` are counted.
    pub async fn discarded_jobs(&self, action: Option<Uuid>, most: u32) -> Result<i64> {
        let count = sqlx::query_scalar!(
            r#"select count(*) as "count!" from (
                   select from shopkeeper.discarded_job
                   where discarded_at > now() - interval '1 hour' and ($1::uuid is null or bulk_action = $1) limit $2
               ) as discarded"#,
            action,
            i64::from(most),
        );
        Ok(count.fetch_one(&self.pool.by_values()).await?)
    }

    /// Deletes one batch of jobs that were discarded over an hour ago, for good; returns their number.
    pub async fn prune_discarded(&self) -> Result<u64> {
        let pruned = sqlx::query!(
            "delete from shopkeeper.discarded_job where id in (
                 select id from shopkeeper.discarded_job where discarded_at < now() - interval '1 hour' limit 10000
             )"
        );
        Ok(pruned.execute(&self.pool).await?.rows_affected())
    }
}
