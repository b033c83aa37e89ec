//! Lists, repeats and deletes deliveries.

use std::{slice, time::Duration};

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use super::DeliveryStatus;
use crate::store::{Result, Store, jobs};

/// A message as operators see it.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub struct DeliveryShown {
    pub id: Uuid,
    pub webhook: String,
    pub event: String,
    pub answer_id: Uuid,
    pub status: DeliveryStatus,
    pub attempts: i32,
    pub code: Option<i32>,
    pub error: Option<String>,
    pub created_at: DateTime<Utc>,
    pub delivered_at: Option<DateTime<Utc>>,
}

impl Store {
    /// Reads a page of deliveries, newest first, older than `before`. A filter that is `None` matches all.
    pub async fn deliveries(
        &self,
        status: Option<DeliveryStatus>,
        before: Option<Uuid>,
        limit: u32,
    ) -> Result<Vec<DeliveryShown>> {
        let deliveries = sqlx::query_as!(
            DeliveryShown,
            r#"select id, webhook, event, answer_id, status as "status: DeliveryStatus", attempts, code, error, created_at,
                 delivered_at
             from shopkeeper.delivery
             where ($1::text is null or status = $1) and (
                 $2::uuid is null
                 or (created_at, id) < (select before.created_at, before.id from shopkeeper.delivery as before where before.id = $2)
             )
             order by created_at desc, id desc limit $3"#,
            status.map(<&str>::from),
            before,
            i64::from(limit),
        );
        Ok(deliveries.fetch_all(&self.pool.by_values()).await?)
    }

    /// Sends a message again, unchanged and at once; returns false if there is none.
    pub async fn redeliver(&self, id: Uuid, kind: &str) -> Result<bool> {
        self.pool
            .transact(async |connection| {
                let known = sqlx::query!("select id from shopkeeper.delivery where id = $1", id)
                    .fetch_optional(&mut *connection);
                if known.await?.is_none() {
                    return Ok(false);
                }
                let key = id.to_string();
                jobs::enqueue(connection, kind, slice::from_ref(&key), &[json!({})], None).await?;
                jobs::make_due(connection, kind, &key).await?;
                let query = sqlx::query!(
                    "update shopkeeper.delivery set status = 'pending', attempts = 0, error = null where id = $1",
                    id
                );
                query.execute(connection).await?;
                Ok(true)
            })
            .await
    }

    /// Deletes one batch of deliveries older than this that are no longer pending; returns their number.
    pub async fn prune_deliveries(&self, older_than: Duration) -> Result<u64> {
        let pruned = sqlx::query!(
            "delete from shopkeeper.delivery where id in (
                 select id from shopkeeper.delivery
                 where created_at < now() - $1::interval and status <> 'pending' order by created_at limit 1000
             ) and status <> 'pending'",
            jobs::interval(older_than),
        );
        Ok(pruned.execute(&self.pool).await?.rows_affected())
    }
}
