//! D3: the act on the end of processing, return and destruction.
//!
//! Three facts are kept apart: access revoked on the platform, secret destroyed in the vault, copies outside declared
//! by a named person. A final act has none of them blank, nor any of the items а–к; a draft prints them as blanks.
//! Where no copy was ever made it is another act, on the end of access, and says so.

use super::admission::signed_by;
use super::draft::{Draft, Label, joined};
use super::ended::{EndedAccess, ended_columns};
use super::words::{self, LEAF, SUBJECT, count};
use super::{Assurance, Basis, Heading, LogHead, Party, Person, Press, Refusal};
use crate::model::{Date, Digest, Instant, Text};
use crate::paperwork::lang::Lang;
use crate::paperwork::sheet::{BLANK, Sheet, Table, blank_if_empty};

/// The facts of the act. The letters are those of the items of Order 179.
#[derive(Clone, Debug)]
pub struct TerminationAct {
    /// Number, date, place, digest of the mandate.
    pub heading: Heading,
    /// What it ends.
    pub basis: Basis,
    /// Draft or final.
    pub finality: Finality,
    /// а: the operator.
    pub operator: Party,
    /// б: the processor.
    pub processor: Party,
    /// в: whose data, without their names.
    pub subjects: Text,
    /// в: how many.
    pub subject_count: Option<u64>,
    /// в: SHA-256 of the list the operator keeps.
    pub subject_list: Option<Digest>,
    /// г: who destroyed.
    pub destroyers: Vec<Person>,
    /// д: categories of what was destroyed.
    pub data: Vec<Text>,
    /// е: physical media.
    pub media: Vec<Medium>,
    /// ж: information systems.
    pub systems: Vec<OwnedSystem>,
    /// з: how.
    pub method: Text,
    /// и: why.
    pub reason: Text,
    /// к: when.
    pub destroyed: Option<Date>,
    /// What went back to the operator.
    pub returned: Vec<Returned>,
    /// Every access and what became of it: the first two facts.
    pub accesses: Vec<EndedAccess>,
    /// The third fact.
    pub copies: CopiesOutside,
    /// The operator's own event log.
    pub event_log: EventLog,
    /// The ledger's head.
    pub extract: Option<LogHead>,
    /// Backups that hold this mandate.
    pub backups: Vec<Backup>,
    /// How far the halves were held apart.
    pub assurance: Assurance,
}

/// Whether blanks are allowed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Finality {
    /// They are, and it says that it is not to be signed.
    Draft,
    /// They are not.
    Final,
}

/// A physical medium (е).
#[derive(Clone, Debug)]
pub struct Medium {
    /// What.
    pub name: Text,
    /// How many sheets, for paper.
    pub sheets: Option<u64>,
}

/// An information system and whose it is (ж).
#[derive(Clone, Debug)]
pub struct OwnedSystem {
    /// The system.
    pub system: Text,
    /// Its owner.
    pub owner: Text,
}

/// Something returned to the operator.
#[derive(Clone, Debug)]
pub struct Returned {
    /// What.
    pub what: Text,
    /// When.
    pub date: Date,
    /// How.
    pub how: Text,
    /// To whom.
    pub to: Text,
}

/// What became of copies outside the vault.
#[derive(Clone, Debug)]
pub enum CopiesOutside {
    /// None were ever made.
    Never {
        /// Who says so.
        declared_by: Person,
        /// When.
        on: Option<Date>,
    },
    /// There were.
    Listed {
        /// Who says so.
        declared_by: Person,
        /// When.
        on: Option<Date>,
        /// Each of them.
        copies: Vec<Copy>,
    },
    /// There were, told in one text.
    Told {
        /// Who says so.
        declared_by: Person,
        /// When.
        on: Option<Date>,
        /// What there was and what became of it.
        declaration: Text,
    },
    /// Nobody has said.
    NotDeclared,
}

/// One copy outside the vault.
#[derive(Clone, Debug)]
pub struct Copy {
    /// What was copied.
    pub what: Text,
    /// Where it was.
    pub place: Text,
    /// What became of it.
    pub fate: Text,
}

/// The export from the operator's own event log.
#[derive(Clone, Debug)]
pub enum EventLog {
    /// It is annexed.
    Enclosed,
    /// It is not, or not whole.
    Missing {
        /// What is missing.
        what: Text,
    },
}

