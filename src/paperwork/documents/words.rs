//! How facts are put into words: dates, times, counts, levels, kinds, roles and masked accounts.

use crate::model::{Date, Instant, Kind, Level, Role, SecondFactor, Strength, Verb, Zone};
use crate::paperwork::lang::Lang;
use crate::paperwork::sheet::BLANK;

/// Milliseconds of a day.
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// How Russian documents call the zones of the country, and what English ones write.
const ZONES: [(&str, &str, &str); 14] = [
    ("UTC", "UTC", "UTC"),
    ("Europe/Kaliningrad", "МСК−1", "MSK−1"),
    ("Europe/Moscow", "МСК", "MSK"),
    ("Europe/Samara", "МСК+1", "MSK+1"),
    ("Asia/Yekaterinburg", "МСК+2", "MSK+2"),
    ("Asia/Omsk", "МСК+3", "MSK+3"),
    ("Asia/Krasnoyarsk", "МСК+4", "MSK+4"),
    ("Asia/Novosibirsk", "МСК+4", "MSK+4"),
    ("Asia/Tomsk", "МСК+4", "MSK+4"),
    ("Asia/Irkutsk", "МСК+5", "MSK+5"),
    ("Asia/Yakutsk", "МСК+6", "MSK+6"),
    ("Asia/Vladivostok", "МСК+7", "MSK+7"),
    ("Asia/Magadan", "МСК+8", "MSK+8"),
    ("Asia/Kamchatka", "МСК+9", "MSK+9"),
];

/// A date as documents print it: `31.12.2026`.
pub fn day(date: Date) -> String {
    day_of(&date.to_string())
}

fn day_of(iso: &str) -> String {
    let mut parts: Vec<&str> = iso.split('-').collect();
    parts.reverse();
    parts.join(".")
}

/// Date and time with the zone, and the same in UTC: `01.03.2026 11:45 МСК (08:45 UTC)`.
pub fn moment(lang: Lang, at: Instant, zone: &Zone) -> String {
    let (here, utc) = (zone.show(at), Zone::utc().show(at));
    let (Some((day, time)), Some((utc_day, utc_time))) = (here.split_once(' '), utc.split_once(' ')) else {
        return BLANK.to_owned();
    };
    let (day, utc_date) = (day_of(day), day_of(utc_day));
    let local = format!("{day} {time} {}", zone_word(lang, zone));
    match (zone.as_str(), day == utc_date) {
        ("UTC", _) => local,
        (_, true) => format!("{local} ({utc_time} UTC)"),
        (_, false) => format!("{local} ({utc_date} {utc_time} UTC)"),
    }
}

/// Date and time there, for a column whose head names the zone.
pub fn local(at: Instant, zone: &Zone) -> String {
    let here = zone.show(at);
    here.split_once(' ').map_or_else(|| BLANK.to_owned(), |(day, time)| format!("{} {time}", day_of(day)))
}

/// What a zone is called in a document.
pub fn zone_word(lang: Lang, zone: &Zone) -> &str {
    let known = ZONES.iter().find(|(name, _, _)| *name == zone.as_str());
    known.map_or(zone.as_str(), |(_, ru, en)| lang.pick(ru, en))
}

/// Whole days from one instant to a later one.
pub fn days_between(from: Instant, until: Instant) -> u64 {
    u64::try_from(until.since(from) / DAY_MS).unwrap_or(0)
}

