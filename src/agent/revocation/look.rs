//! One look at a token: alive, dead, or it cannot be told.

use super::form;
use super::wire::{Reply, Wire};
use super::{Address, Fault, Order, Point, Probe, Stage, Why};

/// What was seen.
pub(super) enum Sight {
    /// It works.
    Alive,
    /// It does not, and whoever says so would know.
    Dead,
    /// It cannot be told.
    Unclear(Why),
}

/// Tries the token without harm.
pub(super) fn look(wire: &Wire, order: &Order<'_>, stage: Stage) -> Sight {
    let seen = match &order.point.probe {
        None => Err(Fault::NoProbe),
        Some(Probe::Introspection(at)) => introspect(wire, at, order),
        Some(Probe::Resource(at)) => call(wire, at, order, stage),
    };
    match seen {
        Ok(true) => Sight::Alive,
        Ok(false) => Sight::Dead,
        Err(fault) => Sight::Unclear(Why { stage, host: host(order.point), fault }),
    }
}

/// The host that is looked at; the endpoint's where there is no probe.
pub(super) fn host(point: &Point) -> String {
    match &point.probe {
        Some(Probe::Introspection(at) | Probe::Resource(at)) => at.host().to_owned(),
        None => point.endpoint.host().to_owned(),
    }
}

/// RFC 7662, 2.2: `active` and nothing else counts. A server that does not let this client ask about this token says
/// `false` too; that is why `false` proves nothing unless `true` came before it.
fn introspect(wire: &Wire, at: &Address, order: &Order<'_>) -> Result<bool, Fault> {
    let reply = wire.post(at, &form::of(order))?;
    match reply.status {
        200 => {
            let answer = reply.json().ok_or(Fault::NotJson)?;
            answer.get("active").and_then(serde_json::Value::as_bool).ok_or(Fault::NoActive)
        }
        401 => Err(Fault::ClientRefused),
        status => Err(unexpected(status)),
    }
}

/// RFC 6750, 3.1. Before the revocation a bare 401 may come from a probe that refuses everyone; only
/// `error="invalid_token"` speaks of the token. After it, and with a token that was let in before, 401 is enough.
fn call(wire: &Wire, at: &Address, order: &Order<'_>, stage: Stage) -> Result<bool, Fault> {
    let authorization = form::bearer(order.token.expose()).ok_or(Fault::Unsendable)?;
    let reply: Reply = wire.try_bearer(at, &authorization)?;
    match reply.status {
        200..=299 => Ok(true),
        401 if stage == Stage::After || reply.invalid_token => Ok(false),
        401 => Err(Fault::Refuses),
        status => Err(unexpected(status)),
    }
}

fn unexpected(status: u16) -> Fault {
    match status {
        300..=399 => Fault::Redirected { status },
        503 => Fault::Busy { seconds: None },
        500.. => Fault::ServerFailed { status },
        _ => Fault::CannotTell { status },
    }
}
