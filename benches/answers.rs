//! Measures what an answer takes besides its model.
//!
//! One private server, an index of many chunks with its HNSW, the offline model that answers at once, and the whole
//! daemon, asked over HTTP: all share the cores. The stages are the spans that traces are made of.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use clap::Parser;
use futures::{StreamExt, TryStreamExt, stream};
use pgvector::HalfVector;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgPool, postgres::PgPoolOptions};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use tracing::{Id, Subscriber, span::Attributes};
use tracing_subscriber::{
    layer::{Context, Layer, SubscriberExt},
    registry::LookupSpan,
    util::SubscriberInitExt,
};

use shopkeeper::{
    answering::Question,
    config::Config,
    daemon::{self, Listeners, Parts, Roles, Started, Workers},
    demo::{
        execute,
        models::{Completer, Embedder, Models, OfflineServer},
        postgres::Postgres,
    },
    model::unlimited,
    store::{Store, answers::LOCAL, chunks::SearchFilter},
    sync::reconcile::SyncOptions,
};

mod common;

use common::{Common, Comparison, create_database, note, percentile};

/// Answer questions from a large index, beside plain SQL and what is to be reached
#[derive(Debug, Parser)]
struct Options {
    #[command(flatten)]
    common: Common,
    /// Chunks in the index
    #[arg(long, value_name = "N", default_value = "100000", value_parser = clap::value_parser!(u32).range(1..))]
    chunks: u32,
    /// Numbers in a vector
    #[arg(long, value_name = "N", default_value = "1536", value_parser = clap::value_parser!(u16).range(1..))]
    dimensions: u16,
    /// Questions of all sessions together
    #[arg(long, value_name = "N", default_value = "5000", value_parser = clap::value_parser!(u32).range(1..))]
    questions: u32,
    /// Sessions that ask at once
    #[arg(long, value_name = "N", default_value = "50", value_parser = clap::value_parser!(u32).range(1..))]
    sessions: u32,
}

/// Questions asked one after the other, at most.
const SINGLE: u32 = 300;
/// Stages that are waiting for a model.
const MODELS: [&str; 2] = ["embeddings", "chat"];

/// How long spans of each name took, in milliseconds.
#[derive(Clone, Default)]
struct Spans(Arc<Mutex<BTreeMap<&'static str, Vec<f64>>>>);

struct Began(Instant);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Spans {
    fn on_new_span(&self, _: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(Began(Instant::now()));
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id) else { return };
        let Some(took) = span.extensions().get::<Began>().map(|began| began.0.elapsed()) else { return };
        let mut spans = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        spans.entry(span.name()).or_default().push(took.as_secs_f64() * 1e3);
    }
}

impl Spans {
    fn take(&self) -> BTreeMap<&'static str, Vec<f64>> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let spans = Spans::default();
    let filter = tracing_subscriber::EnvFilter::new("off,shopkeeper=info");
    tracing_subscriber::registry().with(spans.clone().with_filter(filter)).try_init()?;
    let settings = [("max_connections", "100"), ("shared_buffers", "1GB")];
    let server = options.common.start_server(&settings).await?;
    let models = Models::new(Embedder::hash(options.dimensions), Completer::Extractive);
    let models = OfflineServer::start(models).await?;
    let place = Place::new(&server, &models, &options).await?;
    let mut results = place.search().await?;
    results.extend(place.ask(&spans).await?);
    place.store.close().await;
    models.stop().await;
    server.stop().await?;
    options.common.print(&results)
}

/// An index with its settings.
struct Place<'a> {
    options: &'a Options,
    config: Config,
    store: Store,
    parts: Parts,
    pool: PgPool,
    /// The settings' files.
    _folder: TempDir,
}

