//! The course of a mandate by the dice: events that follow, and some that do not.

use super::dice::Dice;
use super::edit::{edited, with_id_of};
use super::forge::Ledger;
use mandatum::crypto::{Signed, Topic};
use mandatum::ledger::{Assurance, Audited, ClockMark, Directory, Outcome, Record, follows_request};
use mandatum::model::{
    Credential, Deny, Digest, Event, Grant, GrantOrigin, Instant, Level, Mandate, MemberId, Phase, Row, Term, Verb,
    Zone,
};
use serde_json::{Value, json};

const DAY: i64 = 86_400_000;
/// 2026-01-15 and 2027-01-01, 00:00 in Moscow.
const TERM: Term = Term { from: Instant(1_768_424_400_000), until: Instant(1_798_750_800_000) };
const OPERATORS: &[&str] = &["Romashka", "Ромашка Плюс", "Ёлка и Ко", "ΟΔΟΣ Σ", "Café"];
const CONTRACTS: &[&str] = &["17/2026", "", "№ 5", "\u{301}17"];
const SYSTEMS: &[&str] = &["CRM", "crm", "Форма", "Bot", "Ads"];
const PLATFORMS: &[&str] = &["amoCRM", "Tilda", "AMOcrm", "Ads", ""];
const PURPOSES: &[&str] = &["lead handling", "Lead  Handling", "answers", "обработка заявок"];
const TEXTS: &[&str] = &["", "because", "two\nlines\tand a tab", "«Ёжик» \\ \"q\"", "\u{7ff}\u{1F600}"];
/// The last five are none, or not by that name.
const ZONES: &[&str] = &[
    "Europe/Moscow",
    "utc",
    "Europe/Berlin",
    "america/Havana",
    "Asia/Kamchatka",
    "localtime",
    "Factory",
    "Etc/Unknown",
    "EST5EDT,M3.2.0,M11.1.0",
    "America/New_Yor\u{212A}",
];

/// A ledger that grows by the dice.
pub struct Course {
    pub ledger: Ledger,
    pub mandate: Option<Mandate>,
    /// The ledger as it once was, with one record more that does not follow.
    pub refused: Vec<Ledger>,
    directory: Directory,
    at: i64,
}

/// What is to be recorded.
struct Step {
    event: Value,
    by: Option<MemberId>,
}

impl Course {
    pub fn new(dice: &mut Dice) -> Self {
        let ledger = Ledger::new(dice);
        let directory = ledger.directory();
        Self { ledger, mandate: None, refused: Vec::new(), directory, at: TERM.from.0 + 40 * DAY }
    }

    /// Grows to so many records.
    pub fn grow(&mut self, records: usize, dice: &mut Dice) {
        while self.ledger.entries.len() < records {
            self.at += i64::try_from(dice.below(3_600_000)).unwrap();
            if dice.chance(3) {
                self.at += 40 * DAY;
            }
            if self.mandate.is_some() && dice.chance(12) {
                self.deny(dice);
            } else {
                self.happen(dice);
            }
        }
        self.ledger.seal();
    }

    /// A mandate under which so many requests wait.
    pub fn crowded(requests: usize, dice: &mut Dice) -> Self {
        let mut course = Self::new(dice);
        while course.mandate.as_ref().is_none_or(|mandate| mandate.draft().is_some()) {
            (course.mandate, course.ledger.entries) = (None, Vec::new());
            course.happen(dice);
        }
        for _ in 0..requests {
            let wish = json!({"id": dice.hex(16), "system": "CRM", "levels": ["view"], "purposes": [], "until": null,
                "reason": ""});
            let event: Event = serde_json::from_value(json!({"requested": {"wish": wish}})).unwrap();
            let operator = &course.mandate.as_ref().unwrap().operator;
            let by = course.ledger.people.others[0];
            let request = (Verb::Request, by, json!({"wish": wish, "operator": operator}));
            let record = course.record(Some(request), Outcome::Mandate(event), None, dice);
            course.ledger.push(record.encode(), dice);
        }
        course.ledger.seal();
        course
    }

    /// Says that the vault went on from an older state, in which there were so many records of this one.
    pub fn restart(&mut self, found: u64, dice: &mut Dice) {
        let event = Event::Restarted { known: found + 5, root: Digest([0; 32]), found };
        let record = self.record(None, Outcome::Mandate(event), None, dice);
        self.ledger.push(record.encode(), dice);
        self.ledger.seal();
    }

    fn deny(&mut self, dice: &mut Dice) {
        let by = dice.chance(80).then(|| *dice.one(&self.ledger.people.all()));
        let verb = *dice.one(Verb::ALL);
        let request = by.map(|by| (verb, by, json!({"items": []})));
        let outcome = if dice.chance(80) { Outcome::Denied(*dice.one(Deny::ALL)) } else { Outcome::Refused };
        let state = self.mandate.as_ref().filter(|_| dice.chance(20)).map(digest);
        let record = self.record(request, outcome, state, dice);
        self.ledger.push(record.encode(), dice);
    }

