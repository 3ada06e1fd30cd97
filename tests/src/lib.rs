//! The harness of the stories: a directory of one's own on either home of the log, callers of every role with typed
//! clients, answers and refusals taken apart, and the real program where a story has to kill it.
//!
//! A story is an async function that gets a running [`Directory`]; [`stories!`] makes two tests of it, one for each home.
//! Time is a parameter: [`Directory::clock`] can be advanced, nobody sleeps. When a story has ended, the harness reads the
//! whole log as an auditor would and checks what must hold of every log.

#![expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "what a harness cannot do fails the test, with a back trace that says where"
)]

pub mod answer;
pub mod caller;
pub mod contract;
pub mod database;
pub mod directory;
pub mod files;
pub mod kurrent;
pub mod mail_server;
pub mod model;
pub mod people;

pub mod program;
pub mod samples;
pub mod story;
pub mod tenant;

pub use answer::{Answer, Refusal};
pub use caller::{Caller, Identity};
pub use directory::{Directory, Home, Process};
pub use rollbook_proto::v1 as pb;
pub use rollbook_services::caller::Role;
pub use tenant::Tenant;
pub use tonic::Code;
