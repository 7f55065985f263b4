//! The steps: what people do, and what they try.

use crate::access::{self, admit_as, grant, revoke};
use crate::damage::{damage, lose_power};
use crate::evil::evil;
use crate::machine::{Fault, LEFTS, Left, When};
use crate::mandates::{self, add_login, open};
use crate::model::{Access, DAY, HOUR, Model, Wall};
use crate::oracles::Fold;
use crate::retrieval::{code, fetch};
use crate::world::{Sitting, World};
use mandatum::agent::AgentError;
use mandatum::api::{self, Call, Frame, Gate, Nothing, Refusal};
use mandatum::model::{Deny, MemberId, Nonce, Role, UnitId};
use std::sync::Arc;

/// What a step must come to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Must {
    Do,
    Refuse,
    May,
}

/// Finds in the ledgers what a step made, with the ids that the broker chose.
pub type Learn = Box<dyn Fn(&Model, &Fold) -> Option<Model>>;

/// What is so once a step is done.
pub enum After {
    Same,
    Is(Box<Model>),
    Learned(Learn),
}

impl After {
    pub fn is(model: Model) -> Self {
        Self::Is(Box::new(model))
    }
}

pub const PURPOSES: [&str; 3] = ["answers", "setup", "reports"];

/// A step of a life.
type Work = fn(&mut World);

/// What may happen next, with how often in a hundred draws or so.
const STEPS: &[(usize, Work)] = &[
    (26, fetch),
    (8, code),
    (7, grant),
    (4, revoke),
    (6, add_login),
    (3, mandates::rotate),
    (5, mandates::amend),
    (4, open),
    (3, access::admit),
    (3, access::roles),
    (2, access::suspend_or_resume),
    (2, access::remove),
    (3, mandates::end),
    (1, mandates::close),
    (2, access::incident),
    (10, World::pass),
    (2, World::set_clock),
    (4, replay),
    (4, evil),
    (2, wrong_code),
    (3, World::keep),
    (5, damage),
    (1, sweep),
];

/// Draws and does one step.
pub fn step(world: &mut World) {
    let work = draw_work(world);
    world.count("steps");
    world.shuffle_desks();
    world.mortal = world.wall == Wall::True && world.dice.chance(25);
    work(world);
    world.mortal = false;
    world.hear();
}

fn draw_work(world: &mut World) -> Work {
    let opens = |unit: UnitId, grant: &Access| world.model.contracts[&unit].logins.iter().any(|l| l.row == grant.row);
    let barren = !world.live().any(|(unit, grant)| opens(unit, grant));
    if barren && world.dice.chance(60) {
        // A life that came to nothing goes on.
        return world.dice.pick(&[open as Work, add_login, add_login, grant, access::admit]).unwrap();
    }
    let mut left = world.dice.below(STEPS.iter().map(|(weight, _)| weight).sum());
    for (weight, work) in STEPS {
        if left < *weight {
            return *work;
        }
        left -= weight;
    }
    unreachable!("below the sum of all weights")
}

/// A first lead, a first mandate, somebody to grant it to.
pub fn prologue(world: &mut World) {
    for roles in [[Role::Lead].as_slice(), &[Role::Specialist]] {
        admit_as(world, roles.iter().copied().collect());
    }
    open(world);
    add_login(world);
    grant(world);
}

// ------------------------------------------------------------------------------------------- a step and its power cut

/// Does one thing; where this step may be cut off, the machine fails at one of its operations. Afterwards all of it is
/// so, or nothing of it.
pub fn perform(
    world: &mut World,
    what: String,
    must: Must,
    after: After,
    run: impl FnOnce(&mut World) -> Result<(), AgentError>,
) {
    world.note(what.clone());
    world.tick();
    let fault = world.mortal.then(|| draw_fault(world));
    world.mortal = false;
    world.machine.lock().unwrap().arm(fault);
    let done = run(world);
    let struck = fault.filter(|fault| world.machine.lock().unwrap().ops.len() > fault.at);
    if let Some(fault) = struck {
        world.note(format!("   … struck: {fault:?}; the call said {done:?}"));
        recover(world, fault, done.is_ok(), after);
        return;
    }
    world.machine.lock().unwrap().arm(None);
    match (must, done) {
        (Must::Do, Err(error)) => panic!("must be done: {what}: {error}"),
        (Must::Refuse, Ok(())) => panic!("must be refused: {what}"),
        (_, Err(error)) => check_refusal(&what, &error),
        (_, Ok(())) => adopt(world, after),
    }
    world.hear();
}

