//! `completions` and `man`: files that packages install beside the program.

use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{Arguments, output};

#[derive(Debug, Args)]
pub(super) struct Completions {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

#[derive(Debug, Args)]
pub(super) struct Man {
    /// The folder for the pages, one per verb; by default the first page is printed
    folder: Option<PathBuf>,
}

pub(super) fn completions(arguments: &Completions) -> anyhow::Result<()> {
    let mut text = Vec::new();
    clap_complete::generate(arguments.shell, &mut Arguments::command(), "shopkeeper", &mut text);
    print(&text)
}

fn print(text: &[u8]) -> anyhow::Result<()> {
    output::line(std::str::from_utf8(text)?.trim_end());
    Ok(())
}

pub(super) fn man(arguments: &Man) -> anyhow::Result<()> {
    let Some(folder) = &arguments.folder else {
        let mut text = Vec::new();
        clap_mangen::Man::new(Arguments::command()).render(&mut text)?;
        return print(&text);
    };
    std::fs::create_dir_all(folder)
        .and_then(|()| clap_mangen::generate_to(Arguments::command(), folder))
        .with_context(|| format!("the pages cannot be written to {}", folder.display()))
}
