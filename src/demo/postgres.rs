//! A private PostgreSQL: for the demo, the tests and the benchmarks.
//!
//! It listens on a free port of the loopback interface only, asks for a random password, and lives in a folder of
//! its own. It ends when its value is dropped and when this process dies, however that happens: a small shell script
//! stands between, which waits for the end of its input, whose other end only we hold. Should the script itself have
//! been killed, the next start in the folder ends the server that was left.
//!
//! It only ever holds sample data: a cluster of another major version, or of another account, or one whose creation
//! was interrupted, is thrown away and made anew.

use std::{
    net::{Ipv4Addr, TcpListener},
    path::Path,
    time::{Duration, Instant},
};

use anyhow::bail;
use sqlx::{Connection as _, PgConnection};
use tokio::{task, time};

use crate::demo::folder::DataFolder;

mod cluster;
mod guardian;

use cluster::{data, log_end, prepare};
use guardian::{Guardian, has_ended};

/// How often another port is tried when another program was quicker to take the last one.
const PORT_ATTEMPTS: u32 = 5;
/// Longest time from the start of the server to its first answer; recovery after a crash is the slow case.
const START_LIMIT: Duration = Duration::from_mins(1);
/// Longest time for one attempt to connect.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// Interval of the checks while waiting for a server.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// A running private PostgreSQL, and the folder it runs in.
///
/// Dropping it is an immediate shutdown, for which it blocks: about 50 ms, at most 25 s. The next start then recovers
/// from the write-ahead log; [`Postgres::stop`] spares that.
pub struct Postgres {
    // Fields are dropped in order: the server ends before its folder is given back.
    guardian: Guardian,
    folder: DataFolder,
    port: u16,
    password: String,
}

impl Postgres {
    /// Starts the programs in `binaries` on a folder, with settings as in `postgresql.conf`. The first start creates
    /// the cluster and takes 0.6 s, a second one 0.1 s.
    pub async fn start(
        binaries: &Path,
        folder: DataFolder,
        settings: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        let binaries = binaries.to_owned();
        let prepare = move || prepare(&binaries, &folder).map(|cluster| (cluster, folder));
        let ((program, password), folder) = task::spawn_blocking(prepare).await??;
        for _ in 0..PORT_ATTEMPTS {
            let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
            // Blocks for the milliseconds that a shell needs to start.
            let guardian = Guardian::spawn(&program, &folder, port, settings)?;
            if answers(&url(&password, port, "postgres"), guardian.server, &folder).await? {
                return Ok(Self { guardian, folder, port, password });
            }
        }
        bail!("found no free port in {PORT_ATTEMPTS} attempts")
    }

    /// Returns the URL of a database, whose name must not need escaping; `postgres` exists from the beginning.
    pub fn url(&self, database: &str) -> String {
        url(&self.password, self.port, database)
    }

    /// Returns the port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the server's process id.
    pub fn pid(&self) -> u32 {
        self.guardian.server
    }

    /// Shuts down in good order: clients are disconnected, and the next start needs no recovery. After 30 s the server
    /// is killed.
    pub async fn stop(self) -> anyhow::Result<()> {
        let Self { mut guardian, folder, .. } = self;
        // The folder goes along: it must not be given back while the server runs, also if nobody awaits this.
        task::spawn_blocking(move || guardian.shut_down().map(|()| drop(folder))).await?
    }
}

fn url(password: &str, port: u16, database: &str) -> String {
    // Without `sslmode` a PGSSLMODE in the environment would count, and this server has no certificate.
    format!("postgres://postgres:{password}@127.0.0.1:{port}/{database}?sslmode=disable")
}

/// Waits until a starting server answers; returns `false` when another program has taken its port.
async fn answers(url: &str, server: u32, folder: &DataFolder) -> anyhow::Result<bool> {
    let deadline = Instant::now() + START_LIMIT;
    while Instant::now() < deadline {
        if has_ended(server) {
            let log = log_end(folder);
            if log.contains("could not create any TCP/IP sockets") {
                return Ok(false);
            }
            bail!("PostgreSQL ended while starting; its log said last:\n{log}");
        }
        // Early on, an error only means "not yet".
        if let Ok(Ok(directory)) = time::timeout(CONNECT_LIMIT, data_directory(url)).await {
            return Ok(Path::new(&directory) == data(folder));
        }
        time::sleep(POLL_INTERVAL).await;
    }
    bail!("PostgreSQL did not answer within {START_LIMIT:?}; its log said last:\n{}", log_end(folder))
}

/// Asks a server where its data is.
async fn data_directory(url: &str) -> sqlx::Result<String> {
    let mut connection = PgConnection::connect(url).await?;
    let directory = sqlx::query_scalar("show data_directory").fetch_one(&mut connection).await?;
    connection.close().await?;
    Ok(directory)
}

#[cfg(test)]
mod tests {
    use std::{fs, process::Command};

    use super::{
        guardian::{IMMEDIATE_LIMIT, is_server, wait_until},
        *,
    };
    use crate::demo::{account::Account, execute, packages};

    async fn started(folder: DataFolder) -> Postgres {
        let binaries = packages::postgres_binaries().await.unwrap();
        Postgres::start(&binaries, folder, &[("fsync", "off")]).await.unwrap()
    }

    async fn value(postgres: &Postgres, sql: &'static str) -> String {
        let mut connection = PgConnection::connect(&postgres.url("postgres")).await.unwrap();
        sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap()
    }

    async fn run(postgres: &Postgres, sql: &str) {
        execute(&postgres.url("postgres"), sql).await.unwrap();
    }

