//! The anchor on a machine that fails: power cuts at every operation, keyrings that lie, files that were changed or
//! brought back (ATTACKS.md A7, A9, B3, H7, H8).
//!
//! The machine is `tests/machine`; every fault it knows is tried at every operation.

use crate::machine::{CrashDisk, FakeKeys, Fault, Kept, LEFTS, Left, Machine, Mood, Op, When, failed, lost};
use mandatum::anchor::{
    Anchor, AnchorError, Change, Core, Destroy, Disk, EpochKeys, FileKeys, Head, Home, KeysError, RealDisk, Segment,
    Session, Slot, anchor_path,
};
use mandatum::crypto::{Key, System};
use mandatum::model::{Digest, GrantId, HighWater, Instant, MemberId, SessionId, UnitId, Uptime, VaultId};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use tempfile::TempDir;

// --------------------------------------------------------------------------------------------------------- the world

type Files = BTreeMap<PathBuf, Vec<u8>>;

/// A state directory and a keyring on one machine.
struct World {
    dir: TempDir,
    machine: Arc<Mutex<Machine>>,
    keys: Arc<FakeKeys>,
}

impl World {
    fn empty() -> Self {
        Self::with(Kept { mood: Mood::Well, slots: [None, None], seen: BTreeSet::new() })
    }

    fn with(kept: Kept) -> Self {
        let machine = Arc::new(Mutex::new(Machine::default()));
        let keys = Arc::new(FakeKeys { machine: Arc::clone(&machine), kept: Mutex::new(kept) });
        Self { dir: tempfile::tempdir().unwrap(), machine, keys }
    }

    /// The same files and keys on a machine that was just started.
    fn restarted(&self) -> Self {
        let world = Self::with(self.keys.kept().clone());
        world.put(&self.files());
        world
    }

    fn home(&self) -> Home {
        Home {
            dir: self.dir.path().to_owned(),
            disk: Arc::new(CrashDisk(Arc::clone(&self.machine))),
            keys: Arc::clone(&self.keys) as Arc<dyn EpochKeys>,
            entropy: Arc::new(System),
        }
    }

    fn open(&self) -> Result<Anchor, AnchorError> {
        Anchor::open(&self.home())
    }

    fn files(&self) -> Files {
        let entries = fs::read_dir(self.dir.path()).unwrap().map(|entry| entry.unwrap().path());
        entries.map(|path| (path.file_name().unwrap().into(), fs::read(path).unwrap())).collect()
    }

    /// Makes the directory hold exactly these files.
    fn put(&self, files: &Files) {
        self.files().keys().for_each(|name| fs::remove_file(self.dir.path().join(name)).unwrap());
        files.iter().for_each(|(name, bytes)| fs::write(self.dir.path().join(name), bytes).unwrap());
    }

    fn anchor_bytes(&self) -> Vec<u8> {
        fs::read(anchor_path(self.dir.path())).unwrap()
    }

    fn journal(&self) -> PathBuf {
        let logs = self.files().into_keys().filter(|name| name.extension().is_some_and(|ext| ext == "log"));
        let logs: Vec<PathBuf> = logs.collect();
        assert_eq!(logs.len(), 1, "{logs:?}");
        self.dir.path().join(&logs[0])
    }

    fn mood(&self, mood: Mood) {
        self.keys.kept().mood = mood;
    }

    fn set_fault(&self, fault: Fault) {
        let mut machine = self.machine.lock().unwrap();
        (machine.fault, machine.ops) = (Some(fault), Vec::new());
    }
}

/// Every fault at every operation; half and zero effects where there are bytes.
fn faults(ops: &[Op], cuts: &[Option<Left>]) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (at, op) in ops.iter().enumerate() {
        for &cut in cuts {
            let bytes = matches!(op, Op::Write | Op::Append);
            let whens: &[When] = if bytes {
                &[When::Before, When::Half, When::Tail, When::Zeros, When::After]
            } else {
                &[When::Before, When::After]
            };
            faults.extend(whens.iter().map(|&when| Fault { at, when, cut }));
        }
    }
    faults
}

/// What the power is cut in; returns whether it was said to be done.
type Work<'a> = &'a dyn Fn(&World) -> bool;

/// The operations `work` does on a healthy copy of the world.
fn ops_of(world: &World, work: Work<'_>) -> Vec<Op> {
    let dry = world.restarted();
    work(&dry);
    let machine = dry.machine.lock().unwrap();
    machine.ops.clone()
}

/// Cuts the power at every operation of `work`, and after it; hands over what is found after the restart, and whether
/// `work` had said that it was done. Returns how many times.
fn each_power_cut(world: &World, work: Work<'_>, found: &dyn Fn(World, bool, &str)) -> usize {
    let ops = ops_of(world, work);
    let cuts = faults(&ops, &LEFTS.map(Some));
    for fault in &cuts {
        let struck = world.restarted();
        struck.set_fault(*fault);
        let done = work(&struck);
        assert!(struck.machine.lock().unwrap().off, "{fault:?} never struck");
        found(struck.restarted(), done, &format!("{:?} {fault:?}", ops[fault.at]));
    }
    for left in LEFTS {
        let struck = world.restarted();
        let done = work(&struck);
        struck.machine.lock().unwrap().cut(left);
        found(struck.restarted(), done, &format!("at the end, {left:?}"));
    }
    cuts.len() + LEFTS.len()
}

// --------------------------------------------------------------------------------------------------- what must not go

/// Head; state key, the next one, evidence key; end of retention.
type UnitFacts = (Head, [Option<[u8; 32]>; 3], Instant);

/// Everything an anchor holds, to be compared.
#[derive(Clone, PartialEq, Debug)]
struct Facts {
    grants: BTreeMap<(UnitId, GrantId), ([u8; 32], Instant)>,
    units: BTreeMap<UnitId, UnitFacts>,
    own: [[u8; 32]; 3],
    factors: BTreeMap<MemberId, (Vec<u8>, u64, u32, Instant)>,
    sessions: Vec<Session>,
    high: HighWater,
    counter: u64,
    unfinished: Vec<UnitId>,
    rolled_back: bool,
}

