//! Passwords, links, second factors, sign-ins and sessions.

use std::time::Duration;

use futures::future::join_all;
use rollbook_services::passwords::Cost;
use rollbook_tests::directory::Views;
use rollbook_tests::files::{files_with, tables_with};
use rollbook_tests::people::{PASSWORD, administrator, person};
use rollbook_tests::{
    Answer as _, Code, Directory, Home, Identity, Refusal, Role, Tenant, ask, pb, stories,
};

use pb::SignInResult::{Inactive, Locked, PasswordChangeRequired, Rejected, SignedIn};
use pb::UserStatus;
use pb::request_password_reset_request::Key;

stories! {
    r22_a_wrong_password_and_an_unknown_user_are_rejected_alike,
    r22_of_a_thousand_wrong_passwords_at_once_no_more_than_the_limit_are_evaluated,
    r22_many_right_passwords_at_once_lock_nobody,
    r22_what_keeps_a_user_out_is_told_to_who_knows_the_password,
    r14_the_system_locks_until_somebody_unlocks_or_its_time_is_over,
    r14_a_right_password_ends_the_row_of_wrong_ones,
    r28_an_administrator_whose_lock_is_over_by_the_clock_counts,
    r21_a_one_time_password_is_changed_at_the_first_sign_in,
    r21_a_password_that_is_too_old_must_be_changed,
    r20_who_gives_a_password_proves_its_own,
    r20_ones_own_password_is_changed_with_the_present_one,
    r19_where_a_password_changes_by_link_only_nobody_changes_it_otherwise,
    r17_passwords_are_long_uncommon_and_shorter_with_a_second_factor,
    r18_where_passwords_are_kept_elsewhere_sign_ins_are_reported,
    r15_a_second_factor_is_reported_and_cleared,
    r16_a_welcome_is_sent_again_and_followed_once,
    r23_a_reset_link_is_good_once_and_for_an_hour,
    r23_a_portal_is_not_told_whether_there_is_such_a_user,
    r41_sessions_end_with_another_password_and_when_they_are_revoked,
    r42_a_sign_in_is_an_event_that_no_command_loads,
}

const OTHER: &str = "two grey herons at the weir";
const WRONG: &str = "nobody ever chose this one";

async fn set_settings(tenant: &Tenant, settings: pb::AccountSettings, paths: &[&str]) {
    let paths = paths.iter().map(|path| format!("settings.{path}"));
    tenant
        .admin
        .accounts()
        .update_account_settings(ask!(
            tenant,
            UpdateAccountSettingsRequest {
                settings,
                update_mask: prost_types::FieldMask {
                    paths: paths.collect()
                },
            }
        ))
        .await
        .answer();
}

async fn lock_for(tenant: &Tenant, seconds: i64) {
    let settings = pb::AccountSettings {
        lock_duration: Some(prost_types::Duration { seconds, nanos: 0 }),
        ..pb::AccountSettings::default()
    };
    set_settings(tenant, settings, &["lock_duration"]).await;
}

async fn unlock(tenant: &Tenant, user_id: &str) {
    tenant
        .operator
        .users()
        .unlock_user(ask!(tenant, UnlockUserRequest { user_id }))
        .await
        .answer();
}

async fn fail(tenant: &Tenant, email: &str, times: usize) {
    for _ in 0..times {
        assert_eq!(tenant.sign_in(email, WRONG).await, Rejected);
    }
}

async fn set_password(
    tenant: &Tenant,
    user_id: &str,
    one_time: bool,
    administrator_password: &str,
) -> Result<pb::User, Box<Refusal>> {
    let request = ask!(
        tenant,
        SetPasswordRequest {
            user_id,
            password: OTHER,
            one_time,
            administrator_password,
        }
    );
    let answer = tenant.admin.credentials().set_password(request).await;
    answer.outcome().map(|answer| answer.user.unwrap())
}

async fn change_password(
    tenant: &Tenant,
    user_id: &str,
    present_password: &str,
    password: &str,
) -> Result<pb::User, Box<Refusal>> {
    let request = ask!(
        tenant,
        ChangePasswordRequest {
            user_id,
            present_password,
            password,
        }
    );
    let answer = tenant.portal.credentials().change_password(request).await;
    answer.outcome().map(|answer| answer.user.unwrap())
}

async fn complete_reset(
    tenant: &Tenant,
    token: &str,
    password: &str,
) -> Result<pb::User, Box<Refusal>> {
    let request = pb::CompletePasswordResetRequest {
        token: token.to_owned(),
        password: password.to_owned(),
        command: None,
    };
    let mut portal = tenant.portal.credentials();
    let answer = portal.complete_password_reset(request).await;
    answer.outcome().map(|answer| answer.user.unwrap())
}

