//! What stands beside an export: of which log, how much of it, and the signed checkpoint it ends at.

use serde::{Deserialize, Serialize};

/// How much of a log there is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// All of it.
    Log,
    /// All of one account.
    Account(String),
    /// Some events, of which none is said to be left out.
    Part,
}

/// The file beside an export.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The form of both files.
    pub form: String,
    /// How much of the log it is.
    pub scope: Scope,
    /// The number of events.
    pub events: u64,
    /// What earlier versions said of its compression, which the file itself tells.
    #[serde(default, skip_serializing)]
    pub gzip: Option<bool>,
    /// The checkpoint: a signed note.
    pub checkpoint: String,
    /// The key that the checkpoint is checked with.
    pub verifier_key: String,
}

impl Manifest {
    /// The form that this program writes and reads.
    pub const FORM: &'static str = "rollbook export 1";
}
