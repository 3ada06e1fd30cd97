//! The list of an account's users: any filters, sorted by any column, both ways, paged by key.
//!
//! A page is read along the index of the column it is sorted by, and costs the same wherever it lies. Where a filter lets few
//! users through, these are fetched by that filter's index and sorted instead.

use rollbook_aggregates::user::Status;
use rollbook_aggregates::values::{AccountId, CompanyId, Login, UserId, UserType};
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::UserRow;
use super::find::{Finder, USER_COLUMNS, columns};
use crate::columns::Coded;
use crate::page::{Page, one_more, rows, total};

/// Up to how many users are fetched and sorted instead of read in order.
const FEW: i64 = 4_000;

/// Which users by company.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CompanyFilter {
    /// All of them.
    #[default]
    Any,
    /// Those linked to this company.
    In(CompanyId),
    /// Those linked to none.
    None,
}

/// What a list of users is sorted by; equal ones by their id. Text is compared without regard to case and accents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UserSort {
    /// Signature.
    #[default]
    Signature,
    /// What they sign in with.
    UserName,
    /// First name.
    FirstName,
    /// Last name.
    LastName,
    /// E-mail address.
    Email,
    /// Status, in the order of the statuses.
    Status,
    /// Type: administrators first.
    UserType,
    /// First role by name; users without one first.
    Role,
    /// When they were added.
    CreatedAt,
    /// When they were last modified.
    ModifiedAt,
}

/// A question for a page of users.
#[derive(Clone, Debug, PartialEq)]
pub struct ListUsers {
    /// Whose users.
    pub account: AccountId,
    /// Which by company.
    pub company: CompanyFilter,
    /// Only active or only inactive ones.
    pub active: Option<bool>,
    /// Only those of one of these statuses; empty: of any.
    pub statuses: Vec<Status>,
    /// Only those that have this role.
    pub role: Option<String>,
    /// Only those of this type.
    pub user_type: Option<UserType>,
    /// Only those whose home is another account, or only those whose home is this one.
    pub external: Option<bool>,
    /// The column to sort by.
    pub sort: UserSort,
    /// Whether to sort the other way round.
    pub descending: bool,
    /// Where the page before ended.
    pub after: Option<UserKey>,
    /// How many at most, 1 to 1000.
    pub limit: u32,
    /// Whether to count all that match.
    pub total: bool,
}

impl ListUsers {
    /// The first 100 of all users of an account, by signature.
    #[must_use]
    pub fn of(account: AccountId) -> Self {
        Self {
            account,
            company: CompanyFilter::Any,
            active: None,
            statuses: Vec::new(),
            role: None,
            user_type: None,
            external: None,
            sort: UserSort::Signature,
            descending: false,
            after: None,
            limit: 100,
            total: false,
        }
    }
}

/// A place in a sorted list of users. It keeps the column it was sorted by, so that pages go on as they began where the
/// account's login changes between them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserKey {
    column: Column,
    value: KeyValue,
    user_id: UserId,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum KeyValue {
    Text(String),
    Number(i64),
}

/// A column with an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Column {
    Signature,
    FirstName,
    LastName,
    Email,
    Status,
    UserType,
    FirstRole,
    CreatedAt,
    ModifiedAt,
}

impl Column {
    fn of(sort: UserSort, login: Login) -> Self {
        match (sort, login) {
            (UserSort::Signature, _) | (UserSort::UserName, Login::Signature) => Self::Signature,
            (UserSort::Email, _) | (UserSort::UserName, Login::Email) => Self::Email,
            (UserSort::FirstName, _) => Self::FirstName,
            (UserSort::LastName, _) => Self::LastName,
            (UserSort::Status, _) => Self::Status,
            (UserSort::UserType, _) => Self::UserType,
            (UserSort::Role, _) => Self::FirstRole,
            (UserSort::CreatedAt, _) => Self::CreatedAt,
            (UserSort::ModifiedAt, _) => Self::ModifiedAt,
        }
    }

    /// The column, and the index that has it behind the account.
    const fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Signature => ("signature_key", "users_by_signature"),
            Self::FirstName => ("first_name_key", "users_by_first_name"),
            Self::LastName => ("last_name_key", "users_by_last_name"),
            Self::Email => ("email_key", "users_by_email"),
            Self::Status => ("status", "users_by_status"),
            Self::UserType => ("user_type", "users_by_user_type"),
            Self::FirstRole => ("first_role", "users_by_first_role"),
            Self::CreatedAt => ("created_at", "users_by_created_at"),
            Self::ModifiedAt => ("modified_at", "users_by_modified_at"),
        }
    }
}

