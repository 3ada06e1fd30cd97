//! Imports: many users in one call, each decided alone.

use rollbook_tests::people::{PASSWORD, administrator, link, person};
use rollbook_tests::{Answer as _, Caller, Code, Directory, Refusal, Tenant, ask, pb, stories};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use uuid::Uuid;

stories! {
    r57_rows_are_answered_in_their_order_and_a_bad_one_fails_alone,
    r57_a_supervisor_is_named_by_signature_and_may_stand_in_a_row_before,
    r57_a_row_never_finds_its_supervisor_in_a_row_behind_it,
    r57_an_import_sent_again_answers_the_same_and_commits_nothing_twice,
    r57_a_rehearsal_commits_nothing_and_minds_the_rows_before,
    r57_results_come_while_rows_are_still_to_be_sent,
    r57_more_rows_than_are_under_way_at_a_time_are_imported,
    r57_an_import_that_contradicts_itself_is_ended,
    r25_an_import_ends_when_its_administrator_may_act_no_more,
    r2_imported_passwords_are_asked_for_where_the_account_keeps_them,
}

fn row(user: pb::NewUser) -> pb::ImportRow {
    pb::ImportRow {
        user: Some(user),
        ..pb::ImportRow::default()
    }
}

fn header(acme: &Tenant, command: pb::CommandOptions) -> pb::ImportHeader {
    pb::ImportHeader {
        account_id: acme.account_id.clone(),
        command: Some(command),
    }
}

fn first(acme: &Tenant, rows: Vec<pb::ImportRow>) -> pb::ImportUsersRequest {
    pb::ImportUsersRequest {
        header: Some(header(acme, pb::CommandOptions::default())),
        rows,
    }
}

/// Sends these messages and takes everything that comes back, up to a refusal.
async fn send(
    caller: &Caller,
    messages: Vec<pb::ImportUsersRequest>,
) -> (Vec<pb::ImportUsersResponse>, Option<Refusal>) {
    let sent = caller
        .users()
        .import_users(tokio_stream::iter(messages))
        .await;
    let mut answers = match sent {
        Ok(answers) => answers.into_inner(),
        Err(status) => return (Vec::new(), Some(Refusal::of(&status))),
    };
    let mut taken = Vec::new();
    loop {
        match answers.message().await {
            Ok(Some(answer)) => taken.push(answer),
            Ok(None) => return (taken, None),
            Err(status) => return (taken, Some(Refusal::of(&status))),
        }
    }
}

/// Imports rows; answers their results.
async fn import(
    acme: &Tenant,
    command: pb::CommandOptions,
    rows: Vec<pb::ImportRow>,
) -> Vec<pb::ImportResult> {
    let count = rows.len() as u64;
    let message = pb::ImportUsersRequest {
        header: Some(header(acme, command)),
        rows,
    };
    let (answers, refusal) = send(&acme.admin, vec![message]).await;
    assert_eq!(refusal, None);
    let last = answers.last().unwrap();
    assert!(last.finished && last.results.is_empty(), "{last:?}");
    assert_eq!((last.rows, last.created + last.refused), (count, count));
    let results: Vec<_> = answers
        .into_iter()
        .flat_map(|answer| answer.results)
        .collect();
    let numbers: Vec<u64> = results.iter().map(|result| result.number).collect();
    assert_eq!(numbers, (1..=count).collect::<Vec<_>>());
    results
}

fn created(result: &pb::ImportResult) -> &pb::ImportedUser {
    match &result.outcome {
        Some(pb::import_result::Outcome::Created(created)) => created,
        other => panic!("not created: {other:?}"),
    }
}

fn refused(result: &pb::ImportResult) -> &pb::ImportRefusal {
    match &result.outcome {
        Some(pb::import_result::Outcome::Refused(refused)) => refused,
        other => panic!("not refused: {other:?}"),
    }
}

fn reasons(results: &[pb::ImportResult]) -> Vec<&str> {
    results
        .iter()
        .map(|result| match &result.outcome {
            Some(pb::import_result::Outcome::Refused(refused)) => refused.reason.as_str(),
            Some(pb::import_result::Outcome::Created(_)) => "",
            None => panic!("nothing became of it"),
        })
        .collect()
}

