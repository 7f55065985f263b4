//! Files as version 1 of the formats wrote them, below `tests/golden/v1`: this program, and each later one, opens them
//! and finds in them what `expected.json` says. They are never written anew; another version of a format gets a
//! directory of its own beside. `MANDATUM_WRITE_GOLDEN=1` writes a directory that is not there yet.

use crate::support::{PASSPHRASE, World};
use mandatum::agent::{Profile, Secret, open_kit};
use mandatum::anchor::{Anchor, FileKeys, Home, RealDisk};
use mandatum::api::Host;
use mandatum::crypto::{
    AgeKey, Ctx, Fields, Key, SignKey, Signed, Statement, System, Topic, commitment, derive_outer_key, hash, open_ct,
    open_inner, seal_ct, wrap_inner,
};
use mandatum::ledger::{Checkpoint, Directory, verify_extract};
use mandatum::model::{Clock, CredentialId, Digest, GrantId, MemberId, UnitId, VaultId};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Once};

const HOUR: i64 = 3_600_000;
const KIT_PASSPHRASE: &str = "kit zebra umbrella quantum teapot";

/// What of a world's directory is kept.
const KEPT: [&str; 12] = [
    "vault",
    "state",
    "epoch-key",
    "kit",
    "kit-pw",
    "otp-Olga",
    "otp-Lena",
    "otp-Sasha",
    "backup.db",
    "extract.jsonl",
    "checkpoint",
    "profile",
];

fn golden() -> PathBuf {
    static WRITTEN: Once = Once::new();
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1");
    WRITTEN.call_once(|| {
        if std::env::var_os("MANDATUM_WRITE_GOLDEN").is_some_and(|set| set == "1") {
            assert!(!dir.exists(), "what version 1 wrote is never written anew");
            write(&dir);
        }
    });
    dir
}

fn expected() -> Value {
    serde_json::from_slice(&fs::read(golden().join("expected.json")).unwrap()).unwrap()
}

// ---- as they were written ----

fn write(dir: &Path) {
    let world = World::with_mandate();
    let secret = |member: &str, line: &str| world.as_member(member, line).done().stdout.trim_end().to_owned();
    world.as_member("Lena", "grant Sasha Romashka/Bot --level reply --purpose answers").done();
    let password = secret("Sasha", "fetch Romashka/CRM --field password");
    world.as_member("Lena", "revoke Sasha Romashka/Bot").done();
    world.as_member("Sasha", "fetch Romashka/Bot --field token --purpose answers").denied("NOT_GRANTED");
    let token = secret("Lena", "fetch Romashka/Bot --field token --purpose answers");
    for (verb, name) in [
        ("extract Romashka --out", "extract.jsonl"),
        ("checkpoint Romashka --out", "checkpoint"),
        ("backup", "backup.db"),
    ] {
        world.as_member("Olga", &format!("{verb} {}", world.path(name).display())).done();
    }
    // What came after the backup: it stands in the anchor's journal alone.
    secret("Sasha", "fetch Romashka/CRM --field password");
    let (places, olga) = (world.places(), world.identity("Olga"));
    let vault = world.host().vault_id(&places).unwrap();
    Profile::new(vec!["https://broker.test:7443".into()], Some(Digest([7; 32])), vault, olga.root)
        .save(&world.path("profile"))
        .unwrap();

    for name in KEPT {
        copy(&world.path(name), &dir.join(name));
    }
    // What is made anew without being missed, and a private key that says nothing of a format.
    for name in ["vault/vault.db-shm", "state/lock", "state/tls.key", "state/tls.crt"] {
        fs::remove_file(dir.join(name)).unwrap();
    }
    fs::remove_dir_all(dir.join("state/sessions")).unwrap();
    place_epoch_key(dir, Path::new("/epoch-key"));
    write_json(&dir.join("envelope.json"), &envelope());
    let identities = ["Olga", "Lena", "Sasha"].map(|name| world.identity(name));
    let verified = verify_extract(&fs::read(dir.join("extract.jsonl")).unwrap()[..], None, |_| {}).unwrap();
    let expected = json!({
        "now": world.clock.now().0,
        "vault": vault,
        "root": olga.root,
        "root_fingerprint": verified.root,
        "unit": verified.mandate.unit,
        "records": verified.records.len(),
        "tree": verified.checkpoint.root,
        "passphrase": PASSPHRASE,
        "kit_passphrase": KIT_PASSPHRASE,
        "epoch": anchor(dir).epoch(),
        "members": identities.each_ref().map(|identity| identity.member),
        "keys": identities.each_ref().map(|identity| identity.bundle().sign),
        "password": password,
        "token": token,
    });
    write_json(&dir.join("expected.json"), &expected);
}

