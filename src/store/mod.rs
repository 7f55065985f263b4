//! SQL and nothing but SQL.
//!
//! Guarantees: everything written in one [`Store::write`] is durable when it returns, or nothing of it is there. What
//! it holds it cannot open. It speaks to SQLite and to PostgreSQL, and each query's text exists once for both. It
//! trusts nothing it reads back: the broker checks every byte by seal, signature or tree.

mod database;
mod engine;
mod error;
mod passfile;
mod postgresql;
mod sqlite;
mod tables;
mod write;

pub use database::{Address, Database};
pub use error::StoreError;
pub use write::Write;

use crate::ledger::Entry;
use crate::model::{CredentialId, Digest, GrantId, ReuseTag, UnitId, VaultId};
use engine::{Engine, values};
use error::Result;
use postgresql::{KEPT, RESTORED, SCHEMA, Server};
use sqlite::File;
use std::path::Path;

/// The schema's version, in `meta`.
const FORMAT: i64 = 1;

/// A unit's row.
pub struct UnitRow {
    /// The keyed hash of the operator's name.
    pub label: Digest,
    /// Records in its ledger.
    pub size: u64,
    /// The sealed state document; empty after closing.
    pub state: Vec<u8>,
    /// State and evidence key, wrapped to the recovery recipient.
    pub keys: Vec<u8>,
}

/// A stored version of a secret.
pub struct SecretRow {
    /// The ciphertext.
    pub ct: Vec<u8>,
    /// The recovery wrap.
    pub rec: Vec<u8>,
    /// The author's statement over both.
    pub statement: Vec<u8>,
}

/// A stored wrap.
pub struct WrapRow {
    /// The outer layer.
    pub outer: Vec<u8>,
    /// The author's statement.
    pub statement: Vec<u8>,
}

/// What a release hands out of a version, as it is wrapped to one device.
pub struct SealedRow {
    /// The ciphertext.
    pub ct: Vec<u8>,
    /// The wrap to the device.
    pub wrap: WrapRow,
}

/// An open database.
pub struct Store {
    engine: Engine,
}

impl Store {
    /// Makes the database of a new vault: in an empty file, or in a PostgreSQL database that holds no vault.
    ///
    /// # Errors
    /// [`StoreError`]; then nothing was made on a server.
    pub fn create(database: &Database, vault: VaultId) -> Result<Self> {
        let engine = empty(database, SCHEMA)?;
        let made = Self { engine };
        let write = Write::begin(&made.engine)?;
        make_tables(&made.engine, SCHEMA)?;
        let insert = "INSERT INTO meta (name, value) VALUES ($1, $2)";
        made.engine.execute(insert, values!["format", &FORMAT.to_le_bytes()])?;
        made.engine.execute(insert, values!["vault", vault.bytes()])?;
        made.engine.execute(insert, values!["counter", &0_i64.to_le_bytes()])?;
        write.commit()?;
        drop(made);
        Self::open(database)
    }

    /// Opens a database that exists.
    ///
    /// # Errors
    /// [`StoreError`]; durability settings that are not in force are an error.
    pub fn open(database: &Database) -> Result<Self> {
        Self::known(match database {
            Database::File(path) => Engine::File(File::open(path)?),
            Database::Postgres(address) => Engine::Server(Box::new(connect(address, SCHEMA)?)),
        })
    }

    /// Takes a backup file over as a database: puts it back into write-ahead logging and checks its form.
    ///
    /// # Errors
    /// [`StoreError`] if it is not a vault's database.
    pub fn adopt(path: &Path) -> Result<Self> {
        Self::known(Engine::File(File::adopt(path)?))
    }

    fn known(engine: Engine) -> Result<Self> {
        let store = Self { engine };
        if store.meta("format")? == FORMAT.to_le_bytes() { Ok(store) } else { Err(StoreError::Format) }
    }

    /// Refuses a server that holds a vault, or cannot be reached or relied on.
    ///
    /// # Errors
    /// [`StoreError::Occupied`].
    pub fn check_vacant(address: &Address) -> Result<()> {
        let server = Server::connect(address, SCHEMA)?;
        if server.has(SCHEMA)? { Err(OCCUPIED) } else { Ok(()) }
    }

