//! Routing: who takes care of what in a company, and why.

use prost_types::FieldMask;
use rollbook_tests::people::{allegiance, link, person, report_to};
use rollbook_tests::{Answer as _, Code, Directory, Tenant, ask, pb, stories};

stories! {
    r34_the_coding_defaults_of_a_user_are_its_coding_allegiances_in_the_company,
    r35_reviewers_are_those_with_a_matching_coding_allegiance_and_r38_it_is_told_which,
    r35_nobody_who_is_inactive_or_not_shown_is_proposed_and_r38_it_is_told_how_many_were_passed_over,
    r36_addressees_are_those_with_a_matching_routing_allegiance_while_arrival_registration_is_off,
    r37_the_approver_is_the_nearest_supervisor_who_can_be_proposed_and_r38_who_was_passed_over_is_told,
    r37_a_circle_of_supervisors_has_no_approver,
    r38_a_page_token_of_another_question_is_refused,
}

/// A user of Alpha who is shown as an addressee there, and stands for these.
async fn staff(
    acme: &Tenant,
    signature: &str,
    coding: &[pb::Allegiance],
    routing: &[pb::Allegiance],
) -> String {
    let here = pb::UserCompany {
        show_as_addressee: true,
        coding_allegiances: coding.to_vec(),
        routing_allegiances: routing.to_vec(),
        ..link(&acme.companies[0])
    };
    let user = pb::NewUser {
        companies: vec![here],
        ..person(signature)
    };
    acme.create_user(user).await.user_id
}

fn department(value: &str) -> pb::Allegiance {
    allegiance("Department", value)
}

async fn set(acme: &Tenant, user_id: &str, company: pb::UserCompany, path: &str) {
    let request = ask!(
        acme,
        UpdateUserCompanyRequest {
            user_id,
            company,
            update_mask: FieldMask {
                paths: vec![path.to_owned()]
            },
        }
    );
    acme.admin
        .users()
        .update_user_company(request)
        .await
        .answer();
}

async fn reviewers(
    acme: &Tenant,
    allegiances: &[pb::Allegiance],
) -> (Vec<(String, Vec<pb::Allegiance>)>, u64) {
    let request = ask!(
        acme,
        ProposeReviewersRequest {
            company_id: &acme.companies[0],
            allegiances: allegiances.to_vec()
        }
    );
    let answer = acme.service.routing().propose_reviewers(request).await;
    let answer = answer.answer();
    let named = |proposal: pb::Proposal| (proposal.user.unwrap().signature, proposal.matched);
    let named = answer.reviewers.into_iter().map(named).collect();
    (named, answer.passed_over)
}

async fn r34_the_coding_defaults_of_a_user_are_its_coding_allegiances_in_the_company(
    directory: &Directory,
) {
    let acme = Tenant::create(directory, "acme").await;
    let coding = [allegiance("Cost center", "7"), department("14")];
    let anna = staff(&acme, "ANNA", &coding, &[department("99")]).await;
    let defaults = async |user_id: &str, company: usize| {
        let request = ask!(
            acme,
            GetCodingDefaultsRequest {
                user_id,
                company_id: &acme.companies[company]
            }
        );
        acme.service.routing().get_coding_defaults(request).await
    };
    assert_eq!(defaults(&anna, 0).await.answer().allegiances, coding);
    // What it stands for holds whether or not it is active; a change is seen by the next question.
    let request = ask!(acme, DeactivateUserRequest { user_id: &anna });
    acme.admin.users().deactivate_user(request).await.answer();
    let changed = pb::UserCompany {
        coding_allegiances: vec![department("15")],
        ..link(&acme.companies[0])
    };
    set(&acme, &anna, changed, "coding_allegiances").await;
    assert_eq!(
        defaults(&anna, 0).await.answer().allegiances,
        [department("15")]
    );
    defaults(&anna, 1)
        .await
        .refusal()
        .is(Code::FailedPrecondition, "COMPANY_NOT_LINKED");
    defaults(&uuid::Uuid::now_v7().to_string(), 0)
        .await
        .refusal()
        .is(Code::NotFound, "USER_NOT_FOUND");
}

