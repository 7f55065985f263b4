//! Passwords that nobody had to invent.
//!
//! Every secret of a kind is equally likely: a draw that would favour some is thrown away and drawn again (rejection
//! sampling), both for a single character and for a password that lacks a class of characters, so requiring the classes
//! costs no uniformity. Randomness comes in as an argument.

use crate::agent::{Entropy, Secret};

/// Characters of a password unless another length is asked for: 142 bits.
#[cfg(test)]
const DEFAULT_LENGTH: usize = 24;

/// Words of a passphrase unless another count is asked for: 77 bits.
pub const DEFAULT_WORDS: usize = 7;

const LENGTHS: std::ops::RangeInclusive<usize> = 12..=128;
const COUNTS: std::ops::RangeInclusive<usize> = 6..=24;

// Nothing that is read for something else on paper or by telephone: no 0 and O, no 1, l, I and |.
const LOWER: &[u8] = b"abcdefghijkmnopqrstuvwxyz";
const UPPER: &[u8] = b"ABCDEFGHJKLMNPQRSTUVWXYZ";
const DIGITS: &[u8] = b"23456789";
const MARKS: &[u8] = b"-_.!*";
const CLASSES: [&[u8]; 4] = [LOWER, UPPER, DIGITS, MARKS];
const ALPHABET: usize = LOWER.len() + UPPER.len() + DIGITS.len() + MARKS.len();

/// At twelve characters one draw in two is kept; a thousand refusals in a row mean that the source is broken.
const TRIES: usize = 1000;

/// Why nothing was generated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GenerateError {
    /// A length outside the bounds.
    #[error("a password has {least} to {most} characters, not {0}", least = LENGTHS.start(), most = LENGTHS.end())]
    Length(usize),
    /// A count outside the bounds.
    #[error("a passphrase has {least} to {most} words, not {0}", least = COUNTS.start(), most = COUNTS.end())]
    Words(usize),
    /// The same draw again and again.
    #[error("the source of randomness repeats itself; nothing was generated")]
    Broken,
}

/// A password of so many characters: 62 different ones, none a look-alike, with at least one lower-case and one
/// upper-case letter, one digit and one of `-_.!*`. 5.95 bits a character: 71 at the least length, 142 at the default.
pub fn generate_password(length: usize, entropy: &dyn Entropy) -> Result<Secret, GenerateError> {
    if !LENGTHS.contains(&length) {
        return Err(GenerateError::Length(length));
    }
    for _ in 0..TRIES {
        let mut drawn = Vec::with_capacity(length);
        for _ in 0..length {
            drawn.push(draw_character(entropy)?);
        }
        // Wrapped before it is judged, so that a refused one is wiped as well.
        let password = Secret::new(drawn);
        if CLASSES.iter().all(|class| password.expose().iter().any(|byte| class.contains(byte))) {
            return Ok(password);
        }
    }
    Err(GenerateError::Broken)
}

/// So many English words joined by `-`: 11 bits a word (2048 words, the BIP 39 list, whose words differ within their
/// first four letters); 66 bits at the least count, 77 at the default.
pub fn generate_words(count: usize, entropy: &dyn Entropy) -> Result<Secret, GenerateError> {
    if !COUNTS.contains(&count) {
        return Err(GenerateError::Words(count));
    }
    let list = bip39::Language::English.word_list();
    // The longest word has eight letters: room enough that the buffer never moves and leaves a copy.
    let mut phrase = Vec::with_capacity(count * 9);
    for place in 0..count {
        if place > 0 {
            phrase.push(b'-');
        }
        let mut drawn = [0; 2];
        entropy.fill(&mut drawn);
        // 2048 divides 65536: the remainder is as uniform as the draw.
        let word = list[usize::from(u16::from_le_bytes(drawn)) % list.len()];
        phrase.extend_from_slice(word.as_bytes());
    }
    Ok(Secret::new(phrase))
}

