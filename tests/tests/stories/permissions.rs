//! Roles, permissions and what they come to.

use rollbook_tests::people::{grant, link, person};
use rollbook_tests::{Answer as _, Code, Directory, Tenant, ask, pb, stories};

use pb::AccessDenialReason as Denial;

stories! {
    r10_roles_are_of_the_catalogue_and_setting_them_is_idempotent,
    r11_a_standard_user_never_has_an_administrator_only_module,
    r11_an_administrator_who_becomes_standard_loses_such_grants_in_the_same_commit,
    r71_access_is_answered_with_every_reason_why_not,
    r71_a_session_that_began_before_a_lock_gives_no_access,
    r71_who_has_not_completed_onboarding_has_no_access,
}

async fn r10_roles_are_of_the_catalogue_and_setting_them_is_idempotent(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let anna = acme.user("ANNA").await.user_id;
    let set = |mode: pb::SetMode, roles: &[&str]| {
        ask!(
            acme,
            SetUserRolesRequest {
                user_id: &anna,
                mode,
                roles: roles
                    .iter()
                    .map(|role| (*role).to_owned())
                    .collect::<Vec<_>>(),
            }
        )
    };
    let steps: [(pb::SetMode, &[&str], &[&str]); 5] = [
        (pb::SetMode::Add, &["manager"], &["manager"]),
        (
            pb::SetMode::Add,
            &["clerk", "manager"],
            &["clerk", "manager"],
        ),
        (pb::SetMode::Remove, &["manager", "reviewer"], &["clerk"]),
        (pb::SetMode::Replace, &["reviewer"], &["reviewer"]),
        (pb::SetMode::Replace, &[], &[]),
    ];
    for (mode, roles, expected) in steps {
        let first = acme
            .admin
            .users()
            .set_user_roles(set(mode, roles))
            .await
            .answer();
        assert_eq!(first.user.unwrap().roles, expected);
        let again = acme
            .admin
            .users()
            .set_user_roles(set(mode, roles))
            .await
            .answer();
        assert_eq!(
            again.revision, first.revision,
            "{mode:?} {roles:?} again adds no event"
        );
    }
    for mode in [pb::SetMode::Add, pb::SetMode::Replace] {
        acme.admin
            .users()
            .set_user_roles(set(mode, &["clerk", "pilot"]))
            .await
            .refusal()
            .is(Code::NotFound, "ROLE_NOT_FOUND");
    }
    let pilot = pb::NewUser {
        roles: vec!["pilot".to_owned()],
        ..person("BERT")
    };
    acme.try_create(pilot)
        .await
        .refusal()
        .is(Code::NotFound, "ROLE_NOT_FOUND");
}

async fn r11_a_standard_user_never_has_an_administrator_only_module(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let anna = acme.user("ANNA").await.user_id;
    for module in ["pricing", "payment", "user-management"] {
        acme.admin
            .users()
            .set_user_permissions(ask!(
                acme,
                SetUserPermissionsRequest {
                    user_id: &anna,
                    permissions: vec![grant(module)],
                }
            ))
            .await
            .refusal()
            .is(Code::FailedPrecondition, "MODULE_ADMINISTRATOR_ONLY");
        let user = pb::NewUser {
            permissions: vec![grant(module)],
            ..person("BERT")
        };
        acme.try_create(user)
            .await
            .refusal()
            .is(Code::FailedPrecondition, "MODULE_ADMINISTRATOR_ONLY");
    }
    let unknown = vec![grant("cooking")];
    acme.admin
        .users()
        .set_user_permissions(ask!(
            acme,
            SetUserPermissionsRequest {
                user_id: &anna,
                permissions: unknown,
            }
        ))
        .await
        .refusal()
        .is(Code::NotFound, "MODULE_NOT_FOUND");
    let nowhere = pb::Permission {
        module: "invoices".to_owned(),
        company_id: uuid::Uuid::now_v7().to_string(),
    };
    acme.admin
        .users()
        .set_user_permissions(ask!(
            acme,
            SetUserPermissionsRequest {
                user_id: &anna,
                permissions: vec![nowhere],
            }
        ))
        .await
        .refusal()
        .is(Code::NotFound, "COMPANY_NOT_FOUND");
}

async fn r11_an_administrator_who_becomes_standard_loses_such_grants_in_the_same_commit(
    directory: &Directory,
) {
    let acme = Tenant::create(directory, "acme").await;
    let (bert, _) = acme.another_administrator(directory, "BERT").await;
    acme.admin
        .users()
        .set_user_permissions(ask!(
            acme,
            SetUserPermissionsRequest {
                user_id: &bert.user_id,
                permissions: vec![grant("pricing"), grant("invoices")],
            }
        ))
        .await
        .answer();
    let before = directory.head().await;
    let demoted = acme
        .admin
        .users()
        .update_user(ask!(
            acme,
            UpdateUserRequest {
                user_id: &bert.user_id,
                profile: pb::UserProfile {
                    user_type: pb::UserType::Standard.into(),
                    ..Default::default()
                },
                update_mask: prost_types::FieldMask {
                    paths: vec!["user_type".to_owned()]
                },
            }
        ))
        .await
        .answer();
    assert_eq!(demoted.user.unwrap().permissions, [grant("invoices")]);
    let events = directory.events().await;
    assert!(
        events
            .iter()
            .filter(|event| event.position > before)
            .all(|event| event.commit_position == demoted.position)
    );
}

