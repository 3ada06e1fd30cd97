//! The accesses of users to accounts that are not their home. They stand in the file of the users: each makes a row of its
//! user in the account that is accessed.

use rollbook_aggregates::access::{AccessEvent, AccessGranted, AccessKey};
use rollbook_aggregates::domain::Timestamp;
use rollbook_aggregates::values::{AccountId, Permission, UserId, UserType};
use rusqlite::types::ToSql;
use rusqlite::{Connection, Row, params};
use uuid::Uuid;

use crate::columns::{Coded, account, coded, codes, id, json, optional_time, time};
use crate::event::Folded;
use crate::page::{Page, first, one_more, rows, total};
use crate::reading::{ReadError, questions_of};
use crate::users::numbers;
use crate::view::FoldError;

pub(super) const TABLES: &str = "
    CREATE TABLE accesses (
        account_id TEXT NOT NULL,
        user_id BLOB NOT NULL,
        home_account_id TEXT NOT NULL,
        status INTEGER NOT NULL,
        user_type INTEGER NOT NULL,
        permissions TEXT NOT NULL,
        sessions_valid_from INTEGER NOT NULL,
        granted_at INTEGER NOT NULL,
        modified_at INTEGER NOT NULL,
        revoked_at INTEGER,
        revision INTEGER NOT NULL,
        position INTEGER NOT NULL,
        PRIMARY KEY (account_id, user_id)
    ) STRICT, WITHOUT ROWID;

    CREATE INDEX accesses_by_user ON accesses (user_id, account_id);
";

/// How an access stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessStatus {
    /// The user has it.
    Granted,
    /// It was revoked.
    Revoked,
    /// The user was deleted.
    UserDeleted,
}

codes! {
    AccessStatus {
        Granted = 1,
        Revoked = 2,
        UserDeleted = 3,
    }
}

/// The access of a user to an account that is not its home.
#[derive(Clone, Debug, PartialEq)]
pub struct AccessRow {
    /// The account that is accessed.
    pub account_id: AccountId,
    /// The user.
    pub user_id: UserId,
    /// Where the user is at home.
    pub home_account_id: AccountId,
    /// How it stands.
    pub status: AccessStatus,
    /// What kind of user it is in the account that is accessed.
    pub user_type: UserType,
    /// Its grants there, by module and company.
    pub permissions: Vec<Permission>,
    /// The time from which its sessions there are valid, as far as the access tells.
    pub sessions_valid_from: Timestamp,
    /// When it was granted, the last time.
    pub granted_at: Timestamp,
    /// When it was last changed.
    pub modified_at: Timestamp,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// The number of its last event.
    pub revision: u64,
    /// Where that stands in the log.
    pub position: u64,
}

/// A question for a page of accesses, by account and user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListAccesses {
    /// Only those to this account.
    pub account: Option<AccountId>,
    /// Only those of this user.
    pub user: Option<UserId>,
    /// Whether those that have ended are listed, too.
    pub include_ended: bool,
    /// Where the page before ended.
    pub after: Option<AccessKey>,
    /// How many at most, 1 to 1000.
    pub limit: u32,
    /// Whether to count them all.
    pub total: bool,
}

const GRANT: &str = "
    INSERT OR REPLACE INTO accesses (
        account_id, user_id, revision, position, granted_at, modified_at, sessions_valid_from, status,
        home_account_id, user_type, permissions
    )
    VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?5, 1, ?6, ?7, ?8)";

/// The person as it is at home; what it may do, and which companies and roles it has there, is not taken over. Its phone
/// numbers are not this account's business.
const SHOW: &str = "
    INSERT INTO users (
        account_id, user_id, revision, position, created_at, modified_at, sessions_valid_from, external,
        home_account_id, user_type, permissions,
        signature, signature_folded, signature_key, first_name, first_name_key, last_name, last_name_key,
        email, email_folded, email_key, language, active, locked, auto_locked_at, reset_until, new_password,
        password_set_at, onboarded, second_factor, last_signed_in_at, number
    )
    SELECT
        ?1, user_id, ?3, ?4, ?5, ?5, ?5, TRUE,
        ?6, ?7, ?8,
        signature, signature_folded, signature_key, first_name, first_name_key, last_name, last_name_key,
        email, email_folded, email_key, language, active, locked, auto_locked_at, reset_until, new_password,
        password_set_at, onboarded, second_factor, last_signed_in_at, ?9
    FROM users
    WHERE user_id = ?2 AND NOT external";

