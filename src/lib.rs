//! mandatum: an encrypted vault for agencies that work inside their clients' systems.
//!
//! `ls src` is the floor plan; `docs/architecture.md` walks through it. `tests/layering.rs` holds which room may use
//! which.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod agent;
pub mod anchor;
pub mod api;
pub mod broker;
pub mod cli;
pub mod crypto;
pub mod host;
pub mod ledger;
pub mod model;
pub mod paperwork;
pub mod policy;
pub mod post;
#[cfg(unix)]
pub mod server;
pub mod store;
