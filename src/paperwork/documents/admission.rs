//! D2: the order of admission with the sheet of acquaintance, on one page.

use super::draft::{Draft, term};
use super::words;
use super::{Basis, Heading, Party, Person, Press, Refusal};
use crate::model::{Date, Level, Text};
use crate::paperwork::sheet::{Sheet, Signature};
use std::collections::BTreeSet;

/// The facts of an order of admission.
#[derive(Clone, Debug, Default)]
pub struct AdmissionOrder {
    /// Number, date, place.
    pub heading: Heading,
    /// Who orders.
    pub processor: Party,
    /// Whose data it is about.
    pub operator: Party,
    /// Under which mandate.
    pub basis: Basis,
    /// Who answers for the order.
    pub responsible: Person,
    /// How many people the team has, the head included.
    pub team: usize,
    /// Who is admitted to what.
    pub admitted: Vec<Admitted>,
}

/// A person and the rows they are admitted to.
#[derive(Clone, Debug, Default)]
pub struct Admitted {
    /// Who.
    pub person: Person,
    /// The rows of the access table, by system.
    pub systems: Vec<Text>,
    /// At which levels.
    pub levels: BTreeSet<Level>,
    /// First day.
    pub from: Option<Date>,
    /// Last day.
    pub until: Option<Date>,
}

impl AdmissionOrder {
    /// The document.
    ///
    /// # Errors
    /// [`Refusal::NotNeeded`] when the team has one person.
    pub fn sheet(&self, press: &Press<'_>) -> Result<Sheet, Refusal> {
        if self.team <= 1 {
            return Err(Refusal::NotNeeded(press.wording.say(press.lang, "admission.skipped", &[])));
        }
        let mut draft = Draft::new(press, &self.heading, "admission.title", &[]);
        draft.field(("Исполнитель", "Processor"), &self.processor.name);
        draft.about(&self.operator, &self.basis);
        let mandate = draft.mandate_of(&self.basis);
        draft.item("1.", "admission.order", &[("mandate", &mandate)]);
        self.list(&mut draft);
        let person = &self.responsible;
        let name = draft.must(("ответственный", "person responsible"), &person.name);
        let position = if person.position.is_empty() { String::new() } else { format!(", {}", person.position) };
        draft.item("2.", "admission.responsible", &[("responsible", &format!("{name}{position}"))]);
        let head = draft.signature(("Исполнитель", "Processor"), &self.processor);
        draft.signatures(vec![head]);
        self.acquaintance(&mut draft);
        Ok(draft.done())
    }

    fn list(&self, draft: &mut Draft<'_>) {
        let mut table = draft.columns(&[
            (("№", "No."), 1),
            (("ФИО", "Name"), 5),
            (("Должность", "Position"), 4),
            (("Оператор", "Operator"), 5),
            (("Строки таблицы доступа", "Rows of the access table"), 6),
            (("Уровень доступа", "Access level"), 5),
            (("Срок", "Term"), 4),
        ]);
        if self.admitted.is_empty() {
            draft.must(("допущенные лица", "authorised persons"), "");
        }
        for (number, one) in (1..).zip(&self.admitted) {
            let name = draft.must(("ФИО допущенного лица", "name of an authorised person"), &one.person.name);
            let position = draft.must_of(("должность", "position"), &name, &one.person.position);
            let systems = super::draft::joined(&one.systems);
            let systems = draft.must_of(("строки таблицы", "rows"), &name, systems);
            let levels = words::levels(draft.lang(), &one.levels);
            let levels = draft.must_of(("уровень", "level"), &name, levels);
            let term = term(draft.lang(), one.from, one.until).unwrap_or_default();
            let term = draft.must_of(("срок", "term"), &name, term);
            let operator = self.operator.name.to_string();
            table.rows.push(vec![number.to_string(), name, position, operator, systems, levels, term]);
        }
        draft.table(table);
    }

    fn acquaintance(&self, draft: &mut Draft<'_>) {
        draft.heading(("Лист ознакомления", "Acknowledgement"));
        draft.paragraph("admission.acquainted", &[]);
        let mut table = draft.columns(&[(("ФИО", "Name"), 5), (("Дата", "Date"), 3), (("Подпись", "Signature"), 4)]);
        for one in &self.admitted {
            table.rows.push(vec![one.person.name.to_string(), String::new(), String::new()]);
        }
        draft.table(table);
    }
}

/// A place to sign for a person who made a document.
pub(super) fn signed_by(role: &str, person: &Person) -> Signature {
    Signature { role: role.to_owned(), position: person.position.to_string(), name: person.name.to_string() }
}
