//! Accounts: created with their first administrator, their settings, companies, roles and modules.

use rollbook_tests::people::{administrator, grant, link, person};
use rollbook_tests::{Answer as _, Code, Directory, Tenant, ask, pb, stories};

fn settings_mask(paths: &[&str]) -> prost_types::FieldMask {
    prost_types::FieldMask {
        paths: paths.iter().map(|path| (*path).to_owned()).collect(),
    }
}

stories! {
    r12_an_account_is_created_with_its_first_administrator_in_one_commit,
    r12_an_account_id_is_taken_once,
    r12_an_account_starts_with_defaults_and_the_administrator_only_modules,
    r8_only_the_settings_that_the_mask_names_change,
    r8_every_setting_is_checked_changed_and_shown,
    r5_email_cannot_become_the_login_while_users_share_an_address,
    r70_a_company_in_use_cannot_be_removed,
    r1_company_titles_are_unique_in_the_account_without_regard_to_case,
    r70_a_role_in_use_cannot_be_removed,
    r10_defining_a_role_again_changes_its_title_or_nothing,
    r70_a_module_in_use_cannot_be_removed_or_taken_from_standard_users,
    r11_grants_are_dropped_with_the_module_on_request,
    r68_an_administrator_sees_its_own_account_alone,
    r12_an_account_needs_an_administrator_who_is_one,
}

async fn r12_an_account_is_created_with_its_first_administrator_in_one_commit(
    directory: &Directory,
) {
    let acme = Tenant::create(directory, "acme").await;
    let user = acme.get(&acme.administrator.user_id).await;
    assert_eq!(user.user_type(), pb::UserType::Administrator);
    assert_eq!(user.status(), pb::UserStatus::Active);
    let linked: Vec<_> = user
        .companies
        .iter()
        .map(|link| link.company_id.clone())
        .collect();
    let mut companies = acme.companies.clone();
    companies.sort();
    assert_eq!(linked, companies);
    assert!(
        user.companies
            .iter()
            .all(|link| link.supervisor_id == user.user_id)
    );
    let events = directory.events().await;
    let head = directory.head().await;
    assert!(
        events.iter().all(|event| event.commit_position == head),
        "one commit"
    );
}

async fn r12_an_account_id_is_taken_once(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    acme.operator
        .accounts()
        .create_account(Tenant::request("acme"))
        .await
        .refusal()
        .is(Code::AlreadyExists, "ACCOUNT_EXISTS");
    let _other = Tenant::create(directory, "other").await;
    let page = acme
        .operator
        .accounts()
        .list_accounts(pb::ListAccountsRequest {
            page_size: 1,
            ..Default::default()
        })
        .await
        .answer();
    assert_eq!(page.accounts[0].account_id, "acme");
    let rest = acme
        .operator
        .accounts()
        .list_accounts(pb::ListAccountsRequest {
            page_token: page.next_page_token,
            ..Default::default()
        })
        .await
        .answer();
    assert_eq!(rest.accounts.len(), 1);
    assert_eq!(rest.accounts[0].account_id, "other");
    assert_eq!(rest.next_page_token, "");
}

async fn r12_an_account_starts_with_defaults_and_the_administrator_only_modules(
    directory: &Directory,
) {
    let acme = Tenant::with_passwords(directory, "acme").await;
    let account = acme.account().await;
    let settings = account.settings.unwrap();
    assert_eq!(settings.login(), pb::Login::Email);
    assert_eq!(
        settings.password_authority(),
        pb::PasswordAuthority::Directory
    );
    assert_eq!(
        (
            settings.invitation_validity_days,
            settings.welcome_validity_days
        ),
        (7, 7)
    );
    assert_eq!(settings.max_failed_sign_ins, 5);
    assert_eq!(settings.lock_duration, None);
    assert_eq!(settings.password_max_age_days, 0);
    assert_eq!(settings.password_change(), pb::PasswordChange::Any);
    assert!(!settings.arrival_registration);
    let modules: Vec<_> = account
        .modules
        .iter()
        .map(|module| (module.module.as_str(), module.administrator_only))
        .collect();
    assert_eq!(
        modules,
        [
            ("archive", false),
            ("invoices", false),
            ("payment", true),
            ("pricing", true),
            ("user-management", true),
        ]
    );
    let titles: Vec<_> = account
        .companies
        .iter()
        .map(|company| company.title.as_str())
        .collect();
    assert_eq!(titles, ["Alpha", "Beta", "Gamma"]);
}

