//! The owner goes on with the kit: after an older database, or where the anchor is lost.

use crate::damage::Image;
use crate::machine::{Fault, LEFTS, When};
use crate::model::{Access, Course, Model, Stands, read};
use crate::world::World;
use mandatum::agent::{Pins, Secret, Seed, SignKey};
use mandatum::api::{self, EnrolLoad, MemberAsk, Recovery, Refusal};
use mandatum::broker::restart;
use mandatum::crypto::AgeKey;
use mandatum::model::{MemberId, UnitId};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;

/// The anchor is lost, or its key: the kit makes a new one, and the grants that the owner confirms anew.
pub fn lost_anchor(world: &mut World, database: &Model, truth: &Image) {
    let keys = world.dice.chance(50);
    world.note(format!("the {} is lost; the owner goes on with the kit", if keys { "epoch key" } else { "anchor" }));
    world.close_doors();
    if keys {
        world.keys.kept().slots = [None, None];
    } else {
        fs::remove_file(world.dir.path().join("state/anchor")).unwrap();
    }
    // What was revoked since stays dead: the owner confirms nothing that is over, and not all that is live.
    let mut confirmed = BTreeSet::new();
    for contract in database.contracts.values() {
        for grant in contract.live() {
            let still = truth
                .model
                .contracts
                .get(&contract.unit)
                .is_some_and(|now| now.live_of(grant.member, grant.row).is_some());
            let row = contract.row(grant.row).map(|row| row.system.clone());
            if still && world.dice.chance(85) {
                confirmed.extend(row.map(|row| (grant.member, contract.operator.clone(), row)));
            }
        }
    }
    go_on_with_kit(world, &confirmed);
    let fold = world.try_fold().unwrap_or_else(|flaw| panic!("after a recovery: {flaw}"));
    let mut model = database.clone();
    for contract in model.contracts.values_mut().filter(|contract| contract.course == Course::Active) {
        let found = read(&fold.mandates[&contract.unit]);
        let mut anew: Vec<Access> = Vec::new();
        for old in contract.live() {
            let row = contract.row(old.row).map(|row| row.system.clone()).unwrap_or_default();
            let open = contract.until > world.now() && old.until > world.now();
            let active = database.active(old.member);
            let chosen = confirmed.contains(&(old.member, contract.operator.clone(), row));
            if chosen && open && active {
                let new =
                    found.live_of(old.member, old.row).unwrap_or_else(|| panic!("a confirmed grant was not made"));
                anew.push(Access { id: new.id, locked: new.locked, ..old.clone() });
            }
        }
        contract.grants.iter_mut().for_each(|grant| grant.live = false);
        contract.grants.extend(anew);
    }
    world.model = model;
    for agent in &mut world.agents {
        agent.sitting = None;
    }
    after_restart(world, None);
    enrol_again(world);
}

/// Runs the restart, sometimes cut off in the middle and run again.
pub fn go_on_with_kit(world: &mut World, confirmed: &BTreeSet<(MemberId, String, String)>) {
    world.count("restarts");
    world.close_doors();
    let fault = world.dice.chance(40).then(|| Fault {
        at: world.dice.below(24),
        when: world.dice.pick(&[When::Before, When::Half, When::Tail, When::Zeros, When::After]).unwrap(),
        cut: world.dice.pick(&LEFTS),
    });
    world.machine.lock().unwrap().arm(fault);
    let first = run_restart(world, confirmed);
    if world.machine.lock().unwrap().off {
        world.note(format!("   … struck: {fault:?}; and once more"));
        world.count("crashes");
        let _ = fs::remove_file(world.dir.path().join("vault.db-shm"));
        world.machine.lock().unwrap().start();
        run_restart(world, confirmed).unwrap_or_else(|error| panic!("a restart, repeated: {error}"));
    } else {
        world.machine.lock().unwrap().arm(None);
        first.unwrap_or_else(|error| panic!("a restart with the kit: {error}"));
    }
    world.ledgers.clear();
    world.open_doors();
}

