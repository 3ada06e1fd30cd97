//! Commands on one account.

use std::collections::BTreeSet;

use rollbook_aggregates::access::UpdateAccess;
use rollbook_aggregates::account::{Account, DefineModule, HeldGrants};
use rollbook_aggregates::domain::{Claim, Decide};
use rollbook_aggregates::user::{DropForbiddenGrants, NewCompany, User};
use rollbook_aggregates::values::CompanyId;
use serde::{Deserialize, Serialize};

use super::{CreateUserPlan, UserOutcome};
use crate::convert::NewAccount;
use crate::executor::{Plan, Unit};
use crate::failure::Outcome;

/// An account, as a command left it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AccountOutcome {
    /// Its revision then.
    pub revision: u64,
    /// The company that was added, where one was.
    pub company: Option<CompanyId>,
}

/// A command on an account that is there.
pub struct OnAccount<C> {
    /// What to do.
    pub command: C,
    /// The company it adds.
    pub company: Option<CompanyId>,
}

impl<C> Plan for OnAccount<C>
where
    C: Decide<Aggregate = Account> + Clone + Send + Sync,
{
    type Outcome = AccountOutcome;

    async fn plan(&self, unit: &mut Unit<'_>) -> Outcome<AccountOutcome> {
        let id = unit.order().account_id.as_str();
        unit.account().await?;
        unit.expect_revision::<Account>(id)?;
        unit.decide(id, self.command.clone()).await?;
        Ok(AccountOutcome {
            revision: unit.revision::<Account>(id),
            company: self.company,
        })
    }
}

/// Defines a module; where it becomes administrator-only, those who lose their grants with it do so in the same commit (R11).
pub struct DefineModulePlan(pub DefineModule);

/// A module that was defined.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DefinedModule {
    /// The account's revision.
    pub revision: u64,
    /// How many users lost grants.
    pub changed: u64,
}

impl Plan for DefineModulePlan {
    type Outcome = DefinedModule;

    async fn plan(&self, unit: &mut Unit<'_>) -> Outcome<DefinedModule> {
        let id = unit.order().account_id.as_str();
        let account = unit.account().await?;
        unit.expect_revision::<Account>(id)?;
        let mut define = self.0.clone();
        let mut losers = BTreeSet::new();
        if let HeldGrants::Drop(users) = &mut define.held
            && self.0.narrows(&account)
        {
            let held = Claim::StandardModuleHolder(self.0.module.clone());
            losers = unit.users_with(&[held]).await?.pop().unwrap_or_default();
            users.clone_from(&losers);
        }
        unit.decide(id, define).await?;
        let ids: Vec<String> = losers.iter().map(ToString::to_string).collect();
        unit.load_all::<User>(&ids).await?;
        for user in &losers {
            match unit.external(*user).await? {
                // It keeps what the account as it is now allows.
                Some(access) => unit.decide(&access, keep_what_is_allowed()).await?,
                None => unit.decide(&user.to_string(), DropForbiddenGrants).await?,
            }
        }
        Ok(DefinedModule {
            revision: unit.revision::<Account>(id),
            changed: losers.len() as u64,
        })
    }
}

const fn keep_what_is_allowed() -> UpdateAccess {
    UpdateAccess {
        user_type: None,
        permissions: None,
    }
}

/// Creates an account and its first administrator in one commit (R12).
pub struct CreateAccountPlan {
    /// The account.
    pub new: NewAccount,
    /// The ids its companies are to have.
    pub companies: Vec<CompanyId>,
    /// The administrator.
    pub administrator: CreateUserPlan,
}

/// A new account, and its first administrator.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CreatedAccount {
    /// The account's revision.
    pub revision: u64,
    /// The administrator.
    pub administrator: UserOutcome,
}

impl Plan for CreateAccountPlan {
    type Outcome = CreatedAccount;

    async fn plan(&self, unit: &mut Unit<'_>) -> Outcome<CreatedAccount> {
        let id = unit.order().account_id.as_str();
        unit.decide(id, self.new.create(&self.companies)).await?;
        let mut create = self.administrator.create(unit);
        create.companies = self.companies.iter().map(linked).collect();
        self.administrator
            .stage(unit, create)
            .await
            .map_err(|failure| failure.within("administrator"))?;
        let user = self.administrator.user;
        Ok(CreatedAccount {
            revision: unit.revision::<Account>(id),
            administrator: UserOutcome {
                user,
                revision: unit.revision::<User>(&user.to_string()),
            },
        })
    }
}

fn linked(company_id: &CompanyId) -> NewCompany {
    NewCompany::of(*company_id)
}
