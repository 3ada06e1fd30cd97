//! Lists of users: filters, columns, pages.

use rollbook_aggregates::account::LoginChanged;
use rollbook_aggregates::user::{
    PasswordState, Status, UserDeactivated, UserDeleted, UserLocked, UserRenamed,
};
use rollbook_aggregates::values::{AccountId, Login, UserId, UserType};
use rollbook_projections::{
    CompanyFilter, FoundUser, Freshness, ListUsers, UserRow, UserSort, Views,
};

use crate::kit::*;

pub const SORTS: [UserSort; 11] = [
    UserSort::LastSignedInAt,
    UserSort::Signature,
    UserSort::UserName,
    UserSort::FirstName,
    UserSort::LastName,
    UserSort::Email,
    UserSort::Status,
    UserSort::UserType,
    UserSort::Role,
    UserSort::CreatedAt,
    UserSort::ModifiedAt,
];

const LAST_NAMES: [&str; 7] = [
    "Öberg",
    "oberg",
    "Ångström",
    "Zetterlund",
    "angstrom",
    "Øst",
    "Ek",
];

/// Forty users of every kind, some of whom have the same names.
async fn crowd() -> (Directory, Views) {
    let mut directory = Directory::with_account().await;
    for n in 0..40 {
        directory.clock.advance(std::time::Duration::from_secs(1));
        let mut created = named(
            n,
            &format!("S{}", (n * 7) % 40),
            &format!("First{}", n % 5),
            LAST_NAMES[(n % 7) as usize],
        );
        created.active = n % 4 != 0;
        created.onboarded = n % 6 != 0;
        created.user_type = if n % 3 == 0 {
            UserType::Administrator
        } else {
            UserType::Standard
        };
        if n % 10 == 0 {
            created.password = PasswordState::OneTime;
        }
        let mut events = vec![created.into()];
        if n % 5 == 1 {
            events.push(roles(&["clerk"]));
        }
        if n % 5 == 2 {
            events.push(roles(&["clerk", "approver"]));
        }
        if n % 2 == 0 {
            events.push(joins(vec![linked(1, n)]));
        }
        if n % 7 == 0 {
            events.push(joins(vec![linked(2, n)]));
        }
        directory
            .commit(&acme(), vec![to_user(user_id(n), events)])
            .await;
        if n % 3 == 1 {
            directory.commit(&acme(), vec![signed_in(user_id(n))]).await;
        }
    }
    for n in [3, 8, 21] {
        directory
            .commit(
                &acme(),
                vec![to_user(user_id(n), vec![UserLocked {}.into()])],
            )
            .await;
    }
    directory
        .commit(
            &acme(),
            vec![to_user(user_id(39), vec![UserDeleted {}.into()]).forgetting()],
        )
        .await;
    let views = directory.views().await;
    (directory, views)
}

/// All rows of a list, read page by page. What is told of them is the same.
pub async fn pages(views: &Views, query: &ListUsers) -> Vec<UserRow> {
    let mut query = query.clone();
    let mut all = Vec::new();
    loop {
        let page = views.users().list(query.clone()).await.unwrap();
        assert!(page.rows.len() <= query.limit as usize);
        let rows = page.rows.iter().cloned().map(Box::new);
        let told = views.users().told(tell).list(query.clone()).await.unwrap();
        let expected: Vec<_> = rows.map(|row| tell(FoundUser::Present(row))).collect();
        assert_eq!((told.rows, &told.next), (expected, &page.next));
        all.extend(page.rows);
        // A key travels as text.
        let next = page.next.map(|key| serde_json::to_string(&key).unwrap());
        match next {
            Some(key) => query.after = Some(serde_json::from_str(&key).unwrap()),
            None => return all,
        }
    }
}

pub fn ids(rows: &[UserRow]) -> Vec<UserId> {
    rows.iter().map(|row| row.user_id).collect()
}

