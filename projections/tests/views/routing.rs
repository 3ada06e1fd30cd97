//! Who takes care of what: matches of allegiances, and approvers up the chain.

use rollbook_aggregates::user::{
    Allegiances, LinkedCompany, UserActivated, UserAllegiancesSet, UserCompaniesRemoved,
    UserDeactivated, UserDeleted, UserShownAsAddressee, UserSupervisorChanged,
};
use rollbook_aggregates::values::{Allegiance, DimensionName, DimensionValue};
use rollbook_projections::{
    AllegianceKind, ChainEnd, Freshness, ListMatches, Matches, Unfit, Views,
};

use crate::kit::*;

fn department(value: &str) -> Allegiance {
    Allegiance {
        dimension: DimensionName::parse("Department").unwrap(),
        value: DimensionValue::parse(value).unwrap(),
    }
}

fn coding(values: &[&str]) -> Allegiances {
    Allegiances {
        coding: values.iter().map(|value| department(value)).collect(),
        routing: [department("routed")].into(),
    }
}

/// Users 1 to 12, shown in company 1, each below the one before it; those of even number code for 14, of those by three for 15.
async fn staff() -> (Directory, Views) {
    let mut directory = Directory::with_account().await;
    for n in 1..=12_u64 {
        let mut values = Vec::new();
        if n % 2 == 0 {
            values.push("14");
        }
        if n % 3 == 0 {
            values.push("15");
        }
        let link = LinkedCompany {
            show_as_addressee: true,
            allegiances: coding(&values),
            ..linked(1, (n - 1).max(1))
        };
        let events = vec![person(n).into(), joins(vec![link, linked(2, 1)])];
        directory
            .commit(&acme(), vec![to_user(user_id(n), events)])
            .await;
    }
    let views = directory.views().await;
    (directory, views)
}

fn asking(values: &[&str]) -> ListMatches {
    ListMatches {
        account: acme(),
        company: company_id(1),
        kind: AllegianceKind::Coding,
        allegiances: values.iter().map(|value| department(value)).collect(),
        after: None,
        limit: 3,
    }
}

/// Who matches, page by page, each with the values that did; and how many were passed over.
async fn matches(views: &Views, mut query: ListMatches) -> (Vec<(u64, String)>, u64) {
    views
        .routing()
        .fresh(Freshness::Latest, None)
        .await
        .unwrap();
    let mut found = Vec::new();
    let mut over = 0;
    loop {
        let Matches { page, passed_over } = views.routing().matches(query.clone()).await.unwrap();
        over += passed_over;
        for row in page.rows {
            let n = (0..20).find(|n| user_id(*n) == row.user.user_id).unwrap();
            let values = row.matched.iter().map(|matched| matched.value.as_str());
            found.push((n, values.collect::<Vec<_>>().join("+")));
        }
        query.after = page.next;
        if query.after.is_none() {
            return (found, over);
        }
    }
}

fn told<const N: usize>(found: [(u64, &str); N]) -> Vec<(u64, String)> {
    found.map(|(n, values)| (n, values.to_owned())).to_vec()
}

#[tokio::test]
async fn r35_matches_are_told_with_what_matched_page_by_page() {
    let (_directory, views) = staff().await;
    let (found, over) = matches(&views, asking(&["14", "15", "16"])).await;
    let expected = told([
        (2, "14"),
        (3, "15"),
        (4, "14"),
        (6, "14+15"),
        (8, "14"),
        (9, "15"),
        (10, "14"),
        (12, "14+15"),
    ]);
    assert_eq!((found, over), (expected, 0));
    assert_eq!(matches(&views, asking(&["16"])).await, (Vec::new(), 0));
    assert_eq!(matches(&views, asking(&[])).await, (Vec::new(), 0));
    let routed = ListMatches {
        kind: AllegianceKind::Routing,
        ..asking(&["routed", "14"])
    };
    assert_eq!(matches(&views, routed).await.0.len(), 12);
    let elsewhere = ListMatches {
        company: company_id(2),
        ..asking(&["14"])
    };
    assert_eq!(matches(&views, elsewhere).await, (Vec::new(), 0));
}

