//! Questions that were accepted, and their answers.

use std::time::Duration;

use serde_json::{Value, json, value::RawValue};
use sqlx::types::Json;
use uuid::Uuid;

use super::{Result, Store, StoreError, jobs::Lease, usage, usage::Cost, without_nul};
use crate::answering::{
    Question,
    object::{AnswerObject, AnswerStatus, Rating, Settlement},
};

mod events;

pub use events::{Event, EventKind, Progress};

/// The client of requests from this machine without a token.
pub const LOCAL: &str = "local";

/// A question that a worker has taken.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub struct ClaimedQuestion {
    pub id: Uuid,
    /// The service that asks.
    pub client: String,
    /// Its place in the order of questions.
    pub seq: i64,
    pub asked: Question,
    /// The attempt that took it.
    pub lease: Lease,
    pub age: Duration,
    /// Whether the stop button is pressed.
    pub is_paused: bool,
    /// Dollars that answers cost today.
    pub usd_today: f64,
}

/// Numbers of the events of one run.
pub const RUN: i64 = 10_000;

impl ClaimedQuestion {
    /// The number before that of the run's first event.
    pub fn first_event(&self) -> i64 {
        self.lease.fence * RUN
    }
}

impl Store {
    /// Accepts a client's question. The same under the same key is the same question; another one is refused.
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

    /// Reads an answer in its present state: of this client, or of any.
    pub async fn answer(&self, client: Option<&str>, id: Uuid) -> Result<Option<AnswerObject>> {
        let answer = sqlx::query_scalar!(
            r#"select shopkeeper.answer_object(known) as "answer!: Json<AnswerObject>"
               from shopkeeper.answer as known where id = $2 and ($1::text is null or client = $1)"#,
            client,
            id,
        );
        Ok(answer.fetch_optional(&self.pool).await?.map(|answer| answer.0))
    }

    /// Whether a client's key is that of a question: then [`ask`](Self::ask) accepts no other one.
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

    /// Whether more questions wait than this.
    pub async fn has_more_queued_than(&self, number: u32) -> Result<bool> {
        let more = sqlx::query_scalar!(
            r#"select exists (select from shopkeeper.answer where status = 'queued' offset $1) as "more!""#,
            i64::from(number),
        );
        Ok(more.fetch_one(&self.pool).await?)
    }

    /// Reads a page of a client's answers, or of all, the newest first: those of a session, of a status, and before
    /// a place in the order of questions, where these are given.
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

    /// Takes a question for answering; nothing when there is nothing to answer.
    pub async fn take_question(
        &self,
        id: Uuid,
        attempt: u32,
        lease: Lease,
    ) -> Result<Option<ClaimedQuestion>> {
        let taken = sqlx::query!(
            r#"select client as "client!", seq as "seq!", request as "asked!: Json<Box<RawValue>>", age as "age!",
                   is_paused as "is_paused!", usd_today as "usd_today!"
               from shopkeeper.take_question($1, $2, $3)"#,
            id,
            i32::try_from(attempt).unwrap_or(i32::MAX),
            lease.fence,
        );
        let Some(row) = taken.fetch_optional(&self.pool).await? else { return Ok(None) };
        let asked = serde_json::from_str(row.asked.get());
        Ok(Some(ClaimedQuestion {
            id,
            client: row.client,
            seq: row.seq,
            asked: asked.map_err(|error| StoreError::Undecodable(error.to_string()))?,
            lease,
            age: Duration::try_from_secs_f64(row.age).unwrap_or_default(),
            is_paused: row.is_paused,
            usd_today: row.usd_today,
        }))
    }