fn run_restart(world: &mut World, confirmed: &BTreeSet<(MemberId, String, String)>) -> Result<(), Refusal> {
    let settings = world.settings();
    let olga = world.olga();
    let fresh = Seed::generate(&*world.entropy);
    let (seconds, mut enrolled) = (world.seconds(), false);
    let mut enrol = || {
        enrolled = true;
        Ok((fresh.encode(), fresh.code(seconds).0))
    };
    let mut confirm = |lines: &[api::Reissue]| {
        let chosen =
            |line: &api::Reissue| confirmed.contains(&(line.id, line.operator.to_string(), line.system.to_string()));
        Ok(lines.iter().map(chosen).collect())
    };
    let recovery = Recovery {
        root: SignKey::from_seed(&world.kit.root.seed()),
        recovery: AgeKey::parse(&world.kit.recovery.text()).unwrap(),
        owner: world.agent(olga).name.clone(),
        enrol: &mut enrol,
        confirm: &mut confirm,
    };
    let done = restart(&settings, recovery);
    if enrolled {
        let agent = world.agent_mut(olga);
        agent.seed = Seed::decode(&fresh.encode()).unwrap();
        agent.last_step = seconds / 30;
    }
    done.map(drop)
}

/// What an older database comes to with the anchor of now: nothing that ended since is live, and nothing that was made
/// since is there.
pub fn merged(older: &Model, truth: &Model) -> Model {
    let mut model = older.clone();
    for contract in model.contracts.values_mut() {
        let now = &truth.contracts[&contract.unit];
        for grant in &mut contract.grants {
            let still = now.grants.iter().any(|known| known.id == grant.id && known.live);
            grant.live &= still;
        }
        if contract.course == Course::Active && now.course != Course::Active {
            contract.end();
        }
        contract.course = if now.course == Course::Closed { Course::Closed } else { contract.course };
    }
    for (id, person) in &mut model.people {
        if truth.people[id].stands == Stands::Removed {
            person.stands = Stands::Removed;
        }
    }
    model
}

/// Members learn of the restart, and who was admitted since is not a member. They forget what they had seen; where the
/// restart names what was `found`, some do not, and are shown the owner's order once they ask.
pub fn after_restart(world: &mut World, found: Option<BTreeMap<UnitId, u64>>) {
    let World { agents, model, .. } = world;
    agents.retain(|agent| model.people.contains_key(&agent.id));
    for index in 0..world.agents.len() {
        let elsewhere = world.dice.chance(50);
        let agent = &world.agents[index];
        let Some(found) = found.as_ref().filter(|_| elsewhere) else {
            Pins::forget_all(&world.dir.path().join("members").join(agent.name.as_str())).unwrap();
            continue;
        };
        let lost = |(unit, size): &(&UnitId, &u64)| {
            world.pins(agent).read(**unit).unwrap().is_some_and(|pin| pin.seen.size > **size)
        };
        let lost: Vec<_> = found.iter().filter(lost).map(|(unit, _)| (agent.id, *unit)).collect();
        world.excused.extend(lost);
    }
    world.pinned.clear();
    world.kept.clear();
    let now = world.now();
    world.model.sweep(now);
    world.beat().unwrap_or_else(|error| panic!("after a restart: {error}"));
    world.hear();
    let fold = world.audit();
    // Releases of the gap are lost with their records; the restart names how many.
    let handed = std::mem::take(&mut world.handed);
    world.handed = handed.into_iter().filter(|handed| world.record_of(&handed.request).is_some()).collect();
    world.check(&fold);
}

/// Second factors were lost with the anchor: the owner enrols everybody anew.
fn enrol_again(world: &mut World) {
    let olga = world.olga();
    let people = world.model.people.iter().filter(|(id, person)| **id != olga && person.stands != Stands::Removed);
    let people: Vec<MemberId> = people.map(|(id, _)| *id).collect();
    for id in people {
        world.ready(olga);
        let token = world.token(olga);
        let seed = Seed::generate(&*world.entropy);
        let load = EnrolLoad { seed: seed.encode().expose().to_vec(), code: seed.code(world.seconds()).0 };
        let ask = MemberAsk { name: world.agent(id).name.clone() };
        let done = world.agent(olga).program.send::<api::MemberFactorCall>(None, Some(token), ask, &load);
        done.unwrap_or_else(|error| panic!("enrolling anew: {error}"));
        let step = world.seconds() / 30;
        let agent = world.agent_mut(id);
        (agent.seed, agent.last_step) = (Seed::decode(&Secret::new(load.seed)).unwrap(), step);
    }
    world.tick();
}
