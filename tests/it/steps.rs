//! Steps that many tests share: shops, commands, rows, waiting, and comparisons.

use std::{
    fmt::Display,
    process::{Command, Output},
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::Router;
use proptest::{prelude::*, test_runner::TestRunner};
use reqwest::StatusCode;
use serde_json::{Value, json};
use shopkeeper::{
    demo::models::{Fault, Operation},
    store::jobs::{Claim, ClaimedJob, Selection},
    sync::{reconcile::SyncOptions, report::SyncReport},
};
use sqlx::{AssertSqlSafe, FromRow, PgPool, Postgres as Driver, Transaction, postgres::PgRow};
use tokio::net::TcpListener;
use uuid::Uuid;

use crate::{
    running::TestDaemon,
    support::{LIMIT, SHOP, SOURCE, World, command, execute, output_of, pauses, stderr, stdout, value},
};

/// Questions that the catalogue answers.
pub(crate) const PRICE: &str = "How much is the Kettle?";
pub(crate) const KETTLE: &str = "Which kettle holds two litres?";

/// The secret of every webhook.
pub(crate) const WEBHOOK_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A line of a webhook's settings that allows a receiver on loopback.
pub(crate) const ON_LOOPBACK: &str = "allow_private_addresses = true";

/// A server that is unavailable.
pub(crate) const AWAY: Fault = Fault::Status { code: 503, retry_after: None };

/// The options of `sync --full`, and of `sync --allow-mass-delete`.
pub(crate) const FULL: SyncOptions = SyncOptions { full: true, allow_mass_delete: false };
pub(crate) const MASS_DELETE: SyncOptions = SyncOptions { full: false, allow_mass_delete: true };

/// Keeps the planner's estimate of the number of jobs as it is now.
pub(crate) const FREEZE_STATISTICS: &str =
    "analyze shopkeeper.job; alter table shopkeeper.job set (autovacuum_enabled = off)";

/// Makes our schema look as if its last migration were missing.
pub(crate) const FORGET_LAST_MIGRATION: &str =
    "delete from shopkeeper.migration where version = (select max(version) from shopkeeper.migration)";

/// What a column can be read as.
pub(crate) trait Column: Send + Unpin + sqlx::Type<Driver> + for<'r> sqlx::Decode<'r, Driver> {}

impl<T: Send + Unpin + sqlx::Type<Driver> + for<'r> sqlx::Decode<'r, Driver>> Column for T {}

/// What a row can be read as.
pub(crate) trait Row: Send + Unpin + for<'r> FromRow<'r, PgRow> {}

impl<T: Send + Unpin + for<'r> FromRow<'r, PgRow>> Row for T {}

/// The small shop with its daemon.
pub(crate) async fn shop_with_daemon() -> (World, TestDaemon) {
    World::new().await.with_daemon().await
}

/// Shops.
impl World {
    /// Starts a daemon for this world.
    pub(crate) async fn with_daemon(self) -> (Self, TestDaemon) {
        let daemon = TestDaemon::start(&self).await;
        (self, daemon)
    }

    /// The small shop, indexed.
    pub(crate) async fn synced() -> Self {
        Self::synced_with(SHOP, SOURCE).await
    }

    /// As `World::with`, indexed.
    pub(crate) async fn synced_with(shop_sql: &str, sections: &str) -> Self {
        let world = Self::with(shop_sql, sections).await;
        world.sync().await;
        world
    }

    /// The small shop, indexed, with its triggers installed.
    pub(crate) async fn noting() -> Self {
        let world = Self::synced().await;
        world.install().await;
        world
    }

    /// The small shop with its kettle alone.
    pub(crate) async fn with_kettle() -> Self {
        let world = Self::new().await;
        world.in_shop("delete from product where id <> 3").await;
        world
    }

    /// The small shop with these webhooks.
    pub(crate) async fn with_webhooks(sections: &str) -> Self {
        Self::with_files(SHOP, &(SOURCE.to_owned() + sections), &[("secret", WEBHOOK_SECRET)]).await
    }

    /// Changes the description of a product.
    pub(crate) async fn describe(&self, id: u32, text: &str) {
        self.in_shop(&format!("update product set description = '{text}' where id = {id}")).await;
    }
}

/// Commands and settings.
impl World {
    /// A command of the program with these settings.
    pub(crate) fn command(&self, line: &str) -> Command {
        let mut command = command(&["--config"], &[]);
        command.arg(self.settings()).args(words(line));
        command
    }

    pub(crate) async fn run_line(&self, line: &str) -> Output {
        output_of(self.command(line)).await
    }

    /// Runs a command that succeeds; returns what it prints.
    pub(crate) async fn run_ok(&self, line: &str) -> String {
        let output = self.run_line(line).await;
        assert!(output.status.success(), "{line}: {}", stderr(&output));
        stdout(&output)
    }

    /// Runs a command with `--json`, however it ends.
    pub(crate) async fn run_json(&self, line: &str) -> Value {
        let output = self.run_line(&format!("{line} --json")).await;
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{line}: {}", stderr(&output)))
    }

    /// Runs a command that ends with this code and says this on stderr.
    pub(crate) async fn run_failing(&self, line: &str, code: i32, says: &str) {
        let output = self.run_line(line).await;
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(code), "{line}: {said}");
        assert!(said.contains(says), "{line}: {said}");
    }

    /// The path of a file beside the settings.
    pub(crate) fn path(&self, file: &str) -> String {
        self.folder.path().join(file).display().to_string()
    }

    pub(crate) fn write(&self, file: &str, text: &str) {
        std::fs::write(self.path(file), text).unwrap();
    }

    /// Replaces a part of the settings, for programs that read them from now on; returns them as they were.
    pub(crate) fn edit_settings(&self, part: &str, other: &str) -> String {
        let settings = std::fs::read_to_string(self.settings()).unwrap();
        assert!(settings.contains(part), "{settings}");
        self.write("jobs.toml", &settings.replace(part, other));
        settings
    }
}

