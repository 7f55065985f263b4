//! One vault on a machine that fails, with its people and two brokers side by side.

use crate::dice::{Dice, Seeded};
use crate::machine::{CrashDisk, FakeKeys, Kept, Machine, Mood};
use crate::model::{Access, DAY, HOUR, Model, Person, Stands, Wall};
use mandatum::agent::{AgentError, Identity, Kit, Pins, Program, Seed, SignKey, Topic, new_kit};
use mandatum::anchor::{EpochKeys, Home, RealDisk};
use mandatum::api::{self, Founding, Frame, Gate, Hello, Joining, Refusal, Served};
use mandatum::broker::{Broker, Door, Pace, Settings, found};
use mandatum::crypto::{Entropy, Signed};
use mandatum::ledger::Assurance;
use mandatum::model::{Clock, Instant, MemberId, Name, Nonce, Role, SessionId, Text, UnitId, Uptime, Verb, Zone};
use mandatum::store::{Database, Store};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use tempfile::TempDir;

/// 2026-03-02, 06:00 UTC.
const START: i64 = 1_772_431_200_000;

/// Wall clock, uptime and boot, moved by hand.
pub struct Time {
    wall: AtomicI64,
    up: AtomicI64,
    boot: AtomicI64,
}

impl Time {
    pub fn pass(&self, ms: i64) {
        self.wall.fetch_add(ms, SeqCst);
        self.up.fetch_add(ms, SeqCst);
    }
    pub fn skew(&self, ms: i64) {
        self.wall.fetch_add(ms, SeqCst);
    }
    pub fn reboot(&self) {
        self.boot.fetch_add(1, SeqCst);
        self.up.store(20_000, SeqCst);
    }
}

impl Clock for Time {
    fn now(&self) -> Instant {
        Instant(self.wall.load(SeqCst))
    }
    fn uptime(&self) -> Uptime {
        Uptime { boot: self.boot.load(SeqCst).unsigned_abs(), ms: self.up.load(SeqCst) }
    }
}

/// A call as it went over the wire.
pub struct Said {
    pub verb: Verb,
    pub request: Signed,
    pub load: Vec<u8>,
    pub answer: Result<Vec<u8>, Refusal>,
}

/// Two brokers of one vault, and all that was said to them.
#[derive(Default)]
pub struct Hall {
    doors: Mutex<Vec<Arc<Door>>>,
    pub said: Mutex<Vec<Said>>,
}

/// A member's way to one of the two.
pub struct Desk {
    hall: Arc<Hall>,
    side: AtomicUsize,
}

impl Desk {
    fn door(&self) -> Arc<Door> {
        Arc::clone(&self.hall.doors.lock().unwrap()[self.side.load(SeqCst)])
    }
}

impl Gate for Desk {
    fn hello(&self) -> Result<Hello, Refusal> {
        self.door().hello()
    }
    fn call(&self, frame: Frame) -> Result<Vec<u8>, Refusal> {
        let (verb, request, load) = (frame.verb, frame.request.clone(), frame.load.clone());
        let answer = self.door().call(frame);
        self.hall.said.lock().unwrap().push(Said { verb, request, load, answer: answer.clone() });
        answer
    }
    fn join(&self, joining: Joining) -> Result<(), Refusal> {
        self.door().join(joining)
    }
}

/// What is known of a member's session.
#[derive(Clone, Copy)]
pub struct Sitting {
    pub id: SessionId,
    pub until: i64,
    /// It was used then for sure, and maybe then.
    pub used: (i64, i64),
}

impl Sitting {
    /// The same, where it may be gone.
    pub fn doubtful(self) -> Self {
        Self { used: (i64::MIN / 2, self.used.1), ..self }
    }
}

/// A member at a machine of their own.
pub struct Agent {
    pub id: MemberId,
    pub name: Name,
    pub program: Program,
    pub desk: Arc<Desk>,
    pub seed: Seed,
    pub last_step: u64,
    pub wrong: u32,
    pub sitting: Option<Sitting>,
}

