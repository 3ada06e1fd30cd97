//! What ends by itself when its time has come, by when that is. Nothing in it is personal.
//!
//! It says where to look, and decides nothing: whether a time has come is asked again of the aggregate.

use rollbook_aggregates::domain::Timestamp;
use rollbook_aggregates::invitation::InvitationEvent;
use rollbook_aggregates::values::{AccountId, InvitationId, ValidityDays};
use rusqlite::{Connection, Row, params};
use uuid::Uuid;

use crate::columns::{Coded as _, account, coded, codes, id, optional_time, time};
use crate::event::{Content, Folded};
use crate::page::{first, one_more, rows};
use crate::reading::{ReadError, questions_of};
use crate::view::{FoldError, View};

/// What ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Kind {
    Invitation,
}

codes! {
    Kind {
        Invitation = 1,
    }
}

/// What ends, and of whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ends {
    /// An invitation.
    Invitation(InvitationId),
}

impl Ends {
    /// The key of its row.
    fn key(self) -> (i64, [u8; 16]) {
        let (kind, subject) = match self {
            Self::Invitation(id) => (Kind::Invitation, id.as_uuid()),
        };
        (kind.code(), subject.into_bytes())
    }
}

/// A time at which something ends.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Deadline {
    /// The account.
    pub account_id: AccountId,
    /// What ends then.
    pub ends: Ends,
    /// Which link it is, of those that were issued; 0 for what is no link.
    pub issue: u32,
    /// When.
    pub due_at: Timestamp,
}

const TABLES: &str = "
    CREATE TABLE deadlines (
        kind INTEGER NOT NULL,
        subject BLOB NOT NULL,
        account_id TEXT NOT NULL,
        issue INTEGER NOT NULL,
        due_at INTEGER NOT NULL,
        PRIMARY KEY (kind, subject)
    ) STRICT, WITHOUT ROWID;

    CREATE INDEX deadlines_by_due_at ON deadlines (due_at, kind, subject);
";

const SET: &str = "
    INSERT OR REPLACE INTO deadlines (kind, subject, account_id, issue, due_at)
    VALUES (?1, ?2, ?3, ?4, ?5)";

const CLEAR: &str = "
    DELETE FROM deadlines
    WHERE kind = ?1 AND subject = ?2";

const DUE: &str = "
    SELECT kind, subject, account_id, issue, due_at
    FROM deadlines
    WHERE due_at <= ?1 AND (due_at, kind, subject) > (?2, ?3, ?4)
    ORDER BY due_at, kind, subject
    LIMIT ?5";

const NEXT: &str = "
    SELECT min(due_at)
    FROM deadlines
    WHERE due_at > ?1";

const IS_THERE: &str = "
    SELECT count(*)
    FROM deadlines
    WHERE kind = ?1 AND subject = ?2 AND issue = ?3 AND due_at = ?4";

/// The view of deadlines.
pub(crate) struct DeadlineView;

impl View for DeadlineView {
    const NAME: &'static str = "deadlines";
    const VERSION: u32 = 1;
    const TABLES: &'static [&'static str] = &[TABLES];

    fn concerns(event: &Folded) -> bool {
        match &event.content {
            Content::Invitation(..) => true,
            Content::Unreadable(_) => event.recorded.stream.aggregate_type == "invitation",
            Content::Account(_)
            | Content::User(..)
            | Content::Access(..)
            | Content::SignIn(..)
            | Content::Invoice(_)
            | Content::Other => false,
        }
    }

    fn fold(tables: &Connection, folded: &Folded) -> Result<(), FoldError> {
        match &folded.content {
            Content::Invitation(invitation, event) => {
                let change = Change {
                    tables,
                    folded,
                    kind: Kind::Invitation,
                    subject: invitation.as_uuid(),
                };
                match event {
                    InvitationEvent::UserInvited(sent) => {
                        change.set_days(sent.issue, sent.validity_days)
                    }
                    InvitationEvent::InvitationResent(sent) => {
                        change.set_days(sent.issue, sent.validity_days)
                    }
                    InvitationEvent::InvitationAccepted(_)
                    | InvitationEvent::InvitationExpired(_)
                    | InvitationEvent::InvitationDeleted(_) => change.clear(),
                }
            }
            Content::Unreadable(why) => Err(FoldError::Unreadable(why.clone())),
            Content::Account(_)
            | Content::User(..)
            | Content::Access(..)
            | Content::SignIn(..)
            | Content::Invoice(_)
            | Content::Other => Ok(()),
        }
    }
}

