//! What may be done to an extract: by who holds the file alone, by a broker with its own keys, by a member, by an
//! owner, by anybody.

use super::course::{Course, asked};
use super::dice::Dice;
use super::edit::edited;
use super::forge::Ledger;
use mandatum::crypto::{SignKey, Signed, Topic};
use mandatum::ledger::{Checkpoint, Entry, Record};
use mandatum::model::{MemberId, Verb};
use serde_json::{Value, json};

type Change = fn(&Course, &Course, &mut Dice) -> Option<Vec<u8>>;

/// Each with the name it is reported by.
pub const CHANGES: &[(&str, Change)] = &[
    ("a bit of the file", bit),
    ("bytes of the file", bytes),
    ("lines of the file", lines),
    ("a token of a line", line_token),
    ("a token of a record, signed anew", record_token),
    ("a token of a record, signed anew, no state named", record_token_stateless),
    ("a token of a request, signed anew", request_token),
    ("a token of a request, signed anew, no state named", request_token_stateless),
    ("an event and what asks for it, signed anew", event_token),
    ("an event and what asks for it, signed anew", event_token),
    ("an event and what asks for it, signed anew", event_token),
    ("an event and what asks for it, signed anew", event_token),
    ("another author, verb, unit or object, signed anew", author),
    ("another author, verb, unit or object, signed anew", author),
    ("a record or request of another signer", other_signer),
    ("records dropped, doubled or exchanged", records_moved),
    ("a release for a request that was used", used_twice),
    ("the head", head),
    ("a charter, signed anew", charter_token),
    ("an admission, signed anew", admission_token),
    ("charters or admissions moved", keys_moved),
    ("a signature in another spelling", malleable),
    ("an event that does not follow", not_following),
    ("an event that does not follow, no state named", not_following_stateless),
    // Once more: what the fold refuses has the most ways to be wrong.
    ("an event that does not follow", not_following),
    ("an event that does not follow, no state named", not_following_stateless),
    ("an event that does not follow", not_following),
    ("an event that does not follow, no state named", not_following_stateless),
];

// ---- by who holds the file ----

fn bit(course: &Course, _: &Course, dice: &mut Dice) -> Option<Vec<u8>> {
    let mut file = course.ledger.write();
    let at = dice.below(file.len());
    file[at] ^= 1 << dice.below(8);
    Some(file)
}

fn bytes(course: &Course, _: &Course, dice: &mut Dice) -> Option<Vec<u8>> {
    let mut file = course.ledger.write();
    let at = dice.below(file.len());
    match dice.below(6) {
        0 => file.truncate(at),
        1 => drop(file.remove(at)),
        2 => file.insert(at, *dice.one(&b" \n\r\t\"{}[],:0a\xff"[..])),
        3 => file.extend_from_slice(dice.one::<&[u8]>(&[b"\n", b" ", b"{}\n", b"\0"])),
        4 => file.splice(0..0, b"\xef\xbb\xbf".iter().copied()).for_each(drop),
        _ => {
            let line = file.iter().position(|byte| *byte == b'\n')?;
            file.insert(line, b'\r');
        }
    }
    Some(file)
}

fn lines(course: &Course, other: &Course, dice: &mut Dice) -> Option<Vec<u8>> {
    let file = String::from_utf8(course.ledger.write()).ok()?;
    let foreign = String::from_utf8(other.ledger.write()).ok()?;
    let mut lines: Vec<&str> = file.lines().collect();
    let foreign: Vec<&str> = foreign.lines().collect();
    let (one, two) = (dice.below(lines.len()), dice.below(lines.len()));
    match dice.below(5) {
        0 => drop(lines.remove(one)),
        1 => lines.insert(one, lines[two]),
        2 => lines.swap(one, two),
        3 => lines[one] = dice.one::<&str>(&foreign),
        _ => lines.insert(one, dice.one::<&str>(&foreign)),
    }
    Some((lines.join("\n") + "\n").into_bytes())
}

fn line_token(course: &Course, _: &Course, dice: &mut Dice) -> Option<Vec<u8>> {
    let file = String::from_utf8(course.ledger.write()).ok()?;
    let mut lines: Vec<String> = file.lines().map(str::to_owned).collect();
    let at = dice.below(lines.len());
    lines[at] = edited(&lines[at], dice);
    Some((lines.join("\n") + "\n").into_bytes())
}

// ---- by a broker with its own keys, or with a member's ----

