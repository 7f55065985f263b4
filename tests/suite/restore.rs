//! What may be put back, and what happens then: the matrix of DESIGN.md 7, through the command line.

use crate::support::{FakeClock, Output, World, copy_dir};
use mandatum::agent::{Fields, Key, Secret, Seed, System, Topic};
use mandatum::cli::{Cli, Edge, Progress, Terminal};
use mandatum::crypto::{Ctx, SignKey, Statement, commitment, hash, seal_ct, wrap_inner};
use mandatum::ledger::{Charter, from_blob, recipient_digest};
use mandatum::model::{Clock, Digest, Text};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const HOUR: i64 = 3_600_000;
const PASSPHRASE: &str = "kit zebra umbrella quantum teapot";

// ---- the people and what happens to them ----

/// The vault of [`World::with_mandate`], with more to lose: Sasha also holds Romashka's Bot, Mila holds Romashka's CRM,
/// and Astra is a second mandate that Sasha works under.
fn agency() -> World {
    let world = World::with_mandate();
    world.as_member("Lena", "grant Sasha Romashka/Bot --level reply").done();
    world.add_member("Mila", "specialist");
    world.as_member("Lena", "grant Mila Romashka/CRM --level view").done();
    world.open_mandate_again("Astra");
    world.as_member("Lena", "grant Sasha Astra/CRM --level view").done();
    world
}

/// What happens after the backup: Bot is revoked, Mila leaves, Astra ends, Vega opens, and Sasha works on.
fn later(world: &World) {
    world.clock.pass(HOUR / 10);
    fetch(world, "Sasha", "Romashka/CRM").done();
    world.as_member("Lena", "revoke Sasha Romashka/Bot").done();
    world.as_member("Olga", "member remove Mila -y").done();
    world.as_member("Olga", "mandate end Astra -y").done();
    world.open_mandate_again("Vega");
    fetch(world, "Sasha", "Romashka/CRM").done();
}

fn fetch(world: &World, member: &str, path: &str) -> Output {
    let purpose = if path.ends_with("Bot") { "answers" } else { "lead handling" };
    let field = if path.ends_with("Bot") { "token" } else { "password" };
    world.run(member, &["fetch", path, "--field", field, "--purpose", purpose])
}

/// The database is not exchanged under a broker that serves it.
#[test]
fn a_restore_waits_for_no_broker() {
    let world = World::with_mandate();
    world.backup("backup");
    let active = fs::OpenOptions::new().create(true).truncate(false).write(true).open(world.path("state/active"));
    let active = active.unwrap();
    active.lock().unwrap();
    let refused = world.restore("backup", "kit", "kit-pw");
    assert!(refused.code != 0 && refused.stderr.contains("stop 'mandatum serve' first"), "{}", refused.stderr);
    assert!(!world.path("vault/vault.db.before-restore").exists());
    drop(active);
    world.restore("backup", "kit", "kit-pw").done();
}

impl World {
    /// [`World::open_mandate`] for a further operator: its secrets are its own.
    fn open_mandate_again(&self, operator: &str) {
        self.open_mandate("Lena", operator);
    }

    pub fn restart(&self, more: &str) -> Output {
        let line = format!("restart {} -y --json {more}", self.kit("kit", "kit-pw"));
        self.as_member("Olga", &line)
    }

    fn restore(&self, backup: &str, kit: &str, kit_passphrase: &str) -> Output {
        let backup = self.path(backup);
        self.as_member("Olga", &format!("restore {} {} -y --json", backup.display(), self.kit(kit, kit_passphrase)))
    }

    fn kit(&self, kit: &str, passphrase: &str) -> String {
        let (kit, passphrase) = (self.path(kit), self.path(passphrase));
        format!("--kit {} --kit-passphrase-file {} {}", kit.display(), passphrase.display(), self.store_option())
    }

    /// The options of a recovery ceremony: Olga's authenticator app is set up anew.
    fn enrol_again(&self, member: &str) -> String {
        let otp = self.path(&format!("otp-{member}"));
        let _ = fs::remove_file(&otp);
        format!("--otpauth-out {}", otp.display())
    }

    /// Keeps the database, the state directory and the epoch key as they are now, under a name.
    pub fn keep(&self, name: &str) {
        self.copy_to("vault", &format!("{name}-vault"));
        self.postgres.iter().for_each(|database| database.keep(name));
        self.copy_to("state", &format!("{name}-state"));
        fs::copy(self.path("epoch-key"), self.path(&format!("{name}-epoch-key"))).unwrap();
    }

    pub fn put_back_vault(&self, name: &str) {
        self.copy_to(&format!("{name}-vault"), "vault");
        self.postgres.iter().for_each(|database| database.put_back(name));
    }

    pub fn put_back_state(&self, name: &str) {
        self.copy_to(&format!("{name}-state"), "state");
    }

    fn put_back_epoch_key(&self, name: &str) {
        fs::copy(self.path(&format!("{name}-epoch-key")), self.path("epoch-key")).unwrap();
    }

