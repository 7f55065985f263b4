//! What became of a revocation, and why not more.

use crate::model::Instant;

/// What became of a token. Everything but `Dead` leaves a task for a person.
#[derive(Clone, PartialEq, Eq, Debug)]
#[must_use = "everything but Dead leaves a task for a person"]
pub enum Outcome {
    /// Seen alive, revoked, seen dead.
    Dead {
        /// Who said so.
        host: String,
        /// When it was last seen alive.
        alive_at: Instant,
        /// When it was seen dead.
        checked_at: Instant,
    },
    /// Already dead when it was first looked at; the revocation was sent all the same.
    WasDeadBefore {
        /// Who said so.
        host: String,
        /// When it was seen dead.
        checked_at: Instant,
        /// Why the revocation was not accepted, if it was not.
        refused: Option<Why>,
    },
    /// The server accepted the revocation, and nobody saw the token die.
    NotProven {
        /// Why not.
        why: Why,
    },
    /// The token may still work.
    Failed {
        /// Why.
        why: Why,
    },
}

impl Outcome {
    /// Whether a person has to look.
    pub fn leaves_a_task(&self) -> bool {
        !matches!(self, Self::Dead { .. })
    }
}

/// What stood in the way, where and when.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Why {
    /// During what.
    pub stage: Stage,
    /// Whose answer, or silence, it was.
    pub host: String,
    /// What it was.
    pub fault: Fault,
}

/// The three calls.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// The look before.
    Before,
    /// The revocation.
    Revocation,
    /// The look after.
    After,
}

/// What stood in the way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The record names no probe.
    NoProbe,
    /// The token or the secret holds what no header can carry.
    Unsendable,
    /// No such name.
    NoSuchHost,
    /// No connection, or it broke.
    Unreachable,
    /// The certificate or the handshake.
    Untrusted,
    /// Not HTTP.
    NotHttp,
    /// An address of a looser [`super::Wire`] than the one that was to call it.
    PlainHttp,
    /// No answer in time.
    TimedOut,
    /// More than is read.
    TooLong,
    /// A redirect, not followed.
    Redirected {
        /// The status.
        status: u16,
    },
    /// 503.
    Busy {
        /// When it asks to be called again, where it said so.
        seconds: Option<u64>,
    },
    /// Another 5xx.
    ServerFailed {
        /// The status.
        status: u16,
    },
    /// The client's id or secret.
    ClientRefused,
    /// The server revokes no tokens of this type (RFC 7009, 2.2.1).
    UnsupportedTokenType,
    /// Another refusal.
    Refused {
        /// The status.
        status: u16,
        /// The error code, if it is one of the RFCs'.
        code: Option<Code>,
    },
    /// Introspection did not answer in JSON.
    NotJson,
    /// Introspection did not say `active`.
    NoActive,
    /// The probe refused a token that was not revoked yet, and did not say it was the token's fault.
    Refuses,
    /// The probe answered with a status that says nothing.
    CannotTell {
        /// The status.
        status: u16,
    },
    /// The revocation was accepted and the token works.
    StillAlive,
}

/// The error codes of RFC 6749, 6750 and 7009. Anything else a server writes there is not repeated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Code {
    /// `invalid_request`
    InvalidRequest,
    /// `invalid_client`
    InvalidClient,
    /// `invalid_grant`
    InvalidGrant,
    /// `invalid_token`
    InvalidToken,
    /// `unauthorized_client`
    UnauthorizedClient,
    /// `unsupported_token_type`
    UnsupportedTokenType,
    /// `server_error`
    ServerError,
    /// `temporarily_unavailable`
    TemporarilyUnavailable,
}

impl Code {
    const ALL: [Self; 8] = [
        Self::InvalidRequest,
        Self::InvalidClient,
        Self::InvalidGrant,
        Self::InvalidToken,
        Self::UnauthorizedClient,
        Self::UnsupportedTokenType,
        Self::ServerError,
        Self::TemporarilyUnavailable,
    ];

    /// Reads a code.
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.word() == word)
    }

    /// As the RFCs write it.
    pub fn word(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidClient => "invalid_client",
            Self::InvalidGrant => "invalid_grant",
            Self::InvalidToken => "invalid_token",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::UnsupportedTokenType => "unsupported_token_type",
            Self::ServerError => "server_error",
            Self::TemporarilyUnavailable => "temporarily_unavailable",
        }
    }
}
