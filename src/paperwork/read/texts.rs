//! The sentence of every code and the next step, in both languages.

use crate::paperwork::lang::Phrase;

/// The sentence and the next step of a code; `variant` picks a special sentence, `about` stands for `{about}`.
pub fn of(code: &str, variant: &str, about: &str) -> (Phrase, Phrase) {
    let line = TEXTS
        .iter()
        .find(|line| line.0 == code && line.1 == variant)
        .or_else(|| TEXTS.iter().find(|line| line.0 == code && line.1.is_empty()));
    let Some((_, _, ru, en, next_ru, next_en)) = line else {
        return (Phrase::new(code, code), Phrase::new("Проверьте документ.", "Check the document."));
    };
    let fill = |text: &str| text.replace("{about}", about);
    (Phrase::new(fill(ru), fill(en)), Phrase::new(*next_ru, *next_en))
}

type Line = (&'static str, &'static str, &'static str, &'static str, &'static str, &'static str);

const SAVE_RU: &str = "Откройте файл в Word или Google Документах и сохраните как DOCX.";
const SAVE_EN: &str = "Open the file in Word or Google Docs and save it as DOCX.";
const DATE_RU: &str = "Ответьте датой, например 31.12.2026, или «на срок договора».";
const DATE_EN: &str = "Answer with a date such as 2026-12-31, or \"contract term\".";
const CLEAN_RU: &str = "Попросите прислать файл заново, сохранённый в Word.";
const CLEAN_EN: &str = "Ask for the file again, saved in Word.";
const FIX_RU: &str = "Исправьте срок или исключите строку.";
const FIX_EN: &str = "Correct the term or leave the row out.";
const VALUE_RU: &str = "Ответьте значением поля.";
const VALUE_EN: &str = "Answer with the field's value.";
const KEEP_RU: &str = "Сверьте строку с документом и ответьте keep, split или drop.";
const KEEP_EN: &str = "Compare the row with the document and answer keep, split or drop.";
const CONFIRM_RU: &str = "Ответьте другим значением или confirm.";
const CONFIRM_EN: &str = "Answer with another value, or confirm.";
const TOLD_RU: &str = "Ничего делать не нужно; проверьте при подтверждении.";
const TOLD_EN: &str = "Nothing to do; check it when you confirm.";

