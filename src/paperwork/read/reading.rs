//! What was read: the draft a person answers and confirms. Its JSON is the import report.

use super::archive::{ENTRIES_MAX, FILE_MAX, PART_MAX, RATIO_MAX, TOTAL_MAX};
use super::dates::{Unit, after};
use super::levels::Access;
use super::source::{Columns, Facts, Source};
use super::terms::{Anchor, Kind, Term};
use super::{Origin, texts};
use crate::model::{Date, Level, Name, Text, Zone};
use crate::paperwork::catalogue::Category;
use crate::paperwork::gaps::Gap;
use crate::paperwork::lang::{Lang, Phrase};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The name of the JSON's shape.
const SCHEMA: &str = "mandate-import-expectation/1";

/// How the document as a whole was taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Everything was read; a person confirms.
    Accepted,
    /// Rows wait for answers.
    AcceptedWithQuestions,
    /// Something is wrong and must be corrected or left out.
    NeedsInput,
    /// Nothing is taken.
    #[default]
    Rejected,
}

/// How one row was taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Shown, to be confirmed.
    Accept,
    /// Inactive until answered.
    Ask,
    /// Never active as it stands.
    Reject,
}

/// One question to a person.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Question {
    /// Its code.
    pub code: String,
    /// The row; none for the document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row: Option<u32>,
    /// The field to answer.
    pub path: String,
    /// What a person may want to answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// The other value there is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other: Option<String>,
    /// What may be answered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<String>,
    /// The question.
    pub text: Phrase,
    /// How to answer it.
    pub next: Phrase,
}

/// Why a document, a row or an answer is refused.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, thiserror::Error)]
#[error("{}", text.en)]
pub struct Refusal {
    /// Its code.
    pub code: String,
    /// The row; none for the document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row: Option<u32>,
    /// The part of the container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<String>,
    /// What the file is instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detected: Option<String>,
    /// The column that is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// A code for a hint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// One sentence.
    pub text: Phrase,
    /// The next step.
    pub next: Phrase,
}

impl Refusal {
    /// Of a code alone.
    pub(super) fn of(code: &str) -> Self {
        Self::variant(code, "")
    }

    /// Of a code with one of its variants.
    pub(super) fn variant(code: &str, variant: &str) -> Self {
        let (text, next) = texts::of(code, variant, "");
        let hint = (!variant.is_empty()).then(|| variant.to_owned());
        Self { code: code.to_owned(), row: None, part: None, detected: None, column: None, hint, text, next }
    }
}

/// The cells of a row as they were read, white space and look-alike letters made plain, secrets cut out.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Raw {
    /// System.
    pub system: String,
    /// Data categories.
    pub data: String,
    /// Access level.
    pub level: String,
    /// Purpose.
    pub purpose: String,
    /// Term.
    pub term: String,
}

/// One row of the access table.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RowReading {
    /// Its number in the document.
    pub row: u32,
    /// As written.
    pub raw: Raw,
    /// The system as written.
    pub system_raw: String,
    /// Its category.
    pub category: Option<Category>,
    /// Its platform.
    pub platform: Option<String>,
    /// Data categories.
    pub data_categories: Vec<String>,
    /// Access levels.
    pub access_levels: Vec<Access>,
    /// Purposes.
    pub purposes: Vec<String>,
    /// The term.
    pub term: Term,
    /// How it was taken.
    pub outcome: Outcome,
    /// Codes of what was found.
    pub issues: Vec<String>,
    /// The title of its section.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub section: Option<String>,
    /// Other columns.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub extra: BTreeMap<String, String>,
}

/// When a row's access begins and ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Opening {
    /// From the first to the last day, both inclusive.
    Days {
        /// First day.
        from: Date,
        /// Last day.
        until: Date,
    },
    /// From the day access is given, for a while.
    OnGrant {
        /// How many units.
        amount: u32,
        /// Of what.
        unit: Unit,
        /// Not before.
        not_before: Date,
        /// Not after, where a last day is known.
        not_after: Option<Date>,
    },
}

impl Opening {
    /// The first and last day when access is given on a day: inside the bounds.
    pub fn days_from(&self, given: Date) -> Option<(Date, Date)> {
        match *self {
            Self::Days { from, until } => Some((from, until)),
            Self::OnGrant { amount, unit, not_before, not_after } => {
                let from = given.max(not_before);
                let until = after(from, amount, unit)?;
                let until = not_after.map_or(until, |last| until.min(last));
                (from <= until).then_some((from, until))
            }
        }
    }
}

/// A row that may be made active.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Active {
    /// Its number in the document.
    pub row: u32,
    /// The system, unique among the rows.
    pub system: Name,
    /// Category.
    pub category: Category,
    /// Platform's slug; empty where none is named.
    pub platform: Text,
    /// Data categories.
    pub data: Vec<Text>,
    /// Levels, what is excluded taken away.
    pub levels: BTreeSet<Level>,
    /// Purposes.
    pub purposes: Vec<Text>,
    /// When.
    pub opening: Opening,
}

/// The limits a file was read within.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Limits {
    file_bytes_max: u64,
    part_bytes_max: u64,
    total_bytes_max: u64,
    entries_max: usize,
    ratio_max: u64,
}

/// One answer of a person.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Answer {
    /// The row; 0 for the document.
    pub row: u32,
    /// The field.
    pub field: String,
    /// The value, secrets cut out.
    pub value: String,
}

