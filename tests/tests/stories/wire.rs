//! The wire: health, reflection, gRPC-Web, deadlines, TLS.

use std::net::SocketAddr;
use std::time::Duration;

use prost::Message as _;
use rollbook_eventstore::Clock;
use rollbook_services::server::{self, Options, Running, Store, Tls};
use rollbook_tests::{
    Answer as _, Caller, Code, Directory, Home, Identity, Refusal, Role, Tenant, ask, contract, pb,
    stories,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

stories! {
    r69_health_says_serving_to_anybody,
    r69_reflection_tells_the_contract_to_anybody,
    r69_a_browser_calls_over_http_1_with_grpc_web,
    r69_a_call_whose_deadline_passes_says_so,
    r69_every_refusal_of_the_framework_carries_a_reason_too,
}

async fn r69_health_says_serving_to_anybody(directory: &Directory) {
    let mut client = HealthClient::new(directory.process().channel());
    let answer = client
        .check(HealthCheckRequest {
            service: String::new(),
        })
        .await
        .unwrap()
        .into_inner();
    assert_eq!(answer.status(), ServingStatus::Serving);
    let unknown = client
        .check(HealthCheckRequest {
            service: "nonsense".to_owned(),
        })
        .await
        .unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);
}

async fn r69_reflection_tells_the_contract_to_anybody(directory: &Directory) {
    let mut client = ServerReflectionClient::new(directory.process().channel());
    let ask = |message| ServerReflectionRequest {
        host: String::new(),
        message_request: Some(message),
    };
    let requests = vec![
        ask(MessageRequest::ListServices(String::new())),
        ask(MessageRequest::FileContainingSymbol(
            "rollbook.v1.UserService".to_owned(),
        )),
    ];
    let mut answers = client
        .server_reflection_info(tokio_stream::iter(requests))
        .await
        .unwrap()
        .into_inner();
    let Some(MessageResponse::ListServicesResponse(listed)) =
        answers.message().await.unwrap().unwrap().message_response
    else {
        panic!("no list of services");
    };
    let listed: Vec<_> = listed
        .service
        .into_iter()
        .map(|service| service.name)
        .collect();
    for service in contract::methods()
        .iter()
        .map(prost_reflect::MethodDescriptor::parent_service)
    {
        assert!(
            listed.iter().any(|name| name == service.full_name()),
            "no {} in {listed:?}",
            service.full_name()
        );
    }
    let file = answers.message().await.unwrap().unwrap().message_response;
    assert!(
        matches!(file, Some(MessageResponse::FileDescriptorResponse(_))),
        "{file:?}"
    );
}

async fn r69_a_browser_calls_over_http_1_with_grpc_web(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let message = ask!(acme, ListUsersRequest {}).encode_to_vec();
    let length = u32::try_from(message.len()).unwrap();
    let mut body = vec![0];
    body.extend(length.to_be_bytes());
    body.extend(message);
    let administrator = Identity::new(
        Role::Administrator,
        &acme.administrator.user_id,
        Some("acme"),
    );
    let token = directory.token(&administrator);
    let head = format!(
        "POST /rollbook.v1.UserService/ListUsers HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
         content-type: application/grpc-web+proto\r\nx-grpc-web: 1\r\nauthorization: Bearer {token}\r\n\
         content-length: {}\r\n\r\n",
        body.len(),
    );
    let mut stream = TcpStream::connect(directory.process().address())
        .await
        .unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&body).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(
        answer.contains("ADM@example.com") && answer.contains("grpc-status:0"),
        "{answer}"
    );
}

async fn r69_a_call_whose_deadline_passes_says_so(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let user_ids = vec![acme.administrator.user_id.clone()];
    let mut request = tonic::Request::new(ask!(acme, BatchGetUsersRequest { user_ids }));
    // Less than a call takes.
    request.set_timeout(Duration::from_nanos(1));
    let status = acme.admin.users().batch_get_users(request).await;
    let status = status.unwrap_err();
    // The client may notice first, and then has nothing of the service's.
    if !status.details().is_empty() {
        let told = Refusal::of(&status);
        let reasons = ["DEADLINE_PASSED", "VIEW_LAGGING"];
        assert!(reasons.contains(&told.reason.as_str()), "{told:?}");
    }
    acme.admin
        .users()
        .list_users(ask!(acme, ListUsersRequest {}))
        .await
        .answer();
}

async fn r69_every_refusal_of_the_framework_carries_a_reason_too(directory: &Directory) {
    let operator = directory.operator();
    let unknown = operator
        .raw("/rollbook.v1.UserService/MakeCoffee", Vec::new())
        .await
        .unwrap_err();
    Refusal::of(&unknown).is(Code::Unimplemented, "METHOD_UNKNOWN");
    let unknown = operator
        .raw("/rollbook.v1.CoffeeService/MakeCoffee", Vec::new())
        .await
        .unwrap_err();
    Refusal::of(&unknown).is(Code::Unimplemented, "METHOD_UNKNOWN");
}

