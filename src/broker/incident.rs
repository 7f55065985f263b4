//! `incident open/note/close/list` (clause 4.2).

use super::caller::Caller;
use super::exposure;
use super::vault::Vault;
use crate::anchor::Change;
use crate::api::{IncidentCloseAsk, IncidentNoteAsk, IncidentOpenAsk, IncidentView, Nothing, Refusal, Request};
use crate::model::{Event, Incident, IncidentId, Mandate, MemberId, Phase, Role, Text};

/// Opens an incident: in one step, and in one transaction over every mandate it touches, locks what it reaches. From
/// the record on every retrieval under it is denied.
///
/// # Errors
/// Input where the member is not known, or nothing in reach is touched.
pub fn open(
    vault: &mut Vault<'_>,
    caller: &Caller,
    request: Request<IncidentOpenAsk>,
    (): (),
) -> Result<Vec<IncidentView>, Refusal> {
    let IncidentOpenAsk { operator, facts } = request.ask;
    if facts.detected > vault.now().plus(60_000) || facts.since.is_some_and(|since| since > facts.detected) {
        return Err(Refusal::input(
            "detected",
            "an incident is detected now or earlier, and began before it was detected",
        ));
    }
    if facts.member.is_some_and(|member| vault.roster.member(member).is_none()) {
        return Err(Refusal::NotFound);
    }
    let mandates = in_reach(vault, caller, operator.as_ref())?;
    let touched = |mandate: &Mandate| facts.member.is_none_or(|member| mandate.concerns(member));
    let (mut drafts, mut after) = (Vec::new(), Vec::new());
    for mut mandate in mandates.into_iter().filter(|m| matches!(m.phase, Phase::Active | Phase::Ended(_)) && touched(m))
    {
        let event = Event::IncidentOpened { grants: mandate.reached(facts.member), facts: facts.clone() };
        drafts.push(vault.drafted(caller, &mut mandate, event, "incident")?);
        after.push(mandate);
    }
    if drafts.is_empty() {
        return Err(Refusal::input("member", "has nothing to do with any mandate in your reach; nothing is locked"));
    }
    // Sessions end with the lock or before it, so that a crash leaves none behind; policy refuses from the record on.
    vault.record(Some(caller), drafts, facts.member.into_iter().map(Change::AllOver).collect(), |_| Ok(()))?;
    after.iter().map(|mandate| view(vault, mandate, facts.id)).collect()
}

/// Adds to the course of an incident.
///
/// # Errors
/// [`Refusal::NotFound`] where it is not open in any mandate in reach.
pub fn note(vault: &mut Vault<'_>, caller: &Caller, request: Request<IncidentNoteAsk>, (): ()) -> Result<(), Refusal> {
    let IncidentNoteAsk { operator, incident, step, text } = request.ask;
    if text.is_empty() {
        return Err(Refusal::input("text", "say in words what was said or done"));
    }
    in_each(vault, caller, operator.as_ref(), incident, &Event::IncidentNoted { incident, step, text })
}

/// Closes an incident in every mandate in reach. Whom it is about does not close it while anybody else can.
///
/// # Errors
/// [`Refusal::NotFound`] where it is not open; input where somebody else must close it.
pub fn close(
    vault: &mut Vault<'_>,
    caller: &Caller,
    request: Request<IncidentCloseAsk>,
    (): (),
) -> Result<(), Refusal> {
    let IncidentCloseAsk { incident, unlock, outcome } = request.ask;
    if outcome.is_empty() {
        return Err(Refusal::input("outcome", "say what came of it"));
    }
    in_each(vault, caller, None, incident, &Event::IncidentClosed { incident, unlock, outcome })
}

fn in_each(
    vault: &mut Vault<'_>,
    caller: &Caller,
    operator: Option<&Text>,
    id: IncidentId,
    event: &Event,
) -> Result<(), Refusal> {
    let mut drafts = Vec::new();
    for mut mandate in in_reach(vault, caller, operator)? {
        let is_open = mandate.incident(id).is_some_and(|incident| incident.closed.is_none());
        let frees = matches!(event, Event::IncidentClosed { unlock: true, .. }) && mandate.still_holds(id);
        if !is_open && !frees {
            continue;
        }
        if matches!(event, Event::IncidentClosed { .. }) {
            check_apart(vault, caller, &mandate, id)?;
        }
        drafts.push(vault.drafted(caller, &mut mandate, event.clone(), "incident")?);
    }
    if drafts.is_empty() {
        return Err(Refusal::NotFound);
    }
    vault.record(Some(caller), drafts, Vec::new(), |_| Ok(()))?;
    Ok(())
}

/// Nobody lifts a lock from themselves while another owner, or another lead of the mandate, is there to do it. Of an
/// owner who is alone nobody else is.
fn check_apart(vault: &Vault<'_>, caller: &Caller, mandate: &Mandate, id: IncidentId) -> Result<(), Refusal> {
    if mandate.incident(id).and_then(|incident| incident.facts.member) != Some(caller.id()) {
        return Ok(());
    }
    let leads = vault.roster.holding(Role::Lead).filter(|member| mandate.is_lead(member.id()));
    if vault.roster.holding(Role::Owner).chain(leads).all(|member| member.id() == caller.id()) {
        return Ok(());
    }
    Err(Refusal::input("incident", "is about you: another owner or lead must close it"))
}

/// The incidents of the mandates in reach, one view for each operator.
///
/// # Errors
/// Integrity where a mandate does not hold together.
pub fn list(vault: &mut Vault<'_>, caller: &Caller, _: Request<Nothing>, (): ()) -> Result<Vec<IncidentView>, Refusal> {
    let mut views = Vec::new();
    for mandate in in_reach(vault, caller, None)? {
        let ids: Vec<IncidentId> = mandate.incidents.iter().map(|incident| incident.facts.id).collect();
        for id in ids {
            views.push(view(vault, &mandate, id)?);
        }
    }
    Ok(views)
}

fn in_reach(vault: &mut Vault<'_>, caller: &Caller, operator: Option<&Text>) -> Result<Vec<Mandate>, Refusal> {
    match operator {
        Some(operator) => Ok(vec![vault.find(caller.member(), caller.verb(), operator)?]),
        None => vault.mandates_for(caller.member(), caller.verb()),
    }
}

fn view(vault: &mut Vault<'_>, mandate: &Mandate, id: IncidentId) -> Result<IncidentView, Refusal> {
    let incident: Incident = mandate.incident(id).ok_or(Refusal::NotFound)?.clone();
    let rows: Vec<_> =
        incident.locked.iter().filter_map(|id| mandate.grant(*id)).map(|grant| grant.facts.row).collect();
    let systems = mandate.rows.iter().filter(|row| rows.contains(&row.id)).map(|row| row.system.clone()).collect();
    let exposure = exposure::lines(vault, std::slice::from_ref(mandate), incident.facts.member)?;
    let people = incident.facts.member.into_iter().chain([incident.by]);
    let people = people.chain(incident.course.iter().map(|entry| entry.by));
    let members = people.map(|id: MemberId| (id, vault.name_of(id))).collect();
    Ok(IncidentView {
        unit: mandate.unit,
        operator: mandate.operator.clone(),
        zone: mandate.zone.clone(),
        jurisdiction: mandate.jurisdiction,
        incident,
        systems,
        exposure,
        members,
    })
}
