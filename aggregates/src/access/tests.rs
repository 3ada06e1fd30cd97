//! The access of an external user.

use chrono::Duration;

use super::*;
use crate::directory::Directory;
use crate::domain::{Actor, Claim, Claimant as _, InvoiceKey, Reason, Refusal as _, Requires};
use crate::given::replayed;
use crate::invoice::{ReportInvoicePosted, Settlement};
use crate::samples::{
    ADMIN, ANNA, BERT, NORTH, access_key, account, account_id, admin, created_at_home, dawn, grant,
    grant_in, granted, home_id, invoice, module, service, set, user_created,
};
use crate::user::{self, Blocker, DeleteUser, Need, ReviewKind, UserDeleted, UserError};

fn operator() -> Actor {
    Actor::Outside("operator".to_owned())
}

fn grant_access(
    user_type: UserType,
    permissions: impl IntoIterator<Item = Permission>,
) -> GrantAccess {
    GrantAccess {
        user_id: ANNA,
        user_type,
        permissions: permissions.into_iter().collect(),
    }
}

fn standard() -> AccessEvent {
    granted(UserType::Standard, [grant("invoices")])
}

fn administrator() -> AccessEvent {
    granted(UserType::Administrator, [grant("pricing")])
}

fn queued() -> user::ReportInvoiceQueued {
    user::ReportInvoiceQueued {
        company_id: NORTH,
        invoice_id: invoice("INV-7"),
    }
}

#[test]
fn r43_an_access_is_granted_to_a_user_of_another_account() {
    let grants = [grant("invoices"), grant_in("invoices", NORTH)];
    let access = Access::given(&[])
        .other(ANNA, &[created_at_home(ANNA, "anna")])
        .when(operator(), grant_access(UserType::Standard, grants.clone()))
        .then(&[granted(UserType::Standard, grants)])
        .takes(&[
            Claim::ExternalAccess(ANNA),
            Claim::ModuleHolder(module("invoices")),
            Claim::StandardModuleHolder(module("invoices")),
            Claim::CompanyMember(NORTH),
        ])
        .requires(&Requires::Exactly {
            claim: Claim::ExternalAccess(ANNA),
            owners: BTreeSet::new(),
        })
        .state();
    let external = access.granted().unwrap();
    assert_eq!(external.home_account_id(), &home_id());
    assert_eq!(access.key(), Some(&access_key(ANNA)));
}

#[test]
fn r43_only_a_user_who_is_there_and_at_home_elsewhere_can_have_one() {
    let command = || grant_access(UserType::Standard, []);
    Access::given(&[])
        .when(operator(), command())
        .refused(AccessError::UserNotFound);
    Access::given(&[])
        .other(ANNA, &[user_created(ANNA, "anna").into()])
        .when(operator(), command())
        .refused(AccessError::UserAtHome);
    let deleted = [created_at_home(ANNA, "anna"), UserDeleted {}.into()];
    Access::given(&[])
        .other(ANNA, &deleted)
        .when(operator(), command())
        .refused(AccessError::UserDeleted);
}

#[test]
fn r43_an_access_that_is_there_is_granted_once() {
    let again = |command| {
        Access::given(&[standard()])
            .other(ANNA, &[created_at_home(ANNA, "anna")])
            .when(operator(), command)
    };
    again(grant_access(UserType::Standard, [grant("invoices")])).then_nothing();
    again(grant_access(UserType::Standard, [])).refused(AccessError::Exists);
    again(grant_access(UserType::Administrator, [grant("invoices")])).refused(AccessError::Exists);
    assert_eq!(AccessError::Exists.reason().as_str(), "ACCESS_EXISTS");
}

#[test]
fn r43_what_was_revoked_can_be_granted_again() {
    let history = [standard(), AccessRevoked {}.into()];
    let access = Access::given(&history)
        .other(ANNA, &[created_at_home(ANNA, "anna")])
        .when(operator(), grant_access(UserType::Administrator, []))
        .then(&[granted(UserType::Administrator, [])])
        .takes(&[Claim::ExternalAdministrator])
        .state();
    assert!(access.granted().unwrap().administers());
}

