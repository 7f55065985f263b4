//! `mandate end/settle/close`: the end of a mandate.

use super::caller::Caller;
use super::exposure;
use super::mandates::{encode, wrap_unit_keys};
use super::recorder::Draft;
use super::vault::{Vault, evidence_key};
use crate::anchor::Change;
use crate::api::{CloseAsk, EndedAnswer, ReasonAsk, Refusal, Request, SettleAsk};
use crate::crypto::Key;
use crate::ledger::Outcome;
use crate::model::{Choice, Event, Instant, Mandate, Phase, Why};

/// The evidence is kept at least this long, years.
const RETAIN_MIN_YEARS: u32 = 1;
const RETAIN_MAX_YEARS: u32 = 30;
/// A year on the safe side, ms.
const YEAR_MS: i64 = 366 * 24 * 60 * 60 * 1000;

/// Ends a mandate: from the record on nothing is released, and its keys are destroyed before this returns.
///
/// # Errors
/// Input where it is over already.
pub fn end(
    vault: &mut Vault<'_>,
    caller: &Caller,
    request: Request<ReasonAsk>,
    (): (),
) -> Result<EndedAnswer, Refusal> {
    let mandate = vault.find(caller.member(), caller.verb(), &request.ask.operator)?;
    if !matches!(mandate.phase, Phase::Active | Phase::Draft(_)) {
        return Err(Refusal::input("operator", "this mandate is over already; 'mandate close' settles it"));
    }
    let exposure = exposure::lines(vault, std::slice::from_ref(&mandate), None)?;

    // The signed end is durable first; policy refuses from here on.
    end_with(vault, Some(caller), mandate.clone(), &Why::Asked { reason: request.ask.reason })?;

    // Then the keys: every grant's, and the one that could open the TOTP seeds.
    let (destroyed, epoch) = vault.destroy_dead(&[mandate.unit])?;
    Ok(EndedAnswer { destroyed, epoch: epoch.unwrap_or_else(|| vault.anchor.epoch()), exposure })
}

/// Records the end of one mandate and seals its state by a new key, so that the old one can die with the seeds.
pub fn end_with(vault: &mut Vault<'_>, caller: Option<&Caller>, mandate: Mandate, why: &Why) -> Result<(), Refusal> {
    let (draft, before, keys) = prepare_end(vault, caller, mandate, why)?;
    let unit = draft.unit;
    vault.record(caller, vec![draft], before, |txn| {
        txn.drop_access(unit)?;
        txn.put_keys(unit, &keys)
    })?;
    Ok(())
}

/// What ending a mandate writes: the record with its state, what the anchor must know first, the new recovery wrap.
pub fn prepare_end(
    vault: &mut Vault<'_>,
    caller: Option<&Caller>,
    mut mandate: Mandate,
    why: &Why,
) -> Result<(Draft, Vec<Change>, Vec<u8>), Refusal> {
    let unit = mandate.unit;
    let event = Event::Ended { why: why.clone() };
    mandate
        .apply(&event, caller.map(Caller::id), vault.now())
        .map_err(|error| Refusal::input("operator", error.to_string()))?;
    let next = Key::generate(vault.entropy());
    let evidence = evidence_key(vault.segment(unit)?)?;
    let keys = wrap_unit_keys(vault, unit, &next, &evidence)?;
    let before = vec![Change::Rekeyed(unit, next), Change::Unfinished(vec![unit])];
    let draft = Draft { unit, outcome: Outcome::Mandate(event), state: Some(encode(&mandate)?) };
    Ok((draft, before, keys))
}

/// Records what became of an exposed secret that is not rotated in this vault.
///
/// # Errors
/// Input where there is no such credential, or no reason.
pub fn settle(vault: &mut Vault<'_>, caller: &Caller, request: Request<SettleAsk>, (): ()) -> Result<(), Refusal> {
    let ask = request.ask;
    if ask.because.is_empty() {
        return Err(Refusal::input("because", "say what was done: who changed the password on the platform, and when"));
    }
    let mandate = vault.find(caller.member(), caller.verb(), &ask.operator)?;
    let row = mandate.any_row_named(ask.system.as_str()).ok_or(Refusal::NotFound)?.id;
    let mut named =
        mandate.credentials_of(row).filter(|c| ask.credential.is_empty() || c.name.same(ask.credential.as_str()));
    let credential = match (named.next(), named.next()) {
        (Some(only), None) => only.clone(),
        (Some(_), Some(_)) => {
            return Err(Refusal::input("credential", "the row has several; name one: OPERATOR/SYSTEM/NAME"));
        }
        (None, _) => return Err(Refusal::NotFound),
    };
    drop(named);
    let version = credential.current.as_ref().map_or(0, |version| version.number);
    let (because, confirmed) = (ask.because, ask.confirmed);
    vault.change(caller, mandate, Event::Settled { credential: credential.id, version, because, confirmed })?;
    Ok(())
}

