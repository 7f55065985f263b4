//! The connection under the HTTP client: TCP with TLS to the pinned key, or a Unix socket. Both with one deadline for
//! each thing that is waited for, and both say whether anything of a request was handed to them.

use super::tls;
use crate::model::Digest;
use rustls::pki_types::ServerName;
use rustls::{CertificateError, ClientConfig, ClientConnection, StreamOwned};
use std::fmt;
use std::io::{self, Read, Write};
use std::net::TcpStream;
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport};
use ureq::{Error, Timeout};

/// Where a broker is.
#[derive(Clone, Debug)]
pub enum Address {
    /// Over HTTPS: `https://host:port`, and the key it must show.
    Https {
        /// Without a slash at the end.
        base: String,
        /// The host alone, for the handshake.
        host: ServerName<'static>,
        /// SHA-256 of its public key.
        pin: Digest,
    },
    /// A Unix socket.
    Unix(PathBuf),
}

impl Address {
    /// Of a profile.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(url: &str, pin: Option<Digest>) -> Result<Self, String> {
        if let Some(path) = url.strip_prefix("unix:") {
            return if path.starts_with('/') {
                Ok(Self::Unix(PathBuf::from(path)))
            } else {
                Err(format!("'{url}': write a socket as unix:/PATH"))
            };
        }
        let bad = || format!("'{url}' is no place of a broker: write https://HOST:PORT or unix:/PATH");
        let uri: Uri = url.parse().map_err(|_| bad())?;
        let (authority, host) = (uri.authority().ok_or_else(bad)?, uri.host().ok_or_else(bad)?);
        let plain = matches!(uri.path(), "" | "/") && uri.query().is_none() && !authority.as_str().contains('@');
        if uri.scheme_str() != Some("https") || !plain {
            return Err(bad());
        }
        let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let host = ServerName::try_from(bare).map_err(|_| bad())?;
        let pin = pin.ok_or_else(|| {
            format!("the profile pins no TLS key for '{url}'; join again with an invitation that names it")
        })?;
        Ok(Self::Https { base: format!("https://{authority}"), host, pin })
    }

    /// What a route is added to.
    pub fn base(&self) -> String {
        match self {
            Self::Https { base, .. } => base.clone(),
            Self::Unix(_) => "http://localhost".to_owned(),
        }
    }
}

/// A socket's name is looked up nowhere.
impl Resolver for Address {
    fn resolve(&self, uri: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        match self {
            Self::Https { .. } => DefaultResolver::default().resolve(uri, config, timeout),
            Self::Unix(_) => Ok(self.empty()),
        }
    }
}

/// Why nothing was sent, where it is more than nobody being there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// It showed a key that is not pinned.
    OtherKey,
    /// This very account serves the socket.
    OwnAccount,
}

/// What is known of the connection since a call began.
#[derive(Default, Debug)]
pub struct Line {
    used: AtomicBool,
    fault: Mutex<Option<Fault>>,
}

impl Line {
    /// A call begins.
    pub fn begin(&self) {
        self.used.store(false, Ordering::SeqCst);
        self.note(None);
    }

    /// Whether anything of the request may have left.
    pub fn was_used(&self) -> bool {
        self.used.load(Ordering::SeqCst)
    }

    /// Why nothing was sent.
    pub fn fault(&self) -> Option<Fault> {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, fault: Option<Fault>) {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = fault;
    }
}

/// Connects to one address.
#[derive(Debug)]
pub struct Connect {
    address: Address,
    tls: Option<Arc<ClientConfig>>,
    line: Arc<Line>,
}

impl Connect {
    /// To this address.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn new(address: Address, line: Arc<Line>) -> Result<Self, String> {
        let tls = match &address {
            Address::Https { pin, .. } => Some(tls::pinned(*pin).map_err(|error| error.to_string())?),
            Address::Unix(_) => None,
        };
        Ok(Self { address, tls, line })
    }

    fn over_tcp(
        &self,
        host: &ServerName<'static>,
        details: &ConnectionDetails<'_>,
        deadline: Option<Instant>,
    ) -> Result<Stream, Error> {
        let tcp = first_of(details, deadline)?;
        let _ = tcp.set_nodelay(true);
        let tls = self.tls.clone().ok_or(Error::TlsRequired)?;
        let mut stream = StreamOwned::new(ClientConnection::new(tls, host.clone())?, Timed { socket: tcp, deadline });
        while stream.conn.is_handshaking() {
            if let Err(error) = stream.conn.complete_io(&mut stream.sock) {
                if is_other_key(&error) {
                    self.line.note(Some(Fault::OtherKey));
                }
                return Err(error.into());
            }
        }
        Ok(Stream::Tls(Box::new(stream)))
    }

    #[cfg(unix)]
    fn over_socket(&self, path: &Path, deadline: Option<Instant>) -> Result<Stream, Error> {
        let socket = UnixStream::connect(path)?;
        if account_behind(&socket, path)? == rustix::process::geteuid().as_raw() {
            self.line.note(Some(Fault::OwnAccount));
            return Err(io::Error::from(io::ErrorKind::PermissionDenied).into());
        }
        Ok(Stream::Unix(Timed { socket, deadline }))
    }

    #[cfg(not(unix))]
    fn over_socket(&self, _: &Path, _: Option<Instant>) -> Result<Stream, Error> {
        Err(io::Error::from(io::ErrorKind::Unsupported).into())
    }
}

impl Connector for Connect {
    type Out = Connected;

    fn connect(&self, details: &ConnectionDetails<'_>, _: Option<()>) -> Result<Option<Connected>, Error> {
        let deadline = deadline(details.timeout);
        let stream = match &self.address {
            Address::Https { host, .. } => self.over_tcp(host, details, deadline)?,
            Address::Unix(path) => self.over_socket(path, deadline)?,
        };
        let buffers = LazyBuffers::new(details.config.input_buffer_size(), details.config.output_buffer_size());
        Ok(Some(Connected { stream, buffers, line: Arc::clone(&self.line) }))
    }
}

