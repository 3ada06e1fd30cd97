//! The service and its command line: gRPC, authorisation, configuration, clients.
//!
//! - [`server`] starts the whole; [`access`] and [`caller`] are who may do what.
//! - The way of a command: `gate`, `methods`, `convert`, `plans`, `executor`, the log.
//! - The way of a question: `gate`, `methods`, `convert`, a view.
//! - `work` is what happens when nobody asks: a view, a plan, the executor, the log.

pub mod access;
mod backup;
pub mod caller;
pub mod cli;
mod config;
mod convert;
mod executor;
mod failure;
mod gate;
pub mod kurrent;
pub mod mail;
mod methods;
mod packing;
mod page;
pub mod passwords;
mod plans;
pub mod server;
mod tokens;
pub mod verify;
mod words;
mod work;
