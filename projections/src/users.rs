//! The users: looked up by what names them, and listed by any column; and their accounts.
//!
//! A deleted user leaves a row that says so and names nobody.

pub(crate) mod accesses;
pub(crate) mod accounts;
pub(crate) mod as_you_type;
mod find;
mod fold;
pub(crate) mod grams;
pub(crate) mod list;
mod names;
mod numbers;
pub(crate) mod routing;
pub(crate) mod told;

use std::sync::Arc;

use rollbook_aggregates::domain::Timestamp;
use rollbook_aggregates::user::{Allegiances, Facets, Status};
use rollbook_aggregates::values::{AccountId, CompanyId, Permission, UserId, UserType};
use rusqlite::Connection;

use crate::columns::codes;
use crate::event::{Content, Folded};
use crate::page::Page;
use crate::reading::{ReadError, questions_of};
use crate::users::as_you_type::FindUsers;
use crate::users::find::Finder;
use crate::users::list::{ListUsers, UserKey};
use crate::view::{FoldError, View};

codes! {
    Status {
        Deleted = 1,
        Inactive = 2,
        LockedByAdmin = 3,
        AutoLocked = 4,
        Recovery = 5,
        AwaitingNewPassword = 6,
        Provisioned = 7,
        Active = 8,
    }
}

