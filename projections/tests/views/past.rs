//! Who was there at any position, and who had whom as supervisor.

use rollbook_aggregates::user::{
    InvoiceQueued, UserActivated, UserCompaniesRemoved, UserDeactivated, UserDeleted, UserLocked,
    UserSupervisorChanged,
};
use rollbook_projections::{
    CompanyFilter, Freshness, ListInvoiceEvents, ListPastReports, ListStandings, Views,
};

use crate::kit::*;

async fn users(views: &Views, position: u64, active: Option<bool>) -> Vec<String> {
    let query = ListStandings {
        account: acme(),
        position,
        company: CompanyFilter::Any,
        active,
        user_type: None,
        after: None,
        limit: 100,
    };
    let page = views.past().users(query).await.unwrap();
    page.rows
        .iter()
        .map(|row| row.user_id.to_string())
        .collect()
}

fn named(numbers: &[u64]) -> Vec<String> {
    numbers.iter().map(|n| user_id(*n).to_string()).collect()
}

async fn reports(views: &Views, position: u64) -> Vec<(String, u64, Option<u64>)> {
    let query = ListPastReports {
        account: acme(),
        position,
        supervisor: user_id(1),
        company: Some(company_id(1)),
        after: None,
        limit: 100,
    };
    let page = views.past().reports(query).await.unwrap();
    page.rows
        .iter()
        .map(|row| (row.user_id.to_string(), row.since, row.until))
        .collect()
}

#[tokio::test]
async fn r60_rows_hold_from_the_end_of_one_commit_to_the_end_of_another() {
    let mut directory = Directory::with_account().await;
    let created = vec![person(1).into(), joins(vec![linked(1, 1)])];
    let first = directory
        .commit(&acme(), vec![to_user(user_id(1), created)])
        .await;
    let created = vec![person(2).into(), joins(vec![linked(1, 1)])];
    let second = directory
        .commit(&acme(), vec![to_user(user_id(2), created)])
        .await;
    let changed = UserSupervisorChanged {
        company_id: company_id(1),
        supervisor: user_id(2),
    };
    let moved = directory
        .commit(&acme(), vec![to_user(user_id(2), vec![changed.into()])])
        .await;
    let inactive = directory
        .commit(
            &acme(),
            vec![to_user(user_id(2), vec![UserDeactivated {}.into()])],
        )
        .await;
    let gone = directory
        .commit(
            &acme(),
            vec![to_user(user_id(2), vec![UserDeleted {}.into()]).forgetting()],
        )
        .await;
    let views = directory.views().await;
    views.past().fresh(Freshness::Latest, None).await.unwrap();
    assert_eq!(users(&views, first - 1, None).await, named(&[]));
    assert_eq!(users(&views, first, None).await, named(&[1]));
    assert_eq!(users(&views, second - 1, None).await, named(&[1]));
    assert_eq!(users(&views, second, None).await, named(&[1, 2]));
    assert_eq!(users(&views, inactive, Some(true)).await, named(&[1]));
    assert_eq!(users(&views, inactive, Some(false)).await, named(&[2]));
    assert_eq!(users(&views, gone, None).await, named(&[1]));
    let two = user_id(2).to_string();
    assert_eq!(reports(&views, second - 1).await, []);
    assert_eq!(reports(&views, second).await, [(two, second, Some(moved))]);
    assert_eq!(reports(&views, moved).await, []);
}

#[tokio::test]
async fn r60_what_held_only_within_a_commit_never_was() {
    let mut directory = Directory::with_account().await;
    let created = vec![person(1).into(), joins(vec![linked(1, 1)])];
    directory
        .commit(&acme(), vec![to_user(user_id(1), created)])
        .await;
    let removed = UserCompaniesRemoved {
        company_ids: vec![company_id(1)],
    };
    let busy = vec![
        person(2).into(),
        UserLocked {}.into(),
        UserDeactivated {}.into(),
        UserActivated {}.into(),
        joins(vec![linked(1, 1)]),
        removed.into(),
    ];
    let end = directory
        .commit(&acme(), vec![to_user(user_id(2), busy)])
        .await;
    let views = directory.views().await;
    views.past().fresh(Freshness::Latest, None).await.unwrap();
    assert_eq!(users(&views, end - 1, None).await, named(&[1]));
    assert_eq!(users(&views, end, Some(true)).await, named(&[1, 2]));
    assert_eq!(reports(&views, end).await, []);
    let administrators = views.past().administrators(acme(), end).await.unwrap();
    assert!(!administrators.contains(&user_id(2)), "it is locked");
}

#[tokio::test]
async fn r61_the_events_of_an_invoice_are_found_both_ways() {
    let mut directory = Directory::with_account().await;
    let mut positions = Vec::new();
    for n in 1..=3 {
        let queued = InvoiceQueued {
            company_id: company_id(1),
            invoice_id: invoice_id(7),
        };
        let happened = vec![person(n).into(), queued.into()];
        let position = directory
            .commit(&acme(), vec![to_user(user_id(n), happened)])
            .await;
        positions.push(position);
    }
    let views = directory.views().await;
    views.past().fresh(Freshness::Latest, None).await.unwrap();
    let mut query = ListInvoiceEvents {
        account: acme(),
        company: company_id(1),
        invoice: invoice_id(7),
        descending: false,
        after: None,
        limit: 2,
    };
    let page = views.past().invoice(query.clone()).await.unwrap();
    assert_eq!(
        (page.rows, page.next),
        (positions[..2].to_vec(), Some(positions[1]))
    );
    query.descending = true;
    query.after = Some(positions[2]);
    let page = views.past().invoice(query).await.unwrap();
    assert_eq!(
        (page.rows, page.next),
        (vec![positions[1], positions[0]], None)
    );
}
