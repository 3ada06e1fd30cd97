//! Whatever bytes and texts a caller sends, it gets an answer or a refusal of the contract, and the process goes on.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use prost::Message as _;
use rollbook_tests::samples::{Sample, World};
use rollbook_tests::{Directory, Home, Refusal, pb};
use tokio::runtime::Runtime;

/// A directory to throw things at, and the runtime it lives on.
struct Target {
    runtime: Runtime,
    directory: Option<Directory>,
    samples: Vec<Sample>,
}

impl Target {
    fn start() -> Self {
        let runtime = Runtime::new().unwrap();
        let (directory, samples) = runtime.block_on(async {
            let directory = Directory::start(Home::Embedded).await;
            let samples = World::create(&directory, "acme").await.samples();
            (directory, samples)
        });
        Self {
            runtime,
            directory: Some(directory),
            samples,
        }
    }

    /// Runs a property over a sample, and then checks the log.
    fn check<S: Strategy>(
        mut self,
        cases: u32,
        strategy: S,
        property: impl Fn(&Self, &Sample, S::Value) -> Result<(), TestCaseError>,
    ) {
        let index = 0..self.samples.len();
        let config = Config {
            failure_persistence: None,
            ..Config::with_cases(cases)
        };
        TestRunner::new(config)
            .run(&(index, strategy), |(index, value)| {
                property(&self, &self.samples[index], value)
            })
            .unwrap();
        let directory = self.directory.take().unwrap();
        self.runtime.block_on(directory.finish());
    }

    /// Sends bytes; a refusal must be one of the contract. Answers whether they were accepted.
    fn send(&self, sample: &Sample, bytes: Vec<u8>) -> Option<Refusal> {
        let outcome = self.runtime.block_on(sample.send_bytes(bytes));
        outcome.err().map(|status| Refusal::of(&status))
    }
}

#[test]
fn r67_arbitrary_bytes_are_refused_or_answered_but_never_a_fault() {
    Target::start().check(
        400,
        proptest::collection::vec(any::<u8>(), 0..200),
        |target, sample, bytes| {
            target.send(sample, bytes);
            Ok(())
        },
    );
}

#[test]
fn r67_a_damaged_request_is_refused_or_answered_but_never_a_fault() {
    let damage = (any::<prop::sample::Index>(), any::<u8>(), any::<bool>());
    Target::start().check(400, damage, |target, sample, (place, byte, cut)| {
        let mut bytes = sample.message.encode_to_vec();
        if !bytes.is_empty() {
            let place = place.index(bytes.len());
            if cut {
                bytes.truncate(place);
            } else {
                bytes[place] = byte;
            }
        }
        target.send(sample, bytes);
        Ok(())
    });
}

#[test]
fn r67_arbitrary_texts_are_refused_or_answered_but_never_a_fault() {
    Target::start().check(
        400,
        (any::<prop::sample::Index>(), ".{0,80}"),
        |target, sample, (place, text)| {
            let texts = sample.texts();
            if !texts.is_empty() {
                let spoiled = sample.with(&texts[place.index(texts.len())], &text);
                target.send(&spoiled, spoiled.message.encode_to_vec());
            }
            Ok(())
        },
    );
}

#[test]
fn r54_no_page_token_but_the_services_own_is_taken() {
    Target::start().check(300, "[A-Za-z0-9_=.-]{1,120}", |target, sample, token| {
        let Some(path) = sample
            .texts()
            .into_iter()
            .find(|path| rollbook_tests::samples::path_text(path) == "page_token")
        else {
            return Ok(());
        };
        let spoiled = sample.with(&path, &token);
        let refusal = target.send(&spoiled, spoiled.message.encode_to_vec());
        prop_assert_eq!(
            refusal.map(|refusal| refusal.reason),
            Some("PAGE_TOKEN_INVALID".to_owned())
        );
        Ok(())
    });
}

