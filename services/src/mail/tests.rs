//! What mail says, and where its links lead.

use super::*;

fn options() -> MailOptions {
    MailOptions {
        server: "smtp://127.0.0.1:2525".parse().unwrap(),
        password: None,
        ca_pem: None,
        allow_plaintext: false,
        from: "Rollbook <noreply@rollbook.example>".to_owned(),
        link_base: "https://portal.example/people/?from=mail".parse().unwrap(),
        templates: None,
        language: "en".to_owned(),
    }
}

fn words() -> Words {
    Words {
        account: "Smith & Sons".to_owned(),
        first_name: "Åsa".to_owned(),
        last_name: "<b>Ek</b>".to_owned(),
        link: "https://portal.example/welcome?token=t".to_owned(),
        expires_at: "2026-03-09 08:00".to_owned(),
        ..Words::default()
    }
}

fn subject_in(language: Option<&str>, fallback: &str) -> String {
    let templates = Templates::load(None, fallback).unwrap();
    let said = templates.say(Subject::Welcome, language, &words()).unwrap();
    said.subject
}

#[tokio::test]
async fn r23_a_link_brings_the_token_where_people_are_received() {
    let mailer = Mailer::new(&options()).unwrap();
    assert_eq!(
        mailer.link(Subject::PasswordReset, "AB-_"),
        "https://portal.example/people/password-reset?from=mail&token=AB-_"
    );
}

#[test]
fn mail_is_in_the_language_of_the_person_or_the_next_that_there_is() {
    let (english, german) = ("Your access to Smith & Sons", "Ihr Zugang zu Smith & Sons");
    let swedish = "Din åtkomst till Smith & Sons";
    assert_eq!(subject_in(Some("de"), "sv"), german);
    assert_eq!(subject_in(Some("de-AT"), "sv"), german);
    assert_eq!(subject_in(Some("DE"), "sv"), german);
    assert_eq!(subject_in(Some("fi"), "sv"), swedish);
    assert_eq!(subject_in(None, "sv"), swedish);
    assert_eq!(subject_in(None, "fi"), english);
    assert_eq!(subject_in(Some("../etc"), "en"), english);
}

#[test]
fn html_is_escaped_and_text_is_not() {
    let templates = Templates::load(None, "en").unwrap();
    let said = templates
        .say(Subject::Welcome, Some("en"), &words())
        .unwrap();
    assert!(
        said.text.starts_with("Dear Åsa <b>Ek</b>,"),
        "{}",
        said.text
    );
    assert!(
        said.text
            .contains("\nhttps://portal.example/welcome?token=t\n")
    );
    let html = said.html.unwrap();
    assert!(html.contains("Åsa &lt;b&gt;Ek&lt;&#x2f;b&gt;"), "{html}");
    assert!(html.contains("<title>Your access to Smith &amp; Sons</title>"));
}

#[test]
fn a_folder_stands_over_what_comes_with_the_program() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("welcome.fi.txt", "Subject: Tervetuloa\n\n{{ link }}\n");
    write("welcome.de.txt", "Subject: Willkommen\n\n{{ token }}\n");
    let templates = Templates::load(Some(folder.path()), "en").unwrap();
    let say = |language| templates.say(Subject::Welcome, Some(language), &words());
    let finnish = say("fi").unwrap();
    assert_eq!(
        (finnish.subject.as_str(), finnish.html),
        ("Tervetuloa", None)
    );
    let german = say("de").unwrap();
    assert_eq!(german.subject, "Willkommen");
    assert!(german.html.is_some());
}

#[test]
fn a_template_that_makes_no_mail_is_told_before_anybody_is_served() {
    for (name, text) in [
        ("welcome.fi.txt", "Hei"),
        ("welcome.fi.txt", "Subject: {{ nonsense }}\n"),
        ("welcome.fi.txt", "Subject: {{ link \n"),
        ("greeting.fi.txt", "Subject: Hei\n"),
        ("welcome.de.html", "{% extends 'nowhere.html' %}"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(name), text).unwrap();
        let refused = Templates::load(Some(folder.path()), "en").err();
        let told = refused
            .map(|refused| refused.to_string())
            .unwrap_or_default();
        assert!(told.contains(name), "{name} {text}: {told}");
    }
}

#[tokio::test]
async fn what_cannot_be_used_is_told_before_anybody_is_served() {
    let spoil = |spoil: fn(&mut MailOptions)| {
        let mut options = options();
        spoil(&mut options);
        Mailer::new(&options).err()
    };
    let server = spoil(|options| options.server = "http://mail.example".parse().unwrap());
    assert!(matches!(server, Some(MailError::Server)));
    let password = spoil(|options| options.server = "smtps://a:b@mail.example".parse().unwrap());
    assert!(matches!(password, Some(MailError::PasswordInUrl)));
    let from = spoil(|options| options.from = "nobody".to_owned());
    assert!(matches!(from, Some(MailError::From(_))));
    let base = spoil(|options| options.link_base = "mailto:a@b.example".parse().unwrap());
    assert!(matches!(base, Some(MailError::LinkBase)));
    let ca = spoil(|options| {
        options.server = "smtps://mail.example".parse().unwrap();
        options.ca_pem = Some(b"nonsense".to_vec());
    });
    assert!(matches!(ca, Some(MailError::Certificate)), "{ca:?}");
    assert!(spoil(|_| ()).is_none());
}
