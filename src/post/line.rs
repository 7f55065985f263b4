//! A connection with the limits an SMTP client lacks: one time limit from the first byte to the last, and one for
//! what the server may say.
//!
//! The client waits for each line anew and reads a line of any length, so a server that drips or floods would hold
//! the sender or fill its memory. It therefore speaks through this line: a pair of threads that carry bytes between a
//! port of this machine and the server, encrypted end to end where TLS is used, and cut it at the limits.

use super::PostError;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// What a server may say in one delivery, bytes: certificates take up to 10 KiB, a dialogue less than 1. The client
/// reads an answer of many lines anew with each line, so that more would cost it minutes.
const ANSWER_MAX: usize = 24 * 1024;
/// How often a port is looked at that nobody came to yet.
const LOOK: Duration = Duration::from_millis(2);

/// An open line to a server.
pub struct Line {
    /// The port of this machine where it begins.
    pub port: u16,
    cut: Arc<Cut>,
}

#[derive(Default)]
struct Cut {
    late: AtomicBool,
    flooded: AtomicBool,
}

impl Line {
    /// Connects to a server. The line is good for one connection, and for this long.
    ///
    /// # Errors
    /// [`PostError::Unreachable`] or [`PostError::TimedOut`].
    pub fn open(host: &str, port: u16, limit: Duration) -> Result<Self, PostError> {
        let deadline = Instant::now() + limit;
        let far = connect(host, port, deadline)?;
        let unreachable = |_: io::Error| PostError::Unreachable(host.to_owned());
        let door = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(unreachable)?;
        door.set_nonblocking(true).map_err(unreachable)?;
        let (port, cut) = (door.local_addr().map_err(unreachable)?.port(), Arc::<Cut>::default());
        let seen = Arc::clone(&cut);
        thread::spawn(move || drop(carry(&door, &far, deadline, &seen)));
        Ok(Self { port, cut })
    }

    /// Why the line was cut, if it was.
    pub fn cut(&self, host: &str) -> Option<PostError> {
        if self.cut.flooded.load(Ordering::SeqCst) {
            return Some(PostError::TooLong(host.to_owned()));
        }
        self.cut.late.load(Ordering::SeqCst).then(|| PostError::TimedOut(host.to_owned()))
    }
}

fn connect(host: &str, port: u16, deadline: Instant) -> Result<TcpStream, PostError> {
    let unreachable = || PostError::Unreachable(host.to_owned());
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let mut failed = unreachable();
    for address in (bare, port).to_socket_addrs().map_err(|_| unreachable())? {
        let Some(left) = left(deadline) else { return Err(PostError::TimedOut(host.to_owned())) };
        match TcpStream::connect_timeout(&address, left) {
            Ok(stream) => return Ok(stream),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => failed = PostError::TimedOut(host.to_owned()),
            Err(_) => failed = unreachable(),
        }
    }
    Err(failed)
}

/// Carries both ways until one side ends, or a limit is reached.
fn carry(door: &TcpListener, far: &TcpStream, deadline: Instant, cut: &Cut) -> io::Result<()> {
    let near = loop {
        match door.accept() {
            Ok((near, _)) => break near,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && left(deadline).is_some() => thread::sleep(LOOK),
            Err(error) => return Err(error),
        }
    };
    near.set_nonblocking(false)?;
    let end = || [far, &near].map(|stream| stream.shutdown(Shutdown::Both));
    thread::scope(|scope| {
        scope.spawn(|| {
            let _ = pump(&near, far, deadline, usize::MAX, cut);
            let _ = end();
        });
        let _ = pump(far, &near, deadline, ANSWER_MAX, cut);
        let _ = end();
    });
    Ok(())
}

fn pump(mut from: &TcpStream, mut to: &TcpStream, deadline: Instant, most: usize, cut: &Cut) -> io::Result<()> {
    let (mut buffer, mut carried) = ([0; 4096], 0usize);
    loop {
        let Some(left) = left(deadline) else {
            cut.late.store(true, Ordering::SeqCst);
            return Ok(());
        };
        from.set_read_timeout(Some(left))?;
        to.set_write_timeout(Some(left))?;
        let read = match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(read) => read,
            // Looked at anew: at the deadline it ends above.
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => continue,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        carried = carried.saturating_add(read);
        if carried > most {
            cut.flooded.store(true, Ordering::SeqCst);
            return Ok(());
        }
        to.write_all(buffer.get(..read).unwrap_or_default())?;
    }
}

/// The time that is left; none at the end.
fn left(deadline: Instant) -> Option<Duration> {
    deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
}
