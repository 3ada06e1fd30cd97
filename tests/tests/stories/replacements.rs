//! One supervisor in the place of another, with everybody who has it.

use std::collections::BTreeSet;

use rollbook_tests::people::{link, person, repeatable, report_to};
use rollbook_tests::{Answer as _, Code, Directory, Tenant, ask, pb, stories};

stories! {
    r33_everybody_who_has_the_supervisor_gets_the_replacement_in_one_commit,
    r33_in_one_company_the_others_stay_as_they_are,
    r33_where_the_replacement_lacks_the_company_all_is_refused_or_those_are_told,
    r33_a_replacement_is_active_and_another_user_of_the_account,
    r33_a_replaced_supervisor_can_go,
    r33_a_thousand_change_at_once,
}

/// A request to replace one by the other.
fn replace(acme: &Tenant, supervisor: &str, replacement: &str) -> pb::ReplaceSupervisorRequest {
    ask!(
        acme,
        ReplaceSupervisorRequest {
            supervisor_id: supervisor,
            replacement_id: replacement,
        }
    )
}

async fn replaced(
    acme: &Tenant,
    request: pb::ReplaceSupervisorRequest,
) -> pb::ReplaceSupervisorResponse {
    acme.admin
        .users()
        .replace_supervisor(request)
        .await
        .answer()
}

/// A user with a supervisor in each of the first companies.
async fn under(acme: &Tenant, signature: &str, supervisors: &[&str]) -> String {
    let companies = acme.companies.iter().zip(supervisors);
    let user = pb::NewUser {
        companies: companies
            .map(|(company, supervisor)| report_to(company, supervisor))
            .collect(),
        ..person(signature)
    };
    acme.create_user(user).await.user_id
}

/// Who supervises a user, in the order of the account's companies.
async fn supervisors(acme: &Tenant, user_id: &str) -> Vec<String> {
    let user = acme.get(user_id).await;
    let of = |company: &String| {
        let link = user
            .companies
            .iter()
            .find(|link| link.company_id == *company);
        link.map(|link| link.supervisor_id.clone())
    };
    acme.companies.iter().filter_map(of).collect()
}

async fn r33_everybody_who_has_the_supervisor_gets_the_replacement_in_one_commit(
    directory: &Directory,
) {
    let acme = Tenant::create(directory, "acme").await;
    let old = acme.clerk("OLD").await.user_id;
    let new = under(&acme, "NEW", &[&old, "", ""]).await;
    let other = acme.clerk("OTHER").await.user_id;
    let anna = under(&acme, "ANNA", &[&old, &old, &other]).await;
    let bert = under(&acme, "BERT", &["", &old]).await;
    let carl = under(&acme, "CARL", &[&other]).await;
    let before = directory.head().await;
    let request = pb::ReplaceSupervisorRequest {
        command: Some(repeatable()),
        ..replace(&acme, &old, &new)
    };
    let answer = replaced(&acme, request.clone()).await;
    assert_eq!(answer.changed_count, 3);
    assert_eq!(answer.not_changed, []);
    assert_eq!(answer.user.as_ref().unwrap().user_id, old);
    assert_eq!(supervisors(&acme, &anna).await, [&*new, &*new, &*other]);
    assert_eq!(supervisors(&acme, &bert).await, [&*bert, &*new]);
    assert_eq!(supervisors(&acme, &carl).await, [&*other]);
    assert_eq!(
        supervisors(&acme, &new).await,
        [&*new, &*new, &*new],
        "who takes the place becomes its own supervisor"
    );
    assert_eq!(
        supervisors(&acme, &old).await,
        [&*old, &*old, &*old],
        "who is its own supervisor stays so"
    );
    let events = directory.events().await;
    let changes: Vec<_> = events
        .iter()
        .filter(|event| event.position > before)
        .collect();
    assert_eq!(changes.len(), 4);
    for event in &changes {
        assert_eq!(event.event_type, "UserSupervisorChanged");
        assert_eq!(event.commit_position, answer.position, "one commit");
    }
    assert_eq!(replaced(&acme, request).await, answer, "a repeat");
    let again = replaced(&acme, replace(&acme, &old, &new)).await;
    assert_eq!(again.changed_count, 0);
    assert_eq!(directory.head().await, answer.position);
}

async fn r33_in_one_company_the_others_stay_as_they_are(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let [old, new] = [
        acme.clerk("OLD").await.user_id,
        acme.clerk("NEW").await.user_id,
    ];
    let anna = under(&acme, "ANNA", &[&old, &old]).await;
    let mut request = replace(&acme, &old, &new);
    request.company_id.clone_from(&acme.companies[1]);
    let answer = replaced(&acme, request.clone()).await;
    assert_eq!(answer.changed_count, 1);
    assert_eq!(supervisors(&acme, &anna).await, [&*old, &*new]);
    request.company_id = uuid::Uuid::now_v7().to_string();
    acme.admin
        .users()
        .replace_supervisor(request)
        .await
        .refusal()
        .is(Code::NotFound, "COMPANY_NOT_FOUND");
}

