//! Epoch rotation: how keys die (DESIGN.md 7).
//!
//! The signed revocation is durable before this begins, and policy refuses from there on. Then, in this order:
//! keyring `next` = the new key · write `anchor.new` without the dead keys, sync, rename · sync the directory ·
//! keyring `current` = the new key · delete `next`, verify the old one is gone. [`settle`] finishes or takes back what
//! a crash left between any two of these.

use super::core::Segment;
use super::file::{self, Header};
use super::journal;
use super::keys::{EpochKeys, KeysError, Slot};
use super::{Anchor, AnchorError, Home};
use crate::crypto::Key;
use crate::model::{GrantId, Instant, MemberId, UnitId};

/// What is to die.
#[derive(Default)]
pub struct Destroy {
    /// Grants' keys.
    pub grants: Vec<(UnitId, GrantId)>,
    /// State keys: replaced by the next one where there is one, else gone.
    pub state_keys: Vec<UnitId>,
    /// Evidence keys.
    pub evidence: Vec<UnitId>,
    /// Members' second factors.
    pub members: Vec<MemberId>,
}

impl Destroy {
    /// Whether nothing is to die.
    pub fn is_empty(&self) -> bool {
        self.grants.is_empty() && self.state_keys.is_empty() && self.evidence.is_empty() && self.members.is_empty()
    }

    fn cut(&self, segment: &mut Segment) {
        let unit = segment.unit;
        let mut dead: Vec<GrantId> = self.grants.iter().filter(|(of, _)| *of == unit).map(|(_, id)| *id).collect();
        dead.sort_unstable();
        segment.grants.retain(|(id, ..)| dead.binary_search(id).is_err());
        if self.state_keys.contains(&unit) {
            segment.state_key = segment.next_state_key.take();
            // The state key goes with the mandate's end: there is no term to wait for any more.
            segment.term_until = Instant::MAX;
        }
        if self.evidence.contains(&unit) {
            segment.evidence_key = None;
        }
    }
}

impl Anchor {
    /// Destroys keys: writes the anchor anew under a fresh epoch key and destroys the old one. Returns the epoch that
    /// is gone.
    ///
    /// # Errors
    /// [`AnchorError`]. Then the caller acknowledges nothing; the next start, or the next call, finishes or repeats it.
    pub fn rotate(&mut self, destroy: &Destroy) -> Result<u64, AnchorError> {
        self.refresh()?;
        let gone = self.header.epoch;
        self.rewrite(destroy, true)?;
        Ok(gone)
    }

    /// Writes the file anew: under a fresh epoch key, or under the same one only to begin a new journal.
    pub(super) fn rewrite(&mut self, destroy: &Destroy, fresh_epoch: bool) -> Result<(), AnchorError> {
        // From here to the end what is in memory is taken apart; after an error it is read anew.
        self.stale = true;
        let home = self.home();
        let old_journal = journal::path(&self.dir, self.header.generation);
        let generation = self.header.generation + 1;
        let epoch = self.header.epoch + u64::from(fresh_epoch);
        let header = Header { vault: self.header.vault, epoch, generation };
        let key = if fresh_epoch { Key::generate(&*self.entropy) } else { self.epoch_key.duplicate() };

        // A journal of this name can only be left over from a crash before the rename: it goes first.
        self.disk.remove(&journal::path(&self.dir, generation))?;
        let segments = self.take_segments(destroy)?;
        self.core.factors.retain(|factor| !destroy.members.contains(&factor.member));
        self.core.sessions.retain(|session| !destroy.members.contains(&session.member));
        self.core.earliest = segments.iter().map(Segment::earliest).min().unwrap_or(Instant::MAX);
        let bytes = file::encode(&header, &key, &self.core, &segments, &*self.entropy);
        drop(segments);

        if fresh_epoch {
            self.keys.write(Slot::Next, epoch, &key)?;
            check_holds(&*self.keys, Slot::Next, epoch, &key)?;
        }
        file::replace(&home, &bytes)?;
        if fresh_epoch {
            promote(&*self.keys, epoch, &key)?;
        }
        self.disk.remove(&old_journal)?;
        self.reopen()
    }

    /// Every segment, without what is to die. Leaves this anchor to be opened anew.
    fn take_segments(&mut self, destroy: &Destroy) -> Result<Vec<Segment>, AnchorError> {
        let units = self.units();
        let mut segments = Vec::with_capacity(units.len());
        for unit in units {
            self.load(unit)?;
            let Some(mut segment) = self.loaded.remove(&unit) else { continue };
            destroy.cut(&mut segment);
            // A unit with no key left has nothing to open and nothing to fall behind.
            if segment.state_key.is_some() || segment.evidence_key.is_some() {
                segments.push(segment);
            }
        }
        Ok(segments)
    }
}

/// Matches the file's epoch with the epoch keys; finishes what was interrupted after the rename, takes back what was
/// interrupted before it. Returns the key that opens the file.
pub fn settle(home: &Home, header: &Header) -> Result<Key, AnchorError> {
    let (keys, epoch) = (&*home.keys, header.epoch);
    let current = keys.read(Slot::Current)?;
    if let Some((_, key)) = current.filter(|(current, _)| *current == epoch) {
        // What `next` may hold here was never used, or is this same key; the next rotation writes over it.
        return Ok(key);
    }
    let next = keys.read(Slot::Next)?.filter(|(next, _)| *next == epoch);
    let (_, key) = next.ok_or(AnchorError::Epoch)?;
    // The header says which key; only a file that this key does open may end the current one.
    file::read_core(&*home.disk, &file::path(&home.dir), header, &key)?;
    home.disk.sync_dir(&home.dir)?;
    promote(keys, epoch, &key)?;
    Ok(key)
}

