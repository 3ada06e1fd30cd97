//! What needs a user, and who reviewed an invoice.

use rollbook_aggregates::invoice::{InvoiceSettlementReported, Settlement};
use rollbook_aggregates::user::{
    FlowTemplateLinked, FlowTemplateUnlinked, InvoiceDequeued, InvoiceQueued,
    InvoiceReviewRetracted, InvoiceReviewed, InvoiceSettled, ReferenceLinked, ReferenceUnlinked,
    ReviewKind, UserDeleted, UserEvent,
};
use rollbook_aggregates::values::{AccountId, FlowTemplateId, ReferenceId};
use rollbook_projections::{
    Ending, Freshness, InvolvementKind, InvolvementRow, ListInvolvements, ListReviewers, Views,
};

use crate::kit::*;

async fn directory() -> (Directory, Views) {
    let mut directory = Directory::with_account().await;
    for n in 1..=3 {
        directory
            .commit(&acme(), vec![to_user(user_id(n), vec![person(n).into()])])
            .await;
    }
    let views = directory.views().await;
    (directory, views)
}

fn queued(n: u64) -> UserEvent {
    InvoiceQueued {
        company_id: company_id(1),
        invoice_id: invoice_id(n),
    }
    .into()
}

fn dequeued(n: u64) -> UserEvent {
    InvoiceDequeued {
        company_id: company_id(1),
        invoice_id: invoice_id(n),
    }
    .into()
}

fn reviewed(n: u64, kind: ReviewKind, settled: bool) -> UserEvent {
    InvoiceReviewed {
        company_id: company_id(1),
        invoice_id: invoice_id(n),
        kind,
        settled,
    }
    .into()
}

fn retracted(n: u64, kind: ReviewKind) -> UserEvent {
    InvoiceReviewRetracted {
        company_id: company_id(1),
        invoice_id: invoice_id(n),
        kind,
    }
    .into()
}

async fn list(views: &Views, user: u64, open_only: bool) -> Vec<InvolvementRow> {
    views
        .involvements()
        .fresh(Freshness::Latest, None)
        .await
        .unwrap();
    let mut query = ListInvolvements {
        account: acme(),
        user: user_id(user),
        open_only,
        after: None,
        limit: 2,
        total: true,
    };
    let mut found = Vec::new();
    loop {
        let page = views.involvements().list(query.clone()).await.unwrap();
        found.extend(page.rows);
        if page.next.is_none() {
            assert_eq!(page.total, Some(found.len() as u64));
            return found;
        }
        query.after = page.next;
    }
}

async fn reviewers(views: &Views, invoice: u64) -> Vec<InvolvementRow> {
    views
        .involvements()
        .fresh(Freshness::Latest, None)
        .await
        .unwrap();
    let query = ListReviewers {
        account: acme(),
        company: company_id(1),
        invoice: invoice_id(invoice),
        after: None,
        limit: 100,
        total: true,
    };
    views.involvements().reviewers(query).await.unwrap().rows
}

fn brief(rows: &[InvolvementRow]) -> Vec<(InvolvementKind, &str, Option<Ending>)> {
    rows.iter()
        .map(|row| {
            (
                row.kind,
                row.subject.as_str(),
                row.ended.map(|ended| ended.how),
            )
        })
        .collect()
}

/// Settles an invoice, and releases those who reviewed it in the same commit.
async fn settle(directory: &mut Directory, n: u64, settlement: Settlement, users: &[u64]) {
    let (company, invoice) = (company_id(1), invoice_id(n));
    let reported = InvoiceSettlementReported {
        account_id: acme(),
        company_id: company,
        invoice_id: invoice.clone(),
        settlement,
    };
    let mut commit = vec![to_invoice(&acme(), company, &invoice, reported.into())];
    for user in users {
        let settled = InvoiceSettled {
            company_id: company,
            invoice_id: invoice.clone(),
            settlement,
        };
        commit.push(to_user(user_id(*user), vec![settled.into()]));
    }
    directory.commit(&acme(), commit).await;
}

