//! The aggregates under the stock framework of cqrs-es.

use std::sync::Arc;

use cqrs_es::mem_store::MemStore;
use cqrs_es::{Aggregate, AggregateError, CqrsFramework, EventStore};

use crate::account::{Account, AccountEvent};
use crate::domain::{Claim, Facts, Recorded, Requires, Surroundings};
use crate::invitation::{Invitation, InvitationCommand, InvitationError, ResendInvitation};
use crate::samples::{
    ANNA, NORTH, OFFER, TOKEN_2, account, admin, create, dawn, email, invite, service,
};
use crate::user::{LockUser, UnlockUser, User, UserCommand, UserError};

fn surroundings() -> Surroundings {
    Surroundings {
        actor: admin(),
        now: dawn(),
        account: Arc::new(account()),
        facts: Facts::default(),
    }
}

#[tokio::test]
async fn the_stock_framework_runs_users() {
    let store = MemStore::<User>::default();
    let framework = CqrsFramework::new(store.clone(), vec![], surroundings());
    let id = ANNA.to_string();
    let run = async |command: UserCommand| framework.execute(&id, command).await;
    run(create(ANNA, "anna").into()).await.unwrap();
    run(LockUser.into()).await.unwrap();
    run(LockUser.into()).await.unwrap();
    let again = run(create(ANNA, "anna").into()).await;
    assert!(
        matches!(again, Err(AggregateError::UserError(UserError::Exists))),
        "{again:?}"
    );
    let events = store.load_events(&id).await.unwrap();
    let names: Vec<&str> = events.iter().map(|e| cqrs_es_name(&e.payload)).collect();
    assert_eq!(names, ["UserCreated", "UserLocked"]);
}

fn cqrs_es_name<E: crate::domain::EventSet>(recorded: &Recorded<E>) -> &'static str {
    recorded.event.name()
}

#[tokio::test]
async fn what_a_commit_requires_is_kept_in_the_aggregate_and_not_serialised() {
    let mut user = User::default();
    let sink = cqrs_es::event_sink::EventSink::default();
    let services = surroundings();
    user.handle(create(ANNA, "anna").into(), &services, &sink)
        .await
        .unwrap();
    let signature = Claim::Signature(crate::samples::signature("anna").folded());
    assert!(
        user.guards()
            .takes
            .iter()
            .any(|held| held.claim == signature)
    );
    assert!(user.guards().requires.iter().any(|requires| matches!(
        requires,
        Requires::FreeBut { claim, .. } if *claim == signature
    )));
    let read: User = serde_json::from_str(&serde_json::to_string(&user).unwrap()).unwrap();
    assert_eq!(read.guards(), &crate::domain::Guards::default());
    user.handle(UnlockUser.into(), &services, &sink)
        .await
        .unwrap();
    assert_eq!(user.guards(), &crate::domain::Guards::default());
}

#[tokio::test]
async fn the_stock_framework_refuses_an_expiry_without_recording_it() {
    let mut invitation = Invitation::default();
    let sink = cqrs_es::event_sink::EventSink::default();
    let mut services = surroundings();
    services.actor = service();
    let command: InvitationCommand = invite(OFFER, "dora@acme.example").into();
    invitation.handle(command, &services, &sink).await.unwrap();
    invitation.apply(Recorded::at(crate::samples::invited(), dawn()));
    services.now += chrono::Duration::days(7);
    let resend = ResendInvitation {
        by_mail: false,
        token_digest: TOKEN_2,
    };
    let refused = invitation.handle(resend.into(), &services, &sink).await;
    assert_eq!(refused, Err(InvitationError::Expired));
    assert_eq!(invitation.outcome(), None);
    assert_eq!(
        invitation.offer().unwrap().email.known(),
        Some(&email("dora@acme.example"))
    );
}

#[tokio::test]
async fn the_stock_framework_runs_accounts_and_invoices() {
    let framework = CqrsFramework::new(MemStore::<Account>::default(), vec![], surroundings());
    let refused = framework
        .execute(
            "acme",
            crate::account::RemoveCompany { company_id: NORTH }.into(),
        )
        .await;
    assert!(matches!(refused, Err(AggregateError::UserError(_))));
    let store = MemStore::<crate::invoice::Invoice>::default();
    let framework = CqrsFramework::new(store.clone(), vec![], surroundings());
    let post = crate::invoice::ReportInvoicePosted {
        company_id: NORTH,
        invoice_id: crate::samples::invoice("INV-7"),
    };
    framework
        .execute("INV-7", post.clone().into())
        .await
        .unwrap();
    framework.execute("INV-7", post.into()).await.unwrap();
    assert_eq!(store.load_events("INV-7").await.unwrap().len(), 1);
}

#[test]
fn an_account_event_is_stored_under_its_name_alone() {
    let opened = crate::samples::account_events(crate::account::Settings::default()).remove(0);
    let AccountEvent::AccountCreated(created) = &opened else {
        panic!("{opened:?}");
    };
    let text = serde_json::to_value(Recorded::from(opened.clone())).unwrap();
    assert_eq!(
        text["AccountCreated"],
        serde_json::to_value(created).unwrap()
    );
    assert_eq!(text.as_object().unwrap().len(), 1);
}
