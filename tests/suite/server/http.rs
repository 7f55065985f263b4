//! What comes through a door as bytes: over a socket, against a broker that is a closure.

use mandatum::api::{Frame, Gate, Hello, Joining, Refusal};
use mandatum::model::{Nonce, VaultId};
use mandatum::server::{Limits, Log, Serve, ServeGates, TlsConfig, serve};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

type Work = Box<dyn Fn(Frame) -> Result<Vec<u8>, Refusal> + Send + Sync>;

/// A broker that is a closure, and counts.
struct Fake {
    work: Work,
    calls: AtomicUsize,
}

impl Gate for Fake {
    fn hello(&self) -> Result<Hello, Refusal> {
        Ok(Hello { vault: VaultId([1; 16]), nonces: [Nonce([2; 16]), Nonce([3; 16])], charters: Vec::new() })
    }
    fn call(&self, frame: Frame) -> Result<Vec<u8>, Refusal> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        (self.work)(frame)
    }
    fn join(&self, _: Joining) -> Result<(), Refusal> {
        Err(Refusal::Authentication("no".into()))
    }
}

struct Door {
    path: PathBuf,
    https: Option<String>,
    metrics: String,
    fake: Arc<Fake>,
    ready: Arc<AtomicBool>,
    log: Arc<Mutex<Vec<String>>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    _dir: tempfile::TempDir,
}

impl Door {
    fn open(work: impl Fn(Frame) -> Result<Vec<u8>, Refusal> + Send + Sync + 'static) -> Self {
        Self::with(Limits::default(), None, u32::MAX, work)
    }

    fn with(
        limits: Limits,
        tls: Option<Arc<TlsConfig>>,
        account: u32,
        work: impl Fn(Frame) -> Result<Vec<u8>, Refusal> + Send + Sync + 'static,
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let fake = Arc::new(Fake { work: Box::new(work), calls: AtomicUsize::new(0) });
        let https = tls.map(|tls| (TcpListener::bind("127.0.0.1:0").unwrap(), tls));
        let address = https.as_ref().map(|(listener, _)| listener.local_addr().unwrap().to_string());
        let metrics = TcpListener::bind("127.0.0.1:0").unwrap();
        let metrics_at = metrics.local_addr().unwrap().to_string();
        let (ready, log) = (Arc::new(AtomicBool::new(true)), Arc::new(Mutex::new(Vec::new())));
        let (is_ready, kept): (Arc<AtomicBool>, Arc<Mutex<Vec<String>>>) = (Arc::clone(&ready), Arc::clone(&log));
        let lines: Log = Arc::new(move |line: &str| kept.lock().unwrap().push(line.to_owned()));
        let set = Serve {
            gates: ServeGates { account: fake.clone(), host: fake.clone() },
            ready: Arc::new(move || is_ready.load(Ordering::SeqCst)),
            socket: Some(UnixListener::bind(&path).unwrap()),
            https,
            metrics: Some(metrics),
            account,
            clock: crate::support::FakeClock::new(),
            log: lines,
            limits,
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let (say, begun) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let begin = || {
                say.send(()).unwrap();
                Ok(async move { drop(stopped.await) })
            };
            serve(set, begin).unwrap();
        });
        begun.recv().unwrap();
        let (stop, thread) = (Some(stop), Some(thread));
        Self { path, https: address, metrics: metrics_at, fake, ready, log, stop, thread, _dir: dir }
    }

    fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(&self.path).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    /// Everything that comes back until the other side ends it.
    fn say(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect();
        let _ = stream.write_all(bytes);
        rest(&mut stream)
    }

    fn status(&self, bytes: &[u8]) -> u16 {
        let answer = self.say(bytes);
        status_in(&answer)
    }

    fn calls(&self) -> usize {
        self.fake.calls.load(Ordering::SeqCst)
    }

    /// Tells it to stop, and waits.
    fn stop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            assert!(thread.join().is_ok() || std::thread::panicking(), "the server failed");
        }
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.stop();
    }
}

