//! The views of the directory: each folded from the log into a local file, with the questions it answers.
//!
//! * A view is a fold, its tables and its questions, side by side in one module. Its rows follow from the log alone, so a
//!   file can be thrown away and made again at any time.
//! * One file per view and version, in `views/` of the data directory. Rows and checkpoint change in one transaction, which
//!   covers whole commits of the log.
//! * A view is made anew in another file beside the one that serves, and takes its place in one step.
//! * One connection writes a file; all others only read.
//! * A follower that cannot apply an event stops and says so; it never skips one, and never holds the others up.
//! * Nothing of an erased person stays in a file or its write-ahead log.

mod audit;
mod changes;
mod columns;
mod compare;
mod copies;
mod deadlines;
mod event;
mod feed;
mod file;
mod follower;
mod forms;
mod invitations;
mod involvements;
mod mails;
mod page;
mod past;
mod pattern;
mod reading;
mod rebuild;
mod snapshots;
mod supervisors;
mod text;
mod users;
mod view;
mod views;

pub use audit::{AuditTrail, FindEvents, Trail};
pub use changes::{Changed, UserChanged, UserChanges};
pub use compare::{Comparison, TableComparison};
pub use copies::{ViewCopy, ViewSource};
pub use deadlines::{Deadline, Deadlines, Ends};
pub use event::{Content, read_event};
pub use invitations::{
    InvitationKey, InvitationRow, InvitationStatus, Invitations, ListInvitations,
};
pub use involvements::{
    Ended, Ending, InvolvementKind, InvolvementRow, Involvements, ListInvolvements, ListReviewers,
    SettlementRow,
};
pub use mails::{DeadMail, Mails, PendingMail};
pub use page::Page;
pub use past::{
    ListInvoiceEvents, ListPastReports, ListStandings, Past, PastReportKey, PastReportRow,
    StandingRow,
};
pub use pattern::{Pattern, PatternError};
pub use reading::{Freshness, ReadError};
pub use rebuild::{Rebuild, RebuildPhase, RebuildProgress};
pub use snapshots::{KeptSnapshots, MakeSnapshot};
pub use supervisors::{
    Chain, ChainEnd, ListReports, ReportKey, ReportRow, Supervised, Supervisors,
};
pub use text::sort_key;
pub use users::accesses::{AccessRow, AccessStatus, Accesses, ListAccesses};
pub use users::accounts::{AccountRow, Accounts, CompanyRow, ModuleRow, RoleRow};
pub use users::as_you_type::FindUsers;
pub use users::list::{CompanyFilter, ListUsers, UserKey, UserSearch, UserSort};
pub use users::routing::{
    AllegianceKind, Approver, ListMatches, MatchRow, Matches, Routing, Unfit,
};
pub use users::told::{Tell, ToldUsers};
pub use users::{DeletedUser, FoundUser, UserCompany, UserRow, Users};
pub use views::{Progress, ViewError, ViewState, ViewStatus, Views};
