//! `verify`: re-folds every ledger and compares everything the database holds with it.

use super::caller::Caller;
use super::devices::{slot, was_wrapped_to};
use super::mandates::is_marked;
use super::vault::{Vault, changed, seed_context};
use crate::api::{Nothing, Refusal, Request, VerifyReport};
use crate::crypto::{Ctx, Key, Signed, Statement, Topic, derive_outer_key, hash, open};
use crate::ledger::{Audit, Audited, Directory, Entry, Outcome, Record, append, recipient_digest};
use crate::model::{Credential, CredentialId, Digest, Event, Grant, GrantId, Mandate, SecondFactor, UnitId};
use crate::store::{SecretRow, WrapRow};
use std::collections::HashSet;

/// Verifies the whole vault.
///
/// # Errors
/// None for what it finds: that is the report. Only where reading fails.
pub fn verify(vault: &mut Vault<'_>, _: &Caller, _: Request<Nothing>, (): ()) -> Result<VerifyReport, Refusal> {
    let directory = vault.directory()?;
    let mut report = VerifyReport { ledgers: 0, records: 0, flaws: Vec::new(), root: directory.root_fingerprint() };
    if vault.store.check_file().is_err() {
        report.flaws.push("the database finds itself damaged, or has other tables than a vault".into());
    }
    let known = vault.anchor.units();
    for (unit, _) in vault.store.sizes()? {
        if !known.contains(&unit) {
            report.flaws.push(format!("ledger {unit}: the anchor does not know it"));
        }
    }
    for unit in known {
        match verify_unit(vault, &directory, unit) {
            Ok(records) => {
                report.ledgers += u64::from(records > 0);
                report.records += records;
            }
            Err(Refusal::Failed(why)) => return Err(Refusal::Failed(why)),
            Err(flaw) => report.flaws.push(format!("ledger {unit}: {flaw}")),
        }
    }
    Ok(report)
}

fn verify_unit(vault: &mut Vault<'_>, directory: &Directory, unit: UnitId) -> Result<u64, Refusal> {
    let segment = vault.segment(unit)?;
    let (head, evidence) = (segment.head, segment.evidence_key.as_ref().map(Key::duplicate));
    if head.size == 0 {
        return Ok(0);
    }
    let mut audit = Audit::new(directory, unit);
    let (mut nodes, mut shared) = (Nodes::default(), HashSet::new());
    vault.each_batch(unit, |entries| {
        entries.iter().for_each(|entry| nodes.push(entry));
        let records = audit.take(&entries).map_err(|flaw| Refusal::Integrity(flaw.to_string()))?;
        shared.extend(records.iter().flat_map(shared_by));
        Ok(())
    })?;
    if (audit.size(), audit.root(), audit.state().digest()) != (head.size, head.root, head.state) {
        return Err(changed("the ledger"));
    }
    nodes.compare(vault, unit)?;
    let row = vault.store.unit(unit)?.ok_or_else(|| changed("a unit"))?;
    if !evidence.is_some_and(|evidence| is_marked(vault.id(), unit, &evidence, &row.keys)) {
        return Err(changed("the keys for the recovery kit"));
    }
    // The stored state must open, and be what the ledger folds to.
    match audit.state() {
        Audited::Mandate(folded) => {
            let stored = vault.mandate(unit)?.ok_or_else(|| changed("the mandate"))?;
            if stored != **folded {
                return Err(changed("the mandate's state"));
            }
            verify_rows(vault, directory, &stored, &shared)?;
        }
        Audited::Roster(folded) if **folded == *vault.roster => verify_devices(vault, directory)?,
        _ => return Err(changed("the roster")),
    }
    Ok(head.size)
}

/// Which wraps a record says were made for a further device: grant, credential, version, and the device's signing key.
type Shared = HashSet<(GrantId, CredentialId, u32, Digest)>;

