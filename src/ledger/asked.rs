//! What a member's request must have asked for, so that a record may say that it happened.
//!
//! A request is compared as JSON, field by field, since another verifier has nothing else. What the broker adds by
//! itself stays open: ids, and the instants that days mean in a zone, which are held to a day only, so that a verdict
//! does not change with the zone database.

use super::directory::Directory;
use super::record::Record;
use crate::model::{Date, Event, IncidentId, Instant, Mandate, MemberId, RowChange, RowTerms, Term, Text, Verb, Zone};
use serde::Serialize;
use serde_json::Value;

/// A day, ms: no zone is further from UTC.
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// What a member's request brought about is what it asked for, and for this operator: the broker adds nothing to it.
///
/// And it was theirs to ask for, as far as the directory tells. The mandate is as it was before the event; after the
/// first one, as that made it.
pub fn follows_request(record: &Record, event: &Event, mandate: &Mandate, directory: &Directory) -> bool {
    let (Some(request), Some(by)) = (&record.request, record.by) else { return true };
    let Ok(body) = serde_json::from_slice::<Value>(request.unverified_bytes()) else { return false };
    let named = |pointer: &str| {
        let named = body.pointer(pointer).and_then(Value::as_str).unwrap_or("");
        let whole = format!("{}@{}", mandate.operator, mandate.contract);
        mandate.operator.same(named) || Text::parse(&whole).is_ok_and(|whole| whole.same(named))
    };
    let nobody = |pointer: &str| body.pointer(pointer).is_none_or(Value::is_null);
    let operator = || named("/ask/operator");
    let anybody = || true;
    let ask = Spec(body.get("ask"));
    let zoned = |zone: &Zone| ask.leaves("zone") || ask.says("zone", zone);
    // Who asks leads, or the one member who was named.
    let led = |leads: &[MemberId]| match (ask.get("lead"), leads) {
        (Value::Null, [lead]) => *lead == by,
        (Value::String(name), [lead]) => directory.name_of(*lead).is_some_and(|known| known.same(name)),
        _ => false,
    };
    let tabled = |rows: &[RowChange], days: (Date, Date)| ask.list("rows").is_some_and(|specs| adds(specs, rows, days));
    // An incident about oneself is closed by somebody else; a lone owner has nobody else.
    let apart = |id: IncidentId| {
        let about = mandate.incident(id).and_then(|incident| incident.facts.member);
        about != Some(by) || directory.was_owner(by)
    };
    // Which fields are as they were asked for, and for whom it was asked.
    let (fields, of): (&[&str], &dyn Fn() -> bool) = match (event, record.verb) {
        (Event::Opened { leads, zone, signed, until, term, rows, .. }, Some(Verb::MandateOpen)) => {
            (&["operator", "contract", "jurisdiction", "signed", "until"], &|| {
                led(leads) && zoned(zone) && is_of_days(*term, *signed, *until) && tabled(rows, (*signed, *until))
            })
        }
        (Event::Drafted { leads, zone, .. }, Some(Verb::MandateImport)) => {
            (&["operator", "contract", "jurisdiction", "draft"], &|| led(leads) && zoned(zone))
        }
        (Event::Granted { .. }, Some(Verb::Grant)) => (&["grant", "answers"], &anybody),
        (Event::Settled { .. }, Some(Verb::MandateSettle)) => (&["because", "confirmed"], &operator),
        (Event::Answered { .. }, Some(Verb::MandateAnswer)) => (&["questions", "reading"], &operator),
        (Event::Activated { signed, until, term, rows, .. }, Some(Verb::MandateActivate)) => {
            (&["contract", "signed", "until", "source"], &|| {
                operator() && is_of_days(*term, *signed, *until) && tabled(rows, (*signed, *until))
            })
        }
        (Event::Amended { changes, .. }, Some(Verb::MandateAmend)) => {
            (&[], &|| operator() && amends(&ask, changes, mandate))
        }
        (Event::Permitted { .. }, Some(Verb::MandatePermit)) => (&["permission"], &operator),
        (Event::Requested { .. }, Some(Verb::Request)) => (&["wish"], &operator),
        (Event::RequestDenied { .. }, Some(Verb::Deny)) => (&["request", "reason"], &operator),
        (Event::Reviewed { .. }, Some(Verb::Review)) => (&["lines"], &operator),
        (Event::RotationAsked { .. }, Some(Verb::RotationAsk)) => (&["credential", "of"], &operator),
        (Event::Evidenced { .. }, Some(Verb::MandateEvidence)) => (&["evidence"], &operator),
        (Event::IncidentOpened { .. }, Some(Verb::IncidentOpen)) => {
            (&["facts"], &|| nobody("/ask/operator") || operator())
        }
        (Event::IncidentNoted { .. }, Some(Verb::IncidentNote)) => {
            (&["incident", "step", "text"], &|| nobody("/ask/operator") || operator())
        }
        (Event::IncidentClosed { incident, .. }, Some(Verb::IncidentClose)) => {
            (&["incident", "unlock", "outcome"], &|| apart(*incident))
        }
        (Event::CredentialsAdded { .. }, Some(Verb::CredentialAdd)) => (&["credentials"], &anybody),
        (Event::Rotated { .. }, Some(Verb::CredentialRotate)) => {
            (&["credential", "version", "second_factor"], &anybody)
        }
        (Event::Ended { .. }, Some(Verb::MandateEnd))
        | (Event::Closed { .. }, Some(Verb::MandateClose))
        | (Event::Extracted, Some(Verb::Extract)) => (&[], &operator),
        (Event::Revoked { .. }, Some(Verb::Revoke)) => (&[], &|| nobody("/ask/of") || named("/ask/of/0")),
        (Event::Revoked { .. }, Some(Verb::MemberRemove | Verb::MemberRole | Verb::Grant)) => (&[], &anybody),
        (Event::Shared { .. }, Some(Verb::WrapShare)) => (&["grant", "device", "items"], &anybody),
        // `asks_for` looked at these.
        (Event::Released { .. }, Some(Verb::Fetch)) => return true,
        // A code is never read onward.
        (Event::CodeReleased { .. }, Some(Verb::Code)) => (&[], &|| nobody("/ask/onward")),
        _ => return false,
    };
    asks(&body, event, fields) && of()
}

