//! The two languages texts for people are written in.

use crate::model::Jurisdiction;
use serde::{Deserialize, Serialize};

/// A language of texts for people. A document's English refers to the GDPR, its Russian to Russian law.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lang {
    /// Russian.
    #[default]
    Ru,
    /// English.
    En,
}

impl Lang {
    /// The text of this language.
    pub fn pick<'t>(self, ru: &'t str, en: &'t str) -> &'t str {
        match self {
            Lang::Ru => ru,
            Lang::En => en,
        }
    }

    /// The tag of the language in HTML.
    pub fn tag(self) -> &'static str {
        match self {
            Lang::Ru => "ru",
            Lang::En => "en",
        }
    }
}

impl From<Jurisdiction> for Lang {
    fn from(jurisdiction: Jurisdiction) -> Self {
        match jurisdiction {
            Jurisdiction::Ru => Lang::Ru,
            Jurisdiction::Eu => Lang::En,
        }
    }
}

/// One text in both languages.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Phrase {
    /// In Russian.
    pub ru: String,
    /// In English.
    pub en: String,
}

impl Phrase {
    /// From both texts.
    pub fn new(ru: impl Into<String>, en: impl Into<String>) -> Self {
        Self { ru: ru.into(), en: en.into() }
    }

    /// The text in a language.
    pub fn show(&self, lang: Lang) -> &str {
        match lang {
            Lang::Ru => &self.ru,
            Lang::En => &self.en,
        }
    }

    /// Whether either text is missing.
    pub fn is_incomplete(&self) -> bool {
        self.ru.trim().is_empty() || self.en.trim().is_empty()
    }
}