    /// One event; where it does not follow, the ledger with it is kept aside.
    fn happen(&mut self, dice: &mut Dice) {
        let step = match &self.mandate {
            None => Some(first(&self.ledger, dice)),
            Some(mandate) => next(mandate, &self.ledger, self.at, dice),
        };
        let Some(step) = step else { return };
        let known = if self.ledger.entries.is_empty() { String::new() } else { self.ledger.text_of_any(dice) };
        let Some((event, written)) = typed(step.event, &known, dice) else { return };
        if step.by.is_some_and(|by| !self.ledger.keys.members.contains_key(&by)) {
            return; // a lead of an edited event, who can sign nothing
        }
        let (at, unit) = (Instant(self.at), self.ledger.unit);
        let after = match self.mandate.clone() {
            None => Mandate::open(unit, &event, step.by, at),
            Some(mut mandate) => mandate.apply(&event, step.by, at).map(|()| mandate),
        };
        let request = step.by.map(|by| {
            let (verb, ask) = asked(&written, self.mandate.as_ref(), (&self.ledger, by), dice).unwrap();
            (verb, by, ask)
        });
        let told = if event.changes_state() { 80 } else { 10 };
        let state = after.as_ref().ok().filter(|_| dice.chance(told)).map(digest);
        let record = self.record(request, Outcome::Mandate(event.clone()), state, dice);
        let asked_for = |after: &Mandate| {
            let mandate = self.mandate.as_ref().unwrap_or(after);
            follows_request(&record, &event, mandate, &self.directory)
        };
        match after.ok().filter(asked_for) {
            Some(after) => {
                self.ledger.push(record.encode(), dice);
                self.mandate = Some(after);
            }
            None => {
                let mut refused = self.ledger.clone();
                refused.push(record.encode(), dice);
                self.refused.push(refused);
            }
        }
    }

    fn record(
        &self,
        request: Option<(Verb, MemberId, Value)>,
        outcome: Outcome,
        state: Option<Digest>,
        dice: &mut Dice,
    ) -> Record {
        let signed = request.as_ref().map(|(verb, by, ask)| self.request(*verb, *by, ask, dice));
        Record {
            format: Record::FORMAT,
            vault: self.ledger.keys.vault,
            unit: self.ledger.unit,
            seq: u64::try_from(self.ledger.entries.len()).unwrap(),
            at: Instant(self.at),
            clock: if dice.chance(90) { ClockMark::Trusted } else { ClockMark::Suspect },
            assurance: *dice.one(&[Assurance::Solo, Assurance::Account, Assurance::Host]),
            verb: request.as_ref().map(|(verb, ..)| *verb),
            by: request.as_ref().map(|(_, by, _)| *by),
            request: signed,
            outcome,
            state,
        }
    }

    fn request(&self, verb: Verb, by: MemberId, ask: &Value, dice: &mut Dice) -> Signed {
        let named = dice.chance(50).then(|| self.ledger.unit.to_string());
        let body = json!({
            "format": 1, "vault": self.ledger.keys.vault, "verb": verb, "member": by, "unit": named,
            "nonce": dice.hex(16), "session": null, "step_up": null, "seen": null, "ask": ask,
        });
        self.ledger.device(by, dice).sign(Topic::Request, serde_json::to_vec(&body).unwrap())
    }
}

/// The event, now and then with an edit that leaves it one, or with an id in it that stands for something else.
fn typed(event: Value, known: &str, dice: &mut Dice) -> Option<(Event, Value)> {
    let mut written = event;
    for _ in 0..dice.below(3) * usize::from(dice.chance(45)) {
        let text = written.to_string();
        let edit = if dice.chance(50) { edited(&text, dice) } else { with_id_of(&text, known, dice) };
        let edit = serde_json::from_str::<Value>(&edit).ok();
        if let Some(edit) = edit.filter(|edit| serde_json::from_value::<Event>(edit.clone()).is_ok()) {
            written = edit;
        }
    }
    let event: Event = serde_json::from_value(written).ok()?;
    let written = serde_json::to_value(&event).ok()?;
    Some((event, written))
}

fn digest(mandate: &Mandate) -> Digest {
    Audited::Mandate(Box::new(mandate.clone())).digest()
}