/// A backup from which, with the recovery kit, what was destroyed could still be opened.
#[derive(Clone, Debug)]
pub struct Backup {
    /// How it is known.
    pub name: Text,
    /// When it was made.
    pub made: Instant,
    /// Where it is.
    pub place: Text,
    /// When it will be gone.
    pub gone_by: Option<Date>,
}

impl TerminationAct {
    /// The document.
    ///
    /// # Errors
    /// [`Refusal::Incomplete`] for a final act with any required fact missing; [`Refusal::Inconsistent`] where copies
    /// are said never to have been made and are said to be destroyed or returned.
    pub fn sheet(&self, press: &Press<'_>) -> Result<Sheet, Refusal> {
        self.check(press.lang)?;
        let title = if self.is_access_only() { "termination.title_access" } else { "termination.title" };
        let mandate = self.mandate_named(press.lang);
        let mut draft = Draft::new(press, &self.heading, title, &[("mandate", &mandate)]);
        draft.mandate_of(&self.basis);
        draft.contract_of(&self.basis);
        if self.finality == Finality::Draft {
            draft.paragraph("termination.draft", &[]);
        }
        draft.note(if self.is_access_only() { "termination.not_order" } else { "termination.order" }, &[]);
        self.parties(&mut draft);
        if self.is_access_only() {
            let reason = draft.must(("причина прекращения доступа", "reason for the end of access"), &self.reason);
            draft.numbered("3.", format!("{}: {reason}", press.lang.pick("Причина", "Reason")));
        } else {
            self.destruction(&mut draft);
        }
        self.accesses(&mut draft);
        self.copies(&mut draft);
        self.backups(&mut draft);
        self.logs(&mut draft);
        draft.assurance(self.assurance);
        if !self.is_access_only() {
            draft.note("termination.keep", &[]);
            self.destroyers_sign(&mut draft);
        }
        draft.both_sign(&self.operator, &self.processor);
        match self.finality {
            Finality::Final if !draft.unfilled().is_empty() => Err(Refusal::Incomplete(draft.unfilled().to_vec())),
            _ => Ok(draft.done()),
        }
    }

    fn check(&self, lang: Lang) -> Result<(), Refusal> {
        let copies = !self.returned.is_empty() || self.destroyed.is_some() || !self.media.is_empty();
        if !(self.is_access_only() && copies) {
            return Ok(());
        }
        let ru = "заявлено, что копии не делались, но названо уничтоженное или возвращённое";
        let en = "copies are declared never to have been made, yet something is named as deleted or returned";
        Err(Refusal::Inconsistent(lang.pick(ru, en).to_owned()))
    }

    /// Nothing but access ended: no copies were ever made, so there is nothing to destroy.
    fn is_access_only(&self) -> bool {
        matches!(self.copies, CopiesOutside::Never { .. })
    }

    fn mandate_named(&self, lang: Lang) -> String {
        let number = blank_if_empty(self.basis.mandate.as_str()).to_owned();
        let date = self.basis.mandate_date.map_or_else(|| BLANK.to_owned(), words::day);
        format!("{} {number} {} {date}", lang.pick("№", "No."), lang.pick("от", "of"))
    }

    fn parties(&self, draft: &mut Draft<'_>) {
        let operator = party(draft, (&self.operator, ("Оператор", "Operator"), "а"));
        draft.numbered("1.", operator);
        let by = ("Лицо, обрабатывавшее данные по поручению", "Processor");
        let processor = party(draft, (&self.processor, by, "б"));
        draft.numbered("2.", processor);
    }

    fn destruction(&self, draft: &mut Draft<'_>) {
        let subjects = self.subjects_said(draft);
        draft.numbered("3.", subjects);
        let data =
            lettered(draft, ("Категории уничтоженных данных", "Categories of deleted data"), "д", &joined(&self.data));
        draft.numbered("4.", data);
        let carriers = self.carriers(draft);
        draft.numbered("5.", carriers);
        let method = lettered(draft, ("Способ уничтожения", "Method of deletion"), "з", self.method.as_str());
        draft.numbered("6.", method);
        let reason = lettered(draft, ("Причина", "Reason"), "и", self.reason.as_str());
        draft.numbered("7.", reason);
        let date = self.destroyed.map(words::day).unwrap_or_default();
        let date = lettered(draft, ("Дата уничтожения", "Date of deletion"), "к", &date);
        draft.numbered("8.", date);
        let returned = self.returned_said(draft);
        draft.numbered("9.", returned);
    }

