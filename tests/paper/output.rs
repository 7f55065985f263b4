//! What holds for every document: no marker, no claim, no hostile text, the same bytes.

use crate::facts::*;
use mandatum::model::{Digest, Kind, Strength};
use mandatum::paperwork::documents::*;
use mandatum::paperwork::{Lang, docx, html};

#[test]
fn no_document_in_any_language_has_a_marker_or_a_claim_we_do_not_make() {
    let claims =
        ["tamper-proof", "hidden password", "remote wipe", "purpose enforced", "compliant", "соответствует 152"];
    for lang in [Lang::Ru, Lang::En] {
        for (name, sheet) in all(lang) {
            for (format, text) in both(&sheet) {
                let lower = text.to_lowercase();
                assert!(!text.contains('{') && !text.contains('}'), "{name} {format}: a marker is left:\n{text}");
                for claim in claims {
                    assert!(!lower.contains(claim), "{name} {format} claims «{claim}»");
                }
                assert!(text.contains(sheet.footer()), "{name} {format} has no footer");
                let invented = if lang == Lang::Ru { "Left blank" } else { "Незаполнено" };
                assert!(!text.contains(invented) && sheet.unfilled.is_empty(), "{name} {format}: {:?}", sheet.unfilled);
            }
        }
    }
}

/// English documents are for operators under the GDPR: no Russian law, and no Russian word of ours.
#[test]
fn english_documents_refer_to_the_gdpr_alone() {
    let russian = |press: &str| press.chars().filter(|c| ('а'..='я').contains(c)).count();
    for (name, sheet) in all(Lang::En) {
        assert_not_said(&sheet, &["152-ФЗ", "Роскомнадзор", "Federal Law", "Order 179", "[а]"]);
        // The facts are Russian here; what the program adds is not. Its own words are in heads and labels.
        for block in &sheet.blocks {
            let own = match block {
                mandatum::paperwork::Block::Heading(text) => text.clone(),
                mandatum::paperwork::Block::Field { label, .. } => label.clone(),
                mandatum::paperwork::Block::Table(table) => {
                    table.columns.iter().map(|column| column.head.clone()).collect()
                }
                _ => String::new(),
            };
            assert_eq!(russian(&own), 0, "{name}: «{own}»");
        }
    }
    let said = |name: &str, fact: &str| {
        let (_, sheet) = all(Lang::En).into_iter().find(|(found, _)| *found == name).unwrap();
        assert_said(&sheet, &[fact]);
    };
    said("mandate", "Art. 28(3) GDPR");
    said("mandate", "Art. 32 GDPR");
    said("mandate", "No. System Data categories Access level Purpose of access Access term Kind of access");
    said("incident", "Art. 33(1) GDPR");
    said("termination", "Art. 28(3)(g) GDPR");
    said("package", "Art. 28(3)(h) GDPR");
    said("safeguards", "1 + 1 + 1 + 2 = 5 credentials.");
}

#[test]
fn assurance_and_its_limit_stand_in_the_act_the_extract_and_the_package() {
    for (level, ru) in [(Assurance::Solo, "solo"), (Assurance::Account, "account"), (Assurance::Host, "host")] {
        let limit = format!("Уровень гарантии: {ru}. Хранитель работал");
        pressed(Lang::Ru, |press| {
            let act = TerminationAct { assurance: level, ..termination() }.sheet(press).unwrap();
            let extract = AccessLogExtract { assurance: level, ..extract() }.sheet(press).unwrap();
            let package = ProofPackage { assurance: level, ..package() }.sheet(press);
            for sheet in [act, extract, package] {
                assert_said(&sheet, &[&limit, "показанный человеку секрет забыт"]);
            }
        });
    }
}

