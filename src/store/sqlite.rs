//! The database in a file.

use super::engine::{Row, Value};
use super::error::{Result, StoreError};
use rusqlite::config::DbConfig;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, Connection, OpenFlags, ToSql, params_from_iter};
use std::path::Path;
use std::time::Duration;

/// Bytes of the write-ahead log before it is moved into the database: small, since a cold start reads all of it.
const WAL_BYTES: u64 = 64 * 4096;
/// How long a writer waits for another process.
const BUSY: Duration = Duration::from_secs(10);

/// An open file of SQLite.
pub struct File {
    conn: Connection,
}

impl ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Value::Int(number) => ValueRef::Integer(*number),
            Value::Bytes(bytes) => ValueRef::Blob(bytes),
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
        }))
    }
}

impl File {
    /// A file to make a schema in: in write-ahead logging from its first page on.
    pub fn create(path: &Path) -> Result<Self> {
        let conn = Connection::open(path)?;
        conn.execute_batch("PRAGMA journal_mode = WAL; PRAGMA secure_delete = ON;")?;
        Ok(Self { conn })
    }

    /// A file that exists, with every setting durability depends on.
    pub fn open(path: &Path) -> Result<Self> {
        let conn = connect(path)?;
        conn.busy_timeout(BUSY)?;
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
        // A command-line process is often the only one; moving the WAL at each exit would cost two more syncs.
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        conn.execute_batch("PRAGMA synchronous = FULL; PRAGMA secure_delete = ON; PRAGMA cell_size_check = ON;")?;
        // Instead of SQLite's own: see `empty_long_log`.
        conn.pragma_update(None, "wal_autocheckpoint", 0)?;
        conn.set_prepared_statement_cache_capacity(64);
        let file = Self { conn };
        file.check_settings()?;
        Ok(file)
    }

    /// Puts a copy back into write-ahead logging.
    pub fn adopt(path: &Path) -> Result<Self> {
        connect(path)?.execute_batch("PRAGMA journal_mode = WAL;")?;
        Self::open(path)
    }

    fn check_settings(&self) -> Result<()> {
        let mode: String = self.conn.query_row("PRAGMA journal_mode", [], |row| row.get(0))?;
        let synchronous: i64 = self.conn.query_row("PRAGMA synchronous", [], |row| row.get(0))?;
        match (mode.as_str(), synchronous) {
            ("wal", 2) => Ok(()),
            ("wal", _) => Err(StoreError::Setting("synchronous = FULL".into())),
            _ => Err(StoreError::Setting("a write-ahead log; a backup is put in place with 'mandatum restore'".into())),
        }
    }

    /// SQLite's own check of the file.
    pub fn check(&self) -> Result<()> {
        let answer: String = self.conn.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        if answer == "ok" { Ok(()) } else { Err(StoreError::Format) }
    }

    /// Copies the whole file while it is in use: a consistent moment of it.
    pub fn copy_to(&self, path: &Path) -> Result<()> {
        let mut to = Connection::open(path)?;
        let backup = rusqlite::backup::Backup::new(&self.conn, &mut to)?;
        backup.run_to_completion(1024, Duration::ZERO, None)?;
        drop(backup);
        to.execute_batch("PRAGMA journal_mode = DELETE;")?;
        Ok(())
    }

    /// Makes the file one that travels alone: no log beside it.
    pub fn detach(self) -> Result<()> {
        Ok(self.conn.execute_batch("PRAGMA journal_mode = DELETE;")?)
    }

    pub fn execute(&self, sql: &str, values: &[Value<'_>]) -> Result<u64> {
        let changed = self.prepare(sql)?.execute(params_from_iter(values))?;
        u64::try_from(changed).map_err(|_| StoreError::Rows("a count"))
    }

    pub fn query(&self, sql: &str, values: &[Value<'_>], each: &mut dyn FnMut(&Row<'_>) -> Result<bool>) -> Result<()> {
        let mut statement = self.prepare(sql)?;
        let mut rows = statement.query(params_from_iter(values))?;
        while let Some(row) = rows.next()? {
            if !each(&Row::Sqlite(row))? {
                break;
            }
        }
        Ok(())
    }

    fn prepare(&self, sql: &str) -> Result<CachedStatement<'_>> {
        Ok(self.conn.prepare_cached(sql)?)
    }

    pub fn batch(&self, sql: &str) -> Result<()> {
        Ok(self.conn.execute_batch(sql)?)
    }

    pub fn begin_reading(&self) -> Result<()> {
        if self.conn.is_autocommit() { self.batch("BEGIN") } else { Ok(()) }
    }

    pub fn end_reading(&self) -> Result<()> {
        if self.conn.is_autocommit() { Ok(()) } else { self.batch("COMMIT") }
    }

    pub fn roll_back(&self) {
        if !self.conn.is_autocommit() {
            // What cannot be taken back now is taken back when the file is opened again.
            let _ = self.batch("ROLLBACK");
        }
    }

    /// Moves a long write-ahead log into the database and cuts it to nothing. SQLite's own checkpoint begins the log
    /// anew only within the process that made it; where every process writes once, the log would grow for ever, and
    /// each start would read it whole. A log that stays long, for a reader or for want of space, costs time and nothing
    /// else: what was committed is durable in it.
    pub fn empty_long_log(&self) {
        let log = self.conn.path().map(|path| format!("{path}-wal"));
        let len = log.and_then(|log| std::fs::metadata(log).ok()).map_or(0, |meta| meta.len());
        if len > WAL_BYTES {
            let _ = self.conn.busy_timeout(Duration::ZERO);
            let _ = self.conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
            let _ = self.conn.busy_timeout(BUSY);
        }
    }
}

fn connect(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    Ok(Connection::open_with_flags(path, flags)?)
}
