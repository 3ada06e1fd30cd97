//! A user as the view shows it, and how it is found.

use rollbook_aggregates::account::LoginChanged;
use rollbook_aggregates::domain::{Personal, Recorded};
use rollbook_aggregates::user::{
    Allegiances, CompanyProperties, LinkedCompany, MfaEnrolled, MfaReset, PasswordChanged,
    PasswordExpired, PasswordResetCompleted, PasswordResetExpired, PasswordResetRequested,
    PasswordSet, PasswordState, SessionsRevoked, Status, User, UserActivated, UserAllegiancesSet,
    UserAutoLocked, UserCompaniesRemoved, UserDeactivated, UserDeleted, UserEmailChanged,
    UserEvent, UserLanguageChanged, UserLockExpired, UserLocked, UserMobilePhoneChanged,
    UserPermissionsSet, UserPhoneChanged, UserRenamed, UserShownAsAddressee, UserSignatureChanged,
    UserSupervisorChanged, UserTypeChanged, UserUnlocked, WelcomeCompleted, WelcomeExpired,
    WelcomeIssued,
};
use rollbook_aggregates::values::{
    AccountId, EmailAddress, LanguageTag, Login, ModuleName, Permission, PhoneNumber, Signature,
    UserType, ValidityDays,
};
use rollbook_eventstore::{Log, StreamId};
use rollbook_projections::{FoundUser, Freshness, ListUsers, UserCompany, UserRow, Views};
use serde::Deserialize;
use std::time::Duration;

use crate::kit::*;

/// The user as the domain has it, out of the log.
pub async fn in_the_domain(log: &Log, n: u64) -> User {
    let stream = StreamId::new("user", user_id(n).to_string());
    let mut user = User::default();
    for event in log.load(&[(stream, 0)]).await.unwrap().remove(0) {
        let recorded = Recorded::<UserEvent>::deserialize(&event.payload).unwrap();
        cqrs_es::Aggregate::apply(&mut user, recorded);
    }
    user
}

fn reset(issue: u32) -> UserEvent {
    PasswordResetRequested {
        issue,
        token_digest: digest(1, u8::try_from(issue).unwrap()),
        valid_minutes: 60,
        by_mail: false,
    }
    .into()
}

fn locks_and_passwords() -> Vec<UserEvent> {
    vec![
        UserAutoLocked { by_mail: false }.into(),
        UserLockExpired {}.into(),
        UserAutoLocked { by_mail: true }.into(),
        UserUnlocked {}.into(),
        reset(1),
        PasswordResetExpired { issue: 1 }.into(),
        reset(2),
        PasswordResetCompleted {}.into(),
        PasswordSet { one_time: true }.into(),
        PasswordChanged {}.into(),
        PasswordExpired {}.into(),
        reset(3),
        PasswordSet { one_time: false }.into(),
        MfaEnrolled {}.into(),
        MfaReset {}.into(),
        SessionsRevoked {}.into(),
    ]
}

/// The row says what the domain says.
pub fn assert_same(row: &UserRow, user: &User) {
    let person = user.person().unwrap();
    let profile = person.profile();
    let phone = |phone: &Option<Personal<PhoneNumber>>| {
        phone
            .as_ref()
            .map(|phone| phone.known().unwrap().to_string())
    };
    assert_eq!(row.signature, profile.signature.known().unwrap().as_str());
    assert_eq!(row.first_name, profile.first_name.known().unwrap().as_str());
    assert_eq!(row.last_name, profile.last_name.known().unwrap().as_str());
    assert_eq!(row.email, profile.email.known().unwrap().as_str());
    assert_eq!(row.phone, phone(&profile.phone));
    assert_eq!(row.mobile_phone, phone(&profile.mobile_phone));
    assert_eq!(
        row.language,
        profile.language.as_ref().map(ToString::to_string)
    );
    assert_eq!(row.user_type, person.user_type());
    assert_eq!(row.status, person.status());
    assert_eq!(row.facets, person.facets());
    assert_eq!(row.second_factor, person.credentials().has_second_factor());
    assert_eq!(
        row.roles,
        person
            .roles()
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
    );
    assert_eq!(
        row.permissions,
        person.permissions().iter().cloned().collect::<Vec<_>>()
    );
    let companies: Vec<_> = row
        .companies
        .iter()
        .map(|link| {
            let UserCompany {
                company_id,
                supervisor,
                show_as_addressee,
                allegiances,
            } = link.clone();
            let properties = CompanyProperties {
                show_as_addressee,
                supervisor,
                allegiances,
            };
            (company_id, properties)
        })
        .collect();
    let links = person.companies().iter();
    let expected: Vec<_> = links
        .map(|(company, link)| (*company, link.clone()))
        .collect();
    assert_eq!(companies, expected);
    assert_eq!(row.sessions_valid_from, person.sessions_valid_from());
    assert_eq!(row.created_at, person.created_at());
    assert_eq!(row.modified_at, person.modified_at());
}

