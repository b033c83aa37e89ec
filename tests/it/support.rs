//! A small shop, its model server and our schema, for one test each.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    ops::{Deref, DerefMut},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Output},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use shopkeeper::{
    config::Config,
    daemon::{self, Parts, Workers},
    demo::models::{Completer, Embedder, Fault, Models, OfflineServer, Operation, Script},
    store::{Store, search::SearchFilter},
    sync::{
        reconcile::SyncOptions,
        report::{SyncError, SyncReport},
    },
};
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool, postgres::PgPoolOptions};
use tempfile::TempDir;

pub(crate) use crate::server::*;
use crate::steps::{Column, in_time, wait_until};

/// The longest wait of any test, however busy the machine is.
pub(crate) const LIMIT: Duration = Duration::from_mins(3);

/// How often random and killing tests are repeated: more than once in `make chaos`.
pub(crate) fn chaos_rounds() -> u32 {
    std::env::var("SHOPKEEPER_CHAOS_ROUNDS").map_or(1, |rounds| rounds.parse().unwrap())
}

pub(crate) async fn execute(url: &str, statements: &str) {
    shopkeeper::demo::execute(url, statements).await.unwrap();
}

pub(crate) const SHOP: &str = "
create table product (
    id integer primary key, name text not null, description text not null,
    price numeric(10, 2) not null, stock integer not null
);
insert into product values
    (1, 'Shirt', 'Cotton shirt with long sleeves.', 29.90, 5),
    (2, 'Shirt XL', 'The same shirt for tall people.', 31.90, 2),
    (3, 'Kettle', 'Steel kettle that holds two litres.', 45.00, 9);
";

/// The table of the small shop, without its rows.
pub(crate) fn product_table() -> &'static str {
    SHOP.split("insert").next().unwrap()
}

/// Creates a database that these statements make a shop.
pub(crate) async fn shop_database(statements: &str) -> String {
    let shop = database("template1").await;
    execute(&shop, statements).await;
    shop
}

pub(crate) const SOURCE: &str = r#"
[[source]]
name = "product"
kind = "postgres"
url = { file = "shop.url" }
table = "product"
key = "id"
title = "{{ name }}"
text = "{{ name }}. {{ description }}"
link = "https://shop.example/p/{{ id }}"
metadata = ["price", "stock"]
"#;

const SETTINGS: &str = r#"
[database]
url = { file = "database.url" }
max_connections = 6
[http]
listen = "127.0.0.1:0"
admin_listen = "127.0.0.1:0"
[openai]
base_url = "MODELS"
timeout = "20s"
[embedding]
model = "hash"
dimensions = 64
chunk_tokens = 40
chunk_overlap = 8
usd_per_million_tokens = 1000
[answers]
model = "extractive"
escalate_above_distance = 1.5
[queue.refresh_document]
concurrency = 500
max_attempts = 3
lease = "5s"
backoff = { first = "1ms", max = "2ms" }
[queue.sync_catalogue]
lease = "5s"
[queue.fill_index]
lease = "5s"
[queue.answer_question]
max_attempts = 3
lease = "5s"
backoff = { first = "1ms", max = "2ms" }
"#;

/// A shop, a model server and our schema.
pub(crate) struct World {
    pub(crate) config: Config,
    pub(crate) store: Store,
    pub(crate) parts: Parts,
    pub(crate) models: OfflineServer,
    pub(crate) shop: String,
    pub(crate) ours: PgPool,
    pub(crate) folder: TempDir,
}

impl World {
    /// The small shop with one source.
    pub(crate) async fn new() -> Self {
        Self::with(SHOP, SOURCE).await
    }

    /// A shop of these statements, and these sections of the settings beside the usual ones.
    pub(crate) async fn with(shop_sql: &str, sections: &str) -> Self {
        Self::with_files(shop_sql, sections, &[]).await
    }

    /// An existing shop.
    pub(crate) async fn on(shop: String, sections: &str) -> Self {
        Self::open(shop, 64, &(SETTINGS.to_owned() + sections), &[]).await
    }

    /// With vectors of this length and without rate limits.
    pub(crate) async fn with_dimensions(dimensions: u16, shop_sql: &str, sections: &str) -> Self {
        let settings = SETTINGS.replace("dimensions = 64", &format!("dimensions = {dimensions}"));
        let settings = settings.replace("[openai]", "[openai]\ntokens_per_minute = 1000000000");
        Self::open(shop_database(shop_sql).await, dimensions, &(settings + sections), &[]).await
    }

    /// With these files beside the settings.
    pub(crate) async fn with_files(shop_sql: &str, sections: &str, files: &[(&str, &str)]) -> Self {
        Self::open(shop_database(shop_sql).await, 64, &(SETTINGS.to_owned() + sections), files).await
    }

