//! Passwords.

use super::*;

fn refused(text: &str) -> String {
    match Password::parse(text) {
        Ok(_) => panic!("{text:?} was accepted"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn r17_a_password_has_15_characters_to_1024_bytes() {
    assert_eq!(
        refused("short but sure"),
        "must have at least 15 characters"
    );
    assert!(Password::parse("short but enough").is_ok());
    let longest: String = ('a'..='z').cycle().take(1024).collect();
    assert!(Password::parse(&longest).is_ok());
    assert_eq!(
        refused(&format!("{longest}x")),
        "must have at most 1024 bytes"
    );
    let umlauts: String = "äöüß".chars().cycle().take(513).collect();
    assert_eq!(refused(&umlauts), "must have at most 1024 bytes");
}

#[test]
fn r17_eight_characters_do_beside_a_second_factor() {
    let short = |text: &str| Password::parse_shorter(text).map(drop).unwrap_err();
    assert_eq!(
        short("x7!kdq2").to_string(),
        "must have at least 8 characters"
    );
    assert_eq!(
        short("Football").to_string(),
        "must not be a common password"
    );
    let password = Password::parse_shorter("x7!kdq2w").unwrap();
    assert!(password.must_do_alone().is_err());
    assert!(
        Password::parse("short but enough")
            .unwrap()
            .must_do_alone()
            .is_ok()
    );
}

#[test]
fn what_is_entered_is_any_text_and_is_never_shown() {
    for text in ["", &"x".repeat(1025)] {
        assert!(EnteredPassword::parse(text).is_err());
    }
    let entered = EnteredPassword::parse("short but enough").unwrap();
    assert_eq!(format!("{entered:?}"), "EnteredPassword(…)");
    assert!(Password::parse("short but enough").unwrap().is(&entered));
    assert!(!Password::parse("short but enougH").unwrap().is(&entered));
}

#[test]
fn r17_a_password_is_never_truncated_or_trimmed() {
    let text = "  blanks at both ends  ";
    assert_eq!(Password::parse(text).unwrap().as_bytes(), text.as_bytes());
}

#[test]
fn r17_common_passwords_are_refused_in_any_case() {
    for common in [
        "correcthorsebatterystaple",
        "CorrectHorseBatteryStaple",
        "Qwertyuiop123456",
        "1q2w3e4r5t6y7u8i",
    ] {
        assert_eq!(refused(common), "must not be a common password");
    }
}

#[test]
fn r17_every_common_password_is_refused_as_such() {
    assert!(common().count() > 10_000);
    for line in common() {
        let error = Password::parse_shorter(line).map(drop).unwrap_err();
        assert_eq!(error.to_string(), "must not be a common password");
        assert_eq!(plain(line).as_str(), line, "the list is folded");
    }
}

#[test]
fn r17_short_patterns_repeated_are_refused() {
    for text in [
        "xxxxxxxxxxxxxxxx",
        "xyxyxyxyxyxyxyxyx",
        "Ab1-Ab1-Ab1-Ab1-",
        "zxcvbzxcvbzxcvbzxc",
    ] {
        assert_eq!(refused(text), "must not repeat a short pattern");
    }
}

#[test]
fn r17_a_password_of_nothing_but_its_owner_is_refused() {
    let known = ["ABERG", "Anna", "Bergström", "anna.bergstrom@acme.example"];
    for own in [
        "anna.bergstrom@acme.example",
        "AnnaBergström2026",
        "aberg-aberg-1-2-3",
    ] {
        let password = Password::parse(own).unwrap();
        assert!(password.must_say_more_than(&known).is_err(), "{own}");
    }
    for other in [
        "anna likes to swim in winter",
        "84726193-55 torpedo",
        "1415926535897932",
    ] {
        let password = Password::parse(other).unwrap();
        assert_eq!(password.must_say_more_than(&known), Ok(()), "{other}");
    }
}

#[test]
fn r17_a_password_is_not_printed() {
    let password = Password::parse("short but enough").unwrap();
    assert_eq!(format!("{password:?}"), "Password(…)");
}
