//! The envelope of one credential version: ciphertext, wraps and the author's statement (DESIGN.md 5).
//!
//! ```text
//! ctx    = Context("mandatum/ctx/1", vault, mandate, credential, version, grant, member key)   binds one wrap
//! ctx0   = the same with an empty grant and member key                                         the recovery wrap
//! CT     = seal(DEK, Context("mandatum/ct-aad/1", SHA-256(Context("mandatum/ct/1", vault, mandate, credential, version))),
//!               fields)
//! inner  = age(member enc key, ctx ‖ DEK)         rec = age(recovery recipient, ctx0 ‖ DEK)
//! outer  = seal_exact(HKDF(K_g, ctx), ctx, inner)
//! commit = SHA-256("mandatum/commit/1" ‖ 0x00 ‖ DEK)
//! fields = count (u8) ‖ (name length (u8) ‖ name ‖ value length (u32 LE) ‖ value) for each
//! ```
//! age carries no associated data and does not authenticate its sender: the context travels inside the wrap and is
//! compared after opening, and the statement is signed by the author.

use super::entropy::Entropy;
use super::seal::{Context, derive_subkey, open, open_exact, seal, seal_exact};
use super::secret::{Key, Secret};
use super::{Hasher, Sealed};
use crate::model::{CredentialId, Digest, GrantId, MemberId, UnitId, VaultId};
use age::secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use std::io::{Read, Write};
use zeroize::Zeroizing;

/// An age X25519 private key.
pub struct AgeKey(age::x25519::Identity);

impl AgeKey {
    /// Fresh and random (age draws from the operating system by itself).
    pub fn generate() -> Self {
        Self(age::x25519::Identity::generate())
    }

    /// From `AGE-SECRET-KEY-1…`.
    pub fn parse(text: &Secret) -> Option<Self> {
        text.expose_str()?.parse().ok().map(Self)
    }

    /// The `AGE-SECRET-KEY-1…` text, for documents that are sealed as a whole.
    pub fn text(&self) -> Secret {
        Secret::copy_of(self.0.to_string().expose_secret().as_bytes())
    }

    /// The recipient `age1…`.
    pub fn recipient(&self) -> String {
        self.0.to_public().to_string()
    }
}

/// The longest wrap that is taken in or opened, bytes; ours have about 600. The time age takes to read a header grows
/// with the square of its length.
pub const WRAP_MAX: usize = 4096;

/// The data key of one credential version.
pub type Dek = Key;

/// A grant's symmetric key, `K_g`: the broker's half.
pub type OuterKey = Key;

/// The place of one wrap.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Ctx {
    /// The vault.
    pub vault: VaultId,
    /// The mandate.
    pub mandate: UnitId,
    /// The credential.
    pub credential: CredentialId,
    /// Its version.
    pub version: u32,
    /// The grant and the member it is wrapped to; none for the recovery wrap.
    pub to: Option<(GrantId, MemberId)>,
    /// SHA-256 of the recipient `age1…` it is wrapped to.
    pub recipient: Digest,
}

impl Ctx {
    /// The fixed encoding.
    pub fn context(&self) -> Context {
        let place = Context::new("mandatum/ctx/1")
            .at(self.vault.bytes())
            .at(self.mandate.bytes())
            .at(self.credential.bytes())
            .number(self.version.into());
        let place = match &self.to {
            Some((grant, member)) => place.at(grant.bytes()).at(member.bytes()),
            None => place.at(b"").at(b""),
        };
        place.at(self.recipient.bytes())
    }

    /// The place of the ciphertext, which all wraps of a version share.
    fn ct_context(&self) -> Context {
        let place = Context::new("mandatum/ct/1")
            .at(self.vault.bytes())
            .at(self.mandate.bytes())
            .at(self.credential.bytes())
            .number(self.version.into());
        Context::new("mandatum/ct-aad/1").at(place.digest().bytes())
    }
}

