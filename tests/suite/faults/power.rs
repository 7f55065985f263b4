//! Power cuts: what was written and not synced is lost, in part or in another order.
//!
//! A command runs once, and strace writes down every byte it gives to the vault's files, every name it changes and
//! every sync. That is played again on paper. After each event the power may go. Then durable is what a sync named; of
//! the rest any part may be there: each write or none, a write up to any sector of 512 bytes, the length of a file
//! without its bytes; changes of names in their order, up to any of them. A file's own sync does not make its name
//! durable, only its directory's does.
//!
//! What a power cut does to SQLite's index of its log (`-shm`) does not matter: it is made anew at each start.

use super::trace::named;
use super::{Bench, FETCH, RENEWED, Struck, Told, spread};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Instant;

/// How many cuts `cargo test` tries.
const SAMPLE: usize = 48;
const SECTOR: usize = 512;

type Inode = usize;

/// What one event asks for that is not durable yet.
#[derive(Clone, Debug)]
enum Pending {
    Data { inode: Inode, offset: usize, bytes: Vec<u8> },
    Length { inode: Inode, len: usize },
    Name(Naming),
}

#[derive(Clone, Debug)]
enum Naming {
    Made(PathBuf, Inode),
    Moved(PathBuf, PathBuf),
    Gone(PathBuf),
}

impl Naming {
    fn apply(&self, names: &mut BTreeMap<PathBuf, Inode>) {
        match self {
            Naming::Made(path, inode) => drop(names.insert(path.clone(), *inode)),
            Naming::Moved(from, to) => {
                let moved = names.remove(from);
                names.extend(moved.map(|inode| (to.clone(), inode)));
            }
            Naming::Gone(path) => drop(names.remove(path)),
        }
    }

    fn is_in(&self, dir: &Path) -> bool {
        let (Naming::Made(path, _) | Naming::Moved(_, path) | Naming::Gone(path)) = self;
        path.parent() == Some(dir)
    }
}

/// The disk, as it is sure to be and as it may be.
#[derive(Clone)]
struct Paper {
    durable: Vec<Vec<u8>>,
    names: BTreeMap<PathBuf, Inode>,
    /// As the running program sees them.
    seen: BTreeMap<PathBuf, Inode>,
    pending: Vec<Pending>,
    /// Where each open file stands.
    places: BTreeMap<u32, usize>,
}

/// What is left of the pending.
#[derive(Clone, Debug)]
struct Left {
    /// How many changes of names, in their order.
    names: usize,
    /// Which of the other changes, by place in `pending`, and how many bytes of each.
    data: BTreeMap<usize, usize>,
    /// Files have the length they would have had, with zeros for what is lost.
    lengths: bool,
}

impl Paper {
    fn new(files: BTreeMap<PathBuf, Vec<u8>>) -> Self {
        let (names, durable): (BTreeMap<_, _>, Vec<_>) =
            files.into_iter().enumerate().map(|(inode, (path, bytes))| ((path, inode), bytes)).unzip();
        Self { durable, seen: names.clone(), names, pending: Vec::new(), places: BTreeMap::new() }
    }