/// A change of an access, with the columns it sets from `?6` on.
macro_rules! change {
    ($table:literal, $columns:literal) => {
        concat!(
            "
    UPDATE ",
            $table,
            "
    SET ",
            $columns,
            " revision = ?3, position = ?4, modified_at = ?5
    WHERE account_id = ?1 AND user_id = ?2"
        )
    };
}

/// The same change of the access and of the row of its user.
macro_rules! both {
    ($columns:literal) => {
        [change!("accesses", $columns), change!("users", $columns)]
    };
}

const SET_TYPE: [&str; 2] =
    both!("user_type = ?6, sessions_valid_from = iif(?7, ?5, sessions_valid_from),");
const SET_PERMISSIONS: [&str; 2] =
    both!("permissions = ?6, sessions_valid_from = iif(?7, ?5, sessions_valid_from),");
const REVOKE: &str = change!(
    "accesses",
    "status = 2, revoked_at = ?5, sessions_valid_from = ?5,"
);
const FORGET: &str = change!(
    "accesses",
    "status = 3, permissions = '[]', sessions_valid_from = ?5,"
);

/// What ends them at home is what changed the person.
const END_SESSIONS: [&str; 2] = [
    "
    UPDATE accesses
    SET sessions_valid_from = ?5, revision = ?3, position = ?4
    WHERE account_id = ?1 AND user_id = ?2",
    "
    UPDATE users
    SET sessions_valid_from = ?5, revision = ?3, position = ?4
    WHERE account_id = ?1 AND user_id = ?2",
];

const HIDE: &str = "
    DELETE FROM users
    WHERE account_id = ?1 AND user_id = ?2";

/// What was reported of the user's work changes neither.
const ADVANCE: [&str; 2] = [
    "
    UPDATE accesses
    SET revision = ?3, position = ?4
    WHERE account_id = ?1 AND user_id = ?2",
    "
    UPDATE users
    SET revision = ?3, position = ?4
    WHERE account_id = ?1 AND user_id = ?2",
];

pub(super) fn fold(
    tables: &Connection,
    folded: &Folded,
    key: &AccessKey,
    event: &AccessEvent,
) -> Result<(), FoldError> {
    let change = Change {
        tables,
        folded,
        account: key.account_id.as_str(),
        user: key.user_id.as_uuid().into_bytes(),
    };
    match event {
        AccessEvent::AccessGranted(granted) => change.grant(granted),
        AccessEvent::AccessTypeChanged(changed) => change.both(
            SET_TYPE,
            &[&changed.user_type.code(), &changed.ends_sessions],
        ),
        AccessEvent::AccessPermissionsSet(set) => {
            let permissions = serde_json::to_string(&set.permissions)?;
            change.both(SET_PERMISSIONS, &[&permissions, &set.ends_sessions])
        }
        AccessEvent::AccessRevoked(_) => {
            change.set(REVOKE, &[])?;
            change.hide()
        }
        AccessEvent::ExternalSessionsEnded(_) => change.both(END_SESSIONS, &[]),
        AccessEvent::ExternalUserDeleted(_) => {
            change.set(FORGET, &[])?;
            change.hide()
        }
        AccessEvent::InvoiceQueued(_)
        | AccessEvent::InvoiceDequeued(_)
        | AccessEvent::InvoiceReviewed(_)
        | AccessEvent::InvoiceReviewRetracted(_)
        | AccessEvent::InvoiceSettled(_)
        | AccessEvent::FlowTemplateLinked(_)
        | AccessEvent::FlowTemplateUnlinked(_)
        | AccessEvent::ReferenceLinked(_)
        | AccessEvent::ReferenceUnlinked(_) => change.advance(),
    }
}

/// A change of one access by one event.
struct Change<'a> {
    tables: &'a Connection,
    folded: &'a Folded,
    account: &'a str,
    user: [u8; 16],
}

impl Change<'_> {
    fn run(&self, sql: &'static str, params: &[&dyn ToSql]) -> Result<(), FoldError> {
        self.tables.prepare_cached(sql)?.execute(params)?;
        Ok(())
    }

    /// Runs a statement that takes the time of the event and these values.
    fn set(&self, sql: &'static str, values: &[&dyn ToSql]) -> Result<(), FoldError> {
        let recorded = &self.folded.recorded;
        let at = self.folded.micros();
        let mut params: Vec<&dyn ToSql> = vec![
            &self.account,
            &self.user,
            &recorded.revision,
            &recorded.position,
            &at,
        ];
        params.extend(values);
        self.run(sql, &params)
    }

    fn both(&self, sql: [&'static str; 2], values: &[&dyn ToSql]) -> Result<(), FoldError> {
        sql.into_iter().try_for_each(|sql| self.set(sql, values))
    }

    fn grant(&self, granted: &AccessGranted) -> Result<(), FoldError> {
        let home = granted.home_account_id.as_str();
        let user_type = granted.user_type.code();
        let permissions = serde_json::to_string(&granted.permissions)?;
        self.set(GRANT, &[&home, &user_type, &permissions])?;
        self.hide()?;
        let number = numbers::next(self.tables, self.account)?;
        self.set(SHOW, &[&home, &user_type, &permissions, &number])
    }

    fn advance(&self) -> Result<(), FoldError> {
        let recorded = &self.folded.recorded;
        let params = params![
            self.account,
            self.user,
            recorded.revision,
            recorded.position
        ];
        ADVANCE
            .into_iter()
            .try_for_each(|sql| self.run(sql, params))
    }

    fn hide(&self) -> Result<(), FoldError> {
        self.run(HIDE, params![self.account, self.user])
    }
}

