//! A sheet as DOCX: A4, a serif face, borders, page numbers. Always a new file, never a changed one.
//!
//! The library writes the package; one thing it has no call for, the head row repeated on each page, is set in the
//! finished XML through a mark no text can contain.

use super::sheet::{Block, Sheet, Signature, Table, blank_if_empty, shown, shown_in_cell, tears};
use docx_rs::{
    AlignmentType, BreakType, Docx, FieldCharType, Footer, InstrNUMPAGES, InstrPAGE, InstrText, LineSpacing,
    PageMargin, PageOrientationType, Paragraph, Run, RunFonts, Shading, SpecialIndentType, Tab, TabValueType,
    TableAlignmentType, TableCell, TableCellMargins, TableLayoutType, TableRow, WidthType,
};
use std::io::Cursor;

/// Sizes are half-points, lengths are twentieths of a point.
const BODY: usize = 24;
const SMALL: usize = 19;
const FOOT: usize = 17;
const GAP: usize = 8;
const A4: (u32, u32) = (11906, 16838);
const MARGIN_LEFT: u32 = 1418;
const MARGIN_RIGHT: u32 = 850;
const MARGIN_EDGE: u32 = 1134;

/// A head row is written with this height, which no other row has, and the finished XML says "head" in its place.
const HEAD_MARK: &str = "<w:trHeight w:val=\"7\" w:hRule=\"atLeast\" />";
const HEAD_HEIGHT: f32 = 7.0;
const HEAD: &str = "<w:tblHeader />";

/// The file could not be put together.
#[derive(Debug, thiserror::Error)]
#[error("the document could not be written: {0}")]
pub struct DocxError(String);

/// The file's bytes. The same sheet always gives the same bytes.
///
/// # Errors
/// Only if the archive cannot be put together in memory.
pub fn docx(sheet: &Sheet) -> Result<Vec<u8>, DocxError> {
    let mut built = Writer { sheet, paragraphs: 0 }.written().build();
    built.document = marked(built.document)?;
    let mut bytes = Cursor::new(Vec::new());
    built.pack(&mut bytes).map_err(|error| DocxError(error.to_string()))?;
    Ok(bytes.into_inner())
}

/// Turns the marks into heads. Texts cannot contain a mark: their `<` is escaped.
fn marked(document: Vec<u8>) -> Result<Vec<u8>, DocxError> {
    let xml = String::from_utf8(document).map_err(|error| DocxError(error.to_string()))?;
    Ok(xml.replace(HEAD_MARK, HEAD).into_bytes())
}

/// Numbers the paragraphs itself: the library's own counter is shared by all documents of a thread.
struct Writer<'s> {
    sheet: &'s Sheet,
    paragraphs: u32,
}

