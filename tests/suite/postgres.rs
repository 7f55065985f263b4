//! The vault on a PostgreSQL server: the same stories, and what only a server can do to it.

use crate::cluster::{Cluster, Database, TABLES, on_postgres, shared};
use crate::server::standby::{Process, of_today};
use crate::support::World;
use mandatum::agent::{AgentError, Program};
use mandatum::api::{Located, Refusal};
use mandatum::model::{Deny, Digest, Text, UnitId, VaultId};
use mandatum::store::{Address, Store, StoreError};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::Duration;

/// Tests of other modules, word for word, with every vault of theirs on PostgreSQL.
macro_rules! again {
    ($($module:ident: $($test:ident),+;)+) => { $(mod $module { $(
        #[test]
        fn $test() {
            super::on_postgres(crate::$module::$test);
        }
    )+ })+ };
}

again! {
    story: the_whole_story;
    restore:
        an_older_database_releases_nothing_until_a_restart_and_then_only_what_is_still_live,
        a_backup_is_restored_in_one_step,
        what_was_rotated_after_the_backup_is_exposed_again,
        an_older_anchor_does_not_open_and_only_confirmed_grants_are_made_anew,
        a_lost_anchor_is_made_anew_by_the_kit,
        a_lost_machine_is_made_anew_by_the_kit,
        a_restart_that_was_cut_off_still_records_the_gap,
        what_is_refused_changes_nothing,
        a_refused_backup_never_costs_the_database,
        a_whole_machine_put_back_locks_itself_when_a_member_shows_a_newer_head,
        a_backup_made_while_others_write_verifies_when_it_is_restored;
}

/// Two brokers on one database and one state directory.
#[test]
fn a_killed_broker_is_followed_by_the_one_that_stood_by() {
    on_postgres(crate::server::standby::a_standby_takes_over_and_nothing_is_released_twice_or_unrecorded);
}

fn text(text: &str) -> Text {
    Text::parse(text).unwrap()
}

/// A world on the shared server; none where there is no server.
fn world() -> Option<World> {
    Some(World::in_database(shared()?.database()))
}

fn crm(program: &Program) -> Located {
    program.locate(text("Romashka"), text("CRM"), None, false).unwrap().remove(0)
}

fn fetch(program: &Program, found: &Located) -> Result<String, AgentError> {
    let fetched = program.fetch(found, Some(text("lead handling")))?;
    Ok(fetched.fields.field("password").unwrap().expose_str().unwrap().to_owned())
}

fn records(database: &Database) -> i64 {
    database.admin().query_one("SELECT count(*) FROM mandatum.records", &[]).unwrap().get(0)
}

fn is_denied(answer: &Result<String, AgentError>, code: Deny) -> bool {
    matches!(answer, Err(AgentError::Refused(Refusal::Denied { code: said })) if *said == code)
}

// ---- what whoever administers the server may do to the rows ----

