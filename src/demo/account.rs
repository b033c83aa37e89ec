//! The account that PostgreSQL runs under, because it refuses to run as root.
//!
//! Root runs it in a user namespace, which keeps files' owner, or as `nobody` where that is forbidden (containers).

use std::{fs, io, os::unix::fs::MetadataExt as _, path::Path, process::Command, sync::OnceLock};

use anyhow::Context as _;
use rustix::process::{getegid, geteuid};

/// Drops root privileges on systems without `setpriv`. Arguments: uid, gid, command.
const LEAVE_ROOT: &str = "import os, sys\n\
    os.setgroups([]); os.setgid(int(sys.argv[2])); os.setuid(int(sys.argv[1])); os.execvp(sys.argv[3], sys.argv[3:])";

/// A way to run PostgreSQL as a user other than root.
#[derive(Debug, Clone)]
pub(super) struct Account {
    /// The words before a command that runs under this account. They end in `exec`, so that process ids are right.
    launcher: Vec<String>,
    /// User and group that own what PostgreSQL writes, as seen from outside.
    owner: (u32, u32),
}

impl Account {
    /// Returns our own account, or for root the first alternative that works here. Looks for it once.
    pub(super) fn for_server() -> anyhow::Result<Self> {
        static ACCOUNT: OnceLock<Option<Account>> = OnceLock::new();
        let account = ACCOUNT.get_or_init(|| Self::candidates().into_iter().find(Self::works));
        account.clone().context(
            "PostgreSQL refuses to run as root, and none of `unshare`, `setpriv` and `python3` can start it as \
             `nobody`; run this as an ordinary user",
        )
    }

    /// Lists the ways to run PostgreSQL, best first.
    pub(super) fn candidates() -> Vec<Self> {
        let ours = (geteuid().as_raw(), getegid().as_raw());
        if !geteuid().is_root() {
            return vec![Self { launcher: Vec::new(), owner: ours }];
        }
        // initdb requires its user to have a name, so the namespace maps us to `nobody`, which every system has.
        let nobody = (nobody("-u").unwrap_or(65534), nobody("-g").unwrap_or(65534));
        let (uid, gid) = (nobody.0.to_string(), nobody.1.to_string());
        let namespace =
            ["unshare", "--user", &format!("--map-user={uid}"), &format!("--map-group={gid}"), "--"];
        let privileges =
            ["setpriv", &format!("--reuid={uid}"), &format!("--regid={gid}"), "--clear-groups", "--"];
        let python = ["python3", "-c", LEAVE_ROOT, &uid, &gid];
        let way = |launcher: [&str; 5], owner| Self { launcher: launcher.map(str::to_owned).to_vec(), owner };
        vec![way(namespace, ours), way(privileges, nobody), way(python, nobody)]
    }

    /// Whether a command run this way works and is not root.
    pub(super) fn works(&self) -> bool {
        let output = self.command(Path::new("id")).arg("-u").output();
        output.is_ok_and(|output| output.status.success() && output.stdout.trim_ascii() != b"0")
    }

    /// Whether it cannot read files that only we can read.
    pub(super) fn is_other(&self) -> bool {
        self.owner.0 != geteuid().as_raw()
    }

    pub(super) fn launcher(&self) -> &[String] {
        &self.launcher
    }

    /// Returns a command that runs under this account, in `/` and the C locale.
    pub(super) fn command(&self, program: &Path) -> Command {
        let mut words = self.launcher.iter().map(AsRef::as_ref).chain([program.as_os_str()]);
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words).current_dir("/").env("LC_ALL", "C");
        command
    }

    pub(super) fn give(&self, path: &Path) -> io::Result<()> {
        std::os::unix::fs::chown(path, Some(self.owner.0), Some(self.owner.1))
    }

    pub(super) fn owns(&self, path: &Path) -> bool {
        fs::symlink_metadata(path).is_ok_and(|metadata| metadata.uid() == self.owner.0)
    }

    pub(super) fn can_run(&self, program: &Path) -> bool {
        let open = |path: &Path, bits| fs::metadata(path).is_ok_and(|file| file.mode() & bits == bits);
        !self.is_other()
            || (open(program, 0o005) && program.ancestors().skip(1).all(|folder| open(folder, 0o001)))
    }
}

/// Looks up the user (`-u`) or group (`-g`) id of `nobody`.
fn nobody(option: &str) -> Option<u32> {
    let output = Command::new("id").args([option, "nobody"]).output().ok()?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}