pub struct World {
    pub dir: TempDir,
    pub dice: Dice,
    pub entropy: Arc<Seeded>,
    pub time: Arc<Time>,
    pub wall: Wall,
    /// By how much the wall clock is set wrong.
    pub skewed: i64,
    /// When something was recorded for sure.
    pub beaten: i64,
    pub machine: Arc<Mutex<Machine>>,
    pub keys: Arc<FakeKeys>,
    pub kit: Kit,
    pub hall: Arc<Hall>,
    pub agents: Vec<Agent>,
    pub model: Model,
    /// What happened, for whoever looks at a failure.
    pub steps: Vec<String>,
    /// Heads the members have pinned, as they were last looked at.
    pub pinned: BTreeMap<(MemberId, UnitId), u64>,
    /// Frames of the past.
    pub frames: Vec<(Verb, Signed, Vec<u8>)>,
    /// Signatures of the requests that released something, with what was released.
    pub handed: Vec<Handed>,
    pub kept: Vec<crate::damage::Image>,
    pub counts: Counts,
    /// What was folded of each ledger so far; good while nothing is put back.
    pub ledgers: BTreeMap<UnitId, crate::oracles::Ledger>,
    /// Evidence keys: they stay while a mandate's records do.
    pub evidence: BTreeMap<UnitId, mandatum::crypto::Key>,
    /// The step now may be cut off.
    pub mortal: bool,
    /// Whose pins may fall once: the owner ordered to go on from before them.
    pub excused: BTreeSet<(MemberId, UnitId)>,
}

/// A release as the wire said it.
#[derive(Clone)]
pub struct Handed {
    pub unit: UnitId,
    pub seq: u64,
    pub request: Signed,
}

/// How often what happened.
pub type Counts = BTreeMap<&'static str, u64>;

pub fn name(name: &str) -> Name {
    Name::parse(name).unwrap()
}

pub fn text(text: &str) -> Text {
    Text::parse(text).unwrap()
}

fn fresh_dir() -> TempDir {
    let memory = Path::new("/dev/shm");
    let builder = || tempfile::Builder::new();
    if memory.is_dir() { builder().tempdir_in(memory).unwrap() } else { builder().tempdir().unwrap() }
}

impl World {
    /// A vault that Olga founded.
    pub fn found(seed: u64) -> Self {
        let (dir, entropy) = (fresh_dir(), Arc::new(Seeded::new(seed)));
        std::fs::create_dir(dir.path().join("state")).unwrap();
        let time = Arc::new(Time { wall: START.into(), up: 1_000_000.into(), boot: 1.into() });
        let machine = Arc::new(Mutex::new(Machine::default()));
        machine.lock().unwrap().watched = Some(dir.path().join("vault.db-wal"));
        let kept = Mutex::new(Kept { mood: Mood::Well, slots: [None, None], seen: BTreeSet::new() });
        let keys = Arc::new(FakeKeys { machine: Arc::clone(&machine), kept });
        let kit = new_kit(&*entropy);
        let mut world = Self {
            dir,
            dice: Dice::new(seed),
            entropy,
            time,
            wall: Wall::True,
            skewed: 0,
            beaten: START,
            machine,
            keys,
            kit,
            hall: Arc::default(),
            agents: Vec::new(),
            model: Model::default(),
            steps: Vec::new(),
            pinned: BTreeMap::new(),
            frames: Vec::new(),
            handed: Vec::new(),
            kept: Vec::new(),
            counts: Counts::new(),
            excused: BTreeSet::new(),
            ledgers: BTreeMap::new(),
            evidence: BTreeMap::new(),
            mortal: false,
        };
        world.begin();
        world
    }

    fn begin(&mut self) {
        let identity = Identity::generate(self.kit.vault, self.kit.root.public(), name("Olga"), &*self.entropy);
        let seed = Seed::generate(&*self.entropy);
        let step = self.seconds() / 30;
        let root = SignKey::from_seed(&self.kit.root.seed());
        let founding = Founding {
            vault: self.kit.vault,
            zone: Zone::utc(),
            recovery: self.kit.recovery.recipient(),
            admission: self.kit.admit(identity.signed_bundle(), BTreeSet::from([Role::Owner])),
            reuse_key: Kit::fresh_reuse_key(&identity, &*self.entropy).unwrap(),
            seed: seed.encode().expose().to_vec().into(),
            code: seed.code(self.seconds()).0,
            sign_charter: Box::new(move |charter| root.sign(Topic::Charter, charter)),
        };
        found(&self.settings(), founding).unwrap();
        self.open_doors();
        self.seat(identity, seed, step, BTreeSet::from([Role::Owner]));
    }

