//! `member add/list/role/suspend/resume/remove`: the roster.

use super::caller::Caller;
use super::recorder::Draft;
use super::revoke::{Ending, exposure_of};
use super::vault::Vault;
use crate::anchor::Change;
use crate::api::{
    DeviceMark, EnrolLoad, MemberAddAsk, MemberAsk, MemberLine, MemberRoleAsk, Nothing, Refusal, Request, RevokedAnswer,
};
use crate::crypto::{Secret, Seed, Signed};
use crate::ledger::{Admission, Outcome, to_blob};
use crate::model::{Bundle, GrantOrigin, Member, MemberId, Name, Role, Roster, RosterEvent, Standing, Why};
use crate::store::{StoreError, Write};
use std::sync::Arc;
use zeroize::Zeroizing;

/// Admits a member who made their keys themselves; a code confirms the second factor and is used up by it.
///
/// # Errors
/// Input where the name is taken, the signatures are not right, or the code is wrong.
pub fn add(
    vault: &mut Vault<'_>,
    caller: &Caller,
    request: Request<MemberAddAsk>,
    load: EnrolLoad,
) -> Result<(), Refusal> {
    let (bundle, admission) = admitted(vault, caller, &request.ask.admission)?;
    if vault.roster.named(bundle.name.as_str()).is_some() {
        return Err(Refusal::input("name", "another member has this name; choose another"));
    }
    let seed = Zeroizing::new(load.seed);
    let step = confirm_seed(&seed, &load.code, vault.settings.clock.now().unix_seconds())?;
    let event = RosterEvent::Admitted {
        roles: admission.roles,
        admission: to_blob(&request.ask.admission),
        reuse_key: request.ask.reuse_key,
        bundle: bundle.clone(),
    };
    apply(vault, caller, event, vec![Change::Enrolled(bundle.member, seed, step)])
}

/// The step a code confirms a fresh seed for.
///
/// # Errors
/// Input where it does not.
pub fn confirm_seed(seed: &[u8], code: &str, unix_seconds: u64) -> Result<u64, Refusal> {
    let seed = Seed::decode(&Secret::copy_of(seed)).ok_or_else(|| Refusal::input("second factor", "is not a seed"))?;
    let wrong =
        || Refusal::input("code", "does not confirm the second factor; check the clock of the device and try again");
    seed.step_of(code, unix_seconds).ok_or_else(wrong)
}

/// The members, those who left too.
///
/// # Errors
/// None of its own.
pub fn list(vault: &mut Vault<'_>, _: &Caller, _: Request<Nothing>, (): ()) -> Result<Vec<MemberLine>, Refusal> {
    let core = vault.anchor.core();
    let line = |member: &Member| MemberLine {
        member: member.id(),
        name: member.name().clone(),
        roles: member.roles.clone(),
        standing: standing_name(&member.standing).to_owned(),
        since: member.since,
        second_factor: core.factor(member.id()).is_some(),
        separation_missing: lacks_separation(member),
        admissions: member.admissions.clone(),
        devices: member
            .active_devices()
            .map(|device| DeviceMark { device: device.label().clone(), key: device.bundle.sign })
            .collect(),
    };
    Ok(vault.roster.members.iter().map(line).collect())
}

/// Whether one person holds roles that are meant to check each other: who administers or audits does not also fetch.
pub fn lacks_separation(member: &Member) -> bool {
    let works = member.is(Role::Lead) || member.is(Role::Specialist);
    member.is_active() && works && (member.is(Role::Owner) || member.is(Role::Auditor))
}

fn standing_name(standing: &Standing) -> &'static str {
    match standing {
        Standing::Active => "active",
        Standing::Suspended { .. } => "suspended",
        Standing::Removed { .. } => "removed",
    }
}

/// Gives a member new roles. Who is no lead any more loses the standing grants with it.
///
/// # Errors
/// Input where it would leave the vault without an owner.
pub fn role(vault: &mut Vault<'_>, caller: &Caller, request: Request<MemberRoleAsk>, (): ()) -> Result<(), Refusal> {
    let (bundle, admission) = admitted(vault, caller, &request.ask.admission)?;
    let known = vault.roster.member(request.ask.member);
    let known = known.filter(|member| member.active_devices().any(|device| device.bundle == bundle));
    let was_lead = known.ok_or(Refusal::NotFound)?.is(Role::Lead);
    let loses_lead = was_lead && !admission.roles.contains(&Role::Lead);
    let event = RosterEvent::RolesChanged {
        member: bundle.member,
        roles: admission.roles,
        admission: to_blob(&request.ask.admission),
        reuse_keys: request.ask.reuse_keys,
    };
    if !loses_lead {
        return apply(vault, caller, event, Vec::new());
    }
    let why = Why::Asked { reason: crate::model::Text::parse("no longer a lead").unwrap_or_default() };
    let standing =
        |grant: &crate::model::Grant| grant.facts.member == bundle.member && grant.facts.origin == GrantOrigin::Lead;
    let ending = Ending::of(vault, caller, None, standing, &why)?;
    let changed = changed(vault, event)?;
    ending.carry_out(vault, caller, Vec::new(), Some(changed))?;
    Ok(())
}

