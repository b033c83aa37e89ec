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
use sqlx::AssertSqlSafe;
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
    daemon::{self, Listeners, Roles, Started, Workers},
    demo::{
        execute,
        models::{Completer, Embedder, Models, OfflineServer},
        postgres::Postgres,
    },
    indexing::fill::FillIndex,
    model::{InputRole, unlimited},
    store::{answers::LOCAL, search::SearchFilter},
    sync::reconcile::SyncOptions,
};

mod common;
mod place;

use common::{Common, Comparison, note, percentile};
use place::Place;

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
    /// Numbers in a vector of a second model, which is added after the first was measured alone; 0 for none
    #[arg(long, value_name = "N", default_value = "384")]
    second_dimensions: u16,
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
    fn count(&self, name: &str) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(name).map_or(0, Vec::len)
    }

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
    let server =
        options.common.start_server(&[("max_connections", "100"), ("shared_buffers", "1GB")]).await?;
    let models = Models::new(Embedder::hash(options.dimensions), Completer::Extractive);
    let models = OfflineServer::start(models).await?;
    let mut bench = Bench { place: index(&server, &models, &options).await?, options: &options };
    let mut results = bench.search().await?;
    let one = bench.ask(&spans).await?;
    results.extend(one.to_goals());
    if options.second_dimensions > 0 {
        let second = Models::new(Embedder::hash(options.second_dimensions), Completer::Extractive);
        let second = OfflineServer::start(second).await?;
        note(format!("adding vectors of {} numbers by a second model", options.second_dimensions));
        add_second(&mut bench.place, &second, options.second_dimensions).await?;
        results.extend(bench.ask(&spans).await?.beside(&one));
        second.stop().await;
    }
    bench.place.close().await?;
    models.stop().await;
    server.stop().await?;
    options.common.print(&results)
}

const SETTINGS: &str = "max_connections = 40\n[http]\nlisten = \"127.0.0.1:0\"\nadmin_listen = \"\"\n\
    requests_per_minute = 0\n[answers]\nmodel = \"extractive\"\n[[source]]\nname = \"product\"\nkind = \"postgres\"\n\
    url = { file = \"url\" }\ntable = \"product\"\nkey = \"id\"\ntitle = \"{{ name }}\"\ntext = \"{{ name }}\"\n\
    metadata = [\"price\"]\npoll = \"0\"\n";

/// Indexes a shop, and builds the HNSW index.
async fn index(server: &Postgres, models: &OfflineServer, options: &Options) -> anyhow::Result<Place> {
    let products = format!(
        "create table product (id integer primary key, name text not null, price numeric(10, 2) not null);
         insert into product select n, 'Product ' || n || ' of ' || md5(n::text), n % 1000
         from generate_series(1, {}) as n",
        options.chunks
    );
    let place = Place::new(server, models, options.dimensions, "answers", &products, SETTINGS).await?;
    note(format!("indexing {} products, and building their HNSW index", options.chunks));
    place.parts.sync.sync("product", SyncOptions::default()).await?;
    fill(&place).await?;
    Ok(place)
}

/// Adds a second model, whose vectors are searched beside those of the first, and fills its index version.
async fn add_second(place: &mut Place, models: &OfflineServer, dimensions: u16) -> anyhow::Result<()> {
    let file = place.folder.path().join("jobs.toml");
    let second = format!(
        "[embedding.second]\nmodel = \"second\"\ndimensions = {dimensions}\nbase_url = \"{}\"\n\
         requests_per_minute = 1000000000\ntokens_per_minute = 4000000000\n",
        models.base_url(),
    );
    std::fs::write(&file, std::fs::read_to_string(&file)? + &second)?;
    place.config = Config::load(&file, &BTreeMap::new())?;
    place.parts = daemon::prepare(&place.config, &place.store).await?;
    let version = place.store.open_second_index("second", dimensions.into()).await?;
    FillIndex::enqueue(&place.store, version.id).await?;
    fill(place).await
}

/// Does all jobs of the index.
async fn fill(place: &Place) -> anyhow::Result<()> {
    let workers = Workers::new(&place.store);
    workers.start_refreshing(&place.parts, &place.config.queue);
    workers.start(&place.parts.maintain, &place.config.queue.maintain_index);
    wait_for_jobs(place).await?;
    workers.stop().await;
    execute(&place.url, "vacuum analyze").await
}

