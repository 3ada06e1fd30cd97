//! Nothing secret is found where it does not belong: not in the files and tables, the log output, the events, the errors or
//! the mail.

use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use rollbook_services::caller::Role;
use rollbook_tests::database::Database;
use rollbook_tests::files::{files_with, tables_with};
use rollbook_tests::mail_server::MailServer;
use rollbook_tests::people::person;
use rollbook_tests::program::{Installation, Program};
use rollbook_tests::{Answer as _, Caller, Identity, Tenant, ask, pb};

/// Passwords of this story; each is a word that is nowhere else.
const ADMINISTRATOR: &str = "qpwadministrator lantern 1";
const CREATED: &str = "qpwcreated harbour lamp 2";
const WELCOMED: &str = "qpwwelcomed meadow gate 3";
const WRONG: &str = "qpwwrong copper window 4";
const CHANGED: &str = "qpwchanged silver anchor 5";
const SET: &str = "qpwset yellow ferry boat 6";
const RESET: &str = "qpwreset purple timber 7";
const INVITED: &str = "qpwinvited orange quarry 8";
const SHORT: &str = "qpwshort";
const PASSWORDS: [&str; 9] = [
    ADMINISTRATOR,
    CREATED,
    WELCOMED,
    WRONG,
    CHANGED,
    SET,
    RESET,
    INVITED,
    SHORT,
];

/// The names of the one who is deleted, as given and as folded.
const NAMES: [&str; 6] = [
    "QNMSIG", "qnmsig", "Qnmfirst", "qnmfirst", "Qnmlast", "qnmmail",
];

/// The tokens that were given out, and every text that the service answered with where it refused.
#[derive(Default)]
struct Told {
    tokens: Vec<String>,
    errors: Vec<String>,
    /// Where tokens go instead of into answers.
    mail: Option<MailServer>,
}

impl Told {
    fn refused(&mut self, status: &tonic::Status) {
        self.errors.push(format!("{status:?} {}", status.message()));
    }

    /// The token of the link that was sent to an address after so many others, which the answer holds or a mail.
    async fn token(&mut self, answered: String, address: &str, after: usize) -> String {
        let token = match &self.mail {
            None => answered,
            Some(server) => {
                assert_eq!(answered, "", "who asked is told nothing");
                server.mail_to(address, after).await.token()
            }
        };
        self.tokens.push(token.clone());
        token
    }

    /// Everything that must not be found: passwords, names, and tokens as text and as bytes.
    fn secrets(&self) -> Vec<String> {
        let known = PASSWORDS
            .iter()
            .chain(&NAMES)
            .map(|text| (*text).to_owned());
        let bytes = self.tokens.iter().map(|token| {
            let bytes = BASE64_URL_SAFE_NO_PAD.decode(token).unwrap();
            hex::encode(&bytes[16..])
        });
        known
            .chain(self.tokens.iter().cloned())
            .chain(bytes)
            .collect()
    }
}

async fn tenant(installation: &Installation, program: &Program) -> Tenant {
    let caller = |role, subject: &str, account: Option<&str>| {
        let identity = Identity {
            scope: "personal-data".to_owned(),
            ..Identity::new(role, subject, account)
        };
        installation.caller(program, identity)
    };
    let operator = caller(Role::Operator, "operator", None);
    let mut request = Tenant::request("acme");
    request.settings = Some(pb::AccountSettings::default());
    ADMINISTRATOR.clone_into(&mut request.administrator.as_mut().unwrap().password);
    let created = operator.accounts().create_account(request).await.answer();
    let administrator = created.administrator.unwrap();
    Tenant {
        account_id: "acme".to_owned(),
        companies: Vec::new(),
        admin: caller(Role::Administrator, &administrator.user_id, Some("acme")),
        service: caller(Role::Service, "invoices", Some("acme")),
        portal: caller(Role::Portal, "portal", Some("acme")),
        auditor: caller(Role::Auditor, "auditor", Some("acme")),
        administrator,
        operator,
    }
}

/// Every way a password or a token takes through the service; answers the user that went through it.
async fn lived(acme: &Tenant, told: &mut Told, own: impl Fn(&str) -> Caller) -> String {
    let new = |signature: &str| pb::NewUser {
        signature: signature.to_owned(),
        first_name: "Qnmfirst".to_owned(),
        last_name: "Qnmlast".to_owned(),
        email: "qnmmail@example.com".to_owned(),
        ..person(signature)
    };
    let short = acme
        .try_create(pb::NewUser {
            password: SHORT.to_owned(),
            ..new("QNMSIG")
        })
        .await;
    told.refused(&short.unwrap_err());
    let created = acme
        .create_user(pb::NewUser {
            password: CREATED.to_owned(),
            ..new("QNMSIG")
        })
        .await;
    let user_id = created.user_id;
    signed_in(acme, told, &user_id, &own).await;
    reset(acme, told, &user_id).await;
    welcomed(acme, told).await;
    invited(acme, told).await;
    user_id
}

