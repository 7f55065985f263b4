//! The body of a Word document as paragraphs and tables, walked by hand.
//!
//! Convenience readers lose what decides here: text in tracked changes, moves and content controls. Two views are
//! kept: `now` (insertions taken, deletions and what is struck through dropped) and, where they differ, `was`. Hidden text, comments, field codes
//! and the old side of format changes are left out. Everything is bounded: depth, tables, cells, paragraphs, text.

use super::archive::{Archive, ArchiveError};
use super::styles::Styles;
use super::walk::Walk;
use quick_xml::events::attributes::Attribute;
use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::{Reader, XmlVersion};
use std::io::BufReader;

/// The deepest element.
pub(super) const DEPTH_MAX: usize = 200;

/// Why the XML is not taken.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum XmlError {
    /// The container.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// A document type or an entity.
    #[error("the XML declares a document type or an entity")]
    Dtd,
    /// Elements nested beyond any document's need.
    #[error("the XML is nested too deeply")]
    TooDeep,
    /// Tables nested too deeply.
    #[error("tables are nested more than 3 deep")]
    TablesTooDeep,
    /// Too many rows or cells, or too long a cell.
    #[error("a table is too large")]
    TableTooLarge,
    /// Not well-formed.
    #[error("the XML is damaged")]
    Malformed,
}

/// A paragraph or a table.
#[derive(Debug)]
pub enum Block {
    /// One paragraph's text.
    Paragraph(String),
    /// A table.
    Table(Table),
}

/// A table as it stands in the file.
#[derive(Debug, Default)]
pub struct Table {
    /// Rows that were not deleted by a tracked change.
    pub rows: Vec<Row>,
    /// How many tables it stands in.
    pub depth: usize,
}

/// A table row.
#[derive(Debug, Default)]
pub struct Row {
    /// Grid columns skipped before the first cell.
    pub before: usize,
    /// Grid columns skipped after the last.
    pub after: usize,
    /// Its cells.
    pub cells: Vec<Cell>,
    /// A tracked change brought it.
    pub inserted: bool,
    /// A tracked change takes it away.
    pub(super) deleted: bool,
}

/// A table cell.
#[derive(Debug, Default)]
pub struct Cell {
    /// Its text with changes taken.
    pub now: String,
    /// Its text before the changes and with what is struck through, where it differs.
    pub was: Option<String>,
    /// Tables inside.
    pub tables: Vec<Table>,
    /// Columns it covers.
    pub span: usize,
    /// Continues the cell above.
    pub continues: bool,
    /// Cells were merged by a tracked change, or by the old horizontal merge.
    pub odd_merge: bool,
    /// A content control holds part of it.
    pub control: bool,
    /// Hidden text was left out.
    pub hidden: bool,
    /// Text that is struck through was left out of `now`.
    pub struck: bool,
    /// A picture, text box, footnote or box to tick stands in it: more than its text says.
    pub foreign: bool,
}

/// What a document holds.
#[derive(Debug, Default)]
pub struct Body {
    /// In order.
    pub blocks: Vec<Block>,
    /// A tracked change or a comment was seen.
    pub changes: bool,
    /// One of them stands outside table cells, or took a whole row away.
    pub changes_outside: bool,
    /// Hidden text was left out.
    pub hidden: bool,
    /// Text that is struck through was left out.
    pub struck: bool,
    /// Some of it stood outside table cells.
    pub struck_outside: bool,
    /// Programs show different texts of it.
    pub versions: bool,
    /// Pictures and objects.
    pub pictures: usize,
}

/// Reads the main part.
///
/// # Errors
/// [`XmlError`]; `ArchiveError::NotWord` when the root is not a Word document's.
pub fn read_body(archive: &mut Archive<'_>, part: &str, styles: Styles) -> Result<Body, XmlError> {
    archive.with_part(part, |reader| Walk::new(styles).run(reader))
}

/// Calls `see` with every element of a part.
///
/// # Errors
/// [`XmlError`].
pub fn elements(archive: &mut Archive<'_>, part: &str, mut see: impl FnMut(&BytesStart<'_>)) -> Result<(), XmlError> {
    archive.with_part(part, |reader| {
        let mut xml = Reader::from_reader(BufReader::new(reader));
        let (mut buffer, mut depth) = (Vec::new(), 0usize);
        loop {
            match xml.read_event_into(&mut buffer).map_err(|_| XmlError::Malformed)? {
                Event::Start(start) => {
                    depth += 1;
                    see(&start);
                }
                Event::Empty(start) => see(&start),
                Event::End(_) => depth = depth.saturating_sub(1),
                Event::DocType(_) => return Err(XmlError::Dtd),
                Event::GeneralRef(reference) => {
                    resolve(&reference)?;
                }
                Event::Eof => return Ok(()),
                _ => {}
            }
            if depth > DEPTH_MAX {
                return Err(XmlError::TooDeep);
            }
            buffer.clear();
        }
    })
}

/// An attribute by its local name.
pub fn attribute(start: &BytesStart<'_>, name: &str) -> Option<String> {
    let mut attributes = start.attributes();
    let found = attributes.with_checks(false).flatten().find(|one| one.key.local_name().as_ref() == name);
    // Entities beyond the five of XML are not resolved here; a value that holds one is taken as it stands.
    let plain = |one: &Attribute<'_>| one.normalized_value(XmlVersion::default()).map(|value| value.into_owned());
    found.map(|one| plain(&one).unwrap_or_else(|_| one.value.to_string()))
}

/// Whether a toggle property is on.
pub(super) fn is_on(start: &BytesStart<'_>) -> bool {
    !matches!(attribute(start, "val").as_deref(), Some("0" | "false" | "off"))
}

pub(super) fn resolve(reference: &BytesRef<'_>) -> Result<char, XmlError> {
    if let Some(found) = reference.resolve_char_ref().map_err(|_| XmlError::Malformed)? {
        return Ok(found);
    }
    match reference.xml10_content().as_ref() {
        "amp" => Ok('&'),
        "lt" => Ok('<'),
        "gt" => Ok('>'),
        "quot" => Ok('"'),
        "apos" => Ok('\''),
        _ => Err(XmlError::Dtd),
    }
}
