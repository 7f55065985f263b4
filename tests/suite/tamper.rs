//! Changed databases, changed extracts and a lying broker: nothing wrong is released, and nothing wrong is believed.

use crate::support::{World, copy_dir};
use mandatum::agent::{AgentError, Identity, Program, Secret, Seed, SignKey, System, Topic};
use mandatum::anchor::{Anchor, FileKeys, Home, RealDisk};
use mandatum::api::{
    ExtractCall, Frame, Gate, Hello, Host as _, Located, NameAsk, Nothing, Places, Refusal, Request, VerifyCall,
};
use mandatum::crypto::{Ctx, Key, Signed, Statement, commitment, hash, wrap_inner};
use mandatum::host::SystemClock;
use mandatum::ledger::{
    Admission, Charter, Checkpoint, Edge, Entry, Outcome, Record, append, from_blob, inclusion_proof, recipient_digest,
    root, to_blob, verify_extract,
};
use mandatum::model::{Blob, Clock, Deny, Digest, Event, Name, Nonce, Role, Text, UnitId, Verb};
use rusqlite::types::Value as Cell;
use rusqlite::{Connection, params_from_iter};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

fn text(text: &str) -> Text {
    Text::parse(text).unwrap()
}

/// Numbers that look random and are the same in every run.
pub struct Numbers(pub u64);

impl Numbers {
    pub fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % end
    }
}

// ---- a gate between a program and the broker ----

/// What is done to an answer on its way: the verb, and the answer as JSON.
pub type Edit = dyn Fn(Verb, &mut Value) + Send + Sync;

/// What is done to the broker's first word.
pub type EditHello = dyn Fn(&mut Hello) + Send;

/// The broker, as somebody who lies sees fit.
#[derive(Default)]
pub struct Between {
    pub real: Mutex<Option<Arc<dyn Gate>>>,
    edit: Mutex<Option<Arc<Edit>>>,
    pub hello: Mutex<Option<Box<EditHello>>>,
    /// Answers as the broker gave them, newest last.
    pub seen: Mutex<Vec<(Verb, Value)>>,
}

impl Between {
    fn real(&self) -> Arc<dyn Gate> {
        self.real.lock().unwrap().clone().unwrap()
    }
    pub fn lie(&self, edit: impl Fn(Verb, &mut Value) + Send + Sync + 'static) {
        *self.edit.lock().unwrap() = Some(Arc::new(edit));
    }
    pub fn be_honest(&self) {
        *self.edit.lock().unwrap() = None;
        *self.hello.lock().unwrap() = None;
    }
    pub fn last(&self, verb: Verb) -> Value {
        let seen = self.seen.lock().unwrap();
        seen.iter().rev().find(|(of, _)| *of == verb).unwrap().1.clone()
    }
}

impl Gate for Between {
    fn join(&self, joining: mandatum::api::Joining) -> Result<(), Refusal> {
        self.real().join(joining)
    }
    fn hello(&self) -> Result<Hello, Refusal> {
        let mut hello = self.real().hello()?;
        if let Some(edit) = &*self.hello.lock().unwrap() {
            edit(&mut hello);
        }
        Ok(hello)
    }
    fn call(&self, frame: Frame) -> Result<Vec<u8>, Refusal> {
        let verb = frame.verb;
        let mut answer: Value = serde_json::from_slice(&self.real().call(frame)?).unwrap();
        self.seen.lock().unwrap().push((verb, answer.clone()));
        if let Some(edit) = self.edit.lock().unwrap().clone() {
            edit(verb, &mut answer);
        }
        Ok(serde_json::to_vec(&answer).unwrap())
    }
}

// ---- a vault that can be put back in a moment ----

/// A vault with Sasha and Olga unlocked, as bytes; each case changes a fresh copy.
pub struct Bench {
    pub world: World,
    /// In memory where there is a file system of it: a case writes much and keeps nothing.
    pub dir: tempfile::TempDir,
    gate: Arc<Between>,
    open: Open,
    pub sasha: Program,
    olga: Program,
    pub crm: Located,
    /// What Sasha was not granted, as his program would ask for it with the grant he has.
    foreign: Located,
    password: String,
    files: BTreeMap<PathBuf, Vec<u8>>,
}

/// Opens the vault in a directory.
type Open = fn(&World, &Path) -> Arc<dyn Gate>;

impl Bench {
    fn new() -> Self {
        Self::of(World::with_mandate())
    }

    fn of(world: World) -> Self {
        Self::opened_by(world, gate_of, |_| ())
    }

    /// With another way to the broker; `ready` is done to the world before anybody goes it.
    pub fn opened_by(world: World, open: Open, ready: fn(&World)) -> Self {
        let password = world.as_member("Sasha", "fetch Romashka/CRM --field password").done().stdout.trim().to_owned();
        ready(&world);
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        copy_dir(world.dir.path(), dir.path());
        let config = dir.path().join("state/broker.json");
        let epoch_key = json!({"format": 1, "epoch_key": {"file": dir.path().join("epoch-key")}});
        fs::write(config, epoch_key.to_string()).unwrap();
        let gate = Arc::new(Between::default());
        let state = dir.path().join("state");
        *gate.real.lock().unwrap() = Some(open(&world, dir.path()));
        let program = |member: &str| {
            let mut program = Program::new(gate.clone(), world.identity(member), &state, Arc::new(System));
            program.unlock(world.fresh_code(member), 8 * 3_600_000).unwrap();
            program
        };
        let (sasha, olga) = (program("Sasha"), program("Olga"));
        // The one without a name, also where the row has others.
        let crm = sasha.locate(text("Romashka"), text("CRM"), Some(Text::default()), false).unwrap().remove(0);
        let bot = program("Lena").locate(text("Romashka"), text("Bot"), None, false).unwrap().remove(0);
        let foreign = Located { grant: crm.grant, ..bot };
        *gate.real.lock().unwrap() = None;
        let database = dir.path().join("vault/vault.db");
        Connection::open(&database).unwrap().execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
        let mut files = BTreeMap::new();
        for file in [database, dir.path().join("epoch-key")] {
            files.insert(file.clone(), fs::read(file).unwrap());
        }
        read_state(&state, &mut files);
        Self { world, dir, gate, open, sasha, olga, crm, foreign, password, files }
    }

    pub fn database(&self) -> PathBuf {
        self.dir.path().join("vault/vault.db")
    }

    /// Everything as it was, and a broker that has not looked at it yet.
    pub fn reset(&self) {
        self.put_back();
        self.look();
    }

    /// No broker: it is stopped where it is a process.
    pub fn close(&self) {
        *self.gate.real.lock().unwrap() = None;
    }

