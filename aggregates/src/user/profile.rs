//! Names, addresses and language of a user.

use serde::{Deserialize, Serialize};

use super::{User, UserError, UserEvent, deletion, permissions};
use crate::account::Account;
use crate::domain::{Apply, Context, Decide, Decision, Personal, Reads, Timestamp};
use crate::values::{EmailAddress, LanguageTag, PersonName, PhoneNumber, Signature, UserType};

/// Names, addresses and language of a user.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// Its code on coding rows.
    pub signature: Personal<Signature>,
    /// First name.
    pub first_name: Personal<PersonName>,
    /// Last name.
    pub last_name: Personal<PersonName>,
    /// E-mail address.
    pub email: Personal<EmailAddress>,
    /// Phone.
    pub phone: Option<Personal<PhoneNumber>>,
    /// Mobile phone.
    pub mobile_phone: Option<Personal<PhoneNumber>>,
    /// Language.
    pub language: Option<LanguageTag>,
}

/// A user has another name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UserRenamed {
    /// First name.
    pub first_name: Personal<PersonName>,
    /// Last name.
    pub last_name: Personal<PersonName>,
}

/// A user has another signature; the former stays reserved (R4).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UserSignatureChanged {
    /// The new one.
    pub signature: Personal<Signature>,
}

/// A user has another e-mail address.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UserEmailChanged {
    /// The new one.
    pub email: Personal<EmailAddress>,
}

/// A user has another phone, or none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UserPhoneChanged {
    /// The new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<Personal<PhoneNumber>>,
}

/// A user has another mobile phone, or none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UserMobilePhoneChanged {
    /// The new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mobile_phone: Option<Personal<PhoneNumber>>,
}

/// A user has another language, or none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UserLanguageChanged {
    /// The new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<LanguageTag>,
}

impl Apply<User> for UserRenamed {
    fn apply(self, _at: Timestamp, user: &mut User) {
        user.change(|person| {
            person.profile.first_name = self.first_name;
            person.profile.last_name = self.last_name;
        });
    }
}

impl Apply<User> for UserSignatureChanged {
    fn apply(self, _at: Timestamp, user: &mut User) {
        user.change(|person| person.profile.signature = self.signature);
    }
}

impl Apply<User> for UserEmailChanged {
    fn apply(self, _at: Timestamp, user: &mut User) {
        user.change(|person| person.profile.email = self.email);
    }
}

impl Apply<User> for UserPhoneChanged {
    fn apply(self, _at: Timestamp, user: &mut User) {
        user.change(|person| person.profile.phone = self.phone);
    }
}

impl Apply<User> for UserMobilePhoneChanged {
    fn apply(self, _at: Timestamp, user: &mut User) {
        user.change(|person| person.profile.mobile_phone = self.mobile_phone);
    }
}

impl Apply<User> for UserLanguageChanged {
    fn apply(self, _at: Timestamp, user: &mut User) {
        user.change(|person| person.profile.language = self.language);
    }
}

/// Changes what is named; what is `None` stays as it is (R8).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UpdateUser {
    /// Its code on coding rows.
    pub signature: Option<Signature>,
    /// First name.
    pub first_name: Option<PersonName>,
    /// Last name.
    pub last_name: Option<PersonName>,
    /// E-mail address.
    pub email: Option<EmailAddress>,
    /// Phone, or none any more.
    pub phone: Option<Option<PhoneNumber>>,
    /// Mobile phone, or none any more.
    pub mobile_phone: Option<Option<PhoneNumber>>,
    /// Language, or none any more.
    pub language: Option<Option<LanguageTag>>,
    /// What kind of user it is. A new STANDARD user loses grants on administrator-only modules (R11); the last
    /// administrator who can act stays one (R28).
    pub user_type: Option<UserType>,
}

impl UpdateUser {
    fn profile_events(self, now: &Profile) -> Vec<UserEvent> {
        let mut events = Vec::new();
        if let Some(signature) = changed(self.signature, &now.signature) {
            events.push(UserSignatureChanged { signature }.into());
        }
        let first_name = changed(self.first_name, &now.first_name);
        let last_name = changed(self.last_name, &now.last_name);
        if first_name.is_some() || last_name.is_some() {
            let renamed = UserRenamed {
                first_name: first_name.unwrap_or_else(|| now.first_name.clone()),
                last_name: last_name.unwrap_or_else(|| now.last_name.clone()),
            };
            events.push(renamed.into());
        }
        if let Some(email) = changed(self.email, &now.email) {
            events.push(UserEmailChanged { email }.into());
        }
        let personal = |phone: Option<PhoneNumber>| phone.map(Personal::Known);
        if let Some(phone) = self.phone.map(personal).filter(|new| *new != now.phone) {
            events.push(UserPhoneChanged { phone }.into());
        }
        let mobile_phone = self.mobile_phone.map(personal);
        if let Some(mobile_phone) = mobile_phone.filter(|new| *new != now.mobile_phone) {
            events.push(UserMobilePhoneChanged { mobile_phone }.into());
        }
        if let Some(language) = self.language.filter(|new| *new != now.language) {
            events.push(UserLanguageChanged { language }.into());
        }
        events
    }
}

impl Decide for UpdateUser {
    type Aggregate = User;

    fn reads(&self, _account: &Account, user: &User) -> Reads {
        match self.user_type {
            Some(UserType::Standard) => deletion::administrators_to_read(user),
            Some(UserType::Administrator) | None => Reads::default(),
        }
    }

    fn decide(self, ctx: &Context<'_>, user: &User) -> Result<Decision<User>, UserError> {
        let person = user.must_be_present(ctx)?;
        let user_type = self.user_type.filter(|new| *new != person.user_type);
        let another = match user_type {
            Some(UserType::Standard) => person.must_not_be_the_last_administrator(ctx)?,
            Some(UserType::Administrator) | None => None,
        };
        let mut events = self.profile_events(&person.profile);
        if let Some(user_type) = user_type {
            events.extend(permissions::change_type(ctx.account, person, user_type));
        }
        Ok(Decision::of(ctx, user, events).requiring(another))
    }
}

fn changed<T: PartialEq>(new: Option<T>, now: &Personal<T>) -> Option<Personal<T>> {
    new.map(Personal::Known).filter(|new| new != now)
}

#[cfg(test)]
mod tests;
