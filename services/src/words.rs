//! What happened, in words that people read.
//!
//! A text says what happened to somebody without naming them, so that it can stand behind a name or alone. It is made of what
//! the event says and of what was true before it, and of nothing that was recorded later.

mod invoices;
mod names;
mod users;

use std::collections::BTreeSet;
use std::fmt::Display;

use rollbook_aggregates::access::{AccessEvent, ExternalUser};
use rollbook_aggregates::domain::Personal;
use rollbook_aggregates::values::{Permission, UserType};

use crate::convert::Disclose;

pub use invoices::{involved, settled};
pub use names::Names;
pub use users::{happened, mentioned};

/// What stands for nothing.
const NONE: &str = "(none)";

/// A personal value as it may be shown.
fn personal<T: Display>(value: &Personal<T>, disclose: Disclose) -> String {
    match (value.known(), disclose) {
        (None, _) => "(erased)".to_owned(),
        (Some(_), Disclose::Withheld) => "(withheld)".to_owned(),
        (Some(value), Disclose::Shown) => format!("\"{value}\""),
    }
}

fn optional<T: Display>(value: Option<&Personal<T>>, disclose: Disclose) -> String {
    value.map_or_else(|| NONE.to_owned(), |value| personal(value, disclose))
}

fn joined<T: Display>(values: impl IntoIterator<Item = T>) -> String {
    let texts: Vec<String> = values.into_iter().map(|value| value.to_string()).collect();
    if texts.is_empty() {
        NONE.to_owned()
    } else {
        texts.join(", ")
    }
}

/// What changed from what to what.
fn changed(what: &str, before: Option<String>, after: &str) -> String {
    let before = before.unwrap_or_else(|| NONE.to_owned());
    format!("{what} changed from {before} to {after}")
}

const fn kind(user_type: UserType) -> &'static str {
    match user_type {
        UserType::Administrator => "administrator",
        UserType::Standard => "standard user",
    }
}

/// Grants with the companies they are limited to by name.
fn grants(grants: &BTreeSet<Permission>, names: &Names, at: u64) -> String {
    joined(grants.iter().map(|grant| match grant.company {
        None => grant.module.to_string(),
        Some(company) => format!("{} in {}", grant.module, names.company(company, at)),
    }))
}

/// What happened to the access of an external user, and what it was before.
#[must_use]
pub fn accessed(
    event: &AccessEvent,
    before: Option<&ExternalUser>,
    names: &Names,
    at: u64,
) -> String {
    match event {
        AccessEvent::AccessGranted(granted) => format!(
            "was given access as {}, from the account {}, with the grants {}",
            kind(granted.user_type),
            granted.home_account_id,
            grants(&granted.permissions, names, at)
        ),
        AccessEvent::AccessTypeChanged(to) => changed(
            "its type here",
            before.map(|before| kind(before.user_type()).to_owned()),
            kind(to.user_type),
        ),
        AccessEvent::AccessPermissionsSet(set) => changed(
            "its grants here",
            before.map(|before| grants(before.permissions(), names, at)),
            &grants(&set.permissions, names, at),
        ),
        AccessEvent::AccessRevoked(_) => "lost its access, and its sessions here ended".to_owned(),
        AccessEvent::ExternalSessionsEnded(_) => {
            "its sessions here ended, as its home account ended them".to_owned()
        }
        AccessEvent::ExternalUserDeleted(_) => {
            "was deleted by its home account, and lost its access".to_owned()
        }
        AccessEvent::InvoiceQueued(_)
        | AccessEvent::InvoiceDequeued(_)
        | AccessEvent::InvoiceReviewed(_)
        | AccessEvent::InvoiceReviewRetracted(_)
        | AccessEvent::InvoiceSettled(_)
        | AccessEvent::FlowTemplateLinked(_)
        | AccessEvent::FlowTemplateUnlinked(_)
        | AccessEvent::ReferenceLinked(_)
        | AccessEvent::ReferenceUnlinked(_) => match event.involvement() {
            Some(involvement) => involved(&involvement, names, None, at),
            None => String::new(),
        },
    }
}

#[cfg(test)]
mod tests;