async fn r22_a_wrong_password_and_an_unknown_user_are_rejected_alike(directory: &Directory) {
    let acme = Tenant::with_passwords(directory, "acme").await;
    let anna = acme.user_with("ANNA", PASSWORD).await;
    let verify = async |user_name: &str, password: &str| {
        acme.portal
            .credentials()
            .verify_password(ask!(
                acme,
                VerifyPasswordRequest {
                    user_name,
                    password
                }
            ))
            .await
            .answer()
    };
    let signed_in = verify("anna@EXAMPLE.com", PASSWORD).await;
    assert_eq!(signed_in.result(), SignedIn);
    assert_eq!(signed_in.position, directory.head().await);
    assert_eq!(signed_in.user.unwrap().user_id, anna.user_id);
    let wrong = verify("anna@example.com", "x").await;
    assert_eq!(wrong.result(), Rejected);
    assert_eq!((&wrong.user, wrong.position), (&None, 0));
    let head = directory.head().await;
    for name in ["bert@example.com", "ANNA", "\u{7}", "anna@example.org"] {
        assert_eq!(verify(name, PASSWORD).await, wrong, "{name}");
    }
    assert_eq!(directory.head().await, head, "a failure is no event");
    acme.portal
        .credentials()
        .verify_password(ask!(acme, VerifyPasswordRequest {}))
        .await
        .refusal()
        .is(Code::InvalidArgument, "MALFORMED")
        .names(&["user_name", "password"]);
}

async fn r22_of_a_thousand_wrong_passwords_at_once_no_more_than_the_limit_are_evaluated(
    directory: &Directory,
) {
    let acme = Tenant::with_passwords(directory, "acme").await;
    let anna = acme.user_with("ANNA", PASSWORD).await;
    let attempts = (0..1000).map(|_| acme.sign_in(&anna.email, WRONG));
    let results = join_all(attempts).await;
    let count = |result| results.iter().filter(|each| **each == result).count();
    // Only what was evaluated is rejected; everybody else is told that the user is locked.
    assert_eq!((count(Rejected), count(Locked)), (5, 995));
    assert_eq!(acme.sign_in(&anna.email, PASSWORD).await, Locked);
    let stream = format!("user-{}", anna.user_id);
    assert_eq!(
        acme.event_types(&stream).await,
        ["UserCreated", "UserAutoLocked"]
    );
    assert_eq!(
        acme.get(&anna.user_id).await.status(),
        UserStatus::AutoLocked
    );
    let locked = directory.events().await.pop().unwrap();
    assert_eq!(
        (locked.actor.as_str(), locked.service.as_str()),
        ("system", "rollbook")
    );
}

async fn r22_many_right_passwords_at_once_lock_nobody(directory: &Directory) {
    let acme = Tenant::with_passwords(directory, "acme").await;
    let anna = acme.user_with("ANNA", PASSWORD).await;
    let attempts = (0..40).map(|_| acme.sign_in(&anna.email, PASSWORD));
    let results = join_all(attempts).await;
    assert!(
        results.iter().all(|result| *result == SignedIn),
        "{results:?}"
    );
    let stream = format!("signin-{}", anna.user_id);
    assert_eq!(acme.event_types(&stream).await.len(), 40);
}

async fn r22_what_keeps_a_user_out_is_told_to_who_knows_the_password(directory: &Directory) {
    let acme = Tenant::with_passwords(directory, "acme").await;
    let anna = acme.user_with("ANNA", PASSWORD).await;
    let user_id = &anna.user_id;
    acme.admin
        .users()
        .lock_user(ask!(acme, LockUserRequest { user_id }))
        .await
        .answer();
    assert_eq!(acme.sign_in(&anna.email, WRONG).await, Rejected);
    assert_eq!(acme.sign_in(&anna.email, PASSWORD).await, Locked);
    acme.admin
        .users()
        .deactivate_user(ask!(acme, DeactivateUserRequest { user_id }))
        .await
        .answer();
    assert_eq!(acme.sign_in(&anna.email, WRONG).await, Rejected);
    assert_eq!(acme.sign_in(&anna.email, PASSWORD).await, Inactive);
    acme.admin
        .users()
        .delete_user(ask!(acme, DeleteUserRequest { user_id }))
        .await
        .answer();
    assert_eq!(acme.sign_in(&anna.email, PASSWORD).await, Rejected);
    let types = acme.event_types(&format!("signin-{user_id}")).await;
    assert!(types.is_empty(), "{types:?}");
}

