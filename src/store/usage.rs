//! What models cost.

use std::time::Duration;

use chrono::{DateTime, Utc};
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

/// What a model server lets all daemons together do in a minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Rates {
    pub requests: u32,
    pub tokens: u32,
}

/// What a day cost.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Usage {
    /// Tokens that servers charged.
    pub tokens: i64,
    /// Dollars, by the prices of the settings.
    pub cost_usd: f64,
}

/// What an operation cost on a day.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct DayUsage {
    /// As in `2026-11-25`, UTC.
    pub day: String,
    /// `embedding` or `answer`.
    pub operation: String,
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
            shard(),
            i64::try_from(cost.tokens).unwrap_or(i64::MAX),
            cost.usd,
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Takes requests with so many tokens together out of a model server's budget of a minute, which all daemons
    /// share. Says how long to wait when nothing was taken.
    pub async fn take_budget(
        &self,
        server: &str,
        per_minute: Rates,
        requests: u32,
        tokens: u64,
        reserve: f64,
    ) -> Result<Duration, StoreError> {
        let seconds = sqlx::query_scalar!(
            r#"select shopkeeper.take_budget($1, $2, $3, $4, $5, $6) as "seconds!""#,
            server,
            f64::from(per_minute.requests),
            f64::from(per_minute.tokens),
            f64::from(requests),
            f64::from(u32::try_from(tokens).unwrap_or(u32::MAX)),
            reserve,
        );
        let seconds = seconds.fetch_one(&self.pool).await?;
        Ok(Duration::try_from_secs_f64(seconds).unwrap_or_default())
    }

    /// Nobody asks a model server for so long, or for longer if it said that before.
    pub async fn hold_budget(
        &self,
        server: &str,
        per_minute: Rates,
        wait: Duration,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "insert into shopkeeper.model_budget (server, requests, tokens) values ($1, -$2::float8, 0)
             on conflict (server) do update set at = clock_timestamp(), requests = least(
                 -$2::float8,
                 model_budget.requests
                     + $3::float8 * greatest(0, extract(epoch from clock_timestamp() - model_budget.at))::float8 / 60
             )",
            server,
            wait.as_secs_f64() * f64::from(per_minute.requests) / 60.0,
            f64::from(per_minute.requests),
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Lowers what may be asked of a server to what it says is left.
    pub async fn correct_budget(
        &self,
        server: &str,
        requests: Option<u64>,
        tokens: Option<u64>,
    ) -> Result<(), StoreError> {
        #[expect(
            clippy::cast_precision_loss,
            reason = "what is left of a minute is small, or does not matter"
        )]
        let number = |left: Option<u64>| left.map(|left| left as f64);
        sqlx::query!(
            "update shopkeeper.model_budget set requests = least(requests, $2), tokens = least(tokens, $3)
             where server = $1 and (requests > $2 or tokens > $3)",
            server,
            number(requests),
            number(tokens),
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// What an operation cost today (UTC), in dollars.
    pub async fn usd_today(&self, operation: &str) -> Result<f64, StoreError> {
        let usd = sqlx::query_scalar!(r#"select shopkeeper.usd_today($1) as "usd!""#, operation,);
        Ok(usd.fetch_one(&self.pool).await?)
    }

    /// Presses the stop button, or lets it go: while it is pressed nothing is asked of any model.
    pub async fn set_stopped(&self, stopped: bool) -> Result<(), StoreError> {
        sqlx::query!(
            "with gone as (delete from shopkeeper.stop where not $1)
             insert into shopkeeper.stop select where $1 on conflict do nothing",
            stopped
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Since when the stop button is pressed, if it is.
    pub async fn stopped_since(&self) -> Result<Option<DateTime<Utc>>, StoreError> {
        Ok(sqlx::query_scalar!("select since from shopkeeper.stop").fetch_optional(&self.pool).await?)
    }

    /// Sums the usage of the last days (UTC) by day and operation, the newest first.
    pub async fn usage(&self, days: u32) -> Result<Vec<DayUsage>, StoreError> {
        let days = sqlx::query_as!(
            DayUsage,
            r#"select day::text as "day!", operation, sum(tokens)::bigint as "tokens!", sum(usd) as "cost_usd!"
               from shopkeeper.usage where day > (now() at time zone 'UTC')::date - $1::integer
               group by day, operation order by day desc, operation"#,
            i32::try_from(days).unwrap_or(i32::MAX),
        );
        Ok(days.fetch_all(&self.pool).await?)
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

/// Where a writer adds to the day's usage: chosen at random, so that writers do not wait for each other.
pub(super) fn shard() -> i16 {
    rand::random_range(0..16)
}
