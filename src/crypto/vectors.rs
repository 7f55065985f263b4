//! Published cases, as `tests/vectors` holds them.

use data_encoding::HEXLOWER;

/// One case: what goes in, and whether it is to be taken.
pub struct Case<const PARTS: usize> {
    pub number: u32,
    pub valid: bool,
    pub parts: [Vec<u8>; PARTS],
}

/// The cases of a file: number, `valid` or `invalid`, and so many parts in hex, `-` where empty.
pub fn cases<const PARTS: usize>(file: &str) -> Vec<Case<PARTS>> {
    let lines = file.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let words: Vec<&str> = line.split(' ').collect();
            let [number, result, parts @ ..] = words.as_slice() else { panic!("{line}") };
            let valid = match *result {
                "valid" => true,
                "invalid" => false,
                _ => panic!("{line}"),
            };
            let parts: Vec<Vec<u8>> =
                parts.iter().map(|part| HEXLOWER.decode(part.trim_matches('-').as_bytes()).unwrap()).collect();
            Case { number: number.parse().unwrap(), valid, parts: parts.try_into().unwrap() }
        })
        .collect()
}