/// Calls a method with a client that knows nothing but the address: it asks by reflection what there is.
async fn generic_call(directory: &Directory, role: Role, method: &str, json: &str) -> String {
    let buf = concat!(env!("CARGO_MANIFEST_DIR"), "/tools/node_modules/.bin/buf");
    assert!(
        std::path::Path::new(buf).exists(),
        "buf is not installed: run `./test`"
    );
    let account = (role != Role::Operator).then_some("acme");
    let administrators = directory
        .events()
        .await
        .into_iter()
        .find(|event| event.event_type == "UserCreated");
    let subject = match (role, administrators) {
        (Role::Administrator, Some(created)) => created.stream.replacen("user-", "", 1),
        _ => "generic-client".to_owned(),
    };
    let token = directory.token(&Identity::new(role, &subject, account));
    let output = tokio::process::Command::new(buf)
        .args(["curl", "--protocol", "grpc", "--http2-prior-knowledge"])
        .args([
            "--header",
            &format!("authorization: Bearer {token}"),
            "--data",
            json,
        ])
        .arg(format!(
            "http://{}/rollbook.v1.{method}",
            directory.process().address()
        ))
        .output()
        .await
        .unwrap();
    assert!(
        output.status.success(),
        "{method}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r69_a_client_that_knows_nothing_but_the_address_creates_lists_and_deletes_a_user() {
    let directory = Directory::start(Home::Embedded).await;
    Tenant::create(&directory, "acme").await;
    let administrator = Role::Administrator;
    let created = generic_call(
        &directory,
        administrator,
        "UserService/CreateUser",
        r#"{"accountId": "acme", "user": {
        "signature": "ANNA", "firstName": "Anna", "lastName": "Ek", "email": "anna@example.com"
    }}"#,
    )
    .await;
    let created: serde_json::Value = serde_json::from_str(&created).unwrap();
    let user_id = created["user"]["userId"].as_str().unwrap();
    let listed = generic_call(
        &directory,
        administrator,
        "UserService/ListUsers",
        r#"{"accountId": "acme"}"#,
    )
    .await;
    assert!(listed.contains(user_id), "{listed}");
    let delete = serde_json::json!({ "accountId": "acme", "userId": user_id }).to_string();
    let deleted = generic_call(&directory, administrator, "UserService/DeleteUser", &delete).await;
    assert!(deleted.contains("USER_STATUS_DELETED"), "{deleted}");
    let replayed = generic_call(
        &directory,
        Role::Auditor,
        "HistoryService/ReplayEvents",
        "{}",
    )
    .await;
    assert!(
        replayed.contains("UserCreated") && replayed.contains("UserDeleted"),
        "{replayed}"
    );
    directory.finish().await;
}

/// Starts an embedded service that listens on `listen`.
async fn start(
    data_dir: &std::path::Path,
    listen: &str,
    tls: Option<Tls>,
    allow_plaintext: bool,
) -> Result<Running, server::StartError> {
    server::start(Options {
        listen: listen.parse::<SocketAddr>().unwrap(),
        data_dir: data_dir.to_owned(),
        store: Store::Embedded,
        master_key: None,
        next_master_key: None,
        token_keys: Vec::new(),
        tls,
        allow_plaintext,
        mail: None,
        hash_cost: rollbook_services::passwords::Cost::default(),
        views_from: None,
        clock: Clock::system(),
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r69_tls_is_spoken_with_a_certificate_and_its_key() {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let certificate = made.cert.pem();
    let tls = Tls {
        certificate_pem: certificate.clone().into_bytes(),
        key_pem: made.signing_key.serialize_pem().into_bytes(),
    };
    let running = start(folder.path(), "127.0.0.1:0", Some(tls), false)
        .await
        .unwrap();
    let address = running.address();
    let trusting = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(certificate))
        .domain_name("localhost");
    let channel: Channel = Endpoint::from_shared(format!("https://{address}"))
        .unwrap()
        .tls_config(trusting)
        .unwrap()
        .connect_lazy();
    let refusal = Caller::anonymous(channel)
        .operations()
        .get_log_status(pb::GetLogStatusRequest {})
        .await
        .refusal();
    refusal.is(Code::Unauthenticated, "TOKEN_MISSING");
    let plain = Caller::anonymous(rollbook_tests::directory::connect(address));
    let status = plain
        .operations()
        .get_log_status(pb::GetLogStatusRequest {})
        .await
        .unwrap_err();
    assert!(
        status.details().is_empty(),
        "plain text is not understood: {status:?}"
    );
    running.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r69_plain_text_is_spoken_on_loopback_or_when_asked_for_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let refused = start(folder.path(), "0.0.0.0:0", None, false)
        .await
        .map(|running| running.address());
    let told = format!("{:#}", refused.expect_err("plain text to everybody"));
    assert!(told.to_lowercase().contains("plain"), "{told}");
    start(folder.path(), "0.0.0.0:0", None, true)
        .await
        .unwrap()
        .shutdown()
        .await
        .unwrap();
    start(folder.path(), "127.0.0.1:0", None, false)
        .await
        .unwrap()
        .shutdown()
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r59_a_graceful_end_ends_streams_too() {
    let directory = Directory::start(Home::Embedded).await;
    let follow = pb::ReplayEventsRequest {
        follow: true,
        ..Default::default()
    };
    let mut stream = directory
        .auditor()
        .history()
        .replay_events(follow)
        .await
        .answer();
    let ended = tokio::spawn(async move { while let Ok(Some(_)) = stream.message().await {} });
    let finished = tokio::time::timeout(Duration::from_secs(20), directory.finish()).await;
    assert!(finished.is_ok(), "a follower keeps the service from ending");
    ended.await.unwrap();
}
