//! Deliveries: messages to webhooks. A trigger writes them with the answer, and jobs send them.

use uuid::Uuid;

use super::{Result, Store, jobs, jobs::Lease};
use crate::words::words;

mod control;

pub use control::DeliveryShown;

/// A message to send.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Delivery {
    pub webhook: String,
    pub body: String,
    pub attempts: u32,
}

/// An attempt to send a message.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub struct DeliveryAttempt {
    pub status: DeliveryStatus,
    /// The HTTP status of the response.
    pub code: Option<u16>,
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

impl Store {
    /// Replaces the webhooks, each with the events that it wants.
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
        Ok(query.execute(&self.pool).await.map(drop)?)
    }

    /// Reads a message that was not delivered, even if it was given up, as its job may be run again.
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

    /// Records an attempt under the lease of its job, and completes the job unless the message will be sent again.
    pub async fn note_delivery(&self, lease: Lease, id: Uuid, attempt: &DeliveryAttempt) -> Result<()> {
        self.pool
            .transact(async |connection| {
                match attempt.status {
                    DeliveryStatus::Pending => jobs::require_held(connection, lease).await,
                    DeliveryStatus::Delivered | DeliveryStatus::Failed => {
                        jobs::complete(connection, lease).await
                    }
                }?;
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
                Ok(noted.execute(connection).await.map(drop)?)
            })
            .await
    }
}
