//! `member invite/pending/confirm/reject`, and `join`: keys that are made on the newcomer's own machine.
//!
//! Guarantees: of an invitation the broker keeps a digest of its token and no more. Whoever holds the token can hand in
//! one pair of keys, once, and nothing is theirs by it: they are a member's only after an owner has signed exactly these
//! keys, having compared their fingerprint with the newcomer. A broker that puts others in their place changes it.

use super::caller::Caller;
use super::members::{admitted, apply, apply_with, confirm_seed};
use super::unlock::{Judged, judge_code, wait_ms, wrong_code};
use super::vault::Vault;
use crate::anchor::Change;
use crate::api::{
    Joining, MemberConfirmAsk, MemberInviteAsk, MemberRejectAsk, Nothing, PendingAnswer, PendingLine, Refusal, Request,
    token_digest,
};
use crate::crypto::wrap_note;
use crate::ledger::{from_blob, open_bundle, to_blob};
use crate::model::{
    Bundle, Deny, Instant, Invitation, InvitedFacts, MemberId, Phase, Role, Roster, RosterEvent, UnitId,
};

/// An invitation is good for this long at most, ms.
const VALID_MAX_MS: i64 = 7 * 24 * 60 * 60 * 1000;
/// Whoever shows wrong tokens waits at most this long, ms: a true one must not wait for them.
const WAIT_MAX_MS: i64 = 60 * 1000;

/// Wrong tokens in a row, and when the next one is looked at.
#[derive(Clone, Copy, Default)]
pub struct WrongTokens {
    count: u32,
    until: Option<Instant>,
}

/// Keeps an invitation: of the token, its digest alone. An earlier one of the same name is replaced.
///
/// # Errors
/// Input where the name is taken, or an outsider's permission is missing.
pub fn invite(
    vault: &mut Vault<'_>,
    caller: &Caller,
    request: Request<MemberInviteAsk>,
    (): (),
) -> Result<Instant, Refusal> {
    let MemberInviteAsk { invited, valid_ms } = request.ask;
    check_permission(vault, &invited)?;
    let until = vault.now().plus(valid_ms.clamp(0, VALID_MAX_MS));
    apply(vault, caller, RosterEvent::Invited { invited, until }, Vec::new())?;
    Ok(until)
}

/// Nobody from outside is made a member without the paper (clause 1.2).
fn check_permission(vault: &mut Vault<'_>, invited: &InvitedFacts) -> Result<(), Refusal> {
    match (&invited.permission, invited.roles.contains(&Role::External)) {
        (None, false) => Ok(()),
        (Some(permission), true) => match vault.mandate(permission.unit)? {
            Some(mandate) if mandate.phase == Phase::Active => Ok(()),
            _ => Err(Refusal::input("operator", "has no mandate in force that a permission could be put under")),
        },
        _ => Err(Refusal::input("permission", "goes with an outsider, and an outsider with a permission")),
    }
}

/// Open invitations, and the keys that wait to be confirmed.
///
/// # Errors
/// None of its own.
pub fn pending(vault: &mut Vault<'_>, _: &Caller, _: Request<Nothing>, (): ()) -> Result<PendingAnswer, Refusal> {
    let now = vault.now();
    let mut waiting = Vec::new();
    for invitation in vault.roster.invitations.clone() {
        if invitation.joined.is_none() && !invitation.is_open(now) {
            continue;
        }
        let unit: Option<UnitId> = invitation.invited.permission.as_ref().map(|permission| permission.unit);
        let mandate = unit.map(|unit| vault.mandate(unit)).transpose()?.flatten();
        waiting.push(PendingLine {
            bundle: invitation.joined.as_ref().and_then(|(bundle, _)| from_blob(bundle)),
            joined: invitation.joined.as_ref().map(|(_, at)| *at),
            until: invitation.until,
            operator: mandate.map(|mandate| mandate.operator),
            invited: invitation.invited,
        });
    }
    Ok(PendingAnswer { served: vault.settings.served.clone(), waiting })
}

/// Takes a newcomer's keys in, with no member's authority but the token's: it is used up, the keys wait.
///
/// # Errors
/// Authentication, in one sentence for an unknown, used and lapsed token; input where the keys or the code are not right,
/// and then the token is still good.
pub fn join(vault: &mut Vault<'_>, wrong: &mut WrongTokens, joining: Joining) -> Result<(), Refusal> {
    let now = vault.now();
    let token = token_digest(&joining.token);
    let open = vault.roster.invitations.iter().find(|open| open.invited.token == token && open.is_open(now));
    let Some(invited) = open.map(|open| open.invited.clone()) else {
        // Only wrong tokens wait: whoever floods with them keeps no true one out.
        if let Some(until) = wrong.until.filter(|until| now < *until) {
            let seconds = until.since(now) / 1000 + 1;
            return Err(Refusal::Authentication(format!("too many wrong invitations; try again in {seconds} s")));
        }
        wrong.count = wrong.count.saturating_add(1);
        wrong.until = Some(now.plus(wait_ms(wrong.count).min(WAIT_MAX_MS)));
        return Err(Refusal::Authentication("the invitation is unknown, was used, or is over".into()));
    };
    *wrong = WrongTokens::default();

    // The keys before the code: a code is used up by being looked at.
    let bundle = open_bundle(&joining.bundle).ok_or_else(|| keys("are not signed by themselves"))?;
    check_keys(vault, &invited, &bundle)?;
    let seed = match (invited.of, joining.seed) {
        (None, Some(seed)) => {
            let step = confirm_seed(&seed, &joining.code, vault.settings.clock.now().unix_seconds())?;
            vec![Change::Enrolled(bundle.member, seed, step)]
        }
        (Some(member), None) => {
            accept_member_code(vault, member, &joining.code)?;
            Vec::new()
        }
        (None, None) => return Err(Refusal::input("second factor", "is missing; a new member enrols one")),
        (Some(_), Some(_)) => return Err(Refusal::input("second factor", "is there; a further device has no own one")),
    };
    let event = RosterEvent::Joined { token, bundle: to_blob(&joining.bundle) };
    apply_with(vault, None, event, seed, |_| Ok(()))
}

