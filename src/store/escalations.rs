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
    /// `open`, `acknowledged` or `resolved`.
    pub status: String,
    /// Why a human is asked for.
    pub reason: String,
    /// Since when.
    pub created_at: DateTime<Utc>,
    /// When a human took it.
    pub acked_at: Option<DateTime<Utc>>,
    /// Who took it in the console.
    pub claimed_by: Option<String>,
    /// When it was answered or given back.
    pub resolved_at: Option<DateTime<Utc>>,
    /// Whose it is.
    pub client: String,
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
        self.read_escalations(client, Some(status), None, after, limit, true).await
    }

    /// As [`escalations`](Self::escalations), without the conversations.
    pub async fn escalation_rows(
        &self,
        status: EscalationStatus,
        after: Option<Uuid>,
        limit: u32,
    ) -> Result<Vec<Escalation>> {
        self.read_escalations(None, Some(status), None, after, limit, false).await
    }

    /// Reads one escalation.
    pub async fn escalation(&self, id: Uuid) -> Result<Option<Escalation>> {
        Ok(self.read_escalations(None, None, Some(id), None, 1, true).await?.pop())
    }

    async fn read_escalations(
        &self,
        client: Option<&str>,
        status: Option<EscalationStatus>,
        id: Option<Uuid>,
        after: Option<Uuid>,
        limit: u32,
        with_transcript: bool,
    ) -> Result<Vec<Escalation>> {
        let escalations = sqlx::query_scalar!(
            r#"select jsonb_build_object(
                   'object', 'escalation', 'id', escalation.id, 'status', escalation.status, 'reason', escalation.reason,
                   'created_at', escalation.created_at, 'acked_at', escalation.acked_at,
                   'claimed_by', escalation.claimed_by, 'resolved_at', escalation.resolved_at,
                   'client', escalation.client,
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
                           where $6 and turn.client = answer.client and turn.session_id = answer.session_id
                               and turn.seq <= answer.seq
                           order by seq desc limit 50
                       ) as turns
                   )
               ) as "escalation!: Json<Escalation>"
               from shopkeeper.escalation as escalation
               join shopkeeper.answer as answer on answer.id = escalation.answer_id
               where ($1::text is null or escalation.client = $1)
                   and ($2::text is null or escalation.status = $2)
                   and ($5::uuid is null or escalation.id = $5) and (
                   $3::uuid is null or (escalation.created_at, escalation.id) > (
                       select after.created_at, after.id from shopkeeper.escalation as after where after.id = $3
                   )
               )
               order by escalation.created_at, escalation.id limit $4"#,
            client,
            status.map(<&str>::from),
            after,
            i64::from(limit),
            id,
            with_transcript,
        );
        let escalations = escalations.fetch_all(&self.pool.by_values()).await?;
        Ok(escalations.into_iter().map(|escalation| escalation.0).collect())
    }

    /// Acknowledges an escalation of this client, or of any, unless it is resolved. Returns how it is now; `None` if there
    /// is no such escalation.
    pub async fn acknowledge(&self, client: Option<&str>, id: Uuid) -> Result<Option<EscalationStatus>> {
        let status = sqlx::query_scalar!(
            r#"update shopkeeper.escalation
               set status = case status when 'open' then 'acknowledged' else status end,
                   acked_at = coalesce(acked_at, now())
               where ($1::text is null or client = $1) and id = $2
               returning status as "status: EscalationStatus""#,
            client,
            id,
        );
        Ok(status.fetch_optional(&self.pool).await?)
    }

    /// Takes an escalation for a human, and its session from the bot; returns false if it is resolved or another human's.
    pub async fn claim_escalation(&self, id: Uuid, human: &str) -> Result<bool> {
        let claimed =
            sqlx::query_scalar!(r#"select shopkeeper.claim_escalation($1, $2) as "claimed!""#, id, human);
        Ok(claimed.fetch_one(&self.pool).await?)
    }

    /// Ends an escalation without an answer, and gives its session back; returns false if it is resolved or unknown.
    pub async fn hand_back(&self, id: Uuid) -> Result<bool> {
        let resolved = sqlx::query_scalar!(r#"select shopkeeper.hand_back($1) as "resolved!""#, id);
        Ok(resolved.fetch_one(&self.pool).await?)
    }

    /// Replies to a question as a human, which resolves the escalation; without one, in a session that a human has. Unless
    /// the human stays, the bot has the session afterwards. Returns the id of the answer; `None` if nothing was to be
    /// replied to.
    pub async fn reply_as_human(
        &self,
        question: Uuid,
        escalation: Option<Uuid>,
        text: &str,
        author: &str,
        stays: bool,
    ) -> Result<Option<Uuid>> {
        let answer = sqlx::query_scalar!(
            "select shopkeeper.reply_as_human($1, $2, $3, $4, $5)",
            question,
            escalation,
            text,
            author,
            stays,
        );
        Ok(answer.fetch_one(&self.pool).await?)
    }
}
