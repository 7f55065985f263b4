//! Going on after a restore: by order of the owner root, and never by anything less (DESIGN.md 7).
//!
//! Where the anchor opens, the database is older than it remembers: the gap is recorded in every ledger it touches,
//! live grants go on, and what was revoked since has no key. Where the anchor is lost or an older copy, a new one is
//! made from the kit, and only the grants the owner confirms are made anew.

use super::Settings;
use super::found::encode_charter;
use super::mandates::{encode, grant_keys};
use super::members::confirm_seed;
use super::memory::Memory;
use super::recorder::Draft;
use super::vault::{Vault, changed, directory_of, open_entry};
use super::verify::verified_secret;
use crate::anchor::{Anchor, AnchorError, Change, Core, Destroy, Factor, Head, Segment, StateLock};
use crate::api::{Recovery, Refusal, Reissue, RestartReport};
use crate::crypto::{
    AgeKey, Ctx, Dek, Key, SignKey, Statement, Topic, commitment, derive_outer_key, hash, open_inner, open_note,
    wrap_inner,
};
use crate::ledger::{Audit, Audited, Charter, ClockMark, Directory, Outcome, Restart, recipient_digest, to_blob};
use crate::model::{
    Blob, CredentialId, Digest, Event, Grant, GrantFacts, GrantId, HighWater, Instant, Mandate, Member, MemberId, Name,
    Phase, Role, Roster, RosterEvent, Standing, UnitId, VaultId, Why,
};
use crate::policy::ClockReading;
use crate::store::{Store, StoreError, WrapRow, Write};
use std::sync::Arc;
use zeroize::Zeroizing;

const BATCH: u32 = 2048;

/// A ledger as the database has it, verified as a whole.
struct Found {
    unit: UnitId,
    head: Head,
    state: Audited,
    last: Instant,
}

/// Goes on from the database as it is.
///
/// # Errors
/// Where a ledger does not verify, or the kit is another vault's: then everything is as it was.
pub fn restart(settings: &Settings, recovery: Recovery<'_>) -> Result<RestartReport, Refusal> {
    let _lock = StateLock::take(&settings.home.dir).map_err(|e| Refusal::Failed(format!("state lock: {e}")))?;
    let mut store = Store::open(&settings.database)?;
    match Anchor::open(&settings.home) {
        // An anchor whose keys no charter names was left by a ceremony that was cut off: it is made again.
        Ok(mut anchor) => match is_chartered(&mut anchor, &store, &recovery.root)? {
            true => go_on(settings, anchor, &mut store, &recovery),
            false => rebuild(settings, &mut store, recovery),
        },
        Err(AnchorError::Missing(_) | AnchorError::Epoch | AnchorError::Corrupt) => {
            rebuild(settings, &mut store, recovery)
        }
        Err(other) => Err(other.into()),
    }
}

// ---- the anchor is there, the database is older ----

fn is_chartered(anchor: &mut Anchor, store: &Store, root: &SignKey) -> Result<bool, Refusal> {
    let (vault, unit, key) = (anchor.vault(), anchor.core().roster, anchor.record_key().public());
    let segment = anchor.segment(unit)?.ok_or_else(|| changed("the anchor"))?;
    let evidence = segment.evidence_key.as_ref().ok_or_else(|| changed("the anchor"))?;
    let (_, directory) = read_roster(store, vault, unit, evidence, root)?;
    Ok(directory.charter().record_key == key)
}

