//! What models cost.

use serde::Serialize;

use super::{Store, StoreError};

/// What one request cost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost {
    /// What it was for: `embedding` or `answer`.
    pub operation: &'static str,
    /// Tokens that the server charged.
    pub tokens: u64,
    /// Dollars, by the prices of the settings.
    pub usd: f64,
}

impl Cost {
    /// Adds up tokens, each with its price in dollars for a million.
    #[expect(clippy::cast_precision_loss, reason = "tokens of one request are few")]
    pub fn of(operation: &'static str, parts: &[(u64, f64)]) -> Self {
        Self {
            operation,
            tokens: parts.iter().map(|(tokens, _)| tokens).sum(),
            usd: parts.iter().map(|(tokens, price)| *tokens as f64 * price / 1_000_000.0).sum(),
        }
    }
}

/// What a day cost.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Usage {
    /// Tokens that servers charged.
    pub tokens: i64,
    /// Dollars, by the prices of the settings.
    pub cost_usd: f64,
}

impl Store {
    /// Adds to today's usage (UTC).
    pub async fn note_cost(&self, cost: Cost) -> Result<(), StoreError> {
        sqlx::query!(
            "insert into shopkeeper.usage as usage (operation, shard, tokens, usd) values ($1, $2, $3, $4)
             on conflict (day, operation, shard) do update
             set tokens = usage.tokens + excluded.tokens, usd = usage.usd + excluded.usd",
            cost.operation,
            rand::random_range(0..16_i16),
            i64::try_from(cost.tokens).unwrap_or(i64::MAX),
            cost.usd,
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Sums today's usage (UTC).
    pub async fn usage_today(&self) -> Result<Usage, StoreError> {
        let usage = sqlx::query_as!(
            Usage,
            r#"select coalesce(sum(tokens), 0)::bigint as "tokens!", coalesce(sum(usd), 0) as "cost_usd!"
               from shopkeeper.usage where day = (now() at time zone 'UTC')::date"#
        );
        Ok(usage.fetch_one(&self.pool).await?)
    }
}