/// [`perform`], where it is one request of one member.
pub fn asks<C: Call<Load = ()>>(
    world: &mut World,
    by: MemberId,
    token: Option<Nonce>,
    ask: C::Ask,
    what: String,
    must: Must,
    after: After,
) {
    perform(world, what, must, after, |world| world.agent(by).program.ask::<C>(None, token, ask).map(drop));
    world.touched(by, false);
}

/// The owner, unlocked and with a fresh code, where the clock lets them in.
pub fn owner(world: &mut World) -> Option<(MemberId, Nonce)> {
    let by = world.olga();
    (world.wall == Wall::True && world.ready(by)).then_some(())?;
    let token = world.token(by);
    world.tick();
    Some((by, token))
}

/// A refusal is said in words of its own; a vault that does not hold together is none.
pub fn check_refusal(what: &str, error: &AgentError) {
    let fine = match error {
        AgentError::Refused(Refusal::Denied { code }) => {
            !matches!(code, Deny::VaultRolledBack | Deny::LedgerUnavailable)
        }
        AgentError::Refused(Refusal::Failed(_) | Refusal::Integrity(_) | Refusal::Busy { .. }) => false,
        AgentError::Refused(_) => true,
        AgentError::Untrusted(_) | AgentError::Failed(_) => false,
    };
    assert!(fine, "{what}: {error}");
}

fn adopt(world: &mut World, after: After) {
    match after {
        After::Same => {}
        After::Is(model) => world.model = *model,
        After::Learned(learn) => {
            let fold = world.audit();
            let learned = learn(&world.model, &fold);
            world.model = learned.expect("what was said to be done stands in the ledger");
        }
    }
    world.tick();
}

fn draw_fault(world: &mut World) -> Fault {
    // Most is decided around the first operation: before it a commit is there that the anchor does not know of, or
    // after it the anchor knows of what was never committed.
    let (at, whens): (usize, &[When]) = match world.dice.below(10) {
        0..=3 => (0, &[When::Before, When::After]),
        4..=6 => (world.dice.below(4), &[When::Before, When::Half, When::Tail, When::Zeros, When::After]),
        _ => (world.dice.below(16), &[When::Before, When::Half, When::Tail, When::Zeros, When::After]),
    };
    let when = world.dice.pick(whens).unwrap();
    let cut = match world.dice.below(10) {
        0 | 1 => None,
        2 | 3 => Some(Left::Cached),
        other => Some(LEFTS[other % 3]),
    };
    Fault { at, when, cut }
}

/// Starts again after a crash or a failed operation: the step was done as a whole or not at all, and what was
/// acknowledged is there.
pub fn recover(world: &mut World, fault: Fault, said: bool, after: After) {
    world.count("crashes");
    if fault.cut.is_some() {
        world.close_doors();
        let power = fault.cut != Some(Left::Cached);
        if power {
            lose_power(world, fault.when == When::Before);
            // After a longer pause a new boot explains nothing, and the owner has to confirm: that is `set_clock`.
            if world.now() - world.beaten < 40 * HOUR {
                world.time.reboot();
            }
        }
        world.machine.lock().unwrap().start();
        world.open_doors();
        for agent in &mut world.agents {
            // Whatever was noted of a session last may be gone.
            agent.sitting = agent.sitting.map(Sitting::doubtful);
        }
    }
    world.machine.lock().unwrap().arm(None);
    world.beat().unwrap_or_else(|error| panic!("after a crash: {error}"));
    world.check_kept();
    let fold = world.audit();
    let mut candidate = match after {
        After::Same => None,
        After::Is(model) => Some(*model),
        After::Learned(learn) => learn(&world.model, &fold),
    };
    if let Some(model) = &mut candidate {
        model.sweep(world.now());
    }
    let before = world.model.compare(&fold.roster, &fold.mandates);
    let then = candidate.as_ref().map(|model| model.compare(&fold.roster, &fold.mandates));
    match (before, then) {
        (_, Some(Ok(()))) => world.model = candidate.unwrap(),
        (Ok(()), None) => {}
        (Ok(()), Some(Err(_))) if !said => {}
        (Ok(()), Some(Err(_))) => panic!("it was said to be done, and a crash undid it"),
        (Err(before), then) => panic!("neither as before nor as after: {before}; {then:?}"),
    }
    world.check(&fold);
    world.hear();
}

