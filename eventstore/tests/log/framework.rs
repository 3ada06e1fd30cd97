//! cqrs-es on the log: its stock repositories read what we wrote, and its stock framework runs.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use cqrs_es::event_sink::EventSink;
use cqrs_es::persist::PersistedEventRepository as _;
use cqrs_es::{Aggregate, AggregateError, CqrsFramework, DomainEvent, EventStore as _};
use postgres_es::PostgresEventRepository;
use rollbook_eventstore::{Claim, ClaimKey, Guards, HeldClaim, Repository, Requirement};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::given::adds;
use crate::house::{House, Place, on_both_homes};

on_both_homes! {
    the_stock_framework_runs_on_a_repository
    a_commit_through_the_framework_keeps_its_guards
    a_conflict_through_the_framework_is_a_conflict
    a_repository_remembers_and_finds_what_is_newer
    an_aggregate_is_loaded_as_it_was_at_a_revision
    old_versions_of_events_are_upcast
}

/// An event with the log's time beside it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Dated {
    #[serde(flatten)]
    what: What,
    #[serde(rename = "$recorded_at", default, skip_serializing)]
    at: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum What {
    MemberNamed { name: Value },
    MemberLeft {},
}

impl DomainEvent for Dated {
    fn event_type(&self) -> String {
        match self.what {
            What::MemberNamed { .. } => "MemberNamed",
            What::MemberLeft {} => "MemberLeft",
        }
        .into()
    }

