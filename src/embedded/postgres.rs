//! A private PostgreSQL: for the demo, the tests and the bench.
//!
//! It listens on a free port of the loopback interface only, asks for a random password, and lives in a folder of
//! its own. It ends when its value is dropped and when this process dies, however that happens: a small shell script
//! stands between, which waits for the end of its input, whose other end only we hold. Should the script itself have
//! been killed, the next start in the folder ends the server that was left.
//!
//! It only ever holds sample data: a cluster of another major version, or of another account, or one whose creation
//! was interrupted, is thrown away and made anew.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{self, BufRead as _, BufReader, Write as _},
    net::{Ipv4Addr, TcpListener},
    os::unix::{
        fs::{DirBuilderExt as _, OpenOptionsExt as _},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use sqlx::{ConnectOptions as _, postgres::PgConnectOptions, postgres::PgSslMode};
use thiserror::Error;
use tokio::{task, time};

use super::{folder::DataFolder, packages};

/// How often another port is tried when somebody was quicker to take the last one.
const PORT_ATTEMPTS: u32 = 5;
/// Longest time from the start of the server to its first answer; recovery after a crash is the slow case.
const START_LIMIT: Duration = Duration::from_mins(1);
/// Longest time for one attempt to connect.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// Longest time for a shutdown in good order, which writes a checkpoint.
const FAST_LIMIT: Duration = Duration::from_secs(30);
/// Longest time for an immediate shutdown; PostgreSQL itself kills its processes after 5 seconds.
const IMMEDIATE_LIMIT: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(20);

/// Starts the server, tells its process id, and ends it when the input ends.
///
/// `$1` is a folder to remove afterwards or nothing, the rest is the server's command. A shell starts background
/// commands with SIGINT and SIGQUIT ignored until they install their own handlers; SIGTERM ends the server until
/// then, and afterwards is overruled by the quicker kind of shutdown that follows. The shell itself must outlive a
/// service manager's SIGTERM to all processes.
const GUARDIAN: &str = r#"
temporary=$1; shift
"$@" </dev/null >&2 &
server=$!
trap '' HUP INT TERM
echo "$server"; exec >&2
signal=QUIT
if read -r wish && [ "$wish" = fast ]; then signal=INT; fi
kill -s TERM "$server"; kill -s "$signal" "$server"
wait "$server"
[ -z "$temporary" ] || rm -rf -- "$temporary"
"#;

/// Why a private PostgreSQL does not run.
#[derive(Debug, Error)]
pub enum PostgresError {
    /// One of PostgreSQL's programs cannot be run: the folder of binaries is the wrong one.
    #[error("cannot run {}: {fault}", .program.display())]
    Program {
        /// The program.
        program: PathBuf,
        /// What the system or the program said.
        fault: String,
    },
    /// The cluster could not be created.
    #[error("initdb failed:\n{0}")]
    Initdb(String),
    /// The server ended while starting: often a setting that it does not know.
    #[error("PostgreSQL ended while starting; its log said last:\n{0}")]
    Died(String),
    /// The server runs, but did not answer in time.
    #[error("PostgreSQL did not answer within {START_LIMIT:?}; its log said last:\n{0}")]
    Silent(String),
    /// Other programs took every port that was tried.
    #[error("found no free port in {PORT_ATTEMPTS} attempts")]
    NoPort,
    /// The server cannot be ended, not even by force: the system does not let go of it.
    #[error("PostgreSQL (process {0}) does not end")]
    Endless(u32),
    /// The runtime shut down under us.
    #[error("interrupted")]
    Interrupted,
    /// A file or folder could not be made or read.
    #[error("{}: {source}", .path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
}

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
    /// Starts the programs in `binaries` on a folder, with settings as in `postgresql.conf`, creating the cluster at
    /// the first time (0.6 s, a second start takes 0.1 s).
    pub async fn start(
        binaries: &Path,
        folder: DataFolder,
        settings: &[(&str, &str)],
    ) -> Result<Self, PostgresError> {
        let binaries = binaries.to_owned();
        let settings: Vec<String> = settings.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let prepare =
            move || prepare(&binaries, &folder).map(|(program, password)| (program, password, folder));
        let (program, password, mut folder) = blocking(prepare).await?;
        for _ in 0..PORT_ATTEMPTS {
            let port = free_port().map_err(|source| fault(folder.path(), source))?;
            let (program, password, settings) = (program.clone(), password.clone(), settings.clone());
            let spawn = move || {
                Ok(Self {
                    guardian: Guardian::spawn(&program, &folder, port, &settings)?,
                    folder,
                    port,
                    password,
                })
            };
            let postgres = blocking(spawn).await?;
            if postgres.answers().await? {
                return Ok(postgres);
            }
            let Self { guardian, folder: same, .. } = postgres;
            blocking(move || guardian.end(Ending::Immediate)).await?;
            folder = same;
        }
        Err(PostgresError::NoPort)
    }

    /// Returns the URL of a database, whose name must not need escaping; `postgres` is there from the beginning.
    pub fn url(&self, database: &str) -> String {
        // Without `sslmode` a PGSSLMODE in the environment would count, and this server has no certificate.
        format!("postgres://postgres:{}@127.0.0.1:{}/{database}?sslmode=disable", self.password, self.port)
    }

    /// Returns the port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the server's process id.
    pub fn pid(&self) -> u32 {
        self.guardian.server
    }

    /// Shuts down in good order: clients are disconnected, and the next start needs no recovery. After 30 s it is
    /// done by force.
    pub async fn stop(self) -> Result<(), PostgresError> {
        let Self { guardian, folder, .. } = self;
        // The folder goes along: it must not be given back while the server runs, also if nobody awaits this.
        blocking(move || guardian.end(Ending::Fast).map(|()| drop(folder))).await
    }

    /// Waits until the server answers; returns `false` when another program has taken its port.
    async fn answers(&self) -> Result<bool, PostgresError> {
        let options =
            PgConnectOptions::new_without_pgpass().host("127.0.0.1").port(self.port).username("postgres");
        let options = options.password(&self.password).database("postgres").ssl_mode(PgSslMode::Disable);
        let deadline = Instant::now() + START_LIMIT;
        while Instant::now() < deadline {
            if has_ended(self.guardian.server) {
                let log = log_end(&self.folder);
                return if log.contains("could not create any TCP/IP sockets") {
                    Ok(false)
                } else {
                    Err(PostgresError::Died(log))
                };
            }
            if let Ok(Some(directory)) = time::timeout(CONNECT_LIMIT, data_directory(&options)).await {
                return Ok(Path::new(&directory) == data(&self.folder));
            }
            time::sleep(POLL).await;
        }
        Err(PostgresError::Silent(log_end(&self.folder)))
    }
}

