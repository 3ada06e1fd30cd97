//! How a user stands: active, inactive, locked, and what survives what.

use rollbook_tests::people::person;
use rollbook_tests::{Answer as _, Code, Directory, Tenant, ask, pb, stories};

stories! {
    r13_a_lock_survives_deactivation_and_reactivation,
    r13_a_command_for_what_already_is_adds_no_event,
    r14_the_operator_unlocks_too,
    r28_the_last_administrator_who_can_act_stays_one,
    r31_deactivating_a_supervisor_answers_who_still_has_it,
    r41_sessions_end_with_a_lock_a_deactivation_and_a_deletion,
}

async fn r13_a_lock_survives_deactivation_and_reactivation(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let anna = acme.user("ANNA").await.user_id;
    let locked = acme
        .admin
        .users()
        .lock_user(ask!(acme, LockUserRequest { user_id: &anna }))
        .await
        .answer()
        .user
        .unwrap();
    assert_eq!(
        (locked.status(), locked.active),
        (pb::UserStatus::LockedByAdmin, true)
    );
    let inactive = acme
        .admin
        .users()
        .deactivate_user(ask!(acme, DeactivateUserRequest { user_id: &anna }))
        .await
        .answer()
        .user
        .unwrap();
    assert_eq!(
        inactive.status(),
        pb::UserStatus::Inactive,
        "the highest facet is shown"
    );
    let active = acme
        .admin
        .users()
        .activate_user(ask!(acme, ActivateUserRequest { user_id: &anna }))
        .await
        .answer()
        .user
        .unwrap();
    assert_eq!(active.status(), pb::UserStatus::LockedByAdmin);
    let unlocked = acme
        .admin
        .users()
        .unlock_user(ask!(acme, UnlockUserRequest { user_id: &anna }))
        .await
        .answer()
        .user
        .unwrap();
    assert_eq!(unlocked.status(), pb::UserStatus::Active);
    assert_eq!(
        acme.event_types(&format!("user-{anna}")).await,
        [
            "UserCreated",
            "UserLocked",
            "UserDeactivated",
            "UserActivated",
            "UserUnlocked"
        ],
        "each is an event",
    );
}

async fn r13_a_command_for_what_already_is_adds_no_event(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let anna = acme.user("ANNA").await.user_id;
    let head = directory.head().await;
    let revision = acme
        .admin
        .users()
        .activate_user(ask!(acme, ActivateUserRequest { user_id: &anna }))
        .await
        .answer()
        .revision;
    let unlocked = acme
        .admin
        .users()
        .unlock_user(ask!(acme, UnlockUserRequest { user_id: &anna }))
        .await
        .answer();
    assert_eq!(
        (unlocked.revision, directory.head().await),
        (revision, head)
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
    let head = directory.head().await;
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
    assert_eq!(directory.head().await, head);
}

async fn r14_the_operator_unlocks_too(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let anna = acme.user("ANNA").await.user_id;
    acme.admin
        .users()
        .lock_user(ask!(acme, LockUserRequest { user_id: &anna }))
        .await
        .answer();
    let unlocked = acme
        .operator
        .users()
        .unlock_user(ask!(acme, UnlockUserRequest { user_id: &anna }))
        .await
        .answer()
        .user
        .unwrap();
    assert_eq!(unlocked.status(), pb::UserStatus::Active);
}

async fn r28_the_last_administrator_who_can_act_stays_one(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let first = acme.administrator.user_id.clone();
    let (second, other) = acme.another_administrator(directory, "ADM2").await;
    let demote = ask!(
        acme,
        UpdateUserRequest {
            user_id: &second.user_id,
            profile: pb::UserProfile {
                user_type: pb::UserType::Standard.into(),
                ..Default::default()
            },
            update_mask: prost_types::FieldMask {
                paths: vec!["user_type".to_owned()]
            },
        }
    );
    acme.admin
        .users()
        .deactivate_user(ask!(acme, DeactivateUserRequest { user_id: &first }))
        .await
        .answer();
    let last = Code::FailedPrecondition;
    other
        .users()
        .update_user(demote)
        .await
        .refusal()
        .is(last, "LAST_ADMINISTRATOR");
    other
        .users()
        .lock_user(ask!(
            acme,
            LockUserRequest {
                user_id: &second.user_id
            }
        ))
        .await
        .refusal()
        .is(last, "LAST_ADMINISTRATOR");
    other
        .users()
        .deactivate_user(ask!(
            acme,
            DeactivateUserRequest {
                user_id: &second.user_id
            }
        ))
        .await
        .refusal()
        .is(last, "LAST_ADMINISTRATOR");
    other
        .users()
        .activate_user(ask!(acme, ActivateUserRequest { user_id: &first }))
        .await
        .answer();
    let locked = other
        .users()
        .lock_user(ask!(acme, LockUserRequest { user_id: &first }))
        .await
        .answer();
    assert_eq!(locked.user.unwrap().status(), pb::UserStatus::LockedByAdmin);
}

async fn r31_deactivating_a_supervisor_answers_who_still_has_it(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let boss = acme.clerk("BOSS").await;
    let mut reports = Vec::new();
    for signature in ["ANNA", "BERT"] {
        let companies = vec![rollbook_tests::people::report_to(
            &acme.companies[0],
            &boss.user_id,
        )];
        reports.push(
            acme.create_user(pb::NewUser {
                companies,
                ..person(signature)
            })
            .await
            .user_id,
        );
    }
    reports.sort();
    let answer = acme
        .admin
        .users()
        .deactivate_user(ask!(
            acme,
            DeactivateUserRequest {
                user_id: &boss.user_id
            }
        ))
        .await
        .answer();
    assert_eq!(
        answer.supervised,
        [pb::SupervisedUsers {
            company_id: acme.companies[0].clone(),
            count: 2,
            user_ids: reports.clone(),
        }]
    );
    assert_eq!(
        acme.get(&reports[0]).await.companies[0].supervisor_id,
        boss.user_id,
        "they keep it"
    );
}

async fn r41_sessions_end_with_a_lock_a_deactivation_and_a_deletion(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let anna = acme.user("ANNA").await;
    let valid_from = |user: &pb::User| {
        user.sessions_valid_from
            .as_ref()
            .map(|time| (time.seconds, time.nanos))
    };
    let mut last = valid_from(&anna);
    for step in 0..3 {
        directory.clock.advance(std::time::Duration::from_mins(1));
        let user = match step {
            0 => {
                acme.admin
                    .users()
                    .lock_user(ask!(
                        acme,
                        LockUserRequest {
                            user_id: &anna.user_id
                        }
                    ))
                    .await
                    .answer()
                    .user
            }
            1 => {
                acme.admin
                    .users()
                    .deactivate_user(ask!(
                        acme,
                        DeactivateUserRequest {
                            user_id: &anna.user_id
                        }
                    ))
                    .await
                    .answer()
                    .user
            }
            _ => {
                acme.admin
                    .users()
                    .delete_user(ask!(
                        acme,
                        DeleteUserRequest {
                            user_id: &anna.user_id
                        }
                    ))
                    .await
                    .answer()
                    .user
            }
        };
        let now = valid_from(&user.unwrap());
        assert!(now > last, "step {step}: {now:?} after {last:?}");
        last = now;
    }
}
