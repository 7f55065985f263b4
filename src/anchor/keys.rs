//! Where epoch keys live: the operating system's keyring, or a file that the host's operator chose.

use super::disk::{Disk, RealDisk};
use crate::crypto::Key;
use crate::model::VaultId;
use std::path::{Path, PathBuf};

/// The two places of an epoch key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Slot {
    /// The key of the epoch in force.
    Current,
    /// The key of the epoch being begun.
    Next,
}

impl Slot {
    fn name(self) -> &'static str {
        match self {
            Slot::Current => "current",
            Slot::Next => "next",
        }
    }
}

/// Why epoch keys cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The keyring does not answer.
    #[error(
        "the operating system's keyring does not work here ({0}); unlock it, or choose a key file with \
         --epoch-key file:PATH when the vault is made"
    )]
    Keyring(String),
    /// The key file cannot be used.
    #[error("the epoch key file {0} cannot be used: {1}")]
    File(PathBuf, String),
    /// What was written did not come back.
    #[error(
        "the epoch key store did not keep what was written to it; nothing is said to be destroyed. Repair the keyring or \
         the key file, then repeat the command"
    )]
    Unfaithful,
}

/// Keeps epoch keys. What is written must be readable at once and survive a restart of the machine.
pub trait EpochKeys: Send + Sync {
    /// The epoch and key in a slot.
    ///
    /// # Errors
    /// [`KeysError`].
    fn read(&self, slot: Slot) -> Result<Option<(u64, Key)>, KeysError>;
    /// Writes a slot.
    ///
    /// # Errors
    /// [`KeysError`].
    fn write(&self, slot: Slot, epoch: u64, key: &Key) -> Result<(), KeysError>;
    /// Empties a slot; an empty one stays empty.
    ///
    /// # Errors
    /// [`KeysError`].
    fn remove(&self, slot: Slot) -> Result<(), KeysError>;
}

fn encode(epoch: u64, key: &Key) -> zeroize::Zeroizing<Vec<u8>> {
    let mut bytes = zeroize::Zeroizing::new(Vec::with_capacity(40));
    bytes.extend_from_slice(&epoch.to_le_bytes());
    bytes.extend_from_slice(key.expose());
    bytes
}

fn decode(bytes: &[u8]) -> Option<(u64, Key)> {
    let (epoch, key) = bytes.split_first_chunk::<8>()?;
    Some((u64::from_le_bytes(*epoch), Key::from_slice(key)?))
}

/// The keyring of the operating system: Secret Service, Keychain, Credential Manager. One entry a slot, 40 bytes.
pub struct OsKeys {
    vault: VaultId,
}

impl OsKeys {
    /// The entries of one vault.
    pub fn new(vault: VaultId) -> Self {
        Self { vault }
    }

    fn entry(&self, slot: Slot) -> Result<keyring::v1::Entry, KeysError> {
        let user = format!("{}/{}", self.vault, slot.name());
        keyring::v1::Entry::new("mandatum-epoch", &user).map_err(refused)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "used as a function in map_err")]
fn refused(error: keyring::v1::Error) -> KeysError {
    KeysError::Keyring(error.to_string())
}

impl EpochKeys for OsKeys {
    fn read(&self, slot: Slot) -> Result<Option<(u64, Key)>, KeysError> {
        match self.entry(slot)?.get_secret() {
            Ok(bytes) => {
                let bytes = zeroize::Zeroizing::new(bytes);
                decode(&bytes).map(Some).ok_or_else(|| KeysError::Keyring("an entry of another form".into()))
            }
            Err(keyring::v1::Error::NoEntry) => Ok(None),
            Err(error) => Err(refused(error)),
        }
    }

    fn write(&self, slot: Slot, epoch: u64, key: &Key) -> Result<(), KeysError> {
        self.entry(slot)?.set_secret(&encode(epoch, key)).map_err(refused)
    }

    fn remove(&self, slot: Slot) -> Result<(), KeysError> {
        match self.entry(slot)?.delete_credential() {
            Ok(()) | Err(keyring::v1::Error::NoEntry) => Ok(()),
            Err(error) => Err(refused(error)),
        }
    }
}

