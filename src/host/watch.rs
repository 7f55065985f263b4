//! What a serving broker does by itself: waits for its turn where another one serves the vault, then looks at the clock
//! every minute.
//!
//! Several brokers may be started on one state directory, on one machine or on several that share it. Whoever holds the
//! lock file `active` serves; the others answer that they stand by. The operating system frees the lock when a process
//! ends, however it ends, and the next one opens what is on disk then: every call takes the state lock besides, so that
//! two who both believe to be active could not write at once either.

use super::notices::{self, Notices};
use super::places;
use crate::api::{Places, Refusal};
use crate::broker::Broker;
use crate::model::Clock;
use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often one that stands by tries, and how soon a watch notices that it is to stop.
const LOOK: Duration = Duration::from_millis(200);
/// How often an active one looks at the clock, and whether the vault still opens.
const ROUND: Duration = Duration::from_secs(5);
/// How many of these rounds pass before it looks who is to be told of something.
const NOTICES: u32 = 12;

/// The watch of one serving process.
pub struct Watch {
    active: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// Takes an event and a sentence.
pub type Say = Arc<dyn Fn(&str, &str) + Send + Sync>;

/// What the watch works with.
#[derive(Clone)]
pub struct Watched {
    /// The broker.
    pub broker: Arc<Broker>,
    /// Where its vault is.
    pub at: Places,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Says what nobody asked for: an event and a sentence.
    pub say: Say,
}

impl Watch {
    /// Begins to watch. Where no other broker is active, the vault is open when this returns.
    ///
    /// # Errors
    /// The vault does not open, or the lock file cannot be made.
    pub fn begin(watched: Watched) -> Result<Self, Refusal> {
        let (active, stop) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let turn = places::try_lock(&watched.at.state, "active")?;
        if turn.is_some() {
            watched.broker.look()?;
            active.store(true, Ordering::SeqCst);
        } else {
            (watched.say)("standby", "another broker serves this vault");
        }
        let (is_active, is_over) = (Arc::clone(&active), Arc::clone(&stop));
        let work = move || watched.keep(turn, &is_active, &is_over);
        let thread = std::thread::Builder::new().name("watch".into()).spawn(work);
        let thread = thread.map_err(|error| Refusal::Failed(format!("the watch cannot begin: {error}")))?;
        Ok(Self { active, stop, thread: Some(thread) })
    }

    /// Whether this process is the active one, for the server to ask.
    pub fn ready(&self) -> Arc<dyn Fn() -> bool + Send + Sync> {
        let active = Arc::clone(&self.active);
        Arc::new(move || active.load(Ordering::SeqCst))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Watched {
    fn keep(&self, turn: Option<File>, active: &AtomicBool, stop: &AtomicBool) {
        let (mut turn, mut rounds) = (turn, 0..);
        while !stop.load(Ordering::SeqCst) {
            if turn.is_none() {
                turn = self.wait(active, stop);
            }
            if let Err(Refusal::Failed(why)) = self.round(rounds.next().unwrap_or(0)) {
                // Another one may reach what this one does not.
                active.store(false, Ordering::SeqCst);
                turn = None;
                (self.say)("standby", &format!("the vault does not open here: {why}"));
                std::thread::sleep(LOOK);
                continue;
            }
            let mut waited = Duration::ZERO;
            while waited < ROUND && !stop.load(Ordering::SeqCst) {
                std::thread::sleep(LOOK);
                waited += LOOK;
            }
        }
    }

    /// Stands by until it is this one's turn and the vault is open.
    fn wait(&self, active: &AtomicBool, stop: &AtomicBool) -> Option<File> {
        let mut told = String::new();
        while !stop.load(Ordering::SeqCst) {
            let turn = places::try_lock(&self.at.state, "active");
            match turn.and_then(|turn| turn.map(|turn| self.broker.look().map(|()| turn)).transpose()) {
                Ok(Some(turn)) => {
                    active.store(true, Ordering::SeqCst);
                    (self.say)("active", "this broker serves the vault from now on");
                    return Some(turn);
                }
                Ok(None) => {}
                // Said once for each reason; the turn is given back and tried for again.
                Err(refusal) if refusal.to_string() != told => {
                    told = refusal.to_string();
                    (self.say)("standby", &told);
                }
                Err(_) => {}
            }
            std::thread::sleep(LOOK);
        }
        None
    }

    /// One look at the clock: what is over is swept, and whoever is to be told is told.
    ///
    /// # Errors
    /// The vault does not open.
    fn round(&self, number: u32) -> Result<(), Refusal> {
        self.broker.look()?;
        if !number.is_multiple_of(NOTICES) {
            return Ok(());
        }
        let told = notices::Config::read_if_any(&self.at).and_then(|config| {
            let Some(config) = config else { return Ok(Vec::new()) };
            let (broker, clock) = (Arc::clone(&self.broker), Arc::clone(&self.clock));
            Notices::new(broker, clock, self.at.state.clone(), config).tick().map(|report| report.failed)
        });
        match told {
            Ok(failed) => failed.iter().for_each(|failed| (self.say)("notices", failed)),
            Err(refusal) => (self.say)("notices", &refusal.to_string()),
        }
        Ok(())
    }
}
