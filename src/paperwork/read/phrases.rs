//! The known forms of a term's text.

use super::dates::{self, Found, Token, Unit};
use super::numbers::spoken;
use crate::model::Date;

pub fn only_date(token: &Token) -> Option<&Found> {
    match token {
        Token::Date(found) => Some(found),
        _ => None,
    }
}

/// The form of a text: `#d` for a date, `#n` for a number next to a unit, filler left out.
pub fn phrase(tokens: &[Token]) -> String {
    let mut pieces: Vec<String> = Vec::new();
    for token in tokens {
        match token {
            Token::Word(word) if matches!(word.as_str(), "включительно" | "inclusive") => {}
            Token::Word(word) => pieces.push(word.clone()),
            Token::Number(number) => pieces.push(number.clone()),
            Token::Date(_) => pieces.push("#d".to_owned()),
            Token::Sign(':') => pieces.push(":".to_owned()),
            Token::Sign('(' | ')' | '"' | ',') => {}
            Token::Sign('.') => pieces.push(".".to_owned()),
            Token::Sign(sign) => pieces.push(sign.to_string()),
        }
    }
    let joined = pieces.join(" ");
    let mut rest = joined.trim_end_matches([' ', '.', ';']);
    for start in [
        "срок доступа : ",
        "срок доступа ",
        "срок : ",
        "доступ ",
        "действует ",
        "действителен ",
        "период ",
        "срок до ",
        "срок с ",
    ] {
        // The words that mean something stay: «срок до …» is «до …».
        let kept = start
            .rsplit_once(' ')
            .map_or("", |_| if start == "срок до " || start == "срок с " { "срок " } else { start });
        if let Some(shorter) = rest.strip_prefix(kept).filter(|_| rest.starts_with(start)) {
            rest = shorter;
        }
    }
    rest.to_owned()
}

/// The number a phrase begins with, whether digits and words differ, and what follows.
pub fn amount<'a>(phrase: &'a str, tokens: &[Token]) -> Option<(u32, bool, &'a str)> {
    let (first, rest) = phrase.split_once(' ').unwrap_or((phrase, ""));
    if first == "полгода" {
        return Some((
            6,
            false,
            phrase
                .strip_prefix("полгода")
                .map(|rest| if rest.is_empty() { "мес" } else { rest })
                .filter(|rest| *rest == "мес")?,
        ));
    }
    if !first.is_empty() && first.len() <= 4 && first.bytes().all(|byte| byte.is_ascii_digit()) {
        let number: u32 = first.parse().ok().filter(|number| *number > 0)?;
        let words = in_brackets(tokens);
        let rest = match &words {
            Some(words) => rest.strip_prefix(words.as_str()).map_or(rest, str::trim_start),
            None => rest,
        };
        let differs = words.is_some_and(|words| spoken(&words) != Some(number));
        return Some((number, differs, rest));
    }
    // «шесть месяцев», «год»
    let words: Vec<&str> = phrase.split(' ').collect();
    if unit(words.first()?, 1).is_some() {
        return Some((1, false, phrase));
    }
    let length = (1..=3.min(words.len()))
        .rev()
        .find(|&length| words.get(..length).is_some_and(|some| spoken(&some.join(" ")).is_some()))?;
    let number = spoken(&words.get(..length)?.join(" "))?;
    let taken: usize = words.iter().take(length).map(|word| word.len() + 1).sum();
    Some((number, false, phrase.get(taken..)?))
}

/// The words in brackets right after the first number.
fn in_brackets(tokens: &[Token]) -> Option<String> {
    let at = tokens.iter().position(|token| matches!(token, Token::Number(_)))?;
    matches!(tokens.get(at + 1), Some(Token::Sign('('))).then_some(())?;
    let inside = tokens.get(at + 2..)?.iter().take_while(|token| **token != Token::Sign(')'));
    let words: Option<Vec<&str>> = inside
        .map(|token| match token {
            Token::Word(word) => Some(word.as_str()),
            Token::Number(number) => Some(number.as_str()),
            _ => None,
        })
        .collect();
    Some(words?.join(" "))
}

