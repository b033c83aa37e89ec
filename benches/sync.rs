//! Measures how near the index is kept to the speed of PostgreSQL itself.
//!
//! One private server with its default settings (every commit is written to the disk), a shop of products
//! with one chunk each, and the offline model that answers at once, in this process: reading, cutting, HTTP,
//! and the model server share the cores with PostgreSQL. Each figure stands beside what PostgreSQL does by
//! itself with the same rows, and is the median of the rounds.

use std::{
    collections::BTreeMap,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use clap::{Parser, builder::PossibleValuesParser};
use futures::{StreamExt, TryStreamExt};
use sqlx::{
    AssertSqlSafe, PgPool,
    postgres::{PgPoolCopyExt, PgPoolOptions},
};
use tempfile::TempDir;

use shopkeeper::{
    catalogue::{Catalogue, ListedRow},
    config::Config,
    daemon::{self, Parts, Workers},
    demo::{
        execute,
        models::{Completer, Embedder, Models, OfflineServer},
        postgres::Postgres,
    },
    store::Store,
    sync::reconcile::SyncOptions,
    telemetry,
};

mod common;

use common::{Common, Comparison, create_database, note, percentile};

/// Index a shop, compare one that did not change, and update every price, beside PostgreSQL by itself
#[derive(Debug, Parser)]
struct Options {
    #[command(flatten)]
    common: Common,
    /// Measure this alone
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(NAMES))]
    only: Option<String>,
    /// Products that are embedded
    #[arg(long, value_name = "N", default_value = "100000", value_parser = clap::value_parser!(u32).range(1..))]
    products: u32,
    /// Products that are compared
    #[arg(long, value_name = "N", default_value = "1000000", value_parser = clap::value_parser!(u32).range(1..))]
    rows: u32,
    /// Numbers in a vector
    #[arg(long, value_name = "N", default_value = "1536", value_parser = clap::value_parser!(u16).range(1..))]
    dimensions: u16,
    /// Rounds; the figures are their medians
    #[arg(long, value_name = "N", default_value = "3", value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
}

/// The words of the products' texts.
const TEXT: &str = "(select string_agg((array['light','steel','cotton','garden','winter','kitchen','blue','strong',
    'folding','small','water','travel','warm','quiet','round','wooden'])[1 + (hashint4(n * 31 + w) & 15)] || w, ' ')
    from generate_series(1, 30) as w)";

/// Nothing takes longer.
const LIMIT: Duration = Duration::from_mins(20);

/// What is measured.
const NAMES: &[&str] = &["first_index", "live_hnsw", "unchanged_rows", "price_only", "one_sentence_embeds"];

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    telemetry::start("warn", telemetry::Format::Pretty, None);
    let server = options.common.start_server(&[("max_connections", "60")]).await?;
    let embedder = Embedder::hash(options.dimensions);
    let models = OfflineServer::start(Models::new(embedder, Completer::Extractive)).await?;
    let results = measure(&server, &models, &options).await?;
    models.stop().await;
    server.stop().await?;
    options.common.print(&results)
}

async fn measure(
    server: &Postgres,
    models: &OfflineServer,
    options: &Options,
) -> anyhow::Result<Vec<Comparison>> {
    let mut measured: BTreeMap<&'static str, (Vec<f64>, Vec<f64>)> = BTreeMap::new();
    for round in 1..=options.rounds {
        let bench = Bench { server, models, options, round };
        let is_wanted = |name: &&&str| options.only.as_deref().is_none_or(|only| only == **name);
        for name in NAMES.iter().filter(is_wanted) {
            note(format!("round {round} of {}: {name}", options.rounds));
            let pairs = match *name {
                "first_index" => with_limit(name, "first_index_limit", bench.index(false).await?),
                "live_hnsw" => with_limit(name, "live_hnsw_limit", bench.index(true).await?),
                "one_sentence_embeds" => vec![(*name, bench.one_sentence().await?)],
                "unchanged_rows" => {
                    let (rate, memory) = bench.unchanged().await?;
                    vec![(*name, rate), ("peak_rss_mb", memory)]
                }
                _ => vec![(*name, bench.price_only().await?)],
            };
            for (name, (ours, theirs)) in pairs {
                let figures = measured.entry(name).or_default();
                figures.0.push(ours);
                figures.1.push(theirs);
            }
        }
    }
    Ok(comparisons(&measured))
}

