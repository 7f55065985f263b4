//! The eighty edge cases of reading a mandate, by number.

use crate::docx::{Doc, HEAD, ROW, access, p, tbl, tc, tr, tr_raw, with, zip_of};
use mandatum::model::{Digest, Jurisdiction, Level, Zone};
use mandatum::paperwork::catalogue::{Catalogue, Category};
use mandatum::paperwork::law::Law;
use mandatum::paperwork::read::{Kind, Opening, Origin, Outcome, Reading, RowReading, Status, read};
use std::time::{Duration, Instant};

const SYSTEM: usize = 0;
const DATA: usize = 1;
pub const LEVEL: usize = 2;
const PURPOSE: usize = 3;
pub const TERM: usize = 4;

fn books() -> (Catalogue, Law) {
    (Catalogue::built_in().unwrap(), Law::built_in(Jurisdiction::Ru).unwrap())
}

fn read_bytes(bytes: &[u8]) -> Reading {
    let (catalogue, law) = books();
    let zone = Zone::parse("Europe/Moscow").unwrap();
    read(bytes, Origin::default(), "2026-03-01".parse().unwrap(), &zone, &catalogue, &law)
}

pub fn read_doc(doc: &Doc) -> Reading {
    read_bytes(&doc.bytes())
}

pub fn one(doc: &Doc) -> RowReading {
    let mut reading = read_doc(doc);
    assert_eq!(reading.rows.len(), 1, "{:?}", reading.errors);
    reading.rows.remove(0)
}

pub fn answer(reading: &mut Reading, row: u32, field: &str, value: &str) -> Result<(), String> {
    let (catalogue, law) = books();
    reading.answer(row, field, value, &catalogue, &law).map_err(|refusal| refusal.code)
}

pub fn has(row: &RowReading, code: &str) -> bool {
    row.issues.iter().any(|issue| issue == code)
}

pub fn asked(reading: &Reading, code: &str) -> bool {
    reading.open_questions().iter().any(|question| question.code == code && !question.text.ru.is_empty())
}

