//! What an event and the request for it must say alike, field by field: each is changed alone, by the member's own key.

use super::changes::{name_no_state, put_request, request_of};
use super::course::Course;
use super::dice::Dice;
use super::{course, setting};
use mandatum::crypto::{Signed, Topic};
use mandatum::ledger::{ExtractError, Flaw, Record, verify_extract};
use mandatum::model::{MemberId, Verb};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// `docs/ledger.md` section 6, "Events follow their requests": the event, and where in `ask`.
const ASKED: &[(&str, &[&str])] = &[
    (
        "opened",
        &[
            "operator",
            "contract",
            "jurisdiction",
            "signed",
            "until",
            "lead",
            "zone",
            "rows",
            "rows/0",
            "rows/0/system",
            "rows/0/category",
            "rows/0/platform",
            "rows/0/data",
            "rows/0/levels",
            "rows/0/purposes",
            "rows/0/from",
            "rows/0/until",
            "rows/0/grant_days",
        ],
    ),
    ("drafted", &["operator", "contract", "jurisdiction", "draft", "lead", "zone"]),
    ("granted", &["grant", "answers"]),
    ("settled", &["because", "confirmed", "operator"]),
    ("answered", &["questions", "reading", "operator"]),
    ("activated", &["contract", "signed", "until", "source", "operator", "rows", "rows/0/levels", "rows/0/until"]),
    ("permitted", &["permission", "operator"]),
    ("requested", &["wish", "operator"]),
    ("request_denied", &["request", "reason", "operator"]),
    ("reviewed", &["lines", "operator"]),
    ("rotation_asked", &["credential", "of", "operator"]),
    ("evidenced", &["evidence", "operator"]),
    ("incident_opened", &["facts", "operator"]),
    ("incident_noted", &["incident", "step", "text", "operator"]),
    ("incident_closed", &["incident", "unlock", "outcome"]),
    ("credentials_added", &["credentials"]),
    ("rotated", &["credential", "version", "second_factor"]),
    (
        "amended",
        &[
            "operator",
            "until",
            "set",
            "set/0",
            "set/0/system",
            "set/0/data",
            "set/0/levels",
            "set/0/purposes",
            "set/0/from",
            "set/0/until",
            "set/0/grant_days",
            "remove",
            "remove/0",
            "add",
            "add/0",
            "add/0/system",
            "add/0/levels",
            "add/0/from",
        ],
    ),
    ("ended", &["operator"]),
    ("closed", &["operator"]),
    ("extracted", &["operator"]),
    ("revoked", &["of/0"]),
    ("released", &["items/0/credential", "items/0/version", "items/0/grant"]),
    ("code_released", &["items/0/credential", "items/0/grant", "onward"]),
    ("shared", &["grant", "device", "items"]),
];

/// What a verifier says of the ledger up to this record, with another request in it, signed by the same member; under
/// another verb where one is given.
fn asked_anew(
    course: &Course,
    at: usize,
    (by, request): &(MemberId, Signed),
    body: &Value,
    verb: Option<Verb>,
) -> Option<ExtractError> {
    let mut ledger = course.ledger.clone();
    ledger.entries.truncate(at + 1);
    let again = ledger.device(*by, &mut Dice::new(1)).sign(Topic::Request, serde_json::to_vec(body).unwrap());
    put_request(&mut ledger, at, request, &again).unwrap();
    if let Some(verb) = verb {
        let mut record: Record = serde_json::from_str(&ledger.text(at)).unwrap();
        record.verb = Some(verb);
        ledger.rewrite(at, String::from_utf8(record.encode()).unwrap());
    }
    name_no_state(&mut ledger, at);
    ledger.seal();
    verify_extract(&ledger.write()[..], None, |_| ()).err()
}

#[test]
fn no_field_of_a_request_can_say_something_else() {
    let mut missing: BTreeSet<(&str, &str)> =
        ASKED.iter().flat_map(|(event, fields)| fields.iter().map(move |field| (*event, *field))).collect();
    let first = setting("MANDATUM_VERIFIER_SEED", 1);
    for seed in first..first + 400 {
        let course = course(seed);
        for at in 0..course.ledger.entries.len() {
            let record: Record = serde_json::from_str(&course.ledger.text(at)).unwrap();
            let said = serde_json::to_value(&record.outcome).unwrap();
            let event = said.get("mandate").map(|event| match event {
                Value::String(name) => name.clone(),
                named => named.as_object().unwrap().keys().next().unwrap().clone(),
            });
            let found = ASKED.iter().find(|(name, _)| event.as_deref() == Some(name));
            let Some(((name, fields), asked)) = found.zip(request_of(&course.ledger, at)) else { continue };
            if !fields.iter().any(|field| missing.contains(&(*name, *field))) {
                continue;
            }
            let body: Value = serde_json::from_slice(asked.1.unverified_bytes()).unwrap();
            let refused = |body: &Value, verb: Option<Verb>| {
                let said = asked_anew(&course, at, &asked, body, verb);
                matches!(said, Some(ExtractError::Flaw(Flaw::Request(number))) if number == at as u64)
            };
            let same = asked_anew(&course, at, &asked, &body, None);
            assert!(same.is_none(), "{seed}: the same request, signed anew");
            for field in *fields {
                let mut changed = body.clone();
                let value = match changed.pointer_mut(&format!("/ask/{field}")) {
                    Some(value) => value,
                    // One that is not there may be null; where nobody is named, nobody else is.
                    None if field.contains('/') => continue,
                    None => changed["ask"].as_object_mut().unwrap().entry(*field).or_insert(Value::Null),
                };
                if value.is_null() && *field == "operator" {
                    continue;
                }
                *value =
                    if *field == "operator" || *field == "of/0" { json!("Another") } else { json!({"was": *value}) };
                if *name == "revoked" && record.verb != Some(Verb::Revoke) {
                    assert!(!refused(&changed, None), "{seed}: {name} {field}: what else was asked is no matter");
                    continue;
                }
                assert!(refused(&changed, None), "{seed}: {name} asked for another {field}");
                missing.remove(&(*name, *field));
            }
            // A verb of which nothing like this follows.
            let mut changed = body.clone();
            changed["verb"] = json!(Verb::Log);
            assert!(refused(&changed, Some(Verb::Log)), "{seed}: {name} by verb log");
        }
        if missing.is_empty() {
            return;
        }
    }
    panic!("never happened: {missing:?}");
}
