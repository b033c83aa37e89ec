//! Three daemons that share one PostgreSQL, each on a host of its own, while hosts are cut off from the network.
//!
//! A host is a network namespace. All of them are in a sandbox of namespaces, in whose middle this test binary runs
//! again, with one ignored test chosen by name, beside the database and the model server. The sandbox needs no
//! rights, has no way out, and takes everything in it along when it ends. Where the system does not allow one, these
//! tests are skipped aloud.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use shopkeeper::{
    embedded::{folder::DataFolder, packages, postgres::Postgres},
    offline::{self, Completer, Embedder, Fault, Models, Operation, Script},
    store::Store,
};
use sqlx::{AssertSqlSafe, PgPool, postgres::PgPoolOptions};
use tempfile::TempDir;
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

use crate::support::{LIMIT, SHOP, SOURCE, aloud, execute, reach, stderr, stdout};

/// How long a claim of these daemons holds.
const LEASE: Duration = Duration::from_secs(2);
/// How long after its lease a job of a host that is cut off may be without its answer.
const TAKE_OVER: Duration = Duration::from_secs(4);
/// How long after a healed cut a daemon may be without work: a connection that is under way waits for the next of its
/// attempts, which come ever more seldom, or is given up after ten seconds.
const RECOVERY: Duration = Duration::from_secs(15);

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
refresh_document = { lease = "2s" }
index_documents = { lease = "2s" }
sync_catalogue = { lease = "2s" }
prune_history = { lease = "2s" }
[[schedule]]
name = "each-second"
cron = "* * * * * *"
job = "prune_history"
overlap = "queue"
"#;

/// A sandbox can do this.
const PROBE: &str = "
mount -t tmpfs tmpfs \"$TMPDIR\"
ip link add net type bridge
ip link add here type veth peer name there
ip link set here up master net
ip link set there up
bridge link set dev here state 0
unshare --net true
";

/// Links a new host with the middle, which is process 1, and becomes its daemon when told so.
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

/// A network from the hosts to the middle.
#[derive(Clone, Copy)]
enum Net {
    Database,
    Models,
}

