//! Text of a cell made comparable: white space, invisible characters, look-alike letters, lists, blanks.

use unicode_normalization::UnicodeNormalization;

/// Letters that look alike: Cyrillic, Latin.
const LOOK_ALIKE: [(char, char); 32] = [
    ('а', 'a'),
    ('е', 'e'),
    ('о', 'o'),
    ('р', 'p'),
    ('с', 'c'),
    ('у', 'y'),
    ('х', 'x'),
    ('к', 'k'),
    ('м', 'm'),
    ('т', 't'),
    ('в', 'b'),
    ('н', 'h'),
    ('і', 'i'),
    ('ѕ', 's'),
    ('ј', 'j'),
    ('ԁ', 'd'),
    ('А', 'A'),
    ('Е', 'E'),
    ('О', 'O'),
    ('Р', 'P'),
    ('С', 'C'),
    ('У', 'Y'),
    ('Х', 'X'),
    ('К', 'K'),
    ('М', 'M'),
    ('Т', 'T'),
    ('В', 'B'),
    ('Н', 'H'),
    ('І', 'I'),
    ('Ѕ', 'S'),
    ('Ј', 'J'),
    ('ё', 'e'),
];

/// NFC, plain spaces and hyphens, no invisible or reordering characters, no space at the ends of lines.
pub fn clean(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.nfc() {
        match c {
            '\u{A0}' | '\u{202F}' | '\u{2007}' | '\u{2009}' | '\t' => plain.push(' '),
            '\u{2010}' | '\u{2011}' => plain.push('-'),
            '\r' => {}
            '\n' | '\u{2028}' | '\u{2029}' | '\u{B}' => plain.push('\n'),
            c if is_invisible(c) => {}
            c => plain.push(c),
        }
    }
    let lines: Vec<String> = plain.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    lines.join("\n").trim().to_owned()
}

/// Soft hyphens, zero-width, bidirectional, tag and control characters: what changes a text without being seen.
fn is_invisible(c: char) -> bool {
    (c.is_control() && c != '\n')
        || matches!(u32::from(c),
            0xAD | 0x34F | 0x61C | 0x115F..=0x1160 | 0x17B4..=0x17B5 | 0x180B..=0x180F | 0x200B..=0x200F
            | 0x202A..=0x202E | 0x2060..=0x206F | 0x3164 | 0xFE00..=0xFE0F | 0xFEFF | 0xFFA0 | 0xFFF0..=0xFFFB
            | 0xE000..=0xF8FF | 0xE0000..=0xE0FFF | 0xF0000..=0x10FFFF)
}

/// Lower case, ё as е, one line, single spaces: the form texts are compared by.
pub fn folded(text: &str) -> String {
    let lower = text.to_lowercase().replace('ё', "е");
    lower.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Letters and digits only, single spaces between: the form words are looked up by.
pub fn words(text: &str) -> String {
    let kept: String =
        folded(text).chars().map(|c| if c.is_alphanumeric() || matches!(c, '@' | '_') { c } else { ' ' }).collect();
    kept.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Makes words that mix alphabets whole again, and says whether any did.
///
/// A word becomes Latin if all its Cyrillic letters have Latin twins, else Cyrillic if all its Latin letters have
/// Cyrillic ones; else it stays.
pub fn unmix(text: &str) -> (String, bool) {
    let mut made = String::with_capacity(text.len());
    let mut word = String::new();
    let mut changed = false;
    for c in text.chars().chain(std::iter::once('\n')) {
        if c.is_alphabetic() {
            word.push(c);
            continue;
        }
        let whole = unmix_word(&word);
        changed |= whole.is_some();
        made.push_str(whole.as_deref().unwrap_or(&word));
        word.clear();
        made.push(c);
    }
    made.pop();
    (made, changed)
}

fn unmix_word(word: &str) -> Option<String> {
    let is_latin = |c: char| c.is_ascii_alphabetic();
    let is_cyrillic = |c: char| ('\u{400}'..='\u{52F}').contains(&c);
    if !(word.chars().any(is_latin) && word.chars().any(is_cyrillic)) {
        return None;
    }
    let latin =
        |c: char| if is_latin(c) { Some(c) } else { LOOK_ALIKE.iter().find(|(from, _)| *from == c).map(|p| p.1) };
    let cyrillic =
        |c: char| if is_cyrillic(c) { Some(c) } else { LOOK_ALIKE.iter().find(|(_, to)| *to == c).map(|p| p.0) };
    word.chars().map(latin).collect::<Option<String>>().or_else(|| word.chars().map(cyrillic).collect())
}

/// The values of one cell: separated by line breaks, `;`, `/`, and `,`, outside brackets and quotes.
///
/// Never by «и»; never inside a number, a date, a URL or «и/или».
pub fn list(cell: &str) -> Vec<String> {
    let chars: Vec<char> = cell.chars().collect();
    let mut parts = vec![String::new()];
    let (mut depth, mut quoted) = (0usize, false);
    for (at, &c) in chars.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|at| chars.get(at)).copied().unwrap_or(' ');
        let after = chars.get(at + 1).copied().unwrap_or(' ');
        match c {
            '(' | '[' | '«' | '“' | '„' => depth += 1,
            ')' | ']' | '»' | '”' => depth = depth.saturating_sub(1),
            '"' => quoted = !quoted,
            _ => {}
        }
        let inside = depth > 0 || quoted;
        let numeric = before.is_ascii_digit() && after.is_ascii_digit();
        let slash = c == '/' && !numeric && before != '/' && after != '/' && !is_and_or(&chars, at);
        let separates = match c {
            '\n' | ';' => !inside || c == '\n',
            ',' => !inside && !numeric,
            '/' => !inside && slash,
            _ => false,
        };
        if c == '\n' {
            (depth, quoted) = (0, false);
        }
        match parts.last_mut() {
            Some(_) if separates => parts.push(String::new()),
            Some(part) => part.push(c),
            None => {}
        }
    }
    let trim =
        |part: &String| part.trim().trim_end_matches('.').trim().trim_start_matches(['•', '·']).trim().to_owned();
    let mut values: Vec<String> = Vec::new();
    for value in parts.iter().map(trim).filter(|value| !value.is_empty()) {
        if !values.iter().any(|seen| folded(seen) == folded(&value)) {
            values.push(value);
        }
    }
    values
}

