//! What cannot be tried where a program or a right is missing.

use std::io::Write;

/// Says so, past the test runner, where something is missing; where `MANDATUM_TEST_NO_SKIP` is set, that is a failure.
#[track_caller]
pub fn skip(what: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED, NOTHING PROVEN: {what}");
    assert!(std::env::var_os("MANDATUM_TEST_NO_SKIP").is_none(), "nothing may be skipped: {what}");
}
