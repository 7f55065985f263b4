//! `serve`: the broker for others, over a socket and over HTTPS, until the process is told to stop.

use super::watch::{Say, Watch, Watched};
use super::{LocalHost, places, tls};
use crate::api::{Gate, Host, Places, Refusal, ServeOptions, Served};
use crate::broker::{Broker, Door, Pace, Settings};
use crate::ledger::Assurance;
use crate::model::Clock;
use crate::server::{self, Limits, Log, Serve, ServeGates};
use std::future::Future;
use std::io::{self, Write};
use std::net::TcpListener;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{env, fs};
use tokio::signal::unix::{SignalKind, signal};

/// Serves until SIGTERM or SIGINT. The log goes to standard error, one JSON object a line.
pub fn serve(host: &LocalHost, at: &Places, options: ServeOptions) -> Result<(), Refusal> {
    let log: Log = Arc::new(|line: &str| {
        // A log that cannot be written is no reason to stop.
        let _ = writeln!(io::stderr().lock(), "{line}");
    });
    until(host, at, options, Limits::default(), &log, signalled)
}

/// Serves until what `stop` gives is done; `stop` is called once everything listens.
///
/// # Errors
/// Input where an option cannot be; failed where a listener or the vault cannot be opened.
pub fn until<S: Future<Output = ()>>(
    host: &LocalHost,
    at: &Places,
    options: ServeOptions,
    limits: Limits,
    log: &Log,
    stop: impl FnOnce() -> io::Result<S>,
) -> Result<(), Refusal> {
    if options.socket.is_none() && options.listen.is_none() {
        return Err(Refusal::input("serve", "say where: --socket PATH, --listen ADDR:PORT, or both"));
    }
    places::check_private(&at.vault)?;
    places::check_private(&at.state)?;
    let metrics = options.metrics.map(metrics_listener).transpose()?;
    let (https, pin) = match options.listen {
        Some(address) => {
            let (certificate, key) = match options.tls.clone() {
                Some(own) => own,
                None => {
                    tls::ensure(at, &*host.clock)?;
                    tls::paths(at)
                }
            };
            let (config, pin) = tls::load(&certificate, &key)?;
            (Some((listen(address)?, config)), Some(pin))
        }
        None => (None, None),
    };
    let socket = options.socket.as_deref().map(|path| Socket::bind(path, options.socket_group.as_deref()));
    let socket = socket.transpose()?;

    let by_socket = options.socket.as_ref().map(|path| format!("unix:{}", path.display()));
    let urls = options.public.iter().cloned().chain(by_socket).collect();
    let served = Served { urls, pin };
    places::write_served(at, &served)?;

    // One broker, and a door for each level. What it records by itself bears the lower one.
    let assurance = if socket.is_some() { Assurance::Account } else { Assurance::Host };
    let settings = Settings { assurance, served, pace: pace(options.pace.unwrap_or(100)), ..host.settings(at)? };
    let broker = Arc::new(Broker::new(settings));
    let door = |assurance| Arc::new(Door::new(Arc::clone(&broker), assurance)) as Arc<dyn Gate>;
    let gates = ServeGates { account: door(Assurance::Account), host: door(Assurance::Host) };

    // A vault that does not open is said now, not to the first member.
    let watch = Watch::begin(Watched {
        broker: Arc::clone(&broker),
        at: at.clone(),
        clock: Arc::clone(&host.clock),
        say: said(Arc::clone(log), Arc::clone(&host.clock)),
    })?;

    let address = |listener: &TcpListener| listener.local_addr().ok().map(|address| address.to_string());
    let begun = serde_json::json!({
        "at": host.clock.now().to_string(),
        "event": "serving",
        "vault": host.vault_id(at)?,
        "socket": options.socket.as_ref().map(|path| path.display().to_string()),
        "https": https.as_ref().and_then(|(listener, _)| address(listener)),
        "pin": pin,
        "metrics": metrics.as_ref().and_then(address),
        "public": options.public,
    });
    let serve = Serve {
        gates,
        ready: watch.ready(),
        socket: socket.as_ref().map(Socket::listener).transpose()?,
        https,
        metrics,
        account: rustix::process::geteuid().as_raw(),
        clock: Arc::clone(&host.clock),
        log: Arc::clone(log),
        limits,
    };
    let served = server::serve(serve, || {
        let stop = stop()?;
        log(&begun.to_string());
        tell_supervisor("READY=1");
        Ok(async move {
            stop.await;
            tell_supervisor("STOPPING=1");
        })
    });
    drop((socket, watch));
    served.map_err(|error| Refusal::Failed(format!("the server ended: {error}")))
}

/// A person's program makes two requests a command, and an import some hundreds at once.
fn pace(per_second: u32) -> Pace {
    Pace { burst: per_second.saturating_mul(20), per_second }
}

