//! How hard a secret is to guess.
//!
//! `zxcvbn` finds words, names, dates, keyboard walks and repeats, but knows no Russian: it takes `Пароль123` for
//! noise. So a secret is judged in every way an attacker from here would write it: as it is, as the same keys in the
//! other layout (`ghbdtn` is `привет`), and in Latin letters; the easiest reading counts. Our own list of Russian words
//! joins its dictionaries, in the same three forms, after the names that belong to the account.
//!
//! The bounds, in guesses of an offline attack. Under 10^8.5 is [`Strength::Weak`]: `zxcvbn`'s scores 0 to 2 end at
//! 10^8, but it counts 10^8 for any three parts in a row however common they are, and a word, a year and a mark
//! (`Moskva2025!`) is what a rule that demands them gets. Nine random characters are above it. Under 10^12 is
//! [`Strength::Fair`]: a stolen table of fast hashes gives it up within the hour. Anything else is
//! [`Strength::Strong`]. [`Strength::Random`] is never found here: where a secret came from cannot be read off it.
//!
//! What it does not know: Russian words that are not on the list count as letters drawn at random, so the result is an
//! upper bound. Only the first hundred characters are judged, since the time grows with their square.
//!
//! The reason is one of a few fixed sentences, `&'static str` by type, so no part of a secret can be in it.

use crate::agent::Secret;
use crate::model::Strength;
use std::collections::HashSet;
use std::sync::LazyLock;
use zxcvbn::feedback::Warning;

/// Below this many guesses (as a power of ten) a secret is weak.
const WEAK_BELOW: f64 = 8.5;

/// Below this many guesses (as a power of ten) it is only fair.
const FAIR_BELOW: f64 = 12.0;

/// Characters of a secret that are judged.
const MAX_CHARS: usize = 100;

/// Characters of one name that are taken into account.
const MAX_NAME_CHARS: usize = 200;

/// The least length of a name's word: shorter ones are in everything.
const MIN_NAME_CHARS: usize = 3;

const RUSSIAN_WORDS: &str = include_str!("strength_ru.txt");

/// The words of the list in each form they are typed in: made once, for an import judges thousands of secrets.
static RUSSIAN_FORMS: LazyLock<Vec<Form>> = LazyLock::new(|| {
    let words = RUSSIAN_WORDS.lines().filter(|line| !line.starts_with('#')).flat_map(str::split_whitespace);
    forms_of(words).into_iter().map(|word| Form { begins: begin(&word), word }).collect()
});

/// A word, and the place of how it begins: see [`look`].
struct Form {
    word: String,
    begins: usize,
}

/// The keys of both layouts, unshifted and shifted, in the same order.
const LATIN_KEYS: &str = "`qwertyuiop[]asdfghjkl;'zxcvbnm,./~QWERTYUIOP{}ASDFGHJKL:\"ZXCVBNM<>?@#$^&|";
const RUSSIAN_KEYS: &str = "ёйцукенгшщзхъфывапролджэячсмитьбю.ЁЙЦУКЕНГШЩЗХЪФЫВАПРОЛДЖЭЯЧСМИТЬБЮ,\"№;:?/";

/// How hard a secret is to guess, and what makes it so.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The verdict.
    pub strength: Strength,
    /// Guesses as a power of ten; 0 for an empty secret.
    pub guesses_log10: f64,
    /// A sentence for the user, without a full stop.
    pub reason: &'static str,
}

/// Judges a secret. Names around it (user name, operator, system) count for nothing in it.
pub fn estimate(secret: &str, about: &[&str]) -> Estimate {
    if secret.is_empty() {
        return Estimate { strength: Strength::Weak, guesses_log10: 0.0, reason: "it is empty" };
    }
    let names = forms_of(about.iter().flat_map(|name| words_of_name(name)));
    let Some((reading, found)) = readings(secret)
        .into_iter()
        .map(|(reading, text)| (reading, guess(text, &names)))
        .min_by(|(_, a), (_, b)| a.guesses_log10.total_cmp(&b.guesses_log10))
    else {
        return Estimate { strength: Strength::Weak, guesses_log10: 0.0, reason: "it could not be judged" };
    };
    let strength = verdict(found.guesses_log10);
    let reason = if strength == Strength::Strong { "hard to guess" } else { explain(reading, &found, &names) };
    Estimate { strength, guesses_log10: found.guesses_log10, reason }
}

