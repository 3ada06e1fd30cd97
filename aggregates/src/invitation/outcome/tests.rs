//! How an invitation ends.

use chrono::Duration;

use super::*;
use crate::account::{RemoveCompany, RemoveModule, RemoveRole};
use crate::directory::Directory;
use crate::domain::{Claim, Personal};
use crate::samples::{
    ANNA, BERT, NORTH, OFFER, TOKEN, TOKEN_2, acceptance, account, admin, create, email, grant,
    invite, invited, linked, module, role, service, set, user_created,
};
use crate::user::{User, UserError, UserPermissionsSet, UserRolesSet};
use crate::values::UserType;

const ADDRESS: &str = "dora@acme.example";

fn accept() -> AcceptInvitation {
    AcceptInvitation {
        user_id: ANNA,
        token_digest: TOKEN,
    }
}

fn accepted() -> InvitationAccepted {
    InvitationAccepted { user_id: ANNA }
}

fn address() -> Claim {
    Claim::InvitedAddress(email(ADDRESS).folded())
}

#[test]
fn r48_accepting_completes_the_invitation_and_forgets_the_address() {
    let invitation = Invitation::given(&[invited()])
        .when(service(), accept())
        .then(&[accepted().into()])
        .releases(&[address()])
        .forgets()
        .state();
    assert_eq!(invitation.outcome(), Some(Outcome::Accepted(ANNA)));
    assert_eq!(invitation.offer().unwrap().email, Personal::Erased);
}

#[test]
fn r48_the_user_is_what_was_offered() {
    let offered: Invitation = crate::given::replayed(&[invited()]);
    let command = offered
        .offer()
        .unwrap()
        .create_user(&account(), acceptance(ANNA, "dora"));
    let mut expected = user_created(ANNA, "dora");
    expected.invitation_id = Some(OFFER);
    User::given(&[]).when(service(), command.unwrap()).then(&[
        expected.into(),
        UserRolesSet {
            roles: set([role("reviewer")]),
        }
        .into(),
        UserPermissionsSet {
            permissions: set([grant("invoices")]),
        }
        .into(),
        linked(NORTH, ANNA),
    ]);
}

#[test]
fn r48_what_left_the_catalogue_since_is_left_out() {
    let offered: Invitation = crate::given::replayed(&[invited()]);
    let offer = offered.offer().unwrap();
    let mut directory = Directory::default();
    directory
        .account(
            &service(),
            RemoveRole {
                role: role("reviewer"),
            },
        )
        .unwrap();
    directory
        .account(
            &service(),
            RemoveModule {
                module: module("invoices"),
            },
        )
        .unwrap();
    directory
        .account(&service(), RemoveCompany { company_id: NORTH })
        .unwrap();
    let command = offer
        .create_user(&directory.account, acceptance(ANNA, "dora"))
        .unwrap();
    assert!(command.roles.is_empty());
    assert!(command.permissions.is_empty());
    assert!(command.companies.is_empty());
}

#[test]
fn r11_a_module_that_became_administrator_only_since_is_left_out() {
    let offered: Invitation = crate::given::replayed(&[invited()]);
    let narrow = crate::account::DefineModule {
        module: module("invoices"),
        title: crate::values::ModuleTitle::parse("invoices").unwrap(),
        administrator_only: true,
        held: crate::account::HeldGrants::Refuse,
    };
    let mut directory = Directory::default();
    directory.account(&service(), narrow).unwrap();
    let offer = offered.offer().unwrap();
    let command = offer
        .create_user(&directory.account, acceptance(ANNA, "dora"))
        .unwrap();
    assert!(command.permissions.is_empty());
}

#[test]
fn r48_an_invitation_is_accepted_once() {
    Invitation::given(&[invited(), accepted().into()])
        .when(service(), accept())
        .refused(InvitationError::Accepted);
}

#[test]
fn r46_an_earlier_token_is_dead() {
    let mut old = accept();
    old.token_digest = TOKEN_2;
    Invitation::given(&[invited()])
        .when(service(), old)
        .refused(InvitationError::NotFound);
}

