//! The words of a finished file, and what is asserted about them.

use mandatum::paperwork::{Sheet, docx, html};
use std::io::Read;

/// One part of a DOCX as text.
pub fn part(bytes: &[u8], name: &str) -> String {
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(bytes)).unwrap();
    let mut text = String::new();
    archive.by_name(name).unwrap().read_to_string(&mut text).unwrap();
    text
}

/// The words of markup: elements become single spaces, entities characters, bound spaces plain ones.
pub fn words(markup: &str) -> String {
    let body = markup.split_once("<body").map_or(markup, |(_, body)| body);
    let mut text = String::new();
    let mut inside = false;
    for c in body.chars() {
        match c {
            '<' => inside = true,
            '>' => {
                inside = false;
                text.push(' ');
            }
            other if !inside => text.push(other),
            _ => {}
        }
    }
    for (entity, c) in [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&apos;", "'"), ("&amp;", "&")]
    {
        text = text.replace(entity, c);
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The words of a sheet's DOCX and of its HTML.
pub fn both(sheet: &Sheet) -> [(&'static str, String); 2] {
    let bytes = docx(sheet).unwrap();
    let footers = words(&part(&bytes, "word/footer1.xml"));
    [("docx", words(&part(&bytes, "word/document.xml")) + " " + &footers), ("html", words(&html(sheet)))]
}

/// Says which fact is not printed.
pub fn assert_said(sheet: &Sheet, facts: &[&str]) {
    for (format, text) in both(sheet) {
        for fact in facts {
            assert!(text.contains(fact), "{format} of «{}» does not say «{fact}»:\n{text}", sheet.title);
        }
    }
}

/// Says which text is printed and must not be.
pub fn assert_not_said(sheet: &Sheet, texts: &[&str]) {
    for (format, said) in both(sheet) {
        for text in texts {
            assert!(!said.contains(text), "{format} of «{}» says «{text}»:\n{said}", sheet.title);
        }
    }
}
