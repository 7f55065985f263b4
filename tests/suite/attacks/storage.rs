//! Storage that is not as it should be, and work that is cut off in the middle.

use super::real::{an_hour_ago, come_to_now};
use crate::support::World;
use rusqlite::Connection;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// A database whose settings would lose a commit is not worked with: the program says which one, and releases nothing
/// (H6).
#[test]
fn a_database_without_its_log_is_refused() {
    let world = World::with_mandate();
    let fetch = || world.as_member("Sasha", "fetch Romashka/CRM --field password");
    fetch().done();
    let set = |mode: &str| {
        let conn = Connection::open(world.path("vault/vault.db")).unwrap();
        let is: String = conn.query_row(&format!("PRAGMA journal_mode = {mode}"), [], |row| row.get(0)).unwrap();
        assert_eq!(is, mode);
    };
    set("delete");
    let refused = fetch();
    assert_ne!(refused.code, 0);
    assert!(refused.stdout.is_empty() && refused.stderr.contains("write-ahead log"), "{}", refused.stderr);
    set("wal");
    fetch().done();
}

/// The real program, killed in the middle of an import, leaves whole batches: what is there verifies, and the same file
/// imported again brings the rest (H14).
#[test]
fn an_import_that_was_cut_off_is_whole_batches_and_can_be_repeated() {
    const OF_EACH: usize = 12;
    let world = an_hour_ago();
    for operator in ["Astra", "Vega"] {
        world.open_mandate("Lena", operator);
    }
    let operators = ["Astra", "Romashka", "Vega"];
    let line = |(operator, n): (&str, usize)| {
        format!(r#"{{"operator":"{operator}","system":"Form","name":"n{n}","secret":"{operator}.kk{n}-Wq9!zTm2_pX"}}"#)
    };
    let lines: Vec<String> =
        operators.iter().flat_map(|operator| (0..OF_EACH).map(move |n| (*operator, n))).map(line).collect();
    let file = world.file("lines.jsonl", &lines.join("\n"));
    let import = format!("credential import {}", file.display());
    let secrets = || -> usize {
        let conn = Connection::open(world.path("vault/vault.db")).unwrap();
        let count: i64 = conn.query_row("SELECT count(*) FROM secrets", [], |row| row.get(0)).unwrap();
        usize::try_from(count).unwrap()
    };
    let before = secrets();
    come_to_now(&world);
    // Killed once the first of the three batches is there.
    world.file("code", &world.fresh_code("Lena"));
    let mut child = world.command_here("Lena", &import).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let begun = Instant::now();
    while secrets() == before && begun.elapsed() < Duration::from_secs(60) {
        assert!(child.try_wait().unwrap().is_none() || secrets() > before, "it ended by itself");
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let stored = secrets() - before;
    assert!(stored > 0 && stored % OF_EACH == 0, "{stored} stored");
    assert!(stored < 3 * OF_EACH, "it was done before it could be killed");
    come_to_now(&world);
    world.unlock("Olga");
    world.as_member("Olga", "verify").done();
    world.unlock("Lena");
    let output = world.as_member("Lena", &format!("{import} --json"));
    assert_eq!(output.json()["stored"], 3 * OF_EACH - stored, "{}", output.stderr);
    assert_eq!(secrets() - before, 3 * OF_EACH);
    world.as_member("Olga", "verify").done();
}
