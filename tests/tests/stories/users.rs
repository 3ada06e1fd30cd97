//! Users: created, found, changed, listed.

use std::collections::BTreeSet;

use prost_types::FieldMask;
use rollbook_tests::people::{PASSWORD, grant, link, person, report_to};
use rollbook_tests::{Answer as _, Code, Directory, Tenant, ask, pb, stories};

use pb::get_user_request::Key;
use pb::list_users_request::Company;

fn mask(paths: &[&str]) -> FieldMask {
    FieldMask {
        paths: paths.iter().map(|path| (*path).to_owned()).collect(),
    }
}

stories! {
    r1_a_user_needs_no_company,
    r2_a_user_is_created_with_everything_it_was_given,
    r2_every_missing_field_is_named_at_once,
    r2_a_password_is_needed_where_the_account_keeps_them_and_no_welcome_is_asked_for,
    r17_weak_and_oversized_passwords_are_refused,
    r17_a_password_is_in_no_event,
    r18_where_passwords_are_kept_elsewhere_none_is_accepted,
    r3_a_user_is_created_inactive_and_activated_later,
    r4_a_signature_is_unique_in_the_account_however_it_is_written,
    r4_a_signature_stays_reserved_after_a_change_and_after_deletion,
    r5_email_is_unique_only_where_it_is_the_login,
    r6_an_email_is_free_again_after_deletion,
    r7_a_new_or_changed_email_names_the_user_at_once,
    r8_only_what_the_mask_names_changes,
    r6_one_user_is_found_by_any_of_its_names,
    r57_many_users_are_read_by_id_in_one_call,
    r50_lists_are_filtered_by_company_activity_status_role_and_type,
    r53_lists_are_sorted_by_every_column_both_ways_and_r54_paged_exactly_once,
    r54_a_page_token_serves_its_own_query_alone,
    r56_a_read_sees_every_write_that_was_acknowledged_before_it,
    r56_a_caller_may_ask_for_a_position_or_for_the_fastest_answer,
    r54_a_row_that_stays_as_it_is_appears_once_whatever_else_changes,
}

async fn r1_a_user_needs_no_company(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let anna = acme.user("ANNA").await;
    assert!(anna.companies.is_empty());
    acme.clerk("BERT").await;
    let none = acme
        .admin
        .users()
        .list_users(ask!(
            acme,
            ListUsersRequest {
                company: Company::NoCompany(true)
            }
        ))
        .await
        .answer();
    let listed: Vec<_> = none
        .users
        .iter()
        .map(|user| user.signature.as_str())
        .collect();
    assert_eq!(listed, ["ANNA"]);
}

async fn r2_a_user_is_created_with_everything_it_was_given(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let boss = acme.clerk("BOSS").await;
    let company = acme.companies[1].clone();
    let permission = pb::Permission {
        module: "archive".to_owned(),
        company_id: company.clone(),
    };
    let user = acme
        .create_user(pb::NewUser {
            signature: "ÅSA".to_owned(),
            first_name: "Åsa Örjansdotter".to_owned(),
            last_name: "O'Brien-王".to_owned(),
            email: "Åsa@Example.com".replace('Å', "A"),
            phone: "+46 8 123 45 67".to_owned(),
            mobile_phone: "070-123 45 67".to_owned(),
            language: "sv-se".to_owned(),
            active: Some(false),
            user_type: pb::UserType::Standard.into(),
            roles: vec!["manager".to_owned(), "clerk".to_owned()],
            permissions: vec![permission.clone(), grant("invoices")],
            companies: vec![report_to(&company, &boss.user_id)],
            ..Default::default()
        })
        .await;
    assert_eq!(
        user,
        acme.get(&user.user_id).await,
        "the answer is what a read shows"
    );
    assert_eq!(user.signature, "ÅSA");
    assert_eq!(
        (user.first_name.as_str(), user.last_name.as_str()),
        ("Åsa Örjansdotter", "O'Brien-王")
    );
    assert_eq!(
        (user.email.as_str(), user.user_name.as_str()),
        ("Asa@Example.com", "Asa@Example.com")
    );
    assert_eq!(
        (user.phone.as_str(), user.mobile_phone.as_str()),
        ("+46 8 123 45 67", "070-123 45 67")
    );
    assert_eq!(user.language, "sv-SE");
    assert_eq!(user.roles, ["clerk", "manager"]);
    assert_eq!(user.permissions, [permission, grant("invoices")]);
    assert_eq!(user.companies, [report_to(&company, &boss.user_id)]);
    assert_eq!(
        (user.active, user.status()),
        (false, pb::UserStatus::Inactive)
    );
    assert_eq!(
        (user.revision >= 1, user.created_at.is_some()),
        (true, true)
    );
    assert_eq!(
        uuid::Uuid::parse_str(&user.user_id)
            .unwrap()
            .get_version_num(),
        7
    );
}

