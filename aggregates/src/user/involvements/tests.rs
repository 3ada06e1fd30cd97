//! What outside the directory still needs a user.

use super::*;
use crate::directory::Directory;
use crate::domain::{Claim, Reason};
use crate::invoice::{InvoiceSettlementReported, ReportInvoicePosted, Settlement};
use crate::samples::{ANNA, BERT, NORTH, NOWHERE, account_id, create, created, invoice, service};
use crate::user::{User, UserCommand, UserDeactivated, UserEvent};

fn key(id: &str) -> InvoiceKey {
    InvoiceKey {
        company_id: NORTH,
        invoice_id: invoice(id),
    }
}

fn review(id: &str, kind: ReviewKind) -> ReportInvoiceReviewed {
    ReportInvoiceReviewed {
        company_id: NORTH,
        invoice_id: invoice(id),
        kind,
    }
}

fn reviewed(kind: ReviewKind, settled: bool) -> UserEvent {
    InvoiceReviewed {
        company_id: NORTH,
        invoice_id: invoice("INV-7"),
        kind,
        settled,
    }
    .into()
}

/// Each report that begins an involvement, its event, the report that ends it, and its event.
fn reports() -> [(UserCommand, UserEvent, UserCommand, UserEvent); 4] {
    let (company_id, invoice_id) = (NORTH, invoice("INV-7"));
    let flow_template_id = FlowTemplateId::parse("FLOW 1").unwrap();
    let reference_id = ReferenceId::parse("Ref/1").unwrap();
    let kind = ReviewKind::Attested;
    [
        (
            ReportInvoiceQueued {
                company_id,
                invoice_id: invoice_id.clone(),
            }
            .into(),
            InvoiceQueued {
                company_id,
                invoice_id: invoice_id.clone(),
            }
            .into(),
            ReportInvoiceDequeued {
                company_id,
                invoice_id: invoice_id.clone(),
            }
            .into(),
            InvoiceDequeued {
                company_id,
                invoice_id: invoice_id.clone(),
            }
            .into(),
        ),
        (
            review("INV-7", kind).into(),
            reviewed(kind, false),
            RetractInvoiceReview {
                company_id,
                invoice_id: invoice_id.clone(),
                kind,
            }
            .into(),
            InvoiceReviewRetracted {
                company_id,
                invoice_id,
                kind,
            }
            .into(),
        ),
        (
            LinkFlowTemplate {
                company_id,
                flow_template_id: flow_template_id.clone(),
            }
            .into(),
            FlowTemplateLinked {
                company_id,
                flow_template_id: flow_template_id.clone(),
            }
            .into(),
            UnlinkFlowTemplate {
                company_id,
                flow_template_id: flow_template_id.clone(),
            }
            .into(),
            FlowTemplateUnlinked {
                company_id,
                flow_template_id,
            }
            .into(),
        ),
        (
            LinkReference {
                company_id,
                reference_id: reference_id.clone(),
            }
            .into(),
            ReferenceLinked {
                company_id,
                reference_id: reference_id.clone(),
            }
            .into(),
            UnlinkReference {
                company_id,
                reference_id: reference_id.clone(),
            }
            .into(),
            ReferenceUnlinked {
                company_id,
                reference_id,
            }
            .into(),
        ),
    ]
}

#[test]
fn r39_every_report_is_an_event_and_idempotent_by_what_it_is_about() {
    for (begin, began, end, ended) in reports() {
        User::given(&[created()])
            .when(service(), end.clone())
            .then_nothing();
        User::given(&[created()])
            .when(service(), begin.clone())
            .then(std::slice::from_ref(&began));
        let begun = [created(), began.clone()];
        User::given(&begun)
            .when(service(), begin.clone())
            .then_nothing();
        User::given(&begun)
            .when(service(), end.clone())
            .then(std::slice::from_ref(&ended));
        let over = [created(), began.clone(), ended];
        User::given(&over).when(service(), end).then_nothing();
        User::given(&over).when(service(), begin).then(&[began]);
    }
}