#[rustfmt::skip]
const TEXTS: &[Line] = &[
    ("FILE_EMPTY", "", "Файл пуст.", "The file is empty.", SAVE_RU, SAVE_EN),
    ("FILE_NOT_DOCX", "rtf", "Это не файл DOCX (похоже на RTF). Откройте его в Word или Google Документах и сохраните как DOCX.", "This is not a DOCX file (it looks like RTF). Open it in Word or Google Docs and save it as DOCX.", SAVE_RU, SAVE_EN),
    ("FILE_NOT_DOCX", "pdf", "Это PDF, а не DOCX.", "This is a PDF, not DOCX.", "Попросите исходный файл DOCX.", "Ask for the original DOCX file."),
    ("FILE_NOT_DOCX", "html", "Это не файл DOCX (похоже на HTML). Откройте его в Word или Google Документах и сохраните как DOCX.", "This is not a DOCX file (it looks like HTML). Open it in Word or Google Docs and save it as DOCX.", SAVE_RU, SAVE_EN),
    ("FILE_NOT_DOCX", "", "Это не файл DOCX.", "This is not a DOCX file.", SAVE_RU, SAVE_EN),
    ("FILE_ENCRYPTED_OR_LEGACY_DOC", "", "Файл защищён паролем или это старый формат DOC. Снимите пароль и сохраните как DOCX.", "The file has a password or is in the old DOC format. Remove the password and save it as DOCX.", SAVE_RU, SAVE_EN),
    ("FILE_NOT_WORDPROCESSINGML", "", "В файле нет документа Word.", "The file holds no Word document.", SAVE_RU, SAVE_EN),
    ("FILE_CORRUPT", "", "Файл повреждён (обрывается).", "The file is damaged (cut off).", CLEAN_RU, CLEAN_EN),
    ("ARCHIVE_LIMIT_EXCEEDED", "declared", "Файл отклонён: заявленный размер содержимого слишком велик.", "The file is refused: the declared size of its content is too large.", CLEAN_RU, CLEAN_EN),
    ("ARCHIVE_LIMIT_EXCEEDED", "file", "Файл отклонён: он больше 10 МБ.", "The file is refused: it is larger than 10 MB.", CLEAN_RU, CLEAN_EN),
    ("ARCHIVE_LIMIT_EXCEEDED", "", "Файл отклонён: распакованное содержимое слишком велико.", "The file is refused: its content is too large once unpacked.", CLEAN_RU, CLEAN_EN),
    ("ARCHIVE_ENTRY_NAME_INVALID", "", "Файл отклонён: недопустимое имя внутри архива.", "The file is refused: a forbidden name inside the archive.", CLEAN_RU, CLEAN_EN),
    ("XML_DTD_FORBIDDEN", "", "Файл отклонён: недопустимое содержимое XML.", "The file is refused: its XML holds what is not allowed.", CLEAN_RU, CLEAN_EN),
    ("XML_TOO_DEEP", "", "Файл отклонён: слишком большая вложенность.", "The file is refused: it is nested too deeply.", CLEAN_RU, CLEAN_EN),
    ("TABLE_NESTING_TOO_DEEP", "", "Таблицы вложены глубже трёх уровней.", "Tables are nested more than three deep.", "Вынесите таблицу доступа из других таблиц.", "Move the access table out of the other tables."),
    ("TABLE_TOO_LARGE", "", "Таблица слишком велика: больше 500 строк или 20 000 знаков в ячейке.", "The table is too large: over 500 rows, or 20,000 characters in a cell.", "Разделите поручение на несколько документов.", "Split the mandate into several documents."),
    ("ACCESS_TABLE_NOT_FOUND", "picture", "В документе не найдена таблица доступа (раздел 6): нужна таблица с колонками «Система», «Категории данных», «Уровень доступа», «Цель доступа», «Срок доступа». Похоже на изображение.", "No access table was found (section 6): a table with the columns System, Data categories, Access level, Purpose, Term is needed. It looks like a picture.", "Вставьте таблицу текстом вместо изображения.", "Put the table in as text instead of a picture."),
    ("ACCESS_TABLE_NOT_FOUND", "", "В документе не найдена таблица доступа (раздел 6): нужна таблица с колонками «Система», «Категории данных», «Уровень доступа», «Цель доступа», «Срок доступа».", "No access table was found (section 6): a table with the columns System, Data categories, Access level, Purpose, Term is needed.", "Добавьте таблицу доступа и прочитайте документ снова.", "Add the access table and read the document again."),
    ("ACCESS_TABLE_EMPTY", "", "В таблице доступа нет ни одной строки.", "The access table has no rows.", "Заполните таблицу доступа и прочитайте документ снова.", "Fill in the access table and read the document again."),
    ("MANDATE_TERM_UNCLEAR", "", "Срок поручения (п. 5.1) не удалось прочитать однозначно.", "The mandate's term (clause 5.1) could not be read for sure.", "Ответьте последним днём поручения (contract.end).", "Answer with the mandate's last day (contract.end)."),
    ("TEMPLATE_NOT_FILLED", "", "Это незаполненный шаблон: нет сторон, договора и сроков.", "This is an unfilled template: no parties, contract or terms.", "Заполните поручение и прочитайте его снова.", "Fill in the mandate and read it again."),
    ("PARTIES_IDENTICAL", "", "Оператор и исполнитель — одно и то же лицо.", "Operator and processor are the same party.", "Исправьте название или ИНН одной из сторон.", "Correct the name or taxpayer number of one party."),
    ("COLUMN_MISSING", "", "В таблице доступа нет одной из пяти колонок.", "The access table lacks one of its five columns.", "Ответьте на вопросы по строкам или добавьте колонку в документ.", "Answer for every row, or add the column to the document."),
    ("TERM_BEFORE_START", "MANDATE_DATE", "Срок ({about}) раньше даты поручения ({floor}).", "The term ({about}) is before the mandate's date ({floor}).", FIX_RU, FIX_EN),
    ("TERM_BEFORE_START", "", "Срок ({about}) раньше даты договора ({floor}).", "The term ({about}) is before the contract's date ({floor}).", FIX_RU, FIX_EN),
    ("TERM_END_BEFORE_BEGIN", "", "Конец срока раньше начала.", "The term ends before it begins.", FIX_RU, FIX_EN),
    ("DATE_IMPOSSIBLE", "MONTH_FIRST", "Такой даты нет ({about}), похоже на формат ММ/ДД.", "There is no such date ({about}); it looks like MM/DD.", FIX_RU, FIX_EN),
    ("DATE_IMPOSSIBLE", "", "Такой даты нет ({about}).", "There is no such date ({about}).", FIX_RU, FIX_EN),
    ("TERM_MISSING", "", "Срок не указан.", "The term is not given.", DATE_RU, DATE_EN),
    ("TERM_ANCHOR_UNKNOWN", "", "Не сказано, от какой даты считать срок.", "It is not said from which day the term runs.", DATE_RU, DATE_EN),
    ("NUMBER_WORDS_DIFFER", "", "Число цифрами и число словами различаются.", "The number in digits and in words differ.", DATE_RU, DATE_EN),
    ("TERM_WORKING_DAYS", "", "Срок в рабочих днях: календаря праздников здесь нет.", "The term is in working days; there is no calendar of holidays here.", DATE_RU, DATE_EN),
    ("TERM_INDEFINITE", "", "Срок не ограничен: доступ не может быть дольше договора.", "The term has no end; access cannot outlast the contract.", DATE_RU, DATE_EN),
    ("TERM_EVENT_BASED", "", "Срок зависит от события: нужна дата.", "The term depends on an event; a date is needed.", DATE_RU, DATE_EN),
    ("TERM_UNPARSED", "", "Срок не удалось прочитать.", "The term could not be read.", DATE_RU, DATE_EN),
    ("TERM_MULTIPLE", "", "В ячейке несколько дат.", "The cell holds several dates.", DATE_RU, DATE_EN),
    ("TERM_TIME_OF_DAY", "", "Срок до часа внутри дня: доступ считается днями.", "The term ends at an hour; access is counted in days.", DATE_RU, DATE_EN),
    ("TERM_EXCEEDS_CONTRACT", "", "Срок длиннее договора.", "The term is longer than the contract.", DATE_RU, DATE_EN),
    ("CONTRACT_END_UNKNOWN", "", "Дата окончания договора неизвестна.", "The contract's last day is not known.", "Ответьте датой окончания (contract.end) или датой пересмотра не позже 90 дней (contract.review).", "Answer with the last day (contract.end) or a review date within 90 days (contract.review)."),
    ("CONTRACT_END_UNCLEAR", "", "Последний день договора не удалось прочитать однозначно: у даты стоят другие слова, или в документе названы разные дни.", "The contract's last day could not be read for sure: other words stand by the date, or the document names different days.", "Ответьте последним днём договора (contract.end).", "Answer with the contract's last day (contract.end)."),
    ("CONTRACT_NUMBER_MISSING", "", "Номер договора не указан.", "The contract's number is not given.", VALUE_RU, VALUE_EN),
    ("CONTRACT_DATE_MISSING", "", "Дата договора не указана.", "The contract's date is not given.", VALUE_RU, VALUE_EN),
    ("PARTY_MISSING", "", "Сторона поручения не указана.", "A party to the mandate is not given.", VALUE_RU, VALUE_EN),
    ("TABLES_CONFLICT", "", "В документе несколько таблиц доступа.", "The document holds several access tables.", "Ответьте номером таблицы, которая действует, или both.", "Answer with the number of the table in force, or both."),
    ("MANDATE_ALREADY_IMPORTED", "", "Этот файл уже был импортирован.", "This file was imported before.", "Ответьте confirm, чтобы прочитать его ещё раз.", "Answer confirm to take it again."),
    ("CREDENTIAL_IN_DOCUMENT", "", "В документе был пароль или токен: он вырезан и не сохранён. Смените его.", "The document held a password or token; it was cut out and not kept. Replace it.", "Смените пароль на платформе; ответьте значением поля, keep или confirm.", "Replace the password on the platform; answer with the field's value, keep or confirm."),
    ("SYSTEM_MISSING", "", "Система не указана.", "The system is not given.", VALUE_RU, VALUE_EN),
    ("SYSTEM_UNKNOWN", "", "Система не опознана: {about}.", "The system is not known: {about}.", "Выберите категорию.", "Choose a category."),
    ("SYSTEM_MULTIPLE", "", "В ячейке несколько систем.", "The cell holds several systems.", KEEP_RU, KEEP_EN),
    ("PLATFORM_AMBIGUOUS", "", "Название может означать разное: {about}.", "The name may mean several platforms: {about}.", "Выберите платформу.", "Choose a platform."),
    ("ACCESS_LEVEL_MISSING", "", "Уровень доступа не указан.", "The access level is not given.", VALUE_RU, VALUE_EN),
    ("ACCESS_LEVEL_UNKNOWN", "", "Уровень доступа не опознан: {about}.", "The access level is not known: {about}.", "Выберите уровни.", "Choose levels."),
    ("ACCESS_LEVEL_EXCESSIVE", "", "Полный доступ шире, чем нужно для цели (УПД.5).", "Full access is wider than the purpose needs.", CONFIRM_RU, CONFIRM_EN),
    ("LEVEL_OUTSIDE_CLAUSE_3_1", "", "Уровень требует действия, которого нет в п. 3.1.", "The level needs an action that clause 3.1 does not list.", CONFIRM_RU, CONFIRM_EN),
    ("DATA_MISSING", "", "Категории данных не указаны.", "The data categories are not given.", VALUE_RU, VALUE_EN),
    ("DATA_OUTSIDE_CLAUSE_2_2", "", "Данных нет в перечне п. 2.2: {about}.", "The data are not in the list of clause 2.2: {about}.", CONFIRM_RU, CONFIRM_EN),
    ("DATA_SPECIAL_CATEGORY", "", "Чувствительные данные: {about}.", "Sensitive data: {about}.", CONFIRM_RU, CONFIRM_EN),
    ("DATA_NOT_MAPPED", "", "Словарь не знает этих данных: сверьте с п. 2.2.", "The dictionary does not know these data; compare with clause 2.2.", TOLD_RU, TOLD_EN),
    ("VALUE_TOO_LONG", "", "Значение длиннее 500 знаков.", "A value is longer than 500 characters.", VALUE_RU, VALUE_EN),
    ("PURPOSE_MISSING", "", "Цель не указана.", "The purpose is not given.", VALUE_RU, VALUE_EN),
    ("PURPOSE_OUTSIDE_MANDATE", "", "Цель выходит за поручение: {about}.", "The purpose goes beyond the mandate: {about}.", CONFIRM_RU, CONFIRM_EN),
    ("PURPOSE_NOT_MAPPED", "", "Словарь не знает этой цели: сверьте с п. 3.2.", "The dictionary does not know this purpose; compare with clause 3.2.", TOLD_RU, TOLD_EN),
    ("TRACKED_CHANGE_IN_CELL", "", "В ячейке есть исправление: нужно выбрать значение.", "The cell holds a tracked change; a value must be chosen.", VALUE_RU, VALUE_EN),
    ("STRUCK_TEXT_IN_CELL", "", "В ячейке есть зачёркнутый текст: нужно выбрать значение.", "The cell holds text that is struck through; a value must be chosen.", VALUE_RU, VALUE_EN),
    ("STRUCK_TEXT_PRESENT", "", "Зачёркнутый текст не учтён.", "Text that is struck through was left out.", TOLD_RU, TOLD_EN),
    ("STRUCK_TEXT_OUTSIDE", "", "Вне таблицы доступа есть зачёркнутый текст: он не учтён, хотя может говорить о сторонах или сроке.", "Text outside the access table is struck through; it was left out, though it may speak of the parties or the term.", "Сверьте прочитанное с подписанным документом и ответьте confirm.", "Compare what was read with the signed document and answer confirm."),
    ("COLUMNS_DISAGREE", "", "Об этом говорят две колонки, и не одно и то же: нужно выбрать значение.", "Two columns speak of this, and not alike; a value must be chosen.", VALUE_RU, VALUE_EN),
    ("COLUMN_NOT_READ", "", "Колонка не читается, но в ней что-то написано: {about}.", "A column is not read, and something stands in it: {about}.", "Сверьте её с каждой строкой, исправьте строки ответами и ответьте confirm.", "Compare it with every row, correct rows by answers, and answer confirm."),
    ("CONTENT_VERSIONS_DIFFER", "", "Часть документа хранится в двух вариантах с разным текстом: какой виден, зависит от программы.", "A part of the document is stored in two versions with different texts; the program decides which one is seen.", "Сверьте прочитанное с подписанным документом и ответьте confirm.", "Compare what was read with the signed document and answer confirm."),
    ("NOTE_IN_TABLE", "", "Примечание в таблице может ограничивать строки: {about}.", "A remark in the table may bound its rows: {about}.", "Сверьте его со строками, исправьте их ответами и ответьте confirm.", "Compare it with the rows, correct them by answers, and answer confirm."),
    ("NESTED_TABLE_IN_CELL", "", "В ячейке стоит таблица.", "The cell holds a table.", VALUE_RU, VALUE_EN),
    ("CELL_HOLDS_MORE_THAN_TEXT", "", "В ячейке есть изображение, надпись, сноска или флажок.", "The cell holds a picture, a text box, a footnote or a box to tick.", VALUE_RU, VALUE_EN),
    ("ROW_AMBIGUOUS_MERGE", "", "Ячейки строки объединены: неясно, что к чему относится.", "Cells of the row are merged; it is unclear what belongs where.", KEEP_RU, KEEP_EN),
    ("ROW_TOO_FEW_CELLS", "", "В строке меньше ячеек, чем колонок.", "The row has fewer cells than columns.", KEEP_RU, KEEP_EN),
    ("ROW_TOO_MANY_CELLS", "", "В строке больше ячеек, чем колонок.", "The row has more cells than columns.", KEEP_RU, KEEP_EN),
    ("ROW_INSERTED", "", "Строка добавлена исправлением.", "A tracked change brought the row in.", KEEP_RU, KEEP_EN),
    ("ROW_WITHOUT_HEADER", "", "Строка стоит в продолжении таблицы без шапки.", "The row stands in the rest of a table without its header.", KEEP_RU, KEEP_EN),
    ("ROW_SAME_SYSTEM_DIFFERS", "", "Та же система указана с другими условиями.", "The same system stands with other conditions.", KEEP_RU, KEEP_EN),
    ("ROW_DUPLICATE", "", "Повтор предыдущей строки: учтена одна.", "A repeat of an earlier row; one is counted.", TOLD_RU, TOLD_EN),
    ("PLATFORM_NOT_NAMED", "", "Платформа не названа.", "The platform is not named.", TOLD_RU, TOLD_EN),
    ("HOMOGLYPH_NORMALISED", "", "Похожие буквы другого алфавита заменены.", "Look-alike letters of another alphabet were replaced.", TOLD_RU, TOLD_EN),
    ("PLACEHOLDER_BRACKETS", "", "Скобки шаблона убраны.", "The template's brackets were removed.", TOLD_RU, TOLD_EN),
    ("CONTENT_CONTROL_IN_CELL", "", "Значение стоит в элементе управления.", "The value stands in a content control.", TOLD_RU, TOLD_EN),
    ("HIDDEN_TEXT_PRESENT", "", "Скрытый текст не учтён.", "Hidden text was left out.", TOLD_RU, TOLD_EN),
    ("TERM_TWO_DIGIT_YEAR", "", "Год из двух цифр прочитан как 20xx.", "A two-digit year was read as 20xx.", TOLD_RU, TOLD_EN),
    ("TERM_STARTS_ON_GRANT", "", "Срок считается со дня выдачи доступа.", "The term runs from the day access is given.", TOLD_RU, TOLD_EN),
    ("TERM_ALREADY_EXPIRED", "", "Срок уже истёк: строка остаётся в истории.", "The term is over; the row stays as history.", TOLD_RU, TOLD_EN),
    ("GRANT_NOT_YET_ACTIVE", "", "Доступ откроется позже.", "Access opens later.", TOLD_RU, TOLD_EN),
    ("TRACKED_CHANGES_PRESENT", "", "В документе есть исправления или примечания: прочитан вид с принятыми исправлениями.", "The document holds tracked changes or comments; it was read with the changes taken.", TOLD_RU, TOLD_EN),
    ("MACROS_IGNORED", "", "В файле есть макросы: они не запускались.", "The file holds macros; they were not run.", TOLD_RU, TOLD_EN),
    ("EXTERNAL_CONTENT_IGNORED", "", "Файл ссылается на внешнее содержимое: оно не загружалось.", "The file refers to content elsewhere; it was not fetched.", TOLD_RU, TOLD_EN),
    ("COLUMNS_REORDERED", "", "Колонки стоят в другом порядке.", "The columns stand in another order.", TOLD_RU, TOLD_EN),
    ("HEADER_SYNONYMS", "", "Колонки названы другими словами.", "The columns are headed by other words.", TOLD_RU, TOLD_EN),
    ("TABLE_CONTINUED", "", "Таблица разделена: части соединены.", "The table is split; its parts were joined.", TOLD_RU, TOLD_EN),
    ("ACCESS_TABLE_NESTED", "", "Таблица доступа стоит внутри другой таблицы.", "The access table stands inside another table.", TOLD_RU, TOLD_EN),
    ("PROCESSOR_IS_NATURAL_PERSON", "", "Исполнитель — физическое лицо.", "The processor is a natural person.", TOLD_RU, TOLD_EN),
    ("INN_CHECKSUM", "", "Контрольная цифра ИНН не сходится.", "The check digit of a taxpayer number does not hold.", TOLD_RU, TOLD_EN),
    ("ANSWER_FIELD_UNKNOWN", "", "Такого поля нет.", "There is no such field.", "Поля строки: system, category, platform, data, level, purpose, term, row; документа: operator.name, contract.end и другие из вопроса.", "Fields of a row: system, category, platform, data, level, purpose, term, row; of the document: operator.name, contract.end and others named by a question."),
    ("ANSWER_ROW_UNKNOWN", "", "Такой строки нет.", "There is no such row.", "Назовите номер строки из списка.", "Name a row from the list."),
    ("ANSWER_NOT_A_DATE", "", "Это не дата.", "This is not a date.", DATE_RU, DATE_EN),
    ("ANSWER_EMPTY", "", "Ответ пуст.", "The answer is empty.", VALUE_RU, VALUE_EN),
    ("ANSWER_NOT_A_CHOICE", "", "Такого варианта нет.", "There is no such choice.", "Выберите один из вариантов вопроса.", "Choose one of the question's choices."),
    ("ANSWER_REVIEW_TOO_LATE", "", "Дата пересмотра должна быть в пределах 90 дней.", "The review date must be within 90 days.", DATE_RU, DATE_EN),
    ("ANSWER_REFUSED_DOCUMENT", "", "Документ отклонён: отвечать не на что.", "The document is refused; there is nothing to answer.", CLEAN_RU, CLEAN_EN),
    ("ANSWER_HOLDS_SECRET", "", "В ответе похоже на пароль или токен: он не принят.", "The answer looks like it holds a password or token; it was not taken.", VALUE_RU, VALUE_EN),
];
