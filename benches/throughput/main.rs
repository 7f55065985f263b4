//! Releases a second: `cargo bench --bench throughput [-- --small] [--inside]`. wrk sends the requests (`releases.lua`),
//! to the release program serving over HTTPS, on SQLite and on PostgreSQL; and beside it to an OpenBao, where `bao` is in
//! PATH.
//!
//! A vault of 1 000 mandates with 100 credentials each is built through the library's own API. Every release is a
//! request of its own, signed beforehand with a nonce of its own, and has its own durable record. Nothing here fails on
//! a slow machine.

#[path = "../../tests/suite/cluster.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod cluster;
#[path = "../figures/measure.rs"]
#[allow(dead_code, reason = "the other benchmark uses more of it")]
mod measure;
#[path = "../figures/office.rs"]
#[allow(dead_code, reason = "the other benchmark uses more of it")]
mod office;
mod openbao;
#[path = "../figures/report.rs"]
#[allow(dead_code, reason = "the other benchmark uses more of it")]
mod report;
#[path = "../../tests/suite/skip.rs"]
mod skip;

use mandatum::agent::{Identity, Profile, Program, RemoteGate, System, Topic};
use mandatum::anchor::{FileKeys, Home, RealDisk};
use mandatum::api::{FORMAT, FetchAsk, FetchItem, Frame, Gate, Request, wire};
use mandatum::broker::{Broker, Door, Pace, Settings};
use mandatum::host::SystemClock;
use mandatum::ledger::Assurance;
use mandatum::model::{MemberId, SessionId, UnitId, Verb};
use office::{OWNER, Office, PER_MANDATE};
use report::{load, progress};
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Connections, as the figures name them.
const CALLERS: [usize; 3] = [1, 8, 64];

struct Scale {
    mandates: usize,
    releases: usize,
}

fn main() {
    if std::env::args().any(|arg| arg == "--nothing") {
        return;
    }
    let said = |what: &str| std::env::args().any(|arg| arg == what);
    let scale = match said("--small") {
        true => Scale { mandates: 20, releases: 64_000 },
        false => Scale { mandates: 1_000, releases: 64_000 },
    };
    let mut office = Office::found(&format!("{} credentials", scale.mandates * PER_MANDATE));
    for number in 0..scale.mandates {
        office.open_mandate(number, PER_MANDATE);
        office.fill(number, PER_MANDATE);
        progress("mandates", number + 1, scale.mandates);
    }
    let aims = aims(&mut office, scale.mandates);
    println!("load before: {}", load());
    println!("{:<22}  callers  releases/s  p50 ms  p99 ms", "way");
    if said("--inside") {
        inside(&mut office, &aims, &scale);
    }
    served(&mut office, &aims, &scale, "HTTPS, SQLite");
    if let Some(cluster) = cluster::Cluster::start(&[]) {
        let database = cluster.database();
        let mut copy = office.command(OWNER);
        measure::cold(copy.args(["--yes", "store", "copy", "--to", &database.address]));
        served(&mut office, &aims, &scale, "HTTPS, PostgreSQL");
    }
    if let Some(bao) = openbao::OpenBao::start(&office.path("openbao")) {
        for callers in CALLERS {
            if let Some(Run { rate, p50, p99 }) = wrk(bao.url(), "secrets.lua", callers, &[&bao.token]) {
                print_row("OpenBao, file audit", callers, rate, p50, p99);
            }
        }
    }
    println!("load after: {}", load());
}

/// The broker in this process: no connection, no encoding.
fn inside(office: &mut Office, aims: &[(UnitId, FetchItem)], scale: &Scale) {
    let caller = Caller::begin(office, broker_inside(office));
    for callers in CALLERS {
        let frames = caller.frames(aims, of_callers(scale, callers));
        let Run { rate, p50, p99 } = run(&*caller.gate, frames, callers);
        print_row("in process, SQLite", callers, rate, p50, p99);
    }
}

fn of_callers(scale: &Scale, callers: usize) -> usize {
    if callers == 1 { scale.releases / 4 } else { scale.releases }
}

