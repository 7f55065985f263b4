//! Somebody who left, with their own keys and every copy they could make.

use super::real::{Served, an_hour_ago, come_to_now, serve_in};
use crate::matrix::{Place, Voice, asked};
use crate::secrecy::{cells, keys_of, opened_by_age};
use crate::support::World;
use crate::tamper::home;
use mandatum::anchor::Anchor;
use mandatum::api::{FetchAnswer, FetchCall, Refusal};
use mandatum::crypto::{Ctx, Dek, Signed, Statement, commitment, derive_outer_key, hash, open_ct, open_inner};
use mandatum::host::SystemClock;
use mandatum::ledger::recipient_digest;
use mandatum::model::{Clock, Deny, Instant, UnitId, Verb, Zone};
use rusqlite::Connection;
use std::collections::BTreeSet;
use std::path::Path;

/// What somebody keeps who retrieved a secret once: context, data key, and the wrap without the broker's half.
struct Kept {
    ctx: Ctx,
    dek: Dek,
    inner: Vec<u8>,
}

fn retrieved(world: &World, voice: &Voice, place: &Place) -> Kept {
    let fetch = asked::<FetchCall>(Some(place.unit), place.item(voice.id()), &());
    let answer = voice.send(&*world.gate(), &fetch, None).unwrap();
    let answer: FetchAnswer = serde_json::from_slice(&answer).unwrap();
    let released = &answer.released[0];
    let said: Statement = serde_json::from_slice(released.statement.unverified_bytes()).unwrap();
    let dek = open_inner(&voice.identity.enc, &said.ctx, &released.inner.0).unwrap();
    assert_eq!(said.ctx.recipient, recipient_digest(&voice.identity.enc.recipient()));
    Kept { ctx: said.ctx, dek, inner: released.inner.0.clone() }
}

/// The ciphertexts of a database with what their authors say of them.
fn secrets_in(database: &Path) -> Vec<(Statement, Vec<u8>)> {
    let conn = Connection::open(database).unwrap();
    let mut query = conn.prepare("SELECT statement, ct FROM secrets").unwrap();
    let rows = query.query_map([], |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get(1)?))).unwrap();
    let read = |(statement, ct): (Vec<u8>, Vec<u8>)| {
        let signed: Signed = postcard::from_bytes(&statement).unwrap();
        (serde_json::from_slice(signed.unverified_bytes()).unwrap(), ct)
    };
    rows.map(|row| read(row.unwrap())).collect()
}

/// Copies of the database of each day, one's own keys and what was retrieved open what was retrieved, and nothing else
/// (B1).
#[test]
fn copies_of_every_day_open_only_what_was_retrieved() {
    let world = World::with_mandate();
    for name in ["second", "third"] {
        world.as_member("Lena", &format!("credential add Romashka/CRM/{name} --generate --totp-unknown")).done();
    }
    let lena = Voice::of(&world, "Lena");
    let place = Place::of(&*world.gate(), &lena, "Romashka", "Sasha");
    let sasha = Voice::of(&world, "Sasha");
    let mut days = Vec::new();
    let mut copy = |day: &str| {
        world.copy_to("vault", day);
        days.push(world.path(day).join("vault.db"));
    };
    copy("monday");
    let kept = retrieved(&world, &sasha, &place);
    copy("tuesday");
    world.as_member("Lena", "revoke Sasha Romashka/CRM").done();
    copy("wednesday");
    let keys = keys_of(&sasha.identity, kept.ctx.vault);
    let (mut opened, mut closed) = (0, 0);
    for database in &days {
        assert_eq!(opened_by_age(&cells(database), &sasha.identity.enc), 0, "the broker's half is over every wrap");
        for (said, ct) in secrets_in(database) {
            let own = said.ctx.credential == kept.ctx.credential;
            assert_eq!(open_ct(&kept.dek, &said.ctx, &ct).is_ok(), own);
            assert!(keys.iter().all(|key| open_ct(key, &said.ctx, &ct).is_err()));
            *(if own { &mut opened } else { &mut closed }) += 1;
        }
        let conn = Connection::open(database).unwrap();
        let mut query = conn.prepare("SELECT outer_wrap FROM wraps").unwrap();
        let wraps = query.query_map([], |row| row.get::<_, Vec<u8>>(0)).unwrap();
        for wrap in wraps.map(Result::unwrap) {
            let known = keys.iter().chain([&kept.dek]);
            known.for_each(|key| assert!(derive_outer_key(key, &kept.ctx).take_off(&wrap).is_err()));
        }
    }
    // The search opens what it should: CRM's own ciphertext, on each of the days.
    assert_eq!((opened, closed), (3, 9));
}

