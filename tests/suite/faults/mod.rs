//! The real program on a machine that fails: killed or refused at its system calls, and cut off from power
//! (ATTACKS.md H1, H2, H3, H5, H10, K6, K9).
//!
//! Whatever happened to a command, afterwards the same holds: the vault verifies, what was delivered is recorded, a
//! revocation that was acknowledged is final, keys are dead where the records say so, and the next release works.
//!
//! Needs strace, and a kernel keyring that keeps a session; where one is missing the test says so loudly and proves
//! nothing. `MANDATUM_TEST_FAULTS=full` tries every point instead of a spread of them, and a number so many;
//! `docs/testing.md` says how long that takes and what it found.

mod calls;
mod power;
mod scarce;
mod serving;
mod trace;

use crate::skip::skip;
use crate::support::{PASSPHRASE, World, copy_dir};
use mandatum::host::SystemClock;
use mandatum::model::{Clock, Zone};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

/// A session ends after a quarter of an hour without use, and a vault that is put back has not been used since it was
/// kept: a long run makes a new one this often.
const RENEWED: Duration = Duration::from_secs(8 * 60);

/// Everything a vault keeps on disk.
const DIRS: [&str; 2] = ["vault", "state"];
const EPOCH_KEYS: [&str; 4] = ["epoch-key", "epoch-key.new", "epoch-key.next", "epoch-key.next.new"];
pub const FETCH: &str = "fetch Romashka/CRM --field password";

/// How many of so many points are to be tried: all, as many as are asked for, or a sample.
fn wanted(all: usize, sample: usize) -> usize {
    match std::env::var("MANDATUM_TEST_FAULTS").as_deref() {
        Ok("full") => all,
        Ok(number) => number.parse().expect("MANDATUM_TEST_FAULTS is a number, or 'full'"),
        Err(_) => sample,
    }
}

/// All of them, or so many spread evenly over them; in an order in which a run that is cut short has tried some of each.
fn spread<T>(all: Vec<T>, sample: usize) -> Vec<T> {
    let (len, tried) = (all.len(), wanted(all.len(), sample).min(all.len()));
    let chosen = |at: usize| (at + 1) * tried / len > at * tried / len;
    let mut chosen: Vec<(usize, T)> = all.into_iter().enumerate().filter(|(at, _)| chosen(*at)).collect();
    chosen.sort_by_key(|(at, _)| at.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    chosen.into_iter().map(|(_, item)| item).collect()
}

/// A vault of today. Lena leads; Sasha is granted CRM; both and Olga are unlocked for the real program.
pub struct Bench {
    pub world: World,
    /// The passwords of CRM and Bot.
    pub secrets: [String; 2],
}

/// What the ledger says, as far as it matters here.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Told {
    released: usize,
    revoked: usize,
    narrowed: usize,
    destroyed: usize,
}

/// What a command that met a fault is known to have done.
struct Struck<'a> {
    line: &'a str,
    stdout: String,
    stderr: String,
    /// None where it was killed.
    code: Option<i32>,
}

impl Bench {
    fn new() -> Option<Self> {
        if Command::new("strace").arg("--version").stdout(Stdio::null()).status().is_err() {
            skip("strace is not installed, so no fault was tried");
            return None;
        }
        Self::without_strace()
    }

    pub fn without_strace() -> Option<Self> {
        let world = World::empty();
        // The program has the machine's clock. What is prepared here was a little before.
        world.clock.pass_to(SystemClock.now().0 - 600_000);
        world.init("Olga");
        world.unlock("Olga");
        world.add_member("Lena", "lead");
        world.add_member("Sasha", "specialist");
        world.unlock("Lena");
        let today = Zone::utc().date_of(world.clock.now()).unwrap();
        let rows = world.file("rows.csv", "system,levels,purposes\nCRM,view,x\nBot,view,x\n");
        let terms = format!("--contract 1 --signed {today} --until 2190-12-31 --rows {}", rows.display());
        world.as_member("Lena", &format!("mandate open Romashka {terms}")).done();
        for system in ["CRM", "Bot"] {
            world.as_member("Lena", &format!("credential add Romashka/{system} --generate --totp-unknown")).done();
        }
        world.as_member("Lena", "grant Sasha Romashka/CRM --level view").done();
        world.clock.set_wall(SystemClock.now().0);
        world.file("passphrase", PASSPHRASE);
        let mut bench = Self { world, secrets: Default::default() };
        for member in ["Olga", "Lena", "Sasha"] {
            let code = bench.world.fresh_code(member);
            let passphrase = bench.world.path("passphrase");
            let unlocked = bench
                .program(crate::support::binary(), member)
                .args(["unlock", "--for", "8h", "--otp-command", &format!("echo {code}"), "--passphrase-file"])
                .arg(passphrase)
                .output()
                .unwrap();
            if !unlocked.status.success() {
                skip(&String::from_utf8_lossy(&unlocked.stderr));
                return None;
            }
        }
        bench.secrets =
            ["CRM", "Bot"].map(|system| bench.done("Lena", &format!("fetch Romashka/{system} --field password")));
        assert_eq!(bench.done("Sasha", FETCH), bench.secrets[0]);
        bench.keep("ready");
        Some(bench)
    }

    /// A program that works on this vault as a member, or is the vault's own. It can ask nobody: it has no terminal,
    /// also where the tests have one.
    pub fn program(&self, program: impl AsRef<std::ffi::OsStr>, member: &str) -> Command {
        let mut command = Command::new("setsid");
        command
            .arg("--wait")
            .arg(program)
            .env("MANDATUM_VAULT", self.world.path("vault"))
            .env("MANDATUM_STATE", self.world.path("state"))
            .env("MANDATUM_MEMBER", member)
            .env_remove("MANDATUM_PASSPHRASE_FILE")
            .env_remove("MANDATUM_OTP_COMMAND")
            .stdin(Stdio::null())
            .current_dir("/");
        command
    }

