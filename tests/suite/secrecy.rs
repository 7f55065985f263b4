//! What a thief of the files learns: nothing that is worth reading.

use crate::skip::skip;
use crate::support::{PASSPHRASE, World};
use crate::tamper::home;
use data_encoding::{BASE32_NOPAD, BASE64_NOPAD, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};
use mandatum::agent::{Identity, Key, Secret, Seed, open_kit};
use mandatum::anchor::{Anchor, EpochKeys, FileKeys, Slot};
use mandatum::crypto::{
    AgeKey, Context, Ctx, Signed, Statement, derive_outer_key, derive_subkey, hash, open, open_exact, open_note,
};
use mandatum::model::{UnitId, VaultId};
use rusqlite::types::ValueRef;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

// ---- finding ----

/// A text, and every form of it that is looked for.
pub struct Needles(Vec<(String, Vec<u8>)>);

impl Needles {
    pub fn of<'a>(canaries: impl IntoIterator<Item = (&'a str, Vec<u8>)>) -> Self {
        let mut forms = Vec::new();
        for (name, bytes) in canaries {
            assert!(bytes.len() >= 8, "{name} is too short to be told from chance");
            let mut add = |form: &str, bytes: Vec<u8>| forms.push((format!("{name} as {form}"), bytes));
            for (at, encoding) in [("base64", &BASE64_NOPAD), ("base64url", &BASE64URL_NOPAD)] {
                for shift in 0..3 {
                    add(&format!("{at}, {shift} bytes in"), base64_middle(encoding, &bytes, shift));
                }
            }
            add("lower hex", HEXLOWER.encode(&bytes).into_bytes());
            add("upper hex", HEXUPPER.encode(&bytes).into_bytes());
            if let Ok(text) = String::from_utf8(bytes.clone()) {
                add("UTF-16LE", text.encode_utf16().flat_map(u16::to_le_bytes).collect());
                add("UTF-16BE", text.encode_utf16().flat_map(u16::to_be_bytes).collect());
                add("UTF-8, lower case", text.to_lowercase().into_bytes());
                add("UTF-8, upper case", text.to_uppercase().into_bytes());
            }
            add("it is", bytes);
        }
        Self(forms)
    }

    /// Which of them stand in these bytes.
    pub fn found_in(&self, bytes: &[u8]) -> Vec<&str> {
        let mut by_start: HashMap<[u8; 4], Vec<&(String, Vec<u8>)>> = HashMap::new();
        let mut first_two = vec![false; 1 << 16];
        for form in &self.0 {
            let start: [u8; 4] = form.1[..4].try_into().unwrap();
            first_two[usize::from(u16::from_be_bytes([start[0], start[1]]))] = true;
            by_start.entry(start).or_default().push(form);
        }
        let mut found = Vec::new();
        for (at, start) in bytes.windows(4).enumerate() {
            if !first_two[usize::from(u16::from_be_bytes([start[0], start[1]]))] {
                continue;
            }
            let forms = by_start.get(&[start[0], start[1], start[2], start[3]]).into_iter().flatten();
            found.extend(forms.filter(|(_, form)| bytes[at..].starts_with(form)).map(|(name, _)| name.as_str()));
        }
        found
    }
}

/// The part of a base64 text that is the same whatever stands around the bytes, `shift` bytes into a group.
fn base64_middle(encoding: &data_encoding::Encoding, bytes: &[u8], shift: usize) -> Vec<u8> {
    let text = encoding.encode(&[&vec![0; shift], bytes].concat());
    let (first, last) = ((shift * 8).div_ceil(6), (shift + bytes.len()) * 8 / 6);
    text.as_bytes()[first..last].to_vec()
}

/// Every file under a directory, by its path below it; the path itself is searched too.
pub fn files_under(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut waiting = vec![dir.to_owned()];
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            waiting.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            files.insert(path.strip_prefix(dir).unwrap().to_owned(), fs::read(&path).unwrap());
        }
    }
    files
}

#[track_caller]
pub fn assert_nothing_found(needles: &Needles, dir: &Path) {
    let files = files_under(dir);
    assert!(!files.is_empty());
    for (path, bytes) in files {
        assert!(needles.found_in(path.to_string_lossy().as_bytes()).is_empty(), "in the name of {}", path.display());
        let found = needles.found_in(&bytes);
        assert!(found.is_empty(), "in {}: {found:?}", path.display());
    }
}

