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

use crate::demo::{
    folder::DataFolder,
    packages,
    postgres::{PostgresError, fault, guardian::end_leftover, program_fault},
};

/// Makes a folder ready for a start: no server in it, and a cluster. Returns the server program and the password.
pub(super) fn prepare(binaries: &Path, folder: &DataFolder) -> Result<(PathBuf, String), PostgresError> {
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
        if major >= 16 {
            // The password is random and long: to hash it 4096 times would only slow down each connection.
            command.args(["-c", "scram_iterations=1"]);
        }
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
fn remove(path: &Path) -> Result<(), PostgresError> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    removed.or_else(
        |error| {
            if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(fault(path, error)) }
        },
    )
}

fn output(command: &mut Command, program: &Path) -> Result<Output, PostgresError> {
    command.stdin(Stdio::null()).output().map_err(|error| program_fault(program, &error))
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