/// An address as `CreateUser` sees it: whether it is taken, and what it is stored as.
#[test]
fn r67_an_email_is_taken_as_typed_or_named_as_malformed() {
    let address = prop_oneof![
        "[a-z]{1,8}@[a-z]{1,8}\\.[a-z]{2,3}",
        "[!-~]{0,30}@[!-~]{0,30}",
        "\\PC{0,40}",
        "[a-zåäöß.+_-]{1,70}@[a-z.-]{1,40}",
    ];
    Target::start().check(
        200,
        (address, any::<u64>()),
        |target, sample, (email, number)| {
            let user = pb::NewUser {
                email: email.clone(),
                signature: format!("F{number}"),
                first_name: "F".to_owned(),
                last_name: "L".to_owned(),
                ..Default::default()
            };
            let sample = sample_for(target, "CreateUser").unwrap_or_else(|| sample.clone());
            let request = pb::CreateUserRequest {
                account_id: "acme".to_owned(),
                user: Some(user),
                command: None,
            };
            let outcome = target
                .runtime
                .block_on(sample.caller.users().create_user(request));
            match outcome {
                Ok(created) => prop_assert_eq!(created.into_inner().user.unwrap().email, email),
                Err(status) => {
                    let refusal = Refusal::of(&status);
                    let known = refusal.fields == ["user.email"]
                        || ["EMAIL_TAKEN", "SIGNATURE_TAKEN"].contains(&refusal.reason.as_str());
                    prop_assert!(known, "{}: {:?}", email, refusal);
                }
            }
            Ok(())
        },
    );
}

fn sample_for(target: &Target, method: &str) -> Option<Sample> {
    target
        .samples
        .iter()
        .find(|sample| sample.method.name() == method)
        .cloned()
}

#[test]
fn r59_arbitrary_times_are_refused_or_answered_but_never_a_fault() {
    Target::start().check(
        200,
        (any::<i64>(), any::<i32>(), any::<bool>()),
        |target, _, (seconds, nanos, upper)| {
            let time = Some(prost_types::Timestamp { seconds, nanos });
            let filter = if upper {
                pb::EventFilter {
                    to_time: time,
                    ..Default::default()
                }
            } else {
                pb::EventFilter {
                    from_time: time,
                    ..Default::default()
                }
            };
            let request = pb::ListEventsRequest {
                filter: Some(filter),
                ..Default::default()
            };
            let sample = sample_for(target, "ListEvents").unwrap();
            target.send(&sample, request.encode_to_vec());
            Ok(())
        },
    );
}

#[test]
fn r4_a_signature_is_found_however_it_was_accepted() {
    Target::start().check(200, "\\PC{1,32}", |target, _, signature| {
        let sample = sample_for(target, "CreateUser").unwrap();
        let request = |signature: &str| pb::CreateUserRequest {
            account_id: "acme".to_owned(),
            user: Some(pb::NewUser {
                email: format!("{}@example.com", uuid::Uuid::now_v7().simple()),
                signature: signature.to_owned(),
                first_name: "F".to_owned(),
                last_name: "L".to_owned(),
                ..Default::default()
            }),
            command: None,
        };
        let created = target
            .runtime
            .block_on(sample.caller.users().create_user(request(&signature)));
        let Ok(created) = created else {
            return Ok(());
        };
        let user = created.into_inner().user.unwrap();
        let key = pb::get_user_request::Key::Signature(signature.clone());
        let request_again = pb::GetUserRequest {
            account_id: "acme".to_owned(),
            key: Some(key),
            read: None,
        };
        let found = target
            .runtime
            .block_on(sample.caller.users().get_user(request_again))
            .unwrap()
            .into_inner();
        prop_assert_eq!(found.user.unwrap(), user);
        let twin = target
            .runtime
            .block_on(sample.caller.users().create_user(request(&signature)))
            .unwrap_err();
        prop_assert_eq!(Refusal::of(&twin).reason, "SIGNATURE_TAKEN");
        Ok(())
    });
}
