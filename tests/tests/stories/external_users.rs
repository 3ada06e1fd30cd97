//! External users: people of one account who work in another, with rights that hold there only.

use std::time::Duration;

use prost_types::FieldMask;
use rollbook_tests::people::{administrator, grant, link, person};
use rollbook_tests::{
    Answer as _, Caller, Code, Directory, Home, Identity, Refusal, Role, Tenant, ask, pb, stories,
};

use pb::DeletionBlockerKind as Kind;
use pb::get_user_request::Key;

stories! {
    r43_the_operator_grants_access_and_administrators_change_and_remove_it,
    r43_an_access_is_refused_where_it_makes_no_sense,
    r43_lists_show_external_users_as_they_are_at_home,
    r43_an_external_administrator_acts_while_its_access_is_there,
    r41_sessions_here_end_with_those_at_home_and_not_the_other_way_round,
    r41_who_watches_an_account_is_told_when_sessions_of_external_users_end,
    r24_an_external_administrator_is_never_the_last_one,
    r24_what_needs_a_user_in_another_account_is_told_as_kind_and_count,
    r26_a_deletion_at_home_ends_every_access,
    r71_access_is_checked_by_what_was_granted_here,
    r70_what_external_users_hold_is_in_use,
    r68_commands_on_users_do_not_reach_external_ones,
    r58_the_auditors_of_an_account_see_its_accesses,
    r25_a_grant_comes_first_and_is_revoked_or_second_and_is_refused,
    r25_an_external_administrator_commits_nothing_after_its_access_was_revoked,
}

/// An account, and another one where Anna is at home.
async fn two_accounts(directory: &Directory) -> (Tenant, Tenant, String) {
    let acme = Tenant::create(directory, "acme").await;
    let home = Tenant::create(directory, "home").await;
    let anna = home
        .create_user(pb::NewUser {
            phone: "12 34 56".to_owned(),
            roles: vec!["clerk".to_owned()],
            companies: vec![link(&home.companies[0])],
            ..person("ANNA")
        })
        .await;
    (acme, home, anna.user_id)
}

async fn give(acme: &Tenant, user_id: &str, user_type: pb::UserType) -> pb::GrantAccessResponse {
    let request = ask!(acme, GrantAccessRequest { user_id, user_type });
    acme.operator
        .external_access()
        .grant_access(request)
        .await
        .answer()
}

async fn revoke(acme: &Tenant, user_id: &str) -> pb::RevokeAccessResponse {
    let request = ask!(acme, RevokeAccessRequest { user_id });
    acme.admin
        .external_access()
        .revoke_access(request)
        .await
        .answer()
}

async fn update(
    acme: &Tenant,
    user_id: &str,
    user_type: pb::UserType,
    permissions: Vec<pb::Permission>,
    paths: &[&str],
) -> Result<pb::UpdateAccessResponse, Box<Refusal>> {
    let update_mask = FieldMask {
        paths: paths.iter().map(|path| (*path).to_owned()).collect(),
    };
    let request = ask!(
        acme,
        UpdateAccessRequest {
            user_id,
            user_type,
            permissions,
            update_mask
        }
    );
    acme.admin
        .external_access()
        .update_access(request)
        .await
        .outcome()
}

async fn accesses(acme: &Tenant, include_ended: bool) -> Vec<pb::Access> {
    acme.admin
        .external_access()
        .list_accesses(ask!(acme, ListAccessesRequest { include_ended }))
        .await
        .answer()
        .accesses
}

async fn list(acme: &Tenant, request: pb::ListUsersRequest) -> Vec<pb::User> {
    let request = pb::ListUsersRequest {
        account_id: acme.account_id.clone(),
        ..request
    };
    acme.admin.users().list_users(request).await.answer().users
}

fn external() -> pb::ListUsersRequest {
    pb::ListUsersRequest {
        external: Some(true),
        ..pb::ListUsersRequest::default()
    }
}

async fn denials(acme: &Tenant, user_id: &str, module: &str) -> Vec<pb::AccessDenialReason> {
    let request = ask!(acme, CheckAccessRequest { user_id, module });
    let answer = acme.service.users().check_access(request).await.answer();
    assert_eq!(answer.allowed, answer.denials.is_empty());
    answer.denials().collect()
}

/// Whether the caller may ask something of the account.
async fn may_ask(acme: &Tenant, caller: &Caller) -> Result<(), Refusal> {
    let request = ask!(acme, GetAccountRequest {});
    let answer = caller.accounts().get_account(request).await;
    answer.outcome().map(drop).map_err(|refusal| *refusal)
}

/// Whether the caller may do something in the account.
async fn may_act(acme: &Tenant, caller: &Caller, signature: &str) -> Result<u64, Refusal> {
    let user = person(signature);
    let request = ask!(acme, CreateUserRequest { user });
    let answer = caller.users().create_user(request).await;
    answer
        .outcome()
        .map(|created| created.position)
        .map_err(|refusal| *refusal)
}