/// A rate and what limits it, each beside the other.
fn with_limit(
    name: &'static str,
    limit: &'static str,
    (ours, theirs): (f64, f64),
) -> Vec<(&'static str, (f64, f64))> {
    vec![(name, (ours, theirs)), (limit, (theirs, ours))]
}

fn comparisons(measured: &BTreeMap<&'static str, (Vec<f64>, Vec<f64>)>) -> Vec<Comparison> {
    let to = [
        ("first_index", "products/s", "binary COPY of the same chunks"),
        ("first_index_limit", "products/s", "first_index"),
        ("live_hnsw", "products/s", "binary COPY with that index"),
        ("live_hnsw_limit", "products/s", "live_hnsw"),
        ("unchanged_rows", "rows/s", "streaming and hashing alone"),
        ("peak_rss_mb", "MB at most", "a hundred"),
        ("price_only", "seconds", "the statement without triggers"),
        ("one_sentence_embeds", "inputs", "the chunks of the document"),
    ];
    let comparison = |(name, unit, compared_to)| {
        let (ours, theirs) = measured.get(name)?;
        let (value, compared_value) = (percentile(ours, 0.5), percentile(theirs, 0.5));
        Some(Comparison::new(name, value, unit, compared_to, compared_value))
    };
    to.into_iter().filter_map(comparison).collect()
}

struct Bench<'a> {
    server: &'a Postgres,
    models: &'a OfflineServer,
    options: &'a Options,
    round: u32,
}

/// A shop and an index in one database, with the settings for them.
struct Place {
    folder: TempDir,
    config: Config,
    store: Store,
    parts: Parts,
    pool: PgPool,
    url: String,
}

