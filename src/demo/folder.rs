//! The folder of a private PostgreSQL.
//!
//! A claimed folder belongs to one process at a time: the process holds a lock in it until the value is dropped or the
//! process dies. So concurrent demos each have their own, and the holder may end whatever still runs in the folder. A
//! temporary folder is removed when its value is dropped.
//!
//! If PostgreSQL runs under another account, the folders are in `/var/tmp/shopkeeper`: root's home is closed to others.

use std::fs::{self, DirBuilder, File, Permissions};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::{env, io};

use anyhow::{Context as _, bail};

use super::{account::Account, lock::try_lock};

mod place;
#[cfg(test)]
mod tests;

pub(super) use place::absolute;

const MAX_FOLDERS: u32 = 100;
const MEMORY: &str = "/dev/shm";

/// A folder of ours for one PostgreSQL.
#[derive(Debug)]
pub struct DataFolder {
    path: PathBuf,
    account: Account,
    /// `None` for a temporary folder, which cannot be claimed.
    lock: Option<File>,
}

impl DataFolder {
    /// Claims the first of `shopkeeper/{name}-1`, `{name}-2`, … in the user's data folder (`XDG_DATA_HOME`, else
    /// `~/.local/share`) that no running process holds. Creates it if necessary, and keeps its contents.
    pub fn claim(name: &str) -> anyhow::Result<Self> {
        let account = Account::for_server()?;
        Self::claim_in(&place::for_account(&account)?, name, account)
    }

    /// Creates a folder in the system's temporary folder; its PostgreSQL removes it too, if this process is killed.
    pub fn temporary() -> anyhow::Result<Self> {
        Self::temporary_for(Account::for_server()?)
    }

    /// Like [`DataFolder::temporary`], but in memory, ten times as fast, if it has room for this many bytes.
    pub fn in_memory(room: u64) -> anyhow::Result<Self> {
        let account = Account::for_server()?;
        let memory = Path::new(MEMORY);
        let has_room = rustix::fs::statvfs(memory).is_ok_and(|disk| disk.f_bavail * disk.f_frsize >= room);
        // Another account needs a copy of the programs in the folder, and containers run none from memory.
        if has_room && !account.is_other() {
            return Self::temporary_in(memory, account);
        }
        Self::temporary_for(account)
    }

    /// Returns the canonical path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn is_temporary(&self) -> bool {
        self.lock.is_none()
    }

    /// The account that PostgreSQL runs under in this folder.
    pub(super) fn account(&self) -> &Account {
        &self.account
    }

    /// Takes the first folder of this name in `place` that no running process holds.
    pub(super) fn claim_in(place: &Path, name: &str, account: Account) -> anyhow::Result<Self> {
        for number in 1..=MAX_FOLDERS {
            let path = place.join(format!("{name}-{number}"));
            let created = DirBuilder::new().recursive(true).mode(0o700).create(&path);
            created.with_context(|| path.display().to_string())?;
            let lock = try_lock(&path.join("lock")).with_context(|| path.display().to_string())?;
            if let Some(lock) = lock {
                return Self::new(&path, account, Some(lock));
            }
        }
        let first = place.join(format!("{name}-1"));
        bail!(
            "{} and its {MAX_FOLDERS} followers are all in use; stop some of their processes",
            first.display()
        )
    }

    pub(super) fn temporary_for(account: Account) -> anyhow::Result<Self> {
        let place = if account.is_other() { place::shared_place()? } else { env::temp_dir() };
        Self::temporary_in(&place, account)
    }

    fn temporary_in(place: &Path, account: Account) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("shopkeeper-").tempdir_in(place);
        let folder = folder.with_context(|| place.display().to_string())?;
        let ours = Self::new(folder.path(), account, None)?;
        let _ours_to_remove = folder.keep();
        Ok(ours)
    }

    /// The folder stays ours: another account may only traverse it, and so cannot plant links in it.
    fn new(path: &Path, account: Account, lock: Option<File>) -> anyhow::Result<Self> {
        let mode = if account.is_other() { 0o711 } else { 0o700 };
        let path = fs::set_permissions(path, Permissions::from_mode(mode))
            .and_then(|()| path.canonicalize())
            .with_context(|| path.display().to_string())?;
        Ok(Self { path, account, lock })
    }
}

impl Drop for DataFolder {
    fn drop(&mut self) {
        if let Some(lock) = &self.lock {
            // Closing is not enough: a child that another thread is starting holds a copy until it calls `exec`.
            lock.unlock().ok();
        } else if let Err(error) = fs::remove_dir_all(&self.path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(folder = %self.path.display(), %error, "a temporary folder stays behind");
        }
    }
}