/// Whether a request asks for these fields of what happened, each as it stands there.
pub(super) fn asks(body: &Value, happened: &impl Serialize, fields: &[&str]) -> bool {
    // Its name, with the fields where it has any.
    let happened = serde_json::to_value(happened).unwrap_or_default();
    let said = happened.as_object().and_then(|named| named.values().next());
    let field = |of: Option<&Value>, name: &str| of.and_then(|of| of.get(name)).cloned().unwrap_or_default();
    fields.iter().all(|name| field(body.get("ask"), name) == field(said, name))
}

/// An object of a request; what it lacks is null.
#[derive(Clone, Copy)]
struct Spec<'a>(Option<&'a Value>);

impl<'a> Spec<'a> {
    fn get(self, name: &str) -> &'a Value {
        self.0.and_then(|object| object.get(name)).unwrap_or(&Value::Null)
    }

    fn leaves(self, name: &str) -> bool {
        self.get(name).is_null()
    }

    fn says(self, name: &str, happened: &impl Serialize) -> bool {
        serde_json::to_value(happened).is_ok_and(|happened| happened == *self.get(name))
    }

    /// A list; of what is not there, none.
    fn list(self, name: &str) -> Option<&'a [Value]> {
        match self.get(name) {
            Value::Null => Some(&[]),
            Value::Array(items) => Some(items),
            _ => None,
        }
    }

    /// As [`Spec::says`], or left empty where nothing changed.
    fn says_or_keeps<T: Serialize + PartialEq>(self, name: &str, happened: &T, old: &T) -> bool {
        match self.get(name) {
            Value::Array(items) if items.is_empty() => happened == old,
            _ => self.says(name, happened),
        }
    }

    /// As [`Spec::says`], or left out where it is what it is without.
    fn says_or<T: Serialize + PartialEq>(self, name: &str, happened: &T, otherwise: &T) -> bool {
        if self.leaves(name) { happened == otherwise } else { self.says(name, happened) }
    }
}

