//! Identity files and the recovery kit: keys that are made on the member's machine and leave it only sealed.

use super::invitation::first_device;
use crate::crypto::{
    AgeKey, Entropy, IdentityError, PublicKey, Secret, SignKey, Signed, Topic, open_sealed_file, seal_file, wrap_note,
};
use crate::ledger::Admission;
use crate::model::{Blob, Bundle, MemberId, Name, Role, VaultId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

const IDENTITY_MAGIC: &[u8; 8] = b"MNDTIDNT";
/// What kind of sealed file a kit is.
pub const KIT_MAGIC: &[u8; 8] = b"MNDTRKIT";

/// Why an identity file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IdentityFileError {
    /// There is none.
    #[error("there is no identity of this name here")]
    Missing,
    /// It does not open.
    #[error("the identity file {0}")]
    Closed(#[from] IdentityError),
    /// It cannot be read or written.
    #[error("the identity file cannot be read or written: {0}")]
    Io(#[from] std::io::Error),
}

/// A member's private keys with what they pin: the vault and its owner root.
pub struct Identity {
    /// The vault.
    pub vault: VaultId,
    /// The owner root's public key: the one thing everything else is verified from.
    pub root: PublicKey,
    /// The member.
    pub member: MemberId,
    /// The member's name.
    pub name: Name,
    /// What this device is called among the member's own.
    pub device: Name,
    /// Signs requests and statements.
    pub sign: SignKey,
    /// Opens inner wraps.
    pub enc: AgeKey,
}

/// The sealed content of an identity file and of a session.
#[derive(Serialize, Deserialize)]
pub(super) struct Stored {
    vault: VaultId,
    root: PublicKey,
    member: MemberId,
    name: Name,
    sign: Zeroizing<Vec<u8>>,
    enc: Zeroizing<Vec<u8>>,
    device: Name,
}

impl Identity {
    /// Fresh keys for a new member of a vault, on their first device.
    pub fn generate(vault: VaultId, root: PublicKey, name: Name, entropy: &dyn Entropy) -> Self {
        let mut id = [0; 16];
        entropy.fill(&mut id);
        Self::generate_for((vault, root), MemberId(id), name, first_device(), entropy)
    }

    /// Fresh keys for one device of a member.
    pub fn generate_for(
        (vault, root): (VaultId, PublicKey),
        member: MemberId,
        name: Name,
        device: Name,
        entropy: &dyn Entropy,
    ) -> Self {
        let sign = SignKey::generate(entropy);
        Self { vault, root, member, name, device, sign, enc: AgeKey::generate() }
    }

    /// The public keys.
    pub fn bundle(&self) -> Bundle {
        Bundle {
            vault: self.vault,
            member: self.member,
            name: self.name.clone(),
            device: self.device.clone(),
            sign: self.sign.public(),
            enc: self.enc.recipient(),
        }
    }

    /// The public keys, signed by the member: proof that the member holds them.
    pub fn signed_bundle(&self) -> Signed {
        self.sign.sign(Topic::Bundle, to_json(&self.bundle()))
    }

    /// Seals the identity into its file, private to this account.
    ///
    /// # Errors
    /// [`IdentityFileError::Io`]; an existing file is never written over.
    pub fn save(&self, dir: &Path, passphrase: &Secret, entropy: &dyn Entropy) -> Result<(), IdentityFileError> {
        make_private_dir(dir)?;
        write_new(&identity_path(dir, self.vault, &self.name), &self.sealed(passphrase, entropy))?;
        Ok(())
    }

    /// Seals the file that this was loaded from under another passphrase. It stays as it was, or is the new one whole.
    ///
    /// # Errors
    /// [`IdentityFileError::Io`]; then it is as it was.
    pub fn save_again(&self, path: &Path, passphrase: &Secret, entropy: &dyn Entropy) -> Result<(), IdentityFileError> {
        // Where the name is a link, the file itself.
        let path = std::fs::canonicalize(path)?;
        let new = path.with_extension("new");
        let _ = std::fs::remove_file(&new);
        let written = write_new(&new, &self.sealed(passphrase, entropy)).and_then(|()| std::fs::rename(&new, &path));
        if written.is_err() {
            let _ = std::fs::remove_file(&new);
        }
        written?;
        // The new name must not be forgotten by a crash.
        #[cfg(unix)]
        std::fs::File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()?;
        Ok(())
    }

    fn sealed(&self, passphrase: &Secret, entropy: &dyn Entropy) -> Vec<u8> {
        let plain = Secret::new(postcard::to_stdvec(&self.stored()).unwrap_or_else(|_| unreachable!("plain data")));
        seal_file(IDENTITY_MAGIC, &plain, passphrase, entropy)
    }

    /// Opens an identity file.
    ///
    /// # Errors
    /// [`IdentityFileError`]; a wrong passphrase and a changed file answer the same.
    pub fn load(path: &Path, passphrase: &Secret) -> Result<Self, IdentityFileError> {
        let file = match std::fs::read(path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(IdentityFileError::Missing),
            Err(error) => return Err(error.into()),
        };
        let plain = open_sealed_file(IDENTITY_MAGIC, &file, passphrase)?;
        let stored: Stored = postcard::from_bytes(plain.expose()).map_err(|_| IdentityError::Closed)?;
        Self::from_stored(stored).ok_or(IdentityFileError::Closed(IdentityError::Closed))
    }

    pub(super) fn stored(&self) -> Stored {
        Stored {
            vault: self.vault,
            root: self.root,
            member: self.member,
            name: self.name.clone(),
            sign: Zeroizing::new(self.sign.seed().expose().to_vec()),
            enc: Zeroizing::new(self.enc.text().expose().to_vec()),
            device: self.device.clone(),
        }
    }

    pub(super) fn from_stored(stored: Stored) -> Option<Self> {
        let seed = crate::crypto::Key::from_slice(&stored.sign)?;
        Some(Self {
            vault: stored.vault,
            root: stored.root,
            member: stored.member,
            name: stored.name,
            device: stored.device,
            sign: SignKey::from_seed(&seed),
            enc: AgeKey::parse(&Secret::copy_of(&stored.enc))?,
        })
    }
}

/// Where a member's identity file is. The name of the file says nothing of the name of the member.
pub fn identity_path(dir: &Path, vault: VaultId, name: &Name) -> PathBuf {
    dir.join(format!("{}.id", file_name(vault, name)))
}

/// A file name for a member that does not spell the member's name.
pub(super) fn file_name(vault: VaultId, name: &Name) -> String {
    let digest = crate::crypto::Hasher::default().with(vault.bytes()).with(name.folded().as_bytes()).finish();
    digest.to_string().chars().take(32).collect()
}

/// Writes a new file, private to this account, whole and durable; never over an existing one.
pub(super) fn write_new(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    std::io::Write::write_all(&mut file, bytes)?;
    file.sync_all()
}

/// Makes a directory with everything above it, private to this account.
pub(super) fn make_private_dir(dir: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)
}

/// A member who is about to be admitted.
pub struct Newcomer {
    /// Their fresh keys.
    pub identity: Identity,
    /// The admission to be sent, signed by the owner.
    pub admission: Signed,
    /// The reuse key wrapped to them, where their roles need it.
    pub reuse_key: Option<Blob>,
}

/// The offline keys of a vault.
pub struct Kit {
    /// The vault.
    pub vault: VaultId,
    /// The owner root.
    pub root: SignKey,
    /// The recovery key.
    pub recovery: AgeKey,
}

/// Fresh offline keys for a new vault.
pub fn new_kit(entropy: &dyn Entropy) -> Kit {
    let mut id = [0; 16];
    entropy.fill(&mut id);
    Kit { vault: VaultId(id), root: SignKey::generate(entropy), recovery: AgeKey::generate() }
}

impl Kit {
    /// Admits the first owner, or an owner after a recovery, by the root itself.
    pub fn admit(&self, bundle: Signed, roles: BTreeSet<Role>) -> Signed {
        self.root.sign(Topic::Admission, to_json(&Admission { bundle, roles, by: None }))
    }

    /// A fresh reuse key, wrapped to the first owner.
    ///
    /// # Errors
    /// The recipient is not one: it was made by this program, so never.
    pub fn fresh_reuse_key(owner: &Identity, entropy: &dyn Entropy) -> Result<Blob, crate::crypto::Sealed> {
        wrap_note(&owner.enc.recipient(), crate::crypto::Key::generate(entropy).expose()).map(Blob)
    }
}

#[derive(Serialize, Deserialize)]
struct StoredKit {
    vault: VaultId,
    root: Zeroizing<Vec<u8>>,
    recovery: Zeroizing<Vec<u8>>,
}

/// Seals a kit under its passphrase.
pub fn seal_kit(kit: &Kit, passphrase: &Secret, entropy: &dyn Entropy) -> Vec<u8> {
    let stored = StoredKit {
        vault: kit.vault,
        root: Zeroizing::new(kit.root.seed().expose().to_vec()),
        recovery: Zeroizing::new(kit.recovery.text().expose().to_vec()),
    };
    let plain = Secret::new(postcard::to_stdvec(&stored).unwrap_or_else(|_| unreachable!("plain data")));
    seal_file(KIT_MAGIC, &plain, passphrase, entropy)
}

/// Opens a sealed kit.
///
/// # Errors
/// [`IdentityError`]; a wrong passphrase and a changed kit answer the same.
pub fn open_kit(sealed: &[u8], passphrase: &Secret) -> Result<Kit, IdentityError> {
    let plain = open_sealed_file(KIT_MAGIC, sealed, passphrase)?;
    let stored: StoredKit = postcard::from_bytes(plain.expose()).map_err(|_| IdentityError::Closed)?;
    let seed = crate::crypto::Key::from_slice(&stored.root).ok_or(IdentityError::Closed)?;
    let recovery = AgeKey::parse(&Secret::copy_of(&stored.recovery)).ok_or(IdentityError::Closed)?;
    Ok(Kit { vault: stored.vault, root: SignKey::from_seed(&seed), recovery })
}

/// Exact JSON bytes of a document to sign.
pub(super) fn to_json(document: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(document).unwrap_or_else(|_| unreachable!("string keys"))
}
