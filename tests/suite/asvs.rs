//! `docs/asvs.md` names every requirement of ASVS 5.0 up to level 2 once, `SECURITY.md` every property it speaks of, and
//! the evidence they name is there.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Each chapter's sections, and how many requirements of levels 1 and 2 they have: in every section these come before
/// those of level 3.
const SECTIONS: [(u32, &[(u32, u32)]); 17] = [
    (1, &[(1, 2), (2, 9), (3, 11), (4, 3), (5, 2)]),
    (2, &[(1, 3), (2, 3), (3, 4), (4, 1)]),
    (3, &[(2, 2), (3, 4), (4, 6), (5, 5), (7, 2)]),
    (4, &[(1, 3), (2, 1), (3, 2), (4, 4)]),
    (5, &[(1, 1), (2, 3), (3, 2), (4, 3)]),
    (6, &[(1, 3), (2, 12), (3, 4), (4, 4), (5, 5), (6, 3), (8, 4)]),
    (7, &[(1, 3), (2, 4), (3, 2), (4, 5), (5, 2), (6, 2)]),
    (8, &[(1, 2), (2, 3), (3, 1), (4, 1)]),
    (9, &[(1, 3), (2, 4)]),
    (10, &[(1, 2), (2, 2), (3, 4), (4, 11), (5, 5), (6, 2), (7, 3)]),
    (11, &[(1, 2), (2, 3), (3, 3), (4, 4), (5, 1), (6, 1)]),
    (12, &[(1, 3), (2, 2), (3, 4)]),
    (13, &[(1, 1), (2, 5), (3, 2), (4, 5)]),
    (14, &[(1, 2), (2, 4), (3, 3)]),
    (15, &[(1, 3), (2, 3), (3, 7)]),
    (16, &[(1, 1), (2, 5), (3, 4), (4, 3), (5, 3)]),
    (17, &[(1, 1), (2, 4), (3, 2)]),
];

/// One line of the page.
struct Line<'a> {
    id: &'a str,
    state: &'a str,
    evidence: Vec<&'a str>,
}

fn lines(page: &str) -> Vec<Line<'_>> {
    let rows = page.lines().filter_map(|line| line.strip_prefix("| V"));
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_end_matches(" |").split(" | ").collect();
        let [id, _, state, evidence] = cells.as_slice() else { panic!("not four cells: {row}") };
        Line { id, state, evidence: evidence_in(evidence) }
    })
    .collect()
}

/// What stands between backticks and names a place.
fn evidence_in(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).filter(|word| word.contains("::") || word.contains('#')).collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn page() -> String {
    fs::read_to_string(root().join("docs/asvs.md")).unwrap()
}

#[test]
fn every_requirement_stands_there_once() {
    let mut wanted = Vec::new();
    for (chapter, sections) in SECTIONS {
        for (section, count) in sections {
            wanted.extend((1..=*count).map(|number| format!("{chapter}.{section}.{number}")));
        }
    }
    assert_eq!(wanted.len(), 253);
    let page = page();
    let found: Vec<&str> = lines(&page).iter().map(|line| line.id).collect();
    assert_eq!(found, wanted);
}

#[test]
fn no_claim_is_without_evidence_and_all_of_it_is_there() {
    let page = page();
    let mut faults = Vec::new();
    for Line { id, state, evidence } in lines(&page) {
        match state {
            "yes" | "partly" if evidence.is_empty() => faults.push(format!("V{id} names no evidence")),
            "yes" | "partly" | "no" | "n/a" => {}
            _ => faults.push(format!("V{id}: what is {state:?}?")),
        }
        faults.extend(evidence.into_iter().filter_map(|named| wrong_with(named).map(|why| format!("V{id}: {why}"))));
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn each_property_of_the_security_page_is_shown_by_something() {
    let page = fs::read_to_string(root().join("SECURITY.md")).unwrap();
    let below = |head: &str| -> Vec<Vec<&str>> {
        let table = page.split_once(head).unwrap_or_else(|| panic!("no table {head}")).1;
        let rows = table.lines().skip(2).map_while(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
        rows.map(|row| row.split(" | ").collect()).collect()
    };
    let shown = below("| property | shown by |");
    let properties = below("| property | `solo` | `account` | `host` |");
    assert_eq!(shown.len(), properties.len());
    for (row, property) in shown.iter().zip(properties) {
        assert!(property[0].starts_with(row[0]), "{:?} is not {:?}", row[0], property[0]);
        let claimed = !property[1].starts_with("no:");
        assert_eq!(claimed, !evidence_in(row[1]).is_empty(), "{}", row[0]);
    }
    for row in below("| limit | shown by |") {
        assert!(page.contains(&format!("- **{}", row[0])), "{} is no limit", row[0]);
    }
    let all: Vec<String> = page.lines().flat_map(evidence_in).filter_map(wrong_with).collect();
    assert!(all.is_empty(), "\n{}", all.join("\n"));
}

/// What is wrong with a piece of evidence, if anything.
fn wrong_with(named: &str) -> Option<String> {
    let (file, what, is_test) = match named.split_once("::").filter(|(file, _)| file.ends_with(".rs")) {
        Some((file, test)) => (file, test, true),
        None => named.split_once('#').map(|(file, words)| (file, words, false))?,
    };
    let Ok(text) = fs::read_to_string(root().join(file)) else { return Some(format!("there is no file {file}")) };
    let there = if is_test { is_run(&text, what) } else { text.contains(what) };
    (!there).then(|| format!("{file} has no {what:?}"))
}

/// Whether a source has a test of this name that is not left out.
fn is_run(source: &str, test: &str) -> bool {
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let place = lines.iter().position(|line| {
        let line = line.trim_start_matches("pub ");
        line.strip_prefix("fn ").and_then(|rest| rest.strip_prefix(test)).is_some_and(|rest| rest.starts_with("()"))
    });
    let Some(place) = place else { return false };
    let attributes: BTreeSet<&str> =
        lines[..place].iter().rev().take_while(|line| line.starts_with("#[")).copied().collect();
    attributes.contains("#[test]") && !attributes.iter().any(|attribute| attribute.starts_with("#[ignore"))
}

#[test]
fn evidence_that_is_not_there_is_noticed() {
    assert_eq!(wrong_with("tests/suite/asvs.rs::every_requirement_stands_there_once"), None);
    for gone in ["tests/suite/asvs.rs::every_requirement", "tests/suite/asvs.rs::page", "src/none.rs#x", "deny.toml#hm"]
    {
        assert!(wrong_with(gone).is_some(), "{gone}");
    }
}
