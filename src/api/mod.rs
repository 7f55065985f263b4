//! The wire contract: what a member's program says to a broker and what comes back.
//!
//! One [`Gate::call`] carries every verb, in the same process (`solo`) or over a connection: exact request bytes with
//! the member's signature, and beside them a load that is not recorded (secrets in sealed form, codes). What the load
//! holds is bound by statements or digests inside the signed bytes.

mod host;
mod notices;
#[cfg(test)]
mod openapi;
mod verbs;
mod views;
pub mod wire;

pub use host::{
    AskConfirm, AskEnrol, EpochKeyPlace, Finding, Founding, Host, Places, Recovery, Reissue, RestartReport,
    ServeOptions, StoreCopied, StorePlace,
};
pub use notices::{Checkpoints, Notice, NoticeKind, NoticesReport, OperatorCheckpoint};
pub use verbs::*;
pub use views::*;

use crate::crypto::{Hasher, Signed};
use crate::model::{Blob, Deny, Digest, MemberId, Nonce, SessionId, UnitId, VaultId, Verb};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use zeroize::Zeroizing;

/// The format of requests this program writes and reads.
pub const FORMAT: u32 = 1;

/// A request's signed content.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Request<A> {
    /// [`FORMAT`].
    pub format: u32,
    /// The vault.
    pub vault: VaultId,
    /// The verb; the same as the route's.
    pub verb: Verb,
    /// Who asks.
    pub member: MemberId,
    /// The mandate it is about, if it is about one.
    pub unit: Option<UnitId>,
    /// From [`Gate::hello`]; good for one request.
    pub nonce: Nonce,
    /// The session that stands for the second factor.
    pub session: Option<SessionId>,
    /// From `step_up`; good for one request.
    pub step_up: Option<Nonce>,
    /// The newest head of that ledger the member has seen.
    pub seen: Option<Seen>,
    /// That head's signed note, where the broker asked to be shown it: a claim alone locks nobody.
    pub shown: Option<String>,
    /// What is asked.
    pub ask: A,
}

/// A head a member has seen.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Seen {
    /// Records.
    pub size: u64,
    /// The root over them.
    pub root: Digest,
}

/// One call on its way.
pub struct Frame {
    /// The route.
    pub verb: Verb,
    /// The signed request.
    pub request: Signed,
    /// What travels beside it and is not recorded.
    pub load: Vec<u8>,
}

/// What a broker says before anything else.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Hello {
    /// The vault.
    pub vault: VaultId,
    /// For the next two requests: most commands make two.
    pub nonces: [Nonce; 2],
    /// The charters, signed by the owner root, oldest first.
    pub charters: Vec<Blob>,
}

/// The broker, as a member's program sees it.
pub trait Gate: Send + Sync {
    /// Asks for a nonce.
    ///
    /// # Errors
    /// [`Refusal`].
    fn hello(&self) -> Result<Hello, Refusal>;

    /// Carries one request; the answer is the verb's, as JSON.
    ///
    /// # Errors
    /// [`Refusal`].
    fn call(&self, frame: Frame) -> Result<Vec<u8>, Refusal>;

    /// Hands in a newcomer's own keys under an invitation. Nothing is theirs before an owner confirms them.
    ///
    /// # Errors
    /// Authentication where the invitation is unknown, used or over; input where the keys or the code are not right.
    fn join(&self, joining: Joining) -> Result<(), Refusal>;
}

/// What a newcomer's program sends under an invitation: it is no member yet, so nothing of it is signed by one.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Joining {
    /// The invitation's one-time token.
    #[cfg_attr(test, schemars(with = "String"))]
    pub token: Zeroizing<String>,
    /// The keys made on the newcomer's machine, signed by themselves.
    pub bundle: Signed,
    /// The encoded TOTP seed of a new member; none for a further device of a member, who has one.
    #[cfg_attr(test, schemars(with = "Option<Vec<u8>>"))]
    pub seed: Option<Zeroizing<Vec<u8>>>,
    /// A code that confirms the seed, or the member's own.
    pub code: String,
}

/// What a broker says to keys that were handed in and that no owner has confirmed yet.
pub const NOT_CONFIRMED: &str =
    "your keys are not confirmed yet: read their fingerprint to the owner who invited you, then try again";

/// What a broker keeps of an invitation's token.
pub fn token_digest(token: &str) -> Digest {
    Hasher::default().with(b"mandatum/invitation/1\0").with(token.as_bytes()).finish()
}

/// Where a broker is served, as a newcomer's program needs it. `serve` writes it into the state directory.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Served {
    /// The places, in the order to try.
    pub urls: Vec<String>,
    /// SHA-256 of the subject public key info of the TLS key shown there; none where only a socket is served.
    pub pin: Option<Digest>,
}

/// A verb's types.
pub trait Call {
    /// Its name.
    const VERB: Verb;
    /// What is signed and recorded.
    type Ask: Serialize + DeserializeOwned;
    /// What travels beside it.
    type Load: Serialize + DeserializeOwned + Default;
    /// What comes back.
    type Answer: Serialize + DeserializeOwned;
}

/// Why a broker does not do what it was asked.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, thiserror::Error)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// A retrieval was denied, and recorded as such.
    #[error("{code}: {}", code.sentence())]
    Denied {
        /// Why.
        code: Deny,
    },
    /// Nothing there, or not yours: the same answer for both.
    #[error("there is nothing of this name here for you")]
    NotFound,
    /// Who asks is not proven.
    #[error("{0}")]
    Authentication(String),
    /// The vault's own data do not hold together.
    #[error("the vault does not hold together: {0}")]
    Integrity(String),
    /// The input is refused; nothing was stored.
    #[error("{field}: {sentence}")]
    Input {
        /// What was wrong.
        field: String,
        /// Why, and what is accepted.
        sentence: String,
    },
    /// The head the member has seen is not one of this ledger: the broker wants to be shown it, signed. Nothing was done.
    #[error("the broker does not know the newest head of this ledger that was seen here")]
    UnknownHead,
    /// The head the member has seen is of records that were lost; the owner ordered to go on without them.
    #[error("the vault was put back to an earlier time, and its owner ordered to go on from there")]
    Restarted {
        /// The order, signed by the owner root.
        order: Blob,
    },
    /// Too much is asked at once; nothing was done.
    #[error("the broker is asked too much at once; try again in {} s", retry_ms.div_ceil(1000))]
    Busy {
        /// When to ask again, ms.
        retry_ms: u64,
    },
    /// Something outside failed; nothing was released.
    #[error("{0}")]
    Failed(String),
}

impl Refusal {
    /// Input that is refused.
    pub fn input(field: impl Into<String>, sentence: impl Into<String>) -> Self {
        Self::Input { field: field.into(), sentence: sentence.into() }
    }
}

impl From<Deny> for Refusal {
    fn from(code: Deny) -> Self {
        Self::Denied { code }
    }
}
