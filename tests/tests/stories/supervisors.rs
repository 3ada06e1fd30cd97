//! Who has whom as supervisor: the reports below a user, and the chain above it.

use prost_types::FieldMask;
use rollbook_tests::people::{link, person, report_to};
use rollbook_tests::{Answer as _, Code, Directory, Tenant, ask, pb, stories};

stories! {
    r55_reports_are_listed_in_a_company_or_in_all_page_by_page,
    r55_the_chain_above_a_user_ends_at_the_top,
    r55_a_circle_of_supervisors_is_told_and_hangs_nothing,
    r55_only_users_of_the_account_have_reports_and_chains,
}

/// The team of a company: ANNA at the top, BERT below her, CLEO and DORA below him, each also alone in Beta.
async fn team(acme: &Tenant) -> [String; 4] {
    let mut ids: Vec<String> = Vec::new();
    for (signature, above) in [
        ("ANNA", None),
        ("BERT", Some(0)),
        ("CLEO", Some(1)),
        ("DORA", Some(1)),
    ] {
        let here = above.map_or_else(
            || link(&acme.companies[0]),
            |above: usize| report_to(&acme.companies[0], &ids[above]),
        );
        let user = pb::NewUser {
            companies: vec![here, link(&acme.companies[1])],
            ..person(signature)
        };
        ids.push(acme.create_user(user).await.user_id);
    }
    ids.try_into().unwrap()
}

async fn reports(acme: &Tenant, request: pb::ListReportsRequest) -> pb::ListReportsResponse {
    acme.service.users().list_reports(request).await.answer()
}

async fn set_supervisor(acme: &Tenant, user_id: &str, supervisor_id: &str) {
    let request = ask!(
        acme,
        UpdateUserCompanyRequest {
            user_id,
            company: report_to(&acme.companies[0], supervisor_id),
            update_mask: FieldMask {
                paths: vec!["supervisor_id".to_owned()]
            },
        }
    );
    acme.admin
        .users()
        .update_user_company(request)
        .await
        .answer();
}

async fn chain(acme: &Tenant, user_id: &str) -> pb::GetSupervisorChainResponse {
    let company_id = &acme.companies[0];
    let request = ask!(
        acme,
        GetSupervisorChainRequest {
            user_id,
            company_id
        }
    );
    acme.service
        .users()
        .get_supervisor_chain(request)
        .await
        .answer()
}

async fn r55_reports_are_listed_in_a_company_or_in_all_page_by_page(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let [anna, bert, cleo, dora] = team(&acme).await;
    let eric = pb::NewUser {
        companies: vec![report_to(&acme.companies[1], &bert)],
        ..person("ERIC")
    };
    let eric = acme.create_user(eric).await.user_id;
    let below = |user_id: &str, company_id: &str| {
        ask!(
            acme,
            ListReportsRequest {
                user_id,
                company_id,
                include_total: true
            }
        )
    };
    let report = |user_id: &String, company: usize| pb::Report {
        user_id: user_id.clone(),
        company_id: acme.companies[company].clone(),
    };
    let here = reports(&acme, below(&bert, &acme.companies[0])).await;
    assert_eq!(here.reports, [report(&cleo, 0), report(&dora, 0)]);
    assert_eq!((here.total, here.next_page_token.as_str()), (Some(2), ""));

    let mut request = pb::ListReportsRequest {
        page_size: 1,
        ..below(&bert, "")
    };
    let mut everywhere = Vec::new();
    loop {
        let page = reports(&acme, request.clone()).await;
        assert_eq!((page.reports.len(), page.total), (1, Some(3)));
        everywhere.extend(page.reports);
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    let mut expected = [report(&cleo, 0), report(&dora, 0), report(&eric, 1)];
    expected.sort_by(|a, b| (&a.company_id, &a.user_id).cmp(&(&b.company_id, &b.user_id)));
    assert_eq!(everywhere, expected);

    // A new report is there as soon as the command has answered; who is its own supervisor is nobody's.
    set_supervisor(&acme, &dora, &anna).await;
    let now = reports(&acme, below(&anna, "")).await;
    assert_eq!(now.reports, [report(&bert, 0), report(&dora, 0)]);
    assert_eq!(reports(&acme, below(&eric, "")).await.reports, []);

    let foreign = pb::ListReportsRequest {
        page_token: request.page_token,
        ..below(&anna, "")
    };
    acme.service
        .users()
        .list_reports(foreign)
        .await
        .refusal()
        .is(Code::InvalidArgument, "PAGE_TOKEN_INVALID");
}

async fn r55_the_chain_above_a_user_ends_at_the_top(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let [anna, bert, cleo, dora] = team(&acme).await;
    let below = chain(&acme, &cleo).await;
    assert_eq!(below.supervisor_ids, [bert.clone(), anna.clone()]);
    assert_eq!(
        (below.end(), below.met_again_id.as_str()),
        (pb::SupervisorChainEnd::Top, "")
    );
    let top = chain(&acme, &anna).await;
    assert!(top.supervisor_ids.is_empty());
    assert_eq!(top.end(), pb::SupervisorChainEnd::Top);
    // A change is seen by the next question.
    set_supervisor(&acme, &cleo, &dora).await;
    assert_eq!(chain(&acme, &cleo).await.supervisor_ids, [dora, bert, anna]);
}

async fn r55_a_circle_of_supervisors_is_told_and_hangs_nothing(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let [anna, bert, cleo, dora] = team(&acme).await;
    set_supervisor(&acme, &anna, &cleo).await;
    let inside = chain(&acme, &anna).await;
    assert_eq!(inside.supervisor_ids, [cleo.clone(), bert.clone()]);
    assert_eq!(
        (inside.end(), &inside.met_again_id),
        (pb::SupervisorChainEnd::Cycle, &anna)
    );
    let below = chain(&acme, &dora).await;
    assert_eq!(below.supervisor_ids, [bert.clone(), anna, cleo]);
    assert_eq!(
        (below.end(), &below.met_again_id),
        (pb::SupervisorChainEnd::Cycle, &bert)
    );
}

async fn r55_only_users_of_the_account_have_reports_and_chains(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let other = Tenant::create(directory, "other").await;
    let foreign = other.clerk("ANNA").await.user_id;
    let anna = acme.user("ANNA").await.user_id;
    let company_id = &acme.companies[0];
    for user_id in [&foreign, &uuid::Uuid::now_v7().to_string()] {
        let request = ask!(acme, ListReportsRequest { user_id });
        acme.service
            .users()
            .list_reports(request)
            .await
            .refusal()
            .is(Code::NotFound, "USER_NOT_FOUND");
        let request = ask!(
            acme,
            GetSupervisorChainRequest {
                user_id,
                company_id
            }
        );
        acme.service
            .users()
            .get_supervisor_chain(request)
            .await
            .refusal()
            .is(Code::NotFound, "USER_NOT_FOUND");
    }
    let request = ask!(
        acme,
        GetSupervisorChainRequest {
            user_id: &anna,
            company_id
        }
    );
    acme.service
        .users()
        .get_supervisor_chain(request)
        .await
        .refusal()
        .is(Code::FailedPrecondition, "COMPANY_NOT_LINKED");
}
