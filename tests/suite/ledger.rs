//! What the program hands out beside the other verifier; and a broker that holds its own keys and lies with them: what
//! it cannot put into a ledger.

use crate::support::World;
use crate::verifier;
use mandatum::anchor::{Anchor, FileKeys, Home, RealDisk};
use mandatum::crypto::{SignKey, Signed, System, Topic};
use mandatum::ledger::{Audit, Directory, Entry, Flaw};
use mandatum::model::{Digest, UnitId};
use serde_json::Value;
use std::process::Command;
use std::sync::Arc;

/// What the program itself hands out, and not only what is made by hand here.
#[test]
fn the_other_verifier_reads_what_the_program_hands_out() {
    let Some(python) = verifier::python_or_skip() else { return };
    let world = World::with_mandate();
    world.as_member("Sasha", "fetch Romashka/CRM --field password").done();
    world.as_member("Sasha", "fetch Romashka/Bot --field token").ended(4);
    world.as_member("Lena", "credential rotate Romashka/CRM --generate").done();
    let out = world.path("extract");
    let given = world.as_member("Olga", &format!("extract Romashka --out {} --json", out.display())).done().json();
    let said = |root: &str| {
        let mut theirs = Command::new(python);
        let answer = theirs.arg(verifier::script()).arg(&out).args(["--json", "--root", root]).output().unwrap();
        (answer.status.code(), serde_json::from_slice::<Value>(&answer.stdout).unwrap())
    };
    let (code, report) = said(given["root_fingerprint"].as_str().unwrap());
    assert_eq!((code, &report["root_hash"], &report["records"]), (Some(0), &given["root_hash"], &given["records"]));
    let ours = world.as_member("Olga", &format!("verify {} --json", out.display())).done().json();
    for (field, ours) in ours.as_object().unwrap().iter().filter(|(field, _)| *field != "root_checked") {
        assert_eq!(report[field], *ours, "{field}");
    }
    assert_eq!(said("34dd-8945-0b67-2065-b5d7-f00a-0d00-80fa").0, Some(6), "of another agency");
}

struct Ledger {
    directory: Directory,
    unit: UnitId,
    entries: Vec<Entry>,
    key: Arc<SignKey>,
}

impl Ledger {
    /// The ledger of Romashka with the broker's own record key.
    fn of(world: &World) -> Self {
        let out = world.path("forged.jsonl");
        world.as_member("Olga", &format!("extract Romashka --out {}", out.display())).done();
        let text = std::fs::read_to_string(&out).unwrap();
        let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let signed = |value: &serde_json::Value| serde_json::from_value::<Signed>(value.clone()).unwrap();
        let charters: Vec<Signed> = lines[0]["charters"].as_array().unwrap().iter().map(signed).collect();
        let mut directory = Directory::new(*charters[0].claimed_key(), &charters).unwrap();
        for admission in lines[0]["admissions"].as_array().unwrap() {
            directory.admit(&signed(admission)).unwrap();
        }
        let home = Home {
            dir: world.path("state"),
            disk: Arc::new(RealDisk),
            keys: Arc::new(FileKeys::new(world.path("epoch-key"))),
            entropy: Arc::new(System),
        };
        let key = Anchor::open(&home).unwrap().record_key();
        let entry = |line: &serde_json::Value| Entry {
            salt: serde_json::from_value::<Digest>(line["salt"].clone()).unwrap(),
            signed: key.sign(Topic::Record, line["record"].as_str().unwrap().as_bytes().to_vec()),
        };
        let entries = lines[1..lines.len() - 1].iter().map(entry).collect();
        let unit = serde_json::from_value(lines[0]["unit"].clone()).unwrap();
        Self { directory, unit, entries, key }
    }

    fn record(&self, at: usize) -> String {
        String::from_utf8(self.entries[at].signed.unverified_bytes().to_vec()).unwrap()
    }

    fn find(&self, part: &str) -> usize {
        (0..self.entries.len()).find(|at| self.record(*at).contains(part)).unwrap()
    }

    /// What an auditor says of the ledger with one record written anew and signed by the broker itself.
    fn with(&self, at: usize, from: &str, to: &str) -> Result<(), Flaw> {
        let record = self.record(at);
        let changed = record.replacen(from, to, 1);
        assert!(from == to || changed != record, "{from} is not in {record}");
        let mut entries = self.entries.clone();
        entries[at].signed = self.key.sign(Topic::Record, changed.into_bytes());
        Audit::new(&self.directory, self.unit).take(&entries).map(drop)
    }
}

/// What a record says happened is what its signed request asked for: with all its own keys the broker grants nothing
/// wider, stores nothing else, releases nothing else, and ends nobody else's mandate.
#[test]
fn a_broker_cannot_put_more_into_a_record_than_was_asked() {
    let world = World::with_mandate();
    world.as_member("Sasha", "fetch Romashka/CRM --field password").done();
    world.as_member("Lena", "credential rotate Romashka/CRM --generate").done();
    let ledger = Ledger::of(&world);
    assert_eq!(ledger.with(0, "opened", "opened"), Ok(()), "signed anew by the same key, it is the same ledger");
    for (part, from, to) in [
        ("\"granted\"", "\"levels\":[\"view\"]", "\"levels\":[\"edit\"]"),
        ("\"credentials_added\"", "\"kind\":\"login\"", "\"kind\":\"note\""),
        ("\"rotated\"", "\"number\":2", "\"number\":3"),
        ("\"opened\"", "\"contract\":\"17/2026\"", "\"contract\":\"18/2026\""),
        ("\"released\"", "\"verb\":\"fetch\"", "\"verb\":\"code\""),
        ("\"extracted\"", "\"extracted\"", "{\"ended\":{\"why\":\"term\"}}"),
    ] {
        let at = ledger.find(part);
        let said = ledger.with(at, from, to);
        assert_eq!(said, Err(Flaw::Request(at as u64)), "{part}: {from} as {to}");
    }
}

/// A record that names somebody else, or nobody, as its author is found.
#[test]
fn a_broker_cannot_speak_for_a_member() {
    let world = World::with_mandate();
    world.as_member("Sasha", "fetch Romashka/CRM --field password").done();
    let ledger = Ledger::of(&world);
    let (sasha, lena) = (world.identity("Sasha").member.to_string(), world.identity("Lena").member.to_string());
    let at = ledger.find("\"released\"");
    let released_to = |from: &str, to: &str| ledger.with(at, &format!("\"by\":\"{from}\""), to);
    let by_sasha = ledger.record(at).contains(&format!("\"by\":\"{sasha}\""));
    let (author, other) = if by_sasha { (sasha, lena) } else { (lena, sasha) };
    assert_eq!(released_to(&author, &format!("\"by\":\"{other}\"")), Err(Flaw::Request(at as u64)));
    assert_eq!(released_to(&author, "\"by\":null"), Err(Flaw::Request(at as u64)));
}
