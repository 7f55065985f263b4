//! Mandates, their rows and their logins.

use crate::model::{Access, Contract, Course, DAY, Line, Login, Model, Wall, read};
use crate::oracles::Fold;
use crate::retrieval::Drawn;
use crate::steps::{After, Learn, Must, PURPOSES, asks, owner, perform};
use crate::world::{World, name, text};
use mandatum::agent::{Fields, NewSecret, Secret, Seed};
use mandatum::api::{self, MandateAmendAsk, RowSpec};
use mandatum::model::{
    Choice, CredentialFacts, CredentialId, Date, Digest, Evidence, GrantId, Instant, Jurisdiction, Kind, Level,
    MemberId, NewVersion, ReuseTag, Role, RowId, SecondFactor, Strength,
};
use std::collections::BTreeSet;

const LEVELS: [Level; 3] = [Level::View, Level::Edit, Level::Export];

fn date(day: i64) -> Date {
    let at = Instant(day * DAY).to_string();
    at[..10].parse().unwrap()
}

pub fn some<T: Copy + Ord>(world: &mut World, all: &[T]) -> Vec<T> {
    let mut chosen: Vec<T> = all.iter().copied().filter(|_| world.dice.chance(60)).collect();
    chosen.extend(if chosen.is_empty() { world.dice.pick(all) } else { None });
    chosen
}

/// A row as it is asked for, and as it will stand.
fn draw_row(world: &mut World, system: &str, days: (i64, i64)) -> (RowSpec, Line) {
    let levels: BTreeSet<Level> = some(world, &LEVELS).into_iter().collect();
    let purposes = some(world, &PURPOSES);
    let from = if world.dice.chance(80) { days.0 } else { world.dice.between(days.0, days.1) };
    let until = world.dice.between(from, days.1);
    let spec = RowSpec {
        system: name(system),
        category: text("CRM"),
        platform: text(""),
        data: Vec::new(),
        levels: levels.clone(),
        purposes: purposes.iter().map(|purpose| text(purpose)).collect(),
        from: Some(date(from)),
        until: Some(date(until)),
        grant_days: None,
    };
    let line = Line {
        id: RowId([0; 16]),
        system: system.to_owned(),
        levels,
        purposes: purposes.iter().map(ToString::to_string).collect(),
        from: from * DAY,
        until: (until + 1) * DAY,
        there: true,
    };
    (spec, line)
}

/// A lead with a mandate in force.
pub fn lead_and_contract(world: &mut World) -> Option<(MemberId, Contract)> {
    let contracts: Vec<Contract> =
        world.model.contracts.values().filter(|c| c.course == Course::Active).cloned().collect();
    let contract = world.dice.pick(&contracts)?;
    let lead = contract.lead;
    (world.model.leads(lead, &contract) && world.ready(lead)).then_some(())?;
    world.tick();
    let contract = world.model.contracts[&contract.unit].clone();
    (contract.course == Course::Active).then_some((lead, contract))
}

pub fn open(world: &mut World) {
    let leads = world.who(|person| person.roles.contains(&Role::Lead));
    let active = world.model.contracts.values().filter(|contract| contract.course == Course::Active).count();
    let Some(lead) = world.dice.pick(&leads).filter(|_| active < 3) else { return };
    if !world.ready(lead) {
        return;
    }
    let operator = format!("Operator {}", world.model.contracts.len() + world.steps.len());
    let (signed, until) = (world.days(-3, 0), world.days(3, 60));
    let many = 1 + world.dice.below(3);
    let (specs, lines): (Vec<_>, Vec<_>) =
        (0..many).map(|row| draw_row(world, &format!("S{row}"), (signed, until))).unzip();
    let ask = api::MandateOpenAsk {
        operator: name(&operator),
        contract: text("1"),
        signed: date(signed),
        until: date(until),
        zone: None,
        jurisdiction: Jurisdiction::Ru,
        lead: None,
        rows: specs,
    };
    let named = operator.clone();
    let learn = move |model: &Model, fold: &Fold| {
        let found = fold.mandates.values().find(|mandate| mandate.operator.as_str() == named)?;
        let mut contract = read(found);
        let expected: Vec<Line> =
            lines.iter().zip(&contract.rows).map(|(l, r)| Line { id: r.id, ..l.clone() }).collect();
        assert_eq!((contract.from, contract.until), (signed * DAY, (until + 1) * DAY), "the term of a new mandate");
        assert_eq!((&contract.rows, contract.lead), (&expected, lead), "the table of a new mandate");
        let ids: Vec<GrantId> = contract.grants.iter().map(|grant| grant.id).collect();
        assert_eq!(ids.len(), expected.len(), "one standing grant for each row");
        contract.grants = expected.iter().zip(ids).map(|(line, id)| standing(line, id, lead, false)).collect();
        let mut after = model.clone();
        after.contracts.insert(contract.unit, contract);
        Some(after)
    };
    let what = format!("open {operator}, days {signed} to {until}, {many} rows");
    asks::<api::MandateOpenCall>(world, lead, None, ask, what, Must::Do, After::Learned(Box::new(learn)));
}

