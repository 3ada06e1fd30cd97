//! Callers that each send one command after the other, and how long each waits.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use tokio::task::JoinSet;

use crate::cli::problem::Problem;

/// What the callers ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// New users.
    Create,
    /// New phone numbers of users that are there.
    Update,
    /// The one and the other in turn.
    Mixed,
}

impl Work {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Create, Self::Update, Self::Mixed];

    fn creates(self, number: u64) -> bool {
        match self {
            Self::Create => true,
            Self::Update => false,
            Self::Mixed => number.is_multiple_of(2),
        }
    }
}

impl fmt::Display for Work {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Mixed => "mixed",
        })
    }
}

/// Something that does the work.
pub trait Side: Send + Sync + 'static {
    /// Makes users to update, a number for each caller, before the clock runs.
    fn prepare(&self, callers: usize) -> impl Future<Output = Result<(), Problem>> + Send;
    /// Creates a user.
    fn create(&self, caller: usize) -> impl Future<Output = Result<(), Problem>> + Send;
    /// Changes one of the caller's users.
    fn update(
        &self,
        caller: usize,
        number: u64,
    ) -> impl Future<Output = Result<(), Problem>> + Send;
    /// Waits until every view shows everything.
    fn caught_up(&self) -> impl Future<Output = Result<(), Problem>> + Send;
}

/// How many users each caller updates in turn.
pub const USERS_EACH: usize = 16;

/// What was measured.
#[derive(Clone, Copy, Debug)]
pub struct Measured {
    /// Commands a second, until the last view had caught up.
    pub rate: f64,
    /// What half of the commands waited at most.
    pub p50: Duration,
    /// What 99 of 100 commands waited at most.
    pub p99: Duration,
}

/// Lets so many callers work for a time.
pub async fn measure<S: Side>(
    side: &Arc<S>,
    work: Work,
    callers: usize,
    span: Duration,
) -> Result<Measured, Problem> {
    side.prepare(if work == Work::Create { 0 } else { callers })
        .await?;
    side.caught_up().await?;
    let begun = Instant::now();
    let mut at_work = JoinSet::new();
    for caller in 0..callers {
        at_work.spawn(call(Arc::clone(side), work, caller, begun + span));
    }
    let mut waits = waits()?;
    while let Some(done) = at_work.join_next().await {
        let done = done.map_err(|source| Problem::failed("wait for a caller", source))??;
        waits
            .add(&done)
            .map_err(|source| Problem::failed("add up what was measured", source))?;
    }
    side.caught_up().await?;
    Ok(measured(&waits, begun.elapsed()))
}

/// The figures of so many waits within a time.
pub fn measured(waits: &Histogram<u64>, taken: Duration) -> Measured {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53 commands")]
    let rate = waits.len() as f64 / taken.as_secs_f64();
    let quantile = |q| Duration::from_micros(waits.value_at_quantile(q));
    Measured {
        rate,
        p50: quantile(0.5),
        p99: quantile(0.99),
    }
}

async fn call<S: Side>(
    side: Arc<S>,
    work: Work,
    caller: usize,
    until: Instant,
) -> Result<Histogram<u64>, Problem> {
    let mut waits = waits()?;
    let mut number = 0;
    while Instant::now() < until {
        let asked = Instant::now();
        if work.creates(number) {
            side.create(caller).await?;
        } else {
            side.update(caller, number).await?;
        }
        let micros = u64::try_from(asked.elapsed().as_micros()).unwrap_or(u64::MAX);
        waits.saturating_record(micros);
        number += 1;
    }
    Ok(waits)
}

/// Waits in microseconds, up to a minute, to three digits.
pub fn waits() -> Result<Histogram<u64>, Problem> {
    Histogram::new_with_max(60_000_000, 3).map_err(|source| Problem::failed("measure", source))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[derive(Default)]
    struct Counting {
        created: AtomicU64,
        updated: AtomicU64,
        waited: AtomicU64,
    }

    impl Side for Counting {
        async fn prepare(&self, _callers: usize) -> Result<(), Problem> {
            Ok(())
        }

        async fn create(&self, _caller: usize) -> Result<(), Problem> {
            self.created.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(2)).await;
            Ok(())
        }

        async fn update(&self, _caller: usize, _number: u64) -> Result<(), Problem> {
            self.updated.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(2)).await;
            Ok(())
        }

        async fn caught_up(&self) -> Result<(), Problem> {
            self.waited.fetch_add(1, Ordering::Relaxed);
            Ok(())
        }
    }

    #[tokio::test]
    async fn mixed_work_creates_and_updates_in_turn_and_waits_for_the_views() {
        let side = Arc::new(Counting::default());
        let measured = measure(&side, Work::Mixed, 4, Duration::from_millis(60))
            .await
            .unwrap();
        let (created, updated) = (
            side.created.load(Ordering::Relaxed),
            side.updated.load(Ordering::Relaxed),
        );
        assert!(
            created >= updated && created - updated <= 4,
            "{created} {updated}"
        );
        assert_eq!(side.waited.load(Ordering::Relaxed), 2);
        assert!(
            measured.rate > 0.0 && measured.p50 >= Duration::from_millis(2),
            "{measured:?}"
        );
    }
}
