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
use sqlx::{AssertSqlSafe, Connection, MySqlConnection, postgres::PgPoolCopyExt};

use shopkeeper::{
    catalogue::ListedRow,
    daemon::Workers,
    demo::{
        execute,
        mariadb::MariaDb,
        models::{Completer, Embedder, Models, OfflineServer},
        postgres::Postgres,
    },
    sync::reconcile::SyncOptions,
    telemetry,
};

mod common;
mod place;

use common::{Common, Comparison, note, percentile};
use place::Place;

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

/// Longest time for one measurement.
const LIMIT: Duration = Duration::from_mins(20);

/// The measurements.
const NAMES: &[&str] =
    &["first_index", "live_hnsw", "unchanged_rows", "mysql_unchanged", "price_only", "one_sentence_embeds"];

/// The settings of the shop and its index.
const SETTINGS: &str = "[queue.refresh_document]\nconcurrency = 4000\n[[source]]\nname = \"product\"\n\
    kind = \"postgres\"\nurl = { file = \"url\" }\ntable = \"product\"\nkey = \"id\"\ntitle = \"{{ name }}\"\n\
    text = \"{{ name }}. {{ description }}\"\nmetadata = [\"price\", \"stock\"]\n";

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
    let mut figures: BTreeMap<&'static str, (Vec<f64>, Vec<f64>)> = BTreeMap::new();
    for round in 1..=options.rounds {
        let bench = Bench { server, models, options, round };
        for &name in NAMES.iter().filter(|name| options.only.as_deref().is_none_or(|only| only == **name)) {
            note(format!("round {round} of {}: {name}", options.rounds));
            let mut add = |name, (ours, theirs)| {
                let (all_ours, all_theirs) = figures.entry(name).or_default();
                all_ours.push(ours);
                all_theirs.push(theirs);
            };
            match name {
                "first_index" | "live_hnsw" => {
                    let has_hnsw = name == "live_hnsw";
                    let (ours, theirs) = bench.index(has_hnsw).await?;
                    add(name, (ours, theirs));
                    add(if has_hnsw { "live_hnsw_limit" } else { "first_index_limit" }, (theirs, ours));
                }
                "unchanged_rows" => {
                    let (rates, memory) = bench.unchanged().await?;
                    add(name, rates);
                    add("peak_rss_mb", memory);
                }
                "mysql_unchanged" => match bench.mysql_unchanged().await? {
                    Some((rates, memory)) => {
                        add("mysql_unchanged", rates);
                        add("mysql_peak_rss_mb", memory);
                    }
                    None => note("not measured: there is no MariaDB (package mariadb-server)"),
                },
                "one_sentence_embeds" => add(name, bench.one_sentence().await?),
                _ => add(name, bench.price_only().await?),
            }
        }
    }
    let compared = [
        ("first_index", "products/s", "binary COPY of the same chunks"),
        ("first_index_limit", "products/s", "first_index"),
        ("live_hnsw", "products/s", "binary COPY with that index"),
        ("live_hnsw_limit", "products/s", "live_hnsw"),
        ("unchanged_rows", "rows/s", "streaming and hashing alone"),
        ("peak_rss_mb", "MB at most", "a hundred"),
        ("mysql_unchanged", "rows/s", "streaming the same columns alone"),
        ("mysql_peak_rss_mb", "MB at most", "a hundred"),
        ("price_only", "seconds", "the statement without triggers"),
        ("one_sentence_embeds", "inputs", "the chunks of the document"),
    ];
    let comparison = |(name, unit, compared_to)| {
        let (ours, theirs) = figures.get(name)?;
        Some(Comparison::at(0.5, (name, unit), ours, compared_to, theirs))
    };
    Ok(compared.into_iter().filter_map(comparison).collect())
}

struct Bench<'a> {
    server: &'a Postgres,
    models: &'a OfflineServer,
    options: &'a Options,
    round: u32,
}

