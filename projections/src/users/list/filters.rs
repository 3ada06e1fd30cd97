//! Which users a list shows: each filter as a condition on a row, and as the members that fulfil it.

use rollbook_aggregates::user::Status;
use rollbook_aggregates::values::CompanyId;
use rusqlite::types::Value;
use uuid::Uuid;

use super::query::{CompanyFilter, ListUsers};
use crate::columns::Coded;

/// SQL with the values of its `?`, in their order.
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
}

/// A condition on users.
pub(super) struct Condition {
    /// What is true of a user that fulfils it.
    pub(super) matches: Part,
    /// The ids of the users that fulfil it, where an index has them.
    pub(super) members: Option<Part>,
}

impl Condition {
    fn new(matches: Part, members: Part) -> Self {
        Self {
            matches,
            members: Some(members),
        }
    }
}

pub(super) fn conditions(query: &ListUsers) -> Vec<Condition> {
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
    // A company or a role is the home account's, which is not what an external user has here.
    let at_home = matches!(query.company, CompanyFilter::In(_)) || query.role.is_some();
    if query.external == Some(true) {
        conditions.push(by_number("external".to_owned()));
    }
    if query.external == Some(false) || at_home {
        conditions.push(Condition {
            matches: Part::new("NOT external", []),
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

pub(super) fn blob(id: Uuid) -> Value {
    Value::Blob(id.as_bytes().to_vec())
}
