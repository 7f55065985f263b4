//! What changed since the anchor file was written: appended and synced before anything is released by it.
//!
//! ```text
//! frame = length (u32 LE) ‖ !length (u32 LE)
//!       ‖ seal_exact(EK, Context("mandatum/anchor-log/1", vault, epoch, generation, frame number), postcard([Change]))
//!       ‖ zeros up to the next multiple of 8
//! ```
//! Zeros follow the last frame: the file grows by whole blocks, since making bytes durable where there are blocks already
//! takes a twentieth of the time. A last frame that has its length and not all its bytes, or the other way round, is one
//! whose sync never returned: it is dropped. Any other frame that does not open means the file was changed; a changed
//! length is told from one that was never written by its complement, which stands in the same sector.

use super::core::Change;
use super::disk::Disk;
use super::file::Header;
use super::{AnchorError, Home};
use crate::crypto::{Context, Entropy, Key, open_exact, seal_exact};
use std::path::{Path, PathBuf};

/// Up to this many bytes a journal is short; every start reads all of it.
const SHORT: u64 = 16 * 1024;
/// Beyond this many it is long, however much writing the anchor file anew costs.
const LONG: u64 = 64 * 1024;

/// Beyond this many a start would take a noticeable time, 40 000 changes or so.
const TOO_LONG: u64 = 4 * 1024 * 1024;

/// Frames begin at multiples of this, so that no length lies in two sectors.
const ALIGNED: usize = 8;
/// The file grows by as much as it holds, but at least and at most by this many bytes.
const BLOCK: u64 = 16 * 1024;
const MOST: u64 = 1024 * 1024;

/// The journal's path.
pub fn path(dir: &Path, generation: u64) -> PathBuf {
    dir.join(format!("anchor-{generation}.log"))
}

fn context(header: &Header, number: u64) -> Context {
    let place = Context::new("mandatum/anchor-log/1").at(header.vault.bytes());
    place.number(header.epoch).number(header.generation).number(number)
}

/// A frame's seal, and what follows the frame.
type Split<'a> = (&'a [u8], &'a [u8]);

/// The first frame's seal and what follows the frame; none where it is cut off or was never written.
fn split_frame(bytes: &[u8]) -> Result<Option<Split<'_>>, AnchorError> {
    let Some((len, after)) = bytes.split_first_chunk::<4>() else { return Ok(None) };
    let Some((check, after)) = after.split_first_chunk::<4>() else { return Ok(None) };
    let (len, check) = (u32::from_le_bytes(*len), u32::from_le_bytes(*check));
    if len != !check {
        return if (len, check) == (0, 0) || is_blank(after) { Ok(None) } else { Err(AnchorError::Corrupt) };
    }
    let len = usize::try_from(len).map_err(|_| AnchorError::Corrupt)?;
    let Some((sealed, after)) = after.split_at_checked(len) else { return Ok(None) };
    let padding = (len.next_multiple_of(ALIGNED) - len).min(after.len());
    let (padding, after) = after.split_at(padding);
    if is_blank(padding) { Ok(Some((sealed, after))) } else { Err(AnchorError::Corrupt) }
}

fn is_blank(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}

/// The open end of a journal.
pub struct Journal {
    path: PathBuf,
    /// Where the next frame begins.
    len: u64,
    /// Blocks there are already.
    blocks: u64,
    frames: u64,
    /// A frame was begun and not answered for: what stands behind `len` goes before the next one.
    torn: bool,
}

impl Journal {
    /// Reads a journal from its beginning; none there is an empty one.
    pub fn open(home: &Home, header: &Header, key: &Key) -> Result<(Self, Vec<Change>), AnchorError> {
        let path = path(&home.dir, header.generation);
        let bytes = home.disk.read(&path, 0, usize::MAX)?.unwrap_or_default();
        let (mut changes, mut frames, mut rest) = (Vec::new(), 0, &bytes[..]);
        while let Some((sealed, after)) = split_frame(rest)? {
            let Ok(plain) = open_exact(key, &context(header, frames), sealed) else {
                if is_blank(after) {
                    break;
                }
                return Err(AnchorError::Corrupt);
            };
            let taken: Vec<Change> = postcard::from_bytes(plain.expose()).map_err(|_| AnchorError::Corrupt)?;
            changes.extend(taken);
            (frames, rest) = (frames + 1, after);
        }
        let len = u64::try_from(bytes.len() - rest.len()).unwrap_or(0);
        let torn = !is_blank(rest);
        if torn {
            // The torn frame goes now, so that other processes are told by what follows whether there is more.
            home.disk.cut(&path, len)?;
        }
        let blocks = if torn { len } else { u64::try_from(bytes.len()).unwrap_or(0) };
        Ok((Self { path, len, blocks, frames, torn: false }, changes))
    }