impl Bench<'_> {
    async fn place(&self, name: &str, products: u32) -> anyhow::Result<Place> {
        let statements = format!(
            "create table product (id integer primary key, name text not null, description text not null,
                 price numeric(10, 2) not null, stock integer not null);
             insert into product select n, 'Product ' || n, {TEXT}, n % 1000, n % 50
             from generate_series(1, {products}) as n"
        );
        let name = format!("{name}_{}", self.round);
        Place::new(self.server, self.models, self.options.dimensions, &name, &statements, SETTINGS).await
    }

    /// Products a second, from the listing to the last commit; and what COPY does with their chunks.
    async fn index(&self, has_hnsw: bool) -> anyhow::Result<(f64, f64)> {
        let what = if has_hnsw { "live" } else { "first" };
        // A graph takes its time: these are enough to see how fast it grows.
        let products = if has_hnsw { self.options.products.min(20_000) } else { self.options.products };
        let place = self.place(what, products).await?;
        if has_hnsw {
            place.store.build_hnsw(&place.store.index_versions().await?[0]).await?;
        }
        let ours = f64::from(products) / refresh(&place).await?.as_secs_f64();
        let chunks = count(&place, "shopkeeper.chunk").await?;
        if chunks != i64::from(products) {
            bail!("{chunks} chunks of {products} products");
        }
        let rows = place.pool.copy_out_raw("copy shopkeeper.chunk_1 to stdout (format binary)").await?;
        let rows: Vec<_> = rows.try_collect().await?;
        execute(&place.url, "create table copied (like shopkeeper.chunk_1)").await?;
        if has_hnsw {
            let vectors = format!("(embedding::halfvec({})) halfvec_cosine_ops", self.options.dimensions);
            execute(&place.url, &format!("create index on copied using hnsw ({vectors})")).await?;
        }
        let began = Instant::now();
        let mut copy = place.pool.copy_in_raw("copy copied from stdin (format binary)").await?;
        for part in rows {
            copy.send(part).await?;
        }
        copy.finish().await?;
        let theirs = rate(products, began);
        place.close().await?;
        Ok((ours, theirs))
    }

    /// Inputs that are embedded when one sentence of a long text grows, and the chunks of that text.
    async fn one_sentence(&self) -> anyhow::Result<(f64, f64)> {
        let place = self.place("sentence", 1).await?;
        let long = "(select string_agg(format('Part %s is made of %s and %s.', n, md5(n::text), md5((-n)::text)), ' ')
            from generate_series(1, 100) as n)";
        execute(&place.url, &format!("update product set description = {long}")).await?;
        refresh(&place).await?;
        let chunks = count(&place, "shopkeeper.chunk").await?;
        let before = self.models.script().inputs();
        let grown = "replace(description, 'Part 50 is', 'Part 50 is really')";
        execute(&place.url, &format!("update product set description = {grown}")).await?;
        refresh(&place).await?;
        let inputs = self.models.script().inputs() - before;
        place.close().await?;
        #[expect(clippy::cast_precision_loss, reason = "some tens")]
        let figures = (inputs as f64, chunks as f64);
        Ok(figures)
    }

    /// Rows a second that a sync compares in a process of its own, and the most memory that it takes.
    async fn unchanged(&self) -> anyhow::Result<((f64, f64), (f64, f64))> {
        let place = self.place("unchanged", self.options.rows).await?;
        know_all(&place).await?;
        let source = place.parts.catalogues().next().context("there is a source")?.1;
        let began = Instant::now();
        let listed = source.list().await?.rows.try_fold(0, |rows, _| async move { Ok(rows + 1) }).await?;
        let theirs = rate(listed, began);
        self.compare(place, theirs).await
    }

    /// Syncs a shop whose rows are known in a process of its own.
    async fn compare(&self, place: Place, theirs: f64) -> anyhow::Result<((f64, f64), (f64, f64))> {
        let (report, memory) = sync_in_a_process(&place)?;
        if report.unchanged != u64::from(self.options.rows) {
            bail!("{} of {} rows were unchanged", report.unchanged, self.options.rows);
        }
        let ours = f64::from(self.options.rows) / Duration::from_millis(report.elapsed_ms).as_secs_f64();
        place.close().await?;
        Ok(((ours, theirs), (memory, 100.0)))
    }

    /// The same as [`Self::unchanged`], for a shop in MariaDB.
    async fn mysql_unchanged(&self) -> anyhow::Result<Option<((f64, f64), (f64, f64))>> {
        let Some(mariadb) = tokio::task::spawn_blocking(MariaDb::start).await?? else { return Ok(None) };
        let (url, rows) = (mariadb.create_database("shop").await?, self.options.rows);
        let mut connection = MySqlConnection::connect(&url).await?;
        let shop = format!(
            "create table product (id int primary key, name text not null, description text not null,
                 price decimal(10, 2) not null, stock int not null);
             insert into product select seq, concat('Product ', seq), repeat(concat('light', seq % 100, ' '), 30),
                 seq % 1000, seq % 50 from seq_1_to_{rows}"
        );
        sqlx::raw_sql(AssertSqlSafe(shop)).execute(&mut connection).await?;
        let settings = SETTINGS.replace(
            "kind = \"postgres\"\nurl = { file = \"url\" }",
            &format!("kind = \"mysql\"\nurl = \"{url}\""),
        );
        let name = format!("mysql_{}", self.round);
        let nothing = "create table product (id int)";
        let place =
            Place::new(self.server, self.models, self.options.dimensions, &name, nothing, &settings).await?;
        know_all(&place).await?;
        let began = Instant::now();
        let mut streamed = 0;
        let mut all =
            sqlx::query("select id, name, description, price, stock from product").fetch(&mut connection);
        while all.try_next().await?.is_some() {
            streamed += 1;
        }
        drop(all);
        let theirs = rate(streamed, began);
        self.compare(place, theirs).await.map(Some)
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
        let notes = count(&place, "shopkeeper_change.note").await?;
        if notes > 0 {
            bail!("{notes} changes of prices were noted");
        }
        place.close().await?;
        let [without, with] = seconds;
        Ok((percentile(&with, 0.5), percentile(&without, 0.5)))
    }
}

