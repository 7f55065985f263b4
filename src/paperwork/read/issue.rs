//! What was found about a value: told, asked, or refused.

use crate::model::Date;

/// How heavy a finding is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Note {
    /// Accepted, and told.
    Tell,
    /// Inactive until a person answers.
    Ask,
    /// Never active as it stands.
    Reject,
}

/// One finding.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Issue {
    /// Its code.
    pub code: &'static str,
    /// How heavy.
    pub note: Note,
    /// The field it is about; empty for the term.
    pub path: &'static str,
    /// What a person may want to answer.
    pub default: Option<String>,
    /// The other value there is.
    pub other: Option<String>,
    /// What may be answered.
    pub choices: Vec<String>,
    /// What it is about, as written.
    pub about: String,
    /// A code for a hint.
    pub hint: &'static str,
}

impl Issue {
    fn new(code: &'static str, note: Note) -> Self {
        let (about, choices) = (String::new(), Vec::new());
        Self { code, note, path: "term", default: None, other: None, choices, about, hint: "" }
    }

    /// Accepted, and told.
    pub fn note(code: &'static str) -> Self {
        Self::new(code, Note::Tell)
    }

    /// A question.
    pub fn ask(code: &'static str) -> Self {
        Self::new(code, Note::Ask)
    }

    /// A refusal.
    pub fn reject(code: &'static str) -> Self {
        Self::new(code, Note::Reject)
    }

    /// About another field than the term.
    pub fn at(mut self, path: &'static str) -> Self {
        self.path = path;
        self
    }

    /// With a date to answer.
    pub fn suggest(mut self, date: Option<Date>) -> Self {
        self.default = date.map(|date| date.to_string());
        self
    }

    /// With a value to answer.
    pub fn default(mut self, value: impl Into<String>) -> Self {
        self.default = Some(value.into());
        self
    }

    /// With the other value there is.
    pub fn other(mut self, value: impl Into<String>) -> Self {
        self.other = Some(value.into());
        self
    }

    /// With what may be answered.
    pub fn choose<T: Into<String>>(mut self, choices: impl IntoIterator<Item = T>) -> Self {
        self.choices = choices.into_iter().map(Into::into).collect();
        self
    }

    /// About these words.
    pub fn about(mut self, words: impl Into<String>) -> Self {
        self.about = words.into();
        self
    }

    /// With a hint.
    pub fn hint(mut self, code: &'static str) -> Self {
        self.hint = code;
        self
    }
}
