//! Questions that were accepted, and their answers.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::{AssertSqlSafe, types::Json};
use uuid::Uuid;

use super::{Store, StoreError, jobs, jobs::Lease, usage::Cost};
use crate::{
    answer::Question,
    model::{Message, Role},
};

/// The client of those who ask on this machine, without a token.
pub const LOCAL: &str = "local";

/// A question that a worker has taken.
#[derive(Clone, Debug)]
pub struct Taken {
    /// Its id.
    pub id: Uuid,
    /// The service that asks.
    pub client: String,
    /// Its place in the order of questions.
    pub seq: i64,
    /// What is asked.
    pub asked: Question,
    /// The attempt that took it.
    pub lease: Lease,
}

/// What is written when a question is settled.
#[derive(Clone, Debug, Default)]
pub struct Settled {
    /// A terminal status.
    pub status: &'static str,
    /// What came of it.
    pub outcome: Option<&'static str>,
    /// Why the answer ends early, if it does.
    pub incomplete_reason: Option<&'static str>,
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
    /// `{checked, unsupported_numbers, invalid_citations, invalid_links}`.
    pub grounding: Option<Value>,
    /// Tokens and money, as callers see them.
    pub usage: Option<Value>,
    /// The same, to be added to the day's.
    pub cost: Option<Cost>,
    /// Why there is no answer.
    pub error: Option<String>,
}

/// The answer object, the same for every caller.
#[derive(Clone, Debug, Serialize, sqlx::FromRow)]
#[expect(missing_docs, reason = "the fields are the contract of the API and are described in the manual")]
pub struct AnswerObject {
    pub id: Uuid,
    pub object: String,
    pub session_id: Option<String>,
    pub seq: i64,
    pub status: String,
    pub outcome: Option<String>,
    pub incomplete_reason: Option<String>,
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

/// The columns of an [`AnswerObject`].
const OBJECT: &str = "id, 'answer' as object, session_id, seq, status, outcome, incomplete_reason, question,
    standalone_question, answer, sources, citations, greatest(0, least(1, 1 - nearest_distance)) as confidence,
    nearest_distance, escalation_threshold, needs_escalation,
    case when escalation_reason is not null then
        jsonb_build_object('id', id, 'reason', escalation_reason, 'status', 'open')
    end as escalation,
    grounding, usage, attempt, error, created_at, started_at, completed_at, metadata";

impl AnswerObject {
    /// Whether nothing more will happen to it.
    pub fn is_settled(&self) -> bool {
        !matches!(self.status.as_str(), "queued" | "in_progress")
    }
}

/// A conversation.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Session {
    pub id: String,
    pub customer_id: Option<String>,
    pub owner: String,
    pub created_at: DateTime<Utc>,
    pub active_at: DateTime<Utc>,
}

impl Store {
    /// Accepts a client's question. The same under the same key is the same question; another one is refused.
    pub async fn ask(
        &self,
        client: &str,
        idempotency_key: Option<&str>,
        question: &Question,
    ) -> Result<Uuid, StoreError> {
        let id = sqlx::query_scalar!(
            r#"select shopkeeper.accept_question($1, $2, $3) as "id!""#,
            client,
            idempotency_key,
            Json(question) as _,
        );
        Ok(id.fetch_one(&self.pool).await?)
    }

    /// A connection that hears of answers that are settled.
    pub async fn listen_to_answers(&self) -> Result<jobs::Listener, StoreError> {
        self.hear(&["shopkeeper_answer"]).await
    }

    /// Reads an answer in its present state.
    pub async fn answer(&self, id: Uuid) -> Result<Option<AnswerObject>, StoreError> {
        let statement = format!("select {OBJECT} from shopkeeper.answer where id = $1");
        Ok(sqlx::query_as(AssertSqlSafe(statement)).bind(id).fetch_optional(&self.pool).await?)
    }

    /// Reads a page of a client's answers, the newest first: those of a session, of a status, and before a
    /// place in the order of questions, where these are given.
    pub async fn answers(
        &self,
        client: &str,
        session: Option<&str>,
        status: Option<&str>,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<AnswerObject>, StoreError> {
        let statement = format!(
            "select {OBJECT} from shopkeeper.answer
             where client = $1 and ($2::text is null or session_id = $2) and ($3::text is null or status = $3)
                 and ($4::bigint is null or seq < $4)
             order by seq desc limit $5"
        );
        let answers = sqlx::query_as(AssertSqlSafe(statement)).bind(client).bind(session).bind(status);
        Ok(answers.bind(before).bind(i64::from(limit)).fetch_all(&self.pool).await?)
    }

    /// Reads a client's session.
    pub async fn session(&self, client: &str, id: &str) -> Result<Option<Session>, StoreError> {
        let session = sqlx::query_as!(
            Session,
            "select id, customer_id, owner, created_at, active_at from shopkeeper.session
             where client = $1 and id = $2",
            client,
            id,
        );
        Ok(session.fetch_optional(&self.pool).await?)
    }

    /// Takes a question for answering; nothing when it is settled already, was erased, or is not ours to answer:
    /// then it is settled as what it is. One that failed has a job again only when somebody wants it retried.
    pub async fn take_question(
        &self,
        id: Uuid,
        attempt: u32,
        lease: Lease,
    ) -> Result<Option<Taken>, StoreError> {
        let ended = sqlx::query!("select shopkeeper.end_untaken($1)", id);
        ended.fetch_one(&self.pool).await?;
        let taken = sqlx::query!(
            r#"update shopkeeper.answer
               set status = 'in_progress', attempt = $2, fence = $3, started_at = coalesce(started_at, now()),
                   completed_at = null, error = null, needs_escalation = false, escalation_reason = null
               where id = $1 and status in ('queued', 'in_progress', 'failed')
               returning client, seq, request as "asked: Json<Question>""#,
            id,
            i32::try_from(attempt).unwrap_or(i32::MAX),
            lease.fence,
        );
        let taken = taken.fetch_optional(&self.pool).await?;
        Ok(taken.map(|row| Taken { id, client: row.client, seq: row.seq, asked: row.asked.0, lease }))
    }

    /// Whether a question still waits for the answer of the attempt that took it.
    pub async fn is_wanted(&self, taken: &Taken) -> Result<bool, StoreError> {
        let wanted = sqlx::query_scalar!(
            r#"select exists (
                   select from shopkeeper.answer where id = $1 and status = 'in_progress' and fence = $2
               ) as "wanted!""#,
            taken.id,
            taken.lease.fence,
        );
        Ok(wanted.fetch_one(&self.pool).await?)
    }

