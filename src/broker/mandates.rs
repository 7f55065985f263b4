//! `mandate open/list/show/amend`.

use super::caller::Caller;
use super::recorder::Draft;
use super::vault::Vault;
use crate::anchor::Change;
use crate::api::{
    MandateAmendAsk, MandateLine, MandateOpenAsk, MandateView, NameAsk, Nothing, Refusal, Request, RowSpec, Seen,
};
use crate::crypto::{Context, Entropy, Key, hash, open_exact, seal_exact, wrap_note};
use crate::ledger::Outcome;
use crate::model::{
    Date, Event, GrantFacts, GrantId, GrantOrigin, Instant, Mandate, Member, MemberId, Name, Phase, Role, RosterEvent,
    Row, RowChange, RowId, RowTerms, Term, Text, UnitId, VaultId, Verb, Zone,
};
use crate::policy::{self, Scope};

/// A mark's length: nonce and tag.
const MARK: usize = 24 + 16;

/// Opens a mandate with its table; its leads get standing grants under every row.
///
/// # Errors
/// Input naming the field; nothing is stored then.
pub fn open(
    vault: &mut Vault<'_>,
    caller: &Caller,
    request: Request<MandateOpenAsk>,
    (): (),
) -> Result<UnitId, Refusal> {
    let ask = request.ask;
    let lead = lead_named(vault, caller, ask.lead.as_ref())?;
    check_none_active(vault, caller, &ask.operator)?;
    let zone = ask.zone.unwrap_or_else(|| vault.roster.zone.clone());
    let term = days("until", ask.signed, ask.until, &zone)?;
    let (rows, grants) = table(vault, &ask.rows, (ask.signed, ask.until), term, &zone, &[lead.id()])?;
    let unit = UnitId(vault.fresh_id());
    let event = Event::Opened {
        operator: ask.operator.clone(),
        contract: ask.contract,
        signed: ask.signed,
        until: ask.until,
        zone: zone.clone(),
        term,
        jurisdiction: ask.jurisdiction,
        leads: vec![lead.id()],
        rows,
        grants: grants.clone(),
    };
    let mandate = Mandate::open(unit, &event, Some(caller.id()), vault.now());
    let mandate = mandate.map_err(|error| Refusal::input("rows", error.to_string()))?;

    let before = grant_keys(vault, unit, &grants);
    add_unit(vault, caller, mandate, event, term.until, before)?;
    Ok(unit)
}

/// Makes a unit: its keys, its first record, its place in the roster.
pub fn add_unit(
    vault: &mut Vault<'_>,
    caller: &Caller,
    mandate: Mandate,
    event: Event,
    ends: Instant,
    grant_keys: Vec<Change>,
) -> Result<(), Refusal> {
    // The anchor knows the keys before anything is sealed by them; an unused key harms nobody.
    let unit = mandate.unit;
    let (state_key, evidence_key) = (Key::generate(vault.entropy()), Key::generate(vault.entropy()));
    let label = vault.label(mandate.operator.folded());
    let wrapped = wrap_unit_keys(vault, unit, &state_key, &evidence_key)?;
    let mut before = vec![Change::Opened { unit, state_key, evidence_key }, Change::Term(unit, ends)];
    before.extend(grant_keys);
    let draft = Draft { unit, outcome: Outcome::Mandate(event), state: Some(encode(&mandate)?) };
    let named =
        Draft { unit: vault.roster.unit, outcome: Outcome::Roster(RosterEvent::MandateOpened { unit }), state: None };
    vault.record(Some(caller), vec![draft, named], before, |txn| txn.add_unit(unit, &label, &wrapped))?;
    Ok(())
}

/// Who is to lead a mandate: somebody who holds the role.
pub fn lead_named(vault: &Vault<'_>, caller: &Caller, name: Option<&Name>) -> Result<Member, Refusal> {
    let lead = match name {
        Some(name) => vault.member_named(name.as_str())?,
        None => caller.member().clone(),
    };
    if !lead.is(Role::Lead) || !lead.is_active() {
        return Err(Refusal::input("lead", format!("{} does not hold the role 'lead'", lead.name())));
    }
    Ok(lead)
}

/// One active mandate of an operator at a time: which one a name means must not be a guess.
pub fn check_none_active(vault: &mut Vault<'_>, caller: &Caller, operator: &Name) -> Result<(), Refusal> {
    match vault.find(caller.member(), Verb::MandateShow, &text(operator.as_str())?) {
        Ok(known) if known.phase == Phase::Active => {
            Err(Refusal::input("operator", "an active mandate of this operator is open; amend or end it first"))
        }
        _ => Ok(()),
    }
}

