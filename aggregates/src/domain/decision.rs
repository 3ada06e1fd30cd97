//! Decisions: the events of a command, and what must be true when they are committed.

use std::collections::BTreeSet;

use super::{
    Claim, Context, EventSet, Held, Holders, Reads, Recorded, Refusal, Requires, Timestamp,
};
use crate::account::Account;

/// A command, which carries its decision.
pub trait Decide: Sized {
    /// What it is asked of.
    type Aggregate: Claimant;

    /// What must be looked up before it can be decided.
    fn reads(&self, account: &Account, aggregate: &Self::Aggregate) -> Reads {
        let _ = (account, aggregate);
        Reads::default()
    }

    /// What happens, or why nothing does. No events: it is so already.
    ///
    /// # Errors
    /// The rule that refuses it.
    fn decide(
        self,
        ctx: &Context<'_>,
        aggregate: &Self::Aggregate,
    ) -> Result<Decision<Self::Aggregate>, <Self::Aggregate as cqrs_es::Aggregate>::Error>;
}

/// An event, which knows what it changes.
pub trait Apply<A> {
    /// Assigns; never adds up, fails or panics.
    fn apply(self, at: Timestamp, aggregate: &mut A);
}

/// An aggregate whose claims follow from its state.
pub trait Claimant:
    cqrs_es::Aggregate<Event = Recorded<Self::Happening>, Error: Refusal> + Clone
{
    /// Its events, without their time.
    type Happening: EventSet;

    /// Every claim it holds as it is now.
    fn claims(&self) -> BTreeSet<Held>;

    /// The claims it holds as it will be and not as it is now, and those it holds now and then no more. Who holds a great
    /// many tells the two apart without going through all of them.
    fn claim_changes(&self, after: &Self) -> (BTreeSet<Held>, BTreeSet<Held>) {
        let (before, after) = (self.claims(), after.claims());
        let takes = after.difference(&before).cloned().collect();
        (takes, before.difference(&after).cloned().collect())
    }

    /// The refusal that a requirement of this aggregate turns into when it does not hold at the commit.
    /// None: what was decided rests on something that has changed since, so it must be decided anew.
    fn refusal_of(requires: &Requires, holders: &Holders) -> Option<Self::Error>;
}

/// What a command leads to.
#[derive(Clone, Debug)]
pub struct Decision<A: cqrs_es::Aggregate> {
    /// What happens; empty when it is so already.
    pub events: Vec<A::Event>,
    /// What must be true of the claims at the commit.
    pub requires: Vec<Requires>,
    /// The claims that are taken with the commit.
    pub takes: Vec<Held>,
    /// The claims that are released with it.
    pub releases: Vec<Held>,
    /// Whether the aggregate's personal data is erased with it.
    pub forgets: bool,
    /// The events are committed, and the caller is refused all the same: the command met an expiry.
    pub refused: Option<A::Error>,
    /// The aggregate with the events, were they recorded when the command was decided; none where nothing happens.
    pub after: Option<Box<A>>,
}

/// What a commit of the stock framework needs beyond the events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Guards {
    /// What must be true of the claims at the commit.
    pub requires: Vec<Requires>,
    /// The claims that are taken with the commit.
    pub takes: Vec<Held>,
    /// The claims that are released with it.
    pub releases: Vec<Held>,
    /// Whether the aggregate's personal data is erased with it.
    pub forgets: bool,
}

impl<A: Claimant> Decision<A> {
    /// It is so already.
    #[must_use]
    pub const fn nothing() -> Self {
        Self {
            events: Vec::new(),
            requires: Vec::new(),
            takes: Vec::new(),
            releases: Vec::new(),
            forgets: false,
            refused: None,
            after: None,
        }
    }

    /// These events, with the claims they take and release, and what every command requires: that the administrator
    /// who acts still is one (R25), and that what only one may hold is held by nobody else.
    #[must_use]
    pub fn of(ctx: &Context<'_>, aggregate: &A, events: Vec<A::Happening>) -> Self {
        if events.is_empty() {
            return Self::nothing();
        }
        let mut after = aggregate.clone();
        for event in &events {
            after.apply(Recorded::at(event.clone(), ctx.now));
        }
        let (takes, releases) = aggregate.claim_changes(&after);
        let takes: Vec<Held> = takes.into_iter().collect();
        let releases = releases
            .into_iter()
            .filter(|held| !held.claim.is_kept_for_good())
            .collect();
        let login = ctx.account.settings().login;
        let exclusive = takes
            .iter()
            .filter(|held| held.claim.is_exclusive(login))
            .map(|held| Requires::FreeBut {
                claim: held.claim.clone(),
                owner: held.owner.clone(),
            });
        Self {
            requires: still_administrator(ctx)
                .into_iter()
                .chain(exclusive)
                .collect(),
            events: events.into_iter().map(Recorded::from).collect(),
            takes,
            releases,
            forgets: false,
            refused: None,
            after: Some(Box::new(after)),
        }
    }

    /// Adds what must be true at the commit.
    #[must_use]
    pub fn requiring(mut self, requires: impl IntoIterator<Item = Requires>) -> Self {
        self.requires.extend(requires);
        self
    }

    /// Erases the aggregate's personal data with the commit.
    #[must_use]
    pub const fn forgetting(mut self) -> Self {
        self.forgets = true;
        self
    }

    /// Refuses the caller although the events are committed.
    #[must_use]
    pub fn refusing(mut self, error: A::Error) -> Self {
        self.refused = Some(error);
        self
    }

    /// What only one may hold may be held by `predecessor`, which lets go of it in the same commit.
    #[must_use]
    pub(crate) fn succeeding(mut self, predecessor: &str) -> Self {
        for requires in &mut self.requires {
            if let Requires::FreeBut { owner, .. } = requires {
                predecessor.clone_into(owner);
            }
        }
        self
    }

    /// What the commit needs beyond the events.
    #[must_use]
    pub fn guards(&self) -> Guards {
        Guards {
            requires: self.requires.clone(),
            takes: self.takes.clone(),
            releases: self.releases.clone(),
            forgets: self.forgets,
        }
    }
}

fn still_administrator(ctx: &Context<'_>) -> Option<Requires> {
    let (claim, id) = match ctx.actor {
        super::Actor::Administrator(id) => (Claim::Administrator, id),
        super::Actor::ExternalAdministrator(id) => (Claim::ExternalAdministrator, id),
        super::Actor::User(_) | super::Actor::Outside(_) => return None,
    };
    Some(Requires::HeldBy {
        claim,
        owner: id.to_string(),
    })
}
