//! The cluster: the data of a server, its password and its log.
//!
//! It is created under another name, then renamed, so that a cluster with the right name is always complete.

use std::fs::{self, DirBuilder, OpenOptions};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::{io::Write as _, process::Command};

use anyhow::{Context as _, Result, bail};

use super::process::end_leftover;
use super::programs::{major_version, output, remove, runnable};
use crate::demo::folder::DataFolder;

/// Ends a leftover server, and creates a cluster unless there is a usable one. Returns the program and the password.
pub(super) fn prepare(binaries: &Path, folder: &DataFolder) -> Result<(PathBuf, String)> {
    let binaries = runnable(binaries, folder)?;
    let program = binaries.join("postgres");
    let (data, fresh) = (data(folder), folder.path().join("data.new"));
    end_leftover(&data)?;
    let version = output(Command::new(&program).arg("--version"))?;
    let version = String::from_utf8_lossy(&version.stdout);
    let major = major_version(&version)
        .with_context(|| format!("cannot run {}: --version says “{version}”", program.display()))?;
    if let Ok(password) = fs::read_to_string(folder.path().join("password"))
        && fs::read_to_string(data.join("PG_VERSION")).is_ok_and(|found| found.trim() == major.to_string())
        && folder.account().owns(&data)
    {
        return Ok((program, password));
    }
    remove(&data)?;
    let password = format!("{:032x}", rand::random::<u128>());
    create_cluster(&binaries.join("initdb"), folder, &fresh, major, &password)?;
    fs::rename(&fresh, &data).with_context(|| data.display().to_string())?;
    Ok((program, password))
}

fn create_cluster(initdb: &Path, folder: &DataFolder, into: &Path, major: u32, password: &str) -> Result<()> {
    // Upper and lower case of all alphabets, the same on every system; before 17 only the system's library knows them.
    let locales: &[&[&str]] = if major >= 17 {
        &[&["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]]
    } else {
        &[&["--locale=C.UTF-8"], &["--locale=C"]]
    };
    let path = folder.path().join("password");
    remove(&path)?;
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
    file.and_then(|mut file| file.write_all(password.as_bytes()))
        .and_then(|()| folder.account().give(&path))
        .with_context(|| path.display().to_string())?;
    let mut errors = String::new();
    for locale in locales {
        remove(into)?;
        let created = DirBuilder::new().mode(0o700).create(into).and_then(|()| folder.account().give(into));
        created.with_context(|| into.display().to_string())?;
        let mut command = folder.account().command(initdb);
        command.arg("-D").arg(into).arg("--pwfile").arg(&path).args(*locale);
        command.args(["-U", "postgres", "-E", "UTF8", "-N", "-A", "password"]);
        if major >= 16 {
            // The password is random and long: hashing it 4096 times would only slow down each connection.
            command.args(["-c", "scram_iterations=1"]);
        }
        let run = output(&mut command)?;
        if run.status.success() {
            return Ok(());
        }
        errors = last_lines(&String::from_utf8_lossy(&run.stderr));
    }
    bail!("initdb failed:\n{errors}")
}

pub(super) fn data(folder: &DataFolder) -> PathBuf {
    folder.path().join("data")
}

pub(super) fn log_path(folder: &DataFolder) -> PathBuf {
    folder.path().join("postgres.log")
}

pub(super) fn log_end(folder: &DataFolder) -> String {
    last_lines(&fs::read_to_string(log_path(folder)).unwrap_or_default())
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}
