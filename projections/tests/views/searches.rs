//! Searches by pattern, and users found as somebody types, held against an answer that is made here by other means.

use proptest::prelude::*;
use rollbook_aggregates::user::{
    UserDeactivated, UserDeleted, UserEmailChanged, UserRenamed, UserSignatureChanged,
    UserSupervisorChanged,
};
use rollbook_aggregates::values::UserId;
use rollbook_projections::{
    CompanyFilter, FindUsers, Freshness, ListUsers, Pattern, UserRow, UserSearch, UserSort, Views,
};

use crate::kit::*;

const FIRST_NAMES: [&str; 9] = [
    "Anna",
    "Åsa",
    "Ann-Marie",
    "Łukasz",
    "Anna Maria",
    "Øyvind",
    "Groß",
    "Hanna",
    "100%",
];

const LAST_NAMES: [&str; 8] = [
    "Svensson",
    "Ångström",
    "O'Brien",
    "Ærø",
    "Ek",
    "Đorđević",
    "Svan",
    "Grossmann",
];

/// What a text is compared by, for the letters that occur here.
pub fn bare(text: &str) -> String {
    let replaced = text.to_lowercase().replace(['å', 'ä'], "a");
    [
        ("ö", "o"),
        ("ø", "o"),
        ("æ", "ae"),
        ("ß", "ss"),
        ("ł", "l"),
        ("đ", "d"),
        ("ć", "c"),
    ]
    .iter()
    .fold(replaced, |text, (from, to)| text.replace(from, to))
}

/// Seventy users of awkward names; every third is in company 1 and every second in company 2, where the first ten supervise.
async fn crowd() -> (Directory, Views) {
    let mut directory = Directory::with_account().await;
    for n in 0..70 {
        let mut events = vec![
            named(
                n,
                &format!("{}{n}", ["AN", "SÅ", "X", "GR"][(n % 4) as usize]),
                FIRST_NAMES[(n % 9) as usize],
                LAST_NAMES[(n % 8) as usize],
            )
            .into(),
        ];
        if n % 3 == 0 {
            events.push(joins(vec![linked(1, n % 10)]));
        }
        if n % 2 == 0 {
            events.push(joins(vec![linked(2, n % 7)]));
        }
        if n % 11 == 0 {
            events.push(UserDeactivated {}.into());
        }
        directory
            .commit(&acme(), vec![to_user(user_id(n), events)])
            .await;
    }
    // What they were called before is found no more.
    for n in [5, 6, 7, 8] {
        let renamed = UserRenamed {
            first_name: person_name("Quentin"),
            last_name: person_name("Ångström-Xu"),
        };
        let signed = UserSignatureChanged {
            signature: signature(&format!("QX{n}")),
        };
        let moved = UserEmailChanged {
            email: email(&format!("q{n}@moved.example")),
        };
        let events = vec![renamed.into(), signed.into(), moved.into()];
        directory
            .commit(&acme(), vec![to_user(user_id(n), events)])
            .await;
    }
    let supervised = UserSupervisorChanged {
        company_id: company_id(1),
        supervisor: user_id(7),
    };
    directory
        .commit(&acme(), vec![to_user(user_id(66), vec![supervised.into()])])
        .await;
    directory
        .commit(
            &acme(),
            vec![to_user(user_id(69), vec![UserDeleted {}.into()]).forgetting()],
        )
        .await;
    let views = directory.views().await;
    (directory, views)
}

pub async fn everybody(views: &Views) -> Vec<UserRow> {
    let all = ListUsers {
        limit: 1000,
        sort: UserSort::CreatedAt,
        ..ListUsers::of(acme())
    };
    views.users().list(all).await.unwrap().rows
}

/// Whether a text fits a pattern, by trying everything.
fn fits(pattern: &str, text: &str) -> bool {
    fn tried(pattern: &[char], text: &[char]) -> bool {
        match pattern {
            [] => text.is_empty(),
            ['*' | '%', rest @ ..] => (0..=text.len()).any(|skip| tried(rest, &text[skip..])),
            ['\\', letter, rest @ ..] | [letter, rest @ ..] => {
                text.first() == Some(letter) && tried(rest, &text[1..])
            }
        }
    }
    let letters = |text: &str| bare(text).chars().collect::<Vec<_>>();
    tried(&letters(pattern), &letters(text))
}

