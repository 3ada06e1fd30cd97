//! The words of the directory as types: each is checked once, where it is parsed, and trusted from then on.
//!
//! What is read back from the log is not checked again: a rule that becomes stricter must not make
//! yesterday's events unreadable.

mod choices;
mod email;
mod ids;
mod language;
mod limits;
mod password;
mod phone;
mod signature;
mod text;
mod token;

pub use choices::{
    Allegiance, Login, PasswordAuthority, PasswordChange, Permission, UserType, ValidityDays,
};
pub use email::EmailAddress;
pub use ids::{
    AccountId, CompanyId, DimensionName, DimensionValue, FlowTemplateId, InvitationId, InvoiceId,
    MailId, ModuleName, ReferenceId, RoleName, UserId,
};
pub use language::LanguageTag;
pub use limits::{LockDuration, MaxFailedSignIns, PasswordMaxAge};
pub use password::{EnteredPassword, Password};
pub use phone::PhoneNumber;
pub use signature::Signature;
pub use text::{
    AccountTitle, CompanyTitle, Folded, ModuleTitle, PersonName, ReasonText, RoleTitle,
};
pub use token::TokenDigest;

use std::borrow::Cow;

/// Why a text is not the value it should be. Says what is wrong and never repeats the text, which may be personal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ParseError(Cow<'static, str>);

impl ParseError {
    pub(crate) const fn new(problem: &'static str) -> Self {
        Self(Cow::Borrowed(problem))
    }

    pub(crate) const fn owned(problem: String) -> Self {
        Self(Cow::Owned(problem))
    }
}

#[cfg(test)]
mod tests;
