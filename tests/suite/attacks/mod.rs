//! The attacks of `tests/attacks.toml`: those that no other test makes, most of them against the real program.
//!
//! The program under test is the one cargo built, or the one that `MANDATUM_TEST_BINARY` names: `.ci/run` names the
//! release build. It has no hooks: what is done to it comes through its arguments, files, connections and database.

mod clock;
mod crypto;
mod database;
mod exhaustion;
mod host;
mod input;
mod leaver;
mod local;
mod member;
mod network;
pub mod real;
mod storage;
mod table;
mod thief;
mod two_keys;