    /// Takes the tables of a vault away again that was never founded; another vault's are left alone.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn discard(address: &Address, vault: VaultId) -> Result<()> {
        let store = Self::open(&Database::Postgres(address.clone()))?;
        if store.vault()? == vault { store.engine.batch(&format!("DROP SCHEMA {SCHEMA} CASCADE")) } else { Ok(()) }
    }

    /// Says that this process serves for long: housekeeping is done beside its work, not between.
    pub fn stay(&mut self) {
        if let Engine::File(file) = &mut self.engine {
            file.stay();
        }
    }

    /// The vault it belongs to.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn vault(&self) -> Result<VaultId> {
        VaultId::from_slice(&self.meta("vault")?).ok_or(StoreError::Format)
    }

    /// How many records all ledgers hold together.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn counter(&self) -> Result<u64> {
        read_counter(&self.engine)
    }

    fn meta(&self, name: &str) -> Result<Vec<u8>> {
        read_meta(&self.engine, name)
    }

    /// A unit's row.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn unit(&self, unit: UnitId) -> Result<Option<UnitRow>> {
        let sql = "SELECT label, state, keys, (SELECT COALESCE(MAX(seq) + 1, 0) FROM records WHERE unit = $1)
                   FROM units WHERE unit = $1";
        self.engine.first(sql, values![unit.bytes()], |row| {
            let label = Digest::from_slice(&row.bytes(0)?).ok_or(StoreError::Rows("a label"))?;
            Ok(UnitRow { label, state: row.bytes(1)?, keys: row.bytes(2)?, size: count(row.int(3)?)? })
        })
    }

    /// Every unit with its ledger's size.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn sizes(&self) -> Result<Vec<(UnitId, u64)>> {
        let sql = "SELECT unit, (SELECT COALESCE(MAX(seq) + 1, 0) FROM records WHERE records.unit = units.unit)
                   FROM units ORDER BY unit";
        self.engine.all(sql, &[], |row| {
            Ok((UnitId::from_slice(&row.bytes(0)?).ok_or(StoreError::Rows("a unit's id"))?, count(row.int(1)?)?))
        })
    }

    /// The units of a label.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn units_labelled(&self, label: &Digest) -> Result<Vec<UnitId>> {
        let sql = "SELECT unit FROM units WHERE label = $1 ORDER BY unit";
        self.engine.all(sql, values![label.bytes()], |row| {
            UnitId::from_slice(&row.bytes(0)?).ok_or(StoreError::Rows("a unit's id"))
        })
    }

    /// One sealed entry of a ledger, with the leaf of the tree that is stored beside it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn entry(&self, unit: UnitId, seq: u64) -> Result<Option<(Vec<u8>, Digest)>> {
        let sql = "SELECT entry, nodes FROM records WHERE unit = $1 AND seq = $2";
        self.engine.first(sql, values![unit.bytes(), int(seq)?], |row| {
            let leaf = row.bytes(1)?.get(..32).and_then(Digest::from_slice);
            Ok((row.bytes(0)?, leaf.ok_or(StoreError::Rows("a leaf of a ledger's tree"))?))
        })
    }

    /// Sealed entries of a ledger from a place on, at most `limit`, in order, with their places.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn entries(&self, unit: UnitId, from: u64, limit: u32) -> Result<Vec<(u64, Vec<u8>)>> {
        let sql = "SELECT seq, entry FROM records WHERE unit = $1 AND seq >= $2 ORDER BY seq LIMIT $3";
        let key = values![unit.bytes(), int(from)?, limit];
        self.engine.all(sql, key, |row| Ok((count(row.int(0)?)?, row.bytes(1)?)))
    }

    /// One node of a ledger's tree.
    ///
    /// # Errors
    /// [`StoreError::Rows`] if it is not there.
    pub fn node(&self, unit: UnitId, level: u32, index: u64) -> Result<Digest> {
        let missing = StoreError::Rows("a node of a ledger's tree");
        // The last leaf under it completed it.
        let last = index.checked_add(1).and_then(|next| next.checked_mul(1_u64.checked_shl(level)?));
        let Some(last) = last.and_then(|next| next.checked_sub(1)) else { return Err(missing) };
        let at = usize::try_from(level).map_or(usize::MAX, |level| level * 32);
        self.nodes(unit, last)?.get(at..at + 32).and_then(Digest::from_slice).ok_or(missing)
    }

    /// The nodes of a ledger's tree that one entry completes, lowest first, as they are stored.
    ///
    /// # Errors
    /// [`StoreError::Rows`] if there is no such entry.
    pub fn nodes(&self, unit: UnitId, seq: u64) -> Result<Vec<u8>> {
        let sql = "SELECT nodes FROM records WHERE unit = $1 AND seq = $2";
        let found = self.engine.first(sql, values![unit.bytes(), int(seq)?], |row| row.bytes(0))?;
        found.ok_or(StoreError::Rows("a node of a ledger's tree"))
    }

    /// How many entries there are of a ledger, wherever they stand.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn record_count(&self, unit: UnitId) -> Result<u64> {
        self.counted("SELECT count(*) FROM records WHERE unit = $1", unit)
    }

    /// A version of a secret.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn secret(&self, unit: UnitId, credential: CredentialId, version: u32) -> Result<Option<SecretRow>> {
        let sql = "SELECT ct, rec, statement FROM secrets WHERE unit = $1 AND credential = $2 AND version = $3";
        self.engine.first(sql, values![unit.bytes(), credential.bytes(), version], |row| {
            Ok(SecretRow { ct: row.bytes(0)?, rec: row.bytes(1)?, statement: row.bytes(2)? })
        })
    }

    /// The wrap of a credential to a recipient under a grant.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn wrap(
        &self,
        unit: UnitId,
        grant: GrantId,
        credential: CredentialId,
        recipient: &Digest,
    ) -> Result<Option<WrapRow>> {
        let sql = "SELECT outer_wrap, statement FROM wraps
                   WHERE unit = $1 AND grant_id = $2 AND credential = $3 AND recipient = $4";
        let key = values![unit.bytes(), grant.bytes(), credential.bytes(), recipient.bytes()];
        self.engine.first(sql, key, |row| Ok(WrapRow { outer: row.bytes(0)?, statement: row.bytes(1)? }))
    }

    /// A version of a secret with its wrap to a recipient under a grant; none where either is not there.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn sealed(
        &self,
        unit: UnitId,
        (credential, version): (CredentialId, u32),
        grant: GrantId,
        recipient: &Digest,
    ) -> Result<Option<SealedRow>> {
        let sql = "SELECT ct, outer_wrap, wraps.statement
                   FROM wraps JOIN secrets ON secrets.unit = wraps.unit AND secrets.credential = wraps.credential
                   WHERE wraps.unit = $1 AND grant_id = $2 AND wraps.credential = $3 AND recipient = $4 AND version = $5";
        let key = values![unit.bytes(), grant.bytes(), credential.bytes(), recipient.bytes(), version];
        self.engine.first(sql, key, |row| {
            Ok(SealedRow { ct: row.bytes(0)?, wrap: WrapRow { outer: row.bytes(1)?, statement: row.bytes(2)? } })
        })
    }

    /// A sealed TOTP seed.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn seed(&self, unit: UnitId, credential: CredentialId) -> Result<Option<Vec<u8>>> {
        let sql = "SELECT seed FROM seeds WHERE unit = $1 AND credential = $2";
        self.engine.first(sql, values![unit.bytes(), credential.bytes()], |row| row.bytes(0))
    }

    /// Where a fingerprint is in use.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn reuse(&self, tag: &ReuseTag) -> Result<Vec<(UnitId, CredentialId)>> {
        self.engine.all("SELECT unit, credential FROM reuse WHERE tag = $1", values![tag.bytes()], |row| {
            let ids = UnitId::from_slice(&row.bytes(0)?).zip(CredentialId::from_slice(&row.bytes(1)?));
            ids.ok_or(StoreError::Rows("an id of a reuse row"))
        })
    }

    /// How many rows of a unit the caches hold: secrets, wraps, seeds, reuse.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn row_counts(&self, unit: UnitId) -> Result<[u64; 4]> {
        Ok([
            self.counted("SELECT count(*) FROM secrets WHERE unit = $1", unit)?,
            self.counted("SELECT count(*) FROM wraps WHERE unit = $1", unit)?,
            self.counted("SELECT count(*) FROM seeds WHERE unit = $1", unit)?,
            self.counted("SELECT count(*) FROM reuse WHERE unit = $1", unit)?,
        ])
    }

    fn counted(&self, sql: &str, unit: UnitId) -> Result<u64> {
        let found = self.engine.first(sql, values![unit.bytes()], |row| row.int(0))?;
        count(found.ok_or(StoreError::Rows("a count"))?)
    }

    /// The engine's own check: of every page of a file, or that a server's tables are those of a vault.
    ///
    /// # Errors
    /// [`StoreError::Format`] if anything is wrong with it.
    pub fn check_file(&self) -> Result<()> {
        match &self.engine {
            Engine::File(file) => file.check(),
            Engine::Server(_) => tables::check(&self.engine),
        }
    }

    /// Copies the database into a new file of SQLite while it is in use: a consistent moment of it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn copy_to(&self, path: &Path) -> Result<()> {
        self.end_reading()?;
        match &self.engine {
            Engine::File(file) => file.copy_to(path),
            Engine::Server(_) => {
                let (copy, _) = self.copy_tables(Engine::File(File::create(path)?), SCHEMA)?;
                match copy {
                    Engine::File(file) => file.detach(),
                    Engine::Server(_) => Ok(()),
                }
            }
        }
    }

    /// Copies everything into a database that is empty, and compares the copy row by row. Gives back how many rows
    /// there are.
    ///
    /// # Errors
    /// [`StoreError`]; then the other database is as empty as it was.
    pub fn copy_into(&self, to: &Database) -> Result<u64> {
        let (_, rows) = self.copy_tables(empty(to, SCHEMA)?, SCHEMA)?;
        Self::open(to)?.check_file()?;
        Ok(rows)
    }

    /// Puts a copy of this database in place of what a server holds, which is kept in a schema of its own.
    ///
    /// # Errors
    /// [`StoreError`]; then what the server held is as it was.
    pub fn replace(&self, address: &Address) -> Result<()> {
        let server = Server::connect(address, RESTORED)?;
        server.batch(&format!("DROP SCHEMA IF EXISTS {RESTORED} CASCADE"))?;
        let (engine, _) = self.copy_tables(Engine::Server(Box::new(server)), RESTORED)?;
        let write = Write::begin(&engine)?;
        engine.batch(&format!("DROP SCHEMA IF EXISTS {KEPT} CASCADE"))?;
        if has(&engine, SCHEMA)? {
            engine.batch(&format!("ALTER SCHEMA {SCHEMA} RENAME TO {KEPT}"))?;
        }
        engine.batch(&format!("ALTER SCHEMA {RESTORED} RENAME TO {SCHEMA}"))?;
        write.commit()
    }

    /// Puts back what [`Store::replace`] replaced; without it, takes the copy away again.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn take_back(address: &Address) -> Result<()> {
        let engine = Engine::Server(Box::new(Server::connect(address, SCHEMA)?));
        let write = Write::begin(&engine)?;
        engine.batch(&format!("DROP SCHEMA IF EXISTS {SCHEMA} CASCADE"))?;
        if has(&engine, KEPT)? {
            engine.batch(&format!("ALTER SCHEMA {KEPT} RENAME TO {SCHEMA}"))?;
        }
        write.commit()
    }

    /// One transaction on the copy, one snapshot of this: compared before it is committed.
    fn copy_tables(&self, to: Engine, schema: &str) -> Result<(Engine, u64)> {
        self.end_reading()?;
        self.begin_reading()?;
        let write = Write::begin(&to)?;
        make_tables(&to, schema)?;
        tables::copy(&self.engine, &to)?;
        let rows = tables::compare(&self.engine, &to)?;
        write.commit()?;
        self.end_reading()?;
        Ok((to, rows))
    }

    /// Begins to read one consistent moment of the database, until [`Store::end_reading`]; without it every single read
    /// takes and gives back its locks.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn begin_reading(&self) -> Result<()> {
        self.engine.begin_reading()
    }

    /// Makes sure that what is read is on the disk, where another process left it and may not have been told so.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn settle(&self) -> Result<()> {
        self.end_reading()?;
        if let Engine::File(file) = &self.engine {
            file.settle()?;
        }
        self.begin_reading()
    }

    /// Ends what [`Store::begin_reading`] began.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn end_reading(&self) -> Result<()> {
        self.engine.end_reading()
    }

    /// Writes everything or nothing, durably. What is read after it is read anew from the database.
    ///
    /// # Errors
    /// Whatever `work` returns, or the commit; [`StoreError::Unknown`] where the commit was not answered.
    pub fn write<T, E: From<StoreError>>(
        &mut self,
        work: impl FnOnce(&Write<'_>) -> std::result::Result<T, E>,
    ) -> std::result::Result<T, E> {
        self.end_reading()?;
        let write = Write::begin(&self.engine)?;
        let done = work(&write)?;
        write.commit()?;
        if let Engine::File(file) = &self.engine {
            file.keep_log();
        }
        self.begin_reading()?;
        Ok(done)
    }

    /// After [`StoreError::Unknown`]: connects anew and waits until the transaction that was cut off is over, one way or
    /// the other. What is read from then on is how it ended.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn outlast_cut_off(&mut self) -> Result<()> {
        // It holds the writers' lock to its end, even where the server has not noticed that nobody listens.
        self.write(|_| Ok(()))
    }
}