/// The rows of a table and the leads' standing grants under them.
pub fn table(
    vault: &Vault<'_>,
    specs: &[RowSpec],
    (from, until): (Date, Date),
    term: Term,
    zone: &Zone,
    leads: &[MemberId],
) -> Result<(Vec<RowChange>, Vec<GrantFacts>), Refusal> {
    let bounds = Bounds { from, until, term, zone };
    let rows = specs.iter().map(|spec| new_row(vault, spec, &bounds)).collect::<Result<Vec<_>, _>>()?;
    let grants = standing_grants(vault, &rows, leads);
    Ok((rows, grants))
}

/// The mandates in sight.
///
/// # Errors
/// Integrity where one does not hold together.
pub fn list(vault: &mut Vault<'_>, caller: &Caller, _: Request<Nothing>, (): ()) -> Result<Vec<MandateLine>, Refusal> {
    let mandates = vault.mandates_for(caller.member(), caller.verb())?;
    let mut lines: Vec<MandateLine> = mandates.iter().map(|mandate| line(vault, mandate)).collect();
    lines.sort_by_key(|line| (line.operator.folded(), line.until));
    Ok(lines)
}

fn line(vault: &Vault<'_>, mandate: &Mandate) -> MandateLine {
    let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
    MandateLine {
        unit: mandate.unit,
        operator: mandate.operator.clone(),
        contract: mandate.contract.clone(),
        phase: phase_name(&mandate.phase).to_owned(),
        until: mandate.term.until,
        rows: count(mandate.live_rows().count()),
        credentials: count(mandate.credentials.len()),
        grants: count(mandate.live_grants().count()),
        leads: mandate.leads.iter().map(|lead| vault.name_of(*lead)).collect(),
    }
}

fn phase_name(phase: &Phase) -> &'static str {
    match phase {
        Phase::Draft(_) => "draft",
        Phase::Active => "active",
        Phase::Ended(_) => "ended",
        Phase::Closed { .. } => "closed",
    }
}

/// One mandate; a specialist sees the rows granted to them and nothing else of it.
///
/// # Errors
/// [`Refusal::NotFound`].
pub fn show(vault: &mut Vault<'_>, caller: &Caller, request: Request<NameAsk>, (): ()) -> Result<MandateView, Refusal> {
    let mandate = vault.find(caller.member(), caller.verb(), &request.ask.operator)?;
    let scope = policy::reach(caller.member(), caller.verb(), Some(&mandate));
    view(vault, mandate, (scope == Scope::Granted).then(|| caller.id()))
}

pub fn view(vault: &mut Vault<'_>, mut mandate: Mandate, only: Option<MemberId>) -> Result<MandateView, Refusal> {
    if let Some(member) = only {
        mandate.grants.retain(|grant| grant.facts.member == member);
        let rows: Vec<RowId> = mandate.grants.iter().map(|grant| grant.facts.row).collect();
        mandate.rows.retain(|row| rows.contains(&row.id));
        mandate.credentials.retain(|credential| rows.contains(&credential.row));
        mandate.requests.retain(|request| request.by == member);
        mandate.permissions.retain(|permission| permission.member == member);
        (mandate.incidents, mandate.evidence) = (Vec::new(), Vec::new());
    }
    let people = mandate.leads.iter().chain(mandate.grants.iter().map(|grant| &grant.facts.member));
    let people = people.chain(mandate.requests.iter().map(|request| &request.by));
    let people = people.chain(mandate.permissions.iter().map(|permission| &permission.member));
    let members = people.map(|id| (*id, vault.name_of(*id))).collect();
    let head = vault.segment(mandate.unit)?.head;
    Ok(MandateView { mandate, members, head: Seen { size: head.size, root: head.root } })
}

