//! `demo`: what shopkeeper is for, shown on a sample shop, with a daemon of its own.

use std::{net::SocketAddr, path::Path, time::Duration};

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
    demo::{Embedded, execute},
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
    let embedded = Embedded::start().await;
    spinner.finish_and_clear();
    let (embedded, listeners) = embedded?;
    let result = with_daemon(&embedded, listeners, demo.once).await;
    embedded.stop().await?;
    result
}

/// Runs a daemon beside the show, and stops it afterwards.
async fn with_daemon(embedded: &Embedded, listeners: Listeners, once: bool) -> anyhow::Result<()> {
    let config = Config::load(&embedded.settings, &std::collections::BTreeMap::new())?;
    let store = Store::open_migrated(&daemon::reach(&config)).await?;
    let parts = daemon::prepare(&config, &store).await?;
    let stop = CancellationToken::new();
    let (sender, started) = oneshot::channel();
    let daemon = daemon::run(&config, listeners, Roles::ALL, stop.clone(), |Started { address, .. }| {
        // Nobody waits for it when the show failed first.
        let _ = sender.send(address);
    });
    let sync = Sync { config: &config, store: &store, parts: &parts };
    // Runs before the daemon starts, because the daemon itself syncs sources that were never listed.
    let first_sync = async {
        output::line("\n1. Sync: every document is read, cut into chunks and embedded.\n");
        sync.run().await
    };
    let show = async {
        let address = started.await.ok().flatten().context("the daemon did not start")?;
        let show = Show { sync: &sync, address, client: reqwest::Client::new() };
        let shown = show.run(&embedded.shop).await;
        if once || shown.is_err() {
            stop.cancel();
        } else {
            tell(&embedded.settings, address, config.http.admin_listen);
        }
        shown
    };
    until_signalled(
        async {
            first_sync.await?;
            if stop.is_cancelled() {
                return Ok(());
            }
            let (daemon, shown) = tokio::join!(daemon, show);
            // A daemon that did not start is why there was no show.
            daemon.and(shown)
        },
        &stop,
    )
    .await
}

fn tell(settings: &Path, api: SocketAddr, admin: Option<SocketAddr>) {
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

/// Syncs the shop and shows what was found.
struct Sync<'a> {
    config: &'a Config,
    store: &'a Store,
    parts: &'a Parts,
}

impl Sync<'_> {
    async fn run(&self) -> anyhow::Result<()> {
        let names: Vec<_> = self.config.source_names();
        let order = Order { names: &names, options: SyncOptions::default(), wait: true };
        let (reports, error) = sync::sync_all(self.config, self.store, self.parts, &order).await;
        sync::show(&reports, false)?;
        error.map_or(Ok(()), Err)
    }
}

/// The steps after the first sync, each on the real thing.
struct Show<'a> {
    sync: &'a Sync<'a>,
    address: SocketAddr,
    client: reqwest::Client,
}

impl Show<'_> {
    async fn run(&self, shop: &str) -> anyhow::Result<()> {
        output::line("\n2. Ask, by HTTP:\n");
        let question = "How much is the Minnow Beach Shelter?";
        self.ask(question).await?;

        let change = "update shop_product set price = 39.50, \
                      description = description || ' A padded carrying strap is included.' \
                      where name = 'Minnow Beach Shelter'";
        output::line(
            "\n3. The shop changes a price and a description by SQL, then syncs: one document is embedded.\n",
        );
        output::line(format!("   {change}\n"));
        execute(shop, change).await?;
        self.sync.run().await?;
        output::line("");
        let answer = self.ask(question).await?;
        expect(&answer, "39.50")?;
        let answer = self.ask("Does the Minnow Beach Shelter come with a carrying strap?").await?;
        expect(&answer, "strap")?;

        let delete = "delete from shop_product where name = 'Minnow Beach Shelter'";
        output::line("\n4. The shop deletes the product, then syncs: it is gone.\n");
        output::line(format!("   {delete}\n"));
        execute(shop, delete).await?;
        self.sync.run().await?;
        output::line("");
        let answer = self.ask(question).await?;
        expect(&answer, "I don't have information")?;
        let sources = answer["sources"].as_array().cloned().unwrap_or_default();
        if sources.iter().any(|source| source["title"] == "Minnow Beach Shelter") {
            bail!("the deleted product was found");
        }
        Ok(())
    }

    /// Asks by HTTP and looks until there is an answer.
    async fn ask(&self, question: &str) -> anyhow::Result<Value> {
        let url = format!("http://{}/v1/answers", self.address);
        let accepted = self.client.post(&url).json(&json!({ "question": question })).send().await?;
        let mut answer: Value = accepted.error_for_status()?.json().await?;
        let id = answer["id"].as_str().context("an answer without an id")?.to_owned();
        while matches!(answer["status"].as_str(), Some("queued" | "in_progress")) {
            tokio::time::sleep(Duration::from_millis(20)).await;
            answer = self.client.get(format!("{url}/{id}")).send().await?.error_for_status()?.json().await?;
        }
        let text = answer["answer"]["text"].as_str().unwrap_or("(no answer)");
        let confidence = answer["confidence"].as_f64().unwrap_or_default();
        output::line(format!("   Q: {question}\n   A: {text}"));
        let escalation = answer["escalation"]["reason"].as_str();
        let escalation =
            escalation.map(|reason| format!(", a human is asked for: {reason}")).unwrap_or_default();
        output::line(format!("      (confidence {confidence:.2}{escalation})"));
        Ok(answer)
    }
}

/// The demo is a promise: what it shows is checked.
fn expect(answer: &Value, wanted: &str) -> anyhow::Result<()> {
    let text = answer["answer"]["text"].as_str().unwrap_or_default();
    if text.contains(wanted) { Ok(()) } else { bail!("the answer should hold {wanted:?}: {text:?}") }
}
