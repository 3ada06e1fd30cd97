//! The binary `rollbook`.

use std::{error::Error as _, process::ExitCode};

use clap::Parser as _;
use rollbook_services::cli::{Cli, Problem};

#[tokio::main]
async fn main() -> ExitCode {
    match Cli::parse().run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) if problem.is_closed_pipe() => ExitCode::SUCCESS,
        Err(problem) => {
            tell(&problem);
            ExitCode::FAILURE
        }
    }
}

/// Tells what went wrong, and what led to it.
fn tell(problem: &Problem) {
    eprintln!("error: {problem}");
    let mut cause = problem.source();
    while let Some(source) = cause {
        eprintln!("  because {source}");
        cause = source.source();
    }
}
