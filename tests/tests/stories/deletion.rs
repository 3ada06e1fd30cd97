//! Deletion: refused with everything that still needs the user, or done for good.

use rollbook_tests::people::report_to;
use rollbook_tests::{Answer as _, Code, Directory, Tenant, ask, pb, stories};

use pb::DeletionBlockerKind as Kind;

stories! {
    r24_every_blocker_is_told_at_once_and_r27_the_check_tells_the_same,
    r24_nobody_deletes_itself_and_the_last_administrator_stays,
    r26_deletion_is_for_good,
    r24_an_involvement_that_ended_does_not_block,
}

async fn delete(
    acme: &Tenant,
    user_id: &str,
) -> Result<pb::DeleteUserResponse, Box<rollbook_tests::Refusal>> {
    acme.admin
        .users()
        .delete_user(ask!(acme, DeleteUserRequest { user_id }))
        .await
        .outcome()
}

async fn blockers(acme: &Tenant, user_id: &str) -> Vec<pb::DeletionBlocker> {
    acme.admin
        .users()
        .check_user_deletion(ask!(acme, CheckUserDeletionRequest { user_id }))
        .await
        .answer()
        .blockers
}

async fn r24_every_blocker_is_told_at_once_and_r27_the_check_tells_the_same(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let (alpha, beta) = (&acme.companies[0], &acme.companies[1]);
    let anna = acme.clerk("ANNA").await.user_id;
    let report = acme
        .create_user(pb::NewUser {
            companies: vec![report_to(beta, &anna)],
            ..rollbook_tests::people::person("BERT")
        })
        .await
        .user_id;
    let services = || acme.service.involvements();
    services()
        .report_invoice_queued(ask!(
            acme,
            ReportInvoiceQueuedRequest {
                company_id: alpha,
                user_id: &anna,
                invoice_id: "INV-1",
            }
        ))
        .await
        .answer();
    services()
        .link_reference(ask!(
            acme,
            LinkReferenceRequest {
                company_id: alpha,
                user_id: &anna,
                reference_id: "REF-2",
            }
        ))
        .await
        .answer();
    services()
        .link_flow_template(ask!(
            acme,
            LinkFlowTemplateRequest {
                company_id: beta,
                user_id: &anna,
                flow_template_id: "FLOW-3",
            }
        ))
        .await
        .answer();
    services()
        .report_invoice_reviewed(ask!(
            acme,
            ReportInvoiceReviewedRequest {
                company_id: beta,
                user_id: &anna,
                invoice_id: "INV-4",
                kind: pb::ReviewKind::Attested,
            }
        ))
        .await
        .answer();

    let expected = [
        (Kind::QueuedInvoice, alpha, "INV-1"),
        (Kind::LinkedReference, alpha, "REF-2"),
        (Kind::LinkedFlowTemplate, beta, "FLOW-3"),
        (Kind::UnsettledInvoice, beta, "INV-4"),
        (Kind::SupervisedUser, beta, report.as_str()),
    ]
    .map(|(kind, company_id, subject)| pb::DeletionBlocker {
        kind: kind.into(),
        company_id: company_id.clone(),
        subject: subject.to_owned(),
        elsewhere: 0,
    });
    let head = directory.head().await;
    assert_eq!(blockers(&acme, &anna).await, expected);
    let refusal = delete(&acme, &anna)
        .await
        .unwrap_err()
        .is(Code::FailedPrecondition, "USER_STILL_NEEDED");
    assert_eq!(refusal.violations.len(), 5, "{refusal:?}");
    for (violation, subject) in refusal
        .violations
        .iter()
        .zip(["INV-1", "REF-2", "FLOW-3", "INV-4", &report])
    {
        assert!(
            format!("{violation:?}").contains(subject),
            "{violation:?} does not name {subject}"
        );
    }
    assert_eq!(directory.head().await, head, "nothing was committed");

    services()
        .report_invoice_dequeued(ask!(
            acme,
            ReportInvoiceDequeuedRequest {
                company_id: alpha,
                user_id: &anna,
                invoice_id: "INV-1",
            }
        ))
        .await
        .answer();
    services()
        .unlink_reference(ask!(
            acme,
            UnlinkReferenceRequest {
                company_id: alpha,
                user_id: &anna,
                reference_id: "REF-2",
            }
        ))
        .await
        .answer();
    services()
        .unlink_flow_template(ask!(
            acme,
            UnlinkFlowTemplateRequest {
                company_id: beta,
                user_id: &anna,
                flow_template_id: "FLOW-3",
            }
        ))
        .await
        .answer();
    services()
        .report_invoice_posted(ask!(
            acme,
            ReportInvoicePostedRequest {
                company_id: beta,
                invoice_id: "INV-4",
            }
        ))
        .await
        .answer();
    acme.admin
        .users()
        .update_user_company(ask!(
            acme,
            UpdateUserCompanyRequest {
                user_id: &report,
                company: report_to(beta, ""),
                update_mask: prost_types::FieldMask {
                    paths: vec!["supervisor_id".to_owned()]
                },
            }
        ))
        .await
        .answer();
    assert_eq!(blockers(&acme, &anna).await, []);
    let deleted = delete(&acme, &anna).await.unwrap().user.unwrap();
    assert_eq!(deleted.status(), pb::UserStatus::Deleted);
}

