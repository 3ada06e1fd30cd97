use rollbook_aggregates::user::Status;
use rollbook_aggregates::values::{AccountId, UserId, UserType};
use uuid::Uuid;

use super::*;
use crate::pattern::{Pattern, teach};
use crate::users::as_you_type::{self, FindUsers};
use crate::users::{INDEXES, TABLES, accounts, grams, names, numbers};

const COLUMNS: [(UserSort, &str); 10] = [
    (UserSort::LastSignedInAt, "users_by_last_signed_in"),
    (UserSort::Signature, "users_by_signature"),
    (UserSort::FirstName, "users_by_first_name"),
    (UserSort::LastName, "users_by_last_name"),
    (UserSort::Email, "users_by_email"),
    (UserSort::Status, "users_by_status"),
    (UserSort::UserType, "users_by_user_type"),
    (UserSort::Role, "users_by_first_role"),
    (UserSort::CreatedAt, "users_by_created_at"),
    (UserSort::ModifiedAt, "users_by_modified_at"),
];

/// Three hundred users: a third in one company, a third with a role, a few inactive, all of whom the first supervises.
const USERS: &str = "
    INSERT INTO user_numbers (account_id, account, last, users)
    VALUES ('acme', 1, 300, 0);

    WITH RECURSIVE numbers (n) AS (
        SELECT 1
        UNION ALL
        SELECT n + 1
        FROM numbers
        WHERE n < 300
    )
    INSERT INTO users (
        number, user_id, account_id, signature, signature_folded, signature_key, first_name, first_name_key,
        last_name, last_name_key, email, email_folded, email_key, user_type, active, new_password, onboarded,
        first_role, companies, sessions_valid_from, created_at, modified_at, revision, position
    )
    SELECT
        (1 << 40) + n, CAST(printf('%016d', n * 7919 % 1000) AS BLOB), 'acme', n, n, n % 10,
        n, 'first' || (n % 7), n, 'last' || (n % 5), n, n, 'mail' || (n % 3) || '@' || n,
        1 + n % 2, n % 20 <> 0, n % 9 = 0, n % 4 <> 0,
        CASE n % 3 WHEN 0 THEN 'clerk' ELSE '' END, n % 3 = 1, 0, n, 1000 - n, 1, n
    FROM numbers;

    INSERT INTO user_roles (user_id, account_id, role)
    SELECT user_id, account_id, first_role
    FROM users
    WHERE first_role <> '';

    INSERT INTO user_companies (user_id, company_id, supervisor, show_as_addressee, signature_key)
    SELECT user_id, CAST('company-company-' AS BLOB), CAST('0000000000000919' AS BLOB), 0, signature_key
    FROM users
    WHERE companies = 1;
";

fn tables() -> Connection {
    let tables = Connection::open_in_memory().unwrap();
    teach(&tables).unwrap();
    grams::teach(&tables).unwrap();
    let statements = [
        accounts::TABLES,
        TABLES,
        numbers::TABLES,
        grams::TABLES,
        names::TABLES,
    ];
    for statements in statements.iter().chain(INDEXES).chain([&USERS]) {
        tables.execute_batch(statements).unwrap();
    }
    grams::settle(&tables).unwrap();
    tables
}

fn everybody() -> ListUsers {
    ListUsers {
        limit: 7,
        total: true,
        ..ListUsers::of(AccountId::parse("acme").unwrap())
    }
}

fn queries() -> Vec<ListUsers> {
    let company = Uuid::from_bytes(*b"company-company-").into();
    vec![
        everybody(),
        ListUsers {
            company: CompanyFilter::In(company),
            ..everybody()
        },
        ListUsers {
            company: CompanyFilter::None,
            ..everybody()
        },
        ListUsers {
            role: Some("clerk".to_owned()),
            ..everybody()
        },
        ListUsers {
            active: Some(false),
            ..everybody()
        },
        ListUsers {
            active: Some(true),
            statuses: vec![Status::Provisioned, Status::Active],
            ..everybody()
        },
        ListUsers {
            user_type: Some(UserType::Standard),
            role: Some("clerk".to_owned()),
            ..everybody()
        },
    ]
}

