//! `rollbook bench`: what the service does in a second, beside the stock libraries doing the same work.

use clap::{Args, Subcommand};

use super::problem::Problem;

mod commands;
mod import;
mod lists;
mod load;
mod long_lives;
mod ours;
mod passwords;
mod postgres;
mod rebuild;
mod replay;
mod report;
mod scratch;
mod seed;
mod stock;
mod supervisors;
mod verify;
mod watch;

/// Measures the service.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct BenchArgs {
    #[command(subcommand)]
    command: Option<BenchCommand>,
    #[command(flatten)]
    commands: commands::CommandsFlags,
}

#[derive(Subcommand, Debug)]
enum BenchCommand {
    /// Durable commands a second through gRPC, beside stock postgres-es and sqlite-es; the default
    Commands(commands::CommandsFlags),
    /// Rows a second of an import, without passwords
    Import(import::ImportFlags),
    /// Look-ups, lists and searches at many users, beside OpenLDAP and an indexed table in PostgreSQL
    Lists(lists::ListsFlags),
    /// Answers from the table that lists are measured beside
    #[command(hide = true)]
    Beside(lists::beside::BesideFlags),
    /// Events a second of a view that is made anew
    Rebuild(rebuild::RebuildFlags),
    /// Loading a user with a great many events, by a process that never commanded it
    LongLives(long_lives::LongLivesFlags),
    /// What hashing costs everybody else, and whether unknown users are answered otherwise than wrong passwords
    Passwords(passwords::PasswordsFlags),
    /// Events a second that an auditor reads, beside COPY of the same columns
    Replay(replay::ReplayFlags),
    /// Events a second that `rollbook verify` checks, of an export and of a service
    Verify(verify::VerifyFlags),
    /// How long it takes until watchers are told that sessions ended
    Watch(watch::WatchFlags),
    /// Fill a log with an account of realistic shape, through the event store; goes on where it was cut off
    Seed(seed::SeedFlags),
    /// How long it takes to give 10,000 users another supervisor in one commit
    Supervisors(supervisors::SupervisorsFlags),
}

/// Runs a measurement and prints its table.
pub async fn run(args: BenchArgs) -> Result<(), Problem> {
    match args.command {
        Some(BenchCommand::Commands(flags)) => commands::run(flags).await,
        Some(BenchCommand::Import(flags)) => import::run(flags).await,
        Some(BenchCommand::Lists(flags)) => lists::run(flags).await,
        Some(BenchCommand::Beside(flags)) => lists::beside::run(flags).await,
        Some(BenchCommand::Rebuild(flags)) => rebuild::run(flags).await,
        Some(BenchCommand::LongLives(flags)) => long_lives::run(flags).await,
        Some(BenchCommand::Passwords(flags)) => passwords::run(flags).await,
        Some(BenchCommand::Replay(flags)) => replay::run(flags).await,
        Some(BenchCommand::Verify(flags)) => verify::run(flags).await,
        Some(BenchCommand::Seed(flags)) => seed::run(flags).await,
        Some(BenchCommand::Watch(flags)) => watch::run(flags).await,
        Some(BenchCommand::Supervisors(flags)) => supervisors::run(flags).await,
        None => commands::run(args.commands).await,
    }
}
