//! A person's answers: they change the source, and everything is judged again by the same rules.

use super::dates;
use super::parties::inn_holds;
use super::reading::{Answer, Reading, Refusal};
use super::redact::redact;
use super::source::{FIELDS, SourceCell, SourceRow};
use super::systems;
use super::text::{clean, folded, is_blank, unmix, words};
use crate::model::Date;
use crate::paperwork::catalogue::{Catalogue, Category, Found};
use crate::paperwork::law::Law;

/// How far away a review date may be, days.
const REVIEW_WITHIN: u32 = 90;

/// The code of a refusal.
type Code = &'static str;

impl Reading {
    /// Takes an answer: row 0 is the document. The answer is read and judged like the document itself, so it may raise
    /// a new question.
    ///
    /// | field | of | values |
    /// |---|---|---|
    /// | `system data level purpose term` | row | text as in the table; `confirm` accepts what is asked about |
    /// | `category`, `platform` | row | a name or slug; `none` for no platform |
    /// | `row` | row | `keep`, `split`, `drop` |
    /// | `operator.name operator.inn processor.name processor.inn contract.number` | document | text |
    /// | `contract.date contract.end contract.review mandate_signed_on` | document | a date |
    /// | `tables` | document | the number of the table in force, or `both` |
    /// | `document`, `credential`, `columns`, `notes` | document | `confirm` |
    ///
    /// # Errors
    /// [`Refusal`] with the next step; nothing has changed then.
    pub fn answer(
        &mut self,
        row: u32,
        field: &str,
        value: &str,
        catalogue: &Catalogue,
        law: &Law,
    ) -> Result<(), Box<Refusal>> {
        if self.source.refused {
            return Err(refusal("ANSWER_REFUSED_DOCUMENT"));
        }
        let (value, secret) = redact(&clean(value));
        if secret {
            return Err(refusal("ANSWER_HOLDS_SECRET"));
        }
        if is_blank(&value) {
            return Err(refusal("ANSWER_EMPTY"));
        }
        let taken = match row {
            0 => self.answer_document(field, &value),
            row => self.answer_row(row, field, &value, catalogue),
        };
        taken.map_err(refusal)?;
        self.answers.push(Answer { row, field: field.to_owned(), value });
        self.judge(catalogue, law);
        Ok(())
    }

    fn answer_document(&mut self, field: &str, value: &str) -> Result<(), Code> {
        let text = || Some(value.to_owned());
        let as_of = self.as_of;
        let source = &mut self.source;
        let facts = &mut source.facts;
        match field {
            "operator.name" => facts.operator.name = text(),
            "processor.name" => facts.processor.name = text(),
            "operator.inn" => facts.operator.inn = Some(inn(value)?),
            "processor.inn" => facts.processor.inn = Some(inn(value)?),
            "contract.number" => facts.contract.number = text(),
            "contract.date" => facts.contract.date = Some(date(value)?),
            "contract.end" => {
                facts.contract.end = Some(date(value)?);
                (facts.term_unclear, facts.end_unclear) = (false, false);
            }
            "contract.review" => {
                let review = date(value)?;
                let last = dates::after(as_of, REVIEW_WITHIN, dates::Unit::Day);
                if review < as_of || last.is_none_or(|last| review > last) {
                    return Err("ANSWER_REVIEW_TOO_LATE");
                }
                facts.contract.review = Some(review);
                // Where no last day was read at all, a review stands in for it.
                facts.end_unclear &= facts.contract.end.is_some();
            }
            "mandate_signed_on" => facts.mandate_signed_on = Some(date(value)?),
            "document" | "credential" | "columns" | "notes" if !confirms(value) => return Err("ANSWER_NOT_A_CHOICE"),
            "document" => source.repeated = false,
            "credential" => source.credential_elsewhere = false,
            "columns" => source.unread.clear(),
            "notes" => {
                source.notes.clear();
                (source.versions, source.struck) = (false, false);
            }
            "tables" => self.choose_table(value)?,
            _ => return Err("ANSWER_FIELD_UNKNOWN"),
        }
        Ok(())
    }

    fn choose_table(&mut self, value: &str) -> Result<(), Code> {
        let number = value.parse::<u32>().ok().filter(|number| (1..=self.source.tables).contains(number));
        match (number, words(value).as_str()) {
            (Some(number), _) => self.source.rows.iter_mut().for_each(|row| row.dropped |= row.table != number),
            (None, "both" | "обе" | "все" | "all") => {}
            _ => return Err("ANSWER_NOT_A_CHOICE"),
        }
        self.source.tables = 1;
        Ok(())
    }

