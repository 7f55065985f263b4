//! Reads a mandate from DOCX: parties, contract, clauses and the access table, each value accepted, asked or refused.
//!
//! A silent wrong value is the worst outcome, so a value is taken only when its whole text has a known form; the rest
//! becomes a question. What is read is a draft: nothing here makes anything active. The order is container
//! (`archive`), XML (`xml`), table (`sheet`), cells (`terms`, `levels`, `systems`), judgement (`judge`);
//! the source is kept in the [`Reading`], so that a person's answers ([`Reading::answer`]) are judged by the same rules.

mod answer;
mod archive;
mod contract;
mod dates;
mod heads;
mod issue;
mod judge;
mod levels;
mod numbers;
mod parties;
mod phrases;
mod reading;
mod redact;
mod report;
mod scope;
mod sheet;
mod source;
mod styles;
mod systems;
mod terms;
pub mod text;
mod texts;
mod walk;
mod xml;

pub use archive::FILE_MAX;
pub use dates::Unit;
pub use levels::Access;
pub use reading::{Active, Opening, Outcome, Question, Reading, Refusal, RowReading, Status};
pub use redact::{REMOVED, redact};
pub use source::{Columns, Contract, Facts, Party, Signatories};
pub use terms::{Anchor, Kind, Term};

use self::archive::{Archive, ArchiveError};
use self::source::{Mark, Source};
use self::styles::Styles;
use self::xml::{Block, Body, XmlError};
use super::catalogue::Catalogue;
use super::gaps::{self, Gap};
use super::law::Law;
use crate::model::{Date, Digest, Zone};

/// What the caller knows about a file.
#[derive(Clone, Copy, Default, Debug)]
pub struct Origin {
    /// SHA-256 of the file.
    pub digest: Option<Digest>,
    /// Whether a file of that digest was imported before.
    pub repeated: bool,
}

/// Reads a mandate. Never fails: a file that cannot be taken is a reading with the status `rejected`.
pub fn read(bytes: &[u8], origin: Origin, as_of: Date, zone: &Zone, catalogue: &Catalogue, law: &Law) -> Reading {
    let mut reading = Reading::new(as_of, zone.clone(), origin);
    match open(bytes) {
        Ok(opened) => take(&mut reading, &opened, law),
        Err(error) => reading.refuse(refusal(&error)),
    }
    reading.judge(catalogue, law);
    reading
}

struct Opened {
    body: Body,
    macros: bool,
    remote: bool,
}

fn open(bytes: &[u8]) -> Result<Opened, XmlError> {
    let mut archive = Archive::open(bytes)?;
    let main = main_part(&mut archive)?;
    let folder = main.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned();
    let file = main.rsplit('/').next().unwrap_or(&main).to_owned();
    let beside = |name: &str| if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
    let styles = beside("styles.xml");
    let styles = if archive.has(&styles) { styles::read(&mut archive, &styles)? } else { Styles::default() };
    let body = xml::read_body(&mut archive, &main, styles)?;
    let mut remote = false;
    for part in [beside(&format!("_rels/{file}.rels")), beside("_rels/settings.xml.rels")] {
        if archive.has(&part) {
            xml::elements(&mut archive, &part, |start| {
                let external = xml::attribute(start, "TargetMode").as_deref() == Some("External");
                let is_link = xml::attribute(start, "Type").is_some_and(|kind| kind.ends_with("/hyperlink"));
                remote |= external && !is_link;
            })?;
        }
    }
    let macros = archive.names().iter().any(|name| name.to_lowercase().ends_with("vbaproject.bin"));
    Ok(Opened { body, macros, remote })
}

/// The main part, as the package's relationships name it.
fn main_part(archive: &mut Archive<'_>) -> Result<String, XmlError> {
    let mut target = None;
    if archive.has("_rels/.rels") {
        xml::elements(archive, "_rels/.rels", |start| {
            if xml::attribute(start, "Type").is_some_and(|kind| kind.ends_with("/officeDocument")) && target.is_none() {
                target = xml::attribute(start, "Target");
            }
        })?;
    }
    let target = target.unwrap_or_else(|| "word/document.xml".to_owned());
    let name = target.trim_start_matches('/').to_owned();
    if archive.has(&name) { Ok(name) } else { Err(ArchiveError::NotWord.into()) }
}