const OCCUPIED: StoreError = StoreError::Occupied("the PostgreSQL database");

/// A place for a new database: nothing may be there.
fn empty(database: &Database, schema: &'static str) -> Result<Engine> {
    match database {
        Database::File(path) => {
            if path.metadata().is_ok_and(|meta| meta.len() > 0) {
                return Err(StoreError::Occupied("the file"));
            }
            Ok(Engine::File(File::create(path)?))
        }
        Database::Postgres(address) => {
            let server = Server::connect(address, schema)?;
            if server.has(schema)? { Err(OCCUPIED) } else { Ok(Engine::Server(Box::new(server))) }
        }
    }
}

/// A server that holds a vault.
fn connect(address: &Address, schema: &'static str) -> Result<Server> {
    let server = Server::connect(address, schema)?;
    if server.has(schema)? { Ok(server) } else { Err(StoreError::Format) }
}

fn has(engine: &Engine, schema: &str) -> Result<bool> {
    match engine {
        Engine::File(_) => Ok(false),
        Engine::Server(server) => server.has(schema),
    }
}

fn make_tables(engine: &Engine, schema: &str) -> Result<()> {
    if let Engine::Server(_) = engine {
        engine.batch(&format!("CREATE SCHEMA {schema}"))?;
    }
    engine.batch(&engine.schema())
}

fn read_meta(engine: &Engine, name: &str) -> Result<Vec<u8>> {
    let value = engine.first("SELECT value FROM meta WHERE name = $1", values![name], |row| row.bytes(0))?;
    value.ok_or(StoreError::Format)
}

fn read_counter(engine: &Engine) -> Result<u64> {
    let bytes: [u8; 8] = read_meta(engine, "counter")?.try_into().map_err(|_| StoreError::Format)?;
    Ok(u64::from_le_bytes(bytes))
}

/// An entry as bytes, before it is sealed.
pub fn encode_entry(entry: &Entry) -> Vec<u8> {
    postcard::to_stdvec(entry).unwrap_or_else(|_| unreachable!("plain data"))
}

/// An entry from bytes, after they were opened.
pub fn decode_entry(bytes: &[u8]) -> Option<Entry> {
    postcard::from_bytes(bytes).ok()
}

fn int(number: u64) -> Result<i64> {
    i64::try_from(number).map_err(|_| StoreError::Rows("a number in range"))
}

fn count(number: i64) -> Result<u64> {
    u64::try_from(number).map_err(|_| StoreError::Rows("a count"))
}