async fn r8_every_setting_is_checked_changed_and_shown(directory: &Directory) {
    let mut request = Tenant::request("acme");
    let given = pb::AccountSettings {
        login: pb::Login::Signature.into(),
        password_authority: pb::PasswordAuthority::External.into(),
        invitation_validity_days: 1,
        welcome_validity_days: 30,
        max_failed_sign_ins: 100,
        lock_duration: Some(seconds(60)),
        password_max_age_days: 3650,
        password_change: pb::PasswordChange::ByLinkOnly.into(),
        arrival_registration: true,
    };
    request.settings = Some(given);
    let acme = Tenant::create_with(directory, request).await;
    assert_eq!(acme.account().await.settings, Some(given));

    let other = pb::AccountSettings {
        login: pb::Login::Email.into(),
        password_authority: pb::PasswordAuthority::Directory.into(),
        invitation_validity_days: 2,
        welcome_validity_days: 3,
        max_failed_sign_ins: 1,
        lock_duration: None,
        password_max_age_days: 0,
        password_change: pb::PasswordChange::Any.into(),
        arrival_registration: false,
    };
    let change = |settings: pb::AccountSettings| {
        ask!(
            acme,
            UpdateAccountSettingsRequest {
                settings,
                update_mask: settings_mask(&["settings"]),
            }
        )
    };
    let changed = acme
        .admin
        .accounts()
        .update_account_settings(change(other))
        .await
        .answer();
    assert_eq!(changed.account.unwrap().settings, Some(other));
    assert_eq!(acme.account().await.settings, Some(other));

    let bad = pb::AccountSettings {
        login: 9,
        password_authority: 0,
        invitation_validity_days: 31,
        welcome_validity_days: 0,
        max_failed_sign_ins: 101,
        lock_duration: Some(prost_types::Duration {
            seconds: 60,
            nanos: 1,
        }),
        password_max_age_days: 3651,
        password_change: 0,
        arrival_registration: true,
    };
    acme.admin
        .accounts()
        .update_account_settings(change(bad))
        .await
        .refusal()
        .names(&[
            "settings.login",
            "settings.password_authority",
            "settings.invitation_validity_days",
            "settings.welcome_validity_days",
            "settings.max_failed_sign_ins",
            "settings.lock_duration",
            "settings.password_max_age_days",
            "settings.password_change",
        ]);
}

const fn seconds(seconds: i64) -> prost_types::Duration {
    prost_types::Duration { seconds, nanos: 0 }
}

async fn r8_only_the_settings_that_the_mask_names_change(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let before = acme.account().await;
    let changed = acme
        .admin
        .accounts()
        .update_account_settings(ask!(
            acme,
            UpdateAccountSettingsRequest {
                title: "Acme & Sons",
                settings: pb::AccountSettings {
                    invitation_validity_days: 30,
                    welcome_validity_days: 3,
                    ..Default::default()
                },
                update_mask: settings_mask(&["title", "settings.invitation_validity_days"]),
            }
        ))
        .await
        .answer();
    let account = changed.account.unwrap();
    let settings = account.settings.unwrap();
    assert_eq!(account.title, "Acme & Sons");
    assert_eq!(
        (
            settings.invitation_validity_days,
            settings.welcome_validity_days
        ),
        (30, 7)
    );
    assert_eq!(
        settings.password_authority,
        before.settings.unwrap().password_authority
    );
    let again = acme
        .admin
        .accounts()
        .update_account_settings(ask!(
            acme,
            UpdateAccountSettingsRequest {
                title: "Acme & Sons",
                update_mask: settings_mask(&["title"]),
            }
        ))
        .await
        .answer();
    assert_eq!(
        again.revision, changed.revision,
        "what already is adds no event"
    );
}