    /// Somebody who was admitted takes their place.
    pub fn seat(&mut self, identity: Identity, seed: Seed, last_step: u64, roles: BTreeSet<Role>) {
        let (id, name) = (identity.member, identity.name.clone());
        let desk = Arc::new(Desk { hall: Arc::clone(&self.hall), side: AtomicUsize::new(0) });
        let state = self.dir.path().join("members").join(name.as_str());
        let program = Program::new(Arc::clone(&desk) as Arc<dyn Gate>, identity, &state, self.chaos());
        let person = Person { name: name.to_string(), roles, stands: Stands::Active };
        self.model.people.insert(id, person);
        self.agents.push(Agent { id, name, program, desk, seed, last_step, wrong: 0, sitting: None });
    }

    pub fn chaos(&self) -> Arc<dyn Entropy> {
        Arc::clone(&self.entropy) as Arc<dyn Entropy>
    }

    pub fn database(&self) -> PathBuf {
        self.dir.path().join("vault.db")
    }

    /// The database, looked at from outside.
    pub fn store(&self) -> Store {
        Store::open(&Database::File(self.database())).unwrap_or_else(|error| panic!("the database: {error}"))
    }

    pub fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    pub fn pins(&self, agent: &Agent) -> Pins {
        Pins::new(&self.dir.path().join("members").join(agent.name.as_str()), agent.id)
    }

    pub fn settings(&self) -> Settings {
        let home = Home {
            dir: self.dir.path().join("state"),
            disk: Arc::new(CrashDisk(Arc::clone(&self.machine))),
            keys: Arc::clone(&self.keys) as Arc<dyn EpochKeys>,
            entropy: self.chaos(),
        };
        let clock = Arc::clone(&self.time) as Arc<dyn Clock>;
        let (database, served) = (Database::File(self.database()), Served::default());
        // A broker that is started to stay moves the database's log in a thread of its own, at times nobody draws.
        Settings { database, home, clock, assurance: Assurance::Solo, pace: Pace::FREE, served }
    }

    /// The same files, looked at from outside: nothing of it counts as an operation.
    pub fn outside(&self) -> Home {
        Home { disk: Arc::new(RealDisk), ..self.settings().home }
    }

    /// Starts both brokers anew; whatever they kept in memory is gone.
    pub fn open_doors(&mut self) {
        let assurances = [Assurance::Account, Assurance::Host];
        let doors = assurances.map(|level| Arc::new(Door::new(Arc::new(Broker::new(self.settings())), level)));
        *self.hall.doors.lock().unwrap() = doors.into();
    }

    pub fn close_doors(&mut self) {
        self.hall.doors.lock().unwrap().clear();
    }

    /// The time decisions are made at, as far as it can be told from outside: a wall clock that is behind counts as
    /// standing still.
    pub fn now(&self) -> i64 {
        let behind = if self.wall == Wall::Behind { -self.skewed } else { 0 };
        self.time.now().0 + behind
    }

    pub fn seconds(&self) -> u64 {
        self.time.now().unix_seconds()
    }

    pub fn note(&mut self, step: String) {
        let at = (self.now() - START) / 1000;
        self.steps.push(format!("+{at}s {step}"));
    }

    pub fn agent(&self, id: MemberId) -> &Agent {
        self.agents.iter().find(|agent| agent.id == id).unwrap()
    }

    pub fn agent_mut(&mut self, id: MemberId) -> &mut Agent {
        self.agents.iter_mut().find(|agent| agent.id == id).unwrap()
    }

    pub fn olga(&self) -> MemberId {
        self.agents[0].id
    }