/// A line of the log that no request led to.
fn said(log: Log, clock: Arc<dyn Clock>) -> Say {
    Arc::new(move |event, sentence| {
        let line = serde_json::json!({ "at": clock.now().to_string(), "event": event, "said": sentence });
        log(&line.to_string());
    })
}

fn signalled() -> io::Result<impl Future<Output = ()>> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

fn listen(address: std::net::SocketAddr) -> Result<TcpListener, Refusal> {
    TcpListener::bind(address).map_err(|error| Refusal::input("listen", format!("{address}: {error}")))
}

fn metrics_listener(address: std::net::SocketAddr) -> Result<TcpListener, Refusal> {
    if !address.ip().is_loopback() {
        let sentence = format!("{address} is not this machine alone; metrics are read at 127.0.0.1 or ::1");
        return Err(Refusal::input("metrics", sentence));
    }
    listen(address)
}

/// A listening socket, whose file goes when it does.
struct Socket {
    listener: UnixListener,
    path: PathBuf,
    inode: u64,
}

impl Socket {
    /// Listens at a path, for every account or for one group. The kernel says who comes, so that the file's mode is
    /// only a first threshold.
    fn bind(path: &Path, group: Option<&str>) -> Result<Self, Refusal> {
        let refused = |sentence: String| Refusal::input("socket", sentence);
        check_directory(path)?;
        match path.symlink_metadata() {
            Ok(meta) if !meta.file_type().is_socket() => {
                return Err(refused(format!("{} is there and is no socket", path.display())));
            }
            Ok(_) if UnixStream::connect(path).is_ok() => {
                return Err(refused(format!("somebody listens at {} already", path.display())));
            }
            _ => {}
        }
        let gid = group.map(group_number).transpose()?;
        // Made under another name and moved when its mode is right: it replaces a stale one, and nobody is let in early.
        let mut new = path.as_os_str().to_owned();
        new.push(".new");
        let new = PathBuf::from(new);
        let _ = fs::remove_file(&new);
        let bound = UnixListener::bind(&new).and_then(|listener| {
            std::os::unix::fs::chown(&new, None, gid)?;
            let mode = if gid.is_some() { 0o660 } else { 0o666 };
            fs::set_permissions(&new, fs::Permissions::from_mode(mode))?;
            fs::rename(&new, path)?;
            Ok(Self { listener, path: path.to_owned(), inode: path.symlink_metadata()?.ino() })
        });
        bound.map_err(|error| refused(format!("{}: {error}", path.display())))
    }

    fn listener(&self) -> Result<UnixListener, Refusal> {
        self.listener.try_clone().map_err(|error| places::failed(&self.path, &error))
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // Another broker may have taken the place meanwhile.
        if self.path.symlink_metadata().is_ok_and(|meta| meta.ino() == self.inode) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Nobody else may put a socket of their own where members look for the broker's.
fn check_directory(socket: &Path) -> Result<(), Refusal> {
    let dir = socket.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let refused = |why: &str| Err(Refusal::input("socket", format!("{} {why}", dir.display())));
    let Ok(meta) = fs::metadata(dir) else { return refused("is not there") };
    if meta.uid() != rustix::process::geteuid().as_raw() {
        return refused("belongs to another account; the broker's own must own it");
    }
    if meta.permissions().mode() & 0o022 != 0 {
        return refused("can be written by others; run 'chmod 755' on it");
    }
    Ok(())
}

/// A group by number, or by its name in `/etc/group`.
fn group_number(group: &str) -> Result<u32, Refusal> {
    let named = || {
        let table = fs::read_to_string("/etc/group").ok()?;
        let mut lines = table.lines().map(|line| line.split(':').collect::<Vec<_>>());
        lines.find(|fields| fields.first() == Some(&group))?.get(2)?.parse().ok()
    };
    group.parse().ok().or_else(named).ok_or_else(|| {
        Refusal::input("socket-group", format!("there is no group '{group}' in /etc/group; name one, or its number"))
    })
}

/// One word to systemd, where it asked for it (sd_notify(3)).
fn tell_supervisor(word: &str) {
    let Some(at) = env::var_os("NOTIFY_SOCKET") else { return };
    let Ok(socket) = UnixDatagram::unbound() else { return };
    #[cfg(target_os = "linux")]
    if let Some(name) = std::os::unix::ffi::OsStrExt::as_bytes(&*at).strip_prefix(b"@") {
        use std::os::linux::net::SocketAddrExt;
        if let Ok(address) = std::os::unix::net::SocketAddr::from_abstract_name(name) {
            let _ = socket.send_to_addr(word.as_bytes(), &address);
        }
        return;
    }
    let _ = socket.send_to(word.as_bytes(), at);
}
