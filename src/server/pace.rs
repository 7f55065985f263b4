//! How long a connection may take for what it is doing.
//!
//! A connection is always in one phase, and each phase has a deadline. Bytes that trickle in move no deadline.

use super::Limits;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};
use std::{io, sync::Arc};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Duration, Instant, sleep_until};

#[derive(Clone, Copy)]
enum Phase {
    /// A head is due since then.
    Head(Instant),
    /// A request runs whose first byte came then.
    Serving(Instant),
    /// Its answer is on the way.
    Answering(Instant),
    /// Nothing is due.
    Idle(Instant),
}

/// The phase a connection is in.
pub struct Pace(Mutex<Phase>);

impl Pace {
    /// Of a connection that begins: its first request is due.
    pub fn new() -> Self {
        Self(Mutex::new(Phase::Head(Instant::now())))
    }

    /// The head of a request is there.
    pub fn request(&self) {
        self.change(|phase| match phase {
            Phase::Head(since) => Phase::Serving(since),
            _ => Phase::Serving(Instant::now()),
        });
    }

    /// Its answer is made.
    pub fn answer(&self) {
        self.change(|phase| match phase {
            Phase::Serving(since) => Phase::Answering(since),
            other => other,
        });
    }

    /// Returns once the connection took longer than it may.
    pub async fn overdue(&self, limits: &Limits) {
        loop {
            let (deadline, now) = (self.deadline(limits), Instant::now());
            if deadline <= now {
                return;
            }
            // The next phase may be over sooner than this one.
            sleep_until(deadline.min(now + Duration::from_secs(1))).await;
        }
    }

    fn deadline(&self, limits: &Limits) -> Instant {
        match *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Phase::Head(since) => since + limits.head,
            Phase::Serving(since) | Phase::Answering(since) => since + limits.whole,
            Phase::Idle(since) => since + limits.idle,
        }
    }

    fn bytes_came(&self) {
        self.change(|phase| if matches!(phase, Phase::Idle(_)) { Phase::Head(Instant::now()) } else { phase });
    }

    fn bytes_left(&self) {
        self.change(|phase| if matches!(phase, Phase::Answering(_)) { Phase::Idle(Instant::now()) } else { phase });
    }

    fn change(&self, next: impl FnOnce(Phase) -> Phase) {
        let mut phase = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *phase = next(*phase);
    }
}

/// A stream that tells its pace what happens on it.
pub struct Paced<S> {
    stream: S,
    pace: Arc<Pace>,
}

impl<S> Paced<S> {
    /// Around a stream.
    pub fn new(stream: S, pace: Arc<Pace>) -> Self {
        Self { stream, pace }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.pace.bytes_came();
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    /// The layer above flushes once it has handed everything over.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        if matches!(flushed, Poll::Ready(Ok(()))) {
            self.pace.bytes_left();
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
