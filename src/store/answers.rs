//! Questions of clients and their answers.

use std::time::Duration;

use sqlx::types::Json;
use uuid::Uuid;

use super::{Result, Store, StoreError, jobs, jobs::interval, usage, without_nul};
use crate::answering::{
    Question,
    object::{AnswerObject, AnswerStatus},
};

mod attempt;
mod events;
mod feedback;
mod outdated;
mod shown;

pub use attempt::{ClaimedQuestion, RUN};
pub use events::{Event, EventKind, Progress};
pub use feedback::AskedQuestion;
pub use outdated::Present;
pub use shown::{AnswerFilter, AnswerRow, AnswerShown};

/// The client of requests that come from this machine without a token.
pub const LOCAL: &str = "local";

impl Store {
    /// Accepts a client's question. Its key returns the same id when repeated, and is refused for another question.
    pub async fn ask(
        &self,
        client: &str,
        idempotency_key: Option<&str>,
        question: &Question,
        traceparent: Option<&str>,
    ) -> Result<Uuid> {
        let id = sqlx::query_scalar!(
            r#"select shopkeeper.accept_question($1, $2, $3, $4) as "id!""#,
            client,
            idempotency_key,
            Json(question) as _,
            traceparent,
        );
        Ok(id.fetch_one(&self.pool).await?)
    }

    /// Whether a client's key belongs to a question, so that [`ask`](Self::ask) accepts no other one under it.
    pub async fn knows_key(&self, client: &str, idempotency_key: &str) -> Result<bool> {
        let known = sqlx::query_scalar!(
            r#"select exists (
                   select from shopkeeper.answer where client = $1 and idempotency_key = $2
                       and created_at >= now() - interval '24 hours'
               ) as "known!""#,
            client,
            idempotency_key,
        );
        Ok(known.fetch_one(&self.pool).await?)
    }

    /// Whether more questions are queued than this.
    pub async fn has_more_queued_than(&self, number: u32) -> Result<bool> {
        let more = sqlx::query_scalar!(
            r#"select exists (select from shopkeeper.answer where status = 'queued' offset $1) as "more!""#,
            i64::from(number),
        );
        Ok(more.fetch_one(&self.pool).await?)
    }

    /// Reads an answer of this client, or of any, as it is now.
    pub async fn answer(&self, client: Option<&str>, id: Uuid) -> Result<Option<AnswerObject>> {
        let answer = sqlx::query_scalar!(
            r#"select shopkeeper.answer_object(known) as "answer!: Json<AnswerObject>"
               from shopkeeper.answer as known where id = $2 and ($1::text is null or client = $1)"#,
            client,
            id,
        );
        Ok(answer.fetch_optional(&self.pool).await?.map(|answer| answer.0))
    }

    /// Reads a page of answers, newest first. A filter that is `None` matches all; `before` is a place in the order.
    pub async fn answers(
        &self,
        client: Option<&str>,
        session: Option<&str>,
        status: Option<AnswerStatus>,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<AnswerObject>> {
        let answers = sqlx::query_scalar!(
            r#"select shopkeeper.answer_object(known) as "answer!: Json<AnswerObject>"
               from shopkeeper.answer as known
               where ($1::text is null or client = $1) and ($2::text is null or session_id = $2)
                   and ($3::text is null or status = $3) and ($4::bigint is null or seq < $4)
               order by seq desc limit $5"#,
            client,
            session,
            status.map(<&str>::from),
            before,
            i64::from(limit),
        );
        let answers = answers.fetch_all(&self.pool.by_values()).await?;
        Ok(answers.into_iter().map(|answer| answer.0).collect())
    }

    /// Cancels a question; returns false if it is already settled.
    pub async fn cancel_answer(&self, id: Uuid) -> Result<bool> {
        let ended = sqlx::query_scalar!(
            r#"select shopkeeper.end_answers(array[$1::uuid], 'cancelled') > 0 as "ended!""#,
            id,
        );
        Ok(ended.fetch_one(&self.pool).await?)
    }

    /// Ends questions that have expired; returns their number.
    pub async fn end_overdue_answers(&self) -> Result<u64> {
        let ended = sqlx::query_scalar!(r#"select shopkeeper.end_overdue_answers() as "ended!""#);
        Ok(ended.fetch_one(&self.queue).await?.unsigned_abs())
    }

    /// Deletes one batch of settled answers older than this; returns their number.
    pub async fn prune_answers(&self, older_than: Duration) -> Result<u64> {
        let pruned = sqlx::query_scalar!(
            r#"select coalesce(shopkeeper.erase_answers(array(
                   select id from shopkeeper.answer
                   where created_at < now() - $1::interval and status not in ('queued', 'in_progress')
                   order by created_at limit 1000
               )), 0) as "pruned!""#,
            interval(older_than),
        );
        Ok(pruned.fetch_one(&self.pool).await?.unsigned_abs())
    }
}
