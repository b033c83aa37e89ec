//! The PostgreSQL server of a run, and a database for each test.

use std::{
    cell::RefCell,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use shopkeeper::{
    demo::{folder::DataFolder, packages, postgres::Postgres},
    store::{DatabaseSettings, Store},
};
use sqlx::{AssertSqlSafe, PgPool, postgres::PgPoolOptions};
use tokio::{
    runtime::{Builder, Runtime},
    sync::OnceCell,
};

/// What the largest tests write at once, and more.
const ROOM: u64 = 6 << 30;

static SERVER: OnceCell<Server> = OnceCell::const_new();
static NUMBER: AtomicU32 = AtomicU32::new(0);

/// The server of this run, and those who make and drop databases in it.
struct Server {
    postgres: Postgres,
    /// The runtimes of tests end with them, and this one does not.
    runtime: Runtime,
    admin: PgPool,
}

thread_local! {
    static DATABASES: RefCell<Databases> = RefCell::default();
}

/// The databases of a test, which are dropped when its thread ends.
#[derive(Default)]
struct Databases(Vec<String>);

impl Drop for Databases {
    fn drop(&mut self) {
        let Some(server) = SERVER.get() else { return };
        for name in self.0.drain(..) {
            let drop = AssertSqlSafe(format!("drop database {name} with (force)"));
            server.runtime.spawn(async move { sqlx::query(drop).execute(&server.admin).await });
        }
    }
}

/// Starts a server that ends with its value.
pub(crate) async fn start_server(settings: &[(&str, &str)]) -> Postgres {
    let binaries = packages::postgres_binaries().await.unwrap();
    let settings = [&[("fsync", "off")], settings].concat();
    Postgres::start(&binaries, DataFolder::in_memory(ROOM).unwrap(), &settings).await.unwrap()
}

async fn start() -> Server {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let starting = runtime.spawn(async {
        let postgres = start_server(&[("full_page_writes", "off"), ("max_connections", "600")]).await;
        let admin = PgPoolOptions::new().max_connections(3).connect(&postgres.url("postgres")).await.unwrap();
        sqlx::query("create database template_ours").execute(&admin).await.unwrap();
        Store::open_migrated(&reach(&postgres.url("template_ours"))).await.unwrap().close().await;
        (postgres, admin)
    });
    let (postgres, admin) = starting.await.unwrap();
    Server { postgres, runtime, admin }
}

/// The server of this run; it ends with the process.
pub(crate) async fn server() -> &'static Postgres {
    &SERVER.get_or_init(start).await.postgres
}

pub(crate) fn reach(url: &str) -> DatabaseSettings {
    DatabaseSettings {
        url: url.parse().unwrap(),
        direct_url: None,
        read_url: None,
        max_connections: 5,
        statement_timeout: Duration::from_secs(30),
    }
}

/// Makes a database for this test and says where it is.
pub(crate) async fn database(template: &str) -> String {
    let server = SERVER.get_or_init(start).await;
    let name = format!("test_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    // In memory, files are copied in half the time that their pages take through the log.
    let create = format!("create database {name} template {template} strategy file_copy");
    server.runtime.spawn(sqlx::query(AssertSqlSafe(create)).execute(&server.admin)).await.unwrap().unwrap();
    DATABASES.with_borrow_mut(|databases| databases.0.push(name.clone()));
    server.postgres.url(&name)
}
