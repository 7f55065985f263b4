//! `due` and `status`: what a lead looks at in the morning.

use super::caller::Caller;
use super::close::{credential_name, unsettled};
use super::members::lacks_separation;
use super::vault::Vault;
use super::{clock_name, exposure};
use crate::api::{DueAsk, DueLine, Nothing, Overview, Refusal, Request, RequestLine};
use crate::model::{
    GrantOrigin, IncidentKind, Instant, Level, Mandate, Member, MemberId, Name, Phase, SecondFactor, Verb,
};
use crate::policy::{self, Scope};

/// A day, ms.
pub const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// How far ahead the overview looks, days.
const OVERVIEW_DAYS: u32 = 30;

/// What ends within so many days.
///
/// # Errors
/// Integrity where a mandate does not hold together.
pub fn due(vault: &mut Vault<'_>, caller: &Caller, request: Request<DueAsk>, (): ()) -> Result<Vec<DueLine>, Refusal> {
    let mandates = vault.mandates_for(caller.member(), caller.verb())?;
    Ok(due_lines(vault, caller, &mandates, request.ask.days))
}

fn due_lines(vault: &Vault<'_>, caller: &Caller, mandates: &[Mandate], days: u32) -> Vec<DueLine> {
    let mut lines = Vec::new();
    for mandate in mandates.iter().filter(|mandate| mandate.phase == Phase::Active) {
        let scope = policy::reach(caller.member(), Verb::Due, Some(mandate));
        let only = (scope == Scope::Granted).then(|| caller.id());
        lines.extend(due_in(vault, mandate, only, days));
    }
    lines.sort_by_key(|line| (line.until, line.operator.folded()));
    lines
}

/// What ends under one mandate within so many days; only one member's where named.
pub fn due_in(vault: &Vault<'_>, mandate: &Mandate, only: Option<MemberId>, days: u32) -> Vec<DueLine> {
    let now = vault.now();
    let within = |until: Instant| until <= now.plus(i64::from(days) * DAY_MS);
    let line = |until: Instant, what: &str| DueLine {
        until,
        days: until.since(now).div_euclid(DAY_MS),
        what: what.to_owned(),
        operator: mandate.operator.clone(),
        system: None,
        member: None,
    };
    let mut lines = Vec::new();
    if only.is_none() && within(mandate.term.until) {
        lines.push(line(mandate.term.until, "mandate"));
    }
    for row in mandate.live_rows() {
        let until = row.terms.term.until;
        // A row or grant that ends with what it lies in says nothing new.
        if only.is_none() && until < mandate.term.until && within(until) {
            lines.push(DueLine { system: Some(row.system.clone()), ..line(until, "row") });
        }
        for grant in mandate.live_grants().filter(|grant| grant.facts.row == row.id) {
            let ends = grant.facts.term.until;
            let mine = only == Some(grant.facts.member);
            let own_end = ends < until && grant.facts.origin == GrantOrigin::Given && only.is_none();
            if (mine || own_end) && within(ends) {
                let member = Some(vault.name_of(grant.facts.member));
                lines.push(DueLine { system: Some(row.system.clone()), member, ..line(ends, "grant") });
            }
        }
    }
    lines
}

