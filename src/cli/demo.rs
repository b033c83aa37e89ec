//! `demo`: shows on a sample shop, with a daemon of its own, what shopkeeper is for.

use std::{collections::BTreeMap, net::SocketAddr, path::Path, time::Duration};

use anyhow::{Context, bail};
use clap::Args;
use indicatif::ProgressBar;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::{
    cli::{
        output,
        run::until_signalled,
        sync::{self, Order},
    },
    config::Config,
    daemon::{self, Listeners, Parts, Roles, Started},
    demo::{EmbeddedStack, execute},
    store::Store,
    sync::reconcile::SyncOptions,
    telemetry,
};

#[derive(Debug, Args)]
pub(super) struct Demo {
    /// End after the show instead of keeping the daemon running
    #[arg(long)]
    once: bool,
}

pub(super) async fn demo(demo: Demo) -> anyhow::Result<()> {
    telemetry::start("warn", telemetry::Format::Pretty, None);
    output::line("Starting a private PostgreSQL with pgvector, offline models and a sample shop.");
    output::line("(The first time, about 100 MB are downloaded and kept.)");
    let spinner = ProgressBar::new_spinner();
    spinner.enable_steady_tick(Duration::from_millis(100));
    let embedded = EmbeddedStack::start().await;
    spinner.finish_and_clear();
    let (embedded, listeners) = embedded?;
    let result = with_daemon(&embedded, listeners, demo.once).await;
    embedded.stop().await?;
    result
}

/// Runs a daemon beside the show, and stops it afterwards.
async fn with_daemon(embedded: &EmbeddedStack, listeners: Listeners, once: bool) -> anyhow::Result<()> {
    let config = Config::load(&embedded.settings, &BTreeMap::new())?;
    let store = Store::open_migrated(&config.database).await?;
    let parts = daemon::prepare(&config, &store).await?;
    let stop = CancellationToken::new();
    let (sender, started) = oneshot::channel();
    let daemon = daemon::run(&config, listeners, Roles::ALL, stop.clone(), |Started { address, .. }| {
        // Nobody waits for it when the show failed first.
        let _ = sender.send(address);
    });
    let show = Show {
        config: &config,
        store: &store,
        parts: &parts,
        shop: &embedded.shop,
        client: reqwest::Client::new(),
    };
    let steps = async {
        let address = started.await.ok().flatten().context("the daemon did not start")?;
        let shown = show.run(&format!("http://{address}/v1/answers")).await;
        if once || shown.is_err() {
            stop.cancel();
        } else {
            print_examples(&embedded.settings, address, config.http.admin_listen);
        }
        shown
    };
    let running = async {
        // Before the daemon starts, because the daemon itself syncs sources that were never listed.
        output::line("\n1. Sync: every document is read, cut into chunks and embedded.\n");
        show.sync().await?;
        if stop.is_cancelled() {
            return Ok(());
        }
        let (daemon, shown) = tokio::join!(daemon, steps);
        // A daemon that did not start is why there was no show.
        daemon.and(shown)
    };
    until_signalled(running, &stop).await
}

fn print_examples(settings: &Path, api: SocketAddr, admin: Option<SocketAddr>) {
    let golden = settings.with_file_name("golden.jsonl");
    let (settings, golden) = (settings.display(), golden.display());
    output::line("\nThe daemon goes on running; Ctrl-C ends it. Try, from another terminal:\n");
    output::line(format!("  curl -s http://{api}/v1/answers -H 'content-type: application/json' \\"));
    output::line("       -d '{\"question\": \"Can I return a tent that I have used?\"}'");
    output::line(format!("  curl -s http://{api}/v1/answers/ID      # the id that the answer above has"));
    output::line(format!("  shopkeeper --config {settings} ask \"Which sleeping bag is for snow?\""));
    output::line(format!("  shopkeeper --config {settings} status"));
    output::line(format!("  shopkeeper --config {settings} eval run {golden}"));
    if let Some(admin) = admin {
        output::line(format!("  curl -s http://{admin}/readyz"));
    }
    output::line("\n(`shopkeeper` is target/debug/shopkeeper when it was started by make.)");
}

/// The steps of the demo, each on the real thing.
struct Show<'a> {
    config: &'a Config,
    store: &'a Store,
    parts: &'a Parts,
    /// The URL of the shop's database.
    shop: &'a str,
    client: reqwest::Client,
}

impl Show<'_> {
    /// Syncs the shop and prints the reports.
    async fn sync(&self) -> anyhow::Result<()> {
        let names = self.config.source_names();
        let order = Order { names: &names, options: SyncOptions::default(), wait: true };
        let (reports, error) = sync::sync_all(self.config, self.store, self.parts, &order).await;
        sync::show(&reports, false)?;
        error.map_or(Ok(()), Err)
    }

    /// Runs the steps after the first sync. The URL is that of the answers.
    async fn run(&self, url: &str) -> anyhow::Result<()> {
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

    /// Asks by HTTP, waits for the answer and prints it.
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
        let confidence = answer["confidence"].as_f64().unwrap_or_default();
        output::line(format!("   Q: {question}\n   A: {text}"));
        let reason = answer["escalation"]["reason"].as_str();
        let escalation = reason.map(|reason| format!(", a human is asked for: {reason}")).unwrap_or_default();
        output::line(format!("      (confidence {confidence:.2}{escalation})"));
        Ok(answer)
    }
}

/// The demo is a promise: what it shows is checked.
fn expect(answer: &Value, wanted: &str) -> anyhow::Result<()> {
    let text = answer["answer"]["text"].as_str().unwrap_or_default();
    if text.contains(wanted) { Ok(()) } else { bail!("the answer should hold {wanted:?}: {text:?}") }
}