/// The tables of the users.
///
/// The status follows from the facets, in the order of the codes. Who never signed in did so at 0. A user has a row in its
/// home account, and a row marked as external in each account that it has access to: with the person as it is at home, and
/// the type and grants that it has there.
const TABLES: &str = "
    CREATE TABLE users (
        number INTEGER PRIMARY KEY,
        user_id BLOB NOT NULL,
        account_id TEXT NOT NULL,
        external INTEGER NOT NULL DEFAULT 0,
        home_account_id TEXT,
        signature TEXT NOT NULL,
        signature_folded TEXT NOT NULL,
        signature_key TEXT NOT NULL,
        first_name TEXT NOT NULL,
        first_name_key TEXT NOT NULL,
        last_name TEXT NOT NULL,
        last_name_key TEXT NOT NULL,
        email TEXT NOT NULL,
        email_folded TEXT NOT NULL,
        email_key TEXT NOT NULL,
        phone TEXT,
        mobile_phone TEXT,
        language TEXT,
        user_type INTEGER NOT NULL,
        active INTEGER NOT NULL,
        locked INTEGER NOT NULL DEFAULT 0,
        auto_locked_at INTEGER,
        reset_until INTEGER,
        new_password INTEGER NOT NULL,
        password_set_at INTEGER,
        onboarded INTEGER NOT NULL,
        second_factor INTEGER NOT NULL DEFAULT 0,
        last_signed_in_at INTEGER NOT NULL DEFAULT 0,
        status INTEGER NOT NULL GENERATED ALWAYS AS (
            CASE
                WHEN NOT active THEN 2
                WHEN locked THEN 3
                WHEN auto_locked_at IS NOT NULL THEN 4
                WHEN reset_until IS NOT NULL THEN 5
                WHEN new_password THEN 6
                WHEN NOT onboarded THEN 7
                ELSE 8
            END
        ) VIRTUAL,
        roles TEXT NOT NULL DEFAULT '[]',
        first_role TEXT NOT NULL DEFAULT '',
        permissions TEXT NOT NULL DEFAULT '[]',
        companies INTEGER NOT NULL DEFAULT 0,
        sessions_valid_from INTEGER NOT NULL,
        created_at INTEGER NOT NULL,
        modified_at INTEGER NOT NULL,
        revision INTEGER NOT NULL,
        position INTEGER NOT NULL,
        UNIQUE (user_id, account_id)
    ) STRICT;

    CREATE TABLE user_roles (
        user_id BLOB NOT NULL,
        account_id TEXT NOT NULL,
        role TEXT NOT NULL,
        PRIMARY KEY (user_id, role)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE user_companies (
        user_id BLOB NOT NULL,
        company_id BLOB NOT NULL,
        supervisor BLOB NOT NULL,
        show_as_addressee INTEGER NOT NULL,
        allegiances TEXT NOT NULL DEFAULT '{}',
        signature_key TEXT NOT NULL,
        PRIMARY KEY (user_id, company_id)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE deleted_users (
        user_id BLOB PRIMARY KEY,
        account_id TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        deleted_at INTEGER NOT NULL,
        revision INTEGER NOT NULL,
        position INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
";

/// What only questions need: made once the rows are there. Behind the user stands what a walk along the index asks for most,
/// so that it fetches no rows ([`list`] knows which).
const INDEXES: &[&str] = &[
    "CREATE INDEX users_by_signature ON users (account_id, signature_key, user_id, active, first_name_key, last_name_key, email_key)",
    "CREATE INDEX users_by_first_name ON users (account_id, first_name_key, user_id, active, last_name_key, signature_key)",
    "CREATE INDEX users_by_last_name ON users (account_id, last_name_key, user_id, active, first_name_key, signature_key)",
    "CREATE INDEX users_by_full_name ON users (account_id, first_name_key, last_name_key, user_id, active)",
    "CREATE INDEX users_by_email ON users (account_id, email_key, user_id, active)",
    "CREATE INDEX users_by_status ON users (account_id, status, user_id)",
    "CREATE INDEX users_by_user_type ON users (account_id, user_type, user_id, active)",
    "CREATE INDEX users_by_first_role ON users (account_id, first_role, user_id, active)",
    "CREATE INDEX users_by_last_signed_in ON users (account_id, last_signed_in_at, user_id, active)",
    "CREATE INDEX users_by_created_at ON users (account_id, created_at, user_id, active)",
    "CREATE INDEX users_by_modified_at ON users (account_id, modified_at, user_id, active)",
    "CREATE INDEX users_without_company ON users (account_id, user_id) WHERE companies = 0",
    "CREATE INDEX users_inactive ON users (account_id, signature_key, user_id) WHERE active = 0",
    "CREATE INDEX users_from_elsewhere ON users (account_id, user_id) WHERE external",
    "CREATE INDEX user_roles_by_role ON user_roles (account_id, role, user_id)",
    "CREATE INDEX user_companies_by_company ON user_companies (company_id, signature_key, user_id)",
    "CREATE INDEX user_companies_by_supervisor ON user_companies (supervisor, company_id, user_id)",
    grams::INDEX,
    names::INDEX,
];

/// A user of an account, deleted or not.
#[derive(Clone, Debug, PartialEq)]
pub enum FoundUser {
    /// It is there.
    Present(Box<UserRow>),
    /// It was deleted.
    Deleted(DeletedUser),
}

/// What is left of a user that was deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeletedUser {
    /// The account it belonged to.
    pub account_id: AccountId,
    /// Its id.
    pub user_id: UserId,
    /// The number of its last event.
    pub revision: u64,
    /// Where that stands in the log.
    pub position: u64,
    /// When it was added.
    pub created_at: Timestamp,
    /// When it was deleted, and its sessions with it.
    pub deleted_at: Timestamp,
}

/// A user.
#[derive(Clone, Debug, PartialEq)]
pub struct UserRow {
    /// The account it is a user of, at home or external.
    pub account_id: AccountId,
    /// Its id.
    pub user_id: UserId,
    /// Its short code, as typed.
    pub signature: String,
    /// What it signs in with.
    pub user_name: String,
    /// Its first name.
    pub first_name: String,
    /// Its last name.
    pub last_name: String,
    /// Its e-mail address, as typed.
    pub email: String,
    /// Its phone number.
    pub phone: Option<String>,
    /// Its mobile phone number.
    pub mobile_phone: Option<String>,
    /// Its language.
    pub language: Option<String>,
    /// Its type.
    pub user_type: UserType,
    /// How it stands: by what is recorded, unless it was looked up by the clock ([`Users::at`]).
    pub status: Status,
    /// What its status follows from, and by the clock with the settings of its account.
    pub facets: Facets,
    /// Whether a second factor is enrolled.
    pub second_factor: bool,
    /// When it signed in last, if ever.
    pub last_signed_in_at: Option<Timestamp>,
    /// Whether its home is another account.
    pub external: bool,
    /// The account where it is at home.
    pub home_account_id: AccountId,
    /// Its roles, by name.
    pub roles: Vec<String>,
    /// Its grants, by module and company.
    pub permissions: Vec<Permission>,
    /// Its companies, by id.
    pub companies: Vec<UserCompany>,
    /// The time from which its sessions are valid.
    pub sessions_valid_from: Timestamp,
    /// When it was added.
    pub created_at: Timestamp,
    /// When it was last modified.
    pub modified_at: Timestamp,
    /// The number of its last event; of an external user, that of its access.
    pub revision: u64,
    /// Where the last event stands in the log that changed the row.
    pub position: u64,
}

/// A user's link to a company.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserCompany {
    /// The company.
    pub company_id: CompanyId,
    /// Its nearest manager there; itself, where it has none.
    pub supervisor: UserId,
    /// Whether it is proposed as an addressee there.
    pub show_as_addressee: bool,
    /// What it stands for there.
    pub allegiances: Allegiances,
}

/// The view of the users and their accounts.
pub(crate) struct UserView;

impl View for UserView {
    const NAME: &'static str = "users";
    const VERSION: u32 = 11;
    const TABLES: &'static [&'static str] = &[
        accounts::TABLES,
        TABLES,
        accesses::TABLES,
        numbers::TABLES,
        grams::TABLES,
        names::TABLES,
        routing::TABLES,
    ];
    const INDEXES: &'static [&'static str] = INDEXES;

    fn concerns(event: &Folded) -> bool {
        matches!(
            event.content,
            Content::Account(_)
                | Content::User(..)
                | Content::Access(..)
                | Content::SignIn(..)
                | Content::Unreadable(_)
        )
    }

    fn fold(tables: &Connection, folded: &Folded) -> Result<(), FoldError> {
        match &folded.content {
            Content::Account(event) => accounts::fold(tables, folded, event),
            Content::User(user, event) => fold::fold(tables, folded, *user, event),
            Content::SignIn(user, event) => fold::sign_in(tables, folded, *user, event),
            Content::Access(key, event) => accesses::fold(tables, folded, key, event),
            Content::Unreadable(why) => Err(FoldError::Unreadable(why.clone())),
            Content::Invitation(..) | Content::Invoice(_) | Content::Mail(..) | Content::Other => {
                Ok(())
            }
        }
    }

    fn settle(tables: &Connection) -> rusqlite::Result<()> {
        grams::settle(tables)
    }
}

