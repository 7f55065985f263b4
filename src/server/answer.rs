//! Answers: one place for statuses, headers and what the log calls them.

use crate::api::{Refusal, wire};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Response, StatusCode};

/// An answer before it is HTTP.
pub struct Answer {
    /// The HTTP status.
    pub status: StatusCode,
    /// What became of the request, in one word without names.
    pub outcome: &'static str,
    /// What failed here, for the log alone.
    pub reason: Option<String>,
    body: Vec<u8>,
    json: bool,
    retry_ms: Option<u64>,
    standby: bool,
    allow: Option<&'static str>,
    close: bool,
}

impl Answer {
    fn new(status: StatusCode, outcome: &'static str, body: Vec<u8>) -> Self {
        Self {
            status,
            outcome,
            reason: None,
            body,
            json: true,
            retry_ms: None,
            standby: false,
            allow: None,
            close: false,
        }
    }

    /// What a verb gave, as it is.
    pub fn done(body: Vec<u8>) -> Self {
        Self::new(StatusCode::OK, "done", body)
    }

    /// A word for a probe.
    pub fn text(status: StatusCode, text: &str) -> Self {
        Self { json: false, ..Self::new(status, "probe", text.into()) }
    }

    /// What the broker refused, with its status.
    pub fn refusal(refusal: &Refusal) -> Self {
        let status = StatusCode::from_u16(wire::status_of(refusal)).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let outcome = match refusal {
            Refusal::Denied { .. } => "denied",
            Refusal::NotFound => "not_found",
            Refusal::Authentication(_) => "authentication",
            Refusal::Integrity(_) => "integrity",
            Refusal::Input { .. } => "input",
            Refusal::UnknownHead | Refusal::Restarted { .. } => "head",
            Refusal::Busy { .. } => "busy",
            Refusal::Failed(_) => "failed",
        };
        let body = serde_json::to_vec(refusal).unwrap_or_default();
        let retry_ms = if let Refusal::Busy { retry_ms } = refusal { Some(*retry_ms) } else { None };
        Self { retry_ms, ..Self::new(status, outcome, body) }
    }

    /// What the broker refused. How the machine it runs on is made, and what its database says, is for its log: whoever
    /// asked may not even be a member. They hear where it stands there.
    pub fn told(refusal: Refusal, number: u64) -> Self {
        let (told, reason) = match refusal {
            Refusal::Failed(reason) => {
                (Refusal::Failed(format!("the broker failed at this; its log says why at request {number}")), reason)
            }
            Refusal::Integrity(reason) => {
                let told = format!("the broker's log says where, at request {number}");
                (Refusal::Integrity(told), reason)
            }
            other => return Self::refusal(&other),
        };
        Self { reason: Some(reason), ..Self::refusal(&told) }
    }

    /// What never reached the broker. What else is on that connection is not read: it may not be a request at all.
    pub fn unheard(status: StatusCode, sentence: &str) -> Self {
        Self { outcome: "unheard", close: true, ..Self::refusal(&Refusal::Failed(sentence.into())) }.with(status)
    }

    /// Too much at once for this server, whoever asks.
    pub fn overloaded() -> Self {
        Self::refusal(&Refusal::Busy { retry_ms: 1000 }).with(StatusCode::SERVICE_UNAVAILABLE)
    }

    /// This broker holds no vault now.
    pub fn standby() -> Self {
        let sentence = "this broker stands by and holds no vault now; the one that holds it answers";
        let refused = Self::refusal(&Refusal::Failed(sentence.into()));
        Self { outcome: "standby", standby: true, ..refused }
    }

    /// With the one method that is accepted.
    #[must_use]
    pub fn allowing(self, method: &'static str) -> Self {
        Self { allow: Some(method), ..self }
    }

    fn with(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    /// As HTTP. No header says what is running here.
    pub fn into_response(self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(Bytes::from(self.body)));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        let kind = if self.json { "application/json" } else { "text/plain; charset=utf-8" };
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if let Some(ms) = self.retry_ms {
            headers.insert(RETRY_AFTER, HeaderValue::from(ms.div_ceil(1000)));
        }
        if self.standby {
            headers.insert(HeaderName::from_static(wire::STANDBY), HeaderValue::from_static("1"));
        }
        if let Some(method) = self.allow {
            headers.insert(ALLOW, HeaderValue::from_static(method));
        }
        if self.close {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}