/// Each cell turned by one bit or emptied: the right secret and the right code, or a clean refusal; and what does not
/// stop a retrieval is found by `verify`.
#[test]
fn every_changed_cell_is_found_or_refused() {
    let Some(world) = world() else { return };
    let database = world.postgres.as_ref().unwrap();
    let password = world.as_member("Sasha", "fetch Romashka/CRM --field password").done().stdout;
    world.keep("before");
    let (mut tried, mut unnoticed) = (0, Vec::new());
    for table in TABLES {
        let mut admin = database.admin();
        let keys = "SELECT string_agg(quote_ident(attname), ',' ORDER BY attnum) FROM pg_index
                    JOIN pg_attribute ON attrelid = indrelid AND attnum = ANY(indkey)
                    WHERE indisprimary AND indrelid = ('mandatum.' || $1::text)::regclass";
        let keys: String = admin.query_one(keys, &[&table]).unwrap().get(0);
        let columns = "SELECT attname::text, atttypid::regtype::text FROM pg_attribute
                       WHERE attrelid = ('mandatum.' || $1::text)::regclass AND attnum > 0 ORDER BY attnum";
        let columns: Vec<(String, String)> =
            admin.query(columns, &[&table]).unwrap().iter().map(|row| (row.get(0), row.get(1))).collect();
        let rows: i64 = admin.query_one(&format!("SELECT count(*) FROM mandatum.{table}"), &[]).unwrap().get(0);
        assert!(rows > 0, "{table}");
        // The long table has every way tried on every column, not on every cell.
        let step = if table == "records" { 5 } else { 1 };
        for (row, (column, kind)) in (0..rows).step_by(step).flat_map(|row| columns.iter().map(move |c| (row, c))) {
            let ways: &[String] = &match kind.as_str() {
                "bytea" => vec![format!("set_bit({column}, 5, 1 - get_bit({column}, 5))"), "''".into()],
                "bigint" => vec![format!("{column} # 1"), format!("{column} + 1000")],
                _ => vec![format!("{column} || 'x'")],
            };
            for way in ways {
                let case = format!("row {row} of {table}: {column} = {way}");
                let done = admin.execute(
                    &format!(
                        "UPDATE mandatum.{table} SET {column} = {way} WHERE ctid =
                         (SELECT ctid FROM mandatum.{table} ORDER BY {keys} OFFSET {row} LIMIT 1)
                         AND {column} <> {way}"
                    ),
                    &[],
                );
                // What has no bit to turn, or would stand twice, is refused by the server itself.
                if done.is_ok_and(|changed| changed == 1) {
                    tried += 1;
                    let harmless = column == "label" || (table == "units" && column == "state" && way == "''");
                    if !noticed(&world, &password, &case) && !harmless {
                        unnoticed.push(case);
                    }
                    world.put_back_vault("before");
                    world.put_back_state("before");
                }
            }
        }
    }
    assert!(tried > 100, "{tried}");
    assert!(unnoticed.is_empty(), "{} of {tried}: {unnoticed:#?}", unnoticed.len());
    assert_eq!(world.as_member("Sasha", "fetch Romashka/CRM --field password").done().stdout, password);
}

fn noticed(world: &World, password: &str, case: &str) -> bool {
    let fetched = world.as_member("Sasha", "fetch Romashka/CRM --field password");
    assert!(fetched.code != 0 || fetched.stdout == password, "{case}: another secret was released");
    let verified = world.as_member("Olga", "verify");
    for output in [&fetched, &verified] {
        assert!(matches!(output.code, 0 | 3 | 4 | 5 | 6), "{case}: {}: {}", output.code, output.stderr);
    }
    fetched.code != 0 || world.as_member("Sasha", "code Romashka/CRM").code != 0 || verified.code != 0
}

/// The last records taken away, with the count put back to fit: nothing is released.
#[test]
fn deleted_last_records_are_rolled_back() {
    let Some(world) = world() else { return };
    let database = world.postgres.as_ref().unwrap();
    let unit = "(SELECT unit FROM mandatum.records GROUP BY unit ORDER BY max(seq) LIMIT 1)";
    world.keep("before");
    for count in 1..=2_u8 {
        database
            .admin()
            .batch_execute(&format!(
                "UPDATE mandatum.meta SET value = set_byte(value, 0, get_byte(value, 0) - {count}) WHERE name = 'counter';
                 DELETE FROM mandatum.records WHERE unit = {unit}
                   AND seq > (SELECT max(seq) FROM mandatum.records WHERE unit = {unit}) - {count};"
            ))
            .unwrap();
        world.as_member("Sasha", "fetch Romashka/CRM --field password").denied("VAULT_ROLLED_BACK");
        world.put_back_vault("before");
        world.put_back_state("before");
    }
    world.as_member("Sasha", "fetch Romashka/CRM --field password").done();
}

