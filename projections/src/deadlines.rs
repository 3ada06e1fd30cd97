//! What ends by itself when its time has come, by when that is. Nothing in it is personal.
//!
//! It says where to look, and decides nothing: whether a time has come is asked again of the aggregate.

use chrono::TimeDelta;
use rollbook_aggregates::account::AccountEvent;
use rollbook_aggregates::domain::Timestamp;
use rollbook_aggregates::invitation::InvitationEvent;
use rollbook_aggregates::user::{PasswordState, UserEvent};
use rollbook_aggregates::values::{AccountId, InvitationId, LockDuration, PasswordMaxAge, UserId};
use rusqlite::{Connection, Params, Row, params};

use crate::columns::{Coded as _, account, coded, codes, id, optional_time, time};
use crate::event::{Content, Folded};
use crate::page::{first, one_more, rows};
use crate::reading::{ReadError, questions_of};
use crate::view::{FoldError, View};

/// What ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Kind {
    Invitation,
    Welcome,
    PasswordReset,
    Password,
    Lock,
}

codes! {
    Kind {
        Invitation = 1,
        Welcome = 2,
        PasswordReset = 3,
        Password = 4,
        Lock = 5,
    }
}

/// What ends, and of whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ends {
    /// An invitation.
    Invitation(InvitationId),
    /// The welcome link of a user.
    Welcome(UserId),
    /// The link by which a user chooses another password.
    PasswordReset(UserId),
    /// The time for which a user's password is good.
    Password(UserId),
    /// The system's lock on a user.
    Lock(UserId),
}

impl Ends {
    /// The key of its row.
    fn key(self) -> (i64, [u8; 16]) {
        let (kind, subject) = match self {
            Self::Invitation(id) => (Kind::Invitation, id.as_uuid()),
            Self::Welcome(id) => (Kind::Welcome, id.as_uuid()),
            Self::PasswordReset(id) => (Kind::PasswordReset, id.as_uuid()),
            Self::Password(id) => (Kind::Password, id.as_uuid()),
            Self::Lock(id) => (Kind::Lock, id.as_uuid()),
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
        since INTEGER NOT NULL,
        due_at INTEGER,
        PRIMARY KEY (kind, subject)
    ) STRICT, WITHOUT ROWID;

    CREATE INDEX deadlines_by_account ON deadlines (account_id, kind);

    CREATE TABLE terms (
        account_id TEXT NOT NULL,
        kind INTEGER NOT NULL,
        micros INTEGER NOT NULL,
        PRIMARY KEY (account_id, kind)
    ) STRICT, WITHOUT ROWID;
";

/// What only questions need: made once the rows are there.
const INDEXES: &[&str] = &[
    "CREATE INDEX deadlines_by_due_at ON deadlines (due_at, kind, subject) WHERE due_at IS NOT NULL",
];

const SET: &str = "
    INSERT OR REPLACE INTO deadlines (kind, subject, account_id, issue, since, due_at)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6)";

const SET_BY_TERM: &str = "
    INSERT OR REPLACE INTO deadlines (kind, subject, account_id, issue, since, due_at)
    VALUES (
        ?1, ?2, ?3, 0, ?4,
        ?4 + (SELECT micros FROM terms WHERE account_id = ?3 AND kind = ?1)
    )";

const CLEAR: &str = "
    DELETE FROM deadlines
    WHERE kind = ?1 AND subject = ?2";

const REMOVE_TERM: &str = "
    DELETE FROM terms
    WHERE account_id = ?1 AND kind = ?2";

const PUT_TERM: &str = "
    INSERT OR REPLACE INTO terms (account_id, kind, micros)
    VALUES (?1, ?2, ?3)";

const RECKON_ANEW: &str = "
    UPDATE deadlines
    SET due_at = since + (SELECT micros FROM terms WHERE account_id = ?1 AND kind = ?2)
    WHERE account_id = ?1 AND kind = ?2";

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
    const VERSION: u32 = 2;
    const TABLES: &'static [&'static str] = &[TABLES];
    const INDEXES: &'static [&'static str] = INDEXES;

    fn concerns(event: &Folded) -> bool {
        match &event.content {
            Content::Invitation(..) => true,
            Content::User(_, event) => !event.is_involvement(),
            Content::Account(event) => !terms(event).is_empty(),
            Content::Unreadable(_) => matches!(
                event.recorded.stream.aggregate_type.as_str(),
                "account" | "invitation" | "user"
            ),
            Content::Access(..)
            | Content::SignIn(..)
            | Content::Mail(..)
            | Content::Invoice(_)
            | Content::Other => false,
        }
    }

    fn fold(tables: &Connection, folded: &Folded) -> Result<(), FoldError> {
        let change = Change { tables, folded };
        match &folded.content {
            Content::Invitation(invitation, event) => change.of_invitation(*invitation, event),
            Content::User(user, event) => change.of_user(*user, event),
            Content::Account(event) => change.of_account(event),
            Content::Unreadable(why) => Err(FoldError::Unreadable(why.clone())),
            Content::Access(..)
            | Content::SignIn(..)
            | Content::Mail(..)
            | Content::Invoice(_)
            | Content::Other => Ok(()),
        }
    }
}

/// A change by one event.
struct Change<'a> {
    tables: &'a Connection,
    folded: &'a Folded,
}

