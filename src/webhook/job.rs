//! Tells another service what became of an answer.
//!
//! The message was written with the result and is never written anew; here it is only sent, until the receiver has
//! it, says that it is gone, or the last of the waits is over.

use std::{collections::BTreeMap, time::Duration};

use serde::Deserialize;

use crate::{
    clock,
    job::{Attempt, Job, JobError, Outcome},
    store::{
        Store,
        deliveries::{DeliveryAttempt, DeliveryStatus},
        jobs::OnDead,
    },
    telemetry,
    webhook::{NotDelivered, Webhook},
};

/// How long is waited after each failure, as Standard Webhooks proposes.
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

/// The job.
pub struct DeliverWebhook {
    /// Where deliveries are.
    pub store: Store,
    /// The receivers of the settings, by name.
    pub webhooks: BTreeMap<String, Webhook>,
}

/// The job's key is the delivery's id; it has no other arguments.
#[derive(Clone, Debug, Deserialize)]
pub struct Payload {}

impl Job for DeliverWebhook {
    const KIND: &'static str = "deliver_webhook";
    const ON_DEAD: OnDead = OnDead::FailDeliveries;
    type Payload = Payload;

    async fn run(&self, _: Payload, attempt: &Attempt) -> Result<Outcome, JobError> {
        let id = attempt
            .key
            .parse()
            .map_err(|_| JobError::Dead(format!("not a delivery's id: {}", attempt.key)))?;
        let Some(delivery) = self.store.pending_delivery(id).await? else {
            return Ok(Outcome::Done(Vec::new()));
        };
        let Some(webhook) = self.webhooks.get(&delivery.webhook) else {
            // Another daemon may know it: one that was started with newer settings.
            let error = format!("the settings of this daemon have no webhook `{}`", delivery.webhook);
            return self.try_on(attempt, id, delivery.attempts, None, Duration::ZERO, error).await;
        };
        let result = webhook.deliver(id, &delivery.body, clock::now()).await;
        let code = match &result {
            Ok(code) | Err(NotDelivered::Refused { code, .. }) => Some(*code),
            Err(NotDelivered::Gone) => Some(410),
            Err(_) => None,
        };
        telemetry::delivered(&delivery.webhook, if result.is_ok() { "delivered" } else { "failed" });
        let error = match result {
            Ok(_) => return self.end(attempt, id, DeliveryStatus::Delivered, code, None).await,
            Err(error @ NotDelivered::Gone) => {
                return self.end(attempt, id, DeliveryStatus::Failed, code, Some(error.to_string())).await;
            }
            Err(error) => error,
        };
        let wanted = match &error {
            NotDelivered::Refused { retry_after, .. } => retry_after.unwrap_or_default(),
            _ => Duration::ZERO,
        };
        self.try_on(attempt, id, delivery.attempts, code, wanted, error.to_string()).await
    }
}

impl DeliverWebhook {
    /// Waits for the next attempt, when there is one.
    async fn try_on(
        &self,
        attempt: &Attempt,
        id: uuid::Uuid,
        attempts: u32,
        code: Option<u16>,
        wanted: Duration,
        error: String,
    ) -> Result<Outcome, JobError> {
        let Some(wait) = WAITS.get(attempts as usize) else {
            return self.end(attempt, id, DeliveryStatus::Failed, code, Some(error)).await;
        };
        let failed = DeliveryAttempt { status: DeliveryStatus::Pending, code, error: Some(error.clone()) };
        self.store.note_delivery(attempt.lease, id, &failed).await?;
        Err(JobError::Snooze { after: wanted.max(*wait), reason: error })
    }

    async fn end(
        &self,
        attempt: &Attempt,
        id: uuid::Uuid,
        status: DeliveryStatus,
        code: Option<u16>,
        error: Option<String>,
    ) -> Result<Outcome, JobError> {
        self.store.note_delivery(attempt.lease, id, &DeliveryAttempt { status, code, error }).await?;
        Ok(Outcome::Committed)
    }
}
