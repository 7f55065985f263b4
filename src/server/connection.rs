//! One connection: HTTP/1.1 on it, for as long as it keeps its times.

use super::door::Peer;
use super::pace::{Pace, Paced};
use super::{Shared, handler};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;

/// Header lines of a request; more are refused.
const HEADERS: usize = 32;

/// Serves a connection until it ends, is overdue, or the server stops and its request is answered.
pub async fn serve<S>(shared: Arc<Shared>, stream: S, peer: Peer, mut stop: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let pace = Arc::new(Pace::new());
    let stream = TokioIo::new(Paced::new(stream, Arc::clone(&pace)));
    let service = service_fn(|request| {
        let (shared, pace) = (Arc::clone(&shared), Arc::clone(&pace));
        async move { Ok::<_, Infallible>(handler::handle(&shared, peer, &pace, request).await) }
    });
    let connection = http1::Builder::new()
        .header_read_timeout(None) // `pace` has it, from the first byte on
        .max_buf_size(shared.limits.head_max)
        .max_headers(HEADERS)
        .serve_connection(stream, service);
    let mut connection = pin!(connection);
    let mut stopping = false;
    loop {
        tokio::select! {
            // What was wrong with a connection is its peer's to know: it is counted, and nothing of it written down.
            ended = connection.as_mut() => {
                shared.metrics.no_http.fetch_add(u64::from(ended.is_err()), Ordering::Relaxed);
                return;
            }
            () = pace.overdue(&shared.limits) => return,
            _ = stop.changed(), if !stopping => {
                stopping = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}