async fn r14_the_system_locks_until_somebody_unlocks_or_its_time_is_over(directory: &Directory) {
    let acme = Tenant::with_passwords(directory, "acme").await;
    let anna = acme.user_with("ANNA", PASSWORD).await;
    fail(&acme, &anna.email, 5).await;
    directory.clock.advance(Duration::from_hours(48));
    assert_eq!(acme.sign_in(&anna.email, PASSWORD).await, Locked);
    unlock(&acme, &anna.user_id).await;
    assert_eq!(acme.sign_in(&anna.email, PASSWORD).await, SignedIn);

    lock_for(&acme, 600).await;
    fail(&acme, &anna.email, 5).await;
    directory.clock.advance(Duration::from_secs(590));
    assert_eq!(acme.sign_in(&anna.email, PASSWORD).await, Locked);
    directory.clock.advance(Duration::from_secs(20));
    assert_eq!(acme.get(&anna.user_id).await.status(), UserStatus::Active);
    assert_eq!(acme.sign_in(&anna.email, PASSWORD).await, SignedIn);
    let types = acme.event_types(&format!("user-{}", anna.user_id)).await;
    let expected = [
        "UserCreated",
        "UserAutoLocked",
        "UserUnlocked",
        "UserAutoLocked",
        "UserLockExpired",
    ];
    assert_eq!(types, expected);
}

async fn r14_a_right_password_ends_the_row_of_wrong_ones(directory: &Directory) {
    let acme = Tenant::with_passwords(directory, "acme").await;
    let anna = acme.user_with("ANNA", PASSWORD).await;
    for _ in 0..3 {
        fail(&acme, &anna.email, 4).await;
        assert_eq!(acme.sign_in(&anna.email, PASSWORD).await, SignedIn);
    }
    fail(&acme, &anna.email, 4).await;
    unlock(&acme, &anna.user_id).await;
    fail(&acme, &anna.email, 4).await;
    assert_eq!(acme.sign_in(&anna.email, PASSWORD).await, SignedIn);
    let settings = pb::AccountSettings {
        max_failed_sign_ins: 2,
        ..pb::AccountSettings::default()
    };
    set_settings(&acme, settings, &["max_failed_sign_ins"]).await;
    fail(&acme, &anna.email, 2).await;
    assert_eq!(acme.sign_in(&anna.email, PASSWORD).await, Locked);
}

async fn r28_an_administrator_whose_lock_is_over_by_the_clock_counts(directory: &Directory) {
    let acme = Tenant::with_passwords(directory, "acme").await;
    let second = pb::NewUser {
        password: PASSWORD.to_owned(),
        ..administrator("ADM2")
    };
    let second = acme.create_user(second).await;
    lock_for(&acme, 600).await;
    fail(&acme, &second.email, 5).await;
    let own = &acme.administrator.user_id;
    let deactivate = ask!(acme, DeactivateUserRequest { user_id: own });
    let refused = acme.admin.users().deactivate_user(deactivate.clone()).await;
    refused
        .refusal()
        .is(Code::FailedPrecondition, "LAST_ADMINISTRATOR");
    directory.clock.advance(Duration::from_mins(11));
    let other = acme.administrator_caller(directory, &second.user_id);
    let list = ask!(acme, ListUsersRequest {});
    other.users().list_users(list).await.answer();
    acme.admin
        .users()
        .deactivate_user(deactivate)
        .await
        .answer();
}

async fn r21_a_one_time_password_is_changed_at_the_first_sign_in(directory: &Directory) {
    let acme = Tenant::with_passwords(directory, "acme").await;
    let anna = pb::NewUser {
        password: PASSWORD.to_owned(),
        one_time_password: true,
        ..person("ANNA")
    };
    let anna = acme.create_user(anna).await;
    assert_eq!(anna.status(), UserStatus::AwaitingNewPassword);
    let required = acme.sign_in(&anna.email, PASSWORD).await;
    assert_eq!(required, PasswordChangeRequired);
    let same = change_password(&acme, &anna.user_id, PASSWORD, PASSWORD).await;
    same.unwrap_err()
        .is(Code::InvalidArgument, "MALFORMED")
        .names(&["password"]);
    let changed = change_password(&acme, &anna.user_id, PASSWORD, OTHER).await;
    assert_eq!(changed.unwrap().status(), UserStatus::Active);
    assert_eq!(acme.sign_in(&anna.email, PASSWORD).await, Rejected);
    assert_eq!(acme.sign_in(&anna.email, OTHER).await, SignedIn);
}

async fn r21_a_password_that_is_too_old_must_be_changed(directory: &Directory) {
    let acme = Tenant::with_passwords(directory, "acme").await;
    let anna = acme.user_with("ANNA", PASSWORD).await;
    let settings = pb::AccountSettings {
        password_max_age_days: 90,
        ..pb::AccountSettings::default()
    };
    set_settings(&acme, settings, &["password_max_age_days"]).await;
    directory.clock.advance(Duration::from_hours(89 * 24));
    assert_eq!(acme.sign_in(&anna.email, PASSWORD).await, SignedIn);
    directory.clock.advance(Duration::from_hours(24));
    let status = acme.get(&anna.user_id).await.status();
    assert_eq!(status, UserStatus::AwaitingNewPassword);
    let required = acme.sign_in(&anna.email, PASSWORD).await;
    assert_eq!(required, PasswordChangeRequired);
    change_password(&acme, &anna.user_id, PASSWORD, OTHER)
        .await
        .unwrap();
    assert_eq!(acme.sign_in(&anna.email, OTHER).await, SignedIn);
}

