//! Who has whom as supervisor, in which company: the reports below a user and the chain above it.

use std::collections::BTreeSet;

use rollbook_aggregates::user::UserEvent;
use rollbook_aggregates::values::{AccountId, CompanyId, UserId};
use rusqlite::{Connection, Row, params};
use serde::{Deserialize, Serialize};

use crate::columns::id;
use crate::event::{Content, Folded};
use crate::page::{Page, first, one_more, rows, total};
use crate::reading::{ReadError, questions_of};
use crate::view::{FoldError, View};

/// How many reports are named where all are counted.
const NAMED: u32 = 100;

/// How many supervisors a chain tells at most.
pub(crate) const LONGEST_CHAIN: usize = 1_000;

const TABLES: &str = "
    CREATE TABLE supervisors (
        user_id BLOB NOT NULL,
        company_id BLOB NOT NULL,
        account_id TEXT NOT NULL,
        supervisor BLOB NOT NULL,
        PRIMARY KEY (user_id, company_id)
    ) STRICT, WITHOUT ROWID;
";

/// What only questions need: made once the rows are there.
const INDEXES: &[&str] =
    &["CREATE INDEX supervisors_by_supervisor ON supervisors (supervisor, company_id, user_id)"];

const PUT: &str = "
    INSERT OR REPLACE INTO supervisors (user_id, company_id, account_id, supervisor)
    VALUES (?1, ?2, ?3, ?4)";

const CHANGE: &str = "
    UPDATE supervisors
    SET supervisor = ?3
    WHERE user_id = ?1 AND company_id = ?2";

const REMOVE: &str = "
    DELETE FROM supervisors
    WHERE user_id = ?1 AND company_id = ?2";

const REMOVE_USER: &str = "
    DELETE FROM supervisors
    WHERE user_id = ?1";

const SELECT_SUPERVISOR: &str = "
    SELECT supervisor
    FROM supervisors
    WHERE user_id = ?1 AND company_id = ?2 AND account_id = ?3";

const SELECT_REPORTS: &str = "
    SELECT company_id, user_id
    FROM supervisors
    WHERE supervisor = ?1 AND account_id = ?2 AND user_id <> ?1
        AND (company_id, user_id) > (?3, ?4)
    ORDER BY company_id, user_id
    LIMIT ?5";

const COUNT_REPORTS: &str = "
    SELECT count(*)
    FROM supervisors
    WHERE supervisor = ?1 AND account_id = ?2 AND user_id <> ?1";

const SELECT_REPORTS_IN_COMPANY: &str = "
    SELECT company_id, user_id
    FROM supervisors
    WHERE supervisor = ?1 AND account_id = ?2 AND user_id <> ?1
        AND company_id = ?3 AND user_id > ?4
    ORDER BY user_id
    LIMIT ?5";

const COUNT_REPORTS_IN_COMPANY: &str = "
    SELECT count(*)
    FROM supervisors
    WHERE supervisor = ?1 AND account_id = ?2 AND user_id <> ?1
        AND company_id = ?3";

const COUNT_BY_COMPANY: &str = "
    SELECT company_id, count(*)
    FROM supervisors
    WHERE supervisor = ?1 AND account_id = ?2 AND user_id <> ?1
    GROUP BY company_id
    ORDER BY company_id";

/// A question for the direct reports of a user; never the user itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListReports {
    /// Whose account.
    pub account: AccountId,
    /// Whose reports.
    pub supervisor: UserId,
    /// In which company; nothing: in all.
    pub company: Option<CompanyId>,
    /// Where the page before ended.
    pub after: Option<ReportKey>,
    /// How many at most, 1 to 1000.
    pub limit: u32,
    /// Whether to count them all.
    pub total: bool,
}

/// A place in a list of reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportKey {
    company_id: CompanyId,
    user_id: UserId,
}