    async fn open(shop: String, dimensions: u16, settings: &str, files: &[(&str, &str)]) -> Self {
        let url = database("template_ours").await;
        let models = Models::new(Embedder::hash(dimensions), Completer::Extractive);
        let models = OfflineServer::start(models).await.unwrap();
        let (folder, settings) = (TempDir::new().unwrap(), settings.replace("MODELS", models.base_url()));
        let own = [("database.url", &*url), ("shop.url", &shop), ("jobs.toml", &settings)];
        for (name, text) in files.iter().chain(&own) {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let config = Config::load(&folder.path().join("jobs.toml"), &BTreeMap::new()).unwrap();
        let store = Store::open(&config.database).await.unwrap();
        let parts = daemon::prepare(&config, &store).await.unwrap();
        daemon::note(&config, &store).await.unwrap();
        let ours = PgPoolOptions::new().max_connections(2).connect(&url).await.unwrap();
        Self { config, store, parts, models, shop, ours, folder }
    }

    /// Replaces a part of the settings, and applies them.
    pub(crate) async fn change_settings(&mut self, part: &str, other: &str) {
        self.edit_settings(part, other);
        self.config = Config::load(&self.settings(), &BTreeMap::new()).unwrap();
        self.parts = daemon::prepare(&self.config, &self.store).await.unwrap();
    }

    /// The address of our database.
    pub(crate) fn url(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("database.url")).unwrap()
    }

    /// Opens the same schema at another address.
    pub(crate) async fn through(&self, url: &str) -> Store {
        Store::open(&reach(url)).await.unwrap()
    }

    pub(crate) fn script(&self) -> &Script {
        self.models.script()
    }

    pub(crate) async fn in_shop(&self, statements: &str) {
        execute(&self.shop, statements).await;
    }

    pub(crate) async fn value<T: Column>(&self, statement: &str) -> T {
        value(&self.ours, statement).await
    }

    pub(crate) async fn count(&self, what: &str) -> i64 {
        self.value(&format!("select count(*) from shopkeeper.{what}")).await
    }

    pub(crate) async fn try_sync(&self) -> Result<SyncReport, SyncError> {
        self.parts.sync.sync("product", SyncOptions::default()).await
    }

    /// Syncs the source and refreshes what differs.
    pub(crate) async fn sync(&self) -> SyncReport {
        let report = self.try_sync().await.unwrap();
        self.drain().await;
        report
    }

    /// Runs jobs until the rest waits for more than a second. A job that waits because this machine was slow is run.
    pub(crate) async fn drain(&self) {
        let due = "job
             where run_at < now() + interval '1 second' or last_error ~ 'no answer in time|could not be read within'";
        self.with_workers(self.until_none(due)).await;
    }

    pub(crate) fn workers(&self) -> Workers {
        let workers = Workers::new(&self.store);
        workers.start(&self.parts.sync, &self.config.queue.sync_catalogue);
        workers.start_refreshing(&self.parts, &self.config.queue);
        workers.start(&self.parts.answer, &self.config.queue.answer_question);
        workers.start(&self.parts.maintain, &self.config.queue.maintain_index);
        workers.start(&self.parts.deliver, &self.config.queue.deliver_webhook);
        workers
    }

    /// Changes the text of the third product; returns the workers that wait for the model with it, until it is released.
    pub(crate) async fn embedding(&self, text: &str) -> Workers {
        self.describe(3, text).await;
        self.script().queue(Operation::Embeddings, [Fault::Held]);
        self.try_sync().await.unwrap();
        let before = self.embedding_requests();
        let workers = self.workers();
        self.arrived(Operation::Embeddings, before + 1).await;
        workers
    }

    /// Waits until the model server has had so many requests.
    pub(crate) async fn arrived(&self, operation: Operation, requests: usize) {
        in_time("nothing arrives at the model server", self.script().arrived(operation, requests)).await;
    }

    /// Lets the model server answer, also the requests that it holds.
    pub(crate) fn release(&self) {
        self.script().clear();
        self.script().release();
    }

    /// Looks at our database until a condition holds.
    pub(crate) async fn until(&self, what: &str, condition: &str) {
        if !comes_true(&self.ours, condition).await {
            let jobs = "select coalesce(string_agg(job::text, E'\\n'), 'none') from shopkeeper.job";
            panic!("still waiting until {what}; jobs: {}", self.value::<String>(jobs).await);
        }
    }

