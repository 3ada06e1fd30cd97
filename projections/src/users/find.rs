//! Finding the users of one account by what names them.

use std::cell::OnceCell;

use rollbook_aggregates::account::Settings;
use rollbook_aggregates::domain::Timestamp;
use rollbook_aggregates::user::{Allegiances, Facets, Status};
use rollbook_aggregates::values::{AccountId, EmailAddress, Login, Signature, UserId};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row, params};

use super::{DeletedUser, FoundUser, UserCompany, UserRow, accounts};
use crate::columns::{account, coded, id, json, list, optional_time, time};
use crate::forms::Stamp;
use crate::page::{first, rows};
use crate::text::sort_key;

/// The columns of a user, as [`Finder::read`] takes them.
macro_rules! columns {
    () => {
        "user_id, signature, first_name, last_name, email, phone, mobile_phone, language,
        user_type, status, roles, permissions, companies,
        sessions_valid_from, created_at, modified_at, revision, position,
        active, locked, auto_locked_at, reset_until, new_password, password_set_at, onboarded,
        second_factor, last_signed_in_at, external, home_account_id"
    };
}

const SELECT_ROW: &str = concat!(
    "SELECT ",
    columns!(),
    "
    FROM users
    WHERE number = ?1"
);

/// The columns of a head, as [`head`] takes them.
macro_rules! head {
    () => {
        "number, user_id, position, last_signed_in_at, external"
    };
}

const SELECT_BY_ID: &str = concat!(
    "SELECT ",
    head!(),
    "
    FROM users
    WHERE user_id = ?1 AND account_id = ?2"
);

const SELECT_BY_NUMBER: &str = concat!(
    "SELECT ",
    head!(),
    "
    FROM users
    WHERE number = ?1"
);

const SELECT_BY_SIGNATURE: &str = concat!(
    "SELECT ",
    head!(),
    "
    FROM users INDEXED BY users_by_signature
    WHERE account_id = ?1 AND signature_key = ?2 AND signature_folded = ?3 AND NOT external"
);

const SELECT_BY_EMAIL: &str = concat!(
    "SELECT ",
    head!(),
    "
    FROM users INDEXED BY users_by_email
    WHERE account_id = ?1 AND email_key = ?2 AND email_folded = ?3 AND NOT external
    ORDER BY user_id
    LIMIT 2"
);

const SELECT_COMPANIES: &str = "
    SELECT company_id, supervisor, show_as_addressee, allegiances
    FROM user_companies
    WHERE user_id = ?1
    ORDER BY company_id";

const SELECT_DELETED: &str = "
    SELECT created_at, deleted_at, revision, position
    FROM deleted_users
    WHERE user_id = ?1 AND account_id = ?2";

/// A user that was found: which row is its own, and what tells whether that is as it was.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub(super) number: i64,
    pub(super) user_id: UserId,
    position: i64,
    signed_in_at: i64,
    external: bool,
}

fn head(row: &Row<'_>) -> rusqlite::Result<Head> {
    Ok(Head {
        number: row.get(0)?,
        user_id: id(row, 1)?,
        position: row.get(2)?,
        signed_in_at: row.get(3)?,
        external: row.get(4)?,
    })
}

/// Finds users of one account.
pub(super) struct Finder<'a> {
    tables: &'a Connection,
    account: &'a AccountId,
    /// The revision of the account.
    revision: i64,
    login: Login,
    /// The time that statuses are told by; without it they are what is recorded.
    now: Option<Timestamp>,
    /// The settings of the account, once they were needed.
    settings: OnceCell<Settings>,
}

impl<'a> Finder<'a> {
    pub(super) fn new(tables: &'a Connection, account: &'a AccountId) -> rusqlite::Result<Self> {
        let (login, revision) = accounts::login_of(tables, account)?;
        Ok(Self {
            tables,
            account,
            revision,
            login,
            now: None,
            settings: OnceCell::new(),
        })
    }

    /// Tells statuses by a time.
    pub(super) fn at(mut self, now: Option<Timestamp>) -> Self {
        self.now = now;
        self
    }

    /// The status of a user of a home account at a time.
    fn status_at(
        &self,
        facets: Facets,
        home: &AccountId,
        now: Timestamp,
    ) -> rusqlite::Result<Status> {
        if home != self.account {
            let settings = accounts::settings_of(self.tables, home)?;
            return Ok(facets.at(&settings, now).status());
        }
        Ok(facets.at(self.settings()?, now).status())
    }

    /// The settings of the account.
    pub(super) fn settings(&self) -> rusqlite::Result<&Settings> {
        if let Some(settings) = self.settings.get() {
            return Ok(settings);
        }
        let settings = accounts::settings_of(self.tables, self.account)?;
        Ok(self.settings.get_or_init(|| settings))
    }

    /// A user of the account, deleted or not.
    pub(super) fn find(&self, user: UserId) -> rusqlite::Result<Option<FoundUser>> {
        if let Some(head) = self.by_id(user)? {
            let row = self.row(head.number)?;
            return Ok(Some(FoundUser::Present(Box::new(row))));
        }
        Ok(self.deleted(user)?.map(FoundUser::Deleted))
    }

    pub(super) fn by_id(&self, user: UserId) -> rusqlite::Result<Option<Head>> {
        first(self.tables, SELECT_BY_ID, self.key(user), head)
    }

    /// What is left of a deleted user.
    pub(super) fn deleted(&self, user: UserId) -> rusqlite::Result<Option<DeletedUser>> {
        first(self.tables, SELECT_DELETED, self.key(user), |row| {
            Ok(DeletedUser {
                account_id: self.account.clone(),
                user_id: user,
                created_at: time(row, 0)?,
                deleted_at: time(row, 1)?,
                revision: row.get(2)?,
                position: row.get(3)?,
            })
        })
    }

