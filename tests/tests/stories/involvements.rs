//! Involvements: what other services report, and who is released by what.

use rollbook_tests::{Answer as _, Code, Directory, Tenant, ask, pb, stories};

use pb::{InvolvementKind as Kind, ReviewKind};

stories! {
    r39_each_report_is_idempotent_by_what_it_is_about,
    r39_a_posted_invoice_releases_every_reviewer_in_one_commit,
    r39_a_review_that_arrives_after_the_settlement_is_recorded_and_does_not_block,
    r39_an_invoice_is_one_of_its_company,
    r40_involvements_are_listed_open_or_all_and_paged,
}

async fn review(
    acme: &Tenant,
    user_id: &str,
    invoice_id: &str,
    kind: ReviewKind,
) -> pb::ReportInvoiceReviewedResponse {
    acme.service
        .involvements()
        .report_invoice_reviewed(ask!(
            acme,
            ReportInvoiceReviewedRequest {
                company_id: &acme.companies[0],
                user_id,
                invoice_id,
                kind,
            }
        ))
        .await
        .answer()
}

async fn post(acme: &Tenant, invoice_id: &str) -> pb::ReportInvoicePostedResponse {
    acme.service
        .involvements()
        .report_invoice_posted(ask!(
            acme,
            ReportInvoicePostedRequest {
                company_id: &acme.companies[0],
                invoice_id,
            }
        ))
        .await
        .answer()
}

async fn involvements(acme: &Tenant, user_id: &str, include_ended: bool) -> Vec<pb::Involvement> {
    acme.service
        .involvements()
        .list_involvements(ask!(
            acme,
            ListInvolvementsRequest {
                user_id,
                include_ended
            }
        ))
        .await
        .answer()
        .involvements
}

async fn reviewers(acme: &Tenant, invoice_id: &str) -> Vec<(String, ReviewKind, bool)> {
    acme.service
        .involvements()
        .list_reviewers(ask!(
            acme,
            ListReviewersRequest {
                company_id: &acme.companies[0],
                invoice_id,
            }
        ))
        .await
        .answer()
        .reviewers
        .into_iter()
        .map(|reviewer| (reviewer.user_id.clone(), reviewer.kind(), reviewer.open))
        .collect()
}

async fn r39_each_report_is_idempotent_by_what_it_is_about(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let anna = acme.clerk("ANNA").await.user_id;
    let (company_id, user_id) = (&acme.companies[0], &anna);
    let mut client = acme.service.involvements();
    for _ in 0..2 {
        client
            .report_invoice_queued(ask!(
                acme,
                ReportInvoiceQueuedRequest {
                    company_id,
                    user_id,
                    invoice_id: "I-1"
                }
            ))
            .await
            .answer();
        client
            .link_flow_template(ask!(
                acme,
                LinkFlowTemplateRequest {
                    company_id,
                    user_id,
                    flow_template_id: "F-1"
                }
            ))
            .await
            .answer();
        client
            .link_reference(ask!(
                acme,
                LinkReferenceRequest {
                    company_id,
                    user_id,
                    reference_id: "R-1"
                }
            ))
            .await
            .answer();
        review(&acme, &anna, "I-1", ReviewKind::Reviewed).await;
        review(&acme, &anna, "I-1", ReviewKind::Attested).await;
    }
    let open: Vec<_> = involvements(&acme, &anna, false)
        .await
        .iter()
        .map(|involvement| {
            (
                involvement.kind(),
                involvement.subject.clone(),
                involvement.open,
            )
        })
        .collect();
    assert_eq!(
        open,
        [
            (Kind::QueuedInvoice, "I-1".to_owned(), true),
            (Kind::FlowTemplate, "F-1".to_owned(), true),
            (Kind::Reference, "R-1".to_owned(), true),
            (Kind::ReviewedInvoice, "I-1".to_owned(), true),
            (Kind::AttestedInvoice, "I-1".to_owned(), true),
        ]
    );
    for _ in 0..2 {
        client
            .report_invoice_dequeued(ask!(
                acme,
                ReportInvoiceDequeuedRequest {
                    company_id,
                    user_id,
                    invoice_id: "I-1"
                }
            ))
            .await
            .answer();
        client
            .unlink_flow_template(ask!(
                acme,
                UnlinkFlowTemplateRequest {
                    company_id,
                    user_id,
                    flow_template_id: "F-1"
                }
            ))
            .await
            .answer();
        client
            .unlink_reference(ask!(
                acme,
                UnlinkReferenceRequest {
                    company_id,
                    user_id,
                    reference_id: "R-1"
                }
            ))
            .await
            .answer();
        client
            .retract_invoice_review(ask!(
                acme,
                RetractInvoiceReviewRequest {
                    company_id,
                    user_id,
                    invoice_id: "I-1",
                    kind: ReviewKind::Reviewed,
                }
            ))
            .await
            .answer();
    }
    let open: Vec<_> = involvements(&acme, &anna, false)
        .await
        .iter()
        .map(pb::Involvement::kind)
        .collect();
    assert_eq!(
        open,
        [Kind::AttestedInvoice],
        "a retracted review leaves the attest"
    );
    assert_eq!(
        acme.event_types(&format!("user-{anna}")).await[2..],
        [
            "InvoiceQueued",
            "FlowTemplateLinked",
            "ReferenceLinked",
            "InvoiceReviewed",
            "InvoiceReviewed",
            "InvoiceDequeued",
            "FlowTemplateUnlinked",
            "ReferenceUnlinked",
            "InvoiceReviewRetracted",
        ],
        "one event for each report that told something new"
    );
}

