//! The anchor file.
//!
//! ```text
//! header   = "MNDTANCR" ‖ format (u16 LE) ‖ vault (16) ‖ epoch (u64 LE) ‖ generation (u64 LE) ‖ core length (u32 LE)
//! core     = seal_exact(EK, Context("mandatum/anchor-core/1", header), postcard(Core, places))
//! segment  = seal_exact(EK, Context("mandatum/anchor-segment/1", vault, epoch, unit), postcard(Segment))
//! place    = unit, offset, length and authentication tag of one segment
//! ```
//! A retrieval reads the header, the core and one segment; the core names each segment's tag, so that no segment of
//! another time fits.

use super::core::{Core, Segment};
use super::disk::Disk;
use super::{AnchorError, Home};
use crate::crypto::{Context, Entropy, Key, open_exact, seal_exact};
use crate::model::{UnitId, VaultId};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 8] = b"MNDTANCR";
const FORMAT: u16 = 1;
const HEADER: usize = 8 + 2 + 16 + 8 + 8;
const TAG: usize = 16;

/// What is readable without a key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Header {
    /// The vault.
    pub vault: VaultId,
    /// Which epoch key seals it.
    pub epoch: u64,
    /// Counts how often the file was written; names the journal that goes with it.
    pub generation: u64,
}

/// Where a segment stands in the file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Place {
    unit: UnitId,
    offset: u64,
    len: u32,
    tag: [u8; TAG],
}

/// The anchor's path.
pub fn path(dir: &Path) -> PathBuf {
    dir.join("anchor")
}

fn encode_header(header: &Header) -> Vec<u8> {
    let numbers = [header.epoch.to_le_bytes(), header.generation.to_le_bytes()].concat();
    [&MAGIC[..], &FORMAT.to_le_bytes(), header.vault.bytes(), &numbers].concat()
}

fn core_context(header: &Header) -> Context {
    Context::new("mandatum/anchor-core/1").at(&encode_header(header))
}

fn segment_context(header: &Header, unit: UnitId) -> Context {
    Context::new("mandatum/anchor-segment/1").at(header.vault.bytes()).number(header.epoch).at(unit.bytes())
}

/// The whole file.
pub fn encode(header: &Header, key: &Key, core: &Core, segments: &[Segment], entropy: &dyn Entropy) -> Vec<u8> {
    let mut body = Vec::new();
    let mut places = Vec::with_capacity(segments.len());
    for segment in segments {
        let plain =
            zeroize::Zeroizing::new(postcard::to_stdvec(segment).unwrap_or_else(|_| unreachable!("plain data")));
        let sealed = seal_exact(key, &segment_context(header, segment.unit), &plain, entropy);
        places.push(Place {
            unit: segment.unit,
            offset: u64::try_from(body.len()).unwrap_or(u64::MAX),
            len: u32::try_from(sealed.len()).unwrap_or(u32::MAX),
            tag: tag_of(&sealed),
        });
        body.extend_from_slice(&sealed);
    }
    let plain = postcard::to_stdvec(&(core, places)).unwrap_or_else(|_| unreachable!("plain data"));
    let plain = zeroize::Zeroizing::new(plain);
    let core = seal_exact(key, &core_context(header), &plain, entropy);
    let len = u32::try_from(core.len()).unwrap_or(u32::MAX).to_le_bytes();
    [&encode_header(header)[..], &len, &core, &body].concat()
}

fn tag_of(sealed: &[u8]) -> [u8; TAG] {
    sealed.last_chunk().copied().unwrap_or_default()
}

/// Reads the header; none if there is no file.
pub fn read_header(disk: &dyn Disk, path: &Path) -> Result<Option<Header>, AnchorError> {
    let Some(bytes) = disk.read(path, 0, HEADER)? else { return Ok(None) };
    let header = parse_header(&bytes).ok_or(AnchorError::Corrupt)?;
    Ok(Some(header))
}

fn parse_header(bytes: &[u8]) -> Option<Header> {
    let rest = bytes.strip_prefix(MAGIC)?.strip_prefix(&FORMAT.to_le_bytes())?;
    let (vault, rest) = rest.split_first_chunk::<16>()?;
    let (epoch, rest) = rest.split_first_chunk::<8>()?;
    let generation = rest.try_into().ok()?;
    Some(Header {
        vault: VaultId(*vault),
        epoch: u64::from_le_bytes(*epoch),
        generation: u64::from_le_bytes(generation),
    })
}