async fn r5_email_cannot_become_the_login_while_users_share_an_address(directory: &Directory) {
    let acme = Tenant::with_signature_login(directory, "acme").await;
    let mut sharing = Vec::new();
    for signature in ["ANNA", "BERT"] {
        let user = pb::NewUser {
            email: "Desk@Example.com".to_owned(),
            ..person(signature)
        };
        sharing.push(acme.create_user(user).await.user_id);
    }
    let turn_on = || {
        ask!(
            acme,
            UpdateAccountSettingsRequest {
                settings: pb::AccountSettings {
                    login: pb::Login::Email.into(),
                    ..Default::default()
                },
                update_mask: settings_mask(&["settings.login"]),
            }
        )
    };
    let refusal = acme
        .admin
        .accounts()
        .update_account_settings(turn_on())
        .await
        .refusal()
        .is(Code::FailedPrecondition, "EMAIL_SHARED");
    let told = format!("{:?}", refusal.violations);
    for user_id in &sharing {
        assert!(told.contains(user_id), "{told}");
    }
    acme.admin
        .users()
        .delete_user(ask!(
            acme,
            DeleteUserRequest {
                user_id: &sharing[1]
            }
        ))
        .await
        .answer();
    let account = acme
        .admin
        .accounts()
        .update_account_settings(turn_on())
        .await
        .answer()
        .account
        .unwrap();
    assert_eq!(account.settings.unwrap().login(), pb::Login::Email);
    let twin = pb::NewUser {
        email: "DESK@example.com".to_owned(),
        ..person("CLEO")
    };
    acme.admin
        .users()
        .create_user(ask!(acme, CreateUserRequest { user: twin }))
        .await
        .refusal()
        .is(Code::AlreadyExists, "EMAIL_TAKEN");
}

async fn r70_a_company_in_use_cannot_be_removed(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let added = acme
        .admin
        .accounts()
        .add_company(ask!(acme, AddCompanyRequest { title: "Delta" }))
        .await
        .answer();
    let delta = added.company.unwrap().company_id;
    let anna = acme
        .create_user(pb::NewUser {
            companies: vec![link(&delta)],
            ..person("ANNA")
        })
        .await;
    let remove = || ask!(acme, RemoveCompanyRequest { company_id: &delta });
    let refusal = acme
        .admin
        .accounts()
        .remove_company(remove())
        .await
        .refusal()
        .is(Code::FailedPrecondition, "COMPANY_IN_USE");
    let told = format!("{:?} {}", refusal.violations, refusal.message);
    assert!(told.contains(&anna.user_id) && told.contains('1'), "{told}");
    acme.admin
        .users()
        .remove_user_companies(ask!(
            acme,
            RemoveUserCompaniesRequest {
                user_id: &anna.user_id,
                company_ids: vec![delta.clone()],
            }
        ))
        .await
        .answer();
    let account = acme
        .admin
        .accounts()
        .remove_company(remove())
        .await
        .answer()
        .account
        .unwrap();
    assert!(
        account
            .companies
            .iter()
            .all(|company| company.company_id != delta)
    );
    acme.admin
        .accounts()
        .remove_company(remove())
        .await
        .refusal()
        .is(Code::NotFound, "COMPANY_NOT_FOUND");
}

