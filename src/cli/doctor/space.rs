//! Room on disks: of the server's, SQL says only what we take of it; on this host are listings that are being read, and
//! what the embedded default keeps.

use std::path::{Path, PathBuf};

use super::Checks;
use crate::config::Config;

/// With less a folder is as good as full, in bytes.
const LEAST: u64 = 512 << 20;
/// For people.
const MEGABYTE: u64 = 1 << 20;

/// Looks at the folders that this process writes to; `ours` is what our tables take, in bytes.
pub(super) fn look(config: &Config, ours: i64, checks: &mut Checks) {
    let taken = ours.unsigned_abs() / MEGABYTE;
    let server =
        format!("our tables take {taken} MB of the server's disk, whose free space SQL does not say");
    let folders = folders(config);
    if folders.is_empty() {
        return checks.add("disk", true, format!("{server}; nothing is kept on this host"), "");
    }
    let free = folders.iter().map(|folder| (folder.as_path(), free(folder)));
    let (ok, seen) = judged(&free.collect::<Vec<_>>());
    checks.add("disk", ok, format!("{server}; here {seen}"), "free some, or name another folder in TMPDIR");
}

/// Where this process writes: listings while they are read, and the downloads of the embedded default.
fn folders(config: &Config) -> Vec<PathBuf> {
    let listings = (!config.sources.is_empty()).then(std::env::temp_dir);
    #[cfg(feature = "embedded")]
    let kept = crate::demo::packages::cache().ok().filter(|cache| cache.is_dir());
    #[cfg(not(feature = "embedded"))]
    let kept = None;
    listings.into_iter().chain(kept).collect()
}

/// What is free in a folder, in bytes.
fn free(folder: &Path) -> std::io::Result<u64> {
    let seen = rustix::fs::statvfs(folder)?;
    Ok(seen.f_bavail.saturating_mul(seen.f_frsize))
}

/// Whether there is room in each folder, and how much.
fn judged(folders: &[(&Path, std::io::Result<u64>)]) -> (bool, String) {
    let has_room = |(_, free): &(&Path, std::io::Result<u64>)| free.as_ref().is_ok_and(|free| *free >= LEAST);
    let said = folders.iter().map(|(folder, free)| match free {
        Ok(free) => format!("{} MB are free in {}", free / MEGABYTE, folder.display()),
        Err(error) => format!("{} cannot be looked at: {error}", folder.display()),
    });
    (folders.iter().all(has_room), said.collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_nearly_full_or_away_is_not_well() {
        let roomy = || (Path::new("/var/tmp"), Ok(LEAST));
        assert_eq!(judged(&[roomy()]), (true, "512 MB are free in /var/tmp".to_owned()));
        let (ok, said) = judged(&[roomy(), (Path::new("/tmp"), Ok(LEAST - 1))]);
        assert!(!ok && said.ends_with(", 511 MB are free in /tmp"), "{said}");
        let (ok, said) = judged(&[(Path::new("/nowhere"), free(Path::new("/nowhere")))]);
        assert!(!ok && said.starts_with("/nowhere cannot be looked at: No such file"), "{said}");
    }
}
