//! What people see of a user, an account, an invitation.

use rollbook_proto::v1::{
    AcceptInvitationResponse, Access, AccessStatus, Account, AccountSettings, ActivateUserResponse,
    AddUserCompaniesResponse, Allegiance, ChangePasswordResponse, CompletePasswordResetResponse,
    CompleteWelcomeResponse, CopyUserCompanyResponse, CopyUserResponse, CreateUserResponse,
    DeactivateUserResponse, DeleteUserResponse, Invitation, InvitationStatus,
    LinkFlowTemplateResponse, LinkReferenceResponse, LockUserResponse, Login, Permission,
    RemoveUserCompaniesResponse, ReportInvoiceDequeuedResponse, ReportInvoiceQueuedResponse,
    ReportInvoiceReviewedResponse, ReportMfaEnrolledResponse, ResendWelcomeResponse,
    ResetMfaResponse, RetractInvoiceReviewResponse, RevokeSessionsResponse, SetPasswordResponse,
    SetUserPermissionsResponse, SetUserRolesResponse, UnlinkFlowTemplateResponse,
    UnlinkReferenceResponse, UnlockUserResponse, UpdateUserCompanyResponse, UpdateUserResponse,
    User, UserCompany, UserStatus, UserType,
};

use super::output::{plain, properties, table, time};

/// An answer that holds a user as it is after a commit.
pub trait UserAfter {
    /// The user, its revision and the last position of the commit.
    fn after(&self) -> (Option<&User>, u64, u64);

    /// The user in words, and what became of the command.
    fn text(&self) -> String {
        let (after, revision, position) = self.after();
        format!(
            "{}\n{}",
            after.map(user).unwrap_or_default(),
            committed(revision, position)
        )
    }
}

macro_rules! user_after {
    ($($answer:ident),* $(,)?) => {$(
        impl UserAfter for $answer {
            fn after(&self) -> (Option<&User>, u64, u64) {
                (self.user.as_ref(), self.revision, self.position)
            }
        }
    )*};
}

user_after! {
    AcceptInvitationResponse, ActivateUserResponse, AddUserCompaniesResponse, CopyUserCompanyResponse, CopyUserResponse, CreateUserResponse,
    DeactivateUserResponse, DeleteUserResponse, LinkFlowTemplateResponse, LinkReferenceResponse, LockUserResponse,
    RemoveUserCompaniesResponse, ReportInvoiceDequeuedResponse, ReportInvoiceQueuedResponse,
    ReportInvoiceReviewedResponse, RetractInvoiceReviewResponse, SetUserPermissionsResponse, SetUserRolesResponse,
    UnlinkFlowTemplateResponse, UnlinkReferenceResponse, UnlockUserResponse, UpdateUserCompanyResponse,
    UpdateUserResponse, SetPasswordResponse, ChangePasswordResponse, CompletePasswordResetResponse,
    CompleteWelcomeResponse, ReportMfaEnrolledResponse, ResetMfaResponse, RevokeSessionsResponse, ResendWelcomeResponse,
}

/// The token of a first-sign-in link as a line, where the service answers one.
#[must_use]
pub fn welcome_token(token: &str) -> String {
    match token {
        "" => String::new(),
        token => format!("\nwelcome token: {token}"),
    }
}

/// What became of a command.
#[must_use]
pub fn committed(revision: u64, position: u64) -> String {
    if position == 0 {
        "checked only: nothing was changed".to_owned()
    } else {
        format!("revision {revision}, position {position}")
    }
}

/// A user, one property a line.
#[must_use]
pub fn user(user: &User) -> String {
    properties(&[
        ("id", user.user_id.clone()),
        ("account", user.account_id.clone()),
        ("name", full_name(user)),
        ("signature", user.signature.clone()),
        ("user name", user.user_name.clone()),
        ("e-mail", user.email.clone()),
        ("phone", user.phone.clone()),
        ("mobile phone", user.mobile_phone.clone()),
        ("language", user.language.clone()),
        ("type", type_name(user.user_type())),
        ("status", status_name(user.status())),
        ("home", elsewhere(user).to_owned()),
        ("roles", user.roles.join(", ")),
        ("permissions", permissions(&user.permissions)),
        ("companies", companies(&user.companies, &user.user_id)),
        (
            "second factor",
            if user.mfa_enrolled { "enrolled" } else { "" }.to_owned(),
        ),
        ("signed in last", time(user.last_signed_in_at.as_ref())),
        ("sessions from", time(user.sessions_valid_from.as_ref())),
        ("added", time(user.created_at.as_ref())),
        ("modified", time(user.modified_at.as_ref())),
    ])
}

