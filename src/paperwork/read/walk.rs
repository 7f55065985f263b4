//! The walk over the elements of a Word document's body.

use super::archive::ArchiveError;
use super::scope::{Alternatives, Container, Run, Scope};
use super::styles::{Looks, Styles};
use super::xml::{Block, Body, Cell, DEPTH_MAX, Row, Table, XmlError, attribute, is_on, resolve};
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};
use std::io::{BufReader, Read};

/// How deep tables may stand in tables.
const NESTING_MAX: usize = 3;
/// The most rows of one table, with headers and section titles.
const ROWS_MAX: usize = 600;
/// The most cells of one row.
const CELLS_MAX: usize = 64;
/// The most cells of a document.
const ALL_CELLS_MAX: usize = 60_000;
/// The most paragraphs of a document.
const PARAGRAPHS_MAX: usize = 100_000;
/// The longest text of a document, bytes.
const TEXT_MAX: usize = 8 * 1024 * 1024;
/// The longest cell, characters.
const CELL_MAX: usize = 20_000;

/// The main namespace, transitional and strict (ISO/IEC 29500).
const W: [&str; 2] = [
    "http://schemas.openxmlformats.org/wordprocessingml/2006/main",
    "http://purl.oclc.org/ooxml/wordprocessingml/main",
];
const MC: &str = "http://schemas.openxmlformats.org/markup-compatibility/2006";

/// The walk's state.
pub struct Walk {
    styles: Styles,
    prefixes: Vec<String>,
    mc: Vec<String>,
    scopes: Vec<Scope>,
    containers: Vec<Container>,
    tables: Vec<Table>,
    runs: Vec<Run>,
    /// What the styles of the open paragraphs say.
    paragraph_looks: Vec<Looks>,
    alternatives: Vec<Alternatives>,
    /// Content controls that show only their prompt: their text is a blank.
    prompts: Vec<bool>,
    skipping: usize,
    inserted: usize,
    deleted: usize,
    body: Body,
    cells: usize,
    paragraphs: usize,
    text: usize,
}

impl Walk {
    /// Knowing the styles whose text does not count.
    pub fn new(styles: Styles) -> Self {
        Self {
            styles,
            prefixes: Vec::new(),
            mc: Vec::new(),
            scopes: Vec::new(),
            containers: vec![Container::default()],
            tables: Vec::new(),
            runs: Vec::new(),
            paragraph_looks: Vec::new(),
            alternatives: Vec::new(),
            prompts: Vec::new(),
            skipping: 0,
            inserted: 0,
            deleted: 0,
            body: Body::default(),
            cells: 0,
            paragraphs: 0,
            text: 0,
        }
    }

    /// Reads the whole part.
    ///
    /// # Errors
    /// [`XmlError`].
    pub fn run(mut self, reader: &mut dyn Read) -> Result<Body, XmlError> {
        let mut xml = Reader::from_reader(BufReader::new(reader));
        let mut buffer = Vec::new();
        loop {
            match xml.read_event_into(&mut buffer).map_err(|_| XmlError::Malformed)? {
                Event::Start(start) => self.open(&start)?,
                Event::Empty(start) => {
                    self.open(&start)?;
                    self.close()?;
                }
                Event::End(_) => self.close()?,
                Event::Text(text) => self.say(&text.xml10_content())?,
                Event::CData(text) => self.say(&text.xml10_content())?,
                Event::GeneralRef(reference) => self.say(resolve(&reference)?.encode_utf8(&mut [0; 4]))?,
                Event::DocType(_) => return Err(XmlError::Dtd),
                Event::Eof => break,
                _ => {}
            }
            buffer.clear();
        }
        if !self.scopes.is_empty() {
            return Err(XmlError::Malformed);
        }
        if self.prefixes.is_empty() {
            return Err(ArchiveError::NotWord.into());
        }
        let outer = self.containers.pop().unwrap_or_default();
        self.body.blocks.splice(0..0, outer.blocks);
        Ok(self.body)
    }

