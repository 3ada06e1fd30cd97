//! The audit trail: who did what to which user, invitation or account, and when. Nothing in it is personal.

use rollbook_aggregates::domain::Timestamp;
use rollbook_aggregates::values::{AccountId, InvitationId, UserId};
use rusqlite::{Connection, Row, params};

use crate::columns::time;
use crate::event::Folded;
use crate::page::{Page, one_more, rows, total};
use crate::reading::{ReadError, questions_of};
use crate::view::{FoldError, View};

const TABLES: &str = "
    CREATE TABLE trail (
        position INTEGER PRIMARY KEY,
        account_id TEXT NOT NULL,
        account_number INTEGER NOT NULL,
        subject_kind TEXT NOT NULL,
        subject_id TEXT NOT NULL,
        event_type TEXT NOT NULL,
        actor TEXT NOT NULL,
        service TEXT NOT NULL,
        request_id TEXT,
        trace_id TEXT,
        recorded_at INTEGER NOT NULL
    ) STRICT;
";

/// What only questions need: made once the rows are there.
const INDEXES: &[&str] = &[
    "CREATE INDEX trail_by_account ON trail (account_id, position)",
    "CREATE INDEX trail_by_subject ON trail (subject_id, position)",
];

const INSERT: &str = "
    INSERT INTO trail (
        position, account_id, account_number, subject_kind, subject_id, event_type,
        actor, service, request_id, trace_id, recorded_at
    )
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";

/// A statement for a page of the trail, and the one that counts it.
macro_rules! pages {
    ($whose:literal, $index:literal) => {
        [
            concat!(
                "SELECT position, account_number, subject_kind, subject_id, event_type,
        actor, service, request_id, trace_id, recorded_at
    FROM trail INDEXED BY ",
                $index,
                "
    WHERE ",
                $whose,
                " AND position > ?4
    ORDER BY position
    LIMIT ?5"
            ),
            concat!(
                "SELECT position, account_number, subject_kind, subject_id, event_type,
        actor, service, request_id, trace_id, recorded_at
    FROM trail INDEXED BY ",
                $index,
                "
    WHERE ",
                $whose,
                " AND position < ?4
    ORDER BY position DESC
    LIMIT ?5"
            ),
            concat!(
                "SELECT count(*)
    FROM trail INDEXED BY ",
                $index,
                "
    WHERE ",
                $whose
            ),
        ]
    };
}

/// Forwards, backwards, and how many.
const OF_ACCOUNT: [&str; 3] = pages!(
    "account_id = ?1 AND ?2 IS NULL AND ?3 IS NULL",
    "trail_by_account"
);
const OF_SUBJECT: [&str; 3] = pages!(
    "account_id = ?1 AND subject_kind = ?2 AND subject_id = ?3",
    "trail_by_subject"
);

/// Whom or what a trail is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// One user.
    User(UserId),
    /// One invitation.
    Invitation(InvitationId),
}

/// A question for a trail, by position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListTrail {
    /// Whose account.
    pub account: AccountId,
    /// About whom; nothing: everything in the account.
    pub subject: Option<Subject>,
    /// Whether the newest comes first.
    pub descending: bool,
    /// Where the page before ended.
    pub after: Option<u64>,
    /// How many at most, 1 to 1000.
    pub limit: u32,
    /// Whether to count them all.
    pub total: bool,
}

/// An event of a trail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrailRow {
    /// Where it stands in the log.
    pub position: u64,
    /// Its number in the account.
    pub account_number: u64,
    /// The type of what it happened to: `account`, `user`, `invitation`, `invoice`.
    pub subject_kind: String,
    /// The id of what it happened to.
    pub subject_id: String,
    /// What happened.
    pub event_type: String,
    /// Who did it.
    pub actor: String,
    /// The service that called.
    pub service: String,
    /// The request.
    pub request_id: Option<String>,
    /// The trace it was part of.
    pub trace_id: Option<String>,
    /// When.
    pub recorded_at: Timestamp,
}

/// The view of the audit trail.
pub(crate) struct AuditView;

impl View for AuditView {
    const NAME: &'static str = "audit";
    const VERSION: u32 = 1;
    const TABLES: &'static [&'static str] = &[TABLES];
    const INDEXES: &'static [&'static str] = INDEXES;

    fn concerns(_event: &Folded) -> bool {
        true
    }

    fn fold(tables: &Connection, folded: &Folded) -> Result<(), FoldError> {
        let recorded = &folded.recorded;
        tables.prepare_cached(INSERT)?.execute(params![
            recorded.position,
            recorded.account_id,
            recorded.account_number,
            recorded.stream.aggregate_type,
            recorded.stream.aggregate_id,
            recorded.event_type,
            recorded.metadata.actor,
            recorded.metadata.service,
            recorded.metadata.request_id,
            recorded.metadata.trace_id,
            folded.micros(),
        ])?;
        Ok(())
    }
}

questions_of! {
    /// Who did what, and when.
    AuditTrail
}

impl AuditTrail {
    /// A page of a trail; a page ends at its last row's position.
    ///
    /// # Errors
    /// The file of the view cannot be read.
    pub async fn list(&self, query: ListTrail) -> Result<Page<TrailRow, u64>, ReadError> {
        self.0.list(move |tables| list(tables, &query)).await
    }
}

fn list(tables: &Connection, query: &ListTrail) -> rusqlite::Result<Page<TrailRow, u64>> {
    let (kind, id) = match query.subject {
        None => (None, None),
        Some(Subject::User(user)) => (Some("user"), Some(user.to_string())),
        Some(Subject::Invitation(invitation)) => (Some("invitation"), Some(invitation.to_string())),
    };
    let [forwards, backwards, count] = if query.subject.is_some() {
        OF_SUBJECT
    } else {
        OF_ACCOUNT
    };
    let (select, start) = if query.descending {
        (backwards, i64::MAX as u64)
    } else {
        (forwards, 0)
    };
    let account = query.account.as_str();
    let page = params![
        account,
        kind,
        id,
        query.after.unwrap_or(start),
        one_more(query.limit)
    ];
    let found = rows(tables, select, page, read)?;
    let total = total(tables, query.total, count, params![account, kind, id])?;
    Ok(Page::cut(found, query.limit, total, |row: &TrailRow| {
        row.position
    }))
}

fn read(row: &Row<'_>) -> rusqlite::Result<TrailRow> {
    Ok(TrailRow {
        position: row.get(0)?,
        account_number: row.get(1)?,
        subject_kind: row.get(2)?,
        subject_id: row.get(3)?,
        event_type: row.get(4)?,
        actor: row.get(5)?,
        service: row.get(6)?,
        request_id: row.get(7)?,
        trace_id: row.get(8)?,
        recorded_at: time(row, 9)?,
    })
}