async fn r2_every_missing_field_is_named_at_once(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    acme.admin
        .users()
        .create_user(ask!(
            acme,
            CreateUserRequest {
                user: pb::NewUser::default()
            }
        ))
        .await
        .refusal()
        .is(Code::InvalidArgument, "MALFORMED")
        .names(&[
            "user.signature",
            "user.first_name",
            "user.last_name",
            "user.email",
        ]);
}

async fn r2_a_password_is_needed_where_the_account_keeps_them_and_no_welcome_is_asked_for(
    directory: &Directory,
) {
    let acme = Tenant::with_passwords(directory, "acme").await;
    let create = |user: pb::NewUser| acme.try_create(user);
    create(person("ANNA"))
        .await
        .refusal()
        .is(Code::InvalidArgument, "PASSWORD_MISSING")
        .names(&["user.password"]);
    let both = pb::NewUser {
        password: PASSWORD.to_owned(),
        welcome: true,
        ..person("ANNA")
    };
    create(both)
        .await
        .refusal()
        .is(Code::InvalidArgument, "PASSWORD_AND_WELCOME");
    let invited = create(pb::NewUser {
        welcome: true,
        ..person("ANNA")
    })
    .await
    .answer();
    assert_eq!(invited.user.unwrap().status(), pb::UserStatus::Provisioned);
    assert!(!invited.welcome_token.is_empty());
    let given = create(pb::NewUser {
        password: PASSWORD.to_owned(),
        ..person("BERT")
    })
    .await
    .answer();
    assert_eq!(given.user.unwrap().status(), pb::UserStatus::Active);
    assert_eq!(given.welcome_token, "");
    let once = pb::NewUser {
        password: PASSWORD.to_owned(),
        one_time_password: true,
        ..person("CLEO")
    };
    let once = create(once).await.answer();
    assert_eq!(
        once.user.unwrap().status(),
        pb::UserStatus::AwaitingNewPassword
    );
}

async fn r17_weak_and_oversized_passwords_are_refused(directory: &Directory) {
    let acme = Tenant::with_passwords(directory, "acme").await;
    for password in [
        "fourteen chars".to_owned(),
        "aaaaaaaaaaaaaaaaaaaa".to_owned(),
        "passwordpassword".to_owned(),
        "x7".repeat(600),
    ] {
        let user = pb::NewUser {
            password,
            ..person("ANNA")
        };
        acme.try_create(user)
            .await
            .refusal()
            .is(Code::InvalidArgument, "MALFORMED")
            .names(&["user.password"]);
    }
}

async fn r17_a_password_is_in_no_event(directory: &Directory) {
    let acme = Tenant::with_passwords(directory, "acme").await;
    let user = pb::NewUser {
        password: "zebra-quilt-47-umbrella".to_owned(),
        ..person("ANNA")
    };
    acme.try_create(user).await.answer();
    for event in directory.events().await {
        let told = format!("{event:?}");
        assert!(
            !told.contains("zebra-quilt") && !told.contains("argon2"),
            "{told}"
        );
    }
}

async fn r18_where_passwords_are_kept_elsewhere_none_is_accepted(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let user = pb::NewUser {
        password: PASSWORD.to_owned(),
        ..person("ANNA")
    };
    acme.try_create(user)
        .await
        .refusal()
        .is(Code::FailedPrecondition, "PASSWORDS_KEPT_ELSEWHERE");
}

async fn r3_a_user_is_created_inactive_and_activated_later(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let anna = acme
        .create_user(pb::NewUser {
            active: Some(false),
            ..person("ANNA")
        })
        .await;
    assert_eq!(anna.status(), pb::UserStatus::Inactive);
    let anna = acme
        .admin
        .users()
        .activate_user(ask!(
            acme,
            ActivateUserRequest {
                user_id: &anna.user_id
            }
        ))
        .await
        .answer()
        .user
        .unwrap();
    assert_eq!((anna.active, anna.status()), (true, pb::UserStatus::Active));
}

