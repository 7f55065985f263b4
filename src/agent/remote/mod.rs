//! A broker elsewhere, as a gate: HTTPS to one pinned key, or a Unix socket of another account.
//!
//! Guarantees: nothing is sent before the other side has shown the pinned key. No certificate authority, name, proxy,
//! redirect or cookie has a say. Another address is only tried while nothing of the request was sent: a request whose
//! outcome is unknown is never repeated by itself. What the other side wrote is quoted only as a [`Refusal`].

mod line;
mod tls;

use super::{AgentError, Profile};
use crate::api::wire::{self, Route};
use crate::api::{Frame, Gate, Hello, Joining, Refusal};
use crate::model::Digest;
use line::{Address, Connect, Fault, Line};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use ureq::Agent;
use ureq::http::header::CONTENT_TYPE;
use zeroize::Zeroizing;

/// The longest answer that is read, bytes.
const ANSWER_MAX: u64 = 256 * 1024 * 1024;
/// The longest head of an answer, bytes.
const HEAD_MAX: usize = 16 * 1024;
/// The time for a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// The time for a whole call: longer than a broker takes at most.
const WHOLE: Duration = Duration::from_secs(130);
/// How long one that stands by takes to take over, at most.
const TAKES_OVER: Duration = Duration::from_secs(10);
/// How often it is asked meanwhile.
const AGAIN: Duration = Duration::from_millis(250);

/// The broker of a profile.
pub struct RemoteGate {
    brokers: Vec<Broker>,
    /// Which of them answered last. Held during a call: one connection carries one at a time.
    at: Mutex<usize>,
}

/// One address of the broker, with the connection to it.
struct Broker {
    url: String,
    base: String,
    agent: Agent,
    line: Arc<Line>,
}

/// What came of asking at one address.
enum Reached {
    /// It answered.
    Answered(Result<Vec<u8>, Refusal>),
    /// Nothing was sent, or it said that nothing was done: another may be asked.
    Away(&'static str),
    /// It answered that it stands by.
    StandsBy,
    /// It was sent, and no answer came.
    Lost,
}

/// What came of asking everywhere.
enum Asked {
    Answered(Result<Vec<u8>, Refusal>),
    Nobody { away: Vec<String>, stands_by: bool },
}

impl RemoteGate {
    /// Reaches the broker of a profile; nothing is sent yet.
    ///
    /// # Errors
    /// The profile names no place this program can reach.
    pub fn new(profile: &Profile) -> Result<Self, AgentError> {
        let broker = |url: &String| Broker::new(url, profile.pin).map_err(AgentError::Failed);
        let brokers = profile.urls.iter().map(broker).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { brokers, at: Mutex::new(0) })
    }

    fn ask(&self, route: Route, body: &[u8]) -> Result<Vec<u8>, Refusal> {
        if body.len() > route.body_max() {
            let sentence = format!("is longer than the {} MiB a broker takes", route.body_max() / (1024 * 1024));
            return Err(Refusal::input("request", sentence));
        }
        let begun = Instant::now();
        loop {
            match self.ask_each(route, body) {
                // The active one is gone or just ended: one that stands by will take over, and nothing was done yet.
                Asked::Nobody { stands_by: true, .. } if begun.elapsed() < TAKES_OVER => std::thread::sleep(AGAIN),
                Asked::Nobody { away, .. } => {
                    return Err(Refusal::Failed(format!("no broker answers ({})", away.join("; "))));
                }
                Asked::Answered(answer) => return answer,
            }
        }
    }

