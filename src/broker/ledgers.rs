//! `log` and `extract`: reading the ledgers.

use super::caller::Caller;
use super::recorder::Draft;
use super::vault::{Vault, admissions_in_order, chain_to, changed};
use crate::api::{CheckpointAnswer, ExtractAnswer, LogAnswer, LogAsk, LogLine, NameAsk, Refusal, Request, Seen};
use crate::ledger::{Edge, Extract, ExtractWriter, Outcome, Record, from_blob, on_all_cores, to_blob};
use crate::model::{Blob, Event, Instant, Mandate, MemberId, RosterEvent, UnitId};
use crate::policy::{self, Scope};

/// Records of one mandate or of the roster, as far as the caller may read them.
///
/// # Errors
/// [`Refusal::NotFound`].
pub fn log(vault: &mut Vault<'_>, caller: &Caller, request: Request<LogAsk>, (): ()) -> Result<LogAnswer, Refusal> {
    let ask = request.ask;
    let mandate = match &ask.operator {
        Some(operator) => Some(vault.find(caller.member(), caller.verb(), operator)?),
        None => None,
    };
    let scope = policy::reach(caller.member(), caller.verb(), mandate.as_ref());
    // The roster's ledger is the agency's; who may read only some of it reads their own part.
    let own_only = scope == Scope::OwnRecords || (mandate.is_none() && scope != Scope::All);
    let member = match &ask.member {
        Some(name) => Some(caller.member_meant(vault, name)?),
        None => None,
    };
    let wanted = |record: &Record| {
        (!own_only || record.by == Some(caller.id()))
            && member.is_none_or(|member| record.by == Some(member) || names_member(record, member, mandate.as_ref()))
            && ask.since.is_none_or(|since| record.at >= since)
            && (!ask.denied || matches!(record.outcome, Outcome::Denied(_) | Outcome::Refused))
    };
    let mut records = Vec::new();
    let unit = mandate.as_ref().map_or(vault.roster.unit, |mandate| mandate.unit);
    vault.each_record(unit, |record| {
        if wanted(&record) {
            records.push(record);
        }
    })?;
    let lines = records.into_iter().map(|record| line(vault, mandate.as_ref(), record)).collect();
    Ok(LogAnswer { lines })
}

/// Whether an event is about a member: granted to or taken from them.
fn names_member(record: &Record, member: MemberId, mandate: Option<&Mandate>) -> bool {
    let of = |grant: &crate::model::GrantId| {
        mandate.and_then(|mandate| mandate.grant(*grant)).is_some_and(|grant| grant.facts.member == member)
    };
    match &record.outcome {
        Outcome::Mandate(Event::Granted { grant, .. }) => grant.member == member,
        Outcome::Mandate(Event::Shared { grant, .. }) => of(grant),
        Outcome::Mandate(
            Event::Revoked { grants, .. } | Event::Expired { grants } | Event::Destroyed { grants, .. },
        ) => grants.iter().any(of),
        Outcome::Roster(
            RosterEvent::RolesChanged { member: of, .. }
            | RosterEvent::Suspended { member: of }
            | RosterEvent::Resumed { member: of }
            | RosterEvent::Removed { member: of }
            | RosterEvent::DeviceRemoved { member: of, .. },
        ) => *of == member,
        Outcome::Roster(RosterEvent::Admitted { bundle, .. } | RosterEvent::DeviceAdmitted { bundle, .. }) => {
            bundle.member == member
        }
        Outcome::Roster(RosterEvent::Invited { invited, .. }) => invited.of == Some(member),
        _ => false,
    }
}

