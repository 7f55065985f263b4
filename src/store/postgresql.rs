//! The database on a PostgreSQL server.
//!
//! What is committed is flushed to disk whatever the role or the database has set, writers stand in line behind one
//! lock, and a server that could lose or change what it accepted is refused before the first query. Calls block: they
//! must not be made on a thread that drives an asynchronous runtime.

use super::database::{Address, Settled};
use super::engine::{Row, Value};
use super::error::{Result, StoreError};
use super::passfile;
use postgres::error::SqlState;
use postgres::fallible_iterator::FallibleIterator as _;
use postgres::types::ToSql;
use postgres::{Client, Error, NoTls, Statement};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio_postgres_rustls::MakeRustlsConnect;

/// Where the tables of a vault are. One database holds one vault.
pub const SCHEMA: &str = "mandatum";
/// Where a backup is put before it takes the place of what is there.
pub const RESTORED: &str = "mandatum_restored";
/// Where what was there is kept after a restore.
pub const KEPT: &str = "mandatum_before_restore";

/// The oldest server that is accepted.
const VERSION: i64 = 15;
/// How often, and how far apart, a server that is just starting is asked again.
const ATTEMPTS: u32 = 100;
const PAUSE: Duration = Duration::from_millis(100);

/// Locks count by database, and a database holds one vault: one number is enough. It is "mandatum" in ASCII.
const BEGIN_WRITING: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;
    SET LOCAL synchronous_commit = on;
    SELECT pg_advisory_xact_lock(7881702260482471277);";
const BEGIN_READING: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;";

/// What could be set for a role or a database and would change what is read or when a call returns.
const SESSION: &str = "SET lock_timeout = '10s';
    SET statement_timeout = 0;
    SET idle_in_transaction_session_timeout = 0;
    SET default_transaction_read_only = off;
    SET client_min_messages = warning;
    SET row_security = off;";

const SERVER: &str = "SELECT current_setting('server_version_num')::bigint, pg_is_in_recovery()::int::bigint,
    current_setting('fsync'), current_setting('full_page_writes')";

/// Whatever could change, hide or lose rows behind a query's back.
const HAZARDS: &str = "SELECT what FROM (
      SELECT 'triggers' AS what, tgrelid AS of FROM pg_catalog.pg_trigger
      UNION ALL SELECT 'rules', ev_class FROM pg_catalog.pg_rewrite
      UNION ALL SELECT 'row security', polrelid FROM pg_catalog.pg_policy
      UNION ALL SELECT 'row security', oid FROM pg_catalog.pg_class WHERE relrowsecurity OR relforcerowsecurity
      UNION ALL SELECT 'inheritance', inhparent FROM pg_catalog.pg_inherits
      UNION ALL SELECT 'unlogged tables', oid FROM pg_catalog.pg_class WHERE relpersistence <> 'p'
      UNION ALL SELECT 'views or sequences', oid FROM pg_catalog.pg_class WHERE relkind NOT IN ('r', 'i', 'c', 't')
    ) AS hazards JOIN pg_catalog.pg_class ON pg_class.oid = of
    WHERE relnamespace = pg_catalog.to_regnamespace($1) LIMIT 1";

/// A server, with the connection to it.
pub struct Server {
    address: Address,
    schema: &'static str,
    session: RefCell<Option<Box<Session>>>,
    mode: Cell<Mode>,
}

struct Session {
    client: Client,
    prepared: HashMap<String, Statement>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Idle,
    Reading,
    Writing,
    /// A statement of this transaction was refused: the server would answer a commit with a rollback, and call it done.
    Spoilt,
}

impl Server {
    /// Connects, and looks at what durability depends on.
    pub fn connect(address: &Address, schema: &'static str) -> Result<Self> {
        let server =
            Self { address: address.clone(), schema, session: RefCell::default(), mode: Cell::new(Mode::Idle) };
        server.reconnect()?;
        Ok(server)
    }

    fn reconnect(&self) -> Result<()> {
        let mut settled = self.address.settle()?;
        if settled.config.get_password().is_none()
            && let Some(password) = passfile::password(&settled.config)?
        {
            settled.config.password(password.as_bytes());
        }
        let mut client = dial(&settled)?;
        let set_up = format!("SET search_path = {}, pg_temp; {SESSION}", self.schema);
        client.batch_execute(&set_up).map_err(refused)?;
        check_server(&mut client)?;
        let hazard = client.query_opt(HAZARDS, &[&self.schema]).map_err(refused)?;
        if let Some(row) = hazard {
            let what: String = row.try_get(0).map_err(refused)?;
            return Err(StoreError::Setting(format!(
                "tables that are its own alone: there are {what} in schema {}; take them away",
                self.schema
            )));
        }
        *self.session.borrow_mut() = Some(Box::new(Session { client, prepared: HashMap::new() }));
        self.mode.set(Mode::Idle);
        Ok(())
    }

