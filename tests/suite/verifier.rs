//! The program's own verifier and the other one, `tools/verify_extract.py`, which was written from `docs/ledger.md`
//! alone: of every extract they must say the same.
//!
//! `MANDATUM_VERIFIER_LEDGERS` is how many ledgers are made, with five changes of each (1000 where it is not set);
//! `MANDATUM_VERIFIER_SEED` where the dice begin. Ledgers are made by hand, with every key: no vault, no command, no
//! passphrase.

#[path = "verifier/asking.rs"]
mod asking;
#[path = "verifier/changes.rs"]
mod changes;
#[path = "verifier/course.rs"]
mod course;
#[path = "verifier/dice.rs"]
mod dice;
#[path = "verifier/edit.rs"]
mod edit;
#[path = "verifier/forge.rs"]
mod forge;

use crate::skip::skip;
use changes::CHANGES;
use course::Course;
use dice::Dice;
use mandatum::crypto::Topic;
use mandatum::ledger::{ExtractError, Misfit, Outcome, verify_extract};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

/// Changes of each ledger.
const CHANGES_EACH: usize = 5;
/// Ledgers are made on so many threads; a seed gives the same ledger on any.
const THREADS: u64 = 2;

#[test]
fn two_verifiers_say_the_same_of_every_extract() {
    let Some(other) = Other::start() else { return };
    let (ledgers, seed) = (setting("MANDATUM_VERIFIER_LEDGERS", 1000), setting("MANDATUM_VERIFIER_SEED", 1));
    std::thread::scope(|scope| {
        for thread in 1..=THREADS {
            let (other, numbers) = (&other, (thread..=ledgers).step_by(usize::try_from(THREADS).unwrap()));
            scope.spawn(move || {
                let mut last = course(seed);
                for number in numbers {
                    last = compare_changes_of(seed + number, &last, other);
                }
            });
        }
    });
    for waiting in [500, 501] {
        let crowded = Course::crowded(waiting, &mut Dice::new(seed));
        other.compare("so many requests wait", seed, crowded.ledger.write());
    }
    let said = other.finish();
    for (name, (holds, not)) in &said {
        eprintln!("{name}: {holds} hold, {not} do not");
    }
    assert_eq!(said["as it was made"], (ledgers, 0), "every ledger that was made by the rules holds");
    assert_eq!(said["so many requests wait"], (1, 1), "500 may wait");
    let changed: Vec<(u64, u64)> =
        said.iter().filter(|(name, _)| **name != "as it was made").map(|(_, n)| *n).collect();
    let not: u64 = changed.iter().map(|(_, not)| not).sum();
    assert!(not * 10 > ledgers * u64::try_from(CHANGES_EACH).unwrap() * 8, "changes are found: {not}");
}

/// A ledger as it was made, and with changes.
fn compare_changes_of(seed: u64, foreign: &Course, other: &Other) -> Course {
    let course = course(seed);
    let dice = &mut Dice::new(!seed);
    other.compare("as it was made", seed, course.ledger.write());
    let mut left = CHANGES_EACH;
    while left > 0 {
        let (name, change) = dice.one(CHANGES);
        if let Some(file) = change(&course, foreign, dice) {
            other.compare(name, seed, file);
            left -= 1;
        }
    }
    course
}

/// The same ledger with other entries, sealed anew.
fn with(ledger: &forge::Ledger, change: impl FnOnce(&mut Vec<mandatum::ledger::Entry>)) -> forge::Ledger {
    let mut ledger = ledger.clone();
    change(&mut ledger.entries);
    ledger.seal();
    ledger
}

