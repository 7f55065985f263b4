//! Files sealed by a passphrase: member identities and the recovery kit.
//!
//! ```text
//! header = magic (8) ‖ format (u16 LE) ‖ m KiB (u32 LE) ‖ t (u32 LE) ‖ p (u32 LE) ‖ salt (16) ‖ nonce (24)
//! file   = header ‖ XChaCha20-Poly1305(Argon2id(passphrase, salt, m, t, p), nonce, padded payload, AAD = header)
//! ```
//! Cost parameters are checked against a floor and a cap *before* deriving, so neither a downgraded nor a monstrous
//! header works. A wrong passphrase and a changed file answer the same.

use super::entropy::Entropy;
use super::seal::padded_len;
use super::secret::{Key, Secret};
use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::aead::{AeadInPlace, KeyInit};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

const FORMAT: u16 = 1;
const HEADER: usize = 8 + 2 + 4 + 4 + 4 + 16 + 24;

/// Argon2id cost (RFC 9106): memory in KiB, passes, lanes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cost {
    /// Memory, KiB.
    pub m_kib: u32,
    /// Passes.
    pub t: u32,
    /// Lanes.
    pub p: u32,
}

impl Cost {
    /// What is written, and the least that is read.
    pub const DEFAULT: Cost = Cost { m_kib: 64 * 1024, t: 3, p: 1 };
    /// The most that is read.
    const CAP: Cost = Cost { m_kib: 1024 * 1024, t: 16, p: 16 };

    fn is_accepted(self) -> bool {
        let (floor, cap) = (Self::DEFAULT, Self::CAP);
        (floor.m_kib..=cap.m_kib).contains(&self.m_kib)
            && (floor.t..=cap.t).contains(&self.t)
            && (floor.p..=cap.p).contains(&self.p)
    }
}

/// Why a sealed file does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// Not such a file, or of a later version.
    #[error("is not a file of this kind, or of a version this program does not know")]
    Format,
    /// The header asks for too little or too much work.
    #[error("asks for Argon2id parameters outside 64 MiB to 1 GiB and 3 to 16 passes; nothing was derived")]
    Cost,
    /// Wrong passphrase, or the file was changed.
    #[error("does not open: wrong passphrase, or the file was changed")]
    Closed,
}

/// Seals a payload under a passphrase. `magic` says what kind of file it is.
pub fn seal_file(magic: &[u8; 8], payload: &Secret, passphrase: &Secret, entropy: &dyn Entropy) -> Vec<u8> {
    let cost = Cost::DEFAULT;
    let mut random = [0; 40];
    entropy.fill(&mut random);
    let mut file = Vec::with_capacity(HEADER + padded_len(payload.len()) + 16);
    file.extend_from_slice(magic);
    file.extend_from_slice(&FORMAT.to_le_bytes());
    for number in [cost.m_kib, cost.t, cost.p] {
        file.extend_from_slice(&number.to_le_bytes());
    }
    file.extend_from_slice(&random);
    let mut body = Zeroizing::new(Vec::with_capacity(padded_len(payload.len())));
    body.extend_from_slice(&u32::try_from(payload.len()).unwrap_or(u32::MAX).to_le_bytes());
    body.extend_from_slice(payload.expose());
    body.resize(padded_len(payload.len()), 0);
    let key = derive(passphrase, &random[..16], cost);
    // Fails only beyond 256 GiB; what comes out then does not open.
    let tag = cipher(&key).encrypt_in_place_detached(XNonce::from_slice(&random[16..]), &file, &mut body);
    file.extend_from_slice(&body);
    file.extend_from_slice(&tag.unwrap_or_default());
    file
}

/// Opens a sealed file.
///
/// # Errors
/// [`IdentityError`]; for a wrong passphrase and a changed file the same one.
pub fn open_sealed_file(magic: &[u8; 8], file: &[u8], passphrase: &Secret) -> Result<Secret, IdentityError> {
    let (header, sealed) = file.split_at_checked(HEADER).ok_or(IdentityError::Format)?;
    let (kind, rest) = header.split_at(8);
    let (format, rest) = rest.split_at(2);
    if kind != magic || format != FORMAT.to_le_bytes() {
        return Err(IdentityError::Format);
    }
    let (numbers, random) = rest.split_at(12);
    let number =
        |index: usize| numbers.chunks_exact(4).nth(index).and_then(|c| c.try_into().ok()).map_or(0, u32::from_le_bytes);
    let cost = Cost { m_kib: number(0), t: number(1), p: number(2) };
    if !cost.is_accepted() {
        return Err(IdentityError::Cost);
    }
    let (ct, tag) = sealed.split_at_checked(sealed.len().saturating_sub(16)).ok_or(IdentityError::Format)?;
    if tag.len() != 16 {
        return Err(IdentityError::Format);
    }
    let key = derive(passphrase, &random[..16], cost);
    let mut body = Zeroizing::new(ct.to_vec());
    cipher(&key)
        .decrypt_in_place_detached(XNonce::from_slice(&random[16..]), header, &mut body, tag.into())
        .map_err(|_| IdentityError::Closed)?;
    let (len, rest) = body.split_first_chunk::<4>().ok_or(IdentityError::Closed)?;
    let len = usize::try_from(u32::from_le_bytes(*len)).map_err(|_| IdentityError::Closed)?;
    rest.get(..len).map(Secret::copy_of).ok_or(IdentityError::Closed)
}

