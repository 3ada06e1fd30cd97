//! `rollbook bench seed`: fills a log with an account of realistic shape, so that lists, rebuilds and checks can be tried at size.
//!
//! Everything goes the way of any command: decided by the domain, sealed, with its claims, in commits of thousands of events.

mod dice;
mod names;
mod settling;
mod town;

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use rollbook_aggregates::values::AccountId;

pub use self::settling::{Settled, settle};
pub use self::town::Town;
use crate::{
    cli::{logs, output::print, problem::Problem, serve},
    config::{LogFormat, Settings, StoreFlags},
    server::{self, Store},
};

/// Flags of `bench seed`.
#[derive(Args, Debug)]
pub struct SeedFlags {
    #[command(flatten)]
    store: StoreFlags,
    /// Bring the tables of the database up to date first, as their owner
    #[arg(long)]
    migrate: bool,
    /// Write as the owner of the tables, who could undo what protects the log; for development
    #[arg(long)]
    allow_owner: bool,
    /// The account to make, or to go on with
    #[arg(long, value_name = "ACCOUNT", default_value = "seeded", value_parser = AccountId::parse)]
    account: AccountId,
    /// How many users the account is to have
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    users: u64,
    /// About how many events each user is to have
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    events: u32,
    /// What names, companies and lives follow from
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
}

/// Makes the users that are not there yet, and prints how fast.
pub async fn run(flags: SeedFlags) -> Result<(), Problem> {
    let settings = Settings::read_store(&flags.store)?;
    logs::begin("warn", LogFormat::Text)?;
    let mut options = serve::options(&settings)?;
    if let Store::Postgres {
        allow_owner,
        migrate,
        ..
    } = &mut options.store
    {
        (*allow_owner, *migrate) = (flags.allow_owner, flags.migrate);
    }
    let log = server::open(&options)
        .await
        .map_err(|source| Problem::failed("open the log", source))?;
    let town = Town {
        account: flags.account,
        seed: flags.seed,
        events: flags.events,
    };
    let before = log.head().await;
    let before = before.map_err(|source| Problem::failed("read the log", source))?;
    let (progress, begun) = (bar(flags.users), Instant::now());
    let settled = settle(&log, &town, flags.users, &progress).await;
    let took = begun.elapsed();
    progress.finish_and_clear();
    log.close().await;
    let settled = settled?;
    let events = settled.position.saturating_sub(before);
    print(&told(&town, flags.users, &settled, events, took))
}

fn told(town: &Town, users: u64, settled: &Settled, events: u64, took: Duration) -> String {
    let Settled { found, made, .. } = settled;
    let account = &town.account;
    let mut text = format!("the account {account} has {users} users");
    if *found > 0 {
        // Writing to a text cannot fail.
        let _ = write!(text, ", of whom {found} were there");
    }
    if *made > 0 {
        #[expect(clippy::cast_precision_loss, reason = "far below 2^53 events")]
        let rate = events as f64 / took.as_secs_f64();
        let _ = write!(
            text,
            "\nmade {made} users with {events} events in {:.1} s: {rate:.0} events a second",
            took.as_secs_f64()
        );
    }
    let administrator = town.user(Town::ADMINISTRATOR);
    format!("{text}\nits first administrator is {administrator}")
}

/// A bar of users.
pub fn bar(users: u64) -> ProgressBar {
    let bar = ProgressBar::new(users);
    match ProgressStyle::with_template("{bar:40} {pos}/{len} users, {per_sec}, {eta} left") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
