//! `device list/remove/share`: several devices of one member, each with keys of its own.
//!
//! Guarantees: a wrap is made to one device under one grant, and a further device gets no more than the grant gives
//! its member already: same member, same grant, same term. A removed device has no wraps here and its key is refused.

use super::caller::Caller;
use super::credentials::{outer, stored_statement};
use super::members::apply_with;
use super::recorder::Draft;
use super::vault::{Vault, chain_to, changed};
use crate::anchor::Change;
use crate::api::{
    DeviceLine, DeviceListAsk, DeviceRemoveAsk, FetchItem, MissingWrap, Refusal, Request, WrapLoad, WrapShareAsk,
    WrapsLoad,
};
use crate::crypto::Hasher;
use crate::ledger::recipient_digest;
use crate::model::{
    Bundle, Deny, Device, Digest, Event, Grant, GrantId, Mandate, Member, MemberId, Phase, Roster, RosterEvent, Version,
};
use crate::policy::{self, Permit, Scope};
use crate::store::SealedRow;

/// Where the wraps to a device under a grant are kept: nobody who reads the database learns from it which wraps are for
/// the same device.
pub fn slot(grant: GrantId, recipient: &Digest) -> Digest {
    Hasher::default().with(b"mandatum/slot/1\0").with(grant.bytes()).with(recipient.bytes()).finish()
}

fn slot_of(grant: GrantId, device: &Bundle) -> Digest {
    slot(grant, &recipient_digest(&device.enc))
}

/// Whether a wrap says it is for this device.
pub fn is_for(wrap: &WrapLoad, device: &Bundle) -> bool {
    wrap.ctx.recipient == recipient_digest(&device.enc)
}

/// The devices of a member that are in use.
pub fn devices_of(vault: &Vault<'_>, member: MemberId) -> Result<Vec<Device>, Refusal> {
    Ok(vault.roster.member(member).ok_or(Refusal::NotFound)?.active_devices().cloned().collect())
}

/// Where this mandate's live grants could still hold wraps to devices that were removed.
pub fn removed_slots(roster: &Roster, mandate: &Mandate) -> Vec<(GrantId, Digest)> {
    let of_grant = |grant: &Grant| {
        let devices = roster.member(grant.facts.member).map(|member| &member.devices).into_iter().flatten();
        let removed = devices.filter(|device| !device.is_active());
        let id = grant.facts.id;
        removed.map(|device| (id, slot_of(id, &device.bundle))).collect::<Vec<_>>()
    };
    mandate.live_grants().flat_map(of_grant).collect()
}

/// Whether a device must have been wrapped to when this version, or this grant, was made: it was there already.
pub fn was_wrapped_to(member: &Member, device: &Device, grant: &Grant, version: &Version) -> bool {
    let is_first = member.devices.first().is_some_and(|first| first.bundle == device.bundle);
    is_first || device.since < grant.since.max(version.at)
}

/// What a permitted retrieval hands out, as it is wrapped to the asking device. Where that has no key for it, this
/// refuses, before anything is recorded as released.
pub fn sealed_for(
    vault: &Vault<'_>,
    caller: &Caller,
    mandate: &Mandate,
    permit: &Permit,
) -> Result<SealedRow, Refusal> {
    let slot = slot_of(permit.grant(), &caller.device().bundle);
    let version = (permit.credential(), permit.version());
    if let Some(sealed) = vault.store.sealed(mandate.unit, version, permit.grant(), &slot)? {
        return Ok(sealed);
    }
    let wrap = vault.store.wrap(mandate.unit, permit.grant(), permit.credential(), &slot)?;
    let version = mandate.credential(permit.credential()).and_then(|credential| credential.current.as_ref());
    if let Some((grant, version)) = mandate.grant(permit.grant()).zip(version)
        && (wrap.is_some() || was_wrapped_to(caller.member(), caller.device(), grant, version))
    {
        return Err(changed(if wrap.is_some() { "a secret" } else { "a wrap" }));
    }
    let sentence =
        "this device has no key for it yet: run 'mandatum device share' on your other device, or ask your lead";
    Err(Refusal::input("device", sentence))
}

