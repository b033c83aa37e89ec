//! Folders that a private PostgreSQL lives in, and the account it runs under.
//!
//! A claimed folder belongs to one process at a time: a lock in it is held until the value is dropped, also by
//! death. So several demos at once each have their own, and whoever holds the lock may end whatever still runs in
//! the folder. A temporary folder goes when its value is dropped.
//!
//! PostgreSQL refuses to run as root. Root therefore runs it in a user namespace, where files keep their owner; where
//! that is not allowed (most containers), as `nobody`, and then the folders are in `/var/tmp/shopkeeper`, because
//! root's home is closed to others.

use std::{
    env,
    fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use rustix::process::{getegid, geteuid};
use thiserror::Error;

/// How many folders of one name are looked at before giving up.
const MOST_FOLDERS: u32 = 100;
/// Where the folders are when another account than ours must reach them.
const SHARED_PLACE: &str = "/var/tmp/shopkeeper";
/// A file system in memory, where there is one.
const MEMORY: &str = "/dev/shm";
/// Gives up root for an account, for systems without `setpriv`; the arguments are uid, gid and a command.
const LEAVE_ROOT: &str = "import os, sys\n\
    os.setgroups([]); os.setgid(int(sys.argv[2])); os.setuid(int(sys.argv[1])); os.execvp(sys.argv[3], sys.argv[3:])";

/// Why there is no folder for a private PostgreSQL.
#[derive(Debug, Error)]
pub enum FolderError {
    /// No variable says where data may be.
    #[error("no folder for data is known: set XDG_DATA_HOME or HOME")]
    NoHome,
    /// Every folder of this name belongs to a running process.
    #[error("{} and its {MOST_FOLDERS} followers are all in use; stop some of their processes", .0.display())]
    AllInUse(PathBuf),
    /// Somebody else made the folder that we would trust.
    #[error("{} does not belong to this user; remove it, or run this as an ordinary user", .0.display())]
    NotOurs(PathBuf),
    /// We are root, and found no way to run PostgreSQL as somebody else.
    #[error(
        "PostgreSQL refuses to run as root, and none of `unshare`, `setpriv` and `python3` can start it as `nobody`; \
        run this as an ordinary user"
    )]
    NoAccount,
    /// A file or folder could not be made.
    #[error("{}: {source}", .path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
}

/// A folder of our own for one PostgreSQL.
#[derive(Debug)]
pub struct DataFolder {
    path: PathBuf,
    account: Account,
    temporary: bool,
    /// Nobody can claim a temporary folder, so it has none.
    lock: Option<File>,
}

impl DataFolder {
    /// Takes the first of `shopkeeper/{name}-1`, `{name}-2`, … below the user's data folder (`XDG_DATA_HOME`, else
    /// `~/.local/share`) that no running process holds, and makes it if need be. What is in it stays.
    pub fn claim(name: &str) -> Result<Self, FolderError> {
        let account = Account::for_server()?;
        let place = if account.is_other() { shared_place()? } else { data_home()?.join("shopkeeper") };
        Self::claim_in(&place, name, account)
    }

    /// Makes a fresh folder in the system's temporary folder, which is removed after use: by whoever is last, this
    /// value or the PostgreSQL that was started in it, and so also when this process is killed.
    pub fn temporary() -> Result<Self, FolderError> {
        Self::temporary_of(Account::for_server()?)
    }

    /// Like [`DataFolder::temporary`], but in memory where the system has room for so many bytes: files are made and
    /// removed there in a tenth of the time.
    pub fn in_memory(room: u64) -> Result<Self, FolderError> {
        let account = Account::for_server()?;
        let memory = Path::new(MEMORY);
        let has_room = rustix::fs::statvfs(memory).is_ok_and(|disk| disk.f_bavail * disk.f_frsize >= room);
        // Another account needs a copy of the programs in the folder, and containers run none that are in memory.
        if has_room && !account.is_other() {
            return Self::temporary_in(memory, account);
        }
        Self::temporary_of(account)
    }