fn line(vault: &Vault<'_>, mandate: Option<&Mandate>, record: Record) -> LogLine {
    let system = |row: crate::model::RowId| {
        let row = mandate.and_then(|mandate| mandate.rows.iter().find(|r| r.id == row));
        row.map_or_else(|| "?".to_owned(), |row| row.system.to_string())
    };
    let of_credential = |id: crate::model::CredentialId| {
        let credential = mandate.and_then(|mandate| mandate.credential(id));
        credential.map_or_else(
            || "?".to_owned(),
            |found| super::close::credential_name(&system(found.row), found.name.as_str()),
        )
    };
    let of_grant = |id: &crate::model::GrantId| mandate.and_then(|m| m.grant(*id)).map(|grant| system(grant.facts.row));
    let (mut systems, mut purpose) = (Vec::new(), None);
    match &record.outcome {
        Outcome::Mandate(Event::Released { items, purpose: said }) => {
            systems.extend(items.iter().map(|item| of_credential(item.credential)));
            purpose = Some(said.clone());
        }
        Outcome::Mandate(Event::CodeReleased { credential, purpose: said, .. }) => {
            systems.push(of_credential(*credential));
            purpose = Some(said.clone());
        }
        Outcome::Mandate(Event::CredentialsAdded { credentials }) => {
            systems.extend(credentials.iter().map(|facts| of_credential(facts.id)));
        }
        Outcome::Mandate(
            Event::Rotated { credential, .. }
            | Event::Settled { credential, .. }
            | Event::RotationAsked { credential, .. },
        ) => {
            systems.push(of_credential(*credential));
        }
        Outcome::Mandate(Event::Granted { grant, .. }) => systems.push(system(grant.row)),
        Outcome::Mandate(Event::Shared { items, .. }) => {
            systems.extend(items.iter().map(|item| of_credential(item.credential)));
        }
        Outcome::Mandate(
            Event::Revoked { grants, .. }
            | Event::Expired { grants }
            | Event::Destroyed { grants, .. }
            | Event::IncidentOpened { grants, .. },
        ) => systems.extend(grants.iter().filter_map(of_grant)),
        Outcome::Denied(_) => systems.extend(asked_credentials(&record).into_iter().map(of_credential)),
        _ => {}
    }
    let mut seen = std::collections::HashSet::new();
    systems.retain(|system| seen.insert(system.clone()));
    LogLine {
        seq: record.seq,
        at: record.at,
        assurance: record.assurance,
        member: record.by.map(|id| vault.name_of(id)),
        verb: record.verb,
        event: event_name(&record.outcome),
        denied: match record.outcome {
            Outcome::Denied(code) => Some(code),
            _ => None,
        },
        systems,
        purpose,
        record,
    }
}

/// What a denied retrieval asked for, from its signed request.
fn asked_credentials(record: &Record) -> Vec<crate::model::CredentialId> {
    let bytes = record.request.as_ref().map(crate::crypto::Signed::unverified_bytes);
    let body = bytes.and_then(|bytes| serde_json::from_slice::<serde_json::Value>(bytes).ok());
    let items = body.and_then(|body| body.pointer("/ask/items").and_then(|items| items.as_array().cloned()));
    let id = |item: serde_json::Value| item.get("credential")?.as_str()?.parse().ok();
    items.into_iter().flatten().filter_map(id).collect()
}

/// The event's name, as it stands in the record's JSON.
fn event_name(outcome: &Outcome) -> String {
    let value = match outcome {
        Outcome::Mandate(event) => serde_json::to_value(event),
        Outcome::Roster(event) => serde_json::to_value(event),
        Outcome::Denied(_) => return "denied".to_owned(),
        Outcome::Refused => return "refused".to_owned(),
    };
    let name = value.ok().and_then(|value| match value {
        serde_json::Value::String(name) => Some(name),
        serde_json::Value::Object(fields) => fields.keys().next().cloned(),
        _ => None,
    });
    name.unwrap_or_default()
}

/// The operator's extract: the whole ledger with its keys and its signed head; that it was taken is its last record.
///
/// # Errors
/// [`Refusal::NotFound`].
pub fn extract(
    vault: &mut Vault<'_>,
    caller: &Caller,
    request: Request<NameAsk>,
    (): (),
) -> Result<ExtractAnswer, Refusal> {
    let mandate = vault.find(caller.member(), caller.verb(), &request.ask.operator)?;
    let unit = mandate.unit;
    let draft = Draft { unit, outcome: Outcome::Mandate(Event::Extracted), state: None };
    vault.record(Some(caller), vec![draft], Vec::new(), |_| Ok(()))?;

    let charters: Option<Vec<_>> = vault.roster.charters.iter().map(from_blob).collect();
    let charters = charters.ok_or_else(|| changed("the roster's charters"))?;
    let root =
        charters.first().map(|charter| *charter.claimed_key()).ok_or_else(|| changed("the roster's charters"))?;
    let head = Extract { root, unit, charters, admissions: admissions_needed(vault, &mandate)? };
    let failed = |error: std::io::Error| Refusal::Failed(error.to_string());
    let mut writer = ExtractWriter::new(Vec::new(), head).map_err(failed)?;
    vault.each_batch(unit, |entries| entries.iter().try_for_each(|entry| writer.record(entry)).map_err(failed))?;
    let head = vault.head(unit)?;
    let (head, note) = (head.checkpoint(), head.sign());
    let text = writer.finish(note).map_err(failed)?;
    let backups = backups_of(vault, unit)?;
    Ok(ExtractAnswer { extract: Blob(text), head: Seen { size: head.size, root: head.root }, backups })
}

