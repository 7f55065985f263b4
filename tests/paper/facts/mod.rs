//! Invented facts, one set for every document, and the text of a finished file.

#![allow(dead_code, unused_imports, reason = "each test file uses its own part")]

mod ending;
mod reading;

pub use ending::*;
pub use reading::*;

use mandatum::model::{
    Date, Deny, Digest, IncidentKind, Instant, Kind, Level, Name, Role, SecondFactor, Strength, Text, Verb, Zone,
};
use mandatum::paperwork::documents::*;
use mandatum::paperwork::{Lang, Sheet, Wording};
use std::collections::BTreeSet;

pub fn t(text: &str) -> Text {
    Text::parse(text).unwrap()
}

pub fn d(date: &str) -> Date {
    date.parse().unwrap()
}

pub fn at(iso: &str) -> Instant {
    Instant(iso.parse::<jiff::Timestamp>().unwrap().as_millisecond())
}

pub const MADE: &str = "2027-01-11T09:00:00Z";

/// Runs with a press of a language.
pub fn pressed<R>(lang: Lang, run: impl FnOnce(&Press<'_>) -> R) -> R {
    let (wording, zone) = (Wording::built_in().unwrap(), Zone::parse("Europe/Moscow").unwrap());
    run(&Press { lang, wording: &wording, zone: &zone, made: at(MADE) })
}

pub fn heading(number: &str) -> Heading {
    Heading {
        number: t(number),
        date: Some(d("11.01.2027")),
        place: t("г. Выдуманск"),
        source: Some(Digest([0xab; 32])),
    }
}

pub fn operator() -> Party {
    Party {
        name: t("ООО «Выдуманная Пекарня»"),
        tax_number: t("0000000000"),
        register_number: t("0000000000000"),
        address: t("г. Выдуманск, ул. Примерная, д. 1"),
        representative: t("Тестов Т. Т."),
        position: t("генеральный директор"),
        authority: t("Устав"),
    }
}

pub fn processor() -> Party {
    Party {
        name: t("ИП Примеров Пример Примерович"),
        tax_number: t("000000000000"),
        register_number: t("000000000000000"),
        address: t("г. Придуманск, пер. Образцовый, д. 2"),
        representative: t("Примеров П. П."),
        position: Text::default(),
        authority: t("свидетельство ИП"),
    }
}

pub fn basis() -> Basis {
    Basis {
        mandate: t("5-П"),
        mandate_date: Some(d("02.02.2026")),
        contract: t("17/СММ"),
        contract_date: Some(d("01.02.2026")),
        contract_until: Some(d("31.12.2026")),
    }
}

pub fn person(name: &str, position: &str) -> Person {
    Person { name: t(name), position: t(position) }
}

pub fn mandate() -> Mandate {
    let row =
        |system: &str, platform: &str, data: &[&str], levels: &[Level], purpose: &[&str], from: Option<&str>, kind| {
            AccessRow {
                system: Name::parse(system).unwrap(),
                platform: t(platform),
                data: data.iter().map(|x| t(x)).collect(),
                levels: levels.iter().copied().collect(),
                purposes: purpose.iter().map(|x| t(x)).collect(),
                from: from.map(d),
                until: Some(d("31.12.2026")),
                kinds: BTreeSet::from([kind]),
                responsible: Text::default(),
            }
        };
    Mandate {
        heading: Heading { source: None, ..heading("5-П") },
        operator: operator(),
        processor: processor(),
        basis: basis(),
        subjects: vec![t("клиенты"), t("подписчики аккаунтов")],
        data: vec![t("фамилия, имя, отчество"), t("телефон"), t("адрес электронной почты")],
        actions: vec![t("сбор"), t("запись"), t("хранение"), t("извлечение")],
        purposes: vec![t("приём и обработка заявок"), t("ведение CRM")],
        measures: vec![],
        protection: t("УЗ-4"),
        incident_contact: t("Тестов Т. Т., +7 000 000-00-00"),
        incident_channel: t("электронная почта и телефон"),
        incident_hours: 1,
        answer_days: 5,
        from: Some(d("02.02.2026")),
        until: Some(d("31.12.2026")),
        return_days: 30,
        third_parties: vec![],
        rows: vec![
            row(
                "CRM",
                "amoCRM",
                &["контакты", "история заявок"],
                &[Level::View, Level::Edit],
                &["обработка лидов и аналитика"],
                None,
                Kind::Login,
            ),
            row(
                "Форма сайта",
                "",
                &["имя", "телефон", "e-mail"],
                &[Level::View],
                &["отчётность", "проверка заявок"],
                None,
                Kind::Delegated,
            ),
            row(
                "Чат-бот",
                "",
                &["никнейм", "сообщения"],
                &[Level::View, Level::Reply],
                &["коммуникация"],
                Some("01.03.2026"),
                Kind::BotToken,
            ),
        ],
    }
}

pub fn admission() -> AdmissionOrder {
    AdmissionOrder {
        heading: heading("3-ОД"),
        processor: processor(),
        operator: operator(),
        basis: basis(),
        responsible: person("Примеров П. П.", "руководитель"),
        team: 2,
        admitted: vec![Admitted {
            person: person("Образцова О. О.", "специалист"),
            systems: vec![t("CRM"), t("Форма сайта")],
            levels: BTreeSet::from([Level::View, Level::Edit]),
            from: Some(d("03.02.2026")),
            until: Some(d("31.12.2026")),
        }],
    }
}

pub fn head() -> LogHead {
    LogHead {
        tree_size: 42,
        root: Digest([0xcd; 32]),
        verification: Verification::Verified(at("2027-01-11T08:45:00Z")),
    }
}

pub fn incident() -> IncidentNotice {
    IncidentNotice {
        heading: heading("1-И"),
        stage: Stage::Initial,
        operator: operator(),
        processor: processor(),
        basis: basis(),
        channel: t("электронная почта"),
        kind: IncidentKind::DeviceLost,
        detected: at("2027-01-10T08:45:00Z"),
        began: None,
        systems: vec![t("CRM")],
        data: vec![t("контакты")],
        extent: Text::default(),
        cause: t("кража ноутбука"),
        harm: Text::default(),
        measures: vec![Measure {
            at: at("2027-01-10T09:05:00Z"), what: t("допуски сотрудника отозваны")
        }],
        instructions: vec![t("подтвердить смену пароля CRM")],
        contact: person("Примеров П. П.", "руководитель"),
        contact_channel: t("+7 000 000-00-00"),
        clocks: Clocks { first_hours: Some(24), full_hours: 72 },
        exposed: vec![Exposed {
            system: t("CRM"),
            account: t("marketing@example.test"),
            kind: Kind::Login,
            member: t("Образцова О. О."),
            at: at("2027-01-09T12:00:00Z"),
        }],
    }
}

pub fn extract() -> AccessLogExtract {
    let entry = |number, iso: &str, member: &str, id: &str, action, outcome| LogEntry {
        number,
        at: at(iso),
        member: t(member),
        personnel_id: t(id),
        role: Some(Role::Specialist),
        system: t("CRM"),
        action,
        purpose: t("обработка лидов и аналитика"),
        outcome,
    };
    AccessLogExtract {
        heading: heading("2-В"),
        operator: operator(),
        basis: basis(),
        from: Some(d("01.12.2026")),
        until: Some(d("31.12.2026")),
        selection: Text::default(),
        entries: vec![
            entry(3, "2026-12-01T08:45:00Z", "Образцова О. О.", "Т-017", Verb::Fetch, Outcome::Done),
            entry(5, "2026-12-02T22:30:00Z", "Образцова О. О.", "Т-017", Verb::Code, Outcome::Done),
            entry(9, "2026-12-03T06:00:00Z", "Пробин П. П.", "Т-021", Verb::Fetch, Outcome::Denied(Deny::NotGranted)),
        ],
        people: People::Names,
        head: head(),
        made_by: person("Примеров П. П.", "руководитель"),
        assurance: Assurance::Account,
    }
}

pub fn review() -> ReviewSheet {
    ReviewSheet {
        heading: heading("4-П"),
        operator: operator(),
        basis: basis(),
        from: Some(d("01.10.2026")),
        until: Some(d("31.12.2026")),
        due: Some(d("15.01.2027")),
        reviewer: person("Примеров П. П.", "руководитель"),
        items: vec![ReviewItem {
            system: t("CRM"),
            kind: Kind::Login,
            levels: BTreeSet::from([Level::View, Level::Edit]),
            actual: t("полный доступ"),
            until: Some(d("31.12.2026")),
            assigned: vec![t("Образцова О. О.")],
            last_retrieval: Some(at("2026-12-30T07:00:00Z")),
            retrievals: 22,
            second_factor: SecondFactor::On,
            secret_since: Some(at("2026-12-11T09:00:00Z")),
            findings: vec![t("фактический уровень шире поручения")],
            decision: Some(Decision::Narrow),
            act_by: Some(d("20.01.2027")),
            actor: t("Тестов Т. Т."),
        }],
    }
}

pub fn revocation() -> RevocationList {
    RevocationList {
        heading: heading("6-О"),
        operator: operator(),
        processor: processor(),
        basis: basis(),
        reason: t("прекращение поручения"),
        items: vec![
            RevocationItem {
                system: t("Чат-бот"),
                account: t("@vydumannaya_bot"),
                kind: Kind::BotToken,
                seen_by: vec![t("Образцова О. О.")],
                steps: vec![t("открыть BotFather"), t("команда /revoke")],
                actor: t("Тестов Т. Т."),
                done: Some(d("02.01.2027")),
                proof: t("снимок экрана № 5"),
            },
            RevocationItem {
                system: t("Форма сайта"),
                account: t("forms@example.test"),
                kind: Kind::Delegated,
                seen_by: vec![],
                steps: vec![],
                actor: t("Тестов Т. Т."),
                done: None,
                proof: Text::default(),
            },
        ],
    }
}

pub fn package() -> ProofPackage {
    ProofPackage {
        heading: heading("13-исх"),
        operator: operator(),
        processor: processor(),
        basis: basis(),
        request: t("77"),
        request_date: Some(d("08.01.2027")),
        answer_days: 5,
        enclosures: vec![
            Enclosure { title: t("Поручение"), file: t("poruchenie.docx"), sha256: Digest([0x21; 32]) },
            Enclosure {
                title: t("Отчёт о мерах защиты"), file: t("mery.docx"), sha256: Digest([0x22; 32])
            },
        ],
        third_parties: vec![],
        retention: t("3 года с даты уничтожения, затем уничтожаются с записью"),
        log: Some(head()),
        assurance: Assurance::Host,
    }
}

pub fn safeguards() -> Safeguards {
    let item =
        |system: &str, account: &str, second_factor, strength: Option<Strength>, since: Option<&str>| SafeguardItem {
            system: t(system),
            account: t(account),
            kind: if strength.is_some() { Kind::Login } else { Kind::Delegated },
            second_factor,
            strength,
            since: since.map(at),
            accepted_because: Text::default(),
        };
    Safeguards {
        heading: heading("7-М"),
        operator: operator(),
        basis: basis(),
        items: vec![
            item(
                "CRM",
                "marketing@example.test",
                SecondFactor::On,
                Some(Strength::Random),
                Some("2026-12-11T09:00:00Z"),
            ),
            item(
                "Рассылка",
                "news@example.test",
                SecondFactor::Elsewhere { holder: t("Тестов Т. Т.") },
                Some(Strength::Weak),
                Some("2026-01-11T09:00:00Z"),
            ),
            item(
                "Чат-бот",
                "bot",
                SecondFactor::NotPossible {
                    reason: t("у токена его нет"), at: at("2026-02-10T09:00:00Z")
                },
                Some(Strength::Strong),
                Some("2026-12-31T09:00:00Z"),
            ),
            item("Форма сайта", "", SecondFactor::Unknown, None, None),
            item("Аналитика", "", SecondFactor::Unknown, None, None),
        ],
        old_after_days: 180,
        wider: vec![Wider {
            system: t("CRM"), what: t("есть право выгрузки, в поручении его нет")
        }],
        members: vec![
            MemberRoles { name: t("Примеров П. П."), roles: BTreeSet::from([Role::Owner, Role::Lead]) },
            MemberRoles { name: t("Образцова О. О."), roles: BTreeSet::from([Role::Specialist]) },
        ],
        reviews: vec![
            ReviewDue { system: t("CRM"), due: d("31.12.2026"), done: None },
            ReviewDue { system: t("Рассылка"), due: d("30.12.2026"), done: Some(d("29.12.2026")) },
            ReviewDue { system: t("Чат-бот"), due: d("11.01.2027"), done: None },
        ],
        made_by: person("Примеров П. П.", "руководитель"),
    }
}

/// A report whose tables run over pages, with words no column can hold.
pub fn long_report() -> Sheet {
    let mut facts = safeguards();
    let item = facts.items[0].clone();
    let long = t(&"оченьдлинноеслово".repeat(3));
    facts.items = (0..90).map(|_| SafeguardItem { system: long.clone(), ..item.clone() }).collect();
    pressed(Lang::Ru, |press| facts.sheet(press))
}

/// Every document of the set.
pub fn all(lang: Lang) -> Vec<(&'static str, Sheet)> {
    pressed(lang, |press| {
        vec![
            ("mandate", mandate().sheet(press)),
            ("admission", admission().sheet(press).unwrap()),
            ("termination", termination().sheet(press).unwrap()),
            ("letter", letter().sheet(press).unwrap()),
            ("incident", incident().sheet(press)),
            ("extract", extract().sheet(press).unwrap()),
            ("review", review().sheet(press)),
            ("revocation", revocation().sheet(press)),
            ("package", package().sheet(press)),
            ("safeguards", safeguards().sheet(press)),
        ]
    })
}