fn shared_by(record: &Record) -> Vec<(GrantId, CredentialId, u32, Digest)> {
    match &record.outcome {
        Outcome::Mandate(Event::Shared { grant, device, items }) => {
            items.iter().map(|item| (*grant, item.credential, item.version, *device)).collect()
        }
        _ => Vec::new(),
    }
}

/// Every device in the roster has exactly the keys that an owner's signature admits.
fn verify_devices(vault: &Vault<'_>, directory: &Directory) -> Result<(), Refusal> {
    for member in &vault.roster.members {
        for device in &member.devices {
            let bundle = &device.bundle;
            let named = (bundle.member, &bundle.name) == (member.id(), member.name());
            if !named || directory.device(member.id(), &bundle.sign) != Some(bundle) {
                return Err(changed("a device's keys"));
            }
        }
    }
    Ok(())
}

/// The tree's nodes as they must be stored: those that each entry completes.
#[derive(Default)]
struct Nodes {
    completed: Vec<Vec<Digest>>,
}

impl Nodes {
    fn push(&mut self, entry: &Entry) {
        let seq = u64::try_from(self.completed.len()).unwrap_or(u64::MAX);
        let added = append(seq, entry.leaf(), |level, index| self.node(level, index).ok_or(())).unwrap_or_default();
        self.completed.push(added.into_iter().map(|(.., hash)| hash).collect());
    }

    fn node(&self, level: u32, index: u64) -> Option<Digest> {
        let last = usize::try_from(((index + 1) << level) - 1).ok()?;
        self.completed.get(last)?.get(usize::try_from(level).ok()?).copied()
    }

    fn compare(&self, vault: &Vault<'_>, unit: UnitId) -> Result<(), Refusal> {
        let size = u64::try_from(self.completed.len()).unwrap_or(u64::MAX);
        if vault.store.record_count(unit)? != size {
            return Err(changed("the tree"));
        }
        for (seq, nodes) in (0..).zip(&self.completed) {
            if vault.store.nodes(unit, seq)? != nodes.iter().flat_map(|hash| *hash.bytes()).collect::<Vec<u8>>() {
                return Err(changed("the tree"));
            }
        }
        Ok(())
    }
}

/// Secrets, wraps, seeds and fingerprints: exactly those the state names, each opening and fitting.
fn verify_rows(
    vault: &mut Vault<'_>,
    directory: &Directory,
    mandate: &Mandate,
    shared: &Shared,
) -> Result<(), Refusal> {
    let unit = mandate.unit;
    let active = mandate.phase == crate::model::Phase::Active;
    let closed = matches!(mandate.phase, crate::model::Phase::Closed { .. });
    let (mut secrets, mut wraps, mut seeds, mut reuse) = (0, 0, 0, 0);
    for credential in &mandate.credentials {
        let stored = if closed { None } else { verified_secret(vault, directory, unit, credential)? };
        if let Some((_, said)) = stored {
            secrets += 1;
            reuse += u64::from(active);
            for grant in mandate.live_grants().filter(|grant| grant.facts.row == credential.row) {
                wraps += verify_wraps(vault, directory, mandate, grant, credential, &said, shared)?;
            }
        }
        if active && credential.second_factor == SecondFactor::On {
            let sealed = vault.store.seed(unit, credential.id)?.ok_or_else(|| changed("a seed"))?;
            let context = seed_context(vault.id(), unit, credential.id);
            let key = vault.segment(unit)?.state_key.as_ref().map(Key::duplicate).ok_or_else(|| changed("a seed"))?;
            open(&key, &context, &sealed).map_err(|_| changed("a seed"))?;
            seeds += 1;
        }
        if let Some(version) = credential.current.as_ref().filter(|_| active)
            && !vault.store.reuse(&version.tag)?.contains(&(unit, credential.id))
        {
            return Err(changed("a fingerprint"));
        }
    }
    if vault.store.row_counts(unit)? == [secrets, wraps, seeds, reuse] {
        Ok(())
    } else {
        Err(changed("the rows of the mandate"))
    }
}