/// The verb an event is asked for by, and the `ask` by which this member asks for exactly this.
pub fn asked(
    event: &Value,
    mandate: Option<&Mandate>,
    (ledger, by): (&Ledger, MemberId),
    dice: &mut Dice,
) -> Option<(Verb, Value)> {
    let (name, fields) = match event {
        Value::String(name) => (name.as_str(), json!({})),
        Value::Object(map) => map.iter().next().map(|(name, fields)| (name.as_str(), fields.clone()))?,
        _ => return None,
    };
    let verbs: &[&str] = match name {
        "opened" => &["mandate_open"],
        "drafted" => &["mandate_import"],
        "granted" => &["grant"],
        "answered" => &["mandate_answer"],
        "activated" => &["mandate_activate"],
        "permitted" => &["mandate_permit"],
        "requested" => &["request"],
        "request_denied" => &["deny"],
        "reviewed" => &["review"],
        "rotation_asked" => &["rotation_ask"],
        "evidenced" => &["mandate_evidence"],
        "incident_opened" => &["incident_open"],
        "incident_noted" => &["incident_note"],
        "incident_closed" => &["incident_close"],
        "credentials_added" => &["credential_add"],
        "rotated" => &["credential_rotate"],
        "amended" => &["mandate_amend"],
        "ended" => &["mandate_end"],
        "settled" => &["mandate_settle"],
        "closed" => &["mandate_close"],
        "extracted" => &["extract"],
        "revoked" => &["revoke", "revoke", "member_remove", "member_role", "grant"],
        "released" => &["fetch"],
        "code_released" => &["code"],
        "shared" => &["wrap_share"],
        _ => &["sweep"],
    };
    let verb: Verb = dice.one(verbs).parse().ok()?;
    let mut ask = fields;
    if !ask.is_object() {
        return None;
    }
    let operator = mandate.map_or(json!(null), |mandate| spelled(mandate, dice));
    if let Some(rows) = ask.get("rows").cloned() {
        ask["rows"] = json!(written(rows.as_array()?, (&ask["signed"], &ask["until"]), dice));
    }
    match name {
        "opened" | "drafted" => {
            let lead = ask["leads"][0].as_str().and_then(|id| id.parse().ok());
            let name =
                lead.filter(|lead| *lead != by || dice.chance(30)).and_then(|lead| ledger.directory().name_of(lead));
            let name = name.map(|name| if dice.chance(50) { name.folded() } else { name.to_string() });
            ask["lead"] = json!(name);
            if dice.chance(50) {
                ask["zone"] = json!(null);
            }
        }
        "amended" => {
            ask = amendment(ask["changes"].as_array()?, mandate?, dice);
            ask["operator"] = operator;
        }
        "code_released" => {
            ask = json!({"items": [ask]});
            if dice.chance(20) {
                ask["onward"] = json!(Some(by).filter(|_| dice.chance(30)));
            }
        }
        "revoked" => ask["of"] = if dice.chance(50) { json!([operator, "CRM", "Sasha"]) } else { json!(null) },
        "incident_opened" | "incident_noted" if dice.chance(50) => ask["operator"] = json!(null),
        _ => ask["operator"] = operator,
    }
    Some((verb, ask))
}

/// New rows as they are written down between these days: what is as it would be without is left out now and then.
fn written(changes: &[Value], (from, until): (&Value, &Value), dice: &mut Dice) -> Vec<Value> {
    let mut specs = Vec::new();
    for row in changes.iter().map(|change| &change["add"]) {
        let terms = &row["terms"];
        let mut spec = json!({"system": row["system"], "category": row["category"], "platform": row["platform"],
            "data": terms["data"], "levels": terms["levels"], "purposes": terms["purposes"], "from": terms["from"],
            "until": terms["until"], "grant_days": terms["grant_days"]});
        for (field, otherwise) in [("from", from), ("until", until)] {
            if terms[field] == *otherwise && dice.chance(50) {
                spec[field] = json!(null);
            }
        }
        specs.push(spec);
    }
    specs
}

/// What asks for these changes of the table.
fn amendment(changes: &[Value], mandate: &Mandate, dice: &mut Dice) -> Value {
    let of = |kind: &str| -> Vec<Value> { changes.iter().filter_map(|change| change.get(kind)).cloned().collect() };
    let row =
        |change: &Value| mandate.rows.iter().find(|row| Some(row.id.to_string().as_str()) == change["row"].as_str());
    let system = |change: &Value| row(change).map_or("?".into(), |row| row.system.to_string());
    let last = of("until").first().map(|until| until["until"].clone());
    let until = last.clone().unwrap_or(json!(mandate.until));
    let mut set = Vec::new();
    for change in of("set") {
        let mut spec = change["terms"].clone();
        spec["system"] = json!(if dice.chance(30) { system(&change).to_uppercase() } else { system(&change) });
        if let Some(old) = row(&change).map(|row| serde_json::to_value(&row.terms).unwrap()) {
            let earlier = if old["until"].as_str() < until.as_str() { &old["until"] } else { &until };
            let left =
                |field: &str| if ["data", "levels", "purposes"].contains(&field) { json!([]) } else { json!(null) };
            for field in ["data", "levels", "purposes", "from", "until", "grant_days"] {
                let otherwise = if field == "until" { earlier } else { &old[field] };
                if spec[field] == *otherwise && dice.chance(50) {
                    spec[field] = left(field);
                }
            }
        }
        set.push(spec);
    }
    let remove: Vec<String> = of("remove").iter().map(system).collect();
    let added: Vec<Value> = changes.iter().filter(|change| change.get("add").is_some()).cloned().collect();
    let add = written(&added, (&json!(mandate.signed), &until), dice);
    json!({"add": add, "set": set, "remove": remove, "until": last})
}