    /// Takes one event in; whether it changed anything here.
    fn take(&mut self, event: &Event) -> bool {
        let known = |path: &Path| self.seen.get(path).copied();
        match event {
            Event::Open { fd, path, creates, truncates } => {
                self.places.insert(*fd, 0);
                match known(path) {
                    Some(inode) if *truncates => self.pending.push(Pending::Length { inode, len: 0 }),
                    None if *creates => {
                        self.durable.push(Vec::new());
                        let made = Naming::Made(path.clone(), self.durable.len() - 1);
                        made.apply(&mut self.seen);
                        self.pending.push(Pending::Name(made));
                    }
                    _ => return false,
                }
            }
            Event::Seek { fd, to } => {
                self.places.insert(*fd, *to);
                return false;
            }
            Event::Write { fd, path, at, bytes } => {
                let Some(inode) = known(path) else { return false };
                let place = self.places.entry(*fd).or_default();
                let offset = at.unwrap_or(*place);
                if at.is_none() {
                    *place += bytes.len();
                }
                self.pending.push(Pending::Data { inode, offset, bytes: bytes.clone() });
            }
            Event::Cut { path, len } => match known(path) {
                Some(inode) => self.pending.push(Pending::Length { inode, len: *len }),
                None => return false,
            },
            Event::Rename { from, to } => self.rename(Naming::Moved(from.clone(), to.clone())),
            Event::Remove { path } if known(path).is_some() => self.rename(Naming::Gone(path.clone())),
            Event::FailedSync { path } => {
                let failed = known(path);
                self.pending.retain(|change| match change {
                    Pending::Data { inode, .. } | Pending::Length { inode, .. } => Some(*inode) != failed,
                    Pending::Name(_) => true,
                });
            }
            Event::Sync { path } => match known(path) {
                Some(inode) => self.sync(inode),
                None => self.sync_dir(path),
            },
            _ => return false,
        }
        true
    }

    fn rename(&mut self, naming: Naming) {
        naming.apply(&mut self.seen);
        self.pending.push(Pending::Name(naming));
    }

    fn sync(&mut self, synced: Inode) {
        for change in std::mem::take(&mut self.pending) {
            match change {
                Pending::Data { inode, offset, bytes } if inode == synced => {
                    put(&mut self.durable[inode], offset, &bytes)
                }
                Pending::Length { inode, len } if inode == synced => self.durable[inode].resize(len, 0),
                other => self.pending.push(other),
            }
        }
    }

    fn sync_dir(&mut self, dir: &Path) {
        for change in std::mem::take(&mut self.pending) {
            match change {
                Pending::Name(naming) if naming.is_in(dir) => naming.apply(&mut self.names),
                other => self.pending.push(other),
            }
        }
    }

    /// The files after a cut that left this much.
    fn after(&self, left: &Left) -> BTreeMap<PathBuf, Vec<u8>> {
        let (mut contents, mut names) = (self.durable.clone(), self.names.clone());
        let mut named = 0;
        for (at, change) in self.pending.iter().enumerate() {
            let kept = left.data.get(&at).copied();
            match change {
                Pending::Name(naming) => {
                    if named < left.names {
                        naming.apply(&mut names);
                    }
                    named += 1;
                }
                Pending::Data { inode, offset, bytes } => {
                    let kept = kept.unwrap_or(0).min(bytes.len());
                    if kept > 0 {
                        put(&mut contents[*inode], *offset, &bytes[..kept]);
                    }
                    let whole = offset + bytes.len();
                    if left.lengths && contents[*inode].len() < whole {
                        contents[*inode].resize(whole, 0);
                    }
                }
                Pending::Length { inode, len } if kept.is_some() || left.lengths => contents[*inode].resize(*len, 0),
                Pending::Length { .. } => {}
            }
        }
        names.into_iter().map(|(path, inode)| (path, contents[inode].clone())).collect()
    }

    /// Everything that may be left after a cut now.
    fn lefts(&self) -> Vec<Left> {
        let whole = |at: usize| match &self.pending[at] {
            Pending::Data { bytes, .. } => bytes.len(),
            _ => 1,
        };
        let is_data = |at: &usize| !matches!(self.pending[*at], Pending::Name(_));
        let data: Vec<usize> = (0..self.pending.len()).filter(is_data).collect();
        let all: BTreeMap<usize, usize> = data.iter().map(|&at| (at, whole(at))).collect();
        let names = self.pending.len() - data.len();
        let mut lefts = Vec::new();
        for data in [BTreeMap::new(), all.clone()] {
            for names in 0..=names {
                lefts.extend([false, true].map(|lengths| Left { names, data: data.clone(), lengths }));
            }
        }
        let mut masks: Vec<BTreeMap<usize, usize>> = Vec::new();
        for &at in &data {
            masks.push(BTreeMap::from([(at, whole(at))]));
            masks.push(all.clone().into_iter().filter(|(other, _)| *other != at).collect());
        }
        // The newest torn at each sector of the disk; older ones were the newest at an earlier cut.
        if let Some((&at, Pending::Data { offset, bytes, .. })) = data.last().map(|at| (at, &self.pending[*at])) {
            for kept in (SECTOR - offset % SECTOR..bytes.len()).step_by(SECTOR) {
                masks.push(all.clone().into_iter().filter(|(other, _)| *other < at).chain([(at, kept)]).collect());
            }
        }
        for data in masks {
            lefts.extend([0, names].map(|names| Left { names, data: data.clone(), lengths: true }));
        }
        lefts
    }
}

