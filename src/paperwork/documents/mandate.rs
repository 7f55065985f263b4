//! D1: the mandate with its access table, in the form an importer of signed mandates reads back.

use super::draft::{Draft, Label, joined, term};
use super::words::{self, WITHIN_DAYS, WITHIN_HOURS, WITHIN_WORKING_DAYS, count};
use super::{Basis, Heading, Party, Press};
use crate::model::{Date, Kind, Level, Name, Text};
use crate::paperwork::sheet::{BLANK, Sheet, Table};
use std::collections::BTreeSet;

/// The facts of a mandate.
#[derive(Clone, Debug, Default)]
pub struct Mandate {
    /// Number, date and place; `source` stays empty, as this is the source.
    pub heading: Heading,
    /// Who entrusts.
    pub operator: Party,
    /// Who is entrusted.
    pub processor: Party,
    /// The contract it serves; the mandate's own number and date are those of the heading.
    pub basis: Basis,
    /// Whose data.
    pub subjects: Vec<Text>,
    /// Which data, exhaustively.
    pub data: Vec<Text>,
    /// What may be done with it.
    pub actions: Vec<Text>,
    /// What for.
    pub purposes: Vec<Text>,
    /// Measures beyond the standing ones; may be empty.
    pub measures: Vec<Text>,
    /// The level of protection asked for («УЗ-4»).
    pub protection: Text,
    /// Whom to notify of an incident.
    pub incident_contact: Text,
    /// By which channel.
    pub incident_channel: Text,
    /// Within how many hours.
    pub incident_hours: u32,
    /// Within how many working days a request is answered.
    pub answer_days: u32,
    /// First day; none: from the day of signing.
    pub from: Option<Date>,
    /// Last day.
    pub until: Option<Date>,
    /// Within how many days copies are returned or destroyed.
    pub return_days: u32,
    /// Third parties the operator has permitted; empty means none.
    pub third_parties: Vec<Text>,
    /// The access table.
    pub rows: Vec<AccessRow>,
}

/// One line of the access table.
#[derive(Clone, Debug)]
pub struct AccessRow {
    /// The system.
    pub system: Name,
    /// The platform, where it has a name of its own.
    pub platform: Text,
    /// Data categories.
    pub data: Vec<Text>,
    /// Levels.
    pub levels: BTreeSet<Level>,
    /// Purposes.
    pub purposes: Vec<Text>,
    /// First day; none prints «до …» alone.
    pub from: Option<Date>,
    /// Last day.
    pub until: Option<Date>,
    /// How access is had; the kinds of its credentials.
    pub kinds: BTreeSet<Kind>,
    /// Who answers for it; the column is left out when no row names anyone.
    pub responsible: Text,
}

impl Mandate {
    /// The document.
    pub fn sheet(&self, press: &Press<'_>) -> Sheet {
        let mut draft = Draft::new(press, &self.heading, "mandate.title", &[]);
        self.parties(&mut draft);
        self.scope(&mut draft);
        self.duties(&mut draft);
        self.end(&mut draft);
        draft.heading(("8. Таблица доступа к данным", "8. Access table"));
        let table = self.access_table(&mut draft);
        draft.table(table);
        draft.both_sign(&self.operator, &self.processor);
        draft.done()
    }

    fn parties(&self, draft: &mut Draft<'_>) {
        let mut table = Table::new(&[("", 3), ("", 9)]);
        for (role, party) in
            [(("Оператор", "Operator"), &self.operator), (("Исполнитель", "Processor"), &self.processor)]
        {
            let named = draft.party(role, party);
            let by = represented(draft, role, party);
            table.rows.push(vec![draft.pick(role).to_owned(), format!("{named}\n{by}")]);
        }
        let contract = draft.contract_of(&self.basis);
        let until = self.basis.contract_until.map(words::day).unwrap_or_default();
        let until = draft.must(("срок договора", "end of the contract"), until);
        let line = format!(
            "{} {contract}, {} {until}",
            draft.pick(("Договор", "Contract")),
            draft.pick(("действует до", "in force until"))
        );
        table.rows.push(vec![draft.pick(("Основание", "Basis")).to_owned(), line]);
        draft.table(table);
    }

    fn scope(&self, draft: &mut Draft<'_>) {
        let contract = draft.contract_of(&self.basis);
        draft.heading(("1. Предмет поручения", "1. Subject of the mandate"));
        draft.item("1.1.", "mandate.subject", &[("contract", &contract)]);
        draft.item("1.2.", "mandate.own_use", &[]);
        draft.heading(("2. Категории субъектов и перечень данных", "2. Data subjects and categories of data"));
        let subjects = draft.must_list(("субъекты данных", "data subjects"), &self.subjects);
        draft.item("2.1.", "mandate.people", &[("subjects", &subjects)]);
        let data = draft.must_list(("перечень данных", "categories of data"), &self.data);
        draft.item("2.2.", "mandate.data", &[("data", &data)]);
        draft.heading(("3. Действия с данными и цели обработки", "3. Operations and purposes"));
        let actions = draft.must_list(("допустимые действия", "permitted operations"), &self.actions);
        draft.item("3.1.", "mandate.actions", &[("actions", &actions)]);
        let purposes = draft.must_list(("цели обработки", "purposes of processing"), &self.purposes);
        draft.item("3.2.", "mandate.purposes", &[("purposes", &purposes)]);
    }