async fn r43_the_operator_grants_access_and_administrators_change_and_remove_it(
    directory: &Directory,
) {
    let (acme, home, anna) = two_accounts(directory).await;
    let request = ask!(
        acme,
        GrantAccessRequest {
            user_id: &anna,
            permissions: vec![grant("invoices")],
        }
    );
    let granted = acme
        .operator
        .external_access()
        .grant_access(request.clone())
        .await
        .answer();
    let access = granted.access.unwrap();
    assert_eq!(access.home_account_id, "home");
    assert_eq!(access.status(), pb::AccessStatus::Granted);
    assert_eq!(access.user_type(), pb::UserType::Standard);
    assert_eq!(accesses(&acme, false).await, std::slice::from_ref(&access));

    // It is so already.
    let head = directory.head().await;
    let again = acme.operator.external_access().grant_access(request).await;
    assert_eq!(again.answer().revision, 1);
    assert_eq!(directory.head().await, head);

    // The home account knows nothing of it; only who sees all accounts finds it by the user.
    assert!(accesses(&home, true).await.is_empty());
    let of_user = pb::ListAccessesRequest {
        user_id: anna.clone(),
        ..pb::ListAccessesRequest::default()
    };
    let by_operator = acme
        .operator
        .external_access()
        .list_accesses(of_user.clone())
        .await
        .answer();
    assert_eq!(by_operator.accesses, [access]);
    home.admin
        .external_access()
        .list_accesses(of_user)
        .await
        .refusal()
        .is(Code::InvalidArgument, "MALFORMED")
        .names(&["account_id"]);

    let updated = update(
        &acme,
        &anna,
        pb::UserType::Administrator,
        Vec::new(),
        &["user_type"],
    );
    let updated = updated.await.unwrap();
    let access = updated.access.unwrap();
    assert_eq!(access.user_type(), pb::UserType::Administrator);
    assert_eq!(access.permissions, [grant("invoices")]);
    assert_eq!((updated.revision, access.revision), (2, 2));
    assert_eq!(accesses(&acme, false).await, [access]);

    let before = home.get(&anna).await;
    let revoked = revoke(&acme, &anna).await;
    let access = revoked.access.unwrap();
    assert_eq!(access.status(), pb::AccessStatus::Revoked);
    assert_eq!(access.revoked_at, access.sessions_valid_from);
    assert!(accesses(&acme, false).await.is_empty());
    assert_eq!(accesses(&acme, true).await, [access]);
    let head = directory.head().await;
    assert_eq!(revoke(&acme, &anna).await.revision, 3);
    assert_eq!(directory.head().await, head);
    assert_eq!(home.get(&anna).await, before);

    // The operator may do all of it, and grant it again.
    give(&acme, &anna, pb::UserType::Standard).await;
    let request = ask!(acme, RevokeAccessRequest { user_id: &anna });
    acme.operator
        .external_access()
        .revoke_access(request)
        .await
        .answer();
}

async fn r43_an_access_is_refused_where_it_makes_no_sense(directory: &Directory) {
    let (acme, home, anna) = two_accounts(directory).await;
    let head = directory.head().await;
    let try_grant = async |account: &Tenant, user_id: &str, permissions: Vec<pb::Permission>| {
        let request = ask!(
            account,
            GrantAccessRequest {
                user_id,
                permissions
            }
        );
        let mut operator = account.operator.external_access();
        operator.grant_access(request).await.refusal()
    };
    try_grant(&home, &anna, Vec::new())
        .await
        .is(Code::FailedPrecondition, "USER_AT_HOME");
    let nobody = uuid::Uuid::now_v7().to_string();
    try_grant(&acme, &nobody, Vec::new())
        .await
        .is(Code::NotFound, "USER_NOT_FOUND");
    for (module, code, reason) in [
        (
            "pricing",
            Code::FailedPrecondition,
            "MODULE_ADMINISTRATOR_ONLY",
        ),
        ("cooking", Code::NotFound, "MODULE_NOT_FOUND"),
    ] {
        let refusal = try_grant(&acme, &anna, vec![grant(module)]).await;
        refusal.is(code, reason);
    }
    let elsewhere = pb::Permission {
        company_id: home.companies[0].clone(),
        ..grant("invoices")
    };
    try_grant(&acme, &anna, vec![elsewhere])
        .await
        .is(Code::NotFound, "COMPANY_NOT_FOUND");
    let never = update(&acme, &anna, pb::UserType::Standard, Vec::new(), &["*"]).await;
    never.unwrap_err().is(Code::NotFound, "ACCESS_NOT_FOUND");
    assert_eq!(directory.head().await, head);

    give(&acme, &anna, pb::UserType::Standard).await;
    try_grant(&acme, &anna, vec![grant("invoices")])
        .await
        .is(Code::AlreadyExists, "ACCESS_EXISTS");
    revoke(&acme, &anna).await;
    let late = update(&acme, &anna, pb::UserType::Standard, Vec::new(), &["*"]).await;
    late.unwrap_err()
        .is(Code::FailedPrecondition, "ACCESS_REVOKED");
    let request = ask!(home, DeleteUserRequest { user_id: &anna });
    home.admin.users().delete_user(request).await.answer();
    try_grant(&acme, &anna, Vec::new())
        .await
        .is(Code::FailedPrecondition, "USER_DELETED");
}