fn is_called(pattern: &str, row: &UserRow) -> bool {
    let full = format!("{} {}", row.first_name, row.last_name);
    [
        &row.signature,
        &row.first_name,
        &row.last_name,
        &row.email,
        &full,
    ]
    .into_iter()
    .any(|text| fits(pattern, text))
}

/// A search as it is typed.
#[derive(Clone, Debug, Default)]
pub struct Typed {
    signature: Option<String>,
    first_name: Option<String>,
    last_name: Option<String>,
    email: Option<String>,
    supervisor: Option<String>,
    supervisor_id: Option<UserId>,
}

impl Typed {
    pub fn search(&self) -> UserSearch {
        let pattern = |text: &Option<String>| {
            let parsed = text.as_deref().map(Pattern::parse);
            parsed.map(Result::unwrap)
        };
        UserSearch {
            signature: pattern(&self.signature),
            first_name: pattern(&self.first_name),
            last_name: pattern(&self.last_name),
            email: pattern(&self.email),
            supervisor: pattern(&self.supervisor),
            supervisor_id: self.supervisor_id,
        }
    }

    pub fn finds(&self, row: &UserRow, all: &[UserRow], company: CompanyFilter) -> bool {
        let is = |pattern: &Option<String>, text: &str| {
            pattern.as_deref().is_none_or(|pattern| fits(pattern, text))
        };
        let above: Vec<&UserRow> = row
            .companies
            .iter()
            .filter(|link| match company {
                CompanyFilter::In(company) => link.company_id == company,
                CompanyFilter::Any | CompanyFilter::None => true,
            })
            .filter(|link| link.supervisor != row.user_id)
            .filter_map(|link| all.iter().find(|other| other.user_id == link.supervisor))
            .collect();
        let called = |pattern: &String| above.iter().any(|row| is_called(pattern, row));
        let supervised = |id: UserId| above.iter().any(|row| row.user_id == id);
        is(&self.signature, &row.signature)
            && is(&self.first_name, &row.first_name)
            && is(&self.last_name, &row.last_name)
            && is(&self.email, &row.email)
            && self.supervisor.as_ref().is_none_or(called)
            && self.supervisor_id.is_none_or(supervised)
    }
}

/// Checks a search in both directions, page by page; answers how many it found.
async fn check(
    views: &Views,
    all: &[UserRow],
    typed: &Typed,
    sort: UserSort,
    company: CompanyFilter,
) -> usize {
    let in_company = |row: &UserRow| match company {
        CompanyFilter::Any => true,
        CompanyFilter::In(company) => row.companies.iter().any(|link| link.company_id == company),
        CompanyFilter::None => row.companies.is_empty(),
    };
    let key = |row: &UserRow| match sort {
        UserSort::FirstName => bare(&row.first_name),
        UserSort::LastName => bare(&row.last_name),
        UserSort::Email => bare(&row.email),
        _ => bare(&row.signature),
    };
    let mut expected: Vec<&UserRow> = all
        .iter()
        .filter(|row| in_company(row) && typed.finds(row, all, company))
        .collect();
    expected.sort_by_key(|row| (key(row), row.user_id));
    let mut expected: Vec<UserId> = expected.into_iter().map(|row| row.user_id).collect();
    for descending in [false, true] {
        let mut query = ListUsers {
            search: typed.search(),
            company,
            sort,
            descending,
            limit: 4,
            total: true,
            ..ListUsers::of(acme())
        };
        let mut found = Vec::new();
        loop {
            let page = views.users().list(query.clone()).await.unwrap();
            assert_eq!(page.total, Some(expected.len() as u64), "{typed:?}");
            found.extend(page.rows.iter().map(|row| row.user_id));
            query.after = page.next;
            if query.after.is_none() {
                break;
            }
        }
        assert_eq!(found, expected, "{typed:?} {sort:?} {company:?}");
        expected.reverse();
    }
    expected.len()
}

