//! Names of files that operators receive.

use crate::model::Date;

/// The longest part a name gives, characters: in bytes, with date and ending, still a file name everywhere.
const NAME_MAX: usize = 80;

/// `Romashka-2026-03-02.mandatum-extract`: letters, digits and `-_.` as they are, anything else as `_`.
pub fn copy_name(of: &str, date: Date, ending: &str) -> String {
    let kept = |c: char| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '_' };
    let name: String = of.chars().take(NAME_MAX).map(kept).collect();
    // Never hidden, never an option.
    let name = name.trim_start_matches(['.', '-']);
    format!("{name}-{date}.{ending}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_plain_file_name() {
        let date = "2026-03-02".parse().unwrap();
        for (of, name) in [
            ("Romashka-17/2026", "Romashka-17_2026-2026-03-02.x"),
            ("../../etc/passwd", "_.._etc_passwd-2026-03-02.x"),
            ("ООО «Ромашка»", "ООО__Ромашка_-2026-03-02.x"),
            ("-rf", "rf-2026-03-02.x"),
        ] {
            assert_eq!(copy_name(of, date, "x"), name);
        }
        assert!(copy_name(&"Ж".repeat(500), date, "mandatum-checkpoint").len() < 255);
    }
}