/// Asks a server where its data is; nothing if it does not answer us, which early on only means "not yet".
async fn data_directory(options: &PgConnectOptions) -> Option<String> {
    let mut connection = options.connect().await.ok()?;
    let directory = sqlx::query_scalar("show data_directory").fetch_one(&mut connection).await.ok();
    sqlx::Connection::close(connection).await.ok();
    directory
}

/// How a server is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// In good order.
    Fast,
    /// At once; the next start recovers.
    Immediate,
}

/// The script that ends the server when we end.
struct Guardian {
    script: Child,
    /// The script reads from it; only we hold it, since Rust's pipes are closed in every other child.
    input: Option<ChildStdin>,
    server: u32,
    data: PathBuf,
}

impl Guardian {
    /// Starts the server and learns its process id, but does not wait until it answers.
    fn spawn(
        program: &Path,
        folder: &DataFolder,
        port: u16,
        settings: &[String],
    ) -> Result<Self, PostgresError> {
        let (path, data) = (log_path(folder), data(folder));
        let log = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path);
        let log = log.map_err(|source| fault(&path, source))?;
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(GUARDIAN).arg("guardian").arg(if folder.is_temporary() {
            folder.path()
        } else {
            Path::new("")
        });
        command
            .args(folder.account().launcher())
            .arg(program)
            .arg("-D")
            .arg(&data)
            .arg("-p")
            .arg(port.to_string());
        command.args(["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="]);
        command.args(settings.iter().flat_map(|setting| ["-c", setting]));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
        // A group of its own: Ctrl-C at the terminal reaches only us. `/`: nothing is kept from being unmounted.
        command.process_group(0).current_dir("/").env("LC_ALL", "C");
        let mut script = command.spawn().map_err(|error| program_fault(Path::new("/bin/sh"), &error))?;
        let input = script.stdin.take();
        let mut line = String::new();
        if let Some(output) = script.stdout.take() {
            BufReader::new(output).read_line(&mut line).map_err(|source| fault(&path, source))?;
        }
        let server = line.trim().parse().map_err(|_| PostgresError::Died(log_end(folder)))?;
        Ok(Self { script, input, server, data })
    }

    /// Ends the server and waits for it; consumes the guardian, so that no second attempt follows at its drop.
    fn end(mut self, ending: Ending) -> Result<(), PostgresError> {
        self.end_server(ending)
    }

    fn end_server(&mut self, ending: Ending) -> Result<(), PostgresError> {
        if let Some(mut input) = self.input.take()
            && ending == Ending::Fast
        {
            // A script that is gone cannot be told; the server is then ended below.
            input.write_all(b"fast\n").ok();
        }
        let limit = if ending == Ending::Fast { FAST_LIMIT } else { IMMEDIATE_LIMIT };
        wait_until(limit, || self.script_ended());
        end_by_signal(self.server, &self.data)?;
        wait_until(IMMEDIATE_LIMIT, || self.script_ended());
        Ok(())
    }

    fn script_ended(&mut self) -> bool {
        !matches!(self.script.try_wait(), Ok(None))
    }
}

