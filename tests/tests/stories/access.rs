//! Who may call what, decided before a message is even decoded.

use std::time::Duration;

use prost_types::FieldMask;
use rollbook_services::access;
use rollbook_services::caller::{Claims, Minter, generate_key_pem, numeric_date};
use rollbook_tests::people::person;
use rollbook_tests::samples::World;
use rollbook_tests::{
    Answer as _, Caller, Code, Directory, Identity, Refusal, Role, Tenant, ask, contract, pb,
    stories,
};

stories! {
    r68_every_role_is_refused_whatever_the_table_does_not_give_it,
    r68_a_call_needs_a_token_that_holds,
    r68_an_administrators_token_counts_while_it_is_one_who_can_act,
    r68_a_user_sees_and_changes_its_own_profile_alone,
    r68_the_actor_of_an_event_is_the_tokens_subject,
    r25_an_administrator_who_lost_its_office_commits_nothing,
}

/// Bytes that decode as no message: a field of a wire type that does not exist.
const UNDECODABLE: [u8; 3] = [0x0f, 0xff, 0xff];

async fn r68_every_role_is_refused_whatever_the_table_does_not_give_it(directory: &Directory) {
    let world = World::create(directory, "acme").await;
    let head = directory.head().await;
    for method in contract::methods() {
        let rule = access::rule(&contract::path(&method)).unwrap();
        for role in Role::ALL {
            let status = world
                .caller(role)
                .raw(&contract::path(&method), UNDECODABLE.to_vec())
                .await
                .unwrap_err();
            let refusal = Refusal::of(&status);
            if rule.roles.contains(&role) {
                refusal.is(Code::InvalidArgument, "UNDECODABLE");
            } else {
                refusal.is(Code::PermissionDenied, "NOT_ALLOWED");
            }
        }
    }
    assert_eq!(directory.head().await, head);
}

async fn r68_a_call_needs_a_token_that_holds(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let channel = || directory.process().channel();
    let now = directory.clock.now();
    let claims = Claims {
        sub: acme.administrator.user_id.clone(),
        azp: "rollbook-tests".to_owned(),
        role: Role::Administrator,
        account: Some("acme".to_owned()),
        scope: String::new(),
        iat: numeric_date(now),
        exp: numeric_date(now + chrono::TimeDelta::hours(1)),
    };
    let good = directory.minter().mint(&claims).unwrap();
    let stranger = Minter::from_pem(&generate_key_pem().unwrap()).unwrap();
    let expired = Claims {
        exp: numeric_date(now - chrono::TimeDelta::seconds(1)),
        ..claims.clone()
    };
    let homeless = Claims {
        account: None,
        ..claims.clone()
    };
    let (head, rest) = good.split_once('.').unwrap();
    let (body, signature) = rest.split_once('.').unwrap();
    let bad = [
        "x".to_owned(),
        String::new(),
        stranger.mint(&claims).unwrap(),
        directory.minter().mint(&expired).unwrap(),
        directory.minter().mint(&homeless).unwrap(),
        format!("{head}.{body}."),
        format!("eyJhbGciOiJub25lIn0.{body}."),
        format!("{head}.{}.{signature}", body.replacen('e', "f", 1)),
    ];
    let request = || ask!(acme, ListUsersRequest {});
    for token in bad {
        let outcome = Caller::with_token(channel(), &token)
            .users()
            .list_users(request())
            .await
            .refusal();
        assert_eq!(outcome.code, Code::Unauthenticated, "{token}: {outcome:?}");
        let expected = if token.is_empty() {
            vec!["TOKEN_MISSING", "TOKEN_INVALID"]
        } else {
            vec!["TOKEN_INVALID"]
        };
        assert!(
            expected.contains(&outcome.reason.as_str()),
            "{token}: {outcome:?}"
        );
    }
    Caller::anonymous(channel())
        .users()
        .list_users(request())
        .await
        .refusal()
        .is(Code::Unauthenticated, "TOKEN_MISSING");
    let holder = Caller::with_token(channel(), &good);
    holder.users().list_users(request()).await.answer();
    directory.clock.advance(Duration::from_secs(3601));
    holder
        .users()
        .list_users(request())
        .await
        .refusal()
        .is(Code::Unauthenticated, "TOKEN_INVALID");
}

