//! `mandate permit`, `request`, `deny`, `review`: how access comes about and stays right.

use super::caller::Caller;
use super::vault::Vault;
use crate::api::{DenyAsk, MandatePermitAsk, Refusal, Request, RequestAsk, ReviewAsk};
use crate::model::{Event, GrantId, GrantOrigin, Mandate, Phase, Role, Text};

/// Puts the operator's written permission for an outsider on file (clause 1.2).
///
/// # Errors
/// Input where the member is of the agency.
pub fn permit(
    vault: &mut Vault<'_>,
    caller: &Caller,
    request: Request<MandatePermitAsk>,
    (): (),
) -> Result<(), Refusal> {
    let ask = request.ask;
    let member = vault.roster.member(ask.permission.member).ok_or(Refusal::NotFound)?;
    if !member.is(Role::External) {
        let sentence = format!("{} is of the agency and needs no permission of the operator", member.name());
        return Err(Refusal::input("member", sentence));
    }
    if member.id() == caller.id() {
        return Err(Refusal::input("member", "nobody puts a permission for themselves on file"));
    }
    let mandate = vault.find(caller.member(), caller.verb(), &ask.operator)?;
    vault.change(caller, mandate, Event::Permitted { permission: ask.permission })?;
    Ok(())
}

/// Takes a member's request for access in. Who asks for what is not there gets the same answer.
///
/// # Errors
/// Input where the wish itself is not right.
pub fn request(vault: &mut Vault<'_>, caller: &Caller, request: Request<RequestAsk>, (): ()) -> Result<(), Refusal> {
    let RequestAsk { operator, wish } = request.ask;
    if wish.levels.is_empty() || wish.reason.is_empty() {
        return Err(Refusal::input("reason", "a request says at which level and what it is needed for"));
    }
    let taken = match addressed(vault, &operator, &wish.system)? {
        Some(mandate) => vault.change(caller, mandate, Event::Requested { wish }).map(drop),
        None => Err(Refusal::NotFound),
    };
    match taken {
        // What a mandate cannot take in answers like one that is not there.
        Err(Refusal::Input { .. } | Refusal::NotFound) => caller.record_refused(vault).map(drop),
        other => other,
    }
}

/// The active mandate with a row of this name, whoever asks.
fn addressed(vault: &mut Vault<'_>, operator: &Text, system: &Text) -> Result<Option<Mandate>, Refusal> {
    let mut found = vault.labelled(operator.folded())?;
    found.retain(|mandate| mandate.phase == Phase::Active && mandate.row_named(system.as_str()).is_some());
    Ok(found.pop())
}

/// Denies a request for access.
///
/// # Errors
/// Input where it is one's own, or does not wait.
pub fn deny(vault: &mut Vault<'_>, caller: &Caller, request: Request<DenyAsk>, (): ()) -> Result<(), Refusal> {
    let DenyAsk { operator, request, reason } = request.ask;
    let mandate = vault.find(caller.member(), caller.verb(), &operator)?;
    vault.change(caller, mandate, Event::RequestDenied { request, reason })?;
    Ok(())
}

/// Records a review: a decision on each live grant that was given. Narrowed grants are narrowed by it.
///
/// # Errors
/// Input naming how many grants have no decision.
pub fn review(vault: &mut Vault<'_>, caller: &Caller, request: Request<ReviewAsk>, (): ()) -> Result<(), Refusal> {
    let ReviewAsk { operator, lines } = request.ask;
    let mandate = vault.find(caller.member(), caller.verb(), &operator)?;
    let given = mandate.live_grants().filter(|grant| grant.facts.origin == GrantOrigin::Given);
    let given: Vec<GrantId> = given.map(|grant| grant.facts.id).collect();
    let missing = given.iter().filter(|id| lines.iter().all(|line| line.grant != **id)).count();
    if missing > 0 {
        return Err(Refusal::input("review", format!("{missing} grants have no decision; a review decides on each")));
    }
    vault.change(caller, mandate, Event::Reviewed { lines })?;
    Ok(())
}
