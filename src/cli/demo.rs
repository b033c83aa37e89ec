//! `demo`: shows what shopkeeper does, with a sample shop and a daemon of its own.

use std::{collections::BTreeMap, net::SocketAddr, path::Path, time::Duration};

use anyhow::Context;
use clap::Args;
use indicatif::ProgressBar;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use self::show::Show;
use super::{output, signal::until_signalled};
use crate::daemon::{self, Listeners, Roles, Started};
use crate::{config::Config, demo::EmbeddedStack, store::Store, telemetry};

mod show;

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
    let result = result.map_err(|error| embedded.with_remedy(error));
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
        let shown = show.run(&format!("http://{address}/v1/answers")).await;
        if once || shown.is_err() {
            stop.cancel();
        } else {
            print_examples(&embedded.settings, address, config.http.admin_listen);
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
