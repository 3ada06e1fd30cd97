//! Names, addresses and language of a user.

use super::*;
use crate::domain::{Claim, Requires};
use crate::samples::{
    ANNA, BERT, admin, created, created_administrator, email, grant, name, service, set, settings,
    signature, user_created,
};
use crate::user::{UserPermissionsSet, UserTypeChanged};
use crate::values::{Login, PasswordAuthority};

#[test]
fn r4_a_former_signature_stays_reserved() {
    let command = UpdateUser {
        signature: Some(signature("AN")),
        ..UpdateUser::default()
    };
    let changed = UserSignatureChanged {
        signature: signature("AN").into(),
    };
    User::given(&[created()])
        .when(admin(), command)
        .then(&[changed.into()])
        .takes(&[Claim::Signature(signature("an").folded())])
        .releases(&[]);
}

#[test]
fn r4_a_user_may_take_its_former_signature_again() {
    let changed = UserSignatureChanged {
        signature: signature("AN").into(),
    };
    let command = UpdateUser {
        signature: Some(signature("anna")),
        ..UpdateUser::default()
    };
    let back = UserSignatureChanged {
        signature: signature("anna").into(),
    };
    User::given(&[created(), changed.into()])
        .held(Claim::Signature(signature("anna").folded()), &ANNA)
        .when(admin(), command)
        .then(&[back.into()]);
}

#[test]
fn r4_a_signature_is_not_changed_to_one_that_is_taken() {
    let command = UpdateUser {
        signature: Some(signature("BERT")),
        ..UpdateUser::default()
    };
    User::given(&[created()])
        .other(BERT, &[user_created(BERT, "bert").into()])
        .when(admin(), command)
        .refused(UserError::SignatureTaken);
}

#[test]
fn r5_an_email_is_not_changed_to_one_that_is_taken_where_it_is_the_login() {
    let command = UpdateUser {
        email: Some(email("bert@ACME.example")),
        ..UpdateUser::default()
    };
    let bert = [user_created(BERT, "bert").into()];
    User::given(&[created()])
        .other(BERT, &bert)
        .when(admin(), command.clone())
        .refused(UserError::EmailTaken);
    let changed = UserEmailChanged {
        email: email("bert@ACME.example").into(),
    };
    User::given(&[created()])
        .with(settings(Login::Signature, PasswordAuthority::Directory))
        .other(BERT, &bert)
        .when(admin(), command)
        .then(&[changed.into()])
        .takes(&[Claim::Email(email("bert@acme.example").folded())])
        .releases(&[Claim::Email(email("anna@acme.example").folded())]);
}

#[test]
fn r8_what_is_not_named_is_untouched() {
    let command = UpdateUser {
        first_name: Some(name("Anne")),
        phone: Some(Some(PhoneNumber::parse("112").unwrap())),
        ..UpdateUser::default()
    };
    let user = User::given(&[created()])
        .when(admin(), command)
        .then(&[
            UserRenamed {
                first_name: name("Anne").into(),
                last_name: name("Berg").into(),
            }
            .into(),
            UserPhoneChanged {
                phone: Some(PhoneNumber::parse("112").unwrap().into()),
            }
            .into(),
        ])
        .state();
    let profile = user.person().unwrap().profile();
    assert_eq!(profile.email, email("anna@acme.example").into());
    assert_eq!(profile.signature, signature("anna").into());
}

#[test]
fn r8_everything_that_is_named_changes_and_the_same_again_does_not() {
    let command = UpdateUser {
        signature: Some(signature("AX")),
        first_name: Some(name("Aino")),
        last_name: Some(name("Xu")),
        email: Some(email("ax@acme.example")),
        phone: Some(Some(PhoneNumber::parse("08 1234").unwrap())),
        mobile_phone: Some(Some(PhoneNumber::parse("070 1234").unwrap())),
        language: Some(Some(LanguageTag::parse("fi").unwrap())),
        user_type: Some(UserType::Administrator),
    };
    let first = User::given(&[created()]).when(admin(), command.clone());
    let events: Vec<UserEvent> = {
        let decided = first.state();
        let person = decided.person().unwrap();
        assert_eq!(person.user_type(), UserType::Administrator);
        assert_eq!(person.profile().language, LanguageTag::parse("fi").ok());
        vec![
            created(),
            UserSignatureChanged {
                signature: signature("AX").into(),
            }
            .into(),
            UserRenamed {
                first_name: name("Aino").into(),
                last_name: name("Xu").into(),
            }
            .into(),
            UserEmailChanged {
                email: email("ax@acme.example").into(),
            }
            .into(),
            UserPhoneChanged {
                phone: Some(PhoneNumber::parse("08 1234").unwrap().into()),
            }
            .into(),
            UserMobilePhoneChanged {
                mobile_phone: Some(PhoneNumber::parse("070 1234").unwrap().into()),
            }
            .into(),
            UserLanguageChanged {
                language: LanguageTag::parse("fi").ok(),
            }
            .into(),
            UserTypeChanged {
                user_type: UserType::Administrator,
            }
            .into(),
        ]
    };
    first.then(&events[1..]);
    User::given(&events).when(admin(), command).then_nothing();
}

#[test]
fn r8_what_is_optional_can_be_taken_away() {
    let mut with_phone = user_created(ANNA, "anna");
    with_phone.phone = Some(PhoneNumber::parse("112").unwrap().into());
    let command = UpdateUser {
        phone: Some(None),
        mobile_phone: Some(None),
        language: Some(None),
        ..UpdateUser::default()
    };
    User::given(&[with_phone.into()])
        .when(admin(), command)
        .then(&[UserPhoneChanged { phone: None }.into()]);
}

#[test]
fn r11_a_new_standard_user_loses_its_administrators_modules_in_the_same_commit() {
    let permissions = set([grant("invoices"), grant("pricing")]);
    let command = UpdateUser {
        user_type: Some(UserType::Standard),
        ..UpdateUser::default()
    };
    User::given(&[
        created_administrator(),
        UserPermissionsSet { permissions }.into(),
    ])
    .when(admin(), command)
    .then(&[
        UserTypeChanged {
            user_type: UserType::Standard,
        }
        .into(),
        UserPermissionsSet {
            permissions: set([grant("invoices")]),
        }
        .into(),
    ])
    .requires(&Requires::Another {
        claim: Claim::Administrator,
        owner: ANNA.to_string(),
    });
}

#[test]
fn r28_the_last_administrator_is_not_demoted() {
    let command = UpdateUser {
        user_type: Some(UserType::Standard),
        ..UpdateUser::default()
    };
    User::given(&[created_administrator()])
        .with_no_other_administrator()
        .when(service(), command)
        .refused(UserError::LastAdministrator);
}