/// The operator as people may write it.
fn spelled(mandate: &Mandate, dice: &mut Dice) -> Value {
    let operator = mandate.operator.as_str();
    match dice.below(6) {
        0 => json!(operator.to_uppercase()),
        1 => json!(format!("{operator}@{}", mandate.contract)),
        2 => json!(format!("  {} ", operator.replace(' ', "\u{2003}\t").replace('ё', "е"))),
        3 => json!(operator.replace('é', "e\u{301}").replace('Ё', "Е\u{308}")),
        _ => json!(operator),
    }
}

// ---- the first event ----

fn first(ledger: &Ledger, dice: &mut Dice) -> Step {
    let by = Some(*dice.one(&ledger.people.leads));
    // Mostly one: a request names no more.
    let leads = if dice.chance(4) { ledger.people.leads.to_vec() } else { vec![*dice.one(&ledger.people.leads)] };
    let (operator, contract, zone) = (dice.one(OPERATORS), dice.one(CONTRACTS), dice.one(ZONES));
    let jurisdiction = *dice.one(&["ru", "eu"]);
    if dice.chance(30) {
        let draft = json!({"source": dice.hex(32), "questions": dice.below(3), "reading": "eyJyb3dzIjpb"});
        let drafted = json!({"operator": operator, "contract": contract, "zone": zone, "jurisdiction": jurisdiction,
            "on": "2026-01-14", "leads": leads, "draft": draft});
        return Step { event: json!({"drafted": drafted}), by };
    }
    let rows: Vec<Value> = SYSTEMS[1..].iter().map(|system| add_row(system, TERM, dice)).collect();
    let grants: Vec<Value> = standing(&rows, &leads, dice);
    let opened = json!({"operator": operator, "contract": contract, "signed": "2026-01-15", "until": "2026-12-31",
        "zone": zone, "term": TERM, "jurisdiction": jurisdiction, "leads": leads, "rows": rows, "grants": grants});
    Step { event: json!({"opened": opened}), by }
}

fn add_row(system: &str, within: Term, dice: &mut Dice) -> Value {
    json!({"add": {"row": dice.hex(16), "system": system, "category": dice.one(TEXTS), "platform": dice.one(PLATFORMS),
        "terms": terms(within, dice)}})
}

fn terms(within: Term, dice: &mut Dice) -> Value {
    let levels: Vec<Level> = dice.some(&Level::all().collect::<Vec<_>>());
    let (no_level, no_purpose) = (dice.chance(2), dice.chance(2));
    let levels = if no_level { Vec::new() } else { levels };
    let purposes = if no_purpose { Vec::new() } else { dice.some(PURPOSES) };
    let days: Value = if dice.chance(30) { json!(dice.one(&[0, 1, 30, 90, 4_000_000_000u32])) } else { json!(null) };
    let term = part_of(within, dice);
    let (from, until) = dates(term);
    let until = if dice.chance(2) { "2027-03-01".to_owned() } else { until };
    json!({"data": dice.some(TEXTS), "levels": levels, "purposes": purposes, "from": from, "until": until,
        "term": term, "grant_days": days})
}

/// The first and the last day of a term in Moscow.
fn dates(term: Term) -> (String, String) {
    let zone = Zone::parse("Europe/Moscow").unwrap();
    let date = |at: Instant| zone.date_of(at).unwrap().to_string();
    (date(term.from), date(term.until.plus(-1)))
}

/// Mostly a part of a term; now and then one that is empty, or more.
fn part_of(term: Term, dice: &mut Dice) -> Term {
    let days = i64::try_from(dice.below(30)).unwrap() * DAY;
    match dice.below(60) {
        0 => Term { from: term.until, until: term.until },
        1 => Term { from: term.from, until: term.until.plus(1) },
        2 => Term { from: term.from.plus(-1), until: term.until },
        3..=20 => Term { from: term.from, until: term.until.plus(-days) },
        21..=30 => Term { from: term.from.plus(days), until: term.until },
        _ => term,
    }
}

/// The leads' standing grants under new rows.
fn standing(rows: &[Value], leads: &[MemberId], dice: &mut Dice) -> Vec<Value> {
    let mut grants = Vec::new();
    for row in rows.iter().filter_map(|row| row.get("add")) {
        for lead in leads {
            let terms = &row["terms"];
            if dice.chance(1) {
                continue;
            }
            let origin = if dice.chance(1) { "given" } else { "lead" };
            grants.push(json!({"id": dice.hex(16), "member": lead, "row": row["row"], "levels": terms["levels"],
                "purposes": terms["purposes"], "term": terms["term"], "origin": origin}));
        }
    }
    grants
}

// ---- the later ones ----

