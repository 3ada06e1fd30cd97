//! `rollbook user update` and `company`: what is given is changed, the rest is left; and `copy-company`.

use clap::Args;
use rollbook_proto::v1::{
    Allegiance, CopyUserCompanyRequest, UpdateUserCompanyRequest, UpdateUserRequest, UserCompany,
    UserProfile,
};

use super::links::allegiance;
use crate::cli::{
    choices::{Copied, Type, or_none},
    client::{Client, CommandFlags, commit, mask},
    problem::Problem,
    views::UserAfter as _,
};

/// Flags of `user update`.
#[derive(Args, Debug)]
pub struct Update {
    /// The user: id, signature or e-mail address
    user: String,
    /// The new signature; the earlier one stays reserved
    #[arg(long)]
    signature: Option<String>,
    /// The new first name
    #[arg(long, value_name = "NAME")]
    first_name: Option<String>,
    /// The new last name
    #[arg(long, value_name = "NAME")]
    last_name: Option<String>,
    /// The new e-mail address
    #[arg(long, value_name = "ADDRESS")]
    email: Option<String>,
    /// The new phone number; empty: none
    #[arg(long, value_name = "NUMBER")]
    phone: Option<String>,
    /// The new mobile phone number; empty: none
    #[arg(long, value_name = "NUMBER")]
    mobile_phone: Option<String>,
    /// The new language, such as sv or pt-BR; empty: none
    #[arg(long, value_name = "TAG")]
    language: Option<String>,
    /// The new type
    #[arg(long = "type", value_name = "TYPE")]
    user_type: Option<Type>,
    #[command(flatten)]
    command: CommandFlags,
}

impl Update {
    /// Changes what is given.
    pub async fn run(self, client: &Client) -> Result<(), Problem> {
        let command = self.command.options();
        let id = command.request_id.clone();
        let mask = mask(&[
            ("signature", self.signature.is_some()),
            ("first_name", self.first_name.is_some()),
            ("last_name", self.last_name.is_some()),
            ("email", self.email.is_some()),
            ("phone", self.phone.is_some()),
            ("mobile_phone", self.mobile_phone.is_some()),
            ("language", self.language.is_some()),
            ("user_type", self.user_type.is_some()),
        ])?;
        let profile = UserProfile {
            signature: self.signature.unwrap_or_default(),
            first_name: self.first_name.unwrap_or_default(),
            last_name: self.last_name.unwrap_or_default(),
            email: self.email.unwrap_or_default(),
            phone: self.phone.unwrap_or_default(),
            mobile_phone: self.mobile_phone.unwrap_or_default(),
            language: self.language.unwrap_or_default(),
            user_type: or_none(self.user_type, Type::wire),
        };
        let request = UpdateUserRequest {
            account_id: client.account()?,
            user_id: client.user_id(&self.user).await?,
            profile: Some(profile),
            update_mask: Some(mask),
            command: Some(command),
        };
        let answer = commit(&id, client.users().update_user(request)).await?;
        client.output.show(&answer, || answer.text())
    }
}

/// Flags of `user company`.
#[derive(Args, Debug)]
pub struct ChangeCompany {
    /// The user: id, signature or e-mail address
    user: String,
    /// The company: id or title
    company: String,
    /// The new supervisor there: id, signature or e-mail address; empty: the user itself
    #[arg(long, value_name = "USER")]
    supervisor: Option<String>,
    /// Whether the user is proposed as an addressee there
    #[arg(long, value_name = "true|false")]
    show_as_addressee: Option<bool>,
    /// What the user's rows are coded with there, instead of what they are; several are named one after the other
    #[arg(long = "coding", value_name = "DIMENSION=VALUE", value_parser = allegiance)]
    coding: Vec<Allegiance>,
    /// The user's rows are coded with nothing there
    #[arg(long, conflicts_with = "coding")]
    no_coding: bool,
    /// What invoices are addressed to the user by there, instead of what they are
    #[arg(long = "routing", value_name = "DIMENSION=VALUE", value_parser = allegiance)]
    routing: Vec<Allegiance>,
    /// Invoices are addressed to the user by nothing there
    #[arg(long, conflicts_with = "routing")]
    no_routing: bool,
    #[command(flatten)]
    command: CommandFlags,
}

impl ChangeCompany {
    /// Changes what is given.
    pub async fn run(self, client: &Client) -> Result<(), Problem> {
        let command = self.command.options();
        let id = command.request_id.clone();
        let mask = mask(&[
            ("supervisor_id", self.supervisor.is_some()),
            ("show_as_addressee", self.show_as_addressee.is_some()),
            (
                "coding_allegiances",
                self.no_coding || !self.coding.is_empty(),
            ),
            (
                "routing_allegiances",
                self.no_routing || !self.routing.is_empty(),
            ),
        ])?;
        let supervisor_id = match self.supervisor.as_deref() {
            None | Some("") => String::new(),
            Some(name) => client.user_id(name).await?,
        };
        let company = UserCompany {
            company_id: client.company_id(&self.company).await?,
            supervisor_id,
            show_as_addressee: self.show_as_addressee.unwrap_or_default(),
            coding_allegiances: self.coding,
            routing_allegiances: self.routing,
        };
        let request = UpdateUserCompanyRequest {
            account_id: client.account()?,
            user_id: client.user_id(&self.user).await?,
            company: Some(company),
            update_mask: Some(mask),
            command: Some(command),
        };
        let answer = commit(&id, client.users().update_user_company(request)).await?;
        client.output.show(&answer, || answer.text())
    }
}

/// Flags of `user copy-company`.
#[derive(Args, Debug)]
pub struct CopyCompany {
    /// The user: id, signature or e-mail address
    user: String,
    /// The company that it is copied from: id or title
    source: String,
    /// The companies that become like it; those the user does not have yet are added
    #[arg(required = true)]
    targets: Vec<String>,
    /// What is copied
    #[arg(long, default_value = "everything")]
    what: Copied,
    #[command(flatten)]
    command: CommandFlags,
}

impl CopyCompany {
    /// Copies it.
    pub async fn run(self, client: &Client) -> Result<(), Problem> {
        let command = self.command.options();
        let id = command.request_id.clone();
        let request = CopyUserCompanyRequest {
            account_id: client.account()?,
            user_id: client.user_id(&self.user).await?,
            source_company_id: client.company_id(&self.source).await?,
            target_company_ids: client.company_ids(&self.targets).await?,
            what: self.what.wire(),
            command: Some(command),
        };
        let answer = commit(&id, client.users().copy_user_company(request)).await?;
        client.output.show(&answer, || answer.text())
    }
}
