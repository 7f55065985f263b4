//! What changed since the anchor file was written: appended and synced before anything is released by it.
//!
//! ```text
//! frame = length (u32 LE) ‖ !length (u32 LE)
//!       ‖ seal_exact(EK, Context("mandatum/anchor-log/1", vault, epoch, generation, frame number), postcard([Change]))
//! ```
//! A frame that was cut off at the end of the file, or has its length and not its bytes, is one whose sync never
//! returned: it is dropped. Any other frame that does not open means the file was changed; a changed length is told
//! from a cut by its complement.

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
        let unwritten = (len, check) == (0, 0) || after.iter().all(|byte| *byte == 0);
        return if unwritten { Ok(None) } else { Err(AnchorError::Corrupt) };
    }
    Ok(after.split_at_checked(usize::try_from(len).map_err(|_| AnchorError::Corrupt)?))
}

/// The open end of a journal.
pub struct Journal {
    path: PathBuf,
    len: u64,
    frames: u64,
}

impl Journal {
    /// Reads a journal from its beginning; none there is an empty one.
    pub fn open(home: &Home, header: &Header, key: &Key) -> Result<(Self, Vec<Change>), AnchorError> {
        let path = path(&home.dir, header.generation);
        let bytes = home.disk.read(&path, 0, usize::MAX)?.unwrap_or_default();
        let (mut changes, mut frames, mut rest) = (Vec::new(), 0, &bytes[..]);
        while let Some((sealed, after)) = split_frame(rest)? {
            let Ok(plain) = open_exact(key, &context(header, frames), sealed) else {
                if after.is_empty() {
                    break;
                }
                return Err(AnchorError::Corrupt);
            };
            let taken: Vec<Change> = postcard::from_bytes(plain.expose()).map_err(|_| AnchorError::Corrupt)?;
            changes.extend(taken);
            (frames, rest) = (frames + 1, after);
        }
        let len = u64::try_from(bytes.len() - rest.len()).unwrap_or(0);
        if !rest.is_empty() {
            // The torn frame goes now, so that the length tells other processes what was read.
            home.disk.append(&path, len, &[])?;
        }
        Ok((Self { path, len, frames }, changes))
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
        let frame = [&len.to_le_bytes()[..], &(!len).to_le_bytes(), &sealed].concat();
        if let Err(error) = disk.append(&self.path, self.len, &frame) {
            // What can be read now need never become durable: a later sync may succeed without these bytes, and a frame
            // behind a hole would be taken for damage. So it goes, as if it had not been begun.
            let _ = disk.append(&self.path, self.len, &[]);
            return Err(error.into());
        }
        self.len += u64::try_from(frame.len()).unwrap_or(0);
        self.frames += 1;
        Ok(())
    }

    /// Its length in bytes.
    pub fn len(&self) -> u64 {
        self.len
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