impl Drop for Guardian {
    fn drop(&mut self) {
        if let Err(error) = self.end_server(Ending::Immediate) {
            tracing::warn!(%error, "a private PostgreSQL stays behind");
        }
    }
}

/// Makes a folder ready for a start: no server in it, and a cluster. Returns the server program and the password.
fn prepare(binaries: &Path, folder: &DataFolder) -> Result<(PathBuf, String), PostgresError> {
    let binaries = runnable(binaries, folder)?;
    let program = binaries.join("postgres");
    let (data, fresh) = (data(folder), folder.path().join("data.new"));
    end_leftover(&data)?;
    let version = output(Command::new(&program).arg("--version"), &program)?;
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    let major = major_version(&version)
        .ok_or_else(|| program_fault(&program, &format!("--version says “{version}”")))?;
    let password_path = folder.path().join("password");
    if let Ok(password) = fs::read_to_string(&password_path)
        && fs::read_to_string(data.join("PG_VERSION")).is_ok_and(|found| found.trim() == major.to_string())
        && folder.account().owns(&data)
    {
        return Ok((program, password));
    }
    for old in [&data, &fresh] {
        remove(old)?;
    }
    let password = format!("{:032x}", rand::random::<u128>());
    // The data gets its name last, so that under this name it is complete.
    create_cluster(&binaries.join("initdb"), folder, &fresh, major, &password)?;
    fs::rename(&fresh, &data).map_err(|source| fault(&data, source))?;
    Ok((program, password))
}