/// A mandate as it was read and answered so far.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Reading {
    /// The shape of this document.
    pub schema: String,
    /// The day it is judged for.
    pub as_of: Date,
    /// The operator's zone.
    pub timezone: Zone,
    /// How the document was taken.
    pub status: Status,
    /// What it says of itself.
    pub document: Facts,
    /// How the access table is headed.
    pub columns: Columns,
    /// Its rows.
    pub rows: Vec<RowReading>,
    /// What must be answered.
    pub questions: Vec<Question>,
    /// Codes of what a person should know.
    pub warnings: Vec<String>,
    /// What is refused.
    pub errors: Vec<Refusal>,
    /// The rows that could be made active as things stand.
    pub activatable_rows: Vec<u32>,
    /// What the mandate leaves out of what the law asks.
    pub gaps: Vec<Gap>,
    /// In a few sentences, in Russian.
    pub message_ru: String,
    /// In a few sentences, in English.
    pub message_en: String,
    /// The limits it was read within.
    pub limits: Limits,
    /// The answers so far.
    pub answers: Vec<Answer>,
    pub(super) source: Source,
}

impl Reading {
    pub(super) fn new(as_of: Date, timezone: Zone, origin: Origin) -> Self {
        Self {
            schema: SCHEMA.to_owned(),
            as_of,
            timezone,
            status: Status::Rejected,
            document: Facts::default(),
            columns: Columns::default(),
            rows: Vec::new(),
            questions: Vec::new(),
            warnings: Vec::new(),
            errors: Vec::new(),
            activatable_rows: Vec::new(),
            gaps: Vec::new(),
            message_ru: String::new(),
            message_en: String::new(),
            limits: Limits {
                file_bytes_max: FILE_MAX,
                part_bytes_max: PART_MAX,
                total_bytes_max: TOTAL_MAX,
                entries_max: ENTRIES_MAX,
                ratio_max: RATIO_MAX,
            },
            answers: Vec::new(),
            source: Source { digest: origin.digest, repeated: origin.repeated, refused: true, ..Source::default() },
        }
    }

    pub(super) fn refuse(&mut self, refusal: Refusal) {
        self.errors.push(refusal);
    }

    /// What must be answered before anything can be made active.
    pub fn open_questions(&self) -> &[Question] {
        &self.questions
    }

    /// The summary in a language.
    pub fn message(&self, lang: Lang) -> &str {
        match lang {
            Lang::Ru => &self.message_ru,
            Lang::En => &self.message_en,
        }
    }

    /// What a code of `issues` or `warnings` means.
    pub fn explain(code: &str) -> Phrase {
        texts::of(code, "", "").0
    }

    /// The rows to make active once the person has confirmed the signed mandate: none while a question is open.
    pub fn rows_to_activate(&self) -> Vec<Active> {
        if !self.questions.is_empty() || self.status == Status::Rejected {
            return Vec::new();
        }
        let mut taken: Vec<Name> = Vec::new();
        let rows = self.rows.iter().filter(|row| self.activatable_rows.contains(&row.row));
        rows.filter_map(|row| self.active(row, &mut taken)).collect()
    }

    fn active(&self, row: &RowReading, taken: &mut Vec<Name>) -> Option<Active> {
        let facts = &self.document;
        let floor = [facts.contract.date, facts.date, facts.mandate_signed_on].into_iter().flatten().max();
        let cap = facts.last_day();
        let from = row.term.start.filter(|_| row.term.kind == Kind::Range || row.term.kind == Kind::Duration);
        let from = [floor, from].into_iter().flatten().max().unwrap_or(self.as_of);
        let opening = match (row.term.anchor, row.term.amount, row.term.unit) {
            (Some(Anchor::Grant), Some(amount), Some(unit)) => {
                Opening::OnGrant { amount, unit, not_before: from, not_after: cap }
            }
            _ => {
                let end = row.term.end.or(cap.filter(|_| row.term.kind == Kind::Contract))?;
                Opening::Days { from, until: cap.map_or(end, |cap| end.min(cap)) }
            }
        };
        // «CRM / amoCRM»: where the platform is known by itself, the first word is the name people use.
        let first = row.system_raw.split(" / ").next().filter(|_| row.platform.is_some()).unwrap_or(&row.system_raw);
        let is_taken = |name: &str| taken.iter().any(|other| other.same(name));
        let said = if is_taken(first) { &row.system_raw } else { first };
        let system = unique_name(said, row.row, taken)?;
        taken.push(system.clone());
        let levels = row.access_levels.iter().filter_map(|access| access.code);
        let denied: BTreeSet<Level> =
            row.access_levels.iter().flat_map(|access| access.denied.iter().copied()).collect();
        Some(Active {
            row: row.row,
            system,
            category: row.category?,
            platform: Text::parse(row.platform.as_deref().unwrap_or("")).ok()?,
            data: texts_of(&row.data_categories)?,
            levels: levels.filter(|level| !denied.contains(level)).collect(),
            purposes: texts_of(&row.purposes)?,
            opening,
        })
    }
}

fn texts_of(values: &[String]) -> Option<Vec<Text>> {
    values.iter().map(|value| Text::parse(value).ok()).collect()
}

/// A row's system as a name: what separates names in a path is replaced, and a second one of a name is numbered.
fn unique_name(system: &str, row: u32, taken: &[Name]) -> Option<Name> {
    let plain = system.replace(" / ", " — ").replace('/', "-").replace(['\n', '\t'], " ");
    let cut = |most: usize| plain.chars().take(most).collect::<String>();
    let name = Name::parse(&cut(80)).ok()?;
    let known = |name: &Name| taken.iter().any(|other| other.same(name.as_str()));
    if known(&name) { Name::parse(&format!("{} ({row})", cut(70))).ok() } else { Some(name) }
}
