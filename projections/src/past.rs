//! Who was there at any position, and who had whom as supervisor: every row has the positions between which it held.
//!
//! A row holds from the last position of the commit that made it up to the last position of the one that ended it, so that
//! no question sees part of a commit. Nothing here is personal: who the people were is read from the log, which knows what is
//! erased.

mod fold;

use rollbook_aggregates::values::{AccountId, CompanyId, InvoiceId, UserId, UserType};
use rusqlite::{Connection, Row, params};
use serde::{Deserialize, Serialize};

use crate::columns::{Coded, account, id};
use crate::event::{Content, Folded};
use crate::page::{Page, one_more, rows};
use crate::reading::{ReadError, questions_of};
use crate::users::list::CompanyFilter;
use crate::view::{FoldError, View};

/// What has not ended ends here.
const OPEN: i64 = i64::MAX;

/// Of an external user the facets are its home account's, and stand as they do for one who may act.
const TABLES: &str = "
    CREATE TABLE standings (
        account_id TEXT NOT NULL,
        user_id BLOB NOT NULL,
        since INTEGER NOT NULL,
        until INTEGER NOT NULL,
        external INTEGER NOT NULL,
        user_type INTEGER NOT NULL,
        active INTEGER NOT NULL,
        locked INTEGER NOT NULL,
        auto_locked INTEGER NOT NULL,
        onboarded INTEGER NOT NULL,
        PRIMARY KEY (account_id, user_id, since)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE links (
        user_id BLOB NOT NULL,
        company_id BLOB NOT NULL,
        since INTEGER NOT NULL,
        until INTEGER NOT NULL,
        account_id TEXT NOT NULL,
        supervisor BLOB NOT NULL,
        PRIMARY KEY (user_id, company_id, since)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE invoice_events (
        account_id TEXT NOT NULL,
        company_id BLOB NOT NULL,
        invoice_id TEXT NOT NULL,
        position INTEGER NOT NULL,
        PRIMARY KEY (account_id, company_id, invoice_id, position)
    ) STRICT, WITHOUT ROWID;
";

/// What only questions need: made once the rows are there.
const INDEXES: &[&str] = &[
    "CREATE INDEX standings_by_user ON standings (user_id, external, account_id)",
    "CREATE INDEX standings_of_administrators ON standings (account_id, user_id, since)
        WHERE user_type = 1 AND NOT external",
    "CREATE INDEX links_by_supervisor ON links (supervisor, account_id, company_id, user_id, since)",
    "CREATE INDEX links_by_company ON links (company_id, account_id, user_id, since)",
];

/// A question for the users of an account at a position, by id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListStandings {
    /// Which account.
    pub account: AccountId,
    /// At which position.
    pub position: u64,
    /// Linked to which company.
    pub company: CompanyFilter,
    /// Active or not; nothing: both, and external users.
    pub active: Option<bool>,
    /// Of which type; nothing: of both.
    pub user_type: Option<UserType>,
    /// Where the page before ended.
    pub after: Option<UserId>,
    /// How many at most, 1 to 1000.
    pub limit: u32,
}

/// A user who was there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StandingRow {
    /// Who.
    pub user_id: UserId,
    /// Whether its home was another account.
    pub external: bool,
}

/// A question for those who had a user as supervisor at a position, by company and id; never the user itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListPastReports {
    /// Which account.
    pub account: AccountId,
    /// At which position.
    pub position: u64,
    /// Whose reports.
    pub supervisor: UserId,
    /// In which company; nothing: in all.
    pub company: Option<CompanyId>,
    /// Where the page before ended.
    pub after: Option<PastReportKey>,
    /// How many at most, 1 to 1000.
    pub limit: u32,
}

/// A place in a list of reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastReportKey {
    company_id: CompanyId,
    user_id: UserId,
}

/// Somebody who had a user as supervisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PastReportRow {
    /// In which company.
    pub company_id: CompanyId,
    /// Who.
    pub user_id: UserId,
    /// The position since when.
    pub since: u64,
    /// The position from which on it was over; nothing: it still is so.
    pub until: Option<u64>,
}

/// A question for the events of an invoice, by position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListInvoiceEvents {
    /// Which account.
    pub account: AccountId,
    /// Whose invoice.
    pub company: CompanyId,
    /// Which.
    pub invoice: InvoiceId,
    /// Whether the newest comes first.
    pub descending: bool,
    /// Where the page before ended.
    pub after: Option<u64>,
    /// How many at most, 1 to 1000.
    pub limit: u32,
}

/// The view of what was.
pub(crate) struct PastView;