    /// The whole ceremony is done, Sasha gets this password again, and the vault verifies.
    #[track_caller]
    fn is_made_anew_with(&self, password: &str) {
        let enrol = self.enrol_again("Olga");
        self.restart(&enrol).done();
        self.member_comes_in("Olga");
        self.enrol_member("Sasha");
        assert_eq!(fetch(self, "Sasha", "Romashka/CRM").done().stdout, password);
        self.as_member("Olga", "verify").done();
    }

    fn lose_anchor(&self) {
        for entry in fs::read_dir(self.path("state")).unwrap() {
            let path = entry.unwrap().path();
            if path.file_name().unwrap().to_string_lossy().starts_with("anchor") {
                fs::remove_file(path).unwrap();
            }
        }
    }

    pub fn backup(&self, name: &str) {
        self.as_member("Olga", &format!("backup {}", self.path(name).display())).done();
    }

    /// Every file under the vault's and the state directory, and the epoch key.
    fn everything(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut files = BTreeMap::new();
        for dir in ["vault", "state"] {
            read_all(&self.path(dir), &mut files);
        }
        files.extend(fs::read(self.path("epoch-key")).ok().map(|bytes| (self.path("epoch-key"), bytes)));
        files.extend(self.postgres.iter().map(|database| ("rows".into(), database.rows())));
        // SQLite's index of the log is rebuilt by whoever opens the database.
        files.retain(|path, _| !path.to_string_lossy().ends_with("-shm"));
        files
    }

    /// The events of a ledger, as `log` names them to Olga.
    fn events(&self, operator: &str) -> Vec<String> {
        let log = self.as_member("Olga", &format!("log {operator} --json")).done().json();
        let lines = log["lines"].as_array().unwrap().iter();
        lines.map(|line| line["event"].as_str().unwrap().to_owned()).collect()
    }

    /// Takes an extract and verifies it as the operator would.
    #[track_caller]
    fn extract_verifies(&self, operator: &str, name: &str) -> serde_json::Value {
        let out = self.path(name);
        self.as_member("Olga", &format!("extract {operator} --out {}", out.display())).done();
        self.as_member("Olga", &format!("verify {} --json", out.display())).done().json()
    }

    /// Whatever was revoked, ended or removed after the backup is still so, and what was live is live.
    #[track_caller]
    fn only_the_dead_stay_dead(&self, password: &str) {
        self.member_comes_in("Sasha");
        assert_eq!(fetch(self, "Sasha", "Romashka/CRM").done().stdout, password);
        fetch(self, "Sasha", "Romashka/Bot").denied("SECRET_DESTROYED");
        fetch(self, "Sasha", "Astra/CRM").denied("MANDATE_NOT_ACTIVE");
        self.as_member("Mila", "unlock").ended(5);
        fetch(self, "Mila", "Romashka/CRM").ended(5);
    }

    #[track_caller]
    fn member_comes_in(&self, member: &str) {
        self.as_member(member, "unlock --for 8h").done();
    }
}

