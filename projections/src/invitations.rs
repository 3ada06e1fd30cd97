//! The invitations: listed by when they were sent, and found by the digest of their latest token.
//!
//! The status is what is recorded: one whose time has passed is listed as invited until its expiry is an event. The address
//! stands here only while the invitation is pending.

use rollbook_aggregates::domain::Timestamp;
use rollbook_aggregates::invitation::{InvitationEvent, InvitationResent, UserInvited};
use rollbook_aggregates::values::{
    AccountId, CompanyId, EmailAddress, InvitationId, Permission, UserId, UserType,
};
use rusqlite::{Connection, Row, ToSql, params};
use serde::{Deserialize, Serialize};

use crate::columns::{Coded, account, coded, codes, id, json, optional_id, optional_time, time};
use crate::event::{Content, Folded};
use crate::page::{Page, first, one_more, rows, total};
use crate::reading::{ReadError, questions_of};
use crate::view::{FoldError, View};

/// How an invitation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvitationStatus {
    /// It was sent, and nothing came of it yet.
    Invited,
    /// A user was created with it.
    Accepted,
    /// It was not accepted in time.
    Expired,
    /// It was deleted.
    Deleted,
}

codes! {
    InvitationStatus {
        Invited = 1,
        Accepted = 2,
        Expired = 3,
        Deleted = 4,
    }
}

const TABLES: &str = "
    CREATE TABLE invitations (
        number INTEGER PRIMARY KEY,
        invitation_id BLOB NOT NULL UNIQUE,
        account_id TEXT NOT NULL,
        status INTEGER NOT NULL,
        email TEXT,
        user_type INTEGER NOT NULL,
        roles TEXT NOT NULL,
        permissions TEXT NOT NULL,
        companies TEXT NOT NULL,
        issue INTEGER NOT NULL,
        token_digest TEXT NOT NULL UNIQUE,
        created_by TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        sent_at INTEGER NOT NULL,
        expires_at INTEGER NOT NULL,
        ended_at INTEGER,
        accepted_by BLOB,
        revision INTEGER NOT NULL,
        position INTEGER NOT NULL
    ) STRICT;
";

/// What only questions need: made once the rows are there.
const INDEXES: &[&str] = &[
    "CREATE INDEX invitations_by_sent_at ON invitations (account_id, sent_at, invitation_id)",
    "CREATE INDEX invitations_by_status ON invitations (account_id, status, sent_at, invitation_id)",
];

const INSERT: &str = "
    INSERT INTO invitations (
        invitation_id, revision, position, created_at, sent_at, expires_at, status, account_id, email,
        user_type, roles, permissions, companies, issue, token_digest, created_by
    )
    VALUES (?1, ?2, ?3, ?4, ?4, ?5, 1, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)";

const RESEND: &str = "
    UPDATE invitations
    SET revision = ?2, position = ?3, sent_at = ?4, expires_at = ?5, issue = ?6, token_digest = ?7
    WHERE invitation_id = ?1";

const END: &str = "
    UPDATE invitations
    SET revision = ?2, position = ?3, ended_at = ?4, status = ?5, accepted_by = ?6, email = NULL
    WHERE invitation_id = ?1";

/// The columns of an invitation, as [`read`] takes them.
macro_rules! columns {
    () => {
        "account_id, invitation_id, status, email, user_type, roles, permissions, companies, issue, token_digest,
        created_by, created_at, sent_at, expires_at, ended_at, accepted_by, revision, position"
    };
}

const SELECT: &str = concat!(
    "SELECT ",
    columns!(),
    "
    FROM invitations
    WHERE invitation_id = ?1 AND account_id = ?2"
);

const SELECT_BY_TOKEN: &str = concat!(
    "SELECT ",
    columns!(),
    "
    FROM invitations
    WHERE token_digest = ?1"
);

/// A question for the invitations of an account, by when they were last sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListInvitations {
    /// Whose invitations.
    pub account: AccountId,
    /// Only those of one of these statuses; empty: of any.
    pub statuses: Vec<InvitationStatus>,
    /// Whether the newest comes first.
    pub descending: bool,
    /// Where the page before ended.
    pub after: Option<InvitationKey>,
    /// How many at most, 1 to 1000.
    pub limit: u32,
    /// Whether to count all that match.
    pub total: bool,
}

/// A place in a list of invitations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvitationKey {
    sent_at: i64,
    invitation_id: InvitationId,
}

