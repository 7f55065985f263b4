//! The access table: found by its header, its grid laid out, its rows taken cell by cell.
//!
//! Party, signature and requisites tables never match: a header needs four of the five columns by name. Merged cells
//! are filled down; anything else that is odd about a row is marked and asked about.

use super::dates;
use super::heads::{Column, Header};
use super::redact::{REMOVED, redact};
use super::source::{Columns, FIELDS, Mark, RowMark, Source, SourceCell, SourceRow};
use super::text::{clean, folded, is_blank, unmix, words};
use super::xml::{Block, Cell, Row, Table};
use std::collections::BTreeMap;

/// The most rows of an access table.
const ROWS_MAX: usize = 500;
/// The longest cell, characters.
const CELL_MAX: usize = 20_000;

/// How access is had, as mandates name it: «логин и пароль» is a kind here, not a password.
const ACCESS_KINDS: [&str; 24] = [
    "гостевой",
    "гостевой доступ",
    "логин",
    "пароль",
    "логин и пароль",
    "логин пароль",
    "токен",
    "токен бота",
    "токен oauth",
    "ключ",
    "ключ api",
    "адрес вебхука",
    "вебхук",
    "коды восстановления",
    "иной секрет",
    "delegated access",
    "login and password",
    "password",
    "api key",
    "bot token",
    "webhook address",
    "oauth token",
    "recovery codes",
    "other secret",
];

fn names_kinds(cell: &str) -> bool {
    cell.split([',', ';', '\n']).all(|kind| ACCESS_KINDS.contains(&words(kind).as_str()))
}

/// Why the access table is not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SheetError {
    /// There is none.
    NotFound,
    /// Too many rows, or too long a cell.
    TooLarge,
}

/// Takes the rows of every access table of a document.
pub fn take(blocks: &[Block], source: &mut Source) -> Result<Columns, SheetError> {
    let mut all = Vec::new();
    let mut sections = 0;
    flatten(blocks, &mut all, &mut sections);
    let mut taken = Taken { source, columns: Columns::default(), last: None, continued: false };
    for (place, table) in all {
        taken.table(place, table)?;
    }
    let Taken { columns, last, continued, .. } = taken;
    let Some((_, header)) = last else { return Err(SheetError::NotFound) };
    let missing = header.missing();
    let nested = source.warnings.iter().any(|code| code == "ACCESS_TABLE_NESTED");
    source.warnings.extend(header.warnings());
    if continued {
        source.warnings.push("TABLE_CONTINUED".to_owned());
    }
    debug_assert!(source.tables > 0 || nested);
    source.missing = missing;
    Ok(columns)
}

/// Every table with the text block it follows: two tables with nothing between are neighbours.
fn flatten<'a>(blocks: &'a [Block], all: &mut Vec<(usize, &'a Table)>, place: &mut usize) {
    for block in blocks {
        match block {
            Block::Paragraph(text) => {
                let continues = words(text).starts_with("продолжение");
                *place += usize::from(!continues);
            }
            Block::Table(table) => {
                all.push((*place, table));
                nested(table, all, *place);
            }
        }
    }
}

fn nested<'a>(table: &'a Table, all: &mut Vec<(usize, &'a Table)>, place: usize) {
    // A table inside an access table belongs to its cell.
    if Header::find(table).is_some() {
        return;
    }
    for inner in table.rows.iter().flat_map(|row| &row.cells).flat_map(|cell| &cell.tables) {
        all.push((place, inner));
        nested(inner, all, place);
    }
}

struct Taken<'a> {
    source: &'a mut Source,
    columns: Columns,
    last: Option<(usize, Header)>,
    continued: bool,
}

