//! Invitations: sent, looked up, accepted, expired, deleted.

use std::time::Duration;

use rollbook_tests::people::{PASSWORD, grant, person};
use rollbook_tests::{Answer as _, Code, Directory, Tenant, ask, pb, stories};

use pb::InvitationStatus as Status;
use pb::invite_result::Outcome;

stories! {
    r44_each_address_has_a_result_of_its_own,
    r44_a_thousand_addresses_are_invited_at_once_and_not_one_more,
    r44_an_invitation_that_nobody_could_accept_is_refused_as_a_whole,
    r45_a_link_dies_exactly_seven_days_after_it_was_sent,
    r45_the_term_is_a_setting_of_the_account,
    r45_a_command_that_meets_an_expired_invitation_records_the_expiry,
    r46_sent_again_the_old_token_is_dead_and_the_term_begins_anew,
    r47_an_address_is_changed_by_deleting_and_inviting_again,
    r48_accepting_creates_the_user_and_completes_the_invitation_in_one_commit,
    r48_looking_an_invitation_up_consumes_nothing,
    r48_an_acceptance_obeys_the_rules_of_a_new_user,
    r49_a_deleted_or_expired_invitation_frees_its_address_at_once,
    r45_invitations_are_listed_by_status_and_paged,
    r23_a_repeated_command_yields_the_same_token,
}

const WEEK: Duration = Duration::from_hours(7 * 24);

fn emails(addresses: &[&str]) -> Vec<String> {
    addresses
        .iter()
        .map(|address| (*address).to_owned())
        .collect()
}

/// Invites one address, which must go well.
async fn invite(acme: &Tenant, email: &str) -> pb::Invited {
    let invited = acme
        .admin
        .invitations()
        .invite_users(ask!(
            acme,
            InviteUsersRequest {
                emails: emails(&[email])
            }
        ))
        .await
        .answer();
    match invited.results.into_iter().next().unwrap().outcome.unwrap() {
        Outcome::Invited(invited) => invited,
        Outcome::RefusedReason(reason) => panic!("{email} was refused: {reason}"),
    }
}

/// What somebody who was invited fills in.
fn accept(token: &str, signature: &str) -> pb::AcceptInvitationRequest {
    pb::AcceptInvitationRequest {
        token: token.to_owned(),
        signature: signature.to_owned(),
        first_name: "Anna".to_owned(),
        last_name: "Ek".to_owned(),
        ..Default::default()
    }
}

async fn status(acme: &Tenant, invitation_id: &str) -> Status {
    acme.admin
        .invitations()
        .get_invitation(ask!(acme, GetInvitationRequest { invitation_id }))
        .await
        .answer()
        .invitation
        .unwrap()
        .status()
}

async fn r44_each_address_has_a_result_of_its_own(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    acme.user("ANNA").await;
    invite(&acme, "bert@example.com").await;
    let answer = acme
        .admin
        .invitations()
        .invite_users(ask!(
            acme,
            InviteUsersRequest {
                emails: emails(&[
                    "cleo@example.com",
                    "BERT@example.com",
                    "anna@EXAMPLE.com",
                    "dora@example.com"
                ]),
                roles: vec!["clerk".to_owned()],
                permissions: vec![grant("archive")],
                company_ids: vec![acme.companies[0].clone()],
            }
        ))
        .await
        .answer();
    let told: Vec<_> = answer
        .results
        .iter()
        .map(|result| match result.outcome.as_ref().unwrap() {
            Outcome::Invited(invited) => {
                let invitation = invited.invitation.as_ref().unwrap();
                assert_eq!(invitation.email, result.email);
                assert_eq!(invitation.roles, ["clerk"]);
                (result.email.as_str(), "invited")
            }
            Outcome::RefusedReason(reason) => (result.email.as_str(), reason.as_str()),
        })
        .collect();
    assert_eq!(
        told,
        [
            ("cleo@example.com", "invited"),
            ("BERT@example.com", "ADDRESS_INVITED"),
            ("anna@EXAMPLE.com", "ADDRESS_IS_USER"),
            ("dora@example.com", "invited"),
        ]
    );
}