/// An invitation.
#[derive(Clone, Debug, PartialEq)]
pub struct InvitationRow {
    /// The account that invites.
    pub account_id: AccountId,
    /// Its id.
    pub invitation_id: InvitationId,
    /// How it stands, by what is recorded and not by the clock.
    pub status: InvitationStatus,
    /// To whom it was sent; erased with its end.
    pub email: Option<String>,
    /// What kind of user is invited.
    pub user_type: UserType,
    /// With these roles, by name.
    pub roles: Vec<String>,
    /// With these grants.
    pub permissions: Vec<Permission>,
    /// In these companies.
    pub companies: Vec<CompanyId>,
    /// How often it was sent.
    pub issue: u32,
    /// The digest of the token sent last.
    pub token_digest: String,
    /// Who invited.
    pub created_by: String,
    /// When it was first sent.
    pub created_at: Timestamp,
    /// When it was last sent.
    pub sent_at: Timestamp,
    /// From when on it is dead.
    pub expires_at: Timestamp,
    /// When it was accepted or deleted, or its expiry recorded.
    pub ended_at: Option<Timestamp>,
    /// The user that was created with it.
    pub accepted_by: Option<UserId>,
    /// The number of its last event.
    pub revision: u64,
    /// Where that stands in the log.
    pub position: u64,
}

/// The view of invitations.
pub(crate) struct InvitationView;

impl View for InvitationView {
    const NAME: &'static str = "invitations";
    const VERSION: u32 = 1;
    const TABLES: &'static [&'static str] = &[TABLES];
    const INDEXES: &'static [&'static str] = INDEXES;

    fn concerns(event: &Folded) -> bool {
        match event.content {
            Content::Invitation(..) => true,
            Content::Unreadable(_) => event.recorded.stream.aggregate_type == "invitation",
            Content::Account(_)
            | Content::User(..)
            | Content::Access(..)
            | Content::SignIn(..)
            | Content::Mail(..)
            | Content::Invoice(_)
            | Content::Other => false,
        }
    }

    fn fold(tables: &Connection, folded: &Folded) -> Result<(), FoldError> {
        let (invitation, event) = match &folded.content {
            Content::Invitation(invitation, event) => (invitation.as_uuid().into_bytes(), event),
            Content::Unreadable(why) => return Err(FoldError::Unreadable(why.clone())),
            Content::Account(_)
            | Content::User(..)
            | Content::Access(..)
            | Content::SignIn(..)
            | Content::Mail(..)
            | Content::Invoice(_)
            | Content::Other => {
                return Ok(());
            }
        };
        let change = Change {
            tables,
            folded,
            invitation,
        };
        match event {
            InvitationEvent::UserInvited(invited) => change.insert(invited),
            InvitationEvent::InvitationResent(resent) => change.resend(resent),
            InvitationEvent::InvitationAccepted(accepted) => {
                change.end(InvitationStatus::Accepted, Some(accepted.user_id))
            }
            InvitationEvent::InvitationExpired(_) => change.end(InvitationStatus::Expired, None),
            InvitationEvent::InvitationDeleted(_) => change.end(InvitationStatus::Deleted, None),
        }
    }
}

/// A change of one invitation by one event.
struct Change<'a> {
    tables: &'a Connection,
    folded: &'a Folded,
    invitation: [u8; 16],
}

impl Change<'_> {
    fn run(&self, sql: &'static str, values: &[&dyn ToSql]) -> Result<(), FoldError> {
        let recorded = &self.folded.recorded;
        let at = self.folded.micros();
        let mut params: Vec<&dyn ToSql> = vec![
            &self.invitation,
            &recorded.revision,
            &recorded.position,
            &at,
        ];
        params.extend(values);
        self.tables
            .prepare_cached(sql)?
            .execute(params.as_slice())?;
        Ok(())
    }

    fn insert(&self, invited: &UserInvited) -> Result<(), FoldError> {
        let recorded = &self.folded.recorded;
        let expires_at =
            (recorded.recorded_at + invited.validity_days.duration()).timestamp_micros();
        self.run(
            INSERT,
            &[
                &expires_at,
                &recorded.account_id,
                &invited.email.known().map(EmailAddress::as_str),
                &invited.user_type.code(),
                &serde_json::to_string(&invited.roles)?,
                &serde_json::to_string(&invited.permissions)?,
                &serde_json::to_string(&invited.companies)?,
                &invited.issue,
                &invited.token_digest.to_string(),
                &recorded.metadata.actor,
            ],
        )
    }

    fn resend(&self, resent: &InvitationResent) -> Result<(), FoldError> {
        let sent_at = self.folded.recorded.recorded_at;
        let expires_at = (sent_at + resent.validity_days.duration()).timestamp_micros();
        self.run(
            RESEND,
            &[&expires_at, &resent.issue, &resent.token_digest.to_string()],
        )
    }

    fn end(&self, status: InvitationStatus, accepted_by: Option<UserId>) -> Result<(), FoldError> {
        self.run(
            END,
            &[
                &status.code(),
                &accepted_by.map(|user| user.as_uuid().into_bytes()),
            ],
        )
    }
}

