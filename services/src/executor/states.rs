//! The aggregates of one unit of work: as they were loaded, and as they are with what is staged.

use std::collections::BTreeMap;
use std::sync::Arc;

use rollbook_aggregates::account::Account;
use rollbook_aggregates::domain::Claimant;
use rollbook_aggregates::invitation::Invitation;
use rollbook_aggregates::invoice::Invoice;
use rollbook_aggregates::user::User;
use rollbook_aggregates::values::AccountId;
use rollbook_eventstore::{Appended, Guards, NewEvent, Repository, StreamId};

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
    /// What a commit through the stock framework needs beyond the events.
    fn guards_of(&mut self) -> Guards;
}

/// An aggregate in a unit of work.
pub struct Staged<A> {
    before: Arc<A>,
    /// Its revision when it was loaded.
    pub loaded: u64,
    /// It, with what is staged.
    pub state: Arc<A>,
    /// What is staged.
    pub events: Vec<NewEvent>,
    /// Whether its personal data is to be erased.
    pub forget: bool,
}

impl<A> Staged<A> {
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
    invitations: BTreeMap<String, Staged<Invitation>>,
    invoices: BTreeMap<String, Staged<Invoice>>,
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
            fn guards_of(&mut self) -> Guards {
                let account: fn(&Self) -> Option<&AccountId> = $account;
                account(self).map_or_else(Guards::default, |account| {
                    rows::guards(account, self.guards())
                })
            }
        }
    )+

        impl States {
            /// Every stream with its revision when it was loaded, its events, and whether it is to be forgotten.
            pub(super) fn streams(&self) -> Vec<(StreamId, u64, Vec<NewEvent>, bool)> {
                let mut streams = Vec::new();
                $(streams.extend(streams_of(&self.$field));)+
                streams
            }

            /// Takes over what was recorded, as a reader gets it, and remembers it.
            pub(super) fn committed(
                &mut self,
                executor: &Executor,
                appended: &Appended,
            ) -> Outcome<()> {
                $(committed_of(&mut self.$field, executor, appended)?;)+
                Ok(())
            }
        }
    };
}

stored! {
    Account in accounts of Account::id,
    User in users of User::account_id,
    Invitation in invitations of |invitation| Some(&invitation.offer()?.account_id),
    Invoice in invoices of Invoice::account_id,
}

impl States {
    /// An aggregate of this unit of work, with its revision.
    #[must_use]
    pub fn get<A: Stored>(&self, id: &str) -> Option<(&Arc<A>, u64)> {
        let staged = A::staged(self).get(id)?;
        Some((&staged.state, staged.revision()))
    }
}

fn streams_of<A: Stored>(
    staged: &BTreeMap<String, Staged<A>>,
) -> impl Iterator<Item = (StreamId, u64, Vec<NewEvent>, bool)> {
    staged.iter().map(|(id, staged)| {
        (
            StreamId::new(A::TYPE, id.as_str()),
            staged.loaded,
            staged.events.clone(),
            staged.forget,
        )
    })
}

fn committed_of<A: Stored>(
    staged: &mut BTreeMap<String, Staged<A>>,
    executor: &Executor,
    appended: &Appended,
) -> Outcome<()> {
    for (id, staged) in staged {
        if staged.events.is_empty() {
            continue;
        }
        let mut state = A::clone(&staged.before);
        let own =
            |stream: &StreamId| stream.aggregate_type == A::TYPE && stream.aggregate_id == *id;
        for event in appended.events.iter().filter(|event| own(&event.stream)) {
            let event = serde_json::from_value(event.payload.clone()).map_err(|error| {
                Failure::from(rollbook_eventstore::StoreError::Corrupt(error.to_string()))
            })?;
            state.apply(event);
        }
        staged.state = Arc::new(state);
        A::repository(executor).remember(id, Arc::clone(&staged.state), staged.revision());
    }
    Ok(())
}
