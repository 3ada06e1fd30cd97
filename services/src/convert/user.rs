//! Users on the wire.

mod commands;
mod import;
mod profile;
mod questions;
mod watch;

use std::collections::BTreeSet;

use bytes::Bytes;
use prost::Message as _;
use rollbook_aggregates::account::Account;
use rollbook_aggregates::domain::Timestamp;
use rollbook_aggregates::user::{
    AccessDenial, Blocker, CompanyProperties, Gone, Need, Person, Status, User,
};
use rollbook_aggregates::values::{Allegiance, CompanyId, Permission, UserType};
use rollbook_projections::{DeletedUser, FoundUser, UserRow};
use rollbook_proto::v1 as pb;

use super::wire_time;

pub(super) use commands::permissions;
pub use commands::{Again, CopiedUser, ToUser, allegiances, create_user};
pub use import::{ImportOf, ImportRow, import_refusal};
pub use profile::NewUser;
pub(super) use profile::{Identity, masked, user_type};
pub use questions::{FoundUsers, ListedUsers, UserKeyword};
pub(super) use questions::{activity, type_filter};
pub use watch::{WatchedUsers, change};

/// A value of an enum that the contract has.
pub(super) fn known<T: TryFrom<i32>>(value: i32) -> Result<T, &'static str> {
    T::try_from(value).map_err(|_| "is not a value of the enum")
}

/// A status as the contract has it.
pub(super) const fn status(status: Status) -> pb::UserStatus {
    match status {
        Status::Deleted => pb::UserStatus::Deleted,
        Status::Inactive => pb::UserStatus::Inactive,
        Status::LockedByAdmin => pb::UserStatus::LockedByAdmin,
        Status::AutoLocked => pb::UserStatus::AutoLocked,
        Status::Recovery => pb::UserStatus::Recovery,
        Status::AwaitingNewPassword => pb::UserStatus::AwaitingNewPassword,
        Status::Provisioned => pb::UserStatus::Provisioned,
        Status::Active => pb::UserStatus::Active,
    }
}

/// A user as its aggregate has it, with its status by the clock. When it signed in last is not known there.
#[must_use]
pub fn user_from_state(account: &Account, user: &User, revision: u64, now: Timestamp) -> pb::User {
    match (user.person(), user.gone()) {
        (Some(person), _) => person_from_state(account, person, revision, now),
        (None, Some(gone)) => gone_user(gone, revision),
        (None, None) => pb::User::default(),
    }
}

fn person_from_state(
    account: &Account,
    person: &Person,
    revision: u64,
    now: Timestamp,
) -> pb::User {
    let profile = person.profile();
    pb::User {
        user_id: person.id().to_string(),
        account_id: person.account_id().to_string(),
        signature: text(profile.signature.known()),
        user_name: text(person.user_name(account)),
        first_name: text(profile.first_name.known()),
        last_name: text(profile.last_name.known()),
        email: text(profile.email.known()),
        phone: text(profile.phone.as_ref().and_then(|phone| phone.known())),
        mobile_phone: text(
            profile
                .mobile_phone
                .as_ref()
                .and_then(|phone| phone.known()),
        ),
        language: text(profile.language.as_ref()),
        user_type: write_user_type(person.user_type()).into(),
        status: status(person.status_at(account.settings(), now)).into(),
        active: person.is_active(),
        roles: person.roles().iter().map(ToString::to_string).collect(),
        permissions: person.permissions().iter().map(permission).collect(),
        companies: person.companies().iter().map(company).collect(),
        sessions_valid_from: Some(wire_time(person.sessions_valid_from())),
        created_at: Some(wire_time(person.created_at())),
        modified_at: Some(wire_time(person.modified_at())),
        revision,
        last_signed_in_at: None,
        mfa_enrolled: person.credentials().has_second_factor(),
        external: false,
    }
}

fn gone_user(gone: &Gone, revision: u64) -> pb::User {
    pb::User {
        user_id: gone.id.to_string(),
        account_id: gone.account_id.to_string(),
        status: pb::UserStatus::Deleted.into(),
        sessions_valid_from: Some(wire_time(gone.deleted_at)),
        created_at: Some(wire_time(gone.created_at)),
        modified_at: Some(wire_time(gone.deleted_at)),
        revision,
        ..pb::User::default()
    }
}

/// A deleted user as the view has it: nothing personal.
fn deleted_user(deleted: &DeletedUser) -> pb::User {
    let gone = Gone {
        id: deleted.user_id,
        account_id: deleted.account_id.clone(),
        created_at: deleted.created_at,
        deleted_at: deleted.deleted_at,
    };
    gone_user(&gone, deleted.revision)
}

/// A user as the view has it, deleted or not.
#[must_use]
pub fn found_user(found: FoundUser) -> pb::User {
    match found {
        FoundUser::Present(row) => user_from_row(*row),
        FoundUser::Deleted(deleted) => deleted_user(&deleted),
    }
}

/// The same, encoded.
#[must_use]
pub fn told_user(found: FoundUser) -> Bytes {
    found_user(found).encode_to_vec().into()
}

