//! One row judged: what is accepted, what is asked, what can never be active.

use super::dates::russian;
use super::issue::{Issue, Note};
use super::levels::{self, Access};
use super::source::{Clauses, Facts, Mark, RowMark, SourceRow};
use super::systems;
use super::terms::{self, Days, Kind, Term};
use super::text::{folded, has_blank, is_blank, list, unbracket};
use crate::model::{Date, Level, Text};
use crate::paperwork::catalogue::{Catalogue, Category};
use crate::paperwork::gaps::contains;
use crate::paperwork::law::{Group, Law};

/// What a row is judged by.
pub struct Scales<'a> {
    /// Today.
    pub as_of: Date,
    /// The document's facts.
    pub facts: &'a Facts,
    /// Its clauses.
    pub clauses: &'a Clauses,
    /// The platforms.
    pub catalogue: &'a Catalogue,
    /// The legal texts.
    pub law: &'a Law,
}

/// A row as it was judged.
#[derive(Debug)]
pub struct Judged {
    /// The category.
    pub category: Option<Category>,
    /// The platform's slug.
    pub platform: Option<String>,
    /// The data categories.
    pub data: Vec<String>,
    /// The levels.
    pub levels: Vec<Access>,
    /// The purposes.
    pub purposes: Vec<String>,
    /// The term.
    pub term: Term,
    /// What was found.
    pub issues: Vec<Issue>,
}

impl Judged {
    /// The heaviest finding.
    pub fn weight(&self) -> Note {
        self.issues.iter().map(|issue| issue.note).max().unwrap_or(Note::Tell)
    }
}

