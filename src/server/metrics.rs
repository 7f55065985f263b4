//! Numbers for Prometheus: how many, how long, how it went. No name and no id is in them.

use super::answer::Answer;
use super::{Shared, catch_breath};
use crate::model::Instant;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpListener;

/// Upper bounds of the latency histogram, ms.
const BUCKETS: [u64; 11] = [5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000];
/// A reader of metrics has this long.
const TIME: Duration = Duration::from_secs(10);

/// The counters of one server.
pub struct Metrics {
    started: Instant,
    /// Requests under way.
    pub running: AtomicU64,
    /// Open connections.
    pub connections: AtomicU64,
    /// Requests refused after too many failures.
    pub throttled: AtomicU64,
    /// Connections not let in: too many of them.
    pub turned_away: AtomicU64,
    /// Connections that ended before a request: no TLS that is spoken here.
    pub no_tls: AtomicU64,
    /// Connections that ended because what came was no HTTP, or broke off.
    pub no_http: AtomicU64,
    requests: Mutex<BTreeMap<(&'static str, &'static str), u64>>,
    latency: [AtomicU64; BUCKETS.len() + 1],
    latency_us: AtomicU64,
}

impl Metrics {
    /// All at nothing.
    pub fn new(started: Instant) -> Self {
        Self {
            started,
            running: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            throttled: AtomicU64::new(0),
            turned_away: AtomicU64::new(0),
            no_tls: AtomicU64::new(0),
            no_http: AtomicU64::new(0),
            requests: Mutex::default(),
            latency: Default::default(),
            latency_us: AtomicU64::new(0),
        }
    }

    /// One request is done.
    pub fn count(&self, verb: &'static str, outcome: &'static str, took: Duration) {
        *self.requests.lock().unwrap_or_else(PoisonError::into_inner).entry((verb, outcome)).or_default() += 1;
        let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let place = BUCKETS.iter().position(|bound| ms < *bound).unwrap_or(BUCKETS.len());
        if let Some(bucket) = self.latency.get(place) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        self.latency_us.fetch_add(u64::try_from(took.as_micros()).unwrap_or(0), Ordering::Relaxed);
    }

    /// As Prometheus reads them (text format 0.0.4).
    fn text(&self) -> String {
        let mut text = String::from("# TYPE mandatum_requests_total counter\n");
        for ((verb, outcome), count) in &*self.requests.lock().unwrap_or_else(PoisonError::into_inner) {
            let _ = writeln!(text, "mandatum_requests_total{{verb=\"{verb}\",outcome=\"{outcome}\"}} {count}");
        }
        text.push_str("# TYPE mandatum_request_seconds histogram\n");
        let (mut below, name) = (0, "mandatum_request_seconds");
        for (bucket, bound) in self.latency.iter().zip(BUCKETS) {
            below += bucket.load(Ordering::Relaxed);
            let _ = writeln!(text, "{name}_bucket{{le=\"{}\"}} {below}", Seconds(bound * 1000));
        }
        below += self.latency.last().map_or(0, |rest| rest.load(Ordering::Relaxed));
        let sum = Seconds(self.latency_us.load(Ordering::Relaxed));
        let _ = writeln!(text, "{name}_bucket{{le=\"+Inf\"}} {below}\n{name}_sum {sum}\n{name}_count {below}");
        let started = Seconds(u64::try_from(self.started.0).unwrap_or(0).saturating_mul(1000)).to_string();
        for (name, kind, value) in [
            ("mandatum_requests_running", "gauge", self.running.load(Ordering::Relaxed).to_string()),
            ("mandatum_connections", "gauge", self.connections.load(Ordering::Relaxed).to_string()),
            ("mandatum_throttled_total", "counter", self.throttled.load(Ordering::Relaxed).to_string()),
            ("mandatum_start_time_seconds", "gauge", started),
        ] {
            let _ = writeln!(text, "# TYPE {name} {kind}\n{name} {value}");
        }
        let name = "mandatum_connections_refused_total";
        let _ = writeln!(text, "# TYPE {name} counter");
        for (why, count) in [("limit", &self.turned_away), ("tls", &self.no_tls), ("http", &self.no_http)] {
            let _ = writeln!(text, "{name}{{why=\"{why}\"}} {}", count.load(Ordering::Relaxed));
        }
        text
    }
}

/// Microseconds, written as seconds.
struct Seconds(u64);

impl std::fmt::Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{:06}", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

/// Answers `GET /metrics`, one reader at a time.
pub async fn serve(shared: Arc<Shared>, listener: TcpListener) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            catch_breath().await;
            continue;
        };
        let service = service_fn(|request: Request<Incoming>| {
            let asked = request.method() == Method::GET && request.uri().path() == "/metrics";
            let text = if asked { shared.metrics.text() } else { String::new() };
            let answer = Answer::text(if asked { StatusCode::OK } else { StatusCode::NOT_FOUND }, &text);
            async move { Ok::<_, Infallible>(answer.into_response()) }
        });
        let served = http1::Builder::new()
            .header_read_timeout(None)
            .keep_alive(false)
            .serve_connection(TokioIo::new(stream), service);
        let _ = tokio::time::timeout(TIME, served).await;
    }
}
