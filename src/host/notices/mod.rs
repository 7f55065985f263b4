//! Service by the clock: warns of terms that end, incidents and requests, and hands operators a checkpoint each month.
//!
//! Guarantees: each threshold of a term warns once, the nearest one after a pause; what stays open is said again. What
//! was told is remembered by keyed digests and dates alone, written before and after each delivery, so that a crash or
//! a full disk never makes a flood. A delivery that failed is tried again, ever more slowly, and `doctor` names it.

mod config;
mod memory;
mod words;

pub use config::Config;

use self::memory::{Channel, Memory};
use super::places;
use crate::api::{Notice, NoticeKind, NoticesReport, OperatorCheckpoint, Places, Refusal};
use crate::broker::Broker;
use crate::crypto::Hasher;
use crate::model::{Clock, Date, Instant, Jurisdiction, Name};
use crate::paperwork::law::Law;
use crate::post::{Enclosure, Letter, MailAddress, PostError, copy_name};
use serde::Serialize;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The ticker of one vault.
pub struct Notices {
    broker: Arc<Broker>,
    clock: Arc<dyn Clock>,
    state: PathBuf,
    config: Config,
}

/// What a webhook receives.
#[derive(Serialize)]
struct Posted<'a> {
    /// The same when it is sent again.
    id: &'a str,
    /// When it is sent.
    at: Instant,
    kind: NoticeKind,
    operator: Option<&'a str>,
    what: &'a str,
    days: i64,
    /// The end of the term, or when it began.
    when: Instant,
}

impl Notices {
    /// For a broker on this machine, with its state directory.
    pub fn new(broker: Arc<Broker>, clock: Arc<dyn Clock>, state: PathBuf, config: Config) -> Self {
        Self { broker, clock, state, config }
    }

    /// One round: asks the broker, sends what is new, remembers it. What could not be delivered is in the report.
    ///
    /// # Errors
    /// [`Refusal`] where the vault does not open or what was told cannot be remembered; then nothing is sent.
    pub fn tick(&self) -> Result<NoticesReport, Refusal> {
        let report = NoticesReport { configured: true, ..NoticesReport::default() };
        // Two hosts' rounds at once would say everything twice; whoever comes second leaves it to the first.
        let Some(_alone) = places::try_lock(&self.state, "notices.lock")? else {
            return Ok(NoticesReport { busy: true, ..report });
        };
        let (today, notices) = overdue_only(self.broker.notices()?)?;
        let mut round = Round { notices: self, memory: Memory::read(&self.state)?, now: self.clock.now(), report };
        round.memory.begin_round(&notices, round.now);
        round.report.due = round.memory.due(&notices, round.now, &self.config.channels());
        round.mail(&notices)?;
        round.post(&notices)?;
        round.hand_out(today)?;
        round.memory.write(&self.state, round.now)?;
        Ok(round.report)
    }
}

/// What is due now, as if nothing but what is remembered had been told; nothing is sent.
pub fn preview(broker: &Broker, at: &Places, now: Instant) -> Result<NoticesReport, Refusal> {
    let (_, notices) = overdue_only(broker.notices()?)?;
    let config = Config::read_if_any(at)?;
    let channels = config.as_ref().map_or_else(|| vec![Channel::Mail], Config::channels);
    let due = Memory::read(&at.state)?.due(&notices, now, &channels);
    Ok(NoticesReport { configured: config.is_some(), due, ..NoticesReport::default() })
}

/// What `doctor` says: the configuration, when a round was last made, and what waits to be delivered.
pub fn health(at: &Places, now: Instant) -> Result<String, String> {
    if !config::path(at).exists() {
        return Ok("none are configured".to_owned());
    }
    Config::read(at).map_err(|refusal| refusal.to_string())?;
    Memory::read(&at.state).map_err(|refusal| refusal.to_string())?.health(now)
}

/// A review is due when the law says so; the broker only says when the last one was.
fn overdue_only((today, mut notices): (Date, Vec<Notice>)) -> Result<(Date, Vec<Notice>), Refusal> {
    let law = |jurisdiction| Law::built_in(jurisdiction).map_err(|error| Refusal::Failed(error.to_string()));
    let (ru, eu) = (law(Jurisdiction::Ru)?.review_ms(), law(Jurisdiction::Eu)?.review_ms());
    notices.retain(|notice| {
        let often = if notice.jurisdiction == Jurisdiction::Ru { ru } else { eu };
        notice.kind != NoticeKind::Review || notice.days.saturating_mul(24 * 60 * 60 * 1000) >= often
    });
    Ok((today, notices))
}

/// One round under way.
struct Round<'a> {
    notices: &'a Notices,
    memory: Memory,
    now: Instant,
    report: NoticesReport,
}

