//! Paper: a mandate comes from a file, outsiders need a permission, access is asked for, reviewed, locked by incidents,
//! ended leg by leg, and told in documents whose numbers are the ledger's.

use crate::attacks::real::Front;
use crate::support::{Output, World};
use data_encoding::{BASE64_NOPAD, HEXLOWER};
use mandatum::agent::{Secret, hash};
use mandatum::api::{
    IncidentCloseAsk, IncidentCloseCall, MandateActivateAsk, MandateActivateCall, MandateEvidenceAsk,
    MandateEvidenceCall, MandateShowCall, NameAsk, ReviewAsk, ReviewCall,
};
use mandatum::crypto::{AgeKey, open_note};
use mandatum::ledger::{Outcome, Verified, verify_extract};
use mandatum::model::*;
use mandatum::paperwork::catalogue::Catalogue;
use mandatum::paperwork::law::Law;
use mandatum::paperwork::read::{Origin, read};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader, Cursor, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

const MINUTE: i64 = 60 * 1000;
const DAY: i64 = 24 * 60 * MINUTE;

/// An instant written in UTC.
fn utc(text: &str) -> i64 {
    text.parse::<jiff::Timestamp>().unwrap().as_millisecond()
}

fn now(world: &World) -> i64 {
    world.clock.now().0
}

fn fixture(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/mandates").join(path)
}

/// What the library reads in a file.
fn reading(file: &Path, as_of: &str) -> Value {
    let (catalogue, law) = (Catalogue::built_in().unwrap(), Law::built_in(Jurisdiction::Ru).unwrap());
    let bytes = fs::read(file).unwrap();
    let origin = Origin { digest: Some(hash(&bytes)), repeated: false };
    let zone = Zone::parse("Europe/Moscow").unwrap();
    serde_json::to_value(read(&bytes, origin, as_of.parse().unwrap(), &zone, &catalogue, &law)).unwrap()
}

/// A mandate as one of its people sees it.
fn shown(world: &World, member: &str, operator: &str) -> Value {
    world.run(member, &["mandate", "show", operator, "--json"]).done().json()["mandate"].clone()
}

/// The events of a ledger, in order.
fn events(world: &World, operator: &str) -> Vec<String> {
    let log = world.run("Olga", &["log", operator, "--json"]).done().json();
    log["lines"].as_array().unwrap().iter().map(|line| line["event"].as_str().unwrap().to_owned()).collect()
}

fn count_of(world: &World, operator: &str, event: &str) -> usize {
    events(world, operator).iter().filter(|found| *found == event).count()
}

/// The vault verifies, and so does an extract of the operator's ledger; the extract's bytes.
fn holds(world: &World, operator: &str) -> Vec<u8> {
    world.as_member("Olga", "verify").done();
    let out = world.path(&format!("extract-{}", now(world)));
    let report = world.run("Olga", &["extract", operator, "--out", out.to_str().unwrap(), "--json"]).done().json();
    let root = report["root_fingerprint"].as_str().unwrap();
    world.run("Olga", &["verify", out.to_str().unwrap(), "--root", root]).done();
    fs::read(out).unwrap()
}

fn verified(extract: &[u8]) -> Verified {
    verify_extract(extract, None, |_| ()).unwrap()
}

fn strings(value: &Value) -> BTreeSet<&str> {
    value.as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect()
}

/// A text in every form it could stand in a file.
fn forms(secret: &str) -> Vec<Vec<u8>> {
    let bytes = secret.as_bytes();
    let utf16 = secret.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let mut forms = vec![bytes.to_vec(), HEXLOWER.encode(bytes).into_bytes(), utf16];
    for shift in 0..3usize {
        let text = BASE64_NOPAD.encode(&[&vec![0; shift], bytes].concat());
        let (first, last) = ((shift * 8).div_ceil(6), (shift + bytes.len()) * 8 / 6);
        forms.push(text.as_bytes()[first..last].to_vec());
    }
    forms
}

#[track_caller]
fn assert_nowhere(secret: &str, place: &str, bytes: &[u8]) {
    for form in forms(secret) {
        assert!(!bytes.windows(form.len()).any(|window| window == form), "{secret} stands in {place}");
    }
}

fn files_under(dir: &Path) -> Vec<PathBuf> {
    let (mut files, mut waiting) = (Vec::new(), vec![dir.to_owned()]);
    while let Some(path) = waiting.pop() {
        match path.is_dir() {
            true => waiting.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path())),
            false => files.push(path),
        }
    }
    files
}

/// A refusal leaves no grant, and says so by its code.
#[track_caller]
fn refused(output: Output, code: u8, word: &str) {
    let output = output.ended(code);
    assert!(output.stderr.contains(word), "no '{word}' in: {}", output.stderr);
}

/// No code can be given: what asks for one fails.
fn unattended<T>(world: &World, work: impl FnOnce() -> T) -> T {
    world.attended.store(false, Ordering::SeqCst);
    let result = work();
    world.attended.store(true, Ordering::SeqCst);
    result
}

// ------------------------------------------------------------------------------------------------ a mandate from a file

/// The program reads a file without any vault, as the library does; what is hostile ends with its code and leaves
/// nothing behind.
#[test]
fn a_file_is_read_without_a_vault() {
    let (work, temp, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut seen = BTreeMap::new();
    for folder in ["valid", "broken"] {
        for entry in fs::read_dir(fixture(folder)).unwrap() {
            let file = entry.unwrap().path();
            if file.extension().is_none_or(|end| end != "docx") {
                continue;
            }
            let expected: Value = serde_json::from_slice(&fs::read(file.with_extension("json")).unwrap()).unwrap();
            let output = Command::new(crate::support::binary())
                .args(["mandate", "read", "--json", "--as-of", "2026-03-01"])
                .arg(&file)
                .env_clear()
                .envs([("HOME", home.path()), ("TMPDIR", temp.path())])
                .current_dir(work.path())
                .output()
                .unwrap();
            let name = file.file_name().unwrap().to_string_lossy().into_owned();
            let found: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{name}: {e}"));
            assert_eq!(found, reading(&file, "2026-03-01"), "{name}");
            assert_eq!(found["status"], expected["status"], "{name}");
            let hostile = expected["status"] == "rejected";
            assert_eq!(output.status.code(), Some(if hostile { 7 } else { 0 }), "{name}");
            if hostile {
                let code = expected["errors"][0]["code"].as_str().unwrap();
                let said = String::from_utf8_lossy(&output.stderr).into_owned();
                assert!(said.contains(code), "{name}: {said}");
            }
            *seen.entry(expected["status"].as_str().unwrap().to_owned()).or_insert(0) += 1;
            for dir in [&work, &temp, &home] {
                assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "{name} left something behind");
            }
        }
    }
    assert_eq!(seen["rejected"], 8, "{seen:?}");
    assert!(seen["accepted"] > 0 && seen["accepted_with_questions"] > 0 && seen["needs_input"] > 0, "{seen:?}");
}

fn import(world: &World, file: &Path, operator: &str) -> Value {
    world.run("Lena", &["mandate", "import", file.to_str().unwrap(), "--operator", operator, "--json"]).done().json()
}

/// Under a draft nothing is granted, stored or fetched; putting it in force needs a fresh code and the day it was
/// signed; then its rows are those of the file.
#[test]
fn a_draft_opens_nothing_until_it_is_in_force() {
    let world = World::new();
    let file = fixture("valid/01_basic_until_dates.docx");
    let report = world.run("Lena", &["mandate", "import", file.to_str().unwrap(), "--json"]).done().json();
    let read = reading(&file, "2026-03-02");
    assert_eq!(report["operator"], read["document"]["operator"]["name"]);
    assert_eq!(report["questions"], 0);
    assert_eq!(report["sha256"], hash(&fs::read(&file).unwrap()).to_string());
    assert_eq!(report["reading"], read);

    let file = fixture("valid/02_contract_term_slashes.docx");
    import(&world, &file, "Okna");
    let list = world.as_member("Lena", "mandate list --json").done().json();
    let phases: Vec<&str> = list.as_array().unwrap().iter().map(|line| line["phase"].as_str().unwrap()).collect();
    assert_eq!(phases, ["draft", "draft"]);

    let system = "Okna/Форма сайта — Tilda";
    let tries: [(&str, &[&str]); 6] = [
        ("Lena", &["grant", "Sasha", system, "--level", "view"]),
        ("Lena", &["credential", "add", system, "--user", "u", "--generate", "--totp-unknown"]),
        ("Lena", &["fetch", system, "--json"]),
        ("Lena", &["code", system]),
        ("Sasha", &["fetch", system, "--json"]),
        ("Lena", &["mandate", "amend", "Okna", "--until", "2027-12-31"]),
    ];
    for (member, args) in tries {
        let output = world.run(member, args);
        assert!(matches!(output.code, 3 | 4 | 7), "{args:?} ended with {}: {}", output.code, output.stderr);
    }
    let draft = shown(&world, "Lena", "Okna");
    assert!(draft["phase"]["draft"].is_object(), "{draft}");
    for list in ["rows", "credentials", "grants"] {
        assert_eq!(draft[list], json!([]), "{list}");
    }

    // No day of signature in the file, and no code without a person.
    refused(world.as_member("Lena", "mandate activate Okna -y"), 2, "--signed");
    let alone = unattended(&world, || world.as_member("Lena", "mandate activate Okna --signed 2026-02-01 -y"));
    assert!(matches!(alone.code, 2 | 5), "{}", alone.stderr);
    assert!(shown(&world, "Lena", "Okna")["phase"]["draft"].is_object());
    assert_eq!(world.as_member("Sasha", "mandate activate Okna --signed 2026-02-01 -y").code, 4);
    // Nor does the broker take it from a program that shows none.
    let (operator, source) = (Text::parse("Okna").unwrap(), Digest(hash(&fs::read(&file).unwrap()).0));
    let (signed, until) = ("2026-02-01".parse().unwrap(), "2027-01-31".parse().unwrap());
    let ask = MandateActivateAsk { operator, contract: Text::default(), signed, until, source, rows: Vec::new() };
    let refusal = world.program("Lena").ask::<MandateActivateCall>(None, None, ask).unwrap_err();
    assert!(refusal.to_string().contains("MFA_REQUIRED"), "{refusal}");
    world.as_member("Lena", "mandate activate Okna --signed 2026-02-01 -y").done();

    rows_are_as_read(&shown(&world, "Lena", "Okna"), &reading(&file, "2026-03-02"), "2026-02-01");
    assert_eq!(shown(&world, "Lena", "Okna")["until"], "2027-01-31");
    let added = ["credential", "add", system, "--user", "u", "--generate", "--totp-unknown"];
    world.run("Lena", &added).done();
    world.run("Lena", &["grant", "Sasha", system, "--level", "view"]).done();
    world.run("Sasha", &["fetch", system, "--field", "password"]).done();
    refused(world.as_member("Lena", "mandate activate Okna --signed 2026-02-01 -y"), 7, "no draft");
    assert_eq!(count_of(&world, "Okna", "activated"), 1);
    holds(&world, "Okna");
}

/// Every row that was accepted stands in the mandate as it was read, in the same order, and no other.
#[track_caller]
fn rows_are_as_read(mandate: &Value, read: &Value, signed: &str) {
    let catalogue = Catalogue::built_in().unwrap();
    let rows = mandate["rows"].as_array().unwrap();
    let accepted: Vec<&Value> =
        read["rows"].as_array().unwrap().iter().filter(|row| row["outcome"] == "accept").collect();
    assert!(accepted.len() > 3);
    assert_eq!(rows.len(), accepted.len());
    for (row, read) in rows.iter().zip(accepted) {
        // What separates names in a path is no part of a name.
        let (system, raw) = (row["system"].as_str().unwrap(), read["system_raw"].as_str().unwrap());
        let first = raw.split(" / ").next().unwrap();
        assert!(system == raw || (raw != first && system.starts_with(first)), "{system} is not {raw}");
        let terms = &row["terms"];
        let levels = read["access_levels"].as_array().unwrap().iter().map(|level| level["code"].as_str().unwrap());
        assert_eq!(strings(&terms["levels"]), levels.collect(), "{system}");
        assert_eq!(terms["purposes"], read["purposes"], "{system}");
        assert_eq!(terms["data"], read["data_categories"], "{system}");
        assert_eq!(row["category"], read["category"], "{system}");
        let platform = read["platform"].as_str().map_or("", |slug| catalogue.platform(slug).unwrap().name.as_str());
        assert_eq!(row["platform"], platform, "{system}");
        match read["term"]["anchor"].as_str() {
            Some("grant") => assert_eq!(terms["grant_days"], read["term"]["amount"], "{system}"),
            _ => {
                assert_eq!(terms["until"], read["term"]["end"], "{system}");
                assert_eq!(terms["grant_days"], Value::Null, "{system}");
                let begins = read["term"]["start"].as_str().unwrap_or(signed).max(signed);
                assert_eq!(terms["from"], begins, "{system}");
            }
        }
    }
}

