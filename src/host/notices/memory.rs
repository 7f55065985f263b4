//! What was told already: `notices.json` in the state directory. Keyed digests and dates, no name.

use crate::api::{Notice, NoticeKind, Refusal};
use crate::host::places;
use crate::model::{Digest, Instant};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Days before an end at which somebody is warned, the last one first.
const THRESHOLDS: [i64; 4] = [1, 7, 14, 30];
const MINUTE_MS: i64 = 60 * 1000;
const DAY_MS: i64 = 24 * 60 * MINUTE_MS;
/// What a person can act on today is said again after a day, the rest after a week.
const URGENT_AGAIN_MS: i64 = DAY_MS;
const AGAIN_MS: i64 = 7 * DAY_MS;
/// The longest pause between attempts.
const PAUSE_MAX_MS: i64 = 60 * MINUTE_MS;
/// How often it is noted that rounds are made at all.
const NOTE_ROUND_MS: i64 = 60 * MINUTE_MS;

/// A way out.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    Mail,
    Webhook,
    /// Operators' checkpoints.
    Copies,
}

#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    format: u32,
    /// When a round was made, about.
    round: Option<Instant>,
    told: BTreeMap<Digest, BTreeMap<Channel, Mark>>,
    trouble: BTreeMap<Channel, Trouble>,
    /// The month for which every operator has their checkpoint.
    handed_out: String,
    /// In the month under way: which mandate's, by which way.
    handed: BTreeSet<(Digest, String, String)>,
}

/// What was said of one thing last.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Mark {
    /// The threshold; 0 for what has none.
    step: i64,
    at: Instant,
}

/// A way out that does not work.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Trouble {
    tries: u32,
    since: Instant,
    /// Not before.
    again: Instant,
    why: String,
}

pub struct Memory {
    kept: Kept,
    written: Kept,
}

