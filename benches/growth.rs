//! Measures what must not grow with the tables: each operation beside many rows and beside few; and what may grow only with
//! its input: cutting a long text.
//!
//! Two databases of one private server are equal but for their numbers of rows: a backlog of jobs, a history, an index
//! with its HNSW, and answers. They are asked in turns, and each figure is the median of all turns. A ratio near one is
//! expected of all but the search: an HNSW index costs the logarithm of its rows.

use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Parser;
use serde_json::{json, value::RawValue};
use shopkeeper::{
    catalogue::Document,
    demo::{execute, postgres::Postgres},
    indexing::chunking::{Chunking, Tokenizer},
    model::InputForm,
    store::{
        DatabaseSettings, Store,
        jobs::{Claim, JobEnd},
        search::SearchFilter,
        versions::IndexVersion,
    },
    telemetry,
};

mod common;

use common::{Common, Comparison, create_database, note};

/// Claim, enqueue, finish, search and list answers, beside many rows and beside few
#[derive(Debug, Parser)]
struct Options {
    #[command(flatten)]
    common: Common,
    /// Rows of each small table
    #[arg(long, value_name = "N", default_value = "1000", value_parser = clap::value_parser!(u32).range(1..))]
    few: u32,
    /// Rows of each large table
    #[arg(long, value_name = "N", default_value = "200000", value_parser = clap::value_parser!(u32).range(1..))]
    many: u32,
    /// How often each operation is measured
    #[arg(long, value_name = "N", default_value = "500", value_parser = clap::value_parser!(u32).range(1..))]
    turns: u32,
    /// Bytes of the texts that are cut, and of ten times shorter ones
    #[arg(long, value_name = "N", default_value = "400000", value_parser = clap::value_parser!(u32).range(1000..))]
    text_bytes: u32,
}

const NAMES: [&str; 5] = ["enqueue_ms", "claim_ms", "finish_ms", "search_ms", "list_answers_ms"];
const KIND: &str = "noop";
/// Numbers in a vector.
const DIMENSIONS: usize = 64;
/// Turns that are not counted: statements are planned, and tables are read into memory.
const WARM_UP: u32 = 20;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    telemetry::start("warn", telemetry::Format::Pretty, None);
    let server = options.common.start_server(&[("max_connections", "60")]).await?;
    let few = Tables::fill(&server, "few", options.few).await?;
    let many = Tables::fill(&server, "many", options.many).await?;
    let mut figures: [(Vec<f64>, Vec<f64>); 5] = Default::default();
    for turn in 0..WARM_UP + options.turns {
        let vector: [f32; DIMENSIONS] = rand::random();
        let (of_few, of_many) = (few.measure(turn, &vector).await?, many.measure(turn, &vector).await?);
        if turn >= WARM_UP {
            for ((figures, few), many) in figures.iter_mut().zip(of_few).zip(of_many) {
                figures.0.push(few);
                figures.1.push(many);
            }
        }
    }
    few.store.close().await;
    many.store.close().await;
    server.stop().await?;
    let results = NAMES
        .iter()
        .zip(&figures)
        .map(|(name, (few, many))| Comparison::at(0.5, (name, "ms"), many, "the same beside few rows", few));
    let results = results.chain(cutting(options.text_bytes as usize));
    options.common.print(&results.collect::<Vec<_>>())
}

/// Texts without the end of a sentence, in ten scripts, one of them without any border.
const SCRIPTS: [(&str, &str); 10] = [
    ("cut_latin_ms", "lorem ipsum dolor sit amet "),
    ("cut_chinese_ms", "茶壶是用陶土做的可以装一升水"),
    ("cut_japanese_ms", "急須は粘土で作られていますティーポット"),
    ("cut_korean_ms", "찻주전자는흙으로만들었습니다"),
    ("cut_thai_ms", "ชาร้อนในกาดินเผาหนึ่งลิตร"),
    ("cut_cyrillic_ms", "чайник из глины на один литр "),
    ("cut_arabic_ms", "ابريق شاي من الطين سعة لتر "),
    ("cut_devanagari_ms", "चाय की केतली मिट्टी की बनी "),
    ("cut_emoji_ms", "👩‍👩‍👧‍👦🇩🇪👍🏽"),
    ("cut_one_letter_ms", "a"),
];
/// How often each text is cut.
const CUTS: u32 = 5;

