//! XChaCha20-Poly1305 seals bound to purpose and place, padded to size classes.
//!
//! ```text
//! sealed = nonce (24, random) ‖ XChaCha20-Poly1305(key, nonce, plaintext, AAD = context)
//! padded plaintext = length (u32 LE) ‖ data ‖ zeros up to the size class
//! context = purpose ‖ 0x00 ‖ (length (u32 LE) ‖ bytes) for each part of the place
//! ```

use super::entropy::Entropy;
use super::secret::{Key, Secret};
use super::{Hasher, Sealed};
use crate::model::Digest;
use chacha20poly1305::aead::{Aead, AeadInPlace, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use zeroize::Zeroizing;

const NONCE: usize = 24;
const TAG: usize = 16;

/// What a ciphertext is and where it belongs; the associated data of its seal.
#[derive(Clone)]
pub struct Context(Vec<u8>);

impl Context {
    /// For a purpose: a fixed ASCII name with its format version.
    pub fn new(purpose: &'static str) -> Self {
        let mut bytes = purpose.as_bytes().to_vec();
        bytes.push(0);
        Self(bytes)
    }

    /// At a place.
    #[must_use]
    pub fn at(mut self, part: &[u8]) -> Self {
        self.0.extend(u32::try_from(part.len()).unwrap_or(u32::MAX).to_le_bytes());
        self.0.extend(part);
        self
    }

    /// At a numbered place.
    #[must_use]
    pub fn number(self, part: u64) -> Self {
        self.at(&part.to_le_bytes())
    }

    /// The encoding.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Its digest.
    pub fn digest(&self) -> Digest {
        Hasher::default().with(&self.0).finish()
    }
}

/// The size class of a plaintext: 256 · 2^k bytes up to 4 KiB, then whole 4 KiB.
pub fn padded_len(len: usize) -> usize {
    let len = len.saturating_add(4);
    if len <= 4096 { len.next_power_of_two().max(256) } else { len.next_multiple_of(4096) }
}

/// Seals bytes, padded to their size class.
pub fn seal(key: &Key, context: &Context, plaintext: &[u8], entropy: &dyn Entropy) -> Vec<u8> {
    let mut padded = Zeroizing::new(Vec::with_capacity(padded_len(plaintext.len())));
    padded.extend_from_slice(&u32::try_from(plaintext.len()).unwrap_or(u32::MAX).to_le_bytes());
    padded.extend_from_slice(plaintext);
    padded.resize(padded_len(plaintext.len()), 0);
    seal_exact(key, context, &padded, entropy)
}

/// Opens what [`seal`] sealed.
///
/// # Errors
/// [`Sealed`] if the key, the context or any byte is another.
pub fn open(key: &Key, context: &Context, sealed: &[u8]) -> Result<Secret, Sealed> {
    let padded = open_exact(key, context, sealed)?;
    let (len, rest) = padded.expose().split_first_chunk::<4>().ok_or(Sealed)?;
    let len = usize::try_from(u32::from_le_bytes(*len)).map_err(|_| Sealed)?;
    rest.get(..len).map(Secret::copy_of).ok_or(Sealed)
}

/// Seals bytes at their own length, for what has one size or hides none.
pub fn seal_exact(key: &Key, context: &Context, plaintext: &[u8], entropy: &dyn Entropy) -> Vec<u8> {
    let mut nonce = [0; NONCE];
    entropy.fill(&mut nonce);
    let payload = Payload { msg: plaintext, aad: context.bytes() };
    // The cipher fails only beyond 256 GiB; an empty result then opens nowhere.
    let ct = cipher(key).encrypt(XNonce::from_slice(&nonce), payload).unwrap_or_default();
    [&nonce[..], &ct].concat()
}

/// Opens what [`seal_exact`] sealed.
///
/// # Errors
/// [`Sealed`] if the key, the context or any byte is another.
pub fn open_exact(key: &Key, context: &Context, sealed: &[u8]) -> Result<Secret, Sealed> {
    let (nonce, rest) = sealed.split_first_chunk::<NONCE>().ok_or(Sealed)?;
    let split = rest.len().checked_sub(TAG).ok_or(Sealed)?;
    let (ct, tag) = rest.split_at(split);
    let mut plain = Zeroizing::new(ct.to_vec());
    cipher(key)
        .decrypt_in_place_detached(XNonce::from_slice(nonce), context.bytes(), &mut plain, tag.into())
        .map_err(|_| Sealed)?;
    Ok(Secret::new(std::mem::take(&mut *plain)))
}

/// A key for one purpose and place, from a key for many: HKDF-SHA-256 (RFC 5869) with the context as info.
pub fn derive_subkey(key: &Key, context: &Context) -> Key {
    let mut bytes = Zeroizing::new([0; 32]);
    // 32 bytes are within HKDF's 255 · 32.
    let _ = Hkdf::<sha2::Sha256>::new(None, key.expose()).expand(context.bytes(), &mut *bytes);
    Key::from_slice(&*bytes).unwrap_or_else(|| unreachable!("32 bytes"))
}

fn cipher(key: &Key) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(key.expose().into())
}

