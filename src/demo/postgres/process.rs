//! Server processes: whether one runs on some data, and how it is ended.

use std::time::{Duration, Instant};
use std::{fs, path::Path, process::Command, thread};

use anyhow::bail;
use rustix::process::{Pid, Signal, kill_process};

use super::POLL_INTERVAL;

/// The time limit of an immediate shutdown; PostgreSQL itself kills its processes after 5 seconds.
pub(super) const IMMEDIATE_LIMIT: Duration = Duration::from_secs(10);

/// Ends the server that an earlier owner of the folder left running. We hold the folder's lock, so nobody uses it.
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

/// Ends a server that still runs, by force if necessary.
pub(super) fn end_by_signal(pid: u32, data: &Path) -> anyhow::Result<()> {
    for signal in [Signal::QUIT, Signal::KILL] {
        if !is_server(pid, data) {
            return Ok(());
        }
        if let Some(process) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
            // It may have ended by now.
            kill_process(process, signal).ok();
        }
        if wait_until(IMMEDIATE_LIMIT, || !is_server(pid, data)) {
            return Ok(());
        }
    }
    bail!("PostgreSQL (process {pid}) does not end")
}

/// Whether this process is a PostgreSQL on this data: not a zombie, nor another program that reuses the id.
pub(super) fn is_server(pid: u32, data: &Path) -> bool {
    let data = data.to_string_lossy();
    if let Ok(line) = fs::read(format!("/proc/{pid}/cmdline")) {
        let line = String::from_utf8_lossy(&line);
        return line.split('\0').any(|argument| argument == data) && line.contains("postgres");
    }
    let ps = Command::new("ps").args(["-o", "args=", "-p", &pid.to_string()]).output();
    ps.is_ok_and(|ps| String::from_utf8_lossy(&ps.stdout).contains(&format!("postgres -D {data}")))
}

/// Whether a process is gone or a zombie. Its command line would not tell: it is empty for a moment during `exec`.
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

/// Waits until a condition holds; returns whether it did within the limit.
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
