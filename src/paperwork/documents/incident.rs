//! D5: the notice of an incident. It is sent with what is known: what is not says «устанавливается».

use super::draft::{Draft, joined};
use super::words::{self, HOUR, count, mask_account};
use super::{Basis, Heading, Party, Person, Press};
use crate::model::{IncidentKind, Instant, Kind, Text};
use crate::paperwork::sheet::Sheet;

/// Milliseconds of an hour.
const HOUR_MS: i64 = 60 * 60 * 1000;

/// The facts of a notice. No field may hold a secret or the name of a data subject.
#[derive(Clone, Debug)]
pub struct IncidentNotice {
    /// Number, date, place.
    pub heading: Heading,
    /// First, supplementary or last.
    pub stage: Stage,
    /// To whom.
    pub operator: Party,
    /// From whom.
    pub processor: Party,
    /// Under which mandate.
    pub basis: Basis,
    /// By which channel it goes out.
    pub channel: Text,
    /// What happened.
    pub kind: IncidentKind,
    /// When it was detected: the clocks run from here.
    pub detected: Instant,
    /// When it is thought to have begun.
    pub began: Option<Instant>,
    /// The rows of the access table it touches.
    pub systems: Vec<Text>,
    /// Categories of data.
    pub data: Vec<Text>,
    /// An estimate of how many people or records.
    pub extent: Text,
    /// What is thought to have caused it.
    pub cause: Text,
    /// What harm may follow.
    pub harm: Text,
    /// What was done.
    pub measures: Vec<Measure>,
    /// What the operator must decide.
    pub instructions: Vec<Text>,
    /// Whom to ask.
    pub contact: Person,
    /// How to reach them.
    pub contact_channel: Text,
    /// The operator's clocks.
    pub clocks: Clocks,
    /// Who saw what of the affected access.
    pub exposed: Vec<Exposed>,
}

/// Which notice of an incident it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// The first.
    Initial,
    /// One in between.
    Supplement,
    /// The last.
    Final,
}

/// A measure taken.
#[derive(Clone, Debug)]
pub struct Measure {
    /// When.
    pub at: Instant,
    /// What.
    pub what: Text,
}

/// The operator's clocks in hours from detection; data, since the law may change them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Clocks {
    /// To the first report (24 in Russia; none under the GDPR).
    pub first_hours: Option<u32>,
    /// To the full one (72).
    pub full_hours: u32,
}

/// One person who saw a secret that has not been replaced since.
#[derive(Clone, Debug)]
pub struct Exposed {
    /// The system.
    pub system: Text,
    /// The account; printed masked.
    pub account: Text,
    /// What it is.
    pub kind: Kind,
    /// Who saw it.
    pub member: Text,
    /// When last.
    pub at: Instant,
}

impl IncidentNotice {
    /// The document; it is never refused.
    pub fn sheet(&self, press: &Press<'_>) -> Sheet {
        let stage = match self.stage {
            Stage::Initial => press.lang.pick("Первичное", "First"),
            Stage::Supplement => press.lang.pick("Дополнительное", "Supplementary"),
            Stage::Final => press.lang.pick("Итоговое", "Final"),
        };
        let mut draft = Draft::new(press, &self.heading, "incident.title", &[("stage", stage)]);
        draft.field(("Кому", "To"), &self.operator.name);
        draft.field(("Канал", "Channel"), &self.channel);
        draft.field(("От кого", "From"), &self.processor.name);
        let mandate = draft.mandate_of(&self.basis);
        draft.field(("Поручение", "Mandate"), mandate);
        self.what_happened(&mut draft);
        self.what_was_done(&mut draft);
        self.clocks(&mut draft);
        self.exposure(&mut draft);
        draft.note("incident.no_names", &[]);
        let signature = draft.signature(("Исполнитель", "Processor"), &self.processor);
        draft.signatures(vec![signature]);
        draft.done()
    }