questions_of! {
    /// The users. When their status is told by the clock, it is by this time.
    Users { Option<Timestamp> }
}

impl Users {
    /// Looks users up with their status by the clock, instead of by what is recorded.
    #[must_use]
    pub fn at(&self, now: Timestamp) -> Self {
        Self(Arc::clone(&self.0), Some(now))
    }

    fn finder<'a>(
        &self,
        tables: &'a Connection,
        account: &'a AccountId,
    ) -> rusqlite::Result<Finder<'a>> {
        Ok(Finder::new(tables, account)?.at(self.1))
    }

    /// A user by its id; nothing where the account never had it.
    ///
    /// # Errors
    /// The file of the view cannot be read.
    pub fn get(&self, account: &AccountId, user: UserId) -> Result<Option<FoundUser>, ReadError> {
        self.0
            .look_up(|tables| self.finder(tables, account)?.find(user))
    }

    /// Users by their ids: an answer for each, in the order asked.
    ///
    /// # Errors
    /// The file of the view cannot be read.
    pub async fn get_many(
        &self,
        account: &AccountId,
        users: Vec<UserId>,
    ) -> Result<Vec<Option<FoundUser>>, ReadError> {
        let (asked, account) = (self.clone(), account.clone());
        let find = move |tables: &Connection| {
            let finder = asked.finder(tables, &account)?;
            users.into_iter().map(|user| finder.find(user)).collect()
        };
        self.0.list(find).await
    }

    /// The user at home in the account that has a signature, given in its folded form.
    ///
    /// # Errors
    /// The file of the view cannot be read.
    pub fn by_signature(
        &self,
        account: &AccountId,
        folded: &str,
    ) -> Result<Option<UserRow>, ReadError> {
        self.0.look_up(|tables| {
            let finder = self.finder(tables, account)?;
            let found = finder.by_signature(folded)?;
            found.map(|head| finder.row(head.number)).transpose()
        })
    }

    /// The users at home in the account that have an e-mail address, given in its folded form: two at most, which is enough to know that it is
    /// ambiguous.
    ///
    /// # Errors
    /// The file of the view cannot be read.
    pub fn by_email(&self, account: &AccountId, folded: &str) -> Result<Vec<UserRow>, ReadError> {
        self.0.look_up(|tables| {
            let finder = self.finder(tables, account)?;
            let found = finder.by_email(folded)?;
            found.iter().map(|head| finder.row(head.number)).collect()
        })
    }

    /// The user at home in the account that signs in with this text, as typed.
    ///
    /// # Errors
    /// The file of the view cannot be read.
    pub fn by_user_name(
        &self,
        account: &AccountId,
        text: &str,
    ) -> Result<Option<UserRow>, ReadError> {
        self.0.look_up(|tables| {
            let finder = self.finder(tables, account)?;
            let found = finder.by_user_name(text)?;
            found.map(|head| finder.row(head.number)).transpose()
        })
    }

    /// A page of the users of an account; deleted ones are not listed.
    ///
    /// # Errors
    /// The file of the view cannot be read.
    pub async fn list(&self, query: ListUsers) -> Result<Page<UserRow, UserKey>, ReadError> {
        let list = move |tables: &Connection| {
            let finder = Finder::new(tables, &query.account)?;
            list::list(tables, &query, &finder)?.read(|numbers| finder.rows(numbers))
        };
        self.0.list(list).await
    }

    /// The users of an account who match what was typed so far, best matches first.
    ///
    /// # Errors
    /// The file of the view cannot be read.
    pub async fn find(&self, query: FindUsers) -> Result<Vec<UserRow>, ReadError> {
        let find = move |tables: &Connection| {
            let finder = Finder::new(tables, &query.account)?;
            finder.rows(as_you_type::find(tables, &query)?)
        };
        self.0.list(find).await
    }
}