impl Net {
    const ALL: &[Self] = &[Self::Database, Self::Models];

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

/// Runs an ignored test in a sandbox, or says why there is none.
async fn in_sandbox(test: &str) {
    let folder = TempDir::new().unwrap();
    let probe = sandboxed(Path::new("sh"), folder.path()).args(["-ec", PROBE]).output();
    let fault = match probe {
        Ok(probe) if probe.status.success() => None,
        Ok(probe) => Some(stderr(&probe)),
        Err(error) => Some(format!("unshare: {error}")),
    };
    if let Some(fault) = fault {
        return aloud(&format!("skipped: hosts::{test} needs network namespaces: {}", fault.trim_end()));
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
struct Host {
    number: usize,
    daemon: Child,
    log: PathBuf,
}

impl Host {
    fn start(number: usize, folder: &Path) -> Self {
        let log = folder.join(format!("log{number}"));
        let mut command = Command::new("unshare");
        command.args(["--net", "--", "sh", "-ec", HOST, "host", &number.to_string()]);
        command
            .arg(env!("CARGO_BIN_EXE_shopkeeper"))
            .arg("--config")
            .arg(folder.join("jobs.toml"))
            .arg("run");
        command.env_clear().env("PATH", std::env::var("PATH").unwrap());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(std::fs::File::create(&log).unwrap());
        let mut daemon = command.spawn().unwrap();
        let mut said = String::new();
        BufReader::new(daemon.stdout.take().unwrap()).read_line(&mut said).unwrap();
        assert_eq!(said, "linked\n", "{}", std::fs::read_to_string(&log).unwrap());
        for net in Net::ALL.iter().map(|net| net.name()) {
            set(&format!("ip link set {net}{number} master {net} up"));
        }
        daemon.stdin.take().unwrap().write_all(b"\n").unwrap();
        Self { number, daemon, log }
    }

    /// Whether anything arrives from now on, either way. Nobody is told: its own end of the line stays up.
    fn pass(&self, nets: &[Net], passes: bool) {
        for net in nets {
            let state = if passes { 3 } else { 0 };
            set(&format!("bridge link set dev {}{} state {state}", net.name(), self.number));
        }
    }

    /// Whether a worker is of this host.
    fn is_of(&self, worker: &str) -> bool {
        worker.starts_with(&format!("{}-", self.daemon.id()))
    }

    /// The same in SQL.
    fn its(&self) -> String {
        format!("worker like '{}-%'", self.daemon.id())
    }
    fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// The end of its log, the latest first.
    fn last_words(&self) -> String {
        let log = self.log();
        log.lines().rev().take(30).collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

/// The middle of a sandbox. Fields are dropped in order.
struct Middle {
    hosts: Vec<Host>,
    script: Script,
    pool: PgPool,
    _models: DropGuard,
    _server: Postgres,
    folder: TempDir,
}

impl Middle {
    /// Without hosts; none when this is no sandbox.
    async fn new() -> Option<Self> {
        std::env::var_os("HOSTS_SANDBOX")?;
        // We are process 1: with us ends everything that is in the sandbox.
        std::thread::spawn(|| {
            let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
            std::process::exit(1);
        });
        set("ip link set lo up");
        for (number, net) in Net::ALL.iter().map(|net| net.name()).enumerate() {
            set(&format!("ip link add {net} type bridge"));
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
        TaskTracker::new().spawn(offline::serve(listener, models, stop.clone()));
        let folder = TempDir::new().unwrap();
        for (file, text) in [
            ("database.url", server.url("ours").replace("127.0.0.1", "10.99.0.1")),
            ("shop.url", server.url("shop").replace("127.0.0.1", "10.99.0.1")),
            ("jobs.toml", SETTINGS.replace("MODELS", &base_url) + SOURCE),
        ] {
            std::fs::write(folder.path().join(file), text).unwrap();
        }
        let pool = PgPoolOptions::new().max_connections(4).connect(&server.url("ours")).await.unwrap();
        Some(Self { hosts: Vec::new(), script, pool, _models: stop.drop_guard(), _server: server, folder })
    }

    /// With three hosts whose daemons all fire ticks and have answered questions.
    async fn with_hosts() -> Option<Self> {
        let mut middle = Self::new().await?;
        middle.hosts = (1..=3).map(|number| Host::start(number, middle.folder.path())).collect();
        middle.until("the shop is indexed", "count(*) = 3 from shopkeeper.document_index").await;
        let all = "count(distinct worker) = 3 from shopkeeper.job_history where kind = 'answer_question'";
        middle.under_load(middle.until("all of them have answered", all)).await;
        Some(middle)
    }

    async fn value<T>(&self, statement: &str) -> T
    where
        T: Send + Unpin + sqlx::Type<sqlx::Postgres> + for<'r> sqlx::Decode<'r, sqlx::Postgres>,
    {
        sqlx::query_scalar(AssertSqlSafe(statement)).fetch_one(&self.pool).await.unwrap()
    }

    async fn until(&self, what: &str, condition: &str) {
        let look = async {
            while !self.value::<bool>(&format!("select {condition}")).await {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        if tokio::time::timeout(LIMIT, look).await.is_err() {
            let left = "select coalesce(json_agg(job), '[]')::text from shopkeeper.job";
            let logs: Vec<_> = self.hosts.iter().map(Host::last_words).collect();
            panic!("still waiting until {what}: {}\n{}", self.value::<String>(left).await, logs.join("\n"));
        }
    }

    /// Does something while questions are asked and documents are to be refreshed all the time.
    async fn under_load<T>(&self, work: impl Future<Output = T>) -> T {
        let load = async {
            let mut bursts = tokio::time::interval(Duration::from_millis(600));
            loop {
                bursts.tick().await;
                // As many at once as there are slots: none of the hosts is so quick that the others get nothing.
                let more =
                    "select shopkeeper.ask('How much is the Kettle?')::text from generate_series(1, 6)";
                sqlx::query(more).execute(&self.pool).await.unwrap();
                let more = "select shopkeeper.refresh('product', id::text) from generate_series(1, 3) as id";
                sqlx::query(more).execute(&self.pool).await.unwrap();
            }
        };
        tokio::select! {
            done = work => done,
            () = load => unreachable!("it never ends"),
        }
    }

    /// What stands of some answers.
    async fn answers(&self, lost: &[Lost]) -> Vec<Answer> {
        let answers = "select id::text, status, answer::text as said, attempt, fence, completed_at::text
             from shopkeeper.answer where id::text = any ($1) order by id";
        let keys: Vec<_> = lost.iter().map(|lost| lost.key.clone()).collect();
        sqlx::query_as(answers).bind(keys).fetch_all(&self.pool).await.unwrap()
    }
}

/// Who may come to the server: it reads its own file again.
const LET_IN: &str = "
do $$ begin
    execute format(
        'copy (values (''host all all 127.0.0.1/32 password''), (''host all all 10.99.0.0/24 password'')) to %L',
        current_setting('hba_file')
    );
end $$;
select pg_reload_conf();
";

/// A job that a host held when it was cut off.
#[derive(sqlx::FromRow)]
struct Lost {
    id: i64,
    fence: i64,
    key: String,
}

#[derive(Debug, PartialEq, sqlx::FromRow)]
struct Answer {
    id: String,
    status: String,
    said: Option<String>,
    attempt: i32,
    fence: i64,
    completed_at: Option<String>,
}

/// Cuts a host off from some networks while it waits for the model's answers, and heals that: the others give the
/// answers, once, and the host writes none of its own.
async fn lose(middle: &Middle, host: &Host, nets: &[Net], what: &str) {
    middle.script.always(Operation::Completions, Fault::Held);
    let held_at: String = middle.value("select clock_timestamp()::text").await;
    // What it claimed before may still be answered: only what began later is sure to wait.
    let running = format!(
        "from shopkeeper.job where kind = 'answer_question' and state = 'running' and {} and not ahead",
        host.its()
    );
    middle
        .until(
            "the host waits for the model",
            &format!("count(*) > 1 and min(started_at) > '{held_at}' {running}"),
        )
        .await;
    host.pass(nets, false);
    let cut = Instant::now();
    let lost = format!("select id, fence, key {running}");
    let lost: Vec<Lost> = sqlx::query_as(AssertSqlSafe(lost)).fetch_all(&middle.pool).await.unwrap();
    assert!(lost.len() > 1, "it holds {}", lost.len());
    middle.script.clear();

    let ids = lost.iter().map(|lost| lost.id.to_string()).collect::<Vec<_>>().join(", ");
    let of_them = format!("from shopkeeper.job_history where id in ({ids})");
    middle.until("the others have answered", &format!("count(*) = {} {of_them}", lost.len())).await;
    let taken_over = cut.elapsed();
    let ends = format!("select worker, outcome, attempts {of_them}");
    let ends: Vec<(String, String, i32)> =
        sqlx::query_as(AssertSqlSafe(ends)).fetch_all(&middle.pool).await.unwrap();
    for (worker, outcome, attempts) in ends {
        assert_eq!((outcome.as_str(), attempts), ("done", 2));
        let others = middle.hosts.iter().filter(|other| other.number != host.number);
        assert!(others.into_iter().any(|other| other.is_of(&worker)), "{worker} was cut off");
    }
    assert!(taken_over < LEASE + TAKE_OVER, "the others took {taken_over:?}");
    let answers = middle.answers(&lost).await;
    for answer in &answers {
        let old = lost.iter().find(|lost| lost.key == answer.id).unwrap().fence;
        assert!(answer.status == "completed" && answer.attempt == 2 && answer.fence > old, "{answer:?}");
    }

    let healed_at: String = middle.value("select clock_timestamp()::text").await;
    host.pass(nets, true);
    let healed = Instant::now();
    let says = |lost: &Lost| host.log().contains(&format!("job {} is no longer ours", lost.id));
    while !lost.iter().all(says) {
        assert!(healed.elapsed() < LIMIT, "it does not say that its leases are lost:\n{}", host.last_words());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let heard = healed.elapsed();
    let again = format!(
        "exists (select from shopkeeper.job_history
             where kind = 'answer_question' and outcome = 'done' and started_at > '{healed_at}' and {})",
        host.its()
    );
    middle.until("the host answers again", &again).await;
    let back = healed.elapsed();
    assert!(back < RECOVERY, "it took {back:?} until the host did something again");
    assert_eq!(middle.answers(&lost).await, answers, "nothing was written under the lost leases");
    middle.until("each has ended once", &format!("count(*) = {} {of_them}", lost.len())).await;
    aloud(&format!(
        "{what} cut off with {} jobs: taken over after {taken_over:.1?}; {heard:.1?} after the cut was healed it knew \
         that they were lost, and after {back:.1?} it worked again",
        lost.len()
    ));
}

#[tokio::test]
async fn jobs_of_a_host_that_is_cut_off_are_done_once_by_others_and_no_tick_is_left_out() {
    in_sandbox("cut_off").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "runs in a sandbox that another test makes"]
async fn cut_off() {
    let Some(mut middle) = Middle::with_hosts().await else { return };
    middle
        .under_load(async {
            // It gets its answers, and cannot write them.
            lose(&middle, &middle.hosts[0], &[Net::Database], "from the database").await;
            lose(&middle, &middle.hosts[1], Net::ALL, "from everything").await;
        })
        .await;
    let questions = "kind in ('answer_question', 'refresh_document', 'index_documents')";
    let drained = format!("not exists (select from shopkeeper.job where {questions})");
    middle.until("no question is left", &drained).await;
    let (asked, answered, jobs): (i64, i64, i64) = sqlx::query_as(
        "select count(*), count(*) filter (where status = 'completed'),
             (select count(*) from shopkeeper.job_history where kind = 'answer_question' and outcome = 'done')
         from shopkeeper.answer",
    )
    .fetch_one(&middle.pool)
    .await
    .unwrap();
    assert_eq!((answered, jobs), (asked, asked), "each question is answered, by one job");
    let twice = "select count(*) - count(distinct id) + count(*) filter (where outcome <> 'done') from shopkeeper.job_history";
    assert_eq!(middle.value::<i64>(twice).await, 0, "no job ended twice, or otherwise than done");

    // What was cut off is all that is left.
    let logs: Vec<_> = [0, 2].map(|host| middle.hosts[host].log.clone()).into();
    middle.hosts = middle.hosts.drain(..).filter(|host| host.number == 2).collect();
    let alone: String = middle.value("select clock_timestamp()::text").await;
    let question: String = middle.value("select shopkeeper.ask('How much is the Shirt?')::text").await;
    middle
        .until("it answers", &format!("status = 'completed' from shopkeeper.answer where id = '{question}'"))
        .await;
    let more = format!("max(tick) > timestamptz '{alone}' + interval '2 s' from shopkeeper.schedule_tick");
    middle.until("ticks go on", &more).await;
    let logs = logs.iter().chain([&middle.hosts[0].log]).map(|log| std::fs::read_to_string(log).unwrap());
    every_tick_once(&middle, &logs.collect::<String>(), asked).await;
}

/// No tick is left out, and none fired twice.
async fn every_tick_once(middle: &Middle, logs: &str, asked: i64) {
    let (ticks, seconds, enqueued, runs, late): (i64, i64, i64, i64, f64) = sqlx::query_as(
        "select count(*), extract(epoch from max(tick) - min(tick))::bigint, sum(enqueued),
             (select count(*) from shopkeeper.job_history where kind = 'prune_history'),
             max(extract(epoch from fired_at - tick))::double precision
         from shopkeeper.schedule_tick where schedule = 'each-second'",
    )
    .fetch_one(&middle.pool)
    .await
    .unwrap();
    assert_eq!(seconds, ticks - 1, "no second is missing");
    assert_eq!(enqueued, ticks, "each tick enqueued its job");
    assert!(runs <= ticks, "{runs} runs of {ticks} ticks");
    let mut fired = BTreeMap::<String, u32>::new();
    for line in logs.lines().filter(|line| line.contains("schedule `each-second` fired")) {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let tick = line.get("tick").or_else(|| line["fields"].get("tick")).unwrap();
        *fired.entry(tick.to_string()).or_default() += 1;
    }
    let twice: Vec<_> = fired.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "these fired twice: {twice:?}");
    // Who is cut off while a tick is committed cannot know that it was.
    assert!(i64::try_from(fired.len()).unwrap() + 2 >= ticks, "{} of {ticks} ticks were said", fired.len());
    aloud(&format!(
        "{asked} questions; {ticks} ticks in {seconds} s, the latest {late:.1} s late, {runs} runs of their job"
    ));
}
