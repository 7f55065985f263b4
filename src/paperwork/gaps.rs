//! What a mandate leaves out of what the law says it must hold. A list of gaps, never a verdict.

use super::lang::Phrase;
use super::law::{Law, Requirement};
use super::read::text::folded;
use crate::model::Date;
use serde::{Deserialize, Serialize};

/// One thing a mandate does not say.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Gap {
    /// Its code.
    pub code: String,
    /// Where it is asked for.
    pub law: String,
    /// When that was checked.
    pub as_of: Date,
    /// In a few words.
    pub title: Phrase,
    /// A clause that would add it.
    pub clause: Phrase,
}

/// What the paragraphs of a mandate leave out.
pub fn find<'a>(paragraphs: impl IntoIterator<Item = &'a str>, law: &Law) -> Vec<Gap> {
    let paragraphs: Vec<String> = paragraphs.into_iter().map(folded).collect();
    let missing = law.requirement.iter().filter(|requirement| !is_met(requirement, &paragraphs));
    missing
        .map(|requirement| Gap {
            code: requirement.id.clone(),
            law: requirement.law.clone(),
            as_of: requirement.as_of.unwrap_or(law.as_of),
            title: requirement.title.clone(),
            clause: requirement.clause.clone(),
        })
        .collect()
}

fn is_met(requirement: &Requirement, paragraphs: &[String]) -> bool {
    let holds =
        |paragraph: &String, alternative: &Vec<String>| alternative.iter().all(|word| contains(paragraph, word));
    requirement.met_by.iter().any(|alternative| paragraphs.iter().any(|paragraph| holds(paragraph, alternative)))
}

/// Whether a text holds a beginning of a word; one that ends in a digit must end the number («ст. 19», not «ст. 193»).
pub(super) fn contains(text: &str, beginning: &str) -> bool {
    let beginning = folded(beginning);
    let numeric = beginning.ends_with(|c: char| c.is_ascii_digit());
    text.match_indices(&beginning).any(|(at, _)| {
        let before = text.get(..at).and_then(|head| head.chars().next_back());
        let after = text.get(at + beginning.len()..).and_then(|tail| tail.chars().next());
        let starts = before.is_none_or(|c| !c.is_alphanumeric());
        starts && !(numeric && after.is_some_and(|c| c.is_ascii_digit()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Jurisdiction;

    fn codes(law: &Law, text: &[&str]) -> Vec<String> {
        find(text.iter().copied(), law).into_iter().map(|gap| gap.code).collect()
    }

    #[test]
    fn every_clause_we_offer_closes_its_own_gap() {
        for jurisdiction in [Jurisdiction::Ru, Jurisdiction::Eu] {
            let law = Law::built_in(jurisdiction).unwrap();
            let all = codes(&law, &[]);
            assert_eq!(all.len(), law.requirement.len());
            for requirement in law.requirement.iter().filter(|r| !r.clause.ru.contains("____.")) {
                for clause in [&requirement.clause.ru, &requirement.clause.en] {
                    let english_of_ru = jurisdiction == Jurisdiction::Ru && clause == &requirement.clause.en;
                    let closed = !codes(&law, &[clause]).contains(&requirement.id);
                    assert!(closed || english_of_ru, "{}: {clause}", requirement.id);
                }
            }
        }
    }

    #[test]
    fn an_article_number_is_not_part_of_another() {
        let law = Law::built_in(Jurisdiction::Ru).unwrap();
        let gap = "MANDATE_GAP_ART19_REFERENCE".to_owned();
        assert!(codes(&law, &["согласно ст. 193 ГК"]).contains(&gap));
        assert!(!codes(&law, &["согласно ст. 19 закона"]).contains(&gap));
    }

    #[test]
    fn an_alternative_that_is_always_met_is_refused() {
        let text = include_str!("data/law_ru.toml").replace("[[\"конфиденциальн\"]]", "[[\"\"]]");
        let error = Law::parse(&text).unwrap_err().to_string();
        assert!(error.contains("MANDATE_GAP_CONFIDENTIALITY"), "{error}");
    }
}
