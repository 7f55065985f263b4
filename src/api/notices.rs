//! What the broker tells its own host by the clock, for the host to send on. No member asks for it, and no secret is in
//! it; operators, systems and people are named.

use crate::model::{Date, Digest, Instant, Jurisdiction, Name, Zone};
use serde::{Deserialize, Serialize};

/// What a notice is about.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoticeKind {
    /// The clock is not believed: nothing ends by time until it is set right or an owner confirms it.
    Clock,
    /// A mandate's term ends.
    Mandate,
    /// A row's term ends before its mandate's.
    Row,
    /// A grant's term ends before its row's.
    Grant,
    /// An incident is open.
    Incident,
    /// A request for access waits.
    Request,
    /// A draft has open questions.
    Draft,
    /// An active mandate's grants, and when they were reviewed last. Whether that is too long ago the law says.
    Review,
}

impl NoticeKind {
    /// Whether it counts the days to an end, not from a beginning.
    pub fn is_term(self) -> bool {
        matches!(self, Self::Mandate | Self::Row | Self::Grant)
    }
}

/// Something somebody is to be told.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Notice {
    /// What it is about.
    pub kind: NoticeKind,
    /// Whose mandate; none where it is about the vault.
    pub operator: Option<Name>,
    /// Which: a system, a system and a member, a kind of incident, a number of questions; empty for the mandate itself.
    pub what: String,
    /// The end of the term (the first instant after it), or when it began: detected, asked, drafted, reviewed, last believed.
    pub at: Instant,
    /// Days until a term's end, a part of a day counted whole; else whole days since.
    pub days: i64,
    /// Of an incident, when the operator was told.
    pub told: Option<Instant>,
    /// Under which law its clocks run.
    pub jurisdiction: Jurisdiction,
    /// The zone its dates are in.
    pub zone: Zone,
    /// The same for the same thing in every call; says nothing without the broker's key.
    pub key: Digest,
}

/// The signed head of one active mandate, for its operator to keep.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OperatorCheckpoint {
    /// The operator.
    pub operator: Name,
    /// The contract's number.
    pub contract: String,
    /// The signed note.
    pub note: String,
    /// As [`Notice::key`], of the mandate.
    pub key: Digest,
}

/// What one round of the ticker did, or would do.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct NoticesReport {
    /// Whether anything is configured.
    pub configured: bool,
    /// Whether another round was under way, to which this one left everything.
    pub busy: bool,
    /// The notices that are due now.
    pub due: Vec<Notice>,
    /// Letters that were taken by the mail server: notices count as one.
    pub mailed: u64,
    /// Notices that the webhook took.
    pub posted: u64,
    /// Checkpoints that were handed to operators.
    pub checkpoints: u64,
    /// What was not delivered and why; it is tried again.
    pub failed: Vec<String>,
}

/// Today in the agency's zone, and every active mandate's signed head.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Checkpoints {
    /// Today.
    pub today: Date,
    /// The heads.
    pub heads: Vec<OperatorCheckpoint>,
}