fn digest(files: &BTreeMap<PathBuf, Vec<u8>>, answer: &str, done: bool) -> [u8; 32] {
    let mut bytes = format!("{answer}{done}").into_bytes();
    for (path, content) in files {
        bytes.extend_from_slice(&mandatum::crypto::hash(path.to_string_lossy().as_bytes()).bytes()[..]);
        bytes.extend_from_slice(&mandatum::crypto::hash(content).bytes()[..]);
    }
    *mandatum::crypto::hash(&bytes).bytes()
}

fn put(file: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    file.resize(file.len().max(offset + bytes.len()), 0);
    file[offset..offset + bytes.len()].copy_from_slice(bytes);
}

/// What a trace tells.
#[derive(Debug)]
enum Event {
    Open {
        fd: u32,
        path: PathBuf,
        creates: bool,
        truncates: bool,
    },
    Seek {
        fd: u32,
        to: usize,
    },
    Write {
        fd: u32,
        path: PathBuf,
        at: Option<usize>,
        bytes: Vec<u8>,
    },
    Cut {
        path: PathBuf,
        len: usize,
    },
    Rename {
        from: PathBuf,
        to: PathBuf,
    },
    Remove {
        path: PathBuf,
    },
    Sync {
        path: PathBuf,
    },
    /// What was to become durable never does, though the program goes on to read it.
    FailedSync {
        path: PathBuf,
    },
    /// Something was said on standard output.
    Answer(String),
}

/// Reads a line that `strace -y -xx` wrote: every path and every byte is `\xNN`.
fn event(name: &str, line: &str) -> Option<Event> {
    let (call, result) = line.rsplit_once(") = ")?;
    let result: i64 = result.split(['<', ' ']).next()?.parse().ok()?;
    let failed = result < 0;
    if failed && !matches!(name, "fsync" | "fdatasync") {
        return None;
    }
    let args = &call[call.find('(')? + 1..];
    let quoted: Vec<Vec<u8>> = args.split('"').skip(1).step_by(2).map(unescaped).collect();
    let path = |at: usize| quoted.get(at).map(|bytes| PathBuf::from(String::from_utf8_lossy(bytes).into_owned()));
    let fd: Option<u32> = args.split(['<', ',']).next()?.parse().ok();
    let behind = || {
        let escaped = args.split_once('<')?.1.split_once('>')?.0;
        Some(PathBuf::from(String::from_utf8_lossy(&unescaped(escaped)).into_owned()))
    };
    let last = || args.rsplit(", ").next()?.parse::<usize>().ok();
    Some(match name {
        "openat" => Event::Open {
            fd: u32::try_from(result).ok()?,
            path: path(0)?,
            creates: args.contains("O_CREAT"),
            truncates: args.contains("O_TRUNC"),
        },
        "lseek" => Event::Seek { fd: fd?, to: usize::try_from(result).ok()? },
        "write" if fd == Some(1) => Event::Answer(String::from_utf8_lossy(quoted.first()?).into_owned()),
        "write" => Event::Write { fd: fd?, path: behind()?, at: None, bytes: quoted.first()?.clone() },
        "pwrite64" => Event::Write { fd: fd?, path: behind()?, at: Some(last()?), bytes: quoted.first()?.clone() },
        "ftruncate" => Event::Cut { path: behind()?, len: last()? },
        "rename" | "renameat" | "renameat2" => Event::Rename { from: path(0)?, to: path(1)? },
        "unlink" | "unlinkat" => Event::Remove { path: path(0)? },
        "fsync" | "fdatasync" if failed => Event::FailedSync { path: behind()? },
        "fsync" | "fdatasync" => Event::Sync { path: behind()? },
        _ => return None,
    })
}

