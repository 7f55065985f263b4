//! The container: what kind of file it is, and its parts within limits.
//!
//! Nothing a file says about itself is believed: sizes are counted while inflating, the kind is decided by content,
//! and only the parts that are asked for are inflated, one at a time, through a counting reader. Nothing is written.

use std::cell::Cell;
use std::collections::HashSet;
use std::io::{self, Cursor, Read};
use std::rc::Rc;
use zip::ZipArchive;
use zip::result::ZipError;

/// The largest file, bytes.
pub const FILE_MAX: u64 = 10 * 1024 * 1024;
/// The largest part once inflated, bytes.
pub const PART_MAX: u64 = 20 * 1024 * 1024;
/// The most that is inflated of one file, bytes.
pub const TOTAL_MAX: u64 = 50 * 1024 * 1024;
/// The most entries.
pub const ENTRIES_MAX: usize = 2000;
/// How many times larger than its compressed form a part may be.
pub const RATIO_MAX: u64 = 100;
/// Below this size the ratio is not looked at.
const RATIO_GRACE: u64 = 100 * 1024;
/// The longest stretch of a part without a tag: one piece of XML is held in memory whole.
const PIECE_MAX: u64 = 4 * 1024 * 1024;
/// What DEFLATE can reach at all: a declared size beyond it is a lie.
const DEFLATE_MAX: u64 = 1032;

/// Why a file is not taken.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ArchiveError {
    /// Nothing in it.
    #[error("the file is empty")]
    Empty,
    /// Another format, by its first bytes.
    #[error("the file is not DOCX but {0}")]
    NotDocx(&'static str),
    /// OLE2: an old DOC, or a DOCX with a password.
    #[error("the file has a password or is an old DOC")]
    Legacy,
    /// A ZIP without a Word document.
    #[error("the file holds no Word document")]
    NotWord,
    /// Cut off or damaged.
    #[error("the file is damaged")]
    Corrupt,
    /// The file itself is too large.
    #[error("the file is larger than 10 MB")]
    TooLarge,
    /// Inflates beyond a limit.
    #[error("the part '{0}' inflates beyond the limits")]
    Limit(String),
    /// Declares a size it cannot have.
    #[error("the part '{0}' declares a false size")]
    FalseSize(String),
    /// An entry name that could leave the archive, or stands twice.
    #[error("the archive holds an entry with a forbidden name")]
    EntryName,
}

/// An opened container.
pub struct Archive<'a> {
    zip: ZipArchive<Cursor<&'a [u8]>>,
    inflated: Rc<Cell<u64>>,
}

impl<'a> Archive<'a> {
    /// Opens a file by its content.
    ///
    /// # Errors
    /// [`ArchiveError`]: not a ZIP, damaged, or its directory breaks a limit.
    pub fn open(bytes: &'a [u8]) -> Result<Self, ArchiveError> {
        sniff(bytes)?;
        let counted = count_entries(bytes)?;
        let mut zip = ZipArchive::new(Cursor::new(bytes)).map_err(|error| broken(&error, "archive"))?;
        check_names(&mut zip, counted)?;
        Ok(Self { zip, inflated: Rc::new(Cell::new(0)) })
    }

    /// The names of all entries.
    pub fn names(&self) -> Vec<String> {
        self.zip.file_names().filter_map(|name| name.ok().map(|name| name.into_owned())).collect()
    }

    /// Whether there is a part of this name.
    pub fn has(&self, name: &str) -> bool {
        self.zip.index_for_name(name).is_some()
    }

    /// Runs `use_part` on a reader of one part. What the limits say wins over what `use_part` says.
    ///
    /// # Errors
    /// [`ArchiveError::NotWord`] without the part; a limit; whatever `use_part` returns.
    pub fn with_part<T, E: From<ArchiveError>>(
        &mut self,
        name: &str,
        use_part: impl FnOnce(&mut dyn Read) -> Result<T, E>,
    ) -> Result<T, E> {
        let total = Rc::clone(&self.inflated);
        let file = self.zip.by_name(name).map_err(|error| broken(&error, name))?;
        let (declared, compressed) = (file.size(), file.compressed_size().max(1));
        if declared > PART_MAX && declared / compressed > DEFLATE_MAX {
            return Err(ArchiveError::FalseSize(name.to_owned()).into());
        }
        let most = PART_MAX.min(RATIO_GRACE.max(compressed.saturating_mul(RATIO_MAX)));
        let mut counting = Counting { inner: file, count: 0, piece: 0, most, total, failed: None };
        let made = use_part(&mut counting);
        // A reader that stopped early has not seen the end of the part: the rest counts too.
        let drained = io::copy(&mut counting, &mut io::sink());
        match counting.failed {
            Some(Failed::Limit) => return Err(ArchiveError::Limit(name.to_owned()).into()),
            Some(Failed::Size) => return Err(ArchiveError::FalseSize(name.to_owned()).into()),
            Some(Failed::Damaged) => return Err(ArchiveError::Corrupt.into()),
            None => {}
        }
        if counting.count != declared || drained.is_err() {
            return Err(ArchiveError::FalseSize(name.to_owned()).into());
        }
        made
    }
}

