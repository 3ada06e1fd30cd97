//! What can be asked of the list: which users, in which order, which part of them.

use rollbook_aggregates::user::Status;
use rollbook_aggregates::values::{AccountId, CompanyId, UserId, UserType};

use super::sorting::UserKey;
use crate::pattern::Pattern;

/// Which users by company.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CompanyFilter {
    /// All of them.
    #[default]
    Any,
    /// Those linked to this company.
    In(CompanyId),
    /// Those linked to none.
    None,
}

/// What a list of users is sorted by; equal ones by their id. Text is compared without regard to case and accents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UserSort {
    /// Signature.
    #[default]
    Signature,
    /// What they sign in with.
    UserName,
    /// First name.
    FirstName,
    /// Last name.
    LastName,
    /// E-mail address.
    Email,
    /// Status, in the order of the statuses.
    Status,
    /// Type: administrators first.
    UserType,
    /// First role by name; users without one first.
    Role,
    /// When they signed in last; who never did first.
    LastSignedInAt,
    /// When they were added.
    CreatedAt,
    /// When they were last modified.
    ModifiedAt,
}

/// Which users by what they are called; each pattern that is given must fit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserSearch {
    /// Their signature.
    pub signature: Option<Pattern>,
    /// Their first name.
    pub first_name: Option<Pattern>,
    /// Their last name.
    pub last_name: Option<Pattern>,
    /// Their e-mail address.
    pub email: Option<Pattern>,
    /// The signature, first, last or full name, or e-mail address of somebody else who is their supervisor: in the company
    /// that is listed, or in any.
    pub supervisor: Option<Pattern>,
    /// That supervisor itself.
    pub supervisor_id: Option<UserId>,
}

/// A question for a page of users.
#[derive(Clone, Debug, PartialEq)]
pub struct ListUsers {
    /// Whose users.
    pub account: AccountId,
    /// Which by company.
    pub company: CompanyFilter,
    /// Only active or only inactive ones.
    pub active: Option<bool>,
    /// Only those of one of these statuses; empty: of any.
    pub statuses: Vec<Status>,
    /// Only those that have this role.
    pub role: Option<String>,
    /// Only those of this type.
    pub user_type: Option<UserType>,
    /// Only those whose home is another account, or only those whose home is this one.
    pub external: Option<bool>,
    /// Only those who are called so.
    pub search: UserSearch,
    /// The column to sort by.
    pub sort: UserSort,
    /// Whether to sort the other way round.
    pub descending: bool,
    /// Where the page before ended.
    pub after: Option<UserKey>,
    /// How many at most, 1 to 1000.
    pub limit: u32,
    /// Whether to count all that match.
    pub total: bool,
}

impl ListUsers {
    /// The first 100 of all users of an account, by signature.
    #[must_use]
    pub fn of(account: AccountId) -> Self {
        Self {
            account,
            company: CompanyFilter::Any,
            active: None,
            statuses: Vec::new(),
            role: None,
            user_type: None,
            external: None,
            search: UserSearch::default(),
            sort: UserSort::Signature,
            descending: false,
            after: None,
            limit: 100,
            total: false,
        }
    }
}