fn go_on(
    settings: &Settings,
    mut anchor: Anchor,
    store: &mut Store,
    recovery: &Recovery<'_>,
) -> Result<RestartReport, Refusal> {
    // Everything is read and verified before anything is written.
    let (vault_id, roster_unit) = (anchor.vault(), anchor.core().roster);
    let roster_keys = anchor.segment(roster_unit)?.ok_or_else(|| changed("the anchor"))?;
    let evidence = roster_keys.evidence_key.as_ref().map(Key::duplicate).ok_or_else(|| changed("the anchor"))?;
    let (roster, directory) = read_roster(store, vault_id, roster_unit, &evidence, &recovery.root)?;
    let mut report = RestartReport::default();
    let (mut found, mut gaps, mut lost) = (Vec::new(), Vec::new(), Vec::new());
    let shown = anchor.core().shown.clone();
    for unit in anchor.units() {
        let segment = anchor.segment(unit)?.ok_or_else(|| changed("the anchor"))?;
        // What a member showed was lost as well, whether or not this anchor ever knew of it.
        let newest = shown.iter().filter(|(of, head)| *of == unit && head.size > segment.head.size);
        let known = newest.map(|(_, head)| *head).max_by_key(|head| head.size).unwrap_or(segment.head);
        let Some(evidence) = segment.evidence_key.as_ref().map(Key::duplicate) else { continue };
        if known.size == 0 {
            continue;
        }
        match store.unit(unit)? {
            None => lost.push(unit),
            Some(row) => {
                let ledger = audit(store, &directory, vault_id, unit, &evidence, row.size)?;
                if (ledger.head.size, ledger.head.root) != (known.size, known.root) {
                    gaps.push((unit, known, ledger.head.size));
                }
                found.push(ledger);
            }
        }
    }

    // Locked until all of it is done. The anchor takes the older heads together with the records of the gap: cut off
    // before them, it still knows what was lost.
    anchor.note(vec![Change::RolledBack(true)])?;
    let mut changes: Vec<Change> = found.iter().map(|ledger| Change::Head(ledger.unit, ledger.head)).collect();
    changes.push(Change::Counted(store.counter()?));
    anchor.suppose(changes);
    let clock = ClockReading::Trusted(settings.clock.now().max(anchor.core().high.at));
    let (anchor, memory, roster) = (&mut anchor, &mut Memory::default(), Arc::new(roster));
    let mut vault = Vault { settings, anchor, store, memory, clock, roster, stale: false };
    let (drafts, roster) = gap_drafts(&vault, recovery, &gaps, &found, None)?;
    vault.record(None, drafts, Vec::new(), |_| Ok(()))?;
    vault.roster = Arc::new(roster);
    report.lost = u64::try_from(lost.len()).unwrap_or(0);
    for (unit, known, size) in &gaps {
        report.gaps.push(format!("{}: {} → {size}", ledger_name(&found, *unit), known.size));
    }

    // Members who left since are members again in the older roster: they stay gone, and so do devices.
    report.back = remove_gone(&mut vault)?;
    report.back.extend(remove_gone_devices(&mut vault)?);
    for ledger in found {
        if let Audited::Mandate(mandate) = ledger.state {
            report.dead += bury(&mut vault, *mandate)?;
        }
    }
    let units: Vec<UnitId> = vault.anchor.units().into_iter().filter(|unit| !lost.contains(unit)).collect();
    vault.destroy_dead(&units)?;
    drop_gone_wraps(&mut vault, &units)?;
    if !lost.is_empty() {
        let mut destroy = Destroy { evidence: lost.clone(), state_keys: lost.clone(), ..Destroy::default() };
        for unit in &lost {
            let grants = vault.segment(*unit)?.grants.iter().map(|(id, ..)| (*unit, *id)).collect::<Vec<_>>();
            destroy.grants.extend(grants);
        }
        vault.anchor.rotate(&destroy)?;
    }
    vault.anchor.note(vec![Change::RolledBack(false)])?;
    Ok(report)
}

/// Ends in a restored mandate what was ended since: grants whose key is gone, and the mandate itself where its keys
/// were replaced. Returns how many grants stay dead.
fn bury(vault: &mut Vault<'_>, mut mandate: Mandate) -> Result<u64, Refusal> {
    let (unit, now, id) = (mandate.unit, vault.now(), vault.id());
    let stored = vault.store.unit(unit)?.ok_or_else(|| changed("a mandate"))?.state;
    let segment = vault.segment(unit)?;
    let dead: Vec<GrantId> =
        mandate.live_grants().map(|g| g.facts.id).filter(|id| segment.grant(*id).is_none()).collect();
    let (closed, retain_until) = (segment.state_key.is_none(), segment.retain_until);
    let over = matches!(mandate.phase, Phase::Active | Phase::Draft(_))
        && (closed || !super::vault::opens_state(segment, id, &stored));
    let mut events = Vec::new();
    if over {
        events.push(Event::Ended { why: Why::KeyLost });
    } else if !dead.is_empty() {
        events.push(Event::Revoked { grants: dead.clone(), why: Why::KeyLost });
    }
    if closed && !matches!(mandate.phase, Phase::Closed { .. }) {
        events.push(Event::Closed { retain_until });
    }
    let drafts = apply_all(&mut mandate, events, now)?;
    if matches!(mandate.phase, Phase::Active | Phase::Draft(_)) {
        vault.keep_state_key(unit)?;
    }
    // The state is sealed anew in any case: the restored one may be sealed by a key that is gone.
    let state = encode(&mandate)?;
    let entropy = &*vault.settings.home.entropy;
    let sealed = match closed {
        true => Vec::new(),
        false => super::vault::seal_state(vault.segment(unit)?, id, &state, entropy)?,
    };
    vault.record(None, drafts, Vec::new(), |txn| {
        if over || closed {
            txn.drop_access(unit)?;
        }
        if closed {
            txn.drop_secrets(unit)?;
        }
        dead.iter().try_for_each(|grant| txn.drop_wraps(unit, *grant))?;
        txn.put_state(unit, &sealed)
    })?;
    Ok(u64::try_from(dead.len()).unwrap_or(0))
}

