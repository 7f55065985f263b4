//! What a lawyer words: clauses, references to law, statements of limits. Data with a date, never code.
//!
//! The built-in texts are `data/wording.toml`. An override holds only the texts it changes; it may use the places in
//! braces of the built-in text and no others, so that no document is ever printed with an unfilled place.

use super::lang::Lang;
use crate::model::Date;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

const BUILT_IN: &str = include_str!("data/wording.toml");

/// What no document of this program may claim (DESIGN.md section 3), however it is worded by others.
pub(crate) const CLAIMS: [&str; 10] = [
    "tamper-proof",
    "tamperproof",
    "hidden password",
    "remote wipe",
    "purpose enforced",
    "152-фз compliant",
    "gdpr compliant",
    "соответствует 152-фз",
    "соответствует требованиям 152-фз",
    "дистанционное стирание",
];

/// Why a wording is refused.
#[derive(Debug, thiserror::Error)]
pub enum WordingError {
    /// Not TOML of this shape.
    #[error("the wording cannot be read: {0}")]
    Form(String),
    /// A text no document uses.
    #[error("[{0}]: no document uses a text of this name")]
    UnknownText(String),
    /// A place the program does not fill.
    #[error("[{text}] {lang}: the place {{{place}}} is not filled there; known places: {known}")]
    UnknownPlace {
        /// Which text.
        text: String,
        /// In which language.
        lang: &'static str,
        /// The place.
        place: String,
        /// The places that are filled.
        known: String,
    },
    /// A brace without its pair, or nothing to print.
    #[error("[{text}] {lang}: {what}")]
    Text {
        /// Which text.
        text: String,
        /// In which language.
        lang: &'static str,
        /// What is wrong with it.
        what: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    as_of: Date,
    texts: BTreeMap<String, Pair>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pair {
    ru: String,
    en: String,
}

impl Pair {
    fn of(&self, lang: Lang) -> &str {
        lang.pick(&self.ru, &self.en)
    }
}

/// Every text of the documents, in both languages.
#[derive(Clone)]
pub struct Wording {
    as_of: Date,
    texts: BTreeMap<String, Pair>,
}

impl Wording {
    /// The texts this version ships.
    ///
    /// # Errors
    /// None in a build that passed its tests.
    pub fn built_in() -> Result<Self, WordingError> {
        let File { as_of, texts } = read(BUILT_IN)?;
        for (name, pair) in &texts {
            check(name, pair, pair)?;
        }
        Ok(Self { as_of, texts })
    }

    /// The built-in texts with those of an override in their place.
    ///
    /// # Errors
    /// The text, the language and what is wrong with it.
    pub fn with(override_toml: &str) -> Result<Self, WordingError> {
        let mut wording = Self::built_in()?;
        let File { as_of, texts } = read(override_toml)?;
        for (name, pair) in texts {
            let shipped = wording.texts.get(&name).ok_or_else(|| WordingError::UnknownText(name.clone()))?;
            check(&name, &pair, shipped)?;
            wording.texts.insert(name, pair);
        }
        wording.as_of = as_of;
        Ok(wording)
    }

    /// The day the texts were last checked against the law.
    pub fn as_of(&self) -> Date {
        self.as_of
    }

    /// A text with its places filled. What is filled in is not looked at again.
    pub(crate) fn say(&self, lang: Lang, name: &str, fill: &[(&str, &str)]) -> String {
        let mut rest = self.texts.get(name).map_or("", |pair| pair.of(lang)).trim();
        let mut said = String::new();
        while let Some((before, inside, after)) = next_place(rest) {
            said += before;
            said += fill.iter().find(|(place, _)| *place == inside).map_or(super::BLANK, |(_, text)| *text);
            // «Тестов Т. Т.» at the end of a sentence brings the full stop itself.
            rest = after.strip_prefix('.').filter(|_| said.ends_with('.')).unwrap_or(after);
        }
        said + rest
    }
}

fn read(toml: &str) -> Result<File, WordingError> {
    toml::from_str(toml).map_err(|error| WordingError::Form(error.to_string().trim().replace('\n', " ")))
}

fn check(name: &str, pair: &Pair, shipped: &Pair) -> Result<(), WordingError> {
    for lang in [Lang::Ru, Lang::En] {
        let (text, tag) = (pair.of(lang), lang.tag());
        let wrong = |what: String| WordingError::Text { text: name.to_owned(), lang: tag, what };
        if text.trim().is_empty() {
            return Err(wrong("is empty".to_owned()));
        }
        if let Some(claim) = CLAIMS.iter().find(|claim| text.to_lowercase().contains(*claim)) {
            return Err(wrong(format!("claims '{claim}', which no document of this program may")));
        }
        let known = places(shipped.of(lang));
        for place in places(text) {
            if !known.contains(place) {
                let known = known.iter().copied().collect::<Vec<_>>().join(", ");
                let (text, place) = (name.to_owned(), place.to_owned());
                return Err(WordingError::UnknownPlace { text, lang: tag, place, known });
            }
        }
        if text.matches('{').count() != places_count(text) || text.matches('}').count() != places_count(text) {
            return Err(wrong("a brace has no pair".to_owned()));
        }
    }
    Ok(())
}

fn next_place(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once('{')?;
    let (inside, after) = rest.split_once('}')?;
    Some((before, inside, after))
}

fn places(text: &str) -> BTreeSet<&str> {
    std::iter::successors(next_place(text), |(_, _, after)| next_place(after)).map(|(_, inside, _)| inside).collect()
}

fn places_count(text: &str) -> usize {
    std::iter::successors(next_place(text), |(_, _, after)| next_place(after)).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(toml: &str) -> String {
        Wording::with(toml).err().expect("refused").to_string()
    }

    #[test]
    fn the_shipped_texts_are_sound() {
        let wording = Wording::built_in().unwrap();
        assert!(wording.texts.len() > 40);
        // A place is filled alike in both languages, or the English text has no need of it.
        for (name, pair) in &wording.texts {
            let (ru, en) = (places(&pair.ru), places(&pair.en));
            assert!(en.is_subset(&ru), "{name}: {en:?} is not within {ru:?}");
        }
    }

    #[test]
    fn an_override_changes_one_text_and_its_date() {
        let toml = "as_of = \"2027-01-15\"\n[texts.\"mandate.own_use\"]\nru = \"Иначе.\"\nen = \"Otherwise.\"";
        let wording = Wording::with(toml).unwrap();
        assert_eq!(wording.say(Lang::Ru, "mandate.own_use", &[]), "Иначе.");
        assert_eq!(wording.as_of().to_string(), "2027-01-15");
        assert!(wording.say(Lang::En, "mandate.title", &[("number", "5")]).contains('5'));
    }

    #[test]
    fn what_is_filled_in_is_not_expanded_again() {
        let wording = Wording::built_in().unwrap();
        let said = wording.say(Lang::Ru, "mandate.title", &[("number", "{number}")]);
        assert_eq!(said.matches("{number}").count(), 1);
    }

    #[test]
    fn a_bad_override_is_refused_by_place() {
        let head = "as_of = \"2027-01-15\"\n[texts.\"mandate.own_use\"]\n";
        assert!(
            refused(&format!("{head}ru = \"{{who}}\"\nen = \"x\"")).contains("[mandate.own_use] ru: the place {who}")
        );
        assert!(refused(&format!("{head}ru = \"x\"\nen = \" \"")).contains("en: is empty"));
        assert!(refused(&format!("{head}ru = \"a }} b\"\nen = \"x\"")).contains("brace"));
        assert!(refused(&format!("{head}ru = \"x\"\nen = \"a tamper-proof log\"")).contains("tamper-proof"));
        assert!(refused("as_of = \"2027-01-15\"\n[texts.\"no.such\"]\nru = \"x\"\nen = \"x\"").contains("[no.such]"));
        assert!(refused("as_of = \"2027-13-15\"\n[texts]").contains("not a date"));
        assert!(refused("[texts]").contains("as_of"));
    }
}
