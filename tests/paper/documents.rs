//! What each document must say, and what it must refuse to say.

use crate::facts::*;
use mandatum::model::{SecondFactor, Text};
use mandatum::paperwork::documents::*;
use mandatum::paperwork::{Lang, docx};

/// D1: every fact of both parties, the clauses and the table.
#[test]
fn a_mandate_says_all_its_facts() {
    let sheet = pressed(Lang::Ru, |press| mandate().sheet(press));
    assert_said(
        &sheet,
        &[
            "Поручение № 5-П на обработку персональных данных",
            "ООО «Выдуманная Пекарня», ИНН 0000000000, ОГРН 0000000000000",
            "ИП Примеров Пример Примерович, ИНН 000000000000, ОГРНИП 000000000000000",
            "подписывает Тестов Т. Т., генеральный директор; основание полномочий: Устав",
            "Договор № 17/СММ от 01.02.2026, действует до 31.12.2026",
            "Субъекты данных: клиенты, подписчики аккаунтов.",
            "фамилия, имя, отчество; телефон; адрес электронной почты.",
            "не позднее 1 часа с момента обнаружения (контакт: Тестов Т. Т., +7 000 000-00-00; канал: электронная почта",
            "в течение 5 рабочих дней представляет",
            "действует с 02.02.2026 по 31.12.2026, но не дольше",
            "в течение 30 дней возвращает",
            "разрешил передавать данные: нет.",
            "№ Система Категории данных Уровень доступа Цель доступа Срок доступа Вид доступа",
            "CRM / amoCRM контакты, история заявок просмотр / редактирование обработка лидов и аналитика до 31.12.2026",
            "отчётность; проверка заявок",
            "с 01.03.2026 по 31.12.2026 токен бота",
            "/Тестов Т. Т./",
            "/Примеров П. П./",
        ],
    );
    assert!(sheet.unfilled.is_empty(), "{:?}", sheet.unfilled);
}

/// The header words by which an importer finds the table are each a cell of one row.
#[test]
fn an_importer_finds_the_access_table_by_its_header() {
    let sheet = pressed(Lang::Ru, |press| mandate().sheet(press));
    let xml = part(&docx(&sheet).unwrap(), "word/document.xml");
    let tables: Vec<&str> = xml.split("<w:tbl>").skip(1).collect();
    let rows = |table: &str| -> Vec<Vec<String>> {
        table.split("<w:tr>").skip(1).map(|row| row.split("<w:tc>").skip(1).map(words).collect()).collect()
    };
    let parties = rows(tables[0]);
    assert_eq!(parties.iter().map(|row| row[0].as_str()).collect::<Vec<_>>(), ["Оператор", "Исполнитель", "Основание"]);
    let access = rows(tables[1]);
    assert_eq!(
        access[0][1..6],
        ["Система", "Категории данных", "Уровень доступа", "Цель доступа", "Срок доступа"].map(String::from)
    );
    assert_eq!(access.len(), 4);
    assert!(access.iter().all(|row| row.len() == 7), "no cell is merged");
    assert!(tables[1].contains("<w:tblHeader />") && !tables[0].contains("tblHeader"), "heads repeat on each page");
    assert!(rows(tables[2])[0][0].starts_with("Оператор") && tables.len() == 3, "then the signatures, and no more");
}

#[test]
fn what_is_missing_prints_as_a_blank_and_is_listed() {
    let mut facts = mandate();
    facts.operator.address = Text::default();
    facts.until = None;
    facts.rows[1].until = None;
    facts.heading.number = Text::default();
    let sheet = pressed(Lang::Ru, |press| facts.sheet(press));
    assert_eq!(sheet.unfilled, ["номер", "адрес (Оператор)", "срок поручения", "срок доступа (Форма сайта)"]);
    assert_said(
        &sheet,
        &[
            "Поручение № ____ на",
            "просмотр отчётность; проверка заявок ____ гостевой доступ",
            "Незаполнено: номер; адрес (Оператор); срок поручения; срок доступа (Форма сайта)",
        ],
    );
}

