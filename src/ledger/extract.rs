//! What an operator receives: the whole ledger of one mandate, readable and verifiable without the product.
//!
//! ```text
//! line 1:      {"mandatum_extract":1,"root":…,"unit":…,"charters":[…],"admissions":[…]}
//! lines 2…n+1: {"salt":…,"key":…,"sig":…,"record":"<the record's exact JSON as a string>"}
//! last line:   {"checkpoint":"<signed note>"}
//! ```
//! Each line must be exactly what writing its parsed content gives again, and every field is signed or follows from what
//! is. What nothing covers is which admissions there are, in which order: within the rules of the directory.

use super::audit::{Audit, Audited, Flaw};
use super::checkpoint::Checkpoint;
use super::directory::Directory;
use super::record::{Assurance, Entry, Record};
use crate::crypto::{PublicKey, Signed};
use crate::model::{Blob, Digest, Mandate, UnitId};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::io::{self, BufRead, Write};

/// How many records are verified at a time.
const BATCH: usize = 4096;
/// The longest line that is read, bytes: a batch import of 500 credentials takes less than 1 MiB.
const LINE_MAX: u64 = 64 * 1024 * 1024;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    mandatum_extract: u32,
    root: PublicKey,
    unit: UnitId,
    charters: Vec<Signed>,
    admissions: Vec<Signed>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    salt: Digest,
    key: PublicKey,
    sig: Blob,
    record: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tail {
    checkpoint: String,
}