    /// Everything as it was, and no broker.
    pub fn put_back(&self) {
        self.close();
        for log in ["vault/vault.db-wal", "vault/vault.db-shm"] {
            let _ = fs::remove_file(self.dir.path().join(log));
        }
        let mut present = BTreeMap::new();
        read_state(&self.dir.path().join("state"), &mut present);
        for path in present.keys().filter(|path| !self.files.contains_key(*path)) {
            fs::remove_file(path).unwrap();
        }
        for (path, bytes) in &self.files {
            let mut file =
                fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path).unwrap();
            file.write_all(bytes).unwrap();
        }
    }

    /// A broker that looks at what is there.
    pub fn look(&self) {
        *self.gate.real.lock().unwrap() = Some((self.open)(&self.world, self.dir.path()));
    }

    /// The database of a fresh copy, to be changed. SQLite syncs nothing here: only what is read back matters.
    fn sql(&self) -> Connection {
        self.reset();
        self.connection()
    }

    /// The database as it is. SQLite syncs nothing here: only what is read back matters.
    pub fn connection(&self) -> Connection {
        let conn = Connection::open(self.database()).unwrap();
        conn.execute_batch("PRAGMA synchronous = OFF").unwrap();
        conn
    }

    /// What the vault says of its database as it is now: `None` where nothing was noticed.
    ///
    /// # Panics
    /// Where anything else than the right secret and the right code is released, or anything to whom it was not granted.
    pub fn notices(&self, case: &str) -> Option<String> {
        let tried = catch_unwind(AssertUnwindSafe(|| {
            let foreign = self.sasha.fetch(&self.foreign, Some(text("answers"))).is_ok();
            let fetched = self.sasha.fetch(&self.crm, None);
            let fetched = fetched.map(|f| f.fields.field("password").unwrap().expose_str().unwrap().to_owned());
            let code = self.sasha.code(&self.crm, None);
            // What is refused is found already.
            let both = fetched.is_ok() && code.is_ok();
            let verified = both.then(|| self.olga.ask::<VerifyCall>(None, None, Nothing {})).transpose();
            (fetched, code, verified, foreign)
        }));
        let (fetched, code, verified, foreign) = tried.unwrap_or_else(|_| panic!("{case}: it panicked"));
        assert!(!foreign, "{case}: what was not granted was released");
        // By the clock of a real program too, which has the machine's.
        let real = SystemClock.now().unix_seconds();
        let right = [self.world.clock.now().unix_seconds(), real, real - 30].map(|at| seed().code(at).0);
        match (fetched, code, verified) {
            (Ok(other), ..) if other != self.password => panic!("{case}: another secret was released"),
            (_, Ok((other, _)), _) if !right.contains(&other) => panic!("{case}: another code was released"),
            (Err(error), ..) | (_, Err(error), _) | (.., Err(error)) => Some(error.to_string()),
            (.., Ok(report)) => report.filter(|report| !report.flaws.is_empty()).map(|report| report.flaws.join("; ")),
        }
    }
}

fn gate_of(world: &World, dir: &Path) -> Arc<dyn Gate> {
    world.host().gate(&Places { vault: dir.join("vault"), state: dir.join("state") }).unwrap()
}

fn seed() -> Seed {
    Seed::parse("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ").unwrap()
}

/// The files of the state directory that matter: the anchor with its journal, and the pins.
fn read_state(dir: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_state(&path, files);
        } else {
            files.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
}

/// The bench itself: unchanged, it works and nothing is noticed.
#[test]
fn an_unchanged_database_is_fine() {
    let bench = Bench::new();
    for _ in 0..2 {
        bench.reset();
        assert_eq!(bench.notices("nothing"), None);
    }
}

// ---- E1: every cell ----

pub const TABLES: [&str; 7] = ["meta", "units", "records", "secrets", "wraps", "seeds", "reuse"];

/// A table as the database administrator sees it.
pub struct Table {
    pub name: &'static str,
    pub columns: Vec<String>,
    pub keys: Vec<usize>,
    pub rows: Vec<Vec<Cell>>,
}

impl Table {
    pub fn read(conn: &Connection, name: &'static str) -> Self {
        let mut info = conn.prepare(&format!("SELECT name, pk FROM pragma_table_info('{name}')")).unwrap();
        let columns: Vec<(String, i64)> =
            info.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect();
        let mut all = conn.prepare(&format!("SELECT * FROM {name}")).unwrap();
        let count = columns.len();
        let rows =
            all.query_map([], |row| (0..count).map(|i| row.get(i)).collect()).unwrap().map(Result::unwrap).collect();
        let keys = (0..count).filter(|index| columns[*index].1 > 0).collect();
        Self { name, columns: columns.into_iter().map(|(name, _)| name).collect(), keys, rows }
    }

    fn at(&self, row: usize) -> (String, Vec<Cell>) {
        let terms: Vec<String> =
            (2..).zip(&self.keys).map(|(number, key)| format!("{} = ?{number}", self.columns[*key])).collect();
        (terms.join(" AND "), self.keys.iter().map(|key| self.rows[row][*key].clone()).collect())
    }

    /// Sets one cell; whether SQLite let that happen.
    pub fn set(&self, conn: &Connection, row: usize, column: usize, value: &Cell) -> bool {
        let (place, key) = self.at(row);
        let sql = format!("UPDATE {} SET {} = ?1 WHERE {place}", self.name, self.columns[column]);
        let values = std::iter::once(value.clone()).chain(key);
        conn.execute(&sql, params_from_iter(values)).is_ok_and(|changed| changed == 1)
    }

    fn insert(&self, conn: &Connection, row: &[Cell]) -> bool {
        let marks: Vec<String> = (1..=row.len()).map(|number| format!("?{number}")).collect();
        let sql = format!("INSERT INTO {} VALUES ({})", self.name, marks.join(", "));
        conn.execute(&sql, params_from_iter(row.iter().cloned())).is_ok()
    }

    fn delete(&self, conn: &Connection, row: usize) {
        let (place, key) = self.at(row);
        let sql = format!("DELETE FROM {} WHERE ?1 AND {place}", self.name);
        let values = std::iter::once(Cell::Integer(1)).chain(key);
        assert_eq!(conn.execute(&sql, params_from_iter(values)), Ok(1));
    }
}

pub fn flipped(cell: &Cell, numbers: &mut Numbers) -> Cell {
    match cell {
        Cell::Blob(bytes) if !bytes.is_empty() => {
            let mut bytes = bytes.clone();
            let at = numbers.below(bytes.len());
            bytes[at] ^= 1 << numbers.below(8);
            Cell::Blob(bytes)
        }
        Cell::Integer(number) => Cell::Integer(number ^ (1 << numbers.below(4))),
        Cell::Text(text) => Cell::Text(format!("{text}x")),
        other => other.clone(),
    }
}

fn emptied(cell: &Cell) -> Cell {
    match cell {
        Cell::Blob(_) => Cell::Blob(Vec::new()),
        Cell::Integer(_) => Cell::Integer(0),
        Cell::Text(_) => Cell::Text(String::new()),
        other => other.clone(),
    }
}

/// Lets a table hold what its schema forbids: whoever owns the file owns its schema.
fn loosen(conn: &Connection) {
    conn.execute_batch(
        "PRAGMA writable_schema = ON;
         UPDATE sqlite_schema SET sql = replace(replace(replace(sql, ' NOT NULL', ''), 'STRICT, ', ''), ') STRICT', ')') WHERE type = 'table';
         PRAGMA writable_schema = RESET;",
    )
    .unwrap();
}

