//! The accounts: their settings, companies and catalogues. They stand in the file of the users, whose user name follows from
//! their account's login.

use rollbook_aggregates::account::AccountEvent;
use rollbook_aggregates::domain::Timestamp;
use rollbook_aggregates::values::{AccountId, CompanyId, Login, PasswordAuthority};
use rusqlite::{Connection, Row, ToSql, params};

use crate::columns::{Coded, account, coded, id, time};
use crate::event::Folded;
use crate::page::{Page, first, one_more, rows};
use crate::reading::{ReadError, questions_of};
use crate::view::FoldError;

pub(super) const TABLES: &str = "
    CREATE TABLE accounts (
        account_id TEXT PRIMARY KEY,
        title TEXT NOT NULL,
        login INTEGER NOT NULL,
        password_authority INTEGER NOT NULL,
        invitation_validity_days INTEGER NOT NULL,
        welcome_validity_days INTEGER NOT NULL,
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

const INSERT_ACCOUNT: &str = "
    INSERT INTO accounts (
        account_id, revision, position, created_at, modified_at,
        title, login, password_authority, invitation_validity_days, welcome_validity_days
    )
    VALUES (?1, ?2, ?3, ?4, ?4, ?5, ?6, ?7, ?8, ?9)";

const TOUCH: &str = "
    UPDATE accounts
    SET revision = ?2, position = ?3, modified_at = ?4
    WHERE account_id = ?1";

const SET_TITLE: &str = "
    UPDATE accounts
    SET title = ?2
    WHERE account_id = ?1";

const SET_LOGIN: &str = "
    UPDATE accounts
    SET login = ?2
    WHERE account_id = ?1";

const SET_PASSWORD_AUTHORITY: &str = "
    UPDATE accounts
    SET password_authority = ?2
    WHERE account_id = ?1";

const SET_INVITATION_VALIDITY: &str = "
    UPDATE accounts
    SET invitation_validity_days = ?2
    WHERE account_id = ?1";

const SET_WELCOME_VALIDITY: &str = "
    UPDATE accounts
    SET welcome_validity_days = ?2
    WHERE account_id = ?1";

const PUT_COMPANY: &str = "
    INSERT OR REPLACE INTO companies (account_id, company_id, title, title_key)
    VALUES (?1, ?2, ?3, ?4)";

const DELETE_COMPANY: &str = "
    DELETE FROM companies
    WHERE account_id = ?1 AND company_id = ?2";

const PUT_ROLE: &str = "
    INSERT OR REPLACE INTO roles (account_id, role, title)
    VALUES (?1, ?2, ?3)";

const DELETE_ROLE: &str = "
    DELETE FROM roles
    WHERE account_id = ?1 AND role = ?2";

const PUT_MODULE: &str = "
    INSERT OR REPLACE INTO modules (account_id, module, title, administrator_only)
    VALUES (?1, ?2, ?3, ?4)";

const DELETE_MODULE: &str = "
    DELETE FROM modules
    WHERE account_id = ?1 AND module = ?2";

const SELECT_ACCOUNT: &str = "
    SELECT account_id, title, login, password_authority, invitation_validity_days, welcome_validity_days,
        revision, position, created_at, modified_at
    FROM accounts
    WHERE account_id = ?1";

const SELECT_ACCOUNTS: &str = "
    SELECT account_id, title, login, password_authority, invitation_validity_days, welcome_validity_days,
        revision, position, created_at, modified_at
    FROM accounts
    WHERE account_id > ?1
    ORDER BY account_id
    LIMIT ?2";

const SELECT_LOGIN: &str = "
    SELECT login
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
    /// What its users sign in with.
    pub login: Login,
    /// Who keeps its users' passwords.
    pub password_authority: PasswordAuthority,
    /// How many days an invitation lives.
    pub invitation_validity_days: u32,
    /// How many days a first-sign-in link lives.
    pub welcome_validity_days: u32,
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

/// What the users of an account sign in with.
pub(super) fn login_of(tables: &Connection, account: &AccountId) -> rusqlite::Result<Login> {
    let login = first(tables, SELECT_LOGIN, [account.as_str()], |row| {
        coded(row, 0)
    })?;
    Ok(login.unwrap_or_default())
}

fn read(row: &Row<'_>) -> rusqlite::Result<AccountRow> {
    Ok(AccountRow {
        account_id: account(row, 0)?,
        title: row.get(1)?,
        login: coded(row, 2)?,
        password_authority: coded(row, 3)?,
        invitation_validity_days: row.get(4)?,
        welcome_validity_days: row.get(5)?,
        companies: Vec::new(),
        roles: Vec::new(),
        modules: Vec::new(),
        revision: row.get(6)?,
        position: row.get(7)?,
        created_at: time(row, 8)?,
        modified_at: time(row, 9)?,
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

pub(super) fn fold(
    tables: &Connection,
    folded: &Folded,
    event: &AccountEvent,
) -> Result<(), FoldError> {
    let recorded = &folded.recorded;
    let account = recorded.account_id.as_str();
    let run = |sql, params: &[&dyn ToSql]| tables.prepare_cached(sql)?.execute(params);
    if let AccountEvent::AccountCreated(created) = event {
        let settings = &created.settings;
        run(
            INSERT_ACCOUNT,
            params![
                account,
                recorded.revision,
                recorded.position,
                folded.micros(),
                created.title.as_str(),
                settings.login.code(),
                settings.password_authority.code(),
                settings.invitation_validity_days.days(),
                settings.welcome_validity_days.days(),
            ],
        )?;
        return Ok(());
    }
    change(account, event, run)?;
    run(
        TOUCH,
        params![
            account,
            recorded.revision,
            recorded.position,
            folded.micros()
        ],
    )?;
    Ok(())
}

/// Changes what the event says, of an account that is there.
fn change(
    account: &str,
    event: &AccountEvent,
    run: impl Fn(&'static str, &[&dyn ToSql]) -> rusqlite::Result<usize>,
) -> rusqlite::Result<usize> {
    match event {
        AccountEvent::AccountCreated(_) => Ok(0),
        AccountEvent::AccountTitleChanged(changed) => {
            run(SET_TITLE, params![account, changed.title.as_str()])
        }
        AccountEvent::LoginChanged(changed) => {
            run(SET_LOGIN, params![account, changed.login.code()])
        }
        AccountEvent::PasswordAuthorityChanged(changed) => run(
            SET_PASSWORD_AUTHORITY,
            params![account, changed.password_authority.code()],
        ),
        AccountEvent::InvitationValidityChanged(changed) => run(
            SET_INVITATION_VALIDITY,
            params![account, changed.days.days()],
        ),
        AccountEvent::WelcomeValidityChanged(changed) => {
            run(SET_WELCOME_VALIDITY, params![account, changed.days.days()])
        }
        AccountEvent::CompanyAdded(company) => {
            let title = (company.title.as_str(), company.title.folded());
            run(
                PUT_COMPANY,
                params![
                    account,
                    company.company_id.as_uuid().into_bytes(),
                    title.0,
                    title.1.as_str()
                ],
            )
        }
        AccountEvent::CompanyRenamed(company) => {
            let title = (company.title.as_str(), company.title.folded());
            run(
                PUT_COMPANY,
                params![
                    account,
                    company.company_id.as_uuid().into_bytes(),
                    title.0,
                    title.1.as_str()
                ],
            )
        }
        AccountEvent::CompanyRemoved(company) => run(
            DELETE_COMPANY,
            params![account, company.company_id.as_uuid().into_bytes()],
        ),
        AccountEvent::RoleDefined(role) => run(
            PUT_ROLE,
            params![account, role.role.as_str(), role.title.as_str()],
        ),
        AccountEvent::RoleRemoved(role) => run(DELETE_ROLE, params![account, role.role.as_str()]),
        AccountEvent::ModuleDefined(module) => {
            let (name, title) = (module.module.as_str(), module.title.as_str());
            run(
                PUT_MODULE,
                params![account, name, title, module.administrator_only],
            )
        }
        AccountEvent::ModuleRemoved(module) => {
            run(DELETE_MODULE, params![account, module.module.as_str()])
        }
    }
}