/// Whether a table of new rows is the one that was written down, with these days where a row names none.
fn adds(specs: &[Value], rows: &[RowChange], (from, until): (Date, Date)) -> bool {
    let added = |(spec, change): (&Value, &RowChange)| {
        let RowChange::Add { system, category, platform, terms, .. } = change else { return false };
        let spec = Spec(Some(spec));
        spec.says("system", system)
            && spec.says("category", category)
            && spec.says("platform", platform)
            && spec.says("data", &terms.data)
            && spec.says("levels", &terms.levels)
            && spec.says("purposes", &terms.purposes)
            && spec.says_or("from", &terms.from, &from)
            && spec.says_or("until", &terms.until, &until)
            && spec.says("grant_days", &terms.grant_days)
            && is_of_days(terms.term, terms.from, terms.until)
    };
    specs.len() == rows.len() && specs.iter().zip(rows).all(added)
}

/// Whether an amendment changes what was asked for and nothing else: a new last day, rows with new bounds, rows that
/// go, new rows, in this order.
fn amends(ask: &Spec<'_>, changes: &[RowChange], mandate: &Mandate) -> bool {
    let (Some(add), Some(set), Some(remove)) = (ask.list("add"), ask.list("set"), ask.list("remove")) else {
        return false;
    };
    let (last_day, changes) = match changes {
        [RowChange::Until { until, term }, rest @ ..] if !ask.leaves("until") => {
            if !(ask.says("until", until) && is_of_days(*term, mandate.signed, *until)) {
                return false;
            }
            (*until, rest)
        }
        _ if ask.leaves("until") => (mandate.until, changes),
        _ => return false,
    };
    if changes.len() != set.len() + remove.len() + add.len() {
        return false;
    }
    let (changed, added) = changes.split_at(set.len() + remove.len());
    let (bounded, removed) = changed.split_at(set.len());
    let is_named = |row, name: &Value| {
        let row = mandate.row(row);
        row.zip(name.as_str()).is_some_and(|(row, name)| row.system.same(name))
    };
    let bound = |(spec, change): (&Value, &RowChange)| {
        let RowChange::Set { row, terms } = change else { return false };
        let (spec, old) = (Spec(Some(spec)), mandate.row(*row).map(|row| &row.terms));
        is_named(*row, spec.get("system")) && old.is_some_and(|old| bounds(spec, terms, old, last_day))
    };
    let goes =
        |(name, change): (&Value, &RowChange)| matches!(change, RowChange::Remove { row } if is_named(*row, name));
    set.iter().zip(bounded).all(bound)
        && remove.iter().zip(removed).all(goes)
        && adds(add, added, (mandate.signed, last_day))
}

/// Whether a row's new bounds are what was written down; what was left empty stays.
fn bounds(spec: Spec<'_>, terms: &RowTerms, old: &RowTerms, last_day: Date) -> bool {
    spec.says_or_keeps("data", &terms.data, &old.data)
        && spec.says_or_keeps("levels", &terms.levels, &old.levels)
        && spec.says_or_keeps("purposes", &terms.purposes, &old.purposes)
        && spec.says_or("from", &terms.from, &old.from)
        && spec.says_or("until", &terms.until, &old.until.min(last_day))
        && spec.says_or("grant_days", &terms.grant_days, &old.grant_days)
        && is_of_days(terms.term, terms.from, terms.until)
}

/// Whether a term can be what these days mean in some zone.
fn is_of_days(term: Term, from: Date, until: Date) -> bool {
    let near =
        |said: Instant, day: Option<Instant>| day.is_some_and(|day| (-DAY_MS..=DAY_MS).contains(&said.since(day)));
    near(term.from, Zone::utc().start_of(from).ok()) && near(term.until, Zone::utc().end_of(until).ok())
}