/// A draft with a question stays one; an answer may raise the next question, and a wrong one changes nothing.
#[test]
fn questions_keep_a_draft_from_force() {
    let world = World::new();
    let file = fixture("valid/03_durations_and_ranges.docx");
    assert_eq!(import(&world, &file, "Sad")["questions"], 1);
    refused(world.as_member("Lena", "mandate activate Sad -y"), 7, "TERM_ANCHOR_UNKNOWN");
    let answer = |row: &str, field: &str, value: &str| {
        world.run("Lena", &["mandate", "answer", "Sad", row, field, value, "--json"])
    };
    let before = shown(&world, "Lena", "Sad");
    refused(answer("2", "term", "пароль: Zx81-Kanareika-qq"), 7, "ANSWER_HOLDS_SECRET");
    refused(answer("9", "term", "до 01.09.2026"), 7, "ANSWER_ROW_UNKNOWN");
    refused(answer("2", "colour", "red"), 7, "ANSWER_FIELD_UNKNOWN");
    assert_eq!(shown(&world, "Lena", "Sad"), before);
    assert_eq!(world.run("Sasha", &["mandate", "answer", "Sad", "2", "term", "до 01.09.2026"]).code, 4);

    // An answer is read like the document: this one says no day either.
    let raised = answer("2", "term", "6 месяцев, но не позднее окончания работ").done().json();
    assert!(raised["questions"].as_u64().unwrap() > 0, "{raised}");
    refused(world.as_member("Lena", "mandate activate Sad -y"), 7, "open");
    // And this one closes the row's question and raises another about the system.
    let raised = answer("2", "term", "до 01.09.2026").done().json();
    assert_eq!(raised["questions"], 0);
    let raised = answer("2", "system", "CRM, Форма сайта").done().json();
    assert!(raised["questions"].as_u64().unwrap() > 0, "{raised}");
    assert_eq!(answer("2", "system", "Форма сайта (Яндекс Формы)").done().json()["questions"], 0);
    let last = answer("2", "term", "до 01.09.2026").done().json();
    // The file says when it was signed.
    world.as_member("Lena", "mandate activate Sad -y").done();
    let mandate = shown(&world, "Lena", "Sad");
    assert_eq!(mandate["signed"], "2026-02-03");
    rows_are_as_read(&mandate, &last["reading"], "2026-02-03");
    let row = mandate["rows"].as_array().unwrap().iter().find(|row| row["system"] == "Форма сайта (Яндекс Формы)");
    assert_eq!(row.unwrap()["terms"]["until"], "2026-09-01");
    holds(&world, "Sad");
}

/// A file counts once unless said otherwise; a draft lives beside the mandate in force and is discarded by itself.
#[test]
fn a_second_draft_lives_beside_the_mandate_in_force() {
    let world = World::new();
    let file = fixture("valid/01_basic_until_dates.docx");
    let again = || world.run("Lena", &["mandate", "import", file.to_str().unwrap(), "--operator", "Pekarnya"]);
    import(&world, &file, "Pekarnya");
    refused(again(), 7, "MANDATE_ALREADY_IMPORTED");
    world.as_member("Lena", "mandate activate Pekarnya --signed 2026-02-01 -y").done();
    refused(again(), 7, "MANDATE_ALREADY_IMPORTED");
    let path = file.to_str().unwrap();
    world.run("Lena", &["mandate", "import", path, "--operator", "Pekarnya", "--again"]).done();

    let added = ["credential", "add", "Pekarnya/CRM", "--user", "u", "--generate", "--totp-unknown"];
    world.run("Lena", &added).done();
    world.as_member("Lena", "fetch Pekarnya/CRM --field password").ended(0);
    assert_eq!(shown(&world, "Lena", "Pekarnya")["phase"], "active");
    assert!(shown(&world, "Lena", "Pekarnya#draft")["phase"]["draft"].is_object());
    // A second mandate in force is refused; the draft stays one.
    refused(world.as_member("Lena", "mandate activate Pekarnya --signed 2026-02-01 -y"), 7, "active mandate");
    assert!(shown(&world, "Lena", "Pekarnya#draft")["phase"]["draft"].is_object());

    // The mandate ends first; then what is left of the name is the draft.
    world.as_member("Lena", "mandate end Pekarnya -y").done();
    world.as_member("Lena", "mandate end Pekarnya -y").done();
    let phases = || -> BTreeMap<String, usize> {
        let list = world.as_member("Lena", "mandate list --json").done().json();
        list.as_array().unwrap().iter().fold(BTreeMap::new(), |mut all, line| {
            *all.entry(line["phase"].as_str().unwrap().to_owned()).or_default() += 1;
            all
        })
    };
    assert_eq!(phases(), BTreeMap::from([("ended".to_owned(), 2)]));
    world.as_member("Olga", "verify").done();
}

/// What is refused on reading makes no draft. A draft alone is discarded and closed without any leg: nothing ever opened
/// under it.
#[test]
fn a_hostile_file_makes_no_draft_and_a_draft_is_discarded() {
    let world = World::new();
    for name in ["xxe_entity", "size_lie", "truncated", "01_missing_table"] {
        let file = fixture(&format!("broken/{name}.docx"));
        let expected: Value = serde_json::from_slice(&fs::read(file.with_extension("json")).unwrap()).unwrap();
        let output = world.run("Lena", &["mandate", "import", file.to_str().unwrap(), "--operator", "Hostile"]);
        refused(output, 7, expected["errors"][0]["code"].as_str().unwrap());
    }
    assert_eq!(world.as_member("Lena", "mandate list --json").done().json(), json!([]));

    let file = fixture("valid/01_basic_until_dates.docx");
    import(&world, &file, "Pekarnya");
    world.as_member("Lena", "mandate close Pekarnya -y").ended(7);
    world.as_member("Lena", "mandate end Pekarnya -y").done();
    refused(world.as_member("Lena", "mandate activate Pekarnya --signed 2026-02-01 -y"), 7, "no draft");
    world.as_member("Lena", "mandate close Pekarnya -y").done();
    assert_eq!(events(&world, "Pekarnya"), ["drafted", "ended", "closed"]);
    import(&world, &file, "Pekarnya");
    world.as_member("Olga", "verify").done();
}

/// Where nothing else is said, the days of a file are days where the agency is.
#[test]
fn a_files_days_are_the_agencys() {
    let world = World::empty();
    let (key, kit, otp) = (world.path("epoch-key"), world.path("kit"), world.otp_file("Olga"));
    let (key, kit, otp) = (key.display(), kit.display(), otp.display());
    let line = "init --owner Olga --zone Asia/Vladivostok";
    world.as_member("Olga", &format!("{line} --epoch-key file:{key} --kit {kit} --otpauth-out {otp}")).done();
    world.unlock("Olga");
    world.as_member("Olga", "member role Olga --add lead").done();
    let file = fixture("valid/02_contract_term_slashes.docx");
    for (operator, zone, ends) in
        [("Okna", None, "2027-01-31T14:00:00Z"), ("Stekla", Some("Europe/Moscow"), "2027-01-31T21:00:00Z")]
    {
        let args = ["mandate", "import", file.to_str().unwrap(), "--operator", operator, "--again"];
        let zone = zone.map_or(Vec::new(), |zone| vec!["--zone", zone]);
        world.run("Olga", &[&args[..], &zone].concat()).done();
        world.as_member("Olga", &format!("mandate activate {operator} --signed 2026-02-01 -y")).done();
        let mandate = shown(&world, "Olga", operator);
        assert_eq!(mandate["term"]["until"], utc(ends), "{operator}: {}", mandate["zone"]);
        assert_eq!(mandate["rows"][0]["terms"]["term"]["until"], utc(ends), "{operator}");
    }
    world.as_member("Olga", "verify").done();
}

/// A fixture with one text of its XML replaced.
fn rewritten(world: &World, from: &str, to: &str) -> PathBuf {
    let file = fs::File::open(fixture("valid/01_basic_until_dates.docx")).unwrap();
    let mut archive = zip::ZipArchive::new(file).unwrap();
    let mut out = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for place in 0..archive.len() {
        let mut part = archive.by_index(place).unwrap();
        let (name, mut bytes) = (part.name().unwrap().into_owned(), Vec::new());
        part.read_to_end(&mut bytes).unwrap();
        if name == "word/document.xml" {
            let text = String::from_utf8(bytes).unwrap();
            assert_eq!(text.matches(from).count(), 1, "{from}");
            bytes = text.replace(from, to).into_bytes();
        }
        out.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        out.write_all(&bytes).unwrap();
    }
    let path = world.path("rewritten.docx");
    fs::write(&path, out.finish().unwrap().into_inner()).unwrap();
    path
}

/// A password typed into the table is cut out before anything keeps, prints or records it.
#[test]
fn a_password_in_the_paper_is_nowhere() {
    const CANARY: &str = "Zx81-Kanareika-qq";
    let world = World::new();
    let file = rewritten(
        &world,
        "контакты, история заявок",
        &format!("контакты, история заявок, логин crm, пароль: {CANARY}"),
    );
    let path = file.to_str().unwrap();
    let mut said = Vec::new();
    let mut note = |output: Output| said.push(format!("{}{}", output.stdout, output.stderr));
    note(world.run("Lena", &["mandate", "read", path]).done());
    note(world.run("Lena", &["mandate", "read", path, "--json"]).done());
    note(world.run("Lena", &["mandate", "gaps", path]).done());
    let imported = world.run("Lena", &["mandate", "import", path, "--operator", "Pekarnya", "--json"]).done();
    assert!(imported.stdout.contains("CREDENTIAL_IN_DOCUMENT"), "{}", imported.stdout);
    assert!(imported.json()["questions"].as_u64().unwrap() > 0);
    note(imported);
    note(world.run("Lena", &["mandate", "answer", "Pekarnya", "1", "data", &format!("пароль {CANARY}")]).ended(7));
    note(world.run("Lena", &["mandate", "answer", "Pekarnya", "1", "data", "контакты"]).done());
    note(world.run("Lena", &["mandate", "show", "Pekarnya", "--json"]).done());
    note(world.run("Lena", &["log", "Pekarnya", "--json"]).done());
    note(world.as_member("Lena", "status --json").done());
    for said in said {
        assert_nowhere(CANARY, "an output", said.as_bytes());
    }
    let extract = holds(&world, "Pekarnya");
    assert_nowhere(CANARY, "the extract", &extract);
    // The reading in the ledger, decoded.
    let records = verified(&extract).records;
    let readings = records.iter().filter_map(|record| match &record.outcome {
        Outcome::Mandate(Event::Drafted { draft, .. }) => Some(&draft.reading.0),
        Outcome::Mandate(Event::Answered { reading, .. }) => Some(&reading.0),
        _ => None,
    });
    let readings: Vec<&Vec<u8>> = readings.collect();
    assert_eq!(readings.len(), 2);
    readings.iter().for_each(|reading| assert_nowhere(CANARY, "a reading", reading));
    for stored in files_under(world.dir.path()).iter().filter(|stored| **stored != file) {
        assert_nowhere(CANARY, &stored.display().to_string(), &fs::read(stored).unwrap());
    }
}

// ------------------------------------------------------------------------------------------------------ access for a while