    /// Learns which prefixes stand for Word's namespace, on the root and wherever one is declared again.
    fn learn(&mut self, start: &BytesStart<'_>) -> Result<(), XmlError> {
        if !self.scopes.is_empty() && !start.attributes_raw().contains("xmlns") {
            return Ok(());
        }
        let mut attributes = start.attributes();
        for one in attributes.with_checks(false).flatten() {
            let prefix = match one.key.as_ref().strip_prefix("xmlns") {
                Some(rest) => rest.trim_start_matches(':').to_owned(),
                None => continue,
            };
            let value = one.value.as_ref();
            let known = if W.contains(&value) { &mut self.prefixes } else { &mut self.mc };
            if (W.contains(&value) || value == MC) && !known.contains(&prefix) && known.len() < 16 {
                known.push(prefix);
            }
        }
        let is_document = start.local_name().as_ref() == "document" && self.is_word(start);
        if self.scopes.is_empty() && !is_document { Err(ArchiveError::NotWord.into()) } else { Ok(()) }
    }

    fn is_word(&self, start: &BytesStart<'_>) -> bool {
        let name = start.name();
        let prefix = name.prefix().map_or("", |prefix| prefix.into_inner());
        self.prefixes.iter().any(|known| known == prefix)
    }

    fn open(&mut self, start: &BytesStart<'_>) -> Result<(), XmlError> {
        if self.scopes.len() >= DEPTH_MAX {
            return Err(XmlError::TooDeep);
        }
        self.learn(start)?;
        let scope = if self.skipping > 0 {
            let is_text = start.local_name().as_ref() == "t" && self.is_word(start);
            if is_text && !self.alternatives.is_empty() { Scope::SkippedText } else { Scope::Skip }
        } else if self.is_word(start) {
            self.open_word(start)?
        } else {
            self.open_other(start)
        };
        if matches!(scope, Scope::Skip | Scope::SkippedText) {
            self.skipping += 1;
        }
        self.scopes.push(scope);
        Ok(())
    }

    fn open_other(&mut self, start: &BytesStart<'_>) -> Scope {
        let name = start.name();
        let prefix = name.prefix().map_or("", |prefix| prefix.into_inner());
        if !self.mc.iter().any(|known| known == prefix) {
            return Scope::Other;
        }
        // Of alternatives exactly one counts: the first. Which one a person saw depends on their program.
        match (start.local_name().as_ref(), self.scopes.last_mut()) {
            ("AlternateContent", _) => {
                self.alternatives.push(Alternatives::default());
                Scope::Alternatives
            }
            ("Choice" | "Fallback", Some(parent @ Scope::Alternatives)) => {
                *parent = Scope::AlternativesTaken;
                Scope::Other
            }
            ("Choice" | "Fallback", Some(Scope::AlternativesTaken)) => {
                if let Some(alternatives) = self.alternatives.last_mut() {
                    alternatives.others.push(String::new());
                }
                Scope::Skip
            }
            _ => Scope::Other,
        }
    }

