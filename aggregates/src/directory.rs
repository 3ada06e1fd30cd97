//! A directory in memory for the tests: it does with a decision what the executor and the store do, one command at a time.
//!
//! A command sees only what it asked to read, so one that forgets to ask fails here as it would outside.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::Duration;

use crate::access::{Access, AccessError, AccessEvent, AccessKey, EraseAccess};
use crate::account::{Account, AccountError};
use crate::domain::{
    Actor, Claim, Claimant, Context, Decide, Decision, Facts, Held, Holders, InvoiceKey, Reads,
    Requires, Timestamp,
};
use crate::invitation::{Invitation, InvitationError, InviteUser};
use crate::invoice::{Invoice, InvoiceError};
use crate::samples::{account, dawn};
use crate::user::{DeleteUser, SettleInvoice, User, UserError, UserEvent};
use crate::values::{AccountId, InvitationId, UserId};

/// One account with all that is in it.
#[derive(Clone, Debug)]
pub struct Directory {
    pub account: Account,
    pub users: BTreeMap<UserId, User>,
    pub accesses: BTreeMap<AccessKey, Access>,
    pub invitations: BTreeMap<InvitationId, Invitation>,
    pub invoices: BTreeMap<InvoiceKey, Invoice>,
    pub held: BTreeSet<Held>,
    pub now: Timestamp,
}

impl Default for Directory {
    fn default() -> Self {
        Self {
            account: account(),
            users: BTreeMap::new(),
            accesses: BTreeMap::new(),
            invitations: BTreeMap::new(),
            invoices: BTreeMap::new(),
            held: BTreeSet::new(),
            now: dawn() + Duration::hours(1),
        }
    }
}

impl Directory {
    /// The first owners of a claim, as the store tells them.
    pub fn holders(&self, claim: &Claim) -> Holders {
        holders_of(self.held.iter().filter(|held| held.claim == *claim))
    }

    pub fn hold(&mut self, claim: Claim, owner: &impl ToString) {
        let owner = owner.to_string();
        self.held.insert(Held { claim, owner });
    }

    fn facts(&self, reads: Reads) -> Facts {
        let mut facts = Facts::default();
        for id in reads.users {
            if let Some(user) = self.users.get(&id) {
                facts.insert_user(id, Arc::new(user.clone()));
            }
        }
        for id in reads.accesses_of {
            facts.insert_accesses(id, self.accesses_of(id));
        }
        for claim in reads.claims {
            let holders = self.holders(&claim);
            facts.insert_holders(claim, holders);
        }
        for key in reads.invoices {
            if let Some(invoice) = self.invoices.get(&key) {
                facts.insert_invoice(key, Arc::new(invoice.clone()));
            }
        }
        facts
    }

    /// Every access of a user to other accounts, as its claims name them.
    fn accesses_of(&self, user_id: UserId) -> Vec<Arc<Access>> {
        let owners = self.holders(&Claim::ExternalAccess(user_id)).owners;
        let keys = owners.iter().map(|account| AccessKey {
            account_id: AccountId::parse(account).unwrap(),
            user_id,
        });
        keys.map(|key| Arc::new(self.accesses[&key].clone()))
            .collect()
    }

    /// Runs a command of an access; answers its events.
    pub fn access<C: Decide<Aggregate = Access>>(
        &mut self,
        actor: &Actor,
        key: &AccessKey,
        command: C,
    ) -> Result<Vec<AccessEvent>, AccessError> {
        let before = self.accesses.get(key).cloned().unwrap_or_default();
        let mut decision = self.ask(actor, &before, command)?;
        self.commit_claims(&decision);
        let after = decision.after.take().map_or(before, |after| *after);
        self.accesses.insert(key.clone(), after);
        Ok(happened(decision))
    }

    /// Deletes a user and erases its accesses, in one commit.
    pub fn delete(&mut self, actor: &Actor, id: UserId) -> Result<Vec<UserEvent>, UserError> {
        let accesses = self.accesses_of(id);
        let events = self.user(actor, id, DeleteUser)?;
        for key in accesses.iter().filter_map(|access| access.key()) {
            let erased = self.access(actor, key, EraseAccess).unwrap();
            assert!(!erased.is_empty(), "an access is erased");
        }
        Ok(events)
    }

    /// Decides, and judges what the decision requires as the store would.
    pub fn ask<C: Decide>(
        &self,
        actor: &Actor,
        aggregate: &C::Aggregate,
        command: C,
    ) -> Result<Decision<C::Aggregate>, <C::Aggregate as cqrs_es::Aggregate>::Error> {
        let facts = self.facts(command.reads(&self.account, aggregate));
        let ctx = Context {
            actor,
            now: self.now,
            account: &self.account,
            facts: &facts,
        };
        let decision = command.decide(&ctx, aggregate)?;
        for requires in &decision.requires {
            if let Some(holders) = self.violated(requires) {
                let refusal = C::Aggregate::refusal_of(requires, &holders);
                return Err(refusal.unwrap_or_else(|| {
                    panic!("{requires:?} does not hold and decide did not see it: {holders:?}")
                }));
            }
        }
        Ok(decision)
    }

