//! `revoke`: taking access away, now.

use super::caller::Caller;
use super::exposure;
use super::mandates::encode;
use super::recorder::Draft;
use super::vault::Vault;
use crate::anchor::Change;
use crate::api::{ExposureLine, Refusal, Request, RevokeAsk, RevokedAnswer};
use crate::ledger::Outcome;
use crate::model::{Event, Grant, GrantId, MemberId, Phase, Roster, UnitId, Verb, Why};
use crate::policy::{self, Scope};
use std::sync::Arc;

/// Revokes a member's access under one row, or all of it; the keys are destroyed before this returns.
///
/// # Errors
/// [`Refusal::NotFound`] where there is no live grant the caller may revoke.
pub fn revoke(
    vault: &mut Vault<'_>,
    caller: &Caller,
    request: Request<RevokeAsk>,
    (): (),
) -> Result<RevokedAnswer, Refusal> {
    let ask = request.ask;
    let member = vault.member_named(ask.member.as_str())?.id();
    let why = Why::Asked { reason: ask.reason };
    let of_member = |grant: &Grant| grant.facts.member == member;
    let (unit, row) = match &ask.of {
        None => (None, None),
        Some((operator, system)) => {
            let mandate = vault.find(caller.member(), caller.verb(), operator)?;
            let row = mandate.row_named(system.as_str()).ok_or(Refusal::NotFound)?.id;
            (Some(mandate.unit), Some(row))
        }
    };
    let exposure = exposure_of(vault, unit, member)?;
    let chosen = |grant: &Grant| of_member(grant) && row.is_none_or(|row| grant.facts.row == row);
    let (grants, epoch) = end_grants(vault, caller, unit, chosen, &why)?;
    if grants == 0 {
        return Err(Refusal::input("member", "holds no live grant there; see 'mandatum mandate show'"));
    }
    Ok(RevokedAnswer { grants, epoch, exposure })
}

/// Ends the chosen live grants in one or all mandates within the caller's reach: records first, keys after.
pub fn end_grants(
    vault: &mut Vault<'_>,
    caller: &Caller,
    only: Option<UnitId>,
    chosen: impl Fn(&Grant) -> bool,
    why: &Why,
) -> Result<(u64, Option<u64>), Refusal> {
    let ending = Ending::of(vault, caller, only, chosen, why)?;
    if ending.grants.is_empty() { Ok((0, None)) } else { ending.carry_out(vault, caller, Vec::new(), None) }
}

/// Grants that are about to end, with what their end writes.
pub struct Ending {
    drafts: Vec<Draft>,
    units: Vec<UnitId>,
    grants: Vec<(UnitId, GrantId)>,
}

impl Ending {
    /// The chosen live grants in one or all mandates within the caller's reach.
    pub fn of(
        vault: &mut Vault<'_>,
        caller: &Caller,
        only: Option<UnitId>,
        chosen: impl Fn(&Grant) -> bool,
        why: &Why,
    ) -> Result<Self, Refusal> {
        let (mut drafts, mut units, mut ended) = (Vec::new(), Vec::new(), Vec::new());
        for mut mandate in vault.one_or_all(only)? {
            let reaches = policy::reach(caller.member(), Verb::Revoke, Some(&mandate)) != Scope::Never;
            if !reaches || mandate.phase != Phase::Active {
                continue;
            }
            let live = mandate.live_grants().filter(|grant| chosen(grant));
            let grants: Vec<GrantId> = live.map(|grant| grant.facts.id).collect();
            if grants.is_empty() {
                continue;
            }
            let unit = mandate.unit;
            ended.extend(grants.iter().map(|grant| (unit, *grant)));
            let event = Event::Revoked { grants, why: why.clone() };
            let applied = mandate.apply(&event, Some(caller.id()), vault.now());
            applied.map_err(|error| Refusal::Integrity(error.to_string()))?;
            drafts.push(Draft { unit, outcome: Outcome::Mandate(event), state: Some(encode(&mandate)?) });
            units.push(unit);
        }
        Ok(Self { drafts, units, grants: ended })
    }

    /// Records the end together with the change of the roster that brings it about, if there is one, and then destroys
    /// the keys. Returns how many grants ended and the epoch that is gone, if any.
    pub fn carry_out(
        self,
        vault: &mut Vault<'_>,
        caller: &Caller,
        before: Vec<Change>,
        roster: Option<(Draft, Roster)>,
    ) -> Result<(u64, Option<u64>), Refusal> {
        let Self { mut drafts, mut units, grants } = self;
        let after = roster.map(|(draft, after)| {
            units.push(draft.unit);
            drafts.push(draft);
            after
        });
        // The signed revocation is durable before any key is touched; a crash in between is finished by the next call.
        let before = before.into_iter().chain([Change::Unfinished(units.clone())]).collect();
        vault.record(Some(caller), drafts, before, |txn| {
            grants.iter().try_for_each(|(unit, grant)| txn.drop_wraps(*unit, *grant))
        })?;
        if let Some(after) = after {
            vault.roster = Arc::new(after);
        }
        let (_, epoch) = vault.destroy_dead(&units)?;
        Ok((u64::try_from(grants.len()).unwrap_or(u64::MAX), epoch))
    }
}

/// What a member opened and nobody has rotated since, in one or all mandates.
pub fn exposure_of(
    vault: &mut Vault<'_>,
    only: Option<UnitId>,
    member: MemberId,
) -> Result<Vec<ExposureLine>, Refusal> {
    let mut mandates = vault.one_or_all(only)?;
    mandates.retain(|mandate| mandate.concerns(member));
    exposure::lines(vault, &mandates, Some(member))
}
