//! The command line: the service's own commands, and a client for people.

use std::error::Error as _;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};
use tokio::runtime::Runtime;

pub use self::problem::Problem;
use crate::config::ServeFlags;

mod access;
mod account;
mod backup;
mod bench;
mod choices;
mod client;
mod credential;
mod history;
mod invite;
mod involvement;
mod keys;
mod logs;
mod look_up;
mod manual;
mod operations;
mod output;
mod pages;
mod problem;
mod restore;
mod routing;
mod secret;
mod serve;
mod term;
mod token;
mod tour;
mod user;
mod verify;
mod views;

/// Rollbook, an event-sourced user directory: the service and its command line.
#[derive(Parser, Debug)]
#[command(
    name = "rollbook",
    version,
    max_term_width = 120,
    infer_long_args = false
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// See the main job done, step by step, on a fresh directory
    Tour(tour::TourFlags),
    /// Serve the directory over gRPC
    Serve(ServeFlags),
    /// Bring the tables of a database up to date, as their owner
    Migrate(serve::MigrateFlags),
    /// Make the master key or the keys for tokens, or rotate the master key
    Keys(keys::KeysArgs),
    /// Mint a token and print it
    Token(token::TokenFlags),
    /// Measure the service beside the stock libraries
    Bench(bench::BenchArgs),
    /// Manage accounts, their companies and their catalogues
    Account(account::AccountArgs),
    /// Manage the users of an account
    User(user::UserArgs),
    /// Check, change and reset passwords; second factors and sessions
    #[command(visible_alias = "password")]
    Credential(credential::CredentialArgs),
    /// Manage what users of other accounts may do in an account
    Access(access::AccessArgs),
    /// Invite people by e-mail address
    Invite(invite::InviteArgs),
    /// Report and list what still needs a user
    Involvement(involvement::InvolvementArgs),
    /// Ask who takes care of what
    Routing(routing::RoutingArgs),
    /// Read the log
    History(history::HistoryArgs),
    /// Check that a log, or an export of it, is what it was
    Verify(verify::VerifyFlags),
    /// Make a backup of the log of a running service
    Backup(backup::BackupFlags),
    /// Make a log of a backup, or an archive of an export
    Restore(restore::RestoreFlags),
    /// See how the log and the views are
    Operations(operations::OperationsArgs),
    /// Print completions for a shell
    Completions(manual::CompletionFlags),
    /// Write the manual pages
    Man(manual::ManFlags),
}

/// Does what the arguments of the process ask for.
///
/// Everything asynchronous is started in here, so that the binary holds no copy of it.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = Runtime::new()
        .map_err(|source| Problem::Failed {
            action: "start the runtime".to_owned(),
            source: Box::new(source),
        })
        .and_then(|runtime| runtime.block_on(cli.run()));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) if problem.is_closed_pipe() => ExitCode::SUCCESS,
        Err(problem) => {
            tell(&problem);
            match problem {
                // Told apart from a check that could not be made.
                Problem::NotTrue(_) => ExitCode::from(3),
                _ => ExitCode::FAILURE,
            }
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

impl Cli {
    /// Does what was asked.
    ///
    /// # Errors
    ///
    /// What went wrong, and what to do about it.
    async fn run(self) -> Result<(), Problem> {
        match self.command {
            Command::Tour(flags) => tour::run(flags).await,
            Command::Serve(flags) => serve::run(flags).await,
            Command::Migrate(flags) => serve::migrate(flags).await,
            Command::Keys(args) => keys::run(args).await,
            Command::Token(flags) => token::run(flags),
            Command::Bench(args) => bench::run(args).await,
            Command::Account(args) => account::run(args).await,
            Command::User(args) => user::run(args).await,
            Command::Credential(args) => credential::run(args).await,
            Command::Access(args) => access::run(args).await,
            Command::Invite(args) => invite::run(args).await,
            Command::Involvement(args) => involvement::run(args).await,
            Command::Routing(args) => routing::run(args).await,
            Command::History(args) => history::run(args).await,
            Command::Verify(flags) => verify::run(flags).await,
            Command::Backup(flags) => backup::run(flags).await,
            Command::Restore(flags) => restore::run(flags).await,
            Command::Operations(args) => operations::run(args).await,
            Command::Completions(flags) => manual::completions(&flags, &mut Self::command()),
            Command::Man(flags) => manual::man(&flags, Self::command()),
        }
    }
}

#[cfg(test)]
mod every_command;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_holds_together() {
        Cli::command().debug_assert();
    }
}