impl Round<'_> {
    /// Everything new in one letter.
    fn mail(&mut self, notices: &[Notice]) -> Result<(), Refusal> {
        let config = &self.notices.config;
        let Some(mailer) = config.mailer.as_ref().filter(|_| !config.to.is_empty()) else { return Ok(()) };
        let new = self.memory.new_on(Channel::Mail, notices, self.now);
        if new.is_empty() || !self.begin(Channel::Mail)? {
            return Ok(());
        }
        let ids: Vec<String> = new.iter().map(|notice| self.memory.id(notice, self.now)).collect();
        let (subject, text) = words::letter(config.lang, &new)?;
        let letter = Letter {
            to: &config.to,
            subject: &subject,
            text: &text,
            id: &digest_of(&ids),
            at: self.now,
            enclosure: None,
        };
        let sent = mailer.send(&letter);
        if self.settled(Channel::Mail, "mail", sent) {
            self.report.mailed += 1;
            new.iter().for_each(|notice| self.memory.tell(Channel::Mail, notice, self.now));
        }
        self.memory.write(&self.notices.state, self.now)
    }

    /// Each new one by itself, until one does not go through.
    fn post(&mut self, notices: &[Notice]) -> Result<(), Refusal> {
        let Some(webhook) = &self.notices.config.webhook else { return Ok(()) };
        let new = self.memory.new_on(Channel::Webhook, notices, self.now);
        if new.is_empty() || !self.begin(Channel::Webhook)? {
            return Ok(());
        }
        for notice in new {
            let id = self.memory.id(&notice, self.now);
            let posted = Posted {
                id: &id,
                at: self.now,
                kind: notice.kind,
                operator: notice.operator.as_ref().map(Name::as_str),
                what: &notice.what,
                days: notice.days,
                when: notice.at,
            };
            let body = serde_json::to_vec(&posted).map_err(|error| Refusal::Failed(error.to_string()))?;
            let sent = webhook.post(&body, self.now);
            let stop = sent.is_err();
            if self.settled(Channel::Webhook, "webhook", sent) {
                self.report.posted += 1;
                self.memory.tell(Channel::Webhook, &notice, self.now);
            }
            if stop {
                break;
            }
        }
        self.memory.write(&self.notices.state, self.now)
    }

    /// On the first round of a month, each configured operator's checkpoint; what fails is tried again this month.
    fn hand_out(&mut self, today: Date) -> Result<(), Refusal> {
        let month: String = today.to_string().chars().take(7).collect();
        if self.notices.config.operators.is_empty() || self.memory.is_handed_out(&month) {
            return Ok(());
        }
        if !self.begin(Channel::Copies)? {
            return Ok(());
        }
        let mut failures = Vec::new();
        for head in self.notices.broker.checkpoints()?.heads {
            let Some(recipient) = self.notices.config.recipient(&head.operator) else { continue };
            let name = copy_name(&format!("{}-{}", head.operator, head.contract), today, "mandatum-checkpoint");
            if let Some(folder) = recipient.folder.as_ref().filter(|_| !self.memory.has(&head.key, "folder", &month)) {
                match put(folder, &name, head.note.as_bytes()) {
                    Ok(()) => self.handed(&head, "folder", &month),
                    Err(error) => failures.push(format!("{}: {}", folder.display(), error.kind())),
                }
            }
            if let Some(to) = recipient.mail.as_ref().filter(|_| !self.memory.has(&head.key, "mail", &month)) {
                match self.mail_checkpoint(&head, to, &name, &month) {
                    Ok(()) => self.handed(&head, "mail", &month),
                    Err(error) => failures.push(format!("{to}: {error}")),
                }
            }
        }
        if failures.is_empty() {
            self.memory.hand_out(&month);
            self.memory.succeed(Channel::Copies);
        } else {
            self.memory.fail(Channel::Copies, &format!("{} of the checkpoints", failures.len()));
            self.report
                .failed
                .extend(failures.into_iter().map(|failure| format!("checkpoint for an operator: {failure}")));
        }
        self.memory.write(&self.notices.state, self.now)
    }

    fn handed(&mut self, head: &OperatorCheckpoint, way: &str, month: &str) {
        self.report.checkpoints += 1;
        self.memory.handed(&head.key, way, month);
    }

    fn mail_checkpoint(
        &self,
        head: &OperatorCheckpoint,
        to: &MailAddress,
        name: &str,
        month: &str,
    ) -> Result<(), PostError> {
        let config = &self.notices.config;
        let Some(mailer) = &config.mailer else { return Ok(()) };
        let (subject, text) = words::checkpoint(config.lang, head);
        let letter = Letter {
            to: std::slice::from_ref(to),
            subject: &subject,
            text: &text,
            id: &digest_of(&[head.key.to_string(), month.to_owned()]),
            at: self.now,
            enclosure: Some(Enclosure { name, bytes: head.note.as_bytes() }),
        };
        mailer.send(&letter)
    }

    /// Whether it may be tried now. An attempt is on file before it is made: what cannot be remembered is not begun.
    fn begin(&mut self, channel: Channel) -> Result<bool, Refusal> {
        if !self.memory.begin(channel, self.now) {
            return Ok(false);
        }
        self.memory.write(&self.notices.state, self.now)?;
        Ok(true)
    }

    fn settled(&mut self, channel: Channel, name: &str, sent: Result<(), PostError>) -> bool {
        match sent {
            Ok(()) => self.memory.succeed(channel),
            Err(error) => {
                self.memory.fail(channel, &error.to_string());
                self.report.failed.push(format!("{name}: {error}"));
                return false;
            }
        }
        true
    }
}

/// One id for several.
fn digest_of(parts: &[String]) -> String {
    let digest = parts.iter().fold(Hasher::default(), |hasher, part| hasher.with(part.as_bytes()).with(b"\n")).finish();
    digest.to_string().chars().take(32).collect()
}

/// A new file in an operator's folder; one that is there with these bytes is from an attempt that did not end.
fn put(folder: &Path, name: &str, bytes: &[u8]) -> std::io::Result<()> {
    let path = folder.join(name);
    if std::fs::read(&path).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    let mut file = OpenOptions::new().write(true).create_new(true).open(&path)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    if written.is_err() {
        let _ = std::fs::remove_file(&path);
    }
    written
}