/// The words of a command; single quotes keep words together.
pub(crate) fn words(line: &str) -> Vec<&str> {
    let parts = line.split('\'').enumerate();
    let words =
        parts.map(|(n, part)| if n % 2 == 1 { vec![part] } else { part.split_whitespace().collect() });
    words.flatten().collect()
}

/// Rows.
impl World {
    pub(crate) async fn execute(&self, statements: &str) {
        execute(&self.url(), statements).await;
    }

    /// The error with which a statement is refused.
    pub(crate) async fn refusal(&self, statement: &str) -> String {
        format!("{:#}", shopkeeper::demo::execute(&self.url(), statement).await.unwrap_err())
    }

    pub(crate) async fn text(&self, statement: &str) -> String {
        self.value(statement).await
    }

    pub(crate) async fn values<T: Column>(&self, statement: &str) -> Vec<T> {
        sqlx::query_scalar(AssertSqlSafe(statement)).fetch_all(&self.ours).await.unwrap()
    }

    pub(crate) async fn row<T: Row>(&self, statement: &str) -> T {
        rows(&self.ours, statement).await.remove(0)
    }

    pub(crate) async fn rows<T: Row>(&self, statement: &str) -> Vec<T> {
        rows(&self.ours, statement).await
    }

    pub(crate) async fn shop_value<T: Column>(&self, statement: &str) -> T {
        let shop = PgPool::connect(&self.shop).await.unwrap();
        let seen = value(&shop, statement).await;
        shop.close().await;
        seen
    }

    /// How many notes of changes wait in the shop.
    pub(crate) async fn notes(&self) -> i64 {
        self.shop_value("select count(*) from shopkeeper_change.note").await
    }

    /// How many documents are up to date in the index.
    pub(crate) async fn fresh(&self) -> i64 {
        self.count("document_index where state = 'fresh'").await
    }

    /// The text of a document that is one chunk.
    pub(crate) async fn content(&self, key: &str) -> String {
        self.text(&format!("select content from shopkeeper.chunk where key = '{key}'")).await
    }

    /// Begins a transaction with a statement, and leaves it open.
    pub(crate) async fn begin(&self, statement: &str) -> Transaction<'static, Driver> {
        let mut transaction = self.ours.begin().await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut *transaction).await.unwrap();
        transaction
    }
}

pub(crate) async fn rows<T: Row>(pool: &PgPool, statement: &str) -> Vec<T> {
    sqlx::query_as(AssertSqlSafe(statement)).fetch_all(pool).await.unwrap()
}

