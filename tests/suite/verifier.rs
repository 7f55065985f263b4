//! The program's own verifier and the other one, `tools/verify_extract.py`, which was written from `docs/ledger.md`
//! alone: of every extract they must say the same.
//!
//! `MANDATUM_VERIFIER_LEDGERS` is how many ledgers are made, with five changes of each (1000 where it is not set);
//! `MANDATUM_VERIFIER_SEED` where the dice begin. Ledgers are made by hand, with every key: no vault, no command, no
//! passphrase.

#[path = "verifier/changes.rs"]
mod changes;
#[path = "verifier/course.rs"]
mod course;
#[path = "verifier/dice.rs"]
mod dice;
#[path = "verifier/forge.rs"]
mod forge;

use changes::CHANGES;
use course::Course;
use dice::Dice;
use mandatum::ledger::{Outcome, verify_extract};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

/// Changes of each ledger.
const CHANGES_EACH: usize = 5;

#[test]
fn two_verifiers_say_the_same_of_every_extract() {
    let Some(other) = Other::start() else { return };
    let (ledgers, seed) = (setting("MANDATUM_VERIFIER_LEDGERS", 1000), setting("MANDATUM_VERIFIER_SEED", 1));
    let mut last = course(seed);
    for number in 1..=ledgers {
        let course = course(seed + number);
        let dice = &mut Dice::new(!(seed + number));
        other.compare("as it was made", seed + number, course.ledger.write());
        let mut left = CHANGES_EACH;
        while left > 0 {
            let (name, change) = dice.one(CHANGES);
            if let Some(file) = change(&course, &last, dice) {
                other.compare(name, seed + number, file);
                left -= 1;
            }
        }
        last = course;
    }
    let said = other.finish();
    for (name, (holds, not)) in &said {
        eprintln!("{name}: {holds} hold, {not} do not");
    }
    assert_eq!(said["as it was made"], (ledgers, 0), "every ledger that was made by the rules holds");
    let changed: Vec<(u64, u64)> =
        said.iter().filter(|(name, _)| **name != "as it was made").map(|(_, n)| *n).collect();
    let not: u64 = changed.iter().map(|(_, not)| not).sum();
    assert!(not * 10 > ledgers * u64::try_from(CHANGES_EACH).unwrap() * 8, "changes are found: {not}");
}

/// A ledger that holds.
fn course(seed: u64) -> Course {
    let dice = &mut Dice::new(seed);
    let mut course = Course::new(dice);
    course.grow(1 + dice.below(20), dice);
    course
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
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/verify_extract.py");
        let Some(python) = python() else {
            let _ = writeln!(
                std::io::stderr(),
                "SKIPPED: no python3 with the package 'cryptography': tools/verify_extract.py is not compared with us"
            );
            return None;
        };
        let child =
            Command::new(python).arg(script).arg("--stream").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
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

/// A Python that has what the other verifier needs.
fn python() -> Option<&'static str> {
    let fits = |python: &&&str| {
        let mut tried = Command::new(python);
        tried.args(["-c", "import cryptography, zoneinfo; zoneinfo.ZoneInfo('Europe/Moscow')"]);
        tried.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    };
    ["python3", "/usr/bin/python3"].iter().find(fits).copied()
}
