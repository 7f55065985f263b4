//! The parsers of bytes that come from outside, each behind one function that takes any bytes.
//!
//! Whatever comes in, nothing panics, hangs or asks for much memory; and what is taken is one thing in one spelling:
//! written again and read again it is the same. `fuzz_targets` hands these functions to libFuzzer; the test
//! `tests/suite/fuzz.rs` runs them over every file of `corpus`, so that a file which once broke one is never forgotten.

use mandatum::agent::{Invitation, KIT_MAGIC, Seed};
use mandatum::api::{self, Call, Frame, wire};
use mandatum::cli::{ImportLine, parse_rows};
use mandatum::crypto::{Cost, Key, Secret, SignKey, Signed, Topic, hash, open_sealed_file};
use mandatum::ledger::{Entry, Outcome, Record, verify_extract};
use mandatum::model::{Instant, Jurisdiction, Mandate, Roster, Verb, Zone};
use mandatum::paperwork::catalogue::Catalogue;
use mandatum::paperwork::law::Law;
use mandatum::paperwork::read::{FILE_MAX, Origin, read};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::Write;
use std::sync::LazyLock;

/// A target's name, which is that of its corpus, and its function.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: [Target; 9] = [
    ("csv", csv),
    ("docx", docx),
    ("extract", extract),
    ("identity", identity),
    ("invitation", invitation),
    ("jsonl", jsonl),
    ("otpauth", otpauth),
    ("record", record),
    ("request", request),
];

static KEY: LazyLock<SignKey> = LazyLock::new(|| SignKey::from_seed(&Key::absent()));

/// Records as a broker with its own keys could write them, one a line: each is signed, opened and folded.
pub fn record(data: &[u8]) {
    let (mut mandate, mut roster) = (None::<Mandate>, None::<Roster>);
    for line in data.split(|byte| *byte == b'\n') {
        let Ok(record) = Record::open(&KEY.sign(Topic::Record, line.to_vec()), &KEY.public()) else { continue };
        assert!(record.encode() == line, "one record has one spelling");
        // What does not follow is refused, and leaves nothing of itself behind that a later record could break on.
        match (&record.outcome, &mut mandate, &mut roster) {
            (Outcome::Mandate(event), None, _) => {
                mandate = Mandate::open(record.unit, event, record.by, record.at).ok()
            }
            (Outcome::Mandate(event), Some(state), _) => {
                if state.clone().apply(event, record.by, record.at).is_ok() {
                    let _ = state.apply(event, record.by, record.at);
                    same_in_the_database(state);
                }
            }
            (Outcome::Roster(event), _, None) => roster = Roster::found(record.unit, event, record.at).ok(),
            (Outcome::Roster(event), _, Some(state)) => {
                if state.clone().apply(event, record.at).is_ok() {
                    let _ = state.apply(event, record.at);
                    same_in_the_database(state);
                }
            }
            (Outcome::Denied(_) | Outcome::Refused, ..) => {}
        }
    }
    let _ = serde_json::from_slice::<Entry>(data).map(|entry| entry.leaf());
}

/// A state document holds what its fold came to.
fn same_in_the_database<T: Serialize + DeserializeOwned + PartialEq>(state: &T) {
    let bytes = postcard::to_stdvec(state).expect("a state can be written");
    let again: T = postcard::from_bytes(&bytes).expect("a state can be read");
    assert!(again == *state, "a state is read as it was written");
}

/// An extract as an operator, or somebody who claims to be the agency, hands it in.
pub fn extract(data: &[u8]) {
    if let Ok(verified) = verify_extract(data, None, |_| {}) {
        assert_eq!(u64::try_from(verified.records.len()), Ok(verified.checkpoint.size));
        assert!(verify_extract(data, Some("another root"), |_| {}).is_err());
    }
}

/// An identity file or kit. A header that asks for more work than is written by default is left out: what it may ask
/// for is a matter of bounds, which have tests of their own, and takes seconds.
pub fn identity(data: &[u8]) {
    let asked = data.get(10..22).unwrap_or_default();
    let Cost { m_kib, t, p } = Cost::DEFAULT;
    let usual = [m_kib, t, p].map(u32::to_le_bytes).concat();
    let (Some(magic), passphrase) = (data.first_chunk::<8>(), Secret::copy_of(b"passphrase")) else { return };
    let number = |at: usize| asked.get(at..at + 4).map_or(0, |n| u32::from_le_bytes(n.try_into().expect("four bytes")));
    if asked == usual || !(number(0) >= m_kib && number(4) >= t && number(8) >= p) {
        assert!(open_sealed_file(magic, data, &passphrase).is_err(), "sealed by another passphrase");
    }
    assert!(magic == KIT_MAGIC || open_sealed_file(KIT_MAGIC, data, &passphrase).is_err());
}

/// An invitation as text, or the content of one that somebody made up.
pub fn invitation(data: &[u8]) {
    let parse = |text: &str| {
        if let Ok(invitation) = Invitation::parse(text) {
            let compact: String = text.split_whitespace().collect();
            assert!(*invitation.text() == *compact, "one invitation has one spelling");
            let _ = (invitation.fingerprint(), invitation.profile(), invitation.is_local());
        }
    };
    parse(&String::from_utf8_lossy(data));
    let whole = [data, hash(data).bytes().get(..4).unwrap_or_default()].concat();
    parse(&format!("mandatum:{}", data_encoding::BASE64URL_NOPAD.encode(&whole)));
}

