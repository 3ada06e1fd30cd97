//! `rollbook user create`.

use clap::Args;
use rollbook_proto::v1::{CopyUserRequest, CreateUserRequest, NewUser};

use super::links::LinkFlags;
use crate::cli::{
    choices::{Type, or_none},
    client::{Client, CommandFlags, commit},
    problem::Problem,
    secret::PasswordFlags,
    views::{UserAfter as _, welcome_token},
};

/// What a new user is made of.
#[derive(Args, Debug)]
pub struct Person {
    /// Short code on coding rows; unique in the account for ever
    #[arg(long)]
    pub signature: String,
    /// First name
    #[arg(long, value_name = "NAME")]
    pub first_name: String,
    /// Last name
    #[arg(long, value_name = "NAME")]
    pub last_name: String,
    /// Phone number
    #[arg(
        long,
        value_name = "NUMBER",
        default_value = "",
        hide_default_value = true
    )]
    pub phone: String,
    /// Mobile phone number
    #[arg(
        long,
        value_name = "NUMBER",
        default_value = "",
        hide_default_value = true
    )]
    pub mobile_phone: String,
    /// Language, such as sv or pt-BR
    #[arg(
        long,
        value_name = "TAG",
        default_value = "",
        hide_default_value = true
    )]
    pub language: String,
}

/// What a user may do, and where.
#[derive(Args, Debug)]
pub struct Rights {
    /// The type; standard where none is given
    #[arg(long = "type", value_name = "TYPE")]
    pub user_type: Option<Type>,
    /// Role out of the account's catalogue; several are named one after the other
    #[arg(long = "role", value_name = "ROLE")]
    pub roles: Vec<String>,
    /// Grant on a module, for the whole account or for one company
    #[arg(long = "permission", value_name = "MODULE[@COMPANY]")]
    pub permissions: Vec<String>,
    /// Company to link to: id or title
    #[arg(long = "company", value_name = "COMPANY")]
    pub companies: Vec<String>,
}

/// A new user, but for what it may do and where.
#[derive(Args, Debug)]
pub struct Newcomer {
    #[command(flatten)]
    person: Person,
    /// E-mail address
    #[arg(long, value_name = "ADDRESS")]
    email: String,
    /// Register the user without letting it sign in yet
    #[arg(long)]
    inactive: bool,
    /// Let the user choose its password through a first-sign-in link
    #[arg(long, conflicts_with_all = ["password_file", "one_time_password"])]
    welcome: bool,
    /// The password must be changed at the first sign-in
    #[arg(long)]
    one_time_password: bool,
    #[command(flatten)]
    password: PasswordFlags,
}

impl Newcomer {
    /// The user as the contract has it; its password is asked for where it needs one.
    fn user(self) -> Result<NewUser, Problem> {
        let person = self.person;
        Ok(NewUser {
            signature: person.signature,
            first_name: person.first_name,
            last_name: person.last_name,
            email: self.email,
            phone: person.phone,
            mobile_phone: person.mobile_phone,
            language: person.language,
            active: Some(!self.inactive),
            password: if self.welcome {
                String::new()
            } else {
                self.password.read()?
            },
            one_time_password: self.one_time_password,
            welcome: self.welcome,
            ..NewUser::default()
        })
    }
}

/// Flags of `user create`.
#[derive(Args, Debug)]
pub struct Create {
    #[command(flatten)]
    newcomer: Newcomer,
    #[command(flatten)]
    rights: Rights,
    #[command(flatten)]
    links: LinkFlags,
    #[command(flatten)]
    command: CommandFlags,
}

impl Create {
    /// Creates the user.
    pub async fn run(self, client: &Client) -> Result<(), Problem> {
        let command = self.command.options();
        let id = command.request_id.clone();
        let rights = self.rights;
        let companies = self.links.links(client, &rights.companies);
        let user = NewUser {
            user_type: or_none(rights.user_type, Type::wire),
            companies: companies.await?,
            permissions: client.permissions(&rights.permissions).await?,
            roles: rights.roles,
            ..self.newcomer.user()?
        };
        let request = CreateUserRequest {
            account_id: client.account()?,
            user: Some(user),
            command: Some(command),
        };
        let answer = commit(&id, client.users().create_user(request)).await?;
        let welcome = welcome_token(&answer.welcome_token);
        client.output.show(&answer, || answer.text() + &welcome)
    }
}

/// Flags of `user copy`.
#[derive(Args, Debug)]
pub struct Copy {
    /// The user whose roles, grants and companies it is to have: id, signature or e-mail address
    source: String,
    #[command(flatten)]
    newcomer: Newcomer,
    /// The type; the source's where none is given
    #[arg(long = "type", value_name = "TYPE")]
    user_type: Option<Type>,
    #[command(flatten)]
    command: CommandFlags,
}

impl Copy {
    /// Creates the user.
    pub async fn run(self, client: &Client) -> Result<(), Problem> {
        let command = self.command.options();
        let id = command.request_id.clone();
        let request = CopyUserRequest {
            account_id: client.account()?,
            source_user_id: client.user_id(&self.source).await?,
            user: Some(NewUser {
                user_type: or_none(self.user_type, Type::wire),
                ..self.newcomer.user()?
            }),
            command: Some(command),
        };
        let answer = commit(&id, client.users().copy_user(request)).await?;
        let welcome = welcome_token(&answer.welcome_token);
        client.output.show(&answer, || answer.text() + &welcome)
    }
}