fn read_all(dir: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_all(&path, files);
        } else {
            files.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

// ---- an older database only ----

/// With an older database nothing is released until a restart by kit; then live grants work, and what was revoked,
/// removed, ended or opened since the backup is not there.
#[test]
pub fn an_older_database_releases_nothing_until_a_restart_and_then_only_what_is_still_live() {
    let world = agency();
    let password = fetch(&world, "Sasha", "Romashka/CRM").done().stdout;
    world.keep("monday");
    later(&world);
    world.put_back_vault("monday");

    for member in ["Sasha", "Lena"] {
        fetch(&world, member, "Romashka/CRM").denied("VAULT_ROLLED_BACK");
        world.as_member(member, "code Romashka/CRM").denied("VAULT_ROLLED_BACK");
    }
    world.as_member("Olga", "verify").denied("VAULT_ROLLED_BACK");
    world.as_member("Sasha", "unlock").denied("VAULT_ROLLED_BACK");

    let report = world.restart("").done().json();
    assert_eq!(report["new_anchor"], false);
    assert_eq!(report["lost"], 1, "Vega was opened after the backup");
    let gaps: Vec<&str> = report["gaps"].as_array().unwrap().iter().map(|gap| gap.as_str().unwrap()).collect();
    for name in ["roster", "Romashka", "Astra"] {
        assert!(gaps.iter().any(|gap| gap.starts_with(name)), "{name} is named: {gaps:?}");
    }
    world.only_the_dead_stay_dead(&password);
    fetch(&world, "Lena", "Vega/CRM").ended(4);

    assert!(world.events("Romashka").contains(&"restarted".to_owned()), "the gap is in the log");
    world.as_member("Olga", "verify").done();
    assert_eq!(world.extract_verifies("Romashka", "after.jsonl")["operator"], "Romashka");
    // The gap is bridged for good: another process, another day.
    world.clock.pass(20 * HOUR);
    assert_eq!(fetch(&world, "Sasha", "Romashka/CRM").done().stdout, password);
}

/// `restore` of a backup file does the same in one step, and keeps the newer database beside it.
#[test]
pub fn a_backup_is_restored_in_one_step() {
    let world = agency();
    let password = fetch(&world, "Sasha", "Romashka/CRM").done().stdout;
    world.backup("backup.db");
    later(&world);

    let report = world.restore("backup.db", "kit", "kit-pw").done().json();
    assert_eq!((&report["new_anchor"], &report["lost"]), (&false.into(), &1.into()));
    world.only_the_dead_stay_dead(&password);
    world.as_member("Olga", "verify").done();
    let kept = match &world.postgres {
        None => world.path("vault/vault.db.before-restore").exists(),
        Some(database) => database.has_schema("mandatum_before_restore"),
    };
    assert!(kept, "the database that was there is kept");
}

/// Neither the older database's log beside the newer database, nor the newer database without its log, releases what
/// was revoked or rotated since: it is the password of now, or none.
#[test]
fn an_older_write_ahead_log_is_no_way_back() {
    let world = agency();
    world.keep("monday");
    later(&world);
    world.as_member("Lena", "credential rotate Romashka/CRM --generate").done();
    let password = fetch(&world, "Sasha", "Romashka/CRM").done().stdout;
    world.keep("friday");
    let monday = fs::read(world.path("monday-vault/vault.db-wal")).unwrap();
    for log in [&monday[..], b""] {
        world.put_back_vault("friday");
        world.put_back_state("friday");
        fs::write(world.path("vault/vault.db-wal"), log).unwrap();
        let _ = fs::remove_file(world.path("vault/vault.db-shm"));
        fetch(&world, "Sasha", "Romashka/Bot").ended(3);
        let crm = fetch(&world, "Sasha", "Romashka/CRM");
        let refused = crm.code == 6 || crm.stderr.contains("VAULT_ROLLED_BACK");
        assert!(refused || crm.stdout == password, "{}{}", crm.stdout, crm.stderr);
    }
}

/// A rotation that the backup does not know of is lost with it, and the exposure list says the old secret is open.
#[test]
pub fn what_was_rotated_after_the_backup_is_exposed_again() {
    let world = agency();
    let old = fetch(&world, "Sasha", "Romashka/CRM").done().stdout;
    world.backup("backup.db");
    world.as_member("Lena", "credential rotate Romashka/CRM --generate").done();
    assert_ne!(fetch(&world, "Sasha", "Romashka/CRM").done().stdout, old);

    world.restore("backup.db", "kit", "kit-pw").done();
    world.member_comes_in("Lena");
    let exposed = world.as_member("Lena", "exposure Romashka --json").done().json();
    assert!(exposed.as_array().unwrap().iter().any(|line| line["member"] == "Sasha" && line["version"] == 1));
}

// ---- an older database and an older anchor, or none ----

/// An older anchor does not open under the epoch key of now; the ceremony makes only the grants anew that the owner
/// confirms, so what was revoked since stays dead.
#[test]
pub fn an_older_anchor_does_not_open_and_only_confirmed_grants_are_made_anew() {
    let world = agency();
    let password = fetch(&world, "Sasha", "Romashka/CRM").done().stdout;
    world.keep("monday");
    later(&world);
    world.put_back_vault("monday");
    world.put_back_state("monday");

    fetch(&world, "Sasha", "Romashka/CRM").ended(6);
    world.as_member("Olga", "verify").ended(6);

    // The owner knows that Bot was revoked, that Mila left and that Astra ended.
    let enrol = world.enrol_again("Olga");
    let line = format!("restart {} --json {enrol}", world.kit("kit", "kit-pw"));
    let (output, asked) = world.answering(&line, |question| {
        let kept = ["Sasha on Romashka/CRM", "Lena on Romashka/CRM", "This goes on"];
        kept.iter().any(|kept| question.contains(kept))
    });
    let report = output.done().json();
    assert!(asked.iter().any(|question| question.contains("Sasha on Romashka/Bot")), "{asked:?}");
    assert_eq!((&report["new_anchor"], &report["reissued"]), (&true.into(), &2.into()));

    world.member_comes_in("Olga");
    world.enrol_member("Sasha");
    assert_eq!(fetch(&world, "Sasha", "Romashka/CRM").done().stdout, password);
    fetch(&world, "Sasha", "Romashka/Bot").denied("SECRET_DESTROYED");
    fetch(&world, "Sasha", "Astra/CRM").denied("SECRET_DESTROYED");
    world.as_member("Mila", "unlock").ended(5);
    world.as_member("Olga", "verify").done();
    world.extract_verifies("Romashka", "after.jsonl");
}

/// `--yes` confirms every grant that was live in the restored state, those revoked after the backup among them: the
/// state that would say so is lost. Whoever gives it says that all of them shall live.
#[test]
fn yes_makes_all_grants_of_the_restored_state_anew() {
    let world = agency();
    let token = fetch(&world, "Sasha", "Romashka/Bot").done().stdout;
    world.keep("monday");
    later(&world);
    world.put_back_vault("monday");
    world.put_back_state("monday");

    let enrol = world.enrol_again("Olga");
    let report = world.restart(&enrol).done().json();
    // Lena's standing grants under four rows of two mandates; Sasha's three; Mila's one.
    assert_eq!((&report["reissued"], &report["dead"]), (&12.into(), &0.into()));
    world.member_comes_in("Olga");
    world.enrol_member("Sasha");
    assert_eq!(fetch(&world, "Sasha", "Romashka/Bot").done().stdout, token);
}

/// Without the anchor the kit opens everything again: the data, a new charter, ledgers that verify over old and new
/// records; sessions are over and second factors are to be enrolled anew.
#[test]
pub fn a_lost_anchor_is_made_anew_by_the_kit() {
    recovers_after(World::lose_anchor);
}

/// The same where the anchor is there and its epoch key is not.
#[test]
fn a_lost_epoch_key_is_made_anew_by_the_kit() {
    recovers_after(|world| fs::remove_file(world.path("epoch-key")).unwrap());
}

/// The same where the whole state directory is gone with the epoch key: nothing but database, identities and kit.
#[test]
pub fn a_lost_machine_is_made_anew_by_the_kit() {
    recovers_after(|world| {
        fs::remove_dir_all(world.path("state")).unwrap();
        fs::remove_file(world.path("epoch-key")).unwrap();
    });
}

/// The same where the anchor file is damaged.
#[test]
fn a_damaged_anchor_is_made_anew_by_the_kit() {
    recovers_after(|world| {
        let path = world.path("state/anchor");
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&path, bytes).unwrap();
    });
}