fn apply_all(mandate: &mut Mandate, events: Vec<Event>, now: Instant) -> Result<Vec<Draft>, Refusal> {
    let mut drafts = Vec::with_capacity(events.len());
    for event in events {
        mandate.apply(&event, None, now).map_err(|error| Refusal::Integrity(error.to_string()))?;
        let state = Some(encode(mandate)?);
        drafts.push(Draft { unit: mandate.unit, outcome: Outcome::Mandate(event), state });
    }
    Ok(drafts)
}

/// Removes who was removed since. Gives back whom the older roster cannot do without.
fn remove_gone(vault: &mut Vault<'_>) -> Result<Vec<String>, Refusal> {
    let mut back = Vec::new();
    let left = &vault.anchor.core().gone;
    let is_back = |member: &&Member| !matches!(member.standing, Standing::Removed { .. });
    let gone: Vec<MemberId> =
        vault.roster.members.iter().filter(is_back).map(Member::id).filter(|id| left.contains(id)).collect();
    for member in gone {
        let mut roster = (*vault.roster).clone();
        let event = RosterEvent::Removed { member };
        if roster.apply(&event, vault.now()).is_ok() {
            let state = postcard::to_stdvec(&roster).map_err(|e| Refusal::Failed(e.to_string()))?;
            let draft = Draft { unit: roster.unit, outcome: Outcome::Roster(event), state: Some(state) };
            vault.record(None, vec![draft], Vec::new(), |_| Ok(()))?;
            vault.roster = Arc::new(roster);
        } else {
            back.push(vault.name_of(member).to_string());
        }
    }
    Ok(back)
}

/// Devices that were removed since are in use again in the older roster. Where it knows no other of the member, the
/// member is locked out: an owner decides. Gives back those of an owner whom it cannot do without.
fn remove_gone_devices(vault: &mut Vault<'_>) -> Result<Vec<String>, Refusal> {
    let gone = vault.anchor.core().gone_keys.clone();
    let back = |member: &Member| {
        let devices = member.active_devices().filter(|device| gone.contains(&device.bundle.sign));
        devices.map(|device| (member.id(), device.label().clone())).collect::<Vec<_>>()
    };
    let back: Vec<(MemberId, Name)> = vault.roster.members.iter().flat_map(back).collect();
    let mut kept = Vec::new();
    for (member, device) in back {
        let named = format!("{}, {device}", vault.name_of(member));
        let events = [RosterEvent::DeviceRemoved { member, device }, RosterEvent::Suspended { member }];
        // Nothing else refuses it but the fold, which keeps a last device and a last owner.
        let possible = |event: &RosterEvent| Roster::clone(&vault.roster).apply(event, vault.now()).is_ok();
        match events.into_iter().find(possible) {
            Some(event) => super::members::apply_with(vault, None, event, Vec::new(), |_| Ok(()))?,
            None => kept.push(named),
        }
    }
    Ok(kept)
}

/// Deletes the wraps of devices that are gone, which the older database holds again.
fn drop_gone_wraps(vault: &mut Vault<'_>, units: &[UnitId]) -> Result<(), Refusal> {
    for unit in units {
        let Some(mandate) = vault.mandate(*unit)? else { continue };
        let slots = super::devices::removed_slots(&vault.roster, &mandate);
        vault.store.write(|txn| -> Result<(), Refusal> {
            Ok(slots.iter().try_for_each(|(grant, slot)| txn.drop_wraps_to(*unit, *grant, slot))?)
        })?;
    }
    Ok(())
}

