//! The shell script between us and the server, which ends the server when we end.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::{unix::fs::OpenOptionsExt as _, unix::process::CommandExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::{fs::OpenOptions, time::Duration};

use anyhow::{Context as _, bail};

use super::{
    cluster::{data, log_end, log_path},
    process::{IMMEDIATE_LIMIT, end_by_signal, wait_until},
};
use crate::demo::folder::DataFolder;

#[cfg(test)]
mod tests;

/// The time limit of a fast shutdown, which writes a checkpoint.
const FAST_LIMIT: Duration = Duration::from_secs(30);

/// Starts the server, prints its process id, and ends it when the input ends.
///
/// `$1` is a folder to remove afterwards, or empty; the rest is the server's command. A shell starts background
/// commands with SIGINT and SIGQUIT ignored until they install their own handlers. Until then SIGTERM ends the server;
/// afterwards the faster shutdown that follows overrides it. The shell itself must survive a service manager's SIGTERM
/// to all processes.
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

pub(super) struct Guardian {
    pub(super) script: Child,
    /// The script's input, which only we hold: Rust closes its pipes in every other child.
    pub(super) input: Option<ChildStdin>,
    pub(super) server: u32,
    pub(super) data: PathBuf,
}

impl Guardian {
    /// Starts the server and returns once its process id is known, before it accepts connections.
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
        // Its own group, so that Ctrl-C at the terminal reaches only us; `/`, so that it blocks no unmount.
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

    /// Shuts the server down in order and waits for it.
    pub(super) fn shut_down(&mut self) -> anyhow::Result<()> {
        if let Some(input) = &mut self.input {
            // If the script has ended, a signal ends the server.
            input.write_all(b"fast\n").ok();
        }
        self.end(FAST_LIMIT)
    }

    /// Ends the server and waits for it: at once, unless the script was asked for a fast shutdown.
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