async fn r43_lists_show_external_users_as_they_are_at_home(directory: &Directory) {
    let (acme, home, anna) = two_accounts(directory).await;
    let request = ask!(
        acme,
        GrantAccessRequest {
            user_id: &anna,
            permissions: vec![grant("invoices")],
        }
    );
    let granted = acme.operator.external_access().grant_access(request).await;
    granted.answer();
    let shown = list(&acme, external()).await;
    let [seen] = shown.as_slice() else {
        panic!("{shown:?}");
    };
    assert!(seen.external);
    assert_eq!((seen.account_id.as_str(), &seen.user_id), ("acme", &anna));
    assert_eq!(
        (seen.signature.as_str(), seen.last_name.as_str()),
        ("ANNA", "Last ANNA")
    );
    assert_eq!(seen.permissions, [grant("invoices")]);
    assert_eq!(
        (seen.roles.len(), seen.companies.len(), seen.phone.as_str()),
        (0, 0, "")
    );
    assert_eq!(&acme.get(&anna).await, seen);
    let batch = ask!(
        acme,
        BatchGetUsersRequest {
            user_ids: vec![anna.clone()]
        }
    );
    let batch = acme.admin.users().batch_get_users(batch).await.answer();
    assert_eq!(&batch.users, &shown);
    assert_eq!(acme.signatures().await, ["ADM", "ANNA"]);
    assert!(!home.get(&anna).await.external);

    // What names a user in its account names no external one.
    for key in [
        Key::Signature("ANNA".to_owned()),
        Key::Email("ANNA@example.com".to_owned()),
        Key::UserName("ANNA@example.com".to_owned()),
    ] {
        acme.find(key)
            .await
            .refusal()
            .is(Code::NotFound, "USER_NOT_FOUND");
    }
    // Nor do companies and roles of its home find it here.
    for request in [
        pb::ListUsersRequest {
            role: "clerk".to_owned(),
            ..pb::ListUsersRequest::default()
        },
        pb::ListUsersRequest {
            company: Some(pb::list_users_request::Company::CompanyId(
                home.companies[0].clone(),
            )),
            ..pb::ListUsersRequest::default()
        },
    ] {
        assert!(list(&acme, request).await.is_empty());
    }

    let rename = ask!(
        home,
        UpdateUserRequest {
            user_id: &anna,
            profile: pb::UserProfile {
                last_name: "Dahl".to_owned(),
                ..pb::UserProfile::default()
            },
            update_mask: FieldMask {
                paths: vec!["last_name".to_owned()]
            },
        }
    );
    home.admin.users().update_user(rename).await.answer();
    assert_eq!(acme.get(&anna).await.last_name, "Dahl");
    let lock = ask!(home, LockUserRequest { user_id: &anna });
    home.admin.users().lock_user(lock).await.answer();
    assert_eq!(
        acme.get(&anna).await.status(),
        pb::UserStatus::LockedByAdmin
    );
    let sleep = ask!(home, DeactivateUserRequest { user_id: &anna });
    home.admin.users().deactivate_user(sleep).await.answer();
    let asleep = list(
        &acme,
        pb::ListUsersRequest {
            activity: pb::Activity::Inactive.into(),
            ..external()
        },
    );
    assert_eq!(asleep.await.len(), 1);

    let delete = ask!(home, DeleteUserRequest { user_id: &anna });
    home.admin.users().delete_user(delete).await.answer();
    assert!(list(&acme, external()).await.is_empty());
    acme.find(Key::UserId(anna))
        .await
        .refusal()
        .is(Code::NotFound, "USER_NOT_FOUND");
}

