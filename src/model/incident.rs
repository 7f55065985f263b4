//! Incidents (clause 4.2): what happened, what is locked by it, and what was done.

use super::{GrantId, IncidentId, Instant, MemberId, Text};
use serde::{Deserialize, Serialize};

/// What kind of incident: the five of clause 4.2.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum IncidentKind {
    /// A device was lost.
    DeviceLost,
    /// A password is known to somebody else.
    PasswordCompromised,
    /// Somebody without a right had access.
    UnauthorisedAccess,
    /// Something went to the wrong person.
    MisdirectedTransfer,
    /// Anything else that endangers the data.
    SecurityIncident,
}

impl IncidentKind {
    /// Every kind.
    pub const ALL: [IncidentKind; 5] = [
        IncidentKind::DeviceLost,
        IncidentKind::PasswordCompromised,
        IncidentKind::UnauthorisedAccess,
        IncidentKind::MisdirectedTransfer,
        IncidentKind::SecurityIncident,
    ];

    /// The name in commands and records.
    pub fn name(self) -> &'static str {
        match self {
            IncidentKind::DeviceLost => "device_lost",
            IncidentKind::PasswordCompromised => "password_compromised",
            IncidentKind::UnauthorisedAccess => "unauthorised_access",
            IncidentKind::MisdirectedTransfer => "misdirected_transfer",
            IncidentKind::SecurityIncident => "security_incident",
        }
    }
}

/// What is said of an incident when it is opened.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct IncidentFacts {
    /// Its id, the same in every mandate it reaches.
    pub id: IncidentId,
    /// What kind.
    pub kind: IncidentKind,
    /// Whose device, password or access; none: everybody's under the mandate.
    pub member: Option<MemberId>,
    /// When it was detected: the operator's clocks run from here.
    pub detected: Instant,
    /// When it may have begun; none: not known yet.
    pub since: Option<Instant>,
    /// What is known; may be empty.
    pub note: Text,
}

/// What was said or done in the course of an incident.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// The operator was told.
    Notice,
    /// The operator said what is to be done.
    Instruction,
    /// It was done.
    Execution,
    /// Something was found out.
    Finding,
}

impl Step {
    /// The name in commands and records.
    pub fn name(self) -> &'static str {
        match self {
            Step::Notice => "notice",
            Step::Instruction => "instruction",
            Step::Execution => "execution",
            Step::Finding => "finding",
        }
    }
}

/// One entry of an incident's course.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct IncidentEntry {
    /// What.
    pub step: Step,
    /// In words.
    pub text: Text,
    /// By whom it was recorded.
    pub by: MemberId,
    /// When it was recorded.
    pub at: Instant,
}

/// An incident as one mandate sees it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Incident {
    /// What was said when it was opened.
    pub facts: IncidentFacts,
    /// By whom.
    pub by: MemberId,
    /// When.
    pub opened: Instant,
    /// The grants it locked.
    pub locked: Vec<GrantId>,
    /// What followed.
    pub course: Vec<IncidentEntry>,
    /// When it was closed.
    pub closed: Option<Instant>,
}

impl Incident {
    /// When the operator was first told, if they were.
    pub fn told(&self) -> Option<Instant> {
        self.course.iter().find(|entry| entry.step == Step::Notice).map(|entry| entry.at)
    }
}
