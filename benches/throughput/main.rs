//! Releases a second: `cargo bench --bench throughput [-- --small]`.
//!
//! A vault of 1 000 mandates with 100 credentials each is built through the library's own API. Every release is a
//! request of its own, signed beforehand with a nonce of its own, and has its own durable record. Nothing here fails on
//! a slow machine.

#[path = "../figures/measure.rs"]
#[allow(dead_code, reason = "the other benchmark uses more of it")]
mod measure;
#[path = "../figures/office.rs"]
#[allow(dead_code, reason = "the other benchmark uses more of it")]
mod office;
#[path = "../figures/report.rs"]
#[allow(dead_code, reason = "the other benchmark uses more of it")]
mod report;

use mandatum::agent::{Identity, Program, System, Topic};
use mandatum::anchor::{FileKeys, Home, RealDisk};
use mandatum::api::{FORMAT, FetchAsk, FetchItem, Frame, Gate, Request};
use mandatum::broker::{Broker, Door, Pace, Settings};
use mandatum::host::SystemClock;
use mandatum::ledger::Assurance;
use mandatum::model::{MemberId, SessionId, UnitId, Verb};
use office::{OWNER, Office, PER_MANDATE};
use report::{load, progress};
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
    let small = std::env::args().any(|arg| arg == "--small");
    let scale =
        if small { Scale { mandates: 20, releases: 4_000 } } else { Scale { mandates: 1_000, releases: 40_000 } };
    let mut office = Office::found(&format!("{} credentials", scale.mandates * PER_MANDATE));
    for number in 0..scale.mandates {
        office.open_mandate(number, PER_MANDATE);
        office.fill(number, PER_MANDATE);
        progress("mandates", number + 1, scale.mandates);
    }
    println!("load before: {}", load());
    let aims = aims(&mut office, scale.mandates);
    let caller = Caller::begin(&mut office);
    println!("callers  releases/s  p50 ms  p99 ms");
    for callers in CALLERS {
        let count = if callers == 1 { scale.releases / 8 } else { scale.releases };
        let frames = caller.frames(&aims, count);
        let Run { rate, p50, p99 } = run(&*caller.gate, frames, callers);
        println!("{callers:>7}  {rate:>10.0}  {:>6.2}  {:>6.2}", p50.as_secs_f64() * 1e3, p99.as_secs_f64() * 1e3);
    }
    println!("load after: {}", load());
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

impl Caller {
    fn begin(office: &mut Office) -> Self {
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
            served: Default::default(),
        };
        let gate: Arc<dyn Gate> = Arc::new(Door::new(Arc::new(Broker::new(settings)), Assurance::Account));
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