async fn r57_rows_are_answered_in_their_order_and_a_bad_one_fails_alone(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let head = directory.head().await;
    let malformed = pb::NewUser {
        email: "nobody".to_owned(),
        phone: "call me".to_owned(),
        companies: vec![link("x")],
        ..person("BAD")
    };
    let unknown_role = pb::NewUser {
        roles: vec!["pilot".to_owned()],
        ..person("PIL")
    };
    let same_address = pb::NewUser {
        email: "anna@example.com".to_owned(),
        ..person("ANN2")
    };
    let mut rows: Vec<_> = [
        person("ANNA"),
        malformed,
        person("anna"),
        unknown_role,
        same_address,
        person("BERT"),
    ]
    .map(row)
    .into();
    "the-second".clone_into(&mut rows[1].key);
    let results = import(&acme, pb::CommandOptions::default(), rows).await;
    assert_eq!(
        reasons(&results),
        [
            "",
            "MALFORMED",
            "SIGNATURE_TAKEN",
            "ROLE_NOT_FOUND",
            "EMAIL_TAKEN",
            ""
        ]
    );
    assert_eq!(results[1].key, "the-second");
    let fields: Vec<&str> = refused(&results[1])
        .fields
        .iter()
        .map(|bad| bad.field.as_str())
        .collect();
    assert_eq!(
        fields,
        ["user.email", "user.phone", "user.companies[0].company_id"]
    );
    assert_eq!(directory.head().await, head + 2);
    assert_eq!(acme.signatures().await, ["ADM", "ANNA", "BERT"]);
    let bert = created(&results[5]);
    assert_eq!(acme.get(&bert.user_id).await.revision, bert.revision);
    let mut positions = [created(&results[0]), bert].map(|created| created.position);
    positions.sort_unstable();
    assert_eq!(positions, [head + 1, head + 2]);
}

async fn r57_a_supervisor_is_named_by_signature_and_may_stand_in_a_row_before(
    directory: &Directory,
) {
    let acme = Tenant::create(directory, "acme").await;
    let boss = acme.clerk("BOSS").await;
    let under = |signature: &str, supervisor: &str, companies: &[&String]| pb::ImportRow {
        user: Some(pb::NewUser {
            companies: companies.iter().map(|id| link(id)).collect(),
            ..person(signature)
        }),
        supervisors: vec![pb::ImportSupervisor {
            company_id: String::new(),
            signature: supervisor.to_owned(),
        }],
        ..pb::ImportRow::default()
    };
    let [alpha, beta] = [&acme.companies[0], &acme.companies[1]];
    let rows = vec![
        under("ANNA", "boss", &[alpha, beta]),
        under("BERT", "Anna", &[alpha]),
        under("CARL", "CARL", &[alpha]),
        under("DORA", "NOBODY", &[alpha]),
        under("EMIL", "BERT", &[beta]),
        under("GUST", "ANNA", &[alpha]),
    ];
    let results = import(&acme, pb::CommandOptions::default(), rows).await;
    assert_eq!(
        reasons(&results),
        ["", "", "", "SUPERVISOR_UNFIT", "SUPERVISOR_UNFIT", ""]
    );
    assert_eq!(
        refused(&results[3]).violations[0].r#type,
        "SUPERVISOR_NOT_FOUND"
    );
    assert_eq!(
        refused(&results[4]).violations[0].r#type,
        "SUPERVISOR_NOT_LINKED"
    );
    let supervisors = async |index: usize| -> Vec<String> {
        let user = acme.get(&created(&results[index]).user_id).await;
        let links = user.companies.into_iter();
        links.map(|link| link.supervisor_id).collect()
    };
    let anna = &created(&results[0]).user_id;
    assert_eq!(supervisors(0).await, [&*boss.user_id, &*boss.user_id]);
    assert_eq!(supervisors(1).await, [anna.as_str()]);
    assert_eq!(
        supervisors(2).await,
        [created(&results[2]).user_id.as_str()]
    );
    assert_eq!(supervisors(5).await, [anna.as_str()]);
}

async fn r57_a_row_never_finds_its_supervisor_in_a_row_behind_it(directory: &Directory) {
    const PAIRS: usize = 40;
    let acme = Tenant::create(directory, "acme").await;
    let alpha = &acme.companies[0];
    let rows: Vec<_> = (0..PAIRS)
        .flat_map(|number| {
            let early = pb::ImportRow {
                supervisors: vec![pb::ImportSupervisor {
                    company_id: String::new(),
                    signature: format!("late{number}"),
                }],
                ..row(pb::NewUser {
                    companies: vec![link(alpha)],
                    ..person(&format!("EARLY{number}"))
                })
            };
            let late = pb::NewUser {
                companies: vec![link(alpha)],
                ..person(&format!("LATE{number}"))
            };
            [early, row(late)]
        })
        .collect();
    let rehearse = pb::CommandOptions {
        validate_only: true,
        ..pb::CommandOptions::default()
    };
    for options in [rehearse, pb::CommandOptions::default()] {
        let results = import(&acme, options, rows.clone()).await;
        assert_eq!(reasons(&results), ["SUPERVISOR_UNFIT", ""].repeat(PAIRS));
        for early in results.iter().step_by(2) {
            let violation = &refused(early).violations[0].r#type;
            assert_eq!(violation, "SUPERVISOR_NOT_FOUND");
        }
    }
}