fn verdict(guesses_log10: f64) -> Strength {
    match guesses_log10 {
        weak if weak < WEAK_BELOW => Strength::Weak,
        fair if fair < FAIR_BELOW => Strength::Fair,
        _ => Strength::Strong,
    }
}

/// A way to write the same secret.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    AsIs,
    OtherLayout,
    InLatin,
}

/// What one reading came to.
struct Found {
    guesses_log10: f64,
    warning: Option<Warning>,
    /// The words of the dictionaries that were found.
    words: Vec<Secret>,
}

/// The readings of a secret, in the order that decides between equals.
fn readings(secret: &str) -> Vec<(Reading, Secret)> {
    let head = Secret::new(secret.chars().take(MAX_CHARS).collect::<String>().into_bytes());
    let text = head.expose_str().unwrap_or_default();
    let written = [
        (Reading::OtherLayout, swap(text, RUSSIAN_KEYS, LATIN_KEYS)),
        (Reading::OtherLayout, swap(text, LATIN_KEYS, RUSSIAN_KEYS)),
        (Reading::InLatin, transliterate(text, POPULAR)),
    ];
    let written = written.map(|(reading, text)| (reading, Secret::new(text.into_bytes())));
    let mut readings: Vec<(Reading, Secret)> = Vec::with_capacity(4);
    for (reading, text) in written {
        if text != head && readings.iter().all(|(_, other)| *other != text) {
            readings.push((reading, text));
        }
    }
    readings.insert(0, (Reading::AsIs, head));
    readings
}

fn guess(text: Secret, names: &[String]) -> Found {
    use zxcvbn::matching::patterns::MatchPattern;
    let shown = text.expose_str().unwrap_or_default();
    let known: Vec<&str> =
        names.iter().map(String::as_str).chain(near(shown).iter().map(|form| form.word.as_str())).collect();
    // zxcvbn cuts a longer text (transliterated ones are) to a hundred characters itself.
    let entropy = zxcvbn::zxcvbn(shown, &known);
    let words = entropy.sequence().iter().filter_map(|part| match &part.pattern {
        MatchPattern::Dictionary(pattern) => Some(Secret::copy_of(pattern.matched_word.as_bytes())),
        _ => None,
    });
    Found {
        guesses_log10: entropy.guesses_log10().max(0.0),
        warning: entropy.feedback().and_then(|feedback| feedback.warning()),
        words: words.collect(),
    }
}

/// The list as far as its last word that the text might hold: what comes after cannot be found in it, and a word's
/// place in the list is its rank. Handing all of it over for every secret is most of the time of an import.
fn near(text: &str) -> &'static [Form] {
    let forms = &**RUSSIAN_FORMS;
    let there = zeroize::Zeroizing::new(look(text));
    let back = zeroize::Zeroizing::new(there.iter().rev().copied().collect::<Vec<char>>());
    let mut pairs = zeroize::Zeroizing::new([false; 4096]);
    for pair in there.windows(2).chain(back.windows(2)) {
        pairs[place(pair)] = true;
    }
    let held = |form: &Form| {
        let within = |text: &[char], word: &[char]| text.windows(word.len().max(1)).any(|part| part == word);
        pairs[form.begins] && (within(&there, &look(&form.word)) || within(&back, &look(&form.word)))
    };
    let last = forms.iter().rposition(held);
    forms.get(..last.map_or(0, |last| last + 1)).unwrap_or_default()
}

fn place(pair: &[char]) -> usize {
    pair.iter().fold(0, |place, &c| (place * 61 + c as usize) % 4096)
}

/// A text as `zxcvbn` compares it, coarser: without case, and one character for all that it takes for one another.
fn look(text: &str) -> Vec<char> {
    let mut looks = Vec::with_capacity(text.len());
    looks.extend(text.chars().map(seen));
    looks
}

fn begin(word: &str) -> usize {
    let mut letters = word.chars().map(seen);
    place(&[letters.next().unwrap_or(' '), letters.next().unwrap_or(' ')])
}