fn recovers_after(loss: impl FnOnce(&World)) {
    let world = World::with_mandate();
    let password = fetch(&world, "Sasha", "Romashka/CRM").done().stdout;
    let before = world.extract_verifies("Romashka", "before.jsonl");
    loss(&world);
    assert_ne!(fetch(&world, "Sasha", "Romashka/CRM").code, 0);

    let enrol = world.enrol_again("Olga");
    let epoch_key = format!("--epoch-key file:{}", world.path("epoch-key").display());
    let report = world.restart(&format!("{enrol} {epoch_key}")).done().json();
    assert_eq!(report["new_anchor"], true);

    // Sessions are over, and the other members' second factors are gone with the anchor.
    world.as_member("Sasha", "whoami").ended(5);
    world.as_member("Sasha", "unlock").ended(5);
    world.member_comes_in("Olga");
    world.enrol_member("Sasha");
    world.enrol_member("Lena");
    assert_eq!(fetch(&world, "Sasha", "Romashka/CRM").done().stdout, password);
    world.as_member("Sasha", "code Romashka/CRM --json").done();
    // A lead writes under the new charter, and readers follow.
    world.as_member("Lena", "credential rotate Romashka/CRM --generate").done();
    assert_ne!(fetch(&world, "Sasha", "Romashka/CRM").done().stdout, password);

    world.as_member("Olga", "verify").done();
    let after = world.extract_verifies("Romashka", "after.jsonl");
    assert_eq!(after["root_fingerprint"], before["root_fingerprint"]);
    assert!(after["records"].as_u64() > before["records"].as_u64());
    let head: serde_json::Value =
        serde_json::from_str(fs::read_to_string(world.path("after.jsonl")).unwrap().lines().next().unwrap()).unwrap();
    assert_eq!(head["charters"].as_array().unwrap().len(), 2, "a new charter names the new broker keys");
}

