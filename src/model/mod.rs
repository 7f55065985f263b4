//! The nouns: ids, names, terms, members, mandates, and how a record changes them.
//!
//! Guarantees: no I/O, no clock, no keys. A value that exists here is already valid: names, ids, dates and terms
//! are parsed at the edge and cannot be wrong afterwards. A mandate's and the roster's state is the fold of their
//! ledgers ([`Mandate::apply`], [`Roster::apply`]); the broker and `verify` run the same fold.

mod deny;
mod event;
mod fold;
mod id;
mod mandate;
mod member;
mod name;
mod time;
mod verb;

pub use deny::Deny;
pub use event::{CredentialFacts, Event, FoldError, GrantFacts, NewVersion, ReleasedItem, RosterEvent, RowChange};
pub use id::{Blob, CredentialId, Digest, GrantId, MemberId, Nonce, ReuseTag, RowId, SessionId, UnitId, VaultId};
pub use mandate::{
    Credential, Ended, Grant, GrantOrigin, Kind, Level, Mandate, Narrowed, Phase, Row, RowTerms, SecondFactor, Settled,
    Strength, Version, Why,
};
pub use member::{Bundle, Member, Role, Roster, Standing};
pub use name::{Name, NameError, Text};
pub use time::{Clock, Date, HighWater, Instant, Term, TermError, Uptime, Zone};
pub use verb::Verb;