/// One version of one credential, sealed once, with each key that opens it.
fn envelope() -> Value {
    let (member, author) = (AgeKey::generate(), SignKey::generate(&System));
    let (recovery, dek, grant_key) = (AgeKey::generate(), Key::generate(&System), Key::generate(&System));
    let place = |to, recipient: &AgeKey| Ctx {
        vault: VaultId([1; 16]),
        mandate: UnitId([2; 16]),
        credential: CredentialId([3; 16]),
        version: 4,
        to,
        recipient: hash(recipient.recipient().as_bytes()),
    };
    let ctx = place(Some((GrantId([5; 16]), MemberId([6; 16]))), &member);
    let ctx0 = place(None, &recovery);
    let text = |text: &str| Secret::copy_of(text.as_bytes());
    let fields = Fields::default().with("password", text("пароль 1")).with("user", text("crm@romashka.test"));
    let ct = seal_ct(&dek, &ctx, &fields, &System);
    let inner = wrap_inner(&member.recipient(), &ctx, &dek).unwrap();
    let rec = wrap_inner(&recovery.recipient(), &ctx0, &dek).unwrap();
    let outer = derive_outer_key(&grant_key, &ctx).put_on(&inner, &System);
    let statement = Statement {
        ctx,
        ct: hash(&ct),
        inner: hash(&inner),
        rec: hash(&rec),
        commit: commitment(&dek),
        author: MemberId([6; 16]),
    };
    let signed = author.sign(Topic::Statement, serde_json::to_vec(&statement).unwrap());
    let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
    json!({
        "ctx": ctx, "ctx0": ctx0,
        "member": member.text().expose_str(), "recovery": recovery.text().expose_str(),
        "author": author.public(), "grant_key": hex(grant_key.expose()), "dek": hex(dek.expose()),
        "ct": hex(&ct), "inner": hex(&inner), "rec": hex(&rec), "outer": hex(&outer), "statement": signed,
    })
}

fn write_json(path: &Path, value: &Value) {
    fs::write(path, serde_json::to_string_pretty(value).unwrap() + "\n").unwrap();
}

/// Copies a file or directory, private as the program wants it: a checkout does not keep modes.
fn copy(from: &Path, to: &Path) {
    if from.is_dir() {
        fs::create_dir_all(to).unwrap();
        fs::set_permissions(to, fs::Permissions::from_mode(0o700)).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            copy(&entry.path(), &to.join(entry.file_name()));
        }
    } else {
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(from, to).unwrap();
        fs::set_permissions(to, fs::Permissions::from_mode(0o600)).unwrap();
    }
}

// ---- as they open ----

/// A world that goes on where the golden one was left, an hour later. Only the epoch key's place is another.
fn unpacked() -> World {
    let world = World::empty();
    for name in KEPT {
        copy(&golden().join(name), &world.path(name));
    }
    place_epoch_key(world.dir.path(), &world.path("epoch-key"));
    world.clock.pass_to(expected()["now"].as_i64().unwrap() + HOUR);
    world
}

/// Says in `broker.json` where the epoch key is.
fn place_epoch_key(dir: &Path, path: &Path) {
    let broker = dir.join("state/broker.json");
    let mut config: Value = serde_json::from_slice(&fs::read(&broker).unwrap()).unwrap();
    config["epoch_key"]["file"] = json!(path);
    write_json(&broker, &config);
}

fn anchor(dir: &Path) -> Anchor {
    let keys = Arc::new(FileKeys::new(dir.join("epoch-key")));
    let home = Home { dir: dir.join("state"), disk: Arc::new(RealDisk), keys, entropy: Arc::new(System) };
    Anchor::open(&home).unwrap()
}

