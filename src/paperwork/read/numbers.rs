//! Numbers in words: «6 (шесть) месяцев», «полгода». What is not surely the number is not a number.

/// The number a phrase says, in Russian or English, up to 999.
pub fn spoken(phrase: &str) -> Option<u32> {
    const TENS: [(&str, u32); 8] = [
        ("двадцат", 20),
        ("тридцат", 30),
        ("сорок", 40),
        ("пятьдесят", 50),
        ("шестьдесят", 60),
        ("семьдесят", 70),
        ("восемьдесят", 80),
        ("девяност", 90),
    ];
    let mut total = 0;
    let mut smallest = 1000;
    for word in phrase.split([' ', '-']).filter(|word| !word.is_empty()) {
        let tens = TENS.iter().find(|(stem, _)| word.strip_prefix(stem).is_some_and(is_ending)).map(|(_, n)| *n);
        let (value, size) = match (tens, units(word)) {
            (Some(value), _) => (value, 10),
            (None, Some(value)) if value >= 100 => (value, 100),
            (None, Some(value)) => (value, 1),
            (None, None) => return None,
        };
        if size >= smallest {
            return None;
        }
        smallest = size;
        total += value;
    }
    (total > 0).then_some(total)
}

fn is_ending(end: &str) -> bool {
    matches!(end, "" | "а" | "ь" | "и" | "о" | "ью" | "ти" | "ого" | "их")
}

fn units(word: &str) -> Option<u32> {
    const WORDS: [(&str, u32); 58] = [
        ("один", 1),
        ("одна", 1),
        ("одно", 1),
        ("одного", 1),
        ("одной", 1),
        ("одну", 1),
        ("one", 1),
        ("два", 2),
        ("две", 2),
        ("двух", 2),
        ("two", 2),
        ("три", 3),
        ("трех", 3),
        ("three", 3),
        ("четыре", 4),
        ("четырех", 4),
        ("four", 4),
        ("пять", 5),
        ("пяти", 5),
        ("five", 5),
        ("шесть", 6),
        ("шести", 6),
        ("six", 6),
        ("семь", 7),
        ("семи", 7),
        ("seven", 7),
        ("восемь", 8),
        ("восьми", 8),
        ("eight", 8),
        ("девять", 9),
        ("девяти", 9),
        ("nine", 9),
        ("десять", 10),
        ("десяти", 10),
        ("ten", 10),
        ("одиннадцать", 11),
        ("одиннадцати", 11),
        ("eleven", 11),
        ("двенадцать", 12),
        ("двенадцати", 12),
        ("twelve", 12),
        ("тринадцать", 13),
        ("четырнадцать", 14),
        ("четырнадцати", 14),
        ("пятнадцать", 15),
        ("пятнадцати", 15),
        ("шестнадцать", 16),
        ("семнадцать", 17),
        ("восемнадцать", 18),
        ("восемнадцати", 18),
        ("девятнадцать", 19),
        ("thirty", 30),
        ("sixty", 60),
        ("ninety", 90),
        ("сто", 100),
        ("ста", 100),
        ("двести", 200),
        ("триста", 300),
    ];
    WORDS.iter().find(|(name, _)| *name == word).map(|(_, number)| *number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_in_the_cases_they_stand_in() {
        for (phrase, number) in [
            ("шесть", Some(6)),
            ("шести", Some(6)),
            ("двенадцати", Some(12)),
            ("девяносто", Some(90)),
            ("тридцать один", Some(31)),
            ("сто восемьдесят", Some(180)),
            ("шестьдесят", Some(60)),
            ("пять тридцать", None),
            ("много", None),
        ] {
            assert_eq!(spoken(phrase), number, "{phrase}");
        }
    }
}