/// A direct report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReportRow {
    /// The company it is one in.
    pub company_id: CompanyId,
    /// The user.
    pub user_id: UserId,
}

/// The direct reports of a user in one company.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Supervised {
    /// The company.
    pub company_id: CompanyId,
    /// How many they are.
    pub count: u64,
    /// The first hundred of them by id.
    pub user_ids: Vec<UserId>,
}

/// The supervisors above a user in a company.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// Who they are, nearest first, each once and never the user itself; at most a thousand.
    pub supervisors: Vec<UserId>,
    /// Why there are no more.
    pub end: ChainEnd,
}

/// Why a chain of supervisors ends where it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChainEnd {
    /// The last one is its own supervisor.
    Top,
    /// The last one has somebody as supervisor whom the chain has met before.
    Cycle(UserId),
    /// The last one is not linked to the company.
    NotLinked,
    /// It goes on above the last one.
    CutOff,
}

/// The view of supervisors.
pub(crate) struct SupervisorView;

impl View for SupervisorView {
    const NAME: &'static str = "supervisors";
    const VERSION: u32 = 1;
    const TABLES: &'static [&'static str] = &[TABLES];
    const INDEXES: &'static [&'static str] = INDEXES;

    fn concerns(event: &Folded) -> bool {
        matches!(
            event.content,
            Content::Unreadable(_)
                | Content::User(
                    _,
                    UserEvent::UserCompaniesAdded(_)
                        | UserEvent::UserCompaniesRemoved(_)
                        | UserEvent::UserSupervisorChanged(_)
                        | UserEvent::UserDeleted(_)
                )
        )
    }

    fn fold(tables: &Connection, folded: &Folded) -> Result<(), FoldError> {
        let (user, event) = match &folded.content {
            Content::User(user, event) => (user.as_uuid().into_bytes(), event),
            Content::Unreadable(why) => return Err(FoldError::Unreadable(why.clone())),
            _ => return Ok(()),
        };
        match event {
            UserEvent::UserCompaniesAdded(added) => {
                let mut put = tables.prepare_cached(PUT)?;
                for link in &added.companies {
                    let (company, supervisor) =
                        (link.company_id.as_uuid(), link.supervisor.as_uuid());
                    let account = &folded.recorded.account_id;
                    put.execute(params![
                        user,
                        company.into_bytes(),
                        account,
                        supervisor.into_bytes()
                    ])?;
                }
            }
            UserEvent::UserCompaniesRemoved(removed) => {
                let mut remove = tables.prepare_cached(REMOVE)?;
                for company in &removed.company_ids {
                    remove.execute(params![user, company.as_uuid().into_bytes()])?;
                }
            }
            UserEvent::UserSupervisorChanged(changed) => {
                let (company, supervisor) =
                    (changed.company_id.as_uuid(), changed.supervisor.as_uuid());
                let change = params![user, company.into_bytes(), supervisor.into_bytes()];
                tables.prepare_cached(CHANGE)?.execute(change)?;
            }
            UserEvent::UserDeleted(_) => {
                tables.prepare_cached(REMOVE_USER)?.execute([user])?;
            }
            _ => {}
        }
        Ok(())
    }
}

questions_of! {
    /// Who has whom as supervisor.
    Supervisors
}

impl Supervisors {
    /// A page of the direct reports of a user, by company and user.
    ///
    /// # Errors
    /// The file of the view cannot be read.
    pub async fn reports(
        &self,
        query: ListReports,
    ) -> Result<Page<ReportRow, ReportKey>, ReadError> {
        self.0.list(move |tables| reports(tables, &query)).await
    }