async fn r1_company_titles_are_unique_in_the_account_without_regard_to_case(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    acme.admin
        .accounts()
        .add_company(ask!(acme, AddCompanyRequest { title: "ALPHA" }))
        .await
        .refusal()
        .is(Code::AlreadyExists, "COMPANY_TITLE_TAKEN");
    let rename = |title: &str| {
        ask!(
            acme,
            RenameCompanyRequest {
                company_id: &acme.companies[0],
                title
            }
        )
    };
    acme.admin
        .accounts()
        .rename_company(rename("beta"))
        .await
        .refusal()
        .is(Code::AlreadyExists, "COMPANY_TITLE_TAKEN");
    let renamed = acme
        .admin
        .accounts()
        .rename_company(rename("alpha"))
        .await
        .answer();
    assert!(
        renamed
            .account
            .unwrap()
            .companies
            .iter()
            .any(|company| company.title == "alpha")
    );
    let again = acme
        .admin
        .accounts()
        .rename_company(rename("alpha"))
        .await
        .answer();
    assert_eq!(
        again.revision, renamed.revision,
        "what already is adds no event"
    );
}

async fn r70_a_role_in_use_cannot_be_removed(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let anna = acme
        .create_user(pb::NewUser {
            roles: vec!["clerk".to_owned()],
            ..person("ANNA")
        })
        .await;
    let remove = || ask!(acme, RemoveRoleRequest { role: "clerk" });
    let refusal = acme
        .admin
        .accounts()
        .remove_role(remove())
        .await
        .refusal()
        .is(Code::FailedPrecondition, "ROLE_IN_USE");
    assert!(
        format!("{refusal:?}").contains(&anna.user_id),
        "{refusal:?}"
    );
    acme.admin
        .users()
        .set_user_roles(ask!(
            acme,
            SetUserRolesRequest {
                user_id: &anna.user_id
            }
        ))
        .await
        .answer();
    acme.admin.accounts().remove_role(remove()).await.answer();
    acme.admin
        .accounts()
        .remove_role(remove())
        .await
        .refusal()
        .is(Code::NotFound, "ROLE_NOT_FOUND");
}

async fn r10_defining_a_role_again_changes_its_title_or_nothing(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let define = |title: &str| {
        ask!(
            acme,
            DefineRoleRequest {
                role: "auditor",
                title
            }
        )
    };
    let first = acme
        .admin
        .accounts()
        .define_role(define("Auditor"))
        .await
        .answer();
    let same = acme
        .admin
        .accounts()
        .define_role(define("Auditor"))
        .await
        .answer();
    assert_eq!(first.revision, same.revision);
    let other = acme
        .admin
        .accounts()
        .define_role(define("Reads all"))
        .await
        .answer();
    assert_eq!(other.revision, first.revision + 1);
    let roles = other.account.unwrap().roles;
    assert_eq!(
        roles
            .iter()
            .find(|role| role.role == "auditor")
            .unwrap()
            .title,
        "Reads all"
    );
}

async fn r70_a_module_in_use_cannot_be_removed_or_taken_from_standard_users(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let anna = acme
        .create_user(pb::NewUser {
            permissions: vec![grant("invoices")],
            ..person("ANNA")
        })
        .await;
    let remove = || ask!(acme, RemoveModuleRequest { module: "invoices" });
    let refusal = acme
        .admin
        .accounts()
        .remove_module(remove())
        .await
        .refusal()
        .is(Code::FailedPrecondition, "MODULE_IN_USE");
    assert!(
        format!("{refusal:?}").contains(&anna.user_id),
        "{refusal:?}"
    );
    let restrict = || {
        ask!(
            acme,
            DefineModuleRequest {
                module: "invoices",
                title: "Invoices",
                administrator_only: true,
            }
        )
    };
    let refusal = acme
        .admin
        .accounts()
        .define_module(restrict())
        .await
        .refusal()
        .is(Code::FailedPrecondition, "MODULE_HELD_BY_STANDARD_USERS");
    assert!(
        format!("{refusal:?}").contains(&anna.user_id),
        "{refusal:?}"
    );
    acme.admin
        .users()
        .set_user_permissions(ask!(
            acme,
            SetUserPermissionsRequest {
                user_id: &anna.user_id
            }
        ))
        .await
        .answer();
    let restricted = acme
        .admin
        .accounts()
        .define_module(restrict())
        .await
        .answer()
        .account
        .unwrap();
    assert!(
        restricted
            .modules
            .iter()
            .any(|module| module.module == "invoices" && module.administrator_only)
    );
    acme.admin.accounts().remove_module(remove()).await.answer();
    acme.admin
        .accounts()
        .remove_module(remove())
        .await
        .refusal()
        .is(Code::NotFound, "MODULE_NOT_FOUND");
}

