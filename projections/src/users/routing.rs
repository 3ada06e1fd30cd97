//! Who takes care of what in a company: by allegiance, and up the chain of supervisors. Part of the view of users, so that an
//! answer rests on one state of allegiances, links, users and settings.
//!
//! Nobody is proposed who is inactive, or not shown as an addressee in that company.

use std::collections::{BTreeMap, BTreeSet};

use rollbook_aggregates::user::Allegiances;
use rollbook_aggregates::values::{AccountId, Allegiance, CompanyId, UserId};
use rusqlite::types::Value;
use rusqlite::{Connection, params, params_from_iter};

use super::find::Finder;
use super::{FoundUser, UserRow};
use crate::columns::{Coded as _, codes, id};
use crate::page::{Page, first, one_more, rows};
use crate::reading::{ReadError, questions_of};
use crate::supervisors::{ChainEnd, LONGEST_CHAIN};

pub(super) const TABLES: &str = "
    CREATE TABLE user_allegiances (
        company_id BLOB NOT NULL,
        kind INTEGER NOT NULL,
        dimension TEXT NOT NULL,
        value TEXT NOT NULL,
        user_id BLOB NOT NULL,
        PRIMARY KEY (company_id, kind, dimension, value, user_id)
    ) STRICT, WITHOUT ROWID;

    CREATE INDEX user_allegiances_by_user ON user_allegiances (user_id, company_id);
";

const INSERT: &str = "
    INSERT OR IGNORE INTO user_allegiances (company_id, kind, dimension, value, user_id)
    VALUES (?1, ?2, ?3, ?4, ?5)";

const DELETE: &str = "
    DELETE FROM user_allegiances
    WHERE user_id = ?1 AND company_id = ?2";

const DELETE_ALL: &str = "
    DELETE FROM user_allegiances
    WHERE user_id = ?1";

const SELECT_MATCHES: &str = "
    SELECT users.user_id
    FROM user_allegiances AS matched
    CROSS JOIN users ON users.user_id = matched.user_id AND NOT users.external
    CROSS JOIN user_companies AS link
        ON link.user_id = matched.user_id AND link.company_id = matched.company_id
    WHERE matched.company_id = ?1 AND matched.kind = ?2
        AND matched.dimension = ?3 AND matched.value = ?4
        AND matched.user_id > ?5
        AND users.active AND link.show_as_addressee
    ORDER BY matched.user_id
    LIMIT ?6";

const SELECT_ABOVE: &str = "
    SELECT link.supervisor, users.active, above.show_as_addressee
    FROM user_companies AS link
    LEFT JOIN users ON users.user_id = link.supervisor AND NOT users.external
    LEFT JOIN user_companies AS above
        ON above.user_id = link.supervisor AND above.company_id = link.company_id
    WHERE link.user_id = ?1 AND link.company_id = ?2";

/// What an allegiance is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AllegianceKind {
    /// Rows are coded with it, and those who have it review them.
    Coding,
    /// Invoices are addressed by it.
    Routing,
}

codes! {
    AllegianceKind {
        Coding = 1,
        Routing = 2,
    }
}

/// A question for those who have one of some allegiances in a company.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListMatches {
    /// Whose users.
    pub account: AccountId,
    /// In which company.
    pub company: CompanyId,
    /// What the allegiances are for.
    pub kind: AllegianceKind,
    /// Which.
    pub allegiances: BTreeSet<Allegiance>,
    /// The user where the page before ended.
    pub after: Option<UserId>,
    /// How many at most, 1 to 1000.
    pub limit: u32,
}

/// A user who can be proposed, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct MatchRow {
    /// Who.
    pub user: UserRow,
    /// Which of the allegiances it has, by dimension and value.
    pub matched: Vec<Allegiance>,
}

/// Those who can be proposed.
#[derive(Clone, Debug, PartialEq)]
pub struct Matches {
    /// A page of them, by id.
    pub page: Page<MatchRow, UserId>,
    /// Where there is nobody: how many have one of the allegiances, and cannot be proposed.
    pub passed_over: u64,
}

/// Why a supervisor is not proposed as an approver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// It is inactive.
    Inactive,
    /// It is not linked to the company.
    NotLinked,
    /// It is not shown as an addressee there.
    NotShown,
}

/// The nearest supervisor who can be proposed.
#[derive(Clone, Debug, PartialEq)]
pub struct Approver {
    /// Who it is; or why there is none.
    pub found: Result<Box<UserRow>, ChainEnd>,
    /// Those who are nearer and cannot be proposed, nearest first.
    pub passed_over: Vec<(UserId, Unfit)>,
}

questions_of! {
    /// Who takes care of what, out of the users' view.
    Routing
}

impl Routing {
    /// Those who have one of some allegiances in a company and can be proposed.
    ///
    /// # Errors
    /// The file of the view cannot be read.
    pub async fn matches(&self, query: ListMatches) -> Result<Matches, ReadError> {
        self.0.list(move |tables| matches(tables, &query)).await
    }

    /// The nearest supervisor of a user in a company who can be proposed; nothing where the user is not linked there.
    ///
    /// # Errors
    /// The file of the view cannot be read.
    pub async fn approver(
        &self,
        account: &AccountId,
        company: CompanyId,
        user: UserId,
    ) -> Result<Option<Approver>, ReadError> {
        let account = account.clone();
        self.0
            .list(move |tables| approver(&Finder::new(tables, &account)?, tables, company, user))
            .await
    }
}

