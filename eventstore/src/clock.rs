//! The time that the log gives its events; the only place of this crate that asks the system for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

/// A moment as it is stored: UTC, to the microsecond.
pub type Timestamp = DateTime<Utc>;

/// The system's time moved by an offset that all clones share, so that tests can pass a week in no time.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    offset: Arc<AtomicI64>,
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
        clock.offset.store(offset, Ordering::SeqCst);
        clock
    }

    /// The present moment, to the microsecond.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        timestamp(system_micros() + self.offset_micros())
    }

    /// Moves the clock forwards.
    pub fn advance(&self, by: Duration) {
        self.offset.fetch_add(micros(by), Ordering::SeqCst);
    }

    /// Moves the clock backwards, as a correction of the system's time would.
    pub fn turn_back(&self, by: Duration) {
        self.offset.fetch_sub(micros(by), Ordering::SeqCst);
    }

    pub(crate) fn offset_micros(&self) -> i64 {
        self.offset.load(Ordering::SeqCst)
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
}
