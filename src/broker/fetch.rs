//! `fetch` and `code`: the main job, in the order of DESIGN.md 5 and no other.

use super::caller::Caller;
use super::release::{release, release_code};
use super::vault::Vault;
use super::{devices, unrecorded};
use crate::api::{CodeAnswer, FetchAnswer, FetchAsk, FetchItem, Refusal, Request};
use crate::ledger::Outcome;
use crate::model::{Deny, Event, Jurisdiction, Kind, Mandate, ReleasedItem, SecondFactor, Text, UnitId, Verb};
use crate::policy::{Permit, Purpose, Situation, decide};

/// Releases secrets to a member: still sealed to the member's own key.
///
/// # Errors
/// [`Refusal::Denied`] with its code, recorded; nothing leaves before the record is durable.
pub fn fetch(
    vault: &mut Vault<'_>,
    caller: &Caller,
    request: Request<FetchAsk>,
    (): (),
) -> Result<FetchAnswer, Refusal> {
    // What is asked for, and of which mandate.
    let (unit, mandate) = asked_mandate(vault, caller, request.unit)?;
    vault.check_seen(unit, request.seen)?;

    // Decide on every item before anything is written; one denial denies all.
    let onward = onward_purpose(vault, caller, &mandate, &request.ask)?;
    let permits = permits(vault, caller, &mandate, &request.ask, onward.as_ref())?;

    // Record, durably, what will be released.
    let items = permits.iter().map(|permit| ReleasedItem {
        credential: permit.credential(),
        version: permit.version(),
        grant: permit.grant(),
    });
    let purpose = permits.first().map(|permit| permit.purpose().clone()).unwrap_or_default();
    let event = Event::Released { items: items.collect(), purpose };
    let receipt = vault.record_one(Some(caller), unit, Outcome::Mandate(event)).map_err(unrecorded)?;

    // Only now take the broker's half off: the permits and the record are used up by it.
    let proof = vault.prove(&receipt, request.seen)?;
    let released = release(vault, caller.device(), permits, &receipt)?;
    Ok(FetchAnswer { released, proof })
}

/// Releases a current code of a client's account.
///
/// # Errors
/// As [`fetch`].
pub fn code(vault: &mut Vault<'_>, caller: &Caller, request: Request<FetchAsk>, (): ()) -> Result<CodeAnswer, Refusal> {
    let (unit, mandate) = asked_mandate(vault, caller, request.unit)?;
    vault.check_seen(unit, request.seen)?;
    let mut permits = permits(vault, caller, &mandate, &request.ask, None)?;
    let (Some(permit), true) = (permits.pop(), permits.is_empty()) else {
        return Err(Refusal::input("items", "a code is asked for one credential at a time"));
    };
    let event = Event::CodeReleased {
        credential: permit.credential(),
        grant: permit.grant(),
        purpose: permit.purpose().clone(),
    };
    let receipt = vault.record_one(Some(caller), unit, Outcome::Mandate(event)).map_err(unrecorded)?;
    let proof = vault.prove(&receipt, request.seen)?;
    let (code, seconds) = release_code(vault, permit, &receipt)?;
    Ok(CodeAnswer { code, seconds, proof })
}

fn asked_mandate(vault: &mut Vault<'_>, caller: &Caller, unit: Option<UnitId>) -> Result<(UnitId, Mandate), Refusal> {
    let unit = unit.ok_or(Refusal::NotFound)?;
    let mandate = vault.mandate(unit)?.ok_or(Refusal::NotFound)?;
    // To somebody who never had to do with it, a mandate is not there.
    if mandate.concerns(caller.id()) { Ok((unit, mandate)) } else { Err(Refusal::NotFound) }
}

/// What a bulk read is for: a grant to somebody else, or a further device of the reader's own.
struct Onward {
    said: Text,
    own_device: bool,
}

impl Onward {
    fn purpose(&self) -> Purpose<'_> {
        if self.own_device { Purpose::OwnDevice(&self.said) } else { Purpose::Onward(&self.said) }
    }
}