async fn r4_a_signature_is_unique_in_the_account_however_it_is_written(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let other = Tenant::create(directory, "other").await;
    acme.user("STRASSE").await;
    for twin in ["STRASSE", "strasse", "Straße", "ＳＴＲＡＳＳＥ"] {
        let user = pb::NewUser {
            email: "twin@example.com".to_owned(),
            ..person(twin)
        };
        acme.try_create(user)
            .await
            .refusal()
            .is(Code::AlreadyExists, "SIGNATURE_TAKEN");
    }
    other.user("STRASSE").await;
}

async fn r4_a_signature_stays_reserved_after_a_change_and_after_deletion(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let anna = acme.user("ANNA").await;
    acme.admin
        .users()
        .update_user(ask!(
            acme,
            UpdateUserRequest {
                user_id: &anna.user_id,
                profile: pb::UserProfile {
                    signature: "ANN2".to_owned(),
                    ..Default::default()
                },
                update_mask: mask(&["signature"]),
            }
        ))
        .await
        .answer();
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
    for taken in ["anna", "Ann2"] {
        acme.try_create(person(taken))
            .await
            .refusal()
            .is(Code::AlreadyExists, "SIGNATURE_TAKEN");
    }
}

async fn r5_email_is_unique_only_where_it_is_the_login(directory: &Directory) {
    let by_email = Tenant::create(directory, "by-email").await;
    let by_signature = Tenant::with_signature_login(directory, "by-signature").await;
    let at_desk = |signature: &str, email: &str| pb::NewUser {
        email: email.to_owned(),
        ..person(signature)
    };
    for tenant in [&by_email, &by_signature] {
        tenant
            .create_user(at_desk("ANNA", "desk@example.com"))
            .await;
    }
    by_email
        .try_create(at_desk("BERT", "DESK@Example.com"))
        .await
        .refusal()
        .is(Code::AlreadyExists, "EMAIL_TAKEN");
    let bert = by_signature
        .create_user(at_desk("BERT", "DESK@Example.com"))
        .await;
    assert_eq!(bert.user_name, "BERT");
    let by = |key: Key| by_signature.find(key);
    by(Key::Email("Desk@example.com".to_owned()))
        .await
        .refusal()
        .is(Code::FailedPrecondition, "EMAIL_AMBIGUOUS");
    assert_eq!(
        by(Key::UserName("bert".to_owned()))
            .await
            .answer()
            .user
            .unwrap()
            .user_id,
        bert.user_id
    );
}

async fn r6_an_email_is_free_again_after_deletion(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let anna = acme.user("ANNA").await;
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
    let again = acme
        .create_user(pb::NewUser {
            email: anna.email.clone(),
            ..person("ANN2")
        })
        .await;
    assert_ne!(again.user_id, anna.user_id);
    assert_eq!(
        acme.get(&anna.user_id).await.status(),
        pb::UserStatus::Deleted
    );
}

async fn r7_a_new_or_changed_email_names_the_user_at_once(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let anna = acme.user("ANNA").await;
    let by = |email: &str| acme.find(Key::UserName(email.to_owned()));
    assert_eq!(
        by("anna@EXAMPLE.com").await.answer().user.unwrap().user_id,
        anna.user_id
    );
    acme.admin
        .users()
        .update_user(ask!(
            acme,
            UpdateUserRequest {
                user_id: &anna.user_id,
                profile: pb::UserProfile {
                    email: "new@example.com".to_owned(),
                    ..Default::default()
                },
                update_mask: mask(&["email"]),
            }
        ))
        .await
        .answer();
    assert_eq!(
        by("new@example.com").await.answer().user.unwrap().user_id,
        anna.user_id
    );
    by("anna@example.com")
        .await
        .refusal()
        .is(Code::NotFound, "USER_NOT_FOUND");
}