async fn r44_a_thousand_addresses_are_invited_at_once_and_not_one_more(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let many = |count: usize| {
        (0..count)
            .map(|number| format!("p{number}@example.com"))
            .collect::<Vec<_>>()
    };
    acme.admin
        .invitations()
        .invite_users(ask!(acme, InviteUsersRequest { emails: many(1001) }))
        .await
        .refusal()
        .is(Code::InvalidArgument, "MALFORMED")
        .names(&["emails"]);
    let answer = acme
        .admin
        .invitations()
        .invite_users(ask!(acme, InviteUsersRequest { emails: many(1000) }))
        .await
        .answer();
    assert_eq!(answer.results.len(), 1000);
    assert!(
        answer
            .results
            .iter()
            .all(|result| matches!(result.outcome, Some(Outcome::Invited(_))))
    );
}

async fn r44_an_invitation_that_nobody_could_accept_is_refused_as_a_whole(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let head = directory.head().await;
    let to = emails(&["anna@example.com"]);
    let invite = |request: pb::InviteUsersRequest| {
        let mut client = acme.admin.invitations();
        async move { client.invite_users(request).await }
    };
    let roles = vec!["pilot".to_owned()];
    invite(ask!(
        acme,
        InviteUsersRequest {
            emails: to.clone(),
            roles
        }
    ))
    .await
    .refusal()
    .is(Code::NotFound, "ROLE_NOT_FOUND");
    let permissions = vec![grant("pricing")];
    invite(ask!(
        acme,
        InviteUsersRequest {
            emails: to.clone(),
            permissions
        }
    ))
    .await
    .refusal()
    .is(Code::FailedPrecondition, "MODULE_ADMINISTRATOR_ONLY");
    let company_ids = vec![uuid::Uuid::now_v7().to_string()];
    invite(ask!(
        acme,
        InviteUsersRequest {
            emails: to,
            company_ids
        }
    ))
    .await
    .refusal()
    .is(Code::NotFound, "COMPANY_NOT_FOUND");
    assert_eq!(directory.head().await, head);
}

async fn r45_a_link_dies_exactly_seven_days_after_it_was_sent(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let sent = invite(&acme, "anna@example.com").await;
    let invitation = sent.invitation.unwrap();
    let (sent_at, expires_at) = (invitation.sent_at.unwrap(), invitation.expires_at.unwrap());
    assert_eq!(expires_at.seconds - sent_at.seconds, 7 * 24 * 3600);
    assert_eq!(expires_at.nanos, sent_at.nanos);
    assert_eq!(invitation.status, i32::from(Status::Invited));
    directory
        .clock
        .advance(WEEK.checked_sub(Duration::from_mins(1)).unwrap());
    let look_up = || pb::LookUpInvitationRequest {
        token: sent.token.clone(),
    };
    acme.portal
        .invitations()
        .look_up_invitation(look_up())
        .await
        .answer();
    directory.clock.advance(Duration::from_mins(1));
    acme.portal
        .invitations()
        .look_up_invitation(look_up())
        .await
        .refusal()
        .is(Code::FailedPrecondition, "INVITATION_EXPIRED");
    assert_eq!(
        status(&acme, &invitation.invitation_id).await,
        Status::Expired,
        "single reads judge by the clock"
    );
}

async fn r45_the_term_is_a_setting_of_the_account(directory: &Directory) {
    let mut request = Tenant::request("acme");
    request.settings.as_mut().unwrap().invitation_validity_days = 1;
    let acme = Tenant::create_with(directory, request).await;
    let sent = invite(&acme, "anna@example.com").await;
    directory.clock.advance(Duration::from_hours(24));
    acme.portal
        .invitations()
        .accept_invitation(accept(&sent.token, "ANNA"))
        .await
        .refusal()
        .is(Code::FailedPrecondition, "INVITATION_EXPIRED");
}

