//! HTTP/1.1 around a broker: over a Unix socket and over HTTPS, the same routes and the same answers.
//!
//! Guarantees: it only translates. What a request may do is the broker's to say; the server reads no name, no id and no
//! secret, keeps no session and writes none of it down. Every wait and every size has a limit, before anybody is
//! proven. It serves the members' programs: what comes from a browser's page is refused, and there is no cookie, no
//! redirect and no word to other origins.
//!
//! Who comes through the socket, or over HTTPS from this very machine, is at most on another account here: they get the
//! gate that says so.

mod answer;
mod connection;
mod door;
mod handler;
mod limits;
mod metrics;
mod pace;
mod throttle;

pub use limits::Limits;
pub use rustls::ServerConfig as TlsConfig;

use crate::api::Gate;
use crate::model::Clock;
use door::Source;
use metrics::Metrics;
use std::collections::HashMap;
use std::future::Future;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::{io, time::Duration};
use throttle::Throttle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// The broker, by how far its members are from it.
pub struct ServeGates {
    /// For other accounts of this machine.
    pub account: Arc<dyn Gate>,
    /// For other machines.
    pub host: Arc<dyn Gate>,
}

/// Takes one line of the log.
pub type Log = Arc<dyn Fn(&str) + Send + Sync>;

/// Everything a server works with.
pub struct Serve {
    /// The broker.
    pub gates: ServeGates,
    /// Whether the broker holds its vault now.
    pub ready: Arc<dyn Fn() -> bool + Send + Sync>,
    /// The socket, listening.
    pub socket: Option<UnixListener>,
    /// HTTPS, listening, with its key.
    pub https: Option<(TcpListener, Arc<TlsConfig>)>,
    /// Metrics, listening on this machine alone.
    pub metrics: Option<TcpListener>,
    /// The account the broker runs under: its own requests over the socket are refused.
    pub account: u32,
    /// Time, for the log.
    pub clock: Arc<dyn Clock>,
    /// Where log lines go: one JSON object each, with nothing in it that a member sent.
    pub log: Log,
    /// Sizes and times.
    pub limits: Limits,
}

/// What all connections share.
struct Shared {
    gates: ServeGates,
    ready: Arc<dyn Fn() -> bool + Send + Sync>,
    account: u32,
    clock: Arc<dyn Clock>,
    log: Log,
    limits: Limits,
    metrics: Metrics,
    throttle: Throttle,
    connections: Arc<Semaphore>,
    sources: Mutex<HashMap<Source, usize>>,
    /// Places for requests that run or wait for the broker.
    waiting: Arc<Semaphore>,
    /// Room for long bodies, KiB.
    large: Arc<Semaphore>,
    number: AtomicU64,
}

/// Serves until `stop` is done, then lets what runs finish. `begun` is told once everything listens, inside the
/// runtime, and gives what to stop on.
///
/// # Errors
/// The runtime or a listener cannot be set up.
pub fn serve<S>(serve: Serve, begun: impl FnOnce() -> io::Result<S>) -> io::Result<()>
where
    S: Future<Output = ()>,
{
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .max_blocking_threads(serve.limits.waiting.max(1))
        .thread_name("mandatum-serve")
        .enable_all()
        .build()?;
    let served = runtime.block_on(run(serve, begun));
    // A request that did not finish in time is cut off: its record is whole or absent, as after a power cut.
    runtime.shutdown_background();
    served
}

async fn run<S: Future<Output = ()>>(serve: Serve, begun: impl FnOnce() -> io::Result<S>) -> io::Result<()> {
    let Serve { gates, ready, socket, https, metrics, account, clock, log, limits } = serve;
    let shared = Arc::new(Shared {
        metrics: Metrics::new(clock.now()),
        throttle: Throttle::new(limits.failures, limits.sources),
        connections: Arc::new(Semaphore::new(limits.connections)),
        sources: Mutex::default(),
        waiting: Arc::new(Semaphore::new(limits.waiting)),
        large: Arc::new(Semaphore::new(limits.large_kib as usize)),
        number: AtomicU64::new(0),
        gates,
        ready,
        account,
        clock,
        log,
        limits,
    });
    let (stopping, stop) = watch::channel(false);
    let mut doors = tokio::task::JoinSet::new();
    if let Some(listener) = socket {
        listener.set_nonblocking(true)?;
        let listener = tokio::net::UnixListener::from_std(listener)?;
        doors.spawn(door::socket(Arc::clone(&shared), listener, stop.clone()));
    }
    if let Some((listener, tls)) = https {
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        doors.spawn(door::https(Arc::clone(&shared), listener, tls, stop.clone()));
    }
    if let Some(listener) = metrics {
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        doors.spawn(metrics::serve(Arc::clone(&shared), listener));
    }
    begun()?.await;
    doors.shutdown().await;
    let _ = stopping.send(true);
    let all = u32::try_from(shared.limits.connections).unwrap_or(u32::MAX);
    let _ = tokio::time::timeout(shared.limits.stop, shared.connections.acquire_many(all)).await;
    Ok(())
}

impl Shared {
    fn next_number(&self) -> u64 {
        self.number.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// A place for one more connection; none where there are too many, in all or from there.
    fn admit(self: &Arc<Self>, source: Source) -> Option<Admitted> {
        let permit = Arc::clone(&self.connections).try_acquire_owned().ok()?;
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        let open = sources.entry(source).or_default();
        if *open >= self.limits.per_source {
            return None;
        }
        *open += 1;
        self.metrics.connections.fetch_add(1, Ordering::Relaxed);
        Some(Admitted { shared: Arc::clone(self), source, _permit: permit })
    }
}

/// A connection's place, given back when it ends.
struct Admitted {
    shared: Arc<Shared>,
    source: Source,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut sources = self.shared.sources.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = sources.get_mut(&self.source) {
            *open -= 1;
            if *open == 0 {
                sources.remove(&self.source);
            }
        }
        self.shared.metrics.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Waits a moment after the machine refused a connection (too many open files): trying at once would only spin.
async fn catch_breath() {
    tokio::time::sleep(Duration::from_millis(100)).await;
}
