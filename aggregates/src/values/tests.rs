//! Values, by example and by law.

use proptest::prelude::*;

use super::*;

fn all_bad<T>(parse: fn(&str) -> Result<T, ParseError>, texts: &[&str]) {
    for text in texts {
        let problem = parse(text).err();
        let problem = problem
            .unwrap_or_else(|| panic!("{text:?} was accepted"))
            .to_string();
        assert!(problem.starts_with("must "), "{problem}");
        assert!(!problem.ends_with('.'), "{problem}");
    }
}

#[test]
fn account_ids_are_slugs() {
    for good in ["ab", "acme", "a1", "acme-north-2", &"a".repeat(63)] {
        assert_eq!(AccountId::parse(good).unwrap().to_string(), good);
    }
    let long = "a".repeat(64);
    all_bad(
        AccountId::parse,
        &[
            "", "a", "1a", "-ab", "ab-", "a--b", "Acme", "a_b", "a b", "åb", "a\0", &long,
        ],
    );
}

#[test]
fn roles_and_modules_are_slugs() {
    for good in ["a", "1", "user-management", &"x".repeat(64)] {
        assert_eq!(RoleName::parse(good).unwrap().as_str(), good);
        assert_eq!(ModuleName::parse(good).unwrap().as_str(), good);
    }
    let long = "x".repeat(65);
    all_bad(
        RoleName::parse,
        &["", "-", "a-", "--", "A", "a b", "ü", &long],
    );
}

#[test]
fn ids_are_uuids_of_version_7_in_lower_case() {
    let good = "01900000-0000-7000-8000-0000000000a1";
    assert_eq!(UserId::parse(good).unwrap().to_string(), good);
    all_bad(
        UserId::parse,
        &[
            "",
            "01900000-0000-4000-8000-0000000000a1",
            "01900000-0000-7000-0000-0000000000a1",
            "01900000-0000-7000-8000-0000000000A1",
            "019000000000700080000000000000a1",
            "{01900000-0000-7000-8000-0000000000a1}",
            "urn:uuid:01900000-0000-7000-8000-0000000000a1",
            "00000000-0000-0000-0000-000000000000",
            "01900000-0000-7000-8000-0000000000a1 ",
        ],
    );
}

#[test]
fn outside_ids_are_kept_as_given() {
    for good in ["INV-7", "2026/0001 b", "räkning#1", &"x".repeat(128)] {
        assert_eq!(InvoiceId::parse(good).unwrap().as_str(), good);
    }
    let long = "x".repeat(129);
    all_bad(
        InvoiceId::parse,
        &["", " INV", "INV ", "a\nb", "a\0", &long],
    );
}

#[test]
fn r4_signatures_are_kept_as_typed_and_compared_folded() {
    let typed = Signature::parse(" ÅsA ").unwrap();
    assert_eq!(typed.as_str(), "ÅsA");
    for same in ["åsa", "ÅSA", "A\u{30a}SA", "ｅ"] {
        let folded = Signature::parse(same).unwrap().folded();
        assert_eq!(folded == typed.folded(), same != "ｅ", "{same}");
    }
    assert_eq!(
        Signature::parse("STRASSE").unwrap().folded(),
        Signature::parse("straße").unwrap().folded()
    );
    assert_eq!(
        Signature::parse("ﬁ1").unwrap().folded(),
        Signature::parse("FI1").unwrap().folded()
    );
    let long = "x".repeat(33);
    all_bad(
        Signature::parse,
        &[
            "",
            " ",
            "a b",
            "a\tb",
            "a\u{200b}b",
            "\u{202e}ab",
            "a\u{0}",
            &long,
        ],
    );
    assert!(Signature::parse(&"ä".repeat(32)).is_ok());
}

