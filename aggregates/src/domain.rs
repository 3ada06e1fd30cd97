//! What a command, an event, a claim and a refusal are.
//!
//! A command carries its decision: [`Decide::decide`] is pure and gives events with what must still be true when
//! they are committed, or a refusal. [`Apply::apply`] assigns; it never adds up, fails or panics. Rules that span
//! aggregates are [`Claim`]s: which ones an aggregate holds follows from its state, so no command can forget one.

mod claims;
mod context;
mod decision;
mod personal;
mod recorded;
mod refusal;
mod sets;
mod shared_set;

pub use claims::{Claim, ClaimKeyText, Held, Holders, Requires};
pub use context::{Actor, Context, Facts, InvoiceKey, Reads, Surroundings};
pub use decision::{Apply, Claimant, Decide, Decision, Guards};
pub use personal::Personal;
pub use recorded::{EventSet, RECORDED_AT, Recorded};
pub use refusal::{Reason, Refusal, RefusalKind, Violation};
pub use shared_set::SharedSet;

pub(crate) use sets::{command_set, event_set};

/// A moment, in UTC.
pub type Timestamp = chrono::DateTime<chrono::Utc>;