fn searches() -> Vec<Typed> {
    let some = |text: &str| Some(text.to_owned());
    vec![
        Typed {
            first_name: some("anna"),
            ..Typed::default()
        },
        Typed {
            first_name: some("ÅNNA*"),
            ..Typed::default()
        },
        Typed {
            last_name: some("%sson"),
            ..Typed::default()
        },
        Typed {
            last_name: some("*gross*"),
            ..Typed::default()
        },
        Typed {
            last_name: some("*'*"),
            ..Typed::default()
        },
        Typed {
            last_name: some("ångström-*"),
            ..Typed::default()
        },
        Typed {
            last_name: some("*k"),
            ..Typed::default()
        },
        Typed {
            first_name: some(r"100\%"),
            ..Typed::default()
        },
        Typed {
            first_name: some("lukasz"),
            last_name: some("*a*"),
            ..Typed::default()
        },
        Typed {
            signature: some("*1"),
            email: some("sa*"),
            ..Typed::default()
        },
        Typed {
            email: some("*@moved.example"),
            ..Typed::default()
        },
        Typed {
            email: some("a*@*.com"),
            ..Typed::default()
        },
        Typed {
            signature: some("*"),
            last_name: some("s*n"),
            ..Typed::default()
        },
        Typed {
            supervisor: some("*"),
            ..Typed::default()
        },
        Typed {
            supervisor: some("quentin angstrom-xu"),
            ..Typed::default()
        },
        Typed {
            supervisor: some("*@moved*"),
            first_name: some("*a*"),
            ..Typed::default()
        },
        Typed {
            supervisor: some("s*"),
            ..Typed::default()
        },
        Typed {
            supervisor_id: Some(user_id(3)),
            ..Typed::default()
        },
        Typed {
            supervisor_id: Some(user_id(7)),
            supervisor: some("qx7"),
            ..Typed::default()
        },
    ]
}

#[tokio::test]
async fn r51_searches_find_what_trying_everything_finds() {
    let (_directory, views) = crowd().await;
    let all = everybody(&views).await;
    for typed in &searches() {
        let mut found = 0;
        for sort in [
            UserSort::Signature,
            UserSort::FirstName,
            UserSort::LastName,
            UserSort::Email,
        ] {
            for company in [
                CompanyFilter::Any,
                CompanyFilter::In(company_id(1)),
                CompanyFilter::None,
            ] {
                found += check(&views, &all, typed, sort, company).await;
            }
        }
        assert!(found > 0, "{typed:?} finds nothing to prove anything by");
    }
}

fn pattern() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => Just("*".to_owned()),
        2 => Just("%".to_owned()),
        1 => Just(r"\%".to_owned()),
        8 => "[aåsnoxøekg0-3]{1,2}",
        4 => prop_oneof![
            Just("ann"), Just("sven"), Just("ss"), Just("an"), Just("mar"), Just("angst"), Just("example")
        ].prop_map(str::to_owned),
    ];
    prop::collection::vec(piece, 1..5).prop_map(|pieces| pieces.concat())
}

pub fn typed() -> impl Strategy<Value = Typed> {
    let maybe = || prop::option::weighted(0.35, pattern());
    (maybe(), maybe(), maybe(), maybe(), maybe()).prop_map(
        |(signature, first_name, last_name, email, supervisor)| Typed {
            signature,
            first_name,
            last_name,
            email,
            supervisor,
            supervisor_id: None,
        },
    )
}

#[test]
fn r51_any_search_finds_what_trying_everything_finds() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let (_directory, views) = runtime.block_on(crowd());
    let all = runtime.block_on(everybody(&views));
    let sorts = [UserSort::Signature, UserSort::LastName, UserSort::Email];
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(300));
    let companies = [
        CompanyFilter::Any,
        CompanyFilter::In(company_id(1)),
        CompanyFilter::None,
    ];
    let cases = (
        typed(),
        prop::sample::select(sorts.to_vec()),
        prop::sample::select(companies.to_vec()),
    );
    runner
        .run(&cases, |(typed, sort, company)| {
            runtime.block_on(check(&views, &all, &typed, sort, company));
            Ok(())
        })
        .unwrap();
}