/// What was changed after somebody left has a data key of its own: the old key and the old wrap are good for nothing
/// there (B10).
#[test]
fn an_old_data_key_opens_no_new_version() {
    let world = World::with_mandate();
    let place = Place::of(&*world.gate(), &Voice::of(&world, "Lena"), "Romashka", "Sasha");
    let sasha = Voice::of(&world, "Sasha");
    let kept = retrieved(&world, &sasha, &place);
    world.as_member("Lena", "revoke Sasha Romashka/CRM").done();
    world.as_member("Lena", "credential rotate Romashka/CRM --generate").done();
    let secrets = secrets_in(&world.path("vault/vault.db"));
    let of_crm = || secrets.iter().filter(|(said, _)| said.ctx.credential == kept.ctx.credential);
    let (new, ct) = of_crm().find(|(said, _)| said.ctx.version == 2).unwrap();
    assert!(open_ct(&kept.dek, &new.ctx, ct).is_err());
    assert!(open_ct(&kept.dek, &Ctx { version: 1, ..new.ctx }, ct).is_err());
    assert!(new.commit != commitment(&kept.dek) && new.inner != hash(&kept.inner));
    assert!(open_inner(&sasha.identity.enc, &Ctx { version: 2, ..kept.ctx }, &kept.inner).is_err());
    // Where the old version is still there, the old key opens it: it was retrieved.
    let old = of_crm().find(|(said, _)| said.ctx.version == 1);
    assert!(old.is_none_or(|(said, ct)| open_ct(&kept.dek, &said.ctx, ct).is_ok()));
}

/// A database from before the revocation, put back under the real program: everything is refused; after the owner's
/// restart the key is gone, the request is denied, and the attempt stands in the ledger (B2).
#[test]
fn a_restored_database_brings_nobody_back() {
    let world = an_hour_ago();
    come_to_now(&world);
    let served = Served::new(&world);
    let (lena, sasha) = (Voice::at(&served, &world, "Lena"), Voice::at(&served, &world, "Sasha"));
    let place = Place::of(&served, &lena, "Romashka", "Sasha");
    let fetch = || asked::<FetchCall>(Some(place.unit), place.item(sasha.id()), &());
    sasha.send(&served, &fetch(), None).unwrap();
    drop(served);
    world.copy_to("vault", "monday");
    come_to_now(&world);
    world.unlock("Lena");
    world.as_member("Lena", "revoke Sasha Romashka/CRM").done();

    world.copy_to("monday", "vault");
    let gate = serve_in(&world, world.dir.path());
    let refused = gate.hello().and_then(|_| sasha.send(&*gate, &fetch(), None)).unwrap_err();
    assert!(refused.to_string().contains("VAULT_ROLLED_BACK"), "{refused}");
    drop(gate);

    come_to_now(&world);
    world.restart("").done();
    let served = Served::new(&world);
    assert_eq!(sasha.send(&served, &fetch(), None), Err(Deny::SecretDestroyed.into()));
    drop(served);
    let log = world.as_member("Lena", "log Romashka --denied --json").done().json();
    let by_sasha =
        |line: &&serde_json::Value| line["member"] == "Sasha" && line.to_string().contains("SECRET_DESTROYED");
    assert_eq!(log["lines"].as_array().unwrap().iter().filter(by_sasha).count(), 1, "{log}");
}

/// A mandate that ended while no broker ran: once the real program says that it serves, and before it was asked
/// anything, its keys are gone (B6).
#[test]
fn what_ended_while_no_broker_ran_is_gone_before_the_door_opens() {
    const DAY: i64 = 24 * 3_600_000;
    let world = World::empty().before_now(40 * 3_600_000).with_people_and_mandate();
    let date = |at: Instant| Zone::utc().date_of(at).unwrap();
    let rows = world.path("rows.csv");
    let (today, until) = (date(world.clock.now()), date(SystemClock.now().plus(-DAY)));
    let open = format!("mandate open Astra --contract 2 --signed {today} --until {until} --rows {}", rows.display());
    world.as_member("Lena", &open).done();
    world.as_member("Lena", "credential add Astra/CRM --generate --totp-unknown").done();
    world.as_member("Lena", "grant Sasha Astra/CRM --level view").done();
    let unit = |operator: &str| -> UnitId {
        let shown = world.as_member("Lena", &format!("mandate show {operator} --json")).done().json();
        serde_json::from_value(shown["mandate"]["unit"].clone()).unwrap()
    };
    let units = ["Astra", "Romashka"].map(unit);
    let keys = || units.map(|unit| grants_in(&world, unit));
    let before = keys();
    assert!(before.iter().all(|grants| *grants > 0), "{before:?}");
    come_to_now(&world);
    let served = Served::new(&world);
    assert_eq!(keys(), [0, before[1]]);
    drop(served);
}