    fn subjects_said(&self, draft: &mut Draft<'_>) -> String {
        let number = self.subject_count.map(|n| format!("; {}", count(draft.lang(), n, &SUBJECT))).unwrap_or_default();
        let kept = ("перечень у Оператора (прил. 1), SHA-256", "list kept by the Operator (annex 1), SHA-256");
        let list = self.subject_list.map(|digest| format!("; {} {digest}", draft.pick(kept))).unwrap_or_default();
        let subjects =
            if self.subjects.is_empty() { String::new() } else { format!("{}{number}{list}", self.subjects) };
        lettered(draft, ("Субъекты", "Data subjects"), "в", &subjects)
    }

    fn carriers(&self, draft: &mut Draft<'_>) -> String {
        let systems: Vec<String> = self.systems.iter().map(|one| format!("{} ({})", one.system, one.owner)).collect();
        let sheets = |medium: &Medium| medium.sheets.map(|n| format!(", {}", count(draft.lang(), n, &LEAF)));
        let media: Vec<String> =
            self.media.iter().map(|medium| format!("{}{}", medium.name, sheets(medium).unwrap_or_default())).collect();
        if systems.is_empty() && media.is_empty() {
            let either = ("Информационные системы или материальные носители", "Information systems or physical media");
            return lettered(draft, either, "е или ж", "");
        }
        let none = draft.pick(("не использовались", "not used")).to_owned();
        let or_none = |list: Vec<String>| if list.is_empty() { none.clone() } else { list.join("; ") };
        let (systems, media) = (or_none(systems), or_none(media));
        let systems = lettered(draft, ("Информационные системы", "Information systems"), "ж", &systems);
        let media = lettered(draft, ("Материальные носители", "Physical media"), "е", &media);
        format!("{systems}. {media}")
    }

    fn returned_said(&self, draft: &Draft<'_>) -> String {
        let label = draft.pick(("Возвращено Оператору", "Returned to the Operator"));
        if self.returned.is_empty() {
            return format!("{label}: {}", draft.pick(("не возвращалось", "nothing")));
        }
        let one = |it: &Returned| format!("{}, {}, {}, {}", it.what, words::day(it.date), it.how, it.to);
        format!("{label}: {}", self.returned.iter().map(one).collect::<Vec<_>>().join("; "))
    }

    fn accesses(&self, draft: &mut Draft<'_>) {
        draft.heading(("Доступы", "Access"));
        draft.paragraph("termination.legs", &[]);
        let mut table = ended_columns(draft);
        for access in &self.accesses {
            let cells = access.cells(draft);
            table.rows.push(cells);
        }
        draft.table(table);
    }

    fn copies(&self, draft: &mut Draft<'_>) {
        draft.heading(("Копии вне хранилища", "Copies outside the vault"));
        let label = ("заявление о копиях вне хранилища", "declaration on copies outside the vault");
        let (by, on) = match &self.copies {
            CopiesOutside::NotDeclared => {
                let blank = draft.must(label, "");
                draft.plain(format!("{}: {blank}", draft.pick(label)));
                return;
            }
            CopiesOutside::Never { declared_by, on } => {
                draft.plain(draft.pick(("Копии не делались.", "No copies were made.")).to_owned());
                (declared_by, on)
            }
            CopiesOutside::Listed { declared_by, on, copies } => {
                let table = copies_table(draft, copies);
                draft.table(table);
                (declared_by, on)
            }
            CopiesOutside::Told { declared_by, on, declaration } => {
                let declaration = draft.must(label, declaration);
                draft.plain(declaration);
                (declared_by, on)
            }
        };
        let name = draft.must(("кто заявил о копиях", "who declares on copies"), &by.name);
        let on = draft.must_day(("дата заявления о копиях", "date of the declaration on copies"), *on);
        let position = if by.position.is_empty() { String::new() } else { format!(", {}", by.position) };
        draft.plain(format!("{} {name}{position}, {on}.", draft.pick(("По заявлению:", "As declared by"))));
    }

