//! What is put back, lost, changed by hand, or taken by a power cut.

use crate::access::concerns;
use crate::hostile::edit;
use crate::kit::{after_restart, go_on_with_kit, lost_anchor, merged};
use crate::machine::Held;
use crate::model::{Model, Stands, Wall};
use crate::oracles::Ledger;
use crate::retrieval::{draw, open};
use crate::world::{Agent, Handed, Sitting, World};
use mandatum::agent::AgentError;
use mandatum::api::{self, Refusal};
use mandatum::model::{Deny, MemberId, UnitId, Verb};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

type Files = BTreeMap<PathBuf, Vec<u8>>;

/// Everything at one moment: files, epoch keys, and what was so then.
#[derive(Clone)]
pub struct Image {
    files: Files,
    slots: [Held; 2],
    pub model: Model,
    pinned: BTreeMap<(MemberId, UnitId), u64>,
    handed: Vec<Handed>,
    excused: BTreeSet<(MemberId, UnitId)>,
    /// Which codes were used up.
    last_steps: BTreeMap<MemberId, u64>,
    /// What was folded of its ledgers, to go on from.
    ledgers: Arc<Mutex<BTreeMap<UnitId, Ledger>>>,
}

/// Which part of an image.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Part {
    Database,
    State,
    Members,
}

fn part_of(path: &Path) -> Part {
    match path.components().next().and_then(|first| first.as_os_str().to_str()) {
        Some("state") => Part::State,
        Some("members") => Part::Members,
        _ => Part::Database,
    }
}

fn read_all(dir: &Path, under: &Path, files: &mut Files) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            read_all(&path, under, files);
        } else {
            let name = path.strip_prefix(under).unwrap().to_owned();
            files.insert(name, fs::read(&path).unwrap());
        }
    }
}

impl World {
    fn image(&self) -> Image {
        let mut files = Files::new();
        read_all(self.dir.path(), self.dir.path(), &mut files);
        // The index of the log is rebuilt by whoever opens the database.
        files.retain(|path, _| !path.to_string_lossy().ends_with("-shm"));
        Image {
            files,
            slots: self.keys.kept().slots,
            model: self.model.clone(),
            pinned: self.pinned.clone(),
            handed: self.handed.clone(),
            excused: self.excused.clone(),
            last_steps: self.agents.iter().map(|agent| (agent.id, agent.last_step)).collect(),
            ledgers: Arc::default(),
        }
    }

