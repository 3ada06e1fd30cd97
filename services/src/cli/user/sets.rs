//! `rollbook user roles`, `permissions`, `add-companies` and `remove-companies`.

use clap::Args;
use rollbook_proto::v1::{
    AddUserCompaniesRequest, RemoveUserCompaniesRequest, SetUserPermissionsRequest,
    SetUserRolesRequest,
};

use super::links::LinkFlags;
use crate::cli::{
    choices::Mode,
    client::{Client, CommandFlags, commit},
    problem::Problem,
    views::UserAfter as _,
};

/// Flags of `user roles`.
#[derive(Args, Debug)]
pub struct SetRoles {
    /// The user: id, signature or e-mail address
    user: String,
    /// How the set is changed
    mode: Mode,
    /// The roles, out of the account's catalogue
    roles: Vec<String>,
    #[command(flatten)]
    command: CommandFlags,
}

impl SetRoles {
    /// Changes the roles.
    pub async fn run(self, client: &Client) -> Result<(), Problem> {
        let command = self.command.options();
        let id = command.request_id.clone();
        let request = SetUserRolesRequest {
            account_id: client.account()?,
            user_id: client.user_id(&self.user).await?,
            mode: self.mode.wire(),
            roles: self.roles,
            command: Some(command),
        };
        let answer = commit(&id, client.users().set_user_roles(request)).await?;
        client.output.show(&answer, || answer.text())
    }
}

/// Flags of `user permissions`.
#[derive(Args, Debug)]
pub struct SetPermissions {
    /// The user: id, signature or e-mail address
    user: String,
    /// How the set is changed
    mode: Mode,
    /// The grants, each for the whole account or for one company
    #[arg(value_name = "MODULE[@COMPANY]")]
    permissions: Vec<String>,
    #[command(flatten)]
    command: CommandFlags,
}

impl SetPermissions {
    /// Changes the grants.
    pub async fn run(self, client: &Client) -> Result<(), Problem> {
        let command = self.command.options();
        let id = command.request_id.clone();
        let request = SetUserPermissionsRequest {
            account_id: client.account()?,
            user_id: client.user_id(&self.user).await?,
            mode: self.mode.wire(),
            permissions: client.permissions(&self.permissions).await?,
            command: Some(command),
        };
        let answer = commit(&id, client.users().set_user_permissions(request)).await?;
        client.output.show(&answer, || answer.text())
    }
}

/// Flags of `user add-companies`.
#[derive(Args, Debug)]
pub struct AddCompanies {
    /// The user: id, signature or e-mail address
    user: String,
    /// The companies: ids or titles
    #[arg(required = true)]
    companies: Vec<String>,
    #[command(flatten)]
    links: LinkFlags,
    #[command(flatten)]
    command: CommandFlags,
}

impl AddCompanies {
    /// Links the user.
    pub async fn run(self, client: &Client) -> Result<(), Problem> {
        let command = self.command.options();
        let id = command.request_id.clone();
        let links = self.links.links(client, &self.companies);
        let request = AddUserCompaniesRequest {
            account_id: client.account()?,
            user_id: client.user_id(&self.user).await?,
            companies: links.await?,
            command: Some(command),
        };
        let answer = commit(&id, client.users().add_user_companies(request)).await?;
        client.output.show(&answer, || answer.text())
    }
}

/// Flags of `user remove-companies`.
#[derive(Args, Debug)]
pub struct RemoveCompanies {
    /// The user: id, signature or e-mail address
    user: String,
    /// The companies: ids or titles
    #[arg(required = true)]
    companies: Vec<String>,
    #[command(flatten)]
    command: CommandFlags,
}

impl RemoveCompanies {
    /// Unlinks the user.
    pub async fn run(self, client: &Client) -> Result<(), Problem> {
        let command = self.command.options();
        let id = command.request_id.clone();
        let request = RemoveUserCompaniesRequest {
            account_id: client.account()?,
            user_id: client.user_id(&self.user).await?,
            company_ids: client.company_ids(&self.companies).await?,
            command: Some(command),
        };
        let answer = commit(&id, client.users().remove_user_companies(request)).await?;
        client.output.show(&answer, || answer.text())
    }
}