async fn r45_a_command_that_meets_an_expired_invitation_records_the_expiry(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let sent = invite(&acme, "anna@example.com").await;
    let invitation_id = sent.invitation.unwrap().invitation_id;
    directory.clock.advance(WEEK);
    acme.admin
        .invitations()
        .resend_invitation(ask!(
            acme,
            ResendInvitationRequest {
                invitation_id: &invitation_id
            }
        ))
        .await
        .refusal()
        .is(Code::FailedPrecondition, "INVITATION_EXPIRED");
    let stream = format!("invitation-{invitation_id}");
    assert_eq!(
        acme.event_types(&stream).await,
        ["UserInvited", "InvitationExpired"]
    );
    acme.portal
        .invitations()
        .accept_invitation(accept(&sent.token, "ANNA"))
        .await
        .refusal()
        .is(Code::FailedPrecondition, "INVITATION_EXPIRED");
    assert_eq!(acme.event_types(&stream).await.len(), 2, "it expires once");
}

async fn r46_sent_again_the_old_token_is_dead_and_the_term_begins_anew(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let first = invite(&acme, "anna@example.com").await;
    let invitation_id = first.invitation.unwrap().invitation_id;
    directory.clock.advance(WEEK / 2);
    let second = acme
        .admin
        .invitations()
        .resend_invitation(ask!(
            acme,
            ResendInvitationRequest {
                invitation_id: &invitation_id
            }
        ))
        .await
        .answer();
    assert_ne!(first.token, second.token);
    assert_eq!(second.invitation.unwrap().issue, 2);
    directory.clock.advance(WEEK / 2 + Duration::from_mins(1));
    for dead in [
        acme.portal
            .invitations()
            .look_up_invitation(pb::LookUpInvitationRequest {
                token: first.token.clone(),
            })
            .await
            .refusal(),
        acme.portal
            .invitations()
            .accept_invitation(accept(&first.token, "ANNA"))
            .await
            .refusal(),
    ] {
        dead.is(Code::NotFound, "INVITATION_NOT_FOUND");
    }
    let user = acme
        .portal
        .invitations()
        .accept_invitation(accept(&second.token, "ANNA"))
        .await
        .answer()
        .user
        .unwrap();
    assert_eq!(
        (user.email.as_str(), user.status()),
        ("anna@example.com", pb::UserStatus::Active)
    );
}

async fn r47_an_address_is_changed_by_deleting_and_inviting_again(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let wrong = invite(&acme, "anna@exmaple.com").await;
    let invitation_id = wrong.invitation.unwrap().invitation_id;
    acme.admin
        .invitations()
        .delete_invitation(ask!(acme, DeleteInvitationRequest { invitation_id }))
        .await
        .answer();
    let right = invite(&acme, "anna@example.com").await;
    let accepted = acme
        .portal
        .invitations()
        .accept_invitation(accept(&right.token, "ANNA"))
        .await
        .answer();
    assert_eq!(accepted.user.unwrap().email, "anna@example.com");
    let edits = rollbook_tests::contract::methods()
        .into_iter()
        .filter(|method| method.name() == "UpdateInvitation")
        .count();
    assert_eq!(edits, 0, "an invitation cannot be edited");
}

