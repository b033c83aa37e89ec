//! Folders that a private PostgreSQL lives in.
//!
//! A claimed folder belongs to one process at a time: a lock in it is held until the value is dropped, also by
//! death. So several demos at once each have their own, and the holder of the lock may end whatever still runs in
//! the folder. A temporary folder goes when its value is dropped.
//!
//! When PostgreSQL runs under another account than ours, the folders are in `/var/tmp/shopkeeper`: root's home is
//! closed to others.

use std::{
    env,
    fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail, ensure};
use rustix::process::geteuid;

use crate::demo::account::Account;

/// How many folders of one name are tried.
const MAX_FOLDERS: u32 = 100;
/// Where the folders are when another account than ours must reach them.
const SHARED_PLACE: &str = "/var/tmp/shopkeeper";
/// A file system in memory, on Linux.
const MEMORY: &str = "/dev/shm";

/// A folder of our own for one PostgreSQL.
#[derive(Debug)]
pub struct DataFolder {
    path: PathBuf,
    account: Account,
    /// A temporary folder has none: nobody can claim it.
    lock: Option<File>,
}

impl DataFolder {
    /// Takes the first of `shopkeeper/{name}-1`, `{name}-2`, … below the user's data folder (`XDG_DATA_HOME`, else
    /// `~/.local/share`) that no running process holds, and creates it if need be. Its content stays.
    pub fn claim(name: &str) -> anyhow::Result<Self> {
        let account = Account::for_server()?;
        let place = if account.is_other() { shared_place()? } else { data_home()?.join("shopkeeper") };
        Self::claim_in(&place, name, account)
    }

    /// Creates a fresh folder in the system's temporary folder. The last user removes it, this value or the
    /// PostgreSQL that was started in it: so it goes also when this process is killed.
    pub fn temporary() -> anyhow::Result<Self> {
        Self::temporary_for(Account::for_server()?)
    }

    /// Like [`DataFolder::temporary`], but in memory where the system has room for so many bytes: files are made and
    /// removed there in a tenth of the time.
    pub fn in_memory(room: u64) -> anyhow::Result<Self> {
        let account = Account::for_server()?;
        let memory = Path::new(MEMORY);
        let has_room = rustix::fs::statvfs(memory).is_ok_and(|disk| disk.f_bavail * disk.f_frsize >= room);
        // Another account needs a copy of the programs in the folder, and containers run none that are in memory.
        if has_room && !account.is_other() {
            return Self::temporary_in(memory, account);
        }
        Self::temporary_for(account)
    }

    /// Returns the folder's path, without symbolic links in it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the folder is removed after use.
    pub(super) fn is_temporary(&self) -> bool {
        self.lock.is_none()
    }

    /// Returns the account that PostgreSQL runs under in this folder.
    pub(super) fn account(&self) -> &Account {
        &self.account
    }

    /// Takes the first folder of this name in `place` that no running process holds.
    pub(super) fn claim_in(place: &Path, name: &str, account: Account) -> anyhow::Result<Self> {
        for number in 1..=MAX_FOLDERS {
            let path = place.join(format!("{name}-{number}"));
            let created = DirBuilder::new().recursive(true).mode(0o700).create(&path);
            created.with_context(|| path.display().to_string())?;
            if let Some(lock) = lock(&path)? {
                return Self::new(&path, account, Some(lock));
            }
        }
        let first = place.join(format!("{name}-1"));
        bail!(
            "{} and its {MAX_FOLDERS} followers are all in use; stop some of their processes",
            first.display()
        )
    }

    /// Creates a temporary folder for a PostgreSQL that runs under this account.
    pub(super) fn temporary_for(account: Account) -> anyhow::Result<Self> {
        let place = if account.is_other() { shared_place()? } else { env::temp_dir() };
        Self::temporary_in(&place, account)
    }

    fn temporary_in(place: &Path, account: Account) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("shopkeeper-").tempdir_in(place);
        let folder = folder.with_context(|| place.display().to_string())?;
        let ours = Self::new(folder.path(), account, None)?;
        let _ours_to_remove = folder.keep();
        Ok(ours)
    }

    /// The folder itself stays ours, and another account may only pass through: so it cannot plant links in it.
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
            // Closing is not enough: a child that another thread is starting has a copy until it becomes its program.
            lock.unlock().ok();
        } else if let Err(error) = fs::remove_dir_all(&self.path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(folder = %self.path.display(), %error, "a temporary folder stays behind");
        }
    }
}

/// Takes the lock of a folder, or nothing when it is held.
fn lock(folder: &Path) -> anyhow::Result<Option<File>> {
    let path = folder.join("lock");
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
    let file = file.with_context(|| path.display().to_string())?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error).context(path.display().to_string()),
    }
}

fn data_home() -> anyhow::Result<PathBuf> {
    let home = absolute("XDG_DATA_HOME").or_else(|| Some(absolute("HOME")?.join(".local/share")));
    home.context("no folder for data is known: set XDG_DATA_HOME or HOME")
}

/// Reads a path from the environment. An empty or relative one counts as unset, as the XDG base directory specification
/// has it.
pub(super) fn absolute(variable: &str) -> Option<PathBuf> {
    env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute())
}

/// Creates the place that another account can reach, in a folder where everybody may write: hence the check.
fn shared_place() -> anyhow::Result<PathBuf> {
    let place = PathBuf::from(SHARED_PLACE);
    let prepare = || {
        match fs::create_dir(&place) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        fs::symlink_metadata(&place)
    };
    let metadata = prepare().context(SHARED_PLACE)?;
    ensure!(
        metadata.is_dir() && metadata.uid() == geteuid().as_raw(),
        "{SHARED_PLACE} does not belong to this user; remove it, or run this as an ordinary user"
    );
    fs::set_permissions(&place, Permissions::from_mode(0o711)).context(SHARED_PLACE)?;
    Ok(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_of_one_name_get_different_folders_and_a_dropped_one_is_reused() {
        let place = tempfile::tempdir().unwrap();
        let account = Account::for_server().unwrap();
        let claim = || DataFolder::claim_in(place.path(), "demo", account.clone()).unwrap();
        let (first, second) = (claim(), claim());
        assert!(first.path().ends_with("demo-1") && second.path().ends_with("demo-2"));
        fs::write(first.path().join("kept"), "").unwrap();
        drop(first);
        let again = claim();
        assert!(again.path().ends_with("demo-1") && again.path().join("kept").exists());
    }

    #[test]
    fn a_folder_is_closed_to_other_users() {
        let place = tempfile::tempdir().unwrap();
        let folder = DataFolder::claim_in(place.path(), "demo", Account::candidates().remove(0)).unwrap();
        assert_eq!(fs::metadata(folder.path()).unwrap().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_temporary_folder_goes_with_its_value() {
        let folder = DataFolder::temporary().unwrap();
        let path = folder.path().to_owned();
        assert!(path.is_dir());
        drop(folder);
        assert!(!path.exists());
    }
}