fn wrong_code(world: &mut World) {
    let people = world.who(|_| true);
    let Some(member) = world.dice.pick(&people).filter(|_| world.wall == Wall::True) else { return };
    if world.agent(member).wrong >= 3 {
        world.agent_mut(member).sitting = None;
        world.ready(member);
        return;
    }
    let again = world.dice.chance(50) && world.sits(member) == Some(true);
    let code = if again {
        let agent = world.agent(member);
        agent.seed.code(agent.last_step * 30).0
    } else {
        world.agent_mut(member).wrong += 1;
        let right = world.agent(member).seed.code(world.seconds()).0;
        let number = (right.parse::<u32>().unwrap() + 123_456) % 1_000_000;
        format!("{number:06}")
    };
    let what = format!("{} shows {} code", world.agent(member).name, if again { "a used" } else { "a wrong" });
    perform(world, what, Must::Refuse, After::Same, |world| {
        world.agent_mut(member).program.unlock(code, HOUR).map(drop)
    });
    if again {
        // Where that code is too old by now, it was a wrong one.
        world.agent_mut(member).wrong += 1;
    }
}

fn sweep(world: &mut World) {
    let by = world.olga();
    if !world.ready(by) {
        return;
    }
    let must = if world.wall == Wall::True { Must::Do } else { Must::Refuse };
    asks::<api::SweepCall>(world, by, None, Nothing {}, "sweep".into(), must, After::Same);
    world.settle();
}

/// A frame of the past, shown again: at the same broker or the other one, before and after restarts.
fn replay(world: &mut World) {
    if world.frames.is_empty() {
        return;
    }
    let old = world.dice.below(world.frames.len());
    let (verb, request, load) = &world.frames[old];
    let frame = Frame { verb: *verb, request: request.clone(), load: load.clone() };
    let what = format!("frame {old}, a {verb}, is shown again");
    world.count("replays");
    let desk = Arc::clone(&world.agents[0].desk);
    perform(world, what, Must::Refuse, After::Same, |_| desk.call(frame).map(drop).map_err(AgentError::from));
}

// --------------------------------------------------------------------------------------------------------------- time

impl World {
    /// Time passes; then a call begins, and whatever is due is done.
    fn pass(&mut self) {
        let ms = match self.dice.below(10) {
            0..=4 => self.dice.between(1, 20) * 60_000,
            5..=7 => self.dice.between(1, 30) * HOUR,
            _ => self.dice.between(1, 9) * DAY,
        };
        if self.wall != Wall::True {
            // While it is wrong, hours at most: what the uptime explains is not a jump.
            return self.set_clock();
        }
        self.time.pass(ms);
        self.note(format!("{} minutes pass", ms / 60_000));
        let mut swept = self.model.clone();
        swept.sweep(self.now());
        perform(self, "a call begins".into(), Must::Do, After::is(swept), World::beat);
        self.settle();
    }

    /// The wall clock is set wrong, or right again, or the owner confirms it.
    fn set_clock(&mut self) {
        match self.wall {
            Wall::True => {
                let olga = self.olga();
                self.ready(olga);
                self.beat().unwrap();
                let ahead = self.dice.chance(60);
                let ms = if ahead { self.dice.between(73, 500) * HOUR } else { -self.dice.between(5, 4000) * 60_000 };
                self.time.skew(ms);
                self.wall = if ahead { Wall::Ahead } else { Wall::Behind };
                self.skewed = ms;
                self.note(format!("the wall clock is set by {} minutes", ms / 60_000));
                self.settle();
            }
            Wall::Ahead if self.dice.chance(50) => self.confirm_clock(),
            Wall::Ahead | Wall::Behind => {
                self.time.skew(-self.skewed);
                self.wall = Wall::True;
                self.note("the wall clock is set right".into());
                self.settle();
            }
        }
    }

    /// The owner confirms: the time that was set ahead is the time from here on.
    fn confirm_clock(&mut self) {
        let by = self.olga();
        let code = self.fresh_code(by);
        let now = self.now();
        let answer = self.agent_mut(by).program.unlock(code, 8 * HOUR).expect("the owner is let in");
        self.agent_mut(by).sitting = Some(Sitting { id: answer.session, until: now + 8 * HOUR, used: (now, now) });
        // Explicit revocation works under a suspect clock too, and nothing else is destroyed by it.
        if self.dice.chance(50) {
            revoke(self);
            self.settle();
        }
        let token = self.token(by);
        let what = "the owner confirms the clock".into();
        asks::<api::ConfirmClockCall>(self, by, Some(token), Nothing {}, what, Must::Do, After::Same);
        self.wall = Wall::True;
        self.settle();
    }
}
