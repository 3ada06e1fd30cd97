//! Mail: sent by the service when it was told to, in the language of the person, at least once.

use std::time::Duration;

use rollbook_tests::directory::Views;
use rollbook_tests::mail_server::{Arrived, MailServer, Protection};
use rollbook_tests::people::{PASSWORD, administrator, person};
use rollbook_tests::{Answer as _, Code, Directory, Home, Tenant, ask, pb};

use pb::invite_result::Outcome;

/// Makes of `async fn name(home: Home)` a test on each home.
macro_rules! mail_stories {
    ($($name:ident,)*) => {$(
        mod $name {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn embedded() {
                super::$name(rollbook_tests::Home::Embedded).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                super::$name(rollbook_tests::Home::Postgres).await;
            }
        }
    )*};
}

mail_stories! {
    r23_mail_brings_the_token_and_the_caller_gets_none,
    r16_a_welcome_comes_in_the_language_of_the_person,
    r23_what_was_asked_for_while_the_server_was_down_arrives_with_the_same_token,
    mail_that_is_refused_for_good_waits_for_an_operator,
    mail_that_nobody_needs_any_more_is_not_sent,
    r23_a_reset_link_comes_by_mail_and_the_portal_gets_none,
    r14_who_is_locked_by_wrong_passwords_is_told_by_mail,
    mail_goes_over_tls_with_a_password,
}

/// A directory that sends its mail to a server of its own, and an account in it.
async fn directory(home: Home) -> (MailServer, Directory, Tenant) {
    let server = MailServer::start().await;
    let directory = Directory::start_with(home, Some(server.options())).await;
    let acme = Tenant::create(&directory, "acme").await;
    (server, directory, acme)
}

/// Invites these, and answers the invitations; no token is told.
async fn invite(acme: &Tenant, emails: &[&str]) -> Vec<pb::Invitation> {
    let emails: Vec<String> = emails.iter().map(|email| (*email).to_owned()).collect();
    let request = ask!(acme, InviteUsersRequest { emails });
    let answer = acme
        .admin
        .invitations()
        .invite_users(request)
        .await
        .answer();
    answer
        .results
        .into_iter()
        .map(|result| match result.outcome {
            Some(Outcome::Invited(invited)) => {
                assert_eq!(invited.token, "", "the caller gets no token");
                invited.invitation.unwrap()
            }
            other => panic!("{other:?}"),
        })
        .collect()
}

async fn looked_up(acme: &Tenant, mail: &Arrived) -> pb::Invitation {
    let token = mail.token();
    let request = pb::LookUpInvitationRequest { token };
    let answer = acme.portal.invitations().look_up_invitation(request).await;
    answer.answer().invitation.unwrap()
}

async fn r23_mail_brings_the_token_and_the_caller_gets_none(home: Home) {
    let (server, directory, acme) = directory(home).await;
    let invited = invite(&acme, &["anna@example.com"]).await;
    let mails = server.mails_to(&["anna@example.com"]).await;
    let mail = &mails[0];
    assert_eq!(mail.subject, "An invitation to Account acme");
    assert!(
        mail.text
            .contains("https://portal.example/invitation?token="),
        "{mail:?}"
    );
    assert!(mail.html.contains(&mail.token()), "{mail:?}");
    assert_eq!(mail.whole["auto_submitted"], "auto-generated");
    assert_eq!(
        looked_up(&acme, mail).await.invitation_id,
        invited[0].invitation_id
    );
    let sent = directory.told("MailSent", 1).await;
    assert_eq!(sent[0].actor, "system");
    let invitation_id = &invited[0].invitation_id;
    let request = ask!(acme, ResendInvitationRequest { invitation_id });
    let again = acme.admin.invitations().resend_invitation(request).await;
    assert_eq!(again.answer().token, "");
    directory.told("MailSent", 2).await;
    let mails = server.mails();
    assert_ne!(mails[0].token(), mails[1].token());
    assert_ne!(mails[0].message_id, mails[1].message_id);
    looked_up(&acme, &mails[1]).await;
    let text = serde_json::to_string(&directory_text(&directory).await).unwrap();
    for mail in &mails {
        assert!(!text.contains(&mail.token()), "a token stands in the log");
    }
    assert!(
        !mail_events(&directory).await.contains("anna"),
        "an address stands in the log"
    );
    directory.finish().await;
}

/// Every event as an auditor reads it.
async fn directory_text(directory: &Directory) -> Vec<String> {
    let events = directory.events().await;
    events.into_iter().map(|event| event.payload).collect()
}

/// What became of mail, as the log has it.
async fn mail_events(directory: &Directory) -> String {
    let events = directory.events().await;
    let mail = events
        .into_iter()
        .filter(|event| event.stream.starts_with("mail-"));
    mail.map(|event| event.payload).collect()
}