async fn r20_who_gives_a_password_proves_its_own(directory: &Directory) {
    let acme = Tenant::with_passwords(directory, "acme").await;
    let anna = acme.user_with("ANNA", PASSWORD).await;
    let set = set_password(&acme, &anna.user_id, true, PASSWORD).await;
    assert_eq!(set.unwrap().status(), UserStatus::AwaitingNewPassword);
    assert_eq!(
        acme.sign_in(&anna.email, OTHER).await,
        PasswordChangeRequired
    );
    // A password that would be refused anyhow is not even tried.
    for _ in 0..9 {
        let nobody = set_password(&acme, "01890000-0000-7000-8000-000000000000", true, WRONG);
        nobody
            .await
            .unwrap_err()
            .is(Code::NotFound, "USER_NOT_FOUND");
    }
    for _ in 0..5 {
        let refused = set_password(&acme, &anna.user_id, false, WRONG).await;
        refused
            .unwrap_err()
            .is(Code::PermissionDenied, "PASSWORD_WRONG");
    }
    let locked = set_password(&acme, &anna.user_id, false, PASSWORD).await;
    locked
        .unwrap_err()
        .is(Code::PermissionDenied, "NOT_ADMINISTRATOR");
    unlock(&acme, &acme.administrator.user_id).await;
    directory.clock.advance(Duration::from_secs(1));
    let acme = acme.signed_in_again();
    set_password(&acme, &anna.user_id, false, PASSWORD)
        .await
        .unwrap();
    assert_eq!(acme.sign_in(&anna.email, OTHER).await, SignedIn);
}

async fn r20_ones_own_password_is_changed_with_the_present_one(directory: &Directory) {
    const ONE: &str = "0f6e4b1e-2c0f-4a51-9a3b-0d9a4c2a7b10";
    const OTHER_ID: &str = "0f6e4b1e-2c0f-4a51-9a3b-0d9a4c2a7b11";
    let acme = Tenant::with_passwords(directory, "acme").await;
    let anna = acme.user_with("ANNA", PASSWORD).await;
    let bert = acme.user_with("BERT", PASSWORD).await;
    let own = directory.caller(Identity::new(Role::Own, &anna.user_id, Some("acme")));
    let change = |user_id: &str, present_password: &str, request_id: &str| {
        let mut request = ask!(
            acme,
            ChangePasswordRequest {
                user_id,
                present_password,
                password: OTHER,
            }
        );
        request.command = Some(pb::CommandOptions {
            request_id: request_id.to_owned(),
            ..pb::CommandOptions::default()
        });
        request
    };
    let mut credentials = own.credentials();
    let refused = credentials.change_password(change(&bert.user_id, PASSWORD, ONE));
    refused
        .await
        .refusal()
        .is(Code::PermissionDenied, "NOT_ALLOWED");
    let refused = credentials.change_password(change(&anna.user_id, WRONG, ONE));
    refused
        .await
        .refusal()
        .is(Code::PermissionDenied, "PASSWORD_WRONG");
    credentials
        .change_password(change(&anna.user_id, PASSWORD, ONE))
        .await
        .answer();
    assert_eq!(acme.sign_in(&anna.email, OTHER).await, SignedIn);
    // The answer was lost: the portal's repeat is answered though the present password is another one by now.
    let mut portal = acme.portal.credentials();
    let repeat = change(&bert.user_id, PASSWORD, OTHER_ID);
    let first = portal.change_password(repeat.clone()).await.answer();
    let again = portal.change_password(repeat).await.answer();
    assert_eq!(first, again);
    for _ in 0..5 {
        let wrong = change_password(&acme, &bert.user_id, WRONG, PASSWORD).await;
        wrong
            .unwrap_err()
            .is(Code::PermissionDenied, "PASSWORD_WRONG");
    }
    change_password(&acme, &bert.user_id, OTHER, PASSWORD)
        .await
        .unwrap_err()
        .is(Code::FailedPrecondition, "TOO_MANY_ATTEMPTS");
}

