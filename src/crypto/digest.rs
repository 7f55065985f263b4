//! SHA-256, blind labels and reuse fingerprints.

use crate::model::{Digest, ReuseTag};
use hmac::{Hmac, Mac};
use sha2::Digest as _;

use super::secret::{Key, Secret};

/// SHA-256 over parts, one after the other.
#[derive(Default)]
pub struct Hasher(sha2::Sha256);

impl Hasher {
    /// Adds bytes.
    #[must_use]
    pub fn with(mut self, bytes: &[u8]) -> Self {
        self.0.update(bytes);
        self
    }

    /// The digest.
    pub fn finish(self) -> Digest {
        Digest(self.0.finalize().into())
    }
}

/// SHA-256 of bytes.
pub fn hash(bytes: &[u8]) -> Digest {
    Hasher::default().with(bytes).finish()
}

/// The blind label a name is looked up by: HMAC-SHA-256 under the broker's label key. Equal names have equal labels;
/// without the key nothing can be said of the name.
pub fn derive_label(key: &Key, folded_name: &str) -> Digest {
    Digest(mac(key, b"mandatum/label/1\0", folded_name.as_bytes()))
}

/// The fingerprint reuse is found by: HMAC-SHA-256 under a key that only leads and owners hold, cut to 16 bytes. The
/// broker sees that two secrets are equal and cannot guess which they are.
pub fn derive_reuse_tag(key: &Key, secret: &Secret) -> ReuseTag {
    let mut tag = [0; 16];
    tag.copy_from_slice(&mac(key, b"mandatum/reuse/1\0", secret.expose())[..16]);
    ReuseTag(tag)
}

/// What marks a nonce as this broker's own: HMAC-SHA-256 over its number, cut to 8 bytes.
pub fn derive_nonce_tag(key: &Key, number: u64) -> [u8; 8] {
    let mut tag = [0; 8];
    tag.copy_from_slice(&mac(key, b"mandatum/nonce/1\0", &number.to_be_bytes())[..8]);
    tag
}

fn mac(key: &Key, purpose: &[u8], data: &[u8]) -> [u8; 32] {
    // HMAC takes keys of any length (RFC 2104).
    let Ok(mut mac) = <Hmac<sha2::Sha256> as Mac>::new_from_slice(key.expose()) else { unreachable!("any length") };
    mac.update(purpose);
    mac.update(data);
    mac.finalize().into_bytes().into()
}