impl Memory {
    pub fn read(state: &Path) -> Result<Self, Refusal> {
        let path = state.join("notices.json");
        let kept = match std::fs::read(&path) {
            Ok(bytes) => {
                serde_json::from_slice(&bytes).ok().filter(|kept: &Kept| kept.format == 1).ok_or_else(|| {
                    let sentence = "is not what was written there; move it away, and everything open is told once more";
                    Refusal::input(path.display().to_string(), sentence)
                })?
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Kept { format: 1, ..Kept::default() },
            Err(error) => return Err(Refusal::Failed(format!("{}: {error}", path.display()))),
        };
        Ok(Self { written: kept.clone(), kept })
    }

    /// Writes what changed; that a round was made at all once an hour.
    pub fn write(&mut self, state: &Path, now: Instant) -> Result<(), Refusal> {
        if self.kept.round.is_none_or(|round| now.since(round) >= NOTE_ROUND_MS || now < round) {
            self.kept.round = Some(now);
        }
        if self.kept == self.written {
            return Ok(());
        }
        let bytes = serde_json::to_vec(&self.kept).map_err(|error| Refusal::Failed(error.to_string()))?;
        places::replace_private(state, "notices.json", &bytes)?;
        self.written = self.kept.clone();
        Ok(())
    }

    /// Forgets what is over, and attempts of a clock that was set back since.
    pub fn begin_round(&mut self, notices: &[Notice], now: Instant) {
        let open: BTreeSet<Digest> = notices.iter().map(|notice| notice.key).collect();
        self.kept.told.retain(|key, _| open.contains(key));
        for trouble in self.kept.trouble.values_mut() {
            trouble.again = trouble.again.min(now.plus(PAUSE_MAX_MS));
        }
    }

    /// What is new on any of these.
    pub fn due(&self, notices: &[Notice], now: Instant, channels: &[Channel]) -> Vec<Notice> {
        let is_due = |notice: &&Notice| channels.iter().any(|channel| self.is_new(*channel, notice, now));
        notices.iter().filter(is_due).cloned().collect()
    }

    pub fn new_on(&self, channel: Channel, notices: &[Notice], now: Instant) -> Vec<Notice> {
        notices.iter().filter(|notice| self.is_new(channel, notice, now)).cloned().collect()
    }

    fn is_new(&self, channel: Channel, notice: &Notice, now: Instant) -> bool {
        let said = self.kept.told.get(&notice.key).and_then(|marks| marks.get(&channel));
        match (said, step(notice)) {
            (_, None) => false,
            (None, _) => true,
            (Some(said), Some(step)) if notice.kind.is_term() => step < said.step,
            (Some(said), _) => now.since(said.at) >= again(notice.kind),
        }
    }

    pub fn tell(&mut self, channel: Channel, notice: &Notice, now: Instant) {
        let mark = Mark { step: step(notice).unwrap_or(0), at: now };
        self.kept.told.entry(notice.key).or_default().insert(channel, mark);
    }

    /// Names one telling: the same while it is tried again, another at the next threshold or the next day.
    pub fn id(&self, notice: &Notice, now: Instant) -> String {
        let turn = match step(notice) {
            Some(step) if notice.kind.is_term() => step,
            _ => now.0.div_euclid(again(notice.kind)),
        };
        super::digest_of(&[notice.key.to_string(), turn.to_string()])
    }

    /// Notes an attempt, if it may be made now: until it is settled it counts as one that failed.
    pub fn begin(&mut self, channel: Channel, now: Instant) -> bool {
        let known = self.kept.trouble.get(&channel);
        if known.is_some_and(|trouble| now < trouble.again) {
            return false;
        }
        let tries = known.map_or(0, |trouble| trouble.tries).saturating_add(1);
        let pause = (MINUTE_MS << (tries - 1).min(16)).min(PAUSE_MAX_MS);
        let since = known.map_or(now, |trouble| trouble.since);
        let trouble = Trouble { tries, since, again: now.plus(pause), why: "the attempt did not end".to_owned() };
        self.kept.trouble.insert(channel, trouble);
        true
    }

    pub fn succeed(&mut self, channel: Channel) {
        self.kept.trouble.remove(&channel);
    }

    pub fn fail(&mut self, channel: Channel, why: &str) {
        if let Some(trouble) = self.kept.trouble.get_mut(&channel) {
            why.clone_into(&mut trouble.why);
        }
    }

    pub fn is_handed_out(&self, month: &str) -> bool {
        self.kept.handed_out == month
    }

    pub fn hand_out(&mut self, month: &str) {
        month.clone_into(&mut self.kept.handed_out);
        self.kept.handed.clear();
    }

    pub fn has(&self, key: &Digest, way: &str, month: &str) -> bool {
        self.kept.handed.contains(&(*key, way.to_owned(), month.to_owned()))
    }

    pub fn handed(&mut self, key: &Digest, way: &str, month: &str) {
        self.kept.handed.insert((*key, way.to_owned(), month.to_owned()));
    }

    /// In a sentence: what works, or what does not and since when.
    pub fn health(&self, now: Instant) -> Result<String, String> {
        let named = |(channel, trouble): (&Channel, &Trouble)| {
            let name = match channel {
                Channel::Mail => "mail",
                Channel::Webhook => "webhook",
                Channel::Copies => "operators' checkpoints",
            };
            format!("{name} not delivered since {}, tried {} times: {}", trouble.since, trouble.tries, trouble.why)
        };
        let troubles: Vec<String> = self.kept.trouble.iter().map(named).collect();
        if !troubles.is_empty() {
            return Err(troubles.join("; "));
        }
        match self.kept.round {
            Some(round) if now.since(round) < DAY_MS => Ok(format!("last round about {round}")),
            Some(round) => Err(format!("no round was made since {round}")),
            None => Err("configured, and no round was ever made".to_owned()),
        }
    }
}

/// The threshold a term has reached; none before the first. Anything else is said at once.
fn step(notice: &Notice) -> Option<i64> {
    if !notice.kind.is_term() {
        return Some(0);
    }
    THRESHOLDS.into_iter().find(|days| notice.days <= *days)
}

fn again(kind: NoticeKind) -> i64 {
    if matches!(kind, NoticeKind::Clock | NoticeKind::Incident | NoticeKind::Request) {
        URGENT_AGAIN_MS
    } else {
        AGAIN_MS
    }
}