impl Scales<'_> {
    /// The first day anything may be active: the latest of the contract's, the mandate's and its signing.
    pub fn floor(&self) -> Option<Date> {
        [self.facts.contract.date, self.facts.date, self.facts.mandate_signed_on].into_iter().flatten().max()
    }

    /// Judges a row.
    pub fn row(&self, row: &SourceRow) -> Judged {
        let mut issues = Vec::new();
        structure(row, &mut issues);
        let system = systems::read(row, self.catalogue);
        issues.extend(system.issues);
        let levels = self.levels(row, &mut issues);
        let data = self.data(row, &mut issues);
        let purposes = self.purposes(row, &mut issues);
        let term = self.term(row, &mut issues);
        for (path, values) in [("data", &data), ("purpose", &purposes)] {
            if values.iter().any(|value| Text::parse(value).is_err()) {
                issues.push(Issue::ask("VALUE_TOO_LONG").at(path));
            }
        }
        issues.dedup_by(|later, earlier| later.code == earlier.code && later.path == earlier.path);
        Judged { category: system.category, platform: system.platform, data, levels, purposes, term, issues }
    }

    fn levels(&self, row: &SourceRow, issues: &mut Vec<Issue>) -> Vec<Access> {
        let Some(text) = filled(row, "level", "ACCESS_LEVEL_MISSING", issues) else { return Vec::new() };
        let found = levels::read(&text);
        let names = ["view", "reply", "edit", "moderate", "publish", "analytics", "configure", "export", "delete"];
        if let Some(unknown) = found.iter().find(|access| access.code.is_none()) {
            issues.push(Issue::ask("ACCESS_LEVEL_UNKNOWN").at("level").choose(names).about(&unknown.raw));
        }
        let denied: Vec<Level> = found.iter().flat_map(|access| access.denied.iter().copied()).collect();
        let kept = found.iter().any(|access| access.code.is_none_or(|code| !denied.contains(&code)));
        if !kept {
            // «просмотр (без просмотра)»: nothing is left.
            issues.push(Issue::ask("ACCESS_LEVEL_UNKNOWN").at("level").choose(names).about(&text));
        }
        let confirmed = row.confirmed.contains("level");
        let has = |level: Level| found.iter().any(|access| access.code == Some(level));
        if has(Level::Admin) && !confirmed {
            issues.push(Issue::ask("ACCESS_LEVEL_EXCESSIVE").at("level").choose(names));
        }
        // Clause 3.1: an export is an extraction, a deletion a deletion.
        if let Some(actions) = &self.clauses.actions {
            let lacks = |level, words: [&str; 2]| has(level) && !words.iter().any(|word| contains(actions, word));
            if !confirmed && (lacks(Level::Export, ["извлечен", "export"]) || lacks(Level::Delete, ["удален", "delet"]))
            {
                issues.push(Issue::ask("LEVEL_OUTSIDE_CLAUSE_3_1").at("level").choose(names));
            }
        }
        found
    }

    fn data(&self, row: &SourceRow, issues: &mut Vec<Issue>) -> Vec<String> {
        let Some(text) = filled(row, "data", "DATA_MISSING", issues) else { return Vec::new() };
        let values = list(&text);
        for value in &values {
            let low = folded(value);
            let sensitive: Vec<&String> = self.law.sensitive_data.iter().filter(|word| contains(&low, word)).collect();
            let named = |word: &&String| self.clauses.data.as_ref().is_some_and(|clause| contains(clause, word));
            if !sensitive.is_empty() && sensitive.iter().all(named) {
                issues.push(Issue::note("DATA_SPECIAL_CATEGORY").at("data"));
            } else if !sensitive.is_empty() {
                let weigh = if row.confirmed.contains("data") { Issue::note } else { Issue::ask };
                issues.push(weigh("DATA_OUTSIDE_CLAUSE_2_2").at("data").about(value));
                issues.push(weigh("DATA_SPECIAL_CATEGORY").at("data").about(value));
            } else if let Some(clause) = &self.clauses.data {
                let code = outside(&low, clause, &self.law.data_group, "DATA_NOT_MAPPED", "DATA_OUTSIDE_CLAUSE_2_2");
                issues.extend(code.map(|code| Issue::note(code).at("data").about(value)));
            }
        }
        values
    }

    fn purposes(&self, row: &SourceRow, issues: &mut Vec<Issue>) -> Vec<String> {
        let Some(text) = filled(row, "purpose", "PURPOSE_MISSING", issues) else { return Vec::new() };
        let values = list(&text);
        for value in &values {
            let low = folded(value);
            let foreign = self.law.foreign_purposes.iter().any(|word| {
                contains(&low, word) && !self.clauses.purposes.as_ref().is_some_and(|clause| contains(clause, word))
            });
            if foreign {
                let weigh = if row.confirmed.contains("purpose") { Issue::note } else { Issue::ask };
                issues.push(weigh("PURPOSE_OUTSIDE_MANDATE").at("purpose").about(value));
            } else if let Some(clause) = &self.clauses.purposes {
                let code = outside(&low, clause, &self.law.purpose_group, "PURPOSE_NOT_MAPPED", "PURPOSE_NOT_MAPPED");
                issues.extend(code.map(|code| Issue::note(code).at("purpose").about(value)));
            }
        }
        values
    }

    fn term(&self, row: &SourceRow, issues: &mut Vec<Issue>) -> Term {
        let contract = &self.facts.contract;
        let days = Days {
            signed: self.facts.mandate_signed_on,
            mandate: self.facts.date,
            contract: contract.date,
            end: self.facts.last_day(),
        };
        let (term, mut found) = terms::read(row.text("term"), &days);
        if terms::is_settled(&found) {
            found.extend(self.bounds(&term));
        }
        issues.extend(found);
        term
    }

    /// A term that was read, against the contract and today.
    fn bounds(&self, term: &Term) -> Vec<Issue> {
        let mut found = Vec::new();
        let floor = self.floor();
        if let (Some(end), Some(floor)) = (term.end, floor)
            && end < floor
        {
            let of_contract = self.facts.contract.date == Some(floor);
            let hint = if of_contract { "CONTRACT_DATE" } else { "MANDATE_DATE" };
            return vec![Issue::reject("TERM_BEFORE_START").about(russian(end)).default(russian(floor)).hint(hint)];
        }
        if let (Some(end), Some(cap)) = (term.end, self.facts.last_day())
            && (end > cap || term.start.is_some_and(|start| start > cap))
            && term.kind != Kind::Contract
        {
            found.push(Issue::ask("TERM_EXCEEDS_CONTRACT").suggest(Some(cap)));
        }
        if term.end.is_some_and(|end| end < self.as_of) {
            found.push(Issue::note("TERM_ALREADY_EXPIRED"));
        } else if self.opens(term).is_some_and(|opens| opens > self.as_of) {
            found.push(Issue::note("GRANT_NOT_YET_ACTIVE"));
        }
        found
    }

    /// The first day of a term.
    pub fn opens(&self, term: &Term) -> Option<Date> {
        [self.floor(), term.start].into_iter().flatten().max()
    }
}

