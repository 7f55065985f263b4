//! What both engines can do. Every query is one text for both: parameters are `$1` and on in the order they stand,
//! ids and bytes are BLOB or BYTEA, numbers are 64 bits with a sign.

use super::error::{Result, StoreError};
use super::postgresql::Server;
use super::sqlite::File;

/// A value that is bound, or compared: borrowed, since ciphertexts are long.
#[derive(Clone, Copy)]
pub enum Value<'a> {
    Int(i64),
    Bytes(&'a [u8]),
    Text(&'a str),
}

impl<'a> From<&'a [u8]> for Value<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Value::Bytes(bytes)
    }
}

impl<'a> From<&'a Vec<u8>> for Value<'a> {
    fn from(bytes: &'a Vec<u8>) -> Self {
        Value::Bytes(bytes)
    }
}

impl<'a, const N: usize> From<&'a [u8; N]> for Value<'a> {
    fn from(bytes: &'a [u8; N]) -> Self {
        Value::Bytes(bytes)
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Value::Text(text)
    }
}

impl From<i64> for Value<'_> {
    fn from(number: i64) -> Self {
        Value::Int(number)
    }
}

impl From<u32> for Value<'_> {
    fn from(number: u32) -> Self {
        Value::Int(number.into())
    }
}

/// The parameters of a query, in their order.
macro_rules! values {
    ($($value:expr),* $(,)?) => { &[$($crate::store::engine::Value::from($value)),*] };
}
pub(super) use values;

/// A value that was read.
#[derive(PartialEq, Eq)]
pub enum Cell {
    Int(i64),
    Bytes(Vec<u8>),
    Text(String),
}

impl Cell {
    pub fn value(&self) -> Value<'_> {
        match self {
            Cell::Int(number) => Value::Int(*number),
            Cell::Bytes(bytes) => Value::Bytes(bytes),
            Cell::Text(text) => Value::Text(text),
        }
    }
}

/// One row as it is read.
pub enum Row<'a> {
    Sqlite(&'a rusqlite::Row<'a>),
    Postgres(&'a postgres::Row),
}

impl Row<'_> {
    pub fn bytes(&self, column: usize) -> Result<Vec<u8>> {
        match self {
            Row::Sqlite(row) => Ok(row.get(column)?),
            Row::Postgres(row) => row.try_get(column).map_err(wrong_type),
        }
    }

    pub fn int(&self, column: usize) -> Result<i64> {
        match self {
            Row::Sqlite(row) => Ok(row.get(column)?),
            Row::Postgres(row) => row.try_get(column).map_err(wrong_type),
        }
    }

    pub fn text(&self, column: usize) -> Result<String> {
        match self {
            Row::Sqlite(row) => Ok(row.get(column)?),
            Row::Postgres(row) => row.try_get(column).map_err(wrong_type),
        }
    }

    pub fn cell(&self, column: usize) -> Result<Cell> {
        use postgres::types::Type;
        use rusqlite::types::Type as Sqlite;
        let kind = match self {
            Row::Sqlite(row) => match row.get_ref(column)?.data_type() {
                Sqlite::Integer => Kind::Int,
                Sqlite::Text => Kind::Text,
                _ => Kind::Bytes,
            },
            Row::Postgres(row) => match row.columns().get(column).map(postgres::Column::type_) {
                Some(of) if *of == Type::INT8 => Kind::Int,
                Some(of) if *of == Type::TEXT => Kind::Text,
                _ => Kind::Bytes,
            },
        };
        match kind {
            Kind::Int => self.int(column).map(Cell::Int),
            Kind::Text => self.text(column).map(Cell::Text),
            Kind::Bytes => self.bytes(column).map(Cell::Bytes),
        }
    }
}

enum Kind {
    Int,
    Text,
    Bytes,
}

/// A column holds something else than was ever written there.
fn wrong_type(error: postgres::Error) -> StoreError {
    StoreError::Server { said: error.to_string(), damage: true }
}

