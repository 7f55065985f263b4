//! Ed25519 signatures (RFC 8032) over DSSE pre-authentication encoding, one topic for each kind of statement.
//!
//! ```text
//! PAE(topic, bytes) = "DSSEv1" SP len(topic) SP topic SP len(bytes) SP bytes      (lengths in decimal)
//! ```

use super::Sealed;
use super::entropy::Entropy;
use super::secret::Key;
use crate::model::{Blob, Digest};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};

/// What a signature is about. A signature under one topic is none under another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Topic {
    /// The owner root names the vault's keys.
    Charter,
    /// The owner root orders a restart.
    Restart,
    /// A member vouches for their own keys.
    Bundle,
    /// An owner admits a member.
    Admission,
    /// A member asks the broker.
    Request,
    /// An author binds a wrap to its place.
    Statement,
    /// The broker records.
    Record,
}

impl Topic {
    /// Every topic.
    pub const ALL: [Topic; 7] = [
        Topic::Charter,
        Topic::Restart,
        Topic::Bundle,
        Topic::Admission,
        Topic::Request,
        Topic::Statement,
        Topic::Record,
    ];

    /// The type in the pre-authentication encoding.
    pub fn name(self) -> &'static str {
        match self {
            Topic::Charter => "mandatum-charter-v1",
            Topic::Restart => "mandatum-restart-v1",
            Topic::Bundle => "mandatum-bundle-v1",
            Topic::Admission => "mandatum-admission-v1",
            Topic::Request => "mandatum-request-v1",
            Topic::Statement => "mandatum-statement-v1",
            Topic::Record => "mandatum-record-v1",
        }
    }

    fn encode(self, bytes: &[u8]) -> Vec<u8> {
        let mut pae = format!("DSSEv1 {} {} {} ", self.name().len(), self.name(), bytes.len()).into_bytes();
        pae.extend_from_slice(bytes);
        pae
    }
}

/// An Ed25519 public key.
pub type PublicKey = Digest;

/// An Ed25519 private key.
pub struct SignKey(SigningKey);

impl SignKey {
    /// Fresh and random.
    pub fn generate(entropy: &dyn Entropy) -> Self {
        Self::from_seed(&Key::generate(entropy))
    }

    /// From its 32-byte seed (RFC 8032, 5.1.5).
    pub fn from_seed(seed: &Key) -> Self {
        Self(SigningKey::from_bytes(seed.expose()))
    }

    /// The seed, for documents that are sealed as a whole.
    pub fn seed(&self) -> Key {
        Key::from_slice(self.0.as_bytes()).unwrap_or_else(|| unreachable!("32 bytes"))
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        Digest(self.0.verifying_key().to_bytes())
    }

    /// Signs exact bytes under a topic.
    pub fn sign(&self, topic: Topic, bytes: Vec<u8>) -> Signed {
        let sig = self.0.sign(&topic.encode(&bytes)).to_bytes().to_vec();
        Signed { bytes: Blob(bytes), key: self.public(), sig: Blob(sig) }
    }

    /// Signs a text as it is: only for checkpoints, whose key signs nothing else (C2SP signed-note).
    pub fn sign_note(&self, text: &str) -> [u8; 64] {
        self.0.sign(text.as_bytes()).to_bytes()
    }
}

/// Verifies a note's signature, strictly.
///
/// # Errors
/// [`Sealed`] if it is not this key's.
pub fn verify_note(key: &PublicKey, text: &str, sig: &[u8]) -> Result<(), Sealed> {
    verify(key, text.as_bytes(), sig)
}

fn verify(key: &PublicKey, message: &[u8], sig: &[u8]) -> Result<(), Sealed> {
    let key = VerifyingKey::from_bytes(key.bytes()).map_err(|_| Sealed)?;
    let sig = Signature::from_slice(sig).map_err(|_| Sealed)?;
    key.verify_strict(message, &sig).map_err(|_| Sealed)
}

