//! Questions that were accepted, and their answers.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::{Store, StoreError, jobs, jobs::Lease, usage::Cost};
use crate::model::{Message, Role};

/// A question as a caller asks it.
#[derive(Clone, Debug, Default)]
pub struct NewQuestion {
    /// What is asked.
    pub question: String,
    /// The conversation it belongs to.
    pub session_id: Option<String>,
    /// The caller's name for this very question.
    pub idempotency_key: Option<String>,
    /// The sources that may be searched; none is all.
    pub sources: Option<Vec<String>>,
    /// Handed back with the answer.
    pub metadata: Value,
}

/// A question that a worker has taken.
#[derive(Clone, Debug)]
pub struct Taken {
    /// What is asked.
    pub question: String,
    /// The conversation it belongs to.
    pub session_id: Option<String>,
    /// Its place in the order of questions.
    pub seq: i64,
    /// The sources that may be searched; none is all.
    pub sources: Option<Vec<String>>,
}

/// What is written when a question is settled.
#[derive(Clone, Debug, Default)]
pub struct Settled {
    /// A terminal status.
    pub status: &'static str,
    /// What came of it.
    pub outcome: Option<&'static str>,
    /// What was searched for.
    pub standalone_question: Option<String>,
    /// `{text, language, finish_reason}`.
    pub answer: Option<Value>,
    /// The passages, as callers see them.
    pub sources: Value,
    /// What the text cites.
    pub citations: Value,
    /// Of the nearest passage.
    pub nearest_distance: Option<f64>,
    /// What it was compared with.
    pub escalation_threshold: f64,
    /// Why a human is asked for, if one is.
    pub escalation: Option<&'static str>,
    /// `{checked, unsupported_numbers, invalid_citations}`.
    pub grounding: Option<Value>,
    /// Tokens and money, as callers see them.
    pub usage: Option<Value>,
    /// The same, to be added to the day's.
    pub cost: Option<Cost>,
    /// Why there is no answer.
    pub error: Option<String>,
}

/// The answer object, the same for every caller.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "the fields are the contract of the API and are described in the manual")]
pub struct AnswerObject {
    pub id: Uuid,
    pub object: &'static str,
    pub session_id: Option<String>,
    pub seq: i64,
    pub status: String,
    pub outcome: Option<String>,
    pub question: String,
    pub standalone_question: Option<String>,
    pub answer: Option<Value>,
    pub sources: Value,
    pub citations: Value,
    pub confidence: Option<f64>,
    pub nearest_distance: Option<f64>,
    pub escalation_threshold: Option<f64>,
    pub needs_escalation: bool,
    pub escalation: Option<Value>,
    pub grounding: Option<Value>,
    pub usage: Option<Value>,
    pub attempt: i32,
    pub error: Option<String>,
    pub created_at: DateTime<Utc>,
    pub started_at: Option<DateTime<Utc>>,
    pub completed_at: Option<DateTime<Utc>>,
    pub metadata: Value,
}

impl AnswerObject {
    /// Whether nothing more will happen to it.
    pub fn is_settled(&self) -> bool {
        !matches!(self.status.as_str(), "queued" | "in_progress")
    }
}

impl Store {
    /// Accepts a question and enqueues its job, in one statement.
    pub async fn ask(&self, question: &NewQuestion) -> Result<Uuid, StoreError> {
        let id = sqlx::query_scalar!(
            r#"select shopkeeper.ask($1, $2, $3, $4, $5) as "id!""#,
            question.question,
            question.session_id,
            question.idempotency_key,
            question.sources.as_deref(),
            question.metadata,
        );
        Ok(id.fetch_one(&self.pool).await?)
    }

    /// Reads an answer in its present state.
    pub async fn answer(&self, id: Uuid) -> Result<Option<AnswerObject>, StoreError> {
        let row = sqlx::query!("select * from shopkeeper.answer where id = $1", id)
            .fetch_optional(&self.pool)
            .await?;
        let Some(row) = row else { return Ok(None) };
        let escalation = row
            .escalation_reason
            .map(|reason| serde_json::json!({ "id": row.id, "reason": reason, "status": "open" }));
        Ok(Some(AnswerObject {
            id: row.id,
            object: "answer",
            session_id: row.session_id,
            seq: row.seq,
            status: row.status,
            outcome: row.outcome,
            question: row.question,
            standalone_question: row.standalone_question,
            answer: row.answer,
            sources: row.sources,
            citations: row.citations,
            confidence: row.nearest_distance.map(crate::answer::confidence),
            nearest_distance: row.nearest_distance,
            escalation_threshold: row.escalation_threshold,
            needs_escalation: row.needs_escalation,
            escalation,
            grounding: row.grounding,
            usage: row.usage,
            attempt: row.attempt,
            error: row.error,
            created_at: row.created_at,
            started_at: row.started_at,
            completed_at: row.completed_at,
            metadata: row.metadata,
        }))
    }

    /// Takes a question for answering; nothing when it is settled already or was erased. One that failed has
    /// a job again only when somebody wants it retried.
    pub async fn take_question(&self, id: Uuid, attempt: u32) -> Result<Option<Taken>, StoreError> {
        let taken = sqlx::query_as!(
            Taken,
            "update shopkeeper.answer
             set status = 'in_progress', attempt = $2, started_at = coalesce(started_at, now()), completed_at = null,
                 error = null, needs_escalation = false, escalation_reason = null
             where id = $1 and status in ('queued', 'in_progress', 'failed')
             returning question, session_id, seq, sources_filter as sources",
            id,
            i32::try_from(attempt).unwrap_or(i32::MAX),
        );
        Ok(taken.fetch_optional(&self.pool).await?)
    }

    /// Reads the last messages of a session before a question, oldest first.
    pub async fn history(
        &self,
        session: &str,
        before: i64,
        messages: u32,
    ) -> Result<Vec<Message>, StoreError> {
        let turns = sqlx::query!(
            r#"select question, answer ->> 'text' as text from shopkeeper.answer
               where session_id = $1 and seq < $2 order by seq desc limit $3"#,
            session,
            before,
            i64::from(messages.div_ceil(2)),
        )
        .fetch_all(&self.pool)
        .await?;
        let mut history = Vec::new();
        for turn in turns.into_iter().rev() {
            history.push(Message { role: Role::User, content: turn.question });
            history.extend(turn.text.map(|content| Message { role: Role::Assistant, content }));
        }
        history.drain(..history.len().saturating_sub(messages as usize));
        Ok(history)
    }

    /// Settles a question and completes its job, all or nothing, and tells those who listen.
    pub async fn settle(&self, id: Uuid, settled: &Settled, lease: Lease) -> Result<(), StoreError> {
        let mut transaction = self.pool.begin().await?;
        jobs::complete(&mut transaction, lease).await?;
        sqlx::query!(
            "with settled as (
                 update shopkeeper.answer
                 set status = $2, outcome = $3, standalone_question = $4, answer = $5, sources = $6, citations = $7,
                     nearest_distance = $8, escalation_threshold = $9, needs_escalation = $10::text is not null,
                     escalation_reason = $10, grounding = $11, usage = $12, error = $13, completed_at = now()
                 where id = $1 and status = 'in_progress'
                 returning id
             )
             select pg_notify('shopkeeper_answer', id::text) from settled",
            id,
            settled.status,
            settled.outcome,
            settled.standalone_question,
            settled.answer,
            settled.sources,
            settled.citations,
            settled.nearest_distance,
            settled.escalation_threshold,
            settled.escalation,
            settled.grounding,
            settled.usage,
            settled.error,
        )
        .fetch_optional(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(())
    }
}
