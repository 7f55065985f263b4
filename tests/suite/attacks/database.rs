//! Whoever administers the database, under the real program: what was changed is found or refused, and nothing wrong is
//! released.

use super::real::{come_to_now, serve_in};
use crate::support::World;
use crate::tamper::{Bench, Numbers, TABLES, Table, flipped, is_harmless, unit_of};
use mandatum::agent::{Key, SignKey, System, Topic};
use mandatum::anchor::{Anchor, FileKeys, Home, RealDisk};
use mandatum::crypto::{Ctx, Signed, Statement, commitment, derive_outer_key, hash, wrap_inner};
use mandatum::ledger::{Entry, append};
use mandatum::model::Digest;
use mandatum::store::encode_entry;
use rusqlite::{Connection, params};
use std::sync::Arc;

/// A vault of now that the real program serves anew for each case. Sasha holds CRM, Lena all rows.
fn bench() -> Bench {
    bench_with(come_to_now)
}

/// The same, after more was done to the world.
fn bench_with(ready: fn(&World)) -> Bench {
    let bench = Bench::opened_by(World::with_mandate_before_now(3_600_000), serve_in, ready);
    assert_eq!(bench.after("nothing", |_| ()), None, "it works as long as nothing is changed");
    bench
}

impl Bench {
    /// What the real program says of the database after this was done to it.
    fn after(&self, case: &str, change: impl FnOnce(&Connection)) -> Option<String> {
        self.put_back();
        let conn = self.connection();
        change(&conn);
        drop(conn);
        self.look();
        self.notices(case)
    }
}

fn blob(conn: &Connection, sql: &str) -> Vec<u8> {
    conn.query_row(sql, [], |row| row.get(0)).unwrap_or_else(|e| panic!("{sql}: {e}"))
}

/// A cell of each column turned by a bit, and exchanged with another row's: the right secret or a refusal, and `verify`
/// finds what does not stop a retrieval. (Each single cell, in more ways, is tried in `tamper`.) (E1, E3)
#[test]
fn a_changed_cell_of_each_column_is_found_by_the_real_program() {
    let bench = bench();
    bench.put_back();
    let tables = TABLES.map(|name| Table::read(&bench.connection(), name));
    let (mut numbers, mut unnoticed, mut tried) = (Numbers(5), Vec::new(), 0);
    for table in &tables {
        for column in 0..table.columns.len() {
            let row = numbers.below(table.rows.len());
            let cell = &table.rows[row][column];
            let next = (row + 1) % table.rows.len();
            for (way, value) in
                [("turned", flipped(cell, &mut numbers)), ("exchanged", table.rows[next][column].clone())]
            {
                if value == *cell {
                    continue;
                }
                let case = format!("{}.{} of row {row} {way}", table.name, table.columns[column]);
                let mut done = false;
                let noticed = bench.after(&case, |conn| {
                    done = table.set(conn, row, column, &value);
                    if done && way == "exchanged" {
                        table.set(conn, next, column, cell);
                    }
                });
                tried += usize::from(done);
                let harmless = is_harmless(table, row, column, &value);
                unnoticed.extend((done && noticed.is_none() && !harmless).then_some(case));
            }
        }
    }
    assert!(tried > 30, "{tried}");
    assert!(unnoticed.is_empty(), "{unnoticed:#?}");
}

/// Bits turned anywhere in the file under the real program (E2).
#[test]
fn turned_bits_release_nothing_wrong_from_the_real_program() {
    let bench = bench();
    let mut numbers = Numbers(6);
    bench.put_back();
    let pristine = std::fs::read(bench.database()).unwrap();
    let mut noticed = 0;
    for _ in 0..30 {
        bench.put_back();
        let mut bytes = pristine.clone();
        let at = numbers.below(bytes.len());
        bytes[at] ^= 1 << numbers.below(8);
        std::fs::write(bench.database(), bytes).unwrap();
        bench.look();
        noticed += usize::from(bench.notices(&format!("byte {at}")).is_some());
    }
    assert!(noticed > 0, "nothing was noticed in thirty tries");
}