/// An earlier checkpoint fits, or does not, by both: of fewer records, of more, of others, changed, of another ledger.
#[test]
fn two_verifiers_hold_an_earlier_checkpoint_alike() {
    let Some(python) = python_or_skip() else { return };
    let dir = tempfile::tempdir().unwrap();
    let (mut course, other) = (Course::new(&mut Dice::new(7)), course(8));
    course.grow(9, &mut Dice::new(7));
    let earlier = with(&course.ledger, |entries| entries.truncate(5));
    let others = with(&course.ledger, |entries| entries.swap(1, 2));
    let longer = with(&course.ledger, |entries| entries.push(entries[0].clone()));
    let whole = course.ledger.checkpoint.clone();
    let notes = [
        (true, whole.clone()),
        (true, earlier.checkpoint.clone()),
        (false, others.checkpoint),
        (false, longer.checkpoint),
        (false, other.ledger.checkpoint),
        (false, earlier.checkpoint.replacen("\n5\n", "\n4\n", 1)),
        (false, whole + "\n"),
    ];
    let file = course.ledger.write();
    let verified = verify_extract(&file[..], None, |_| ()).unwrap();
    std::fs::write(dir.path().join("extract"), &file).unwrap();
    for (fits, note) in notes {
        assert_eq!(verified.hold_against(&note).is_ok(), fits, "{note}");
        std::fs::write(dir.path().join("note"), &note).unwrap();
        let mut theirs = Command::new(python);
        theirs.arg(script()).args(["extract", "--json", "--checkpoint", "note"]).current_dir(dir.path());
        let answer = theirs.output().unwrap();
        assert_eq!(answer.status.code(), Some(if fits { 0 } else { 6 }), "{note}");
        let report: Value = serde_json::from_slice(&answer.stdout).unwrap();
        let covered = verified.hold_against(&note).ok().map(|held| held.size);
        assert_eq!(report["covered"].as_u64(), covered, "{note}");
    }
}

/// What may stand in a request beside what is looked at; also where a later name of the same spelling replaces it.
#[test]
fn two_verifiers_read_a_request_alike() {
    let Some(other) = Other::start() else { return };
    let course = course(3);
    let of = |at: &usize| changes::request_of(&course.ledger, *at);
    let at = (0..course.ledger.entries.len()).find(|at| of(at).is_some()).unwrap();
    let (by, request) = of(&at).unwrap();
    let body = std::str::from_utf8(request.unverified_bytes()).unwrap();
    let key = course.ledger.keys.of(by, request.claimed_key()).unwrap();
    let verb = format!("\"verb\":\"{}\"", serde_json::from_str::<Value>(body).unwrap()["verb"].as_str().unwrap());
    let none = "\"verb\":null";
    // The record with this body in it, and with its own verb or none.
    let with = |body: String, record_verb: &str| {
        let mut ledger = course.ledger.clone();
        changes::put_request(&mut ledger, at, &request, &key.sign(Topic::Request, body.into_bytes()));
        ledger.rewrite(at, ledger.text(at).replacen(&verb, record_verb, 1));
        ledger.seal();
        ledger.write()
    };
    let deep = |more: usize| format!("{}{}", "[".repeat(more), "]".repeat(more));
    let values = [
        (true, "{\"a\":1,\"a\":[]}".to_owned()),
        (true, "\"\\ud83d\\ude00\"".to_owned()),
        (false, "\"\\ud800\"".to_owned()),
        (false, "{\"\\udc00\":1}".to_owned()),
        // The request itself is around them.
        (true, deep(126)),
        (false, deep(127)),
        (true, "-0".to_owned()),
        (true, "1.7976931348623158e308".to_owned()),
        (true, "-179769313486231580793e288".to_owned()),
        (false, "1.7976931348623159e308".to_owned()),
        (false, "-1e309".to_owned()),
        (true, "0e999".to_owned()),
        (false, "NaN".to_owned()),
    ];
    for (good, value) in &values {
        for more in [format!("{{\"more\":{value},"), format!("{{\"more\":{value},\"more\":1,")] {
            let name = if *good { "a value" } else { "no value" };
            other.compare(name, 3, with(body.replacen('{', &more, 1), &verb));
        }
    }
    // Who asks says what for.
    let silent = body.replacen(&verb, none, 1);
    other.compare("no verb", 3, with(silent.clone(), none));
    other.compare("no verb", 3, with(body.to_owned(), none));
    other.compare("no verb", 3, with(silent, &verb));
    let good = values.iter().filter(|(good, _)| *good).count() as u64;
    let said = other.finish();
    assert_eq!(said["a value"], (2 * good, 0));
    assert_eq!(said["no value"], (0, 2 * (values.len() as u64 - good)));
    assert_eq!(said["no verb"], (0, 3));
}

