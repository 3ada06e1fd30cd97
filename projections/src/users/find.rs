//! Finding the users of one account by what names them.

use rollbook_aggregates::domain::Timestamp;
use rollbook_aggregates::user::Facets;
use rollbook_aggregates::values::{AccountId, Login, UserId};
use rusqlite::{Connection, Row, params};

use super::{DeletedUser, FoundUser, UserRow, accounts};
use crate::columns::{account, coded, id, json, optional_time, time};
use crate::page::{first, rows};
use crate::text::sort_key;

/// The columns of a user, as [`Finder::read`] takes them.
macro_rules! columns {
    () => {
        "user_id, signature, first_name, last_name, email, phone, mobile_phone, language,
        user_type, status, roles, permissions,
        CASE companies
            WHEN 0 THEN '[]'
            ELSE (
                SELECT json_group_array(json_array(hex(company_id), hex(supervisor), show_as_addressee, json(allegiances)))
                FROM user_companies
                WHERE user_companies.user_id = users.user_id
            )
        END,
        sessions_valid_from, created_at, modified_at, revision, position,
        active, locked, auto_locked_at, reset_until, new_password, password_set_at, onboarded,
        second_factor, last_signed_in_at, external, coalesce(home_account_id, account_id)"
    };
}

const SELECT_USER: &str = concat!(
    "SELECT ",
    columns!(),
    "
    FROM users
    WHERE user_id = ?1 AND account_id = ?2"
);

const SELECT_BY_NUMBER: &str = concat!(
    "SELECT ",
    columns!(),
    "
    FROM users
    WHERE number = ?1"
);

const SELECT_BY_SIGNATURE: &str = concat!(
    "SELECT ",
    columns!(),
    "
    FROM users INDEXED BY users_by_signature
    WHERE account_id = ?1 AND signature_key = ?2 AND signature_folded = ?3 AND NOT external"
);

const SELECT_BY_EMAIL: &str = concat!(
    "SELECT ",
    columns!(),
    "
    FROM users INDEXED BY users_by_email
    WHERE account_id = ?1 AND email_key = ?2 AND email_folded = ?3 AND NOT external
    ORDER BY user_id
    LIMIT 2"
);

const SELECT_DELETED: &str = "
    SELECT created_at, deleted_at, revision, position
    FROM deleted_users
    WHERE user_id = ?1 AND account_id = ?2";

/// Finds users of one account.
pub(super) struct Finder<'a> {
    tables: &'a Connection,
    account: &'a AccountId,
    login: Login,
}

impl<'a> Finder<'a> {
    pub(super) fn new(tables: &'a Connection, account: &'a AccountId) -> rusqlite::Result<Self> {
        Ok(Self {
            tables,
            account,
            login: accounts::login_of(tables, account)?,
        })
    }

    pub(super) fn find(&self, user: UserId) -> rusqlite::Result<Option<FoundUser>> {
        let key = params![user.as_uuid().into_bytes(), self.account.as_str()];
        if let Some(row) = first(self.tables, SELECT_USER, key, |row| self.read(row))? {
            return Ok(Some(FoundUser::Present(Box::new(row))));
        }
        first(self.tables, SELECT_DELETED, key, |row| {
            Ok(FoundUser::Deleted(DeletedUser {
                account_id: self.account.clone(),
                user_id: user,
                created_at: time(row, 0)?,
                deleted_at: time(row, 1)?,
                revision: row.get(2)?,
                position: row.get(3)?,
            }))
        })
    }

    /// What the users sign in with.
    pub(super) fn login(&self) -> Login {
        self.login
    }

    pub(super) fn by_signature(&self, folded: &str) -> rusqlite::Result<Option<UserRow>> {
        Ok(self.by(SELECT_BY_SIGNATURE, folded)?.pop())
    }

    pub(super) fn by_email(&self, folded: &str) -> rusqlite::Result<Vec<UserRow>> {
        self.by(SELECT_BY_EMAIL, folded)
    }

    fn by(&self, sql: &'static str, folded: &str) -> rusqlite::Result<Vec<UserRow>> {
        let params = params![self.account.as_str(), sort_key(folded), folded];
        rows(self.tables, sql, params, |row| self.read(row))
    }

    /// The users of these numbers, in their order.
    pub(super) fn rows(
        &self,
        numbers: impl IntoIterator<Item = i64>,
    ) -> rusqlite::Result<Vec<UserRow>> {
        let mut select = self.tables.prepare_cached(SELECT_BY_NUMBER)?;
        numbers
            .into_iter()
            .map(|number| select.query_row([number], |row| self.read(row)))
            .collect()
    }

    /// Reads the columns of a user, in their order.
    fn read(&self, row: &Row<'_>) -> rusqlite::Result<UserRow> {
        let signature: String = row.get(1)?;
        let email: String = row.get(4)?;
        let user_name = match self.login {
            Login::Email => email.clone(),
            Login::Signature => signature.clone(),
        };
        Ok(UserRow {
            account_id: self.account.clone(),
            user_id: id(row, 0)?,
            signature,
            user_name,
            first_name: row.get(2)?,
            last_name: row.get(3)?,
            email,
            phone: row.get(5)?,
            mobile_phone: row.get(6)?,
            language: row.get(7)?,
            user_type: coded(row, 8)?,
            status: coded(row, 9)?,
            external: row.get(27)?,
            home_account_id: account(row, 28)?,
            roles: json(row, 10)?,
            permissions: json(row, 11)?,
            companies: json(row, 12)?,
            sessions_valid_from: time(row, 13)?,
            created_at: time(row, 14)?,
            modified_at: time(row, 15)?,
            revision: row.get(16)?,
            position: row.get(17)?,
            facets: facets(row, 18)?,
            second_factor: row.get(25)?,
            last_signed_in_at: optional_time(row, 26)?.filter(|time| *time > Timestamp::UNIX_EPOCH),
        })
    }
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