fn next(mandate: &Mandate, ledger: &Ledger, at: i64, dice: &mut Dice) -> Option<Step> {
    let lead = Some(*dice.one(&mandate.leads));
    let anybody = Some(*dice.one(&ledger.people.all()));
    let nobody = None;
    // Out of place now and then, and by the wrong person.
    let names: &[&str] = match &mandate.phase {
        _ if dice.chance(4) => ALL,
        Phase::Draft(_) => &["answered", "activated", "activated", "activated", "activated"],
        Phase::Active => ACTIVE,
        Phase::Ended(_) => ENDED,
        Phase::Closed { .. } => &["extracted", "restarted"],
    };
    let name = *dice.one(names);
    let fields = fields(name, mandate, ledger, at, dice)?;
    let by = match name {
        _ if dice.chance(8) => *dice.one(&[lead, anybody, nobody]),
        "expired" | "destroyed" | "restarted" | "reissued" => nobody,
        "revoked" | "ended" | "closed" | "extracted" if dice.chance(30) => nobody,
        "released" | "code_released" | "shared" if dice.chance(20) => anybody,
        "released" | "code_released" => holder(mandate, &fields).or(anybody),
        "shared" if dice.chance(50) => holder(mandate, &fields).or(anybody),
        "requested" | "rotation_asked" | "evidenced" | "settled" | "permitted" | "extracted" | "revoked" => anybody,
        "incident_opened" | "incident_noted" | "incident_closed" | "ended" | "closed" => anybody,
        _ => lead,
    };
    let event = if name == "extracted" { json!(name) } else { json!({ name: fields }) };
    Some(Step { event, by })
}

const ALL: &[&str] = &[
    "answered",
    "activated",
    "permitted",
    "requested",
    "request_denied",
    "reviewed",
    "rotation_asked",
    "evidenced",
    "incident_opened",
    "incident_noted",
    "incident_closed",
    "amended",
    "credentials_added",
    "rotated",
    "granted",
    "revoked",
    "expired",
    "destroyed",
    "released",
    "code_released",
    "shared",
    "ended",
    "settled",
    "closed",
    "restarted",
    "reissued",
    "extracted",
];

const ACTIVE: &[&str] = &[
    "permitted",
    "requested",
    "requested",
    "request_denied",
    "reviewed",
    "reviewed",
    "rotation_asked",
    "evidenced",
    "incident_opened",
    "incident_opened",
    "incident_noted",
    "incident_closed",
    "incident_closed",
    "amended",
    "amended",
    "amended",
    "amended",
    "credentials_added",
    "credentials_added",
    "credentials_added",
    "rotated",
    "granted",
    "granted",
    "granted",
    "granted",
    "revoked",
    "expired",
    "destroyed",
    "released",
    "released",
    "released",
    "code_released",
    "shared",
    "shared",
    "ended",
    "settled",
    "restarted",
    "reissued",
    "extracted",
];

const ENDED: &[&str] = &[
    "request_denied",
    "rotation_asked",
    "evidenced",
    "incident_opened",
    "incident_noted",
    "incident_closed",
    "rotated",
    "revoked",
    "destroyed",
    "settled",
    "closed",
    "restarted",
    "extracted",
];

/// Whose the grant of a release is.
fn holder(mandate: &Mandate, fields: &Value) -> Option<MemberId> {
    let grant = fields.pointer("/items/0/grant").or_else(|| fields.get("grant"))?;
    let grant = mandate.grant(grant.as_str()?.parse().ok()?)?;
    Some(grant.facts.member)
}