#[test]
fn r45_the_link_dies_exactly_at_the_end_of_its_validity() {
    Invitation::given(&[invited()])
        .after(Duration::days(7) - Duration::microseconds(1))
        .when(service(), accept())
        .then(&[accepted().into()]);
    Invitation::given(&[invited()])
        .after(Duration::days(7))
        .when(service(), accept())
        .recorded_but_refused(&[InvitationExpired {}.into()], &InvitationError::Expired)
        .forgets();
}

#[test]
fn r45_a_wrong_token_records_no_expiry() {
    let mut wrong = accept();
    wrong.token_digest = TOKEN_2;
    Invitation::given(&[invited()])
        .after(Duration::days(8))
        .when(service(), wrong)
        .refused(InvitationError::NotFound);
}

#[test]
fn r49_deleting_frees_the_address_and_forgets_it() {
    let invitation = Invitation::given(&[invited()])
        .when(admin(), DeleteInvitation)
        .then(&[InvitationDeleted {}.into()])
        .releases(&[address()])
        .forgets()
        .state();
    let text = serde_json::to_string(&invitation).unwrap();
    assert!(!text.contains("dora"), "{text}");
}

#[test]
fn r49_what_is_gone_is_deleted_already() {
    for gone in [InvitationDeleted {}.into(), InvitationExpired {}.into()] {
        Invitation::given(&[invited(), gone])
            .when(admin(), DeleteInvitation)
            .then_nothing();
    }
    Invitation::given(&[invited(), accepted().into()])
        .when(admin(), DeleteInvitation)
        .refused(InvitationError::Accepted);
}

#[test]
fn r45_deleting_what_has_expired_records_the_expiry() {
    Invitation::given(&[invited()])
        .after(Duration::days(9))
        .when(admin(), DeleteInvitation)
        .then(&[InvitationExpired {}.into()])
        .releases(&[address()])
        .forgets();
}

#[test]
fn r45_an_expiry_that_is_due_is_recorded() {
    Invitation::given(&[invited()])
        .after(Duration::days(7))
        .when(service(), ExpireInvitation)
        .then(&[InvitationExpired {}.into()])
        .forgets();
    Invitation::given(&[invited(), InvitationDeleted {}.into()])
        .after(Duration::days(7))
        .when(service(), ExpireInvitation)
        .then_nothing();
}

#[test]
fn r6_a_removed_person_is_invited_again_and_becomes_a_new_user() {
    let mut directory = Directory::default();
    let mut dora = create(BERT, "dora");
    dora.user_type = UserType::Standard;
    directory.user(&service(), BERT, dora).unwrap();
    let refused = directory.invite(&service(), invite(OFFER, ADDRESS));
    assert_eq!(refused, Err(InvitationError::AddressIsUser));
    directory
        .user(&service(), BERT, crate::user::DeleteUser)
        .unwrap();
    directory
        .invite(&service(), invite(OFFER, ADDRESS))
        .unwrap();
    let offer = directory.invitations[&OFFER].offer().unwrap().clone();
    let reserved = offer
        .create_user(&directory.account, acceptance(ANNA, "dora"))
        .unwrap();
    assert_eq!(
        directory.user(&service(), ANNA, reserved),
        Err(UserError::SignatureTaken)
    );
    let again = Acceptance {
        signature: crate::samples::signature("dora2"),
        ..acceptance(ANNA, "dora")
    };
    let command = offer.create_user(&directory.account, again).unwrap();
    directory.user(&service(), ANNA, command).unwrap();
    directory.invitation(&service(), OFFER, accept()).unwrap();
    assert_eq!(directory.holders(&address()).count, 0);
}

#[test]
fn r68_an_invitation_of_another_account_does_not_exist() {
    Invitation::given(&[invited()])
        .inside(Account::default())
        .when(service(), accept())
        .refused(InvitationError::NotFound);
    Invitation::given(&[])
        .when(service(), accept())
        .refused(InvitationError::NotFound);
}
