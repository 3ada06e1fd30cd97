//! Deleting a user.

use chrono::Duration;

use super::*;
use crate::directory::Directory;
use crate::domain::{Actor, Reason, Refusal};
use crate::samples::{
    ANNA, BERT, CARL, NORTH, SOUTH, admin, create, created, created_administrator, email, invoice,
    linked, new_company, service, signature, user_created,
};
use crate::user::{
    DeactivateUser, FlowTemplateLinked, InvoiceQueued, InvoiceReviewed, InvoiceSettled,
    ReferenceLinked, ReportInvoiceReviewed, UserDeactivated, UserEvent,
};
use crate::values::{FlowTemplateId, ReferenceId, UserId, UserType};

fn reviewed(id: &str, settled: bool) -> UserEvent {
    InvoiceReviewed {
        company_id: NORTH,
        invoice_id: invoice(id),
        kind: ReviewKind::Reviewed,
        settled,
    }
    .into()
}

fn queued(id: &str) -> UserEvent {
    InvoiceQueued {
        company_id: NORTH,
        invoice_id: invoice(id),
    }
    .into()
}

fn supervised_by_anna(company: CompanyId) -> Claim {
    Claim::Supervises {
        supervisor: ANNA,
        company,
    }
}

#[test]
fn r6_and_r26_deletion_frees_the_email_and_everything_but_the_signature() {
    let user = User::given(&[created(), linked(NORTH, BERT)])
        .when(admin(), DeleteUser)
        .then(&[UserDeleted {}.into()])
        .releases(&[
            Claim::Email(email("anna@acme.example").folded()),
            Claim::CompanyMember(NORTH),
            Claim::Supervises {
                supervisor: BERT,
                company: NORTH,
            },
        ])
        .forgets()
        .state();
    assert!(user.person().is_none());
    let gone = user.gone().unwrap();
    assert_eq!(
        (gone.id, gone.deleted_at - gone.created_at),
        (ANNA, Duration::hours(1))
    );
}

#[test]
fn r4_a_deleted_users_signature_stays_reserved() {
    let mut directory = Directory::default();
    directory
        .user(&service(), ANNA, create(ANNA, "anna"))
        .unwrap();
    directory.user(&service(), ANNA, DeleteUser).unwrap();
    let mut again = create(BERT, "ANNA");
    again.email = email("anna@acme.example");
    let taken = directory.user(&service(), BERT, again.clone());
    assert_eq!(taken, Err(UserError::SignatureTaken));
    again.signature = signature("anna2");
    directory.user(&service(), BERT, again).unwrap();
}

