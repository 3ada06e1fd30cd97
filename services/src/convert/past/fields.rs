//! The fields of a user as text, and which of them differ.

use std::collections::{BTreeMap, BTreeSet};

use rollbook_aggregates::domain::Timestamp;
use rollbook_aggregates::user::UserEvent;
use rollbook_proto::v1 as pb;

use super::{Personal, Seen, status_name, type_name};
use crate::convert::Disclose;

/// A field as text.
struct Value {
    text: String,
    personal: bool,
    erased: bool,
}

impl Value {
    fn shown(&self, disclose: Disclose) -> pb::FieldValue {
        let disclosure = match disclose {
            _ if self.erased => pb::Disclosure::Erased,
            Disclose::Withheld if self.personal => pb::Disclosure::Withheld,
            Disclose::Shown | Disclose::Withheld => pb::Disclosure::Shown,
        };
        pb::FieldValue {
            text: if disclosure == pb::Disclosure::Shown {
                self.text.clone()
            } else {
                String::new()
            },
            disclosure: disclosure.into(),
        }
    }
}

/// Every field that has a value, by its place in the contract and its name.
type Values = BTreeMap<(usize, String), Value>;

/// What differs between a user as it was and as it was later; nothing stands for one who was not there. Where values are
/// erased, a field that was `touched` between has changed.
#[must_use]
pub fn changes(
    before: Option<&Seen>,
    after: Option<&Seen>,
    touched: &BTreeSet<&str>,
    disclose: Disclose,
) -> Vec<pb::FieldChange> {
    let (before, after) = (values(before), values(after));
    let keys: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let mut found = Vec::new();
    for key in keys {
        let (old, new) = (before.get(key), after.get(key));
        let differs = match (old, new) {
            (Some(old), Some(new)) if old.erased || new.erased => touched.contains(key.1.as_str()),
            (Some(old), Some(new)) => old.text != new.text,
            (old, new) => old.is_some() || new.is_some(),
        };
        if differs {
            found.push(pb::FieldChange {
                field: key.1.clone(),
                before: old.map(|value| value.shown(disclose)),
                after: new.map(|value| value.shown(disclose)),
            });
        }
    }
    found
}

/// The personal fields that an event sets.
#[must_use]
pub fn touched(event: &UserEvent) -> &'static [&'static str] {
    match event {
        UserEvent::UserRenamed(_) => &["first_name", "last_name"],
        UserEvent::UserSignatureChanged(_) => &["signature", "user_name"],
        UserEvent::UserEmailChanged(_) => &["email", "user_name"],
        UserEvent::UserPhoneChanged(_) => &["phone"],
        UserEvent::UserMobilePhoneChanged(_) => &["mobile_phone"],
        _ => &[],
    }
}

fn values(seen: Option<&Seen>) -> Values {
    let mut values = Values::new();
    let Some(Seen { user, personal }) = seen else {
        return values;
    };
    for (place, name, text, erased) in personal_fields(user, *personal) {
        if erased || !text.is_empty() {
            let value = Value {
                text: text.to_owned(),
                personal: true,
                erased,
            };
            values.insert((place, name.to_owned()), value);
        }
    }
    let mut plain = |place: usize, name: &str, text: String| {
        if !text.is_empty() {
            let value = Value {
                text,
                personal: false,
                erased: false,
            };
            values.insert((place, name.to_owned()), value);
        }
    };
    let flag = |on: bool| if on { "true".to_owned() } else { String::new() };
    plain(10, "language", user.language.clone());
    plain(11, "user_type", known_name(type_name(user.user_type)));
    plain(12, "status", known_name(status_name(user.status)));
    plain(13, "active", flag(user.active));
    plain(14, "roles", user.roles.join(", "));
    plain(15, "permissions", joined(&user.permissions, grant));
    for company in &user.companies {
        let pb::UserCompany {
            company_id,
            supervisor_id,
            show_as_addressee,
            coding_allegiances,
            routing_allegiances,
        } = company;
        let mut of = |name: &str, text: String| {
            plain(16, &format!("companies.{company_id}.{name}"), text);
        };
        of("supervisor_id", supervisor_id.clone());
        of("show_as_addressee", flag(*show_as_addressee));
        of("coding_allegiances", joined(coding_allegiances, allegiance));
        of(
            "routing_allegiances",
            joined(routing_allegiances, allegiance),
        );
    }
    plain(17, "sessions_valid_from", time(user.sessions_valid_from));
    plain(21, "last_signed_in_at", time(user.last_signed_in_at));
    plain(22, "mfa_enrolled", flag(user.mfa_enrolled));
    plain(23, "external", flag(user.external));
    values
}

