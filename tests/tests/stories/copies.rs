//! Users made with the rights of another.

use rollbook_tests::people::{
    PASSWORD, administrator, allegiance, grant, link, person, repeatable, report_to,
};
use rollbook_tests::{Answer as _, Code, Directory, Tenant, ask, pb, stories};

stories! {
    r9_a_copy_has_the_sources_rights_and_information_of_its_own,
    r9_a_copy_is_its_own_supervisor_where_the_source_has_none_who_could_be_one,
    r9_a_copy_has_a_password_or_a_welcome_link_as_every_new_user,
    r9_the_rights_of_a_copy_come_from_the_source_alone,
    r11_a_standard_copy_of_an_administrator_has_no_administrator_only_grants,
    r9_a_user_of_another_account_and_one_who_is_gone_cannot_be_copied,
}

fn copy_of(acme: &Tenant, source: &str, user: pb::NewUser) -> pb::CopyUserRequest {
    ask!(
        acme,
        CopyUserRequest {
            source_user_id: source,
            user
        }
    )
}

/// A user with everything that can be copied, under this supervisor in the first company.
async fn source(acme: &Tenant, boss: &str) -> pb::User {
    let full = pb::UserCompany {
        show_as_addressee: true,
        coding_allegiances: vec![allegiance("Department", "14")],
        routing_allegiances: vec![allegiance("Project", "P-7")],
        ..report_to(&acme.companies[0], boss)
    };
    acme.create_user(pb::NewUser {
        phone: "+46 8 123 45".to_owned(),
        language: "sv".to_owned(),
        roles: vec!["clerk".to_owned(), "reviewer".to_owned()],
        permissions: vec![
            grant("archive"),
            pb::Permission {
                company_id: acme.companies[1].clone(),
                ..grant("invoices")
            },
        ],
        companies: vec![full, link(&acme.companies[1])],
        ..person("BERT")
    })
    .await
}

async fn r9_a_copy_has_the_sources_rights_and_information_of_its_own(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let boss = acme.clerk("BOSS").await.user_id;
    let bert = source(&acme, &boss).await;
    let request = pb::CopyUserRequest {
        command: Some(repeatable()),
        ..copy_of(&acme, &bert.user_id, person("ANNA"))
    };
    let copied = acme.admin.users().copy_user(request.clone()).await.answer();
    let anna = copied.user.clone().unwrap();
    assert_eq!(anna.roles, bert.roles);
    assert_eq!(anna.permissions, bert.permissions);
    let own = |link: &pb::UserCompany| pb::UserCompany {
        supervisor_id: anna.user_id.clone(),
        ..link.clone()
    };
    assert_eq!(
        anna.companies,
        [bert.companies[0].clone(), own(&bert.companies[1])]
    );
    assert_eq!(
        (anna.signature.as_str(), anna.first_name.as_str()),
        ("ANNA", "First ANNA")
    );
    assert_eq!((anna.phone.as_str(), anna.language.as_str()), ("", ""));
    assert_eq!(anna.user_type(), pb::UserType::Standard);
    assert_eq!(acme.get(&anna.user_id).await, anna);
    assert_eq!(
        acme.get(&bert.user_id).await,
        bert,
        "the source is unchanged"
    );
    let again = acme.admin.users().copy_user(request).await.answer();
    assert_eq!(again, copied, "a repeat answers the same");
    let reports = acme
        .admin
        .users()
        .list_reports(ask!(acme, ListReportsRequest { user_id: &boss }))
        .await
        .answer();
    assert_eq!(reports.reports.len(), 2, "the copy reports to it, too");
}

async fn r9_a_copy_is_its_own_supervisor_where_the_source_has_none_who_could_be_one(
    directory: &Directory,
) {
    let acme = Tenant::create(directory, "acme").await;
    let boss = acme.clerk("BOSS").await.user_id;
    let bert = source(&acme, &boss).await;
    acme.admin
        .users()
        .deactivate_user(ask!(acme, DeactivateUserRequest { user_id: &boss }))
        .await
        .answer();
    let copied = acme
        .admin
        .users()
        .copy_user(copy_of(&acme, &bert.user_id, person("ANNA")))
        .await
        .answer();
    let anna = copied.user.unwrap();
    for link in &anna.companies {
        assert_eq!(link.supervisor_id, anna.user_id);
    }
}