/// Every cell of the database, set to nothing, emptied, turned by one bit, given another type, or exchanged with the
/// next row's: the right secret or a clean refusal, and what does not stop a retrieval is found by `verify`.
#[test]
fn every_changed_cell_is_found_or_refused() {
    let bench = Bench::new();
    let tables = TABLES.map(|name| Table::read(&bench.sql(), name));
    let mut numbers = Numbers(1);
    let (mut unnoticed, mut tried) = (Vec::new(), 0);
    for table in &tables {
        assert!(!table.rows.is_empty(), "{}", table.name);
        for (row, cells) in table.rows.iter().enumerate() {
            for (column, cell) in cells.iter().enumerate() {
                let next = &table.rows[(row + 1) % table.rows.len()][column];
                let text = Cell::Text("x".into());
                let ways = [
                    ("a bit turned", flipped(cell, &mut numbers)),
                    ("emptied", emptied(cell)),
                    ("exchanged", next.clone()),
                    ("set to NULL", Cell::Null),
                    ("made a text", text),
                ];
                // The long table has every way tried on every column, not on every cell.
                let chosen = |number: usize| table.name != "records" || number == (row + column) % 5;
                let ways = ways.into_iter().enumerate().filter(|(number, _)| chosen(*number)).map(|(_, way)| way);
                for (way, value) in ways.filter(|(_, value)| value != cell) {
                    let case = format!("{}.{} of row {row} {way}", table.name, table.columns[column]);
                    let conn = bench.sql();
                    if matches!(value, Cell::Null | Cell::Text(_)) {
                        loosen(&conn);
                    }
                    let done = table.set(&conn, row, column, &value);
                    if done && way == "exchanged" {
                        table.set(&conn, (row + 1) % table.rows.len(), column, cell);
                    }
                    drop(conn);
                    if done {
                        tried += 1;
                        let harmless = is_harmless(table, row, column, &value);
                        unnoticed.extend((bench.notices(&case).is_none() && !harmless).then_some(case));
                    }
                }
            }
        }
    }
    assert!(tried > 200, "{tried}");
    assert!(unnoticed.is_empty(), "{} of {tried}: {unnoticed:#?}", unnoticed.len());
}

/// What may be changed unnoticed, since nothing comes of it: the roster is not looked up by its label, and a mandate
/// whose state document is missing is folded from its ledger, which is the truth.
pub fn is_harmless(table: &Table, row: usize, column: usize, value: &Cell) -> bool {
    let cell = &table.rows[row][column];
    match (table.name, table.columns[column].as_str()) {
        ("units", "label") => *cell == Cell::Blob(vec![0; 32]),
        ("units", "state") => *value == Cell::Blob(Vec::new()),
        _ => false,
    }
}

/// Every row deleted, one at a time; and every row put in once more at another place of the same kind. Only what
/// stands under a unit that does not exist goes unnoticed: it belongs to no ledger and nothing ever reads it.
#[test]
fn every_deleted_or_added_row_is_found_or_refused() {
    let bench = Bench::new();
    let tables = TABLES.map(|name| Table::read(&bench.sql(), name));
    let mut unnoticed = Vec::new();
    let mut judge = |case: String| {
        if bench.notices(&case).is_none() {
            unnoticed.push(case);
        }
    };
    for table in &tables {
        for (row, cells) in table.rows.iter().enumerate() {
            let conn = bench.sql();
            table.delete(&conn, row);
            drop(conn);
            judge(format!("row {row} of {} deleted", table.name));
            for key in &table.keys {
                let mut copy = cells.clone();
                copy[*key] = match &cells[*key] {
                    Cell::Integer(number) => Cell::Integer(number + 1000),
                    Cell::Blob(id) => Cell::Blob(vec![7; id.len()]),
                    _ => continue,
                };
                let conn = bench.sql();
                assert!(table.insert(&conn, &copy));
                drop(conn);
                let another = &table.columns[*key];
                if another != "unit" || table.name == "units" {
                    judge(format!("row {row} of {} once more at another {another}", table.name));
                } else if row == 0 {
                    bench.notices(&format!("a row of {} at no unit", table.name));
                }
            }
        }
    }
    assert!(unnoticed.is_empty(), "{}: {unnoticed:#?}", unnoticed.len());
}

/// Rows of the two wraps, of two credentials, of two units exchanged as a whole: nothing opens at another's place.
#[test]
fn exchanged_rows_open_nowhere() {
    let bench = Bench::new();
    let mut cases = 0;
    for name in ["wraps", "secrets", "seeds", "units"] {
        let table = Table::read(&bench.sql(), name);
        let content: Vec<usize> = (0..table.columns.len()).filter(|column| !table.keys.contains(column)).collect();
        for one in 0..table.rows.len() {
            for two in one + 1..table.rows.len() {
                let conn = bench.sql();
                for column in &content {
                    assert!(table.set(&conn, one, *column, &table.rows[two][*column]));
                    assert!(table.set(&conn, two, *column, &table.rows[one][*column]));
                }
                drop(conn);
                let case = format!("{name} {one} and {two} exchanged");
                assert!(bench.notices(&case).is_some(), "{case}");
                cases += 1;
            }
        }
    }
    assert!(cases >= 5, "{cases}");
}

// ---- E2: bytes of the file ----

/// Bits turned anywhere in the file release nothing wrong and end in a clean error or in nothing at all: some bytes of
/// a database mean nothing. `MANDATUM_TURNED_BITS` says how many: each takes a fetch, a code and a full verify.
#[test]
fn bits_turned_in_the_file_release_nothing_wrong() {
    let bench = Bench::new();
    let pristine = &bench.files[&bench.database()];
    let mut numbers = Numbers(2);
    let (mut noticed, tries) = (0, std::env::var("MANDATUM_TURNED_BITS").map_or(150, |tries| tries.parse().unwrap()));
    for _ in 0..tries {
        bench.reset();
        let mut bytes = pristine.clone();
        let at = numbers.below(bytes.len());
        bytes[at] ^= 1 << numbers.below(8);
        fs::write(bench.database(), bytes).unwrap();
        noticed += usize::from(bench.notices(&format!("byte {at}")).is_some());
    }
    assert!(noticed > 30, "{noticed}");
}

/// A file cut off anywhere, or with a page of zeros, releases nothing wrong.
#[test]
fn a_torn_file_releases_nothing_wrong() {
    let bench = Bench::new();
    let pristine = bench.files[&bench.database()].clone();
    for page in 0..pristine.len() / 4096 {
        let (cut, mut zeroed) = (pristine[..page * 4096 + 100].to_vec(), pristine.clone());
        zeroed[page * 4096..(page + 1) * 4096].fill(0);
        for (what, bytes) in [("cut", cut), ("zeroed", zeroed)] {
            bench.reset();
            fs::write(bench.database(), bytes).unwrap();
            let case = format!("page {page} {what}");
            let noticed = bench.notices(&case).is_some();
            // A page that holds nothing may be zeros; a file that ends too early is always noticed.
            assert!(noticed || what == "zeroed", "{case}");
        }
    }
}

// ---- the log ----

pub fn unit_of(conn: &Connection, roster: bool) -> Vec<u8> {
    // The roster is the unit without a label.
    let sql = if roster {
        "SELECT unit FROM units WHERE label = zeroblob(32)"
    } else {
        "SELECT unit FROM units WHERE label <> zeroblob(32)"
    };
    conn.query_row(sql, [], |row| row.get(0)).unwrap()
}

/// The last records taken off with their nodes, the count put right: the anchor still knows.
#[test]
fn a_log_cut_off_at_its_end_is_rolled_back() {
    let bench = Bench::new();
    for roster in [true, false] {
        for cut in 1..=3_i64 {
            let conn = bench.sql();
            let unit = unit_of(&conn, roster);
            let last = "DELETE FROM records WHERE unit = ?1
                        AND seq > (SELECT max(seq) FROM records WHERE unit = ?1) - ?2";
            assert_eq!(conn.execute(last, (&unit, cut)), Ok(usize::try_from(cut).unwrap()));
            let counter: Vec<u8> =
                conn.query_row("SELECT value FROM meta WHERE name = 'counter'", [], |row| row.get(0)).unwrap();
            let counter = i64::from_le_bytes(counter.try_into().unwrap()) - cut;
            conn.execute("UPDATE meta SET value = ?1 WHERE name = 'counter'", [counter.to_le_bytes().to_vec()])
                .unwrap();
            drop(conn);
            let noticed = bench.notices("cut").unwrap();
            assert!(noticed.contains("VAULT_ROLLED_BACK"), "{noticed}");
        }
    }
}

