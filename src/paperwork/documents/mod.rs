//! The documents, one file each: a struct of facts and the sheet it makes.
//!
//! Every `sheet` is a pure function. A fact that a document cannot do without prints as a blank and is listed at the
//! end; what would make the document say something untrue is a [`Refusal`]. No facts struct has a field for a secret;
//! accounts come in as they are and leave masked.

mod admission;
mod draft;
mod ended;
mod extract;
mod incident;
mod letter;
mod mandate;
mod package;
mod review;
mod revocation;
mod safeguards;
mod termination;
pub mod words;

pub use admission::{AdmissionOrder, Admitted};
pub use ended::{EndedAccess, OnPlatform, Vaulted};
pub use extract::{AccessLogExtract, LogEntry, Outcome, People};
pub use incident::{Clocks, Exposed, IncidentNotice, Measure, Stage};
pub use letter::{BackupsEnd, ConfirmationLetter, Copies};
pub use mandate::{AccessRow, Mandate};
pub use package::{Enclosure, ProofPackage};
pub use review::{Decision, ReviewItem, ReviewSheet};
pub use revocation::{RevocationItem, RevocationList};
pub use safeguards::{MemberRoles, ReviewDue, SafeguardItem, Safeguards, Wider};
pub use termination::{Backup, CopiesOutside, Copy, EventLog, Finality, Medium, OwnedSystem, Returned, TerminationAct};
pub use words::mask_account;

use super::lang::Lang;
use super::wording::Wording;
pub use crate::ledger::Assurance;
use crate::model::{Date, Digest, Instant, Text, Zone};

/// What every document needs beside its facts.
#[derive(Clone, Copy)]
pub struct Press<'p> {
    /// The language; English ones refer to the GDPR.
    pub lang: Lang,
    /// The lawyer's texts.
    pub wording: &'p Wording,
    /// The operator's zone, in which times are printed.
    pub zone: &'p Zone,
    /// Now: printed as the time of making and stored in the file.
    pub made: Instant,
}

/// Why a document is not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A final document would have blanks.
    #[error("the final document is refused; missing: {}", .0.join("; "))]
    Incomplete(Vec<String>),
    /// The document has no place here.
    #[error("{0}")]
    NotNeeded(String),
    /// The facts contradict each other.
    #[error("{0}")]
    Inconsistent(String),
}

/// What stands at the head of every document.
#[derive(Clone, Debug, Default)]
pub struct Heading {
    /// Its number.
    pub number: Text,
    /// Its date.
    pub date: Option<Date>,
    /// Where it is made.
    pub place: Text,
    /// SHA-256 of the signed mandate's file.
    pub source: Option<Digest>,
}

/// A party: the operator or the processor.
#[derive(Clone, Debug, Default)]
pub struct Party {
    /// Company or person.
    pub name: Text,
    /// ИНН, or a tax number elsewhere.
    pub tax_number: Text,
    /// ОГРН or ОГРНИП, or a register number elsewhere.
    pub register_number: Text,
    /// Address.
    pub address: Text,
    /// Who signs, as «Тестов Т. Т.».
    pub representative: Text,
    /// The signer's position.
    pub position: Text,
    /// On what the signer acts: «Устав», a power of attorney.
    pub authority: Text,
}

/// The mandate and the contract a document stands on.
#[derive(Clone, Debug, Default)]
pub struct Basis {
    /// The mandate's number.
    pub mandate: Text,
    /// Its date.
    pub mandate_date: Option<Date>,
    /// The contract's number.
    pub contract: Text,
    /// Its date.
    pub contract_date: Option<Date>,
    /// Its last day.
    pub contract_until: Option<Date>,
}

/// A person who did or answers for something.
#[derive(Clone, Debug, Default)]
pub struct Person {
    /// As «Примеров П. П.».
    pub name: Text,
    /// Position.
    pub position: Text,
}

/// The head of a ledger an extract was taken from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LogHead {
    /// How many records the tree holds.
    pub tree_size: u64,
    /// Its root hash.
    pub root: Digest,
    /// What checking it gave.
    pub verification: Verification,
}

/// What checking a ledger gave.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verification {
    /// Tree, signatures and checkpoints hold together.
    Verified(Instant),
    /// They do not.
    Failed(Instant),
    /// Nobody has checked.
    NotChecked,
}