/// Changes the access table; narrows or ends every grant under the changed rows in the same step and destroys the keys
/// of those that ended.
///
/// # Errors
/// Input naming the row and the field; nothing is stored then.
pub fn amend(
    vault: &mut Vault<'_>,
    caller: &Caller,
    request: Request<MandateAmendAsk>,
    (): (),
) -> Result<MandateView, Refusal> {
    let ask = request.ask;
    let mut mandate = vault.find(caller.member(), caller.verb(), &ask.operator)?;
    if mandate.phase != Phase::Active {
        return Err(crate::model::Deny::MandateNotActive.into());
    }
    let changes = changes(vault, &mandate, &ask)?;
    let grants = standing_grants(vault, &changes, &mandate.leads);
    let (unit, now) = (mandate.unit, vault.now());

    // What the change does to the grants stands in the event itself: run it once to know.
    let mut after = mandate.clone();
    let probe = |narrowed| Event::Amended { changes: changes.clone(), grants: grants.clone(), narrowed };
    let refused = |error: crate::model::FoldError| Refusal::input("rows", error.to_string());
    after.try_changes(&changes, &grants, now).map_err(refused)?;
    let event = probe(after.narrowed(&changes));
    mandate.apply(&event, Some(caller.id()), now).map_err(refused)?;

    let dead = mandate.grants.iter().filter(|grant| !grant.is_live() && grant.destroyed.is_none());
    let dead: Vec<GrantId> = dead.map(|grant| grant.facts.id).collect();
    let mut before = grant_keys(vault, unit, &grants);
    if !dead.is_empty() {
        before.push(Change::Unfinished(vec![unit]));
    }
    let draft = Draft { unit, outcome: Outcome::Mandate(event), state: Some(encode(&mandate)?) };
    vault.record_after(Some(caller), draft, before, &mandate, |txn| {
        dead.iter().try_for_each(|grant| txn.drop_wraps(unit, *grant))
    })?;
    if !dead.is_empty() {
        vault.destroy_dead(&[unit])?;
    }
    let mandate = vault.mandate(unit)?.ok_or(Refusal::NotFound)?;
    view(vault, mandate, None)
}

/// The days within which a row may lie.
struct Bounds<'a> {
    from: Date,
    until: Date,
    term: Term,
    zone: &'a Zone,
}

fn changes(vault: &Vault<'_>, mandate: &Mandate, ask: &MandateAmendAsk) -> Result<Vec<RowChange>, Refusal> {
    let mut changes = Vec::new();
    let until = ask.until.unwrap_or(mandate.until);
    let term = days("until", mandate.signed, until, &mandate.zone)?;
    let bounds = Bounds { from: mandate.signed, until, term, zone: &mandate.zone };
    if ask.until.is_some() {
        changes.push(RowChange::Until { until, term });
    }
    for spec in &ask.set {
        let row = row_to_change(mandate, spec.system.as_str())?;
        changes.push(RowChange::Set { row: row.id, terms: merged(&row.terms, spec, &bounds)? });
    }
    for system in &ask.remove {
        changes.push(RowChange::Remove { row: row_to_change(mandate, system.as_str())?.id });
    }
    for spec in &ask.add {
        changes.push(new_row(vault, spec, &bounds)?);
    }
    if changes.is_empty() {
        return Err(Refusal::input("rows", "nothing to change: name rows to add, set or remove, or a new last day"));
    }
    Ok(changes)
}

fn row_to_change<'a>(mandate: &'a Mandate, system: &str) -> Result<&'a Row, Refusal> {
    let missing =
        || Refusal::input("rows", format!("there is no row '{system}' in force; see 'mandatum mandate show'"));
    mandate.live_rows().find(|row| row.system.same(system)).ok_or_else(missing)
}

/// Bounds of a row after a change: what the spec leaves empty stays.
fn merged(old: &RowTerms, spec: &RowSpec, bounds: &Bounds<'_>) -> Result<RowTerms, Refusal> {
    let or = |new: &Vec<Text>, old: &Vec<Text>| if new.is_empty() { old.clone() } else { new.clone() };
    let (from, until) = (spec.from.unwrap_or(old.from), spec.until.unwrap_or(old.until.min(bounds.until)));
    Ok(RowTerms {
        data: or(&spec.data, &old.data),
        levels: if spec.levels.is_empty() { old.levels.clone() } else { spec.levels.clone() },
        purposes: or(&spec.purposes, &old.purposes),
        from,
        until,
        term: row_term(&spec.system, from, until, bounds)?,
        grant_days: spec.grant_days.or(old.grant_days),
    })
}

