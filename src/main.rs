//! The program: parses arguments, runs the verb, exits with its code.

use std::{process::ExitCode, time::Duration};

use clap::Parser;
use shopkeeper::cli;

/// Fast for the vectors that are allocated and freed all the time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How long blocking threads, as of a feed, may take to finish at the end.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(1);

fn main() -> std::io::Result<ExitCode> {
    let arguments = cli::Arguments::parse();
    let runtime = tokio::runtime::Runtime::new()?;
    let code = runtime.block_on(cli::main(arguments));
    runtime.shutdown_timeout(SHUTDOWN_TIMEOUT);
    Ok(code)
}