/// What an author says of one wrap, signed under [`super::Topic::Statement`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// The place.
    pub ctx: Ctx,
    /// SHA-256 of the ciphertext.
    pub ct: Digest,
    /// SHA-256 of the inner wrap; for the recovery wrap, of the recovery wrap.
    pub inner: Digest,
    /// SHA-256 of the recovery wrap.
    pub rec: Digest,
    /// The commitment to the data key: one ciphertext opens under one key.
    pub commit: Digest,
    /// The author.
    pub author: MemberId,
}

/// The commitment to a data key.
pub fn commitment(dek: &Dek) -> Digest {
    Hasher::default().with(b"mandatum/commit/1\0").with(dek.expose()).finish()
}

/// Secret fields by name, in one blob. The main field's name depends on the kind; `user` and `url` travel along, so
/// that what a person types where is covered by the author's signature.
#[derive(Default)]
pub struct Fields(Vec<(String, Secret)>);

impl Fields {
    /// Adds a field; the name is the author's program's, at most 255 bytes.
    #[must_use]
    pub fn with(mut self, name: &str, value: Secret) -> Self {
        self.0.push((name.chars().take(60).collect(), value));
        self
    }

    /// A field's value.
    pub fn field(&self, name: &str) -> Option<&Secret> {
        self.0.iter().find(|(field, _)| field == name).map(|(_, value)| value)
    }

    /// The names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    fn encode(&self) -> Secret {
        let size = 1 + self.0.iter().map(|(name, value)| 5 + name.len() + value.len()).sum::<usize>();
        let mut bytes = Vec::with_capacity(size);
        bytes.push(u8::try_from(self.0.len()).unwrap_or(u8::MAX));
        for (name, value) in &self.0 {
            bytes.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
            bytes.extend_from_slice(name.as_bytes());
            bytes.extend_from_slice(&u32::try_from(value.len()).unwrap_or(u32::MAX).to_le_bytes());
            bytes.extend_from_slice(value.expose());
        }
        debug_assert_eq!(bytes.len(), size, "a buffer that had to grow leaves a copy that nobody wipes");
        Secret::new(bytes)
    }

    fn decode(blob: &Secret) -> Option<Self> {
        let (&count, mut rest) = blob.expose().split_first()?;
        let mut fields = Vec::with_capacity(count.into());
        for _ in 0..count {
            let (&len, after) = rest.split_first()?;
            let (name, after) = after.split_at_checked(len.into())?;
            let (len, after) = after.split_first_chunk::<4>()?;
            let (value, after) = after.split_at_checked(u32::from_le_bytes(*len).try_into().ok()?)?;
            fields.push((String::from_utf8(name.to_vec()).ok()?, Secret::copy_of(value)));
            rest = after;
        }
        rest.is_empty().then_some(Self(fields))
    }
}

/// Seals the fields of one version.
pub fn seal_ct(dek: &Dek, ctx: &Ctx, fields: &Fields, entropy: &dyn Entropy) -> Vec<u8> {
    seal(dek, &ctx.ct_context(), fields.encode().expose(), entropy)
}

/// Opens the fields of one version.
///
/// # Errors
/// [`Sealed`] if the key, the place or any byte is another.
pub fn open_ct(dek: &Dek, ctx: &Ctx, ct: &[u8]) -> Result<Fields, Sealed> {
    Fields::decode(&open(dek, &ctx.ct_context(), ct)?).ok_or(Sealed)
}

/// Wraps a data key to the recipient a context names. The result opens with stock age.
///
/// # Errors
/// [`Sealed`] if the recipient is not an age X25519 recipient, or not the one the context names.
pub fn wrap_inner(recipient: &str, ctx: &Ctx, dek: &Dek) -> Result<Vec<u8>, Sealed> {
    if super::hash(recipient.as_bytes()) != ctx.recipient {
        return Err(Sealed);
    }
    let context = ctx.context();
    let mut plain = Zeroizing::new(Vec::with_capacity(context.bytes().len() + 32));
    plain.extend_from_slice(context.bytes());
    plain.extend_from_slice(dek.expose());
    wrap_note(recipient, &plain)
}

