//! Questions that are handed over to a human.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::types::Json;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Result, Store};
use crate::answering::object::{EscalationStatus, Source, stored::or_default};

/// A question handed over to a human, with its context.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Escalation {
    /// `escalation`.
    pub object: String,
    /// Its id.
    pub id: Uuid,
    /// `open` or `acknowledged`.
    pub status: String,
    /// Why a human is asked for.
    pub reason: String,
    /// Since when.
    pub created_at: DateTime<Utc>,
    /// When a human took it.
    pub acked_at: Option<DateTime<Utc>>,
    /// The conversation.
    pub session_id: Option<String>,
    /// Whose it is.
    pub customer_id: Option<String>,
    /// The answer that it was made for.
    pub answer_id: Uuid,
    /// In the customer's words.
    pub question: String,
    /// What was searched for.
    pub standalone_question: Option<String>,
    /// What was found.
    #[serde(deserialize_with = "or_default")]
    pub sources: Vec<Source>,
    /// Cosine distance of the nearest passage, 0 to 2.
    #[serde(deserialize_with = "or_default")]
    pub nearest_distance: Option<f64>,
    /// What the model said, when it was withheld.
    pub draft: Option<String>,
    /// What was said to the customer.
    pub said: Option<String>,
    /// Why there is no answer.
    pub error: Option<String>,
    /// The conversation until then, oldest first.
    pub transcript: Vec<Turn>,
}

/// A question of a conversation, and what was said to it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Turn {
    /// In the customer's words.
    pub question: String,
    /// What was said to the customer.
    pub answer: Option<String>,
    /// When it was asked.
    pub created_at: DateTime<Utc>,
}

impl Store {
    /// Reads a page of the escalations of a client, or of all, oldest first, each with the context that a human needs.
    pub async fn escalations(
        &self,
        client: Option<&str>,
        status: EscalationStatus,
        after: Option<Uuid>,
        limit: u32,
    ) -> Result<Vec<Escalation>> {
        let escalations = sqlx::query_scalar!(
            r#"select jsonb_build_object(
                   'object', 'escalation', 'id', escalation.id, 'status', escalation.status, 'reason', escalation.reason,
                   'created_at', escalation.created_at, 'acked_at', escalation.acked_at,
                   'session_id', escalation.session_id, 'customer_id', answer.customer_id, 'answer_id', answer.id,
                   'question', answer.question, 'standalone_question', answer.standalone_question,
                   'sources', answer.sources, 'nearest_distance', answer.nearest_distance, 'draft', answer.draft,
                   'said', answer.answer ->> 'text', 'error', answer.error,
                   'transcript', (
                       select coalesce(jsonb_agg(turn order by seq), '[]') from (
                           select seq, jsonb_build_object(
                               'question', turn.question, 'answer', turn.answer ->> 'text', 'created_at', turn.created_at
                           ) as turn
                           from shopkeeper.answer as turn
                           where turn.client = answer.client and turn.session_id = answer.session_id
                               and turn.seq <= answer.seq
                           order by seq desc limit 50
                       ) as turns
                   )
               ) as "escalation!: Json<Escalation>"
               from shopkeeper.escalation as escalation
               join shopkeeper.answer as answer on answer.id = escalation.answer_id
               where ($1::text is null or escalation.client = $1) and escalation.status = $2 and (
                   $3::uuid is null or (escalation.created_at, escalation.id) > (
                       select after.created_at, after.id from shopkeeper.escalation as after where after.id = $3
                   )
               )
               order by escalation.created_at, escalation.id limit $4"#,
            client,
            <&str>::from(status),
            after,
            i64::from(limit),
        );
        let escalations = escalations.fetch_all(&self.pool.by_values()).await?;
        Ok(escalations.into_iter().map(|escalation| escalation.0).collect())
    }

    /// Acknowledges an escalation of this client, or of any; returns false if there is no such escalation.
    pub async fn acknowledge(&self, client: Option<&str>, id: Uuid) -> Result<bool> {
        let acknowledged = sqlx::query!(
            "update shopkeeper.escalation set status = 'acknowledged', acked_at = coalesce(acked_at, now())
             where ($1::text is null or client = $1) and id = $2",
            client,
            id,
        );
        Ok(acknowledged.execute(&self.pool).await?.rows_affected() > 0)
    }
}
