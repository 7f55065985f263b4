//! `fetch` and `code`: the main job, in the order of DESIGN.md 5 and no other.

use super::caller::{Caller, Signer};
use super::recorder::{Draft, Receipt};
use super::release::HandOut;
use super::vault::Vault;
use super::{Done, Task, Turn, devices, malformed, parse, unrecorded};
use crate::api::{FetchAsk, FetchItem, Refusal, Request, Seen};
use crate::ledger::Outcome;
use crate::model::{Deny, Event, Jurisdiction, Kind, Mandate, ReleasedItem, SecondFactor, Text, UnitId, Verb};
use crate::policy::{Permit, Purpose, Situation, decide};
use crate::store::SealedRow;
use std::sync::Arc;

/// A retrieval that was decided on: what its record will say, and what follows it.
struct Judged {
    unit: UnitId,
    seen: Option<Seen>,
    outcome: Outcome,
    verdict: Verdict,
}

enum Verdict {
    Secrets(Vec<(Permit, SealedRow)>),
    Code(Permit),
    Refused(Refusal),
}

/// Serves retrievals that stand in line together: decides on each, records all of them, denials too, in one durable
/// commit, and only then prepares what each of them hands out.
pub fn serve(vault: &mut Vault<'_>, turn: &mut Turn<'_>, tasks: Vec<Task>, done: &mut Vec<Done>) {
    // Decide on every one before anything is written.
    let mut judge = |task: &Task| {
        let caller = Caller::prove(vault, turn, task)?;
        let judged = judge(vault, &caller, task)?;
        Ok((caller, judged))
    };
    let judged: Vec<Result<(Caller, Judged), Refusal>> = tasks.iter().map(&mut judge).collect();

    // Record, durably, what will be released and what was denied.
    let drafts = judged.iter().flatten().map(|(caller, judged)| (Some(caller), judged.draft()));
    let drafts: Vec<(Option<&Caller>, Draft)> = drafts.collect();
    let recorded = if drafts.is_empty() {
        Ok(Vec::new())
    } else {
        vault.record_together(drafts, Vec::new(), Vec::new(), |_| Ok(()))
    };

    // Only now prepare to take the broker's half off: each permit and its record are used up by it.
    let (mut receipts, unrecorded) = match recorded.map_err(unrecorded) {
        Ok(receipts) => (receipts.into_iter(), None),
        Err(refusal) => (Vec::new().into_iter(), Some(refusal)),
    };
    for judged in judged {
        done.push(match (judged, &unrecorded) {
            (Err(refusal), _) => Done::Said(Err(refusal)),
            (Ok(_), Some(refusal)) => Done::Said(Err(refusal.clone())),
            (Ok((caller, judged)), None) => {
                let receipt = receipts.next().unwrap_or_else(|| unreachable!("one receipt for each draft"));
                judged.follow(vault, &caller, &receipt).unwrap_or_else(|refusal| Done::Said(Err(refusal)))
            }
        });
    }
}

impl Judged {
    fn draft(&self) -> Draft {
        Draft { unit: self.unit, outcome: self.outcome.clone(), state: None }
    }

    /// What follows the durable record.
    fn follow(self, vault: &mut Vault<'_>, caller: &Caller, receipt: &Receipt) -> Result<Done, Refusal> {
        let handed = match self.verdict {
            Verdict::Refused(refusal) => return Err(refusal),
            Verdict::Secrets(permits) => {
                let proof = vault.prove(receipt, self.seen)?;
                HandOut::secrets(vault, caller.device(), permits, receipt, proof)?
            }
            Verdict::Code(permit) => {
                let proof = vault.prove(receipt, self.seen)?;
                HandOut::code(vault, permit, receipt, proof)?
            }
        };
        Ok(Done::HandOut(Box::new(handed)))
    }
}

/// Why a retrieval is refused.
enum No {
    /// Nothing of it is recorded in a mandate's ledger.
    Said(Refusal),
    /// The mandate's ledger says why; the caller may be told less.
    Denied(UnitId, Deny, Refusal),
}

impl From<Refusal> for No {
    fn from(refusal: Refusal) -> Self {
        No::Said(refusal)
    }
}

fn judge(vault: &mut Vault<'_>, caller: &Caller, task: &Task) -> Result<Judged, Refusal> {
    let parsed;
    let request = if let Some(read) = task.signer.as_ref().and_then(Signer::retrieval) {
        read
    } else {
        parsed = parse::<FetchAsk>(caller.signed_bytes())?;
        &parsed
    };
    if !task.frame.load.is_empty() {
        return Err(malformed());
    }
    let (unit, outcome, verdict) = match decided(vault, caller, request) {
        Ok(released) => released,
        Err(No::Denied(unit, code, refusal)) => (unit, Outcome::Denied(code), Verdict::Refused(refusal)),
        // What is not there for the caller is recorded in the agency's own ledger only.
        Err(No::Said(Refusal::NotFound)) => (vault.roster.unit, Outcome::Refused, Verdict::Refused(Refusal::NotFound)),
        Err(No::Said(refusal)) => {
            vault.stale |= matches!(refusal, Refusal::Failed(_) | Refusal::Integrity(_));
            return Err(refusal);
        }
    };
    Ok(Judged { unit, seen: request.seen, outcome, verdict })
}

