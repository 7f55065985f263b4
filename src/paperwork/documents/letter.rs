//! D4: the letter that confirms the end of processing.

use super::draft::Draft;
use super::ended::{EndedAccess, ended_columns};
use super::words::{self, SYSTEM, count};
use super::{Basis, Heading, Party, Person, Press, Refusal};
use crate::model::{Date, Text};
use crate::paperwork::sheet::Sheet;
use std::collections::BTreeSet;

/// The facts of a letter of confirmation. The sender is the processor, the reader the operator.
#[derive(Clone, Debug, Default)]
pub struct ConfirmationLetter {
    /// Outgoing number, date, place, digest of the mandate.
    pub heading: Heading,
    /// To whom.
    pub operator: Party,
    /// From whom.
    pub processor: Party,
    /// Under which mandate and contract.
    pub basis: Basis,
    /// The day processing ended.
    pub ended: Option<Date>,
    /// Every access and what became of it.
    pub accesses: Vec<EndedAccess>,
    /// What became of copies; none prints as a blank.
    pub copies: Vec<Copies>,
    /// What remains in backups of the vault; none means there are no backups.
    pub backups: Option<BackupsEnd>,
    /// Whom to ask.
    pub contact: Text,
    /// What is annexed.
    pub annexes: Vec<Text>,
}

/// What became of copies.
#[derive(Clone, Debug)]
pub enum Copies {
    /// None were ever made.
    Never {
        /// Who says so.
        declared_by: Person,
    },
    /// They went back.
    Returned {
        /// When.
        date: Date,
    },
    /// They were destroyed.
    Destroyed {
        /// When.
        date: Date,
        /// The act's number.
        act: Text,
        /// Who says so.
        declared_by: Person,
    },
}

/// What remains in backups of the vault.
#[derive(Clone, Copy, Debug, Default)]
pub struct BackupsEnd {
    /// Since when nobody opens them without the recovery kit.
    pub unreadable_since: Option<Date>,
    /// By when they are gone.
    pub gone_by: Option<Date>,
}

impl ConfirmationLetter {
    /// The document.
    ///
    /// # Errors
    /// [`Refusal::Inconsistent`] where copies are said never to have been made and are said to be gone.
    pub fn sheet(&self, press: &Press<'_>) -> Result<Sheet, Refusal> {
        let never = self.copies.iter().any(|copies| matches!(copies, Copies::Never { .. }));
        if never && self.copies.len() > 1 {
            let ru = "копии не могли и не делаться, и быть возвращены или уничтожены";
            let en = "copies cannot both never have been made and have been returned or deleted";
            return Err(Refusal::Inconsistent(press.lang.pick(ru, en).to_owned()));
        }
        let mut draft = Draft::new(press, &self.heading, "letter.title", &[]);
        draft.field(("Кому", "To"), &self.operator.name);
        draft.field(("От кого", "From"), &self.processor.name);
        let (mandate, contract) = (draft.mandate_of(&self.basis), draft.contract_of(&self.basis));
        let ended = draft.must_day(("дата прекращения", "day processing ended"), self.ended);
        draft.paragraph("letter.ended", &[("mandate", &mandate), ("contract", &contract), ("ended", &ended)]);
        self.systems(&mut draft);
        self.copies(&mut draft);
        self.backups(&mut draft);
        draft.field(("Контакт", "Contact"), &self.contact);
        draft.field_if_any(("Приложения", "Annexes"), super::draft::joined(&self.annexes));
        let signature = draft.signature(("Исполнитель", "Processor"), &self.processor);
        draft.signatures(vec![signature]);
        Ok(draft.done())
    }

    fn systems(&self, draft: &mut Draft<'_>) {
        let distinct: BTreeSet<String> = self.accesses.iter().map(|access| access.system.folded()).collect();
        let systems = count(draft.lang(), u64::try_from(distinct.len()).unwrap_or(u64::MAX), &SYSTEM);
        draft.paragraph("letter.systems", &[("systems", &systems)]);
        let mut table = ended_columns(draft);
        for access in &self.accesses {
            let cells = access.cells(draft);
            table.rows.push(cells);
        }
        draft.table(table);
        draft.paragraph("termination.legs", &[]);
    }

    fn copies(&self, draft: &mut Draft<'_>) {
        if self.copies.is_empty() {
            draft.field(("Копии вне хранилища", "Copies outside the vault"), "");
        }
        let who = ("кто заявил о копиях", "who declares on copies");
        for copies in &self.copies {
            match copies {
                Copies::Never { declared_by } => {
                    let declared = draft.must(who, &declared_by.name);
                    draft.paragraph("letter.never", &[("declared", &declared)]);
                }
                Copies::Returned { date } => draft.paragraph("letter.returned", &[("date", &words::day(*date))]),
                Copies::Destroyed { date, act, declared_by } => {
                    let act = draft.must(("номер акта", "number of the act"), act);
                    let (date, declared) = (words::day(*date), draft.must(who, &declared_by.name));
                    draft.paragraph("letter.destroyed", &[("date", &date), ("act", &act), ("declared", &declared)]);
                }
            }
        }
    }

    fn backups(&self, draft: &mut Draft<'_>) {
        let Some(backups) = self.backups else {
            draft.paragraph("letter.backups_none", &[]);
            return;
        };
        let label = ("с какого дня резервные копии не открываются", "since when backups cannot be opened");
        let unreadable = draft.must_day(label, backups.unreadable_since);
        let label = ("когда исчезнут резервные копии", "when the backups will be gone");
        let gone = draft.must_day(label, backups.gone_by);
        draft.paragraph("letter.backups", &[("unreadable", &unreadable), ("gone", &gone)]);
    }
}