/// The owner root signs anew what the kit opens: so it opens what its author signed, and nothing that somebody with the
/// database and the recovery recipient put in its place (E9).
#[test]
fn a_planted_secret_is_not_made_anew_by_the_kit() {
    let world = World::with_mandate();
    let password = fetch(&world, "Sasha", "Romashka/CRM").done().stdout;
    let lena = world.program("Lena");
    let path = |name: &str| Text::parse(name).unwrap();
    let crm = lena.locate(path("Romashka"), path("CRM"), None, false).unwrap().remove(0);
    let charter = world.gate().hello().unwrap().charters.last().and_then(from_blob).unwrap();
    let recovery = serde_json::from_slice::<Charter>(charter.unverified_bytes()).unwrap().recovery;
    let (unit, credential) = (crm.unit, crm.credential);
    let recipient = recipient_digest(&recovery);
    let ctx = Ctx { vault: lena.identity().vault, mandate: unit, credential, version: 1, to: None, recipient };
    let sealed = |text: &[u8]| {
        let (dek, fields) = (Key::generate(&System), Fields::default().with("password", Secret::copy_of(text)));
        (seal_ct(&dek, &ctx, &fields, &System), wrap_inner(&recovery, &ctx, &dek).unwrap(), commitment(&dek))
    };
    let signed = |by: &SignKey, (ct, rec, commit): &(Vec<u8>, Vec<u8>, Digest)| {
        let (ct, rec, author) = (hash(ct), hash(rec), lena.identity().member);
        let said = Statement { ctx, ct, inner: rec, rec, commit: *commit, author };
        postcard::to_stdvec(&by.sign(Topic::Statement, serde_json::to_vec(&said).unwrap())).unwrap()
    };
    let (planted, other) = (sealed(b"planted"), sealed(b"other"));
    let conn = rusqlite::Connection::open(world.path("vault/vault.db")).unwrap();
    let sql = "SELECT ct FROM secrets WHERE credential = ?1";
    let genuine: Vec<u8> = conn.query_row(sql, [credential.bytes()], |row| row.get(0)).unwrap();
    drop(conn);
    // By a key of their own; by the author's, over another version than the ledger names, or over another data key than
    // is wrapped; the recovery wrap alone.
    let strange = signed(&SignKey::generate(&System), &planted);
    let lenas = signed(&lena.identity().sign, &planted);
    let crossed = signed(&lena.identity().sign, &(genuine.clone(), other.1.clone(), planted.2));
    drop(lena);
    world.lose_anchor();
    world.keep("whole");
    for (what, sql, values) in [
        ("a strange author", "ct = ?2, rec = ?3, statement = ?4", vec![&planted.0, &planted.1, &strange]),
        ("another version", "ct = ?2, rec = ?3, statement = ?4", vec![&planted.0, &planted.1, &lenas]),
        ("another data key", "ct = ?2, rec = ?3, statement = ?4", vec![&genuine, &other.1, &crossed]),
        ("another wrap", "rec = ?2", vec![&planted.1]),
    ] {
        let conn = rusqlite::Connection::open(world.path("vault/vault.db")).unwrap();
        let bytes = std::iter::once(credential.bytes().to_vec()).chain(values.into_iter().cloned());
        let changed = format!("UPDATE secrets SET {sql} WHERE credential = ?1");
        assert_eq!(conn.execute(&changed, rusqlite::params_from_iter(bytes)), Ok(1));
        drop(conn);
        let enrol = world.enrol_again("Olga");
        let refused = world.restart(&enrol).ended(6);
        assert!(refused.stderr.contains("was changed"), "{what}: {}", refused.stderr);
        world.put_back_vault("whole");
        world.put_back_state("whole");
    }
    world.is_made_anew_with(&password);
}

/// A term that was shortened after the backup stays short: the anchor knows when keys end.
#[test]
fn a_term_that_was_shortened_after_the_backup_stays_short() {
    let world = World::with_mandate();
    world.keep("before");
    world.as_member("Lena", "mandate amend Romashka --until 2026-03-04").done();
    world.put_back_vault("before");
    world.restart("").done();
    fetch(&world, "Sasha", "Romashka/CRM").done();
    let newest = |world: &World| fs::read_dir(world.path("state")).unwrap().flatten().map(|f| f.file_name()).max();
    // 2026-03-05 00:00 in Moscow.
    world.clock.pass_to(1_772_658_000_000);
    world.unlock("Sasha");
    fetch(&world, "Sasha", "Romashka/CRM").denied("MANDATE_NOT_ACTIVE");
    assert_eq!(world.events("Romashka").last().map(String::as_str), Some("denied"));
    // It is over once: nothing is left for later calls to do.
    let (events, file) = (world.events("Romashka").len(), newest(&world));
    world.unlock("Lena");
    world.as_member("Lena", "mandate list").done();
    assert_eq!((world.events("Romashka").len(), newest(&world)), (events, file));
    world.as_member("Olga", "verify").done();
}

/// An order to go on without lost records says nothing of a loss since, even where the sizes are the same again.
#[test]
fn an_order_of_then_explains_no_loss_of_now() {
    let world = World::with_mandate();
    world.keep("sunday");
    (0..12).for_each(|_| drop(fetch(&world, "Lena", "Romashka/CRM").done()));
    world.put_back_vault("sunday");
    world.restart("").done();
    world.clock.pass(HOUR / 10);
    (0..3).for_each(|_| drop(fetch(&world, "Lena", "Romashka/CRM").done()));
    world.keep("monday");
    world.as_member("Lena", "revoke Sasha Romashka/CRM").done();
    (0..3).for_each(|_| drop(fetch(&world, "Lena", "Romashka/CRM").done()));
    world.copy_to("state/pins", "pins");
    // The whole machine, but what Lena has seen.
    world.put_back_vault("monday");
    world.put_back_state("monday");
    world.put_back_epoch_key("monday");
    world.copy_to("pins", "state/pins");
    let refused = fetch(&world, "Lena", "Romashka/CRM");
    assert!(refused.code != 0 && refused.stdout.is_empty(), "{}", refused.stderr);
    assert!(refused.stderr.contains("no order of the vault's owner explains"), "{}", refused.stderr);
}

/// A ceremony that fails after the new anchor is made can be repeated: nothing was recorded by keys nobody knows.
#[test]
fn a_ceremony_that_was_cut_off_can_be_repeated() {
    let world = World::with_mandate();
    let password = fetch(&world, "Sasha", "Romashka/CRM").done().stdout;
    world.lose_anchor();
    let enrol = world.enrol_again("Olga");
    while_the_database_is_locked(&world, || world.restart(&enrol).ended(1));
    assert!(world.path("state/anchor").exists(), "it was cut off after the anchor");

    world.is_made_anew_with(&password);
    world.extract_verifies("Romashka", "after.jsonl");
}

