//! Legal texts and numbers as dated data: what a mandate must say, incident clocks, retention, the fields of acts.
//!
//! `data/law_ru.toml` and `data/law_eu.toml` are built in; a lawyer's own file replaces one. Nothing here is a verdict.

use super::lang::Phrase;
use crate::model::{Date, Jurisdiction};
use serde::{Deserialize, Serialize};

/// Days to answer within.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Days {
    /// How many.
    pub days: u32,
    /// Whether only working days count.
    pub working: bool,
}

/// A clock of the operator towards its regulator.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegulatorClock {
    /// Its identifier.
    pub id: String,
    /// Hours from detection.
    pub hours: u32,
    /// Where it is written.
    pub law: String,
    /// What is due.
    pub text: Phrase,
}

/// The clocks of an incident.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Incident {
    /// Within how many hours the operator should be told.
    pub notice_target_hours: u32,
    /// After how many hours without notice the alarm is raised.
    pub alarm_hours: u32,
    /// The operator's own clocks.
    pub regulator: Vec<RegulatorClock>,
}

/// A field an act of destruction must hold.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActField {
    /// Its letter.
    pub letter: String,
    /// What it is.
    pub text: Phrase,
    /// Fields of one name are alternatives.
    #[serde(default)]
    pub one_of: Option<String>,
}

/// What a mandate must say.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Requirement {
    /// Its code.
    pub id: String,
    /// Where it is written.
    pub law: String,
    /// When it was checked; the file's date where it is not given.
    #[serde(default)]
    pub as_of: Option<Date>,
    /// In a few words.
    pub title: Phrase,
    /// Alternatives; one is met where a paragraph holds all its word beginnings.
    pub met_by: Vec<Vec<String>>,
    /// A clause that would add it.
    pub clause: Phrase,
}

/// Words of the access table that stand for words of a clause.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// Its identifier.
    pub id: String,
    /// Beginnings of words.
    pub words: Vec<String>,
    /// Needs no counterpart in the clause.
    #[serde(default)]
    pub neutral: bool,
}

/// One jurisdiction's texts and numbers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Law {
    /// Whose law.
    pub jurisdiction: Jurisdiction,
    /// When it was checked.
    pub as_of: Date,
    /// The act it is taken from.
    pub source: Phrase,
    /// How long evidence is kept.
    pub retention_years: u32,
    /// Within what the operator's requests are answered.
    pub request_response_days: Days,
    /// How many days before a term's end to warn.
    pub due_warning_days: Vec<u32>,
    /// How often access is reviewed.
    pub review_interval_months: u32,
    /// Incident clocks.
    pub incident: Incident,
    /// Fields of an act of destruction.
    #[serde(default)]
    pub act_field: Vec<ActField>,
    /// What a mandate must say.
    pub requirement: Vec<Requirement>,
    /// How data words of the table stand for words of clause 2.2.
    #[serde(default)]
    pub data_group: Vec<Group>,
    /// How purposes of the table stand for words of clause 3.2.
    #[serde(default)]
    pub purpose_group: Vec<Group>,
    /// Word beginnings of sensitive data.
    #[serde(default)]
    pub sensitive_data: Vec<String>,
    /// Word beginnings of purposes beyond any mandate.
    #[serde(default)]
    pub foreign_purposes: Vec<String>,
}

/// Why a file of legal texts is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LawError {
    /// Not TOML, or not this shape.
    #[error("the legal texts are not as they are written: {0}")]
    Form(String),
    /// A value that cannot be.
    #[error("the legal texts: {place} {what}")]
    Value {
        /// Where.
        place: String,
        /// What is wrong.
        what: &'static str,
    },
}

impl Law {
    /// The texts that come with the program.
    ///
    /// # Errors
    /// [`LawError`], which a test rules out for the files that are built in.
    pub fn built_in(jurisdiction: Jurisdiction) -> Result<Self, LawError> {
        Self::parse(match jurisdiction {
            Jurisdiction::Ru => include_str!("data/law_ru.toml"),
            Jurisdiction::Eu => include_str!("data/law_eu.toml"),
        })
    }

    /// How long after a review the next one is due, ms; a month counts 31 days.
    pub fn review_ms(&self) -> i64 {
        i64::from(self.review_interval_months) * 31 * 24 * 60 * 60 * 1000
    }

    /// A whole file: the built-in one, or a lawyer's instead of it.
    ///
    /// # Errors
    /// [`LawError`] naming the place.
    pub fn parse(text: &str) -> Result<Self, LawError> {
        let law: Self = toml::from_str(text).map_err(|error| LawError::Form(error.to_string()))?;
        let bad = |place: &str, what| Err(LawError::Value { place: place.to_owned(), what });
        if law.retention_years == 0 {
            return bad("retention_years", "must be at least 1");
        }
        if law.incident.regulator.iter().any(|clock| clock.hours == 0) {
            return bad("incident.regulator.hours", "must be at least 1");
        }
        for requirement in &law.requirement {
            let empty = |alternative: &Vec<String>| alternative.iter().all(|word| word.trim().is_empty());
            if requirement.met_by.is_empty() || requirement.met_by.iter().any(empty) {
                return bad(&requirement.id, "has an empty alternative in met_by, which would always be met");
            }
            if requirement.title.is_incomplete() || requirement.clause.is_incomplete() {
                return bad(&requirement.id, "needs title and clause in both languages");
            }
        }
        Ok(law)
    }
}
