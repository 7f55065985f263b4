//! The invented end of the invented mandate: the act and the letter.

use super::{at, basis, d, head, heading, operator, person, processor, t};
use mandatum::model::{Digest, Kind};
use mandatum::paperwork::documents::*;

pub fn accesses() -> Vec<EndedAccess> {
    vec![
        EndedAccess {
            system: t("CRM"),
            kind: Kind::Login,
            account: t("marketing@example.test"),
            platform: OnPlatform::Revoked {
                by: t("Тестов Т. Т."),
                at: at("2026-12-31T18:00:00Z"),
                proof: t("снимок экрана № 4"),
            },
            vault: Vaulted::Destroyed { record: 41, epoch: 7, at: at("2026-12-31T21:00:05Z") },
        },
        EndedAccess {
            system: t("Форма сайта"),
            kind: Kind::Delegated,
            account: t("+7 900 123-45-67"),
            platform: OnPlatform::NotApplicable { reason: t("сайт закрыт оператором") },
            vault: Vaulted::NoSecret,
        },
    ]
}

pub fn termination() -> TerminationAct {
    TerminationAct {
        heading: heading("9"),
        basis: basis(),
        finality: Finality::Final,
        operator: operator(),
        processor: processor(),
        subjects: t("клиенты Оператора, оставившие заявки"),
        subject_count: Some(121),
        subject_list: Some(Digest([0x11; 32])),
        destroyers: vec![person("Образцова О. О.", "специалист")],
        data: vec![t("телефон"), t("имя")],
        media: vec![Medium { name: t("распечатка отчёта"), sheets: Some(3) }],
        systems: vec![OwnedSystem {
            system: t("таблица отчётов"), owner: t("ИП Примеров П. П.")
        }],
        method: t("удаление средствами системы"),
        reason: t("прекращение договора № 17/СММ 31.12.2026"),
        destroyed: Some(d("10.01.2027")),
        returned: vec![Returned {
            what: t("отчёт за декабрь"),
            date: d("05.01.2027"),
            how: t("на носителе"),
            to: t("Тестов Т. Т."),
        }],
        accesses: accesses(),
        copies: CopiesOutside::Listed {
            declared_by: person("Образцова О. О.", "специалист"),
            on: Some(d("10.01.2027")),
            copies: vec![Copy {
                what: t("выгрузка лидов"),
                place: t("рабочий ноутбук"),
                fate: t("удалена 10.01.2027"),
            }],
        },
        event_log: EventLog::Missing { what: t("журнал CRM хранится у Оператора") },
        extract: Some(head()),
        backups: vec![Backup {
            name: t("копия-0712"),
            made: at("2026-12-07T10:00:00Z"),
            place: t("внешний диск, сейф"),
            gone_by: Some(d("07.03.2027")),
        }],
        assurance: Assurance::Solo,
    }
}

pub fn letter() -> ConfirmationLetter {
    ConfirmationLetter {
        heading: heading("12-исх"),
        operator: operator(),
        processor: processor(),
        basis: basis(),
        ended: Some(d("31.12.2026")),
        accesses: accesses(),
        copies: vec![
            Copies::Returned { date: d("05.01.2027") },
            Copies::Destroyed {
                date: d("10.01.2027"), act: t("9"), declared_by: person("Образцова О. О.", "")
            },
        ],
        backups: Some(BackupsEnd { unreadable_since: Some(d("01.01.2027")), gone_by: Some(d("07.03.2027")) }),
        contact: t("Примеров П. П., primerov@example.test"),
        annexes: vec![t("акт № 9")],
    }
}
