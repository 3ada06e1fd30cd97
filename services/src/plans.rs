//! What each command plans to commit, and what tells its answer.
//!
//! Answers are made from outcomes, after the first commit and after every repeat alike; so an outcome has ids, revisions
//! and reasons, never personal data.

mod accesses;
mod accounts;
mod import;
mod invitations;
mod invoices;
mod mails;
mod supervisors;
mod users;

pub use accesses::{OnAccess, ReportOutcome, ReportPlan};
pub use accounts::{AccountOutcome, CreateAccountPlan, OnAccount};
pub use import::{ImportRowPlan, Signatures, unfit_supervisors};
pub use invitations::{
    AcceptPlan, InvitationOutcome, InviteOutcome, InvitePlan, OnInvitation, ResendPlan,
};
pub use invoices::SettlePlan;
pub use mails::OnMail;
pub use supervisors::ReplaceSupervisorPlan;
pub use users::{CopyUserPlan, CreateUserPlan, DeactivatePlan, DeletePlan, OnUser, UserOutcome};

use rollbook_aggregates::user::User;
use rollbook_aggregates::values::{Password, UserId};
use rollbook_eventstore::StreamId;
use tokio::sync::OnceCell;

use crate::executor::Unit;
use crate::failure::Outcome;
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

    /// Stages the hash beside the user, unless the command commits nothing.
    async fn keep(&self, unit: &mut Unit<'_>, user: UserId) -> Outcome<()> {
        let Some(password) = &self.password else {
            return Ok(());
        };
        if unit.order().options.validate_only {
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
