//! Who may open what, and who is a member.

use crate::mandates::{lead_and_contract, some};
use crate::model::{Access, Asking, Contract, Course, HOUR, Line, Login, Person, Stands};
use crate::retrieval::Drawn;
use crate::steps::{After, Must, asks, owner, perform};
use crate::world::{Sitting, World, name, text};
use mandatum::agent::{Identity, Seed};
use mandatum::api::{self, EnrolLoad, Located, MemberAsk};
use mandatum::model::{
    GrantFacts, GrantId, GrantOrigin, IncidentFacts, IncidentId, IncidentKind, Instant, Level, MemberId, Role, RowId,
    Term, UnitId,
};
use std::collections::BTreeSet;

pub fn facts_of(world: &mut World, line: &Line, member: MemberId) -> GrantFacts {
    let now = world.now();
    let levels: Vec<Level> = line.levels.iter().copied().collect();
    let purposes: Vec<String> = line.purposes.clone();
    let purposes = if world.dice.chance(50) { purposes } else { purposes[..1].to_vec() };
    let from = if world.dice.chance(80) { line.from } else { world.dice.between(line.from, line.until - 1) };
    let first = (from + 1).max(now + HOUR);
    let until =
        if world.dice.chance(40) || first >= line.until { line.until } else { world.dice.between(first, line.until) };
    GrantFacts {
        id: GrantId(world.dice.id()),
        member,
        row: line.id,
        levels: some(world, &levels).into_iter().collect(),
        purposes: purposes.iter().map(|purpose| text(purpose)).collect(),
        term: Term { from: Instant(from), until: Instant(until) },
        origin: GrantOrigin::Given,
    }
}

pub fn grant(world: &mut World) {
    let Some((lead, contract)) = lead_and_contract(world) else { return };
    let lines: Vec<Line> = contract.rows.iter().filter(|row| row.there && row.until > world.now()).cloned().collect();
    let mut people: Vec<MemberId> = world.model.people.keys().copied().collect();
    if world.dice.chance(90) {
        people.retain(|id| *id != lead && world.model.active(*id));
    }
    let (Some(line), Some(member)) = (world.dice.pick(&lines), world.dice.pick(&people)) else { return };
    let mut facts = facts_of(world, &line, member);
    let wider = world.dice.chance(10);
    if wider {
        match world.dice.below(3) {
            0 => facts.levels = BTreeSet::from([Level::Admin]),
            1 => facts.purposes = vec![text("something else")],
            _ => facts.term.until = Instant(line.until + 1),
        }
    }
    let standing = contract.live().find(|grant| grant.row == line.id && grant.of_lead && grant.member == lead);
    let logins: Vec<Login> = contract.logins.iter().filter(|login| login.row == line.id).cloned().collect();
    let onward = logins.iter().all(|login| {
        let (unit, login) = (contract.unit, login.id);
        let asking =
            Asking { member: lead, unit, login, purpose: None, onward: true, wall: world.wall, now: world.now() };
        world.model.may(&asking).is_ok()
    });
    let fine = onward && !wider && member != lead && world.model.active(member);
    let must = if fine { Must::Do } else { Must::Refuse };
    let mut after = world.model.clone();
    let locked = after.reached(member, contract.unit);
    let then = after.contracts.get_mut(&contract.unit).unwrap();
    let old = then.grants.iter_mut().filter(|old| old.live && old.member == member && old.row == line.id);
    old.for_each(|old| old.live = false);
    then.grants.push(Access {
        id: facts.id,
        member,
        row: line.id,
        levels: facts.levels.clone(),
        purposes: facts.purposes.iter().map(ToString::to_string).collect(),
        from: facts.term.from.0,
        until: facts.term.until.0,
        of_lead: false,
        live: true,
        locked,
    });
    let found: Vec<Located> = logins
        .into_iter()
        .map(|login| {
            let grant = standing.map_or(GrantId([0; 16]), |grant| grant.id);
            let drawn = Drawn { member: lead, unit: contract.unit, login, grant, purpose: None };
            drawn.located()
        })
        .collect();
    let who = world.agent(member).name.clone();
    let what = format!("grant {who} {}/{} until {}: {must:?}", contract.operator, line.system, facts.term.until);
    perform(world, what, must, After::is(after), |world| {
        world.agent(lead).program.grant(contract.unit, facts, None, &found).map(drop)
    });
    world.touched(lead, false);
}