/// The personal fields with their places, their texts, and whether they are there and erased.
fn personal_fields(user: &pb::User, personal: Personal) -> [(usize, &'static str, &str, bool); 7] {
    let (erased, phone, mobile_phone) = match personal {
        Personal::Erased {
            phone,
            mobile_phone,
        } => (true, phone, mobile_phone),
        Personal::Known | Personal::Elsewhere | Personal::Gone => (false, false, false),
    };
    [
        (3, "signature", &user.signature, erased),
        (4, "user_name", &user.user_name, erased),
        (5, "first_name", &user.first_name, erased),
        (6, "last_name", &user.last_name, erased),
        (7, "email", &user.email, erased),
        (8, "phone", &user.phone, phone),
        (9, "mobile_phone", &user.mobile_phone, mobile_phone),
    ]
}

fn known_name(name: String) -> String {
    if name == "UNSPECIFIED" {
        String::new()
    } else {
        name
    }
}

fn joined<T>(list: &[T], text: impl Fn(&T) -> String) -> String {
    list.iter().map(text).collect::<Vec<_>>().join(", ")
}

fn grant(permission: &pb::Permission) -> String {
    let pb::Permission { module, company_id } = permission;
    if company_id.is_empty() {
        module.clone()
    } else {
        format!("{module} in {company_id}")
    }
}

fn allegiance(allegiance: &pb::Allegiance) -> String {
    format!("{} {}", allegiance.dimension, allegiance.value)
}

fn time(time: Option<prost_types::Timestamp>) -> String {
    time.and_then(|time| {
        let nanos = u32::try_from(time.nanos).ok()?;
        Timestamp::from_timestamp(time.seconds, nanos)
    })
    .map(|time| time.to_rfc3339_opts(chrono::SecondsFormat::Micros, true))
    .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(first_name: &str, personal: Personal) -> Seen {
        Seen {
            user: pb::User {
                first_name: first_name.to_owned(),
                user_type: pb::UserType::Standard.into(),
                ..pb::User::default()
            },
            personal,
        }
    }

    fn of(field: &str, changes: &[pb::FieldChange]) -> Option<(i32, i32)> {
        let found = changes.iter().find(|change| change.field == field)?;
        let disclosure =
            |value: &Option<pb::FieldValue>| value.as_ref().map_or(0, |value| value.disclosure);
        Some((disclosure(&found.before), disclosure(&found.after)))
    }

    #[test]
    fn r60_a_change_that_is_withheld_says_that_there_was_one() {
        let (ann, eve) = (seen("Ann", Personal::Known), seen("Eve", Personal::Known));
        let found = changes(Some(&ann), Some(&eve), &BTreeSet::new(), Disclose::Withheld);
        let withheld = pb::Disclosure::Withheld.into();
        assert_eq!(of("first_name", &found), Some((withheld, withheld)));
        assert_eq!(found[0].before.as_ref().unwrap().text, "");
        assert_eq!(found.len(), 1);
    }

    #[test]
    fn r60_an_erased_field_changed_where_it_was_set() {
        let erased = seen(
            "",
            Personal::Erased {
                phone: false,
                mobile_phone: true,
            },
        );
        let touched = BTreeSet::from(["first_name"]);
        let found = changes(Some(&erased), Some(&erased), &touched, Disclose::Shown);
        let gone = pb::Disclosure::Erased.into();
        assert_eq!(of("first_name", &found), Some((gone, gone)));
        assert_eq!(found.len(), 1);
    }

    #[test]
    fn r60_one_who_was_not_there_had_no_values() {
        let erased = seen(
            "",
            Personal::Erased {
                phone: false,
                mobile_phone: true,
            },
        );
        let found = changes(None, Some(&erased), &BTreeSet::new(), Disclose::Shown);
        let names: Vec<&str> = found.iter().map(|change| change.field.as_str()).collect();
        assert_eq!(
            names,
            [
                "signature",
                "user_name",
                "first_name",
                "last_name",
                "email",
                "mobile_phone",
                "user_type"
            ]
        );
    }
}