/// What the record of a release says, and what it hands out.
fn released(
    vault: &Vault<'_>,
    caller: &Caller,
    mandate: &Mandate,
    mut permits: Vec<Permit>,
) -> Result<(Outcome, Verdict), Refusal> {
    if caller.verb() == Verb::Code {
        let (Some(permit), true) = (permits.pop(), permits.is_empty()) else {
            return Err(Refusal::input("items", "a code is asked for one credential at a time"));
        };
        let (credential, grant, purpose) = (permit.credential(), permit.grant(), permit.purpose().clone());
        let event = Event::CodeReleased { credential, grant, purpose };
        return Ok((Outcome::Mandate(event), Verdict::Code(permit)));
    }
    let items = permits.iter().map(|permit| ReleasedItem {
        credential: permit.credential(),
        version: permit.version(),
        grant: permit.grant(),
    });
    let purpose = permits.first().map(|permit| permit.purpose().clone()).unwrap_or_default();
    let outcome = Outcome::Mandate(Event::Released { items: items.collect(), purpose });
    let sealed = permits.into_iter().map(|permit| {
        let sealed = devices::sealed_for(vault, caller, mandate, &permit)?;
        Ok((permit, sealed))
    });
    Ok((outcome, Verdict::Secrets(sealed.collect::<Result<_, Refusal>>()?)))
}

/// Decides on every item; one denial denies all.
fn decided(
    vault: &mut Vault<'_>,
    caller: &Caller,
    request: &Request<FetchAsk>,
) -> Result<(UnitId, Outcome, Verdict), No> {
    let (unit, mandate) = asked_mandate(vault, caller, request.unit)?;
    vault.check_seen(unit, request.seen, request.shown.as_deref())?;
    let onward = onward_purpose(vault, caller, &mandate, &request.ask)?;
    let permits = permits(vault, caller, &mandate, &request.ask, onward.as_ref())?;
    let (outcome, verdict) = released(vault, caller, &mandate, permits)?;
    Ok((unit, outcome, verdict))
}

fn asked_mandate(
    vault: &mut Vault<'_>,
    caller: &Caller,
    unit: Option<UnitId>,
) -> Result<(UnitId, Arc<Mandate>), Refusal> {
    let unit = unit.ok_or(Refusal::NotFound)?;
    let mandate = vault.known(unit)?.ok_or(Refusal::NotFound)?;
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
    // A code is used here and now: there is no key in it to wrap to anybody, and so no purpose but the row's.
    if caller.verb() == Verb::Code {
        return Err(Refusal::input("onward", "a code is for a purpose of the row; none is read to grant or share it"));
    }
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
) -> Result<Vec<Permit>, No> {
    if ask.items.is_empty() || (ask.items.len() > 1 && onward.is_none()) {
        let sentence =
            "a fetch names one credential; many are named only to grant a row onward or to share with a device";
        return Err(Refusal::input("items", sentence).into());
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
) -> Result<Permit, No> {
    let denied = |code: Deny| No::Denied(mandate.unit, code, code.into());
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
    let permit = match decided {
        // The key decides too: whether it is there, and when it ends. A database that was put back may say more.
        Ok(permit) => match vault.segment(mandate.unit)?.grant_until(permit.grant()) {
            None => return Err(denied(Deny::SecretDestroyed)),
            Some(until) if until <= vault.now() => return Err(denied(Deny::TermExpired)),
            Some(_) => permit,
        },
        // Never granted and not there answer the same, but the attempt stands in the mandate's ledger.
        Err(Deny::NotGranted) if mandate.grant_for(caller.id(), credential.row).is_none() => {
            return Err(No::Denied(mandate.unit, Deny::NotGranted, Refusal::NotFound));
        }
        Err(code) => return Err(denied(code)),
    };
    if permit.grant() != item.grant || permit.version() != item.version {
        let sentence = "was rotated or granted anew since it was looked up; fetch it again";
        return Err(Refusal::input("credential", sentence).into());
    }
    let refused = match (caller.verb(), credential.kind, &credential.second_factor) {
        (Verb::Fetch, Kind::Delegated, _) => Refusal::input(
            "credential",
            "is a delegated access and has no secret: log in with your own account on the platform",
        ),
        (Verb::Code, _, SecondFactor::On) | (Verb::Fetch, ..) => return Ok(permit),
        (Verb::Code, _, SecondFactor::Elsewhere { holder }) => {
            Refusal::input("second factor", format!("the code goes to {holder}'s device; ask there"))
        }
        _ => Refusal::input(
            "second factor",
            "no seed is stored for this credential; a lead adds it with 'credential rotate --totp-file'",
        ),
    };
    Err(refused.into())
}