/// The keys are what was invited, and nobody else's: a second factor enrolled for an id that is somebody's would be
/// theirs from then on.
fn check_keys(vault: &Vault<'_>, invited: &InvitedFacts, bundle: &Bundle) -> Result<(), Refusal> {
    if (bundle.vault, &bundle.name, &bundle.device) != (vault.id(), &invited.name, &invited.device) {
        return Err(keys("carry another name, device or vault than the invitation"));
    }
    let known = vault.roster.member(bundle.member);
    let id_fits = match invited.of {
        Some(member) => member == bundle.member && known.is_some_and(crate::model::Member::is_active),
        None => known.is_none() && !waiting_members(&vault.roster).contains(&bundle.member),
    };
    if !id_fits {
        return Err(keys("carry another member's id"));
    }
    let devices = vault.roster.members.iter().flat_map(|member| &member.devices).map(|device| device.bundle.clone());
    let mut others = devices.chain(joined_keys(&vault.roster));
    if others.any(|other| other.sign == bundle.sign || other.enc == bundle.enc) {
        return Err(keys("are another device's; make new ones"));
    }
    // Everything is wrapped to it later: what is no recipient would stop every lead of this member.
    wrap_note(&bundle.enc, b"").map(drop).map_err(|_| keys("hold no age recipient"))
}

fn keys(sentence: &str) -> Refusal {
    Refusal::input("keys", sentence)
}

fn accept_member_code(vault: &mut Vault<'_>, member: MemberId, code: &str) -> Result<(), Refusal> {
    match judge_code(vault, member, code)? {
        Judged::Accepted => Ok(()),
        Judged::Replayed => Err(Deny::MfaReplayed.into()),
        Judged::Wrong => Err(wrong_code()),
    }
}

/// The keys that were handed in and wait to be confirmed.
pub fn joined_keys(roster: &Roster) -> impl Iterator<Item = Bundle> {
    let joined = roster.invitations.iter().filter_map(|invitation| invitation.joined.as_ref());
    joined.filter_map(|(bundle, _)| open_bundle(&from_blob(bundle)?))
}

/// New members whose keys wait to be confirmed: they have a second factor and no place in the roster yet.
pub fn waiting_members(roster: &Roster) -> Vec<MemberId> {
    joined_keys(roster).map(|keys| keys.member).filter(|member| roster.member(*member).is_none()).collect()
}

/// Admits the keys that were handed in: exactly those, by the asking owner's signature.
///
/// # Errors
/// Input where no such keys wait, or the roles are other than those of the invitation.
pub fn confirm(
    vault: &mut Vault<'_>,
    caller: &Caller,
    request: Request<MemberConfirmAsk>,
    (): (),
) -> Result<(), Refusal> {
    // Since when a device's signatures count is read off the clock.
    if !vault.clock.may_destroy() {
        return Err(caller.deny(vault, vault.roster.unit, Deny::ClockSuspect));
    }
    let MemberConfirmAsk { admission: signed, reuse_key } = request.ask;
    let (bundle, admission) = admitted(vault, caller, &signed)?;
    let waits = |open: &&Invitation| {
        open.joined.as_ref().and_then(|(keys, _)| from_blob(keys)).as_ref() == Some(&admission.bundle)
    };
    let none = || Refusal::input("admission", "is over keys that do not wait to be confirmed");
    let invited = vault.roster.invitations.iter().find(waits).ok_or_else(none)?.invited.clone();
    let roles = match invited.of {
        Some(member) => vault.roster.member(member).ok_or(Refusal::NotFound)?.roles.clone(),
        None => invited.roles,
    };
    if admission.roles != roles {
        return Err(Refusal::input("roles", "are other than the invitation's, or than the member has"));
    }
    if vault.anchor.core().factor(bundle.member).is_none() {
        return Err(Refusal::input("second factor", "is not here any more; reject these keys and invite anew"));
    }
    let admission = to_blob(&signed);
    let event = match invited.of {
        Some(_) => RosterEvent::DeviceAdmitted { bundle, admission, reuse_key },
        None => RosterEvent::Admitted { bundle, roles, admission, reuse_key },
    };
    apply(vault, caller, event, Vec::new())
}

/// Withdraws an invitation, or rejects the keys handed in under it; a second factor enrolled with them is destroyed.
///
/// # Errors
/// Input where there is none.
pub fn reject(
    vault: &mut Vault<'_>,
    caller: &Caller,
    request: Request<MemberRejectAsk>,
    (): (),
) -> Result<(), Refusal> {
    // What is destroyed is found by the roster; a crash after the record is finished by the next call.
    let unit = vault.roster.unit;
    let event = RosterEvent::InvitationEnded { token: request.ask.token };
    apply(vault, caller, event, vec![Change::Unfinished(vec![unit])])?;
    vault.destroy_dead(&[unit])?;
    Ok(())
}