async fn verify(acme: &Tenant, password: &str) -> pb::SignInResult {
    let user_name = "qnmmail@example.com";
    let request = ask!(
        acme,
        VerifyPasswordRequest {
            user_name,
            password
        }
    );
    acme.portal
        .credentials()
        .verify_password(request)
        .await
        .answer()
        .result()
}

async fn signed_in(acme: &Tenant, told: &mut Told, user_id: &str, own: impl Fn(&str) -> Caller) {
    assert_eq!(verify(acme, WRONG).await, pb::SignInResult::Rejected);
    assert_eq!(verify(acme, CREATED).await, pb::SignInResult::SignedIn);
    let person = own(user_id);
    for (present_password, password) in [(WRONG, CHANGED), (CREATED, SHORT), (CREATED, CHANGED)] {
        let request = ask!(
            acme,
            ChangePasswordRequest {
                user_id,
                present_password,
                password
            }
        );
        let answer = person.credentials().change_password(request).await;
        assert_eq!(
            answer.is_ok(),
            (present_password, password) == (CREATED, CHANGED),
            "{answer:?}"
        );
        if let Err(status) = answer {
            told.refused(&status);
        }
    }
    for administrator_password in [WRONG, ADMINISTRATOR] {
        let request = ask!(
            acme,
            SetPasswordRequest {
                user_id,
                password: SET,
                administrator_password
            }
        );
        let answer = acme.admin.credentials().set_password(request).await;
        assert_eq!(
            answer.is_ok(),
            administrator_password == ADMINISTRATOR,
            "{answer:?}"
        );
        if let Err(status) = answer {
            told.refused(&status);
        }
    }
    assert_eq!(verify(acme, SET).await, pb::SignInResult::SignedIn);
}

async fn reset(acme: &Tenant, told: &mut Told, user_id: &str) {
    let key = pb::request_password_reset_request::Key::UserId(user_id.to_owned());
    let request = ask!(acme, RequestPasswordResetRequest { key: Some(key) });
    let token = acme
        .portal
        .credentials()
        .request_password_reset(request)
        .await
        .answer()
        .token;
    let token = told.token(token, "qnmmail@example.com", 0).await;
    for password in [SHORT, RESET, RESET] {
        let request = pb::CompletePasswordResetRequest {
            token: token.clone(),
            password: password.to_owned(),
            ..Default::default()
        };
        if let Err(status) = acme
            .portal
            .credentials()
            .complete_password_reset(request)
            .await
        {
            told.refused(&status);
        }
    }
    assert_eq!(verify(acme, RESET).await, pb::SignInResult::SignedIn);
}

async fn welcomed(acme: &Tenant, told: &mut Told) {
    let user = pb::NewUser {
        welcome: true,
        ..person("NEWCOMER")
    };
    let created = acme.try_create(user).await.answer();
    let user = created.user.unwrap();
    let (user_id, email) = (user.user_id, user.email);
    let first = told.token(created.welcome_token, &email, 0).await;
    let request = ask!(acme, ResendWelcomeRequest { user_id });
    let again = acme
        .admin
        .users()
        .resend_welcome(request)
        .await
        .answer()
        .welcome_token;
    let token = told.token(again, &email, 1).await;
    let complete = |token: &str| pb::CompleteWelcomeRequest {
        token: token.to_owned(),
        password: WELCOMED.to_owned(),
        ..Default::default()
    };
    let dead = complete(&first);
    told.refused(
        &acme
            .portal
            .credentials()
            .complete_welcome(dead)
            .await
            .unwrap_err(),
    );
    acme.portal
        .credentials()
        .complete_welcome(complete(&token))
        .await
        .answer();
}

async fn invited(acme: &Tenant, told: &mut Told) {
    let emails = vec!["guest@example.com".to_owned()];
    let request = ask!(acme, InviteUsersRequest { emails });
    let answer = acme
        .admin
        .invitations()
        .invite_users(request)
        .await
        .answer();
    let Some(pb::invite_result::Outcome::Invited(invited)) = answer.results[0].outcome.clone()
    else {
        panic!("{answer:?}");
    };
    let token = told.token(invited.token, "guest@example.com", 0).await;
    for password in [SHORT, INVITED, INVITED] {
        let request = pb::AcceptInvitationRequest {
            token: token.clone(),
            password: password.to_owned(),
            signature: "GUEST".to_owned(),
            first_name: "Gast".to_owned(),
            last_name: "Freund".to_owned(),
            ..Default::default()
        };
        if let Err(status) = acme.portal.invitations().accept_invitation(request).await {
            told.refused(&status);
        }
    }
}