#[test]
fn r43_an_access_too_many_is_refused() {
    let mut given = Access::given(&[]).other(ANNA, &[created_at_home(ANNA, "anna")]);
    for number in 0..GrantAccess::ACCOUNTS {
        given = given.held(Claim::ExternalAccess(ANNA), &format!("other-{number:03}"));
    }
    let refusal = given
        .when(operator(), grant_access(UserType::Standard, []))
        .refused_for(Reason::TooManyAccesses);
    assert_eq!(refusal.reason().as_str(), "TOO_MANY_ACCESSES");
}

#[test]
fn r11_a_standard_external_user_never_has_an_administrators_module() {
    Access::given(&[])
        .other(ANNA, &[created_at_home(ANNA, "anna")])
        .when(
            operator(),
            grant_access(UserType::Standard, [grant("pricing")]),
        )
        .refused_for(Reason::ModuleAdministratorOnly);
    let more = UpdateAccess {
        permissions: Some(set([grant("pricing")])),
        ..UpdateAccess::default()
    };
    Access::given(&[standard()])
        .when(admin(), more)
        .refused_for(Reason::ModuleAdministratorOnly);
    let demote = UpdateAccess {
        user_type: Some(UserType::Standard),
        ..UpdateAccess::default()
    };
    Access::given(&[administrator()])
        .when(admin(), demote)
        .then(&[
            AccessTypeChanged {
                user_type: UserType::Standard,
                ends_sessions: true,
            }
            .into(),
            AccessPermissionsSet {
                permissions: BTreeSet::new(),
                ends_sessions: true,
            }
            .into(),
        ])
        .releases(&[
            Claim::ExternalAdministrator,
            Claim::ModuleHolder(module("pricing")),
        ]);
}

#[test]
fn r43_what_lessens_rights_ends_sessions_and_what_adds_does_not() {
    let sessions = |before: AccessEvent, update: UpdateAccess| {
        let access = Access::given(&[before]).when(admin(), update).state();
        access.granted().unwrap().sessions_valid_from() > dawn()
    };
    let permissions = |permissions| UpdateAccess {
        permissions: Some(permissions),
        ..UpdateAccess::default()
    };
    let user_type = |user_type| UpdateAccess {
        user_type: Some(user_type),
        ..UpdateAccess::default()
    };
    let more = set([grant("invoices"), grant_in("invoices", NORTH)]);
    assert!(!sessions(standard(), permissions(more)));
    assert!(sessions(standard(), permissions(BTreeSet::new())));
    assert!(!sessions(standard(), user_type(UserType::Administrator)));
    assert!(sessions(administrator(), user_type(UserType::Standard)));
    // An administrator has every module, whatever it is granted.
    assert!(!sessions(administrator(), permissions(BTreeSet::new())));
}

#[test]
fn r43_an_access_is_revoked_with_its_sessions_and_its_claims() {
    let access = Access::given(&[administrator()])
        .when(admin(), RevokeAccess)
        .then(&[AccessRevoked {}.into()])
        .releases(&[
            Claim::ExternalAdministrator,
            Claim::ModuleHolder(module("pricing")),
        ])
        .state();
    let external = access.external().unwrap();
    assert_eq!(access.granted(), None);
    assert_eq!(external.revoked_at(), Some(external.sessions_valid_from()));
    let revoked = [administrator(), AccessRevoked {}.into()];
    Access::given(&revoked)
        .when(admin(), RevokeAccess)
        .then_nothing();
    Access::given(&revoked)
        .when(admin(), UpdateAccess::default())
        .refused(AccessError::Revoked);
    assert_eq!(AccessError::Revoked.reason().as_str(), "ACCESS_REVOKED");
    Access::given(&[])
        .when(admin(), RevokeAccess)
        .refused(AccessError::NotFound);
    assert_eq!(AccessError::NotFound.reason().as_str(), "ACCESS_NOT_FOUND");
}

#[test]
fn r68_an_access_to_another_account_is_as_if_it_did_not_exist() {
    let elsewhere = crate::account::Account::default();
    Access::given(&[standard()])
        .inside(elsewhere)
        .when(admin(), RevokeAccess)
        .refused(AccessError::NotFound);
}

#[test]
fn r25_an_external_administrator_must_still_be_one() {
    let actor = Actor::ExternalAdministrator(BERT);
    let still = Requires::HeldBy {
        claim: Claim::ExternalAdministrator,
        owner: BERT.to_string(),
    };
    Access::given(&[standard()])
        .held(Claim::ExternalAdministrator, &BERT)
        .when(actor.clone(), RevokeAccess)
        .then(&[AccessRevoked {}.into()])
        .requires(&still);
    Access::given(&[standard()])
        .when(actor, RevokeAccess)
        .refused(AccessError::NotAdministrator);
}

