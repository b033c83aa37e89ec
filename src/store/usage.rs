//! What models cost.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::json;

use super::{Result, Store};
use crate::words::words;

words! {
    /// What models are asked for.
    pub enum Operation {
        /// The embedding of documents.
        Embedding,
        /// An answer to a question.
        Answer,
    }
}

/// What one request cost.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Cost {
    pub operation: Operation,
    /// Tokens that the server charged.
    pub tokens: u64,
    /// Dollars, by the prices of the settings.
    pub usd: f64,
}

impl Cost {
    /// Adds up tokens, each with its price in dollars for a million.
    #[expect(clippy::cast_precision_loss, reason = "tokens of one request are few")]
    pub fn new(operation: Operation, parts: &[(u64, f64)]) -> Self {
        Self {
            operation,
            tokens: parts.iter().map(|(tokens, _)| tokens).sum(),
            usd: parts.iter().map(|(tokens, price)| *tokens as f64 * price / 1_000_000.0).sum(),
        }
    }
}

/// What all daemons together may ask of a model in a minute; none is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Rates {
    pub requests: Option<u32>,
    pub tokens: Option<u32>,
}

/// A model at its server: each has a budget of its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct ModelAddress {
    /// The server's address.
    pub server: String,
    /// The model's name there.
    pub model: String,
}

/// Running jobs of this process that wait in their slots for a budget.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SlotWait {
    /// The kind of job.
    pub kind: &'static str,
    /// Whose budget.
    #[serde(flatten)]
    pub model: ModelAddress,
    /// How many.
    pub jobs: u32,
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
        query.execute(&self.pool).await?;
        Ok(())
    }

    /// Takes requests with so many tokens together out of a model's budget of a minute, which all daemons share. Returns how
    /// long to wait, if nothing was taken.
    pub async fn take_budget(
        &self,
        model: &ModelAddress,
        per_minute: Rates,
        requests: u32,
        tokens: u64,
        reserve: f64,
    ) -> Result<Duration> {
        let seconds = sqlx::query_scalar!(
            r#"select shopkeeper.take_budget($1, $2, $3, $4, $5, $6, $7) as "seconds!""#,
            model.server,
            model.model,
            per_minute.requests.map(f64::from),
            per_minute.tokens.map(f64::from),
            f64::from(requests),
            f64::from(u32::try_from(tokens).unwrap_or(u32::MAX)),
            reserve,
        );
        let seconds = seconds.fetch_one(&self.pool).await?;
        Ok(Duration::try_from_secs_f64(seconds).unwrap_or_default())
    }

    /// Nobody asks a model for so long, or for longer if its server said that before. Then its budget fills up from
    /// nothing.
    pub async fn hold_budget(&self, model: &ModelAddress, wait: Duration) -> Result<()> {
        let query = sqlx::query!(
            "insert into shopkeeper.model_budget as budget (server, model, requests, tokens, held)
             values ($1, $2, 0, 0, $3)
             on conflict (server, model) do update set
                 held = greatest(
                     excluded.held,
                     budget.held - greatest(0, extract(epoch from clock_timestamp() - budget.at))::float8
                 ),
                 requests = least(budget.requests, 0), tokens = least(budget.tokens, 0), at = clock_timestamp()",
            model.server,
            model.model,
            wait.as_secs_f64(),
        );
        query.execute(&self.pool).await?;
        Ok(())
    }

    /// Lowers what may be asked of a model to what its server says is left.
    pub async fn correct_budget(
        &self,
        model: &ModelAddress,
        requests: Option<u64>,
        tokens: Option<u64>,
    ) -> Result<()> {
        #[expect(
            clippy::cast_precision_loss,
            reason = "what is left of a minute is small, or does not matter"
        )]
        let number = |left: Option<u64>| left.map(|left| left as f64);
        let query = sqlx::query!(
            "update shopkeeper.model_budget set requests = least(requests, $3), tokens = least(tokens, $4)
             where server = $1 and model = $2 and (requests > $3 or tokens > $4)",
            model.server,
            model.model,
            number(requests),
            number(tokens),
        );
        query.execute(&self.pool).await?;
        Ok(())
    }

    /// Notes which jobs of a daemon wait in their slots now, and deletes old reports of daemons that have gone away.
    pub async fn note_slot_waits(&self, worker: &str, waits: &[SlotWait]) -> Result<()> {
        let query = sqlx::query!(
            "with waits as materialized (
                 select * from jsonb_to_recordset($2) as wait (kind text, server text, model text, jobs integer)
             ), ended as (
                 delete from shopkeeper.budget_wait
                 where seen_at < now() - interval '1 minute'
                     or worker = $1 and (kind, server, model) not in (select kind, server, model from waits)
             )
             insert into shopkeeper.budget_wait (worker, kind, server, model, jobs)
             select $1, kind, server, model, jobs from waits
             on conflict (worker, kind, server, model) do update set jobs = excluded.jobs, seen_at = now()",
            worker,
            json!(waits),
        );
        query.execute(&self.pool).await?;
        Ok(())
    }

    /// What an operation cost today (UTC), in dollars.
    pub async fn usd_today(&self, operation: Operation) -> Result<f64> {
        let operation = <&str>::from(operation);
        let usd = sqlx::query_scalar!(r#"select shopkeeper.usd_today($1) as "usd!""#, operation);
        Ok(usd.fetch_one(&self.pool).await?)
    }

    /// Presses the stop button, or lets it go: while it is pressed nothing is asked of any model.
    pub async fn set_stopped(&self, stopped: bool) -> Result<()> {
        let query = sqlx::query!(
            "with gone as (delete from shopkeeper.stop where not $1)
             insert into shopkeeper.stop select where $1 on conflict do nothing",
            stopped
        );
        query.execute(&self.pool).await?;
        Ok(())
    }

    /// Since when the stop button is pressed, if it is.
    pub async fn stopped_since(&self) -> Result<Option<DateTime<Utc>>> {
        Ok(sqlx::query_scalar!("select since from shopkeeper.stop").fetch_optional(&self.pool).await?)
    }

    /// Sums the usage of the last days (UTC) by day and operation, the newest first.
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

    /// Sums today's usage (UTC).
    pub async fn usage_today(&self) -> Result<Usage> {
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
