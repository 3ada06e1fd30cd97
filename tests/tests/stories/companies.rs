//! The companies of a user, and its supervisor in each.

use prost_types::FieldMask;
use rollbook_tests::people::{allegiance, link, person, report_to};
use rollbook_tests::{Answer as _, Code, Directory, Tenant, ask, pb, stories};

stories! {
    r29_companies_are_added_and_removed_together,
    r29_a_company_where_the_user_supervises_somebody_is_not_removed,
    r30_properties_of_a_company_change_one_by_one_and_go_with_it,
    r30_allegiances_are_given_with_a_company_and_changed_each_kind_by_itself,
    r31_a_supervisor_is_active_and_has_the_company,
    r32_a_company_is_copied_to_others_with_what_is_asked_for,
    r32_a_supervisor_who_cannot_be_one_is_not_copied,
    r32_a_copy_needs_a_company_the_user_has_and_others_of_the_account,
}

fn mask(path: &str) -> FieldMask {
    FieldMask {
        paths: vec![path.to_owned()],
    }
}

async fn r29_companies_are_added_and_removed_together(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let anna = acme.user("ANNA").await.user_id;
    let add = |companies: Vec<pb::UserCompany>| {
        ask!(
            acme,
            AddUserCompaniesRequest {
                user_id: &anna,
                companies
            }
        )
    };
    let both = vec![link(&acme.companies[0]), link(&acme.companies[1])];
    let added = acme
        .admin
        .users()
        .add_user_companies(add(both.clone()))
        .await
        .answer();
    let linked = added.user.unwrap().companies;
    assert_eq!(linked.len(), 2);
    assert!(
        linked
            .iter()
            .all(|link| link.supervisor_id == anna && !link.show_as_addressee)
    );
    let again = acme
        .admin
        .users()
        .add_user_companies(add(both))
        .await
        .answer();
    assert_eq!(
        again.revision, added.revision,
        "what already is adds no event"
    );
    let remove = || {
        ask!(
            acme,
            RemoveUserCompaniesRequest {
                user_id: &anna,
                company_ids: vec![acme.companies[0].clone(), acme.companies[2].clone()],
            }
        )
    };
    let removed = acme
        .admin
        .users()
        .remove_user_companies(remove())
        .await
        .answer();
    assert_eq!(
        removed.user.unwrap().companies,
        linked
            .into_iter()
            .filter(|link| link.company_id == acme.companies[1])
            .collect::<Vec<_>>()
    );
    let again = acme
        .admin
        .users()
        .remove_user_companies(remove())
        .await
        .answer();
    assert_eq!(again.revision, removed.revision);
    let unknown = vec![link(&uuid::Uuid::now_v7().to_string())];
    acme.admin
        .users()
        .add_user_companies(add(unknown))
        .await
        .refusal()
        .is(Code::NotFound, "COMPANY_NOT_FOUND");
}

async fn r29_a_company_where_the_user_supervises_somebody_is_not_removed(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let boss = acme.clerk("BOSS").await.user_id;
    let report = pb::NewUser {
        companies: vec![report_to(&acme.companies[0], &boss)],
        ..person("ANNA")
    };
    let anna = acme.create_user(report).await.user_id;
    let remove = |company_id: &String| {
        ask!(
            acme,
            RemoveUserCompaniesRequest {
                user_id: &boss,
                company_ids: vec![company_id.clone()],
            }
        )
    };
    let refusal = acme
        .admin
        .users()
        .remove_user_companies(remove(&acme.companies[0]))
        .await
        .refusal()
        .is(Code::FailedPrecondition, "SUPERVISES_USERS");
    assert!(format!("{refusal:?}").contains(&anna), "{refusal:?}");
    acme.admin
        .users()
        .remove_user_companies(remove(&acme.companies[1]))
        .await
        .answer();
    acme.admin
        .users()
        .remove_user_companies(ask!(
            acme,
            RemoveUserCompaniesRequest {
                user_id: &anna,
                company_ids: vec![acme.companies[0].clone()],
            }
        ))
        .await
        .answer();
    acme.admin
        .users()
        .remove_user_companies(remove(&acme.companies[0]))
        .await
        .answer();
}