/// How well a user matches, from the best, 0, on.
fn rank(row: &UserRow, typed: &str) -> Option<u8> {
    let typed = bare(typed);
    let texts =
        [&row.signature, &row.first_name, &row.last_name, &row.email].map(|text| bare(text));
    let [signature, first_name, last_name, email] = &texts;
    let mut words = typed.split_whitespace();
    if !words
        .clone()
        .all(|word| texts.iter().any(|text| text.contains(word)))
    {
        return None;
    }
    let typed = words.clone().collect::<Vec<_>>().join(" ");
    let first = words.next().unwrap();
    Some(if *signature == typed {
        0
    } else if signature.starts_with(&typed) {
        1
    } else if first_name.starts_with(first) || last_name.starts_with(first) {
        2
    } else if email.starts_with(&typed) {
        3
    } else {
        4
    })
}

#[tokio::test]
async fn r52_the_best_matches_for_what_was_typed_come_first() {
    let (_directory, views) = crowd().await;
    let all = everybody(&views).await;
    for typed in [
        "a",
        "å",
        "x",
        "q",
        "z",
        "1",
        "an",
        "sa",
        "ek",
        "xu",
        "anna",
        "ANN",
        "sven",
        "son",
        "gross",
        "maria",
        "'b",
        "100%",
        "qx7",
        "an4",
        "example",
        "moved",
        "anna sven",
        "ang q",
        "e sa",
        "nobody",
        " o'brien ",
    ] {
        for active in [None, Some(true), Some(false)] {
            for limit in [1, 5, 100] {
                let query = FindUsers {
                    account: acme(),
                    text: typed.to_owned(),
                    active,
                    limit,
                };
                let found = views.users().find(query).await.unwrap();
                let ranks: Vec<u8> = found.iter().map(|row| rank(row, typed).unwrap()).collect();
                let mut best: Vec<u8> = all
                    .iter()
                    .filter(|row| active.is_none_or(|active| row.facets.active == active))
                    .filter_map(|row| rank(row, typed))
                    .collect();
                best.sort_unstable();
                best.truncate(limit as usize);
                assert_eq!(ranks, best, "{typed} {active:?} {limit}");
                assert!(
                    active.is_none_or(|active| found.iter().all(|row| row.facets.active == active))
                );
                let mut once: Vec<UserId> = found.iter().map(|row| row.user_id).collect();
                once.sort_unstable();
                once.dedup();
                assert_eq!(once.len(), found.len(), "{typed}");
            }
        }
    }
}

#[tokio::test]
async fn r52_what_somebody_is_called_now_is_found_and_nothing_else() {
    let mut directory = Directory::with_account().await;
    let views = directory.views().await;
    let find = async |text: &str| {
        views.users().fresh(Freshness::Latest, None).await.unwrap();
        let query = FindUsers {
            account: acme(),
            text: text.to_owned(),
            active: None,
            limit: 10,
        };
        let found = views.users().find(query).await.unwrap();
        found.into_iter().map(|row| row.user_id).collect::<Vec<_>>()
    };
    let created = named(1, "SIG", "Adalbert", "Zwicky");
    directory
        .commit(&acme(), vec![to_user(user_id(1), vec![created.into()])])
        .await;
    assert_eq!(find("dalbe").await, [user_id(1)]);
    let renamed = UserRenamed {
        first_name: person_name("Ottilie"),
        last_name: person_name("Zwicky"),
    };
    directory
        .commit(&acme(), vec![to_user(user_id(1), vec![renamed.into()])])
        .await;
    assert_eq!(find("dalbe").await, []);
    assert_eq!(find("ttil wick").await, [user_id(1)]);
    directory
        .commit(
            &acme(),
            vec![to_user(user_id(1), vec![UserDeleted {}.into()]).forgetting()],
        )
        .await;
    for gone in ["ttil", "wick", "sig", "ot"] {
        assert_eq!(find(gone).await, [], "{gone}");
    }
}