/// Waiting, also for rows: of a table of ours, whose name a condition may follow.
impl World {
    pub(crate) async fn until_some(&self, rows: &str) {
        self.until(rows, &format!("exists (select from shopkeeper.{rows})")).await;
    }

    pub(crate) async fn until_none(&self, rows: &str) {
        self.until(&format!("no {rows}"), &format!("not exists (select from shopkeeper.{rows})")).await;
    }

    pub(crate) async fn until_count(&self, count: impl Display, rows: &str) {
        self.until(&format!("{count} {rows}"), &format!("count(*) = {count} from shopkeeper.{rows}")).await;
    }

    pub(crate) async fn until_completed(&self, answer: impl Display) {
        self.until_some(&format!("answer where status = 'completed' and id = '{answer}'")).await;
    }

    pub(crate) async fn until_settled(&self, answer: &str) {
        let settled = format!("answer where status not in ('queued', 'in_progress') and id = '{answer}'");
        self.until_some(&settled).await;
    }

    pub(crate) async fn until_leases_end(&self) {
        self.until("the leases have run out", "bool_and(lease_until < now()) from shopkeeper.job").await;
    }

    /// Waits until statements with this in their text wait for a lock.
    pub(crate) async fn until_locked(&self, statements: u32, text: &str) {
        let locked = format!(
            "count(*) >= {statements} from pg_stat_activity
             where datname = current_database() and wait_event_type = 'Lock' and query ~ '{text}'"
        );
        self.until("a statement waits for a lock", &locked).await;
    }
}

/// Waits for some work, at most as long as any wait may take.
pub(crate) async fn in_time<T>(fault: &str, work: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, work).await.expect(fault)
}

/// Looks every few milliseconds until something holds.
pub(crate) async fn wait_until(fault: &str, mut holds: impl AsyncFnMut() -> bool) {
    let look = async {
        let mut pauses = pauses();
        while !holds().await {
            tokio::time::sleep(pauses.next().unwrap()).await;
        }
    };
    in_time(fault, look).await;
}

/// Jobs and models.
impl World {
    pub(crate) async fn sync_with(&self, options: SyncOptions) -> SyncReport {
        self.parts.sync.sync("product", options).await.unwrap()
    }

    /// Reads every document again.
    pub(crate) async fn sync_full(&self) {
        self.sync_with(FULL).await;
        self.drain().await;
    }

    /// Changes the shop, then syncs and refreshes what differs.
    pub(crate) async fn sync_after(&self, change: impl Future<Output = ()>) -> SyncReport {
        change.await;
        self.sync().await
    }

    /// Runs jobs until some work has ended.
    pub(crate) async fn with_workers<T>(&self, work: impl Future<Output = T>) -> T {
        let workers = self.workers();
        let ended = work.await;
        workers.stop().await;
        ended
    }

    /// Claims jobs that may be tried three times.
    pub(crate) async fn claim(
        &self,
        kind: &str,
        worker: &str,
        limit: u32,
        lease: Duration,
    ) -> Vec<ClaimedJob> {
        let claim = Claim { kind, worker, limit, lease, max_attempts: 3, ..Claim::default() };
        self.store.claim(claim).await.unwrap()
    }

    pub(crate) async fn ask_by_sql(&self, question: &str) -> Uuid {
        self.value(&format!("select shopkeeper.ask('{question}')")).await
    }

    /// Asks by SQL, and runs jobs until the answer is complete.
    pub(crate) async fn answer_by_sql(&self, question: &str) {
        let id = self.ask_by_sql(question).await;
        self.with_workers(self.until_completed(id)).await;
    }

    pub(crate) fn embedding_requests(&self) -> usize {
        self.script().requests(Operation::Embeddings)
    }

    pub(crate) fn completion_requests(&self) -> usize {
        self.script().requests(Operation::Completions)
    }
}

/// A status in place of a response, without a header that says when to come back.
pub(crate) fn status(code: u16) -> Fault {
    Fault::Status { code, retry_after: None }
}

/// A status that asks to come back after some time.
pub(crate) fn back_after(code: u16, time: Duration) -> Fault {
    Fault::Status { code, retry_after: Some(time) }
}

/// The dead jobs of a kind.
pub(crate) fn dead(kind: &str) -> Selection {
    Selection::Dead { kind: kind.to_owned() }
}

pub(crate) fn question(text: &str) -> Value {
    json!({ "question": text })
}

