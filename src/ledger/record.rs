//! One signed line of a ledger.

use super::tree::leaf_hash;
use crate::crypto::{Hasher, PublicKey, Signed, Topic};
use crate::model::{Deny, Digest, Event, Instant, MemberId, RosterEvent, UnitId, VaultId, Verb};
use serde::{Deserialize, Serialize};

/// The format of records this program writes and reads.
const FORMAT: u32 = 1;

/// How far the two halves were really held by two parties (DESIGN.md 3). Set by how the broker was started. The weakest
/// is the least.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Assurance {
    /// Broker and members share one account: expiry, ledger and 2FA are promises of this program.
    Solo,
    /// The broker runs as another account of the machine.
    Account,
    /// The broker runs on another machine.
    Host,
}

impl Assurance {
    /// The name in records.
    pub fn name(self) -> &'static str {
        match self {
            Assurance::Solo => "solo",
            Assurance::Account => "account",
            Assurance::Host => "host",
        }
    }
}

/// Whether the broker believed its clock.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ClockMark {
    /// It did.
    Trusted,
    /// It did not; the time is what the clock showed.
    Suspect,
}

/// What came of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Outcome {
    /// Something happened to a mandate.
    Mandate(Event),
    /// Something happened to the roster.
    Roster(RosterEvent),
    /// It was denied.
    Denied(Deny),
    /// A right code or session was missing, or the object is not there for the member; nothing is said of which.
    Refused,
}

/// The facts of a record. Field order is the order in its JSON.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Of this format.
    pub format: u32,
    /// The vault.
    pub vault: VaultId,
    /// The ledger's unit.
    pub unit: UnitId,
    /// Its place there, from 0.
    pub seq: u64,
    /// When, by the broker's clock.
    pub at: Instant,
    /// Whether that clock was believed.
    pub clock: ClockMark,
    /// The level of assurance.
    pub assurance: Assurance,
    /// What was asked; none where the broker acted by itself.
    pub verb: Option<Verb>,
    /// Who asked.
    pub by: Option<MemberId>,
    /// The member's signed request, exactly as it came.
    pub request: Option<Signed>,
    /// What came of it.
    pub outcome: Outcome,
    /// SHA-256 of the encoded state after it, where the state changed.
    pub state: Option<Digest>,
}

/// Why bytes are not a record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Not signed by the broker's record key.
    #[error("is not signed by the broker's record key")]
    Signature,
    /// Not exactly one record of this format.
    #[error("is not a record of this format: {0}")]
    Format(String),
}

impl Record {
    /// The format number for new records.
    pub const FORMAT: u32 = FORMAT;

    /// The exact bytes to sign.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_else(|_| unreachable!("string keys and integers only"))
    }

    /// Opens a record: verifies the signature over the bytes as they are, then parses them strictly.
    ///
    /// # Errors
    /// [`RecordError`]; unknown or duplicate fields, floats and trailing bytes are refused.
    pub fn open(signed: &Signed, key: &PublicKey) -> Result<Self, RecordError> {
        let bytes = signed.open(Topic::Record, key).map_err(|_| RecordError::Signature)?;
        let record: Record = serde_json::from_slice(bytes).map_err(|e| RecordError::Format(position(&e)))?;
        if record.format != FORMAT {
            return Err(RecordError::Format(format!("format {}", record.format)));
        }
        // One record has one spelling: what serde would tolerate (arrays for objects, another order) is refused too.
        if record.encode() != bytes {
            return Err(RecordError::Format("another spelling than the canonical one".into()));
        }
        Ok(record)
    }
}

impl Entry {
    /// The record of an entry that was proven to be under a head this broker signed: its signature was verified or made
    /// when that head was. Only for reading many; `verify` opens each with [`Record::open`].
    ///
    /// # Errors
    /// [`RecordError::Format`].
    pub fn proven_record(&self) -> Result<Record, RecordError> {
        serde_json::from_slice(self.signed.unverified_bytes()).map_err(|e| RecordError::Format(position(&e)))
    }
}

/// Where parsing stopped, without what stood there.
fn position(error: &serde_json::Error) -> String {
    format!("line {} column {}", error.line(), error.column())
}

/// A record as it is stored and handed out: salt, exact bytes, signature.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// 32 random bytes, so that a leaf says nothing of its record.
    pub salt: Digest,
    /// The signed record.
    pub signed: Signed,
}

impl Entry {
    /// The leaf in the tree.
    pub fn leaf(&self) -> Digest {
        leaf_of(&self.salt, self.signed.unverified_bytes())
    }
}

/// `SHA-256(0x00 ‖ SHA-256(salt ‖ record))`.
pub fn leaf_of(salt: &Digest, record: &[u8]) -> Digest {
    leaf_hash(Hasher::default().with(salt.bytes()).with(record).finish().bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::{SignKey, System};

    fn sample() -> Record {
        Record {
            format: FORMAT,
            vault: VaultId([1; 16]),
            unit: UnitId([2; 16]),
            seq: 3,
            at: Instant(4),
            clock: ClockMark::Trusted,
            assurance: Assurance::Solo,
            verb: Some(Verb::Fetch),
            by: None,
            request: None,
            outcome: Outcome::Denied(Deny::TermExpired),
            state: None,
        }
    }

    #[test]
    fn a_refusal_says_where_and_not_what() {
        let key = SignKey::generate(&System);
        let signed = key.sign(Topic::Record, b"{\"format\": \"hunter2\"}".to_vec());
        assert_eq!(Record::open(&signed, &key.public()), Err(RecordError::Format("line 1 column 20".into())));
        for assurance in [Assurance::Solo, Assurance::Account, Assurance::Host] {
            assert_eq!(serde_json::to_value(assurance).unwrap(), assurance.name());
        }
    }

    #[test]
    fn a_record_is_opened_strictly() {
        let key = SignKey::generate(&System);
        let good = String::from_utf8(sample().encode()).unwrap();
        let open = |text: String| Record::open(&key.sign(Topic::Record, text.into_bytes()), &key.public());
        assert_eq!(open(good.clone()), Ok(sample()));
        let bad = [
            good.replacen("{", "{\"more\":1,", 1),
            good.replacen("\"seq\":3", "\"seq\":3,\"seq\":3", 1),
            good.replacen("\"seq\":3", "\"seq\":3.0", 1),
            good.replacen("\"seq\":3", "\"seq\":-3", 1),
            good.replacen("\"seq\":3", "\"seq\":18446744073709551616", 1),
            good.replacen("\"format\":1", "\"format\":2", 1),
            good.replacen("TERM_EXPIRED", "TERM_OVER", 1),
            good.replacen("\"seq\":3,", "", 1),
            good.replacen("\"seq\":3", "\"seq\": 3", 1),
            good.replacen(",\"state\":null", "", 1),
            format!("{good} x"),
            format!("\u{FEFF}{good}"),
            format!("{}{good}", "[".repeat(100_000)),
        ];
        for text in bad {
            assert!(matches!(open(text.clone()), Err(RecordError::Format(_))), "{}", &text[..80.min(text.len())]);
        }
    }
}