    fn backups(&self, draft: &mut Draft<'_>) {
        draft.heading(("Резервные копии хранилища", "Backups of the vault"));
        if self.backups.is_empty() {
            draft.paragraph("termination.backups_none", &[]);
            return;
        }
        draft.paragraph("termination.backups", &[]);
        let mut table = draft.columns(&[
            (("Копия", "Backup"), 4),
            (("Сделана", "Made"), 5),
            (("Где хранится", "Kept at"), 5),
            (("Исчезнет до", "Gone by"), 3),
        ]);
        for backup in &self.backups {
            let gone = backup.gone_by.map(words::day).unwrap_or_default();
            let label = ("когда исчезнет копия", "when the backup will be gone");
            let gone = draft.must_of(label, backup.name.as_str(), gone);
            let place =
                draft.must_of(("где хранится копия", "where the backup is kept"), backup.name.as_str(), &backup.place);
            table.rows.push(vec![backup.name.to_string(), draft.moment(backup.made), place, gone]);
        }
        draft.table(table);
    }

    fn logs(&self, draft: &mut Draft<'_>) {
        draft.heading(("Журналы", "Logs"));
        let event_log = match &self.event_log {
            EventLog::Enclosed => draft.pick(("прилагается", "annexed")).to_owned(),
            EventLog::Missing { what } => {
                let label = ("недостающие сведения журнала событий", "what the event log lacks");
                let what = draft.must(label, what);
                format!("{} {what}", draft.pick(("недостающие сведения:", "missing:")))
            }
        };
        draft.paragraph("termination.event_log", &[("event_log", &event_log)]);
        match &self.extract {
            Some(head) => {
                let (records, root, verification) = draft.log_head(head);
                let fill = [("records", records.as_str()), ("root", &root), ("verification", &verification)];
                draft.paragraph("termination.extract", &fill);
            }
            None => draft.field(("Выписка из журнала хранилища", "Extract from the vault's ledger"), ""),
        }
    }

    fn destroyers_sign(&self, draft: &mut Draft<'_>) {
        let label = ("Уничтожение провели", "Deleted by");
        let names: Vec<&Text> = self.destroyers.iter().map(|person| &person.name).collect();
        let line = lettered(draft, label, "г", &joined(&names));
        let role = format!("{}{}", draft.pick(label), draft.lang().pick(" [г]", ""));
        match self.destroyers.is_empty() {
            true => draft.plain(line),
            false => draft.signatures(self.destroyers.iter().map(|person| signed_by(&role, person)).collect()),
        }
    }
}

fn copies_table(draft: &mut Draft<'_>, copies: &[Copy]) -> Table {
    let mut table = draft.columns(&[
        (("Копия", "Copy"), 4),
        (("Где была", "Where it was"), 4),
        (("Судьба", "What became of it"), 5),
    ]);
    for copy in copies {
        let what = copy.what.to_string();
        let fate = draft.must_of(("судьба копии", "what became of the copy"), &what, &copy.fate);
        table.rows.push(vec![what, copy.place.to_string(), fate]);
    }
    table
}

/// «[а] Оператор: …» where the order has letters; a missing fact is listed with its letter.
fn lettered(draft: &mut Draft<'_>, label: Label, letter: &str, value: &str) -> String {
    let name = draft.pick(label);
    match draft.lang() {
        Lang::Ru => format!("{name}: {} [{letter}]", draft.must_of(label, letter, value)),
        Lang::En => format!("{name}: {}", draft.must(label, value)),
    }
}

/// Name and address are both asked for; either missing is listed with the letter.
fn party(draft: &mut Draft<'_>, (party, label, letter): (&Party, Label, &str)) -> String {
    let role = draft.pick(label);
    let which = format!("{role}{}", draft.lang().pick(&format!(", {letter}"), ""));
    let name = draft.must_of(("наименование", "name"), &which, &party.name);
    let address = draft.must_of(("адрес", "address"), &which, &party.address);
    let letter = if draft.lang() == Lang::Ru { format!(" [{letter}]") } else { String::new() };
    format!("{role}: {name}; {}: {address}{letter}", draft.pick(("адрес", "address")))
}
