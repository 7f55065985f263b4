//! Names and free text that are safe to show and compare.

use serde::{Deserialize, Serialize};
use std::fmt;
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

/// The longest name, in characters.
pub(super) const NAME_MAX: usize = 80;
/// The longest free text (a purpose, a reason), in characters.
pub(super) const TEXT_MAX: usize = 500;

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing but white space.
    #[error("is empty; 1 to {0} characters are accepted")]
    Empty(usize),
    /// Too long.
    #[error("is longer than {0} characters")]
    TooLong(usize),
    /// A character that hides, reorders or controls text.
    #[error("contains U+{0:04X}, which cannot be shown safely; use letters, digits, spaces and punctuation")]
    Unsafe(u32),
    /// A character that separates names in a path.
    #[error("contains '{0}', which separates names; leave it out")]
    Separator(char),
}

/// A name of an operator, system, credential or member: NFC, trimmed, without control, bidirectional or zero-width
/// characters and without `/`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

impl Name {
    /// Parses a name.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let name = clean(text, NAME_MAX)?;
        if let Some(separator) = name.chars().find(|c| matches!(c, '/' | '\n' | '\t')) {
            return Err(NameError::Separator(separator));
        }
        Ok(Self(name))
    }

    /// The text as it is shown.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The form two names are compared by: lower case, ё as е, single spaces.
    pub fn folded(&self) -> String {
        fold(&self.0)
    }

    /// Whether both are the same name to a person.
    pub fn same(&self, other: &str) -> bool {
        same(&self.0, other)
    }
}

/// One line or a few of free text, safe to show: a purpose, a reason, an account name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Text(String);

impl Text {
    /// Parses a text; empty is accepted.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        match clean(text, TEXT_MAX) {
            Ok(text) => Ok(Self(text)),
            Err(NameError::Empty(_)) => Ok(Self(String::new())),
            Err(other) => Err(other),
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The form two texts are compared by.
    pub fn folded(&self) -> String {
        fold(&self.0)
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether both are the same text to a person.
    pub fn same(&self, other: &str) -> bool {
        same(&self.0, other)
    }
}

macro_rules! text_impls {
    ($type:ident) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", self.0)
            }
        }
        impl TryFrom<String> for $type {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> {
                $type::parse(&text)
            }
        }
        impl From<$type> for String {
            fn from(text: $type) -> String {
                text.0
            }
        }
        impl std::str::FromStr for $type {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                $type::parse(text)
            }
        }
    };
}
text_impls!(Name);
text_impls!(Text);

fn clean(text: &str, max: usize) -> Result<String, NameError> {
    let text = normal(text.trim());
    if text.is_empty() {
        return Err(NameError::Empty(max));
    }
    if text.chars().count() > max {
        return Err(NameError::TooLong(max));
    }
    match text.chars().find(|&c| is_unsafe(c)) {
        Some(c) => Err(NameError::Unsafe(u32::from(c))),
        None => Ok(text),
    }
}

/// NFC. Nearly every text is that already, and a list holds very many.
fn normal(text: &str) -> String {
    match is_nfc_quick(text.chars()) {
        IsNormalized::Yes => text.to_owned(),
        IsNormalized::No | IsNormalized::Maybe => text.nfc().collect(),
    }
}

/// Whether two texts fold to the same.
fn same(ours: &str, other: &str) -> bool {
    if ours.is_ascii() && other.is_ascii() {
        let (mut ours, mut other) = (ours.split_whitespace(), other.split_whitespace());
        return loop {
            match (ours.next(), other.next()) {
                (None, None) => break true,
                (Some(a), Some(b)) if a.eq_ignore_ascii_case(b) => {}
                _ => break false,
            }
        };
    }
    fold(ours) == fold(&normal(other))
}

/// Control, bidirectional, zero-width, tag, private-use and interlinear characters: what changes a line without being
/// seen in it.
fn is_unsafe(c: char) -> bool {
    (c.is_control() && c != '\n' && c != '\t')
        || matches!(u32::from(c),
            0x00AD | 0x034F | 0x061C | 0x115F..=0x1160 | 0x17B4..=0x17B5 | 0x180B..=0x180F | 0x200B..=0x200F
            | 0x2028..=0x202E | 0x2060..=0x206F | 0x3164 | 0xE000..=0xF8FF | 0xFE00..=0xFE0F | 0xFEFF | 0xFFA0
            | 0xFFF0..=0xFFFB | 0xE0000..=0xE0FFF | 0xF0000..=0x10FFFF)
}

fn fold(text: &str) -> String {
    let lower = text.to_lowercase().replace('ё', "е");
    lower.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_compare_as_people_do() {
        let name = Name::parse("  Ромашка  Плюс ").unwrap();
        assert!(name.same("ромашка плюс"));
        assert!(Name::parse("Артём").unwrap().same("АРТЕМ"));
        assert!(!name.same("ромашка"));
    }

    #[test]
    fn what_hides_or_reorders_is_refused() {
        for text in ["a\u{202E}b", "a\u{200B}b", "a\u{1b}]52;c;", "\u{FEFF}a", "a\0b", "x\u{E0041}"] {
            assert!(matches!(Name::parse(text), Err(NameError::Unsafe(_))), "{text:?}");
        }
        assert!(matches!(Name::parse("a/b"), Err(NameError::Separator('/'))));
        assert!(matches!(Name::parse("  "), Err(NameError::Empty(_))));
        assert!(matches!(Name::parse(&"я".repeat(81)), Err(NameError::TooLong(80))));
    }
}