#[test]
fn an_order_of_admission_is_for_two_or_more() {
    let sheet = pressed(Lang::Ru, |press| admission().sheet(press).unwrap());
    assert_said(
        &sheet,
        &[
            "Приказ № 3-ОД",
            "Образцова О. О. специалист ООО «Выдуманная Пекарня» CRM, Форма сайта просмотр / редактирование",
            "с 03.02.2026 по 31.12.2026",
            "Ответственный за исполнение приказа: Примеров П. П., руководитель.",
            "Лист ознакомления",
            "п. 1.2, 4.1 и 4.2 поручения",
        ],
    );
    let alone = AdmissionOrder { team: 1, ..admission() };
    let refusal = pressed(Lang::Ru, |press| alone.sheet(press).unwrap_err());
    assert!(matches!(&refusal, Refusal::NotNeeded(why) if why.contains("один человек")), "{refusal}");
}

#[test]
fn a_termination_act_says_every_item_and_three_separate_facts() {
    let sheet = pressed(Lang::Ru, |press| termination().sheet(press).unwrap());
    assert_said(
        &sheet,
        &[
            "Акт № 9 о прекращении обработки по поручению № 5-П от 02.02.2026, возврате",
            "Оператор: ООО «Выдуманная Пекарня»; адрес: г. Выдуманск, ул. Примерная, д. 1 [а]",
            "ИП Примеров Пример Примерович; адрес: г. Придуманск, пер. Образцовый, д. 2 [б]",
            "клиенты Оператора, оставившие заявки; 121 субъект; перечень у Оператора (прил. 1), SHA-256 1111",
            "[в]",
            "Уничтожение провели [г] специалист",
            "телефон, имя [д]",
            "распечатка отчёта, 3 листа [е]",
            "таблица отчётов (ИП Примеров П. П.) [ж]",
            "удаление средствами системы [з]",
            "прекращение договора № 17/СММ 31.12.2026 [и]",
            "10.01.2027 [к]",
            "отчёт за декабрь, 05.01.2027, на носителе, Тестов Т. Т.",
            "m***@example.test Тестов Т. Т. 31.12.2026 21:00 МСК (18:00 UTC) подтверждение: снимок экрана № 4",
            "секрет в хранилище уничтожен 01.01.2027 00:00 МСК (31.12.2026 21:00 UTC) запись № 41, эпоха 7",
            "Уничтожение секрета в хранилище не означает уничтожения данных",
            "По заявлению: Образцова О. О., специалист, 10.01.2027.",
            "копия-0712 07.12.2026 13:00 МСК (10:00 UTC) внешний диск, сейф 07.03.2027",
            "вместе с комплектом восстановления владельца ещё позволяют открыть уничтоженное",
            "недостающие сведения: журнал CRM хранится у Оператора",
            "42 записи, корневой хэш cdcd",
            "проверка пройдена 11.01.2027 11:45 МСК (08:45 UTC)",
            "Уровень гарантии: solo",
            "SHA-256 файла подписанного поручения: abab",
            "приказом Роскомнадзора от 28.10.2022 № 179",
        ],
    );
    assert_not_said(&sheet, &["данные уничтожены", "marketing@", "123-45-67"]);
}

/// Each item of the order, taken away alone, refuses the final act and is a blank of the draft.
#[test]
fn a_final_act_lacks_nothing() {
    type Remove = fn(&mut TerminationAct);
    let items: [(&str, Remove); 13] = [
        ("а)", |act| act.operator.name = Text::default()),
        ("б)", |act| act.processor.address = Text::default()),
        ("(в)", |act| act.subjects = Text::default()),
        ("(г)", |act| act.destroyers.clear()),
        ("(д)", |act| act.data.clear()),
        ("(е или ж)", |act| {
            act.media.clear();
            act.systems.clear();
        }),
        ("(з)", |act| act.method = Text::default()),
        ("(и)", |act| act.reason = Text::default()),
        ("(к)", |act| act.destroyed = None),
        ("заявление о копиях", |act| act.copies = CopiesOutside::NotDeclared),
        ("отзыв на площадке (CRM)", |act| act.accesses[0].platform = OnPlatform::Open),
        ("уничтожение секрета в хранилище (CRM)", |act| {
            act.accesses[0].vault = Vaulted::Open
        }),
        ("уничтожение секрета в хранилище (CRM)", |act| {
            act.accesses[0].vault = Vaulted::NoSecret
        }),
    ];
    for (item, remove) in items {
        let mut act = termination();
        remove(&mut act);
        let refusal = pressed(Lang::Ru, |press| act.sheet(press).expect_err(item));
        let Refusal::Incomplete(missing) = &refusal else { panic!("{item}: {refusal}") };
        assert!(missing.len() == 1 && missing[0].contains(item), "{item}: {missing:?}");
        let draft = TerminationAct { finality: Finality::Draft, ..act };
        let sheet = pressed(Lang::Ru, |press| draft.sheet(press).unwrap());
        assert_said(&sheet, &["____", "ПРОЕКТ", "Незаполнено:", item]);
    }
    // One of е and ж is enough.
    for remove in [(|act| act.media.clear()) as Remove, |act| act.systems.clear()] {
        let mut act = termination();
        remove(&mut act);
        assert!(pressed(Lang::Ru, |press| act.sheet(press)).is_ok());
    }
}