    /// Whether a question still waits for the answer of the attempt that took it.
    pub async fn is_wanted(&self, taken: &ClaimedQuestion) -> Result<bool> {
        let wanted = sqlx::query_scalar!(
            // The state is no condition: a plan for it may walk through the index of what is open.
            r#"select coalesce(
                   (select status = 'in_progress' and fence = $2 from shopkeeper.answer where id = $1), false
               ) as "wanted!""#,
            taken.id,
            taken.lease.fence,
        );
        Ok(wanted.fetch_one(&self.pool).await?)
    }

    /// Ends questions that are past their time; returns their number.
    pub async fn end_overdue_answers(&self) -> Result<u64> {
        let ended = sqlx::query_scalar!(r#"select shopkeeper.end_overdue_answers() as "ended!""#);
        Ok(ended.fetch_one(&self.queue).await?.unsigned_abs())
    }

    /// Cancels a question; false when it is settled already.
    pub async fn cancel_answer(&self, id: Uuid) -> Result<bool> {
        let ended = sqlx::query_scalar!(
            r#"select shopkeeper.end_answers(array[$1::uuid], 'cancelled') > 0 as "ended!""#,
            id,
        );
        Ok(ended.fetch_one(&self.pool).await?)
    }

    /// Notes what a customer thinks of an answer, of a client's or of any; false when there is no such answer.
    pub async fn rate_answer(
        &self,
        client: Option<&str>,
        id: Uuid,
        rating: Rating,
        comment: Option<&str>,
    ) -> Result<bool> {
        let rated = sqlx::query_scalar!(
            r#"select shopkeeper.rate_answer($1, $2, $3, $4) as "rated!""#,
            client,
            id,
            <&str>::from(rating),
            comment,
        );
        Ok(rated.fetch_one(&self.pool).await?)
    }

    /// The questions whose answers customers liked, as cases of a golden set: with the documents that the answers
    /// cite. Those that cite none are left out.
    pub async fn liked_answers(&self) -> Result<Vec<Value>> {
        let liked = sqlx::query_scalar!(
            r#"select jsonb_build_object(
                   'id', known.id, 'kind', 'feedback',
                   'question', coalesce(known.standalone_question, known.question), 'expected', cited.documents
               ) as "liked!"
               from shopkeeper.feedback as feedback
               join shopkeeper.answer as known on known.id = feedback.answer_id
               cross join lateral (
                   select jsonb_agg(distinct jsonb_build_object('source', source ->> 'source', 'key', source ->> 'key'))
                       as documents
                   from jsonb_array_elements(known.sources) as source where (source ->> 'cited')::boolean
               ) as cited
               where feedback.rating = 'up' and cited.documents is not null order by known.seq"#
        );
        Ok(liked.fetch_all(&self.pool).await?)
    }

    /// Deletes one batch of settled answers that are older than this; returns their number.
    pub async fn prune_answers(&self, older_than: Duration) -> Result<u64> {
        let pruned = sqlx::query_scalar!(
            r#"select coalesce(shopkeeper.erase_answers(array(
                   select id from shopkeeper.answer
                   where created_at < now() - $1::interval and status not in ('queued', 'in_progress')
                   order by created_at limit 1000
               )), 0) as "pruned!""#,
            super::jobs::interval(older_than),
        );
        Ok(pruned.fetch_one(&self.pool).await?.unsigned_abs())
    }

    /// Settles a question, adds its cost to the day's and completes its job, all or nothing, and tells those who
    /// listen. Of a question that was cancelled meanwhile, only the job.
    pub async fn settle(
        &self,
        taken: &ClaimedQuestion,
        settlement: &Settlement,
        cost: Option<Cost>,
    ) -> Result<()> {
        let held = sqlx::query_scalar!(
            r#"select shopkeeper.settle($1, $2, $3, $4, $5, $6, $7) as "held!""#,
            taken.id,
            taken.lease.job,
            taken.lease.fence,
            without_nul(json!(settlement)),
            usage::shard(),
            cost.map(|cost| i64::try_from(cost.tokens).unwrap_or(i64::MAX)),
            cost.map(|cost| cost.usd),
        );
        if held.fetch_one(&self.pool).await? { Ok(()) } else { Err(StoreError::LeaseLost(taken.lease.job)) }
    }
}