/// A restart that fails before the gap is on record names the gap when it is repeated.
#[test]
pub fn a_restart_that_was_cut_off_still_records_the_gap() {
    let world = World::with_mandate();
    world.keep("monday");
    fetch(&world, "Sasha", "Romashka/CRM").done();
    world.put_back_vault("monday");
    while_the_database_is_locked(&world, || world.restart("").ended(1));
    fetch(&world, "Sasha", "Romashka/CRM").denied("VAULT_ROLLED_BACK");

    let report = world.restart("").done().json();
    assert!(report["gaps"].as_array().unwrap().iter().any(|gap| gap.as_str().unwrap().starts_with("Romashka")));
    assert!(world.events("Romashka").contains(&"restarted".to_owned()), "the gap is in the log");
}

/// Another program writes to the database for longer than the broker waits.
fn while_the_database_is_locked<T>(world: &World, work: impl FnOnce() -> T) -> T {
    if let Some(database) = &world.postgres {
        let mut admin = database.admin();
        let mut txn = admin.transaction().unwrap();
        txn.batch_execute("LOCK TABLE mandatum.units IN SHARE MODE").unwrap();
        return work();
    }
    let conn = rusqlite::Connection::open(world.path("vault/vault.db")).unwrap();
    conn.execute_batch("BEGIN IMMEDIATE").unwrap();
    let done = work();
    conn.execute_batch("ROLLBACK").unwrap();
    done
}

/// Who restarts must be an owner of the vault, kit or not.
#[test]
fn a_recovery_is_an_owners() {
    let world = World::with_mandate();
    world.lose_anchor();
    let before = world.everything();
    let enrol = world.enrol_again("Lena");
    world.as_member("Lena", &format!("restart {} -y {enrol}", world.kit("kit", "kit-pw"))).ended(7);
    assert!(world.everything() == before, "everything is as it was");
}

// ---- refused, and everything as before ----

/// A wrong passphrase, another vault's kit, another vault's backup, a changed backup, no backup at all: refused with
/// its exit code, and no byte of the vault is another.
#[test]
pub fn what_is_refused_changes_nothing() {
    let world = World::with_mandate();
    world.backup("backup.db");
    fetch(&world, "Sasha", "Romashka/CRM").done();
    world.file("wrong-pw", "not the passphrase of this kit");
    world.file("not-a-backup", "plainly something else");
    world.file("not-a-kit", "plainly something else");
    let other = World::with_mandate();
    other.backup("backup.db");
    fs::copy(other.path("kit"), world.path("other-kit")).unwrap();
    fs::copy(other.path("backup.db"), world.path("other.db")).unwrap();
    changed_backup(&world, "backup.db", "changed.db");

    let before = world.everything();
    let refused = |what: &str, output: Output, code: u8| {
        assert_eq!(output.code, code, "{what}: {}", output.stderr);
        assert!(!output.stderr.contains(PASSPHRASE) && !output.stderr.contains("not the passphrase"), "{what}");
        let after = world.everything();
        let changed: Vec<&PathBuf> =
            after.keys().chain(before.keys()).filter(|p| before.get(*p) != after.get(*p)).collect();
        assert!(changed.is_empty(), "{what} changed {changed:?}");
    };
    refused("restore, wrong passphrase", world.restore("backup.db", "kit", "wrong-pw"), 5);
    refused("restore, not a kit", world.restore("backup.db", "not-a-kit", "kit-pw"), 7);
    refused("restore, another vault's backup", world.restore("other.db", "kit", "kit-pw"), 7);
    refused("restore, not a backup", world.restore("not-a-backup", "kit", "kit-pw"), 7);
    refused("restore, no such file", world.restore("nowhere.db", "kit", "kit-pw"), 7);
    refused("restore, another vault's kit", world.restore("backup.db", "other-kit", "kit-pw"), 7);
    refused("restore, a changed backup", world.restore("changed.db", "kit", "kit-pw"), 6);
    let restart = |kit: &str, pw: &str| world.as_member("Olga", &format!("restart {} -y", world.kit(kit, pw)));
    refused("restart, wrong passphrase", restart("kit", "wrong-pw"), 5);
    refused("restart, another vault's kit", restart("other-kit", "kit-pw"), 7);
    fetch(&world, "Sasha", "Romashka/CRM").done();
}

/// After a backup that does not verify was refused, the vault's own database is still there for the next attempt.
#[test]
pub fn a_refused_backup_never_costs_the_database() {
    let world = World::with_mandate();
    let password = fetch(&world, "Sasha", "Romashka/CRM").done().stdout;
    world.backup("backup.db");
    changed_backup(&world, "backup.db", "changed.db");
    // The database is ahead of the backup now: lost, it would be missed.
    fetch(&world, "Sasha", "Romashka/CRM").done();
    for _ in 0..2 {
        world.restore("changed.db", "kit", "kit-pw").ended(6);
    }
    assert_eq!(fetch(&world, "Sasha", "Romashka/CRM").done().stdout, password);
}

