//! Facts of each document, from the mandate's state and its verified ledger.

use super::{Given, Written, day};
use crate::api::{ExposureLine, IncidentView, MandateView, MemberLine};
use crate::cli::failure::Failure;
use crate::ledger::{Outcome as Recorded, Record, Verified};
use crate::model::{
    Credential, Date, Decision, Event, Evidence, Grant, Instant, Kind, Level, Name, Role, Row, SecondFactor, Step, Text,
};
use crate::paperwork::catalogue::{Catalogue, Found};
use crate::paperwork::documents::{
    self, AccessLogExtract, AccessRow, AdmissionOrder, Admitted, Backup, BackupsEnd, Basis, Clocks, ConfirmationLetter,
    Copies, CopiesOutside, Enclosure, EndedAccess, EventLog, Exposed, Finality, IncidentNotice, LogEntry, LogHead,
    Mandate, Measure, MemberRoles, OnPlatform, Outcome, People, Person, Press, ProofPackage, ReviewDue, ReviewItem,
    ReviewSheet, RevocationItem, RevocationList, SafeguardItem, Safeguards, Stage, TerminationAct, Vaulted,
    Verification, Wider,
};
use crate::paperwork::law::Law;
use crate::paperwork::{Lang, Sheet};
use std::collections::{BTreeMap, BTreeSet};

/// From what age a secret is a finding, days.
const OLD_AFTER_DAYS: u64 = 365;

/// What documents are made from.
pub struct Source {
    pub view: MandateView,
    pub verified: Verified,
    pub exposure: Vec<ExposureLine>,
    pub members: Vec<MemberLine>,
    pub backups: Vec<Instant>,
    pub given: Given,
    pub me: Name,
    pub at: Instant,
    pub extract: Vec<u8>,
}

/// What an extract is called.
pub fn extract_title(lang: Lang) -> &'static str {
    lang.pick("Выписка из журнала хранилища (файл для проверки)", "Extract of the vault's ledger (file to be verified)")
}

/// A name as a text.
fn text(name: &Name) -> Text {
    Text::parse(name.as_str()).unwrap_or_default()
}

impl Source {
    /// The document of a kind.
    ///
    /// # Errors
    /// Usage for an unknown kind; input where a final act lacks something.
    pub fn sheet(
        &self,
        kind: &str,
        press: &Press<'_>,
        catalogue: &Catalogue,
        law: &Law,
        is_final: bool,
    ) -> Result<Sheet, Failure> {
        Ok(match kind {
            "mandate" => self.mandate(law).sheet(press),
            "order" => self.order().sheet(press)?,
            "act" => self.act(press.lang, is_final).sheet(press)?,
            "letter" => self.letter(press.lang).sheet(press)?,
            "log" => self.log().sheet(press)?,
            "review" => self.review(press.lang, law).sheet(press),
            "revocation" => self.revocation(press.lang, catalogue).sheet(press),
            other => {
                let known = "mandate, order, act, letter, log, review, revocation, package, closing";
                return Err(Failure::usage(format!("'{other}' is no document; there are {known}")));
            }
        })
    }

    fn operator(&self) -> documents::Party {
        self.given.operator.party(self.view.mandate.operator.as_str())
    }

    fn processor(&self) -> documents::Party {
        self.given.processor.party("")
    }

    fn heading(&self) -> documents::Heading {
        self.given.heading(self.view.mandate.source)
    }

    fn basis(&self) -> Basis {
        basis(&self.view.mandate)
    }

    fn member(&self, id: crate::model::MemberId) -> Text {
        let listed = self.members.iter().find(|line| line.member == id).map(|line| &line.name);
        listed.or_else(|| self.view.members.get(&id)).map(text).unwrap_or_default()
    }

    fn row(&self, id: crate::model::RowId) -> Option<&Row> {
        self.view.mandate.rows.iter().find(|row| row.id == id)
    }

    fn system(&self, credential: &Credential) -> Text {
        self.row(credential.row).map(|row| text(&row.system)).unwrap_or_default()
    }

    fn head(&self) -> LogHead {
        let checkpoint = &self.verified.checkpoint;
        let verification = Verification::Verified(self.at);
        LogHead { tree_size: checkpoint.size, root: checkpoint.root, verification }
    }