fn facts(anchor: &mut Anchor) -> Facts {
    let (mut grants, mut units) = (BTreeMap::new(), BTreeMap::new());
    for unit in anchor.units() {
        let segment = anchor.segment(unit).unwrap().unwrap();
        grants.extend(segment.grants.iter().map(|(id, key, until)| ((unit, *id), (*key.expose(), *until))));
        units.insert(unit, facts_of_unit(segment));
    }
    let core = anchor.core();
    let ends = grants.values().map(|(_, until)| *until).min();
    assert!(core.earliest <= ends.unwrap_or(Instant::MAX), "something would end unnoticed");
    Facts {
        grants,
        units,
        own: [*core.record_key.expose(), *core.checkpoint_key.expose(), *core.label_key.expose()],
        factors: core
            .factors
            .iter()
            .map(|f| (f.member, (f.seed.to_vec(), f.last_step, f.failures, f.blocked_until)))
            .collect(),
        sessions: core.sessions.clone(),
        high: core.high,
        counter: core.counter,
        unfinished: core.unfinished.clone(),
        rolled_back: core.rolled_back,
    }
}

fn facts_of_unit(segment: &Segment) -> UnitFacts {
    let keys = [&segment.state_key, &segment.next_state_key, &segment.evidence_key];
    (segment.head, keys.map(|key| key.as_ref().map(|key| *key.expose())), segment.retain_until)
}

fn facts_in(world: &World) -> Facts {
    facts(&mut world.open().unwrap())
}

fn refused<T>(result: Result<T, AnchorError>) -> AnchorError {
    result.err().expect("must be refused")
}

const VAULT: VaultId = VaultId([0xee; 16]);
const ROSTER: UnitId = UnitId([0x10; 16]);
const UNIT_A: UnitId = UnitId([0x0a; 16]);
const UNIT_B: UnitId = UnitId([0x0b; 16]);
const ANNA: MemberId = MemberId([1; 16]);
const BORIS: MemberId = MemberId([2; 16]);

fn key() -> Key {
    Key::generate(&System)
}

fn grant(number: u64) -> GrantId {
    let mut id = [0x77; 16];
    id[..8].copy_from_slice(&number.to_le_bytes());
    GrantId(id)
}

fn granted(unit: UnitId, number: u64) -> Change {
    Change::Granted(unit, grant(number), key(), Instant(9_000_000 + i64::try_from(number).unwrap()))
}

fn opened(unit: UnitId) -> Change {
    Change::Opened { unit, state_key: key(), evidence_key: key() }
}

fn head(unit: UnitId, size: u64) -> Change {
    Change::Head(unit, Head { size, root: Digest([3; 32]), state: Digest([4; 32]) })
}

fn high(at: i64) -> HighWater {
    HighWater { at: Instant(at), uptime: Uptime { boot: 1, ms: at } }
}

fn session(id: u8, member: MemberId) -> Session {
    Session { id: SessionId([id; 16]), member, until: Instant(8_000_000), used: Instant(1_000), key: Digest([0; 32]) }
}

fn first_core() -> Core {
    Core::generate(ROSTER, high(1_000), &System)
}

fn roster_segment() -> Segment {
    Segment { state_key: Some(key()), evidence_key: Some(key()), ..Segment::new(ROSTER) }
}

/// Two units with three grants, two members, two sessions; some of it in the anchor file, some only in the journal.
/// With it, copies of the files from the epoch before and of this one.
fn agency() -> (World, [Files; 2]) {
    let world = World::empty();
    let mut anchor = Anchor::create(&world.home(), VAULT, first_core(), vec![roster_segment()]).unwrap();
    let seed = |byte| vec![byte; 20].into();
    anchor.note(vec![opened(UNIT_A), granted(UNIT_A, 1), granted(UNIT_A, 2), head(UNIT_A, 3)]).unwrap();
    anchor.note(vec![Change::Enrolled(ANNA, seed(0x51), 5), Change::Began(session(1, ANNA))]).unwrap();
    let first = world.files();
    anchor.rotate(&Destroy::default()).unwrap();
    anchor.note(vec![opened(UNIT_B), granted(UNIT_B, 3), head(UNIT_A, 4), head(UNIT_B, 2)]).unwrap();
    anchor.note(vec![Change::Enrolled(BORIS, seed(0x52), 6), Change::Began(session(2, BORIS))]).unwrap();
    anchor.note(vec![Change::Accepted(ANNA, 7), Change::Failed(BORIS, 2, Instant(2_000))]).unwrap();
    anchor.note(vec![Change::Used(SessionId([1; 16]), Instant(1_500)), Change::Rekeyed(UNIT_A, key())]).unwrap();
    anchor.note(vec![Change::High(high(1_500)), Change::Counted(9), Change::Unfinished(vec![UNIT_A])]).unwrap();
    let second = world.files();
    (world, [first, second])
}

fn revoking(unit: UnitId, number: u64) -> Destroy {
    Destroy { grants: vec![(unit, grant(number))], ..Destroy::default() }
}

fn without(mut facts: Facts, unit: UnitId, number: u64) -> Facts {
    facts.grants.remove(&(unit, grant(number))).expect("was there");
    facts
}

// ------------------------------------------------------------------------------------------------- crashes: H7 and B3

/// Whatever moment the power fails at while a grant is revoked, and again while the next start repairs that: all else
/// is kept; the dead key is gone once that was said, or goes when it is repeated; and no copy of an earlier epoch opens.
#[test]
fn a_rotation_cut_off_anywhere_loses_nothing_and_revives_nothing() {
    for (unit, number) in [(UNIT_A, 2), (UNIT_B, 3)] {
        let (world, copies) = agency();
        let before = facts_in(&world);
        assert_eq!((before.grants.len(), before.units.len()), (3, 3));
        let after = without(before.clone(), unit, number);
        let revoke = |world: &World| world.open().unwrap().rotate(&revoking(unit, number)).is_ok();
        let [again, undone, took] = [Cell::new(0), Cell::new(0), Cell::new(0)];

        let settled = |world: World, done: bool, copies: &[Files], at: &str| {
            let mut anchor = world.open().unwrap_or_else(|error| panic!("{at}: {error}"));
            let found = facts(&mut anchor);
            assert!(found == after || (found == before && !done), "{at}: lost, or alive after it was said to be gone");
            if found == before {
                undone.set(undone.get() + 1);
                anchor.rotate(&revoking(unit, number)).unwrap_or_else(|error| panic!("{at}: {error}"));
            } else {
                took.set(took.get() + 1);
            }
            assert!(facts_in(&world) == after, "{at}: the repeated revocation");
            // It is an anchor to go on with.
            anchor.note(vec![Change::High(high(1_600))]).unwrap();
            assert_eq!(world.open().unwrap().core().high, high(1_600), "{at}");
            stays_dead(&world, copies, at);
        };
        let cuts = each_power_cut(&world, &revoke, &|struck, done, at| {
            let repair = |world: &World| world.open().is_ok();
            let cuts = each_power_cut(&struck, &repair, &|twice, _, then| {
                settled(twice, done, &copies[1..], &format!("{at}; {then}"))
            });
            again.set(again.get() + cuts);
            settled(struck, done, &copies, at);
        });

        println!(
            "rotation: {cuts} power cuts, {} more during repair; {} undone, {} done",
            again.get(),
            undone.get(),
            took.get()
        );
        // Nine operations, one of which writes bytes: (8 · 2 + 4) · 3, and 3 after the end.
        assert!(cuts >= 63 && again.get() >= cuts * 3, "{cuts}, {}", again.get());
        assert!(undone.get() > 30 && took.get() > 30, "both outcomes occur");
    }
}

