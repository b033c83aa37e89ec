//! Measures what each page of the console takes beside a large shop: documents, finished and dead jobs, answers.
//!
//! A whole daemon, asked over HTTP; the tables are filled by SQL. A page may take 50 ms and 100 kB.

use std::{
    num::NonZeroU16,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use clap::Parser;
use shopkeeper::{
    daemon::{self, Listeners, Role, Roles},
    demo::{
        execute,
        models::{Completer, Embedder, Models, OfflineServer},
    },
};
use tokio_util::sync::CancellationToken;

mod common;
mod place;

use common::{Common, Comparison, note};
use place::Place;

/// Read each page of the console beside a large shop
#[derive(Debug, Parser)]
struct Options {
    #[command(flatten)]
    common: Common,
    /// Documents
    #[arg(long, value_name = "N", default_value = "1000000", value_parser = clap::value_parser!(u32).range(100..))]
    documents: u32,
    /// Finished jobs; one in ten is dead
    #[arg(long, value_name = "N", default_value = "1000000", value_parser = clap::value_parser!(u32).range(100..))]
    jobs: u32,
    /// Answers
    #[arg(long, value_name = "N", default_value = "100000", value_parser = clap::value_parser!(u32).range(100..))]
    answers: u32,
    /// How often each page is read
    #[arg(long, value_name = "N", default_value = "20", value_parser = clap::value_parser!(u32).range(1..))]
    turns: u32,
}

/// What a page may take, in milliseconds and bytes.
const MOST_MS: f64 = 50.0;
const MOST_BYTES: usize = 100_000;
const DIMENSIONS: NonZeroU16 = NonZeroU16::new(64).expect("it is above zero");
/// How long the first figures may take to be counted.
const COUNTING: Duration = Duration::from_mins(2);

const PAGES: &[(&str, &str)] = &[
    ("overview_ms", "/"),
    ("catalogue_ms", "/catalogue"),
    ("catalogue_later_ms", "/catalogue?after_source=product&after_key=500000"),
    ("catalogue_failed_ms", "/catalogue?state=failed"),
    ("catalogue_search_ms", "/catalogue?q=99999"),
    ("document_ms", "/document?source=product&key=71"),
    ("answers_ms", "/answers"),
    ("answers_rare_ms", "/answers?outcome=fallback"),
    ("answers_words_ms", "/answers?q=word+4711"),
    ("answers_cites_ms", "/answers?cites_source=product&cites_key=4711"),
    ("answers_day_ms", "/answers?within=24h&client=client+3"),
    ("escalations_ms", "/escalations"),
    ("sessions_ms", "/sessions"),
    ("session_ms", "/session?client=client+1&id=s1"),
    ("gaps_ms", "/gaps"),
    ("jobs_ms", "/jobs"),
    ("jobs_dead_ms", "/jobs?state=dead"),
    ("jobs_done_ms", "/jobs?state=done"),
    ("jobs_kind_ms", "/jobs?state=dead&kind=eval&older=60"),
    ("queues_ms", "/queues"),
    ("index_ms", "/index"),
    ("money_ms", "/money"),
    ("webhooks_ms", "/webhooks"),
    ("tokens_ms", "/tokens"),
    ("audit_ms", "/audit"),
];

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    shopkeeper::telemetry::start("warn", shopkeeper::telemetry::Format::Pretty, None);
    let server = options.common.start_server(&[("shared_buffers", "512MB"), ("fsync", "off")]).await?;
    let models = Models::new(Embedder::Hash { dimensions: DIMENSIONS }, Completer::Extractive);
    let models = OfflineServer::start(models).await?;
    let source = "[http]\nlisten = \"127.0.0.1:0\"\nadmin_listen = \"127.0.0.1:0\"\n[[source]]\nname = \"product\"\nkind = \"postgres\"\n\
                  url = { file = \"url\" }\ntable = \"product\"\nkey = \"id\"\ntitle = \"{{ name }}\"\ntext = \"{{ name }}\"\n";
    let table = "create table product (id integer primary key, name text not null)";
    let place = Place::new(&server, &models, DIMENSIONS.get(), "console", table, source).await?;
    note(format!(
        "filling {} documents, {} jobs, {} answers",
        options.documents, options.jobs, options.answers
    ));
    let version = place.parts.versions.active().await?.index.id;
    execute(&place.url, &fill(&options, version)).await?;
    execute(&place.url, "vacuum analyze").await?;

    let roles = Roles::of(&[Role::Http]);
    let listeners = Listeners::bind(&place.config, roles)?;
    let admin = listeners.admin.as_ref().context("there is no admin listener")?.local_addr()?;
    let stop = CancellationToken::new();
    let daemon = daemon::run(&place.config, listeners, roles, stop.clone(), |_| {});
    let measured = async {
        let figures = read_all(&format!("http://{admin}"), options.turns).await;
        stop.cancel();
        figures
    };
    let (ended, figures) = tokio::join!(daemon, measured);
    ended?;
    let figures = figures?;
    let results = PAGES.iter().zip(&figures);
    let results = results.map(|((name, _), times)| {
        Comparison::at(0.5, (name, "ms"), times, "what a page may take", &[MOST_MS])
    });
    options.common.print(&results.collect::<Vec<_>>())?;
    place.close().await?;
    models.stop().await;
    server.stop().await
}