/// Which account serves a socket, as the kernel says.
#[cfg(target_os = "linux")]
fn account_behind(socket: &UnixStream, _: &Path) -> io::Result<u32> {
    Ok(rustix::net::sockopt::socket_peercred(socket)?.uid.as_raw())
}

/// Which account made a socket; another cannot have put it into a directory of that account's own.
#[cfg(all(unix, not(target_os = "linux")))]
fn account_behind(_: &UnixStream, path: &Path) -> io::Result<u32> {
    Ok(std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(path)?))
}

/// The first of a name's addresses that answers; all of them in the time there is.
fn first_of(details: &ConnectionDetails<'_>, deadline: Option<Instant>) -> Result<TcpStream, Error> {
    let mut refused = Error::ConnectionFailed;
    for address in &details.addrs[..] {
        let connected = match deadline {
            Some(deadline) => match deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
                Some(left) => TcpStream::connect_timeout(address, left),
                None => return Err(Error::Timeout(Timeout::Connect)),
            },
            None => TcpStream::connect(address),
        };
        match connected {
            Ok(stream) => return Ok(stream),
            Err(error) => refused = error.into(),
        }
    }
    Err(refused)
}

fn is_other_key(error: &io::Error) -> bool {
    let error = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let other = rustls::Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure);
    error.is_some_and(|error| *error == other)
}

fn deadline(timeout: NextTimeout) -> Option<Instant> {
    if timeout.after.is_not_happening() { None } else { Instant::now().checked_add(*timeout.after) }
}

/// A connection that stands.
pub struct Connected {
    stream: Stream,
    buffers: LazyBuffers,
    line: Arc<Line>,
}

enum Stream {
    Tls(Box<StreamOwned<ClientConnection, Timed<TcpStream>>>),
    #[cfg(unix)]
    Unix(Timed<UnixStream>),
}

impl Stream {
    fn until(&mut self, deadline: Option<Instant>) {
        match self {
            Self::Tls(stream) => stream.sock.deadline = deadline,
            #[cfg(unix)]
            Self::Unix(stream) => stream.deadline = deadline,
        }
    }
}

/// What it carries is never shown.
impl fmt::Debug for Connected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connected")
    }
}

impl Transport for Connected {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.stream.until(deadline(timeout));
        self.line.used.store(true, Ordering::SeqCst);
        let output = self.buffers.output().get(..amount).ok_or(Error::ConnectionFailed)?;
        match &mut self.stream {
            Stream::Tls(stream) => stream.write_all(output).and_then(|()| stream.flush())?,
            #[cfg(unix)]
            Stream::Unix(stream) => stream.write_all(output)?,
        }
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.stream.until(deadline(timeout));
        let input = self.buffers.input_append_buf();
        let amount = match &mut self.stream {
            Stream::Tls(stream) => stream.read(input)?,
            #[cfg(unix)]
            Stream::Unix(stream) => stream.read(input)?,
        };
        self.buffers.input_appended(amount);
        Ok(amount > 0)
    }

    /// Between two requests the other side has nothing to say but that it ends.
    fn is_open(&mut self) -> bool {
        match &self.stream {
            Stream::Tls(stream) => stream.sock.socket.is_silent(),
            #[cfg(unix)]
            Stream::Unix(stream) => stream.socket.is_silent(),
        }
    }

    fn is_tls(&self) -> bool {
        matches!(self.stream, Stream::Tls(_))
    }
}

/// A socket whose every wait ends at one deadline.
struct Timed<S> {
    socket: S,
    deadline: Option<Instant>,
}

impl<S: Socket> Timed<S> {
    fn left(&self) -> io::Result<Option<Duration>> {
        let Some(deadline) = self.deadline else { return Ok(None) };
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(Some(left)) }
    }
}

impl<S: Socket> Read for Timed<S> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            self.socket.read_within(self.left()?)?;
            match self.socket.read(buf) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => return read,
            }
        }
    }
}

impl<S: Socket> Write for Timed<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.write_within(self.left()?)?;
        self.socket.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush()
    }
}

/// What both kinds of socket can do.
trait Socket: Read + Write {
    fn read_within(&self, left: Option<Duration>) -> io::Result<()>;
    fn write_within(&self, left: Option<Duration>) -> io::Result<()>;
    /// Whether it is open and nothing waits to be read.
    fn is_silent(&self) -> bool;
}

impl Socket for TcpStream {
    fn read_within(&self, left: Option<Duration>) -> io::Result<()> {
        self.set_read_timeout(left)
    }
    fn write_within(&self, left: Option<Duration>) -> io::Result<()> {
        self.set_write_timeout(left)
    }
    fn is_silent(&self) -> bool {
        let peeked = self.set_nonblocking(true).and_then(|()| self.peek(&mut [0]));
        let back = self.set_nonblocking(false);
        back.is_ok() && peeked.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }
}

#[cfg(unix)]
impl Socket for UnixStream {
    fn read_within(&self, left: Option<Duration>) -> io::Result<()> {
        self.set_read_timeout(left)
    }
    fn write_within(&self, left: Option<Duration>) -> io::Result<()> {
        self.set_write_timeout(left)
    }
    fn is_silent(&self) -> bool {
        use rustix::net::{RecvFlags, recv};
        let mut byte = [0];
        recv(self, &mut byte[..], RecvFlags::PEEK | RecvFlags::DONTWAIT)
            .is_err_and(|error| error == rustix::io::Errno::AGAIN)
    }
}