async fn r16_a_welcome_comes_in_the_language_of_the_person(home: Home) {
    let (server, directory, acme) = directory(home).await;
    for (signature, language) in [
        ("BERTA", "de-AT"),
        ("CLEO", "sv"),
        ("DORA", "fi"),
        ("EVE", ""),
    ] {
        let user = pb::NewUser {
            language: language.to_owned(),
            welcome: true,
            ..person(signature)
        };
        let request = ask!(acme, CreateUserRequest { user });
        let created = acme.admin.users().create_user(request).await.answer();
        assert_eq!(created.welcome_token, "", "the caller gets no token");
    }
    let to = ["BERTA", "CLEO", "DORA", "EVE"].map(|name| format!("{name}@example.com"));
    let to = to.each_ref().map(String::as_str);
    let mails = server.mails_to(&to).await;
    let subject = |address: &str| {
        let mail = mails.iter().find(|mail| mail.to == address).unwrap();
        assert!(
            mail.text.contains("https://portal.example/welcome?token="),
            "{mail:?}"
        );
        mail.subject.clone()
    };
    assert_eq!(subject(to[0]), "Ihr Zugang zu Account acme");
    assert_eq!(subject(to[1]), "Din åtkomst till Account acme");
    assert_eq!(subject(to[2]), "Your access to Account acme");
    assert_eq!(subject(to[3]), "Your access to Account acme");
    let globex = pb::CreateAccountRequest {
        administrator: Some(pb::NewUser {
            welcome: true,
            language: "de".to_owned(),
            email: "chefin@globex.example".to_owned(),
            ..administrator("ADM")
        }),
        ..Tenant::request("globex")
    };
    let created = directory.operator().accounts().create_account(globex).await;
    assert_eq!(created.answer().welcome_token, "");
    server.mails_to(&["chefin@globex.example"]).await;
    directory.finish().await;
}

async fn r23_what_was_asked_for_while_the_server_was_down_arrives_with_the_same_token(home: Home) {
    let (mut server, directory, acme) = directory(home).await;
    server.halt().await;
    let invited = invite(&acme, &["anna@example.com", "bert@example.com"]).await;
    let clock = directory.clock.clone();
    let directory = directory
        .restarted_after(Views::Kept, || clock.advance(Duration::from_mins(30)))
        .await;
    let acme = acme.at(directory.process());
    invite(&acme, &["cleo@example.com"]).await;
    assert_eq!(server.mails(), [], "nobody took mail");
    server.resume().await;
    directory.clock.advance(Duration::from_mins(10));
    let to = ["anna@example.com", "bert@example.com", "cleo@example.com"];
    let mails = server.mails_to(&to).await;
    directory.told("MailSent", 3).await;
    let anna = mails.iter().find(|mail| mail.to == to[0]).unwrap();
    assert_eq!(
        looked_up(&acme, anna).await.invitation_id,
        invited[0].invitation_id
    );
    directory.finish().await;
}

async fn mail_that_is_refused_for_good_waits_for_an_operator(home: Home) {
    let (server, directory, acme) = directory(home).await;
    server.refuse("anna@example.com", 550);
    let invited = invite(&acme, &["anna@example.com", "bert@example.com"]).await;
    let dead = directory.told("MailDeadLettered", 1).await;
    server.mails_to(&["bert@example.com"]).await;
    let list = || pb::ListDeadLettersRequest::default();
    let listed = directory
        .operator()
        .operations()
        .list_dead_letters(list())
        .await;
    let letters = listed.answer().dead_letters;
    assert_eq!(letters.len(), 1, "{letters:?}");
    let letter = &letters[0];
    assert_eq!(dead[0].stream, format!("mail-{}", letter.mail_id));
    assert_eq!(letter.account_id, "acme");
    assert_eq!(letter.invitation_id, invited[0].invitation_id);
    assert_eq!(
        (
            letter.kind(),
            letter.state(),
            letter.failure(),
            letter.smtp_code,
            letter.attempts
        ),
        (
            pb::MailKind::Invitation,
            pb::MailState::Dead,
            pb::MailFailure::Refused,
            550,
            1
        )
    );
    assert!(letter.failed_at.is_some());
    let mail_id = &letter.mail_id;
    let retry = || {
        let request = ask!(acme, RetryDeadLetterRequest { mail_id });
        let mut client = directory.operator().operations();
        async move { client.retry_dead_letter(request).await }
    };
    // Refused again, it is dead again.
    retry().await.answer();
    directory.told("MailDeadLettered", 2).await;
    server.refuse_nobody();
    let retried = retry().await.answer().dead_letter.unwrap();
    assert_eq!(retried.state(), pb::MailState::Pending);
    let mails = server.mails_to(&["anna@example.com"]).await;
    let anna = mails
        .iter()
        .find(|mail| mail.to == "anna@example.com")
        .unwrap();
    assert_eq!(
        looked_up(&acme, anna).await.invitation_id,
        invited[0].invitation_id
    );
    directory.told("MailSent", 2).await;
    let listed = directory
        .operator()
        .operations()
        .list_dead_letters(list())
        .await;
    assert_eq!(listed.answer().dead_letters, []);
    retry()
        .await
        .refusal()
        .is(Code::NotFound, "DEAD_LETTER_NOT_FOUND");
    directory.finish().await;
}

