//! The log as its callers see it, on both homes. The PostgreSQL half needs a server: `ROLLBOOK_TEST_POSTGRES` is the URL
//! of a superuser of one that may be thrown away, and `./test` starts one.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "what fails here fails a test"
)]

mod appends;
mod backups;
mod claims;
mod copies;
mod crashes;
mod erasure;
mod framework;
mod given;
mod house;
mod leading;
mod proofs;
mod proxy;
mod reading;
mod requests;
mod rotation;
mod safety;
mod snapshots;