fn access_only() -> TerminationAct {
    TerminationAct {
        copies: CopiesOutside::Never {
            declared_by: person("Образцова О. О.", "специалист"),
            on: Some(d("10.01.2027")),
        },
        destroyed: None,
        destroyers: vec![],
        returned: vec![],
        media: vec![],
        systems: vec![],
        data: vec![],
        method: Text::default(),
        backups: vec![],
        ..termination()
    }
}

#[test]
fn without_copies_it_is_an_act_on_access_only() {
    let sheet = pressed(Lang::Ru, |press| access_only().sheet(press).unwrap());
    assert!(sheet.title.starts_with("Акт о прекращении доступа № 9"), "{}", sheet.title);
    assert_said(
        &sheet,
        &[
            "не является актом об уничтожении по приказу Роскомнадзора",
            "Копии не делались.",
            "По заявлению: Образцова О. О.",
        ],
    );
    assert_said(&sheet, &["3. Причина: прекращение договора № 17/СММ 31.12.2026"]);
    assert_said(&sheet, &["Резервных копий хранилища, из которых вместе с комплектом восстановления"]);
    assert_not_said(&sheet, &["Способ уничтожения", "[к]"]);
    let contradictory = TerminationAct { destroyed: Some(d("10.01.2027")), ..access_only() };
    let refusal = pressed(Lang::Ru, |press| contradictory.sheet(press).unwrap_err());
    assert!(matches!(refusal, Refusal::Inconsistent(_)), "{refusal}");
    let declaration = t("Одна выгрузка; удалена 10.01.2027.");
    let told =
        CopiesOutside::Told {
            declared_by: person("Образцова О. О.", ""), on: Some(d("10.01.2027")), declaration
        };
    let sheet = pressed(Lang::Ru, |press| TerminationAct { copies: told, ..termination() }.sheet(press).unwrap());
    assert!(sheet.title.starts_with("Акт № 9 о прекращении обработки"), "copies that were made are destroyed or not");
    assert_said(&sheet, &["Одна выгрузка; удалена 10.01.2027. По заявлению: Образцова О. О., 10.01.2027."]);
    let unsaid = CopiesOutside::Never { declared_by: Person::default(), on: None };
    let refusal =
        pressed(Lang::Ru, |press| TerminationAct { copies: unsaid, ..access_only() }.sheet(press).unwrap_err());
    assert!(refusal.to_string().contains("кто заявил о копиях; дата заявления"), "{refusal}");
}

#[test]
fn a_letter_confirms_and_says_what_backups_keep() {
    let sheet = pressed(Lang::Ru, |press| letter().sheet(press).unwrap());
    assert_said(
        &sheet,
        &[
            "по поручению № 5-П от 02.02.2026 к договору № 17/СММ от 01.02.2026 прекращена 31.12.2026.",
            "Доступы (2 системы)",
            "Имевшиеся копии возвращены Оператору 05.01.2027.",
            "уничтожены 10.01.2027, акт № 9 — по заявлению: Образцова О. О. ",
            "без комплекта восстановления владельца не открываются с 01.01.2027",
            "вместе с комплектом они открываются, пока существуют. Они исчезнут до 07.03.2027.",
            "Контакт: Примеров П. П., primerov@example.test",
            "акт № 9",
        ],
    );
    let never = Copies::Never { declared_by: person("Образцова О. О.", "") };
    let one = ConfirmationLetter { copies: vec![never.clone()], backups: None, ..letter() };
    let sheet = pressed(Lang::Ru, |press| one.sheet(press).unwrap());
    assert_said(
        &sheet,
        &["не создавались — по заявлению: Образцова О. О. ", "Резервных копий хранилища с зашифрованными"],
    );
    let both = ConfirmationLetter { copies: vec![never, Copies::Returned { date: d("05.01.2027") }], ..letter() };
    assert!(matches!(pressed(Lang::Ru, |press| both.sheet(press)), Err(Refusal::Inconsistent(_))));
}