/// A record of one mandate moved into another's ledger opens nowhere there, whole tree and all.
#[test]
fn a_record_of_another_ledger_is_refused() {
    let world = World::with_mandate();
    world.open_mandate("Lena", "Astra");
    let bench = Bench::of(world);
    let units: Vec<Vec<u8>> = {
        let conn = bench.sql();
        let mut query = conn.prepare("SELECT unit FROM units WHERE label <> zeroblob(32)").unwrap();
        query.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    for (from, to) in [(0, 1), (1, 0)] {
        let conn = bench.sql();
        let exchange = "UPDATE records SET entry = (SELECT entry FROM records WHERE unit = ?1 AND seq = 1) WHERE unit = ?2 AND seq = 1";
        assert_eq!(conn.execute(exchange, (&units[from], &units[to])), Ok(1));
        drop(conn);
        assert!(bench.notices("one record moved").unwrap().contains("entry"));
        let conn = bench.sql();
        conn.execute("DELETE FROM records WHERE unit = ?1", [&units[to]]).unwrap();
        let copy = "INSERT INTO records SELECT ?2, seq, nodes, entry FROM records WHERE unit = ?1";
        conn.execute(copy, (&units[from], &units[to])).unwrap();
        drop(conn);
        assert!(bench.notices("a whole ledger moved").is_some());
    }
}

/// Last week's state document, with the grant that was revoked since, is not believed.
#[test]
fn an_older_state_document_is_not_believed() {
    let world = World::with_mandate();
    world.as_member("Lena", "grant Sasha Romashka/Bot --level reply").done();
    let state = |world: &World| -> Vec<(Vec<u8>, Vec<u8>)> {
        let conn = Connection::open(world.path("vault/vault.db")).unwrap();
        let mut query = conn.prepare("SELECT unit, state FROM units").unwrap();
        query.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect()
    };
    let monday = state(&world);
    world.as_member("Lena", "revoke Sasha Romashka/Bot").done();
    let bench = Bench::of(world);
    let friday = state(&bench.world);
    let mut tried = 0;
    for ((unit, old), (_, new)) in monday.iter().zip(&friday).filter(|(old, new)| old != new) {
        assert_ne!(old, new);
        let conn = bench.sql();
        conn.execute("UPDATE units SET state = ?2 WHERE unit = ?1", (unit, old)).unwrap();
        drop(conn);
        assert!(bench.notices("an older state").unwrap().contains("changed"));
        tried += 1;
    }
    assert!(tried > 0);
}

/// What `verify` finds ends in exit code 6, and in a sentence that names the ledger.
#[test]
fn what_verify_finds_ends_in_exit_code_6() {
    let world = World::with_mandate();
    let conn = Connection::open(world.path("vault/vault.db")).unwrap();
    conn.execute_batch("UPDATE records SET entry = zeroblob(length(entry)) WHERE seq = 0").unwrap();
    drop(conn);
    let output = world.as_member("Olga", "verify").ended(6);
    assert!(output.stdout.contains("ledger "), "{}", output.stdout);
}

// ---- extracts ----

pub fn extract_of(program: &Program, world: &World, operator: &str) -> Vec<u8> {
    let token = program.step_up(world.fresh_code(program.name().as_str())).unwrap();
    program.ask::<ExtractCall>(None, Some(token), NameAsk { operator: text(operator) }).unwrap().extract.0
}

fn verifies(extract: &[u8]) -> bool {
    verify_extract(extract, None, |_| ()).is_ok()
}

fn lines(extract: &[u8]) -> Vec<&[u8]> {
    extract.split_inclusive(|byte| *byte == b'\n').collect()
}

/// A small vault: one mandate without credentials, and its extract.
fn small_extract() -> Vec<u8> {
    let world = World::new();
    let rows =
        world.file("rows.csv", "system;category;platform;data;levels;purposes\nCRM;CRM;amoCRM;contacts;view;p\n");
    let open = format!("mandate open A --contract 1 --signed 2026-01-15 --until 2026-12-31 --rows {}", rows.display());
    world.as_member("Lena", &open).done();
    extract_of(&world.program("Lena"), &world, "A")
}

/// Every byte of an extract with one bit turned, and every bit of every tenth byte: found.
#[test]
fn no_changed_bit_of_an_extract_passes() {
    let extract = small_extract();
    assert!(verifies(&extract));
    let mut numbers = Numbers(3);
    for at in 0..extract.len() {
        let bits: Vec<usize> = if at % 10 == 0 { (0..8).collect() } else { vec![numbers.below(8)] };
        for bit in bits {
            let mut changed = extract.clone();
            changed[at] ^= 1 << bit;
            assert!(
                !verifies(&changed),
                "byte {at} bit {bit} of {}",
                String::from_utf8_lossy(&extract[at.saturating_sub(40)..at + 1])
            );
        }
    }
}

/// Records dropped, repeated, reordered, cut off, taken from another ledger; lines and fields added; white space.
#[test]
fn no_rearranged_extract_passes() {
    let world = World::with_mandate();
    world.open_mandate("Lena", "Astra");
    world.as_member("Sasha", "fetch Romashka/CRM --field password").done();
    let lena = world.program("Lena");
    let earlier = extract_of(&lena, &world, "Romashka");
    let foreign = extract_of(&lena, &world, "Astra");
    let extract = extract_of(&lena, &world, "Romashka");
    assert!(verifies(&earlier) && verifies(&foreign) && verifies(&extract));
    let parts = lines(&extract);
    let records = 1..parts.len() - 1;
    assert!(records.len() > 5);
    let refused = |what: &str, parts: &[&[u8]]| assert!(!verifies(&parts.concat()), "{what}");
    for at in 0..parts.len() {
        let mut dropped = parts.clone();
        dropped.remove(at);
        refused(&format!("line {at} dropped"), &dropped);
        let mut repeated = parts.clone();
        repeated.insert(at, parts[at]);
        refused(&format!("line {at} repeated"), &repeated);
        refused(&format!("cut off before line {at}"), &parts[..at]);
        let mut with_tail = parts[..at].to_vec();
        with_tail.push(parts[parts.len() - 1]);
        refused(&format!("records from line {at} on cut out"), &if at + 1 == parts.len() { vec![] } else { with_tail });
        if at + 1 < parts.len() {
            let mut swapped = parts.clone();
            swapped.swap(at, at + 1);
            refused(&format!("lines {at} and {} exchanged", at + 1), &swapped);
        }
        // An unknown field, at the beginning and at the end; a known one twice; white space; no end of line.
        let line = std::str::from_utf8(parts[at]).unwrap().trim_end();
        let first = &line[1..line[1..].find(',').map_or(line.len() - 1, |end| end + 1)];
        let changed = [
            format!("{{\"x\":1,{}\n", &line[1..]),
            format!("{},\"x\":1}}\n", &line[..line.len() - 1]),
            format!("{{{first},{}\n", &line[1..]),
            format!(" {line}\n"),
            format!("{line} \n"),
            format!("{line}\r\n"),
            format!("{line}\n\n"),
            format!("\u{FEFF}{line}\n"),
            line.to_owned(),
        ];
        for (number, changed) in changed.iter().enumerate() {
            let mut with = parts.clone();
            with[at] = changed.as_bytes();
            refused(&format!("line {at}, change {number}"), &with);
        }
    }
    refused("an empty line at the end", &[&extract, b"\n"]);
    refused("nothing", &[]);
    refused("another extract behind it", &[&extract, &foreign]);

    let (foreign, earlier) = (lines(&foreign), lines(&earlier));
    for at in records {
        let mut with = parts.clone();
        with[at] = foreign[at.min(foreign.len() - 2)];
        refused("a record of another mandate", &with);
    }
    for (what, part) in [("another ledger's", &foreign), ("an older", &earlier)] {
        let mut with = parts.clone();
        *with.last_mut().unwrap() = part.last().unwrap();
        refused(&format!("{what} checkpoint"), &with);
        let mut with = part.clone();
        *with.last_mut().unwrap() = parts.last().unwrap();
        refused(&format!("{what} records under this checkpoint"), &with);
    }
    let mut with = parts.clone();
    with[0] = foreign[0];
    refused("another mandate's head", &with);
}

/// An extract of another vault is told by its root; what is expected is compared in full.
#[test]
fn an_extract_of_another_vault_is_told_by_its_root() {
    let (one, two) = (small_extract(), small_extract());
    let root = verify_extract(&one[..], None, |_| ()).ok().unwrap().root;
    assert!(verify_extract(&one[..], Some(&root), |_| ()).is_ok());
    assert!(verify_extract(&two[..], Some(&root), |_| ()).is_err());
    assert!(verify_extract(&one[..], Some(&root[..root.len() - 1]), |_| ()).is_err());
    assert!(verify_extract(&one[..], Some(""), |_| ()).is_err());
}

// ---- a broker that forges, with its own true keys ----

pub fn home(world: &World) -> Home {
    Home {
        dir: world.path("state"),
        disk: Arc::new(RealDisk),
        keys: Arc::new(FileKeys::new(world.path("epoch-key"))),
        entropy: Arc::new(System),
    }
}

/// An extract with a record the broker made up and signed, under a checkpoint it signed.
pub fn forged(world: &World, extract: &[u8], make: impl FnOnce(&Record) -> Record) -> Vec<u8> {
    let anchor = Anchor::open(&home(world)).unwrap();
    let verified = verify_extract(extract, None, |_| ()).ok().unwrap();
    let fetched = |record: &&Record| {
        matches!(record.outcome, Outcome::Mandate(Event::Released { .. })) && record.verb == Some(Verb::Fetch)
    };
    let model = verified.records.iter().rev().find(fetched).unwrap();
    let record = Record { seq: verified.checkpoint.size, ..make(model) };
    let signed = anchor.record_key().sign(Topic::Record, record.encode());
    let entry = Entry { salt: Digest([9; 32]), signed };
    let mut edge = Edge::default();
    let parts = lines(extract);
    for line in &parts[1..parts.len() - 1] {
        edge.push(entry_of(line).leaf());
    }
    assert_eq!(edge.root(), verified.checkpoint.root, "the forger reads the extract right");
    edge.push(entry.leaf());
    let head = Checkpoint { size: edge.size(), root: edge.root() };
    let note = head.sign(anchor.vault(), record.unit, &anchor.checkpoint_key());
    let line = json!({
        "salt": entry.salt, "key": entry.signed.claimed_key(), "sig": Blob(entry.signed.signature().to_vec()),
        "record": std::str::from_utf8(entry.signed.unverified_bytes()).unwrap(),
    });
    // serde_json sorts a map's fields; the format has an order of its own.
    let field = |name: &str| format!("\"{name}\":{}", line[name]);
    let line = format!("{{{}}}\n", ["salt", "key", "sig", "record"].map(field).join(","));
    let tail = format!("{}\n", json!({ "checkpoint": note }));
    let mut forged = parts[..parts.len() - 1].concat();
    forged.extend_from_slice(line.as_bytes());
    forged.extend_from_slice(tail.as_bytes());
    forged
}

fn entry_of(line: &[u8]) -> Entry {
    let line: Value = serde_json::from_slice(line).unwrap();
    let from = |name: &str| serde_json::from_value(line[name].clone()).unwrap();
    let sig: Blob = serde_json::from_value(line["sig"].clone()).unwrap();
    let record = line["record"].as_str().unwrap().as_bytes().to_vec();
    Entry { salt: from("salt"), signed: Signed::from_parts(record, from("key"), sig.0) }
}

/// The record of the same release, asked for once more by who asked for it: what nobody can make without their key.
pub fn asked_anew(world: &World, by: &Identity, record: &Record) -> Record {
    let request = record.request.as_ref().unwrap();
    let mut request: Request<Value> = serde_json::from_slice(request.unverified_bytes()).unwrap();
    request.nonce = Nonce([5; 16]);
    let request = by.sign.sign(Topic::Request, serde_json::to_vec(&request).unwrap());
    Record { at: world.clock.now(), request: Some(request), ..record.clone() }
}

/// A release that no member asked for does not pass, though the broker itself signed record and checkpoint: without a
/// request, with another member's, with a request for something else, with one that was used before. One that the member
/// did ask for passes, made in the same way.
#[test]
fn a_release_that_nobody_asked_for_does_not_pass() {
    let world = World::with_mandate();
    world.as_member("Sasha", "fetch Romashka/CRM --field password").done();
    world.as_member("Lena", "fetch Romashka/Bot --field token --purpose answers").done();
    let lena = world.program("Lena");
    let extract = extract_of(&lena, &world, "Romashka");
    drop(lena);
    let [lena, sasha] = ["Lena", "Sasha"].map(|name| world.identity(name));
    let asked = |record: &Record| asked_anew(&world, &lena, record);
    let released = |record: &Record| {
        let Outcome::Mandate(Event::Released { items, purpose }) = record.outcome.clone() else { panic!() };
        (items, purpose)
    };
    let with_outcome = |record: &Record, event| Record { outcome: Outcome::Mandate(event), ..asked(record) };
    type Forgery<'a> = (&'a str, Box<dyn FnOnce(&Record) -> Record + 'a>);
    let forgeries: Vec<Forgery<'_>> = vec![
        ("no request", Box::new(|record| Record { request: None, ..asked(record) })),
        ("by nobody", Box::new(|record| Record { request: None, by: None, verb: None, ..asked(record) })),
        ("another member's name", Box::new(|record| Record { by: Some(sasha.member), ..asked(record) })),
        ("another member's signature", Box::new(|record| asked_anew(&world, &sasha, record))),
        (
            "a broken signature",
            Box::new(|record| {
                let record = asked(record);
                let request = record.request.as_ref().unwrap();
                let mut sig = request.signature().to_vec();
                sig[5] ^= 1;
                let request = Signed::from_parts(request.unverified_bytes().to_vec(), *request.claimed_key(), sig);
                Record { request: Some(request), ..record }
            }),
        ),
        (
            "another credential",
            Box::new(|record| {
                let (mut items, purpose) = released(record);
                items[0].credential.0[0] ^= 1;
                with_outcome(record, Event::Released { items, purpose })
            }),
        ),
        (
            "one secret more",
            Box::new(|record| {
                let (mut items, purpose) = released(record);
                items.push(items[0]);
                items[1].credential.0[0] ^= 1;
                with_outcome(record, Event::Released { items, purpose })
            }),
        ),
        (
            "another version",
            Box::new(|record| {
                let (mut items, purpose) = released(record);
                items[0].version += 1;
                with_outcome(record, Event::Released { items, purpose })
            }),
        ),
        (
            "the same secret twice",
            Box::new(|record| {
                let (mut items, purpose) = released(record);
                items.push(items[0]);
                with_outcome(record, Event::Released { items, purpose })
            }),
        ),
        (
            "a code for a fetch",
            Box::new(|record| {
                let (items, purpose) = released(record);
                let (credential, grant) = (items[0].credential, items[0].grant);
                with_outcome(record, Event::CodeReleased { credential, grant, purpose })
            }),
        ),
        ("another unit", Box::new(|record| Record { unit: UnitId([1; 16]), ..asked(record) })),
        ("a request used before", Box::new(|record| Record { at: world.clock.now(), ..record.clone() })),
    ];
    let judged = |make: Box<dyn FnOnce(&Record) -> Record + '_>| {
        verify_extract(&forged(&world, &extract, make)[..], None, |_| ()).map(drop).map_err(|error| error.to_string())
    };
    assert_eq!(judged(Box::new(asked)), Ok(()), "the forger's work is without a flaw where the member did ask");
    for (what, make) in forgeries {
        let expected = match what {
            "another unit" => "belongs to another vault, ledger or place",
            "by nobody" => "its author had no authority for this here",
            _ => "holds a request that the named member did not sign, that asks for something else",
        };
        let said = judged(make);
        assert!(said.as_ref().is_err_and(|said| said.contains(expected)), "{what}: {said:?}");
    }
}