fn rest(stream: &mut impl Read) -> String {
    let (mut all, mut some) = (Vec::new(), [0; 4096]);
    // A connection that is cut is an end too.
    while let Ok(n @ 1..) = stream.read(&mut some) {
        all.extend_from_slice(&some[..n]);
    }
    String::from_utf8_lossy(&all).into_owned()
}

#[track_caller]
fn status_in(answer: &str) -> u16 {
    answer.split_whitespace().nth(1).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("'{answer}'"))
}

/// A request that is a signed request by its form, with a load.
fn body() -> String {
    use mandatum::agent::{SignKey, System, Topic};
    let signed = SignKey::generate(&System).sign(Topic::Request, b"{}".to_vec());
    format!("{}\nthe load", serde_json::to_string(&signed).unwrap())
}

fn post(path: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}")
        .into_bytes()
}

#[test]
fn a_call_goes_through_and_its_answer_comes_back_as_it_is() {
    let door = Door::open(|frame| {
        assert_eq!((frame.verb.name(), &*frame.load), ("fetch", &b"the load"[..]));
        Ok(b"{\"as\":\"it is\"}".to_vec())
    });
    let answer = door.say(&post("/v1/fetch", "", &body()));
    assert_eq!(status_in(&answer), 200);
    assert!(answer.ends_with("\r\n\r\n{\"as\":\"it is\"}"), "{answer}");
    let (head, _) = answer.split_once("\r\n\r\n").unwrap();
    let head = head.to_lowercase();
    for line in ["content-type: application/json", "cache-control: no-store", "x-content-type-options: nosniff"] {
        assert!(head.contains(line), "{head}");
    }
    for word in ["server:", "set-cookie", "access-control", "location", "x-powered-by"] {
        assert!(!head.contains(word), "{head}");
    }
    // Several on one connection.
    let mut stream = door.connect();
    let request = String::from_utf8(post("/v1/fetch", "", &body())).unwrap().replace("Connection: close\r\n", "");
    for _ in 0..3 {
        stream.write_all(request.as_bytes()).unwrap();
        let mut some = [0; 4096];
        let n = stream.read(&mut some).unwrap();
        assert!(some[..n].starts_with(b"HTTP/1.1 200"));
    }
    assert_eq!(door.calls(), 4);
}

/// What failed on the broker's side is for its log: who asked, a member or not, hears where it stands there.
#[test]
fn what_failed_here_is_told_to_the_log_alone() {
    for (refusal, outcome) in [
        (Refusal::Failed("/var/lib/INSIDE is full".into()), "failed"),
        (Refusal::Integrity("the INSIDE was changed".into()), "integrity"),
    ] {
        let given = refusal.clone();
        let door = Door::open(move |_| Err(given.clone()));
        let answer = door.say(&post("/v1/status", "", &body()));
        assert!(!answer.contains("INSIDE") && answer.contains("at request 1\""), "{answer}");
        let line: serde_json::Value = serde_json::from_str(&door.log.lock().unwrap()[0]).unwrap();
        assert_eq!((&line["outcome"], &line["request"]), (&outcome.into(), &1.into()));
        assert!(line["reason"].as_str().unwrap().contains("INSIDE"), "{line}");
    }
}

#[test]
fn every_other_refusal_has_its_status_and_travels_whole() {
    use mandatum::model::Deny;
    for (refusal, status) in [
        (Refusal::Denied { code: Deny::TermExpired }, 403),
        (Refusal::NotFound, 404),
        (Refusal::Authentication("who".into()), 401),
        (Refusal::input("name", "is no name"), 422),
        (Refusal::Busy { retry_ms: 1500 }, 429),
    ] {
        let given = refusal.clone();
        let door = Door::open(move |_| Err(given.clone()));
        let answer = door.say(&post("/v1/status", "", &body()));
        assert_eq!(status_in(&answer), status);
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert_eq!(serde_json::from_str::<Refusal>(body).unwrap(), refusal);
        assert_eq!(head.to_lowercase().contains("retry-after: 2"), status == 429, "{head}");
    }
}