    fn what_happened(&self, draft: &mut Draft<'_>) {
        draft.heading(("Что произошло", "What happened"));
        let unknown = draft.pick(("устанавливается", "being established")).to_owned();
        let or_unknown = |text: String| if text.trim().is_empty() { unknown.clone() } else { text };
        draft.field(("Событие", "Event"), happened(draft, self.kind));
        draft.field(("Обнаружено", "Detected"), draft.moment(self.detected));
        let began = self.began.map(|at| draft.moment(at)).unwrap_or_default();
        draft.field(("Предполагаемое начало", "Thought to have begun"), or_unknown(began));
        draft.field(
            ("Системы (строки таблицы доступа)", "Systems (rows of the access table)"),
            or_unknown(joined(&self.systems)),
        );
        draft.field(("Категории данных", "Categories of data"), or_unknown(joined(&self.data)));
        draft.field(
            ("Оценка числа субъектов и записей", "Estimated number of data subjects and records"),
            or_unknown(self.extent.to_string()),
        );
        draft.field(("Предполагаемая причина", "Supposed cause"), or_unknown(self.cause.to_string()));
        draft.field(("Предполагаемый вред", "Possible harm"), or_unknown(self.harm.to_string()));
        draft.note("incident.unknown", &[("unknown", &unknown)]);
    }

    fn what_was_done(&self, draft: &mut Draft<'_>) {
        draft.heading(("Принятые меры", "Measures taken"));
        let mut table = draft.columns(&[(("Время", "Time"), 4), (("Мера", "Measure"), 9)]);
        for measure in &self.measures {
            table.rows.push(vec![draft.moment(measure.at), measure.what.to_string()]);
        }
        draft.table(table);
        let mut instructions = joined(&self.instructions);
        if instructions.is_empty() {
            draft.pick(("не требуются", "none needed")).clone_into(&mut instructions);
        }
        draft.field(("Нужны указания Оператора", "Instructions needed from the Operator"), instructions);
        let name = draft.must(("контактное лицо", "contact person"), &self.contact.name);
        let channel = draft.must(("связь с контактным лицом", "how to reach the contact"), &self.contact_channel);
        draft.field(("Контакт", "Contact"), format!("{name}, {channel}"));
    }

    fn clocks(&self, draft: &mut Draft<'_>) {
        draft.heading(("Сроки Оператора", "The Operator's deadlines"));
        let first = self.clocks.first_hours.map(|hours| (hours, "incident.clock_first"));
        for (hours, text) in first.into_iter().chain([(self.clocks.full_hours, "incident.clock_full")]) {
            let until = draft.moment(self.detected.plus(i64::from(hours) * HOUR_MS));
            let hours = count(draft.lang(), u64::from(hours), &HOUR);
            draft.paragraph(text, &[("hours", &hours), ("until", &until)]);
        }
    }

    fn exposure(&self, draft: &mut Draft<'_>) {
        draft.heading(("Приложение. Кто видел секреты", "Annex. Who saw the secrets"));
        draft.paragraph("incident.exposure", &[]);
        let mut table = draft.columns(&[
            (("Система", "System"), 4),
            (("Учётная запись", "Account"), 4),
            (("Вид доступа", "Kind of access"), 4),
            (("Сотрудник", "Member"), 4),
            (("Последняя выдача", "Last retrieval"), 5),
        ]);
        for one in &self.exposed {
            table.rows.push(vec![
                one.system.to_string(),
                mask_account(one.account.as_str()),
                words::kind(draft.lang(), one.kind).to_owned(),
                one.member.to_string(),
                draft.moment(one.at),
            ]);
        }
        draft.table(table);
    }
}

fn happened(draft: &Draft<'_>, kind: IncidentKind) -> &'static str {
    draft.pick(match kind {
        IncidentKind::SecurityIncident => ("инцидент безопасности", "security incident"),
        IncidentKind::DeviceLost => ("утрата устройства", "lost device"),
        IncidentKind::PasswordCompromised => ("компрометация пароля", "compromised password"),
        IncidentKind::UnauthorisedAccess => ("несанкционированный доступ", "unauthorised access"),
        IncidentKind::MisdirectedTransfer => ("ошибочная передача данных", "misdirected transfer of data"),
    })
}