impl View for PastView {
    const NAME: &'static str = "past";
    const VERSION: u32 = 1;
    const TABLES: &'static [&'static str] = &[TABLES];
    const INDEXES: &'static [&'static str] = INDEXES;

    fn concerns(event: &Folded) -> bool {
        match &event.content {
            Content::User(_, event) => fold::concerns(event) || event.is_involvement(),
            Content::Access(..) | Content::Invoice(_) | Content::Unreadable(_) => true,
            Content::Account(_)
            | Content::SignIn(..)
            | Content::Invitation(..)
            | Content::Mail(..)
            | Content::Other => false,
        }
    }

    fn fold(tables: &Connection, folded: &Folded) -> Result<(), FoldError> {
        let change = fold::Change::new(tables, folded);
        match &folded.content {
            Content::User(user, event) => change.user(*user, event),
            Content::Access(key, event) => change.access(key.user_id, event),
            Content::Invoice(event) => change.settled(event),
            Content::Unreadable(why) => Err(FoldError::Unreadable(why.clone())),
            Content::Account(_)
            | Content::SignIn(..)
            | Content::Invitation(..)
            | Content::Mail(..)
            | Content::Other => Ok(()),
        }
    }
}

/// The users of an account at a position who come after another one.
macro_rules! standings {
    ($from:literal, $only:literal) => {
        concat!(
            "
    SELECT standings.user_id, standings.external
    FROM ",
            $from,
            "
    WHERE standings.account_id = ?1 AND standings.since <= ?2 AND standings.until > ?2
        AND standings.user_id > ?3
        AND (?4 IS NULL OR (standings.active = ?4 AND NOT standings.external))
        AND (?5 IS NULL OR standings.user_type = ?5)
        AND ",
            $only,
            "
    ORDER BY standings.user_id
    LIMIT ?6"
        )
    };
}

const SELECT_ALL: &str = standings!("standings", "?7 IS NULL");
const SELECT_LINKED: &str = standings!(
    "links INDEXED BY links_by_company
    CROSS JOIN standings ON standings.user_id = links.user_id",
    "links.company_id = ?7 AND links.account_id = ?1 AND links.user_id > ?3
        AND links.since <= ?2 AND links.until > ?2"
);
const SELECT_UNLINKED: &str = standings!(
    "standings",
    "?7 IS NULL AND NOT standings.external
        AND NOT EXISTS (
            SELECT 1
            FROM links
            WHERE links.user_id = standings.user_id AND links.since <= ?2 AND links.until > ?2
        )"
);

const SELECT_REPORTS: &str = "
    SELECT company_id, user_id, since, until
    FROM links INDEXED BY links_by_supervisor
    WHERE supervisor = ?1 AND account_id = ?2 AND user_id <> ?1
        AND since <= ?3 AND until > ?3
        AND (company_id, user_id) > (?4, ?5)
    ORDER BY company_id, user_id
    LIMIT ?6";

const SELECT_REPORTS_IN_COMPANY: &str = "
    SELECT company_id, user_id, since, until
    FROM links INDEXED BY links_by_supervisor
    WHERE supervisor = ?1 AND account_id = ?2 AND user_id <> ?1
        AND since <= ?3 AND until > ?3
        AND company_id = ?4 AND user_id > ?5
    ORDER BY user_id
    LIMIT ?6";

const SELECT_ADMINISTRATORS: &str = "
    SELECT user_id
    FROM standings INDEXED BY standings_of_administrators
    WHERE account_id = ?1 AND user_type = 1 AND NOT external
        AND since <= ?2 AND until > ?2
        AND active AND NOT locked AND NOT auto_locked AND onboarded
    ORDER BY user_id";

const SELECT_ACCESSED: &str = "
    SELECT DISTINCT account_id
    FROM standings
    WHERE user_id = ?1 AND external AND since <= ?2
    ORDER BY account_id";

const SELECT_INVOICE: &str = "
    SELECT position
    FROM invoice_events
    WHERE account_id = ?1 AND company_id = ?2 AND invoice_id = ?3 AND position > ?4
    ORDER BY position
    LIMIT ?5";

const SELECT_INVOICE_BACKWARDS: &str = "
    SELECT position
    FROM invoice_events
    WHERE account_id = ?1 AND company_id = ?2 AND invoice_id = ?3 AND position < ?4
    ORDER BY position DESC
    LIMIT ?5";

questions_of! {
    /// Who was there, and who had whom as supervisor.
    Past
}

impl Past {
    /// A page of the users of an account at a position.
    ///
    /// # Errors
    /// The file of the view cannot be read.
    pub async fn users(
        &self,
        query: ListStandings,
    ) -> Result<Page<StandingRow, UserId>, ReadError> {
        self.0.list(move |tables| standings(tables, &query)).await
    }