async fn r30_properties_of_a_company_change_one_by_one_and_go_with_it(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let (anna, boss) = (
        acme.clerk("ANNA").await.user_id,
        acme.clerk("BOSS").await.user_id,
    );
    let company = acme.companies[0].as_str();
    let change = |path: &str| {
        ask!(
            acme,
            UpdateUserCompanyRequest {
                user_id: &anna,
                company: pb::UserCompany {
                    show_as_addressee: true,
                    ..report_to(company, &boss)
                },
                update_mask: mask(path),
            }
        )
    };
    let here = |user: pb::User| {
        user.companies
            .into_iter()
            .find(|link| link.company_id == company)
    };
    let shown = acme
        .admin
        .users()
        .update_user_company(change("show_as_addressee"))
        .await
        .answer();
    let link_now = here(shown.user.unwrap()).unwrap();
    assert_eq!(
        (link_now.show_as_addressee, link_now.supervisor_id.as_str()),
        (true, anna.as_str())
    );
    let led = acme
        .admin
        .users()
        .update_user_company(change("supervisor_id"))
        .await
        .answer();
    let link_now = here(led.user.unwrap()).unwrap();
    assert_eq!(
        (link_now.show_as_addressee, link_now.supervisor_id.as_str()),
        (true, boss.as_str())
    );
    let same = acme
        .admin
        .users()
        .update_user_company(change("*"))
        .await
        .answer();
    assert_eq!(same.revision, led.revision, "what already is adds no event");
    let remove = ask!(
        acme,
        RemoveUserCompaniesRequest {
            user_id: &anna,
            company_ids: vec![company.to_owned()]
        }
    );
    acme.admin
        .users()
        .remove_user_companies(remove)
        .await
        .answer();
    acme.admin
        .users()
        .update_user_company(change("show_as_addressee"))
        .await
        .refusal()
        .is(Code::FailedPrecondition, "COMPANY_NOT_LINKED");
    let back = acme
        .admin
        .users()
        .add_user_companies(ask!(
            acme,
            AddUserCompaniesRequest {
                user_id: &anna,
                companies: vec![link(company)],
            }
        ))
        .await
        .answer();
    let link_now = here(back.user.unwrap()).unwrap();
    assert_eq!(
        (link_now.show_as_addressee, link_now.supervisor_id.as_str()),
        (false, anna.as_str())
    );
}

async fn r30_allegiances_are_given_with_a_company_and_changed_each_kind_by_itself(
    directory: &Directory,
) {
    let acme = Tenant::create(directory, "acme").await;
    let company = acme.companies[0].as_str();
    let given = pb::UserCompany {
        coding_allegiances: vec![allegiance("Project", "P-7"), allegiance("Department", "14")],
        routing_allegiances: vec![allegiance("Department", "\"14\" & co")],
        ..link(company)
    };
    let created = acme
        .try_create(pb::NewUser {
            companies: vec![given.clone()],
            ..person("ANNA")
        })
        .await
        .answer();
    let anna = created.user.unwrap();
    let change = |coding: Vec<pb::Allegiance>, routing: Vec<pb::Allegiance>, path: &str| {
        ask!(
            acme,
            UpdateUserCompanyRequest {
                user_id: &anna.user_id,
                company: pb::UserCompany {
                    coding_allegiances: coding,
                    routing_allegiances: routing,
                    ..link(company)
                },
                update_mask: mask(path),
            }
        )
    };
    let sorted = vec![allegiance("Department", "14"), allegiance("Project", "P-7")];
    assert_eq!(anna.companies[0].coding_allegiances, sorted);
    assert_eq!(
        anna.companies[0].routing_allegiances,
        given.routing_allegiances
    );
    assert_eq!(acme.get(&anna.user_id).await.companies, anna.companies);

    let same = acme
        .admin
        .users()
        .update_user_company(change(sorted.clone(), Vec::new(), "coding_allegiances"))
        .await
        .answer();
    assert_eq!(
        same.revision, created.revision,
        "what already is adds no event"
    );
    let changed = acme
        .admin
        .users()
        .update_user_company(change(Vec::new(), sorted.clone(), "routing_allegiances"))
        .await
        .answer();
    let here = changed.user.unwrap().companies.remove(0);
    assert_eq!(
        (&here.coding_allegiances, &here.routing_allegiances),
        (&sorted, &sorted)
    );
    let none = acme
        .admin
        .users()
        .update_user_company(change(Vec::new(), sorted.clone(), "coding_allegiances"))
        .await
        .answer();
    let here = none.user.unwrap().companies.remove(0);
    assert_eq!(
        (here.coding_allegiances, here.routing_allegiances),
        (Vec::new(), sorted)
    );
    let bad = vec![allegiance("", "14"), allegiance("Department", " 14")];
    acme.admin
        .users()
        .update_user_company(change(bad, vec![allegiance("D", "1"); 101], "*"))
        .await
        .refusal()
        .names(&[
            "company.coding_allegiances[0].dimension",
            "company.coding_allegiances[1].value",
            "company.routing_allegiances",
        ]);
}