    /// The whole index in a fixed order.
    pub(crate) async fn index(&self) -> Vec<String> {
        let index =
            "select concat_ws(' | ', document.key, title, link, metadata, ordinal, content, md5(embedding::text))
             from shopkeeper.document left join shopkeeper.chunk using (source, key)
             order by document.key collate \"C\", ordinal";
        self.values(index).await
    }

    /// Makes all scheduled jobs due.
    pub(crate) async fn hurry(&self) {
        self.execute("update shopkeeper.job set run_at = now() where state = 'scheduled'").await;
    }

    /// The titles that a search finds, nearest first.
    pub(crate) async fn found(&self, text: &str) -> Vec<String> {
        let found = self.parts.retriever.look_up(text, SearchFilter::default(), 5).await.unwrap();
        found.into_iter().map(|passage| passage.title).collect()
    }

    /// The keys that a search finds, in its order.
    pub(crate) async fn keys(&self, text: &str) -> Vec<String> {
        let found = self.parts.retriever.look_up(text, SearchFilter::default(), 5).await.unwrap();
        found.into_iter().map(|passage| passage.key).collect()
    }

    pub(crate) fn settings(&self) -> PathBuf {
        self.folder.path().join("jobs.toml")
    }
}

pub(crate) async fn value<T: Column>(pool: &PgPool, statement: &str) -> T {
    sqlx::query_scalar(AssertSqlSafe(statement)).fetch_one(pool).await.unwrap()
}

/// The plan of a statement, and the fewest pages that it touches with all that its functions and triggers do; it changes
/// nothing. The first time in a connection it reads the catalogue as well, and also after other tests changed much in it.
pub(crate) async fn touched(connection: &mut PgConnection, statement: &str) -> (Value, i64) {
    let mut fewest = (Value::Null, i64::MAX);
    for _ in 0..3 {
        let mut transaction = connection.begin().await.unwrap();
        let explain = format!("explain (analyze, buffers, format json) {statement}");
        let mut plan: Value =
            sqlx::query_scalar(AssertSqlSafe(explain)).fetch_one(&mut *transaction).await.unwrap();
        transaction.rollback().await.unwrap();
        let plan = plan[0]["Plan"].take();
        let pages =
            plan["Shared Hit Blocks"].as_i64().unwrap() + plan["Shared Read Blocks"].as_i64().unwrap();
        if pages < fewest.1 {
            fewest = (plan, pages);
        }
    }
    fewest
}

/// Pauses between two looks at what a test waits for. The longer it takes, the rarer they are: on a busy machine, looking
/// would slow down what is waited for.
pub(crate) fn pauses() -> impl Iterator<Item = Duration> {
    let longest = Duration::from_millis(80);
    std::iter::successors(Some(Duration::from_millis(5)), move |pause| Some((*pause * 3 / 2).min(longest)))
}

/// Looks at a database until a condition holds; false when it does not in time. Null does not hold.
pub(crate) async fn comes_true(pool: &PgPool, condition: &str) -> bool {
    let condition = format!("select coalesce((select {condition}), false)");
    let look = async {
        let mut pauses = pauses();
        while !value::<bool>(pool, &condition).await {
            tokio::time::sleep(pauses.next().unwrap()).await;
        }
    };
    tokio::time::timeout(LIMIT, look).await.is_ok()
}

/// The program with this environment, and of ours only the variables that locate files.
pub(crate) fn command(arguments: &[impl AsRef<OsStr>], environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shopkeeper"));
    command.args(arguments).env_clear().envs(environment.iter().copied());
    for name in ["PATH", "HOME", "XDG_CACHE_HOME", "SHOPKEEPER_CACHE", "SHOPKEEPER_PG_BIN", "TMPDIR"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command
}

/// A process that ends with the test.
pub(crate) struct Process(Child);

impl Process {
    pub(crate) fn start(command: &mut Command) -> Self {
        Self(command.spawn().unwrap())
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).unwrap();
    }

    /// Waits until it ends by itself.
    pub(crate) async fn ended(mut self) -> ExitStatus {
        wait_until("it does not end", async || self.0.try_wait().unwrap().is_some()).await;
        self.0.wait().unwrap()
    }
}

impl Deref for Process {
    type Target = Child;

    fn deref(&self) -> &Child {
        &self.0
    }
}

impl DerefMut for Process {
    fn deref_mut(&mut self) -> &mut Child {
        &mut self.0
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) async fn program(arguments: &[impl AsRef<OsStr>], environment: &[(&str, &str)]) -> Output {
    output_of(command(arguments, environment)).await
}

pub(crate) async fn output_of(mut command: Command) -> Output {
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Prints a line also when the test passes.
pub(crate) fn aloud(text: &str) {
    use std::io::Write;
    std::io::stderr().write_all(format!("{text}\n").as_bytes()).unwrap();
}