pub fn revoke(world: &mut World) {
    let by = if world.dice.chance(40) {
        world.olga()
    } else {
        let Some((lead, _)) = lead_and_contract(world) else { return };
        lead
    };
    if !world.ready(by) {
        return;
    }
    world.tick();
    let people: Vec<MemberId> = world.model.people.keys().copied().collect();
    let lives: Vec<(UnitId, MemberId, RowId)> =
        world.live().map(|(unit, grant)| (unit, grant.member, grant.row)).collect();
    let (Some(anybody), drawn) = (world.dice.pick(&people), world.dice.pick(&lives)) else { return };
    let member = drawn.filter(|_| world.dice.chance(85)).map_or(anybody, |(_, member, _)| member);
    let of = drawn.filter(|_| world.dice.chance(70)).and_then(|(unit, _, row)| {
        let contract = &world.model.contracts[&unit];
        Some((unit, row, contract.operator.clone(), contract.row(row)?.system.clone()))
    });
    let mut after = world.model.clone();
    let mut ended = 0;
    let owner = world.model.is(by, Role::Owner);
    for contract in after.contracts.values_mut().filter(|contract| contract.course == Course::Active) {
        let reaches = owner || (world.model.leads(by, contract));
        let named = of.as_ref().is_none_or(|(unit, ..)| *unit == contract.unit);
        let row = of.as_ref().map(|(_, row, ..)| *row);
        let chosen = |grant: &&mut Access| {
            grant.live && grant.member == member && reaches && named && row.is_none_or(|row| grant.row == row)
        };
        contract.grants.iter_mut().filter(chosen).for_each(|grant| {
            grant.live = false;
            ended += 1;
        });
    }
    let gone = world.model.people[&member].stands == Stands::Removed;
    let must = if ended > 0 && !gone { Must::Do } else { Must::Refuse };
    let who = world.agent(member).name.clone();
    let ask = api::RevokeAsk {
        member: who.clone(),
        of: of.as_ref().map(|(_, _, operator, system)| (text(operator), text(system))),
        reason: text("asked"),
    };
    let what = format!("{} revokes {who} of {:?}: {must:?}", world.agent(by).name, of.map(|of| (of.2, of.3)));
    asks::<api::RevokeCall>(world, by, None, ask, what, must, After::is(after));
}

pub fn incident(world: &mut World) {
    let Some((by, token)) = owner(world) else { return };
    if let Some((id, whom, units)) = world.model.incident.clone() {
        let mut after = world.model.clone();
        after.incident = None;
        let grants = after.contracts.values_mut().flat_map(|contract| contract.grants.iter_mut());
        grants.for_each(|grant| grant.locked = false);
        let ask = api::IncidentCloseAsk { incident: id, unlock: true, outcome: text("found") };
        let there = units.iter().any(|unit| world.model.contracts.contains_key(unit));
        // Whom it is about closes it only where nobody else could.
        let could = |id: MemberId| {
            let model = &world.model;
            let leads = units.iter().filter_map(|unit| model.contracts.get(unit)).any(|c| model.leads(id, c));
            id != by && (model.active(id) && model.is(id, Role::Owner) || leads)
        };
        let must = match () {
            () if !there => Must::May,
            () if whom == Some(by) && world.model.people.keys().any(|id| could(*id)) => Must::Refuse,
            () => Must::Do,
        };
        asks::<api::IncidentCloseCall>(
            world,
            by,
            Some(token),
            ask,
            "close the incident".into(),
            must,
            After::is(after),
        );
        return;
    }
    let others: Vec<MemberId> = world.model.people.keys().copied().filter(|id| *id != by).collect();
    let whom = if world.dice.chance(80) { world.dice.pick(&others) } else { None };
    let touched =
        |contract: &&Contract| contract.course != Course::Closed && whom.is_none_or(|whom| concerns(contract, whom));
    let units: BTreeSet<UnitId> = world.model.contracts.values().filter(touched).map(|c| c.unit).collect();
    if units.is_empty() {
        return;
    }
    let id = IncidentId(world.dice.id());
    let mut after = world.model.clone();
    after.incident = Some((id, whom, units));
    let reached = |grant: &&mut Access| grant.live && whom.is_none_or(|whom| grant.member == whom);
    let grants = after.contracts.values_mut().flat_map(|contract| contract.grants.iter_mut());
    grants.filter(reached).for_each(|grant| grant.locked = true);
    let facts = IncidentFacts {
        id,
        kind: IncidentKind::DeviceLost,
        member: whom,
        detected: Instant(world.now()),
        since: None,
        note: text(""),
    };
    let ask = api::IncidentOpenAsk { operator: None, facts };
    let who = whom.map(|whom| world.agent(whom).name.clone());
    asks::<api::IncidentOpenCall>(
        world,
        by,
        None,
        ask,
        format!("open an incident of {who:?}"),
        Must::Do,
        After::is(after),
    );
    if let Some(whom) = whom {
        out(world, whom, world.model.incident.is_some());
    }
    world.touched(by, false);
}

pub fn concerns(contract: &Contract, member: MemberId) -> bool {
    contract.lead == member || contract.grants.iter().any(|grant| grant.member == member)
}

const NAMES: [&str; 7] = ["Lena", "Sasha", "Mila", "Petr", "Ivan", "Anna", "Oleg"];

pub fn admit(world: &mut World) {
    let sets: [&[Role]; 5] =
        [&[Role::Specialist], &[Role::Specialist], &[Role::Lead], &[Role::Auditor], &[Role::Lead, Role::Specialist]];
    let roles = world.dice.pick(&sets).unwrap();
    admit_as(world, roles.iter().copied().collect());
}