/// What a ledger says itself of records that were lost is told beside what is missing.
#[test]
fn a_ledger_that_went_on_from_an_older_state_is_said_to() {
    let dice = &mut Dice::new(7);
    let mut course = Course::new(dice);
    course.grow(9, dice);
    let before = with(&course.ledger, |entries| entries.extend_from_within(3..6));
    let other = with(&course.ledger, |entries| entries.swap(6, 7));
    course.restart(9, dice);
    let of = |ledger: &forge::Ledger| verify_extract(&ledger.write()[..], None, |_| ()).unwrap();
    let held = |note: &str| of(&course.ledger).hold_against(note).map(|held| held.size);
    assert_eq!(held(&course.ledger.checkpoint), Ok(10));
    let missing = held(&before.checkpoint).unwrap_err();
    assert_eq!(missing, Misfit::Missing { size: 12, found: 10, restarted: Some(9) });
    assert!(missing.to_string().contains("records are missing; record 9 says"), "{missing}");
    // Of these nine nothing was lost, so the ledger has no word for them.
    let rewritten = held(&other.checkpoint).unwrap_err();
    assert_eq!(rewritten, Misfit::Rewritten { size: 9, restarted: None });
    assert!(rewritten.to_string().ends_with("history was rewritten"), "{rewritten}");
}

/// Each line of an extract that is spoilt is named by its number.
#[test]
fn the_line_that_was_changed_is_named() {
    let course = course(3);
    let file = String::from_utf8(course.ledger.write()).unwrap();
    let lines: Vec<&str> = file.lines().collect();
    let whole = |lines: &[&str]| lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    let form = |text: &str| match verify_extract(text.as_bytes(), None, |_| ()) {
        Err(ExtractError::Form(number)) => number,
        other => panic!("{:?}", other.err()),
    };
    let root = verify_extract(whole(&lines).as_bytes(), None, |_| ()).unwrap().root;
    assert!(verify_extract(file.as_bytes(), Some(&root), |_| ()).is_ok());
    let other = verify_extract(file.as_bytes(), Some("34dd-8945-0b67-2065-b5d7-f00a-0d00-80fa"), |_| ()).err();
    assert!(matches!(other, Some(ExtractError::Root { found, .. }) if found == root));
    for at in 0..lines.len() {
        for bad in ["", "{}", " "] {
            let changed = [&lines[..at], &[bad], &lines[at + 1..]].concat();
            assert_eq!(form(&whole(&changed)), at as u64 + 1, "{bad:?}");
        }
        assert_eq!(form(&whole(&lines[..at])), at as u64 + 1, "cut off");
    }
    let count = lines.len() as u64;
    assert_eq!(form(file.trim_end()), count, "the last line has no end");
    for more in ["\n", "{}\n", " "] {
        assert_eq!(form(&format!("{file}{more}")), count + 1, "{more:?}");
    }
}

/// A ledger that holds.
fn course(seed: u64) -> Course {
    let dice = &mut Dice::new(seed);
    let mut course = Course::new(dice);
    course.grow(1 + dice.below(20), dice);
    course
}

/// A good extract, and the signed head of its ledger.
pub fn an_extract() -> (Vec<u8>, String) {
    let ledger = course(9).ledger;
    (ledger.write(), ledger.checkpoint)
}

