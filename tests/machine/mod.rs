//! A machine that fails: every operation that changes a file or an epoch key is counted, and a fault strikes one of
//! them, before its effect, after it, or in the middle of it; then either everything is off until a restart, or work
//! goes on. At a power cut, what was never synced survives, loses its content, or is undone as a whole.

use mandatum::anchor::{Disk, EpochKeys, KeysError, RealDisk, Slot};
use mandatum::crypto::Key;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Op {
    Write,
    Append,
    Cut,
    Sync,
    Rename,
    SyncDir,
    Remove,
    KeyWrite(Slot),
    KeyRemove(Slot),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum When {
    Before,
    /// The first half of the bytes.
    Half,
    /// The second half, and zeros before it: sectors reach the disk in any order.
    Tail,
    /// The length, but none of the bytes.
    Zeros,
    After,
}

/// What is left of all that was never synced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Left {
    /// The process stops and the power stays on: a later power cut may still take it.
    Cached,
    Everything,
    /// Names are as they were last, contents are empty.
    Names,
    /// Names go back to the last synced directory, contents are empty.
    Nothing,
}

pub const LEFTS: [Left; 3] = [Left::Everything, Left::Names, Left::Nothing];

/// Strikes operation `at`. With `cut`, the power is off from there on; without, only this operation fails.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    pub at: usize,
    pub when: When,
    pub cut: Option<Left>,
}

enum Undo {
    Created(PathBuf),
    Renamed { from: PathBuf, to: PathBuf, replaced: Option<Vec<u8>> },
    Removed(PathBuf, Vec<u8>),
}

/// What a power cut may still take.
#[derive(Default)]
struct Unsynced {
    names: Vec<Undo>,
    contents: BTreeSet<PathBuf>,
}

impl Unsynced {
    fn rename(&mut self, from: &Path, to: &Path) {
        self.contents.remove(to);
        if self.contents.remove(from) {
            self.contents.insert(to.to_owned());
        }
    }

    fn cut(&mut self, left: Left) {
        let names = std::mem::take(&mut self.names);
        for undo in names.into_iter().rev().filter(|_| left == Left::Nothing) {
            match undo {
                Undo::Created(path) => drop(fs::remove_file(path)),
                Undo::Renamed { from, to, replaced } => {
                    fs::rename(&to, &from).unwrap();
                    self.rename(&to, &from);
                    replaced.into_iter().for_each(|bytes| fs::write(&to, bytes).unwrap());
                }
                Undo::Removed(path, bytes) => fs::write(path, bytes).unwrap(),
            }
        }
        for path in std::mem::take(&mut self.contents) {
            if left != Left::Everything && path.exists() {
                fs::write(path, b"").unwrap();
            }
        }
    }
}

#[derive(Default)]
pub struct Machine {
    pub off: bool,
    pub fault: Option<Fault>,
    pub ops: Vec<Op>,
    /// Another program's file whose growth is noted, and its length before the last two operations.
    pub watched: Option<PathBuf>,
    pub grown: (u64, u64),
    unsynced: Unsynced,
}

pub fn failed() -> io::Error {
    io::Error::other("the machine failed")
}

impl Machine {
    fn turn(&mut self, op: Op, effect: impl Fn(&mut Unsynced, When) -> io::Result<()>) -> io::Result<()> {
        if self.off {
            return Err(failed());
        }
        self.ops.push(op);
        if let Some(path) = &self.watched {
            self.grown = (self.grown.1, fs::metadata(path).map_or(0, |meta| meta.len()));
        }
        let Some(fault) = self.fault.filter(|fault| fault.at + 1 == self.ops.len()) else {
            return effect(&mut self.unsynced, When::After);
        };
        if fault.when != When::Before {
            effect(&mut self.unsynced, fault.when)?;
        }
        if let Some(left) = fault.cut {
            self.cut(left);
        }
        Err(failed())
    }

    /// The power goes off.
    pub fn cut(&mut self, left: Left) {
        self.off = true;
        if left != Left::Cached {
            self.unsynced.cut(left);
        }
    }

    /// Gets ready for a fault; operations are counted from here.
    pub fn arm(&mut self, fault: Option<Fault>) {
        (self.fault, self.ops) = (fault, Vec::new());
        let len = self.watched.as_ref().and_then(|path| fs::metadata(path).ok()).map_or(0, |meta| meta.len());
        self.grown = (len, len);
    }

    /// Is switched on again.
    pub fn start(&mut self) {
        self.off = false;
        self.arm(None);
    }
}

fn part(bytes: &[u8], when: When) -> Vec<u8> {
    // Zeros at the end are there whether they were written or not.
    let half = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last / 2);
    match when {
        When::Half => bytes[..half].to_vec(),
        When::Tail => [&vec![0; half], &bytes[half..]].concat(),
        When::Zeros => vec![0; bytes.len()],
        When::Before | When::After => bytes.to_vec(),
    }
}

pub struct CrashDisk(pub Arc<Mutex<Machine>>);

