//! Budgets that jobs wait for: those put off until a later time, and running ones that wait in their slots.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::json;

use crate::store::{Result, Store, budgets::ModelAddress};

/// What a job that was put off waits for.
#[derive(Clone, Debug, PartialEq, Eq, strum::EnumDiscriminants)]
#[strum_discriminants(
    name(WaitReason),
    doc = "The kind of budget that a job waits for.",
    derive(serde::Serialize, sqlx::Type, strum::IntoStaticStr, strum::VariantNames),
    serde(rename_all = "snake_case"),
    sqlx(type_name = "text", rename_all = "snake_case"),
    strum(serialize_all = "snake_case")
)]
pub enum WaitsFor {
    /// A model's budget of requests and tokens.
    RateLimit(ModelAddress),
    /// The next day's budget of money.
    DailyBudget,
    /// The release of the stop button.
    Stop,
}

/// Jobs of one kind that wait for one budget.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct BudgetWait {
    pub kind: String,
    pub waits_for: WaitReason,
    pub server: Option<String>,
    pub model: Option<String>,
    pub jobs: i64,
    pub since: DateTime<Utc>,
}

/// Running jobs of this process that wait in their slots for a budget.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct SlotWait {
    pub kind: &'static str,
    #[serde(flatten)]
    pub model: ModelAddress,
    pub jobs: u32,
}

impl Store {
    /// Records which jobs of a daemon wait in their slots now, and deletes old reports of daemons that are gone.
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
        Ok(query.execute(&self.pool).await.map(drop)?)
    }

    /// Counts the jobs that wait for each budget. Ignores a daemon's report on its slots once it is old.
    pub async fn budget_waits(&self) -> Result<Vec<BudgetWait>> {
        let rows = sqlx::query_as!(
            BudgetWait,
            r#"
            with put_off as (
                select kind, waits_for, waits_server as server, waits_model as model, count(*) as jobs,
                    min(waits_since) as since
                from shopkeeper.job where state = 'scheduled' and waits_for is not null group by 1, 2, 3, 4
            ), in_slots as (
                select kind, 'rate_limit' as waits_for, server, model, sum(jobs) as jobs, min(since) as since
                from shopkeeper.budget_wait where seen_at > now() - interval '10 seconds' group by kind, server, model
            )
            select kind as "kind!", waits_for as "waits_for!: WaitReason", server, model, sum(jobs)::bigint as "jobs!",
                coalesce(min(since), now()) as "since!"
            from (select * from put_off union all select * from in_slots) as waits
            group by kind, waits_for, server, model order by 1, 2, 3, 4
            "#
        );
        Ok(rows.fetch_all(&self.pool).await?)
    }

    /// Resumes up to `most` jobs of a kind that wait for this reason, longest wait first; returns their number.
    pub async fn hasten(&self, kind: &str, reason: WaitReason, most: u32) -> Result<u32> {
        let hastened = sqlx::query_scalar!(
            r#"select shopkeeper.hasten($1, $2, $3) as "hastened!""#,
            kind,
            <&str>::from(reason),
            i64::from(most),
        );
        Ok(u32::try_from(hastened.fetch_one(&self.pool).await?).unwrap_or(u32::MAX))
    }
}
