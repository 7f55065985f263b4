//! A broker that serves while its disk fails: what it holds in memory after a failed sync is not believed.

use super::{Bench, spread};
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};

/// The real program, serving under strace; the child is the program itself.
struct Serving {
    child: Child,
    url: String,
    pin: mandatum::model::Digest,
}

impl Serving {
    /// Serves, with what `inject` says done to its calls from the first on.
    fn start(bench: &Bench, inject: &str) -> Self {
        let trace = bench.world.path("trace");
        let mut strace = bench.program("strace", "Olga");
        let call = inject.split(':').next().unwrap_or_default();
        strace.args(["-D", "-f", "-o", trace.to_str().unwrap()]);
        strace.args(["-e", &format!("trace={call}"), "-e", &format!("inject={inject}")]);
        strace.arg(env!("CARGO_BIN_EXE_mandatum")).args(["serve", "--listen", "127.0.0.1:0"]);
        Self::begin(strace)
    }

    fn begin(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let begun = loop {
            let line = lines.next().expect("it ended").unwrap();
            match serde_json::from_str::<Value>(&line) {
                Ok(said) if said["event"] == "serving" => break said,
                _ => {}
            }
        };
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        let url = format!("https://{}", begun["https"].as_str().unwrap());
        Self { child, url, pin: serde_json::from_value(begun["pin"].clone()).unwrap() }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Lena fetches so many times from this broker, until the first that fails and then twice more. Returns how many
/// secrets arrived, and whether the last did.
fn fetches(bench: &Bench, serving: &Serving, most: usize) -> (usize, bool) {
    bench.world.go_remote(std::slice::from_ref(&serving.url), Some(serving.pin));
    let (mut arrived, mut last, mut left) = (0, false, most);
    while left > 0 {
        let output = bench.world.as_member("Lena", super::FETCH);
        last = output.code == 0;
        arrived += usize::from(last);
        assert_eq!(last, output.stdout == bench.secrets[0], "{}{}", output.stdout, output.stderr);
        left -= 1;
        if !last {
            assert!(output.stderr.contains("LEDGER_UNAVAILABLE"), "{}", output.stderr);
            left = left.min(2);
        }
    }
    (arrived, last)
}

/// One failed sync, then a disk that works again: the release under way does not happen, the next ones do, and the
/// ledger holds each that arrived.
#[test]
fn after_one_failed_sync_a_broker_reads_anew_and_goes_on() {
    let Some(bench) = Bench::new() else { return };
    let serving = Serving::start(&bench, "fsync:error=EIO:when=100000");
    bench.world.go_remote(std::slice::from_ref(&serving.url), Some(serving.pin));
    bench.world.unlock("Lena");
    drop(serving);
    bench.keep("ready");
    let base = bench.told();
    let points = (1..=8).flat_map(|nth| ["fsync", "fdatasync", "pwrite64"].map(|call| (call, nth))).collect();
    let (mut failed, mut tried) = (0, 0);
    for (call, nth) in spread(points, 8) {
        for errno in ["EIO", "ENOSPC"] {
            bench.put_back("ready");
            let at = format!("{call} {nth} {errno}");
            let serving = Serving::start(&bench, &format!("{call}:error={errno}:when={nth}"));
            let (arrived, last) = fetches(&bench, &serving, 6);
            assert!(last, "{at}: it did not go on");
            drop(serving);
            tried += 1;
            failed += usize::from(arrived < 6);
            bench.done("Olga", "verify");
            let recorded = bench.told().released - base.released;
            assert!((arrived..=arrived + 1).contains(&recorded), "{at}: {arrived} arrived, {recorded} recorded");
        }
    }
    let _ = writeln!(std::io::stderr(), "a serving broker: {failed} releases failed at {tried} points");
    assert!(failed > tried / 4, "{failed} of {tried} failed");
}

/// A disk that fails for good: nothing arrives, whatever is asked; when it works again, everything does.
#[test]
fn a_broker_whose_disk_stays_broken_releases_nothing() {
    let Some(bench) = Bench::new() else { return };
    let serving = Serving::start(&bench, "fsync:error=EIO:when=100000");
    bench.world.go_remote(std::slice::from_ref(&serving.url), Some(serving.pin));
    bench.world.unlock("Lena");
    let (arrived, last) = fetches(&bench, &serving, 2);
    assert!(last && arrived == 2);
    drop(serving);
    let base = bench.told();
    for broken in ["fsync:error=EIO:when=3+", "pwrite64:error=ENOSPC:when=30+", "fdatasync:error=EIO:when=2+"] {
        let serving = Serving::start(&bench, broken);
        bench.world.go_remote(std::slice::from_ref(&serving.url), Some(serving.pin));
        let asked: Vec<bool> = (0..8).map(|_| bench.world.as_member("Lena", super::FETCH).code == 0).collect();
        assert!(!asked[7] && asked.is_sorted_by(|before, after| before >= after), "{broken}: {asked:?}");
        let denied = bench.world.as_member("Lena", "fetch Romashka/Nothing --field password");
        assert!(denied.code != 0 && denied.stdout.is_empty());
    }
    bench.done("Olga", "verify");
    let recorded = bench.told().released - base.released;
    assert!(recorded <= 3 * 9, "{recorded}");
    assert_eq!(bench.done("Sasha", super::FETCH), bench.secrets[0]);
}