async fn r43_an_external_administrator_acts_while_its_access_is_there(directory: &Directory) {
    let (acme, home, anna) = two_accounts(directory).await;
    let caller = acme.administrator_caller(directory, &anna);
    let refused = |outcome: Result<u64, Refusal>| {
        outcome
            .unwrap_err()
            .is(Code::PermissionDenied, "NOT_ADMINISTRATOR");
    };
    refused(may_act(&acme, &caller, "A1").await);
    give(&acme, &anna, pb::UserType::Standard).await;
    refused(may_act(&acme, &caller, "A1").await);
    update(
        &acme,
        &anna,
        pb::UserType::Administrator,
        Vec::new(),
        &["user_type"],
    )
    .await
    .unwrap();
    directory.clock.advance(Duration::from_secs(1));
    let caller = caller.signed_in_again();
    may_act(&acme, &caller, "A1").await.unwrap();
    may_ask(&acme, &caller).await.unwrap();
    // Here only.
    let at_home = home.administrator_caller(directory, &anna);
    refused(may_act(&home, &at_home, "H1").await);
    let events = acme.event_types("account-acme").await.len();
    assert!(events > 0);

    // It is the actor of what it does, and may change its own access like any other administrator.
    let created = directory.events().await.pop().unwrap();
    assert_eq!(
        (created.actor, created.account_id),
        (anna.clone(), "acme".to_owned())
    );

    // What happens to the person at home decides whether it may act at all.
    let user_id = &anna;
    let mut users = home.admin.users();
    users
        .lock_user(ask!(home, LockUserRequest { user_id }))
        .await
        .answer();
    directory.clock.advance(Duration::from_secs(1));
    let caller = caller.signed_in_again();
    refused(may_act(&acme, &caller, "A2").await);
    may_ask(&acme, &caller)
        .await
        .unwrap_err()
        .is(Code::PermissionDenied, "NOT_ADMINISTRATOR");
    users
        .unlock_user(ask!(home, UnlockUserRequest { user_id }))
        .await
        .answer();
    may_act(&acme, &caller, "A2").await.unwrap();

    revoke(&acme, &anna).await;
    directory.clock.advance(Duration::from_secs(1));
    let caller = caller.signed_in_again();
    refused(may_act(&acme, &caller, "A3").await);
    assert!(may_ask(&acme, &caller).await.is_err());
    assert_eq!(acme.signatures().await, ["A1", "A2", "ADM"]);
}

async fn r41_sessions_here_end_with_those_at_home_and_not_the_other_way_round(
    directory: &Directory,
) {
    let (acme, home, _) = two_accounts(directory).await;
    let bert = home.create_user(administrator("BERT")).await.user_id;
    give(&acme, &bert, pb::UserType::Administrator).await;
    directory.clock.advance(Duration::from_secs(1));
    let here = acme.administrator_caller(directory, &bert);
    let there = home.administrator_caller(directory, &bert);
    may_act(&acme, &here, "A1").await.unwrap();
    may_act(&home, &there, "H1").await.unwrap();

    // What lessens its rights here ends its sessions here alone.
    directory.clock.advance(Duration::from_secs(1));
    for user_type in [pb::UserType::Standard, pb::UserType::Administrator] {
        update(&acme, &bert, user_type, Vec::new(), &["user_type"])
            .await
            .unwrap();
    }
    may_act(&acme, &here, "A2")
        .await
        .unwrap_err()
        .is(Code::Unauthenticated, "SESSIONS_ENDED");
    may_ask(&acme, &here)
        .await
        .unwrap_err()
        .is(Code::Unauthenticated, "SESSIONS_ENDED");
    may_act(&home, &there, "H2").await.unwrap();
    let here = here.signed_in_again();
    may_act(&acme, &here, "A2").await.unwrap();

    // What ends them at home ends them here.
    directory.clock.advance(Duration::from_secs(1));
    let user_id = &bert;
    let mut users = home.admin.users();
    users
        .lock_user(ask!(home, LockUserRequest { user_id }))
        .await
        .answer();
    users
        .unlock_user(ask!(home, UnlockUserRequest { user_id }))
        .await
        .answer();
    for (place, caller) in [(&acme, &here), (&home, &there)] {
        may_act(place, caller, "X1")
            .await
            .unwrap_err()
            .is(Code::Unauthenticated, "SESSIONS_ENDED");
    }
    let [seen, own] = [acme.get(&bert).await, home.get(&bert).await];
    assert_eq!(seen.sessions_valid_from, own.sessions_valid_from);
    revoke(&acme, &bert).await;
    may_act(&home, &there.signed_in_again(), "H3")
        .await
        .unwrap();
}

