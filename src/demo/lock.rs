//! A lock file: it is free again when its holder drops it or dies.

use std::fs::{File, OpenOptions, TryLockError};
use std::{io, os::unix::fs::OpenOptionsExt as _, path::Path};

/// Returns `None` if another process holds the lock.
pub(super) fn try_lock(path: &Path) -> io::Result<Option<File>> {
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}
