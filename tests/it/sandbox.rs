//! Hosts: network namespaces, each with a daemon, around a middle where the database and the model server are.
//!
//! All of them are in a sandbox of namespaces, in whose middle this test binary runs again, with one ignored test
//! chosen by name. The sandbox needs no rights, has no way out, and takes everything in it along when it ends.

use std::{
    io::{BufRead, BufReader, Write},
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::Command,
};

use crate::prelude::*;
use shopkeeper::demo::{
    folder::DataFolder,
    models::{self, Completer, Embedder, Models, Script},
    packages,
    postgres::Postgres,
};
use sqlx::postgres::PgPoolOptions;
use tokio_util::{sync::DropGuard, task::TaskTracker};

/// Questions that each of them answers at once.
pub(crate) const SLOTS: usize = 2;

const SETTINGS: &str = r#"
[database]
url = { file = "database.url" }
[http]
listen = ""
admin_listen = ""
[openai]
base_url = "MODELS"
timeout = "30s"
[embedding]
model = "hash"
dimensions = 64
[answers]
model = "extractive"
escalate_above_distance = 1.5
[queue]
answer_question = { concurrency = 2, lease = "2s" }
refresh_document.lease = "2s"
fill_index.lease = "2s"
sync_catalogue.lease = "2s"
prune_history.lease = "2s"
[[schedule]]
name = "each-second"
cron = "* * * * * *"
job = "prune_history"
overlap = "queue"
"#;

/// What a sandbox must be able to do.
const PROBE: &str = "
mount -t tmpfs tmpfs \"$TMPDIR\"
ip link add net type bridge
ip link add here type veth peer name there
ip link set here up master net
ip link set there up
bridge link set dev here state 0
unshare --net true
";

