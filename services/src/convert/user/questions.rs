//! Questions for users: by what names one, as a list, as somebody types.

use rollbook_aggregates::user::Status;
use rollbook_aggregates::values::{
    AccountId, CompanyId, EmailAddress, RoleName, Signature, UserId, UserType,
};
use rollbook_projections::{CompanyFilter, FindUsers, ListUsers, Pattern, UserSearch, UserSort};
use rollbook_proto::v1 as pb;

use super::super::credential::read_user_name;
use super::{known, profile};
use crate::convert::Fields;
use crate::failure::{Failure, Outcome};

/// How many users are found while somebody types when the caller does not say, and at most.
const FOUND: (u32, u32) = (20, 100);

/// What names a user.
pub enum UserKeyword {
    /// Its id.
    Id(UserId),
    /// Its signature.
    Signature(Signature),
    /// What it signs in with.
    UserName(String),
    /// Its e-mail address.
    Email(EmailAddress),
}

impl TryFrom<pb::GetUserRequest> for UserKeyword {
    type Error = Failure;

    fn try_from(request: pb::GetUserRequest) -> Outcome<Self> {
        use pb::get_user_request::Key;
        let pb::GetUserRequest {
            account_id,
            key,
            read: _,
        } = request;
        let mut fields = Fields::default();
        let account = fields.read("account_id", &account_id, AccountId::parse);
        let key = match key {
            None => {
                fields.bad("user_id", "or another key must be given");
                None
            }
            Some(Key::UserId(id)) => fields.read("user_id", &id, UserId::parse).map(Self::Id),
            Some(Key::Signature(text)) => fields
                .read("signature", &text, Signature::parse)
                .map(Self::Signature),
            Some(Key::UserName(text)) => read_user_name(&mut fields, text).map(Self::UserName),
            Some(Key::Email(text)) => fields
                .read("email", &text, EmailAddress::parse)
                .map(Self::Email),
        };
        fields.finish((account, key)).map(|(_, key)| key)
    }
}

/// A question for a page of users, without where it goes on.
pub struct ListedUsers(pub ListUsers);

impl TryFrom<pb::ListUsersRequest> for ListedUsers {
    type Error = Failure;

    fn try_from(request: pb::ListUsersRequest) -> Outcome<Self> {
        use pb::list_users_request::Company;
        let pb::ListUsersRequest {
            account_id,
            company,
            activity,
            statuses,
            role,
            user_type,
            sort,
            descending,
            page_size,
            page_token: _,
            include_total,
            read: _,
            external,
            signature,
            first_name,
            last_name,
            email,
            supervisor,
            supervisor_id,
        } = request;
        let mut fields = Fields::default();
        let account = fields.read("account_id", &account_id, AccountId::parse);
        let company = match company {
            None | Some(Company::NoCompany(false)) => CompanyFilter::Any,
            Some(Company::NoCompany(true)) => CompanyFilter::None,
            Some(Company::CompanyId(id)) => fields
                .read("company_id", &id, CompanyId::parse)
                .map_or(CompanyFilter::Any, CompanyFilter::In),
        };
        let active = self::activity(&mut fields, activity);
        let statuses = fields.list("statuses", 16, statuses, |fields, status| {
            fields.checked("", known(status).and_then(read_status))
        });
        let role = fields.optional("role", &role, RoleName::parse);
        let user_type = type_filter(&mut fields, user_type);
        let texts = [&signature, &first_name, &last_name, &email, &supervisor];
        let search = read_search(&mut fields, texts, &supervisor_id);
        let sort = fields.checked("sort", known(sort));
        let limit = fields.checked("page_size", crate::page::size(page_size));
        let (account, sort, limit) = fields.finish((account, sort, limit))?;
        Ok(Self(ListUsers {
            company,
            active,
            statuses,
            role: role.map(|role| role.to_string()),
            user_type,
            external,
            search,
            sort: read_sort(sort),
            descending,
            limit,
            total: include_total,
            ..ListUsers::of(account)
        }))
    }
}

