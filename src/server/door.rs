//! The two doors: who stands at them, and the loops that let them in.

use super::{Shared, TlsConfig, catch_breath, connection};
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

/// By which door somebody came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Door {
    /// The Unix socket.
    Socket,
    /// HTTPS.
    Https,
}

impl Door {
    /// The name in logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Socket => "socket",
            Self::Https => "https",
        }
    }
}

/// What limits are counted by.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Source {
    /// An account of this machine.
    Account(u32),
    /// An address; of IPv6 the network, since one machine has 2⁶⁴ of the rest.
    Address(IpAddr),
}

/// Who stands at a door.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    /// Which door.
    pub door: Door,
    /// From where.
    pub source: Source,
    /// Whether they are on this machine.
    pub here: bool,
}

impl Peer {
    fn of_socket(stream: &UnixStream) -> io::Result<Self> {
        let account = stream.peer_cred()?.uid();
        Ok(Self { door: Door::Socket, source: Source::Account(account), here: true })
    }

    fn of_https(stream: &TcpStream) -> io::Result<Self> {
        let (peer, own) = (stream.peer_addr()?.ip().to_canonical(), stream.local_addr()?.ip().to_canonical());
        let here = is_here(peer) || peer == own;
        let source = match peer {
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64))),
            address @ IpAddr::V4(_) => address,
        };
        Ok(Self { door: Door::Https, source: Source::Address(source), here })
    }
}

/// Whether an address is this machine's own: one that can be listened at. Where the machine lets every address be
/// listened at, all count as its own, and the records claim the less.
fn is_here(address: IpAddr) -> bool {
    address.is_loopback() || std::net::UdpSocket::bind((address, 0)).is_ok()
}

/// Lets in who comes through the socket.
pub async fn socket(shared: Arc<Shared>, listener: UnixListener, stop: watch::Receiver<bool>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            catch_breath().await;
            continue;
        };
        let peer = Peer::of_socket(&stream).ok();
        let Some((peer, admitted)) = peer.and_then(|peer| Some((peer, shared.admit(peer.source)?))) else {
            shared.metrics.turned_away.fetch_add(1, Ordering::Relaxed);
            continue;
        };
        let (shared, stop) = (Arc::clone(&shared), stop.clone());
        tokio::spawn(async move {
            connection::serve(shared, stream, peer, stop).await;
            drop(admitted);
        });
    }
}

/// Lets in who comes over HTTPS, after the handshake.
pub async fn https(shared: Arc<Shared>, listener: TcpListener, tls: Arc<TlsConfig>, stop: watch::Receiver<bool>) {
    let acceptor = TlsAcceptor::from(tls);
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            catch_breath().await;
            continue;
        };
        let peer = Peer::of_https(&stream).ok();
        let Some((peer, admitted)) = peer.and_then(|peer| Some((peer, shared.admit(peer.source)?))) else {
            shared.metrics.turned_away.fetch_add(1, Ordering::Relaxed);
            continue;
        };
        // Small answers at once: nothing follows that they could wait for.
        let _ = stream.set_nodelay(true);
        let (shared, stop, acceptor) = (Arc::clone(&shared), stop.clone(), acceptor.clone());
        tokio::spawn(async move {
            let handshake = tokio::time::timeout(shared.limits.handshake, acceptor.accept(stream)).await;
            match handshake {
                Ok(Ok(stream)) => connection::serve(shared, stream, peer, stop).await,
                _ => _ = shared.metrics.no_tls.fetch_add(1, Ordering::Relaxed),
            }
            drop(admitted);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_this_machine_is_no_other_machine() {
        for (address, here) in [
            ("127.0.0.1", true),
            ("127.8.7.6", true),
            ("::1", true),
            ("0.0.0.0", true),
            // Set aside for documents (RFC 5737, RFC 3849): nobody's.
            ("192.0.2.1", false),
            ("2001:db8::1", false),
        ] {
            assert_eq!(is_here(address.parse().unwrap()), here, "{address}");
        }
        // The address this machine would be reached by, if it has one.
        let outward = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
        if outward.connect("192.0.2.1:9").is_ok() {
            assert!(is_here(outward.local_addr().unwrap().ip()));
        }
    }
}
