//! Lists with any filters, searches, order and page size, over random users of awkward names, held against an answer that is
//! made here by trying everything.

use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::TestRunner;
use rollbook_aggregates::user::{
    PasswordState, Status, UserDeactivated, UserDeleted, UserEvent, UserLocked, UserRenamed,
};
use rollbook_aggregates::values::UserType;
use rollbook_projections::{CompanyFilter, ListUsers, UserRow, UserSort, Views};

use crate::kit::*;
use crate::lists::{SORTS, ids, matches, pages};
use crate::searches::{Typed, bare, everybody, typed};

/// Somebody, and what happens to it.
#[derive(Clone, Debug)]
struct Somebody {
    first_name: String,
    last_name: String,
    renamed: Option<String>,
    administrator: bool,
    onboarded: bool,
    one_time: bool,
    what: u8,
    companies: [bool; 2],
    supervisor: u64,
}

/// Few letters, so that many names are alike; and all that a pattern, a database or a reader may stumble over.
fn name() -> impl Strategy<Value = String> {
    let awkward = select(vec![
        r"100% \ *",
        "O'Brien",
        "Ann Ann",
        "ÅÄÖ",
        "ß",
        "ss",
        "Ægir",
        "Łódź_",
        "x\"y",
        "--;DROP",
        "%",
        "*",
        r"\%",
        "a.b@c",
        "ANN",
        "ann",
        "Ånn",
    ]);
    prop_oneof![
        3 => "[AaÅåSsßnoøx]{1,4}",
        2 => "[A-C][a-c]{0,3}( [a-c]{1,2})?",
        2 => awkward.prop_map(str::to_owned),
        1 => "[å]{60,90}",
    ]
}

fn somebody() -> impl Strategy<Value = Somebody> {
    let flags = (any::<[bool; 3]>(), any::<[bool; 2]>());
    let rest = (any::<u8>(), 0..30_u64);
    (name(), name(), weighted(0.2, name()), flags, rest).prop_map(
        |(first_name, last_name, renamed, (flags, companies), (what, supervisor))| Somebody {
            first_name,
            last_name,
            renamed,
            administrator: flags[0],
            onboarded: flags[1],
            one_time: flags[2],
            what,
            companies,
            supervisor,
        },
    )
}

fn life(n: u64, it: &Somebody, all: u64) -> Vec<UserEvent> {
    let code = ["AN", "SÅ", "X", "GR"][usize::from(it.what) % 4];
    let mut created = named(n, &format!("{code}{n}"), &it.first_name, &it.last_name);
    created.onboarded = it.onboarded;
    if it.administrator {
        created.user_type = UserType::Administrator;
    }
    if it.one_time {
        created.password = PasswordState::OneTime;
    }
    let mut events = vec![created.into()];
    for (company, joined) in [1, 2].into_iter().zip(it.companies) {
        if joined {
            events.push(joins(vec![linked(company, it.supervisor % all)]));
        }
    }
    events.push(roles(&["clerk", "approver"][..usize::from(it.what) % 3]));
    if let Some(name) = &it.renamed {
        let renamed = UserRenamed {
            first_name: person_name(name),
            last_name: person_name(&it.last_name),
        };
        events.push(renamed.into());
    }
    match it.what % 7 {
        0 => events.push(UserDeactivated {}.into()),
        1 => events.push(UserLocked {}.into()),
        _ => {}
    }
    events
}

async fn directory_of(mut directory: Directory, people: &[Somebody]) -> (Directory, Views) {
    for (n, it) in (0..).zip(people) {
        let happens = to_user(user_id(n), life(n, it, people.len() as u64));
        directory.commit(&acme(), vec![happens]).await;
        if it.what % 5 == 0 {
            directory.commit(&acme(), vec![signed_in(user_id(n))]).await;
        }
    }
    for (n, _) in (0..).zip(people).filter(|(_, it)| it.what % 17 == 0) {
        let deleted = to_user(user_id(n), vec![UserDeleted {}.into()]).forgetting();
        directory.commit(&acme(), vec![deleted]).await;
    }
    let views = directory.views().await;
    (directory, views)
}

#[derive(Clone, Debug)]
struct Asked {
    typed: Typed,
    query: ListUsers,
}

