//! The measuring: fresh processes in turns, and the floors they stand beside.

use crate::office::random_text;
use crate::report::ms;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What one run took.
#[derive(Clone, Copy)]
pub struct Cost {
    pub wall: Duration,
    pub cpu: Option<Duration>,
}

pub type Item<'a> = (&'static str, Box<dyn FnMut(usize) -> Cost + 'a>);

/// Costs of every run by item.
pub struct Costs(Vec<(&'static str, Vec<Cost>)>);

impl Costs {
    fn of(&self, item: &str) -> &[Cost] {
        self.0.iter().find(|(name, _)| *name == item).map_or(&[], |(_, costs)| costs)
    }
    pub fn wall(&self, item: &str) -> Duration {
        median(self.of(item).iter().map(|cost| cost.wall).collect())
    }
    pub fn shown(&self, item: &str) -> String {
        let cpu: Vec<Duration> = self.of(item).iter().filter_map(|cost| cost.cpu).collect();
        let cpu = if cpu.is_empty() { String::new() } else { format!(" (CPU {})", ms(median(cpu))) };
        format!("{}{cpu}", ms(self.wall(item)))
    }
}

/// Runs all items in turns; round 0 warms up and does not count.
pub fn in_turns(rounds: usize, mut items: Vec<Item<'_>>) -> Costs {
    let mut costs = Costs(items.iter().map(|(name, _)| (*name, Vec::new())).collect());
    for round in 0..=rounds {
        for ((_, run), (_, costs)) in items.iter_mut().zip(&mut costs.0) {
            let cost = run(round);
            if round > 0 {
                costs.push(cost);
            }
        }
    }
    costs
}

/// One run of a command as a fresh process, its output read through a pipe.
pub fn cold(command: &mut Command) -> Cost {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let begun = Instant::now();
    let mut child = command.spawn().expect("started");
    let (mut out, mut said) = (Vec::new(), String::new());
    child.stdout.take().map(|mut pipe| pipe.read_to_end(&mut out));
    child.stderr.take().map(|mut pipe| pipe.read_to_string(&mut said));
    let cpu = cpu_of_ended(child.id());
    let status = child.wait().expect("waited for");
    let wall = begun.elapsed();
    assert!(status.success() && !(out.is_empty() && said.is_empty() && !is_this(command)), "{command:?}: {said}");
    Cost { wall, cpu }
}

/// The CPU time of a child's first thread, once it ended and before it is waited for.
#[cfg(target_os = "linux")]
fn cpu_of_ended(pid: u32) -> Option<Duration> {
    use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
    let child = Pid::from_raw(i32::try_from(pid).ok()?)?;
    waitid(WaitId::Pid(child), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT).ok()?;
    let spent = fs::read_to_string(format!("/proc/{pid}/schedstat")).ok()?;
    spent.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}

#[cfg(not(target_os = "linux"))]
fn cpu_of_ended(_: u32) -> Option<Duration> {
    None
}

/// The most memory a command held, by GNU time.
pub fn peak_kib(command: &Command) -> Option<f64> {
    let mut timed = Command::new("/usr/bin/time");
    timed.args(["-f", "%M"]).arg(command.get_program()).args(command.get_args());
    let output = timed.output().ok()?;
    String::from_utf8_lossy(&output.stderr).lines().last()?.trim().parse().ok()
}

/// Decrypting one file with a tool that does nothing else.
pub struct Decryption {
    pub tool: &'static str,
    program: &'static str,
    key: PathBuf,
    file: PathBuf,
}

impl Decryption {
    pub fn find(dir: &Path) -> Option<Self> {
        fs::create_dir_all(dir).ok()?;
        [("rage -d", "rage", "rage-keygen"), ("age -d", "age", "age-keygen")].into_iter().find_map(
            |(tool, program, keygen)| {
                let (key, file) = (dir.join(format!("{program}-key")), dir.join(format!("{program}-file")));
                Command::new(keygen).arg("-o").arg(&key).stderr(Stdio::null()).status().ok()?.success().then_some(())?;
                let public = Command::new(keygen).arg("-y").arg(&key).output().ok()?;
                let public = String::from_utf8(public.stdout).ok()?;
                let plain = dir.join("plain");
                fs::write(&plain, random_text()).ok()?;
                let mut sealing = Command::new(program);
                let sealed = sealing.args(["-r", public.trim(), "-o"]).arg(&file).arg(&plain).status().ok()?;
                sealed.success().then_some(Self { tool, program, key, file })
            },
        )
    }

    pub fn command(&self) -> Command {
        let mut command = Command::new(self.program);
        command.arg("-d").arg("-i").arg(&self.key).arg(&self.file);
        command
    }
}

/// A database that does nothing but commit.
pub struct Commits(rusqlite::Connection);

impl Commits {
    pub fn open(path: &Path) -> Self {
        let db = rusqlite::Connection::open(path).expect("a database");
        db.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE t (entry BLOB);")
            .expect("made");
        Self(db)
    }

    pub fn insert(&mut self) -> Cost {
        let begun = Instant::now();
        self.0.execute("INSERT INTO t VALUES (randomblob(1024))", []).expect("committed");
        Cost { wall: begun.elapsed(), cpu: None }
    }
}

pub fn this() -> PathBuf {
    std::env::current_exe().expect("this program's path")
}

fn is_this(command: &Command) -> bool {
    command.get_program() == this().as_os_str()
}

pub fn median(mut values: Vec<Duration>) -> Duration {
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or_default()
}
