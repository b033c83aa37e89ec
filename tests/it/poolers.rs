//! A daemon that reaches its database through a pooler of transactions, and one that searches a replica.
//!
//! Skipped aloud where the programs for it are missing.

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::Command,
};

use crate::prelude::*;
use shopkeeper::demo::packages;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A program, which is not to be root.
fn start(program: &Path, arguments: &[&str]) -> Process {
    let is_root = rustix::process::geteuid().is_root();
    let mut command = if is_root { Command::new("unshare") } else { Command::new(program) };
    if is_root {
        command.args(["--user", "--map-user=65534", "--map-group=65534", "--"]).arg(program);
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

/// The address at another port.
fn at_port(url: &str, port: u16) -> String {
    let mut url: url::Url = url.parse().unwrap();
    url.set_port(Some(port)).unwrap();
    url.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_works_through_a_pooler_of_transactions() {
    let Some(pgbouncer) = found("pgbouncer") else {
        return aloud(
            "skipped: no pgbouncer, so no daemon behind a pooler (on Debian: apt install pgbouncer)",
        );
    };
    let mut world = World::new().await;
    let (direct, port) = (world.url(), free_port());
    let server: url::Url = direct.parse().unwrap();
    // Fewer connections than the daemon has: each statement may meet another one.
    let settings = format!(
        "[databases]\n* = host=127.0.0.1 port={} user=postgres password={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
         listen_port = {port}\nauth_type = any\npool_mode = transaction\ndefault_pool_size = 3\nmax_client_conn = 200\n\
         unix_socket_dir =\n",
        server.port().unwrap(),
        server.password().unwrap(),
    );
    world.write("pgbouncer.ini", &settings);
    let _pooler = start(&pgbouncer, &["-q", world.folder.path().join("pgbouncer.ini").to_str().unwrap()]);
    world.write("database.url", &at_port(&direct, port));
    let untold = Config::load(&world.settings(), &BTreeMap::new()).unwrap();
    // It answers when it takes connections, and says what it does not take.
    let mut refused = String::new();
    let is_listening = async || {
        refused = Store::open(&untold.database).await.unwrap_err().to_string();
        !refused.contains("refused")
    };
    wait_until("the pooler does not start", is_listening).await;
    assert!(refused.contains("is a pooler") && refused.contains("database.direct_url"), "{refused}");

    world.write("direct.url", &direct);
    world.edit_settings("[http]", "direct_url = { file = \"direct.url\" }\n[http]");
    world.config = Config::load(&world.settings(), &BTreeMap::new()).unwrap();
    let (world, daemon) = world.with_daemon().await;
    let asked = (0..40).map(async |n| {
        let change = format!("description = 'Cotton shirt number {n}.' where id = 1 + {n} % 3");
        world.in_shop(&format!("update product set {change}")).await;
        assert_reply(daemon.send(Method::POST, "/v1/sync", json!({})).await, 202, json!({}));
        let session = format!("s{}", n % 7);
        daemon.ask(&world, json!({ "question": "Do you have a cotton shirt?", "session_id": session })).await
    });
    for answer in join_all(asked).await {
        assert_eq!(answer["status"], "completed", "{answer}");
    }
    world.until_none("job").await;
    assert_eq!(world.count("job_history where error is not null or outcome <> 'done'").await, 0);
    assert_eq!(world.count("chunk").await, 3);
    let checks = world.run_json("doctor").await;
    let heard = as_list(&checks["checks"]).iter().find(|check| check["name"] == "notifications").unwrap();
    assert_eq!(heard["ok"], true, "{heard}");
    assert_contains(as_text(&heard["detail"]), "past the pooler");
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
    let world = World::new().await;
    let url = primary.url("ours");
    world.write("database.url", &url);
    Store::open_migrated(&reach(&url)).await.unwrap().close().await;

    // A copy that follows.
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data").display().to_string();
    let mut copy = Command::new(&basebackup);
    copy.args(["-d", &primary.url("postgres"), "-R", "-X", "stream", "-c", "fast", "-D", &data]);
    let copied = output_of(copy).await;
    assert!(copied.status.success(), "{}", stderr(&copied));
    let (port, program) = (free_port(), binaries.join("postgres"));
    let read_url = at_port(&url, port);
    let port = port.to_string();
    let settings = ["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="];
    let replica = start(&program, &[&["-D", &data, "-p", &port][..], &settings].concat());
    wait_until("no replica answers", async || PgConnection::connect(&read_url).await.is_ok()).await;

    let environment = BTreeMap::from([("SHOPKEEPER_DATABASE__READ_URL".to_owned(), read_url.clone())]);
    let config = Config::load(&world.settings(), &environment).unwrap();
    let store = Store::open(&config.database).await.unwrap();
    let parts = daemon::prepare(&config, &store).await.unwrap();
    let world = World { config, store, parts, ours: PgPool::connect(&url).await.unwrap(), ..world };
    world.sync().await;
    let there = PgPool::connect(&read_url).await.unwrap();
    // Whoever searches is one of its connections, once it has caught up and if it was quick enough.
    let seen =
        "select count(*) from pg_stat_activity where application_name = 'shopkeeper' and query ~ 'chunk'";
    let is_searched =
        async || world.found("Cotton shirt").await.len() == 3 && value::<i64>(&there, seen).await > 0;
    wait_until("the replica is not searched", is_searched).await;
    let health = world.store.replica_health().await.unwrap().unwrap();
    assert!(health.lag_seconds.is_some(), "{health:?}");

    there.close().await;
    drop(replica);
    assert_eq!(world.found("Cotton shirt").await.len(), 3);
    world.store.close().await;
    primary.stop().await.unwrap();
}

/// A server that refuses connections as a pooler does, in words that nobody knows: those that begin with parameters
/// that it does not know, or all. The others it passes on.
async fn refusing(database: &str, all: bool) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url: url::Url = database.parse().unwrap();
    let target = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap());
    let through = at_port(database, listener.local_addr().unwrap().port());
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
    through
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
