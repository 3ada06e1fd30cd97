//! The aggregates of one unit of work: as they were loaded, and as they are with what is staged.

use std::collections::BTreeMap;
use std::sync::Arc;

use rollbook_aggregates::access::Access;
use rollbook_aggregates::account::Account;
use rollbook_aggregates::domain::{Claimant, Recorded, Timestamp};
use rollbook_aggregates::invitation::Invitation;
use rollbook_aggregates::invoice::Invoice;
use rollbook_aggregates::mail::Mail;
use rollbook_aggregates::user::{Person, User};
use rollbook_aggregates::values::{AccountId, UserId};
use rollbook_eventstore::{Guards, NewEvent, Repository, StreamAppend, StreamId};

use super::{Executor, rows};
use crate::failure::{Failure, Outcome};

/// An aggregate that the executor keeps hot.
pub trait Stored: Claimant + Send + Sync + 'static {
    /// Where it is loaded from.
    fn repository(executor: &Executor) -> &Repository<Self>;
    /// Those of one unit of work.
    fn staged(states: &States) -> &BTreeMap<String, Staged<Self>>;
    /// Those of one unit of work, to add to.
    fn staged_mut(states: &mut States) -> &mut BTreeMap<String, Staged<Self>>;
    /// The account it belongs to; none before it was made.
    fn account_of(&self) -> Option<&AccountId>;
    /// What a commit through the stock framework needs beyond the events.
    fn guards_of(&mut self) -> Guards;
}

/// An aggregate in a unit of work.
pub struct Staged<A: Claimant> {
    before: Arc<A>,
    /// Its revision when it was loaded.
    pub loaded: u64,
    /// It, with what is staged.
    pub state: Arc<A>,
    /// What is staged.
    pub events: Vec<A::Event>,
    /// Whether its personal data is to be erased.
    pub forget: bool,
}

impl<A: Claimant> Staged<A> {
    pub(super) fn new(state: Arc<A>, revision: u64) -> Self {
        Self {
            before: Arc::clone(&state),
            loaded: revision,
            state,
            events: Vec::new(),
            forget: false,
        }
    }

    /// Its revision with what is staged.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.loaded + self.events.len() as u64
    }
}

/// The aggregates of a unit of work.
#[derive(Default)]
pub struct States {
    accounts: BTreeMap<String, Staged<Account>>,
    users: BTreeMap<String, Staged<User>>,
    accesses: BTreeMap<String, Staged<Access>>,
    invitations: BTreeMap<String, Staged<Invitation>>,
    invoices: BTreeMap<String, Staged<Invoice>>,
    mails: BTreeMap<String, Staged<Mail>>,
}

macro_rules! stored {
    ($($aggregate:ident in $field:ident of $account:expr,)+) => {$(
        impl Stored for $aggregate {
            fn repository(executor: &Executor) -> &Repository<Self> {
                &executor.$field
            }
            fn staged(states: &States) -> &BTreeMap<String, Staged<Self>> {
                &states.$field
            }
            fn staged_mut(states: &mut States) -> &mut BTreeMap<String, Staged<Self>> {
                &mut states.$field
            }
            fn account_of(&self) -> Option<&AccountId> {
                let account: fn(&Self) -> Option<&AccountId> = $account;
                account(self)
            }
            fn guards_of(&mut self) -> Guards {
                self.account_of().map_or_else(Guards::default, |account| {
                    rows::guards(account, self.guards())
                })
            }
        }
    )+

        impl States {
            /// Every stream with its revision when it was loaded.
            pub(super) fn revisions(&self) -> Vec<(StreamId, u64)> {
                let mut revisions = Vec::new();
                $(revisions.extend(revisions_of(&self.$field));)+
                revisions
            }

            /// Every stream with what is to be appended to it; one that is of no account yet counts for this one.
            pub(super) fn appends(&self, account_id: &AccountId) -> Outcome<Vec<StreamAppend>> {
                let mut appends = Vec::new();
                $(appends_of(&self.$field, account_id, &mut appends)?;)+
                Ok(appends)
            }

            /// Takes over what was recorded at a time, as a reader gets it, and remembers it.
            pub(super) fn committed(&mut self, executor: &Executor, at: Timestamp) {
                $(committed_of(&mut self.$field, executor, at);)+
            }
        }
    };
}

stored! {
    Account in accounts of Account::id,
    User in users of User::account_id,
    Access in accesses of Access::account_id,
    Invitation in invitations of |invitation| Some(&invitation.offer()?.account_id),
    Invoice in invoices of Invoice::account_id,
    Mail in mails of Mail::account_id,
}

impl States {
    /// The users whose sessions end with what is staged, and who are there then.
    pub(super) fn whose_sessions_end(&self) -> Vec<UserId> {
        let ends = |staged: &&Staged<User>| {
            let mut events = staged.events.iter();
            events.any(|recorded| recorded.event.ends_sessions())
        };
        let there = self.users.values().filter(ends);
        there
            .filter_map(|staged| staged.state.person().map(Person::id))
            .collect()
    }

    /// An aggregate of this unit of work, with its revision.
    #[must_use]
    pub fn get<A: Stored>(&self, id: &str) -> Option<(&Arc<A>, u64)> {
        let staged = A::staged(self).get(id)?;
        Some((&staged.state, staged.revision()))
    }
}

fn stream<A: Stored>(id: &str) -> StreamId {
    StreamId::new(A::TYPE, id)
}

fn revisions_of<A: Stored>(
    staged: &BTreeMap<String, Staged<A>>,
) -> impl Iterator<Item = (StreamId, u64)> {
    staged
        .iter()
        .map(|(id, staged)| (stream::<A>(id), staged.loaded))
}

fn appends_of<A: Stored>(
    staged: &BTreeMap<String, Staged<A>>,
    account_id: &AccountId,
    appends: &mut Vec<StreamAppend>,
) -> Outcome<()> {
    for (id, staged) in staged {
        let events: Result<Vec<_>, _> = staged.events.iter().map(NewEvent::of).collect();
        appends.push(StreamAppend {
            stream: stream::<A>(id),
            account_id: staged.state.account_of().unwrap_or(account_id).to_string(),
            expected_revision: staged.loaded,
            events: events.map_err(|error| {
                Failure::from(rollbook_eventstore::StoreError::Corrupt(error.to_string()))
            })?,
            forget: staged.forget,
        });
    }
    Ok(())
}

fn committed_of<A: Stored>(
    staged: &mut BTreeMap<String, Staged<A>>,
    executor: &Executor,
    at: Timestamp,
) {
    for (id, staged) in staged {
        if staged.events.is_empty() {
            continue;
        }
        let mut state = A::clone(&staged.before);
        for recorded in &staged.events {
            state.apply(Recorded::at(recorded.event.clone(), at));
        }
        staged.state = Arc::new(state);
        A::repository(executor).remember(id, Arc::clone(&staged.state), staged.revision());
    }
}