/// What the first bytes say.
fn sniff(bytes: &[u8]) -> Result<(), ArchiveError> {
    let text: String = bytes.iter().take(256).map(|byte| char::from(byte.to_ascii_lowercase())).collect();
    let text = text.trim_start_matches(['\u{ef}', '\u{bb}', '\u{bf}']).trim_start();
    match bytes {
        [] => Err(ArchiveError::Empty),
        _ if bytes.len() as u64 > FILE_MAX => Err(ArchiveError::TooLarge),
        [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => Ok(()),
        [0xD0, 0xCF, 0x11, 0xE0, ..] => Err(ArchiveError::Legacy),
        _ if text.starts_with("{\\rtf") => Err(ArchiveError::NotDocx("rtf")),
        _ if text.starts_with("%pdf") => Err(ArchiveError::NotDocx("pdf")),
        _ if text.starts_with("<!doctype html") || text.starts_with("<html") => Err(ArchiveError::NotDocx("html")),
        _ if text.starts_with("<?xml") => Err(ArchiveError::NotDocx("xml")),
        _ if text.trim().is_empty() => Err(ArchiveError::Empty),
        _ => Err(ArchiveError::NotDocx("unknown")),
    }
}

/// The number of entries by the end record, before anything is allocated for them.
///
/// ZIP64 is refused: no file of 10 MB needs it, and it hides the number.
fn count_entries(bytes: &[u8]) -> Result<usize, ArchiveError> {
    let tail = bytes.len().saturating_sub(22 + 65_535);
    let window = bytes.get(tail..).unwrap_or_default();
    let at = window.windows(4).rposition(|four| four == b"PK\x05\x06").ok_or(ArchiveError::Corrupt)?;
    let field = |offset: usize| -> Option<usize> {
        let two = window.get(at + offset..at + offset + 2)?;
        Some(usize::from(u16::from_le_bytes(two.try_into().ok()?)))
    };
    let entries = field(10).ok_or(ArchiveError::Corrupt)?;
    let is_zip64 = at >= 20 && window.get(at - 20..at - 16) == Some(b"PK\x06\x07".as_slice());
    if entries > ENTRIES_MAX || is_zip64 {
        return Err(ArchiveError::Limit("central directory".to_owned()));
    }
    Ok(entries)
}

fn check_names(zip: &mut ZipArchive<Cursor<&[u8]>>, counted: usize) -> Result<(), ArchiveError> {
    if zip.len() > ENTRIES_MAX {
        return Err(ArchiveError::Limit("central directory".to_owned()));
    }
    let mut seen = HashSet::new();
    for name in zip.file_names() {
        let name = name.map_err(|_| ArchiveError::EntryName)?;
        let leaves = name.split(['/', '\\']).any(|piece| piece == "..");
        let absolute = name.starts_with(['/', '\\']) || name.contains([':', '\0']);
        if leaves || absolute || !seen.insert(name.to_lowercase()) {
            return Err(ArchiveError::EntryName);
        }
    }
    // Fewer than declared: two entries of one name, of which readers see different ones.
    if zip.len() < counted { Err(ArchiveError::EntryName) } else { Ok(()) }
}

fn broken(error: &ZipError, name: &str) -> ArchiveError {
    match error {
        ZipError::UnsupportedArchive(why) if why.to_lowercase().contains("password") => ArchiveError::Legacy,
        ZipError::DecompressedSizeLimitExceeded { .. } => ArchiveError::Limit(name.to_owned()),
        ZipError::FileNotFound => ArchiveError::NotWord,
        _ => ArchiveError::Corrupt,
    }
}

#[derive(Clone, Copy)]
enum Failed {
    Limit,
    Size,
    Damaged,
}

/// Counts what comes out, and stops at the limit.
struct Counting<R> {
    inner: R,
    count: u64,
    /// Bytes since the last `<`.
    piece: u64,
    most: u64,
    total: Rc<Cell<u64>>,
    failed: Option<Failed>,
}

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.failed.is_some() {
            return Err(io::Error::other("stopped"));
        }
        let read = self.inner.read(buffer).inspect_err(|error| {
            // The reader below stops where more comes out than the entry declares.
            let oversized = error.to_string().contains("declared");
            self.failed = Some(if oversized { Failed::Size } else { Failed::Damaged });
        })?;
        self.count += read as u64;
        self.total.set(self.total.get() + read as u64);
        let fresh = buffer.get(..read).unwrap_or_default();
        self.piece = match fresh.iter().rposition(|byte| *byte == b'<') {
            Some(at) => (read - at) as u64,
            None => self.piece + read as u64,
        };
        if self.piece > PIECE_MAX || self.count > self.most || self.total.get() > TOTAL_MAX {
            self.failed = Some(Failed::Limit);
            return Err(io::Error::other("beyond the limit"));
        }
        Ok(read)
    }
}
