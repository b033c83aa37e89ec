//! The steps of the demo.

use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::{Value, json};

use crate::cli::{output, sync};
use crate::{
    cli::sync::Order, config::Config, daemon::Parts, demo::execute, store::Store,
    sync::reconcile::SyncOptions,
};

/// Runs each step on the real shop, database and daemon.
pub(super) struct Show<'a> {
    pub(super) config: &'a Config,
    pub(super) store: &'a Store,
    pub(super) parts: &'a Parts,
    /// The URL of the shop's database.
    pub(super) shop: &'a str,
    pub(super) client: reqwest::Client,
}

impl Show<'_> {
    pub(super) async fn sync(&self) -> anyhow::Result<()> {
        let names = self.config.source_names();
        let order = Order { names: &names, options: SyncOptions::default(), wait: true };
        let (reports, error) = sync::sync_all(self.config, self.store, self.parts, &order).await;
        sync::show(&reports, false)?;
        error.map_or(Ok(()), Err)
    }

    /// Runs the steps after the first sync; `url` is where to ask.
    pub(super) async fn run(&self, url: &str) -> anyhow::Result<()> {
        output::line("\n2. Ask, by HTTP:\n");
        let question = "How much is the Minnow Beach Shelter?";
        self.ask(url, question).await?;

        let change = "update shop_product set price = 39.50, \
                      description = description || ' A padded carrying strap is included.' \
                      where name = 'Minnow Beach Shelter'";
        output::line(
            "\n3. The shop changes a price and a description by SQL, then syncs: one document is embedded.\n",
        );
        output::line(format!("   {change}\n"));
        execute(self.shop, change).await?;
        self.sync().await?;
        output::line("");
        let answer = self.ask(url, question).await?;
        expect(&answer, "39.50")?;
        let answer = self.ask(url, "Does the Minnow Beach Shelter come with a carrying strap?").await?;
        expect(&answer, "strap")?;

        let delete = "delete from shop_product where name = 'Minnow Beach Shelter'";
        output::line("\n4. The shop deletes the product, then syncs: it is gone.\n");
        output::line(format!("   {delete}\n"));
        execute(self.shop, delete).await?;
        self.sync().await?;
        output::line("");
        let answer = self.ask(url, question).await?;
        expect(&answer, "I don't have information")?;
        let sources = answer["sources"].as_array().cloned().unwrap_or_default();
        if sources.iter().any(|source| source["title"] == "Minnow Beach Shelter") {
            bail!("the deleted product was found");
        }
        Ok(())
    }

    async fn ask(&self, url: &str, question: &str) -> anyhow::Result<Value> {
        let mut request = self.client.post(url).json(&json!({ "question": question }));
        let answer = loop {
            let answer: Value = request.send().await?.error_for_status()?.json().await?;
            if !matches!(answer["status"].as_str(), Some("queued" | "in_progress")) {
                break answer;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
            let id = answer["id"].as_str().context("an answer without an id")?;
            request = self.client.get(format!("{url}/{id}"));
        };
        let text = answer["answer"]["text"].as_str().unwrap_or("(no answer)");
        output::line(format!("   Q: {question}\n   A: {text}"));
        let confidence = answer["confidence"].as_f64().unwrap_or_default();
        let reason = answer["escalation"]["reason"].as_str();
        let escalation = reason.map(|reason| format!(", a human is asked for: {reason}")).unwrap_or_default();
        output::line(format!("      (confidence {confidence:.2}{escalation})"));
        Ok(answer)
    }
}

/// Fails the demo if an answer is not as promised.
fn expect(answer: &Value, wanted: &str) -> anyhow::Result<()> {
    let text = answer["answer"]["text"].as_str().unwrap_or_default();
    if text.contains(wanted) { Ok(()) } else { bail!("the answer should hold {wanted:?}: {text:?}") }
}
