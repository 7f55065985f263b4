//! Sizes and times, all of them in one place.

use std::time::Duration;

/// What a server allows. The default is what is served; tests shorten the waits.
#[derive(Clone, Debug)]
pub struct Limits {
    /// From the first byte of a request, or the beginning of a connection, to the end of its head.
    pub head: Duration,
    /// For a request's body.
    pub body: Duration,
    /// For a whole request with its answer.
    pub whole: Duration,
    /// Between requests.
    pub idle: Duration,
    /// For a TLS handshake.
    pub handshake: Duration,
    /// For what runs when the server is stopped.
    pub stop: Duration,
    /// The longest head, bytes.
    pub head_max: usize,
    /// Connections in all.
    pub connections: usize,
    /// Connections from one address or account.
    pub per_source: usize,
    /// Requests that run or wait for the broker.
    pub waiting: usize,
    /// Bodies over 1 MiB that are held at a time, KiB in all.
    pub large_kib: u32,
    /// Failed authentications at once from one address or account; then one a second.
    pub failures: u32,
    /// Addresses and accounts whose failures are remembered.
    pub sources: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(10),
            body: Duration::from_secs(30),
            whole: Duration::from_secs(120),
            idle: Duration::from_secs(60),
            handshake: Duration::from_secs(10),
            stop: Duration::from_secs(10),
            head_max: 16 * 1024,
            connections: 1024,
            per_source: 128,
            waiting: 128,
            large_kib: 256 * 1024,
            failures: 20,
            sources: 4096,
        }
    }
}