    /// Whether a schema of this name is there.
    pub fn has(&self, schema: &str) -> Result<bool> {
        let mut found = false;
        self.query(
            "SELECT 1::bigint FROM pg_catalog.pg_namespace WHERE nspname = $1",
            &[Value::Text(schema)],
            &mut |_| {
                found = true;
                Ok(false)
            },
        )?;
        Ok(found)
    }

    pub fn execute(&self, sql: &str, values: &[Value<'_>]) -> Result<u64> {
        self.with_session(|session| {
            let statement = session.prepare(sql)?;
            session.client.execute(&statement, &bound(values)).map_err(refused)
        })
    }

    pub fn query(&self, sql: &str, values: &[Value<'_>], each: &mut dyn FnMut(&Row<'_>) -> Result<bool>) -> Result<()> {
        self.with_session(|session| {
            let statement = session.prepare(sql)?;
            let mut rows = session.client.query_raw(&statement, bound(values)).map_err(refused)?;
            while let Some(row) = rows.next().map_err(refused)? {
                if !each(&Row::Postgres(&row))? {
                    break;
                }
            }
            Ok(())
        })
    }

    pub fn batch(&self, sql: &str) -> Result<()> {
        self.with_session(|session| session.client.batch_execute(sql).map_err(refused))
    }

    /// Begins one snapshot of everything. A connection that was lost since the last call is made anew here.
    pub fn begin_reading(&self) -> Result<()> {
        if self.mode.get() != Mode::Idle && self.session.borrow().is_some() {
            return Ok(());
        }
        self.mode.set(Mode::Idle);
        match self.batch(BEGIN_READING) {
            Err(StoreError::Lost(_)) => self.batch(BEGIN_READING)?,
            done => done?,
        }
        self.mode.set(Mode::Reading);
        Ok(())
    }

    pub fn end_reading(&self) -> Result<()> {
        // Nothing was written: if this fails, the connection is gone, and the snapshot with it.
        self.roll_back();
        Ok(())
    }

    pub fn begin_writing(&self) -> Result<()> {
        // Set before: if the lock is not granted in time, the transaction is there already and must be taken back.
        self.mode.set(Mode::Writing);
        match self.batch(BEGIN_WRITING) {
            Err(StoreError::Lost(_)) => {
                self.mode.set(Mode::Idle);
                self.reconnect()?;
                self.mode.set(Mode::Writing);
                self.batch(BEGIN_WRITING)
            }
            done => done,
        }
    }

    /// Commits. No answer, or one that was given while the server went down, leaves open what happened.
    pub fn commit(&self) -> Result<()> {
        if self.mode.get() == Mode::Spoilt {
            return Err(StoreError::Server { said: "a statement before the commit failed".into(), damage: false });
        }
        match self.batch("COMMIT") {
            Ok(()) => {
                self.mode.set(Mode::Idle);
                Ok(())
            }
            Err(StoreError::Lost(_)) => Err(StoreError::Unknown),
            Err(other) => Err(other),
        }
    }

    pub fn roll_back(&self) {
        if self.mode.replace(Mode::Idle) != Mode::Idle {
            // Gone with the connection, where there is none any more.
            let mut slot = self.session.borrow_mut();
            let over = slot.as_mut().is_some_and(|session| session.client.batch_execute("ROLLBACK").is_ok());
            if !over {
                *slot = None;
            }
        }
    }

    fn with_session<T>(&self, work: impl FnOnce(&mut Session) -> Result<T>) -> Result<T> {
        if self.session.borrow().is_none() {
            if self.mode.get() != Mode::Idle {
                return Err(StoreError::Lost("it ended within a transaction".into()));
            }
            self.reconnect()?;
        }
        let mut slot = self.session.borrow_mut();
        let session = slot.as_mut().ok_or_else(|| StoreError::Lost("it ended".into()))?;
        let done = work(session);
        if matches!(done, Err(StoreError::Lost(_))) || session.client.is_closed() {
            *slot = None;
        }
        drop(slot);
        match (self.mode.get(), &done) {
            (Mode::Writing, Err(_)) => self.mode.set(Mode::Spoilt),
            // The server answers nothing more in this snapshot. Whoever looks for damage looks on, without one.
            (Mode::Reading, Err(StoreError::Server { .. })) => self.roll_back(),
            _ => {}
        }
        done
    }
}

impl Session {
    fn prepare(&mut self, sql: &str) -> Result<Statement> {
        if let Some(statement) = self.prepared.get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.client.prepare(sql).map_err(refused)?;
        self.prepared.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }
}

fn bound<'a>(values: &'a [Value<'a>]) -> Vec<&'a (dyn ToSql + Sync)> {
    let bind = |value: &'a Value<'a>| -> &'a (dyn ToSql + Sync) {
        match value {
            Value::Int(number) => number,
            Value::Bytes(bytes) => bytes,
            Value::Text(text) => text,
        }
    };
    values.iter().map(bind).collect()
}

/// Connects; waits for a server that is just starting, as after a crash.
fn dial(settled: &Settled) -> Result<Client> {
    let connect = || match settled.tls {
        true => settled.config.connect(tls(settled)?).map_err(refused),
        false => settled.config.connect(NoTls).map_err(refused),
    };
    let starting = |error: &StoreError| matches!(error, StoreError::Lost(said) if said.contains(STARTING));
    let mut attempts = 1;
    loop {
        match connect() {
            Err(error) if starting(&error) && attempts < ATTEMPTS => {
                attempts += 1;
                std::thread::sleep(PAUSE);
            }
            done => return done,
        }
    }
}

/// `cannot_connect_now`: the server starts, stops or recovers.
const STARTING: &str = "57P03";

fn tls(settled: &Settled) -> Result<MakeRustlsConnect> {
    let mut roots = rustls::RootCertStore::empty();
    match &settled.root {
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Some(path) => {
            let unread =
                |_| StoreError::Address(format!("names {} as sslrootcert, which holds no certificate", path.display()));
            for certificate in CertificateDer::pem_file_iter(path).map_err(unread)? {
                let certificate = certificate.map_err(unread)?;
                roots.add(certificate).map_err(|e| StoreError::Address(format!("names a root that is none: {e}")))?;
            }
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(|e| StoreError::Lost(e.to_string()))?;
    Ok(MakeRustlsConnect::new(config.with_root_certificates(roots).with_no_client_auth()))
}

fn check_server(client: &mut Client) -> Result<()> {
    let row = client.query_one(SERVER, &[]).map_err(refused)?;
    let (version, replica): (i64, i64) = (row.try_get(0).map_err(refused)?, row.try_get(1).map_err(refused)?);
    let (fsync, pages): (String, String) = (row.try_get(2).map_err(refused)?, row.try_get(3).map_err(refused)?);
    let lacks = |what: String| Err(StoreError::Setting(what));
    if version / 10_000 < VERSION {
        return lacks(format!("PostgreSQL {VERSION} or newer: this server is version {}", version / 10_000));
    }
    if replica != 0 {
        return lacks("a server that writes: this one is a replica; name the primary".into());
    }
    match (fsync.as_str(), pages.as_str()) {
        ("on", "on") => Ok(()),
        ("on", _) => lacks("full_page_writes = on: a crash could tear what was committed".into()),
        _ => lacks("fsync = on: a crash could lose what was committed".into()),
    }
}

/// What an error means: the connection is gone, the data are wrong, or the server refuses for another reason.
fn refused(error: Error) -> StoreError {
    let said = |code: &str, message: &str| format!("{message} ({code})");
    let Some(of_server) = error.as_db_error() else {
        // A value that is not of its column's type never left this program.
        let wrong_type = std::error::Error::source(&error)
            .is_some_and(|cause| cause.is::<postgres::types::WrongType>() || cause.is::<postgres::types::WasNull>());
        return match wrong_type {
            true => StoreError::Server { said: error.to_string(), damage: true },
            false => StoreError::Lost(with_cause(&error)),
        };
    };
    let (code, message) = (of_server.code(), of_server.message());
    let severity = of_server.parsed_severity();
    let ends = matches!(severity, Some(postgres::error::Severity::Fatal | postgres::error::Severity::Panic));
    if ends || code.code().starts_with("08") || code.code().starts_with("57P") || code.code() == "40003" {
        return StoreError::Lost(said(code.code(), message));
    }
    StoreError::Server { said: said(code.code(), message), damage: is_damage(code) }
}

fn is_damage(code: &SqlState) -> bool {
    // Data that do not fit, a broken constraint, a table or column that is not there, a page that is corrupt.
    *code != SqlState::INSUFFICIENT_PRIVILEGE
        && ["22", "23", "3F", "42", "XX"].iter().any(|class| code.code().starts_with(class))
}

fn with_cause(error: &Error) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}
