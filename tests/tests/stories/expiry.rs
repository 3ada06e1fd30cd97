//! What ends when its time has come, without anybody asking.

use std::time::Duration;

use rollbook_tests::directory::Views;
use rollbook_tests::people::{PASSWORD, person};
use rollbook_tests::{Answer as _, Directory, Home, Tenant, ask, pb, stories};

stories! {
    r45_an_expired_invitation_is_recorded_without_anybody_asking,
    r45_an_invitation_that_was_sent_again_expires_by_its_new_term,
    r16_a_welcome_link_that_nobody_followed_ends_by_itself,
    r21_a_password_becomes_too_old_by_itself,
}

const WEEK: Duration = Duration::from_hours(7 * 24);

/// Invites so many addresses.
async fn invite(acme: &Tenant, name: &str, count: usize) -> Vec<pb::Invitation> {
    let emails: Vec<String> = (0..count)
        .map(|number| format!("{name}{number}@example.com"))
        .collect();
    let invite = ask!(acme, InviteUsersRequest { emails });
    let answer = acme.admin.invitations().invite_users(invite).await.answer();
    answer
        .results
        .into_iter()
        .map(|result| match result.outcome {
            Some(pb::invite_result::Outcome::Invited(invited)) => invited.invitation.unwrap(),
            other => panic!("{other:?}"),
        })
        .collect()
}

async fn expired(acme: &Tenant) -> Vec<pb::Invitation> {
    let request = ask!(
        acme,
        ListInvitationsRequest {
            status: pb::InvitationStatus::Expired
        }
    );
    let answer = acme.admin.invitations().list_invitations(request).await;
    answer.answer().invitations
}

async fn r45_an_expired_invitation_is_recorded_without_anybody_asking(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    invite(&acme, "anna", 3).await;
    directory.clock.advance(Duration::from_mins(1));
    invite(&acme, "bert", 1).await;
    directory
        .clock
        .advance(WEEK.checked_sub(Duration::from_secs(30)).unwrap());
    for event in directory.told("InvitationExpired", 3).await {
        assert_eq!(
            (event.actor.as_str(), event.service.as_str()),
            ("system", "rollbook")
        );
    }
    let listed = expired(&acme).await;
    assert_eq!(listed.len(), 3, "{listed:?}");
    for invitation in &listed {
        assert_eq!(invitation.email, "", "the address is erased");
    }
    directory.clock.advance(Duration::from_secs(30));
    directory.told("InvitationExpired", 4).await;
    let head = directory.head().await;
    directory.clock.advance(WEEK);
    invite(&acme, "bert", 1).await;
    assert_eq!(
        directory.told("InvitationExpired", 4).await.len(),
        4,
        "what is recorded is recorded once"
    );
    assert_eq!(directory.head().await, head + 1);
}

async fn r45_an_invitation_that_was_sent_again_expires_by_its_new_term(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let sent = invite(&acme, "anna", 2).await;
    directory.clock.advance(WEEK / 2);
    let invitation_id = &sent[0].invitation_id;
    let request = ask!(acme, ResendInvitationRequest { invitation_id });
    let again = acme.admin.invitations().resend_invitation(request).await;
    again.answer();
    directory.clock.advance(WEEK / 2);
    let ended = directory.told("InvitationExpired", 1).await;
    assert_eq!(
        ended[0].stream,
        format!("invitation-{}", sent[1].invitation_id)
    );
    directory.clock.advance(WEEK / 2);
    let ended = directory.told("InvitationExpired", 2).await;
    assert_eq!(ended[1].stream, format!("invitation-{invitation_id}"));
}

async fn r16_a_welcome_link_that_nobody_followed_ends_by_itself(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let user = pb::NewUser {
        welcome: true,
        ..person("ANNA")
    };
    let anna = acme.create_user(user).await;
    directory.clock.advance(WEEK);
    let ended = directory.told("WelcomeExpired", 1).await;
    assert_eq!(ended[0].stream, format!("user-{}", anna.user_id));
    assert_eq!(ended[0].actor, "system");
}

async fn r21_a_password_becomes_too_old_by_itself(directory: &Directory) {
    let acme = Tenant::with_passwords(directory, "acme").await;
    let user = pb::NewUser {
        password: PASSWORD.to_owned(),
        ..person("ANNA")
    };
    let anna = acme.create_user(user).await;
    directory.clock.advance(WEEK);
    let settings = pb::AccountSettings {
        password_max_age_days: 10,
        ..Default::default()
    };
    let paths = vec!["settings.password_max_age_days".to_owned()];
    let update = ask!(
        acme,
        UpdateAccountSettingsRequest {
            settings,
            update_mask: prost_types::FieldMask { paths },
        }
    );
    let mut accounts = acme.operator.accounts();
    accounts.update_account_settings(update).await.answer();
    directory.clock.advance(WEEK);
    // The administrator's, too.
    let ended = directory.told("PasswordExpired", 2).await;
    let of_anna = format!("user-{}", anna.user_id);
    assert!(
        ended.iter().any(|event| event.stream == of_anna),
        "{ended:?}"
    );
    assert_eq!(
        acme.get(&anna.user_id).await.status(),
        pb::UserStatus::AwaitingNewPassword
    );
}

/// What ended while nobody served is recorded when somebody does again.
async fn ended_during_downtime(home: Home) {
    let directory = Directory::start(home).await;
    let acme = Tenant::create(&directory, "acme").await;
    invite(&acme, "anna", 2).await;
    let clock = directory.clock.clone();
    let directory = directory
        .restarted_after(Views::Kept, || clock.advance(2 * WEEK))
        .await;
    directory.told("InvitationExpired", 2).await;
    directory.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r45_what_expired_while_nobody_served_is_recorded_late_embedded() {
    ended_during_downtime(Home::Embedded).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r45_what_expired_while_nobody_served_is_recorded_late_postgres() {
    ended_during_downtime(Home::Postgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r45_of_many_processes_one_records_and_another_follows_it() {
    let directory = Directory::start(Home::Postgres).await;
    let second = directory.second_process().await;
    let third = directory.second_process().await;
    let acme = Tenant::create(&directory, "acme").await;
    invite(&acme, "anna", 300).await;
    directory.clock.advance(WEEK);
    directory.told("InvitationExpired", 300).await;
    invite(&acme, "bert", 300).await;
    drop(second.stop().await);
    directory.clock.advance(WEEK);
    directory.told("InvitationExpired", 600).await;
    invite(&acme, "cleo", 300).await;
    let directory = directory.restarted(Views::Lost).await;
    directory.clock.advance(WEEK);
    directory.told("InvitationExpired", 900).await;
    drop(third.stop().await);
    let events = directory.events().await;
    let recorded = events
        .iter()
        .filter(|event| event.event_type == "InvitationExpired");
    assert_eq!(recorded.count(), 900);
    directory.finish().await;
}
