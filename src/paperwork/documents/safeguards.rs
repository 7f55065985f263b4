//! The clause 4.1 report: second factors, strength, roles and reviews, counted here from the lists and not handed in.

use super::draft::Draft;
use super::words::{self, ACCESS, DAY, count, mask_account};
use super::{Basis, Heading, Party, Person, Press};
use crate::model::{Date, Instant, Kind, Role, SecondFactor, Strength, Text};
use crate::paperwork::sheet::Sheet;
use std::collections::BTreeSet;

/// The facts of the report.
#[derive(Clone, Debug, Default)]
pub struct Safeguards {
    /// Number, date, place, digest of the mandate.
    pub heading: Heading,
    /// Whose mandate.
    pub operator: Party,
    /// Which.
    pub basis: Basis,
    /// Every credential of the mandate, delegated access too.
    pub items: Vec<SafeguardItem>,
    /// From what age in days a secret is a finding.
    pub old_after_days: u64,
    /// Access that is wider than the mandate.
    pub wider: Vec<Wider>,
    /// Every member with the roles held.
    pub members: Vec<MemberRoles>,
    /// Every review that was to be made.
    pub reviews: Vec<ReviewDue>,
    /// Who answers for the report.
    pub made_by: Person,
}

/// One credential.
#[derive(Clone, Debug)]
pub struct SafeguardItem {
    /// The system.
    pub system: Text,
    /// The account; printed masked.
    pub account: Text,
    /// What it is.
    pub kind: Kind,
    /// The state of the account's second factor.
    pub second_factor: SecondFactor,
    /// The strength of the secret; none where there is no secret.
    pub strength: Option<Strength>,
    /// Since when the secret is what it is.
    pub since: Option<Instant>,
    /// Why a weak or reused one was accepted; empty where it was not.
    pub accepted_because: Text,
}

/// Access wider than the mandate.
#[derive(Clone, Debug)]
pub struct Wider {
    /// The system.
    pub system: Text,
    /// In which way.
    pub what: Text,
}

/// A member and the roles held.
#[derive(Clone, Debug)]
pub struct MemberRoles {
    /// Who.
    pub name: Text,
    /// Which roles.
    pub roles: BTreeSet<Role>,
}

/// A review that was to be made.
#[derive(Clone, Debug)]
pub struct ReviewDue {
    /// Of which system.
    pub system: Text,
    /// By when.
    pub due: Date,
    /// When it was.
    pub done: Option<Date>,
}

impl Safeguards {
    /// The document.
    pub fn sheet(&self, press: &Press<'_>) -> Sheet {
        let mut draft = Draft::new(press, &self.heading, "safeguards.title", &[]);
        draft.about(&self.operator, &self.basis);
        self.second_factors(&mut draft);
        self.strengths(&mut draft, press);
        self.wider(&mut draft);
        self.roles(&mut draft);
        self.reviews(&mut draft, press);
        draft.note("safeguards.measured", &[]);
        let role = draft.pick(("Отчёт составил", "Report made by"));
        draft.signatures(vec![super::admission::signed_by(role, &self.made_by)]);
        draft.done()
    }

    /// The four states in the order of the report; their counts add up to the number of credentials.
    fn factor_counts(&self) -> [usize; 4] {
        let mut counts = [0; 4];
        for item in &self.items {
            counts[match item.second_factor {
                SecondFactor::On => 0,
                SecondFactor::Elsewhere { .. } => 1,
                SecondFactor::NotPossible { .. } => 2,
                SecondFactor::Unknown => 3,
            }] += 1;
        }
        counts
    }

    fn second_factors(&self, draft: &mut Draft<'_>) {
        draft.heading(("1. Второй фактор на площадках", "1. Second factor on the platforms"));
        let states = [
            ("включён, ключ у хранителя", "on, seed held by the broker"),
            ("включён, код получает названное лицо", "on, the code goes to a named person"),
            ("площадка не даёт", "not offered by the platform"),
            ("не выяснено", "not known"),
        ];
        let mut table = draft.columns(&[(("Состояние", "State"), 6), (("Доступов", "Credentials"), 2)]);
        let counts = self.factor_counts();
        for (state, n) in states.into_iter().zip(counts) {
            table.rows.push(vec![draft.pick(state).to_owned(), n.to_string()]);
        }
        let total = counts.iter().sum::<usize>();
        table.rows.push(vec![draft.pick(("Всего", "Total")).to_owned(), total.to_string()]);
        draft.table(table);
        let sum = counts.map(|n| n.to_string()).join(" + ");
        let total = count(draft.lang(), u64::try_from(total).unwrap_or(u64::MAX), &ACCESS);
        draft.paragraph("safeguards.sum", &[("sum", &sum), ("total", &total)]);
    }