#[tokio::test]
async fn r40_involvements_are_listed_open_or_all_in_the_order_they_began() {
    let (mut directory, views) = directory().await;
    let template = FlowTemplateId::parse("T 1").unwrap();
    let reference = ReferenceId::parse("R-1").unwrap();
    let company = company_id(2);
    let events: Vec<UserEvent> = vec![
        queued(1),
        reviewed(2, ReviewKind::Reviewed, false),
        FlowTemplateLinked {
            company_id: company,
            flow_template_id: template.clone(),
        }
        .into(),
        ReferenceLinked {
            company_id: company,
            reference_id: reference.clone(),
        }
        .into(),
        queued(3),
        reviewed(2, ReviewKind::Attested, false),
    ];
    directory
        .commit(&acme(), vec![to_user(user_id(1), events)])
        .await;
    let open = list(&views, 1, true).await;
    let all = [
        (InvolvementKind::QueuedInvoice, "INV-1", None),
        (InvolvementKind::ReviewedInvoice, "INV-2", None),
        (InvolvementKind::FlowTemplate, "T 1", None),
        (InvolvementKind::Reference, "R-1", None),
        (InvolvementKind::QueuedInvoice, "INV-3", None),
        (InvolvementKind::AttestedInvoice, "INV-2", None),
    ];
    assert_eq!(brief(&open), all);
    assert_eq!(
        (open[0].company_id, open[2].company_id),
        (company_id(1), company)
    );
    let ends: Vec<UserEvent> = vec![
        dequeued(1),
        retracted(2, ReviewKind::Attested),
        FlowTemplateUnlinked {
            company_id: company,
            flow_template_id: template,
        }
        .into(),
        ReferenceUnlinked {
            company_id: company,
            reference_id: reference,
        }
        .into(),
    ];
    directory
        .commit(&acme(), vec![to_user(user_id(1), ends)])
        .await;
    assert_eq!(brief(&list(&views, 1, true).await), [all[1], all[4]]);
    let endings: Vec<_> = list(&views, 1, false)
        .await
        .iter()
        .map(|row| row.ended.map(|ended| ended.how))
        .collect();
    let expected = [
        Some(Ending::Dequeued),
        None,
        Some(Ending::Unlinked),
        Some(Ending::Unlinked),
        None,
        Some(Ending::Retracted),
    ];
    assert_eq!(endings, expected);
    assert!(list(&views, 2, false).await.is_empty());
}

#[tokio::test]
async fn an_involvement_that_begins_again_is_shown_once_since_the_last_time() {
    let (mut directory, views) = directory().await;
    for events in [vec![queued(1)], vec![queued(2)], vec![dequeued(1)]] {
        directory
            .commit(&acme(), vec![to_user(user_id(1), events)])
            .await;
    }
    let position = directory
        .commit(&acme(), vec![to_user(user_id(1), vec![queued(1)])])
        .await;
    let rows = list(&views, 1, false).await;
    assert_eq!(
        rows.iter()
            .map(|row| row.subject.as_str())
            .collect::<Vec<_>>(),
        ["INV-2", "INV-1"]
    );
    assert_eq!((rows[1].since_position, rows[1].ended), (position, None));
}