    fn mandate(&self, law: &Law) -> Mandate {
        let mandate = &self.view.mandate;
        let purposes: BTreeSet<&str> =
            mandate.live_rows().flat_map(|row| row.terms.purposes.iter().map(Text::as_str)).collect();
        let data: BTreeSet<&str> =
            mandate.live_rows().flat_map(|row| row.terms.data.iter().map(Text::as_str)).collect();
        let texts = |words: BTreeSet<&str>| words.into_iter().filter_map(|word| Text::parse(word).ok()).collect();
        let outsiders = mandate.permissions.iter().map(|permission| self.member(permission.member)).collect();
        Mandate {
            heading: self.given.heading(None),
            operator: self.operator(),
            processor: self.processor(),
            basis: self.basis(),
            subjects: self.given.subjects.clone(),
            data: texts(data),
            actions: self.given.actions.clone(),
            purposes: texts(purposes),
            measures: Vec::new(),
            protection: self.given.protection.clone(),
            incident_contact: self.given.incident_contact.clone(),
            incident_channel: self.given.contact_channel.clone(),
            incident_hours: law.incident.notice_target_hours,
            answer_days: law.request_response_days.days,
            from: Some(mandate.signed),
            until: Some(mandate.until),
            return_days: 30,
            third_parties: outsiders,
            rows: mandate.live_rows().map(|row| self.access_row(row)).collect(),
        }
    }

    fn access_row(&self, row: &Row) -> AccessRow {
        AccessRow {
            system: row.system.clone(),
            platform: row.platform.clone(),
            data: row.terms.data.clone(),
            levels: row.terms.levels.clone(),
            purposes: row.terms.purposes.clone(),
            from: Some(row.terms.from),
            until: Some(row.terms.until),
            kinds: self.view.mandate.credentials_of(row.id).map(|credential| credential.kind).collect(),
            responsible: Text::default(),
        }
    }

    fn order(&self) -> AdmissionOrder {
        let mandate = &self.view.mandate;
        let active = self.members.iter().filter(|line| line.standing == "active").count();
        let mut by_member: BTreeMap<crate::model::MemberId, Vec<&Grant>> = BTreeMap::new();
        for grant in mandate.live_grants() {
            by_member.entry(grant.facts.member).or_default().push(grant);
        }
        let admitted = by_member.into_iter().map(|(member, grants)| {
            let rows = || grants.iter().filter_map(|grant| self.row(grant.facts.row));
            let ends = grants.iter().map(|grant| grant.facts.term.until).max();
            Admitted {
                person: Person { name: self.member(member), position: Text::default() },
                systems: rows().map(|row| text(&row.system)).collect(),
                levels: grants.iter().flat_map(|grant| grant.facts.levels.iter().copied()).collect(),
                from: grants.iter().map(|grant| grant.since).min().and_then(|at| day(&mandate.zone, at)),
                until: ends.and_then(|end| day(&mandate.zone, end.plus(-1))),
            }
        });
        AdmissionOrder {
            heading: self.heading(),
            processor: self.processor(),
            operator: self.operator(),
            basis: self.basis(),
            responsible: self.given.responsible(),
            team: active,
            admitted: admitted.collect(),
        }
    }

    /// What became of every access: the first two legs of the closing.
    fn accesses(&self, lang: Lang) -> Vec<EndedAccess> {
        self.view.mandate.credentials.iter().map(|credential| self.access(credential, lang)).collect()
    }

    fn access(&self, credential: &Credential, lang: Lang) -> EndedAccess {
        EndedAccess {
            system: self.system(credential),
            kind: credential.kind,
            account: credential.account.clone(),
            platform: self.on_platform(credential, lang),
            vault: self.in_vault(credential),
        }
    }

    fn on_platform(&self, credential: &Credential, lang: Lang) -> OnPlatform {
        if let Some(leg) = self.view.mandate.platform_leg(credential.id)
            && let Evidence::Revoked { how, by, proof, .. } = &leg.evidence
        {
            let shown = proof.map_or_else(|| how.to_string(), |proof| format!("{how}; SHA-256 {proof}"));
            return OnPlatform::Revoked { by: by.clone(), at: leg.at, proof: Text::parse(&shown).unwrap_or_default() };
        }
        match &credential.settled {
            Some(settled) => match &settled.confirmed {
                Some(by) => OnPlatform::Revoked { by: by.clone(), at: settled.at, proof: settled.because.clone() },
                None => {
                    let accepted = lang.pick("принято как есть: ", "accepted as it is: ");
                    let reason = Text::parse(&format!("{accepted}{}", settled.because)).unwrap_or_default();
                    OnPlatform::NotApplicable { reason }
                }
            },
            None => OnPlatform::Open,
        }
    }