/// The text or number by which a row is sorted, made here by other means than in the view.
pub fn key(row: &UserRow, sort: UserSort) -> (String, i64) {
    let bare = |text: &str| {
        let replaced = text
            .to_lowercase()
            .replace(['å', 'ä'], "a")
            .replace(['ö', 'ø'], "o");
        (replaced, 0)
    };
    match sort {
        UserSort::Signature => bare(&row.signature),
        UserSort::UserName => bare(&row.user_name),
        UserSort::FirstName => bare(&row.first_name),
        UserSort::LastName => bare(&row.last_name),
        UserSort::Email => bare(&row.email),
        UserSort::Status => (String::new(), row.status as i64),
        UserSort::UserType => (String::new(), row.user_type as i64),
        UserSort::Role => (row.roles.first().cloned().unwrap_or_default(), 0),
        UserSort::LastSignedInAt => {
            let at = row.last_signed_in_at.map_or(0, |at| at.timestamp_micros());
            (String::new(), at)
        }
        UserSort::CreatedAt => (String::new(), row.created_at.timestamp_micros()),
        UserSort::ModifiedAt => (String::new(), row.modified_at.timestamp_micros()),
    }
}

#[tokio::test]
async fn r53_every_column_sorts_both_ways_and_r54_shows_each_row_exactly_once() {
    let (mut directory, views) = crowd().await;
    for login in [Login::Email, Login::Signature] {
        let mut all = views
            .users()
            .list(ListUsers {
                limit: 1000,
                ..ListUsers::of(acme())
            })
            .await
            .unwrap()
            .rows;
        assert_eq!(all.len(), 39);
        for sort in SORTS {
            all.sort_by_key(|row| (key(row, sort), row.user_id));
            for (descending, limit) in [(false, 7), (true, 7), (false, 1), (true, 39)] {
                let query = ListUsers {
                    sort,
                    descending,
                    limit,
                    ..ListUsers::of(acme())
                };
                let mut expected = ids(&all);
                if descending {
                    expected.reverse();
                }
                assert_eq!(
                    ids(&pages(&views, &query).await),
                    expected,
                    "{sort:?} {descending} {login:?}"
                );
            }
        }
        if login == Login::Email {
            let changed = LoginChanged {
                login: Login::Signature,
            };
            directory
                .commit(&acme(), vec![to_account(&acme(), vec![changed.into()])])
                .await;
            views.users().fresh(Freshness::Latest, None).await.unwrap();
        }
    }
}

#[tokio::test]
async fn r50_filters_combine_and_the_total_counts_what_matches() {
    let (_directory, views) = crowd().await;
    let all = views
        .users()
        .list(ListUsers {
            limit: 1000,
            ..ListUsers::of(acme())
        })
        .await
        .unwrap()
        .rows;
    let companies = [
        CompanyFilter::Any,
        CompanyFilter::In(company_id(1)),
        CompanyFilter::In(company_id(2)),
        CompanyFilter::None,
    ];
    let statuses = [
        vec![],
        vec![Status::LockedByAdmin],
        vec![Status::Inactive, Status::Provisioned],
    ];
    let roles = [
        None,
        Some("approver".to_owned()),
        Some("unknown".to_owned()),
    ];
    let types = [None, Some(UserType::Administrator)];
    let mut shown = 0;
    for company in companies {
        for active in [None, Some(true), Some(false)] {
            for statuses in &statuses {
                for role in &roles {
                    for user_type in types {
                        let query = ListUsers {
                            company,
                            active,
                            statuses: statuses.clone(),
                            role: role.clone(),
                            user_type,
                            sort: UserSort::LastName,
                            limit: 4,
                            total: true,
                            ..ListUsers::of(acme())
                        };
                        let mut expected: Vec<&UserRow> =
                            all.iter().filter(|row| matches(row, &query)).collect();
                        expected.sort_by_key(|row| (key(row, UserSort::LastName), row.user_id));
                        let expected: Vec<UserId> =
                            expected.into_iter().map(|row| row.user_id).collect();
                        let total = views.users().list(query.clone()).await.unwrap().total;
                        assert_eq!(total, Some(expected.len() as u64), "{query:?}");
                        assert_eq!(ids(&pages(&views, &query).await), expected, "{query:?}");
                        shown += expected.len();
                    }
                }
            }
        }
    }
    assert!(
        shown > 200,
        "the filters let too little through to prove anything: {shown}"
    );
}

/// Whether the filters of a list let a row through.
pub fn matches(row: &UserRow, query: &ListUsers) -> bool {
    let company = match query.company {
        CompanyFilter::Any => true,
        CompanyFilter::In(company) => row.companies.iter().any(|link| link.company_id == company),
        CompanyFilter::None => row.companies.is_empty(),
    };
    company
        && query
            .active
            .is_none_or(|active| row.facets.active == active)
        && (query.statuses.is_empty() || query.statuses.contains(&row.status))
        && query
            .role
            .as_ref()
            .is_none_or(|role| row.roles.contains(role))
        && query
            .user_type
            .is_none_or(|user_type| row.user_type == user_type)
}