async fn r11_grants_are_dropped_with_the_module_on_request(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let grants = || vec![grant("archive"), grant("invoices")];
    let mut standard = Vec::new();
    for number in 0..3 {
        let user = pb::NewUser {
            permissions: grants(),
            ..person(&format!("S{number}"))
        };
        standard.push(acme.create_user(user).await.user_id);
    }
    let chief = pb::NewUser {
        permissions: grants(),
        ..administrator("CHIEF")
    };
    let chief = acme.create_user(chief).await;
    let before = directory.head().await;
    let narrow = || {
        ask!(
            acme,
            DefineModuleRequest {
                module: "invoices",
                title: "Invoices",
                administrator_only: true,
                drop_grants: true,
            }
        )
    };
    let mut accounts = acme.admin.accounts();
    let narrowed = accounts.define_module(narrow()).await.answer();
    assert_eq!(narrowed.changed_count, 3);
    for user_id in &standard {
        assert_eq!(acme.get(user_id).await.permissions, [grant("archive")]);
    }
    assert_eq!(
        acme.get(&chief.user_id).await,
        chief,
        "an administrator keeps what it has"
    );
    let events = directory.events().await;
    let commit: Vec<_> = events
        .iter()
        .filter(|event| event.position > before)
        .map(|event| (event.event_type.as_str(), event.commit_position))
        .collect();
    assert_eq!(commit.len(), 4, "{commit:?}");
    assert!(
        commit
            .iter()
            .all(|(_, position)| *position == narrowed.position),
        "one commit: {commit:?}"
    );
    let again = accounts.define_module(narrow()).await.answer();
    assert_eq!(
        (again.changed_count, again.revision),
        (0, narrowed.revision),
        "what already is adds no event"
    );
}

async fn r68_an_administrator_sees_its_own_account_alone(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let other = Tenant::create(directory, "other").await;
    let foreign = acme
        .admin
        .accounts()
        .get_account(ask!(other, GetAccountRequest {}))
        .await
        .refusal();
    let unknown = acme
        .admin
        .accounts()
        .get_account(pb::GetAccountRequest {
            account_id: "nobody".to_owned(),
            read: None,
        })
        .await
        .refusal();
    assert_eq!(
        foreign
            .clone()
            .is(Code::NotFound, "ACCOUNT_NOT_FOUND")
            .reason,
        unknown.reason
    );
    assert_eq!(
        foreign.message.replace("other", ""),
        unknown.message.replace("nobody", ""),
        "an account of somebody else answers as if it did not exist",
    );
}

async fn r12_an_account_needs_an_administrator_who_is_one(directory: &Directory) {
    let operator = directory.operator();
    let mut without = Tenant::request("acme");
    without.administrator = None;
    operator
        .accounts()
        .create_account(without)
        .await
        .refusal()
        .is(Code::InvalidArgument, "MALFORMED")
        .names(&["administrator"]);
    let inactive = pb::NewUser {
        active: Some(false),
        ..administrator("ADM")
    };
    let request = pb::CreateAccountRequest {
        administrator: Some(inactive),
        ..Tenant::request("acme")
    };
    let outcome = operator.accounts().create_account(request).await.outcome();
    if let Ok(created) = outcome {
        assert!(
            created.administrator.unwrap().active,
            "the first administrator can act"
        );
    }
}