/// A credential's current version as it is stored, with its recovery statement: signed by its author, and naming
/// everything that belongs to it.
///
/// # Errors
/// [`Refusal::Integrity`] where anything is not what the author signed, or not the version the ledger names.
pub fn verified_secret(
    vault: &Vault<'_>,
    directory: &Directory,
    unit: UnitId,
    credential: &Credential,
) -> Result<Option<(SecretRow, Statement)>, Refusal> {
    let Some(version) = &credential.current else { return Ok(None) };
    let row = vault.store.secret(unit, credential.id, version.number)?.ok_or_else(|| changed("a secret"))?;
    let said = verify_statement(directory, &row.statement)?;
    let ctx = Ctx {
        vault: directory.vault(),
        mandate: unit,
        credential: credential.id,
        version: version.number,
        to: None,
        recipient: recipient_digest(&directory.charter().recovery),
    };
    let fits = said.ctx == ctx && said.ct == hash(&row.ct) && said.ct == version.ct && said.rec == hash(&row.rec);
    if fits { Ok(Some((row, said))) } else { Err(changed("a secret")) }
}

/// The wraps of one version under one grant: to each device in use that was there when they were made, or that it was
/// shared with since. Gives back how many there are.
fn verify_wraps(
    vault: &mut Vault<'_>,
    directory: &Directory,
    mandate: &Mandate,
    grant: &Grant,
    credential: &Credential,
    said: &Statement,
    shared: &Shared,
) -> Result<u64, Refusal> {
    let member = vault.roster.member(grant.facts.member).ok_or_else(|| changed("a member"))?.clone();
    let version = credential.current.as_ref().ok_or_else(|| changed("a secret"))?;
    let mut wraps = 0;
    for device in member.active_devices() {
        let bundle = &device.bundle;
        let recipient = recipient_digest(&bundle.enc);
        let row = vault.store.wrap(mandate.unit, grant.facts.id, credential.id, &slot(grant.facts.id, &recipient))?;
        let was_shared = shared.contains(&(grant.facts.id, credential.id, version.number, bundle.sign));
        match row {
            Some(row) => verify_wrap(vault, directory, mandate.unit, grant, &row, recipient, said)?,
            None if was_shared || was_wrapped_to(&member, device, grant, version) => return Err(changed("a wrap")),
            None => continue,
        }
        wraps += 1;
    }
    Ok(wraps)
}

fn verify_wrap(
    vault: &mut Vault<'_>,
    directory: &Directory,
    unit: UnitId,
    grant: &Grant,
    row: &WrapRow,
    recipient: Digest,
    version: &Statement,
) -> Result<(), Refusal> {
    let said = verify_statement(directory, &row.statement)?;
    let ctx = Ctx { to: Some((grant.facts.id, grant.facts.member)), recipient, ..version.ctx };
    let key = vault.segment(unit)?.grant(grant.facts.id).map(Key::duplicate).ok_or_else(|| changed("a grant's key"))?;
    let inner = derive_outer_key(&key, &ctx).digest_inside(&row.outer).map_err(|_| changed("a wrap"))?;
    let fits = said.ctx == ctx && said.inner == inner && (said.ct, said.commit) == (version.ct, version.commit);
    if fits { Ok(()) } else { Err(changed("a wrap")) }
}

/// A statement under its author's key, or under the owner root's after a recovery.
fn verify_statement(directory: &Directory, stored: &[u8]) -> Result<Statement, Refusal> {
    let refused = |_| changed("a statement");
    let signed: Signed = postcard::from_bytes(stored).map_err(|_| changed("a statement"))?;
    let said: Statement = serde_json::from_slice(signed.unverified_bytes()).map_err(|_| changed("a statement"))?;
    // After a recovery it is the owner root's, in the name of the owner who was at the keyboard.
    let key = match directory.device(said.author, signed.claimed_key()) {
        Some(device) => device.sign,
        None if directory.knows(said.author) => *directory.root(),
        None => return Err(changed("a statement's author")),
    };
    signed.open(Topic::Statement, &key).map_err(refused)?;
    Ok(said)
}
