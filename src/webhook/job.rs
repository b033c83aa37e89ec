//! Delivers messages about answers to webhooks.
//!
//! A message is written with the result and never changes. It is sent until the receiver accepts it, is gone, or has
//! failed after the last wait.

use std::{collections::BTreeMap, time::Duration};

use serde::Deserialize;
use uuid::Uuid;

use crate::{
    clock,
    job::{Attempt, Job, JobError, Outcome},
    store::{
        Store,
        deliveries::{Delivery, DeliveryAttempt, DeliveryStatus},
        jobs::OnDead,
    },
    telemetry,
    webhook::{DeliveryError, Webhook},
};

/// The waits after each failure, as Standard Webhooks recommends.
const WAITS: [Duration; 9] = [
    Duration::from_secs(5),
    Duration::from_mins(5),
    Duration::from_mins(30),
    Duration::from_hours(2),
    Duration::from_hours(5),
    Duration::from_hours(10),
    Duration::from_hours(14),
    Duration::from_hours(20),
    Duration::from_hours(24),
];

/// Delivers messages.
#[expect(missing_docs, reason = "the names say it")]
pub struct DeliverWebhook {
    pub store: Store,
    pub webhooks: BTreeMap<String, Webhook>,
}

/// The job's key is the delivery's id; it has no other arguments.
#[derive(Clone, Debug, Deserialize)]
pub struct Payload {}

impl Job for DeliverWebhook {
    const KIND: &'static str = "deliver_webhook";
    const ON_DEAD: Option<OnDead> = Some(OnDead::Deliveries);
    type Payload = Payload;

    async fn run(&self, _: Payload, attempt: &Attempt) -> Result<Outcome, JobError> {
        let id = attempt
            .key
            .parse()
            .map_err(|_| JobError::Dead(format!("not a delivery's id: {}", attempt.key)))?;
        let Some(delivery) = self.store.pending_delivery(id).await? else {
            return Ok(Outcome::Done(Vec::new()));
        };
        let result = self.send(id, &delivery).await;
        let (status, wait) = match &result {
            Ok(_) => (DeliveryStatus::Delivered, None),
            Err(DeliveryError::Gone) => (DeliveryStatus::Failed, None),
            Err(error) => match WAITS.get(delivery.attempts as usize) {
                Some(wait) => (DeliveryStatus::Pending, Some(error.retry_after().max(*wait))),
                None => (DeliveryStatus::Failed, None),
            },
        };
        let code = result.as_ref().map_or_else(DeliveryError::code, |code| Some(*code));
        let error = result.err().map(|error| error.to_string());
        let noted = DeliveryAttempt { status, code, error: error.clone() };
        self.store.note_delivery(attempt.lease, id, &noted).await?;
        match wait.zip(error) {
            Some((after, reason)) => Err(JobError::Snooze { after, reason }),
            None => Ok(Outcome::Committed),
        }
    }
}

impl DeliverWebhook {
    async fn send(&self, id: Uuid, delivery: &Delivery) -> Result<u16, DeliveryError> {
        // Another daemon may know the webhook from newer settings.
        let webhook = self.webhooks.get(&delivery.webhook);
        let webhook = webhook.ok_or_else(|| DeliveryError::Unknown(delivery.webhook.clone()))?;
        let result = webhook.deliver(id, &delivery.body, clock::now()).await;
        telemetry::delivered(&delivery.webhook, if result.is_ok() { "delivered" } else { "failed" });
        result
    }
}