    /// The ledger's record that the keys of every grant under the credential's row are gone.
    fn in_vault(&self, credential: &Credential) -> Vaulted {
        if credential.kind == Kind::Delegated {
            return Vaulted::NoSecret;
        }
        let mandate = &self.view.mandate;
        let under: Vec<&Grant> = mandate.grants.iter().filter(|grant| grant.facts.row == credential.row).collect();
        if under.is_empty() || under.iter().any(|grant| grant.destroyed.is_none()) {
            return Vaulted::Open;
        }
        let last = self.verified.records.iter().rev().find_map(|record| match &record.outcome {
            Recorded::Mandate(Event::Destroyed { grants, epoch }) => {
                let about = under.iter().any(|grant| grants.contains(&grant.facts.id));
                about.then_some(Vaulted::Destroyed { record: record.seq, epoch: *epoch, at: record.at })
            }
            _ => None,
        });
        last.unwrap_or(Vaulted::Open)
    }

    fn copies(&self) -> CopiesOutside {
        let zone = &self.view.mandate.zone;
        match self.view.mandate.copies_leg().map(|leg| (&leg.evidence, leg.at)) {
            Some((Evidence::Copies { by, none, declaration, .. }, at)) => {
                let declared_by = Person { name: by.clone(), position: Text::default() };
                let on = day(zone, at);
                if *none {
                    CopiesOutside::Never { declared_by, on }
                } else {
                    CopiesOutside::Told { declared_by, on, declaration: declaration.clone() }
                }
            }
            _ => CopiesOutside::NotDeclared,
        }
    }

    /// The backups that hold this mandate.
    fn backups(&self) -> Vec<Backup> {
        let one = |made: &Instant| Backup {
            name: Text::parse(&self.view.mandate.zone.show(*made)).unwrap_or_default(),
            made: *made,
            place: self.given.backup_place.clone(),
            gone_by: self.given.backups_gone_by,
        };
        self.backups.iter().map(one).collect()
    }

    fn ended(&self) -> Option<Date> {
        let ended = self
            .verified
            .records
            .iter()
            .rev()
            .find(|record| matches!(record.outcome, Recorded::Mandate(Event::Ended { .. })));
        ended.and_then(|record| day(&self.view.mandate.zone, record.at))
    }

    fn act(&self, lang: Lang, is_final: bool) -> TerminationAct {
        let mandate = &self.view.mandate;
        let subjects: Vec<&str> = self.given.subjects.iter().map(Text::as_str).collect();
        let never = matches!(self.copies(), CopiesOutside::Never { .. });
        let reason = format!(
            "{} {} {}",
            lang.pick("прекращение договора №", "end of contract"),
            mandate.contract,
            mandate.signed
        );
        let data: BTreeSet<&str> =
            mandate.rows.iter().flat_map(|row| row.terms.data.iter().map(Text::as_str)).collect();
        TerminationAct {
            heading: self.heading(),
            basis: self.basis(),
            finality: if is_final { Finality::Final } else { Finality::Draft },
            operator: self.operator(),
            processor: self.processor(),
            subjects: Text::parse(&subjects.join("; ")).unwrap_or_default(),
            subject_count: self.given.subject_count,
            subject_list: None,
            destroyers: self.given.destroyers(),
            // Without copies nothing but access ended: no data was destroyed.
            data: if never { Vec::new() } else { data.into_iter().filter_map(|word| Text::parse(word).ok()).collect() },
            media: self.given.media(),
            systems: self.given.systems(),
            method: self.given.method.clone(),
            reason: Text::parse(&reason).unwrap_or_default(),
            destroyed: self.given.destroyed,
            returned: self.given.returned(),
            accesses: self.accesses(lang),
            copies: self.copies(),
            event_log: match &self.given.event_log_missing {
                Some(what) => EventLog::Missing { what: what.clone() },
                None => EventLog::Missing { what: Text::default() },
            },
            extract: Some(self.head()),
            backups: self.backups(),
            assurance: self.verified.assurance(),
        }
    }

