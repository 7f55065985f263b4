//! Everything that touches a key: secrets in memory, seals, wraps, signatures, identity files, second factors.
//!
//! Guarantees: no other room calls a cryptographic crate. Every ciphertext is bound to its purpose and place by
//! associated data; every signature to its type by pre-authentication encoding; Ed25519 is verified strictly. A secret
//! has no `Debug`, `Clone` or `Serialize`, is compared in constant time and wiped on drop, and is opened by one
//! greppable call, `expose`.

mod digest;
mod entropy;
mod envelope;
mod identity;
mod otp;
mod pin;
mod seal;
mod secret;
mod sign;
#[cfg(test)]
mod vectors;

pub use digest::{Hasher, derive_label, derive_nonce_tag, derive_reuse_tag, hash, mac_of};
pub use entropy::{Entropy, System};
pub use envelope::{
    AgeKey, Ctx, Dek, Fields, OuterKey, OuterSeal, Statement, WRAP_MAX, commitment, derive_outer_key, open_ct,
    open_inner, open_note, seal_ct, wrap_inner, wrap_note,
};
pub use identity::{Cost, IdentityError, open_sealed_file, seal_file};
pub use otp::{MEMBER_STEP_SECONDS, Seed, SeedError, is_six_digits};
pub use pin::pin_of;
pub use seal::{Context, derive_subkey, open, open_exact, padded_len, seal, seal_exact};
pub use secret::{Key, Secret, equal};
pub use sign::{PublicKey, SignKey, Signed, Topic, verify_note};

/// A key, seal, wrap or signature does not open. One sentence for all: what failed tells an attacker nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("does not open with this key, or was changed")]
pub struct Sealed;