/// The columns of an access, as [`read`] takes them.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "
    SELECT account_id, user_id, home_account_id, status, user_type, permissions, sessions_valid_from,
        granted_at, modified_at, revoked_at, revision, position
    FROM accesses ",
            $rest
        )
    };
}

const SELECT: &str = select!("WHERE account_id = ?1 AND user_id = ?2");
const SELECT_OF_ACCOUNT: &str = select!(
    "
    WHERE account_id = ?1 AND (?2 IS NULL OR user_id = ?2) AND (?3 OR status = 1)
        AND (account_id, user_id) > (?4, ?5)
    ORDER BY account_id, user_id
    LIMIT ?6"
);
const SELECT_OF_USER: &str = select!(
    "INDEXED BY accesses_by_user
    WHERE (?1 IS NULL OR account_id = ?1) AND user_id = ?2 AND (?3 OR status = 1)
        AND account_id > ?4 AND ?5 IS NOT NULL
    ORDER BY account_id
    LIMIT ?6"
);

const COUNT: &str = "
    SELECT count(*)
    FROM accesses
    WHERE (?1 IS NULL OR account_id = ?1) AND (?2 IS NULL OR user_id = ?2) AND (?3 OR status = 1)";

questions_of! {
    /// The accesses of users to accounts that are not their home, out of the users' view.
    Accesses
}

impl Accesses {
    /// The access of a user to an account, however it stands; nothing where there never was one.
    ///
    /// # Errors
    /// The file of the view cannot be read.
    pub fn get(&self, account: &AccountId, user: UserId) -> Result<Option<AccessRow>, ReadError> {
        self.0.look_up(|tables| {
            let key = params![account.as_str(), user.as_uuid().into_bytes()];
            first(tables, SELECT, key, read)
        })
    }

    /// A page of accesses, of an account or of a user.
    ///
    /// # Errors
    /// The file of the view cannot be read.
    pub async fn list(&self, query: ListAccesses) -> Result<Page<AccessRow, AccessKey>, ReadError> {
        self.0.list(move |tables| list(tables, &query)).await
    }
}

fn list(tables: &Connection, query: &ListAccesses) -> rusqlite::Result<Page<AccessRow, AccessKey>> {
    let account = query.account.as_ref().map(AccountId::as_str);
    let user = query.user.map(|user| user.as_uuid().into_bytes());
    let after = query.after.as_ref();
    let after_account = after.map_or("", |key| key.account_id.as_str());
    let after_user = after.map_or(Uuid::nil(), |key| key.user_id.as_uuid());
    let sql = if user.is_some() {
        SELECT_OF_USER
    } else {
        SELECT_OF_ACCOUNT
    };
    let page = params![
        account,
        user,
        query.include_ended,
        after_account,
        after_user.into_bytes(),
        one_more(query.limit)
    ];
    let found = rows(tables, sql, page, read)?;
    let count = params![account, user, query.include_ended];
    let total = total(tables, query.total, COUNT, count)?;
    Ok(Page::cut(found, query.limit, total, |row: &AccessRow| {
        AccessKey {
            account_id: row.account_id.clone(),
            user_id: row.user_id,
        }
    }))
}

fn read(row: &Row<'_>) -> rusqlite::Result<AccessRow> {
    Ok(AccessRow {
        account_id: account(row, 0)?,
        user_id: id(row, 1)?,
        home_account_id: account(row, 2)?,
        status: coded(row, 3)?,
        user_type: coded(row, 4)?,
        permissions: json(row, 5)?,
        sessions_valid_from: time(row, 6)?,
        granted_at: time(row, 7)?,
        modified_at: time(row, 8)?,
        revoked_at: optional_time(row, 9)?,
        revision: row.get(10)?,
        position: row.get(11)?,
    })
}