pub fn unit(word: &str, amount: u32) -> Option<(Unit, u32)> {
    Some(match word {
        "день" | "дня" | "дней" | "дн" | "сутки" | "суток" | "day" | "days" => {
            (Unit::Day, amount)
        }
        "неделя" | "недели" | "недель" | "неделю" | "week" | "weeks" => (Unit::Week, amount),
        "месяц" | "месяца" | "месяцев" | "мес" | "month" | "months" => (Unit::Month, amount),
        "квартал" | "квартала" | "кварталов" => (Unit::Month, amount.checked_mul(3)?),
        "год" | "года" | "лет" | "year" | "years" => (Unit::Year, amount),
        _ => return None,
    })
}

/// «до конца 2026 года», «до конца III квартала 2026», «до конца декабря 2026».
pub fn period_end(phrase: &str) -> Option<Date> {
    let rest = ["до конца ", "до окончания ", "по конец ", "until the end of "]
        .iter()
        .find_map(|start| phrase.strip_prefix(start))?;
    let words: Vec<&str> =
        rest.split(' ').filter(|word| !matches!(*word, "года" | "год" | "г" | "." | "-" | "го")).collect();
    let year = |word: &str| word.parse::<i16>().ok().filter(|year| word.len() == 4 && (2000..=2199).contains(year));
    match words.as_slice() {
        [only] => dates::month_end(year(only)?, 12),
        [name, last] => dates::month_end(year(last)?, dates::month(name)?),
        [number, quarter, last] if quarter.starts_with("квартал") || *quarter == "quarter" => {
            let number = match *number {
                "1" | "i" | "первого" => 1,
                "2" | "ii" | "второго" => 2,
                "3" | "iii" | "третьего" => 3,
                "4" | "iv" | "четвертого" => 4,
                _ => return None,
            };
            dates::month_end(year(last)?, number * 3)
        }
        _ => None,
    }
}

/// Whether every word says "as long as the contract", and none says anything else.
pub fn is_contract(phrase: &str) -> bool {
    const ABOUT: [&str; 13] = [
        "договора",
        "договор",
        "договору",
        "контракта",
        "контракт",
        "соглашения",
        "поручения",
        "contract",
        "agreement",
        "mandate",
        "договором",
        "договоре",
        "agreement's",
    ];
    const SPAN: [&str; 25] = [
        "срок",
        "срока",
        "сроком",
        "течение",
        "период",
        "время",
        "окончания",
        "прекращения",
        "истечения",
        "завершения",
        "конца",
        "пока",
        "весь",
        "всего",
        "term",
        "duration",
        "end",
        "throughout",
        "expiry",
        "termination",
        "during",
        "период",
        "whole",
        "сроку",
        "окончание",
    ];
    const FILLER: [&str; 18] = [
        "на",
        "в",
        "до",
        "по",
        "действия",
        "действует",
        "действие",
        "основного",
        "основной",
        "настоящего",
        "данного",
        "for",
        "the",
        "of",
        "until",
        "соответствует",
        "к",
        "main",
    ];
    let words: Vec<&str> = phrase.split(' ').collect();
    let any = |list: &[&str]| words.iter().any(|word| list.contains(word));
    let known = |word: &&str| ABOUT.contains(word) || SPAN.contains(word) || FILLER.contains(word);
    any(&ABOUT) && any(&SPAN) && words.iter().all(known)
}

pub fn is_indefinite(phrase: &str) -> bool {
    const WORDS: [&str; 16] = [
        "бессрочно",
        "бессрочный",
        "бессрочная",
        "без ограничения срока",
        "без ограничений",
        "без срока",
        "без ограничения по сроку",
        "постоянно",
        "постоянный",
        "неограниченно",
        "не ограничен",
        "неограничен",
        "indefinite",
        "indefinitely",
        "unlimited",
        "permanent",
    ];
    WORDS.contains(&phrase) || phrase == "без ограничения срока действия"
}