/// One character of the alphabet. Bytes above the last whole multiple of its size are drawn again.
fn draw_character(entropy: &dyn Entropy) -> Result<u8, GenerateError> {
    let fair = 256 - 256 % ALPHABET;
    for _ in 0..TRIES {
        let mut drawn = [0; 1];
        entropy.fill(&mut drawn);
        let value = usize::from(drawn[0]);
        if value < fair {
            let mut characters = CLASSES.iter().flat_map(|class| class.iter());
            return characters.nth(value % ALPHABET).copied().ok_or(GenerateError::Broken);
        }
    }
    Err(GenerateError::Broken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::System;
    use std::collections::{BTreeMap, BTreeSet};

    struct Constant(u8);

    impl Entropy for Constant {
        fn fill(&self, buffer: &mut [u8]) {
            buffer.fill(self.0);
        }
    }

    /// Every byte value in turn, forever.
    struct Counting(std::sync::atomic::AtomicUsize);

    impl Entropy for Counting {
        fn fill(&self, buffer: &mut [u8]) {
            for byte in buffer {
                *byte = self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed) as u8;
            }
        }
    }

    fn text(secret: Result<Secret, GenerateError>) -> String {
        secret.ok().and_then(|secret| secret.expose_str().map(str::to_owned)).unwrap_or_default()
    }

    #[test]
    fn every_password_has_every_class_and_no_look_alike() {
        for length in [12, DEFAULT_LENGTH, 128] {
            for _ in 0..200 {
                let password = text(generate_password(length, &System));
                assert_eq!(password.len(), length);
                assert!(password.chars().any(|c| c.is_ascii_lowercase()), "lower");
                assert!(password.chars().any(|c| c.is_ascii_uppercase()), "upper");
                assert!(password.chars().any(|c| c.is_ascii_digit()), "digit");
                assert!(password.chars().any(|c| "-_.!*".contains(c)), "mark");
                assert!(!password.chars().any(|c| "0O1lI|".contains(c)), "look-alike");
                assert!(password.chars().all(|c| c.is_ascii_alphanumeric() || "-_.!*".contains(c)), "alphabet");
            }
        }
    }

    #[test]
    fn a_uniform_source_gives_exactly_uniform_characters() {
        let source = Counting(0.into());
        let mut counts: BTreeMap<u8, usize> = BTreeMap::new();
        for _ in 0..ALPHABET * 4 * 8 {
            *counts.entry(draw_character(&source).unwrap_or_default()).or_default() += 1;
        }
        // Eight whole turns of the 256 byte values: 248 of each turn are kept, four for each character.
        assert_eq!(counts.len(), 62);
        assert!(counts.values().all(|count| *count == 32), "{counts:?}");
    }

    /// Chi squared over 62 characters (61 degrees of freedom): beyond 150 once in some 10^9 runs. A plain remainder
    /// without rejection would favour eight characters by a quarter and give over 300.
    #[test]
    fn the_characters_of_long_passwords_are_spread_evenly() {
        let mut counts: BTreeMap<u8, f64> = BTreeMap::new();
        let passwords = 400;
        for _ in 0..passwords {
            for byte in text(generate_password(128, &System)).bytes() {
                *counts.entry(byte).or_default() += 1.0;
            }
        }
        assert_eq!(counts.len(), ALPHABET);
        let expected = f64::from(passwords) * 128.0 / ALPHABET as f64;
        let chi: f64 = counts.values().map(|count| (count - expected).powi(2) / expected).sum();
        assert!(chi < 150.0, "{chi}");
    }

    #[test]
    fn words_are_of_the_list_and_all_of_it_is_used() {
        let list = bip39::Language::English.word_list();
        let mut seen = BTreeSet::new();
        for _ in 0..2000 {
            let phrase = text(generate_words(DEFAULT_WORDS, &System));
            let words: Vec<&str> = phrase.split('-').collect();
            assert_eq!(words.len(), DEFAULT_WORDS);
            assert!(words.iter().all(|word| list.contains(word)));
            seen.extend(words.into_iter().map(str::to_owned));
        }
        // 14 000 draws of 2048 miss two on average, and never fifty.
        assert!(seen.len() > 1998, "{}", seen.len());
        assert!(list.iter().all(|word| word.len() <= 8));
    }

    #[test]
    fn the_same_draws_give_the_same_secret() {
        let one = |start: usize| text(generate_password(20, &Counting(start.into())));
        assert_eq!(one(7), one(7));
        assert_ne!(one(7), one(90));
        assert_eq!(text(generate_words(6, &Constant(0))), ["abandon"; 6].join("-"));
    }

    #[test]
    fn bounds_are_refused_with_a_sentence() {
        for length in [0, 11, 129, usize::MAX] {
            assert_eq!(generate_password(length, &System).err(), Some(GenerateError::Length(length)));
        }
        for count in [0, 5, 25, usize::MAX] {
            assert_eq!(generate_words(count, &System).err(), Some(GenerateError::Words(count)));
        }
        assert_eq!(GenerateError::Length(8).to_string(), "a password has 12 to 128 characters, not 8");
    }

    #[test]
    fn a_broken_source_is_an_error_and_not_an_endless_loop() {
        for byte in [0, 255] {
            assert_eq!(generate_password(24, &Constant(byte)).err(), Some(GenerateError::Broken));
        }
    }
}