/// Where the schema holds no role and no date, there is none to be raised: what decides is inside of what is signed and
/// sealed (E4).
#[test]
fn no_column_holds_a_role_or_a_date() {
    let world = World::with_mandate();
    let conn = Connection::open(world.path("vault/vault.db")).unwrap();
    let mut found: Vec<String> = Vec::new();
    for name in TABLES {
        let table = Table::read(&conn, name);
        found.extend(table.columns.iter().map(|column| format!("{name}.{column}")));
    }
    let plain: Vec<&str> = found.iter().map(String::as_str).collect();
    assert_eq!(
        plain.join(" "),
        "meta.name meta.value units.unit units.label units.state units.keys records.unit records.seq records.nodes \
         records.entry secrets.unit secrets.credential secrets.version secrets.ct secrets.rec secrets.statement \
         wraps.unit wraps.grant_id wraps.credential wraps.recipient wraps.outer_wrap wraps.statement seeds.unit \
         seeds.credential seeds.seed reuse.tag reuse.unit reuse.credential"
    );
}

/// A wrap of another credential put under one's own, in whole and in parts, as a member and an administrator who work
/// together would: of another grant, and of another credential under the same grant, where grant, row and member are
/// the right ones and only the place that was signed and sealed into each part tells them apart (C2).
#[test]
fn anothers_wrap_under_ones_own_grant_opens_nothing() {
    let bench = bench_with(|world| {
        world.as_member("Lena", "credential add Romashka/CRM/second --generate --totp-unknown").done();
        come_to_now(world);
    });
    let (grant, crm) = (bench.crm.grant.unwrap().bytes().to_vec(), bench.crm.credential.bytes().to_vec());
    let second = {
        let sql = "SELECT credential FROM wraps WHERE grant_id = ?1 AND credential <> ?2";
        let found = bench.connection().query_row(sql, params![grant, crm], |row| row.get::<_, Vec<u8>>(0));
        found.expect("the grant holds two")
    };
    let wraps = |conn: &Connection, parts: &str, whose: &str| {
        for column in parts.split(", ") {
            let sql = format!(
                "UPDATE wraps SET {column} = (SELECT {column} FROM wraps WHERE {whose} LIMIT 1)
                 WHERE grant_id = ?1 AND credential = ?2 AND ?3 IS NOT NULL"
            );
            assert_eq!(conn.execute(&sql, params![grant, crm, second]), Ok(1));
        }
    };
    let secret = |conn: &Connection, parts: &str| {
        for column in parts.split(", ") {
            let sql = format!(
                "UPDATE secrets SET {column} = (SELECT {column} FROM secrets WHERE credential = ?1) WHERE credential = ?2"
            );
            assert_eq!(conn.execute(&sql, params![second, crm]), Ok(1));
        }
    };
    let of_another_grant = "grant_id <> ?1 AND credential <> ?2 AND credential <> ?3";
    let of_the_same = "grant_id = ?1 AND credential = ?3";
    for whose in [of_another_grant, of_the_same] {
        for parts in ["outer_wrap", "statement", "outer_wrap, statement"] {
            let noticed = bench.after(parts, |conn| wraps(conn, parts, whose));
            // The broker's half is bound to the place; without it only the author's statement can tell.
            let expected = match parts {
                "statement" => "the author's statement is about something else",
                _ => "the vault does not hold together",
            };
            assert!(noticed.as_ref().is_some_and(|said| said.contains(expected)), "{parts} of {whose}: {noticed:?}");
        }
    }
    // And the other secret, in parts and as a whole, under the name of what was granted.
    for parts in ["ct", "rec", "statement", "ct, rec, statement"] {
        let noticed = bench.after(parts, |conn| secret(conn, parts));
        assert!(noticed.is_some(), "{parts}");
    }
    let noticed = bench.after("all of it", |conn| {
        secret(conn, "ct, rec, statement");
        wraps(conn, "outer_wrap, statement", of_the_same);
    });
    assert!(noticed.is_some());
}