    fn letter(&self, lang: Lang) -> ConfirmationLetter {
        let mut copies = Vec::new();
        if let CopiesOutside::Never { declared_by, .. } = self.copies() {
            copies.push(Copies::Never { declared_by });
        }
        if let CopiesOutside::Told { declared_by, .. } = self.copies()
            && let Some(date) = self.given.destroyed
        {
            copies.push(Copies::Destroyed { date, act: self.given.number.clone(), declared_by });
        }
        if let Some(leg) = self.view.mandate.returned()
            && let Some(date) = day(&self.view.mandate.zone, leg.at)
            && !copies.iter().any(|copy| matches!(copy, Copies::Never { .. }))
        {
            copies.push(Copies::Returned { date });
        }
        let backups = (!self.backups().is_empty())
            .then(|| BackupsEnd { unreadable_since: self.ended(), gone_by: self.given.backups_gone_by });
        ConfirmationLetter {
            heading: self.heading(),
            operator: self.operator(),
            processor: self.processor(),
            basis: self.basis(),
            ended: self.ended(),
            accesses: self.accesses(lang),
            copies,
            backups,
            contact: self.given.contact.clone(),
            annexes: vec![Text::parse(extract_title(lang)).unwrap_or_default()],
        }
    }

    fn log(&self) -> AccessLogExtract {
        let zone = &self.view.mandate.zone;
        let first = self.verified.records.first().and_then(|record| day(zone, record.at));
        AccessLogExtract {
            heading: self.heading(),
            operator: self.operator(),
            basis: self.basis(),
            from: first,
            until: day(zone, self.at),
            selection: Text::default(),
            entries: self.verified.records.iter().filter_map(|record| self.entry(record)).collect(),
            people: People::Names,
            head: self.head(),
            made_by: Person { name: text(&self.me), position: Text::default() },
            assurance: self.verified.assurance(),
        }
    }

    /// A member's act as a line; what the broker did by itself stands in the ledger, not in this list.
    fn entry(&self, record: &Record) -> Option<LogEntry> {
        let (member, action) = (record.by?, record.verb?);
        let line = self.members.iter().find(|line| line.member == member);
        let (system, purpose) = self.about(record);
        Some(LogEntry {
            number: record.seq,
            at: record.at,
            member: self.member(member),
            personnel_id: Text::parse(&member.to_string().chars().take(8).collect::<String>()).unwrap_or_default(),
            role: line.and_then(|line| leading_role(&line.roles)),
            system,
            action,
            purpose,
            outcome: match &record.outcome {
                Recorded::Denied(code) => Outcome::Denied(*code),
                _ => Outcome::Done,
            },
        })
    }

    fn about(&self, record: &Record) -> (Text, Text) {
        let mandate = &self.view.mandate;
        let of = |id: &crate::model::CredentialId| mandate.credential(*id).map(|c| self.system(c));
        match &record.outcome {
            Recorded::Mandate(Event::Released { items, purpose }) => {
                let systems: BTreeSet<String> =
                    items.iter().filter_map(|item| of(&item.credential)).map(|t| t.to_string()).collect();
                let joined = systems.into_iter().collect::<Vec<_>>().join(", ");
                (Text::parse(&joined).unwrap_or_default(), purpose.clone())
            }
            Recorded::Mandate(Event::CodeReleased { credential, purpose, .. }) => {
                (of(credential).unwrap_or_default(), purpose.clone())
            }
            Recorded::Mandate(Event::Shared { grant, .. }) => {
                let row = mandate.grant(*grant).and_then(|grant| self.row(grant.facts.row));
                (row.map(|row| text(&row.system)).unwrap_or_default(), Text::default())
            }
            Recorded::Mandate(Event::Granted { grant, .. }) => {
                (self.row(grant.row).map(|row| text(&row.system)).unwrap_or_default(), Text::default())
            }
            _ => (Text::default(), Text::default()),
        }
    }

    /// The releases of one credential.
    fn releases(&self, credential: &Credential) -> impl Iterator<Item = &Record> {
        let id = credential.id;
        self.verified.records.iter().filter(move |record| match &record.outcome {
            Recorded::Mandate(Event::Released { items, .. }) => items.iter().any(|item| item.credential == id),
            _ => false,
        })
    }