    fn strengths(&self, draft: &mut Draft<'_>, press: &Press<'_>) {
        draft.heading((
            "2. Доступы: второй фактор, стойкость и возраст секрета",
            "2. Credentials: second factor, strength and age",
        ));
        let mut table = draft.columns(&[
            (("Система", "System"), 4),
            (("Учётная запись, вид", "Account, kind"), 5),
            (("Второй фактор", "Second factor"), 5),
            (("Стойкость", "Strength"), 4),
            (("Возраст", "Age"), 3),
            (("Находки", "Findings"), 5),
        ]);
        for item in &self.items {
            let cells = self.item_cells(item, draft, press);
            table.rows.push(cells);
        }
        draft.table(table);
    }

    fn item_cells(&self, item: &SafeguardItem, draft: &Draft<'_>, press: &Press<'_>) -> Vec<String> {
        let lang = draft.lang();
        let account = mask_account(item.account.as_str());
        let kind = words::kind(lang, item.kind);
        let age = item.since.map(|since| words::days_between(since, press.made));
        let mut findings: Vec<String> = Vec::new();
        let mut find = |label| findings.push(draft.pick(label).to_owned());
        if item.second_factor == SecondFactor::Unknown {
            find(("второй фактор не выяснен", "second factor not known"));
        }
        if matches!(item.strength, Some(Strength::Weak | Strength::Fair)) {
            find(("секрет недостаточно стойкий", "secret not strong enough"));
        }
        if age.is_some_and(|days| days > self.old_after_days) {
            find(("секрет давно не менялся", "secret is old"));
        }
        if !item.accepted_because.is_empty() {
            findings.push(format!(
                "{} {}",
                draft.pick(("принят, потому что:", "accepted because:")),
                item.accepted_because
            ));
        }
        let none = || "—".to_owned();
        vec![
            item.system.to_string(),
            if account.is_empty() { kind.to_owned() } else { format!("{account}\n{kind}") },
            words::second_factor(lang, &item.second_factor, press.zone),
            item.strength.map_or_else(none, |strength| words::strength(lang, strength).to_owned()),
            age.map_or_else(none, |days| count(lang, days, &DAY)),
            if findings.is_empty() { none() } else { findings.join("; ") },
        ]
    }

    fn wider(&self, draft: &mut Draft<'_>) {
        draft.heading(("3. Доступ шире поручения", "3. Access wider than the mandate"));
        let mut table = draft.columns(&[(("Система", "System"), 4), (("В чём", "In what"), 9)]);
        table.rows = self.wider.iter().map(|one| vec![one.system.to_string(), one.what.to_string()]).collect();
        draft.table(table);
    }

    fn roles(&self, draft: &mut Draft<'_>) {
        draft.heading(("4. Роли и разделение обязанностей", "4. Roles and separation of duties"));
        let mut table = draft.columns(&[
            (("Сотрудник", "Member"), 5),
            (("Роли", "Roles"), 6),
            (("Разделение обязанностей", "Separation of duties"), 5),
        ]);
        let (held, not_held) = (("соблюдено", "held"), ("не соблюдено: несколько ролей", "not held: several roles"));
        for member in &self.members {
            let roles: Vec<&str> = member.roles.iter().map(|&role| words::role(draft.lang(), role)).collect();
            // An external member's mark bounds the other roles and gives no duty of its own.
            let duties = member.roles.iter().filter(|&&role| role != Role::External).count();
            let verdict = if duties > 1 { not_held } else { held };
            let roles = if roles.is_empty() { "—".to_owned() } else { roles.join(", ") };
            table.rows.push(vec![member.name.to_string(), roles, draft.pick(verdict).to_owned()]);
        }
        draft.table(table);
    }

    fn reviews(&self, draft: &mut Draft<'_>, press: &Press<'_>) {
        draft.heading(("5. Просроченные пересмотры", "5. Overdue reviews"));
        let today = press.zone.date_of(press.made);
        let mut table = draft.columns(&[(("Система", "System"), 6), (("Срок пересмотра", "Review due"), 4)]);
        let overdue =
            self.reviews.iter().filter(|one| one.done.is_none() && today.is_some_and(|today| one.due < today));
        table.rows = overdue.map(|one| vec![one.system.to_string(), words::day(one.due)]).collect();
        draft.table(table);
    }
}