/// A thing that is counted: the Russian forms for 1, 2 and 5, the English for 1 and 2.
pub struct Noun(&'static str, &'static str, &'static str, &'static str, &'static str);

/// запись
pub const RECORD: Noun = Noun("запись", "записи", "записей", "record", "records");
/// день
pub const DAY: Noun = Noun("день", "дня", "дней", "day", "days");
/// доступ
pub const ACCESS: Noun = Noun("доступ", "доступа", "доступов", "credential", "credentials");
/// система
pub const SYSTEM: Noun = Noun("система", "системы", "систем", "system", "systems");
/// выдача
pub const RETRIEVAL: Noun = Noun("выдача", "выдачи", "выдач", "retrieval", "retrievals");
/// отказ
pub const DENIAL: Noun = Noun("отказ", "отказа", "отказов", "denial", "denials");
/// субъект
pub const SUBJECT: Noun = Noun("субъект", "субъекта", "субъектов", "data subject", "data subjects");
/// лист
pub const LEAF: Noun = Noun("лист", "листа", "листов", "sheet", "sheets");
/// час
pub const HOUR: Noun = Noun("час", "часа", "часов", "hour", "hours");
/// день в родительном падеже: «в течение 1 дня», «в течение 5 дней»
pub const WITHIN_DAYS: Noun = Noun("дня", "дней", "дней", "day", "days");
/// рабочий день в родительном падеже
pub const WITHIN_WORKING_DAYS: Noun =
    Noun("рабочего дня", "рабочих дней", "рабочих дней", "working day", "working days");
/// час в родительном падеже: «не позднее 1 часа», «не позднее 24 часов»
pub const WITHIN_HOURS: Noun = Noun("часа", "часов", "часов", "hour", "hours");

/// A number with its noun in the right form: «1 запись, 2 записи, 5 записей».
pub fn count(lang: Lang, n: u64, noun: &Noun) -> String {
    let word = match (lang, n % 10, n % 100) {
        (Lang::En, ..) if n == 1 => noun.3,
        (Lang::En, ..) => noun.4,
        (Lang::Ru, _, 11..=14) => noun.2,
        (Lang::Ru, 1, _) => noun.0,
        (Lang::Ru, 2..=4, _) => noun.1,
        (Lang::Ru, ..) => noun.2,
    };
    format!("{n} {word}")
}

/// An account that a reader recognises who knows it, and nobody else: `m***@example.test`.
///
/// At most a first character, a domain, and of a telephone number the first and the last two digits are kept.
pub fn mask_account(account: &str) -> String {
    let account = account.trim();
    let first = |text: &str, least: usize| -> String {
        let shown = if text.chars().count() >= least { text.chars().next() } else { None };
        shown.into_iter().chain("***".chars()).collect()
    };
    if account.is_empty() {
        return String::new();
    }
    if let Some(nick) = account.strip_prefix('@') {
        return format!("@{}", first(nick, 3));
    }
    if let Some((name, domain)) = account.rsplit_once('@') {
        return format!("{}@{domain}", first(name, 2));
    }
    mask_phone(account).unwrap_or_else(|| first(account, 3))
}

fn mask_phone(account: &str) -> Option<String> {
    let digits: Vec<char> = account.chars().filter(char::is_ascii_digit).collect();
    let is_phone = account.chars().all(|c| c.is_ascii_digit() || "+-() \u{A0}".contains(c));
    let [first, .., before_last, last] = digits.as_slice() else { return None };
    let plus = if account.starts_with('+') { "+" } else { "" };
    (is_phone && digits.len() >= 7).then(|| format!("{plus}{first}***{before_last}{last}"))
}

/// A level in the words of the access table.
pub fn level(lang: Lang, level: Level) -> &'static str {
    let ru = match level {
        Level::View => "просмотр",
        Level::Reply => "ответы",
        Level::Edit => "редактирование",
        Level::Moderate => "модерация",
        Level::Publish => "публикация",
        Level::Analytics => "аналитика",
        Level::Configure => "настройка",
        Level::Export => "выгрузка",
        Level::Delete => "удаление",
        Level::Admin => "полный доступ",
    };
    lang.pick(ru, level.name())
}

/// Levels as a cell of the access table lists them.
pub fn levels<'l>(lang: Lang, all: impl IntoIterator<Item = &'l Level>) -> String {
    let words: Vec<&str> = all.into_iter().map(|&one| level(lang, one)).collect();
    words.join(" / ")
}

/// A kind of credential.
pub fn kind(lang: Lang, kind: Kind) -> &'static str {
    match kind {
        Kind::Login => lang.pick("логин и пароль", "login and password"),
        Kind::ApiKey => lang.pick("ключ API", "API key"),
        Kind::BotToken => lang.pick("токен бота", "bot token"),
        Kind::Webhook => lang.pick("адрес вебхука", "webhook address"),
        Kind::OauthToken => lang.pick("токен OAuth", "OAuth token"),
        Kind::RecoveryCodes => lang.pick("коды восстановления", "recovery codes"),
        Kind::Note => lang.pick("иной секрет", "other secret"),
        Kind::Delegated => lang.pick("гостевой доступ", "delegated access"),
    }
}

