//! SQL and nothing but SQL.
//!
//! Guarantees: everything written in one [`Store::write`] is durable when it returns, or nothing of it is there. What
//! it holds it cannot open. Parameters are numbered in the order they stand in the text, which SQLite and PostgreSQL
//! read alike. It trusts nothing it reads back: the broker checks every byte by seal, signature or tree.

use crate::ledger::Entry;
use crate::model::{CredentialId, Digest, GrantId, ReuseTag, UnitId, VaultId};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension, Transaction, TransactionBehavior, params};
use std::path::Path;
use std::time::Duration;

/// The schema's version, in `meta`.
const FORMAT: i64 = 1;
/// Bytes of the write-ahead log before it is moved into the database: small, since a cold start reads all of it.
const WAL_BYTES: u64 = 64 * 4096;
/// How long a writer waits for another process.
const BUSY: Duration = Duration::from_secs(10);

/// Why the store refuses.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// SQLite says no: disk full, I/O error, not a database, changed by hand.
    #[error("the database refused: {0}")]
    Sql(#[from] rusqlite::Error),
    /// It is not a vault's database of this version.
    #[error("this is not a vault database of this version")]
    Format,
    /// Something that must be there is not, or is there twice.
    #[error("the database lacks {0}, or has it more than once")]
    Rows(&'static str),
    /// The settings durability depends on are not in force.
    #[error("the database does not run with {0}")]
    Setting(&'static str),
}

impl StoreError {
    /// Whether the file itself is wrong, as opposed to a full or failing disk.
    pub fn is_damage(&self) -> bool {
        use rusqlite::ErrorCode::{ConstraintViolation, DatabaseCorrupt, NotADatabase, TypeMismatch};
        match self {
            StoreError::Sql(rusqlite::Error::SqliteFailure(failure, _)) => {
                matches!(failure.code, DatabaseCorrupt | NotADatabase | TypeMismatch | ConstraintViolation)
            }
            StoreError::Sql(
                rusqlite::Error::InvalidColumnType(..)
                | rusqlite::Error::FromSqlConversionFailure(..)
                | rusqlite::Error::SqlInputError { .. },
            ) => true,
            StoreError::Sql(_) | StoreError::Setting(_) => false,
            StoreError::Format | StoreError::Rows(_) => true,
        }
    }
}

type Result<T> = std::result::Result<T, StoreError>;

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

/// An open database.
pub struct Store {
    conn: Connection,
}

impl Store {
    /// Makes the database of a new vault; the file must not exist.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn create(path: &Path, vault: VaultId) -> Result<Self> {
        let conn = Connection::open(path)?;
        conn.execute_batch("PRAGMA journal_mode = WAL; PRAGMA secure_delete = ON;")?;
        conn.execute_batch(include_str!("schema.sql"))?;
        let insert = "INSERT INTO meta (name, value) VALUES ($1, $2)";
        conn.execute(insert, params!["format", FORMAT.to_le_bytes().as_slice()])?;
        conn.execute(insert, params!["vault", vault.bytes().as_slice()])?;
        conn.execute(insert, params!["counter", 0_i64.to_le_bytes().as_slice()])?;
        drop(conn);
        Self::open(path)
    }

    /// Opens a database that exists.
    ///
    /// # Errors
    /// [`StoreError`]; durability settings that are not in force are an error.
    pub fn open(path: &Path) -> Result<Self> {
        let flags =
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
        let conn = Connection::open_with_flags(path, flags)?;
        conn.busy_timeout(BUSY)?;
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
        // A command-line process is often the only one; moving the WAL at each exit would cost two more syncs.
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        conn.execute_batch("PRAGMA synchronous = FULL; PRAGMA secure_delete = ON; PRAGMA cell_size_check = ON;")?;
        // Instead of SQLite's own: see `empty_long_log`.
        conn.pragma_update(None, "wal_autocheckpoint", 0)?;
        let store = Self { conn };
        store.check_settings()?;
        Ok(store)
    }

    /// Takes a backup file over as a database: puts it back into write-ahead logging and checks its form.
    ///
    /// # Errors
    /// [`StoreError`] if it is not a vault's database.
    pub fn adopt(path: &Path) -> Result<Self> {
        let flags =
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
        let conn = Connection::open_with_flags(path, flags)?;
        conn.execute_batch("PRAGMA journal_mode = WAL;")?;
        drop(conn);
        Self::open(path)
    }

    fn check_settings(&self) -> Result<()> {
        let mode: String = self.conn.query_row("PRAGMA journal_mode", [], |row| row.get(0))?;
        let synchronous: i64 = self.conn.query_row("PRAGMA synchronous", [], |row| row.get(0))?;
        match (mode.as_str(), synchronous) {
            ("wal", 2) => {}
            ("wal", _) => return Err(StoreError::Setting("synchronous = FULL")),
            _ => {
                return Err(StoreError::Setting("a write-ahead log; a backup is put in place with 'mandatum restore'"));
            }
        }
        if self.meta("format")? != FORMAT.to_le_bytes() {
            return Err(StoreError::Format);
        }
        Ok(())
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
        let bytes: [u8; 8] = self.meta("counter")?.try_into().map_err(|_| StoreError::Format)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn meta(&self, name: &str) -> Result<Vec<u8>> {
        let sql = "SELECT value FROM meta WHERE name = $1";
        let value = self.conn.prepare_cached(sql)?.query_row([name], |row| row.get(0)).optional()?;
        value.ok_or(StoreError::Format)
    }

    /// A unit's row.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn unit(&self, unit: UnitId) -> Result<Option<UnitRow>> {
        let sql = "SELECT label, size, state, keys FROM units WHERE unit = $1";
        let read = |row: &rusqlite::Row<'_>| {
            let (label, size): (Vec<u8>, i64) = (row.get(0)?, row.get(1)?);
            Ok((label, size, row.get(2)?, row.get(3)?))
        };
        let found = self.conn.prepare_cached(sql)?.query_row([unit.bytes().as_slice()], read).optional()?;
        let Some((label, size, state, keys)) = found else { return Ok(None) };
        let label = Digest::from_slice(&label).ok_or(StoreError::Rows("a label"))?;
        Ok(Some(UnitRow { label, size: count(size)?, state, keys }))
    }

    /// Every unit with its ledger's size.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn sizes(&self) -> Result<Vec<(UnitId, u64)>> {
        let mut query = self.conn.prepare_cached("SELECT unit, size FROM units ORDER BY unit")?;
        let rows = query.query_map([], |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, i64>(1)?)))?;
        rows.map(|row| {
            let (unit, size) = row?;
            Ok((UnitId::from_slice(&unit).ok_or(StoreError::Rows("a unit's id"))?, count(size)?))
        })
        .collect()
    }

    /// The units of a label.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn units_labelled(&self, label: &Digest) -> Result<Vec<UnitId>> {
        let mut query = self.conn.prepare_cached("SELECT unit FROM units WHERE label = $1 ORDER BY unit")?;
        let rows = query.query_map([label.bytes().as_slice()], |row| row.get::<_, Vec<u8>>(0))?;
        rows.map(|row| UnitId::from_slice(&row?).ok_or(StoreError::Rows("a unit's id"))).collect()
    }

    /// One sealed entry of a ledger.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn entry(&self, unit: UnitId, seq: u64) -> Result<Option<Vec<u8>>> {
        let sql = "SELECT entry FROM records WHERE unit = $1 AND seq = $2";
        let key = params![unit.bytes().as_slice(), int(seq)?];
        Ok(self.conn.prepare_cached(sql)?.query_row(key, |row| row.get(0)).optional()?)
    }

    /// Sealed entries of a ledger from a place on, at most `limit`, in order, with their places.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn entries(&self, unit: UnitId, from: u64, limit: u32) -> Result<Vec<(u64, Vec<u8>)>> {
        let sql = "SELECT seq, entry FROM records WHERE unit = $1 AND seq >= $2 ORDER BY seq LIMIT $3";
        let mut query = self.conn.prepare_cached(sql)?;
        let rows = query.query_map(params![unit.bytes().as_slice(), int(from)?, limit], |row| {
            Ok((row.get::<_, i64>(0)?, row.get(1)?))
        })?;
        rows.map(|row| {
            let (seq, entry) = row?;
            Ok((count(seq)?, entry))
        })
        .collect()
    }

    /// One node of a ledger's tree.
    ///
    /// # Errors
    /// [`StoreError::Rows`] if it is not there.
    pub fn node(&self, unit: UnitId, level: u32, index: u64) -> Result<Digest> {
        let sql = "SELECT hash FROM nodes WHERE unit = $1 AND level = $2 AND idx = $3";
        let key = params![unit.bytes().as_slice(), level, int(index)?];
        let hash: Option<Vec<u8>> = self.conn.prepare_cached(sql)?.query_row(key, |row| row.get(0)).optional()?;
        hash.and_then(|hash| Digest::from_slice(&hash)).ok_or(StoreError::Rows("a node of a ledger's tree"))
    }

    /// Every node of a ledger's tree, for the audit of the cache itself.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn node_count(&self, unit: UnitId) -> Result<u64> {
        let sql = "SELECT count(*) FROM nodes WHERE unit = $1";
        count(self.conn.query_row(sql, [unit.bytes().as_slice()], |row| row.get(0))?)
    }

    /// A version of a secret.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn secret(&self, unit: UnitId, credential: CredentialId, version: u32) -> Result<Option<SecretRow>> {
        let sql = "SELECT ct, rec, statement FROM secrets WHERE unit = $1 AND credential = $2 AND version = $3";
        let key = params![unit.bytes().as_slice(), credential.bytes().as_slice(), version];
        let read =
            |row: &rusqlite::Row<'_>| Ok(SecretRow { ct: row.get(0)?, rec: row.get(1)?, statement: row.get(2)? });
        Ok(self.conn.prepare_cached(sql)?.query_row(key, read).optional()?)
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
        let (unit, grant) = (unit.bytes().as_slice(), grant.bytes().as_slice());
        let key = params![unit, grant, credential.bytes().as_slice(), recipient.bytes().as_slice()];
        let read = |row: &rusqlite::Row<'_>| Ok(WrapRow { outer: row.get(0)?, statement: row.get(1)? });
        Ok(self.conn.prepare_cached(sql)?.query_row(key, read).optional()?)
    }

    /// A sealed TOTP seed.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn seed(&self, unit: UnitId, credential: CredentialId) -> Result<Option<Vec<u8>>> {
        let sql = "SELECT seed FROM seeds WHERE unit = $1 AND credential = $2";
        let key = params![unit.bytes().as_slice(), credential.bytes().as_slice()];
        Ok(self.conn.prepare_cached(sql)?.query_row(key, |row| row.get(0)).optional()?)
    }

    /// Where a fingerprint is in use.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn reuse(&self, tag: &ReuseTag) -> Result<Vec<(UnitId, CredentialId)>> {
        let mut query = self.conn.prepare_cached("SELECT unit, credential FROM reuse WHERE tag = $1")?;
        let rows = query
            .query_map([tag.bytes().as_slice()], |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, Vec<u8>>(1)?)))?;
        rows.map(|row| {
            let (unit, credential) = row?;
            let ids = UnitId::from_slice(&unit).zip(CredentialId::from_slice(&credential));
            ids.ok_or(StoreError::Rows("an id of a reuse row"))
        })
        .collect()
    }

    /// How many rows of a unit the caches hold: secrets, wraps, seeds, reuse.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn row_counts(&self, unit: UnitId) -> Result<[u64; 4]> {
        let one = |sql: &str| -> Result<u64> {
            count(self.conn.query_row(sql, [unit.bytes().as_slice()], |row| row.get(0))?)
        };
        Ok([
            one("SELECT count(*) FROM secrets WHERE unit = $1")?,
            one("SELECT count(*) FROM wraps WHERE unit = $1")?,
            one("SELECT count(*) FROM seeds WHERE unit = $1")?,
            one("SELECT count(*) FROM reuse WHERE unit = $1")?,
        ])
    }

    /// SQLite's own check of the file.
    ///
    /// # Errors
    /// [`StoreError::Format`] if anything is wrong with it.
    pub fn check_file(&self) -> Result<()> {
        let answer: String = self.conn.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        if answer == "ok" { Ok(()) } else { Err(StoreError::Format) }
    }

    /// Copies the database into a new file while it is in use: a consistent moment of it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn copy_to(&self, path: &Path) -> Result<()> {
        self.end_reading()?;
        let mut to = Connection::open(path)?;
        let backup = rusqlite::backup::Backup::new(&self.conn, &mut to)?;
        backup.run_to_completion(1024, Duration::ZERO, None)?;
        drop(backup);
        to.execute_batch("PRAGMA journal_mode = DELETE;")?;
        Ok(())
    }

    /// Begins to read one consistent moment of the database, until [`Store::end_reading`]; without it every single read
    /// takes and gives back its locks.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn begin_reading(&self) -> Result<()> {
        if self.conn.is_autocommit() {
            self.conn.execute_batch("BEGIN")?;
        }
        Ok(())
    }

    /// Ends what [`Store::begin_reading`] began.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn end_reading(&self) -> Result<()> {
        if !self.conn.is_autocommit() {
            self.conn.execute_batch("COMMIT")?;
        }
        Ok(())
    }

    /// Moves a long write-ahead log into the database and cuts it to nothing. SQLite's own checkpoint begins the log
    /// anew only within the process that made it; where every process writes once, the log would grow for ever, and
    /// each start would read it whole. A log that stays long, for a reader or for want of space, costs time and nothing
    /// else: what was committed is durable in it.
    fn empty_long_log(&self) {
        let log = self.conn.path().map(|path| format!("{path}-wal"));
        let len = log.and_then(|log| std::fs::metadata(log).ok()).map_or(0, |meta| meta.len());
        if len > WAL_BYTES {
            let _ = self.conn.busy_timeout(Duration::ZERO);
            let _ = self.conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
            let _ = self.conn.busy_timeout(BUSY);
        }
    }

    /// Writes everything or nothing, durably. What is read after it is read anew from the database.
    ///
    /// # Errors
    /// Whatever `work` returns, or the commit.
    pub fn write<T, E: From<StoreError>>(
        &mut self,
        work: impl FnOnce(&Write<'_>) -> std::result::Result<T, E>,
    ) -> std::result::Result<T, E> {
        self.end_reading()?;
        let done = {
            let txn = self.conn.transaction_with_behavior(TransactionBehavior::Immediate).map_err(StoreError::from)?;
            let write = Write { txn };
            let done = work(&write)?;
            write.txn.commit().map_err(StoreError::from)?;
            done
        };
        self.empty_long_log();
        self.begin_reading()?;
        Ok(done)
    }
}

