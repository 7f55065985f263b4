//! A broker that serves while its disk fails: what it holds in memory after a failed sync is not believed.

use super::{Bench, spread};
use crate::skip::skip;
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

/// The real program, serving.
struct Serving {
    child: Child,
    url: String,
    pin: mandatum::model::Digest,
    log: Arc<Mutex<String>>,
}

impl Serving {
    fn start(bench: &Bench) -> Self {
        let mut command = bench.program(crate::support::binary(), "Olga");
        command.args(["serve", "--listen", "127.0.0.1:0"]).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut said = String::new();
        let begun = loop {
            let Some(Ok(line)) = lines.next() else { panic!("it ended: {said}") };
            said.push_str(&line);
            match serde_json::from_str::<Value>(&line) {
                Ok(said) if said["event"] == "serving" => break said,
                _ => {}
            }
        };
        let log = Arc::new(Mutex::new(String::new()));
        let kept = Arc::clone(&log);
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| kept.lock().unwrap().push_str(&line)));
        let url = format!("https://{}", begun["https"].as_str().unwrap());
        Self { child, url, log, pin: serde_json::from_value(begun["pin"].clone()).unwrap() }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A disk that fails, until this is dropped.
struct Failing(Child);

impl Failing {
    /// What `inject` says is done to the calls of a program that runs; each of its threads counts by itself. None
    /// where nobody may look into it.
    fn begin(serving: &Serving, inject: &str) -> Option<Self> {
        let mut strace = Command::new("strace");
        let call = inject.split(':').next().unwrap_or_default();
        strace.args(["-f", "-o", "/dev/null", "-e", &format!("trace={call}"), "-e", &format!("inject={inject}")]);
        strace.args(["-p", &serving.child.id().to_string()]).stderr(Stdio::piped());
        let mut child = strace.spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let attached = lines.next().is_some_and(|line| line.is_ok_and(|line| line.contains("attached")));
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        attached.then_some(Self(child))
    }
}

impl Drop for Failing {
    fn drop(&mut self) {
        // It lets go of every thread, and then ends.
        let _ = Command::new("kill").args(["-INT", &self.0.id().to_string()]).status();
        let _ = self.0.wait();
    }
}

/// Lena fetches so many times from this broker. How many secrets arrived, and how many of the last in a row.
fn fetches(bench: &Bench, serving: &Serving, times: usize) -> (usize, usize) {
    bench.world.go_remote(std::slice::from_ref(&serving.url), Some(serving.pin));
    let (mut arrived, mut in_a_row) = (0, 0);
    for _ in 0..times {
        let output = bench.world.as_member("Lena", super::FETCH);
        assert_eq!(output.code == 0, output.stdout == bench.secrets[0], "{}{}", output.stdout, output.stderr);
        let sentences = ["LEDGER_UNAVAILABLE", "the broker failed at this; its log says why"];
        let told = sentences.iter().any(|sentence| output.stderr.contains(sentence));
        assert!(output.code == 0 || told, "{}", output.stderr);
        arrived += usize::from(output.code == 0);
        in_a_row = if output.code == 0 { in_a_row + 1 } else { 0 };
    }
    (arrived, in_a_row)
}

/// A vault whose lead has a session at a broker that serves.
fn bench_with_a_broker() -> Option<(Bench, Serving)> {
    let bench = Bench::new()?;
    let serving = Serving::start(&bench);
    bench.world.go_remote(std::slice::from_ref(&serving.url), Some(serving.pin));
    bench.world.unlock("Lena");
    assert_eq!(fetches(&bench, &serving, 2), (2, 2));
    Some((bench, serving))
}

/// Syncs and writes that fail once, a few times, or for good: what is under way is not released, and what arrived is
/// recorded. When the disk works again the same process goes on, from what is really there.
#[test]
fn a_broker_whose_disk_fails_reads_anew_and_goes_on() {
    const TIMES: usize = 6;
    let Some((bench, serving)) = bench_with_a_broker() else { return };
    let mut base = bench.told();
    let calls = ["fdatasync", "pwrite64"];
    let points = ["1", "2", "1+2", "1+"].into_iter().flat_map(|when| calls.map(|call| (call, when)));
    let points = points.flat_map(|point| ["EIO", "ENOSPC"].map(|errno| (point, errno)));
    let (mut failed, mut struck, mut tried) = (0, 0, 0);
    for ((call, when), errno) in spread(points.collect(), 10) {
        let at = format!("{call} {when} {errno}");
        let Some(failing) = Failing::begin(&serving, &format!("{call}:error={errno}:when={when}")) else {
            return skip("strace may not look into a program that runs, so no disk failed under a broker");
        };
        let (arrived, _) = fetches(&bench, &serving, TIMES);
        let nothing = bench.world.as_member("Lena", "fetch Romashka/Nothing --field password");
        assert!(nothing.code != 0 && nothing.stdout.is_empty(), "{at}");
        drop(failing);
        let (after, _) = fetches(&bench, &serving, 2);
        assert_eq!(after, 2, "{at}: it did not go on");
        assert!(when != "1+" || call.ends_with("write64") || arrived == 0, "{at}: {arrived} arrived");
        tried += 1;
        failed += TIMES - arrived;
        struck += usize::from(arrived < TIMES);
        bench.done("Olga", "verify");
        let told = bench.told();
        let recorded = told.released - base.released;
        assert!((arrived + 2..=TIMES + 2).contains(&recorded), "{at}: {arrived} and 2 arrived, {recorded} recorded");
        base = told;
    }
    let _ = writeln!(std::io::stderr(), "a serving broker: {failed} releases failed, at {struck} of {tried} points");
    assert!(struck > tried / 4, "{struck} of {tried}");
    // A member hears that it failed; at what, whoever keeps the broker.
    let log = serving.log.lock().unwrap();
    let said = ["the database refused", "the anchor could not be read or written"];
    assert!(said.iter().any(|said| log.contains(said)), "{log}");
}
