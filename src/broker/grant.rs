//! `grant`: exactly the access the row allows, for exactly as long.

use super::caller::Caller;
use super::credentials::{lead_mandate, outer, stored_statement};
use super::devices::{devices_of, is_for};
use super::mandates::{encode, grant_keys};
use super::recorder::Draft;
use super::vault::Vault;
use crate::anchor::Change;
use crate::api::{GrantAsk, Refusal, Request, WrapLoad, WrapsLoad};
use crate::ledger::Outcome;
use crate::model::{
    CredentialId, Digest, Event, GrantFacts, GrantId, GrantOrigin, Instant, Mandate, Member, Role, Row, Text, Why,
};
use crate::store::WrapRow;

/// Makes a grant, with the wraps of everything under its row. A live grant of the same member under the row ends with
/// it: the new one takes its place.
///
/// # Errors
/// Input naming the bound that is exceeded and what would be allowed.
pub fn grant(
    vault: &mut Vault<'_>,
    caller: &Caller,
    request: Request<GrantAsk>,
    load: WrapsLoad,
) -> Result<GrantId, Refusal> {
    let facts = request.ask.grant;
    let mut mandate = lead_mandate(vault, caller, request.unit)?;
    let row = mandate.row(facts.row).ok_or(Refusal::NotFound)?.clone();
    let member = vault.roster.member(facts.member).ok_or(Refusal::NotFound)?;
    if member.id() == caller.id() {
        return Err(Refusal::input("member", "nobody grants to themselves; another lead does it"));
    }
    if !member.is_active() {
        return Err(Refusal::input("member", format!("{} is not an active member", member.name())));
    }
    mandate.check_bounds(&row, &facts).map_err(|(field, sentence)| Refusal::input(field, sentence))?;
    check_lasts(&mandate, &row, &facts, member, vault.now())?;

    // What the new grant replaces.
    let (unit, now) = (mandate.unit, vault.now());
    let of_member = mandate.live_grants().filter(|g| g.facts.member == facts.member && g.facts.row == facts.row);
    let of_member: Vec<(GrantId, GrantOrigin)> = of_member.map(|g| (g.facts.id, g.facts.origin)).collect();
    if of_member.iter().any(|(_, origin)| *origin == GrantOrigin::Lead) {
        return Err(Refusal::input("member", "leads this mandate and has standing access to all of it"));
    }
    let replaced: Vec<GrantId> = of_member.into_iter().map(|(id, _)| id).collect();
    let refused = |error: crate::model::FoldError| Refusal::input("grant", error.to_string());
    let mut drafts = Vec::new();
    if !replaced.is_empty() {
        let why = Why::Asked { reason: Text::parse("replaced by a new grant").unwrap_or_default() };
        let event = Event::Revoked { grants: replaced.clone(), why };
        mandate.apply(&event, Some(caller.id()), now).map_err(refused)?;
        drafts.push(Draft { unit, outcome: Outcome::Mandate(event), state: Some(encode(&mandate)?) });
    }
    let event = Event::Granted { grant: facts.clone(), answers: request.ask.answers };
    mandate.apply(&event, Some(caller.id()), now).map_err(refused)?;
    drafts.push(Draft { unit, outcome: Outcome::Mandate(event), state: Some(encode(&mandate)?) });

    // The key first: outer wraps are made by it. An unused key harms nobody.
    let mut before = grant_keys(vault, unit, std::slice::from_ref(&facts));
    if !replaced.is_empty() {
        before.push(Change::Unfinished(vec![unit]));
    }
    vault.anchor.note(before)?;
    let wraps = wraps(vault, caller, &mandate, &facts, &load)?;
    vault.record(Some(caller), drafts, Vec::new(), |txn| {
        replaced.iter().try_for_each(|old| txn.drop_wraps(unit, *old))?;
        wraps.iter().try_for_each(|(credential, slot, row)| txn.put_wrap(unit, facts.id, *credential, slot, row))
    })?;
    if !replaced.is_empty() {
        vault.destroy_dead(&[unit])?;
    }
    Ok(facts.id)
}

/// What a grant may not outlast beside its row: days that count from the grant, and an outsider's permission.
fn check_lasts(mandate: &Mandate, row: &Row, facts: &GrantFacts, member: &Member, now: Instant) -> Result<(), Refusal> {
    if let Some(end) = row.terms.grant_end(now)
        && end < facts.term.until
    {
        let (days, end) = (row.terms.grant_days.unwrap_or_default(), mandate.zone.show(end));
        let sentence = format!("a grant under '{}' lasts {days} days from when it is made: until {end}", row.system);
        return Err(Refusal::input("until", sentence));
    }
    if !member.is(Role::External) {
        return Ok(());
    }
    // Judged for the last moment: the permission covers every other one too.
    let last = facts.term.until.plus(-1);
    match mandate.permission(member.id(), row, last) {
        Some(_) => Ok(()),
        None => {
            let sentence = format!(
                "{} is not of the agency: clause 1.2 asks for the operator's written permission for '{}' until {}; put it on file with 'mandatum mandate permit'",
                member.name(),
                row.system,
                mandate.zone.show(facts.term.until)
            );
            Err(Refusal::input("member", sentence))
        }
    }
}

/// One wrap for each secret under the row and each device of the member: checked against the version the database holds.
fn wraps(
    vault: &mut Vault<'_>,
    caller: &Caller,
    mandate: &Mandate,
    facts: &GrantFacts,
    load: &WrapsLoad,
) -> Result<Vec<(CredentialId, Digest, WrapRow)>, Refusal> {
    let mut wraps = Vec::new();
    let devices = devices_of(vault, facts.member)?;
    let secrets = mandate.credentials_of(facts.row).filter_map(|c| c.current.as_ref().map(|v| (c.id, v.number)));
    let secrets: Vec<_> = secrets.collect();
    if secrets.len() * devices.len() != load.wraps.len() {
        return Err(Refusal::input(
            "wraps",
            "does not hold one wrap for each secret of the row and each device; they changed meanwhile, try again",
        ));
    }
    for (credential, version) in secrets {
        let said = stored_statement(vault, mandate.unit, credential, version)?;
        let of_version = |w: &&WrapLoad| (w.ctx.credential, w.ctx.version) == (credential, version);
        for device in &devices {
            let mut sent = load.wraps.iter().filter(of_version).filter(|wrap| is_for(wrap, &device.bundle));
            let lacks = "lacks a secret of the row for a device, or has an old version; try again";
            let wrap = sent.next().ok_or_else(|| Refusal::input("wraps", lacks))?;
            let (slot, row) = outer(vault, caller, mandate.unit, facts, &device.bundle, wrap, &said)?;
            wraps.push((credential, slot, row));
        }
    }
    Ok(wraps)
}