async fn r8_only_what_the_mask_names_changes(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let before = acme
        .create_user(pb::NewUser {
            phone: "12345".to_owned(),
            language: "fi".to_owned(),
            roles: vec!["clerk".to_owned()],
            ..person("ANNA")
        })
        .await;
    let update = |paths: &[&str]| {
        ask!(
            acme,
            UpdateUserRequest {
                user_id: &before.user_id,
                profile: pb::UserProfile {
                    first_name: "Annika".to_owned(),
                    ..Default::default()
                },
                update_mask: mask(paths),
            }
        )
    };
    let after = acme
        .admin
        .users()
        .update_user(update(&["first_name", "phone"]))
        .await
        .answer();
    let expected = pb::User {
        first_name: "Annika".to_owned(),
        phone: String::new(),
        revision: after.revision,
        modified_at: after.user.as_ref().unwrap().modified_at,
        ..before.clone()
    };
    assert_eq!(after.user.unwrap(), expected);
    let again = acme
        .admin
        .users()
        .update_user(update(&["first_name", "phone"]))
        .await
        .answer();
    assert_eq!(
        again.revision, after.revision,
        "what already is adds no event"
    );
    acme.admin
        .users()
        .update_user(update(&[]))
        .await
        .refusal()
        .is(Code::InvalidArgument, "MALFORMED")
        .names(&["update_mask"]);
    acme.admin
        .users()
        .update_user(update(&["first_name", "roles"]))
        .await
        .refusal()
        .is(Code::InvalidArgument, "MALFORMED")
        .names(&["update_mask"]);
    acme.admin
        .users()
        .update_user(update(&["last_name"]))
        .await
        .refusal()
        .is(Code::InvalidArgument, "MALFORMED")
        .names(&["profile.last_name"]);
}

async fn r6_one_user_is_found_by_any_of_its_names(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let other = Tenant::create(directory, "other").await;
    let anna = acme.user("ANNA").await;
    for key in [
        Key::UserId(anna.user_id.clone()),
        Key::Signature("anna".to_owned()),
        Key::UserName("ANNA@example.com".to_owned()),
        Key::Email("Anna@Example.Com".to_owned()),
    ] {
        assert_eq!(acme.find(key.clone()).await.answer().user.unwrap(), anna);
        other
            .find(key)
            .await
            .refusal()
            .is(Code::NotFound, "USER_NOT_FOUND");
    }
    acme.admin
        .users()
        .get_user(ask!(acme, GetUserRequest {}))
        .await
        .refusal()
        .is(Code::InvalidArgument, "MALFORMED")
        .names(&["user_id"]);
}

async fn r57_many_users_are_read_by_id_in_one_call(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let other = Tenant::create(directory, "other").await;
    let (anna, bert) = (acme.user("ANNA").await, acme.user("BERT").await);
    let foreign = other.user("CLEO").await;
    let unknown = uuid::Uuid::now_v7().to_string();
    let answer = acme
        .admin
        .users()
        .batch_get_users(ask!(
            acme,
            BatchGetUsersRequest {
                user_ids: vec![
                    bert.user_id.clone(),
                    foreign.user_id.clone(),
                    anna.user_id.clone(),
                    unknown.clone()
                ],
            }
        ))
        .await
        .answer();
    assert_eq!(answer.users, [bert, anna]);
    assert_eq!(answer.not_found_ids, [foreign.user_id, unknown]);
    let many: Vec<String> = (0..1001)
        .map(|_| uuid::Uuid::now_v7().to_string())
        .collect();
    acme.admin
        .users()
        .batch_get_users(ask!(acme, BatchGetUsersRequest { user_ids: many }))
        .await
        .refusal()
        .is(Code::InvalidArgument, "MALFORMED")
        .names(&["user_ids"]);
}