#[test]
fn r24_an_external_administrator_is_never_the_one_who_remains() {
    let access: Access = replayed(&[administrator()]);
    let held: Vec<Claim> = access.claims().into_iter().map(|held| held.claim).collect();
    assert!(held.contains(&Claim::ExternalAdministrator));
    assert!(!held.contains(&Claim::Administrator));
}

#[test]
fn r39_what_is_reported_of_an_external_user_is_recorded_on_its_access() {
    let event: AccessEvent = InvoiceQueued {
        company_id: NORTH,
        invoice_id: invoice("INV-7"),
    }
    .into();
    let access = Access::given(&[standard()])
        .when(service(), OfAccess(queued()))
        .then(std::slice::from_ref(&event))
        .state();
    let external = access.external().unwrap();
    assert_eq!(external.modified_at(), external.granted_at());
    let known = [standard(), event.clone()];
    Access::given(&known)
        .when(service(), OfAccess(queued()))
        .then_nothing();
    // A fact is a fact after the access was revoked, too, and outlives that it is granted again.
    let revoked = [standard(), AccessRevoked {}.into()];
    Access::given(&revoked)
        .when(service(), OfAccess(queued()))
        .then(std::slice::from_ref(&event));
    let again: Access = replayed(&[standard(), event, AccessRevoked {}.into(), standard()]);
    assert_eq!(again.granted().unwrap().involvements().queued().len(), 1);
    Access::given(&[])
        .when(service(), OfAccess(queued()))
        .refused(AccessError::UserNotFound);
}

/// Anna, at home elsewhere, with access to the account of the tests.
fn directory() -> Directory {
    let mut directory = Directory::default();
    directory.hold(Claim::Administrator, &ADMIN);
    let anna = replayed(&[created_at_home(ANNA, "anna")]);
    directory.users.insert(ANNA, anna);
    let command = grant_access(UserType::Standard, [grant("invoices")]);
    directory
        .access(&operator(), &access_key(ANNA), command)
        .unwrap();
    directory
}

/// The same, as the home account sees it.
fn at_home(mut directory: Directory) -> Directory {
    let events = crate::samples::account_events(crate::account::Settings::default());
    let home = crate::account::AccountCreated {
        account_id: home_id(),
        title: crate::values::AccountTitle::parse("Home").unwrap(),
        settings: crate::account::Settings::default(),
    };
    let events = [&[home.into()], &events[1..]].concat();
    directory.account = replayed(&events);
    directory
}

#[test]
fn r26_the_deletion_of_a_user_ends_its_accesses_for_good() {
    let mut directory = at_home(directory());
    directory.delete(&operator(), ANNA).unwrap();
    let access = &directory.accesses[&access_key(ANNA)];
    assert_eq!(access.external(), None);
    assert_eq!(access.account_id(), Some(&account_id()));
    assert_eq!(
        directory.holders(&Claim::ExternalAccess(ANNA)).count,
        0,
        "nothing is left to be erased"
    );
    directory.account = account();
    for refused in [
        directory.access(
            &operator(),
            &access_key(ANNA),
            grant_access(UserType::Standard, []),
        ),
        directory.access(&service(), &access_key(ANNA), OfAccess(queued())),
    ] {
        assert_eq!(refused, Err(AccessError::UserDeleted));
    }
    let revoked = directory.access(&operator(), &access_key(ANNA), RevokeAccess);
    assert_eq!(revoked, Ok(Vec::new()));
}

#[test]
fn r41_sessions_end_with_those_at_home_while_the_access_is_there() {
    let access = Access::given(&[standard()])
        .when(operator(), EndExternalSessions)
        .then(&[ExternalSessionsEnded {}.into()])
        .state();
    let external = access.granted().unwrap();
    assert!(external.sessions_valid_from() > external.modified_at());
    Access::given(&[standard(), AccessRevoked {}.into()])
        .when(operator(), EndExternalSessions)
        .then_nothing();
}

