//! What models cost.

use serde::Serialize;

use super::{Result, Store};
use crate::words::words;

words! {
    /// What a model was used for.
    pub enum Operation {
        /// The embedding of documents.
        Embedding,
        /// An answer to a question.
        Answer,
    }
}

/// The cost of one request.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Cost {
    pub operation: Operation,
    pub tokens: u64,
    /// In dollars, at the prices in the settings.
    pub usd: f64,
}

impl Cost {
    /// Adds up tokens, each with the price of a million in dollars.
    #[expect(clippy::cast_precision_loss, reason = "tokens of one request are few")]
    pub fn new(operation: Operation, parts: &[(u64, f64)]) -> Self {
        Self {
            operation,
            tokens: parts.iter().map(|(tokens, _)| tokens).sum(),
            usd: parts.iter().map(|(tokens, price)| *tokens as f64 * price / 1_000_000.0).sum(),
        }
    }
}

/// The cost of a day.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Usage {
    /// Tokens that servers charged.
    pub tokens: i64,
    /// In dollars, at the prices in the settings.
    pub cost_usd: f64,
}

/// What an operation cost on a day.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub struct DayUsage {
    /// As in `2026-11-25`, UTC.
    pub day: String,
    pub operation: Operation,
    /// Tokens that servers charged.
    pub tokens: i64,
    /// Dollars, by the prices of the settings.
    pub cost_usd: f64,
}

impl Store {
    /// Adds to today's usage (UTC).
    pub async fn note_cost(&self, cost: Cost) -> Result<()> {
        let query = sqlx::query!(
            "insert into shopkeeper.usage as usage (operation, shard, tokens, usd) values ($1, $2, $3, $4)
             on conflict (day, operation, shard) do update
             set tokens = usage.tokens + excluded.tokens, usd = usage.usd + excluded.usd",
            <&str>::from(cost.operation),
            shard(),
            i64::try_from(cost.tokens).unwrap_or(i64::MAX),
            cost.usd,
        );
        Ok(query.execute(&self.pool).await.map(drop)?)
    }

    /// Returns what an operation cost today (UTC), in dollars.
    pub async fn usd_today(&self, operation: Operation) -> Result<f64> {
        let operation = <&str>::from(operation);
        let usd = sqlx::query_scalar!(r#"select shopkeeper.usd_today($1) as "usd!""#, operation);
        Ok(usd.fetch_one(&self.pool).await?)
    }

    /// Sums today's usage (UTC).
    pub async fn usage_today(&self) -> Result<Usage> {
        let usage = sqlx::query_as!(
            Usage,
            r#"select coalesce(sum(tokens), 0)::bigint as "tokens!", coalesce(sum(usd), 0) as "cost_usd!"
               from shopkeeper.usage where day = (now() at time zone 'UTC')::date"#
        );
        Ok(usage.fetch_one(&self.pool).await?)
    }

    /// Sums the usage of the last days (UTC) by day and operation, newest first.
    pub async fn usage(&self, days: u32) -> Result<Vec<DayUsage>> {
        let days = sqlx::query_as!(
            DayUsage,
            r#"select day::text as "day!", operation as "operation: Operation", sum(tokens)::bigint as "tokens!", sum(usd) as "cost_usd!"
               from shopkeeper.usage where day > (now() at time zone 'UTC')::date - $1::integer
               group by day, operation order by day desc, operation"#,
            i32::try_from(days).unwrap_or(i32::MAX),
        );
        Ok(days.fetch_all(&self.pool).await?)
    }
}

/// Picks a row of the day's usage at random, so that writers do not wait for each other.
pub(super) fn shard() -> i16 {
    rand::random_range(0..16)
}