fn asked() -> impl Strategy<Value = Asked> {
    let companies = select(vec![
        CompanyFilter::Any,
        CompanyFilter::Any,
        CompanyFilter::In(company_id(1)),
        CompanyFilter::In(company_id(2)),
        CompanyFilter::None,
    ]);
    let statuses = select(vec![
        Status::Inactive,
        Status::LockedByAdmin,
        Status::AwaitingNewPassword,
        Status::Provisioned,
        Status::Active,
    ]);
    let filters = (
        companies,
        weighted(0.3, any::<bool>()),
        prop_oneof![2 => Just(Vec::new()), 1 => vec(statuses, 1..3)],
        weighted(0.3, select(vec!["clerk".to_owned(), "approver".to_owned()])),
        weighted(
            0.3,
            select(vec![UserType::Administrator, UserType::Standard]),
        ),
    );
    let order = (select(SORTS.to_vec()), any::<bool>(), 1..9_u32);
    let search = prop_oneof![1 => Just(Typed::default()), 2 => typed()];
    (search, filters, order).prop_map(|(typed, filters, (sort, descending, limit))| {
        let (company, active, statuses, role, user_type) = filters;
        let query = ListUsers {
            search: typed.search(),
            company,
            active,
            statuses,
            role,
            user_type,
            sort,
            descending,
            limit,
            total: true,
            ..ListUsers::of(acme())
        };
        Asked { typed, query }
    })
}

/// What a row is sorted by, made by other means than in the view.
fn key(row: &UserRow, sort: UserSort) -> (String, i64) {
    match sort {
        UserSort::Signature => (bare(&row.signature), 0),
        UserSort::UserName => (bare(&row.user_name), 0),
        UserSort::FirstName => (bare(&row.first_name), 0),
        UserSort::LastName => (bare(&row.last_name), 0),
        UserSort::Email => (bare(&row.email), 0),
        _ => crate::lists::key(row, sort),
    }
}

async fn check(views: &Views, all: &[UserRow], Asked { typed, query }: &Asked) -> usize {
    let found = |row: &&UserRow| matches(row, query) && typed.finds(row, all, query.company);
    let mut expected: Vec<&UserRow> = all.iter().filter(found).collect();
    expected.sort_by_key(|row| (key(row, query.sort), row.user_id));
    if query.descending {
        expected.reverse();
    }
    let expected: Vec<_> = expected.into_iter().map(|row| row.user_id).collect();
    let first = views.users().list(query.clone()).await.unwrap();
    assert_eq!(first.total, Some(expected.len() as u64), "{query:?}");
    assert_eq!(ids(&pages(views, query).await), expected, "{query:?}");
    expected.len()
}

/// Asks random directories, of which each is begun so and ended so.
fn ask_random_directories<B, E>(
    cases: u32,
    least: usize,
    begin: impl Fn() -> B,
    end: impl Fn(Directory) -> E,
) where
    B: Future<Output = Directory>,
    E: Future<Output = ()>,
{
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let mut runner = TestRunner::new(ProptestConfig {
        cases,
        // Each step makes a directory anew.
        max_shrink_iters: 50,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let cases = (vec(somebody(), 20..60), vec(asked(), 60));
    let shown = std::cell::Cell::new(0);
    runner
        .run(&cases, |(people, asked)| {
            runtime.block_on(async {
                let (directory, views) = directory_of(begin().await, &people).await;
                let all = everybody(&views).await;
                for asked in &asked {
                    let more = check(&views, &all, asked).await;
                    shown.set(shown.get() + more);
                }
                views.shutdown().await;
                end(directory).await;
            });
            Ok(())
        })
        .unwrap();
    let shown = shown.get();
    assert!(
        shown > least,
        "too little matches to prove anything: {shown}"
    );
}

#[test]
fn r50_any_filters_with_r51_any_search_in_r53_any_order_are_what_trying_everything_finds() {
    ask_random_directories(10, 500, Directory::with_account, async |_| {});
}

#[test]
fn r50_the_same_is_found_where_the_log_is_in_postgresql() {
    ask_random_directories(
        2,
        50,
        Directory::with_account_on_postgres,
        Directory::remove,
    );
}