/// A change of one deadline by one event.
struct Change<'a> {
    tables: &'a Connection,
    folded: &'a Folded,
    kind: Kind,
    subject: Uuid,
}

impl Change<'_> {
    fn set_days(&self, issue: u32, validity: ValidityDays) -> Result<(), FoldError> {
        self.set(
            issue,
            self.folded.recorded.recorded_at + validity.duration(),
        )
    }

    fn set(&self, issue: u32, due_at: Timestamp) -> Result<(), FoldError> {
        self.tables.prepare_cached(SET)?.execute(params![
            self.kind.code(),
            self.subject.into_bytes(),
            self.folded.recorded.account_id,
            issue,
            due_at.timestamp_micros(),
        ])?;
        Ok(())
    }

    fn clear(&self) -> Result<(), FoldError> {
        self.tables
            .prepare_cached(CLEAR)?
            .execute(params![self.kind.code(), self.subject.into_bytes()])?;
        Ok(())
    }
}

questions_of! {
    /// What ends by itself, and when.
    Deadlines
}

impl Deadlines {
    /// What has ended by this time and is not recorded yet, the oldest first; at most `limit`, after that one.
    ///
    /// # Errors
    /// The file of the view cannot be read.
    pub async fn due(
        &self,
        now: Timestamp,
        after: Option<Deadline>,
        limit: u32,
    ) -> Result<Vec<Deadline>, ReadError> {
        let (due_at, kind, subject) = after.map_or((i64::MIN, 0, [0; 16]), |after| {
            let (kind, subject) = match after.ends {
                Ends::Invitation(id) => (Kind::Invitation, id.as_uuid()),
            };
            (
                after.due_at.timestamp_micros(),
                kind.code(),
                subject.into_bytes(),
            )
        });
        let now = now.timestamp_micros();
        let limit = one_more(limit) - 1;
        self.0
            .list(move |tables| {
                rows(
                    tables,
                    DUE,
                    params![now, due_at, kind, subject, limit],
                    read,
                )
            })
            .await
    }

    /// Whether this has not ended yet, nor is to end at another time.
    ///
    /// # Errors
    /// The file of the view cannot be read.
    pub fn is_there(&self, deadline: &Deadline) -> Result<bool, ReadError> {
        let (kind, subject) = deadline.ends.key();
        let due_at = deadline.due_at.timestamp_micros();
        let key = params![kind, subject, deadline.issue, due_at];
        self.0
            .look_up(|tables| first(tables, IS_THERE, key, |row| row.get(0)))
            .map(|found| found == Some(1))
    }

    /// When the next thing ends after this time.
    ///
    /// # Errors
    /// The file of the view cannot be read.
    pub fn next(&self, now: Timestamp) -> Result<Option<Timestamp>, ReadError> {
        let now = now.timestamp_micros();
        let next = |row: &Row<'_>| optional_time(row, 0);
        self.0
            .look_up(|tables| first(tables, NEXT, [now], next))
            .map(Option::flatten)
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<Deadline> {
    let ends = match coded(row, 0)? {
        Kind::Invitation => Ends::Invitation(id(row, 1)?),
    };
    Ok(Deadline {
        account_id: account(row, 2)?,
        ends,
        issue: row.get(3)?,
        due_at: time(row, 4)?,
    })
}