impl Bench<'_> {
    async fn place(&self, what: &str, products: u32) -> anyhow::Result<Place> {
        let name = format!("{what}_{}", self.round);
        let url = create_database(self.server, &name).await?;
        execute(
            &url,
            &format!(
                "create table product (id integer primary key, name text not null, description text not null,
                     price numeric(10, 2) not null, stock integer not null);
                 insert into product select n, 'Product ' || n, {TEXT}, n % 1000, n % 50
                 from generate_series(1, {products}) as n"
            ),
        )
        .await?;
        execute(&url, "vacuum analyze product").await?;
        let folder = TempDir::new()?;
        std::fs::write(folder.path().join("url"), &url)?;
        let settings = format!(
            "[database]\nurl = {{ file = \"url\" }}\n[openai]\nbase_url = \"{}\"\nrequests_per_minute = 1000000000\n\
             tokens_per_minute = 4000000000\n[embedding]\nmodel = \"hash\"\ndimensions = {}\n\
             [queue.refresh_document]\nconcurrency = 4000\n[[source]]\nname = \"product\"\nkind = \"postgres\"\n\
             url = {{ file = \"url\" }}\ntable = \"product\"\nkey = \"id\"\ntitle = \"{{{{ name }}}}\"\n\
             text = \"{{{{ name }}}}. {{{{ description }}}}\"\nmetadata = [\"price\", \"stock\"]\n",
            self.models.base_url(),
            self.options.dimensions,
        );
        std::fs::write(folder.path().join("jobs.toml"), settings)?;
        let config = Config::load(&folder.path().join("jobs.toml"), &BTreeMap::new())?;
        let store = Store::open_migrated(&daemon::reach(&config)).await?;
        let parts = daemon::prepare(&config, &store).await?;
        let pool = PgPoolOptions::new().max_connections(4).connect(&url).await?;
        Ok(Place { folder, config, store, parts, pool, url })
    }

    /// Products a second, from the listing to the last commit; and what COPY does with their chunks.
    async fn index(&self, has_hnsw: bool) -> anyhow::Result<(f64, f64)> {
        let what = if has_hnsw { "live" } else { "first" };
        // A graph takes its time: these are enough to see how fast it grows.
        let products = if has_hnsw { self.options.products.min(20_000) } else { self.options.products };
        let place = self.place(what, products).await?;
        if has_hnsw {
            let versions = place.store.index_versions().await?;
            place.store.build_hnsw(&versions[0]).await?;
        }
        let ours = f64::from(products) / place.refresh().await?.as_secs_f64();
        let chunks: i64 =
            sqlx::query_scalar("select count(*) from shopkeeper.chunk").fetch_one(&place.pool).await?;
        if chunks != i64::from(products) {
            bail!("{chunks} chunks of {products} products");
        }
        let rows: Vec<_> = place
            .pool
            .copy_out_raw("copy shopkeeper.chunk_1 to stdout (format binary)")
            .await?
            .try_collect()
            .await?;
        let index = format!(
            "create index on copied using hnsw ((embedding::halfvec({})) halfvec_cosine_ops)",
            self.options.dimensions
        );
        let index = if has_hnsw { index.as_str() } else { "" };
        execute(&place.url, &format!("create table copied (like shopkeeper.chunk_1); {index}")).await?;
        let began = Instant::now();
        let mut copy = place.pool.copy_in_raw("copy copied from stdin (format binary)").await?;
        for part in rows {
            copy.send(part).await?;
        }
        copy.finish().await?;
        let theirs = rate(products, began);
        place.close().await;
        Ok((ours, theirs))
    }

    /// Inputs that are embedded when one sentence of a long text grows, and the chunks of that text.
    async fn one_sentence(&self) -> anyhow::Result<(f64, f64)> {
        let place = self.place("sentence", 1).await?;
        let long = "(select string_agg(format('Part %s is made of %s and %s.', n, md5(n::text), md5((-n)::text)), ' ')
            from generate_series(1, 100) as n)";
        execute(&place.url, &format!("update product set description = {long}")).await?;
        place.refresh().await?;
        let chunks: i64 =
            sqlx::query_scalar("select count(*) from shopkeeper.chunk").fetch_one(&place.pool).await?;
        let before = self.models.script().inputs();
        let grown =
            "update product set description = replace(description, 'Part 50 is', 'Part 50 is really')";
        execute(&place.url, grown).await?;
        place.refresh().await?;
        let inputs = self.models.script().inputs() - before;
        place.close().await;
        #[expect(clippy::cast_precision_loss, reason = "some tens")]
        let figures = (inputs as f64, chunks as f64);
        Ok(figures)
    }

    /// Rows a second that a sync compares in a process of its own, and the most memory that it takes.
    async fn unchanged(&self) -> anyhow::Result<((f64, f64), (f64, f64))> {
        let place = self.place("unchanged", self.options.rows).await?;
        let source = place.parts.postgres_sources().next().context("there is a source")?.1;
        let mut listing = source.list().try_chunks(5000);
        while let Some(page) = listing.next().await {
            place.know(page.map_err(|error| error.1)?).await?;
        }
        drop(listing);
        execute(&place.url, "vacuum analyze shopkeeper.document").await?;
        let began = Instant::now();
        let streamed = source.list().try_fold(0_u32, |rows, _| async move { Ok(rows + 1) }).await?;
        let theirs = rate(streamed, began);
        let (report, memory) = place.sync_in_a_process()?;
        if report.unchanged != u64::from(self.options.rows) {
            bail!("{} of {} rows were unchanged", report.unchanged, self.options.rows);
        }
        let ours = f64::from(self.options.rows) / Duration::from_millis(report.elapsed_ms).as_secs_f64();
        place.close().await;
        Ok(((ours, theirs), (memory, 100.0)))
    }

    /// Seconds that an update of every price takes with triggers, and without.
    async fn price_only(&self) -> anyhow::Result<(f64, f64)> {
        let place = self.place("price", self.options.rows.min(200_000)).await?;
        let source = place.parts.postgres_sources().next().context("there is a source")?.1;
        let mut seconds = [Vec::new(), Vec::new()];
        for turn in 0..6 {
            if turn % 2 == 0 {
                source.remove_triggers().await?;
            } else {
                source.install_triggers().await?;
            }
            execute(&place.url, "vacuum product").await?;
            execute(&place.url, "checkpoint").await?;
            let began = Instant::now();
            execute(&place.url, "update product set price = price + 1").await?;
            seconds[turn % 2].push(began.elapsed().as_secs_f64());
        }
        let notes: i64 =
            sqlx::query_scalar("select count(*) from shopkeeper_change.note").fetch_one(&place.pool).await?;
        if notes > 0 {
            bail!("{notes} changes of prices were noted");
        }
        place.close().await;
        let [without, with] = seconds;
        Ok((percentile(&with, 0.5), percentile(&without, 0.5)))
    }
}

