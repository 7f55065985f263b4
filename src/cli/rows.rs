//! Access tables from CSV or JSON, in the words of the table.

use super::failure::Failure;
use crate::api::RowSpec;
use crate::model::{Date, Level, Name, Text};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;

/// The most rows one file may hold (importer's limit).
const ROWS_MAX: usize = 500;
/// The longest file that is read, bytes: not more than this is ever in memory.
const FILE_MAX: u64 = 10 * 1024 * 1024;

/// The columns, each with the words it is headed by.
const COLUMNS: [(&str, &[&str]); 8] = [
    ("system", &["system", "система"]),
    ("category", &["category", "категория"]),
    ("platform", &["platform", "платформа"]),
    ("data", &["data", "data categories", "data_categories", "категории данных"]),
    ("levels", &["levels", "level", "access level", "уровень", "уровень доступа", "уровни"]),
    ("purposes", &["purposes", "purpose", "цель", "цели", "цель доступа"]),
    ("from", &["from", "с"]),
    ("until", &["until", "term", "срок", "до", "по"]),
];

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct JsonRow {
    system: String,
    category: String,
    platform: String,
    data: Vec<String>,
    levels: Vec<String>,
    purposes: Vec<String>,
    from: Option<String>,
    until: Option<String>,
}

/// Reads rows from a file.
///
/// # Errors
/// As [`parse`], or the file cannot be read.
pub fn read(path: &Path) -> Result<Vec<RowSpec>, Failure> {
    let shown = path.display().to_string();
    let mut text = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(FILE_MAX + 1).read_to_end(&mut text));
    read.map_err(|error| Failure::input("rows", format!("{shown}: {error}")))?;
    parse(&shown, &text)
}

/// Rows from the content of a file: JSON where it begins with a bracket, else CSV with a header.
///
/// # Errors
/// Input naming the line and the field; nothing is taken then.
pub fn parse(shown: &str, text: &[u8]) -> Result<Vec<RowSpec>, Failure> {
    if u64::try_from(text.len()).is_ok_and(|len| len > FILE_MAX) {
        return Err(Failure::input("rows", format!("{shown} is longer than 10 MiB")));
    }
    let text = std::str::from_utf8(text).map_err(|_| Failure::input("rows", format!("{shown} is not UTF-8 text")))?;
    let text = text.trim_start_matches('\u{FEFF}');
    let rows = if text.trim_start().starts_with('[') { from_json(text)? } else { from_csv(text)? };
    match rows.len() {
        0 => Err(Failure::input("rows", format!("{shown} holds no rows"))),
        n if n > ROWS_MAX => {
            Err(Failure::input("rows", format!("{shown} holds {n} rows; at most {ROWS_MAX} are taken")))
        }
        _ => Ok(rows),
    }
}

fn from_json(text: &str) -> Result<Vec<RowSpec>, Failure> {
    let rows: Vec<JsonRow> = serde_json::from_str(text)
        .map_err(|error| Failure::input("rows", format!("JSON, line {}: {error}", error.line())))?;
    (1..).zip(rows).map(|(number, row)| spec(number, row)).collect()
}

fn from_csv(text: &str) -> Result<Vec<RowSpec>, Failure> {
    let delimiter = if text.lines().next().is_some_and(|line| line.contains(';')) { b';' } else { b',' };
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).trim(csv::Trim::All).from_reader(text.as_bytes());
    let bad = |error: csv::Error| Failure::input("rows", format!("CSV: {error}"));
    let mut columns = Vec::new();
    for head in reader.headers().map_err(bad)? {
        let found = COLUMNS.iter().find(|(_, words)| words.contains(&head.to_lowercase().as_str()));
        let known = || {
            let names: Vec<&str> = COLUMNS.iter().map(|(name, _)| *name).collect();
            Failure::input("rows", format!("column '{head}' is not known; columns are {}", names.join(", ")))
        };
        columns.push(found.map(|(name, _)| *name).ok_or_else(known)?);
    }
    let mut rows = Vec::new();
    for (number, record) in (1..).zip(reader.records()) {
        let record = record.map_err(bad)?;
        let mut row = JsonRow::default();
        for (column, cell) in columns.iter().zip(record.iter()) {
            match *column {
                "system" => row.system = cell.to_owned(),
                "category" => row.category = cell.to_owned(),
                "platform" => row.platform = cell.to_owned(),
                "data" => row.data = list(cell),
                "levels" => row.levels = list(cell),
                "purposes" => row.purposes = list(cell),
                "from" => row.from = Some(cell.to_owned()).filter(|cell| !cell.is_empty()),
                _ => row.until = Some(cell.to_owned()).filter(|cell| !cell.is_empty()),
            }
        }
        rows.push(spec(number, row)?);
    }
    Ok(rows)
}

