//! The companies of an account.

use serde::{Deserialize, Serialize};

use super::{Account, AccountError};
use crate::domain::{Apply, Claim, Context, Decide, Decision, Requires, Timestamp};
use crate::values::{CompanyId, CompanyTitle};

/// The account has one more company.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CompanyAdded {
    /// The company.
    pub company_id: CompanyId,
    /// What it is called.
    pub title: CompanyTitle,
}

/// A company is called something else.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CompanyRenamed {
    /// The company.
    pub company_id: CompanyId,
    /// What it is called now.
    pub title: CompanyTitle,
}

/// The account has one company less.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CompanyRemoved {
    /// The company.
    pub company_id: CompanyId,
}

impl Apply<Account> for CompanyAdded {
    fn apply(self, _at: Timestamp, account: &mut Account) {
        account.companies.insert(self.company_id, self.title);
    }
}

impl Apply<Account> for CompanyRenamed {
    fn apply(self, _at: Timestamp, account: &mut Account) {
        account.companies.insert(self.company_id, self.title);
    }
}

impl Apply<Account> for CompanyRemoved {
    fn apply(self, _at: Timestamp, account: &mut Account) {
        account.companies.remove(&self.company_id);
    }
}

impl Account {
    fn title_must_be_free(&self, title: &CompanyTitle, but: CompanyId) -> Result<(), AccountError> {
        let folded = title.folded();
        let taken = self
            .companies
            .iter()
            .any(|(id, title)| *id != but && title.folded() == folded);
        if taken {
            return Err(AccountError::CompanyTitleTaken);
        }
        Ok(())
    }
}

/// Adds a company.
#[derive(Clone, Debug, PartialEq)]
pub struct AddCompany {
    /// The company.
    pub company_id: CompanyId,
    /// What it is called; unique in the account.
    pub title: CompanyTitle,
}

impl Decide for AddCompany {
    type Aggregate = Account;

    fn decide(
        self,
        ctx: &Context<'_>,
        account: &Account,
    ) -> Result<Decision<Account>, AccountError> {
        account.must_exist()?;
        match account.companies.get(&self.company_id) {
            Some(title) if *title == self.title => return Ok(Decision::nothing()),
            Some(_) => return Err(AccountError::CompanyExists(self.company_id)),
            None => {}
        }
        account.title_must_be_free(&self.title, self.company_id)?;
        let added = CompanyAdded {
            company_id: self.company_id,
            title: self.title,
        };
        Ok(Decision::of(ctx, account, vec![added.into()]))
    }
}

/// Calls a company something else.
#[derive(Clone, Debug, PartialEq)]
pub struct RenameCompany {
    /// The company.
    pub company_id: CompanyId,
    /// What it is called from now on; unique in the account.
    pub title: CompanyTitle,
}

impl Decide for RenameCompany {
    type Aggregate = Account;

    fn decide(
        self,
        ctx: &Context<'_>,
        account: &Account,
    ) -> Result<Decision<Account>, AccountError> {
        account.must_exist()?;
        match account.companies.get(&self.company_id) {
            None => return Err(AccountError::CompanyNotFound(self.company_id)),
            Some(title) if *title == self.title => return Ok(Decision::nothing()),
            Some(_) => {}
        }
        account.title_must_be_free(&self.title, self.company_id)?;
        let renamed = CompanyRenamed {
            company_id: self.company_id,
            title: self.title,
        };
        Ok(Decision::of(ctx, account, vec![renamed.into()]))
    }
}

/// Removes a company that no user is linked to or has a grant in (R70).
#[derive(Clone, Debug, PartialEq)]
pub struct RemoveCompany {
    /// The company.
    pub company_id: CompanyId,
}

impl Decide for RemoveCompany {
    type Aggregate = Account;

    fn decide(
        self,
        ctx: &Context<'_>,
        account: &Account,
    ) -> Result<Decision<Account>, AccountError> {
        account.must_exist()?;
        let company_id = self.company_id;
        if !account.companies.contains_key(&company_id) {
            return Err(AccountError::CompanyNotFound(company_id));
        }
        let unused = Requires::Free(Claim::CompanyMember(company_id));
        let removed = CompanyRemoved { company_id };
        Ok(Decision::of(ctx, account, vec![removed.into()]).requiring([unused]))
    }
}

#[cfg(test)]
mod tests;
