//! The end of a contract (clause 5.1): three separate legs, each with its own evidence.
//!
//! Access revoked on the platform is said by a person, with proof where there is one. The secret destroyed in the vault
//! is shown by the ledger. Copies outside are declared by a named person; nothing here can know of them.

use super::{CredentialId, Digest, Instant, MemberId, Text};
use serde::{Deserialize, Serialize};

/// What the operator wants done with the data (152-ФЗ; GDPR art. 28(3)(g)).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Choice {
    /// Given back, then deleted.
    Return,
    /// Deleted.
    Delete,
}

/// One piece of evidence for the closing.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Evidence {
    /// Access of a credential was taken away on its platform.
    Revoked {
        /// Which.
        credential: CredentialId,
        /// How: the steps taken, or what the platform answered.
        how: Text,
        /// By whom: a named person of the agency or the operator, or `mandatum` where its program asked the platform.
        by: Text,
        /// SHA-256 of a screenshot or letter, where there is one.
        proof: Option<Digest>,
    },
    /// What became of copies outside the vault.
    Copies {
        /// Who declares it: full name.
        by: Text,
        /// `true`: there never were any.
        none: bool,
        /// What there was and what became of it; may be empty where there were none.
        declaration: Text,
        /// SHA-256 of the signed declaration, where there is one.
        proof: Option<Digest>,
    },
    /// The operator's choice.
    Chosen {
        /// Which.
        choice: Choice,
        /// Who of the operator said so.
        by: Text,
    },
    /// Logins were handed back, sealed to the operator's own key.
    Returned {
        /// The operator's age recipient.
        recipient: Text,
        /// SHA-256 of the package.
        package: Digest,
        /// How many credentials it holds.
        credentials: u32,
    },
}

/// Evidence with who recorded it and when.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Recorded {
    /// What.
    pub evidence: Evidence,
    /// By whom it was recorded.
    pub by: MemberId,
    /// When.
    pub at: Instant,
}
