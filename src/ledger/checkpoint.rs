//! Signed heads of a ledger, in C2SP tlog-checkpoint form inside a C2SP signed note.
//!
//! ```text
//! mandatum/<vault>/<unit>
//! <size in decimal>
//! <root, base64>
//! <empty line>
//! — <origin> <base64(key id (4) ‖ Ed25519 signature (64))>
//! ```
//! The key id is the first four bytes of SHA-256(origin ‖ 0x0A ‖ 0x01 ‖ public key).

use super::tree::verify_consistency;
use crate::crypto::{Hasher, PublicKey, SignKey, verify_note};
use crate::model::{Digest, UnitId, VaultId};
use data_encoding::BASE64;

/// Why a text is not a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// Not of the form.
    #[error("is not a checkpoint")]
    Form,
    /// For another vault or ledger.
    #[error("is a checkpoint of another ledger")]
    Origin,
    /// Not signed by the checkpoint key.
    #[error("is not signed by the broker's checkpoint key")]
    Signature,
}

/// The head of a ledger.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Checkpoint {
    /// The number of records.
    pub size: u64,
    /// The root over them.
    pub root: Digest,
}

/// The origin line of a ledger.
pub fn origin(vault: VaultId, unit: UnitId) -> String {
    format!("mandatum/{vault}/{unit}")
}

impl Checkpoint {
    /// The signed note.
    pub fn sign(&self, vault: VaultId, unit: UnitId, key: &SignKey) -> String {
        let origin = origin(vault, unit);
        let text = self.text(&origin);
        let sig = [&key_id(&origin, &key.public())[..], &key.sign_note(&text)].concat();
        format!("{text}\n\u{2014} {origin} {}\n", BASE64.encode(&sig))
    }

    /// Opens a note: one signature, by this key, over exactly the canonical text.
    ///
    /// # Errors
    /// [`NoteError`].
    pub fn open(note: &str, vault: VaultId, unit: UnitId, key: &PublicKey) -> Result<Self, NoteError> {
        let origin = origin(vault, unit);
        let lines: Vec<&str> = note.split('\n').collect();
        let &[first, size, root, "", signature, ""] = lines.as_slice() else { return Err(NoteError::Form) };
        if first != origin {
            return Err(NoteError::Origin);
        }
        let checkpoint = Self { size: decimal(size)?, root: root_of(root)? };
        let sig = signature.strip_prefix("\u{2014} ").and_then(|rest| rest.strip_prefix(&origin));
        let sig = sig.and_then(|rest| rest.strip_prefix(' ')).ok_or(NoteError::Form)?;
        let sig = BASE64.decode(sig.as_bytes()).map_err(|_| NoteError::Form)?;
        let (id, sig) = sig.split_first_chunk::<4>().ok_or(NoteError::Form)?;
        if *id != key_id(&origin, key) {
            return Err(NoteError::Signature);
        }
        verify_note(key, &checkpoint.text(&origin), sig).map_err(|_| NoteError::Signature)?;
        Ok(checkpoint)
    }

    /// Whether this head extends an older one, by a consistency proof (RFC 6962, 2.1.2).
    pub fn extends(&self, old: &Checkpoint, proof: &[Digest]) -> bool {
        verify_consistency(old.size, &old.root, self.size, &self.root, proof)
    }

    fn text(&self, origin: &str) -> String {
        format!("{origin}\n{}\n{}\n", self.size, BASE64.encode(self.root.bytes()))
    }
}

/// A number as it is written: no sign, no leading zero.
fn decimal(text: &str) -> Result<u64, NoteError> {
    let number: u64 = text.parse().map_err(|_| NoteError::Form)?;
    if number.to_string() == text { Ok(number) } else { Err(NoteError::Form) }
}

fn root_of(text: &str) -> Result<Digest, NoteError> {
    BASE64.decode(text.as_bytes()).ok().and_then(|bytes| Digest::from_slice(&bytes)).ok_or(NoteError::Form)
}

