//! What letters say, in both languages. Operators, systems, people and dates; nothing secret is known here.

use crate::api::{Notice, NoticeKind, OperatorCheckpoint, Refusal};
use crate::model::IncidentKind;
use crate::paperwork::Lang;
use crate::paperwork::law::Law;

/// Subject and text of a letter with these notices.
pub fn letter(lang: Lang, notices: &[Notice]) -> Result<(String, String), Refusal> {
    let lines = notices.iter().map(|notice| line(lang, notice)).collect::<Result<Vec<_>, _>>()?;
    let subject = match notices {
        [one] => format!("mandatum: {}", heading(lang, one)),
        more => format!("mandatum: {} {}", lang.pick("уведомлений:", "notices:"), more.len()),
    };
    let foot = lang.pick(
        "Подробности: mandatum status, mandatum due, mandatum incident list.",
        "More: mandatum status, mandatum due, mandatum incident list.",
    );
    Ok((subject, format!("{}\n\n{foot}\n", lines.join("\n"))))
}

/// Subject and text of the letter an operator's checkpoint goes with.
pub fn checkpoint(lang: Lang, head: &OperatorCheckpoint) -> (String, String) {
    let (operator, contract) = (&head.operator, &head.contract);
    match lang {
        Lang::Ru => (
            format!("Контрольная точка журнала: {operator}, {contract}"),
            format!(
                "Контрольная точка журнала по договору {contract} приложена. Сохраните её: по ней проверяется, что \
                 записи, сделанные до неё, позже не изменены и не удалены.\n\n\
                 mandatum verify ВЫПИСКА --checkpoint ФАЙЛ\n"
            ),
        ),
        Lang::En => (
            format!("Ledger checkpoint: {operator}, {contract}"),
            format!(
                "The checkpoint of the ledger under contract {contract} is enclosed. Keep it: it shows whether \
                 records from before it were changed or removed later.\n\n\
                 mandatum verify EXTRACT --checkpoint FILE\n"
            ),
        ),
    }
}

/// Whose it is and what.
fn heading(lang: Lang, notice: &Notice) -> String {
    let title = title(lang, notice.kind);
    notice.operator.as_ref().map_or_else(|| title.to_owned(), |operator| format!("{operator}: {title}"))
}

fn title(lang: Lang, kind: NoticeKind) -> &'static str {
    let (ru, en) = match kind {
        NoticeKind::Clock => (
            "часам нельзя верить, по сроку ничего не прекращается (mandatum doctor)",
            "the clock is not believed, nothing ends by time (mandatum doctor)",
        ),
        NoticeKind::Mandate => ("поручение заканчивается", "the mandate ends"),
        NoticeKind::Row => ("строка таблицы доступа заканчивается", "a row of the access table ends"),
        NoticeKind::Grant => ("допуск заканчивается", "a grant ends"),
        NoticeKind::Incident => ("открыт инцидент", "an incident is open"),
        NoticeKind::Request => ("запрос доступа ждёт ответа", "a request for access waits"),
        NoticeKind::Draft => ("в черновике поручения есть вопросы", "a draft has open questions"),
        NoticeKind::Review => ("пересмотр доступов просрочен", "the access review is overdue"),
    };
    lang.pick(ru, en)
}

fn line(lang: Lang, notice: &Notice) -> Result<String, Refusal> {
    let head = heading(lang, notice);
    let (when, days) = (notice.zone.show(notice.at), notice.days);
    let rest = match notice.kind {
        NoticeKind::Mandate | NoticeKind::Row | NoticeKind::Grant => {
            let last = notice.zone.date_of(notice.at.plus(-1)).map_or_else(|| when.clone(), |date| date.to_string());
            match lang {
                Lang::Ru => format!("последний день {last}, осталось дней: {days}"),
                Lang::En => format!("last day {last}, days left: {days}"),
            }
        }
        NoticeKind::Incident => return Ok(format!("{head}: {}", incident(lang, notice)?)),
        NoticeKind::Clock | NoticeKind::Request | NoticeKind::Draft | NoticeKind::Review => {
            format!("{} {when}", lang.pick("с", "since"))
        }
    };
    let what = if notice.what.is_empty() { String::new() } else { format!(": {}", notice.what) };
    Ok(format!("{head}{what} ({rest})"))
}

/// An incident with the clocks the law starts at its detection.
fn incident(lang: Lang, notice: &Notice) -> Result<String, Refusal> {
    let law = Law::built_in(notice.jurisdiction).map_err(|error| Refusal::Failed(error.to_string()))?.incident;
    let after = |hours: u32| notice.zone.show(notice.at.plus(i64::from(hours) * 60 * 60 * 1000));
    let kind = IncidentKind::ALL.into_iter().find(|kind| kind.name() == notice.what);
    let (ru, en) = match kind {
        Some(IncidentKind::DeviceLost) => ("утрата устройства", "lost device"),
        Some(IncidentKind::PasswordCompromised) => ("компрометация пароля", "compromised password"),
        Some(IncidentKind::UnauthorisedAccess) => ("несанкционированный доступ", "unauthorised access"),
        Some(IncidentKind::MisdirectedTransfer) => ("ошибочная передача данных", "misdirected transfer of data"),
        Some(IncidentKind::SecurityIncident) | None => ("инцидент безопасности", "security incident"),
    };
    let detected = notice.zone.show(notice.at);
    let mut text = match lang {
        Lang::Ru => format!("{ru}, обнаружен {detected}"),
        Lang::En => format!("{en}, detected {detected}"),
    };
    let told = match (notice.told.map(|at| notice.zone.show(at)), lang) {
        (Some(at), Lang::Ru) => format!("; оператор уведомлён {at}"),
        (Some(at), Lang::En) => format!("; operator told {at}"),
        (None, Lang::Ru) => format!("; ОПЕРАТОР НЕ УВЕДОМЛЁН, срок {}", after(law.notice_target_hours)),
        (None, Lang::En) => format!("; OPERATOR NOT TOLD, due {}", after(law.notice_target_hours)),
    };
    text.push_str(&told);
    for clock in &law.regulator {
        text.push_str(&match lang {
            Lang::Ru => format!("; {} ч до {}: {}", clock.hours, after(clock.hours), clock.text.ru),
            Lang::En => format!("; {} h until {}: {}", clock.hours, after(clock.hours), clock.text.en),
        });
    }
    Ok(text)
}