async fn r57_an_import_sent_again_answers_the_same_and_commits_nothing_twice(
    directory: &Directory,
) {
    let acme = Tenant::create(directory, "acme").await;
    let command = pb::CommandOptions {
        request_id: Uuid::now_v7().to_string(),
        reason: "they move in".to_owned(),
        ..pb::CommandOptions::default()
    };
    let wrong = pb::NewUser {
        email: "nobody".to_owned(),
        ..person("BERT")
    };
    let welcome = pb::NewUser {
        welcome: true,
        ..person("DORA")
    };
    let mut rows: Vec<_> = [person("ANNA"), wrong, person("CARL"), welcome]
        .map(row)
        .into();
    "carl".clone_into(&mut rows[2].key);
    let first = import(&acme, command.clone(), rows.clone()).await;
    assert_eq!(reasons(&first), ["", "MALFORMED", "", ""]);
    let head = directory.head().await;
    assert_eq!(import(&acme, command.clone(), rows.clone()).await, first);
    assert_eq!(directory.head().await, head);

    // What was refused is decided anew, what has a key is known by it wherever it stands, and no id is used twice.
    rows[1] = row(person("BERT"));
    rows[0] = row(person("ANNE"));
    rows.push(rows[2].clone());
    rows.push(pb::ImportRow {
        key: "carl".to_owned(),
        ..row(person("KARL"))
    });
    let again = import(&acme, command, rows).await;
    assert_eq!(
        reasons(&again),
        ["REQUEST_ID_REUSED", "", "", "", "", "REQUEST_ID_REUSED"]
    );
    assert_eq!(created(&again[2]), created(&first[2]));
    assert_eq!(created(&again[3]), created(&first[3]));
    assert!(!created(&again[3]).welcome_token.is_empty());
    assert_eq!(created(&again[4]), created(&first[2]));
    assert_eq!(directory.head().await, head + 1);
    assert_eq!(
        acme.signatures().await,
        ["ADM", "ANNA", "BERT", "CARL", "DORA"]
    );
}

async fn r57_a_rehearsal_commits_nothing_and_minds_the_rows_before(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let head = directory.head().await;
    let alpha = acme.companies[0].clone();
    let under = |signature: &str, supervisor: &str| pb::ImportRow {
        user: Some(pb::NewUser {
            companies: vec![link(&alpha)],
            ..person(signature)
        }),
        supervisors: vec![pb::ImportSupervisor {
            company_id: alpha.clone(),
            signature: supervisor.to_owned(),
        }],
        ..pb::ImportRow::default()
    };
    let inactive = pb::NewUser {
        active: Some(false),
        companies: vec![link(&alpha)],
        ..person("IDLE")
    };
    let same_address = pb::NewUser {
        email: "ANNA@example.com".to_owned(),
        ..person("ANN2")
    };
    let rows = || {
        vec![
            under("ANNA", "ANNA"),
            under("BERT", "ANNA"),
            row(inactive.clone()),
            under("CARL", "IDLE"),
            under("bert", "ANNA"),
            row(same_address.clone()),
            row(person("DORA")),
            under("EMIL", "DORA"),
            under("FAYE", "NOBODY"),
        ]
    };
    let expected = [
        "",
        "",
        "",
        "SUPERVISOR_UNFIT",
        "SIGNATURE_TAKEN",
        "EMAIL_TAKEN",
        "",
        "SUPERVISOR_UNFIT",
        "SUPERVISOR_UNFIT",
    ];
    let rehearsal = pb::CommandOptions {
        validate_only: true,
        ..pb::CommandOptions::default()
    };
    let results = import(&acme, rehearsal, rows()).await;
    assert_eq!(reasons(&results), expected);
    assert_eq!(created(&results[0]).position, 0);
    assert_eq!(directory.head().await, head, "a rehearsal committed");
    let results = import(&acme, pb::CommandOptions::default(), rows()).await;
    assert_eq!(reasons(&results), expected);
}

