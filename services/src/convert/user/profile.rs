//! The information of a user, new or changed.

use std::collections::BTreeSet;

use prost_types::FieldMask;
use rollbook_aggregates::user::{CreateUser, Link, NewCompany, PasswordState, UpdateUser};
use rollbook_aggregates::values::{
    EmailAddress, LanguageTag, Password, Permission, PersonName, PhoneNumber, RoleName, Signature,
    UserId, UserType,
};
use rollbook_proto::v1 as pb;

use super::super::Fields;
use super::commands::{new_companies, permissions};
use super::known;

/// What a new user is made of, before it has an id.
#[derive(Clone, Debug)]
pub struct NewUser {
    identity: Identity,
    user_type: UserType,
    active: bool,
    roles: BTreeSet<RoleName>,
    permissions: BTreeSet<Permission>,
    /// Its companies.
    pub companies: Vec<NewCompany>,
    /// Its password in the clear, on its way to the hash.
    pub password: Option<Password>,
    one_time_password: bool,
    /// Whether a first-sign-in link is asked for.
    pub welcome: bool,
}

#[derive(Clone, Debug)]
pub(in crate::convert) struct Identity {
    pub(in crate::convert) signature: Signature,
    pub(in crate::convert) first_name: PersonName,
    pub(in crate::convert) last_name: PersonName,
    pub(in crate::convert) email: EmailAddress,
    pub(in crate::convert) phone: Option<PhoneNumber>,
    pub(in crate::convert) mobile_phone: Option<PhoneNumber>,
    pub(in crate::convert) language: Option<LanguageTag>,
}

impl NewUser {
    /// Reads it as a field of a request.
    pub(in crate::convert) fn read(
        fields: &mut Fields,
        name: &str,
        user: Option<pb::NewUser>,
    ) -> Option<Self> {
        let Some(user) = user else {
            fields.bad(name, "must be given");
            return None;
        };
        fields.within(name, |fields| Self::read_fields(fields, user))
    }

    /// Reads one that gets the rights of another, and its type, where it is given.
    pub(in crate::convert) fn read_copy(
        fields: &mut Fields,
        name: &str,
        user: Option<pb::NewUser>,
    ) -> (Option<Self>, Option<UserType>) {
        let given = user.as_ref();
        fields.within(name, |fields| {
            for (name, empty) in [
                ("roles", given.is_none_or(|user| user.roles.is_empty())),
                (
                    "permissions",
                    given.is_none_or(|user| user.permissions.is_empty()),
                ),
                (
                    "companies",
                    given.is_none_or(|user| user.companies.is_empty()),
                ),
            ] {
                if !empty {
                    fields.bad(name, "must be empty: the source's are taken");
                }
            }
        });
        let typed = given.is_some_and(|user| user.user_type != 0);
        let new = Self::read(fields, name, user);
        let user_type = new.as_ref().map(|new| new.user_type).filter(|_| typed);
        (new, user_type)
    }

    fn read_fields(fields: &mut Fields, user: pb::NewUser) -> Option<Self> {
        let pb::NewUser {
            signature,
            first_name,
            last_name,
            email,
            phone,
            mobile_phone,
            language,
            active,
            user_type: wire_type,
            roles,
            permissions: wire_permissions,
            companies,
            password,
            one_time_password,
            welcome,
        } = user;
        let signature = fields.read("signature", &signature, Signature::parse);
        let first_name = fields.read("first_name", &first_name, PersonName::parse);
        let last_name = fields.read("last_name", &last_name, PersonName::parse);
        let email = fields.read("email", &email, EmailAddress::parse);
        let phone = fields.optional("phone", &phone, PhoneNumber::parse);
        let mobile_phone = fields.optional("mobile_phone", &mobile_phone, PhoneNumber::parse);
        let language = fields.optional("language", &language, LanguageTag::parse);
        let user_type = user_type(fields, wire_type);
        let roles = fields.set("roles", 1000, &roles, RoleName::parse);
        let permissions = permissions(fields, wire_permissions);
        let companies = new_companies(fields, companies);
        let password = fields.optional("password", &password, Password::parse);
        let identity = Identity {
            signature: signature?,
            first_name: first_name?,
            last_name: last_name?,
            email: email?,
            phone,
            mobile_phone,
            language,
        };
        identity.check_password(fields, password.as_ref());
        Some(Self {
            identity,
            user_type: user_type?,
            active: active.unwrap_or(true),
            roles,
            permissions,
            companies,
            password,
            one_time_password,
            welcome,
        })
    }

    /// Its short code.
    #[must_use]
    pub const fn signature(&self) -> &Signature {
        &self.identity.signature
    }

    /// Its e-mail address.
    #[must_use]
    pub const fn email(&self) -> &EmailAddress {
        &self.identity.email
    }

    /// Whether it may sign in.
    #[must_use]
    pub const fn is_active(&self) -> bool {
        self.active
    }