fn record_token(course: &Course, _: &Course, dice: &mut Dice) -> Option<Vec<u8>> {
    let mut ledger = course.ledger.clone();
    let at = dice.below(ledger.entries.len());
    ledger.rewrite(at, edited(&ledger.text(at), dice));
    sealed(ledger)
}

fn record_token_stateless(course: &Course, _: &Course, dice: &mut Dice) -> Option<Vec<u8>> {
    let mut ledger = course.ledger.clone();
    let at = dice.below(ledger.entries.len());
    ledger.rewrite(at, edited(&ledger.text(at), dice));
    name_no_state(&mut ledger, at);
    sealed(ledger)
}

fn request_token(course: &Course, _: &Course, dice: &mut Dice) -> Option<Vec<u8>> {
    sealed(with_request(&course.ledger, dice)?.0)
}

fn request_token_stateless(course: &Course, _: &Course, dice: &mut Dice) -> Option<Vec<u8>> {
    let (mut ledger, at) = with_request(&course.ledger, dice)?;
    name_no_state(&mut ledger, at);
    sealed(ledger)
}

fn with_request(ledger: &Ledger, dice: &mut Dice) -> Option<(Ledger, usize)> {
    let mut ledger = ledger.clone();
    let at = dice.below(ledger.entries.len());
    let (by, request) = request_of(&ledger, at)?;
    let body = std::str::from_utf8(request.unverified_bytes()).ok()?;
    // Mostly what is asked for: the fields of a body are in the order of their names.
    let ask = body.rfind(",\"format\":").filter(|_| dice.chance(70));
    let body = match ask {
        Some(end) => format!("{{\"ask\":{}{}", edited(body[..end].strip_prefix("{\"ask\":")?, dice), &body[end..]),
        None => edited(body, dice),
    };
    let again = ledger.keys.of(by, request.claimed_key())?.sign(Topic::Request, body.into_bytes());
    put_request(&mut ledger, at, &request, &again)?;
    Some((ledger, at))
}

/// The same edit in an event and in the request for it, so that only the event's own rules can object.
fn event_token(course: &Course, _: &Course, dice: &mut Dice) -> Option<Vec<u8>> {
    let mut ledger = course.ledger.clone();
    let at = dice.below(ledger.entries.len());
    let text = ledger.text(at);
    let start = text.find("{\"mandate\":")? + "{\"mandate\":".len();
    let end = text.rfind("},\"state\":")?;
    let event = edited(&text[start..end], dice);
    ledger.rewrite(at, format!("{}{event}{}", &text[..start], &text[end..]));
    if let (Some((by, request)), Ok(written)) = (request_of(&course.ledger, at), serde_json::from_str(&event)) {
        let mut body: Value = serde_json::from_slice(request.unverified_bytes()).ok()?;
        let before = course.mandate.as_ref().filter(|_| at > 0);
        body["ask"] = asked(&written, before, (&course.ledger, by), dice)?.1;
        let again = ledger.device(by, dice).sign(Topic::Request, serde_json::to_vec(&body).ok()?);
        put_request(&mut ledger, at, &request, &again);
    }
    name_no_state(&mut ledger, at);
    sealed(ledger)
}

/// Who asked, by which verb, about what: changed in the record, in its request, or in both.
fn author(course: &Course, _: &Course, dice: &mut Dice) -> Option<Vec<u8>> {
    let mut ledger = course.ledger.clone();
    let what = dice.below(9);
    let holds = |part: &str, at: &usize| ledger.text(*at).contains(part);
    let fit: Vec<usize> = match what {
        7 => (0..ledger.entries.len()).filter(|at| holds("\"verb\":\"revoke\"", at)).collect(),
        8 => (0..ledger.entries.len()).filter(|at| holds("released\":{", at)).collect(),
        _ => (0..ledger.entries.len()).collect(),
    };
    let at = *fit.get(dice.below(fit.len()))?;
    let mut record: Value = serde_json::from_str(&ledger.text(at)).ok()?;
    let signed = request_of(&ledger, at).map(|(_, request)| request);
    let mut body: Value = serde_json::from_slice(signed.as_ref().map_or(b"{}", Signed::unverified_bytes)).ok()?;
    let (member, verb) = (*dice.one(&ledger.people.all()), json!(dice.one(Verb::ALL)));
    match what {
        6 => body["unit"] = json!(dice.hex(16)),
        7 => body["ask"]["of"] = json!([dice.one(&["Another", "Romashka"])]),
        8 => body["ask"]["items"] = json!([{"credential": dice.hex(16), "grant": dice.hex(16)}]),
        0 => record["verb"] = if record["verb"].is_null() { verb } else { Value::Null },
        1 => record["by"] = if record["by"].is_null() { json!(member) } else { Value::Null },
        2 => record["request"] = Value::Null,
        3 => (record["verb"], record["by"], record["request"]) = (Value::Null, Value::Null, Value::Null),
        4 => (record["verb"], body["verb"]) = (verb.clone(), verb),
        _ => (record["by"], body["member"]) = (json!(member), json!(member)),
    }
    if !record["request"].is_null() {
        let by: MemberId = serde_json::from_value(body["member"].clone()).ok()?;
        let again = ledger.device(by, dice).sign(Topic::Request, serde_json::to_vec(&body).ok()?);
        record["request"] = serde_json::to_value(again).ok()?;
    }
    // Through the type, for the order of its fields.
    let record: Record = serde_json::from_value(record).ok()?;
    ledger.rewrite(at, String::from_utf8(record.encode()).ok()?);
    name_no_state(&mut ledger, at);
    sealed(ledger)
}