/// An event's fields, if there is something it could be about.
fn fields(name: &str, mandate: &Mandate, ledger: &Ledger, at: i64, dice: &mut Dice) -> Option<Value> {
    let text = *dice.one(TEXTS);
    let live: Vec<&Grant> = mandate.grants.iter().filter(|grant| grant.is_live() || dice.chance(3)).collect();
    let dead = mandate.grants.iter().filter(|grant| dice.chance(3) || !grant.is_live() && grant.destroyed.is_none());
    let dead: Vec<&Grant> = dead.collect();
    Some(match name {
        "answered" => json!({"questions": dice.below(2), "reading": "eyJyb3dzIjpb"}),
        "activated" => activated(mandate, dice),
        "permitted" => {
            let mut rows: Vec<_> = mandate.rows.iter().filter(|_| dice.chance(40)).map(|row| row.id).collect();
            rows.sort_unstable();
            json!({"permission": {"member": dice.one(&ledger.people.others), "rows": rows,
                "until": dice.one(&[None, Some("2026-06-30")]), "source": dice.hex(32), "file": text}})
        }
        "requested" => json!({"wish": wish(mandate, dice)?}),
        "request_denied" => {
            json!({"request": known(mandate.requests.iter().map(|r| r.wish.id), dice)?, "reason": text})
        }
        "reviewed" => {
            let lines: Vec<Value> = live.iter().take(3).map(|grant| reviewed(grant, text, dice)).collect();
            json!({ "lines": lines })
        }
        "rotation_asked" => json!({"credential": known(mandate.credentials.iter().map(|c| c.id), dice)?, "of": text}),
        "evidenced" => json!({"evidence": evidence(mandate, text, dice)?}),
        "incident_opened" => incident(mandate, ledger, at, text, dice)?,
        "incident_noted" => json!({"incident": known(mandate.incidents.iter().map(|i| i.facts.id), dice)?,
            "step": dice.one(&["notice", "instruction", "execution", "finding"]), "text": text}),
        "incident_closed" => json!({"incident": known(mandate.incidents.iter().map(|i| i.facts.id), dice)?,
            "unlock": dice.chance(60), "outcome": text}),
        "amended" => amended(mandate, at, dice)?,
        "credentials_added" => {
            let count = 1 + dice.below(2);
            let added: Option<Vec<Value>> = (0..count).map(|_| credential(mandate, at, text, dice)).collect();
            json!({"credentials": added?})
        }
        "rotated" => rotated(mandate, at, text, dice)?,
        "granted" => granted(mandate, ledger, at, dice)?,
        "revoked" => json!({"grants": ids(&live, dice), "why": why(text, dice)}),
        "expired" => json!({"grants": ids(&live, dice)}),
        "destroyed" => json!({"grants": ids(&dead, dice), "epoch": dice.below(9)}),
        "released" => {
            let grants = if live.is_empty() { Vec::new() } else { vec![*dice.one(&live)] };
            let items: Vec<Value> = grants.iter().map(|grant| item(mandate, grant, dice)).collect::<Option<_>>()?;
            json!({"items": items, "purpose": text})
        }
        "code_released" => {
            let item = item(mandate, live.get(dice.below(live.len()))?, dice)?;
            json!({"credential": item["credential"], "grant": item["grant"], "purpose": text})
        }
        "shared" => {
            let grant = live.get(dice.below(live.len()))?;
            let under = |credential: &&Credential| credential.row == grant.facts.row;
            let shared: Vec<&Credential> =
                mandate.credentials.iter().filter(|credential| under(credential) || dice.chance(10)).collect();
            let items: Vec<Value> = shared.iter().filter_map(|credential| shared_item(credential, dice)).collect();
            json!({"grant": grant.facts.id, "device": dice.hex(32), "items": dice.some(&items)})
        }
        "ended" => json!({"why": why(text, dice)}),
        "settled" => {
            json!({"credential": known(mandate.credentials.iter().map(|c| c.id), dice)?, "version": dice.below(4),
            "because": text, "confirmed": dice.one(&[None, Some("Irina")])})
        }
        "closed" => json!({"retain_until": at + 1000 * DAY}),
        "restarted" => json!({"known": dice.below(40), "root": dice.hex(32), "found": dice.below(40)}),
        "reissued" => {
            let replaced = ids(&live, dice);
            let lost = live.iter().filter(|grant| replaced.contains(&grant.facts.id.to_string()));
            let grants: Vec<Value> = lost.map(|grant| again(grant, dice)).collect();
            json!({"grants": grants, "replaced": replaced})
        }
        _ => json!({}),
    })
}

/// One of these ids, if there are any; now and then one that is not there.
fn known<T: ToString>(ids: impl Iterator<Item = T>, dice: &mut Dice) -> Option<String> {
    let ids: Vec<String> = ids.map(|id| id.to_string()).collect();
    if dice.chance(3) { Some(dice.hex(16)) } else { ids.get(dice.below(ids.len())).cloned() }
}

/// Of some of these; now and then of one twice, or of one that is not there.
fn ids(grants: &[&Grant], dice: &mut Dice) -> Vec<String> {
    let mut ids: Vec<String> = dice.some(grants).iter().map(|grant| grant.facts.id.to_string()).collect();
    if dice.chance(3) {
        ids.extend(ids.first().cloned());
    }
    if dice.chance(2) {
        ids.push(dice.hex(16));
    }
    ids
}

fn live_row<'a>(mandate: &'a Mandate, dice: &mut Dice) -> Option<&'a Row> {
    let rows: Vec<&Row> = mandate.rows.iter().filter(|row| dice.chance(3) || row.removed.is_none()).collect();
    rows.get(dice.below(rows.len())).copied()
}

fn activated(mandate: &Mandate, dice: &mut Dice) -> Value {
    let source = mandate.draft().map_or_else(|| dice.hex(32), |draft| draft.source.to_string());
    let source = if dice.chance(10) { dice.hex(32) } else { source };
    let rows: Vec<Value> = SYSTEMS[1..].iter().map(|system| add_row(system, TERM, dice)).collect();
    let grants = standing(&rows, &mandate.leads, dice);
    json!({"contract": dice.one(CONTRACTS), "signed": "2026-01-15", "until": "2026-12-31", "term": TERM,
        "source": source, "rows": rows, "grants": grants})
}

fn wish(mandate: &Mandate, dice: &mut Dice) -> Option<Value> {
    let mut levels: Vec<Level> = dice.some(&Level::all().collect::<Vec<_>>());
    if dice.chance(60) {
        levels = Level::all().collect();
    } else if dice.chance(5) {
        levels.clear();
    }
    let system = dice.one(&[SYSTEMS, PLATFORMS].concat()).to_uppercase();
    let purposes: Vec<&str> = match dice.below(20) {
        0 => PURPOSES.iter().copied().cycle().take(20 + dice.below(2)).collect(),
        1..=8 => dice.some(PURPOSES),
        _ => Vec::new(),
    };
    let until = *dice.one(&[None, None, Some("2026-11-29"), Some("2026-03-07"), Some("2026-12-31")]);
    let id = if dice.chance(5) { known(mandate.requests.iter().map(|r| r.wish.id), dice)? } else { dice.hex(16) };
    Some(json!({"id": id, "system": system, "levels": levels, "purposes": purposes, "until": until,
        "reason": dice.one(TEXTS)}))
}

