//! Dates as people write them in a mandate. Day first, always; a date that does not exist is said so, never rolled over.

use crate::model::Date;
use jiff::Span;
use jiff::civil;

/// A piece of a text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Token {
    /// Letters, in lower case.
    Word(String),
    /// Digits.
    Number(String),
    /// A date.
    Date(Found),
    /// One other character that is not white space.
    Sign(char),
}

/// A date that was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Found {
    /// The date; none when there is no such date.
    pub date: Option<Date>,
    /// As written.
    pub raw: String,
    /// The year was written with two digits.
    pub short_year: bool,
    /// It would exist with the month first.
    pub month_first: bool,
}

/// The text as tokens, dates put together.
pub fn tokens(text: &str) -> Vec<Token> {
    let plain = split(&text.to_lowercase().replace('ё', "е"));
    let mut made = Vec::new();
    let mut at = 0;
    while let Some(token) = plain.get(at) {
        match date_at(plain.get(at..).unwrap_or_default()) {
            Some((found, length)) => {
                made.push(Token::Date(found));
                at += length;
            }
            None => {
                made.push(token.clone());
                at += 1;
            }
        }
    }
    made
}

/// The dates of a text.
pub fn dates(text: &str) -> Vec<Found> {
    let only = |token| match token {
        Token::Date(found) => Some(found),
        _ => None,
    };
    tokens(text).into_iter().filter_map(only).collect()
}

/// The one date of a text, if there is exactly one and it exists.
pub fn one_date(text: &str) -> Option<Date> {
    match dates(text).as_slice() {
        [found] => found.date,
        _ => None,
    }
}

fn split(text: &str) -> Vec<Token> {
    let mut made: Vec<Token> = Vec::new();
    let mut glued = false;
    for c in text.chars() {
        match (made.last_mut(), c) {
            (Some(Token::Number(number)), c) if glued && c.is_ascii_digit() => number.push(c),
            (Some(Token::Word(word)), c) if glued && c.is_alphabetic() => word.push(c),
            (_, c) if c.is_whitespace() => {}
            (_, c) if c.is_ascii_digit() => made.push(Token::Number(c.to_string())),
            (_, c) if c.is_alphabetic() => made.push(Token::Word(c.to_string())),
            (_, c) => made.push(Token::Sign(match c {
                '–' | '—' | '‒' | '−' => '-',
                '«' | '»' | '“' | '”' | '„' => '"',
                other => other,
            })),
        }
        glued = !c.is_whitespace();
    }
    made
}

/// A date at the beginning of the tokens, and how many it takes.
fn date_at(tokens: &[Token]) -> Option<(Found, usize)> {
    numeric(tokens).or_else(|| named(tokens)).or_else(|| english(tokens))
}

fn numeric(tokens: &[Token]) -> Option<(Found, usize)> {
    let [Token::Number(a), Token::Sign(first), Token::Number(b), Token::Sign(second), Token::Number(c), ..] = tokens
    else {
        return None;
    };
    if first != second || !matches!(first, '.' | '/' | '-') {
        return None;
    }
    // A longer dotted number (an address, a version) is no date.
    let goes_on = matches!(tokens.get(5..7), Some([Token::Sign(next), Token::Number(_)]) if next == first);
    let (year, month, day) = match (a.len(), b.len(), c.len()) {
        (4, 1..=2, 1..=2) if *first == '-' => (a, b, c),
        (1..=2, 1..=2, 2 | 4) => (c, b, a),
        _ => return None,
    };
    if goes_on && *first == '.' {
        return None;
    }
    let raw = format!("{a}{first}{b}{first}{c}");
    Some((found(year, month.parse().ok()?, day, raw)?, 5 + year_word(tokens.get(5..).unwrap_or_default())))
}

/// `«01» февраля 2026 г.`
fn named(tokens: &[Token]) -> Option<(Found, usize)> {
    let quoted = matches!(tokens.first(), Some(Token::Sign('"')));
    let start = usize::from(quoted);
    let Some(Token::Number(day)) = tokens.get(start) else { return None };
    let mut at = start + 1;
    if quoted {
        matches!(tokens.get(at), Some(Token::Sign('"'))).then_some(())?;
        at += 1;
    }
    let (Some(Token::Word(word)), Some(Token::Number(year))) = (tokens.get(at), tokens.get(at + 1)) else {
        return None;
    };
    let month = month(word)?;
    (day.len() <= 2 && matches!(year.len(), 2 | 4)).then_some(())?;
    let raw = format!("{day} {word} {year}");
    at += 2;
    Some((found(year, month, day, raw)?, at + year_word(tokens.get(at..).unwrap_or_default())))
}

/// `December 31, 2026`
fn english(tokens: &[Token]) -> Option<(Found, usize)> {
    let (Some(Token::Word(word)), Some(Token::Number(day))) = (tokens.first(), tokens.get(1)) else { return None };
    let month = month(word)?;
    let comma = usize::from(matches!(tokens.get(2), Some(Token::Sign(','))));
    let Some(Token::Number(year)) = tokens.get(2 + comma) else { return None };
    (day.len() <= 2 && year.len() == 4).then_some(())?;
    Some((found(year, month, day, format!("{word} {day}, {year}"))?, 3 + comma))
}