/// A stand-in's access ends by itself, to the millisecond, and never outlasts the row.
#[test]
fn access_for_a_while_ends_by_itself() {
    let world = World::with_mandate();
    let began = now(&world);
    let report = world.as_member("Lena", "grant Sasha Romashka/CRM --level view --for 3d --json").done().json();
    assert_eq!(now(&world), began, "no code was asked for");
    let ends = report["until"].as_i64().unwrap();
    assert_eq!(ends, began + 3 * DAY);
    world.clock.pass_to(ends - MINUTE);
    world.unlock("Sasha");
    world.clock.pass_to(ends - 1);
    world.as_member("Sasha", "fetch Romashka/CRM --field password").done();
    world.clock.pass(1);
    assert_eq!(now(&world), ends);
    world.as_member("Sasha", "fetch Romashka/CRM --field password").denied("TERM_EXPIRED");
    world.as_member("Sasha", "code Romashka/CRM").denied("TERM_EXPIRED");

    // The row ends on 2026-12-31; a refused grant reads no secret.
    world.clock.pass_to(utc("2026-12-30T09:00:00Z"));
    let read = count_of(&world, "Romashka", "released");
    refused(world.as_member("Lena", "grant Sasha Romashka/CRM --level view --for 2d"), 7, "until");
    refused(world.as_member("Lena", "grant Sasha Romashka/CRM --level view --for 0d"), 2, "");
    assert_eq!(count_of(&world, "Romashka", "released"), read);
    world.as_member("Lena", "grant Sasha Romashka/CRM --level view --for 1d").done();
    holds(&world, "Romashka");
}

/// Where a row's days count from the grant, they bound each grant from the moment it is made.
#[test]
fn days_from_the_grant_bound_each_grant() {
    let world = World::new();
    import(&world, &fixture("valid/03_durations_and_ranges.docx"), "Sad");
    world.run("Lena", &["mandate", "answer", "Sad", "2", "term", "до 01.09.2026"]).done();
    world.as_member("Lena", "mandate activate Sad -y").done();
    let path = "Sad/Чат-бот (SaleBot)";
    world.run("Lena", &["credential", "add", path, "--user", "u", "--generate", "--totp-unknown"]).done();
    let grant = |more: &[&str]| {
        let args = [&["grant", "Sasha", path, "--level", "reply", "--json"], more].concat();
        world.run("Lena", &args)
    };
    let first = now(&world);
    assert_eq!(grant(&[]).done().json()["until"].as_i64().unwrap(), first + 90 * DAY);
    refused(grant(&["--until", "2026-07-01"]), 7, "90 days");
    refused(grant(&["--for", "91d"]), 7, "90 days");
    world.clock.pass(10 * DAY);
    world.unlock("Lena");
    let second = now(&world);
    assert_eq!(grant(&[]).done().json()["until"].as_i64().unwrap(), second + 90 * DAY);
    world.clock.pass_to(second + 90 * DAY - MINUTE);
    world.unlock("Sasha");
    world.clock.pass_to(second + 90 * DAY - 1);
    world.run("Sasha", &["fetch", path, "--field", "password"]).done();
    world.clock.pass(1);
    world.run("Sasha", &["fetch", path, "--field", "password"]).denied("TERM_EXPIRED");
    holds(&world, "Sad");
}

// ---------------------------------------------------------------------------------------------- somebody from outside

/// Clause 1.2: nobody from outside without the operator's paper, only under that operator, only while it lasts.
#[test]
fn an_outsider_needs_the_operators_paper() {
    let world = World::with_mandate();
    world.open_mandate("Lena", "Berezka");
    let paper = world.file("permission.pdf", "the operator permits it");
    let (paper, otp) = (paper.to_str().unwrap(), world.otp_file("Vera"));
    let otp = otp.to_str().unwrap();
    let add = |more: &[&str]| {
        let args = [&["member", "add", "Vera", "--role", "specialist", "--otpauth-out", otp], more].concat();
        world.run("Olga", &args)
    };
    for incomplete in [
        &["--external"][..],
        &["--external", "--permission", paper],
        &["--external", "--operator", "Romashka"],
        &["--permission", paper, "--operator", "Romashka"],
    ] {
        add(incomplete).ended(2);
    }
    assert!(!add(&["--external", "--permission", "no-such-file", "--operator", "Romashka"]).stderr.is_empty());
    add(&["--external", "--permission", paper, "--operator", "Nobody"]).ended(4);
    // Under a draft no permission can be on file, so nobody is made a member by one.
    import(&world, &fixture("valid/01_basic_until_dates.docx"), "Pekarnya");
    add(&["--external", "--permission", paper, "--operator", "Pekarnya"]).ended(7);
    let names = |world: &World| world.as_member("Olga", "member list --json").done().json().to_string();
    assert!(!names(&world).contains("Vera"));
    add(&["--external", "--permission", paper, "--operator", "Romashka"]).done();
    world.unlock("Vera");

    // Under Romashka it is on file, with the paper's digest.
    let permissions = &shown(&world, "Lena", "Romashka")["permissions"];
    assert_eq!(permissions[0]["source"], hash(b"the operator permits it").to_string());
    assert_eq!(permissions.as_array().unwrap().len(), 1);
    world.as_member("Lena", "grant Vera Romashka/CRM --level view").done();
    world.as_member("Vera", "fetch Romashka/CRM --field password").done();

    // Under another operator it is not.
    refused(world.as_member("Lena", "grant Vera Berezka/CRM --level view"), 7, "clause 1.2");
    let permit = |line: &str| world.as_member("Lena", &format!("mandate permit Berezka {line} --permission {paper}"));
    refused(permit("Sasha"), 7, "of the agency");
    permit("Vera --system CRM --until 2026-03-10").done();
    refused(world.as_member("Lena", "grant Vera Berezka/CRM --level view"), 7, "clause 1.2");
    refused(world.as_member("Lena", "grant Vera Berezka/CRM --level view --until 2026-03-11"), 7, "clause 1.2");
    refused(world.as_member("Lena", "grant Vera Berezka/Bot --level reply --until 2026-03-10"), 7, "clause 1.2");
    world.as_member("Lena", "grant Vera Berezka/CRM --level view --until 2026-03-10").done();
    let over = utc("2026-03-10T21:00:00Z");
    world.clock.pass_to(over - MINUTE);
    world.unlock("Vera");
    world.clock.pass_to(over - 1);
    world.as_member("Vera", "fetch Berezka/CRM --field password").done();
    world.clock.pass(1);
    // The grant ended no later than its paper.
    world.as_member("Vera", "fetch Berezka/CRM --field password").denied("TERM_EXPIRED");
    world.as_member("Vera", "fetch Romashka/CRM --field password").done();
    holds(&world, "Romashka");
    holds(&world, "Berezka");
}

/// A lead from outside has no standing access without the paper, cannot put it on file alone, and loses access with its
/// last day.
#[test]
fn a_lead_from_outside_permits_nobody_to_themselves() {
    let world = World::with_mandate();
    let paper = world.file("permission.pdf", "the operator permits it");
    let (paper, otp) = (paper.to_str().unwrap(), world.otp_file("Vera"));
    let add = format!(
        "member add Vera --role lead --external --permission {paper} --operator Romashka --otpauth-out {}",
        otp.display()
    );
    world.as_member("Olga", &add).done();
    world.unlock("Vera");
    world.open_mandate("Vera", "Klever");
    world.as_member("Vera", "fetch Klever/CRM --field password").denied("ROLE_FORBIDS");
    world.as_member("Vera", "code Klever/CRM").denied("ROLE_FORBIDS");
    let permit = format!("mandate permit Klever Vera --until 2026-03-10 --permission {paper}");
    refused(world.as_member("Vera", &permit), 7, "themselves");
    assert_eq!(shown(&world, "Olga", "Klever")["permissions"], json!([]));
    world.as_member("Lena", &permit).ended(4);
    world.as_member("Olga", &permit).done();
    let over = utc("2026-03-10T21:00:00Z");
    world.clock.pass_to(over - MINUTE);
    world.unlock("Vera");
    world.clock.pass_to(over - 1);
    world.as_member("Vera", "fetch Klever/CRM --field password").done();
    world.clock.pass(1);
    world.as_member("Vera", "fetch Klever/CRM --field password").denied("ROLE_FORBIDS");
    world.as_member("Vera", "code Klever/CRM").denied("ROLE_FORBIDS");
    holds(&world, "Klever");
}

// ------------------------------------------------------------------------------------------------ asking and answering

/// A second lead with a mandate, and a specialist without any grant.
fn with_others() -> World {
    let world = World::with_mandate();
    world.add_member("Boris", "lead");
    world.add_member("Nina", "specialist");
    world.unlock("Boris");
    world.unlock("Nina");
    world.open_mandate("Boris", "Klever");
    world
}

/// Who asks learns nothing by asking; who answers gives no more than was asked for; the history stays.
#[test]
fn access_is_asked_for_and_answered() {
    let world = with_others();
    let ask = |member: &str, path: &str, more: &[&str]| {
        world.run(member, &[&["request", path, "--level", "reply", "--reason", "stand-in for a week"], more].concat())
    };
    let there = ask("Nina", "Romashka/Bot", &["--purpose", "answers", "--until", "2026-05-01"]).done();
    let waiting = |member: &str| world.as_member(member, "requests --json").done().json();
    for absent in ["Romashka/Nothing", "Nobody/Bot", "Nobody/Nothing"] {
        let absent_too = ask("Nina", absent, &[]).done();
        assert_eq!(absent_too.stdout.replace(absent, "X"), there.stdout.replace("Romashka/Bot", "X"));
        assert_eq!(absent_too.stderr, there.stderr);
        let json = ask("Nina", absent, &["--json"]).done().json();
        assert_eq!(json["for"], absent);
    }
    assert_eq!(waiting("Nina"), json!([]), "what waits would tell what is there");
    assert_eq!(world.as_member("Nina", "mandate list --json").done().json(), json!([]));

    // The lead sees it, in its place and in the overview; another lead does not.
    let seen = waiting("Lena");
    assert_eq!(seen.as_array().unwrap().len(), 1, "{seen}");
    assert_eq!((&seen[0]["member"], &seen[0]["wish"]["system"]), (&json!("Nina"), &json!("Bot")));
    let status = world.as_member("Lena", "status").done().stdout;
    assert!(status.contains("Requests that wait") && status.contains("stand-in for a week"), "{status}");
    assert_eq!(waiting("Boris"), json!([]));
    assert!(!world.as_member("Boris", "status").done().stdout.contains("Nina"));
    world.as_member("Boris", "approve Nina Romashka/Bot").ended(4);
    world.run("Boris", &["deny", "Nina", "Romashka/Bot", "--reason", "no"]).ended(4);
    assert_eq!(world.as_member("Nina", "approve Nina Romashka/Bot").code, 4);

    // No more than the wish.
    let granted = world.as_member("Lena", "approve Nina Romashka/Bot --json").done().json();
    assert_eq!(strings(&granted["levels"]), BTreeSet::from(["reply"]));
    assert_eq!(strings(&granted["purposes"]), BTreeSet::from(["answers"]));
    assert_eq!(granted["until"], utc("2026-05-01T21:00:00Z"));
    world.as_member("Nina", "fetch Romashka/Bot --field token --purpose answers").done();
    world.as_member("Nina", "fetch Romashka/Bot --field token --purpose setup").denied("PURPOSE_OUTSIDE_ROW");
    refused(world.as_member("Lena", "approve Nina Romashka/Bot"), 7, "no request waiting");

    // A wish beyond the row is refused when it is to be granted.
    world.run("Nina", &["request", "Romashka/CRM", "--level", "admin", "--reason", "everything"]).done();
    refused(world.as_member("Lena", "approve Nina Romashka/CRM"), 7, "level");
    world.run("Lena", &["deny", "Nina", "Romashka/CRM", "--reason", "not needed"]).done();
    refused(world.run("Lena", &["deny", "Nina", "Romashka/CRM", "--reason", "again"]), 7, "no request waiting");

    // Nobody answers their own.
    ask("Lena", "Romashka/Bot", &[]).done();
    assert_eq!(waiting("Lena").as_array().unwrap().len(), 1);
    assert_eq!(world.as_member("Lena", "approve Lena Romashka/Bot").code, 7);
    refused(world.run("Lena", &["deny", "Lena", "Romashka/Bot", "--reason", "no"]), 7, "own request");
    assert_eq!(waiting("Lena").as_array().unwrap().len(), 1);

    let requests = &shown(&world, "Lena", "Romashka")["requests"];
    let answers: Vec<&Value> = requests.as_array().unwrap().iter().map(|request| &request["answer"]).collect();
    assert_eq!(answers.len(), 3);
    assert_eq!(answers[0]["approved"]["grant"], granted["grant"]);
    assert_eq!(answers[1]["denied"]["reason"], "not needed");
    assert_eq!(answers[2], &Value::Null);
    holds(&world, "Romashka");
}