fn refusal(error: &XmlError) -> Refusal {
    let part = |name: &str| Some(name.to_owned());
    match error {
        XmlError::Archive(ArchiveError::Empty) => Refusal::of("FILE_EMPTY"),
        XmlError::Archive(ArchiveError::NotDocx(detected)) => {
            Refusal { detected: part(detected), ..Refusal::variant("FILE_NOT_DOCX", detected) }
        }
        XmlError::Archive(ArchiveError::Legacy) => Refusal::of("FILE_ENCRYPTED_OR_LEGACY_DOC"),
        XmlError::Archive(ArchiveError::NotWord) => Refusal::of("FILE_NOT_WORDPROCESSINGML"),
        XmlError::Archive(ArchiveError::Corrupt) | XmlError::Malformed => Refusal::of("FILE_CORRUPT"),
        XmlError::Archive(ArchiveError::TooLarge) => Refusal::variant("ARCHIVE_LIMIT_EXCEEDED", "file"),
        XmlError::Archive(ArchiveError::Limit(name)) => {
            Refusal { part: part(name), ..Refusal::of("ARCHIVE_LIMIT_EXCEEDED") }
        }
        XmlError::Archive(ArchiveError::FalseSize(name)) => {
            Refusal { part: part(name), ..Refusal::variant("ARCHIVE_LIMIT_EXCEEDED", "declared") }
        }
        XmlError::Archive(ArchiveError::EntryName) => Refusal::of("ARCHIVE_ENTRY_NAME_INVALID"),
        XmlError::Dtd => Refusal::of("XML_DTD_FORBIDDEN"),
        XmlError::TooDeep => Refusal::of("XML_TOO_DEEP"),
        XmlError::TablesTooDeep => Refusal::of("TABLE_NESTING_TOO_DEEP"),
        XmlError::TableTooLarge => Refusal::of("TABLE_TOO_LARGE"),
    }
}

fn take(reading: &mut Reading, opened: &Opened, law: &Law) {
    let body = &opened.body;
    let mut source = Source { digest: reading.source.digest, repeated: reading.source.repeated, ..Source::default() };
    source.facts = parties::facts(&body.blocks);
    redact_facts(&mut source);
    source.clauses = parties::clauses(&body.blocks);
    let mut columns = Columns::default();
    match sheet::take(&body.blocks, &mut source) {
        Ok(found) => columns = found,
        Err(sheet::SheetError::TooLarge) => reading.refuse(Refusal::of("TABLE_TOO_LARGE")),
        Err(sheet::SheetError::NotFound) if body.pictures > 0 => {
            reading.refuse(Refusal::variant("ACCESS_TABLE_NOT_FOUND", "picture"));
        }
        Err(sheet::SheetError::NotFound) => reading.refuse(Refusal::of("ACCESS_TABLE_NOT_FOUND")),
    }
    let in_rows = source.rows.iter().flat_map(|row| row.cells.values()).any(|cell| cell.marks.contains(&Mark::Tracked));
    let seen = [
        (body.changes_outside || (body.changes && !in_rows), "TRACKED_CHANGES_PRESENT"),
        (body.hidden, "HIDDEN_TEXT_PRESENT"),
        (body.struck, "STRUCK_TEXT_PRESENT"),
        (opened.macros, "MACROS_IGNORED"),
        (opened.remote, "EXTERNAL_CONTENT_IGNORED"),
    ];
    source.warnings.extend(seen.iter().filter(|(yes, _)| *yes).map(|(_, code)| (*code).to_owned()));
    source.versions = body.versions;
    source.struck = body.struck_outside || body.blocks.iter().any(is_struck_beside);
    source.refused = !reading.errors.is_empty();
    reading.gaps = if source.refused { Vec::new() } else { find_gaps(&body.blocks, law) };
    reading.columns = columns;
    reading.source = source;
}

/// Whether a table other than an access table (of parties, of signatures) holds text that is struck through.
fn is_struck_beside(block: &Block) -> bool {
    let Block::Table(table) = block else { return false };
    heads::Header::find(table).is_none() && table.rows.iter().flat_map(|row| &row.cells).any(|cell| cell.struck)
}

fn find_gaps(blocks: &[Block], law: &Law) -> Vec<Gap> {
    let paragraphs: Vec<String> = blocks
        .iter()
        .filter_map(|block| match block {
            Block::Paragraph(text) => Some(text::clean(text)),
            Block::Table(_) => None,
        })
        .collect();
    gaps::find(paragraphs.iter().map(String::as_str), law)
}

/// No secret enters a reading through a party's line either.
fn redact_facts(source: &mut Source) {
    let facts = &mut source.facts;
    let places = [
        &mut facts.operator.name,
        &mut facts.processor.name,
        &mut facts.contract.number,
        &mut facts.number,
        &mut facts.signatories.operator,
        &mut facts.signatories.processor,
    ];
    for place in places.into_iter().flatten() {
        let (clean, found) = redact(place);
        source.credential_elsewhere |= found;
        *place = clean;
    }
}
