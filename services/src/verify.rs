//! Checks a log without trusting whoever keeps it: events as they were exported, against checkpoints that were signed.
//!
//! Nothing here asks a service. What is wrong is told with the first position where it is seen.

mod line;
mod lines;
mod manifest;

use std::collections::HashMap;
use std::fmt;

use rollbook_eventstore::Timestamp;
use rollbook_eventstore::proof::{
    Checkpoint, Hash, ProvableEvent, RunningTree, TreeHead, included,
};

pub use line::{Line, write_line};
pub use lines::Lines;
pub use manifest::{Manifest, Scope};

/// What is wrong with a log, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The first position that is not what it was.
    pub position: u64,
    /// The last one that may be, where one cannot tell which of them it is.
    pub up_to: Option<u64>,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            position,
            up_to,
            what,
        } = self;
        match up_to {
            Some(last) => write!(f, "positions {position} to {last}: {what}"),
            None => write!(f, "position {position}: {what}"),
        }
    }
}

impl std::error::Error for Fault {}

fn fault<T>(position: u64, what: impl Into<String>) -> Result<T, Fault> {
    Err(Fault {
        position,
        up_to: None,
        what: what.into(),
    })
}

/// Checks events one after the other.
#[derive(Clone, Debug)]
pub struct Verifier {
    scope: Scope,
    checkpoint: Checkpoint,
    /// From earlier times, the smallest first.
    kept: Vec<Checkpoint>,
    tree: RunningTree,
    /// Up to here a checkpoint agrees.
    agreed: u64,
    last: u64,
    commit: u64,
    time: Timestamp,
    accounts: HashMap<String, u64>,
}

impl Verifier {
    /// One that expects what a checkpoint says, and what was kept of earlier ones.
    ///
    /// # Errors
    /// Where a checkpoint that was kept has more than there is now, or says something else of the same.
    pub fn new(
        scope: Scope,
        checkpoint: Checkpoint,
        mut kept: Vec<Checkpoint>,
    ) -> Result<Self, Fault> {
        kept.sort_by_key(|kept| kept.head.size);
        let TreeHead { size, root } = checkpoint.head;
        for Checkpoint { head, log_id, .. } in &kept {
            if *log_id != checkpoint.log_id {
                return fault(
                    1,
                    "it is another log than that of a checkpoint that was kept",
                );
            }
            if head.size > size {
                let what = format!(
                    "missing: a checkpoint that was kept has {} events",
                    head.size
                );
                return fault(size + 1, what);
            }
            if head.size == size && head.root != root {
                return fault(1, "two checkpoints of the same size have different trees");
            }
        }
        Ok(Self {
            scope,
            checkpoint,
            kept,
            tree: RunningTree::default(),
            agreed: 0,
            last: 0,
            commit: 0,
            time: Timestamp::MIN_UTC,
            accounts: HashMap::new(),
        })
    }

    /// The position of the event that must come next, or the first where it may.
    #[must_use]
    pub fn expected(&self) -> u64 {
        self.last + 1
    }

    /// Checks the next event.
    ///
    /// # Errors
    /// What is wrong with it, or with what should have stood before it.
    pub fn check(&mut self, line: &Line) -> Result<(), Fault> {
        let Line {
            event,
            content,
            proof,
            unfit,
        } = line;
        self.check_place(event)?;
        let position = event.position;
        if let Some(what) = &event.fault {
            return fault(position, what);
        }
        match event.leaf {
            None => return fault(position, "it has no leaf"),
            Some(leaf) if leaf != *content => {
                return fault(
                    position,
                    "it is not what its leaf says: one of both was changed",
                );
            }
            Some(_) => {}
        }
        if let Some(place) = unfit {
            return fault(
                position,
                format!("the value at `{place}` is not the one it was committed to"),
            );
        }
        match &self.scope {
            Scope::Log => {
                self.tree.push(*content);
                self.check_tree()
            }
            Scope::Account(_) | Scope::Part => self.check_part(event, *content, proof),
        }
    }