async fn r68_an_administrators_token_counts_while_it_is_one_who_can_act(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let (second, other) = acme.another_administrator(directory, "ADM2").await;
    let id = second.user_id.as_str();
    let list = async |caller: &Caller| {
        caller
            .users()
            .list_users(ask!(acme, ListUsersRequest {}))
            .await
            .outcome()
    };
    list(&other).await.unwrap();

    directory.clock.advance(Duration::from_secs(10));
    acme.admin
        .users()
        .lock_user(ask!(acme, LockUserRequest { user_id: id }))
        .await
        .answer();
    list(&other)
        .await
        .unwrap_err()
        .is(Code::PermissionDenied, "NOT_ADMINISTRATOR");
    acme.admin
        .users()
        .unlock_user(ask!(acme, UnlockUserRequest { user_id: id }))
        .await
        .answer();
    list(&other)
        .await
        .unwrap_err()
        .is(Code::Unauthenticated, "SESSIONS_ENDED");
    directory.clock.advance(Duration::from_secs(10));
    let again = other.signed_in_again();
    list(&again).await.unwrap();

    acme.admin
        .users()
        .update_user(ask!(
            acme,
            UpdateUserRequest {
                user_id: id,
                profile: pb::UserProfile {
                    user_type: pb::UserType::Standard.into(),
                    ..Default::default()
                },
                update_mask: FieldMask {
                    paths: vec!["user_type".to_owned()]
                },
            }
        ))
        .await
        .answer();
    list(&again)
        .await
        .unwrap_err()
        .is(Code::PermissionDenied, "NOT_ADMINISTRATOR");
    acme.admin
        .users()
        .delete_user(ask!(acme, DeleteUserRequest { user_id: id }))
        .await
        .answer();
    list(&again)
        .await
        .unwrap_err()
        .is(Code::PermissionDenied, "NOT_ADMINISTRATOR");
    let nobody = acme.administrator_caller(directory, &uuid::Uuid::now_v7().to_string());
    list(&nobody)
        .await
        .unwrap_err()
        .is(Code::PermissionDenied, "NOT_ADMINISTRATOR");
}

async fn r68_a_user_sees_and_changes_its_own_profile_alone(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let (anna, bert) = (acme.user("ANNA").await, acme.user("BERT").await);
    let own = directory.caller(Identity::new(Role::Own, &anna.user_id, Some("acme")));
    let get = |id: &str| {
        ask!(
            acme,
            GetUserRequest {
                key: pb::get_user_request::Key::UserId(id.to_owned())
            }
        )
    };
    assert_eq!(
        own.users()
            .get_user(get(&anna.user_id))
            .await
            .answer()
            .user
            .unwrap(),
        anna
    );
    own.users()
        .get_user(get(&bert.user_id))
        .await
        .refusal()
        .is(Code::PermissionDenied, "NOT_ALLOWED");
    let update = |user_id: &str, path: &str| {
        ask!(
            acme,
            UpdateUserRequest {
                user_id,
                profile: pb::UserProfile {
                    phone: "12345".to_owned(),
                    user_type: pb::UserType::Administrator.into(),
                    ..Default::default()
                },
                update_mask: FieldMask {
                    paths: vec![path.to_owned()]
                },
            }
        )
    };
    let changed = own
        .users()
        .update_user(update(&anna.user_id, "phone"))
        .await
        .answer()
        .user
        .unwrap();
    assert_eq!(changed.phone, "12345");
    own.users()
        .update_user(update(&bert.user_id, "phone"))
        .await
        .refusal()
        .is(Code::PermissionDenied, "NOT_ALLOWED");
    own.users()
        .update_user(update(&anna.user_id, "user_type"))
        .await
        .refusal()
        .is(Code::PermissionDenied, "NOT_ALLOWED");
    directory.clock.advance(Duration::from_secs(10));
    acme.admin
        .users()
        .deactivate_user(ask!(
            acme,
            DeactivateUserRequest {
                user_id: &anna.user_id
            }
        ))
        .await
        .answer();
    let refusal = own.users().get_user(get(&anna.user_id)).await.refusal();
    assert!(
        [Code::PermissionDenied, Code::Unauthenticated].contains(&refusal.code),
        "{refusal:?}"
    );
}

async fn r68_the_actor_of_an_event_is_the_tokens_subject(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let (second, other) = acme.another_administrator(directory, "ADM2").await;
    other
        .users()
        .create_user(ask!(
            acme,
            CreateUserRequest {
                user: person("ANNA")
            }
        ))
        .await
        .answer();
    let last = directory.events().await.pop().unwrap();
    assert_eq!(
        (last.actor, last.service.as_str()),
        (second.user_id, "rollbook-tests")
    );
}

async fn r25_an_administrator_who_lost_its_office_commits_nothing(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let (second, other) = acme.another_administrator(directory, "ADM2").await;
    directory.clock.advance(Duration::from_secs(10));
    acme.admin
        .users()
        .deactivate_user(ask!(
            acme,
            DeactivateUserRequest {
                user_id: &second.user_id
            }
        ))
        .await
        .answer();
    let head = directory.head().await;
    other
        .users()
        .delete_user(ask!(
            acme,
            DeleteUserRequest {
                user_id: &acme.administrator.user_id
            }
        ))
        .await
        .refusal()
        .is(Code::PermissionDenied, "NOT_ADMINISTRATOR");
    assert_eq!(directory.head().await, head);
}