    /// Returns the folder's path, without symbolic links in it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the folder is removed after use.
    pub(super) fn is_temporary(&self) -> bool {
        self.temporary
    }

    /// Returns the account that PostgreSQL runs under in this folder.
    pub(super) fn account(&self) -> &Account {
        &self.account
    }

    /// Takes the first folder of this name in `place` that no running process holds.
    pub(super) fn claim_in(place: &Path, name: &str, account: Account) -> Result<Self, FolderError> {
        for number in 1..=MOST_FOLDERS {
            let path = place.join(format!("{name}-{number}"));
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&path)
                .map_err(|source| fault(&path, source))?;
            if let Some(lock) = lock(&path)? {
                return Self::owned(&path, account, Some(lock));
            }
        }
        Err(FolderError::AllInUse(place.join(format!("{name}-1"))))
    }

    /// Makes a temporary folder for a PostgreSQL that runs under this account.
    pub(super) fn temporary_of(account: Account) -> Result<Self, FolderError> {
        let place = if account.is_other() { shared_place()? } else { env::temp_dir() };
        Self::temporary_in(&place, account)
    }

    fn temporary_in(place: &Path, account: Account) -> Result<Self, FolderError> {
        let folder = tempfile::Builder::new().prefix("shopkeeper-").tempdir_in(place);
        let folder = folder.map_err(|source| fault(place, source))?;
        let owned = Self::owned(folder.path(), account, None)?;
        let _ours_to_remove = folder.keep();
        Ok(owned)
    }

    /// The folder itself stays ours, and another account may only pass through: so it cannot plant links in it.
    fn owned(path: &Path, account: Account, lock: Option<File>) -> Result<Self, FolderError> {
        let mode = if account.is_other() { 0o711 } else { 0o700 };
        fs::set_permissions(path, Permissions::from_mode(mode)).map_err(|source| fault(path, source))?;
        let path = path.canonicalize().map_err(|source| fault(path, source))?;
        Ok(Self { path, account, temporary: lock.is_none(), lock })
    }
}

impl Drop for DataFolder {
    fn drop(&mut self) {
        if let Some(lock) = &self.lock {
            // Closing is not enough: a child that another thread is starting has a copy until it becomes its program.
            lock.unlock().ok();
        }
        if self.temporary
            && let Err(error) = fs::remove_dir_all(&self.path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(folder = %self.path.display(), %error, "a temporary folder stays behind");
        }
    }
}

/// The account that PostgreSQL runs under.
#[derive(Debug, Clone)]
pub(super) struct Account {
    /// What comes before a command to run it under this account. It ends by `exec`, so that process ids are right.
    launcher: Vec<String>,
    /// User and group that own what PostgreSQL writes, as seen from outside.
    owner: (u32, u32),
}

impl Account {
    /// Returns our own account, or for root the first other way that works here; it is looked for once.
    pub(super) fn for_server() -> Result<Self, FolderError> {
        static FOUND: OnceLock<Option<Account>> = OnceLock::new();
        let find = || Self::candidates().into_iter().find(Self::works);
        FOUND.get_or_init(find).clone().ok_or(FolderError::NoAccount)
    }

    /// Lists the ways to run PostgreSQL, best first.
    pub(super) fn candidates() -> Vec<Self> {
        let ours = (geteuid().as_raw(), getegid().as_raw());
        if !geteuid().is_root() {
            return vec![Self { launcher: Vec::new(), owner: ours }];
        }
        // initdb wants its user to have a name, so the namespace shows us as `nobody`, whom every system knows.
        let nobody = (id("-u").unwrap_or(65534), id("-g").unwrap_or(65534));
        let (uid, gid) = (nobody.0.to_string(), nobody.1.to_string());
        let namespace =
            ["unshare", "--user", &format!("--map-user={uid}"), &format!("--map-group={gid}"), "--"];
        let privileges =
            ["setpriv", &format!("--reuid={uid}"), &format!("--regid={gid}"), "--clear-groups", "--"];
        let python = ["python3", "-c", LEAVE_ROOT, &uid, &gid];
        let way = |launcher: [&str; 5], owner| Self { launcher: launcher.map(str::to_owned).to_vec(), owner };
        vec![way(namespace, ours), way(privileges, nobody), way(python, nobody)]
    }