    /// How many others have a user as their supervisor, for each company where any has.
    ///
    /// # Errors
    /// The file of the view cannot be read.
    pub fn supervised(
        &self,
        account: &AccountId,
        supervisor: UserId,
    ) -> Result<Vec<Supervised>, ReadError> {
        let of = supervisor.as_uuid().into_bytes();
        self.0.look_up(|tables| {
            let counts = rows(
                tables,
                COUNT_BY_COMPANY,
                params![of, account.as_str()],
                |row| Ok((id::<CompanyId>(row, 0)?, row.get(1)?)),
            )?;
            counts
                .into_iter()
                .map(|(company_id, count)| {
                    let company = company_id.as_uuid().into_bytes();
                    let named = params![of, account.as_str(), company, [0_u8; 0], NAMED];
                    let reports = rows(tables, SELECT_REPORTS_IN_COMPANY, named, read)?;
                    let user_ids = reports.into_iter().map(|report| report.user_id).collect();
                    Ok(Supervised {
                        company_id,
                        count,
                        user_ids,
                    })
                })
                .collect()
        })
    }

    /// The supervisors above a user in a company; nothing where it is not linked there.
    ///
    /// # Errors
    /// The file of the view cannot be read.
    pub async fn chain(
        &self,
        account: &AccountId,
        company: CompanyId,
        user: UserId,
    ) -> Result<Option<Chain>, ReadError> {
        let account = account.clone();
        self.0
            .list(move |tables| chain(tables, &account, company, user))
            .await
    }
}

fn chain(
    tables: &Connection,
    account: &AccountId,
    company: CompanyId,
    user: UserId,
) -> rusqlite::Result<Option<Chain>> {
    let company = company.as_uuid().into_bytes();
    let above = |user: UserId| {
        let of = params![user.as_uuid().into_bytes(), company, account.as_str()];
        first(tables, SELECT_SUPERVISOR, of, |row| id::<UserId>(row, 0))
    };
    let Some(mut next) = above(user)? else {
        return Ok(None);
    };
    let mut supervisors = Vec::new();
    let mut met = BTreeSet::from([user]);
    let mut last = user;
    let end = loop {
        if next == last {
            break ChainEnd::Top;
        }
        if !met.insert(next) {
            break ChainEnd::Cycle(next);
        }
        if supervisors.len() == LONGEST_CHAIN {
            break ChainEnd::CutOff;
        }
        supervisors.push(next);
        last = next;
        match above(last)? {
            Some(supervisor) => next = supervisor,
            None => break ChainEnd::NotLinked,
        }
    };
    Ok(Some(Chain { supervisors, end }))
}

fn reports(
    tables: &Connection,
    query: &ListReports,
) -> rusqlite::Result<Page<ReportRow, ReportKey>> {
    let of = query.supervisor.as_uuid().into_bytes();
    let account = query.account.as_str();
    let limit = one_more(query.limit);
    // An empty key lies before every id.
    let (company_after, user_after) = match &query.after {
        Some(after) => (
            after.company_id.as_uuid().as_bytes().to_vec(),
            after.user_id.as_uuid().as_bytes().to_vec(),
        ),
        None => (Vec::new(), Vec::new()),
    };
    let (found, total) = match query.company {
        None => (
            rows(
                tables,
                SELECT_REPORTS,
                params![of, account, company_after, user_after, limit],
                read,
            )?,
            total(tables, query.total, COUNT_REPORTS, params![of, account])?,
        ),
        Some(company) => {
            let company = company.as_uuid().into_bytes();
            (
                rows(
                    tables,
                    SELECT_REPORTS_IN_COMPANY,
                    params![of, account, company, user_after, limit],
                    read,
                )?,
                total(
                    tables,
                    query.total,
                    COUNT_REPORTS_IN_COMPANY,
                    params![of, account, company],
                )?,
            )
        }
    };
    Ok(Page::cut(
        found,
        query.limit,
        total,
        |report: &ReportRow| ReportKey {
            company_id: report.company_id,
            user_id: report.user_id,
        },
    ))
}

fn read(row: &Row<'_>) -> rusqlite::Result<ReportRow> {
    Ok(ReportRow {
        company_id: id(row, 0)?,
        user_id: id(row, 1)?,
    })
}
