//! The columns a list is sorted by, each with an index, and places in it.

use rollbook_aggregates::values::{Login, UserId};
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, Value, ValueRef};
use serde::{Deserialize, Serialize};

use super::query::UserSort;

/// A place in a sorted list of users. It keeps the column it was sorted by, so that pages go on as they began where the
/// account's login changes between them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserKey {
    pub(super) column: Column,
    pub(super) value: KeyValue,
    pub(super) user_id: UserId,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum KeyValue {
    Text(String),
    Number(i64),
}

impl KeyValue {
    pub(super) fn to_value(&self) -> Value {
        match self {
            Self::Text(text) => Value::Text(text.clone()),
            Self::Number(number) => Value::Integer(*number),
        }
    }
}

impl FromSql for KeyValue {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        match value {
            ValueRef::Text(_) => value.as_str().map(|text| Self::Text(text.to_owned())),
            ValueRef::Integer(number) => Ok(Self::Number(number)),
            _ => Err(FromSqlError::InvalidType),
        }
    }
}

/// A column with an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Column {
    Signature,
    FirstName,
    LastName,
    Email,
    Status,
    UserType,
    FirstRole,
    LastSignedInAt,
    CreatedAt,
    ModifiedAt,
}

impl Column {
    pub(super) fn of(sort: UserSort, login: Login) -> Self {
        match (sort, login) {
            (UserSort::Signature, _) | (UserSort::UserName, Login::Signature) => Self::Signature,
            (UserSort::Email, _) | (UserSort::UserName, Login::Email) => Self::Email,
            (UserSort::FirstName, _) => Self::FirstName,
            (UserSort::LastName, _) => Self::LastName,
            (UserSort::Status, _) => Self::Status,
            (UserSort::UserType, _) => Self::UserType,
            (UserSort::Role, _) => Self::FirstRole,
            (UserSort::LastSignedInAt, _) => Self::LastSignedInAt,
            (UserSort::CreatedAt, _) => Self::CreatedAt,
            (UserSort::ModifiedAt, _) => Self::ModifiedAt,
        }
    }

    /// The column, and the index that has it behind the account.
    pub(super) const fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Signature => ("signature_key", "users_by_signature"),
            Self::FirstName => ("first_name_key", "users_by_first_name"),
            Self::LastName => ("last_name_key", "users_by_last_name"),
            Self::Email => ("email_key", "users_by_email"),
            Self::Status => ("status", "users_by_status"),
            Self::UserType => ("user_type", "users_by_user_type"),
            Self::FirstRole => ("first_role", "users_by_first_role"),
            Self::LastSignedInAt => ("last_signed_in_at", "users_by_last_signed_in"),
            Self::CreatedAt => ("created_at", "users_by_created_at"),
            Self::ModifiedAt => ("modified_at", "users_by_modified_at"),
        }
    }

    /// What its index tells of a user, beside who it is: itself first.
    pub(super) const fn covers(self) -> &'static [&'static str] {
        match self {
            Self::Signature => &[
                "signature_key",
                "active",
                "first_name_key",
                "last_name_key",
                "email_key",
            ],
            Self::FirstName => &["first_name_key", "active", "last_name_key", "signature_key"],
            Self::LastName => &["last_name_key", "active", "first_name_key", "signature_key"],
            Self::Email => &["email_key", "active"],
            // What is generated is computed anew from the row.
            Self::Status => &[],
            Self::UserType => &["user_type", "active"],
            Self::FirstRole => &["first_role", "active"],
            Self::LastSignedInAt => &["last_signed_in_at", "active"],
            Self::CreatedAt => &["created_at", "active"],
            Self::ModifiedAt => &["modified_at", "active"],
        }
    }

    /// Where it is counted who bears its texts, if they are names.
    pub(super) const fn borne(self) -> Option<&'static str> {
        match self {
            Self::FirstName => Some("as_first"),
            Self::LastName => Some("as_last"),
            _ => None,
        }
    }

    /// The index that has, behind a name in another column, its bearers in the order of this one; if there is one.
    pub(super) const fn behind(self, names: Self) -> Option<&'static str> {
        match (self, names) {
            (Self::LastName, Self::FirstName) => Some("users_by_full_name"),
            _ => None,
        }
    }

    /// What its texts are called in the index of grams, if they are there.
    pub(super) const fn text(self) -> Option<&'static str> {
        match self {
            Self::Signature => Some("signature"),
            Self::FirstName => Some("first_name"),
            Self::LastName => Some("last_name"),
            Self::Email => Some("email"),
            Self::Status
            | Self::UserType
            | Self::FirstRole
            | Self::LastSignedInAt
            | Self::CreatedAt
            | Self::ModifiedAt => None,
        }
    }
}