fn standing(line: &Line, id: GrantId, lead: MemberId, locked: bool) -> Access {
    Access {
        id,
        member: lead,
        row: line.id,
        levels: line.levels.clone(),
        purposes: line.purposes.clone(),
        from: line.from,
        until: line.until,
        of_lead: true,
        live: true,
        locked,
    }
}

pub fn amend(world: &mut World) {
    let Some((lead, contract)) = lead_and_contract(world) else { return };
    let mut ask = MandateAmendAsk {
        operator: text(&contract.operator),
        add: Vec::new(),
        set: Vec::new(),
        remove: Vec::new(),
        until: None,
    };
    let lines: Vec<Line> = contract.rows.iter().filter(|row| row.there).cloned().collect();
    let days = (contract.from / DAY, contract.until / DAY - 1);
    let mut after = world.model.clone();
    let then = after.contracts.get_mut(&contract.unit).unwrap();
    let (mut must, mut learn): (Must, Option<Learn>) = (Must::Do, None);
    let what = match world.dice.below(4) {
        0 => {
            let until = world.days(-1, 45);
            ask.until = Some(date(until));
            must = if until < days.0 { Must::Refuse } else { Must::Do };
            cut_to(then, (until + 1) * DAY);
            format!("until day {until}")
        }
        1 => {
            let Some(line) = world.dice.pick(&lines) else { return };
            let span = (days.0, days.1 + world.dice.between(-2, 2));
            let (mut spec, new) = draw_row(world, &line.system, (span.0, span.1.max(span.0)));
            (spec.from, spec.until) = (None, spec.until);
            let new = Line { id: line.id, from: line.from, ..new };
            let fits = new.from < new.until && contract.from <= new.from && new.until <= contract.until;
            must = if fits { Must::Do } else { Must::Refuse };
            let what =
                format!("row {} until {}, {:?}, {:?}", new.system, new.until / DAY - 1, new.levels, new.purposes);
            *then.rows.iter_mut().find(|row| row.id == line.id).unwrap() = new;
            then.narrow(line.id);
            ask.set = vec![spec];
            what
        }
        2 => {
            let Some(line) = world.dice.pick(&lines).filter(|_| lines.len() > 1) else { return };
            ask.remove = vec![name(&line.system)];
            then.rows.iter_mut().find(|row| row.id == line.id).unwrap().there = false;
            then.narrow(line.id);
            format!("without row {}", line.system)
        }
        _ => {
            let system = format!("S{}", contract.rows.len());
            let (spec, line) = draw_row(world, &system, days);
            ask.add = vec![spec];
            let unit = contract.unit;
            learn = Some(Box::new(move |model: &Model, fold: &Fold| {
                let found = read(fold.mandates.get(&unit)?);
                let row = found.rows.iter().find(|row| row.system == line.system && row.there)?;
                let line = Line { id: row.id, ..line.clone() };
                assert_eq!(*row, line, "a new row");
                let grant = found.grants.iter().find(|grant| grant.row == line.id).expect("a standing grant");
                let mut after = model.clone();
                let then = after.contracts.get_mut(&unit).unwrap();
                then.grants.push(standing(&line, grant.id, lead, model.reached(lead, unit)));
                then.rows.push(line);
                Some(after)
            }));
            format!("with row {system}")
        }
    };
    let after = learn.map_or_else(|| After::is(after), After::Learned);
    asks::<api::MandateAmendCall>(world, lead, None, ask, format!("amend {} {what}", contract.operator), must, after);
}

/// A new last day: rows and grants are cut to it, and nothing under them grows.
fn cut_to(contract: &mut Contract, until: i64) {
    contract.until = until;
    for index in 0..contract.rows.len() {
        let row = &mut contract.rows[index];
        if !row.there {
            continue;
        }
        row.until = row.until.min(until);
        row.there = row.from < row.until;
        let id = row.id;
        contract.narrow(id);
    }
}

pub fn add_login(world: &mut World) {
    let Some((lead, contract)) = lead_and_contract(world) else { return };
    let lines: Vec<Line> = contract.rows.iter().filter(|row| row.there).cloned().collect();
    let Some(line) = world.dice.pick(&lines).filter(|_| contract.logins.len() < 5) else { return };
    let login = Login {
        id: CredentialId(world.dice.id()),
        row: line.id,
        name: format!("login {}", contract.logins.len()),
        version: 1,
        secret: format!("secret {:016x}", world.dice.next()),
        seed: world.dice.chance(50).then(|| Seed::generate(&*world.entropy).encode().expose().to_vec()),
    };
    let mut after = world.model.clone();
    after.contracts.get_mut(&contract.unit).unwrap().logins.push(login.clone());
    let facts = CredentialFacts {
        id: login.id,
        row: line.id,
        name: text(&login.name),
        kind: Kind::Login,
        account: text("a"),
        url: text(""),
        second_factor: if login.seed.is_some() { SecondFactor::On } else { SecondFactor::Unknown },
        revocation: None,
        because: None,
        version: Some(version(world, 1)),
    };
    let new = NewSecret { facts, fields: Some(fields(&login.secret)), seed: login.seed.clone().map(Secret::new) };
    let what = format!("add {} to {}/{}", login.id, contract.operator, line.system);
    perform(world, what, Must::Do, After::is(after), |world| {
        world.agent(lead).program.add_credentials(contract.unit, vec![new])
    });
    world.touched(lead, false);
}