/// The overview of everything in sight.
///
/// # Errors
/// Integrity where a mandate does not hold together.
pub fn status(vault: &mut Vault<'_>, caller: &Caller, _: Request<Nothing>, (): ()) -> Result<Overview, Refusal> {
    let mandates = vault.mandates_for(caller.member(), caller.verb())?;
    let ending = due_lines(vault, caller, &mandates, OVERVIEW_DAYS);
    let (mut exposed, mut not_settled) = (Vec::new(), Vec::new());
    let (mut weak, mut without, mut wide, mut credentials) = (Vec::new(), Vec::new(), Vec::new(), 0);
    for mandate in &mandates {
        let scope = policy::reach(caller.member(), caller.verb(), Some(mandate));
        let only = (scope == Scope::Granted).then(|| caller.id());
        if !matches!(mandate.phase, Phase::Closed { .. }) {
            exposed.extend(exposure::lines(vault, std::slice::from_ref(mandate), only)?);
        }
        if only.is_none() && matches!(mandate.phase, Phase::Ended(_)) && !unsettled(vault, mandate)?.is_empty() {
            not_settled.push(mandate.operator.clone());
        }
        if mandate.phase != Phase::Active {
            continue;
        }
        for row in mandate.live_rows().filter(|row| only.is_none_or(|m| mandate.grant_for(m, row.id).is_some())) {
            if row.terms.levels.contains(&Level::Admin) {
                wide.push(format!("{}/{}", mandate.operator, row.system));
            }
            for credential in mandate.credentials_of(row.id) {
                credentials += 1;
                let name = credential_name(row.system.as_str(), credential.name.as_str());
                let name = format!("{}/{name}", mandate.operator);
                if credential.second_factor == SecondFactor::Unknown {
                    without.push(name.clone());
                }
                let reason = credential.current.as_ref().and_then(|version| version.allowed_weak.clone());
                weak.extend(reason.map(|reason| (name, reason)));
            }
        }
    }
    let (requests, incidents) = (waiting(vault, caller, &mandates), open_incidents(caller, &mandates));
    let led = |mandate: &&Mandate| policy::reach(caller.member(), caller.verb(), Some(mandate)) > Scope::Granted;
    let drafts = mandates.iter().filter_map(|m| m.draft().map(|draft| (m.operator.clone(), draft.questions)));
    let drafts = drafts.collect();
    let reviewed = mandates.iter().filter(|mandate| mandate.phase == Phase::Active).filter(led);
    let reviewed = reviewed.map(|mandate| (mandate.operator.clone(), mandate.reviewed.unwrap_or(mandate.since)));
    let reviewed = reviewed.collect();
    // Whoever may not list the members is told of themselves alone.
    let told = caller.may_list_members();
    let members = vault.roster.members.iter().filter(|member| told || member.id() == caller.id());
    let separation: Vec<_> = members.filter(|m| lacks_separation(m)).map(|m: &Member| m.name().clone()).collect();
    Ok(Overview {
        assurance: vault.settings.assurance,
        now: vault.now(),
        clock: clock_name(vault.clock).to_owned(),
        mandates: u64::try_from(mandates.iter().filter(|m| m.phase == Phase::Active).count()).unwrap_or(0),
        credentials,
        ending,
        exposed,
        weak,
        without_second_factor: without,
        unsettled: not_settled,
        drafts,
        requests,
        reviewed,
        incidents,
        separation_missing: separation,
        wide,
    })
}

/// The requests that wait: the caller's own, or all of a mandate the caller leads or watches.
fn waiting(vault: &Vault<'_>, caller: &Caller, mandates: &[Mandate]) -> Vec<RequestLine> {
    let mut lines = Vec::new();
    for mandate in mandates {
        let all = policy::reach(caller.member(), Verb::Status, Some(mandate)) > Scope::Granted;
        for request in mandate.waiting().filter(|request| all || request.by == caller.id()) {
            lines.push(RequestLine {
                unit: mandate.unit,
                operator: mandate.operator.clone(),
                member: vault.name_of(request.by),
                wish: request.wish.clone(),
                at: request.at,
            });
        }
    }
    lines
}

fn open_incidents(caller: &Caller, mandates: &[Mandate]) -> Vec<(Name, IncidentKind, Instant, bool)> {
    let led = mandates.iter().filter(|m| policy::reach(caller.member(), Verb::Status, Some(m)) > Scope::Granted);
    let of = |mandate: &Mandate| -> Vec<(Name, IncidentKind, Instant, bool)> {
        let open = mandate.open_incidents();
        let line =
            |i: &crate::model::Incident| (mandate.operator.clone(), i.facts.kind, i.facts.detected, i.told().is_some());
        open.map(line).collect()
    };
    led.flat_map(of).collect()
}
