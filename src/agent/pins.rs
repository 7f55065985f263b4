//! The newest head of each ledger that this member has seen. Pins only grow.

use crate::api::Seen;
use crate::model::{Instant, MemberId, UnitId};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::path::{Path, PathBuf};

/// A head, and the broker's signed word for it: what a broker that was put back is shown.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pin {
    /// The head.
    pub seen: Seen,
    /// Its signed note.
    pub note: String,
    /// When the broker recorded what was seen with it; none in pins of earlier programs.
    #[serde(default)]
    pub at: Option<Instant>,
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

    /// The newest head seen of a ledger. A file without its end is one whose content a power cut took: nothing was seen.
    ///
    /// # Errors
    /// There is a pin and it cannot be read. To go on as if there were none would take an older ledger for the newest.
    pub fn read(&self, unit: UnitId) -> std::io::Result<Option<Pin>> {
        let path = self.path(unit);
        let told = |why: String| {
            let sentence = format!(
                "what was seen of this ledger cannot be read ({}: {why}); once the ledger was compared with an earlier \
                 extract or checkpoint, remove the file",
                path.display()
            );
            std::io::Error::other(sentence)
        };
        match std::fs::read(&path) {
            Ok(bytes) if bytes.last() != Some(&b'}') => Ok(None),
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|_| told("it is damaged".into())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(told(error.to_string())),
        }
    }

    /// Remembers a newer head; an older one changes nothing.
    ///
    /// # Errors
    /// Whatever reading or writing returns.
    pub fn write(&self, unit: UnitId, pin: &Pin) -> std::io::Result<()> {
        // Of commands beside each other each one compares with what the other left.
        let _lock = self.lock()?;
        if self.read(unit)?.is_some_and(|known| known.seen.size >= pin.seen.size) {
            return Ok(());
        }
        let new = self.dir.join(format!("{unit}.new"));
        let mut file = private(&new, true)?;
        std::io::Write::write_all(&mut file, &serde_json::to_vec(pin)?)?;
        // Not synced: a pin lost to a power cut is the one before it, or none.
        std::fs::rename(new, self.path(unit))
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

    /// Released when the file is dropped.
    fn lock(&self) -> std::io::Result<File> {
        if !self.dir.is_dir() {
            super::identity::make_private_dir(&self.dir)?;
        }
        let file = private(&self.dir.with_extension("lock"), false)?;
        file.lock()?;
        Ok(file)
    }

    fn path(&self, unit: UnitId) -> PathBuf {
        self.dir.join(unit.to_string())
    }
}

fn private(path: &Path, truncate: bool) -> std::io::Result<File> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(truncate);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Digest;

    fn pin(size: u64) -> Pin {
        Pin { seen: Seen { size, root: Digest([7; 32]) }, note: "note".into(), at: Some(Instant(5)) }
    }

    #[test]
    fn a_pin_that_cannot_be_read_is_not_taken_for_none() {
        let state = std::env::temp_dir().join(format!("mandatum-pins-{}", std::process::id()));
        let (pins, unit) = (Pins::new(&state, MemberId([1; 16])), UnitId([2; 16]));
        assert!(pins.read(unit).is_ok_and(|none| none.is_none()));
        assert!(pins.write(unit, &pin(5)).is_ok() && pins.write(unit, &pin(3)).is_ok());
        assert!(pins.read(unit).is_ok_and(|kept| kept == Some(pin(5))), "an older head changes nothing");
        // A power cut may leave a name without all its content; a whole that is wrong is a failing disk's, or somebody's.
        for (content, empty) in [(&b""[..], true), (b"{\"seen\":", true), (b"\0\0", true), (b"{}", false)] {
            assert!(std::fs::write(pins.path(unit), content).is_ok());
            assert_eq!(pins.read(unit).is_ok(), empty, "{content:?}");
            assert_eq!(pins.write(unit, &pin(9)).is_ok(), empty, "{content:?}");
        }
        assert!(std::fs::remove_file(pins.path(unit)).is_ok() && std::fs::create_dir(pins.path(unit)).is_ok());
        let said = pins.read(unit).err().map(|error| error.to_string());
        assert!(said.is_some_and(|said| said.contains("cannot be read") && said.contains("remove the file")));
        assert!(std::fs::remove_dir_all(state).is_ok());
    }

    #[test]
    fn pins_of_commands_beside_each_other_only_grow() {
        let state = std::env::temp_dir().join(format!("mandatum-pins-many-{}", std::process::id()));
        let unit = UnitId([2; 16]);
        std::thread::scope(|scope| {
            for first in 0..4 {
                let pins = Pins::new(&state, MemberId([1; 16]));
                scope.spawn(move || {
                    for size in (1 + first..200).step_by(4) {
                        assert!(pins.write(unit, &pin(size)).is_ok());
                        assert!(pins.read(unit).is_ok_and(|kept| kept.is_some_and(|kept| kept.seen.size >= size)));
                    }
                });
            }
        });
        let kept = Pins::new(&state, MemberId([1; 16])).read(unit);
        assert!(kept.is_ok_and(|kept| kept.is_some_and(|kept| kept.seen.size == 199)));
        assert!(std::fs::remove_dir_all(state).is_ok());
    }
}