async fn r48_accepting_creates_the_user_and_completes_the_invitation_in_one_commit(
    directory: &Directory,
) {
    let acme = Tenant::with_passwords(directory, "acme").await;
    let answer = acme
        .admin
        .invitations()
        .invite_users(ask!(
            acme,
            InviteUsersRequest {
                emails: emails(&["anna@example.com"]),
                user_type: pb::UserType::Standard,
                roles: vec!["clerk".to_owned()],
                permissions: vec![grant("archive")],
                company_ids: vec![acme.companies[1].clone()],
            }
        ))
        .await
        .answer();
    let Some(Outcome::Invited(sent)) = &answer.results[0].outcome else {
        panic!("{answer:?}")
    };
    let before = directory.head().await;
    acme.portal
        .invitations()
        .accept_invitation(accept(&sent.token, "ANNA"))
        .await
        .refusal()
        .is(Code::InvalidArgument, "PASSWORD_MISSING");
    let request = pb::AcceptInvitationRequest {
        password: PASSWORD.to_owned(),
        ..accept(&sent.token, "ANNA")
    };
    let accepted = acme
        .portal
        .invitations()
        .accept_invitation(request.clone())
        .await
        .answer();
    let user = accepted.user.unwrap();
    assert_eq!(
        (
            user.signature.as_str(),
            user.first_name.as_str(),
            user.email.as_str()
        ),
        ("ANNA", "Anna", "anna@example.com")
    );
    assert_eq!(
        (user.roles.clone(), user.permissions.clone()),
        (vec!["clerk".to_owned()], vec![grant("archive")])
    );
    assert_eq!(user.companies[0].company_id, acme.companies[1]);
    assert_eq!(user.companies[0].supervisor_id, user.user_id);
    assert_eq!(
        user.status(),
        pb::UserStatus::Active,
        "who accepts has completed its onboarding"
    );
    assert!(
        directory
            .events()
            .await
            .iter()
            .filter(|event| event.position > before)
            .all(|event| event.commit_position == accepted.position)
    );
    let invitation_id = &sent.invitation.as_ref().unwrap().invitation_id;
    let invitation = acme
        .admin
        .invitations()
        .get_invitation(ask!(acme, GetInvitationRequest { invitation_id }))
        .await
        .answer()
        .invitation
        .unwrap();
    assert_eq!(
        (invitation.status(), invitation.accepted_user_id),
        (Status::Accepted, user.user_id)
    );
    let again = pb::AcceptInvitationRequest {
        signature: "ANN2".to_owned(),
        ..request
    };
    let refusal = acme
        .portal
        .invitations()
        .accept_invitation(again)
        .await
        .refusal();
    assert!(
        ["INVITATION_ACCEPTED", "INVITATION_NOT_FOUND"].contains(&refusal.reason.as_str()),
        "{refusal:?}"
    );
    acme.admin
        .invitations()
        .delete_invitation(ask!(acme, DeleteInvitationRequest { invitation_id }))
        .await
        .refusal()
        .is(Code::FailedPrecondition, "INVITATION_ACCEPTED");
    acme.admin
        .invitations()
        .resend_invitation(ask!(acme, ResendInvitationRequest { invitation_id }))
        .await
        .refusal()
        .is(Code::FailedPrecondition, "INVITATION_ACCEPTED");
}

async fn r48_looking_an_invitation_up_consumes_nothing(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let sent = invite(&acme, "anna@example.com").await;
    let head = directory.head().await;
    for _ in 0..3 {
        let found = acme
            .portal
            .invitations()
            .look_up_invitation(pb::LookUpInvitationRequest {
                token: sent.token.clone(),
            })
            .await
            .answer();
        assert_eq!(found.invitation, sent.invitation);
    }
    assert_eq!(directory.head().await, head);
    for token in ["", "x", &sent.token[1..], &"A".repeat(43)] {
        let refusal = acme
            .portal
            .invitations()
            .look_up_invitation(pb::LookUpInvitationRequest {
                token: token.to_owned(),
            })
            .await
            .refusal();
        assert!(
            [Code::NotFound, Code::InvalidArgument].contains(&refusal.code),
            "{token}: {refusal:?}"
        );
    }
}

async fn r48_an_acceptance_obeys_the_rules_of_a_new_user(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    acme.user("BERT").await;
    let sent = invite(&acme, "anna@example.com").await;
    acme.portal
        .invitations()
        .accept_invitation(accept(&sent.token, "bert"))
        .await
        .refusal()
        .is(Code::AlreadyExists, "SIGNATURE_TAKEN");
    let with_password = pb::AcceptInvitationRequest {
        password: PASSWORD.to_owned(),
        ..accept(&sent.token, "ANNA")
    };
    acme.portal
        .invitations()
        .accept_invitation(with_password)
        .await
        .refusal()
        .is(Code::FailedPrecondition, "PASSWORDS_KEPT_ELSEWHERE");
    acme.create_user(pb::NewUser {
        email: "ANNA@example.com".to_owned(),
        ..person("OTHER")
    })
    .await;
    acme.portal
        .invitations()
        .accept_invitation(accept(&sent.token, "ANNA"))
        .await
        .refusal()
        .is(Code::AlreadyExists, "EMAIL_TAKEN");
}

