//! A sheet while it is put together: the only place that decides what a blank is.

use super::words::{self, RECORD, count, day, moment};
use super::{Assurance, Basis, Heading, LogHead, Party, Press, Verification};
use crate::model::{Date, Instant};
use crate::paperwork::lang::Lang;
use crate::paperwork::sheet::{BLANK, Block, Sheet, Signature, Table};

/// A label in both languages.
pub(super) type Label = (&'static str, &'static str);

/// A growing sheet.
pub(super) struct Draft<'p> {
    press: Press<'p>,
    sheet: Sheet,
}

impl<'p> Draft<'p> {
    /// Begins a document. The places of the title beside `number` are filled with `fill`.
    pub(super) fn new(press: &Press<'p>, heading: &Heading, title: &str, fill: &[(&str, &str)]) -> Self {
        let number = if heading.number.is_empty() { BLANK } else { heading.number.as_str() };
        let fill: Vec<(&str, &str)> = fill.iter().copied().chain([("number", number)]).collect();
        let sheet = Sheet {
            lang: press.lang,
            title: press.wording.say(press.lang, title, &fill),
            number: heading.number.to_string(),
            date: heading.date,
            place: heading.place.to_string(),
            landscape: false,
            blocks: Vec::new(),
            unfilled: Vec::new(),
            source: heading.source,
            made: press.made,
        };
        let mut draft = Self { press: *press, sheet };
        draft.must(("номер", "number"), &heading.number);
        draft.must(("место", "place"), &heading.place);
        draft.must_day(("дата", "date"), heading.date);
        draft
    }