/// A member reads many secrets for a further device of their own only where there is one that lacks each of them.
pub fn check_lacking(
    vault: &Vault<'_>,
    caller: &Caller,
    mandate: &Mandate,
    items: &[FetchItem],
) -> Result<(), Refusal> {
    for item in items {
        let mut lacks = false;
        for device in caller.member().active_devices() {
            let slot = slot_of(item.grant, &device.bundle);
            lacks |= vault.store.wrap(mandate.unit, item.grant, item.credential, &slot)?.is_none();
        }
        if !lacks {
            return Err(Refusal::input("device", "there is no device of yours that lacks a key for it"));
        }
    }
    Ok(())
}

/// The devices of a member, and what each of them cannot open yet.
///
/// # Errors
/// [`Refusal::NotFound`] for a member whose devices are not the caller's to see.
pub fn list(
    vault: &mut Vault<'_>,
    caller: &Caller,
    request: Request<DeviceListAsk>,
    (): (),
) -> Result<Vec<DeviceLine>, Refusal> {
    let member = match &request.ask.name {
        Some(name) => vault.roster.named(name.as_str()).ok_or(Refusal::NotFound)?.clone(),
        None => caller.member().clone(),
    };
    let own = member.id() == caller.id();
    if !own && policy::reach(caller.member(), caller.verb(), None) != Scope::All {
        return Err(Refusal::NotFound);
    }
    let mut mandates = vault.mandates()?;
    let reaches =
        |mandate: &Mandate| own || policy::reach(caller.member(), caller.verb(), Some(mandate)) != Scope::Never;
    mandates.retain(|mandate| mandate.phase == Phase::Active && reaches(mandate) && (own || leads(caller, mandate)));
    let admissions = chain_to(&vault.roster, member.id());
    let mut lines = Vec::with_capacity(member.devices.len());
    for device in &member.devices {
        lines.push(DeviceLine {
            member: member.id(),
            name: member.name().clone(),
            device: device.label().clone(),
            key: device.bundle.sign,
            since: device.since,
            removed: device.removed,
            here: device.bundle == caller.device().bundle,
            missing: missing(vault, caller, &member, device, &mandates)?,
            admissions: admissions.clone(),
        });
    }
    Ok(lines)
}

fn leads(caller: &Caller, mandate: &Mandate) -> bool {
    caller.member().is(crate::model::Role::Lead) && mandate.is_lead(caller.id())
}

fn missing(
    vault: &Vault<'_>,
    caller: &Caller,
    member: &Member,
    device: &Device,
    mandates: &[Mandate],
) -> Result<Vec<MissingWrap>, Refusal> {
    let mut missing = Vec::new();
    if !device.is_active() {
        return Ok(missing);
    }
    for mandate in mandates {
        for grant in mandate.live_grants().filter(|grant| grant.facts.member == member.id()) {
            let Some(row) = mandate.row(grant.facts.row) else { continue };
            let own = mandate.grant_for(caller.id(), row.id).filter(|grant| grant.is_live());
            for credential in mandate.credentials_of(row.id) {
                let Some(version) = &credential.current else { continue };
                let has = |grant: GrantId, device: &Device| {
                    vault.store.wrap(mandate.unit, grant, credential.id, &slot_of(grant, &device.bundle))
                };
                if has(grant.facts.id, device)?.is_some() {
                    continue;
                }
                let through = match own.map(|own| own.facts.id) {
                    Some(own) if has(own, caller.device())?.is_some() => Some(own),
                    _ => None,
                };
                missing.push(MissingWrap {
                    unit: mandate.unit,
                    operator: mandate.operator.clone(),
                    system: row.system.clone(),
                    grant: grant.facts.id,
                    credential: credential.id,
                    version: version.number,
                    through,
                });
            }
        }
    }
    Ok(missing)
}