async fn r50_lists_are_filtered_by_company_activity_status_role_and_type(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    acme.create_user(pb::NewUser {
        companies: vec![link(&acme.companies[0])],
        ..person("ANNA")
    })
    .await;
    acme.create_user(pb::NewUser {
        active: Some(false),
        roles: vec!["clerk".to_owned()],
        ..person("BERT")
    })
    .await;
    let cleo = acme.user("CLEO").await;
    acme.admin
        .users()
        .lock_user(ask!(
            acme,
            LockUserRequest {
                user_id: &cleo.user_id
            }
        ))
        .await
        .answer();
    let dora = acme.user("DORA").await;
    acme.admin
        .users()
        .delete_user(ask!(
            acme,
            DeleteUserRequest {
                user_id: &dora.user_id
            }
        ))
        .await
        .answer();
    let all = || {
        ask!(
            acme,
            ListUsersRequest {
                include_total: true
            }
        )
    };
    let checks = [
        (all(), vec!["ADM", "ANNA", "BERT", "CLEO"]),
        (
            pb::ListUsersRequest {
                company: Some(Company::CompanyId(acme.companies[0].clone())),
                ..all()
            },
            vec!["ADM", "ANNA"],
        ),
        (
            pb::ListUsersRequest {
                company: Some(Company::NoCompany(true)),
                ..all()
            },
            vec!["BERT", "CLEO"],
        ),
        (
            pb::ListUsersRequest {
                activity: pb::Activity::Active.into(),
                ..all()
            },
            vec!["ADM", "ANNA", "CLEO"],
        ),
        (
            pb::ListUsersRequest {
                activity: pb::Activity::Inactive.into(),
                ..all()
            },
            vec!["BERT"],
        ),
        (
            pb::ListUsersRequest {
                statuses: vec![
                    pb::UserStatus::LockedByAdmin.into(),
                    pb::UserStatus::Inactive.into(),
                ],
                ..all()
            },
            vec!["BERT", "CLEO"],
        ),
        (
            pb::ListUsersRequest {
                role: "clerk".to_owned(),
                ..all()
            },
            vec!["BERT"],
        ),
        (
            pb::ListUsersRequest {
                user_type: pb::UserType::Administrator.into(),
                ..all()
            },
            vec!["ADM"],
        ),
    ];
    for (request, expected) in checks {
        let page = acme
            .admin
            .users()
            .list_users(request.clone())
            .await
            .answer();
        let seen: Vec<_> = page
            .users
            .iter()
            .map(|user| user.signature.as_str())
            .collect();
        assert_eq!(
            (seen.clone(), page.total),
            (expected, Some(seen.len() as u64)),
            "{request:?}"
        );
    }
}

async fn r53_lists_are_sorted_by_every_column_both_ways_and_r54_paged_exactly_once(
    directory: &Directory,
) {
    let acme = Tenant::create(directory, "acme").await;
    for (number, first) in ["Östen", "olle", "Zoë", "Émile", "emil", "Ola"]
        .iter()
        .enumerate()
    {
        acme.create_user(pb::NewUser {
            first_name: (*first).to_owned(),
            active: Some(number % 2 == 0),
            roles: if number % 3 == 0 {
                vec!["clerk".to_owned()]
            } else {
                vec![]
            },
            ..person(&format!("U{number}"))
        })
        .await;
    }
    for sort in 0..=pb::UserSort::ModifiedAt as i32 {
        for descending in [false, true] {
            let request = ask!(
                acme,
                ListUsersRequest {
                    sort,
                    descending,
                    page_size: 2_u32
                }
            );
            let seen = pages(&acme, request).await;
            let once: BTreeSet<&str> = seen.iter().map(|user| user.user_id.as_str()).collect();
            assert_eq!(
                (seen.len(), once.len()),
                (7, 7),
                "sorted by {sort}, descending {descending}"
            );
        }
    }
    let by_name = ask!(
        acme,
        ListUsersRequest {
            sort: pb::UserSort::FirstName,
            page_size: 2_u32
        }
    );
    let names: Vec<_> = pages(&acme, by_name)
        .await
        .into_iter()
        .map(|user| user.first_name)
        .collect();
    assert_eq!(names[..1], ["emil".to_owned()]);
    let folded: Vec<_> = names.iter().map(String::as_str).collect();
    assert_eq!(
        folded,
        ["emil", "Émile", "First ADM", "Ola", "olle", "Östen", "Zoë"]
    );
    let newest = ask!(
        acme,
        ListUsersRequest {
            sort: pb::UserSort::CreatedAt,
            descending: true,
            page_size: 1_u32
        }
    );
    let newest = acme.admin.users().list_users(newest).await.answer();
    assert_eq!(newest.users[0].signature, "U5");
}