/// A grant that says it answers a request gives no more than the request: not longer, not for more.
#[test]
fn an_answer_is_no_wider_than_the_wish() {
    let world = with_others();
    let ask = ["request", "Romashka/Bot", "--level", "reply", "--purpose", "answers", "--until", "2026-05-01"];
    world.run("Nina", &[&ask[..], &["--reason", "stand-in"]].concat()).done();
    let program = world.program("Lena");
    let text = |text: &str| Text::parse(text).unwrap();
    let view = program.mandate(text("Romashka")).unwrap();
    let request = view.mandate.waiting().next().unwrap().clone();
    let row = view.mandate.row_named("Bot").unwrap();
    let found = program.locate(text("Romashka"), text("Bot"), None, true).unwrap();
    let facts = |id: u8, purposes: &[&str], until: &str| GrantFacts {
        id: GrantId([id; 16]),
        member: request.by,
        row: row.id,
        levels: BTreeSet::from([Level::Reply]),
        purposes: purposes.iter().map(|purpose| text(purpose)).collect(),
        term: Term { until: Instant(utc(until)), ..row.terms.term },
        origin: GrantOrigin::Given,
    };
    let last = "2026-05-01T21:00:00Z";
    for wider in [
        facts(1, &["answers", "setup"], last),
        facts(2, &["setup"], last),
        facts(3, &["answers"], "2026-05-02T21:00:00Z"),
    ] {
        let granted = program.grant(view.mandate.unit, wider.clone(), Some(request.wish.id), &found);
        assert!(granted.is_err(), "{wider:?} answers {:?}", request.wish);
    }
    program.grant(view.mandate.unit, facts(4, &["answers"], last), Some(request.wish.id), &found).unwrap();
    holds(&world, "Romashka");
}

// --------------------------------------------------------------------------------------------------------- the review

/// A review decides on every grant that was given; what it narrows and revokes takes effect; it never widens.
#[test]
fn a_review_decides_on_every_grant() {
    let world = with_others();
    world.as_member("Lena", "grant Nina Romashka/CRM --level view --level edit").done();
    world.run("Lena", &["grant", "Sasha", "Romashka/Bot", "--level", "reply", "--purpose", "answers"]).done();
    let review = |lines: Value| {
        let file = world.file("decisions.json", &lines.to_string());
        world.run("Lena", &["review", "Romashka", "--decisions", file.to_str().unwrap(), "--json"])
    };
    let line =
        |member: &str, system: &str, decision: &str| json!({"member": member, "system": system, "decision": decision});
    let narrowed = json!({
        "member": "Nina", "system": "CRM", "decision": "narrow", "levels": ["view"], "until": "2026-03-10",
        "note": "half the work is done"
    });

    // One grant without a decision, a grant that is not there, a wider one, an unknown word.
    let alone = unattended(&world, || review(json!([line("Sasha", "CRM", "keep")])));
    refused(alone, 2, "no decision");
    let rest = [line("Sasha", "CRM", "keep"), line("Sasha", "Bot", "keep")];
    let with = |more: Value| json!([rest[0], rest[1], more]);
    refused(
        review(with(json!({"member": "Nina", "system": "CRM", "decision": "narrow", "until": "2027-01-01"}))),
        7,
        "never widens",
    );
    let admin = json!({"member": "Nina", "system": "CRM", "decision": "narrow", "levels": ["view", "admin"]});
    refused(review(with(admin)), 7, "never widens");
    refused(review(with(line("Nina", "CRM", "perhaps"))), 7, "keep, narrow or revoke");
    let more = json!([rest[0], rest[1], narrowed, line("Nina", "Bot", "keep")]);
    refused(review(more), 7, "no live grant");
    // A program that leaves one out is refused by the broker too.
    let program = world.program("Lena");
    let operator = Text::parse("Romashka").unwrap();
    let view = program.ask::<MandateShowCall>(None, None, NameAsk { operator: operator.clone() }).unwrap();
    let one = view.mandate.live_grants().find(|grant| grant.facts.origin == GrantOrigin::Given).unwrap().facts.id;
    let lines = vec![Reviewed { grant: one, decision: Decision::Keep, note: Text::default() }];
    let refusal = program.ask::<ReviewCall>(None, None, ReviewAsk { operator, lines }).unwrap_err();
    assert!(refusal.to_string().contains("2 grants have no decision"), "{refusal}");
    assert_eq!(count_of(&world, "Romashka", "reviewed"), 0);
    assert_eq!(world.as_member("Boris", "review Romashka --keep-rest").code, 4);
    world.as_member("Sasha", "review Romashka --keep-rest").denied("ROLE_FORBIDS");

    let done = review(json!([rest[0], line("Sasha", "Bot", "revoke"), narrowed])).done().json();
    assert_eq!((&done["reviewed"], &done["revoked"]), (&json!(3), &json!(1)));
    let log = world.as_member("Olga", "log Romashka --json").done().json();
    let recorded =
        log["lines"].as_array().unwrap().iter().find(|line| line["event"] == "reviewed").unwrap().to_string();
    assert!(recorded.contains("half the work is done"), "{recorded}");
    assert_eq!(shown(&world, "Lena", "Romashka")["reviewed"], now(&world));

    world.as_member("Sasha", "fetch Romashka/CRM --field password").done();
    assert!(matches!(world.as_member("Sasha", "fetch Romashka/Bot --field token --purpose answers").code, 3 | 4));
    world.as_member("Nina", "fetch Romashka/CRM --field password").done();
    let end = utc("2026-03-10T21:00:00Z");
    world.clock.pass_to(end - MINUTE);
    world.unlock("Nina");
    world.clock.pass_to(end - 1);
    world.as_member("Nina", "fetch Romashka/CRM --field password").done();
    world.clock.pass(1);
    world.as_member("Nina", "fetch Romashka/CRM --field password").denied("TERM_EXPIRED");
    holds(&world, "Romashka");
}

/// The overview says so once the law's interval is over, and no earlier.
#[test]
fn a_review_falls_due() {
    let world = World::with_mandate();
    let interval = Law::built_in(Jurisdiction::Ru).unwrap().review_ms();
    let overdue = |world: &World| {
        world.unlock("Lena");
        world.as_member("Lena", "status").done().stdout.contains("Access review overdue")
    };
    let opened = shown(&world, "Lena", "Romashka")["since"].as_i64().unwrap();
    world.clock.pass_to(opened + interval - MINUTE);
    assert!(!overdue(&world));
    world.clock.pass_to(opened + interval + MINUTE);
    assert!(overdue(&world));
    world.as_member("Lena", "review Romashka --keep-rest").done();
    assert!(!overdue(&world));
    let reviewed = shown(&world, "Lena", "Romashka")["reviewed"].as_i64().unwrap();
    world.clock.pass_to(reviewed + interval + MINUTE);
    assert!(overdue(&world));
    world.as_member("Olga", "verify").done();
}

// ------------------------------------------------------------------------------------------------------------ rotation

/// What somebody saw is a task until it is rotated, confirmed as changed, or accepted as it is.
#[test]
fn an_exposed_secret_is_a_task() {
    let world = World::with_mandate();
    let tasks = || -> BTreeMap<String, Value> {
        let tasks = world.as_member("Lena", "rotation list Romashka --json").done().json();
        let of = |task: &Value| (task["system"].as_str().unwrap().to_owned(), task.clone());
        tasks.as_array().unwrap().iter().map(of).collect()
    };
    // Granting read CRM on; that is an opening too.
    assert_eq!(tasks()["CRM"]["seen_by"], json!(["Lena"]));
    assert!(!tasks().contains_key("Bot"));
    world.as_member("Sasha", "fetch Romashka/CRM --field password").done();
    world.as_member("Lena", "fetch Romashka/Bot --field token --purpose setup").done();
    assert_eq!(strings(&tasks()["CRM"]["seen_by"]), BTreeSet::from(["Lena", "Sasha"]));
    world.run("Lena", &["rotation", "ask", "Romashka/CRM", "--of", "Ivanov I. I."]).done();
    world.run("Sasha", &["rotation", "ask", "Romashka/CRM", "--of", "Petrov"]).denied("ROLE_FORBIDS");
    world.run("Lena", &["rotation", "ask", "Romashka/Nothing", "--of", "Petrov"]).ended(7);
    assert_eq!(tasks()["CRM"]["asked_of"], "Ivanov I. I.");
    assert_eq!(tasks()["CRM"]["closed_by"], Value::Null);

    // Confirmed as changed; accepted as it is.
    let settle = |more: &[&str]| world.run("Lena", &[&["mandate", "settle"], more].concat());
    settle(&["Romashka/CRM", "--because", "changed on the phone", "--confirmed-by", "Ivanov I. I."]).done();
    let crm = tasks()["CRM"].clone();
    assert_eq!(crm["seen_by"], json!([]));
    assert!(crm["closed_by"].as_str().unwrap().starts_with("changed, confirmed by Ivanov I. I."), "{crm}");
    settle(&["Romashka/Bot", "--because", "the bot was deleted"]).done();
    let bot = tasks()["Bot"].clone();
    assert!(bot["closed_by"].as_str().unwrap().starts_with("accepted as it is"), "{bot}");

    // Seen anew, it is a task anew; a rotation closes it and takes the question back.
    world.as_member("Lena", "credential rotate Romashka/CRM --generate").done();
    world.as_member("Sasha", "fetch Romashka/CRM --field password").done();
    assert_eq!(tasks()["CRM"]["closed_by"], Value::Null);
    assert_eq!(tasks()["CRM"]["asked_of"], Value::Null);
    world.run("Lena", &["rotation", "ask", "Romashka/CRM", "--of", "Ivanov I. I."]).done();
    world.as_member("Lena", "credential rotate Romashka/CRM --generate").done();
    assert!(tasks().get("CRM").is_none_or(|task| task["seen_by"] == json!([])), "{:?}", tasks());
    assert_eq!(world.as_member("Lena", "exposure Romashka --json").done().json(), json!([]));
    holds(&world, "Romashka");
}

// ----------------------------------------------------------------------------------------------------------- incidents

fn open_incident(world: &World, member: &str, line: &str) -> Value {
    world.as_member(member, &format!("incident open --json {line}")).done().json()
}

fn incident_id(views: &Value) -> String {
    views[0]["incident"]["facts"]["id"].as_str().unwrap().to_owned()
}

