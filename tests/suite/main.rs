//! The tests of the whole: in one binary, so that they are built once.

mod anchor;
mod cli;
mod codes;
mod keyring;
mod killed;
mod ledger;
mod matrix;
mod paper;
mod restore;
mod secrecy;
mod server;
mod story;
mod support;
mod tamper;
mod terms;
