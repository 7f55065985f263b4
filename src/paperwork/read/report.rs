//! The report of a reading: outcomes, questions, refusals and the summary, made from the source anew each time.

use super::dates::russian;
use super::issue::{Issue, Note};
use super::judge::{Judged, Scales};
use super::parties::{inn_holds, is_natural_person};
use super::reading::{Outcome, Question, Raw, Reading, Refusal, RowReading, Status};
use super::source::{FIELDS, Facts, SourceRow};
use super::terms::Kind;
use super::text::{folded, is_blank};
use super::texts;
use crate::model::Date;
use crate::paperwork::catalogue::Catalogue;
use crate::paperwork::law::Law;

/// The longest passage that a question quotes, characters.
const ABOUT_MAX: usize = 300;

impl Reading {
    /// Judges the source anew: what a person sees follows from it alone.
    pub(super) fn judge(&mut self, catalogue: &Catalogue, law: &Law) {
        self.document = self.source.facts.clone();
        self.rows.clear();
        self.questions.clear();
        self.warnings.clear();
        self.activatable_rows.clear();
        if self.source.refused {
            self.status = Status::Rejected;
            self.summarise(&[]);
            return;
        }
        self.errors.clear();
        let scales =
            Scales { as_of: self.as_of, facts: &self.source.facts, clauses: &self.source.clauses, catalogue, law };
        let kept: Vec<&SourceRow> = self.source.rows.iter().filter(|row| !row.dropped).collect();
        let mut judged: Vec<(u32, Judged)> = kept.iter().map(|row| (row.number, scales.row(row))).collect();
        compare(&kept, &mut judged);
        if judged.iter().any(|(_, one)| one.weight() == Note::Reject) {
            // While rows are refused, the hint to name a platform would only hide what matters.
            judged.iter_mut().for_each(|(_, one)| one.issues.retain(|issue| issue.code != "PLATFORM_NOT_NAMED"));
        }
        let rows: Vec<RowReading> = kept.iter().zip(&judged).map(|(row, (_, one))| row_reading(row, one)).collect();
        let opens: Vec<Option<Date>> = judged.iter().map(|(_, one)| scales.opens(&one.term)).collect();
        let unfilled = is_unfilled(&self.source.facts, &judged);
        self.rows = rows;
        if unfilled {
            self.source.refused = true;
            self.rows.clear();
            self.refuse(Refusal::of("TEMPLATE_NOT_FILLED"));
            self.status = Status::Rejected;
            self.summarise(&[]);
            return;
        }
        self.document_findings(&judged);
        for (number, one) in &judged {
            self.row_findings(*number, one);
        }
        self.conclude(&opens);
    }