/// What is looked for is found in every form, so that not finding it says something.
#[test]
fn the_search_finds_every_form() {
    let canary = "Zirkonwald-Кузнецова";
    let needles = Needles::of([("it", canary.as_bytes().to_vec())]);
    let utf16 = |order: fn(u16) -> [u8; 2]| canary.encode_utf16().flat_map(order).collect::<Vec<u8>>();
    let mut forms = vec![
        canary.as_bytes().to_vec(),
        canary.to_lowercase().into_bytes(),
        utf16(u16::to_le_bytes),
        utf16(u16::to_be_bytes),
        HEXLOWER.encode(canary.as_bytes()).into_bytes(),
        HEXUPPER.encode(canary.as_bytes()).into_bytes(),
    ];
    for shift in 0..3 {
        let around = ["x".repeat(shift).as_bytes(), canary.as_bytes(), b"tail"].concat();
        forms.push(BASE64_NOPAD.encode(&around).into_bytes());
        forms.push(BASE64URL_NOPAD.encode(&around).into_bytes());
    }
    for form in forms {
        let hay = [&[7; 1000][..], &form, &[9; 500]].concat();
        assert!(!needles.found_in(&hay).is_empty(), "{}", String::from_utf8_lossy(&form));
        assert!(needles.found_in(&hay[..1000 + form.len() / 2]).is_empty());
    }
}

// ---- the story with canaries ----

pub const LEAD: &str = "Leonora-Zirkonwald";
pub const SPECIALIST: &str = "Серафима-Лунопадова";
const SEED: &str = "KRUGS4ZANFZSAYJAMNQW4YLSPEQGM33S";

const CANARIES: [(&str, &str); 23] = [
    ("lead", LEAD),
    ("specialist", SPECIALIST),
    ("operator", "Quastenhausen"),
    ("contract", "KV-7781-Zwielicht"),
    ("system", "Nebelhornkasse"),
    ("category", "Taubenregister"),
    ("platform", "Kieselgurplattform"),
    ("data", "Schuhgroessenliste"),
    ("purpose", "Wiedervorlagezweck"),
    ("account", "konto-8812@quasten.test"),
    ("url", "https://nebelhorn.quasten.test/login"),
    ("credential's name", "Erstschluessel"),
    ("other's name", "Zweitschluessel"),
    ("password", "vQ7#mendelevium-Rhabarber-19"),
    ("token", "tok_9f81Wunderkerze77ab52cd"),
    ("rotated password", "Xk2!Fichtelgebirge-Ofenrohr-88"),
    ("further field", "Lieblingsfarbe-Malachit-0417"),
    ("seed", SEED),
    ("reason to allow", "weil-der-Betreiber-es-so-will"),
    ("reason of no 2FA", "Plattform-kennt-keinen-zweiten-Faktor"),
    ("holder", "Herr-Donnerkeil-am-Empfang"),
    ("reason to revoke", "Urlaubsvertretung-beendet"),
    ("settled", "am-Dienstag-beim-Betreiber-geaendert"),
];

pub fn canary(name: &str) -> &'static str {
    CANARIES.iter().find(|(known, _)| *known == name).unwrap_or_else(|| panic!("{name}")).1
}

pub fn needles(world: &World) -> Needles {
    let mut all: Vec<(&str, Vec<u8>)> = CANARIES.iter().map(|(name, text)| (*name, text.as_bytes().to_vec())).collect();
    all.push(("passphrase", PASSPHRASE.as_bytes().to_vec()));
    all.push(("seed's bytes", BASE32_NOPAD.decode(SEED.as_bytes()).unwrap()));
    for (who, member) in [("owner's", "Olga"), ("lead's", LEAD), ("specialist's", SPECIALIST)] {
        let uri = fs::read_to_string(world.path(&format!("otp-{member}"))).unwrap();
        let base32 = uri.split("secret=").nth(1).unwrap().split('&').next().unwrap().trim().to_owned();
        all.push((who, BASE32_NOPAD.decode(base32.as_bytes()).unwrap()));
        all.push((who, base32.into_bytes()));
    }
    Needles::of(all)
}

/// A vault whose every text is a canary, up to a working mandate.
pub fn canary_world() -> World {
    canaries_in(World::empty())
}

/// The same in an empty world.
pub fn canaries_in(world: World) -> World {
    world.init("Olga");
    world.unlock("Olga");
    world.add_member(LEAD, "lead");
    world.add_member(SPECIALIST, "specialist");
    world.unlock(LEAD);
    world.unlock(SPECIALIST);
    let rows = format!(
        "system;category;platform;data;levels;purposes\n{};{};{};{};view / edit;{}\nForm;x;y;z;view;p\n",
        canary("system"),
        canary("category"),
        canary("platform"),
        canary("data"),
        canary("purpose"),
    );
    let rows = world.file("rows.csv", &rows);
    let (operator, rows) = (canary("operator"), rows.display().to_string());
    let open = ["mandate", "open", operator, "--contract", canary("contract"), "--rows", &rows];
    let open: Vec<&str> = open.into_iter().chain(world.terms.split(' ')).collect();
    world.run(LEAD, &open).done();

    let secret = world.file("secret", canary("password"));
    let seed = world.file("seed", SEED);
    let path = format!("{operator}/{}", canary("system"));
    let (secret, seed) = (secret.display().to_string(), seed.display().to_string());
    let add = |path: &str, more: &[&str]| {
        let args: Vec<&str> = ["credential", "add", path].into_iter().chain(more.iter().copied()).collect();
        world.run(LEAD, &args).done();
    };
    let login = format!("{path}/{}", canary("credential's name"));
    add(&login, &["--user", canary("account"), "--url", canary("url"), "--secret-file", &secret, "--totp-file", &seed]);
    let input = serde_json::json!({
        "secret": canary("token"), "user": canary("account"), "totp_elsewhere": canary("holder"),
        "fields": {"hint": canary("further field")},
    });
    let input = world.file("input", &input.to_string()).display().to_string();
    add(&format!("{path}/{}", canary("other's name")), &["--input", &input]);
    let weak = world.file("weak", "letmein1").display().to_string();
    let allow =
        ["--secret-file", &weak, "--allow-weak", canary("reason to allow"), "--no-totp", canary("reason of no 2FA")];
    add(&format!("{operator}/Form"), &allow);
    world.run(LEAD, &["grant", SPECIALIST, &path, "--level", "view"]).done();
    world
}

