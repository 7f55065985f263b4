//! A broker that lies, before the real program of a member; and what it could do unnoticed, said where it is looked for.

use super::real::{Front, an_hour_ago, come_to_now};
use crate::support::World;
use crate::tamper::{asked_anew, extract_of, forged, intruder};
use mandatum::agent::{SignKey, System, Topic};
use mandatum::api::Gate;
use mandatum::crypto::AgeKey;
use mandatum::ledger::{Charter, Outcome, Record, from_blob, to_blob};
use mandatum::model::{Blob, Event, Name, Verb};
use rusqlite::Connection;
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Command, Output};

const FETCH: &str = "fetch Romashka/CRM --field password";

/// What is done to one answer.
type Lie = Box<dyn Fn(&mut Value) + Send + Sync>;

/// A world of now behind a broker that lies when it is told to.
fn before_a_liar() -> (World, Front) {
    let world = an_hour_ago();
    world.as_member("Lena", "credential add Romashka/Form --generate --totp-unknown").done();
    world.as_member("Lena", "grant Sasha Romashka/Form --level view").done();
    come_to_now(&world);
    let front = Front::of(&world);
    (world, front)
}

#[track_caller]
fn is_not_believed(what: &str, output: &Output) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{what}: {said}");
    assert_eq!(output.stdout, b"", "{what}");
    assert!(said.contains("the broker's answer was not used"), "{what}: {said}");
}

/// Whatever is left out of an answer, taken from another one or made anew: the real program uses nothing of it, prints
/// nothing, and does not end with 0 (D2, D4, D15, F3).
#[test]
fn the_real_program_uses_no_answer_that_does_not_hold() {
    let (world, front) = before_a_liar();
    if !world.really_unlock("Sasha") {
        return;
    }
    let honest = world.really("Sasha", FETCH);
    assert!(honest.status.success(), "{}", String::from_utf8_lossy(&honest.stderr));
    let earlier = front.gate.last(Verb::Fetch);
    let other = world.really("Sasha", "fetch Romashka/Form --field password");
    assert!(other.status.success() && other.stdout != honest.stdout);
    let of_other = front.gate.last(Verb::Fetch);

    let lies: Vec<(&str, Lie)> = vec![
        ("no record at all", Box::new(|answer| answer["proof"] = Value::Null)),
        ("no place in the tree", Box::new(|answer| answer["proof"]["inclusion"] = json!([]))),
        ("another place", Box::new(|answer| answer["proof"]["seq"] = json!(1))),
        ("no signature under the head", {
            Box::new(|answer| {
                let note = answer["proof"]["checkpoint"].as_str().unwrap().to_owned();
                answer["proof"]["checkpoint"] = json!(note.split("\n\n").next().unwrap());
            })
        }),
        ("the proof of an earlier retrieval", replaced("/proof", &earlier)),
        ("the head of an earlier retrieval", replaced("/proof/checkpoint", &earlier)),
        ("an earlier answer as a whole", replaced("", &earlier)),
        ("the proof of another retrieval", replaced("/proof", &of_other)),
        ("another secret under this record", replaced("/released", &of_other)),
        ("another ciphertext", replaced("/released/0/ct", &of_other)),
        ("another wrap", replaced("/released/0/inner", &of_other)),
        ("another statement", replaced("/released/0/statement", &of_other)),
        ("nothing released", Box::new(|answer| answer["released"] = json!([]))),
    ];
    for (what, lie) in lies {
        front.gate.lie(move |verb, answer| {
            if verb == Verb::Fetch {
                lie(answer);
            }
        });
        is_not_believed(what, &world.really("Sasha", FETCH));
        front.gate.be_honest();
    }
    // An older version, as a whole or in parts, after the secret was changed.
    world.unlock("Lena");
    world.as_member("Lena", "credential rotate Romashka/CRM --generate").done();
    for part in ["/released", "/released/0/ct", "/released/0/inner", "/released/0/statement"] {
        let lie = replaced(part, &earlier);
        front.gate.lie(move |verb, answer| {
            if verb == Verb::Fetch {
                lie(answer);
            }
        });
        is_not_believed(&format!("{part} of the older version"), &world.really("Sasha", FETCH));
        front.gate.be_honest();
    }
    let changed = world.really("Sasha", FETCH);
    assert!(changed.status.success() && changed.stdout != honest.stdout);
    world.really("Sasha", "lock");
}