fn other_signer(course: &Course, other: &Course, dice: &mut Dice) -> Option<Vec<u8>> {
    let mut ledger = course.ledger.clone();
    let keys = ledger.keys.clone();
    let at = dice.below(ledger.entries.len());
    let text = ledger.text(at).into_bytes();
    let (by, request) = request_of(&ledger, at)?;
    let body = request.unverified_bytes().to_vec();
    let another: Vec<&SignKey> = keys.members.iter().filter(|(id, _)| **id != by).flat_map(|(_, keys)| keys).collect();
    let swapped = match dice.below(8) {
        0 => return resigned(ledger, at, &keys.stranger, Topic::Record, text),
        1 => return resigned(ledger, at, &keys.checkpoint, Topic::Record, text),
        2 => return resigned(ledger, at, keys.record(), *dice.one(&Topic::ALL), text),
        3 => dice.one(&another).sign(Topic::Request, body),
        4 => keys.members[&by][0].sign(*dice.one(&Topic::ALL), body),
        // A device that is not admitted in every vault.
        5 if dice.chance(50) => keys.members[&by][1].sign(Topic::Request, body),
        5 => {
            // The right key's name over another's signature.
            let forged = keys.stranger.sign(Topic::Request, body.clone());
            Signed::from_parts(body, *request.claimed_key(), forged.signature().to_vec())
        }
        6 => request_of(&ledger, dice.below(ledger.entries.len()))?.1,
        _ => request_of(&other.ledger, dice.below(other.ledger.entries.len()))?.1,
    };
    put_request(&mut ledger, at, &request, &swapped)?;
    sealed(ledger)
}

fn resigned(mut ledger: Ledger, at: usize, key: &SignKey, topic: Topic, text: Vec<u8>) -> Option<Vec<u8>> {
    ledger.entries[at].signed = key.sign(topic, text);
    sealed(ledger)
}

/// With and without new numbers and signatures; the head always fits.
fn records_moved(course: &Course, other: &Course, dice: &mut Dice) -> Option<Vec<u8>> {
    let mut ledger = course.ledger.clone();
    let entries = &mut ledger.entries;
    let (one, two) = (dice.below(entries.len()), dice.below(entries.len()));
    match dice.below(6) {
        0 => drop(entries.remove(one)),
        1 => entries.insert(one, entries[two].clone()),
        2 => entries.swap(one, two),
        3 => entries[one] = dice.one(&other.ledger.entries).clone(),
        4 => entries.truncate(one),
        _ => entries.clear(),
    }
    if dice.chance(70) {
        for at in 0..ledger.entries.len() {
            let text = ledger.text(at);
            let (before, after) = (text.find("\"seq\":")? + 6, text.find(",\"at\":")?);
            ledger.rewrite(at, format!("{}{at}{}", &text[..before], &text[after..]));
        }
        if dice.chance(60) {
            name_no_state(&mut ledger, 0);
        }
    }
    sealed(ledger)
}

fn used_twice(course: &Course, _: &Course, dice: &mut Dice) -> Option<Vec<u8>> {
    let mut ledger = course.ledger.clone();
    let releases: Vec<usize> =
        (0..ledger.entries.len()).filter(|at| ledger.text(*at).contains("released\":{")).collect();
    let again = *releases.get(dice.below(releases.len()))?;
    // Right after it, while the grant is surely live, and nothing follows.
    let text = ledger.text(again).replacen(&format!("\"seq\":{again},"), &format!("\"seq\":{},", again + 1), 1);
    ledger.entries.truncate(again + 1);
    ledger.entries.push(ledger.entries[again].clone());
    ledger.rewrite(again + 1, text);
    name_no_state(&mut ledger, again);
    sealed(ledger)
}

