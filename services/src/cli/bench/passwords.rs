//! `rollbook bench passwords`: what hashing costs those who do not wait for it, and whether a wrong password can be told from an
//! unknown user by how long the answer takes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use clap::Args;
use hdrhistogram::Histogram;
use rollbook_proto::v1::{
    CreateUserRequest, GetUserRequest, NewUser, SignInResult, VerifyPasswordRequest,
    get_user_request::Key,
};
use tokio::task::JoinSet;
use tonic::Code;

use super::{
    ours::{ACCOUNT, Ours, PASSWORD},
    postgres::Postgres,
    report::{machine, millis},
};
use crate::cli::{
    client::{Client, because},
    output::print,
    problem::Problem,
};

/// How long a caller waits whom the service told that it is busy.
const BUSY: Duration = Duration::from_millis(500);
/// The points of a distribution that are shown.
const QUANTILES: [(&str, f64); 7] = [
    ("p1", 0.01),
    ("p10", 0.10),
    ("p25", 0.25),
    ("p50", 0.50),
    ("p75", 0.75),
    ("p90", 0.90),
    ("p99", 0.99),
];

/// Flags of `bench passwords`.
#[derive(Args, Clone, Debug)]
pub struct PasswordsFlags {
    /// PostgreSQL as a superuser, who may make databases; without it a private one is started where its programs are found
    #[arg(
        long,
        value_name = "URL",
        env = "ROLLBOOK_BENCH_DATABASE_URL",
        hide_env_values = true
    )]
    database_url: Option<String>,
    /// How many callers verify passwords at once
    #[arg(long, value_name = "N", default_value_t = 64)]
    callers: usize,
    /// For how many seconds each measurement runs
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    seconds: u64,
    /// How many answers of each kind are compared
    #[arg(long, value_name = "N", default_value_t = 200)]
    answers: usize,
}

/// Measures and prints the tables.
pub async fn run(flags: PasswordsFlags) -> Result<(), Problem> {
    print(&format!(
        "## What passwords cost\n\nrollbook {} on {}.\n",
        env!("CARGO_PKG_VERSION"),
        machine(),
    ))?;
    if let Some(mut server) = Postgres::find(flags.database_url.as_deref())? {
        let database = server.create("passwords").await?;
        let measured = measure(&flags, "PostgreSQL", Some(&database)).await;
        server.end().await?;
        print(&measured?)?;
    }
    print(&measure(&flags, "SQLite", None).await?)
}

async fn measure(
    flags: &PasswordsFlags,
    log: &str,
    database: Option<&str>,
) -> Result<String, Problem> {
    let ours = Ours::with_passwords(database).await?;
    let portals = ours.portals().await?;
    let mut people = Vec::with_capacity(flags.callers);
    for number in 0..flags.callers {
        people.push(somebody(&ours, number).await?);
    }
    let people = Arc::new(people);
    let idle = reads(flags, &ours, &people).await?;
    let verifying = Verifying::start(&portals, &people);
    let busy = reads(flags, &ours, &people).await?;
    let (signed_in, refused) = verifying.end().await?;
    let per_second = signed_in / flags.seconds.max(1);
    let compared = compare(flags, &portals[0], &people).await?;
    Ok(format!(
        "### {log}\n\n\
         One caller reads users with `GetUser` for {} s, alone and while {} callers verify passwords\n\
         ({per_second} sign-ins a second; {refused} times more waited than the queue holds).\n\n\
         | GetUser | p50 | p99 |\n|---|--:|--:|\n{}\n{}\n\n{compared}",
        flags.seconds,
        flags.callers,
        read_line("idle", &idle),
        read_line("while passwords are verified", &busy),
    ))
}

fn read_line(when: &str, reads: &Histogram<u64>) -> String {
    format!("| {when} | {} | {} |", at(reads, 0.5), at(reads, 0.99))
}

fn at(times: &Histogram<u64>, quantile: f64) -> String {
    millis(Duration::from_micros(times.value_at_quantile(quantile)))
}

fn histogram() -> Result<Histogram<u64>, Problem> {
    Histogram::new_with_max(60_000_000, 3).map_err(|source| Problem::failed("measure", source))
}

fn record(times: &mut Histogram<u64>, since: Instant) {
    let micros = u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX);
    times.saturating_record(micros);
}

/// A user with a password: its id and what it signs in with.
struct Somebody {
    user_id: String,
    user_name: String,
}

async fn somebody(ours: &Ours, number: usize) -> Result<Somebody, Problem> {
    let user = NewUser {
        password: PASSWORD.to_owned(),
        ..ours.somebody()
    };
    let user_name = user.email.clone();
    let request = CreateUserRequest {
        account_id: ACCOUNT.to_owned(),
        user: Some(user),
        command: Some(because("")),
    };
    let mut users = ours.administrator(number).users();
    let created = users.create_user(request).await?.into_inner();
    Ok(Somebody {
        user_id: created.user.unwrap_or_default().user_id,
        user_name,
    })
}

