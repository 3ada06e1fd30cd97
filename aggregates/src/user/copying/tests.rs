//! Copies of users and of what they are in a company.

use super::*;
use crate::domain::{Claim, Reason};
use crate::samples::{
    ANNA, BERT, CARL, NORTH, NOWHERE, SOUTH, admin, allegiance, create, created,
    created_administrator, grant, grant_in, linked, role, set, user_created,
};
use crate::user::{
    Allegiances, UserAllegiancesSet, UserDeactivated, UserDeleted, UserPermissionsSet,
    UserRolesSet, UserShownAsAddressee, UserSupervisorChanged, UserTypeChanged,
};

fn stands_for() -> Allegiances {
    Allegiances {
        coding: set([allegiance("Department", "14")]),
        routing: set([allegiance("Project", "P-7")]),
    }
}

fn link(company_id: CompanyId, supervisor: UserId, shown: bool) -> LinkedCompany {
    LinkedCompany {
        company_id,
        show_as_addressee: shown,
        supervisor,
        allegiances: Allegiances::default(),
    }
}

fn added(companies: Vec<LinkedCompany>) -> UserEvent {
    UserCompaniesAdded { companies }.into()
}

/// Bert, with roles, grants and all that one can be in a company, under Carl in the north and nobody in the south.
fn bert() -> Vec<UserEvent> {
    let north = LinkedCompany {
        allegiances: stands_for(),
        ..link(NORTH, CARL, true)
    };
    vec![
        user_created(BERT, "bert").into(),
        UserRolesSet {
            roles: set([role("approver")]),
        }
        .into(),
        UserPermissionsSet {
            permissions: set([grant("invoices"), grant_in("invoices", SOUTH)]),
        }
        .into(),
        added(vec![north, link(SOUTH, BERT, false)]),
    ]
}

fn carl() -> Vec<UserEvent> {
    vec![user_created(CARL, "carl").into(), linked(NORTH, CARL)]
}

fn with(mut events: Vec<UserEvent>, more: UserEvent) -> Vec<UserEvent> {
    events.push(more);
    events
}

/// Anna as a copy of Bert, who has this history.
fn copy(bert: &[UserEvent]) -> CopyUser {
    let source = crate::given::replayed::<User>(bert);
    CopyUser::of(BERT, &source, create(ANNA, "anna"), None)
}

fn copied() -> UserEvent {
    let mut created = user_created(ANNA, "anna");
    created.copied_from = Some(BERT);
    created.into()
}

#[test]
fn r9_a_copy_has_the_sources_rights_and_its_own_information() {
    let north = LinkedCompany {
        allegiances: stands_for(),
        ..link(NORTH, CARL, true)
    };
    let copy = User::given(&[])
        .other(BERT, &bert())
        .other(CARL, &carl())
        .when(admin(), copy(&bert()))
        .then(&[
            copied(),
            UserRolesSet {
                roles: set([role("approver")]),
            }
            .into(),
            UserPermissionsSet {
                permissions: set([grant("invoices"), grant_in("invoices", SOUTH)]),
            }
            .into(),
            added(vec![north, link(SOUTH, ANNA, false)]),
        ]);
    let copy = copy.state();
    let person = copy.person().unwrap();
    assert_eq!(
        person.profile().first_name.known().unwrap().as_str(),
        "anna"
    );
    assert!(person.involvements().reviews_open().is_empty());
}

#[test]
fn r9_where_the_supervisor_is_inactive_the_copy_is_its_own() {
    let asleep = with(carl(), UserDeactivated {}.into());
    let north = LinkedCompany {
        allegiances: stands_for(),
        ..link(NORTH, ANNA, true)
    };
    let copy = User::given(&[])
        .other(BERT, &bert())
        .other(CARL, &asleep)
        .when(admin(), copy(&bert()))
        .state();
    let companies = copy.person().unwrap().companies();
    let here = companies[&NORTH].clone();
    assert_eq!(LinkedCompany::new(NORTH, here), north);
}

#[test]
fn r9_only_who_is_there_can_be_copied() {
    User::given(&[])
        .when(admin(), copy(&[]))
        .refused(UserError::NotFound);
    let gone = with(bert(), UserDeleted {}.into());
    User::given(&[])
        .other(BERT, &gone)
        .when(admin(), copy(&gone))
        .refused(UserError::Deleted);
}

#[test]
fn r11_a_standard_copy_of_an_administrator_has_no_administrator_only_grants() {
    let administrator = with(
        with(
            bert(),
            UserTypeChanged {
                user_type: UserType::Administrator,
            }
            .into(),
        ),
        UserPermissionsSet {
            permissions: set([grant("invoices"), grant("pricing")]),
        }
        .into(),
    );
    for (given, has) in [
        (None, set([grant("invoices"), grant("pricing")])),
        (Some(UserType::Standard), set([grant("invoices")])),
    ] {
        let mut copy = copy(&administrator);
        copy.user_type = given;
        let copy = User::given(&[])
            .other(BERT, &administrator)
            .other(CARL, &carl())
            .when(admin(), copy)
            .state();
        let person = copy.person().unwrap();
        assert_eq!(person.user_type(), given.unwrap_or(UserType::Administrator));
        assert_eq!(person.permissions(), &has);
    }
}

