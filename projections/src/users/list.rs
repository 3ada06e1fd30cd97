//! The list of an account's users: any filters, sorted by any column, both ways, paged by key.
//!
//! A page is read along the index of the column it is sorted by, and costs the same wherever it lies. Where a filter lets few
//! users through, these are fetched by that filter's index and sorted instead.

mod filters;
mod query;
mod sorting;
#[cfg(test)]
mod tests;

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use self::filters::{Part, blob, conditions};
use self::sorting::{Column, KeyValue};
use super::UserRow;
use super::find::{Finder, USER_COLUMNS, columns};
use crate::page::{Page, one_more, rows, total};

pub use self::query::{CompanyFilter, ListUsers, UserSort};
pub use self::sorting::UserKey;

/// Up to how many users are fetched and sorted instead of read in order.
const FEW: i64 = 4_000;

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
