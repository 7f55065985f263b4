//! A signed JSON document, posted to one address over HTTPS.
//!
//! `Mandatum-Signature: t=<unix seconds>,v1=<hex>`, where the hex is HMAC-SHA-256 over `<t>.<body>` under the shared
//! secret. The receiver computes it over the bytes as they came, compares in constant time, and refuses a `t` that is
//! more than some minutes off.

use super::PostError;
use super::config::{ConfigError, read_roots, read_secret};
use crate::crypto::{Secret, mac_of};
use crate::model::Instant;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::time::Duration;
use ureq::http::Uri;
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, Error};

/// The time for one whole call.
const TIME_LIMIT: Duration = Duration::from_secs(10);
/// The longest head of an answer, bytes. Its body is not read.
const HEAD_MAX: usize = 16 * 1024;
/// The shortest secret, bytes: RFC 2104 wants no less than the hash gives, half of it is the least.
const SECRET_MIN: usize = 16;

/// `[webhook]` of a configuration.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookTable {
    /// Where to: https.
    pub url: String,
    /// Where the shared secret stands: 16 bytes or more.
    pub secret_file: PathBuf,
    /// Trusted *instead of* the built-in roots. PEM.
    pub ca_file: Option<PathBuf>,
}

/// One address that signed documents go to.
pub struct Webhook {
    uri: Uri,
    host: String,
    secret: Secret,
    roots: RootCerts,
    loopback: bool,
    time_limit: Duration,
}

impl Webhook {
    /// From a configuration; files in it are relative to its directory.
    ///
    /// # Errors
    /// [`ConfigError`] with the place.
    pub fn new(table: &WebhookTable, config: &Path) -> Result<Self, ConfigError> {
        Self::made(table, config, false)
    }

    /// Also plain http, to this machine alone. For tests: whoever else runs here may listen on that port.
    ///
    /// # Errors
    /// As [`Webhook::new`].
    pub fn danger_allow_loopback_http(table: &WebhookTable, config: &Path) -> Result<Self, ConfigError> {
        Self::made(table, config, true)
    }

    fn made(table: &WebhookTable, config: &Path, loopback: bool) -> Result<Self, ConfigError> {
        let beside = |file: &Path| config.parent().unwrap_or(Path::new("")).join(file);
        let wrong = |sentence: String| ConfigError::new(config, sentence);
        let (uri, host) = address(&table.url, loopback).map_err(|sentence| wrong(format!("webhook.url {sentence}")))?;
        let secret = read_secret(&beside(&table.secret_file))?;
        if secret.len() < SECRET_MIN {
            return Err(wrong("webhook.secret_file holds less than 16 bytes".into()));
        }
        let roots = match &table.ca_file {
            None => RootCerts::WebPki,
            Some(file) => RootCerts::from(read_roots(config, "webhook.ca_file", &beside(file))?),
        };
        Ok(Self { uri, host, secret, roots, loopback, time_limit: TIME_LIMIT })
    }

    /// With another time limit for one whole call.
    #[must_use]
    pub fn time_limit(self, time_limit: Duration) -> Self {
        Self { time_limit, ..self }
    }

    /// Posts a document; it was taken where the answer is 2xx.
    ///
    /// # Errors
    /// [`PostError`].
    pub fn post(&self, body: &[u8], at: Instant) -> Result<(), PostError> {
        let seconds = at.unix_seconds();
        let signature = mac_of(&self.secret, &[seconds.to_string().as_bytes(), b".", body]);
        let request = self
            .agent()
            .post(&self.uri)
            .header("Content-Type", "application/json")
            .header("Mandatum-Signature", format!("t={seconds},v1={signature}"));
        let response = request.send(body).map_err(|error| fault(&self.host, &error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(());
        }
        Err(PostError::Refused { host: self.host.clone(), code: status.as_u16() })
    }

    fn agent(&self) -> Agent {
        Agent::config_builder()
            .http_status_as_error(false)
            .https_only(!self.loopback)
            .max_redirects(0)
            .proxy(None)
            .timeout_global(Some(self.time_limit))
            .max_response_header_size(HEAD_MAX)
            .max_idle_connections(0)
            .user_agent("mandatum")
            .tls_config(TlsConfig::builder().root_certs(self.roots.clone()).build())
            .build()
            .new_agent()
    }
}

/// The address and its host. What was written is not quoted: a path may hold a key.
fn address(text: &str, loopback: bool) -> Result<(Uri, String), &'static str> {
    const NONE: &str = "is not a web address; write https://host/path, a Cyrillic host in its xn-- form";
    let uri: Uri = text.trim().parse().map_err(|_| NONE)?;
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else { return Err(NONE) };
    if authority.as_str().contains('@') {
        return Err("holds a user name or password before the host; leave it out");
    }
    let host = authority.as_str().to_ascii_lowercase();
    let bytes_fit = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte));
    if authority.host().is_empty() || !bytes_fit {
        return Err(NONE);
    }
    let here = matches!(authority.host(), "127.0.0.1" | "localhost" | "[::1]");
    if scheme == "https" || (scheme == "http" && here && loopback) {
        Ok((uri, host))
    } else {
        Err("does not begin with https://; notices go over no other connection")
    }
}

/// A failed call in our words; the client's own may quote what was sent or received.
fn fault(host: &str, error: &Error) -> PostError {
    use std::io::ErrorKind;
    let host = host.to_owned();
    match error {
        Error::Timeout(_) => PostError::TimedOut(host),
        Error::LargeResponseHeader(..) | Error::BodyExceedsLimit(_) => PostError::TooLong(host),
        Error::Tls(_) | Error::Rustls(_) | Error::Pem(_) | Error::TlsRequired | Error::RequireHttpsOnly(_) => {
            PostError::Untrusted(host)
        }
        Error::Protocol(_) | Error::Http(_) => PostError::Protocol(host),
        Error::Io(error) => match error.kind() {
            ErrorKind::TimedOut | ErrorKind::WouldBlock => PostError::TimedOut(host),
            ErrorKind::InvalidData => PostError::Untrusted(host),
            _ => PostError::Unreachable(host),
        },
        _ => PostError::Unreachable(host),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_https_and_loopback_where_it_is_allowed() {
        assert_eq!(
            address(" https://Hooks.example:8443/a?k=1 ", false).map(|(_, host)| host),
            Ok("hooks.example:8443".into())
        );
        for bad in
            ["", "hooks", "http://hooks.example/", "https://u:hunter2@h.example/", "ftp://h.example/", "https:///x"]
        {
            let refused = address(bad, true).unwrap_err();
            assert!(!refused.contains("hunter2"), "{refused}");
        }
        assert!(address("http://127.0.0.1:9/", false).is_err() && address("http://127.0.0.1:9/", true).is_ok());
    }
}