fn is_and_or(chars: &[char], at: usize) -> bool {
    let tail: String = chars.iter().skip(at + 1).take(3).collect();
    let head = at.checked_sub(1).and_then(|at| chars.get(at));
    head.is_some_and(|c| matches!(c, 'и' | 'И')) && tail.to_lowercase() == "или"
}

/// Whether nothing was filled in: empty, dashes, underscores, or a bracketed prompt.
pub fn is_blank(text: &str) -> bool {
    let text = text.trim();
    if text.chars().all(|c| !c.is_alphanumeric() && c != '\u{FFFD}') {
        return true;
    }
    let Some(inner) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) else { return false };
    is_prompt(inner)
}

/// Whether a bracketed text is a prompt of the template («Исполнитель», «дд.мм.гггг») and not a value.
fn is_prompt(inner: &str) -> bool {
    const PROMPTS: [&str; 44] = [
        "исполнитель",
        "оператор",
        "заказчик",
        "обработчик",
        "клиент",
        "агентство",
        "ф и о",
        "фио",
        "дата",
        "срок",
        "наименование",
        "название",
        "номер",
        "система",
        "платформа",
        "цель",
        "уровень",
        "данные",
        "категории данных",
        "уровень доступа",
        "цель доступа",
        "срок доступа",
        "инн",
        "адрес",
        "подпись",
        "должность",
        "договор",
        "указать",
        "заполнить",
        "укажите",
        "ваше имя",
        "date",
        "name",
        "term",
        "until",
        "operator",
        "processor",
        "controller",
        "fill in",
        "tbd",
        "скрыто",
        "n",
        "число",
        "год",
    ];
    let inner = words(inner);
    let pattern = inner
        .split(' ')
        .all(|word| word.chars().all(|c| matches!(c, 'д' | 'м' | 'г' | 'd' | 'm' | 'y' | 'x' | 'х' | '_' | '0')));
    inner.is_empty()
        || pattern
        || PROMPTS.contains(&inner.as_str())
        || inner.starts_with("указать ")
        || inner.starts_with("наименование ")
}

/// Whether a part of the text is left to be filled in.
pub fn has_blank(text: &str) -> bool {
    text.contains("__")
        || text.contains("[_")
        || text.contains("…")
        || text.contains("...")
        || text.contains('\u{FFFD}')
        || {
            let open = text.find('[');
            let close = text.find(']');
            open.zip(close)
                .is_some_and(|(open, close)| open < close && text.get(open + 1..close).is_some_and(is_prompt))
        }
}

/// A value in brackets without them, and whether there were any.
pub fn unbracket(text: &str) -> (String, bool) {
    let inner = text.trim().strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    match inner {
        Some(inner) if !inner.contains(['[', ']']) => (inner.trim().to_owned(), true),
        _ => (text.to_owned(), false),
    }
}

/// A cell as it may stand in a CSV file: what a spreadsheet would run as a formula begins with an apostrophe.
pub fn csv_cell(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_split_where_people_do() {
        for (cell, parts) in [
            ("контакты, история заявок", &["контакты", "история заявок"][..]),
            ("контакты;\nистория заявок", &["контакты", "история заявок"]),
            ("имя (фамилия, отчество), e-mail", &["имя (фамилия, отчество)", "e-mail"]),
            ("настройка/аналитика", &["настройка", "аналитика"]),
            ("кампании и ретаргетинг", &["кампании и ретаргетинг"]),
            ("e-mail и/или телефон", &["e-mail и/или телефон"]),
            ("сегменты 1,5 и 2/3", &["сегменты 1,5 и 2/3"]),
            ("https://example.test/a", &["https://example.test", "a"]),
            ("«а; б», в", &["«а; б»", "в"]),
        ] {
            assert_eq!(list(cell), parts, "{cell}");
        }
    }

    #[test]
    fn look_alikes_are_folded_only_in_mixed_words() {
        assert_eq!(unmix("СRМ — amоСRM"), ("CRM — amoCRM".to_owned(), true));
        assert_eq!(unmix("Telegram-бот"), ("Telegram-бот".to_owned(), false));
        assert_eq!(unmix("прoсмoтр"), ("просмотр".to_owned(), true));
    }

    #[test]
    fn blanks_are_told_from_values() {
        for blank in ["", "-", "—", "____", "[___]", "[дд.мм.гггг]", "[Ф.И.О.]", "[Исполнитель]", "[ ]"]
        {
            assert!(is_blank(blank), "{blank}");
        }
        for value in ["[просмотр]", "до 31.12.2026", "CRM"] {
            assert!(!is_blank(value), "{value}");
        }
    }

    #[test]
    fn a_formula_is_quoted_for_csv() {
        assert_eq!(csv_cell("=HYPERLINK(1)"), "'=HYPERLINK(1)");
        assert_eq!(csv_cell("просмотр"), "просмотр");
    }
}
