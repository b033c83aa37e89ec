//! A private MariaDB of an installed package, for the tests and the benchmarks of MySQL sources.

use std::{
    net::{Ipv4Addr, TcpListener},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, ensure};
use sqlx::{AssertSqlSafe, Connection, MySqlConnection};
use tempfile::TempDir;

/// A server without a password that ends with this process.
pub struct MariaDb {
    port: u16,
    _folder: TempDir,
    _keeper: Child,
}

/// Ends the server once standard input is closed, however this process ends.
const KEEPER: &str = "\"$@\" & server=$!; cat; kill -9 $server";
/// Time limit for the server to answer, in tenths of a second.
const START_LIMIT: u32 = 300;

impl MariaDb {
    /// Starts a server with an empty data folder; `None` where no MariaDB is installed. Blocks.
    pub fn start() -> anyhow::Result<Option<Self>> {
        let (Some(server), Some(install)) =
            (program(&["mariadbd", "mysqld"]), program(&["mariadb-install-db", "mysql_install_db"]))
        else {
            return Ok(None);
        };
        let folder = tempfile::tempdir()?;
        let option = |name: &str, file: &str| format!("--{name}={}", folder.path().join(file).display());
        // It refuses to run as root unasked.
        let user = rustix::process::getuid().is_root().then_some("--user=root");
        let installed = Command::new(install)
            .args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"])
            .arg(option("datadir", "data"))
            .args(user)
            .output()?;
        ensure!(
            installed.status.success(),
            "mariadb-install-db: {}",
            String::from_utf8_lossy(&installed.stderr)
        );
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let keeper = Command::new("sh")
            .args(["-c", KEEPER, "sh"])
            .arg(server)
            .arg("--no-defaults")
            .args([option("datadir", "data"), option("socket", "socket"), option("pid-file", "pid")])
            .arg(format!("--port={port}"))
            .args(["--bind-address=127.0.0.1", "--innodb-flush-log-at-trx-commit=0", "--skip-log-bin"])
            .args([
                "--innodb-buffer-pool-size=256M",
                "--max-connections=300",
                "--character-set-server=utf8mb4",
            ])
            .args(user)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Some(Self { port, _folder: folder, _keeper: keeper }))
    }

    /// Creates a database and returns its address; waits for the server.
    pub async fn create_database(&self, name: &str) -> anyhow::Result<String> {
        let address = format!("mysql://root@127.0.0.1:{}", self.port);
        let mut attempts = 0;
        let mut connection = loop {
            attempts += 1;
            match MySqlConnection::connect(&format!("{address}/mysql")).await {
                Ok(connection) => break connection,
                Err(error) if attempts == START_LIMIT => {
                    return Err(error).context("MariaDB does not answer");
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        };
        let create = AssertSqlSafe(format!("create database {name}"));
        sqlx::raw_sql(create).execute(&mut connection).await?;
        connection.close().await?;
        Ok(format!("{address}/{name}"))
    }
}

fn program(names: &[&str]) -> Option<PathBuf> {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<_> = std::env::split_paths(&folders).chain(["/usr/sbin".into()]).collect();
    let paths = names.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    paths.into_iter().find(|path| path.is_file())
}
