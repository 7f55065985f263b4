//! What the program hands out beside the other verifier; and a broker that holds its own keys and lies with them: what
//! it cannot put into a ledger.

use crate::support::World;
use crate::verifier;
use mandatum::anchor::{Anchor, FileKeys, Home, RealDisk};
use mandatum::crypto::{SignKey, Signed, System, Topic};
use mandatum::ledger::{Audit, Audited, Directory, Entry, Flaw, Outcome, Record, follows_request};
use mandatum::model::{
    Digest, Event, GrantFacts, GrantId, GrantOrigin, Level, Mandate, MemberId, RowChange, RowId, RowTerms, Text, UnitId,
};
use serde_json::Value;
use std::process::Command;
use std::sync::Arc;

const DAY_MS: i64 = 86_400_000;

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

    /// What an auditor says of the ledger with another event in one record, which names no state.
    fn with_event(&self, at: usize, change: impl FnOnce(&mut Event)) -> Result<(), Flaw> {
        let mut record: Record = serde_json::from_str(&self.record(at)).unwrap();
        let Outcome::Mandate(event) = &mut record.outcome else { panic!("{record:?}") };
        change(event);
        record.state = None;
        let mut entries = self.entries.clone();
        entries[at].signed = self.key.sign(Topic::Record, record.encode());
        Audit::new(&self.directory, self.unit).take(&entries).map(drop)
    }

    /// The mandate as it was before a record.
    fn mandate_before(&self, at: usize) -> Mandate {
        let mut audit = Audit::new(&self.directory, self.unit);
        audit.take(&self.entries[..at]).unwrap();
        match audit.state() {
            Audited::Mandate(mandate) => (**mandate).clone(),
            other => panic!("{other:?}"),
        }
    }

    fn event(&self, part: &str) -> Event {
        let record: Record = serde_json::from_str(&self.record(self.find(part))).unwrap();
        match record.outcome {
            Outcome::Mandate(event) => event,
            other => panic!("{other:?}"),
        }
    }

    /// A row the mandate was opened with.
    fn row_of(&self, named: &str) -> RowId {
        let Event::Opened { rows, .. } = self.event("{\"opened\"") else { panic!("not opened") };
        let of = |change: &RowChange| match change {
            RowChange::Add { row, system, .. } if system.as_str() == named => Some(*row),
            _ => None,
        };
        rows.iter().find_map(of).unwrap()
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

/// What is made of an event, or of a part of it.
type Change<'a, T> = &'a dyn Fn(&mut T);

/// The ledger of a mandate that was amended twice: a row more; and an earlier last day, one row narrower and one gone.
fn amended() -> (World, Ledger) {
    let world = World::with_mandate();
    let rows = |name: &str, rows: &str| {
        world.file(name, &format!("system;platform;levels;purposes\n{rows}\n")).display().to_string()
    };
    let (add, set) = (rows("add.csv", "Mail;Unisender;view;letters"), rows("set.csv", "CRM;;view;"));
    world.as_member("Lena", &format!("mandate amend Romashka --add {add}")).done();
    world.as_member("Lena", &format!("mandate amend Romashka --until 2026-11-30 --set {set} --remove Ads")).done();
    let ledger = Ledger::of(&world);
    (world, ledger)
}

/// Changes a table and the grants that come with it.
fn change_table(event: &mut Event, change: impl Fn(&mut Vec<RowChange>, &mut Vec<GrantFacts>)) {
    match event {
        Event::Opened { rows, grants, .. } => change(rows, grants),
        Event::Amended { changes, grants, .. } => change(changes, grants),
        other => panic!("{other:?}"),
    }
}

/// With a table and its amendments come its lead's standing grants: a broker with its own keys lets nobody else in on
/// the way.
#[test]
fn a_broker_cannot_let_an_accomplice_in_with_a_table() {
    let (world, ledger) = amended();
    let sasha = world.identity("Sasha").member;
    let (opened, added) = (ledger.find("{\"opened\""), ledger.find("\"system\":\"Mail\""));
    assert_eq!([opened, added].map(|at| ledger.with_event(at, |_| ())), [Ok(()), Ok(())]);
    let id = GrantId([7; 16]);
    let grants: [Change<'_, Vec<GrantFacts>>; 5] = [
        &|grants| {
            grants.push(GrantFacts { id, member: sasha, origin: GrantOrigin::Given, ..grants[0].clone() });
        },
        &|grants| grants.push(GrantFacts { id, ..grants[0].clone() }),
        &|grants| grants[0].origin = GrantOrigin::Given,
        &|grants| (grants[0].origin, grants[0].member) = (GrantOrigin::Given, sasha),
        &|grants| grants.clear(),
    ];
    for (number, change) in grants.iter().enumerate() {
        for at in [opened, added] {
            let said = ledger.with_event(at, |event| change_table(event, |_, grants| change(grants)));
            assert!(matches!(said, Err(Flaw::Fold(found, _)) if found == at as u64), "{number} in {at}: {said:?}");
        }
    }

    // Nor as a lead nobody named.
    let led = |change: Change<'_, Vec<MemberId>>| {
        ledger.with_event(opened, |event| {
            let Event::Opened { leads, grants, .. } = event else { panic!("{event:?}") };
            change(leads);
            let stands = |facts: &GrantFacts| {
                let of = |(number, lead): (u8, &MemberId)| {
                    let mut id = facts.id;
                    id.0[0] ^= number;
                    GrantFacts { id, member: *lead, ..facts.clone() }
                };
                (0..).zip(&*leads).map(of).collect::<Vec<_>>()
            };
            *grants = grants.iter().flat_map(stands).collect();
        })
    };
    assert_eq!(led(&|_| ()), Ok(()));
    assert_eq!(led(&|leads| leads.push(sasha)), Err(Flaw::Request(opened as u64)), "an accomplice leads too");
    assert_eq!(led(&|leads| leads[0] = sasha), Err(Flaw::Request(opened as u64)), "or alone");
}

