//! Arguments, run, exit code.

use std::process::ExitCode;

use clap::Parser;
use shopkeeper::cli;

/// Batches of vectors are made and freed all the time; this allocator is good at that.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    cli::main(cli::Arguments::parse()).await
}