#[test]
fn only_the_routes_there_are() {
    let door = Door::open(|_| Ok(Vec::new()));
    for (path, status) in [
        ("/", 404),
        ("/v1", 404),
        ("/v1/", 404),
        ("/v1/nothing", 404),
        ("/v1/Fetch", 404),
        ("/v1/fetch/", 404),
        ("/v1/fetch?x=1", 404),
        ("/v2/fetch", 404),
        ("/v1/%66etch", 404),
        ("//v1/fetch", 404),
        ("/v1/../v1/fetch", 404),
        ("/metrics", 404),
        ("/livez", 405),
        ("/v1/hello", 200),
    ] {
        assert_eq!(door.status(&post(path, "", "")), status, "{path}");
    }
    for method in ["GET", "PUT", "DELETE", "OPTIONS", "HEAD", "PATCH", "TRACE"] {
        let request = format!("{method} /v1/fetch HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let answer = door.say(request.as_bytes());
        assert_eq!(status_in(&answer), 405, "{method}");
        assert!(answer.to_lowercase().contains("allow: post"), "{answer}");
    }
    assert_eq!(door.status(b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"), 200);
    assert_eq!(door.calls(), 0);
    // What is no call is refused as such, and the broker is not asked.
    for wrong in ["", "{}", "no json\nload", "\n", "\u{0}\u{0}"] {
        assert_eq!(door.status(&post("/v1/fetch", "", wrong)), 422, "{wrong:?}");
    }
    assert_eq!(door.status(&post("/v1/join", "", "{\"token\":1}")), 422);
    assert_eq!(door.calls(), 0);
}

/// What two readers could understand differently is not a request.
#[test]
fn ambiguous_requests_are_refused() {
    let door = Door::open(|_| Ok(Vec::new()));
    let body = body();
    let n = body.len();
    let chunked = format!("{n:x}\r\n{body}\r\n0\r\n\r\n");
    let start = "POST /v1/fetch HTTP/1.1\r\n";
    let smuggled = "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n";
    let cases = [
        (
            "both lengths",
            format!("{start}Host: x\r\nContent-Length: {n}\r\nTransfer-Encoding: chunked\r\n\r\n{chunked}"),
        ),
        (
            "both, the other way",
            format!("{start}Host: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n{chunked}"),
        ),
        ("chunks alone", format!("{start}Host: x\r\nTransfer-Encoding: chunked\r\n\r\n{chunked}")),
        (
            "chunks in disguise",
            format!("{start}Host: x\r\nTransfer-Encoding: xchunked\r\nContent-Length: {n}\r\n\r\n{body}"),
        ),
        ("two lengths", format!("{start}Host: x\r\nContent-Length: {n}\r\nContent-Length: 1\r\n\r\n{body}")),
        ("a signed length", format!("{start}Host: x\r\nContent-Length: +{n}\r\n\r\n{body}")),
        ("a list of lengths", format!("{start}Host: x\r\nContent-Length: {n}, 1\r\n\r\n{body}")),
        ("two hosts", format!("{start}Host: x\r\nHost: y\r\nContent-Length: {n}\r\n\r\n{body}")),
        ("the same host twice", format!("{start}Host: x\r\nHost: x\r\nContent-Length: {n}\r\n\r\n{body}")),
        ("no host", format!("{start}Content-Length: {n}\r\n\r\n{body}")),
        ("a folded line", format!("{start}Host: x\r\nX-A: b\r\n c\r\nContent-Length: {n}\r\n\r\n{body}")),
        ("space before the colon", format!("{start}Host: x\r\nContent-Length : {n}\r\n\r\n{body}")),
        ("a proxy's form", format!("POST http://x/v1/fetch HTTP/1.1\r\nHost: x\r\nContent-Length: {n}\r\n\r\n{body}")),
        ("old HTTP", format!("POST /v1/fetch HTTP/1.0\r\nHost: x\r\nContent-Length: {n}\r\n\r\n{body}")),
        ("a NUL in a header", format!("{start}Host: x\r\nX-A: \0\r\nContent-Length: {n}\r\n\r\n{body}")),
        ("garbage", "\u{1}\u{2}\u{3} what\r\n\r\n".to_owned()),
        ("TLS on a plain socket", "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\r\n\r\n".to_owned()),
    ];
    for (what, request) in cases {
        // Whatever follows on that connection is not answered either.
        let answer = door.say(format!("{request}{smuggled}").as_bytes());
        assert!(answer.starts_with("HTTP/1.1 400 ") || answer.starts_with("HTTP/1.0 400 "), "{what}: '{answer}'");
        assert_eq!(answer.matches("HTTP/1.").count() - answer.matches("only HTTP/1.").count(), 1, "{what}: {answer}");
    }
    assert_eq!(door.say(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), "");
    assert_eq!(door.calls(), 0);
}

#[test]
fn a_browsers_page_is_refused() {
    let door = Door::open(|_| Ok(Vec::new()));
    for origin in ["https://evil.test", "null", ""] {
        let answer = door.say(&post("/v1/fetch", &format!("Origin: {origin}\r\n"), &body()));
        assert_eq!(status_in(&answer), 403, "{origin}");
        assert!(!answer.to_lowercase().contains("access-control"), "{answer}");
    }
    let preflight = "OPTIONS /v1/fetch HTTP/1.1\r\nHost: x\r\nOrigin: https://a\r\nAccess-Control-Request-Method: POST\r\n\
                     Connection: close\r\n\r\n";
    assert_eq!(door.status(preflight.as_bytes()), 403);
    assert_eq!(door.calls(), 0);
}

#[test]
fn what_is_too_long_is_refused_before_it_is_read() {
    let door = Door::open(|_| Ok(Vec::new()));
    let announced = |path: &str, length: usize| {
        format!("POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n")
    };
    let mib = 1024 * 1024;
    assert_eq!(door.status(announced("/v1/fetch", mib + 1).as_bytes()), 413);
    assert_eq!(door.status(announced("/v1/credential_add", 64 * mib + 1).as_bytes()), 413);
    assert_eq!(door.status(announced("/v1/hello", 1 << 60).as_bytes()), 413);
    assert_eq!(door.status(announced("/v1/hello", usize::MAX).as_bytes()), 431);
    assert_eq!(door.status(&post("/v1/fetch", &format!("X-A: {}\r\n", "a".repeat(20_000)), &body())), 431);
    assert_eq!(door.status(&post("/v1/fetch", &"X-A: b\r\n".repeat(40), &body())), 431);
    assert_eq!(door.calls(), 0);
    // And what is long but allowed arrives whole.
    let long = format!("{}{}", body(), "x".repeat(10 * mib));
    assert_eq!(door.status(&post("/v1/credential_add", "", &long)), 200);
    assert_eq!(door.calls(), 1);
}

#[test]
fn who_takes_too_long_is_cut_off() {
    let second = Duration::from_secs(1);
    let limits = Limits { head: second, body: second, idle: second, whole: 3 * second, ..Limits::default() };
    let door = Door::with(limits, None, u32::MAX, |_| {
        std::thread::sleep(Duration::from_secs(6));
        Ok(Vec::new())
    });
    let took = |work: &dyn Fn(&mut UnixStream) -> String| {
        let (mut stream, begun) = (door.connect(), Instant::now());
        let answer = work(&mut stream);
        (answer, begun.elapsed())
    };
    let head = "POST /v1/fetch HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n";
    // A byte now and then keeps nothing open.
    let drip = |stream: &mut UnixStream| {
        for byte in head.bytes().take(60) {
            if stream.write_all(&[byte]).is_err() {
                break;
            }
            std::thread::sleep(Duration::from_millis(150));
        }
        rest(stream)
    };
    let (answer, time) = took(&drip);
    assert!(answer.is_empty() && time < 5 * second, "{answer} {time:?}");
    let (answer, time) = took(&|stream| rest(stream));
    assert!(answer.is_empty() && time < 5 * second, "{answer} {time:?}");
    let (answer, _) = took(&|stream| {
        stream.write_all(head.as_bytes()).unwrap();
        rest(stream)
    });
    assert_eq!(status_in(&answer), 408);
    let (answer, time) = took(&|stream| {
        stream.write_all(b"POST /v1/hello HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n").unwrap();
        rest(stream)
    });
    assert_eq!((status_in(&answer), time > second && time < 5 * second), (200, true), "{time:?}");
    let (answer, time) = took(&|stream| {
        stream.write_all(&post("/v1/fetch", "", &body())).unwrap();
        rest(stream)
    });
    assert!(answer.is_empty() && time < 5 * second, "{answer} {time:?}");
    // What was cut off is written down too.
    wait_until(|| door.log.lock().unwrap().iter().any(|line| line.contains("\"outcome\":\"cut\"")));
}

#[test]
fn failures_are_throttled_by_source_and_successes_are_not() {
    let door = Door::open(|frame| {
        if frame.load.is_empty() { Ok(Vec::new()) } else { Err(Refusal::Authentication("not a member".into())) }
    });
    let good = body().lines().next().unwrap().to_owned();
    for _ in 0..40 {
        assert_eq!(door.status(&post("/v1/status", "", &good)), 200);
    }
    let statuses: Vec<u16> = (0..30).map(|_| door.status(&post("/v1/status", "", &body()))).collect();
    assert!(statuses.iter().filter(|status| **status == 401).count() <= 23, "{statuses:?}");
    let answer = door.say(&post("/v1/status", "", &body()));
    assert_eq!(status_in(&answer), 429, "{answer}");
    assert!(answer.to_lowercase().contains("retry-after: 1"), "{answer}");
    assert_eq!(door.status(b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"), 200);
}

#[test]
fn connections_and_waiting_requests_are_bounded() {
    let (let_go, gone) = mpsc::channel::<()>();
    let gone = Mutex::new(gone);
    let limits = Limits { waiting: 2, per_source: 6, ..Limits::default() };
    let door = Door::with(limits, None, u32::MAX, move |_| {
        let _ = gone.lock().unwrap().recv();
        Ok(Vec::new())
    });
    let mut held: Vec<UnixStream> = (0..2).map(|_| door.connect()).collect();
    for stream in &mut held {
        stream.write_all(&post("/v1/fetch", "", &body())).unwrap();
    }
    wait_until(|| door.calls() == 2);
    let answer = door.say(&post("/v1/fetch", "", &body()));
    assert_eq!(status_in(&answer), 503);
    assert!(answer.to_lowercase().contains("retry-after: 1"), "{answer}");
    // The probe needs no place at the broker.
    assert_eq!(door.status(b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"), 200);
    drop(let_go);
    for mut stream in held {
        assert_eq!(status_in(&rest(&mut stream)), 200);
    }
    assert_eq!(door.status(&post("/v1/fetch", "", &body())), 200);

    wait_until(|| door.metric("mandatum_connections ") == 0);
    let open: Vec<UnixStream> = (0..6).map(|_| door.connect()).collect();
    wait_until(|| door.metric("mandatum_connections ") == 6);
    assert_eq!(door.say(&post("/v1/hello", "", "")), "");
    drop(open);
    wait_until(|| door.metric("mandatum_connections ") == 0);
    assert_eq!(door.status(&post("/v1/hello", "", "")), 200);
}

#[track_caller]
fn wait_until(holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(10), "it did not come to that");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_running_request_is_finished_before_the_server_stops() {
    let (let_go, gone) = mpsc::channel::<()>();
    let gone = Mutex::new(gone);
    let mut door = Door::open(move |_| {
        let _ = gone.lock().unwrap().recv();
        Ok(b"done".to_vec())
    });
    let (mut running, _idle) = (door.connect(), door.connect());
    running.write_all(&post("/v1/fetch", "", &body())).unwrap();
    wait_until(|| door.calls() == 1);
    drop(door.stop.take());
    let path = door.path.clone();
    wait_until(|| UnixStream::connect(&path).is_err());
    drop(let_go);
    let answer = rest(&mut running);
    assert!(answer.ends_with("done"), "{answer}");
    door.stop();
}

#[test]
fn what_does_not_finish_is_cut_off_when_the_server_stops() {
    let (let_go, gone) = mpsc::channel::<()>();
    let gone = Mutex::new(gone);
    let limits = Limits { stop: Duration::from_millis(300), ..Limits::default() };
    let mut door = Door::with(limits, None, u32::MAX, move |_| {
        let _ = gone.lock().unwrap().recv();
        Ok(b"done".to_vec())
    });
    let mut running = door.connect();
    running.write_all(&post("/v1/fetch", "", &body())).unwrap();
    wait_until(|| door.calls() == 1);
    let begun = Instant::now();
    door.stop();
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert_eq!(rest(&mut running), "");
    drop(let_go);
}

#[test]
fn a_standby_says_so_and_does_nothing() {
    let door = Door::open(|_| Ok(Vec::new()));
    let probe = b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    assert_eq!(door.status(probe), 200);
    door.ready.store(false, Ordering::SeqCst);
    for request in [&probe[..], &post("/v1/fetch", "", &body()), &post("/v1/hello", "", "")] {
        let answer = door.say(request);
        assert_eq!(status_in(&answer), 503);
        assert!(answer.to_lowercase().contains("mandatum-standby: 1"), "{answer}");
    }
    assert_eq!(door.status(b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"), 200);
    assert_eq!(door.calls(), 0);
}

#[test]
fn a_broker_that_panics_takes_nobody_with_it() {
    let door = Door::open(|frame| {
        assert!(frame.load.is_empty(), "SECRETWORD in a panic");
        Ok(Vec::new())
    });
    let answer = door.say(&post("/v1/fetch", "", &body()));
    assert_eq!(status_in(&answer), 503);
    assert!(!answer.contains("SECRETWORD"), "{answer}");
    let good = body().lines().next().unwrap().to_owned();
    assert_eq!(door.status(&post("/v1/fetch", "", &good)), 200);
}

#[test]
fn the_brokers_own_account_is_not_served_over_the_socket() {
    let own = rustix_uid();
    let door = Door::with(Limits::default(), None, own, |_| Ok(Vec::new()));
    for request in [post("/v1/fetch", "", &body()), post("/v1/hello", "", "")] {
        let answer = door.say(&request);
        assert_eq!(status_in(&answer), 403);
        assert!(answer.contains("no two parties"), "{answer}");
    }
    assert_eq!(door.calls(), 0);
}

fn rustix_uid() -> u32 {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").unwrap().uid()
}

impl Door {
    fn metrics(&self) -> String {
        let mut stream = TcpStream::connect(&self.metrics).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        rest(&mut stream)
    }

    fn metric(&self, name: &str) -> u64 {
        let text = self.metrics();
        let value = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{text}"));
        value.trim().parse().unwrap()
    }
}

#[test]
fn metrics_count_and_name_nobody_and_the_log_is_one_object_a_line() {
    let door = Door::open(|_| Err(Refusal::input("Romashka", "SECRETWORD")));
    door.status(&post("/v1/fetch", "X-Name: Romashka\r\n", &body()));
    door.status(&post("/v1/Romashka", "", ""));
    assert_eq!(door.metric("mandatum_requests_total{verb=\"fetch\",outcome=\"input\"}"), 1);
    assert_eq!(door.metric("mandatum_requests_total{verb=\"none\",outcome=\"unheard\"}"), 1);
    assert_eq!(door.metric("mandatum_request_seconds_count"), 2);
    assert_eq!(door.metric("mandatum_request_seconds_bucket{le=\"+Inf\"}"), 2);
    assert_eq!(door.metric("mandatum_requests_running"), 0);
    // What comes to no request is counted too.
    door.say(b"\x16\x03\x01 no HTTP\r\n\r\n");
    wait_until(|| door.metric("mandatum_connections_refused_total{why=\"http\"}") == 1);
    assert_eq!(door.metric("mandatum_connections_refused_total{why=\"limit\"}"), 0);
    let said = door.metrics() + &door.log.lock().unwrap().join("\n");
    let head = said.split_once("\r\n\r\n").unwrap().0.to_lowercase();
    assert!(head.contains("content-type: text/plain; charset=utf-8\r\n") && head.contains("nosniff"), "{head}");
    assert!(!said.contains("Romashka") && !said.contains("SECRETWORD"), "{said}");
    for line in door.log.lock().unwrap().iter() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let keys: Vec<&str> = line.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys, ["at", "door", "ms", "outcome", "request", "status", "verb"]);
    }
}

/// A certificate and key that nobody signed, as files for a server.
pub fn made_tls() -> (Arc<TlsConfig>, mandatum::model::Digest, rustls::pki_types::CertificateDer<'static>) {
    use std::os::unix::fs::PermissionsExt;
    let made = rcgen::generate_simple_self_signed(["x".to_owned()]).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (certificate, key) = (dir.path().join("crt"), dir.path().join("key"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    let (tls, pin) = mandatum::host::load_tls(&certificate, &key).unwrap();
    (tls, pin, made.cert.der().clone())
}

/// A program's calls share one connection, and one that the server ended between them is no lost answer.
#[test]
fn one_connection_carries_a_programs_calls() {
    let (tls, pin, _) = made_tls();
    let limits = Limits { idle: Duration::from_secs(1), ..Limits::default() };
    let door = Door::with(limits, Some(tls), u32::MAX, |frame| Ok(frame.load));
    let url = format!("https://{}", door.https.clone().unwrap());
    let profile = mandatum::agent::Profile::new(vec![url], Some(pin), VaultId([1; 16]), pin);
    let gate = mandatum::agent::RemoteGate::new(&profile).unwrap();
    let signed = || serde_json::from_str(body().lines().next().unwrap()).unwrap();
    let call = |load: &[u8]| {
        let frame = Frame { verb: mandatum::model::Verb::CredentialAdd, request: signed(), load: load.to_vec() };
        gate.call(frame).unwrap()
    };
    gate.hello().unwrap();
    assert_eq!(call(b"a\nb"), b"a\nb");
    let long = vec![b'x'; 11 * 1024 * 1024];
    assert_eq!(call(&long), long);
    assert_eq!(door.metric("mandatum_connections "), 1);
    wait_until(|| door.metric("mandatum_connections ") == 0);
    // A call that may not be repeated, on a connection that ended meanwhile.
    assert_eq!(call(b"again"), b"again");
    // What no broker takes is not sent at all.
    let frame = Frame { verb: mandatum::model::Verb::Fetch, request: signed(), load: vec![0; 1024 * 1024] };
    assert!(matches!(gate.call(frame), Err(Refusal::Input { .. })));
    assert_eq!(door.calls(), 3);
}

/// TLS 1.3 or nothing; what is no TLS gets no answer.
#[test]
fn old_tls_and_plain_http_are_refused() {
    let (tls, _, certificate) = made_tls();
    let limits = Limits { handshake: Duration::from_secs(1), ..Limits::default() };
    let door = Door::with(limits, Some(tls), u32::MAX, |_| Ok(Vec::new()));
    let address = door.https.clone().unwrap();

    let connect = |versions: &[&'static rustls::SupportedProtocolVersion]| {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(certificate.clone()).unwrap();
        let config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = rustls::pki_types::ServerName::try_from("x").unwrap();
        let connection = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
        let mut stream = rustls::StreamOwned::new(connection, TcpStream::connect(&address).unwrap());
        stream.write_all(&post("/v1/hello", "", "")).map(|()| rest(&mut stream))
    };
    assert!(connect(&[&rustls::version::TLS13]).unwrap().starts_with("HTTP/1.1 200"));
    let refused = connect(&[&rustls::version::TLS12]).unwrap_err().to_string();
    assert!(refused.contains("ProtocolVersion"), "{refused}");

    let mut plain = TcpStream::connect(&address).unwrap();
    plain.write_all(&post("/v1/hello", "", "")).unwrap();
    let answer = rest(&mut plain);
    assert!(!answer.contains("HTTP"), "{answer}");
    // A handshake that never comes is not waited for.
    let (mut silent, begun) = (TcpStream::connect(&address).unwrap(), Instant::now());
    assert_eq!(rest(&mut silent), "");
    assert!(begun.elapsed() < Duration::from_secs(5));
    wait_until(|| door.metric("mandatum_connections_refused_total{why=\"tls\"}") == 3);
}