/// A grant that is made anew after a restore, by nobody's request, is the one it replaces.
#[test]
fn a_broker_cannot_make_another_grant_anew() {
    let world = World::with_mandate();
    world.as_member("Lena", "grant Sasha Romashka/Bot --level reply --purpose answers").done();
    // Something the broker does by itself: in its place stands what it makes up.
    world.as_member("Lena", "revoke Sasha Romashka/Bot").done();
    let ledger = Ledger::of(&world);
    let own = ledger.find("{\"destroyed\"");
    let Event::Granted { grant: old, .. } = ledger.event("{\"granted\"") else { panic!("not granted") };
    let again = |grants: &[GrantFacts], replaced: &[GrantId]| {
        let (grants, replaced) = (grants.to_vec(), replaced.to_vec());
        ledger.with_event(own, |event| *event = Event::Reissued { grants, replaced })
    };
    let same = GrantFacts { id: GrantId([7; 16]), ..old.clone() };
    assert_eq!(again(std::slice::from_ref(&same), &[old.id]), Ok(()));
    let to_lena = GrantFacts { member: world.identity("Lena").member, ..same.clone() };
    let wider = GrantFacts { levels: [Level::View, Level::Edit].into(), ..same.clone() };
    let both = [same.clone(), GrantFacts { id: GrantId([8; 16]), ..same.clone() }];
    for (grants, replaced) in
        [(&[to_lena][..], &[old.id][..]), (&[wider], &[old.id]), (&both, &[old.id]), (&[same], &[])]
    {
        let said = again(grants, replaced);
        assert!(matches!(said, Err(Flaw::Fold(found, _)) if found == own as u64), "{grants:?}: {said:?}");
    }
}

/// A broker that takes from a member what only somebody else may ask for is found.
#[test]
fn a_broker_cannot_have_an_incident_closed_by_whom_it_is_about() {
    let world = World::with_mandate();
    let opened = world.as_member("Lena", "incident open --kind device_lost --operator Romashka --json").done().json();
    let id = opened[0]["incident"]["facts"]["id"].as_str().unwrap().to_owned();
    world.run("Lena", &["incident", "close", &id, "--outcome", "found"]).done();
    let ledger = Ledger::of(&world);
    let closed = ledger.find("{\"incident_closed\"");
    let about = |name: &str| {
        let member = world.identity(name).member;
        // Everything before the closing is taken for granted: what is judged is the closing itself.
        let mut mandate = ledger.mandate_before(closed);
        mandate.incidents[0].facts.member = Some(member);
        let record: Record = serde_json::from_str(&ledger.record(closed)).unwrap();
        let Outcome::Mandate(event) = &record.outcome else { panic!("{record:?}") };
        follows_request(&record, event, &mandate, &ledger.directory)
    };
    assert_eq!((about("Sasha"), about("Lena")), (true, false));
}

/// Rows, bounds and days are those that were written down; grants follow their row, so that only the request objects.
#[test]
fn a_broker_cannot_amend_what_nobody_wrote_down() {
    let (_world, ledger) = amended();
    let (opened, added) = (ledger.find("{\"opened\""), ledger.find("\"system\":\"Mail\""));
    let narrowed = ledger.find("\"until\":\"2026-11-30\"");
    assert_eq!(ledger.with_event(narrowed, |_| ()), Ok(()));
    let bounds: [Change<'_, RowTerms>; 6] = [
        &|terms| terms.levels.extend([Level::Admin]),
        &|terms| terms.purposes.push(Text::parse("anything").unwrap()),
        &|terms| terms.data.push(Text::parse("anything").unwrap()),
        &|terms| terms.until = "2026-06-30".parse().unwrap(),
        &|terms| terms.term.until = terms.term.until.plus(-30 * DAY_MS),
        &|terms| terms.grant_days = Some(3),
    ];
    for (number, with) in bounds.iter().enumerate() {
        for (at, place) in [(opened, 0), (added, 0), (narrowed, 1)] {
            let change = |rows: &mut Vec<RowChange>, grants: &mut Vec<GrantFacts>| {
                let (RowChange::Add { terms, .. } | RowChange::Set { terms, .. }) = &mut rows[place] else {
                    panic!("{rows:?}")
                };
                with(terms);
                for grant in grants.iter_mut().take(1) {
                    (grant.levels, grant.purposes) = (terms.levels.clone(), terms.purposes.clone());
                    grant.term = terms.term;
                }
            };
            let said = ledger.with_event(at, |event| change_table(event, change));
            assert_eq!(said, Err(Flaw::Request(at as u64)), "{number} in {at}");
        }
    }
    let form = RowChange::Remove { row: ledger.row_of("Form") };
    let changes: [Change<'_, Vec<RowChange>>; 5] = [
        &|changes| drop(changes.pop()),
        &|changes| changes[2] = form.clone(),
        &|changes| changes.push(form.clone()),
        &|changes| changes.swap(1, 2),
        &|changes| {
            let RowChange::Until { term, .. } = &mut changes[0] else { panic!("{changes:?}") };
            term.until = term.until.plus(30 * DAY_MS);
        },
    ];
    for (number, change) in changes.iter().enumerate() {
        let said = ledger.with_event(narrowed, |event| change_table(event, |rows, _| change(rows)));
        assert_eq!(said, Err(Flaw::Request(narrowed as u64)), "{number}");
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
