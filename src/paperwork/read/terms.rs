//! The term of a row. A term is read only when its whole text has a known form; anything else is asked about.

use super::dates::{self, Found, Token, Unit};
use super::issue::{Issue, Note};
use super::phrases::{amount, is_contract, is_indefinite, only_date, period_end, phrase, unit};
use super::text;
use crate::model::Date;
use serde::{Deserialize, Serialize};

/// What kind of term it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// «до 31.12.2026»
    UntilDate,
    /// «с … по …»
    Range,
    /// «12 месяцев с даты подписания»
    Duration,
    /// «на срок договора»
    Contract,
    /// «бессрочно»
    Indefinite,
    /// «до окончания рекламной кампании»
    Event,
    /// Nothing was filled in.
    Blank,
    /// A date that does not exist.
    InvalidDate,
    /// Anything else.
    Unparsed,
}

/// What a duration is counted from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Anchor {
    /// The day the mandate was signed.
    Signature,
    /// The contract's date.
    Contract,
    /// The mandate's date.
    Mandate,
    /// A date in the text.
    Date,
    /// The moment access is given.
    Grant,
    /// The text does not say.
    Unspecified,
}

/// A term as it was read.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Term {
    /// As written.
    pub raw: String,
    /// Its kind.
    pub kind: Kind,
    /// First day, if the text names one.
    pub start: Option<Date>,
    /// Last day.
    pub end: Option<Date>,
    /// Whether the last day is inside: always, where there is one.
    pub end_inclusive: Option<bool>,
    /// The time of day the text names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// How many units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<u32>,
    /// Of what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<Unit>,
    /// Counted from what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anchor: Option<Anchor>,
    /// What a person may want to answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suggested_end: Option<Date>,
}

/// The days terms are counted from and bounded by.
#[derive(Clone, Copy, Default, Debug)]
pub struct Days {
    /// The mandate was signed.
    pub signed: Option<Date>,
    /// The mandate's own date.
    pub mandate: Option<Date>,
    /// The contract's date.
    pub contract: Option<Date>,
    /// The contract's last day.
    pub end: Option<Date>,
}

/// Reads a term.
pub fn read(raw: &str, days: &Days) -> (Term, Vec<Issue>) {
    let mut issues = Vec::new();
    let (inner, bracketed) = text::unbracket(raw);
    let mut term = Term {
        raw: raw.to_owned(),
        kind: Kind::Unparsed,
        start: None,
        end: None,
        end_inclusive: None,
        time: None,
        amount: None,
        unit: None,
        anchor: None,
        suggested_end: None,
    };
    if text::is_blank(raw) || text::has_blank(&inner) {
        term.kind = Kind::Blank;
        term.suggested_end = days.end;
        issues.push(Issue::ask("TERM_MISSING").suggest(days.end));
    } else {
        if bracketed {
            issues.push(Issue::note("PLACEHOLDER_BRACKETS"));
        }
        issues.extend(Parse { term: &mut term, days, tokens: dates::tokens(&inner) }.run());
    }
    term.end_inclusive = term.end.map(|_| true);
    (term, issues)
}

struct Parse<'a> {
    term: &'a mut Term,
    days: &'a Days,
    tokens: Vec<Token>,
}

