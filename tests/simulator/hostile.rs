//! Somebody edits the database.

use crate::world::World;
use mandatum::model::UnitId;
use rusqlite::Connection;

const BLOBS: [(&str, &str); 9] = [
    ("records", "entry"),
    ("records", "nodes"),
    ("units", "state"),
    ("units", "keys"),
    ("secrets", "ct"),
    ("secrets", "statement"),
    ("wraps", "outer_wrap"),
    ("wraps", "statement"),
    ("seeds", "seed"),
];

/// Changes something; says what.
pub fn edit(world: &mut World) -> rusqlite::Result<String> {
    let conn = Connection::open(world.database())?;
    // Tables without rowids are addressed by their place.
    let count = |table: &str| conn.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get::<_, i64>(0));
    let (table, column) = world.dice.pick(&BLOBS).unwrap();
    let many = usize::try_from(count(table)?).unwrap();
    let (one, other) = (world.dice.below(many), world.dice.below(many));
    let cell = |place: usize| {
        let sql = format!("SELECT {column} FROM {table} LIMIT 1 OFFSET {place}");
        conn.query_row(&sql, [], |row| row.get::<_, Vec<u8>>(0))
    };
    let set = |old: &[u8], new: &[u8]| {
        conn.execute(&format!("UPDATE {table} SET {column} = $1 WHERE {column} = $2"), [new, old])
    };
    match world.dice.below(7) {
        0 | 1 if many > 0 => {
            let old = cell(one)?;
            let mut new = old.clone();
            if new.is_empty() {
                return Ok("nothing".into());
            }
            let at = world.dice.below(new.len());
            new[at] ^= 1 << world.dice.below(8);
            set(&old, &new)?;
            Ok(format!("a bit of {table}.{column}"))
        }
        2 | 3 if many > 1 => {
            let (first, second) = (cell(one)?, cell(other)?);
            set(&first, b"aside")?;
            set(&second, &first)?;
            set(b"aside", &second)?;
            Ok(format!("two cells of {table}.{column} are swapped"))
        }
        4 => cut_tail(world, &conn),
        5 if many > 0 => {
            let old = cell(one)?;
            conn.execute(&format!("DELETE FROM {table} WHERE {column} = $1"), [old])?;
            Ok(format!("a row of {table} is deleted"))
        }
        _ => {
            let eats = world.dice.chance(50);
            let body = if eats {
                "DELETE FROM records WHERE unit = NEW.unit AND seq = NEW.seq"
            } else {
                "UPDATE records SET entry = (SELECT entry FROM records WHERE unit = NEW.unit AND seq = 0) \
                 WHERE unit = NEW.unit AND seq = NEW.seq"
            };
            conn.execute_batch(&format!("CREATE TRIGGER eats AFTER INSERT ON records BEGIN {body}; END"))?;
            Ok(format!("it {} every new record", if eats { "eats" } else { "exchanges" }))
        }
    }
}

/// The newest records of a ledger go; sometimes the count is made to fit.
fn cut_tail(world: &mut World, conn: &Connection) -> rusqlite::Result<String> {
    let units: Vec<UnitId> = world.model.contracts.keys().copied().collect();
    let unit = world.dice.pick(&units).unwrap();
    let bytes = unit.bytes().as_slice();
    let size: i64 = conn.query_row("SELECT count(*) FROM records WHERE unit = $1", [bytes], |row| row.get(0))?;
    let cut = world.dice.between(1, (size - 1).min(3));
    conn.execute("DELETE FROM records WHERE unit = $1 AND seq >= $2", rusqlite::params![bytes, size - cut])?;
    if world.dice.chance(33) {
        let counter: Vec<u8> = conn.query_row("SELECT value FROM meta WHERE name = 'counter'", [], |row| row.get(0))?;
        let counter = u64::from_le_bytes(counter.try_into().unwrap()) - cut.unsigned_abs();
        conn.execute("UPDATE meta SET value = $1 WHERE name = 'counter'", [counter.to_le_bytes().as_slice()])?;
    }
    Ok(format!("the last {cut} records of a ledger are cut off"))
}
