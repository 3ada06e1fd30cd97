//! `rollbook account create`.

use clap::Args;
use rollbook_proto::v1::{AccountSettings, CreateAccountRequest, Module, NewUser, Role};

use super::{after, settings::Limits};
use crate::cli::{
    choices::{Passwords, SignIn, or_none},
    client::{Client, CommandFlags, commit},
    problem::Problem,
    secret::PasswordFlags,
    views::{self, welcome_token},
};

/// Flags of `account create`. The person they describe is the account's first administrator.
#[derive(Args, Debug)]
pub struct Create {
    /// The account's id: 2 to 63 of a-z, 0-9 and -, beginning with a letter
    id: String,
    /// What the account is called
    #[arg(long)]
    title: String,
    /// What users sign in with; e-mail where nothing is given
    #[arg(long)]
    login: Option<SignIn>,
    /// Who keeps and checks passwords; the directory where nothing is given
    #[arg(long, value_name = "WHO")]
    passwords: Option<Passwords>,
    /// How many days an invitation lives, 1 to 30 [default: 7]
    #[arg(
        long,
        value_name = "DAYS",
        default_value_t = 0,
        hide_default_value = true
    )]
    invitation_days: u32,
    /// How many days a first-sign-in link lives, 1 to 30 [default: 7]
    #[arg(
        long,
        value_name = "DAYS",
        default_value_t = 0,
        hide_default_value = true
    )]
    welcome_days: u32,
    #[command(flatten)]
    limits: Limits,
    /// Title of a company to begin with; several are named one after the other
    #[arg(long = "company", value_name = "TITLE")]
    companies: Vec<String>,
    /// Role to begin with
    #[arg(long = "role", value_name = "ROLE[=TITLE]")]
    roles: Vec<String>,
    /// Module to begin with, beside pricing, payment and user-management
    #[arg(long = "module", value_name = "MODULE[=TITLE]")]
    modules: Vec<String>,
    /// The administrator's signature
    #[arg(long)]
    signature: String,
    /// The administrator's first name
    #[arg(long, value_name = "NAME")]
    first_name: String,
    /// The administrator's last name
    #[arg(long, value_name = "NAME")]
    last_name: String,
    /// The administrator's e-mail address
    #[arg(long, value_name = "ADDRESS")]
    email: String,
    /// Let the administrator choose a password through a first-sign-in link
    #[arg(long, conflicts_with = "password_file")]
    welcome: bool,
    #[command(flatten)]
    password: PasswordFlags,
    #[command(flatten)]
    command: CommandFlags,
}

impl Create {
    /// Creates the account.
    pub async fn run(self, client: &Client) -> Result<(), Problem> {
        let command = self.command.options();
        let id = command.request_id.clone();
        let request = CreateAccountRequest {
            command: Some(command),
            ..self.request()?
        };
        let answer = commit(&id, client.accounts().create_account(request)).await?;
        let welcome = welcome_token(&answer.welcome_token);
        client.output.show(&answer, || {
            let administrator = answer
                .administrator
                .as_ref()
                .map(views::user)
                .unwrap_or_default();
            let account = after(answer.account.as_ref(), answer.revision, answer.position);
            format!("{account}\n\nfirst administrator\n{administrator}{welcome}")
        })
    }

    fn request(self) -> Result<CreateAccountRequest, Problem> {
        let elsewhere = self.passwords == Some(Passwords::External);
        let password = if self.welcome || elsewhere {
            String::new()
        } else {
            self.password.read()?
        };
        let administrator = NewUser {
            signature: self.signature,
            first_name: self.first_name,
            last_name: self.last_name,
            email: self.email,
            welcome: self.welcome,
            password,
            ..NewUser::default()
        };
        let settings = AccountSettings {
            login: or_none(self.login, SignIn::wire),
            password_authority: or_none(self.passwords, Passwords::wire),
            invitation_validity_days: self.invitation_days,
            welcome_validity_days: self.welcome_days,
            ..self.limits.settings()
        };
        let role = |text: &String| {
            let (role, title) = named(text);
            Role { role, title }
        };
        let module = |text: &String| {
            let (module, title) = named(text);
            Module {
                module,
                title,
                administrator_only: false,
            }
        };
        Ok(CreateAccountRequest {
            account_id: self.id,
            title: self.title,
            settings: Some(settings),
            companies: self.companies,
            roles: self.roles.iter().map(role).collect(),
            modules: self.modules.iter().map(module).collect(),
            administrator: Some(administrator),
            command: None,
        })
    }
}

/// A name and what it is called; itself where nothing is said.
fn named(text: &str) -> (String, String) {
    let (name, title) = text.split_once('=').unwrap_or((text, text));
    (name.to_owned(), title.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_called_by_its_name_where_it_has_no_title() {
        assert_eq!(
            named("approver=Approves invoices"),
            ("approver".into(), "Approves invoices".into())
        );
        assert_eq!(named("approver"), ("approver".into(), "approver".into()));
    }
}
