//! What other services are told: written with the result by a trigger, sent by jobs.

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use super::{Result, Store, jobs, jobs::Lease};
use crate::words::words;

/// A message that is to be sent.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The receiver's name in the settings.
    pub webhook: String,
    /// The message.
    pub body: String,
    /// How often it was sent.
    pub attempts: u32,
}

/// An attempt to send a message.
#[derive(Clone, Debug)]
pub struct DeliveryAttempt {
    /// Of the message after it.
    pub status: DeliveryStatus,
    /// The status code of the receiver's response.
    pub code: Option<u16>,
    /// Why it was not delivered.
    pub error: Option<String>,
}

words! {
    /// The states of a message.
    pub enum DeliveryStatus {
        /// It is sent, or sent again.
        Pending,
        /// The receiver has it.
        Delivered,
        /// It is given up.
        Failed,
    }
}

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
    /// Says which webhooks there are, and what each wants to be told.
    pub async fn note_webhooks(&self, webhooks: &[(String, Vec<String>)]) -> Result<()> {
        let names: Vec<_> = webhooks.iter().map(|(name, _)| name.clone()).collect();
        let events: Vec<_> = webhooks.iter().map(|(_, events)| events.join(",")).collect();
        let query = sqlx::query!(
            "with gone as (delete from shopkeeper.webhook where not name = any ($1))
             insert into shopkeeper.webhook (name, events)
             select name, string_to_array(events, ',') from unnest($1::text[], $2::text[]) as webhook (name, events)
             on conflict (name) do update set events = excluded.events",
            &names,
            &events,
        );
        query.execute(&self.pool).await?;
        Ok(())
    }

    /// Reads a message that the receiver does not have: also one that was given up, whose job is run again.
    pub async fn pending_delivery(&self, id: Uuid) -> Result<Option<Delivery>> {
        let row = sqlx::query!(
            "select webhook, body, attempts from shopkeeper.delivery where id = $1 and status <> 'delivered'",
            id
        );
        let row = row.fetch_optional(&self.pool).await?;
        Ok(row.map(|row| Delivery {
            webhook: row.webhook,
            body: row.body,
            attempts: row.attempts.unsigned_abs(),
        }))
    }

    /// Notes an attempt to send a message under the lease of its job, and completes the job unless the message is sent
    /// again.
    pub async fn note_delivery(&self, lease: Lease, id: Uuid, attempt: &DeliveryAttempt) -> Result<()> {
        self.pool
            .transact(async |connection| {
                match attempt.status {
                    DeliveryStatus::Pending => jobs::require_held(connection, lease).await?,
                    DeliveryStatus::Delivered | DeliveryStatus::Failed => {
                        jobs::complete(connection, lease).await?;
                    }
                }
                let noted = sqlx::query!(
                    "update shopkeeper.delivery
                     set status = $2, code = $3, error = $4, attempts = attempts + 1,
                         delivered_at = case when $2 = 'delivered' then now() end
                     where id = $1",
                    id,
                    <&str>::from(attempt.status),
                    attempt.code.map(i32::from),
                    attempt.error,
                );
                noted.execute(connection).await?;
                Ok(())
            })
            .await
    }

    /// Reads a page of messages, the newest first: of a status, and older than one, where these are given.
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

    /// Sends a message once more, unchanged and at once; returns false if there is none.
    pub async fn redeliver(&self, id: Uuid, kind: &str) -> Result<bool> {
        self.pool
            .transact(async |connection| {
                let known = sqlx::query!("select id from shopkeeper.delivery where id = $1", id)
                    .fetch_optional(&mut *connection);
                if known.await?.is_none() {
                    return Ok(false);
                }
                let key = id.to_string();
                jobs::enqueue(connection, kind, std::slice::from_ref(&key), &[serde_json::json!({})]).await?;
                jobs::hasten(connection, kind, &key).await?;
                sqlx::query!(
                "update shopkeeper.delivery set status = 'pending', attempts = 0, error = null where id = $1",
                id
            )
            .execute(connection)
            .await?;
                Ok(true)
            })
            .await
    }

    /// Deletes one batch of messages that are older than this and no longer pending; returns their number.
    pub async fn prune_deliveries(&self, older_than: std::time::Duration) -> Result<u64> {
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