#[test]
fn r26_an_access_is_erased_whether_it_was_revoked_or_not() {
    let gone = AccessEvent::from(ExternalUserDeleted {});
    Access::given(&[standard()])
        .when(operator(), EraseAccess)
        .then(&[AccessRevoked {}.into(), gone.clone()])
        .forgets();
    Access::given(&[standard(), AccessRevoked {}.into()])
        .when(operator(), EraseAccess)
        .then(std::slice::from_ref(&gone))
        .releases(&[Claim::ExternalAccess(ANNA)])
        .forgets();
    Access::given(&[standard(), gone])
        .when(operator(), EraseAccess)
        .then_nothing();
}

#[test]
fn r24_what_lies_in_another_account_is_told_as_kind_and_count() {
    let mut directory = directory();
    let key = access_key(ANNA);
    for number in 0..3 {
        let report = user::ReportInvoiceQueued {
            company_id: NORTH,
            invoice_id: invoice(&format!("INV-{number}")),
        };
        directory
            .access(&service(), &key, OfAccess(report))
            .unwrap();
    }
    let review = user::ReportInvoiceReviewed {
        company_id: NORTH,
        invoice_id: invoice("INV-7"),
        kind: ReviewKind::Attested,
    };
    directory
        .access(&service(), &key, OfAccess(review))
        .unwrap();
    directory.access(&admin(), &key, RevokeAccess).unwrap();
    let elsewhere = |need, count| Blocker::NeededElsewhere { need, count };
    let expected = UserError::StillNeeded(vec![
        elsewhere(Need::QueuedInvoice, 3),
        elsewhere(Need::UnsettledInvoice, 1),
    ]);
    let here = account();
    let mut directory = at_home(directory);
    assert_eq!(directory.delete(&operator(), ANNA), Err(expected.clone()));
    let told = format!("{:?}", expected.violations());
    assert!(
        told.contains("3 in other accounts") && !told.contains("INV-"),
        "{told}"
    );
    directory.account = here;
    for number in 0..3 {
        let report = user::ReportInvoiceDequeued {
            company_id: NORTH,
            invoice_id: invoice(&format!("INV-{number}")),
        };
        directory
            .access(&service(), &key, OfAccess(report))
            .unwrap();
    }
    let settle = user::SettleInvoice {
        company_id: NORTH,
        invoice_id: invoice("INV-7"),
        settlement: Settlement::Posted,
    };
    directory
        .access(&service(), &key, OfAccess(settle))
        .unwrap();
    at_home(directory).delete(&operator(), ANNA).unwrap();
}

#[test]
fn r39_a_settlement_finds_external_reviewers_by_their_claim() {
    let mut directory = directory();
    let review = user::ReportInvoiceReviewed {
        company_id: NORTH,
        invoice_id: invoice("INV-7"),
        kind: ReviewKind::Reviewed,
    };
    directory
        .access(&service(), &access_key(ANNA), OfAccess(review))
        .unwrap();
    let key = InvoiceKey {
        company_id: NORTH,
        invoice_id: invoice("INV-7"),
    };
    let reviewers = directory.holders(&Claim::Reviewer(key.clone()));
    assert_eq!(reviewers.owners, [ANNA.to_string()]);
    let post = ReportInvoicePosted {
        company_id: NORTH,
        invoice_id: invoice("INV-7"),
    };
    directory.settle(&service(), &key, post).unwrap();
    assert_eq!(directory.holders(&Claim::Reviewer(key)).count, 0);
}

#[test]
fn r25_a_deletion_requires_that_no_access_was_granted_meanwhile() {
    let directory = at_home(directory());
    let decision = directory
        .ask(&operator(), &directory.users[&ANNA], DeleteUser)
        .unwrap();
    let no_other = Requires::Exactly {
        claim: Claim::ExternalAccess(ANNA),
        owners: set([account_id().to_string()]),
    };
    assert!(decision.requires.contains(&no_other));
}

#[test]
fn an_access_is_named_after_its_account_and_its_user() {
    let key = access_key(ANNA);
    assert_eq!(AccessKey::parse(&key.to_string()), Ok(key));
    for text in ["", "acme", "acme/", "acme/7", "/7"] {
        assert!(AccessKey::parse(text).is_err(), "{text}");
    }
}

#[test]
fn an_access_survives_being_written_and_read() {
    let access: Access = replayed(&[standard(), AccessRevoked {}.into()]);
    let text = serde_json::to_string(&access).unwrap();
    assert_eq!(serde_json::from_str::<Access>(&text).unwrap(), access);
    assert_eq!(
        access.external().unwrap().revoked_at(),
        Some(dawn() + Duration::seconds(1))
    );
}