fn create_cluster(
    initdb: &Path,
    folder: &DataFolder,
    fresh: &Path,
    major: u32,
    password: &str,
) -> Result<(), PostgresError> {
    // Case and classes of all alphabets, the same on every system; before 17 only the system's library has them.
    let builtin = vec!["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"];
    let locales =
        if major >= 17 { vec![builtin] } else { vec![vec!["--locale=C.UTF-8"], vec!["--locale=C"]] };
    let path = folder.path().join("password");
    remove(&path)?;
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
    file.and_then(|mut file| file.write_all(password.as_bytes())).map_err(|source| fault(&path, source))?;
    folder.account().give(&path).map_err(|source| fault(&path, source))?;
    let mut said = String::new();
    for locale in locales {
        remove(fresh)?;
        let made = DirBuilder::new().mode(0o700).create(fresh).and_then(|()| folder.account().give(fresh));
        made.map_err(|source| fault(fresh, source))?;
        let mut command = folder.account().command(initdb);
        command
            .arg("-D")
            .arg(fresh)
            .args(["-U", "postgres", "-E", "UTF8", "-N", "-A", "password"])
            .args(locale);
        let made = output(command.arg("--pwfile").arg(&path), initdb)?;
        if made.status.success() {
            return Ok(());
        }
        said = last_lines(&String::from_utf8_lossy(&made.stderr));
    }
    Err(PostgresError::Initdb(said))
}

/// Returns binaries that the folder's account can run: the given ones, or a copy of their tree in the folder.
fn runnable(binaries: &Path, folder: &DataFolder) -> Result<PathBuf, PostgresError> {
    let binaries = binaries.canonicalize().map_err(|source| fault(binaries, source))?;
    let Some(tree) = packages::whole_tree(&binaries) else {
        return Ok(binaries);
    };
    if folder.account().can_run(&binaries.join("postgres")) {
        return Ok(binaries);
    }
    // Libraries and shared files are found relative to the programs: the tree stays whole.
    let copy = folder.path().join("server");
    remove(&copy)?;
    for (program, arguments, from) in [("cp", "-RL", Some(tree)), ("chmod", "-R", Some(Path::new("a+rX")))] {
        let made = output(Command::new(program).arg(arguments).args(from).arg(&copy), Path::new(program))?;
        if !made.status.success() {
            return Err(program_fault(Path::new(program), &String::from_utf8_lossy(&made.stderr)));
        }
    }
    Ok(copy.join(binaries.strip_prefix(tree).unwrap_or(Path::new(""))))
}

/// Ends a server that an earlier owner of the folder left. It is nobody's: we hold the folder's lock.
fn end_leftover(data: &Path) -> Result<(), PostgresError> {
    let pid = fs::read_to_string(data.join("postmaster.pid"))
        .ok()
        .and_then(|file| file.lines().next()?.trim().parse().ok());
    let Some(pid) = pid.filter(|pid| is_server(*pid, data)) else {
        return Ok(());
    };
    tracing::info!(pid, "ending a private PostgreSQL that an earlier run left");
    end_by_signal(pid, data)
}

/// Ends a server if it still runs, by force if need be.
fn end_by_signal(pid: u32, data: &Path) -> Result<(), PostgresError> {
    for signal in [Signal::QUIT, Signal::KILL] {
        if !is_server(pid, data) {
            return Ok(());
        }
        if let Some(process) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
            // It may have ended since; whether it did is asked next.
            kill_process(process, signal).ok();
        }
        if wait_until(IMMEDIATE_LIMIT, || !is_server(pid, data)) {
            return Ok(());
        }
    }
    Err(PostgresError::Endless(pid))
}

/// Whether this process runs a PostgreSQL on this data; a number that another program got meanwhile does not count,
/// nor does a process that has ended but whose parent has not looked.
fn is_server(pid: u32, data: &Path) -> bool {
    let data = data.to_string_lossy();
    if let Ok(line) = fs::read(format!("/proc/{pid}/cmdline")) {
        let line = String::from_utf8_lossy(&line);
        return line.split('\0').any(|argument| argument == data) && line.contains("postgres");
    }
    let ps = Command::new("ps").args(["-o", "args=", "-p", &pid.to_string()]).output();
    ps.is_ok_and(|ps| String::from_utf8_lossy(&ps.stdout).contains(&format!("postgres -D {data}")))
}