async fn r19_where_a_password_changes_by_link_only_nobody_changes_it_otherwise(
    directory: &Directory,
) {
    let acme = Tenant::with_passwords(directory, "acme").await;
    let settings = pb::AccountSettings {
        password_change: pb::PasswordChange::ByLinkOnly.into(),
        ..pb::AccountSettings::default()
    };
    set_settings(&acme, settings, &["password_change"]).await;
    let anna = acme.user_with("ANNA", PASSWORD).await;
    for refused in [
        set_password(&acme, &anna.user_id, false, PASSWORD).await,
        change_password(&acme, &anna.user_id, PASSWORD, OTHER).await,
    ] {
        refused
            .unwrap_err()
            .is(Code::FailedPrecondition, "PASSWORD_BY_LINK_ONLY");
    }
    let token = acme.reset_token(&anna.email).await;
    complete_reset(&acme, &token, OTHER).await.unwrap();
    assert_eq!(acme.sign_in(&anna.email, OTHER).await, SignedIn);
}

async fn r17_passwords_are_long_uncommon_and_shorter_with_a_second_factor(directory: &Directory) {
    let acme = Tenant::with_passwords(directory, "acme").await;
    let anna = acme.user_with("ANNA", PASSWORD).await;
    let user_id = &anna.user_id;
    let malformed = async |password: &str| {
        change_password(&acme, user_id, PASSWORD, password)
            .await
            .unwrap_err()
            .is(Code::InvalidArgument, "MALFORMED")
            .names(&["password"]);
    };
    for bad in ["x7!kdq2w", "correcthorsebatterystaple", "anna@example.com!"] {
        malformed(bad).await;
    }
    let enrolled = ask!(acme, ReportMfaEnrolledRequest { user_id });
    acme.service
        .credentials()
        .report_mfa_enrolled(enrolled)
        .await
        .answer();
    for bad in ["x7!kdq2", "Football", "Anna1234"] {
        malformed(bad).await;
    }
    change_password(&acme, user_id, PASSWORD, "x7!kdq2w")
        .await
        .unwrap();
    assert_eq!(acme.sign_in(&anna.email, "x7!kdq2w").await, SignedIn);
}

async fn r18_where_passwords_are_kept_elsewhere_sign_ins_are_reported(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let anna = acme.user("ANNA").await;
    let user_id = &anna.user_id;
    let kept_elsewhere = |refusal: Refusal| {
        refusal.is(Code::FailedPrecondition, "PASSWORDS_KEPT_ELSEWHERE");
    };
    let key = || Key::UserId(user_id.clone());
    let verify = ask!(
        acme,
        VerifyPasswordRequest {
            user_name: &anna.email,
            password: PASSWORD,
        }
    );
    let mut portal = acme.portal.credentials();
    kept_elsewhere(portal.verify_password(verify).await.refusal());
    let reset = ask!(acme, RequestPasswordResetRequest { key: key() });
    kept_elsewhere(portal.request_password_reset(reset).await.refusal());
    kept_elsewhere(
        *set_password(&acme, user_id, false, PASSWORD)
            .await
            .unwrap_err(),
    );
    kept_elsewhere(
        *change_password(&acme, user_id, PASSWORD, OTHER)
            .await
            .unwrap_err(),
    );

    let report = async |user_id: &str, checked: pb::CheckedSignIn| {
        let request = ask!(acme, ReportSignInRequest { user_id, checked });
        acme.service.credentials().report_sign_in(request).await
    };
    let (ok, failed) = (pb::CheckedSignIn::Succeeded, pb::CheckedSignIn::Failed);
    let signed_in = report(user_id, ok).await.answer();
    assert_eq!(signed_in.result(), SignedIn);
    assert_eq!(signed_in.position, directory.head().await);
    for _ in 0..5 {
        assert_eq!(report(user_id, failed).await.answer().result(), Rejected);
    }
    assert_eq!(report(user_id, failed).await.answer().result(), Locked);
    assert_eq!(report(user_id, ok).await.answer().result(), Locked);
    let status = acme.get(user_id).await.status();
    assert_eq!(status, UserStatus::AutoLocked);
    unlock(&acme, user_id).await;
    assert_eq!(report(user_id, ok).await.answer().result(), SignedIn);
    let (new, token) = acme.welcomed("BERT").await;
    report(&new, ok)
        .await
        .refusal()
        .is(Code::FailedPrecondition, "NOT_ONBOARDED");
    let complete = |password: &str| pb::CompleteWelcomeRequest {
        token: token.clone(),
        password: password.to_owned(),
        command: None,
    };
    kept_elsewhere(portal.complete_welcome(complete(OTHER)).await.refusal());
    portal.complete_welcome(complete("")).await.answer();
    assert_eq!(report(&new, ok).await.answer().result(), SignedIn);

    let keeps = Tenant::with_passwords(directory, "keeps").await;
    let bert = keeps.user_with("BERT", PASSWORD).await;
    let request = ask!(
        keeps,
        ReportSignInRequest {
            user_id: &bert.user_id,
            checked: ok,
        }
    );
    let refused = keeps.service.credentials().report_sign_in(request).await;
    refused
        .refusal()
        .is(Code::FailedPrecondition, "PASSWORDS_KEPT_HERE");
}