    pub fn run(&self, member: &str, line: &str) -> Output {
        self.program(crate::support::binary(), member).args(line.split(' ')).output().unwrap()
    }

    #[track_caller]
    pub fn done(&self, member: &str, line: &str) -> String {
        let output = self.run(member, line);
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Keeps everything on disk under a name.
    fn keep(&self, name: &str) {
        let kept = self.world.path(&format!("kept-{name}"));
        let _ = std::fs::remove_dir_all(&kept);
        std::fs::create_dir(&kept).unwrap();
        DIRS.iter().for_each(|dir| copy_dir(&self.world.path(dir), &kept.join(dir)));
        for key in EPOCH_KEYS.iter().filter(|key| self.world.path(key).exists()) {
            std::fs::copy(self.world.path(key), kept.join(key)).unwrap();
        }
    }

    fn put_back(&self, name: &str) {
        let kept = self.world.path(&format!("kept-{name}"));
        DIRS.iter().for_each(|dir| copy_dir(&kept.join(dir), &self.world.path(dir)));
        for key in EPOCH_KEYS {
            let _ = std::fs::remove_file(self.world.path(key));
            if kept.join(key).exists() {
                std::fs::copy(kept.join(key), self.world.path(key)).unwrap();
            }
        }
    }

    /// Every file of the vault, by path.
    fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut waiting: Vec<PathBuf> =
            DIRS.iter().chain(&EPOCH_KEYS).map(|name| self.world.path(name)).filter(|path| path.exists()).collect();
        let mut files = BTreeMap::new();
        while let Some(path) = waiting.pop() {
            if path.is_dir() {
                waiting.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            } else {
                let bytes = std::fs::read(&path).unwrap();
                files.insert(path, bytes);
            }
        }
        files
    }

    fn told(&self) -> Told {
        let log: serde_json::Value = serde_json::from_str(&self.done("Lena", "log Romashka --json")).unwrap();
        let count = |event: &str| log["lines"].as_array().unwrap().iter().filter(|line| line["event"] == event).count();
        Told {
            released: count("released"),
            revoked: count("revoked"),
            narrowed: count("amended"),
            destroyed: count("destroyed"),
        }
    }

    /// As [`Bench::judge`], for one of many points: says what is wrong and lets the others be tried.
    fn holds(&self, base: Told, struck: &Struck<'_>, at: &str) -> bool {
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.judge(base, struck, at))).is_ok()
    }

    /// Judges what a fault left, and what was said before it. `base` is what the ledger said before the command.
    fn judge(&self, base: Told, struck: &Struck<'_>, at: &str) {
        let verified = self.run("Olga", "verify");
        assert!(verified.status.success(), "{at}: {}", String::from_utf8_lossy(&verified.stderr));
        let told = self.told();
        let done = struck.code == Some(0);

        // What was delivered is recorded, once; nothing else is.
        let delivered = self.secrets.iter().any(|secret| struck.stdout.contains(secret.trim()));
        let released = told.released - base.released;
        assert!(usize::from(delivered) <= released && released <= 1, "{at}: {delivered} {released}");
        assert!(!done || delivered == struck.line.starts_with("fetch"), "{at}: {}", struck.stdout);

        // A refusal is a sentence; it holds no secret, and does not tell people to give up a sound vault.
        if let Some(code @ 1..) = struck.code {
            let said = &struck.stderr;
            assert!([1, 2, 3, 5, 6, 7].contains(&code), "{at}: {code} {said}");
            assert!(said.starts_with("mandatum: ") && said.trim().len() > 30, "{at}: {said}");
            assert!(!said.contains("panicked") && !said.contains("--kit"), "{at}: {said}");
        }
        let secrets = self.secrets.iter().map(|secret| secret.trim()).chain([PASSPHRASE]);
        assert!(secrets.into_iter().all(|secret| !struck.stderr.contains(secret)), "{at}: {}", struck.stderr);

        // What ended is dead, what lives opens, and the ledger says which. `verify` above has finished what was begun.
        assert!(!done || !struck.line.starts_with("revoke") || told.revoked == 1, "{at}: {told:?}");
        assert!(!done || !struck.line.contains("amend") || told.narrowed == 1, "{at}: {told:?}");
        assert_eq!(told.destroyed, told.revoked + told.narrowed, "{at}: {told:?}");
        assert_eq!(self.done("Lena", FETCH), self.secrets[0], "{at}");
        let opens = |member: &str, system: &str, live: bool, secret: &String| {
            let output = self.run(member, &format!("fetch Romashka/{system} --field password"));
            match live {
                true => assert!(output.status.success() && output.stdout == secret.as_bytes(), "{at}: {output:?}"),
                false => assert!(matches!(output.status.code(), Some(3 | 4)), "{at}: {output:?}"),
            }
        };
        opens("Sasha", "CRM", told.revoked == 0, &self.secrets[0]);
        opens("Lena", "Bot", told.narrowed == 0, &self.secrets[1]);
        let fetched = 1 + usize::from(told.revoked == 0) + usize::from(told.narrowed == 0);
        assert_eq!(self.told().released, told.released + fetched, "{at}");
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        // The keys of these sessions would stay in the kernel's keyring.
        for member in ["Olga", "Lena", "Sasha"].iter().filter(|_| self.world.path("kept-ready").exists()) {
            let _ = self.run(member, "lock");
        }
    }
}