fn seen(c: char) -> char {
    let lower = if c.is_ascii() { c.to_ascii_lowercase() } else { c.to_lowercase().next().unwrap_or(c) };
    match lower {
        '4' | '@' => 'a',
        '8' => 'b',
        '(' | '{' | '[' | '<' => 'c',
        '3' => 'e',
        '6' | '9' => 'g',
        '1' | '!' | '|' | '7' | '+' | 'l' | 't' => 'i',
        '0' => 'o',
        '$' | '5' => 's',
        '%' => 'x',
        '2' => 'z',
        other => other,
    }
}

fn explain(reading: Reading, found: &Found, names: &[String]) -> &'static str {
    let is_name = |word: &Secret| names.iter().any(|name| name.as_bytes() == word.expose());
    if found.words.iter().any(is_name) {
        return "it is built on a name that belongs to this account, operator or system";
    }
    if !found.words.is_empty() {
        return match reading {
            Reading::AsIs => "it is built on common words or names",
            Reading::OtherLayout => "it is built on common words or names, typed in the other keyboard layout",
            Reading::InLatin => "it is built on common words or names, written in Latin letters",
        };
    }
    match found.warning {
        Some(Warning::StraightRowsOfKeysAreEasyToGuess | Warning::ShortKeyboardPatternsAreEasyToGuess) => {
            "it follows the rows of the keyboard"
        }
        Some(Warning::RepeatsLikeAaaAreEasyToGuess | Warning::RepeatsLikeAbcAbcAreOnlySlightlyHarderToGuess) => {
            "it repeats itself"
        }
        Some(Warning::SequencesLikeAbcAreEasyToGuess) => "it counts up or down",
        Some(Warning::RecentYearsAreEasyToGuess | Warning::DatesAreOftenEasyToGuess) => "it is a date or a year",
        _ => "it is too short",
    }
}

/// What a secret might be made of: a name's words, the parts of an address as written, and the name run together.
fn words_of_name(name: &str) -> Vec<String> {
    let name: String = name.chars().take(MAX_NAME_CHARS).collect::<String>().to_lowercase();
    let long = |word: &String| word.chars().count() >= MIN_NAME_CHARS;
    let joined: String = name.chars().filter(|c| c.is_alphanumeric()).collect();
    let words = name.split(|c: char| !c.is_alphanumeric());
    let parts = name.split(|c: char| c.is_whitespace() || c == '@');
    words.chain(parts).map(str::to_owned).chain([joined]).filter(long).collect()
}

/// Words in each form they are typed in, the plain ones first: they are tried first.
fn forms_of(words: impl Iterator<Item = impl AsRef<str>>) -> Vec<String> {
    let plain: Vec<String> = words.map(|word| word.as_ref().to_owned()).collect();
    let latin = |table| plain.iter().map(move |word| transliterate(word, table));
    let swapped = plain.iter().map(|word| swap(word, RUSSIAN_KEYS, LATIN_KEYS));
    let back = plain.iter().map(|word| swap(word, LATIN_KEYS, RUSSIAN_KEYS));
    let forms = plain.iter().cloned().chain(latin(POPULAR)).chain(latin(PASSPORT)).chain(latin(SHORT));
    let mut seen = HashSet::new();
    forms.chain(swapped).chain(back).filter(|form| seen.insert(form.clone())).collect()
}

/// The same keys in the other layout; what is on neither side stays.
fn swap(text: &str, from: &str, to: &str) -> String {
    let key = |c: char| match from.find(c) {
        // Both layouts are read in one order; the sides differ in the bytes a letter takes.
        Some(at) => to.chars().nth(from[..at].chars().count()).unwrap_or(c),
        None => c,
    };
    // Room for the widest letters of both layouts (№ has three bytes), so that no copy is left behind.
    let mut swapped = String::with_capacity(text.len() * 3);
    swapped.extend(text.chars().map(key));
    swapped
}

