//! Another supervisor in the place of one, with everybody who has it.
//!
//! The whole is one commit of many users: [`Succession`] says who they are and what must be true of them,
//! [`ReplaceSupervisor`] is what happens to each.

use std::collections::BTreeSet;

use super::companies;
use super::{Person, SupervisorFault, UnfitSupervisor, User, UserError, UserSupervisorChanged};
use crate::account::Account;
use crate::domain::{Claim, Context, Decide, Decision, Reads, Requires};
use crate::values::{CompanyId, UserId};

/// What to do where the replacement does not have a company.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingCompany {
    /// Nothing at all is changed.
    Refuse,
    /// Who has the supervisor there keeps it; the others change.
    Leave,
}

/// A supervisor, and who takes its place with everybody who has it (R33).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Succession {
    /// Whose place is taken.
    pub supervisor: UserId,
    /// Who takes it.
    pub replacement: UserId,
    /// Where; none: in every company.
    pub company: Option<CompanyId>,
    /// What to do where the replacement does not have the company.
    pub missing: MissingCompany,
}

/// Whose supervisor changes and whose does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handover {
    /// What happens to each of `reports`.
    pub command: ReplaceSupervisor,
    /// Everybody whose supervisor changes.
    pub reports: BTreeSet<UserId>,
    /// Who keeps the supervisor, where the replacement does not have the company.
    pub left: Vec<(CompanyId, BTreeSet<UserId>)>,
    /// That these are all who have the supervisor.
    pub requires: Vec<Requires>,
}

impl Succession {
    /// The two, who must be known before anything is decided.
    #[must_use]
    pub fn reads(&self) -> Reads {
        Reads {
            users: [self.supervisor, self.replacement].into(),
            ..Reads::default()
        }
    }

    /// Where somebody may have the supervisor.
    ///
    /// # Errors
    /// When there is no such supervisor or company, or the replacement is no active user of the account.
    pub fn companies(&self, ctx: &Context<'_>) -> Result<BTreeSet<CompanyId>, UserError> {
        ctx.account.must_have_companies(self.company)?;
        let supervisor = ctx.facts.user(self.supervisor).ok_or(UserError::NotFound)?;
        let supervisor = supervisor.must_be_present(ctx)?;
        if let Err(fault) = companies::can_supervise(ctx, self.replacement) {
            return Err(self.unfit([(None, fault)]));
        }
        Ok(match self.company {
            Some(company) => [company].into(),
            None => supervisor.companies.keys().copied().collect(),
        })
    }

    /// The claim that everybody holds who has the supervisor in a company.
    #[must_use]
    pub const fn claim(&self, company: CompanyId) -> Claim {
        Claim::Supervises {
            supervisor: self.supervisor,
            company,
        }
    }

    /// Who changes and who does not, out of everybody who has the supervisor.
    ///
    /// # Errors
    /// When the replacement does not have a company that it should have.
    pub fn hand_over(
        &self,
        ctx: &Context<'_>,
        holders: Vec<(CompanyId, BTreeSet<UserId>)>,
    ) -> Result<Handover, UserError> {
        let replacement = ctx.facts.user(self.replacement).and_then(User::person);
        let has = |company: &CompanyId| {
            replacement.is_some_and(|person: &Person| person.companies.contains_key(company))
        };
        let requires = holders.iter().map(|(company, users)| Requires::Exactly {
            claim: self.claim(*company),
            owners: users.iter().map(ToString::to_string).collect(),
        });
        let requires = requires.collect();
        let supervised = holders.into_iter().filter(|(_, users)| !users.is_empty());
        let (changed, left): (Vec<_>, Vec<_>) = supervised.partition(|(company, _)| has(company));
        match self.missing {
            MissingCompany::Refuse if !left.is_empty() => {
                let missing = left
                    .iter()
                    .map(|(company, _)| (Some(*company), SupervisorFault::NotLinked));
                return Err(self.unfit(missing));
            }
            MissingCompany::Refuse | MissingCompany::Leave => {}
        }
        Ok(Handover {
            command: ReplaceSupervisor {
                supervisor: self.supervisor,
                replacement: self.replacement,
                companies: changed.iter().map(|(company, _)| *company).collect(),
            },
            reports: changed.into_iter().flat_map(|(_, users)| users).collect(),
            left,
            requires,
        })
    }

    fn unfit(
        &self,
        faults: impl IntoIterator<Item = (Option<CompanyId>, SupervisorFault)>,
    ) -> UserError {
        let unfit = |(company, fault)| UnfitSupervisor {
            supervisor: self.replacement,
            company,
            fault,
        };
        UserError::SupervisorsUnfit(faults.into_iter().map(unfit).collect())
    }
}

/// Puts a supervisor in the place of another with one user; where it has another one, nothing changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplaceSupervisor {
    /// Whose place is taken.
    pub supervisor: UserId,
    /// Who takes it.
    pub replacement: UserId,
    /// Where.
    pub companies: BTreeSet<CompanyId>,
}

impl Decide for ReplaceSupervisor {
    type Aggregate = User;

    fn reads(&self, _account: &Account, user: &User) -> Reads {
        let own = user.person().map(Person::id);
        let other = Some(self.replacement).filter(|id| Some(*id) != own);
        Reads {
            users: other.into_iter().collect(),
            ..Reads::default()
        }
    }

    fn decide(self, ctx: &Context<'_>, user: &User) -> Result<Decision<User>, UserError> {
        let person = user.must_be_present(ctx)?;
        let supervisor = self.replacement;
        let mut events = Vec::new();
        let mut unfit = Vec::new();
        for company_id in self.companies {
            let now = person.companies.get(&company_id);
            if now.is_none_or(|properties| properties.supervisor != self.supervisor)
                || supervisor == self.supervisor
            {
                continue;
            }
            unfit.extend(companies::unfit(ctx, person.id, company_id, supervisor));
            let changed = UserSupervisorChanged {
                company_id,
                supervisor,
            };
            events.push(changed.into());
        }
        if unfit.is_empty() {
            Ok(Decision::of(ctx, user, events))
        } else {
            Err(UserError::SupervisorsUnfit(unfit))
        }
    }
}

#[cfg(test)]
mod tests;