/// Opens a wrap made for this place and takes the data key out.
///
/// # Errors
/// [`Sealed`] if it is for another key or another place.
pub fn open_inner(key: &AgeKey, ctx: &Ctx, inner: &[u8]) -> Result<Dek, Sealed> {
    let plain = open_note(key, inner)?;
    let (context, dek) = plain.expose().split_at_checked(plain.len().saturating_sub(32)).ok_or(Sealed)?;
    if context != ctx.context().bytes() {
        return Err(Sealed);
    }
    Key::from_slice(dek).ok_or(Sealed)
}

/// Encrypts bytes to one recipient with age.
///
/// # Errors
/// [`Sealed`] if the recipient is not an age X25519 recipient.
pub fn wrap_note(recipient: &str, plain: &[u8]) -> Result<Vec<u8>, Sealed> {
    let recipient: age::x25519::Recipient = recipient.parse().map_err(|_| Sealed)?;
    let encryptor =
        age::Encryptor::with_recipients(std::iter::once(&recipient as &dyn age::Recipient)).map_err(|_| Sealed)?;
    let mut out = Vec::new();
    let mut writer = encryptor.wrap_output(&mut out).map_err(|_| Sealed)?;
    writer.write_all(plain).map_err(|_| Sealed)?;
    writer.finish().map_err(|_| Sealed)?;
    Ok(out)
}

/// Decrypts bytes that were encrypted to one recipient with age.
///
/// # Errors
/// [`Sealed`] if they were not encrypted to this key, or are longer than [`WRAP_MAX`].
pub fn open_note(key: &AgeKey, sealed: &[u8]) -> Result<Secret, Sealed> {
    if sealed.len() > WRAP_MAX {
        return Err(Sealed);
    }
    let decryptor = age::Decryptor::new_buffered(sealed).map_err(|_| Sealed)?;
    let mut reader = decryptor.decrypt(std::iter::once(&key.0 as &dyn age::Identity)).map_err(|_| Sealed)?;
    // Sized once: a buffer that grew would leave copies behind.
    let mut plain = Zeroizing::new(Vec::with_capacity(sealed.len()));
    reader.read_to_end(&mut plain).map_err(|_| Sealed)?;
    Ok(Secret::new(std::mem::take(&mut *plain)))
}

/// The broker's half over one inner wrap.
pub fn derive_outer_key(grant_key: &OuterKey, ctx: &Ctx) -> OuterSeal {
    OuterSeal { key: derive_subkey(grant_key, &ctx.context()), context: ctx.context() }
}

/// One outer seal: puts the broker's half on, or takes it off.
pub struct OuterSeal {
    key: Key,
    context: Context,
}

impl OuterSeal {
    /// Puts the broker's half on.
    pub fn put_on(&self, inner: &[u8], entropy: &dyn Entropy) -> Vec<u8> {
        seal_exact(&self.key, &self.context, inner, entropy)
    }

    /// SHA-256 of what is inside, for `verify`: nothing is handed out.
    ///
    /// # Errors
    /// [`Sealed`] if it is another grant's, or was changed.
    pub fn digest_inside(&self, outer: &[u8]) -> Result<Digest, Sealed> {
        open_exact(&self.key, &self.context, outer).map(|inner| super::hash(inner.expose()))
    }