pub fn live_part(world: &World) {
    let row = format!("{}/{}", canary("operator"), canary("system"));
    let path = format!("{row}/{}", canary("credential's name"));
    let fetched = world.run(SPECIALIST, &["fetch", &path, "--json"]).done().json();
    assert_eq!(fetched["fields"]["password"], canary("password"));
    world.run(SPECIALIST, &["code", &path]).done();
    world.run(SPECIALIST, &["fetch", &format!("{}/Form", canary("operator")), "--field", "password"]).ended(4);
    let named = format!("{row}/{}", canary("other's name"));
    let fetched = world.run(LEAD, &["fetch", &named, "--json"]).done().json();
    assert_eq!(fetched["fields"]["hint"], canary("further field"));
    let fresh = world.file("fresh", canary("rotated password")).display().to_string();
    world.run(LEAD, &["credential", "rotate", &path, "--secret-file", &fresh]).done();
    world.run(LEAD, &["exposure", "--json"]).done();
    world.as_member("Olga", "log --json").done();
    world.as_member("Olga", "verify").done();
}

fn closing_part(world: &World) {
    let (operator, path) = (canary("operator"), format!("{}/{}", canary("operator"), canary("system")));
    world.run(LEAD, &["revoke", SPECIALIST, &path, "--reason", canary("reason to revoke")]).done();
    world.run(LEAD, &["mandate", "end", operator, "--reason", canary("settled"), "-y"]).done();
    let named = format!("{path}/{}", canary("other's name"));
    world.run(LEAD, &["mandate", "settle", &named, "--because", canary("settled")]).done();
    let how = canary("settled");
    world.run(LEAD, &["mandate", "revoked", operator, "--all", "--how", how, "--by", how]).done();
    world.run(LEAD, &["mandate", "choice", operator, "delete", "--by", how]).done();
    world.run(LEAD, &["mandate", "copies", operator, "--none", "--by", how]).done();
    world.run(LEAD, &["mandate", "close", operator, "-y"]).done();
}

/// No name, text, secret or seed stands in any file of the vault, in any common encoding: while a session is open,
/// after locking, after closing, and in a backup.
#[test]
fn nothing_readable_lies_on_disk() {
    let world = canary_world();
    live_part(&world);
    let needles = needles(&world);
    let search = || ["vault", "state"].iter().for_each(|dir| assert_nothing_found(&needles, &world.path(dir)));
    search();
    world.as_member("Olga", &format!("backup {}", world.path("backup.db").display())).done();
    assert_eq!(needles.found_in(&fs::read(world.path("backup.db")).unwrap()), Vec::<&str>::new());
    world.as_member(SPECIALIST, "lock").done();
    search();
    closing_part(&world);
    search();
}

/// Every key that only anchor and epoch-key file may hold, as they are now: the epoch key, of each grant and ledger, the
/// broker's own seeds, second factors.
fn keys_of_the_broker(world: &World) -> BTreeMap<String, Vec<u8>> {
    let (epoch, key) = FileKeys::new(world.path("epoch-key")).read(Slot::Current).unwrap().unwrap();
    let mut keys = BTreeMap::from([(format!("epoch key {epoch}"), key.expose().to_vec())]);
    let mut anchor = Anchor::open(&home(world)).unwrap();
    for unit in anchor.units() {
        let segment = anchor.segment(unit).unwrap().unwrap();
        let of_unit = [
            ("state key", &segment.state_key),
            ("next state key", &segment.next_state_key),
            ("evidence key", &segment.evidence_key),
        ];
        let named = |(name, key): (&str, &Option<Key>)| {
            key.as_ref().map(|key| (format!("{name} of {unit} in {epoch}"), key.expose().to_vec()))
        };
        keys.extend(of_unit.into_iter().filter_map(named));
        keys.extend(segment.grants.iter().map(|(id, key, _)| (format!("key of grant {id}"), key.expose().to_vec())));
    }
    let core = anchor.core();
    let own = [("record", &core.record_key), ("checkpoint", &core.checkpoint_key), ("label", &core.label_key)];
    keys.extend(own.map(|(name, key)| (format!("{name} key"), key.expose().to_vec())));
    keys.extend(core.factors.iter().map(|factor| (format!("factor of {}", factor.member), factor.seed.to_vec())));
    keys
}