fn reviewed(grant: &Grant, note: &str, dice: &mut Dice) -> Value {
    let mut levels: Vec<Level> = dice.some(&grant.facts.levels.iter().copied().collect::<Vec<_>>());
    if dice.chance(5) {
        levels = dice.some(&Level::all().collect::<Vec<_>>());
    }
    let until = part_of(grant.facts.term, dice).until;
    let narrow = json!({"narrow": {"levels": levels, "until": until}});
    let decision = match dice.below(4) {
        0 => json!("keep"),
        1 => json!("revoke"),
        _ => narrow,
    };
    json!({"grant": grant.facts.id, "decision": decision, "note": note})
}

fn evidence(mandate: &Mandate, text: &str, dice: &mut Dice) -> Option<Value> {
    let proof = if dice.chance(50) { json!(dice.hex(32)) } else { json!(null) };
    Some(match dice.below(4) {
        0 => json!({"revoked": {"credential": known(mandate.credentials.iter().map(|c| c.id), dice)?, "how": text,
            "by": text, "proof": proof}}),
        1 => json!({"copies": {"by": text, "none": dice.chance(50), "declaration": text, "proof": proof}}),
        2 => json!({"chosen": {"choice": dice.one(&["return", "delete"]), "by": text}}),
        _ => json!({"returned": {"recipient": text, "package": dice.hex(32), "credentials": dice.below(9)}}),
    })
}

fn incident(mandate: &Mandate, ledger: &Ledger, at: i64, note: &str, dice: &mut Dice) -> Option<Value> {
    let member = dice.chance(60).then(|| *dice.one(&ledger.people.all()));
    let mut grants: Vec<String> = mandate.reached(member).iter().map(ToString::to_string).collect();
    if dice.chance(4) {
        grants.reverse();
    } else if dice.chance(2) {
        grants.pop();
    }
    let kinds =
        ["device_lost", "password_compromised", "unauthorised_access", "misdirected_transfer", "security_incident"];
    let id = if dice.chance(10) { known(mandate.incidents.iter().map(|i| i.facts.id), dice)? } else { dice.hex(16) };
    Some(json!({"facts": {"id": id, "kind": dice.one(&kinds), "member": member, "detected": at - 5,
        "since": dice.one(&[None, Some(-5), Some(at)]), "note": note}, "grants": grants}))
}

fn amended(mandate: &Mandate, at: i64, dice: &mut Dice) -> Option<Value> {
    let mut changes = Vec::new();
    for _ in 0..=dice.below(2) {
        let row = live_row(mandate, dice)?;
        changes.push(match dice.below(8) {
            0 | 1 => add_row(dice.one::<&str>(SYSTEMS), mandate.term, dice),
            2..=4 => json!({"set": {"row": row.id, "terms": terms(mandate.term, dice)}}),
            5 => json!({"remove": {"row": row.id}}),
            _ => {
                let mut term = if dice.chance(10) { TERM } else { part_of(mandate.term, dice) };
                if dice.chance(95) {
                    term.from = mandate.term.from;
                }
                let until = if dice.chance(3) { "2027-02-01".to_owned() } else { dates(term).1 };
                json!({"until": {"until": until, "term": term}})
            }
        });
    }
    // In the order in which they can be asked for, and one last day.
    if dice.chance(96) {
        let place =
            |change: &Value| ["until", "set", "remove", "add"].iter().position(|kind| change.get(kind).is_some());
        changes.sort_by_key(place);
        changes.dedup_by(|later, earlier| later.get("until").is_some() && earlier.get("until").is_some());
    }
    let grants = standing(&changes, &mandate.leads, dice);
    // What it narrows is what the product says, most of the time.
    let typed: Vec<_> = changes.iter().map(|change| serde_json::from_value(change.clone()).unwrap()).collect();
    let made: Vec<_> = grants.iter().map(|grant| serde_json::from_value(grant.clone()).unwrap()).collect();
    let mut after = mandate.clone();
    let fits = after.try_changes(&typed, &made, Instant(at)).is_ok();
    let mut narrowed = if fits { after.narrowed(&typed) } else { Vec::new() };
    if dice.chance(3) {
        narrowed.pop();
    }
    Some(json!({"changes": changes, "grants": grants, "narrowed": narrowed}))
}

fn credential(mandate: &Mandate, at: i64, text: &str, dice: &mut Dice) -> Option<Value> {
    let kinds = ["login", "api_key", "bot_token", "webhook", "oauth_token", "recovery_codes", "note", "delegated"];
    let kind = *dice.one(&kinds);
    let secret = (kind != "delegated") ^ dice.chance(2);
    let version = if secret { version(if dice.chance(98) { 1 } else { 2 }, dice) } else { json!(null) };
    let revocation = json!({"endpoint": text, "probe": "https://x.test", "client": ""});
    let name = *dice.one(&["", "Admin", "admin ", "Бот ё", "бот е", "x1", "x2", "x3"]);
    let old = mandate.credentials.last().filter(|_| dice.chance(8)).map(|credential| credential.id.to_string());
    let id = old.unwrap_or_else(|| dice.hex(16));
    Some(json!({"id": id, "row": live_row(mandate, dice)?.id, "name": name.trim(), "kind": kind,
        "account": text, "url": "https://romashka.test", "second_factor": second_factor(at, text, dice),
        "revocation": dice.chance(50).then_some(revocation), "because": dice.one(&[None, Some(text)]),
        "version": version}))
}

