//! The system cell: which platform, which category; several, unknown and ambiguous ones are asked about.

use super::issue::{Issue, Note};
use super::source::SourceRow;
use super::text::{is_blank, unbracket, words};
use crate::paperwork::catalogue::{Catalogue, Category, Named};

/// What a system cell was found to be.
#[derive(Default, Debug)]
pub struct System {
    /// Its category.
    pub category: Option<Category>,
    /// Its platform's slug.
    pub platform: Option<String>,
    /// What was found on the way.
    pub issues: Vec<Issue>,
}

/// Reads the system of a row.
pub fn read(row: &SourceRow, catalogue: &Catalogue) -> System {
    let cell = row.text("system");
    let mut system = System::default();
    if is_blank(cell) {
        system.issues.push(Issue::ask("SYSTEM_MISSING").at("system"));
        return system;
    }
    let (text, bracketed) = unbracket(cell);
    if bracketed {
        system.issues.push(Issue::note("PLACEHOLDER_BRACKETS"));
    }
    let platform_column = row.extra.get("platform").map_or("", String::as_str);
    let all = words(&format!("{text} {platform_column}"));
    let named = catalogue.names_in(&all.split(' ').collect::<Vec<_>>());
    decide(&mut system, row, &named, &text, catalogue);
    if let Some(slug) = row.platform.as_deref() {
        system.platform = Some(slug.to_owned()).filter(|slug| !slug.is_empty());
        system.category = system.category.or_else(|| catalogue.platform(slug).map(|platform| platform.category));
        system.issues.retain(|issue| !matches!(issue.code, "PLATFORM_AMBIGUOUS" | "PLATFORM_NOT_NAMED"));
        if system.category.is_some() {
            system.issues.retain(|issue| issue.code != "SYSTEM_UNKNOWN");
        }
    }
    if let Some(category) = row.category {
        system.category = Some(category);
        system.issues.retain(|issue| issue.code != "SYSTEM_UNKNOWN");
    }
    if system.category.is_none() && system.issues.iter().all(|issue| issue.note == Note::Tell) {
        system.issues.push(unknown(&text, catalogue));
    }
    system
}

fn unknown(text: &str, catalogue: &Catalogue) -> Issue {
    let names = catalogue.categories().iter().map(|category| category.name.ru.clone());
    Issue::ask("SYSTEM_UNKNOWN").at("category").choose(names).about(text)
}

fn decide(system: &mut System, row: &SourceRow, named: &Named<'_>, text: &str, catalogue: &Catalogue) {
    let kept = row.confirmed.contains("row");
    let by_word = match named.categories.as_slice() {
        [only] => Some(*only),
        _ => None,
    };
    match (named.platforms.as_slice(), named.ambiguous.as_slice()) {
        ([platform], ambiguous) if ambiguous.iter().all(|slugs| slugs.contains(&platform.slug)) => {
            system.platform = Some(platform.slug.clone());
            system.category = by_word.or(Some(platform.category));
            if !kept && has_stranger(text, catalogue) {
                system.issues.push(multiple());
            }
        }
        ([], [slugs]) => {
            let platforms: Vec<_> = slugs.iter().filter_map(|slug| catalogue.platform(slug)).collect();
            let fitting: Vec<_> =
                platforms.iter().filter(|p| by_word.is_none_or(|category| category == p.category)).collect();
            system.category = by_word.or_else(|| {
                let first = platforms.first()?.category;
                platforms.iter().all(|platform| platform.category == first).then_some(first)
            });
            let mut issue = Issue::ask("PLATFORM_AMBIGUOUS").at("platform").choose(slugs.iter().cloned()).about(text);
            if let [only] = fitting.as_slice() {
                issue = issue.default(only.slug.clone());
            }
            system.issues.push(issue);
        }
        ([], []) => match named.categories.as_slice() {
            [only] => {
                system.category = Some(*only);
                system.issues.push(Issue::note("PLATFORM_NOT_NAMED"));
                if !kept && has_stranger(text, catalogue) {
                    system.issues.push(multiple());
                }
            }
            [] => system.issues.push(unknown(text, catalogue)),
            [first, ..] if kept => system.category = Some(*first),
            _ => system.issues.push(multiple()),
        },
        (several, _) if kept => system.category = by_word.or_else(|| several.first().map(|platform| platform.category)),
        (several, _) => {
            system.category = by_word.or_else(|| several.first().map(|platform| platform.category));
            system.issues.push(multiple());
        }
    }
}

fn multiple() -> Issue {
    Issue::ask("SYSTEM_MULTIPLE").at("row").default("split").choose(["split", "keep", "drop"])
}

/// The systems of a cell, if it is a list.
pub fn parts(text: &str) -> Vec<String> {
    let pieces =
        text.split(['\n', ';', ',', '+']).flat_map(|piece| piece.split(" и ")).flat_map(|piece| piece.split(" / "));
    pieces.map(str::trim).filter(|piece| !piece.is_empty()).map(str::to_owned).collect()
}

/// Whether one item of a list names nothing that is known, and is no address or account either.
fn has_stranger(text: &str, catalogue: &Catalogue) -> bool {
    let mut depth = 0i32;
    let flat: String = text
        .chars()
        .map(|c| {
            depth += i32::from(c == '(') - i32::from(c == ')');
            if depth > 0 && matches!(c, ',' | ';') { ' ' } else { c }
        })
        .collect();
    let items: Vec<&str> =
        flat.split(['\n', ';', ',', '+']).flat_map(|piece| piece.split(" и ")).map(str::trim).collect();
    let items: Vec<&&str> = items.iter().filter(|item| !item.is_empty()).collect();
    items.len() > 1
        && items.iter().any(|item| {
            let is_detail = item.contains(['.', '@', '№', '#']) || item.chars().all(|c| !c.is_alphabetic());
            let words = words(item);
            let named = catalogue.names_in(&words.split(' ').collect::<Vec<_>>());
            !is_detail && named.platforms.is_empty() && named.categories.is_empty() && named.ambiguous.is_empty()
        })
}
