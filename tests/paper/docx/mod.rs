//! Builds small DOCX files for tests.

use std::io::{Cursor, Write};
use zip::write::SimpleFileOptions;

/// The transitional namespace.
pub const W: &str = "http://schemas.openxmlformats.org/wordprocessingml/2006/main";

/// A document whose parts may be replaced.
pub struct Doc {
    pub operator: String,
    pub processor: String,
    pub basis: String,
    pub clause51: String,
    pub head: String,
    pub signed: Option<&'static str>,
    pub before: String,
    pub table: String,
    pub after: String,
    pub namespace: String,
    pub extra: Vec<(String, Vec<u8>)>,
}

impl Default for Doc {
    fn default() -> Self {
        Self {
            operator: "ООО «Проба»".into(),
            processor: "ИП Примеров П. П.".into(),
            basis: "Договор № 1 от 01.02.2026".into(),
            clause51: "5.1. Поручение действует в течение срока основного договора.".into(),
            head: "Поручение на обработку персональных данных".into(),
            signed: None,
            before: String::new(),
            table: String::new(),
            after: String::new(),
            namespace: W.into(),
            extra: Vec::new(),
        }
    }
}

pub const HEAD: [&str; 5] = ["Система", "Категории данных", "Уровень доступа", "Цель доступа", "Срок доступа"];
pub const ROW: [&str; 5] = ["CRM / amoCRM", "контакты", "просмотр", "обработка лидов", "до 31.12.2026"];

/// Escapes text.
pub fn esc(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// A paragraph for each line.
pub fn p(text: &str) -> String {
    text.split('\n')
        .map(|line| format!("<w:p><w:r><w:t xml:space=\"preserve\">{}</w:t></w:r></w:p>", esc(line)))
        .collect()
}

/// A cell of raw content.
pub fn tc(properties: &str, content: &str) -> String {
    format!("<w:tc><w:tcPr>{properties}</w:tcPr>{content}</w:tc>")
}

/// A row of plain cells.
pub fn tr(cells: &[&str]) -> String {
    tr_raw("", &cells.iter().map(|cell| tc("", &p(cell))).collect::<String>())
}

/// A row of raw cells.
pub fn tr_raw(properties: &str, cells: &str) -> String {
    format!("<w:tr><w:trPr>{properties}</w:trPr>{cells}</w:tr>")
}

/// A table of raw rows.
pub fn tbl(rows: &str) -> String {
    format!("<w:tbl><w:tblPr/><w:tblGrid/>{rows}</w:tbl>")
}

/// An access table.
pub fn access(rows: &[[&str; 5]]) -> String {
    tbl(&format!("{}{}", tr(&HEAD), rows.iter().map(|row| tr(row)).collect::<String>()))
}

/// The standard row with one field replaced.
pub fn with(field: usize, value: &'static str) -> [&'static str; 5] {
    let mut row = ROW;
    row[field] = value;
    row
}

impl Doc {
    /// With this access table.
    pub fn of(rows: &[[&str; 5]]) -> Self {
        Self { table: access(rows), ..Self::default() }
    }

    /// With the contract's last day known.
    pub fn until_2027(mut self) -> Self {
        self.clause51 =
            "5.1. Поручение действует в течение срока основного договора (до 31 января 2027 г. включительно).".into();
        self
    }

    pub fn xml(&self) -> String {
        let parties = tbl(&format!(
            "{}{}{}",
            tr(&["Оператор", &self.operator]),
            tr(&["Обработчик по поручению", &self.processor]),
            tr(&["Основание", &self.basis])
        ));
        let date = self
            .signed
            .map(|day| tr(&[&format!("Дата подписания: {day}"), &format!("Дата подписания: {day}")]))
            .unwrap_or_default();
        let signatures = tbl(&format!(
            "{}{}{date}",
            tr(&["Оператор", "Исполнитель"]),
            tr(&["________ /Тестов Т. Т./", "________ /Примеров П. П./"])
        ));
        let clauses = [
            "2.2. Перечень данных: фамилия, имя, отчество; телефон; адрес электронной почты; никнейм; сведения о заявке; источник обращения; история коммуникаций.",
            "3.1. Допустимые действия: сбор, запись, хранение, извлечение, использование, удаление и уничтожение.",
            "3.2. Цели обработки: прием и обработка заявок, коммуникация с клиентами, сегментация аудитории, анализ эффективности рекламы, ведение CRM, подготовка отчетов для Оператора.",
            &self.clause51,
        ];
        let clauses: String = clauses.iter().map(|clause| p(clause)).collect();
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><w:document xmlns:w=\"{}\" xmlns:mc=\"http://schemas.openxmlformats.org/markup-compatibility/2006\" xmlns:wps=\"urn:wps\"><w:body>{}{parties}{clauses}{}{}{}{}{signatures}</w:body></w:document>",
            self.namespace,
            p(&self.head),
            self.before,
            p("6. Таблица доступа к данным"),
            self.table,
            self.after
        )
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut parts: Vec<(String, Vec<u8>)> = vec![("word/document.xml".into(), self.xml().into_bytes())];
        parts.extend(self.extra.iter().cloned());
        zip_of(&parts)
    }
}

/// A ZIP of these parts.
pub fn zip_of(parts: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in parts {
        zip.start_file(name.as_str(), SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}
