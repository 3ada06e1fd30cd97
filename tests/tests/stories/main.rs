//! Stories: what callers of the service live through, told through gRPC alone. One file for each topic; one program for all
//! of them, since linking is what takes longest.

#![expect(
    clippy::expect_used,
    clippy::too_many_lines,
    clippy::unwrap_used,
    reason = "a story is told in one go, and has failed where it cannot go on"
)]

mod access;
mod accounts;
mod backups;
mod companies;
mod copies;
mod coverage;
mod crashes;
mod credentials;
mod deletion;
mod erasure;
mod errors;
mod expiry;
mod external_users;
mod freshness;
mod fuzz;
mod golden;
mod history;
mod imports;
mod invitations;
mod involvements;
mod keys;
mod kurrent;
mod kurrent_clients;
mod leaks;
mod long_lives;
mod mail;
mod model;
mod model_credentials;
mod operations;
mod other_history;
mod past;
mod permissions;
mod projections;
mod proofs;
mod races;
mod remains;
mod replacements;
mod routing;
mod searches;
mod seeding;
mod slow_readers;
mod status;
mod supervisors;
mod tampering;
mod trails;
mod users;
mod watching;
mod wire;