/// The terms that an event of an account sets, each with how long it is from now on.
fn terms(event: &AccountEvent) -> Vec<(Kind, Option<TimeDelta>)> {
    let password =
        |age: Option<PasswordMaxAge>| (Kind::Password, age.map(PasswordMaxAge::duration));
    let lock = |time: Option<LockDuration>| (Kind::Lock, time.map(LockDuration::duration));
    match event {
        AccountEvent::AccountCreated(created) => vec![
            password(created.settings.password_max_age),
            lock(created.settings.lock_duration),
        ],
        AccountEvent::PasswordMaxAgeChanged(changed) => vec![password(changed.days)],
        AccountEvent::LockDurationChanged(changed) => vec![lock(changed.seconds)],
        _ => Vec::new(),
    }
}

impl Change<'_> {
    fn of_invitation(
        &self,
        invitation: InvitationId,
        event: &InvitationEvent,
    ) -> Result<(), FoldError> {
        let ends = Ends::Invitation(invitation);
        match event {
            InvitationEvent::UserInvited(sent) => {
                self.set(ends, sent.issue, sent.validity_days.duration())
            }
            InvitationEvent::InvitationResent(sent) => {
                self.set(ends, sent.issue, sent.validity_days.duration())
            }
            InvitationEvent::InvitationAccepted(_)
            | InvitationEvent::InvitationExpired(_)
            | InvitationEvent::InvitationDeleted(_) => self.clear(&[ends]),
        }
    }

    fn of_user(&self, user: UserId, event: &UserEvent) -> Result<(), FoldError> {
        let (welcome, reset) = (Ends::Welcome(user), Ends::PasswordReset(user));
        let (password, lock) = (Ends::Password(user), Ends::Lock(user));
        match event {
            UserEvent::UserCreated(created) => self.password(user, created.password),
            UserEvent::PasswordSet(set) => {
                self.clear(&[welcome, reset])?;
                let state = if set.one_time {
                    PasswordState::OneTime
                } else {
                    PasswordState::Set
                };
                self.password(user, state)
            }
            UserEvent::PasswordChanged(_) | UserEvent::PasswordResetCompleted(_) => {
                self.clear(&[reset])?;
                self.password(user, PasswordState::Set)
            }
            UserEvent::PasswordExpired(_) => self.clear(&[password]),
            UserEvent::WelcomeIssued(sent) => {
                self.set(welcome, sent.issue, sent.validity_days.duration())
            }
            UserEvent::WelcomeCompleted(completed) => {
                self.clear(&[welcome, reset])?;
                self.password(user, completed.password)
            }
            UserEvent::WelcomeExpired(_) => self.clear(&[welcome]),
            UserEvent::PasswordResetRequested(sent) => self.set(reset, sent.issue, sent.validity()),
            UserEvent::PasswordResetExpired(_) => self.clear(&[reset]),
            UserEvent::UserAutoLocked(_) => self.set_by_term(lock),
            UserEvent::UserLockExpired(_) | UserEvent::UserUnlocked(_) => self.clear(&[lock]),
            UserEvent::UserDeleted(_) => self.clear(&[welcome, reset, password, lock]),
            _ => Ok(()),
        }
    }

    fn of_account(&self, event: &AccountEvent) -> Result<(), FoldError> {
        let account = &self.folded.recorded.account_id;
        for (kind, term) in terms(event) {
            match term.and_then(|term| term.num_microseconds()) {
                Some(micros) => self.run(PUT_TERM, params![account, kind.code(), micros])?,
                None => self.run(REMOVE_TERM, params![account, kind.code()])?,
            }
            self.run(RECKON_ANEW, params![account, kind.code()])?;
        }
        Ok(())
    }

    /// A password becomes too old in the account's time, unless it must be changed in any case.
    fn password(&self, user: UserId, state: PasswordState) -> Result<(), FoldError> {
        let ends = Ends::Password(user);
        match state {
            PasswordState::Set => self.set_by_term(ends),
            PasswordState::None | PasswordState::OneTime => self.clear(&[ends]),
        }
    }

    fn set(&self, ends: Ends, issue: u32, term: TimeDelta) -> Result<(), FoldError> {
        let (kind, subject) = ends.key();
        let recorded = &self.folded.recorded;
        let due_at = (recorded.recorded_at + term).timestamp_micros();
        let since = self.folded.micros();
        let account = &recorded.account_id;
        self.run(SET, params![kind, subject, account, issue, since, due_at])
    }

    fn set_by_term(&self, ends: Ends) -> Result<(), FoldError> {
        let (kind, subject) = ends.key();
        let account = &self.folded.recorded.account_id;
        let since = self.folded.micros();
        self.run(SET_BY_TERM, params![kind, subject, account, since])
    }

    fn clear(&self, all: &[Ends]) -> Result<(), FoldError> {
        for ends in all {
            let (kind, subject) = ends.key();
            self.run(CLEAR, params![kind, subject])?;
        }
        Ok(())
    }

    fn run(&self, sql: &'static str, values: impl Params) -> Result<(), FoldError> {
        self.tables.prepare_cached(sql)?.execute(values)?;
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
            let (kind, subject) = after.ends.key();
            (after.due_at.timestamp_micros(), kind, subject)
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
        Kind::Welcome => Ends::Welcome(id(row, 1)?),
        Kind::PasswordReset => Ends::PasswordReset(id(row, 1)?),
        Kind::Password => Ends::Password(id(row, 1)?),
        Kind::Lock => Ends::Lock(id(row, 1)?),
    };
    Ok(Deadline {
        account_id: account(row, 2)?,
        ends,
        issue: row.get(3)?,
        due_at: time(row, 4)?,
    })
}