/// Keys of grants, ledgers and epochs, the broker's own and its members' second factors stand in no file of vault, state
/// or backup: not while they live, not after they were revoked, not in what a rotation leaves (A9, A11).
#[test]
fn no_key_of_the_broker_stands_in_a_file() {
    let world = World::with_mandate();
    let mut keys = keys_of_the_broker(&world);
    let first = keys.len();
    let search = |keys: &BTreeMap<String, Vec<u8>>| {
        let needles = Needles::of(keys.iter().map(|(name, key)| (name.as_str(), key.clone())));
        ["vault", "state"].iter().for_each(|dir| assert_nothing_found(&needles, &world.path(dir)));
        needles
    };
    search(&keys);
    world.as_member("Lena", "grant Sasha Romashka/Bot --level reply").done();
    keys.extend(keys_of_the_broker(&world));
    world.as_member("Lena", "revoke Sasha Romashka/CRM").done();
    keys.extend(keys_of_the_broker(&world));
    world.as_member("Lena", "revoke Sasha Romashka/Bot").done();
    keys.extend(keys_of_the_broker(&world));
    let count = |what: &str| keys.keys().filter(|name| name.starts_with(what)).count();
    // One key of an epoch before and after each revocation; Lena's four rows and Sasha's two.
    assert_eq!((count("epoch key"), count("key of grant"), count("factor")), (3, 6, 3), "{:?}", keys.keys());
    assert!(keys.len() > first + 3 && count("evidence key") > 1 && count("state key") > 1);
    let needles = search(&keys);
    world.as_member("Olga", &format!("backup {}", world.path("backup.db").display())).done();
    search(&keys);
    assert_eq!(needles.found_in(&fs::read(world.path("backup.db")).unwrap()), Vec::<&str>::new());
    // The search finds what does stand there: the vault's id in the anchor, and the last epoch's key in its own file.
    let id = Needles::of([("id", world.identity("Olga").vault.bytes().to_vec())]);
    assert!(files_under(&world.path("state")).values().any(|bytes| !id.found_in(bytes).is_empty()));
    assert_eq!(needles.found_in(&fs::read(world.path("epoch-key")).unwrap()).len(), 1);
}

/// An extract is readable, and of another operator it holds nothing: no name, no system, no account, no id.
#[test]
fn an_extract_names_nothing_of_another_operator() {
    let world = canary_world();
    live_part(&world);
    let rows = world.file(
        "rows.csv",
        "system;category;platform;data;levels;purposes\nCRM;CRM;amoCRM;contacts;view;lead handling\n",
    );
    let rows = rows.display();
    let open = format!("mandate open Romashka --contract 17/2026 --signed 2026-01-15 --until 2026-12-31 --rows {rows}");
    world.as_member(LEAD, &open).done();
    world.as_member(LEAD, "credential add Romashka/CRM --user crm@romashka.test --generate --totp-unknown").done();
    // The lead asks for something of one operator right after the other, and for nothing there is.
    world.run(LEAD, &["fetch", "Romashka/CRM", "--field", "password"]).done();
    world.run(LEAD, &["fetch", &format!("Romashka/{}", canary("system")), "--field", "password"]).ended(4);
    let out = world.path("extract.jsonl");
    world.as_member("Olga", &format!("extract Romashka --out {}", out.display())).done();
    let extract = fs::read(&out).unwrap();

    let view = world.as_member(LEAD, &format!("mandate show {} --json", canary("operator"))).done().json();
    let mandate = &view["mandate"];
    let id = |value: &serde_json::Value| HEXLOWER.decode(value.as_str().unwrap().as_bytes()).unwrap();
    let mut foreign: Vec<(&str, Vec<u8>)> =
        CANARIES[2..].iter().map(|(name, text)| (*name, text.as_bytes().to_vec())).collect();
    foreign.push(("unit", id(&mandate["unit"])));
    foreign.extend(
        ["rows", "credentials"]
            .iter()
            .flat_map(|list| mandate[*list].as_array().unwrap().iter().map(|item| (*list, id(&item["id"])))),
    );
    assert!(foreign.len() > 25);
    assert_eq!(Needles::of(foreign).found_in(&extract), Vec::<&str>::new());
    let own = Needles::of([("own account", b"crm@romashka.test".to_vec()), ("lead", LEAD.into())]);
    assert!(own.found_in(&extract).len() >= 2, "it does say what is the operator's own");
}

// ---- sizes ----

