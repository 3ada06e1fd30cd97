//! Accounts in answers.

use std::collections::{BTreeMap, BTreeSet};

use rollbook_aggregates::account::{Account, Settings};
use rollbook_aggregates::values::{
    CompanyId, CompanyTitle, LockDuration, Login, PasswordAuthority, PasswordChange, PasswordMaxAge,
};
use rollbook_projections::AccountRow;
use rollbook_proto::v1 as pb;

use super::super::wire_time;

const fn login(login: Login) -> pb::Login {
    match login {
        Login::Email => pb::Login::Email,
        Login::Signature => pb::Login::Signature,
    }
}

const fn authority(authority: PasswordAuthority) -> pb::PasswordAuthority {
    match authority {
        PasswordAuthority::Directory => pb::PasswordAuthority::Directory,
        PasswordAuthority::External => pb::PasswordAuthority::External,
    }
}

const fn change(change: PasswordChange) -> pb::PasswordChange {
    match change {
        PasswordChange::Any => pb::PasswordChange::Any,
        PasswordChange::ByLinkOnly => pb::PasswordChange::ByLinkOnly,
    }
}

fn settings(settings: &Settings) -> pb::AccountSettings {
    let duration = |lasts: LockDuration| prost_types::Duration {
        seconds: lasts.seconds().into(),
        nanos: 0,
    };
    pb::AccountSettings {
        login: login(settings.login).into(),
        password_authority: authority(settings.password_authority).into(),
        invitation_validity_days: settings.invitation_validity_days.days().into(),
        welcome_validity_days: settings.welcome_validity_days.days().into(),
        max_failed_sign_ins: settings.max_failed_sign_ins.count().into(),
        lock_duration: settings.lock_duration.map(duration),
        password_max_age_days: settings
            .password_max_age
            .map_or(0, PasswordMaxAge::days)
            .into(),
        password_change: change(settings.password_change).into(),
        arrival_registration: settings.arrival_registration,
    }
}

/// An account as its aggregate has it.
#[must_use]
pub fn account_from_state(account: &Account, revision: u64) -> pb::Account {
    pb::Account {
        account_id: account.id().map(ToString::to_string).unwrap_or_default(),
        title: account.title().map(ToString::to_string).unwrap_or_default(),
        settings: Some(settings(account.settings())),
        companies: by_title(account.companies()),
        roles: account
            .roles()
            .iter()
            .map(|(role, title)| pb::Role {
                role: role.to_string(),
                title: title.to_string(),
            })
            .collect(),
        modules: account
            .modules()
            .iter()
            .map(|(name, module)| pb::Module {
                module: name.to_string(),
                title: module.title.to_string(),
                administrator_only: module.administrator_only,
            })
            .collect(),
        revision,
        created_at: account.created_at().map(wire_time),
        modified_at: account.modified_at().map(wire_time),
    }
}

fn by_title(companies: &BTreeMap<CompanyId, CompanyTitle>) -> Vec<pb::Company> {
    let sorted: BTreeSet<_> = companies
        .iter()
        .map(|(id, title)| (title.folded(), *id, title))
        .collect();
    sorted
        .into_iter()
        .map(|(_, id, title)| pb::Company {
            company_id: id.to_string(),
            title: title.to_string(),
        })
        .collect()
}

/// An account as the view has it.
#[must_use]
pub fn account_from_row(row: AccountRow) -> pb::Account {
    pb::Account {
        account_id: row.account_id.to_string(),
        title: row.title,
        settings: Some(settings(&row.settings)),
        companies: row
            .companies
            .into_iter()
            .map(|company| pb::Company {
                company_id: company.company_id.to_string(),
                title: company.title,
            })
            .collect(),
        roles: row
            .roles
            .into_iter()
            .map(|role| pb::Role {
                role: role.role,
                title: role.title,
            })
            .collect(),
        modules: row
            .modules
            .into_iter()
            .map(|module| pb::Module {
                module: module.module,
                title: module.title,
                administrator_only: module.administrator_only,
            })
            .collect(),
        revision: row.revision,
        created_at: Some(wire_time(row.created_at)),
        modified_at: Some(wire_time(row.modified_at)),
    }
}
