//! Given, when, then: what happened, what is asked, what follows.

use std::collections::BTreeSet;
use std::fmt::Debug;

use chrono::Duration;

use crate::access::{Access, AccessEvent};
use crate::account::{Account, Settings};
use crate::directory::Directory;
use crate::domain::{
    Actor, Claim, Claimant, Decide, Decision, Held, InvoiceKey, Recorded, Refusal, Requires,
};
use crate::invitation::Invitation;
use crate::invoice::{Invoice, InvoiceEvent};
use crate::mail::{Mail, MailEvent};
use crate::samples::{ADMIN, account_with, dawn};
use crate::user::{User, UserEvent};
use crate::values::UserId;

/// What happened.
pub struct Given<A> {
    aggregate: A,
    directory: Directory,
}

/// What follows.
pub struct Then<A: Claimant> {
    before: A,
    outcome: Result<Decision<A>, A::Error>,
}

fn given<A: Claimant>(events: &[A::Happening]) -> Given<A> {
    let aggregate = replayed::<A>(events);
    let mut directory = Directory::default();
    directory.hold(Claim::Administrator, &ADMIN);
    directory.held.extend(aggregate.claims());
    Given {
        aggregate,
        directory,
    }
}

/// These events, one a second from the beginning on.
pub fn replayed<A: Claimant>(events: &[A::Happening]) -> A {
    let mut aggregate = A::default();
    for (seconds, event) in (0..).zip(events) {
        let at = dawn() + Duration::seconds(seconds);
        aggregate.apply(Recorded::at(event.clone(), at));
    }
    aggregate
}

impl User {
    pub(crate) fn given(events: &[UserEvent]) -> Given<Self> {
        given(events)
    }
}

impl Account {
    pub(crate) fn given(events: &[crate::account::AccountEvent]) -> Given<Self> {
        let mut given: Given<Self> = given(events);
        given.directory.account = given.aggregate.clone();
        given
    }
}

impl Invitation {
    pub(crate) fn given(events: &[crate::invitation::InvitationEvent]) -> Given<Self> {
        given(events)
    }
}

impl Access {
    pub(crate) fn given(events: &[AccessEvent]) -> Given<Self> {
        given(events)
    }
}

impl Invoice {
    pub(crate) fn given(events: &[InvoiceEvent]) -> Given<Self> {
        given(events)
    }
}

impl Mail {
    pub(crate) fn given(events: &[MailEvent]) -> Given<Self> {
        given(events)
    }
}

impl<A: Claimant> Given<A> {
    /// In an account with these settings.
    pub fn with(mut self, settings: Settings) -> Self {
        self.directory.account = account_with(settings);
        self
    }

    /// In this account.
    pub fn inside(mut self, account: Account) -> Self {
        self.directory.account = account;
        self
    }

    /// Where somebody else holds this.
    pub fn held(mut self, claim: Claim, owner: &impl ToString) -> Self {
        self.directory.hold(claim, owner);
        self
    }

    /// Where the acting administrator is none any more.
    pub fn without_administrators(mut self) -> Self {
        let is_admin = |held: &Held| held.claim == Claim::Administrator;
        self.directory.held.retain(|held| !is_admin(held));
        self
    }

    /// Where nobody acts but the aggregate itself.
    pub fn with_no_other_administrator(mut self) -> Self {
        let other = Held {
            claim: Claim::Administrator,
            owner: ADMIN.to_string(),
        };
        self.directory.held.remove(&other);
        self
    }

    /// Where this happened to another user.
    pub fn other(mut self, id: UserId, events: &[UserEvent]) -> Self {
        let user: User = replayed(events);
        self.directory.held.extend(user.claims());
        self.directory.users.insert(id, user);
        self
    }

    /// Where this happened to an invoice.
    pub fn invoice(mut self, key: InvoiceKey, events: &[InvoiceEvent]) -> Self {
        self.directory.invoices.insert(key, replayed(events));
        self
    }

    /// At this time after the beginning.
    pub fn after(mut self, span: Duration) -> Self {
        self.directory.now = dawn() + span;
        self
    }

    #[expect(clippy::needless_pass_by_value, reason = "a rule reads as a sentence")]
    pub fn when<C: Decide<Aggregate = A>>(self, actor: Actor, command: C) -> Then<A> {
        let outcome = self.directory.ask(&actor, &self.aggregate, command);
        Then {
            before: self.aggregate,
            outcome,
        }
    }
}

impl<A: Claimant + Debug> Then<A>
where
    A::Error: PartialEq,
{
    #[track_caller]
    fn decision(&self) -> &Decision<A> {
        match &self.outcome {
            Ok(decision) => decision,
            Err(error) => panic!("refused: {error:?}"),
        }
    }

    /// These events, and no refusal.
    #[track_caller]
    pub fn then(self, events: &[A::Happening]) -> Self {
        let decision = self.decision();
        assert!(decision.refused.is_none(), "{:?}", decision.refused);
        assert_eq!(happened(decision), events);
        self
    }

    /// It is so already.
    #[track_caller]
    pub fn then_nothing(self) -> Self {
        self.then(&[])
    }

    #[track_caller]
    #[expect(clippy::needless_pass_by_value, reason = "a rule reads as a sentence")]
    pub fn refused(self, error: A::Error) {
        match self.outcome {
            Ok(decision) => panic!("accepted: {decision:?}"),
            Err(refusal) => assert_eq!(refusal, error),
        }
    }

    /// Refused for this reason; the refusal itself is looked at by the caller.
    #[track_caller]
    pub fn refused_for(self, reason: crate::domain::Reason) -> A::Error {
        match self.outcome {
            Ok(decision) => panic!("accepted: {decision:?}"),
            Err(refusal) => {
                assert_eq!(refusal.reason(), reason, "{refusal:?}");
                refusal
            }
        }
    }

    /// These events are committed, and the caller is refused all the same.
    #[track_caller]
    pub fn recorded_but_refused(self, events: &[A::Happening], error: &A::Error) -> Self {
        let decision = self.decision();
        assert_eq!(decision.refused.as_ref(), Some(error));
        assert_eq!(happened(decision), events);
        self
    }

    #[track_caller]
    pub fn takes(self, claims: &[Claim]) -> Self {
        assert_eq!(claims_of(&self.decision().takes), claims.iter().collect());
        self
    }

    #[track_caller]
    pub fn releases(self, claims: &[Claim]) -> Self {
        assert_eq!(
            claims_of(&self.decision().releases),
            claims.iter().collect()
        );
        self
    }

    /// This must be true at the commit, too.
    #[track_caller]
    pub fn requires(self, requires: &Requires) -> Self {
        let all = &self.decision().requires;
        assert!(all.contains(requires), "{requires:?} is not in {all:?}");
        self
    }

    #[track_caller]
    pub fn forgets(self) -> Self {
        assert!(self.decision().forgets);
        self
    }

    /// The aggregate as it is then.
    #[track_caller]
    pub fn state(&self) -> A {
        let after = self.decision().after.as_deref();
        after.unwrap_or(&self.before).clone()
    }
}

fn happened<A: Claimant>(decision: &Decision<A>) -> Vec<A::Happening> {
    let events = decision.events.iter();
    events.map(|recorded| recorded.event.clone()).collect()
}

fn claims_of(held: &[Held]) -> BTreeSet<&Claim> {
    held.iter().map(|held| &held.claim).collect()
}