fn new_row(vault: &Vault<'_>, spec: &RowSpec, bounds: &Bounds<'_>) -> Result<RowChange, Refusal> {
    let lacks = |what: &str| {
        Refusal::input("rows", format!("row '{}' has no {what}; every row says at least one", spec.system))
    };
    if spec.levels.is_empty() {
        return Err(lacks("access level"));
    }
    if spec.purposes.is_empty() {
        return Err(lacks("purpose"));
    }
    let (from, until) = (spec.from.unwrap_or(bounds.from), spec.until.unwrap_or(bounds.until));
    Ok(RowChange::Add {
        row: RowId(vault.fresh_id()),
        system: spec.system.clone(),
        category: spec.category.clone(),
        platform: spec.platform.clone(),
        terms: RowTerms {
            data: spec.data.clone(),
            levels: spec.levels.clone(),
            purposes: spec.purposes.clone(),
            from,
            until,
            term: row_term(&spec.system, from, until, bounds)?,
            grant_days: spec.grant_days,
        },
    })
}

fn row_term(system: &Name, from: Date, until: Date, bounds: &Bounds<'_>) -> Result<Term, Refusal> {
    let term = days(&format!("rows: {system}"), from, until, bounds.zone)?;
    if term.within(&bounds.term) {
        return Ok(term);
    }
    let sentence = format!(
        "row '{system}' runs {from} to {until}, outside the mandate's {} to {}; a row lies within its mandate",
        bounds.from, bounds.until
    );
    Err(Refusal::input("rows", sentence))
}

pub fn days(field: &str, from: Date, until: Date, zone: &Zone) -> Result<Term, Refusal> {
    Term::of_days(from, until, zone).map_err(|error| Refusal::input(field, error.to_string()))
}

/// One grant for each lead under each new row.
fn standing_grants(vault: &Vault<'_>, rows: &[RowChange], leads: &[MemberId]) -> Vec<GrantFacts> {
    let mut grants = Vec::new();
    for change in rows {
        let RowChange::Add { row, terms, .. } = change else { continue };
        grants.extend(leads.iter().map(|lead| GrantFacts {
            id: GrantId(vault.fresh_id()),
            member: *lead,
            row: *row,
            levels: terms.levels.clone(),
            purposes: terms.purposes.clone(),
            term: terms.term,
            origin: GrantOrigin::Lead,
        }));
    }
    grants
}

/// A fresh key for each new grant, for the anchor alone.
pub fn grant_keys(vault: &Vault<'_>, unit: UnitId, grants: &[GrantFacts]) -> Vec<Change> {
    let key = |grant: &GrantFacts| Change::Granted(unit, grant.id, Key::generate(vault.entropy()), grant.term.until);
    grants.iter().map(key).collect()
}

/// A unit's keys, wrapped to the recovery recipient.
pub fn wrap_unit_keys(vault: &Vault<'_>, unit: UnitId, state: &Key, evidence: &Key) -> Result<Vec<u8>, Refusal> {
    let plain = zeroize::Zeroizing::new([&unit.bytes()[..], state.expose(), evidence.expose()].concat());
    let wrapped = wrap_note(&vault.recovery()?, &plain);
    let wrapped = wrapped.map_err(|e| Refusal::Integrity(format!("recovery recipient {e}")))?;
    Ok(mark_unit_keys(vault.id(), unit, evidence, &wrapped, vault.entropy()))
}

/// The broker cannot open the recovery wrap; by a mark under the evidence key it tells that this is the one it made.
pub fn mark_unit_keys(vault: VaultId, unit: UnitId, evidence: &Key, wrapped: &[u8], entropy: &dyn Entropy) -> Vec<u8> {
    let mark = seal_exact(evidence, &mark_context(vault, unit, wrapped), b"", entropy);
    [&mark, wrapped].concat()
}

/// The mark and the recovery wrap.
pub fn split_unit_keys(keys: &[u8]) -> Option<(&[u8], &[u8])> {
    keys.split_at_checked(MARK)
}

/// Whether this is the recovery wrap that was made here.
pub fn is_marked(vault: VaultId, unit: UnitId, evidence: &Key, keys: &[u8]) -> bool {
    split_unit_keys(keys)
        .is_some_and(|(mark, wrapped)| open_exact(evidence, &mark_context(vault, unit, wrapped), mark).is_ok())
}

fn mark_context(vault: VaultId, unit: UnitId, wrapped: &[u8]) -> Context {
    Context::new("mandatum/unit-keys/1").at(vault.bytes()).at(unit.bytes()).at(hash(wrapped).bytes())
}

/// A mandate's encoded state.
pub fn encode(mandate: &Mandate) -> Result<Vec<u8>, Refusal> {
    postcard::to_stdvec(mandate).map_err(|error| Refusal::Failed(error.to_string()))
}

fn text(text: &str) -> Result<Text, Refusal> {
    Text::parse(text).map_err(|error| Refusal::input("operator", error.to_string()))
}