/// Locks a member out: sessions end, every retrieval is denied until resumed.
///
/// # Errors
/// Input where it would leave the vault without an owner.
pub fn suspend(vault: &mut Vault<'_>, caller: &Caller, request: Request<MemberAsk>, (): ()) -> Result<(), Refusal> {
    let member = named(vault, &request.ask.name)?;
    apply(vault, caller, RosterEvent::Suspended { member }, vec![Change::AllOver(member)])
}

/// Lets a suspended member in again.
///
/// # Errors
/// Input where the member is not suspended.
pub fn resume(vault: &mut Vault<'_>, caller: &Caller, request: Request<MemberAsk>, (): ()) -> Result<(), Refusal> {
    let member = named(vault, &request.ask.name)?;
    apply(vault, caller, RosterEvent::Resumed { member }, Vec::new())
}

/// Enrols a member's second factor anew: a lost phone, or a new anchor. Their sessions end.
///
/// # Errors
/// Input where the code does not confirm it.
pub fn factor(
    vault: &mut Vault<'_>,
    caller: &Caller,
    request: Request<MemberAsk>,
    load: EnrolLoad,
) -> Result<(), Refusal> {
    let member = named(vault, &request.ask.name)?;
    let seed = Zeroizing::new(load.seed);
    let step = confirm_seed(&seed, &load.code, vault.settings.clock.now().unix_seconds())?;
    let before = vec![Change::Enrolled(member, seed, step), Change::AllOver(member)];
    apply(vault, caller, RosterEvent::FactorEnrolled { member }, before)
}

/// Ends a member's access for good: sessions end, grants are revoked, their keys and the second factor destroyed.
///
/// # Errors
/// Input where it would leave the vault without an owner.
pub fn remove(
    vault: &mut Vault<'_>,
    caller: &Caller,
    request: Request<MemberAsk>,
    (): (),
) -> Result<RevokedAnswer, Refusal> {
    let member = named(vault, &request.ask.name)?;
    let exposure = exposure_of(vault, None, member)?;
    // In one transaction: a crash leaves nobody gone whose grants are live.
    let ending = Ending::of(vault, caller, None, |grant| grant.facts.member == member, &Why::MemberRemoved)?;
    let changed = changed(vault, RosterEvent::Removed { member })?;
    let (grants, epoch) = ending.carry_out(vault, caller, vec![Change::AllOver(member)], Some(changed))?;
    Ok(RevokedAnswer { grants, epoch, exposure })
}

fn named(vault: &Vault<'_>, name: &Name) -> Result<MemberId, Refusal> {
    Ok(vault.member_named(name.as_str())?.id())
}

/// Checks an admission the way every other member's program will: signed by this owner, over the member's own keys.
pub fn admitted(vault: &Vault<'_>, caller: &Caller, signed: &Signed) -> Result<(Bundle, Admission), Refusal> {
    let refused =
        || Refusal::input("admission", "is not the asking owner's signature over a member's own keys and roles");
    let bundle = vault.directory()?.admit(signed).map_err(|_| refused())?;
    let admission: Admission = serde_json::from_slice(signed.unverified_bytes()).map_err(|_| refused())?;
    let here = *signed.claimed_key() == caller.device().bundle.sign;
    if admission.by != Some(caller.id()) || !here || admission.roles.is_empty() {
        return Err(refused());
    }
    Ok((bundle, admission))
}

/// Applies one event to the roster: the state after it must follow, or nothing is written.
pub fn apply(vault: &mut Vault<'_>, caller: &Caller, event: RosterEvent, before: Vec<Change>) -> Result<(), Refusal> {
    apply_with(vault, Some(caller), event, before, |_| Ok(()))
}

/// As [`apply`], with what is written beside it; by the broker itself where nobody asks.
pub fn apply_with(
    vault: &mut Vault<'_>,
    caller: Option<&Caller>,
    event: RosterEvent,
    before: Vec<Change>,
    also: impl FnOnce(&Write<'_>) -> Result<(), StoreError>,
) -> Result<(), Refusal> {
    let (draft, roster) = changed(vault, event)?;
    vault.record(caller, vec![draft], before, also)?;
    vault.roster = Arc::new(roster);
    Ok(())
}

/// The record of one event of the roster, and the roster after it.
fn changed(vault: &Vault<'_>, event: RosterEvent) -> Result<(Draft, Roster), Refusal> {
    let mut roster = (*vault.roster).clone();
    roster.apply(&event, vault.now()).map_err(|error| Refusal::input("member", error.to_string()))?;
    let state = postcard::to_stdvec(&roster).map_err(|e| Refusal::Failed(e.to_string()))?;
    let draft = Draft { unit: roster.unit, outcome: Outcome::Roster(event), state: Some(state) };
    Ok((draft, roster))
}
