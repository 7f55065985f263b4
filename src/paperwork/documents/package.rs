//! D9: the cover of the evidence an operator asked for.

use super::draft::{Draft, joined};
use super::words::{WITHIN_WORKING_DAYS, count};
use super::{Assurance, Basis, Heading, LogHead, Party, Press};
use crate::model::{Date, Digest, Text};
use crate::paperwork::sheet::Sheet;

/// The facts of a package.
#[derive(Clone, Debug)]
pub struct ProofPackage {
    /// Outgoing number, date, place, digest of the mandate.
    pub heading: Heading,
    /// Who asked.
    pub operator: Party,
    /// Who answers.
    pub processor: Party,
    /// Under which mandate.
    pub basis: Basis,
    /// The request's number.
    pub request: Text,
    /// The request's date.
    pub request_date: Option<Date>,
    /// Within how many working days the mandate asks for an answer.
    pub answer_days: u32,
    /// The files.
    pub enclosures: Vec<Enclosure>,
    /// Third parties with access by the operator's permission; empty means none.
    pub third_parties: Vec<Text>,
    /// How long records and acts are kept, and what then.
    pub retention: Text,
    /// The ledger's head.
    pub log: Option<LogHead>,
    /// How far the halves were held apart.
    pub assurance: Assurance,
}

/// One file of a package.
#[derive(Clone, Debug)]
pub struct Enclosure {
    /// What it is.
    pub title: Text,
    /// The file's name.
    pub file: Text,
    /// Its SHA-256.
    pub sha256: Digest,
}

impl ProofPackage {
    /// The document.
    pub fn sheet(&self, press: &Press<'_>) -> Sheet {
        let mut draft = Draft::new(press, &self.heading, "package.title", &[]);
        draft.field(("Кому", "To"), &self.operator.name);
        draft.field(("От кого", "From"), &self.processor.name);
        let request = draft.must(("номер запроса", "number of the request"), &self.request);
        let date = draft.must_day(("дата запроса", "date of the request"), self.request_date);
        let request = draft.numbered_of(&request, &date);
        let mandate = draft.mandate_of(&self.basis);
        let days = count(draft.lang(), u64::from(self.answer_days), &WITHIN_WORKING_DAYS);
        draft.paragraph("package.answer", &[("request", &request), ("mandate", &mandate), ("days", &days)]);
        self.enclosures(&mut draft);
        draft.heading(("Сведения", "Information"));
        let none = draft.pick(("не привлекались", "none")).to_owned();
        let third = if self.third_parties.is_empty() { none } else { joined(&self.third_parties) };
        draft.field(("Третьи лица", "Third parties"), third);
        draft.field(("Хранение и уничтожение записей", "Retention of records"), &self.retention);
        match &self.log {
            Some(head) => {
                let (records, root, verification) = draft.log_head(head);
                let fill = [("records", records.as_str()), ("root", &root), ("verification", &verification)];
                draft.paragraph("termination.extract", &fill);
            }
            None => draft.field(("Выписка из журнала хранилища", "Extract from the vault's ledger"), ""),
        }
        draft.assurance(self.assurance);
        let signature = draft.signature(("Исполнитель", "Processor"), &self.processor);
        draft.signatures(vec![signature]);
        draft.done()
    }

    fn enclosures(&self, draft: &mut Draft<'_>) {
        draft.heading(("Приложения", "Enclosures"));
        if self.enclosures.is_empty() {
            draft.must(("приложения", "enclosures"), "");
        }
        let mut table = draft.columns(&[
            (("№", "No."), 1),
            (("Документ", "Document"), 6),
            (("Файл", "File"), 5),
            (("SHA-256", "SHA-256"), 8),
        ]);
        for (number, one) in (1..).zip(&self.enclosures) {
            let sha = grouped(&one.sha256.to_string());
            table.rows.push(vec![number.to_string(), one.title.to_string(), one.file.to_string(), sha]);
        }
        draft.table(table);
        draft.note("package.digests", &[]);
    }
}

/// A digest on two lines, so that a narrow column breaks it where a reader expects.
fn grouped(hex: &str) -> String {
    let (first, second) = hex.split_at_checked(hex.len() / 2).unwrap_or((hex, ""));
    format!("{first}\n{second}")
}
