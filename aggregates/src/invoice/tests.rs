//! Whether an invoice is settled.

use super::*;
use crate::samples::{ANNA, BERT, NORTH, SOUTH, account, account_id, invoice, service};

fn post() -> ReportInvoicePosted {
    ReportInvoicePosted {
        company_id: NORTH,
        invoice_id: invoice("INV-7"),
    }
}

fn settled(settlement: Settlement) -> InvoiceEvent {
    InvoiceSettlementReported {
        account_id: account_id(),
        company_id: NORTH,
        invoice_id: invoice("INV-7"),
        settlement,
    }
    .into()
}

fn reviewer() -> Claim {
    Claim::Reviewer(InvoiceKey {
        company_id: NORTH,
        invoice_id: invoice("INV-7"),
    })
}

#[test]
fn r39_posted_or_withdrawn_settles_an_invoice_once() {
    let withdraw = ReportInvoiceWithdrawn {
        company_id: NORTH,
        invoice_id: invoice("INV-7"),
    };
    let posted = Invoice::given(&[])
        .when(service(), post())
        .then(&[settled(Settlement::Posted)])
        .state();
    assert_eq!(posted.settlement(), Some(Settlement::Posted));
    Invoice::given(&[])
        .when(service(), withdraw.clone())
        .then(&[settled(Settlement::Withdrawn)]);
    for earlier in [Settlement::Posted, Settlement::Withdrawn] {
        Invoice::given(&[settled(earlier)])
            .when(service(), post())
            .then_nothing();
        Invoice::given(&[settled(earlier)])
            .when(service(), withdraw.clone())
            .then_nothing();
    }
}

#[test]
fn r39_the_commit_requires_exactly_the_reviewers_that_are_released() {
    let account = account();
    let mut facts = crate::domain::Facts::default();
    let owners = vec![ANNA.to_string(), BERT.to_string()];
    let holders = Holders { count: 2, owners };
    facts.insert_holders(reviewer(), holders.clone());
    let ctx = Context {
        actor: &service(),
        now: crate::samples::dawn(),
        account: &account,
        facts: &facts,
    };
    let decision = post().decide(&ctx, &Invoice::default()).unwrap();
    let owners = holders.owners.into_iter().collect();
    let claim = reviewer();
    assert_eq!(decision.requires, [Requires::Exactly { claim, owners }]);
}

#[test]
fn more_reviewers_than_the_store_tells_are_refused() {
    let mut given = Invoice::given(&[]);
    for n in 0..101 {
        given = given.held(reviewer(), &format!("user-{n:03}"));
    }
    given
        .when(service(), post())
        .refused(InvoiceError::TooManyReviewers(101));
}

#[test]
fn an_invoice_has_one_stream_in_its_company_and_account() {
    let of = |company, id: &str| Invoice::stream_id(&account_id(), company, &invoice(id));
    assert_eq!(of(NORTH, "INV-7"), of(NORTH, "INV-7"));
    assert_ne!(of(NORTH, "INV-7"), of(SOUTH, "INV-7"));
    assert_ne!(of(NORTH, "INV-7"), of(NORTH, "INV-8"));
    let umbrella = AccountId::parse("umbrella").unwrap();
    assert_ne!(
        of(NORTH, "INV-7"),
        Invoice::stream_id(&umbrella, NORTH, &invoice("INV-7"))
    );
    assert_eq!(
        of(NORTH, "INV-7").to_string(),
        "5af64cac-9891-5ef9-9e59-0cd999bd8165"
    );
}

#[test]
fn what_has_no_account_is_refused() {
    Invoice::given(&[])
        .inside(Account::default())
        .when(service(), post())
        .refused(InvoiceError::AccountNotFound);
}