async fn r54_a_page_token_serves_its_own_query_alone(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let other = Tenant::create(directory, "other").await;
    acme.user("ANNA").await;
    let first = acme
        .admin
        .users()
        .list_users(ask!(acme, ListUsersRequest { page_size: 1_u32 }))
        .await
        .answer();
    let token = first.next_page_token.as_str();
    let mut forged = token.to_owned();
    let last = forged.pop().unwrap();
    forged.push(if last == 'A' { 'B' } else { 'A' });
    for request in [
        ask!(
            acme,
            ListUsersRequest {
                page_token: forged.as_str()
            }
        ),
        ask!(acme, ListUsersRequest { page_token: "x" }),
        ask!(
            acme,
            ListUsersRequest {
                page_token: token,
                descending: true
            }
        ),
        ask!(
            acme,
            ListUsersRequest {
                page_token: token,
                sort: pb::UserSort::Email
            }
        ),
        ask!(
            acme,
            ListUsersRequest {
                page_token: token,
                role: "clerk"
            }
        ),
    ] {
        acme.admin
            .users()
            .list_users(request)
            .await
            .refusal()
            .is(Code::InvalidArgument, "PAGE_TOKEN_INVALID");
    }
    other
        .admin
        .users()
        .list_users(ask!(other, ListUsersRequest { page_token: token }))
        .await
        .refusal()
        .is(Code::InvalidArgument, "PAGE_TOKEN_INVALID");
    let rest = acme
        .admin
        .users()
        .list_users(ask!(
            acme,
            ListUsersRequest {
                page_token: token,
                page_size: 5_u32
            }
        ))
        .await
        .answer();
    assert_eq!(rest.users.len(), 1, "another page size is no other query");
    acme.admin
        .users()
        .list_users(ask!(
            acme,
            ListUsersRequest {
                page_size: 1001_u32
            }
        ))
        .await
        .refusal()
        .is(Code::InvalidArgument, "MALFORMED")
        .names(&["page_size"]);
}

async fn r56_a_read_sees_every_write_that_was_acknowledged_before_it(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    for number in 0..50 {
        let user = acme.user(&format!("U{number}")).await;
        assert_eq!(acme.get(&user.user_id).await, user);
        assert_eq!(acme.signatures().await.len(), number + 2);
    }
}

async fn r56_a_caller_may_ask_for_a_position_or_for_the_fastest_answer(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let created = acme.try_create(person("ANNA")).await.answer();
    let key = Key::UserId(created.user.unwrap().user_id);
    let read = |level| pb::ReadOptions { level: Some(level) };
    let at_least = read(pb::read_options::Level::AtLeastPosition(created.position));
    acme.admin
        .users()
        .get_user(ask!(
            acme,
            GetUserRequest {
                key: key.clone(),
                read: at_least
            }
        ))
        .await
        .answer();
    let fastest = read(pb::read_options::Level::Fastest(true));
    acme.admin
        .users()
        .get_user(ask!(
            acme,
            GetUserRequest {
                key: key.clone(),
                read: fastest
            }
        ))
        .await
        .answer();
    let beyond = read(pb::read_options::Level::AtLeastPosition(1_000_000));
    acme.admin
        .users()
        .get_user(ask!(acme, GetUserRequest { key, read: beyond }))
        .await
        .refusal()
        .is(Code::OutOfRange, "POSITION_BEYOND_HEAD");
}

async fn r54_a_row_that_stays_as_it_is_appears_once_whatever_else_changes(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    for number in 0..10 {
        acme.user(&format!("K{number}")).await;
    }
    let passing = acme.user("K3A").await.user_id;
    let mut request = ask!(acme, ListUsersRequest { page_size: 3_u32 });
    let mut seen = Vec::new();
    for round in 0.. {
        let mut users = acme.admin.users();
        let page = users.list_users(request.clone()).await.answer();
        seen.extend(page.users.into_iter().map(|user| user.signature));
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
        // Before and behind the page that was read, people come and one goes.
        acme.user(&format!("A{round}")).await;
        acme.user(&format!("Z{round}")).await;
        let user_id = &passing;
        let request = ask!(acme, DeleteUserRequest { user_id });
        let _gone_already = acme.admin.users().delete_user(request).await;
    }
    let stayed: Vec<_> = seen
        .iter()
        .filter(|signature| signature.starts_with('K') && *signature != "K3A")
        .cloned()
        .collect();
    let expected: Vec<_> = (0..10).map(|number| format!("K{number}")).collect();
    assert_eq!(stayed, expected, "of {seen:?}");
}

/// Every page of a query, one after the other.
async fn pages(tenant: &Tenant, mut request: pb::ListUsersRequest) -> Vec<pb::User> {
    let mut users = Vec::new();
    loop {
        let page = tenant
            .admin
            .users()
            .list_users(request.clone())
            .await
            .answer();
        assert!(page.users.len() <= request.page_size as usize);
        users.extend(page.users);
        if page.next_page_token.is_empty() {
            return users;
        }
        request.page_token = page.next_page_token;
    }
}
