//! The files that a server needs before it starts: programs that its account can run, and a cluster.
//!
//! The cluster is made beside its place and renamed into it, so that under its name it is complete.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use anyhow::{Context as _, bail, ensure};

use crate::demo::{folder::DataFolder, packages, postgres::guardian::end_leftover};

/// Makes a folder ready for a start: no server in it, and a cluster. Returns the server program and the password.
pub(super) fn prepare(binaries: &Path, folder: &DataFolder) -> anyhow::Result<(PathBuf, String)> {
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

fn create_cluster(
    initdb: &Path,
    folder: &DataFolder,
    fresh: &Path,
    major: u32,
    password: &str,
) -> anyhow::Result<()> {
    // Case and classes of all alphabets, the same on every system; before 17 only the system's library has them.
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
        remove(fresh)?;
        let created = DirBuilder::new().mode(0o700).create(fresh).and_then(|()| folder.account().give(fresh));
        created.with_context(|| fresh.display().to_string())?;
        let mut command = folder.account().command(initdb);
        command.arg("-D").arg(fresh).arg("--pwfile").arg(&path).args(*locale);
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

/// Returns binaries that the folder's account can run: the given ones, or a copy of their tree in the folder.
fn runnable(binaries: &Path, folder: &DataFolder) -> anyhow::Result<PathBuf> {
    let binaries = binaries.canonicalize().with_context(|| binaries.display().to_string())?;
    let Some(tree) = packages::whole_tree(&binaries) else {
        return Ok(binaries);
    };
    if folder.account().can_run(&binaries.join("postgres")) {
        return Ok(binaries);
    }
    // Libraries and shared files are found relative to the programs: the tree stays whole.
    let copy = folder.path().join("server");
    remove(&copy)?;
    let (mut cp, mut chmod) = (Command::new("cp"), Command::new("chmod"));
    for command in [cp.arg("-RL").arg(tree).arg(&copy), chmod.args(["-R", "a+rX"]).arg(&copy)] {
        let run = output(command)?;
        ensure!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    }
    Ok(copy.join(binaries.strip_prefix(tree)?))
}

/// Reads 15 out of `postgres (PostgreSQL) 15.18 (Debian …)`.
fn major_version(said: &str) -> Option<u32> {
    said.split(|c: char| !c.is_ascii_digit()).find(|digits| !digits.is_empty())?.parse().ok()
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

/// Removes a file or folder, which need not exist.
fn remove(path: &Path) -> anyhow::Result<()> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).context(path.display().to_string())
        }
        _ => Ok(()),
    }
}

fn output(command: &mut Command) -> anyhow::Result<Output> {
    let output = command.stdin(Stdio::null()).output();
    output.with_context(|| format!("cannot run {}", command.get_program().display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_major_version_is_read_from_what_the_program_says() {
        assert_eq!(major_version("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"), Some(15));
        assert_eq!(major_version("postgres (PostgreSQL) 19beta1"), Some(19));
        assert_eq!(major_version(""), None);
    }
}
