//! Budgets of models for a minute, shared by all daemons, and the stop button.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{Result, Store};

/// The limits of a model for a minute, over all daemons; `None` is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Rates {
    pub requests: Option<u32>,
    pub tokens: Option<u32>,
}

/// A model on its server; each has its own budget.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct ModelAddress {
    pub server: String,
    pub model: String,
}

impl Store {
    /// Takes requests of this many tokens out of a model's budget. Returns how long to wait if nothing was taken.
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

    /// Blocks a model's budget for this long, or longer if its server asked for that before. It then refills from zero.
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
        Ok(query.execute(&self.pool).await.map(drop)?)
    }

    /// Lowers a model's budget to what its server reports as remaining.
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
        Ok(query.execute(&self.pool).await.map(drop)?)
    }

    /// Presses or releases the stop button. While it is pressed, no model is called.
    pub async fn set_stopped(&self, stopped: bool) -> Result<()> {
        let query = sqlx::query!(
            "with gone as (delete from shopkeeper.stop where not $1)
             insert into shopkeeper.stop select where $1 on conflict do nothing",
            stopped
        );
        Ok(query.execute(&self.pool).await.map(drop)?)
    }

    /// Returns when the stop button was pressed, if it is.
    pub async fn stopped_since(&self) -> Result<Option<DateTime<Utc>>> {
        Ok(sqlx::query_scalar!("select since from shopkeeper.stop").fetch_optional(&self.pool).await?)
    }
}
