//! The newest head of each ledger that this member has seen. Pins only grow.

use crate::api::Seen;
use crate::model::{MemberId, UnitId};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// A head, and the broker's signed word for it: what a broker that was put back is shown.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pin {
    /// The head.
    pub seen: Seen,
    /// Its signed note.
    pub note: String,
}

/// Pins of one member, a small file for each ledger.
pub struct Pins {
    dir: PathBuf,
}

impl Pins {
    /// Under the state directory.
    pub fn new(state: &Path, member: MemberId) -> Self {
        Self { dir: state.join("pins").join(member.to_string()) }
    }

    /// The newest head seen of a ledger.
    pub fn read(&self, unit: UnitId) -> Option<Pin> {
        serde_json::from_slice(&std::fs::read(self.path(unit)).ok()?).ok()
    }

    /// Remembers a newer head; an older one changes nothing.
    ///
    /// # Errors
    /// Whatever writing returns.
    pub fn write(&self, unit: UnitId, pin: &Pin) -> std::io::Result<()> {
        if self.read(unit).is_some_and(|known| known.seen.size >= pin.seen.size) {
            return Ok(());
        }
        let (path, new) = (self.path(unit), self.dir.join(format!("{unit}.new")));
        let bytes = serde_json::to_vec(pin)?;
        if write_private(&new, &bytes).is_err() {
            super::identity::make_private_dir(&self.dir)?;
            write_private(&new, &bytes)?;
        }
        std::fs::rename(new, path)
    }

    /// Forgets one ledger's: its owner ordered to go on from before it.
    ///
    /// # Errors
    /// Whatever removing returns.
    pub fn forget(&self, unit: UnitId) -> std::io::Result<()> {
        std::fs::remove_file(self.path(unit))
    }

    /// Forgets what every member on this machine has seen: by the owner's restart the ledgers go on from before it.
    ///
    /// # Errors
    /// Whatever removing returns.
    pub fn forget_all(state: &Path) -> std::io::Result<()> {
        match std::fs::remove_dir_all(state.join("pins")) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn path(&self, unit: UnitId) -> PathBuf {
        self.dir.join(unit.to_string())
    }
}

/// Not synced: a pin lost to a power cut is the one before it.
fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    std::io::Write::write_all(&mut options.open(path)?, bytes)
}
