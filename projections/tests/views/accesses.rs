//! External users: in the lists of the account they have access to, as they are at home.

use std::collections::BTreeSet;

use rollbook_aggregates::access::{
    AccessEvent, AccessGranted, AccessKey, AccessPermissionsSet, AccessRevoked, AccessTypeChanged,
    ExternalUserDeleted,
};
use rollbook_aggregates::account::{AccountCreated, AccountEvent, Settings};
use rollbook_aggregates::user::{
    InvoiceQueued, Status, UserDeactivated, UserDeleted, UserLocked, UserPermissionsSet,
    UserPhoneChanged, UserRenamed, UserTypeChanged,
};
use rollbook_aggregates::values::{
    AccountId, AccountTitle, ModuleName, Permission, PhoneNumber, UserType,
};
use rollbook_projections::{
    AccessRow, AccessStatus, CompanyFilter, FindUsers, FoundUser, Freshness, ListAccesses,
    ListInvolvements, ListUsers, Pattern, UserRow, UserSearch, Views,
};

use crate::kit::{
    Directory, acme, company_id, dump, files_with, invoice_id, joins, linked, named, person_name,
    role, roles, to_access, to_account, to_user, user_id,
};

fn guest_of() -> AccountId {
    AccountId::parse("other").unwrap()
}

/// The access of the n-th user, at home in `acme`, to `other`.
fn key(n: u64) -> AccessKey {
    AccessKey {
        account_id: guest_of(),
        user_id: user_id(n),
    }
}

fn grants(names: &[&str]) -> BTreeSet<Permission> {
    let grant = |name: &&str| Permission {
        module: ModuleName::parse(name).unwrap(),
        company: None,
    };
    names.iter().map(grant).collect()
}

fn granted(n: u64, user_type: UserType, modules: &[&str]) -> AccessEvent {
    AccessGranted {
        account_id: guest_of(),
        user_id: user_id(n),
        home_account_id: acme(),
        user_type,
        permissions: grants(modules),
    }
    .into()
}

/// Anna of `acme`, in a company and with a role there, has access to `other` as a STANDARD user; and Bert of `other`.
async fn directory() -> Directory {
    let mut directory = Directory::with_account().await;
    let created: AccountEvent = AccountCreated {
        account_id: guest_of(),
        title: AccountTitle::parse("Other").unwrap(),
        settings: Settings::default(),
    }
    .into();
    let other = to_account(&guest_of(), vec![created]);
    directory.commit(&guest_of(), vec![other]).await;
    let mut anna = named(1, "ANNA", "Anna", "Berg");
    anna.user_type = UserType::Administrator;
    anna.phone = Some(PhoneNumber::parse("12345").unwrap().into());
    let events = vec![anna.into(), joins(vec![linked(1, 1)]), roles(&["clerk"])];
    directory
        .commit(&acme(), vec![to_user(user_id(1), events)])
        .await;
    let mut bert = named(2, "BERT", "Bert", "Ek");
    bert.account_id = guest_of();
    let events = vec![bert.into()];
    directory
        .commit(&guest_of(), vec![to_user(user_id(2), events)])
        .await;
    let access = to_access(&key(1), vec![granted(1, UserType::Standard, &["invoices"])]);
    directory.commit(&guest_of(), vec![access]).await;
    directory
}

async fn row(views: &Views, account: &AccountId, n: u64) -> Option<UserRow> {
    views.users().fresh(Freshness::Latest, None).await.unwrap();
    match views.users().get(account, user_id(n)).unwrap() {
        Some(FoundUser::Present(row)) => Some(*row),
        Some(FoundUser::Deleted(_)) | None => None,
    }
}

async fn listed(views: &Views, change: impl FnOnce(&mut ListUsers)) -> Vec<String> {
    views.users().fresh(Freshness::Latest, None).await.unwrap();
    let mut query = ListUsers::of(guest_of());
    change(&mut query);
    let page = views.users().list(query).await.unwrap();
    page.rows.into_iter().map(|row| row.signature).collect()
}