/// Closes an ended mandate: refuses while anything is unsettled and names it; then destroys the state key. The ledger
/// stays readable until the end of retention.
///
/// # Errors
/// Input naming everything that is unsettled.
pub fn close(vault: &mut Vault<'_>, caller: &Caller, request: Request<CloseAsk>, (): ()) -> Result<Instant, Refusal> {
    let years = request.ask.retain_years;
    if !(RETAIN_MIN_YEARS..=RETAIN_MAX_YEARS).contains(&years) {
        let sentence = format!("evidence is kept {RETAIN_MIN_YEARS} to {RETAIN_MAX_YEARS} years; 3 is usual");
        return Err(Refusal::input("retain-years", sentence));
    }
    let mut mandate = vault.find(caller.member(), caller.verb(), &request.ask.operator)?;
    let open = unsettled(vault, &mandate)?;
    if !open.is_empty() {
        return Err(Refusal::input("mandate", format!("not settled yet: {}", open.join("; "))));
    }
    let (unit, now) = (mandate.unit, vault.now());
    let retain_until = now.plus(i64::from(years) * YEAR_MS);
    let event = Event::Closed { retain_until };
    let applied = mandate.apply(&event, Some(caller.id()), now);
    applied.map_err(|error| Refusal::input("mandate", error.to_string()))?;
    let draft = Draft { unit, outcome: Outcome::Mandate(event), state: Some(encode(&mandate)?) };
    // The recovery wrap keeps the evidence key alone: the kit opens no more than the broker does.
    let evidence = evidence_key(vault.segment(unit)?)?;
    let keys = wrap_unit_keys(vault, unit, &Key::absent(), &evidence)?;
    let before = vec![Change::Retain(unit, retain_until), Change::Unfinished(vec![unit])];
    vault.record(Some(caller), vec![draft], before, |txn| {
        txn.drop_secrets(unit)?;
        txn.put_keys(unit, &keys)
    })?;
    vault.destroy_dead(&[unit])?;
    Ok(retain_until)
}

/// Everything that stands in the way of closing, in words.
pub fn unsettled(vault: &mut Vault<'_>, mandate: &Mandate) -> Result<Vec<String>, Refusal> {
    let mut open = Vec::new();
    match mandate.phase {
        Phase::Active => open.push("the mandate is still active: 'mandate end' first".to_owned()),
        Phase::Closed { .. } => open.push("the mandate is closed already".to_owned()),
        Phase::Draft(_) => open.push("the mandate is a draft: 'mandate end' discards it".to_owned()),
        Phase::Ended(_) => {}
    }
    let undestroyed = mandate.grants.iter().filter(|grant| grant.destroyed.is_none()).count();
    if undestroyed > 0 && mandate.phase != Phase::Active {
        open.push(format!("{undestroyed} grant keys are not destroyed: run 'mandatum sweep'"));
    }
    let mut named: Vec<String> = Vec::new();
    for line in exposure::lines(vault, std::slice::from_ref(mandate), None)? {
        let name = credential_name(line.system.as_str(), line.name.as_str());
        // Access that was taken away on the platform cannot be used by whoever saw it.
        if mandate.platform_leg(line.credential).is_some() {
            continue;
        }
        if !named.contains(&name) {
            open.push(format!(
                "{name} was opened (v{}) and is not rotated, settled or taken away on the platform",
                line.version
            ));
            named.push(name);
        }
    }
    open.extend(open_legs(mandate));
    Ok(open)
}

/// The legs of the closing that nobody has put evidence on file for. A draft that never was in force has none.
fn open_legs(mandate: &Mandate) -> Vec<String> {
    let mut open = Vec::new();
    if mandate.open_incidents().next().is_some() {
        open.push("an incident is still open ('incident close')".into());
    }
    if !mandate.was_in_force() {
        return open;
    }
    let unrevoked = |c: &&crate::model::Credential| {
        let version = c.current.as_ref().map_or(0, |version| version.number);
        c.settled.as_ref().is_none_or(|settled| settled.version < version) && mandate.platform_leg(c.id).is_none()
    };
    for credential in mandate.credentials.iter().filter(unrevoked) {
        let system = mandate.rows.iter().find(|row| row.id == credential.row).map_or("?", |row| row.system.as_str());
        let name = credential_name(system, credential.name.as_str());
        open.push(format!(
            "{name}: nobody put on file that its access was taken away on the platform ('mandate revoked')"
        ));
    }
    match mandate.choice() {
        None => open.push("the operator's choice, return or delete, is not on file ('mandate choice')".into()),
        Some(Choice::Return) if mandate.returned().is_none() => {
            open.push("the operator chose return, and nothing was returned".into());
        }
        Some(_) => {}
    }
    if mandate.copies_leg().is_none() {
        open.push("nobody declared what became of copies outside the vault ('mandate copies')".into());
    }
    open
}

/// `SYSTEM` or `SYSTEM/NAME`.
pub fn credential_name(system: &str, name: &str) -> String {
    if name.is_empty() { system.to_owned() } else { format!("{system}/{name}") }
}