async fn r35_reviewers_are_those_with_a_matching_coding_allegiance_and_r38_it_is_told_which(
    directory: &Directory,
) {
    let acme = Tenant::create(directory, "acme").await;
    let project = allegiance("Project", "P-7");
    let both = [department("14"), project.clone()];
    staff(&acme, "ANNA", &both, &[]).await;
    staff(&acme, "BERT", &[department("14")], &[]).await;
    staff(&acme, "CLEO", &[department("15")], &[department("14")]).await;
    let dora = staff(&acme, "DORA", &[allegiance("department", "14")], &[]).await;
    let (found, _) = reviewers(&acme, &[department("14")]).await;
    let why = vec![department("14")];
    let expected = [("ANNA".to_owned(), why.clone()), ("BERT".to_owned(), why)];
    assert_eq!(found, expected);
    let asked = [project.clone(), department("15"), department("14")];
    let (found, _) = reviewers(&acme, &asked).await;
    let expected = [
        ("ANNA".to_owned(), vec![department("14"), project.clone()]),
        ("BERT".to_owned(), vec![department("14")]),
        ("CLEO".to_owned(), vec![department("15")]),
    ];
    assert_eq!(found, expected);
    assert_eq!(reviewers(&acme, &[department("16")]).await, (vec![], 0));

    // Page by page, each once.
    let mut request = ask!(
        acme,
        ProposeReviewersRequest {
            company_id: &acme.companies[0],
            allegiances: asked.to_vec(),
            page_size: 1_u32
        }
    );
    let mut paged = Vec::new();
    loop {
        let mut routing = acme.service.routing();
        let page = routing.propose_reviewers(request.clone()).await.answer();
        paged.extend(
            page.reviewers
                .into_iter()
                .map(|one| one.user.unwrap().signature),
        );
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    assert_eq!(paged, ["ANNA", "BERT", "CLEO"]);

    // What is set, left or deleted is seen at once.
    let now = pb::UserCompany {
        coding_allegiances: vec![project.clone()],
        ..link(&acme.companies[0])
    };
    set(&acme, &dora, now, "coding_allegiances").await;
    let names = async || {
        let (found, _) = reviewers(&acme, std::slice::from_ref(&project)).await;
        found.into_iter().map(|(name, _)| name).collect::<Vec<_>>()
    };
    assert_eq!(names().await, ["ANNA", "DORA"]);
    let company_ids = vec![acme.companies[0].clone()];
    let request = ask!(
        acme,
        RemoveUserCompaniesRequest {
            user_id: &dora,
            company_ids
        }
    );
    acme.admin
        .users()
        .remove_user_companies(request)
        .await
        .answer();
    assert_eq!(names().await, ["ANNA"]);

    let unknown = ask!(
        acme,
        ProposeReviewersRequest {
            company_id: uuid::Uuid::now_v7().to_string(),
            allegiances: asked.to_vec()
        }
    );
    acme.service
        .routing()
        .propose_reviewers(unknown)
        .await
        .refusal()
        .is(Code::NotFound, "COMPANY_NOT_FOUND");
    let nothing = ask!(
        acme,
        ProposeReviewersRequest {
            company_id: &acme.companies[0]
        }
    );
    acme.service
        .routing()
        .propose_reviewers(nothing)
        .await
        .refusal()
        .is(Code::InvalidArgument, "MALFORMED")
        .names(&["allegiances"]);
}

async fn r35_nobody_who_is_inactive_or_not_shown_is_proposed_and_r38_it_is_told_how_many_were_passed_over(
    directory: &Directory,
) {
    let acme = Tenant::create(directory, "acme").await;
    let wanted = [department("14"), department("15")];
    let anna = staff(&acme, "ANNA", &wanted, &[]).await;
    let bert = staff(&acme, "BERT", &wanted[..1], &[]).await;
    let names = async || {
        let (found, passed_over) = reviewers(&acme, &wanted).await;
        let found = found.into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        (found.join(" "), passed_over)
    };
    assert_eq!(names().await, ("ANNA BERT".to_owned(), 0));
    let request = ask!(acme, DeactivateUserRequest { user_id: &anna });
    acme.admin.users().deactivate_user(request).await.answer();
    assert_eq!(names().await, ("BERT".to_owned(), 0));
    set(&acme, &bert, link(&acme.companies[0]), "show_as_addressee").await;
    assert_eq!(names().await, (String::new(), 2));
    let request = ask!(acme, ActivateUserRequest { user_id: &anna });
    acme.admin.users().activate_user(request).await.answer();
    assert_eq!(names().await, ("ANNA".to_owned(), 0));
    let request = ask!(acme, DeleteUserRequest { user_id: &anna });
    acme.admin.users().delete_user(request).await.answer();
    assert_eq!(names().await, (String::new(), 1));
}

async fn r36_addressees_are_those_with_a_matching_routing_allegiance_while_arrival_registration_is_off(
    directory: &Directory,
) {
    let acme = Tenant::create(directory, "acme").await;
    staff(&acme, "ANNA", &[], &[department("14"), department("15")]).await;
    staff(&acme, "BERT", &[], &[department("14")]).await;
    staff(&acme, "CLEO", &[department("14")], &[]).await;
    let list = async || {
        let request = ask!(
            acme,
            ListAddresseesRequest {
                company_id: &acme.companies[0],
                allegiances: vec![department("14")]
            }
        );
        acme.service.routing().list_addressees(request).await
    };
    let found = list().await.answer();
    let names: Vec<_> = found
        .addressees
        .iter()
        .map(|one| one.user.as_ref().unwrap().signature.as_str())
        .collect();
    assert_eq!(names, ["ANNA", "BERT"]);
    assert_eq!(found.addressees[0].matched, [department("14")]);
    let registering = async |arrival_registration: bool| {
        let request = ask!(
            acme,
            UpdateAccountSettingsRequest {
                settings: pb::AccountSettings {
                    arrival_registration,
                    ..Default::default()
                },
                update_mask: FieldMask {
                    paths: vec!["settings.arrival_registration".to_owned()]
                },
            }
        );
        let mut accounts = acme.admin.accounts();
        accounts.update_account_settings(request).await.answer();
    };
    registering(true).await;
    list()
        .await
        .refusal()
        .is(Code::FailedPrecondition, "ARRIVAL_REGISTRATION_ON");
    let (still, _) = reviewers(&acme, &[department("14")]).await;
    assert_eq!(still.len(), 1, "reviewers are proposed all the same");
    registering(false).await;
    assert_eq!(list().await.answer(), found);
}

/// ANNA above BERT above CLEO above DORA in Alpha, all shown as addressees.
async fn ladder(acme: &Tenant) -> [String; 4] {
    let mut ids: Vec<String> = Vec::new();
    for signature in ["ANNA", "BERT", "CLEO", "DORA"] {
        let id = staff(acme, signature, &[], &[]).await;
        if let Some(above) = ids.last() {
            let below = report_to(&acme.companies[0], above);
            set(acme, &id, below, "supervisor_id").await;
        }
        ids.push(id);
    }
    ids.try_into().unwrap()
}

async fn approver(acme: &Tenant, user_id: &str) -> pb::ProposeApproverResponse {
    let company_id = &acme.companies[0];
    let request = ask!(
        acme,
        ProposeApproverRequest {
            user_id,
            company_id
        }
    );
    acme.service
        .routing()
        .propose_approver(request)
        .await
        .answer()
}

fn over(user_id: &str, reason: pb::UnfitReason) -> pb::PassedOver {
    pb::PassedOver {
        user_id: user_id.to_owned(),
        reason: reason.into(),
    }
}

async fn r37_the_approver_is_the_nearest_supervisor_who_can_be_proposed_and_r38_who_was_passed_over_is_told(
    directory: &Directory,
) {
    let acme = Tenant::create(directory, "acme").await;
    let [anna, bert, cleo, dora] = ladder(&acme).await;
    let nearest = approver(&acme, &dora).await;
    assert_eq!(nearest.approver, Some(acme.get(&cleo).await));
    assert!(nearest.passed_over.is_empty());
    assert_eq!(nearest.end(), pb::SupervisorChainEnd::Unspecified);

    let request = ask!(acme, DeactivateUserRequest { user_id: &cleo });
    acme.admin.users().deactivate_user(request).await.answer();
    set(&acme, &bert, link(&acme.companies[0]), "show_as_addressee").await;
    let further = approver(&acme, &dora).await;
    assert_eq!(further.approver.unwrap().user_id, anna);
    let passed = [
        over(&cleo, pb::UnfitReason::Inactive),
        over(&bert, pb::UnfitReason::NotShown),
    ];
    assert_eq!(further.passed_over, passed);

    // Nobody approves for itself, and whoever has nobody above has no approver.
    let top = approver(&acme, &anna).await;
    assert_eq!((top.approver.as_ref(), top.passed_over.len()), (None, 0));
    assert_eq!(top.end(), pb::SupervisorChainEnd::Top);
    set(&acme, &anna, link(&acme.companies[0]), "show_as_addressee").await;
    let none = approver(&acme, &dora).await;
    assert_eq!((none.approver.as_ref(), none.passed_over.len()), (None, 3));
    assert_eq!(none.end(), pb::SupervisorChainEnd::Top);

    let request = ask!(
        acme,
        ProposeApproverRequest {
            user_id: &dora,
            company_id: &acme.companies[1]
        }
    );
    acme.service
        .routing()
        .propose_approver(request)
        .await
        .refusal()
        .is(Code::FailedPrecondition, "COMPANY_NOT_LINKED");
    let other = Tenant::create(directory, "other").await;
    let request = ask!(
        other,
        ProposeApproverRequest {
            user_id: &dora,
            company_id: &acme.companies[0]
        }
    );
    other
        .service
        .routing()
        .propose_approver(request)
        .await
        .refusal()
        .is(Code::NotFound, "USER_NOT_FOUND");
}

async fn r37_a_circle_of_supervisors_has_no_approver(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let [anna, bert, cleo, dora] = ladder(&acme).await;
    let below = report_to(&acme.companies[0], &cleo);
    set(&acme, &anna, below, "supervisor_id").await;
    assert_eq!(approver(&acme, &anna).await.approver.unwrap().user_id, cleo);
    for user_id in [&anna, &bert, &cleo] {
        let hidden = link(&acme.companies[0]);
        set(&acme, user_id, hidden, "show_as_addressee").await;
    }
    let none = approver(&acme, &dora).await;
    assert_eq!(none.end(), pb::SupervisorChainEnd::Cycle);
    let hidden = [&cleo, &bert, &anna].map(|id| over(id, pb::UnfitReason::NotShown));
    assert_eq!((none.approver, none.passed_over), (None, hidden.to_vec()));
}

async fn r38_a_page_token_of_another_question_is_refused(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let department = [department("14")];
    for signature in ["ANNA", "BERT"] {
        staff(&acme, signature, &department, &department).await;
    }
    let company_id = &acme.companies[0];
    let request = ask!(
        acme,
        ProposeReviewersRequest {
            company_id,
            allegiances: department.to_vec(),
            page_size: 1_u32
        }
    );
    let mut routing = acme.service.routing();
    let token = routing.propose_reviewers(request.clone()).await.answer();
    let page_token = token.next_page_token;
    let another = pb::ProposeReviewersRequest {
        page_token: page_token.clone(),
        allegiances: vec![allegiance("Department", "15")],
        ..request
    };
    routing
        .propose_reviewers(another)
        .await
        .refusal()
        .is(Code::InvalidArgument, "PAGE_TOKEN_INVALID");
    let addressees = ask!(
        acme,
        ListAddresseesRequest {
            company_id,
            allegiances: department.to_vec(),
            page_token
        }
    );
    routing
        .list_addressees(addressees)
        .await
        .refusal()
        .is(Code::InvalidArgument, "PAGE_TOKEN_INVALID");
}