    fn document_findings(&mut self, judged: &[(u32, Judged)]) {
        let facts = self.source.facts.clone();
        let names = [&facts.operator.name, &facts.processor.name].map(|name| name.as_deref().map(folded));
        let inns = [&facts.operator.inn, &facts.processor.inn]
            .map(|inn| inn.clone().filter(|inn| inn.chars().any(|c| c != '0')));
        let same = |pair: &[Option<String>; 2]| matches!(pair, [Some(a), Some(b)] if a == b);
        if same(&names) || same(&inns) {
            self.refuse(Refusal::of("PARTIES_IDENTICAL"));
        }
        for (path, missing) in
            [("operator.name", facts.operator.name.is_none()), ("processor.name", facts.processor.name.is_none())]
        {
            if missing {
                self.ask(None, &Issue::ask("PARTY_MISSING").at(path));
            }
        }
        if facts.contract.number.is_none() {
            self.ask(None, &Issue::ask("CONTRACT_NUMBER_MISSING").at("contract.number"));
        }
        if facts.contract.date.is_none() {
            self.ask(None, &Issue::ask("CONTRACT_DATE_MISSING").at("contract.date"));
        }
        let needs_end = judged.iter().any(|(_, one)| one.term.kind == Kind::Contract && one.term.end.is_none());
        if facts.contract.end.is_none() {
            self.warnings.push("CONTRACT_END_UNKNOWN".to_owned());
            if needs_end && !facts.end_unclear {
                self.ask(None, &Issue::ask("CONTRACT_END_UNKNOWN").at("contract.end"));
            }
        }
        if facts.end_unclear {
            self.ask(None, &Issue::ask("CONTRACT_END_UNCLEAR").at("contract.end").suggest(facts.contract.end));
        }
        if facts.term_unclear {
            self.ask(None, &Issue::ask("MANDATE_TERM_UNCLEAR").at("contract.end"));
        }
        if self.source.rows.is_empty() {
            self.refuse(Refusal::of("ACCESS_TABLE_EMPTY"));
        }
        if facts.processor.name.as_deref().is_some_and(is_natural_person) {
            self.warnings.push("PROCESSOR_IS_NATURAL_PERSON".to_owned());
        }
        if [&facts.operator.inn, &facts.processor.inn].into_iter().flatten().any(|inn| !inn_holds(inn)) {
            self.warnings.push("INN_CHECKSUM".to_owned());
        }
        self.warnings.extend(self.source.warnings.iter().cloned());
        self.warnings.extend(self.gaps.iter().map(|gap| gap.code.clone()));
        if self.source.tables > 1 {
            let choices = (1..=self.source.tables).map(|table| table.to_string()).chain(["both".to_owned()]);
            self.ask(None, &Issue::ask("TABLES_CONFLICT").at("tables").choose(choices));
        }
        if self.source.repeated {
            self.ask(None, &Issue::ask("MANDATE_ALREADY_IMPORTED").at("document").choose(["confirm"]));
        }
        if self.source.credential_elsewhere {
            self.ask(None, &Issue::ask("CREDENTIAL_IN_DOCUMENT").at("credential").choose(["confirm"]));
        }
        let quote = |passages: &[String]| passages.join("; ").chars().take(ABOUT_MAX).collect::<String>();
        let (unread, notes) = (quote(&self.source.unread), quote(&self.source.notes));
        for (code, path, about) in [("COLUMN_NOT_READ", "columns", unread), ("NOTE_IN_TABLE", "notes", notes)] {
            if !about.is_empty() {
                self.ask(None, &Issue::ask(code).at(path).about(about).choose(["confirm"]));
            }
        }
        let (versions, struck) = (self.source.versions, self.source.struck);
        for (found, code) in [(versions, "CONTENT_VERSIONS_DIFFER"), (struck, "STRUCK_TEXT_OUTSIDE")] {
            if found {
                self.ask(None, &Issue::ask(code).at("notes").choose(["confirm"]));
            }
        }
        for column in self.source.missing.clone() {
            let is_open = judged
                .iter()
                .any(|(_, one)| one.issues.iter().any(|i| i.path == column && i.code.ends_with("_MISSING")));
            if is_open {
                self.refuse(Refusal { column: Some(column), ..Refusal::of("COLUMN_MISSING") });
            }
        }
    }

    fn row_findings(&mut self, number: u32, one: &Judged) {
        for issue in &one.issues {
            match issue.note {
                Note::Tell => {}
                Note::Ask => self.ask(Some(number), issue),
                Note::Reject => {
                    let (text, next) = texts::of(issue.code, issue.hint, &issue.about);
                    let hint = (!issue.hint.is_empty()).then(|| issue.hint.to_owned());
                    self.refuse(Refusal { row: Some(number), hint, text, next, ..Refusal::of(issue.code) });
                }
            }
        }
    }

    fn ask(&mut self, row: Option<u32>, issue: &Issue) {
        let (text, next) = texts::of(issue.code, issue.hint, &issue.about);
        self.questions.push(Question {
            code: issue.code.to_owned(),
            row,
            path: issue.path.to_owned(),
            default: issue.default.clone(),
            other: issue.other.clone(),
            choices: issue.choices.clone(),
            text,
            next,
        });
    }

    fn conclude(&mut self, opens: &[Option<Date>]) {
        let never = ["TERM_ALREADY_EXPIRED", "ROW_DUPLICATE"];
        let fatal = self.errors.iter().any(|error| error.code == "PARTIES_IDENTICAL");
        let active = |row: &&RowReading| {
            row.outcome == Outcome::Accept && !row.issues.iter().any(|code| never.contains(&code.as_str()))
        };
        let waits = |row: &&RowReading| row.term.kind != Kind::Contract || row.term.end.is_some();
        if !fatal && self.source.tables <= 1 {
            self.activatable_rows = self.rows.iter().filter(active).filter(waits).map(|row| row.row).collect();
        }
        self.status = match (fatal, self.errors.is_empty(), self.questions.is_empty()) {
            (true, ..) => Status::Rejected,
            (_, false, _) => Status::NeedsInput,
            (_, true, false) => Status::AcceptedWithQuestions,
            (_, true, true) => Status::Accepted,
        };
        self.summarise(opens);
    }