/// The signed head of a mandate's ledger, for the operator to keep. Reading it releases nothing and is not recorded:
/// a record would make every checkpoint an old one.
///
/// # Errors
/// [`Refusal::NotFound`].
pub fn checkpoint(
    vault: &mut Vault<'_>,
    caller: &Caller,
    request: Request<NameAsk>,
    (): (),
) -> Result<CheckpointAnswer, Refusal> {
    let unit = vault.find(caller.member(), caller.verb(), &request.ask.operator)?.unit;
    let note = vault.head(unit)?.sign();
    Ok(CheckpointAnswer { unit, note })
}

/// When each backup was made that holds this mandate: the agency's own ledger says so, and whoever closes the mandate
/// must be able to name the copies.
fn backups_of(vault: &mut Vault<'_>, unit: UnitId) -> Result<Vec<Instant>, Refusal> {
    let mut made = Vec::new();
    vault.each_record(vault.roster.unit, |record| {
        if matches!(&record.outcome, Outcome::Roster(RosterEvent::BackedUp { units }) if units.contains(&unit)) {
            made.push(record.at);
        }
    })?;
    Ok(made)
}

/// The admissions of those who appear in a mandate and of those who vouch for them: an operator learns of nobody else.
fn admissions_needed(vault: &mut Vault<'_>, mandate: &Mandate) -> Result<Vec<crate::crypto::Signed>, Refusal> {
    let mut people: std::collections::BTreeSet<MemberId> = mandate.leads.iter().copied().collect();
    people.extend(mandate.grants.iter().map(|grant| grant.facts.member));
    people.extend(mandate.permissions.iter().map(|permission| permission.member));
    people.extend(mandate.incidents.iter().filter_map(|incident| incident.facts.member));
    vault.each_record(mandate.unit, |record| people.extend(record.by))?;
    let needed: Vec<Blob> = people.into_iter().flat_map(|member| chain_to(&vault.roster, member)).collect();
    let mut admissions = admissions_in_order(&vault.roster);
    admissions.retain(|admission| needed.contains(&to_blob(admission)));
    Ok(admissions)
}

impl Vault<'_> {
    /// Every record of a ledger, proven to be under the head this broker signed.
    pub fn each_record(&mut self, unit: UnitId, take: impl FnMut(Record)) -> Result<(), Refusal> {
        self.each_record_with(unit, "", take)
    }

    /// As [`Vault::each_record`], of those whose bytes hold a word; the others are not parsed. A record has one
    /// spelling, so that the name of an event is in each that tells of it.
    pub fn each_record_with(&mut self, unit: UnitId, word: &str, take: impl FnMut(Record)) -> Result<(), Refusal> {
        let head = self.segment(unit)?.head;
        let mut edge = Edge::default();
        let mut records = Vec::new();
        let tells = |bytes: &[u8]| std::str::from_utf8(bytes).map_or(true, |text| text.contains(word));
        self.each_batch(unit, |entries| {
            let opened = on_all_cores(&entries, |entry| {
                let tells = tells(entry.signed.unverified_bytes());
                (entry.leaf(), tells.then(|| entry.proven_record()))
            });
            for (leaf, record) in opened {
                edge.push(leaf);
                records.extend(record.transpose().map_err(|error| changed(&error.to_string()))?);
            }
            Ok(())
        })?;
        // Only once the whole is known to be what was signed is any of it handed out.
        if (edge.size(), edge.root()) != (head.size, head.root) {
            return Err(changed("a ledger"));
        }
        records.into_iter().for_each(take);
        Ok(())
    }
}
