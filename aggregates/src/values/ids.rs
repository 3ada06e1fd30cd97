//! What things are called: slugs of our own, UUIDs made here, and the ids other services use.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::{Uuid, Variant};

use super::ParseError;

macro_rules! uuid_id {
    ($($(#[$meta:meta])* $name:ident;)+) => {$(
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// Takes a UUID that was made as one; nothing is checked.
            #[must_use]
            pub const fn new(id: Uuid) -> Self {
                Self(id)
            }

            /// Reads a `UUIDv7` in its canonical, lower-case text.
            ///
            /// # Errors
            /// When it is anything else.
            pub fn parse(text: &str) -> Result<Self, ParseError> {
                parse_uuid(text).map(Self)
            }

            /// The bare UUID.
            #[must_use]
            pub const fn as_uuid(&self) -> Uuid {
                self.0
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0.as_hyphenated(), f)
            }
        }
    )+};
}

uuid_id! {
    /// A person of one home account.
    UserId;
    /// A legal entity inside an account.
    CompanyId;
    /// An offer to one e-mail address to become a user.
    InvitationId;
}

/// A mail that the service was told to send: made from what it is for, so that it is the same whoever makes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MailId(Uuid);

impl MailId {
    /// Takes a UUID that was made as one; nothing is checked.
    #[must_use]
    pub const fn new(id: Uuid) -> Self {
        Self(id)
    }

    /// Reads a UUID in its canonical, lower-case text.
    ///
    /// # Errors
    /// When it is anything else.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        match Uuid::try_parse(text) {
            Ok(id) if is_canonical(text) => Ok(Self(id)),
            Ok(_) | Err(_) => Err(ParseError::new("must be a UUID in lower case")),
        }
    }

    /// The bare UUID.
    #[must_use]
    pub const fn as_uuid(&self) -> Uuid {
        self.0
    }
}

impl From<Uuid> for MailId {
    fn from(id: Uuid) -> Self {
        Self(id)
    }
}

impl fmt::Display for MailId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0.as_hyphenated(), f)
    }
}

/// Whether the text of a UUID is its canonical one.
fn is_canonical(text: &str) -> bool {
    text.len() == 36 && !text.bytes().any(|b| b.is_ascii_uppercase())
}

fn parse_uuid(text: &str) -> Result<Uuid, ParseError> {
    match Uuid::try_parse(text) {
        Ok(id)
            if is_canonical(text)
                && id.get_version_num() == 7
                && id.get_variant() == Variant::RFC4122 =>
        {
            Ok(id)
        }
        Ok(_) | Err(_) => Err(ParseError::new("must be a UUIDv7 in lower case")),
    }
}

/// The tenant's name in ids and paths: 2 to 63 of `a-z`, `0-9` and single hyphens, starting with a letter.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AccountId(String);

impl AccountId {
    /// Reads one.
    ///
    /// # Errors
    /// When it is not such a slug.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let starts = text.starts_with(|c: char| c.is_ascii_lowercase());
        if starts && (2..=63).contains(&text.len()) && is_slug(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(ParseError::new(
                "must be 2 to 63 of a-z, 0-9 and single hyphens inside, starting with a letter",
            ))
        }
    }

    /// The slug.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Lower-case letters, digits, and single hyphens between them.
fn is_slug(text: &str) -> bool {
    text.bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
        && !text.contains("--")
}

macro_rules! slug {
    ($($(#[$meta:meta])* $name:ident;)+) => {$(
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Reads one.
            ///
            /// # Errors
            /// When it is not a slug of 1 to 64 characters.
            pub fn parse(text: &str) -> Result<Self, ParseError> {
                if (1..=64).contains(&text.len()) && is_slug(text) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(ParseError::new(
                        "must be 1 to 64 of a-z, 0-9 and single hyphens inside",
                    ))
                }
            }

            /// The slug.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )+};
}

slug! {
    /// A role of the account's catalogue.
    RoleName;
    /// A module of the account's catalogue.
    ModuleName;
}

impl ModuleName {
    /// The modules every account starts with, for administrators only.
    #[must_use]
    pub fn administrator_only_by_default() -> [Self; 3] {
        ["payment", "pricing", "user-management"].map(|name| Self(name.to_owned()))
    }
}

macro_rules! outside_id {
    ($($(#[$meta:meta])* $name:ident;)+) => {$(
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Reads one; it is kept as given.
            ///
            /// # Errors
            /// When it has not 1 to 128 printable characters, or a blank at an end.
            pub fn parse(text: &str) -> Result<Self, ParseError> {
                parse_outside_id(text).map(Self)
            }

            /// The id as given.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )+};
}

outside_id! {
    /// An invoice, as the invoice services call it.
    InvoiceId;
    /// A flow template, as the flow service calls it.
    FlowTemplateId;
    /// A reference, as the reference service calls it.
    ReferenceId;
    /// A dimension of coding rows, such as a department or a project, as the coding service calls it.
    DimensionName;
    /// A value of a dimension, as the coding service calls it.
    DimensionValue;
}

fn parse_outside_id(text: &str) -> Result<String, ParseError> {
    if !(1..=128).contains(&text.chars().take(129).count()) {
        return Err(ParseError::new("must have 1 to 128 characters"));
    }
    if text.chars().any(char::is_control) {
        return Err(ParseError::new("must not contain control characters"));
    }
    if text.trim() != text {
        return Err(ParseError::new("must not begin or end with a blank"));
    }
    Ok(text.to_owned())
}