// ---- a broker that answers falsely ----

/// Sasha's program in front of a gate that lies.
pub struct Lied {
    pub world: World,
    pub gate: Arc<Between>,
    sasha: Program,
    crm: Located,
    password: String,
}

impl Lied {
    pub fn new() -> Self {
        let world = World::with_mandate();
        let gate = Arc::new(Between::default());
        *gate.real.lock().unwrap() = Some(world.gate());
        let sasha = program(&world, &gate, "Sasha");
        let crm = sasha.locate(text("Romashka"), text("CRM"), None, false).unwrap().remove(0);
        let fetched = sasha.fetch(&crm, None).unwrap();
        let password = fetched.fields.field("password").unwrap().expose_str().unwrap().to_owned();
        Self { world, gate, sasha, crm, password }
    }

    /// What the program makes of an answer that was changed.
    pub fn fetch(&self, edit: impl Fn(&mut Value) + Send + Sync + 'static) -> Result<String, AgentError> {
        self.gate.lie(move |verb, answer| {
            if verb == Verb::Fetch {
                edit(answer)
            }
        });
        let fetched = self.sasha.fetch(&self.crm, None);
        self.gate.be_honest();
        fetched.map(|fetched| fetched.fields.field("password").unwrap().expose_str().unwrap().to_owned())
    }