impl<'a> Place<'a> {
    async fn new(server: &Postgres, models: &OfflineServer, options: &'a Options) -> anyhow::Result<Self> {
        let url = create_database(server, "answers").await?;
        let products = format!(
            "create table product (id integer primary key, name text not null, price numeric(10, 2) not null);
             insert into product select n, 'Product ' || n || ' of ' || md5(n::text), n % 1000
             from generate_series(1, {}) as n",
            options.chunks
        );
        execute(&url, &products).await?;
        let folder = TempDir::new()?;
        std::fs::write(folder.path().join("url"), &url)?;
        let settings = format!(
            "[database]\nurl = {{ file = \"url\" }}\nmax_connections = 40\n[http]\nlisten = \"127.0.0.1:0\"\n\
             admin_listen = \"\"\nrequests_per_minute = 0\n[openai]\nbase_url = \"{}\"\n\
             requests_per_minute = 1000000000\ntokens_per_minute = 4000000000\n[embedding]\nmodel = \"hash\"\n\
             dimensions = {}\n[answers]\nmodel = \"extractive\"\n[[source]]\nname = \"product\"\nkind = \"postgres\"\n\
             url = {{ file = \"url\" }}\ntable = \"product\"\nkey = \"id\"\ntitle = \"{{{{ name }}}}\"\n\
             text = \"{{{{ name }}}}\"\nmetadata = [\"price\"]\npoll = \"0\"\n",
            models.base_url(),
            options.dimensions,
        );
        std::fs::write(folder.path().join("jobs.toml"), settings)?;
        let config = Config::load(&folder.path().join("jobs.toml"), &BTreeMap::new())?;
        let store = Store::open_migrated(&daemon::reach(&config)).await?;
        let parts = daemon::prepare(&config, &store).await?;
        let pool = PgPoolOptions::new().max_connections(40).connect(&url).await?;
        note(format!("indexing {} products, and building their HNSW index", options.chunks));
        let workers = Workers::new(&store);
        workers.start_refreshing(&parts, &config.queue);
        workers.start(&parts.maintain, &config.queue.maintain_index);
        parts.sync.sync("product", SyncOptions::default()).await?;
        while sqlx::query_scalar("select exists (select from shopkeeper.job)").fetch_one(&pool).await? {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        workers.stop().await;
        execute(&url, "vacuum analyze").await?;
        Ok(Self { options, config, store, parts, pool, _folder: folder })
    }

    fn singles(&self) -> u32 {
        self.options.questions.min(SINGLE)
    }

    fn question(&self, n: u32) -> String {
        // Scattered over the products.
        let product = u64::from(n) * 2_654_435_761 % u64::from(self.options.chunks);
        format!("How much is the Product {product}?")
    }

    /// Our search beside plain SQL with the same vectors, in turns.
    async fn search(&self) -> anyhow::Result<Vec<Comparison>> {
        note("searching");
        let version = self.parts.versions.active().await.map_err(|error| anyhow::anyhow!("{error}"))?;
        let inputs: Vec<_> = (0..self.singles() * 2).map(|n| self.question(n)).collect();
        let vectors = version.model.embedder.embed(&inputs, &unlimited).await?.vectors;
        let statement = format!(
            "select source, key, content, embedding::halfvec({0}) <=> $1 as distance from shopkeeper.chunk_{1}
             order by embedding::halfvec({0}) <=> $1 limit 5",
            self.options.dimensions, version.index.id
        );
        let (mut ours, mut plain) = (Vec::new(), Vec::new());
        for (n, vector) in vectors.iter().cycle().take(2 * vectors.len()).enumerate() {
            if n == vectors.len() {
                // Plans are made, and what is looked at is in memory.
                (ours, plain) = (Vec::new(), Vec::new());
            }
            let began = Instant::now();
            if n % 2 == 0 {
                self.store.nearest(&version.index, vector, 5, SearchFilter::default()).await?;
                ours.push(began.elapsed().as_secs_f64() * 1e3);
            } else {
                let query =
                    sqlx::query(AssertSqlSafe(statement.clone())).bind(HalfVector::from_f32_slice(vector));
                query.fetch_all(&self.pool).await?;
                plain.push(began.elapsed().as_secs_f64() * 1e3);
            }
        }
        let compared = |name, share| {
            let (value, compared_value) = (percentile(&ours, share), percentile(&plain, share));
            let compared_to = "plain SQL on the same index";
            Comparison::new(name, value, "ms", compared_to, compared_value)
        };
        Ok(vec![compared("search_p50_ms", 0.5), compared("search_p99_ms", 0.99)])
    }

    /// The daemon, asked one after the other, then by all sessions at once.
    async fn ask(&self, spans: &Spans) -> anyhow::Result<Vec<Comparison>> {
        let stop = CancellationToken::new();
        let listeners = Listeners::bind(&self.config, Roles::ALL)?;
        let (sender, started) = tokio::sync::oneshot::channel();
        let running = daemon::run(
            &self.config,
            listeners,
            Roles::ALL,
            stop.clone(),
            move |Started { address, .. }| {
                // Whoever waits for it may have given up.
                let _ = sender.send(address);
            },
        );
        let asking = async {
            let address = started.await?.context("the daemon has a listener")?;
            // The first listing is over when nothing is left to do.
            while sqlx::query_scalar("select exists (select from shopkeeper.job)")
                .fetch_one(&self.pool)
                .await?
            {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            let results = self.asked(&format!("http://{address}/v1/answers"), spans).await;
            stop.cancel();
            results
        };
        let (ran, results) = tokio::join!(running, asking);
        ran?;
        results
    }

    async fn asked(&self, url: &str, spans: &Spans) -> anyhow::Result<Vec<Comparison>> {
        let singles = self.singles();
        note(format!("{singles} questions, one after the other"));
        spans.take();
        for n in 0..singles {
            let question = Question { question: self.question(n), ..Question::default() };
            let id = self.store.ask(LOCAL, None, &question, None).await?;
            while !self.store.answer(None, id).await?.is_some_and(|answer| answer.status.is_settled()) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
        let claims =
            "select extract(epoch from started_at - created_at)::float8 * 1000 from shopkeeper.answer
             where started_at is not null order by 1";
        let claims: Vec<f64> = sqlx::query_scalar(claims).fetch_all(&self.pool).await?;
        let stages = spans.take();
        for (name, took) in &stages {
            let (p50, p99) = (percentile(took, 0.5), percentile(took, 0.99));
            note(format!("  {name}: {} times, p50 {p50:.2} ms, p99 {p99:.2} ms", took.len()));
        }
        let own = own_times(&stages)?;
        note(format!("{} questions of {} sessions", self.options.questions, self.options.sessions));
        let client = reqwest::Client::new();
        let began = Instant::now();
        let sessions = stream::iter(0..self.options.sessions).map(|session| {
            let client = client.clone();
            async move {
                for n in 0..self.options.questions / self.options.sessions {
                    let question = self.question(session * 1000 + n);
                    // Given empty, so that each is one question and not a follow-up.
                    let body =
                        json!({ "question": question, "session_id": format!("s{session}"), "history": [] });
                    let request = client.post(url).header("prefer", "wait=20").json(&body);
                    let answer: Value = request.send().await?.error_for_status()?.json().await?;
                    if answer["status"] != "completed" {
                        bail!("a question was not answered: {answer}");
                    }
                }
                Ok(())
            }
        });
        sessions.buffer_unordered(self.options.sessions as usize).try_collect::<()>().await?;
        let rate = f64::from(self.options.questions) / began.elapsed().as_secs_f64();
        let goal = "what is to be reached";
        Ok(vec![
            Comparison::new("claim_p50_ms", percentile(&claims, 0.5), "ms", goal, 5.0),
            Comparison::new("claim_p99_ms", percentile(&claims, 0.99), "ms", goal, 25.0),
            Comparison::new("own_time_p50_ms", percentile(&own, 0.5), "ms", goal, 10.0),
            Comparison::new("own_time_p99_ms", percentile(&own, 0.99), "ms", goal, f64::NAN),
            Comparison::new("answers_per_second", rate, "answers/s", goal, 500.0),
        ])
    }
}

/// Of each answer, the time of its job without that of its model. The questions came one after the other, so
/// that the spans of a name are in the order of the answers.
fn own_times(stages: &BTreeMap<&'static str, Vec<f64>>) -> anyhow::Result<Vec<f64>> {
    let jobs = stages.get("job").context("there are jobs")?;
    let mut own = jobs.clone();
    for name in MODELS {
        let waits = stages.get(name).context("there are requests to models")?;
        if waits.len() != own.len() {
            bail!("{} jobs and {} requests of {name}: something else ran", own.len(), waits.len());
        }
        own.iter_mut().zip(waits).for_each(|(own, wait)| *own -= wait);
    }
    Ok(own)
}