fn version(number: u32, dice: &mut Dice) -> Value {
    json!({"number": number, "ct": dice.hex(32), "tag": dice.hex(16),
        "strength": dice.one(&["random", "strong", "fair", "weak"]),
        "allowed_weak": dice.one(&[None, Some("short-lived")])})
}

fn second_factor(at: i64, text: &str, dice: &mut Dice) -> Value {
    match dice.below(4) {
        0 => json!("on"),
        1 => json!("unknown"),
        2 => json!({"elsewhere": {"holder": text}}),
        _ => json!({"not_possible": {"reason": text, "at": at}}),
    }
}

fn rotated(mandate: &Mandate, at: i64, text: &str, dice: &mut Dice) -> Option<Value> {
    let credential = mandate.credentials.get(dice.below(mandate.credentials.len()))?;
    let last = credential.current.as_ref().map_or(0, |version| version.number);
    let number = if dice.chance(15) { last + 2 * u32::from(dice.chance(50)) } else { last + 1 };
    let second = second_factor(at, text, dice);
    let (new, second) = (dice.chance(50).then(|| version(number, dice)), dice.chance(50).then_some(second));
    Some(json!({"credential": credential.id, "version": new, "second_factor": second}))
}

/// A grant by itself, or for a request that waits.
fn granted(mandate: &Mandate, ledger: &Ledger, at: i64, dice: &mut Dice) -> Option<Value> {
    let mut member = *dice.one(&ledger.people.all());
    let mut row = live_row(mandate, dice)?;
    let waiting: Vec<_> = mandate.requests.iter().filter(|r| dice.chance(5) || r.answer.is_none()).collect();
    let request = waiting.get(dice.below(waiting.len())).filter(|_| dice.chance(70));
    if let Some(request) = request.filter(|_| dice.chance(97)) {
        member = request.by;
        row = mandate.row_named(request.wish.system.as_str()).filter(|_| dice.chance(97)).unwrap_or(row);
    }
    let mut levels = row.terms.levels.clone();
    let mut purposes = dice.some(&row.terms.purposes);
    let mut term = part_of(row.terms.term, dice);
    if let Some(request) = request.filter(|_| dice.chance(90)) {
        levels.retain(|level| request.wish.levels.contains(level));
        if !request.wish.purposes.is_empty() {
            let wished = |p: &mandatum::model::Text| request.wish.purposes.iter().any(|wish| wish.same(p.as_str()));
            purposes.retain(wished);
        }
        if let Some(end) = request.wish.until.and_then(|until| mandate.zone.end_of(until).ok()) {
            term.until = term.until.min(end.plus(*dice.one(&[0, 0, 0, 0, 1, -1])));
        }
    } else {
        levels = dice.some(&levels.iter().copied().collect::<Vec<_>>()).into_iter().collect();
    }
    if let Some(end) = row.terms.grant_end(Instant(at)).filter(|_| dice.chance(90)) {
        term.until = term.until.min(end.plus(*dice.one(&[0, 0, 0, -1, 1])));
    }
    if dice.chance(3) {
        levels = dice.some(&Level::all().collect::<Vec<_>>()).into_iter().collect();
    }
    let origin = if dice.chance(94) { GrantOrigin::Given } else { GrantOrigin::Lead };
    let answers = request.map(|request| request.wish.id);
    Some(json!({"grant": {"id": dice.hex(16), "member": member, "row": row.id, "levels": levels, "purposes": purposes,
        "term": term, "origin": origin}, "answers": answers}))
}

fn why(text: &str, dice: &mut Dice) -> Value {
    let plain = ["term", "amended", "mandate_ended", "member_removed", "key_lost"];
    if dice.chance(50) { json!({"asked": {"reason": text}}) } else { json!(dice.one(&plain)) }
}

fn item(mandate: &Mandate, grant: &Grant, dice: &mut Dice) -> Option<Value> {
    let under = mandate.credentials_of(grant.facts.row).map(|credential| credential.id);
    Some(json!({"credential": known(under, dice)?, "version": dice.below(3), "grant": grant.facts.id}))
}

fn shared_item(credential: &Credential, dice: &mut Dice) -> Option<Value> {
    let version = credential.current.as_ref()?.number + u32::from(dice.chance(10));
    Some(json!({"credential": credential.id, "version": version}))
}

/// A grant made anew, as it was.
fn again(grant: &Grant, dice: &mut Dice) -> Value {
    let mut facts = serde_json::to_value(&grant.facts).unwrap();
    facts["id"] = json!(if dice.chance(3) { grant.facts.id.to_string() } else { dice.hex(16) });
    facts
}