fn print_row(way: &str, callers: usize, rate: f64, p50: Duration, p99: Duration) {
    let [p50, p99] = [p50, p99].map(|took| took.as_secs_f64() * 1e3);
    println!("{way:<22}  {callers:>7}  {rate:>10.0}  {p50:>6.2}  {p99:>6.2}");
}

/// The release program as a server of its own process, asked over TLS by wrk.
fn served(office: &mut Office, aims: &[(UnitId, FetchItem)], scale: &Scale, way: &str) {
    let begun = Instant::now();
    let server = Server::start(office);
    let start = begun.elapsed();
    let profile =
        Profile::new(vec![server.url.clone()], Some(server.pin), office.load(OWNER).vault, office.load(OWNER).root);
    let gate: Arc<dyn Gate> = Arc::new(RemoteGate::new(&profile).expect("a gate"));
    let caller = Caller::begin(office, gate);
    for callers in CALLERS {
        let frames = caller.frames(aims, of_callers(scale, callers));
        let bodies = office.path("bodies");
        let lines: Vec<Vec<u8>> = frames.iter().map(|frame| wire::encode(frame).expect("encoded")).collect();
        std::fs::write(&bodies, lines.concat()).expect("written");
        let threads = threads(callers).to_string();
        match wrk(&server.url, "releases.lua", callers, &[bodies.to_str().expect("text"), &threads]) {
            Some(Run { rate, p50, p99 }) => print_row(way, callers, rate, p50, p99),
            None => println!("{way:<22}  {callers:>7}  wrk is not installed"),
        }
    }
    println!("{way}: start {:.0} ms, peak memory {}", start.as_secs_f64() * 1e3, server.peak());
}

fn threads(callers: usize) -> usize {
    callers.min(2)
}

/// Eight seconds of a script's requests; nothing but a 200 counts. None where wrk is not installed.
fn wrk(url: &str, script: &str, callers: usize, args: &[&str]) -> Option<Run> {
    let script = format!("{}/benches/throughput/{script}", env!("CARGO_MANIFEST_DIR"));
    let out = std::process::Command::new("wrk")
        .args([
            "-t",
            &threads(callers).to_string(),
            "-c",
            &callers.to_string(),
            "-d",
            "8s",
            "--timeout",
            "30s",
            "--latency",
            "-s",
            &script,
            url,
            "--",
        ])
        .args(args)
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(!text.contains("Non-2xx"), "more was asked than was signed, or something was refused: {text}");
    let after = |label: &str| {
        text.lines().find_map(|line| line.trim().strip_prefix(label)).map(str::trim).expect(label).to_owned()
    };
    let time = |text: &str| {
        let (number, unit) = text.split_at(text.find(|c: char| c.is_alphabetic()).expect("a unit"));
        let scale = match unit {
            "us" => 1e-6,
            "ms" => 1e-3,
            _ => 1.0,
        };
        Duration::from_secs_f64(number.parse::<f64>().expect("a number") * scale)
    };
    Some(Run {
        rate: after("Requests/sec:").parse().expect("a number"),
        p50: time(&after("50%")),
        p99: time(&after("99%")),
    })
}

/// The program, serving.
struct Server {
    child: Child,
    url: String,
    pin: mandatum::model::Digest,
}

