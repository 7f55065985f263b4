//! Access levels in the words of the table. Only whole known phrases are levels; any other word is asked about.

use super::text::{folded, list};
use crate::model::Level;
use serde::{Deserialize, Serialize};

/// One level as it was read.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Access {
    /// As written, in lower case.
    pub raw: String,
    /// The level; none where the word is not known.
    pub code: Option<Level>,
    /// What it is said to exclude.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub denied: Vec<Level>,
}

const PHRASES: [(Level, &[&str]); 10] = [
    (
        Level::View,
        &[
            "view",
            "read",
            "read only",
            "view only",
            "просмотр",
            "чтение",
            "только просмотр",
            "только чтение",
            "просмотр данных",
            "просмотр заявок",
            "просмотр сообщений",
            "просмотр контактов",
            "просмотр карточек",
        ],
    ),
    (
        Level::Reply,
        &[
            "reply",
            "replies",
            "ответы",
            "ответ",
            "ответы клиентам",
            "ответы на сообщения",
            "ответы пользователям",
            "ответы на комментарии",
            "ответы подписчикам",
            "ответы на обращения",
        ],
    ),
    (
        Level::Edit,
        &[
            "edit",
            "editing",
            "редактирование",
            "изменение",
            "правка",
            "редактирование данных",
            "внесение изменений",
            "запись",
            "write",
        ],
    ),
    (Level::Moderate, &["moderate", "moderation", "модерация", "модерирование", "модерация комментариев"]),
    (
        Level::Publish,
        &["publish", "publishing", "публикация", "публикации", "публикация постов", "размещение публикаций"],
    ),
    (
        Level::Analytics,
        &[
            "analytics",
            "statistics",
            "reports",
            "аналитика",
            "статистика",
            "просмотр статистики",
            "просмотр аналитики",
            "просмотр отчетов",
            "отчеты",
        ],
    ),
    (
        Level::Configure,
        &[
            "configure",
            "settings",
            "setup",
            "настройка",
            "настройки",
            "настройка рекламы",
            "настройка кампаний",
            "настройка рекламных кампаний",
        ],
    ),
    (Level::Export, &["export", "выгрузка", "экспорт", "скачивание", "выгрузка данных", "экспорт данных"]),
    (Level::Delete, &["delete", "deletion", "удаление", "удаление данных"]),
    (
        Level::Admin,
        &[
            "admin",
            "administrator",
            "owner",
            "full access",
            "full",
            "полный доступ",
            "полный",
            "полные права",
            "все права",
            "админ",
            "администратор",
            "администрирование",
            "админ доступ",
            "админский доступ",
            "права администратора",
            "владелец",
            "права владельца",
            "главный администратор",
            "все",
            "любой",
        ],
    ),
];

/// What may follow «без»: the genitive.
const DENIED: [(Level, &[&str]); 7] = [
    (Level::Export, &["выгрузки", "экспорта", "скачивания", "выгрузки данных", "копирования", "export", "download"]),
    (Level::Delete, &["удаления", "удаления данных", "delete", "deletion"]),
    (Level::Edit, &["редактирования", "изменения", "изменений", "правки", "editing", "edit"]),
    (Level::Publish, &["публикации", "публикаций", "publishing"]),
    (Level::Configure, &["настройки", "настроек", "изменения настроек", "settings"]),
    (Level::Reply, &["ответов", "ответа"]),
    (Level::View, &["просмотра"]),
];

fn known(table: &[(Level, &[&str])], phrase: &str) -> Option<Level> {
    table.iter().find(|(_, phrases)| phrases.contains(&phrase)).map(|(level, _)| *level)
}

fn level(phrase: &str) -> Option<Level> {
    let phrase = folded(phrase);
    let phrase = phrase.trim_matches(['.', ' ']);
    // «админ-доступ» is two words. A minus beside a word may mean that it does not count.
    let joins = phrase.split('-').all(|piece| !piece.is_empty() && piece.trim() == piece);
    let phrase = if joins { phrase.replace('-', " ") } else { phrase.to_owned() };
    let phrase = phrase.as_str();
    known(&PHRASES, phrase).or_else(|| Level::parse(phrase))
}

