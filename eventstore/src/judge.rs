//! The verdict on each append of a batch, from facts that were read after the log was locked.
//!
//! Pure, and the same for both homes. The appends of a batch see each other's effects: what is accepted changes the
//! facts that the next one is judged by, and adds to what will be written.

mod facts;
mod tries;

use crate::append::{AppendError, Conflict, Holders, Repeated, Slot, SlotTaken, Violation};
use crate::keys::ClaimRow;
use crate::prepared::{Ask, Held, KeyUse, Prepared, PreparedStream};
use crate::ring::KeyId;
use crate::stream::StreamId;

use tries::Tries;

pub(crate) use facts::{Facts, KeyState, NAMED, Placed, Questions, REMEMBERED, RequestRow, Writes};

/// What becomes of one append.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// It is part of what will be written.
    Accepted {
        first: u64,
        last: u64,
        slots: Vec<SlotTaken>,
    },
    /// It is not.
    Refused(AppendError),
    /// It was sealed with a key that is no longer the stream's, or has a new one under a master key that is not the log's any
    /// more; it is to be sealed again.
    KeyMoved,
}

/// Judges a batch, append after append.
pub(crate) struct Judge {
    facts: Facts,
    writes: Writes,
}

impl Judge {
    pub(crate) fn new(facts: Facts) -> Self {
        let writes = Writes {
            position: facts.position,
            recorded_at: facts.now,
            ..Writes::default()
        };
        Self { facts, writes }
    }

    pub(crate) fn finish(self) -> Writes {
        self.writes
    }

    /// Judges the append at `index` of the batch.
    pub(crate) fn judge(&mut self, index: usize, append: &Prepared) -> Verdict {
        if let Err(error) = self
            .not_repeated(append)
            .and_then(|()| self.not_moved(append))
        {
            return Verdict::Refused(error);
        }
        if let Err(verdict) = self.keys(append) {
            return verdict;
        }
        let violations = self.violations(append);
        if !violations.is_empty() {
            return Verdict::Refused(AppendError::Refused(violations));
        }
        self.accept(index, append)
    }

    fn not_repeated(&self, append: &Prepared) -> Result<(), AppendError> {
        let (Some(key), Some(request)) = (append.request_key(), &append.request) else {
            return Ok(());
        };
        let row = self.facts.requests.get(&key);
        match row.and_then(|row| row.answer(&request.digest, self.facts.now)) {
            Some(answer) => Err(answer),
            None => Ok(()),
        }
    }

    fn not_moved(&self, append: &Prepared) -> Result<(), AppendError> {
        let conflicts: Vec<_> = append
            .streams
            .iter()
            .filter_map(|stream| {
                Some(Conflict {
                    stream: stream.stream.clone(),
                    expected: stream.expected_revision?,
                    actual: self.revision(&stream.stream),
                })
            })
            .filter(|conflict| conflict.expected != conflict.actual)
            .collect();
        if conflicts.is_empty() {
            Ok(())
        } else {
            Err(AppendError::Conflict(conflicts))
        }
    }

    fn keys(&self, append: &Prepared) -> Result<(), Verdict> {
        let forgotten =
            |stream: &StreamId| Err(Verdict::Refused(AppendError::Forgotten(stream.clone())));
        for stream in &append.streams {
            let state = self.key(&stream.stream);
            match (&stream.key, state) {
                (KeyUse::Forgotten, _) => return forgotten(&stream.stream),
                // While master keys are rotated nothing may be added under the former one.
                (KeyUse::New(wrapped), KeyState::Absent) if !self.wraps(wrapped) => {
                    return Err(Verdict::KeyMoved);
                }
                (KeyUse::None, _) | (KeyUse::New(_), KeyState::Absent) => {}
                (KeyUse::Held(used), KeyState::Present(kept)) if used == kept => {}
                (KeyUse::Held(_) | KeyUse::New(_), _) => return Err(Verdict::KeyMoved),
            }
        }
        let set = append.side.iter().filter(|row| row.value.is_some());
        let rows = set.map(|row| &row.stream);
        for stream in rows.chain(append.slots.iter().map(|slot| &slot.stream)) {
            if *self.key(stream) == KeyState::Destroyed {
                return forgotten(stream);
            }
        }
        Ok(())
    }

    fn wraps(&self, wrapped: &[u8]) -> bool {
        self.facts
            .wrapping
            .is_none_or(|id| KeyId::of(wrapped) == Some(id))
    }

    fn revision(&self, stream: &StreamId) -> u64 {
        self.facts.revisions.get(stream).copied().unwrap_or(0)
    }

    fn key(&self, stream: &StreamId) -> &KeyState {
        self.facts.keys.get(stream).unwrap_or(&KeyState::Absent)
    }

    fn violations(&self, append: &Prepared) -> Vec<Violation> {
        append
            .require
            .iter()
            .filter(|required| !self.holds(&required.ask))
            .map(|required| Violation {
                requirement: required.requirement.clone(),
                holders: self.holders(&required.ask),
            })
            .collect()
    }