pub fn admit_as(world: &mut World, roles: BTreeSet<Role>) {
    let Some(who) = NAMES.get(world.model.people.len() - 1).copied() else { return };
    let Some((by, token)) = owner(world) else { return };
    let owner = world.agent(by).program.identity();
    let identity = Identity::generate(owner.vault, owner.root, name(who), &*world.entropy);
    let id = identity.member;
    let newcomer = world.agent(by).program.admit(identity, roles.clone()).unwrap();
    let seed = Seed::generate(&*world.entropy);
    let step = world.seconds() / 30;
    let load = EnrolLoad { seed: seed.encode().expose().to_vec(), code: seed.code(world.seconds()).0 };
    let ask = api::MemberAddAsk { admission: newcomer.admission, reuse_key: newcomer.reuse_key };
    let mut after = world.model.clone();
    let person = Person { name: who.to_owned(), roles: roles.clone(), stands: Stands::Active };
    after.people.insert(id, person);
    perform(world, format!("admit {who} as {roles:?}"), Must::Do, After::is(after), |world| {
        world.agent(by).program.send::<api::MemberAddCall>(None, Some(token), ask, &load)
    });
    if world.model.people.contains_key(&id) {
        world.seat(newcomer.identity, seed, step, roles);
    }
    world.touched(by, false);
}

/// Somebody else than Olga.
fn other(world: &mut World) -> Option<MemberId> {
    let olga = world.olga();
    let others: Vec<MemberId> = world.model.people.keys().copied().filter(|id| *id != olga).collect();
    world.dice.pick(&others)
}

pub fn roles(world: &mut World) {
    let (Some(member), Some((by, token))) = (other(world), owner(world)) else { return };
    let sets: [&[Role]; 4] =
        [&[Role::Specialist], &[Role::Lead], &[Role::Lead, Role::Specialist], &[Role::Owner, Role::Specialist]];
    let roles: BTreeSet<Role> = world.dice.pick(&sets).unwrap().iter().copied().collect();
    let (admission, reuse_keys) = world.agent(by).program.admit_again(member, roles.clone()).unwrap();
    let mut after = world.model.clone();
    let loses = world.model.is(member, Role::Lead) && !roles.contains(&Role::Lead);
    after.people.get_mut(&member).unwrap().roles = roles.clone();
    let grants = after.contracts.values_mut().flat_map(|contract| contract.grants.iter_mut());
    let its = |grant: &&mut Access| loses && grant.live && grant.of_lead && grant.member == member;
    grants.filter(its).for_each(|grant| grant.live = false);
    let must = if world.model.active(member) { Must::Do } else { Must::Refuse };
    let ask = api::MemberRoleAsk { member, admission, reuse_keys };
    let who = world.agent(member).name.clone();
    asks::<api::MemberRoleCall>(
        world,
        by,
        Some(token),
        ask,
        format!("make {who} {roles:?}: {must:?}"),
        must,
        After::is(after),
    );
}

pub fn suspend_or_resume(world: &mut World) {
    let (by, Some(member)) = (world.olga(), other(world)) else { return };
    if !world.ready(by) {
        return;
    }
    let (who, mut after) = (world.agent(member).name.clone(), world.model.clone());
    let stands = world.model.people[&member].stands;
    let (mut must, ask) = (Must::Do, MemberAsk { name: who.clone() });
    let person = after.people.get_mut(&member).unwrap();
    person.stands = match stands {
        Stands::Active => Stands::Suspended,
        Stands::Suspended => Stands::Active,
        Stands::Removed => {
            must = Must::Refuse;
            Stands::Active
        }
    };
    let what = format!("{who} was {stands:?}: suspend or resume");
    match stands {
        Stands::Active => asks::<api::MemberSuspendCall>(world, by, None, ask, what, must, After::is(after)),
        _ => asks::<api::MemberResumeCall>(world, by, None, ask, what, must, After::is(after)),
    }
    if stands == Stands::Active {
        out(world, member, !world.model.active(member));
    }
    world.touched(by, false);
}

/// Somebody's sessions are over; where the step that ends them was cut off, maybe.
fn out(world: &mut World, member: MemberId, surely: bool) {
    let agent = world.agent_mut(member);
    agent.sitting = agent.sitting.filter(|_| !surely).map(Sitting::doubtful);
}

pub fn remove(world: &mut World) {
    let (Some(member), Some((by, token))) = (other(world), owner(world)) else { return };
    let (who, mut after) = (world.agent(member).name.clone(), world.model.clone());
    let gone = world.model.people[&member].stands == Stands::Removed;
    after.people.get_mut(&member).unwrap().stands = Stands::Removed;
    let active = after.contracts.values_mut().filter(|contract| contract.course == Course::Active);
    let its = |grant: &&mut Access| grant.member == member;
    active.flat_map(|contract| contract.grants.iter_mut()).filter(its).for_each(|grant| grant.live = false);
    let must = if gone { Must::Refuse } else { Must::Do };
    let ask = MemberAsk { name: who.clone() };
    asks::<api::MemberRemoveCall>(
        world,
        by,
        Some(token),
        ask,
        format!("remove {who}: {must:?}"),
        must,
        After::is(after),
    );
    out(world, member, !world.model.active(member));
    world.touched(by, false);
}