fn found_by_signature(views: &Views, text: &str) -> Option<UserRow> {
    let folded = Signature::parse(text).unwrap().folded();
    views
        .users()
        .by_signature(&acme(), folded.as_str())
        .unwrap()
}

fn found_by_email(views: &Views, text: &str) -> Vec<UserRow> {
    let folded = EmailAddress::parse(text).unwrap().folded();
    views.users().by_email(&acme(), folded.as_str()).unwrap()
}

#[tokio::test]
async fn a_user_is_shown_as_the_domain_has_it_after_each_event() {
    let mut directory = Directory::with_account().await;
    let views = directory.views().await;
    let phone = || Personal::Known(PhoneNumber::parse("+46 8 123 456").unwrap());
    let permission = |company| Permission {
        module: ModuleName::parse("invoices").unwrap(),
        company,
    };
    let mut created = person(1);
    created.phone = Some(phone());
    created.language = Some(LanguageTag::parse("pt-BR").unwrap());
    let events: Vec<UserEvent> = vec![
        created.into(),
        roles(&["clerk", "approver"]),
        UserPermissionsSet {
            permissions: [permission(None), permission(Some(company_id(2)))].into(),
        }
        .into(),
        joins(vec![
            linked(2, 1),
            LinkedCompany {
                allegiances: allegiances("14 \"north\"", "P-7"),
                ..linked(1, 9)
            },
        ]),
        UserShownAsAddressee {
            company_id: company_id(1),
            shown: true,
        }
        .into(),
        UserSupervisorChanged {
            company_id: company_id(1),
            supervisor: user_id(7),
        }
        .into(),
        UserAllegiancesSet {
            company_id: company_id(2),
            allegiances: allegiances("15", "P-8"),
        }
        .into(),
        UserAllegiancesSet {
            company_id: company_id(1),
            allegiances: Allegiances::default(),
        }
        .into(),
        UserCompaniesRemoved {
            company_ids: vec![company_id(2)],
        }
        .into(),
        UserRenamed {
            first_name: person_name("Åsa"),
            last_name: person_name("Öst"),
        }
        .into(),
        UserSignatureChanged {
            signature: signature("ÅÖ"),
        }
        .into(),
        UserEmailChanged {
            email: email("Asa@Example.org"),
        }
        .into(),
        UserPhoneChanged { phone: None }.into(),
        UserMobilePhoneChanged {
            mobile_phone: Some(phone()),
        }
        .into(),
        UserLanguageChanged { language: None }.into(),
        UserTypeChanged {
            user_type: UserType::Administrator,
        }
        .into(),
        UserLocked {}.into(),
        UserDeactivated {}.into(),
        UserActivated {}.into(),
        UserUnlocked {}.into(),
        roles(&[]),
    ];
    let events: Vec<UserEvent> = events.into_iter().chain(locks_and_passwords()).collect();
    let events_in_all = events.len() as u64;
    for event in events {
        directory.clock.advance(Duration::from_mins(1));
        directory
            .commit(&acme(), vec![to_user(user_id(1), vec![event])])
            .await;
        let row = user(&views, 1).await.unwrap();
        assert_same(&row, &in_the_domain(&directory.log, 1).await);
    }
    let row = user(&views, 1).await.unwrap();
    assert_eq!(
        (row.revision, row.position),
        (events_in_all, directory.log.head().await.unwrap())
    );
}