/// Secrets of 5 to 5000 bytes make ciphertexts of six sizes, and wraps that do not grow with them.
#[test]
fn sizes_say_little() {
    let world = World::with_mandate();
    for (number, len) in
        [5usize, 8, 20, 60, 130, 240, 300, 480, 700, 1000, 1500, 2000, 3000, 3900, 5000].into_iter().enumerate()
    {
        let secret: String = (0..len).map(|i| char::from(b'a' + u8::try_from((i * 7 + len) % 26).unwrap())).collect();
        let file = world.file("secret", &secret).display().to_string();
        let path = format!("Romashka/CRM/number{number}");
        world
            .run(
                "Lena",
                &[
                    "credential",
                    "add",
                    &path,
                    "--secret-file",
                    &file,
                    "--allow-weak",
                    "a test of sizes",
                    "--totp-unknown",
                ],
            )
            .done();
    }
    let conn = rusqlite::Connection::open(world.path("vault/vault.db")).unwrap();
    let sizes = |sql: &str| -> BTreeSet<i64> {
        conn.prepare(sql).unwrap().query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    let classes = sizes("SELECT length(ct) FROM secrets");
    let expected: BTreeSet<i64> = [256, 512, 1024, 2048, 4096, 8192].map(|size| size + 40).into();
    assert_eq!(classes, expected);
    // What is wrapped has one size; age adds to its header a random part, which says nothing.
    for sql in ["SELECT length(outer_wrap) FROM wraps", "SELECT length(rec) FROM secrets"] {
        let wraps = sizes(sql);
        assert!(wraps.last().unwrap() - wraps.first().unwrap() < 512, "{sql}");
    }
    assert_eq!(sizes("SELECT length(seed) FROM seeds").len(), 1);
    let in_class = |len: &i64| (*len - 40) % 4096 == 0 || [256, 512, 1024, 2048].contains(&(*len - 40));
    for sql in ["SELECT length(entry) FROM records", "SELECT length(state) FROM units"] {
        assert!(sizes(sql).iter().all(in_class), "{sql}");
    }
}

// ---- a thief with some keys ----

/// Every cell that holds bytes, with the name of its column.
pub fn cells(database: &Path) -> Vec<(String, Vec<u8>)> {
    let conn = rusqlite::Connection::open(database).unwrap();
    let mut cells = Vec::new();
    for table in ["meta", "units", "records", "secrets", "wraps", "seeds", "reuse"] {
        let mut query = conn.prepare(&format!("SELECT * FROM {table}")).unwrap();
        let names: Vec<String> = query.column_names().map(|name| format!("{table}.{name}")).collect();
        let mut rows = query.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            for (index, name) in names.iter().enumerate() {
                if let ValueRef::Blob(bytes) = row.get_ref(index).unwrap() {
                    cells.push((name.clone(), bytes.to_vec()));
                }
            }
        }
    }
    cells
}

/// How many cells an age key opens, wherever in them an age file begins.
pub fn opened_by_age(cells: &[(String, Vec<u8>)], key: &AgeKey) -> usize {
    let begins = |bytes: &[u8]| bytes.windows(21).position(|window| window == b"age-encryption.org/v1");
    cells.iter().filter(|(_, bytes)| begins(bytes).is_some_and(|at| open_note(key, &bytes[at..]).is_ok())).count()
}

/// Every symmetric key one can make of what a member holds.
pub fn keys_of(identity: &Identity, vault: VaultId) -> Vec<Key> {
    let (text, seed) = (identity.enc.text(), identity.sign.seed());
    let mut keys = vec![identity.sign.seed(), Key::absent()];
    for bytes in [text.expose(), seed.expose(), PASSPHRASE.as_bytes(), vault.bytes()] {
        keys.extend(Key::from_slice(hash(bytes).bytes()));
    }
    let purposes = ["mandatum/ctx/1", "mandatum/state/1", "mandatum/entry/1", "mandatum/seed/1"];
    let derived =
        purposes.map(|purpose| derive_subkey(&identity.sign.seed(), &Context::new(purpose).at(vault.bytes())));
    keys.extend(derived);
    keys
}