    #[track_caller]
    fn is_not_believed(&self, what: &str, edit: impl Fn(&mut Value) + Send + Sync + 'static) {
        let answer = self.fetch(edit);
        assert!(matches!(answer, Err(AgentError::Untrusted(_))), "{what}: {answer:?}");
    }
}

fn program(world: &World, gate: &Arc<Between>, member: &str) -> Program {
    let mut program = Program::new(gate.clone(), world.identity(member), &world.path("state"), Arc::new(System));
    program.unlock(world.fresh_code(member), 8 * 3_600_000).unwrap();
    program
}

/// The program of an unlocked member, as the next command starts it: nothing is kept from an earlier hello.
fn untold(world: &World, gate: &Arc<Between>, member: &str) -> Program {
    let new = || Program::new(gate.clone(), world.identity(member), &world.path("state"), Arc::new(System));
    let answer = new().unlock(world.fresh_code(member), 8 * 3_600_000).unwrap();
    new().under(answer.session, answer.reuse_key)
}

/// The pointers to every value inside a JSON document.
fn pointers(value: &Value, at: &str, all: &mut Vec<String>) {
    all.push(at.to_owned());
    match value {
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                pointers(item, &format!("{at}/{index}"), all);
            }
        }
        Value::Object(fields) => fields.iter().for_each(|(name, field)| pointers(field, &format!("{at}/{name}"), all)),
        _ => {}
    }
}

fn changed(value: &Value) -> Vec<Value> {
    match value {
        Value::String(text) if !text.is_empty() => [0, text.len() / 2, text.len() - 2]
            .into_iter()
            .filter(|at| text.is_char_boundary(*at) && text.is_char_boundary(at + 1))
            .map(|at| {
                let other = if text.as_bytes()[at] == b'1' { "2" } else { "1" };
                Value::String(format!("{}{other}{}", &text[..at], &text[at + 1..]))
            })
            .chain([json!("")])
            .collect(),
        Value::Number(number) => vec![json!(number.as_u64().unwrap() + 1), json!(0), json!(-1)],
        Value::Array(items) if !items.is_empty() => {
            vec![json!([]), json!(items[1..]), json!([items.clone(), items.clone()].concat())]
        }
        Value::Object(_) => vec![json!({}), Value::Null],
        _ => vec![json!([1])],
    }
}

/// Every value of a fetch's answer, changed in several ways: refused, or it makes no difference to what is opened.
#[test]
fn no_changed_value_of_an_answer_is_believed() {
    let lied = Lied::new();
    // The tree is of a size whose proofs are not empty.
    let answer = lied.gate.last(Verb::Fetch);
    for list in ["/proof/inclusion", "/proof/consistency", "/released/0/admissions"] {
        lied.fetch(|_| ()).unwrap();
        assert!(!lied.gate.last(Verb::Fetch).pointer(list).unwrap().as_array().unwrap().is_empty(), "{list}");
    }
    let mut all = Vec::new();
    pointers(&answer, "", &mut all);
    assert!(all.len() > 25, "{all:?}");
    let (mut refused, mut harmless) = (0, BTreeSet::new());
    for at in all {
        let ways = changed(answer.pointer(&at).unwrap()).len();
        for way in 0..ways {
            let pointer = at.clone();
            let result = lied.fetch(move |answer| {
                if let Some(value) = answer.pointer_mut(&pointer)
                    && let Some(other) = changed(value).into_iter().nth(way)
                {
                    *value = other;
                }
            });
            match result {
                Err(AgentError::Untrusted(_)) => refused += 1,
                Ok(password) if password == lied.password => drop(harmless.insert(at.clone())),
                other => panic!("{at}, way {way}: {other:?}"),
            }
        }
    }
    assert!(refused > 60, "{refused}");
    // Admissions that are not needed, or are there twice, change nothing: keys are believed by their signatures alone.
    assert!(
        harmless.iter().all(|at| at.starts_with("/released/0/admissions") || at.starts_with("/proof/consistency")),
        "{harmless:?}"
    );
}

/// A broker that answers without a record, with an older proof, with the proof of another ledger or of another
/// member's retrieval, is not believed.
#[test]
fn an_answer_without_its_own_record_is_not_believed() {
    let lied = Lied::new();
    let old = lied.gate.last(Verb::Fetch)["proof"].clone();
    lied.is_not_believed("no proof", |answer| drop(answer.as_object_mut().unwrap().remove("proof")));
    lied.is_not_believed("an empty proof", |answer| answer["proof"] = Value::Null);
    lied.is_not_believed("an older proof", move |answer| answer["proof"] = old.clone());

    lied.world.open_mandate("Lena", "Astra");
    lied.world.as_member("Lena", "grant Sasha Astra/CRM --level view").done();
    let astra = lied.sasha.locate(text("Astra"), text("CRM"), None, false).unwrap().remove(0);
    lied.sasha.fetch(&astra, None).unwrap();
    let other_ledger = lied.gate.last(Verb::Fetch)["proof"].clone();
    let checkpoint = other_ledger["checkpoint"].clone();
    lied.is_not_believed("another ledger's proof", move |answer| answer["proof"] = other_ledger.clone());
    lied.is_not_believed("another ledger's checkpoint", move |answer| {
        answer["proof"]["checkpoint"] = checkpoint.clone()
    });

    let lena = program(&lied.world, &lied.gate, "Lena");
    let hers = lena.locate(text("Romashka"), text("CRM"), None, false).unwrap().remove(0);
    lena.fetch(&hers, None).unwrap();
    let another_member = lied.gate.last(Verb::Fetch)["proof"].clone();
    lied.is_not_believed("another member's proof", move |answer| answer["proof"] = another_member.clone());

    // A code is believed by its record alone.
    let genuine = lied.sasha.code(&lied.crm, None).unwrap().0;
    assert_eq!(genuine.len(), 6);
    let fetched = lied.gate.last(Verb::Fetch)["proof"].clone();
    lied.gate.lie(move |verb, answer| {
        if verb == Verb::Code {
            answer["proof"] = fetched.clone()
        }
    });
    assert!(matches!(lied.sasha.code(&lied.crm, None), Err(AgentError::Untrusted(_))));
}