    /// Whether nothing was appended since, by this process or another one.
    pub fn is_current(&self, disk: &dyn Disk) -> std::io::Result<bool> {
        Ok(disk.read(&self.path, self.len, ALIGNED)?.is_none_or(|next| is_blank(&next)))
    }

    /// Appends one frame, durably.
    pub fn append(
        &mut self,
        disk: &dyn Disk,
        header: &Header,
        key: &Key,
        changes: &Vec<Change>,
        entropy: &dyn Entropy,
    ) -> Result<(), AnchorError> {
        let plain = postcard::to_stdvec(changes).unwrap_or_else(|_| unreachable!("plain data"));
        let plain = zeroize::Zeroizing::new(plain);
        let sealed = seal_exact(key, &context(header, self.frames), &plain, entropy);
        let len = u32::try_from(sealed.len()).unwrap_or(u32::MAX);
        let mut frame = [&len.to_le_bytes()[..], &(!len).to_le_bytes(), &sealed].concat();
        frame.resize(frame.len().next_multiple_of(ALIGNED), 0);
        let end = self.len + u64::try_from(frame.len()).unwrap_or(0);
        if std::mem::replace(&mut self.torn, true) {
            disk.cut(&self.path, self.len)?;
            self.blocks = self.len;
        }
        if end > self.blocks {
            // Written and not only reserved: a block that holds nothing yet costs as much as none.
            let more = end.clamp(BLOCK, MOST);
            frame.resize(frame.len() + usize::try_from(more).unwrap_or(0), 0);
            self.blocks = end + more;
        }
        if let Err(error) = disk.write_at(&self.path, self.len, &frame) {
            // What can be read now need never become durable: a later sync may succeed without these bytes, and a frame
            // behind a hole would be taken for damage. So it goes, as if it had not been begun.
            if disk.cut(&self.path, self.len).is_ok() {
                (self.blocks, self.torn) = (self.len, false);
            }
            return Err(error.into());
        }
        (self.len, self.torn) = (end, false);
        self.frames += 1;
        Ok(())
    }

    /// Whether even a process that stays should write the anchor file anew.
    pub fn is_too_long(&self) -> bool {
        self.len > TOO_LONG
    }

    /// Whether the anchor file, of so many bytes, should be written anew.
    pub fn is_long(&self, file_len: impl FnOnce() -> u64) -> bool {
        self.len > SHORT && self.len > LONG.min(file_len() / 8)
    }
}

#[cfg(test)]
mod tests {
    use super::super::disk::RealDisk;
    use super::*;
    use crate::crypto::System;
    use crate::model::VaultId;

    fn journal(path: &Path, len: u64, blocks: u64) -> Journal {
        Journal { path: path.to_path_buf(), len, blocks, frames: 0, torn: false }
    }

    #[test]
    fn a_journal_is_long_by_its_own_length_and_by_what_rewriting_costs() {
        let of = |len| journal(Path::new(""), len, 0);
        let long = |len, file_len| of(len).is_long(|| file_len);
        assert_eq!([16 * 1024, 16 * 1024 + 1].map(|len| long(len, 0)), [false, true]);
        assert_eq!([20_000, 20_001].map(|len| long(len, 160_000)), [false, true]);
        assert_eq!([64 * 1024, 64 * 1024 + 1].map(|len| long(len, u64::MAX)), [false, true]);
        let mib = 1024 * 1024;
        assert_eq!([4 * mib, 4 * mib + 1].map(|len| of(len).is_too_long()), [false, true]);
    }

    #[test]
    fn the_file_grows_by_whole_blocks_and_only_where_it_must() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let (header, key) = (Header { vault: VaultId([1; 16]), epoch: 1, generation: 1 }, Key::generate(&System));
        // From a journal of this length, in so many blocks: its end, and the length of the file.
        let appended = |len, blocks| {
            let _ = std::fs::remove_file(&path);
            let mut journal = journal(&path, len, blocks);
            journal.append(&RealDisk, &header, &key, &vec![Change::Counted(1)], &System).unwrap();
            let end = journal.len;
            assert_eq!(end % 8, 0);
            assert_eq!(journal.blocks, RealDisk.len(&path).unwrap());
            (end, journal.blocks)
        };
        let (frame, _) = appended(0, 0);
        let mib = 1024 * 1024;
        assert_eq!(appended(0, frame), (frame, frame), "it fits");
        assert_eq!(appended(0, frame - 1), (frame, frame + 16 * 1024));
        assert_eq!(appended(32 * 1024, 0), (32 * 1024 + frame, 2 * (32 * 1024 + frame)));
        assert_eq!(appended(2 * mib, 0), (2 * mib + frame, 3 * mib + frame));
    }
}