    fn event_version(&self) -> String {
        "2".into()
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Member {
    pub names: Vec<Value>,
    left: bool,
    dated: usize,
    #[serde(skip)]
    pub guards: Guards,
}

pub enum Ask {
    Name(&'static str),
    Leave,
}

#[derive(Debug, thiserror::Error)]
#[error("refused")]
pub struct Refused;

impl Aggregate for Member {
    const TYPE: &'static str = "member";
    type Command = Ask;
    type Event = Dated;
    type Error = Refused;
    type Services = ();

    async fn handle(&mut self, ask: Ask, (): &(), sink: &EventSink<Self>) -> Result<(), Refused> {
        let what = match ask {
            Ask::Name("") => return Err(Refused),
            Ask::Name(name) => What::MemberNamed {
                name: json!({"$personal": name}),
            },
            Ask::Leave => What::MemberLeft {},
        };
        let leaves = what == What::MemberLeft {};
        sink.write(Dated { what, at: None }, self).await;
        let place = HeldClaim {
            claim: Claim {
                account_id: "acme".into(),
                kind: "place".into(),
                key: ClaimKey::Plain(String::new()),
            },
            owner: "x".into(),
        };
        self.guards = Guards {
            account_id: "acme".into(),
            forget: leaves,
            ..Guards::default()
        };
        if self.names == [json!({"$personal": "only"})] {
            self.guards
                .require
                .push(Requirement::Free(place.claim.clone()));
            self.guards.take.push(place);
        }
        Ok(())
    }

    fn apply(&mut self, event: Dated) {
        self.dated += usize::from(event.at.is_some());
        match event.what {
            What::MemberNamed { name } => self.names.push(name),
            What::MemberLeft {} => self.left = true,
        }
    }
}

pub async fn repository(house: &House) -> Repository<Member> {
    let log = house.open().await;
    Repository::new(log, Vec::new(), 100, |member| {
        std::mem::take(&mut member.guards)
    })
}

async fn the_stock_framework_runs_on_a_repository(house: &House) {
    let members = repository(house).await;
    let framework = CqrsFramework::new(members.clone(), Vec::new(), ());
    let metadata = HashMap::from([
        ("actor".to_owned(), "anna".to_owned()),
        ("reason".to_owned(), "why".to_owned()),
    ]);
    framework.execute("1", Ask::Name("Zoë")).await.unwrap();
    framework
        .execute_with_metadata("1", Ask::Name("Zoé"), metadata)
        .await
        .unwrap();
    assert!(matches!(
        framework.execute("1", Ask::Name("")).await,
        Err(AggregateError::UserError(_))
    ));
    let envelopes = members.load_events("1").await.unwrap();
    assert_eq!(
        envelopes
            .iter()
            .map(|event| event.sequence)
            .collect::<Vec<_>>(),
        [1, 2]
    );
    assert_eq!(
        envelopes[1].payload.what,
        What::MemberNamed {
            name: json!({"$personal": "Zoé"})
        }
    );
    assert!(envelopes[1].payload.at.is_some());
    assert_eq!(
        (
            &*envelopes[1].metadata["actor"],
            &*envelopes[1].metadata["reason"]
        ),
        ("anna", "why")
    );
    let loaded = members
        .log()
        .load(&[("member-1".parse().unwrap(), 0)])
        .await
        .unwrap();
    assert_eq!(
        loaded[0][1].payload["$recorded_at"].as_str(),
        envelopes[1].payload.at.as_deref()
    );
    framework.execute("1", Ask::Leave).await.unwrap();
    let envelopes = members.load_events("1").await.unwrap();
    assert_eq!(
        envelopes[0].payload.what,
        What::MemberNamed {
            name: json!({"$erased": true})
        }
    );
    let hot = members.get("1").await.unwrap();
    assert_eq!(
        (hot.state.left, hot.revision, hot.state.dated),
        (true, 3, 3)
    );
    assert!(members.load_events("none").await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_stock_postgres_repository_reads_what_we_wrote() {
    let house = House::postgres().await;
    let members = repository(&house).await;
    let framework = CqrsFramework::new(members.clone(), Vec::new(), ());
    framework.execute("1", Ask::Name("Zoë")).await.unwrap();
    framework.execute("1", Ask::Leave).await.unwrap();
    let Place::Postgres { application, .. } = &house.place else {
        panic!()
    };
    let pool = sqlx::PgPool::connect(application).await.unwrap();
    let stock = PostgresEventRepository::new(pool.clone());
    let events = stock.get_events::<Member>("1").await.unwrap();
    let types: Vec<_> = events
        .iter()
        .map(|event| (event.sequence, &*event.event_type, &*event.event_version))
        .collect();
    assert_eq!(types, [(1, "MemberNamed", "2"), (2, "MemberLeft", "2")]);
    assert!(events[0].payload["MemberNamed"]["name"]["$sealed"].is_string());
    assert_eq!(events[0].metadata["actor"], "");
    assert_eq!(
        stock.get_last_events::<Member>("1", 1).await.unwrap().len(),
        1
    );
    pool.close().await;
    members.log().clone().close().await;
    house.end().await;
}

async fn a_commit_through_the_framework_keeps_its_guards(house: &House) {
    let members = repository(house).await;
    let framework = CqrsFramework::new(members.clone(), Vec::new(), ());
    framework.execute("1", Ask::Name("only")).await.unwrap();
    let refused = framework.execute("2", Ask::Name("only")).await.unwrap_err();
    assert!(
        matches!(&refused, AggregateError::UnexpectedError(_)),
        "{refused}"
    );
    assert_eq!(members.log().head().await.unwrap(), 1);
}

async fn a_conflict_through_the_framework_is_a_conflict(house: &House) {
    let members = repository(house).await;
    let context = members.load_aggregate("1").await.unwrap();
    let framework = CqrsFramework::new(members.clone(), Vec::new(), ());
    framework.execute("1", Ask::Name("a")).await.unwrap();
    let event = Dated {
        what: What::MemberLeft {},
        at: None,
    };
    let late = members.commit(vec![event], context, HashMap::new()).await;
    assert!(matches!(late, Err(AggregateError::AggregateConflict)));
    assert_eq!(members.fresh("1").await.unwrap().revision, 1);
}

pub fn add(id: &str, revision: u64, name: &str) -> rollbook_eventstore::Append {
    let mut stream = adds(id, revision, 0);
    stream.stream.aggregate_type = Member::TYPE.into();
    let what = What::MemberNamed {
        name: json!({"$personal": name}),
    };
    stream
        .events
        .push(rollbook_eventstore::NewEvent::of(&Dated { what, at: None }).unwrap());
    crate::given::of(vec![stream])
}

async fn a_repository_remembers_and_finds_what_is_newer(house: &House) {
    let members = repository(house).await;
    let log = members.log().clone();
    assert_eq!(members.get("1").await.unwrap().revision, 0);
    log.append(add("1", 0, "a")).await.unwrap();
    let hot = members.get("1").await.unwrap();
    assert_eq!((hot.revision, hot.cached), (1, false));
    let second = log.append(add("1", 1, "b")).await.unwrap();
    let stale = members.get("1").await.unwrap();
    assert_eq!((stale.revision, stale.cached), (1, true));
    let after = members
        .after(&stale, second.events.iter().map(AsRef::as_ref))
        .unwrap();
    let fresh = members.fresh("1").await.unwrap();
    assert_eq!((fresh.revision, fresh.cached), (2, false));
    assert_eq!(fresh.state, after.state);
    members.remember("1", Arc::new(Member::default()), 1);
    assert_eq!(members.get("1").await.unwrap().revision, 2);
    members.forget("1");
    assert!(!members.get("1").await.unwrap().cached);
    log.append(add("2", 0, "c")).await.unwrap();
    let many = members.get_many(&["2", "none", "1"]).await.unwrap();
    let seen: Vec<_> = many.iter().map(|hot| (hot.revision, hot.cached)).collect();
    assert_eq!(seen, [(1, false), (0, false), (2, true)]);
    let fresh = members.fresh_many(&["1", "2"]).await.unwrap();
    assert_eq!(
        fresh
            .iter()
            .map(|hot| hot.revision)
            .collect::<BTreeSet<_>>(),
        BTreeSet::from([1, 2])
    );
    // What is forgotten is not remembered either.
    let mut left = add("1", 2, "d");
    left.streams[0].forget = true;
    log.append(left).await.unwrap();
    let hot = members.get("1").await.unwrap();
    assert!(
        !hot.cached
            && hot
                .state
                .names
                .iter()
                .all(|name| *name == json!({"$erased": true}))
    );
}

async fn an_aggregate_is_loaded_as_it_was_at_a_revision(house: &House) {
    let members = repository(house).await;
    for (revision, name) in ["a", "b", "c"].into_iter().enumerate() {
        members
            .log()
            .append(add("1", revision as u64, name))
            .await
            .unwrap();
    }
    members.get("1").await.unwrap();
    for revision in 0..=3 {
        let hot = members.at("1", revision).await.unwrap();
        assert_eq!(
            (hot.revision, hot.state.names.len() as u64),
            (revision, revision)
        );
    }
}

struct FromFirst;

impl cqrs_es::persist::EventUpcaster for FromFirst {
    fn can_upcast(&self, event_type: &str, event_version: &str) -> bool {
        event_type == "MemberNamed" && event_version == "1"
    }

    fn upcast(
        &self,
        mut event: cqrs_es::persist::SerializedEvent,
    ) -> cqrs_es::persist::SerializedEvent {
        let old = event.payload["MemberNamed"]["called"].take();
        event.payload["MemberNamed"] = json!({"name": old});
        event.event_version = "2".into();
        event
    }
}

async fn old_versions_of_events_are_upcast(house: &House) {
    let log = house.open().await;
    let mut append = add("1", 0, "");
    append.streams[0].events[0].event_version = "1".into();
    append.streams[0].events[0].payload = json!({"MemberNamed": {"called": {"$personal": "Zoë"}}});
    log.append(append).await.unwrap();
    let members: Repository<Member> =
        Repository::new(log, vec![Box::new(FromFirst)], 10, |_| Guards::default());
    let named = [json!({"$personal": "Zoë"})];
    assert_eq!(members.get("1").await.unwrap().state.names, named);
    let envelopes = members.load_events("1").await.unwrap();
    assert_eq!(
        envelopes[0].payload.what,
        What::MemberNamed {
            name: named[0].clone()
        }
    );
}
