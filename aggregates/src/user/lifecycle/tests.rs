//! How a user comes, sleeps and is locked.

use std::collections::BTreeSet;

use super::*;
use crate::domain::{Claim, Reason, Refusal, Requires};
use crate::samples::{
    ANNA, BERT, CARL, NORTH, NOWHERE, OFFER, SOUTH, TOKEN, account, admin, create, created,
    created_administrator, days, email, grant, linked, module, new_company, role, service, set,
    settings, signature, user_created,
};
use crate::user::{Status, SupervisorFault, UnfitSupervisor};
use crate::values::{CompanyId, Login};

const LINK: Link = Link {
    token_digest: TOKEN,
    by_mail: false,
};

#[test]
fn r1_a_user_needs_no_company() {
    let user = User::given(&[])
        .when(admin(), create(ANNA, "anna"))
        .then(&[created()])
        .state();
    assert!(user.person().unwrap().companies().is_empty());
}

#[test]
fn r2_a_user_is_created_with_all_that_was_given() {
    let mut command = create(ANNA, "anna");
    command.phone = Some(PhoneNumber::parse("+46 8 123 45").unwrap());
    command.language = Some(LanguageTag::parse("sv-se").unwrap());
    command.roles = set([role("approver")]);
    command.permissions = set([grant("invoices")]);
    command.companies = vec![new_company(NORTH, None)];
    command.password = PasswordState::OneTime;
    let mut expected = user_created(ANNA, "anna");
    expected.phone = command.phone.clone().map(Personal::Known);
    expected.language = command.language.clone();
    expected.password = PasswordState::OneTime;
    User::given(&[]).when(admin(), command).then(&[
        expected.into(),
        UserRolesSet {
            roles: set([role("approver")]),
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
fn r2_a_password_or_a_welcome_link_is_needed() {
    let mut command = create(ANNA, "anna");
    command.password = PasswordState::None;
    let error = User::given(&[])
        .when(admin(), command)
        .refused_for(Reason::PasswordMissing);
    assert_eq!(error.field(), Some("password"));
}

#[test]
fn r2_a_password_and_a_welcome_link_exclude_each_other() {
    let mut command = create(ANNA, "anna");
    command.welcome = Some(LINK);
    let error = User::given(&[])
        .when(admin(), command)
        .refused_for(Reason::PasswordAndWelcome);
    assert_eq!(error.field(), Some("password"));
}

#[test]
fn r2_who_gets_a_welcome_link_is_provisioned() {
    let mut command = create(ANNA, "anna");
    command.password = PasswordState::None;
    command.welcome = Some(LINK);
    let mut expected = user_created(ANNA, "anna");
    expected.password = PasswordState::None;
    expected.onboarded = false;
    let issued = WelcomeIssued {
        issue: 1,
        token_digest: TOKEN,
        validity_days: days(7),
        by_mail: false,
    };
    let user = User::given(&[])
        .when(admin(), command)
        .then(&[expected.into(), issued.into()])
        .state();
    assert_eq!(user.status(), Some(Status::Provisioned));
}

#[test]
fn r3_a_user_may_be_created_inactive() {
    let mut command = create(ANNA, "anna");
    command.active = false;
    let user = User::given(&[]).when(admin(), command).state();
    assert_eq!(user.status(), Some(Status::Inactive));
}

#[test]
fn r4_a_signature_is_unique_whatever_its_case_and_width() {
    for taken in ["ANNA", "anna", "ａｎｎａ"] {
        User::given(&[])
            .held(Claim::Signature(signature(taken).folded()), &BERT)
            .when(admin(), create(ANNA, "Anna"))
            .refused(UserError::SignatureTaken);
    }
}

#[test]
fn r5_email_is_unique_where_it_is_the_login() {
    User::given(&[])
        .held(Claim::Email(email("ANNA@Acme.example").folded()), &BERT)
        .when(admin(), create(ANNA, "anna"))
        .refused(UserError::EmailTaken);
}

#[test]
fn r5_email_may_be_shared_where_it_is_not_the_login() {
    User::given(&[])
        .with(settings(Login::Signature, PasswordAuthority::Directory))
        .held(Claim::Email(email("anna@acme.example").folded()), &BERT)
        .when(admin(), create(ANNA, "anna"))
        .then(&[created()]);
}

#[test]
fn r10_roles_must_be_in_the_catalogue() {
    let mut command = create(ANNA, "anna");
    command.roles = set([role("approver"), role("king"), role("queen")]);
    let error = User::given(&[])
        .when(admin(), command)
        .refused_for(Reason::RoleNotFound);
    assert_eq!(error.to_string(), "the account has no role king, queen");
}

#[test]
fn r11_a_standard_user_is_not_created_with_an_administrators_module() {
    let mut command = create(ANNA, "anna");
    command.permissions = set([grant("invoices"), grant("payment"), grant("pricing")]);
    let error = User::given(&[])
        .when(admin(), command)
        .refused_for(Reason::ModuleAdministratorOnly);
    let named: Vec<String> = error.violations().into_iter().map(|v| v.subject).collect();
    assert_eq!(named, ["payment", "pricing"]);
}

#[test]
fn a_grant_must_be_on_a_module_and_in_a_company_of_the_account() {
    let mut command = create(ANNA, "anna");
    command.permissions = set([grant("cooking")]);
    User::given(&[])
        .when(admin(), command)
        .refused_for(Reason::ModuleNotFound);
    let mut command = create(ANNA, "anna");
    command.permissions = set([Permission {
        module: module("invoices"),
        company: Some(NOWHERE),
    }]);
    User::given(&[])
        .when(admin(), command)
        .refused_for(Reason::CompanyNotFound);
}

#[test]
fn a_user_is_not_created_twice_nor_after_its_deletion() {
    User::given(&[created()])
        .when(admin(), create(ANNA, "anna"))
        .refused(UserError::Exists);
    User::given(&[created(), deletion::UserDeleted {}.into()])
        .when(admin(), create(ANNA, "anna"))
        .refused(UserError::Deleted);
}

#[test]
fn a_user_is_not_created_where_there_is_no_account() {
    User::given(&[])
        .inside(Account::default())
        .when(service(), create(ANNA, "anna"))
        .refused(UserError::AccountNotFound);
}

#[test]
fn r13_the_first_facet_that_holds_is_the_status() {
    let one_time = |onboarded| {
        let mut created = user_created(ANNA, "anna");
        created.password = PasswordState::OneTime;
        created.onboarded = onboarded;
        UserEvent::from(created)
    };
    let status = |events: &[UserEvent]| crate::given::replayed::<User>(events).status();
    assert_eq!(User::default().status(), None);
    assert_eq!(status(&[created()]), Some(Status::Active));
    assert_eq!(
        status(&[one_time(false)]),
        Some(Status::AwaitingNewPassword)
    );
    let locked = [one_time(false), UserLocked {}.into()];
    assert_eq!(status(&locked), Some(Status::LockedByAdmin));
    let [first, second] = locked;
    let inactive = [first, second, UserDeactivated {}.into()];
    assert_eq!(status(&inactive), Some(Status::Inactive));
    let [first, second, third] = inactive;
    let deleted = [first, second, third, deletion::UserDeleted {}.into()];
    assert_eq!(status(&deleted), Some(Status::Deleted));
}

#[test]
fn r13_a_lock_survives_deactivation_and_activation() {
    let user = User::given(&[created(), UserLocked {}.into(), UserDeactivated {}.into()])
        .when(admin(), ActivateUser)
        .then(&[UserActivated {}.into()])
        .state();
    assert_eq!(user.status(), Some(Status::LockedByAdmin));
}

#[test]
fn r14_an_administrator_locks_until_an_administrator_unlocks() {
    let locked = User::given(&[created()])
        .when(admin(), LockUser)
        .then(&[UserLocked {}.into()])
        .state();
    assert_eq!(locked.status(), Some(Status::LockedByAdmin));
    let unlocked = User::given(&[created(), UserLocked {}.into()])
        .when(admin(), UnlockUser)
        .then(&[UserUnlocked {}.into()])
        .state();
    assert_eq!(unlocked.status(), Some(Status::Active));
}

#[test]
fn what_is_so_already_is_no_event() {
    User::given(&[created()])
        .when(admin(), ActivateUser)
        .then_nothing();
    User::given(&[created()])
        .when(admin(), UnlockUser)
        .then_nothing();
    User::given(&[created(), UserLocked {}.into()])
        .when(admin(), LockUser)
        .then_nothing();
    User::given(&[created(), UserDeactivated {}.into()])
        .when(admin(), DeactivateUser)
        .then_nothing();
}

#[test]
fn r18_no_password_is_accepted_where_they_are_kept_elsewhere() {
    let elsewhere = settings(Login::Email, PasswordAuthority::External);
    User::given(&[])
        .with(elsewhere)
        .when(admin(), create(ANNA, "anna"))
        .refused(UserError::PasswordsKeptElsewhere);
    let mut command = create(ANNA, "anna");
    command.password = PasswordState::None;
    let user = User::given(&[])
        .with(elsewhere)
        .when(admin(), command)
        .state();
    assert_eq!(user.status(), Some(Status::Active));
}

#[test]
fn r25_an_administrators_command_requires_that_it_still_is_one() {
    User::given(&[created()])
        .without_administrators()
        .when(admin(), LockUser)
        .refused(UserError::NotAdministrator);
    User::given(&[created()])
        .without_administrators()
        .when(service(), LockUser)
        .then(&[UserLocked {}.into()]);
}

#[test]
fn r28_the_last_administrator_is_not_deactivated_or_locked() {
    let last = || User::given(&[created_administrator()]).with_no_other_administrator();
    last()
        .when(service(), DeactivateUser)
        .refused(UserError::LastAdministrator);
    last()
        .when(service(), LockUser)
        .refused(UserError::LastAdministrator);
    let another = Requires::Another {
        claim: Claim::Administrator,
        owner: ANNA.to_string(),
    };
    User::given(&[created_administrator()])
        .when(admin(), DeactivateUser)
        .then(&[UserDeactivated {}.into()])
        .releases(&[Claim::Administrator])
        .requires(&another);
    User::given(&[created_administrator()])
        .when(admin(), LockUser)
        .then(&[UserLocked {}.into()])
        .requires(&another);
}

#[test]
fn r28_an_administrator_who_cannot_act_may_be_locked() {
    User::given(&[created_administrator(), UserDeactivated {}.into()])
        .with_no_other_administrator()
        .when(service(), LockUser)
        .then(&[UserLocked {}.into()]);
}

#[test]
fn r31_a_supervisor_may_be_deactivated() {
    let claim = Claim::Supervises {
        supervisor: ANNA,
        company: NORTH,
    };
    User::given(&[created(), linked(NORTH, ANNA)])
        .held(claim, &BERT)
        .when(admin(), DeactivateUser)
        .then(&[UserDeactivated {}.into()]);
}

#[test]
fn r31_supervisors_of_a_new_user_must_be_fit_and_all_that_are_not_are_told() {
    let mut command = create(ANNA, "anna");
    command.companies = vec![
        new_company(NORTH, Some(BERT)),
        new_company(SOUTH, Some(CARL)),
    ];
    let unfit = |supervisor, company: CompanyId, fault| UnfitSupervisor {
        supervisor,
        company: Some(company),
        fault,
    };
    let bert = user_created(BERT, "bert").into();
    User::given(&[])
        .other(
            BERT,
            &[bert, linked(NORTH, BERT), UserDeactivated {}.into()],
        )
        .when(admin(), command)
        .refused(UserError::SupervisorsUnfit(vec![
            unfit(BERT, NORTH, SupervisorFault::Inactive),
            unfit(CARL, SOUTH, SupervisorFault::NotFound),
        ]));
}

#[test]
fn r41_deactivation_and_lock_end_the_sessions() {
    for command in [
        crate::user::UserCommand::from(DeactivateUser),
        crate::user::UserCommand::from(LockUser),
    ] {
        let user = User::given(&[created()]).when(admin(), command).state();
        let person = user.person().unwrap();
        assert!(person.sessions_valid_from() > person.created_at());
    }
}

#[test]
fn r48_who_accepted_an_invitation_has_completed_onboarding() {
    let mut command = create(ANNA, "anna");
    command.invitation = Some(OFFER);
    let user = User::given(&[]).when(service(), command).state();
    assert!(user.person().unwrap().is_onboarded());
}

#[test]
fn r68_a_user_of_another_account_does_not_exist() {
    let mut elsewhere = user_created(ANNA, "anna");
    elsewhere.account_id = AccountId::parse("umbrella").unwrap();
    User::given(&[elsewhere.into()])
        .when(service(), LockUser)
        .refused(UserError::NotFound);
    User::given(&[])
        .when(service(), LockUser)
        .refused(UserError::NotFound);
}

#[test]
fn a_new_user_claims_what_it_is() {
    let mut command = create(ANNA, "Anna");
    command.user_type = UserType::Administrator;
    command.roles = set([role("approver")]);
    command.permissions = BTreeSet::from([grant("pricing")]);
    let bert = [user_created(BERT, "bert").into(), linked(NORTH, BERT)];
    command.companies = vec![new_company(NORTH, Some(BERT)), new_company(SOUTH, None)];
    User::given(&[])
        .other(BERT, &bert)
        .when(admin(), command)
        .takes(&[
            Claim::Signature(signature("anna").folded()),
            Claim::Email(email("anna@acme.example").folded()),
            Claim::Administrator,
            Claim::Supervises {
                supervisor: BERT,
                company: NORTH,
            },
            Claim::CompanyMember(NORTH),
            Claim::CompanyMember(SOUTH),
            Claim::RoleHolder(role("approver")),
            Claim::ModuleHolder(module("pricing")),
        ])
        .releases(&[]);
}

#[test]
fn the_user_name_follows_from_the_login() {
    let user: User = crate::given::replayed(&[created()]);
    let person = user.person().unwrap();
    assert_eq!(person.user_name(&account()), Some("anna@acme.example"));
    let by_signature =
        crate::samples::account_with(settings(Login::Signature, PasswordAuthority::Directory));
    assert_eq!(person.user_name(&by_signature), Some("anna"));
}
