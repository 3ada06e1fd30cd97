//! The time that the log gives its events; the only place of this crate that asks the system for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::Notify;

/// A moment as it is stored: UTC, to the microsecond.
pub type Timestamp = DateTime<Utc>;

/// How long a wait sleeps before it looks at the clock again: the system's time may be set, and a machine may sleep too.
const LOOK: Duration = Duration::from_mins(1);

/// The system's time moved by an offset that all clones share, so that tests can pass a week in no time.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    offset: Arc<Offset>,
}

#[derive(Debug, Default)]
struct Offset {
    micros: AtomicI64,
    moved: Notify,
}

impl Clock {
    /// The system's own time.
    #[must_use]
    pub fn system() -> Self {
        Self::default()
    }

    /// A clock that shows `start` now and goes on from there.
    #[must_use]
    pub fn manual(start: Timestamp) -> Self {
        let clock = Self::default();
        let offset = start.timestamp_micros() - system_micros();
        clock.offset.micros.store(offset, Ordering::SeqCst);
        clock
    }

    /// The present moment, to the microsecond.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        timestamp(system_micros() + self.offset_micros())
    }

    /// Moves the clock forwards.
    pub fn advance(&self, by: Duration) {
        self.move_by(micros(by));
    }

    /// Moves the clock backwards, as a correction of the system's time would.
    pub fn turn_back(&self, by: Duration) {
        self.move_by(-micros(by));
    }

    /// Waits until the clock shows this time; who moves the clock there ends the wait.
    pub async fn reach(&self, time: Timestamp) {
        loop {
            let moved = self.offset.moved.notified();
            tokio::pin!(moved);
            moved.as_mut().enable();
            let left = (time - self.now()).to_std().unwrap_or_default();
            if left.is_zero() {
                return;
            }
            // Whatever ends the wait, the clock is looked at again.
            let _ = tokio::time::timeout(left.min(LOOK), moved).await;
        }
    }

    fn move_by(&self, micros: i64) {
        self.offset.micros.fetch_add(micros, Ordering::SeqCst);
        self.offset.moved.notify_waiters();
    }

    pub(crate) fn offset_micros(&self) -> i64 {
        self.offset.micros.load(Ordering::SeqCst)
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one home of the system's time"
)]
fn system_micros() -> i64 {
    Utc::now().timestamp_micros()
}

/// The moment so many microseconds after 1970; what lies outside of the calendar becomes its nearest end.
pub(crate) fn timestamp(micros: i64) -> Timestamp {
    DateTime::from_timestamp_micros(micros).unwrap_or(if micros < 0 {
        DateTime::<Utc>::MIN_UTC
    } else {
        DateTime::<Utc>::MAX_UTC - TimeDelta::days(1)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_share_the_offset() {
        let clock = Clock::manual(timestamp(1_000_000));
        let other = clock.clone();
        other.advance(Duration::from_hours(7 * 24));
        assert!(clock.now() >= timestamp(1_000_000) + TimeDelta::days(7));
        clock.turn_back(Duration::from_hours(8 * 24));
        assert!(other.now() < timestamp(1_000_000));
    }

    #[tokio::test]
    async fn a_wait_ends_when_its_time_has_come_however_it_came() {
        let clock = Clock::manual(timestamp(1_000_000));
        clock.reach(timestamp(0)).await;
        clock.reach(clock.now() + TimeDelta::milliseconds(2)).await;
        let next_week = clock.now() + TimeDelta::days(7);
        let waiting = tokio::spawn({
            let clock = clock.clone();
            async move { clock.reach(next_week).await }
        });
        tokio::task::yield_now().await;
        clock.advance(Duration::from_hours(24));
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        clock.advance(Duration::from_hours(6 * 24));
        waiting.await.unwrap();
    }
}