async fn r15_a_second_factor_is_reported_and_cleared(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let anna = acme.user("ANNA").await;
    let user_id = &anna.user_id;
    for _ in 0..2 {
        let enrolled = acme
            .service
            .credentials()
            .report_mfa_enrolled(ask!(acme, ReportMfaEnrolledRequest { user_id }))
            .await
            .answer();
        assert!(enrolled.user.unwrap().mfa_enrolled);
    }
    assert!(acme.get(user_id).await.mfa_enrolled);
    for _ in 0..2 {
        let reset = acme
            .admin
            .credentials()
            .reset_mfa(ask!(acme, ResetMfaRequest { user_id }))
            .await
            .answer();
        assert!(!reset.user.unwrap().mfa_enrolled);
    }
    let types = acme.event_types(&format!("user-{user_id}")).await;
    assert_eq!(types, ["UserCreated", "MfaEnrolled", "MfaReset"]);
}

async fn r16_a_welcome_is_sent_again_and_followed_once(directory: &Directory) {
    let acme = Tenant::with_passwords(directory, "acme").await;
    let (user_id, first) = acme.welcomed("ANNA").await;
    let resend = async || {
        acme.admin
            .users()
            .resend_welcome(ask!(acme, ResendWelcomeRequest { user_id: &user_id }))
            .await
    };
    let second = resend().await.answer();
    assert_eq!(second.user.unwrap().status(), UserStatus::Provisioned);
    let second = second.welcome_token;
    let complete = async |token: &str, password: &str| {
        let request = pb::CompleteWelcomeRequest {
            token: token.to_owned(),
            password: password.to_owned(),
            command: None,
        };
        acme.portal.credentials().complete_welcome(request).await
    };
    complete(&first, PASSWORD)
        .await
        .refusal()
        .is(Code::NotFound, "LINK_NOT_FOUND");
    complete(&second, "")
        .await
        .refusal()
        .is(Code::InvalidArgument, "PASSWORD_MISSING")
        .names(&["password"]);
    acme.admin
        .credentials()
        .request_password_reset(ask!(
            acme,
            RequestPasswordResetRequest {
                key: Key::UserId(user_id.clone())
            }
        ))
        .await
        .refusal()
        .is(Code::FailedPrecondition, "NOT_ONBOARDED");
    directory.clock.advance(Duration::from_hours(7 * 24));
    complete(&second, PASSWORD)
        .await
        .refusal()
        .is(Code::FailedPrecondition, "LINK_EXPIRED");
    let third = resend().await.answer().welcome_token;
    let attempts = (0..20).map(|_| complete(&third, PASSWORD));
    let outcomes = join_all(attempts).await;
    let completed = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    assert_eq!(completed, 1);
    assert_eq!(acme.get(&user_id).await.status(), UserStatus::Active);
    assert_eq!(acme.sign_in("ANNA@example.com", PASSWORD).await, SignedIn);
    resend()
        .await
        .refusal()
        .is(Code::FailedPrecondition, "ONBOARDED");
    let types = acme.event_types(&format!("user-{user_id}")).await;
    let expected = [
        "UserCreated",
        "WelcomeIssued",
        "WelcomeIssued",
        "WelcomeExpired",
        "WelcomeIssued",
        "WelcomeCompleted",
    ];
    assert_eq!(types, expected);
}

