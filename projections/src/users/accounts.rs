//! The accounts: their settings, companies and catalogues. They stand in the file of the users, whose user name follows from
//! their account's login.

mod fold;

use rollbook_aggregates::account::Settings;
use rollbook_aggregates::domain::Timestamp;
use rollbook_aggregates::values::{AccountId, CompanyId, Login};
use rusqlite::{Connection, Row, params};

use crate::columns::{account, coded, id, json, time};
use crate::page::{Page, first, one_more, rows};
use crate::reading::{ReadError, questions_of};

pub(super) use fold::fold;

pub(super) const TABLES: &str = "
    CREATE TABLE accounts (
        account_id TEXT PRIMARY KEY,
        title TEXT NOT NULL,
        login INTEGER NOT NULL,
        settings TEXT NOT NULL,
        revision INTEGER NOT NULL,
        position INTEGER NOT NULL,
        created_at INTEGER NOT NULL,
        modified_at INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE companies (
        account_id TEXT NOT NULL,
        company_id BLOB NOT NULL,
        title TEXT NOT NULL,
        title_key TEXT NOT NULL,
        PRIMARY KEY (account_id, company_id)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE roles (
        account_id TEXT NOT NULL,
        role TEXT NOT NULL,
        title TEXT NOT NULL,
        PRIMARY KEY (account_id, role)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE modules (
        account_id TEXT NOT NULL,
        module TEXT NOT NULL,
        title TEXT NOT NULL,
        administrator_only INTEGER NOT NULL,
        PRIMARY KEY (account_id, module)
    ) STRICT, WITHOUT ROWID;
";

const SELECT_ACCOUNT: &str = "
    SELECT account_id, title, settings, revision, position, created_at, modified_at
    FROM accounts
    WHERE account_id = ?1";

const SELECT_ACCOUNTS: &str = "
    SELECT account_id, title, settings, revision, position, created_at, modified_at
    FROM accounts
    WHERE account_id > ?1
    ORDER BY account_id
    LIMIT ?2";

const SELECT_LOGIN: &str = "
    SELECT login, revision
    FROM accounts
    WHERE account_id = ?1";

const SELECT_REVISION: &str = "
    SELECT revision
    FROM accounts
    WHERE account_id = ?1";

const SELECT_SETTINGS: &str = "
    SELECT settings
    FROM accounts
    WHERE account_id = ?1";

const SELECT_COMPANIES: &str = "
    SELECT company_id, title
    FROM companies
    WHERE account_id = ?1
    ORDER BY title_key, company_id";

const SELECT_ROLES: &str = "
    SELECT role, title
    FROM roles
    WHERE account_id = ?1
    ORDER BY role";

const SELECT_MODULES: &str = "
    SELECT module, title, administrator_only
    FROM modules
    WHERE account_id = ?1
    ORDER BY module";

/// An account with its companies and catalogues.
#[derive(Clone, Debug, PartialEq)]
pub struct AccountRow {
    /// Its id.
    pub account_id: AccountId,
    /// What it is called.
    pub title: String,
    /// What it decides for all of its users.
    pub settings: Settings,
    /// Its companies, by title.
    pub companies: Vec<CompanyRow>,
    /// Its roles, by name.
    pub roles: Vec<RoleRow>,
    /// Its modules, by name.
    pub modules: Vec<ModuleRow>,
    /// The number of its last event.
    pub revision: u64,
    /// Where that stands in the log.
    pub position: u64,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub modified_at: Timestamp,
}

/// A company of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompanyRow {
    /// Its id.
    pub company_id: CompanyId,
    /// What it is called.
    pub title: String,
}

/// A role of an account's catalogue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleRow {
    /// Its name.
    pub role: String,
    /// What it is called.
    pub title: String,
}

/// A module of an account's catalogue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModuleRow {
    /// Its name.
    pub module: String,
    /// What it is called.
    pub title: String,
    /// Whether STANDARD users can never have it.
    pub administrator_only: bool,
}

questions_of! {
    /// The accounts with their companies and catalogues, out of the users' view.
    Accounts
}

impl Accounts {
    /// One account.
    ///
    /// # Errors
    /// The file of the view cannot be read.
    pub fn get(&self, account: &AccountId) -> Result<Option<AccountRow>, ReadError> {
        self.0.look_up(|tables| {
            first(tables, SELECT_ACCOUNT, [account.as_str()], read)?
                .map(|row| complete(tables, row))
                .transpose()
        })
    }

    /// The number of an account's last event; nothing where there is no such account.
    ///
    /// # Errors
    /// The file of the view cannot be read.
    pub fn revision(&self, account: &AccountId) -> Result<Option<u64>, ReadError> {
        self.0.look_up(|tables| {
            first(tables, SELECT_REVISION, [account.as_str()], |row| {
                row.get(0)
            })
        })
    }

    /// The accounts after one, by id.
    ///
    /// # Errors
    /// The file of the view cannot be read.
    pub async fn list(
        &self,
        after: Option<AccountId>,
        limit: u32,
    ) -> Result<Page<AccountRow, AccountId>, ReadError> {
        let list = move |tables: &Connection| {
            let after = after.as_ref().map_or("", AccountId::as_str);
            let found = rows(
                tables,
                SELECT_ACCOUNTS,
                params![after, one_more(limit)],
                read,
            )?;
            let complete = found
                .into_iter()
                .map(|row| complete(tables, row))
                .collect::<rusqlite::Result<_>>()?;
            Ok(Page::cut(complete, limit, None, |row: &AccountRow| {
                row.account_id.clone()
            }))
        };
        self.0.list(list).await
    }
}

/// What the users of an account sign in with, and the revision of the account.
pub(super) fn login_of(tables: &Connection, account: &AccountId) -> rusqlite::Result<(Login, i64)> {
    let login = first(tables, SELECT_LOGIN, [account.as_str()], |row| {
        Ok((coded(row, 0)?, row.get(1)?))
    })?;
    Ok(login.unwrap_or_default())
}

/// The settings of an account; the usual ones where there is none.
pub(super) fn settings_of(tables: &Connection, account: &AccountId) -> rusqlite::Result<Settings> {
    let settings = first(tables, SELECT_SETTINGS, [account.as_str()], |row| {
        json(row, 0)
    })?;
    Ok(settings.unwrap_or_default())
}

fn read(row: &Row<'_>) -> rusqlite::Result<AccountRow> {
    Ok(AccountRow {
        account_id: account(row, 0)?,
        title: row.get(1)?,
        settings: json(row, 2)?,
        companies: Vec::new(),
        roles: Vec::new(),
        modules: Vec::new(),
        revision: row.get(3)?,
        position: row.get(4)?,
        created_at: time(row, 5)?,
        modified_at: time(row, 6)?,
    })
}

/// Adds the companies and the catalogues.
fn complete(tables: &Connection, mut account: AccountRow) -> rusqlite::Result<AccountRow> {
    let of = [account.account_id.as_str()];
    account.companies = rows(tables, SELECT_COMPANIES, of, |row| {
        Ok(CompanyRow {
            company_id: id(row, 0)?,
            title: row.get(1)?,
        })
    })?;
    account.roles = rows(tables, SELECT_ROLES, of, |row| {
        Ok(RoleRow {
            role: row.get(0)?,
            title: row.get(1)?,
        })
    })?;
    account.modules = rows(tables, SELECT_MODULES, of, |row| {
        Ok(ModuleRow {
            module: row.get(0)?,
            title: row.get(1)?,
            administrator_only: row.get(2)?,
        })
    })?;
    Ok(account)
}