#[test]
fn r39_reports_are_recorded_of_inactive_users_too() {
    for (begin, began, ..) in reports() {
        User::given(&[created(), UserDeactivated {}.into()])
            .when(service(), begin)
            .then(&[began]);
    }
}

#[test]
fn r39_what_begins_in_a_company_that_is_not_there_is_refused() {
    let command = ReportInvoiceQueued {
        company_id: NOWHERE,
        invoice_id: invoice("INV-7"),
    };
    User::given(&[created()])
        .when(service(), command)
        .refused_for(Reason::CompanyNotFound);
}

#[test]
fn r39_a_settlement_releases_every_reviewer_at_once() {
    let mut directory = Directory::default();
    for (id, who) in [(ANNA, "anna"), (BERT, "bert")] {
        directory.user(&service(), id, create(id, who)).unwrap();
        directory
            .user(&service(), id, review("INV-7", ReviewKind::Reviewed))
            .unwrap();
    }
    directory
        .user(&service(), ANNA, review("INV-7", ReviewKind::Attested))
        .unwrap();
    directory
        .user(&service(), ANNA, review("INV-8", ReviewKind::Reviewed))
        .unwrap();
    let post = ReportInvoicePosted {
        company_id: NORTH,
        invoice_id: invoice("INV-7"),
    };
    directory
        .settle(&service(), &key("INV-7"), post.clone())
        .unwrap();
    let open = |id| {
        directory.users[&id]
            .person()
            .unwrap()
            .involvements()
            .reviews_open()
            .clone()
    };
    assert!(
        open(ANNA)
            .iter()
            .eq([&(key("INV-8"), ReviewKind::Reviewed)])
    );
    assert!(open(BERT).is_empty());
    assert_eq!(directory.holders(&Claim::Reviewer(key("INV-7"))).count, 0);
    let before = directory.invoices.clone();
    directory.settle(&service(), &key("INV-7"), post).unwrap();
    assert_eq!(directory.invoices, before);
}

#[test]
fn r39_a_review_after_the_settlement_is_recorded_and_does_not_block() {
    let settled = InvoiceSettlementReported {
        account_id: account_id(),
        company_id: NORTH,
        invoice_id: invoice("INV-7"),
        settlement: Settlement::Withdrawn,
    };
    let late = reviewed(ReviewKind::Reviewed, true);
    let user = User::given(&[created()])
        .invoice(key("INV-7"), &[settled.clone().into()])
        .when(service(), review("INV-7", ReviewKind::Reviewed))
        .then(std::slice::from_ref(&late))
        .takes(&[])
        .state();
    assert!(
        user.person()
            .unwrap()
            .involvements()
            .blockers()
            .next()
            .is_none()
    );
    User::given(&[created(), late])
        .invoice(key("INV-7"), &[settled.into()])
        .when(service(), review("INV-7", ReviewKind::Reviewed))
        .then_nothing();
}

#[test]
fn r39_a_review_is_not_repeated_by_its_settlement() {
    let settled = InvoiceSettled {
        company_id: NORTH,
        invoice_id: invoice("INV-7"),
        settlement: Settlement::Posted,
    };
    let history = [
        created(),
        reviewed(ReviewKind::Reviewed, false),
        settled.into(),
    ];
    User::given(&history)
        .when(service(), review("INV-7", ReviewKind::Reviewed))
        .then_nothing();
    let retract = RetractInvoiceReview {
        company_id: NORTH,
        invoice_id: invoice("INV-7"),
        kind: ReviewKind::Reviewed,
    };
    let retracted = InvoiceReviewRetracted {
        company_id: NORTH,
        invoice_id: invoice("INV-7"),
        kind: ReviewKind::Reviewed,
    };
    User::given(&history)
        .when(service(), retract)
        .then(&[retracted.into()]);
}

#[test]
fn a_report_does_not_modify_the_user() {
    for (begin, ..) in reports() {
        let user = User::given(&[created()]).when(service(), begin).state();
        let person = user.person().unwrap();
        assert_eq!(person.modified_at(), person.created_at());
    }
}