    /// Whether a command run this way is not root.
    pub(super) fn works(&self) -> bool {
        let output = self.command(Path::new("id")).arg("-u").output();
        output.is_ok_and(|output| output.status.success() && output.stdout.trim_ascii() != b"0")
    }

    /// Whether files that are ours only are closed to it.
    pub(super) fn is_other(&self) -> bool {
        self.owner.0 != geteuid().as_raw()
    }

    /// Returns what comes before a command.
    pub(super) fn launcher(&self) -> &[String] {
        &self.launcher
    }

    /// Returns a command that runs under this account, in the root folder and in the C locale.
    pub(super) fn command(&self, program: &Path) -> Command {
        let mut command = match self.launcher.split_first() {
            None => Command::new(program),
            Some((first, rest)) => {
                let mut command = Command::new(first);
                command.args(rest).arg(program);
                command
            }
        };
        command.current_dir("/").env("LC_ALL", "C");
        command
    }

    /// Makes a file or folder this account's.
    pub(super) fn give(&self, path: &Path) -> io::Result<()> {
        std::os::unix::fs::chown(path, Some(self.owner.0), Some(self.owner.1))
    }

    /// Whether a file or folder is this account's.
    pub(super) fn owns(&self, path: &Path) -> bool {
        fs::symlink_metadata(path).is_ok_and(|metadata| metadata.uid() == self.owner.0)
    }

    /// Whether it can run this program.
    pub(super) fn can_run(&self, program: &Path) -> bool {
        let open =
            |path: &Path, bits| fs::metadata(path).is_ok_and(|metadata| metadata.mode() & bits == bits);
        !self.is_other()
            || (open(program, 0o005) && program.ancestors().skip(1).all(|folder| open(folder, 0o001)))
    }
}

/// Takes the lock of a folder, or nothing when it is held.
fn lock(folder: &Path) -> Result<Option<File>, FolderError> {
    let path = folder.join("lock");
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
    let file = file.map_err(|source| fault(&path, source))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(source)) => Err(fault(&path, source)),
    }
}

fn data_home() -> Result<PathBuf, FolderError> {
    // An empty or relative path counts as unset, as the XDG base directory specification has it.
    let folder = |variable| env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    folder("XDG_DATA_HOME").or_else(|| Some(folder("HOME")?.join(".local/share"))).ok_or(FolderError::NoHome)
}

/// Makes the place that another account can reach, in a folder where everybody may write: hence the check.
fn shared_place() -> Result<PathBuf, FolderError> {
    let place = PathBuf::from(SHARED_PLACE);
    if let Err(source) = fs::create_dir(&place)
        && source.kind() != io::ErrorKind::AlreadyExists
    {
        return Err(fault(&place, source));
    }
    let metadata = fs::symlink_metadata(&place).map_err(|source| fault(&place, source))?;
    if !metadata.is_dir() || metadata.uid() != geteuid().as_raw() {
        return Err(FolderError::NotOurs(place));
    }
    fs::set_permissions(&place, Permissions::from_mode(0o711)).map_err(|source| fault(&place, source))?;
    Ok(place)
}

/// Asks for the user (`-u`) or group (`-g`) number of `nobody`.
fn id(option: &str) -> Option<u32> {
    let output = Command::new("id").args([option, "nobody"]).output().ok()?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}

fn fault(path: &Path, source: io::Error) -> FolderError {
    FolderError::Io { path: path.to_owned(), source }
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
