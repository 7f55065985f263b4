//! The tests of the whole: in one binary, so that they are built once.

mod anchor;
mod asvs;
mod attacks;
mod cli;
mod cluster;
mod codes;
mod devices;
mod faults;
mod fuzz;
mod golden;
mod keyring;
mod ledger;
#[expect(dead_code, reason = "the simulator alone watches another file, and starts the same machine again")]
#[path = "../machine/mod.rs"]
mod machine;
mod matrix;
mod memory;
mod note_files;
mod notices;
mod openapi;
mod paper;
mod postgres;
mod restore;
mod rules;
mod secrecy;
mod server;
mod skip;
mod story;
mod support;
mod tamper;
mod terms;
mod verifier;