    /// Puts parts of an image in place of what is there; both brokers are started anew.
    fn put(&mut self, image: &Image, parts: &[Part]) {
        self.close_doors();
        let mut there = Files::new();
        read_all(self.dir.path(), self.dir.path(), &mut there);
        for path in there.keys().filter(|path| parts.contains(&part_of(path))) {
            fs::remove_file(self.dir.path().join(path)).unwrap();
        }
        for (path, bytes) in image.files.iter().filter(|(path, _)| parts.contains(&part_of(path))) {
            let path = self.dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        self.ledgers.clear();
        self.open_doors();
    }

    /// As if nothing of what happened since had happened.
    fn put_back(&mut self, image: &Image) {
        self.put(image, &[Part::Database, Part::State, Part::Members]);
        self.keys.kept().slots = image.slots;
        self.ledgers = std::mem::take(&mut *image.ledgers.lock().unwrap());
        self.hall.said.lock().unwrap().clear();
        (self.pinned, self.handed) = (image.pinned.clone(), image.handed.clone());
        self.excused = image.excused.clone();
        self.model = image.model.clone();
        for agent in &mut self.agents {
            // A session may be one that began meanwhile.
            agent.sitting = agent.sitting.map(Sitting::doubtful);
            agent.last_step = image.last_steps[&agent.id];
        }
        self.settle();
    }

    /// Remembers everything as it is now, for later.
    pub fn keep(&mut self) {
        if self.wall != Wall::True {
            return;
        }
        self.settle();
        self.note("everything is copied".into());
        let image = self.image();
        if self.kept.len() >= 2 {
            self.kept.remove(0);
        }
        self.kept.push(image);
    }
}

/// What a power cut may take of the database: nothing that a commit was durable for. Where the machine stopped right
/// before it noted a commit in the anchor, the power may as well have gone during that commit: then what was written of
/// the log since the operation before is there in part, empty, or garbled.
pub fn lose_power(world: &mut World, before: bool) {
    let log = world.dir.path().join("vault.db-wal");
    let _ = fs::remove_file(world.dir.path().join("vault.db-shm"));
    let (old, new) = world.machine.lock().unwrap().grown;
    let (old, new) = (usize::try_from(old).unwrap(), usize::try_from(new).unwrap());
    if !before || new <= old || !world.dice.chance(70) {
        return;
    }
    let mut bytes = fs::read(&log).unwrap();
    assert_eq!(bytes.len(), new, "the log as it was when the machine stopped");
    match world.dice.below(4) {
        0 => bytes.truncate(old + world.dice.below(new - old)),
        1 => bytes[old..].fill(0),
        2 => {
            // Some sectors of it, in no order.
            for sector in bytes[old..].chunks_mut(512) {
                if world.dice.chance(50) {
                    sector.fill(0);
                }
            }
        }
        _ => {
            let from = old + world.dice.below(new - old);
            for byte in &mut bytes[from..] {
                *byte = world.dice.next().to_le_bytes()[0];
            }
        }
    }
    fs::write(&log, bytes).unwrap();
    world.count("torn");
    world.note(format!("   … the power went during a commit: the log beyond {old} of {new} bytes is torn"));
}

/// Something is put back, lost or changed; afterwards everything is as it was, or the owner goes on with the kit.
pub fn damage(world: &mut World) {
    if world.wall != Wall::True || world.model.contracts.is_empty() {
        return;
    }
    let kind = world.dice.below(9);
    let Some(kept) = world.kept.first().cloned().or_else(|| (kind >= 5).then(|| world.image())) else {
        return world.keep();
    };
    world.settle();
    world.count("damages");
    let mut truth = world.image();
    truth.ledgers = Arc::new(Mutex::new(std::mem::take(&mut world.ledgers)));
    let frames = world.frames.len();
    match kind {
        0 => older_database(world, &kept, &truth),
        1 => {
            world.note("an older anchor is put back".into());
            world.put(&kept, &[Part::State]);
            probe(world, &[&truth.model]);
            world.put_back(&truth);
        }
        2 => {
            world.note("an older anchor and an older database are put back".into());
            world.put(&kept, &[Part::State, Part::Database]);
            probe(world, &[&truth.model, &kept.model]);
            world.put_back(&truth);
        }
        3 => whole_machine(world, &kept, &truth),
        4 => {
            world.put(&kept, &[Part::Database]);
            lost_anchor(world, &kept.model, &truth);
        }
        5 => lost_anchor(world, &truth.model, &truth),
        _ => hostile_database(world, &truth),
    }
    world.frames.truncate(frames);
}

/// A fetch by somebody who may, or may not, with whatever session there is. A refusal is fine, and so is the right
/// secret for whom it is for; what was released is in the database.
pub fn probe(world: &mut World, models: &[&Model]) -> Vec<Result<(), AgentError>> {
    let mut outcomes = Vec::new();
    for _ in 0..4 {
        let Some(drawn) = draw(world) else { continue };
        if world.dice.chance(60) && world.model.active(drawn.member) {
            let code = world.fresh_code(drawn.member);
            let _ = world.agent_mut(drawn.member).program.unlock(code, 3_600_000);
        }
        let fetched = open(&world.agent(drawn.member).program, Verb::Fetch, &drawn);
        world.hear();
        let outcome = fetched.map(|got| {
            let asking = drawn.asking(world);
            let allowed = models.iter().any(|model| model.may(&asking).is_ok_and(|login| login.secret == got));
            assert!(allowed, "after damage, a secret that is not the right one for them");
        });
        outcomes.push(outcome);
    }
    world.hear();
    outcomes
}

fn rolled_back(outcome: &Result<(), AgentError>) -> bool {
    matches!(outcome, Err(AgentError::Refused(Refusal::Denied { code: Deny::VaultRolledBack })))
}

fn older_database(world: &mut World, kept: &Image, truth: &Image) {
    let counter = |world: &World| world.store().counter().unwrap();
    let now = counter(world);
    world.put(kept, &[Part::Database]);
    let then = counter(world);
    world.note(format!("an older database is put back: {then} records of {now}"));
    let outcomes = probe(world, &[]);
    if then < now {
        assert!(outcomes.iter().all(rolled_back), "an older database was worked with: {outcomes:?}");
    }
    if world.dice.chance(50) {
        return world.put_back(truth);
    }
    world.note("the owner goes on from it with the kit".into());
    let found = world.store().sizes().unwrap().into_iter().collect();
    go_on_with_kit(world, &BTreeSet::new());
    world.model = merged(&kept.model, &truth.model);
    after_restart(world, Some(found));
}

/// Database, anchor and keyring of an earlier day: it runs until the first member shows what they have seen since.
fn whole_machine(world: &mut World, kept: &Image, truth: &Image) {
    world.note("the whole machine is put back".into());
    world.put(kept, &[Part::Database, Part::State]);
    world.keys.kept().slots = kept.slots;
    probe(world, &[&kept.model, &truth.model]);
    let heads: BTreeMap<UnitId, u64> = world.store().sizes().unwrap().into_iter().collect();
    let newer = |world: &World| {
        let all = world.agents.iter().flat_map(|agent| heads.iter().map(move |(unit, head)| (agent, *unit, *head)));
        let newer = |(agent, unit, head): &(&Agent, UnitId, u64)| {
            let known = kept.model.people.get(&agent.id).is_some_and(|person| person.stands != Stands::Removed);
            let concerned = kept.model.contracts.get(unit).is_some_and(|contract| concerns(contract, agent.id));
            let lost = world.excused.contains(&(agent.id, *unit));
            known
                && concerned
                && !lost
                && world.pins(agent).read(*unit).unwrap().is_some_and(|pin| pin.seen.size > *head)
        };
        all.into_iter().find(newer).map(|(agent, unit, _)| (agent.id, agent.name.clone(), unit))
    };
    if let Some((id, who, unit)) = newer(world) {
        let item = kept.model.contracts[&unit].logins.first().map(|login| api::FetchItem {
            credential: login.id,
            version: login.version,
            grant: mandatum::model::GrantId([0; 16]),
        });
        let ask = api::FetchAsk { items: item.into_iter().collect(), purpose: None, onward: None };
        let shown = world.agent(id).program.ask::<api::FetchCall>(Some(unit), None, ask).map(drop);
        assert!(rolled_back(&shown), "{who} showed a newer head, and the broker said {shown:?}");
        world.shuffle_desks();
        let outcomes = probe(world, &[]);
        assert!(outcomes.iter().all(rolled_back), "a broker that knows it was put back went on: {outcomes:?}");
        world.note(format!("{who} showed a newer head, and it locked itself"));
    }
    world.put_back(truth);
}

fn hostile_database(world: &mut World, truth: &Image) {
    world.close_doors();
    let what = edit(world).unwrap_or_else(|error| panic!("editing the database: {error}"));
    world.note(format!("the database is edited: {what}"));
    world.open_doors();
    probe(world, &[&truth.model]);
    world.put_back(truth);
}