    /// The command that creates it.
    #[must_use]
    pub fn create(&self, user_id: UserId, welcome: Option<Link>) -> CreateUser {
        let identity = self.identity.clone();
        CreateUser {
            user_id,
            signature: identity.signature,
            first_name: identity.first_name,
            last_name: identity.last_name,
            email: identity.email,
            phone: identity.phone,
            mobile_phone: identity.mobile_phone,
            language: identity.language,
            user_type: self.user_type,
            active: self.active,
            password: match (&self.password, self.one_time_password) {
                (None, _) => PasswordState::None,
                (Some(_), false) => PasswordState::Set,
                (Some(_), true) => PasswordState::OneTime,
            },
            welcome,
            roles: self.roles.clone(),
            permissions: self.permissions.clone(),
            companies: self.companies.clone(),
            invitation: None,
            copied_from: None,
        }
    }

    /// The same as an active administrator, which the first of an account is.
    #[must_use]
    pub fn into_administrator(mut self) -> Self {
        self.user_type = UserType::Administrator;
        self.active = true;
        self
    }
}

impl Identity {
    /// A password must be more than what everybody knows of the person.
    pub(in crate::convert) fn check_password(
        &self,
        fields: &mut Fields,
        password: Option<&Password>,
    ) {
        let known = [
            self.signature.as_str(),
            self.first_name.as_str(),
            self.last_name.as_str(),
            self.email.as_str(),
        ];
        if let Some(password) = password {
            fields.checked("password", password.must_say_more_than(&known));
        }
    }
}

pub(in crate::convert) fn user_type(fields: &mut Fields, value: i32) -> Option<UserType> {
    fields
        .checked("user_type", known(value))
        .map(read_user_type)
}

pub(in crate::convert) const fn read_user_type(user_type: pb::UserType) -> UserType {
    match user_type {
        pb::UserType::Administrator => UserType::Administrator,
        pb::UserType::Unspecified | pb::UserType::Standard => UserType::Standard,
    }
}

/// Whether a mask names a field; every path must be one of `paths`, and there must be one.
pub(in crate::convert) fn masked(
    fields: &mut Fields,
    mask: Option<FieldMask>,
    paths: &'static [&'static str],
) -> BTreeSet<&'static str> {
    let given = mask.unwrap_or_default().paths;
    if given.is_empty() {
        fields.bad("update_mask", "must name at least one field");
    }
    if given.len() > 100 {
        fields.bad("update_mask", "must have at most 100 paths");
        return BTreeSet::new();
    }
    let mut named = BTreeSet::new();
    for path in &given {
        let within = |known: &&&str| {
            path == "*"
                || **known == path
                || known
                    .strip_prefix(path.as_str())
                    .is_some_and(|rest| rest.starts_with('.'))
        };
        let mut found = paths.iter().filter(within).peekable();
        if found.peek().is_none() {
            let problem = format!("must be * or some of {}", paths.join(", "));
            fields.bad("update_mask", problem);
            break;
        }
        named.extend(found.copied());
    }
    named
}

/// The fields of a profile that an update can name.
const PROFILE: &[&str] = &[
    "signature",
    "first_name",
    "last_name",
    "email",
    "phone",
    "mobile_phone",
    "language",
    "user_type",
];

/// The fields of its own profile that a user may change itself.
pub(super) const OWN: &[&str] = &["phone", "mobile_phone", "language"];

/// Reads what is to be changed of a user's information, and the names of those fields.
pub(super) fn update_user(
    fields: &mut Fields,
    profile: Option<pb::UserProfile>,
    mask: Option<FieldMask>,
) -> (UpdateUser, BTreeSet<&'static str>) {
    let pb::UserProfile {
        signature,
        first_name,
        last_name,
        email,
        phone,
        mobile_phone,
        language,
        user_type,
    } = profile.unwrap_or_default();
    let named = masked(fields, mask, PROFILE);
    let is = |name: &str| named.contains(name);
    let update = fields.within("profile", |fields| UpdateUser {
        signature: is("signature")
            .then(|| fields.read("signature", &signature, Signature::parse))
            .flatten(),
        first_name: is("first_name")
            .then(|| fields.read("first_name", &first_name, PersonName::parse))
            .flatten(),
        last_name: is("last_name")
            .then(|| fields.read("last_name", &last_name, PersonName::parse))
            .flatten(),
        email: is("email")
            .then(|| fields.read("email", &email, EmailAddress::parse))
            .flatten(),
        phone: is("phone").then(|| fields.optional("phone", &phone, PhoneNumber::parse)),
        mobile_phone: is("mobile_phone")
            .then(|| fields.optional("mobile_phone", &mobile_phone, PhoneNumber::parse)),
        language: is("language")
            .then(|| fields.optional("language", &language, LanguageTag::parse)),
        user_type: is("user_type")
            .then(|| changed_type(fields, user_type))
            .flatten(),
    });
    (update, named)
}

fn changed_type(fields: &mut Fields, value: i32) -> Option<UserType> {
    match known(value) {
        Ok(pb::UserType::Unspecified) => {
            fields.bad("user_type", "must be given");
            None
        }
        other => fields.checked("user_type", other).map(read_user_type),
    }
}
