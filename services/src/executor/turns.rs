//! Turns: a command that rests on what others keep changing gets to its end.
//!
//! Commands are decided side by side and commit only if nothing they rest on moved. One that rests on much, such as giving
//! thousands of users another supervisor, would lose every time while others keep coming under that supervisor. After a few
//! lost attempts it takes a turn: in this process, whoever would change what it rests on waits until it is done.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rollbook_eventstore::{Append, Claim, Requirement, StreamId};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

/// How many attempts are made before a turn is taken.
const PATIENCE: usize = 3;
/// The longest that anybody waits for a turn of others to be over.
const LONGEST: Duration = Duration::from_secs(5);

/// What one commit may rest on and another change.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Held {
    Stream(StreamId),
    Claim(Claim),
    /// Every claim of a kind in an account.
    Kind(String, String),
}

/// The turns that are taken in this process.
#[derive(Clone)]
pub struct Turns(Arc<Shared>);

struct Shared {
    held: Mutex<HashSet<Held>>,
    over: Notify,
    longest: Duration,
}

impl Shared {
    fn with_longest(longest: Duration) -> Self {
        Self {
            held: Mutex::default(),
            over: Notify::new(),
            longest,
        }
    }
}

impl Default for Turns {
    fn default() -> Self {
        Self(Arc::new(Shared::with_longest(LONGEST)))
    }
}

impl Turns {
    /// For one command, which has no turn yet.
    pub fn for_command(&self) -> Turn {
        Turn {
            turns: self.clone(),
            attempts: 0,
            holds: HashSet::new(),
        }
    }

    fn held(&self) -> MutexGuard<'_, HashSet<Held>> {
        // A set is whole between any two calls on it, whoever panicked.
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `done` finds what is held to its liking, for so long as anybody waits at most.
    async fn until(&self, mut done: impl FnMut(&mut HashSet<Held>) -> bool) {
        let end = Instant::now() + self.0.longest;
        loop {
            let over = self.0.over.notified();
            if done(&mut self.held()) || timeout_at(end, over).await.is_err() {
                return;
            }
        }
    }
}

/// What a command holds, until it is dropped.
pub struct Turn {
    turns: Turns,
    attempts: usize,
    holds: HashSet<Held>,
}

impl Turn {
    /// Waits for the turns of others, or takes one, as is this command's due before it tries to commit.
    pub async fn come(&mut self, append: &Append) {
        self.attempts += 1;
        if self.attempts > PATIENCE {
            self.take(rests_on(append)).await;
        } else if !self.turns.held().is_empty() {
            let changes = changes(append);
            self.turns.until(|held| held.is_disjoint(&changes)).await;
        }
    }

    /// One that has a turn already takes what is free, since two that wait for each other would both wait in vain.
    async fn take(&mut self, wanted: HashSet<Held>) {
        let mut wanted: HashSet<Held> = wanted.difference(&self.holds).cloned().collect();
        let waits = self.holds.is_empty();
        let Self { turns, holds, .. } = self;
        turns
            .until(|held| {
                if waits && !held.is_disjoint(&wanted) {
                    return false;
                }
                wanted.retain(|it| held.insert(it.clone()));
                holds.extend(wanted.drain());
                true
            })
            .await;
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.holds.is_empty() {
            return;
        }
        self.turns.held().retain(|it| !self.holds.contains(it));
        self.turns.0.over.notify_waiters();
    }
}

fn rests_on(append: &Append) -> HashSet<Held> {
    let streams = append
        .streams
        .iter()
        .map(|it| Held::Stream(it.stream.clone()));
    let required = append.require.iter().map(|requirement| match requirement {
        Requirement::Free(claim)
        | Requirement::FreeBut { claim, .. }
        | Requirement::HeldBy { claim, .. }
        | Requirement::Another { claim, .. }
        | Requirement::Exactly { claim, .. } => Held::Claim(claim.clone()),
        Requirement::Unshared { account_id, kind } => Held::Kind(account_id.clone(), kind.clone()),
    });
    streams.chain(required).collect()
}

fn changes(append: &Append) -> HashSet<Held> {
    let streams = append.streams.iter().filter(|it| !it.events.is_empty());
    let streams = streams.map(|it| &it.stream);
    let told = append.told.iter().map(|it| &it.stream);
    let claims = append
        .take
        .iter()
        .chain(&append.release)
        .map(|it| &it.claim);
    let claims = claims.flat_map(|claim| {
        let kind = Held::Kind(claim.account_id.clone(), claim.kind.clone());
        [Held::Claim(claim.clone()), kind]
    });
    let streams = streams.chain(told).cloned().map(Held::Stream);
    streams.chain(claims).collect()
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use rollbook_eventstore::{ClaimKey, HeldClaim};

    use super::*;

    fn claim(key: &str) -> Claim {
        Claim {
            account_id: "acme".to_owned(),
            kind: "supervisor".to_owned(),
            key: ClaimKey::Plain(key.to_owned()),
        }
    }

    fn resting_on(key: &str) -> Append {
        Append {
            require: vec![Requirement::Free(claim(key))],
            ..Append::default()
        }
    }

    fn taking(key: &str) -> Append {
        let held = HeldClaim {
            claim: claim(key),
            owner: "rita".to_owned(),
        };
        Append {
            take: vec![held],
            ..Append::default()
        }
    }

    async fn in_turn(turns: &Turns, append: &Append) -> Turn {
        let mut turn = turns.for_command();
        for _ in 0..=PATIENCE {
            turn.come(append).await;
        }
        turn
    }

    fn comes_at_once(turns: &Turns, append: &Append) -> bool {
        turns.for_command().come(append).now_or_never().is_some()
    }

    #[tokio::test]
    async fn who_would_change_it_waits_until_the_turn_is_over() {
        let turns = Turns::default();
        let turn = in_turn(&turns, &resting_on("boss")).await;
        assert!(comes_at_once(&turns, &taking("somebody else")));
        assert!(!comes_at_once(&turns, &taking("boss")));
        let mut waiting = turns.for_command();
        let append = taking("boss");
        let mut waiting = Box::pin(waiting.come(&append));
        assert!(futures::poll!(&mut waiting).is_pending());
        drop(turn);
        waiting.await;
        assert!(turns.held().is_empty());
    }

    #[tokio::test]
    async fn a_turn_waits_for_no_other() {
        let turns = Turns::default();
        let mut first = in_turn(&turns, &resting_on("boss")).await;
        let mut second = in_turn(&turns, &resting_on("chief")).await;
        assert!(first.come(&resting_on("chief")).now_or_never().is_some());
        assert!(second.come(&resting_on("boss")).now_or_never().is_some());
    }

    #[tokio::test]
    async fn nobody_waits_for_ever() {
        let turns = Turns(Arc::new(Shared::with_longest(Duration::from_millis(20))));
        let _turn = in_turn(&turns, &resting_on("boss")).await;
        let start = Instant::now();
        turns.for_command().come(&taking("boss")).await;
        assert!(start.elapsed() >= Duration::from_millis(20));
    }

    #[tokio::test]
    async fn turns_on_the_same_come_one_after_the_other() {
        let turns = Turns::default();
        let first = in_turn(&turns, &resting_on("boss")).await;
        let append = resting_on("boss");
        let mut second = Box::pin(in_turn(&turns, &append));
        assert!(futures::poll!(&mut second).is_pending());
        drop(first);
        let second = second.await;
        assert_eq!(second.holds, *turns.held());
        assert!(!second.holds.is_empty());
    }
}