#[tokio::test]
async fn r16_who_follows_its_welcome_link_is_shown_as_onboarded() {
    let mut directory = Directory::with_account().await;
    let views = directory.views().await;
    let issued = |issue| WelcomeIssued {
        issue,
        token_digest: digest(1, 1),
        validity_days: ValidityDays::default(),
        by_mail: false,
    };
    for (n, password) in [(1, PasswordState::Set), (2, PasswordState::None)] {
        let mut created = person(n);
        created.onboarded = false;
        created.password = PasswordState::None;
        let events: Vec<UserEvent> = vec![
            created.into(),
            issued(1).into(),
            WelcomeExpired { issue: 1 }.into(),
            issued(2).into(),
            WelcomeCompleted { password }.into(),
        ];
        for event in events {
            directory.clock.advance(Duration::from_mins(1));
            directory
                .commit(&acme(), vec![to_user(user_id(n), vec![event])])
                .await;
            let row = user(&views, n).await.unwrap();
            assert_same(&row, &in_the_domain(&directory.log, n).await);
        }
    }
}

#[tokio::test]
async fn r42_a_sign_in_is_shown_and_changes_nothing_else() {
    let mut directory = Directory::with_account().await;
    let views = directory.views().await;
    directory
        .commit(&acme(), vec![to_user(user_id(1), vec![person(1).into()])])
        .await;
    let before = user(&views, 1).await.unwrap();
    assert_eq!(before.last_signed_in_at, None);
    for _ in 0..2 {
        directory.clock.advance(Duration::from_mins(1));
        let position = directory.commit(&acme(), vec![signed_in(user_id(1))]).await;
        let recorded = directory
            .log
            .follow_batch(position - 1, 1)
            .await
            .unwrap()
            .remove(0);
        views.users().fresh(Freshness::Latest, None).await.unwrap();
        let row = user(&views, 1).await.unwrap();
        assert_eq!(row.last_signed_in_at, Some(recorded.recorded_at));
        let otherwise = UserRow {
            last_signed_in_at: None,
            ..row
        };
        assert_eq!(otherwise, before);
    }
}

#[tokio::test]
async fn an_involvement_moves_the_revision_and_does_not_modify_the_user() {
    let mut directory = Directory::with_account().await;
    let views = directory.views().await;
    directory
        .commit(&acme(), vec![to_user(user_id(1), vec![person(1).into()])])
        .await;
    let queued = rollbook_aggregates::user::InvoiceQueued {
        company_id: company_id(1),
        invoice_id: invoice_id(1),
    };
    let position = directory
        .commit(&acme(), vec![to_user(user_id(1), vec![queued.into()])])
        .await;
    let row = user(&views, 1).await.unwrap();
    assert_eq!((row.revision, row.position), (2, position));
    assert_eq!(row.modified_at, row.created_at);
}

#[tokio::test]
async fn r13_the_recorded_status_is_the_domains_for_every_mix_of_facets() {
    let mut directory = Directory::with_account().await;
    let views = directory.views().await;
    let mut seen = Vec::new();
    for n in 0..96 {
        let mut created = person(n);
        created.active = n % 2 == 0;
        created.onboarded = n % 4 < 2;
        created.password = [
            PasswordState::None,
            PasswordState::Set,
            PasswordState::OneTime,
        ][(n % 3) as usize];
        let mut events = vec![created.into()];
        if n % 8 < 4 {
            events.push(UserLocked {}.into());
        }
        if n % 32 >= 16 {
            events.push(UserAutoLocked { by_mail: false }.into());
        }
        if n >= 48 {
            events.push(reset(1));
        }
        directory
            .commit(&acme(), vec![to_user(user_id(n), events)])
            .await;
        let status = user(&views, n).await.unwrap().status;
        assert_eq!(
            Some(status),
            in_the_domain(&directory.log, n).await.status()
        );
        seen.push(status);
    }
    seen.sort();
    seen.dedup();
    let reached = [
        Status::Inactive,
        Status::LockedByAdmin,
        Status::AutoLocked,
        Status::Recovery,
        Status::AwaitingNewPassword,
        Status::Provisioned,
        Status::Active,
    ];
    assert_eq!(seen, reached);
}