/// A column of another type, a table that is gone, a column more: the vault does not hold together, and says so.
#[test]
fn another_schema_is_damage() {
    let Some(server) = shared() else { return };
    for (change, found_by_fetch) in [
        ("ALTER TABLE mandatum.units ALTER COLUMN state TYPE text USING encode(state, 'hex')", true),
        ("ALTER TABLE mandatum.wraps RENAME TO raps", true),
        ("ALTER TABLE mandatum.records ALTER COLUMN seq TYPE numeric", true),
        ("ALTER TABLE mandatum.seeds ADD COLUMN note text", false),
        ("ALTER TABLE mandatum.records DROP CONSTRAINT records_pkey", false),
    ] {
        let world = World::in_database(server.database());
        world.postgres.as_ref().unwrap().admin().batch_execute(change).unwrap();
        let fetched = world.as_member("Sasha", "fetch Romashka/CRM --field password");
        assert_eq!(fetched.code, if found_by_fetch { 6 } else { 0 }, "{change}: {}", fetched.stderr);
        world.as_member("Olga", "verify").ended(6);
        world.as_member("Olga", "doctor").ended(6);
    }
}

// ---- a server that would lose or change what it accepts ----

/// Whatever could change, hide or lose rows behind a query's back stops the vault, and is named.
#[test]
fn triggers_rules_row_security_and_unlogged_tables_are_refused() {
    let Some(world) = world() else { return };
    let mut admin = world.postgres.as_ref().unwrap().admin();
    admin
        .batch_execute("CREATE FUNCTION public.quiet() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'")
        .unwrap();
    for (named, change, undo) in [
        (
            "triggers",
            "CREATE TRIGGER t BEFORE INSERT ON mandatum.records FOR EACH ROW EXECUTE FUNCTION public.quiet()",
            "DROP TRIGGER t ON mandatum.records",
        ),
        ("rules", "CREATE RULE r AS ON DELETE TO mandatum.wraps DO INSTEAD NOTHING", "DROP RULE r ON mandatum.wraps"),
        (
            "row security",
            "ALTER TABLE mandatum.units ENABLE ROW LEVEL SECURITY",
            "ALTER TABLE mandatum.units DISABLE ROW LEVEL SECURITY",
        ),
        ("unlogged", "ALTER TABLE mandatum.seeds SET UNLOGGED", "ALTER TABLE mandatum.seeds SET LOGGED"),
        ("inheritance", "CREATE TABLE mandatum.more () INHERITS (mandatum.reuse)", "DROP TABLE mandatum.more"),
    ] {
        admin.batch_execute(change).unwrap();
        let refused = world.as_member("Sasha", "fetch Romashka/CRM --field password").ended(1);
        assert!(refused.stderr.contains(named), "{named}: {}", refused.stderr);
        admin.batch_execute(undo).unwrap();
        world.as_member("Sasha", "fetch Romashka/CRM --field password").done();
    }
}

/// A server that does not flush what it commits, or tears pages in a crash, is refused before anything is made.
#[test]
fn a_server_that_may_lose_commits_is_refused() {
    for setting in ["fsync", "full_page_writes"] {
        let Some(server) = Cluster::start(&[&format!("{setting}=off")]) else { return };
        let world = World::empty_in(server.database());
        let line = format!(
            "init --owner Olga {} --epoch-key file:{} --kit {}",
            world.store_option(),
            world.path("ek").display(),
            world.path("kit").display()
        );
        let refused = world.as_member("Olga", &line).ended(7);
        assert!(refused.stderr.contains(&format!("{setting} = on")), "{}", refused.stderr);
        assert!(!world.path("kit").exists() && !world.postgres.unwrap().has_schema("mandatum"));
    }
}

/// A replica holds the same rows and is never written to: it is refused, by name.
#[test]
fn a_replica_is_refused() {
    let Some(server) = Cluster::start(&[]) else { return };
    let mut world = World::in_database(server.database());
    world.as_member("Sasha", "fetch Romashka/CRM --field password").done();
    let replica = server.replica();
    let database = world.postgres.as_mut().unwrap();
    database.address = database.address.replace(&server.port.to_string(), &replica.port.to_string());
    let refused = Store::open(&database.store()).err().unwrap();
    assert!(refused.to_string().contains("this one is a replica"), "{refused}");
}