async fn accesses(views: &Views, change: impl FnOnce(&mut ListAccesses)) -> Vec<AccessRow> {
    views.users().fresh(Freshness::Latest, None).await.unwrap();
    let mut query = ListAccesses {
        account: Some(guest_of()),
        user: None,
        include_ended: false,
        after: None,
        limit: 100,
        total: true,
    };
    change(&mut query);
    let page = views.accesses().list(query).await.unwrap();
    assert_eq!(page.total, Some(page.rows.len() as u64));
    page.rows
}

#[tokio::test]
async fn r43_an_external_user_is_listed_as_it_is_at_home_with_what_it_may_do_here() {
    let mut directory = directory().await;
    let views = directory.views().await;
    let home = row(&views, &acme(), 1).await.unwrap();
    let here = row(&views, &guest_of(), 1).await.unwrap();
    assert!(here.external && !home.external);
    assert_eq!(here.user_type, UserType::Standard);
    assert_eq!(
        here.permissions,
        grants(&["invoices"]).into_iter().collect::<Vec<_>>()
    );
    assert_eq!((here.roles, here.companies), (Vec::new(), Vec::new()));
    assert_eq!((here.phone, here.revision), (None, 1));
    assert_eq!((here.last_name, here.email), (home.last_name, home.email));
    assert_eq!(
        (home.companies.len(), home.roles),
        (1, vec!["clerk".to_owned()])
    );

    // What changes of the person shows in both; what it may do changes where it does.
    let renamed = UserRenamed {
        first_name: person_name("Anna"),
        last_name: person_name("Dahl"),
    };
    let at_home = vec![
        renamed.into(),
        UserTypeChanged {
            user_type: UserType::Standard,
        }
        .into(),
        UserPermissionsSet {
            permissions: grants(&["archive"]),
        }
        .into(),
        roles(&["approver"]),
        joins(vec![linked(2, 1)]),
        UserPhoneChanged {
            phone: Some(PhoneNumber::parse("67890").unwrap().into()),
        }
        .into(),
        UserLocked {}.into(),
        UserDeactivated {}.into(),
    ];
    directory
        .commit(&acme(), vec![to_user(user_id(1), at_home)])
        .await;
    let promoted = AccessTypeChanged {
        user_type: UserType::Administrator,
        ends_sessions: false,
    };
    let access = to_access(&key(1), vec![promoted.into()]);
    directory.commit(&guest_of(), vec![access]).await;
    let home = row(&views, &acme(), 1).await.unwrap();
    let here = row(&views, &guest_of(), 1).await.unwrap();
    for row in [&home, &here] {
        assert_eq!(row.last_name, "Dahl");
        assert_eq!((row.status, row.facets.active), (Status::Inactive, false));
    }
    assert_eq!(home.sessions_valid_from, here.sessions_valid_from);
    assert_eq!(
        (home.user_type, here.user_type),
        (UserType::Standard, UserType::Administrator)
    );
    assert_eq!(
        here.permissions,
        grants(&["invoices"]).into_iter().collect::<Vec<_>>()
    );
    assert_eq!(
        (here.roles.len(), here.companies.len(), here.revision),
        (0, 0, 2)
    );
    assert_eq!(
        (home.roles, home.companies.len(), home.revision),
        (vec!["approver".to_owned()], 2, 11)
    );
}