/// An older version, another credential's release or parts of it are not believed in place of what was asked for.
#[test]
fn what_was_not_asked_for_is_not_believed() {
    let lied = Lied::new();
    let world = &lied.world;
    let first = lied.gate.last(Verb::Fetch)["released"].clone();
    world.as_member("Lena", "credential rotate Romashka/CRM --generate").done();
    world.as_member("Lena", "grant Sasha Romashka/Bot --level reply").done();
    let lied = Lied { crm: lied.sasha.locate(text("Romashka"), text("CRM"), None, false).unwrap().remove(0), ..lied };
    assert_eq!(lied.crm.version, 2);
    let bot = lied.sasha.locate(text("Romashka"), text("Bot"), None, false).unwrap().remove(0);
    lied.sasha.fetch(&bot, Some(text("answers"))).unwrap();
    let other = lied.gate.last(Verb::Fetch)["released"].clone();
    for (what, released) in [("the older version", first), ("another credential", other)] {
        let whole = released.clone();
        lied.is_not_believed(what, move |answer| answer["released"] = whole.clone());
        for part in ["ct", "inner", "statement"] {
            let value = released[0][part].clone();
            lied.is_not_believed(&format!("{part} of {what}"), move |answer| {
                answer["released"][0][part] = value.clone()
            });
        }
        // All of it under the name of what was asked for.
        let renamed = released.clone();
        lied.is_not_believed(&format!("{what}, renamed"), move |answer| {
            let (credential, version) =
                (answer["released"][0]["credential"].clone(), answer["released"][0]["version"].clone());
            answer["released"] = renamed.clone();
            answer["released"][0]["credential"] = credential;
            answer["released"][0]["version"] = version;
        });
    }
    assert!(lied.fetch(|_| ()).is_ok_and(|password| password != lied.password));
}

/// An author who wraps another data key for one reader than for the others is found out by the commitment.
#[test]
fn two_data_keys_for_one_secret_are_found() {
    let lied = Lied::new();
    let (lena, sasha) = (lied.world.identity("Lena"), lied.world.identity("Sasha"));
    let (vault, member, recipient) = (sasha.vault, sasha.member, sasha.enc.recipient());
    let (unit, credential, version, grant) =
        (lied.crm.unit, lied.crm.credential, lied.crm.version, lied.crm.grant.unwrap());
    let ctx = Ctx {
        vault,
        mandate: unit,
        credential,
        version,
        to: Some((grant, member)),
        recipient: recipient_digest(&recipient),
    };
    let other = Key::generate(&System);
    let inner = wrap_inner(&recipient, &ctx, &other).unwrap();
    let released = lied.gate.last(Verb::Fetch)["released"][0].clone();
    let signed: Signed = serde_json::from_value(released["statement"].clone()).unwrap();
    let said: Statement = serde_json::from_slice(signed.unverified_bytes()).unwrap();
    for (honest_inner, commit, expected) in [
        (false, said.commit, "different data keys"),
        (true, commitment(&other), "different data keys"),
        (false, commitment(&other), "does not open with its data key"),
    ] {
        let genuine: Blob = serde_json::from_value(released["inner"].clone()).unwrap();
        let inner = if honest_inner { genuine.0 } else { inner.clone() };
        let statement = Statement { inner: hash(&inner), commit, ..said.clone() };
        let statement = lena.sign.sign(Topic::Statement, serde_json::to_vec(&statement).unwrap());
        let answer = lied.fetch(move |answer| {
            answer["released"][0]["inner"] = json!(Blob(inner.clone()));
            answer["released"][0]["statement"] = json!(statement);
        });
        assert!(matches!(&answer, Err(AgentError::Untrusted(why)) if why.contains(expected)), "{answer:?}");
    }
}

/// A statement by somebody whom no owner admitted is not believed, whatever admissions come with it.
#[test]
fn an_author_nobody_admitted_is_not_believed() {
    let lied = Lied::new();
    let released = lied.gate.last(Verb::Fetch)["released"][0].clone();
    let signed: Signed = serde_json::from_value(released["statement"].clone()).unwrap();
    let said: Statement = serde_json::from_slice(signed.unverified_bytes()).unwrap();
    let real = lied.world.identity("Lena");
    let (intruder, admission) = intruder(&real, Name::parse("Lena").unwrap());
    let author = intruder.member;
    for claimed in [said.author, author] {
        let statement = Statement { author: claimed, ..said.clone() };
        let statement = intruder.sign.sign(Topic::Statement, serde_json::to_vec(&statement).unwrap());
        let admission = to_blob(&admission);
        lied.is_not_believed("an intruder's statement", move |answer| {
            answer["released"][0]["statement"] = json!(statement);
            answer["released"][0]["admissions"].as_array_mut().unwrap().push(json!(admission));
        });
    }
}

/// Keys somebody made up for a name, with an admission that this somebody signed.
pub fn intruder(like: &Identity, name: Name) -> (Identity, Signed) {
    let intruder = Identity::generate(like.vault, like.root, name, &System);
    let admission = Admission { bundle: intruder.signed_bundle(), roles: BTreeSet::from([Role::Specialist]), by: None };
    let signed = intruder.sign.sign(Topic::Admission, serde_json::to_vec(&admission).unwrap());
    (intruder, signed)
}

