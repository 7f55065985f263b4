//! `docs/attacks.md`: every case there is, and what became of it, from `tests/attacks.toml`.

use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/attacks.md");

const HEAD: &str = "# Attacks

What an attacker tries, and the test that tries it. A test that is named here is run by `cargo test` and must pass; one
that needs a program which is missing says `SKIPPED` and why ([testing.md](testing.md)). `.ci/run` installs what it can,
and lets the tests that start the program start its release build. Made from `tests/attacks.toml`;
`tests/suite/attacks/table.rs` holds that every case of the list is here once, that each test is in the sources and not
ignored, and that this page is current.

*From* is the lowest level of assurance ([SECURITY.md](../SECURITY.md)) at which it holds against who has the member's
account; in `solo` such an outcome is a promise of the program. Where the result is a
*limit*, the outcome is not reached, or not by a test, and the reason stands there. What *does not apply* has no place in
the program as it is today.

";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    /// Every case there is, by section.
    ids: Vec<String>,
    sections: BTreeMap<String, String>,
    case: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    id: String,
    attack: String,
    outcome: String,
    /// The lowest level at which it holds.
    #[serde(default)]
    from: From,
    #[serde(default)]
    tests: Vec<String>,
    /// What is not reached, or not by a test.
    limit: Option<String>,
    /// Why there is nothing to try.
    does_not_apply: Option<String>,
}

#[derive(Deserialize, Clone, Copy, Default)]
#[serde(rename_all = "snake_case")]
enum From {
    #[default]
    Solo,
    Account,
    Host,
}

impl Case {
    fn result(&self) -> String {
        match (&self.limit, &self.does_not_apply) {
            (None, None) => "holds".into(),
            (Some(limit), None) if self.tests.is_empty() => format!("limit: {limit}"),
            (Some(limit), None) => format!("holds; limit: {limit}"),
            (None, Some(why)) => format!("does not apply: {why}"),
            (Some(_), Some(_)) => panic!("{}: either a limit or nothing to try", self.id),
        }
    }

    fn from(&self) -> &'static str {
        match (&self.does_not_apply, self.from) {
            (Some(_), _) => "",
            (None, From::Solo) => "`solo`",
            (None, From::Account) => "`account`",
            (None, From::Host) => "`host`",
        }
    }
}

fn table() -> Table {
    let path = Path::new(ROOT).join("tests/attacks.toml");
    toml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap_or_else(|e| panic!("tests/attacks.toml: {e}"))
}

/// Every case of the list stands in the table once, with a test or a reason.
#[test]
fn every_case_is_there_once() {
    let table = table();
    let mut seen = BTreeSet::new();
    for case in &table.case {
        assert!(seen.insert(&case.id), "{} is there twice", case.id);
        let said = !case.tests.is_empty() || case.limit.is_some() || case.does_not_apply.is_some();
        assert!(said, "{} names neither test nor reason", case.id);
        assert!(case.tests.is_empty() || case.does_not_apply.is_none(), "{} is tested and does not apply", case.id);
        let cells = [&case.attack, &case.outcome].into_iter().chain(&case.limit).chain(&case.does_not_apply);
        cells.for_each(|cell| assert!(!cell.contains(['|', '\n']) && !cell.is_empty(), "{}: {cell}", case.id));
    }
    let listed: BTreeSet<&String> = table.ids.iter().collect();
    assert_eq!(listed.len(), table.ids.len(), "a case is listed twice");
    assert_eq!(seen, listed);
}

/// Each test that is named is in the sources, is a test, and is not ignored.
#[test]
fn every_named_test_is_there() {
    let mut sources: BTreeMap<PathBuf, Vec<(String, bool)>> = BTreeMap::new();
    let mut missing = Vec::new();
    for case in table().case {
        for test in &case.tests {
            let (path, name) = place(test);
            let tests = sources.entry(path.clone()).or_insert_with(|| tests_in(&path));
            match tests.iter().find(|(known, _)| *known == name) {
                Some((_, false)) => {}
                Some((_, true)) => missing.push(format!("{}: {test} is ignored", case.id)),
                None => missing.push(format!("{}: {test} is no test of {}", case.id, path.display())),
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

/// The source file and the function of a test's path: `suite::server::http::name`, or `lib::crypto::seal::name`.
fn place(test: &str) -> (PathBuf, String) {
    let mut parts: Vec<&str> = test.split("::").collect();
    let name = parts.pop().unwrap().to_owned();
    let base = match parts.remove(0) {
        "lib" => Path::new(ROOT).join("src"),
        "layering" => return (Path::new(ROOT).join("tests/layering.rs"), name),
        binary => Path::new(ROOT).join("tests").join(binary),
    };
    let module = parts.iter().fold(base, |path, part| path.join(part));
    let file = module.with_extension("rs");
    (if file.exists() { file } else { module.join("mod.rs") }, name)
}

/// The tests of a source file, and whether each is ignored.
fn tests_in(path: &Path) -> Vec<(String, bool)> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let (mut tests, mut is_test, mut ignored) = (Vec::new(), false, false);
    for line in text.lines().map(str::trim) {
        is_test |= line == "#[test]";
        ignored |= line.starts_with("#[ignore");
        let function = line.strip_prefix("pub ").unwrap_or(line).strip_prefix("fn ");
        if let Some(function) = function {
            if is_test {
                tests.push((function.split(['(', '<']).next().unwrap().to_owned(), ignored));
            }
            (is_test, ignored) = (false, false);
        }
    }
    tests
}

/// Run with `MANDATUM_WRITE_ATTACKS=1` to write the page anew.
#[test]
fn the_page_is_current() {
    let made = page(&table());
    if std::env::var_os("MANDATUM_WRITE_ATTACKS").is_some() {
        std::fs::write(PAGE, &made).unwrap();
    }
    let there = std::fs::read_to_string(PAGE).unwrap_or_default();
    assert!(
        there == made,
        "docs/attacks.md is not what tests/attacks.toml says; write it anew with \
         MANDATUM_WRITE_ATTACKS=1 cargo test --test suite attacks::table"
    );
}

fn page(table: &Table) -> String {
    let mut page = HEAD.to_owned();
    let tested = table.case.iter().filter(|case| !case.tests.is_empty()).count();
    let limits = table.case.iter().filter(|case| case.tests.is_empty() && case.limit.is_some()).count();
    let none = table.case.iter().filter(|case| case.does_not_apply.is_some()).count();
    let all = table.case.len();
    writeln!(page, "{all} cases: {tested} with tests, {limits} limits without one, {none} that do not apply.").unwrap();
    for (letter, title) in &table.sections {
        let head = "| case | attack | what must come of it | from | tests | result |";
        write!(page, "\n## {letter}. {title}\n\n{head}\n|---|---|---|---|---|---|\n").unwrap();
        for id in table.ids.iter().filter(|id| id.starts_with(letter.as_str())) {
            let Some(case) = table.case.iter().find(|case| case.id == *id) else { continue };
            let tests: Vec<String> = case.tests.iter().map(|test| format!("`{test}`")).collect();
            let (attack, outcome, from) = (&case.attack, &case.outcome, case.from());
            let (tests, result) = (tests.join("<br>"), case.result());
            writeln!(page, "| {id} | {attack} | {outcome} | {from} | {tests} | {result} |").unwrap();
        }
    }
    page
}
