//! The log: append, load, replay, follow, claims, and the sealing of personal data. It knows SQL, not users.
//!
//! - Positions are dense and in commit order; account numbers and revisions are dense in their account and stream.
//! - An append happens as a whole or not at all, and nobody is told anything before that is certain.
//! - Personal values leave this crate in the clear and reach a disk only sealed.
//! - The two homes, [`sqlite`] and [`postgres`], differ in their SQL and in nothing a caller sees.

mod append;
pub mod backup;
mod clock;
mod copies;
mod error;
mod event;
mod history;
mod home;
mod judge;
mod keys;
mod leadership;
mod log;
mod page;
pub mod postgres;
mod prepared;
pub mod proof;
mod read;
mod replay;
mod repository;
mod ring;
mod rotation;
mod sealer;
mod sealing;
mod snapshot;
pub mod sqlite;
mod stored;
mod stream;
mod tail;
mod writer;

pub use append::{
    Append, AppendError, Appended, Claim, ClaimKey, Conflict, HeldClaim, Holders, NewEvent,
    Repeated, Request, Requirement, SideRow, Slot, SlotTaken, StreamAppend, Told, Violation,
};
pub use clock::{Clock, Timestamp};
pub use copies::{CopyOpener, CopySeal, NotOfThisLog};
pub use error::{Cause, OpenError, StoreError};
pub use event::{Metadata, Reason, RecordedEvent, ToldEvent};
pub use history::OtherHistory;
pub use home::LogStatus;
pub use keys::{MasterKey, MasterKeyError};
pub use leadership::Leadership;
pub use log::{Archive, Log};
pub use read::{Direction, Filter, Follow, ReadQuery, StreamQuery};
pub use repository::{Guards, Hot, HotContext, Repository};
pub use ring::{KeyId, KeyMissing, MasterKeys};
pub use rotation::{NotRotated, Rotation, RotationProgress, RotationRecord};
pub use snapshot::{Snapshot, Snapshots};
pub use stream::{NotAStream, StreamId};
