//! History in, rows out: each view folded from a real log and asked through its questions.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod accesses;
mod accounts;
mod anew;
mod audit;
mod copies;
mod deadlines;
mod everything;
mod following;
mod invitations;
mod involvements;
mod kit;
mod lists;
mod mails;
mod rebuilding;
mod routing;
mod searches;
mod snapshots;
mod supervisors;
mod users;