    /// Asks at one address after the other, from the one that answered last.
    fn ask_each(&self, route: Route, body: &[u8]) -> Asked {
        let mut at = self.at.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut away, mut stands_by) = (Vec::new(), false);
        let first = *at;
        for index in (0..self.brokers.len()).map(|step| (first + step) % self.brokers.len()) {
            let Some(broker) = self.brokers.get(index) else { continue };
            let mut reached = broker.post(route, body);
            if matches!((route, &reached), (Route::Hello, Reached::Lost)) {
                // Saying hello does nothing: a connection that had just ended is no reason to give up.
                reached = broker.post(route, body);
            }
            match reached {
                Reached::Away(why) => away.push(format!("{}: {why}", broker.url)),
                Reached::StandsBy => {
                    stands_by = true;
                    away.push(format!("{}: stands by", broker.url));
                }
                Reached::Answered(answer) => {
                    *at = index;
                    return Asked::Answered(answer);
                }
                Reached::Lost => {
                    let sentence = "the broker's answer was lost; what was asked may have been done or not: look \
                                    before asking again";
                    return Asked::Answered(Err(Refusal::Failed(sentence.into())));
                }
            }
        }
        Asked::Nobody { away, stands_by }
    }
}

impl Gate for RemoteGate {
    fn hello(&self) -> Result<Hello, Refusal> {
        serde_json::from_slice(&self.ask(Route::Hello, &[])?).map_err(|_| strange())
    }

    fn call(&self, frame: Frame) -> Result<Vec<u8>, Refusal> {
        let body = wire::encode(&frame).map_err(|error| Refusal::Failed(error.to_string()))?;
        self.ask(Route::Call(frame.verb), &Zeroizing::new(body))
    }

    fn join(&self, joining: Joining) -> Result<(), Refusal> {
        let body = serde_json::to_vec(&joining).map_err(|error| Refusal::Failed(error.to_string()))?;
        self.ask(Route::Join, &Zeroizing::new(body)).map(drop)
    }
}

impl Broker {
    fn new(url: &str, pin: Option<Digest>) -> Result<Self, String> {
        let address = Address::parse(url, pin)?;
        let base = address.base();
        let line = Arc::new(Line::default());
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .timeout_connect(Some(CONNECT))
            .timeout_global(Some(WHOLE))
            .max_response_header_size(HEAD_MAX)
            .max_idle_connections(1)
            .user_agent("mandatum")
            .accept("application/json")
            .build();
        let connect = Connect::new(address.clone(), Arc::clone(&line))?;
        let agent = Agent::with_parts(config, connect, address);
        Ok(Self { url: url.to_owned(), base, agent, line })
    }

    fn post(&self, route: Route, body: &[u8]) -> Reached {
        self.line.begin();
        let url = format!("{}{}{}", self.base, wire::ROOT, route.name());
        let sent = self.agent.post(url).header(CONTENT_TYPE, "application/octet-stream").send(body);
        let mut response = match sent {
            Ok(response) => response,
            Err(_) if self.line.was_used() => return Reached::Lost,
            Err(_) => {
                return match self.line.fault() {
                    Some(Fault::OtherKey) => Reached::Answered(Err(Refusal::Failed(format!(
                        "{} shows another TLS key than the one pinned in the profile: it is not the broker you were \
                         invited to, or its key was replaced; ask the owner before anything else",
                        self.url
                    )))),
                    Some(Fault::OwnAccount) => Reached::Answered(Err(Refusal::Failed(format!(
                        "{} is served by this very account: there are no two parties then; the broker must run under \
                         an account of its own",
                        self.url
                    )))),
                    None => Reached::Away("cannot be reached"),
                };
            }
        };
        let status = response.status().as_u16();
        if status == 503 && response.headers().contains_key(wire::STANDBY) {
            return Reached::StandsBy;
        }
        let Ok(answer) = response.body_mut().with_config().limit(ANSWER_MAX).read_to_vec() else {
            return Reached::Lost;
        };
        Reached::Answered(match status {
            200 => Ok(answer),
            400..=599 => Err(serde_json::from_slice(&answer).unwrap_or_else(|_| strange())),
            _ => Err(strange()),
        })
    }
}

fn strange() -> Refusal {
    Refusal::Failed("what answers there does not speak as a broker of this version does; check the profile".into())
}
