//! A small shop, its model server and our schema, for one test each.

use std::{
    collections::BTreeMap,
    ops::{Deref, DerefMut},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Output},
    time::{Duration, Instant},
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
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool, Postgres as Driver, postgres::PgPoolOptions};
use tempfile::TempDir;

pub(crate) use crate::server::*;

/// Nothing that a test waits for takes longer, however busy the machine is.
pub(crate) const LIMIT: Duration = Duration::from_mins(3);

/// How often what is random or kills is repeated: `make chaos` asks for more than once.
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
        let shop = database("template1").await;
        execute(&shop, shop_sql).await;
        Self::on(shop, sections).await
    }

    /// A shop that is there already.
    pub(crate) async fn on(shop: String, sections: &str) -> Self {
        Self::of(shop, 64, &(SETTINGS.to_owned() + sections)).await
    }

    /// With vectors of this length, and models that can be asked as much as one likes.
    pub(crate) async fn with_dimensions(dimensions: u16, shop_sql: &str, sections: &str) -> Self {
        let shop = database("template1").await;
        execute(&shop, shop_sql).await;
        let settings = SETTINGS.replace("dimensions = 64", &format!("dimensions = {dimensions}"));
        let settings = settings.replace("[openai]", "[openai]\ntokens_per_minute = 1000000000");
        Self::of(shop, dimensions, &(settings + sections)).await
    }

    /// With these files beside the settings.
    pub(crate) async fn with_files(shop_sql: &str, sections: &str, files: &[(&str, &str)]) -> Self {
        let shop = database("template1").await;
        execute(&shop, shop_sql).await;
        Self::beside(shop, 64, &(SETTINGS.to_owned() + sections), files).await
    }

    async fn of(shop: String, dimensions: u16, settings: &str) -> Self {
        Self::beside(shop, dimensions, settings, &[]).await
    }

    async fn beside(shop: String, dimensions: u16, settings: &str, files: &[(&str, &str)]) -> Self {
        let url = database("template_ours").await;
        let models = Models::new(Embedder::hash(dimensions), Completer::Extractive);
        let models = OfflineServer::start(models).await.unwrap();
        let folder = TempDir::new().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        std::fs::write(folder.path().join("database.url"), &url).unwrap();
        std::fs::write(folder.path().join("shop.url"), &shop).unwrap();
        let text = settings.replace("MODELS", models.base_url());
        std::fs::write(folder.path().join("jobs.toml"), text).unwrap();
        let config = Config::load(&folder.path().join("jobs.toml"), &BTreeMap::new()).unwrap();
        let store = Store::open(&config.database).await.unwrap();
        let parts = daemon::prepare(&config, &store).await.unwrap();
        daemon::note(&config, &store).await.unwrap();
        let ours = PgPoolOptions::new().max_connections(2).connect(&url).await.unwrap();
        Self { config, store, parts, models, shop, ours, folder }
    }

    /// Puts something else in the place of a part of the settings, and goes on with it.
    pub(crate) async fn change_settings(&mut self, part: &str, other: &str) {
        let settings = std::fs::read_to_string(self.settings()).unwrap();
        assert!(settings.contains(part), "{settings}");
        std::fs::write(self.settings(), settings.replace(part, other)).unwrap();
        self.config = Config::load(&self.settings(), &BTreeMap::new()).unwrap();
        self.parts = daemon::prepare(&self.config, &self.store).await.unwrap();
    }

    /// Where our database is.
    pub(crate) fn url(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("database.url")).unwrap()
    }

    /// The same schema by another way.
    pub(crate) async fn through(&self, url: &str) -> Store {
        Store::open(&reach(url)).await.unwrap()
    }

    pub(crate) fn script(&self) -> &Script {
        self.models.script()
    }

    /// What the shop's own programs do.
    pub(crate) async fn in_shop(&self, statements: &str) {
        execute(&self.shop, statements).await;
    }

    /// One value of our database.
    pub(crate) async fn value<T>(&self, statement: &str) -> T
    where
        T: Send + Unpin + sqlx::Type<Driver> + for<'r> sqlx::Decode<'r, Driver>,
    {
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

    /// Runs all jobs until none is left but those that wait for a later time than a second; what waits because this
    /// machine was slow is not among those.
    pub(crate) async fn drain(&self) {
        let workers = self.workers();
        self.until(
            "no job is left",
            "not exists (
                 select from shopkeeper.job
                 where run_at < now() + interval '1 second' or last_error ~ 'no answer in time|could not be read within'
             )",
        )
        .await;
        workers.stop().await;
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
        self.in_shop(&format!("update product set description = '{text}' where id = 3")).await;
        self.script().queue(Operation::Embeddings, [Fault::Held]);
        self.try_sync().await.unwrap();
        let before = self.script().requests(Operation::Embeddings);
        let workers = self.workers();
        self.arrived(Operation::Embeddings, before + 1).await;
        workers
    }

    /// Waits until the model server has had so many requests.
    pub(crate) async fn arrived(&self, operation: Operation, requests: usize) {
        let arrived = self.script().arrived(operation, requests);
        tokio::time::timeout(LIMIT, arrived).await.expect("nothing arrives at the model server");
    }

    /// Looks at our database until a condition holds.
    pub(crate) async fn until(&self, what: &str, condition: &str) {
        if !comes_true(&self.ours, condition).await {
            let jobs = "select coalesce(string_agg(job::text, E'\\n'), 'none') from shopkeeper.job";
            panic!("still waiting until {what}; jobs: {}", self.value::<String>(jobs).await);
        }
    }

    /// All that is indexed, in a fixed order.
    pub(crate) async fn index(&self) -> Vec<String> {
        let index =
            "select concat_ws(' | ', document.key, title, link, metadata, ordinal, content, md5(embedding::text))
             from shopkeeper.document left join shopkeeper.chunk using (source, key)
             order by document.key collate \"C\", ordinal";
        sqlx::query_scalar(index).fetch_all(&self.ours).await.unwrap()
    }

    /// Lets jobs that wait for a later time run now.
    pub(crate) async fn hurry(&self) {
        execute(&self.url(), "update shopkeeper.job set run_at = now() where state = 'scheduled'").await;
    }

    /// Wakes those who run jobs of a kind.
    pub(crate) async fn ring(&self, kind: &str) {
        self.store.ring(kind).await.unwrap();
    }

    /// Titles of what a search finds, nearest first.
    pub(crate) async fn found(&self, text: &str) -> Vec<String> {
        let found = self.parts.retriever.look_up(text, SearchFilter::default(), 5).await.unwrap();
        found.into_iter().map(|passage| passage.title).collect()
    }

    /// Keys of what a search finds, in its order.
    pub(crate) async fn keys(&self, text: &str) -> Vec<String> {
        let found = self.parts.retriever.look_up(text, SearchFilter::default(), 5).await.unwrap();
        found.into_iter().map(|passage| passage.key).collect()
    }

    pub(crate) fn settings(&self) -> PathBuf {
        self.folder.path().join("jobs.toml")
    }

    /// Runs the program with these settings.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Output {
        let mut all = vec!["--config", self.settings().to_str().unwrap()]
            .into_iter()
            .map(str::to_owned)
            .collect::<Vec<_>>();
        all.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        program(&all, &[]).await
    }
}

/// One value of a database.
pub(crate) async fn value<T>(pool: &PgPool, statement: &str) -> T
where
    T: Send + Unpin + sqlx::Type<Driver> + for<'r> sqlx::Decode<'r, Driver>,
{
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

/// Looks at a database until a condition holds; false when it does not in time. What is not known yet does not hold yet.
pub(crate) async fn comes_true(pool: &PgPool, condition: &str) -> bool {
    let condition = format!("select coalesce((select {condition}), false)");
    let look = async {
        while !value::<bool>(pool, &condition).await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LIMIT, look).await.is_ok()
}

/// The program with nothing of our environment but what finds things.
pub(crate) fn command(arguments: &[String], environment: &[(&str, &str)]) -> Command {
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
        let began = Instant::now();
        loop {
            match self.0.try_wait().unwrap() {
                Some(status) => return status,
                None => assert!(began.elapsed() < LIMIT, "it does not end"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
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

pub(crate) async fn program(arguments: &[String], environment: &[(&str, &str)]) -> Output {
    let mut command = command(arguments, environment);
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Says something that is seen also when the test passes.
pub(crate) fn aloud(text: &str) {
    use std::io::Write;
    std::io::stderr().write_all(format!("{text}\n").as_bytes()).unwrap();
}