/// Killed at any moment, the server has every record that was answered, though its role was set not to wait for them.
#[test]
fn a_killed_server_loses_nothing_that_was_answered() {
    // What is not flushed by the commit itself would wait for ten seconds.
    let Some(mut server) = Cluster::start(&["wal_writer_delay=10s"]) else { return };
    server.admin("postgres").batch_execute("ALTER ROLE vault SET synchronous_commit = off").unwrap();
    let world = World::in_database(server.database());
    let database = world.postgres.clone().unwrap();
    let program = world.program("Sasha");
    let (found, mut answered) = (crm(&program), 0);
    for _ in 0..3 {
        for _ in 0..3 {
            fetch(&program, &found).unwrap();
        }
        server.kill();
        server.start_again();
        world.as_member("Olga", "verify").done();
    }
    // And while it writes.
    let before = records(&database);
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut answered = 0;
            while !over.load(Ordering::SeqCst) {
                match fetch(&program, &found) {
                    Ok(_) => answered += 1,
                    Err(AgentError::Refused(Refusal::Failed(_))) => {}
                    denied => assert!(is_denied(&denied, Deny::LedgerUnavailable), "{denied:?}"),
                }
            }
            answered
        });
        for _ in 0..3 {
            std::thread::sleep(Duration::from_millis(300));
            server.kill();
            server.start_again();
        }
        over.store(true, Ordering::SeqCst);
        answered += writer.join().unwrap();
    });
    fetch(&program, &found).unwrap();
    world.as_member("Olga", "verify").done();
    assert!(records(&database) > before + answered, "{answered} answers");
    assert!(answered > 0);
}

/// A broker whose database is gone gives its turn back, and takes it again when the database is back: members wait.
#[test]
fn a_broker_without_its_database_stands_by() {
    let Some(mut server) = Cluster::start(&[]) else { return };
    let world = of_today(World::empty_in(server.database()));
    let process = Process::start(&world);
    world.go_remote(std::slice::from_ref(&process.url), Some(process.pin));
    world.as_member("Lena", "unlock").done();
    world.as_member("Lena", "fetch Romashka/CRM --json").done();
    server.kill();
    process.says("the vault does not open here");
    std::thread::scope(|scope| {
        let fetched = scope.spawn(|| world.as_member("Lena", "fetch Romashka/CRM --json"));
        std::thread::sleep(Duration::from_millis(500));
        server.start_again();
        fetched.join().unwrap().done();
    });
    assert!(process.said("this broker serves the vault from now on"));
}

/// A connection that an administrator ends is made anew by the next call; at most the one under way is refused.
#[test]
fn an_ended_connection_is_made_anew() {
    let Some(world) = world() else { return };
    let mut admin = world.postgres.as_ref().unwrap().admin();
    let program = world.program("Sasha");
    let found = crm(&program);
    for _ in 0..5 {
        let ended = admin
            .query("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()", &[])
            .unwrap();
        assert!(!ended.is_empty());
        fetch(&program, &found).unwrap();
    }
    world.as_member("Olga", "verify").done();
}

// ---- a commit without an answer ----

/// Between a vault and its server; cuts the connection at a commit when it is told to.
struct Wire {
    port: u16,
    cut: Arc<AtomicU8>,
}

const BEFORE: u8 = 1;
const AFTER: u8 = 2;

