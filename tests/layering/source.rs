//! Reads one source file as the rules need it: its room, its tokens, the paths in it.

use std::fs;
use std::path::Path;

/// One file, cut into what the rules look at.
pub struct Source {
    /// From the project's root: `src/agent/session.rs`.
    pub name: String,
    /// `agent`; none for `main.rs` and `lib.rs`.
    pub room: Option<String>,
    /// The module's path below the crate: `["agent", "session"]`.
    module: Vec<String>,
    /// Words and marks with their lines; `::` is one mark.
    tokens: Vec<(usize, String)>,
}

impl Source {
    pub fn read(path: &Path, name: String) -> Source {
        let mut module: Vec<String> = name.trim_end_matches(".rs").split('/').skip(1).map(str::to_owned).collect();
        let room = (module.len() > 1).then(|| module[0].clone());
        if room.is_none() || module.last().is_some_and(|last| last == "mod") {
            module.pop();
        }
        let tokens = without_tests(tokens(&fs::read_to_string(path).unwrap()));
        Source { name, room, module, tokens }
    }

    fn at(&self, i: usize) -> &str {
        self.tokens.get(i).map_or("", |(_, token)| token)
    }

    fn before(&self, i: usize) -> &str {
        i.checked_sub(1).map_or("", |i| self.at(i))
    }

    /// The lines where these tokens follow each other, with the token before them.
    pub fn sequences<const N: usize>(&self, wanted: [&str; N]) -> Vec<(usize, &str)> {
        let found = (0..self.tokens.len()).filter(|i| (0..N).all(|n| self.at(i + n) == wanted[n]));
        found.map(|i| (self.tokens[i].0, self.before(i))).collect()
    }

    /// What each path into the crate reaches first: `crate::a::b`, `crate::{a, b::c}`, `super::super::a::b`, in a
    /// `use` or anywhere else.
    pub fn imports(&self) -> Vec<(usize, String)> {
        let mut found = Vec::new();
        let mut module = self.module.clone();
        let mut open_braces = Vec::new(); // whether each is an inline module's
        let mut i = 0;
        while i < self.tokens.len() {
            let starts_path = self.before(i) != "::" && self.at(i + 1) == "::";
            match self.at(i) {
                "crate" | "mandatum" | "super" | "self" if starts_path => {
                    i = self.walk(i, module.clone(), &mut found);
                    continue;
                }
                "crate" if self.at(i + 1) == "as" => {
                    found.push((self.tokens[i].0, "the crate under a new name".to_owned()))
                }
                "{" => {
                    let inline = i > 1 && self.at(i - 2) == "mod";
                    if inline {
                        module.push(self.at(i - 1).to_owned());
                    }
                    open_braces.push(inline);
                }
                "}" if open_braces.pop() == Some(true) => drop(module.pop()),
                _ => {}
            }
            i += 1;
        }
        found
    }

    /// Follows one path from `i`, through its groups, and returns where it ends.
    fn walk(&self, mut i: usize, mut path: Vec<String>, found: &mut Vec<(usize, String)>) -> usize {
        let line = self.tokens[i].0;
        loop {
            match self.at(i) {
                "crate" | "mandatum" if self.before(i) != "::" => path.clear(),
                "self" => {}
                "super" => drop(path.pop()),
                "{" => {
                    i += 1;
                    while !matches!(self.at(i), "}" | "") {
                        i = self.walk(i, path.clone(), found);
                        while !matches!(self.at(i), "," | "}" | "") {
                            i += 1; // `as name`
                        }
                        i += usize::from(self.at(i) == ",");
                    }
                    return i + 1;
                }
                part => path.push(part.to_owned()),
            }
            if self.at(i + 1) != "::" {
                break;
            }
            i += 2;
        }
        // An empty path is the crate's root itself, as in `use super::super as root`.
        found.push((line, path.first().map_or("the crate's root", String::as_str).to_owned()));
        i + 1
    }

    /// Names that may be crates: those that begin a path, or stand alone in a `use`.
    pub fn external_names(&self) -> Vec<(usize, &str)> {
        let begins = |i: usize| match self.before(i) {
            "::" => !self.at(i.saturating_sub(2)).chars().all(|c| c.is_alphanumeric() || c == '_' || c == '>'),
            before => before != ".",
        };
        let used = |i: usize| self.at(i + 1) == "::" || matches!(self.before(i), "use" | "crate");
        (0..self.tokens.len()).filter(|i| begins(*i) && used(*i)).map(|i| (self.tokens[i].0, self.at(i))).collect()
    }
}

/// Words and marks with their lines, without comments, strings and character literals.
fn tokens(text: &str) -> Vec<(usize, String)> {
    let (mut found, mut rest, mut line) = (Vec::new(), text, 1);
    while let Some(first) = rest.chars().next() {
        let word = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
        let after = rest[word..].trim_start_matches('#');
        let skipped = if rest.starts_with("//") {
            rest.find('\n')
        } else if rest.starts_with("/*") {
            Some(block_comment(rest))
        } else if matches!(&rest[..word], "r" | "br" | "cr") && after.starts_with('"') {
            let hashes = &rest[word..rest.len() - after.len()];
            after[1..].find(&format!("\"{hashes}")).map(|end| word + 2 * hashes.len() + 2 + end)
        } else if first == '"' || is_char_literal(rest) {
            Some(quoted(rest))
        } else {
            let mark = if rest.starts_with("::") { 2 } else { first.len_utf8() };
            let length = if word > 0 { word } else { mark };
            if !first.is_whitespace() {
                found.push((line, rest[..length].to_owned()));
            }
            Some(length)
        };
        let (past, next) = rest.split_at(skipped.unwrap_or(rest.len()));
        line += past.matches('\n').count();
        rest = next;
    }
    found
}

/// `'a'` and `'\n'`, but not the lifetime `'a`.
fn is_char_literal(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next() == Some('\'') && (chars.next() == Some('\\') || chars.next() == Some('\''))
}

fn quoted(text: &str) -> usize {
    let mut chars = text.char_indices();
    let quote = chars.next().map(|(_, quote)| quote);
    while let Some((at, c)) = chars.next() {
        if Some(c) == quote {
            return at + 1;
        }
        if c == '\\' {
            chars.next();
        }
    }
    text.len()
}

fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    loop {
        let Some(mark) = text[at..].find(['/', '*']) else { return text.len() };
        at += mark;
        let step = match text.get(at..at + 2) {
            Some("/*") => 1,
            Some("*/") => -1,
            _ => 0,
        };
        depth += step;
        at += if step == 0 { 1 } else { 2 };
        if depth == 0 {
            return at;
        }
    }
}

/// Leaves out every item under `#[cfg(test)]`.
fn without_tests(tokens: Vec<(usize, String)>) -> Vec<(usize, String)> {
    let mark = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut kept = Vec::new();
    let mut i = 0;
    while i < tokens.len() {
        if !tokens[i..].iter().map(|(_, token)| token.as_str()).take(mark.len()).eq(mark) {
            kept.push(tokens[i].clone());
            i += 1;
            continue;
        }
        i += mark.len();
        let mut depth = 0;
        while let Some((_, token)) = tokens.get(i) {
            i += 1;
            match token.as_str() {
                "{" | "(" | "[" => depth += 1,
                "}" if depth == 1 => break,
                "}" | ")" | "]" => depth -= 1,
                ";" if depth == 0 => break,
                _ => {}
            }
        }
    }
    kept
}
