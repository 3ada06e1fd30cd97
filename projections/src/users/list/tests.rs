use rollbook_aggregates::user::Status;
use rollbook_aggregates::values::{AccountId, Login, UserId, UserType};
use uuid::Uuid;

use super::*;
use crate::users::TABLES;
use crate::users::accounts;

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

/// Three hundred users: a third in one company, a third with a role, a few inactive.
const USERS: &str = "
    WITH RECURSIVE numbers (n) AS (
        SELECT 1
        UNION ALL
        SELECT n + 1
        FROM numbers
        WHERE n < 300
    )
    INSERT INTO users (
        user_id, account_id, signature, signature_folded, signature_key, first_name, first_name_key,
        last_name, last_name_key, email, email_folded, email_key, user_type, active, new_password, onboarded,
        first_role, companies, sessions_valid_from, created_at, modified_at, revision, position
    )
    SELECT
        CAST(printf('%016d', n * 7919 % 1000) AS BLOB), 'acme', n, n, n % 10, n, n % 7,
        n, n % 5, n, n, n % 3, 1 + n % 2, n % 20 <> 0, n % 9 = 0, n % 4 <> 0,
        CASE n % 3 WHEN 0 THEN 'clerk' ELSE '' END, n % 3 = 1, 0, n, 1000 - n, 1, n
    FROM numbers;

    INSERT INTO user_roles (user_id, account_id, role)
    SELECT user_id, account_id, first_role
    FROM users
    WHERE first_role <> '';

    INSERT INTO user_companies (user_id, company_id, supervisor, show_as_addressee)
    SELECT user_id, CAST('company-company-' AS BLOB), user_id, 0
    FROM users
    WHERE companies = 1;
";

fn tables() -> Connection {
    let tables = Connection::open_in_memory().unwrap();
    for statements in [accounts::TABLES, TABLES, USERS] {
        tables.execute_batch(statements).unwrap();
    }
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

fn pages(few: i64, tables: &Connection, mut query: ListUsers) -> Vec<UserId> {
    let mut found = Vec::new();
    loop {
        let page = list_where_few_are(few, tables, &query).unwrap();
        found.extend(page.rows.iter().map(|row| row.user_id));
        query.after = page.next;
        if query.after.is_none() {
            assert_eq!(page.total, Some(found.len() as u64));
            return found;
        }
    }
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
fn filters_let_the_same_users_through_whether_they_are_many_or_few() {
    let tables = tables();
    for (sort, _) in COLUMNS {
        for query in queries() {
            for descending in [false, true] {
                let query = ListUsers {
                    sort,
                    descending,
                    ..query.clone()
                };
                let many = pages(0, &tables, query.clone());
                assert!(many.len() > 10);
                assert_eq!(many, pages(FEW, &tables, query.clone()), "{query:?}");
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
            let after = list(&tables, &query).unwrap().next;
            let query = ListUsers { after, ..query };
            let column = Column::of(sort, Login::Email);
            let part = page(
                &query,
                column,
                matching(FEW, &tables, &query, column).unwrap(),
            );
            let plan = plan(&tables, &part);
            let key = column.names().0;
            let seek = format!("USING INDEX {index} (account_id=? AND ({key},user_id)");
            assert!(
                plan.contains(&seek) && !plan.contains("TEMP B-TREE"),
                "{plan}"
            );
        }
    }
}

#[test]
fn few_are_fetched_by_their_own_index() {
    let tables = tables();
    let members = [
        "user_companies_by_company",
        "users_without_company",
        "user_roles_by_role",
        "users_by_status",
    ];
    for (query, index) in queries().into_iter().skip(1).zip(members) {
        let column = Column::of(UserSort::LastName, Login::Email);
        let part = page(
            &query,
            column,
            matching(FEW, &tables, &query, column).unwrap(),
        );
        let plan = plan(&tables, &part);
        assert!(
            plan.contains(index) && !plan.contains("users_by_last_name"),
            "{plan}"
        );
    }
}