/// Values of one cell: separated by `;`, ` / `, `|` or line breaks.
fn list(cell: &str) -> Vec<String> {
    let parts = cell.replace(" / ", ";").replace(['|', '\n'], ";");
    parts.split(';').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

fn spec(number: usize, row: JsonRow) -> Result<RowSpec, Failure> {
    let bad =
        |field: &str, why: &dyn std::fmt::Display| Failure::input("rows", format!("row {number}, {field}: {why}"));
    let text = |field: &str, value: &str| Text::parse(value).map_err(|error| bad(field, &error));
    let texts =
        |field: &str, values: &[String]| values.iter().map(|value| text(field, value)).collect::<Result<Vec<_>, _>>();
    let date = |field: &str, value: Option<String>| -> Result<Option<Date>, Failure> {
        value
            .map(|value| value.trim_start_matches("до ").trim_start_matches("по ").parse())
            .transpose()
            .map_err(|e| bad(field, &e))
    };
    Ok(RowSpec {
        system: Name::parse(&row.system).map_err(|error| bad("system", &error))?,
        category: text("category", &row.category)?,
        platform: text("platform", &row.platform)?,
        data: texts("data", &row.data)?,
        levels: levels(&row.levels).map_err(|word| bad("levels", &unknown_level(&word)))?,
        purposes: texts("purposes", &row.purposes)?,
        from: date("from", row.from)?,
        until: date("until", row.until)?,
        grant_days: None,
    })
}

/// Levels by their words in either language.
///
/// # Errors
/// The word that is none.
pub fn levels(words: &[String]) -> Result<BTreeSet<Level>, String> {
    words
        .iter()
        .flat_map(|word| word.split(','))
        .map(|word| Level::parse(word).ok_or_else(|| word.to_owned()))
        .collect()
}

/// What to say of a word that is no level.
pub fn unknown_level(word: &str) -> String {
    let known: Vec<String> = Level::all().map(|level| format!("{} ({})", level.name(), level.russian())).collect();
    format!("'{word}' is not an access level; levels are {}", known.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_reads_in_both_languages_and_formats() {
        let csv = "Система;Платформа;Категории данных;Уровень доступа;Цель;до\n\
                   CRM;amoCRM;контакты / история заявок;просмотр / редактирование;обработка заявок;31.12.2026\n";
        let json = r#"[{"system":"CRM","platform":"amoCRM","data":["контакты","история заявок"],
                       "levels":["view","edit"],"purposes":["обработка заявок"],"until":"2026-12-31"}]"#;
        let (from_csv, from_json) = (from_csv(csv).unwrap(), from_json(json).unwrap());
        assert_eq!(from_csv, from_json);
        assert_eq!(from_csv[0].levels, BTreeSet::from([Level::View, Level::Edit]));
    }

    #[test]
    fn a_refusal_names_row_and_field() {
        for (csv, names) in [
            ("system,levels,purposes\nCRM,как у менеджера,x\n", "row 1, levels"),
            ("system,levels,purposes,until\nCRM,view,x,31.02.2027\n", "row 1, until"),
            ("system,levels,purposes\n,view,x\n", "row 1, system"),
            ("system,colour\nCRM,red\n", "column 'colour'"),
        ] {
            let said = format!("{:?}", from_csv(csv).unwrap_err());
            assert!(said.contains(names), "{said}");
        }
    }
}
