//! What each command plans to commit, and what tells its answer.
//!
//! Answers are made from outcomes, after the first commit and after every repeat alike; so an outcome has ids, revisions
//! and reasons, never personal data.

mod accesses;
mod accounts;
mod credentials;
mod import;
mod invitations;
mod invoices;
mod mails;
mod supervisors;
mod users;

pub use accesses::{OnAccess, ReportOutcome, ReportPlan};
pub use accounts::{AccountOutcome, CreateAccountPlan, DefineModulePlan, OnAccount};
pub use credentials::{
    LinkOutcome, PasswordPlan, ReportSignInPlan, RequestResetPlan, ResendWelcomePlan,
    ResetNobodyPlan, SignInPlan, UnlockPlan,
};
pub use import::{ImportRowPlan, Signatures, unfit_supervisors};
pub use invitations::{
    AcceptPlan, InvitationOutcome, InviteOutcome, InvitePlan, OnInvitation, ResendPlan,
};
pub use invoices::SettlePlan;
pub use mails::OnMail;
pub use supervisors::ReplaceSupervisorPlan;
pub use users::{CopyUserPlan, CreateUserPlan, DeactivatePlan, DeletePlan, OnUser, UserOutcome};

use rollbook_aggregates::user::{Person, User};
use rollbook_aggregates::values::{EmailAddress, Password, PersonName, Signature, UserId};
use rollbook_eventstore::StreamId;
use tokio::sync::OnceCell;

use crate::executor::Unit;
use crate::failure::{Failure, Outcome};
use crate::passwords;

/// A password that is hashed at most once, however often its command is decided.
#[derive(Debug, Default)]
pub struct Hashed {
    password: Option<Password>,
    hash: OnceCell<String>,
}

impl Hashed {
    /// To be hashed when its command is to be committed.
    #[must_use]
    pub fn later(password: Option<Password>) -> Self {
        Self {
            password,
            hash: OnceCell::new(),
        }
    }

    /// Refuses a password that is too short for somebody without a second factor, or says little more than who it is.
    fn must_suit(&self, person: &Person) -> Outcome<()> {
        let Some(password) = &self.password else {
            return Ok(());
        };
        let profile = person.profile();
        let known = [
            profile.signature.known().map(Signature::as_str),
            profile.first_name.known().map(PersonName::as_str),
            profile.last_name.known().map(PersonName::as_str),
            profile.email.known().map(EmailAddress::as_str),
        ];
        let known: Vec<&str> = known.into_iter().flatten().collect();
        let long = if person.credentials().has_second_factor() {
            Ok(())
        } else {
            password.must_do_alone()
        };
        long.and_then(|()| password.must_say_more_than(&known))
            .map_err(|problem| Failure::malformed_field("password", problem))
    }

    /// Stages the hash beside the user, unless the command commits nothing.
    async fn keep(&self, unit: &mut Unit<'_>, user: UserId) -> Outcome<()> {
        let Some(password) = &self.password else {
            return Ok(());
        };
        if !unit.commits() {
            return Ok(());
        }
        let hasher = &unit.executor().hasher;
        let hash = self
            .hash
            .get_or_try_init(|| hasher.hash(password.clone()))
            .await?
            .clone();
        let stream = StreamId::new(<User as cqrs_es::Aggregate>::TYPE, user.to_string());
        unit.keep_secret(stream, passwords::SIDE_ROW, hash);
        Ok(())
    }
}
