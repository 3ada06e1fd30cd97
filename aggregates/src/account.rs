//! An account: one customer installation, with its settings, its companies and its catalogue of roles and modules.
//!
//! Nothing in it is personal. Its revision is checked by every command of its users, so that no role, module, company
//! or setting changes under them.

mod catalogue;
mod companies;
mod listed;
mod opening;
mod refusals;
mod settings;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

pub use catalogue::{
    DefineModule, DefineRole, HeldGrants, Module, ModuleDefined, ModuleRemoved, RemoveModule,
    RemoveRole, RoleDefined, RoleRemoved,
};
pub use companies::{
    AddCompany, CompanyAdded, CompanyRemoved, CompanyRenamed, RemoveCompany, RenameCompany,
};
pub use listed::CatalogueError;
pub use opening::{AccountCreated, CreateAccount};
pub use refusals::AccountError;
pub use settings::{
    AccountTitleChanged, ArrivalRegistrationSwitched, InvitationValidityChanged,
    LockDurationChanged, LoginChanged, MaxFailedSignInsChanged, PasswordAuthorityChanged,
    PasswordChangeRestricted, PasswordMaxAgeChanged, Settings, UpdateAccountSettings,
    WelcomeValidityChanged,
};

use crate::domain::{
    Claim, Claimant, Decide, Guards, Held, Holders, Recorded, Requires, Surroundings, Timestamp,
    command_set, event_set,
};
use crate::values::{
    AccountId, AccountTitle, CompanyId, CompanyTitle, ModuleName, RoleName, RoleTitle,
};

event_set! {
    /// Everything that can happen to an account.
    AccountEvent for Account {
        AccountCreated,
        AccountTitleChanged,
        LoginChanged,
        PasswordAuthorityChanged,
        InvitationValidityChanged,
        WelcomeValidityChanged,
        MaxFailedSignInsChanged,
        LockDurationChanged,
        PasswordMaxAgeChanged,
        PasswordChangeRestricted,
        ArrivalRegistrationSwitched,
        CompanyAdded,
        CompanyRenamed,
        CompanyRemoved,
        RoleDefined,
        RoleRemoved,
        ModuleDefined,
        ModuleRemoved,
    }
}

command_set! {
    /// Everything a caller can ask of an account.
    AccountCommand for Account {
        CreateAccount,
        UpdateAccountSettings,
        AddCompany,
        RenameCompany,
        RemoveCompany,
        DefineRole,
        RemoveRole,
        DefineModule,
        RemoveModule,
    }
}

/// An account as it is; by default it does not exist yet.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Account {
    opened: Option<Opened>,
    settings: Settings,
    companies: BTreeMap<CompanyId, CompanyTitle>,
    roles: BTreeMap<RoleName, RoleTitle>,
    modules: BTreeMap<ModuleName, Module>,
    #[serde(skip)]
    guards: Guards,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Opened {
    id: AccountId,
    title: AccountTitle,
    at: Timestamp,
    modified_at: Timestamp,
}

impl Account {
    /// The id, once it exists.
    #[must_use]
    pub fn id(&self) -> Option<&AccountId> {
        self.opened.as_ref().map(|opened| &opened.id)
    }

    /// What it is called, once it exists.
    #[must_use]
    pub fn title(&self) -> Option<&AccountTitle> {
        self.opened.as_ref().map(|opened| &opened.title)
    }

    /// When it was created, once it exists.
    #[must_use]
    pub fn created_at(&self) -> Option<Timestamp> {
        self.opened.as_ref().map(|opened| opened.at)
    }

    /// When it was changed last, once it exists.
    #[must_use]
    pub fn modified_at(&self) -> Option<Timestamp> {
        self.opened.as_ref().map(|opened| opened.modified_at)
    }

    /// Its settings.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Its companies.
    #[must_use]
    pub const fn companies(&self) -> &BTreeMap<CompanyId, CompanyTitle> {
        &self.companies
    }

    /// The roles of its catalogue.
    #[must_use]
    pub const fn roles(&self) -> &BTreeMap<RoleName, RoleTitle> {
        &self.roles
    }

    /// The modules of its catalogue.
    #[must_use]
    pub const fn modules(&self) -> &BTreeMap<ModuleName, Module> {
        &self.modules
    }

    /// Whether a module is for administrators only.
    #[must_use]
    pub fn is_administrator_only(&self, module: &ModuleName) -> bool {
        self.modules
            .get(module)
            .is_some_and(|module| module.administrator_only)
    }

    /// What a commit of the stock framework needs beyond the events of the last command.
    #[must_use]
    pub const fn guards(&self) -> &Guards {
        &self.guards
    }

    pub(crate) const fn must_exist(&self) -> Result<(), AccountError> {
        match self.opened {
            Some(_) => Ok(()),
            None => Err(AccountError::NotFound),
        }
    }
}

impl Claimant for Account {
    type Happening = AccountEvent;

    fn claims(&self) -> BTreeSet<Held> {
        BTreeSet::new()
    }

    fn refusal_of(requires: &Requires, holders: &Holders) -> Option<AccountError> {
        match requires {
            Requires::Free(Claim::CompanyMember(id)) => Some(AccountError::CompanyInUse {
                company: *id,
                users: holders.clone(),
            }),
            Requires::Free(Claim::RoleHolder(role)) => Some(AccountError::RoleInUse {
                role: role.clone(),
                users: holders.clone(),
            }),
            Requires::Free(Claim::ModuleHolder(module)) => Some(AccountError::ModuleInUse {
                module: module.clone(),
                users: holders.clone(),
            }),
            Requires::Free(Claim::StandardModuleHolder(module)) => {
                Some(AccountError::ModuleHeldByStandardUsers {
                    module: module.clone(),
                    users: holders.clone(),
                })
            }
            Requires::Unshared { .. } => Some(AccountError::EmailShared {
                users: holders.clone(),
            }),
            Requires::HeldBy { .. } => Some(AccountError::NotAdministrator),
            Requires::Free(_)
            | Requires::FreeBut { .. }
            | Requires::Another { .. }
            | Requires::Exactly { .. } => None,
        }
    }
}

impl cqrs_es::Aggregate for Account {
    const TYPE: &'static str = "account";
    type Command = AccountCommand;
    type Event = Recorded<AccountEvent>;
    type Error = AccountError;
    type Services = Surroundings;

    async fn handle(
        &mut self,
        command: AccountCommand,
        services: &Surroundings,
        sink: &cqrs_es::event_sink::EventSink<Self>,
    ) -> Result<(), AccountError> {
        let decision = command.decide(&services.context(), self)?;
        self.guards = decision.guards();
        for event in decision.events {
            sink.write(event, self).await;
        }
        Ok(())
    }

    fn apply(&mut self, recorded: Recorded<AccountEvent>) {
        let at = recorded.time();
        recorded.event.apply_to(at, self);
        if let Some(opened) = &mut self.opened {
            opened.modified_at = at;
        }
    }
}