/// No copy from an earlier epoch opens, alone or beside today's files, and trying changes nothing.
fn stays_dead(world: &World, copies: &[Files], at: &str) {
    let (today, kept) = (world.files(), world.keys.kept().clone());
    for (number, copy) in copies.iter().enumerate() {
        let beside = today.clone().into_iter().chain(copy.clone()).collect();
        for files in [copy, &beside] {
            world.put(files);
            let error = refused(world.open());
            assert!(matches!(error, AnchorError::Epoch), "{at}: copy {number}: {error}");
            assert!(
                world.keys.kept().slots == kept.slots && world.files() == *files,
                "{at}: copy {number} left a trace"
            );
        }
    }
    // Nor does today's key open them, under their own number or with today's number written into them.
    let (epoch, current) = kept.slots[0].unwrap();
    for copy in copies {
        let mut copy = copy.clone();
        let anchor = copy.get_mut(Path::new("anchor")).unwrap();
        let own = u64::from_le_bytes(anchor[26..34].try_into().unwrap());
        for number in [own, epoch] {
            copy.get_mut(Path::new("anchor")).unwrap()[26..34].copy_from_slice(&number.to_le_bytes());
            world.put(&copy);
            world.keys.kept().slots = [Some((number, current)), None];
            assert!(matches!(refused(world.open()), AnchorError::Epoch), "{at}: today's key as number {number}");
        }
    }
    world.keys.kept().slots = kept.slots;
    world.put(&today);
    world.open().unwrap_or_else(|error| panic!("{at}: today's files: {error}"));
    let [current, next] = kept.slots;
    assert!(next.is_none() || next == current, "{at}: a second key is left");
}

/// An agency whose journal is almost long.
fn long_journal() -> World {
    let (world, _) = agency();
    world.open().unwrap().note((0..160).map(|size| head(UNIT_B, size)).collect()).unwrap();
    world
}

/// Makes it long by one note that also grants.
fn lengthen(world: &World, new_key: &Key) -> bool {
    let mut changes: Vec<Change> = (0..100).map(|size| head(UNIT_B, 160 + size)).collect();
    changes.push(Change::Granted(UNIT_A, grant(4), new_key.duplicate(), Instant(9_000_004)));
    world.open().unwrap().note(changes).is_ok()
}

/// A change that makes the journal long also writes the file anew. A power cut anywhere in that loses no change that
/// was durable, and the epoch and its key stay.
#[test]
fn a_compaction_cut_off_anywhere_loses_nothing() {
    let world = long_journal();
    let before = facts_in(&world);
    let epoch = world.open().unwrap().epoch();
    let new_key = key();
    let last = |world: &World| lengthen(world, &new_key);
    let whole = world.restarted();
    assert!(last(&whole));
    let after = facts_in(&whole);
    let ops = ops_of(&world, &last);
    assert!(ops.first() == Some(&Op::Append) && ops.contains(&Op::Rename), "the file is written anew: {ops:?}");
    assert_eq!(after.grants.len(), before.grants.len() + 1);
    assert_eq!(RealDisk.len(&whole.dir.path().join("anchor-3.log")).unwrap(), 0);

    let cuts = each_power_cut(&world, &last, &|struck, done, at| {
        let mut anchor = struck.open().unwrap_or_else(|error| panic!("{at}: {error}"));
        let appended = !at.starts_with("Append") || at.contains("After");
        let wanted = if appended { &after } else { &before };
        assert!(facts(&mut anchor) == *wanted && (appended || !done), "{at}");
        assert_eq!(anchor.epoch(), epoch);
        anchor.note(vec![Change::High(high(1_600))]).unwrap();
        assert_eq!(struck.open().unwrap().core().high, high(1_600), "{at}");
        anchor.rotate(&Destroy::default()).unwrap();
        assert!(facts_in(&struck).grants == wanted.grants, "{at}");
    });
    println!("compaction: {cuts} power cuts");
    // Append and write with bytes, five others: (2 · 5 + 5 · 2) · 3, and 3 after the end.
    assert!(cuts >= 63, "{cuts}");
}