async fn everything(auditor: &Caller) -> String {
    let request = pb::ReplayEventsRequest::default();
    let mut replay = auditor.history().replay_events(request).await.answer();
    let mut events = String::new();
    while let Some(piece) = replay.message().await.unwrap() {
        events.extend(piece.events.iter().map(|event| format!("{event:?}")));
    }
    events
}

fn found<'a>(text: &str, secrets: &[&'a str]) -> Vec<&'a str> {
    let is_in = |secret: &&&str| text.contains(**secret);
    secrets.iter().filter(is_in).copied().collect()
}

async fn nothing_leaks(database: Option<Database>, mail: Option<MailServer>) {
    let logs = tempfile::tempdir().unwrap();
    let log = logs.path().join("log");
    let installation = Installation::new(database);
    if installation.database().is_some() {
        installation.migrate().await;
    }
    let url = mail.as_ref().map(|mail| mail.options().server.to_string());
    let settings = url.iter().flat_map(|url| {
        [
            ("ROLLBOOK_SMTP_URL", url.as_str()),
            ("ROLLBOOK_MAIL_FROM", "Rollbook <noreply@rollbook.example>"),
            ("ROLLBOOK_MAIL_LINK_BASE", "https://portal.example/"),
        ]
    });
    let settings: Vec<_> = settings
        .map(|(key, value)| (key, Path::new(value)))
        .collect();
    let program = installation.serve_logging(&log, &settings).await;
    let acme = tenant(&installation, &program).await;
    let own = |user_id: &str| {
        installation.caller(&program, Identity::new(Role::Own, user_id, Some("acme")))
    };
    let mut told = Told {
        mail,
        ..Told::default()
    };
    let user_id = lived(&acme, &mut told, own).await;
    acme.admin
        .users()
        .delete_user(ask!(acme, DeleteUserRequest { user_id }))
        .await
        .answer();
    assert_eq!(verify(&acme, RESET).await, pb::SignInResult::Rejected);
    let events = everything(&acme.auditor).await;
    program.stop().await;

    let secrets = told.secrets();
    let secrets: Vec<&str> = secrets.iter().map(String::as_str).collect();
    assert_eq!(
        (told.tokens.len(), told.errors.len()),
        (4, 9),
        "{:?}",
        told.errors
    );
    assert_eq!(found(&events, &secrets), [""; 0], "in the events");
    assert_eq!(
        found(&told.errors.join("\n"), &secrets),
        [""; 0],
        "in the errors"
    );
    let logged = std::fs::read_to_string(&log).unwrap();
    assert!(
        logged.contains("hpack::decode"),
        "the log output is fine enough to show a leak"
    );
    assert_eq!(found(&logged, &secrets), [""; 0], "in the log output");
    // `{"typ"` and `{"alg"`, as the header of a token begins.
    assert_eq!(
        found(&logged, &["eyJ0eXAi", "eyJhbGci"]),
        [""; 0],
        "a bearer token is in the log output"
    );
    if let Some(server) = &told.mail {
        let mails = format!("{:?}", server.mails());
        assert_eq!(server.mails().len(), 4, "{mails}");
        assert_eq!(found(&mails, &PASSWORDS), [""; 0], "in the mail");
    }
    nothing_is_kept(&installation, &installation.data_dir(), &secrets).await;
    if let Some(database) = installation.into_database() {
        database.remove().await;
    }
}

async fn nothing_is_kept(installation: &Installation, data_dir: &Path, secrets: &[&str]) {
    assert_ne!(
        files_with(data_dir, &["ADM"]),
        [],
        "what is not erased is found"
    );
    assert_eq!(files_with(data_dir, secrets), []);
    if let Some(database) = installation.database() {
        assert_eq!(tables_with(database, secrets).await, []);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r17_r62_embedded_no_password_token_or_erased_name_is_found_anywhere() {
    nothing_leaks(None, None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r17_r62_on_postgres_no_password_token_or_erased_name_is_found_anywhere() {
    nothing_leaks(Some(Database::create().await), None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r17_r62_embedded_what_is_sent_by_mail_is_found_in_the_mail_alone() {
    nothing_leaks(None, Some(MailServer::start().await)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r17_r62_on_postgres_what_is_sent_by_mail_is_found_in_the_mail_alone() {
    let mail = MailServer::start().await;
    nothing_leaks(Some(Database::create().await), Some(mail)).await;
}