async fn r41_who_watches_an_account_is_told_when_sessions_of_external_users_end(
    directory: &Directory,
) {
    let (acme, home, anna) = two_accounts(directory).await;
    let start = directory.head().await;
    let user_id = &anna;
    give(&acme, user_id, pb::UserType::Administrator).await;
    let mut users = home.admin.users();
    let lock = ask!(home, LockUserRequest { user_id });
    let locked = users.lock_user(lock).await.answer().user.unwrap();
    users
        .unlock_user(ask!(home, UnlockUserRequest { user_id }))
        .await
        .answer();
    let seen = acme.get(user_id).await;
    assert_eq!(seen.sessions_valid_from, locked.sessions_valid_from);
    let listed = accesses(&acme, false).await;
    assert_eq!(listed[0].sessions_valid_from, locked.sessions_valid_from);
    update(
        &acme,
        user_id,
        pb::UserType::Standard,
        Vec::new(),
        &["user_type"],
    )
    .await
    .unwrap();
    revoke(&acme, user_id).await;
    // Nothing of what happens at home is told here any more.
    let lock = ask!(home, LockUserRequest { user_id });
    users.lock_user(lock).await.answer();
    give(&acme, user_id, pb::UserType::Standard).await;
    let delete = ask!(home, DeleteUserRequest { user_id });
    users.delete_user(delete).await.answer();

    let head = directory.head().await;
    let request = pb::WatchUsersRequest {
        from_position: Some(start),
        ..ask!(acme, WatchUsersRequest {})
    };
    let mut watching = acme.service.users().watch_users(request).await.answer();
    let mut told = Vec::new();
    loop {
        let message = watching.message().await.unwrap().unwrap();
        told.extend(message.changes);
        if message.position >= head {
            break;
        }
    }
    let events: Vec<_> = told
        .iter()
        .map(|change| (change.event_type.as_str(), change.sessions_ended))
        .collect();
    assert_eq!(
        events,
        [
            ("AccessGranted", false),
            ("ExternalSessionsEnded", true),
            ("AccessTypeChanged", true),
            ("AccessRevoked", true),
            ("AccessGranted", false),
            ("AccessRevoked", true),
            ("ExternalUserDeleted", true),
        ]
    );
    for change in &told {
        let user = change.user.as_ref().unwrap();
        assert_eq!((user.account_id.as_str(), &user.user_id), ("acme", user_id));
        assert_eq!(user.status(), pb::UserStatus::Deleted);
        assert!(user.external && user.last_name.is_empty());
    }
}

async fn r24_an_external_administrator_is_never_the_last_one(directory: &Directory) {
    let (acme, _, anna) = two_accounts(directory).await;
    give(&acme, &anna, pb::UserType::Administrator).await;
    let caller = acme.administrator_caller(directory, &anna);
    let user_id = &acme.administrator.user_id;
    let mut users = caller.users();
    users
        .deactivate_user(ask!(acme, DeactivateUserRequest { user_id }))
        .await
        .refusal()
        .is(Code::FailedPrecondition, "LAST_ADMINISTRATOR");
    users
        .lock_user(ask!(acme, LockUserRequest { user_id }))
        .await
        .refusal()
        .is(Code::FailedPrecondition, "LAST_ADMINISTRATOR");
    let refusal = users
        .delete_user(ask!(acme, DeleteUserRequest { user_id }))
        .await
        .refusal()
        .is(Code::FailedPrecondition, "USER_STILL_NEEDED");
    assert_eq!(refusal.kinds(), ["LAST_ADMINISTRATOR"]);
}

async fn r24_what_needs_a_user_in_another_account_is_told_as_kind_and_count(directory: &Directory) {
    let (acme, home, anna) = two_accounts(directory).await;
    give(&acme, &anna, pb::UserType::Standard).await;
    let company_id = &acme.companies[0];
    let user_id = &anna;
    let mut services = acme.service.involvements();
    for number in 1..=2 {
        let invoice_id = format!("INV-{number}");
        let request = ask!(
            acme,
            ReportInvoiceReviewedRequest {
                company_id,
                user_id,
                invoice_id
            }
        );
        let reported = services.report_invoice_reviewed(request).await.answer();
        let user = reported.user.unwrap();
        assert_eq!((user.external, user.account_id.as_str()), (true, "acme"));
        assert_eq!((user.revision, reported.revision), (1 + number, 1 + number));
        assert_eq!(acme.get(user_id).await, user);
    }
    let reference_id = "REF-1";
    let request = ask!(
        acme,
        LinkReferenceRequest {
            company_id,
            user_id,
            reference_id
        }
    );
    services.link_reference(request).await.answer();

    let blocked = async || {
        let request = ask!(home, CheckUserDeletionRequest { user_id });
        let told = home.admin.users().check_user_deletion(request).await;
        let told = told.answer().blockers;
        let request = ask!(home, DeleteUserRequest { user_id });
        let refusal = home.admin.users().delete_user(request).await.refusal();
        let refusal = refusal.is(Code::FailedPrecondition, "USER_STILL_NEEDED");
        let text = format!("{told:?} {refusal:?}");
        for secret in ["INV-", "REF-", company_id, "acme"] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
        assert_eq!(refusal.violations.len(), told.len());
        told.iter()
            .map(|blocker| (blocker.kind(), blocker.elsewhere))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        blocked().await,
        [(Kind::LinkedReference, 1), (Kind::UnsettledInvoice, 2)]
    );
    // Revoking the access is not refused, and settles nothing; what is reported late is recorded.
    revoke(&acme, user_id).await;
    let request = ask!(
        acme,
        ReportInvoiceQueuedRequest {
            company_id,
            user_id,
            invoice_id: "INV-3"
        }
    );
    services.report_invoice_queued(request).await.answer();
    assert_eq!(blocked().await.len(), 3);
    let request = ask!(acme, ListInvolvementsRequest { user_id });
    let open = services.list_involvements(request).await.answer();
    assert_eq!(open.involvements.len(), 4);

    for number in 1..=2 {
        let invoice_id = format!("INV-{number}");
        let request = ask!(
            acme,
            ReportInvoicePostedRequest {
                company_id,
                invoice_id: &invoice_id
            }
        );
        let posted = services.report_invoice_posted(request).await.answer();
        assert_eq!(&posted.released_user_ids, std::slice::from_ref(user_id));
        let request = ask!(
            acme,
            ListReviewersRequest {
                company_id,
                invoice_id
            }
        );
        let reviewers = services.list_reviewers(request).await.answer().reviewers;
        assert_eq!((&reviewers[0].user_id, reviewers[0].open), (user_id, false));
    }
    let request = ask!(
        acme,
        ReportInvoiceDequeuedRequest {
            company_id,
            user_id,
            invoice_id: "INV-3"
        }
    );
    services.report_invoice_dequeued(request).await.answer();
    let request = ask!(
        acme,
        UnlinkReferenceRequest {
            company_id,
            user_id,
            reference_id
        }
    );
    services.unlink_reference(request).await.answer();
    let request = ask!(home, DeleteUserRequest { user_id });
    home.admin.users().delete_user(request).await.answer();
    let request = ask!(
        acme,
        ReportInvoiceQueuedRequest {
            company_id,
            user_id,
            invoice_id: "INV-4"
        }
    );
    services
        .report_invoice_queued(request)
        .await
        .refusal()
        .is(Code::FailedPrecondition, "USER_DELETED");
}

