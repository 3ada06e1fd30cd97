//! `rollbook bench supervisors`: how long it takes to give everybody who has a supervisor another one, in one commit.

use std::time::{Duration, Instant};

use clap::Args;
use rollbook_proto::v1::{AddCompanyRequest, NewUser, ReplaceSupervisorRequest, UserCompany};

use super::{
    import::import_users,
    load::Side as _,
    ours::{ACCOUNT, Ours},
    postgres::{self, Postgres},
    report::{machine, median_wait, millis},
};
use crate::cli::{client::because, output::print, problem::Problem};

/// Flags of `bench supervisors`.
#[derive(Args, Clone, Debug)]
pub struct SupervisorsFlags {
    /// PostgreSQL as a superuser, who may make databases; without it a private one is started where its programs are found
    #[arg(
        long,
        value_name = "URL",
        env = "ROLLBOOK_BENCH_DATABASE_URL",
        hide_env_values = true
    )]
    database_url: Option<String>,
    /// How many users have the supervisor
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    users: usize,
    /// How many rounds; their median counts
    #[arg(long, value_name = "N", default_value_t = 5)]
    rounds: u32,
}

/// Measures and prints the table.
pub async fn run(flags: SupervisorsFlags) -> Result<(), Problem> {
    print(&format!(
        "## Another supervisor for {} users in one commit\n\nrollbook {} on {}. One call through gRPC, until its answer; the median of {}\n\
         rounds and the longest. *Cold*: the first call of a process, which has to load every user; *warm*: the next.\n\n\
         | log | cold | longest | warm | longest | with the views |\n|---|--:|--:|--:|--:|--:|",
        flags.users,
        env!("CARGO_PKG_VERSION"),
        machine(),
        flags.rounds,
    ))?;
    let mut settings = None;
    if let Some(mut server) = Postgres::find(flags.database_url.as_deref())? {
        let database = server.create("supervisors").await?;
        let measured = home(&flags, Some(&database)).await;
        settings = Some(postgres::settings(&database).await?);
        server.end().await?;
        print(&measured?.line("PostgreSQL"))?;
    }
    print(&home(&flags, None).await?.line("SQLite"))?;
    match settings {
        Some(settings) => print(&format!("\nPostgreSQL: {settings}")),
        None => Ok(()),
    }
}

/// How long each round took.
#[derive(Default)]
struct Waits {
    cold: Vec<Duration>,
    warm: Vec<Duration>,
    shown: Vec<Duration>,
}

impl Waits {
    fn line(&self, log: &str) -> String {
        let longest = |waits: &[Duration]| millis(waits.iter().copied().max().unwrap_or_default());
        format!(
            "| {log} | {} | {} | {} | {} | {} |",
            millis(median_wait(&self.cold)),
            longest(&self.cold),
            millis(median_wait(&self.warm)),
            longest(&self.warm),
            millis(median_wait(&self.shown)),
        )
    }
}

async fn home(flags: &SupervisorsFlags, database: Option<&str>) -> Result<Waits, Problem> {
    let mut ours = Ours::start(database).await?;
    let company_id = add_company(&ours).await?;
    let link = |supervisor_id: &str| UserCompany {
        company_id: company_id.clone(),
        supervisor_id: supervisor_id.to_owned(),
        ..UserCompany::default()
    };
    let member = |ours: &Ours, supervisor_id: &str| NewUser {
        companies: vec![link(supervisor_id)],
        ..ours.somebody()
    };
    let mut chiefs = Vec::new();
    for _ in 0..2 {
        chiefs.push(ours.create_user(0, member(&ours, "")).await?);
    }
    let reports = (0..flags.users).map(|_| member(&ours, &chiefs[0]));
    let last = import_users(&ours, reports.collect()).await?;
    ours.reached(last);
    ours.caught_up().await?;
    let mut waits = Waits::default();
    for _ in 0..flags.rounds {
        ours.restart().await?;
        waits
            .cold
            .push(replace(&ours, flags.users, &chiefs[0], &chiefs[1]).await?);
        ours.caught_up().await?;
        let begun = Instant::now();
        waits
            .warm
            .push(replace(&ours, flags.users, &chiefs[1], &chiefs[0]).await?);
        ours.caught_up().await?;
        waits.shown.push(begun.elapsed());
    }
    Ok(waits)
}

async fn add_company(ours: &Ours) -> Result<String, Problem> {
    let request = AddCompanyRequest {
        account_id: ACCOUNT.to_owned(),
        title: "Bench".to_owned(),
        command: Some(because("")),
    };
    let mut accounts = ours.administrator(0).accounts();
    let answer = accounts.add_company(request).await?.into_inner();
    Ok(answer.company.unwrap_or_default().company_id)
}

/// Replaces one by the other; answers how long it took.
async fn replace(
    ours: &Ours,
    users: usize,
    supervisor: &str,
    replacement: &str,
) -> Result<Duration, Problem> {
    let request = ReplaceSupervisorRequest {
        account_id: ACCOUNT.to_owned(),
        supervisor_id: supervisor.to_owned(),
        replacement_id: replacement.to_owned(),
        command: Some(because("")),
        ..ReplaceSupervisorRequest::default()
    };
    let mut client = ours.administrator(0).users_without_deadline();
    let begun = Instant::now();
    let answer = client.replace_supervisor(request).await?.into_inner();
    let took = begun.elapsed();
    ours.reached(answer.position);
    if answer.changed_count != users as u64 {
        let what = format!("{} users changed", answer.changed_count);
        return Err(Problem::failed("replace the supervisor", what));
    }
    Ok(took)
}