async fn r24_nobody_deletes_itself_and_the_last_administrator_stays(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let own = acme.administrator.user_id.clone();
    let kinds: Vec<_> = blockers(&acme, &own)
        .await
        .iter()
        .map(pb::DeletionBlocker::kind)
        .collect();
    assert_eq!(kinds, [Kind::OwnUser, Kind::LastAdministrator]);
    let refusal = delete(&acme, &own)
        .await
        .unwrap_err()
        .is(Code::FailedPrecondition, "USER_STILL_NEEDED");
    assert_eq!(refusal.kinds(), ["OWN_USER", "LAST_ADMINISTRATOR"]);
    let (second, other) = acme.another_administrator(directory, "ADM2").await;
    let kinds: Vec<_> = blockers(&acme, &own)
        .await
        .iter()
        .map(pb::DeletionBlocker::kind)
        .collect();
    assert_eq!(kinds, [Kind::OwnUser], "there is another who can act");
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
    let kinds: Vec<_> = blockers(&acme, &own)
        .await
        .iter()
        .map(pb::DeletionBlocker::kind)
        .collect();
    assert_eq!(
        kinds,
        [Kind::OwnUser, Kind::LastAdministrator],
        "who is locked cannot act"
    );
    acme.admin
        .users()
        .unlock_user(ask!(
            acme,
            UnlockUserRequest {
                user_id: &second.user_id
            }
        ))
        .await
        .answer();
    directory.clock.advance(std::time::Duration::from_secs(5));
    other
        .signed_in_again()
        .users()
        .delete_user(ask!(acme, DeleteUserRequest { user_id: &own }))
        .await
        .answer();
}

async fn r26_deletion_is_for_good(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let anna = acme.clerk("ANNA").await;
    let response = delete(&acme, &anna.user_id).await.unwrap();
    let deleted = response.user.unwrap();
    assert_eq!(deleted, acme.get(&anna.user_id).await);
    assert_eq!(
        (deleted.user_id.as_str(), deleted.status()),
        (anna.user_id.as_str(), pb::UserStatus::Deleted)
    );
    assert!(deleted.companies.is_empty() && deleted.roles.is_empty() && !deleted.active);
    for personal in [
        deleted.signature,
        deleted.first_name,
        deleted.last_name,
        deleted.email,
        deleted.user_name,
    ] {
        assert_eq!(personal, "");
    }
    assert_eq!(acme.signatures().await, ["ADM"]);
    let user_id = anna.user_id.as_str();
    let gone = Code::FailedPrecondition;
    acme.admin
        .users()
        .activate_user(ask!(acme, ActivateUserRequest { user_id }))
        .await
        .refusal()
        .is(gone, "USER_DELETED");
    acme.admin
        .users()
        .add_user_companies(ask!(
            acme,
            AddUserCompaniesRequest {
                user_id,
                companies: vec![rollbook_tests::people::link(&acme.companies[0])],
            }
        ))
        .await
        .refusal()
        .is(gone, "USER_DELETED");
    acme.service
        .involvements()
        .report_invoice_queued(ask!(
            acme,
            ReportInvoiceQueuedRequest {
                company_id: &acme.companies[0],
                user_id,
                invoice_id: "INV-1",
            }
        ))
        .await
        .refusal()
        .is(gone, "USER_DELETED");
    let again = delete(&acme, user_id).await;
    match again {
        Ok(again) => assert_eq!(again.revision, response.revision, "a repeat adds no event"),
        Err(refusal) => {
            refusal.is(gone, "USER_DELETED");
        }
    }
}

async fn r24_an_involvement_that_ended_does_not_block(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let anna = acme.clerk("ANNA").await.user_id;
    let (company_id, user_id) = (&acme.companies[0], &anna);
    acme.service
        .involvements()
        .report_invoice_reviewed(ask!(
            acme,
            ReportInvoiceReviewedRequest {
                company_id,
                user_id,
                invoice_id: "INV-7",
                kind: pb::ReviewKind::Reviewed,
            }
        ))
        .await
        .answer();
    let refusal = delete(&acme, &anna)
        .await
        .unwrap_err()
        .is(Code::FailedPrecondition, "USER_STILL_NEEDED");
    assert_eq!(refusal.kinds(), ["UNSETTLED_INVOICE"]);
    acme.service
        .involvements()
        .retract_invoice_review(ask!(
            acme,
            RetractInvoiceReviewRequest {
                company_id,
                user_id,
                invoice_id: "INV-7",
                kind: pb::ReviewKind::Reviewed,
            }
        ))
        .await
        .answer();
    acme.service
        .involvements()
        .report_invoice_reviewed(ask!(
            acme,
            ReportInvoiceReviewedRequest {
                company_id,
                user_id,
                invoice_id: "INV-8",
                kind: pb::ReviewKind::Reviewed,
            }
        ))
        .await
        .answer();
    acme.service
        .involvements()
        .report_invoice_withdrawn(ask!(
            acme,
            ReportInvoiceWithdrawnRequest {
                company_id,
                invoice_id: "INV-8",
            }
        ))
        .await
        .answer();
    acme.service
        .involvements()
        .report_invoice_reviewed(ask!(
            acme,
            ReportInvoiceReviewedRequest {
                company_id,
                user_id,
                invoice_id: "INV-8",
                kind: pb::ReviewKind::Attested,
            }
        ))
        .await
        .answer();
    assert_eq!(
        blockers(&acme, &anna).await,
        [],
        "a review after the settlement does not block"
    );
    delete(&acme, &anna).await.unwrap();
}