impl Server {
    fn start(office: &Office) -> Self {
        let mut command = office.command(OWNER);
        command.args(["serve", "--listen", "127.0.0.1:0", "--pace", "1000000"]).stderr(Stdio::piped());
        let mut child = command.spawn().expect("started");
        let mut log = BufReader::new(child.stderr.take().expect("piped"));
        let mut line = String::new();
        log.read_line(&mut line).expect("a line");
        let begun: serde_json::Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}"));
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        let url = format!("https://{}", begun["https"].as_str().expect("an address"));
        Self { child, url, pin: serde_json::from_value(begun["pin"].clone()).expect("a pin") }
    }

    fn peak(&self) -> String {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("?").trim().to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = std::process::Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

/// What is fetched: every credential there is.
fn aims(office: &mut Office, mandates: usize) -> Vec<(UnitId, FetchItem)> {
    let me = office.program().identity().member;
    let mut aims = Vec::new();
    for number in 0..mandates {
        let mandate = office.program().mandate(office::text(&office::operator(number))).expect("shown").mandate;
        for credential in &mandate.credentials {
            let grant = mandate.grant_for(me, credential.row).expect("granted");
            let item = FetchItem { credential: credential.id, version: 1, grant: grant.facts.id };
            aims.push((mandate.unit, item));
        }
    }
    aims
}

/// The owner, with a session at a broker in this process.
struct Caller {
    gate: Arc<dyn Gate>,
    identity: Identity,
    session: SessionId,
}

fn broker_inside(office: &Office) -> Arc<dyn Gate> {
    let home = Home {
        dir: office.path("state"),
        disk: Arc::new(RealDisk),
        keys: Arc::new(FileKeys::new(office.path("epoch-key"))),
        entropy: Arc::new(System),
    };
    let settings = Settings {
        database: mandatum::store::Database::File(office.path("vault").join("vault.db")),
        home,
        clock: Arc::new(SystemClock),
        assurance: Assurance::Account,
        pace: Pace::FREE,
        served: mandatum::api::Served::default(),
    };
    Arc::new(Door::new(Arc::new(Broker::new(settings)), Assurance::Account))
}

impl Caller {
    fn begin(office: &mut Office, gate: Arc<dyn Gate>) -> Self {
        let code = office.code_now(OWNER);
        let identity = office.load(OWNER);
        let mut program = Program::new(Arc::clone(&gate), identity, &office.path("pins"), Arc::new(System));
        let session = program.unlock(code, 8 * 60 * 60 * 1000).expect("unlocked").session;
        Self { gate, identity: program.into_identity(), session }
    }

    /// Signed requests, each with a nonce of its own, spread over all of it.
    fn frames(&self, aims: &[(UnitId, FetchItem)], count: usize) -> Vec<Frame> {
        let mut nonces = Vec::new();
        let step = (aims.len() / 2 + 7919) | 1;
        (0..count)
            .map(|number| {
                let (unit, item) = &aims[number * step % aims.len()];
                let nonce = nonces.pop().unwrap_or_else(|| {
                    let hello = self.gate.hello().expect("answered");
                    nonces.push(hello.nonces[1]);
                    hello.nonces[0]
                });
                let request = Request {
                    format: FORMAT,
                    vault: self.identity.vault,
                    verb: Verb::Fetch,
                    member: MemberId(self.identity.member.0),
                    unit: Some(*unit),
                    nonce,
                    session: Some(self.session),
                    step_up: None,
                    seen: None,
                    shown: None,
                    ask: FetchAsk { items: vec![item.clone()], purpose: None, onward: None },
                };
                let bytes = serde_json::to_vec(&request).expect("encoded");
                Frame { verb: Verb::Fetch, request: self.identity.sign.sign(Topic::Request, bytes), load: Vec::new() }
            })
            .collect()
    }
}

struct Run {
    rate: f64,
    p50: Duration,
    p99: Duration,
}

/// Every frame once, by so many callers, each waiting for its answer.
fn run(gate: &dyn Gate, frames: Vec<Frame>, callers: usize) -> Run {
    let (frames, next) =
        (frames.into_iter().map(|frame| std::sync::Mutex::new(Some(frame))).collect::<Vec<_>>(), AtomicUsize::new(0));
    let begun = Instant::now();
    let mut took: Vec<Duration> = std::thread::scope(|scope| {
        let work = || {
            let mut took = Vec::new();
            while let Some(frame) = frames.get(next.fetch_add(1, Ordering::Relaxed)) {
                let frame = frame.lock().expect("nobody panics").take().expect("taken once");
                let asked = Instant::now();
                gate.call(frame).expect("released");
                took.push(asked.elapsed());
            }
            took
        };
        let threads: Vec<_> = (0..callers).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("done")).collect()
    });
    let whole = begun.elapsed();
    took.sort_unstable();
    let at = |share: usize| took[(took.len() * share / 100).min(took.len() - 1)];
    Run { rate: took.len() as f64 / whole.as_secs_f64(), p50: at(50), p99: at(99) }
}
