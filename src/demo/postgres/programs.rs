//! PostgreSQL's programs: a copy that the account can run, and their version.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::{fs, io::ErrorKind};

use anyhow::{Context as _, ensure};

use crate::demo::{folder::DataFolder, packages};

/// Returns binaries that the folder's account can run: these, or a copy of their tree in the folder.
pub(super) fn runnable(binaries: &Path, folder: &DataFolder) -> anyhow::Result<PathBuf> {
    let binaries = binaries.canonicalize().with_context(|| binaries.display().to_string())?;
    let Some(tree) = packages::whole_tree(&binaries) else {
        return Ok(binaries);
    };
    if folder.account().can_run(&binaries.join("postgres")) {
        return Ok(binaries);
    }
    // The programs find libraries and shared files by relative paths, so the whole tree is copied.
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
pub(super) fn major_version(printed: &str) -> Option<u32> {
    printed.split(|c: char| !c.is_ascii_digit()).find(|digits| !digits.is_empty())?.parse().ok()
}

pub(super) fn output(command: &mut Command) -> anyhow::Result<Output> {
    let output = command.stdin(Stdio::null()).output();
    output.with_context(|| format!("cannot run {}", command.get_program().display()))
}

pub(super) fn remove(path: &Path) -> anyhow::Result<()> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error).context(path.display().to_string()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_major_version_is_read_from_what_the_program_prints() {
        assert_eq!(major_version("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"), Some(15));
        assert_eq!(major_version("postgres (PostgreSQL) 19beta1"), Some(19));
        assert_eq!(major_version(""), None);
    }
}
