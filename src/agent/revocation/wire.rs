//! One call over HTTPS, with every convenience of an HTTP client switched off.
//!
//! No redirect is followed (it would carry the token elsewhere), no cookie is kept, no proxy is taken from the
//! environment unasked, no connection is kept; one time limit covers a whole call from the name to the last byte, and
//! an answer is read up to 64 KiB. Roots are Mozilla's, linked in: what a machine's owner or a company's filter has
//! added to the system's store must not read a client's token, and every machine decides alike. A platform with a root
//! of its own is reached by naming that root ([`Wire::trusting`]).

use super::address::{Address, AddressError};
use super::form::Form;
use super::outcome::{Code, Fault};
use crate::model::Instant;
use serde_json::Value;
use std::time::Duration;
use ureq::http::Response;
use ureq::http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Body, Error, Proxy};
use zeroize::Zeroizing;

/// The longest answer that is read, in bytes.
const BODY_MAX: u64 = 64 * 1024;
/// The longest head of an answer, in bytes.
const HEAD_MAX: usize = 16 * 1024;
/// The time for one whole call.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// At `trace` the HTTP client logs every byte it sends, the token among them. No level set at run time may reach that.
const _: () = assert!(log::STATIC_MAX_LEVEL as usize <= log::LevelFilter::Debug as usize, "log needs max_level_debug");

/// How calls are made.
#[derive(Clone)]
pub struct Wire {
    time_limit: Duration,
    loopback: bool,
    proxy: Option<Proxy>,
    roots: RootCerts,
}

/// What came back.
pub(super) struct Reply {
    pub status: u16,
    /// A resource said `error="invalid_token"`.
    pub invalid_token: bool,
    retry_after: Option<String>,
    body: Zeroizing<Vec<u8>>,
}

impl Default for Wire {
    fn default() -> Self {
        Self::new()
    }
}

impl Wire {
    /// https only, 10 s a call, straight to the host, Mozilla's roots.
    pub fn new() -> Self {
        Self { time_limit: TIME_LIMIT, loopback: false, proxy: None, roots: RootCerts::WebPki }
    }

    /// Also plain http, to this machine alone. For tests: whoever else runs here may listen on that port.
    pub fn danger_allow_loopback_http() -> Self {
        Self { loopback: true, ..Self::new() }
    }

    /// With another time limit for one whole call.
    #[must_use]
    pub fn time_limit(self, time_limit: Duration) -> Self {
        Self { time_limit, ..self }
    }

    /// Through the proxy that the environment names (`HTTPS_PROXY`, `NO_PROXY`), if it names one.
    #[must_use]
    pub fn through_the_environments_proxy(self) -> Self {
        Self { proxy: Proxy::try_from_env(), ..self }
    }

    /// Trusting this root certificate (DER) *instead of* Mozilla's: a platform under a company's own authority.
    #[must_use]
    pub fn trusting(self, root: &[u8]) -> Self {
        Self { roots: RootCerts::new_with_certs(&[Certificate::from_der(root).to_owned()]), ..self }
    }

    /// Parses an address that this wire may call; `which` names it in an error.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn address(&self, which: &'static str, text: &str) -> Result<Address, AddressError> {
        Address::parse(which, text, self.loopback)
    }

    /// Posts a form and reads the answer, whatever its status.
    pub(super) fn post(&self, to: &Address, form: &Form) -> Result<Reply, Fault> {
        let mut request = self.agent().post(to.uri()).header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        if let Some(authorization) = &form.authorization {
            request = request.header(AUTHORIZATION, sensitive(authorization)?);
        }
        let mut response = request.send(&form.body[..]).map_err(|error| fault(to, &error))?;
        let body = response.body_mut().with_config().limit(BODY_MAX).read_to_vec();
        Ok(Reply::new(&response, body.map_err(|error| fault(to, &error))?))
    }

    /// Asks a resource with the token. Its body is not read: the status says all, and the data are not ours to take.
    pub(super) fn try_bearer(&self, to: &Address, authorization: &[u8]) -> Result<Reply, Fault> {
        let request = self.agent().get(to.uri()).header(AUTHORIZATION, sensitive(authorization)?);
        let response = request.call().map_err(|error| fault(to, &error))?;
        Ok(Reply::new(&response, Vec::new()))
    }

    /// A fresh client for one call. Cookies and compression are not even linked.
    fn agent(&self) -> Agent {
        Agent::config_builder()
            .http_status_as_error(false)
            .https_only(!self.loopback)
            .max_redirects(0)
            .proxy(self.proxy.clone())
            .timeout_global(Some(self.time_limit))
            .max_response_header_size(HEAD_MAX)
            .max_idle_connections(0)
            .user_agent("mandatum")
            .accept("application/json")
            .tls_config(TlsConfig::builder().root_certs(self.roots.clone()).build())
            .build()
            .new_agent()
    }
}