impl CrashDisk {
    fn machine(&self) -> MutexGuard<'_, Machine> {
        self.0.lock().unwrap()
    }
    fn on(&self) -> io::Result<()> {
        if self.machine().off { Err(failed()) } else { Ok(()) }
    }
}

impl Disk for CrashDisk {
    fn read(&self, path: &Path, offset: u64, len: usize) -> io::Result<Option<Vec<u8>>> {
        self.on()?;
        RealDisk.read(path, offset, len)
    }
    fn len(&self, path: &Path) -> io::Result<u64> {
        self.on()?;
        RealDisk.len(path)
    }
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.machine().turn(Op::Write, |unsynced, when| {
            if !path.exists() {
                unsynced.names.push(Undo::Created(path.to_owned()));
            }
            unsynced.contents.insert(path.to_owned());
            RealDisk.write(path, &part(bytes, when))
        })
    }
    fn sync(&self, path: &Path) -> io::Result<()> {
        // The real sync would only take time: nothing but this machine ever loses power here.
        self.machine().turn(Op::Sync, |unsynced, _| {
            unsynced.contents.remove(path);
            Ok(())
        })
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.machine().turn(Op::Rename, |unsynced, _| {
            let replaced = fs::read(to).ok();
            unsynced.names.push(Undo::Renamed { from: from.to_owned(), to: to.to_owned(), replaced });
            unsynced.rename(from, to);
            RealDisk.rename(from, to)
        })
    }
    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        self.machine().turn(Op::SyncDir, |unsynced, _| {
            unsynced.names.clear();
            Ok(())
        })
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.machine().turn(Op::Remove, |unsynced, _| {
            if let Ok(bytes) = fs::read(path) {
                unsynced.names.push(Undo::Removed(path.to_owned(), bytes));
            }
            RealDisk.remove(path)
        })
    }
    fn cut(&self, path: &Path, len: u64) -> io::Result<()> {
        self.machine().turn(Op::Cut, |_, _| RealDisk.cut(path, len))
    }
    fn write_at(&self, path: &Path, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.machine().turn(Op::Append, |unsynced, when| {
            RealDisk.write_at(path, offset, &part(bytes, when))?;
            // A file that begins gets a durable name, and with it the whole directory.
            if when == When::After && offset == 0 {
                unsynced.names.clear();
            }
            Ok(())
        })
    }
}

/// How the keyring behaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mood {
    Well,
    /// No service, or no answer in time.
    Absent,
    ReadsFail,
    WritesFail,
    /// Says it wrote, keeps the old value.
    Forgets(Slot),
    RemovalsFail,
    /// Says it removed, keeps the value.
    KeepsRemoved,
}

pub type Held = Option<(u64, [u8; 32])>;

#[derive(Clone)]
pub struct Kept {
    pub mood: Mood,
    pub slots: [Held; 2],
    /// Every key that was ever written.
    pub seen: BTreeSet<(u64, [u8; 32])>,
}

/// A keyring that loses power with the disk.
pub struct FakeKeys {
    pub machine: Arc<Mutex<Machine>>,
    pub kept: Mutex<Kept>,
}

impl FakeKeys {
    pub fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap()
    }
    fn fails(&self, also: Mood) -> Result<(), KeysError> {
        let mood = self.kept().mood;
        let off = self.machine.lock().unwrap().off;
        if off || mood == Mood::Absent || mood == also {
            return Err(KeysError::Keyring("the keyring is locked".into()));
        }
        Ok(())
    }
}

pub fn lost(error: io::Error) -> KeysError {
    KeysError::Keyring(error.to_string())
}

impl EpochKeys for FakeKeys {
    fn read(&self, slot: Slot) -> Result<Option<(u64, Key)>, KeysError> {
        self.fails(Mood::ReadsFail)?;
        let held = self.kept().slots[slot as usize];
        Ok(held.map(|(epoch, key)| (epoch, Key::from_slice(&key).unwrap())))
    }
    fn write(&self, slot: Slot, epoch: u64, key: &Key) -> Result<(), KeysError> {
        self.fails(Mood::WritesFail)?;
        let effect = |_: &mut Unsynced, _| {
            let mut kept = self.kept();
            kept.seen.insert((epoch, *key.expose()));
            if kept.mood != Mood::Forgets(slot) {
                kept.slots[slot as usize] = Some((epoch, *key.expose()));
            }
            Ok(())
        };
        self.machine.lock().unwrap().turn(Op::KeyWrite(slot), effect).map_err(lost)
    }
    fn remove(&self, slot: Slot) -> Result<(), KeysError> {
        self.fails(Mood::RemovalsFail)?;
        let effect = |_: &mut Unsynced, _| {
            let mut kept = self.kept();
            if kept.mood != Mood::KeepsRemoved {
                kept.slots[slot as usize] = None;
            }
            Ok(())
        };
        self.machine.lock().unwrap().turn(Op::KeyRemove(slot), effect).map_err(lost)
    }
}
