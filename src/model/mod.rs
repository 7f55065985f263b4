//! The nouns: ids, names, terms, members, mandates, and how a record changes them.
//!
//! Guarantees: no I/O, no clock, no keys. A value that exists here is already valid: names, ids, dates and terms
//! are parsed at the edge and cannot be wrong afterwards. A mandate's and the roster's state is the fold of their
//! ledgers ([`Mandate::apply`], [`Roster::apply`]); the broker and `verify` run the same fold.

mod access;
mod deny;
mod event;
mod fold;
mod id;
mod incident;
mod mandate;
mod member;
mod name;
mod paper;
#[cfg(test)]
mod schema;
mod settlement;
mod time;
mod verb;

pub use access::{AccessRequest, Answer, Decision, Draft, Jurisdiction, Permission, Reviewed, Wish};
pub use deny::Deny;
pub use event::{
    CredentialFacts, Event, FoldError, GrantFacts, NewVersion, ReleasedItem, RosterEvent, RowChange, SharedItem,
};
pub use id::{
    Blob, CredentialId, Digest, GrantId, IncidentId, MemberId, Nonce, RequestId, ReuseTag, RowId, SessionId, UnitId,
    VaultId,
};
pub use incident::{Incident, IncidentEntry, IncidentFacts, IncidentKind, Step};
pub use mandate::{
    Asked, Credential, Ended, Grant, GrantOrigin, Kind, Level, Mandate, Narrowed, Phase, RevocationPoint, Row,
    RowTerms, SecondFactor, Settled, Strength, Version, Why,
};
pub use member::{
    Bundle, Device, FIRST_DEVICE, Invitation, InvitedFacts, InvitedPermission, Member, Role, Roster, Standing,
};
pub use name::{Name, NameError, Text};
pub use settlement::{Choice, Evidence, Recorded};
pub use time::{Clock, Date, HighWater, Instant, Term, TermError, Uptime, Zone};
pub use verb::Verb;
