//! `mandate import/answer/activate`: a mandate between its reading and its force.
//!
//! What was read is opaque here: the lead's program reads and asks. What the broker holds is that nothing opens under a
//! draft, and that none is activated while a question is open.

use super::caller::Caller;
use super::mandates::{add_unit, check_none_active, days, grant_keys, lead_named, table, view};
use super::vault::Vault;
use crate::api::{MandateActivateAsk, MandateAnswerAsk, MandateImportAsk, MandateView, Refusal, Request};
use crate::model::{Date, Digest, Event, Instant, Mandate, UnitId, Zone};

/// The longest reading, bytes.
const READING_MAX: usize = 1 << 20;

/// Puts a mandate that was read from a file on file as a draft.
///
/// # Errors
/// Input where the same file was imported before, unless that is said to be meant.
pub fn import(
    vault: &mut Vault<'_>,
    caller: &Caller,
    request: Request<MandateImportAsk>,
    (): (),
) -> Result<UnitId, Refusal> {
    let ask = request.ask;
    if ask.draft.reading.0.len() > READING_MAX {
        return Err(Refusal::input("file", "what was read is longer than 1 MiB"));
    }
    let lead = lead_named(vault, caller, ask.lead.as_ref())?;
    if !ask.again && imported_before(vault, &ask.draft.source)? {
        let sentence = "MANDATE_ALREADY_IMPORTED: this very file was imported before; --again imports it once more";
        return Err(Refusal::input("file", sentence));
    }
    let zone = ask.zone.unwrap_or_else(|| vault.roster.zone.clone());
    let on = today(&zone, vault.now())?;
    let unit = UnitId(vault.fresh_id());
    let event = Event::Drafted {
        operator: ask.operator,
        contract: ask.contract,
        zone,
        jurisdiction: ask.jurisdiction,
        on,
        leads: vec![lead.id()],
        draft: ask.draft,
    };
    let mandate = Mandate::open(unit, &event, Some(caller.id()), vault.now());
    let mandate = mandate.map_err(|error| Refusal::input("file", error.to_string()))?;
    // Nothing of a draft ends by the clock.
    add_unit(vault, caller, mandate, event, Instant::MAX, Vec::new())?;
    Ok(unit)
}

fn today(zone: &Zone, now: Instant) -> Result<Date, Refusal> {
    zone.date_of(now).ok_or_else(|| Refusal::Failed("the clock shows no date".into()))
}

fn imported_before(vault: &mut Vault<'_>, source: &Digest) -> Result<bool, Refusal> {
    let of_file = |mandate: &Mandate| {
        mandate.source.as_ref() == Some(source) || mandate.draft().is_some_and(|draft| draft.source == *source)
    };
    Ok(vault.mandates()?.iter().any(of_file))
}

/// Keeps a draft as it is after an answer.
///
/// # Errors
/// [`Refusal::NotFound`] where there is no draft.
pub fn answer(
    vault: &mut Vault<'_>,
    caller: &Caller,
    request: Request<MandateAnswerAsk>,
    (): (),
) -> Result<(), Refusal> {
    let ask = request.ask;
    if ask.reading.0.len() > READING_MAX {
        return Err(Refusal::input("value", "what was read and answered is longer than 1 MiB"));
    }
    let mandate = vault.find(caller.member(), caller.verb(), &ask.operator)?;
    vault.change(caller, mandate, Event::Answered { questions: ask.questions, reading: ask.reading })?;
    Ok(())
}

/// Puts a draft in force: the lead confirms that the file is the signed mandate.
///
/// # Errors
/// Input while a question is open, or where a row does not hold together; the draft stays.
pub fn activate(
    vault: &mut Vault<'_>,
    caller: &Caller,
    request: Request<MandateActivateAsk>,
    (): (),
) -> Result<MandateView, Refusal> {
    let ask = request.ask;
    let mut mandate = vault.find(caller.member(), caller.verb(), &ask.operator)?;
    let open = mandate.draft().map_or(0, |draft| draft.questions);
    if open > 0 {
        let sentence =
            format!("{open} questions about it are open; 'mandatum mandate show' lists them, 'mandate answer' answers");
        return Err(Refusal::input("mandate", sentence));
    }
    if ask.rows.is_empty() {
        return Err(Refusal::input("rows", "no row of the access table is left to put in force"));
    }
    check_none_active(vault, caller, &mandate.operator.clone())?;
    let term = days("until", ask.signed, ask.until, &mandate.zone)?;
    let (from_until, zone, leads) = ((ask.signed, ask.until), mandate.zone.clone(), mandate.leads.clone());
    let (rows, grants) = table(vault, &ask.rows, from_until, term, &zone, &leads)?;
    let event = Event::Activated {
        contract: ask.contract,
        signed: ask.signed,
        until: ask.until,
        term,
        source: ask.source,
        rows,
        grants: grants.clone(),
    };
    let draft = vault.drafted(caller, &mut mandate, event, "rows")?;

    // The anchor learns the keys first; an unused key harms nobody.
    let before = grant_keys(vault, mandate.unit, &grants);
    vault.record_after(Some(caller), draft, before, &mandate, |_| Ok(()))?;
    view(vault, mandate, None)
}