impl Wire {
    fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let wire = Self { port: listener.local_addr().unwrap().port(), cut: Arc::default() };
        let cut = wire.cut.clone();
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (client, server) = (client.unwrap(), TcpStream::connect(("127.0.0.1", port)).unwrap());
                let swallow = Arc::new(AtomicBool::new(false));
                let (down, up, armed, cut) =
                    (pair(&server, &client), pair(&client, &server), swallow.clone(), cut.clone());
                std::thread::spawn(move || pump(down, |_| !swallow.load(Ordering::SeqCst)));
                std::thread::spawn(move || {
                    pump(up, |sent| {
                        let commit = sent.windows(7).any(|part| part == b"COMMIT\0");
                        match if commit { cut.swap(0, Ordering::SeqCst) } else { 0 } {
                            BEFORE => return false,
                            AFTER => armed.store(true, Ordering::SeqCst),
                            _ => {}
                        }
                        true
                    });
                });
            }
        });
        wire
    }
}

fn pair(from: &TcpStream, to: &TcpStream) -> (TcpStream, TcpStream) {
    (from.try_clone().unwrap(), to.try_clone().unwrap())
}

fn pump((mut from, mut to): (TcpStream, TcpStream), mut pass: impl FnMut(&[u8]) -> bool) {
    let mut bytes = [0; 65536];
    while let Ok(len @ 1..) = from.read(&mut bytes) {
        if !pass(&bytes[..len]) || to.write_all(&bytes[..len]).is_err() {
            break;
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}

/// Cut off before the commit, nothing is there and nothing is released; cut off after it, the record is found, and the
/// secret is released by it. Never twice, and the ledger verifies.
#[test]
fn a_commit_without_an_answer_is_settled_by_its_records() {
    let Some(server) = shared() else { return };
    let wire = Wire::to(server.port);
    let mut database = server.database();
    database.address = database.address.replace(&server.port.to_string(), &wire.port.to_string());
    let world = World::in_database(database.clone());
    let program = world.program("Sasha");
    let found = crm(&program);
    let password = fetch(&program, &found).unwrap();
    for _ in 0..5 {
        let before = records(&database);
        wire.cut.store(AFTER, Ordering::SeqCst);
        assert_eq!(fetch(&program, &found).unwrap(), password);
        assert_eq!(wire.cut.load(Ordering::SeqCst), 0, "the connection was cut");
        assert_eq!(records(&database), before + 1);

        wire.cut.store(BEFORE, Ordering::SeqCst);
        let denied = fetch(&program, &found);
        assert!(is_denied(&denied, Deny::LedgerUnavailable), "{denied:?}");
        assert_eq!(records(&database), before + 1);
        assert_eq!(fetch(&program, &found).unwrap(), password);
    }
    world.as_member("Olga", "verify").done();
}

// ---- two brokers ----

/// Two brokers of one vault write at the same time: each record has its place, and the ledger verifies.
#[test]
fn two_brokers_append_to_one_ledger() {
    let Some(world) = world() else { return };
    let before = records(world.postgres.as_ref().unwrap());
    let programs = ["Sasha", "Lena"].map(|member| world.program(member));
    let written = records(world.postgres.as_ref().unwrap()) - before;
    std::thread::scope(|scope| {
        for program in &programs {
            scope.spawn(move || {
                let found = crm(program);
                (0..100).for_each(|_| drop(fetch(program, &found).unwrap()));
            });
        }
    });
    assert_eq!(records(world.postgres.as_ref().unwrap()), before + written + 200);
    world.as_member("Olga", "verify").done();
}

/// Two stores that know nothing of each other: of two that write at one place, one is refused.
#[test]
fn two_writers_never_fork_a_ledger() {
    let Some(server) = shared() else { return };
    let database = server.database();
    let unit = UnitId([1; 16]);
    let mut first = Store::create(&database.store(), VaultId([9; 16])).unwrap();
    first.write(|txn| txn.add_unit(unit, &Digest([0; 32]), &[])).unwrap();
    let refused = std::sync::atomic::AtomicU32::new(0);
    std::thread::scope(|scope| {
        for writer in 0..2_u8 {
            let (refused, database) = (&refused, &database);
            scope.spawn(move || {
                let mut store = Store::open(&database.store()).unwrap();
                let mut written = 0_u32;
                while written < 500 {
                    let size = store.unit(unit).unwrap().unwrap().size;
                    store.end_reading().unwrap();
                    let mut entry = vec![writer];
                    entry.extend(written.to_be_bytes());
                    match store.write(|txn| {
                        txn.append(unit, size, &entry, &[(0, size, Digest([writer; 32]))])?;
                        txn.count(1)
                    }) {
                        Ok(()) => written += 1,
                        Err(StoreError::Server { .. } | StoreError::Rows(_)) => {
                            refused.fetch_add(1, Ordering::SeqCst);
                        }
                        Err(other) => panic!("{other}"),
                    }
                    store.end_reading().unwrap();
                }
            });
        }
    });
    let store = Store::open(&database.store()).unwrap();
    assert_eq!((store.unit(unit).unwrap().unwrap().size, store.counter().unwrap()), (1000, 1000));
    let entries = store.entries(unit, 0, 2000).unwrap();
    assert!((0..1000).zip(&entries).all(|(seq, (at, _))| seq == *at) && entries.len() == 1000);
    for writer in 0..2_u8 {
        let own: Vec<u32> = entries
            .iter()
            .filter(|(_, e)| e[0] == writer)
            .map(|(_, e)| u32::from_be_bytes(e[1..].try_into().unwrap()))
            .collect();
        assert!(own.iter().copied().eq(0..500), "in the order they were written, each once");
    }
    assert!(refused.load(Ordering::SeqCst) > 0, "they met");
}

// ---- where the database is ----

/// From a file to a server and back: the same vault, nothing of the old one touched, and each is named.
#[test]
fn a_vault_moves_to_a_server_and_back() {
    let Some(server) = shared() else { return };
    let (world, database) = (World::with_mandate(), server.database());
    let password = world.as_member("Sasha", "fetch Romashka/CRM --field password").done().stdout;
    let address = world.file("address", &format!("{}\n", database.address));
    let copy = format!("store copy -y --to-file {}", address.display());
    let file = std::fs::read(world.path("vault/vault.db")).unwrap();

    world.as_member("Olga", &format!("{copy} --keep")).done();
    world.as_member("Olga", &copy).ended(7);
    database.admin().batch_execute("DROP SCHEMA mandatum CASCADE").unwrap();

    let report = world.as_member("Olga", &format!("{copy} --json")).done().json();
    assert!(report["switched"] == true && report["rows"].as_u64().unwrap() > 20, "{report}");
    assert!(report["from"].as_str().unwrap().ends_with("vault/vault.db"), "{report}");
    assert_eq!(world.as_member("Sasha", "fetch Romashka/CRM --field password").done().stdout, password);
    let grown = records(&database);
    assert!(std::fs::read(world.path("vault/vault.db")).unwrap() == file, "the old one is as it was");
    world.as_member("Olga", "verify").done();
    let config = std::fs::metadata(world.path("state/broker.json")).unwrap();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&config.permissions()) & 0o777, 0o600);

    world.as_member("Olga", "store copy -y --to-sqlite").ended(7);
    for name in ["vault.db", "vault.db-wal", "vault.db-shm"] {
        let _ = std::fs::rename(world.path("vault").join(name), world.path(name));
    }
    world.as_member("Olga", "store copy -y --to-sqlite").done();
    assert_eq!(world.as_member("Sasha", "fetch Romashka/CRM --field password").done().stdout, password);
    world.as_member("Olga", "verify").done();
    assert_eq!(records(&database), grown, "the server's copy is as it was");
}

