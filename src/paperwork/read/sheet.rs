//! The access table: found by its header, its grid laid out, its rows taken cell by cell.
//!
//! Party, signature and requisites tables never match: a header needs four of the five columns by name. Merged cells
//! are filled down; anything else that is odd about a row is marked and asked about.

use super::redact::{REMOVED, redact};
use super::source::{Columns, FIELDS, Mark, RowMark, Source, SourceCell, SourceRow};
use super::text::{clean, is_blank, unmix, words};
use super::xml::{Block, Cell, Row, Table};
use std::collections::BTreeMap;

/// The most rows of an access table.
const ROWS_MAX: usize = 500;
/// The longest cell, characters.
const CELL_MAX: usize = 20_000;
/// How far down a header may stand.
const HEADER_WITHIN: usize = 6;

/// What a column is.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Column {
    Field(usize),
    /// The first day, where begin and end have their own columns.
    From,
    Ignored,
    Extra(&'static str),
    Credential,
}

/// The first word of each list is the template's own.
const HEADS: [&[&str]; 5] = [
    &[
        "система",
        "системы",
        "сервис",
        "сервисы",
        "платформа",
        "площадка",
        "ресурс",
        "информационная система",
        "наименование системы",
        "название системы",
        "система сервис",
        "система платформа",
        "сервис платформа",
        "программа",
        "system",
        "service",
        "platform",
        "system name",
    ],
    &[
        "категории данных",
        "персональные данные",
        "категории персональных данных",
        "категория данных",
        "данные",
        "перечень данных",
        "состав данных",
        "какие данные",
        "пдн",
        "категории пдн",
        "виды данных",
        "data categories",
        "data",
        "personal data",
        "categories of data",
        "categories of personal data",
    ],
    &[
        "уровень доступа",
        "уровень",
        "права",
        "права доступа",
        "доступ",
        "тип доступа",
        "полномочия",
        "роль",
        "разрешения",
        "access level",
        "level",
        "access",
        "permissions",
        "access rights",
        "rights",
    ],
    &[
        "цель доступа",
        "цель",
        "цели",
        "цель обработки",
        "цели обработки",
        "цели доступа",
        "зачем",
        "для чего",
        "назначение",
        "purpose",
        "purposes",
        "purpose of access",
    ],
    &[
        "срок доступа",
        "срок",
        "сроки",
        "срок действия",
        "срок действия доступа",
        "до какого числа",
        "до какой даты",
        "действует до",
        "период",
        "период доступа",
        "доступ до",
        "дата окончания",
        "окончание",
        "срок с по",
        "срок до",
        "по",
        "до",
        "конец",
        "term",
        "access term",
        "until",
        "valid until",
        "period",
        "expires",
        "end date",
        "term of access",
    ],
];

fn column(head: &str) -> Option<Column> {
    let head = words(&unmix(head).0);
    if let Some(field) = HEADS.iter().position(|list| list.contains(&head.as_str())) {
        return Some(Column::Field(field));
    }
    Some(match head.as_str() {
        "" | "п п" | "n" | "n п п" | "no" | "номер" | "пп" => Column::Ignored,
        "с" | "начало" | "дата начала" | "from" | "start date" => Column::From,
        "ответственный" | "ответственные" | "ответственное лицо" | "responsible" | "сотрудник" => {
            Column::Extra("responsible")
        }
        "примечание" | "примечания" | "комментарий" | "комментарии" | "note" | "notes" | "comment" => {
            Column::Extra("note")
        }
        "вид доступа" | "access kind" => Column::Extra("access_kind"),
        _ if ["логин", "парол", "login", "password", "учетн", "токен", "token", "ключ"]
            .iter()
            .any(|stem| head.contains(stem)) =>
        {
            Column::Credential
        }
        _ => return None,
    })
}

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

/// What the header of one table says.
#[derive(Clone, Debug)]
struct Header {
    row: usize,
    columns: Vec<Column>,
    heads: Vec<String>,
}

impl Header {
    fn has(&self, field: usize) -> bool {
        self.columns.contains(&Column::Field(field))
    }

    fn missing(&self) -> Vec<String> {
        (0..FIELDS.len())
            .filter(|field| !self.has(*field))
            .filter_map(|field| FIELDS.get(field))
            .map(|name| (*name).to_owned())
            .collect()
    }
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
    header_warnings(&header, &mut source.warnings);
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
    if find_header(table).is_some() {
        return;
    }
    for inner in table.rows.iter().flat_map(|row| &row.cells).flat_map(|cell| &cell.tables) {
        all.push((place, inner));
        nested(inner, all, place);
    }
}

fn find_header(table: &Table) -> Option<Header> {
    table.rows.iter().take(HEADER_WITHIN).enumerate().find_map(|(at, row)| header_of(at, row))
}