/// Makes a key the current one, empties `next`, and verifies that the old one is gone.
pub(super) fn promote(keys: &dyn EpochKeys, epoch: u64, key: &Key) -> Result<(), KeysError> {
    keys.write(Slot::Current, epoch, key)?;
    check_holds(keys, Slot::Current, epoch, key)?;
    keys.remove(Slot::Next)?;
    if keys.read(Slot::Next)?.is_some() {
        return Err(KeysError::Unfaithful);
    }
    Ok(())
}

/// Verifies that a slot gives back what was written to it.
pub(super) fn check_holds(keys: &dyn EpochKeys, slot: Slot, epoch: u64, key: &Key) -> Result<(), KeysError> {
    match keys.read(slot)? {
        Some((held, found)) if held == epoch && found == *key => Ok(()),
        _ => Err(KeysError::Unfaithful),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Change, Core, FileKeys, RealDisk};
    use super::*;
    use crate::crypto::System;
    use crate::model::{HighWater, Uptime, VaultId};
    use std::sync::Arc;

    fn made(dir: &std::path::Path, segments: Vec<Segment>) -> (Home, Anchor) {
        let keys = Arc::new(FileKeys::new(dir.join("key")));
        let home = Home { dir: dir.into(), disk: Arc::new(RealDisk), keys, entropy: Arc::new(System) };
        let high = HighWater { at: Instant(1), uptime: Uptime { boot: 1, ms: 1 } };
        let core = Core::generate(UnitId([9; 16]), high, &System);
        let anchor = Anchor::create(&home, VaultId([1; 16]), core, segments).unwrap();
        (home, anchor)
    }

    #[test]
    fn what_is_supposed_is_forgotten_with_the_process() {
        let dir = tempfile::tempdir().unwrap();
        let (home, mut anchor) = made(dir.path(), Vec::new());
        anchor.note(vec![Change::Counted(4)]).unwrap();
        anchor.suppose(vec![Change::Counted(5)]);
        assert_eq!((anchor.core().counter, Anchor::open(&home).unwrap().core().counter), (5, 4));
        assert!(anchor.segment(UnitId([8; 16])).unwrap().is_none(), "nothing was said of it");
    }

    #[test]
    fn a_process_that_stays_lets_its_journal_grow() {
        let dir = tempfile::tempdir().unwrap();
        let (_, mut anchor) = made(dir.path(), Vec::new());
        let was_rewritten = |anchor: &mut Anchor| {
            let before = anchor.header.generation;
            anchor.note(vec![Change::Unfinished(vec![UnitId([7; 16]); 2000])]).unwrap();
            anchor.header.generation != before
        };
        assert!(was_rewritten(&mut anchor));
        anchor.stay();
        assert!(!was_rewritten(&mut anchor));
        anchor.rotate(&Destroy::default()).unwrap();
        assert!(!was_rewritten(&mut anchor), "it still stays");
    }

    #[test]
    fn a_unit_is_kept_while_any_key_of_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let unit = |number| UnitId([number; 16]);
        let segment = |number, state, evidence| {
            let key = |is: bool| is.then(Key::absent);
            Segment { state_key: key(state), evidence_key: key(evidence), ..Segment::new(unit(number)) }
        };
        let segments = vec![segment(1, true, true), segment(2, false, true), segment(3, true, false)];
        let (_, mut anchor) = made(dir.path(), segments);
        assert_eq!(anchor.units(), [1, 2, 3].map(unit));
        anchor.rotate(&Destroy { evidence: vec![unit(1)], ..Destroy::default() }).unwrap();
        assert_eq!(anchor.units(), [1, 2, 3].map(unit));
        anchor.rotate(&Destroy { evidence: vec![unit(2)], state_keys: vec![unit(1)], ..Destroy::default() }).unwrap();
        assert_eq!(anchor.units(), [3].map(unit));
    }

    #[test]
    fn a_slot_holds_what_was_written_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let keys = FileKeys::new(dir.path().join("key"));
        let (key, other) = (Key::generate(&System), Key::generate(&System));
        keys.write(Slot::Current, 7, &key).unwrap();
        let holds = |epoch, key| check_holds(&keys, Slot::Current, epoch, key).is_ok();
        assert!(holds(7, &key) && !holds(8, &key) && !holds(7, &other));
        assert!(check_holds(&keys, Slot::Next, 7, &key).is_err());
    }

    #[test]
    fn there_is_nothing_to_destroy_where_every_list_is_empty() {
        let unit = UnitId([1; 16]);
        let some = [
            Destroy { grants: vec![(unit, GrantId([2; 16]))], ..Destroy::default() },
            Destroy { members: vec![MemberId([3; 16])], ..Destroy::default() },
            Destroy { state_keys: vec![unit], ..Destroy::default() },
            Destroy { evidence: vec![unit], ..Destroy::default() },
        ];
        assert!(Destroy::default().is_empty() && !some.iter().any(Destroy::is_empty));
    }
}
