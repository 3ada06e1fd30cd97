//! What a user may use.

use super::*;
use crate::domain::{Claim, Reason};
use crate::samples::{
    NORTH, admin, created, created_administrator, grant, grant_in, module, role, set,
};

fn roles_set<const N: usize>(names: [&str; N]) -> UserEvent {
    let roles = names.into_iter().map(role).collect();
    UserRolesSet { roles }.into()
}

fn grants_set<const N: usize>(grants: [Permission; N]) -> UserEvent {
    let permissions = set(grants);
    UserPermissionsSet { permissions }.into()
}

fn set_roles<const N: usize>(mode: SetMode, names: [&str; N]) -> SetUserRoles {
    let roles = names.into_iter().map(role).collect();
    SetUserRoles { mode, roles }
}

fn set_grants<const N: usize>(mode: SetMode, grants: [Permission; N]) -> SetUserPermissions {
    let permissions = set(grants);
    SetUserPermissions { mode, permissions }
}

#[test]
fn r10_roles_are_replaced_added_and_removed() {
    let given = || User::given(&[created(), roles_set(["approver"])]);
    given()
        .when(admin(), set_roles(SetMode::Replace, ["reviewer"]))
        .then(&[roles_set(["reviewer"])])
        .takes(&[Claim::RoleHolder(role("reviewer"))])
        .releases(&[Claim::RoleHolder(role("approver"))]);
    given()
        .when(admin(), set_roles(SetMode::Add, ["reviewer"]))
        .then(&[roles_set(["approver", "reviewer"])]);
    given()
        .when(
            admin(),
            set_roles(SetMode::Remove, ["approver", "reviewer"]),
        )
        .then(&[roles_set([])]);
}

#[test]
fn r10_setting_what_is_set_is_no_event() {
    let given = || User::given(&[created(), roles_set(["approver"])]);
    for command in [
        set_roles(SetMode::Replace, ["approver"]),
        set_roles(SetMode::Add, ["approver"]),
        set_roles(SetMode::Remove, ["reviewer"]),
    ] {
        given().when(admin(), command).then_nothing();
    }
}

#[test]
fn r10_a_role_that_is_not_in_the_catalogue_is_refused() {
    for mode in [SetMode::Replace, SetMode::Add, SetMode::Remove] {
        User::given(&[created()])
            .when(admin(), set_roles(mode, ["king"]))
            .refused_for(Reason::RoleNotFound);
    }
}

#[test]
fn r11_an_administrators_module_is_not_granted_to_a_standard_user() {
    for mode in [SetMode::Replace, SetMode::Add] {
        User::given(&[created()])
            .when(admin(), set_grants(mode, [grant_in("pricing", NORTH)]))
            .refused_for(Reason::ModuleAdministratorOnly);
    }
    User::given(&[created_administrator()])
        .when(admin(), set_grants(SetMode::Add, [grant("pricing")]))
        .then(&[grants_set([grant("pricing")])]);
}

#[test]
fn a_grant_in_a_company_is_another_than_in_the_account() {
    User::given(&[created(), grants_set([grant("invoices")])])
        .when(
            admin(),
            set_grants(SetMode::Add, [grant_in("invoices", NORTH)]),
        )
        .then(&[grants_set([grant("invoices"), grant_in("invoices", NORTH)])])
        .takes(&[Claim::CompanyMember(NORTH)]);
}

#[test]
fn r70_a_grant_claims_its_module_and_a_standard_users_grant_says_so() {
    let module = module("invoices");
    User::given(&[created()])
        .when(admin(), set_grants(SetMode::Add, [grant("invoices")]))
        .takes(&[
            Claim::ModuleHolder(module.clone()),
            Claim::StandardModuleHolder(module.clone()),
        ]);
    User::given(&[created(), grants_set([grant("invoices")])])
        .when(admin(), set_grants(SetMode::Remove, [grant("invoices")]))
        .then(&[grants_set([])])
        .releases(&[
            Claim::ModuleHolder(module.clone()),
            Claim::StandardModuleHolder(module),
        ]);
}

#[test]
fn r11_grants_on_what_became_administrator_only_are_dropped_and_no_others() {
    let has = |grants| UserPermissionsSet {
        permissions: grants,
    };
    // The account has `pricing` for administrators only.
    let before = has(set([grant("invoices"), grant("pricing")]));
    User::given(&[created(), before.clone().into()])
        .when(admin(), DropForbiddenGrants)
        .then(&[has(set([grant("invoices")])).into()])
        .releases(&[
            Claim::ModuleHolder(module("pricing")),
            Claim::StandardModuleHolder(module("pricing")),
        ]);
    User::given(&[created_administrator(), before.into()])
        .when(admin(), DropForbiddenGrants)
        .then_nothing();
}