async fn r49_a_deleted_or_expired_invitation_frees_its_address_at_once(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let sent = invite(&acme, "anna@example.com").await;
    let invitation_id = sent.invitation.unwrap().invitation_id;
    let delete = || {
        ask!(
            acme,
            DeleteInvitationRequest {
                invitation_id: &invitation_id
            }
        )
    };
    let deleted = acme
        .admin
        .invitations()
        .delete_invitation(delete())
        .await
        .answer();
    let invitation = deleted.invitation.unwrap();
    assert_eq!(
        (invitation.status(), invitation.email.as_str()),
        (Status::Deleted, "")
    );
    let again = acme
        .admin
        .invitations()
        .delete_invitation(delete())
        .await
        .answer();
    assert_eq!(
        again.revision, deleted.revision,
        "what already is adds no event"
    );
    acme.admin
        .invitations()
        .resend_invitation(ask!(
            acme,
            ResendInvitationRequest {
                invitation_id: &invitation_id
            }
        ))
        .await
        .refusal()
        .is(Code::FailedPrecondition, "INVITATION_DELETED");
    let refusal = acme
        .portal
        .invitations()
        .accept_invitation(accept(&sent.token, "ANNA"))
        .await
        .refusal();
    assert!(
        ["INVITATION_NOT_FOUND", "INVITATION_DELETED"].contains(&refusal.reason.as_str()),
        "{refusal:?}"
    );

    let second = invite(&acme, "anna@example.com").await;
    directory.clock.advance(WEEK);
    let third = invite(&acme, "ANNA@example.com").await;
    let second = second.invitation.unwrap();
    assert_eq!(status(&acme, &second.invitation_id).await, Status::Expired);
    let stream = format!("invitation-{}", second.invitation_id);
    assert_eq!(
        acme.event_types(&stream).await,
        ["UserInvited", "InvitationExpired"]
    );
    acme.portal
        .invitations()
        .accept_invitation(accept(&third.token, "ANNA"))
        .await
        .answer();
}

async fn r45_invitations_are_listed_by_status_and_paged(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let mut ids = Vec::new();
    for number in 0..5 {
        directory.clock.advance(Duration::from_secs(1));
        ids.push(
            invite(&acme, &format!("p{number}@example.com"))
                .await
                .invitation
                .unwrap()
                .invitation_id,
        );
    }
    acme.admin
        .invitations()
        .delete_invitation(ask!(
            acme,
            DeleteInvitationRequest {
                invitation_id: &ids[2]
            }
        ))
        .await
        .answer();
    let mut seen = Vec::new();
    let mut request = ask!(
        acme,
        ListInvitationsRequest {
            status: Status::Invited,
            page_size: 2_u32
        }
    );
    loop {
        let page = acme
            .admin
            .invitations()
            .list_invitations(request.clone())
            .await
            .answer();
        seen.extend(
            page.invitations
                .into_iter()
                .map(|invitation| invitation.invitation_id),
        );
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    assert_eq!(
        seen,
        [&ids[4], &ids[3], &ids[1], &ids[0]].map(Clone::clone),
        "the last sent first"
    );
    request.status = Status::Deleted.into();
    acme.admin
        .invitations()
        .list_invitations(request.clone())
        .await
        .refusal()
        .is(Code::InvalidArgument, "PAGE_TOKEN_INVALID");
    request.page_token.clear();
    let deleted = acme
        .admin
        .invitations()
        .list_invitations(request)
        .await
        .answer()
        .invitations;
    assert_eq!((deleted.len(), deleted[0].email.as_str()), (1, ""));
}

async fn r23_a_repeated_command_yields_the_same_token(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let command = Some(rollbook_tests::people::repeatable());
    let request = pb::InviteUsersRequest {
        command,
        ..ask!(
            acme,
            InviteUsersRequest {
                emails: emails(&["a@example.com"])
            }
        )
    };
    let first = acme
        .admin
        .invitations()
        .invite_users(request.clone())
        .await
        .answer();
    let again = acme
        .admin
        .invitations()
        .invite_users(request)
        .await
        .answer();
    assert_eq!(first, again);
    let Some(Outcome::Invited(sent)) = &first.results[0].outcome else {
        panic!("{first:?}")
    };
    assert!(sent.token.len() >= 43, "256 bits: {}", sent.token);
    for event in directory.events().await {
        assert!(
            !format!("{event:?}").contains(&sent.token),
            "a token stands in {event:?}"
        );
    }
}