#[test]
fn names_are_of_any_script() {
    for good in [
        "Åsa",
        "O'Neill",
        "Nguyễn",
        "李",
        "محمد",
        "می\u{200c}خواهم",
        "Jean-Luc de la Tour",
    ] {
        assert!(PersonName::parse(good).is_ok(), "{good}");
    }
    assert_eq!(PersonName::parse("  Åsa ").unwrap().as_str(), "Åsa");
    let long = "x".repeat(129);
    let huge = "x".repeat(1 << 20);
    all_bad(
        PersonName::parse,
        &[
            "",
            "  ",
            "a\nb",
            "a\u{7f}",
            "\u{202e}evil",
            "\u{200d}",
            &long,
            &huge,
        ],
    );
}

#[test]
fn titles_and_reasons_have_their_lengths() {
    assert!(CompanyTitle::parse(&"x".repeat(200)).is_ok());
    assert!(CompanyTitle::parse(&"x".repeat(201)).is_err());
    assert!(AccountTitle::parse("").is_err());
    assert_eq!(
        ReasonText::parse(" left\nfor good ").unwrap().as_str(),
        "left\nfor good"
    );
    let long = "x".repeat(1001);
    all_bad(ReasonText::parse, &["", " ", "a\0b", &long]);
}

#[test]
fn r5_addresses_are_kept_as_typed_and_compared_folded() {
    let typed = EmailAddress::parse(" Åsa.Berg@Example.COM ").unwrap();
    assert_eq!(typed.as_str(), "Åsa.Berg@Example.COM");
    assert_eq!(
        typed.folded(),
        EmailAddress::parse("åsa.berg@example.com")
            .unwrap()
            .folded()
    );
    let long = format!("{}@example.com", "x".repeat(250));
    all_bad(
        EmailAddress::parse,
        &[
            "",
            "asa",
            "asa@",
            "@example.com",
            "a b@example.com",
            "Asa <asa@example.com>",
            "a@b@c",
            "asa@example..com",
            "asa@[127.0.0.1]",
            "a\n@example.com",
            "asa@example.com\0",
            &long,
        ],
    );
}

#[test]
fn phone_numbers_are_as_people_write_them() {
    for good in ["112", "+46 (0)8-123.45/6", "070-123 45 67"] {
        assert_eq!(PhoneNumber::parse(good).unwrap().as_str(), good);
    }
    let long = "1".repeat(33);
    all_bad(
        PhoneNumber::parse,
        &["", "12", "+-() 12", "call me", "０８１２３", &long],
    );
}

#[test]
fn languages_are_tags_in_their_canonical_spelling() {
    for (typed, canonical) in [
        ("sv", "sv"),
        ("SV-se", "sv-SE"),
        ("ZH-HANS-cn", "zh-Hans-CN"),
    ] {
        assert_eq!(LanguageTag::parse(typed).unwrap().as_str(), canonical);
    }
    let long = format!("x-{}", "a-".repeat(40));
    all_bad(
        LanguageTag::parse,
        &["", "swedishlanguage", "s", "sv_SE", "sv-", &long],
    );
}

#[test]
fn r45_a_link_is_good_for_1_to_30_days() {
    assert!(ValidityDays::parse(0).is_err());
    assert_eq!(ValidityDays::parse(1).unwrap().days(), 1);
    assert_eq!(ValidityDays::parse(30).unwrap().days(), 30);
    assert!(ValidityDays::parse(31).is_err());
    assert!(ValidityDays::parse(256 + 7).is_err());
    assert_eq!(ValidityDays::default().days(), 7);
}

#[test]
fn r14_a_lock_lasts_a_minute_to_a_year_and_comes_after_1_to_100_attempts() {
    const YEAR: i64 = 365 * 24 * 60 * 60;
    for bad in [i64::MIN, -1, 0, 59, YEAR + 1, i64::MAX] {
        assert!(LockDuration::parse(bad).is_err(), "{bad}");
    }
    for good in [60, 3600, YEAR] {
        let read = LockDuration::parse(good).unwrap();
        assert_eq!(i64::from(read.seconds()), good);
        assert_eq!(read.duration(), chrono::Duration::seconds(good));
    }
    for bad in [0, 101, 256 + 5] {
        assert!(MaxFailedSignIns::parse(bad).is_err(), "{bad}");
    }
    assert_eq!(MaxFailedSignIns::parse(100).unwrap().count(), 100);
    assert_eq!(MaxFailedSignIns::default().count(), 5);
}