/// Anna, who is something in the north and under Carl, and maybe in the south.
fn anna(south: Option<LinkedCompany>) -> Vec<UserEvent> {
    let north = LinkedCompany {
        allegiances: stands_for(),
        ..link(NORTH, CARL, true)
    };
    let companies = std::iter::once(north).chain(south).collect();
    vec![created(), added(companies)]
}

fn to_the_south(what: CopiedProperties) -> CopyUserCompany {
    CopyUserCompany {
        source: NORTH,
        targets: set([SOUTH]),
        what,
    }
}

#[test]
fn r32_what_is_asked_for_is_copied_and_nothing_else() {
    let shown: UserEvent = UserShownAsAddressee {
        company_id: SOUTH,
        shown: true,
    }
    .into();
    let supervised: UserEvent = UserSupervisorChanged {
        company_id: SOUTH,
        supervisor: CARL,
    }
    .into();
    let allied: UserEvent = UserAllegiancesSet {
        company_id: SOUTH,
        allegiances: stands_for(),
    }
    .into();
    let everywhere = with(carl(), linked(SOUTH, CARL));
    for (what, events) in [
        (CopiedProperties::ShowAsAddressee, vec![shown.clone()]),
        (CopiedProperties::Supervisor, vec![supervised.clone()]),
        (CopiedProperties::Allegiances, vec![allied.clone()]),
        (
            CopiedProperties::Everything,
            vec![shown, supervised, allied],
        ),
    ] {
        let before = anna(Some(link(SOUTH, ANNA, false)));
        let after = User::given(&before)
            .other(CARL, &everywhere)
            .when(admin(), to_the_south(what))
            .then(&events)
            .state();
        let north = after.person().unwrap().companies()[&NORTH].clone();
        assert_eq!(
            Some(&north),
            crate::given::replayed::<User>(&before)
                .person()
                .unwrap()
                .companies()
                .get(&NORTH)
        );
        User::given(&[before, events].concat())
            .other(CARL, &everywhere)
            .when(admin(), to_the_south(what))
            .then_nothing();
    }
}

#[test]
fn r32_a_company_the_user_does_not_have_is_added_with_what_is_copied() {
    let everything = LinkedCompany {
        allegiances: stands_for(),
        ..link(SOUTH, ANNA, true)
    };
    User::given(&anna(None))
        .other(CARL, &carl())
        .when(admin(), to_the_south(CopiedProperties::Everything))
        .then(&[added(vec![everything])])
        .takes(&[Claim::CompanyMember(SOUTH)]);
    User::given(&anna(None))
        .when(admin(), to_the_south(CopiedProperties::ShowAsAddressee))
        .then(&[added(vec![link(SOUTH, ANNA, true)])]);
}

#[test]
fn r32_where_the_supervisor_cannot_be_one_the_user_becomes_its_own() {
    let everywhere = with(carl(), linked(SOUTH, CARL));
    let asleep = with(everywhere.clone(), UserDeactivated {}.into());
    for unfit in [carl(), asleep] {
        let own = UserSupervisorChanged {
            company_id: SOUTH,
            supervisor: ANNA,
        };
        User::given(&anna(Some(link(SOUTH, BERT, false))))
            .other(CARL, &unfit)
            .when(admin(), to_the_south(CopiedProperties::Supervisor))
            .then(&[own.into()]);
    }
    User::given(&anna(None))
        .other(CARL, &everywhere)
        .when(admin(), to_the_south(CopiedProperties::Supervisor))
        .then(&[added(vec![link(SOUTH, CARL, false)])]);
}

#[test]
fn r32_the_source_is_a_company_of_the_user_and_the_targets_are_the_accounts() {
    let mut from_nowhere = to_the_south(CopiedProperties::Everything);
    from_nowhere.source = NOWHERE;
    User::given(&anna(None))
        .when(admin(), from_nowhere)
        .refused_for(Reason::CompanyNotFound);
    User::given(&[created_administrator()])
        .when(admin(), to_the_south(CopiedProperties::Everything))
        .refused(UserError::CompanyNotLinked(NORTH));
    let mut to_nowhere = to_the_south(CopiedProperties::Everything);
    to_nowhere.targets = set([SOUTH, NOWHERE]);
    User::given(&anna(None))
        .other(CARL, &carl())
        .when(admin(), to_nowhere)
        .refused_for(Reason::CompanyNotFound);
}
