//! The tables as a whole: how they are copied from one database into another, and compared afterwards.

use super::engine::{Cell, Engine, Value};
use super::error::{Result, StoreError};

/// A table; its key is its first columns.
pub struct Table {
    pub name: &'static str,
    columns: &'static [&'static str],
    keys: usize,
}

/// Every table of `schema.sql`.
pub const TABLES: &[Table] = &[
    Table { name: "meta", columns: &["name", "value"], keys: 1 },
    Table { name: "units", columns: &["unit", "label", "state", "keys"], keys: 1 },
    Table { name: "records", columns: &["unit", "seq", "nodes", "entry"], keys: 2 },
    Table { name: "secrets", columns: &["unit", "credential", "version", "ct", "rec", "statement"], keys: 3 },
    Table {
        name: "wraps",
        columns: &["unit", "grant_id", "credential", "recipient", "outer_wrap", "statement"],
        keys: 4,
    },
    Table { name: "seeds", columns: &["unit", "credential", "seed"], keys: 2 },
    Table { name: "reuse", columns: &["tag", "unit", "credential"], keys: 3 },
];

impl Table {
    fn all(&self) -> String {
        format!("SELECT {} FROM {} ORDER BY {}", self.list(self.columns.len()), self.name, self.list(self.keys))
    }

    fn one(&self) -> String {
        let terms: Vec<String> =
            self.columns.iter().take(self.keys).zip(1..).map(|(name, number)| format!("{name} = ${number}")).collect();
        format!("SELECT {} FROM {} WHERE {}", self.list(self.columns.len()), self.name, terms.join(" AND "))
    }

    fn insert(&self) -> String {
        let marks: Vec<String> = (1..=self.columns.len()).map(|number| format!("${number}")).collect();
        format!("INSERT INTO {} ({}) VALUES ({})", self.name, self.list(self.columns.len()), marks.join(", "))
    }

    fn list(&self, count: usize) -> String {
        self.columns.iter().take(count).copied().collect::<Vec<_>>().join(", ")
    }

    fn row(&self, row: &super::engine::Row<'_>) -> Result<Vec<Cell>> {
        (0..self.columns.len()).map(|column| row.cell(column)).collect()
    }

    fn count(&self, engine: &Engine) -> Result<i64> {
        let found = engine.first(&format!("SELECT count(*) FROM {}", self.name), &[], |row| row.int(0))?;
        found.ok_or(StoreError::Rows(self.name))
    }
}

/// Copies every row into empty tables. Whoever calls it holds a snapshot of the one and a transaction on the other.
pub fn copy(from: &Engine, to: &Engine) -> Result<()> {
    for table in TABLES {
        let insert = table.insert();
        from.query(&table.all(), &[], &mut |row| {
            let cells = table.row(row)?;
            let values: Vec<Value<'_>> = cells.iter().map(Cell::value).collect();
            to.execute(&insert, &values)?;
            Ok(true)
        })?;
    }
    Ok(())
}

/// Looks every row up in the copy and counts both. Gives back how many rows there are in all.
pub fn compare(from: &Engine, to: &Engine) -> Result<u64> {
    let mut rows = 0;
    for table in TABLES {
        let one = table.one();
        from.query(&table.all(), &[], &mut |row| {
            let cells = table.row(row)?;
            let key: Vec<Value<'_>> = cells.iter().take(table.keys).map(Cell::value).collect();
            let there = to.first(&one, &key, |row| table.row(row))?;
            rows += 1;
            if there.is_some_and(|there| there == cells) { Ok(true) } else { Err(StoreError::Copy(table.name)) }
        })?;
        if table.count(from)? != table.count(to)? {
            return Err(StoreError::Copy(table.name));
        }
    }
    Ok(rows)
}

/// Whether every table has its columns, and nothing was added to them.
pub fn check(engine: &Engine) -> Result<()> {
    let sql = "SELECT relname || ' ' || string_agg(attname || ' ' || format_type(atttypid, NULL), ', ' ORDER BY attnum)
         FROM pg_catalog.pg_class JOIN pg_catalog.pg_attribute ON attrelid = pg_class.oid
         WHERE relnamespace = pg_catalog.to_regnamespace(current_schema()) AND relkind = 'r'
           AND attnum > 0 AND NOT attisdropped
         GROUP BY relname ORDER BY relname COLLATE \"C\"";
    let found = engine.all(sql, &[], |row| row.text(0))?;
    let mut expected: Vec<String> = TABLES.iter().map(Table::shape).collect();
    expected.sort();
    let keys = "SELECT count(*) FROM pg_catalog.pg_constraint WHERE contype = 'p' AND convalidated
                AND connamespace = pg_catalog.to_regnamespace(current_schema())";
    let keyed = engine.first(keys, &[], |row| row.int(0))?;
    if found == expected && keyed == i64::try_from(TABLES.len()).ok() { Ok(()) } else { Err(StoreError::Format) }
}

impl Table {
    /// As PostgreSQL describes it.
    fn shape(&self) -> String {
        let kind = |name: &&str| match *name {
            "name" => "text",
            "seq" | "version" => "bigint",
            _ => "bytea",
        };
        let columns: Vec<String> = self.columns.iter().map(|name| format!("{name} {}", kind(name))).collect();
        format!("{} {}", self.name, columns.join(", "))
    }
}
