//! D6: the extract from the access log, for the operator.
//!
//! It prints what the ledger says and what checking it gave; it names nothing of any other operator. Members may be
//! shown by name or by personnel id.

use super::draft::{Draft, Label};
use super::words::{self, DENIAL, RECORD, RETRIEVAL, count};
use super::{Assurance, Basis, Heading, LogHead, Party, Person, Press, Refusal};
use crate::model::{Date, Deny, Instant, Role, Text, Verb, Zone};
use crate::paperwork::sheet::{Sheet, blank_if_empty};
use std::collections::BTreeMap;

/// The facts of an extract.
#[derive(Clone, Debug)]
pub struct AccessLogExtract {
    /// Number, date, place, digest of the mandate.
    pub heading: Heading,
    /// Whose mandate.
    pub operator: Party,
    /// Which.
    pub basis: Basis,
    /// First day.
    pub from: Option<Date>,
    /// Last day.
    pub until: Option<Date>,
    /// What was selected; empty means every record of the period.
    pub selection: Text,
    /// The records, in the ledger's order.
    pub entries: Vec<LogEntry>,
    /// Names or personnel ids.
    pub people: People,
    /// The ledger's head.
    pub head: LogHead,
    /// Who took the extract.
    pub made_by: Person,
    /// How far the halves were held apart.
    pub assurance: Assurance,
}

/// How members are shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum People {
    /// By name.
    Names,
    /// By personnel id.
    PersonnelIds,
}

/// One record.
#[derive(Clone, Debug)]
pub struct LogEntry {
    /// Its number in the ledger, from 0.
    pub number: u64,
    /// When.
    pub at: Instant,
    /// Who.
    pub member: Text,
    /// The member's personnel id.
    pub personnel_id: Text,
    /// In which role.
    pub role: Option<Role>,
    /// Which system; empty where none is concerned.
    pub system: Text,
    /// What.
    pub action: Verb,
    /// For which purpose.
    pub purpose: Text,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It was done.
    Done,
    /// It was denied.
    Denied(Deny),
}

#[derive(Default)]
struct Total {
    records: u64,
    retrievals: u64,
    denials: u64,
}

impl AccessLogExtract {
    /// The document.
    ///
    /// # Errors
    /// [`Refusal::Inconsistent`] for records that the tree cannot hold, or out of order.
    pub fn sheet(&self, press: &Press<'_>) -> Result<Sheet, Refusal> {
        self.check(press)?;
        let mut draft = Draft::new(press, &self.heading, "extract.title", &[]);
        draft.landscape();
        draft.about(&self.operator, &self.basis);
        let from = draft.must_day(("начало периода", "first day of the period"), self.from);
        let until = draft.must_day(("конец периода", "last day of the period"), self.until);
        draft.field(("Период", "Period"), format!("{from} – {until}"));
        let every = draft.pick(("все записи периода", "every record of the period"));
        let selection = if self.selection.is_empty() { every } else { self.selection.as_str() };
        draft.field(("Отбор", "Selection"), selection);
        self.records(&mut draft, press.zone);
        self.totals(&mut draft);
        self.verified(&mut draft);
        draft.assurance(self.assurance);
        draft.signatures(vec![super::admission::signed_by(
            draft.pick(("Выписку сделал", "Extract made by")),
            &self.made_by,
        )]);
        Ok(draft.done())
    }

    fn check(&self, press: &Press<'_>) -> Result<(), Refusal> {
        let size = self.head.tree_size;
        let outside = self.entries.iter().find(|entry| entry.number >= size);
        let back = self.entries.windows(2).find_map(|pair| match pair {
            [before, after] if after.number <= before.number => Some(after),
            _ => None,
        });
        let wrong = outside.or(back).map(|entry| entry.number);
        wrong.map_or(Ok(()), |number| {
            Err(Refusal::Inconsistent(match press.lang {
                crate::paperwork::Lang::Ru => {
                    format!("запись № {number} не на своём месте в журнале из {}", count(press.lang, size, &RECORD))
                }
                crate::paperwork::Lang::En => {
                    format!("record No. {number} is not in its place in a log of {}", count(press.lang, size, &RECORD))
                }
            }))
        })
    }