/// What a person typed cannot become markup, a field, a formula or another order of letters.
#[test]
fn hostile_text_is_text() {
    let mut facts = revocation();
    // Text refuses control and bidirectional characters itself; markup and formulas it does not.
    let hostile = "<script>alert(1)</script> & \"'";
    facts.items[0].seen_by = vec![t(hostile)];
    facts.items[0].proof = t("=HYPERLINK(\"http://example.test\")");
    facts.items[1].system = t("=HYPERLINK(\"http://example.test\",\"x\")");
    let sheet = pressed(Lang::Ru, |press| facts.sheet(press));
    assert_said(&sheet, &[hostile, "'=HYPERLINK(\"http://example.test\",\"x\")"]);
    let page = html(&sheet);
    assert!(!page.contains("<script") && page.contains("&lt;script&gt;alert(1)&lt;/script&gt; &amp; &quot;&#39;"));
    let xml = part(&docx(&sheet).unwrap(), "word/document.xml");
    assert!(!xml.contains("<script") && !xml.contains("w:instrText") && !xml.contains("w:hyperlink"));

    // A sheet is plain strings: what its maker let through is caught by the writers.
    let mut sheet = sheet;
    sheet.title = "a\u{202E}b\u{0}c\u{FFFE}".to_owned();
    for text in [html(&sheet), part(&docx(&sheet).unwrap(), "word/document.xml")] {
        assert!(text.contains("a\u{FFFD}b\u{FFFD}c\u{FFFD}"));
        assert!(!text.contains(['\u{202E}', '\u{0}', '\u{FFFE}']));
    }
    // And it cannot pass for the mark by which a head row is found.
    sheet.title = "<w:trHeight w:val=\"7\" w:hRule=\"atLeast\" />".to_owned();
    let xml = part(&docx(&sheet).unwrap(), "word/document.xml");
    assert!(xml.contains("&lt;w:trHeight") && xml.matches("<w:tblHeader />").count() == 1);
}

#[test]
fn pages_fetch_and_run_nothing() {
    for (name, sheet) in all(Lang::Ru) {
        let page = html(&sheet).to_lowercase();
        for forbidden in [
            "<script",
            "<link",
            "<img",
            "<iframe",
            "src=",
            "href=",
            "url(",
            "@import",
            "http:",
            "https:",
            "javascript:",
        ] {
            assert!(!page.contains(forbidden), "{name} contains {forbidden}");
        }
        assert!(page.contains("default-src 'none'") && page.contains("@page{size:a4"));
    }
}

#[test]
fn the_same_facts_give_the_same_bytes() {
    for ((name, one), (_, two)) in all(Lang::Ru).into_iter().zip(all(Lang::Ru)) {
        let (first, here) = (docx(&one).unwrap(), html(&one));
        // Another thread, and a paragraph of somebody else's: the library numbers those of a thread in one row.
        let elsewhere = std::thread::spawn(move || {
            let _stray = docx_rs::Paragraph::new();
            (docx(&two).unwrap(), html(&two))
        });
        let (second, there) = elsewhere.join().unwrap();
        assert!(first == second && here == there, "{name}");
        let mut archive = zip::ZipArchive::new(std::io::Cursor::new(&first)).unwrap();
        for at in 0..archive.len() {
            let year = archive.by_index(at).unwrap().last_modified().map(|time| time.year());
            assert_eq!(year, Some(1980), "{name}: no clock of the machine is in the archive");
        }
        let core = part(&first, "docProps/core.xml");
        assert!(core.contains(MADE) && core.matches("2027-").count() == 2, "{core}");
    }
}

/// A digest and a date that change must change the file: determinism is not emptiness.
#[test]
fn other_facts_give_other_bytes() {
    let other = Heading { source: Some(Digest([0xac; 32])), ..heading("9") };
    let (one, two) = pressed(Lang::Ru, |press| {
        (termination().sheet(press).unwrap(), TerminationAct { heading: other, ..termination() }.sheet(press).unwrap())
    });
    assert_ne!(docx(&one).unwrap(), docx(&two).unwrap());
    assert_ne!(html(&one), html(&two));
}

#[test]
fn long_tables_of_long_words_still_make_a_file() {
    let mut facts = safeguards();
    let item = facts.items[0].clone();
    let long = t(&"оченьдлинноеслово".repeat(25));
    facts.items = (0..300).map(|_| SafeguardItem { system: long.clone(), ..item.clone() }).collect();
    facts.items[0].kind = Kind::Webhook;
    facts.items[0].strength = Some(Strength::Fair);
    let sheet = pressed(Lang::Ru, |press| facts.sheet(press));
    assert_said(&sheet, &["300 + 0 + 0 + 0 = 300 доступов.", long.as_str()]);
}
