//! Whoever works in the same account, and what is in the program itself.

use crate::support::binary;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// Every variable the program reads by a name of its own.
const VARIABLES: [&str; 8] = [
    "MANDATUM_BROKER",
    "MANDATUM_DATA",
    "MANDATUM_MEMBER",
    "MANDATUM_OTP_COMMAND",
    "MANDATUM_PASSPHRASE_FILE",
    "MANDATUM_PROFILE",
    "MANDATUM_STATE",
    "MANDATUM_VAULT",
];

/// The texts in the program that match, by `grep`: it is large where it was not stripped.
fn texts_in_the_program(pattern: &str) -> Vec<String> {
    let output = Command::new("grep").args(["-aoE", pattern]).arg(binary()).env("LC_ALL", "C").output().unwrap();
    assert!(output.status.code().is_some_and(|code| code < 2), "{output:?}");
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

/// The program has no way in for tests: it reads the variables its reference page lists and no other, nothing in it is
/// named after a hook, and an option that would move its clock or its randomness is none (L12).
#[test]
fn the_program_has_no_hooks() {
    let mut found = BTreeSet::new();
    for text in texts_in_the_program("MANDATUM_[A-Z_]*").iter().flat_map(|text| text.split_inclusive("MANDATUM_")) {
        // One text runs into the next.
        let text = format!("MANDATUM_{}", text.trim_end_matches("MANDATUM_"));
        let known = VARIABLES.iter().find(|name| text.starts_with(**name));
        if text != "MANDATUM_" {
            found.insert(*known.unwrap_or_else(|| panic!("the program knows {text}")));
        }
    }
    assert_eq!(found, BTreeSet::from(VARIABLES));
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/cli.md")).unwrap();
    assert!(VARIABLES.iter().all(|name| page.contains(name)));
    let hooks = texts_in_the_program("[Ff]ail_?[Pp]oint|[Ff]ault.?[Ii]nject|[Tt]est.?[Cc]lock|[Ff]ake.?[Cc]lock");
    assert_eq!(hooks, Vec::<String>::new());
    for option in
        ["--now", "--clock", "--test-clock", "--time", "--seed", "--entropy", "--assurance", "--no-mfa", "--insecure"]
    {
        let output = Command::new(binary()).args([option, "2030-01-01", "status"]).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{option}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("unexpected argument"), "{option}: {said}");
    }
}

/// A panic ends the program rather than going on into a release; no feature of the package changes what it does; the
/// source catches none (H17, L3, L12).
#[test]
fn a_panic_ends_the_program_and_no_feature_changes_it() {
    let manifest = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).unwrap();
    let manifest: toml::Table = toml::from_str(&manifest).unwrap();
    assert_eq!(manifest["profile"]["release"]["panic"].as_str(), Some("abort"));
    assert_eq!(manifest["profile"]["release"]["strip"].as_bool(), Some(true));
    assert!(!manifest.contains_key("features"));
    let mut waiting = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    let mut read = 0;
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            waiting.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|end| end == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            assert!(!text.contains("catch_unwind"), "{}", path.display());
            read += 1;
        }
    }
    assert!(read > 100, "{read}");
}
