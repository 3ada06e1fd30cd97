//! The companies a user is linked to, and what it is there.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{
    Allegiances, Person, SupervisorFault, UnfitSupervisor, User, UserAllegiancesSet, UserError,
    UserEvent, UserPermissionsSet,
};
use crate::account::Account;
use crate::domain::{Apply, Claim, Context, Decide, Decision, Holders, Reads, Requires, Timestamp};
use crate::values::{Allegiance, CompanyId, UserId};

/// What a user is in a company (R30).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompanyProperties {
    /// Whether it can be chosen as addressee of invoices.
    pub show_as_addressee: bool,
    /// The nearest manager; itself where it has none.
    pub supervisor: UserId,
    /// What it stands for.
    #[serde(default, skip_serializing_if = "Allegiances::is_empty")]
    pub allegiances: Allegiances,
}

impl CompanyProperties {
    /// What a user is in a company where nothing was said of it.
    pub(super) fn of_its_own(user: UserId) -> Self {
        Self {
            show_as_addressee: false,
            supervisor: user,
            allegiances: Allegiances::default(),
        }
    }
}

/// A company a user is linked to, with what it is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkedCompany {
    /// The company.
    pub company_id: CompanyId,
    /// Whether the user can be chosen as addressee of invoices.
    pub show_as_addressee: bool,
    /// The nearest manager; the user itself where it has none.
    pub supervisor: UserId,
    /// What it stands for.
    #[serde(default, skip_serializing_if = "Allegiances::is_empty")]
    pub allegiances: Allegiances,
}

impl LinkedCompany {
    pub(super) fn new(company_id: CompanyId, properties: CompanyProperties) -> Self {
        let CompanyProperties {
            show_as_addressee,
            supervisor,
            allegiances,
        } = properties;
        Self {
            company_id,
            show_as_addressee,
            supervisor,
            allegiances,
        }
    }
}

/// A user is linked to more companies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UserCompaniesAdded {
    /// Which.
    pub companies: Vec<LinkedCompany>,
}

/// A user is linked to fewer companies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UserCompaniesRemoved {
    /// Which it lost.
    pub company_ids: Vec<CompanyId>,
}

/// A user has another supervisor in a company.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UserSupervisorChanged {
    /// The company.
    pub company_id: CompanyId,
    /// The new supervisor.
    pub supervisor: UserId,
}

/// A user can, or cannot any more, be chosen as addressee in a company.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UserShownAsAddressee {
    /// The company.
    pub company_id: CompanyId,
    /// Whether it can.
    pub shown: bool,
}

impl Apply<User> for UserCompaniesAdded {
    fn apply(self, _at: Timestamp, user: &mut User) {
        user.change(|person| {
            for company in self.companies {
                let properties = CompanyProperties {
                    show_as_addressee: company.show_as_addressee,
                    supervisor: company.supervisor,
                    allegiances: company.allegiances,
                };
                person.companies.insert(company.company_id, properties);
            }
        });
    }
}

impl Apply<User> for UserCompaniesRemoved {
    fn apply(self, _at: Timestamp, user: &mut User) {
        user.change(|person| {
            for company in &self.company_ids {
                person.companies.remove(company);
            }
        });
    }
}

impl Apply<User> for UserSupervisorChanged {
    fn apply(self, _at: Timestamp, user: &mut User) {
        user.change(|person| {
            if let Some(properties) = person.companies.get_mut(&self.company_id) {
                properties.supervisor = self.supervisor;
            }
        });
    }
}

impl Apply<User> for UserShownAsAddressee {
    fn apply(self, _at: Timestamp, user: &mut User) {
        user.change(|person| {
            if let Some(properties) = person.companies.get_mut(&self.company_id) {
                properties.show_as_addressee = self.shown;
            }
        });
    }
}

/// A company to link a user to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewCompany {
    /// The company.
    pub company_id: CompanyId,
    /// The nearest manager there; none: the user itself (R31).
    pub supervisor: Option<UserId>,
    /// Whether the user can be chosen as addressee of invoices.
    pub show_as_addressee: bool,
    /// What it stands for there.
    pub allegiances: Allegiances,
}

impl NewCompany {
    /// A company where the user is its own supervisor, and nothing else yet.
    #[must_use]
    pub fn of(company_id: CompanyId) -> Self {
        Self {
            company_id,
            supervisor: None,
            show_as_addressee: false,
            allegiances: Allegiances::default(),
        }
    }

    pub(super) fn linked_to(self, user: UserId) -> LinkedCompany {
        LinkedCompany {
            company_id: self.company_id,
            show_as_addressee: self.show_as_addressee,
            supervisor: self.supervisor.unwrap_or(user),
            allegiances: self.allegiances,
        }
    }
}