fn key_id(origin: &str, key: &PublicKey) -> [u8; 4] {
    let digest = Hasher::default().with(origin.as_bytes()).with(b"\n\x01").with(key.bytes()).finish();
    let [a, b, c, d, ..] = digest.0;
    [a, b, c, d]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::System;

    #[test]
    fn a_checkpoint_is_good_for_its_ledger_and_key_and_any_change_shows() {
        let (key, other) = (SignKey::generate(&System), SignKey::generate(&System));
        let (vault, unit) = (VaultId([1; 16]), UnitId([2; 16]));
        let head = Checkpoint { size: 9, root: Digest([7; 32]) };
        let note = head.sign(vault, unit, &key);
        assert_eq!(Checkpoint::open(&note, vault, unit, &key.public()), Ok(head));
        assert_eq!(Checkpoint::open(&note, vault, UnitId([3; 16]), &key.public()), Err(NoteError::Origin));
        assert_eq!(Checkpoint::open(&note, vault, unit, &other.public()), Err(NoteError::Signature));
        for index in 0..note.len() {
            for bit in 0..8 {
                let mut bytes = note.clone().into_bytes();
                bytes[index] ^= 1 << bit;
                let opened = String::from_utf8(bytes).map(|text| Checkpoint::open(&text, vault, unit, &key.public()));
                assert!(!matches!(opened, Ok(Ok(_))), "byte {index} bit {bit}");
            }
        }
    }

    #[test]
    fn a_head_extends_the_ones_before_it_and_no_others() {
        let leaves: Vec<Digest> = (0..7).map(|leaf| Digest([leaf; 32])).collect();
        let head = |size: usize, last: Digest| {
            let mut edge = crate::ledger::Edge::default();
            leaves[..size - 1].iter().chain([&last]).for_each(|leaf| edge.push(*leaf));
            Checkpoint { size: edge.size(), root: edge.root() }
        };
        let node = |level: u32, index: u64| {
            let (first, len) = (usize::try_from(index << level).unwrap(), 1 << level);
            let mut edge = crate::ledger::Edge::default();
            leaves[first..first + len].iter().for_each(|leaf| edge.push(*leaf));
            Ok::<_, ()>(edge.root())
        };
        let proof = crate::ledger::consistency_proof(5, 7, node).unwrap();
        let (old, new) = (head(5, leaves[4]), head(7, leaves[6]));
        assert!(new.extends(&old, &proof) && new.extends(&new, &[]));
        assert!(!new.extends(&head(5, leaves[5]), &proof) && !head(7, leaves[0]).extends(&old, &proof));
        assert!(!new.extends(&old, &[]) && !old.extends(&new, &proof));
    }

    /// The note of the C2SP signed-note specification and of its reference implementation (Go's `sumdb/note`): key id,
    /// signature and verification are ours.
    #[test]
    fn the_example_of_the_signed_note_specification() {
        let base64 = |text: &str| BASE64.decode(text.as_bytes()).unwrap();
        // PRIVATE+KEY+PeterNeumann+c74f20a3+… and PeterNeumann+c74f20a3+…: algorithm 1, then seed or public key.
        let seed = base64("AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz");
        let public = base64("ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW");
        let key = SignKey::from_seed(&crate::crypto::Key::from_slice(&seed[1..]).unwrap());
        assert_eq!((seed[0], public[0], &key.public().bytes()[..]), (1, 1, &public[1..]));

        let text = "If you think cryptography is the answer to your problem,\n\
                    then you don't know what your problem is.\n";
        let line =
            base64("x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=");
        assert_eq!(key_id("PeterNeumann", &key.public()), [0xc7, 0x4f, 0x20, 0xa3]);
        assert_eq!([&key_id("PeterNeumann", &key.public())[..], &key.sign_note(text)].concat(), line);
        assert!(verify_note(&key.public(), text, &line[4..]).is_ok());
        assert!(verify_note(&key.public(), &text.replace("problem is", "problem was"), &line[4..]).is_err());
        assert_ne!(key_id("PeterNeuman", &key.public()), line[..4]);
    }
}
