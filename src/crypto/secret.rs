//! Secrets and keys in memory.

use super::entropy::Entropy;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

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
        equal(&self.0, &other.0)
    }
}

/// Whether bytes are equal, in a time that does not tell where they differ.
pub fn equal(left: &[u8], right: &[u8]) -> bool {
    left.ct_eq(right).into()
}

/// 32 secret bytes. Wiped on drop.
pub struct Key(Zeroizing<[u8; 32]>);

impl Key {
    /// Fresh and random.
    pub fn generate(entropy: &dyn Entropy) -> Self {
        let mut key = Self::absent();
        entropy.fill(&mut *key.0);
        key
    }

    /// From exactly 32 bytes.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(|bytes| Self(Zeroizing::new(bytes)))
    }

    /// All zeros: stands for a key that was destroyed, where a format has room for one.
    pub fn absent() -> Self {
        Self(Zeroizing::new([0; 32]))
    }

    /// The bytes. The one call to look for in a review.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// A second holder of the same key, said aloud.
    pub fn duplicate(&self) -> Self {
        Self(self.0.clone())
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        equal(self.expose(), other.expose())
    }
}

/// Keys are written only inside documents that are sealed as a whole (anchor, identity, kit).
impl serde::Serialize for Key {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return Err(serde::ser::Error::custom("keys are never written as text"));
        }
        self.expose().serialize(serializer)
    }
}

impl<'de> serde::Deserialize<'de> for Key {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            return Err(serde::de::Error::custom("keys are never read from text"));
        }
        <[u8; 32]>::deserialize(deserializer).map(|bytes| Self(Zeroizing::new(bytes)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_and_keys_are_equal_where_every_byte_is() {
        let (one, longer, other) = (Secret::copy_of(b"one"), Secret::copy_of(b"one "), Secret::copy_of(b"two"));
        assert!(one == Secret::copy_of(b"one") && one != longer && one != other);
        assert!(equal(b"", b"") && equal(b"a", b"a") && !equal(b"a", b"b") && !equal(b"a", b"ab"));
        assert!(Secret::copy_of(b"").is_empty() && !one.is_empty());
        let key = |last| Key::from_slice(&[&[7; 31][..], &[last]].concat()).unwrap();
        assert!(key(1) == key(1).duplicate() && key(1) != key(2) && key(0) != Key::absent());
    }
}