fn parsed<T: serde::de::DeserializeOwned>(value: &Value) -> T {
    serde_json::from_value(value.clone()).unwrap()
}

fn bytes(value: &Value) -> Vec<u8> {
    data_encoding::HEXLOWER.decode(value.as_str().unwrap().as_bytes()).unwrap()
}

fn age_key(value: &Value) -> AgeKey {
    AgeKey::parse(&Secret::copy_of(value.as_str().unwrap().as_bytes())).unwrap()
}

#[test]
fn envelopes_of_version_1_open() {
    let golden: Value = serde_json::from_slice(&fs::read(golden().join("envelope.json")).unwrap()).unwrap();
    let (ctx, ctx0): (Ctx, Ctx) = (parsed(&golden["ctx"]), parsed(&golden["ctx0"]));
    let key = |name: &str| Key::from_slice(&bytes(&golden[name])).unwrap();
    let dek = key("dek");

    let inner = derive_outer_key(&key("grant_key"), &ctx).take_off(&bytes(&golden["outer"])).unwrap();
    assert_eq!(inner, bytes(&golden["inner"]));
    assert!(open_inner(&age_key(&golden["member"]), &ctx, &inner).unwrap() == dek);
    assert!(open_inner(&age_key(&golden["recovery"]), &ctx0, &bytes(&golden["rec"])).unwrap() == dek);
    let ct = bytes(&golden["ct"]);
    let fields = open_ct(&dek, &ctx, &ct).unwrap();
    assert_eq!(fields.names().collect::<Vec<_>>(), ["password", "user"]);
    assert_eq!(fields.field("password").unwrap().expose_str(), Some("пароль 1"));

    let signed: Signed = parsed(&golden["statement"]);
    let statement = signed.open(Topic::Statement, &parsed(&golden["author"])).unwrap();
    let statement: Statement = serde_json::from_slice(statement).unwrap();
    assert_eq!((statement.ctx, statement.ct, statement.inner), (ctx, hash(&ct), hash(&inner)));
    assert_eq!((statement.rec, statement.commit), (hash(&bytes(&golden["rec"])), commitment(&dek)));
}

#[test]
fn sealed_files_of_version_1_open() {
    let (world, expected) = (unpacked(), expected());
    let text = |field: &str| Secret::copy_of(expected[field].as_str().unwrap().as_bytes());
    let page = fs::read_to_string(world.path("kit")).unwrap();
    let (_, sealed) = page.split_once("-----BEGIN MANDATUM RECOVERY KIT-----").unwrap();
    let (sealed, _) = sealed.split_once("-----END MANDATUM RECOVERY KIT-----").unwrap();
    let sealed: String = sealed.split_whitespace().collect();
    let sealed = data_encoding::BASE64.decode(sealed.as_bytes()).unwrap();
    let kit = open_kit(&sealed, &text("kit_passphrase")).unwrap();
    assert_eq!((kit.vault, kit.root.public()), (parsed(&expected["vault"]), parsed(&expected["root"])));
    assert_eq!(text("passphrase").expose_str(), Some(PASSPHRASE));
    for (at, name) in ["Olga", "Lena", "Sasha"].into_iter().enumerate() {
        let identity = world.identity(name);
        assert_eq!((identity.member, identity.root), (parsed(&expected["members"][at]), kit.root.public()));
        assert_eq!(identity.bundle().sign, parsed::<Digest>(&expected["keys"][at]));
    }
    let profile = Profile::read(&world.path("profile")).unwrap().unwrap();
    assert_eq!(profile.urls, ["https://broker.test:7443"]);
    assert_eq!((profile.pin, profile.vault, profile.root), (Some(Digest([7; 32])), kit.vault, kit.root.public()));
}