#[test]
fn a_notice_goes_out_with_unknown_facts_and_its_clocks() {
    let sheet = pressed(Lang::Ru, |press| incident().sheet(press));
    assert_said(
        &sheet,
        &[
            "Первичное уведомление Оператора об инциденте № 1-И",
            "Канал: электронная почта",
            "Событие: утрата устройства",
            "Обнаружено: 10.01.2027 11:45 МСК (08:45 UTC)",
            "Предполагаемое начало: устанавливается",
            "Предполагаемый вред: устанавливается",
            "Предполагаемая причина: кража ноутбука",
            "10.01.2027 12:05 МСК (09:05 UTC) допуски сотрудника отозваны",
            "подтвердить смену пароля CRM",
            "24 часа с обнаружения: до 11.01.2027 11:45 МСК (08:45 UTC)",
            "72 часа с обнаружения: до 13.01.2027 11:45 МСК (08:45 UTC)",
            "если Оператор признает случай подпадающим под ч. 3.1 ст. 21",
            "CRM m***@example.test логин и пароль Образцова О. О. 09.01.2027 15:00 МСК (12:00 UTC)",
        ],
    );
    assert!(sheet.unfilled.is_empty(), "what is being established is not a blank: {:?}", sheet.unfilled);
    let european = IncidentNotice { clocks: Clocks { first_hours: None, full_hours: 72 }, ..incident() };
    let sheet = pressed(Lang::En, |press| european.sheet(press));
    assert_said(&sheet, &["72 hours from awareness: until 13.01.2027 11:45 MSK (08:45 UTC)", "Art. 33(1) GDPR"]);
    assert_not_said(&sheet, &["24 hours"]);
}

#[test]
fn an_extract_lists_counts_and_vouches_only_for_what_was_checked() {
    let sheet = pressed(Lang::Ru, |press| extract().sheet(press).unwrap());
    assert_said(
        &sheet,
        &[
            "Период: 01.12.2026 – 31.12.2026",
            "Время, МСК",
            "3 01.12.2026 11:45 Образцова О. О. специалист CRM выдача секрета обработка лидов и аналитика выполнено",
            "5 03.12.2026 01:30 Образцова О. О. специалист CRM выдача кода",
            "9 03.12.2026 09:00 Пробин П. П. специалист CRM выдача секрета обработка лидов и аналитика отказ NOT_GRANTED",
            "Образцова О. О. 2 записи 2 выдачи 0 отказов",
            "Пробин П. П. 1 запись 0 выдач 1 отказ",
            "размер дерева): 42 записи",
            "Корневой хэш: cdcd",
            "проверка пройдена 11.01.2027 11:45 МСК (08:45 UTC)",
            "Уровень гарантии: account",
            "Ни на одном уровне программа не доказывает",
        ],
    );
    let head = LogHead { verification: Verification::Failed(at(MADE)), ..head() };
    let failed = AccessLogExtract { head, ..extract() };
    let sheet = pressed(Lang::Ru, |press| failed.sheet(press).unwrap());
    assert_said(&sheet, &["ПРОВЕРКА НЕ ПРОЙДЕНА 11.01.2027 12:00 МСК"]);
    assert_not_said(&sheet, &["проверка пройдена"]);
}

#[test]
fn an_extract_can_hide_names_behind_personnel_ids() {
    let hidden = AccessLogExtract { people: People::PersonnelIds, ..extract() };
    let sheet = pressed(Lang::Ru, |press| hidden.sheet(press).unwrap());
    assert_said(&sheet, &["Т-017 специалист CRM", "Т-017 2 записи 2 выдачи", "Т-021 1 запись"]);
    assert_not_said(&sheet, &["Образцова", "Пробин"]);
}