    fn summarise(&mut self, opens: &[Option<Date>]) {
        let (mut ru, mut en) = (Vec::new(), Vec::new());
        for error in self.errors.iter().filter(|error| error.row.is_none()) {
            ru.push(error.text.ru.clone());
            en.push(error.text.en.clone());
        }
        for (row, opens) in self.rows.iter().zip(opens) {
            let number = row.row;
            let errors: Vec<&Refusal> = self.errors.iter().filter(|error| error.row == Some(number)).collect();
            let later = row.issues.iter().any(|code| code == "GRANT_NOT_YET_ACTIVE").then_some(*opens).flatten();
            if let Some(error) = errors.first() {
                let floor = opens.map(russian).unwrap_or_default();
                ru.push(format!("Строка {number}: {}", lower_first(&error.text.ru.replace("{floor}", &floor))));
                en.push(format!("Row {number}: {}", lower_first(&error.text.en.replace("{floor}", &floor))));
            } else if row.outcome == Outcome::Ask {
                ru.push(format!("Строка {number} ждёт ответа."));
                en.push(format!("Row {number} waits for an answer."));
            } else if let Some(day) = later {
                ru.push(format!("Строка {number} принята, доступ откроется с {}.", russian(day)));
                en.push(format!("Row {number} is accepted, access opens on {day}."));
            } else {
                ru.push(format!("Строка {number} принята."));
                en.push(format!("Row {number} is accepted."));
            }
        }
        for error in &mut self.errors {
            let opens = self
                .rows
                .iter()
                .position(|row| Some(row.row) == error.row)
                .and_then(|at| opens.get(at).copied().flatten());
            let floor = opens.map(russian).unwrap_or_default();
            error.text.ru = error.text.ru.replace("{floor}", &floor);
            error.text.en = error.text.en.replace("{floor}", &floor);
        }
        (self.message_ru, self.message_en) = (ru.join(" "), en.join(" "));
    }
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}

fn row_reading(row: &SourceRow, one: &Judged) -> RowReading {
    let text = |field: &str| row.text(field).to_owned();
    let [system, data, level, purpose, term] = FIELDS.map(text);
    let mut issues: Vec<String> = Vec::new();
    for issue in &one.issues {
        if !issues.iter().any(|code| code == issue.code) {
            issues.push(issue.code.to_owned());
        }
    }
    RowReading {
        row: row.number,
        system_raw: system.clone(),
        raw: Raw { system, data, level, purpose, term },
        category: one.category,
        platform: one.platform.clone(),
        data_categories: one.data.clone(),
        access_levels: one.levels.clone(),
        purposes: one.purposes.clone(),
        term: one.term.clone(),
        outcome: match one.weight() {
            Note::Tell => Outcome::Accept,
            Note::Ask => Outcome::Ask,
            Note::Reject => Outcome::Reject,
        },
        issues,
        section: row.section.clone(),
        extra: row.extra.clone(),
    }
}

/// Rows of one system: the same row twice counts once; different ones are told, or asked where the data differ in weight.
fn compare(rows: &[&SourceRow], judged: &mut [(u32, Judged)]) {
    let keys: Vec<[String; 5]> = rows.iter().map(|row| FIELDS.map(|field| folded(row.text(field)))).collect();
    for later in 0..rows.len() {
        for earlier in 0..later {
            let (Some(a), Some(b)) = (rows.get(earlier), rows.get(later)) else { continue };
            let (Some(left), Some(right)) = (keys.get(earlier), keys.get(later)) else { continue };
            if left[0] != right[0] || is_blank(&left[0]) {
                continue;
            }
            let heavy = |at: usize| {
                judged
                    .get(at)
                    .is_some_and(|(_, one)| one.issues.iter().any(|issue| issue.code == "DATA_SPECIAL_CATEGORY"))
            };
            let differs = heavy(earlier) != heavy(later);
            let confirmed = a.confirmed.contains("row") && b.confirmed.contains("row");
            let ask = differs && !confirmed;
            let all_same = left == right;
            for at in [earlier, later] {
                let issue = match (all_same, ask) {
                    (true, _) if at == later => Issue::note("ROW_DUPLICATE").at("row"),
                    (true, _) => continue,
                    (false, true) => Issue::ask("ROW_SAME_SYSTEM_DIFFERS").at("row").choose(["keep", "drop"]),
                    (false, false) => Issue::note("ROW_SAME_SYSTEM_DIFFERS").at("row"),
                };
                if let Some((_, one)) = judged.get_mut(at)
                    && !one.issues.iter().any(|known| known.code == issue.code)
                {
                    one.issues.push(issue);
                }
            }
        }
    }
}

/// Whether nobody has filled in anything: no party, no contract, no term.
fn is_unfilled(facts: &Facts, judged: &[(u32, Judged)]) -> bool {
    let nobody = facts.operator.name.is_none() && facts.processor.name.is_none() && facts.contract.number.is_none();
    nobody && facts.contract.date.is_none() && judged.iter().all(|(_, one)| one.term.kind == Kind::Blank)
}
