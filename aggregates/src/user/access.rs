//! Whether a user may use a module, and if not, why (R71).

use std::collections::{BTreeMap, BTreeSet};

use super::{CompanyProperties, Person, State, User, UserError};
use crate::access::{Access, ExternalUser};
use crate::account::Account;
use crate::domain::Timestamp;
use crate::values::{CompanyId, ModuleName, Permission, UserType};

/// Why a user may not use a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AccessDenial {
    /// It was deleted.
    Deleted,
    /// It is inactive.
    Inactive,
    /// It is locked.
    Locked,
    /// It must change its password first.
    PasswordChangeRequired,
    /// It has not completed its onboarding.
    NotOnboarded,
    /// The session began before sessions were ended.
    SessionsEnded,
    /// The account has no such module.
    ModuleUnknown,
    /// It is not linked to the company, or the account has no such company.
    CompanyNotLinked,
    /// It has no grant on the module there.
    NoGrant,
    /// It is a user of another account, and its access to this one was revoked.
    AccessRevoked,
}

impl AccessDenial {
    /// The name the outside knows it by.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deleted => "DELETED",
            Self::Inactive => "INACTIVE",
            Self::Locked => "LOCKED",
            Self::PasswordChangeRequired => "PASSWORD_CHANGE_REQUIRED",
            Self::NotOnboarded => "NOT_ONBOARDED",
            Self::SessionsEnded => "SESSIONS_ENDED",
            Self::ModuleUnknown => "MODULE_UNKNOWN",
            Self::CompanyNotLinked => "COMPANY_NOT_LINKED",
            Self::NoGrant => "NO_GRANT",
            Self::AccessRevoked => "ACCESS_REVOKED",
        }
    }
}

/// Whether a user may use a module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessAnswer {
    /// Whether it may.
    pub allowed: bool,
    /// Everything that speaks against it; empty exactly when it may.
    pub why: Vec<AccessDenial>,
}

impl AccessAnswer {
    const fn of(why: Vec<AccessDenial>) -> Self {
        Self {
            allowed: why.is_empty(),
            why,
        }
    }
}

/// What somebody wants to use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Use<'a> {
    /// The module.
    pub module: &'a ModuleName,
    /// In which company; none: in the account as a whole.
    pub company: Option<CompanyId>,
    /// When the session in question began, where there is one.
    pub session_began: Option<Timestamp>,
    /// When it wants to.
    pub now: Timestamp,
}

/// What a user of another account is as an external one.
#[derive(Clone, Copy, Debug)]
pub struct External<'a> {
    /// Its home account.
    pub home: &'a Account,
    /// Its access to the account in question.
    pub access: &'a Access,
}

/// Whether a user may use a module in the account, or in one company of it.
///
/// A grant for the whole account covers each company; a grant for one company does not cover the account. An
/// administrator has every module everywhere; a STANDARD user must be linked to the company, too. A user of another account
/// is judged by what it is as an external one: by the type and the grants that it has here, and without links, since it has
/// none; whether it may sign in is told by what it is at home. Locks and the age of a password are judged by the clock.
///
/// # Errors
/// When the account has no such user.
pub fn check_access(
    account: &Account,
    user: &User,
    external: Option<External<'_>>,
    wanted: &Use<'_>,
) -> Result<AccessAnswer, UserError> {
    if user.account_id().is_some() && user.account_id() == account.id() {
        return match &user.state {
            State::NotYet => Err(UserError::NotFound),
            State::Deleted(_) => Ok(AccessAnswer::of(vec![AccessDenial::Deleted])),
            State::Present(person) => {
                let sessions = person.sessions_valid_from;
                let mut why = person.may_not_sign_in(account, sessions, wanted);
                why.extend(person.rights().lack(account, wanted));
                Ok(AccessAnswer::of(why))
            }
        };
    }
    let here = |external: &External<'_>| external.access.account_id() == account.id();
    let External { home, access } = external.filter(here).ok_or(UserError::NotFound)?;
    let (Some(external), Some(person)) = (access.external(), user.person()) else {
        return match access.key() {
            Some(_) => Ok(AccessAnswer::of(vec![AccessDenial::Deleted])),
            None => Err(UserError::NotFound),
        };
    };
    if !external.is_granted() {
        return Ok(AccessAnswer::of(vec![AccessDenial::AccessRevoked]));
    }
    let sessions = external
        .sessions_valid_from()
        .max(person.sessions_valid_from);
    let mut why = person.may_not_sign_in(home, sessions, wanted);
    why.extend(Rights::of_external(external).lack(account, wanted));
    Ok(AccessAnswer::of(why))
}

/// What somebody may use in an account.
struct Rights<'a> {
    user_type: UserType,
    permissions: &'a BTreeSet<Permission>,
    /// The companies it must be linked to; none where it need not be.
    companies: Option<&'a BTreeMap<CompanyId, CompanyProperties>>,
}

impl<'a> Rights<'a> {
    fn of_external(external: &'a ExternalUser) -> Self {
        Self {
            user_type: external.user_type(),
            permissions: external.permissions(),
            companies: None,
        }
    }

    fn lack(&self, account: &Account, wanted: &Use<'_>) -> Vec<AccessDenial> {
        let Use {
            module, company, ..
        } = wanted;
        let known_module = account.modules().contains_key(*module);
        let known_company = company.is_none_or(|id| account.companies().contains_key(&id));
        let is_linked =
            |id: CompanyId| self.companies.is_none_or(|linked| linked.contains_key(&id));
        let (linked, granted) = match self.user_type {
            UserType::Administrator => (true, true),
            UserType::Standard => (
                company.is_none_or(is_linked),
                !account.is_administrator_only(module)
                    && self
                        .permissions
                        .iter()
                        .any(|grant| grant.covers(module, *company)),
            ),
        };
        let mut lacks = Vec::new();
        if !known_module {
            lacks.push(AccessDenial::ModuleUnknown);
        }
        if !(known_company && linked) {
            lacks.push(AccessDenial::CompanyNotLinked);
        }
        if known_module && !granted {
            lacks.push(AccessDenial::NoGrant);
        }
        lacks
    }
}

impl Person {
    const fn rights(&self) -> Rights<'_> {
        Rights {
            user_type: self.user_type,
            permissions: &self.permissions,
            companies: Some(&self.companies),
        }
    }

    fn may_not_sign_in(
        &self,
        home: &Account,
        sessions: Timestamp,
        wanted: &Use<'_>,
    ) -> Vec<AccessDenial> {
        let facets = self.facets().at(home.settings(), wanted.now);
        let ended = wanted.session_began.is_some_and(|began| began < sessions);
        let mut why = Vec::new();
        let mut denied = |holds: bool, denial: AccessDenial| {
            if holds {
                why.push(denial);
            }
        };
        denied(!facets.active, AccessDenial::Inactive);
        denied(
            facets.locked || facets.auto_locked_at.is_some(),
            AccessDenial::Locked,
        );
        denied(facets.new_password, AccessDenial::PasswordChangeRequired);
        denied(!facets.onboarded, AccessDenial::NotOnboarded);
        denied(ended, AccessDenial::SessionsEnded);
        why
    }
}

#[cfg(test)]
mod tests;