/// Cyrillic letters in alphabetical order, а to я and then ё, in one way of writing them in Latin.
type Latin = [&'static str; 33];

/// As people write it.
const POPULAR: &Latin = &[
    "a", "b", "v", "g", "d", "e", "zh", "z", "i", "y", "k", "l", "m", "n", "o", "p", "r", "s", "t", "u", "f", "h", "c",
    "ch", "sh", "sch", "", "y", "", "e", "yu", "ya", "e",
];

/// As in passports (ICAO 9303; GOST R 52535.1).
const PASSPORT: &Latin = &[
    "a", "b", "v", "g", "d", "e", "zh", "z", "i", "i", "k", "l", "m", "n", "o", "p", "r", "s", "t", "u", "f", "kh",
    "ts", "ch", "sh", "shch", "ie", "y", "", "e", "iu", "ia", "e",
];

/// With the fewest letters, as in old e-mail.
const SHORT: &Latin = &[
    "a", "b", "v", "g", "d", "e", "j", "z", "i", "j", "k", "l", "m", "n", "o", "p", "r", "s", "t", "u", "f", "x", "c",
    "4", "w", "w", "", "y", "", "e", "ju", "ja", "jo",
];

/// Cyrillic in Latin letters; everything else stays. Case goes: `zxcvbn` ignores it where it looks for words.
fn transliterate(text: &str, table: &Latin) -> String {
    let mut latin = String::with_capacity(text.len() * 4);
    for c in text.chars().flat_map(char::to_lowercase) {
        let place = match c {
            'а'..='я' => Some(c as usize - 'а' as usize),
            'ё' => Some(32),
            _ => None,
        };
        match place.and_then(|place| table.get(place)) {
            Some(letters) => latin.push_str(letters),
            None => latin.push(c),
        }
    }
    latin
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::System;
    use crate::cli::generate::{generate_password, generate_words};

    fn strength(secret: &str) -> Strength {
        estimate(secret, &[]).strength
    }

    #[test]
    fn what_people_here_choose_is_weak() {
        let chosen = [
            "Пароль123",
            "йцукен123",
            "Ghbdtn2024",
            "parol123",
            "Москва2025!",
            "Gfhjkm123",
            "Moskva2025!",
            "солнышко1",
            "Solnyshko!!",
            "Kexibq123",
            "Yfnfif1990",
            "natasha1985",
            "январь2025",
            "Admin123!",
            "йцукенгшщз",
            "Ыщтнф1",
            "люблюмаму",
            "qwerty123",
            "Password1!",
            "лшеентсфе",
        ];
        let not_weak: Vec<&str> = chosen.into_iter().filter(|secret| strength(secret) != Strength::Weak).collect();
        assert_eq!(not_weak, Vec::<&str>::new());
    }

    #[test]
    fn what_nobody_chose_is_strong() {
        for _ in 0..20 {
            let password = generate_password(24, &System).ok();
            assert_eq!(password.as_ref().and_then(Secret::expose_str).map(strength), Some(Strength::Strong));
            let words = generate_words(7, &System).ok();
            assert_eq!(words.as_ref().and_then(Secret::expose_str).map(strength), Some(Strength::Strong));
        }
        assert_eq!(strength("щЖ7бёЪ2фЭюы9ЦгЧъ"), Strength::Strong);
    }

    #[test]
    fn the_bounds_are_where_the_comment_says() {
        let rows = [(0.0, Strength::Weak), (8.49, Strength::Weak), (8.5, Strength::Fair), (11.99, Strength::Fair)];
        for (guesses, expected) in rows.into_iter().chain([(12.0, Strength::Strong), (40.0, Strength::Strong)]) {
            assert_eq!(verdict(guesses), expected, "{guesses}");
        }
        assert_eq!(strength("k7#Qz!v2"), Strength::Weak);
        assert_eq!(strength("k7#Qz!v2p"), Strength::Fair);
    }

    #[test]
    fn names_around_the_account_count_for_nothing() {
        let rows = [
            ("Техноромика2024", "ООО «Техноромика»"),
            ("tehnoromika2024", "ООО «Техноромика»"),
            ("Nt[yjhjvbrf2024", "ООО «Техноромика»"),
            ("zvezdopad.irk77", "zvezdopad.irk@example.ru"),
            ("ЗщкефдЧнякукы1", "PortalXyzrers"),
        ];
        for (secret, name) in rows {
            let (without, with) = (estimate(secret, &[]), estimate(secret, &[name]));
            assert!(with.guesses_log10 < without.guesses_log10 - 1.0, "{secret}: {with:?} {without:?}");
            assert_eq!(with.strength, Strength::Weak, "{secret}");
            assert!(with.reason.contains("belongs to this account"), "{secret}: {}", with.reason);
        }
    }

    #[test]
    fn the_reason_says_what_is_wrong_and_holds_no_part_of_the_secret() {
        let rows = [
            ("Пароль123", "common words"),
            ("Ghbdtn2024", "common words"),
            ("zzzzzzzzzzzz", "repeats"),
            ("23.08.1987", "date"),
            ("x9$", "too short"),
            ("", "empty"),
        ];
        for (secret, said) in rows {
            let reason = estimate(secret, &[]).reason;
            assert!(reason.contains(said), "{secret}: {reason}");
            let lower = secret.to_lowercase();
            let parts = lower.char_indices().filter_map(|(at, _)| lower.get(at..)?.get(..4));
            for part in parts {
                assert!(!reason.to_lowercase().contains(part), "{part}");
            }
        }
    }

    #[test]
    fn leaving_out_words_that_cannot_be_in_it_changes_nothing() {
        let all: Vec<&str> = RUSSIAN_FORMS.iter().map(|form| form.word.as_str()).collect();
        for text in
            ["пароль", "Gfhjkm2024", "p4r0l!", "lorap", "ьлорап77", "kr@sn0d@r", "Xk9$vQ2!mZ7w", "moskva-spb", ""]
        {
            let known: Vec<&str> = near(text).iter().map(|form| form.word.as_str()).collect();
            let guesses = |known: &[&str]| zxcvbn::zxcvbn(text, known).guesses();
            assert_eq!(guesses(&known), guesses(&all), "{text}");
        }
        assert!(near("Xk9$vQ2!mZ7w").is_empty());
    }

    #[test]
    fn the_layouts_match_key_for_key() {
        assert_eq!(LATIN_KEYS.chars().count(), RUSSIAN_KEYS.chars().count());
        assert_eq!(swap("ghbdtn? Vjcrdf!", LATIN_KEYS, RUSSIAN_KEYS), "привет, Москва!");
        assert_eq!(swap("Пароль", RUSSIAN_KEYS, LATIN_KEYS), "Gfhjkm");
    }

    #[test]
    fn letters_are_transliterated_in_the_three_ways() {
        assert_eq!(transliterate("Щёлочь Юга 7", POPULAR), "scheloch yuga 7");
        assert_eq!(transliterate("Щёлочь Юга 7", PASSPORT), "shcheloch iuga 7");
        assert_eq!(transliterate("Хорошо", SHORT), "xorowo");
        assert_eq!(transliterate("ё я а", POPULAR), "e ya a");
    }

    #[test]
    fn the_list_is_lower_case_cyrillic_and_long_enough() {
        let words: Vec<&str> =
            RUSSIAN_WORDS.lines().filter(|line| !line.starts_with('#')).flat_map(str::split_whitespace).collect();
        assert!(words.len() >= 250, "{}", words.len());
        let plain = |word: &&&str| word.chars().all(|c| matches!(c, 'а'..='я' | 'ё'));
        assert_eq!(words.iter().filter(|word| !plain(word)).collect::<Vec<_>>(), Vec::<&&str>::new());
    }

    #[test]
    fn any_text_is_judged_and_a_long_one_by_its_head() {
        for secret in ["\0", "\u{1f600}\u{301}", "ﬀİıß", "№№№№", " ", "\u{202e}a", "Ё", "e\u{301}"] {
            assert!(estimate(secret, &[secret, "", "\u{1f600}"]).guesses_log10.is_finite(), "{secret:?}");
        }
        let head = "щ".repeat(MAX_CHARS);
        let long = format!("{head}{}", "k7#Qz!v2p".repeat(20_000));
        assert_eq!(estimate(&long, &[]), estimate(&head, &[]));
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(40))]

        #[test]
        fn a_known_name_never_makes_a_secret_stronger(secret in "[a-zа-яё0-9!]{1,14}", name in "[a-zа-я]{3,8}") {
            let (without, with) = (estimate(&secret, &[]), estimate(&secret, &[&name]));
            // The list moves down by the name's forms, which is worth a fraction of a power of ten.
            proptest::prop_assert!(with.guesses_log10 <= without.guesses_log10 + 1.5);
        }
    }
}
