//! How access comes about and stays right: drafts, permissions for outsiders, requests and reviews.

use super::{Blob, Date, Digest, GrantId, Instant, Level, MemberId, RequestId, RowId, Text};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Under which law a mandate's texts and clocks stand.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Jurisdiction {
    /// 152-ФЗ.
    #[default]
    Ru,
    /// GDPR.
    Eu,
}

/// A mandate that was read from a file and is not in force: nothing opens under it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Draft {
    /// SHA-256 of the file.
    pub source: Digest,
    /// Questions still open; while there is one, it is not activated.
    pub questions: u32,
    /// What was read and answered, as the reading program writes it. Nothing here looks into it.
    pub reading: Blob,
}

/// The operator's written permission for somebody outside the agency (clause 1.2).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Permission {
    /// For whom.
    pub member: MemberId,
    /// Under which rows; empty: all of them.
    pub rows: BTreeSet<RowId>,
    /// Its last day, inclusive; none: the mandate's.
    pub until: Option<Date>,
    /// SHA-256 of the signed paper.
    pub source: Digest,
    /// The paper's file name, for whoever looks for it.
    pub file: Text,
}

/// What a member asks a lead for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Wish {
    /// Its id, chosen by the asking member's program.
    pub id: RequestId,
    /// The system, as the member wrote it.
    pub system: Text,
    /// Which levels.
    pub levels: BTreeSet<Level>,
    /// Which purposes; empty: the row's.
    pub purposes: Vec<Text>,
    /// The last day; none: the row's.
    pub until: Option<Date>,
    /// Why it is needed.
    pub reason: Text,
}

/// A request for access and what became of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct AccessRequest {
    /// What is asked.
    pub wish: Wish,
    /// By whom.
    pub by: MemberId,
    /// When.
    pub at: Instant,
    /// What became of it; none while it waits.
    pub answer: Option<Answer>,
}

/// What became of a request.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// A grant was made for it.
    Approved {
        /// Which.
        grant: GrantId,
        /// By whom.
        by: MemberId,
        /// When.
        at: Instant,
    },
    /// It was not given.
    Denied {
        /// Why.
        reason: Text,
        /// By whom.
        by: MemberId,
        /// When.
        at: Instant,
    },
}

/// What a review decided on one grant.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Decision {
    /// It stays as it is.
    Keep,
    /// Fewer levels, or an earlier end.
    Narrow {
        /// The levels from now on: some of those it has.
        levels: BTreeSet<Level>,
        /// The end from now on: no later than it was.
        until: Instant,
    },
    /// It goes; the revocation itself stands in a record of its own.
    Revoke,
}

/// One line of a review.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Reviewed {
    /// Which grant.
    pub grant: GrantId,
    /// What was decided.
    pub decision: Decision,
    /// Remarks; may be empty.
    pub note: Text,
}
