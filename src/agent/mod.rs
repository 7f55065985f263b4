//! The member's side: identity, session, requests, and the verification of every answer.
//!
//! Guarantees: it trusts nothing that comes back. The record of a release must hold this very request and stand under
//! a signed head that extends the newest one seen here; the author's statement must be an admitted member's and fit
//! context, ciphertext and data key. Only then is anything decrypted.

mod identity;
mod invitation;
mod pins;
mod profile;
mod program;
mod remote;
pub mod revocation;
mod session;
mod wrapping;

pub use crate::crypto::{Entropy, Fields, Key, Secret, Seed, SeedError, SignKey, System, Topic, hash};
pub use identity::{Identity, IdentityFileError, KIT_MAGIC, Kit, Newcomer, identity_path, new_kit, open_kit, seal_kit};
pub use invitation::{Invitation, InvitationError, LOCAL};
pub use pins::Pins;
pub use profile::Profile;
pub use program::{AgentError, Fetched, Program, SharedWith};
pub use remote::RemoteGate;
pub use session::{KernelKeys, Session, SessionError, SessionKeys, Sessions};
pub use wrapping::{NewSecret, Prepared};
