//! Members with programs of their own making: requests that are signed well and ask for what is not theirs.

use crate::access::facts_of;
use crate::model::{Access, Contract, Wall};
use crate::steps::{After, Must, check_refusal, perform};
use crate::world::{World, name, text};
use mandatum::agent::{AgentError, Topic};
use mandatum::api::{self, Call, FORMAT, FetchAsk, FetchItem, Frame, Gate, Refusal, Request, WrapsLoad};
use mandatum::ledger::Admission;
use mandatum::model::{Deny, GrantId, GrantOrigin, MemberId, Nonce, Role, SessionId, UnitId, Verb};
use std::sync::Arc;

/// A request as its sender wants it.
struct Forged<A> {
    signer: MemberId,
    claims: MemberId,
    route: Verb,
    verb: Verb,
    unit: Option<UnitId>,
    session: Option<SessionId>,
    nonce: Option<Nonce>,
    ask: A,
}

impl World {
    fn forge<C: Call>(&self, signer: MemberId, unit: Option<UnitId>, ask: C::Ask) -> Forged<C::Ask> {
        let session = self.agent(signer).sitting.map(|sitting| sitting.id);
        Forged { signer, claims: signer, route: C::VERB, verb: C::VERB, unit, session, nonce: None, ask }
    }

    fn send<A: serde::Serialize>(&self, forged: Forged<A>, load: Vec<u8>) -> Result<(), AgentError> {
        let agent = self.agent(forged.signer);
        let desk = Arc::clone(&agent.desk);
        let nonce = match forged.nonce {
            Some(nonce) => nonce,
            None => desk.hello()?.nonces[0],
        };
        let request = Request {
            format: FORMAT,
            vault: agent.program.identity().vault,
            verb: forged.verb,
            member: forged.claims,
            unit: forged.unit,
            nonce,
            session: forged.session,
            step_up: None,
            seen: None,
            shown: None,
            ask: forged.ask,
        };
        let request = agent.program.identity().sign.sign(Topic::Request, serde_json::to_vec(&request).unwrap());
        desk.call(Frame { verb: forged.route, request, load })?;
        Ok(())
    }
}

fn items(grant: &Access, contract: &Contract) -> FetchAsk {
    let login = contract.logins.iter().find(|login| login.row == grant.row);
    let item = login.map(|login| FetchItem { credential: login.id, version: login.version, grant: grant.id });
    FetchAsk { items: item.into_iter().collect(), purpose: Some(text(&grant.purposes[0])), onward: None }
}

/// One such request; it must be refused, whatever it is, and change nothing.
pub fn evil(world: &mut World) {
    world.count("evil");
    let people = world.who(|person| !person.roles.contains(&Role::Owner));
    let pairs: Vec<(UnitId, GrantId)> = world.live().map(|(unit, grant)| (unit, grant.id)).collect();
    let (Some(thief), Some((unit, id))) = (world.dice.pick(&people), world.dice.pick(&pairs)) else { return };
    if world.wall == Wall::True {
        world.ready(thief);
    }
    world.tick();
    let contract = world.model.contracts[&unit].clone();
    let Some(grant) = contract.live().find(|grant| grant.id == id).cloned() else { return };
    let victim = grant.member;
    let who = world.agent(thief).name.clone();
    let ask = items(&grant, &contract);
    let theirs = contract.live_of(thief, grant.row).is_some();
    let mut forged = world.forge::<api::FetchCall>(thief, Some(unit), ask);
    let what = match world.dice.below(8) {
        0 if victim != thief => "asks by somebody else's grant",
        1 if victim != thief => {
            forged.claims = victim;
            "asks in somebody else's name"
        }
        2 if victim != thief => {
            let session = world.agent(victim).sitting.map(|sitting| sitting.id);
            forged.session = session;
            forged.claims = victim;
            "asks in somebody else's name and session"
        }
        3 => {
            forged.verb = Verb::Log;
            "signs one verb and sends it to another"
        }
        4 if !theirs || contract.lead != thief || !world.model.is(thief, Role::Lead) => {
            forged.ask.onward = Some(thief);
            "reads data keys as if to grant them onward"
        }
        5 => return self_grant(world, thief, &contract, &grant),
        6 => return promote(world, thief),
        _ => return twice(world, thief, &contract, &grant),
    };
    perform(world, format!("{who} {what}"), Must::Refuse, After::Same, |world| world.send(forged, Vec::new()));
}

