//! Runs the system's Python.

use std::process::{Output, Stdio};
use std::{ffi::OsStr, io, path::Path, time::Duration};

use tokio::{process, time};

use super::error::{WheelError, fault};

/// Runs Python in `folder`, so that it cannot import modules from the working directory.
pub(super) async fn run(
    python: &OsStr,
    arguments: &[&str],
    folder: &Path,
    limit: Duration,
) -> Result<Output, WheelError> {
    let mut command = process::Command::new(python);
    command.args(arguments).current_dir(folder).stdin(Stdio::null()).kill_on_drop(true);
    // An operator's rule to install into virtual environments only does not concern this download.
    command.env("PIP_REQUIRE_VIRTUALENV", "0");
    let output = time::timeout(limit, command.output()).await;
    let output = output
        .unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, format!("no end after {limit:?}"))));
    output.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => WheelError::PythonMissing(python.to_string_lossy().into_owned()),
        _ => fault(Path::new(python))(error),
    })
}
