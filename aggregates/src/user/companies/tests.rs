//! The companies a user is linked to.

use super::*;
use crate::domain::{Reason, Refusal};
use crate::samples::{
    ANNA, BERT, CARL, NORTH, NOWHERE, SOUTH, admin, allegiance, created, grant, grant_in, linked,
    new_company, set, user_created,
};
use crate::user::{UserDeactivated, UserDeleted, UserPermissionsSet};

fn bert_in(company: CompanyId) -> [UserEvent; 2] {
    [user_created(BERT, "bert").into(), linked(company, BERT)]
}

fn supervised_by_anna() -> Claim {
    Claim::Supervises {
        supervisor: ANNA,
        company: NORTH,
    }
}

fn add(companies: Vec<NewCompany>) -> AddUserCompanies {
    AddUserCompanies { companies }
}

fn supervise(supervisor: Option<UserId>) -> UpdateUserCompany {
    UpdateUserCompany {
        supervisor: Some(supervisor),
        ..UpdateUserCompany::of(NORTH)
    }
}

#[test]
fn r29_several_companies_are_added_in_one_command() {
    let allegiances = Allegiances {
        coding: set([allegiance("Department", "14")]),
        routing: set([allegiance("Project", "P-7")]),
    };
    let companies = vec![
        LinkedCompany {
            company_id: NORTH,
            show_as_addressee: true,
            supervisor: BERT,
            allegiances: allegiances.clone(),
        },
        LinkedCompany {
            company_id: SOUTH,
            show_as_addressee: false,
            supervisor: ANNA,
            allegiances: Allegiances::default(),
        },
    ];
    let mut north = new_company(NORTH, Some(BERT));
    north.show_as_addressee = true;
    north.allegiances = allegiances;
    User::given(&[created()])
        .other(BERT, &bert_in(NORTH))
        .when(admin(), add(vec![north, new_company(SOUTH, None)]))
        .then(&[UserCompaniesAdded { companies }.into()]);
}

#[test]
fn r29_a_company_it_has_stays_as_it_is() {
    User::given(&[created(), linked(NORTH, BERT)])
        .when(admin(), add(vec![new_company(NORTH, Some(CARL))]))
        .then_nothing();
}

#[test]
fn r29_only_companies_of_the_account_are_added_and_each_once() {
    User::given(&[created()])
        .when(admin(), add(vec![new_company(NOWHERE, None)]))
        .refused_for(Reason::CompanyNotFound);
    let twice = add(vec![new_company(NORTH, None), new_company(NORTH, None)]);
    let error = User::given(&[created()])
        .when(admin(), twice)
        .refused_for(Reason::Malformed);
    assert_eq!(error.field(), Some("companies"));
}

#[test]
fn r29_removing_a_company_drops_what_the_user_was_there() {
    let permissions = set([grant("invoices"), grant_in("invoices", NORTH)]);
    let command = RemoveUserCompanies {
        company_ids: set([NORTH, NOWHERE]),
    };
    let user = User::given(&[
        created(),
        linked(NORTH, BERT),
        linked(SOUTH, ANNA),
        UserPermissionsSet { permissions }.into(),
    ])
    .when(admin(), command)
    .then(&[
        UserCompaniesRemoved {
            company_ids: vec![NORTH],
        }
        .into(),
        UserPermissionsSet {
            permissions: set([grant("invoices")]),
        }
        .into(),
    ])
    .releases(&[
        Claim::CompanyMember(NORTH),
        Claim::Supervises {
            supervisor: BERT,
            company: NORTH,
        },
    ])
    .requires(&Requires::Free(supervised_by_anna()))
    .state();
    let left: Vec<CompanyId> = user.person().unwrap().companies().keys().copied().collect();
    assert_eq!(left, [SOUTH]);
}

#[test]
fn r29_a_company_is_not_removed_while_the_user_supervises_somebody_else_there() {
    let command = RemoveUserCompanies {
        company_ids: set([NORTH, SOUTH]),
    };
    let error = User::given(&[created(), linked(NORTH, ANNA), linked(SOUTH, ANNA)])
        .held(supervised_by_anna(), &BERT)
        .held(supervised_by_anna(), &CARL)
        .when(admin(), command)
        .refused_for(Reason::SupervisesUsers);
    let violations = error.violations();
    assert_eq!(violations.len(), 1);
    assert_eq!(violations[0].subject, NORTH.to_string());
    assert!(violations[0].description.starts_with("supervises 2: "));
}

#[test]
fn r29_removing_what_is_not_linked_is_no_event() {
    let command = RemoveUserCompanies {
        company_ids: set([NORTH]),
    };
    User::given(&[created()])
        .when(admin(), command)
        .then_nothing();
}