/// The milliseconds of each page.
async fn read_all(base: &str, turns: u32) -> anyhow::Result<Vec<Vec<f64>>> {
    let client = reqwest::Client::new();
    let read = async |path: &str| {
        let began = Instant::now();
        let response = client.get(format!("{base}{path}")).send().await?.error_for_status()?;
        let text = response.text().await?;
        ensure!(text.len() < MOST_BYTES, "{path} has {} bytes", text.len());
        ensure!(!text.contains("was stopped after a second"), "{path} was stopped");
        anyhow::Ok((text, began.elapsed().as_secs_f64() * 1e3))
    };
    let counted = async {
        loop {
            match read("/").await {
                Ok((text, _)) if !text.contains("are being counted") => return,
                _ => tokio::time::sleep(Duration::from_millis(200)).await,
            }
        }
    };
    tokio::time::timeout(COUNTING, counted).await.context("the figures were not counted in time")?;
    let mut figures = Vec::new();
    for (_, path) in PAGES {
        read(path).await?;
        let mut times = Vec::new();
        for _ in 0..turns {
            times.push(read(path).await?.1);
        }
        figures.push(times);
    }
    Ok(figures)
}

/// Fills all tables, without triggers.
fn fill(options: &Options, version: i32) -> String {
    let Options { documents, jobs, answers, .. } = options;
    format!(
        "set session_replication_role = replica;
         insert into shopkeeper.source (name, last_sync_at, listed) values ('product', now(), {documents})
         on conflict (name) do update set last_sync_at = now();
         insert into shopkeeper.document (source, key, row_hash, title, sku, metadata, changed_at)
         select 'product', n, 1, 'Product number ' || n, 'SKU-' || n, jsonb_build_object('price', n % 100), now() - n % 80000 * interval '1 s'
         from generate_series(1, {documents}) as n;
         insert into shopkeeper.document_index (version, source, key, indexed_revision, state, error, indexed_at)
         select {version}, 'product', n, 1, case when n % 500 = 0 then 'failed' else 'fresh' end,
             case when n % 500 = 0 then 'the server rejects it' end, now() - n % 80000 * interval '1 s' + interval '2 s'
         from generate_series(1, {documents}) as n;
         insert into shopkeeper.chunk (version, source, key, ordinal, input_hash, content, tokens, embedding)
         select {version}, 'product', n, 1, decode(md5(n::text), 'hex'), 'The text of number ' || n, 12, vector.one
         from (select array_fill(0.125, array[{DIMENSIONS}])::real[]::vector::halfvec as one) as vector,
             generate_series(1, {documents}) as n;
         insert into shopkeeper.job_history
             (id, kind, key, payload, priority, outcome, error, attempts, created_at, run_at, started_at, finished_at)
         select -n, case n % 3 when 0 then 'eval' else 'refresh_document' end, 'product/' || n, '{{}}', 0,
             case when n % 10 = 0 then 'dead' else 'done' end,
             case when n % 10 = 0 then 'reason ' || chr(97 + n / 10 % 20) || ' after ' || n || ' ms' end,
             1, at, at, at, at
         from (select n, now() - n * interval '1 s' as at from generate_series(1, {jobs}) as n) as jobs;
         insert into shopkeeper.session (client, id, active_at)
         select 'client ' || n % 5, 's' || n, now() - n * interval '1 s' from generate_series(0, {answers} / 10) as n;
         insert into shopkeeper.answer
             (client, session_id, request, question, status, outcome, answer, sources, nearest_distance, escalation_reason,
              usage, created_at, started_at, completed_at)
         select 'client ' || n / 5 % 5, 's' || n / 5 % ({answers} / 10 + 1), '{{}}', 'A question with the word ' || n, 'completed',
             case when n % 997 = 0 then 'fallback' when n % 4 = 0 then 'no_answer' else 'answered' end,
             jsonb_build_object('text', 'An answer. [1]'),
             jsonb_build_array(jsonb_build_object('n', 1, 'source', 'product', 'key', (n % 5000)::text, 'title', 'Product',
                 'distance', 0.3, 'score', 0.7, 'cited', n % 4 <> 0)),
             0.3, case when n % 4 = 0 then 'low_confidence' end,
             jsonb_build_object('input_tokens', 900, 'output_tokens', 60, 'cost', 0.0002, 'model', 'm'), at, at, at
         from (select n, now() - n * interval '2 s' as at from generate_series(1, {answers}) as n) as asked
         order by n desc;
         insert into shopkeeper.escalation (client, session_id, answer_id, reason, status, created_at)
         select client, null, id, 'low_confidence', case when seq % 2 = 0 then 'open' else 'resolved' end, completed_at
         from shopkeeper.answer where outcome = 'no_answer';
         insert into shopkeeper.unanswered (answer_id, version, embedding, created_at)
         select answer.id, {version},
             (select array_agg(random()) from generate_series(1, {DIMENSIONS}) where answer.seq > 0)::real[]::vector::halfvec, answer.created_at
         from shopkeeper.answer as answer where outcome = 'no_answer';
         insert into shopkeeper.delivery (webhook, event, answer_id, body, status, created_at)
         select 'hook', 'answer.completed', id, '{{}}', 'delivered', completed_at from shopkeeper.answer;
         insert into shopkeeper.audit (actor, action) select 'a', 'b' from generate_series(1, 10000) as n;
         insert into shopkeeper.usage (day, operation, shard, tokens, usd)
         select current_date - n, 'answer', 0, 1000000, 2 from generate_series(0, 40) as n on conflict do nothing"
    )
}