async fn r26_a_deletion_at_home_ends_every_access(directory: &Directory) {
    let (acme, home, anna) = two_accounts(directory).await;
    let beta = Tenant::create(directory, "beta").await;
    give(&acme, &anna, pb::UserType::Administrator).await;
    give(&beta, &anna, pb::UserType::Standard).await;
    revoke(&beta, &anna).await;
    let caller = acme.administrator_caller(directory, &anna);
    may_act(&acme, &caller, "A1").await.unwrap();
    let head = directory.head().await;
    let request = ask!(
        home,
        DeleteUserRequest {
            user_id: &anna,
            command: pb::CommandOptions {
                reason: "moved to Mallorca".to_owned(),
                ..rollbook_tests::people::repeatable()
            },
        }
    );
    let deleted = home
        .admin
        .users()
        .delete_user(request.clone())
        .await
        .answer();
    let again = home.admin.users().delete_user(request).await.answer();
    assert_eq!(deleted, again);
    // One commit, in which each account has its own numbers.
    let commit: Vec<_> = directory
        .events()
        .await
        .into_iter()
        .filter(|event| event.position > head)
        .map(|event| (event.account_id, event.event_type, event.commit_position))
        .collect();
    let event = |account: &str, kind: &str| (account.to_owned(), kind.to_owned(), deleted.position);
    assert_eq!(
        commit,
        [
            event("home", "UserDeleted"),
            event("acme", "AccessRevoked"),
            event("acme", "ExternalUserDeleted"),
            event("beta", "ExternalUserDeleted"),
        ]
    );
    assert!(may_act(&acme, &caller, "A2").await.is_err());
    for place in [&acme, &beta] {
        let ended = accesses(place, true).await;
        assert_eq!(ended[0].status(), pb::AccessStatus::UserDeleted);
        assert!(list(place, external()).await.is_empty());
        assert_eq!(
            denials(place, &anna, "invoices").await,
            [pb::AccessDenialReason::Deleted]
        );
    }
    let told = format!("{:?}", directory.events().await);
    for erased in ["Last ANNA", "ANNA@example.com", "Mallorca"] {
        assert!(!told.contains(erased), "{erased} can still be read");
    }
}