/// A backup with one bit of one sealed record turned.
fn changed_backup(world: &World, from: &str, to: &str) {
    fs::copy(world.path(from), world.path(to)).unwrap();
    let conn = rusqlite::Connection::open(world.path(to)).unwrap();
    let (unit, seq, mut entry): (Vec<u8>, i64, Vec<u8>) = conn
        .query_row("SELECT unit, seq, entry FROM records ORDER BY seq DESC LIMIT 1", [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .unwrap();
    entry[40] ^= 1;
    let changed = conn.execute("UPDATE records SET entry = ?1 WHERE unit = ?2 AND seq = ?3", (entry, unit, seq));
    assert_eq!(changed, Ok(1));
}

// ---- the whole machine ----

/// Everything put back, epoch key included, runs on until a member shows a newer head; then the broker locks itself
/// and stays locked for everybody, in every process, until an owner's restart.
#[test]
pub fn a_whole_machine_put_back_locks_itself_when_a_member_shows_a_newer_head() {
    let world = World::with_mandate();
    let password = fetch(&world, "Sasha", "Romashka/CRM").done().stdout;
    fetch(&world, "Lena", "Romashka/CRM").done();
    world.keep("monday");
    world.clock.pass(HOUR / 10);
    fetch(&world, "Sasha", "Romashka/CRM").done();
    fetch(&world, "Sasha", "Romashka/CRM").done();
    world.keep("friday");
    world.put_back_vault("monday");
    world.put_back_state("monday");
    world.put_back_epoch_key("monday");

    // The limit, as it is written down: nobody has shown anything newer yet. Olga's program has never seen a head.
    world.as_member("Olga", "verify").done();
    fetch(&world, "Lena", "Romashka/CRM").done();

    // Sasha's machine was not put back: it remembers.
    copy_dir(&world.path("friday-state/pins"), &world.path("state/pins"));
    fetch(&world, "Sasha", "Romashka/CRM").denied("VAULT_ROLLED_BACK");
    for _ in 0..2 {
        fetch(&world, "Lena", "Romashka/CRM").denied("VAULT_ROLLED_BACK");
        world.as_member("Olga", "verify").denied("VAULT_ROLLED_BACK");
        world.clock.pass(HOUR / 10);
    }
    world.restart("").done();
    world.member_comes_in("Sasha");
    assert_eq!(fetch(&world, "Sasha", "Romashka/CRM").done().stdout, password);
    world.as_member("Olga", "verify").done();

    // On a machine of their own the pins stay. What was lost is named in the owner's order: no second lock.
    copy_dir(&world.path("friday-state/pins"), &world.path("state/pins"));
    for _ in 0..2 {
        assert_eq!(fetch(&world, "Sasha", "Romashka/CRM").done().stdout, password);
        fetch(&world, "Lena", "Romashka/CRM").done();
    }
    world.as_member("Olga", "verify").done();
}

/// A newer head has to be shown with the broker's own signature. Whoever only claims one locks nobody, not even
/// themselves.
#[test]
pub fn a_head_that_is_only_claimed_locks_nobody() {
    let world = World::with_mandate();
    fetch(&world, "Sasha", "Romashka/CRM").done();
    fetch(&world, "Lena", "Romashka/CRM").done();
    let pins = world.path("state/pins").join(world.identity("Sasha").member.to_string());
    let pin = std::fs::read_dir(&pins).unwrap().next().unwrap().unwrap().path();
    let honest = std::fs::read_to_string(&pin).unwrap();
    let mut forged: serde_json::Value = serde_json::from_str(&honest).unwrap();
    let size = forged["seen"]["size"].as_u64().unwrap();
    for claim in [size + 1000, size] {
        // Another head under the note of the true one: the note says something else.
        forged["seen"] = serde_json::json!({ "size": claim, "root": "ab".repeat(32) });
        std::fs::write(&pin, forged.to_string()).unwrap();
        let refused = fetch(&world, "Sasha", "Romashka/CRM").ended(7);
        assert!(refused.stderr.contains("no head that this broker signed"), "{}", refused.stderr);
        fetch(&world, "Lena", "Romashka/CRM").done();
    }
    std::fs::write(&pin, honest).unwrap();
    fetch(&world, "Sasha", "Romashka/CRM").done();
    world.as_member("Olga", "verify").done();
}

// ---- backups ----

/// A backup that is made while others write is a consistent moment: restored, it verifies.
#[test]
pub fn a_backup_made_while_others_write_verifies_when_it_is_restored() {
    let world = World::with_mandate();
    let program = world.program("Sasha");
    let text = |text: &str| mandatum::model::Text::parse(text).unwrap();
    let found = program.locate(text("Romashka"), text("CRM"), None, false).unwrap().remove(0);
    let done = std::sync::atomic::AtomicBool::new(false);
    let fetched = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut fetched = 0;
            while !done.load(std::sync::atomic::Ordering::SeqCst) {
                program.fetch(&found, Some(text("lead handling"))).unwrap();
                fetched += 1;
            }
            fetched
        });
        for number in 0..3 {
            world.backup(&format!("backup-{number}.db"));
        }
        done.store(true, std::sync::atomic::Ordering::SeqCst);
        writer.join().unwrap()
    });
    assert!(fetched > 3, "somebody wrote meanwhile");
    for number in [2, 0] {
        world.restore(&format!("backup-{number}.db"), "kit", "kit-pw").done();
        world.as_member("Olga", "verify").done();
    }
}