fn unescaped(text: &str) -> Vec<u8> {
    let hex = |part: &str| u8::from_str_radix(part.get(..2).unwrap_or_default(), 16).unwrap();
    text.split("\\x").skip(1).map(hex).collect()
}

/// One cut: what is left on disk, and what had been answered before.
struct Cut {
    line: &'static str,
    files: BTreeMap<PathBuf, Vec<u8>>,
    answer: String,
    done: bool,
    at: String,
}

impl Bench {
    /// Every different disk that a power cut in this command may leave.
    fn cuts(&self, member: &str, line: &'static str) -> Vec<Cut> {
        self.put_back("ready");
        let mut paper = self.paper();
        let (output, events) = self.events(member, line, &[]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let (mut cuts, mut known, mut answer) = (Vec::new(), BTreeSet::new(), String::new());
        let last = events.len();
        for (number, (name, event)) in events.into_iter().enumerate() {
            if let Event::Answer(said) = &event {
                answer.push_str(said);
            } else if !paper.take(&event) {
                continue;
            }
            let done = number + 1 == last;
            for left in paper.lefts() {
                let files = paper.after(&left);
                if known.insert(digest(&files, &answer, done)) {
                    let at = format!("{line}: power cut after {name}, {left:?} of {} left", paper.pending.len());
                    cuts.push(Cut { line, files, answer: answer.clone(), done, at });
                }
            }
        }
        // What the program left and what was played on paper are the same.
        let everything = Left {
            names: usize::MAX,
            data: (0..paper.pending.len()).map(|at| (at, usize::MAX)).collect(),
            lengths: true,
        };
        let played = paper.after(&everything);
        for (path, real) in self.files().iter().filter(|(path, _)| !path.to_string_lossy().ends_with("-shm")) {
            assert!(played.get(path) == Some(real), "{line}: the trace does not tell all of {}", path.display());
        }
        let gone: Vec<&PathBuf> = played.keys().filter(|path| !path.exists()).collect();
        assert!(gone.is_empty(), "{line}: {gone:?}");
        cuts
    }

    fn paper(&self) -> Paper {
        Paper::new(self.files().into_iter().filter(|(path, _)| !path.to_string_lossy().ends_with("-shm")).collect())
    }

    /// Runs a command and gives everything it did to files, in its order.
    fn events(&self, member: &str, line: &str, inject: &[&str]) -> (Output, Vec<(String, Event)>) {
        let calls =
            "trace=openat,lseek,write,pwrite64,ftruncate,rename,renameat,renameat2,unlink,unlinkat,fsync,fdatasync";
        let options = [&["-y", "-xx", "-s", "1048576", "-e", calls], inject].concat();
        let (output, trace) = self.strace(member, line, &options);
        let told = |(call, text): (super::trace::Call, &str)| {
            Some((format!("{} {}", call.name, call.nth), event(&call.name, text)?))
        };
        (output, named(&trace).filter_map(told).collect())
    }

    fn lose(&self, cut: &Cut) {
        self.put_back("ready");
        for (path, _) in self.files() {
            // The index stays as it was: as wrong as it may be.
            if !path.to_string_lossy().ends_with("-shm") && !cut.files.contains_key(&path) {
                std::fs::remove_file(path).unwrap();
            }
        }
        for (path, bytes) in &cut.files {
            std::fs::write(path, bytes).unwrap();
            use std::os::unix::fs::PermissionsExt;
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
        }
    }
}

/// Every cut in a release, a revocation and a rotation of the epoch; and what the ledger says before them.
fn prepared() -> Option<(Bench, Told, Vec<Cut>)> {
    let bench = Bench::new()?;
    bench.put_back("ready");
    let base = bench.told();
    let commands =
        [("Sasha", FETCH), ("Lena", "revoke Sasha Romashka/CRM"), ("Lena", "mandate amend Romashka --remove Bot")];
    let cuts = commands.into_iter().flat_map(|(member, line)| bench.cuts(member, line)).collect();
    Some((bench, base, cuts))
}

/// Whatever a power cut leaves of what was never synced: what was delivered is recorded, what was revoked stays dead,
/// and the vault goes on.
#[test]
fn a_power_cut_loses_nothing_that_was_answered() {
    let Some((mut bench, mut base, mut cuts)) = prepared() else { return };
    let (mut since, all) = (Instant::now(), cuts.len());
    let (mut tried, mut failed) = (0, 0);
    for at in spread((0..all).collect(), SAMPLE) {
        if since.elapsed() > RENEWED {
            (bench, base, cuts) = prepared().expect("it could be prepared before");
            since = Instant::now();
        }
        // Another vault's disks are the same, but for a few.
        let Some(cut) = cuts.get(at) else { continue };
        bench.lose(cut);
        let struck =
            Struck { line: cut.line, stdout: cut.answer.clone(), stderr: String::new(), code: cut.done.then_some(0) };
        failed += usize::from(!bench.holds(base, &struck, &cut.at));
        tried += 1;
        if tried % 100 == 0 {
            let _ = writeln!(std::io::stderr(), "power cuts: {tried} of {all} different disks, {failed} failed");
        }
    }
    let _ = writeln!(std::io::stderr(), "power cuts: {tried} of {all} different disks");
    assert_eq!(failed, 0, "of {tried} cuts");
    assert!(all > 300, "only {all} different disks");
}

/// A sync of the database's log, or of the anchor's journal, that fails once, and then a release that is answered: a
/// power cut afterwards takes what the failed sync was to make durable, and nothing of what was answered.
#[test]
fn what_a_failed_sync_leaves_is_not_built_upon() {
    let Some(bench) = Bench::new() else { return };
    bench.put_back("ready");
    let base = bench.told();
    // The second one is of the directory, whose names are durable since the vault was made.
    for sync in [1, 3] {
        failed_once(&bench, base, sync);
    }
}

fn failed_once(bench: &Bench, mut base: Told, sync: u32) {
    // Recorded when the sync failed, and never delivered: by the log, or durable already when the journal failed.
    base.released += 1;
    bench.put_back("ready");
    let mut paper = bench.paper();
    let inject = format!("inject=fdatasync:error=EIO:when={sync}");
    let (failed, events) = bench.events("Sasha", FETCH, &["-e", &inject]);
    assert!(!failed.status.success() && failed.stdout.is_empty(), "{failed:?}");
    assert!(events.iter().any(|(_, event)| matches!(event, Event::FailedSync { .. })));
    let (answered, more) = bench.events("Sasha", FETCH, &[]);
    assert!(answered.status.success(), "{}", String::from_utf8_lossy(&answered.stderr));
    for (_, event) in events.iter().chain(&more) {
        paper.take(event);
    }
    let answer = String::from_utf8_lossy(&answered.stdout).into_owned();
    for left in spread(paper.lefts(), 6) {
        let at = format!("sync {sync} failed, the next release was answered, the power went, {left:?} left");
        let cut = Cut { line: FETCH, files: paper.after(&left), answer: answer.clone(), done: true, at };
        bench.lose(&cut);
        let struck = Struck { line: FETCH, stdout: cut.answer.clone(), stderr: String::new(), code: Some(0) };
        bench.judge(base, &struck, &cut.at);
    }
}