    /// Whether it stands where and when it may.
    fn check_place(&mut self, event: &ProvableEvent) -> Result<(), Fault> {
        let (expected, position) = (self.expected(), event.position);
        if position > self.checkpoint.head.size {
            return fault(
                expected,
                format!("position {position} lies beyond the checkpoint"),
            );
        }
        if position < expected || (self.scope == Scope::Log && position > expected) {
            return fault(expected, format!("position {position} stands in its place"));
        }
        if self.scope != Scope::Part {
            if let Scope::Account(account) = &self.scope
                && event.account_id != *account
            {
                return fault(position, "it is of another account");
            }
            let number = match self.accounts.get_mut(&event.account_id) {
                Some(number) => number,
                None => self.accounts.entry(event.account_id.clone()).or_default(),
            };
            *number += 1;
            if event.account_number != *number {
                let what = format!(
                    "its account number is {} where {number} must stand",
                    event.account_number
                );
                return fault(position, what);
            }
        }
        if event.recorded_at < self.time {
            return fault(position, "it is recorded before the event before it");
        }
        if self.scope == Scope::Log {
            if position > self.commit {
                self.commit = event.commit_position;
            }
            if event.commit_position != self.commit || self.commit < position {
                return fault(position, "it belongs to another commit than its place says");
            }
        }
        self.time = event.recorded_at;
        self.last = position;
        Ok(())
    }

    /// Whether the checkpoints that end here agree.
    fn check_tree(&mut self) -> Result<(), Fault> {
        let size = self.tree.size();
        let checkpoints = self.kept.iter().chain([&self.checkpoint]);
        // Only where one ends: the root costs more hashes than all else of an event.
        for checkpoint in checkpoints.filter(|kept| kept.head.size == size) {
            let head = self.tree.head();
            if checkpoint.head.root != head.root {
                return Err(Fault {
                    position: self.agreed + 1,
                    up_to: Some(head.size),
                    what: "something was changed, and every hash computed again: the tree is not that of the checkpoint"
                        .to_owned(),
                });
            }
            self.agreed = head.size;
        }
        Ok(())
    }

    fn check_part(
        &self,
        event: &ProvableEvent,
        content: Hash,
        proof: &[Hash],
    ) -> Result<(), Fault> {
        let position = event.position;
        if !included(proof, &self.checkpoint.head, position, &content) {
            return fault(position, "its proof does not lead to the checkpoint");
        }
        let checkpoints = self.kept.iter().chain([&self.checkpoint]);
        let ends = checkpoints.filter_map(|checkpoint| checkpoint.account.as_ref());
        for end in ends.filter(|end| end.account_id == event.account_id) {
            let is_last = end.events == event.account_number;
            if is_last && (end.last_position, end.last_leaf) != (position, content) {
                return fault(
                    position,
                    "a checkpoint has another event as the last of its account",
                );
            }
        }
        Ok(())
    }

    /// Whether everything was there.
    ///
    /// # Errors
    /// What is missing at the end.
    pub fn finish(&self) -> Result<(), Fault> {
        let (checkpoint, last) = (&self.checkpoint, self.last);
        match &self.scope {
            Scope::Log if last < checkpoint.head.size => {
                let what = format!("missing: the log has {} events", checkpoint.head.size);
                fault(last + 1, what)
            }
            Scope::Account(account) => {
                let of_account = |checkpoint: &&Checkpoint| {
                    let end = checkpoint.account.as_ref();
                    end.is_some_and(|end| end.account_id == *account)
                };
                if !of_account(&checkpoint) {
                    return fault(1, "the checkpoint does not say where the account ends");
                }
                let there = self.accounts.get(account).copied().unwrap_or(0);
                let checkpoints = self.kept.iter().chain([checkpoint]).filter(of_account);
                let ends = checkpoints.filter_map(|checkpoint| checkpoint.account.as_ref());
                match ends.map(|end| end.events).max() {
                    Some(events) if there < events => fault(
                        last + 1,
                        format!("missing: the account has {events} events"),
                    ),
                    Some(_) | None => Ok(()),
                }
            }
            Scope::Log | Scope::Part => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