/// How many tokens `г.`, `года` take.
fn year_word(tokens: &[Token]) -> usize {
    match tokens {
        [Token::Word(word), Token::Sign('.'), ..] if word == "г" => 2,
        [Token::Word(word), ..] if matches!(word.as_str(), "г" | "год" | "года" | "году") => 1,
        _ => 0,
    }
}

fn found(year: &str, month: i8, day: &str, raw: String) -> Option<Found> {
    let short_year = year.len() == 2;
    let year: i16 = year.parse().ok()?;
    let year = if short_year { 2000 + year } else { year };
    // Years no mandate is about are not dates of one; the text stays unread and is asked about.
    (2000..=2199).contains(&year).then_some(())?;
    let day: i8 = day.parse().ok()?;
    let date = civil::Date::new(year, month, day).ok().and_then(from_civil);
    let month_first = date.is_none() && civil::Date::new(year, day, month).is_ok();
    Some(Found { date, raw, short_year, month_first })
}

/// The number of a month's name, in any case of the noun.
pub fn month(word: &str) -> Option<i8> {
    const STEMS: [(&str, &str); 12] = [
        ("январ", "january"),
        ("феврал", "february"),
        ("март", "march"),
        ("апрел", "april"),
        ("ма", "may"),
        ("июн", "june"),
        ("июл", "july"),
        ("август", "august"),
        ("сентябр", "september"),
        ("октябр", "october"),
        ("ноябр", "november"),
        ("декабр", "december"),
    ];
    let ends = ["", "а", "я", "е", "ь", "й", "ю", "у"];
    let is = |stem: &str, name: &str| word == name || word.strip_prefix(stem).is_some_and(|end| ends.contains(&end));
    (1..).zip(STEMS).find(|(_, (stem, name))| word != "ма" && is(stem, name)).map(|(number, _)| number)
}

/// The civil date of a model date.
pub fn civil(date: Date) -> Option<civil::Date> {
    date.to_string().parse().ok()
}

/// The model date of a civil one.
pub fn from_civil(date: civil::Date) -> Option<Date> {
    date.to_string().parse().ok()
}

/// A unit of a duration.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Calendar days.
    Day,
    /// Weeks.
    Week,
    /// Months.
    Month,
    /// Years.
    Year,
}

/// A date so much later: months and years end on the same day number or the month's last day (Civil Code art. 192).
pub fn after(date: Date, amount: u32, unit: Unit) -> Option<Date> {
    let amount = i64::from(amount);
    let span = match unit {
        Unit::Day => Span::new().try_days(amount),
        Unit::Week => Span::new().try_weeks(amount),
        Unit::Month => Span::new().try_months(amount),
        Unit::Year => Span::new().try_years(amount),
    };
    from_civil(civil(date)?.checked_add(span.ok()?).ok()?)
}

/// The last day of a month.
pub fn month_end(year: i16, month: i8) -> Option<Date> {
    from_civil(civil::Date::new(year, month, 1).ok()?.last_of_month())
}

/// As dates are written in Russian texts.
pub fn russian(date: Date) -> String {
    civil(date).map_or_else(|| date.to_string(), |date| date.strftime("%d.%m.%Y").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_read_day_first_and_never_roll_over() {
        for (text, expected) in [
            ("31.12.2026", Some("2026-12-31")),
            ("30/11/2026", Some("2026-11-30")),
            ("2026-01-20", Some("2026-01-20")),
            ("«01» февраля 2026 г.", Some("2026-02-01")),
            ("1 февраля 2026 года", Some("2026-02-01")),
            ("9 мая 2026", Some("2026-05-09")),
            ("31 December 2026", Some("2026-12-31")),
            ("December 31, 2026", Some("2026-12-31")),
            ("31.02.2027", None),
            ("11/30/2026", None),
        ] {
            let found = dates(text);
            assert_eq!(found.len(), 1, "{text}");
            assert_eq!(found[0].date.map(|d| d.to_string()).as_deref(), expected, "{text}");
        }
        assert!(dates("11/30/2026")[0].month_first && !dates("31.02.2027")[0].month_first);
        for text in ["192.168.10.12", "31.12.1926", "12.2026", "31 декабря"] {
            assert_eq!(dates(text), [], "{text}");
        }
    }

    #[test]
    fn months_end_on_the_last_day_there_is() {
        let on = |text: &str| text.parse::<Date>().unwrap();
        assert_eq!(after(on("2026-01-31"), 1, Unit::Month), Some(on("2026-02-28")));
        assert_eq!(after(on("2024-02-29"), 1, Unit::Year), Some(on("2025-02-28")));
        assert_eq!(after(on("2026-12-31"), u32::MAX, Unit::Year), None);
    }
}