#[test]
fn extracts_and_checkpoints_of_version_1_verify() {
    let (dir, expected) = (golden(), expected());
    let text = |field: &str| expected[field].as_str().unwrap();
    let extract = fs::read(dir.join("extract.jsonl")).unwrap();
    let verified = verify_extract(&extract[..], Some(text("root_fingerprint")), |_| {}).unwrap();
    assert_eq!(verified.mandate.operator.as_str(), "Romashka");
    assert_eq!(verified.records.len(), parsed::<usize>(&expected["records"]));
    assert_eq!(verified.checkpoint.root, parsed(&expected["tree"]));

    let note = fs::read_to_string(dir.join("checkpoint")).unwrap();
    let charter = verified.directory.charter();
    let head = Checkpoint::open(&note, charter.vault, parsed(&expected["unit"]), &charter.checkpoint_key).unwrap();
    assert!(head.size >= verified.checkpoint.size);
    assert_eq!(Directory::fingerprint(&parsed(&expected["root"])), text("root_fingerprint"));
}

#[test]
fn an_anchor_of_version_1_opens_with_its_journal() {
    let (world, expected) = (unpacked(), expected());
    let mut anchor = anchor(world.dir.path());
    assert_eq!((anchor.vault(), anchor.epoch()), (parsed(&expected["vault"]), parsed(&expected["epoch"])));
    for member in expected["members"].as_array().unwrap() {
        assert!(anchor.core().factor(parsed(member)).is_some_and(|factor| factor.last_step > 0));
    }
    let unit: UnitId = parsed(&expected["unit"]);
    let segment = anchor.segment(unit).unwrap().unwrap();
    assert!(segment.head.size > parsed::<u64>(&expected["records"]), "the journal counts");
}

/// A vault of version 1 opens, verifies, releases what was stored then, and goes on: new records, a rotation of the
/// epoch, new versions.
#[test]
fn a_vault_of_version_1_goes_on() {
    let (world, expected) = (unpacked(), expected());
    ["Olga", "Lena", "Sasha"].iter().for_each(|member| world.unlock(member));
    world.as_member("Olga", "verify").done();
    let fetch = |member: &str, rest: &str| world.as_member(member, &format!("fetch Romashka/{rest}"));
    assert_eq!(fetch("Sasha", "CRM --field password").done().stdout.trim_end(), expected["password"]);
    fetch("Sasha", "Bot --field token --purpose answers").denied("NOT_GRANTED");
    assert_eq!(fetch("Lena", "Bot --field token --purpose answers").done().stdout.trim_end(), expected["token"]);
    let code = world.as_member("Sasha", "code Romashka/CRM --json").done().json();
    let seed = mandatum::agent::Seed::parse("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ").unwrap();
    assert_eq!(code["code"], seed.code(world.clock.now().unix_seconds()).0);

    world.as_member("Lena", "credential rotate Romashka/CRM --generate").done();
    assert_ne!(fetch("Sasha", "CRM --field password").done().stdout.trim_end(), expected["password"]);
    world.as_member("Lena", "revoke Sasha Romashka/CRM").done();
    fetch("Sasha", "CRM --field password").denied("NOT_GRANTED");
    world.as_member("Olga", "verify").done();
}

#[test]
fn a_backup_of_version_1_is_restored() {
    let (world, expected) = (unpacked(), expected());
    for gone in ["vault/vault.db", "epoch-key"] {
        fs::remove_file(world.path(gone)).unwrap();
    }
    fs::remove_dir_all(world.path("state")).unwrap();
    ["Olga", "Sasha"].iter().for_each(|member| fs::remove_file(world.otp_file(member)).unwrap());
    let path = |name: &str| world.path(name).display().to_string();
    let line = format!(
        "restore {} --kit {} --kit-passphrase-file {} --otpauth-out {} --epoch-key file:{} -y --json",
        path("backup.db"),
        path("kit"),
        path("kit-pw"),
        path("otp-Olga"),
        path("epoch-key")
    );
    assert_eq!(world.as_member("Olga", &line).done().json()["new_anchor"], true);
    world.unlock("Olga");
    world.as_member("Olga", &format!("member factor Sasha --otpauth-out {}", path("otp-Sasha"))).done();
    world.unlock("Sasha");
    let fetched = world.as_member("Sasha", "fetch Romashka/CRM --field password").done();
    assert_eq!(fetched.stdout.trim_end(), expected["password"]);
    world.as_member("Olga", "verify").done();
}