    fn holds(&self, ask: &Ask) -> bool {
        let count = |row: &ClaimRow| {
            self.facts
                .claims
                .get(row)
                .map_or(0, |holders| holders.count)
        };
        let member = |held: &Held| self.facts.members.contains(held);
        let others = |held: &Held| count(&held.row).saturating_sub(u64::from(member(held)));
        match ask {
            Ask::Free(row) => count(row) == 0,
            Ask::FreeBut(held) => others(held) == 0,
            Ask::HeldBy(held) => member(held),
            Ask::Another(held) => others(held) > 0,
            Ask::Exactly(row, owners) => {
                count(row) == owners.len() as u64 && owners.iter().all(member)
            }
            Ask::Unshared { .. } => self.holders(ask).count == 0,
        }
    }

    fn holders(&self, ask: &Ask) -> Holders {
        let found = match ask {
            Ask::Unshared { account_id, kind } => {
                self.facts.shared.get(&(account_id.clone(), kind.clone()))
            }
            Ask::Free(row) | Ask::Exactly(row, _) => self.facts.claims.get(row),
            Ask::FreeBut(held) | Ask::HeldBy(held) | Ask::Another(held) => {
                self.facts.claims.get(&held.row)
            }
        };
        found.cloned().unwrap_or_default()
    }

    fn accept(&mut self, index: usize, append: &Prepared) -> Verdict {
        let before = self.writes.position;
        let last = before + append.events() as u64;
        for (number, stream) in append.streams.iter().enumerate() {
            self.place(index, number, stream, last);
        }
        for held in &append.release {
            self.hold(held, false);
        }
        for held in &append.take {
            self.hold(held, true);
        }
        for row in &append.side {
            if *self.key(&row.stream) != KeyState::Destroyed {
                self.set_aside((row.stream.clone(), row.kind.clone()), row.value.clone());
            }
        }
        let slots = append.slots.iter().map(|slot| self.take(slot)).collect();
        let first = if last > before { before + 1 } else { before };
        if let (Some(key), Some(request)) = (append.request_key(), &append.request) {
            let row = RequestRow {
                digest: request.digest.to_vec(),
                repeated: Repeated {
                    first_position: first,
                    last_position: last,
                    recorded_at: self.facts.now,
                    outcome: request.outcome.clone(),
                },
            };
            self.facts.requests.insert(key.clone(), row.clone());
            self.writes.requests.insert(key, row);
        }
        Verdict::Accepted { first, last, slots }
    }

    /// Counts a try, unless all of its series are taken.
    fn take(&mut self, slot: &Slot) -> SlotTaken {
        let key = (slot.stream.clone(), slot.kind.clone());
        let before = self.facts.side.get(&key).and_then(|row| Tries::read(row));
        let mut tries = before
            .filter(|tries| tries.series == slot.series)
            .unwrap_or(Tries {
                series: slot.series,
                used: 0,
                last_at: self.facts.now,
            });
        let taken = tries.used < slot.limit;
        if taken {
            tries.used += 1;
            tries.last_at = self.facts.now;
            self.set_aside(key, Some(tries.write()));
        }
        SlotTaken {
            taken,
            used: tries.used,
            last_at: tries.last_at,
        }
    }

    fn set_aside(&mut self, key: (StreamId, String), value: Option<Vec<u8>>) {
        match &value {
            Some(value) => self.facts.side.insert(key.clone(), value.clone()),
            None => self.facts.side.remove(&key),
        };
        self.writes.side.insert(key, value);
    }

    fn place(&mut self, append: usize, number: usize, stream: &PreparedStream, last: u64) {
        let mut revision = self.revision(&stream.stream);
        for event in 0..stream.events.len() {
            self.writes.position += 1;
            revision += 1;
            let account = self
                .facts
                .accounts
                .entry(stream.account_id.clone())
                .or_default();
            *account += 1;
            self.writes.events.push(Placed {
                append,
                stream: number,
                event,
                position: self.writes.position,
                revision,
                commit_position: last,
                account_number: *account,
            });
            self.writes
                .accounts
                .insert(stream.account_id.clone(), *account);
        }
        self.facts.revisions.insert(stream.stream.clone(), revision);
        if stream.forget {
            self.writes
                .side
                .retain(|(owner, _), _| *owner != stream.stream);
            self.facts
                .side
                .retain(|(owner, _), _| *owner != stream.stream);
            self.writes.keys.insert(stream.stream.clone(), None);
            self.facts
                .keys
                .insert(stream.stream.clone(), KeyState::Destroyed);
        } else if let KeyUse::New(wrapped) = &stream.key {
            self.writes
                .keys
                .insert(stream.stream.clone(), Some(wrapped.clone()));
            self.facts
                .keys
                .insert(stream.stream.clone(), KeyState::Present(wrapped.clone()));
        }
    }

    fn hold(&mut self, held: &Held, holds: bool) {
        self.writes.claims.insert(held.clone(), holds);
        let changed = if holds {
            self.facts.members.insert(held.clone())
        } else {
            self.facts.members.remove(held)
        };
        if !changed {
            return;
        }
        let holders = self.facts.claims.entry(held.row.clone()).or_default();
        let place = holders.owners.binary_search(&held.owner);
        match (holds, place) {
            (true, Err(place)) => {
                holders.count += 1;
                holders.owners.insert(place, held.owner.clone());
                holders.owners.truncate(NAMED);
            }
            (false, Ok(place)) => {
                holders.count = holders.count.saturating_sub(1);
                holders.owners.remove(place);
            }
            (false, Err(_)) => holders.count = holders.count.saturating_sub(1),
            (true, Ok(_)) => {}
        }
    }
}

#[cfg(test)]
mod tests;
