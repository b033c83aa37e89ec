//! An installed PostgreSQL, and whether it is suitable.

use std::path::{Path, PathBuf};
use std::{env, fs, process::Stdio};

use anyhow::bail;

use crate::demo::packages::matching;

/// The variable in which the operator names a bin folder.
const CHOSEN_BINARIES: &str = "SHOPKEEPER_PG_BIN";
const OLDEST_POSTGRES: u32 = 15;
/// The oldest suitable pgvector: the first with iterative index scans.
const OLDEST_VECTOR: [u32; 2] = [0, 8];

/// Returns the bin folder that the operator chose, else the first suitable one of the system.
pub(super) fn installed_binaries() -> anyhow::Result<Option<PathBuf>> {
    let Some(chosen) = env::var_os(CHOSEN_BINARIES).filter(|chosen| !chosen.is_empty()).map(PathBuf::from)
    else {
        return Ok(places().into_iter().find(|binaries| unfitness(binaries).is_none()));
    };
    if let Some(fault) = unfitness(&chosen) {
        bail!(
            "{CHOSEN_BINARIES}={}: {fault}; name the bin folder of a PostgreSQL 15 or newer with pgvector 0.8 or \
             newer, or unset it to have one downloaded",
            chosen.display()
        );
    }
    Ok(Some(chosen))
}

/// Lists the usual bin folders: what `pg_config` says, then newer before older versions.
fn places() -> Vec<PathBuf> {
    let configured = first_line(Path::new("pg_config"), "--bindir");
    let mut places: Vec<PathBuf> = configured.map(PathBuf::from).into_iter().collect();
    let families = [
        ("/usr/lib/postgresql", ""),
        ("/usr", "pgsql-"),
        ("/opt/homebrew/opt", "postgresql"),
        ("/usr/local/opt", "postgresql"),
    ];
    for (parent, prefix) in families {
        let mut versions = matching(Path::new(parent), prefix, "");
        versions.sort_by_key(|path| std::cmp::Reverse(numbers(&path.to_string_lossy())));
        places.extend(versions.into_iter().map(|version| version.join("bin")));
    }
    places.extend(["/usr/local/pgsql/bin", "/usr/bin"].map(PathBuf::from));
    places
}

/// Returns why the programs in this folder are unsuitable, or `None`.
pub(super) fn unfitness(binaries: &Path) -> Option<String> {
    let mut programs = ["postgres", "initdb"].into_iter();
    if let Some(missing) = programs.find(|program| !binaries.join(program).is_file()) {
        return Some(format!("there is no `{missing}` in it"));
    }
    let version = first_line(&binaries.join("postgres"), "--version").unwrap_or_default();
    if numbers(&version).first().is_none_or(|major| *major < OLDEST_POSTGRES) {
        return Some(format!("`postgres --version` says “{version}”"));
    }
    let Some(vector) = vector_version(binaries) else {
        return Some("it offers no pgvector (the extension `vector`)".to_owned());
    };
    (numbers(&vector) < OLDEST_VECTOR.to_vec()).then(|| format!("its pgvector is {vector}"))
}

/// Returns the version that `create extension vector` would install.
fn vector_version(binaries: &Path) -> Option<String> {
    // Some systems ship pg_config in a separate developer package; then the usual layouts are tried.
    let configured = first_line(&binaries.join("pg_config"), "--sharedir").map(PathBuf::from);
    let prefix = binaries.parent()?;
    let debian = prefix.file_name().map(|version| Path::new("/usr/share/postgresql").join(version));
    let usual = ["share", "share/postgresql", "share/pgsql"].map(|folder| prefix.join(folder));
    let mut shares = configured.into_iter().chain(usual).chain(debian);
    let control = shares.find_map(|share| fs::read_to_string(share.join("extension/vector.control")).ok())?;
    let line = control.lines().find(|line| line.trim_start().starts_with("default_version"))?;
    Some(line.split('\'').nth(1)?.to_owned())
}

fn first_line(program: &Path, option: &str) -> Option<String> {
    let output = std::process::Command::new(program).arg(option).stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.lines().next().map(str::to_owned).filter(|_| output.status.success())
}

/// Returns the numbers in a text, in order: `0.8.6` is 0, 8, 6.
fn numbers(text: &str) -> Vec<u32> {
    text.split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_system_postgres_needs_programs_a_version_and_a_pgvector_new_enough() {
        let root = tempfile::tempdir().unwrap();
        let (binaries, extension) = (root.path().join("bin"), root.path().join("share/extension"));
        fs::create_dir_all(&binaries).unwrap();
        fs::create_dir_all(&extension).unwrap();
        assert!(unfitness(&binaries).unwrap().contains("no `postgres`"));
        let program = |name: &str, line: &str| {
            fs::write(binaries.join(name), format!("#!/bin/sh\necho '{line}'\n")).unwrap();
            fs::set_permissions(binaries.join(name), fs::Permissions::from_mode(0o755)).unwrap();
        };
        program("initdb", "");
        program("postgres", "postgres (PostgreSQL) 14.9");
        assert!(unfitness(&binaries).unwrap().contains("14.9"));
        program("postgres", "postgres (PostgreSQL) 16.2 (Debian 16.2-1)");
        assert!(unfitness(&binaries).unwrap().contains("no pgvector"));
        fs::write(extension.join("vector.control"), "comment = 'x'\ndefault_version = '0.7.4'\n").unwrap();
        assert!(unfitness(&binaries).unwrap().contains("0.7.4"));
        fs::write(extension.join("vector.control"), "default_version = '0.10.0'\n").unwrap();
        assert_eq!(unfitness(&binaries), None);
    }

    #[test]
    fn versions_compare_as_numbers() {
        assert!(numbers("0.10.0") > numbers("0.8.6") && numbers("0.8") >= OLDEST_VECTOR.to_vec());
        assert_eq!(numbers("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)")[0], 15);
    }
}