    fn review(&self, lang: Lang, law: &Law) -> ReviewSheet {
        let mandate = &self.view.mandate;
        let since = mandate.reviewed.unwrap_or(mandate.since);
        let items = mandate.credentials.iter().map(|credential| self.review_item(lang, credential));
        ReviewSheet {
            heading: self.heading(),
            operator: self.operator(),
            basis: self.basis(),
            from: day(&mandate.zone, since),
            until: day(&mandate.zone, self.at),
            due: day(&mandate.zone, since.plus(law.review_ms())),
            reviewer: Person { name: text(&self.me), position: Text::default() },
            items: items.collect(),
        }
    }

    fn review_item(&self, lang: Lang, credential: &Credential) -> ReviewItem {
        let mandate = &self.view.mandate;
        let row = self.row(credential.row);
        let granted = || mandate.live_grants().filter(|grant| grant.facts.row == credential.row);
        let (retrievals, last_retrieval) =
            self.releases(credential).fold((0, None), |(count, _), record| (count + 1, Some(record.at)));
        let exposed = self.exposure.iter().any(|line| line.credential == credential.id);
        let mut findings = Vec::new();
        if let Some(reason) = credential.current.as_ref().and_then(|version| version.allowed_weak.clone()) {
            findings.push(reason);
        }
        if exposed && granted().count() == 0 {
            findings.extend(Text::parse(lang.pick("видели и не меняли", "seen and not changed since")));
        }
        ReviewItem {
            system: self.system(credential),
            kind: credential.kind,
            levels: row.map(|row| row.terms.levels.clone()).unwrap_or_default(),
            actual: Text::default(),
            until: row.map(|row| row.terms.until),
            assigned: granted().map(|grant| self.member(grant.facts.member)).collect(),
            last_retrieval,
            retrievals,
            second_factor: credential.second_factor.clone(),
            secret_since: credential.current.as_ref().map(|version| version.at),
            findings,
            decision: self.decided(credential),
            act_by: None,
            actor: Text::default(),
        }
    }

    /// What the last review on file decided on the grants under the credential's row: the strictest of them.
    fn decided(&self, credential: &Credential) -> Option<documents::Decision> {
        let lines = self.verified.records.iter().rev().find_map(|record| match &record.outcome {
            Recorded::Mandate(Event::Reviewed { lines }) => Some(lines),
            _ => None,
        })?;
        let about = |id| self.view.mandate.grant(id).is_some_and(|grant| grant.facts.row == credential.row);
        let decided: Vec<&Decision> =
            lines.iter().filter(|line| about(line.grant)).map(|line| &line.decision).collect();
        match () {
            () if decided.is_empty() => None,
            () if decided.iter().any(|decision| **decision == Decision::Revoke) => Some(documents::Decision::Revoke),
            () if decided.iter().any(|d| matches!(d, Decision::Narrow { .. })) => Some(documents::Decision::Narrow),
            () => Some(documents::Decision::Keep),
        }
    }

    fn revocation(&self, lang: Lang, catalogue: &Catalogue) -> RevocationList {
        let items = self.view.mandate.credentials.iter().map(|credential| {
            let seen: BTreeSet<crate::model::MemberId> =
                self.releases(credential).filter_map(|record| record.by).collect();
            let done = match self.on_platform(credential, lang) {
                OnPlatform::Revoked { by, at, proof } => (by, day(&self.view.mandate.zone, at), proof),
                _ => (Text::default(), None, Text::default()),
            };
            RevocationItem {
                system: self.system(credential),
                account: credential.account.clone(),
                kind: credential.kind,
                seen_by: seen.into_iter().map(|member| self.member(member)).collect(),
                steps: self.steps(credential, lang, catalogue),
                actor: done.0,
                done: done.1,
                proof: done.2,
            }
        });
        RevocationList {
            heading: self.heading(),
            operator: self.operator(),
            processor: self.processor(),
            basis: self.basis(),
            reason: Text::parse(lang.pick("прекращение поручения", "end of the mandate")).unwrap_or_default(),
            items: items.collect(),
        }
    }

    fn steps(&self, credential: &Credential, lang: Lang, catalogue: &Catalogue) -> Vec<Text> {
        let platform = self.row(credential.row).map(|row| row.platform.to_string()).unwrap_or_default();
        let phrases = match catalogue.find(&platform) {
            Found::Platform(known) => known.revoke.clone(),
            _ => catalogue.generic().revoke.clone(),
        };
        phrases.iter().filter_map(|phrase| Text::parse(phrase.show(lang)).ok()).collect()
    }