impl Writer<'_> {
    fn written(&mut self) -> Docx {
        let (sheet, made) = (self.sheet, self.sheet.made.to_string());
        let mut docx = self.page().created_at(&made).updated_at(&made);
        let title = self.paragraph().align(AlignmentType::Center).keep_next(true);
        docx = docx.add_paragraph(self.after(title, 200).add_run(run(&shown(&sheet.title), 28).bold()));
        docx = docx.add_paragraph(self.dateline());
        for block in &sheet.blocks {
            docx = self.block(docx, block);
        }
        docx = self.ending(docx);
        let footer = self.footer();
        docx.footer(footer)
    }

    fn page(&self) -> Docx {
        let (width, height) = if self.sheet.landscape { (A4.1, A4.0) } else { A4 };
        let orient = if self.sheet.landscape { PageOrientationType::Landscape } else { PageOrientationType::Portrait };
        let margin = PageMargin::new()
            .top(twips(MARGIN_EDGE))
            .bottom(twips(MARGIN_EDGE))
            .left(twips(MARGIN_LEFT))
            .right(twips(MARGIN_RIGHT))
            .header(twips(567))
            .footer(twips(567));
        let face = "Times New Roman";
        Docx::new()
            .page_size(width, height)
            .page_orient(orient)
            .page_margin(margin)
            .default_fonts(RunFonts::new().ascii(face).hi_ansi(face).cs(face).east_asia(face))
            .default_size(BODY)
    }

    fn width(&self) -> u32 {
        (if self.sheet.landscape { A4.1 } else { A4.0 }) - MARGIN_LEFT - MARGIN_RIGHT
    }

    fn paragraph(&mut self) -> Paragraph {
        self.paragraphs += 1;
        Paragraph::new().id(format!("{:08X}", self.paragraphs))
    }

    fn after(&self, paragraph: Paragraph, after: u32) -> Paragraph {
        paragraph.line_spacing(LineSpacing::new().before(0).after(after))
    }

    /// A thin line after a table: two tables would grow into one, and a body may not end with one.
    fn gap(&mut self) -> Paragraph {
        let gap = self.paragraph();
        self.after(gap.size(GAP), 60)
    }

    fn dateline(&mut self) -> Paragraph {
        let date = self.sheet.date.map_or_else(String::new, super::documents::words::day);
        let line = format!("{}\t{}", shown(blank_if_empty(&self.sheet.place)), blank_if_empty(&date));
        let edge = usize::try_from(self.width()).unwrap_or_default();
        let paragraph = self.paragraph().add_tab(Tab::new().val(TabValueType::Right).pos(edge));
        self.after(paragraph, 240).add_run(run(&line, BODY))
    }

    fn block(&mut self, docx: Docx, block: &Block) -> Docx {
        match block {
            Block::Table(table) => {
                let table = self.table(table);
                docx.add_table(table).add_paragraph(self.gap())
            }
            Block::Signatures(signatures) => {
                let above = self.gap().keep_next(true);
                docx.add_paragraph(above).add_table(self.signatures(signatures)).add_paragraph(self.gap())
            }
            text => docx.add_paragraph(self.text(text)),
        }
    }

    fn text(&mut self, block: &Block) -> Paragraph {
        let paragraph = self.paragraph();
        match block {
            Block::Heading(text) => {
                let spacing = LineSpacing::new().before(200).after(100);
                paragraph.keep_next(true).line_spacing(spacing).add_run(run(&shown(text), BODY).bold())
            }
            Block::Item { number, text } => {
                let indented = paragraph.indent(Some(567), Some(SpecialIndentType::Hanging(567)), None, None);
                let tab = Tab::new().val(TabValueType::Left).pos(567);
                let text = format!("{}\t{}", shown(number), shown(text));
                self.after(indented.align(alignment(&text)).add_tab(tab), 80).add_run(run(&text, BODY))
            }
            Block::Field { label, value } => {
                let labelled = paragraph.add_run(run(&format!("{}: ", shown(label)), BODY).bold());
                self.after(labelled, 80).add_run(run(&shown(blank_if_empty(value)), BODY))
            }
            Block::Note(text) => self.after(paragraph, 80).add_run(run(&shown(text), SMALL)),
            Block::Paragraph(text) => {
                // What announces a table stays on its page.
                let paragraph = if text.ends_with(':') { paragraph.keep_next(true) } else { paragraph };
                self.after(paragraph.align(alignment(text)), 100).add_run(run(&shown(text), BODY))
            }
            Block::Table(_) | Block::Signatures(_) => paragraph,
        }
    }

    fn table(&mut self, table: &Table) -> docx_rs::Table {
        let widths: Vec<usize> =
            table.widths(self.width()).into_iter().map(|width| usize::try_from(width).unwrap_or_default()).collect();
        let mut rows = Vec::new();
        if table.has_head() {
            let cells = table.columns.iter().zip(&widths);
            let cells = cells.map(|(column, &width)| self.cell(&column.head, width, true)).collect();
            rows.push(TableRow::new(cells).row_height(HEAD_HEIGHT).cant_split());
        }
        for row in &table.rows {
            let texts = widths.iter().enumerate().map(|(at, &width)| (row.get(at).map_or("", String::as_str), width));
            rows.push(TableRow::new(texts.map(|(text, width)| self.cell(text, width, false)).collect()).cant_split());
        }
        let whole = widths.iter().sum();
        docx_rs::Table::new(rows)
            .set_grid(widths)
            .layout(TableLayoutType::Fixed)
            .width(whole, WidthType::Dxa)
            .margins(TableCellMargins::new().margin(30, 70, 30, 70))
    }

    fn cell(&mut self, text: &str, width: usize, head: bool) -> TableCell {
        let run = run(&shown_in_cell(text), SMALL);
        let paragraph = self.paragraph();
        let paragraph = self.after(paragraph, 0).add_run(if head { run.bold() } else { run });
        let cell = TableCell::new().width(width, WidthType::Dxa).add_paragraph(paragraph);
        if head { cell.shading(Shading::new().fill("EDEDED")) } else { cell }
    }

    fn signatures(&mut self, signatures: &[Signature]) -> docx_rs::Table {
        let across = signatures.len().clamp(1, 2);
        let width = usize::try_from(self.width()).unwrap_or_default() / across;
        let mut rows = Vec::new();
        for pair in signatures.chunks(across) {
            // Roles above, lines to sign below: the form an importer of signed mandates meets everywhere.
            let part = |texts: fn(&Signature) -> String, writer: &mut Self| {
                let texts = (0..across).map(|at| pair.get(at).map_or_else(String::new, texts));
                TableRow::new(texts.map(|text| writer.signature(&text, width)).collect()).cant_split()
            };
            rows.push(part(signing_role, self));
            rows.push(part(signing_line, self));
        }
        docx_rs::Table::without_borders(rows)
            .set_grid(vec![width; across])
            .layout(TableLayoutType::Fixed)
            .align(TableAlignmentType::Left)
            .width(width * across, WidthType::Dxa)
            .margins(TableCellMargins::new().margin(60, 70, 120, 0))
    }

    fn signature(&mut self, text: &str, width: usize) -> TableCell {
        let paragraph = self.paragraph().keep_next(true);
        let paragraph = self.after(paragraph, 0).add_run(run(text, 22));
        TableCell::new().width(width, WidthType::Dxa).add_paragraph(paragraph)
    }

    fn ending(&mut self, mut docx: Docx) -> Docx {
        if let Some(source) = self.sheet.source_line() {
            docx = docx.add_paragraph(self.text(&Block::Note(source)));
        }
        if !self.sheet.unfilled.is_empty() {
            let label = run(&format!("{}: ", self.sheet.unfilled_heading()), SMALL).bold();
            let list = run(&shown(&self.sheet.unfilled.join("; ")), SMALL);
            let paragraph = self.paragraph();
            let spacing = LineSpacing::new().before(160).after(80);
            docx = docx.add_paragraph(paragraph.line_spacing(spacing).add_run(label).add_run(list));
        }
        docx
    }

    fn footer(&mut self) -> Footer {
        let edge = usize::try_from(self.width()).unwrap_or_default();
        let (page, of) = (self.sheet.lang.pick("стр.", "page"), self.sheet.lang.pick("из", "of"));
        let line = self.paragraph().add_tab(Tab::new().val(TabValueType::Right).pos(edge)).size(FOOT);
        let line = line.add_run(run(&format!("{}\t{page}\u{A0}", self.sheet.footer()), FOOT));
        let line = counted(line, InstrText::PAGE(InstrPAGE::new())).add_run(run(&format!(" {of} "), FOOT));
        let paragraph = counted(line, InstrText::NUMPAGES(InstrNUMPAGES::new()));
        Footer::new().add_paragraph(paragraph)
    }
}