/// A role.
pub fn role(lang: Lang, role: Role) -> &'static str {
    match role {
        Role::Owner => lang.pick("владелец", "owner"),
        Role::Lead => lang.pick("руководитель", "lead"),
        Role::Specialist => lang.pick("специалист", "specialist"),
        Role::Auditor => lang.pick("проверяющий", "auditor"),
        Role::External => lang.pick("внешний участник", "external"),
    }
}

/// The state of a second factor, with who and why.
pub fn second_factor(lang: Lang, factor: &SecondFactor, zone: &Zone) -> String {
    match factor {
        SecondFactor::On => lang.pick("включён, ключ у хранителя", "on, seed held by the broker").to_owned(),
        SecondFactor::Elsewhere { holder } => {
            format!("{} {holder}", lang.pick("включён, код получает:", "on, the code goes to:"))
        }
        SecondFactor::NotPossible { reason, at } => {
            let found = zone.date_of(*at).map_or_else(String::new, |date| format!(", {}", day(date)));
            format!("{} ({reason}{found})", lang.pick("площадка не даёт", "not offered by the platform"))
        }
        SecondFactor::Unknown => lang.pick("не выяснено", "not known").to_owned(),
    }
}

/// How hard a secret is to guess.
pub fn strength(lang: Lang, strength: Strength) -> &'static str {
    match strength {
        Strength::Random => lang.pick("случайный", "random"),
        Strength::Strong => lang.pick("стойкий", "strong"),
        Strength::Fair => lang.pick("средний", "fair"),
        Strength::Weak => lang.pick("слабый", "weak"),
    }
}

/// A verb as the column «Действие» names it; one without a Russian word yet shows its own name.
pub fn verb(lang: Lang, verb: Verb) -> &'static str {
    let known = VERBS.iter().find(|(name, _)| *name == verb.name());
    known.map_or(verb.name(), |(name, ru)| lang.pick(ru, name))
}