/// The same part of another answer.
fn replaced(pointer: &'static str, by: &Value) -> Lie {
    let by = by.pointer(pointer).unwrap().clone();
    Box::new(move |answer| *answer.pointer_mut(pointer).unwrap() = by.clone())
}

/// Another recovery recipient, other keys for a reader, a member nobody admitted: the real program of a lead wraps
/// nothing to them, stores nothing and grants nothing (D5, D6, D7).
#[test]
fn the_real_program_wraps_to_nobody_the_owner_did_not_sign() {
    let (world, front) = before_a_liar();
    if !world.really_unlock("Lena") {
        return;
    }
    let stored = || -> (i64, i64) {
        let conn = Connection::open(world.path("vault/vault.db")).unwrap();
        let number = |sql: &str| conn.query_row(sql, [], |row| row.get(0)).unwrap();
        (number("SELECT max(version) FROM secrets"), number("SELECT count(*) FROM wraps"))
    };
    let before = stored();
    let rotate = "credential rotate Romashka/CRM --generate";

    let genuine = front.gate.hello().unwrap().charters;
    let charter: Charter = serde_json::from_slice(from_blob(&genuine[0]).unwrap().unverified_bytes()).unwrap();
    let mallory = SignKey::generate(&System);
    let recovery = AgeKey::generate().recipient();
    let bytes = serde_json::to_vec(&Charter { recovery, ..charter.clone() }).unwrap();
    let next = Charter { number: charter.number + 1, ..serde_json::from_slice(&bytes).unwrap() };
    let of_mallory = |charter: Vec<u8>| to_blob(&mallory.sign(Topic::Charter, charter));
    let charters: [(&str, Vec<Blob>); 2] = [
        ("another recovery recipient", vec![of_mallory(bytes)]),
        ("a further charter", vec![genuine[0].clone(), of_mallory(serde_json::to_vec(&next).unwrap())]),
    ];
    for (what, charters) in charters {
        *front.gate.hello.lock().unwrap() = Some(Box::new(move |hello| hello.charters.clone_from(&charters)));
        is_not_believed(what, &world.really("Lena", rotate));
        front.gate.be_honest();
    }

    let sasha = world.identity("Sasha");
    let (_, admission) = intruder(&sasha, Name::parse("Sasha").unwrap());
    let (admission, member) = (json!(to_blob(&admission)), json!(sasha.member));
    let swap = move |verb: Verb, answer: &mut Value| {
        if !matches!(verb, Verb::Recipients | Verb::MemberList) {
            return;
        }
        for line in answer.as_array_mut().unwrap().iter_mut().filter(|line| line["member"] == member) {
            *line["admissions"].as_array_mut().unwrap().last_mut().unwrap() = admission.clone();
        }
    };
    front.gate.lie(swap.clone());
    is_not_believed("other keys for a reader, rotating", &world.really("Lena", rotate));
    is_not_believed(
        "other keys for a reader, granting",
        &world.really("Lena", "grant Sasha Romashka/Bot --level reply"),
    );
    // One more member on the list, who looks like one.
    let (ghost, admission) = intruder(&sasha, Name::parse("Gregor").unwrap());
    let (admission, id) = (json!(to_blob(&admission)), json!(ghost.member));
    front.gate.lie(move |verb, answer| {
        if verb == Verb::MemberList {
            let list = answer.as_array_mut().unwrap();
            let mut line = list.iter().find(|line| line["name"] == "Sasha").unwrap().clone();
            (line["name"], line["member"]) = (json!("Gregor"), id.clone());
            line["admissions"] = json!([admission]);
            list.push(line);
        }
    });
    is_not_believed("a made up member", &world.really("Lena", "grant Gregor Romashka/Bot --level reply"));
    front.gate.be_honest();
    assert_eq!(stored(), before);
    let done = world.really("Lena", rotate);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert_eq!(stored().0, before.0 + 1);
    world.really("Lena", "lock");
}

