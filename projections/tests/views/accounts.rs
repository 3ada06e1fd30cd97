//! Accounts with their settings, companies and catalogues.

use rollbook_aggregates::account::{
    AccountEvent, AccountTitleChanged, ArrivalRegistrationSwitched, CompanyRemoved, CompanyRenamed,
    InvitationValidityChanged, LockDurationChanged, LoginChanged, MaxFailedSignInsChanged,
    ModuleDefined, ModuleRemoved, PasswordAuthorityChanged, PasswordChangeRestricted,
    PasswordMaxAgeChanged, RoleDefined, RoleRemoved, Settings, WelcomeValidityChanged,
};
use rollbook_aggregates::values::{
    AccountId, AccountTitle, CompanyTitle, LockDuration, Login, MaxFailedSignIns, ModuleName,
    ModuleTitle, PasswordAuthority, PasswordChange, PasswordMaxAge, RoleTitle, ValidityDays,
};
use rollbook_projections::{AccountRow, CompanyRow, Freshness, ModuleRow, RoleRow, Views};

use crate::kit::*;

async fn account(views: &Views) -> AccountRow {
    views
        .accounts()
        .fresh(Freshness::Latest, None)
        .await
        .unwrap();
    views.accounts().get(&acme()).unwrap().unwrap()
}

fn module(name: &str, title: &str, administrator_only: bool) -> AccountEvent {
    let (module, title) = (
        ModuleName::parse(name).unwrap(),
        ModuleTitle::parse(title).unwrap(),
    );
    ModuleDefined {
        module,
        title,
        administrator_only,
    }
    .into()
}

fn days(days: u32) -> ValidityDays {
    ValidityDays::parse(days).unwrap()
}

/// Settings of which each is other than its default.
fn settings() -> Settings {
    Settings {
        login: Login::Signature,
        password_authority: PasswordAuthority::External,
        invitation_validity_days: days(3),
        welcome_validity_days: days(30),
        max_failed_sign_ins: MaxFailedSignIns::parse(3).unwrap(),
        lock_duration: LockDuration::parse(900).ok(),
        password_max_age: PasswordMaxAge::parse(90).ok(),
        password_change: PasswordChange::ByLinkOnly,
        arrival_registration: true,
    }
}

/// What makes the settings these.
fn settings_changed() -> Vec<AccountEvent> {
    vec![
        LoginChanged {
            login: Login::Signature,
        }
        .into(),
        PasswordAuthorityChanged {
            password_authority: PasswordAuthority::External,
        }
        .into(),
        InvitationValidityChanged { days: days(3) }.into(),
        WelcomeValidityChanged { days: days(30) }.into(),
        MaxFailedSignInsChanged {
            count: MaxFailedSignIns::parse(3).unwrap(),
        }
        .into(),
        LockDurationChanged {
            seconds: LockDuration::parse(900).ok(),
        }
        .into(),
        PasswordMaxAgeChanged {
            days: PasswordMaxAge::parse(90).ok(),
        }
        .into(),
        PasswordChangeRestricted {
            password_change: PasswordChange::ByLinkOnly,
        }
        .into(),
        ArrivalRegistrationSwitched { on: true }.into(),
    ]
}

#[tokio::test]
async fn an_account_is_shown_with_its_companies_by_title_and_its_catalogues_by_name() {
    let mut directory = Directory::with_account().await;
    let views = directory.views().await;
    let first = account(&views).await;
    assert_eq!((first.settings, first.revision), (Settings::default(), 5));
    let renamed = CompanyTitle::parse("Älvsjö AB").unwrap();
    let events: Vec<AccountEvent> = vec![
        AccountTitleChanged {
            title: AccountTitle::parse("Acme & Co").unwrap(),
        }
        .into(),
        CompanyRenamed {
            company_id: company_id(1),
            title: renamed,
        }
        .into(),
        RoleDefined {
            role: role("clerk"),
            title: RoleTitle::parse("Chief clerk").unwrap(),
        }
        .into(),
        RoleRemoved {
            role: role("approver"),
        }
        .into(),
        module("pricing", "Pricing", true),
        module("invoices", "Invoices", false),
        module("gone", "Gone", false),
        ModuleRemoved {
            module: ModuleName::parse("gone").unwrap(),
        }
        .into(),
    ];
    let events = [events, settings_changed()].concat();
    directory.clock.advance(std::time::Duration::from_secs(5));
    let position = directory
        .commit(&acme(), vec![to_account(&acme(), events)])
        .await;
    let row = account(&views).await;
    let expected = AccountRow {
        account_id: acme(),
        title: "Acme & Co".to_owned(),
        settings: settings(),
        companies: vec![
            CompanyRow {
                company_id: company_id(2),
                title: "Company 2".to_owned(),
            },
            CompanyRow {
                company_id: company_id(1),
                title: "Älvsjö AB".to_owned(),
            },
        ],
        roles: vec![RoleRow {
            role: "clerk".to_owned(),
            title: "Chief clerk".to_owned(),
        }],
        modules: vec![
            ModuleRow {
                module: "invoices".to_owned(),
                title: "Invoices".to_owned(),
                administrator_only: false,
            },
            ModuleRow {
                module: "pricing".to_owned(),
                title: "Pricing".to_owned(),
                administrator_only: true,
            },
        ],
        revision: 22,
        position,
        created_at: first.created_at,
        modified_at: row.modified_at,
    };
    assert_eq!(row, expected);
    assert!(row.modified_at > row.created_at);
    let removed = CompanyRemoved {
        company_id: company_id(2),
    };
    directory
        .commit(&acme(), vec![to_account(&acme(), vec![removed.into()])])
        .await;
    assert_eq!(account(&views).await.companies.len(), 1);
}

#[tokio::test]
async fn accounts_are_listed_by_id_page_by_page() {
    let mut directory = Directory::new().await;
    for name in ["delta", "alpha", "charlie", "bravo", "echo"] {
        let id = AccountId::parse(name).unwrap();
        directory
            .commit(&id, vec![to_account(&id, account_events(Login::Email))])
            .await;
    }
    let views = directory.views().await;
    let mut names = Vec::new();
    let mut after = None;
    loop {
        let page = views.accounts().list(after, 2).await.unwrap();
        assert!(page.rows.iter().all(|row| row.companies.len() == 2));
        names.extend(page.rows.into_iter().map(|row| row.account_id.to_string()));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(names, ["alpha", "bravo", "charlie", "delta", "echo"]);
}

#[tokio::test]
async fn an_account_that_was_never_created_is_not_there() {
    let directory = Directory::with_account().await;
    let views = directory.views().await;
    assert_eq!(
        views
            .accounts()
            .get(&AccountId::parse("other").unwrap())
            .unwrap(),
        None
    );
}
