//! Forms of rows: what was made of a row, kept while the row is as it was.

use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use bytes::Bytes;
use moka::sync::Cache;
use rollbook_aggregates::domain::Timestamp;

use crate::users::told::Tell;

/// How much memory the forms of a file take at most, in bytes.
const ROOM: u64 = 24 << 20;

/// About so many bytes does keeping a form take beside its own.
const BESIDE: usize = 220;

/// What tells that a row, and what else its form was made of, is as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Where the last event stands that changed the row.
    pub(crate) position: i64,
    /// When the user signed in last, which changes nothing else.
    pub(crate) signed_in_at: i64,
    /// The revision of the account.
    pub(crate) account: i64,
}

/// What was made of a row.
#[derive(Clone)]
pub(crate) struct Form {
    /// Of what.
    pub(crate) stamp: Stamp,
    /// By what.
    pub(crate) tell: Tell,
    /// When it is to be made anew though nothing was recorded; never, where there is no such time.
    pub(crate) until: Option<Timestamp>,
    /// The form.
    pub(crate) told: Bytes,
}

/// The forms of the rows of one file, by number. In another file the numbers are others.
pub(crate) struct Forms(RwLock<Cache<i64, Form>>);

impl Default for Forms {
    fn default() -> Self {
        Self(RwLock::new(empty()))
    }
}

fn empty() -> Cache<i64, Form> {
    let weigh = |_: &i64, form: &Form| u32::try_from(form.told.len() + BESIDE).unwrap_or(u32::MAX);
    Cache::builder().max_capacity(ROOM).weigher(weigh).build()
}

impl Forms {
    /// The form of a row that is as it was, by this time where one is given.
    pub(crate) fn get(
        &self,
        number: i64,
        stamp: Stamp,
        tell: Tell,
        now: Option<Timestamp>,
    ) -> Option<Bytes> {
        let form = self.now().get(&number)?;
        let is_over = now.zip(form.until).is_some_and(|(now, until)| until <= now);
        let is_same = form.stamp == stamp && std::ptr::fn_addr_eq(form.tell, tell);
        (is_same && !is_over).then_some(form.told)
    }

    pub(crate) fn keep(&self, number: i64, form: Form) {
        self.now().insert(number, form);
    }

    /// Drops them all, as the form of somebody who was erased may be among them. Made anew, since a cache lets go of what is
    /// taken out of it when it finds the time.
    pub(crate) fn forget(&self) {
        let mut forms = self.0.write().unwrap_or_else(PoisonError::into_inner);
        *forms = empty();
    }

    fn now(&self) -> RwLockReadGuard<'_, Cache<i64, Form>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chrono::{TimeDelta, TimeZone as _, Utc};

    use super::*;
    use crate::users::FoundUser;

    const STAMP: Stamp = Stamp {
        position: 7,
        signed_in_at: 0,
        account: 3,
    };

    fn tell(_: FoundUser) -> Bytes {
        Bytes::from_static(b"told")
    }

    fn kept(until: Option<Timestamp>) -> Forms {
        let forms = Forms::default();
        let form = Form {
            stamp: STAMP,
            tell,
            until,
            told: Bytes::from_static(b"told"),
        };
        forms.keep(1, form);
        forms
    }

    #[test]
    fn a_form_is_told_while_its_row_is_as_it_was() {
        let forms = kept(None);
        assert_eq!(forms.get(1, STAMP, tell, None).unwrap(), "told");
        for other in [
            Stamp {
                position: 8,
                ..STAMP
            },
            Stamp {
                signed_in_at: 9,
                ..STAMP
            },
            Stamp {
                account: 4,
                ..STAMP
            },
        ] {
            assert_eq!(forms.get(1, other, tell, None), None);
        }
        assert_eq!(forms.get(2, STAMP, tell, None), None);
        assert_eq!(forms.get(1, STAMP, |_| Bytes::new(), None), None);
    }

    #[test]
    fn what_is_forgotten_is_held_no_longer() {
        let forms = Forms::default();
        let told: Arc<[u8]> = Arc::from(b"Anna".as_slice());
        let form = Form {
            stamp: STAMP,
            tell,
            until: None,
            told: Bytes::from_owner(Arc::clone(&told)),
        };
        forms.keep(1, form);
        assert_eq!(Arc::strong_count(&told), 2);
        forms.forget();
        assert_eq!(Arc::strong_count(&told), 1);
    }

    #[test]
    fn a_form_that_goes_by_the_clock_is_told_until_then() {
        let noon = Utc.with_ymd_and_hms(2026, 1, 1, 12, 0, 0).unwrap();
        let forms = kept(Some(noon));
        let before = noon - TimeDelta::microseconds(1);
        assert!(forms.get(1, STAMP, tell, Some(before)).is_some());
        assert_eq!(forms.get(1, STAMP, tell, Some(noon)), None);
        assert!(forms.get(1, STAMP, tell, None).is_some());
    }
}
