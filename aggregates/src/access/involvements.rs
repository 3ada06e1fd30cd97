//! What other services report of an external user's work in the account that is accessed.

use super::{Access, AccessError, AccessEvent};
use crate::account::Account;
use crate::domain::{Context, Decide, Decision, Reads};
use crate::user::{self, Involved, InvolvementEvents, Involvements, Report};

impl InvolvementEvents for AccessEvent {}

impl Involved for Access {
    /// Reports are facts: they are recorded after the access was revoked, too.
    fn involvements(&self, ctx: &Context<'_>) -> Result<&Involvements, AccessError> {
        match self.must_be_known(ctx) {
            Ok(external) => Ok(&external.involvements),
            Err(AccessError::NotFound) => Err(AccessError::UserNotFound),
            Err(error) => Err(error),
        }
    }

    fn involvements_mut(&mut self) -> Option<&mut Involvements> {
        self.external_mut()
            .map(|external| &mut external.involvements)
    }
}

/// A report about an external user, asked of its access.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfAccess<R>(pub R);

impl<R: Report> Decide for OfAccess<R> {
    type Aggregate = Access;

    fn reads(&self, _account: &Account, _access: &Access) -> Reads {
        self.0.reads_on()
    }

    fn decide(self, ctx: &Context<'_>, access: &Access) -> Result<Decision<Access>, AccessError> {
        self.0.decide_on(ctx, access)
    }
}

macro_rules! of_access {
    ($($report:ident,)+) => {$(
        #[doc = concat!("See [`struct@user::", stringify!($report), "`].")]
        pub type $report = OfAccess<user::$report>;
    )+};
}

of_access! {
    ReportInvoiceQueued,
    ReportInvoiceDequeued,
    ReportInvoiceReviewed,
    RetractInvoiceReview,
    SettleInvoice,
    LinkFlowTemplate,
    UnlinkFlowTemplate,
    LinkReference,
    UnlinkReference,
}
