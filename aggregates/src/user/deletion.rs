//! Deleting a user, and everything that stands against it.
//!
//! The check and the deletion are one step (R25): what was looked up is required again of the commit.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Gone, Need, Person, ReviewKind, State, User, UserError, companies};
use crate::access::Access;
use crate::account::Account;
use crate::domain::{
    Apply, Claim, Context, Decide, Decision, Holders, Reads, Requires, Timestamp, Violation,
};
use crate::values::{CompanyId, FlowTemplateId, InvoiceId, ReferenceId, UserId};

/// A user was removed for good, and its personal data with it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UserDeleted {}

impl Apply<User> for UserDeleted {
    fn apply(self, at: Timestamp, user: &mut User) {
        if let State::Present(person) = &user.state {
            user.state = State::Deleted(Gone {
                id: person.id,
                account_id: person.account_id.clone(),
                created_at: person.created_at,
                deleted_at: at,
            });
        }
    }
}

/// Something that still needs a user, so that it cannot be deleted (R24).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Blocker {
    /// It is the actor.
    OwnUser,
    /// An invoice waits in its personal queue.
    PersonalQueueNotEmpty {
        /// Whose invoice.
        company_id: CompanyId,
        /// Which.
        invoice_id: InvoiceId,
    },
    /// A reference is linked to it.
    ReferenceLinked {
        /// Where.
        company_id: CompanyId,
        /// Which.
        reference_id: ReferenceId,
    },
    /// A flow template is linked to it.
    FlowTemplateLinked {
        /// Where.
        company_id: CompanyId,
        /// Which.
        flow_template_id: FlowTemplateId,
    },
    /// An invoice it reviewed or attested is not settled.
    InvoiceNotSettled {
        /// Whose invoice.
        company_id: CompanyId,
        /// Which.
        invoice_id: InvoiceId,
        /// What it did.
        kind: ReviewKind,
    },
    /// It is the supervisor of others.
    SupervisesUsers {
        /// Where.
        company_id: CompanyId,
        /// Of whom.
        users: Holders,
    },
    /// It is the last administrator who can act.
    LastAdministrator,
    /// Things in other accounts, to which it has or had access, need it. Which, and where, is theirs.
    NeededElsewhere {
        /// What kind of things.
        need: Need,
        /// How many there are.
        count: usize,
    },
}

impl Blocker {
    /// How many of one kind are told one by one; of more, it is said how many more there are.
    pub const TOLD: usize = 100;

    /// The name of its kind.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::OwnUser => "OWN_USER",
            Self::PersonalQueueNotEmpty { .. } => Need::QueuedInvoice.name(),
            Self::ReferenceLinked { .. } => Need::LinkedReference.name(),
            Self::FlowTemplateLinked { .. } => Need::LinkedFlowTemplate.name(),
            Self::InvoiceNotSettled { .. } => Need::UnsettledInvoice.name(),
            Self::NeededElsewhere { need, .. } => need.name(),
            Self::SupervisesUsers { .. } => "SUPERVISED_USER",
            Self::LastAdministrator => "LAST_ADMINISTRATOR",
        }
    }

    /// The same as a violation.
    #[must_use]
    pub fn violation(&self) -> Violation {
        let (subject, description) = match self {
            Self::OwnUser => (String::new(), "nobody deletes itself".to_owned()),
            Self::PersonalQueueNotEmpty {
                company_id,
                invoice_id,
            } => (
                format!("{company_id}/{invoice_id}"),
                format!("invoice {invoice_id} waits in the user's queue"),
            ),
            Self::ReferenceLinked {
                company_id,
                reference_id,
            } => (
                format!("{company_id}/{reference_id}"),
                format!("reference {reference_id} is linked to the user"),
            ),
            Self::FlowTemplateLinked {
                company_id,
                flow_template_id,
            } => (
                format!("{company_id}/{flow_template_id}"),
                format!("flow template {flow_template_id} is linked to the user"),
            ),
            Self::InvoiceNotSettled {
                company_id,
                invoice_id,
                kind,
            } => (
                format!("{company_id}/{invoice_id}"),
                format!("invoice {invoice_id}, which the user {kind}, is not settled"),
            ),
            Self::SupervisesUsers { company_id, users } => (
                company_id.to_string(),
                format!(
                    "supervises {} in the company: {}",
                    users.count,
                    named(users)
                ),
            ),
            Self::LastAdministrator => (
                String::new(),
                "no other administrator of the account can act".to_owned(),
            ),
            Self::NeededElsewhere { count, .. } => {
                (String::new(), format!("{count} in other accounts"))
            }
        };
        Violation::new(self.name(), subject, description)
    }

    /// All as violations, in their order, at most [`Self::TOLD`] of a kind and then how many more.
    #[must_use]
    pub fn violations(blockers: &[Self]) -> Vec<Violation> {
        blockers
            .chunk_by(|a, b| a.name() == b.name())
            .flat_map(|kind| {
                let told = kind.iter().take(Self::TOLD).map(Self::violation);
                let more = kind.len().saturating_sub(Self::TOLD);
                let rest = (more > 0)
                    .then(|| Violation::new(kind[0].name(), "", format!("and {more} more")));
                told.chain(rest).collect::<Vec<_>>()
            })
            .collect()
    }
}