/// SQL with the values of its `?`, in their order.
struct Part {
    sql: String,
    values: Vec<Value>,
}

impl Part {
    fn new(sql: impl Into<String>, values: impl IntoIterator<Item = Value>) -> Self {
        Self {
            sql: sql.into(),
            values: values.into_iter().collect(),
        }
    }

    fn push(&mut self, other: Part) {
        self.sql.push_str(&other.sql);
        self.values.extend(other.values);
    }
}

/// A condition on users.
struct Condition {
    /// What is true of a user that fulfils it.
    matches: Part,
    /// The ids of the users that fulfil it, where an index has them.
    members: Option<Part>,
}

impl Condition {
    fn new(matches: Part, members: Part) -> Self {
        Self {
            matches,
            members: Some(members),
        }
    }
}

pub(super) fn list(
    tables: &Connection,
    query: &ListUsers,
) -> rusqlite::Result<Page<UserRow, UserKey>> {
    list_where_few_are(FEW, tables, query)
}

fn list_where_few_are(
    few: i64,
    tables: &Connection,
    query: &ListUsers,
) -> rusqlite::Result<Page<UserRow, UserKey>> {
    let finder = Finder::new(tables, &query.account)?;
    let column = query
        .after
        .as_ref()
        .map_or_else(|| Column::of(query.sort, finder.login()), |key| key.column);
    let matching = matching(few, tables, query, column)?;
    let count = format!("SELECT count(*) {}", matching.sql);
    let total = total(
        tables,
        query.total,
        &count,
        params_from_iter(&matching.values),
    )?;
    let page = page(query, column, matching);
    let found = rows(tables, &page.sql, params_from_iter(&page.values), |row| {
        let value = match row.get(USER_COLUMNS)? {
            Value::Text(text) => KeyValue::Text(text),
            Value::Integer(number) => KeyValue::Number(number),
            other => {
                let name = column.names().0.to_owned();
                return Err(rusqlite::Error::InvalidColumnType(
                    USER_COLUMNS,
                    name,
                    other.data_type(),
                ));
            }
        };
        finder.read(row).map(|user| (user, value))
    })?;
    let page = Page::cut(
        found,
        query.limit,
        total,
        |(user, value): &(UserRow, KeyValue)| UserKey {
            column,
            value: value.clone(),
            user_id: user.user_id,
        },
    );
    Ok(Page {
        rows: page.rows.into_iter().map(|(user, _)| user).collect(),
        next: page.next,
        total: page.total,
    })
}

/// The statement for a page of the users that match.
fn page(query: &ListUsers, column: Column, matching: Part) -> Part {
    let (key, _) = column.names();
    let (order, beyond) = if query.descending {
        ("DESC", "<")
    } else {
        ("ASC", ">")
    };
    let mut page = Part::new(format!("SELECT {}, {key} ", columns!()), []);
    page.push(matching);
    if let Some(after) = &query.after {
        let value = match &after.value {
            KeyValue::Text(text) => Value::Text(text.clone()),
            KeyValue::Number(number) => Value::Integer(*number),
        };
        page.push(Part::new(
            format!(" AND ({key}, user_id) {beyond} (?, ?)"),
            [value, blob(after.user_id.as_uuid())],
        ));
    }
    let order = format!(" ORDER BY {key} {order}, user_id {order} LIMIT ?");
    page.push(Part::new(order, [Value::Integer(one_more(query.limit))]));
    page
}

/// Where the users that match are read from: along the index of the column, or out of the first condition that few fulfil.
fn matching(
    few: i64,
    tables: &Connection,
    query: &ListUsers,
    column: Column,
) -> rusqlite::Result<Part> {
    let mut conditions = conditions(query);
    let mut narrow = None;
    for (at, condition) in conditions.iter().enumerate() {
        if let Some(members) = &condition.members
            && are_few(few, tables, members)?
        {
            narrow = Some(at);
            break;
        }
    }
    let account = Value::Text(query.account.as_str().to_owned());
    let members = narrow.and_then(|at| conditions.swap_remove(at).members);
    let mut matching = match members {
        Some(members) => {
            // The plus keeps SQLite from reading along an index of the account.
            let mut from = Part::new("FROM users WHERE user_id IN (", []);
            from.push(members);
            from.push(Part::new(") AND +account_id = ?", [account]));
            from
        }
        None => Part::new(
            format!(
                "FROM users INDEXED BY {} WHERE account_id = ?",
                column.names().1
            ),
            [account],
        ),
    };
    for condition in conditions {
        matching.push(Part::new(" AND ", []));
        matching.push(condition.matches);
    }
    Ok(matching)
}

