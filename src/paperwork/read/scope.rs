//! What is open while the body is walked: elements, cells, runs, alternatives.

use super::styles::Looks;
use super::xml::{Block, Cell};

/// What an open element means for the text inside it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scope {
    Other,
    /// Nothing inside counts.
    Skip,
    /// Text of an alternative that is not taken: compared with the one that is.
    SkippedText,
    Paragraph,
    Run,
    RunProps,
    ParagraphProps,
    RowProps,
    Text,
    DeletedText,
    Inserted,
    Deleted,
    Table,
    Row,
    Cell,
    CellProps,
    TextBox,
    Control,
    ControlProps,
    Alternatives,
    AlternativesTaken,
}

/// A place paragraphs go to.
#[derive(Default)]
pub struct Container {
    pub now: String,
    pub was: String,
    pub paragraphs: usize,
    pub cell: Cell,
    pub blocks: Vec<Block>,
    pub boxed: bool,
}

#[derive(Default)]
pub struct Run {
    pub now: String,
    pub was: String,
    pub looks: Looks,
    /// What its style says.
    pub style: Looks,
}

/// The texts of one `mc:AlternateContent`.
#[derive(Default)]
pub struct Alternatives {
    pub taken: String,
    pub others: Vec<String>,
}

impl Alternatives {
    /// Whether a program that takes another alternative, or none, would show another text.
    pub fn differ(&self) -> bool {
        let plain = |text: &str| text.split_whitespace().collect::<String>();
        let taken = plain(&self.taken);
        let others: Vec<String> = self.others.iter().map(|other| plain(other)).collect();
        if others.is_empty() { !taken.is_empty() } else { others.iter().any(|other| *other != taken) }
    }
}
