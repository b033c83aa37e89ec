//! A private PostgreSQL: for the demo, the tests and the benchmarks.
//!
//! It listens on a free loopback port only, requires a random password, and has a folder of its own. It ends when its
//! value is dropped or this process dies in any way: a small shell script starts it and waits for the end of an input
//! that only we hold open. If the script itself is killed, the next start in the folder ends the server.
//!
//! It only holds sample data: an unfinished cluster, or one of another major version or account, is replaced.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use sqlx::{Connection as _, PgConnection};
use tokio::{task, time};

use crate::demo::folder::DataFolder;

mod cluster;
mod guardian;
mod process;
mod programs;
#[cfg(test)]
mod tests;

use cluster::{data, log_end, prepare};
use guardian::Guardian;
use process::has_ended;

/// How many ports to try: another program may take a free one before the server does.
const PORT_ATTEMPTS: u32 = 5;
/// The time limit from start to first answer; the slow case is crash recovery.
const START_LIMIT: Duration = Duration::from_mins(1);
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// A running private PostgreSQL, and the folder it runs in.
///
/// Dropping it blocks for an immediate shutdown: about 50 ms, at most 25 s. The next start then recovers from the
/// write-ahead log, unless [`Postgres::stop`] was used.
pub struct Postgres {
    // Fields are dropped in order: the server ends before its folder is released.
    guardian: Guardian,
    folder: DataFolder,
    port: u16,
    password: String,
}

impl Postgres {
    /// Starts the programs in `binaries` in a folder, with settings as in `postgresql.conf`. The first start creates
    /// the cluster and takes 0.6 s; later ones take 0.1 s.
    pub async fn start(binaries: &Path, folder: DataFolder, settings: &[(&str, &str)]) -> Result<Self> {
        let binaries = binaries.to_owned();
        let prepare = move || prepare(&binaries, &folder).map(|cluster| (cluster, folder));
        let ((program, password), folder) = task::spawn_blocking(prepare).await??;
        for _ in 0..PORT_ATTEMPTS {
            let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
            // Blocks for the few milliseconds that a shell needs to start.
            let guardian = Guardian::spawn(&program, &folder, port, settings)?;
            if answers(&url(&password, port, "postgres"), guardian.server, &folder).await? {
                return Ok(Self { guardian, folder, port, password });
            }
        }
        bail!("found no free port in {PORT_ATTEMPTS} attempts")
    }

    /// Returns the URL of a database, whose name must not need escaping; `postgres` always exists.
    pub fn url(&self, database: &str) -> String {
        url(&self.password, self.port, database)
    }

    /// Shuts down in order: the next start needs no recovery. Kills the server after 30 s.
    pub async fn stop(self) -> Result<()> {
        let Self { mut guardian, folder, .. } = self;
        // Moves the folder too: it must not be released while the server runs, even if this future is dropped.
        task::spawn_blocking(move || guardian.shut_down().map(|()| drop(folder))).await?
    }
}

fn url(password: &str, port: u16, database: &str) -> String {
    // Overrides PGSSLMODE in the environment: this server has no certificate.
    format!("postgres://postgres:{password}@127.0.0.1:{port}/{database}?sslmode=disable")
}

/// Waits until a starting server answers; returns `false` if another program has taken its port.
async fn answers(url: &str, server: u32, folder: &DataFolder) -> Result<bool> {
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

async fn data_directory(url: &str) -> sqlx::Result<String> {
    let mut connection = PgConnection::connect(url).await?;
    let directory = sqlx::query_scalar("show data_directory").fetch_one(&mut connection).await?;
    connection.close().await?;
    Ok(directory)
}