fn setting(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().map_or(otherwise, |text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// What the program's own verifier says, as the other one says it.
fn verdict(file: &[u8]) -> Value {
    match verify_extract(file, None, |_| ()) {
        Ok(good) => json!({
            "exit": 0,
            "operator": good.mandate.operator,
            "contract": good.mandate.contract,
            "records": good.records.len(),
            "root_hash": good.checkpoint.root,
            "root_fingerprint": good.root,
            "denials": good.records.iter().filter(|record| matches!(record.outcome, Outcome::Denied(_))).count(),
            "assurance": good.assurance(),
        }),
        Err(error) => json!({"exit": 6, "why": error.to_string()}),
    }
}

/// One extract both are asked about.
struct Case {
    name: &'static str,
    seed: u64,
    file: Vec<u8>,
    ours: Value,
}

/// The other verifier: one process that is handed extracts and answers each with a line.
struct Other {
    cases: SyncSender<Case>,
    feeder: JoinHandle<()>,
    judge: JoinHandle<BTreeMap<&'static str, (u64, u64)>>,
}

impl Other {
    /// None where there is no Python with the package it needs.
    fn start() -> Option<Self> {
        let python = python_or_skip()?;
        let child =
            Command::new(python).arg(script()).arg("--stream").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = child.unwrap();
        let (stdin, stdout) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let (cases, take) = sync_channel(32);
        let (asked, answered) = sync_channel(32);
        Some(Self {
            cases,
            feeder: std::thread::spawn(move || feed(stdin, &take, &asked)),
            judge: std::thread::spawn(move || judge(child, stdout, &answered)),
        })
    }

    fn compare(&self, name: &'static str, seed: u64, file: Vec<u8>) {
        let ours = verdict(&file);
        self.cases.send(Case { name, seed, file, ours }).unwrap_or_else(|_| panic!("the other verifier stopped"));
    }

    /// How many of each kind held, and how many did not.
    fn finish(self) -> BTreeMap<&'static str, (u64, u64)> {
        drop(self.cases);
        self.feeder.join().unwrap();
        self.judge.join().unwrap_or_else(|_| panic!("the verifiers differ, see above"))
    }
}

fn feed(mut stdin: ChildStdin, take: &Receiver<Case>, asked: &SyncSender<Case>) {
    for case in take {
        let length = u64::try_from(case.file.len()).unwrap().to_be_bytes();
        if stdin.write_all(&length).and_then(|()| stdin.write_all(&case.file)).is_err() || asked.send(case).is_err() {
            return;
        }
    }
}

/// Reads the other's answers beside ours, and panics where they differ, after all are read.
fn judge(mut child: Child, mut stdout: impl BufRead, asked: &Receiver<Case>) -> BTreeMap<&'static str, (u64, u64)> {
    let (mut said, mut differences) = (BTreeMap::<&str, (u64, u64)>::new(), 0);
    for case in asked {
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let theirs: Value =
            serde_json::from_str(&line).unwrap_or_else(|_| panic!("{}: no answer: {line}", keep(&case)));
        let good = case.ours["exit"] == 0;
        let counted = said.entry(case.name).or_default();
        *(if good { &mut counted.0 } else { &mut counted.1 }) += 1;
        let same = case.ours.as_object().unwrap().iter().all(|(field, ours)| field == "why" || theirs[field] == *ours);
        if !same {
            differences += 1;
            eprintln!(
                "{} (seed {}): {}\n  we: {}\n  they: {}",
                case.name,
                case.seed,
                keep(&case),
                case.ours,
                line.trim()
            );
        }
    }
    assert!(child.wait().unwrap().success(), "the other verifier failed");
    assert_eq!(differences, 0, "extracts of which the two say different things");
    said
}

/// Keeps an extract for a look at it.
fn keep(case: &Case) -> String {
    let name = format!("differs-{}-{}.mandatum", case.seed, case.name.replace([' ', ','], "-"));
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, &case.file).unwrap();
    path.display().to_string()
}

/// The other verifier.
pub fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/verify_extract.py")
}

/// A Python that has what the other verifier needs; where there is none, it is said.
pub fn python_or_skip() -> Option<&'static str> {
    let found = python();
    if found.is_none() {
        skip("no python3 with the package 'cryptography': tools/verify_extract.py is not compared");
    }
    found
}

/// A Python that has what the other verifier needs.
fn python() -> Option<&'static str> {
    let fits = |python: &&&str| {
        let mut tried = Command::new(python);
        tried.args(["-c", "import cryptography, zoneinfo; zoneinfo.ZoneInfo('Europe/Moscow')"]);
        tried.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    };
    ["python3", "/usr/bin/python3"].iter().find(fits).copied()
}