async fn r31_a_supervisor_is_active_and_has_the_company(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let other = Tenant::create(directory, "other").await;
    let company = acme.companies[0].as_str();
    let anna = acme.clerk("ANNA").await.user_id;
    let elsewhere = acme.user("ELSE").await.user_id;
    let foreign = other.clerk("FORE").await.user_id;
    let companies = vec![link(company)];
    let inactive = pb::NewUser {
        active: Some(false),
        companies,
        ..person("IDLE")
    };
    let inactive = acme.create_user(inactive).await.user_id;
    for unfit in [
        elsewhere,
        foreign,
        inactive,
        uuid::Uuid::now_v7().to_string(),
    ] {
        acme.admin
            .users()
            .update_user_company(ask!(
                acme,
                UpdateUserCompanyRequest {
                    user_id: &anna,
                    company: report_to(company, &unfit),
                    update_mask: mask("supervisor_id"),
                }
            ))
            .await
            .refusal()
            .is(Code::FailedPrecondition, "SUPERVISOR_UNFIT");
        let user = pb::NewUser {
            companies: vec![report_to(company, &unfit)],
            ..person("NEW")
        };
        acme.try_create(user)
            .await
            .refusal()
            .is(Code::FailedPrecondition, "SUPERVISOR_UNFIT");
    }
}

/// What a user is in its companies, in the order of the account's.
fn properties(acme: &Tenant, user: &pb::User) -> Vec<Option<pb::UserCompany>> {
    let in_company = |id: &String| user.companies.iter().find(|link| link.company_id == *id);
    acme.companies
        .iter()
        .map(|id| in_company(id).cloned())
        .collect()
}

/// Anna, under Boss in the first company with all that one can be there, and linked to the second.
async fn anna_under(acme: &Tenant, boss: &str) -> pb::User {
    let full = pb::UserCompany {
        show_as_addressee: true,
        coding_allegiances: vec![allegiance("Department", "14")],
        routing_allegiances: vec![allegiance("Project", "P-7")],
        ..report_to(&acme.companies[0], boss)
    };
    acme.create_user(pb::NewUser {
        companies: vec![full, link(&acme.companies[1])],
        ..person("ANNA")
    })
    .await
}

fn copy_company(
    acme: &Tenant,
    user: &pb::User,
    targets: &[usize],
    what: pb::CopiedProperties,
) -> pb::CopyUserCompanyRequest {
    let targets: Vec<String> = targets.iter().map(|n| acme.companies[*n].clone()).collect();
    ask!(
        acme,
        CopyUserCompanyRequest {
            user_id: &user.user_id,
            source_company_id: &acme.companies[0],
            target_company_ids: targets,
            what,
        }
    )
}

