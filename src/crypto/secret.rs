//! Secrets and keys in memory.

use super::entropy::Entropy;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

/// Plaintext bytes of a secret. Wiped on drop; cannot be printed, cloned or serialised.
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes bytes over; the caller keeps no copy.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Copies bytes in, into a buffer that never reallocates.
    pub fn copy_of(bytes: &[u8]) -> Self {
        Self::new(bytes.to_vec())
    }

    /// The plaintext. The one call to look for in a review.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The plaintext as text, if it is UTF-8.
    pub fn expose_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

/// Whether bytes are equal, in a time that does not tell where they differ.
pub fn equal(left: &[u8], right: &[u8]) -> bool {
    left.ct_eq(right).into()
}

/// 32 secret bytes. Wiped on drop.
pub struct Key([u8; 32]);

impl Key {
    /// Fresh and random.
    pub fn generate(entropy: &dyn Entropy) -> Self {
        let mut bytes = [0; 32];
        entropy.fill(&mut bytes);
        Self(bytes)
    }

    /// From exactly 32 bytes.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// All zeros: stands for a key that was destroyed, where a format has room for one.
    pub fn absent() -> Self {
        Self([0; 32])
    }

    /// The bytes. The one call to look for in a review.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// A second holder of the same key, said aloud.
    pub fn duplicate(&self) -> Self {
        Self(self.0)
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// Keys are written only inside documents that are sealed as a whole (anchor, identity, kit).
impl serde::Serialize for Key {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return Err(serde::ser::Error::custom("keys are never written as text"));
        }
        self.0.serialize(serializer)
    }
}

impl<'de> serde::Deserialize<'de> for Key {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            return Err(serde::de::Error::custom("keys are never read from text"));
        }
        <[u8; 32]>::deserialize(deserializer).map(Self)
    }
}