// ---- the anchor is lost ----

fn rebuild(settings: &Settings, store: &mut Store, recovery: Recovery<'_>) -> Result<RestartReport, Refusal> {
    let (vault_id, entropy) = (store.vault()?, &*settings.home.entropy);
    let keys = unit_keys(store, &recovery.recovery)?;
    let (roster, directory) = find_roster(store, vault_id, &keys, &recovery.root)?;
    let now = settings.clock.now();

    // Every ledger is verified before anything is written.
    let mut found = Vec::new();
    for (unit, keys) in &keys {
        let size = store.unit(*unit)?.map_or(0, |row| row.size);
        found.push(audit(store, &directory, vault_id, *unit, &keys.evidence, size)?);
    }
    let owner = roster.named(recovery.owner.as_str()).filter(|member| member.is(Role::Owner) && member.is_active());
    let owner = owner.ok_or_else(|| Refusal::input("member", "is not an active owner of this vault"))?.id();
    let (seed, code) = (recovery.enrol)()?;
    let step = confirm_seed(seed.expose(), &code, now.unix_seconds())?;
    let (offered, report_names) = offer(&roster, &found, now);
    let chosen = (recovery.confirm)(&report_names)?;
    let chosen = |id: GrantId| offered.iter().zip(&chosen).any(|((_, grant), yes)| *yes && *grant == id);

    // A new anchor with new broker keys, named by a new charter.
    let latest = found.iter().map(|ledger| ledger.last).max().unwrap_or(now);
    let high = HighWater { at: now.max(latest), uptime: settings.clock.uptime() };
    let mut core = Core::generate(roster.unit, high, entropy);
    core.counter = store.counter()?;
    core.rolled_back = true;
    core.factors.push(Factor {
        member: owner,
        seed: Zeroizing::new(seed.expose().to_vec()),
        last_step: step,
        failures: 0,
        blocked_until: Instant(0),
    });
    let charter = recovery.root.sign(
        Topic::Charter,
        encode_charter(&Charter {
            number: directory.charter().number + 1,
            record_key: SignKey::from_seed(&core.record_key).public(),
            checkpoint_key: SignKey::from_seed(&core.checkpoint_key).public(),
            ..directory.charter().clone()
        }),
    );
    let segments = found.iter().zip(&keys).map(|(ledger, (_, keys))| keys.segment(ledger)).collect();
    let mut anchor = Anchor::create(&settings.home, vault_id, core, segments)?;
    let (clock, memory, roster) = (ClockReading::Trusted(high.at), &mut Memory::default(), Arc::new(roster));
    let mut vault = Vault { settings, anchor: &mut anchor, store, memory, clock, roster, stale: false };
    relabel(&mut vault, &found)?;
    let (mut drafts, after) = gap_drafts(&vault, &recovery, &[], &found, Some(to_blob(&charter)))?;

    // The grants the owner confirmed are made anew; all others stay dead. In one transaction with the charter: before
    // it the ceremony is repeated from the beginning, after it nothing of it is missing.
    let mut report = RestartReport { new_anchor: true, ..RestartReport::default() };
    let mut renewed = Vec::new();
    for ledger in found {
        if let Audited::Mandate(mandate) = ledger.state
            && mandate.phase == Phase::Active
        {
            let (made, events) = reissue(&mut vault, *mandate, &recovery, owner, &chosen)?;
            report.reissued += u64::try_from(made.made).unwrap_or(0);
            report.dead += u64::try_from(made.dead).unwrap_or(0);
            drafts.extend(events);
            renewed.push(made);
        }
    }
    vault.record(None, drafts, Vec::new(), |txn| renewed.iter().try_for_each(|renewed| renewed.write(txn)))?;
    vault.roster = Arc::new(after);
    let units = vault.anchor.units();
    vault.destroy_dead(&units)?;
    vault.anchor.note(vec![Change::RolledBack(false)])?;
    Ok(report)
}

/// A unit's keys from its recovery wrap; no state key where the mandate was closed.
struct UnitKeys {
    state: Option<Key>,
    evidence: Key,
}