/// How many grants of a unit have a key in the anchor.
fn grants_in(world: &World, unit: UnitId) -> usize {
    let mut anchor = Anchor::open(&home(world)).unwrap();
    anchor.segment(unit).unwrap().map_or(0, |segment| segment.grants.len())
}

/// Who left and comes again with the same name is somebody else to the vault: the old keys prove nothing, only what is
/// granted anew opens, and the ledger keeps the two apart (B9).
#[test]
fn who_comes_again_is_somebody_new() {
    let world = World::with_mandate();
    world.as_member("Sasha", "fetch Romashka/CRM --field password").done();
    let lena = Voice::of(&world, "Lena");
    let place = Place::of(&*world.gate(), &lena, "Romashka", "Sasha");
    let old = Voice::of(&world, "Sasha");
    world.as_member("Olga", "member remove Sasha -y").done();
    std::fs::remove_file(world.otp_file("Sasha")).unwrap();
    world.add_member("Sasha", "specialist");
    world.as_member("Lena", "grant Sasha Romashka/Bot --level reply").done();

    let new = Voice::of(&world, "Sasha");
    assert!(new.id() != old.id() && new.identity.sign.public() != old.identity.sign.public());
    let fetch = || asked::<FetchCall>(Some(place.unit), place.item(old.id()), &());
    let crm = |voice: &Voice| voice.send(&*world.gate(), &fetch(), None);
    assert!(matches!(crm(&old), Err(Refusal::Authentication(_))), "{:?}", crm(&old));
    // The old grant, named by the new keys, and the old id under the new signature.
    assert_eq!(crm(&new), Err(Refusal::NotFound));
    let gate = world.gate();
    let mut request = new.request(&*gate, &fetch(), None);
    request.member = old.id();
    let forged = gate.call(new.frame(Verb::Fetch, &request, &[]));
    assert!(matches!(forged, Err(Refusal::Authentication(_))), "{forged:?}");
    world.unlock("Sasha");
    world.run("Sasha", &["fetch", "Romashka/Bot", "--field", "token", "--purpose", "answers"]).done();
    let log = world.as_member("Lena", "log Romashka --json").done().json();
    let released = log["lines"].as_array().unwrap().iter().filter(|line| line["event"] == "released");
    let by: BTreeSet<String> =
        released.filter(|line| line["member"] == "Sasha").map(|line| line["record"]["by"].to_string()).collect();
    assert_eq!(by.len(), 2, "{log}");
    let grant = place.item(old.id()).items[0].grant.bytes().to_vec();
    let conn = Connection::open(world.path("vault/vault.db")).unwrap();
    let left: i64 =
        conn.query_row("SELECT count(*) FROM wraps WHERE grant_id = ?1", [grant], |row| row.get(0)).unwrap();
    assert_eq!(left, 0, "the old grant's wraps are gone");
}

/// Of twenty secrets seven were retrieved by who left, and two of those were changed since: five are to be changed, and
/// the ledger names them (B12).
#[test]
fn what_is_to_be_changed_is_computed_from_the_ledger() {
    let world = World::with_mandate();
    let line = |n: usize| {
        format!(r#"{{"operator":"Romashka","system":"CRM","name":"n{n}","secret":"gH4.kk{n}-Wq9!zTm2_pX"}}"#)
    };
    let lines: Vec<String> = (1..20).map(line).collect();
    let file = world.file("more.jsonl", &lines.join("\n"));
    world.as_member("Lena", &format!("credential import {}", file.display())).done();
    world.as_member("Lena", "revoke Sasha Romashka/CRM").done();
    world.as_member("Lena", "grant Sasha Romashka/CRM --level view").done();
    for n in 1..=7 {
        let path = format!("Romashka/CRM/n{n}");
        world.run("Sasha", &["fetch", &path, "--field", "password"]).done();
    }
    world.as_member("Lena", "revoke Sasha Romashka/CRM").done();
    for n in [2, 5] {
        world.as_member("Lena", &format!("credential rotate Romashka/CRM/n{n} --generate")).done();
    }
    let exposed = world.as_member("Lena", "exposure Romashka --json").done().json();
    let of_sasha = exposed.as_array().unwrap().iter().filter(|line| line["member"] == "Sasha");
    let names: BTreeSet<&str> = of_sasha.map(|line| line["name"].as_str().unwrap()).collect();
    assert_eq!(names, BTreeSet::from(["n1", "n3", "n4", "n6", "n7"]));
}
