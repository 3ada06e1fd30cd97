//! The settings of an account on the wire.

use std::collections::BTreeSet;
use std::fmt::Display;

use prost_types::{Duration, FieldMask};
use rollbook_aggregates::account::{Settings, UpdateAccountSettings};
use rollbook_aggregates::values::{
    AccountTitle, LockDuration, Login, MaxFailedSignIns, PasswordAuthority, PasswordChange,
    PasswordMaxAge, ValidityDays,
};
use rollbook_proto::v1 as pb;

use super::super::Fields;
use super::super::user::{known, masked};

/// The settings of a new account; what is not given takes its default.
pub(super) fn new(fields: &mut Fields, wire: Option<pb::AccountSettings>) -> Option<Settings> {
    let pb::AccountSettings {
        login,
        password_authority,
        invitation_validity_days,
        welcome_validity_days,
        max_failed_sign_ins,
        lock_duration,
        password_max_age_days,
        password_change,
        arrival_registration,
    } = wire.unwrap_or_default();
    let login = fields.checked("login", known(login));
    let authority = fields.checked("password_authority", known(password_authority));
    let change = fields.checked("password_change", known(password_change));
    let invitation = fields.checked(
        "invitation_validity_days",
        or_default(invitation_validity_days, ValidityDays::parse),
    );
    let welcome = fields.checked(
        "welcome_validity_days",
        or_default(welcome_validity_days, ValidityDays::parse),
    );
    let max_failed = fields.checked(
        "max_failed_sign_ins",
        or_default(max_failed_sign_ins, MaxFailedSignIns::parse),
    );
    let lock_duration = fields.checked("lock_duration", read_duration(lock_duration));
    let max_age = fields.checked("password_max_age_days", read_age(password_max_age_days));
    Some(Settings {
        login: read_login(login?).unwrap_or_default(),
        password_authority: read_authority(authority?).unwrap_or_default(),
        invitation_validity_days: invitation?,
        welcome_validity_days: welcome?,
        max_failed_sign_ins: max_failed?,
        lock_duration: lock_duration?,
        password_max_age: max_age?,
        password_change: read_change(change?).unwrap_or_default(),
        arrival_registration,
    })
}

/// Reads a number of which 0 means the default.
fn or_default<T: Default, E>(number: u32, parse: impl FnOnce(u32) -> Result<T, E>) -> Result<T, E> {
    match number {
        0 => Ok(T::default()),
        number => parse(number),
    }
}

fn read_duration(wire: Option<Duration>) -> Result<Option<LockDuration>, String> {
    match wire {
        None => Ok(None),
        Some(Duration { seconds, nanos: 0 }) => LockDuration::parse(seconds)
            .map(Some)
            .map_err(|problem| problem.to_string()),
        Some(_) => Err("must be whole seconds".to_owned()),
    }
}

fn read_age(days: u32) -> Result<Option<PasswordMaxAge>, impl Display> {
    match days {
        0 => Ok(None),
        days => PasswordMaxAge::parse(days).map(Some),
    }
}

const fn read_login(login: pb::Login) -> Option<Login> {
    match login {
        pb::Login::Unspecified => None,
        pb::Login::Email => Some(Login::Email),
        pb::Login::Signature => Some(Login::Signature),
    }
}

const fn read_authority(authority: pb::PasswordAuthority) -> Option<PasswordAuthority> {
    match authority {
        pb::PasswordAuthority::Unspecified => None,
        pb::PasswordAuthority::Directory => Some(PasswordAuthority::Directory),
        pb::PasswordAuthority::External => Some(PasswordAuthority::External),
    }
}

const fn read_change(change: pb::PasswordChange) -> Option<PasswordChange> {
    match change {
        pb::PasswordChange::Unspecified => None,
        pb::PasswordChange::Any => Some(PasswordChange::Any),
        pb::PasswordChange::ByLinkOnly => Some(PasswordChange::ByLinkOnly),
    }
}

const MASK: &[&str] = &[
    "title",
    "settings.login",
    "settings.password_authority",
    "settings.invitation_validity_days",
    "settings.welcome_validity_days",
    "settings.max_failed_sign_ins",
    "settings.lock_duration",
    "settings.password_max_age_days",
    "settings.password_change",
    "settings.arrival_registration",
];

/// The fields of a message of which a mask names some.
struct Masked<'a> {
    fields: &'a mut Fields,
    named: BTreeSet<&'static str>,
}

impl Masked<'_> {
    /// Reads a field, if it is named.
    fn read<T, E: Display>(
        &mut self,
        path: &'static str,
        read: impl FnOnce() -> Result<T, E>,
    ) -> Option<T> {
        self.named
            .contains(path)
            .then(|| self.fields.checked(path, read()))
            .flatten()
    }

    /// Reads a choice that must be made, if it is named.
    fn choice<W: TryFrom<i32>, T>(
        &mut self,
        path: &'static str,
        wire: i32,
        read: fn(W) -> Option<T>,
    ) -> Option<T> {
        self.read(path, || {
            known(wire).and_then(|wire| read(wire).ok_or("must be given"))
        })
    }
}

/// The change of what the mask names.
pub(super) fn update(
    fields: &mut Fields,
    title: &str,
    wire: pb::AccountSettings,
    mask: Option<FieldMask>,
) -> UpdateAccountSettings {
    let pb::AccountSettings {
        login,
        password_authority,
        invitation_validity_days,
        welcome_validity_days,
        max_failed_sign_ins,
        lock_duration,
        password_max_age_days,
        password_change,
        arrival_registration,
    } = wire;
    let named = masked(fields, mask, MASK);
    let mut masked = Masked { fields, named };
    UpdateAccountSettings {
        title: masked.read("title", || AccountTitle::parse(title)),
        login: masked.choice("settings.login", login, read_login),
        password_authority: masked.choice(
            "settings.password_authority",
            password_authority,
            read_authority,
        ),
        invitation_validity_days: masked.read("settings.invitation_validity_days", || {
            ValidityDays::parse(invitation_validity_days)
        }),
        welcome_validity_days: masked.read("settings.welcome_validity_days", || {
            ValidityDays::parse(welcome_validity_days)
        }),
        max_failed_sign_ins: masked.read("settings.max_failed_sign_ins", || {
            MaxFailedSignIns::parse(max_failed_sign_ins)
        }),
        lock_duration: masked.read("settings.lock_duration", || read_duration(lock_duration)),
        password_max_age: masked.read("settings.password_max_age_days", || {
            read_age(password_max_age_days)
        }),
        password_change: masked.choice("settings.password_change", password_change, read_change),
        arrival_registration: masked.read("settings.arrival_registration", || {
            Ok::<_, std::convert::Infallible>(arrival_registration)
        }),
    }
}
