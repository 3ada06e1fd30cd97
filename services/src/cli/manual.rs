//! What shells and readers of manuals want to know of the command line, made from the very definition that parses it.

use std::io::{self, Write as _};
use std::path::PathBuf;

use clap::{Args, Command};
use clap_complete::Shell;

use super::problem::Problem;

/// Which completions.
#[derive(Args, Debug)]
pub struct CompletionFlags {
    /// The shell, such as `bash`: `rollbook completions bash > /etc/bash_completion.d/rollbook`
    shell: Shell,
}

/// Where the manual pages go.
#[derive(Args, Debug)]
pub struct ManFlags {
    /// An existing directory that gets a page for each command, such as `/usr/local/share/man/man1`; without it the page
    /// of `rollbook` itself is printed
    directory: Option<PathBuf>,
}

/// Prints completions.
pub fn completions(flags: &CompletionFlags, command: &mut Command) -> Result<(), Problem> {
    let mut script = Vec::new();
    clap_complete::generate(flags.shell, command, "rollbook", &mut script);
    let written = io::stdout().write_all(&script);
    written.map_err(|source| Problem::failed("print the completions", source))
}

/// Writes the manual pages, or prints the first.
pub fn man(flags: &ManFlags, command: Command) -> Result<(), Problem> {
    let written = match &flags.directory {
        Some(directory) => clap_mangen::generate_to(command, directory),
        None => clap_mangen::Man::new(command).render(&mut io::stdout()),
    };
    written.map_err(|source| Problem::failed("write the manual pages", source))
}
