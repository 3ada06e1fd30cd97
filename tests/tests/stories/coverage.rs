//! Nothing is forgotten: every method has a command or question of its name, an access rule and a story; every reason and
//! every rule has a test.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use rollbook_aggregates::access::AccessCommand;
use rollbook_aggregates::account::AccountCommand;
use rollbook_aggregates::domain::Reason;
use rollbook_aggregates::invitation::InvitationCommand;
use rollbook_aggregates::invoice::InvoiceCommand;
use rollbook_aggregates::mail::MailCommand;
use rollbook_aggregates::user::UserCommand;
use rollbook_services::access;
use rollbook_tests::{contract, pb};

/// The rules of the contract that the service keeps so far.
const RULES: &[u32] = &[
    1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26,
    27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50,
    51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63, 64, 65, 66, 67, 68, 69, 70, 71,
];

/// Reasons that no story can bring about on purpose: what each needs is a fault, or luck.
const UNREACHED: &[(&str, &str)] = &[
    ("UNSPECIFIED", "is never sent"),
    ("LOG_CORRUPT", "needs a damaged log"),
    (
        "KEY_ROTATION_UNDER_WAY",
        "needs a rotation that is cut off; the log's own tests have one",
    ),
    ("CONTENTION", "needs others to win every one of its tries"),
    ("VIEW_STOPPED", "needs an event that no view can apply"),
    (
        "HASHING_BUSY",
        "needs more passwords waiting than the queue holds",
    ),
    (
        "COMPANY_EXISTS",
        "needs the service to make the same id twice",
    ),
    ("USER_EXISTS", "needs the service to make the same id twice"),
    (
        "INVITATION_EXISTS",
        "needs the service to make the same id twice",
    ),
    (
        "TOO_MANY_REVIEWERS",
        "needs more reviewers of one invoice than a commit can release",
    ),
];

fn root() -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .canonicalize()
        .unwrap()
}

/// The text of every Rust file below a folder.
fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    found
}

/// Everything that tests say, in whatever room.
fn tests() -> String {
    let stories = sources("tests/tests/stories")
        .into_iter()
        .filter(|(path, _)| !path.ends_with("coverage.rs"));
    let rooms = ["aggregates", "eventstore", "projections", "services"];
    let beside = rooms
        .iter()
        .flat_map(|room| sources(room))
        .map(|(path, text)| {
            let in_tests = path.components().any(|part| part.as_os_str() == "tests")
                || path.ends_with("tests.rs");
            let begin = if in_tests {
                0
            } else {
                text.find("#[cfg(test)]").unwrap_or(text.len())
            };
            (path, text[begin..].to_owned())
        });
    stories.chain(beside).map(|(_, text)| text).collect()
}

fn snake_case(name: &str) -> String {
    let mut text = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !text.is_empty() {
            text.push('_');
        }
        text.extend(letter.to_lowercase());
    }
    text
}

#[test]
fn every_command_of_the_contract_is_a_command_of_the_domain() {
    let commands: BTreeSet<&str> = [
        AccountCommand::NAMES,
        UserCommand::NAMES,
        AccessCommand::NAMES,
        InvitationCommand::NAMES,
        InvoiceCommand::NAMES,
        MailCommand::NAMES,
    ]
    .into_iter()
    .flatten()
    .copied()
    .collect();
    for method in contract::methods()
        .iter()
        .filter(|method| contract::is_command(method))
    {
        // One call invites many: the command is about one of them.
        let name = if method.name() == "InviteUsers" {
            "InviteUser"
        } else {
            method.name()
        };
        assert!(commands.contains(name), "no command {name} in {commands:?}");
    }
}

#[test]
fn every_question_of_the_contract_is_answered_by_a_method_of_its_name() {
    let services: String = sources("services/src/methods")
        .into_iter()
        .map(|(_, text)| text)
        .collect();
    for method in contract::methods() {
        let name = format!("fn {}(", snake_case(method.name()));
        assert!(services.contains(&name), "services have no {name}");
    }
}

#[test]
fn r68_every_method_has_an_access_rule_and_every_rule_a_method() {
    let methods: BTreeSet<String> = contract::methods().iter().map(contract::name).collect();
    let ruled: Vec<String> = access::TABLE
        .iter()
        .map(|rule| format!("rollbook.v1.{}/{}", rule.service, rule.method))
        .collect();
    assert_eq!(methods, ruled.iter().cloned().collect());
    assert_eq!(ruled.len(), methods.len(), "a method has two rules");
    for rule in access::TABLE {
        assert!(!rule.roles.is_empty(), "nobody may call {}", rule.method);
    }
}

#[test]
fn every_method_has_a_story() {
    let stories: String = sources("tests/tests/stories")
        .into_iter()
        .map(|(_, text)| text)
        .collect();
    for method in contract::methods() {
        let call = format!(".{}(", snake_case(method.name()));
        assert!(stories.contains(&call), "no story calls {}", method.name());
    }
}

#[test]
fn every_reason_of_the_domain_is_one_of_the_contract() {
    for reason in Reason::ALL {
        let name = format!("ERROR_REASON_{}", reason.as_str());
        let known = pb::ErrorReason::from_str_name(&name).is_some()
            || blocker_kinds().contains(reason.as_str());
        assert!(known, "the contract does not list {}", reason.as_str());
    }
}

fn blocker_kinds() -> BTreeSet<String> {
    let kinds = contract::pool()
        .get_enum_by_name("rollbook.v1.DeletionBlockerKind")
        .unwrap();
    kinds
        .values()
        .map(|value| {
            value
                .name()
                .trim_start_matches("DELETION_BLOCKER_KIND_")
                .to_owned()
        })
        .collect()
}

#[test]
fn r67_every_reason_has_a_test() {
    let tests = tests();
    let reasons = contract::pool()
        .get_enum_by_name("rollbook.v1.ErrorReason")
        .unwrap();
    let unreached: BTreeSet<&str> = UNREACHED.iter().map(|(reason, _)| *reason).collect();
    let missing: Vec<String> = reasons
        .values()
        .map(|value| value.name().trim_start_matches("ERROR_REASON_").to_owned())
        .filter(|reason| !unreached.contains(reason.as_str()))
        .filter(|reason| !tests.contains(&format!("\"{reason}\"")))
        .collect();
    assert!(missing.is_empty(), "no test brings about {missing:?}");
}

#[test]
fn every_rule_has_a_test_that_carries_its_number() {
    let tests = tests();
    let missing: Vec<String> = RULES
        .iter()
        .map(|rule| format!("fn r{rule}_"))
        .filter(|name| !tests.contains(name))
        .collect();
    assert!(missing.is_empty(), "no test is called {missing:?}…");
}