#[test]
fn r30_a_user_is_shown_as_addressee_only_when_asked_for() {
    let show = |shown| UpdateUserCompany {
        show_as_addressee: Some(shown),
        ..UpdateUserCompany::of(NORTH)
    };
    User::given(&[created(), linked(NORTH, ANNA)])
        .when(admin(), show(false))
        .then_nothing();
    let shown = UserShownAsAddressee {
        company_id: NORTH,
        shown: true,
    };
    let user = User::given(&[created(), linked(NORTH, ANNA)])
        .when(admin(), show(true))
        .then(&[shown.into()])
        .state();
    assert!(user.person().unwrap().companies()[&NORTH].show_as_addressee);
}

#[test]
fn r30_allegiances_are_set_each_kind_by_itself() {
    let [fourteen, seven] = [allegiance("Department", "14"), allegiance("Project", "P-7")];
    let code = |coding: &[&Allegiance]| UpdateUserCompany {
        coding_allegiances: Some(coding.iter().copied().cloned().collect()),
        ..UpdateUserCompany::of(NORTH)
    };
    let route = UpdateUserCompany {
        routing_allegiances: Some(set([seven.clone()])),
        ..UpdateUserCompany::of(NORTH)
    };
    let has = |coding: &[&Allegiance], routing: &[&Allegiance]| -> UserEvent {
        let allegiances = Allegiances {
            coding: coding.iter().copied().cloned().collect(),
            routing: routing.iter().copied().cloned().collect(),
        };
        UserAllegiancesSet {
            company_id: NORTH,
            allegiances,
        }
        .into()
    };
    let given = [created(), linked(NORTH, ANNA)];
    User::given(&given)
        .when(admin(), code(&[&fourteen, &seven]))
        .then(&[has(&[&fourteen, &seven], &[])]);
    let coded = [&given[..], &[has(&[&fourteen], &[])]].concat();
    User::given(&coded)
        .when(admin(), code(&[&fourteen]))
        .then_nothing();
    User::given(&coded)
        .when(admin(), route)
        .then(&[has(&[&fourteen], &[&seven])]);
    let both = [&given[..], &[has(&[&fourteen], &[&seven])]].concat();
    let user = User::given(&both)
        .when(admin(), code(&[]))
        .then(&[has(&[], &[&seven])])
        .state();
    let here = &user.person().unwrap().companies()[&NORTH].allegiances;
    assert!(here.coding.is_empty() && !here.is_empty());
}

#[test]
fn r31_the_supervisor_must_be_an_active_user_with_that_company() {
    let faults = [
        (vec![], SupervisorFault::NotFound),
        (bert_in(SOUTH).to_vec(), SupervisorFault::NotLinked),
        (
            [&bert_in(NORTH)[..], &[UserDeactivated {}.into()]].concat(),
            SupervisorFault::Inactive,
        ),
        (
            [&bert_in(NORTH)[..], &[UserDeleted {}.into()]].concat(),
            SupervisorFault::NotFound,
        ),
    ];
    for (bert, fault) in faults {
        let unfit = UnfitSupervisor {
            supervisor: BERT,
            company: Some(NORTH),
            fault,
        };
        User::given(&[created(), linked(NORTH, ANNA)])
            .other(BERT, &bert)
            .when(admin(), supervise(Some(BERT)))
            .refused(UserError::SupervisorsUnfit(vec![unfit]));
    }
}

#[test]
fn r31_a_supervisor_of_another_account_does_not_exist() {
    let mut elsewhere = user_created(BERT, "bert");
    elsewhere.account_id = crate::values::AccountId::parse("umbrella").unwrap();
    let error = User::given(&[created(), linked(NORTH, ANNA)])
        .other(BERT, &[elsewhere.into(), linked(NORTH, BERT)])
        .when(admin(), supervise(Some(BERT)))
        .refused_for(Reason::SupervisorUnfit);
    assert_eq!(error.violations()[0].r#type, "SUPERVISOR_NOT_FOUND");
}

#[test]
fn r31_the_user_itself_is_the_supervisor_if_none_is_given() {
    let own = UserSupervisorChanged {
        company_id: NORTH,
        supervisor: ANNA,
    };
    User::given(&[created(), linked(NORTH, BERT)])
        .when(admin(), supervise(None))
        .then(&[own.into()])
        .releases(&[Claim::Supervises {
            supervisor: BERT,
            company: NORTH,
        }]);
}

#[test]
fn r31_a_supervisor_is_set_and_claims_it() {
    let changed = UserSupervisorChanged {
        company_id: NORTH,
        supervisor: BERT,
    };
    User::given(&[created(), linked(NORTH, ANNA)])
        .other(BERT, &bert_in(NORTH))
        .when(admin(), supervise(Some(BERT)))
        .then(&[changed.into()])
        .takes(&[Claim::Supervises {
            supervisor: BERT,
            company: NORTH,
        }]);
}

#[test]
fn r31_a_supervisor_it_has_stays_though_it_would_not_be_fit_now() {
    User::given(&[created(), linked(NORTH, BERT)])
        .when(admin(), supervise(Some(BERT)))
        .then_nothing();
}

#[test]
fn what_a_user_is_in_a_company_it_does_not_have_cannot_change() {
    User::given(&[created()])
        .when(admin(), supervise(None))
        .refused(UserError::CompanyNotLinked(NORTH));
}