/// Exact bytes with a signature over them. Opened only by [`Signed::open`], and never re-serialised.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Signed {
    /// What is signed, byte for byte.
    bytes: Blob,
    /// The Ed25519 public key that signed it.
    key: PublicKey,
    /// The signature over the pre-authentication encoding, 64 bytes.
    sig: Blob,
}

impl Signed {
    /// Puts the parts together; nothing is trusted before [`Signed::open`].
    pub fn from_parts(bytes: Vec<u8>, key: PublicKey, sig: Vec<u8>) -> Self {
        Self { bytes: Blob(bytes), key, sig: Blob(sig) }
    }

    /// The bytes, if this key signed them under this topic.
    ///
    /// # Errors
    /// [`Sealed`] if the key, the topic or any byte is another.
    pub fn open(&self, topic: Topic, key: &PublicKey) -> Result<&[u8], Sealed> {
        if self.key != *key {
            return Err(Sealed);
        }
        verify(key, &topic.encode(&self.bytes.0), &self.sig.0)?;
        Ok(&self.bytes.0)
    }

    /// The key it claims; who that is, is the caller's to know.
    pub fn claimed_key(&self) -> &PublicKey {
        &self.key
    }

    /// The bytes before any check: only to find out whose key to check with.
    pub fn unverified_bytes(&self) -> &[u8] {
        &self.bytes.0
    }

    /// The signature's 64 bytes.
    pub fn signature(&self) -> &[u8] {
        &self.sig.0
    }
}

#[cfg(test)]
mod tests {
    use super::super::System;
    use super::super::vectors::{Case, cases};
    use super::*;
    use data_encoding::HEXLOWER;

    /// RFC 8032, 7.1, TEST 2.
    #[test]
    fn rfc_8032_test_2() {
        let hex = |text: &str| HEXLOWER.decode(text.as_bytes()).unwrap();
        let seed = hex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb");
        let key = SignKey::from_seed(&Key::from_slice(&seed).unwrap());
        let public = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c";
        assert_eq!(key.public().to_string(), public);
        let sig = "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
                   085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00";
        assert_eq!(HEXLOWER.encode(&key.sign_note("r")), sig);
    }

    #[test]
    fn a_signature_is_good_for_one_topic_and_one_key() {
        let (key, other) = (SignKey::generate(&System), SignKey::generate(&System));
        for topic in Topic::ALL {
            let signed = key.sign(topic, b"text".to_vec());
            for tried in Topic::ALL {
                assert_eq!(signed.open(tried, &key.public()).is_ok(), tried == topic);
            }
            assert!(signed.open(topic, &other.public()).is_err());
            let claimed = Signed { key: other.public(), ..signed };
            assert!(claimed.open(topic, &other.public()).is_err());
        }
    }

    /// Project Wycheproof's cases: malleable, cut, extended and wrong signatures beside good ones.
    #[test]
    fn wycheproof_ed25519() {
        let cases = cases(include_str!("../../tests/vectors/ed25519.txt"));
        assert_eq!(cases.len(), 151);
        for Case { number, valid, parts: [key, message, sig] } in cases {
            let key = Digest::from_slice(&key).unwrap();
            assert_eq!(verify(&key, &message, &sig).is_ok(), valid, "case {number}");
        }
    }

    /// Of twelve signatures on which verifiers disagree, strict verification takes one.
    #[test]
    fn only_the_strict_one_of_the_disputed_signatures_is_taken() {
        let cases = cases(include_str!("../../tests/vectors/ed25519_speccheck.txt"));
        assert_eq!((cases.len(), cases.iter().filter(|case| case.valid).count()), (12, 1));
        for Case { number, valid, parts: [key, message, sig] } in cases {
            let key = Digest::from_slice(&key).unwrap();
            assert_eq!(verify(&key, &message, &sig).is_ok(), valid, "case {number}");
        }
    }