/// A reader's keys that the broker put in place of the true ones get nothing: no version is wrapped to them, no grant is
/// made, whether they are unsigned by an owner or carry the true admission of somebody else.
#[test]
fn substituted_keys_of_a_member_get_nothing() {
    let lied = Lied::new();
    let lena = program(&lied.world, &lied.gate, "Lena");
    let sasha = lied.world.identity("Sasha");
    let (_, forged) = intruder(&sasha, Name::parse("Sasha").unwrap());
    // The same, claiming the member's own id, and an owner's signature it does not have.
    let mut bundle = sasha.bundle();
    let (mallory, _) = intruder(&sasha, Name::parse("Sasha").unwrap());
    (bundle.sign, bundle.enc) = (mallory.sign.public(), mallory.enc.recipient());
    let bundle = mallory.sign.sign(Topic::Bundle, serde_json::to_vec(&bundle).unwrap());
    let olga = lied.world.identity("Olga").member;
    let by_owner = |by| {
        let admission = Admission { bundle: bundle.clone(), roles: BTreeSet::from([Role::Specialist]), by };
        mallory.sign.sign(Topic::Admission, serde_json::to_vec(&admission).unwrap())
    };
    let found = lena.locate(text("Romashka"), text("CRM"), None, false).unwrap().remove(0);
    for substitute in [forged, by_owner(None), by_owner(Some(olga))] {
        let replaced = json!(to_blob(&substitute));
        let member = json!(sasha.member);
        lied.gate.lie(move |verb, answer| {
            if matches!(verb, Verb::Recipients | Verb::MemberList) {
                let lines = answer.as_array_mut().unwrap().iter_mut().filter(|line| line["member"] == member);
                lines.for_each(|line| {
                    *line["admissions"].as_array_mut().unwrap().last_mut().unwrap() = replaced.clone()
                });
            }
        });
        let before = lied.gate.seen.lock().unwrap().len();
        let rotated = lena.rotate(&found, Some((fields(), facts(&lena, 2))), None);
        assert!(matches!(rotated, Err(AgentError::Untrusted(_))), "{rotated:?}");
        let granted = grant_again(&lena, &found, sasha.member);
        assert!(matches!(granted, Err(AgentError::Untrusted(_))), "{granted:?}");
        let sent: Vec<Verb> = lied.gate.seen.lock().unwrap()[before..].iter().map(|(verb, _)| *verb).collect();
        assert!(!sent.contains(&Verb::CredentialRotate) && !sent.contains(&Verb::Grant), "{sent:?}");
        lied.gate.be_honest();
    }
    assert_eq!(lied.fetch(|_| ()).unwrap(), lied.password);
}

fn fields() -> mandatum::agent::Fields {
    mandatum::agent::Fields::default().with("password", Secret::copy_of(b"Ofenrohr-Fichtelgebirge-77"))
}

fn facts(lena: &Program, number: u32) -> mandatum::model::NewVersion {
    let tag = lena.reuse_tag(&Secret::copy_of(b"Ofenrohr-Fichtelgebirge-77")).unwrap();
    mandatum::model::NewVersion {
        number,
        ct: Digest([0; 32]),
        tag,
        strength: mandatum::model::Strength::Random,
        allowed_weak: None,
    }
}

fn grant_again(
    lena: &Program,
    found: &Located,
    member: mandatum::model::MemberId,
) -> Result<mandatum::model::GrantId, AgentError> {
    let view = lena.mandate(text("Romashka")).unwrap();
    let old = view.mandate.live_grants().find(|grant| grant.facts.member == member).unwrap().facts.clone();
    let facts = mandatum::model::GrantFacts { id: mandatum::model::GrantId([7; 16]), ..old };
    lena.grant(found.unit, facts, None, std::slice::from_ref(found))
}

/// Charters that the owner root did not sign, or of another vault, are not believed: no request is even made.
#[test]
fn a_substituted_charter_or_recovery_recipient_is_not_believed() {
    let (lied, other) = (Lied::new(), World::new());
    let lena = program(&lied.world, &lied.gate, "Lena");
    let found = lena.locate(text("Romashka"), text("CRM"), None, false).unwrap().remove(0);
    let genuine = lied.gate.hello().unwrap().charters;
    let signed = from_blob(&genuine[0]).unwrap();
    let charter: Charter = serde_json::from_slice(signed.unverified_bytes()).unwrap();
    let mallory = SignKey::generate(&System);
    let recipient = mandatum::crypto::AgeKey::generate().recipient();
    let bytes = serde_json::to_vec(&Charter { recovery: recipient, ..charter.clone() }).unwrap();
    let by_mallory = to_blob(&mallory.sign(Topic::Charter, bytes.clone()));
    let with_old_signature = to_blob(&Signed::from_parts(bytes, *signed.claimed_key(), signed.signature().to_vec()));
    let foreign = mandatum::api::Gate::hello(&*other.gate()).unwrap().charters;
    let next = to_blob(&mallory.sign(Topic::Charter, serde_json::to_vec(&Charter { number: 2, ..charter }).unwrap()));
    let cases: Vec<(&str, Vec<Blob>)> = vec![
        ("a charter by somebody", vec![by_mallory]),
        ("a changed charter under its old signature", vec![with_old_signature]),
        ("another vault's charter", foreign),
        ("a further charter by somebody", vec![genuine[0].clone(), next]),
        ("the same charter twice", vec![genuine[0].clone(), genuine[0].clone()]),
        ("no charter", vec![]),
        ("no document", vec![Blob(vec![1, 2, 3])]),
    ];
    for (what, charters) in cases {
        // A program that was told nothing yet; one that was keeps to what it verified.
        let [sasha, lena] = ["Sasha", "Lena"].map(|member| untold(&lied.world, &lied.gate, member));
        *lied.gate.hello.lock().unwrap() = Some(Box::new(move |hello| hello.charters.clone_from(&charters)));
        let before = lied.gate.seen.lock().unwrap().len();
        let fetched = sasha.fetch(&lied.crm, None).map(|_| ());
        assert!(matches!(fetched, Err(AgentError::Untrusted(_))), "{what}: {fetched:?}");
        let rotated = lena.rotate(&found, Some((fields(), facts(&lena, 2))), None);
        assert!(matches!(rotated, Err(AgentError::Untrusted(_))), "{what}: {rotated:?}");
        assert_eq!(lied.gate.seen.lock().unwrap().len(), before, "{what}: nothing was sent");
        lied.gate.be_honest();
    }
    lied.gate.be_honest();
    assert_eq!(lied.fetch(|_| ()).unwrap(), lied.password);
}

/// A second history that does not hold what a member saw is not believed, though the broker itself signed it; only
/// who has seen nothing can be shown it.
#[test]
fn a_second_history_is_not_believed() {
    let lied = Lied::new();
    let home = home(&lied.world);
    let (vault, unit) = (lied.sasha.identity().vault, lied.crm.unit);
    // The genuine record of the retrieval, at its place in a tree of other records.
    let fork = move |answer: &mut Value| {
        let proof = &mut answer["proof"];
        let record: Signed = serde_json::from_value(proof["record"].clone()).unwrap();
        let entry = Entry { salt: serde_json::from_value(proof["salt"].clone()).unwrap(), signed: record };
        let seq = proof["seq"].as_u64().unwrap();
        let mut nodes: BTreeMap<(u32, u64), Digest> = BTreeMap::new();
        for place in 0..=seq {
            let leaf = if place == seq { entry.leaf() } else { Digest([u8::try_from(place).unwrap(); 32]) };
            let read = |level, index| nodes.get(&(level, index)).copied().ok_or(());
            let added = append(place, leaf, read).unwrap();
            nodes.extend(added.into_iter().map(|(level, index, hash)| ((level, index), hash)));
        }
        let read = |level, index| nodes.get(&(level, index)).copied().ok_or(());
        let head = Checkpoint { size: seq + 1, root: root(seq + 1, read).unwrap() };
        let key = Anchor::open(&home).unwrap().checkpoint_key();
        proof["checkpoint"] = json!(head.sign(vault, unit, &key));
        proof["inclusion"] = json!(inclusion_proof(seq, seq + 1, read).unwrap());
    };
    let refused = lied.fetch(fork.clone());
    assert!(matches!(&refused, Err(AgentError::Untrusted(why)) if why.contains("does not extend")), "{refused:?}");
    fs::remove_dir_all(lied.world.path("state/pins")).unwrap();
    assert_eq!(lied.fetch(fork).unwrap(), lied.password, "the lie was well made");
    // Who was shown it finds the broker out at the next honest answer, and the broker locks.
    let honest = lied.fetch(|_| ());
    assert!(matches!(honest, Err(AgentError::Refused(Refusal::Denied { code: Deny::VaultRolledBack }))), "{honest:?}");
}