impl UnitKeys {
    fn segment(&self, ledger: &Found) -> Segment {
        let mut segment = Segment::new(ledger.unit);
        segment.head = ledger.head;
        segment.state_key = self.state.as_ref().map(Key::duplicate);
        segment.evidence_key = Some(self.evidence.duplicate());
        if let Audited::Mandate(mandate) = &ledger.state {
            match mandate.phase {
                Phase::Active => segment.term_until = mandate.term.until,
                Phase::Draft(_) => segment.term_until = crate::model::Instant::MAX,
                Phase::Ended(_) => {}
                Phase::Closed { retain_until, .. } => segment.retain_until = retain_until,
            }
        }
        segment
    }
}

fn unit_keys(store: &Store, recovery: &AgeKey) -> Result<Vec<(UnitId, UnitKeys)>, Refusal> {
    let mut all = Vec::new();
    for (unit, _) in store.sizes()? {
        let row = store.unit(unit)?.ok_or_else(|| changed("a unit"))?;
        let wrong = || Refusal::input("kit", "does not open this vault's keys: it is another vault's kit");
        let (_, wrapped) = super::mandates::split_unit_keys(&row.keys).ok_or_else(|| changed("a unit's keys"))?;
        let plain = open_note(recovery, wrapped).map_err(|_| wrong())?;
        let (named, keys) = plain.expose().split_at_checked(16).ok_or_else(|| changed("a unit's keys"))?;
        let (state, evidence) = keys.split_at_checked(32).ok_or_else(|| changed("a unit's keys"))?;
        let evidence = Key::from_slice(evidence).filter(|_| named == unit.bytes());
        let evidence = evidence.ok_or_else(|| changed("a unit's keys"))?;
        let state = Key::from_slice(state).filter(|key| *key != Key::absent());
        all.push((unit, UnitKeys { state, evidence }));
    }
    Ok(all)
}

/// The one unit whose ledger is a roster that this root founded.
fn find_roster(
    store: &Store,
    vault: VaultId,
    keys: &[(UnitId, UnitKeys)],
    root: &SignKey,
) -> Result<(Roster, Directory), Refusal> {
    let mut tried = keys.iter().map(|(unit, keys)| read_roster(store, vault, *unit, &keys.evidence, root));
    let found = tried.find_map(Result::ok);
    found.ok_or_else(|| Refusal::input("kit", "is not of this vault: no roster here was founded by its owner root"))
}

/// The roster as its own ledger says it is: the charters in it must be this root's.
fn read_roster(
    store: &Store,
    vault: VaultId,
    unit: UnitId,
    evidence: &Key,
    root: &SignKey,
) -> Result<(Roster, Directory), Refusal> {
    let size = store.unit(unit)?.map_or(0, |row| row.size);
    // Folded once to learn the charters and admissions, then verified under them.
    let mut roster: Option<Roster> = None;
    each_entry(store, vault, unit, evidence, size, |entry| {
        let record = entry.proven_record().map_err(|_| changed("the roster"))?;
        let Outcome::Roster(event) = &record.outcome else { return Ok(()) };
        let broken = |_| changed("the roster");
        match &mut roster {
            None => roster = Some(Roster::found(unit, event, record.at).map_err(broken)?),
            Some(roster) => roster.apply(event, record.at).map_err(broken)?,
        }
        Ok(())
    })?;
    let roster = roster.ok_or_else(|| changed("the roster"))?;
    let directory = directory_of(&roster)?;
    if *directory.root() != root.public() || directory.charter().roster != unit {
        return Err(Refusal::input("kit", "is not of this vault: its owner root founded another"));
    }
    audit(store, &directory, vault, unit, evidence, size)?;
    Ok((roster, directory))
}

/// Verifies one ledger in the database from its first record to its last.
fn audit(
    store: &Store,
    directory: &Directory,
    vault: VaultId,
    unit: UnitId,
    evidence: &Key,
    size: u64,
) -> Result<Found, Refusal> {
    let mut audit = Audit::new(directory, unit);
    let mut last = Instant(0);
    each_entry(store, vault, unit, evidence, size, |entry| {
        let records = audit.take(std::slice::from_ref(&entry)).map_err(|flaw| changed(&flaw.to_string()))?;
        // What was written under a suspect clock says nothing of the time.
        let believed = records.last().filter(|record| record.clock == ClockMark::Trusted);
        last = believed.map_or(last, |record| record.at.max(last));
        Ok(())
    })?;
    if audit.size() != size {
        return Err(changed("a ledger"));
    }
    let head = Head { size, root: audit.root(), state: audit.state().digest() };
    Ok(Found { unit, head, state: audit.state().clone(), last })
}