/// Why an extract does not verify.
#[derive(Debug, thiserror::Error)]
pub enum ExtractError {
    /// Reading failed.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    /// Not the form.
    #[error("line {0} is not as an extract is written; it was changed or cut off")]
    Form(u64),
    /// The keys do not hold together.
    #[error("the keys in it do not hold together: {0}")]
    Keys(#[from] super::DirectoryError),
    /// It is of another vault than expected.
    #[error("it is signed by root {found}, not by {expected}")]
    Root {
        /// In the extract.
        found: String,
        /// Named by the reader.
        expected: String,
    },
    /// A record is wrong.
    #[error("{0}")]
    Flaw(#[from] Flaw),
    /// The checkpoint is wrong, or does not cover the records.
    #[error("the checkpoint does not cover these records: records were dropped, added or changed")]
    Checkpoint,
    /// It is not a mandate's ledger.
    #[error("it holds no mandate")]
    NoMandate,
}

/// The parts of an extract before its records.
pub struct Extract {
    /// The owner root's public key.
    pub root: PublicKey,
    /// The ledger's unit.
    pub unit: UnitId,
    /// The charters, oldest first.
    pub charters: Vec<Signed>,
    /// The admissions needed, in an order in which each signer is known.
    pub admissions: Vec<Signed>,
}

/// Writes an extract line by line.
pub struct ExtractWriter<W: Write>(W);

impl<W: Write> ExtractWriter<W> {
    /// Begins with the head.
    ///
    /// # Errors
    /// Whatever writing returns.
    pub fn new(mut out: W, extract: Extract) -> io::Result<Self> {
        let Extract { root, unit, charters, admissions } = extract;
        write_line(&mut out, &Head { mandatum_extract: 1, root, unit, charters, admissions })?;
        Ok(Self(out))
    }

    /// One record.
    ///
    /// # Errors
    /// Whatever writing returns.
    pub fn record(&mut self, entry: &Entry) -> io::Result<()> {
        let record = String::from_utf8(entry.signed.unverified_bytes().to_vec());
        let record = record.map_err(|_| io::Error::other("a record is JSON text"))?;
        let sig = Blob(entry.signed.signature().to_vec());
        write_line(&mut self.0, &Line { salt: entry.salt, key: *entry.signed.claimed_key(), sig, record })
    }

    /// Ends with the checkpoint.
    ///
    /// # Errors
    /// Whatever writing returns.
    pub fn finish(mut self, checkpoint: String) -> io::Result<W> {
        write_line(&mut self.0, &Tail { checkpoint })?;
        self.0.flush()?;
        Ok(self.0)
    }
}

fn write_line(out: &mut impl Write, line: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, line)?;
    out.write_all(b"\n")
}

/// What a good extract proves.
pub struct Verified {
    /// The root's fingerprint: to be compared with the one the contract names.
    pub root: String,
    /// The mandate as its ledger says it is.
    pub mandate: Mandate,
    /// Every record, in order.
    pub records: Vec<Record>,
    /// Whose keys are whose.
    pub directory: Directory,
    /// The signed head.
    pub checkpoint: Checkpoint,
    /// The leaves of the tree, in order.
    pub(super) leaves: Vec<Digest>,
}

impl Verified {
    /// The level of assurance of all of it: the weakest that any record was made at.
    pub fn assurance(&self) -> Assurance {
        self.records.iter().map(|record| record.assurance).min().unwrap_or(Assurance::Solo)
    }
}

/// Verifies an extract as a whole.
///
/// # Errors
/// The first thing that is wrong; nothing of a bad extract is returned. `progress` is told how many records are done.
pub fn verify_extract(
    input: impl BufRead,
    expected_root: Option<&str>,
    mut progress: impl FnMut(u64),
) -> Result<Verified, ExtractError> {
    let mut lines = Lines { input, number: 0 };
    let head: Head = parse(&lines.next()?.ok_or(ExtractError::Form(1))?, 1)?;
    if head.mandatum_extract != 1 {
        return Err(ExtractError::Form(1));
    }
    let mut directory = Directory::new(head.root, &head.charters)?;
    let root = directory.root_fingerprint();
    if let Some(expected) = expected_root.filter(|expected| *expected != root) {
        return Err(ExtractError::Root { found: root, expected: expected.to_owned() });
    }
    for admission in &head.admissions {
        directory.admit(admission)?;
    }
    let mut audit = Audit::new(&directory, head.unit);
    let (mut records, mut leaves, mut batch) = (Vec::new(), Vec::new(), Vec::<Entry>::new());
    let checkpoint = loop {
        let line = lines.next()?.ok_or(ExtractError::Form(lines.number))?;
        if line.starts_with(b"{\"checkpoint\":") {
            break parse::<Tail>(&line, lines.number)?.checkpoint;
        }
        let Line { salt, key, sig, record } = parse(&line, lines.number)?;
        batch.push(Entry { salt, signed: Signed::from_parts(record.into_bytes(), key, sig.0) });
        if batch.len() == BATCH {
            records.extend(audit.take(&batch)?);
            leaves.extend(batch.iter().map(Entry::leaf));
            batch.clear();
            progress(audit.size());
        }
    };
    records.extend(audit.take(&batch)?);
    leaves.extend(batch.iter().map(Entry::leaf));
    if lines.next()?.is_some() {
        return Err(ExtractError::Form(lines.number));
    }
    let key = directory.charter().checkpoint_key;
    let head = Checkpoint::open(&checkpoint, directory.vault(), head.unit, &key);
    let head = head.map_err(|_| ExtractError::Checkpoint)?;
    if (head.size, head.root) != (audit.size(), audit.root()) {
        return Err(ExtractError::Checkpoint);
    }
    let Audited::Mandate(mandate) = audit.state().clone() else { return Err(ExtractError::NoMandate) };
    Ok(Verified { root, mandate: *mandate, records, checkpoint: head, leaves, directory })
}

/// One line's content, if the line is exactly what writing that content gives.
fn parse<T: Serialize + DeserializeOwned>(line: &[u8], number: u64) -> Result<T, ExtractError> {
    let content: T = serde_json::from_slice(line).map_err(|_| ExtractError::Form(number))?;
    let again = serde_json::to_vec(&content).map_err(|_| ExtractError::Form(number))?;
    if again == line { Ok(content) } else { Err(ExtractError::Form(number)) }
}

struct Lines<R> {
    input: R,
    number: u64,
}

impl<R: BufRead> Lines<R> {
    /// The next line without its end; none at the end. A last line without an end is refused.
    fn next(&mut self) -> Result<Option<Vec<u8>>, ExtractError> {
        let mut line = Vec::new();
        io::Read::take(&mut self.input, LINE_MAX).read_until(b'\n', &mut line)?;
        self.number += 1;
        match line.pop() {
            None => Ok(None),
            Some(b'\n') => Ok(Some(line)),
            Some(_) => Err(ExtractError::Form(self.number)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_up_to_the_limit() {
        let of = |len: u64| {
            let line = io::Read::take(io::repeat(b'x'), len);
            Lines { input: io::BufReader::new(io::Read::chain(line, &b"\n"[..])), number: 0 }.next()
        };
        let limit = 1 << 26;
        assert_eq!(of(limit - 1).unwrap().map(|line| line.len() as u64), Some(limit - 1));
        assert!(matches!(of(limit), Err(ExtractError::Form(1))));
    }
}
