//! Supervisors who are replaced.

use std::sync::Arc;

use super::*;
use crate::domain::{Facts, Reason, Refusal};
use crate::given::replayed;
use crate::samples::{
    ANNA, BERT, CARL, NORTH, NOWHERE, SOUTH, account, admin, created, dawn, linked, set,
    user_created,
};
use crate::user::{UserDeactivated, UserDeleted, UserEvent};

/// Carl takes Bert's place.
fn succession(missing: MissingCompany) -> Succession {
    Succession {
        supervisor: BERT,
        replacement: CARL,
        company: None,
        missing,
    }
}

fn bert() -> Vec<UserEvent> {
    vec![
        user_created(BERT, "bert").into(),
        linked(NORTH, BERT),
        linked(SOUTH, BERT),
    ]
}

fn carl() -> Vec<UserEvent> {
    vec![user_created(CARL, "carl").into(), linked(NORTH, CARL)]
}

fn with(mut events: Vec<UserEvent>, more: UserEvent) -> Vec<UserEvent> {
    events.push(more);
    events
}

/// Asks where these two are known.
fn ask<T>(bert: &[UserEvent], carl: &[UserEvent], ask: impl FnOnce(&Context<'_>) -> T) -> T {
    let mut facts = Facts::default();
    facts.insert_user(BERT, Arc::new(replayed(bert)));
    facts.insert_user(CARL, Arc::new(replayed(carl)));
    ask(&Context {
        actor: &admin(),
        now: dawn(),
        account: &account(),
        facts: &facts,
    })
}

fn holders(north: &[UserId], south: &[UserId]) -> Vec<(CompanyId, BTreeSet<UserId>)> {
    vec![
        (NORTH, north.iter().copied().collect()),
        (SOUTH, south.iter().copied().collect()),
    ]
}

#[test]
fn r33_everybody_who_has_the_supervisor_is_looked_for_in_each_company_it_has() {
    let everywhere = succession(MissingCompany::Refuse);
    let companies = ask(&bert(), &carl(), |ctx| everywhere.companies(ctx));
    assert_eq!(companies, Ok(set([NORTH, SOUTH])));
    let north = Succession {
        company: Some(NORTH),
        ..everywhere
    };
    assert_eq!(
        ask(&bert(), &carl(), |ctx| north.companies(ctx)),
        Ok(set([NORTH]))
    );
    let nowhere = Succession {
        company: Some(NOWHERE),
        ..north
    };
    let refused = ask(&bert(), &carl(), |ctx| nowhere.companies(ctx));
    assert_eq!(refused.unwrap_err().reason(), Reason::CompanyNotFound);
}

#[test]
fn r33_the_replacement_is_an_active_user_and_the_supervisor_is_there() {
    let succession = succession(MissingCompany::Leave);
    for (carl, fault) in [
        (Vec::new(), SupervisorFault::NotFound),
        (
            with(carl(), UserDeactivated {}.into()),
            SupervisorFault::Inactive,
        ),
        (
            with(carl(), UserDeleted {}.into()),
            SupervisorFault::NotFound,
        ),
    ] {
        let unfit = UnfitSupervisor {
            supervisor: CARL,
            company: None,
            fault,
        };
        let refused = ask(&bert(), &carl, |ctx| succession.companies(ctx)).unwrap_err();
        assert_eq!(refused, UserError::SupervisorsUnfit(vec![unfit]));
        assert_eq!(refused.violations()[0].subject, CARL.to_string());
    }
    let gone = with(bert(), UserDeleted {}.into());
    assert_eq!(
        ask(&gone, &carl(), |ctx| succession.companies(ctx)),
        Err(UserError::Deleted)
    );
    assert_eq!(
        ask(&[], &carl(), |ctx| succession.companies(ctx)),
        Err(UserError::NotFound)
    );
}

#[test]
fn r33_where_the_replacement_lacks_the_company_all_is_refused_or_those_are_left() {
    let refuse = succession(MissingCompany::Refuse);
    let found = || holders(&[ANNA], &[ANNA, CARL]);
    let unfit = UnfitSupervisor {
        supervisor: CARL,
        company: Some(SOUTH),
        fault: SupervisorFault::NotLinked,
    };
    assert_eq!(
        ask(&bert(), &carl(), |ctx| refuse.hand_over(ctx, found())),
        Err(UserError::SupervisorsUnfit(vec![unfit]))
    );
    let nobody_there = ask(&bert(), &carl(), |ctx| {
        refuse.hand_over(ctx, holders(&[ANNA], &[]))
    });
    assert!(nobody_there.unwrap().left.is_empty());
    let leave = succession(MissingCompany::Leave);
    let handover = ask(&bert(), &carl(), |ctx| leave.hand_over(ctx, found())).unwrap();
    assert_eq!(handover.reports, set([ANNA]));
    assert_eq!(handover.left, [(SOUTH, set([ANNA, CARL]))]);
    assert_eq!(handover.command.companies, set([NORTH]));
}

#[test]
fn r33_the_commit_requires_that_nobody_else_came_under_the_supervisor() {
    let leave = succession(MissingCompany::Leave);
    let handover = ask(&bert(), &carl(), |ctx| {
        leave.hand_over(ctx, holders(&[ANNA], &[]))
    });
    let exactly = |company, owners: &[UserId]| Requires::Exactly {
        claim: Claim::Supervises {
            supervisor: BERT,
            company,
        },
        owners: owners.iter().map(ToString::to_string).collect(),
    };
    assert_eq!(
        handover.unwrap().requires,
        [exactly(NORTH, &[ANNA]), exactly(SOUTH, &[])]
    );
}

fn replace(companies: &[CompanyId]) -> ReplaceSupervisor {
    ReplaceSupervisor {
        supervisor: BERT,
        replacement: CARL,
        companies: companies.iter().copied().collect(),
    }
}

fn changed(company_id: CompanyId, supervisor: UserId) -> UserEvent {
    UserSupervisorChanged {
        company_id,
        supervisor,
    }
    .into()
}

#[test]
fn r33_a_user_gets_the_replacement_where_it_has_the_supervisor() {
    let both = with(carl(), linked(SOUTH, CARL));
    User::given(&[created(), linked(NORTH, BERT), linked(SOUTH, BERT)])
        .other(CARL, &both)
        .when(admin(), replace(&[NORTH, SOUTH]))
        .then(&[changed(NORTH, CARL), changed(SOUTH, CARL)])
        .takes(&[
            Claim::Supervises {
                supervisor: CARL,
                company: NORTH,
            },
            Claim::Supervises {
                supervisor: CARL,
                company: SOUTH,
            },
        ]);
    User::given(&[created(), linked(NORTH, BERT), linked(SOUTH, ANNA)])
        .other(CARL, &both)
        .when(admin(), replace(&[NORTH, SOUTH]))
        .then(&[changed(NORTH, CARL)]);
    User::given(&[created(), linked(NORTH, CARL)])
        .other(CARL, &both)
        .when(admin(), replace(&[NORTH, SOUTH]))
        .then_nothing();
}

#[test]
fn r33_a_replacement_that_had_the_supervisor_becomes_its_own() {
    let mut own = replace(&[NORTH]);
    own.replacement = ANNA;
    User::given(&[created(), linked(NORTH, BERT)])
        .when(admin(), own)
        .then(&[changed(NORTH, ANNA)])
        .releases(&[Claim::Supervises {
            supervisor: BERT,
            company: NORTH,
        }]);
}

#[test]
fn r31_a_replacement_without_the_company_supervises_nobody_there() {
    User::given(&[created(), linked(SOUTH, BERT)])
        .other(CARL, &carl())
        .when(admin(), replace(&[SOUTH]))
        .refused_for(Reason::SupervisorUnfit);
}