    /// The text of the document's language.
    pub(super) fn pick(&self, label: Label) -> &'static str {
        self.press.lang.pick(label.0, label.1)
    }

    /// The language.
    pub(super) fn lang(&self) -> Lang {
        self.press.lang
    }

    /// Prints the document across the page.
    pub(super) fn landscape(&mut self) {
        self.sheet.landscape = true;
    }

    /// A required text: itself, or a blank that is listed at the end.
    pub(super) fn must(&mut self, label: Label, value: impl ToString) -> String {
        let value = value.to_string();
        if !value.trim().is_empty() {
            return value;
        }
        let label = self.pick(label).to_owned();
        if !self.sheet.unfilled.contains(&label) {
            self.sheet.unfilled.push(label);
        }
        BLANK.to_owned()
    }

    /// A required date.
    pub(super) fn must_day(&mut self, label: Label, value: Option<Date>) -> String {
        self.must(label, value.map_or_else(String::new, day))
    }

    /// A required list.
    pub(super) fn must_list<T: ToString>(&mut self, label: Label, values: &[T]) -> String {
        self.must(label, joined(values))
    }

    /// A required fact about one of many, such as a row: the label names which.
    pub(super) fn must_of(&mut self, label: Label, which: &str, value: impl ToString) -> String {
        let value = value.to_string();
        if !value.trim().is_empty() {
            return value;
        }
        self.sheet.unfilled.push(format!("{} ({which})", self.pick(label)));
        BLANK.to_owned()
    }

    /// An instant in the operator's zone and in UTC.
    pub(super) fn moment(&self, at: Instant) -> String {
        moment(self.press.lang, at, self.press.zone)
    }

    /// A date or a blank that is filled in by hand and not missed.
    pub(super) fn day_or_blank(&self, date: Option<Date>) -> String {
        date.map_or_else(|| BLANK.to_owned(), day)
    }

    /// A lawyer's text.
    pub(super) fn say(&self, text: &str, fill: &[(&str, &str)]) -> String {
        self.press.wording.say(self.press.lang, text, fill)
    }

    /// A heading.
    pub(super) fn heading(&mut self, text: Label) {
        self.sheet.blocks.push(Block::Heading(self.pick(text).to_owned()));
    }

    /// A paragraph of a lawyer's text.
    pub(super) fn paragraph(&mut self, text: &str, fill: &[(&str, &str)]) {
        self.sheet.blocks.push(Block::Paragraph(self.say(text, fill)));
    }

    /// A paragraph put together here.
    pub(super) fn plain(&mut self, text: String) {
        self.sheet.blocks.push(Block::Paragraph(text));
    }

    /// A numbered clause of a lawyer's text.
    pub(super) fn item(&mut self, number: &str, text: &str, fill: &[(&str, &str)]) {
        let text = self.say(text, fill);
        self.numbered(number, text);
    }

    /// A numbered line put together here.
    pub(super) fn numbered(&mut self, number: &str, text: String) {
        self.sheet.blocks.push(Block::Item { number: number.to_owned(), text });
    }

    /// A required field line.
    pub(super) fn field(&mut self, label: Label, value: impl ToString) {
        let value = self.must(label, value);
        self.sheet.blocks.push(Block::Field { label: self.pick(label).to_owned(), value });
    }

    /// A field line that is left out when there is nothing to say.
    pub(super) fn field_if_any(&mut self, label: Label, value: impl ToString) {
        let value = value.to_string();
        if !value.trim().is_empty() {
            self.sheet.blocks.push(Block::Field { label: self.pick(label).to_owned(), value });
        }
    }

    /// An empty table of these heads and widths.
    pub(super) fn columns(&self, columns: &[(Label, u32)]) -> Table {
        let columns: Vec<(&str, u32)> = columns.iter().map(|&(head, width)| (self.pick(head), width)).collect();
        Table::new(&columns)
    }

    /// A table, or a line saying that there is nothing to list.
    pub(super) fn table(&mut self, table: Table) {
        if table.rows.is_empty() {
            self.plain(self.pick(("Нет.", "None.")).to_owned());
        } else {
            self.sheet.blocks.push(Block::Table(table));
        }
    }

    /// A remark of a lawyer's text.
    pub(super) fn note(&mut self, text: &str, fill: &[(&str, &str)]) {
        self.sheet.blocks.push(Block::Note(self.say(text, fill)));
    }

    /// Who made the document when: facts of the program, not of the parties.
    pub(super) fn made_note(&mut self) {
        let made = self.moment(self.press.made);
        let wording = day(self.press.wording.as_of());
        let said = match self.press.lang {
            Lang::Ru => format!("Сформировано {made}; тексты документа — редакция от {wording}."),
            Lang::En => format!("Generated {made}; wording of {wording}."),
        };
        self.sheet.blocks.push(Block::Note(said));
    }

    /// The assurance level and what no level can show.
    pub(super) fn assurance(&mut self, assurance: Assurance) {
        self.heading(("Уровень гарантии", "Assurance"));
        self.paragraph(&format!("assurance.{}", assurance.name()), &[]);
        self.paragraph("limits", &[]);
    }

    /// Places to sign.
    pub(super) fn signatures(&mut self, signatures: Vec<Signature>) {
        self.sheet.blocks.push(Block::Signatures(signatures));
    }

    /// Places to sign for both parties.
    pub(super) fn both_sign(&mut self, operator: &Party, processor: &Party) {
        let operator = self.signature(("Оператор", "Operator"), operator);
        let processor = self.signature(("Исполнитель", "Processor"), processor);
        self.signatures(vec![operator, processor]);
    }

    /// A place to sign for one party.
    pub(super) fn signature(&self, role: Label, party: &Party) -> Signature {
        Signature {
            role: self.pick(role).to_owned(),
            position: party.position.to_string(),
            name: party.representative.to_string(),
        }
    }

    /// A party with what identifies it, on a few lines.
    pub(super) fn party(&mut self, which: Label, party: &Party) -> String {
        let mut first = self.must(which, &party.name);
        for (label, value) in [(("ИНН", "tax no."), &party.tax_number), (register_of(party), &party.register_number)]
        {
            if !value.is_empty() {
                first += &format!(", {} {value}", self.pick(label));
            }
        }
        let address = self.must_of(("адрес", "address"), self.pick(which), &party.address);
        format!("{first}\n{address}")
    }

    /// «№ 5 от 01.02.2026»
    pub(super) fn mandate_of(&mut self, basis: &Basis) -> String {
        let number = self.must(("номер поручения", "number of the mandate"), &basis.mandate);
        let date = self.must_day(("дата поручения", "date of the mandate"), basis.mandate_date);
        self.numbered_of(&number, &date)
    }

    /// «№ 17/СММ от 01.02.2026»
    pub(super) fn contract_of(&mut self, basis: &Basis) -> String {
        let number = self.must(("номер договора", "number of the contract"), &basis.contract);
        let date = self.must_day(("дата договора", "date of the contract"), basis.contract_date);
        self.numbered_of(&number, &date)
    }

    /// The operator, the mandate and the contract, as field lines.
    pub(super) fn about(&mut self, operator: &Party, basis: &Basis) {
        self.field(("Оператор", "Operator"), &operator.name);
        let (mandate, contract) = (self.mandate_of(basis), self.contract_of(basis));
        let basis = format!("{mandate}, {} {contract}", self.pick(("договор", "contract")));
        self.field(("Поручение", "Mandate"), basis);
    }

    /// A number and a date as one name.
    pub(super) fn numbered_of(&self, number: &str, date: &str) -> String {
        format!("{} {number} {} {date}", self.pick(("№", "No.")), self.pick(("от", "of")))
    }

    /// Size, root and check of a ledger, as a lawyer's text has places for.
    pub(super) fn log_head(&self, head: &LogHead) -> (String, String, String) {
        let verification = match head.verification {
            Verification::Verified(at) => {
                format!("{} {}", self.pick(("проверка пройдена", "verified")), self.moment(at))
            }
            Verification::Failed(at) => {
                format!("{} {}", self.pick(("ПРОВЕРКА НЕ ПРОЙДЕНА", "VERIFICATION FAILED")), self.moment(at))
            }
            Verification::NotChecked => self.pick(("проверка не проводилась", "not verified")).to_owned(),
        };
        (count(self.press.lang, head.tree_size, &RECORD), head.root.to_string(), verification)
    }

    /// What is still blank.
    pub(super) fn unfilled(&self) -> &[String] {
        &self.sheet.unfilled
    }

    /// The finished sheet.
    pub(super) fn done(mut self) -> Sheet {
        self.made_note();
        self.sheet
    }
}

/// A sole trader's number has 15 digits, a company's 13.
fn register_of(party: &Party) -> Label {
    let trader = party.register_number.as_str().chars().filter(char::is_ascii_digit).count() == 15;
    (if trader { "ОГРНИП" } else { "ОГРН" }, "register no.")
}

/// A list as running text; items that hold commas are parted by semicolons.
pub(super) fn joined<T: ToString>(values: &[T]) -> String {
    let texts: Vec<String> = values.iter().map(T::to_string).filter(|text| !text.trim().is_empty()).collect();
    texts.join(if texts.iter().any(|text| text.contains(',')) { "; " } else { ", " })
}

/// «с 01.03.2026 по 31.12.2026», «до 31.12.2026»: words an importer of access tables reads back.
pub(super) fn term(lang: Lang, from: Option<Date>, until: Option<Date>) -> Option<String> {
    let until = day(until?);
    Some(match (lang, from.map(words::day)) {
        (Lang::Ru, None) => format!("до {until}"),
        (Lang::Ru, Some(from)) => format!("с {from} по {until}"),
        (Lang::En, None) => format!("until {until}"),
        (Lang::En, Some(from)) => format!("from {from} to {until}"),
    })
}