    fn shown<'e>(&self, entry: &'e LogEntry) -> &'e str {
        match self.people {
            People::Names => entry.member.as_str(),
            People::PersonnelIds => entry.personnel_id.as_str(),
        }
    }

    fn who(&self, draft: &mut Draft<'_>, entry: &LogEntry) -> String {
        let label: Label = match self.people {
            People::Names => ("сотрудник", "member"),
            People::PersonnelIds => ("табельный номер", "personnel id"),
        };
        let number = format!("{} {}", draft.pick(("запись", "record")), entry.number);
        draft.must_of(label, &number, self.shown(entry))
    }

    fn records(&self, draft: &mut Draft<'_>, zone: &Zone) {
        draft.heading(("Записи", "Records"));
        let time = format!("{}, {}", draft.pick(("Время", "Time")), words::zone_word(draft.lang(), zone));
        let mut table = draft.columns(&[
            (("№", "No."), 3),
            (("", ""), 8),
            (("Сотрудник", "Member"), 9),
            (("Роль", "Role"), 7),
            (("Система", "System"), 8),
            (("Действие", "Action"), 9),
            (("Цель", "Purpose"), 12),
            (("Результат или код отказа", "Result or deny code"), 11),
        ]);
        if let Some(column) = table.columns.get_mut(1) {
            column.head = time;
        }
        for entry in &self.entries {
            let done = draft.pick(("выполнено", "done"));
            table.rows.push(vec![
                entry.number.to_string(),
                words::local(entry.at, zone),
                self.who(draft, entry),
                entry.role.map_or("—", |role| words::role(draft.lang(), role)).to_owned(),
                entry.system.to_string(),
                words::verb(draft.lang(), entry.action).to_owned(),
                entry.purpose.to_string(),
                match entry.outcome {
                    Outcome::Done => done.to_owned(),
                    Outcome::Denied(deny) => format!("{} {deny}", draft.pick(("отказ", "denied"))),
                },
            ]);
        }
        draft.table(table);
    }

    fn totals(&self, draft: &mut Draft<'_>) {
        // Two members of one name are two members.
        let mut totals: BTreeMap<(&str, &str), Total> = BTreeMap::new();
        for entry in &self.entries {
            let total = totals.entry((self.shown(entry), entry.personnel_id.as_str())).or_default();
            total.records += 1;
            match entry.outcome {
                Outcome::Denied(_) => total.denials += 1,
                Outcome::Done if matches!(entry.action, Verb::Fetch | Verb::Code) => total.retrievals += 1,
                Outcome::Done => {}
            }
        }
        draft.heading(("Итог по сотрудникам", "Totals per member"));
        let mut table = draft.columns(&[
            (("Сотрудник", "Member"), 5),
            (("Записей", "Records"), 3),
            (("Выдач секретов и кодов", "Retrievals of secrets and codes"), 4),
            (("Отказов", "Denials"), 3),
        ]);
        let lang = draft.lang();
        for ((who, _), total) in totals {
            let who = blank_if_empty(who).to_owned();
            let (records, denials) = (count(lang, total.records, &RECORD), count(lang, total.denials, &DENIAL));
            table.rows.push(vec![who, records, count(lang, total.retrievals, &RETRIEVAL), denials]);
        }
        draft.table(table);
    }

    fn verified(&self, draft: &mut Draft<'_>) {
        let (size, root, verification) = draft.log_head(&self.head);
        let shown = count(draft.lang(), u64::try_from(self.entries.len()).unwrap_or(u64::MAX), &RECORD);
        draft.heading(("Журнал", "Ledger"));
        draft.field(("В выписке", "In this extract"), shown);
        draft.field(("Во всём журнале (размер дерева)", "In the whole ledger (tree size)"), size);
        draft.field(("Корневой хэш", "Root hash"), root);
        draft.field(("Проверка журнала", "Verification of the ledger"), verification);
        draft.note("extract.not_event_log", &[]);
    }
}