/// Findings about how the row stands in the file.
fn structure(row: &SourceRow, issues: &mut Vec<Issue>) {
    for (field, cell) in super::source::FIELDS.iter().filter_map(|field| Some((*field, row.cells.get(*field)?))) {
        for mark in &cell.marks {
            issues.push(match mark {
                Mark::Tracked | Mark::Struck => {
                    let was = cell.was.clone().unwrap_or_default();
                    let show = |text: &str| {
                        if field == "term" {
                            terms::read(text, &Days::default()).0.end.map(|end| end.to_string())
                        } else {
                            None
                        }
                    };
                    let now = show(&cell.now).unwrap_or_else(|| cell.now.clone());
                    let code = if *mark == Mark::Struck { "STRUCK_TEXT_IN_CELL" } else { "TRACKED_CHANGE_IN_CELL" };
                    Issue::ask(code).at(field).default(now).other(show(&was).unwrap_or(was))
                }
                Mark::Control => Issue::note("CONTENT_CONTROL_IN_CELL").at(field),
                Mark::Hidden => Issue::note("HIDDEN_TEXT_PRESENT").at(field),
                Mark::NestedTable => Issue::ask("NESTED_TABLE_IN_CELL").at(field),
                Mark::Foreign => Issue::ask("CELL_HOLDS_MORE_THAN_TEXT").at(field),
                Mark::Homoglyph => Issue::note("HOMOGLYPH_NORMALISED").at(field),
                Mark::Credential => Issue::ask("CREDENTIAL_IN_DOCUMENT").at(field),
                Mark::Beside => Issue::ask("COLUMNS_DISAGREE").at(field).other(cell.beside.clone().unwrap_or_default()),
            });
        }
    }
    let kept = row.confirmed.contains("row");
    for mark in row.marks.iter().filter(|_| !kept) {
        issues.push(match mark {
            RowMark::Merged => Issue::ask("ROW_AMBIGUOUS_MERGE").at("row").choose(["keep", "drop"]),
            RowMark::TooFew => Issue::ask("ROW_TOO_FEW_CELLS").at("row").choose(["keep", "drop"]),
            RowMark::TooMany => Issue::ask("ROW_TOO_MANY_CELLS").at("row").choose(["keep", "drop"]),
            RowMark::NoHeader => Issue::ask("ROW_WITHOUT_HEADER").at("row").choose(["keep", "drop"]),
            RowMark::Credential => Issue::ask("CREDENTIAL_IN_DOCUMENT").at("row").choose(["keep", "drop"]),
            RowMark::Inserted => Issue::ask("ROW_INSERTED").at("row").choose(["keep", "drop"]),
        });
    }
    issues.sort_by_key(|issue| issue.code == "HOMOGLYPH_NORMALISED");
}

/// The text of a field without the brackets of a template; a question where it is blank.
fn filled(row: &SourceRow, field: &'static str, code: &'static str, issues: &mut Vec<Issue>) -> Option<String> {
    let cell = row.text(field);
    let (text, bracketed) = unbracket(cell);
    if is_blank(cell) || has_blank(&text) {
        issues.push(Issue::ask(code).at(field));
        return None;
    }
    if bracketed {
        issues.push(Issue::note("PLACEHOLDER_BRACKETS"));
    }
    Some(text)
}

/// Whether a value has no counterpart in its clause: not in the dictionary, or its group is not named there.
fn outside(
    value: &str,
    clause: &str,
    groups: &[Group],
    unmapped: &'static str,
    unnamed: &'static str,
) -> Option<&'static str> {
    let mine: Vec<&Group> =
        groups.iter().filter(|group| group.words.iter().any(|word| contains(value, word))).collect();
    let named = |group: &&Group| group.neutral || group.words.iter().any(|word| contains(clause, word));
    match mine.as_slice() {
        [] if contains(clause, value) => None,
        [] => Some(unmapped),
        some if some.iter().any(named) => None,
        _ => Some(unnamed),
    }
}
