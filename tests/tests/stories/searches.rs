//! Searches: lists by pattern, and users found while somebody types.

use rollbook_tests::people::{link, person, report_to};
use rollbook_tests::{Answer as _, Code, Directory, Tenant, ask, pb, stories};

stories! {
    r51_lists_are_searched_by_what_users_are_called_and_by_their_supervisor,
    r51_a_pattern_that_cannot_be_read_is_named,
    r51_a_page_token_serves_the_search_it_was_made_for,
    r51_a_search_sees_what_was_changed_a_moment_ago,
    r52_whoever_is_being_typed_is_found_best_matches_first,
}

fn called(signature: &str, first_name: &str, last_name: &str) -> pb::NewUser {
    pb::NewUser {
        first_name: first_name.to_owned(),
        last_name: last_name.to_owned(),
        ..person(signature)
    }
}

/// Six users; ANNA leads BERT and CLEO in Alpha, and BERT leads CLEO in Beta.
async fn team(acme: &Tenant) -> [String; 2] {
    let [alpha, beta] = [0, 1].map(|company: usize| acme.companies[company].as_str());
    let anna = pb::NewUser {
        companies: vec![link(alpha)],
        ..called("ANNA", "Anna", "Ångström")
    };
    let anna = acme.create_user(anna).await.user_id;
    let bert = pb::NewUser {
        companies: vec![report_to(alpha, &anna), link(beta)],
        ..called("BERT", "Bert", "Strøm")
    };
    let bert = acme.create_user(bert).await.user_id;
    let cleo = pb::NewUser {
        companies: vec![report_to(alpha, &anna), report_to(beta, &bert)],
        ..called("CLEO", "Cleo", "Großmann")
    };
    acme.create_user(cleo).await;
    for user in [
        called("DORA", "Dora", "Gross"),
        called("E100", "Eric", "100% Åkesson"),
        called("F1", "Fredrika", "Annasdotter"),
    ] {
        acme.create_user(user).await;
    }
    [anna, bert]
}

async fn found(acme: &Tenant, request: pb::ListUsersRequest) -> Vec<String> {
    let request = pb::ListUsersRequest {
        include_total: true,
        ..request
    };
    let page = acme.service.users().list_users(request).await.answer();
    assert_eq!(page.total, Some(page.users.len() as u64));
    page.users.into_iter().map(|user| user.signature).collect()
}

async fn r51_lists_are_searched_by_what_users_are_called_and_by_their_supervisor(
    directory: &Directory,
) {
    let acme = Tenant::create(directory, "acme").await;
    let other = Tenant::create(directory, "other").await;
    let [_anna, bert] = team(&acme).await;
    team(&other).await;
    let alpha = pb::list_users_request::Company::CompanyId(acme.companies[0].clone());
    let checks: [(pb::ListUsersRequest, &[&str]); 17] = [
        (
            ask!(acme, ListUsersRequest { first_name: "anna" }),
            &["ANNA"],
        ),
        (
            ask!(
                acme,
                ListUsersRequest {
                    last_name: "ANGSTROM"
                }
            ),
            &["ANNA"],
        ),
        (
            ask!(
                acme,
                ListUsersRequest {
                    last_name: "*str%m"
                }
            ),
            &["ANNA", "BERT"],
        ),
        (
            ask!(
                acme,
                ListUsersRequest {
                    last_name: "gross*"
                }
            ),
            &["CLEO", "DORA"],
        ),
        (
            ask!(acme, ListUsersRequest { last_name: "*ß*" }),
            &["CLEO", "DORA", "E100"],
        ),
        (
            ask!(acme, ListUsersRequest { last_name: "å*" }),
            &["ANNA", "F1"],
        ),
        (
            ask!(
                acme,
                ListUsersRequest {
                    last_name: r"100\% *"
                }
            ),
            &["E100"],
        ),
        (
            ask!(
                acme,
                ListUsersRequest {
                    last_name: r"100\%"
                }
            ),
            &[],
        ),
        (
            ask!(acme, ListUsersRequest { signature: "*o*" }),
            &["CLEO", "DORA"],
        ),
        (
            ask!(
                acme,
                ListUsersRequest {
                    email: "*@example.com",
                    signature: "?????"
                }
            ),
            &[],
        ),
        (
            ask!(
                acme,
                ListUsersRequest {
                    email: "c*@*",
                    first_name: "*e*"
                }
            ),
            &["CLEO"],
        ),
        (
            ask!(acme, ListUsersRequest { supervisor: "anna" }),
            &["BERT", "CLEO"],
        ),
        (
            ask!(
                acme,
                ListUsersRequest {
                    supervisor: "bert strom"
                }
            ),
            &["CLEO"],
        ),
        (
            ask!(
                acme,
                ListUsersRequest {
                    supervisor: "bert*",
                    company: alpha.clone()
                }
            ),
            &[],
        ),
        (
            ask!(
                acme,
                ListUsersRequest {
                    supervisor: "*",
                    company: alpha
                }
            ),
            &["BERT", "CLEO"],
        ),
        (
            ask!(
                acme,
                ListUsersRequest {
                    supervisor_id: &bert
                }
            ),
            &["CLEO"],
        ),
        (
            ask!(
                acme,
                ListUsersRequest {
                    supervisor: "anna",
                    last_name: "*m"
                }
            ),
            &["BERT"],
        ),
    ];
    for (request, expected) in checks {
        assert_eq!(found(&acme, request.clone()).await, expected, "{request:?}");
        let descending = pb::ListUsersRequest {
            descending: true,
            ..request
        };
        let mut expected = expected.to_vec();
        expected.reverse();
        assert_eq!(
            found(&acme, descending.clone()).await,
            expected,
            "{descending:?}"
        );
    }
}