/// Users, one a line.
#[must_use]
pub fn users(users: &[User]) -> String {
    let mut table = table([
        "id",
        "signature",
        "name",
        "e-mail",
        "type",
        "status",
        "home",
        "roles",
        "modified",
    ]);
    for user in users {
        table.add_row([
            user.user_id.clone(),
            user.signature.clone(),
            full_name(user),
            user.email.clone(),
            type_name(user.user_type()),
            status_name(user.status()),
            elsewhere(user).to_owned(),
            user.roles.join(", "),
            time(user.modified_at.as_ref()),
        ]);
    }
    table.to_string()
}

/// Where an external user is at home; of the account's own users there is nothing to say.
fn elsewhere(user: &User) -> &'static str {
    if user.external { "another account" } else { "" }
}

/// First and last name.
#[must_use]
pub fn full_name(user: &User) -> String {
    format!("{} {}", user.first_name, user.last_name)
        .trim()
        .to_owned()
}

/// The name of a status.
#[must_use]
pub fn status_name(status: UserStatus) -> String {
    plain(status.as_str_name(), "USER_STATUS_")
}

/// The name of a type.
#[must_use]
pub fn type_name(user_type: UserType) -> String {
    match user_type {
        UserType::Unspecified => String::new(),
        UserType::Administrator | UserType::Standard => {
            plain(user_type.as_str_name(), "USER_TYPE_")
        }
    }
}

fn permissions(permissions: &[Permission]) -> String {
    let text = |permission: &Permission| match permission.company_id.as_str() {
        "" => permission.module.clone(),
        company => format!("{}@{company}", permission.module),
    };
    permissions.iter().map(text).collect::<Vec<_>>().join(", ")
}

fn companies(companies: &[UserCompany], own_id: &str) -> String {
    let text = |company: &UserCompany| {
        let supervisor = match company.supervisor_id.as_str() {
            id if id.is_empty() || id == own_id => "the user itself",
            id => id,
        };
        let shown = if company.show_as_addressee {
            ", shown as addressee"
        } else {
            ""
        };
        let coding = allegiances(", coding", &company.coding_allegiances);
        let routing = allegiances(", routing", &company.routing_allegiances);
        format!(
            "{} (supervisor {supervisor}{shown}{coding}{routing})",
            company.company_id
        )
    };
    companies.iter().map(text).collect::<Vec<_>>().join("; ")
}

/// What a user stands for in a company; nothing where it stands for nothing.
fn allegiances(what: &str, allegiances: &[Allegiance]) -> String {
    let text = |one: &Allegiance| format!(" {}={}", one.dimension, one.value);
    match allegiances {
        [] => String::new(),
        some => what.to_owned() + &some.iter().map(text).collect::<String>(),
    }
}

/// An account with its companies, roles and modules.
#[must_use]
pub fn account(account: &Account) -> String {
    let mut head = vec![
        ("id", account.account_id.clone()),
        ("title", account.title.clone()),
    ];
    head.extend(settings(&account.settings.unwrap_or_default()));
    head.extend([
        ("added", time(account.created_at.as_ref())),
        ("modified", time(account.modified_at.as_ref())),
        ("revision", account.revision.to_string()),
    ]);
    let head = properties(&head);
    let mut companies = table(["company", "title"]);
    for company in &account.companies {
        companies.add_row([&company.company_id, &company.title]);
    }
    let mut roles = table(["role", "title"]);
    for role in &account.roles {
        roles.add_row([&role.role, &role.title]);
    }
    let mut modules = table(["module", "title", "for"]);
    for module in &account.modules {
        let whom = if module.administrator_only {
            "administrators"
        } else {
            "everybody"
        };
        modules.add_row([module.module.as_str(), module.title.as_str(), whom]);
    }
    let tables = [companies, roles, modules]
        .into_iter()
        .filter(|table| !table.is_empty());
    tables.fold(head, |text, table| format!("{text}\n{table}"))
}

