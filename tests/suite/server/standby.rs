//! Two real processes on one vault: one serves, the other takes over when the first is killed.

use crate::support::{World, homes};
use mandatum::host::SystemClock;
use mandatum::model::Clock;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How long members may be without a broker.
const TAKEOVER: Duration = Duration::from_secs(10);

/// The binary, serving a world's vault over HTTPS on this machine.
pub struct Process {
    child: Child,
    pub url: String,
    pub pin: mandatum::model::Digest,
    log: Arc<Mutex<String>>,
}

impl Process {
    pub fn start(world: &World) -> Self {
        Self::start_in(world.dir.path(), &[]).unwrap_or_else(|said| panic!("it ended: {said}"))
    }

    /// Serves the vault in a directory, with further options.
    ///
    /// # Errors
    /// What it said where it ended before it served.
    pub fn start_in(dir: &Path, more: &[&str]) -> Result<Self, String> {
        let mut child = Command::new(crate::support::binary())
            .arg("--vault")
            .arg(dir.join("vault"))
            .arg("--state")
            .arg(dir.join("state"))
            .args(["serve", "--listen", "127.0.0.1:0"])
            .args(more)
            .env("RUST_LOG", "trace")
            .envs(homes(dir))
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let log = Arc::new(Mutex::new(String::new()));
        let begun = loop {
            let Some(line) = lines.next() else {
                child.wait().unwrap();
                return Err(log.lock().unwrap().clone());
            };
            let line = line.unwrap();
            log.lock().unwrap().push_str(&line);
            let said: Value = serde_json::from_str(&line).unwrap_or_default();
            if said["event"] == "serving" {
                break said;
            }
        };
        let kept = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                kept.lock().unwrap().push_str(&line);
            }
        });
        let url = format!("https://{}", begun["https"].as_str().unwrap());
        Ok(Self { child, url, pin: serde_json::from_value(begun["pin"].clone()).unwrap(), log })
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Everything it said so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// As a power cut ends it: nothing is finished, nothing is said.
    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub fn said(&self, what: &str) -> bool {
        self.log.lock().unwrap().contains(what)
    }

    /// Waits until it says so.
    pub fn says(&self, what: &str) {
        let begun = Instant::now();
        while !self.said(what) {
            assert!(begun.elapsed() < 2 * TAKEOVER, "{what}: {}", self.log.lock().unwrap());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A vault by the machine's own clock, with one login that Lena may fetch.
pub fn of_today(world: World) -> World {
    world.clock.pass_to(SystemClock.now().0 - 600_000);
    world.init("Olga");
    world.unlock("Olga");
    world.add_member("Lena", "lead");
    let today = mandatum::model::Zone::utc().date_of(world.clock.now()).unwrap();
    let table = "system;category;platform;data;levels;purposes\nCRM;CRM;amoCRM;contacts;view;leads\n";
    let rows = world.file("rows.csv", table);
    world.unlock("Lena");
    let terms = format!("--contract 1 --signed {today} --until 2190-12-31");
    world.as_member("Lena", &format!("mandate open Romashka {terms} --rows {}", rows.display())).done();
    world.as_member("Lena", "credential add Romashka/CRM --user a --generate --totp-unknown").done();
    world.clock.set_wall(SystemClock.now().0);
    world
}

fn releases(world: &World) -> usize {
    let log = world.as_member("Lena", "log Romashka --json").done().json();
    log["lines"].as_array().unwrap().iter().filter(|line| line["event"] == "released").count()
}

/// Kills the serving broker three times in the middle of work. Whoever stands by serves within ten seconds; every
/// secret that arrived has its record, and at most one record a kill has no arrival: the answer that was under way.
pub fn a_standby_takes_over_and_nothing_is_released_twice_or_unrecorded() {
    let world = of_today(World::empty());
    let (mut serving, mut waiting) = (Process::start(&world), Process::start(&world));
    assert!(waiting.said("standby") && !serving.said("standby"));
    assert_eq!(waiting.pin, serving.pin);
    world.go_remote(&[serving.url.clone(), waiting.url.clone()], Some(serving.pin));
    world.unlock("Lena");
    let before = releases(&world);
    let mut arrived = 0;
    for _ in 0..3 {
        let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
        std::thread::scope(|scope| {
            let fetching = Arc::clone(&stop);
            let (world, counted) = (&world, &mut arrived);
            scope.spawn(move || {
                while !fetching.load(std::sync::atomic::Ordering::SeqCst) {
                    *counted += usize::from(world.as_member("Lena", "fetch Romashka/CRM --json").code == 0);
                }
            });
            std::thread::sleep(Duration::from_millis(1500));
            serving.kill();
            stop.store(true, std::sync::atomic::Ordering::SeqCst);
        });
        let killed = Instant::now();
        while world.as_member("Lena", "fetch Romashka/CRM --json").code != 0 {
            assert!(killed.elapsed() < TAKEOVER, "nobody took over: {}", waiting.log.lock().unwrap());
            std::thread::sleep(Duration::from_millis(20));
        }
        arrived += 1;
        eprintln!("taken over after {} ms", killed.elapsed().as_millis());
        // The one that was killed comes back, and now waits.
        serving = std::mem::replace(&mut waiting, Process::start(&world));
        world.go_remote(&[serving.url.clone(), waiting.url.clone()], Some(serving.pin));
    }
    let recorded = releases(&world) - before;
    assert!((arrived..=arrived + 3).contains(&recorded), "{arrived} arrived, {recorded} recorded");
    world.as_member("Olga", "unlock").done();
    world.as_member("Olga", "verify").done();
}

#[test]
fn a_killed_broker_is_followed_by_the_one_that_stood_by() {
    a_standby_takes_over_and_nothing_is_released_twice_or_unrecorded();
}
