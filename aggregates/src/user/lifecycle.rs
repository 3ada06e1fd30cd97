//! How a user comes, sleeps and is locked.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::companies::{self, LinkedCompany, NewCompany};
use super::{
    Credentials, Involvements, Link, PasswordState, Person, Profile, State, User,
    UserCompaniesAdded, UserError, UserEvent, UserPermissionsSet, UserRolesSet, WelcomeIssued,
    deletion,
};
use crate::account::Account;
use crate::domain::{Apply, Context, Decide, Decision, Personal, Reads, Timestamp};
use crate::values::{
    AccountId, EmailAddress, InvitationId, LanguageTag, PasswordAuthority, Permission, PersonName,
    PhoneNumber, RoleName, Signature, UserId, UserType,
};

/// A user was created.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UserCreated {
    /// The user.
    pub user_id: UserId,
    /// Its home account.
    pub account_id: AccountId,
    /// Its code on coding rows.
    pub signature: Personal<Signature>,
    /// First name.
    pub first_name: Personal<PersonName>,
    /// Last name.
    pub last_name: Personal<PersonName>,
    /// E-mail address.
    pub email: Personal<EmailAddress>,
    /// Phone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<Personal<PhoneNumber>>,
    /// Mobile phone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mobile_phone: Option<Personal<PhoneNumber>>,
    /// Language.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<LanguageTag>,
    /// What kind of user it is.
    pub user_type: UserType,
    /// Whether it may sign in.
    pub active: bool,
    /// Whether a password was given, never which.
    pub password: PasswordState,
    /// Whether nothing is left to do before the first sign-in.
    pub onboarded: bool,
    /// The invitation it accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invitation_id: Option<InvitationId>,
    /// The user whose rights it was given (R9).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copied_from: Option<UserId>,
}

/// A user may sign in from now on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UserActivated {}

/// A user may not sign in any more, and its sessions ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UserDeactivated {}

/// An administrator locked a user, and its sessions ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UserLocked {}

/// A user's locks were lifted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UserUnlocked {}

impl Apply<User> for UserCreated {
    fn apply(self, at: Timestamp, user: &mut User) {
        user.state = State::Present(Box::new(Person {
            id: self.user_id,
            account_id: self.account_id,
            profile: Profile {
                signature: self.signature,
                first_name: self.first_name,
                last_name: self.last_name,
                email: self.email,
                phone: self.phone,
                mobile_phone: self.mobile_phone,
                language: self.language,
            },
            user_type: self.user_type,
            active: self.active,
            locked: false,
            auto_locked_at: None,
            onboarded: self.onboarded,
            credentials: Credentials::given(self.password, at),
            roles: BTreeSet::new(),
            permissions: BTreeSet::new(),
            companies: std::collections::BTreeMap::new(),
            involvements: Involvements::default(),
            sessions_valid_from: at,
            created_at: at,
            modified_at: at,
        }));
    }
}

impl Apply<User> for UserActivated {
    fn apply(self, _at: Timestamp, user: &mut User) {
        user.change(|person| person.active = true);
    }
}

impl Apply<User> for UserDeactivated {
    fn apply(self, at: Timestamp, user: &mut User) {
        user.change(|person| {
            person.active = false;
            person.sessions_valid_from = at;
        });
    }
}

impl Apply<User> for UserLocked {
    fn apply(self, at: Timestamp, user: &mut User) {
        user.change(|person| {
            person.locked = true;
            person.sessions_valid_from = at;
        });
    }
}

impl Apply<User> for UserUnlocked {
    fn apply(self, at: Timestamp, user: &mut User) {
        user.change(|person| {
            person.locked = false;
            person.auto_locked_at = None;
            person.credentials.attempts_from = at;
        });
    }
}

/// Creates a user (R2), also a first administrator (R12) and one who accepts an invitation (R48).
#[derive(Clone, Debug, PartialEq)]
pub struct CreateUser {
    /// The user.
    pub user_id: UserId,
    /// Its code on coding rows, unique in the account for good (R4).
    pub signature: Signature,
    /// First name.
    pub first_name: PersonName,
    /// Last name.
    pub last_name: PersonName,
    /// E-mail address, unique in the account where it is the login (R5).
    pub email: EmailAddress,
    /// Phone.
    pub phone: Option<PhoneNumber>,
    /// Mobile phone.
    pub mobile_phone: Option<PhoneNumber>,
    /// Language.
    pub language: Option<LanguageTag>,
    /// What kind of user it is.
    pub user_type: UserType,
    /// Whether it may sign in (R3).
    pub active: bool,
    /// Whether a password is given; its hash travels beside the event, never in it (R17).
    pub password: PasswordState,
    /// Its welcome link, where one is asked for.
    pub welcome: Option<Link>,
    /// Roles of the account's catalogue.
    pub roles: BTreeSet<RoleName>,
    /// Grants.
    pub permissions: BTreeSet<Permission>,
    /// Companies, with its properties there.
    pub companies: Vec<NewCompany>,
    /// The invitation it accepts.
    pub invitation: Option<InvitationId>,
    /// The user whose rights it is given.
    pub copied_from: Option<UserId>,
}

