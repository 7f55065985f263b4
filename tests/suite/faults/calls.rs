//! Killed at, or refused, each system call of a release, a revocation and a rotation of the epoch.

use super::trace::{Call, Fault};
use super::{Bench, FETCH, RENEWED, Struck, Told, spread};
use std::collections::BTreeMap;
use std::io::Write;
use std::time::Instant;

/// How many points `cargo test` tries.
const SAMPLE: usize = 72;

/// A command, and the vault it is given to.
struct Scene {
    what: &'static str,
    kept: &'static str,
    member: &'static str,
    line: &'static str,
}

static SCENES: [Scene; 6] = [
    Scene { what: "a release", kept: "ready", member: "Sasha", line: FETCH },
    Scene { what: "a revocation", kept: "ready", member: "Lena", line: "revoke Sasha Romashka/CRM" },
    Scene {
        what: "a rotation of the epoch",
        kept: "ready",
        member: "Lena",
        line: "mandate amend Romashka --remove Bot",
    },
    // The release first finishes what the kill left: it destroys keys, under a fresh epoch.
    Scene { what: "a release after a killed revocation", kept: "half", member: "Lena", line: FETCH },
    Scene { what: "a release that empties a long log", kept: "long-log", member: "Sasha", line: FETCH },
    Scene { what: "a release that writes the anchor anew", kept: "long-journal", member: "Sasha", line: FETCH },
];

/// What may happen at a call.
fn faults(call: &Call) -> &'static [Fault] {
    match call.name.as_str() {
        "read" | "pread64" => &[Fault::Error("EIO")],
        "mmap" | "brk" | "mremap" => &[Fault::Error("ENOMEM")],
        // A close that fails has closed all the same; one that strace lets fail has not.
        "close" => &[Fault::Kill],
        "fchown" | "fchmod" => &[Fault::Kill, Fault::Error("EIO"), Fault::Error("ENOSPC")],
        "openat" => &[
            Fault::Kill,
            Fault::Abort,
            Fault::Error("EIO"),
            Fault::Error("ENOSPC"),
            Fault::Error("EDQUOT"),
            Fault::Error("EMFILE"),
        ],
        _ => &[Fault::Kill, Fault::Abort, Fault::Error("EIO"), Fault::Error("ENOSPC"), Fault::Error("EDQUOT")],
    }
}

/// A revocation that was killed when its record was durable and no key was touched.
fn prepare_half(bench: &Bench) {
    bench.put_back("ready");
    let line = "revoke Sasha Romashka/CRM";
    let calls = bench.calls_of("Lena", line);
    let rotation = calls.iter().find(|call| call.on.starts_with("/epoch-key.next")).unwrap();
    bench.put_back("ready");
    assert!(bench.struck("Lena", line, rotation, Fault::Kill).struck);
    bench.keep("half");
}

/// The vault before a release that empties the database's log, and before one that writes the anchor anew.
fn prepare_long(bench: &Bench) {
    bench.put_back("ready");
    let log = || std::fs::metadata(bench.world.path("vault/vault.db-wal")).map_or(0, |meta| meta.len());
    let journal = || bench.files().into_keys().find(|path| path.extension().is_some_and(|ext| ext == "log"));
    let (mut emptied, mut rewritten) = (false, false);
    for _ in 0..400 {
        bench.keep("before");
        let (was_log, was_journal) = (log(), journal());
        bench.done("Sasha", FETCH);
        let name = |kept: &str| (bench.world.path("kept-before"), bench.world.path(&format!("kept-{kept}")));
        if !emptied && log() < was_log {
            let (from, to) = name("long-log");
            std::fs::rename(from, to).unwrap();
            emptied = true;
        } else if !rewritten && journal() != was_journal {
            let (from, to) = name("long-journal");
            std::fs::rename(from, to).unwrap();
            rewritten = true;
        }
        if emptied && rewritten {
            return;
        }
    }
    panic!("no release emptied the log ({emptied}) or wrote the anchor anew ({rewritten})");
}

/// A vault for every scene, and what each one's ledger says.
fn prepared() -> Option<(Bench, BTreeMap<&'static str, Told>)> {
    let bench = Bench::new()?;
    prepare_half(&bench);
    prepare_long(&bench);
    let told = |scene: &Scene| {
        bench.put_back(scene.kept);
        // Asking finishes a killed revocation; the release will find it unfinished.
        (scene.kept, bench.told())
    };
    let bases = SCENES.iter().map(told).collect();
    Some((bench, bases))
}

/// Every fault at every call of every scene.
fn points(bench: &Bench) -> Vec<(&'static Scene, Call, Fault)> {
    let mut points = Vec::new();
    for scene in &SCENES {
        bench.put_back(scene.kept);
        let mut calls = bench.calls_of(scene.member, scene.line);
        assert!(calls.len() > 60, "{}: only {} calls", scene.what, calls.len());
        if scene.what == "a release" {
            bench.put_back(scene.kept);
            calls.extend(bench.allocations_of(scene.member, scene.line));
        }
        for call in calls {
            points.extend(faults(&call).iter().map(|fault| (scene, call.clone(), *fault)));
        }
    }
    points
}

/// At every call the command makes, it is killed, aborts or the call fails; then the vault is judged.
#[test]
fn no_failing_call_releases_what_is_not_recorded_or_breaks_the_vault() {
    let Some((mut bench, mut bases)) = prepared() else { return };
    let mut since = Instant::now();
    let points = points(&bench);
    let (all, mut failed, mut struck) = (points.len(), 0, BTreeMap::<&str, usize>::new());
    let points = spread(points, SAMPLE);
    let chosen = points.len();
    for (scene, call, fault) in points {
        if since.elapsed() > RENEWED {
            (bench, bases) = prepared().expect("it could be prepared before");
            since = Instant::now();
        }
        let at = format!("{}: {fault:?} at {} {} on {}", scene.what, call.name, call.nth, call.on);
        bench.put_back(scene.kept);
        let traced = bench.struck(scene.member, scene.line, &call, fault);
        if !traced.struck {
            continue;
        }
        let counted = match fault {
            Fault::Kill => "killed",
            Fault::Abort => "aborted",
            Fault::Error(error) => error,
        };
        *struck.entry(counted).or_default() += 1;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let code = traced.output.status.code();
        let told = Struck {
            line: scene.line,
            stdout: text(&traced.output.stdout),
            stderr: text(&traced.output.stderr),
            code: code.filter(|_| matches!(fault, Fault::Error(_)) && !is_out_of_memory(fault, code)),
        };
        failed += usize::from(!bench.holds(bases[scene.kept], &told, &at));
        let tried: usize = struck.values().sum();
        if tried.is_multiple_of(100) {
            let _ = writeln!(std::io::stderr(), "faults at {tried} of {chosen} points, {failed} failed");
        }
    }
    let tried: usize = struck.values().sum();
    let _ = writeln!(std::io::stderr(), "faults at {tried} of {all} points: {struck:?}");
    assert_eq!(failed, 0, "of {tried} points");
    assert!(["killed", "aborted", "EIO"].iter().all(|fault| struck.contains_key(fault)), "{struck:?}");
    assert!(tried >= chosen * 9 / 10, "only {tried} of {chosen} points were struck");
}

/// A program that gets no memory ends where it stands, as if killed: by SIGABRT, or in the loader with 127.
fn is_out_of_memory(fault: Fault, code: Option<i32>) -> bool {
    fault == Fault::Error("ENOMEM") && matches!(code, None | Some(101 | 127 | 134))
}