async fn r71_access_is_checked_by_what_was_granted_here(directory: &Directory) {
    use pb::AccessDenialReason as Reason;
    let (acme, home, anna) = two_accounts(directory).await;
    let user_id = &anna;
    let request = ask!(
        acme,
        CheckAccessRequest {
            user_id,
            module: "invoices"
        }
    );
    acme.service
        .users()
        .check_access(request)
        .await
        .refusal()
        .is(Code::NotFound, "USER_NOT_FOUND");
    let at_home = ask!(
        home,
        SetUserPermissionsRequest {
            user_id,
            permissions: vec![grant("archive")]
        }
    );
    home.admin
        .users()
        .set_user_permissions(at_home)
        .await
        .answer();
    give(&acme, user_id, pb::UserType::Standard).await;
    assert_eq!(denials(&acme, user_id, "archive").await, [Reason::NoGrant]);
    let invoices = pb::Permission {
        company_id: acme.companies[1].clone(),
        ..grant("invoices")
    };
    update(
        &acme,
        user_id,
        pb::UserType::Standard,
        vec![invoices],
        &["permissions"],
    )
    .await
    .unwrap();
    for (company_id, allowed) in [(&acme.companies[1], true), (&acme.companies[0], false)] {
        let request = ask!(
            acme,
            CheckAccessRequest {
                user_id,
                module: "invoices",
                company_id
            }
        );
        let answer = acme.service.users().check_access(request).await.answer();
        assert_eq!(answer.allowed, allowed);
    }
    assert_eq!(denials(&home, user_id, "archive").await, []);

    // The user asks for itself with a token for this account.
    let own = directory.caller(Identity::new(Role::Own, user_id, Some("acme")));
    let request = ask!(
        acme,
        CheckAccessRequest {
            user_id,
            module: "archive"
        }
    );
    let answer = own.users().check_access(request).await.answer();
    assert_eq!(answer.denials, [i32::from(Reason::NoGrant)]);

    let sleep = ask!(home, DeactivateUserRequest { user_id });
    home.admin.users().deactivate_user(sleep).await.answer();
    assert_eq!(
        denials(&acme, user_id, "archive").await,
        [Reason::Inactive, Reason::NoGrant]
    );
    revoke(&acme, user_id).await;
    assert_eq!(
        denials(&acme, user_id, "archive").await,
        [Reason::AccessRevoked]
    );
}

async fn r70_what_external_users_hold_is_in_use(directory: &Directory) {
    let (acme, _, anna) = two_accounts(directory).await;
    let request = ask!(acme, AddCompanyRequest { title: "Delta" });
    let added = acme.admin.accounts().add_company(request).await.answer();
    let company_id = added.company.unwrap().company_id;
    let in_delta = pb::Permission {
        company_id: company_id.clone(),
        ..grant("archive")
    };
    let request = ask!(
        acme,
        GrantAccessRequest {
            user_id: &anna,
            permissions: vec![in_delta]
        }
    );
    let granted = acme.operator.external_access().grant_access(request).await;
    granted.answer();
    let mut accounts = acme.admin.accounts();
    let remove = ask!(acme, RemoveModuleRequest { module: "archive" });
    let narrow = ask!(
        acme,
        DefineModuleRequest {
            module: "archive",
            title: "Archive",
            administrator_only: true
        }
    );
    let close = ask!(acme, RemoveCompanyRequest { company_id });
    for refusal in [
        accounts
            .remove_module(remove.clone())
            .await
            .refusal()
            .is(Code::FailedPrecondition, "MODULE_IN_USE"),
        accounts
            .define_module(narrow.clone())
            .await
            .refusal()
            .is(Code::FailedPrecondition, "MODULE_HELD_BY_STANDARD_USERS"),
        accounts
            .remove_company(close.clone())
            .await
            .refusal()
            .is(Code::FailedPrecondition, "COMPANY_IN_USE"),
    ] {
        let told = format!("{refusal:?}");
        assert!(told.contains(&anna), "{told}");
    }
    revoke(&acme, &anna).await;
    accounts.define_module(narrow).await.answer();
    accounts.remove_module(remove).await.answer();
    accounts.remove_company(close).await.answer();
}

async fn r68_commands_on_users_do_not_reach_external_ones(directory: &Directory) {
    let (acme, _, anna) = two_accounts(directory).await;
    give(&acme, &anna, pb::UserType::Administrator).await;
    let external_admin = acme.administrator_caller(directory, &anna);
    let head = directory.head().await;
    let user_id = &anna;
    for caller in [&acme.admin, &external_admin] {
        let mut users = caller.users();
        let refusals = [
            users
                .lock_user(ask!(acme, LockUserRequest { user_id }))
                .await
                .refusal(),
            users
                .delete_user(ask!(acme, DeleteUserRequest { user_id }))
                .await
                .refusal(),
            users
                .check_user_deletion(ask!(acme, CheckUserDeletionRequest { user_id }))
                .await
                .refusal(),
            users
                .set_user_permissions(ask!(acme, SetUserPermissionsRequest { user_id }))
                .await
                .refusal(),
            users
                .add_user_companies(ask!(
                    acme,
                    AddUserCompaniesRequest {
                        user_id,
                        companies: vec![link(&acme.companies[0])]
                    }
                ))
                .await
                .refusal(),
        ];
        for refusal in refusals {
            refusal.is(Code::NotFound, "USER_NOT_FOUND");
        }
    }
    // Its own profile is its home account's business, too.
    let own = directory.caller(Identity::new(Role::Own, user_id, Some("acme")));
    let request = ask!(
        acme,
        UpdateUserRequest {
            user_id,
            profile: pb::UserProfile {
                phone: "11 22 33".to_owned(),
                ..pb::UserProfile::default()
            },
            update_mask: FieldMask {
                paths: vec!["phone".to_owned()]
            },
        }
    );
    own.users()
        .update_user(request)
        .await
        .refusal()
        .is(Code::NotFound, "USER_NOT_FOUND");
    let key = Key::UserId(user_id.clone());
    let request = ask!(acme, GetUserRequest { key });
    let seen = own.users().get_user(request).await.answer();
    assert!(seen.user.unwrap().external);
    assert_eq!(directory.head().await, head);
}

