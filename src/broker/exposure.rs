//! The exposure list: what each person opened and nobody has rotated since, computed from the ledgers.

use super::caller::Caller;
use super::vault::Vault;
use crate::api::{ExposureAsk, ExposureLine, Refusal, Request};
use crate::ledger::{Outcome, Record};
use crate::model::{CredentialId, Event, Instant, Mandate, MemberId, Verb};
use crate::policy::{self, Scope};
use std::collections::BTreeMap;

/// The exposure in sight.
///
/// # Errors
/// [`Refusal::NotFound`] for an operator that is not there for the caller.
pub fn exposure(
    vault: &mut Vault<'_>,
    caller: &Caller,
    request: Request<ExposureAsk>,
    (): (),
) -> Result<Vec<ExposureLine>, Refusal> {
    let mandates = match &request.ask.operator {
        Some(operator) => vec![vault.find(caller.member(), caller.verb(), operator)?],
        None => vault.mandates_for(caller.member(), caller.verb())?,
    };
    let member = match &request.ask.member {
        Some(name) => Some(caller.member_meant(vault, name)?),
        None => None,
    };
    let mut all = Vec::new();
    for mandate in mandates {
        let own = policy::reach(caller.member(), Verb::Exposure, Some(&mandate)) == Scope::OwnRecords;
        let of = if own { Some(caller.id()) } else { member };
        if own && member.is_some_and(|member| member != caller.id()) {
            continue;
        }
        all.extend(lines(vault, &[mandate], of)?);
    }
    Ok(all)
}

/// One member's opening of one version.
struct Opened {
    first: Instant,
    last: Instant,
    times: u64,
    onward_only: bool,
}

/// The lines of these mandates, of one member or of all.
pub fn lines(
    vault: &mut Vault<'_>,
    mandates: &[Mandate],
    only: Option<MemberId>,
) -> Result<Vec<ExposureLine>, Refusal> {
    let mut lines = Vec::new();
    for mandate in mandates {
        let mut opened: BTreeMap<(CredentialId, u32, MemberId), Opened> = BTreeMap::new();
        vault.each_record_with(mandate.unit, "\"released\":{", |record| note(&mut opened, &record, only))?;
        for ((credential, version, member), times) in opened {
            lines.extend(line(vault, mandate, credential, version, member, &times));
        }
    }
    Ok(lines)
}

fn note(opened: &mut BTreeMap<(CredentialId, u32, MemberId), Opened>, record: &Record, only: Option<MemberId>) {
    let (Outcome::Mandate(Event::Released { items, .. }), Some(member)) = (&record.outcome, record.by) else { return };
    if only.is_some_and(|only| only != member) {
        return;
    }
    for item in items {
        let fresh = || Opened { first: record.at, last: record.at, times: 0, onward_only: true };
        let entry = opened.entry((item.credential, item.version, member)).or_insert_with(fresh);
        (entry.last, entry.times) = (record.at, entry.times + 1);
        // Once somebody saw it, reading it to grant changes nothing any more: most requests need not be parsed.
        entry.onward_only = entry.onward_only && is_onward(record);
    }
}

/// Whether the signed request asked for data keys to grant them onward.
fn is_onward(record: &Record) -> bool {
    #[derive(serde::Deserialize)]
    struct Asked {
        ask: Onward,
    }
    #[derive(serde::Deserialize)]
    struct Onward {
        onward: Option<MemberId>,
    }
    let bytes = record.request.as_ref().map(crate::crypto::Signed::unverified_bytes);
    let asked = bytes.and_then(|bytes| serde_json::from_slice::<Asked>(bytes).ok());
    asked.is_some_and(|asked| asked.ask.onward.is_some())
}

fn line(
    vault: &Vault<'_>,
    mandate: &Mandate,
    id: CredentialId,
    version: u32,
    member: MemberId,
    times: &Opened,
) -> Option<ExposureLine> {
    let credential = mandate.credential(id)?;
    if version < credential.safe_below() {
        return None;
    }
    let row = mandate.rows.iter().find(|row| row.id == credential.row)?;
    Some(ExposureLine {
        unit: mandate.unit,
        operator: mandate.operator.clone(),
        system: row.system.clone(),
        name: credential.name.clone(),
        credential: id,
        version,
        member: vault.name_of(member),
        first: times.first,
        last: times.last,
        times: times.times,
        onward_only: times.onward_only,
    })
}
