//! The mail that is to be sent, and the mail that could not be: by the errand each has. Nothing in it is personal.
//!
//! A mail begins with the event that issued its link and leaves when it was sent or is not needed any more.

use rollbook_aggregates::domain::Timestamp;
use rollbook_aggregates::invitation::InvitationEvent;
use rollbook_aggregates::mail::{Errand, Letter, MailEvent, MailFailure};
use rollbook_aggregates::user::UserEvent;
use rollbook_aggregates::values::MailId;
use rusqlite::{Connection, Row, ToSql, params};
use serde_json::to_string;

use crate::columns::{account, id, json, time};
use crate::event::{Content, Folded};
use crate::page::{Page, first, one_more, rows};
use crate::reading::{ReadError, questions_of};
use crate::view::{FoldError, View};

const TABLES: &str = "
    CREATE TABLE mails (
        mail_id BLOB PRIMARY KEY,
        account_id TEXT NOT NULL,
        errand TEXT NOT NULL,
        dead INTEGER NOT NULL,
        attempts INTEGER,
        failure TEXT,
        since INTEGER NOT NULL,
        revision INTEGER NOT NULL,
        position INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
";

/// What only questions need: made once the rows are there.
const INDEXES: &[&str] = &["CREATE INDEX mails_by_position ON mails (dead, position)"];

const INSERT: &str = "
    INSERT INTO mails (mail_id, account_id, errand, dead, since, revision, position)
    VALUES (?1, ?2, ?3, FALSE, ?4, 0, ?5)
    ON CONFLICT DO NOTHING";

const GIVE_UP: &str = "
    INSERT OR REPLACE INTO mails (mail_id, account_id, errand, dead, attempts, failure, since, revision, position)
    VALUES (?1, ?2, ?3, TRUE, ?4, ?5, ?6, ?7, ?8)";

const RETRY: &str = "
    UPDATE mails
    SET dead = FALSE, since = ?2, revision = ?3, position = ?4
    WHERE mail_id = ?1";

const REMOVE: &str = "
    DELETE FROM mails
    WHERE mail_id = ?1";

const PENDING: &str = "
    SELECT mail_id, account_id, errand, since, position
    FROM mails
    WHERE dead = FALSE AND position > ?1
    ORDER BY position
    LIMIT ?2";

const IS_PENDING: &str = "
    SELECT count(*)
    FROM mails
    WHERE mail_id = ?1 AND dead = FALSE";

const DEAD: &str = "
    SELECT mail_id, account_id, errand, since, position, attempts, failure, revision
    FROM mails
    WHERE dead = TRUE AND position < ?1
    ORDER BY position DESC
    LIMIT ?2";

/// A mail that is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingMail {
    /// Its id.
    pub mail_id: MailId,
    /// What it is.
    pub letter: Letter,
    /// Since when it is to be sent.
    pub since: Timestamp,
    /// Where the event stands that asked for it.
    pub position: u64,
}

/// A mail that could not be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadMail {
    /// Its id.
    pub mail_id: MailId,
    /// What it is.
    pub letter: Letter,
    /// How often it was tried.
    pub attempts: u32,
    /// Why it failed last.
    pub failure: MailFailure,
    /// When it was given up.
    pub since: Timestamp,
    /// The revision of its stream.
    pub revision: u64,
    /// Where the event stands by which it was given up.
    pub position: u64,
}

/// The view of mails.
pub(crate) struct MailView;

impl View for MailView {
    const NAME: &'static str = "mails";
    const VERSION: u32 = 1;
    const TABLES: &'static [&'static str] = &[TABLES];
    const INDEXES: &'static [&'static str] = INDEXES;

    fn concerns(event: &Folded) -> bool {
        match &event.content {
            Content::Mail(..) => true,
            Content::Unreadable(_) => matches!(
                event.recorded.stream.aggregate_type.as_str(),
                "invitation" | "mail" | "user"
            ),
            Content::Invitation(..)
            | Content::User(..)
            | Content::Account(_)
            | Content::Access(..)
            | Content::SignIn(..)
            | Content::Invoice(_)
            | Content::Other => errand(event).is_some(),
        }
    }

    fn fold(tables: &Connection, folded: &Folded) -> Result<(), FoldError> {
        let change = Change { tables, folded };
        match &folded.content {
            Content::Mail(mail, event) => change.become_of(*mail, event),
            Content::Unreadable(why) => Err(FoldError::Unreadable(why.clone())),
            Content::Invitation(..)
            | Content::User(..)
            | Content::Account(_)
            | Content::Access(..)
            | Content::SignIn(..)
            | Content::Invoice(_)
            | Content::Other => errand(folded).map_or(Ok(()), |errand| change.ask(errand)),
        }
    }
}

