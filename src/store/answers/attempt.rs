//! Attempts at a question: claimed by a worker, then settled.

use std::time::Duration;

use serde_json::{json, value::RawValue};
use sqlx::types::Json;
use uuid::Uuid;

use super::{Question, Result, Store, StoreError, jobs::Lease, usage, usage::Cost, without_nul};
use crate::answering::object::{AnswerUsage, Settlement};

/// A question that a worker has claimed.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub struct ClaimedQuestion {
    pub id: Uuid,
    pub client: String,
    /// The place in the order of questions.
    pub seq: i64,
    pub asked: Question,
    pub lease: Lease,
    pub age: Duration,
    /// Whether the stop button is pressed.
    pub is_paused: bool,
    pub usd_today: f64,
}

/// Event numbers reserved for one run.
pub const RUN: i64 = 10_000;

impl ClaimedQuestion {
    /// Returns the number before the run's first event.
    pub fn first_event(&self) -> i64 {
        self.lease.fence * RUN
    }
}

impl Store {
    /// Claims a question; returns `None` if it needs no answer.
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

    /// Whether a question still waits for the answer of this attempt.
    pub async fn is_wanted(&self, taken: &ClaimedQuestion) -> Result<bool> {
        let wanted = sqlx::query_scalar!(
            // As a condition, the status might make the plan scan the index of open questions.
            r#"select coalesce(
                   (select status = 'in_progress' and fence = $2 from shopkeeper.answer where id = $1), false
               ) as "wanted!""#,
            taken.id,
            taken.lease.fence,
        );
        Ok(wanted.fetch_one(&self.pool).await?)
    }

    /// Adds what this run cost to a question that it does not settle.
    pub async fn note_answer_usage(&self, taken: &ClaimedQuestion, usage: &AnswerUsage) -> Result<()> {
        let query = sqlx::query!(
            "update shopkeeper.answer set usage = shopkeeper.add_usage(usage, $3) where id = $1 and fence = $2",
            taken.id,
            taken.lease.fence,
            json!(usage),
        );
        Ok(query.execute(&self.pool).await.map(drop)?)
    }

    /// Settles a question, records its cost, completes its job and notifies listeners, all or nothing. Only completes
    /// the job if the question was cancelled meanwhile.
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
