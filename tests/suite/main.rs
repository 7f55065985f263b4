//! The tests of the whole: in one binary, so that they are built once.

mod anchor;
mod attacks;
mod cli;
mod cluster;
mod codes;
mod devices;
mod keyring;
mod killed;
mod ledger;
mod matrix;
mod notices;
mod openapi;
mod paper;
mod postgres;
mod restore;
mod secrecy;
mod server;
mod story;
mod support;
mod tamper;
mod terms;
mod verifier;
