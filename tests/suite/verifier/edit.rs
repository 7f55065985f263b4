//! One edit of a JSON text, by the dice.

use super::dice::Dice;
use std::ops::Range;

/// A JSON text with one edit: a token made another, a field more or twice, a space, two tokens exchanged.
pub fn edited(text: &str, dice: &mut Dice) -> String {
    let tokens = tokens(text);
    if tokens.is_empty() {
        return format!("{text} ");
    }
    let token = dice.one(&tokens).clone();
    let other = &text[dice.one(&tokens).clone()];
    let new = match dice.below(10) {
        0..=3 => varied(&text[token.clone()], dice),
        4 | 5 => (*dice.one(ODD)).to_owned(),
        6 => other.to_owned(),
        7 => {
            // Another token of the same kind: an id for an id, a number for a number.
            let alike = |range: &&Range<usize>| {
                text[(*range).clone()].len() == token.len()
                    && text.as_bytes()[range.start] == text.as_bytes()[token.start]
            };
            let alike: Vec<&Range<usize>> = tokens.iter().filter(alike).collect();
            text[(*dice.one(&alike)).clone()].to_owned()
        }
        _ => return restructured(text, dice),
    };
    format!("{}{new}{}", &text[..token.start], &text[token.end..])
}

/// A JSON text with one id in it exchanged for another one that stands in it or in the other text.
pub fn with_id_of(text: &str, other: &str, dice: &mut Dice) -> String {
    let ids = |text: &str| -> Vec<Range<usize>> {
        tokens(text).into_iter().filter(|range| range.len() == "\"\"".len() + 32).collect()
    };
    let (here, there) = (ids(text), ids(other));
    if here.is_empty() {
        return text.to_owned();
    }
    let place = dice.one(&here).clone();
    let own = dice.one(&here).clone();
    let id = if there.is_empty() || dice.chance(20) { &text[own] } else { &other[dice.one(&there).clone()] };
    format!("{}{id}{}", &text[..place.start], &text[place.end..])
}

const ODD: &[&str] = &[
    "null",
    "true",
    "0",
    "-0",
    "1",
    "-1",
    "1.0",
    "1e0",
    "1E400",
    "01",
    "NaN",
    "4294967296",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "\"\"",
    "\" x\"",
    "\"x\\u200b\"",
    "\"\\ud800\"",
    "\"\\u0041\"",
    "\"a\\/b\"",
    "\"e\\u0301\"",
    "\"e\u{301}\"",
    "\"\\u2028\"",
    "\"2026-02-30\"",
    "\"2000-01-01\"",
    "\"2026-12-31\"",
    "\"term\"",
    "\"view\"",
    "\"lead\"",
    "\"given\"",
    "[]",
    "{}",
    "[[]]",
    "{\"a\":1,\"a\":2}",
];

/// The same kind of token, and another one.
fn varied(token: &str, dice: &mut Dice) -> String {
    if let Ok(number) = token.parse::<i64>() {
        let more = *dice.one(&[1, -1, 86_400_000, -86_400_000, 30 * 86_400_000]);
        return number.saturating_add(more).to_string();
    }
    let Some(inside) = token.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return dice.one(&["true", "false", "null"]).to_string();
    };
    match dice.below(6) {
        0 => format!("\"{inside}x\""),
        1 => format!("\"{}\"", inside.to_uppercase()),
        2 => format!("\"{inside}\u{2028}\""),
        3 => format!("\"{}\"", inside.chars().skip(1).collect::<String>()),
        4 => format!("\"{}\"", "я".repeat(*dice.one(&[80, 81, 500, 501]))),
        _ => format!("\"{}\"", inside.replace('a', "b").replace('1', "2")),
    }
}

/// A change of what stands around the tokens.
fn restructured(text: &str, dice: &mut Dice) -> String {
    let places = |marks: &[u8]| -> Vec<usize> {
        text.bytes().enumerate().filter(|(_, byte)| marks.contains(byte)).map(|(at, _)| at + 1).collect()
    };
    let (opens, commas) = (places(b"{["), places(b",{["));
    if opens.is_empty() || commas.is_empty() {
        return format!("\u{FEFF}{text}");
    }
    let (open, comma) = (*dice.one(&opens), *dice.one(&commas));
    match dice.below(8) {
        0 => format!("{}\"more\":1,{}", &text[..open], &text[open..]),
        1 => format!("{} {}", &text[..comma], &text[comma..]),
        2 => format!("{text} "),
        3 => format!("{text}{text}"),
        4 => {
            // A field or item out, or twice.
            let end = text[comma..].find(',').map_or(text.len(), |length| comma + length + 1);
            let twice = if dice.chance(50) { &text[comma..end] } else { "" };
            format!("{}{twice}{twice}{}", &text[..comma], &text[end..])
        }
        6 => {
            let deep = 122 + dice.below(8);
            let (into, out) = ("[".repeat(deep), "]".repeat(deep));
            format!("{}\"more\":{into}{out},{}", &text[..open], &text[open..])
        }
        5 => text.replace(['{', '['], "[").replace('}', "]"),
        _ => format!("{}{}{}", "[".repeat(130), text, "]".repeat(130)),
    }
}

/// Where strings, numbers and words stand in a JSON text.
fn tokens(text: &str) -> Vec<Range<usize>> {
    let bytes = text.as_bytes();
    let (mut found, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let start = at;
        if bytes[at] == b'"' {
            at += 1;
            while at < bytes.len() && bytes[at] != b'"' {
                at += if bytes[at] == b'\\' { 2 } else { 1 };
            }
            at = (at + 1).min(bytes.len());
            found.push(start..at);
        } else if bytes[at].is_ascii_alphanumeric() || bytes[at] == b'-' {
            while at < bytes.len() && (bytes[at].is_ascii_alphanumeric() || b"-.+".contains(&bytes[at])) {
                at += 1;
            }
            found.push(start..at);
        } else {
            at += 1;
        }
    }
    found.retain(|range| text.is_char_boundary(range.start) && text.is_char_boundary(range.end));
    found
}