async fn r32_a_company_is_copied_to_others_with_what_is_asked_for(directory: &Directory) {
    use pb::CopiedProperties as What;
    let acme = Tenant::create(directory, "acme").await;
    let boss = acme.clerk("BOSS").await.user_id;
    let anna = anna_under(&acme, &boss).await;
    let source = properties(&acme, &anna)[0].clone().unwrap();
    let own = |n: usize| report_to(&acme.companies[n], &anna.user_id);
    let mut users = acme.admin.users();
    for (what, expected) in [
        (
            What::ShowAsAddressee,
            pb::UserCompany {
                show_as_addressee: true,
                ..own(1)
            },
        ),
        (
            What::Allegiances,
            pb::UserCompany {
                company_id: acme.companies[1].clone(),
                supervisor_id: anna.user_id.clone(),
                ..source.clone()
            },
        ),
        (
            What::Supervisor,
            pb::UserCompany {
                company_id: acme.companies[1].clone(),
                ..source.clone()
            },
        ),
    ] {
        let copied = users
            .copy_user_company(copy_company(&acme, &anna, &[1], what))
            .await
            .answer();
        let user = copied.user.unwrap();
        assert_eq!(
            properties(&acme, &user),
            [Some(source.clone()), Some(expected), None],
            "{what:?}"
        );
        assert_eq!(acme.get(&anna.user_id).await, user);
    }
    let copied = users
        .copy_user_company(copy_company(&acme, &anna, &[1, 2], What::Unspecified))
        .await
        .answer();
    let user = copied.user.unwrap();
    let like = |n: usize| {
        Some(pb::UserCompany {
            company_id: acme.companies[n].clone(),
            ..source.clone()
        })
    };
    assert_eq!(properties(&acme, &user), [like(0), like(1), like(2)]);
    let again = users
        .copy_user_company(copy_company(&acme, &anna, &[1, 2], What::Everything))
        .await
        .answer();
    assert_eq!(
        again.revision, copied.revision,
        "what already is adds no event"
    );
}

async fn r32_a_supervisor_who_cannot_be_one_is_not_copied(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let boss = acme
        .create_user(pb::NewUser {
            companies: vec![link(&acme.companies[0]), link(&acme.companies[1])],
            ..person("BOSS")
        })
        .await
        .user_id;
    let anna = anna_under(&acme, &boss).await;
    let mut users = acme.admin.users();
    let copied = users
        .copy_user_company(copy_company(
            &acme,
            &anna,
            &[1, 2],
            pb::CopiedProperties::Supervisor,
        ))
        .await
        .answer();
    let supervisors = |user: &pb::User| -> Vec<String> {
        let links = properties(&acme, user).into_iter().flatten();
        links.map(|link| link.supervisor_id).collect()
    };
    let user = copied.user.unwrap();
    assert_eq!(
        supervisors(&user),
        [boss.clone(), boss.clone(), anna.user_id.clone()]
    );
    users
        .deactivate_user(ask!(acme, DeactivateUserRequest { user_id: &boss }))
        .await
        .answer();
    let copied = users
        .copy_user_company(copy_company(
            &acme,
            &anna,
            &[1],
            pb::CopiedProperties::Everything,
        ))
        .await
        .answer();
    let user = copied.user.unwrap();
    assert_eq!(
        supervisors(&user),
        [boss, anna.user_id.clone(), anna.user_id]
    );
}

async fn r32_a_copy_needs_a_company_the_user_has_and_others_of_the_account(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let bert = acme.user("BERT").await;
    let everything = pb::CopiedProperties::Everything;
    let mut users = acme.admin.users();
    users
        .copy_user_company(copy_company(&acme, &bert, &[1], everything))
        .await
        .refusal()
        .is(Code::FailedPrecondition, "COMPANY_NOT_LINKED");
    let anna = anna_under(&acme, "").await;
    let mut unknown = copy_company(&acme, &anna, &[1], everything);
    unknown
        .target_company_ids
        .push(uuid::Uuid::now_v7().to_string());
    users
        .copy_user_company(unknown)
        .await
        .refusal()
        .is(Code::NotFound, "COMPANY_NOT_FOUND");
    users
        .copy_user_company(copy_company(&acme, &anna, &[0, 1], everything))
        .await
        .refusal()
        .names(&["target_company_ids"]);
    users
        .copy_user_company(copy_company(&acme, &anna, &[], everything))
        .await
        .refusal()
        .names(&["target_company_ids"]);
}