/// Removes a device: its sessions end, its wraps are deleted and its key is refused from then on. The member's other
/// devices go on.
///
/// # Errors
/// [`Refusal::NotFound`] for another member's device, except to an owner; input where it is the last one.
pub fn remove(
    vault: &mut Vault<'_>,
    caller: &Caller,
    request: Request<DeviceRemoveAsk>,
    (): (),
) -> Result<(), Refusal> {
    let ask = request.ask;
    let all = policy::reach(caller.member(), caller.verb(), None) == Scope::All;
    let member = vault.roster.named(ask.name.as_str()).filter(|member| all || member.id() == caller.id());
    let member = member.ok_or(Refusal::NotFound)?.clone();
    let unknown = || Refusal::input("device", "is no device in use of this member; see 'mandatum device list'");
    let bundle = member.device_named(ask.device.as_str()).ok_or_else(unknown)?.bundle.clone();

    // What it could open goes with the record.
    let mut slots = Vec::new();
    for mandate in vault.mandates()? {
        let of_member = mandate.live_grants().filter(|grant| grant.facts.member == member.id());
        slots.extend(of_member.map(|grant| (mandate.unit, grant.facts.id, slot_of(grant.facts.id, &bundle))));
    }
    let event = RosterEvent::DeviceRemoved { member: member.id(), device: ask.device };
    apply_with(vault, Some(caller), event, vec![Change::KeyGone(bundle.sign)], |txn| {
        slots.iter().try_for_each(|(unit, grant, slot)| txn.drop_wraps_to(*unit, *grant, slot))
    })
}

/// Keeps wraps for a further device of a grant's member: by the member, or by a lead of the mandate.
///
/// # Errors
/// [`Refusal::NotFound`] for a grant that is neither the caller's nor in a mandate they lead; input where a wrap is not
/// right, or the device has it already.
pub fn share(
    vault: &mut Vault<'_>,
    caller: &Caller,
    request: Request<WrapShareAsk>,
    load: WrapsLoad,
) -> Result<(), Refusal> {
    let ask = request.ask;
    let mut mandate = vault.mandate(request.unit.ok_or(Refusal::NotFound)?)?.ok_or(Refusal::NotFound)?;
    let reaches = policy::reach(caller.member(), caller.verb(), Some(&mandate)) != Scope::Never;
    let grant = mandate.grant(ask.grant).filter(|grant| reaches && grant.is_live());
    let grant = grant.filter(|grant| grant.facts.member == caller.id() || leads(caller, &mandate));
    let grant = grant.ok_or(Refusal::NotFound)?.facts.clone();
    if mandate.phase != Phase::Active {
        return Err(Deny::MandateNotActive.into());
    }
    let unknown = || Refusal::input("device", "is no device in use of the member whose grant it is");
    let device = vault.roster.member(grant.member).and_then(|member| member.device(&ask.device));
    let device = device.ok_or_else(unknown)?.bundle.clone();
    if load.wraps.len() != ask.items.len() {
        return Err(Refusal::input("wraps", "does not hold one wrap for each secret that is shared"));
    }

    // That it is the grant's own row, as it is now, is the fold's to say.
    let event = Event::Shared { grant: grant.id, device: ask.device, items: ask.items.clone() };
    let draft = vault.drafted(caller, &mut mandate, event, "items")?;
    let mut rows = Vec::with_capacity(ask.items.len());
    for (item, wrap) in ask.items.iter().zip(&load.wraps) {
        let said = stored_statement(vault, mandate.unit, item.credential, item.version)?;
        let (slot, row) = outer(vault, caller, mandate.unit, &grant, &device, wrap, &said)?;
        if vault.store.wrap(mandate.unit, grant.id, item.credential, &slot)?.is_some() {
            return Err(Refusal::input("device", "has a key for it already"));
        }
        rows.push((item.credential, slot, row));
    }
    vault.record(Some(caller), vec![Draft { state: None, ..draft }], Vec::new(), |txn| {
        let unit = mandate.unit;
        rows.iter().try_for_each(|(credential, slot, row)| txn.put_wrap(unit, grant.id, *credential, slot, row))
    })?;
    Ok(())
}
