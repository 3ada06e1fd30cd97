//! `rollbook account settings`.

use clap::Args;
use rollbook_proto::v1::{AccountSettings, UpdateAccountSettingsRequest};

use super::after;
use crate::cli::{
    choices::{Passwords, SignIn, or_none},
    client::{Client, CommandFlags, commit, mask},
    problem::Problem,
};

/// Flags of `account settings`.
#[derive(Args, Debug)]
pub struct Settings {
    /// The new title
    #[arg(long)]
    title: Option<String>,
    /// What users sign in with
    #[arg(long)]
    login: Option<SignIn>,
    /// Who keeps and checks passwords
    #[arg(long, value_name = "WHO")]
    passwords: Option<Passwords>,
    /// How many days an invitation lives, 1 to 30
    #[arg(long, value_name = "DAYS")]
    invitation_days: Option<u32>,
    /// How many days a first-sign-in link lives, 1 to 30
    #[arg(long, value_name = "DAYS")]
    welcome_days: Option<u32>,
    #[command(flatten)]
    command: CommandFlags,
}

impl Settings {
    /// Changes what is given.
    pub async fn run(self, client: &Client) -> Result<(), Problem> {
        let command = self.command.options();
        let id = command.request_id.clone();
        let mask = mask(&[
            ("title", self.title.is_some()),
            ("settings.login", self.login.is_some()),
            ("settings.password_authority", self.passwords.is_some()),
            (
                "settings.invitation_validity_days",
                self.invitation_days.is_some(),
            ),
            (
                "settings.welcome_validity_days",
                self.welcome_days.is_some(),
            ),
        ])?;
        let settings = AccountSettings {
            login: or_none(self.login, SignIn::wire),
            password_authority: or_none(self.passwords, Passwords::wire),
            invitation_validity_days: self.invitation_days.unwrap_or_default(),
            welcome_validity_days: self.welcome_days.unwrap_or_default(),
        };
        let request = UpdateAccountSettingsRequest {
            account_id: client.account()?,
            title: self.title.unwrap_or_default(),
            settings: Some(settings),
            update_mask: Some(mask),
            command: Some(command),
        };
        let answer = commit(&id, client.accounts().update_account_settings(request)).await?;
        client.output.show(&answer, || {
            after(answer.account.as_ref(), answer.revision, answer.position)
        })
    }
}