/// The database, whichever it is. At most one transaction is under way on it at a time.
pub enum Engine {
    File(File),
    Server(Box<Server>),
}

impl Engine {
    /// Runs one change; gives back how many rows it touched.
    pub fn execute(&self, sql: &str, values: &[Value<'_>]) -> Result<u64> {
        match self {
            Engine::File(file) => file.execute(sql, values),
            Engine::Server(server) => server.execute(sql, values),
        }
    }

    /// Deletes rows whose key is gone, or goes now: what is left of them in the file opens nothing.
    pub fn discard(&self, sql: &str, values: &[Value<'_>]) -> Result<u64> {
        match self {
            Engine::File(file) => file.discard(sql, values),
            Engine::Server(server) => server.execute(sql, values),
        }
    }

    /// Runs one query and hands over its rows one after the other; `each` says whether it wants more.
    pub fn query(&self, sql: &str, values: &[Value<'_>], each: &mut dyn FnMut(&Row<'_>) -> Result<bool>) -> Result<()> {
        match self {
            Engine::File(file) => file.query(sql, values, each),
            Engine::Server(server) => server.query(sql, values, each),
        }
    }

    /// The first row of a query, if there is one.
    pub fn first<T>(
        &self,
        sql: &str,
        values: &[Value<'_>],
        read: impl FnOnce(&Row<'_>) -> Result<T>,
    ) -> Result<Option<T>> {
        let (mut read, mut found) = (Some(read), None);
        self.query(sql, values, &mut |row| {
            if let Some(read) = read.take() {
                found = Some(read(row)?);
            }
            Ok(false)
        })?;
        Ok(found)
    }

    /// All rows of a query.
    pub fn all<T>(
        &self,
        sql: &str,
        values: &[Value<'_>],
        mut read: impl FnMut(&Row<'_>) -> Result<T>,
    ) -> Result<Vec<T>> {
        let mut found = Vec::new();
        self.query(sql, values, &mut |row| {
            found.push(read(row)?);
            Ok(true)
        })?;
        Ok(found)
    }

    /// Runs statements without parameters, one after the other.
    pub fn batch(&self, sql: &str) -> Result<()> {
        match self {
            Engine::File(file) => file.batch(sql),
            Engine::Server(server) => server.batch(sql),
        }
    }

    /// The schema, in this engine's words for types.
    pub fn schema(&self) -> String {
        let schema = include_str!("schema.sql");
        match self {
            Engine::File(_) => schema.to_owned(),
            // Names in `meta` are few and plain; "C" keeps their order the same in both.
            Engine::Server(_) => schema
                .replace("BLOB", "BYTEA")
                .replace("INTEGER", "BIGINT")
                .replace("TEXT", "TEXT COLLATE \"C\"")
                .replace(") STRICT, WITHOUT ROWID;", ");")
                .replace(") STRICT;", ");"),
        }
    }

    pub fn begin_reading(&self) -> Result<()> {
        match self {
            Engine::File(file) => file.begin_reading(),
            Engine::Server(server) => server.begin_reading(),
        }
    }

    pub fn end_reading(&self) -> Result<()> {
        match self {
            Engine::File(file) => file.end_reading(),
            Engine::Server(server) => server.end_reading(),
        }
    }

    pub fn begin_writing(&self) -> Result<()> {
        match self {
            Engine::File(file) => file.batch("BEGIN IMMEDIATE"),
            Engine::Server(server) => server.begin_writing(),
        }
    }

    pub fn commit(&self) -> Result<()> {
        match self {
            Engine::File(file) => file.batch("COMMIT"),
            Engine::Server(server) => server.commit(),
        }
    }

    /// Takes back what is under way, if anything is.
    pub fn roll_back(&self) {
        match self {
            Engine::File(file) => file.roll_back(),
            Engine::Server(server) => server.roll_back(),
        }
    }
}