questions_of! {
    /// The invitations.
    Invitations
}

impl Invitations {
    /// An invitation by its id.
    ///
    /// # Errors
    /// The file of the view cannot be read.
    pub fn get(
        &self,
        account: &AccountId,
        invitation: InvitationId,
    ) -> Result<Option<InvitationRow>, ReadError> {
        let key = params![invitation.as_uuid().into_bytes(), account.as_str()];
        self.0.look_up(|tables| first(tables, SELECT, key, read))
    }

    /// The invitation of any account whose latest token has this digest, given in hex as in its event.
    ///
    /// # Errors
    /// The file of the view cannot be read.
    pub fn by_token_digest(&self, digest: &str) -> Result<Option<InvitationRow>, ReadError> {
        self.0
            .look_up(|tables| first(tables, SELECT_BY_TOKEN, [digest], read))
    }

    /// A page of the invitations of an account, by when they were last sent.
    ///
    /// # Errors
    /// The file of the view cannot be read.
    pub async fn list(
        &self,
        query: ListInvitations,
    ) -> Result<Page<InvitationRow, InvitationKey>, ReadError> {
        self.0.list(move |tables| list(tables, &query)).await
    }
}

fn list(
    tables: &Connection,
    query: &ListInvitations,
) -> rusqlite::Result<Page<InvitationRow, InvitationKey>> {
    let account = query.account.as_str();
    let matching = matching(&query.statuses);
    let (order, beyond) = if query.descending {
        ("DESC", "<")
    } else {
        ("ASC", ">")
    };
    let sql = format!(
        "SELECT {columns} {matching}
            AND (sent_at, invitation_id) {beyond} (?2, ?3)
        ORDER BY sent_at {order}, invitation_id {order}
        LIMIT ?4",
        columns = columns!(),
    );
    // Without a key: before, or beyond, every time there is.
    let edge = if query.descending { i64::MAX } else { i64::MIN };
    let (sent_at, invitation) = match &query.after {
        Some(key) => (key.sent_at, key.invitation_id.as_uuid().into_bytes()),
        None => (edge, [0; 16]),
    };
    let found = rows(
        tables,
        &sql,
        params![account, sent_at, invitation, one_more(query.limit)],
        read,
    )?;
    let total = total(
        tables,
        query.total,
        &format!("SELECT count(*) {matching}"),
        [account],
    )?;
    Ok(Page::cut(
        found,
        query.limit,
        total,
        |row: &InvitationRow| InvitationKey {
            sent_at: row.sent_at.timestamp_micros(),
            invitation_id: row.invitation_id,
        },
    ))
}

/// Where the invitations of these statuses are read from.
fn matching(statuses: &[InvitationStatus]) -> String {
    if statuses.is_empty() {
        return "FROM invitations INDEXED BY invitations_by_sent_at WHERE account_id = ?1"
            .to_owned();
    }
    let codes: Vec<String> = statuses
        .iter()
        .map(|status| status.code().to_string())
        .collect();
    let index = if codes.len() == 1 {
        "invitations_by_status"
    } else {
        "invitations_by_sent_at"
    };
    format!(
        "FROM invitations INDEXED BY {index} WHERE account_id = ?1 AND status IN ({})",
        codes.join(", ")
    )
}

fn read(row: &Row<'_>) -> rusqlite::Result<InvitationRow> {
    Ok(InvitationRow {
        account_id: account(row, 0)?,
        invitation_id: id(row, 1)?,
        status: coded(row, 2)?,
        email: row.get(3)?,
        user_type: coded(row, 4)?,
        roles: json(row, 5)?,
        permissions: json(row, 6)?,
        companies: json(row, 7)?,
        issue: row.get(8)?,
        token_digest: row.get(9)?,
        created_by: row.get(10)?,
        created_at: time(row, 11)?,
        sent_at: time(row, 12)?,
        expires_at: time(row, 13)?,
        ended_at: optional_time(row, 14)?,
        accepted_by: optional_id(row, 15)?,
        revision: row.get(16)?,
        position: row.get(17)?,
    })
}