    /// Takes the broker's half off. Called in one place only, `broker/release.rs`, where a permit and a receipt are
    /// used up for it.
    ///
    /// # Errors
    /// [`Sealed`] if it is another grant's, or was changed.
    pub fn take_off(self, outer: &[u8]) -> Result<Vec<u8>, Sealed> {
        open_exact(&self.key, &self.context, outer).map(|inner| inner.expose().to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{System, hash};
    use super::*;

    fn ctx(key: &AgeKey, credential: u8) -> Ctx {
        Ctx {
            vault: VaultId([1; 16]),
            mandate: UnitId([2; 16]),
            credential: CredentialId([credential; 16]),
            version: 1,
            to: Some((GrantId([4; 16]), MemberId([5; 16]))),
            recipient: hash(key.recipient().as_bytes()),
        }
    }

    #[test]
    fn both_halves_are_needed_and_both_are_bound_to_their_place() {
        let (member, other) = (AgeKey::generate(), AgeKey::generate());
        let (here, there) = (ctx(&member, 1), ctx(&member, 2));
        let (dek, grant_key, wrong) = (Key::generate(&System), Key::generate(&System), Key::generate(&System));
        let inner = wrap_inner(&member.recipient(), &here, &dek).unwrap();
        let outer = derive_outer_key(&grant_key, &here).put_on(&inner, &System);

        assert_eq!(derive_outer_key(&grant_key, &here).take_off(&outer).as_ref(), Ok(&inner));
        assert!(derive_outer_key(&wrong, &here).take_off(&outer).is_err());
        assert!(derive_outer_key(&grant_key, &there).take_off(&outer).is_err());
        assert!(open_inner(&member, &here, &inner).is_ok_and(|opened| opened == dek));
        assert!(open_inner(&other, &here, &inner).is_err());
        assert!(open_inner(&member, &there, &inner).is_err());
        assert!(open_inner(&member, &here, &outer).is_err());
        assert!(wrap_inner(&other.recipient(), &here, &dek).is_err());
    }

    /// Files of age that would cost much, or ask for something else than this key: a passphrase, another program.
    #[test]
    fn a_hostile_age_file_is_refused_at_once() {
        let key = AgeKey::generate();
        assert!(open_note(&key, &wrap_note(&key.recipient(), &[7; 64]).unwrap()).is_ok_and(|plain| plain.len() == 64));
        let header = |stanza: &str, times: usize| {
            let body = "q".repeat(43);
            format!("age-encryption.org/v1\n{}--- {body}\n", format!("-> {stanza}\n{body}\n").repeat(times))
        };
        let x25519 = format!("X25519 {}", "q".repeat(43));
        let mut hostile = vec![
            header("scrypt q3q3q3q3q3q3q3q3q3q3qw 30", 1).into_bytes(),
            header("../../bin/x q3q3", 1).into_bytes(),
            header(&x25519, 30).into_bytes(),
            header(&x25519, 200_000).into_bytes(),
            format!("age-encryption.org/v1\n-> {}", "q".repeat(20_000_000)).into_bytes(),
            b"-----BEGIN AGE ENCRYPTED FILE-----\n".to_vec(),
        ];
        let good = wrap_note(&key.recipient(), &[7; 64]).unwrap();
        hostile.push([&good[..], &[0; WRAP_MAX]].concat());
        hostile.extend((0..good.len()).map(|len| good[..len].to_vec()));
        for file in hostile {
            assert!(open_note(&key, &file).is_err(), "{} bytes", file.len());
        }
    }

    #[test]
    fn an_age_key_reads_back() {
        let key = AgeKey::generate();
        assert_eq!(AgeKey::parse(&key.text()).map(|again| again.recipient()), Some(key.recipient()));
        assert!(AgeKey::parse(&Secret::copy_of(key.recipient().as_bytes())).is_none());
    }

    #[test]
    fn fields_come_back_and_only_under_their_key_and_place() {
        let member = AgeKey::generate();
        let (here, there) = (ctx(&member, 1), ctx(&member, 2));
        let dek = Key::generate(&System);
        let fields =
            Fields::default().with("password", Secret::copy_of("пароль".as_bytes())).with("user", Secret::copy_of(b""));
        let ct = seal_ct(&dek, &here, &fields, &System);
        let opened = open_ct(&dek, &here, &ct).unwrap();
        assert_eq!(opened.names().collect::<Vec<_>>(), ["password", "user"]);
        assert!(opened.field("password").is_some_and(|p| p.expose_str() == Some("пароль")));
        assert!(open_ct(&dek, &there, &ct).is_err());
        assert!(open_ct(&Key::generate(&System), &here, &ct).is_err());
    }

    #[test]
    fn a_field_blob_is_read_strictly() {
        for bad in [&b""[..], &[1], &[1, 3, b'a'], &[1, 1, b'a', 9, 0, 0, 0, b'x'], &[0, 0], &[1, 1, 0xFF, 0, 0, 0, 0]]
        {
            assert!(Fields::decode(&Secret::copy_of(bad)).is_none(), "{bad:?}");
        }
    }
}