#[tokio::test]
async fn r4_a_signature_is_found_in_any_case_and_width_but_not_without_its_accents() {
    let mut directory = Directory::with_account().await;
    let views = directory.views().await;
    directory
        .commit(
            &acme(),
            vec![to_user(
                user_id(1),
                vec![named(1, "Åse", "Åse", "Å").into()],
            )],
        )
        .await;
    directory
        .commit(
            &acme(),
            vec![to_user(user_id(2), vec![named(2, "ASE", "A", "Se").into()])],
        )
        .await;
    views.users().fresh(Freshness::Latest, None).await.unwrap();
    for (text, n) in [("åSE", 1), ("A\u{30a}se", 1), ("ａｓｅ", 2), ("Ase", 2)] {
        assert_eq!(
            found_by_signature(&views, text).unwrap().user_id,
            user_id(n),
            "{text}"
        );
    }
    assert!(found_by_signature(&views, "as").is_none());
}

#[tokio::test]
async fn r5_a_shared_address_is_answered_with_more_than_one_user() {
    let mut directory = Directory::with_account().await;
    let views = directory.views().await;
    for n in 1..=3 {
        let mut created = person(n);
        created.email = email(if n == 3 {
            "other@example.com"
        } else {
            "Shared@example.com"
        });
        directory
            .commit(&acme(), vec![to_user(user_id(n), vec![created.into()])])
            .await;
    }
    views.users().fresh(Freshness::Latest, None).await.unwrap();
    assert_eq!(found_by_email(&views, "SHARED@example.com").len(), 2);
    assert_eq!(
        found_by_email(&views, "other@EXAMPLE.com")[0].user_id,
        user_id(3)
    );
    assert!(found_by_email(&views, "nobody@example.com").is_empty());
}

#[tokio::test]
async fn r7_a_changed_address_is_found_as_soon_as_it_was_acknowledged_and_the_old_one_is_not() {
    let mut directory = Directory::with_account().await;
    let views = directory.views().await;
    directory
        .commit(&acme(), vec![to_user(user_id(1), vec![person(1).into()])])
        .await;
    for n in 0..20 {
        let address = format!("New{n}@example.com");
        let changed = UserEmailChanged {
            email: email(&address),
        };
        directory
            .commit(&acme(), vec![to_user(user_id(1), vec![changed.into()])])
            .await;
        views.users().fresh(Freshness::Latest, None).await.unwrap();
        assert_eq!(found_by_email(&views, &address).len(), 1);
    }
    assert!(found_by_email(&views, "P1@example.com").is_empty());
    assert!(found_by_email(&views, "New18@example.com").is_empty());
}

#[tokio::test]
async fn r14_what_is_told_of_a_user_goes_by_the_clock_whatever_is_kept() {
    let mut directory = Directory::with_account().await;
    let views = directory.views().await;
    let events: Vec<UserEvent> = vec![person(1).into(), reset(1)];
    directory
        .commit(&acme(), vec![to_user(user_id(1), events)])
        .await;
    let recorded = user(&views, 1).await.unwrap();
    assert_eq!(recorded.status, Status::Recovery);
    let until = recorded.facets.reset_until.unwrap();
    let before = until - chrono::TimeDelta::microseconds(1);
    for now in [before, until, before, until] {
        let users = views.users().at(now);
        let by_clock = users.get(&acme(), user_id(1)).unwrap().unwrap();
        let FoundUser::Present(row) = &by_clock else {
            panic!("it is there");
        };
        assert_eq!(row.status == Status::Recovery, now == before);
        let told = users.told(tell).get(&acme(), user_id(1)).unwrap();
        assert_eq!(told, Some(tell(by_clock)));
    }
    let everybody = ListUsers::of(acme());
    let listed = views.users().told(tell).list(everybody).await.unwrap();
    let found = FoundUser::Present(Box::new(recorded));
    assert_eq!(listed.rows, [tell(found)]);
}