/// A process that stops anywhere, another that starts and notes something, and then a power cut: what the second one
/// noted is kept, and so is all else. What the first one left unsynced must be synced before anything is built on it.
#[test]
fn what_is_noted_after_a_crash_survives_a_power_cut() {
    let new_key = key();
    let (rotating, _) = agency();
    let works: [(World, Work<'_>); 2] = [
        (rotating, &|world| world.open().unwrap().rotate(&revoking(UNIT_A, 2)).is_ok()),
        (long_journal(), &|world| lengthen(world, &new_key)),
    ];
    let mut total = 0;
    for (world, work) in works {
        let before = facts_in(&world);
        let whole = world.restarted();
        assert!(work(&whole));
        let after = facts_in(&whole);
        let ops = ops_of(&world, work);
        for (fault, left) in faults(&ops, &[None]).into_iter().flat_map(|fault| LEFTS.map(|left| (fault, left))) {
            let at = format!("{:?} {fault:?}, {left:?}", ops[fault.at]);
            let struck = world.restarted();
            struck.set_fault(fault);
            assert!(!work(&struck), "{at}");
            // Once the second one only starts.
            let started = world.restarted();
            started.set_fault(fault);
            assert!(!work(&started), "{at}");
            drop(started.open().unwrap());
            started.machine.lock().unwrap().cut(left);
            let found = facts_in(&started.restarted());
            assert!(found == before || found == after, "{at}: only started");

            struck.open().unwrap().note(vec![Change::Counted(10)]).unwrap();
            struck.machine.lock().unwrap().cut(left);
            let mut found = facts_in(&struck.restarted());
            assert_eq!(std::mem::replace(&mut found.counter, 9), 10, "{at}: the note");
            assert!(found == before || found == after, "{at}");
            total += 1;
        }
    }
    println!("crash, then power cut: {total}, twice each");
    // 20 faults of a rotation and 18 of a compaction, each with what a power cut may leave.
    assert!(total >= 114, "{total}");
}

/// A founding that is cut off leaves no anchor, or the whole one. So does a founding after a loss, whatever the lost
/// vault's files and keys left behind; what they were does not come back.
#[test]
fn a_founding_cut_off_anywhere_is_whole_or_absent() {
    let (former, copies) = agency();
    let with = |files: &Files, anchor: bool, keys: bool| {
        let world = former.restarted();
        world.put(files);
        if !anchor {
            fs::remove_file(anchor_path(world.dir.path())).unwrap();
        }
        if !keys {
            world.keys.kept().slots = [None, None];
        }
        (world, copies.to_vec())
    };
    // Its journal has the name of a first anchor's.
    let living = World::empty();
    let mut anchor = Anchor::create(&living.home(), VAULT, first_core(), vec![roster_segment()]).unwrap();
    anchor.note(vec![opened(UNIT_A), granted(UNIT_A, 1)]).unwrap();
    anchor.note(vec![granted(UNIT_A, 2), Change::Counted(5)]).unwrap();
    let still = facts(&mut anchor);
    let living_copy = living.files();
    let worlds = [
        ("nothing there", (World::empty(), vec![])),
        ("anchor lost", with(&copies[1], false, true)),
        ("anchor of an earlier epoch", with(&copies[0], true, true)),
        ("first journal left", with(&copies[0], false, true)),
        ("keys lost", with(&copies[1], true, false)),
        ("anchor still opens", (living, vec![living_copy])),
    ];
    let found = |world: &World| {
        let core = Core { counter: 77, ..first_core() };
        Anchor::create(&world.home(), VAULT, core, vec![roster_segment()]).is_ok()
    };
    let mut total = 0;
    for (name, (world, copies)) in worlds {
        let known = world.keys.kept().slots.iter().flatten().map(|(epoch, _)| *epoch).max().unwrap_or(0);
        total += each_power_cut(&world, &found, &|struck, done, at| {
            let at = format!("{name}: {at}");
            match struck.open() {
                Ok(mut anchor) => {
                    let facts = facts(&mut anchor);
                    let new = (facts.counter, facts.units.len(), facts.grants.len()) == (77, 1, 0);
                    let old = name == "anchor still opens" && !done && facts == still;
                    assert!(new || old, "{at}");
                    assert!(new || found(&struck), "{at}");
                }
                Err(AnchorError::Missing(_) | AnchorError::Epoch) if !done => assert!(found(&struck), "{at}"),
                Err(error) => panic!("{at}: done {done}, but {error}"),
            }
            assert_eq!(facts_in(&struck).counter, 77, "{at}");
            assert!(struck.open().unwrap().epoch() > known, "{at}: an epoch's number came again");
            stays_dead(&struck, &copies, &at);
        });
    }
    println!("founding: {total} power cuts");
    // Ten operations, one of which writes bytes, in six worlds: ((9 · 2 + 4) · 3 + 3) · 6.
    assert!(total >= 414, "{total}");
}

/// An operation that fails without a crash: the same process may go on. What it notes or revokes after that is kept,
/// and nothing from before is lost, though the failed rotation had taken the anchor apart.
#[test]
fn after_a_failed_rotation_the_same_process_goes_on() {
    let (world, copies) = agency();
    let before = facts_in(&world);
    let after = without(before.clone(), UNIT_A, 2);
    let revoke = |world: &World| world.open().unwrap().rotate(&revoking(UNIT_A, 2)).is_ok();
    let slips = faults(&ops_of(&world, &revoke), &[None]);
    for fault in &slips {
        let at = format!("{fault:?}");
        // Once it is repeated, once the process does something else.
        let struck = world.restarted();
        let mut anchor = struck.open().unwrap();
        struck.set_fault(*fault);
        refused(anchor.rotate(&revoking(UNIT_A, 2)));
        let gone = anchor.rotate(&revoking(UNIT_A, 2)).unwrap_or_else(|error| panic!("{at}: {error}"));
        assert_eq!(gone + 1, anchor.epoch(), "{at}");
        assert!(facts(&mut anchor) == after && facts_in(&struck) == after, "{at}: repeated");
        stays_dead(&struck, &copies, &at);

        let struck = world.restarted();
        let mut anchor = struck.open().unwrap();
        struck.set_fault(*fault);
        refused(anchor.rotate(&revoking(UNIT_A, 2)));
        anchor.note(vec![Change::Counted(10)]).unwrap_or_else(|error| panic!("{at}: {error}"));
        for mut found in [facts(&mut anchor), facts_in(&struck)] {
            assert_eq!(std::mem::replace(&mut found.counter, 9), 10, "{at}: the note");
            assert!(found == before || found == after, "{at}: noted");
        }
    }
    println!("failed rotation: {} operations failed, twice each", slips.len());
    assert!(slips.len() >= 20, "{}", slips.len());
}

/// A change that could not be appended was not taken in; the next one is, in its place.
#[test]
fn a_change_that_was_not_appended_leaves_no_trace() {
    let (world, _) = agency();
    let before = facts_in(&world);
    for when in [When::Before, When::Half, When::Tail, When::Zeros, When::After] {
        let struck = world.restarted();
        let mut anchor = struck.open().unwrap();
        struck.set_fault(Fault { at: 0, when, cut: None });
        refused(anchor.note(vec![granted(UNIT_A, 5)]));
        // Nor is it there for another process: what it reads might never become durable.
        assert!(facts_in(&struck) == before, "{when:?}");
        assert!(facts(&mut anchor) == before, "{when:?}");
        anchor.note(vec![Change::Counted(10)]).unwrap();
        let mut found = facts_in(&struck);
        assert_eq!(std::mem::replace(&mut found.counter, 9), 10, "{when:?}");
        assert!(found == before, "{when:?}");
    }
}

// --------------------------------------------------------------------------------------------------------- keyring: H8

const BAD_MOODS: [Mood; 7] = [
    Mood::Absent,
    Mood::ReadsFail,
    Mood::WritesFail,
    Mood::Forgets(Slot::Next),
    Mood::Forgets(Slot::Current),
    Mood::RemovalsFail,
    Mood::KeepsRemoved,
];

fn names_a_next_step(error: &AnchorError) -> bool {
    let text = error.to_string();
    ["unlock it", "key file", "recovery kit"].iter().any(|step| text.contains(step))
}

/// While the keyring is absent, locked or unfaithful, no revocation is said to be done, nothing is lost, and the
/// message names a next step; when it is well again the same process, or the next, finishes it.
#[test]
fn a_bad_keyring_acknowledges_nothing_and_loses_nothing() {
    let (world, copies) = agency();
    let before = facts_in(&world);
    let after = without(before.clone(), UNIT_B, 3);
    for mood in BAD_MOODS {
        let mut tries = Vec::new();
        for restart in [true, false] {
            let sick = world.restarted();
            let mut anchor = sick.open().unwrap();
            sick.mood(mood);
            let error = refused(anchor.rotate(&revoking(UNIT_B, 3)));
            assert!(matches!(error, AnchorError::Keys(_)) && names_a_next_step(&error), "{mood:?}: {error}");
            refused(anchor.rotate(&revoking(UNIT_B, 3)));
            sick.mood(Mood::Well);
            if restart {
                anchor = sick.open().unwrap_or_else(|error| panic!("{mood:?}: {error}"));
                let found = facts(&mut anchor);
                assert!(found == before || found == after, "{mood:?}");
            }
            anchor.rotate(&revoking(UNIT_B, 3)).unwrap();
            assert!(facts_in(&sick) == after, "{mood:?}");
            stays_dead(&sick, &copies, &format!("{mood:?}"));
            tries.push(restart);
        }
        assert_eq!(tries.len(), 2);
    }
}

/// A vault is not founded on a keyring that does not keep keys.
#[test]
fn a_bad_keyring_founds_no_vault() {
    for mood in BAD_MOODS {
        let world = World::empty();
        world.mood(mood);
        let error = refused(Anchor::create(&world.home(), VAULT, first_core(), vec![roster_segment()]));
        assert!(matches!(error, AnchorError::Keys(_)) && names_a_next_step(&error), "{mood:?}: {error}");
    }
}

/// A keyring that does not answer while an interrupted rotation is to be finished: an error, and the next start with a
/// good one finishes it.
#[test]
fn a_bad_keyring_at_the_start_changes_nothing() {
    let (world, _) = agency();
    let after = without(facts_in(&world), UNIT_A, 2);
    let revoke = |world: &World| world.open().unwrap().rotate(&revoking(UNIT_A, 2)).is_ok();
    let at = ops_of(&world, &revoke).iter().position(|op| *op == Op::KeyWrite(Slot::Current)).unwrap();
    world.set_fault(Fault { at, when: When::Before, cut: Some(Left::Everything) });
    assert!(!revoke(&world));
    for mood in BAD_MOODS.into_iter().filter(|mood| *mood != Mood::Forgets(Slot::Next)) {
        let sick = world.restarted();
        sick.mood(mood);
        let error = refused(sick.open());
        assert!(matches!(error, AnchorError::Keys(_)), "{mood:?}: {error}");
        sick.mood(Mood::Well);
        assert!(facts_in(&sick) == after, "{mood:?}");
    }
}

// ------------------------------------------------------------------------------------------------ changed files: A7

/// Database and anchor without the epoch key, or with another one of the same number: the recovery kit is named, and
/// neither the files nor the keyring are touched.
#[test]
fn without_its_epoch_key_the_anchor_stays_shut() {
    let (world, _) = agency();
    let epoch = world.open().unwrap().epoch();
    let wrong = |epoch| Some((epoch, *key().expose()));
    let stolen = [
        [None, None],
        [wrong(epoch), None],
        [wrong(epoch - 1), wrong(epoch)],
        [wrong(epoch - 1), wrong(epoch + 1)],
        [None, wrong(epoch)],
    ];
    for slots in stolen {
        let elsewhere = world.restarted();
        elsewhere.keys.kept().slots = slots;
        let error = refused(elsewhere.open());
        assert!(matches!(error, AnchorError::Epoch) && names_a_next_step(&error), "{slots:?}: {error}");
        assert!(elsewhere.keys.kept().slots == slots, "the keyring was changed by {slots:?}");
        assert!(elsewhere.files() == world.files(), "{slots:?}");
    }
}

/// One byte of the anchor file changed, at rest or after an interrupted rotation: it does not open, or, in the part of
/// one unit, that unit alone does not; never with another key, and nothing is destroyed on the way: the good file
/// opens again.
#[test]
fn no_changed_byte_of_the_anchor_passes() {
    let (quiet, _) = agency();
    let interrupted = quiet.restarted();
    interrupted.set_fault(Fault { at: 4, when: When::Before, cut: Some(Left::Everything) });
    refused(interrupted.open().unwrap().rotate(&revoking(UNIT_A, 2)));
    assert!(interrupted.keys.kept().slots[1].is_some(), "a key of the next epoch was written and never used");
    let mut flips = 0;
    for world in [quiet.restarted(), interrupted.restarted()] {
        let (want, good, slots) = (facts_in(&world), world.anchor_bytes(), world.keys.kept().slots);
        let core_len = u32::from_le_bytes(good[42..46].try_into().unwrap()) as usize;
        assert!(46 + core_len < good.len(), "there are segments");
        for index in (0..good.len()).filter(|index| *index < 46 + core_len || index % 7 == 0) {
            for mask in [0x01, 0x80] {
                let mut bad = good.clone();
                bad[index] ^= mask;
                fs::write(anchor_path(world.dir.path()), &bad).unwrap();
                if let Ok(mut anchor) = world.open() {
                    assert!(index >= 46 + core_len, "byte {index}");
                    assert_eq!(one_unit_refused(&mut anchor, &want), 1, "byte {index}");
                }
                assert!(world.keys.kept().slots == slots, "byte {index}: the keyring was changed");
                flips += 1;
            }
        }
        fs::write(anchor_path(world.dir.path()), &good).unwrap();
        assert!(facts_in(&world) == want);
    }
    println!("anchor: {flips} changed bytes");
    assert!(flips > 1_500, "{flips}");
}

/// How many units do not open; all others hold what they should.
fn one_unit_refused(anchor: &mut Anchor, want: &Facts) -> usize {
    let mut bad = 0;
    for unit in anchor.units() {
        match anchor.segment(unit) {
            Ok(segment) => {
                let segment = segment.unwrap();
                assert_eq!(facts_of_unit(segment), want.units[&unit]);
                for (id, key, until) in &segment.grants {
                    assert_eq!((*key.expose(), *until), want.grants[&(unit, *id)]);
                }
            }
            Err(AnchorError::Corrupt) => bad += 1,
            Err(error) => panic!("{error}"),
        }
    }
    bad
}

/// Where each frame ends, without the zeros after it.
fn frame_ends(journal: &[u8]) -> Vec<usize> {
    let (mut ends, mut at) = (Vec::new(), 0);
    while let Some(len) = journal.get(at..at + 4).map(|len| u32::from_le_bytes(len.try_into().unwrap())) {
        if len == 0 {
            break;
        }
        ends.push(at + 8 + len as usize);
        at = (at + 8 + len as usize).next_multiple_of(8);
    }
    ends
}

/// The journal up to the end of its last frame, zeros up to a multiple of 8 included.
fn written(world: &World) -> Vec<u8> {
    let mut bytes = fs::read(world.journal()).unwrap();
    let end = frame_ends(&bytes).last().map_or(0, |end| end.next_multiple_of(8));
    assert!(bytes[end..].iter().all(|byte| *byte == 0) && bytes.len() > end, "blocks for more");
    bytes.truncate(end);
    bytes
}

/// Cut anywhere, the journal gives exactly the changes that were whole; with one byte changed it does not open, or
/// gives all but the last change, which cannot be told from one the power cut off.
#[test]
fn no_changed_byte_of_the_journal_passes() {
    let (world, _) = agency();
    world.open().unwrap().rotate(&Destroy::default()).unwrap();
    let mut anchor = world.open().unwrap();
    let (mut ends, mut states) = (vec![0], vec![facts(&mut anchor)]);
    let frames = [vec![granted(UNIT_A, 7)], vec![Change::Counted(40), granted(UNIT_B, 8)], vec![head(UNIT_A, 9)]];
    for changes in frames {
        anchor.note(changes).unwrap();
        states.push(facts(&mut anchor));
    }
    drop(anchor);
    let (journal, good) = (world.journal(), written(&world));
    ends.extend(frame_ends(&good));

    for len in 0..=good.len() {
        fs::write(&journal, &good[..len]).unwrap();
        let whole = ends.iter().rposition(|end| *end <= len).unwrap();
        assert!(facts_in(&world) == states[whole], "cut to {len}");
        let left = fs::read(&journal).unwrap();
        assert!(left == good[..left.len()], "cut to {len}");
        assert!(left[ends[whole]..].iter().all(|byte| *byte == 0), "cut to {len}: the rest goes");
        // Blocks that were allocated and never written; a frame may happen to end with zeros itself.
        let padded = [&good[..len], &[0; 90]].concat();
        let whole = ends.iter().rposition(|end| padded.starts_with(&good[..*end])).unwrap();
        fs::write(&journal, padded).unwrap();
        let zeroed = world.open().map(|mut anchor| facts(&mut anchor));
        match zeroed {
            Ok(found) => assert!(found == states[whole], "cut to {len}, then zeros"),
            Err(error) => assert!(!ends.contains(&len), "cut to {len}, then zeros: {error}"),
        }
    }

    let (mut dropped, mut refusals, last) = (0, 0, ends[2]);
    for index in 0..good.len() {
        for mask in [0x01, 0x10, 0x80] {
            let mut bad = good.clone();
            bad[index] ^= mask;
            fs::write(&journal, &bad).unwrap();
            match world.open() {
                Ok(mut anchor) => {
                    assert!(index >= last, "byte {index}: changes before the last one were dropped in silence");
                    assert!(facts(&mut anchor) == states[states.len() - 2], "byte {index}");
                    dropped += 1;
                }
                Err(error) => {
                    assert!(matches!(error, AnchorError::Corrupt), "byte {index}: {error}");
                    assert!(fs::read(&journal).unwrap() == bad, "byte {index}: what was refused was changed");
                    refusals += 1;
                }
            }
        }
    }
    println!("journal: {refusals} changed bytes refused, {dropped} in the last frame");
    assert!(refusals > 300 && dropped > 100);
    fs::write(&journal, &good).unwrap();
    assert!(facts_in(&world) == states[3]);
}

/// A journal belongs to one anchor file: neither another epoch's nor another generation's is read in its place.
#[test]
fn a_journal_of_another_time_is_not_read() {
    let (world, [_, second]) = agency();
    let old_name = world.journal();
    let old = second[Path::new(old_name.file_name().unwrap())].clone();
    let mut anchor = world.open().unwrap();
    anchor.rotate(&revoking(UNIT_B, 3)).unwrap();
    anchor.note(vec![Change::Counted(10)]).unwrap();
    assert!(world.journal() != old_name && !old_name.exists());
    fs::write(world.journal(), &old).unwrap();
    assert!(matches!(refused(world.open()), AnchorError::Corrupt));

    // A journal that was long, in the place of the next one of the same epoch: the same key seals both.
    let world = long_journal();
    let (epoch, old) = (world.open().unwrap().epoch(), fs::read(world.journal()).unwrap());
    assert!(lengthen(&world, &key()));
    world.open().unwrap().note(vec![Change::Counted(10)]).unwrap();
    assert_eq!(world.open().unwrap().epoch(), epoch);
    fs::write(world.journal(), &old).unwrap();
    assert!(matches!(refused(world.open()), AnchorError::Corrupt));
}

/// Changes cannot be put in another order, left out or repeated.
#[test]
fn frames_of_a_journal_keep_their_order() {
    let (world, _) = agency();
    let mut anchor = world.open().unwrap();
    anchor.rotate(&Destroy::default()).unwrap();
    for counter in 10..13 {
        anchor.note(vec![Change::Counted(counter)]).unwrap();
    }
    let good = written(&world);
    let begins: Vec<usize> = std::iter::once(0).chain(frame_ends(&good)).map(|end| end.next_multiple_of(8)).collect();
    let frames: Vec<&[u8]> = begins.windows(2).map(|at| &good[at[0]..at[1]]).collect();
    for order in [&[0, 1, 2][..], &[1, 0, 2], &[0, 2, 1, 1], &[0, 0, 1, 2], &[1, 2], &[0, 1, 1, 2]] {
        fs::write(world.journal(), order.iter().map(|frame| frames[*frame]).collect::<Vec<_>>().concat()).unwrap();
        match world.open() {
            Ok(anchor) => assert!(order == [0, 1, 2] && anchor.core().counter == 12, "{order:?}"),
            Err(error) => assert!(matches!(error, AnchorError::Corrupt) && order != [0, 1, 2], "{order:?}: {error}"),
        }
    }
}

// ------------------------------------------------------------------------------------------------------- remnants: A9

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

/// A hundred grants are revoked. No key, seed or epoch key ever stands in a file in plaintext, and the keyring holds
/// no epoch key but the last.
#[test]
fn revoked_keys_are_nowhere_in_the_raw_files() {
    let (world, _) = agency();
    let mut anchor = world.open().unwrap();
    anchor.note((100..200).map(|number| granted(UNIT_B, number)).collect()).unwrap();
    let known = facts(&mut anchor);
    let mut secrets: Vec<Vec<u8>> = known.grants.values().map(|(key, _)| key.to_vec()).collect();
    secrets.extend(known.units.values().flat_map(|(_, keys, _)| keys.iter().flatten().map(|key| key.to_vec())));
    secrets.extend(known.factors.values().map(|(seed, ..)| seed.clone()));
    secrets.extend(known.own.map(|key| key.to_vec()));
    assert!(secrets.len() > 110);
    let nowhere = |world: &World| {
        let epoch_keys = world.keys.kept().seen.clone();
        for (name, bytes) in world.files() {
            let found = |secret: &[u8]| contains(&bytes, secret);
            assert!(!secrets.iter().any(|secret| found(secret)), "a secret in {}", name.display());
            assert!(!epoch_keys.iter().any(|(_, key)| found(key)), "an epoch key in {}", name.display());
        }
    };
    nowhere(&world);
    for tens in 10..20 {
        let grants = (tens * 10..tens * 10 + 10).map(|number| (UNIT_B, grant(number))).collect();
        anchor.rotate(&Destroy { grants, ..Destroy::default() }).unwrap();
        nowhere(&world);
    }
    // The search does find what stands there in the open.
    assert!(contains(&world.anchor_bytes(), &VAULT.0));
    let kept = world.keys.kept();
    assert!(kept.seen.len() >= 12 && kept.slots[1].is_none());
    let (last, key) = kept.slots[0].unwrap();
    assert!(kept.seen.iter().all(|&(epoch, other)| epoch < last || other == key) && last == anchor.epoch());
    let different: BTreeSet<[u8; 32]> = kept.seen.iter().map(|(_, key)| *key).collect();
    assert_eq!(different.len(), kept.seen.len(), "every epoch has its own key");
}

/// Everything else that dies in a rotation: a replaced state key, a member's second factor and sessions, evidence.
#[test]
fn a_rotation_destroys_what_it_is_told_and_nothing_else() {
    let (world, _) = agency();
    let mut anchor = world.open().unwrap();
    let mut want = facts(&mut anchor);
    let gone = anchor.epoch();
    let destroy =
        Destroy { state_keys: vec![UNIT_A, UNIT_B], evidence: vec![UNIT_B], members: vec![BORIS], grants: vec![] };
    assert_eq!(anchor.rotate(&destroy).unwrap(), gone);
    // A's state key is replaced by the next one; B has no key left and goes as a whole.
    let (_, [state, next, _], _) = want.units.get_mut(&UNIT_A).unwrap();
    *state = next.take();
    want.units.remove(&UNIT_B);
    want.grants.retain(|(unit, _), _| *unit != UNIT_B);
    want.factors.remove(&BORIS);
    want.sessions.retain(|session| session.member != BORIS);
    assert_eq!(facts(&mut anchor), want);
    assert_eq!(facts_in(&world), want);
}

// ------------------------------------------------------------------------------------------------- a key file

#[cfg(unix)]
mod key_file {
    use super::*;
    use std::io::{Read, Seek};
    use std::os::unix::fs::{PermissionsExt, symlink};

    struct Host {
        state: TempDir,
        keys: TempDir,
    }

    impl Host {
        fn new() -> Self {
            Self { state: tempfile::tempdir().unwrap(), keys: tempfile::tempdir().unwrap() }
        }
        fn key_file(&self) -> PathBuf {
            self.keys.path().join("epoch.key")
        }
        fn file_keys(&self) -> FileKeys {
            FileKeys::new(self.key_file())
        }
        fn home(&self, keys: Arc<dyn EpochKeys>) -> Home {
            Home { dir: self.state.path().to_owned(), disk: Arc::new(RealDisk), keys, entropy: Arc::new(System) }
        }
        fn healthy(&self) -> Home {
            self.home(Arc::new(self.file_keys()))
        }
        fn found(&self) -> Anchor {
            Anchor::create(&self.healthy(), VAULT, first_core(), vec![roster_segment()]).unwrap()
        }
        fn key_dir(&self) -> Vec<PathBuf> {
            fs::read_dir(self.keys.path()).unwrap().map(|entry| entry.unwrap().path()).collect()
        }
    }

    /// The file is private; a rotation leaves one file with the new key alone, and the old one's bytes are overwritten
    /// where they stood, not only unlinked.
    #[test]
    fn a_rotation_leaves_only_the_new_key() {
        let host = Host::new();
        let mut anchor = host.found();
        anchor.note(vec![opened(UNIT_A), granted(UNIT_A, 1), granted(UNIT_A, 2)]).unwrap();
        let want = without(facts(&mut anchor), UNIT_A, 2);
        let (_, old) = host.file_keys().read(Slot::Current).unwrap().unwrap();
        let mut held = fs::File::open(host.key_file()).unwrap();

        anchor.rotate(&revoking(UNIT_A, 2)).unwrap();
        assert!(facts(&mut anchor) == want && facts(&mut Anchor::open(&host.healthy()).unwrap()) == want);
        let mut old_file = Vec::new();
        held.rewind().unwrap();
        held.read_to_end(&mut old_file).unwrap();
        assert_eq!(old_file, [0; 40], "the old key's own blocks");
        assert_eq!(host.key_dir(), [host.key_file()], "neither .next nor .new remains");
        let now = fs::read(host.key_file()).unwrap();
        let (epoch, key) = host.file_keys().read(Slot::Current).unwrap().unwrap();
        assert!(epoch == anchor.epoch() && contains(&now, key.expose()) && !contains(&now, old.expose()));
        for file in [host.key_file(), anchor_path(host.state.path())] {
            assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    /// A key file others can read, or a link, or a file of another form, is refused and left alone.
    #[test]
    fn an_unsafe_key_file_is_refused() {
        let host = Host::new();
        let mut anchor = host.found();
        let good = fs::read(host.key_file()).unwrap();
        for mode in [0o640, 0o604, 0o620, 0o601] {
            fs::set_permissions(host.key_file(), fs::Permissions::from_mode(mode)).unwrap();
            let error = refused(Anchor::open(&host.healthy()));
            assert!(error.to_string().contains("0600"), "{mode:o}: {error}");
            assert!(matches!(refused(anchor.rotate(&Destroy::default())), AnchorError::Keys(_)), "{mode:o}");
            assert_eq!(fs::read(host.key_file()).unwrap(), good, "{mode:o}");
        }
        fs::set_permissions(host.key_file(), fs::Permissions::from_mode(0o600)).unwrap();
        // The last of the failed rotations is finished now.
        assert_eq!(Anchor::open(&host.healthy()).unwrap().epoch(), 2);
        let good = fs::read(host.key_file()).unwrap();

        let elsewhere = host.keys.path().join("elsewhere");
        fs::rename(host.key_file(), &elsewhere).unwrap();
        symlink(&elsewhere, host.key_file()).unwrap();
        assert!(matches!(refused(Anchor::open(&host.healthy())), AnchorError::Keys(_)));
        fs::remove_file(host.key_file()).unwrap();
        fs::rename(&elsewhere, host.key_file()).unwrap();

        for bytes in [&good[..39], &[&good[..], b"\n"].concat(), b""] {
            fs::write(host.key_file(), bytes).unwrap();
            assert!(matches!(refused(Anchor::open(&host.healthy())), AnchorError::Keys(_)));
        }
        fs::write(host.key_file(), &good).unwrap();
        Anchor::open(&host.healthy()).unwrap();
    }

    /// A link put in place of the `next` file is not followed: what it points to stays as it is.
    #[test]
    fn a_link_for_the_next_key_is_not_followed() {
        let host = Host::new();
        host.found();
        let letter = host.keys.path().join("letter");
        fs::write(&letter, [b'x'; 100]).unwrap();
        symlink(&letter, host.keys.path().join("epoch.key.next")).unwrap();
        assert!(host.file_keys().remove(Slot::Next).is_err());
        assert!(host.file_keys().write(Slot::Next, 9, &key()).is_err());
        assert_eq!(fs::read(&letter).unwrap(), [b'x'; 100]);
    }

    /// Fails the write of `current`, as a crash there does.
    struct Interrupted(FileKeys);

    impl EpochKeys for Interrupted {
        fn read(&self, slot: Slot) -> Result<Option<(u64, Key)>, KeysError> {
            self.0.read(slot)
        }
        fn write(&self, slot: Slot, epoch: u64, key: &Key) -> Result<(), KeysError> {
            if slot == Slot::Current { Err(lost(failed())) } else { self.0.write(slot, epoch, key) }
        }
        fn remove(&self, slot: Slot) -> Result<(), KeysError> {
            self.0.remove(slot)
        }
    }

    /// A crash after the old key was overwritten and before the new one has its name: the next start finishes it.
    #[test]
    fn a_blanked_current_key_is_replaced_by_the_next_one() {
        let host = Host::new();
        let mut anchor = host.found();
        anchor.note(vec![opened(UNIT_A), granted(UNIT_A, 1), granted(UNIT_A, 2)]).unwrap();
        let want = without(facts(&mut anchor), UNIT_A, 2);
        let mut cut_off = Anchor::open(&host.home(Arc::new(Interrupted(host.file_keys())))).unwrap();
        refused(cut_off.rotate(&revoking(UNIT_A, 2)));
        fs::write(host.key_file(), [0; 40]).unwrap();
        assert!(facts(&mut Anchor::open(&host.healthy()).unwrap()) == want);
        assert_eq!(host.key_dir(), [host.key_file()]);
    }
}

// ---------------------------------------------------------------------------------------------- two processes, size

/// A process notices that another one noted, compacted or rotated; its own changes do not make it stale.
#[test]
fn a_process_sees_that_another_changed_the_anchor() {
    let (world, _) = agency();
    type Named = (&'static str, fn(&mut Anchor));
    let works: [Named; 3] = [
        ("note", |anchor| anchor.note(vec![Change::Counted(10)]).unwrap()),
        ("compaction", |anchor| anchor.note((0..900).map(|size| head(UNIT_B, size)).collect()).unwrap()),
        ("rotation", |anchor| {
            anchor.rotate(&revoking(UNIT_A, 2)).unwrap();
        }),
    ];
    for (name, work) in works {
        let (mut one, mut other) = (world.open().unwrap(), world.open().unwrap());
        assert!(one.is_current().unwrap() && other.is_current().unwrap(), "{name}");
        work(&mut other);
        assert!(!one.is_current().unwrap(), "{name} went unnoticed");
        assert!(other.is_current().unwrap(), "{name}: its own");
        assert!(facts(&mut other) == facts(&mut world.open().unwrap()), "{name}");
        one = world.open().unwrap();
        work(&mut one);
        assert!(one.is_current().unwrap(), "{name}: again");
    }
}

/// Two thousand grants in fifty units come through compactions and a rotation, each with its own key.
#[test]
fn two_thousand_grants_survive() {
    let world = World::empty();
    let mut anchor = Anchor::create(&world.home(), VAULT, first_core(), vec![roster_segment()]).unwrap();
    let mut want = BTreeMap::new();
    for unit in (0..50).map(|number| UnitId([number + 100; 16])) {
        let mut changes = vec![opened(unit)];
        for number in 0..40 {
            let key = key();
            let id = grant(u64::from(unit.0[0]) * 1000 + number);
            want.insert((unit, id), (*key.expose(), Instant(9_000_000)));
            changes.push(Change::Granted(unit, id, key, Instant(9_000_000)));
        }
        anchor.note(changes).unwrap();
    }
    let renames = |world: &World| world.machine.lock().unwrap().ops.iter().filter(|op| **op == Op::Rename).count();
    assert!(renames(&world) >= 2, "the journal was compacted on the way");
    assert!(want.len() == 2_000 && facts_in(&world).grants == want);
    let dead: Vec<(UnitId, GrantId)> = want.keys().copied().step_by(20).collect();
    want.retain(|id, _| !dead.contains(id));
    anchor.rotate(&Destroy { grants: dead, ..Destroy::default() }).unwrap();
    assert!(want.len() == 1_900 && facts(&mut anchor).grants == want && facts_in(&world).grants == want);
    assert_eq!(world.files().len(), 1, "one file, its journal not begun: {:?}", world.files().keys());
}
