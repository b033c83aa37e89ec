//! Disk space: SQL shows only the size of our tables; this host stores listings and the embedded stack's downloads.

use std::path::{Path, PathBuf};

use super::Checks;
use crate::config::Config;

/// A folder with fewer free bytes counts as full.
const MIN_FREE: u64 = 512 << 20;
const MEGABYTE: u64 = 1 << 20;

/// Checks the folders that this process writes to; `tables` is the size of our tables, in bytes.
pub(super) fn check(config: &Config, tables: i64, checks: &mut Checks) {
    let taken = tables.unsigned_abs() / MEGABYTE;
    let server =
        format!("our tables take {taken} MB of the server's disk, whose free space SQL does not show");
    let folders = folders(config);
    if folders.is_empty() {
        return checks.pass("disk", format!("{server}; nothing is kept on this host"));
    }
    let free = folders.iter().map(|folder| (folder.as_path(), free(folder)));
    let (ok, detail) = judge(&free.collect::<Vec<_>>());
    checks.add("disk", ok, format!("{server}; here {detail}"), "free some, or name another folder in TMPDIR");
}

fn folders(config: &Config) -> Vec<PathBuf> {
    let listings = (!config.sources.is_empty()).then(std::env::temp_dir);
    #[cfg(feature = "embedded")]
    let kept = crate::demo::packages::cache().ok().filter(|cache| cache.is_dir());
    #[cfg(not(feature = "embedded"))]
    let kept = None;
    listings.into_iter().chain(kept).collect()
}

fn free(folder: &Path) -> std::io::Result<u64> {
    let disk = rustix::fs::statvfs(folder)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// Whether every folder has room, and how much.
fn judge(folders: &[(&Path, std::io::Result<u64>)]) -> (bool, String) {
    let has_room =
        |(_, free): &(&Path, std::io::Result<u64>)| free.as_ref().is_ok_and(|free| *free >= MIN_FREE);
    let said = folders.iter().map(|(folder, free)| match free {
        Ok(free) => format!("{} MB are free in {}", free / MEGABYTE, folder.display()),
        Err(error) => format!("{} cannot be checked: {error}", folder.display()),
    });
    (folders.iter().all(has_room), said.collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_nearly_full_or_away_is_not_well() {
        let roomy = || (Path::new("/var/tmp"), Ok(MIN_FREE));
        assert_eq!(judge(&[roomy()]), (true, "512 MB are free in /var/tmp".to_owned()));
        let (ok, said) = judge(&[roomy(), (Path::new("/tmp"), Ok(MIN_FREE - 1))]);
        assert!(!ok && said.ends_with(", 511 MB are free in /tmp"), "{said}");
        let (ok, said) = judge(&[(Path::new("/nowhere"), free(Path::new("/nowhere")))]);
        assert!(!ok && said.starts_with("/nowhere cannot be checked: No such file"), "{said}");
    }
}