impl Parse<'_> {
    fn run(mut self) -> Vec<Issue> {
        let found: Vec<Found> = self.tokens.iter().filter_map(|token| only_date(token).cloned()).collect();
        if let Some(bad) = found.iter().find(|found| found.date.is_none()) {
            self.term.kind = Kind::InvalidDate;
            let code = Issue::reject("DATE_IMPOSSIBLE").about(&bad.raw);
            return vec![if bad.month_first { code.hint("MONTH_FIRST") } else { code }];
        }
        let phrase = phrase(&self.tokens);
        let mut issues = self.known_form(&phrase, &found).unwrap_or_else(|| vec![self.unknown_form(&phrase, &found)]);
        if found.iter().any(|found| found.short_year) {
            issues.push(Issue::note("TERM_TWO_DIGIT_YEAR"));
        }
        issues
    }

    fn known_form(&mut self, phrase: &str, found: &[Found]) -> Option<Vec<Issue>> {
        let only = |issue: Option<Issue>| issue.into_iter().collect();
        if let Some(issue) = self.by_dates(phrase, found) {
            return Some(only(issue));
        }
        if let Some(end) = period_end(phrase) {
            (self.term.kind, self.term.end) = (Kind::UntilDate, Some(end));
            return Some(Vec::new());
        }
        if is_contract(phrase) {
            (self.term.kind, self.term.end) = (Kind::Contract, self.days.end);
            return Some(only(self.days.end.is_none().then(|| Issue::note("CONTRACT_END_UNKNOWN"))));
        }
        if is_indefinite(phrase) {
            (self.term.kind, self.term.suggested_end) = (Kind::Indefinite, self.days.end);
            return Some(vec![Issue::ask("TERM_INDEFINITE").suggest(self.days.end)]);
        }
        self.duration(phrase, found)
    }

    /// Forms made of dates: one is the end, two are a range.
    fn by_dates(&mut self, phrase: &str, found: &[Found]) -> Option<Option<Issue>> {
        let days: Vec<Date> = found.iter().filter_map(|found| found.date).collect();
        match (phrase, days.as_slice()) {
            (
                "#d" | "до #d" | "по #d" | "не позднее #d" | "until #d" | "till #d" | "to #d" | "by #d" | "through #d",
                &[end],
            ) => {
                (self.term.kind, self.term.end) = (Kind::UntilDate, Some(end));
                Some(None)
            }
            ("с #d по #d" | "с #d до #d" | "#d - #d" | "from #d to #d" | "from #d until #d", &[start, end]) => {
                (self.term.kind, self.term.start, self.term.end) = (Kind::Range, Some(start), Some(end));
                Some((end < start).then(|| Issue::reject("TERM_END_BEFORE_BEGIN")))
            }
            (_, &[end]) => self.with_time(phrase, end),
            _ => None,
        }
    }

    /// «до 23:59 31.12.2026»: the last minute of a day is the day; another hour cannot be kept by a term of days.
    fn with_time(&mut self, phrase: &str, end: Date) -> Option<Option<Issue>> {
        let rest = phrase.strip_prefix("до ").or_else(|| phrase.strip_prefix("по ")).unwrap_or(phrase);
        let time = rest.strip_suffix(" #d").or_else(|| rest.strip_prefix("#d "))?;
        let time = time.trim_end_matches(" мск").trim_end_matches(" часов");
        let digits: Vec<&str> = time.split(" : ").collect();
        let is_time =
            matches!(digits.len(), 2 | 3) && digits.iter().all(|part| part.parse::<u8>().is_ok_and(|n| n < 60));
        if !is_time {
            return None;
        }
        self.term.time = Some(digits.join(":"));
        match digits.as_slice() {
            ["23", "59", ..] | ["24", "00", ..] => {
                (self.term.kind, self.term.end) = (Kind::UntilDate, Some(end));
                Some(None)
            }
            _ => {
                self.term.suggested_end =
                    dates::civil(end).and_then(|day| day.yesterday().ok()).and_then(dates::from_civil);
                Some(Some(Issue::ask("TERM_TIME_OF_DAY").suggest(self.term.suggested_end)))
            }
        }
    }

    fn unknown_form(&mut self, phrase: &str, found: &[Found]) -> Issue {
        if found.len() > 1 {
            return Issue::ask("TERM_MULTIPLE");
        }
        let is_event = [
            "до окончания",
            "до завершения",
            "до конца",
            "до момента",
            "до выполнения",
            "до прекращения",
            "на период",
            "на время",
            "until the end of",
        ]
        .iter()
        .any(|start| phrase.starts_with(start));
        if is_event && found.is_empty() && !phrase.contains("#n") {
            self.term.kind = Kind::Event;
            self.term.suggested_end = self.days.end;
            return Issue::ask("TERM_EVENT_BASED").suggest(self.days.end);
        }
        Issue::ask("TERM_UNPARSED").suggest(None)
    }

    /// «[в течение] 6 (шесть) [календарных] месяцев [с …]»
    fn duration(&mut self, phrase: &str, found: &[Found]) -> Option<Vec<Issue>> {
        let phrase = ["в течение ", "сроком на ", "на срок ", "на период ", "на ", "within ", "for "]
            .iter()
            .find_map(|start| phrase.strip_prefix(start))
            .unwrap_or(phrase);
        let (amount, differs, rest) = amount(phrase, &self.tokens)?;
        let mut issues = Vec::new();
        let mut words = rest.splitn(2, ' ');
        let mut unit_word = words.next()?;
        let mut tail = words.next().unwrap_or("");
        let working = unit_word.starts_with("рабоч") || matches!(unit_word, "working" | "business");
        if working || unit_word.starts_with("календарн") || unit_word == "calendar" {
            let mut words = tail.splitn(2, ' ');
            (unit_word, tail) = (words.next()?, words.next().unwrap_or(""));
        }
        let (unit, amount) = unit(unit_word, amount)?;
        let tail = tail.trim_start_matches(". ").trim_start_matches('.').trim();
        let (anchor, start) = self.anchor(tail, found)?;
        let term = &mut *self.term;
        (term.kind, term.amount, term.unit, term.anchor) = (Kind::Duration, Some(amount), Some(unit), Some(anchor));
        let basis = start.or(self.days.signed).or(self.days.mandate).or(self.days.contract);
        let ends = |start: Option<Date>| start.and_then(|start| dates::after(start, amount, unit));
        if differs {
            issues.push(Issue::ask("NUMBER_WORDS_DIFFER").suggest(None));
        } else if working {
            issues.push(Issue::ask("TERM_WORKING_DAYS").suggest(None));
        } else if anchor == Anchor::Grant {
            issues.push(Issue::note("TERM_STARTS_ON_GRANT"));
        } else if let Some(end) = ends(start) {
            (term.start, term.end) = (start, Some(end));
        } else {
            term.suggested_end = ends(basis);
            issues.push(Issue::ask("TERM_ANCHOR_UNKNOWN").suggest(term.suggested_end));
        }
        Some(issues)
    }

    fn anchor(&self, tail: &str, found: &[Found]) -> Option<(Anchor, Option<Date>)> {
        if tail.is_empty() {
            return Some((Anchor::Unspecified, None));
        }
        if matches!(tail, "с #d" | "начиная с #d" | "от #d" | "from #d") {
            return Some((Anchor::Date, found.first().and_then(|found| found.date)));
        }
        let mut words: Vec<&str> = tail.split(' ').collect();
        let starts = |word: &str| {
            matches!(
                word,
                "с" | "со"
                    | "от"
                    | "начиная"
                    | "from"
                    | "after"
                    | "даты"
                    | "дня"
                    | "момента"
                    | "the"
                    | "date"
                    | "of"
                    | "moment"
            )
        };
        while words.first().is_some_and(|word| starts(word)) {
            words.remove(0);
        }
        let is = |stem: &str| words.iter().any(|word| word.starts_with(stem));
        let filler =
            ["сторонами", "обеими", "настоящего", "основного", "данного", "его", "исполнителю", "к", "системе", "the"];
        let known = |word: &&str| {
            filler.contains(word)
                || [
                    "подписан",
                    "заключен",
                    "договор",
                    "контракт",
                    "поручен",
                    "предоставлен",
                    "выдач",
                    "открыт",
                    "доступ",
                    "sign",
                    "contract",
                    "grant",
                    "access",
                    "mandate",
                ]
                .iter()
                .any(|stem| word.starts_with(stem))
        };
        if words.is_empty() || !words.iter().all(known) {
            return Some((Anchor::Unspecified, None));
        }
        let days = self.days;
        Some(if is("доступ") || is("access") || is("предоставлен") || is("выдач") {
            (Anchor::Grant, None)
        } else if is("договор") || is("контракт") || is("contract") || is("заключен") {
            (Anchor::Contract, days.contract)
        } else if is("подписан") || is("sign") {
            (Anchor::Signature, days.signed)
        } else {
            (Anchor::Mandate, days.mandate)
        })
    }
}

/// Whether an issue stops a term from being used.
pub fn is_settled(issues: &[Issue]) -> bool {
    issues.iter().all(|issue| issue.note == Note::Tell)
}