async fn r33_where_the_replacement_lacks_the_company_all_is_refused_or_those_are_told(
    directory: &Directory,
) {
    let acme = Tenant::create(directory, "acme").await;
    let old = acme.clerk("OLD").await.user_id;
    let new = under(&acme, "NEW", &["", ""]).await;
    let anna = under(&acme, "ANNA", &[&old, &old, &old]).await;
    let bert = under(&acme, "BERT", &["", "", &old]).await;
    let before = directory.head().await;
    let refusal = acme
        .admin
        .users()
        .replace_supervisor(replace(&acme, &old, &new))
        .await
        .refusal()
        .is(Code::FailedPrecondition, "SUPERVISOR_UNFIT");
    assert_eq!(refusal.kinds(), ["SUPERVISOR_NOT_LINKED"]);
    assert_eq!(
        refusal.violations[0].subject,
        format!("{}/{new}", acme.companies[2])
    );
    assert_eq!(directory.head().await, before);
    let leave = pb::ReplaceSupervisorRequest {
        missing_company: pb::MissingCompany::Leave.into(),
        ..replace(&acme, &old, &new)
    };
    let answer = replaced(&acme, leave).await;
    assert_eq!(answer.changed_count, 1);
    let mut kept = vec![anna.clone(), bert.clone()];
    kept.sort();
    let left = pb::UnchangedReports {
        company_id: acme.companies[2].clone(),
        user_ids: kept,
    };
    assert_eq!(answer.not_changed, [left]);
    assert_eq!(supervisors(&acme, &anna).await, [&*new, &*new, &*old]);
    assert_eq!(supervisors(&acme, &bert).await, [&*bert, &*bert, &*old]);
}

async fn r33_a_replacement_is_active_and_another_user_of_the_account(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let other = Tenant::create(directory, "other").await;
    let [old, asleep] = [
        acme.clerk("OLD").await.user_id,
        acme.clerk("ASLEEP").await.user_id,
    ];
    let _anna = under(&acme, "ANNA", &[&old]).await;
    let mut users = acme.admin.users();
    users
        .deactivate_user(ask!(acme, DeactivateUserRequest { user_id: &asleep }))
        .await
        .answer();
    for (replacement, kind) in [
        (&asleep, "SUPERVISOR_INACTIVE"),
        (&other.administrator.user_id, "SUPERVISOR_NOT_FOUND"),
    ] {
        let refusal = users
            .replace_supervisor(replace(&acme, &old, replacement))
            .await
            .refusal()
            .is(Code::FailedPrecondition, "SUPERVISOR_UNFIT");
        assert_eq!(refusal.kinds(), [kind]);
    }
    users
        .replace_supervisor(replace(&acme, &old, &old))
        .await
        .refusal()
        .is(Code::InvalidArgument, "MALFORMED")
        .names(&["replacement_id"]);
    users
        .replace_supervisor(replace(&acme, &other.administrator.user_id, &old))
        .await
        .refusal()
        .is(Code::NotFound, "USER_NOT_FOUND");
}

async fn r33_a_replaced_supervisor_can_go(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let [old, new] = [
        acme.clerk("OLD").await.user_id,
        acme.clerk("NEW").await.user_id,
    ];
    let _anna = under(&acme, "ANNA", &[&old, "", &old]).await;
    let mut users = acme.admin.users();
    let delete = || ask!(acme, DeleteUserRequest { user_id: &old });
    users
        .delete_user(delete())
        .await
        .refusal()
        .is(Code::FailedPrecondition, "USER_STILL_NEEDED");
    replaced(&acme, replace(&acme, &old, &new)).await;
    users.delete_user(delete()).await.answer();
    users
        .replace_supervisor(replace(&acme, &old, &new))
        .await
        .refusal()
        .is(Code::FailedPrecondition, "USER_DELETED");
}

async fn r33_a_thousand_change_at_once(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let [old, new] = [
        acme.clerk("OLD").await.user_id,
        acme.clerk("NEW").await.user_id,
    ];
    let mut reports = Vec::new();
    let company = &acme.companies[0];
    for batch in 0..20 {
        let create = (0..50).map(|number| {
            let user = pb::NewUser {
                companies: vec![report_to(company, &old), link(&acme.companies[1])],
                ..person(&format!("R{batch}-{number}"))
            };
            acme.create_user(user)
        });
        let created = futures::future::join_all(create).await;
        reports.extend(created.into_iter().map(|user| user.user_id));
    }
    let answer = replaced(&acme, replace(&acme, &old, &new)).await;
    assert_eq!(answer.changed_count, 1000);
    let got = acme
        .admin
        .users()
        .batch_get_users(ask!(acme, BatchGetUsersRequest { user_ids: reports }))
        .await
        .answer();
    let supervisors: BTreeSet<_> = got
        .users
        .iter()
        .flat_map(|user| &user.companies)
        .filter(|link| link.company_id == *company)
        .map(|link| link.supervisor_id.as_str())
        .collect();
    assert_eq!(supervisors, BTreeSet::from([new.as_str()]));
    let back = replaced(&acme, replace(&acme, &new, &old)).await;
    assert_eq!(back.changed_count, 1000);
}