/// Reads and opens the core, and where every segment stands.
pub fn read_core(
    disk: &dyn Disk,
    path: &Path,
    header: &Header,
    key: &Key,
) -> Result<(Core, HashMap<UnitId, Place>), AnchorError> {
    let start = HEADER as u64;
    let len = disk.read(path, start, 4)?.and_then(|bytes| bytes.try_into().ok()).map(u32::from_le_bytes);
    let len = usize::try_from(len.ok_or(AnchorError::Corrupt)?).map_err(|_| AnchorError::Corrupt)?;
    let sealed = disk.read(path, start + 4, len)?.ok_or(AnchorError::Corrupt)?;
    let plain = open_exact(key, &core_context(header), &sealed).map_err(|_| AnchorError::Epoch)?;
    let (core, mut places): (Core, Vec<Place>) =
        postcard::from_bytes(plain.expose()).map_err(|_| AnchorError::Corrupt)?;
    let body = start + 4 + u64::try_from(sealed.len()).unwrap_or(0);
    for place in &mut places {
        place.offset = place.offset.saturating_add(body);
    }
    Ok((core, places.into_iter().map(|place| (place.unit, place)).collect()))
}

/// Reads and opens one segment.
pub fn read_segment(
    disk: &dyn Disk,
    path: &Path,
    header: &Header,
    key: &Key,
    unit: UnitId,
    place: &Place,
) -> Result<Segment, AnchorError> {
    let len = usize::try_from(place.len).map_err(|_| AnchorError::Corrupt)?;
    let sealed = disk.read(path, place.offset, len)?.ok_or(AnchorError::Corrupt)?;
    if tag_of(&sealed) != place.tag {
        return Err(AnchorError::Corrupt);
    }
    let plain = open_exact(key, &segment_context(header, unit), &sealed).map_err(|_| AnchorError::Corrupt)?;
    postcard::from_bytes(plain.expose()).map_err(|_| AnchorError::Corrupt)
}

/// Puts a new file in place of the old one: write beside it, sync, rename, sync the directory.
pub fn replace(home: &Home, bytes: &[u8]) -> Result<(), AnchorError> {
    let (path, new) = (path(&home.dir), home.dir.join("anchor.new"));
    home.disk.write(&new, bytes)?;
    home.disk.sync(&new)?;
    home.disk.rename(&new, &path)?;
    home.disk.sync_dir(&home.dir)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::core::Change;
    use super::super::disk::RealDisk;
    use super::*;
    use crate::crypto::System;
    use crate::model::{HighWater, Instant, Uptime};

    /// A part of an older file of the same epoch opens by its key; that it is not the part that belongs here is told by
    /// its place.
    #[test]
    fn a_part_of_an_older_file_is_not_taken() {
        let dir = tempfile::tempdir().unwrap();
        let (path, unit) = (path(dir.path()), UnitId([2; 16]));
        let (header, key) = (Header { vault: VaultId([1; 16]), epoch: 1, generation: 1 }, Key::generate(&System));
        let high = HighWater { at: Instant(1), uptime: Uptime { boot: 1, ms: 1 } };
        let core = Core::generate(UnitId([9; 16]), high, &System);
        let encoded = |until| {
            let mut segment = Segment::new(unit);
            segment.apply(Change::Term(unit, Instant(until)));
            encode(&header, &key, &core, &[segment], &System)
        };
        let opened = |bytes: &[u8]| {
            RealDisk.write(&path, bytes).unwrap();
            let (_, places) = read_core(&RealDisk, &path, &header, &key).unwrap();
            let (place, len) = (&places[&unit], usize::try_from(places[&unit].len).unwrap());
            (len, read_segment(&RealDisk, &path, &header, &key, unit, place).map(|segment| segment.term_until))
        };
        let (old, new) = (encoded(100), encoded(101));
        let (len, until) = opened(&new);
        assert!(matches!(until, Ok(Instant(101))) && matches!(opened(&old), (_, Ok(Instant(100)))));
        let spliced = [&new[..new.len() - len], &old[old.len() - len..]].concat();
        assert!(matches!(opened(&spliced), (_, Err(AnchorError::Corrupt))));
    }
}