/// The supervisors that must be known before the companies can be linked.
pub(super) fn supervisors_to_read(user: UserId, companies: &[NewCompany]) -> Reads {
    Reads {
        users: companies
            .iter()
            .filter_map(|company| company.supervisor)
            .filter(|supervisor| *supervisor != user)
            .collect(),
        ..Reads::default()
    }
}

/// Refuses companies that the account does not have or that are named twice, and supervisors that are not fit.
pub(super) fn must_be_linkable(
    ctx: &Context<'_>,
    user: UserId,
    companies: &[NewCompany],
) -> Result<(), UserError> {
    let ids: BTreeSet<CompanyId> = companies.iter().map(|company| company.company_id).collect();
    if ids.len() != companies.len() {
        return Err(UserError::CompanyNamedTwice);
    }
    ctx.account.must_have_companies(ids)?;
    let unfit: Vec<UnfitSupervisor> = companies
        .iter()
        .filter_map(|company| unfit(ctx, user, company.company_id, company.supervisor?))
        .collect();
    if unfit.is_empty() {
        Ok(())
    } else {
        Err(UserError::SupervisorsUnfit(unfit))
    }
}

/// What is wrong with a supervisor: it must be an active user of the account with that company, or the user itself (R31).
pub(super) fn unfit(
    ctx: &Context<'_>,
    user: UserId,
    company: CompanyId,
    supervisor: UserId,
) -> Option<UnfitSupervisor> {
    if supervisor == user {
        return None;
    }
    let fault = match can_supervise(ctx, supervisor) {
        Err(fault) => fault,
        Ok(person) if !person.companies().contains_key(&company) => SupervisorFault::NotLinked,
        Ok(_) => return None,
    };
    Some(UnfitSupervisor {
        supervisor,
        company: Some(company),
        fault,
    })
}

/// Whoever can be a supervisor of somebody, companies aside.
pub(super) fn can_supervise<'a>(
    ctx: &'a Context<'_>,
    supervisor: UserId,
) -> Result<&'a Person, SupervisorFault> {
    match ctx.facts.user(supervisor).and_then(User::person) {
        Some(person) if Some(person.account_id()) != ctx.account.id() => {
            Err(SupervisorFault::NotFound)
        }
        Some(person) if !person.is_active() => Err(SupervisorFault::Inactive),
        Some(person) => Ok(person),
        None => Err(SupervisorFault::NotFound),
    }
}

/// Links a user to companies; where it is linked already, nothing changes (R29).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddUserCompanies {
    /// Which.
    pub companies: Vec<NewCompany>,
}

impl Decide for AddUserCompanies {
    type Aggregate = User;

    fn reads(&self, _account: &Account, user: &User) -> Reads {
        user.person().map_or_else(Reads::default, |person| {
            supervisors_to_read(person.id, &self.companies)
        })
    }

    fn decide(self, ctx: &Context<'_>, user: &User) -> Result<Decision<User>, UserError> {
        let person = user.must_be_present(ctx)?;
        let new: Vec<NewCompany> = self
            .companies
            .into_iter()
            .filter(|company| !person.companies.contains_key(&company.company_id))
            .collect();
        must_be_linkable(ctx, person.id, &new)?;
        if new.is_empty() {
            return Ok(Decision::nothing());
        }
        let companies = new.into_iter().map(|c| c.linked_to(person.id)).collect();
        let added = UserCompaniesAdded { companies };
        Ok(Decision::of(ctx, user, vec![added.into()]))
    }
}

/// Unlinks a user from companies, with its properties and grants there. Refused while it supervises others there (R29).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoveUserCompanies {
    /// Which; those it is not linked to stay as they are.
    pub company_ids: BTreeSet<CompanyId>,
}

impl RemoveUserCompanies {
    fn linked<'a>(&'a self, user: &'a User) -> impl Iterator<Item = (UserId, CompanyId)> + 'a {
        user.person().into_iter().flat_map(|person| {
            let linked = |id: &&CompanyId| person.companies.contains_key(*id);
            self.company_ids
                .iter()
                .filter(linked)
                .map(|company| (person.id, *company))
        })
    }
}

impl Decide for RemoveUserCompanies {
    type Aggregate = User;

    fn reads(&self, _account: &Account, user: &User) -> Reads {
        Reads {
            claims: self
                .linked(user)
                .map(|(supervisor, company)| Claim::Supervises {
                    supervisor,
                    company,
                })
                .collect(),
            ..Reads::default()
        }
    }