async fn wait_for_jobs(place: &Place) -> anyhow::Result<()> {
    while sqlx::query_scalar("select exists (select from shopkeeper.job)").fetch_one(&place.pool).await? {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

struct Bench<'a> {
    place: Place,
    options: &'a Options,
}

impl Bench<'_> {
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
        let version = self.place.parts.versions.active().await.map_err(|error| anyhow::anyhow!("{error}"))?;
        let inputs: Vec<_> = (0..self.singles() * 2).map(|n| self.question(n)).collect();
        let vectors = version.model.embedder.embed(InputRole::Question, &inputs, &unlimited).await?.vectors;
        let vectors = vectors.into_iter().collect::<Result<Vec<_>, _>>()?;
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
                self.place.store.nearest(&version.index, vector, 5, SearchFilter::default()).await?;
                ours.push(began.elapsed().as_secs_f64() * 1e3);
            } else {
                let query =
                    sqlx::query(AssertSqlSafe(statement.clone())).bind(HalfVector::from_f32_slice(vector));
                query.fetch_all(&self.place.pool).await?;
                plain.push(began.elapsed().as_secs_f64() * 1e3);
            }
        }
        let compared =
            |share, name| Comparison::at(share, (name, "ms"), &ours, "plain SQL on the same index", &plain);
        Ok(vec![compared(0.5, "search_p50_ms"), compared(0.99, "search_p99_ms")])
    }

    /// The daemon, asked one after the other, then by all sessions at once.
    async fn ask(&self, spans: &Spans) -> anyhow::Result<Asked> {
        let stop = CancellationToken::new();
        let listeners = Listeners::bind(&self.place.config, Roles::ALL)?;
        let (sender, started) = tokio::sync::oneshot::channel();
        // The receiver may have given up.
        let tell = move |Started { address, .. }| _ = sender.send(address);
        let running = daemon::run(&self.place.config, listeners, Roles::ALL, stop.clone(), tell);
        let asking = async {
            let address = started.await?.context("the daemon has a listener")?;
            // The first listing is over when nothing is left to do.
            wait_for_jobs(&self.place).await?;
            let results = self.measure(&format!("http://{address}/v1/answers"), spans).await;
            stop.cancel();
            results
        };
        let (ran, results) = tokio::join!(running, asking);
        ran?;
        results
    }

    async fn measure(&self, url: &str, spans: &Spans) -> anyhow::Result<Asked> {
        let singles = self.singles();
        note(format!("{singles} questions, one after the other"));
        spans.take();
        for n in 0..singles {
            let question = Question { question: self.question(n), ..Question::default() };
            let id = self.place.store.ask(LOCAL, None, &question, None).await?;
            while !self.place.store.answer(None, id).await?.is_some_and(|answer| answer.status.is_settled()) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            // Its span ends a little later.
            while spans.count("job") <= n as usize {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        let claims =
            "select extract(epoch from started_at - created_at)::float8 * 1000 from shopkeeper.answer
             where started_at is not null order by 1";
        let claims: Vec<f64> = sqlx::query_scalar(claims).fetch_all(&self.place.pool).await?;
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
                    // An empty history makes each a question and not a follow-up.
                    let session = format!("s{session}");
                    let body = json!({ "question": question, "session_id": session, "history": [] });
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
        Ok(Asked { claims, own, rate })
    }
}

/// What was measured of answers, in milliseconds.
struct Asked {
    claims: Vec<f64>,
    own: Vec<f64>,
    /// Answers a second, by all sessions.
    rate: f64,
}

impl Asked {
    fn to_goals(&self) -> Vec<Comparison> {
        let to_goal = |share, name, unit, ours: &[f64], goal| {
            Comparison::at(share, (name, unit), ours, "what is to be reached", &[goal])
        };
        vec![
            to_goal(0.5, "claim_p50_ms", "ms", &self.claims, 5.0),
            to_goal(0.99, "claim_p99_ms", "ms", &self.claims, 25.0),
            to_goal(0.5, "own_time_p50_ms", "ms", &self.own, 10.0),
            to_goal(0.99, "own_time_p99_ms", "ms", &self.own, f64::NAN),
            to_goal(0.5, "answers_per_second", "answers/s", &[self.rate], 500.0),
        ]
    }

    /// The same with two views beside one.
    fn beside(&self, one: &Self) -> Vec<Comparison> {
        vec![
            Comparison::at(0.5, ("two_views_own_time_p50_ms", "ms"), &self.own, "one view", &one.own),
            Comparison::at(0.99, ("two_views_own_time_p99_ms", "ms"), &self.own, "one view", &one.own),
            Comparison::at(
                0.5,
                ("two_views_answers_per_second", "answers/s"),
                &[self.rate],
                "one view",
                &[one.rate],
            ),
        ]
    }
}

/// For each answer, the time of its job without its model. The questions came one after the other, so the spans of a name
/// are in the order of the answers.
fn own_times(stages: &BTreeMap<&'static str, Vec<f64>>) -> anyhow::Result<Vec<f64>> {
    let jobs = stages.get("job").context("there are jobs")?;
    let mut own = jobs.clone();
    for name in MODELS {
        let waits = stages.get(name).context("there are requests to models")?;
        // Two models are asked at the same time.
        let each = waits.len() / own.len();
        if each == 0 || waits.len() != each * own.len() {
            bail!("{} jobs and {} requests of {name}: something else ran", own.len(), waits.len());
        }
        let longest = waits.chunks(each).map(|waits| waits.iter().copied().fold(0.0, f64::max));
        own.iter_mut().zip(longest).for_each(|(own, wait)| *own -= wait);
    }
    Ok(own)
}
