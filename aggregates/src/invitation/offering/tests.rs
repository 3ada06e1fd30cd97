//! Sending an invitation, and sending it again.

use chrono::Duration;

use super::*;
use crate::directory::Directory;
use crate::domain::Reason;
use crate::invitation::{ExpireInvitation, InvitationDeleted, InvitationExpired, Outcome};
use crate::samples::{
    ANNA, NOWHERE, OFFER, OLD_OFFER, TOKEN_2, admin, days, email, grant, invite, invited, role,
    service, set, settings,
};
use crate::values::PasswordAuthority;

const ADDRESS: &str = "dora@acme.example";

#[test]
fn r44_an_address_is_invited_and_claimed() {
    Invitation::given(&[])
        .when(admin(), invite(OFFER, ADDRESS))
        .then(&[invited()])
        .takes(&[Claim::InvitedAddress(email(ADDRESS).folded())]);
}

#[test]
fn r44_an_address_that_is_invited_already_is_refused() {
    Invitation::given(&[])
        .held(
            Claim::InvitedAddress(email("DORA@acme.example").folded()),
            &OLD_OFFER,
        )
        .when(admin(), invite(OFFER, ADDRESS))
        .refused(InvitationError::AddressInvited);
}

#[test]
fn r44_an_address_that_is_a_users_login_is_refused() {
    let claim = || Claim::Email(email(ADDRESS).folded());
    Invitation::given(&[])
        .held(claim(), &ANNA)
        .when(admin(), invite(OFFER, ADDRESS))
        .refused(InvitationError::AddressIsUser);
    Invitation::given(&[])
        .with(settings(Login::Signature, PasswordAuthority::Directory))
        .held(claim(), &ANNA)
        .when(admin(), invite(OFFER, ADDRESS))
        .then(&[invited()]);
}

#[test]
fn r44_what_is_offered_must_be_in_the_catalogue() {
    let mut roles = invite(OFFER, ADDRESS);
    roles.roles = set([role("king")]);
    let mut modules = invite(OFFER, ADDRESS);
    modules.permissions = set([grant("cooking")]);
    let mut forbidden = invite(OFFER, ADDRESS);
    forbidden.permissions = set([grant("payment")]);
    let mut companies = invite(OFFER, ADDRESS);
    companies.companies = set([NOWHERE]);
    for (command, reason) in [
        (roles, Reason::RoleNotFound),
        (modules, Reason::ModuleNotFound),
        (forbidden, Reason::ModuleAdministratorOnly),
        (companies, Reason::CompanyNotFound),
    ] {
        Invitation::given(&[])
            .when(admin(), command)
            .refused_for(reason);
    }
}

#[test]
fn r45_the_accounts_validity_is_the_invitations() {
    let a_month = crate::account::Settings {
        invitation_validity_days: days(30),
        ..Default::default()
    };
    let invitation = Invitation::given(&[])
        .with(a_month)
        .when(admin(), invite(OFFER, ADDRESS))
        .state();
    let offer = invitation.offer().unwrap();
    assert_eq!(offer.expires_at() - offer.sent_at, Duration::days(30));
}

#[test]
fn r46_resending_gives_a_new_token_and_a_new_validity() {
    let resent = InvitationResent {
        issue: 2,
        by_mail: false,
        token_digest: TOKEN_2,
        validity_days: days(7),
    };
    let almost = Duration::days(7) - Duration::microseconds(1);
    Invitation::given(&[invited()])
        .after(almost)
        .when(
            admin(),
            ResendInvitation {
                by_mail: false,
                token_digest: TOKEN_2,
            },
        )
        .then(&[resent.clone().into()]);
    let again: Invitation = crate::given::replayed(&[invited(), resent.into()]);
    let offer = again.offer().unwrap();
    assert_eq!((offer.issue, offer.token_digest), (2, TOKEN_2));
    assert_eq!(offer.sent_at - offer.created_at, Duration::seconds(1));
}

#[test]
fn r45_resending_what_has_expired_records_the_expiry() {
    Invitation::given(&[invited()])
        .after(Duration::days(7))
        .when(
            admin(),
            ResendInvitation {
                by_mail: false,
                token_digest: TOKEN_2,
            },
        )
        .recorded_but_refused(&[InvitationExpired {}.into()], &InvitationError::Expired)
        .releases(&[Claim::InvitedAddress(email(ADDRESS).folded())])
        .forgets();
}

#[test]
fn r46_what_has_ended_is_not_sent_again() {
    let ended = [
        (InvitationExpired {}.into(), InvitationError::Expired),
        (InvitationDeleted {}.into(), InvitationError::Deleted),
    ];
    for (event, error) in ended {
        Invitation::given(&[invited(), event])
            .when(
                admin(),
                ResendInvitation {
                    by_mail: false,
                    token_digest: TOKEN_2,
                },
            )
            .refused(error);
    }
}

#[test]
fn r49_an_address_whose_invitation_has_expired_can_be_invited_again_at_once() {
    let mut directory = Directory::default();
    directory
        .invite(&service(), invite(OLD_OFFER, ADDRESS))
        .unwrap();
    let early = directory.invite(&service(), invite(OFFER, ADDRESS));
    assert_eq!(early, Err(InvitationError::AddressInvited));
    directory.now += Duration::days(7);
    directory
        .invite(&service(), invite(OFFER, ADDRESS))
        .unwrap();
    let outcome = |id| directory.invitations[&id].outcome();
    assert_eq!(outcome(OLD_OFFER), Some(Outcome::Expired));
    assert_eq!(outcome(OFFER), None);
    let holders = directory.holders(&Claim::InvitedAddress(email(ADDRESS).folded()));
    assert_eq!(holders.owners, [OFFER.to_string()]);
}

#[test]
fn what_has_not_expired_is_not_recorded_as_expired() {
    Invitation::given(&[invited()])
        .when(service(), ExpireInvitation)
        .then_nothing();
}