fn header_of(at: usize, row: &Row) -> Option<Header> {
    let mut columns = vec![Column::Ignored; row.before];
    let mut heads = vec![String::new(); row.before];
    for cell in &row.cells {
        let head = clean(&cell.now).replace('\n', " ");
        let mut what = column(&head).unwrap_or(Column::Ignored);
        if matches!(what, Column::Field(_)) && columns.contains(&what) {
            what = if what == Column::Field(0) { Column::Extra("platform") } else { Column::Ignored };
        }
        for extra in 0..cell.span.max(1) {
            columns.push(if extra == 0 { what.clone() } else { Column::Ignored });
            heads.push(if extra == 0 { head.clone() } else { String::new() });
        }
    }
    let known = (0..FIELDS.len()).filter(|field| columns.contains(&Column::Field(*field))).count();
    (known >= 4).then_some(Header { row: at, columns, heads })
}

struct Taken<'a> {
    source: &'a mut Source,
    columns: Columns,
    last: Option<(usize, Header)>,
    continued: bool,
}

impl Taken<'_> {
    fn table(&mut self, place: usize, table: &Table) -> Result<(), SheetError> {
        let found = find_header(table);
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
                    self.columns = describe(&header);
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
        for row in table.rows.iter().skip(from) {
            // The header repeated on another page.
            if header_of(0, row).is_some_and(|again| again.columns == header.columns) {
                self.continued = true;
                continue;
            }
            if let Some(title) = title(row) {
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

    /// One row; none where nothing was filled in.
    fn row(
        &self,
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
            if cell.span > 1
                && header.columns.iter().skip(at).take(cell.span).filter(|column| **column != Column::Ignored).count()
                    > 1
                || cell.odd_merge
            {
                made.marks.insert(RowMark::Merged);
            }
            let is_field = matches!(header.columns.get(at), Some(Column::Field(_)));
            let names_kind = header.columns.get(at) == Some(&Column::Extra("access_kind")) && names_kinds(&value.now);
            if !is_field && !names_kind && value.marks.contains(&Mark::Credential) {
                made.marks.insert(RowMark::Credential);
            }
            match header.columns.get(at) {
                Some(Column::Field(field)) => {
                    let name = FIELDS.get(*field).copied().unwrap_or_default();
                    made.cells.insert(name.to_owned(), value);
                }
                Some(Column::From) => from = Some(value.now),
                Some(Column::Extra(name)) if !value.now.is_empty() => {
                    drop(made.extra.insert((*name).to_owned(), value.now))
                }
                Some(Column::Credential) if !is_blank(&value.now) || value.now == REMOVED => {
                    made.marks.insert(RowMark::Credential);
                }
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
        if let Some(from) = from.filter(|from| !is_blank(from)) {
            let term = made.cells.entry("term".to_owned()).or_default();
            let until = term.now.trim_start_matches("до ").trim_start_matches("по ").to_owned();
            term.now = format!("с {} по {until}", from.trim_start_matches("с "));
        }
        let empty = made.cells.values().all(|cell| cell.now.is_empty() && cell.was.is_none())
            && !made.marks.contains(&RowMark::Credential);
        Ok((!empty).then_some(made))
    }
}

/// A row of one cell over all columns is a section's title.
fn title(row: &Row) -> Option<String> {
    let [only] = row.cells.as_slice() else { return None };
    (only.span > 1 && row.before == 0 && row.after == 0).then(|| redact(&clean(&only.now)).0)
}

/// Whether a table without a header is shaped like the one above it.
fn is_rest(table: &Table, header: &Header) -> bool {
    let width = |row: &Row| row.before + row.after + row.cells.iter().map(|cell| cell.span.max(1)).sum::<usize>();
    header.columns.len() >= 4 && table.rows.first().is_some_and(|row| width(row) == header.columns.len())
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
        (was.is_some(), Mark::Tracked),
        (cell.control, Mark::Control),
        (cell.hidden, Mark::Hidden),
        (!cell.tables.is_empty(), Mark::NestedTable),
        (cell.foreign, Mark::Foreign),
    ];
    marks.extend(found.iter().filter(|(yes, _)| *yes).map(|(_, mark)| *mark));
    SourceCell { now, was, marks }
}

fn describe(header: &Header) -> Columns {
    let mut columns = Columns::default();
    for (column, head) in header.columns.iter().zip(&header.heads) {
        let head = redact(head).0;
        match column {
            Column::Field(field) => {
                let name = FIELDS.get(*field).copied().unwrap_or_default();
                columns.heads.insert(name.to_owned(), head);
            }
            Column::From => {
                columns.extra.insert("from".to_owned(), head);
            }
            Column::Extra(name) => {
                columns.extra.insert((*name).to_owned(), head);
            }
            Column::Credential | Column::Ignored if !head.is_empty() => columns.ignored.push(head),
            _ => {}
        }
    }
    columns
}

fn header_warnings(header: &Header, warnings: &mut Vec<String>) {
    let order: Vec<usize> = header
        .columns
        .iter()
        .filter_map(|column| match column {
            Column::Field(field) => Some(*field),
            _ => None,
        })
        .collect();
    let own = |field: usize, head: &str| {
        HEADS.get(field).and_then(|list| list.first()).is_some_and(|name| words(head) == *name)
    };
    let synonyms = header
        .columns
        .iter()
        .zip(&header.heads)
        .any(|(column, head)| matches!(column, Column::Field(field) if !own(*field, head)));
    if !order.is_sorted() {
        warnings.push("COLUMNS_REORDERED".to_owned());
    }
    if synonyms {
        warnings.push("HEADER_SYNONYMS".to_owned());
    }
}
