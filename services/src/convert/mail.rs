//! Mail that could not be sent, on the wire.

use rollbook_aggregates::domain::Timestamp;
use rollbook_aggregates::mail::{Errand, Letter, Mail, MailFailure, MailState, RetryDeadLetter};
use rollbook_aggregates::values::{AccountId, MailId};
use rollbook_projections::DeadMail;
use rollbook_proto::v1 as pb;

use super::{Fields, options, wire_time};
use crate::executor::Options;
use crate::failure::{Failure, Outcome};

/// A command on one mail.
#[derive(Clone, Debug)]
pub struct ToMail {
    /// Whose mail.
    pub account: AccountId,
    /// Which mail.
    pub mail: MailId,
    /// What to do.
    pub command: RetryDeadLetter,
    /// What the command carries.
    pub options: Options,
}

impl TryFrom<pb::RetryDeadLetterRequest> for ToMail {
    type Error = Failure;

    fn try_from(request: pb::RetryDeadLetterRequest) -> Outcome<Self> {
        let pb::RetryDeadLetterRequest {
            account_id,
            mail_id,
            command,
        } = request;
        let mut fields = Fields::default();
        let account = fields.read("account_id", &account_id, AccountId::parse);
        let mail = fields.read("mail_id", &mail_id, MailId::parse);
        let options = options(&mut fields, command);
        let (account, mail) = fields.finish((account, mail))?;
        Ok(Self {
            account,
            mail,
            command: RetryDeadLetter,
            options,
        })
    }
}

/// A mail as its row shows it.
#[must_use]
pub fn dead_letter_from_row(row: &DeadMail) -> pb::DeadLetter {
    let mut dead = dead_letter(&row.letter, MailState::Dead);
    fail(&mut dead, row.attempts, row.failure, row.since);
    dead
}

/// A mail as it is.
#[must_use]
pub fn dead_letter_from_state(mail: &Mail) -> Option<pb::DeadLetter> {
    let mut dead = dead_letter(mail.letter()?, mail.state());
    if let Some(given_up) = mail.given_up() {
        fail(&mut dead, given_up.attempts, given_up.failure, given_up.at);
    }
    Some(dead)
}

fn dead_letter(letter: &Letter, state: MailState) -> pb::DeadLetter {
    let (kind, user, invitation) = match letter.errand {
        Errand::Welcome { user, .. } => (pb::MailKind::Welcome, Some(user), None),
        Errand::PasswordReset { user, .. } => (pb::MailKind::PasswordReset, Some(user), None),
        Errand::Invitation { invitation, .. } => (pb::MailKind::Invitation, None, Some(invitation)),
        Errand::AccountLocked { user, .. } => (pb::MailKind::AccountLocked, Some(user), None),
    };
    let state = match state {
        MailState::Pending => pb::MailState::Pending,
        MailState::Sent => pb::MailState::Sent,
        MailState::Dropped => pb::MailState::Dropped,
        MailState::Dead => pb::MailState::Dead,
    };
    pb::DeadLetter {
        mail_id: letter.errand.mail_id().to_string(),
        account_id: letter.account_id.to_string(),
        kind: kind.into(),
        user_id: user.map(|id| id.to_string()).unwrap_or_default(),
        invitation_id: invitation.map(|id| id.to_string()).unwrap_or_default(),
        state: state.into(),
        ..pb::DeadLetter::default()
    }
}

fn fail(dead: &mut pb::DeadLetter, attempts: u32, failure: MailFailure, at: Timestamp) {
    let (failure, code) = match failure {
        MailFailure::Refused(code) => (pb::MailFailure::Refused, code),
        MailFailure::PutOff(code) => (pb::MailFailure::PutOff, code),
        MailFailure::BrokenOff => (pb::MailFailure::BrokenOff, 0),
        MailFailure::BadAddress => (pb::MailFailure::BadAddress, 0),
        MailFailure::BadTemplate => (pb::MailFailure::BadTemplate, 0),
    };
    dead.attempts = attempts;
    dead.failure = failure.into();
    dead.smtp_code = code.into();
    dead.failed_at = Some(wire_time(at));
}