fn searching(search: UserSearch) -> ListUsers {
    ListUsers {
        search,
        ..everybody()
    }
}

fn pattern(text: &str) -> Option<Pattern> {
    Pattern::parse(text).ok()
}

fn searches() -> Vec<ListUsers> {
    let supervisor = Uuid::from_bytes(*b"0000000000000919").into();
    vec![
        searching(UserSearch {
            first_name: pattern("FIRST3"),
            ..UserSearch::default()
        }),
        searching(UserSearch {
            first_name: pattern("fir*"),
            last_name: pattern("*st2"),
            ..UserSearch::default()
        }),
        searching(UserSearch {
            email: pattern("*il2@*"),
            ..UserSearch::default()
        }),
        searching(UserSearch {
            signature: pattern("*7*"),
            email: pattern("mail1@%"),
            ..UserSearch::default()
        }),
        ListUsers {
            company: queries()[1].company,
            ..searching(UserSearch {
                supervisor: pattern("first1 last1"),
                ..UserSearch::default()
            })
        },
        searching(UserSearch {
            email: pattern("*1*"),
            supervisor_id: Some(supervisor),
            ..UserSearch::default()
        }),
    ]
}

/// All users of a list, page by page: the way that is chosen, or always this one.
fn pages(tables: &Connection, mut query: ListUsers, way: Option<Way>) -> Vec<UserId> {
    let mut found = Vec::new();
    loop {
        let finder = Finder::new(tables, &query.account).unwrap();
        let listing = Listing::new(tables, &query, &finder).unwrap();
        let places = match way {
            None => listing.places().unwrap(),
            Some(Way::Walk) => listing.walk(i64::MAX).unwrap(),
            Some(Way::Gather(at)) => listing.gather(at).unwrap(),
        };
        let column = listing.column;
        let count = listing.count().unwrap();
        let page = Page::cut(places, query.limit, None, |place| UserKey {
            column,
            value: place.value.clone(),
            user_id: place.user_id,
        });
        found.extend(page.rows.iter().map(|place| place.user_id));
        query.after = page.next;
        if query.after.is_none() {
            assert_eq!(count, found.len() as u64);
            return found;
        }
    }
}

/// The way to those who fulfil the condition that few do.
fn way(listing: &Listing<'_>) -> Way {
    let narrowest = listing.narrowest(listing.short()).unwrap();
    narrowest.map_or(Way::Walk, |(at, _)| listing.to_members(at))
}

fn page(tables: &Connection, query: &ListUsers) -> Page<i64, UserKey> {
    let finder = Finder::new(tables, &query.account).unwrap();
    list(tables, query, &finder).unwrap()
}