/// Links a new host with the middle, which is process 1, and becomes its daemon on request.
const HOST: &str = "
host=$1; shift
ip link set lo up
for net in 0:db 1:ai; do
    ip link add ${net#*:} type veth peer name ${net#*:}$host netns 1
    ip address add 10.99.${net%:*}.1$host/24 dev ${net#*:}
    ip link set ${net#*:} up
done
echo linked
read -r _
exec \"$@\" >/dev/null
";

/// Lets hosts connect to the server.
const LET_IN: &str = "
do $$ begin
    execute format(
        'copy (values (''host all all 127.0.0.1/32 password''), (''host all all 10.99.0.0/24 password'')) to %L',
        current_setting('hba_file')
    );
end $$;
select pg_reload_conf();
";

/// A network from the hosts to the middle.
#[derive(Clone, Copy)]
pub(crate) enum Net {
    Database,
    Models,
}

impl Net {
    pub(crate) const ALL: &[Self] = &[Self::Database, Self::Models];

    fn name(self) -> &'static str {
        match self {
            Self::Database => "db",
            Self::Models => "ai",
        }
    }
}

/// A command in new namespaces, with nothing but the empty folder to write temporary files to.
fn sandboxed(program: &Path, folder: &Path) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--net", "--mount", "--pid", "--fork", "--kill-child"]);
    command.args(["--mount-proc", "--"]).arg(program).env("TMPDIR", folder);
    // Not everybody's path leads to `ip`.
    command.env("PATH", std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin");
    command
}

/// Runs an ignored test in a sandbox, or prints why it cannot.
pub(crate) async fn in_sandbox(test: &str) {
    let folder = TempDir::new().unwrap();
    let probe = sandboxed(Path::new("sh"), folder.path()).args(["-ec", PROBE]).output();
    let fault = match probe {
        Ok(probe) if probe.status.success() => None,
        Ok(probe) => Some(stderr(&probe)),
        Err(error) => Some(format!("unshare: {error}")),
    };
    if let Some(fault) = fault {
        aloud(&format!("skipped: hosts::{test} needs network namespaces: {}", fault.trim_end()));
        return;
    }
    // In the sandbox nothing can be downloaded.
    packages::postgres_binaries().await.unwrap();
    let mut command = sandboxed(Path::new("sh"), folder.path());
    command.args(["-ec", "mount -t tmpfs tmpfs \"$TMPDIR\"; exec \"$@\"", "sandbox"]);
    command.arg(std::env::current_exe().unwrap()).args(["--exact", &format!("hosts::{test}")]);
    command.args(["--ignored", "--nocapture"]).env("HOSTS_SANDBOX", "1");
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut sandbox = command.spawn().unwrap();
    // Only we hold this end: the other one hears of our death.
    let alive = sandbox.stdin.take();
    let output = tokio::task::spawn_blocking(|| sandbox.wait_with_output()).await.unwrap().unwrap();
    drop(alive);
    let said = stdout(&output);
    assert!(output.status.success() && said.contains("1 passed"), "{said}{}", stderr(&output));
    aloud(stderr(&output).trim_end());
}

/// Changes the network of the sandbox.
fn set(command: &str) {
    let (program, arguments) = command.split_once(' ').unwrap();
    let output = Command::new(program).args(arguments.split(' ')).output().unwrap();
    assert!(output.status.success(), "{command}: {}", stderr(&output));
}

/// A daemon in a network namespace of its own.
pub(crate) struct Host {
    pub(crate) number: usize,
    daemon: Process,
    log: PathBuf,
}

impl Host {
    fn start(number: usize, folder: &Path) -> Self {
        let log = folder.join(format!("log{number}"));
        let mut command = Command::new("unshare");
        command.args(["--net", "--", "sh", "-ec", HOST, "host", &number.to_string()]);
        command.args([env!("CARGO_BIN_EXE_shopkeeper"), "--config"]).arg(folder.join("jobs.toml")).arg("run");
        command.env_clear().env("PATH", std::env::var("PATH").unwrap());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(fs::File::create(&log).unwrap());
        let mut daemon = Process::start(&mut command);
        let said = BufReader::new(daemon.stdout.take().unwrap()).lines().next().unwrap().unwrap();
        assert_eq!(said, "linked", "{}", fs::read_to_string(&log).unwrap());
        for net in Net::ALL.iter().map(|net| net.name()) {
            set(&format!("ip link set {net}{number} master {net} up"));
        }
        daemon.stdin.take().unwrap().write_all(b"\n").unwrap();
        Self { number, daemon, log }
    }

    /// Drops traffic in both directions from now on, while the own end of the link stays up.
    pub(crate) fn cut(&self, nets: &[Net]) {
        self.set_state(nets, 0);
    }

    pub(crate) fn heal(&self, nets: &[Net]) {
        self.set_state(nets, 3);
    }

    /// Sets the state of the bridge's port: 0 is disabled, 3 forwards.
    fn set_state(&self, nets: &[Net], state: u8) {
        for net in nets {
            set(&format!("bridge link set dev {}{} state {state}", net.name(), self.number));
        }
    }

    /// Whether a worker is of this host.
    pub(crate) fn is_of(&self, worker: &str) -> bool {
        worker.starts_with(&format!("{}-", self.daemon.id()))
    }

    /// The same as a condition in SQL.
    pub(crate) fn its(&self) -> String {
        format!("worker like '{}-%'", self.daemon.id())
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// The end of its log.
    pub(crate) fn last_words(&self) -> String {
        let log = self.log();
        let lines: Vec<_> = log.lines().rev().take(30).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

/// The middle of a sandbox. Fields are dropped in order.
pub(crate) struct Middle {
    pub(crate) hosts: Vec<Host>,
    pub(crate) script: Script,
    pub(crate) pool: PgPool,
    _models: DropGuard,
    _server: Postgres,
    folder: TempDir,
}

impl Middle {
    /// Without hosts; returns `None` outside of a sandbox.
    async fn new() -> Option<Self> {
        std::env::var_os("HOSTS_SANDBOX")?;
        // We are process 1: with us ends everything that is in the sandbox.
        std::thread::spawn(|| {
            let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
            std::process::exit(1);
        });
        set("ip link set lo up");
        for (number, net) in Net::ALL.iter().map(|net| net.name()).enumerate() {
            // Without an address of its own it takes one from its ports: each new host would change it, and the others
            // would send to the old one.
            set(&format!("ip link add {net} address 02:00:00:00:00:0{number} type bridge"));
            set(&format!("ip address add 10.99.{number}.1/24 dev {net}"));
            set(&format!("ip link set {net} up"));
        }
        let binaries = packages::postgres_binaries().await.unwrap();
        let settings = [("fsync", "off"), ("full_page_writes", "off"), ("listen_addresses", "*")];
        let server = Postgres::start(&binaries, DataFolder::temporary().unwrap(), &settings).await.unwrap();
        for statement in ["create database ours", "create database shop", LET_IN] {
            execute(&server.url("postgres"), statement).await;
        }
        execute(&server.url("shop"), SHOP).await;
        Store::open_migrated(&reach(&server.url("ours"))).await.unwrap().close().await;
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::new(10, 99, 1, 1), 0)).await.unwrap();
        let base_url = format!("http://{}/v1", listener.local_addr().unwrap());
        let models = Models::new(Embedder::hash(64), Completer::Extractive);
        let models = models.with_latency(Duration::from_millis(100));
        let (script, stop) = (models.script().clone(), CancellationToken::new());
        TaskTracker::new().spawn(models::serve(listener, models, stop.clone()));
        let folder = TempDir::new().unwrap();
        let url = |database: &str| server.url(database).replace("127.0.0.1", "10.99.0.1");
        for (file, text) in [
            ("database.url", url("ours")),
            ("shop.url", url("shop")),
            ("jobs.toml", SETTINGS.replace("MODELS", &base_url) + SOURCE),
        ] {
            fs::write(folder.path().join(file), text).unwrap();
        }
        let pool = PgPoolOptions::new().max_connections(4).connect(&server.url("ours")).await.unwrap();
        Some(Self { hosts: Vec::new(), script, pool, _models: stop.drop_guard(), _server: server, folder })
    }

    /// With three hosts that have all answered questions.
    pub(crate) async fn with_hosts() -> Option<Self> {
        let mut middle = Self::new().await?;
        middle.hosts = (1..=3).map(|number| Host::start(number, middle.folder.path())).collect();
        middle.until("the shop is indexed", "count(*) = 3 from shopkeeper.document_index").await;
        let all = "count(distinct worker) = 3 from shopkeeper.job_history where kind = 'answer_question'";
        middle.under_load(middle.until("all of them have answered", all)).await;
        Some(middle)
    }

    pub(crate) async fn value<T: Column>(&self, statement: &str) -> T {
        value(&self.pool, statement).await
    }

    pub(crate) async fn rows<T: Row>(&self, statement: &str) -> Vec<T> {
        rows(&self.pool, statement).await
    }

    pub(crate) async fn until(&self, what: &str, condition: &str) {
        if !comes_true(&self.pool, condition).await {
            let left = "select coalesce(json_agg(job), '[]')::text from shopkeeper.job";
            let logs: Vec<_> = self.hosts.iter().map(Host::last_words).collect();
            panic!("still waiting until {what}: {}\n{}", self.value::<String>(left).await, logs.join("\n"));
        }
    }

    /// Does something while questions are asked and documents are to be refreshed all the time.
    pub(crate) async fn under_load<T>(&self, work: impl Future<Output = T>) -> T {
        let load = async {
            let mut bursts = tokio::time::interval(Duration::from_millis(600));
            loop {
                bursts.tick().await;
                // As many at once as there are slots: none of the hosts is so quick that the others get nothing.
                let more = "select shopkeeper.ask('How much is the Kettle?') from generate_series(1, 6);
                     select shopkeeper.refresh('product', id::text) from generate_series(1, 3) as id";
                sqlx::raw_sql(more).execute(&self.pool).await.unwrap();
            }
        };
        tokio::select! {
            done = work => done,
            () = load => unreachable!("it never ends"),
        }
    }

    /// By the database's clock.
    pub(crate) async fn now(&self) -> String {
        self.value("select clock_timestamp()::text").await
    }

    /// Ends all hosts but one, which has to see to the ticks alone then.
    pub(crate) async fn leave_only(&mut self, number: usize) {
        self.hosts.retain(|host| host.number == number);
        self.until("it fires", &ticks_after(&self.now().await, 2)).await;
    }
}

/// Whether ticks were seen to until so many seconds after an instant.
pub(crate) fn ticks_after(instant: &str, seconds: u32) -> String {
    let after = format!("'{instant}'::timestamptz + interval '{seconds} s'");
    format!("exists (select from shopkeeper.schedule_tick where tick > {after})")
}