impl Reply {
    fn new(response: &Response<Body>, body: Vec<u8>) -> Self {
        let headers: &HeaderMap = response.headers();
        let mut challenges = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
        Self {
            status: response.status().as_u16(),
            invalid_token: challenges.any(|value| value.contains("invalid_token")),
            retry_after: headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()).map(str::to_owned),
            body: Zeroizing::new(body),
        }
    }

    /// The body as JSON.
    pub(super) fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }

    /// Whether the body is JSON with an `error` in it, of whatever shape.
    pub(super) fn has_error(&self) -> bool {
        self.json().is_some_and(|json| json.get("error").is_some_and(|error| !error.is_null()))
    }

    /// The error code, if it is one of the RFCs'.
    pub(super) fn error(&self) -> Option<Code> {
        Code::of(self.json()?.get("error")?.as_str()?)
    }

    /// How long the server wants to be left alone (RFC 9110, 10.2.3: seconds or a date).
    pub(super) fn retry_after(&self, now: Instant) -> Option<Duration> {
        let text = self.retry_after.as_deref()?.trim();
        if let Ok(seconds) = text.parse::<u32>() {
            return Some(Duration::from_secs(seconds.into()));
        }
        let at = jiff::fmt::rfc2822::parse(text).ok()?.timestamp().as_millisecond();
        Some(Duration::from_millis(u64::try_from(Instant(at).since(now)).unwrap_or(0)))
    }
}

/// Marked so that nothing that prints headers prints it.
fn sensitive(value: &[u8]) -> Result<HeaderValue, Fault> {
    let mut value = HeaderValue::from_bytes(value).map_err(|_| Fault::Unsendable)?;
    value.set_sensitive(true);
    Ok(value)
}

/// A failed call in our words; the client's own may quote what was sent or received.
fn fault(to: &Address, error: &Error) -> Fault {
    use std::io::ErrorKind;
    match error {
        Error::Timeout(_) => Fault::TimedOut,
        Error::HostNotFound => Fault::NoSuchHost,
        Error::BodyExceedsLimit(_) | Error::LargeResponseHeader(..) => Fault::TooLong,
        Error::RequireHttpsOnly(_) => Fault::PlainHttp,
        Error::Tls(_) | Error::Rustls(_) | Error::Pem(_) | Error::TlsRequired => Fault::Untrusted,
        Error::Protocol(_) | Error::Http(_) => Fault::NotHttp,
        Error::Io(error) => match error.kind() {
            ErrorKind::TimedOut | ErrorKind::WouldBlock => Fault::TimedOut,
            // rustls speaks so of a certificate or a handshake it refuses.
            ErrorKind::InvalidData if to.is_https() => Fault::Untrusted,
            _ => Fault::Unreachable,
        },
        _ => Fault::Unreachable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(retry_after: &str, body: &str) -> Reply {
        Reply {
            status: 503,
            invalid_token: false,
            retry_after: Some(retry_after.into()),
            body: Zeroizing::new(body.into()),
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = Instant(784_111_777_000); // Sun, 06 Nov 1994 08:49:37 GMT
        for (text, seconds) in [
            ("3", Some(3)),
            ("Sun, 06 Nov 1994 08:49:40 GMT", Some(3)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("soon", None),
            ("-1", None),
        ] {
            assert_eq!(reply(text, "").retry_after(now), seconds.map(Duration::from_secs), "{text}");
        }
    }

    #[test]
    fn an_error_is_seen_in_any_shape_and_named_only_if_known() {
        for (body, has, code) in [
            ("{\"error\":\"invalid_client\"}", true, Some(Code::InvalidClient)),
            ("{\"error\":\"token abc is unknown\"}", true, None),
            ("{\"error\":{\"error_code\":5}}", true, None),
            ("{\"error\":null}", false, None),
            ("{\"ok\":1}", false, None),
            ("<html>error</html>", false, None),
        ] {
            assert_eq!((reply("", body).has_error(), reply("", body).error()), (has, code), "{body}");
        }
    }
}