fn listing(tables: &Connection, query: &ListUsers, ask: impl FnOnce(&Listing<'_>)) {
    let finder = Finder::new(tables, &query.account).unwrap();
    ask(&Listing::new(tables, query, &finder).unwrap());
}

fn plan(tables: &Connection, part: &Part) -> String {
    let sql = format!("EXPLAIN QUERY PLAN {}", part.sql);
    rows(tables, &sql, params_from_iter(&part.values), |row| {
        row.get::<_, String>(3)
    })
    .unwrap()
    .join("\n")
}

#[test]
fn the_same_users_are_found_whichever_way_is_taken() {
    let tables = tables();
    for query in queries().into_iter().chain(searches()) {
        let mut ways = vec![None];
        listing(&tables, &query, |listing| {
            let gathering = listing.conditions.iter().enumerate();
            let gathering = gathering.filter(|(_, condition)| condition.members.is_some());
            ways.extend(gathering.map(|(at, _)| Some(Way::Gather(at))));
        });
        assert!(ways.len() > 1 || query == everybody());
        for (sort, _) in COLUMNS {
            for descending in [false, true] {
                let query = ListUsers {
                    sort,
                    descending,
                    ..query.clone()
                };
                let walked = pages(&tables, query.clone(), Some(Way::Walk));
                assert!(walked.len() > 7, "{query:?}");
                for way in &ways {
                    assert_eq!(
                        walked,
                        pages(&tables, query.clone(), *way),
                        "{way:?} {query:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn r54_a_late_page_is_found_by_the_index_of_its_column_and_costs_what_the_first_one_costs() {
    let tables = tables();
    for (sort, index) in COLUMNS {
        for descending in [false, true] {
            let query = ListUsers {
                sort,
                descending,
                ..everybody()
            };
            let after = page(&tables, &query).next;
            let query = ListUsers { after, ..query };
            listing(&tables, &query, |listing| {
                let plan = plan(&tables, &listing.walking(i64::MAX));
                let key = listing.column.names().0;
                let seek = format!("INDEX {index} (account_id=? AND ({key},user_id)");
                assert!(
                    plan.contains(&seek) && !plan.contains("TEMP B-TREE"),
                    "{plan}"
                );
            });
        }
    }
}

#[test]
fn r51_a_search_in_the_column_that_sorts_reads_that_stretch_of_its_index_alone() {
    let tables = tables();
    for descending in [false, true] {
        let query = ListUsers {
            sort: UserSort::FirstName,
            descending,
            ..searching(UserSearch {
                first_name: pattern("first3*"),
                ..UserSearch::default()
            })
        };
        let after = page(&tables, &query).next;
        assert!(after.is_some());
        for (after, seek) in [
            (None, "first_name_key>? AND first_name_key<?"),
            (
                after,
                if descending {
                    "first_name_key>?"
                } else {
                    "first_name_key<?"
                },
            ),
        ] {
            let query = ListUsers {
                after,
                ..query.clone()
            };
            listing(&tables, &query, |listing| {
                assert_eq!(way(listing), Way::Walk);
                let plan = plan(&tables, &listing.walking(i64::MAX));
                let covered = plan.contains("USING COVERING INDEX users_by_first_name");
                assert!(covered && plan.contains(seek), "{plan}");
                assert!(!plan.contains("TEMP B-TREE"), "{plan}");
            });
        }
    }
}

#[test]
fn r51_in_the_column_that_sorts_those_are_walked_along_who_bear_a_name_that_fits() {
    let tables = tables();
    for descending in [false, true] {
        let query = ListUsers {
            sort: UserSort::LastName,
            descending,
            active: Some(true),
            ..searching(UserSearch {
                last_name: pattern("*st%"),
                ..UserSearch::default()
            })
        };
        let after = page(&tables, &query).next;
        for (after, seek) in [
            (None, "(account_id=? AND last_name_key=?)"),
            (after, "(account_id=? AND last_name_key=? AND user_id"),
        ] {
            let query = ListUsers {
                after,
                ..query.clone()
            };
            listing(&tables, &query, |listing| {
                let (at, named) = listing.named().unwrap();
                assert_eq!(named.bearers, 300);
                assert!(listing.conditions[at].walks_along(listing.column));
                let first = named.from(&query)[0];
                assert_eq!(first.key, if descending { "last4" } else { "last0" });
                let plan = plan(&tables, &listing.walking_among(at, &first.key, 100));
                let seek = format!("USING COVERING INDEX users_by_last_name {seek}");
                assert!(plan.contains(&seek), "{plan}");
                assert!(!plan.contains("TEMP B-TREE"), "{plan}");
                // A name is walked along as far as the budget goes, and no name behind it.
                let all = listing.walk(i64::MAX).unwrap();
                assert_eq!(
                    listing.walk(3).unwrap(),
                    all[..listing.walk(3).unwrap().len()]
                );
                assert!(listing.walk(3).unwrap().len() <= 3);
                assert!(listing.goes_on_behind(60).unwrap());
                assert!(!listing.goes_on_behind(300).unwrap());
            });
        }
    }
}

#[test]
fn r51_who_bears_a_name_is_gathered_without_a_row_where_the_index_of_the_names_tells_the_order() {
    let tables = tables();
    for (sort, covered) in [(UserSort::Signature, true), (UserSort::Email, false)] {
        let query = ListUsers {
            sort,
            active: Some(true),
            ..searching(UserSearch {
                first_name: pattern("*t3"),
                ..UserSearch::default()
            })
        };
        listing(&tables, &query, |listing| {
            let (at, bearers) = listing.rarest_names().unwrap();
            assert_eq!(bearers, 43);
            let plan = plan(&tables, &listing.gathering(&[at]));
            assert_eq!(
                plan.contains("USING COVERING INDEX users_by_first_name"),
                covered,
                "{plan}"
            );
        });
    }
}

#[test]
fn r51_of_each_first_name_the_first_by_last_name_are_read_and_merged() {
    let tables = tables();
    for (descending, active) in [(false, None), (true, None), (false, Some(true))] {
        let query = ListUsers {
            sort: UserSort::LastName,
            descending,
            active,
            ..searching(UserSearch {
                first_name: pattern("*irst*"),
                ..UserSearch::default()
            })
        };
        let after = page(&tables, &query).next;
        for (after, seek) in [(None, "last_name_key"), (after, "(last_name_key,user_id)")] {
            let query = ListUsers {
                after,
                ..query.clone()
            };
            listing(&tables, &query, |listing| {
                let (at, _) = listing.rarest_names().unwrap();
                let merged = listing.gather(at).unwrap();
                assert_eq!(merged, listing.find(&listing.gathering(&[at])).unwrap());
                assert_eq!(merged.len(), listing.wanted());
                let index = listing.column.behind(Column::FirstName).unwrap();
                let part = listing.first_bearing(at, "first3", index, merged.last());
                let plan = plan(&tables, &part);
                let names = "INDEX users_by_full_name (account_id=? AND first_name_key=? AND ";
                let covered = plan.contains(&format!("USING COVERING {names}"));
                assert!(covered && plan.contains(seek), "{plan}");
                assert!(!plan.contains("TEMP B-TREE"), "{plan}");
            });
        }
    }
}

#[test]
fn a_pattern_that_many_names_could_fit_is_walked_past_and_gathered_by_grams() {
    let tables = tables();
    tables
        .execute_batch("UPDATE users SET last_name_key = 'name' || (number % 1000000 * 1001)")
        .unwrap();
    grams::settle(&tables).unwrap();
    let names: i64 = tables
        .query_row("SELECT count(*) FROM user_names", [], |row| row.get(0))
        .unwrap();
    assert_eq!(names, 307, "those that nobody bears any more are gone");
    // One or two letters are looked for among fewer names than three.
    for (last_name, named) in [("*e*", false), ("*ame*", true), ("*me70*", true)] {
        let query = ListUsers {
            sort: UserSort::LastName,
            ..searching(UserSearch {
                last_name: pattern(last_name),
                ..UserSearch::default()
            })
        };
        listing(&tables, &query, |listing| {
            assert_eq!(listing.named().is_some(), named, "{last_name}");
            let by_text = |condition: &Condition| {
                let members = condition.members.as_ref();
                members.is_some_and(|members| members.by_text)
            };
            assert_eq!(listing.conditions.iter().any(by_text), !named);
        });
        let walked = pages(&tables, query.clone(), Some(Way::Walk));
        assert_eq!(walked, pages(&tables, query, None));
    }
}

#[test]
fn r50_a_company_by_signature_is_walked_along_its_links() {
    let tables = tables();
    for descending in [false, true] {
        let query = ListUsers {
            descending,
            ..queries()[1].clone()
        };
        let after = page(&tables, &query).next;
        assert!(after.is_some());
        for (after, seek) in [
            (None, "(company_id=?)"),
            (after, "(company_id=? AND (signature_key,user_id)"),
        ] {
            let query = ListUsers {
                after,
                ..query.clone()
            };
            listing(&tables, &query, |listing| {
                let plan = plan(&tables, &listing.walking(i64::MAX));
                let links = format!("link USING COVERING INDEX user_companies_by_company {seek}");
                assert!(plan.contains(&links), "{plan}");
                assert!(!plan.contains("TEMP B-TREE"), "{plan}");
            });
        }
    }
}

#[test]
fn r50_the_index_of_a_column_tells_who_is_active() {
    let tables = tables();
    for (sort, index) in COLUMNS {
        if sort == UserSort::Status {
            continue;
        }
        for active in [false, true] {
            let query = ListUsers {
                sort,
                active: Some(active),
                ..everybody()
            };
            listing(&tables, &query, |listing| {
                assert!(listing.is_covered());
                let plan = plan(&tables, &listing.walking(i64::MAX));
                let alone = sort == UserSort::Signature && !active;
                let index = if alone { "users_inactive" } else { index };
                let covered = format!("COVERING INDEX {index}");
                assert!(plan.contains(&covered), "{plan}");
                assert!(!plan.contains("TEMP B-TREE"), "{plan}");
            });
        }
    }
}

#[test]
fn few_are_walked_to_where_that_is_shorter() {
    let tables = tables();
    for (limit, sort, walked) in [
        (2, UserSort::Signature, true),
        (7, UserSort::Signature, false),
        (2, UserSort::Status, false),
    ] {
        let query = ListUsers {
            limit,
            sort,
            active: Some(false),
            ..everybody()
        };
        listing(&tables, &query, |listing| {
            let (at, inactive) = listing.narrowest(FEW).unwrap().unwrap();
            assert_eq!(inactive, 15);
            assert_eq!(
                listing.shorter_walk(at, inactive).is_some(),
                walked,
                "{limit} {sort:?}"
            );
        });
    }
}

#[test]
fn few_are_gathered_by_their_own_index() {
    let tables = tables();
    let members = [
        "user_companies_by_company",
        "users_without_company",
        "user_roles_by_role",
        "COVERING INDEX users_inactive",
    ];
    let filters = queries().into_iter().skip(1).zip(members);
    let searches = searches().into_iter().zip([
        "users_by_first_name",
        "users_by_last_name (account_id=? AND last_name_key=?)",
        "SCAN user_grams VIRTUAL TABLE",
        "users_by_email",
        "user_companies_by_supervisor",
    ]);
    for (query, index) in filters.chain(searches) {
        let query = ListUsers {
            sort: UserSort::CreatedAt,
            ..query
        };
        listing(&tables, &query, |listing| {
            let (narrowest, _) = listing.narrowest(300).unwrap().unwrap();
            let plan = plan(&tables, &listing.gathering(&[narrowest]));
            assert!(
                plan.contains(index) && !plan.contains("users_by_created_at"),
                "{index} {plan}"
            );
        });
    }
}

#[test]
fn many_are_walked_past_and_few_are_gathered() {
    let tables = tables();
    for (first_name, limit, gathered) in [
        ("first*", 7, false),
        ("*irs*", 7, false),
        ("*st4", 7, true),
        ("*i*", 7, false),
        ("nobody", 7, true),
        ("*nobody*", 7, true),
    ] {
        let query = ListUsers {
            limit,
            ..searching(UserSearch {
                first_name: pattern(first_name),
                ..UserSearch::default()
            })
        };
        listing(&tables, &query, |listing| {
            let way = way(listing);
            assert_eq!(
                matches!(way, Way::Gather(_)),
                gathered,
                "{first_name} {way:?}"
            );
        });
    }
}

#[test]
fn a_walk_that_is_too_long_is_given_up_for_what_few_have() {
    let tables = tables();
    // Too short to be counted, and rare.
    let query = ListUsers {
        limit: 100,
        ..searching(UserSearch {
            email: pattern("*99*"),
            ..UserSearch::default()
        })
    };
    listing(&tables, &query, |listing| {
        assert_eq!(way(listing), Way::Walk);
        assert!(listing.walk(100).unwrap().len() < listing.wanted());
        assert!(listing.goes_on_behind(100).unwrap() && !listing.goes_on_behind(300).unwrap());
        let out = listing.way_out().unwrap().unwrap();
        let found = listing.walk_or_gather().unwrap();
        assert_eq!(found, listing.find(&listing.gathering(&out)).unwrap());
        assert_eq!(found, listing.walk(i64::MAX).unwrap());
        assert_eq!(found.len(), 3);
    });
}

thread_local! {
    static ASKED: std::cell::RefCell<Vec<String>> = const { std::cell::RefCell::new(Vec::new()) };
}

fn asked(sql: &str) {
    ASKED.with_borrow_mut(|asked| asked.push(sql.to_owned()));
}

/// Figures as of a million users, half a million of them in the largest company.
const A_MILLION: &str = "
    ANALYZE;
    UPDATE sqlite_stat1
    SET stat = (
        SELECT group_concat(CASE part.key WHEN 0 THEN 1000000 ELSE max(1, part.value * 3000) END, ' ')
        FROM json_each('[' || replace(stat, ' ', ',') || ']') AS part
    )
    WHERE stat NOT GLOB '*[^0-9 ]*';
    ANALYZE sqlite_schema;
";

/// Every way that lists, searches and look-ups can go, page by page.
fn ask_everything(tables: &Connection) {
    for query in queries().into_iter().chain(searches()) {
        for (sort, _) in COLUMNS {
            for descending in [false, true] {
                let query = ListUsers {
                    sort,
                    descending,
                    ..query.clone()
                };
                let after = page(tables, &query).next;
                for after in [None, after] {
                    let query = ListUsers {
                        after,
                        ..query.clone()
                    };
                    page(tables, &query);
                    listing(tables, &query, |listing| {
                        listing.walk(1_000).unwrap();
                        listing.walk_or_gather().unwrap();
                        listing.goes_on_behind(3).unwrap();
                        listing.way_out().unwrap();
                        for (at, condition) in listing.conditions.iter().enumerate() {
                            if condition.members.is_some() {
                                listing.count_members(at, 100).unwrap();
                                listing.gather(at).unwrap();
                            }
                        }
                    });
                }
            }
        }
    }
    for text in ["f", "fi", "fir", "first3 last2", "1", "nobody"] {
        for active in [None, Some(true), Some(false)] {
            let query = FindUsers {
                account: everybody().account,
                text: text.to_owned(),
                active,
                limit: 20,
            };
            as_you_type::find(tables, &query).unwrap();
        }
    }
    let account = everybody().account;
    let finder = Finder::new(tables, &account).unwrap();
    finder
        .find(Uuid::from_bytes(*b"0000000000000919").into())
        .unwrap();
    finder
        .find(Uuid::from_bytes(*b"nobodynobodynobo").into())
        .unwrap();
    finder.by_signature("7").unwrap();
    finder.by_email("mail1@7").unwrap();
}

#[test]
fn r51_no_statement_reads_all_of_a_million_users() {
    for figures in ["", A_MILLION] {
        let mut tables = tables();
        tables.execute_batch(figures).unwrap();
        tables.trace(Some(asked));
        ask_everything(&tables);
        tables.trace(None);
        let mut statements = ASKED.take();
        // What a statement asks of the grams stands in it as a comment.
        statements.retain(|sql| !sql.starts_with("--"));
        statements.sort_unstable();
        statements.dedup();
        assert!(statements.len() > 500, "{}", statements.len());
        for sql in statements {
            let plan = plan(&tables, &Part::new(sql.clone(), []));
            // What is read from is called as the table is, too: `CO-ROUTINE users`, then `SCAN users`.
            let mut inner = plan
                .lines()
                .filter(|step| *step == "CO-ROUTINE users")
                .count();
            for step in plan.lines() {
                if step == "SCAN users" && inner > 0 {
                    inner -= 1;
                    continue;
                }
                let whole = [
                    "users",
                    "supervisors",
                    "link",
                    "user_companies",
                    "user_roles",
                ]
                .iter()
                .any(|table| {
                    step.strip_prefix("SCAN ")
                        .and_then(|rest| rest.strip_prefix(table))
                        .is_some_and(|rest| rest.is_empty() || rest.starts_with(" USING"))
                });
                // A walk that is given up after so many is a search within the index of the account.
                assert!(!whole, "{step}\n{plan}\n{sql}");
            }
        }
    }
}
