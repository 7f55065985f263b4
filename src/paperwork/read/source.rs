//! What was found in a document, before it is judged: kept with a reading, so that answers are judged alike.

use crate::model::{Date, Digest};
use crate::paperwork::catalogue::Category;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The five columns a row must have.
pub const FIELDS: [&str; 5] = ["system", "data", "level", "purpose", "term"];

/// What is odd about a cell or a row.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    /// A tracked change, both values known.
    Tracked,
    /// A content control.
    Control,
    /// Hidden text was left out.
    Hidden,
    /// A table inside.
    NestedTable,
    /// A picture, text box, footnote or box to tick.
    Foreign,
    /// Look-alike letters were made whole.
    Homoglyph,
    /// A secret was cut out.
    Credential,
    /// Text that is struck through was left out.
    Struck,
    /// Another column speaks of the same, and otherwise.
    Beside,
}

/// What is odd about a row as a whole.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RowMark {
    /// Cells merged across columns.
    Merged,
    /// Fewer cells than columns.
    TooFew,
    /// More cells than columns.
    TooMany,
    /// Stands in a table without a header.
    NoHeader,
    /// A secret stood in a column that is not read.
    Credential,
    /// A tracked change brought it.
    Inserted,
}

/// One cell.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct SourceCell {
    /// Its text.
    pub now: String,
    /// Its text before tracked changes, and with what is struck through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub was: Option<String>,
    /// What another column says of the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beside: Option<String>,
    /// What is odd about it.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub marks: BTreeSet<Mark>,
}

/// One row.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct SourceRow {
    /// Its number in the document.
    pub number: u32,
    /// The access table it stands in, from 1.
    pub table: u32,
    /// The five cells by field.
    pub cells: BTreeMap<String, SourceCell>,
    /// The section title above it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub section: Option<String>,
    /// Other columns.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub extra: BTreeMap<String, String>,
    /// What is odd about it.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub marks: BTreeSet<RowMark>,
    /// Answered: the category.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<Category>,
    /// Answered: the platform's slug; empty for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// Fields whose value a person has confirmed.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub confirmed: BTreeSet<String>,
    /// Left out by a person.
    #[serde(default)]
    pub dropped: bool,
}

impl SourceRow {
    /// The text of a field.
    pub fn text(&self, field: &str) -> &str {
        self.cells.get(field).map_or("", |cell| cell.now.as_str())
    }
}

/// A party to the mandate.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Party {
    /// Its name.
    pub name: Option<String>,
    /// Its taxpayer number.
    pub inn: Option<String>,
}

/// The contract the mandate belongs to.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Contract {
    /// Its number.
    pub number: Option<String>,
    /// Its date.
    pub date: Option<Date>,
    /// Its last day.
    pub end: Option<Date>,
    /// A date on which a person looks again, where the end is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review: Option<Date>,
}

/// Who signed.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Signatories {
    /// For the operator.
    pub operator: Option<String>,
    /// For the processor.
    pub processor: Option<String>,
}

/// What the document says of itself.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Facts {
    /// The mandate's own number.
    pub number: Option<String>,
    /// The mandate's own date.
    pub date: Option<Date>,
    /// The last day of the mandate, where it is shorter than the contract.
    pub until: Option<Date>,
    /// Its term is written in a way that was not read.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub term_unclear: bool,
    /// The contract's last day is written in a way that was not read, or two places name different ones.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub end_unclear: bool,
    /// The operator.
    pub operator: Party,
    /// The processor.
    pub processor: Party,
    /// The contract.
    pub contract: Contract,
    /// When both had signed.
    pub mandate_signed_on: Option<Date>,
    /// Who signed.
    pub signatories: Signatories,
}

impl Facts {
    /// The last day anything may be active: the contract's (or its review), or the mandate's own where that is earlier.
    pub fn last_day(&self) -> Option<Date> {
        [self.contract.end.or(self.contract.review), self.until].into_iter().flatten().min()
    }
}

/// The clauses rows are held against.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Clauses {
    /// 2.2: the data.
    pub data: Option<String>,
    /// 3.1: the actions.
    pub actions: Option<String>,
    /// 3.2: the purposes.
    pub purposes: Option<String>,
}

/// How the columns of the access table are headed.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Columns {
    /// Header of the field's column.
    #[serde(flatten)]
    pub heads: BTreeMap<String, String>,
    /// Columns that are not read.
    #[serde(default)]
    pub ignored: Vec<String>,
    /// Columns kept as text.
    #[serde(default)]
    pub extra: BTreeMap<String, String>,
}

/// Everything found.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Source {
    /// SHA-256 of the file, as the caller computed it.
    pub digest: Option<Digest>,
    /// Whether that file was imported before, and nobody has said to go on.
    pub repeated: bool,
    /// What the document says of itself.
    pub facts: Facts,
    /// Its clauses.
    pub clauses: Clauses,
    /// The access table's rows.
    pub rows: Vec<SourceRow>,
    /// How many access tables stand apart.
    pub tables: u32,
    /// Fields without a column.
    pub missing: Vec<String>,
    /// Codes of warnings that do not depend on answers, before and after those that do.
    pub warnings: Vec<String>,
    /// A secret stood outside the access table, and nobody has taken note.
    pub credential_elsewhere: bool,
    /// Columns that are not read and are not empty, until a person has taken note.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unread: Vec<String>,
    /// Remarks that may bound rows, until a person has taken note.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Text outside the access table is struck through, and nobody has taken note.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub struck: bool,
    /// Programs show different texts of it, and nobody has taken note.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub versions: bool,
    /// The whole document is refused.
    pub refused: bool,
}