/// A wrap by a data key of the administrator's own, under a grant key of theirs and under the grant's true one, which they
/// do not have; with a statement they signed: not what the author signed, so nothing opens; and the next version has a
/// key of its own, whatever stands there (E9).
#[test]
fn a_wrap_by_a_known_key_is_not_used() {
    let bench = bench();
    let sasha = bench.sasha.identity();
    let (unit, grant, credential) = (bench.crm.unit, bench.crm.grant.unwrap(), bench.crm.credential);
    let recipient = sasha.enc.recipient();
    let own = SignKey::generate(&System);
    let known = Key::generate(&System);
    let ctx = Ctx {
        vault: sasha.vault,
        mandate: unit,
        credential,
        version: 1,
        to: Some((grant, sasha.member)),
        recipient: hash(recipient.as_bytes()),
    };
    let inner = wrap_inner(&recipient, &ctx, &known).unwrap();
    bench.put_back();
    let true_key = {
        let keys = Arc::new(FileKeys::new(bench.dir.path().join("epoch-key")));
        let (dir, disk) = (bench.dir.path().join("state"), Arc::new(RealDisk));
        let mut anchor = Anchor::open(&Home { dir, disk, keys, entropy: Arc::new(System) }).unwrap();
        let grants = &anchor.segment(unit).unwrap().unwrap().grants;
        grants.iter().find(|(id, ..)| *id == grant).unwrap().1.duplicate()
    };
    let by_known = derive_outer_key(&known, &ctx).put_on(&inner, &System);
    let by_true = derive_outer_key(&true_key, &ctx).put_on(&inner, &System);
    let key = [grant.bytes().to_vec(), credential.bytes().to_vec()];
    let set = |conn: &Connection, column: &str, value: &[u8]| {
        let sql = format!("UPDATE wraps SET {column} = ?3 WHERE grant_id = ?1 AND credential = ?2");
        assert_eq!(conn.execute(&sql, params![key[0], key[1], value]), Ok(1));
    };
    let restated = |conn: &Connection, commit: bool| {
        let genuine = blob(conn, &format!("SELECT statement FROM wraps WHERE grant_id = x'{grant}'"));
        let signed: Signed = postcard::from_bytes(&genuine).unwrap();
        let said: Statement = serde_json::from_slice(signed.unverified_bytes()).unwrap();
        let commit = if commit { commitment(&known) } else { said.commit };
        let said = Statement { inner: hash(&inner), commit, ..said };
        own.sign(Topic::Statement, serde_json::to_vec(&said).unwrap())
    };
    let does_not_open = "the vault does not hold together";
    let not_admitted = "the author's statement is not signed by an admitted member";
    for (case, outer, statement, expected) in [
        ("a wrap", &by_known, None, does_not_open),
        ("a wrap without the broker's half", &inner, None, does_not_open),
        ("a wrap with its statement", &by_known, Some(true), does_not_open),
        ("a wrap by the true key", &by_true, None, "the author's statement is about something else"),
        ("a wrap by the true key with its statement", &by_true, Some(true), not_admitted),
        ("the same, naming the author's data key", &by_true, Some(false), not_admitted),
    ] {
        let noticed = bench.after(case, |conn| {
            if let Some(commit) = statement {
                set(conn, "statement", &postcard::to_stdvec(&restated(conn, commit)).unwrap());
            }
            set(conn, "outer_wrap", outer);
        });
        assert!(noticed.as_ref().is_some_and(|said| said.contains(expected)), "{case}: {noticed:?}");
    }
}

/// A well-formed record by a key of the administrator's own, at the end of a ledger whose tree, size and counter were
/// made to fit: refused, not skipped (E7).
#[test]
fn a_record_of_ones_own_is_not_taken() {
    let bench = bench();
    for roster in [true, false] {
        let noticed = bench.after("one record more", |conn| {
            let unit = unit_of(conn, roster);
            let sql = "SELECT max(seq) + 1 FROM records WHERE unit = ?1";
            let size: i64 = conn.query_row(sql, [&unit], |row| row.get(0)).unwrap();
            let text = br#"{"format":1,"outcome":{"mandate":{"granted":{}}}}"#.to_vec();
            let entry = Entry { salt: Digest([1; 32]), signed: SignKey::generate(&System).sign(Topic::Record, text) };
            // A node stands beside the record that completes it, at its level.
            let read = |level: u32, index: u64| -> Result<Digest, rusqlite::Error> {
                let seq = i64::try_from(((index + 1) << level) - 1).unwrap();
                let sql = "SELECT nodes FROM records WHERE unit = ?1 AND seq = ?2";
                let nodes: Vec<u8> = conn.query_row(sql, params![unit, seq], |row| row.get(0))?;
                Ok(Digest(nodes.chunks(32).nth(level as usize).unwrap().try_into().unwrap()))
            };
            let grown = append(size.cast_unsigned(), entry.leaf(), read).unwrap();
            let nodes: Vec<u8> = grown.iter().flat_map(|(_, _, hash)| *hash.bytes()).collect();
            let sql = "INSERT INTO records (unit, seq, nodes, entry) VALUES (?1, ?2, ?3, ?4)";
            conn.execute(sql, params![unit, size, nodes, encode_entry(&entry)]).unwrap();
            let counter = blob(conn, "SELECT value FROM meta WHERE name = 'counter'");
            let counter = u64::from_le_bytes(counter.try_into().unwrap()) + 1;
            let sql = "UPDATE meta SET value = ?1 WHERE name = 'counter'";
            conn.execute(sql, [counter.to_le_bytes().to_vec()]).unwrap();
        });
        assert!(noticed.is_some(), "{roster}");
    }
}