fn matches(tables: &Connection, query: &ListMatches) -> rusqlite::Result<Matches> {
    let company = query.company.as_uuid().into_bytes();
    // An empty key lies before every id.
    let after = query
        .after
        .map_or_else(Vec::new, |user| user.as_uuid().as_bytes().to_vec());
    let mut found: BTreeMap<UserId, Vec<Allegiance>> = BTreeMap::new();
    for allegiance in &query.allegiances {
        // A page of each holds all that can be on a page of them together.
        let (dimension, value) = (allegiance.dimension.as_str(), allegiance.value.as_str());
        let limit = one_more(query.limit);
        let of = params![company, query.kind.code(), dimension, value, after, limit];
        for user in rows(tables, SELECT_MATCHES, of, |row| id::<UserId>(row, 0))? {
            found.entry(user).or_default().push(allegiance.clone());
        }
    }
    let passed_over = if found.is_empty() && query.after.is_none() {
        all_who_match(tables, query)?
    } else {
        0
    };
    let finder = Finder::new(tables, &query.account)?;
    let limit = usize::try_from(one_more(query.limit)).unwrap_or(usize::MAX);
    let mut people = Vec::new();
    for (user, matched) in found.into_iter().take(limit) {
        if let Some(FoundUser::Present(user)) = finder.find(user)? {
            people.push(MatchRow {
                user: *user,
                matched,
            });
        }
    }
    let last = |row: &MatchRow| row.user.user_id;
    Ok(Matches {
        page: Page::cut(people, query.limit, None, last),
        passed_over,
    })
}

fn all_who_match(tables: &Connection, query: &ListMatches) -> rusqlite::Result<u64> {
    let pairs = vec!["(?, ?)"; query.allegiances.len().max(1)].join(", ");
    let sql = format!(
        "SELECT count(DISTINCT user_id)
        FROM user_allegiances
        WHERE company_id = ? AND kind = ? AND (dimension, value) IN (VALUES {pairs})"
    );
    let mut values = vec![
        Value::Blob(query.company.as_uuid().as_bytes().to_vec()),
        Value::Integer(query.kind.code()),
    ];
    for allegiance in &query.allegiances {
        let texts = [allegiance.dimension.as_str(), allegiance.value.as_str()];
        values.extend(texts.map(|text| Value::Text(text.to_owned())));
    }
    values.resize(values.len().max(4), Value::Null);
    tables
        .prepare_cached(&sql)?
        .query_row(params_from_iter(values), |row| row.get(0))
}

fn approver(
    finder: &Finder<'_>,
    tables: &Connection,
    company: CompanyId,
    user: UserId,
) -> rusqlite::Result<Option<Approver>> {
    if finder.find(user)?.is_none() {
        return Ok(None);
    }
    let company = company.as_uuid().into_bytes();
    let above = |user: UserId| {
        let of = params![user.as_uuid().into_bytes(), company];
        first(tables, SELECT_ABOVE, of, |row| {
            let unfit = match (row.get(1)?, row.get(2)?) {
                (_, None) => Some(Unfit::NotLinked),
                (Some(true), Some(true)) => None,
                (Some(true), Some(false)) => Some(Unfit::NotShown),
                (None | Some(false), Some::<bool>(_)) => Some(Unfit::Inactive),
            };
            Ok((id::<UserId>(row, 0)?, unfit))
        })
    };
    let Some(mut next) = above(user)? else {
        return Ok(None);
    };
    let mut passed_over = Vec::new();
    let mut met = BTreeSet::from([user]);
    let mut last = user;
    let found = loop {
        let (supervisor, unfit) = next;
        if supervisor == last {
            break Err(ChainEnd::Top);
        }
        if !met.insert(supervisor) {
            break Err(ChainEnd::Cycle(supervisor));
        }
        match (unfit, finder.find(supervisor)?) {
            (None, Some(FoundUser::Present(row))) => break Ok(row),
            (unfit, _) => passed_over.push((supervisor, unfit.unwrap_or(Unfit::Inactive))),
        }
        if passed_over.len() == LONGEST_CHAIN {
            break Err(ChainEnd::CutOff);
        }
        last = supervisor;
        match above(last)? {
            Some(above) => next = above,
            None => break Err(ChainEnd::NotLinked),
        }
    };
    Ok(Some(Approver { found, passed_over }))
}

/// A user has these allegiances in a company, and no others there.
pub(super) fn set(
    tables: &Connection,
    user: [u8; 16],
    company: CompanyId,
    allegiances: &Allegiances,
) -> rusqlite::Result<()> {
    remove(tables, user, company)?;
    let company = company.as_uuid().into_bytes();
    let kinds = [
        (AllegianceKind::Coding, &allegiances.coding),
        (AllegianceKind::Routing, &allegiances.routing),
    ];
    let mut insert = tables.prepare_cached(INSERT)?;
    for (kind, allegiances) in kinds {
        for allegiance in allegiances {
            let (dimension, value) = (allegiance.dimension.as_str(), allegiance.value.as_str());
            insert.execute(params![company, kind.code(), dimension, value, user])?;
        }
    }
    Ok(())
}

/// A user has no allegiances in a company any more.
pub(super) fn remove(
    tables: &Connection,
    user: [u8; 16],
    company: CompanyId,
) -> rusqlite::Result<()> {
    let company = company.as_uuid().into_bytes();
    tables
        .prepare_cached(DELETE)?
        .execute(params![user, company])?;
    Ok(())
}

/// A user has no allegiances anywhere any more.
pub(super) fn remove_all(tables: &Connection, user: [u8; 16]) -> rusqlite::Result<()> {
    tables.prepare_cached(DELETE_ALL)?.execute([user])?;
    Ok(())
}
