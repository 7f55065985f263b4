//! How a member's program on its own machine reaches the broker it was invited to.
//!
//! A profile stands in the vault's directory in place of a database: where the broker is, which TLS key it must show,
//! and which vault and owner root its answers must come from.

use crate::crypto::PublicKey;
use crate::model::{Digest, VaultId};
use serde::{Deserialize, Serialize};
use std::io;
use std::path::{Path, PathBuf};

/// The version of the file.
const FORMAT: u32 = 1;

/// A broker elsewhere.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    format: u32,
    /// Where it may be reached, in the order to try: `https://host:port` or `unix:/path`.
    pub urls: Vec<String>,
    /// SHA-256 of the subject public key info of the TLS key it must show; none where only a socket is used.
    pub pin: Option<Digest>,
    /// The vault.
    pub vault: VaultId,
    /// The owner root that signs its charters.
    pub root: PublicKey,
}

impl Profile {
    /// Of a broker as an invitation names it.
    pub fn new(urls: Vec<String>, pin: Option<Digest>, vault: VaultId, root: PublicKey) -> Self {
        Self { format: FORMAT, urls, pin, vault, root }
    }

    /// The profile in a vault's directory; none where there is a vault itself, or nothing.
    ///
    /// # Errors
    /// The file cannot be read, or is not a profile of this version.
    pub fn read(dir: &Path) -> io::Result<Option<Self>> {
        let bytes = match std::fs::read(path(dir)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read?,
        };
        let profile: Option<Self> = serde_json::from_slice(&bytes).ok();
        let profile = profile.filter(|profile| profile.format == FORMAT && !profile.urls.is_empty());
        profile
            .map(Some)
            .ok_or_else(|| io::Error::other(format!("{} is not a profile of this version", path(dir).display())))
    }

    /// Writes a new profile; never over an existing one.
    ///
    /// # Errors
    /// There is one, or it cannot be written.
    pub fn save(&self, dir: &Path) -> io::Result<()> {
        super::identity::make_private_dir(dir)?;
        super::identity::write_new(&path(dir), &super::identity::to_json(self))
    }

    /// Takes a profile away again; none there is no error.
    pub fn remove(dir: &Path) {
        let _ = std::fs::remove_file(path(dir));
    }
}

fn path(dir: &Path) -> PathBuf {
    dir.join("profile.json")
}