async fn r71_access_is_answered_with_every_reason_why_not(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let (alpha, beta) = (acme.companies[0].clone(), acme.companies[1].clone());
    let anna = acme
        .create_user(pb::NewUser {
            companies: vec![link(&alpha), link(&beta)],
            permissions: vec![
                grant("archive"),
                pb::Permission {
                    module: "invoices".to_owned(),
                    company_id: alpha.clone(),
                },
            ],
            ..person("ANNA")
        })
        .await
        .user_id;
    let check = async |user_id: &str, module: &str, company_id: &str| {
        let answer = acme
            .service
            .users()
            .check_access(ask!(
                acme,
                CheckAccessRequest {
                    user_id,
                    module,
                    company_id
                }
            ))
            .await
            .answer();
        assert_eq!(answer.allowed, answer.denials.is_empty());
        answer.denials().collect::<Vec<_>>()
    };
    assert_eq!(check(&anna, "archive", "").await, []);
    assert_eq!(
        check(&anna, "archive", &beta).await,
        [],
        "the whole account covers each company"
    );
    assert_eq!(check(&anna, "invoices", &alpha).await, []);
    assert_eq!(check(&anna, "invoices", &beta).await, [Denial::NoGrant]);
    assert_eq!(
        check(&anna, "invoices", "").await,
        [Denial::NoGrant],
        "one company is not the account"
    );
    assert_eq!(check(&anna, "cooking", "").await, [Denial::ModuleUnknown]);
    let gamma = acme.companies[2].as_str();
    assert!(
        check(&anna, "archive", gamma)
            .await
            .contains(&Denial::CompanyNotLinked)
    );
    let admin = acme.administrator.user_id.as_str();
    assert_eq!(
        check(admin, "pricing", "").await,
        [],
        "an administrator has every module"
    );
    acme.admin
        .users()
        .lock_user(ask!(acme, LockUserRequest { user_id: &anna }))
        .await
        .answer();
    acme.admin
        .users()
        .deactivate_user(ask!(acme, DeactivateUserRequest { user_id: &anna }))
        .await
        .answer();
    assert_eq!(
        check(&anna, "invoices", &beta).await,
        [Denial::Inactive, Denial::Locked, Denial::NoGrant]
    );
    acme.admin
        .users()
        .delete_user(ask!(acme, DeleteUserRequest { user_id: &anna }))
        .await
        .answer();
    assert!(check(&anna, "archive", "").await.contains(&Denial::Deleted));
}

async fn r71_a_session_that_began_before_a_lock_gives_no_access(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let anna = acme
        .create_user(pb::NewUser {
            permissions: vec![grant("archive")],
            ..person("ANNA")
        })
        .await
        .user_id;
    let at = |time: chrono::DateTime<chrono::Utc>| prost_types::Timestamp {
        seconds: time.timestamp(),
        nanos: 0,
    };
    let began = at(directory.clock.now());
    directory.clock.advance(std::time::Duration::from_mins(1));
    acme.admin
        .users()
        .lock_user(ask!(acme, LockUserRequest { user_id: &anna }))
        .await
        .answer();
    acme.admin
        .users()
        .unlock_user(ask!(acme, UnlockUserRequest { user_id: &anna }))
        .await
        .answer();
    directory.clock.advance(std::time::Duration::from_mins(1));
    let check = async |session_started_at: prost_types::Timestamp| {
        acme.service
            .users()
            .check_access(ask!(
                acme,
                CheckAccessRequest {
                    user_id: &anna,
                    module: "archive",
                    session_started_at,
                }
            ))
            .await
            .answer()
    };
    assert_eq!(
        check(began).await.denials().collect::<Vec<_>>(),
        [Denial::SessionsEnded]
    );
    assert!(check(at(directory.clock.now())).await.allowed);
}

async fn r71_who_has_not_completed_onboarding_has_no_access(directory: &Directory) {
    let acme = Tenant::with_passwords(directory, "acme").await;
    let user = pb::NewUser {
        welcome: true,
        permissions: vec![grant("archive")],
        ..person("ANNA")
    };
    let anna = acme.create_user(user).await.user_id;
    let once = pb::NewUser {
        password: rollbook_tests::people::PASSWORD.to_owned(),
        one_time_password: true,
        permissions: vec![grant("archive")],
        ..person("BERT")
    };
    let bert = acme.create_user(once).await.user_id;
    for (user_id, denial) in [
        (anna, Denial::NotOnboarded),
        (bert, Denial::PasswordChangeRequired),
    ] {
        let answer = acme
            .service
            .users()
            .check_access(ask!(
                acme,
                CheckAccessRequest {
                    user_id,
                    module: "archive"
                }
            ))
            .await
            .answer();
        assert_eq!(answer.denials().collect::<Vec<_>>(), [denial]);
    }
}
