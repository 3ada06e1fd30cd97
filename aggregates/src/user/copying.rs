//! What one user has, given to another; and what a user is in one company, given to it in others.

use std::collections::BTreeSet;

use super::companies::{self, LinkedCompany, NewCompany, UserCompaniesAdded};
use super::{CompanyProperties, CreateUser, Person, User, UserError, UserEvent};
use crate::account::Account;
use crate::domain::{Context, Decide, Decision, Reads};
use crate::values::{CompanyId, UserId, UserType};

/// Creates a user with the rights of another: its roles, grants and companies, and all it is in them (R9). The source stays
/// as it is. Where its supervisor could not be given to anybody now, the copy is its own.
#[derive(Clone, Debug, PartialEq)]
pub struct CopyUser {
    source: UserId,
    supervisors: BTreeSet<UserId>,
    new: CreateUser,
    user_type: Option<UserType>,
}

impl CopyUser {
    /// A copy of the source as it was loaded. Of the new user the rights are taken from the source, and the type where none
    /// is given; a STANDARD copy of an administrator has no grants on administrator-only modules (R11).
    #[must_use]
    pub fn of(source: UserId, loaded: &User, new: CreateUser, user_type: Option<UserType>) -> Self {
        let companies = loaded.person().into_iter().flat_map(Person::companies);
        let supervisors = companies.map(|(_, properties)| properties.supervisor);
        Self {
            source,
            supervisors: supervisors.filter(|id| *id != source).collect(),
            new,
            user_type,
        }
    }

    fn from(self, ctx: &Context<'_>, source: &Person) -> CreateUser {
        let user_type = self.user_type.unwrap_or(source.user_type);
        let own = self.new.user_id;
        let companies = source.companies.iter();
        CreateUser {
            user_type,
            roles: source.roles.clone(),
            permissions: ctx.account.allowed(user_type, &source.permissions),
            companies: companies
                .map(|(company, properties)| NewCompany {
                    company_id: *company,
                    supervisor: Some(properties.supervisor)
                        .filter(|id| *id != source.id)
                        .filter(|id| companies::unfit(ctx, own, *company, *id).is_none()),
                    show_as_addressee: properties.show_as_addressee,
                    allegiances: properties.allegiances.clone(),
                })
                .collect(),
            copied_from: Some(self.source),
            ..self.new
        }
    }
}

impl Decide for CopyUser {
    type Aggregate = User;

    fn reads(&self, _account: &Account, _user: &User) -> Reads {
        let mut users = self.supervisors.clone();
        users.insert(self.source);
        Reads {
            users,
            ..Reads::default()
        }
    }

    fn decide(self, ctx: &Context<'_>, user: &User) -> Result<Decision<User>, UserError> {
        let source = ctx.facts.user(self.source).ok_or(UserError::NotFound)?;
        let source = source.must_be_present(ctx)?;
        self.from(ctx, source).decide(ctx, user)
    }
}

/// What is copied from one company to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopiedProperties {
    /// All that the user is there.
    Everything,
    /// Whether it can be chosen as addressee.
    ShowAsAddressee,
    /// What it stands for.
    Allegiances,
    /// Its supervisor.
    Supervisor,
}

impl CopiedProperties {
    /// What the user is in a company once these were copied there.
    fn onto(self, now: &CompanyProperties, source: &CompanyProperties) -> CompanyProperties {
        let CompanyProperties {
            show_as_addressee,
            supervisor,
            allegiances,
        } = source.clone();
        match self {
            Self::Everything => source.clone(),
            Self::ShowAsAddressee => CompanyProperties {
                show_as_addressee,
                ..now.clone()
            },
            Self::Allegiances => CompanyProperties {
                allegiances,
                ..now.clone()
            },
            Self::Supervisor => CompanyProperties {
                supervisor,
                ..now.clone()
            },
        }
    }

    const fn include_the_supervisor(self) -> bool {
        match self {
            Self::Everything | Self::Supervisor => true,
            Self::ShowAsAddressee | Self::Allegiances => false,
        }
    }
}

/// Makes a user in other companies what it is in one (R32). It is linked to those it does not have yet. Where the supervisor
/// has no such company or is inactive, the user becomes its own there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyUserCompany {
    /// The company it has.
    pub source: CompanyId,
    /// Those that become like it.
    pub targets: BTreeSet<CompanyId>,
    /// In what.
    pub what: CopiedProperties,
}

impl CopyUserCompany {
    fn onto(
        &self,
        ctx: &Context<'_>,
        person: &Person,
        source: &CompanyProperties,
        target: CompanyId,
    ) -> CompanyProperties {
        let fresh = CompanyProperties::of_its_own(person.id);
        let now = person.companies.get(&target).unwrap_or(&fresh);
        let mut then = self.what.onto(now, source);
        if self.what.include_the_supervisor()
            && companies::unfit(ctx, person.id, target, then.supervisor).is_some()
        {
            then.supervisor = person.id;
        }
        then
    }
}

impl Decide for CopyUserCompany {
    type Aggregate = User;

    fn reads(&self, _account: &Account, user: &User) -> Reads {
        let supervisor = user.person().and_then(|person| {
            let properties = person.companies.get(&self.source)?;
            Some(properties.supervisor).filter(|id| *id != person.id)
        });
        let read = supervisor.filter(|_| self.what.include_the_supervisor());
        Reads {
            users: read.into_iter().collect(),
            ..Reads::default()
        }
    }

    fn decide(self, ctx: &Context<'_>, user: &User) -> Result<Decision<User>, UserError> {
        let person = user.must_be_present(ctx)?;
        ctx.account.must_have_companies([self.source])?;
        let Some(source) = person.companies.get(&self.source) else {
            return Err(UserError::CompanyNotLinked(self.source));
        };
        ctx.account.must_have_companies(self.targets.clone())?;
        let mut events: Vec<UserEvent> = Vec::new();
        let mut added = Vec::new();
        for target in &self.targets {
            let then = self.onto(ctx, person, source, *target);
            match person.companies.get(target) {
                Some(now) => events.extend(companies::changes(*target, now, then)),
                None => added.push(LinkedCompany::new(*target, then)),
            }
        }
        if !added.is_empty() {
            events.push(UserCompaniesAdded { companies: added }.into());
        }
        Ok(Decision::of(ctx, user, events))
    }
}

#[cfg(test)]
mod tests;
