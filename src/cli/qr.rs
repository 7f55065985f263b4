//! A QR code drawn on the terminal, for enrolling a second factor.
//!
//! Drawn for dark backgrounds: light modules are printed as blocks and dark ones left empty, so a reader sees dark on
//! light, with the quiet zone of four modules the standard asks for (ISO/IEC 18004). On a light background the colours
//! are swapped; most readers take that too. The text is a secret: the caller shows it once, on a terminal, and never
//! writes it to a file.

use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};

/// The code of a text as lines of half blocks; none if the text is too long for any code.
pub fn draw(text: &str) -> Option<String> {
    let code = QrCode::with_error_correction_level(text, EcLevel::M).ok()?;
    // `Dense1x2::Dark` is "a block is printed": here that is what the light modules get.
    let mut drawing = code.render::<Dense1x2>();
    drawing.dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).quiet_zone(true).module_dimensions(1, 1);
    Some(drawing.build())
}

#[cfg(test)]
mod tests {
    use super::*;
    use qrcode::Color;

    const URI: &str = "otpauth://totp/mandatum:%D0%9E%D0%BB%D1%8C%D0%B3%D0%B0?secret=JBSWY3DPEHPK3PXP&issuer=mandatum";

    /// The drawing read back: true where the screen is light.
    fn read_back(drawing: &str) -> Vec<Vec<bool>> {
        let mut rows = Vec::new();
        for line in drawing.lines() {
            let halves = |half: char| line.chars().map(|c| c == '█' || c == half).collect::<Vec<bool>>();
            rows.push(halves('▀'));
            rows.push(halves('▄'));
        }
        rows
    }

    #[test]
    fn every_module_is_where_it_belongs_and_dark_means_nothing_printed() {
        let (Some(drawing), Ok(code)) = (draw(URI), QrCode::with_error_correction_level(URI, EcLevel::M)) else {
            panic!("a short text has a code")
        };
        let (rows, width) = (read_back(&drawing), code.width());
        for y in 0..width + 8 {
            assert_eq!(rows[y].len(), width + 8);
            for x in 0..width + 8 {
                let inside = (4..width + 4).contains(&x) && (4..width + 4).contains(&y);
                let light = !inside || code[(x - 4, y - 4)] == Color::Light;
                assert_eq!(rows[y][x], light, "{x},{y}");
            }
        }
    }

    #[test]
    fn the_three_corners_hold_finder_patterns() {
        let drawing = draw(URI).unwrap_or_default();
        let rows = read_back(&drawing);
        let width = rows[0].len();
        for (left, top) in [(4, 4), (width - 11, 4), (4, width - 11)] {
            for y in 0..7 {
                for x in 0..7 {
                    let ring =
                        (1..6).contains(&x) && (1..6).contains(&y) && !((2..5).contains(&x) && (2..5).contains(&y));
                    assert_eq!(rows[top + y][left + x], ring, "{x},{y}");
                }
            }
        }
    }

    #[test]
    fn it_fits_a_terminal_and_refuses_what_no_code_holds() {
        assert!(draw(URI).is_some_and(|drawing| drawing.lines().all(|line| line.chars().count() <= 80)));
        assert_eq!(draw(&"x".repeat(3000)), None);
    }
}