/// A transaction under way. Every change says how many rows it must touch.
pub struct Write<'a> {
    txn: Transaction<'a>,
}

impl Write<'_> {
    fn one(&self, what: &'static str, sql: &str, values: impl rusqlite::Params) -> Result<()> {
        match self.txn.prepare_cached(sql)?.execute(values)? {
            1 => Ok(()),
            _ => Err(StoreError::Rows(what)),
        }
    }

    /// A new unit with an empty ledger.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn add_unit(&self, unit: UnitId, label: &Digest, keys: &[u8]) -> Result<()> {
        let sql = "INSERT INTO units (unit, label, size, state, keys) VALUES ($1, $2, 0, x'', $3)";
        self.one("a unit", sql, params![unit.bytes().as_slice(), label.bytes().as_slice(), keys])
    }

    /// Appends an entry to a ledger of `size` entries, with the tree's new nodes.
    ///
    /// # Errors
    /// [`StoreError`]; also if the ledger does not have that size.
    pub fn append(&self, unit: UnitId, size: u64, entry: &[u8], nodes: &[(u32, u64, Digest)]) -> Result<()> {
        let sql = "INSERT INTO records (unit, seq, entry) VALUES ($1, $2, $3)";
        self.one("a record", sql, params![unit.bytes().as_slice(), int(size)?, entry])?;
        for (level, index, hash) in nodes {
            let sql = "INSERT INTO nodes (unit, level, idx, hash) VALUES ($1, $2, $3, $4)";
            let row = params![unit.bytes().as_slice(), level, int(*index)?, hash.bytes().as_slice()];
            self.one("a node", sql, row)?;
        }
        let sql = "UPDATE units SET size = size + 1 WHERE unit = $1 AND size = $2";
        self.one("the ledger's size", sql, params![unit.bytes().as_slice(), int(size)?])?;
        let counter = self.counter()?.saturating_add(1).to_le_bytes();
        let sql = "UPDATE meta SET value = $1 WHERE name = 'counter'";
        self.one("the counter", sql, [counter.as_slice()])
    }

    fn counter(&self) -> Result<u64> {
        let sql = "SELECT value FROM meta WHERE name = 'counter'";
        let value: Vec<u8> = self.txn.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
        Ok(u64::from_le_bytes(value.try_into().map_err(|_| StoreError::Format)?))
    }

    /// A node of a ledger's tree, as this transaction sees it.
    ///
    /// # Errors
    /// [`StoreError::Rows`] if it is not there.
    pub fn node(&self, unit: UnitId, level: u32, index: u64) -> Result<Digest> {
        let sql = "SELECT hash FROM nodes WHERE unit = $1 AND level = $2 AND idx = $3";
        let key = params![unit.bytes().as_slice(), level, int(index)?];
        let hash: Option<Vec<u8>> = self.txn.prepare_cached(sql)?.query_row(key, |row| row.get(0)).optional()?;
        hash.and_then(|hash| Digest::from_slice(&hash)).ok_or(StoreError::Rows("a node of a ledger's tree"))
    }

    /// A new state document.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn put_state(&self, unit: UnitId, state: &[u8]) -> Result<()> {
        let sql = "UPDATE units SET state = $1 WHERE unit = $2";
        self.one("a unit", sql, params![state, unit.bytes().as_slice()])
    }

    /// A new label: after the anchor was made anew, with a new label key.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn put_label(&self, unit: UnitId, label: &Digest) -> Result<()> {
        let sql = "UPDATE units SET label = $1 WHERE unit = $2";
        self.one("a unit", sql, params![label.bytes().as_slice(), unit.bytes().as_slice()])
    }

    /// New recovery wraps of a unit's keys.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn put_keys(&self, unit: UnitId, keys: &[u8]) -> Result<()> {
        let sql = "UPDATE units SET keys = $1 WHERE unit = $2";
        self.one("a unit", sql, params![keys, unit.bytes().as_slice()])
    }

    /// A version of a secret. Earlier versions go: rotation is the end of them here.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn put_secret(&self, unit: UnitId, credential: CredentialId, version: u32, row: &SecretRow) -> Result<()> {
        let sql = "DELETE FROM secrets WHERE unit = $1 AND credential = $2";
        self.txn.prepare_cached(sql)?.execute(params![unit.bytes().as_slice(), credential.bytes().as_slice()])?;
        let sql = "INSERT INTO secrets (unit, credential, version, ct, rec, statement) VALUES ($1, $2, $3, $4, $5, $6)";
        let key = (unit.bytes().as_slice(), credential.bytes().as_slice());
        self.one("a secret", sql, params![key.0, key.1, version, row.ct, row.rec, row.statement])
    }

    /// The wrap of a credential to a recipient under a grant; in place of an earlier version's.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn put_wrap(
        &self,
        unit: UnitId,
        grant: GrantId,
        credential: CredentialId,
        recipient: &Digest,
        row: &WrapRow,
    ) -> Result<()> {
        let sql = "INSERT INTO wraps (unit, grant_id, credential, recipient, outer_wrap, statement)
                   VALUES ($1, $2, $3, $4, $5, $6)
                   ON CONFLICT (unit, grant_id, credential, recipient)
                   DO UPDATE SET outer_wrap = excluded.outer_wrap, statement = excluded.statement";
        let (unit, grant) = (unit.bytes().as_slice(), grant.bytes().as_slice());
        let (credential, recipient) = (credential.bytes().as_slice(), recipient.bytes().as_slice());
        self.one("a wrap", sql, params![unit, grant, credential, recipient, row.outer, row.statement])
    }

    /// The wraps to one recipient under a grant: a device that was removed.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn drop_wraps_to(&self, unit: UnitId, grant: GrantId, recipient: &Digest) -> Result<()> {
        let sql = "DELETE FROM wraps WHERE unit = $1 AND grant_id = $2 AND recipient = $3";
        let key = params![unit.bytes().as_slice(), grant.bytes().as_slice(), recipient.bytes().as_slice()];
        self.txn.prepare_cached(sql)?.execute(key)?;
        Ok(())
    }

    /// The wraps of a grant that ended.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn drop_wraps(&self, unit: UnitId, grant: GrantId) -> Result<()> {
        let sql = "DELETE FROM wraps WHERE unit = $1 AND grant_id = $2";
        self.txn.prepare_cached(sql)?.execute(params![unit.bytes().as_slice(), grant.bytes().as_slice()])?;
        Ok(())
    }

    /// A sealed TOTP seed.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn put_seed(&self, unit: UnitId, credential: CredentialId, seed: &[u8]) -> Result<()> {
        let sql = "INSERT INTO seeds (unit, credential, seed) VALUES ($1, $2, $3)
                   ON CONFLICT (unit, credential) DO UPDATE SET seed = excluded.seed";
        self.one("a seed", sql, params![unit.bytes().as_slice(), credential.bytes().as_slice(), seed])
    }

    /// A credential's TOTP seed goes.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn drop_seed(&self, unit: UnitId, credential: CredentialId) -> Result<()> {
        let sql = "DELETE FROM seeds WHERE unit = $1 AND credential = $2";
        self.txn.prepare_cached(sql)?.execute(params![unit.bytes().as_slice(), credential.bytes().as_slice()])?;
        Ok(())
    }

    /// Everything of a mandate that ended, but its secrets' ciphertexts and its ledger: wraps, seeds, fingerprints.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn drop_access(&self, unit: UnitId) -> Result<()> {
        for sql in [
            "DELETE FROM wraps WHERE unit = $1",
            "DELETE FROM seeds WHERE unit = $1",
            "DELETE FROM reuse WHERE unit = $1",
        ] {
            self.txn.prepare_cached(sql)?.execute([unit.bytes().as_slice()])?;
        }
        Ok(())
    }

    /// The ciphertexts of a mandate that was closed.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn drop_secrets(&self, unit: UnitId) -> Result<()> {
        self.txn.prepare_cached("DELETE FROM secrets WHERE unit = $1")?.execute([unit.bytes().as_slice()])?;
        Ok(())
    }

    /// A unit whose retention is over, with its ledger.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn drop_unit(&self, unit: UnitId) -> Result<()> {
        self.drop_access(unit)?;
        self.drop_secrets(unit)?;
        for sql in ["DELETE FROM records WHERE unit = $1", "DELETE FROM nodes WHERE unit = $1"] {
            self.txn.prepare_cached(sql)?.execute([unit.bytes().as_slice()])?;
        }
        self.one("a unit", "DELETE FROM units WHERE unit = $1", [unit.bytes().as_slice()])
    }

    /// The fingerprint of a credential's current secret, in place of an earlier one's.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn put_reuse(
        &self,
        old: Option<&ReuseTag>,
        tag: &ReuseTag,
        unit: UnitId,
        credential: CredentialId,
    ) -> Result<()> {
        let key = (unit.bytes().as_slice(), credential.bytes().as_slice());
        if let Some(old) = old {
            let sql = "DELETE FROM reuse WHERE tag = $1 AND unit = $2 AND credential = $3";
            self.txn.prepare_cached(sql)?.execute(params![old.bytes().as_slice(), key.0, key.1])?;
        }
        let sql = "INSERT INTO reuse (tag, unit, credential) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
        self.txn.prepare_cached(sql)?.execute(params![tag.bytes().as_slice(), key.0, key.1])?;
        Ok(())
    }

    /// Sets the count of all records: only after an owner's restart.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn set_counter(&self, counter: u64) -> Result<()> {
        let sql = "UPDATE meta SET value = $1 WHERE name = 'counter'";
        self.one("the counter", sql, [counter.to_le_bytes().as_slice()])
    }
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