/// Whether a process is gone, or has ended without its parent having looked. Unlike the command line, which is empty
/// for a moment while a process becomes another program, this can be asked at any time.
fn has_ended(pid: u32) -> bool {
    let state = match fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(line) => line.rsplit(')').next().map(str::to_owned),
        Err(_) if Path::new("/proc/self/stat").exists() => None,
        Err(_) => Command::new("ps")
            .args(["-o", "stat=", "-p", &pid.to_string()])
            .output()
            .ok()
            .and_then(|ps| String::from_utf8(ps.stdout).ok()),
    };
    state.is_none_or(|state| matches!(state.trim_start().chars().next(), None | Some('Z' | 'X')))
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// Reads 15 out of `postgres (PostgreSQL) 15.18 (Debian …)`.
fn major_version(said: &str) -> Option<u32> {
    said.split(|c: char| !c.is_ascii_digit()).find(|digits| !digits.is_empty())?.parse().ok()
}

fn data(folder: &DataFolder) -> PathBuf {
    folder.path().join("data")
}

fn log_path(folder: &DataFolder) -> PathBuf {
    folder.path().join("postgres.log")
}

fn log_end(folder: &DataFolder) -> String {
    last_lines(&fs::read_to_string(log_path(folder)).unwrap_or_default())
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

/// Removes a file or folder, which need not exist.
fn remove(path: &Path) -> Result<(), PostgresError> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    removed.or_else(
        |error| {
            if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(fault(path, error)) }
        },
    )
}

/// Waits until something holds, for a limited time; returns whether it does.
fn wait_until(limit: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + limit;
    while !holds() {
        if Instant::now() >= deadline {
            return false;
        }
        thread::sleep(POLL);
    }
    true
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, PostgresError> + Send + 'static,
) -> Result<T, PostgresError> {
    task::spawn_blocking(work).await.unwrap_or(Err(PostgresError::Interrupted))
}

fn output(command: &mut Command, program: &Path) -> Result<Output, PostgresError> {
    command.stdin(Stdio::null()).output().map_err(|error| program_fault(program, &error))
}

fn program_fault(program: &Path, fault: &(impl ToString + ?Sized)) -> PostgresError {
    PostgresError::Program { program: program.to_owned(), fault: fault.to_string() }
}

fn fault(path: &Path, source: io::Error) -> PostgresError {
    PostgresError::Io { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::super::folder::Account;
    use super::*;

    async fn started(folder: DataFolder) -> Postgres {
        let binaries = packages::postgres_binaries().await.unwrap();
        Postgres::start(&binaries, folder, &[("fsync", "off")]).await.unwrap()
    }

    async fn value(postgres: &Postgres, sql: &'static str) -> String {
        let options: PgConnectOptions = postgres.url("postgres").parse().unwrap();
        let mut connection = options.connect().await.unwrap();
        sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap()
    }

    async fn run(postgres: &Postgres, sql: &'static str) {
        let options: PgConnectOptions = postgres.url("postgres").parse().unwrap();
        sqlx::raw_sql(sql).execute(&mut options.connect().await.unwrap()).await.unwrap();
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
        let options: PgConnectOptions = wrong.parse().unwrap();
        let error = options.connect().await.unwrap_err();
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
        assert!(matches!(&error, PostgresError::Died(log) if log.contains("no_such_setting")), "{error}");
    }

    #[tokio::test]
    async fn every_way_to_leave_root_runs_a_server() {
        for account in Account::candidates().into_iter().filter(Account::works) {
            let postgres = started(DataFolder::temporary_of(account).unwrap()).await;
            run(&postgres, "create extension vector").await;
            let path = postgres.folder.path().to_owned();
            postgres.stop().await.unwrap();
            assert!(!path.exists());
        }
    }

    #[test]
    fn a_major_version_is_read_from_what_the_program_says() {
        assert_eq!(major_version("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"), Some(15));
        assert_eq!(major_version("postgres (PostgreSQL) 19beta1"), Some(19));
        assert_eq!(major_version(""), None);
    }
}