/// The text of a document, without its marks.
fn text_of(bytes: &[u8]) -> String {
    let (mut text, mut inside) = (String::new(), false);
    let page = if bytes.starts_with(b"PK") {
        let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
        let mut page = String::new();
        archive.by_name("word/document.xml").unwrap().read_to_string(&mut page).unwrap();
        page.replace("</w:p>", "\n")
    } else {
        let page = String::from_utf8(bytes.to_vec()).unwrap();
        page.split_once("<body").unwrap().1.to_owned().replace("</p>", "\n").replace("</td>", "\n")
    };
    for c in page.chars() {
        match c {
            '<' => inside = true,
            '>' => inside = false,
            c if !inside => text.push(if c == '\u{A0}' { ' ' } else { c }),
            _ => {}
        }
    }
    text.replace("&quot;", "\"").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

/// Both forms of a document.
fn both(dir: &Path, name: &str) -> [String; 2] {
    ["docx", "html"].map(|end| {
        let path = dir.join(format!("{name}.{end}"));
        text_of(&fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
    })
}

/// One lost device locks the member's access everywhere at once, ends their sessions, and drafts a notice for each
/// operator; it holds across restarts until it is closed.
#[test]
fn a_lost_device_locks_everything_at_once() {
    let world = with_others();
    world.as_member("Boris", "grant Sasha Klever/CRM --level view").done();
    world.as_member("Lena", "grant Nina Romashka/CRM --level view").done();
    world.as_member("Sasha", "fetch Romashka/CRM --field password").done();
    let secret = world.as_member("Sasha", "fetch Klever/CRM --field password").done().stdout;

    let detected = "2026-03-02T05:30:00Z";
    let out = world.path("notices");
    let line = format!("--kind device_lost --of Sasha --detected {detected} --out {}", out.display());
    let views = open_incident(&world, "Olga", &line);
    let id = incident_id(&views);
    assert_eq!(views.as_array().unwrap().len(), 2);
    for (operator, view) in views.as_array().unwrap().iter().map(|view| (view["operator"].as_str().unwrap(), view)) {
        assert!(["Romashka", "Klever"].contains(&operator));
        let exposed: Vec<(&str, &str)> = view["exposure"]
            .as_array()
            .unwrap()
            .iter()
            .map(|line| (line["operator"].as_str().unwrap(), line["member"].as_str().unwrap()))
            .collect();
        assert_eq!(exposed, [(operator, "Sasha")]);
        for notice in both(&out, &format!("notice-{}-{operator}", &id[..8])) {
            let other = if operator == "Romashka" { "Klever" } else { "Romashka" };
            assert!(notice.contains(operator) && !notice.contains(other), "{notice}");
            assert!(notice.contains("утрата устройства") && notice.matches("устанавливается").count() >= 3, "{notice}");
            // 24 and 72 hours from detection, 08:30 in Moscow.
            for clock in ["02.03.2026 08:30", "03.03.2026 08:30", "05.03.2026 08:30"] {
                assert!(notice.contains(clock), "no {clock} in {notice}");
            }
            assert_nowhere(secret.trim(), "a notice", notice.as_bytes());
        }
    }
    assert_eq!(fs::read_dir(&out).unwrap().count(), 4);

    // The session is over; with a new one every fetch and code is locked, also after a restart of the program.
    world.as_member("Sasha", "fetch Romashka/CRM --field password").denied("MFA_REQUIRED");
    world.unlock("Sasha");
    for path in ["Romashka/CRM", "Klever/CRM"] {
        world.as_member("Sasha", &format!("fetch {path} --field password")).denied("GRANT_LOCKED");
        world.as_member("Sasha", &format!("code {path}")).denied("GRANT_LOCKED");
    }
    world.as_member("Nina", "fetch Romashka/CRM --field password").done();
    world.as_member("Lena", "fetch Romashka/CRM --field password").done();

    // A grant made meanwhile is locked too.
    world.as_member("Lena", "grant Sasha Romashka/Bot --level reply --purpose answers").done();
    world.as_member("Sasha", "fetch Romashka/Bot --field token").denied("GRANT_LOCKED");
    // So is one that takes another's place.
    world.as_member("Lena", "grant Sasha Romashka/CRM --level view").done();
    world.as_member("Sasha", "fetch Romashka/CRM --field password").denied("GRANT_LOCKED");
    world.as_member("Olga", "verify").done();

    // The course, and who is told of it.
    assert!(world.as_member("Lena", "status").done().stdout.contains("OPERATOR NOT TOLD"));
    let note =
        |member: &str, more: &[&str]| world.run(member, &[&["incident", "note", &id[..6], "--step"], more].concat());
    note("Lena", &["notice", "told by telephone"]).done();
    note("Olga", &["instruction", "change the password", "--operator", "Klever"]).done();
    note("Boris", &["execution", "the password was changed"]).done();
    note("Olga", &["finding", "the disk was encrypted"]).done();
    note("Olga", &["gossip", "text"]).ended(2);
    note("Nina", &["finding", "text"]).ended(3);
    let course = |operator: &str| -> Vec<String> {
        let incident = &shown(&world, "Olga", operator)["incidents"][0]["course"];
        incident.as_array().unwrap().iter().map(|entry| entry["step"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(course("Romashka"), ["notice", "finding"]);
    assert_eq!(course("Klever"), ["instruction", "execution", "finding"]);
    let status = world.as_member("Lena", "status").done().stdout;
    assert!(status.contains("device_lost") && !status.contains("NOT TOLD"), "{status}");

    // The next notice says more, in files of its own.
    let later = world.path("later");
    world.as_member("Olga", &format!("incident notice {id} --out {}", out.display())).ended(7);
    world.as_member("Olga", &format!("incident notice {id} --out {}", later.display())).done();
    for notice in both(&later, &format!("notice-{}-Klever", &id[..8])) {
        assert!(notice.contains("change the password") && notice.contains("the password was changed"), "{notice}");
    }
    for notice in both(&later, &format!("notice-{}-Romashka", &id[..8])) {
        assert!(notice.contains("Дополнительное") && !notice.contains("change the password"), "{notice}");
    }

    // It stands in the way of closing the mandate.
    world.as_member("Boris", "mandate end Klever -y").done();
    refused(world.as_member("Boris", "mandate close Klever -y"), 7, "incident");

    // Closing needs a fresh code.
    let close = ["incident", "close", &id, "--outcome", "the device was found"];
    let alone = unattended(&world, || world.run("Olga", &close));
    assert!(matches!(alone.code, 2 | 5), "{}", alone.stderr);
    let incident = serde_json::from_value(json!(id)).unwrap();
    let ask = IncidentCloseAsk { incident, unlock: true, outcome: Text::parse("over").unwrap() };
    let refusal = world.program("Olga").ask::<IncidentCloseCall>(None, None, ask).unwrap_err();
    assert!(refusal.to_string().contains("MFA_REQUIRED"), "{refusal}");
    world.as_member("Sasha", "fetch Romashka/CRM --field password").denied("GRANT_LOCKED");
    world.run("Olga", &close).done();
    refused(world.run("Olga", &close), 4, "");
    world.as_member("Sasha", "fetch Romashka/CRM --field password").done();
    world.as_member("Sasha", "fetch Romashka/Bot --field token").done();
    world.as_member("Sasha", "fetch Klever/CRM --field password").denied("MANDATE_NOT_ACTIVE");
    for operator in ["Romashka", "Klever"] {
        assert_eq!(count_of(&world, operator, "incident_opened"), 1);
        assert_eq!(count_of(&world, operator, "incident_closed"), 1);
        holds(&world, operator);
    }
}

/// Whom an incident is about does not lift its lock, by whichever way, while somebody else is there to do it.
#[test]
fn nobody_closes_an_incident_about_themselves() {
    let world = World::with_mandate();
    let fetch = || world.as_member("Lena", "fetch Romashka/CRM --field password");
    let close = |member: &str, id: &str, more: &[&str]| {
        world.run(member, &[&["incident", "close", id, "--outcome", "found"], more].concat())
    };
    let lost = incident_id(&open_incident(&world, "Olga", "--kind device_lost --of Lena"));
    world.unlock("Lena");
    fetch().denied("GRANT_LOCKED");
    for more in [&[][..], &["--keep-locked"]] {
        refused(close("Lena", &lost, more), 7, "another owner or lead must close it");
        fetch().denied("GRANT_LOCKED");
    }
    close("Olga", &lost, &["--keep-locked"]).done();
    refused(close("Lena", &lost, &[]), 7, "another owner or lead must close it");
    // Nor by way of an incident about everybody, which its lead closes.
    let other = incident_id(&open_incident(&world, "Lena", "--kind security_incident --operator Romashka"));
    close("Lena", &other, &["--keep-locked"]).done();
    close("Lena", &other, &[]).done();
    fetch().denied("GRANT_LOCKED");
    close("Olga", &lost, &[]).done();
    fetch().done();
    assert_eq!(count_of(&world, "Romashka", "incident_closed"), 4);
    holds(&world, "Romashka");
}

/// An owner who is alone lifts the lock of their own lost device; with another owner or lead there, these do.
#[test]
fn an_owner_who_is_alone_closes_their_own_incident() {
    let world = World::empty();
    world.init("Olga");
    world.unlock("Olga");
    world.as_member("Olga", "member role Olga --add lead").done();
    world.open_mandate("Olga", "Romashka");
    let close = |member: &str, id: &str| world.run(member, &["incident", "close", id, "--outcome", "a new telephone"]);
    let lost = || {
        let id = incident_id(&open_incident(&world, "Olga", "--kind device_lost --of Olga"));
        world.unlock("Olga");
        world.as_member("Olga", "fetch Romashka/CRM --field password").denied("GRANT_LOCKED");
        id
    };
    // A lead of no mandate of this is nobody who could.
    world.add_member("Lena", "lead");
    close("Olga", &lost()).done();
    world.as_member("Olga", "fetch Romashka/CRM --field password").done();
    world.add_member("Oleg", "owner");
    world.unlock("Oleg");
    let id = lost();
    refused(close("Olga", &id), 7, "another owner or lead must close it");
    close("Oleg", &id).done();
    world.as_member("Olga", "fetch Romashka/CRM --field password").done();
    holds(&world, "Romashka");
}

/// What two incidents hold stays held until neither does, in whichever order they are closed; what is to stay locked
/// stays.
#[test]
fn one_incident_does_not_free_what_another_holds() {
    // (closed first: which, kept locked), (closed second: which, kept locked), free after the first, after the second
    let cases = [
        ((0, false), (1, false), false, true),
        ((1, false), (0, false), false, true),
        ((0, true), (1, false), false, false),
        ((1, true), (0, false), false, false),
    ];
    let of_sasha = "--kind unauthorised_access --of Sasha";
    let of_everybody = "--kind unauthorised_access --operator Romashka";
    let world = World::with_mandate();
    for (first, second, free_between, free_after) in cases {
        world.as_member("Lena", "grant Sasha Romashka/CRM --level view").done();
        let ids = [
            incident_id(&open_incident(&world, "Lena", "--kind device_lost --of Sasha")),
            // Everybody's, where nothing is to stay locked: a lead who is locked out grants nothing.
            incident_id(&open_incident(&world, "Lena", if first.1 || second.1 { of_sasha } else { of_everybody })),
        ];
        world.unlock("Sasha");
        let is_free = || {
            let output = world.as_member("Sasha", "fetch Romashka/CRM --field password");
            assert!(output.code == 0 || output.stderr.contains("GRANT_LOCKED"), "{}", output.stderr);
            output.code == 0
        };
        assert!(!is_free());
        for ((place, keep), free) in [(first, free_between), (second, free_after)] {
            let args = ["incident", "close", &ids[place], "--outcome", "over", "--keep-locked"];
            world.run("Lena", if keep { &args } else { &args[..5] }).done();
            assert_eq!(is_free(), free, "{first:?} then {second:?}, after {place}");
        }
        // What was left locked is freed by closing that one once more, and by nothing else.
        for (place, _) in [first, second].into_iter().filter(|(_, keep)| *keep) {
            world.run("Lena", &["incident", "close", &ids[place], "--outcome", "freed"]).done();
            assert!(is_free());
        }
    }
    holds(&world, "Romashka");
}

// ------------------------------------------------------------------------------------------------------------- the end

/// Each leg of the closing that is missing is named, and named again until it is there; after the end nothing is
/// returned; with the retention the evidence goes, and its going is on record.
#[test]
fn every_leg_of_the_closing_is_named_until_it_is_there() {
    let world = World::with_mandate();
    world.as_member("Sasha", "fetch Romashka/CRM --field password").done();
    world.as_member("Lena", "mandate revoked Romashka/Bot --how early --by Ivanov").done();
    world.clock.pass(1);
    // Evidence older than the secret there is now does not count.
    world.as_member("Lena", "credential rotate Romashka/Bot --generate 40").done();
    let close = || world.as_member("Lena", "mandate close Romashka -y");
    refused(close(), 7, "still active");
    world.as_member("Lena", "mandate end Romashka -y").done();
    let legs =
        ["CRM was opened", "CRM: nobody put on file", "Bot: nobody put on file", "mandate choice", "mandate copies"];
    let missing = |expected: &[&str]| {
        let said = close().ended(7).stderr;
        let found: Vec<&str> = legs.into_iter().filter(|leg| said.contains(leg)).collect();
        assert_eq!(found, expected, "{said}");
    };
    missing(&legs);
    world.as_member("Lena", "mandate settle Romashka/CRM --because changed").done();
    missing(&legs[2..]);
    world.as_member("Lena", "mandate choice Romashka delete --by Ivanov").done();
    missing(&[legs[2], legs[4]]);
    world.as_member("Sasha", "mandate copies Romashka --none --by Sasha").denied("ROLE_FORBIDS");
    world.as_member("Lena", "mandate copies Romashka --by Ivanov").ended(2);
    let proof = world.file("declaration.pdf", "signed");
    world
        .as_member(
            "Lena",
            &format!("mandate copies Romashka --declaration destroyed --by P --proof {}", proof.display()),
        )
        .done();
    missing(&legs[2..3]);
    // Too late to give anything back.
    refused(world.as_member("Lena", "mandate choice Romashka return --by Ivanov"), 7, "before 'mandate end'");
    let (key, late) = (AgeKey::generate(), world.path("late.age"));
    let output =
        world.as_member("Lena", &format!("mandate return Romashka --to {} --out {}", key.recipient(), late.display()));
    assert!(matches!(output.code, 3 | 4 | 7), "{}: {}", output.code, output.stderr);
    assert!(!late.exists());
    assert_eq!(shown(&world, "Lena", "Romashka")["evidence"].to_string().matches("returned").count(), 0);
    world.as_member("Lena", "mandate revoked Romashka --all --how deactivated --by Ivanov").done();
    let report = world.as_member("Lena", "mandate close Romashka -y --json").done().json();
    // What was closed is still told in documents.
    let out = world.path("after");
    world.as_member("Lena", &format!("document Romashka closing --out {}", out.display())).done();
    assert!(both(&out, "act")[0].contains("секрет в хранилище уничтожен"));
    let evidence = shown_evidence(&holds(&world, "Romashka"));
    assert_eq!((evidence["revoked"], evidence["proof"]), (3, 1), "{evidence:?}");

    // Kept until the last moment, then gone with a record.
    let retained = report["retain_until"].as_i64().unwrap();
    assert!(retained >= now(&world) + 3 * 365 * DAY);
    world.clock.pass_to(retained - DAY);
    world.unlock("Olga");
    assert_eq!(world.as_member("Olga", "sweep --json").done().json()["forgotten"], 0);
    assert!(events(&world, "Romashka").contains(&"closed".to_owned()));
    // What is over is recorded and its rows go; where the key cannot go at once, the next call goes on from there.
    world.clock.pass_to(retained + MINUTE);
    let in_the_way = world.path("epoch-key.next.new");
    fs::create_dir(&in_the_way).unwrap();
    assert_ne!(world.as_member("Olga", "unlock --for 8h").code, 0);
    assert_ne!(world.as_member("Olga", "unlock --for 8h").code, 0);
    fs::remove_dir(&in_the_way).unwrap();
    world.unlock("Olga");
    world.as_member("Olga", "sweep").done();
    world.as_member("Olga", "log Romashka --json").ended(4);
    let roster = world.as_member("Olga", "log --json").done().json();
    let lines = roster["lines"].as_array().unwrap();
    let destroyed: Vec<&Value> = lines.iter().filter(|line| line["event"] == "keys_destroyed").collect();
    assert_eq!(destroyed.len(), 1, "once: {destroyed:?}");
    let gone = &destroyed[0]["record"]["outcome"]["roster"]["keys_destroyed"]["evidence"];
    assert_eq!(gone.as_array().unwrap().len(), 1, "{gone}");
    world.as_member("Olga", "verify").done();
}

/// How much evidence of each kind a ledger holds.
fn shown_evidence(extract: &[u8]) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    for record in verified(extract).records {
        let Outcome::Mandate(Event::Evidenced { evidence }) = record.outcome else { continue };
        let name = match evidence {
            Evidence::Revoked { .. } => "revoked",
            Evidence::Copies { proof, .. } => {
                *counts.entry("proof").or_default() += usize::from(proof == Some(hash(b"signed")));
                "copies"
            }
            Evidence::Chosen { .. } => "chosen",
            Evidence::Returned { .. } => "returned",
        };
        *counts.entry(name).or_default() += 1;
    }
    counts
}

/// The operator gets every login back, sealed to a key of their own; without it a chosen return is not over.
#[test]
fn logins_go_back_to_the_operators_own_key() {
    let world = World::with_mandate();
    let key = AgeKey::generate();
    let secret = world.as_member("Sasha", "fetch Romashka/CRM --field password").done().stdout;
    let token = world.as_member("Lena", "fetch Romashka/Bot --field token --purpose setup").done().stdout;
    world
        .run("Lena", &["credential", "add", "Romashka/Form/second", "--user", "form", "--generate", "--totp-unknown"])
        .done();
    let second = world.as_member("Lena", "fetch Romashka/Form/second --field password").done().stdout;
    let out = world.path("return.age");
    let line = |to: &str, out: &Path| format!("mandate return Romashka --to {to} --out {}", out.display());
    refused(world.as_member("Lena", &line("age1nonsense", &out)), 7, "to");
    // Only who sees all of it hands it back: neither a specialist nor an owner with one grant.
    world.as_member("Lena", "grant Olga Romashka/CRM --level view").done();
    for member in ["Sasha", "Olga"] {
        assert_ne!(world.as_member(member, &line(&key.recipient(), &out)).code, 0);
        assert!(!out.exists(), "{member} was refused and left a package");
    }
    let before = count_of(&world, "Romashka", "released");
    let report = world.as_member("Lena", &format!("{} --json", line(&key.recipient(), &out))).done().json();
    let sealed = fs::read(&out).unwrap();
    assert_eq!(report["credentials"], 3);
    assert_eq!(report["sha256"], hash(&sealed).to_string());
    assert_eq!(count_of(&world, "Romashka", "released"), before + 3, "each is a retrieval on record");
    refused(world.as_member("Lena", &line(&key.recipient(), &out)), 7, "exists already");
    assert_eq!(fs::read(&out).unwrap(), sealed);

    for plain in [&secret, &token, &second] {
        assert_nowhere(plain.trim(), "the sealed package", &sealed);
    }
    assert!(open_note(&AgeKey::generate(), &sealed).is_err());
    let opened: Secret = open_note(&key, &sealed).unwrap();
    let list: Value = serde_json::from_slice(opened.expose()).unwrap();
    let of = |system: &str, field: &str| -> String {
        let item = list.as_array().unwrap().iter().find(|item| item["system"] == system).unwrap();
        item["fields"][field].as_str().unwrap().to_owned()
    };
    assert_eq!(list.as_array().unwrap().len(), 3);
    assert_eq!(of("CRM", "password"), secret.trim());
    assert_eq!(of("CRM", "user"), "crm@Romashka.test");
    assert_eq!(of("Bot", "token"), token.trim());
    assert_eq!(of("Form", "password"), second.trim());

    // On file with the digest of what was handed over.
    world.as_member("Lena", "mandate choice Romashka return --by Ivanov").done();
    world.as_member("Lena", "mandate end Romashka -y").done();
    let said = world.as_member("Lena", "mandate close Romashka -y").ended(7).stderr;
    assert!(!said.contains("nothing was returned"), "{said}");
    let extract = holds(&world, "Romashka");
    let returned = verified(&extract).records.into_iter().find_map(|record| match record.outcome {
        Outcome::Mandate(Event::Evidenced { evidence: Evidence::Returned { recipient, package, credentials } }) => {
            Some((recipient.to_string(), package, credentials))
        }
        _ => None,
    });
    assert_eq!(returned, Some((key.recipient(), hash(&sealed), 3)));
}

/// A chosen return that never happened stands in the way; where it can no longer happen, the operator chooses anew.
/// An empty package after the end is none.
#[test]
fn a_chosen_return_is_waited_for() {
    let world = World::new();
    let rows =
        world.file("rows.csv", "system;category;platform;data;levels;purposes\nForm;form;;contacts;view;leads\n");
    let open = "mandate open Romashka --contract 1 --signed 2026-01-15 --until 2026-12-31 --rows";
    world.as_member("Lena", &format!("{open} {}", rows.display())).done();
    world.as_member("Lena", "mandate choice Romashka return --by Ivanov").done();
    world.as_member("Lena", "mandate end Romashka -y").done();
    let out = world.path("return.age");
    let line = format!("mandate return Romashka --to {} --out {}", AgeKey::generate().recipient(), out.display());
    refused(world.as_member("Lena", &line), 7, "before 'mandate end'");
    assert!(!out.exists());
    // Nor is one that a program only claims.
    let claimed = MandateEvidenceAsk {
        operator: Text::parse("Romashka").unwrap(),
        evidence: Evidence::Returned { recipient: Text::default(), package: Digest([7; 32]), credentials: 0 },
    };
    assert!(world.program("Lena").ask::<MandateEvidenceCall>(None, None, claimed).is_err());
    refused(world.as_member("Lena", "mandate close Romashka -y"), 7, "nothing was returned");
    world.as_member("Lena", "mandate choice Romashka delete --by Ivanov").done();
    let said = world.as_member("Lena", "mandate close Romashka -y").ended(7).stderr;
    assert!(!said.contains("return"), "{said}");
    world.as_member("Olga", "verify").done();
}

// ----------------------------------------------------------------------------------------------------------- documents

/// A list of what every required field of a final act says.
const FACTS: &str = r#"
number = "7"
date = "2026-03-20"
place = "Выдуманск"
subjects = ["клиенты оператора"]
subject_count = 12
method = "удаление средствами системы"
destroyed = "2026-03-19"
event_log_missing = "площадка журнал не выгружает"
contact = "Лена"
contact_channel = "lena@agency.test"
request = "5"
request_date = "2026-03-18"
[processor]
name = "ООО «Агентство»"
address = "г. Выдуманск, ул. Первая, 1"
representative = "Олина О. О."
position = "директор"
authority = "устава"
[operator]
name = "ООО «Ромашка»"
address = "г. Выдуманск, ул. Вторая, 2"
representative = "Ромашкин Р. Р."
position = "директор"
authority = "устава"
[responsible]
name = "Олина О. О."
position = "директор"
[[destroyers]]
name = "Ленина Л. Л."
position = "руководитель проектов"
[[systems]]
system = "amoCRM"
owner = "ООО «Ромашка»"
"#;

/// A mandate with retrievals, denials and all legs, ended; and the secrets that were stored under it.
fn ended(jurisdiction: &str) -> (World, Vec<String>) {
    let world = World::new();
    world.add_member("Nina", "specialist");
    world.unlock("Nina");
    let rows = "system;category;platform;data;levels;purposes\n\
        CRM;CRM;amoCRM;contacts;view / edit;lead handling\n\
        Bot;chat-bot;Telegram;messages;reply;answers | setup\n";
    let (rows, seed) = (world.file("rows.csv", rows), world.file("seed", "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"));
    let open = format!(
        "mandate open Romashka --contract 17/2026 --signed 2026-01-15 --until 2026-12-31 --jurisdiction {jurisdiction} --rows {}",
        rows.display()
    );
    world.as_member("Lena", &open).done();
    let add = format!("credential add Romashka/CRM --user crm@romashka.test --generate --totp-file {}", seed.display());
    world.as_member("Lena", &add).done();
    world
        .as_member(
            "Lena",
            "credential add Romashka/Bot --user @romashka_bot --kind bot_token --generate 40 --because needed",
        )
        .done();
    world.as_member("Lena", "grant Sasha Romashka/CRM --level view").done();
    world.as_member("Lena", "grant Nina Romashka/CRM --level view").done();
    world.run("Lena", &["grant", "Nina", "Romashka/Bot", "--level", "reply", "--purpose", "answers"]).done();
    let password = world.as_member("Sasha", "fetch Romashka/CRM --field password").done().stdout;
    for _ in 0..2 {
        world.as_member("Sasha", "fetch Romashka/CRM --field password").done();
        world.as_member("Sasha", "code Romashka/CRM").done();
    }
    world.as_member("Sasha", "fetch Romashka/Bot --field token").ended(4);
    let token = world.as_member("Nina", "fetch Romashka/Bot --field token").done().stdout;
    world.as_member("Nina", "fetch Romashka/Bot --field token --purpose setup").denied("PURPOSE_OUTSIDE_ROW");
    // One key of CRM goes early: the act names the later destruction.
    world.as_member("Lena", "revoke Nina Romashka/CRM").done();
    world.as_member("Lena", "mandate end Romashka -y").done();
    world.as_member("Sasha", "fetch Romashka/CRM --field password").denied("MANDATE_NOT_ACTIVE");
    world.as_member("Lena", "mandate settle Romashka/CRM --because changed --confirmed-by Ivanov").done();
    world.as_member("Lena", "mandate revoked Romashka --all --how deactivated --by Ivanov").done();
    world.as_member("Lena", "mandate choice Romashka delete --by Ivanov").done();
    world.as_member("Lena", "mandate copies Romashka --declaration deleted --by Petrova").done();
    let secrets = [password.trim(), token.trim(), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"];
    (world, secrets.map(str::to_owned).to_vec())
}

const CLOSING: [&str; 5] = ["act", "letter", "revocation", "log", "package"];

/// The number a line begins with.
fn number(line: &str) -> u64 {
    line.split_whitespace().next().unwrap().parse().unwrap_or_else(|_| panic!("no number in '{line}'"))
}

/// Every number in the closing documents is what the enclosed extract says, counted here anew; no secret and no whole
/// login stands in them.
#[test]
fn the_closing_documents_say_what_the_ledger_says() {
    let (world, secrets) = ended("ru");
    let (out, facts) = (world.path("closing"), world.file("facts.toml", FACTS));
    let line = format!("document Romashka closing --out {} --facts {}", out.display(), facts.display());
    world.as_member("Lena", &format!("{line} --final --json")).done();
    let mut names: Vec<String> =
        fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    let mut expected: Vec<String> =
        CLOSING.iter().flat_map(|name| [format!("{name}.docx"), format!("{name}.html")]).collect();
    expected.push("extract.mandatum".into());
    expected.sort();
    assert_eq!(names, expected);
    let extract = out.join("extract.mandatum");
    world.run("Lena", &["verify", extract.to_str().unwrap()]).done();

    // Counted anew.
    let verified = verified(&fs::read(&extract).unwrap());
    let people = world.as_member("Olga", "member list --json").done().json();
    let name_of = |id: MemberId| -> String {
        let people = people.as_array().unwrap();
        people.iter().find(|line| line["member"] == id.to_string()).unwrap()["name"].as_str().unwrap().to_owned()
    };
    let mut totals: BTreeMap<String, [u64; 3]> = BTreeMap::new();
    for record in verified.records.iter().filter(|record| record.verb.is_some()) {
        let total = totals.entry(name_of(record.by.unwrap())).or_default();
        total[0] += 1;
        match (&record.outcome, record.verb.unwrap()) {
            (Outcome::Denied(_), _) => total[2] += 1,
            (_, Verb::Fetch | Verb::Code) => total[1] += 1,
            _ => {}
        }
    }
    assert_eq!(totals["Sasha"][1..], [5, 2], "{totals:?}");
    assert_eq!(totals["Nina"], [2, 1, 1], "{totals:?}");
    let shown_records: u64 = totals.values().map(|total| total[0]).sum();
    let destroyed: BTreeMap<&str, (u64, u64)> = ["CRM", "Bot"]
        .map(|system| {
            let row = verified.mandate.rows.iter().find(|row| row.system.as_str() == system).unwrap().id;
            let of_row = |id: &GrantId| verified.mandate.grant(*id).unwrap().facts.row == row;
            let mut records = verified.records.iter().filter_map(|record| match &record.outcome {
                Outcome::Mandate(Event::Destroyed { grants, epoch }) if grants.iter().any(of_row) => {
                    Some((record.seq, *epoch))
                }
                _ => None,
            });
            (system, records.next_back().unwrap())
        })
        .into();
    let (size, root) = (verified.checkpoint.size, verified.checkpoint.root.to_string());
    assert_eq!(size, u64::try_from(verified.records.len()).unwrap());

    for log in both(&out, "log") {
        let after = log.split_once("Итог по сотрудникам").unwrap().1;
        let lines: Vec<&str> = after.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let told: BTreeMap<String, [u64; 3]> = lines
            .iter()
            .enumerate()
            .filter(|(_, line)| totals.contains_key(**line))
            .take(totals.len())
            .map(|(at, line)| (line.to_string(), [1, 2, 3].map(|next| number(lines[at + next]))))
            .collect();
        assert_eq!(told, totals);
        assert!(log.contains(&root), "{log}");
        let field = |label: &str| -> u64 {
            let rest = log.split_once(label).unwrap().1;
            number(rest.trim_start_matches([':', ' ', '\n']))
        };
        assert_eq!((field("В выписке"), field("(размер дерева)")), (shown_records, size));
        let denied = log.matches("PURPOSE_OUTSIDE_ROW").count() + log.matches("MANDATE_NOT_ACTIVE").count();
        assert_eq!(denied, 2);
    }
    for act in both(&out, "act") {
        for (record, epoch) in destroyed.values() {
            assert!(act.contains(&format!("запись № {record}, эпоха {epoch}")), "{record} {epoch}: {act}");
        }
        let head = act.split_once("Выписка из журнала хранилища: ").unwrap().1;
        assert_eq!(number(head), size);
        assert!(head.contains(&root));
        assert!(act.contains("c***@romashka.test") && act.contains("Petrova") && act.contains("Ivanov"), "{act}");
        for letter in ["[а]", "[б]", "[в]", "[г]", "[д]", "[ж]", "[з]", "[и]", "[к]"] {
            assert!(act.contains(letter), "{letter}: {act}");
        }
    }
    for package in both(&out, "package") {
        assert!(package.contains(&root));
        for name in &names {
            // The cover names the Word files and the extract; it cannot name itself.
            if name.ends_with(".html") || name.starts_with("package") {
                continue;
            }
            let digest = hash(&fs::read(out.join(name)).unwrap()).to_string();
            let flat: String = package.split_whitespace().collect();
            assert!(flat.contains(&digest) && flat.contains(name), "{name}: {package}");
        }
    }
    for revocation in both(&out, "revocation") {
        assert!(revocation.contains("Sasha") && revocation.contains("Nina") && revocation.contains("deactivated"));
    }
    for name in CLOSING {
        for text in both(&out, name) {
            for hidden in ["crm@romashka.test", "romashka_bot"] {
                assert!(!text.contains(hidden), "{hidden} in {name}");
            }
            // Only the line to sign on is blank.
            let text = text.replace("________________ /", "/");
            assert!(!text.contains("____"), "a final {name} has a blank: {text}");
        }
    }
    for file in files_under(&out) {
        let bytes = fs::read(&file).unwrap();
        let mut parts = vec![bytes.clone()];
        if bytes.starts_with(b"PK") {
            let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
            for place in 0..archive.len() {
                let mut part = Vec::new();
                archive.by_index(place).unwrap().read_to_end(&mut part).unwrap();
                parts.push(part);
            }
        }
        for (secret, part) in secrets.iter().flat_map(|secret| parts.iter().map(move |part| (secret, part))) {
            assert_nowhere(secret, &file.display().to_string(), part);
        }
    }

    // Written once: never over what is there, and nothing beside it either.
    let before: BTreeMap<PathBuf, Vec<u8>> =
        files_under(&out).into_iter().map(|file| (file.clone(), fs::read(file).unwrap())).collect();
    world.as_member("Lena", &line).ended(7);
    let after = files_under(&out).into_iter().map(|file| (file.clone(), fs::read(file).unwrap())).collect();
    assert_eq!(before, after);
    let partly = world.path("partly");
    fs::create_dir(&partly).unwrap();
    fs::write(partly.join("package.html"), "mine").unwrap();
    let line = format!("document Romashka closing --out {} --facts {}", partly.display(), facts.display());
    world.as_member("Lena", &line).ended(7);
    assert_eq!(fs::read_to_string(partly.join("package.html")).unwrap(), "mine");
    assert_eq!(fs::read_dir(&partly).unwrap().count(), 1, "half a package was left");
    holds(&world, "Romashka");
}

/// A final act lacks nothing; what it lacks is named by its letter, and nothing is written. A draft has blanks.
#[test]
fn a_final_act_names_what_it_lacks() {
    let (world, _) = ended("ru");
    let act = |facts: &str, more: &str| {
        let file = world.file("facts.toml", facts);
        let out = world.path(&format!("out-{}", hash(facts.as_bytes())));
        let line = format!("document Romashka act --out {} --facts {} {more}", out.display(), file.display());
        (world.as_member("Lena", &line), out)
    };
    // Each letter's fact, taken out of the list: what the refusal names.
    let cases = [
        ("address = \"г. Выдуманск, ул. Вторая, 2\"\n", "адрес (Оператор, а)"),
        ("address = \"г. Выдуманск, ул. Первая, 1\"\n", ", б)"),
        ("subjects = [\"клиенты оператора\"]\n", "(в)"),
        ("[[destroyers]]\nname = \"Ленина Л. Л.\"\nposition = \"руководитель проектов\"\n", "(г)"),
        ("[[systems]]\nsystem = \"amoCRM\"\nowner = \"ООО «Ромашка»\"\n", "(е или ж)"),
        ("method = \"удаление средствами системы\"\n", "(з)"),
        ("destroyed = \"2026-03-19\"\n", "(к)"),
        ("event_log_missing = \"площадка журнал не выгружает\"\n", "недостающие сведения"),
        ("place = \"Выдуманск\"\n", "место"),
    ];
    for (taken, named) in cases {
        assert_eq!(FACTS.matches(taken).count(), 1, "{taken}");
        let (output, out) = act(&FACTS.replace(taken, ""), "--final");
        refused(output, 7, named);
        assert!(!out.exists() || fs::read_dir(&out).unwrap().count() == 0, "{named}");
    }
    let (output, out) = act("", "--final");
    let said = output.ended(7).stderr;
    for letter in ["а)", "б)", "(в)", "(г)", "(е или ж)", "(з)", "(к)"] {
        assert!(said.contains(letter), "{letter}: {said}");
    }
    assert!(!out.exists());
    let (output, out) = act("", "");
    output.done();
    for act in both(&out, "act") {
        assert!(act.contains("ПРОЕКТ") && act.contains("____"), "{act}");
    }
    let (output, _) = act("colour = \"red\"", "");
    refused(output, 7, "colour");
    world.as_member("Lena", "document Romashka poem --out poem").ended(2);
    world.as_member("Olga", "verify").done();
}

/// A mandate under the GDPR has English documents, every word of them, and one clock of 72 hours.
#[test]
fn documents_under_the_gdpr_are_english() {
    let (world, _) = ended("eu");
    let out = world.path("english");
    world.as_member("Lena", &format!("document Romashka closing --out {}", out.display())).done();
    for kind in ["order", "mandate", "review"] {
        world.as_member("Lena", &format!("document Romashka {kind} --out {}", out.display())).done();
    }
    world.as_member("Lena", &format!("report safeguards Romashka --out {}", out.display())).done();
    let open = format!("incident open --kind device_lost --operator Romashka --out {}", out.display());
    world.as_member("Lena", &open).done();
    let files = files_under(&out);
    assert_eq!(files.len(), 11 + 6 + 2 + 2);
    let mut notices = 0;
    for file in files.iter().filter(|file| file.extension().is_some_and(|end| end != "mandatum")) {
        let text = text_of(&fs::read(file).unwrap());
        let russian = |c: &char| ('\u{400}'..='\u{4ff}').contains(c);
        let words: Vec<&str> = text.lines().filter(|line| line.chars().any(|c| russian(&c))).collect();
        assert_eq!(words, Vec::<&str>::new(), "{}", file.display());
        if file.to_string_lossy().contains("notice") {
            assert!(text.contains("72 hours") && !text.contains("24 hours") && text.contains("being established"));
            notices += 1;
        }
    }
    assert_eq!(notices, 2);
    // As asked for, it is Russian.
    let russian = world.path("russian");
    world.as_member("Lena", &format!("--lang ru document Romashka letter --out {}", russian.display())).done();
    assert!(both(&russian, "letter").iter().all(|letter| letter.contains("хранилищ")));
    holds(&world, "Romashka");
}

/// The 4.1 report adds up: each credential stands under one state of its second factor.
#[test]
fn the_states_of_second_factors_add_up() {
    let world = World::with_mandate();
    for (path, state) in [
        ("Form", &["--totp-elsewhere", "Ivanov"][..]),
        ("Form/b", &["--no-totp", "the platform has none"]),
        ("Form/c", &["--totp-unknown"]),
        ("Ads", &["--kind", "delegated", "--totp-unknown"]),
        ("Ads/b", &["--totp-elsewhere", "Petrov"]),
    ] {
        let path = format!("Romashka/{path}");
        let secret = if state.contains(&"delegated") { &[][..] } else { &["--generate"][..] };
        world
            .run("Lena", &[&["credential", "add", &path, "--user", "account@romashka.test"], secret, state].concat())
            .done();
    }
    let listed = world.as_member("Lena", "credential list Romashka --json").done().json();
    let out = world.path("report");
    let report = format!("report safeguards Romashka --json --out {}", out.display());
    let report = world.as_member("Lena", &report).done().json();
    let states = report["second_factor"].as_object().unwrap();
    let sum: u64 = states.values().map(|count| count.as_u64().unwrap()).sum();
    assert_eq!(report["credentials"], listed.as_array().unwrap().len());
    assert_eq!(report["credentials"], 7);
    assert_eq!(sum, 7);
    // CRM has a seed; the bot's token says nothing of a second factor.
    assert_eq!(report["second_factor"], json!({"on": 1, "elsewhere": 2, "not_possible": 1, "unknown": 3}));
    for text in both(&out, "safeguards") {
        assert_eq!(text.matches("a***@romashka.test").count(), 5, "{text}");
        assert!(!text.contains("account@romashka.test"));
    }
    assert_eq!(report["review_overdue"], false);
    holds(&world, "Romashka");
}

// --------------------------------------------------------------------------------------------------------------- OAuth

/// A platform that takes tokens back, or says so.
struct Platform {
    port: u16,
    /// Method and path with the body, in order.
    seen: Arc<Mutex<Vec<(String, String)>>>,
}

impl Platform {
    /// `honest`: a revoked token is refused afterwards.
    fn start(honest: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen: Arc<Mutex<Vec<(String, String)>>> = Arc::default();
        let noted = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let Some((head, body)) = heard(&stream) else { continue };
                let path = head.split_whitespace().nth(1).unwrap_or_default().to_owned();
                let mut seen = noted.lock().unwrap();
                let revoked = seen.iter().any(|(path, _)| path == "/revoke");
                let status = if path == "/me" && honest && revoked { "401 Unauthorized" } else { "200 OK" };
                seen.push((path, format!("{head}\n{body}")));
                let challenge = "WWW-Authenticate: Bearer error=\"invalid_token\"\r\n";
                let challenge = if status.starts_with('4') { challenge } else { "" };
                let answer =
                    format!("HTTP/1.1 {status}\r\n{challenge}content-length: 2\r\nconnection: close\r\n\r\n{{}}");
                let _ = (&stream).write_all(answer.as_bytes());
            }
        });
        Self { port, seen }
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    fn calls(&self, path: &str) -> Vec<String> {
        self.seen.lock().unwrap().iter().filter(|(seen, _)| seen == path).map(|(_, all)| all.clone()).collect()
    }
}

/// One request: its head and its body.
fn heard(stream: &TcpStream) -> Option<(String, String)> {
    let (mut reader, mut head) = (BufReader::new(stream), String::new());
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    Some((head, String::from_utf8(body).ok()?))
}

/// At the end a token goes back to its platform, once; that it is dead is seen and put on file. Where the platform only
/// says so, the leg stays open.
#[test]
fn a_token_is_taken_back_and_seen_dead() {
    const TOKEN: &str = "ya29.Kanareika-oauth-7f3c91d2e5";
    for honest in [true, false] {
        let world = World::with_mandate();
        let platform = Platform::start(honest);
        let file = world.file("token", TOKEN);
        let add = format!(
            "credential add Romashka/Ads --kind oauth_token --secret-file {} --revocation-url {} --probe-url {} --client-id agency",
            file.display(),
            platform.url("/revoke"),
            platform.url("/me")
        );
        world.as_member("Lena", &add).done();
        fs::remove_file(&file).unwrap();
        let ended = world.as_member("Lena", "mandate end Romashka -y").done();
        let revocations = platform.calls("/revoke");
        assert_eq!(revocations.len(), 1, "{revocations:?}");
        assert!(revocations[0].starts_with("POST ") && revocations[0].matches(TOKEN).count() == 1, "{revocations:?}");
        assert!(platform.calls("/me").len() >= 2, "seen alive, then looked at again");
        world.as_member("Sasha", "fetch Romashka/CRM --field password").denied("MANDATE_NOT_ACTIVE");

        let said = format!("{}{}", ended.stdout, ended.stderr);
        assert_eq!(said.contains("stays a task"), !honest, "{said}");
        let missing = world.as_member("Lena", "mandate close Romashka -y").ended(7).stderr;
        assert_eq!(missing.contains("Ads: nobody put on file"), !honest, "{missing}");
        assert!(missing.contains("CRM: nobody put on file"), "{missing}");
        let extract = holds(&world, "Romashka");
        let proofs: Vec<Text> = verified(&extract)
            .records
            .into_iter()
            .filter_map(|record| match record.outcome {
                Outcome::Mandate(Event::Evidenced { evidence: Evidence::Revoked { by, how, .. } }) => {
                    assert_eq!(by.as_str(), "mandatum");
                    Some(how)
                }
                _ => None,
            })
            .collect();
        assert_eq!(proofs.len(), usize::from(honest), "{proofs:?}");
        // Once more: it is over, and nothing is sent again.
        world.as_member("Lena", "mandate end Romashka -y").ended(7);
        assert_eq!(platform.calls("/revoke").len(), 1);
        for (place, bytes) in [("what was said", said.as_bytes()), ("the extract", &extract)] {
            assert_nowhere(TOKEN, place, bytes);
        }
    }
}

/// A broker that names another place than the token's author did, or a place for what never had one: nothing is sent.
#[test]
fn a_token_is_sent_only_where_its_author_said() {
    let world = World::with_mandate();
    let (platform, other) = (Platform::start(true), Platform::start(true));
    let file = world.file("token", "ya29.Kanareika-oauth-7f3c91d2e5");
    let stored = |verb: &str, more: &str| {
        let line = format!("credential {verb} Romashka/Ads --secret-file {} {more}", file.display());
        world.as_member("Lena", &line).done();
    };
    stored("add", &format!("--kind oauth_token --revocation-url {}", platform.url("/revoke")));
    let front = Front::of(&world);
    world.unlock("Lena");
    let elsewhere = other.url("/revoke");
    front.gate.lie(move |verb, answer| {
        if verb == Verb::MandateShow {
            for credential in answer["mandate"]["credentials"].as_array_mut().unwrap() {
                credential["revocation"] = json!({"endpoint": elsewhere, "probe": "", "client": ""});
            }
        }
    });
    for path in ["Romashka/Ads", "Romashka/CRM", "Romashka/Bot"] {
        let said = world.as_member("Lena", &format!("rotation revoke {path}")).done().stdout;
        assert!(said.contains("not sent anywhere") && said.contains("stays a task"), "{said}");
    }
    front.gate.be_honest();
    // A new version is sealed with the place that is said then; without one it goes nowhere.
    fs::write(&file, "ya29.Kanareika-oauth-another").unwrap();
    stored("rotate", "");
    let said = world.as_member("Lena", "rotation revoke Romashka/Ads").done().stdout;
    assert!(said.contains("not sent anywhere"), "{said}");
    assert!(platform.calls("/revoke").is_empty() && other.calls("/revoke").is_empty());
    fs::write(&file, "ya29.Kanareika-oauth-the-third").unwrap();
    stored("rotate", &format!("--revocation-url {}", platform.url("/revoke")));
    world.as_member("Lena", "rotation revoke Romashka/Ads").done();
    assert!(platform.calls("/revoke").len() == 1 && other.calls("/revoke").is_empty());
}

// ------------------------------------------------------------------------------------------------------------ the ledger

/// Every record that paper makes is in the extract, and none of them may lose a byte.
#[test]
fn no_byte_of_a_new_record_may_change() {
    let world = World::new();
    world.add_member("Nina", "specialist");
    world.unlock("Nina");
    import(&world, &fixture("valid/03_durations_and_ranges.docx"), "Sad");
    world.run("Lena", &["mandate", "answer", "Sad", "2", "term", "до 01.09.2026"]).done();
    world.as_member("Lena", "mandate activate Sad -y").done();
    let (paper, otp) = (world.file("permission.pdf", "permitted"), world.otp_file("Vera"));
    let add = ["member", "add", "Vera", "--role", "specialist", "--external", "--operator", "Sad"];
    let files = ["--permission", paper.to_str().unwrap(), "--otpauth-out", otp.to_str().unwrap()];
    world.run("Olga", &[&add[..], &files].concat()).done();
    let system = "Sad/Яндекс Метрика";
    for line in [
        &["credential", "add", system, "--user", "u", "--generate", "--totp-unknown"][..],
        &["grant", "Sasha", system, "--level", "view"],
        &["rotation", "ask", system, "--of", "Ivanov"],
        &["mandate", "settle", system, "--because", "changed", "--confirmed-by", "Ivanov"],
        &["mandate", "revoked", system, "--how", "deactivated", "--by", "Ivanov"],
    ] {
        world.run("Lena", line).done();
    }
    for reason in ["first", "second"] {
        world.run("Nina", &["request", system, "--level", "view", "--reason", reason]).done();
        match reason {
            "first" => world.run("Lena", &["deny", "Nina", system, "--reason", "not now"]).done(),
            _ => world.run("Lena", &["approve", "Nina", system]).done(),
        };
    }
    world.as_member("Lena", "review Sad --keep-rest").done();
    let id = incident_id(&open_incident(&world, "Lena", "--kind security_incident --operator Sad"));
    world.run("Lena", &["incident", "note", &id, "--step", "finding", "nothing was lost"]).done();
    world.run("Lena", &["incident", "close", &id, "--outcome", "nothing was lost"]).done();
    let extract = String::from_utf8(holds(&world, "Sad")).unwrap();

    let new = [
        "drafted",
        "answered",
        "activated",
        "permitted",
        "requested",
        "request_denied",
        "reviewed",
        "rotation_asked",
        "settled",
        "evidenced",
        "incident_opened",
        "incident_noted",
        "incident_closed",
    ];
    let lines: Vec<&str> = extract.lines().collect();
    for event in new {
        let mark = format!("\\\"outcome\\\":{{\\\"mandate\\\":{{\\\"{event}\\\":{{");
        let place =
            lines.iter().position(|line| line.contains(&mark)).unwrap_or_else(|| panic!("no record of {event}"));
        let line = lines[place];
        let begins = line.find(&mark).unwrap() + mark.len();
        // A letter or digit of every word of the event: its names and its values.
        let bytes = line.as_bytes();
        let words = (begins..line.len() - 8)
            .filter(|at| bytes[*at].is_ascii_alphanumeric() && !bytes[*at - 1].is_ascii_alphanumeric());
        let step = (words.clone().count() / 4).max(1);
        for at in words.step_by(step) {
            let mut changed = bytes.to_vec();
            changed[at] = if changed[at] == b'7' { b'8' } else { b'7' };
            let changed = String::from_utf8(changed).unwrap();
            let all: Vec<&str> =
                lines[..place].iter().copied().chain([&*changed]).chain(lines[place + 1..].iter().copied()).collect();
            let all = format!("{}\n", all.join("\n"));
            assert!(verify_extract(all.as_bytes(), None, |_| ()).is_err(), "{event}, byte {at}");
        }
        // Left out as a whole.
        let without: Vec<&str> = [&lines[..place], &lines[place + 1..]].concat();
        let without = format!("{}\n", without.join("\n"));
        let file = world.file(&format!("without-{event}"), &without);
        world.run("Lena", &["verify", file.to_str().unwrap()]).ended(6);
    }
}