fn settings(settings: &AccountSettings) -> [(&'static str, String); 9] {
    let days = |days: u32| match days {
        1 => "1 day".to_owned(),
        days => format!("{days} days"),
    };
    let lock = settings.lock_duration.map_or_else(
        || "until unlocked".to_owned(),
        |lasts| format!("{} s", lasts.seconds),
    );
    let max_age = match settings.password_max_age_days {
        0 => "unlimited".to_owned(),
        age => days(age),
    };
    let authority = settings.password_authority().as_str_name();
    let change = settings.password_change().as_str_name();
    [
        ("login", plain(settings.login().as_str_name(), "LOGIN_")),
        ("passwords kept by", plain(authority, "PASSWORD_AUTHORITY_")),
        ("passwords changed", plain(change, "PASSWORD_CHANGE_")),
        ("password age", max_age),
        ("wrong passwords", settings.max_failed_sign_ins.to_string()),
        ("lock lasts", lock),
        ("invitations valid", days(settings.invitation_validity_days)),
        ("welcome valid", days(settings.welcome_validity_days)),
        (
            "arrival registration",
            if settings.arrival_registration {
                "on"
            } else {
                "off"
            }
            .to_owned(),
        ),
    ]
}

/// Accounts, one a line.
#[must_use]
pub fn accounts(accounts: &[Account]) -> String {
    let mut table = table([
        "id",
        "title",
        "login",
        "companies",
        "roles",
        "modules",
        "added",
    ]);
    for account in accounts {
        let login = account
            .settings
            .map_or(Login::Unspecified, |settings| settings.login());
        table.add_row([
            account.account_id.clone(),
            account.title.clone(),
            plain(login.as_str_name(), "LOGIN_"),
            account.companies.len().to_string(),
            account.roles.len().to_string(),
            account.modules.len().to_string(),
            time(account.created_at.as_ref()),
        ]);
    }
    table.to_string()
}

/// An access of an external user, one property a line.
#[must_use]
pub fn access(access: &Access) -> String {
    properties(&[
        ("account", access.account_id.clone()),
        ("user", access.user_id.clone()),
        ("home", access.home_account_id.clone()),
        ("status", access_status(access.status())),
        ("type", type_name(access.user_type())),
        ("permissions", permissions(&access.permissions)),
        ("sessions from", time(access.sessions_valid_from.as_ref())),
        ("granted", time(access.granted_at.as_ref())),
        ("modified", time(access.modified_at.as_ref())),
        ("revoked", time(access.revoked_at.as_ref())),
    ])
}

/// Accesses of external users, one a line.
#[must_use]
pub fn accesses(accesses: &[Access]) -> String {
    let mut table = table([
        "account",
        "user",
        "home",
        "status",
        "type",
        "permissions",
        "granted",
    ]);
    for access in accesses {
        table.add_row([
            access.account_id.clone(),
            access.user_id.clone(),
            access.home_account_id.clone(),
            access_status(access.status()),
            type_name(access.user_type()),
            permissions(&access.permissions),
            time(access.granted_at.as_ref()),
        ]);
    }
    table.to_string()
}

fn access_status(status: AccessStatus) -> String {
    plain(status.as_str_name(), "ACCESS_STATUS_")
}

/// An invitation, one property a line.
#[must_use]
pub fn invitation(invitation: &Invitation) -> String {
    properties(&[
        ("id", invitation.invitation_id.clone()),
        ("account", invitation.account_id.clone()),
        ("e-mail", invitation.email.clone()),
        ("status", invitation_status(invitation.status())),
        ("type", type_name(invitation.user_type())),
        ("roles", invitation.roles.join(", ")),
        ("permissions", permissions(&invitation.permissions)),
        ("companies", invitation.company_ids.join(", ")),
        ("sent", time(invitation.sent_at.as_ref())),
        ("expires", time(invitation.expires_at.as_ref())),
        ("times sent", invitation.issue.to_string()),
        ("accepted by", invitation.accepted_user_id.clone()),
    ])
}

/// Invitations, one a line.
#[must_use]
pub fn invitations(invitations: &[Invitation]) -> String {
    let mut table = table([
        "id",
        "e-mail",
        "status",
        "type",
        "sent",
        "expires",
        "accepted by",
    ]);
    for invitation in invitations {
        table.add_row([
            invitation.invitation_id.clone(),
            invitation.email.clone(),
            invitation_status(invitation.status()),
            type_name(invitation.user_type()),
            time(invitation.sent_at.as_ref()),
            time(invitation.expires_at.as_ref()),
            invitation.accepted_user_id.clone(),
        ]);
    }
    table.to_string()
}

fn invitation_status(status: InvitationStatus) -> String {
    plain(status.as_str_name(), "INVITATION_STATUS_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deleted_user_shows_nothing_empty() {
        let gone = User {
            user_id: "0190".into(),
            account_id: "acme".into(),
            ..User::default()
        };
        let gone = User {
            status: UserStatus::Deleted.into(),
            ..gone
        };
        assert_eq!(
            user(&gone),
            "id       0190\naccount  acme\nstatus   deleted"
        );
    }

    #[test]
    fn grants_and_companies_read_as_they_are_given() {
        let grants = [
            Permission {
                module: "archive".into(),
                company_id: String::new(),
            },
            Permission {
                module: "payment".into(),
                company_id: "c1".into(),
            },
        ];
        assert_eq!(permissions(&grants), "archive, payment@c1");
        let link = UserCompany {
            company_id: "c1".into(),
            supervisor_id: "u1".into(),
            show_as_addressee: true,
            coding_allegiances: vec![Allegiance {
                dimension: "Department".into(),
                value: "14".into(),
            }],
            routing_allegiances: Vec::new(),
        };
        assert_eq!(
            companies(std::slice::from_ref(&link), "u2"),
            "c1 (supervisor u1, shown as addressee, coding Department=14)"
        );
        assert_eq!(
            companies(&[link], "u1"),
            "c1 (supervisor the user itself, shown as addressee, coding Department=14)"
        );
    }
}
