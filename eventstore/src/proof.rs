//! Proof that nothing of the log was changed, left out or put in later: a Merkle tree over its events (RFC 6962), and signed
//! checkpoints of it (C2SP tlog-checkpoint).
//!
//! What is public here needs no log, so that an auditor's program checks with it what a service said. The forms are
//! specified in `docs/verification.md`.

mod checkpoint;
mod keeper;
mod leaf;
mod tree;

pub use checkpoint::{AccountEnd, Checkpoint, CheckpointError, CheckpointKey};
pub use keeper::TreeKeeper;
pub use leaf::{Leaf, Opening, ProvableEvent};
pub use tree::{Hash, RunningTree, TreeHead, consistent, included};

pub(crate) use checkpoint::Signer;
pub(crate) use tree::{Frontier, Growth, Nodes, TileName};
