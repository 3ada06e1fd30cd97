//! `rollbook account settings`.

use clap::Args;
use rollbook_proto::v1::{AccountSettings, UpdateAccountSettingsRequest};

use super::after;
use crate::cli::{
    choices::{Change, Passwords, SignIn, or_none},
    client::{Client, CommandFlags, commit, mask},
    problem::Problem,
    term::term,
};

/// What an account asks of passwords and invoices.
#[derive(Args, Clone, Copy, Debug)]
pub struct Limits {
    /// How many wrong passwords in a row the system lets pass before it locks the user, 1 to 100
    #[arg(long, value_name = "N")]
    max_failed_sign_ins: Option<u32>,
    /// How long such a lock lasts, such as 15m or 8h, a minute to 365d; none: until somebody unlocks the user
    #[arg(long, value_name = "TIME", value_parser = lock)]
    lock_duration: Option<Lock>,
    /// How many days old a password may become, 1 to 3650; 0: as old as it likes
    #[arg(long, value_name = "DAYS")]
    password_max_age_days: Option<u32>,
    /// How passwords may be changed
    #[arg(long, value_name = "HOW")]
    password_change: Option<Change>,
    /// Whether invoices are registered on arrival
    #[arg(long, value_name = "BOOL")]
    arrival_registration: Option<bool>,
}

impl Limits {
    /// They as settings; what was not given is left at what the contract calls not given.
    pub fn settings(self) -> AccountSettings {
        let seconds = self.lock_duration.and_then(|lock| lock.0);
        AccountSettings {
            max_failed_sign_ins: self.max_failed_sign_ins.unwrap_or_default(),
            lock_duration: seconds.map(|seconds| prost_types::Duration { seconds, nanos: 0 }),
            password_max_age_days: self.password_max_age_days.unwrap_or_default(),
            password_change: or_none(self.password_change, Change::wire),
            arrival_registration: self.arrival_registration.unwrap_or_default(),
            ..AccountSettings::default()
        }
    }
}

/// How long a lock lasts; until somebody unlocks the user where there is nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Lock(Option<i64>);

fn lock(text: &str) -> Result<Lock, String> {
    if text == "none" {
        return Ok(Lock(None));
    }
    let lasts = term(text).map_err(|problem| format!("{problem}, or none"))?;
    let seconds = i64::try_from(lasts.as_secs()).map_err(|_| "too long".to_owned())?;
    Ok(Lock(Some(seconds)))
}

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
    limits: Limits,
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
            (
                "settings.max_failed_sign_ins",
                self.limits.max_failed_sign_ins.is_some(),
            ),
            (
                "settings.lock_duration",
                self.limits.lock_duration.is_some(),
            ),
            (
                "settings.password_max_age_days",
                self.limits.password_max_age_days.is_some(),
            ),
            (
                "settings.password_change",
                self.limits.password_change.is_some(),
            ),
            (
                "settings.arrival_registration",
                self.limits.arrival_registration.is_some(),
            ),
        ])?;
        let settings = AccountSettings {
            login: or_none(self.login, SignIn::wire),
            password_authority: or_none(self.passwords, Passwords::wire),
            invitation_validity_days: self.invitation_days.unwrap_or_default(),
            welcome_validity_days: self.welcome_days.unwrap_or_default(),
            ..self.limits.settings()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_lasts_for_a_term_or_until_it_is_lifted() {
        assert_eq!(lock("15m"), Ok(Lock(Some(900))));
        assert_eq!(lock("none"), Ok(Lock(None)));
        assert!(lock("15").is_err());
    }
}