fn are_few(few: i64, tables: &Connection, members: &Part) -> rusqlite::Result<bool> {
    let sql = format!("SELECT count(*) FROM ({} LIMIT {})", members.sql, few + 1);
    let count: i64 = tables
        .prepare_cached(&sql)?
        .query_row(params_from_iter(&members.values), |row| row.get(0))?;
    Ok(count <= few)
}

fn conditions(query: &ListUsers) -> Vec<Condition> {
    let account = || Value::Text(query.account.as_str().to_owned());
    let by_number = |test: String| {
        let members = format!("SELECT user_id FROM users WHERE account_id = ? AND {test}");
        Condition::new(Part::new(test, []), Part::new(members, [account()]))
    };
    let mut conditions = Vec::new();
    match query.company {
        CompanyFilter::Any => {}
        CompanyFilter::In(company) => conditions.push(in_company(company)),
        CompanyFilter::None => conditions.push(by_number("companies = 0".to_owned())),
    }
    if let Some(role) = &query.role {
        conditions.push(with_role(account(), Value::Text(role.clone())));
    }
    if !query.statuses.is_empty() {
        let codes: Vec<String> = query
            .statuses
            .iter()
            .map(|status| status.code().to_string())
            .collect();
        conditions.push(by_number(format!("status IN ({})", codes.join(", "))));
    }
    match query.active {
        Some(false) => conditions.push(by_number(format!("status = {}", Status::Inactive.code()))),
        Some(true) => conditions.push(Condition {
            matches: Part::new("active", []),
            members: None,
        }),
        None => {}
    }
    if let Some(user_type) = query.user_type {
        conditions.push(by_number(format!("user_type = {}", user_type.code())));
    }
    if query.external == Some(true) {
        conditions.push(Condition {
            matches: Part::new("FALSE", []),
            members: None,
        });
    }
    conditions
}

fn in_company(company: CompanyId) -> Condition {
    let company = || [blob(company.as_uuid())];
    Condition::new(
        Part::new(
            "EXISTS (
                SELECT 1
                FROM user_companies
                WHERE user_companies.user_id = users.user_id AND company_id = ?
            )",
            company(),
        ),
        Part::new(
            "SELECT user_id FROM user_companies WHERE company_id = ?",
            company(),
        ),
    )
}

fn with_role(account: Value, role: Value) -> Condition {
    Condition::new(
        Part::new(
            "EXISTS (
                SELECT 1
                FROM user_roles
                WHERE user_roles.user_id = users.user_id AND role = ?
            )",
            [role.clone()],
        ),
        Part::new(
            "SELECT user_id FROM user_roles WHERE account_id = ? AND role = ?",
            [account, role],
        ),
    )
}

