//! Direct reports and chains of supervisors.

use rollbook_aggregates::user::{UserCompaniesRemoved, UserDeleted, UserSupervisorChanged};
use rollbook_aggregates::values::{AccountId, UserId};
use rollbook_projections::{ChainEnd, Freshness, ListReports, Supervised, Views};

use crate::kit::*;

/// Users 1 to 9; in company 1 each has the one before it, and 1 itself. In company 2 all have 1.
async fn staff() -> (Directory, Views) {
    let mut directory = Directory::with_account().await;
    for n in 1..=9_u64 {
        let links = joins(vec![linked(1, (n - 1).max(1)), linked(2, 1)]);
        directory
            .commit(
                &acme(),
                vec![to_user(user_id(n), vec![person(n).into(), links])],
            )
            .await;
    }
    let views = directory.views().await;
    (directory, views)
}

fn reports_of(supervisor: u64) -> ListReports {
    ListReports {
        account: acme(),
        supervisor: user_id(supervisor),
        company: None,
        after: None,
        limit: 3,
        total: true,
    }
}

async fn all(views: &Views, mut query: ListReports) -> Vec<(u64, u64)> {
    let number = |id: &str, of: &dyn Fn(u64) -> String| (0..20).find(|n| of(*n) == id).unwrap();
    let mut found = Vec::new();
    loop {
        let page = views.supervisors().reports(query.clone()).await.unwrap();
        for report in &page.rows {
            let company = number(&report.company_id.to_string(), &|n| {
                company_id(n).to_string()
            });
            found.push((
                company,
                number(&report.user_id.to_string(), &|n| user_id(n).to_string()),
            ));
        }
        if page.next.is_none() {
            assert_eq!(page.total, Some(found.len() as u64));
            return found;
        }
        query.after = page.next;
    }
}

#[tokio::test]
async fn r55_direct_reports_are_listed_per_company_or_all_without_the_user_itself() {
    let (_directory, views) = staff().await;
    let in_both: Vec<_> = [(1, 2)]
        .into_iter()
        .chain((2..=9).map(|n| (2, n)))
        .collect();
    assert_eq!(all(&views, reports_of(1)).await, in_both);
    let in_second = ListReports {
        company: Some(company_id(2)),
        ..reports_of(1)
    };
    assert_eq!(all(&views, in_second).await, in_both[1..]);
    assert_eq!(all(&views, reports_of(4)).await, [(1, 5)]);
    assert_eq!(all(&views, reports_of(9)).await, []);
    let elsewhere = ListReports {
        account: AccountId::parse("other").unwrap(),
        ..reports_of(1)
    };
    assert_eq!(all(&views, elsewhere).await, []);
}

#[tokio::test]
async fn r31_who_still_has_a_supervisor_is_counted_and_named_by_company() {
    let (_directory, views) = staff().await;
    let supervised = views.supervisors().supervised(&acme(), user_id(1)).unwrap();
    let expected = [
        Supervised {
            company_id: company_id(1),
            count: 1,
            user_ids: vec![user_id(2)],
        },
        Supervised {
            company_id: company_id(2),
            count: 8,
            user_ids: (2..=9).map(user_id).collect(),
        },
    ];
    assert_eq!(supervised, expected);
    assert_eq!(
        views.supervisors().supervised(&acme(), user_id(9)).unwrap(),
        []
    );
}

async fn chain(views: &Views, company: u64, user: u64) -> Option<(Vec<UserId>, ChainEnd)> {
    views
        .supervisors()
        .chain(&acme(), company_id(company), user_id(user))
        .await
        .unwrap()
        .map(|chain| (chain.supervisors, chain.end))
}

fn ids<const N: usize>(numbers: [u64; N]) -> Vec<UserId> {
    numbers.map(user_id).to_vec()
}

#[tokio::test]
async fn r55_the_chain_goes_up_to_one_who_is_its_own_supervisor() {
    let (_directory, views) = staff().await;
    for (company, user, above) in [(1, 4, ids([3, 2, 1])), (2, 4, ids([1])), (1, 1, Vec::new())] {
        assert_eq!(
            chain(&views, company, user).await,
            Some((above, ChainEnd::Top))
        );
    }
    assert_eq!(chain(&views, 1, 77).await, None);
    assert_eq!(chain(&views, 3, 4).await, None);
}

#[tokio::test]
async fn r55_a_cycle_ends_where_it_closes_and_says_who_was_met_again() {
    let (mut directory, views) = staff().await;
    let changed = UserSupervisorChanged {
        company_id: company_id(1),
        supervisor: user_id(4),
    };
    directory
        .commit(&acme(), vec![to_user(user_id(1), vec![changed.into()])])
        .await;
    views
        .supervisors()
        .fresh(Freshness::Latest, None)
        .await
        .unwrap();
    // One who is part of the circle, and one below it.
    for (user, above, again) in [(3, ids([2, 1, 4]), 3), (6, ids([5, 4, 3, 2, 1]), 4)] {
        let circle = ChainEnd::Cycle(user_id(again));
        assert_eq!(chain(&views, 1, user).await, Some((above, circle)));
    }
}

#[tokio::test]
async fn r55_a_chain_without_measure_is_told_in_parts() {
    let mut directory = Directory::with_account().await;
    let happenings = (1..=1_203_u64)
        .map(|n| {
            let links = joins(vec![linked(1, (n - 1).max(1))]);
            to_user(user_id(n), vec![person(n).into(), links])
        })
        .collect();
    directory.commit(&acme(), happenings).await;
    let views = directory.views().await;
    let (above, end) = chain(&views, 1, 1_203).await.unwrap();
    assert_eq!((above.len(), end), (1_000, ChainEnd::CutOff));
    assert_eq!(above.last(), Some(&user_id(203)));
    let (above, end) = chain(&views, 1, 203).await.unwrap();
    assert_eq!((above.len(), end), (202, ChainEnd::Top));
}

#[tokio::test]
async fn who_leaves_a_company_or_is_deleted_reports_to_nobody_there() {
    let (mut directory, views) = staff().await;
    let left = UserCompaniesRemoved {
        company_ids: vec![company_id(2)],
    };
    directory
        .commit(&acme(), vec![to_user(user_id(5), vec![left.into()])])
        .await;
    directory
        .commit(
            &acme(),
            vec![to_user(user_id(9), vec![UserDeleted {}.into()]).forgetting()],
        )
        .await;
    views
        .supervisors()
        .fresh(Freshness::Latest, None)
        .await
        .unwrap();
    let in_second = ListReports {
        company: Some(company_id(2)),
        ..reports_of(1)
    };
    assert_eq!(
        all(&views, in_second).await,
        [2, 3, 4, 6, 7, 8].map(|n| (2, n))
    );
    assert_eq!(all(&views, reports_of(8)).await, []);
}

#[tokio::test]
async fn more_than_a_hundred_reports_are_counted_and_a_hundred_are_named() {
    let mut directory = Directory::with_account().await;
    for n in 1..=103 {
        let events = vec![person(n).into(), joins(vec![linked(1, 1)])];
        directory
            .commit(&acme(), vec![to_user(user_id(n), events)])
            .await;
    }
    let views = directory.views().await;
    let supervised = views.supervisors().supervised(&acme(), user_id(1)).unwrap();
    assert_eq!(
        (supervised[0].count, supervised[0].user_ids.len()),
        (102, 100)
    );
}