fn onward_purpose(
    vault: &mut Vault<'_>,
    caller: &Caller,
    mandate: &Mandate,
    ask: &FetchAsk,
) -> Result<Option<Onward>, Refusal> {
    let Some(member) = ask.onward else { return Ok(None) };
    let name = vault.roster.member(member).ok_or(Refusal::NotFound)?.name().clone();
    let own_device = member == caller.id();
    if own_device {
        devices::check_lacking(vault, caller, mandate, &ask.items)?;
    }
    let said = match mandate.jurisdiction {
        Jurisdiction::Ru if own_device => "own device / своё устройство".to_owned(),
        Jurisdiction::Eu if own_device => "own device".to_owned(),
        Jurisdiction::Ru => format!("grant to {name} / допуск: {name}"),
        Jurisdiction::Eu => format!("grant to {name}"),
    };
    let said = Text::parse(&said).map_err(|e| Refusal::input("member", e.to_string()))?;
    Ok(Some(Onward { said, own_device }))
}

fn permits(
    vault: &mut Vault<'_>,
    caller: &Caller,
    mandate: &Mandate,
    ask: &FetchAsk,
    onward: Option<&Onward>,
) -> Result<Vec<Permit>, Refusal> {
    if ask.items.is_empty() || (ask.items.len() > 1 && onward.is_none()) {
        let sentence =
            "a fetch names one credential; many are named only to grant a row onward or to share with a device";
        return Err(Refusal::input("items", sentence));
    }
    let mut permits = Vec::with_capacity(ask.items.len());
    for item in &ask.items {
        permits.push(permit(vault, caller, mandate, item, ask.purpose.as_ref(), onward)?);
    }
    Ok(permits)
}

fn permit(
    vault: &mut Vault<'_>,
    caller: &Caller,
    mandate: &Mandate,
    item: &FetchItem,
    purpose: Option<&Text>,
    onward: Option<&Onward>,
) -> Result<Permit, Refusal> {
    let credential = mandate.credential(item.credential).ok_or(Refusal::NotFound)?;
    let decided = decide(&Situation {
        clock: vault.clock,
        member: caller.member(),
        verb: caller.verb(),
        second_factor: caller.session().is_some(),
        mandate,
        credential,
        purpose: onward.map_or(Purpose::Work(purpose), Onward::purpose),
    });
    let holds_key = |vault: &mut Vault<'_>, permit: &Permit| -> Result<bool, Refusal> {
        Ok(vault.segment(mandate.unit)?.grant(permit.grant()).is_some())
    };
    let permit = match decided {
        Ok(permit) if holds_key(vault, &permit)? => permit,
        Ok(_) => return Err(caller.deny(vault, mandate.unit, Deny::SecretDestroyed)),
        // Never granted and not there answer the same, but the attempt stands in the mandate's ledger.
        Err(Deny::NotGranted) if mandate.grant_for(caller.id(), credential.row).is_none() => {
            return match caller.deny(vault, mandate.unit, Deny::NotGranted) {
                Refusal::Denied { .. } => Err(Refusal::NotFound),
                failed => Err(failed),
            };
        }
        Err(code) => return Err(caller.deny(vault, mandate.unit, code)),
    };
    if permit.grant() != item.grant || permit.version() != item.version {
        return Err(Refusal::input("credential", "was rotated or granted anew since it was looked up; fetch it again"));
    }
    if caller.verb() == Verb::Fetch && credential.kind != Kind::Delegated {
        devices::check_wrapped(vault, caller, mandate, item)?;
    }
    match (caller.verb(), credential.kind, &credential.second_factor) {
        (Verb::Fetch, Kind::Delegated, _) => Err(Refusal::input(
            "credential",
            "is a delegated access and has no secret: log in with your own account on the platform",
        )),
        (Verb::Code, _, SecondFactor::On) | (Verb::Fetch, ..) => Ok(permit),
        (Verb::Code, _, SecondFactor::Elsewhere { holder }) => {
            Err(Refusal::input("second factor", format!("the code goes to {holder}'s device; ask there")))
        }
        _ => Err(Refusal::input(
            "second factor",
            "no seed is stored for this credential; a lead adds it with 'credential rotate --totp-file'",
        )),
    }
}