/// A call as it comes through a door: the route's name, the request that is signed, and the load, a line each. Also as
/// a body of whatever bytes, and as what a broker answers.
pub fn request(data: &[u8]) {
    let mut lines = data.splitn(3, |byte| *byte == b'\n');
    let [name, asked, load] = [(); 3].map(|()| lines.next().unwrap_or_default());
    let route = String::from_utf8_lossy(name).parse::<wire::Route>();
    let body = data.get(name.len() + 1..).unwrap_or_default();
    same::<api::Refusal>(body);
    match route {
        Ok(wire::Route::Hello) => same::<api::Hello>(body),
        Ok(wire::Route::Join) => drop(serde_json::from_slice::<api::Joining>(body)),
        Ok(wire::Route::Call(verb)) => {
            let _ = wire::decode(verb, body);
            let frame = Frame { verb, request: KEY.sign(Topic::Request, asked.to_vec()), load: load.to_vec() };
            let body = wire::encode(&frame).expect("a frame can be written");
            let again = wire::decode(verb, &body).expect("a frame can be read");
            assert!((&again.request, &again.load) == (&frame.request, &frame.load));
            let signed: &Signed = &again.request;
            call(verb, signed.open(Topic::Request, &KEY.public()).expect("signed just now"), &again.load);
        }
        Err(_) => {}
    }
}

/// Values read from JSON are the same when they are written and read again.
fn same<T: Serialize + DeserializeOwned>(data: &[u8]) {
    if let Ok(value) = serde_json::from_slice::<T>(data) {
        let text = serde_json::to_vec(&value).expect("what was read can be written");
        let again: T = serde_json::from_slice(&text).expect("what was written can be read");
        assert!(serde_json::to_vec(&again).expect("and written") == text, "a value has one spelling");
    }
}

fn of<C: Call>(asked: &[u8], load: &[u8]) {
    same::<api::Request<C::Ask>>(asked);
    same::<C::Load>(load);
    same::<C::Answer>(load);
}

/// The types of the verb that is called.
pub fn call(verb: Verb, asked: &[u8], load: &[u8]) {
    macro_rules! call {
        ($($call:ident)+) => {
            match verb {
                $(_ if verb == api::$call::VERB => of::<api::$call>(asked, load),)+
                _ => panic!("{} is not among the calls", verb.name()),
            }
        };
    }
    call! {
        UnlockCall LockCall StepUpCall MemberAddCall MemberListCall MemberRoleCall MemberSuspendCall MemberResumeCall
        MemberFactorCall MemberRemoveCall MemberInviteCall MemberPendingCall MemberConfirmCall MemberRejectCall
        DeviceListCall DeviceRemoveCall MandateOpenCall MandateImportCall MandateAnswerCall MandateActivateCall
        MandatePermitCall MandateEvidenceCall MandateListCall MandateShowCall MandateAmendCall MandateEndCall
        MandateSettleCall MandateCloseCall CredentialAddCall CredentialRotateCall CredentialListCall LocateCall
        ReuseCall RecipientsCall GrantCall WrapShareCall RevokeCall RequestCall DenyCall ReviewCall RotationAskCall
        IncidentOpenCall IncidentNoteCall IncidentCloseCall IncidentListCall FetchCall CodeCall LogCall ExtractCall
        CheckpointCall ExposureCall VerifyCall SweepCall DueCall StatusCall BackupCall ConfirmClockCall
    }
}

/// A mandate's file; what is no archive is put into one as its main part.
pub fn docx(data: &[u8]) {
    static BOOKS: LazyLock<(Catalogue, Law)> = LazyLock::new(|| {
        let law = Law::built_in(Jurisdiction::Ru).expect("built in");
        (Catalogue::built_in().expect("built in"), law)
    });
    let file = if data.starts_with(b"PK") { data.to_vec() } else { packed(data) };
    if u64::try_from(file.len()).is_ok_and(|len| len > FILE_MAX) {
        return;
    }
    let zone = Zone::parse("Europe/Moscow").expect("a zone");
    let as_of = "2026-03-01".parse().expect("a date");
    let (catalogue, law) = &*BOOKS;
    let reading = read(&file, Origin::default(), as_of, &zone, catalogue, law);
    let _ = (reading.open_questions().len(), reading.rows_to_activate().len());
    serde_json::to_vec(&reading).expect("a reading can be written");
}

fn packed(document: &[u8]) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let plain = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    archive.start_file("word/document.xml", plain).expect("in memory");
    archive.write_all(document).expect("in memory");
    archive.finish().expect("in memory").into_inner()
}

/// A seed as platforms show it.
pub fn otpauth(data: &[u8]) {
    let Ok(seed) = Seed::parse(&String::from_utf8_lossy(data)) else { return };
    let again = Seed::decode(&seed.encode()).expect("a seed can be read");
    for second in [0, 59, 1_772_431_200, u64::MAX / 2] {
        assert_eq!(seed.code(second), again.code(second));
        let _ = seed.step_of(&seed.code(second).0, second);
    }
}

/// An access table.
pub fn csv(data: &[u8]) {
    if let Ok(rows) = parse_rows("rows.csv", data) {
        assert!((1..=500).contains(&rows.len()));
        same::<Vec<api::RowSpec>>(&serde_json::to_vec(&rows).expect("rows can be written"));
    }
}

/// A file of credentials to import.
pub fn jsonl(data: &[u8]) {
    for line in data.split(|byte| *byte == b'\n') {
        let _ = ImportLine::parse(line, Instant(1_772_431_200_000));
    }
}