    /// Ends questions that are past their time; says how many.
    pub async fn end_overdue_answers(&self) -> Result<u64, StoreError> {
        let ended = sqlx::query_scalar!(r#"select shopkeeper.end_overdue_answers() as "ended!""#);
        Ok(ended.fetch_one(&self.pool).await?.unsigned_abs())
    }

    /// Cancels a client's question; false when it is settled already.
    pub async fn cancel_answer(&self, id: Uuid) -> Result<bool, StoreError> {
        let ended = sqlx::query_scalar!(
            r#"select shopkeeper.end_answers(array[$1::uuid], 'cancelled') > 0 as "ended!""#,
            id,
        );
        Ok(ended.fetch_one(&self.pool).await?)
    }

    /// Notes what a customer thinks of a client's answer; false when there is no such answer.
    pub async fn rate_answer(
        &self,
        client: &str,
        id: Uuid,
        rating: &str,
        comment: Option<&str>,
    ) -> Result<bool, StoreError> {
        let rated = sqlx::query_scalar!(
            r#"select shopkeeper.rate_answer($1, $2, $3, $4) as "rated!""#,
            client,
            id,
            rating,
            comment,
        );
        Ok(rated.fetch_one(&self.pool).await?)
    }

    /// Says who answers in a client's session; false when there is no such session.
    pub async fn set_owner(&self, client: &str, session: &str, owner: &str) -> Result<bool, StoreError> {
        let set = sqlx::query!(
            "update shopkeeper.session set owner = $3 where client = $1 and id = $2",
            client,
            session,
            owner,
        );
        Ok(set.execute(&self.pool).await?.rows_affected() > 0)
    }

    /// Removes a client's session and all that came of it; says how many questions.
    pub async fn erase_session(&self, client: &str, session: &str) -> Result<u64, StoreError> {
        let erased =
            sqlx::query_scalar!(r#"select shopkeeper.erase_session($1, $2) as "erased!""#, client, session);
        Ok(erased.fetch_one(&self.pool).await?.unsigned_abs())
    }

    /// Removes all that came of a client's customer; says how many questions.
    pub async fn erase_customer(&self, client: &str, customer: &str) -> Result<u64, StoreError> {
        let erased =
            sqlx::query_scalar!(r#"select shopkeeper.erase_customer($1, $2) as "erased!""#, client, customer);
        Ok(erased.fetch_one(&self.pool).await?.unsigned_abs())
    }

    /// Deletes one batch of answers that are older than this, and the sessions that are left empty; says how
    /// many. One that is not settled stays.
    pub async fn prune_answers(&self, older_than: std::time::Duration) -> Result<u64, StoreError> {
        let pruned = sqlx::query_scalar!(
            r#"select coalesce(shopkeeper.erase_answers(array(
                   select id from shopkeeper.answer
                   where created_at < now() - $1::interval and status not in ('queued', 'in_progress')
                   order by created_at limit 1000
               )), 0) as "pruned!""#,
            super::jobs::interval(older_than),
        );
        let pruned = pruned.fetch_one(&self.pool).await?.unsigned_abs();
        sqlx::query!(
            "delete from shopkeeper.session as session
             where active_at < now() - $1::interval and not exists (
                 select from shopkeeper.answer as answer
                 where answer.client = session.client and answer.session_id = session.id
             )",
            super::jobs::interval(older_than),
        )
        .execute(&self.pool)
        .await?;
        Ok(pruned)
    }

    /// Reads the last messages of the session before a question, oldest first.
    pub async fn history(
        &self,
        taken: &Taken,
        session: &str,
        messages: u32,
    ) -> Result<Vec<Message>, StoreError> {
        let turns = sqlx::query!(
            r#"select question, answer ->> 'text' as text from shopkeeper.answer
               where client = $1 and session_id = $2 and seq < $3 order by seq desc limit $4"#,
            taken.client,
            session,
            taken.seq,
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

    /// Settles a question and completes its job, all or nothing, and tells those who listen. Of a question that was
    /// cancelled meanwhile, only the job.
    pub async fn settle(&self, taken: &Taken, settled: &Settled) -> Result<(), StoreError> {
        let mut transaction = self.pool.begin().await?;
        jobs::complete(&mut transaction, taken.lease).await?;
        sqlx::query!(
            "with settled as (
                 update shopkeeper.answer
                 set status = $2, outcome = $3, standalone_question = $4, answer = $5, sources = $6, citations = $7,
                     nearest_distance = $8, escalation_threshold = $9, needs_escalation = $10::text is not null,
                     escalation_reason = $10, grounding = $11, usage = $12, error = $13, incomplete_reason = $14,
                     completed_at = now()
                 where id = $1 and status = 'in_progress' and fence = $15
                 returning id
             )
             select pg_notify('shopkeeper_answer', id::text) from settled",
            taken.id,
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
            settled.incomplete_reason,
            taken.lease.fence,
        )
        .fetch_optional(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(())
    }
}
