//! What is asked of a directory, in the words of the contract.

use std::fmt;

use rollbook_proto::v1::{
    Activity, BatchGetUsersRequest, FindUsersRequest, GetUserRequest, ListUsersRequest, User,
    UserSort, get_user_request::Key, list_users_request::Company,
};

use crate::cli::bench::ours::ACCOUNT;

/// How many rows a page of a list has.
pub const PAGE: u32 = 50;
/// How many rows a search answers.
pub const FOUND: u32 = 20;

/// A question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// One user by its id.
    ById,
    /// One user by its signature.
    BySignature,
    /// One user by its e-mail address.
    ByEmail,
    /// A hundred users by their ids.
    Batch,
    /// The first page in an order.
    Sorted(UserSort),
    /// A page far from the first.
    Deep,
    /// The first page of those who may not sign in.
    Inactive,
    /// The first page of a company.
    Company,
    /// First names that begin so, by last name.
    Prefix,
    /// Last names with something inside, by last name.
    Infix,
    /// Last names that end so, by last name.
    Suffix,
    /// Whom somebody supervises, by last name.
    Supervisor,
    /// As-you-type, with so many letters.
    Typed(usize),
}

const SORTS: [UserSort; 11] = [
    UserSort::Signature,
    UserSort::UserName,
    UserSort::FirstName,
    UserSort::LastName,
    UserSort::Email,
    UserSort::Status,
    UserSort::UserType,
    UserSort::Role,
    UserSort::CreatedAt,
    UserSort::ModifiedAt,
    UserSort::LastSignedInAt,
];

impl Question {
    /// All of them.
    pub fn all() -> Vec<Self> {
        let mut all = vec![Self::ById, Self::BySignature, Self::ByEmail, Self::Batch];
        all.extend(SORTS.map(Self::Sorted));
        all.extend([
            Self::Deep,
            Self::Inactive,
            Self::Company,
            Self::Prefix,
            Self::Infix,
            Self::Suffix,
            Self::Supervisor,
        ]);
        all.extend([1, 2, 3, 5].map(Self::Typed));
        all
    }

    /// Whether it is for one user.
    pub fn is_look_up(self) -> bool {
        matches!(self, Self::ById | Self::BySignature | Self::ByEmail)
    }

    /// Whether it is one of those that are held against lists and searches of others.
    pub fn is_compared(self) -> bool {
        matches!(
            self,
            Self::Sorted(_) | Self::Prefix | Self::Infix | Self::Supervisor
        )
    }
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ById => f.write_str("by id"),
            Self::BySignature => f.write_str("by signature"),
            Self::ByEmail => f.write_str("by e-mail"),
            Self::Batch => f.write_str("batch of 100"),
            Self::Sorted(sort) => {
                let name = sort.as_str_name().trim_start_matches("USER_SORT_");
                write!(f, "page 1 by {}", name.to_lowercase().replace('_', " "))
            }
            Self::Deep => f.write_str("page 10,000"),
            Self::Inactive => f.write_str("inactive"),
            Self::Company => f.write_str("of a company"),
            Self::Prefix => f.write_str("prefix `ann*`"),
            Self::Infix => f.write_str("infix `*son*`"),
            Self::Suffix => f.write_str("suffix `*berg`"),
            Self::Supervisor => f.write_str("by supervisor"),
            Self::Typed(1) => f.write_str("as-you-type, 1 letter"),
            Self::Typed(letters) => write!(f, "as-you-type, {letters} letters"),
        }
    }
}

/// What is asked for: users who are there, and patterns.
pub struct Sample {
    /// Users from all over the account.
    pub users: Vec<User>,
    /// The token of a page far from the first.
    pub deep: String,
}

const PREFIXES: [&str; 4] = ["ann*", "mar*", "kar*", "joh*"];
const INFIXES: [&str; 4] = ["*son*", "*lin*", "*man*", "*ström*"];
const SUFFIXES: [&str; 4] = ["*berg", "*son", "*ton", "*ez"];

impl Sample {
    /// One of the users.
    pub fn user(&self, pick: u64) -> &User {
        &self.users[place(pick, self.users.len())]
    }

    /// The pattern of a search.
    pub fn pattern(question: Question, pick: u64) -> &'static str {
        let of = match question {
            Question::Prefix => PREFIXES,
            Question::Infix => INFIXES,
            _ => SUFFIXES,
        };
        of[place(pick, of.len())]
    }

    /// A look-up.
    pub fn get(&self, question: Question, pick: u64) -> GetUserRequest {
        let user = self.user(pick);
        let key = match question {
            Question::BySignature => Key::Signature(user.signature.clone()),
            Question::ByEmail => Key::Email(user.email.clone()),
            _ => Key::UserId(user.user_id.clone()),
        };
        GetUserRequest {
            account_id: ACCOUNT.to_owned(),
            key: Some(key),
            ..GetUserRequest::default()
        }
    }

    /// A hundred look-ups.
    pub fn batch(&self, pick: u64) -> BatchGetUsersRequest {
        let ids = (0..100).map(|nth| self.user(pick + nth).user_id.clone());
        BatchGetUsersRequest {
            account_id: ACCOUNT.to_owned(),
            user_ids: ids.collect(),
            ..BatchGetUsersRequest::default()
        }
    }

    /// A list.
    pub fn list(&self, question: Question, pick: u64) -> ListUsersRequest {
        let mut list = ListUsersRequest {
            account_id: ACCOUNT.to_owned(),
            page_size: PAGE,
            sort: UserSort::Signature.into(),
            ..ListUsersRequest::default()
        };
        let by_last_name = |list: &mut ListUsersRequest| {
            list.page_size = FOUND;
            list.sort = UserSort::LastName.into();
        };
        let pattern = || Self::pattern(question, pick).to_owned();
        match question {
            Question::Sorted(sort) => list.sort = sort.into(),
            Question::Deep => list.page_token.clone_from(&self.deep),
            Question::Inactive => list.activity = Activity::Inactive.into(),
            Question::Company => {
                let company = self.user(pick).companies.first();
                let company = company.map(|company| company.company_id.clone());
                list.company = company.map(Company::CompanyId);
            }
            Question::Prefix => {
                by_last_name(&mut list);
                list.first_name = pattern();
            }
            Question::Infix | Question::Suffix => {
                by_last_name(&mut list);
                list.last_name = pattern();
            }
            Question::Supervisor => {
                by_last_name(&mut list);
                self.supervisor(pick).clone_into(&mut list.supervisor_id);
            }
            Question::ById
            | Question::BySignature
            | Question::ByEmail
            | Question::Batch
            | Question::Typed(_) => {}
        }
        list
    }

    /// Somebody who supervises somebody.
    pub fn supervisor(&self, pick: u64) -> &str {
        let companies = self.user(pick).companies.first();
        companies.map_or("", |company| &company.supervisor_id)
    }

    /// What was typed so far.
    pub fn typed(&self, letters: usize, pick: u64) -> FindUsersRequest {
        let name = self.user(pick).first_name.to_lowercase();
        FindUsersRequest {
            account_id: ACCOUNT.to_owned(),
            text: name.chars().take(letters).collect(),
            limit: FOUND,
            ..FindUsersRequest::default()
        }
    }
}

fn place(pick: u64, many: usize) -> usize {
    let many = u64::try_from(many.max(1)).unwrap_or(1);
    usize::try_from(pick % many).unwrap_or_default()
}