/// A user as the view has it.
#[must_use]
pub fn user_from_row(row: UserRow) -> pb::User {
    pb::User {
        user_id: row.user_id.to_string(),
        account_id: row.account_id.to_string(),
        signature: row.signature,
        user_name: row.user_name,
        first_name: row.first_name,
        last_name: row.last_name,
        email: row.email,
        phone: row.phone.unwrap_or_default(),
        mobile_phone: row.mobile_phone.unwrap_or_default(),
        language: row.language.unwrap_or_default(),
        user_type: write_user_type(row.user_type).into(),
        status: status(row.status).into(),
        active: row.facets.active,
        roles: row.roles,
        permissions: row.permissions.iter().map(permission).collect(),
        companies: row
            .companies
            .iter()
            .map(|company| pb::UserCompany {
                company_id: company.company_id.to_string(),
                supervisor_id: company.supervisor.to_string(),
                show_as_addressee: company.show_as_addressee,
                coding_allegiances: write_allegiances(&company.allegiances.coding),
                routing_allegiances: write_allegiances(&company.allegiances.routing),
            })
            .collect(),
        sessions_valid_from: Some(wire_time(row.sessions_valid_from)),
        created_at: Some(wire_time(row.created_at)),
        modified_at: Some(wire_time(row.modified_at)),
        revision: row.revision,
        last_signed_in_at: row.last_signed_in_at.map(wire_time),
        mfa_enrolled: row.second_factor,
        external: row.external,
    }
}

/// The type of a user as the contract has it.
pub(super) const fn write_user_type(user_type: UserType) -> pb::UserType {
    match user_type {
        UserType::Administrator => pb::UserType::Administrator,
        UserType::Standard => pb::UserType::Standard,
    }
}

/// A value as text; empty where there is none.
pub(super) fn text(value: Option<impl ToString>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

/// A grant as the contract has it.
pub(super) fn permission(permission: &Permission) -> pb::Permission {
    pb::Permission {
        module: permission.module.to_string(),
        company_id: text(permission.company),
    }
}

fn company((company_id, properties): (&CompanyId, &CompanyProperties)) -> pb::UserCompany {
    pb::UserCompany {
        company_id: company_id.to_string(),
        supervisor_id: properties.supervisor.to_string(),
        show_as_addressee: properties.show_as_addressee,
        coding_allegiances: write_allegiances(&properties.allegiances.coding),
        routing_allegiances: write_allegiances(&properties.allegiances.routing),
    }
}

fn write_allegiances(allegiances: &BTreeSet<Allegiance>) -> Vec<pb::Allegiance> {
    allegiances.iter().map(allegiance).collect()
}

/// An allegiance as the contract has it.
#[must_use]
pub fn allegiance(allegiance: &Allegiance) -> pb::Allegiance {
    pb::Allegiance {
        dimension: allegiance.dimension.to_string(),
        value: allegiance.value.to_string(),
    }
}

/// What still needs a user, as the contract has it; users who are supervised one by one.
#[must_use]
pub fn blocker(blocker: &Blocker) -> Vec<pb::DeletionBlocker> {
    use pb::DeletionBlockerKind as Kind;
    let one = |kind: Kind, company: Option<CompanyId>, subject: String| {
        vec![pb::DeletionBlocker {
            kind: kind.into(),
            company_id: text(company),
            subject,
            elsewhere: 0,
        }]
    };
    match blocker {
        Blocker::OwnUser => one(Kind::OwnUser, None, String::new()),
        Blocker::PersonalQueueNotEmpty {
            company_id,
            invoice_id,
        } => one(
            Kind::QueuedInvoice,
            Some(*company_id),
            invoice_id.to_string(),
        ),
        Blocker::ReferenceLinked {
            company_id,
            reference_id,
        } => one(
            Kind::LinkedReference,
            Some(*company_id),
            reference_id.to_string(),
        ),
        Blocker::FlowTemplateLinked {
            company_id,
            flow_template_id,
        } => one(
            Kind::LinkedFlowTemplate,
            Some(*company_id),
            flow_template_id.to_string(),
        ),
        Blocker::InvoiceNotSettled {
            company_id,
            invoice_id,
            kind: _,
        } => one(
            Kind::UnsettledInvoice,
            Some(*company_id),
            invoice_id.to_string(),
        ),
        Blocker::SupervisesUsers { company_id, users } => users
            .owners
            .iter()
            .flat_map(|user| one(Kind::SupervisedUser, Some(*company_id), user.clone()))
            .collect(),
        Blocker::LastAdministrator => one(Kind::LastAdministrator, None, String::new()),
        Blocker::NeededElsewhere { need, count } => {
            let kind = match need {
                Need::QueuedInvoice => Kind::QueuedInvoice,
                Need::LinkedReference => Kind::LinkedReference,
                Need::LinkedFlowTemplate => Kind::LinkedFlowTemplate,
                Need::UnsettledInvoice => Kind::UnsettledInvoice,
            };
            vec![pb::DeletionBlocker {
                kind: kind.into(),
                elsewhere: u64::try_from(*count).unwrap_or(u64::MAX),
                ..pb::DeletionBlocker::default()
            }]
        }
    }
}

/// Why a user may not use a module, as the contract has it.
#[must_use]
pub const fn denial(denial: AccessDenial) -> pb::AccessDenialReason {
    match denial {
        AccessDenial::Deleted => pb::AccessDenialReason::Deleted,
        AccessDenial::Inactive => pb::AccessDenialReason::Inactive,
        AccessDenial::Locked => pb::AccessDenialReason::Locked,
        AccessDenial::PasswordChangeRequired => pb::AccessDenialReason::PasswordChangeRequired,
        AccessDenial::NotOnboarded => pb::AccessDenialReason::NotOnboarded,
        AccessDenial::SessionsEnded => pb::AccessDenialReason::SessionsEnded,
        AccessDenial::ModuleUnknown => pb::AccessDenialReason::ModuleUnknown,
        AccessDenial::CompanyNotLinked => pb::AccessDenialReason::CompanyNotLinked,
        AccessDenial::NoGrant => pb::AccessDenialReason::NoGrant,
        AccessDenial::AccessRevoked => pb::AccessDenialReason::AccessRevoked,
    }
}