/// A copy that is not what was copied is found, and the vault stays where it is.
#[test]
fn a_copy_that_differs_is_not_used() {
    let Some(server) = shared() else { return };
    let (world, database) = (World::with_mandate(), server.database());
    database
        .admin()
        .batch_execute(
            "CREATE FUNCTION public.turn() RETURNS trigger LANGUAGE plpgsql AS
               'BEGIN NEW.entry = set_bit(NEW.entry, 3, 1 - get_bit(NEW.entry, 3)); RETURN NEW; END';
             CREATE FUNCTION public.plant() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER AS
               'BEGIN IF to_regclass(''mandatum.records'') IS NOT NULL
                  AND NOT EXISTS (SELECT FROM pg_trigger WHERE tgname = ''turn'') THEN
                  CREATE TRIGGER turn BEFORE INSERT ON mandatum.records FOR EACH ROW EXECUTE FUNCTION public.turn();
                END IF; END';
             CREATE EVENT TRIGGER plant ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION public.plant();",
        )
        .unwrap();
    let address = world.file("address", &database.address);
    let refused = world.as_member("Olga", &format!("store copy -y --to-file {}", address.display())).ended(7);
    assert!(refused.stderr.contains("differs from the original in records"), "{}", refused.stderr);
    assert!(!database.has_schema("mandatum"));
    world.as_member("Sasha", "fetch Romashka/CRM --field password").done();
    assert!(!std::fs::read_to_string(world.path("state/broker.json")).unwrap().contains("postgres"));
}