pub(crate) fn in_session(text: &str) -> Value {
    json!({ "question": text, "session_id": "s" })
}

pub(crate) fn says(text: &str) -> Fault {
    Fault::Says(text.to_owned())
}

/// The settings of a webhook, whose secret is in a file.
pub(crate) fn webhook(name: &str, url: &str, rest: &str) -> String {
    format!("[[webhook]]\nname = \"{name}\"\nurl = \"{url}\"\nsecret = {{ file = \"secret\" }}\n{rest}\n")
}

/// Routes that record the bodies which they are sent.
pub(crate) fn recorder() -> (Arc<Mutex<Vec<Value>>>, Router) {
    let received = Arc::<Mutex<Vec<Value>>>::default();
    let kept = received.clone();
    let record =
        move |body: String| async move { kept.lock().unwrap().push(serde_json::from_str(&body).unwrap()) };
    (received, Router::new().fallback(record))
}

/// Serves these routes to the end of the test; returns the address.
#[expect(clippy::disallowed_methods, reason = "it ends with the test")]
pub(crate) async fn serve(routes: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
    url
}

/// The address of a database for a role whose password is `x`.
pub(crate) fn as_role(url: &str, role: &str) -> String {
    let mut url: url::Url = url.parse().unwrap();
    url.set_username(role).unwrap();
    url.set_password(Some("x")).unwrap();
    url.to_string()
}

/// The name of the database at an address.
pub(crate) fn database_name(url: &str) -> String {
    url.parse::<url::Url>().unwrap().path()[1..].to_owned()
}

/// A string of a JSON document.
#[track_caller]
pub(crate) fn as_text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

/// An array of a JSON document.
#[track_caller]
pub(crate) fn as_list(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("no array: {value}"))
}

/// The keys of an object, in its order.
pub(crate) fn keys_of(object: &Value) -> String {
    object.as_object().unwrap().keys().map(String::as_str).collect::<Vec<_>>().join(" ")
}

#[track_caller]
pub(crate) fn id_of(object: &Value) -> &str {
    as_text(&object["id"])
}

#[track_caller]
pub(crate) fn assert_contains(text: impl AsRef<str>, part: &str) {
    let text = text.as_ref();
    assert!(text.contains(part), "{part:?} is not in: {text}");
}

#[track_caller]
pub(crate) fn assert_starts(text: impl AsRef<str>, start: &str) {
    let text = text.as_ref();
    assert!(text.starts_with(start), "{start:?} is not at the start of: {text}");
}

/// Checks some fields of an object; an object among the expected values is compared in the same way.
#[track_caller]
pub(crate) fn assert_fields(seen: &Value, expected: Value) {
    let mut pairs = vec![("object".to_owned(), seen, expected)];
    while let Some((name, part, expected)) = pairs.pop() {
        match expected {
            Value::Object(fields) => pairs.extend(fields.into_iter().map(|(name, expected)| {
                let part = &part[&name];
                (name, part, expected)
            })),
            expected => assert_eq!(*part, expected, "{name} of {seen}"),
        }
    }
}

/// Checks the status and some fields of a reply of the API; returns its body.
#[track_caller]
pub(crate) fn assert_reply((status, body): (StatusCode, Value), code: u16, fields: Value) -> Value {
    assert_eq!(status.as_u16(), code, "{body}");
    assert_fields(&body, fields);
    body
}

/// Checks a reply of the API that refuses a request; returns its detail.
#[track_caller]
pub(crate) fn assert_problem(reply: (StatusCode, Value), status: u16, code: &str) -> String {
    as_text(&assert_reply(reply, status, json!({ "code": code }))["detail"]).to_owned()
}

/// The configuration of so many cases; failures are not persisted.
pub(crate) fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// Checks a property for cases drawn at random, by asynchronous work.
pub(crate) async fn for_cases<S: Strategy>(
    config: ProptestConfig,
    strategy: impl FnOnce() -> S + Send + 'static,
    check: impl AsyncFn(S::Value) + Send + 'static,
) {
    let runtime = tokio::runtime::Handle::current();
    let run = move || {
        let check = |case| {
            runtime.block_on(check(case));
            Ok(())
        };
        TestRunner::new(config).run(&strategy(), check).map_err(|error| error.to_string())
    };
    tokio::task::spawn_blocking(run).await.unwrap().unwrap();
}
