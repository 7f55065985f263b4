//! The header of an access table: which column says what.

use super::redact::redact;
use super::source::{Columns, FIELDS};
use super::text::{clean, unmix, words};
use super::xml::{Row, Table};

/// How far down a header may stand.
const HEADER_WITHIN: usize = 6;
/// The place of the term among the fields.
const TERM: usize = 4;

/// What a column is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Column {
    Field(usize),
    /// A second column of a field.
    More(usize),
    /// What stands beside the first of several columns under one head.
    Under(usize),
    /// The first day, where begin and end have their own columns.
    From,
    /// Numbers of rows.
    Ignored,
    Extra(&'static str),
    Credential,
    /// Headed by words that are not known.
    Unread,
}

/// What the header of one table says.
#[derive(Clone, Debug)]
pub struct Header {
    /// The last row of it.
    pub row: usize,
    pub columns: Vec<Column>,
    heads: Vec<String>,
}

impl Header {
    /// The header of a table, if it is an access table.
    pub fn find(table: &Table) -> Option<Self> {
        let mut rows = table.rows.iter().take(HEADER_WITHIN).enumerate();
        let header = rows.find_map(|(at, row)| Self::of(at, row))?;
        let whole = table.rows.get(header.row + 1).and_then(|next| header.with_line(next));
        Some(whole.unwrap_or(header))
    }

    /// The header in a row.
    pub fn of(at: usize, row: &Row) -> Option<Self> {
        let mut columns = vec![Column::Ignored; row.before];
        let mut heads = vec![String::new(); row.before];
        for cell in &row.cells {
            let head = clean(&cell.now).replace('\n', " ");
            let what = match column(&head) {
                Column::Field(0) if columns.contains(&Column::Field(0)) => Column::Extra("platform"),
                Column::Field(field) if columns.contains(&Column::Field(field)) => Column::More(field),
                what => what,
            };
            let is_once = matches!(what, Column::From | Column::Extra(_));
            let what = if is_once && columns.contains(&what) { Column::Unread } else { what };
            let beside = match &what {
                Column::Field(field) | Column::More(field) => Column::Under(*field),
                Column::Ignored | Column::Credential => what.clone(),
                _ => Column::Unread,
            };
            columns.push(what);
            columns.extend((1..cell.span).map(|_| beside.clone()));
            heads.push(head);
            heads.extend((1..cell.span).map(|_| String::new()));
        }
        let known = (0..FIELDS.len()).filter(|field| columns.contains(&Column::Field(*field))).count();
        (known >= 4).then_some(Self { row: at, columns, heads })
    }

    /// With a second line, where it does nothing but part the term: «Срок доступа» over «с» and «по».
    fn with_line(&self, row: &Row) -> Option<Self> {
        let mut whole = Self { row: self.row + 1, ..self.clone() };
        let mut at = row.before;
        for cell in &row.cells {
            let head = clean(&cell.now).replace('\n', " ");
            let place = whole.columns.get_mut(at)?;
            match (&*place, column(&head)) {
                _ if cell.continues && head.is_empty() => {}
                (Column::Field(TERM), what @ Column::From) | (Column::Under(TERM), what @ Column::Field(TERM))
                    if cell.span == 1 =>
                {
                    *place = what;
                    whole.heads.get_mut(at)?.clone_from(&head);
                }
                _ => return None,
            }
            at += cell.span.max(1);
        }
        let count = |what: &Column| whole.columns.iter().filter(|column| *column == what).count();
        let is_whole = at == whole.columns.len() && count(&Column::Under(TERM)) == 0;
        (is_whole && count(&Column::From) == 1 && count(&Column::Field(TERM)) == 1).then_some(whole)
    }

    /// What stands over a column, or the column's number.
    pub fn name(&self, at: usize) -> String {
        let head = self.heads.get(at).map(|head| redact(head).0).filter(|head| !head.is_empty());
        head.unwrap_or_else(|| (at + 1).to_string())
    }

    /// The fields without a column.
    pub fn missing(&self) -> Vec<String> {
        let lacks = |(field, _): &(usize, &&str)| !self.columns.contains(&Column::Field(*field));
        FIELDS.iter().enumerate().filter(lacks).map(|(_, name)| (*name).to_owned()).collect()
    }

    /// The columns by their heads.
    pub fn describe(&self) -> Columns {
        let mut columns = Columns::default();
        for (column, head) in self.columns.iter().zip(&self.heads) {
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
                _ if !head.is_empty() => columns.ignored.push(head),
                _ => {}
            }
        }
        columns
    }

    /// Codes of what is unusual about it.
    pub fn warnings(&self) -> Vec<String> {
        let fields = self.columns.iter().zip(&self.heads).filter_map(|(column, head)| match column {
            Column::Field(field) => Some((*field, head)),
            _ => None,
        });
        let own = |field: usize, head: &str| {
            HEADS.get(field).and_then(|list| list.first()).is_some_and(|name| words(head) == *name)
        };
        let found = [
            (!fields.clone().is_sorted_by_key(|(field, _)| field), "COLUMNS_REORDERED"),
            (fields.clone().any(|(field, head)| !own(field, head)), "HEADER_SYNONYMS"),
        ];
        found.iter().filter(|(yes, _)| *yes).map(|(_, code)| (*code).to_owned()).collect()
    }
}

fn column(head: &str) -> Column {
    let head = words(&unmix(head).0);
    if let Some(field) = HEADS.iter().position(|list| list.contains(&head.as_str())) {
        return Column::Field(field);
    }
    match head.as_str() {
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
        _ => Column::Unread,
    }
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