async fn r9_a_copy_has_a_password_or_a_welcome_link_as_every_new_user(directory: &Directory) {
    let acme = Tenant::with_passwords(directory, "acme").await;
    let source = acme.administrator.user_id.as_str();
    let mut users = acme.admin.users();
    users
        .copy_user(copy_of(&acme, source, person("ANNA")))
        .await
        .refusal()
        .is(Code::InvalidArgument, "PASSWORD_MISSING")
        .names(&["user.password"]);
    let welcome = pb::NewUser {
        welcome: true,
        ..person("ANNA")
    };
    let anna = users
        .copy_user(copy_of(&acme, source, welcome))
        .await
        .answer();
    assert!(!anna.welcome_token.is_empty());
    assert_eq!(anna.user.unwrap().status(), pb::UserStatus::Provisioned);
    let with_password = pb::NewUser {
        password: PASSWORD.to_owned(),
        one_time_password: true,
        active: Some(false),
        ..person("BERT")
    };
    let bert = users
        .copy_user(copy_of(&acme, source, with_password))
        .await
        .answer();
    assert_eq!(bert.welcome_token, "");
    assert_eq!(bert.user.unwrap().status(), pb::UserStatus::Inactive);
}

async fn r9_the_rights_of_a_copy_come_from_the_source_alone(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let bert = source(&acme, "").await;
    let own_rights = pb::NewUser {
        roles: vec!["manager".to_owned()],
        permissions: vec![grant("archive")],
        companies: vec![link(&acme.companies[2])],
        email: "nonsense".to_owned(),
        ..person("ANNA")
    };
    acme.admin
        .users()
        .copy_user(copy_of(&acme, &bert.user_id, own_rights))
        .await
        .refusal()
        .is(Code::InvalidArgument, "MALFORMED")
        .names(&[
            "user.roles",
            "user.permissions",
            "user.companies",
            "user.email",
        ]);
}

async fn r11_a_standard_copy_of_an_administrator_has_no_administrator_only_grants(
    directory: &Directory,
) {
    let acme = Tenant::create(directory, "acme").await;
    let chief = acme
        .create_user(pb::NewUser {
            permissions: vec![grant("archive"), grant("pricing")],
            ..administrator("CHIEF")
        })
        .await;
    let mut users = acme.admin.users();
    let same = users
        .copy_user(copy_of(&acme, &chief.user_id, person("ANNA")))
        .await
        .answer();
    let same = same.user.unwrap();
    assert_eq!(same.user_type(), pb::UserType::Administrator);
    assert_eq!(same.permissions, chief.permissions);
    let standard = pb::NewUser {
        user_type: pb::UserType::Standard.into(),
        ..person("BERT")
    };
    let standard = users
        .copy_user(copy_of(&acme, &chief.user_id, standard))
        .await
        .answer();
    let standard = standard.user.unwrap();
    assert_eq!(standard.user_type(), pb::UserType::Standard);
    assert_eq!(standard.permissions, [grant("archive")]);
}

async fn r9_a_user_of_another_account_and_one_who_is_gone_cannot_be_copied(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let other = Tenant::create(directory, "other").await;
    let foreign = other.administrator.user_id.as_str();
    let mut users = acme.admin.users();
    users
        .copy_user(copy_of(&acme, foreign, person("ANNA")))
        .await
        .refusal()
        .is(Code::NotFound, "USER_NOT_FOUND");
    let bert = acme.user("BERT").await.user_id;
    users
        .delete_user(ask!(acme, DeleteUserRequest { user_id: &bert }))
        .await
        .answer();
    users
        .copy_user(copy_of(&acme, &bert, person("ANNA")))
        .await
        .refusal()
        .is(Code::FailedPrecondition, "USER_DELETED");
}