/// How long reads take, one after the other with a breath in between.
async fn reads(
    flags: &PasswordsFlags,
    ours: &Ours,
    people: &[Somebody],
) -> Result<Histogram<u64>, Problem> {
    let mut times = histogram()?;
    let mut users = ours.administrator(0).users();
    let end = Instant::now() + Duration::from_secs(flags.seconds);
    for somebody in people.iter().cycle() {
        if Instant::now() >= end {
            break;
        }
        let request = GetUserRequest {
            account_id: ACCOUNT.to_owned(),
            key: Some(Key::UserId(somebody.user_id.clone())),
            read: None,
        };
        let since = Instant::now();
        users.get_user(request).await?;
        record(&mut times, since);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Ok(times)
}

/// Callers who sign in again and again.
struct Verifying {
    callers: JoinSet<Result<(), Problem>>,
    ends: Arc<AtomicBool>,
    signed_in: Arc<AtomicU64>,
    refused: Arc<AtomicU64>,
}

impl Verifying {
    fn start(portals: &[Client], people: &Arc<Vec<Somebody>>) -> Self {
        let mut verifying = Self {
            callers: JoinSet::new(),
            ends: Arc::default(),
            signed_in: Arc::default(),
            refused: Arc::default(),
        };
        for number in 0..people.len() {
            let (portal, people) = (portals[number % portals.len()].clone(), Arc::clone(people));
            let ends = Arc::clone(&verifying.ends);
            let signed_in = Arc::clone(&verifying.signed_in);
            let refused = Arc::clone(&verifying.refused);
            verifying.callers.spawn(async move {
                while !ends.load(Ordering::Relaxed) {
                    let result = verify(&portal, &people[number].user_name, PASSWORD).await?;
                    if result.is_some() {
                        signed_in.fetch_add(1, Ordering::Relaxed);
                    } else {
                        refused.fetch_add(1, Ordering::Relaxed);
                        tokio::time::sleep(BUSY).await;
                    }
                }
                Ok(())
            });
        }
        verifying
    }

    /// How many signed in, and how often one was refused because too many waited.
    async fn end(mut self) -> Result<(u64, u64), Problem> {
        self.ends.store(true, Ordering::Relaxed);
        while let Some(caller) = self.callers.join_next().await {
            caller.map_err(|source| Problem::failed("verify passwords", source))??;
        }
        Ok((
            self.signed_in.load(Ordering::Relaxed),
            self.refused.load(Ordering::Relaxed),
        ))
    }
}

/// What becomes of a sign-in; nothing where too many wait.
async fn verify(
    portal: &Client,
    user_name: &str,
    password: &str,
) -> Result<Option<SignInResult>, Problem> {
    let request = VerifyPasswordRequest {
        account_id: ACCOUNT.to_owned(),
        user_name: user_name.to_owned(),
        password: password.to_owned(),
    };
    match portal.credentials().verify_password(request).await {
        Ok(answer) => Ok(Some(answer.into_inner().result())),
        Err(status) if status.code() == Code::ResourceExhausted => Ok(None),
        Err(status) => Err(status.into()),
    }
}

/// How long answers take for wrong passwords and for users that there are not, in turn.
async fn compare(
    flags: &PasswordsFlags,
    portal: &Client,
    people: &[Somebody],
) -> Result<String, Problem> {
    let (mut wrong, mut unknown) = (Vec::new(), Vec::new());
    for (number, somebody) in people.iter().cycle().take(flags.answers).enumerate() {
        let nobody = format!("nobody{number}@bench.example");
        let names = [(&somebody.user_name, &mut wrong), (&nobody, &mut unknown)];
        for (user_name, times) in names {
            let since = Instant::now();
            let result = verify(portal, user_name, "nobody ever chose this one").await?;
            if result != Some(SignInResult::Rejected) {
                return Err(Problem::failed(
                    "compare",
                    format!("{user_name} was answered {result:?}"),
                ));
            }
            times.push(since.elapsed());
        }
    }
    wrong.sort_unstable();
    unknown.sort_unstable();
    let distance = distance(&wrong, &unknown);
    let limit = 1.36 * (2.0 / count(flags.answers)).sqrt();
    let verdict = if distance < limit {
        "cannot be told apart"
    } else {
        "can be told apart"
    };
    let heads: String = QUANTILES.map(|(name, _)| format!(" {name} |")).concat();
    let rules = "--:|".repeat(QUANTILES.len());
    Ok(format!(
        "{} wrong passwords and {} unknown users, in turn:\n\n\
         | answer to |{heads}\n|---|{rules}\n{}\n{}\n\n\
         They {verdict} (Kolmogorov-Smirnov: {distance:.3}, limit at 5 %: {limit:.3}).\n",
        flags.answers,
        flags.answers,
        distribution("a wrong password", &wrong),
        distribution("an unknown user", &unknown),
    ))
}

fn distribution(name: &str, sorted: &[Duration]) -> String {
    let times = QUANTILES.map(|(_, quantile)| {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "an index below the length"
        )]
        let place = (quantile * count(sorted.len())) as usize;
        let time = sorted.get(place).or(sorted.last());
        format!(" {} |", millis(time.copied().unwrap_or_default()))
    });
    format!("| {name} |{}", times.concat())
}

#[expect(
    clippy::cast_precision_loss,
    reason = "as many answers as anybody waits for fit"
)]
fn count(number: usize) -> f64 {
    number as f64
}

/// The greatest distance between the distributions of two sorted samples (Kolmogorov and Smirnov).
fn distance(one: &[Duration], two: &[Duration]) -> f64 {
    let share = |sample: &[Duration], limit: &Duration| {
        count(sample.partition_point(|time| time <= limit)) / count(sample.len().max(1))
    };
    one.iter()
        .chain(two)
        .map(|time| (share(one, time) - share(two, time)).abs())
        .fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis_of(range: std::ops::Range<u64>) -> Vec<Duration> {
        range.map(Duration::from_millis).collect()
    }

    #[test]
    fn samples_are_as_far_apart_as_their_distributions() {
        let (low, high) = (millis_of(0..100), millis_of(200..300));
        assert!(distance(&low, &low) < 0.001);
        assert!(distance(&low, &high) > 0.999);
        let shifted = distance(&low, &millis_of(10..110));
        assert!((shifted - 0.1).abs() < 0.02, "{shifted}");
    }
}
