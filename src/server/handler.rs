//! One request: the door's rules, its body, the broker, the answer. In this order.

use super::Shared;
use super::answer::Answer;
use super::door::{Door, Peer, Source};
use super::pace::Pace;
use crate::api::wire::{self, Route};
use crate::api::{Gate, Refusal};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Bytes, Incoming};
use hyper::header::{HOST, ORIGIN, TRANSFER_ENCODING};
use hyper::{Method, Request, Response, StatusCode, Version};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;
use zeroize::Zeroizing;

/// Bodies up to this length are held without asking for room, bytes.
const SMALL: usize = 1024 * 1024;

/// Answers a request, and writes down that it did.
pub async fn handle(shared: &Shared, peer: Peer, pace: &Pace, request: Request<Incoming>) -> Response<Full<Bytes>> {
    pace.request();
    let mut running = Running::begin(shared, peer);
    let mut answer = respond(shared, peer, request, &mut running).await;
    (running.outcome, running.status, running.reason) = (answer.outcome, answer.status.as_u16(), answer.reason.take());
    drop(running);
    pace.answer();
    answer.into_response()
}

/// The answer. `running` gets the name of what was asked, once that is known to be one.
async fn respond(shared: &Shared, peer: Peer, request: Request<Incoming>, running: &mut Running<'_>) -> Answer {
    if let Some(refused) = check_framing(&request) {
        return refused;
    }
    if let Some((name, answer)) = probe(shared, &request) {
        running.verb = name;
        return answer;
    }
    if peer.door == Door::Socket && peer.source == Source::Account(shared.account) {
        let sentence = "this account runs the broker: there are no two parties then, and nobody is served by it; \
                        run commands as the member's own account";
        return Answer::unheard(StatusCode::FORBIDDEN, sentence);
    }
    let route = match request.uri().query() {
        None => request.uri().path().parse::<Route>().ok(),
        Some(_) => None,
    };
    let Some(route) = route else {
        let sentence = "this broker knows no such verb; program and broker may be of different versions";
        return Answer::unheard(StatusCode::NOT_FOUND, sentence);
    };
    running.verb = route.name();
    if request.method() != Method::POST {
        return Answer::unheard(StatusCode::METHOD_NOT_ALLOWED, "verbs are sent by POST").allowing("POST");
    }
    serve(shared, peer, running.number, route, request.into_body()).await
}

/// Refuses what two readers could understand differently, and what a browser sends on behalf of a page.
fn check_framing(request: &Request<Incoming>) -> Option<Answer> {
    let headers = request.headers();
    let refused = |sentence| Some(Answer::unheard(StatusCode::BAD_REQUEST, sentence));
    if request.version() != Version::HTTP_11 {
        return refused("only HTTP/1.1 is spoken here");
    }
    if headers.contains_key(TRANSFER_ENCODING) {
        return refused("a body is sent with its length, not in chunks");
    }
    if headers.get_all(HOST).iter().count() != 1 || request.uri().authority().is_some() {
        return refused("a request names its host once, in the Host header");
    }
    if headers.contains_key(ORIGIN) {
        let sentence = "web pages are not served here: a request with an Origin is refused";
        return Some(Answer::unheard(StatusCode::FORBIDDEN, sentence));
    }
    None
}

/// What tells a supervisor how the server is; nobody is proven for it, and it says nothing else.
fn probe(shared: &Shared, request: &Request<Incoming>) -> Option<(&'static str, Answer)> {
    let name = match request.uri().path() {
        "/livez" => "livez",
        "/readyz" => "readyz",
        _ => return None,
    };
    let answer = match name {
        _ if request.method() != Method::GET => {
            Answer::unheard(StatusCode::METHOD_NOT_ALLOWED, "probes are asked by GET").allowing("GET")
        }
        "readyz" if !(shared.ready)() => Answer::standby(),
        _ => Answer::text(StatusCode::OK, "ok\n"),
    };
    Some((name, answer))
}