fn version(world: &mut World, number: u32) -> NewVersion {
    let tag = ReuseTag(world.dice.id());
    NewVersion { number, ct: Digest([0; 32]), tag, strength: Strength::Random, allowed_weak: None }
}

fn fields(secret: &str) -> Fields {
    Fields::default().with("password", Secret::copy_of(secret.as_bytes()))
}

pub fn rotate(world: &mut World) {
    let Some((lead, contract)) = lead_and_contract(world) else { return };
    let under = |login: &&Login| contract.row(login.row).is_some();
    let logins: Vec<Login> = contract.logins.iter().filter(under).cloned().collect();
    let Some(login) = world.dice.pick(&logins) else { return };
    let secret = format!("secret {:016x}", world.dice.next());
    let mut after = world.model.clone();
    let then = after.contracts.get_mut(&contract.unit).unwrap();
    let then = then.logins.iter_mut().find(|l| l.id == login.id).unwrap();
    (then.version, then.secret) = (login.version + 1, secret.clone());
    let drawn =
        Drawn { member: lead, unit: contract.unit, login: login.clone(), grant: GrantId([0; 16]), purpose: None };
    let found = drawn.located();
    let facts = version(world, login.version + 1);
    let what = format!("rotate {} of {} to v{}", login.id, contract.operator, login.version + 1);
    perform(world, what, Must::Do, After::is(after), |world| {
        world.agent(lead).program.rotate(&found, Some((fields(&secret), facts)), None)
    });
    world.touched(lead, false);
}

pub fn end(world: &mut World) {
    let contracts: Vec<Contract> = world.model.contracts.values().cloned().collect();
    let Some(contract) = world.dice.pick(&contracts).filter(|c| c.course == Course::Active) else { return };
    let lead = contract.lead;
    let by = if world.model.leads(lead, &contract) && world.dice.chance(50) { lead } else { world.olga() };
    if world.wall != Wall::True || !world.ready(by) {
        return;
    }
    let token = world.token(by);
    world.tick();
    let mut after = world.model.clone();
    let active = after.contracts[&contract.unit].course == Course::Active;
    after.contracts.get_mut(&contract.unit).unwrap().end();
    let must = if active { Must::Do } else { Must::Refuse };
    let ask = api::ReasonAsk { operator: text(&contract.operator), reason: text("done") };
    asks::<api::MandateEndCall>(
        world,
        by,
        Some(token),
        ask,
        format!("end {}", contract.operator),
        must,
        After::is(after),
    );
}

/// Everything that stands in the way of closing, then the closing.
pub fn close(world: &mut World) {
    let ended: Vec<Contract> = world.model.contracts.values().filter(|c| c.course == Course::Ended).cloned().collect();
    let Some(contract) = world.dice.pick(&ended).filter(|_| world.model.incident.is_none()) else { return };
    let operator = text(&contract.operator);
    let Some((by, token)) = owner(world) else { return };
    let mortal = std::mem::take(&mut world.mortal);
    for login in &contract.logins {
        let row = contract.rows.iter().rev().find(|row| row.id == login.row).unwrap();
        let ask = api::SettleAsk {
            operator: operator.clone(),
            system: name(&row.system),
            credential: text(&login.name),
            because: text("changed there"),
            confirmed: None,
        };
        asks::<api::MandateSettleCall>(world, by, None, ask, format!("settle {}", login.id), Must::Do, After::Same);
    }
    let copies = Evidence::Copies { by: text("A. A."), none: true, declaration: text(""), proof: None };
    for evidence in [Evidence::Chosen { choice: Choice::Delete, by: text("B. B.") }, copies] {
        let ask = api::MandateEvidenceAsk { operator: operator.clone(), evidence };
        asks::<api::MandateEvidenceCall>(world, by, None, ask, "evidence".into(), Must::Do, After::Same);
    }
    let mut after = world.model.clone();
    after.contracts.get_mut(&contract.unit).unwrap().course = Course::Closed;
    world.mortal = mortal;
    let ask = api::CloseAsk { operator, retain_years: 3 };
    asks::<api::MandateCloseCall>(
        world,
        by,
        Some(token),
        ask,
        format!("close {}", contract.operator),
        Must::Do,
        After::is(after),
    );
}
