//! The contract's number, date and last day, and the mandate's own last day: the bounds of every row.
//!
//! A last day is taken only from a text that says nothing but that. First days, days of payment and conditions stand in
//! the same places; where they do, a person is asked.

use super::dates::{self, Found, Token};
use super::phrases::unit;
use super::source::Facts;
use super::text::{has_blank, is_blank};
use crate::model::Date;

/// «Договор № 17/СММ от 01.02.2026, действует до 31.12.2026»
pub fn basis(facts: &mut Facts, value: &str) {
    let contract = &mut facts.contract;
    if contract.number.is_some() || contract.date.is_some() {
        return;
    }
    let lower = value.to_lowercase();
    let after_sign = ["№", "no. ", "no ", "number "].iter().find_map(|sign| {
        let at = lower.find(sign)? + sign.len();
        value.get(at..)
    });
    let number = after_sign.map(|rest| {
        let low = rest.to_lowercase();
        let end = [" от ", ", от ", " of ", " dated ", ",", ";", "\n"]
            .iter()
            .filter_map(|word| low.find(word))
            .min()
            .unwrap_or(rest.len());
        rest.get(..end).unwrap_or(rest).trim().to_owned()
    });
    contract.number = number.filter(|number| !is_blank(number) && !has_blank(number));
    let until = ["действу", "срок", "in force", "valid"].iter().find_map(|word| lower.find(word));
    let (head, tail) = value.split_at_checked(until.unwrap_or(value.len())).unwrap_or((value, ""));
    // «… № 1 до 31.12.2027» names a last day, and not the contract's date.
    let odd = has_end(&dates::tokens(head));
    contract.date = dates::one_date(head).filter(|_| !odd);
    match only_end(tail) {
        Some(end) => facts.end_unclear |= differs(&mut contract.end, end),
        None => facts.end_unclear |= !dates::dates(tail).is_empty(),
    }
    facts.end_unclear |= odd;
}

/// The last day in «действует [с …] до 31.12.2026 включительно», where the text says nothing else.
fn only_end(text: &str) -> Option<Date> {
    const PLAIN: [&str; 27] = [
        "действует",
        "действующий",
        "действующего",
        "действия",
        "срок",
        "сроком",
        "договор",
        "договора",
        "контракт",
        "контракта",
        "основной",
        "его",
        "с",
        "до",
        "по",
        "включительно",
        "далее",
        "in",
        "force",
        "valid",
        "from",
        "until",
        "the",
        "term",
        "contract",
        "inclusive",
        "to",
    ];
    let tokens = dates::tokens(text);
    let is_plain = |(at, token): (usize, &Token)| match token {
        Token::Word(word) => PLAIN.contains(&word.as_str()),
        Token::Number(_) => false,
        Token::Date(_) => end_at(&tokens, at).is_some() || word_before(&tokens, at).is_some_and(is_start),
        Token::Sign(sign) => matches!(sign, ',' | '.' | ':' | ';' | '(' | ')' | '"' | '-'),
    };
    let mut ends = (0..tokens.len()).filter_map(|at| end_at(&tokens, at));
    let (end, another) = (ends.next(), ends.next());
    end.filter(|_| another.is_none() && tokens.iter().enumerate().all(is_plain))
}

/// Clause 5.1: «Поручение действует в течение срока основного договора (до 31 января 2027 г. включительно)».
pub fn clause(facts: &mut Facts, lower: &str) {
    let tokens = dates::tokens(lower);
    if !lower.contains("поручение действует") && !lower.contains("mandate is in force") {
        facts.term_unclear |= is_other_clause(lower, &tokens);
        return;
    }
    let mut ends = (0..tokens.len()).filter_map(|at| Some((at, end_at(&tokens, at)?)));
    let (first, second) = (ends.next(), ends.next());
    let is_impossible = |token: &Token| matches!(token, Token::Date(Found { date: None, .. }));
    if second.is_some() || tokens.iter().any(is_impossible) {
        facts.term_unclear = true;
        return;
    }
    let Some((at, date)) = first else {
        // A term that is neither the contract's nor one date: asked about.
        let has_dates = tokens.iter().any(|token| matches!(token, Token::Date(_)));
        facts.term_unclear |= has_dates || !lower.contains("договор");
        return;
    };
    let verb = tokens.iter().take(at).position(|token| is_word(token, &["действует", "force"]));
    let said = tokens.get(verb.map_or(0, |verb| verb + 1)..at).unwrap_or_default();
    match whose(said) {
        Some(Whose::Contract) => facts.end_unclear |= differs(&mut facts.contract.end, date),
        Some(Whose::Mandate) => facts.term_unclear |= differs(&mut facts.until, date),
        None => facts.term_unclear = true,
    }
}