fn read_search(fields: &mut Fields, texts: [&String; 5], supervisor_id: &str) -> UserSearch {
    let [signature, first_name, last_name, email, supervisor] = texts;
    UserSearch {
        signature: fields.optional("signature", signature, Pattern::parse),
        first_name: fields.optional("first_name", first_name, Pattern::parse),
        last_name: fields.optional("last_name", last_name, Pattern::parse),
        email: fields.optional("email", email, Pattern::parse),
        supervisor: fields.optional("supervisor", supervisor, Pattern::parse),
        supervisor_id: fields.optional("supervisor_id", supervisor_id, UserId::parse),
    }
}

/// A question for users whose name is being typed.
pub struct FoundUsers(pub FindUsers);

impl TryFrom<pb::FindUsersRequest> for FoundUsers {
    type Error = Failure;

    fn try_from(request: pb::FindUsersRequest) -> Outcome<Self> {
        let pb::FindUsersRequest {
            account_id,
            text,
            activity,
            limit,
            read: _,
        } = request;
        let mut fields = Fields::default();
        let account = fields.read("account_id", &account_id, AccountId::parse);
        let checked = match text.trim() {
            text if text.chars().any(char::is_control) => {
                Err("must not contain control characters")
            }
            text if (1..=64).contains(&text.chars().count()) => Ok(text.to_owned()),
            _ => Err("must have 1 to 64 characters"),
        };
        let text = fields.checked("text", checked);
        let active = self::activity(&mut fields, activity);
        let limit = match limit {
            0 => Ok(FOUND.0),
            limit if limit <= FOUND.1 => Ok(limit),
            _ => Err(format!("must be at most {}", FOUND.1)),
        };
        let limit = fields.checked("limit", limit);
        let (account, text, limit) = fields.finish((account, text, limit))?;
        Ok(Self(FindUsers {
            account,
            text,
            active,
            limit,
        }))
    }
}

/// Whether only active or only inactive ones are asked for.
pub(in crate::convert) fn activity(fields: &mut Fields, value: i32) -> Option<bool> {
    match fields.checked("activity", known::<pb::Activity>(value)) {
        None | Some(pb::Activity::Unspecified) => None,
        Some(pb::Activity::Active) => Some(true),
        Some(pb::Activity::Inactive) => Some(false),
    }
}

const fn read_sort(sort: pb::UserSort) -> UserSort {
    match sort {
        pb::UserSort::Unspecified | pb::UserSort::Signature => UserSort::Signature,
        pb::UserSort::UserName => UserSort::UserName,
        pb::UserSort::FirstName => UserSort::FirstName,
        pb::UserSort::LastName => UserSort::LastName,
        pb::UserSort::Email => UserSort::Email,
        pb::UserSort::Status => UserSort::Status,
        pb::UserSort::UserType => UserSort::UserType,
        pb::UserSort::Role => UserSort::Role,
        pb::UserSort::LastSignedInAt => UserSort::LastSignedInAt,
        pb::UserSort::CreatedAt => UserSort::CreatedAt,
        pb::UserSort::ModifiedAt => UserSort::ModifiedAt,
    }
}

const fn read_status(status: pb::UserStatus) -> Result<Status, &'static str> {
    match status {
        pb::UserStatus::Unspecified => Err("must be given"),
        pb::UserStatus::Deleted => Ok(Status::Deleted),
        pb::UserStatus::Inactive => Ok(Status::Inactive),
        pb::UserStatus::LockedByAdmin => Ok(Status::LockedByAdmin),
        pb::UserStatus::AutoLocked => Ok(Status::AutoLocked),
        pb::UserStatus::Recovery => Ok(Status::Recovery),
        pb::UserStatus::AwaitingNewPassword => Ok(Status::AwaitingNewPassword),
        pb::UserStatus::Provisioned => Ok(Status::Provisioned),
        pb::UserStatus::Active => Ok(Status::Active),
    }
}

/// Of which type only is asked for.
pub(in crate::convert) fn type_filter(fields: &mut Fields, value: i32) -> Option<UserType> {
    match known::<pb::UserType>(value) {
        Ok(pb::UserType::Unspecified) => None,
        other => fields
            .checked("user_type", other)
            .map(profile::read_user_type),
    }
}