    /// A page of those who had a user as supervisor at a position.
    ///
    /// # Errors
    /// The file of the view cannot be read.
    pub async fn reports(
        &self,
        query: ListPastReports,
    ) -> Result<Page<PastReportRow, PastReportKey>, ReadError> {
        self.0.list(move |tables| reports(tables, &query)).await
    }

    /// The administrators at home in an account who could act at a position.
    ///
    /// # Errors
    /// The file of the view cannot be read.
    pub async fn administrators(
        &self,
        account: AccountId,
        position: u64,
    ) -> Result<Vec<UserId>, ReadError> {
        self.0
            .list(move |tables| {
                let wanted = params![account.as_str(), position];
                rows(tables, SELECT_ADMINISTRATORS, wanted, |row| id(row, 0))
            })
            .await
    }

    /// The accounts that a user had been given access to by a position, whether or not it still had.
    ///
    /// # Errors
    /// The file of the view cannot be read.
    pub async fn accessed(&self, user: UserId, position: u64) -> Result<Vec<AccountId>, ReadError> {
        self.0
            .list(move |tables| {
                let wanted = params![user.as_uuid().into_bytes(), position];
                rows(tables, SELECT_ACCESSED, wanted, |row| account(row, 0))
            })
            .await
    }

    /// A page of the positions of what happened to an invoice.
    ///
    /// # Errors
    /// The file of the view cannot be read.
    pub async fn invoice(&self, query: ListInvoiceEvents) -> Result<Page<u64, u64>, ReadError> {
        self.0.list(move |tables| invoice(tables, &query)).await
    }
}

fn standings(
    tables: &Connection,
    query: &ListStandings,
) -> rusqlite::Result<Page<StandingRow, UserId>> {
    let (sql, company) = match query.company {
        CompanyFilter::Any => (SELECT_ALL, None),
        CompanyFilter::In(company) => (SELECT_LINKED, Some(company.as_uuid().into_bytes())),
        CompanyFilter::None => (SELECT_UNLINKED, None),
    };
    let after = query.after.map(|user| user.as_uuid()).unwrap_or_default();
    let wanted = params![
        query.account.as_str(),
        query.position,
        after.into_bytes(),
        query.active,
        query.user_type.map(Coded::code),
        one_more(query.limit),
        company
    ];
    let found = rows(tables, sql, wanted, |row| {
        Ok(StandingRow {
            user_id: id(row, 0)?,
            external: row.get(1)?,
        })
    })?;
    Ok(Page::cut(found, query.limit, None, |row: &StandingRow| {
        row.user_id
    }))
}

fn reports(
    tables: &Connection,
    query: &ListPastReports,
) -> rusqlite::Result<Page<PastReportRow, PastReportKey>> {
    let (company_after, user_after) = query.after.map_or_else(Default::default, |key| {
        (key.company_id.as_uuid(), key.user_id.as_uuid())
    });
    let (sql, company) = match query.company {
        None => (SELECT_REPORTS, company_after),
        Some(company) => (SELECT_REPORTS_IN_COMPANY, company.as_uuid()),
    };
    let wanted = params![
        query.supervisor.as_uuid().into_bytes(),
        query.account.as_str(),
        query.position,
        company.into_bytes(),
        user_after.into_bytes(),
        one_more(query.limit)
    ];
    let found = rows(tables, sql, wanted, report)?;
    Ok(Page::cut(
        found,
        query.limit,
        None,
        |row: &PastReportRow| PastReportKey {
            company_id: row.company_id,
            user_id: row.user_id,
        },
    ))
}

fn report(row: &Row<'_>) -> rusqlite::Result<PastReportRow> {
    let until: i64 = row.get(3)?;
    Ok(PastReportRow {
        company_id: id(row, 0)?,
        user_id: id(row, 1)?,
        since: row.get(2)?,
        until: u64::try_from(until).ok().filter(|_| until != OPEN),
    })
}

fn invoice(tables: &Connection, query: &ListInvoiceEvents) -> rusqlite::Result<Page<u64, u64>> {
    let (sql, start) = if query.descending {
        (SELECT_INVOICE_BACKWARDS, OPEN.unsigned_abs())
    } else {
        (SELECT_INVOICE, 0)
    };
    let wanted = params![
        query.account.as_str(),
        query.company.as_uuid().into_bytes(),
        query.invoice.as_str(),
        query.after.unwrap_or(start),
        one_more(query.limit)
    ];
    let found = rows(tables, sql, wanted, |row| row.get(0))?;
    Ok(Page::cut(found, query.limit, None, |position| *position))
}