fn not_following(course: &Course, _: &Course, dice: &mut Dice) -> Option<Vec<u8>> {
    sealed(refused(course, dice)?)
}

fn not_following_stateless(course: &Course, _: &Course, dice: &mut Dice) -> Option<Vec<u8>> {
    let mut ledger = refused(course, dice)?;
    name_no_state(&mut ledger, 0);
    sealed(ledger)
}

fn refused(course: &Course, dice: &mut Dice) -> Option<Ledger> {
    course.refused.get(dice.below(course.refused.len())).cloned()
}

fn head(course: &Course, other: &Course, dice: &mut Dice) -> Option<Vec<u8>> {
    let mut ledger = course.ledger.clone();
    let mut shorter = ledger.clone();
    shorter.entries.pop();
    let keys = ledger.keys.clone();
    let note = ledger.checkpoint.clone();
    let signed = |head: Checkpoint, key: &SignKey| head.sign(keys.vault, ledger.unit, key);
    let of = |at: usize| course.ledger.entries[at.min(course.ledger.entries.len() - 1)].leaf();
    let size = u64::try_from(ledger.entries.len()).ok()?;
    ledger.checkpoint = match dice.below(9) {
        0 => signed(Checkpoint { size: size + 1, root: of(0) }, &keys.checkpoint),
        1 => {
            shorter.seal();
            shorter.checkpoint
        }
        2 => {
            let text: Vec<&str> = note.split('\n').collect();
            let root: [u8; 32] = base64(text.get(2)?)?.try_into().ok()?;
            signed(
                Checkpoint { size, root: mandatum::model::Digest(root) },
                dice.one::<&SignKey>(&[keys.record(), &keys.stranger]),
            )
        }
        3 => other.ledger.checkpoint.clone(),
        4 => note.replacen('\n', "\r\n", 1),
        5 => format!("{note}\n"),
        6 => note.clone() + note.lines().last()? + "\n",
        7 => note.replacen(&format!("\n{size}\n"), &format!("\n0{size}\n"), 1),
        _ => edited(&note, dice),
    };
    Some(ledger.write())
}

// ---- by an owner, or the owner root ----

fn charter_token(course: &Course, _: &Course, dice: &mut Dice) -> Option<Vec<u8>> {
    let mut ledger = course.ledger.clone();
    let at = dice.below(ledger.charters.len());
    let text = std::str::from_utf8(ledger.charters[at].unverified_bytes()).ok()?.to_owned();
    let key = if dice.chance(80) { &ledger.keys.root } else { &ledger.keys.stranger };
    ledger.charters[at] = key.sign(Topic::Charter, edited(&text, dice).into_bytes());
    Some(ledger.write())
}

/// The admission, or the bundle inside it.
fn admission_token(course: &Course, _: &Course, dice: &mut Dice) -> Option<Vec<u8>> {
    let mut ledger = course.ledger.clone();
    let keys = ledger.keys.clone();
    let everybody: Vec<&SignKey> = keys.members.values().flatten().chain([&keys.root, &keys.stranger]).collect();
    let known = |public| everybody.iter().copied().find(|key| key.public() == public);
    let at = dice.below(ledger.admissions.len());
    let signed = ledger.admissions[at].clone();
    let mut text = std::str::from_utf8(signed.unverified_bytes()).ok()?.to_owned();
    if dice.chance(50) {
        text = edited(&text, dice);
    } else {
        let admission: mandatum::ledger::Admission = serde_json::from_str(&text).ok()?;
        let bundle = edited(std::str::from_utf8(admission.bundle.unverified_bytes()).ok()?, dice);
        let key = if dice.chance(80) { known(*admission.bundle.claimed_key())? } else { *dice.one(&everybody) };
        let again = key.sign(Topic::Bundle, bundle.into_bytes());
        text = text.replacen(&written(&admission.bundle), &written(&again), 1);
    }
    let key = if dice.chance(80) { known(*signed.claimed_key())? } else { *dice.one(&everybody) };
    ledger.admissions[at] = key.sign(Topic::Admission, text.into_bytes());
    Some(ledger.write())
}