/// A key file outside every backup, chosen explicitly on a host without a keyring. The `next` slot is `PATH.next`.
/// What is overwritten here may survive in the disk's spare blocks; `docs/operating.md` says so.
pub struct FileKeys {
    path: PathBuf,
}

impl FileKeys {
    /// Keys in this file.
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    fn slot(&self, slot: Slot) -> PathBuf {
        match slot {
            Slot::Current => self.path.clone(),
            Slot::Next => with_suffix(&self.path, ".next"),
        }
    }

    fn dir(&self) -> &Path {
        self.path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."))
    }

    fn failed(&self, error: &std::io::Error) -> KeysError {
        KeysError::File(self.path.clone(), error.to_string())
    }

    /// A key file that others can read is refused.
    fn check(&self, path: &Path) -> Result<(), KeysError> {
        #[cfg(unix)]
        if let Ok(meta) = std::fs::symlink_metadata(path) {
            use std::os::unix::fs::{MetadataExt, PermissionsExt};
            let mine = meta.uid() == rustix::process::geteuid().as_raw();
            if !meta.is_file() || !mine || meta.permissions().mode() & 0o077 != 0 {
                let why = "it must be a plain file of this account with mode 0600";
                return Err(KeysError::File(self.path.clone(), why.into()));
            }
        }
        Ok(())
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

impl EpochKeys for FileKeys {
    fn read(&self, slot: Slot) -> Result<Option<(u64, Key)>, KeysError> {
        let path = self.slot(slot);
        self.check(&path)?;
        let Some(bytes) = RealDisk.read(&path, 0, 64).map_err(|e| self.failed(&e))? else { return Ok(None) };
        let bytes = zeroize::Zeroizing::new(bytes);
        decode(&bytes).map(Some).ok_or_else(|| KeysError::File(path, "it does not hold an epoch key".into()))
    }

    fn write(&self, slot: Slot, epoch: u64, key: &Key) -> Result<(), KeysError> {
        let (path, new) = (self.slot(slot), with_suffix(&self.slot(slot), ".new"));
        self.check(&path)?;
        let written = RealDisk
            .write(&new, &encode(epoch, key))
            .and_then(|()| RealDisk.sync(&new))
            // The old key's blocks are overwritten in place before the name moves on: best effort, see above.
            .and_then(|()| if slot == Slot::Current { blank(&path) } else { Ok(()) })
            .and_then(|()| RealDisk.rename(&new, &path))
            .and_then(|()| RealDisk.sync_dir(self.dir()));
        written.map_err(|error| self.failed(&error))
    }

    fn remove(&self, slot: Slot) -> Result<(), KeysError> {
        let path = self.slot(slot);
        self.check(&path)?;
        let removed = blank(&path).and_then(|()| RealDisk.remove(&path)).and_then(|()| RealDisk.sync_dir(self.dir()));
        removed.map_err(|error| self.failed(&error))
    }
}

/// Overwrites a key file with zeros, if there is one.
fn blank(path: &Path) -> std::io::Result<()> {
    if RealDisk.len(path)? == 0 {
        return Ok(());
    }
    let mut file = std::fs::OpenOptions::new().write(true).open(path)?;
    std::io::Write::write_all(&mut file, &[0; 40])?;
    file.sync_data()
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt};

    #[test]
    fn a_key_file_is_a_plain_file_for_this_account_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (key, path) = (Key::absent(), dir.path().join("key"));
        let keys = FileKeys::new(path.clone());
        assert!(keys.read(Slot::Current).unwrap().is_none());
        keys.write(Slot::Current, 7, &key).unwrap();
        assert!(keys.read(Slot::Current).unwrap() == Some((7, key)));
        let refused = |slot| keys.read(slot).err().is_some_and(|error| error.to_string().contains("plain file"));
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
        assert!(refused(Slot::Current));
        std::fs::DirBuilder::new().mode(0o700).create(dir.path().join("key.next")).unwrap();
        assert!(refused(Slot::Next), "a directory");
        assert_eq!(FileKeys::new("key".into()).dir(), Path::new("."));
        assert_eq!(keys.dir(), dir.path());
    }
}