const VERBS: [(&str, &str); 57] = [
    ("unlock", "начало сеанса"),
    ("lock", "конец сеанса"),
    ("step_up", "повторный второй фактор"),
    ("member_add", "приём сотрудника"),
    ("member_list", "список сотрудников"),
    ("member_role", "смена роли"),
    ("member_suspend", "приостановка сотрудника"),
    ("member_resume", "возобновление сотрудника"),
    ("member_factor", "новый второй фактор"),
    ("member_remove", "исключение сотрудника"),
    ("member_invite", "приглашение"),
    ("member_pending", "список приглашений"),
    ("member_confirm", "подтверждение ключей"),
    ("member_reject", "отклонение ключей"),
    ("device_list", "список устройств"),
    ("device_remove", "удаление устройства"),
    ("mandate_open", "открытие поручения"),
    ("mandate_list", "список поручений"),
    ("mandate_show", "просмотр поручения"),
    ("mandate_amend", "изменение таблицы доступа"),
    ("mandate_end", "прекращение поручения"),
    ("mandate_settle", "урегулирование доступа"),
    ("mandate_close", "закрытие поручения"),
    ("credential_add", "сохранение доступа"),
    ("credential_rotate", "смена секрета"),
    ("credential_list", "список доступов"),
    ("locate", "поиск доступа"),
    ("reuse", "проверка повтора секрета"),
    ("recipients", "запрос получателей"),
    ("grant", "допуск"),
    ("wrap_share", "передача на своё устройство"),
    ("revoke", "отзыв"),
    ("fetch", "выдача секрета"),
    ("code", "выдача кода"),
    ("log", "чтение журнала"),
    ("extract", "выписка"),
    ("checkpoint", "контрольная точка"),
    ("exposure", "перечень раскрытого"),
    ("verify", "проверка хранилища"),
    ("sweep", "уничтожение ключей по сроку"),
    ("due", "перечень истекающего"),
    ("status", "обзор"),
    ("backup", "резервная копия"),
    ("confirm_clock", "подтверждение часов"),
    ("mandate_import", "черновик поручения"),
    ("mandate_answer", "ответ на вопрос по черновику"),
    ("mandate_activate", "введение поручения в действие"),
    ("mandate_permit", "разрешение третьему лицу"),
    ("mandate_evidence", "подтверждение к закрытию"),
    ("request", "запрос доступа"),
    ("deny", "отказ в доступе"),
    ("review", "пересмотр доступов"),
    ("rotation_ask", "просьба сменить секрет"),
    ("incident_open", "открытие инцидента"),
    ("incident_note", "дополнение инцидента"),
    ("incident_close", "закрытие инцидента"),
    ("incident_list", "список инцидентов"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn russian_counts_agree() {
        let said = |n| count(Lang::Ru, n, &RECORD);
        let words = [1, 2, 5, 11, 14, 21, 22, 100, 111, 0].map(said).join(", ");
        assert_eq!(
            words,
            "1 запись, 2 записи, 5 записей, 11 записей, 14 записей, 21 запись, 22 записи, 100 записей, 111 записей, \
             0 записей"
        );
        assert_eq!(count(Lang::Ru, 1, &WITHIN_HOURS), "1 часа");
        assert_eq!(count(Lang::Ru, 24, &WITHIN_HOURS), "24 часов");
        assert_eq!(count(Lang::En, 1, &RECORD), "1 record");
        assert_eq!(count(Lang::En, 21, &RECORD), "21 records");
    }

    #[test]
    fn accounts_are_masked() {
        for (account, masked) in [
            ("mail@example.test", "m***@example.test"),
            ("m@example.test", "***@example.test"),
            ("+7 900 123-45-67", "+7***67"),
            ("89001234567", "8***67"),
            ("ab", "***"),
            ("ы", "***"),
            ("login", "l***"),
            ("@vydumannaya", "@v***"),
            ("12345", "1***"),
            ("a@b@example.test", "a***@example.test"),
            ("", ""),
            ("  ", ""),
        ] {
            assert_eq!(mask_account(account), masked, "{account}");
        }
    }

    #[test]
    fn times_are_local_and_utc() {
        let at = |iso: &str| Instant(iso.parse::<jiff::Timestamp>().unwrap().as_millisecond());
        let moscow = Zone::parse("Europe/Moscow").unwrap();
        let said = |text| moment(Lang::Ru, at(text), &moscow);
        assert_eq!(said("2026-03-01T08:45:00Z"), "01.03.2026 11:45 МСК (08:45 UTC)");
        assert_eq!(said("2026-02-28T22:30:00Z"), "01.03.2026 01:30 МСК (28.02.2026 22:30 UTC)");
        let berlin = Zone::parse("Europe/Berlin").unwrap();
        assert_eq!(moment(Lang::En, at("2026-07-01T08:00:00Z"), &berlin), "01.07.2026 10:00 Europe/Berlin (08:00 UTC)");
        assert_eq!(moment(Lang::En, at("2026-07-01T08:00:00Z"), &Zone::utc()), "01.07.2026 08:00 UTC");
        assert_eq!(moment(Lang::Ru, Instant::MAX, &moscow), BLANK, "what does not end has no date");
    }

    #[test]
    fn a_level_is_printed_in_words_an_importer_reads_back() {
        for word in
            ["view", "reply", "edit", "moderate", "publish", "analytics", "configure", "export", "delete", "admin"]
        {
            let one = Level::parse(word).unwrap();
            assert_eq!(Level::parse(level(Lang::Ru, one)), Some(one));
            assert_eq!(Level::parse(level(Lang::En, one)), Some(one));
        }
    }

    #[test]
    fn every_verb_has_its_russian_word() {
        for &one in Verb::ALL {
            assert_ne!(verb(Lang::Ru, one), one.name(), "write what '{one}' is called in documents");
        }
        let words: std::collections::BTreeSet<&str> = VERBS.iter().map(|(_, ru)| *ru).collect();
        assert_eq!(words.len(), VERBS.len(), "two verbs must not read alike");
    }
}
