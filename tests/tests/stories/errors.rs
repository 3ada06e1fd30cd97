//! Bad input, for every method of the contract: it gets the documented error with all bad fields named, and commits nothing.

use prost_reflect::DynamicMessage;
use rollbook_tests::people::repeatable;
use rollbook_tests::samples::{Sample, Step, World, path_text};
use rollbook_tests::{Answer as _, Code, Directory, Refusal, contract, pb, stories};
use uuid::Uuid;

stories! {
    r67_an_empty_message_is_told_all_that_is_missing,
    r67_every_malformed_field_is_named_at_once,
    r67_each_malformed_or_over_long_field_is_named,
    r67_numbers_and_enums_out_of_range_are_named,
    r68_another_account_answers_as_if_it_did_not_exist,
    r68_ids_of_another_account_answer_as_unknown_ones,
    r67_unknown_ids_are_told_apart_by_what_is_not_found,
    r66_a_stale_revision_aborts,
    r66_a_validated_command_answers_as_if_done_and_commits_nothing,
    r66_a_repeated_request_answers_the_same_and_commits_nothing_twice,
    r66_a_request_id_is_forgotten_after_seven_days,
    r67_a_message_that_is_too_large_is_out_of_range,
}

/// Where an empty message asks for something: nothing narrows it, or nothing need be said.
const EMPTY_IS_LEGAL: [&str; 10] = [
    "CreateBackup",
    "ExportEvents",
    "GetCheckpoint",
    "ListAccounts",
    "ListDeadLetters",
    "ListEvents",
    "ListProjections",
    "GetLogStatus",
    "RotateMasterKey",
    "ReplayEvents",
];

/// Texts that are looked up rather than read: what does not fit is unknown.
const LOOKED_UP: [&str; 5] = [
    "page_token",
    "token",
    "key",
    "filter.actor",
    "filter.event_types",
];

fn is_looked_up(path: &[Step]) -> bool {
    LOOKED_UP.contains(&path_text(path).as_str())
}

/// Names and passwords that somebody signs in with: whatever they are, they are tried.
fn is_tried(sample: &Sample, path: &[Step]) -> bool {
    let text = path_text(path);
    text.ends_with("user_name")
        || text == "present_password"
        || text == "administrator_password"
        || (sample.method.name() == "VerifyPassword" && text == "password")
}

/// Whether a refusal names the field at this path, or one it lies in.
fn names(refusal: &Refusal, path: &[Step]) -> bool {
    (1..=path.len()).any(|length| refusal.fields.contains(&path_text(&path[..length])))
}

async fn refused(sample: &Sample) -> Refusal {
    match sample.send().await.outcome() {
        Err(refusal) => *refusal,
        Ok(answer) => panic!(
            "{} with {} was not refused but answered {answer}",
            sample.method.name(),
            sample.message
        ),
    }
}

async fn r67_an_empty_message_is_told_all_that_is_missing(directory: &Directory) {
    let world = World::create(directory, "acme").await;
    let head = directory.head().await;
    for mut sample in world.samples() {
        let name = sample.method.name().to_owned();
        sample.message = DynamicMessage::new(sample.method.input());
        let outcome = sample.send().await.outcome();
        if EMPTY_IS_LEGAL.contains(&name.as_str()) {
            assert!(outcome.is_ok(), "{name}: {outcome:?}");
        } else {
            let refusal = outcome.unwrap_err();
            assert_eq!(refusal.code, Code::InvalidArgument, "{name}: {refusal:?}");
            let first = sample.method.input().fields().next().unwrap();
            assert!(
                refusal.fields.contains(&first.name().to_owned()),
                "{name}: {refusal:?}"
            );
        }
    }
    assert_eq!(directory.head().await, head);
}

async fn r67_every_malformed_field_is_named_at_once(directory: &Directory) {
    let world = World::create(directory, "acme").await;
    let head = directory.head().await;
    for sample in world.samples() {
        let texts: Vec<_> = sample
            .texts()
            .into_iter()
            .filter(|path| !is_looked_up(path) && !is_tried(&sample, path))
            .collect();
        let spoiled = texts
            .iter()
            .fold(sample, |sample, path| sample.with(path, "\u{7}x"));
        if texts.is_empty() {
            continue;
        }
        let refusal = refused(&spoiled)
            .await
            .is(Code::InvalidArgument, "MALFORMED");
        for path in &texts {
            // What a mask does not name is not read, so the mask is spoiled apart.
            if !path_text(path).starts_with("update_mask")
                && !spoiled.message.has_field_by_name("update_mask")
            {
                assert!(
                    names(&refusal, path),
                    "{}: {} is not named in {refusal:?}",
                    spoiled.method.name(),
                    path_text(path)
                );
            }
        }
    }
    assert_eq!(directory.head().await, head);
}