/// The mail that an event asks for.
fn errand(folded: &Folded) -> Option<Errand> {
    match &folded.content {
        Content::Invitation(invitation, event) => {
            let (by_mail, issue) = match event {
                InvitationEvent::UserInvited(sent) => (sent.by_mail, sent.issue),
                InvitationEvent::InvitationResent(sent) => (sent.by_mail, sent.issue),
                InvitationEvent::InvitationAccepted(_)
                | InvitationEvent::InvitationExpired(_)
                | InvitationEvent::InvitationDeleted(_) => return None,
            };
            let invitation = *invitation;
            by_mail.then_some(Errand::Invitation { invitation, issue })
        }
        Content::User(user, event) => {
            let user = *user;
            let (by_mail, errand) = match event {
                UserEvent::WelcomeIssued(sent) => {
                    let issue = sent.issue;
                    (sent.by_mail, Errand::Welcome { user, issue })
                }
                UserEvent::PasswordResetRequested(sent) => {
                    let issue = sent.issue;
                    (sent.by_mail, Errand::PasswordReset { user, issue })
                }
                UserEvent::UserAutoLocked(locked) => {
                    let revision = folded.recorded.revision;
                    (locked.by_mail, Errand::AccountLocked { user, revision })
                }
                _ => return None,
            };
            by_mail.then_some(errand)
        }
        Content::Account(_)
        | Content::Access(..)
        | Content::SignIn(..)
        | Content::Mail(..)
        | Content::Invoice(_)
        | Content::Unreadable(_)
        | Content::Other => None,
    }
}

/// A change of one mail by one event.
struct Change<'a> {
    tables: &'a Connection,
    folded: &'a Folded,
}

impl Change<'_> {
    fn run(&self, sql: &'static str, values: &[&dyn ToSql]) -> Result<(), FoldError> {
        self.tables.prepare_cached(sql)?.execute(values)?;
        Ok(())
    }

    /// The event asks for a mail.
    fn ask(&self, errand: Errand) -> Result<(), FoldError> {
        let recorded = &self.folded.recorded;
        self.run(
            INSERT,
            &[
                &errand.mail_id().as_uuid().into_bytes(),
                &recorded.account_id,
                &to_string(&errand)?,
                &self.folded.micros(),
                &recorded.position,
            ],
        )
    }

    fn become_of(&self, mail: MailId, event: &MailEvent) -> Result<(), FoldError> {
        let recorded = &self.folded.recorded;
        let mail = mail.as_uuid().into_bytes();
        let at = self.folded.micros();
        match event {
            MailEvent::MailSent(_) | MailEvent::MailDropped(_) => self.run(REMOVE, &[&mail]),
            MailEvent::MailDeadLettered(dead) => self.run(
                GIVE_UP,
                &[
                    &mail,
                    &dead.letter.account_id.as_str(),
                    &to_string(&dead.letter.errand)?,
                    &dead.attempts,
                    &to_string(&dead.failure)?,
                    &at,
                    &recorded.revision,
                    &recorded.position,
                ],
            ),
            MailEvent::MailRetried(_) => {
                self.run(RETRY, &[&mail, &at, &recorded.revision, &recorded.position])
            }
        }
    }
}

questions_of! {
    /// The mail that is to be sent, and the mail that could not be.
    Mails
}

impl Mails {
    /// The mail that is to be sent, in the order in which it was asked for, beyond that position.
    ///
    /// # Errors
    /// The file of the view cannot be read.
    pub async fn pending(&self, after: u64, limit: u32) -> Result<Vec<PendingMail>, ReadError> {
        let limit = one_more(limit) - 1;
        self.0
            .list(move |tables| rows(tables, PENDING, params![after, limit], pending))
            .await
    }

    /// Whether a mail is still to be sent.
    ///
    /// # Errors
    /// The file of the view cannot be read.
    pub fn is_pending(&self, mail: MailId) -> Result<bool, ReadError> {
        let mail = mail.as_uuid().into_bytes();
        self.0
            .look_up(|tables| first(tables, IS_PENDING, [mail], |row| row.get::<_, u32>(0)))
            .map(|found| found == Some(1))
    }

    /// A page of the mail that could not be sent, what was given up last first.
    ///
    /// # Errors
    /// The file of the view cannot be read.
    pub async fn dead(
        &self,
        after: Option<u64>,
        limit: u32,
    ) -> Result<Page<DeadMail, u64>, ReadError> {
        let beyond = after.unwrap_or(i64::MAX as u64);
        let found = self
            .0
            .list(move |tables| rows(tables, DEAD, params![beyond, one_more(limit)], dead))
            .await?;
        Ok(Page::cut(found, limit, None, |row: &DeadMail| row.position))
    }
}

fn letter(row: &Row<'_>) -> rusqlite::Result<Letter> {
    Ok(Letter {
        account_id: account(row, 1)?,
        errand: json(row, 2)?,
    })
}

fn pending(row: &Row<'_>) -> rusqlite::Result<PendingMail> {
    Ok(PendingMail {
        mail_id: id(row, 0)?,
        letter: letter(row)?,
        since: time(row, 3)?,
        position: row.get(4)?,
    })
}

fn dead(row: &Row<'_>) -> rusqlite::Result<DeadMail> {
    Ok(DeadMail {
        mail_id: id(row, 0)?,
        letter: letter(row)?,
        since: time(row, 3)?,
        position: row.get(4)?,
        attempts: row.get(5)?,
        failure: json(row, 6)?,
        revision: row.get(7)?,
    })
}
