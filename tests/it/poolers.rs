//! A daemon that reaches its database through a pooler of transactions, and one that searches a replica.
//!
//! Skipped aloud where the programs for it are missing.

use std::{
    collections::BTreeMap,
    io::Write,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::{Value, json};
use shopkeeper::{
    config::Config,
    demo::packages,
    store::{Store, StoreError},
};
use sqlx::Connection;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    running::TestDaemon,
    support::{LIMIT, Process, SHOP, SOURCE, World, aloud, database, execute, reach, start_server, stdout},
};

/// A program, which is not to be root.
fn start(program: &Path, arguments: &[&str]) -> Process {
    let is_root = rustix::process::geteuid().is_root();
    let mut command = if is_root { Command::new("unshare") } else { Command::new(program) };
    if is_root {
        let as_nobody = ["--user", "--map-user=65534", "--map-group=65534", "--"];
        command.args(as_nobody).arg(program);
    }
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Process::start(&mut command)
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn found(program: &str) -> Option<PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin";
    path.split(':').map(|folder| Path::new(folder).join(program)).find(|program| program.exists())
}

/// Waits until a server answers.
async fn answers(url: &str) {
    let look = async {
        loop {
            if let Ok(connection) = sqlx::PgConnection::connect(url).await {
                return connection.close().await.unwrap_or_default();
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(LIMIT, look).await.unwrap();
}

/// The settings of a world with one more.
fn with(world: &World, key: &str, value: &str) -> Config {
    let environment = BTreeMap::from([(key.to_owned(), value.to_owned())]);
    Config::load(&world.settings(), &environment).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_works_through_a_pooler_of_transactions() {
    let Some(pgbouncer) = found("pgbouncer") else {
        return aloud(
            "skipped: no pgbouncer, so no daemon behind a pooler (on Debian: apt install pgbouncer)",
        );
    };
    let mut world = World::with(SHOP, SOURCE).await;
    let direct: url::Url = world.url().parse().unwrap();
    let port = free_port();
    let folder = tempfile::TempDir::new().unwrap();
    let settings = folder.path().join("pgbouncer.ini");
    // Fewer connections than the daemon has: each statement may meet another one.
    let text = format!(
        "[databases]\n* = host=127.0.0.1 port={} user=postgres password={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
         listen_port = {port}\nauth_type = any\npool_mode = transaction\ndefault_pool_size = 3\nmax_client_conn = 200\n\
         unix_socket_dir =\n",
        direct.port().unwrap(),
        direct.password().unwrap(),
    );
    std::fs::File::create(&settings).unwrap().write_all(text.as_bytes()).unwrap();
    let _pooler = start(&pgbouncer, &["-q", settings.to_str().unwrap()]);
    let mut pooled = direct.clone();
    pooled.set_port(Some(port)).unwrap();
    std::fs::write(world.folder.path().join("database.url"), pooled.as_str()).unwrap();
    let untold = Config::load(&world.settings(), &BTreeMap::new()).unwrap();
    // It answers when it takes connections, and says what it does not take.
    let refused = async {
        loop {
            let opened = shopkeeper::store::Store::open(&untold.database).await;
            match opened.unwrap_err().to_string() {
                error if error.contains("refused") => {
                    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                }
                error => return error,
            }
        }
    };
    let refused = tokio::time::timeout(LIMIT, refused).await.unwrap();
    assert!(refused.contains("is a pooler") && refused.contains("database.direct_url"), "{refused}");

    std::fs::write(world.folder.path().join("direct.url"), direct.as_str()).unwrap();
    let settings = std::fs::read_to_string(world.settings()).unwrap();
    let settings = settings.replace("[http]", "direct_url = { file = \"direct.url\" }\n[http]");
    std::fs::write(world.settings(), settings).unwrap();
    world.config = Config::load(&world.settings(), &BTreeMap::new()).unwrap();
    let daemon = TestDaemon::start(&world).await;
    let asked = (0..40).map(|n| {
        let (daemon, world) = (&daemon, &world);
        async move {
            let text =
                format!("update product set description = 'Cotton shirt number {n}.' where id = 1 + {n} % 3");
            world.in_shop(&text).await;
            assert_eq!(
                daemon
                    .client
                    .post(format!("{}/v1/sync", daemon.url))
                    .json(&json!({}))
                    .send()
                    .await
                    .unwrap()
                    .status(),
                202
            );
            daemon
                .ask(
                    world,
                    json!({ "question": "Do you have a cotton shirt?", "session_id": format!("s{}", n % 7) }),
                )
                .await
        }
    });
    for answer in futures::future::join_all(asked).await {
        assert_eq!(answer["status"], "completed", "{answer}");
    }
    world.until("all is indexed", "not exists (select from shopkeeper.job)").await;
    assert_eq!(
        world
            .value::<i64>(
                "select count(*) from shopkeeper.job_history where error is not null or outcome <> 'done'"
            )
            .await,
        0
    );
    assert_eq!(world.count("chunk").await, 3);
    let doctor = world.run(&["doctor", "--json"]).await;
    let checks: Value = serde_json::from_str(&stdout(&doctor)).unwrap();
    let heard =
        checks["checks"].as_array().unwrap().iter().find(|check| check["name"] == "notifications").unwrap();
    assert!(heard["ok"] == true && heard["detail"].as_str().unwrap().contains("past the pooler"), "{heard}");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_is_searched_and_the_database_itself_when_the_replica_is_away() {
    let binaries = packages::postgres_binaries().await.unwrap();
    let basebackup = binaries.join("pg_basebackup");
    if !basebackup.exists() {
        return aloud("skipped: no pg_basebackup beside PostgreSQL, so no replica");
    }
    let primary = start_server(&[]).await;
    execute(&primary.url("postgres"), "create database ours").await;
    let world = World::with(SHOP, SOURCE).await;
    let url = primary.url("ours");
    std::fs::write(world.folder.path().join("database.url"), &url).unwrap();
    let store = shopkeeper::store::Store::open_migrated(&crate::support::reach(&url)).await.unwrap();
    store.close().await;

    // A copy that follows.
    let folder = tempfile::TempDir::new().unwrap();
    let data = folder.path().join("data");
    let copied = Command::new(&basebackup)
        .args(["-d", &primary.url("postgres"), "-R", "-X", "stream", "-c", "fast", "-D"])
        .arg(&data)
        .output()
        .unwrap();
    assert!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));
    let (data, port) = (data.to_str().unwrap(), free_port());
    let replica = start(
        &binaries.join("postgres"),
        &[
            "-D",
            data,
            "-p",
            &port.to_string(),
            "-c",
            "listen_addresses=127.0.0.1",
            "-c",
            "unix_socket_directories=",
        ],
    );
    let mut read_url: url::Url = url.parse().unwrap();
    read_url.set_port(Some(port)).unwrap();
    answers(read_url.as_str()).await;

    let config = with(&world, "SHOPKEEPER_DATABASE__READ_URL", read_url.as_str());
    let (ours, server) = (store_of(&config).await, sqlx::PgPool::connect(&url).await.unwrap());
    let world = World { config, store: ours.0, parts: ours.1, ours: server, ..world };
    world.sync().await;
    let mut there = sqlx::PgConnection::connect(read_url.as_str()).await.unwrap();
    // Whoever searches is one of its connections, once it has caught up and if it was quick enough.
    let seen =
        "select count(*) from pg_stat_activity where application_name = 'shopkeeper' and query ~ 'chunk'";
    let searched = async {
        while world.found("Cotton shirt").await.len() < 3
            || sqlx::query_scalar::<_, i64>(seen).fetch_one(&mut there).await.unwrap() == 0
        {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(LIMIT, searched).await.expect("the replica is not searched");
    let health = world.store.replica_health().await.unwrap().unwrap();
    assert!(health.lag_seconds.is_some(), "{health:?}");

    drop(there);
    drop(replica);
    assert_eq!(world.found("Cotton shirt").await.len(), 3);
    world.store.close().await;
    primary.stop().await.unwrap();
}

async fn store_of(config: &Config) -> (shopkeeper::store::Store, shopkeeper::daemon::Parts) {
    let store = shopkeeper::store::Store::open(&config.database).await.unwrap();
    let parts = shopkeeper::daemon::prepare(config, &store).await.unwrap();
    (store, parts)
}

/// A server that refuses connections as a pooler does, in words that nobody knows: those that begin with parameters
/// that it does not know, or all. The others it passes on.
async fn refusing(database: &str, all: bool) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut url: url::Url = database.parse().unwrap();
    let target = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap());
    url.set_port(Some(listener.local_addr().unwrap().port())).unwrap();
    let serve = async move |mut client: tokio::net::TcpStream| -> std::io::Result<()> {
        let begin = loop {
            let length = client.read_u32().await?;
            let mut message = vec![0; length as usize - 4];
            client.read_exact(&mut message).await?;
            // A request for TLS comes before.
            if length > 8 {
                break [&length.to_be_bytes()[..], &message].concat();
            }
            client.write_all(b"N").await?;
        };
        if all || String::from_utf8_lossy(&begin).contains("extra_float_digits") {
            let fields = b"SFATAL\0VFATAL\0C08P01\0Mso nicht\0\0";
            let length = u32::try_from(fields.len() + 4).unwrap();
            client.write_all(&[b"E", &length.to_be_bytes()[..], fields].concat()).await?;
            return client.shutdown().await;
        }
        let mut server = tokio::net::TcpStream::connect(&target).await?;
        server.write_all(&begin).await?;
        tokio::io::copy_bidirectional(&mut client, &mut server).await.map(drop)
    };
    #[expect(clippy::disallowed_methods, reason = "it ends with the test's runtime")]
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let _ = serve(client).await;
        }
    });
    url.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_is_told_from_a_server_that_is_away_by_what_it_does_and_not_by_its_words() {
    let database = database("template_ours").await;
    let error = Store::open(&reach(&refusing(&database, false).await)).await.unwrap_err();
    let is_pooler = matches!(&error, StoreError::Unsuitable(text) if text.contains("is a pooler (") && text.contains("so nicht"));
    assert!(is_pooler, "{error}");
    let error = Store::open(&reach(&refusing(&database, true).await)).await.unwrap_err();
    assert!(matches!(error, StoreError::Unreachable(_)), "{error}");
}
