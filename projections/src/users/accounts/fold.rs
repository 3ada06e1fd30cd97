//! How the rows of accounts follow from what happened to them.

use rollbook_aggregates::account::{AccountCreated, AccountEvent, Settings};
use rollbook_aggregates::values::{CompanyId, CompanyTitle};
use rusqlite::{Connection, ToSql, params};

use crate::columns::{Coded, json};
use crate::event::Folded;
use crate::page::first;
use crate::view::FoldError;

const INSERT_ACCOUNT: &str = "
    INSERT INTO accounts (
        account_id, revision, position, created_at, modified_at,
        title, login, settings
    )
    VALUES (?1, ?2, ?3, ?4, ?4, ?5, ?6, ?7)";

const TOUCH: &str = "
    UPDATE accounts
    SET revision = ?2, position = ?3, modified_at = ?4
    WHERE account_id = ?1";

const SET_TITLE: &str = "
    UPDATE accounts
    SET title = ?2
    WHERE account_id = ?1";

const SELECT_SETTINGS: &str = "
    SELECT settings
    FROM accounts
    WHERE account_id = ?1";

const SET_SETTINGS: &str = "
    UPDATE accounts
    SET login = ?2, settings = ?3
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

pub(in crate::users) fn fold(
    tables: &Connection,
    folded: &Folded,
    event: &AccountEvent,
) -> Result<(), FoldError> {
    let account = folded.recorded.account_id.as_str();
    let change = Change {
        tables,
        folded,
        account,
    };
    if let AccountEvent::AccountCreated(created) = event {
        change.create(created)?;
    } else {
        change.set(event)?;
        change.touch()?;
    }
    Ok(())
}

/// A change of one account by one event.
struct Change<'a> {
    tables: &'a Connection,
    folded: &'a Folded,
    account: &'a str,
}

impl Change<'_> {
    fn run(&self, sql: &'static str, params: &[&dyn ToSql]) -> Result<usize, FoldError> {
        Ok(self.tables.prepare_cached(sql)?.execute(params)?)
    }

    /// Runs a statement on the account with one more value.
    fn with(&self, sql: &'static str, value: &dyn ToSql) -> Result<usize, FoldError> {
        self.run(sql, &[&self.account, value])
    }

    fn create(&self, created: &AccountCreated) -> Result<usize, FoldError> {
        let (recorded, settings) = (&self.folded.recorded, &created.settings);
        self.run(
            INSERT_ACCOUNT,
            params![
                self.account,
                recorded.revision,
                recorded.position,
                self.folded.micros(),
                created.title.as_str(),
                settings.login.code(),
                serde_json::to_string(settings)?,
            ],
        )
    }

    fn touch(&self) -> Result<usize, FoldError> {
        let (recorded, at) = (&self.folded.recorded, self.folded.micros());
        self.run(
            TOUCH,
            params![self.account, recorded.revision, recorded.position, at],
        )
    }

    /// Changes what the event says, of an account that is there.
    fn set(&self, event: &AccountEvent) -> Result<usize, FoldError> {
        match event {
            AccountEvent::AccountCreated(_) => Ok(0),
            AccountEvent::AccountTitleChanged(it) => self.with(SET_TITLE, &it.title.as_str()),
            AccountEvent::LoginChanged(it) => self.settle(|now| now.login = it.login),
            AccountEvent::PasswordAuthorityChanged(it) => {
                self.settle(|now| now.password_authority = it.password_authority)
            }
            AccountEvent::InvitationValidityChanged(it) => {
                self.settle(|now| now.invitation_validity_days = it.days)
            }
            AccountEvent::WelcomeValidityChanged(it) => {
                self.settle(|now| now.welcome_validity_days = it.days)
            }
            AccountEvent::MaxFailedSignInsChanged(it) => {
                self.settle(|now| now.max_failed_sign_ins = it.count)
            }
            AccountEvent::LockDurationChanged(it) => {
                self.settle(|now| now.lock_duration = it.seconds)
            }
            AccountEvent::PasswordMaxAgeChanged(it) => {
                self.settle(|now| now.password_max_age = it.days)
            }
            AccountEvent::PasswordChangeRestricted(it) => {
                self.settle(|now| now.password_change = it.password_change)
            }
            AccountEvent::ArrivalRegistrationSwitched(it) => {
                self.settle(|now| now.arrival_registration = it.on)
            }
            AccountEvent::CompanyAdded(it) => self.put_company(it.company_id, &it.title),
            AccountEvent::CompanyRenamed(it) => self.put_company(it.company_id, &it.title),
            AccountEvent::CompanyRemoved(it) => {
                self.with(DELETE_COMPANY, &it.company_id.as_uuid().into_bytes())
            }
            AccountEvent::RoleDefined(it) => self.run(
                PUT_ROLE,
                params![self.account, it.role.as_str(), it.title.as_str()],
            ),
            AccountEvent::RoleRemoved(it) => self.with(DELETE_ROLE, &it.role.as_str()),
            AccountEvent::ModuleDefined(it) => {
                let (module, title) = (it.module.as_str(), it.title.as_str());
                self.run(
                    PUT_MODULE,
                    params![self.account, module, title, it.administrator_only],
                )
            }
            AccountEvent::ModuleRemoved(it) => self.with(DELETE_MODULE, &it.module.as_str()),
        }
    }

    /// Changes the settings.
    fn settle(&self, change: impl FnOnce(&mut Settings)) -> Result<usize, FoldError> {
        let found = first(self.tables, SELECT_SETTINGS, [self.account], |row| {
            json::<Settings>(row, 0)
        })?;
        let Some(mut settings) = found else {
            return Ok(0);
        };
        change(&mut settings);
        let text = serde_json::to_string(&settings)?;
        self.run(
            SET_SETTINGS,
            params![self.account, settings.login.code(), text],
        )
    }

    fn put_company(&self, company: CompanyId, title: &CompanyTitle) -> Result<usize, FoldError> {
        let (company, key) = (company.as_uuid().into_bytes(), title.folded());
        self.run(
            PUT_COMPANY,
            params![self.account, company, title.as_str(), key.as_str()],
        )
    }
}