/// A grant to oneself, or by somebody who does not lead; a revocation by somebody who may not; a foreign mandate's end.
fn self_grant(world: &mut World, thief: MemberId, contract: &Contract, grant: &Access) {
    let Some(line) = contract.row(grant.row).cloned() else { return };
    let mut facts = facts_of(world, &line, thief);
    let who = world.agent(thief).name.clone();
    let leads = world.model.leads(thief, contract);
    match world.dice.below(3) {
        0 => {
            if world.dice.chance(50) {
                facts.origin = GrantOrigin::Lead;
            }
            let forged = world.forge::<api::GrantCall>(
                thief,
                Some(contract.unit),
                api::GrantAsk { grant: facts, answers: None },
            );
            let load = serde_json::to_vec(&WrapsLoad::default()).unwrap();
            perform(world, format!("{who} grants to themselves"), Must::Refuse, After::Same, |world| {
                world.send(forged, load)
            });
        }
        1 if !leads => {
            let other = world.agent(grant.member).name.clone();
            let ask = api::RevokeAsk {
                member: other,
                of: Some((text(&contract.operator), text(&line.system))),
                reason: text("spite"),
            };
            let forged = world.forge::<api::RevokeCall>(thief, None, ask);
            perform(world, format!("{who} revokes"), Must::Refuse, After::Same, |world| world.send(forged, Vec::new()));
        }
        _ if !leads => {
            let ask = api::MandateAmendAsk {
                operator: text(&contract.operator),
                add: Vec::new(),
                set: Vec::new(),
                remove: vec![name(&line.system)],
                until: None,
            };
            let forged = world.forge::<api::MandateAmendCall>(thief, None, ask);
            perform(world, format!("{who} amends"), Must::Refuse, After::Same, |world| world.send(forged, Vec::new()));
        }
        _ => {}
    }
}

/// An admission that makes oneself an owner, signed by oneself.
fn promote(world: &mut World, thief: MemberId) {
    let identity = world.agent(thief).program.identity();
    let roles = [Role::Owner].into_iter().collect();
    let admission = Admission { bundle: identity.signed_bundle(), roles, by: Some(thief) };
    let admission = identity.sign.sign(Topic::Admission, serde_json::to_vec(&admission).unwrap());
    let ask = api::MemberRoleAsk { member: thief, admission, reuse_keys: Vec::new() };
    let forged = world.forge::<api::MemberRoleCall>(thief, None, ask);
    let what = format!("{} makes themselves an owner", world.agent(thief).name);
    perform(world, what, Must::Refuse, After::Same, |world| world.send(forged, Vec::new()));
}

/// Two different requests with one nonce: the second is refused, whatever the first came to.
fn twice(world: &mut World, thief: MemberId, contract: &Contract, grant: &Access) {
    let desk = Arc::clone(&world.agent(thief).desk);
    let what = format!("{} uses one nonce twice", world.agent(thief).name);
    let ask = items(grant, contract);
    perform(world, what.clone(), Must::Refuse, After::Same, |world| {
        let nonce = desk.hello()?.nonces[1];
        let mut first = world.forge::<api::FetchCall>(thief, None, ask.clone());
        first.nonce = Some(nonce);
        match world.send(first, Vec::new()) {
            Ok(()) => panic!("without a mandate, and released"),
            // The machine failed.
            Err(
                error @ AgentError::Refused(Refusal::Failed(_) | Refusal::Denied { code: Deny::LedgerUnavailable }),
            ) => {
                return Err(error);
            }
            Err(error) => check_refusal(&what, &error),
        }
        let mut second = world.forge::<api::FetchCall>(thief, Some(contract.unit), ask);
        second.nonce = Some(nonce);
        world.send(second, Vec::new())
    });
}