async fn mail_that_nobody_needs_any_more_is_not_sent(home: Home) {
    let (mut server, directory, acme) = directory(home).await;
    server.halt().await;
    let to = [
        "late@example.com",
        "gone@example.com",
        "twice@example.com",
        "kept@example.com",
    ];
    let invited = invite(&acme, &to).await;
    let invitation_id = &invited[1].invitation_id;
    let delete = ask!(acme, DeleteInvitationRequest { invitation_id });
    acme.admin
        .invitations()
        .delete_invitation(delete)
        .await
        .answer();
    directory.clock.advance(Duration::from_hours(6 * 24));
    for invitation in &invited[2..] {
        let invitation_id = &invitation.invitation_id;
        let again = ask!(acme, ResendInvitationRequest { invitation_id });
        acme.admin
            .invitations()
            .resend_invitation(again)
            .await
            .answer();
    }
    directory.clock.advance(Duration::from_hours(2 * 24));
    directory.told("InvitationExpired", 1).await;
    server.resume().await;
    directory.clock.advance(Duration::from_mins(10));
    server.mails_to(&to[2..]).await;
    // The late and the deleted one, and the first links of the others.
    directory.told("MailDropped", 4).await;
    let mails = server.mails();
    assert_eq!(mails.len(), 2, "{mails:?}");
    let dropped = mail_events(&directory).await;
    assert_eq!(dropped.matches("Superseded").count(), 2, "{dropped}");
    directory.finish().await;
}

async fn r23_a_reset_link_comes_by_mail_and_the_portal_gets_none(home: Home) {
    const CHOSEN: &str = "copper window, tideway 9";
    let server = MailServer::start().await;
    let directory = Directory::start_with(home, Some(server.options())).await;
    let acme = Tenant::with_passwords(&directory, "acme").await;
    let anna = acme.user_with("ANNA", PASSWORD).await;
    assert_eq!(acme.reset_token(&anna.email).await, "");
    assert_eq!(acme.reset_token("nobody@example.com").await, "");
    let mail = server.mail_to(&anna.email, 0).await;
    let start = "https://portal.example/password-reset?token=";
    assert!(mail.text.contains(start), "{mail:?}");
    let complete = pb::CompletePasswordResetRequest {
        token: mail.token(),
        password: CHOSEN.to_owned(),
        ..Default::default()
    };
    let mut portal = acme.portal.credentials();
    portal.complete_password_reset(complete).await.answer();
    let result = acme.sign_in(&anna.email, CHOSEN).await;
    assert_eq!(result, pb::SignInResult::SignedIn);
    directory.told("MailSent", 1).await;
    assert_eq!(server.mails().len(), 1, "nobody gets no mail");
    directory.finish().await;
}

async fn r14_who_is_locked_by_wrong_passwords_is_told_by_mail(home: Home) {
    let server = MailServer::start().await;
    let directory = Directory::start_with(home, Some(server.options())).await;
    let acme = Tenant::with_passwords(&directory, "acme").await;
    let anna = acme.user_with("ANNA", PASSWORD).await;
    for _ in 0..5 {
        let result = acme.sign_in(&anna.email, "another one altogether").await;
        assert_eq!(result, pb::SignInResult::Rejected);
    }
    let mail = server.mail_to(&anna.email, 0).await;
    assert!(!mail.text.contains("token="), "{mail:?}");
    assert!(mail.subject.contains("locked"), "{mail:?}");
    directory.told("MailSent", 1).await;
    directory.finish().await;
}

async fn mail_goes_over_tls_with_a_password(home: Home) {
    for protection in [Protection::Tls, Protection::StartTls] {
        let server = MailServer::start_with(protection).await;
        let directory = Directory::start_with(home, Some(server.options())).await;
        let acme = Tenant::create(&directory, "acme").await;
        invite(&acme, &["anna@example.com"]).await;
        let mail = server.mail_to("anna@example.com", 0).await;
        looked_up(&acme, &mail).await;
        directory.finish().await;
    }
}
