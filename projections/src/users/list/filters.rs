//! Which users a list shows: each filter and search as a condition on a row, and as the members that fulfil it.

use rollbook_aggregates::values::CompanyId;
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};
use uuid::Uuid;

use super::named::Named;
use super::query::{CompanyFilter, ListUsers};
use super::searches;
use super::sorting::Column;
use crate::columns::Coded;
use crate::users::numbers::Numbers;

/// SQL with the values of its `?`, in their order.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) sql: String,
    pub(super) values: Vec<Value>,
}

impl Part {
    pub(super) fn new(sql: impl Into<String>, values: impl IntoIterator<Item = Value>) -> Self {
        Self {
            sql: sql.into(),
            values: values.into_iter().collect(),
        }
    }

    pub(super) fn push(&mut self, other: Part) {
        self.sql.push_str(&other.sql);
        self.values.extend(other.values);
    }

    /// How many rows the statement has, if they are at most so many.
    pub(super) fn count(&self, tables: &Connection, most: i64) -> rusqlite::Result<Option<i64>> {
        let counted = format!("SELECT count(*) FROM ({} LIMIT ?)", self.sql);
        let limit = [Value::Integer(most + 1)];
        let values = self.values.iter().chain(&limit);
        let count: i64 = tables
            .prepare_cached(&counted)?
            .query_row(params_from_iter(values), |row| row.get(0))?;
        Ok((count <= most).then_some(count))
    }
}

/// A condition on users.
#[derive(Debug, Default)]
pub(super) struct Condition {
    /// What is true of a user that fulfils it; nothing where another condition says so.
    pub(super) matches: Option<Part>,
    /// The columns that this asks for, but for those of every index.
    pub(super) columns: &'static [&'static str],
    /// The users that fulfil it, where an index has them.
    pub(super) members: Option<Members>,
    /// The stretch of a column's index in which they lie.
    pub(super) stretch: Option<(Column, Stretch)>,
    /// The names that they bear, where few fit.
    pub(super) named: Option<Named>,
    /// What has them alone, by signature.
    pub(super) alone: Option<Alone<'static>>,
}

/// Where some users stand by themselves.
#[derive(Clone, Copy, Debug)]
pub(super) enum Alone<'a> {
    /// In the links of a company, by signature.
    Company(CompanyId),
    /// In the index of those who are inactive, by signature.
    Inactive,
    /// Among those who bear a name, in the index of that column.
    Named(&'a str),
}

/// The users that fulfil a condition.
#[derive(Debug)]
pub(super) struct Members {
    /// The column that names them.
    pub(super) by: &'static str,
    /// Their names.
    pub(super) ids: Part,
    /// Whether there may be others among them.
    pub(super) certain: bool,
    /// Those who are counted, where others than `ids`: more of them, and cheaper to tell.
    pub(super) counted: Option<Part>,
    /// Whether some of them are found for less than all.
    pub(super) countable: bool,
    /// Whether they are found by what stands in their texts.
    pub(super) by_text: bool,
}

impl Members {
    /// Exactly those who fulfil the condition, by user id.
    pub(super) fn certain(ids: Part) -> Self {
        Self {
            by: "user_id",
            ids,
            certain: true,
            counted: None,
            countable: true,
            by_text: false,
        }
    }

    /// Exactly those who fulfil the condition, by the number of their row.
    pub(super) fn numbered(ids: Part) -> Self {
        Self {
            by: "number",
            ..Self::certain(ids)
        }
    }
}

/// A stretch of sorted texts: from one on, up to before another.
#[derive(Clone, Debug)]
pub(super) struct Stretch {
    pub(super) from: String,
    pub(super) before: Option<String>,
}