    fn open_word(&mut self, start: &BytesStart<'_>) -> Result<Scope, XmlError> {
        let name = start.local_name();
        let scope = match name.as_ref() {
            "p" => {
                self.paragraphs += 1;
                if self.paragraphs > PARAGRAPHS_MAX {
                    return Err(ArchiveError::Limit("word/document.xml".to_owned()).into());
                }
                self.paragraph_looks.push(Looks::default());
                self.begin_paragraph();
                Scope::Paragraph
            }
            "r" => {
                self.runs.push(Run::default());
                Scope::Run
            }
            "t" => Scope::Text,
            "delText" => Scope::DeletedText,
            "tbl" => {
                if self.tables.len() > NESTING_MAX {
                    return Err(XmlError::TablesTooDeep);
                }
                self.tables.push(Table { rows: Vec::new(), depth: self.tables.len() });
                Scope::Table
            }
            "tr" => self.begin_row()?,
            "tc" => self.begin_cell()?,
            "txbxContent" => {
                self.foreign();
                self.containers.push(Container { boxed: true, ..Container::default() });
                Scope::TextBox
            }
            "ins" | "moveTo" | "del" | "moveFrom" => self.change(name.as_ref()),
            "sdt" => {
                self.prompts.push(false);
                if let Some(place) = self.containers.last_mut() {
                    place.cell.control = true;
                }
                Scope::Control
            }
            "rPr" => Scope::RunProps,
            "pPr" => Scope::ParagraphProps,
            "trPr" => Scope::RowProps,
            "tcPr" => Scope::CellProps,
            "sdtPr" => Scope::ControlProps,
            "drawing" | "pict" | "object" => {
                self.body.pictures += 1;
                self.foreign();
                Scope::Other
            }
            "instrText" | "delInstrText" | "rPrChange" | "pPrChange" | "tcPrChange" | "trPrChange" | "tblPrChange"
            | "tblPrExChange" | "sectPrChange" | "tblGridChange" | "numberingChange" => Scope::Skip,
            _ => {
                self.mark(name.as_ref(), start)?;
                Scope::Other
            }
        };
        Ok(scope)
    }

    /// Empty elements that mean something by where they stand.
    fn mark(&mut self, name: &str, start: &BytesStart<'_>) -> Result<(), XmlError> {
        match (name, self.scopes.last().copied().unwrap_or(Scope::Other)) {
            ("tab" | "ptab", Scope::Run) => self.write(" ")?,
            ("br" | "cr", Scope::Run) => self.write("\n")?,
            ("noBreakHyphen", Scope::Run) => self.write("-")?,
            // A symbol font's character: shown as unreadable, so that it never passes for a value.
            ("sym", Scope::Run) => self.write("\u{FFFD}")?,
            ("footnoteReference" | "endnoteReference", _) => self.foreign(),
            ("commentReference" | "commentRangeStart", _) => self.body.changes = true,
            // A legacy form's box or list: what was ticked or chosen is no text.
            ("checkBox" | "ddList", _) => self.foreign(),
            ("vanish" | "strike" | "dstrike", Scope::RunProps) => self.look(|run| run.looks.set(name, is_on(start))),
            ("rStyle", Scope::RunProps) => {
                let style = self.styled(start);
                self.look(|run| run.style = style);
            }
            ("pStyle", Scope::ParagraphProps) => {
                let style = self.styled(start);
                if let Some(looks) = self.paragraph_looks.last_mut() {
                    *looks = style;
                }
            }
            ("showingPlcHdr", Scope::ControlProps) if is_on(start) => {
                if let Some(prompt) = self.prompts.last_mut() {
                    *prompt = true;
                }
            }
            ("gridBefore", Scope::RowProps) => self.row(|row| row.before = number(start)),
            ("gridAfter", Scope::RowProps) => self.row(|row| row.after = number(start)),
            ("gridSpan", Scope::CellProps) => self.cell(|cell| cell.span = number(start).max(1)),
            ("vMerge", Scope::CellProps) => {
                let continues = attribute(start, "val").is_none_or(|value| value == "continue");
                self.cell(|cell| cell.continues = continues);
            }
            ("hMerge" | "cellIns" | "cellDel" | "cellMerge", Scope::CellProps) => {
                self.body.changes |= name != "hMerge";
                self.cell(|cell| cell.odd_merge = true);
            }
            _ => {}
        }
        Ok(())
    }

    fn change(&mut self, name: &str) -> Scope {
        let inserts = matches!(name, "ins" | "moveTo");
        self.body.changes = true;
        self.body.changes_outside |= self.containers.len() == 1;
        match self.scopes.last() {
            Some(Scope::RowProps) => {
                self.row(|row| {
                    row.deleted |= !inserts;
                    row.inserted |= inserts;
                });
                Scope::Other
            }
            // The mark of a paragraph that was inserted or deleted carries no text.
            Some(Scope::RunProps) => Scope::Other,
            _ if inserts => {
                self.inserted += 1;
                Scope::Inserted
            }
            _ => {
                self.deleted += 1;
                Scope::Deleted
            }
        }
    }