/// Milliseconds that cutting a text takes, beside those of a text that is ten times shorter: ten is linear.
fn cutting(bytes: usize) -> impl Iterator<Item = Comparison> {
    note(format!("cutting texts of {bytes} bytes"));
    let form = InputForm::default();
    let chunking = Chunking {
        tokenizer: Tokenizer::Cl100kBase,
        chunk_tokens: 300,
        overlap: 50,
        max_input_tokens: 8192,
        form,
        reserved: 0,
    };
    chunking.chunks(&document("to build the tokenizer".to_owned()));
    SCRIPTS.into_iter().map(move |(name, script)| {
        let texts = [bytes / 10, bytes].map(|bytes| document(script.repeat(bytes.div_ceil(script.len()))));
        let mut figures = [Vec::new(), Vec::new()];
        for _ in 0..CUTS {
            for (text, figures) in texts.iter().zip(&mut figures) {
                let began = Instant::now();
                std::hint::black_box(chunking.chunks(text));
                figures.push(began.elapsed().as_secs_f64() * 1e3);
            }
        }
        let [short, long] = figures;
        Comparison::at(0.5, (name, "ms"), &long, "a text ten times shorter", &short)
    })
}

fn document(text: String) -> Document {
    let (key, title) = ("1".to_owned(), String::new());
    let metadata = RawValue::NULL.to_owned();
    Document { key, title, text, link: None, sku: None, group: None, metadata, row_hash: 0 }
}

/// A database with so many rows in each table.
struct Tables {
    store: Store,
    version: IndexVersion,
}

impl Tables {
    async fn fill(server: &Postgres, name: &str, rows: u32) -> anyhow::Result<Self> {
        note(format!("filling tables with {rows} rows"));
        let reach = DatabaseSettings {
            url: create_database(server, name).await?.parse()?,
            direct_url: None,
            read_url: None,
            max_connections: 4,
            statement_timeout: Duration::from_secs(30),
        };
        let store = Store::open_migrated(&reach).await?;
        let version = store.open_index("hash", u32::try_from(DIMENSIONS)?).await?;
        let keys: Vec<_> = (0..rows).map(|key| key.to_string()).collect();
        for keys in keys.chunks(1000) {
            store.enqueue(KIND, keys, &vec![json!({}); keys.len()]).await?;
        }
        execute(reach.url.expose(), &statements(version.id, rows)).await?;
        store.build_hnsw(&version).await?;
        execute(reach.url.expose(), "vacuum analyze").await?;
        Ok(Self { store, version })
    }

    /// Milliseconds of each operation, in the order of [`NAMES`].
    async fn measure(&self, turn: u32, vector: &[f32]) -> anyhow::Result<[f64; 5]> {
        let store = &self.store;
        let (lease, base) = (Duration::from_mins(1), Claim::default());
        let claim =
            Claim { kind: KIND, worker: "bench", limit: 1, shared: true, lease, max_attempts: 3, ..base };
        let mut began = Instant::now();
        let mut lap = || std::mem::replace(&mut began, Instant::now()).elapsed().as_secs_f64() * 1e3;
        store.enqueue(KIND, &[format!("turn {turn}")], &[json!({})]).await?;
        let enqueue = lap();
        let claimed = store.claim(claim).await?;
        let claim = lap();
        let lease = claimed.first().context("no job was claimed")?.lease;
        store.end_jobs(&[JobEnd::done(lease, Vec::new())]).await?;
        let finish = lap();
        let found = store.nearest(&self.version, vector, 5, SearchFilter::default()).await?;
        let search = lap();
        let answers = store.answers(Some("client 0"), None, None, None, 10).await?;
        let list = lap();
        anyhow::ensure!(!found.is_empty() && !answers.is_empty(), "a search or a listing found nothing");
        Ok([enqueue, claim, finish, search, list])
    }
}

/// Fills the history, the index and the answers, without triggers.
fn statements(version: i32, rows: u32) -> String {
    format!(
        "set session_replication_role = replica;
         insert into shopkeeper.job_history
             (id, kind, key, payload, priority, outcome, attempts, created_at, run_at, finished_at)
         select -n, '{KIND}', n, '{{}}', 0, 'done', 1, now(), now(), now() - n * interval '1 s' from generate_series(1, {rows}) as n;
         insert into shopkeeper.document (source, key, row_hash) select 'product', n, 1 from generate_series(1, {rows}) as n;
         insert into shopkeeper.document_index (version, source, key, indexed_revision, state)
         select {version}, source, key, 1, 'fresh' from shopkeeper.document;
         insert into shopkeeper.chunk (version, source, key, ordinal, input_hash, content, tokens, embedding)
         select {version}, 'product', n, 1, decode(md5(n::text), 'hex'), '', 1,
             (select array_agg(random()) from generate_series(1, {DIMENSIONS}) where n > 0)::real[]::vector::halfvec
         from generate_series(1, {rows}) as n;
         insert into shopkeeper.answer (client, session_id, request, question, status)
         select 'client ' || n % 5, 's' || n % 999, '{{}}', 'q', 'completed' from generate_series(1, {rows}) as n"
    )
}
