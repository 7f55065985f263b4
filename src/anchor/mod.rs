//! The broker's key file, outside the database and outside every backup (DESIGN.md 7).
//!
//! Guarantees: what was destroyed cannot be opened again. A destructive event writes the whole file anew under a fresh
//! epoch key and destroys the old epoch key, so neither an old copy of this file nor of the database brings a key
//! back. A crash at any step leaves every live key alive; the broker destroys at its next start what should be dead.
//!
//! Two files: `anchor`, replaced as a whole at every epoch (`file.rs` draws it), and `anchor-<generation>.log`, an
//! append-only journal of what changed since (`journal.rs`). Both are sealed by the epoch key, which lives in the
//! operating system's keyring or in a file the operator of the host chose.

mod core;
mod disk;
mod file;
mod journal;
mod keys;
mod rotate;

pub use self::core::{Change, Core, Factor, Head, Segment, Session};
pub use disk::{Disk, RealDisk, StateLock};
pub use keys::{EpochKeys, FileKeys, KeysError, OsKeys, Slot};
pub use rotate::Destroy;

use crate::crypto::{Entropy, Key, SignKey};
use crate::model::{Instant, UnitId, VaultId};
use file::Place;
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// Why the anchor does not open or change.
#[derive(Debug, thiserror::Error)]
pub enum AnchorError {
    /// There is none.
    #[error("there is no anchor in {0}; after a loss the recovery kit makes a new one ('mandatum restart --kit')")]
    Missing(PathBuf),
    /// It belongs to another epoch or key.
    #[error(
        "the anchor does not open under the current epoch key: it is an older copy, or the key is another's; only the \
         recovery kit goes on from here ('mandatum restart --kit')"
    )]
    Epoch,
    /// It was changed.
    #[error("the anchor was changed or cut off; only the recovery kit goes on from here ('mandatum restart --kit')")]
    Corrupt,
    /// The epoch keys cannot be read or written.
    #[error("{0}")]
    Keys(#[from] KeysError),
    /// Reading or writing failed.
    #[error("the anchor could not be read or written: {0}")]
    Io(#[from] io::Error),
}

/// The opened anchor.
pub struct Anchor {
    dir: PathBuf,
    disk: Arc<dyn Disk>,
    keys: Arc<dyn EpochKeys>,
    entropy: Arc<dyn Entropy>,
    epoch_key: Key,
    header: file::Header,
    core: Core,
    places: HashMap<UnitId, Place>,
    loaded: HashMap<UnitId, Segment>,
    pending: HashMap<UnitId, Vec<Change>>,
    journal: journal::Journal,
    /// Record and checkpoint key, made from their seeds once.
    signers: (OnceLock<Arc<SignKey>>, OnceLock<Arc<SignKey>>),
    /// Whether this process stays: then a long journal costs nothing until the next start.
    stays: bool,
    /// Writing the file anew began and did not end: what is in memory is to be read again.
    stale: bool,
}

/// Where an anchor lives and what it works with.
#[derive(Clone)]
pub struct Home {
    /// The state directory.
    pub dir: PathBuf,
    /// How files are read and written.
    pub disk: Arc<dyn Disk>,
    /// Where epoch keys are kept.
    pub keys: Arc<dyn EpochKeys>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
}

impl Anchor {
    /// Makes the first anchor of a vault, or a new one after the old was lost. Its epoch is one after any epoch the
    /// keyring still knows.
    ///
    /// # Errors
    /// [`AnchorError`]; nothing is left behind that would open.
    pub fn create(home: &Home, vault: VaultId, mut core: Core, segments: Vec<Segment>) -> Result<Self, AnchorError> {
        core.earliest = segments.iter().map(Segment::earliest).min().unwrap_or(Instant::MAX);
        let known = [Slot::Current, Slot::Next].map(|slot| home.keys.read(slot));
        let mut epoch = 0;
        for slot in known {
            epoch = epoch.max(slot?.map_or(0, |(epoch, _)| epoch));
        }
        // One after the lost anchor's, if that can be told: its journal is not this one's.
        let lost = file::read_header(&*home.disk, &file::path(&home.dir)).ok().flatten();
        let lost = lost.map(|header| header.generation).filter(|generation| *generation < u64::MAX / 2).unwrap_or(0);
        let header = file::Header { vault, epoch: epoch + 1, generation: lost + 1 };
        let epoch_key = Key::generate(&*home.entropy);
        home.disk.remove(&journal::path(&home.dir, header.generation))?;
        home.disk.sync_dir(&home.dir)?;
        home.keys.write(Slot::Next, header.epoch, &epoch_key)?;
        rotate::check_holds(&*home.keys, Slot::Next, header.epoch, &epoch_key)?;
        let bytes = file::encode(&header, &epoch_key, &core, &segments, &*home.entropy);
        file::replace(home, &bytes)?;
        rotate::promote(&*home.keys, header.epoch, &epoch_key)?;
        home.disk.remove(&journal::path(&home.dir, lost))?;
        Self::open(home)
    }

    /// Opens the anchor: matches the file's epoch with the epoch keys and finishes what was interrupted.
    ///
    /// # Errors
    /// [`AnchorError::Epoch`] for an older copy.
    pub fn open(home: &Home) -> Result<Self, AnchorError> {
        let path = file::path(&home.dir);
        let header = file::read_header(&*home.disk, &path)?.ok_or_else(|| AnchorError::Missing(home.dir.clone()))?;
        let epoch_key = rotate::settle(home, &header)?;
        let (core, places) = file::read_core(&*home.disk, &path, &header, &epoch_key)?;
        let (journal, frames) = journal::Journal::open(home, &header, &epoch_key)?;
        let mut anchor = Self {
            dir: home.dir.clone(),
            disk: Arc::clone(&home.disk),
            keys: Arc::clone(&home.keys),
            entropy: Arc::clone(&home.entropy),
            epoch_key,
            header,
            core,
            places,
            loaded: HashMap::new(),
            pending: HashMap::new(),
            journal,
            signers: Default::default(),
            stays: false,
            stale: false,
        };
        for change in frames {
            anchor.take(change);
        }
        Ok(anchor)
    }

    /// Whether the files are still what was read: another process may have changed them, or a rotation failed.
    ///
    /// # Errors
    /// [`AnchorError::Io`].
    pub fn is_current(&self) -> Result<bool, AnchorError> {
        let header = file::read_header(&*self.disk, &file::path(&self.dir))?;
        Ok(!self.stale && header.as_ref() == Some(&self.header) && self.journal.is_current(&*self.disk)?)
    }

    /// The vault it belongs to.
    pub fn vault(&self) -> VaultId {
        self.header.vault
    }

    /// The epoch.
    pub fn epoch(&self) -> u64 {
        self.header.epoch
    }

    /// What belongs to no mandate.
    pub fn core(&self) -> &Core {
        &self.core
    }

    /// The broker's record key.
    pub fn record_key(&self) -> Arc<SignKey> {
        Arc::clone(self.signers.0.get_or_init(|| Arc::new(SignKey::from_seed(&self.core.record_key))))
    }

    /// The broker's checkpoint key.
    pub fn checkpoint_key(&self) -> Arc<SignKey> {
        Arc::clone(self.signers.1.get_or_init(|| Arc::new(SignKey::from_seed(&self.core.checkpoint_key))))
    }

    /// Every unit it holds keys or a head of.
    pub fn units(&self) -> Vec<UnitId> {
        let fresh = self.pending.keys().chain(self.loaded.keys()).filter(|unit| !self.places.contains_key(unit));
        let mut units: Vec<UnitId> = self.places.keys().chain(fresh).copied().collect();
        units.sort_unstable();
        units.dedup();
        units
    }

    /// The keys and the head of one unit, if it is known.
    ///
    /// # Errors
    /// [`AnchorError`] if its part of the file was changed.
    pub fn segment(&mut self, unit: UnitId) -> Result<Option<&Segment>, AnchorError> {
        self.refresh()?;
        self.load(unit)?;
        Ok(self.loaded.get(&unit))
    }

    /// Appends changes to the journal, durably, and takes them in. Nothing here destroys: that is [`Anchor::rotate`].
    ///
    /// # Errors
    /// [`AnchorError::Io`]; then nothing was taken in, unless only writing a long journal's file anew failed: the next
    /// call reads again what there is.
    pub fn note(&mut self, changes: Vec<Change>) -> Result<(), AnchorError> {
        self.refresh()?;
        self.journal.append(&*self.disk, &self.header, &self.epoch_key, &changes, &*self.entropy)?;
        for change in changes {
            self.take(change);
        }
        let long = match self.stays {
            true => self.journal.is_too_long(),
            false => self.journal.is_long(|| self.disk.len(&file::path(&self.dir)).unwrap_or(u64::MAX)),
        };
        if long {
            self.rewrite(&Destroy::default(), false)?;
        }
        Ok(())
    }

    /// Takes changes in for now, in memory alone: what is noted next by them makes them durable, and after a crash it is
    /// as if they had not been.
    pub fn suppose(&mut self, changes: Vec<Change>) {
        for change in changes {
            self.take(change);
        }
    }

    /// Lets the journal grow: this process serves for long, and only its next start reads it.
    pub fn stay(&mut self) {
        self.stays = true;
    }

    /// Reads anew what a failed rotation took apart.
    fn refresh(&mut self) -> Result<(), AnchorError> {
        if self.stale {
            self.reopen()?;
        }
        Ok(())
    }

    fn reopen(&mut self) -> Result<(), AnchorError> {
        *self = Self { stays: self.stays, ..Self::open(&self.home())? };
        Ok(())
    }

    fn take(&mut self, change: Change) {
        if let Change::Granted(.., until)
        | Change::Ends(.., until)
        | Change::Retain(_, until)
        | Change::Term(_, until) = &change
        {
            self.core.earliest = self.core.earliest.min(*until);
        }
        match change.unit() {
            None => self.core.apply(change),
            Some(unit) => match self.loaded.get_mut(&unit) {
                Some(segment) => segment.apply(change),
                None => self.pending.entry(unit).or_default().push(change),
            },
        }
    }

    fn load(&mut self, unit: UnitId) -> Result<(), AnchorError> {
        if self.loaded.contains_key(&unit) {
            return Ok(());
        }
        let mut segment = match self.places.get(&unit) {
            Some(place) => {
                file::read_segment(&*self.disk, &file::path(&self.dir), &self.header, &self.epoch_key, unit, place)?
            }
            None if self.pending.contains_key(&unit) => Segment::new(unit),
            None => return Ok(()),
        };
        // Not before the segment was read: where that fails once, what waits for it is still there the next time.
        for change in self.pending.remove(&unit).into_iter().flatten() {
            segment.apply(change);
        }
        self.loaded.insert(unit, segment);
        Ok(())
    }

    fn home(&self) -> Home {
        Home {
            dir: self.dir.clone(),
            disk: Arc::clone(&self.disk),
            keys: Arc::clone(&self.keys),
            entropy: Arc::clone(&self.entropy),
        }
    }
}

/// The state directory's anchor path, for messages and marks.
pub fn anchor_path(dir: &Path) -> PathBuf {
    file::path(dir)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::System;
    use crate::model::{GrantId, HighWater, Uptime};
    use std::sync::atomic::{AtomicBool, Ordering};

    /// A disk whose next read fails, when it is told to.
    #[derive(Default)]
    struct Stumbling(AtomicBool);

    impl Disk for Stumbling {
        fn read(&self, path: &Path, offset: u64, len: usize) -> io::Result<Option<Vec<u8>>> {
            if self.0.swap(false, Ordering::SeqCst) {
                return Err(io::Error::other("once"));
            }
            RealDisk.read(path, offset, len)
        }
        fn len(&self, path: &Path) -> io::Result<u64> {
            RealDisk.len(path)
        }
        fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
            RealDisk.write(path, bytes)
        }
        fn sync(&self, path: &Path) -> io::Result<()> {
            RealDisk.sync(path)
        }
        fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
            RealDisk.rename(from, to)
        }
        fn sync_dir(&self, dir: &Path) -> io::Result<()> {
            RealDisk.sync_dir(dir)
        }
        fn remove(&self, path: &Path) -> io::Result<()> {
            RealDisk.remove(path)
        }
        fn write_at(&self, path: &Path, offset: u64, bytes: &[u8]) -> io::Result<()> {
            RealDisk.write_at(path, offset, bytes)
        }
        fn cut(&self, path: &Path, len: u64) -> io::Result<()> {
            RealDisk.cut(path, len)
        }
    }

    #[test]
    fn a_read_that_fails_once_loses_no_change() {
        let dir = tempfile::tempdir().unwrap();
        let disk = Arc::new(Stumbling::default());
        let keys = Arc::new(FileKeys::new(dir.path().join("key")));
        let home = Home { dir: dir.path().into(), disk: disk.clone(), keys, entropy: Arc::new(System) };
        let high = HighWater { at: Instant(1), uptime: Uptime { boot: 1, ms: 1 } };
        let unit = UnitId([2; 16]);
        let core = Core::generate(UnitId([9; 16]), high, &System);
        drop(Anchor::create(&home, VaultId([1; 16]), core, vec![Segment::new(unit)]).unwrap());
        let mut anchor = Anchor::open(&home).unwrap();
        let grant = GrantId([3; 16]);
        anchor.note(vec![Change::Granted(unit, grant, Key::generate(&System), Instant(5))]).unwrap();
        disk.0.store(true, Ordering::SeqCst);
        assert!(anchor.segment(unit).is_err());
        let segment = anchor.segment(unit).unwrap().unwrap();
        // It ends by itself, or with the term of its mandate.
        let (term, until) = (segment.term_until, segment.grant_until(grant));
        assert_eq!((term > Instant(5), until, segment.grant_until(GrantId([4; 16]))), (true, Some(Instant(5)), None));
        anchor.note(vec![Change::Term(unit, Instant(3))]).unwrap();
        assert_eq!(anchor.segment(unit).unwrap().unwrap().grant_until(grant), Some(Instant(3)));
    }
}