    fn answer_row(&mut self, number: u32, field: &str, value: &str, catalogue: &Catalogue) -> Result<(), Code> {
        let known = |row: &&mut SourceRow| row.number == number && !row.dropped;
        let Some(row) = self.source.rows.iter_mut().find(known) else { return Err("ANSWER_ROW_UNKNOWN") };
        match field {
            "row" => return self.answer_whole_row(number, value),
            "category" => row.category = Some(category(value, catalogue)?),
            "platform" => row.platform = Some(platform(value, catalogue)?),
            _ if !FIELDS.contains(&field) => return Err("ANSWER_FIELD_UNKNOWN"),
            _ if confirms(value) => {
                row.confirmed.insert(field.to_owned());
            }
            _ => {
                row.confirmed.remove(field);
                if field == "system" {
                    (row.category, row.platform) = (None, None);
                }
                let now = unmix(value).0;
                row.cells.insert(field.to_owned(), SourceCell { now, ..SourceCell::default() });
            }
        }
        Ok(())
    }

    fn answer_whole_row(&mut self, number: u32, value: &str) -> Result<(), Code> {
        let next = self.source.rows.iter().map(|row| row.number).max().unwrap_or(0) + 1;
        let Some(row) = self.source.rows.iter_mut().find(|row| row.number == number) else {
            return Err("ANSWER_ROW_UNKNOWN");
        };
        match words(value).as_str() {
            "keep" | "оставить" | "confirm" | "подтверждаю" => {
                row.confirmed.insert("row".to_owned());
            }
            "drop" | "исключить" => row.dropped = true,
            "split" | "разделить" => {
                let parts = systems::parts(row.text("system"));
                if parts.len() < 2 {
                    return Err("ANSWER_NOT_A_CHOICE");
                }
                row.dropped = true;
                let whole = row.clone();
                let pieces = parts.into_iter().zip(next..).map(|(system, number)| piece(&whole, system, number));
                self.source.rows.extend(pieces);
            }
            _ => return Err("ANSWER_NOT_A_CHOICE"),
        }
        Ok(())
    }
}

fn refusal(code: Code) -> Box<Refusal> {
    Box::new(Refusal::of(code))
}

/// One of the rows a row is split into.
fn piece(whole: &SourceRow, system: String, number: u32) -> SourceRow {
    let mut row = SourceRow { number, dropped: false, category: None, platform: None, ..whole.clone() };
    row.cells.insert("system".to_owned(), SourceCell { now: system, ..SourceCell::default() });
    row
}

fn confirms(value: &str) -> bool {
    matches!(words(value).as_str(), "confirm" | "подтверждаю" | "да" | "yes")
}

fn date(value: &str) -> Result<Date, Code> {
    let found = dates::dates(value);
    match found.as_slice() {
        [one] => one.date.ok_or("ANSWER_NOT_A_DATE"),
        _ => Err("ANSWER_NOT_A_DATE"),
    }
}

fn inn(value: &str) -> Result<String, Code> {
    let digits = matches!(value.len(), 10 | 12) && value.bytes().all(|byte| byte.is_ascii_digit());
    if digits && inn_holds(value) { Ok(value.to_owned()) } else { Err("ANSWER_NOT_A_CHOICE") }
}

fn category(value: &str, catalogue: &Catalogue) -> Result<Category, Code> {
    let wanted = words(value);
    let by_slug =
        |category: &Category| serde_json::to_value(category).is_ok_and(|slug| slug.as_str() == Some(value.trim()));
    let found = catalogue.categories().iter().find(|category| {
        by_slug(&category.slug)
            || words(&category.name.ru) == wanted
            || words(&category.name.en) == wanted
            || category.words.contains(&wanted)
    });
    found.map(|category| category.slug).ok_or("ANSWER_NOT_A_CHOICE")
}

fn platform(value: &str, catalogue: &Catalogue) -> Result<String, Code> {
    if matches!(folded(value).as_str(), "none" | "нет" | "другая") {
        return Ok(String::new());
    }
    if let Some(platform) = catalogue.platform(value.trim()) {
        return Ok(platform.slug.clone());
    }
    match catalogue.find(value) {
        Found::Platform(platform) => Ok(platform.slug.clone()),
        _ => Err("ANSWER_NOT_A_CHOICE"),
    }
}