#[tokio::test]
async fn the_user_name_follows_from_the_login_of_the_account() {
    let mut directory = Directory::with_account().await;
    let views = directory.views().await;
    directory
        .commit(&acme(), vec![to_user(user_id(1), vec![person(1).into()])])
        .await;
    assert_eq!(user(&views, 1).await.unwrap().user_name, "p1@Example.com");
    let by_name = |text: &str| {
        views
            .users()
            .by_user_name(&acme(), text)
            .unwrap()
            .map(|row| row.user_id)
    };
    assert_eq!(by_name("P1@example.COM"), Some(user_id(1)));
    assert_eq!(by_name("P1"), None);
    let changed = LoginChanged {
        login: Login::Signature,
    };
    directory
        .commit(&acme(), vec![to_account(&acme(), vec![changed.into()])])
        .await;
    assert_eq!(user(&views, 1).await.unwrap().user_name, "P1");
    assert_eq!(by_name("p1"), Some(user_id(1)));
    assert_eq!(by_name("P1@example.com"), None);
    assert_eq!(by_name("two words"), None);
}

#[tokio::test]
async fn r26_of_a_deleted_user_only_its_deletion_is_shown() {
    let mut directory = Directory::with_account().await;
    let views = directory.views().await;
    let events = vec![
        person(1).into(),
        roles(&["clerk"]),
        joins(vec![linked(1, 1)]),
    ];
    directory
        .commit(&acme(), vec![to_user(user_id(1), events)])
        .await;
    let created_at = user(&views, 1).await.unwrap().created_at;
    directory.clock.advance(std::time::Duration::from_mins(1));
    let deletion = to_user(user_id(1), vec![UserDeleted {}.into()]).forgetting();
    let position = directory.commit(&acme(), vec![deletion]).await;
    views.users().fresh(Freshness::Latest, None).await.unwrap();
    match views.users().get(&acme(), user_id(1)).unwrap() {
        Some(FoundUser::Deleted(gone)) => {
            assert_eq!(
                (gone.revision, gone.position, gone.created_at),
                (4, position, created_at)
            );
            assert!(gone.deleted_at > created_at);
        }
        other => panic!("{other:?}"),
    }
    assert!(found_by_signature(&views, "P1").is_none());
    assert!(found_by_email(&views, "P1@example.com").is_empty());
}

#[tokio::test]
async fn r57_many_users_are_answered_in_the_order_asked() {
    let mut directory = Directory::with_account().await;
    let views = directory.views().await;
    for n in 1..=3 {
        directory
            .commit(&acme(), vec![to_user(user_id(n), vec![person(n).into()])])
            .await;
    }
    directory
        .commit(
            &acme(),
            vec![to_user(user_id(2), vec![UserDeleted {}.into()]).forgetting()],
        )
        .await;
    views.users().fresh(Freshness::Latest, None).await.unwrap();
    let asked = [3, 9, 2, 1, 3].map(user_id).to_vec();
    let answers: Vec<Option<(bool, u64)>> = views
        .users()
        .get_many(&acme(), asked)
        .await
        .unwrap()
        .into_iter()
        .map(|found| {
            found.map(|found| match found {
                FoundUser::Present(row) => (true, row.revision),
                FoundUser::Deleted(gone) => (false, gone.revision),
            })
        })
        .collect();
    assert_eq!(
        answers,
        [
            Some((true, 1)),
            None,
            Some((false, 2)),
            Some((true, 1)),
            Some((true, 1))
        ]
    );
}

#[tokio::test]
async fn a_user_of_another_account_is_not_there() {
    let mut directory = Directory::with_account().await;
    let views = directory.views().await;
    directory
        .commit(&acme(), vec![to_user(user_id(1), vec![person(1).into()])])
        .await;
    directory
        .commit(&acme(), vec![to_user(user_id(2), vec![person(2).into()])])
        .await;
    directory
        .commit(
            &acme(),
            vec![to_user(user_id(2), vec![UserDeleted {}.into()]).forgetting()],
        )
        .await;
    views.users().fresh(Freshness::Latest, None).await.unwrap();
    let other = AccountId::parse("other").unwrap();
    for n in [1, 2] {
        assert_eq!(views.users().get(&other, user_id(n)).unwrap(), None);
    }
    assert_eq!(views.users().by_signature(&other, "p1").unwrap(), None);
}