#[cfg(test)]
mod tests {
    use super::super::System;
    use super::super::vectors::{Case, cases};
    use super::*;

    #[test]
    fn a_seal_opens_only_with_its_key_at_its_place() {
        let (key, other) = (Key::generate(&System), Key::generate(&System));
        let here = Context::new("test/1").at(b"a").number(1);
        let sealed = seal(&key, &here, b"text", &System);
        assert!(open(&key, &here, &sealed).is_ok_and(|plain| plain.expose() == b"text"));
        assert!(open(&other, &here, &sealed).is_err());
        for there in [Context::new("test/1").at(b"a").number(2), Context::new("test/2").at(b"a").number(1)] {
            assert!(open(&key, &there, &sealed).is_err());
        }
        for index in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[index] ^= 1;
            assert!(open(&key, &here, &changed).is_err(), "byte {index}");
        }
        for len in 0..sealed.len() {
            assert!(open(&key, &here, &sealed[..len]).is_err());
        }
    }

    #[test]
    fn sizes_fall_into_classes() {
        let sizes: std::collections::BTreeSet<usize> = (5..=5000).map(padded_len).collect();
        assert_eq!(sizes.into_iter().collect::<Vec<_>>(), [256, 512, 1024, 2048, 4096, 8192]);
    }

    /// Project Wycheproof's cases, through the calls that everything here is sealed and opened by.
    #[test]
    fn wycheproof_xchacha20_poly1305() {
        struct Given(Vec<u8>);
        impl Entropy for Given {
            fn fill(&self, buffer: &mut [u8]) {
                buffer.copy_from_slice(&self.0);
            }
        }
        let cases = cases(include_str!("../../tests/vectors/xchacha20_poly1305.txt"));
        assert_eq!(cases.len(), 306);
        for Case { number, valid, parts: [key, nonce, data, plain, sealed] } in cases {
            let (key, context) = (Key::from_slice(&key).unwrap(), Context(data));
            let file = [&nonce[..], &sealed].concat();
            match open_exact(&key, &context, &file) {
                Ok(opened) => assert!(valid && opened.expose() == plain, "case {number}"),
                Err(Sealed) => assert!(!valid, "case {number}"),
            }
            assert_eq!(seal_exact(&key, &context, &plain, &Given(nonce)) == file, valid, "case {number}");
        }
    }

    /// HKDF-SHA-256 as another implementation has it: Project Wycheproof, case 76 of hkdf_sha256_test.json, the one
    /// with a key, salt and length of ours.
    #[test]
    fn wycheproof_hkdf_sha256() {
        let hex = |text: &str| data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap();
        let key = Key::from_slice(&hex("3ee1fc0d8fac49d494c4a1b8cf6bf290a4a2c19a27c3ab1914d0d21c841577e0")).unwrap();
        let info = Context(hex("4dc991623624fadef207587e42776cf3e0fdf4e5"));
        let expected = hex("f41f703259063d401de67cea9192038ddddc71ede5cdb383aad71894c1a39e8c");
        assert_eq!(derive_subkey(&key, &info).expose()[..], expected);
    }

    /// Parts are length-prefixed: moving a boundary is another context.
    #[test]
    fn contexts_do_not_run_together() {
        let (ab_c, a_bc) = (Context::new("p").at(b"ab").at(b"c"), Context::new("p").at(b"a").at(b"bc"));
        assert_ne!(ab_c.bytes(), a_bc.bytes());
    }
}