#[tokio::test]
async fn r35_only_those_who_are_active_and_shown_there_match_and_the_index_follows_what_happens() {
    let (mut directory, views) = staff().await;
    let all = told([(3, "15"), (6, "15"), (9, "15"), (12, "15")]);
    assert_eq!(matches(&views, asking(&["15"])).await, (all.clone(), 0));
    let company = company_id(1);
    let hidden = |shown| UserShownAsAddressee {
        company_id: company,
        shown,
    };
    let set = |values: &[&str]| UserAllegiancesSet {
        company_id: company,
        allegiances: coding(values),
    };
    let removed = UserCompaniesRemoved {
        company_ids: vec![company],
    };
    let steps = [
        (3, UserDeactivated {}.into(), all[1..].to_vec()),
        (6, hidden(false).into(), all[2..].to_vec()),
        (9, set(&["14"]).into(), all[3..].to_vec()),
        (9, set(&["15", "16"]).into(), all[2..].to_vec()),
        (9, removed.into(), all[3..].to_vec()),
        (3, UserActivated {}.into(), [&all[..1], &all[3..]].concat()),
        (6, hidden(true).into(), [&all[..2], &all[3..]].concat()),
    ];
    for (n, event, expected) in steps {
        directory
            .commit(&acme(), vec![to_user(user_id(n), vec![event])])
            .await;
        let found = matches(&views, asking(&["15"])).await;
        assert_eq!(found, (expected, 0), "after what happened to {n}");
    }
    for n in [3, 6, 12] {
        let gone = to_user(user_id(n), vec![UserDeleted {}.into()]).forgetting();
        directory.commit(&acme(), vec![gone]).await;
    }
    assert_eq!(matches(&views, asking(&["15"])).await, (Vec::new(), 0));
    // Some who have it, none of whom can be proposed, and each counts once.
    for n in [2, 4] {
        let events = vec![set(&["20", "21"]).into(), hidden(false).into()];
        directory
            .commit(&acme(), vec![to_user(user_id(n), events)])
            .await;
    }
    assert_eq!(
        matches(&views, asking(&["20", "21"])).await,
        (Vec::new(), 2)
    );
}

type Found = (Result<u64, ChainEnd>, Vec<(u64, Unfit)>);

async fn approver(views: &Views, user: u64) -> Option<Found> {
    views
        .routing()
        .fresh(Freshness::Latest, None)
        .await
        .unwrap();
    let number = |id| (0..20).find(|n| user_id(*n) == id).unwrap();
    let found = views
        .routing()
        .approver(&acme(), company_id(1), user_id(user))
        .await
        .unwrap();
    found.map(|approver| {
        let over = approver.passed_over.into_iter();
        (
            approver.found.map(|row| number(row.user_id)),
            over.map(|(id, why)| (number(id), why)).collect(),
        )
    })
}

#[tokio::test]
async fn r37_the_nearest_supervisor_who_can_be_proposed_approves() {
    let (mut directory, views) = staff().await;
    assert_eq!(approver(&views, 5).await, Some((Ok(4), vec![])));
    assert_eq!(
        approver(&views, 1).await,
        Some((Err(ChainEnd::Top), vec![]))
    );
    assert_eq!(approver(&views, 19).await, None);
    let hidden = UserShownAsAddressee {
        company_id: company_id(1),
        shown: false,
    };
    let removed = UserCompaniesRemoved {
        company_ids: vec![company_id(1)],
    };
    for (n, event) in [
        (4, UserDeactivated {}.into()),
        (3, hidden.clone().into()),
        (7, removed.into()),
    ] {
        directory
            .commit(&acme(), vec![to_user(user_id(n), vec![event])])
            .await;
    }
    let over = vec![(4, Unfit::Inactive), (3, Unfit::NotShown)];
    assert_eq!(approver(&views, 5).await, Some((Ok(2), over)));
    // A link that leads to somebody who left ends there.
    let over = vec![(7, Unfit::NotLinked)];
    let ended = Some((Err(ChainEnd::NotLinked), over));
    assert_eq!(approver(&views, 8).await, ended);
    assert_eq!(approver(&views, 7).await, None);
}

#[tokio::test]
async fn r37_a_circle_is_told_where_nobody_in_it_can_be_proposed() {
    let (mut directory, views) = staff().await;
    let changed = UserSupervisorChanged {
        company_id: company_id(1),
        supervisor: user_id(3),
    };
    directory
        .commit(&acme(), vec![to_user(user_id(1), vec![changed.into()])])
        .await;
    assert_eq!(approver(&views, 1).await, Some((Ok(3), vec![])));
    for n in 1..=3 {
        let event = UserDeactivated {}.into();
        directory
            .commit(&acme(), vec![to_user(user_id(n), vec![event])])
            .await;
    }
    let over = [3, 2, 1].map(|n| (n, Unfit::Inactive)).to_vec();
    let circle = ChainEnd::Cycle(user_id(3));
    assert_eq!(approver(&views, 4).await, Some((Err(circle), over)));
}