#[tokio::test]
async fn r1_a_user_without_a_company_is_listed_as_such() {
    let mut directory = Directory::with_account().await;
    directory
        .commit(&acme(), vec![to_user(user_id(1), vec![person(1).into()])])
        .await;
    directory
        .commit(
            &acme(),
            vec![to_user(
                user_id(2),
                vec![person(2).into(), joins(vec![linked(1, 2)])],
            )],
        )
        .await;
    let views = directory.views().await;
    let query = ListUsers {
        company: CompanyFilter::None,
        ..ListUsers::of(acme())
    };
    assert_eq!(ids(&pages(&views, &query).await), [user_id(1)]);
}

#[tokio::test]
async fn nobody_is_external_yet() {
    let mut directory = Directory::with_account().await;
    directory
        .commit(&acme(), vec![to_user(user_id(1), vec![person(1).into()])])
        .await;
    let views = directory.views().await;
    for (external, count) in [(None, 1), (Some(false), 1), (Some(true), 0)] {
        let page = views
            .users()
            .list(ListUsers {
                external,
                total: true,
                ..ListUsers::of(acme())
            })
            .await
            .unwrap();
        assert_eq!((page.rows.len(), page.total), (count, Some(count as u64)));
    }
}

#[tokio::test]
async fn a_list_shows_the_users_of_its_account_alone() {
    let (_directory, views) = crowd().await;
    for company in [CompanyFilter::Any, CompanyFilter::In(company_id(1))] {
        let other = AccountId::parse("other").unwrap();
        let page = views
            .users()
            .list(ListUsers {
                company,
                total: true,
                ..ListUsers::of(other)
            })
            .await
            .unwrap();
        assert_eq!((page.rows.len(), page.total), (0, Some(0)));
    }
}

#[tokio::test]
async fn r54_rows_that_do_not_move_are_shown_once_while_others_come_go_and_move() {
    let (mut directory, views) = crowd().await;
    let mut query = ListUsers {
        sort: UserSort::LastName,
        limit: 5,
        ..ListUsers::of(acme())
    };
    let mut seen = Vec::new();
    let mut next = 100;
    loop {
        let page = views.users().list(query.clone()).await.unwrap();
        seen.extend(ids(&page.rows));
        let Some(key) = page.next else { break };
        query.after = Some(key);
        // One comes, one goes behind, one is changed where it stands.
        directory
            .commit(
                &acme(),
                vec![to_user(
                    user_id(next),
                    vec![named(next, &format!("N{next}"), "A", "Åb").into()],
                )],
            )
            .await;
        let renamed = UserRenamed {
            first_name: person_name("Moved"),
            last_name: person_name("Ääkkönen"),
        };
        directory
            .commit(
                &acme(),
                vec![to_user(user_id(next % 3), vec![renamed.into()])],
            )
            .await;
        directory
            .commit(
                &acme(),
                vec![to_user(
                    user_id(4 + next % 3),
                    vec![UserDeactivated {}.into()],
                )],
            )
            .await;
        views.users().fresh(Freshness::Latest, None).await.unwrap();
        next += 1;
    }
    for n in 3..39 {
        assert_eq!(
            seen.iter().filter(|id| **id == user_id(n)).count(),
            1,
            "user {n}"
        );
    }
}

#[tokio::test]
async fn pages_go_on_by_the_column_they_began_with_when_the_login_changes() {
    let (mut directory, views) = crowd().await;
    let mut query = ListUsers {
        sort: UserSort::UserName,
        limit: 20,
        ..ListUsers::of(acme())
    };
    let first = views.users().list(query.clone()).await.unwrap();
    let changed = LoginChanged {
        login: Login::Signature,
    };
    directory
        .commit(&acme(), vec![to_account(&acme(), vec![changed.into()])])
        .await;
    views.users().fresh(Freshness::Latest, None).await.unwrap();
    query.after = first.next;
    let mut seen = ids(&first.rows);
    seen.extend(ids(&pages(&views, &query).await));
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 39);
}
