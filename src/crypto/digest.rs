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

/// HMAC-SHA-256 of parts, one after the other, under a secret shared with the receiver.
pub fn mac_of(secret: &Secret, parts: &[&[u8]]) -> Digest {
    Digest(keyed(secret.expose(), parts))
}

fn mac(key: &Key, purpose: &[u8], data: &[u8]) -> [u8; 32] {
    keyed(key.expose(), &[purpose, data])
}

fn keyed(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    // HMAC takes keys of any length (RFC 2104).
    let Ok(mut mac) = <Hmac<sha2::Sha256> as Mac>::new_from_slice(key) else { unreachable!("any length") };
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::super::vectors::{Case, cases};
    use super::*;

    /// Frozen with version 1; computed with Python's `hmac`.
    #[test]
    fn labels_and_tags_are_as_version_1_has_them() {
        let key = Key::from_slice(&(0..32).collect::<Vec<u8>>()).unwrap();
        let label = "94826da68518257872c285e6bdf944cd607afc26c48f71f9cc6a73ede257b9d3";
        assert_eq!(derive_label(&key, "ромашка").to_string(), label);
        assert_eq!(derive_reuse_tag(&key, &Secret::copy_of(b"secret")).to_string(), "ffbe4dfdcc2def4dfae9f0ae83cea0b4");
        assert_eq!(derive_nonce_tag(&key, 258), [0xa3, 0x45, 0xaf, 0x73, 0xb0, 0x73, 0xfe, 0xa7]);
    }

    /// RFC 4231, test cases 1, 2 and 6 (a key longer than a block).
    #[test]
    fn hmac_is_as_the_rfc_says() {
        let long = [0xaa; 131];
        for (key, data, expected) in [
            (&[0x0b; 20][..], &b"Hi There"[..], "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
            (
                b"Jefe",
                b"what do ya want for nothing?",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (
                &long,
                b"Test Using Larger Than Block-Size Key - Hash Key First",
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ),
        ] {
            let (head, tail) = data.split_at(3);
            assert_eq!(mac_of(&Secret::copy_of(key), &[head, tail]).to_string(), expected);
        }
    }

    /// Project Wycheproof's cases with a whole tag.
    #[test]
    fn wycheproof_hmac_sha256() {
        let cases = cases(include_str!("../../tests/vectors/hmac_sha256.txt"));
        assert_eq!(cases.len(), 87);
        for Case { number, valid, parts: [key, message, tag] } in cases {
            assert_eq!(mac_of(&Secret::new(key), &[&message]).bytes()[..] == tag, valid, "case {number}");
        }
    }
}
