//! The sample mandate that the demo begins with: printed by this program, and read back by it.

use crate::facts::{d, t};
use mandatum::model::{Instant, Jurisdiction, Kind, Level, Name, Zone};
use mandatum::paperwork::catalogue::Catalogue;
use mandatum::paperwork::documents::{AccessRow, Basis, Heading, Mandate, Party, Press};
use mandatum::paperwork::law::Law;
use mandatum::paperwork::read::{Origin, Outcome, Status, read};
use mandatum::paperwork::{Lang, Wording, docx};
use std::collections::BTreeSet;
use std::path::Path;

fn row(system: &str, platform: &str, data: &[&str], levels: &[Level], purpose: &str, kind: Kind) -> AccessRow {
    AccessRow {
        system: Name::parse(system).unwrap(),
        platform: t(platform),
        data: data.iter().map(|word| t(word)).collect(),
        levels: levels.iter().copied().collect(),
        purposes: vec![t(purpose)],
        from: None,
        until: Some(d("2026-12-31")),
        kinds: BTreeSet::from([kind]),
        responsible: t(""),
    }
}

fn sample() -> Mandate {
    let party = |name: &str, address: &str, signer: &str, position: &str, authority: &str| Party {
        name: t(name),
        address: t(address),
        representative: t(signer),
        position: t(position),
        authority: t(authority),
        ..Party::default()
    };
    Mandate {
        heading: Heading {
            number: t("17/2026-П"), date: Some(d("2026-01-15")), place: t("г. Москва"), source: None
        },
        operator: party("ООО «Ромашка»", "г. Москва, ул. Выдуманная, д. 1", "Тестов Т. Т.", "директор", "Устав"),
        processor: party(
            "ООО «Агентство Пример»",
            "г. Москва, ул. Примерная, д. 2",
            "Примерова О. О.",
            "директор",
            "Устав",
        ),
        basis: Basis {
            mandate: t("17/2026-П"),
            mandate_date: Some(d("2026-01-15")),
            contract: t("17/2026"),
            contract_date: Some(d("2026-01-15")),
            contract_until: Some(d("2026-12-31")),
        },
        subjects: vec![t("клиенты Оператора"), t("посетители сайта")],
        data: ["имя", "телефон", "e-mail", "никнейм", "история коммуникаций", "сведения о заявке"].map(t).to_vec(),
        actions: ["сбор", "запись", "использование", "удаление"].map(t).to_vec(),
        purposes: ["обработка заявок", "коммуникация с клиентами", "ведение рекламных кампаний"].map(t).to_vec(),
        measures: Vec::new(),
        protection: t("УЗ-4"),
        incident_contact: t("Тестов Т. Т."),
        incident_channel: t("security@romashka.example"),
        incident_hours: 1,
        answer_days: 5,
        from: None,
        until: Some(d("2026-12-31")),
        return_days: 30,
        third_parties: Vec::new(),
        rows: vec![
            row(
                "CRM",
                "amoCRM",
                &["контакты", "история заявок"],
                &[Level::View, Level::Edit],
                "обработка заявок",
                Kind::Login,
            ),
            row("Форма сайта", "Tilda", &["имя", "телефон", "e-mail"], &[Level::View], "обработка заявок", Kind::Login),
            row(
                "Чат-бот",
                "Telegram-бот",
                &["никнейм", "сообщения"],
                &[Level::View, Level::Reply],
                "коммуникация с клиентами",
                Kind::BotToken,
            ),
            row(
                "Рекламная платформа",
                "Яндекс Директ",
                &["аудитории"],
                &[Level::Configure, Level::Analytics],
                "ведение рекламных кампаний",
                Kind::Delegated,
            ),
        ],
    }
}

/// What ships is what the program prints. `MANDATUM_WRITE_SAMPLES=1 cargo test --test paper` writes it anew.
#[test]
fn the_sample_is_what_the_program_prints() {
    let (wording, zone) = (Wording::built_in().unwrap(), Zone::parse("Europe/Moscow").unwrap());
    let press =
        Press { lang: Lang::Ru, wording: &wording, zone: &zone, made: Instant::parse("2026-01-15T09:00:00Z").unwrap() };
    let printed = docx(&sample().sheet(&press)).unwrap();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/mandate.docx");
    if std::env::var_os("MANDATUM_WRITE_SAMPLES").is_some() {
        std::fs::write(&path, &printed).unwrap();
    }
    assert!(std::fs::read(&path).unwrap() == printed, "samples/mandate.docx is not what is printed now");
}

/// It reads back row by row, with nothing to ask.
#[test]
fn the_sample_reads_back() {
    let bytes = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/mandate.docx")).unwrap();
    let (catalogue, law) = (Catalogue::built_in().unwrap(), Law::built_in(Jurisdiction::Ru).unwrap());
    let zone = Zone::parse("Europe/Moscow").unwrap();
    let reading = read(&bytes, Origin::default(), d("2026-03-02"), &zone, &catalogue, &law);
    assert_eq!(reading.status, Status::Accepted, "{}", serde_json::to_string_pretty(&reading).unwrap());
    assert!(reading.rows.iter().all(|row| row.outcome == Outcome::Accept));
    let active = reading.rows_to_activate();
    let sample = sample();
    assert_eq!(active.len(), sample.rows.len());
    for (read, printed) in active.iter().zip(&sample.rows) {
        assert_eq!((&read.levels, &read.purposes, &read.data), (&printed.levels, &printed.purposes, &printed.data));
    }
}