    /// The cover of the files that were written.
    pub fn package(&self, press: &Press<'_>, law: &Law, written: &[Written]) -> Sheet {
        let enclosure = |file: &Written| Enclosure {
            title: Text::parse(&file.title).unwrap_or_default(),
            file: file.file.file_name().and_then(|name| Text::parse(&name.to_string_lossy()).ok()).unwrap_or_default(),
            sha256: file.sha256,
        };
        let years = law.retention_years;
        let retention = match press.lang {
            Lang::Ru => format!("журнал и акты — лет: {years} с даты закрытия, затем уничтожаются с записью"),
            Lang::En => format!("records and acts: {years} years from the closing, then destroyed with a record"),
        };
        let outsiders = self.view.mandate.permissions.iter().map(|permission| self.member(permission.member));
        ProofPackage {
            heading: self.heading(),
            operator: self.operator(),
            processor: self.processor(),
            basis: self.basis(),
            request: self.given.request.clone(),
            request_date: self.given.request_date,
            answer_days: law.request_response_days.days,
            enclosures: written.iter().map(enclosure).collect(),
            third_parties: outsiders.collect(),
            retention: Text::parse(&retention).unwrap_or_default(),
            log: Some(self.head()),
            assurance: self.verified.assurance(),
        }
        .sheet(press)
    }

    /// The report of clause 4.1.
    pub fn safeguards(&self, lang: Lang, law: &Law, now: Instant) -> Safeguards {
        let mandate = &self.view.mandate;
        let item = |credential: &Credential| SafeguardItem {
            system: self.system(credential),
            account: credential.account.clone(),
            kind: credential.kind,
            second_factor: credential.second_factor.clone(),
            strength: credential.current.as_ref().map(|version| version.strength),
            since: credential.current.as_ref().map(|version| version.at),
            accepted_because: credential.current.as_ref().and_then(|v| v.allowed_weak.clone()).unwrap_or_default(),
        };
        let wide = mandate.live_rows().filter(|row| row.terms.levels.contains(&Level::Admin));
        let since = mandate.reviewed.unwrap_or(mandate.since);
        let due = day(&mandate.zone, since.plus(law.review_ms()));
        let done = mandate.reviewed.and_then(|at| day(&mandate.zone, at));
        let late = now > since.plus(law.review_ms());
        let reviews = due.map(|due| ReviewDue { system: Text::default(), due, done: done.filter(|_| !late) });
        let given: BTreeSet<crate::model::MemberId> = mandate.live_grants().map(|grant| grant.facts.member).collect();
        let concerned = self.members.iter().filter(|line| line.standing == "active" && given.contains(&line.member));
        Safeguards {
            heading: self.heading(),
            operator: self.operator(),
            basis: self.basis(),
            items: mandate.credentials.iter().map(item).collect(),
            old_after_days: OLD_AFTER_DAYS,
            wider: wide
                .map(|row| Wider {
                    system: text(&row.system),
                    what: Text::parse(lang.pick("полный доступ", "full access")).unwrap_or_default(),
                })
                .collect(),
            members: concerned.map(|line| MemberRoles { name: text(&line.name), roles: line.roles.clone() }).collect(),
            reviews: reviews.into_iter().collect(),
            made_by: Person { name: text(&self.me), position: Text::default() },
        }
    }
}

fn leading_role(roles: &BTreeSet<Role>) -> Option<Role> {
    [Role::Lead, Role::Specialist, Role::Owner, Role::Auditor].into_iter().find(|role| roles.contains(role))
}

/// The contract a mandate stands on.
fn basis(mandate: &crate::model::Mandate) -> Basis {
    Basis {
        mandate: mandate.contract.clone(),
        mandate_date: Some(mandate.signed),
        contract: mandate.contract.clone(),
        contract_date: Some(mandate.signed),
        contract_until: Some(mandate.until),
    }
}