/// The levels of a cell.
pub fn read(cell: &str) -> Vec<Access> {
    let mut made: Vec<Access> = Vec::new();
    for part in list(&without_bullets(cell)) {
        for access in read_part(part.to_lowercase().trim()) {
            if !made.contains(&access) {
                made.push(access);
            }
        }
    }
    made
}

/// The cell without the bullets of its lines. A dash that not every line begins with is no bullet.
fn without_bullets(cell: &str) -> String {
    let lines: Option<Vec<&str>> =
        cell.lines().filter(|line| !line.trim().is_empty()).map(|line| line.trim_start().strip_prefix("- ")).collect();
    lines.map_or_else(|| cell.to_owned(), |lines| lines.join("\n"))
}

fn read_part(part: &str) -> Vec<Access> {
    let part = part.trim_start_matches('[').trim_end_matches(']').trim();
    let one = |raw: &str, code, denied| Access { raw: raw.to_owned(), code, denied };
    if let Some(found) = level(part) {
        return vec![one(part, Some(found), Vec::new())];
    }
    if let Some((head, denied)) = without(part) {
        let mut levels = read_part(&head);
        match denied {
            // What is excluded but not understood leaves the level itself open.
            None => levels = vec![one(part, None, Vec::new())],
            Some(denied) => levels.iter_mut().for_each(|access| access.denied.clone_from(&denied)),
        }
        return levels;
    }
    // «и» separates only where both sides are levels.
    if let Some((left, right)) = part.split_once(" и ").or_else(|| part.split_once(" and "))
        && let (Some(a), Some(b)) = (level(left), level(right))
    {
        return vec![one(left.trim(), Some(a), Vec::new()), one(right.trim(), Some(b), Vec::new())];
    }
    vec![one(part, None, Vec::new())]
}

/// «просмотр (без права выгрузки)»: the head, and what is excluded where all of it is understood.
fn without(part: &str) -> Option<(String, Option<Vec<Level>>)> {
    let (head, tail) = ["без ", "кроме ", "without "].iter().find_map(|word| {
        let at = part.find(word)?;
        let head = part.get(..at)?;
        (head.ends_with([' ', '(']) && at > 0).then_some((head, part.get(at + word.len()..)?))
    })?;
    let tail = tail.trim_end_matches([')', '.', ' ']);
    let tail = tail.strip_prefix("права ").or_else(|| tail.strip_prefix("возможности ")).unwrap_or(tail);
    let pieces = tail.split([',', ';']).flat_map(|piece| piece.split(" и ")).flat_map(|piece| piece.split(" или "));
    let denied: Option<Vec<Level>> = pieces.map(|piece| known(&DENIED, &folded(piece))).collect();
    Some((head.trim_end_matches([' ', '(', ',', '-']).to_owned(), denied))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_whole_phrases_only() {
        let codes = |cell: &str| -> Vec<Option<Level>> { read(cell).iter().map(|access| access.code).collect() };
        assert_eq!(codes("просмотр / редактирование"), [Some(Level::View), Some(Level::Edit)]);
        assert_eq!(codes("просмотр и редактирование"), [Some(Level::View), Some(Level::Edit)]);
        assert_eq!(codes("просмотр и иногда редактирование"), [None]);
        assert_eq!(codes("как у менеджера"), [None]);
        assert_eq!(codes("Полный доступ"), [Some(Level::Admin)]);
        assert_eq!(codes("- просмотр\n- админ-доступ"), [Some(Level::View), Some(Level::Admin)]);
        assert_eq!(codes("просмотр; выгрузка -"), [Some(Level::View), None], "a minus may take it away");
        assert_eq!(codes("просмотр\n- выгрузка"), [Some(Level::View), None]);
        assert_eq!(codes("просмотр; -выгрузка"), [Some(Level::View), None]);
        assert_eq!(codes("просмотр без выгрузки, удаления"), [Some(Level::View), None], "a genitive is no permission");
        let read_one = |cell: &str| read(cell).remove(0);
        assert_eq!(read_one("просмотр (без выгрузки и удаления)").denied, [Level::Export, Level::Delete]);
        assert_eq!(read_one("просмотр (без фанатизма)").code, None);
    }
}