impl Condition {
    fn new(matches: Part, columns: &'static [&'static str], members: Option<Members>) -> Self {
        Self {
            matches: Some(matches),
            columns,
            members,
            ..Self::default()
        }
    }

    pub(super) fn is_certain_of_members(&self) -> bool {
        let members = self.members.as_ref();
        members.is_some_and(|members| members.certain)
    }

    /// Whether a walk along a column leads past its members alone.
    pub(super) fn walks_along(&self, column: Column) -> bool {
        let stretch = self.stretch.as_ref();
        stretch.is_some_and(|(of, _)| *of == column)
            || self.named_by(column).is_some()
            || self.alone_by(column).is_some()
    }

    /// The names that its members bear in a column.
    pub(super) fn named_by(&self, column: Column) -> Option<&Named> {
        self.named.as_ref().filter(|named| named.column == column)
    }

    /// Where its members stand by themselves in the order of a column.
    pub(super) fn alone_by(&self, column: Column) -> Option<Alone<'static>> {
        self.alone.filter(|_| column == Column::Signature)
    }

    /// The bounds it sets to a walk along a column, on the sides that are asked for.
    pub(super) fn bounds(&self, column: Column, key: &str, lower: bool, upper: bool) -> Part {
        let mut bounds = Part::new("", []);
        let stretch = self.stretch.as_ref();
        let Some((_, stretch)) = stretch.filter(|(of, _)| *of == column) else {
            return bounds;
        };
        if lower {
            let from = Value::Text(stretch.from.clone());
            bounds.push(Part::new(format!(" AND {key} >= ?"), [from]));
        }
        if let Some(before) = stretch.before.as_ref().filter(|_| upper) {
            let before = Value::Text(before.clone());
            bounds.push(Part::new(format!(" AND {key} < ?"), [before]));
        }
        bounds
    }
}

pub(super) fn conditions(
    tables: &Connection,
    query: &ListUsers,
    numbers: Numbers,
) -> rusqlite::Result<Vec<Condition>> {
    let account = || Value::Text(query.account.as_str().to_owned());
    let by_number = |test: String, columns| {
        let members = format!("SELECT number FROM users WHERE account_id = ? AND {test}");
        let members = Members::numbered(Part::new(members, [account()]));
        Condition::new(Part::new(test, []), columns, Some(members))
    };
    let mut conditions = searches::conditions(tables, query, numbers)?;
    match query.company {
        CompanyFilter::Any => {}
        CompanyFilter::In(company) => conditions.push(in_company(company)),
        CompanyFilter::None => {
            conditions.push(by_number("companies = 0".to_owned(), &["companies"]));
        }
    }
    if let Some(role) = &query.role {
        conditions.push(with_role(account(), Value::Text(role.clone())));
    }
    if !query.statuses.is_empty() {
        let codes = query
            .statuses
            .iter()
            .map(|status| status.code().to_string());
        let codes = codes.collect::<Vec<_>>().join(", ");
        conditions.push(by_number(format!("status IN ({codes})"), &["status"]));
    }
    match query.active {
        Some(false) => {
            conditions.push(Condition {
                alone: Some(Alone::Inactive),
                ..by_number("active = 0".to_owned(), &["active"])
            });
        }
        Some(true) => conditions.push(Condition::new(Part::new("active", []), &["active"], None)),
        None => {}
    }
    if let Some(user_type) = query.user_type {
        let of_type = format!("user_type = {}", user_type.code());
        conditions.push(by_number(of_type, &["user_type"]));
    }
    // A company, a role or a supervisor is the home account's, which is not what an external user has here.
    let at_home = matches!(query.company, CompanyFilter::In(_))
        || query.role.is_some()
        || query.search.supervisor.is_some()
        || query.search.supervisor_id.is_some();
    if query.external == Some(true) {
        conditions.push(by_number("external".to_owned(), &["external"]));
    }
    if query.external == Some(false) || at_home {
        let at_home = Part::new("NOT external", []);
        conditions.push(Condition::new(at_home, &["external"], None));
    }
    Ok(conditions)
}

fn in_company(company: CompanyId) -> Condition {
    let id = || [blob(company.as_uuid())];
    let matches = Part::new(
        "EXISTS (
            SELECT 1
            FROM user_companies
            WHERE user_companies.user_id = users.user_id AND company_id = ?
        )",
        id(),
    );
    let members = "SELECT user_id FROM user_companies WHERE company_id = ?";
    let members = Members::certain(Part::new(members, id()));
    Condition {
        alone: Some(Alone::Company(company)),
        ..Condition::new(matches, &[], Some(members))
    }
}

fn with_role(account: Value, role: Value) -> Condition {
    let matches = Part::new(
        "EXISTS (
            SELECT 1
            FROM user_roles
            WHERE user_roles.user_id = users.user_id AND role = ?
        )",
        [role.clone()],
    );
    let members = "SELECT user_id FROM user_roles WHERE account_id = ? AND role = ?";
    Condition::new(
        matches,
        &[],
        Some(Members::certain(Part::new(members, [account, role]))),
    )
}

pub(super) fn blob(id: Uuid) -> Value {
    Value::Blob(id.as_bytes().to_vec())
}
