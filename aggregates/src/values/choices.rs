//! What can be chosen from a short list.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{CompanyId, DimensionName, DimensionValue, ModuleName, ParseError};

/// What kind of user somebody is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum UserType {
    /// Manages the account and has every module.
    Administrator,
    /// Has the modules that were granted.
    Standard,
}

impl fmt::Display for UserType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Administrator => "ADMINISTRATOR",
            Self::Standard => "STANDARD",
        })
    }
}

/// What users of an account sign in with.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum Login {
    /// The e-mail address, which is then unique in the account.
    #[default]
    Email,
    /// The signature.
    Signature,
}

/// Who checks the passwords of an account.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum PasswordAuthority {
    /// The directory keeps them.
    #[default]
    Directory,
    /// They are kept elsewhere, and no password is accepted here.
    External,
}

/// How a password of an account that keeps them itself may be changed.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum PasswordChange {
    /// In every way there is.
    #[default]
    Any,
    /// Through a reset link only.
    ByLinkOnly,
}

/// A grant on one module, for the whole account or for one company.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Permission {
    /// The module that may be used.
    pub module: ModuleName,
    /// Where; none: in the whole account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub company: Option<CompanyId>,
}

impl Permission {
    /// Whether it lets `module` be used in `company`, or, where none is asked for, in the whole account.
    #[must_use]
    pub fn covers(&self, module: &ModuleName, company: Option<CompanyId>) -> bool {
        self.module == *module && (self.company.is_none() || self.company == company)
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.company {
            None => write!(f, "{}", self.module),
            Some(company) => write!(f, "{} in {company}", self.module),
        }
    }
}

/// What a user of a company stands for: one value of one dimension, such as department 14.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Allegiance {
    /// The dimension.
    pub dimension: DimensionName,
    /// The value.
    pub value: DimensionValue,
}

impl fmt::Display for Allegiance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.dimension, self.value)
    }
}

/// How many days a link is good for, 1 to 30.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ValidityDays(u8);

impl ValidityDays {
    /// Reads a number of days.
    ///
    /// # Errors
    /// When it is not 1 to 30.
    pub fn parse(days: u32) -> Result<Self, ParseError> {
        match u8::try_from(days) {
            Ok(days @ 1..=30) => Ok(Self(days)),
            Ok(_) | Err(_) => Err(ParseError::new("must be 1 to 30 days")),
        }
    }

    /// The number of days.
    #[must_use]
    pub const fn days(self) -> u8 {
        self.0
    }

    /// The same as a span of time.
    #[must_use]
    pub fn duration(self) -> chrono::Duration {
        chrono::Duration::days(i64::from(self.0))
    }
}

impl Default for ValidityDays {
    fn default() -> Self {
        Self(7)
    }
}

impl fmt::Display for ValidityDays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}
