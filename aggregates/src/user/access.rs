//! Whether a user may use a module, and if not, why (R71).

use super::{Person, State, User, UserError};
use crate::account::Account;
use crate::domain::Timestamp;
use crate::values::{CompanyId, ModuleName, UserType};

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
        }
    }
}

/// Whether a user may use a module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// Whether it may.
    pub allowed: bool,
    /// Everything that speaks against it; empty exactly when it may.
    pub why: Vec<AccessDenial>,
}

impl Access {
    const fn of(why: Vec<AccessDenial>) -> Self {
        Self {
            allowed: why.is_empty(),
            why,
        }
    }
}

/// Whether a user may use a module in the account, or in one company of it.
///
/// A grant for the whole account covers each company; a grant for one company does not cover the account. An
/// administrator has every module everywhere; a STANDARD user must be linked to the company, too. `session_began` is when
/// the session in question began, where there is one. Locks and the age of a password are judged by the clock.
///
/// # Errors
/// When the account has no such user.
pub fn check_access(
    account: &Account,
    user: &User,
    module: &ModuleName,
    company: Option<CompanyId>,
    session_began: Option<Timestamp>,
    now: Timestamp,
) -> Result<Access, UserError> {
    if user.account_id().is_none() || user.account_id() != account.id() {
        return Err(UserError::NotFound);
    }
    let person = match &user.state {
        State::NotYet => return Err(UserError::NotFound),
        State::Deleted(_) => return Ok(Access::of(vec![AccessDenial::Deleted])),
        State::Present(person) => person,
    };
    let facets = person.facets().at(account.settings(), now);
    let ended = session_began.is_some_and(|began| began < person.sessions_valid_from);
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
    why.extend(person.lacks(account, module, company));
    Ok(Access::of(why))
}

impl Person {
    fn lacks(
        &self,
        account: &Account,
        module: &ModuleName,
        company: Option<CompanyId>,
    ) -> Vec<AccessDenial> {
        let known_module = account.modules().contains_key(module);
        let known_company = company.is_none_or(|id| account.companies().contains_key(&id));
        let (linked, granted) = match self.user_type {
            UserType::Administrator => (true, true),
            UserType::Standard => (
                company.is_none_or(|id| self.companies.contains_key(&id)),
                !account.is_administrator_only(module)
                    && self
                        .permissions
                        .iter()
                        .any(|grant| grant.covers(module, company)),
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

#[cfg(test)]
mod tests;
