//! Writes the manual pages and shell completions into a folder: `cargo run --example manual -- FOLDER`.
//!
//! They come from the command line's own definition, and are made here so that the program does not carry them about.

use std::path::Path;
use std::{env, fs, io};

use clap_complete::{Shell, generate_to};

fn main() -> io::Result<()> {
    let folder = env::args_os().nth(1).ok_or_else(|| io::Error::other("usage: manual FOLDER"))?;
    write(Path::new(&folder))
}

/// One page a command, and completions for bash, fish and zsh.
pub(crate) fn write(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    clap_mangen::generate_to(ramand::cli::command(), folder)?;
    for shell in [Shell::Bash, Shell::Fish, Shell::Zsh] {
        generate_to(shell, &mut ramand::cli::command(), "ramand", folder)?;
    }
    Ok(())
}