/// The notice to one operator; what is not known yet is said to be under inquiry.
pub fn notice(view: &IncidentView, mandate: &MandateView, given: &Given, law: &Law, lang: Lang) -> IncidentNotice {
    let incident = &view.incident;
    let affected: Vec<&Row> = mandate.mandate.rows.iter().filter(|row| view.systems.contains(&row.system)).collect();
    let data: BTreeSet<&str> = affected.iter().flat_map(|row| row.terms.data.iter().map(Text::as_str)).collect();
    let said = |step: Step| incident.course.iter().filter(move |entry| entry.step == step);
    let locked = Measure {
        at: incident.opened,
        what: Text::parse(lang.pick("выдачи заблокированы, сеансы завершены", "retrievals locked, sessions ended"))
            .unwrap_or_default(),
    };
    let done = said(Step::Execution).map(|entry| Measure { at: entry.at, what: entry.text.clone() });
    let exposed = view.exposure.iter().map(|line| {
        let credential = mandate.mandate.credential(line.credential);
        Exposed {
            system: text(&line.system),
            account: credential.map(|credential| credential.account.clone()).unwrap_or_default(),
            kind: credential.map_or(Kind::Login, |credential| credential.kind),
            member: text(&line.member),
            at: line.last,
        }
    });
    let longest = law.incident.regulator.iter().map(|clock| clock.hours).max().unwrap_or(72);
    let shortest = law.incident.regulator.iter().map(|clock| clock.hours).min();
    IncidentNotice {
        heading: given.heading(mandate.mandate.source),
        stage: match (incident.closed, incident.told()) {
            (Some(_), _) => Stage::Final,
            (None, Some(_)) => Stage::Supplement,
            (None, None) => Stage::Initial,
        },
        operator: given.operator.party(view.operator.as_str()),
        processor: given.processor.party(""),
        basis: basis(&mandate.mandate),
        channel: given.contact_channel.clone(),
        kind: incident.facts.kind,
        detected: incident.facts.detected,
        began: incident.facts.since,
        systems: view.systems.iter().map(text).collect(),
        data: data.into_iter().filter_map(|word| Text::parse(word).ok()).collect(),
        extent: Text::default(),
        cause: incident.facts.note.clone(),
        harm: Text::default(),
        measures: std::iter::once(locked).chain(done).collect(),
        instructions: said(Step::Instruction).map(|entry| entry.text.clone()).collect(),
        contact: given.responsible(),
        contact_channel: given.contact_channel.clone(),
        clocks: Clocks { first_hours: shortest.filter(|hours| *hours < longest), full_hours: longest },
        exposed: exposed.collect(),
    }
}

/// The numbers of the 4.1 report, for `--json` and the terminal.
#[derive(serde::Serialize)]
pub struct Summary {
    credentials: usize,
    second_factor: BTreeMap<String, usize>,
    weak_accepted: usize,
    older_than_a_year: usize,
    wider_than_the_mandate: usize,
    roles_together: Vec<String>,
    review_overdue: bool,
}

impl Summary {
    /// Counted from the facts of the report itself, so that the two cannot part ways.
    pub fn of(facts: &Safeguards, now: Instant, today: Option<Date>) -> Self {
        let old =
            |since: Instant| now.since(since) > i64::try_from(OLD_AFTER_DAYS).unwrap_or(365) * 24 * 60 * 60 * 1000;
        let mut second_factor: BTreeMap<String, usize> =
            ["on", "elsewhere", "not_possible", "unknown"].map(|name| (name.to_owned(), 0)).into();
        for item in &facts.items {
            *second_factor.entry(SecondFactor::name(&item.second_factor).to_owned()).or_default() += 1;
        }
        let together = |roles: &BTreeSet<Role>| roles.iter().filter(|role| **role != Role::External).count() > 1;
        Self {
            credentials: facts.items.len(),
            second_factor,
            weak_accepted: facts.items.iter().filter(|item| !item.accepted_because.is_empty()).count(),
            older_than_a_year: facts.items.iter().filter(|item| item.since.is_some_and(old)).count(),
            wider_than_the_mandate: facts.wider.len(),
            roles_together: facts.members.iter().filter(|m| together(&m.roles)).map(|m| m.name.to_string()).collect(),
            review_overdue: facts
                .reviews
                .iter()
                .any(|review| review.done.is_none() && today.is_some_and(|today| review.due < today)),
        }
    }

    /// For people.
    pub fn text(&self) -> String {
        let states: Vec<String> = self.second_factor.iter().map(|(name, count)| format!("{name} {count}")).collect();
        format!(
            "Credentials: {}. Second factor: {}. Weak or reused, accepted: {}. Wider than the mandate: {}. Several roles in one hand: {}. Review overdue: {}.",
            self.credentials,
            states.join(", "),
            self.weak_accepted,
            self.wider_than_the_mandate,
            if self.roles_together.is_empty() { "nobody".to_owned() } else { self.roles_together.join(", ") },
            if self.review_overdue { "yes" } else { "no" },
        )
    }
}
