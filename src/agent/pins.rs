//! The newest head of each ledger that this member has seen. Pins only grow.

use crate::api::Seen;
use crate::model::{MemberId, UnitId};
use std::path::{Path, PathBuf};

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
    pub fn read(&self, unit: UnitId) -> Option<Seen> {
        serde_json::from_slice(&std::fs::read(self.path(unit)).ok()?).ok()
    }

    /// Remembers a newer head; an older one changes nothing.
    ///
    /// # Errors
    /// Whatever writing returns.
    pub fn write(&self, unit: UnitId, seen: Seen) -> std::io::Result<()> {
        if self.read(unit).is_some_and(|known| known.size >= seen.size) {
            return Ok(());
        }
        let (path, new) = (self.path(unit), self.dir.join(format!("{unit}.new")));
        let bytes = serde_json::to_vec(&seen)?;
        if std::fs::write(&new, &bytes).is_err() {
            std::fs::create_dir_all(&self.dir)?;
            std::fs::write(&new, &bytes)?;
        }
        std::fs::rename(new, path)
    }

    fn path(&self, unit: UnitId) -> PathBuf {
        self.dir.join(unit.to_string())
    }
}
