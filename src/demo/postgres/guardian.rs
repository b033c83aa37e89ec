//! The shell script that stands between us and the server, so that the server ends when we do.
//!
//! A server that its script or an earlier owner of the folder left is found by its process id and its data, and ended by
//! signals.

use std::{
    fs::{self, OpenOptions},
    io::{BufRead as _, BufReader, Write as _},
    os::unix::{fs::OpenOptionsExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::demo::{
    folder::DataFolder,
    postgres::{
        POLL_INTERVAL,
        cluster::{data, log_end, log_path},
    },
};

/// Longest time for a shutdown in good order, which writes a checkpoint.
const FAST_LIMIT: Duration = Duration::from_secs(30);
/// Longest time for an immediate shutdown; PostgreSQL itself kills its processes after 5 seconds.
pub(super) const IMMEDIATE_LIMIT: Duration = Duration::from_secs(10);

/// Starts the server, prints its process id, and ends it when the input ends.
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

/// The script that ends the server when we end.
pub(super) struct Guardian {
    pub(super) script: Child,
    /// The script reads from it; only we hold it, since Rust's pipes are closed in every other child.
    pub(super) input: Option<ChildStdin>,
    pub(super) server: u32,
    pub(super) data: PathBuf,
}

impl Guardian {
    /// Starts the server and learns its process id, but does not wait until it answers.
    pub(super) fn spawn(
        program: &Path,
        folder: &DataFolder,
        port: u16,
        settings: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        let (path, data) = (log_path(folder), data(folder));
        let log = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path);
        let log = log.with_context(|| path.display().to_string())?;
        let temporary = if folder.is_temporary() { folder.path() } else { Path::new("") };
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(GUARDIAN).arg("guardian").arg(temporary);
        command.args(folder.account().launcher()).arg(program);
        command.arg("-D").arg(&data).arg("-p").arg(port.to_string());
        command.args(["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="]);
        for (name, value) in settings {
            command.arg("-c").arg(format!("{name}={value}"));
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
        // A group of its own: Ctrl-C at the terminal reaches only us. `/`: nothing is kept from being unmounted.
        command.process_group(0).current_dir("/").env("LC_ALL", "C");
        let mut script = command.spawn().context("cannot run /bin/sh")?;
        let input = script.stdin.take();
        let mut line = String::new();
        if let Some(output) = script.stdout.take() {
            BufReader::new(output).read_line(&mut line)?;
        }
        let Ok(server) = line.trim().parse() else {
            bail!("PostgreSQL ended while starting; its log said last:\n{}", log_end(folder));
        };
        Ok(Self { script, input, server, data })
    }

    /// Ends the server in good order and waits for it.
    pub(super) fn shut_down(&mut self) -> anyhow::Result<()> {
        if let Some(input) = &mut self.input {
            // A script that has ended cannot be told; the server is then ended by a signal.
            input.write_all(b"fast\n").ok();
        }
        self.end(FAST_LIMIT)
    }

    /// Ends the server and waits for it: at once, unless the script was told otherwise.
    fn end(&mut self, limit: Duration) -> anyhow::Result<()> {
        drop(self.input.take());
        wait_until(limit, || self.script_ended());
        end_by_signal(self.server, &self.data)?;
        wait_until(IMMEDIATE_LIMIT, || self.script_ended());
        Ok(())
    }

    pub(super) fn script_ended(&mut self) -> bool {
        !matches!(self.script.try_wait(), Ok(None))
    }
}

impl Drop for Guardian {
    fn drop(&mut self) {
        if let Err(error) = self.end(IMMEDIATE_LIMIT) {
            tracing::warn!(%error, "a private PostgreSQL stays behind");
        }
    }
}

/// Ends a server that an earlier owner of the folder left. Nobody else uses it: we hold the folder's lock.
pub(super) fn end_leftover(data: &Path) -> anyhow::Result<()> {
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
fn end_by_signal(pid: u32, data: &Path) -> anyhow::Result<()> {
    for signal in [Signal::QUIT, Signal::KILL] {
        if !is_server(pid, data) {
            return Ok(());
        }
        if let Some(process) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
            // It may have ended meanwhile.
            kill_process(process, signal).ok();
        }
        if wait_until(IMMEDIATE_LIMIT, || !is_server(pid, data)) {
            return Ok(());
        }
    }
    bail!("PostgreSQL (process {pid}) does not end")
}

/// Whether this process runs a PostgreSQL on this data; a number that another program got meanwhile does not count,
/// nor does a process that has ended but whose parent has not looked.
pub(super) fn is_server(pid: u32, data: &Path) -> bool {
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
pub(super) fn has_ended(pid: u32) -> bool {
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

/// Waits until something holds, for a limited time; returns whether it does.
pub(super) fn wait_until(limit: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + limit;
    while !holds() {
        if Instant::now() >= deadline {
            return false;
        }
        thread::sleep(POLL_INTERVAL);
    }
    true
}