    fn key(&self, user: UserId) -> ([u8; 16], &'a str) {
        (user.as_uuid().into_bytes(), self.account.as_str())
    }

    /// What the users sign in with.
    pub(super) fn login(&self) -> Login {
        self.login
    }

    /// The time that statuses are told by.
    pub(super) fn now(&self) -> Option<Timestamp> {
        self.now
    }

    pub(super) fn by_signature(&self, folded: &str) -> rusqlite::Result<Option<Head>> {
        Ok(self.by(SELECT_BY_SIGNATURE, folded)?.pop())
    }

    pub(super) fn by_email(&self, folded: &str) -> rusqlite::Result<Vec<Head>> {
        self.by(SELECT_BY_EMAIL, folded)
    }

    /// The user that signs in with this text, as typed.
    pub(super) fn by_user_name(&self, text: &str) -> rusqlite::Result<Option<Head>> {
        match self.login {
            Login::Email => match EmailAddress::parse(text) {
                Ok(email) => Ok(self.by_email(email.folded().as_str())?.pop()),
                Err(_) => Ok(None),
            },
            Login::Signature => match Signature::parse(text) {
                Ok(signature) => self.by_signature(signature.folded().as_str()),
                Err(_) => Ok(None),
            },
        }
    }

    fn by(&self, sql: &'static str, folded: &str) -> rusqlite::Result<Vec<Head>> {
        let params = params![self.account.as_str(), sort_key(folded), folded];
        rows(self.tables, sql, params, head)
    }

    /// The users of these numbers, in their order.
    pub(super) fn by_number(&self, numbers: Vec<i64>) -> rusqlite::Result<Vec<Head>> {
        let mut select = self.tables.prepare_cached(SELECT_BY_NUMBER)?;
        let numbers = numbers.into_iter();
        numbers
            .map(|number| select.query_row([number], head))
            .collect()
    }

    /// What its form is made of; nothing where that is another account's business too.
    pub(super) fn stamp(&self, head: &Head) -> Option<Stamp> {
        (!head.external).then_some(Stamp {
            position: head.position,
            signed_in_at: head.signed_in_at,
            account: self.revision,
        })
    }

    /// The rows of these numbers, in their order.
    pub(super) fn rows(&self, numbers: Vec<i64>) -> rusqlite::Result<Vec<UserRow>> {
        let numbers = numbers.into_iter();
        numbers.map(|number| self.row(number)).collect()
    }

    /// The row of a number.
    pub(super) fn row(&self, number: i64) -> rusqlite::Result<UserRow> {
        let mut select = self.tables.prepare_cached(SELECT_ROW)?;
        select.query_row([number], |row| self.read(row))
    }

    fn companies(&self, user: UserId, count: usize) -> rusqlite::Result<Vec<UserCompany>> {
        let mut select = self.tables.prepare_cached(SELECT_COMPANIES)?;
        let mut companies = Vec::with_capacity(count);
        let mut found = select.query([user.as_uuid().into_bytes()])?;
        while let Some(row) = found.next()? {
            companies.push(company(row)?);
        }
        Ok(companies)
    }

    /// Reads the columns of a user, in their order.
    fn read(&self, row: &Row<'_>) -> rusqlite::Result<UserRow> {
        let user_id: UserId = id(row, 0)?;
        let facets = facets(row, 18)?;
        let home_account_id = match row.get_ref(28)? {
            ValueRef::Null => self.account.clone(),
            _ => account(row, 28)?,
        };
        let status = match self.now.filter(|_| facets.depends_on_clock()) {
            Some(now) => self.status_at(facets, &home_account_id, now)?,
            None => coded(row, 9)?,
        };
        let signature: String = row.get(1)?;
        let email: String = row.get(4)?;
        let user_name = match self.login {
            Login::Email => email.clone(),
            Login::Signature => signature.clone(),
        };
        Ok(UserRow {
            account_id: self.account.clone(),
            user_id,
            signature,
            user_name,
            first_name: row.get(2)?,
            last_name: row.get(3)?,
            email,
            phone: row.get(5)?,
            mobile_phone: row.get(6)?,
            language: row.get(7)?,
            user_type: coded(row, 8)?,
            status,
            external: row.get(27)?,
            home_account_id,
            roles: list(row, 10)?,
            permissions: list(row, 11)?,
            companies: match row.get(12)? {
                0 => Vec::new(),
                count => self.companies(user_id, count)?,
            },
            sessions_valid_from: time(row, 13)?,
            created_at: time(row, 14)?,
            modified_at: time(row, 15)?,
            revision: row.get(16)?,
            position: row.get(17)?,
            facets,
            second_factor: row.get(25)?,
            last_signed_in_at: optional_time(row, 26)?.filter(|time| *time > Timestamp::UNIX_EPOCH),
        })
    }
}

fn company(row: &Row<'_>) -> rusqlite::Result<UserCompany> {
    Ok(UserCompany {
        company_id: id(row, 0)?,
        supervisor: id(row, 1)?,
        show_as_addressee: row.get(2)?,
        allegiances: match row.get_ref(3)?.as_str()? {
            "{}" => Allegiances::default(),
            _ => json(row, 3)?,
        },
    })
}

/// Reads what the status follows from, out of seven columns.
fn facets(row: &Row<'_>, from: usize) -> rusqlite::Result<Facets> {
    Ok(Facets {
        active: row.get(from)?,
        locked: row.get(from + 1)?,
        auto_locked_at: optional_time(row, from + 2)?,
        reset_until: optional_time(row, from + 3)?,
        new_password: row.get(from + 4)?,
        password_set_at: optional_time(row, from + 5)?,
        onboarded: row.get(from + 6)?,
    })
}