impl CreateUser {
    /// A password is needed exactly where the account keeps it and nobody is asked to choose one (R2, R18).
    const fn must_fit_the_password_authority(&self, account: &Account) -> Result<(), UserError> {
        let given = !matches!(self.password, PasswordState::None);
        match account.settings().password_authority {
            PasswordAuthority::External if given => Err(UserError::PasswordsKeptElsewhere),
            PasswordAuthority::Directory if given && self.welcome.is_some() => {
                Err(UserError::PasswordAndWelcome)
            }
            PasswordAuthority::Directory if !given && self.welcome.is_none() => {
                Err(UserError::PasswordMissing)
            }
            PasswordAuthority::External | PasswordAuthority::Directory => Ok(()),
        }
    }

    fn into_events(self, ctx: &Context<'_>, account_id: AccountId) -> Vec<UserEvent> {
        let companies: Vec<LinkedCompany> = self
            .companies
            .into_iter()
            .map(|company| company.linked_to(self.user_id))
            .collect();
        let created = UserCreated {
            user_id: self.user_id,
            account_id,
            signature: self.signature.into(),
            first_name: self.first_name.into(),
            last_name: self.last_name.into(),
            email: self.email.into(),
            phone: self.phone.map(Personal::Known),
            mobile_phone: self.mobile_phone.map(Personal::Known),
            language: self.language,
            user_type: self.user_type,
            active: self.active,
            password: self.password,
            onboarded: self.welcome.is_none(),
            invitation_id: self.invitation,
            copied_from: self.copied_from,
        };
        let mut events = vec![created.into()];
        if !self.roles.is_empty() {
            events.push(UserRolesSet { roles: self.roles }.into());
        }
        if !self.permissions.is_empty() {
            let permissions = self.permissions;
            events.push(UserPermissionsSet { permissions }.into());
        }
        if !companies.is_empty() {
            events.push(UserCompaniesAdded { companies }.into());
        }
        if let Some(link) = self.welcome {
            events.push(WelcomeIssued::of(1, link, ctx.account).into());
        }
        events
    }
}

impl Decide for CreateUser {
    type Aggregate = User;

    fn reads(&self, _account: &Account, _user: &User) -> Reads {
        companies::supervisors_to_read(self.user_id, &self.companies)
    }

    fn decide(self, ctx: &Context<'_>, user: &User) -> Result<Decision<User>, UserError> {
        let Some(account_id) = ctx.account.id().cloned() else {
            return Err(UserError::AccountNotFound);
        };
        match &user.state {
            State::NotYet => {}
            State::Present(_) => return Err(UserError::Exists),
            State::Deleted(_) => return Err(UserError::Deleted),
        }
        self.must_fit_the_password_authority(ctx.account)?;
        ctx.account.must_have_roles(&self.roles)?;
        ctx.account.must_allow(self.user_type, &self.permissions)?;
        companies::must_be_linkable(ctx, self.user_id, &self.companies)?;
        let events = self.into_events(ctx, account_id);
        Ok(Decision::of(ctx, user, events))
    }
}

/// Lets a user sign in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActivateUser;

impl Decide for ActivateUser {
    type Aggregate = User;

    fn decide(self, ctx: &Context<'_>, user: &User) -> Result<Decision<User>, UserError> {
        let person = user.must_be_present(ctx)?;
        if person.active {
            return Ok(Decision::nothing());
        }
        Ok(Decision::of(ctx, user, vec![UserActivated {}.into()]))
    }
}

/// Keeps a user from signing in and ends its sessions. A supervisor may be deactivated (R31), the last administrator
/// who can act may not (R28).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeactivateUser;

impl Decide for DeactivateUser {
    type Aggregate = User;

    fn reads(&self, _account: &Account, user: &User) -> Reads {
        deletion::administrators_to_read(user)
    }

    fn decide(self, ctx: &Context<'_>, user: &User) -> Result<Decision<User>, UserError> {
        let person = user.must_be_present(ctx)?;
        if !person.active {
            return Ok(Decision::nothing());
        }
        let another = person.must_not_be_the_last_administrator(ctx)?;
        Ok(Decision::of(ctx, user, vec![UserDeactivated {}.into()]).requiring(another))
    }
}

/// Locks a user until it is unlocked, and ends its sessions (R14).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockUser;

impl Decide for LockUser {
    type Aggregate = User;

    fn reads(&self, _account: &Account, user: &User) -> Reads {
        deletion::administrators_to_read(user)
    }

    fn decide(self, ctx: &Context<'_>, user: &User) -> Result<Decision<User>, UserError> {
        let person = user.must_be_present(ctx)?;
        if person.locked {
            return Ok(Decision::nothing());
        }
        let another = person.must_not_be_the_last_administrator(ctx)?;
        Ok(Decision::of(ctx, user, vec![UserLocked {}.into()]).requiring(another))
    }
}

/// Lifts a user's locks, that of an administrator and that of the system (R14).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnlockUser;

impl Decide for UnlockUser {
    type Aggregate = User;

    fn decide(self, ctx: &Context<'_>, user: &User) -> Result<Decision<User>, UserError> {
        let person = user.must_be_present(ctx)?;
        if !person.locked && person.auto_locked_at.is_none() {
            return Ok(Decision::nothing());
        }
        Ok(Decision::of(ctx, user, vec![UserUnlocked {}.into()]))
    }
}

#[cfg(test)]
mod tests;
