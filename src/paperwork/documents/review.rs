//! D7: the access review sheet. What the vault cannot see, the actual level on the platform, stays blank for the pen.

use super::draft::{Draft, joined};
use super::words::{self, DAY, RETRIEVAL, count};
use super::{Basis, Heading, Party, Person, Press};
use crate::model::{Date, Instant, Kind, Level, SecondFactor, Text};
use crate::paperwork::sheet::Sheet;
use std::collections::BTreeSet;

/// The facts of a review sheet.
#[derive(Clone, Debug, Default)]
pub struct ReviewSheet {
    /// Number, date, place, digest of the mandate.
    pub heading: Heading,
    /// Whose mandate.
    pub operator: Party,
    /// Which.
    pub basis: Basis,
    /// First day of the period looked at.
    pub from: Option<Date>,
    /// Its last day.
    pub until: Option<Date>,
    /// Until when the review is due.
    pub due: Option<Date>,
    /// Who reviews.
    pub reviewer: Person,
    /// Every access.
    pub items: Vec<ReviewItem>,
}

/// One access under review.
#[derive(Clone, Debug)]
pub struct ReviewItem {
    /// The system.
    pub system: Text,
    /// What the access is.
    pub kind: Kind,
    /// The mandate's levels.
    pub levels: BTreeSet<Level>,
    /// The level found on the platform; empty until the reviewer has looked.
    pub actual: Text,
    /// Its last day.
    pub until: Option<Date>,
    /// Who is granted it.
    pub assigned: Vec<Text>,
    /// When it was last retrieved.
    pub last_retrieval: Option<Instant>,
    /// How often in the period.
    pub retrievals: u64,
    /// The state of the account's second factor.
    pub second_factor: SecondFactor,
    /// Since when the secret is what it is; none where there is no secret.
    pub secret_since: Option<Instant>,
    /// What was noticed.
    pub findings: Vec<Text>,
    /// What is decided; none until the reviewer has.
    pub decision: Option<Decision>,
    /// By when.
    pub act_by: Option<Date>,
    /// By whom.
    pub actor: Text,
}

/// What a review decides.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Decision {
    /// оставить
    Keep,
    /// сузить
    Narrow,
    /// отозвать
    Revoke,
    /// сменить
    Rotate,
}

impl ReviewSheet {
    /// The document.
    pub fn sheet(&self, press: &Press<'_>) -> Sheet {
        let mut draft = Draft::new(press, &self.heading, "review.title", &[]);
        draft.landscape();
        draft.about(&self.operator, &self.basis);
        let from = draft.must_day(("начало периода", "first day of the period"), self.from);
        let until = draft.must_day(("конец периода", "last day of the period"), self.until);
        draft.field(("Период", "Period"), format!("{from} – {until}"));
        let due = draft.must_day(("срок пересмотра", "review due"), self.due);
        draft.field(("Пересмотреть до", "Review due by"), due);
        draft.field(("Проверяющий", "Reviewer"), &self.reviewer.name);
        self.found(&mut draft, press);
        self.decided(&mut draft);
        draft.note("review.actual", &[]);
        let role = draft.pick(("Проверяющий", "Reviewer"));
        draft.signatures(vec![super::admission::signed_by(role, &self.reviewer)]);
        draft.done()
    }

    fn found(&self, draft: &mut Draft<'_>, press: &Press<'_>) {
        draft.heading(("Что есть", "As found"));
        let mut table = draft.columns(&[
            (("№", "No."), 2),
            (("Система, вид доступа", "System, kind of access"), 7),
            (("Уровень по поручению", "Level under the mandate"), 7),
            (("Уровень фактически", "Actual level"), 6),
            (("Срок", "Until"), 5),
            (("Кому назначен", "Granted to"), 7),
            (("Последняя выдача, выдач за период", "Last retrieval, retrievals in the period"), 8),
            (("Второй фактор", "Second factor"), 7),
            (("Возраст секрета", "Age of the secret"), 5),
        ]);
        let lang = draft.lang();
        for (number, item) in (1..).zip(&self.items) {
            let none = draft.pick(("не было", "never"));
            let last = item.last_retrieval.map_or_else(|| none.to_owned(), |at| draft.moment(at));
            let age = item.secret_since.map(|since| count(lang, words::days_between(since, press.made), &DAY));
            let until = item.until.map(words::day).unwrap_or_default();
            table.rows.push(vec![
                number.to_string(),
                format!("{}\n{}", item.system, words::kind(lang, item.kind)),
                words::levels(lang, &item.levels),
                item.actual.to_string(),
                draft.must_of(("срок", "until"), item.system.as_str(), until),
                joined(&item.assigned),
                format!("{last}\n{}", count(lang, item.retrievals, &RETRIEVAL)),
                words::second_factor(lang, &item.second_factor, press.zone),
                age.unwrap_or_else(|| draft.pick(("нет секрета", "no secret")).to_owned()),
            ]);
        }
        draft.table(table);
    }

    fn decided(&self, draft: &mut Draft<'_>) {
        draft.heading(("Находки и решения", "Findings and decisions"));
        let mut table = draft.columns(&[
            (("№", "No."), 2),
            (("Система", "System"), 7),
            (("Находки", "Findings"), 14),
            (("Решение (оставить / сузить / отозвать / сменить)", "Decision (keep / narrow / revoke / replace)"), 8),
            (("Срок", "By"), 5),
            (("Исполнитель", "Who"), 7),
            (("Подпись", "Signature"), 6),
        ]);
        for (number, item) in (1..).zip(&self.items) {
            let none = draft.pick(("нет", "none")).to_owned();
            let findings = if item.findings.is_empty() { none } else { joined(&item.findings) };
            let decision = item.decision.map_or("", |decision| decision.said(draft));
            let by = item.act_by.map(words::day).unwrap_or_default();
            let system = item.system.to_string();
            let who = item.actor.to_string();
            table.rows.push(vec![number.to_string(), system, findings, decision.to_owned(), by, who, String::new()]);
        }
        draft.table(table);
    }
}

impl Decision {
    fn said(self, draft: &Draft<'_>) -> &'static str {
        draft.pick(match self {
            Decision::Keep => ("оставить", "keep"),
            Decision::Narrow => ("сузить", "narrow"),
            Decision::Revoke => ("отозвать", "revoke"),
            Decision::Rotate => ("сменить", "replace"),
        })
    }
}