async fn r57_results_come_while_rows_are_still_to_be_sent(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let (messages, requests) = mpsc::channel(1);
    messages.send(first(&acme, Vec::new())).await.unwrap();
    let mut answers = acme
        .admin
        .users()
        .import_users(ReceiverStream::new(requests))
        .await
        .answer();
    for number in 1..=3 {
        let message = pb::ImportUsersRequest {
            header: None,
            rows: vec![row(person(&format!("U{number}")))],
        };
        messages.send(message).await.unwrap();
        let answer = answers.message().await.unwrap().unwrap();
        assert_eq!((answer.rows, answer.finished), (number, false));
        assert_eq!(answer.results.len(), 1);
    }
    drop(messages);
    let last = answers.message().await.unwrap().unwrap();
    assert!(last.finished && last.created == 3, "{last:?}");
    assert_eq!(answers.message().await.unwrap(), None);
}

async fn r57_more_rows_than_are_under_way_at_a_time_are_imported(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let mut messages = vec![first(&acme, Vec::new())];
    for chunk in 0..6 {
        let rows = (0..200).map(|number| row(person(&format!("U{}", chunk * 200 + number))));
        messages.push(pb::ImportUsersRequest {
            header: None,
            rows: rows.collect(),
        });
    }
    let (answers, refusal) = send(&acme.admin, messages).await;
    assert_eq!(refusal, None);
    let last = answers.last().unwrap();
    assert_eq!((last.rows, last.created, last.refused), (1200, 1200, 0));
    let listed = ask!(
        acme,
        ListUsersRequest {
            include_total: true
        }
    );
    let listed = acme.admin.users().list_users(listed).await.answer();
    assert_eq!(listed.total, Some(1201));
}

async fn r57_an_import_that_contradicts_itself_is_ended(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let again = first(&acme, vec![row(person("BERT"))]);
    let (answers, refusal) = send(
        &acme.admin,
        vec![first(&acme, vec![row(person("ANNA"))]), again],
    )
    .await;
    assert_eq!(answers[0].created, 1, "what came before is answered");
    refusal
        .unwrap()
        .is(Code::InvalidArgument, "MALFORMED")
        .names(&["header"]);
    let many = vec![row(person("MANY")); 1001];
    let (_, refusal) = send(&acme.admin, vec![first(&acme, many)]).await;
    refusal
        .unwrap()
        .is(Code::InvalidArgument, "MALFORMED")
        .names(&["rows"]);
    let nobody = pb::ImportUsersRequest::default();
    let (_, refusal) = send(&acme.admin, vec![nobody]).await;
    refusal
        .unwrap()
        .is(Code::InvalidArgument, "MALFORMED")
        .names(&["header"]);
    let (_, refusal) = send(&acme.admin, Vec::new()).await;
    refusal
        .unwrap()
        .is(Code::InvalidArgument, "MALFORMED")
        .names(&["header"]);
    assert_eq!(acme.signatures().await, ["ADM", "ANNA"]);
}

async fn r25_an_import_ends_when_its_administrator_may_act_no_more(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let second = acme.create_user(administrator("ADM2")).await;
    let other = acme.administrator_caller(directory, &second.user_id);
    let (messages, requests) = mpsc::channel(1);
    messages
        .send(first(&acme, vec![row(person("ANNA"))]))
        .await
        .unwrap();
    let mut answers = other
        .users()
        .import_users(ReceiverStream::new(requests))
        .await
        .answer();
    assert_eq!(answers.message().await.unwrap().unwrap().created, 1);
    acme.admin
        .users()
        .lock_user(ask!(
            acme,
            LockUserRequest {
                user_id: &second.user_id
            }
        ))
        .await
        .answer();
    let message = pb::ImportUsersRequest {
        header: None,
        rows: vec![row(person("BERT"))],
    };
    messages.send(message).await.unwrap();
    let status = answers.message().await.unwrap_err();
    Refusal::of(&status).is(Code::PermissionDenied, "NOT_ADMINISTRATOR");
    assert_eq!(acme.signatures().await, ["ADM", "ADM2", "ANNA"]);
}

async fn r2_imported_passwords_are_asked_for_where_the_account_keeps_them(directory: &Directory) {
    let acme = Tenant::with_passwords(directory, "acme").await;
    let with_password = pb::NewUser {
        password: PASSWORD.to_owned(),
        ..person("ANNA")
    };
    let welcome = pb::NewUser {
        welcome: true,
        ..person("CARL")
    };
    let rows = [with_password, person("BERT"), welcome].map(row).into();
    let results = import(&acme, pb::CommandOptions::default(), rows).await;
    assert_eq!(reasons(&results), ["", "PASSWORD_MISSING", ""]);
    assert_eq!(refused(&results[1]).fields[0].field, "user.password");
    assert!(!created(&results[2]).welcome_token.is_empty());
}