#[tokio::test]
async fn r39_a_settlement_releases_every_reviewer_and_leaves_queues_as_they_are() {
    let (mut directory, views) = directory().await;
    for n in [1, 2] {
        let events = vec![
            queued(7),
            reviewed(7, ReviewKind::Reviewed, false),
            reviewed(8, ReviewKind::Reviewed, false),
        ];
        directory
            .commit(&acme(), vec![to_user(user_id(n), events)])
            .await;
    }
    directory
        .commit(
            &acme(),
            vec![to_user(
                user_id(1),
                vec![reviewed(7, ReviewKind::Attested, false)],
            )],
        )
        .await;
    settle(&mut directory, 7, Settlement::Posted, &[1, 2]).await;
    for n in [1, 2] {
        let open = list(&views, n, true).await;
        let still = [
            (InvolvementKind::QueuedInvoice, "INV-7", None),
            (InvolvementKind::ReviewedInvoice, "INV-8", None),
        ];
        assert_eq!(brief(&open), still);
    }
    let posted = |kind| (kind, "INV-7", Some(Ending::Posted));
    let expected = [
        posted(InvolvementKind::ReviewedInvoice),
        posted(InvolvementKind::ReviewedInvoice),
        posted(InvolvementKind::AttestedInvoice),
    ];
    assert_eq!(brief(&reviewers(&views, 7).await), expected);
    let row = views
        .involvements()
        .settlement(&acme(), company_id(1), &invoice_id(7))
        .unwrap()
        .unwrap();
    assert_eq!(row.settlement, Settlement::Posted);
    assert_eq!(
        views
            .involvements()
            .settlement(&acme(), company_id(2), &invoice_id(7))
            .unwrap(),
        None
    );
}

#[tokio::test]
async fn r39_a_review_that_comes_after_the_settlement_is_shown_as_ended_by_it() {
    let (mut directory, views) = directory().await;
    settle(&mut directory, 7, Settlement::Withdrawn, &[]).await;
    directory
        .commit(
            &acme(),
            vec![to_user(
                user_id(1),
                vec![reviewed(7, ReviewKind::Reviewed, true)],
            )],
        )
        .await;
    assert!(list(&views, 1, true).await.is_empty());
    let expected = [(
        InvolvementKind::ReviewedInvoice,
        "INV-7",
        Some(Ending::Withdrawn),
    )];
    assert_eq!(brief(&reviewers(&views, 7).await), expected);
    directory
        .commit(
            &acme(),
            vec![to_user(
                user_id(1),
                vec![retracted(7, ReviewKind::Reviewed)],
            )],
        )
        .await;
    assert_eq!(
        reviewers(&views, 7).await[0].ended.unwrap().how,
        Ending::Retracted
    );
}

#[tokio::test]
async fn r40_the_reviewers_of_an_invoice_are_those_of_its_company_and_account() {
    let (mut directory, views) = directory().await;
    directory
        .commit(
            &acme(),
            vec![to_user(
                user_id(1),
                vec![reviewed(7, ReviewKind::Reviewed, false), queued(7)],
            )],
        )
        .await;
    let elsewhere = InvoiceReviewed {
        company_id: company_id(2),
        invoice_id: invoice_id(7),
        kind: ReviewKind::Reviewed,
        settled: false,
    };
    directory
        .commit(&acme(), vec![to_user(user_id(2), vec![elsewhere.into()])])
        .await;
    let found = reviewers(&views, 7).await;
    assert_eq!(
        found.iter().map(|row| row.user_id).collect::<Vec<_>>(),
        [user_id(1)]
    );
    let other = ListInvolvements {
        account: AccountId::parse("other").unwrap(),
        user: user_id(1),
        open_only: false,
        after: None,
        limit: 10,
        total: true,
    };
    let page = views.involvements().list(other).await.unwrap();
    assert_eq!((page.rows.len(), page.total), (0, Some(0)));
}

#[tokio::test]
async fn the_reviews_of_a_deleted_user_stay() {
    let (mut directory, views) = directory().await;
    directory
        .commit(
            &acme(),
            vec![to_user(
                user_id(1),
                vec![reviewed(7, ReviewKind::Reviewed, false)],
            )],
        )
        .await;
    settle(&mut directory, 7, Settlement::Posted, &[1]).await;
    directory
        .commit(
            &acme(),
            vec![to_user(user_id(1), vec![UserDeleted {}.into()]).forgetting()],
        )
        .await;
    assert_eq!(reviewers(&views, 7).await[0].user_id, user_id(1));
}