    /// The family of C2SP CCTV: key A and nonce point R with every pair of small-order parts, alone (in each of the 14
    /// spellings of the eight points) or beside a part of prime order; the challenge is made from the bytes as they
    /// are, or from A and R spelled as they should be. With S = r + k·a the equation holds without its cofactor where
    /// k·i + j is divisible by 8, i and j being the parts' numbers; that, and neither point of small order altogether,
    /// is what is taken.
    #[test]
    fn small_order_parts_are_taken_only_where_the_equation_holds_exactly() {
        use curve25519_dalek::{EdwardsPoint, Scalar, constants::EIGHT_TORSION};
        use sha2::Digest as _;
        let point = |scalar: u64, part: usize| EdwardsPoint::mul_base(&Scalar::from(scalar)) + EIGHT_TORSION[part];
        // Scalar of the prime-order part, number of the small-order part, spelling, the right spelling.
        let spelled = |scalar: u64| {
            (0..8).flat_map(move |part| {
                let right = point(scalar, part).compress().0;
                let all = if scalar == 0 { spellings(right) } else { vec![right] };
                all.into_iter().map(move |bytes| (scalar, part, bytes, right))
            })
        };
        assert_eq!(spelled(0).count(), 14);
        let (mut tried, mut taken) = (0, 0);
        for (a, i, key, right_key) in spelled(0).chain(spelled(7)) {
            for (r, j, nonce, right_nonce) in spelled(0).chain(spelled(11)) {
                let mut challenged = vec![(key, nonce)];
                if (key, nonce) != (right_key, right_nonce) {
                    challenged.push((right_key, right_nonce));
                }
                for (message, (in_key, in_nonce)) in (0u8..8).flat_map(|m| challenged.iter().map(move |c| ([m], c))) {
                    let hash = sha2::Sha512::new().chain_update(in_nonce).chain_update(in_key).chain_update(message);
                    let k = Scalar::from_bytes_mod_order_wide(&hash.finalize().into());
                    let sig = [nonce, (Scalar::from(r) + k * Scalar::from(a)).to_bytes()].concat();
                    let exact = (usize::from(k.as_bytes()[0]) * i + j) % 8 == 0;
                    let good = exact && a * r != 0;
                    assert_eq!(verify(&Digest(key), &message, &sig).is_ok(), good, "{a} {r} {i} {j} {message:?}");
                    tried += 1;
                    taken += usize::from(good);
                }
            }
        }
        assert_eq!(tried, 5696);
        assert!((30..100).contains(&taken), "{taken} of {tried}");
    }

    /// Every 32 bytes that decode to this small-order point where a decoder is lenient: y at or beyond the prime, and
    /// the sign bit where x is 0.
    fn spellings(right: [u8; 32]) -> Vec<[u8; 32]> {
        let sign = right[31] & 0x80;
        let y = [&right[..31], &[right[31] & 0x7f]].concat();
        let small = y[1..].iter().all(|byte| *byte == 0) && y[0] < 2;
        let x_is_zero = (small && y[0] == 1) || y[0] == 0xec;
        let mut ys = vec![y.clone()];
        if small {
            ys.push([&[0xed + y[0]], &[0xff; 30][..], &[0x7f]].concat());
        }
        let signs = if x_is_zero { vec![0, 0x80] } else { vec![sign] };
        let with = |y: &Vec<u8>, sign: u8| <[u8; 32]>::try_from([&y[..31], &[y[31] | sign]].concat()).unwrap();
        ys.iter().flat_map(|y| signs.iter().map(|sign| with(y, *sign))).collect()
    }

    #[test]
    fn what_is_signed_is_there_before_it_is_verified() {
        let key = SignKey::generate(&System);
        let signed = key.sign(Topic::Request, b"fetch".to_vec());
        assert_eq!((signed.unverified_bytes(), signed.claimed_key()), (&b"fetch"[..], &key.public()));
        assert!(verify(&key.public(), b"DSSEv1 19 mandatum-request-v1 5 fetch", signed.signature()).is_ok());
    }

    /// The point of order 1 as key verifies anything where verification is not strict.
    #[test]
    fn verification_is_strict() {
        let mut identity = [0; 32];
        identity[0] = 1;
        let mut sig = [0; 64];
        sig[0] = 1;
        assert!(verify_note(&Digest(identity), "anything", &sig).is_err());
    }
}