async fn r51_a_pattern_that_cannot_be_read_is_named(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let request = ask!(
        acme,
        ListUsersRequest {
            signature: r"a\",
            first_name: "x".repeat(301),
            last_name: " ",
            email: "a\u{1}b",
            supervisor: r"\",
            supervisor_id: "anna"
        }
    );
    acme.service
        .users()
        .list_users(request)
        .await
        .refusal()
        .is(Code::InvalidArgument, "MALFORMED")
        .names(&[
            "signature",
            "first_name",
            "last_name",
            "email",
            "supervisor",
            "supervisor_id",
        ]);
    // Patterns that would make a matcher try everything cost nothing.
    acme.user(&"A".repeat(32)).await;
    let request = ask!(
        acme,
        ListUsersRequest {
            signature: "*a".repeat(60) + "b"
        }
    );
    assert!(found(&acme, request).await.is_empty());
}

async fn r51_a_page_token_serves_the_search_it_was_made_for(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    for number in 0..5 {
        acme.create_user(called(&format!("U{number}"), "Anna", "Ek"))
            .await;
    }
    let search = ask!(
        acme,
        ListUsersRequest {
            first_name: "*nn*",
            page_size: 2_u32
        }
    );
    let first = acme
        .service
        .users()
        .list_users(search.clone())
        .await
        .answer();
    assert_eq!(first.users.len(), 2);
    let rest = pb::ListUsersRequest {
        page_token: first.next_page_token.clone(),
        page_size: 10,
        ..search
    };
    let second = acme.service.users().list_users(rest.clone()).await.answer();
    assert_eq!(second.users.len(), 3);
    let another = pb::ListUsersRequest {
        first_name: "*n*".to_owned(),
        ..rest
    };
    acme.service
        .users()
        .list_users(another)
        .await
        .refusal()
        .is(Code::InvalidArgument, "PAGE_TOKEN_INVALID");
}

async fn r51_a_search_sees_what_was_changed_a_moment_ago(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let anna = acme.user("ANNA").await.user_id;
    for number in 0..20 {
        let request = ask!(
            acme,
            UpdateUserRequest {
                user_id: &anna,
                profile: pb::UserProfile {
                    last_name: format!("Name{number}x"),
                    ..Default::default()
                },
                update_mask: prost_types::FieldMask {
                    paths: vec!["last_name".to_owned()]
                },
            }
        );
        acme.admin.users().update_user(request).await.answer();
        let now = ask!(
            acme,
            ListUsersRequest {
                last_name: format!("*ame{number}X")
            }
        );
        assert_eq!(found(&acme, now).await, ["ANNA"]);
        let text = format!("me{number}x");
        let typed = ask!(acme, FindUsersRequest { text });
        let typed = acme.service.users().find_users(typed).await.answer();
        assert_eq!(typed.users.len(), 1);
    }
    let before = ask!(
        acme,
        ListUsersRequest {
            last_name: "name18x"
        }
    );
    assert!(found(&acme, before).await.is_empty());
}

async fn r52_whoever_is_being_typed_is_found_best_matches_first(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let other = Tenant::create(directory, "other").await;
    other.user("ANN").await;
    for user in [
        called("X1", "Hanna", "Ek"),
        called("X2", "Bo", "Annasson"),
        called("X3", "Ånna", "Berg"),
        called("ANNE", "Zoe", "Ek"),
        called("ANN", "Zoe", "Åberg"),
        pb::NewUser {
            email: "annual@example.com".to_owned(),
            ..called("X4", "Cy", "Dahl")
        },
    ] {
        acme.create_user(user).await;
    }
    let typed = async |request: pb::FindUsersRequest| {
        let found = acme.service.users().find_users(request).await.answer();
        found
            .users
            .into_iter()
            .map(|user| user.signature)
            .collect::<Vec<_>>()
    };
    let all = typed(ask!(acme, FindUsersRequest { text: "ann" })).await;
    assert_eq!(all, ["ANN", "ANNE", "X3", "X2", "X4", "X1"]);
    let best = typed(ask!(
        acme,
        FindUsersRequest {
            text: " ÅNN ",
            limit: 2_u32
        }
    ))
    .await;
    assert_eq!(best, ["ANN", "ANNE"]);
    assert_eq!(
        typed(ask!(acme, FindUsersRequest { text: "zoe ber" })).await,
        ["ANN"]
    );
    assert_eq!(
        typed(ask!(acme, FindUsersRequest { text: "b" })).await[0],
        "X2"
    );
    assert_eq!(
        typed(ask!(acme, FindUsersRequest { text: "%" })).await,
        [""; 0]
    );

    let found = acme
        .find(pb::get_user_request::Key::Signature("ANN".to_owned()))
        .await
        .answer();
    let user_id = found.user.unwrap().user_id;
    acme.admin
        .users()
        .deactivate_user(ask!(acme, DeactivateUserRequest { user_id: &user_id }))
        .await
        .answer();
    for (activity, expected) in [
        (pb::Activity::Inactive, vec!["ANN"]),
        (pb::Activity::Active, vec!["ANNE", "X3", "X2", "X4", "X1"]),
    ] {
        let request = ask!(
            acme,
            FindUsersRequest {
                text: "ann",
                activity
            }
        );
        assert_eq!(typed(request).await, expected);
    }

    let request = ask!(
        acme,
        FindUsersRequest {
            text: " ",
            activity: 9,
            limit: 101_u32
        }
    );
    acme.service
        .users()
        .find_users(request)
        .await
        .refusal()
        .is(Code::InvalidArgument, "MALFORMED")
        .names(&["text", "activity", "limit"]);
}
