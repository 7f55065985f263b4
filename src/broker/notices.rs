//! What the host sends on by the clock. Only the machine that runs the broker can ask for it: no request, no member,
//! nothing released. As in every call, what is over is swept first.

use super::overview::{DAY_MS, due_in};
use super::vault::Vault;
use super::{Broker, clock_name};
use crate::api::{Checkpoints, DueLine, Notice, NoticeKind, OperatorCheckpoint, Refusal};
use crate::model::{Date, Digest, Instant, Jurisdiction, Mandate, Phase};

/// How far ahead notices look, days.
const AHEAD_DAYS: u32 = 30;

impl Broker {
    /// Everything somebody may have to be told now, and today's date in the agency's zone. Which of it is new, the
    /// caller remembers by the keys.
    ///
    /// # Errors
    /// [`Refusal`] where the vault does not open.
    pub fn notices(&self) -> Result<(Date, Vec<Notice>), Refusal> {
        self.with_vault(|vault, _| {
            let mandates = vault.mandates()?;
            let mut notices: Vec<Notice> = clock(vault).into_iter().collect();
            notices.extend(mandates.iter().flat_map(|mandate| of_mandate(vault, mandate)));
            Ok((today(vault)?, notices))
        })
    }

    /// Every active mandate's signed head. That one was made is not recorded: nothing is released by it.
    ///
    /// # Errors
    /// As [`Broker::notices`].
    pub fn checkpoints(&self) -> Result<Checkpoints, Refusal> {
        self.with_vault(|vault, _| {
            let mut heads = Vec::new();
            for mandate in vault.mandates()?.into_iter().filter(|mandate| mandate.phase == Phase::Active) {
                let note = vault.head(mandate.unit)?.sign();
                let key = key(vault, &mandate, "checkpoint", "");
                let contract = mandate.contract.to_string();
                heads.push(OperatorCheckpoint { operator: mandate.operator, contract, note, key });
            }
            Ok(Checkpoints { today: today(vault)?, heads })
        })
    }
}

fn today(vault: &Vault<'_>) -> Result<Date, Refusal> {
    let today = vault.roster.zone.date_of(vault.now());
    today.ok_or_else(|| Refusal::Failed("the clock shows no date".to_owned()))
}

/// A clock that is not believed is somebody's task, and says nothing about terms.
fn clock(vault: &Vault<'_>) -> Option<Notice> {
    if vault.clock.may_destroy() {
        return None;
    }
    let at = vault.anchor.core().high.at;
    Some(Notice {
        kind: NoticeKind::Clock,
        operator: None,
        what: clock_name(vault.clock).to_owned(),
        at,
        days: vault.now().since(at).max(0).div_euclid(DAY_MS),
        told: None,
        jurisdiction: Jurisdiction::default(),
        zone: vault.roster.zone.clone(),
        key: vault.label("notice\nclock".to_owned()),
    })
}

fn of_mandate(vault: &Vault<'_>, mandate: &Mandate) -> Vec<Notice> {
    let mut notices = Vec::new();
    if mandate.phase == Phase::Active {
        if vault.clock.may_destroy() {
            let ends = due_in(vault, mandate, None, AHEAD_DAYS);
            notices.extend(ends.iter().filter_map(|line| term(vault, mandate, line)));
        }
        let reviewed = mandate.reviewed.unwrap_or(mandate.since);
        notices.push(since(vault, mandate, NoticeKind::Review, String::new(), reviewed, ""));
    }
    for request in mandate.waiting() {
        let what = format!("{}, {}", request.wish.system, vault.name_of(request.by));
        notices.push(since(vault, mandate, NoticeKind::Request, what, request.at, &request.wish.id.to_string()));
    }
    if let Some(draft) = mandate.draft().filter(|draft| draft.questions > 0) {
        notices.push(since(vault, mandate, NoticeKind::Draft, draft.questions.to_string(), mandate.since, ""));
    }
    for incident in mandate.open_incidents() {
        let (what, at) = (incident.facts.kind.name().to_owned(), incident.facts.detected);
        let notice = since(vault, mandate, NoticeKind::Incident, what, at, &incident.facts.id.to_string());
        notices.push(Notice { told: incident.told(), ..notice });
    }
    notices
}

/// The end of a term, as `due` lists it.
fn term(vault: &Vault<'_>, mandate: &Mandate, line: &DueLine) -> Option<Notice> {
    let kind = match line.what.as_str() {
        "mandate" => NoticeKind::Mandate,
        "row" => NoticeKind::Row,
        "grant" => NoticeKind::Grant,
        _ => return None,
    };
    let parts = [&line.system, &line.member].into_iter().flatten();
    let what = parts.map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
    let left = line.until.since(vault.now());
    // Another end is another notice: an amended term warns anew.
    let subject = format!("{what}\n{}", line.until.0);
    let notice = since(vault, mandate, kind, what, line.until, &subject);
    Some(Notice { days: left.max(0).saturating_add(DAY_MS - 1).div_euclid(DAY_MS), ..notice })
}

fn since(vault: &Vault<'_>, mandate: &Mandate, kind: NoticeKind, what: String, at: Instant, subject: &str) -> Notice {
    Notice {
        kind,
        operator: Some(mandate.operator.clone()),
        what,
        at,
        days: vault.now().since(at).max(0).div_euclid(DAY_MS),
        told: None,
        jurisdiction: mandate.jurisdiction,
        zone: mandate.zone.clone(),
        key: key(vault, mandate, &format!("{kind:?}"), subject),
    }
}

/// A label under the broker's key. No name holds a line end, so none is ever labelled alike.
fn key(vault: &Vault<'_>, mandate: &Mandate, kind: &str, subject: &str) -> Digest {
    vault.label(format!("notice\n{kind}\n{}\n{subject}", mandate.unit))
}