    /// A folder that outlives its claim, as a demo's does.
    fn claimed(place: &Path) -> DataFolder {
        DataFolder::claim_in(place, "demo", Account::candidates().remove(0)).unwrap()
    }

    #[tokio::test]
    async fn a_fresh_server_offers_vectors_and_knows_other_alphabets() {
        let postgres = started(DataFolder::temporary().unwrap()).await;
        run(&postgres, "create extension vector").await;
        assert_eq!(value(&postgres, "select ('[1,2]'::vector <-> '[1,4]')::text").await, "2");
        assert_eq!(value(&postgres, "select lower('ÉCOLE')").await, "école");
        assert_eq!(value(&postgres, "show fsync").await, "off");
        assert_eq!(value(&postgres, "show listen_addresses").await, "127.0.0.1");
    }

    #[tokio::test]
    async fn another_password_is_refused() {
        let postgres = started(DataFolder::temporary().unwrap()).await;
        let wrong = postgres.url("postgres").replace(&postgres.password, "guessed");
        let error = PgConnection::connect(&wrong).await.unwrap_err();
        assert!(error.to_string().contains("password authentication failed"), "{error}");
    }

    #[tokio::test]
    async fn a_second_start_keeps_the_data() {
        let place = tempfile::tempdir().unwrap();
        let postgres = started(claimed(place.path())).await;
        run(&postgres, "create table kept as select 'yes' as answer").await;
        let pid = postgres.pid();
        postgres.stop().await.unwrap();
        assert!(!is_server(pid, &place.path().join("demo-1/data")));
        let again = started(claimed(place.path())).await;
        assert_eq!(value(&again, "select answer from kept").await, "yes");
        assert!(!log_end(&again.folder).contains("not properly shut down"));
    }

    #[tokio::test]
    async fn two_at_once_have_their_own_ports_and_folders() {
        let place = tempfile::tempdir().unwrap();
        let (one, other) = tokio::join!(started(claimed(place.path())), started(claimed(place.path())));
        assert_ne!(one.port(), other.port());
        assert_ne!(one.folder.path(), other.folder.path());
    }

    #[tokio::test]
    async fn an_orphan_is_ended_at_the_next_start() {
        let place = tempfile::tempdir().unwrap();
        let mut postgres = started(claimed(place.path())).await;
        run(&postgres, "create table kept as select 'yes' as answer").await;
        let orphan = postgres.pid();
        postgres.guardian.script.kill().unwrap();
        postgres.guardian.script.wait().unwrap();
        assert!(is_server(orphan, &data(&postgres.folder)));
        // As if this process had been killed: its values are not dropped, but its lock is gone.
        let Postgres { guardian, folder, .. } = postgres;
        std::mem::forget(guardian);
        drop(folder);
        let again = started(claimed(place.path())).await;
        assert!(!is_server(orphan, &data(&again.folder)));
        assert_eq!(value(&again, "select answer from kept").await, "yes");
    }

    #[tokio::test]
    async fn dropping_ends_the_server_and_removes_a_temporary_folder() {
        let postgres = started(DataFolder::temporary().unwrap()).await;
        let (path, pid, data) = (postgres.folder.path().to_owned(), postgres.pid(), data(&postgres.folder));
        drop(postgres);
        assert!(!is_server(pid, &data));
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn the_guardian_alone_ends_the_server_although_another_child_of_ours_lives() {
        let postgres = started(DataFolder::temporary().unwrap()).await;
        let mut other = Command::new("sleep").arg("60").spawn().unwrap();
        let Postgres { mut guardian, folder, .. } = postgres;
        // What the system does at our death, and nothing else.
        drop(guardian.input.take());
        let ended = wait_until(IMMEDIATE_LIMIT, || guardian.script_ended());
        other.kill().unwrap();
        other.wait().unwrap();
        assert!(ended);
        assert!(!is_server(guardian.server, &guardian.data));
        assert!(!folder.path().exists());
    }

    #[tokio::test]
    async fn a_server_whose_guardian_was_killed_ends_with_its_value() {
        let mut postgres = started(DataFolder::temporary().unwrap()).await;
        postgres.guardian.script.kill().unwrap();
        let (pid, data) = (postgres.pid(), data(&postgres.folder));
        drop(postgres);
        assert!(!is_server(pid, &data));
    }

    #[tokio::test]
    async fn an_unfinished_cluster_and_one_of_another_version_are_made_anew() {
        let place = tempfile::tempdir().unwrap();
        let folder = claimed(place.path());
        fs::create_dir_all(folder.path().join("data.new/base")).unwrap();
        fs::create_dir_all(data(&folder)).unwrap();
        fs::write(data(&folder).join("PG_VERSION"), "9\n").unwrap();
        fs::write(folder.path().join("password"), "old").unwrap();
        let postgres = started(folder).await;
        assert_eq!(value(&postgres, "select 'works'").await, "works");
        assert!(!postgres.folder.path().join("data.new").exists());
    }

    #[tokio::test]
    async fn an_unknown_setting_is_shown_from_the_log() {
        let binaries = packages::postgres_binaries().await.unwrap();
        let folder = DataFolder::temporary().unwrap();
        let error = Postgres::start(&binaries, folder, &[("no_such_setting", "1")]).await.err().unwrap();
        assert!(error.to_string().contains("no_such_setting"), "{error}");
    }

    #[tokio::test]
    async fn every_way_to_leave_root_runs_a_server() {
        for account in Account::candidates().into_iter().filter(Account::works) {
            let postgres = started(DataFolder::temporary_for(account).unwrap()).await;
            run(&postgres, "create extension vector").await;
            let path = postgres.folder.path().to_owned();
            postgres.stop().await.unwrap();
            assert!(!path.exists());
        }
    }
}