    /// Everybody who is active and may do what `wanted` says.
    pub fn who(&self, wanted: impl Fn(&Person) -> bool) -> Vec<MemberId> {
        let active = self.model.people.iter().filter(|(_, person)| person.stands == Stands::Active && wanted(person));
        active.map(|(id, _)| *id).collect()
    }

    /// A code nobody used before; time passes where there is none in reach.
    pub fn fresh_code(&mut self, id: MemberId) -> String {
        loop {
            let current = self.seconds() / 30;
            let agent = self.agent_mut(id);
            let step = (agent.last_step + 1).max(current - 1);
            if step <= current + 1 {
                agent.last_step = step;
                return agent.seed.code(step * 30).0;
            }
            self.time.pass(30_000);
        }
    }

    /// Whether a member has a session, as far as it is known: none where it may have ended just now.
    pub fn sits(&self, id: MemberId) -> Option<bool> {
        let Some(sitting) = self.agent(id).sitting else { return Some(false) };
        let now = self.now();
        match () {
            () if now >= sitting.until || now - sitting.used.1 >= HOUR / 4 => Some(false),
            () if now - sitting.used.0 < HOUR / 4 => Some(true),
            () => None,
        }
    }

    /// Makes sure that an active member has a session. No where the clock does not let them in.
    pub fn ready(&mut self, id: MemberId) -> bool {
        if self.wall == Wall::True && self.sits(id) != Some(true) {
            let code = self.fresh_code(id);
            let now = self.now();
            let agent = self.agent_mut(id);
            let began = agent.program.unlock(code, 8 * HOUR);
            let answer = began.unwrap_or_else(|error| panic!("{} is not let in: {error}", agent.name));
            agent.wrong = 0;
            agent.sitting = Some(Sitting { id: answer.session, until: now + 8 * HOUR, used: (now, now) });
        }
        self.sits(id) == Some(true)
    }

    /// A fresh code for one sensitive request; also where the clock was set ahead and will stay so.
    pub fn token(&mut self, id: MemberId) -> Nonce {
        let code = self.fresh_code(id);
        let token = self.agent(id).program.step_up(code);
        token.unwrap_or_else(|error| panic!("{} shows a fresh code: {error}", self.agent(id).name))
    }

    /// A member's session was used by a request that may or must have left a record.
    pub fn touched(&mut self, id: MemberId, surely: bool) {
        let now = self.now();
        if let Some(sitting) = &mut self.agent_mut(id).sitting {
            sitting.used = (if surely { now } else { sitting.used.0 }, now);
        }
    }

    /// A request by the owner that is always recorded: whatever is due at the beginning of a call was done after it.
    pub fn beat(&mut self) -> Result<(), AgentError> {
        let nowhere = api::FetchAsk { items: Vec::new(), purpose: None, onward: None };
        let olga = self.olga();
        match self.agent(olga).program.ask::<api::FetchCall>(None, None, nowhere) {
            Err(AgentError::Refused(Refusal::NotFound)) => {
                self.touched(olga, false);
                self.tick();
                self.beaten = self.now();
                Ok(())
            }
            Err(error) => Err(error),
            Ok(_) => panic!("nothing was asked for, and it was released"),
        }
    }

    /// A call was begun at this time.
    pub fn tick(&mut self) {
        if self.wall == Wall::True {
            let now = self.now();
            self.model.sweep(now);
        }
    }

    /// People go to one of the two brokers: mostly all to the same, for a while.
    pub fn shuffle_desks(&mut self) {
        let (draw, mixed, side) = (self.dice.chance(15), self.dice.chance(30), self.dice.below(2));
        for index in 0..self.agents.len() {
            let own = self.dice.below(2);
            if draw {
                self.agents[index].desk.side.store(if mixed { own } else { side }, SeqCst);
                // What was earned at the other one is not known here.
                let _ = self.agents[index].program.take_fresh();
            }
        }
    }

    /// The live grants of the whole vault.
    pub fn live(&self) -> impl Iterator<Item = (UnitId, &Access)> {
        self.model.contracts.values().flat_map(|contract| contract.live().map(|grant| (contract.unit, grant)))
    }

    pub fn days(&mut self, from: i64, to: i64) -> i64 {
        self.now() / DAY + self.dice.between(from, to)
    }
}
