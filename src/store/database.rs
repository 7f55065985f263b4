//! Where a vault's database is: a file, or a PostgreSQL server.

use super::error::{Result, StoreError};
use postgres::Config;
use postgres::config::{Host, SslMode};
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;
use zeroize::Zeroizing;

/// How long a server may take to answer a connection, where the address does not say so.
const CONNECT: Duration = Duration::from_secs(10);
/// How long written bytes may stay unacknowledged before the connection counts as lost.
const SILENCE: Duration = Duration::from_secs(30);
/// Where a server on the same machine listens, if the address names no host.
const SOCKETS: &str = "/var/run/postgresql";

/// Where a vault's database is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Database {
    /// A file of SQLite.
    File(PathBuf),
    /// A database of a PostgreSQL server.
    Postgres(Address),
}

impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Database::File(path) => write!(f, "{}", path.display()),
            Database::Postgres(address) => write!(f, "{address}"),
        }
    }
}

/// The address of a PostgreSQL database, which may hold a password: it is never shown as a whole.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    text: Zeroizing<String>,
}

impl Address {
    /// From `postgres://USER@HOST/DATABASE?…` or `host=… dbname=…`; beside what PostgreSQL's own programs know it may
    /// name the root certificate to trust as `sslrootcert=FILE`.
    ///
    /// # Errors
    /// [`StoreError::Address`] where it is no address. It quotes nothing of it: a password may be in it.
    pub fn parse(text: &str) -> Result<Self> {
        let address = Self { text: Zeroizing::new(text.trim().to_owned()) };
        address.settle().map(|_| address)
    }

    /// The address as it was given, with whatever password is in it.
    pub fn expose(&self) -> &Zeroizing<String> {
        &self.text
    }

    /// Whether a password stands in it.
    ///
    /// # Errors
    /// As [`Address::parse`].
    pub fn holds_password(&self) -> Result<bool> {
        Ok(self.settle()?.config.get_password().is_some())
    }

    /// What to connect with.
    ///
    /// # Errors
    /// As [`Address::parse`].
    pub(super) fn settle(&self) -> Result<Settled> {
        let (text, root) = without_root(&self.text);
        let mut config = Config::from_str(&text).map_err(|_| {
            StoreError::Address("is not one: write postgres://USER@HOST/DATABASE, or host=HOST dbname=DATABASE".into())
        })?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            config.host_path(SOCKETS);
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT);
        }
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(SILENCE);
        }
        config.application_name("mandatum");
        // Whatever leaves this machine is encrypted, unless the address says `sslmode=disable`: then the way is
        // somebody's own, as through a VPN.
        let near =
            config.get_hostaddrs().iter().all(std::net::IpAddr::is_loopback) && config.get_hosts().iter().all(is_near);
        let tls = match config.get_ssl_mode() {
            SslMode::Disable => false,
            SslMode::Prefer => !near,
            _ => true,
        };
        config.ssl_mode(if tls { SslMode::Require } else { SslMode::Disable });
        Ok(Settled { config, tls, root })
    }
}

/// An address with everything decided.
pub(super) struct Settled {
    pub config: Config,
    /// Whether the server must show a certificate that is trusted.
    pub tls: bool,
    /// The root to trust, in place of the public ones.
    pub root: Option<PathBuf>,
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

/// Host and database alone.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ok(Settled { config, .. }) = self.settle() else { return f.write_str("a PostgreSQL database") };
        let host = match config.get_hosts().first() {
            Some(Host::Tcp(name)) => name.clone(),
            #[cfg(unix)]
            Some(Host::Unix(path)) => path.display().to_string(),
            None => config.get_hostaddrs().first().map(ToString::to_string).unwrap_or_default(),
        };
        write!(f, "the PostgreSQL database '{}' at {host}", config.get_dbname().unwrap_or("of the user's name"))
    }
}

fn is_near(host: &Host) -> bool {
    match host {
        Host::Tcp(name) => name == "localhost" || name.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback()),
        #[cfg(unix)]
        Host::Unix(_) => true,
    }
}

/// Takes `sslrootcert` out, which the crate does not know.
fn without_root(text: &str) -> (Zeroizing<String>, Option<PathBuf>) {
    const NAME: &str = "sslrootcert=";
    let between = |c: char| c == '&' || c == '?' || c.is_whitespace();
    let found = text.match_indices(NAME).find(|(at, _)| text[..*at].ends_with(between) || *at == 0);
    let Some((from, _)) = found else { return (Zeroizing::new(text.to_owned()), None) };
    let rest = &text[from + NAME.len()..];
    let value = rest.split(between).next().unwrap_or("");
    let after = rest[value.len()..].trim_start_matches('&');
    (Zeroizing::new([&text[..from], after].concat()), Some(PathBuf::from(value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tls(text: &str) -> bool {
        Address::parse(text).unwrap().settle().unwrap().tls
    }

    /// What stays on the machine needs no TLS; what leaves it has it unless the address says otherwise.
    #[test]
    fn what_leaves_the_machine_is_encrypted() {
        for near in [
            "postgres:///v",
            "postgres://u@localhost/v",
            "host=127.0.0.1",
            "host=/tmp dbname=v",
            "postgres://u@[::1]/v",
        ] {
            assert!(!tls(near), "{near}");
        }
        for far in [
            "postgres://db.test/v",
            "host=localhost,db.test",
            "host=10.0.0.1",
            "postgres://localhost/v?sslmode=require",
        ] {
            assert!(tls(far), "{far}");
        }
        assert!(!tls("postgres://db.test/v?sslmode=disable"));
    }

    /// No way of showing an address, nor the refusal of one, shows a password.
    #[test]
    fn a_password_is_never_shown() {
        for text in ["postgres://u:Kirschbaum@h/v", "host=h password=Kirschbaum", "postgres://h/v?password=Kirschbaum"]
        {
            let address = Address::parse(text).unwrap();
            assert!(address.holds_password().unwrap());
            assert!(!format!("{address} {address:?} {:?}", Database::Postgres(address.clone())).contains("Kirschbaum"));
        }
        for text in ["host=h password=x Kirschbaum=y", "host=h 'Kirschbaum", "postgres://u:Kirschbaum@h:x/v"] {
            assert!(!Address::parse(text).unwrap_err().to_string().contains("Kirschbaum"), "{text}");
        }
        assert!(!Address::parse("postgres://u@h/v").unwrap().holds_password().unwrap());
    }

    /// A root certificate is understood wherever it stands, and the rest stays as it was.
    #[test]
    fn a_root_certificate_is_taken_out() {
        for text in [
            "postgres://h/v?sslrootcert=/a.pem&sslmode=require",
            "postgres://h/v?sslmode=require&sslrootcert=/a.pem",
            "host=h sslrootcert=/a.pem dbname=v",
        ] {
            let settled = Address::parse(text).unwrap().settle().unwrap();
            assert_eq!((settled.root, settled.config.get_dbname()), (Some("/a.pem".into()), Some("v")), "{text}");
        }
    }
}