fn keys_moved(course: &Course, other: &Course, dice: &mut Dice) -> Option<Vec<u8>> {
    let mut ledger = course.ledger.clone();
    let (list, foreign) = if dice.chance(70) {
        (&mut ledger.admissions, &other.ledger.admissions)
    } else {
        (&mut ledger.charters, &other.ledger.charters)
    };
    let (one, two) = (dice.below(list.len()), dice.below(list.len()));
    match dice.below(6) {
        0 => drop(list.remove(one)),
        1 => list.insert(one, list[two].clone()),
        2 => list.swap(one, two),
        3 => list[one] = dice.one(foreign).clone(),
        4 => list.clear(),
        _ => ledger.root = *dice.one(&[other.ledger.root, ledger.keys.stranger.public()]),
    }
    Some(ledger.write())
}

// ---- by anybody ----

/// A signature that some verifiers take for the same: S + L, points of small order, another length.
fn malleable(course: &Course, _: &Course, dice: &mut Dice) -> Option<Vec<u8>> {
    let mut ledger = course.ledger.clone();
    let at = dice.below(ledger.entries.len());
    let Entry { signed, .. } = &ledger.entries[at];
    let (mut key, mut sig) = (*signed.claimed_key(), signed.signature().to_vec());
    let small = dice.one(SMALL_ORDER);
    let point: [u8; 32] = std::array::from_fn(|i| u8::from_str_radix(&small[2 * i..2 * i + 2], 16).unwrap());
    match dice.below(5) {
        0 => plus_order(&mut sig[32..]),
        1 => sig.push(0),
        2 => sig.truncate(63),
        3 => sig[..32].copy_from_slice(&point),
        _ => {
            // R and A of small order, S zero: good for any text where verification is not strict.
            sig[..32].copy_from_slice(&point);
            sig[32..].fill(0);
            key = mandatum::model::Digest(point);
        }
    }
    let bytes = signed.unverified_bytes().to_vec();
    let keys = ledger.keys.clone();
    if key != *signed.claimed_key() {
        // The root itself names that key as the broker's.
        for charter in &mut ledger.charters {
            let text = String::from_utf8(charter.unverified_bytes().to_vec()).ok()?;
            let text = text.replace(&signed.claimed_key().to_string(), &key.to_string());
            *charter = keys.root.sign(Topic::Charter, text.into_bytes());
        }
    }
    ledger.entries[at].signed = Signed::from_parts(bytes, key, sig);
    Some(ledger.write())
}

const SMALL_ORDER: &[&str] = &[
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000080",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
];

/// The group's order L, little-endian (RFC 8032, 5.1), added to S.
fn plus_order(s: &mut [u8]) {
    const L: [u8; 16] =
        [0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14];
    let mut carry = 0u16;
    for (at, byte) in s.iter_mut().enumerate() {
        let order = L.get(at).copied().unwrap_or(if at == 31 { 0x10 } else { 0 });
        let sum = u16::from(*byte) + u16::from(order) + carry;
        (*byte, carry) = (u8::try_from(sum & 0xFF).unwrap(), sum >> 8);
    }
}

// ---- parts ----

fn sealed(mut ledger: Ledger) -> Option<Vec<u8>> {
    ledger.seal();
    Some(ledger.write())
}

fn written(signed: &Signed) -> String {
    serde_json::to_string(signed).unwrap()
}

fn base64(text: &str) -> Option<Vec<u8>> {
    let blob: mandatum::model::Blob = serde_json::from_str(&format!("\"{text}\"")).ok()?;
    Some(blob.0)
}

/// Who asked, and the request, of a record that has one.
pub fn request_of(ledger: &Ledger, at: usize) -> Option<(MemberId, Signed)> {
    let record: Record = serde_json::from_str(&ledger.text(at)).ok()?;
    Some((record.by?, record.request?))
}

pub fn put_request(ledger: &mut Ledger, at: usize, old: &Signed, new: &Signed) -> Option<()> {
    let text = ledger.text(at);
    ledger.rewrite(at, text.replacen(&written(old), &written(new), 1));
    Some(())
}

/// Takes the state digests out of the records from here on, so that nothing but the fold itself can object.
pub fn name_no_state(ledger: &mut Ledger, from: usize) {
    for at in from..ledger.entries.len() {
        let text = ledger.text(at);
        if let Some(place) = text.rfind("\"state\":") {
            ledger.rewrite(at, format!("{}\"state\":null}}", &text[..place]));
        }
    }
}