    fn decide(self, ctx: &Context<'_>, user: &User) -> Result<Decision<User>, UserError> {
        let person = user.must_be_present(ctx)?;
        let company_ids: Vec<CompanyId> = self.linked(user).map(|(_, company)| company).collect();
        if company_ids.is_empty() {
            return Ok(Decision::nothing());
        }
        let supervises = supervised(ctx, person.id, &company_ids);
        if !supervises.is_empty() {
            return Err(UserError::SupervisesUsers(supervises));
        }
        let nobody = supervises_nobody(person.id, &company_ids);
        let kept: BTreeSet<_> = person
            .permissions
            .iter()
            .filter(|grant| grant.company.is_none_or(|id| !company_ids.contains(&id)))
            .cloned()
            .collect();
        let mut events: Vec<UserEvent> = vec![UserCompaniesRemoved { company_ids }.into()];
        if kept != person.permissions {
            events.push(UserPermissionsSet { permissions: kept }.into());
        }
        Ok(Decision::of(ctx, user, events).requiring(nobody))
    }
}

/// Whom a user supervises, as far as that was looked up, in those of the companies where it does.
pub(super) fn supervised(
    ctx: &Context<'_>,
    supervisor: UserId,
    companies: &[CompanyId],
) -> Vec<(CompanyId, Holders)> {
    companies
        .iter()
        .map(|company| {
            let claim = Claim::Supervises {
                supervisor,
                company: *company,
            };
            (*company, ctx.facts.holders(&claim).clone())
        })
        .filter(|(_, holders)| holders.count > 0)
        .collect()
}

/// That nobody came under the user's supervision since it was looked up.
pub(super) fn supervises_nobody(supervisor: UserId, companies: &[CompanyId]) -> Vec<Requires> {
    companies
        .iter()
        .map(|company| {
            Requires::Free(Claim::Supervises {
                supervisor,
                company: *company,
            })
        })
        .collect()
}

/// Changes what a user is in one company; what is `None` stays as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpdateUserCompany {
    /// The company.
    pub company_id: CompanyId,
    /// Whether it can be chosen as addressee of invoices.
    pub show_as_addressee: Option<bool>,
    /// The nearest manager; `Some(None)`: the user itself (R31).
    pub supervisor: Option<Option<UserId>>,
    /// What its rows are coded with there.
    pub coding_allegiances: Option<BTreeSet<Allegiance>>,
    /// What invoices are addressed to it by there.
    pub routing_allegiances: Option<BTreeSet<Allegiance>>,
}

impl UpdateUserCompany {
    /// A change of nothing yet.
    #[must_use]
    pub const fn of(company_id: CompanyId) -> Self {
        Self {
            company_id,
            show_as_addressee: None,
            supervisor: None,
            coding_allegiances: None,
            routing_allegiances: None,
        }
    }
}

impl Decide for UpdateUserCompany {
    type Aggregate = User;

    fn reads(&self, _account: &Account, user: &User) -> Reads {
        let own = user.person().map(super::Person::id);
        let other = self.supervisor.flatten().filter(|id| Some(*id) != own);
        Reads {
            users: other.into_iter().collect(),
            ..Reads::default()
        }
    }

    fn decide(self, ctx: &Context<'_>, user: &User) -> Result<Decision<User>, UserError> {
        let person = user.must_be_present(ctx)?;
        let company_id = self.company_id;
        ctx.account.must_have_companies([company_id])?;
        let Some(now) = person.companies.get(&company_id) else {
            return Err(UserError::CompanyNotLinked(company_id));
        };
        let then = CompanyProperties {
            show_as_addressee: self.show_as_addressee.unwrap_or(now.show_as_addressee),
            supervisor: self
                .supervisor
                .map_or(now.supervisor, |given| given.unwrap_or(person.id)),
            allegiances: Allegiances {
                coding: (self.coding_allegiances).unwrap_or_else(|| now.allegiances.coding.clone()),
                routing: (self.routing_allegiances)
                    .unwrap_or_else(|| now.allegiances.routing.clone()),
            },
        };
        if then.supervisor != now.supervisor
            && let Some(unfit) = unfit(ctx, person.id, company_id, then.supervisor)
        {
            return Err(UserError::SupervisorsUnfit(vec![unfit]));
        }
        let events = changes(company_id, now, then);
        Ok(Decision::of(ctx, user, events))
    }
}

/// What happens to a user that becomes this in a company.
pub(super) fn changes(
    company_id: CompanyId,
    now: &CompanyProperties,
    then: CompanyProperties,
) -> Vec<UserEvent> {
    let CompanyProperties {
        show_as_addressee: shown,
        supervisor,
        allegiances,
    } = then;
    let mut events: Vec<UserEvent> = Vec::new();
    if shown != now.show_as_addressee {
        events.push(UserShownAsAddressee { company_id, shown }.into());
    }
    if supervisor != now.supervisor {
        let changed = UserSupervisorChanged {
            company_id,
            supervisor,
        };
        events.push(changed.into());
    }
    if allegiances != now.allegiances {
        let set = UserAllegiancesSet {
            company_id,
            allegiances,
        };
        events.push(set.into());
    }
    events
}

#[cfg(test)]
mod tests;