#[tokio::test]
async fn r50_lists_tell_external_users_apart() {
    let directory = directory().await;
    let views = directory.views().await;
    assert_eq!(listed(&views, |_| {}).await, ["ANNA", "BERT"]);
    assert_eq!(listed(&views, |q| q.external = Some(true)).await, ["ANNA"]);
    assert_eq!(listed(&views, |q| q.external = Some(false)).await, ["BERT"]);
    assert_eq!(
        listed(&views, |q| q.company = CompanyFilter::None).await,
        ["ANNA", "BERT"]
    );
    let standard = |q: &mut ListUsers| q.user_type = Some(UserType::Standard);
    assert_eq!(listed(&views, standard).await, ["ANNA", "BERT"]);
    // Companies and roles of the home account are not known here.
    let nobody: [&str; 0] = [];
    let company = |q: &mut ListUsers| q.company = CompanyFilter::In(company_id(1));
    assert_eq!(listed(&views, company).await, nobody);
    let clerks = |q: &mut ListUsers| q.role = Some(role("clerk").to_string());
    assert_eq!(listed(&views, clerks).await, nobody);
}

#[tokio::test]
async fn r4_names_that_are_unique_in_an_account_name_its_own_users() {
    let directory = directory().await;
    let views = directory.views().await;
    let users = views.users();
    assert!(users.by_signature(&acme(), "anna").unwrap().is_some());
    assert!(users.by_signature(&guest_of(), "anna").unwrap().is_none());
    assert!(
        users
            .by_user_name(&guest_of(), "anna@example.com")
            .unwrap()
            .is_none()
    );
    assert!(
        users
            .by_email(&guest_of(), "anna@example.com")
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn r43_an_access_that_ended_leaves_the_lists_and_comes_back_when_granted_again() {
    let mut directory = directory().await;
    let views = directory.views().await;
    let set = AccessPermissionsSet {
        permissions: grants(&[]),
        ends_sessions: true,
    };
    let queued = InvoiceQueued {
        company_id: company_id(1),
        invoice_id: invoice_id(1),
    };
    let events = vec![set.into(), queued.into(), AccessRevoked {}.into()];
    directory
        .commit(&guest_of(), vec![to_access(&key(1), events)])
        .await;
    assert_eq!(row(&views, &guest_of(), 1).await, None);
    assert!(row(&views, &acme(), 1).await.is_some());
    assert!(accesses(&views, |_| {}).await.is_empty());
    let ended = accesses(&views, |q| q.include_ended = true).await;
    assert_eq!(
        (ended[0].status, ended[0].revision),
        (AccessStatus::Revoked, 4)
    );
    assert_eq!(ended[0].revoked_at, Some(ended[0].sessions_valid_from));
    let involvements = views.involvements();
    involvements.fresh(Freshness::Latest, None).await.unwrap();
    let open = ListInvolvements {
        account: guest_of(),
        user: user_id(1),
        open_only: true,
        after: None,
        limit: 10,
        total: false,
    };
    assert_eq!(involvements.list(open).await.unwrap().rows.len(), 1);
    let again = granted(1, UserType::Administrator, &[]);
    directory
        .commit(&guest_of(), vec![to_access(&key(1), vec![again])])
        .await;
    let here = row(&views, &guest_of(), 1).await.unwrap();
    assert_eq!(
        (here.user_type, here.revision),
        (UserType::Administrator, 5)
    );
    let there = accesses(&views, |q| {
        q.account = None;
        q.user = Some(user_id(1));
    });
    let there = there.await;
    assert_eq!((there.len(), there[0].revoked_at), (1, None));
}

#[tokio::test]
async fn r62_a_deletion_at_home_erases_the_row_in_every_account() {
    let mut directory = directory().await;
    let views = directory.views().await;
    assert!(row(&views, &guest_of(), 1).await.is_some());
    let deletion = vec![
        to_user(user_id(1), vec![UserDeleted {}.into()]).forgetting(),
        to_access(
            &key(1),
            vec![AccessRevoked {}.into(), ExternalUserDeleted {}.into()],
        )
        .forgetting(),
    ];
    directory.commit(&acme(), deletion).await;
    assert_eq!(row(&views, &guest_of(), 1).await, None);
    let gone = views.users().get(&acme(), user_id(1)).unwrap();
    assert!(matches!(gone, Some(FoundUser::Deleted(_))), "{gone:?}");
    assert_eq!(views.users().get(&guest_of(), user_id(1)).unwrap(), None);
    assert!(accesses(&views, |_| {}).await.is_empty());
    let ended = accesses(&views, |q| q.include_ended = true).await;
    assert_eq!(ended[0].status, AccessStatus::UserDeleted);
    views.caught_up(|_| {}).await.unwrap();
    views.shutdown().await;
    assert_eq!(
        files_with(directory.dir.path(), "Berg"),
        Vec::<std::path::PathBuf>::new()
    );
    let live = dump(directory.dir.path());
    let rebuilt = tempfile::tempdir().unwrap();
    directory.views_in(rebuilt.path()).await.shutdown().await;
    assert_eq!(dump(rebuilt.path()), live);
}

#[tokio::test]
async fn r54_accesses_are_listed_in_pages() {
    let mut directory = directory().await;
    for n in 3..=7 {
        let created = named(n, &format!("P{n}"), "First", "Last");
        let user = to_user(user_id(n), vec![created.into()]);
        directory.commit(&acme(), vec![user]).await;
        let access = to_access(&key(n), vec![granted(n, UserType::Standard, &[])]);
        directory.commit(&guest_of(), vec![access]).await;
    }
    let views = directory.views().await;
    let mut query = ListAccesses {
        account: Some(guest_of()),
        user: None,
        include_ended: false,
        after: None,
        limit: 2,
        total: false,
    };
    let mut seen = Vec::new();
    loop {
        let page = views.accesses().list(query.clone()).await.unwrap();
        seen.extend(page.rows.into_iter().map(|row| row.user_id));
        match page.next {
            Some(next) => query.after = Some(next),
            None => break,
        }
    }
    let expected: Vec<_> = [1, 3, 4, 5, 6, 7].map(user_id).to_vec();
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn r51_external_users_are_searched_for_as_they_are_called_at_home_and_have_no_supervisor_here()
 {
    let mut directory = directory().await;
    let views = directory.views().await;
    let named = async |account: AccountId, search: UserSearch| {
        views.users().fresh(Freshness::Latest, None).await.unwrap();
        let query = ListUsers {
            search,
            total: true,
            ..ListUsers::of(account)
        };
        let page = views.users().list(query).await.unwrap();
        assert_eq!(page.total, Some(page.rows.len() as u64));
        page.rows
            .into_iter()
            .map(|row| row.user_id)
            .collect::<Vec<_>>()
    };
    let last = |text: &str| UserSearch {
        last_name: Some(Pattern::parse(text).unwrap()),
        ..UserSearch::default()
    };
    let renamed = UserRenamed {
        first_name: person_name("Anna"),
        last_name: person_name("Qvarnström"),
    };
    directory
        .commit(&acme(), vec![to_user(user_id(1), vec![renamed.into()])])
        .await;
    for account in [acme(), guest_of()] {
        assert_eq!(named(account.clone(), last("*varn*")).await, [user_id(1)]);
        let query = FindUsers {
            account,
            text: "varnst".to_owned(),
            active: None,
            limit: 5,
        };
        assert_eq!(views.users().find(query).await.unwrap().len(), 1);
    }
    let supervised = UserSearch {
        supervisor: Some(Pattern::parse("*").unwrap()),
        ..last("*varn*")
    };
    assert_eq!(named(guest_of(), supervised).await, []);
    let revoked = to_access(&key(1), vec![AccessRevoked {}.into()]);
    directory.commit(&guest_of(), vec![revoked]).await;
    assert_eq!(named(guest_of(), last("*varn*")).await, []);
    assert_eq!(named(acme(), last("*varn*")).await, [user_id(1)]);
    let again = to_access(&key(1), vec![granted(1, UserType::Standard, &[])]);
    directory.commit(&guest_of(), vec![again]).await;
    assert_eq!(named(guest_of(), last("*varn*")).await, [user_id(1)]);
    let all = named(guest_of(), UserSearch::default()).await;
    assert_eq!(all.len(), 2, "Bert, and Anna once");
}