fn verify(file: &Path, more: &[&str]) -> Output {
    Command::new(crate::support::binary())
        .arg("verify")
        .arg(file)
        .args(more)
        .env_remove("MANDATUM_VAULT")
        .output()
        .unwrap()
}

/// A record that the broker made up and signed with all its own keys, a record left out, and a tail cut off: the real
/// program verifies none of them (D9, D10).
#[test]
fn the_real_program_verifies_no_forged_extract() {
    let world = World::with_mandate();
    world.as_member("Sasha", "fetch Romashka/CRM --field password").done();
    let lena = world.program("Lena");
    let extract = extract_of(&lena, &world, "Romashka");
    drop(lena);
    let file = world.path("extract");
    let judge = |bytes: &[u8], more: &[&str]| {
        std::fs::write(&file, bytes).unwrap();
        verify(&file, more)
    };
    let honest = judge(&extract, &[]);
    assert!(honest.status.success(), "{}", String::from_utf8_lossy(&honest.stderr));
    let (sasha, olga) = (world.identity("Sasha"), world.identity("Olga"));
    type Forgery<'a> = Box<dyn FnOnce(&Record) -> Record + 'a>;
    let asked = |record: &Record| asked_anew(&world, &sasha, record);
    let forgeries: [(&str, Forgery<'_>); 5] = [
        ("nobody asked", Box::new(|record| Record { request: None, ..asked(record) })),
        ("another member", Box::new(|record| Record { by: Some(olga.member), ..asked(record) })),
        ("another member's signature", Box::new(|record| asked_anew(&world, &olga, record))),
        ("once more", Box::new(|record| Record { at: world_now(&world), ..record.clone() })),
        (
            "another secret",
            Box::new(|record| {
                let Outcome::Mandate(Event::Released { mut items, purpose }) = record.outcome.clone() else { panic!() };
                items[0].credential.0[0] ^= 1;
                Record { outcome: Outcome::Mandate(Event::Released { items, purpose }), ..asked(record) }
            }),
        ),
    ];
    let refused = |what: &str, output: &Output| assert_eq!(output.status.code(), Some(6), "{what}: {output:?}");
    // The same work with a request that the member did sign is without a flaw.
    let honest = judge(&forged(&world, &extract, asked), &[]);
    assert!(honest.status.success(), "{honest:?}");
    for (what, make) in forgeries {
        let output = judge(&forged(&world, &extract, make), &[]);
        refused(what, &output);
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(said.contains("holds a request that the named member did not sign"), "{what}: {said}");
    }
    let lines: Vec<&[u8]> = extract.split_inclusive(|byte| *byte == b'\n').collect();
    for at in 0..lines.len() {
        let mut left = lines.clone();
        left.remove(at);
        refused(&format!("line {at} left out"), &judge(&left.concat(), &[]));
    }
}

fn world_now(world: &World) -> mandatum::model::Instant {
    mandatum::model::Clock::now(&*world.clock)
}

/// A member was shown one history and the operator another: the head the member keeps does not fit the operator's
/// extract, and `verify` says of which records (D3).
#[test]
fn two_views_of_one_ledger_are_told_apart() {
    let world = World::with_mandate();
    let fetch = |member: &str| world.as_member(member, "fetch Romashka/CRM --field password").done();
    fetch("Sasha");
    world.keep("fork");
    fetch("Sasha");
    let pins = world.path("state/pins").join(world.identity("Sasha").member.to_string());
    let unit = world.as_member("Lena", "mandate show Romashka --json").done().json()["mandate"]["unit"].clone();
    let pin: Value = serde_json::from_slice(&std::fs::read(pins.join(unit.as_str().unwrap())).unwrap()).unwrap();
    world.file("shown-to-sasha", pin["note"].as_str().unwrap());
    // The same broker, from the same moment on, with another record in that place.
    world.put_back_vault("fork");
    world.put_back_state("fork");
    std::fs::copy(world.path("fork-epoch-key"), world.path("epoch-key")).unwrap();
    fetch("Lena");
    let out = world.path("shown-to-the-operator");
    world.as_member("Olga", &format!("extract Romashka --out {}", out.display())).done();
    assert!(verify(&out, &[]).status.success(), "by itself it is without a flaw");
    let held = verify(&out, &["--checkpoint", world.path("shown-to-sasha").to_str().unwrap()]);
    assert_eq!(held.status.code(), Some(6), "{held:?}");
    let said = format!("{}{}", String::from_utf8_lossy(&held.stdout), String::from_utf8_lossy(&held.stderr));
    assert!(said.contains(&pin["seen"]["size"].to_string()), "{said}");
}

/// There is no older or other version to talk anybody into: whatever says that it is of another format is refused (D12).
#[test]
fn another_format_is_refused_everywhere() {
    let world = World::with_mandate();
    let fetch = || world.as_member("Sasha", "fetch Romashka/CRM --field password");
    let secret = fetch().done().stdout;
    let change = |path: &Path, edit: &dyn Fn(Vec<u8>) -> Vec<u8>, tried: &dyn Fn() -> bool| {
        let kept = std::fs::read(path).unwrap();
        std::fs::write(path, edit(kept.clone())).unwrap();
        assert!(tried(), "{}", path.display());
        std::fs::write(path, kept).unwrap();
    };
    let byte = |at: usize| {
        move |mut bytes: Vec<u8>| {
            bytes[at] = bytes[at].wrapping_add(1);
            bytes
        }
    };
    let text = |from: &'static str, to: &'static str| {
        move |bytes: Vec<u8>| {
            let text = String::from_utf8(bytes).unwrap();
            assert!(text.contains(from), "{from}");
            text.replacen(from, to, 1).into_bytes()
        }
    };
    let vault = world.identity("Sasha").vault;
    let identity = mandatum::agent::identity_path(&world.places().identities(), vault, &Name::parse("Sasha").unwrap());
    // The format follows the eight bytes that say what it is; both are known or refused.
    for at in [0, 8, 9] {
        change(&identity, &byte(at), &|| world.as_member("Sasha", "unlock").code != 0);
        change(&world.path("state/anchor"), &byte(at), &|| fetch().code == 6);
    }
    change(&world.path("state/broker.json"), &text("\"format\": 1", "\"format\": 2"), &|| fetch().code != 0);
    let out = world.path("extract");
    world.as_member("Olga", &format!("extract Romashka --out {}", out.display())).done();
    change(&out, &text("\"mandatum_extract\":1,", "\"mandatum_extract\":2,"), &|| {
        verify(&out, &[]).status.code() == Some(6)
    });
    let set_format = |format: u64| {
        let conn = Connection::open(world.path("vault/vault.db")).unwrap();
        let sql = "UPDATE meta SET value = ?1 WHERE name = 'format'";
        assert_eq!(conn.execute(sql, [format.to_le_bytes().to_vec()]), Ok(1));
    };
    for other in [0, 2] {
        set_format(other);
        assert_eq!(fetch().code, 6, "{other}");
    }
    set_format(1);
    assert_eq!(fetch().done().stdout, secret);
}

/// What no member and no operator could notice stands where it is looked for: a broker that keeps keys it said it
/// destroyed, and a whole machine that is put back before anybody else remembers (B5, D14).
#[test]
fn what_cannot_be_noticed_is_written_down() {
    let security = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/SECURITY.md")).unwrap();
    let security = security.split_whitespace().collect::<Vec<_>>().join(" ");
    for limit in [
        "Can release what it holds to whoever signs, keep keys it said it destroyed, leave records out",
        "**Whole machine put back** (database, anchor, epoch key together): it runs, until a member's program shows a newer head",
        "in `solo` nothing may notice",
        "**Timing** of answers was not evened out",
    ] {
        assert!(security.contains(limit), "SECURITY.md no longer says: {limit}");
    }
}