/// A member's opened identity with a full copy of the database opens no wrap, no ciphertext, no state, no record and no
/// seed without the anchor; the recovery kit, tried the same way, does.
#[test]
fn a_members_keys_and_the_database_open_nothing_without_the_anchor() {
    let world = World::with_mandate();
    world.as_member("Sasha", "fetch Romashka/CRM --field password").done();
    let vault = world.host_vault();
    let cells = cells(&world.path("vault/vault.db"));
    let sasha = world.identity("Sasha");
    assert_eq!(opened_by_age(&cells, &sasha.enc), 0);
    let kit = fs::read_to_string(world.path("kit")).unwrap();
    let body = kit.split("-----").nth(2).unwrap().replace('\n', "");
    let sealed = data_encoding::BASE64.decode(body.as_bytes()).unwrap();
    let passphrase = Secret::copy_of(fs::read(world.path("kit-pw")).unwrap().as_slice());
    let kit = open_kit(&sealed, &passphrase).unwrap();
    assert!(opened_by_age(&cells, &kit.recovery) >= 4, "the same search opens recovery wraps with the kit");

    // Statements stand in clear, so a thief knows every context there is.
    let conn = rusqlite::Connection::open(world.path("vault/vault.db")).unwrap();
    let mut query = conn.prepare("SELECT outer_wrap, statement FROM wraps").unwrap();
    let wraps = query.query_map([], |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, Vec<u8>>(1)?))).unwrap();
    let keys = keys_of(&sasha, vault);
    let mut tried = 0;
    for wrap in wraps {
        let (outer, statement) = wrap.unwrap();
        let signed: Signed = postcard_signed(&statement);
        let said: Statement = serde_json::from_slice(signed.unverified_bytes()).unwrap();
        let ctx: Ctx = said.ctx;
        for key in &keys {
            assert!(derive_outer_key(key, &ctx).take_off(&outer).is_err());
            assert!(open_exact(key, &ctx.context(), &outer).is_err());
            tried += 1;
        }
    }
    assert!(tried >= 3 * keys.len());
    let unit_ids: BTreeSet<[u8; 16]> =
        cells.iter().filter(|(name, _)| name == "units.unit").map(|(_, id)| id[..].try_into().unwrap()).collect();
    let purposes = ["mandatum/state/1", "mandatum/entry/1", "mandatum/seed/1", "mandatum/ct/1"];
    for (name, bytes) in cells
        .iter()
        .filter(|(name, _)| ["units.state", "records.entry", "seeds.seed", "secrets.ct"].contains(&&name[..]))
    {
        for (key, unit) in keys.iter().flat_map(|key| unit_ids.iter().map(move |unit| (key, unit))) {
            for purpose in purposes {
                let place = Context::new(purpose).at(vault.bytes()).at(UnitId(*unit).bytes());
                assert!(open(key, &place, bytes).is_err(), "{name}");
                assert!((0..4).all(|seq| open(key, &place.clone().number(seq), bytes).is_err()), "{name}");
            }
        }
    }
}

impl World {
    fn host_vault(&self) -> VaultId {
        mandatum::api::Host::vault_id(&self.host(), &self.places()).unwrap()
    }
}

fn postcard_signed(bytes: &[u8]) -> Signed {
    mandatum::ledger::from_blob(&mandatum::model::Blob(bytes.to_vec())).unwrap()
}

/// Database and anchor without the epoch key, or with another vault's, give nothing and change nothing.
#[test]
fn an_anchor_without_its_epoch_key_opens_nothing() {
    let (world, other) = (World::with_mandate(), World::with_mandate());
    let (vault, state) = (files_under(&world.path("vault")), files_under(&world.path("state")));
    let fetch = || world.as_member("Sasha", "fetch Romashka/CRM --field password");
    let refused = |output: crate::support::Output| {
        let output = output.ended(6);
        assert_eq!(output.stdout, "");
        // Opening the database makes SQLite's index of its log; nothing else may change.
        let without_index = |files: BTreeMap<PathBuf, Vec<u8>>| -> BTreeMap<PathBuf, Vec<u8>> {
            files.into_iter().filter(|(path, _)| !path.to_string_lossy().ends_with("-shm")).collect()
        };
        assert!(without_index(files_under(&world.path("vault"))) == without_index(vault.clone()));
        assert!(files_under(&world.path("state")) == state);
    };
    let key = fs::read(world.path("epoch-key")).unwrap();
    fs::remove_file(world.path("epoch-key")).unwrap();
    refused(fetch());
    let mut zero = key.clone();
    zero[8..].fill(0);
    let mut foreign = fs::read(other.path("epoch-key")).unwrap();
    foreign[..8].copy_from_slice(&key[..8]);
    for wrong in [zero, foreign] {
        fs::write(world.path("epoch-key"), wrong).unwrap();
        fs::set_permissions(world.path("epoch-key"), fs::Permissions::from_mode(0o600)).unwrap();
        refused(fetch());
    }
    fs::write(world.path("epoch-key"), key).unwrap();
    fetch().done();
}

/// Two vaults with equal names, secrets and passphrases share no block: no equal nonce, salt, key or ciphertext.
#[test]
fn equal_vaults_share_no_block() {
    let vaults = [World::new(), World::new()];
    for world in &vaults {
        let secret = world.file("secret", canary("password")).display().to_string();
        let rows = world.file(
            "rows.csv",
            "system;category;platform;data;levels;purposes\nCRM;CRM;amoCRM;contacts;view;lead handling\n",
        );
        let open = format!(
            "mandate open Romashka --contract 17 --signed 2026-01-15 --until 2026-12-31 --rows {}",
            rows.display()
        );
        world.as_member("Lena", &open).done();
        let seed = world.file("seed", SEED).display().to_string();
        world
            .run("Lena", &["credential", "add", "Romashka/CRM", "--secret-file", &secret, "--totp-file", &seed])
            .done();
        world.as_member("Lena", "grant Sasha Romashka/CRM --level view").done();
        world.as_member("Sasha", "fetch Romashka/CRM --field password").done();
    }
    let [one, two] = vaults.each_ref().map(blocks);
    assert!(one.len() > 20_000, "{}", one.len());
    let shared: Vec<String> = one.intersection(&two).map(|block| String::from_utf8_lossy(block).into_owned()).collect();
    assert!(shared.is_empty(), "{} shared, such as {:?}", shared.len(), &shared[..1]);
}

