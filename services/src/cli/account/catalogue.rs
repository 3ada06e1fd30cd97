//! `rollbook account add-company` and its kin: companies, roles and modules.

use clap::Args;
use rollbook_proto::v1::{
    AddCompanyRequest, DefineModuleRequest, DefineRoleRequest, RemoveCompanyRequest,
    RemoveModuleRequest, RemoveRoleRequest, RenameCompanyRequest,
};

use super::after;
use crate::cli::{
    client::{Client, CommandFlags, commit},
    output::counted,
    problem::Problem,
};

/// Flags of `account add-company`.
#[derive(Args, Debug)]
pub struct AddCompany {
    /// What the company is called
    title: String,
    #[command(flatten)]
    command: CommandFlags,
}

impl AddCompany {
    /// Adds the company.
    pub async fn run(self, client: &Client) -> Result<(), Problem> {
        let command = self.command.options();
        let id = command.request_id.clone();
        let request = AddCompanyRequest {
            account_id: client.account()?,
            title: self.title,
            command: Some(command),
        };
        let answer = commit(&id, client.accounts().add_company(request)).await?;
        client.output.show(&answer, || {
            let company = answer.company.clone().unwrap_or_default();
            let account = after(answer.account.as_ref(), answer.revision, answer.position);
            format!(
                "company {} is {}\n{account}",
                company.title, company.company_id
            )
        })
    }
}

/// Flags of `account rename-company`.
#[derive(Args, Debug)]
pub struct RenameCompany {
    /// The company: id or title
    company: String,
    /// Its new title
    title: String,
    #[command(flatten)]
    command: CommandFlags,
}

impl RenameCompany {
    /// Renames the company.
    pub async fn run(self, client: &Client) -> Result<(), Problem> {
        let command = self.command.options();
        let id = command.request_id.clone();
        let request = RenameCompanyRequest {
            account_id: client.account()?,
            company_id: client.company_id(&self.company).await?,
            title: self.title,
            command: Some(command),
        };
        let answer = commit(&id, client.accounts().rename_company(request)).await?;
        client.output.show(&answer, || {
            after(answer.account.as_ref(), answer.revision, answer.position)
        })
    }
}

/// Flags of `account remove-company`.
#[derive(Args, Debug)]
pub struct RemoveCompany {
    /// The company: id or title
    company: String,
    #[command(flatten)]
    command: CommandFlags,
}

impl RemoveCompany {
    /// Removes the company.
    pub async fn run(self, client: &Client) -> Result<(), Problem> {
        let command = self.command.options();
        let id = command.request_id.clone();
        let request = RemoveCompanyRequest {
            account_id: client.account()?,
            company_id: client.company_id(&self.company).await?,
            command: Some(command),
        };
        let answer = commit(&id, client.accounts().remove_company(request)).await?;
        client.output.show(&answer, || {
            after(answer.account.as_ref(), answer.revision, answer.position)
        })
    }
}

/// Flags of `account define-role`.
#[derive(Args, Debug)]
pub struct DefineRole {
    /// The role's name: 1 to 64 of a-z, 0-9 and -
    role: String,
    /// What it is called
    title: String,
    #[command(flatten)]
    command: CommandFlags,
}

impl DefineRole {
    /// Defines the role.
    pub async fn run(self, client: &Client) -> Result<(), Problem> {
        let command = self.command.options();
        let id = command.request_id.clone();
        let request = DefineRoleRequest {
            account_id: client.account()?,
            role: self.role,
            title: self.title,
            command: Some(command),
        };
        let answer = commit(&id, client.accounts().define_role(request)).await?;
        client.output.show(&answer, || {
            after(answer.account.as_ref(), answer.revision, answer.position)
        })
    }
}

/// Flags of `account remove-role`.
#[derive(Args, Debug)]
pub struct RemoveRole {
    /// The role's name
    role: String,
    #[command(flatten)]
    command: CommandFlags,
}

impl RemoveRole {
    /// Removes the role.
    pub async fn run(self, client: &Client) -> Result<(), Problem> {
        let command = self.command.options();
        let id = command.request_id.clone();
        let request = RemoveRoleRequest {
            account_id: client.account()?,
            role: self.role,
            command: Some(command),
        };
        let answer = commit(&id, client.accounts().remove_role(request)).await?;
        client.output.show(&answer, || {
            after(answer.account.as_ref(), answer.revision, answer.position)
        })
    }
}

/// Flags of `account define-module`.
#[derive(Args, Debug)]
pub struct DefineModule {
    /// The module's name: 1 to 64 of a-z, 0-9 and -
    module: String,
    /// What it is called
    title: String,
    /// Standard users can never have it
    #[arg(long)]
    administrator_only: bool,
    /// Standard users lose the grants on it that they have; otherwise it is refused while there are any
    #[arg(long, requires = "administrator_only")]
    drop_grants: bool,
    #[command(flatten)]
    command: CommandFlags,
}

impl DefineModule {
    /// Defines the module.
    pub async fn run(self, client: &Client) -> Result<(), Problem> {
        let command = self.command.options();
        let id = command.request_id.clone();
        let request = DefineModuleRequest {
            account_id: client.account()?,
            module: self.module,
            title: self.title,
            administrator_only: self.administrator_only,
            drop_grants: self.drop_grants,
            command: Some(command),
        };
        let answer = commit(&id, client.accounts().define_module(request)).await?;
        client.output.show(&answer, || {
            let account = after(answer.account.as_ref(), answer.revision, answer.position);
            match answer.changed_count {
                0 => account,
                count => format!("{account}\n{} lost grants", counted(count, "user")),
            }
        })
    }
}

/// Flags of `account remove-module`.
#[derive(Args, Debug)]
pub struct RemoveModule {
    /// The module's name
    module: String,
    #[command(flatten)]
    command: CommandFlags,
}

impl RemoveModule {
    /// Removes the module.
    pub async fn run(self, client: &Client) -> Result<(), Problem> {
        let command = self.command.options();
        let id = command.request_id.clone();
        let request = RemoveModuleRequest {
            account_id: client.account()?,
            module: self.module,
            command: Some(command),
        };
        let answer = commit(&id, client.accounts().remove_module(request)).await?;
        client.output.show(&answer, || {
            after(answer.account.as_ref(), answer.revision, answer.position)
        })
    }
}