impl Taken<'_> {
    fn table(&mut self, place: usize, table: &Table) -> Result<(), SheetError> {
        let found = Header::find(table);
        let adjacent = self.last.as_ref().is_some_and(|(before, _)| *before == place);
        match (found, self.last.clone()) {
            (Some(header), Some((_, before))) if adjacent && header.columns == before.columns => {
                self.continued = true;
                self.rows(table, &header, header.row + 1, false)?;
                self.last = Some((place, header));
            }
            (Some(header), before) => {
                self.source.tables += 1;
                if table.depth > 0 {
                    self.source.warnings.push("ACCESS_TABLE_NESTED".to_owned());
                }
                if before.is_none() {
                    self.columns = header.describe();
                }
                self.rows(table, &header, header.row + 1, false)?;
                self.last = Some((place, header));
            }
            // The rest of a table that was cut in two without its header: taken, and asked about.
            (None, Some((_, header))) if adjacent && is_rest(table, &header) => {
                self.continued = true;
                self.rows(table, &header, 0, true)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn rows(&mut self, table: &Table, header: &Header, from: usize, headless: bool) -> Result<(), SheetError> {
        let mut above: BTreeMap<usize, SourceCell> = BTreeMap::new();
        let mut section = None;
        table.rows.iter().take(from).filter_map(|row| title(row, 2)).for_each(|said| self.note(said));
        for row in table.rows.iter().skip(from) {
            // The header repeated on another page.
            if Header::of(0, row).is_some_and(|again| again.columns == header.columns) {
                self.continued = true;
                continue;
            }
            if let Some(title) = title(row, header.columns.len()) {
                self.note(title.clone());
                section = Some(title);
                continue;
            }
            let Some(mut made) = self.row(row, header, &mut above)? else { continue };
            made.section.clone_from(&section);
            if headless {
                made.marks.insert(RowMark::NoHeader);
            }
            self.source.rows.push(made);
            if self.source.rows.len() > ROWS_MAX {
                return Err(SheetError::TooLarge);
            }
        }
        Ok(())
    }

    /// A remark that may bound rows is asked about, once.
    fn note(&mut self, said: String) {
        if restricts(&said) && !self.source.notes.contains(&said) {
            self.source.notes.push(said);
        }
    }

    /// One row; none where nothing was filled in.
    fn row(
        &mut self,
        row: &Row,
        header: &Header,
        above: &mut BTreeMap<usize, SourceCell>,
    ) -> Result<Option<SourceRow>, SheetError> {
        let number = u32::try_from(self.source.rows.len() + 1).unwrap_or(u32::MAX);
        let mut made = SourceRow { number, table: self.source.tables, ..SourceRow::default() };
        let mut at = row.before;
        let mut from = None;
        for cell in &row.cells {
            if cell.now.chars().count() > CELL_MAX {
                return Err(SheetError::TooLarge);
            }
            let value = if cell.continues { above.get(&at).cloned().unwrap_or_default() } else { cell_of(cell) };
            if !cell.continues {
                above.insert(at, value.clone());
            }
            if is_merged(cell, header.columns.get(at..).unwrap_or_default()) {
                made.marks.insert(RowMark::Merged);
            }
            let column = header.columns.get(at);
            let is_field = matches!(column, Some(Column::Field(_)));
            let names_kind = column == Some(&Column::Extra("access_kind")) && names_kinds(&value.now);
            if !is_field && !names_kind && value.marks.contains(&Mark::Credential) {
                made.marks.insert(RowMark::Credential);
            }
            match column {
                Some(Column::Field(field)) => drop(made.cells.insert(name(*field), value)),
                Some(Column::More(field)) => beside(made.cells.entry(name(*field)).or_default(), value, false),
                Some(Column::Under(field)) => beside(made.cells.entry(name(*field)).or_default(), value, true),
                Some(Column::From) => from = Some(value),
                Some(Column::Extra(name)) if !value.now.is_empty() => {
                    if *name == "note" {
                        self.note(value.now.clone());
                    }
                    made.extra.insert((*name).to_owned(), value.now);
                }
                Some(Column::Credential) if !is_blank(&value.now) || value.now == REMOVED => {
                    made.marks.insert(RowMark::Credential);
                }
                Some(Column::Unread) if !is_blank(&value.now) => self.unread(header.name(at)),
                Some(Column::Ignored) if !is_number(&value.now) => self.unread(header.name(at)),
                None if !is_blank(&value.now) => {
                    made.marks.insert(RowMark::TooMany);
                }
                _ => {}
            }
            at += cell.span.max(1);
        }
        if row.before > 0 || at < header.columns.len() {
            made.marks.insert(RowMark::TooFew);
        }
        if row.inserted {
            made.marks.insert(RowMark::Inserted);
        }
        if let Some(from) = from {
            begin(made.cells.entry("term".to_owned()).or_default(), from);
        }
        let empty = made.cells.values().all(|cell| cell.now.is_empty() && cell.was.is_none())
            && !made.marks.contains(&RowMark::Credential);
        Ok((!empty).then_some(made))
    }

    fn unread(&mut self, column: String) {
        if !self.source.unread.contains(&column) {
            self.source.unread.push(column);
        }
    }
}

fn name(field: usize) -> String {
    FIELDS.get(field).copied().unwrap_or_default().to_owned()
}

/// Whether a cell covers columns that say different things.
fn is_merged(cell: &Cell, columns: &[Column]) -> bool {
    let counts = |column: &&Column| !matches!(column, Column::Ignored | Column::Under(_));
    cell.odd_merge || (cell.span > 1 && columns.iter().take(cell.span).filter(counts).count() > 1)
}

/// Takes note of what another cell says of the same field. Under one head nobody can tell which cell counts, so even an
/// empty one is asked about.
fn beside(cell: &mut SourceCell, other: SourceCell, under: bool) {
    let is_odd = other.marks.iter().any(|mark| !matches!(mark, Mark::Homoglyph | Mark::Control));
    let agrees = is_blank(&other.now) || folded(&other.now) == folded(&cell.now);
    if under || is_odd || !agrees {
        cell.marks.insert(Mark::Beside);
        let known = cell.beside.take().map(|known| known + "\n").unwrap_or_default();
        cell.beside = Some(known + &other.now);
    }
}

/// Puts the first day, from its own column, before the last one, with all that was odd about it.
fn begin(term: &mut SourceCell, from: SourceCell) {
    let range = |from: &str, until: &str| {
        let until = until.trim_start_matches("до ").trim_start_matches("по ");
        if is_blank(from) { until.to_owned() } else { format!("с {} по {until}", from.trim_start_matches("с ")) }
    };
    if term.was.is_some() || from.was.is_some() {
        let before = |cell: &SourceCell| cell.was.clone().unwrap_or_else(|| cell.now.clone());
        term.was = Some(range(&before(&from), &before(term)));
    }
    if !is_blank(&from.now) {
        term.now = range(&from.now, &term.now);
    }
    term.marks.extend(from.marks);
}

/// Numbers of rows, as they stand in a column without a head: no words, no dates.
fn is_number(text: &str) -> bool {
    !text.chars().any(char::is_alphabetic) && dates::dates(text).is_empty()
}

/// Whether a remark may bound what rows say: it names a day, a time, a level or an exception.
fn restricts(text: &str) -> bool {
    const WORDS: [&str; 6] = ["не", "дня", "дней", "лет", "not", "no"];
    const STEMS: [&str; 26] = [
        "огранич",
        "запрещ",
        "запрет",
        "кроме",
        "исключ",
        "только",
        "нельзя",
        "поздне",
        "позже",
        "дольше",
        "ранее",
        "месяц",
        "просмотр",
        "выгруз",
        "экспорт",
        "скачив",
        "редактир",
        "удален",
        "except",
        "only",
        "until",
        "limit",
        "restrict",
        "prohibit",
        "month",
        "export",
    ];
    let stands = |word: &str| WORDS.contains(&word) || STEMS.iter().any(|stem| word.starts_with(stem));
    !dates::dates(text).is_empty() || words(text).split(' ').any(stands)
}

/// A row of one cell over all columns is a section's title.
fn title(row: &Row, columns: usize) -> Option<String> {
    let [only] = row.cells.as_slice() else { return None };
    let over_all = only.span > 1 && only.span >= columns && row.before == 0 && row.after == 0;
    over_all.then(|| redact(&clean(&only.now)).0)
}

/// Whether a table without a header is shaped like the one above it.
fn is_rest(table: &Table, header: &Header) -> bool {
    let width = |row: &Row| row.before + row.after + row.cells.iter().map(|cell| cell.span.max(1)).sum::<usize>();
    header.columns.len() >= 4 && table.rows.first().is_some_and(|row| width(row) == header.columns.len())
}

/// Boxes, ticks and crosses, also those of symbol fonts: they say of the words beside them whether they count.
fn is_sign(c: char) -> bool {
    matches!(
        c,
        '□' | '■' | '▢' | '☐' | '☑' | '☒' | '✓' | '✔' | '✕'..='✘' | '⬜' | '⬛' | '✅' | '❌' | '❎' | '🗹' | '🗷'
    ) || matches!(c, '\u{E000}'..='\u{F8FF}' | '\u{FFFD}')
}

fn cell_of(cell: &Cell) -> SourceCell {
    let mut marks = std::collections::BTreeSet::new();
    let mut take = |text: &str| {
        let (text, secret) = redact(&clean(text));
        let (text, mixed) = unmix(&text);
        if secret {
            marks.insert(Mark::Credential);
        }
        if mixed {
            marks.insert(Mark::Homoglyph);
        }
        text
    };
    let now = take(&cell.now);
    let was = cell.was.as_deref().map(&mut take).filter(|was| *was != now);
    let found = [
        (was.is_some() && !cell.struck, Mark::Tracked),
        (cell.struck, Mark::Struck),
        (cell.control, Mark::Control),
        (cell.hidden, Mark::Hidden),
        (!cell.tables.is_empty(), Mark::NestedTable),
        (cell.foreign || cell.now.chars().any(is_sign), Mark::Foreign),
    ];
    marks.extend(found.iter().filter(|(yes, _)| *yes).map(|(_, mark)| *mark));
    SourceCell { now, was, beside: None, marks }
}