/// Every 16 bytes of what is random or sealed: the cells without their fixed beginnings, and the identity files
/// without magic, format and cost.
fn blocks(world: &World) -> HashSet<[u8; 16]> {
    let mut parts: Vec<Vec<u8>> = Vec::new();
    for (name, mut bytes) in cells(&world.path("vault/vault.db")) {
        match name.as_str() {
            "meta.value" | "wraps.statement" | "secrets.statement" => continue,
            "units.keys" | "secrets.rec" => {
                let begin = bytes.windows(8).position(|window| window == b"age-encr").unwrap();
                parts.push(bytes[..begin].to_vec());
                // `age-encryption.org/v1`, `-> X25519 `
                bytes.drain(..begin + 32);
            }
            // The roster's label is of no operator.
            "units.label" if bytes == [0; 32] => continue,
            _ => {}
        }
        parts.push(bytes);
    }
    parts.extend(files_under(&world.path("vault/identities")).into_values().map(|file| file[22..].to_vec()));
    parts.iter().flat_map(|part| part.windows(16).map(|block| block.try_into().unwrap())).collect()
}

// ---- files and directories ----

/// Every file of a vault is 0600 and every directory 0700, after everything that makes files was done.
#[test]
fn files_and_directories_are_private() {
    let world = World::with_mandate();
    world.as_member("Sasha", "fetch Romashka/CRM --field password").done();
    world.as_member("Lena", "revoke Sasha Romashka/CRM").done();
    world.as_member("Olga", &format!("backup {}", world.path("backup.db").display())).done();
    let mut waiting = vec![
        world.path("vault"),
        world.path("state"),
        world.path("backup.db"),
        world.path("kit"),
        world.path("epoch-key"),
    ];
    let (mut open, mut seen) = (Vec::new(), 0);
    while let Some(path) = waiting.pop() {
        let mode = fs::symlink_metadata(&path).unwrap().permissions().mode() & 0o7777;
        let expected = if path.is_dir() { 0o700 } else { 0o600 };
        if mode != expected {
            open.push(format!("{mode:o} {}", path.strip_prefix(world.dir.path()).unwrap().display()));
        }
        if path.is_dir() {
            waiting.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
        seen += 1;
    }
    assert!(seen > 15, "{seen}");
    open.sort();
    assert!(open.is_empty(), "{open:#?}");
}

/// A vault or state directory that is a link, open to others or another account's is refused, and so is a database
/// that is a link.
#[test]
fn directories_of_others_are_refused() {
    let world = World::with_mandate();
    let fetch = || world.as_member("Sasha", "fetch Romashka/CRM --field password");
    fetch().done();
    for dir in ["vault", "state"] {
        let (dir, real) = (world.path(dir), world.path("elsewhere"));
        fs::rename(&dir, &real).unwrap();
        symlink(&real, &dir).unwrap();
        fetch().ended(7);
        fs::remove_file(&dir).unwrap();
        fs::rename(&real, &dir).unwrap();
        for mode in [0o755, 0o770, 0o701] {
            fs::set_permissions(&dir, fs::Permissions::from_mode(mode)).unwrap();
            fetch().ended(7);
        }
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)).unwrap();
        if fs::metadata(&dir).unwrap().uid() == 0 {
            std::os::unix::fs::chown(&dir, Some(65534), None).unwrap();
            fetch().ended(7);
            std::os::unix::fs::chown(&dir, Some(0), None).unwrap();
        } else {
            skip("only root can give a directory to another account");
        }
        fetch().done();
    }
    let (database, real) = (world.path("vault/vault.db"), world.path("elsewhere.db"));
    fs::rename(&database, &real).unwrap();
    symlink(&real, &database).unwrap();
    assert_ne!(fetch().code, 0, "a linked database is not followed");
}

// ---- messages ----

