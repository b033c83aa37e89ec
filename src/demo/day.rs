//! A day of a shop's life, so that no page of the console is empty: questions, changes and failures.

use std::time::Duration;

use anyhow::Context;
use serde_json::{Value, json};

use super::{EmbeddedStack, SampleShop, execute};

/// What a day leaves behind besides answers; it spreads the answers over the last day.
const DAY: &str = include_str!("day.sql");
/// Every how many of the golden questions is asked.
const EACH: usize = 9;
/// How long the daemon may take to answer them all.
const LIMIT: Duration = Duration::from_mins(1);
const POLL_INTERVAL: Duration = Duration::from_millis(200);

impl EmbeddedStack {
    /// Has customers ask a day's questions at this address, unless they have been asked before.
    pub async fn fill(&self, api: &str) -> anyhow::Result<()> {
        let client = reqwest::Client::new();
        let url = format!("{api}/v1/answers");
        let page: Value = client.get(format!("{url}?session_id=visitor-0")).send().await?.json().await?;
        if page["data"].as_array().is_some_and(|asked| !asked.is_empty()) {
            return Ok(());
        }
        let cases =
            SampleShop::Household.files().golden.lines().step_by(EACH).map(serde_json::from_str::<Value>);
        let cases = cases.collect::<Result<Vec<_>, _>>()?;
        let number = cases.len();
        for (n, case) in cases.into_iter().enumerate() {
            let body = json!({
                "question": case["question"], "session_id": format!("visitor-{n}"),
                "customer_id": format!("customer-{}", n % 20), "metadata": { "channel": "web" },
            });
            client.post(&url).json(&body).send().await?.error_for_status()?;
        }
        let settled = async {
            loop {
                let mut is_over = true;
                for status in ["queued", "in_progress"] {
                    let page: Value =
                        client.get(format!("{url}?status={status}")).send().await?.json().await?;
                    is_over &= page["data"].as_array().is_none_or(Vec::is_empty);
                }
                if is_over {
                    return anyhow::Ok(());
                }
                tokio::time::sleep(POLL_INTERVAL).await;
            }
        };
        tokio::time::timeout(LIMIT, settled)
            .await
            .with_context(|| format!("{number} questions took too long"))??;
        execute(&self.ours, DAY).await
    }
}
