//! `demo`: shows what shopkeeper does, with a sample shop and a daemon of its own.

use std::{collections::BTreeMap, net::SocketAddr, path::Path, time::Duration};

use anyhow::Context;
use clap::{
    Args,
    builder::{PossibleValuesParser, TypedValueParser},
};
use indicatif::ProgressBar;
use strum::VariantNames;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use self::show::Show;
use super::{output, signal::until_signalled};
use crate::daemon::{self, Listeners, Roles, Started};
use crate::{
    config::Config,
    demo::{EmbeddedStack, SampleShop},
    store::Store,
    telemetry,
};

mod show;

#[derive(Debug, Args)]
pub(super) struct Demo {
    /// End after the show instead of keeping the daemon running
    #[arg(long)]
    once: bool,
    /// The sample shop; only the first has a show
    #[arg(long, default_value = "household", value_parser = sample_shop())]
    shop: SampleShop,
}

fn sample_shop() -> impl TypedValueParser<Value = SampleShop> {
    PossibleValuesParser::new(SampleShop::VARIANTS).try_map(|name| name.parse())
}

pub(super) async fn demo(demo: Demo) -> anyhow::Result<()> {
    telemetry::start("warn", telemetry::Format::Pretty, None);
    output::line("Starting a private PostgreSQL with pgvector, offline models and a sample shop.");
    output::line("(The first time, about 190 MB are downloaded and kept.)");
    let spinner = ProgressBar::new_spinner();
    spinner.enable_steady_tick(Duration::from_millis(100));
    let embedded = EmbeddedStack::start(demo.shop).await;
    spinner.finish_and_clear();
    let (embedded, listeners) = embedded?;
    let result = with_daemon(&embedded, listeners, &demo).await;
    let result = result.map_err(|error| embedded.with_remedy(error));
    embedded.stop().await?;
    result
}

/// Runs a daemon beside the show, and stops it afterwards.
async fn with_daemon(embedded: &EmbeddedStack, listeners: Listeners, demo: &Demo) -> anyhow::Result<()> {
    let config = Config::load(&embedded.settings, &BTreeMap::new())?;
    let store = Store::open_migrated(&config.database).await?;
    let parts = daemon::prepare(&config, &store).await?;
    let stop = CancellationToken::new();
    let (sender, started) = oneshot::channel();
    let daemon = daemon::run(&config, listeners, Roles::ALL, stop.clone(), |Started { address, .. }| {
        // The receiver is gone if the show failed first.
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
        announce(config.http.admin_listen).await;
        let has_show = demo.shop == SampleShop::Household;
        let shown = if has_show { show.run(&format!("http://{address}/v1/answers")).await } else { Ok(()) };
        if demo.once || shown.is_err() {
            stop.cancel();
        } else {
            if has_show {
                fill(embedded, address).await;
            }
            print_examples(demo.shop, &embedded.settings, address, config.http.admin_listen);
        }
        shown
    };
    let running = async {
        // Before the daemon starts, which would sync sources that were never listed.
        output::line("\n1. Sync: every document is read, cut into chunks and embedded.\n");
        show.sync().await?;
        if stop.is_cancelled() {
            return Ok(());
        }
        let (daemon, shown) = tokio::join!(daemon, steps);
        // If the daemon did not start, its error explains why there was no show.
        daemon.and(shown)
    };
    until_signalled(running, &stop).await
}

/// How often the console is asked whether it answers.
const ATTEMPTS: u32 = 300;

/// Prints the address of the console as soon as it answers.
pub(super) async fn announce(admin: Option<SocketAddr>) {
    let Some(admin) = admin else { return };
    let (client, url) = (reqwest::Client::new(), format!("http://{admin}/"));
    for _ in 0..ATTEMPTS {
        if client.get(&url).send().await.is_ok_and(|response| response.status().is_success()) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    output::line(format!("\nThe console: {url}"));
}

/// Fills the console with a day of a shop's life.
pub(super) async fn fill(embedded: &EmbeddedStack, api: SocketAddr) {
    if let Err(error) = embedded.fill(&format!("http://{api}")).await {
        tracing::warn!("the sample of a day could not be made: {error:#}");
    }
}

fn print_examples(shop: SampleShop, settings: &Path, api: SocketAddr, admin: Option<SocketAddr>) {
    let (policy, product) = match shop {
        SampleShop::Household => ("Can I return a tent that I have used?", "Which sleeping bag is for snow?"),
        SampleShop::Electronics => {
            ("Can I return headphones that I have used?", "Which phone has the longest battery life?")
        }
    };
    let golden = settings.with_file_name("golden.jsonl");
    let (settings, golden) = (settings.display(), golden.display());
    output::line("\nThe daemon goes on running; Ctrl-C ends it. Try, from another terminal:\n");
    output::line(format!("  curl -s http://{api}/v1/answers -H 'content-type: application/json' \\"));
    output::line(format!("       -d '{{\"question\": \"{policy}\"}}'"));
    output::line(format!("  curl -s http://{api}/v1/answers/ID      # the id that the answer above has"));
    output::line(format!("  shopkeeper --config {settings} ask \"{product}\""));
    output::line(format!("  shopkeeper --config {settings} status"));
    output::line(format!("  shopkeeper --config {settings} eval run {golden}"));
    if let Some(admin) = admin {
        output::line(format!("  curl -s http://{admin}/readyz"));
    }
    output::line("\n(`shopkeeper` is target/debug/shopkeeper when it was started by make.)");
}
