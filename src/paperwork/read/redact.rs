//! Passwords and tokens found in a document are cut out before anything can keep, print or record them.

use super::text::unmix;

/// What stands in their place. It reads as a blank, so the value is asked for.
pub const REMOVED: &str = "[скрыто]";

/// Words a secret follows. The first group is followed by a secret even without a sign between.
const ALWAYS: [&str; 8] = ["пароль", "пасс", "пассворд", "password", "passwd", "pass", "pwd", "passphrase"];
const WITH_SIGN: [&str; 18] = [
    "токен",
    "token",
    "секрет",
    "secret",
    "ключ",
    "key",
    "apikey",
    "api_key",
    "пин",
    "pin",
    "pincode",
    "пинкод",
    "логин",
    "login",
    "seed",
    "пароля",
    "код",
    "bearer",
];

/// The text without secrets, and whether there were any.
pub fn redact(text: &str) -> (String, bool) {
    let mut found = false;
    let mut next_line_too = false;
    let lines: Vec<String> = text
        .split('\n')
        .map(|line| {
            if std::mem::take(&mut next_line_too) && !line.trim().is_empty() {
                found = true;
                return REMOVED.to_owned();
            }
            let (line, cut) = redact_line(line);
            found |= cut.is_some();
            next_line_too = cut == Some(Cut::Empty);
            line
        })
        .collect();
    (lines.join("\n"), found)
}

#[derive(PartialEq, Eq, Clone, Copy)]
enum Cut {
    Value,
    /// The word ends its line: the secret is on the next.
    Empty,
}

fn redact_line(line: &str) -> (String, Option<Cut>) {
    // Folding look-alikes and lower case keeps the number of characters, so places stay the same.
    let plain: Vec<char> = unmix(line).0.chars().map(|c| c.to_lowercase().next().unwrap_or(c)).collect();
    let chars: Vec<char> = line.chars().collect();
    let mut at = 0;
    while at < plain.len() {
        let end = (at..plain.len()).find(|&i| !is_word(&plain, i)).unwrap_or(plain.len());
        if end == at {
            at += 1;
            continue;
        }
        let word: String = plain.iter().skip(at).take(end - at).collect();
        if let Some(start) = secret_after(&word, &plain, end) {
            let kept: String = chars.iter().take(start).collect();
            let empty = plain.iter().skip(start).all(|c| c.is_whitespace());
            return match empty {
                true => (line.to_owned(), Some(Cut::Empty)),
                false => (format!("{} {REMOVED}", kept.trim_end()), Some(Cut::Value)),
            };
        }
        at = end;
    }
    redact_tokens(line)
}

fn is_word(chars: &[char], at: usize) -> bool {
    chars.get(at).is_some_and(|c| c.is_alphanumeric() || *c == '_')
}

/// Where the secret after a word begins, if the word announces one.
fn secret_after(word: &str, plain: &[char], end: usize) -> Option<usize> {
    let gap = |from: usize| {
        (from..plain.len()).find(|&i| !plain.get(i).is_some_and(|c| c.is_whitespace())).unwrap_or(plain.len())
    };
    let sign = gap(end);
    let signed = plain.get(sign).is_some_and(|c| matches!(c, ':' | '=' | '-' | '–' | '—' | '/' | '>'));
    // «логин/пароль»: the next word decides.
    let next_is_word = plain.get(sign) == Some(&'/') && is_word(plain, gap(sign + 1));
    if ALWAYS.contains(&word) {
        return Some(if signed && !next_is_word { sign + 1 } else { end });
    }
    let strong = plain.get(sign).is_some_and(|c| matches!(c, ':' | '='));
    (WITH_SIGN.contains(&word) && strong).then_some(sign + 1)
}

/// Tokens that announce themselves by their form.
fn redact_tokens(line: &str) -> (String, Option<Cut>) {
    let mut found = false;
    let pieces: Vec<&str> = line
        .split(' ')
        .map(|piece| {
            let secret = is_token(piece.trim_matches([',', ';', '.', '(', ')', '«', '»', '"']));
            found |= secret;
            if secret { REMOVED } else { piece }
        })
        .collect();
    (pieces.join(" "), found.then_some(Cut::Value))
}

fn is_token(piece: &str) -> bool {
    let rest = piece.strip_prefix("https://").or_else(|| piece.strip_prefix("http://"));
    if let Some(rest) = rest {
        let host = rest.split('/').next().unwrap_or("");
        // A password in the address, a webhook, or a key in the path or query.
        return host.contains('@')
            || rest.split(['/', '=', '&', '?']).skip(1).any(|part| is_random(part, 16))
            || rest.contains("/rest/");
    }
    piece.split(['/', '=', ':']).any(|part| is_random(part, 20)) || is_random(piece, 20)
}

/// Long, without vowels' rhythm: letters and digits mixed, as keys are.
fn is_random(part: &str, least: usize) -> bool {
    let plain = part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':' | b'+'));
    let digits = part.bytes().filter(u8::is_ascii_digit).count();
    let letters = part.bytes().filter(u8::is_ascii_alphabetic).count();
    part.len() >= least && plain && digits >= 3 && letters >= 3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_cut_out_and_words_about_them_stay() {
        for secret in [
            "просмотр; пароль: Zx81-qq",
            "Пароль Zx81-qq",
            "login/pass: admin / Zx81-qq",
            "логин: admin Zx81-qq",
            "пароль:\nZx81-qq",
            "пaрoль: Zx81-qq", // Latin a, o
            "password=Zx81-qq",
            "токен: Zx81-qq",
            "https://u:Zx81-qq@example.test/",
            "123456789:AAZx81-qqFakeFakeFakeFakeFakeFakeFake",
        ] {
            let (clean, found) = redact(secret);
            assert!(found && !clean.contains("Zx81-qq"), "{secret} -> {clean}");
        }
        for harmless in [
            "контакты, история заявок",
            "использовать сложные пароли",
            "ключевые события",
            "https://example.test/page",
            "до 31.12.2026",
        ] {
            assert_eq!(redact(harmless), (harmless.to_owned(), false));
        }
    }
}