/// A backup holds neither the anchor nor the epoch key nor any member's second factor.
#[test]
fn a_backup_holds_no_key_of_the_broker_and_no_second_factor() {
    let world = World::with_mandate();
    world.backup("backup.db");
    let backup = fs::read(world.path("backup.db")).unwrap();
    let epoch_key = fs::read(world.path("epoch-key")).unwrap();
    assert_eq!(epoch_key.len(), 40);
    assert!(!contains(&backup, &epoch_key[8..]));
    assert!(!contains(&backup, b"MNDTANCR"));
    let anchor = fs::read(world.path("state/anchor")).unwrap();
    for chunk in anchor.chunks_exact(16).skip(4) {
        assert!(!contains(&backup, chunk), "a piece of the anchor is in the backup");
    }
    for member in ["Olga", "Lena", "Sasha"] {
        let uri = fs::read_to_string(world.path(&format!("otp-{member}"))).unwrap();
        let base32 = uri.split("secret=").nth(1).unwrap().split('&').next().unwrap().trim();
        assert!(!contains(&backup, base32.as_bytes()));
        let bytes = data_encoding::BASE32_NOPAD.decode(base32.as_bytes()).unwrap();
        assert!(!contains(&backup, &bytes));
        Seed::parse(base32).unwrap();
    }
    assert!(contains(&backup, b"SQLite format 3"), "it is a backup that was searched");
}

// ---- an owner who answers each question ----

impl World {
    /// A new second factor, enrolled by Olga.
    fn enrol_member(&self, member: &str) {
        let enrol = self.enrol_again(member);
        self.as_member("Olga", &format!("member factor {member} {enrol}")).done();
        self.member_comes_in(member);
    }

    /// Runs a command as Olga, who says yes only where `yes` does. Gives back what was asked, too.
    fn answering(&self, line: &str, yes: impl Fn(&str) -> bool) -> (Output, Vec<String>) {
        let mut owner = Owner { world: self, yes: &yes, asked: Vec::new(), stdout: Vec::new(), stderr: String::new() };
        let (vault, state) = (self.path("vault"), self.path("state"));
        let fixed =
            ["mandatum", "--vault", vault.to_str().unwrap(), "--state", state.to_str().unwrap(), "--member", "Olga"];
        let cli =
            Cli::parse_args(fixed.into_iter().chain(line.split_whitespace())).unwrap_or_else(|code| panic!("{code}"));
        let (host, clock): (_, Arc<FakeClock>) = (self.host(), self.clock.clone());
        let mut edge = Edge {
            host: &host,
            clock: clock as Arc<dyn Clock>,
            entropy: Arc::new(System),
            session_keys: self.sessions.clone(),
            terminal: &mut owner,
            wait: &|_| (),
            wire: mandatum::agent::revocation::Wire::danger_allow_loopback_http,
            reach: &mandatum::cli::over_network,
            hand_over: std::process::Command::status,
            demo: None,
        };
        let code = cli.run(&mut edge);
        (Output { code, stdout: String::from_utf8(owner.stdout).unwrap(), stderr: owner.stderr }, owner.asked)
    }
}

struct Owner<'a> {
    world: &'a World,
    yes: &'a dyn Fn(&str) -> bool,
    asked: Vec<String>,
    stdout: Vec<u8>,
    stderr: String,
}

impl Terminal for Owner<'_> {
    fn stdout_is_terminal(&self) -> bool {
        false
    }
    fn can_prompt(&self) -> bool {
        true
    }
    fn read_secret(&mut self, _: &str) -> io::Result<Secret> {
        Ok(Secret::copy_of(crate::support::PASSPHRASE.as_bytes()))
    }
    fn read_line(&mut self, prompt: &str) -> io::Result<String> {
        if prompt.contains("ode ") {
            return Ok(self.world.fresh_code("Olga"));
        }
        self.asked.push(prompt.to_owned());
        Ok(if (self.yes)(prompt) { "y" } else { "n" }.into())
    }
    fn read_stdin(&mut self) -> io::Result<Secret> {
        Ok(Secret::copy_of(b""))
    }
    fn out(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stdout.extend_from_slice(bytes);
        Ok(())
    }
    fn say(&mut self, line: &str) {
        self.stderr.push_str(line);
        self.stderr.push('\n');
    }
    fn progress(&mut self, _: &str, _: u64) -> Progress {
        Progress::silent()
    }
}