/// Syncs and refreshes; returns the time until the last commit.
async fn refresh(place: &Place) -> anyhow::Result<Duration> {
    let began = Instant::now();
    let workers = Workers::new(&place.store);
    workers.start_refreshing(&place.parts, &place.config.queue);
    place.parts.sync.sync("product", SyncOptions::default()).await?;
    let is_behind = "select exists (
             select from shopkeeper.job where kind = 'refresh_document'
             union all select from shopkeeper.job where kind = 'fill_index' and last_error is null
         ) or (select count(*) from shopkeeper.document)
             > (select count(*) from shopkeeper.document_index where state = 'fresh')";
    while sqlx::query_scalar(is_behind).fetch_one(&place.pool).await? {
        if began.elapsed() > LIMIT {
            bail!("jobs are left after {} minutes", LIMIT.as_secs() / 60);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let took = began.elapsed();
    workers.stop().await;
    Ok(took)
}

async fn count(place: &Place, table: &str) -> anyhow::Result<i64> {
    let count = AssertSqlSafe(format!("select count(*) from {table}"));
    Ok(sqlx::query_scalar(count).fetch_one(&place.pool).await?)
}

/// Makes all rows of a shop known, without indexing them.
async fn know_all(place: &Place) -> anyhow::Result<()> {
    let source = place.parts.catalogues().next().context("there is a source")?.1;
    let mut listing = source.list().await?.rows.try_chunks(5000);
    while let Some(page) = listing.next().await {
        insert_documents(place, page.map_err(|error| error.1)?).await?;
    }
    execute(&place.url, "vacuum analyze shopkeeper.document").await
}

/// Inserts documents as they are listed.
async fn insert_documents(place: &Place, page: Vec<ListedRow>) -> anyhow::Result<()> {
    let (keys, hashes): (Vec<_>, Vec<_>) =
        page.into_iter().map(|listed| (listed.key, listed.row_hash)).unzip();
    let insert = "insert into shopkeeper.document (source, key, row_hash)
         select 'product', key, row_hash from unnest($1::text[], $2::bigint[]) as listed (key, row_hash)";
    sqlx::query(AssertSqlSafe(insert)).bind(keys).bind(hashes).execute(&place.pool).await?;
    Ok(())
}

#[derive(serde::Deserialize)]
struct Report {
    unchanged: u64,
    elapsed_ms: u64,
}

/// Returns the report of the command line's `sync`, and the most megabytes that it held.
fn sync_in_a_process(place: &Place) -> anyhow::Result<(Report, f64)> {
    let settings = place.folder.path().join("jobs.toml");
    let mut command = Command::new(env!("CARGO_BIN_EXE_shopkeeper"));
    command.arg("--config").arg(settings).args(["sync", "--json"]);
    let mut child = command.stdout(Stdio::piped()).spawn()?;
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

fn rate(rows: u32, began: Instant) -> f64 {
    f64::from(rows) / began.elapsed().as_secs_f64()
}