async fn r39_a_posted_invoice_releases_every_reviewer_in_one_commit(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let mut expected = Vec::new();
    for number in 0..20 {
        let user = acme.clerk(&format!("U{number}")).await.user_id;
        review(&acme, &user, "INV-7", ReviewKind::Reviewed).await;
        expected.push(user);
    }
    let bystander = acme.clerk("BY").await.user_id;
    review(&acme, &bystander, "INV-8", ReviewKind::Reviewed).await;
    let before = directory.head().await;
    let posted = post(&acme, "INV-7").await;
    expected.sort();
    assert_eq!(posted.released_user_ids, expected);
    let new: Vec<_> = directory
        .events()
        .await
        .into_iter()
        .filter(|event| event.position > before)
        .collect();
    assert_eq!(new.len(), 21, "one for the invoice, one for each reviewer");
    assert!(
        new.iter()
            .all(|event| event.commit_position == posted.position)
    );
    assert!(
        reviewers(&acme, "INV-7")
            .await
            .iter()
            .all(|(_, _, open)| !open)
    );
    assert_eq!(
        reviewers(&acme, "INV-8").await,
        [(bystander, ReviewKind::Reviewed, true)]
    );
    let head = directory.head().await;
    post(&acme, "INV-7").await;
    assert_eq!(directory.head().await, head, "a repeat adds no event");
}

async fn r39_a_review_that_arrives_after_the_settlement_is_recorded_and_does_not_block(
    directory: &Directory,
) {
    let acme = Tenant::create(directory, "acme").await;
    let anna = acme.clerk("ANNA").await.user_id;
    assert_eq!(
        post(&acme, "INV-7").await.released_user_ids,
        Vec::<String>::new()
    );
    review(&acme, &anna, "INV-7", ReviewKind::Attested).await;
    assert_eq!(
        reviewers(&acme, "INV-7").await,
        [(anna.clone(), ReviewKind::Attested, false)]
    );
    assert_eq!(involvements(&acme, &anna, false).await, []);
    assert_eq!(involvements(&acme, &anna, true).await.len(), 1);
    acme.admin
        .users()
        .delete_user(ask!(acme, DeleteUserRequest { user_id: &anna }))
        .await
        .answer();
    assert_eq!(
        involvements(&acme, &anna, true).await.len(),
        1,
        "its work is there when the person is gone"
    );
    assert_eq!(
        reviewers(&acme, "INV-7").await,
        [(anna, ReviewKind::Attested, false)]
    );
}

async fn r39_an_invoice_is_one_of_its_company(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let anna = acme.clerk("ANNA").await.user_id;
    review(&acme, &anna, "INV-7", ReviewKind::Reviewed).await;
    acme.service
        .involvements()
        .report_invoice_withdrawn(ask!(
            acme,
            ReportInvoiceWithdrawnRequest {
                company_id: &acme.companies[1],
                invoice_id: "INV-7",
            }
        ))
        .await
        .answer();
    assert_eq!(involvements(&acme, &anna, false).await.len(), 1);
    acme.service
        .involvements()
        .report_invoice_withdrawn(ask!(
            acme,
            ReportInvoiceWithdrawnRequest {
                company_id: &acme.companies[0],
                invoice_id: "INV-7",
            }
        ))
        .await
        .answer();
    assert_eq!(involvements(&acme, &anna, false).await, []);
    acme.service
        .involvements()
        .report_invoice_queued(ask!(
            acme,
            ReportInvoiceQueuedRequest {
                company_id: uuid::Uuid::now_v7().to_string(),
                user_id: &anna,
                invoice_id: "INV-7",
            }
        ))
        .await
        .refusal()
        .is(Code::NotFound, "COMPANY_NOT_FOUND");
}

async fn r40_involvements_are_listed_open_or_all_and_paged(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let anna = acme.clerk("ANNA").await.user_id;
    for number in 0..7 {
        review(&acme, &anna, &format!("INV-{number}"), ReviewKind::Reviewed).await;
    }
    post(&acme, "INV-3").await;
    let mut request = ask!(
        acme,
        ListInvolvementsRequest {
            user_id: &anna,
            include_ended: true,
            page_size: 3_u32
        }
    );
    let mut seen = Vec::new();
    loop {
        let page = acme
            .service
            .involvements()
            .list_involvements(request.clone())
            .await
            .answer();
        seen.extend(page.involvements);
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    let subjects: Vec<_> = seen
        .iter()
        .map(|involvement| involvement.subject.clone())
        .collect();
    assert_eq!(
        subjects,
        (0..7)
            .map(|number| format!("INV-{number}"))
            .collect::<Vec<_>>()
    );
    assert!(
        seen.iter()
            .all(|involvement| involvement.open == involvement.ended_at.is_none())
    );
    assert_eq!(
        seen.iter().filter(|involvement| !involvement.open).count(),
        1
    );
    assert_eq!(involvements(&acme, &anna, false).await.len(), 6);
    request.include_ended = false;
    "x".clone_into(&mut request.page_token);
    acme.service
        .involvements()
        .list_involvements(request)
        .await
        .refusal()
        .is(Code::InvalidArgument, "PAGE_TOKEN_INVALID");
}
