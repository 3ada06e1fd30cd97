//! The log as auditors read it with the clients of `KurrentDB` that they have, unmodified and over TLS.

use rollbook_tests::kurrent::Client;
use rollbook_tests::{Answer as _, Directory, Home, Identity, Role, Tenant, ask, pb};
use serde_json::{Value, json};

/// What each client calls what it is refused with.
struct Errors {
    missing: &'static str,
    unknown: &'static str,
}

const PYTHON: Errors = Errors {
    missing: "NotFoundError",
    unknown: "UnauthenticatedError",
};

const NODE: Errors = Errors {
    missing: "StreamNotFoundError",
    unknown: "AccessDeniedError",
};

mod r59_the_python_and_node_clients_read_and_follow_the_log {
    use super::{Home, real_clients};

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn embedded() {
        real_clients(Home::Embedded).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn postgres() {
        real_clients(Home::Postgres).await;
    }
}

async fn real_clients(home: Home) {
    let mut python = Client::start("python");
    let mut node = Client::start("node");
    let directory = Directory::start_secured(home).await;
    let acme = Tenant::create(&directory, "acme").await;
    let other = Tenant::create(&directory, "other").await;
    let anna = acme.user("ANNA").await.user_id;
    lock_and_unlock(&acme, &anna).await;
    let gone = other.user("GONE").await.user_id;
    let delete = ask!(other, DeleteUserRequest { user_id: &gone });
    other.admin.users().delete_user(delete).await.answer();
    for (client, errors) in [(&mut python, PYTHON), (&mut node, NODE)] {
        connect(client, &directory, None).await;
        reads_the_log(client, &directory).await;
        reads_streams(client, &anna, &gone).await;
        subscribes(client, &directory, &acme, &anna).await;
        subscribes_to_a_stream(client, &acme, &anna).await;
        is_refused(client, &directory, &anna, &errors).await;
    }
    python.end().await;
    node.end().await;
    directory.finish().await;
}

async fn lock_and_unlock(acme: &Tenant, user_id: &str) {
    let mut users = acme.admin.users();
    let lock = ask!(acme, LockUserRequest { user_id });
    users.lock_user(lock).await.answer();
    let unlock = ask!(acme, UnlockUserRequest { user_id });
    users.unlock_user(unlock).await.answer();
}

async fn connect(client: &mut Client, directory: &Directory, account: Option<&str>) {
    let identity = Identity {
        scope: "personal-data".to_owned(),
        ..Identity::new(Role::Auditor, "auditor", account)
    };
    let uri = directory.kurrent_uri(&identity);
    let connected = client.ask(json!({"do": "connect", "uri": uri})).await;
    assert_eq!(connected, json!({}));
}

async fn events(client: &mut Client, ask: Value) -> Vec<Value> {
    let answer = client.ask(ask.clone()).await;
    let events = answer["events"].as_array();
    events
        .unwrap_or_else(|| panic!("{ask} answers {answer}"))
        .clone()
}

async fn numbers(client: &mut Client, name: &str, ask: Value) -> Vec<u64> {
    let events = events(client, ask).await;
    let number = |event: &Value| event[name].as_u64().unwrap();
    events.iter().map(number).collect()
}

async fn positions(client: &mut Client, mut ask: Value) -> Vec<u64> {
    ask["do"] = "read_all".into();
    numbers(client, "position", ask).await
}

async fn reads_the_log(client: &mut Client, directory: &Directory) {
    let replayed = directory.events().await;
    let read = events(client, json!({"do": "read_all"})).await;
    assert_eq!(read.len(), replayed.len());
    for (read, replayed) in read.iter().zip(&replayed) {
        assert_eq!(read["type"], replayed.event_type);
        assert_eq!(read["stream"], replayed.stream);
        assert_eq!(read["revision"], replayed.revision - 1);
        assert_eq!(read["position"], replayed.position);
        assert_eq!(parsed(&read["data"]), parsed(&json!(replayed.payload)));
        let beside = parsed(&read["metadata"]);
        assert_eq!(beside["account_id"], replayed.account_id);
        assert_eq!(beside["actor"], replayed.actor);
        assert_eq!(read["id"].as_str().unwrap().len(), 36);
    }
    let page = positions(client, json!({"from": 4, "limit": 3})).await;
    assert_eq!(page, [4, 5, 6]);
    let back = positions(client, json!({"from": 4, "backwards": true})).await;
    assert_eq!(back, [3, 2, 1]);
    let last = positions(client, json!({"backwards": true, "limit": 1})).await;
    assert_eq!(last, [replayed.len() as u64]);
    let those = |passes: &dyn Fn(&pb::Event) -> bool| -> Vec<u64> {
        let passing = replayed.iter().filter(|event| passes(event));
        passing.map(|event| event.position).collect()
    };
    assert_eq!(
        positions(
            client,
            json!({"by": "type", "prefix": ["UserLo", "UserUn"]})
        )
        .await,
        those(&|event| event.event_type.starts_with("UserLo")
            || event.event_type.starts_with("UserUn"))
    );
    assert_eq!(
        positions(client, json!({"by": "type", "regex": ["User.*ocked"]})).await,
        those(&|event| event.event_type.starts_with("User") && event.event_type.ends_with("ocked"))
    );
    assert_eq!(
        positions(client, json!({"by": "stream", "prefix": ["account-"]})).await,
        those(&|event| event.stream.starts_with("account-"))
    );
    assert_eq!(
        positions(client, json!({"by": "stream", "regex": ["account-o.*"]})).await,
        those(&|event| event.stream == "account-other")
    );
}

fn parsed(text: &Value) -> Value {
    serde_json::from_str(text.as_str().unwrap()).unwrap()
}

async fn reads_streams(client: &mut Client, anna: &str, gone: &str) {
    let read = json!({"do": "read_stream", "stream": format!("user-{anna}"), "limit": 3});
    let with = |name: &str, value: Value| {
        let mut ask = read.clone();
        ask[name] = value;
        ask
    };
    assert_eq!(numbers(client, "revision", read.clone()).await, [0, 1, 2]);
    let from = with("from", json!(1));
    assert_eq!(numbers(client, "revision", from).await[..2], [1, 2]);
    let limited = with("limit", json!(2));
    assert_eq!(numbers(client, "revision", limited).await, [0, 1]);
    let mut backwards = with("backwards", json!(true));
    backwards["from"] = json!(2);
    assert_eq!(numbers(client, "revision", backwards).await, [2, 1, 0]);
    let read = json!({"do": "read_stream", "stream": format!("user-{gone}")});
    let erased = events(client, read).await;
    let types: Vec<&Value> = erased.iter().map(|event| &event["type"]).collect();
    assert_eq!(types, ["UserCreated", "UserDeleted"]);
    let created = parsed(&erased[0]["data"]);
    assert_eq!(
        created["UserCreated"]["signature"],
        json!({"$erased": true})
    );
}

/// What a subscription tells until it has caught up: the positions of events, and of checkpoints.
async fn until_caught_up(client: &mut Client) -> (Vec<u64>, Vec<u64>) {
    let (mut events, mut checkpoints) = (Vec::new(), Vec::new());
    loop {
        let item = client.ask(json!({"do": "next"})).await;
        if let Some(position) = item["position"].as_u64() {
            events.push(position);
        } else if let Some(position) = item["checkpoint"].as_u64() {
            checkpoints.push(position);
        } else {
            assert!(item.get("caught_up").is_some(), "{item}");
            return (events, checkpoints);
        }
    }
}

async fn next_event(client: &mut Client) -> Value {
    loop {
        let item = client.ask(json!({"do": "next"})).await;
        if item.get("type").is_some() {
            return item;
        }
        assert!(item.get("checkpoint").is_some(), "{item}");
    }
}

async fn subscribes(client: &mut Client, directory: &Directory, acme: &Tenant, anna: &str) {
    let all = directory.events().await;
    let locks = |from: u64| -> Vec<u64> {
        let later = all.iter().filter(|event| event.position > from);
        let locks = later.filter(|event| event.event_type.starts_with("UserLo"));
        locks.map(|event| event.position).collect()
    };
    let head = all.len() as u64;
    let subscribe =
        |from: u64| json!({"do": "subscribe", "from": from, "by": "type", "prefix": ["UserLo"]});
    assert_eq!(client.ask(subscribe(0)).await, json!({}));
    let (events, checkpoints) = until_caught_up(client).await;
    assert_eq!(events, locks(0));
    assert_eq!(checkpoints.first(), Some(&10), "one each 5 x 2 events");
    assert_eq!(checkpoints.last(), Some(&head), "and one at the head");
    lock_and_unlock(acme, anna).await;
    let live = next_event(client).await;
    assert_eq!(live["position"], head + 1);
    client.ask(json!({"do": "unsubscribe"})).await;
    lock_and_unlock(acme, anna).await;
    assert_eq!(client.ask(subscribe(head + 1)).await, json!({}));
    let (events, _) = until_caught_up(client).await;
    assert_eq!(events, [head + 3], "what came meanwhile, and nothing twice");
    client.ask(json!({"do": "unsubscribe"})).await;
}

async fn subscribes_to_a_stream(client: &mut Client, acme: &Tenant, anna: &str) {
    let stream = format!("user-{anna}");
    let read = json!({"do": "read_stream", "stream": stream, "backwards": true, "limit": 1});
    let last = numbers(client, "revision", read).await[0];
    let subscribe = json!({"do": "subscribe", "stream": stream, "from": last - 1});
    assert_eq!(client.ask(subscribe).await, json!({}));
    let (events, _) = until_caught_up(client).await;
    assert_eq!(events.len(), 1);
    lock_and_unlock(acme, anna).await;
    assert_eq!(next_event(client).await["revision"], last + 1);
    assert_eq!(next_event(client).await["revision"], last + 2);
    client.ask(json!({"do": "unsubscribe"})).await;
}

async fn is_refused(client: &mut Client, directory: &Directory, anna: &str, errors: &Errors) {
    let read = |stream: &str| json!({"do": "read_stream", "stream": stream});
    let stream = format!("user-{anna}");
    let missing = client.ask(read("user-nobody")).await;
    assert_eq!(missing["error"], errors.missing, "{missing}");
    for write in ["append", "delete"] {
        let denied = client.ask(json!({"do": write, "stream": stream})).await;
        assert_eq!(denied["error"], "AccessDeniedError", "{write}: {denied}");
    }
    connect(client, directory, Some("other")).await;
    let others = client.ask(read(&stream)).await;
    assert_eq!(others["error"], errors.missing, "{others}");
    let own = events(client, json!({"do": "read_all"})).await;
    let of_other = |event: &Value| parsed(&event["metadata"])["account_id"] == "other";
    assert!(!own.is_empty() && own.iter().all(of_other));
    let uri = directory.kurrent_uri(&Identity::new(Role::Auditor, "auditor", None));
    let (before, after) = uri.split_once('@').unwrap();
    let forged = format!("{}x@{after}", &before[..before.len() - 2]);
    client.ask(json!({"do": "connect", "uri": forged})).await;
    let unknown = client.ask(json!({"do": "read_all", "limit": 1})).await;
    assert_eq!(unknown["error"], errors.unknown, "{unknown}");
}