    fn styled(&self, start: &BytesStart<'_>) -> Looks {
        attribute(start, "val").map(|style| self.styles.looks(&style)).unwrap_or_default()
    }

    /// A property of a run. Those of a paragraph's mark concern only the mark.
    fn look(&mut self, set: impl FnOnce(&mut Run)) {
        let of_run = self.scopes.len() >= 2 && self.scopes.get(self.scopes.len() - 2) == Some(&Scope::Run);
        if let Some(run) = self.runs.last_mut().filter(|_| of_run) {
            set(run);
        }
    }

    fn foreign(&mut self) {
        if let Some(place) = self.containers.last_mut() {
            place.cell.foreign = true;
        }
    }

    fn row(&mut self, set: impl FnOnce(&mut Row)) {
        if let Some(row) = self.tables.last_mut().and_then(|table| table.rows.last_mut()) {
            set(row);
        }
    }

    fn cell(&mut self, set: impl FnOnce(&mut Cell)) {
        if let Some(place) = self.containers.last_mut() {
            set(&mut place.cell);
        }
    }

    fn begin_paragraph(&mut self) {
        if let Some(place) = self.containers.last_mut() {
            if place.paragraphs > 0 {
                place.now.push('\n');
                place.was.push('\n');
            }
            place.paragraphs += 1;
        }
    }

    fn begin_row(&mut self) -> Result<Scope, XmlError> {
        let Some(table) = self.tables.last_mut() else { return Ok(Scope::Other) };
        if table.rows.len() >= ROWS_MAX {
            return Err(XmlError::TableTooLarge);
        }
        table.rows.push(Row::default());
        Ok(Scope::Row)
    }

    fn begin_cell(&mut self) -> Result<Scope, XmlError> {
        self.cells += 1;
        let row = self.tables.last_mut().and_then(|table| table.rows.last_mut());
        let Some(row) = row else { return Ok(Scope::Other) };
        if row.cells.len() >= CELLS_MAX || self.cells > ALL_CELLS_MAX {
            return Err(XmlError::TableTooLarge);
        }
        self.containers.push(Container { cell: Cell { span: 1, ..Cell::default() }, ..Container::default() });
        Ok(Scope::Cell)
    }