/// Whether a paragraph gives the mandate a term in other words than those that are read.
fn is_other_clause(lower: &str, tokens: &[Token]) -> bool {
    let in_force = lower.find("поручение").and_then(|at| lower.get(at..)?.find("действует")).is_some();
    let is_term = in_force || ["срок действия поручения", "срок поручения"].iter().any(|words| lower.contains(words));
    let is_length = |two: &[Token]| match two {
        [Token::Number(_) | Token::Sign(')'), Token::Word(word)] => unit(word, 1).is_some(),
        [Token::Date(_), _] | [_, Token::Date(_)] => true,
        _ => false,
    };
    is_term && tokens.windows(2).any(is_length)
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Whose {
    /// «в течение срока договора (до …»: the contract's last day.
    Contract,
    /// «до …», or «… договора, но не дольше чем до …»: a bound of the mandate itself.
    Mandate,
}

/// Whose last day it is that the words between the verb and the date introduce.
fn whose(said: &[Token]) -> Option<Whose> {
    let contract = said.iter().rposition(|token| match token {
        Token::Word(word) => word.starts_with("договор") || word == "contract",
        _ => false,
    });
    let after = said.get(contract.map_or(0, |at| at + 1)..)?;
    // Another sentence speaks of something else.
    if after.contains(&Token::Sign('.')) {
        return None;
    }
    let bound = ["не", "дольше", "долее", "более", "позднее", "позже", "чем", "но", "в", "любом", "случае", "и", "во"];
    let is_bound = |token: &Token| !matches!(token, Token::Word(_)) || is_word(token, &bound) || is_end(token);
    let doubtful = ["не", "если", "или", "либо", "ранее", "менее", "но", "not", "or", "if", "but"];
    let plain = [
        "от",
        "г",
        "заключенного",
        "действующего",
        "действия",
        "срок",
        "сроком",
        "то",
        "есть",
        "of",
        "dated",
        "no",
        "the",
    ];
    let is_plain = |token: &Token| !matches!(token, Token::Word(_)) || is_word(token, &plain) || is_end(token);
    let is_doubtful = |token: &Token| is_word(token, &doubtful);
    match contract {
        _ if after.iter().any(|token| is_word(token, &["дольше", "долее", "более", "позднее", "позже", "случае"])) => {
            after.iter().all(is_bound).then_some(Whose::Mandate)
        }
        None => (!after.iter().any(is_doubtful)).then_some(Whose::Mandate),
        Some(_) => after.iter().all(is_plain).then_some(Whose::Contract),
    }
}

/// Keeps the earlier of two last days, and says whether they differ.
fn differs(known: &mut Option<Date>, said: Date) -> bool {
    let other = known.is_some_and(|known| known != said);
    *known = Some(known.map_or(said, |known| known.min(said)));
    other
}

fn has_end(tokens: &[Token]) -> bool {
    (0..tokens.len()).any(|at| end_at(tokens, at).is_some())
}

/// The date at a place, if «до», «по» or "until" stands right before it.
fn end_at(tokens: &[Token], at: usize) -> Option<Date> {
    let Some(Token::Date(Found { date: Some(date), .. })) = tokens.get(at) else { return None };
    word_before(tokens, at).is_some_and(is_end).then_some(*date)
}

fn word_before(tokens: &[Token], at: usize) -> Option<&Token> {
    tokens.get(..at)?.iter().rev().find(|token| !matches!(token, Token::Sign('"' | ':')))
}

fn is_end(token: &Token) -> bool {
    is_word(token, &["до", "по", "until"])
}

fn is_start(token: &Token) -> bool {
    is_word(token, &["с", "from"])
}

fn is_word(token: &Token, words: &[&str]) -> bool {
    matches!(token, Token::Word(word) if words.contains(&word.as_str()))
}