async fn r58_the_auditors_of_an_account_see_its_accesses(directory: &Directory) {
    let (acme, home, anna) = two_accounts(directory).await;
    give(&acme, &anna, pb::UserType::Administrator).await;
    revoke(&acme, &anna).await;
    let stream = format!("access-acme/{anna}");
    assert_eq!(
        acme.event_types(&stream).await,
        ["AccessGranted", "AccessRevoked"]
    );
    assert!(home.event_types(&stream).await.is_empty());
    let of_user = async |tenant: &Tenant| {
        let filter = pb::EventFilter {
            account_id: tenant.account_id.clone(),
            user_id: anna.clone(),
            ..pb::EventFilter::default()
        };
        let request = pb::ListEventsRequest {
            filter: Some(filter),
            ..pb::ListEventsRequest::default()
        };
        let events = tenant.auditor.history().list_events(request).await;
        let events = events.answer().events.into_iter();
        events.map(|event| event.event_type).collect::<Vec<_>>()
    };
    assert_eq!(of_user(&acme).await, ["AccessGranted", "AccessRevoked"]);
    assert_eq!(
        of_user(&home).await,
        ["UserCreated", "UserRolesSet", "UserCompaniesAdded"]
    );
}

/// In each round Anna is deleted at home while she is given access.
async fn grants_against_deletions(acme: &Tenant, home: &Tenant) {
    let mut won = (0, 0);
    for round in 0..100 {
        let anna = home.user(&format!("V{round}")).await.user_id;
        let delete = {
            let caller = home.admin.clone();
            let request = ask!(home, DeleteUserRequest { user_id: &anna });
            async move { caller.users().delete_user(request).await.outcome() }
        };
        let grant = {
            let caller = acme.operator.clone();
            let request = ask!(acme, GrantAccessRequest { user_id: &anna });
            async move {
                let mut accesses = caller.external_access();
                accesses.grant_access(request).await.outcome()
            }
        };
        let (deleted, granted) = tokio::join!(tokio::spawn(delete), tokio::spawn(grant));
        // Nothing stands against the deletion, whoever came first.
        deleted.unwrap().unwrap();
        match granted.unwrap() {
            Ok(_) => won.0 += 1,
            Err(refusal) => {
                refusal.is(Code::FailedPrecondition, "USER_DELETED");
                won.1 += 1;
            }
        }
        let of_anna = pb::ListAccessesRequest {
            user_id: anna,
            include_ended: true,
            ..pb::ListAccessesRequest::default()
        };
        let mut operator = acme.operator.external_access();
        for access in operator.list_accesses(of_anna).await.answer().accesses {
            assert_eq!(access.status(), pb::AccessStatus::UserDeleted);
        }
    }
    assert!(list(acme, external()).await.is_empty());
    println!("granted first {}, deleted first {}", won.0, won.1);
}

async fn r25_a_grant_comes_first_and_is_revoked_or_second_and_is_refused(directory: &Directory) {
    let (acme, home, _) = two_accounts(directory).await;
    grants_against_deletions(&acme, &home).await;
}

/// The same with the two at different processes on one database.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r25_a_grant_meets_a_deletion_at_another_process() {
    let directory = Directory::start(Home::Postgres).await;
    let second = directory.second_process().await;
    let (acme, home, _) = two_accounts(&directory).await;
    grants_against_deletions(&acme, &home.at(&second)).await;
    directory.finish().await;
}

async fn r25_an_external_administrator_commits_nothing_after_its_access_was_revoked(
    directory: &Directory,
) {
    let (acme, _, anna) = two_accounts(directory).await;
    for round in 0..30 {
        give(&acme, &anna, pb::UserType::Administrator).await;
        directory.clock.advance(Duration::from_secs(1));
        let caller = acme.administrator_caller(directory, &anna);
        let act = {
            let acme = acme.clone();
            async move { may_act(&acme, &caller, &format!("W{round}")).await }
        };
        let end = {
            let (acme, anna) = (acme.clone(), anna.clone());
            async move { revoke(&acme, &anna).await.position }
        };
        let (acted, ended) = tokio::join!(tokio::spawn(act), tokio::spawn(end));
        match acted.unwrap() {
            Ok(position) => assert!(position < ended.unwrap(), "round {round}"),
            Err(refusal) => {
                refusal.is(Code::PermissionDenied, "NOT_ADMINISTRATOR");
            }
        }
    }
}