    /// Text of the file: counts inside `w:t` alone.
    fn say(&mut self, text: &str) -> Result<(), XmlError> {
        match self.scopes.last() {
            Some(Scope::Text | Scope::DeletedText) if self.skipping == 0 => self.write(text),
            Some(Scope::SkippedText) => {
                self.count(text)?;
                if let Some(other) = self.alternatives.last_mut().and_then(|all| all.others.last_mut()) {
                    other.push_str(text);
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn count(&mut self, text: &str) -> Result<(), XmlError> {
        self.text += text.len();
        let fits = self.text <= TEXT_MAX;
        if fits { Ok(()) } else { Err(ArchiveError::Limit("word/document.xml".to_owned()).into()) }
    }

    fn write(&mut self, text: &str) -> Result<(), XmlError> {
        self.count(text)?;
        let (deleted, inserted) = (self.deleted > 0, self.inserted > 0);
        let prompt = self.prompts.contains(&true);
        let deleted = deleted || self.scopes.last() == Some(&Scope::DeletedText);
        if !deleted {
            self.alternatives.iter_mut().for_each(|all| all.taken.push_str(text));
        }
        if let Some(run) = self.runs.last_mut() {
            let text = if prompt { "[___]" } else { text };
            if !deleted {
                run.now.push_str(text);
            }
            if !inserted {
                run.was.push_str(text);
            }
        }
        Ok(())
    }

    fn close(&mut self) -> Result<(), XmlError> {
        match self.scopes.pop().ok_or(XmlError::Malformed)? {
            Scope::Skip | Scope::SkippedText => self.skipping = self.skipping.saturating_sub(1),
            Scope::Inserted => self.inserted = self.inserted.saturating_sub(1),
            Scope::Deleted => self.deleted = self.deleted.saturating_sub(1),
            Scope::Control => {
                self.prompts.pop();
            }
            Scope::Run => self.end_run()?,
            Scope::Paragraph => {
                self.paragraph_looks.pop();
                self.end_paragraph();
            }
            Scope::Alternatives | Scope::AlternativesTaken => self.end_alternatives(),
            Scope::Cell => self.end_cell(),
            Scope::Row => {
                let table = self.tables.last_mut();
                if let Some(table) = table.filter(|table| table.rows.last().is_some_and(|row| row.deleted)) {
                    table.rows.pop();
                }
            }
            Scope::Table => self.end_table(),
            Scope::TextBox => {
                let mut boxed = self.containers.pop().unwrap_or_default();
                flush(&mut boxed);
                self.body.blocks.append(&mut boxed.blocks);
            }
            _ => {}
        }
        Ok(())
    }

    fn end_run(&mut self) -> Result<(), XmlError> {
        let Some(run) = self.runs.pop() else { return Ok(()) };
        let in_cell = self.containers.len() > 1;
        let Some(place) = self.containers.last_mut() else { return Ok(()) };
        let looks = run.looks.over(run.style).over(self.paragraph_looks.last().copied().unwrap_or_default());
        let any = !run.now.trim().is_empty();
        if looks.hidden == Some(true) {
            place.cell.hidden |= any;
            self.body.hidden |= any;
            return Ok(());
        }
        // What is struck through is deleted by hand: left out like a deletion, and asked about.
        if looks.struck == Some(true) && any {
            place.cell.struck = true;
            self.body.struck = true;
            self.body.struck_outside |= place.boxed || !in_cell;
        } else {
            place.now.push_str(&run.now);
        }
        place.was.push_str(&run.was);
        let long = |place: &Container| place.now.len().max(place.was.len()) > 2 * CELL_MAX;
        let too_long = in_cell && self.containers.last().is_some_and(|place| long(place) && !place.boxed);
        if too_long { Err(XmlError::TableTooLarge) } else { Ok(()) }
    }

    fn end_alternatives(&mut self) {
        if self.alternatives.pop().is_some_and(|all| all.differ()) {
            self.body.versions = true;
            self.foreign();
        }
    }

    /// Body and text box keep paragraphs apart; a cell joins them.
    fn end_paragraph(&mut self) {
        let is_body = self.containers.len() == 1;
        if let Some(place) = self.containers.last_mut().filter(|place| is_body || place.boxed) {
            flush(place);
        }
    }

    fn end_cell(&mut self) {
        let Some(mut place) = self.containers.pop() else { return };
        let mut cell = std::mem::take(&mut place.cell);
        cell.was = (place.was.trim() != place.now.trim()).then_some(place.was);
        cell.now = place.now;
        cell.tables = place
            .blocks
            .into_iter()
            .filter_map(|block| match block {
                Block::Table(table) => Some(table),
                Block::Paragraph(_) => None,
            })
            .collect();
        self.row(|row| row.cells.push(cell));
    }

    fn end_table(&mut self) {
        let Some(table) = self.tables.pop() else { return };
        if let Some(place) = self.containers.last_mut() {
            place.blocks.push(Block::Table(table));
        }
    }
}

fn flush(place: &mut Container) {
    let text = std::mem::take(&mut place.now);
    place.was.clear();
    place.paragraphs = 0;
    if !text.trim().is_empty() {
        place.blocks.push(Block::Paragraph(text));
    }
}

fn number(start: &BytesStart<'_>) -> usize {
    attribute(start, "val").and_then(|value| value.trim().parse().ok()).unwrap_or(0).min(CELLS_MAX)
}