fn each_entry(
    store: &Store,
    vault: VaultId,
    unit: UnitId,
    evidence: &Key,
    size: u64,
    mut take: impl FnMut(crate::ledger::Entry) -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    let mut from = 0;
    while from < size {
        let rows = store.entries(unit, from, BATCH)?;
        if rows.is_empty() {
            return Err(changed("a ledger"));
        }
        for (seq, sealed) in rows {
            if seq != from {
                return Err(changed("a ledger"));
            }
            take(open_entry(evidence, vault, unit, seq, &sealed)?)?;
            from += 1;
        }
    }
    Ok(())
}

fn offer(roster: &Roster, found: &[Found], now: Instant) -> (Vec<(UnitId, GrantId)>, Vec<Reissue>) {
    let (mut ids, mut lines) = (Vec::new(), Vec::new());
    for ledger in found {
        let Audited::Mandate(mandate) = &ledger.state else { continue };
        if mandate.phase != Phase::Active || mandate.term.until <= now {
            continue;
        }
        for grant in mandate.live_grants().filter(|grant| now < grant.facts.term.until) {
            let member = roster.member(grant.facts.member).filter(|member| member.is_active());
            let (Some(member), Some(row)) = (member, mandate.row(grant.facts.row)) else { continue };
            ids.push((mandate.unit, grant.facts.id));
            lines.push(Reissue {
                member: member.name().clone(),
                id: member.id(),
                operator: mandate.operator.clone(),
                system: row.system.clone(),
                until: grant.facts.term.until,
            });
        }
    }
    (ids, lines)
}

fn relabel(vault: &mut Vault<'_>, found: &[Found]) -> Result<(), Refusal> {
    let labels: Vec<_> = found
        .iter()
        .filter_map(|ledger| match &ledger.state {
            Audited::Mandate(mandate) => Some((ledger.unit, vault.label(mandate.operator.folded()))),
            _ => None,
        })
        .collect();
    vault.store.write(|txn| -> Result<(), Refusal> {
        Ok(labels.iter().try_for_each(|(unit, label)| txn.put_label(*unit, label))?)
    })
}

/// The records of a restart, and the roster after them.
fn gap_drafts(
    vault: &Vault<'_>,
    recovery: &Recovery<'_>,
    gaps: &[(UnitId, Head, u64)],
    found: &[Found],
    charter: Option<Blob>,
) -> Result<(Vec<Draft>, Roster), Refusal> {
    let named = gaps.iter().map(|(unit, known, size)| (*unit, known.size, *size)).collect();
    let order = Restart { vault: vault.id(), at: vault.now(), gaps: named };
    let order = serde_json::to_vec(&order).map_err(|e| Refusal::Failed(e.to_string()))?;
    let event = RosterEvent::Restarted { order: to_blob(&recovery.root.sign(Topic::Restart, order)), charter };
    let mut roster = (*vault.roster).clone();
    roster.apply(&event, vault.now()).map_err(|error| Refusal::Integrity(error.to_string()))?;
    let state = postcard::to_stdvec(&roster).map_err(|e| Refusal::Failed(e.to_string()))?;
    let mut drafts = vec![Draft { unit: roster.unit, outcome: Outcome::Roster(event), state: Some(state) }];
    for (unit, known, size) in gaps.iter().filter(|(unit, ..)| *unit != roster.unit) {
        let event = Event::Restarted { known: known.size, root: known.root, found: *size };
        if found.iter().any(|ledger| ledger.unit == *unit) {
            drafts.push(Draft { unit: *unit, outcome: Outcome::Mandate(event), state: None });
        }
    }
    Ok((drafts, roster))
}

fn ledger_name(found: &[Found], unit: UnitId) -> String {
    let state = found.iter().find(|ledger| ledger.unit == unit).map(|ledger| &ledger.state);
    match state {
        Some(Audited::Mandate(mandate)) => mandate.operator.to_string(),
        _ => "roster".to_owned(),
    }
}

/// What making grants of one mandate anew writes beside its records.
struct Renewed {
    unit: UnitId,
    over: Vec<GrantId>,
    wraps: Vec<(GrantId, CredentialId, Digest, WrapRow)>,
    made: usize,
    dead: usize,
}

