//! The domain: what may happen to accounts, users and invitations, and why not.
//!
//! Commands decide, events are applied, and nothing else happens here: no clock, no chance, no I/O.
//! What a rule must know from outside comes in a [`Context`](domain::Context).
//!
//! - [`domain`]: what a command, an event, a claim and a refusal are.
//! - [`values`]: the words of the directory as types.
//! - [`account`], [`user`], [`access`], [`invitation`], [`invoice`], [`mail`]: the aggregates, each cut into facets.
//! - [`signin`]: who signed in, which is told and never asked for.

#![warn(clippy::wildcard_enum_match_arm)]

pub mod access;
pub mod account;
pub mod domain;
pub mod invitation;
pub mod invoice;
pub mod mail;
pub mod signin;
pub mod upcasters;
pub mod user;
pub mod values;

/// Names the form of the domain's states: another one as soon as any of its sources is. A state that was written by
/// another form of the domain is not read.
pub const FORM: &str = env!("ROLLBOOK_DOMAIN");

#[cfg(test)]
mod directory;
#[cfg(test)]
mod given;
#[cfg(test)]
mod laws;
#[cfg(test)]
mod samples;
#[cfg(test)]
mod stock;
