//! `rollbook bench lists`: look-ups, lists and searches at many users, beside OpenLDAP and an indexed table in PostgreSQL, with
//! the goals as ratios of one run.

pub mod beside;
mod directory;
mod goals;
mod questions;
mod run;
mod sides;
mod table;

use std::time::Duration;

use clap::Args;
use rollbook_aggregates::values::AccountId;

use self::goals::{Goals, Store};
use super::{
    ours::{ACCOUNT, Ours, Seeded},
    postgres::{self, Postgres},
    report::machine,
    seed::Town,
};
use crate::cli::{output::print, problem::Problem};

/// Flags of `bench lists`.
#[derive(Args, Clone, Debug)]
pub struct ListsFlags {
    /// PostgreSQL as a superuser, who may make databases; without it a private one is started where its programs are found
    #[arg(
        long,
        value_name = "URL",
        env = "ROLLBOOK_BENCH_DATABASE_URL",
        hide_env_values = true
    )]
    database_url: Option<String>,
    /// How many users the account has, one size after the other
    #[arg(long, value_name = "N", value_delimiter = ',', default_values_t = [10_000, 100_000, 1_000_000])]
    users: Vec<u64>,
    /// How many callers at once
    #[arg(long, value_name = "N", value_delimiter = ',', default_values_t = [1, 32])]
    callers: Vec<usize>,
    /// How long each measurement takes, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 600)]
    millis: u64,
    /// About how many events each user has
    #[arg(long, value_name = "N", default_value_t = 4)]
    events: u32,
    /// Ask only the questions whose name has this in it, such as `by id` or `prefix`
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true
    )]
    only: String,
    /// Leave the embedded log out
    #[arg(long)]
    no_embedded: bool,
}

impl ListsFlags {
    const fn span(&self) -> Duration {
        Duration::from_millis(self.millis)
    }

    fn most_callers(&self) -> usize {
        self.callers.iter().copied().max().unwrap_or(1)
    }

    fn town(&self) -> Result<Town, Problem> {
        Ok(Town {
            account: AccountId::parse(ACCOUNT)
                .map_err(|source| Problem::failed("name the account", source))?,
            seed: 1,
            events: self.events,
        })
    }
}

/// Measures and prints the tables and the goals.
pub async fn run(flags: ListsFlags) -> Result<(), Problem> {
    print(&format!(
        "## Look-ups, lists and searches\n\nrollbook {} on {}.\n\
         One account, about {} events for each user, asked through gRPC by callers in another process that share 8 connections; {} ms\n\
         each, ours and the others in turn. Lookups and lists are as new as the last commit. The table is asked through the\n\
         same messages behind the same authorisation; slapd through LDAP, a connection for each caller, and gives the first it finds\n\
         in no order.\n",
        env!("CARGO_PKG_VERSION"),
        machine(),
        flags.events,
        flags.millis,
    ))?;
    if cfg!(debug_assertions) {
        print(
            "This is a build for development: build with --release for figures that mean anything.\n",
        )?;
    }
    let mut goals = Goals::default();
    match Postgres::find(flags.database_url.as_deref())? {
        Some(mut server) => {
            let measured = on_postgres(&flags, &mut server, &mut goals).await;
            server.end().await?;
            measured?;
        }
        None => print(
            "No PostgreSQL was found and none was named with --database-url: the embedded log alone.\n",
        )?,
    }
    if !flags.no_embedded {
        for users in &flags.users {
            let (ours, seeded) = Ours::seeded(None, &flags.town()?, *users).await?;
            let size = run::alone(&flags, &ours, *users).await?;
            print(&size.markdown(&told(Store::Embedded, &seeded)))?;
            goals.add(Store::Embedded, size);
        }
    }
    print(&goals.markdown(flags.most_callers()))
}

async fn on_postgres(
    flags: &ListsFlags,
    server: &mut Postgres,
    goals: &mut Goals,
) -> Result<(), Problem> {
    for users in &flags.users {
        let (database, table) = (server.create("lists").await?, server.create("table").await?);
        let (ours, seeded) = Ours::seeded(Some(&database), &flags.town()?, *users).await?;
        if goals.is_empty() {
            print(&format!("- {}\n", postgres::settings(&database).await?))?;
        }
        let size = run::beside(flags, &ours, &table, *users).await?;
        print(&size.markdown(&told(Store::Postgres, &seeded)))?;
        goals.add(Store::Postgres, size);
        drop(ours);
        server.drop_database(&database).await?;
        server.drop_database(&table).await?;
    }
    Ok(())
}

fn told(store: Store, seeded: &Seeded) -> String {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53 events")]
    let rate = seeded.events as f64 / seeded.filled.as_secs_f64();
    format!(
        "{store}: {} events, written in {:.0} s ({rate:.0} a second); a process without files served after {:.0} s",
        seeded.events,
        seeded.filled.as_secs_f64(),
        seeded.built.as_secs_f64()
    )
}