/// A backup of a vault on a server is a file like any other vault's: it restores into a vault in a file as well.
#[test]
fn a_backup_of_a_server_restores_anywhere() {
    let Some(world) = world() else { return };
    let password = world.as_member("Sasha", "fetch Romashka/CRM --field password").done().stdout;
    world.backup("backup.db");
    let other = World::with_mandate();
    other.backup("own.db");
    let schema = |world: &World, name: &str| -> Vec<String> {
        let conn = rusqlite::Connection::open(world.path(name)).unwrap();
        assert_eq!(conn.query_row("PRAGMA journal_mode", [], |row| row.get::<_, String>(0)).unwrap(), "delete");
        let mut all = conn.prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name").unwrap();
        all.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    assert_eq!(schema(&world, "backup.db"), schema(&other, "own.db"));
    // The server is gone; the same vault goes on in a file.
    let line = format!(
        "restore {} -y --kit {} --kit-passphrase-file {}",
        world.path("backup.db").display(),
        world.path("kit").display(),
        world.path("kit-pw").display()
    );
    std::fs::write(
        world.path("state/broker.json"),
        format!("{{\"format\":1,\"epoch_key\":{{\"file\":{:?}}}}}", world.path("epoch-key")),
    )
    .unwrap();
    world.as_member("Olga", &line).done();
    assert!(world.path("vault/vault.db").exists());
    world.as_member("Sasha", "unlock --for 8h").done();
    assert_eq!(world.as_member("Sasha", "fetch Romashka/CRM --field password").done().stdout, password);
    world.as_member("Olga", "verify").done();
}

/// A database with a vault in it is never written over, and an address with a password is never taken as an argument
/// nor shown.
#[test]
fn an_occupied_database_and_a_password_in_an_argument_are_refused() {
    let Some(world) = world() else { return };
    let database = world.postgres.as_ref().unwrap();
    let before = database.rows();
    let other = World::empty_in(database.clone());
    let init = |store: &str| {
        let (key, kit) = (other.path("epoch-key"), other.path("kit"));
        other.as_member(
            "Olga",
            &format!("init --owner Olga --epoch-key file:{} --kit {} {store}", key.display(), kit.display()),
        )
    };
    let refused = init(&other.store_option()).ended(7);
    assert!(refused.stderr.contains("name an empty database"), "{}", refused.stderr);
    assert!(database.rows() == before);
    for address in [
        "postgres://u:Kirschbaum@127.0.0.1:1/v",
        "host=127.0.0.1,password=Kirschbaum",
        "postgres://h/v?PassWord=Kirschbaum",
    ] {
        let refused = init(&format!("--store {address}")).ended(2);
        assert!(
            ["--store-file", "PGPASSFILE"].iter().all(|way| refused.stderr.contains(way))
                && !refused.stderr.contains("Kirschbaum"),
            "{}",
            refused.stderr
        );
    }
    for address in
        ["postgres://u:Kirschbaum@127.0.0.1:1/v", "Kirschbaum", "host=/nowhere Kirschbaum=1 password=Kirschbaum"]
    {
        let file = other.file("refused", address);
        let refused = init(&format!("--store-file {}", file.display())).ended(7);
        assert!(!refused.stderr.contains("Kirschbaum"), "{}", refused.stderr);
    }
    assert!(!other.path("kit").exists() && !other.path("epoch-key").exists());
}

/// What a server holds of another vault is not moved aside by a restore.
#[test]
fn a_restore_never_replaces_another_vault() {
    let Some(world) = world() else { return };
    let database = world.postgres.as_ref().unwrap();
    let (before, other) = (database.rows(), World::with_mandate());
    other.backup("backup.db");
    let line = format!(
        "restore {} -y --kit {} --kit-passphrase-file {} {}",
        other.path("backup.db").display(),
        other.path("kit").display(),
        other.path("kit-pw").display(),
        world.store_option()
    );
    let refused = other.as_member("Olga", &line).ended(7);
    assert!(refused.stderr.contains("holds another vault"), "{}", refused.stderr);
    assert!(database.rows() == before && !database.has_schema("mandatum_before_restore"));
}

/// The way to a server is encrypted and its certificate checked, where the address asks for it.
#[test]
fn a_server_must_show_a_certificate_that_is_trusted() {
    let Some(server) = Cluster::start(&[]) else { return };
    let made = |name: &str| rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
    let (right, wrong) = (made("localhost"), made("elsewhere.test"));
    let plain = Address::parse(&format!("{} sslmode=require", server.address("vault", "postgres"))).unwrap();
    assert!(matches!(Store::check_vacant(&plain), Err(StoreError::Lost(_))), "no TLS, and it was asked for");
    server.private_file("server.pem", &pem("CERTIFICATE", right.cert.der()));
    server.private_file("server.key", &pem("PRIVATE KEY", &right.signing_key.serialize_der()));
    server
        .admin("postgres")
        .batch_execute("ALTER SYSTEM SET ssl_cert_file = '../server.pem'")
        .and_then(|()| server.admin("postgres").batch_execute("ALTER SYSTEM SET ssl_key_file = '../server.key'"))
        .and_then(|()| server.admin("postgres").batch_execute("ALTER SYSTEM SET ssl = on"))
        .unwrap();
    server.admin("postgres").batch_execute("SELECT pg_reload_conf()").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let root = |name: &str, pem: &str| {
        std::fs::write(dir.path().join(name), pem).unwrap();
        format!("sslrootcert={}", dir.path().join(name).display())
    };
    let (trusted, other) = (
        root("right.pem", &pem("CERTIFICATE", right.cert.der())),
        root("wrong.pem", &pem("CERTIFICATE", wrong.cert.der())),
    );
    let database = server.database();
    let at = |host: &str, options: &str| {
        let address = database.address.replace("host=127.0.0.1", &format!("host={host}"));
        Store::check_vacant(&Address::parse(&format!("{address} sslmode=require {options}")).unwrap())
    };
    std::thread::sleep(Duration::from_millis(300));
    at("localhost", &trusted).unwrap();
    for (host, options) in [("localhost", ""), ("localhost", other.as_str()), ("127.0.0.1", trusted.as_str())] {
        assert!(matches!(at(host, options), Err(StoreError::Lost(_))), "{host} {options}");
    }
    let nowhere = at("localhost", "sslrootcert=/nowhere.pem").unwrap_err();
    assert!(nowhere.to_string().contains("/nowhere.pem"), "{nowhere}");
}

fn pem(label: &str, der: &[u8]) -> String {
    let base64 = data_encoding::BASE64.encode(der);
    let lines: Vec<&str> = base64.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}
