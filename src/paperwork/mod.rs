//! Documents in and out: reads a mandate from DOCX, knows the platforms and the legal texts, and prints what an agency
//! and an operator sign, answer and keep.
//!
//! In: a value this room is unsure of becomes a question instead of a value, and a password found in a document is
//! removed before anything here can keep or print it ([`read`]). Out: each document is a pure function from a plain
//! struct of facts to a [`Sheet`], or a [`Refusal`] that names what is missing; a sheet becomes DOCX ([`docx`]) or HTML
//! for printing ([`html`]).
//!
//! Guarantees: bytes in, bytes out; no file, no network, no clock. The same sheet gives the same bytes; no struct of
//! facts has a field for a secret; accounts are printed masked; an empty required field prints as a blank and is listed
//! at the end. What a lawyer words, and what an agency knows of a platform, is data with a date.

pub mod catalogue;
pub mod documents;
mod docx;
pub mod gaps;
mod html;
mod lang;
pub mod law;
pub mod read;
mod sheet;
mod wording;

pub use documents::Refusal;
pub use docx::{DocxError, docx};
pub use html::html;
pub use lang::{Lang, Phrase};
pub use sheet::{BLANK, Block, Column, Sheet, Signature, Table};
pub use wording::{Wording, WordingError};
