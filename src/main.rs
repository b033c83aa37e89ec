//! Arguments, run, exit code.

use std::{process::ExitCode, time::Duration};

use clap::Parser;
use shopkeeper::cli;

/// Batches of vectors are made and freed all the time; this allocator is good at that.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How long what runs on threads of its own, as the reading of a feed, may take to end with everything else.
const LAST: Duration = Duration::from_secs(1);

fn main() -> std::io::Result<ExitCode> {
    let arguments = cli::Arguments::parse();
    let runtime = tokio::runtime::Runtime::new()?;
    let code = runtime.block_on(cli::main(arguments));
    runtime.shutdown_timeout(LAST);
    Ok(code)
}
