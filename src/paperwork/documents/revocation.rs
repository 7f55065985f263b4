//! D8: the list of access to be revoked or replaced, at the end of a mandate or in an incident.

use super::draft::{Draft, joined};
use super::words::{self, mask_account};
use super::{Basis, Heading, Party, Press};
use crate::model::{Date, Kind, Text};
use crate::paperwork::sheet::Sheet;

/// The facts of the list.
#[derive(Clone, Debug, Default)]
pub struct RevocationList {
    /// Number, date, place, digest of the mandate.
    pub heading: Heading,
    /// Whose mandate.
    pub operator: Party,
    /// Who held the access.
    pub processor: Party,
    /// Which mandate.
    pub basis: Basis,
    /// Why: the end of the mandate, or an incident.
    pub reason: Text,
    /// What is to be done.
    pub items: Vec<RevocationItem>,
}

/// One access to be revoked or replaced.
#[derive(Clone, Debug)]
pub struct RevocationItem {
    /// The system.
    pub system: Text,
    /// The account; printed masked.
    pub account: Text,
    /// What it is.
    pub kind: Kind,
    /// Who saw the secret; empty means nobody by the ledger.
    pub seen_by: Vec<Text>,
    /// The platform's steps; empty prints "check on the platform", never an invented step.
    pub steps: Vec<Text>,
    /// Who does it.
    pub actor: Text,
    /// When it was done.
    pub done: Option<Date>,
    /// What shows it.
    pub proof: Text,
}

impl RevocationList {
    /// The document.
    pub fn sheet(&self, press: &Press<'_>) -> Sheet {
        let mut draft = Draft::new(press, &self.heading, "revocation.title", &[]);
        draft.landscape();
        draft.about(&self.operator, &self.basis);
        draft.field(("Исполнитель", "Processor"), &self.processor.name);
        draft.field(("Повод", "Reason"), &self.reason);
        draft.paragraph("revocation.why", &[]);
        let mut table = draft.columns(&[
            (("№", "No."), 2),
            (("Система", "System"), 6),
            (("Учётная запись, вид", "Account, kind"), 8),
            (("Кто видел секрет", "Who saw the secret"), 7),
            (("Что сделать", "What to do"), 13),
            (("Кто делает", "Who does it"), 6),
            (("Отметка и подтверждение", "Done and proof"), 8),
        ]);
        for (number, item) in (1..).zip(&self.items) {
            let cells = item.cells(&mut draft, number);
            table.rows.push(cells);
        }
        draft.table(table);
        draft.both_sign(&self.operator, &self.processor);
        draft.done()
    }
}

impl RevocationItem {
    fn cells(&self, draft: &mut Draft<'_>, number: usize) -> Vec<String> {
        let kind = words::kind(draft.lang(), self.kind);
        let account = mask_account(self.account.as_str());
        let account = if account.is_empty() { kind.to_owned() } else { format!("{account}\n{kind}") };
        let nobody = match self.kind {
            Kind::Delegated => ("секрета нет", "no secret"),
            _ => ("никто, по журналу", "nobody, by the ledger"),
        };
        let seen = if self.seen_by.is_empty() { draft.pick(nobody).to_owned() } else { joined(&self.seen_by) };
        let steps = (1..).zip(&self.steps).map(|(at, step)| format!("{at}. {step}")).collect::<Vec<_>>().join("\n");
        let unknown = ("уточнить на площадке", "check on the platform");
        let steps = if steps.is_empty() { draft.pick(unknown).to_owned() } else { steps };
        let actor = draft.must_of(("кто делает", "who does it"), self.system.as_str(), &self.actor);
        let proof = if self.proof.is_empty() { String::new() } else { format!("\n{}", self.proof) };
        let done = format!("{}{proof}", draft.day_or_blank(self.done));
        vec![number.to_string(), self.system.to_string(), account, seen, steps, actor, done]
    }
}