/// Case, text, outcome, kind, last day, code.
type TermCase = (u32, &'static str, Outcome, Kind, Option<&'static str>, &'static str);

/// Cases 1 to 29: what a term is, and what is said of it.
#[test]
fn terms() {
    use Kind::*;
    use Outcome::{Accept, Ask, Reject};
    let cases: &[TermCase] = &[
        (1, "до 31.12.2026", Accept, UntilDate, Some("2026-12-31"), ""),
        (2, "31.12.2026", Accept, UntilDate, Some("2026-12-31"), ""),
        (3, "по 31 декабря 2026 года", Accept, UntilDate, Some("2026-12-31"), ""),
        (4, "до «01» мая 2026 г.", Accept, UntilDate, Some("2026-05-01"), ""),
        (4, "01.05.2026 г.", Accept, UntilDate, Some("2026-05-01"), ""),
        (4, "1 мая 2026 г.", Accept, UntilDate, Some("2026-05-01"), ""),
        (5, "01.05.26", Accept, UntilDate, Some("2026-05-01"), "TERM_TWO_DIGIT_YEAR"),
        (6, "30/11/2026", Accept, UntilDate, Some("2026-11-30"), ""),
        (7, "11/30/2026", Reject, InvalidDate, None, "DATE_IMPOSSIBLE"),
        (8, "31.02.2027", Reject, InvalidDate, None, "DATE_IMPOSSIBLE"),
        (9, "с 01.03.2026 по 31.08.2026", Accept, Range, Some("2026-08-31"), ""),
        (9, "01.03.2026–31.08.2026", Accept, Range, Some("2026-08-31"), ""),
        (10, "с 01.06.2026 по 01.05.2026", Reject, Range, Some("2026-05-01"), "TERM_END_BEFORE_BEGIN"),
        (11, "до 31.01.2026", Reject, UntilDate, Some("2026-01-31"), "TERM_BEFORE_START"),
        (12, "до 15.02.2026", Accept, UntilDate, Some("2026-02-15"), "TERM_ALREADY_EXPIRED"),
        (13, "на срок договора", Accept, Contract, Some("2027-01-31"), ""),
        (13, "в течение срока действия Договора", Accept, Contract, Some("2027-01-31"), ""),
        (16, "12 месяцев с даты подписания", Ask, Duration, None, "TERM_ANCHOR_UNKNOWN"),
        (17, "6 (шесть) месяцев", Ask, Duration, None, "TERM_ANCHOR_UNKNOWN"),
        (18, "6 (семь) месяцев", Ask, Duration, None, "NUMBER_WORDS_DIFFER"),
        (19, "90 календарных дней с момента предоставления доступа", Accept, Duration, None, "TERM_STARTS_ON_GRANT"),
        (20, "30 рабочих дней", Ask, Duration, None, "TERM_WORKING_DAYS"),
        (21, "1 месяц с 28.02.2026", Accept, Duration, Some("2026-03-28"), ""),
        (22, "бессрочно", Ask, Indefinite, None, "TERM_INDEFINITE"),
        (22, "без ограничения срока", Ask, Indefinite, None, "TERM_INDEFINITE"),
        (23, "[___]", Ask, Blank, None, "TERM_MISSING"),
        (23, "____", Ask, Blank, None, "TERM_MISSING"),
        (23, "-", Ask, Blank, None, "TERM_MISSING"),
        (23, "—", Ask, Blank, None, "TERM_MISSING"),
        (23, "", Ask, Blank, None, "TERM_MISSING"),
        (23, "до __.__.2026", Ask, Blank, None, "TERM_MISSING"),
        (24, "до окончания рекламной кампании", Ask, Event, None, "TERM_EVENT_BASED"),
        (25, "по согласованию сторон", Ask, Unparsed, None, "TERM_UNPARSED"),
        (25, "по необходимости", Ask, Unparsed, None, "TERM_UNPARSED"),
        (25, "до 31.12.2026, если договор не продлён", Ask, Unparsed, None, "TERM_UNPARSED"),
        (25, "до 30 дней после окончания договора", Ask, Unparsed, None, "TERM_UNPARSED"),
        (26, "до конца 2026 года", Accept, UntilDate, Some("2026-12-31"), ""),
        (26, "до конца III квартала 2026", Accept, UntilDate, Some("2026-09-30"), ""),
        (27, "до 23:59 31.12.2026", Accept, UntilDate, Some("2026-12-31"), ""),
        (27, "до 12:00 31.12.2026", Ask, Unparsed, None, "TERM_TIME_OF_DAY"),
        (28, "до 01.02.2027", Ask, UntilDate, Some("2027-02-01"), "TERM_EXCEEDS_CONTRACT"),
        (29, "до 30.06.2026, далее до 31.12.2026", Ask, Unparsed, None, "TERM_MULTIPLE"),
        (36, "[дд.мм.гггг]", Ask, Blank, None, "TERM_MISSING"),
        (35, "[до 31.12.2026]", Accept, UntilDate, Some("2026-12-31"), "PLACEHOLDER_BRACKETS"),
    ];
    for (case, term, outcome, kind, end, code) in cases {
        let mut row = ROW;
        row[TERM] = term;
        let found = one(&Doc::of(&[row]).until_2027());
        let ended = found.term.end.map(|end| end.to_string());
        assert_eq!(
            (found.outcome, found.term.kind, ended.as_deref()),
            (*outcome, *kind, *end),
            "case {case}: {term}: {:?}",
            found.issues
        );
        let codes: Vec<&str> = found.issues.iter().map(String::as_str).collect();
        assert_eq!(codes, if code.is_empty() { vec![] } else { vec![*code] }, "case {case}: {term}");
        assert_eq!(found.term.raw, *term, "case {case}");
    }
}

#[test]
fn case_07_month_first_is_only_a_hint() {
    let reading = read_doc(&Doc::of(&[with(TERM, "11/30/2026")]));
    assert!(reading.errors[0].text.ru.contains("похоже на формат ММ/ДД"), "{:?}", reading.errors);
}

#[test]
fn case_12_history_is_never_active() {
    let reading = read_doc(&Doc::of(&[with(TERM, "до 15.02.2026"), ROW]));
    assert_eq!(reading.activatable_rows, [2]);
}

#[test]
fn case_14_a_contract_without_an_end_is_asked_for() {
    let mut reading = read_doc(&Doc::of(&[with(TERM, "на срок договора")]));
    assert_eq!((reading.rows[0].outcome, reading.rows[0].term.end), (Outcome::Accept, None));
    assert!(asked(&reading, "CONTRACT_END_UNKNOWN") && reading.activatable_rows.is_empty());
    assert_eq!(answer(&mut reading, 0, "contract.review", "01.09.2026"), Err("ANSWER_REVIEW_TOO_LATE".into()));
    answer(&mut reading, 0, "contract.review", "30.05.2026").unwrap();
    assert_eq!(reading.rows[0].term.end.unwrap().to_string(), "2026-05-30");
    answer(&mut reading, 0, "contract.end", "31.12.2026").unwrap();
    assert_eq!(reading.rows[0].term.end.unwrap().to_string(), "2026-12-31");
}

#[test]
fn case_15_a_known_signing_day_is_counted_from() {
    let doc = Doc {
        signed: Some("03.02.2026"),
        ..Doc::of(&[with(TERM, "12 месяцев с даты подписания"), with(TERM, "6 (шесть) месяцев")])
    };
    let reading = read_doc(&doc);
    assert_eq!(reading.rows[0].term.end.unwrap().to_string(), "2027-02-03");
    // 17: and suggested where the text does not say.
    assert_eq!(reading.rows[1].term.suggested_end.unwrap().to_string(), "2026-08-03");
    assert_eq!(reading.open_questions()[0].default.as_deref(), Some("2026-08-03"));
}

#[test]
fn case_21_a_month_from_the_31st_ends_on_the_last_day() {
    let doc = Doc {
        basis: "Договор № 1 от 01.01.2026".into(), ..Doc::of(&[with(TERM, "1 месяц с 31.01.2026")])
    };
    assert_eq!(one(&doc).term.end.unwrap().to_string(), "2026-02-28");
}

#[test]
fn case_19_a_term_from_the_grant_keeps_its_length() {
    let reading =
        read_doc(&Doc::of(&[with(TERM, "90 календарных дней с момента предоставления доступа")]).until_2027());
    let active = reading.rows_to_activate();
    let day = |text: &str| text.parse().unwrap();
    let Opening::OnGrant { amount: 90, .. } = active[0].opening else { panic!("{:?}", active[0].opening) };
    assert_eq!(active[0].opening.days_from(day("2026-04-01")), Some((day("2026-04-01"), day("2026-06-30"))));
    assert_eq!(active[0].opening.days_from(day("2027-01-01")), Some((day("2027-01-01"), day("2027-01-31"))), "capped");
    assert_eq!(active[0].opening.days_from(day("2027-02-01")), None);
}

/// Cases 30 to 36.
#[test]
fn levels() {
    use Level::*;
    for (case, cell, codes, outcome, code) in [
        (30, "просмотр / редактирование", vec![Some(View), Some(Edit)], Outcome::Accept, ""),
        (31, "просмотр и редактирование", vec![Some(View), Some(Edit)], Outcome::Accept, ""),
        (32, "просмотр (без выгрузки)", vec![Some(View)], Outcome::Accept, ""),
        (33, "полный доступ", vec![Some(Admin)], Outcome::Ask, "ACCESS_LEVEL_EXCESSIVE"),
        (33, "админ", vec![Some(Admin)], Outcome::Ask, "ACCESS_LEVEL_EXCESSIVE"),
        (33, "владелец", vec![Some(Admin)], Outcome::Ask, "ACCESS_LEVEL_EXCESSIVE"),
        (34, "как у менеджера", vec![None], Outcome::Ask, "ACCESS_LEVEL_UNKNOWN"),
        (35, "[просмотр]", vec![Some(View)], Outcome::Accept, "PLACEHOLDER_BRACKETS"),
        (36, "[Ф.И.О.]", vec![], Outcome::Ask, "ACCESS_LEVEL_MISSING"),
    ] {
        let row = one(&Doc::of(&[with(LEVEL, cell)]));
        let found: Vec<Option<Level>> = row.access_levels.iter().map(|access| access.code).collect();
        assert_eq!((found, row.outcome), (codes, outcome), "case {case}: {cell}");
        assert_eq!(row.issues.join(","), code, "case {case}: {cell}");
    }
    let denied = one(&Doc::of(&[with(LEVEL, "просмотр / выгрузка (без удаления)")]));
    assert_eq!(denied.access_levels[1].denied, [Delete]);
}

#[test]
fn case_36_a_blank_party_is_asked_for() {
    let mut reading = read_doc(&Doc { processor: "[Исполнитель]".into(), ..Doc::of(&[ROW]) });
    assert_eq!(reading.document.processor.name, None);
    assert!(asked(&reading, "PARTY_MISSING") && reading.rows_to_activate().is_empty());
    answer(&mut reading, 0, "processor.name", "ООО «Агентство»").unwrap();
    assert!(reading.open_questions().is_empty() && reading.rows_to_activate().len() == 1);
}

#[test]
fn case_37_an_unfilled_template_is_refused() {
    let blank = ["CRM", "контакты", "просмотр", "обработка лидов", "[___]"];
    let doc = Doc {
        operator: "[Оператор]".into(),
        processor: "[Исполнитель]".into(),
        basis: "Договор № ____ от ____".into(),
        ..Doc::of(&[blank])
    };
    let reading = read_doc(&doc);
    assert_eq!((reading.status, reading.errors[0].code.as_str()), (Status::Rejected, "TEMPLATE_NOT_FILLED"));
}

/// Cases 38 to 43: the system cell.
#[test]
fn systems() {
    for (case, cell, category, platform, code) in [
        (38, "Чат-бот / мессенджер", Some(Category::Messenger), None, "PLATFORM_NOT_NAMED"),
        (39, "CRM / amoCRM", Some(Category::Crm), Some("amocrm"), ""),
        (40, "amoCRM, Битрикс24", Some(Category::Crm), None, "SYSTEM_MULTIPLE"),
        (40, "amoCRM и наша админка", Some(Category::Crm), Some("amocrm"), "SYSTEM_MULTIPLE"),
        (41, "СRМ", Some(Category::Crm), None, "HOMOGLYPH_NORMALISED,PLATFORM_NOT_NAMED"),
        (42, "Директ", Some(Category::AdPlatform), Some("yandex_direct"), ""),
        (42, "тильда", Some(Category::SiteForm), Some("tilda"), ""),
        (42, "телеграм бот", Some(Category::Messenger), Some("telegram_bot"), ""),
        (42, "Метрика", Some(Category::Analytics), Some("yandex_metrica"), ""),
        (42, "ЯД", Some(Category::AdPlatform), None, "PLATFORM_AMBIGUOUS"),
        (43, "наша админка", None, None, "SYSTEM_UNKNOWN"),
        (36, "[Система]", None, None, "SYSTEM_MISSING"),
    ] {
        let row = one(&Doc::of(&[with(SYSTEM, cell)]));
        assert_eq!(
            (row.category, row.platform.as_deref(), row.issues.join(",").as_str()),
            (category, platform, code),
            "case {case}: {cell}"
        );
    }
}

#[test]
fn case_40_a_list_of_systems_can_be_split() {
    let mut reading = read_doc(&Doc::of(&[with(SYSTEM, "amoCRM, Битрикс24")]));
    answer(&mut reading, 1, "row", "split").unwrap();
    let platforms: Vec<Option<&str>> = reading.rows.iter().map(|row| row.platform.as_deref()).collect();
    assert_eq!(platforms, [Some("amocrm"), Some("bitrix24")]);
    assert_eq!(reading.rows_to_activate().len(), 2);
}

#[test]
fn case_43_a_category_answers_an_unknown_system() {
    let mut reading = read_doc(&Doc::of(&[with(SYSTEM, "наша админка")]));
    assert_eq!(answer(&mut reading, 1, "category", "погода"), Err("ANSWER_NOT_A_CHOICE".into()));
    answer(&mut reading, 1, "category", "CRM").unwrap();
    assert_eq!(reading.rows_to_activate()[0].category, Category::Crm);
}

#[test]
fn cases_44_and_45_rows_of_one_system() {
    let differs = read_doc(&Doc::of(&[ROW, with(LEVEL, "ответы")]));
    assert!(differs.rows.iter().all(|row| row.outcome == Outcome::Accept && has(row, "ROW_SAME_SYSTEM_DIFFERS")));
    let active = differs.rows_to_activate();
    assert!(active.len() == 2 && active[0].system != active[1].system, "names stay unique");
    let heavier = read_doc(&Doc::of(&[ROW, with(DATA, "паспорт")]));
    assert!(asked(&heavier, "ROW_SAME_SYSTEM_DIFFERS"));
    let twice = read_doc(&Doc::of(&[ROW, ROW]));
    assert!(has(&twice.rows[1], "ROW_DUPLICATE") && twice.activatable_rows == [1]);
}

#[test]
fn cases_46_to_48_columns() {
    let rows = |head: &[&str], row: &[&str]| Doc { table: tbl(&format!("{}{}", tr(head), tr(row))), ..Doc::default() };
    let reading = read_doc(&rows(
        &["№", "Сервис", "Права", "Данные", "Зачем", "Срок", "Ответственный", "Примечание"],
        &["1", "amoCRM", "просмотр", "контакты", "обработка лидов", "31.12.2026", "Тестов", "без спешки"],
    ));
    assert_eq!(reading.status, Status::Accepted);
    for code in ["COLUMNS_REORDERED", "HEADER_SYNONYMS"] {
        assert!(reading.warnings.iter().any(|warning| warning == code), "{code}");
    }
    assert_eq!((reading.columns.ignored.join(""), reading.rows[0].extra["note"].as_str()), ("№".into(), "без спешки"));

    let mut missing = read_doc(&rows(&HEAD[..4], &ROW[..4]));
    assert_eq!(
        (missing.status, missing.errors[0].code.as_str(), missing.errors[0].column.as_deref()),
        (Status::NeedsInput, "COLUMN_MISSING", Some("term"))
    );
    answer(&mut missing, 1, "term", "до 31.12.2026").unwrap();
    assert_eq!((missing.status, missing.rows_to_activate().len()), (Status::Accepted, 1));
}

#[test]
fn case_49_a_password_never_enters_a_reading() {
    let tables = [
        access(&[with(DATA, "контакты; пароль: Zx81-qq")]),
        access(&[with(TERM, "до 31.12.2026 пaрoль Zx81-qq")]),
        tbl(&format!(
            "{}{}",
            tr(&["Система", "Логин/Пароль", "Данные", "Уровень", "Цель", "Срок"]),
            tr(&["CRM", "admin / Zx81-qq", "контакты", "просмотр", "обработка лидов", "31.12.2026"])
        )),
        tbl(&format!(
            "{}{}",
            tr(&["Система", "Данные", "Уровень", "Цель", "Срок", "Примечание"]),
            tr(&["CRM", "контакты", "просмотр", "обработка лидов", "31.12.2026", "pass: Zx81-qq"])
        )),
    ];
    for table in tables {
        let reading = read_doc(&Doc { table, ..Doc::default() });
        let shown = serde_json::to_string(&reading).unwrap();
        assert!(!shown.contains("Zx81-qq"), "{shown}");
        assert!(asked(&reading, "CREDENTIAL_IN_DOCUMENT") && reading.rows_to_activate().is_empty());
    }
    let tracked = tbl(&format!(
        "{}{}",
        tr(&HEAD),
        tr_raw(
            "",
            &format!(
                "{}{}{}{}{}",
                tc("", &p("CRM")),
                tc(
                    "",
                    "<w:p><w:del><w:r><w:delText>пароль: Zx81-qq</w:delText></w:r></w:del><w:r><w:t>контакты</w:t></w:r></w:p>"
                ),
                tc("", &p("просмотр")),
                tc("", &p("обработка лидов")),
                tc("", &p("31.12.2026"))
            )
        )
    ));
    let reading = read_doc(&Doc { table: tracked, ..Doc::default() });
    assert!(!serde_json::to_string(&reading).unwrap().contains("Zx81-qq"));
    let mut plain = read_doc(&Doc::of(&[ROW]));
    assert_eq!(answer(&mut plain, 1, "data", "пароль: Zx81-qq"), Err("ANSWER_HOLDS_SECRET".into()));
}

pub fn cells(from: usize, row: &[&str]) -> String {
    row.iter().skip(from).map(|cell| tc("", &p(cell))).collect()
}

#[test]
fn cases_50_to_53_merged_cells() {
    let table = |rows: &str| Doc { table: tbl(&format!("{}{rows}", tr(&HEAD))), ..Doc::default() };
    let first = tr_raw("", &(tc("<w:vMerge w:val=\"restart\"/>", &p("CRM / amoCRM")) + &cells(1, &ROW)));
    let second = tr_raw("", &(tc("<w:vMerge/>", "<w:p/>") + &cells(1, &with(LEVEL, "ответы"))));
    let filled = read_doc(&table(&(first + &second)));
    assert_eq!(filled.rows[1].system_raw, "CRM / amoCRM", "case 50");

    let merged =
        tr_raw("", &(tc("", &p("CRM")) + &tc("<w:gridSpan w:val=\"2\"/>", &p("контакты, просмотр")) + &cells(3, &ROW)));
    assert!(asked(&read_doc(&table(&merged)), "ROW_AMBIGUOUS_MERGE"), "case 51");

    let section = tr_raw("", &tc("<w:gridSpan w:val=\"5\"/>", &p("Мессенджеры")));
    let sectioned = read_doc(&table(&(section + &tr(&ROW))));
    assert_eq!((sectioned.rows.len(), sectioned.rows[0].section.as_deref()), (1, Some("Мессенджеры")), "case 52");

    for row in [
        tr(&ROW[..4]),
        tr_raw("<w:gridBefore w:val=\"1\"/>", &cells(1, &ROW)),
        tr_raw("<w:gridAfter w:val=\"1\"/>", &cells(0, &ROW[..4])),
    ] {
        let short = read_doc(&table(&row));
        assert!(asked(&short, "ROW_TOO_FEW_CELLS"), "case 53");
        assert_ne!(short.rows[0].raw.data, "", "a cell stays in its column");
    }
}

#[test]
fn cases_54_and_55_several_tables() {
    let row2 = with(SYSTEM, "Roistat");
    let joined = read_doc(&Doc { table: access(&[ROW]) + &access(&[row2]), ..Doc::default() });
    assert!(
        joined.rows.len() == 2
            && joined.warnings.iter().any(|code| code == "TABLE_CONTINUED")
            && joined.activatable_rows == [1, 2]
    );
    let repeated = read_doc(&Doc { table: tbl(&(tr(&HEAD) + &tr(&ROW) + &tr(&HEAD) + &tr(&row2))), ..Doc::default() });
    assert_eq!(repeated.rows.len(), 2);
    let headless = read_doc(&Doc { table: access(&[ROW]) + &tbl(&tr(&row2)), ..Doc::default() });
    assert!(headless.rows.len() == 2 && asked(&headless, "ROW_WITHOUT_HEADER"), "no row is lost silently");

    let mut apart = read_doc(&Doc {
        table: access(&[ROW]) + &p("Дополнительное соглашение") + &access(&[with(TERM, "до 30.06.2026")]),
        ..Doc::default()
    });
    assert!(asked(&apart, "TABLES_CONFLICT") && apart.activatable_rows.is_empty());
    answer(&mut apart, 0, "tables", "2").unwrap();
    assert_eq!(apart.rows_to_activate().iter().map(|row| row.row).collect::<Vec<_>>(), [2]);
}

#[test]
fn cases_56_and_57_nested_tables() {
    let inside = |table: &str| tbl(&tr_raw("", &tc("", &(table.to_owned() + "<w:p/>"))));
    let mut table = access(&[ROW]);
    for depth in 1..=3 {
        table = inside(&table);
        let reading = read_doc(&Doc { table: table.clone(), ..Doc::default() });
        assert!(
            reading.rows.len() == 1 && reading.warnings.iter().any(|code| code == "ACCESS_TABLE_NESTED"),
            "depth {depth}"
        );
    }
    assert_eq!(read_doc(&Doc { table: inside(&table), ..Doc::default() }).errors[0].code, "TABLE_NESTING_TOO_DEEP");

    let cell = tbl(&tr(&["а", "б"])) + &p("контакты");
    let row = tr_raw("", &(tc("", &p("CRM")) + &tc("", &cell) + &cells(2, &ROW)));
    assert!(asked(&read_doc(&Doc { table: tbl(&(tr(&HEAD) + &row)), ..Doc::default() }), "NESTED_TABLE_IN_CELL"));
}

#[test]
fn cases_58_and_59_no_table() {
    let text = read_doc(&Doc {
        table: p("CRM - контакты - просмотр - обработка лидов - до 31.12.2026"),
        ..Doc::default()
    });
    assert_eq!(
        (text.status, text.errors[0].code.as_str(), text.rows.len()),
        (Status::Rejected, "ACCESS_TABLE_NOT_FOUND", 0)
    );
    let picture = read_doc(&Doc { table: "<w:p><w:r><w:drawing/></w:r></w:p>".into(), ..Doc::default() });
    assert!(picture.message_ru.contains("Похоже на изображение"), "{}", picture.message_ru);
}

pub fn term_cell(content: &str) -> Doc {
    let row = tr_raw("", &(cells(0, &ROW[..4]) + &tc("", content)));
    Doc { table: tbl(&(tr(&HEAD) + &row)), ..Doc::default() }
}

pub fn run(text: &str) -> String {
    format!("<w:r><w:t>{text}</w:t></w:r>")
}

#[test]
fn cases_60_to_63_what_word_hides() {
    for (inserted, deleted) in [("w:ins", "w:del"), ("w:moveTo", "w:moveFrom")] {
        let text = if deleted == "w:del" { "w:delText" } else { "w:t" };
        let cell = format!(
            "<w:p>{}<{deleted}><w:r><{text}>30.06.2026</{text}></w:r></{deleted}><{inserted}>{}</{inserted}></w:p>",
            run("до "),
            run("31.12.2026")
        );
        let mut reading = read_doc(&term_cell(&cell));
        let question = &reading.open_questions()[0];
        assert_eq!((question.code.as_str(), question.path.as_str()), ("TRACKED_CHANGE_IN_CELL", "term"), "case 60");
        assert_eq!((question.default.as_deref(), question.other.as_deref()), (Some("2026-12-31"), Some("2026-06-30")));
        answer(&mut reading, 1, "term", "30.06.2026").unwrap();
        assert_eq!(
            reading.rows_to_activate()[0].opening,
            Opening::Days { from: "2026-02-01".parse().unwrap(), until: "2026-06-30".parse().unwrap() }
        );
    }
    let elsewhere =
        Doc { before: format!("<w:p><w:ins>{}</w:ins></w:p>", run("Новый пункт.")), ..Doc::of(&[ROW]) };
    let reading = read_doc(&elsewhere);
    assert!(
        reading.status == Status::Accepted && reading.warnings.iter().any(|code| code == "TRACKED_CHANGES_PRESENT"),
        "case 61"
    );

    let control = read_doc(&term_cell(&format!(
        "<w:sdt><w:sdtPr/><w:sdtContent><w:p>{}</w:p></w:sdtContent></w:sdt>",
        run("до 31.12.2026")
    )));
    assert!(control.rows[0].outcome == Outcome::Accept && has(&control.rows[0], "CONTENT_CONTROL_IN_CELL"), "case 62");
    let prompt = read_doc(&term_cell(&format!(
        "<w:sdt><w:sdtPr><w:showingPlcHdr/></w:sdtPr><w:sdtContent><w:p>{}</w:p></w:sdtContent></w:sdt>",
        run("до 31.12.2026")
    )));
    assert!(asked(&prompt, "TERM_MISSING"), "the prompt of a control is a blank");

    let hidden =
        "<w:p><w:r><w:rPr><w:vanish/></w:rPr><w:t>до 31.12.2030 </w:t></w:r><w:r><w:t>до 31.12.2026</w:t></w:r></w:p>";
    let reading = read_doc(&term_cell(hidden));
    assert_eq!(reading.rows[0].term.end.unwrap().to_string(), "2026-12-31", "case 63");
    assert!(reading.warnings.iter().any(|code| code == "HIDDEN_TEXT_PRESENT"));
    let styles = format!(
        "<w:styles xmlns:w=\"{}\"><w:style w:styleId=\"H\"><w:rPr><w:vanish/></w:rPr></w:style></w:styles>",
        crate::docx::W
    );
    let mut by_style = term_cell(
        "<w:p><w:r><w:rPr><w:rStyle w:val=\"H\"/></w:rPr><w:t>с 01.01.2026 </w:t></w:r><w:r><w:t>до 31.12.2026</w:t></w:r></w:p>",
    );
    by_style.extra.push(("word/styles.xml".into(), styles.into_bytes()));
    assert_eq!(one(&by_style).term.raw, "до 31.12.2026");
    let off = "<w:p><w:r><w:rPr><w:vanish w:val=\"0\"/><w:rPrChange><w:rPr><w:vanish/></w:rPr></w:rPrChange></w:rPr><w:t>до 31.12.2026</w:t></w:r></w:p>";
    assert_eq!(one(&term_cell(off)).term.raw, "до 31.12.2026", "an old format does not hide");
}

#[test]
fn alternatives_count_once_and_boxes_are_asked_about() {
    let choice = format!(
        "<w:p><mc:AlternateContent><mc:Choice>{}</mc:Choice><mc:Fallback>{}</mc:Fallback></mc:AlternateContent></w:p>",
        run("до 31.12.2026"),
        run("до 31.12.2026")
    );
    assert_eq!(one(&term_cell(&choice)).term.raw, "до 31.12.2026");
    let boxed = format!(
        "<w:p>{}<w:r><w:drawing><wps:txbx><w:txbxContent><w:p>{}</w:p></w:txbxContent></wps:txbx></w:drawing></w:r></w:p>",
        run("до 31.12.2026"),
        run("но не позднее 01.04.2026")
    );
    assert!(asked(&read_doc(&term_cell(&boxed)), "CELL_HOLDS_MORE_THAN_TEXT"));
    let note = format!("<w:p>{}<w:r><w:footnoteReference w:id=\"1\"/></w:r></w:p>", run("до 31.12.2026"));
    assert!(asked(&read_doc(&term_cell(&note)), "CELL_HOLDS_MORE_THAN_TEXT"));
}

#[test]
fn cases_64_and_65_beyond_the_clauses() {
    for words in ["паспортные данные", "сведения о здоровье", "биометрия", "данные детей"]
    {
        let mut row = ROW;
        row[DATA] = words;
        let reading = read_doc(&Doc::of(&[row]));
        assert!(asked(&reading, "DATA_SPECIAL_CATEGORY") && asked(&reading, "DATA_OUTSIDE_CLAUSE_2_2"), "{words}");
    }
    let mapped = one(&Doc::of(&[with(DATA, "контакты, история заявок, сообщения, аудитории, события")]));
    assert!(mapped.issues.is_empty(), "{:?}", mapped.issues);
    let odd = one(&Doc::of(&[with(DATA, "размер обуви")]));
    assert!(odd.outcome == Outcome::Accept && has(&odd, "DATA_NOT_MAPPED"));
    for words in ["продажа базы", "для других проектов"] {
        let mut row = ROW;
        row[PURPOSE] = words;
        let mut reading = read_doc(&Doc::of(&[row]));
        assert!(asked(&reading, "PURPOSE_OUTSIDE_MANDATE"), "{words}");
        answer(&mut reading, 1, "purpose", "обработка лидов").unwrap();
        assert_eq!(reading.rows_to_activate().len(), 1);
    }
    let harmless = one(&Doc::of(&[with(PURPOSE, "оформление витрины")]));
    assert!(harmless.outcome == Outcome::Accept && has(&harmless, "PURPOSE_NOT_MAPPED"));
}

#[test]
fn cases_66_to_68_parties() {
    let swapped = Doc { before: String::new(), ..Doc::of(&[ROW]) };
    let xml = swapped
        .xml()
        .replace(">Оператор<", ">TEMP<")
        .replace(">Обработчик по поручению<", ">Заказчик<")
        .replacen(">TEMP<", ">Исполнитель<", 1)
        .replace(">TEMP<", ">Оператор<");
    let reading = read_bytes(&zip_of(&[("word/document.xml".into(), xml.into_bytes())]));
    assert_eq!(
        (reading.document.operator.name.as_deref(), reading.document.processor.name.as_deref()),
        (Some("ИП Примеров П. П."), Some("ООО «Проба»")),
        "case 66"
    );

    let same = read_doc(&Doc { processor: "ООО «ПРОБА»".into(), ..Doc::of(&[ROW]) });
    assert_eq!((same.status, same.errors[0].code.as_str()), (Status::Rejected, "PARTIES_IDENTICAL"), "case 67");
    assert!(same.rows_to_activate().is_empty());

    for (inn, warns) in [("7707083893", false), ("7707083894", true), ("0000000000", false), ("500100732259", false)] {
        let reading = read_doc(&Doc { operator: format!("ООО «Проба», ИНН {inn}"), ..Doc::of(&[ROW]) });
        assert_eq!(reading.document.operator.inn.as_deref(), Some(inn));
        assert_eq!(reading.warnings.iter().any(|code| code == "INN_CHECKSUM"), warns, "case 68: {inn}");
    }
}

#[test]
fn case_69_limits_of_a_table() {
    let many: Vec<[&str; 5]> = vec![ROW; 501];
    assert_eq!(read_doc(&Doc::of(&many)).errors[0].code, "TABLE_TOO_LARGE");
    assert_eq!(read_doc(&Doc::of(&many[..500])).rows.len(), 500);
    let long: String = "я".repeat(20_001);
    let row = tr_raw("", &(tc("", &p(&long)) + &cells(1, &ROW)));
    assert_eq!(read_doc(&Doc { table: tbl(&(tr(&HEAD) + &row)), ..Doc::default() }).errors[0].code, "TABLE_TOO_LARGE");
}

#[test]
fn case_70_the_same_file_twice() {
    let (catalogue, law) = books();
    let origin = Origin { digest: Some(Digest([7; 32])), repeated: true };
    let mut reading =
        read(&Doc::of(&[ROW]).bytes(), origin, "2026-03-01".parse().unwrap(), &Zone::utc(), &catalogue, &law);
    assert!(asked(&reading, "MANDATE_ALREADY_IMPORTED") && reading.rows_to_activate().is_empty());
    answer(&mut reading, 0, "document", "confirm").unwrap();
    assert_eq!(reading.rows_to_activate().len(), 1);
}

#[test]
fn case_71_text_is_only_text() {
    for purpose in ["=HYPERLINK(\"http://example.test\")", "<script>alert(1)</script>", "ab\u{202E}cd"] {
        let mut row = ROW;
        row[PURPOSE] = purpose;
        let found = one(&Doc::of(&[row]));
        assert_eq!(found.raw.purpose, purpose.replace('\u{202E}', ""));
    }
}

/// Cases 72 to 78: files that are refused, each quickly.
#[test]
fn hostile_files() {
    let part = |name: &str, bytes: &[u8]| zip_of(&[(name.into(), bytes.to_vec())]);
    let good = Doc::of(&[ROW]).bytes();
    let xml = Doc::of(&[ROW]).xml();
    let mut bomb = xml.clone().into_bytes();
    bomb.resize(30 * 1024 * 1024, b' ');
    let mut lie = good.clone();
    let at = lie.windows(4).rposition(|four| four == b"PK\x01\x02").unwrap();
    lie[at + 24..at + 28].copy_from_slice(&0xFFFF_FFF0_u32.to_le_bytes());
    let mut small_lie = good.clone();
    small_lie[at + 24..at + 28].copy_from_slice(&10_u32.to_le_bytes());
    let deep = xml
        .replace("<w:body>", &format!("<w:body>{}", "<w:a>".repeat(300)))
        .replace("</w:body>", &format!("{}</w:body>", "</w:a>".repeat(300)));
    let many: Vec<(String, Vec<u8>)> = (0..2001).map(|n| (format!("a{n}"), Vec::new())).collect();
    let cases: Vec<(u32, Vec<u8>, &str)> = vec![
        (72, b"{\\rtf1 x}".to_vec(), "FILE_NOT_DOCX"),
        (72, b"%PDF-1.7".to_vec(), "FILE_NOT_DOCX"),
        (72, b"\xEF\xBB\xBF<!DOCTYPE html><html>".to_vec(), "FILE_NOT_DOCX"),
        (73, vec![0xD0, 0xCF, 0x11, 0xE0, 0xA1, 0xB1, 0x1A, 0xE1, 0, 0], "FILE_ENCRYPTED_OR_LEGACY_DOC"),
        (74, part("xl/workbook.xml", b"<workbook/>"), "FILE_NOT_WORDPROCESSINGML"),
        (74, part("word/document.xml", b"<html/>"), "FILE_NOT_WORDPROCESSINGML"),
        (75, good[..good.len() / 2].to_vec(), "FILE_CORRUPT"),
        (75, part("word/document.xml", &xml.as_bytes()[..xml.len() / 2]), "FILE_CORRUPT"),
        (75, Vec::new(), "FILE_EMPTY"),
        (76, part("word/document.xml", &bomb), "ARCHIVE_LIMIT_EXCEEDED"),
        (76, lie, "ARCHIVE_LIMIT_EXCEEDED"),
        (76, small_lie, "ARCHIVE_LIMIT_EXCEEDED"),
        (76, zip_of(&many), "ARCHIVE_LIMIT_EXCEEDED"),
        (76, vec![b'P'; 10 * 1024 * 1024 + 1], "ARCHIVE_LIMIT_EXCEEDED"),
        (76, part("word/document.xml", deep.as_bytes()), "XML_TOO_DEEP"),
        (
            77,
            part(
                "word/document.xml",
                xml.replace("<w:document", "<!DOCTYPE d [<!ENTITY x \"y\">]><w:document").as_bytes(),
            ),
            "XML_DTD_FORBIDDEN",
        ),
        (77, part("word/document.xml", xml.replace("amoCRM", "&x;").as_bytes()), "XML_DTD_FORBIDDEN"),
        (
            78,
            zip_of(&[("word/document.xml".into(), xml.clone().into_bytes()), ("../evil".into(), Vec::new())]),
            "ARCHIVE_ENTRY_NAME_INVALID",
        ),
        (
            78,
            zip_of(&[("word/document.xml".into(), xml.clone().into_bytes()), ("/etc/evil".into(), Vec::new())]),
            "ARCHIVE_ENTRY_NAME_INVALID",
        ),
    ];
    for (at, (case, bytes, code)) in cases.into_iter().enumerate() {
        let begun = Instant::now();
        let reading = read_bytes(&bytes);
        assert_eq!(
            (reading.status, reading.errors.first().map(|error| error.code.as_str())),
            (Status::Rejected, Some(code)),
            "case {case}, file {at}"
        );
        assert!(!reading.message_ru.is_empty() && !reading.errors[0].next.en.is_empty(), "case {case}");
        assert!(begun.elapsed() < Duration::from_secs(3), "case {case} took {:?} in a debug build", begun.elapsed());
    }
}

#[test]
fn case_79_macros_and_remote_templates_are_left_alone() {
    let rels = "<Relationships><Relationship Id=\"r\" Type=\"x/attachedTemplate\" Target=\"http://evil.test/t.dotm\" TargetMode=\"External\"/></Relationships>";
    let extra = vec![
        ("word/vbaProject.bin".into(), vec![1]),
        ("word/_rels/settings.xml.rels".into(), rels.as_bytes().to_vec()),
    ];
    let reading = read_doc(&Doc { extra, ..Doc::of(&[ROW]) });
    assert_eq!(reading.status, Status::Accepted);
    for code in ["MACROS_IGNORED", "EXTERNAL_CONTENT_IGNORED"] {
        assert!(reading.warnings.iter().any(|warning| warning == code), "{code}");
    }
}

#[test]
fn case_80_strict_documents_are_read() {
    let strict = Doc { namespace: "http://purl.oclc.org/ooxml/wordprocessingml/main".into(), ..Doc::of(&[ROW]) };
    assert_eq!(read_doc(&strict).status, Status::Accepted);
}

#[test]
fn no_row_falls_out_without_a_question() {
    let mut vk = read_doc(&Doc::of(&[with(SYSTEM, "VK")]));
    answer(&mut vk, 1, "platform", "none").unwrap();
    assert!(asked(&vk, "SYSTEM_UNKNOWN"));
    let long: &'static str = Box::leak("слово ".repeat(100).into_boxed_str());
    assert!(asked(&read_doc(&Doc::of(&[with(PURPOSE, long)])), "VALUE_TOO_LONG"));
    assert!(asked(&read_doc(&Doc::of(&[with(LEVEL, "просмотр (без просмотра)")])), "ACCESS_LEVEL_UNKNOWN"));
}

#[test]
fn a_shorter_mandate_and_an_unclear_one() {
    let doc = |clause: &str| Doc { clause51: clause.into(), ..Doc::of(&[ROW]) };
    let shorter = read_doc(&doc("5.1. Поручение действует с 01.02.2026 до 30.06.2026."));
    assert!(asked(&shorter, "TERM_EXCEEDS_CONTRACT"), "the mandate's own end bounds its rows");
    for clause in [
        "5.1. Поручение действует 6 месяцев.",
        "5.1. Поручение действует до 30.06.2026, а при продлении до 31.12.2026.",
    ] {
        let mut unclear = read_doc(&doc(clause));
        assert!(asked(&unclear, "MANDATE_TERM_UNCLEAR") && unclear.rows_to_activate().is_empty(), "{clause}");
        answer(&mut unclear, 0, "contract.end", "31.12.2026").unwrap();
        assert_eq!(unclear.rows_to_activate().len(), 1);
    }
    let empty = read_doc(&Doc::of(&[]));
    assert_eq!((empty.status, empty.errors[0].code.as_str()), (Status::NeedsInput, "ACCESS_TABLE_EMPTY"));
}

/// Answers are judged like the document: they may raise a question, and a refused row can be corrected.
#[test]
fn answers_are_judged_like_the_document() {
    let mut reading = read_doc(&Doc::of(&[with(TERM, "31.02.2027"), with(LEVEL, "как у менеджера")]).until_2027());
    assert_eq!(reading.status, Status::NeedsInput);
    answer(&mut reading, 1, "term", "до 01.06.2027").unwrap();
    assert!(asked(&reading, "TERM_EXCEEDS_CONTRACT"));
    answer(&mut reading, 1, "term", "до 31.01.2027").unwrap();
    answer(&mut reading, 2, "level", "полный доступ").unwrap();
    assert!(asked(&reading, "ACCESS_LEVEL_EXCESSIVE"));
    answer(&mut reading, 2, "level", "confirm").unwrap();
    assert_eq!((reading.open_questions().len(), reading.rows_to_activate().len()), (0, 2));
    answer(&mut reading, 2, "level", "админ").unwrap();
    assert!(asked(&reading, "ACCESS_LEVEL_EXCESSIVE"), "a new value is not the one that was confirmed");
    answer(&mut reading, 2, "row", "drop").unwrap();
    assert_eq!(reading.rows_to_activate().len(), 1);
    assert_eq!(answer(&mut reading, 9, "term", "x"), Err("ANSWER_ROW_UNKNOWN".into()));
    assert_eq!(answer(&mut reading, 1, "colour", "x"), Err("ANSWER_FIELD_UNKNOWN".into()));
    assert_eq!(answer(&mut reading, 0, "contract.end", "31.02.2027"), Err("ANSWER_NOT_A_DATE".into()));
}