    fn violated(&self, requires: &Requires) -> Option<Holders> {
        let owners_of = |claim: &Claim| -> BTreeSet<String> {
            let held = self.held.iter().filter(|held| held.claim == *claim);
            held.map(|held| held.owner.clone()).collect()
        };
        let (holds, holders) = match requires {
            Requires::Free(claim) => (owners_of(claim).is_empty(), self.holders(claim)),
            Requires::FreeBut { claim, owner } => {
                let others = owners_of(claim).iter().any(|held| held != owner);
                (!others, self.holders(claim))
            }
            Requires::HeldBy { claim, owner } => {
                (owners_of(claim).contains(owner), self.holders(claim))
            }
            Requires::Another { claim, owner } => {
                let others = owners_of(claim).iter().any(|held| held != owner);
                (others, self.holders(claim))
            }
            Requires::Exactly { claim, owners } => {
                (owners_of(claim) == *owners, self.holders(claim))
            }
            Requires::Unshared { kind } => {
                let of_kind = || self.held.iter().filter(|held| held.claim.kind() == *kind);
                let sharing: Vec<&Held> = of_kind()
                    .filter(|a| of_kind().any(|b| a.claim == b.claim && a.owner != b.owner))
                    .collect();
                (sharing.is_empty(), holders_of(sharing.into_iter()))
            }
        };
        (!holds).then_some(holders)
    }

    fn commit_claims<A: Claimant>(&mut self, decision: &Decision<A>) {
        for held in &decision.releases {
            self.held.remove(held);
        }
        self.held.extend(decision.takes.iter().cloned());
    }

    /// Runs a command of a user; answers its events.
    pub fn user<C: Decide<Aggregate = User>>(
        &mut self,
        actor: &Actor,
        id: UserId,
        command: C,
    ) -> Result<Vec<UserEvent>, UserError> {
        let before = self.users.get(&id).cloned().unwrap_or_default();
        let mut decision = self.ask(actor, &before, command)?;
        self.commit_claims(&decision);
        self.users
            .insert(id, decision.after.take().map_or(before, |after| *after));
        Ok(happened(decision))
    }

    /// Runs a command of the account.
    pub fn account<C: Decide<Aggregate = Account>>(
        &mut self,
        actor: &Actor,
        command: C,
    ) -> Result<(), AccountError> {
        if let Some(after) = self.ask(actor, &self.account, command)?.after {
            self.account = *after;
        }
        Ok(())
    }

    /// Runs a command of an invitation; an expiry it met is recorded even where it is refused.
    pub fn invitation<C: Decide<Aggregate = Invitation>>(
        &mut self,
        actor: &Actor,
        id: InvitationId,
        command: C,
    ) -> Result<(), InvitationError> {
        let before = self.invitations.get(&id).cloned().unwrap_or_default();
        let mut decision = self.ask(actor, &before, command)?;
        self.commit_claims(&decision);
        self.invitations
            .insert(id, decision.after.take().map_or(before, |after| *after));
        decision.refused.map_or(Ok(()), Err)
    }

    /// Invites, and records the expiry of an invitation that holds the address still, as the service does.
    pub fn invite(
        &mut self,
        actor: &Actor,
        mut command: InviteUser,
    ) -> Result<(), InvitationError> {
        let claim = Claim::InvitedAddress(command.email.folded());
        let holder = self.holders(&claim).owners.into_iter().next();
        let id = command.invitation_id;
        let mut expired = holder.and_then(|owner| InvitationId::parse(&owner).ok());
        expired = expired.filter(|id| self.invitations[id].has_expired_unrecorded(self.now));
        command.replaces = expired;
        let mut invited = self.ask(actor, &Invitation::default(), command)?;
        if let Some(old) = expired {
            self.invitation(actor, old, crate::invitation::ExpireInvitation)?;
        }
        self.commit_claims(&invited);
        self.invitations.insert(
            id,
            invited
                .after
                .take()
                .map_or_else(Invitation::default, |after| *after),
        );
        Ok(())
    }

    /// Settles an invoice and releases its reviewers, in one commit.
    pub fn settle<C: Decide<Aggregate = Invoice>>(
        &mut self,
        actor: &Actor,
        key: &InvoiceKey,
        command: C,
    ) -> Result<(), InvoiceError> {
        let before = self.invoices.get(key).cloned().unwrap_or_default();
        let mut decision = self.ask(actor, &before, command)?;
        let after = decision.after.take().map_or(before, |after| *after);
        let reviewers = self.holders(&Claim::Reviewer(key.clone())).owners;
        for owner in reviewers
            .into_iter()
            .filter(|_| !decision.events.is_empty())
        {
            let settle = SettleInvoice {
                company_id: key.company_id,
                invoice_id: key.invoice_id.clone(),
                settlement: after.settlement().unwrap(),
            };
            let user_id = UserId::parse(&owner).unwrap();
            let released = if self.users[&user_id].account_id() == self.account.id() {
                self.user(actor, user_id, settle).unwrap().len()
            } else {
                let key = AccessKey {
                    account_id: self.account.id().unwrap().clone(),
                    user_id,
                };
                let settle = crate::access::OfAccess(settle);
                self.access(actor, &key, settle).unwrap().len()
            };
            assert_eq!(released, 1, "a reviewer is released");
        }
        self.invoices.insert(key.clone(), after);
        Ok(())
    }
}

fn happened<A: Claimant>(decision: Decision<A>) -> Vec<A::Happening> {
    let events = decision.events.into_iter();
    events.map(|recorded| recorded.event).collect()
}

fn holders_of<'a>(held: impl Iterator<Item = &'a Held>) -> Holders {
    let owners: BTreeSet<&String> = held.map(|held| &held.owner).collect();
    Holders {
        count: owners.len() as u64,
        owners: owners.into_iter().take(100).cloned().collect(),
    }
}
