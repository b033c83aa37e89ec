//! Arguments, run, exit code.

use std::process::ExitCode;

use clap::Parser;
use shopkeeper::cli;

#[tokio::main]
async fn main() -> ExitCode {
    cli::main(cli::Arguments::parse()).await
}