#[derive(serde::Deserialize)]
struct Report {
    unchanged: u64,
    elapsed_ms: u64,
}

impl Place {
    /// Syncs and refreshes; how long it was until the last commit.
    async fn refresh(&self) -> anyhow::Result<Duration> {
        let began = Instant::now();
        let workers = Workers::new(&self.store);
        workers.start_refreshing(&self.parts, &self.config.queue);
        self.parts.sync.sync("product", SyncOptions::default()).await?;
        self.until_done().await?;
        let took = began.elapsed();
        workers.stop().await;
        Ok(took)
    }

    async fn lacks_documents(&self) -> anyhow::Result<bool> {
        let lacks = "select (select count(*) from shopkeeper.document)
                 > (select count(*) from shopkeeper.document_index where state = 'fresh')";
        Ok(sqlx::query_scalar(lacks).fetch_one(&self.pool).await?)
    }

    async fn until_done(&self) -> anyhow::Result<()> {
        let began = Instant::now();
        let left = "select exists (
                 select from shopkeeper.job where kind = 'refresh_document'
                 union all select from shopkeeper.job where kind = 'fill_index' and last_error is null
             )";
        while sqlx::query_scalar(left).fetch_one(&self.pool).await? || self.lacks_documents().await? {
            if began.elapsed() > LIMIT {
                bail!("jobs are left after {} minutes", LIMIT.as_secs() / 60);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// Makes documents known as they are listed.
    async fn know(&self, page: Vec<ListedRow>) -> anyhow::Result<()> {
        let (keys, hashes): (Vec<_>, Vec<_>) =
            page.into_iter().map(|listed| (listed.key, listed.row_hash)).unzip();
        let known = "insert into shopkeeper.document (source, key, row_hash)
             select 'product', key, row_hash from unnest($1::text[], $2::bigint[]) as listed (key, row_hash)";
        sqlx::query(AssertSqlSafe(known)).bind(keys).bind(hashes).execute(&self.pool).await?;
        Ok(())
    }

    /// What the command line's `sync` says, and the most megabytes that it held.
    fn sync_in_a_process(&self) -> anyhow::Result<(Report, f64)> {
        let settings = self.folder.path().join("jobs.toml");
        let mut child = Command::new(env!("CARGO_BIN_EXE_shopkeeper"))
            .arg("--config")
            .arg(settings)
            .args(["sync", "--json"])
            .stdout(Stdio::piped())
            .spawn()?;
        let status = format!("/proc/{}/status", child.id());
        let mut most = 0.0_f64;
        while child.try_wait()?.is_none() {
            let status = std::fs::read_to_string(&status).unwrap_or_default();
            let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
            most = most.max(kilobytes.unwrap_or(0.0) / 1e3);
            std::thread::sleep(Duration::from_millis(20));
        }
        let output = child.wait_with_output()?;
        if !output.status.success() {
            bail!("`sync` ended with {}", output.status);
        }
        Ok((serde_json::from_slice(&output.stdout)?, most))
    }

    async fn close(self) {
        self.pool.close().await;
        self.store.close().await;
    }
}

fn rate(rows: u32, began: Instant) -> f64 {
    f64::from(rows) / began.elapsed().as_secs_f64()
}
