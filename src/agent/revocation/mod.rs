//! Revoking an OAuth token on its platform, and looking whether it is dead.
//!
//! By RFC 7009 (2.2) a server answers 200 to a token it never knew: the answer proves nothing. So the token is tried
//! before and after, by introspection (RFC 7662) or by one harmless call that needs it. [`Outcome::Dead`] is said only
//! of a token that was seen alive and then seen dead; every other outcome leaves a task for a person.
//!
//! It is said of that token only: a server may leave the refresh token alive when an access token goes (RFC 7009, 2.1),
//! so each token of a credential is an order of its own, the refresh token first.
//!
//! The call that takes access away is made whatever the look before it said: ending access matters more than proof.
//!
//! Secrets: what is built from a token or a client secret here is wiped. What the HTTP client and TLS hold in buffers
//! of their own until the call ends is not. Nothing a server wrote is ever quoted, since it may echo the token; only
//! error codes of the RFCs are named. The HTTP client logs raw requests at `trace`: that level is compiled out.
//!
//! Knows neither the vault nor its records. Clock and waiting are passed in.

mod address;
mod form;
mod look;
mod outcome;
mod wire;
mod words;

pub use address::{Address, AddressError};
pub use outcome::{Code, Fault, Outcome, Stage, Why};
pub use wire::Wire;

use crate::crypto::Secret;
use crate::model::{Instant, RevocationPoint};
use look::Sight;
use std::time::Duration;
use wire::Reply;

/// A server that says when to come back is waited for this long at most.
const WAIT_MAX: Duration = Duration::from_secs(5);
/// Between a look that still sees a revoked token alive and the last one: caches of resource servers are that slow.
const SECOND_LOOK: Duration = Duration::from_secs(2);

/// Where a token is revoked and where it is tried, checked.
#[derive(Clone, Debug)]
pub struct Point {
    /// The revocation endpoint.
    pub endpoint: Address,
    /// How to see whether the token is alive; without one nothing can be proven.
    pub probe: Option<Probe>,
}

/// A harmless way to see whether a token is alive.
#[derive(Clone, Debug)]
pub enum Probe {
    /// The authorization server says so: `{"active": false}` (RFC 7662).
    Introspection(Address),
    /// A resource answers 2xx to `Authorization: Bearer` with a living token and 401 with a dead one (RFC 6750).
    Resource(Address),
}

impl Point {
    /// Reads a record's place. A probe whose last path segment says "introspect" is taken as introspection, any other
    /// as a resource; an empty one as none. The wrong guess costs the proof, never makes one.
    ///
    /// # Errors
    /// What is wrong with which address; introspection elsewhere than at the endpoint's host is refused, since the
    /// client's secret goes there.
    pub fn read(record: &RevocationPoint, wire: &Wire) -> Result<Self, AddressError> {
        let endpoint = wire.address("endpoint", record.endpoint.as_str())?;
        if record.probe.is_empty() {
            return Ok(Self { endpoint, probe: None });
        }
        let probe = wire.address("probe", record.probe.as_str())?;
        if !probe.last_segment().to_ascii_lowercase().contains("introspect") {
            return Ok(Self { endpoint, probe: Some(Probe::Resource(probe)) });
        }
        if !probe.same_origin(&endpoint) {
            return Err(AddressError::OtherHost { probe: probe.host().into(), endpoint: endpoint.host().into() });
        }
        Ok(Self { endpoint, probe: Some(Probe::Introspection(probe)) })
    }
}

/// How the client a token was issued to names itself (RFC 6749, 2.3.1).
#[derive(Clone, Copy)]
pub enum Client<'a> {
    /// Without a secret: `client_id` in the form, or nothing at all where it is empty.
    Public(&'a str),
    /// `client_secret_basic`: every server that gives out secrets must take it.
    Basic(&'a str, &'a Secret),
    /// `client_secret_post`: for servers that take nothing else.
    Post(&'a str, &'a Secret),
}

impl<'a> Client<'a> {
    /// As a record names it: with its secret, if it has one, in the way every server must know.
    pub fn of(record: &'a RevocationPoint, secret: Option<&'a Secret>) -> Self {
        let id = record.client.as_str();
        secret.map_or(Self::Public(id), |secret| Self::Basic(id, secret))
    }
}