async fn serve(shared: &Shared, peer: Peer, number: u64, route: Route, body: Incoming) -> Answer {
    if !(shared.ready)() {
        return Answer::standby();
    }
    if let Err(retry_ms) = shared.throttle.allows(peer.source, Instant::now()) {
        shared.metrics.throttled.fetch_add(1, Ordering::Relaxed);
        return Answer::refusal(&Refusal::Busy { retry_ms });
    }
    let length = body.size_hint().exact().and_then(|length| usize::try_from(length).ok()).unwrap_or(usize::MAX);
    if length > route.body_max() {
        return Answer::unheard(StatusCode::PAYLOAD_TOO_LARGE, "the request is longer than its verb allows");
    }
    let room = if length > SMALL { u32::try_from(length.div_ceil(1024)).unwrap_or(u32::MAX) } else { 0 };
    let (Ok(_room), Ok(place)) = (shared.large.try_acquire_many(room), Arc::clone(&shared.waiting).try_acquire_owned())
    else {
        return Answer::overloaded();
    };
    let body = match tokio::time::timeout(shared.limits.body, read(body, length)).await {
        Ok(Some(body)) => body,
        Ok(None) => return Answer::unheard(StatusCode::BAD_REQUEST, "the body broke off"),
        Err(_) => return Answer::unheard(StatusCode::REQUEST_TIMEOUT, "the body did not come in time"),
    };
    let gate = Arc::clone(if peer.here { &shared.gates.account } else { &shared.gates.host });
    // The broker blocks; its place is given back when it is done, even where nobody waits for the answer any more.
    let asked = tokio::task::spawn_blocking(move || {
        let answered = ask(&*gate, route, &body);
        drop(place);
        answered
    });
    match asked.await {
        Ok(Ok(answer)) => Answer::done(answer),
        Ok(Err(refusal)) => {
            if matches!(refusal, Refusal::Authentication(_)) {
                shared.throttle.failed(peer.source, Instant::now());
            }
            Answer::told(refusal, number)
        }
        Err(_) => Answer::told(Refusal::Failed("a panic".into()), number),
    }
}

/// The whole body; none where it breaks off. It may hold a code or a seed, and is wiped after use.
async fn read(mut body: Incoming, length: usize) -> Option<Zeroizing<Vec<u8>>> {
    let mut whole = Zeroizing::new(Vec::with_capacity(length));
    while let Some(frame) = body.frame().await {
        if let Ok(bytes) = frame.ok()?.into_data() {
            whole.extend_from_slice(&bytes);
        }
    }
    (whole.len() == length).then_some(whole)
}

fn ask(gate: &dyn Gate, route: Route, body: &[u8]) -> Result<Vec<u8>, Refusal> {
    let written = |json: serde_json::Result<Vec<u8>>| json.map_err(|error| Refusal::Failed(error.to_string()));
    match route {
        Route::Hello => written(serde_json::to_vec(&gate.hello()?)),
        Route::Join => {
            let joining = serde_json::from_slice(body)
                .map_err(|_| Refusal::input("request", "is not what a newcomer of this version sends"))?;
            gate.join(joining)?;
            written(serde_json::to_vec(&()))
        }
        Route::Call(verb) => gate.call(wire::decode(verb, body)?),
    }
}

/// One request under way. When it ends it is counted and written down, also where the other side went before its
/// answer: then it was `cut`, and has no status.
struct Running<'a> {
    shared: &'a Shared,
    number: u64,
    door: Door,
    begun: Instant,
    verb: &'static str,
    outcome: &'static str,
    status: u16,
    /// What failed on the broker's side, in its own words.
    reason: Option<String>,
}

impl<'a> Running<'a> {
    fn begin(shared: &'a Shared, peer: Peer) -> Self {
        shared.metrics.running.fetch_add(1, Ordering::Relaxed);
        let (number, begun) = (shared.next_number(), Instant::now());
        Self { shared, number, door: peer.door, begun, verb: "none", outcome: "cut", status: 0, reason: None }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let took = self.begun.elapsed();
        self.shared.metrics.running.fetch_sub(1, Ordering::Relaxed);
        self.shared.metrics.count(self.verb, self.outcome, took);
        let mut line = serde_json::json!({
            "at": self.shared.clock.now().to_string(),
            "request": self.number,
            "door": self.door.name(),
            "verb": self.verb,
            "status": self.status,
            "outcome": self.outcome,
            "ms": u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        });
        if let Some(reason) = self.reason.take() {
            line["reason"] = reason.into();
        }
        (self.shared.log)(&line.to_string());
    }
}