async fn r67_each_malformed_or_over_long_field_is_named(directory: &Directory) {
    let world = World::create(directory, "acme").await;
    let head = directory.head().await;
    let long = "x".repeat(5000);
    for sample in world.samples() {
        let texts = sample.texts().into_iter();
        for path in texts.filter(|path| !is_tried(&sample, path)) {
            for bad in ["\u{7}x", &long] {
                let refusal = refused(&sample.with(&path, bad)).await;
                let told = format!("{}.{}: {refusal:?}", sample.method.name(), path_text(&path));
                if is_looked_up(&path) {
                    assert!(
                        [Code::InvalidArgument, Code::NotFound].contains(&refusal.code),
                        "{told}"
                    );
                } else {
                    assert_eq!(refusal.code, Code::InvalidArgument, "{told}");
                    assert!(names(&refusal, &path), "{told}");
                }
            }
        }
    }
    assert_eq!(directory.head().await, head);
}

async fn r67_numbers_and_enums_out_of_range_are_named(directory: &Directory) {
    let world = World::create(directory, "acme").await;
    let head = directory.head().await;
    for sample in world.samples() {
        for field in sample.method.input().fields() {
            let value = match field.kind() {
                prost_reflect::Kind::Enum(_) if !field.is_list() => {
                    prost_reflect::Value::EnumNumber(77)
                }
                prost_reflect::Kind::Uint32 => prost_reflect::Value::U32(1001),
                _ => continue,
            };
            let mut spoiled = sample.clone();
            spoiled.message.set_field(&field, value);
            refused(&spoiled)
                .await
                .is(Code::InvalidArgument, "MALFORMED")
                .names(&[field.name()]);
        }
    }
    assert_eq!(directory.head().await, head);
}

async fn r68_another_account_answers_as_if_it_did_not_exist(directory: &Directory) {
    let world = World::create(directory, "acme").await;
    let other = World::create(directory, "other").await;
    let head = directory.head().await;
    for sample in world.samples() {
        let Some(path) = sample
            .texts()
            .into_iter()
            .find(|path| path_text(path).ends_with("account_id"))
        else {
            continue;
        };
        if sample.method.name() == "CreateAccount" {
            continue;
        }
        // The operator is for all accounts, and so sees the other one.
        let rule = rollbook_services::access::rule(&contract::path(&sample.method)).unwrap();
        let foreign = (!rule
            .roles
            .iter()
            .all(|role| *role == rollbook_tests::Role::Operator))
        .then(|| sample.with(&path, &other.tenant().account_id));
        let unknown = refused(&sample.with(&path, "nobody"))
            .await
            .is(Code::NotFound, "ACCOUNT_NOT_FOUND");
        if let Some(foreign) = foreign {
            let foreign = refused(&foreign).await;
            assert_eq!(
                (
                    foreign.code,
                    foreign.reason,
                    foreign.message.replace("other", "nobody")
                ),
                (unknown.code, unknown.reason, unknown.message),
                "{}",
                sample.method.name(),
            );
        }
    }
    assert_eq!(directory.head().await, head);
}

async fn r68_ids_of_another_account_answer_as_unknown_ones(directory: &Directory) {
    let world = World::create(directory, "acme").await;
    let other = World::create(directory, "other").await;
    let head = directory.head().await;
    let others = other.samples();
    for (mut sample, foreign) in world.samples().into_iter().zip(others) {
        // The operator is for all accounts, and names users of others.
        let rule = rollbook_services::access::rule(&contract::path(&sample.method)).unwrap();
        if rule.roles == [rollbook_tests::Role::Operator] {
            continue;
        }
        if contract::is_command(&sample.method) {
            // A settlement is recorded for a company that is gone, too; here nothing is to be.
            sample = sample.with_options(&pb::CommandOptions {
                validate_only: true,
                ..Default::default()
            });
        }
        for path in sample.texts() {
            let name = path_text(&path);
            let id = text_at(&foreign.message, &path);
            if name.ends_with("account_id") || id.is_empty() || Uuid::try_parse(&id).is_err() {
                continue;
            }
            let unknown = Uuid::now_v7().to_string();
            let told = format!("{}.{name}", sample.method.name());
            let with_foreign = sample.with(&path, &id).send().await.outcome();
            let with_unknown = sample.with(&path, &unknown).send().await.outcome();
            let plain = |outcome: Result<DynamicMessage, Box<Refusal>>, id: &str| match outcome {
                Ok(answer) => format!("{answer}").replace(id, "ID"),
                Err(refusal) => format!("{refusal:?}").replace(id, "ID"),
            };
            assert_eq!(
                plain(with_foreign, &id),
                plain(with_unknown, &unknown),
                "{told}"
            );
        }
    }
    assert_eq!(directory.head().await, head);
}

fn text_at(message: &DynamicMessage, path: &[Step]) -> String {
    use prost_reflect::Value;
    let mut value = Value::Message(message.clone());
    for step in path {
        value = match (value, step) {
            (Value::Message(message), Step::Field(name)) => {
                message.get_field_by_name(name).unwrap().into_owned()
            }
            (Value::List(elements), Step::Element(index)) => elements[*index].clone(),
            (value, step) => panic!("no {step:?} in {value:?}"),
        };
    }
    match value {
        Value::String(text) => text,
        value => panic!("not a text: {value:?}"),
    }
}