/// The first holders by name, and how many more there are.
pub(super) fn named(users: &Holders) -> String {
    const NAMED: usize = 5;
    let first: Vec<&str> = users
        .owners
        .iter()
        .take(NAMED)
        .map(String::as_str)
        .collect();
    let told = u64::try_from(first.len()).unwrap_or(u64::MAX);
    match users.count.saturating_sub(told) {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}

/// What must be looked up before [`deletion_blockers`] can be asked.
#[must_use]
pub fn deletion_reads(user: &User) -> Reads {
    let mut reads = administrators_to_read(user);
    if let Some(person) = user.person() {
        reads.accesses_of.insert(person.id);
        let supervised = person.companies.keys().map(|company| Claim::Supervises {
            supervisor: person.id,
            company: *company,
        });
        reads.claims.extend(supervised);
    }
    reads
}

/// Everything that stands against deleting a user now (R24, R27).
///
/// # Errors
/// When there is no such user.
pub fn deletion_blockers(ctx: &Context<'_>, user: &User) -> Result<Vec<Blocker>, UserError> {
    let person = user.must_be_present(ctx)?;
    let mut blockers = Vec::new();
    if ctx.actor.is(person.id) {
        blockers.push(Blocker::OwnUser);
    }
    blockers.extend(person.involvements.blockers());
    let companies: Vec<CompanyId> = person.companies.keys().copied().collect();
    let supervised = companies::supervised(ctx, person.id, &companies);
    blockers.extend(
        supervised
            .into_iter()
            .map(|(company_id, users)| Blocker::SupervisesUsers { company_id, users }),
    );
    if person.is_the_last_administrator(ctx) {
        blockers.push(Blocker::LastAdministrator);
    }
    blockers.extend(needs_elsewhere(ctx.facts.accesses_of(person.id)));
    Ok(blockers)
}

/// What needs a user in other accounts, as kind and count (R24).
fn needs_elsewhere(accesses: &[Arc<Access>]) -> impl Iterator<Item = Blocker> {
    let externals = accesses.iter().filter_map(|access| access.external());
    let needs = externals.flat_map(|external| external.involvements().needs());
    let mut counts: BTreeMap<Need, usize> = BTreeMap::new();
    for (need, count) in needs {
        *counts.entry(need).or_default() += count;
    }
    counts
        .into_iter()
        .map(|(need, count)| Blocker::NeededElsewhere { need, count })
}

/// That a user has, or had, access to no other accounts than those that were looked up.
fn no_other_access(ctx: &Context<'_>, user: UserId) -> Requires {
    let accesses = ctx.facts.accesses_of(user).iter();
    Requires::Exactly {
        claim: Claim::ExternalAccess(user),
        owners: accesses
            .filter_map(|access| access.account_id())
            .map(ToString::to_string)
            .collect(),
    }
}

/// Who can act as administrator must be known only where the user is one of them.
pub(super) fn administrators_to_read(user: &User) -> Reads {
    let can_act = user.person().is_some_and(Person::can_act_as_administrator);
    Reads {
        claims: can_act
            .then_some(Claim::Administrator)
            .into_iter()
            .collect(),
        ..Reads::default()
    }
}

impl Person {
    fn is_the_last_administrator(&self, ctx: &Context<'_>) -> bool {
        let own = self.id.to_string();
        let holders = ctx.facts.holders(&Claim::Administrator);
        self.can_act_as_administrator() && holders.owners.iter().all(|owner| *owner == own)
    }

    fn another_administrator(&self) -> Option<Requires> {
        self.can_act_as_administrator().then(|| Requires::Another {
            claim: Claim::Administrator,
            owner: self.id.to_string(),
        })
    }

    /// Refuses what would leave the account without an administrator who can act (R28); gives what the commit requires.
    pub(super) fn must_not_be_the_last_administrator(
        &self,
        ctx: &Context<'_>,
    ) -> Result<Option<Requires>, UserError> {
        if self.is_the_last_administrator(ctx) {
            return Err(UserError::LastAdministrator);
        }
        Ok(self.another_administrator())
    }
}

/// Removes a user for good; its personal data is erased with it (R26). Each of its accesses to other accounts is given an
/// [`EraseAccess`](crate::access::EraseAccess) in the same commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeleteUser;

impl Decide for DeleteUser {
    type Aggregate = User;

    fn reads(&self, _account: &Account, user: &User) -> Reads {
        deletion_reads(user)
    }

    fn decide(self, ctx: &Context<'_>, user: &User) -> Result<Decision<User>, UserError> {
        if user
            .gone()
            .is_some_and(|gone| Some(&gone.account_id) == ctx.account.id())
        {
            return Ok(Decision::nothing());
        }
        let person = user.must_be_present(ctx)?;
        let blockers = deletion_blockers(ctx, user)?;
        if !blockers.is_empty() {
            return Err(UserError::StillNeeded(blockers));
        }
        let companies: Vec<CompanyId> = person.companies.keys().copied().collect();
        Ok(Decision::of(ctx, user, vec![UserDeleted {}.into()])
            .requiring(companies::supervises_nobody(person.id, &companies))
            .requiring(person.another_administrator())
            .requiring([no_other_access(ctx, person.id)])
            .forgetting())
    }
}

#[cfg(test)]
mod tests;