fn blob(id: Uuid) -> Value {
    Value::Blob(id.as_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::users::TABLES;
    use crate::users::accounts;

    const COLUMNS: [(UserSort, &str); 9] = [
        (UserSort::Signature, "users_by_signature"),
        (UserSort::FirstName, "users_by_first_name"),
        (UserSort::LastName, "users_by_last_name"),
        (UserSort::Email, "users_by_email"),
        (UserSort::Status, "users_by_status"),
        (UserSort::UserType, "users_by_user_type"),
        (UserSort::Role, "users_by_first_role"),
        (UserSort::CreatedAt, "users_by_created_at"),
        (UserSort::ModifiedAt, "users_by_modified_at"),
    ];

    /// Three hundred users: a third in one company, a third with a role, a few inactive.
    const USERS: &str = "
        WITH RECURSIVE numbers (n) AS (
            SELECT 1
            UNION ALL
            SELECT n + 1
            FROM numbers
            WHERE n < 300
        )
        INSERT INTO users (
            user_id, account_id, signature, signature_folded, signature_key, first_name, first_name_key,
            last_name, last_name_key, email, email_folded, email_key, user_type, active, new_password, onboarded,
            first_role, companies, sessions_valid_from, created_at, modified_at, revision, position
        )
        SELECT
            CAST(printf('%016d', n * 7919 % 1000) AS BLOB), 'acme', n, n, n % 10, n, n % 7,
            n, n % 5, n, n, n % 3, 1 + n % 2, n % 20 <> 0, n % 9 = 0, n % 4 <> 0,
            CASE n % 3 WHEN 0 THEN 'clerk' ELSE '' END, n % 3 = 1, 0, n, 1000 - n, 1, n
        FROM numbers;

        INSERT INTO user_roles (user_id, account_id, role)
        SELECT user_id, account_id, first_role
        FROM users
        WHERE first_role <> '';

        INSERT INTO user_companies (user_id, company_id, supervisor, show_as_addressee)
        SELECT user_id, CAST('company-company-' AS BLOB), user_id, 0
        FROM users
        WHERE companies = 1;
    ";

    fn tables() -> Connection {
        let tables = Connection::open_in_memory().unwrap();
        for statements in [accounts::TABLES, TABLES, USERS] {
            tables.execute_batch(statements).unwrap();
        }
        tables
    }

    fn everybody() -> ListUsers {
        ListUsers {
            limit: 7,
            total: true,
            ..ListUsers::of(AccountId::parse("acme").unwrap())
        }
    }

    fn queries() -> Vec<ListUsers> {
        let company = Uuid::from_bytes(*b"company-company-").into();
        vec![
            everybody(),
            ListUsers {
                company: CompanyFilter::In(company),
                ..everybody()
            },
            ListUsers {
                company: CompanyFilter::None,
                ..everybody()
            },
            ListUsers {
                role: Some("clerk".to_owned()),
                ..everybody()
            },
            ListUsers {
                active: Some(false),
                ..everybody()
            },
            ListUsers {
                active: Some(true),
                statuses: vec![Status::Provisioned, Status::Active],
                ..everybody()
            },
            ListUsers {
                user_type: Some(UserType::Standard),
                role: Some("clerk".to_owned()),
                ..everybody()
            },
        ]
    }

    fn pages(few: i64, tables: &Connection, mut query: ListUsers) -> Vec<UserId> {
        let mut found = Vec::new();
        loop {
            let page = list_where_few_are(few, tables, &query).unwrap();
            found.extend(page.rows.iter().map(|row| row.user_id));
            query.after = page.next;
            if query.after.is_none() {
                assert_eq!(page.total, Some(found.len() as u64));
                return found;
            }
        }
    }

    fn plan(tables: &Connection, part: &Part) -> String {
        let sql = format!("EXPLAIN QUERY PLAN {}", part.sql);
        rows(tables, &sql, params_from_iter(&part.values), |row| {
            row.get::<_, String>(3)
        })
        .unwrap()
        .join("\n")
    }

    #[test]
    fn filters_let_the_same_users_through_whether_they_are_many_or_few() {
        let tables = tables();
        for (sort, _) in COLUMNS {
            for query in queries() {
                for descending in [false, true] {
                    let query = ListUsers {
                        sort,
                        descending,
                        ..query.clone()
                    };
                    let many = pages(0, &tables, query.clone());
                    assert!(many.len() > 10);
                    assert_eq!(many, pages(FEW, &tables, query.clone()), "{query:?}");
                }
            }
        }
    }

    #[test]
    fn r54_a_late_page_is_found_by_the_index_of_its_column_and_costs_what_the_first_one_costs() {
        let tables = tables();
        for (sort, index) in COLUMNS {
            for descending in [false, true] {
                let query = ListUsers {
                    sort,
                    descending,
                    ..everybody()
                };
                let after = list(&tables, &query).unwrap().next;
                let query = ListUsers { after, ..query };
                let column = Column::of(sort, Login::Email);
                let part = page(
                    &query,
                    column,
                    matching(FEW, &tables, &query, column).unwrap(),
                );
                let plan = plan(&tables, &part);
                let key = column.names().0;
                let seek = format!("USING INDEX {index} (account_id=? AND ({key},user_id)");
                assert!(
                    plan.contains(&seek) && !plan.contains("TEMP B-TREE"),
                    "{plan}"
                );
            }
        }
    }

    #[test]
    fn few_are_fetched_by_their_own_index() {
        let tables = tables();
        let members = [
            "user_companies_by_company",
            "users_without_company",
            "user_roles_by_role",
            "users_by_status",
        ];
        for (query, index) in queries().into_iter().skip(1).zip(members) {
            let column = Column::of(UserSort::LastName, Login::Email);
            let part = page(
                &query,
                column,
                matching(FEW, &tables, &query, column).unwrap(),
            );
            let plan = plan(&tables, &part);
            assert!(
                plan.contains(index) && !plan.contains("users_by_last_name"),
                "{plan}"
            );
        }
    }
}
