//! How calls travel over a connection: routes, bodies and statuses, the same for server and member's program.
//!
//! ```text
//! POST /v1/hello    (empty)                              → Hello as JSON
//! POST /v1/join     Joining as JSON                      → null
//! POST /v1/VERB     Signed as JSON, LF, the load         → the verb's answer as it is
//! anything refused                                       → Refusal as JSON, with the status of `status_of`
//! ```
//!
//! The load is not encoded again: it is megabytes where secrets or readings travel. JSON as it is written here holds no
//! line feed.

use super::{Frame, Refusal};
use crate::crypto::Signed;
use crate::model::Verb;
use std::str::FromStr;

/// What every route begins with.
pub const ROOT: &str = "/v1/";
/// A header that says: this broker holds no vault now, nothing was done, ask the next one.
pub const STANDBY: &str = "mandatum-standby";

/// The longest body of a request that carries secrets or a reading, bytes.
const LARGE: usize = 64 * 1024 * 1024;
/// The longest body of any other request, bytes.
const SMALL: usize = 1024 * 1024;

/// A place that can be asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Route {
    /// [`super::Gate::hello`].
    Hello,
    /// [`super::Gate::join`].
    Join,
    /// [`super::Gate::call`].
    Call(Verb),
}

impl Route {
    /// The name after [`ROOT`]; also the one in logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hello => "hello",
            Self::Join => "join",
            Self::Call(verb) => verb.name(),
        }
    }

    /// The longest body, in bytes. Both sides keep to it: what is too long is refused before it is sent.
    pub fn body_max(self) -> usize {
        match self {
            Self::Call(Verb::CredentialAdd | Verb::MandateImport | Verb::MandateAnswer) => LARGE,
            Self::Call(_) | Self::Join | Self::Hello => SMALL,
        }
    }
}

impl FromStr for Route {
    type Err = &'static str;
    fn from_str(path: &str) -> Result<Self, Self::Err> {
        match path.strip_prefix(ROOT).ok_or("not under /v1/")? {
            "hello" => Ok(Self::Hello),
            "join" => Ok(Self::Join),
            name => name.parse().map(Self::Call),
        }
    }
}

/// The body of a call.
///
/// # Errors
/// Whatever writing JSON returns.
pub fn encode(frame: &Frame) -> Result<Vec<u8>, serde_json::Error> {
    let mut body = serde_json::to_vec(&frame.request)?;
    body.reserve_exact(frame.load.len() + 1);
    body.push(b'\n');
    body.extend_from_slice(&frame.load);
    Ok(body)
}

/// A call from its body.
///
/// # Errors
/// Input where the first line is not a signed request.
pub fn decode(verb: Verb, body: &[u8]) -> Result<Frame, Refusal> {
    let (request, load) = match body.iter().position(|byte| *byte == b'\n') {
        Some(end) => (body.get(..end).unwrap_or_default(), body.get(end + 1..).unwrap_or_default()),
        None => (body, &[][..]),
    };
    let request: Signed = serde_json::from_slice(request)
        .map_err(|_| Refusal::input("request", "its first line is not a signed request of this version"))?;
    Ok(Frame { verb, request, load: load.to_vec() })
}

/// The HTTP status of a refusal.
pub fn status_of(refusal: &Refusal) -> u16 {
    match refusal {
        Refusal::Denied { .. } => 403,
        Refusal::NotFound => 404,
        Refusal::Authentication(_) => 401,
        Refusal::Input { .. } => 422,
        Refusal::UnknownHead | Refusal::Restarted { .. } => 409,
        Refusal::Busy { .. } => 429,
        Refusal::Integrity(_) => 500,
        Refusal::Failed(_) => 503,
    }
}