async fn r23_a_reset_link_is_good_once_and_for_an_hour(directory: &Directory) {
    let acme = Tenant::with_passwords(directory, "acme").await;
    let anna = acme.user_with("ANNA", PASSWORD).await;
    let mut request = ask!(
        acme,
        RequestPasswordResetRequest {
            key: Key::UserId(anna.user_id.clone())
        }
    );
    request.command = Some(pb::CommandOptions {
        request_id: "0f6e4b1e-2c0f-4a51-9a3b-0d9a4c2a7b12".to_owned(),
        ..pb::CommandOptions::default()
    });
    let mut admin = acme.admin.credentials();
    let asked = admin.request_password_reset(request.clone()).await.answer();
    assert_eq!(
        admin.request_password_reset(request).await.answer(),
        asked,
        "a retry yields the same token"
    );
    assert_eq!(asked.user.unwrap().status(), UserStatus::Recovery);
    assert_eq!(
        acme.sign_in(&anna.email, PASSWORD).await,
        SignedIn,
        "who remembers its password signs in"
    );
    let later = acme.reset_token(&anna.email).await;
    assert_ne!(later, asked.token);
    let not_found = async |token: &str| {
        let refused = complete_reset(&acme, token, OTHER).await;
        refused.unwrap_err().is(Code::NotFound, "LINK_NOT_FOUND");
    };
    not_found(&asked.token).await;
    let short = complete_reset(&acme, &later, "x7!kdq2w").await;
    short.unwrap_err().is(Code::InvalidArgument, "MALFORMED");
    let done = complete_reset(&acme, &later, OTHER).await.unwrap();
    assert_eq!(done.status(), UserStatus::Active);
    not_found(&later).await;
    assert_eq!(acme.sign_in(&anna.email, PASSWORD).await, Rejected);
    assert_eq!(acme.sign_in(&anna.email, OTHER).await, SignedIn);

    let late = acme.reset_token(&anna.email).await;
    directory.clock.advance(Duration::from_hours(1));
    let expired = complete_reset(&acme, &late, PASSWORD).await;
    expired
        .unwrap_err()
        .is(Code::FailedPrecondition, "LINK_EXPIRED");
    assert_eq!(acme.get(&anna.user_id).await.status(), UserStatus::Active);
    let types = acme.event_types(&format!("user-{}", anna.user_id)).await;
    assert_eq!(types.last().unwrap(), "PasswordResetExpired");
    let other = Tenant::with_passwords(directory, "other").await;
    let foreign = acme.reset_token(&anna.email).await;
    let refused = complete_reset(&other, &foreign, OTHER).await;
    refused.unwrap_err().is(Code::NotFound, "LINK_NOT_FOUND");
}

async fn r23_a_portal_is_not_told_whether_there_is_such_a_user(directory: &Directory) {
    let acme = Tenant::with_passwords(directory, "acme").await;
    let anna = acme.user_with("ANNA", PASSWORD).await;
    acme.welcomed("BERT").await;
    let ask_for = async |name: &str| {
        let key = Key::UserName(name.to_owned());
        acme.portal
            .credentials()
            .request_password_reset(ask!(acme, RequestPasswordResetRequest { key }))
            .await
            .answer()
    };
    for name in [
        anna.email.as_str(),
        "nobody@example.com",
        "BERT@example.com",
    ] {
        let answer = ask_for(name).await;
        assert_eq!(answer.token.len(), 64, "{name}");
        let rest = pb::RequestPasswordResetResponse {
            token: String::new(),
            ..answer
        };
        assert_eq!(rest, pb::RequestPasswordResetResponse::default(), "{name}");
    }
    let nothing = ask_for("nobody@example.com").await.token;
    complete_reset(&acme, &nothing, OTHER)
        .await
        .unwrap_err()
        .is(Code::NotFound, "LINK_NOT_FOUND");
    let key = Key::UserName("nobody@example.com".to_owned());
    acme.admin
        .credentials()
        .request_password_reset(ask!(acme, RequestPasswordResetRequest { key }))
        .await
        .refusal()
        .is(Code::NotFound, "USER_NOT_FOUND");
}

async fn r41_sessions_end_with_another_password_and_when_they_are_revoked(directory: &Directory) {
    let acme = Tenant::with_passwords(directory, "acme").await;
    let anna = acme.user_with("ANNA", PASSWORD).await;
    let user_id = &anna.user_id;
    let mut from = anna.sessions_valid_from.unwrap();
    let mut moved = |user: pb::User| {
        let now = user.sessions_valid_from.unwrap();
        assert!((now.seconds, now.nanos) > (from.seconds, from.nanos));
        from = now;
    };
    directory.clock.advance(Duration::from_secs(1));
    moved(set_password(&acme, user_id, false, PASSWORD).await.unwrap());
    directory.clock.advance(Duration::from_secs(1));
    moved(
        change_password(&acme, user_id, OTHER, PASSWORD)
            .await
            .unwrap(),
    );
    directory.clock.advance(Duration::from_secs(1));
    let own = directory.caller(Identity::new(Role::Own, user_id, Some("acme")));
    let revoke = || ask!(acme, RevokeSessionsRequest { user_id });
    directory.clock.advance(Duration::from_secs(1));
    let revoked = own.credentials().revoke_sessions(revoke()).await.answer();
    moved(revoked.user.unwrap());
    directory.clock.advance(Duration::from_secs(1));
    let revoked = acme.admin.credentials().revoke_sessions(revoke()).await;
    moved(revoked.answer().user.unwrap());
    let refused = own.credentials().revoke_sessions(revoke()).await.refusal();
    refused.is(Code::Unauthenticated, "SESSIONS_ENDED");
    let types = acme.event_types(&format!("user-{user_id}")).await;
    let expected = [
        "UserCreated",
        "PasswordSet",
        "PasswordChanged",
        "SessionsRevoked",
        "SessionsRevoked",
    ];
    assert_eq!(types, expected);
}