#[test]
fn r21_a_password_ages_1_to_3650_days() {
    for bad in [0, 3651, 65536 + 1] {
        assert!(PasswordMaxAge::parse(bad).is_err(), "{bad}");
    }
    assert_eq!(PasswordMaxAge::parse(1).unwrap().days(), 1);
    let ten_years = PasswordMaxAge::parse(3650).unwrap();
    assert_eq!(ten_years.duration(), chrono::Duration::days(3650));
}

#[test]
fn r23_token_digests_match_only_themselves() {
    let digest = TokenDigest::new([7; 32]);
    assert_eq!(TokenDigest::parse(&digest.to_string()), Ok(digest));
    assert!(digest.matches(&TokenDigest::new([7; 32])));
    for n in 0..32 {
        let mut other = [7; 32];
        other[n] ^= 1;
        assert!(!digest.matches(&TokenDigest::new(other)));
    }
    all_bad(
        TokenDigest::parse,
        &["", "07", &"0g".repeat(32), &"07".repeat(33)],
    );
}

#[test]
fn r71_a_grant_covers_its_module_where_it_holds() {
    let module = ModuleName::parse("invoices").unwrap();
    let [north, south] = [crate::samples::NORTH, crate::samples::SOUTH];
    let grant = |company| Permission {
        module: module.clone(),
        company,
    };
    assert!(grant(None).covers(&module, None) && grant(None).covers(&module, Some(north)));
    assert!(grant(Some(north)).covers(&module, Some(north)));
    assert!(!grant(Some(north)).covers(&module, Some(south)));
    assert!(!grant(Some(north)).covers(&module, None));
    assert!(!grant(None).covers(&ModuleName::parse("pricing").unwrap(), None));
}

fn reads_what_it_says<T: PartialEq + std::fmt::Debug + ToString>(
    parse: fn(&str) -> Result<T, ParseError>,
    text: &str,
) {
    if let Ok(value) = parse(text) {
        assert_eq!(parse(&value.to_string()).as_ref(), Ok(&value));
    }
}

proptest! {
    #[test]
    fn any_text_is_refused_or_reads_back_as_itself(text in any::<String>()) {
        reads_what_it_says(AccountId::parse, &text);
        reads_what_it_says(UserId::parse, &text);
        reads_what_it_says(RoleName::parse, &text);
        reads_what_it_says(InvoiceId::parse, &text);
        reads_what_it_says(Signature::parse, &text);
        reads_what_it_says(PersonName::parse, &text);
        reads_what_it_says(EmailAddress::parse, &text);
        reads_what_it_says(PhoneNumber::parse, &text);
        reads_what_it_says(LanguageTag::parse, &text);
        reads_what_it_says(ReasonText::parse, &text);
        reads_what_it_says(TokenDigest::parse, &text);
    }

    #[test]
    fn email_like_text_is_refused_or_reads_back_as_itself(text in "[a-zA-Z0-9.@\" <>()\\[\\]åß+-]{0,40}") {
        reads_what_it_says(EmailAddress::parse, &text);
    }

    #[test]
    fn r4_folding_ignores_case_and_folds_once(text in "\\PC{0,32}") {
        let folded = Folded::of(&text);
        prop_assert_eq!(&Folded::of(folded.as_str()), &folded);
        prop_assert_eq!(&Folded::of(&text.to_lowercase()), &Folded::of(&Folded::of(&text.to_lowercase()).to_string()));
    }

    #[test]
    fn r4_ascii_folds_as_every_other_text(text in "[ -~]{0,32}") {
        let slow = Folded::of(&format!("{text}å"));
        let fast = format!("{}å", Folded::of(&text));
        prop_assert_eq!(slow.as_str(), fast.as_str());
    }
}