/// What a token is for (`token_type_hint`); a server may ignore it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Hint {
    /// Calls the API.
    AccessToken,
    /// Fetches further access tokens.
    RefreshToken,
}

impl Hint {
    /// As the RFC writes it.
    pub fn word(self) -> &'static str {
        match self {
            Hint::AccessToken => "access_token",
            Hint::RefreshToken => "refresh_token",
        }
    }
}

/// What is to be revoked, where and by whom.
#[derive(Clone, Copy)]
pub struct Order<'a> {
    /// Where.
    pub point: &'a Point,
    /// What.
    pub token: &'a Secret,
    /// Its type, where it is known.
    pub hint: Option<Hint>,
    /// The client it was issued to.
    pub client: Client<'a>,
}

/// Revokes a token and looks whether it is dead. `pause` waits: where a server asks for it, and before a second look.
///
/// Takes at most 57 s with the default time limit: five calls and two waits.
pub fn revoke_token(wire: &Wire, order: &Order<'_>, clock: &dyn Fn() -> Instant, pause: &dyn Fn(Duration)) -> Outcome {
    // Is it alive, and can the probe tell?
    let before = look::look(wire, order, Stage::Before);
    let seen_at = clock();

    // Whatever was seen: take the access away.
    let asked = ask(wire, order, clock, pause);

    match before {
        Sight::Alive => after_alive(wire, order, asked, seen_at, clock, pause),
        Sight::Dead => {
            Outcome::WasDeadBefore { host: look::host(order.point), checked_at: seen_at, refused: asked.err() }
        }
        Sight::Unclear(unclear) => match asked {
            Ok(()) => Outcome::NotProven { why: unclear },
            Err(why) => Outcome::Failed { why },
        },
    }
}

/// The token was alive: only now can a look afterwards prove anything. It is taken even where the server refused or
/// fell silent, because the token may have died all the same.
fn after_alive(
    wire: &Wire,
    order: &Order<'_>,
    asked: Result<(), Why>,
    alive_at: Instant,
    clock: &dyn Fn() -> Instant,
    pause: &dyn Fn(Duration),
) -> Outcome {
    let mut after = look::look(wire, order, Stage::After);
    if matches!(after, Sight::Alive) && asked.is_ok() {
        pause(SECOND_LOOK);
        after = look::look(wire, order, Stage::After);
    }
    let host = look::host(order.point);
    match (after, asked) {
        (Sight::Dead, _) => Outcome::Dead { host, alive_at, checked_at: clock() },
        (_, Err(why)) => Outcome::Failed { why },
        (Sight::Alive, Ok(())) => Outcome::Failed { why: Why { stage: Stage::After, host, fault: Fault::StillAlive } },
        (Sight::Unclear(why), Ok(())) => Outcome::NotProven { why },
    }
}

/// The revocation itself: once, and once more where the server is busy and says when to come back.
fn ask(wire: &Wire, order: &Order<'_>, clock: &dyn Fn() -> Instant, pause: &dyn Fn(Duration)) -> Result<(), Why> {
    let endpoint = &order.point.endpoint;
    let why = |fault| Why { stage: Stage::Revocation, host: endpoint.host().to_owned(), fault };
    let send = || wire.post(endpoint, &form::of(order)).map_err(why);
    let mut reply = send()?;
    if reply.status == 503 {
        match reply.retry_after(clock()) {
            Some(wait) if wait <= WAIT_MAX => pause(wait),
            wait => return Err(why(Fault::Busy { seconds: wait.map(|wait| wait.as_secs()) })),
        }
        reply = send()?;
    }
    judge(&reply).map_err(why)
}

/// What the server said to a revocation (RFC 7009, 2.2; RFC 6749, 5.2). Some say `error` under 200.
fn judge(reply: &Reply) -> Result<(), Fault> {
    match (reply.status, reply.error()) {
        (200 | 204, None) if !reply.has_error() => Ok(()),
        (status @ 300..=399, _) => Err(Fault::Redirected { status }),
        (503, _) => Err(Fault::Busy { seconds: None }),
        (status @ 500.., _) => Err(Fault::ServerFailed { status }),
        (_, Some(Code::UnsupportedTokenType)) => Err(Fault::UnsupportedTokenType),
        (_, Some(Code::InvalidClient)) | (401, _) => Err(Fault::ClientRefused),
        (status, code) => Err(Fault::Refused { status, code }),
    }
}