/// Refused input is named without a piece of it: weak secrets, broken JSON and import lines, bad seeds, bad files.
#[test]
fn no_message_holds_a_secret() {
    const SECRET: &str = "qwertyuiop123456";
    let world = World::with_mandate();
    let file = |name: &str, content: &str| world.file(name, content).display().to_string();
    let weak = file("weak", SECRET);
    let reused = world.as_member("Lena", "fetch Romashka/Bot --field token --purpose answers").done().stdout;
    let cases: Vec<(&str, Vec<String>)> = vec![
        ("weak secret", args(&["credential", "add", "Romashka/Form", "--secret-file", &weak, "--totp-unknown"])),
        (
            "reused secret",
            args(&["credential", "add", "Romashka/Form", "--secret-file", &file("reused", &reused), "--totp-unknown"]),
        ),
        (
            "no JSON",
            args(&[
                "credential",
                "add",
                "Romashka/Form",
                "--input",
                &file("i1", &format!("{{\"secret\":\"{SECRET}\"")),
            ]),
        ),
        (
            "wrong type",
            args(&[
                "credential",
                "add",
                "Romashka/Form",
                "--input",
                &file("i2", &format!("{{\"secret\":[\"{SECRET}\"]}}")),
            ]),
        ),
        (
            "wrong kind",
            args(&[
                "credential",
                "add",
                "Romashka/Form",
                "--input",
                &file("i3", &format!("{{\"kind\":\"{SECRET}\"}}")),
            ]),
        ),
        ("bare text", args(&["credential", "add", "Romashka/Form", "--input", &weak, "--totp-unknown"])),
        ("bad seed", args(&["credential", "add", "Romashka/Form", "--generate", "--totp-file", &weak])),
        (
            "bad URI",
            args(&[
                "credential",
                "add",
                "Romashka/Form",
                "--generate",
                "--totp-file",
                &file("uri", &format!("otpauth://totp/x?secret={SECRET}018")),
            ]),
        ),
        (
            "short URI",
            args(&[
                "credential",
                "rotate",
                "Romashka/CRM",
                "--totp-only",
                "--totp-file",
                &file("uri2", "otpauth://totp/x?secret=MFXGO"),
            ]),
        ),
        (
            "import, no JSON",
            args(&[
                "credential",
                "import",
                &file("m1", &format!("{{\"operator\":\"Romashka\",\"system\":\"Form\",\"secret\":\"{SECRET}\"\n")),
            ]),
        ),
        (
            "import, wrong type",
            args(&[
                "credential",
                "import",
                &file(
                    "m2",
                    &format!("{{\"operator\":\"Romashka\",\"system\":\"Form\",\"secret\":{{\"x\":\"{SECRET}\"}}}}\n"),
                ),
            ]),
        ),
        (
            "import, weak",
            args(&[
                "credential",
                "import",
                &file("m3", &format!("{{\"operator\":\"Romashka\",\"system\":\"Form\",\"secret\":\"{SECRET}\"}}\n")),
            ]),
        ),
        (
            "import, bad seed",
            args(&[
                "credential",
                "import",
                &file(
                    "m4",
                    &format!(
                        "{{\"operator\":\"Romashka\",\"system\":\"Form\",\"secret\":\"Xk2!Fichtelgebirge-Ofenrohr-88\",\"totp\":\"{SECRET}\"}}\n"
                    ),
                ),
            ]),
        ),
        ("import, plain line", args(&["credential", "import", &file("m5", &format!("Romashka;Form;{SECRET}\n"))])),
        ("import, binary", args(&["credential", "import", &file("m6", &format!("\u{0}{SECRET}\u{1b}[2J\n"))])),
        ("wrong passphrase", args(&["unlock", "--passphrase-file", &weak])),
        (
            "wrong kit passphrase",
            args(&["restart", "-y", "--kit", &world.path("kit").display().to_string(), "--kit-passphrase-file", &weak]),
        ),
        ("a secret as a kit", args(&["restart", "-y", "--kit", &weak])),
    ];
    let secret_parts =
        Needles::of([("secret", SECRET.as_bytes().to_vec()), ("token", reused.trim().as_bytes().to_vec())]);
    for (what, args) in cases {
        for json in [false, true] {
            let mut args: Vec<&str> = args.iter().map(String::as_str).collect();
            args.extend(json.then_some("--json"));
            let output = world.run("Lena", &args);
            assert_ne!(output.code, 0, "{what}");
            assert!(!output.stderr.is_empty(), "{what} says why");
            let said = format!("{}{}", output.stdout, output.stderr);
            assert_eq!(secret_parts.found_in(said.as_bytes()), Vec::<&str>::new(), "{what}: {said}");
            let shown: Vec<&str> = SECRET
                .as_bytes()
                .windows(6)
                .map(|part| std::str::from_utf8(part).unwrap())
                .filter(|part| said.contains(part))
                .collect();
            assert!(shown.is_empty(), "{what}: {said}");
        }
    }
}

fn args(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// A code is never in a message either: what is shown of a wrong one says nothing of the right one.
#[test]
fn a_wrong_code_tells_nothing_of_the_right_one() {
    let world = World::new();
    let uri = fs::read_to_string(world.path("otp-Sasha")).unwrap();
    let seed = Seed::parse(uri.trim()).unwrap();
    let identity = world.identity("Sasha");
    let mut program = mandatum::agent::Program::new(
        world.gate(),
        identity,
        &world.path("state"),
        std::sync::Arc::new(mandatum::agent::System),
    );
    let now = mandatum::model::Clock::now(&*world.clock).unix_seconds();
    let near: Vec<String> = [now - 30, now, now + 30].iter().map(|at| seed.code(*at).0).collect();
    let wrong = (0..).map(|n| format!("{n:06}")).find(|code| !near.contains(code)).unwrap();
    let error = program.unlock(wrong, 1000).map(drop).unwrap_err().to_string();
    assert!(near.iter().all(|code| !error.contains(code)), "{error}");
    assert!(!error.is_empty());
}