impl Renewed {
    fn write(&self, txn: &Write<'_>) -> Result<(), StoreError> {
        self.over.iter().try_for_each(|grant| txn.drop_wraps(self.unit, *grant))?;
        let put = |(grant, credential, slot, row): &(GrantId, CredentialId, Digest, WrapRow)| {
            txn.put_wrap(self.unit, *grant, *credential, slot, row)
        };
        self.wraps.iter().try_for_each(put)
    }
}

/// Makes the chosen grants of one mandate anew: the kit opens each data key and wraps it to the member again.
fn reissue(
    vault: &mut Vault<'_>,
    mut mandate: Mandate,
    recovery: &Recovery<'_>,
    owner: MemberId,
    chosen: &impl Fn(GrantId) -> bool,
) -> Result<(Renewed, Vec<Draft>), Refusal> {
    let (unit, now) = (mandate.unit, vault.now());
    let live: Vec<Grant> = mandate.live_grants().cloned().collect();
    let (renewed, dead): (Vec<Grant>, Vec<Grant>) = live.into_iter().partition(|grant| chosen(grant.facts.id));
    let grants: Vec<GrantFacts> =
        renewed.iter().map(|old| GrantFacts { id: GrantId(vault.fresh_id()), ..old.facts.clone() }).collect();
    let ids = |grants: &[Grant]| grants.iter().map(|grant| grant.facts.id).collect::<Vec<_>>();
    let (replaced, buried) = (ids(&renewed), ids(&dead));
    let mut events = Vec::new();
    if !grants.is_empty() {
        events.push(Event::Reissued { grants: grants.clone(), replaced: replaced.clone() });
    }
    if !buried.is_empty() {
        events.push(Event::Revoked { grants: buried.clone(), why: Why::KeyLost });
    }
    let drafts = apply_all(&mut mandate, events, now)?;
    let keys = grant_keys(vault, unit, &grants);
    vault.anchor.note(keys)?;
    let (directory, mut wraps) = (vault.directory()?, Vec::new());
    for facts in &grants {
        for credential in mandate.credentials_of(facts.row) {
            // The root vouches for what is wrapped anew: first of all it must be what its author signed.
            let Some((stored, said)) = verified_secret(vault, &directory, unit, credential)? else { continue };
            let dek = open_inner(&recovery.recovery, &said.ctx, &stored.rec).ok();
            let dek = dek.filter(|dek| commitment(dek) == said.commit).ok_or_else(|| changed("a recovery wrap"))?;
            for device in super::devices::devices_of(vault, facts.member)? {
                let (slot, row) = rewrap(vault, recovery, (&dek, &said), facts, &device.bundle.enc, owner)?;
                wraps.push((facts.id, credential.id, slot, row));
            }
        }
    }
    let (made, dead) = (grants.len(), buried.len());
    Ok((Renewed { unit, over: [replaced, buried].concat(), wraps, made, dead }, drafts))
}

/// One data key under one renewed grant to one device, with the statement of its author made anew by the root.
fn rewrap(
    vault: &mut Vault<'_>,
    recovery: &Recovery<'_>,
    (dek, said): (&Dek, &Statement),
    facts: &GrantFacts,
    enc: &str,
    owner: MemberId,
) -> Result<(Digest, WrapRow), Refusal> {
    let recipient = recipient_digest(enc);
    let ctx = Ctx { to: Some((facts.id, facts.member)), recipient, ..said.ctx };
    let inner = wrap_inner(enc, &ctx, dek).map_err(|_| changed("a member's key"))?;
    let statement = Statement { ctx, inner: hash(&inner), author: owner, ..said.clone() };
    let statement = serde_json::to_vec(&statement).map_err(|e| Refusal::Failed(e.to_string()))?;
    let statement = recovery.root.sign(Topic::Statement, statement);
    let key = vault.segment(ctx.mandate)?.grant(facts.id).map(Key::duplicate).ok_or_else(|| changed("the anchor"))?;
    let outer = derive_outer_key(&key, &ctx).put_on(&inner, vault.entropy());
    let statement = postcard::to_stdvec(&statement).map_err(|e| Refusal::Failed(e.to_string()))?;
    Ok((super::devices::slot(facts.id, &recipient), WrapRow { outer, statement }))
}