#[test]
fn members_of_one_name_are_counted_apart() {
    let mut facts = extract();
    facts.entries[2].member = facts.entries[0].member.clone();
    let sheet = pressed(Lang::Ru, |press| facts.sheet(press).unwrap());
    assert_said(&sheet, &["Образцова О. О. 2 записи 2 выдачи 0 отказов Образцова О. О. 1 запись 0 выдач 1 отказ"]);
}

#[test]
fn an_extract_refuses_records_that_are_not_in_their_place() {
    let mut beyond = extract();
    beyond.entries[2].number = 42;
    let mut twice = extract();
    twice.entries[1].number = 3;
    for (facts, number) in [(beyond, "42"), (twice, "3")] {
        let refusal = pressed(Lang::Ru, |press| facts.sheet(press).unwrap_err());
        assert!(refusal.to_string().contains(&format!("запись № {number} не на своём месте")), "{refusal}");
    }
}

#[test]
fn a_review_sheet_says_facts_and_decisions() {
    let sheet = pressed(Lang::Ru, |press| review().sheet(press));
    assert_said(
        &sheet,
        &[
            "Пересмотреть до: 15.01.2027",
            "CRM логин и пароль просмотр / редактирование полный доступ 31.12.2026 Образцова О. О.",
            "30.12.2026 10:00 МСК (07:00 UTC) 22 выдачи включён, ключ у хранителя 31 день",
            "фактический уровень шире поручения сузить 20.01.2027 Тестов Т. Т.",
        ],
    );
}

#[test]
fn a_revocation_list_names_who_saw_and_invents_no_step() {
    let sheet = pressed(Lang::Ru, |press| revocation().sheet(press));
    assert_said(
        &sheet,
        &[
            "Повод: прекращение поручения",
            "Чат-бот @v*** токен бота Образцова О. О. 1. открыть BotFather 2. команда /revoke Тестов Т. Т. 02.01.2027 снимок экрана № 5",
            "f***@example.test гостевой доступ секрета нет уточнить на площадке",
        ],
    );
    assert_not_said(&sheet, &["vydumannaya", "forms@"]);
}

#[test]
fn a_package_lists_its_files_with_their_digests() {
    let sheet = pressed(Lang::Ru, |press| package().sheet(press));
    let half = |byte: &str| byte.repeat(16);
    assert_said(
        &sheet,
        &[
            "На запрос № 77 от 08.01.2027",
            "в течение 5 рабочих дней",
            &format!("1 Поручение poruchenie.docx {} {}", half("21"), half("21")),
            &format!("2 Отчёт о мерах защиты mery.docx {} {}", half("22"), half("22")),
            "Третьи лица: не привлекались",
            "3 года с даты уничтожения",
            "Уровень гарантии: host",
            "42 записи, корневой хэш",
        ],
    );
}

#[test]
fn the_safeguards_report_adds_up_by_itself() {
    let sheet = pressed(Lang::Ru, |press| safeguards().sheet(press));
    assert_said(
        &sheet,
        &[
            "включён, ключ у хранителя 1 включён, код получает названное лицо 1 площадка не даёт 1 не выяснено 2 Всего 5",
            "1 + 1 + 1 + 2 = 5 доступов.",
            "CRM m***@example.test логин и пароль включён, ключ у хранителя случайный 31 день —",
            "слабый 365 дней секрет недостаточно стойкий; секрет давно не менялся",
            "площадка не даёт (у токена его нет, 10.02.2026) стойкий 11 дней",
            "CRM есть право выгрузки, в поручении его нет",
            "Примеров П. П. владелец, руководитель не соблюдено: несколько ролей",
            "Образцова О. О. специалист соблюдено",
            "Просроченные пересмотры Система Срок пересмотра CRM 31.12.2026 Стойкость оценена",
        ],
    );
    // One more credential, and every sum follows.
    let mut more = safeguards();
    let extra = SafeguardItem { second_factor: SecondFactor::On, ..more.items[0].clone() };
    more.items.push(extra);
    let sheet = pressed(Lang::Ru, |press| more.sheet(press));
    assert_said(&sheet, &["2 + 1 + 1 + 2 = 6 доступов."]);
}
