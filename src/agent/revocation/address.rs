//! Addresses a token may be sent to: parsed once, https, with a host that is safe to show.

use std::fmt;
use ureq::http::Uri;

/// The longest host with its port that is taken, in characters: a sentence that names it twice still fits a record.
pub(super) const HOST_MAX: usize = 70;

/// Where a call goes. Shown by its host alone: a path or query may hold a key.
#[derive(Clone)]
pub struct Address {
    uri: Uri,
    host: String,
}

/// Why an address is refused. The first field names which of a record's addresses it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Not an absolute URL with a host of at most 70 characters.
    #[error("{0}: is not a web address; write it in full, as https://host/path, a Cyrillic host in its xn-- form")]
    NotAnAddress(&'static str),
    /// Anything but https.
    #[error("{0}: does not begin with https://; a token goes over no other connection")]
    NotHttps(&'static str),
    /// `user:password@`.
    #[error("{0}: holds a user name or password before the host; leave it out")]
    UserInfo(&'static str),
    /// `#…`.
    #[error("{0}: holds '#', and what follows it is never sent; leave it out")]
    Fragment(&'static str),
    /// Introspection that would carry the client's secret elsewhere.
    #[error("probe: {probe} is not {endpoint}, to which alone the client's secret is sent; name a resource instead")]
    OtherHost {
        /// The host of the introspection.
        probe: String,
        /// The host of the revocation endpoint.
        endpoint: String,
    },
}

impl AddressError {
    /// The same in Russian.
    pub fn russian(&self) -> String {
        match self {
            Self::NotAnAddress(which) => format!(
                "{which}: это не веб-адрес; укажите его полностью, как https://узел/путь, \
                 кириллический узел — в виде xn--"
            ),
            Self::NotHttps(which) => {
                format!("{which}: адрес не начинается с https://; по другому соединению токен не передаётся")
            }
            Self::UserInfo(which) => format!("{which}: перед узлом стоит имя или пароль; уберите их"),
            Self::Fragment(which) => format!("{which}: есть «#», а то, что после него, не передаётся; уберите"),
            Self::OtherHost { probe, endpoint } => format!(
                "probe: {probe} — не {endpoint}, а секрет клиента передаётся только туда; укажите вместо этого ресурс"
            ),
        }
    }
}

impl Address {
    /// Parses `https://host[:port]/path`; plain http only to this machine, and only where `loopback` allows it.
    pub(super) fn parse(which: &'static str, text: &str, loopback: bool) -> Result<Self, AddressError> {
        let text = text.trim();
        if text.contains('#') {
            return Err(AddressError::Fragment(which));
        }
        let uri: Uri = text.parse().map_err(|_| AddressError::NotAnAddress(which))?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(AddressError::NotAnAddress(which));
        };
        if authority.as_str().contains('@') {
            return Err(AddressError::UserInfo(which));
        }
        let host = authority.as_str().to_ascii_lowercase();
        if authority.host().is_empty() || host.len() > HOST_MAX || !host.bytes().all(is_host_byte) {
            return Err(AddressError::NotAnAddress(which));
        }
        let here = matches!(authority.host(), "127.0.0.1" | "localhost" | "[::1]");
        if scheme != "https" && !(scheme == "http" && here && loopback) {
            return Err(AddressError::NotHttps(which));
        }
        Ok(Self { uri, host })
    }

    /// The host, with the port where one was written.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// What the HTTP client takes.
    pub(super) fn uri(&self) -> &Uri {
        &self.uri
    }

    /// Whether the connection is encrypted.
    pub(super) fn is_https(&self) -> bool {
        self.uri.scheme_str() == Some("https")
    }

    /// The last part of the path.
    pub(super) fn last_segment(&self) -> &str {
        self.uri.path().trim_end_matches('/').rsplit('/').next().unwrap_or_default()
    }

    /// Whether both are one server: scheme, host and port.
    pub(super) fn same_origin(&self, other: &Self) -> bool {
        let port = |address: &Self| address.uri.port_u16().unwrap_or(if address.is_https() { 443 } else { 80 });
        let name = |address: &Self| address.uri.host().map(str::to_ascii_lowercase);
        self.is_https() == other.is_https() && name(self) == name(other) && port(self) == port(other)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.host)
    }
}

/// Letters, digits, and the marks of a name, a port and an IPv6 address.
fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, loopback: bool) -> Result<String, AddressError> {
        Address::parse("probe", text, loopback).map(|address| address.host().to_owned())
    }

    #[test]
    fn only_https_and_loopback_where_it_is_allowed() {
        assert_eq!(parse(" https://ID.example.org:8443/revoke?x=1 ", false), Ok("id.example.org:8443".into()));
        for plain in ["http://id.example.org/r", "ftp://id.example.org/r", "http://127.0.0.1.example.org/r"] {
            assert_eq!(parse(plain, true), Err(AddressError::NotHttps("probe")), "{plain}");
        }
        for here in ["http://127.0.0.1:9/r", "http://localhost:9/r", "http://[::1]:9/r"] {
            assert_eq!(parse(here, false), Err(AddressError::NotHttps("probe")), "{here}");
            assert!(parse(here, true).is_ok(), "{here}");
        }
    }

    #[test]
    fn what_is_not_an_address_is_refused_with_its_reason() {
        for none in ["", "revoke", "/revoke", "https://", "https:///r", "https://пример.рф/r", "https://a b/r"]
        {
            assert_eq!(parse(none, true), Err(AddressError::NotAnAddress("probe")), "{none}");
        }
        let long = |length| format!("https://{}/r", "h".repeat(length));
        assert!(parse(&long(HOST_MAX), true).is_ok());
        assert_eq!(parse(&long(HOST_MAX + 1), true), Err(AddressError::NotAnAddress("probe")));
        assert_eq!(parse("https://user:pw@h.example/r", true), Err(AddressError::UserInfo("probe")));
        assert_eq!(parse("http://127.0.0.1:80@h.example/r", true), Err(AddressError::UserInfo("probe")));
        assert_eq!(parse("https://h.example/r#x", true), Err(AddressError::Fragment("probe")));
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let of = |text| Address::parse("probe", text, true).unwrap();
        assert!(of("https://h.example/a").same_origin(&of("https://H.example:443/b")));
        for other in ["https://h.example:8443/b", "https://h2.example/b", "https://h.example.org/b"] {
            assert!(!of("https://h.example/a").same_origin(&of(other)), "{other}");
        }
    }

    #[test]
    fn debug_shows_the_host_alone() {
        let address = Address::parse("probe", "https://h.example/path?key=hidden", false).unwrap();
        assert_eq!(format!("{address:?}"), "h.example");
    }
}