fn signing_role(signature: &Signature) -> String {
    let position = if signature.position.is_empty() { String::new() } else { format!("\n{}", signature.position) };
    shown(&format!("{}{position}", signature.role))
}

fn signing_line(signature: &Signature) -> String {
    format!("\n________________ /{}/", shown(blank_if_empty(&signature.name)))
}

/// A field of the footer, each part a run of the footer's size.
fn counted(paragraph: Paragraph, field: InstrText) -> Paragraph {
    let part = || Run::new().size(FOOT);
    paragraph
        .add_run(part().add_field_char(FieldCharType::Begin, false))
        .add_run(part().add_instr_text(field))
        .add_run(part().add_field_char(FieldCharType::Separate, false))
        .add_run(part().add_text("1"))
        .add_run(part().add_field_char(FieldCharType::End, false))
}

/// Justified, unless a digest or a line break would tear the other words apart.
fn alignment(text: &str) -> AlignmentType {
    if tears(text) { AlignmentType::Left } else { AlignmentType::Both }
}

/// A run with line breaks and tabs as elements of their own.
fn run(text: &str, size: usize) -> Run {
    let mut run = Run::new().size(size);
    for (at, line) in text.split('\n').enumerate() {
        if at > 0 {
            run = run.add_break(BreakType::TextWrapping);
        }
        for (at, part) in line.split('\t').enumerate() {
            if at > 0 {
                run = run.add_tab();
            }
            run = run.add_text(part);
        }
    }
    run
}

fn twips(length: u32) -> i32 {
    i32::try_from(length).unwrap_or_default()
}
