//! The database in a file.

use super::engine::{Row, Value};
use super::error::{Result, StoreError};
use rusqlite::config::DbConfig;
use rusqlite::hooks::Wal;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, Connection, OpenFlags, ToSql, params_from_iter};
use std::cell::Cell;
use std::fs::OpenOptions;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

/// Pages of the write-ahead log before it is moved into the database: few, since a cold start reads all of them.
const WAL_PAGES: u64 = 64;
/// The same for a process that stays: so many that most of them can be moved beside the work.
const STAYING_WAL_PAGES: u64 = 2048;
/// A page in the log with its header, bytes.
const WAL_FRAME: u64 = 4096 + 24;
/// Pages of the database kept in memory by a process that stays, KiB; SQLite takes a negative number for that.
const STAYING_CACHE_KIB: i64 = -32 * 1024;
/// How long a writer waits for another process.
const BUSY: Duration = Duration::from_secs(10);

/// An open file of SQLite.
pub struct File {
    conn: Connection,
    mover: Option<Mover>,
    /// Pages in the write-ahead log after the last commit.
    logged: Arc<AtomicU64>,
    /// The length of its file, at least, bytes.
    blocks: Cell<u64>,
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
        Ok(Self::of(conn))
    }

    fn of(conn: Connection) -> Self {
        Self { conn, mover: None, logged: Arc::default(), blocks: Cell::new(0) }
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
        conn.set_prepared_statement_cache_capacity(64);
        let mut file = Self::of(conn);
        file.check_settings()?;
        // In place of SQLite's own checkpoint: see `keep_log`.
        let logged = Arc::clone(&file.logged);
        let count = move |_: &mut Wal, pages: i32| {
            logged.store(u64::try_from(pages).unwrap_or(0), Ordering::Relaxed);
            Ok(())
        };
        file.conn.wal_hook(Some(count))?;
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

    /// As [`File::execute`], for rows that nothing opens any more: their pages are given back as they are. Writing zeros
    /// over a thousand of them first was a third of what a revocation took (54 ms to 36).
    pub fn discard(&self, sql: &str, values: &[Value<'_>]) -> Result<u64> {
        self.batch("PRAGMA secure_delete = FAST")?;
        let discarded = self.execute(sql, values);
        self.batch("PRAGMA secure_delete = ON")?;
        discarded
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

    /// Keeps the write-ahead log short, and its file long: making bytes durable where there are blocks already takes a
    /// twentieth of the time. After a commit.
    ///
    /// SQLite's own checkpoint begins the log anew only within the process that made it; where every process writes
    /// once, the log would grow for ever, and each start would read it whole. A log that stays long, for a reader or for
    /// want of space, costs time and nothing else: what was committed is durable in it.
    pub fn keep_log(&self) {
        let pages = self.logged.load(Ordering::Relaxed);
        match &self.mover {
            None if pages > WAL_PAGES => self.empty_log("TRUNCATE"),
            // The next commit begins the log anew, in the blocks there are.
            Some(mover) if pages > STAYING_WAL_PAGES && mover.has_moved() => self.empty_log("RESTART"),
            _ => self.lengthen_log(pages),
        }
    }

    fn empty_log(&self, way: &str) {
        let _ = self.conn.busy_timeout(Duration::ZERO);
        let _ = self.checkpoint(way);
        let _ = self.conn.busy_timeout(BUSY);
    }

    /// Whether all of the log was moved.
    fn checkpoint(&self, way: &str) -> Result<bool> {
        self.blocks.set(0);
        let busy = self.conn.query_row(&format!("PRAGMA wal_checkpoint({way})"), [], |row| row.get::<_, i64>(0))?;
        Ok(busy == 0)
    }

    /// Moves the whole log into the database and begins it anew. What stands in it may be from a commit whose sync
    /// failed: the system then calls it written, and it is not; whatever is built on it would go with it.
    pub fn settle(&self) -> Result<()> {
        if self.checkpoint("TRUNCATE")? {
            Ok(())
        } else {
            Err(StoreError::Setting("a log that nobody else reads".into()))
        }
    }

    /// Writes zeros behind the log: SQLite reads no further than what it wrote itself. Where that fails, a commit takes
    /// longer and nothing else.
    fn lengthen_log(&self, pages: u64) {
        let least = (pages.next_multiple_of(WAL_PAGES) + WAL_PAGES) * WAL_FRAME;
        if self.blocks.get() >= least {
            return;
        }
        let Some(path) = self.conn.path().map(|path| format!("{path}-wal")) else { return };
        let Ok(mut file) = OpenOptions::new().write(true).open(path) else { return };
        let Ok(len) = file.metadata().map(|meta| meta.len()) else { return };
        let more = usize::try_from(least.saturating_sub(len)).unwrap_or(0);
        if file.seek(SeekFrom::Start(len)).is_ok() && file.write_all(&vec![0; more]).is_ok() {
            self.blocks.set(len.max(least));
        }
    }

    /// Moves the log in the background from now on: this process serves for long, and nobody waits for that work.
    pub fn stay(&mut self) {
        // Without it every page beyond 2 MiB is read from the system again and again.
        let _ = self.conn.pragma_update(None, "cache_size", STAYING_CACHE_KIB);
        self.mover = self.conn.path().map(Path::new).and_then(|path| Mover::start(path).ok());
    }
}

impl Drop for File {
    /// Whoever starts next reads a short log.
    fn drop(&mut self) {
        if self.mover.is_some() {
            self.empty_log("TRUNCATE");
        }
    }
}

/// Moves the write-ahead log into the database beside the work that goes on. What it leaves, which is what was written
/// meanwhile, is moved in turn, so that the log can be cut.
struct Mover {
    orders: SyncSender<()>,
    moved: Arc<AtomicBool>,
}

impl Mover {
    fn start(path: &Path) -> Result<Self> {
        let conn = connect(path)?;
        // It may be the last one that ends, beside one that was opened anew.
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        conn.execute_batch("PRAGMA synchronous = FULL; PRAGMA secure_delete = ON;")?;
        let (orders, taken) = sync_channel(1);
        let moved = Arc::new(AtomicBool::new(false));
        let done = Arc::clone(&moved);
        let work = move || {
            while taken.recv().is_ok() {
                let _ = conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
                done.store(true, Ordering::Release);
            }
        };
        std::thread::Builder::new().name("log mover".into()).spawn(work).map_err(|_| StoreError::Format)?;
        Ok(Self { orders, moved })
    }

    /// Whether most of the log has been moved since the last time; if not, that is begun.
    fn has_moved(&self) -> bool {
        let moved = self.moved.swap(false, Ordering::Acquire);
        if !moved {
            // One that is under way already is enough.
            let _ = self.orders.try_send(());
        }
        moved
    }
}

fn connect(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    Ok(Connection::open_with_flags(path, flags)?)
}