fn derive(passphrase: &Secret, salt: &[u8], cost: Cost) -> Key {
    let mut bytes = Zeroizing::new([0; 32]);
    // Accepted costs are valid parameters, the salt has 16 bytes and the output 32 (RFC 9106, 3.1).
    if let Ok(params) = Params::new(cost.m_kib, cost.t, cost.p, Some(32)) {
        let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        if argon.hash_password_into(passphrase.expose(), salt, &mut *bytes).is_err() {
            unreachable!("checked parameters");
        }
    }
    Key::from_slice(&*bytes).unwrap_or_else(|| unreachable!("32 bytes"))
}

fn cipher(key: &Key) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(key.expose().into())
}

#[cfg(test)]
mod tests {
    use super::super::System;
    use super::*;

    const MAGIC: &[u8; 8] = b"TESTFILE";

    fn text(text: &str) -> Secret {
        Secret::copy_of(text.as_bytes())
    }

    #[test]
    fn opens_with_the_passphrase_and_no_other_way() {
        let file = seal_file(MAGIC, &text("payload"), &text("passphrase"), &System);
        assert!(open_sealed_file(MAGIC, &file, &text("passphrase")).is_ok_and(|p| p.expose() == b"payload"));
        assert_eq!(open_sealed_file(MAGIC, &file, &text("Passphrase")).err(), Some(IdentityError::Closed));
        assert_eq!(open_sealed_file(b"OTHERONE", &file, &text("passphrase")).err(), Some(IdentityError::Format));
        for index in [22, HEADER - 1, HEADER, file.len() - 1] {
            let mut changed = file.clone();
            changed[index] ^= 1;
            assert_eq!(open_sealed_file(MAGIC, &changed, &text("passphrase")).err(), Some(IdentityError::Closed));
        }
        for len in [0, 8, HEADER, HEADER + 15] {
            assert!(open_sealed_file(MAGIC, &file[..len], &text("passphrase")).is_err());
        }
    }

    /// A refused header costs nothing: no derivation, however monstrous the parameters.
    #[test]
    fn cost_is_bounded_below_and_above_before_deriving() {
        let file = seal_file(MAGIC, &text("payload"), &text("passphrase"), &System);
        for (offset, value) in [(10, 8), (10, 65_535), (10, u32::MAX), (14, 1), (14, 17), (18, 0), (18, u32::MAX)] {
            let mut changed = file.clone();
            changed[offset..offset + 4].copy_from_slice(&u32::to_le_bytes(value));
            assert_eq!(open_sealed_file(MAGIC, &changed, &text("passphrase")).err(), Some(IdentityError::Cost));
        }
    }

    /// RFC 9106, 5.3, through the same crate calls (the vector has a secret and associated data, which we do not use).
    #[test]
    fn rfc_9106_argon2id() {
        let params = argon2::ParamsBuilder::new()
            .m_cost(32)
            .t_cost(3)
            .p_cost(4)
            .data(argon2::AssociatedData::new(&[4; 12]).unwrap())
            .build()
            .unwrap();
        let argon = Argon2::new_with_secret(&[3; 8], Algorithm::Argon2id, Version::V0x13, params).unwrap();
        let mut out = [0; 32];
        argon.hash_password_into(&[1; 32], &[2; 16], &mut out).unwrap();
        assert_eq!(
            data_encoding::HEXLOWER.encode(&out),
            "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659"
        );
    }

    /// The reference implementation's own case for Argon2id at 64 MiB (version 0x13, 2 passes, 1 lane), through the
    /// derivation that opens files.
    #[test]
    fn the_reference_implementation_derives_the_same() {
        let key = derive(&text("password"), b"somesalt", Cost { m_kib: 64 * 1024, t: 2, p: 1 });
        assert_eq!(
            data_encoding::HEXLOWER.encode(key.expose()),
            "09316115d5cf24ed5a15a31a3ba326e5cf32edc24702987c02b6566f61913cf7"
        );
    }
}