#[test]
fn r24_all_blockers_are_told_at_once_and_in_order() {
    let events = [
        created_administrator(),
        linked(NORTH, ANNA),
        linked(SOUTH, ANNA),
        reviewed("INV-7", false),
        reviewed("INV-8", true),
        FlowTemplateLinked {
            company_id: NORTH,
            flow_template_id: FlowTemplateId::parse("FLOW-1").unwrap(),
        }
        .into(),
        ReferenceLinked {
            company_id: SOUTH,
            reference_id: ReferenceId::parse("REF-1").unwrap(),
        }
        .into(),
        queued("INV-9"),
    ];
    let supervised = Holders {
        count: 1,
        owners: vec![BERT.to_string()],
    };
    let expected = vec![
        Blocker::OwnUser,
        Blocker::PersonalQueueNotEmpty {
            company_id: NORTH,
            invoice_id: invoice("INV-9"),
        },
        Blocker::ReferenceLinked {
            company_id: SOUTH,
            reference_id: ReferenceId::parse("REF-1").unwrap(),
        },
        Blocker::FlowTemplateLinked {
            company_id: NORTH,
            flow_template_id: FlowTemplateId::parse("FLOW-1").unwrap(),
        },
        Blocker::InvoiceNotSettled {
            company_id: NORTH,
            invoice_id: invoice("INV-7"),
            kind: ReviewKind::Reviewed,
        },
        Blocker::SupervisesUsers {
            company_id: SOUTH,
            users: supervised,
        },
        Blocker::LastAdministrator,
    ];
    let error = User::given(&events)
        .with_no_other_administrator()
        .held(supervised_by_anna(SOUTH), &BERT)
        .when(Actor::Administrator(ANNA), DeleteUser)
        .refused_for(Reason::UserStillNeeded);
    assert_eq!(error, UserError::StillNeeded(expected));
    let kinds: Vec<&str> = error.violations().iter().map(|v| v.r#type).collect();
    assert_eq!(
        kinds,
        [
            "OWN_USER",
            "QUEUED_INVOICE",
            "LINKED_REFERENCE",
            "LINKED_FLOW_TEMPLATE",
            "UNSETTLED_INVOICE",
            "SUPERVISED_USER",
            "LAST_ADMINISTRATOR",
        ]
    );
}

#[test]
fn r24_a_reviewed_invoice_that_is_not_settled_blocks_and_one_that_is_does_not() {
    let blocker = Blocker::InvoiceNotSettled {
        company_id: NORTH,
        invoice_id: invoice("INV-7"),
        kind: ReviewKind::Reviewed,
    };
    User::given(&[created(), reviewed("INV-7", false)])
        .when(admin(), DeleteUser)
        .refused(UserError::StillNeeded(vec![blocker]));
    let settled = InvoiceSettled {
        company_id: NORTH,
        invoice_id: invoice("INV-7"),
        settlement: crate::invoice::Settlement::Posted,
    };
    User::given(&[created(), reviewed("INV-7", false), settled.into()])
        .when(admin(), DeleteUser)
        .then(&[UserDeleted {}.into()]);
}

#[test]
fn r24_the_own_supervisor_supervises_nobody_else() {
    User::given(&[created(), linked(NORTH, ANNA)])
        .when(admin(), DeleteUser)
        .then(&[UserDeleted {}.into()]);
}

#[test]
fn r24_an_administrator_who_cannot_act_is_not_the_last_one() {
    User::given(&[created_administrator(), UserDeactivated {}.into()])
        .with_no_other_administrator()
        .when(service(), DeleteUser)
        .then(&[UserDeleted {}.into()]);
}

#[test]
fn r24_of_many_blockers_of_a_kind_a_hundred_are_told_and_how_many_more() {
    let mut events = vec![created()];
    events.extend((0..250).map(|n| queued(&format!("INV-{n:03}"))));
    let error = User::given(&events)
        .when(admin(), DeleteUser)
        .refused_for(Reason::UserStillNeeded);
    let violations = error.violations();
    assert_eq!(violations.len(), 101);
    assert_eq!(violations[100].description, "and 150 more");
}

#[test]
fn r25_of_two_administrators_who_delete_each_other_one_succeeds() {
    for others in [0, 1] {
        let mut directory = Directory::default();
        for (id, who) in [(ANNA, "anna"), (BERT, "bert"), (CARL, "carl")]
            .into_iter()
            .take(2 + others)
        {
            let mut command = create(id, who);
            command.user_type = UserType::Administrator;
            directory.user(&service(), id, command).unwrap();
        }
        directory
            .user(&Actor::Administrator(ANNA), BERT, DeleteUser)
            .unwrap();
        let second = directory.user(&Actor::Administrator(BERT), ANNA, DeleteUser);
        assert!(
            matches!(
                second,
                Err(UserError::NotAdministrator | UserError::StillNeeded(_))
            ),
            "{second:?}"
        );
        assert!(directory.users[&ANNA].person().is_some());
    }
}

#[test]
fn r25_a_review_after_the_deletion_is_refused() {
    let review = ReportInvoiceReviewed {
        company_id: NORTH,
        invoice_id: invoice("INV-7"),
        kind: ReviewKind::Attested,
    };
    User::given(&[created(), UserDeleted {}.into()])
        .when(service(), review)
        .refused(UserError::Deleted);
}

#[test]
fn r25_the_commit_requires_again_what_was_looked_up() {
    let decided = Directory::default();
    let user: User = crate::given::replayed(&[created_administrator(), linked(NORTH, ANNA)]);
    let mut others = decided;
    others.hold(Claim::Administrator, &BERT);
    let decision = others
        .ask(&Actor::Administrator(BERT), &user, DeleteUser)
        .unwrap();
    assert_eq!(
        decision.requires,
        [
            Requires::HeldBy {
                claim: Claim::Administrator,
                owner: BERT.to_string(),
            },
            Requires::Free(supervised_by_anna(NORTH)),
            Requires::Another {
                claim: Claim::Administrator,
                owner: ANNA.to_string(),
            },
            Requires::Exactly {
                claim: Claim::ExternalAccess(ANNA),
                owners: std::collections::BTreeSet::new(),
            },
        ]
    );
}

#[test]
fn r26_deletion_cannot_be_undone_and_repeats_as_nothing() {
    let gone = || User::given(&[created(), UserDeleted {}.into()]);
    gone().when(admin(), DeleteUser).then_nothing();
    gone()
        .when(admin(), DeactivateUser)
        .refused(UserError::Deleted);
}

#[test]
fn r27_the_check_answers_the_same_list_without_deleting() {
    let user: User = crate::given::replayed(&[created(), queued("INV-1"), linked(NORTH, ANNA)]);
    let reads = deletion_reads(&user);
    assert_eq!(reads.claims, [supervised_by_anna(NORTH)].into());
    let directory = Directory::default();
    let facts = crate::domain::Facts::default();
    let ctx = Context {
        actor: &admin(),
        now: directory.now,
        account: &directory.account,
        facts: &facts,
    };
    let blockers = deletion_blockers(&ctx, &user).unwrap();
    assert_eq!(
        DeleteUser.decide(&ctx, &user).unwrap_err(),
        UserError::StillNeeded(blockers)
    );
    assert_eq!(
        deletion_blockers(&ctx, &User::default()),
        Err(UserError::NotFound)
    );
}

#[test]
fn r31_a_supervisor_is_not_deleted_while_it_has_a_report() {
    let mut directory = Directory::default();
    let mut anna = create(ANNA, "anna");
    anna.companies = vec![new_company(NORTH, None)];
    directory.user(&service(), ANNA, anna).unwrap();
    let mut bert = create(BERT, "bert");
    bert.companies = vec![new_company(NORTH, Some(ANNA))];
    directory.user(&service(), BERT, bert).unwrap();
    assert!(directory.user(&service(), ANNA, DeleteUser).is_err());
    directory.user(&service(), BERT, DeleteUser).unwrap();
    directory.user(&service(), ANNA, DeleteUser).unwrap();
}

#[test]
fn r62_nothing_personal_is_left_of_a_deleted_user() {
    let person: Vec<UserEvent> = vec![user_created(UserId::new(ANNA.as_uuid()), "anna").into()];
    let user = User::given(&person).when(admin(), DeleteUser).state();
    let text = serde_json::to_string(&user).unwrap();
    assert!(!text.contains("anna") && !text.contains("Berg"), "{text}");
}
