//! Whether what a user or an invitation is given is in the account's catalogue, and may be given.

use std::collections::BTreeSet;
use std::fmt::Display;

use super::Account;
use crate::domain::{Reason, Refusal, Violation};
use crate::values::{CompanyId, ModuleName, Permission, RoleName, UserType};

/// Why something cannot be given to a user.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CatalogueError {
    /// The account has no such roles.
    #[error("the account has no role {}", list(.0))]
    RolesNotFound(Vec<RoleName>),
    /// The account has no such modules.
    #[error("the account has no module {}", list(.0))]
    ModulesNotFound(Vec<ModuleName>),
    /// The account has no such companies.
    #[error("the account has no company {}", list(.0))]
    CompaniesNotFound(Vec<CompanyId>),
    /// STANDARD users cannot have these modules (R11).
    #[error("only administrators can have module {}", list(.0))]
    AdministratorsOnly(Vec<ModuleName>),
}

fn list<T: Display>(items: &[T]) -> String {
    let texts: Vec<String> = items.iter().map(T::to_string).collect();
    texts.join(", ")
}

impl Refusal for CatalogueError {
    fn reason(&self) -> Reason {
        match self {
            Self::RolesNotFound(_) => Reason::RoleNotFound,
            Self::ModulesNotFound(_) => Reason::ModuleNotFound,
            Self::CompaniesNotFound(_) => Reason::CompanyNotFound,
            Self::AdministratorsOnly(_) => Reason::ModuleAdministratorOnly,
        }
    }

    fn violations(&self) -> Vec<Violation> {
        match self {
            Self::AdministratorsOnly(modules) => modules
                .iter()
                .map(|module| {
                    let why = format!("module {module} is for administrators only");
                    Violation::new(self.reason().as_str(), module.as_str(), why)
                })
                .collect(),
            Self::RolesNotFound(_) | Self::ModulesNotFound(_) | Self::CompaniesNotFound(_) => {
                Vec::new()
            }
        }
    }
}

impl Account {
    /// Refuses roles that the catalogue does not have (R10).
    ///
    /// # Errors
    /// Names all that are missing.
    pub fn must_have_roles(&self, roles: &BTreeSet<RoleName>) -> Result<(), CatalogueError> {
        let missing = roles.iter().filter(|role| !self.roles.contains_key(*role));
        none(missing.cloned(), CatalogueError::RolesNotFound)
    }

    /// Refuses companies that the account does not have.
    ///
    /// # Errors
    /// Names all that are missing.
    pub fn must_have_companies(
        &self,
        companies: impl IntoIterator<Item = CompanyId>,
    ) -> Result<(), CatalogueError> {
        let missing = companies
            .into_iter()
            .filter(|company| !self.companies.contains_key(company));
        none(missing, CatalogueError::CompaniesNotFound)
    }

    /// Refuses grants on modules or in companies that the account does not have, and, to a STANDARD user, on modules
    /// that are for administrators only (R11).
    ///
    /// # Errors
    /// Names all of the first kind that is found.
    pub fn must_allow(
        &self,
        user_type: UserType,
        permissions: &BTreeSet<Permission>,
    ) -> Result<(), CatalogueError> {
        let modules: BTreeSet<&ModuleName> =
            permissions.iter().map(|grant| &grant.module).collect();
        let missing = modules
            .iter()
            .filter(|module| !self.modules.contains_key(**module));
        none(
            missing.map(|module| (*module).clone()),
            CatalogueError::ModulesNotFound,
        )?;
        let companies: BTreeSet<CompanyId> = permissions
            .iter()
            .filter_map(|grant| grant.company)
            .collect();
        self.must_have_companies(companies)?;
        match user_type {
            UserType::Administrator => Ok(()),
            UserType::Standard => {
                let forbidden = modules
                    .into_iter()
                    .filter(|module| self.is_administrator_only(module));
                none(forbidden.cloned(), CatalogueError::AdministratorsOnly)
            }
        }
    }

    /// Those of the grants that a user of this type may keep.
    pub(crate) fn allowed(
        &self,
        user_type: UserType,
        permissions: &BTreeSet<Permission>,
    ) -> BTreeSet<Permission> {
        permissions
            .iter()
            .filter(|grant| match user_type {
                UserType::Administrator => true,
                UserType::Standard => !self.is_administrator_only(&grant.module),
            })
            .cloned()
            .collect()
    }
}

fn none<T>(
    found: impl Iterator<Item = T>,
    error: impl FnOnce(Vec<T>) -> CatalogueError,
) -> Result<(), CatalogueError> {
    let found: Vec<T> = found.collect();
    if found.is_empty() {
        Ok(())
    } else {
        Err(error(found))
    }
}