/// The last records taken off, with everything made to fit; and the database of an earlier day: the real program
/// releases nothing (E5, E8).
#[test]
fn an_earlier_database_releases_nothing_from_the_real_program() {
    let bench = bench();
    let noticed = bench.after("cut", |conn| {
        let unit = unit_of(conn, false);
        let last = "DELETE FROM records WHERE unit = ?1 AND seq = (SELECT max(seq) FROM records WHERE unit = ?1)";
        assert_eq!(conn.execute(last, [&unit]), Ok(1));
        let counter = blob(conn, "SELECT value FROM meta WHERE name = 'counter'");
        let counter = u64::from_le_bytes(counter.try_into().unwrap()) - 1;
        conn.execute("UPDATE meta SET value = ?1 WHERE name = 'counter'", [counter.to_le_bytes().to_vec()]).unwrap();
    });
    assert!(noticed.as_ref().is_some_and(|said| said.contains("VAULT_ROLLED_BACK")), "{noticed:?}");

    bench.put_back();
    let earlier = std::fs::read(bench.database()).unwrap();
    bench.look();
    assert_eq!(bench.notices("as it is"), None);
    // What was just recorded is in the anchor; the database is put back to before it.
    bench.close();
    for log in ["vault/vault.db-wal", "vault/vault.db-shm"] {
        let _ = std::fs::remove_file(bench.dir.path().join(log));
    }
    std::fs::write(bench.database(), earlier).unwrap();
    bench.look();
    let noticed = bench.notices("an earlier day");
    assert!(noticed.as_ref().is_some_and(|said| said.contains("VAULT_ROLLED_BACK")), "{noticed:?}");
}

/// Database and anchor of one moment put back together, after releases and no revocation: under the same epoch key the
/// real program starts, as it is written down; the first member who remembers more locks it (E17).
#[test]
fn database_and_anchor_put_back_together_lock_at_the_first_newer_head() {
    let world = World::with_mandate_before_now(3_600_000);
    world.as_member("Sasha", "fetch Romashka/CRM --field password").done();
    world.as_member("Lena", "fetch Romashka/CRM --field password").done();
    world.keep("morning");
    for _ in 0..5 {
        world.as_member("Sasha", "fetch Romashka/CRM --field password").done();
    }
    world.keep("evening");
    world.put_back_vault("morning");
    world.put_back_state("morning");
    come_to_now(&world);
    let served = super::real::Served::new(&world);
    world.go_remote(std::slice::from_ref(&served.process.url), Some(served.process.pin));
    // Lena's program remembers no more than the morning.
    crate::support::copy_dir(&world.path("morning-state/pins"), &world.path("remote-state/pins"));
    world.unlock("Lena");
    world.as_member("Lena", "fetch Romashka/CRM --field password").done();
    crate::support::copy_dir(&world.path("evening-state/pins"), &world.path("remote-state/pins"));
    come_to_now(&world);
    world.unlock("Sasha");
    world.as_member("Sasha", "fetch Romashka/CRM --field password").denied("VAULT_ROLLED_BACK");
    world.as_member("Lena", "fetch Romashka/CRM --field password").denied("VAULT_ROLLED_BACK");
}
