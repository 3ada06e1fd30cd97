//! How values of the domain stand in columns: ids as their sixteen bytes, times as microseconds, choices as numbers, lists
//! as JSON.

use chrono::DateTime;
use rollbook_aggregates::domain::Timestamp;
use rollbook_aggregates::values::{AccountId, Login, UserType};
use rusqlite::Row;
use rusqlite::types::{FromSql, Type};
use serde::de::DeserializeOwned;
use uuid::Uuid;

/// A value that stands in a column as a number.
pub(crate) trait Coded: Copy + 'static {
    /// All values with their numbers. A number is never given to another value.
    const CODES: &'static [(Self, i64)];

    /// Its number.
    fn code(self) -> i64;
}

/// Gives the values of a choice their numbers.
macro_rules! codes {
    ($choice:ty { $($value:ident = $code:literal,)+ }) => {
        impl crate::columns::Coded for $choice {
            const CODES: &'static [(Self, i64)] = &[$((Self::$value, $code),)+];

            fn code(self) -> i64 {
                match self {
                    $(Self::$value => $code,)+
                }
            }
        }
    };
}
pub(crate) use codes;

codes! { UserType { Administrator = 1, Standard = 2, } }
codes! { Login { Email = 1, Signature = 2, } }

pub(crate) fn coded<T: Coded>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    let code: i64 = row.get(column)?;
    T::CODES
        .iter()
        .find(|(_, known)| *known == code)
        .map(|(value, _)| *value)
        .ok_or(rusqlite::Error::IntegralValueOutOfRange(column, code))
}

pub(crate) fn id<T: From<Uuid>>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    row.get(column).map(|bytes| Uuid::from_bytes(bytes).into())
}

pub(crate) fn optional_id<T: From<Uuid>>(
    row: &Row<'_>,
    column: usize,
) -> rusqlite::Result<Option<T>> {
    let bytes: Option<[u8; 16]> = row.get(column)?;
    Ok(bytes.map(|bytes| Uuid::from_bytes(bytes).into()))
}

pub(crate) fn time(row: &Row<'_>, column: usize) -> rusqlite::Result<Timestamp> {
    let micros: i64 = row.get(column)?;
    DateTime::from_timestamp_micros(micros)
        .ok_or(rusqlite::Error::IntegralValueOutOfRange(column, micros))
}

pub(crate) fn optional_time(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Timestamp>> {
    match row.get_ref(column)? {
        rusqlite::types::ValueRef::Null => Ok(None),
        _ => time(row, column).map(Some),
    }
}

pub(crate) fn account(row: &Row<'_>, column: usize) -> rusqlite::Result<AccountId> {
    let text = String::column_result(row.get_ref(column)?)?;
    AccountId::parse(&text).map_err(|error| unreadable(column, error))
}

pub(crate) fn json<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    let text = row.get_ref(column)?.as_str()?;
    serde_json::from_str(text).map_err(|error| unreadable(column, error))
}

/// A list; most are empty, and need no reader of JSON.
pub(crate) fn list<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<Vec<T>> {
    match row.get_ref(column)?.as_str()? {
        "[]" => Ok(Vec::new()),
        _ => json(row, column),
    }
}

fn unreadable(
    column: usize,
    error: impl std::error::Error + Send + Sync + 'static,
) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error))
}