    fn duties(&self, draft: &mut Draft<'_>) {
        let lang = draft.lang();
        draft.heading(("4. Меры защиты и инциденты", "4. Safeguards and incidents"));
        let mut measures = joined(&self.measures);
        if measures.is_empty() {
            draft.pick(("не установлены", "none")).clone_into(&mut measures);
        }
        draft.item("4.1.", "mandate.safeguards", &[("measures", &measures)]);
        let deadline = count(lang, u64::from(self.incident_hours), &WITHIN_HOURS);
        let contact = draft.must(("контакт для уведомлений", "contact for notices"), &self.incident_contact);
        let channel = draft.must(("канал для уведомлений", "channel for notices"), &self.incident_channel);
        let fill = [("deadline", deadline.as_str()), ("contact", &contact), ("channel", &channel)];
        draft.item("4.2.", "mandate.incident", &fill);
        let protection = draft.must(("уровень защищённости", "level of protection"), &self.protection);
        draft.item("4.3.", "mandate.law", &[("protection", &protection)]);
        draft.heading(("5. Подтверждения по запросу", "5. Evidence on request"));
        let days = count(lang, u64::from(self.answer_days), &WITHIN_WORKING_DAYS);
        draft.item("5.1.", "mandate.answers", &[("days", &days)]);
    }

    fn end(&self, draft: &mut Draft<'_>) {
        let lang = draft.lang();
        draft.heading(("6. Срок действия и прекращение", "6. Term and end"));
        let said = term(lang, self.from, self.until).unwrap_or_default();
        let said = draft.must(("срок поручения", "term of the mandate"), said);
        draft.item("6.1.", "mandate.term", &[("term", &said)]);
        let days = count(lang, u64::from(self.return_days), &WITHIN_DAYS);
        draft.item("6.2.", "mandate.end", &[("days", &days)]);
        draft.heading(("7. Третьи лица", "7. Third parties"));
        let mut third = joined(&self.third_parties);
        if third.is_empty() {
            draft.pick(("нет", "none")).clone_into(&mut third);
        }
        draft.item("7.1.", "mandate.third_parties", &[("third_parties", &third)]);
    }

    fn access_table(&self, draft: &mut Draft<'_>) -> Table {
        let mut columns: Vec<(Label, u32)> = vec![
            (("№", "No."), 2),
            (("Система", "System"), 8),
            (("Категории данных", "Data categories"), 9),
            (("Уровень доступа", "Access level"), 9),
            (("Цель доступа", "Purpose of access"), 9),
            (("Срок доступа", "Access term"), 7),
            (("Вид доступа", "Kind of access"), 7),
        ];
        let named = self.rows.iter().any(|row| !row.responsible.is_empty());
        if named {
            columns.push((("Ответственный", "Responsible"), 8));
        }
        let mut table = draft.columns(&columns);
        if self.rows.is_empty() {
            draft.must(("таблица доступа", "access table"), "");
            table.rows.push(vec![BLANK.to_owned(); columns.len()]);
        }
        for (number, row) in (1..).zip(&self.rows) {
            let mut cells = row.cells(draft, number);
            cells.truncate(columns.len());
            table.rows.push(cells);
        }
        table
    }
}

impl AccessRow {
    fn cells(&self, draft: &mut Draft<'_>, number: usize) -> Vec<String> {
        let lang = draft.lang();
        let which = self.system.to_string();
        let system = match self.platform.is_empty() || self.system.same(self.platform.as_str()) {
            true => which.clone(),
            false => format!("{which} / {}", self.platform),
        };
        let term = term(lang, self.from, self.until).unwrap_or_default();
        let kinds: Vec<&str> = self.kinds.iter().map(|&kind| words::kind(lang, kind)).collect();
        vec![
            number.to_string(),
            system,
            draft.must_of(("категории данных", "data categories"), &which, joined(&self.data)),
            draft.must_of(("уровень доступа", "access level"), &which, words::levels(lang, &self.levels)),
            draft.must_of(("цель доступа", "purpose of access"), &which, split_safely(&self.purposes)),
            draft.must_of(("срок доступа", "access term"), &which, term),
            draft.must_of(("вид доступа", "kind of access"), &which, kinds.join("; ")),
            self.responsible.to_string(),
        ]
    }
}

/// Purposes are long: a semicolon parts them for readers and for an importer.
fn split_safely(purposes: &[Text]) -> String {
    let purposes: Vec<&str> = purposes.iter().map(Text::as_str).collect();
    purposes.join("; ")
}

fn represented(draft: &mut Draft<'_>, which: Label, party: &Party) -> String {
    let role = draft.pick(which);
    let signer = draft.must_of(("представитель", "representative"), role, &party.representative);
    let authority = draft.must_of(("основание полномочий", "authority"), role, &party.authority);
    let position = if party.position.is_empty() { String::new() } else { format!(", {}", party.position) };
    match draft.lang() {
        crate::paperwork::Lang::Ru => format!("подписывает {signer}{position}; основание полномочий: {authority}"),
        crate::paperwork::Lang::En => format!("signed by {signer}{position}; authority: {authority}"),
    }
}
