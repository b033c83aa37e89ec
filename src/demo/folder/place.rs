//! Where data folders are.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::{env, io, path::PathBuf};

use anyhow::{Context as _, ensure};
use rustix::process::geteuid;

use crate::demo::account::Account;

/// Where folders are when another account must reach them.
const SHARED_PLACE: &str = "/var/tmp/shopkeeper";

pub(super) fn for_account(account: &Account) -> anyhow::Result<PathBuf> {
    if account.is_other() { shared_place() } else { Ok(data_home()?.join("shopkeeper")) }
}

fn data_home() -> anyhow::Result<PathBuf> {
    let home = absolute("XDG_DATA_HOME").or_else(|| Some(absolute("HOME")?.join(".local/share")));
    home.context("no folder for data is known: set XDG_DATA_HOME or HOME")
}

/// Reads a path from the environment. An empty or relative one counts as unset, as in the XDG specification.
pub(in crate::demo) fn absolute(variable: &str) -> Option<PathBuf> {
    env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute())
}

/// Creates the place that another account can reach. Anyone can write to its parent, hence the check.
pub(super) fn shared_place() -> anyhow::Result<PathBuf> {
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