async fn r67_unknown_ids_are_told_apart_by_what_is_not_found(directory: &Directory) {
    let world = World::create(directory, "acme").await;
    let head = directory.head().await;
    for sample in world
        .samples()
        .into_iter()
        .filter(|sample| contract::is_command(&sample.method))
    {
        for path in sample.texts() {
            let name = path_text(&path);
            let expected = match name.rsplit('.').next().unwrap() {
                "user_id" if ["UpdateAccess", "RevokeAccess"].contains(&sample.method.name()) => {
                    "ACCESS_NOT_FOUND"
                }
                "user_id" => "USER_NOT_FOUND",
                "invitation_id" => "INVITATION_NOT_FOUND",
                _ => continue,
            };
            let unknown = sample.with(&path, &Uuid::now_v7().to_string());
            refused(&unknown).await.is(Code::NotFound, expected);
        }
    }
    assert_eq!(directory.head().await, head);
}

async fn r66_a_stale_revision_aborts(directory: &Directory) {
    let world = World::create(directory, "acme").await;
    let head = directory.head().await;
    for sample in world
        .samples()
        .into_iter()
        .filter(|sample| contract::is_command(&sample.method))
    {
        let options = pb::CommandOptions {
            expected_revision: 999,
            ..Default::default()
        };
        let refusal = refused(&sample.with_options(&options)).await;
        let name = sample.method.name();
        if [
            "AcceptInvitation",
            "CopyUser",
            "CreateAccount",
            "CreateUser",
            "InviteUsers",
        ]
        .contains(&name)
        {
            refusal
                .is(Code::InvalidArgument, "MALFORMED")
                .names(&["command.expected_revision"]);
        } else {
            refusal.is(Code::Aborted, "REVISION_MISMATCH");
        }
    }
    assert_eq!(directory.head().await, head);
}

async fn r66_a_validated_command_answers_as_if_done_and_commits_nothing(directory: &Directory) {
    let world = World::create(directory, "acme").await;
    let head = directory.head().await;
    for sample in world
        .samples()
        .into_iter()
        .filter(|sample| contract::is_command(&sample.method))
    {
        let options = pb::CommandOptions {
            validate_only: true,
            ..Default::default()
        };
        let answer = sample.with_options(&options).send().await.answer();
        let position = answer
            .get_field_by_name("position")
            .unwrap()
            .as_u64()
            .unwrap();
        assert_eq!(position, 0, "{}: {answer}", sample.method.name());
        assert_eq!(
            directory.head().await,
            head,
            "{} committed",
            sample.method.name()
        );
    }
}

async fn r66_a_repeated_request_answers_the_same_and_commits_nothing_twice(directory: &Directory) {
    for (number, method) in contract::methods()
        .into_iter()
        .filter(contract::is_command)
        .enumerate()
    {
        let world = World::create(directory, &format!("acme-{number}")).await;
        let sample = world.sample(method).with_options(&repeatable());
        let name = sample.method.name().to_owned();
        let first = sample.send().await.answer();
        let head = directory.head().await;
        let again = sample.send().await.answer();
        assert_eq!(first, again, "{name}");
        assert_eq!(directory.head().await, head, "{name}");
        let (path, other) = another_content(&sample);
        refused(&sample.with(&path, &other))
            .await
            .is(Code::FailedPrecondition, "REQUEST_ID_REUSED");
        assert_eq!(directory.head().await, head, "{name}");
    }
}

/// A text of the request other than its account and its request id, and a valid other value for it.
fn another_content(sample: &Sample) -> (Vec<Step>, String) {
    let path = sample
        .texts()
        .into_iter()
        .find(|path| path_text(path) == "command.reason")
        .unwrap();
    (path, "for another reason".to_owned())
}

async fn r66_a_request_id_is_forgotten_after_seven_days(directory: &Directory) {
    let world = World::create(directory, "acme").await;
    let method = contract::methods()
        .into_iter()
        .find(|method| method.name() == "AddCompany")
        .unwrap();
    let sample = world.sample(method).with_options(&repeatable());
    let first = sample.send().await.answer();
    let almost = std::time::Duration::from_mins(7 * 24 * 60 - 10);
    directory.clock.advance(almost);
    assert_eq!(first, sample.send().await.answer());
    directory.clock.advance(std::time::Duration::from_mins(20));
    refused(&sample)
        .await
        .is(Code::AlreadyExists, "COMPANY_TITLE_TAKEN");
}

async fn r67_a_message_that_is_too_large_is_out_of_range(directory: &Directory) {
    let world = World::create(directory, "acme").await;
    let method = contract::methods()
        .into_iter()
        .find(|method| method.name() == "DefineRole")
        .unwrap();
    let sample = world.sample(method);
    let path = sample
        .texts()
        .into_iter()
        .find(|path| path_text(path) == "title")
        .unwrap();
    let huge = "x".repeat(16 << 20);
    refused(&sample.with(&path, &huge))
        .await
        .is(Code::OutOfRange, "TOO_LARGE");
}