async fn r42_a_sign_in_is_an_event_that_no_command_loads(directory: &Directory) {
    let acme = Tenant::with_passwords(directory, "acme").await;
    let anna = acme.user_with("ANNA", PASSWORD).await;
    let bert = acme.user_with("BERT", PASSWORD).await;
    assert_eq!(anna.last_signed_in_at, None);
    for user in [&bert, &anna, &anna] {
        directory.clock.advance(Duration::from_secs(10));
        assert_eq!(acme.sign_in(&user.email, PASSWORD).await, SignedIn);
    }
    let events = directory.events().await;
    let told: Vec<_> = events
        .iter()
        .filter(|event| event.event_type == "SignedIn")
        .collect();
    let stream = format!("signin-{}", anna.user_id);
    assert_eq!(told[2].stream, stream);
    assert_eq!((told[1].revision, told[2].revision), (1, 2));
    let now = acme.get(&anna.user_id).await;
    assert_eq!(now.last_signed_in_at, told[2].recorded_at);
    assert_eq!(
        now.revision, anna.revision,
        "the user itself did not change"
    );
    let sorted = acme
        .admin
        .users()
        .list_users(ask!(
            acme,
            ListUsersRequest {
                sort: pb::UserSort::LastSignedInAt,
                descending: true
            }
        ))
        .await
        .answer()
        .users;
    let signatures: Vec<_> = sorted.iter().map(|user| user.signature.as_str()).collect();
    assert_eq!(signatures, ["ANNA", "BERT", "ADM"]);
}

/// What must stand nowhere: passwords, and the tokens of links.
async fn secrets_are_nowhere(directory: &Directory, secrets: &[&str]) {
    let found = files_with(directory.process().data_dir(), secrets);
    assert_eq!(found, []);
    if let Some(database) = directory.database() {
        assert_eq!(tables_with(database, secrets).await, []);
    }
    let events = format!("{:?}", directory.events().await);
    for secret in secrets {
        assert!(!events.contains(secret), "{secret} stands in an event");
    }
}

async fn attempts_outlive_a_restart(home: Home) {
    let directory = Directory::start(home).await;
    let acme = Tenant::with_passwords(&directory, "acme").await;
    let anna = acme.user_with("ANNA", PASSWORD).await;
    let token = acme.reset_token(&anna.email).await;
    fail(&acme, &anna.email, 4).await;
    let cost = Cost {
        passes: 3,
        ..Cost::default()
    };
    let directory = directory.restarted_at(cost).await;
    let acme = acme.at(directory.process());
    fail(&acme, &anna.email, 1).await;
    assert_eq!(acme.sign_in(&anna.email, PASSWORD).await, Locked);
    unlock(&acme, &anna.user_id).await;
    assert_eq!(
        acme.sign_in(&anna.email, PASSWORD).await,
        SignedIn,
        "a hash of a lower cost is read, and made anew"
    );
    secrets_are_nowhere(&directory, &[PASSWORD, OTHER, &token]).await;
    let raised = async |directory: &Directory| match directory.database() {
        Some(database) => tables_with(database, &["m=19456,t=3,p=1"]).await.len(),
        None => files_with(directory.process().data_dir(), &["m=19456,t=3,p=1"]).len(),
    };
    assert_eq!(raised(&directory).await, 1);
    acme.admin
        .users()
        .delete_user(ask!(
            acme,
            DeleteUserRequest {
                user_id: &anna.user_id
            }
        ))
        .await
        .answer();
    let directory = directory.restarted(Views::Kept).await;
    assert_eq!(raised(&directory).await, 0, "the hash went with the person");
    directory.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r22_embedded_attempts_are_counted_across_a_restart_and_hashes_made_anew() {
    attempts_outlive_a_restart(Home::Embedded).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r22_on_postgres_attempts_are_counted_across_a_restart_and_hashes_made_anew() {
    attempts_outlive_a_restart(Home::Postgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r22_attempts_are_counted_across_processes() {
    let directory = Directory::start(Home::Postgres).await;
    let second = directory.second_process().await;
    let acme = Tenant::with_passwords(&directory, "acme").await;
    let elsewhere = acme.at(&second);
    let anna = acme.user_with("ANNA", PASSWORD).await;
    let attempts = (0..100).map(|number| {
        let there = if number % 2 == 0 { &acme } else { &elsewhere };
        there.sign_in(&anna.email, WRONG)
    });
    let results = join_all(attempts).await;
    let rejected = results.iter().filter(|result| **result == Rejected).count();
    assert_eq!(rejected, 5, "{results:?}");
    assert_eq!(elsewhere.sign_in(&anna.email, PASSWORD).await, Locked);
    unlock(&elsewhere, &anna.user_id).await;
    assert_eq!(acme.sign_in(&anna.email, PASSWORD).await, SignedIn);
    drop(second.stop().await);
    directory.finish().await;
}
