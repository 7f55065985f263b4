//! The Merkle tree of RFC 6962 over stored nodes.
//!
//! A node `(level, index)` is the root of the perfect subtree over leaves `index·2^level … (index+1)·2^level − 1`.
//! Only perfect subtrees are stored; everything else is computed from them in O(log n) reads.

use crate::crypto::Hasher;
use crate::model::Digest;
use std::cmp::Ordering;
use std::convert::Infallible;

/// A node with its place: level, index.
pub type Node = (u32, u64, Digest);

/// RFC 6962, 2.1: the hash of an inner node.
fn parent(left: &Digest, right: &Digest) -> Digest {
    Hasher::default().with(&[1]).with(left.bytes()).with(right.bytes()).finish()
}

/// RFC 6962, 2.1: the hash of a leaf.
pub fn leaf_hash(data: &[u8]) -> Digest {
    Hasher::default().with(&[0]).with(data).finish()
}

/// The nodes that appending a leaf to a tree of `size` leaves adds, lowest first.
///
/// # Errors
/// Whatever `read` returns.
pub fn append<E>(size: u64, leaf: Digest, mut read: impl FnMut(u32, u64) -> Result<Digest, E>) -> Result<Vec<Node>, E> {
    let mut nodes = vec![(0, size, leaf)];
    let (mut level, mut index, mut hash) = (0, size, leaf);
    while index & 1 == 1 {
        hash = parent(&read(level, index - 1)?, &hash);
        (level, index) = (level + 1, index >> 1);
        nodes.push((level, index, hash));
    }
    Ok(nodes)
}

/// The root over `size` leaves; SHA-256 of nothing for an empty tree.
///
/// # Errors
/// Whatever `read` returns.
pub fn root<E>(size: u64, mut read: impl FnMut(u32, u64) -> Result<Digest, E>) -> Result<Digest, E> {
    if size == 0 { Ok(Hasher::default().finish()) } else { subtree(0, size, &mut read) }
}

/// RFC 6962, 2.1.1: the audit path of a leaf.
///
/// # Errors
/// Whatever `read` returns.
pub fn inclusion_proof<E>(
    leaf: u64,
    size: u64,
    mut read: impl FnMut(u32, u64) -> Result<Digest, E>,
) -> Result<Vec<Digest>, E> {
    let (mut start, mut end, mut path) = (0, size, Vec::new());
    while end - start > 1 {
        let split = start + largest_power_below(end - start);
        let sibling = if leaf < split { (split, end) } else { (start, split) };
        path.push(subtree(sibling.0, sibling.1, &mut read)?);
        (start, end) = if leaf < split { (start, split) } else { (split, end) };
    }
    path.reverse();
    Ok(path)
}

/// RFC 6962, 2.1.2: the consistency proof between two sizes; empty where the older tree is empty or the same.
///
/// # Errors
/// Whatever `read` returns.
pub fn consistency_proof<E>(
    old: u64,
    new: u64,
    mut read: impl FnMut(u32, u64) -> Result<Digest, E>,
) -> Result<Vec<Digest>, E> {
    if old == 0 || old >= new {
        return Ok(Vec::new());
    }
    let (mut start, mut end, mut path, mut whole) = (0, new, Vec::new(), true);
    while old != end {
        let split = start + largest_power_below(end - start);
        if old <= split {
            path.push(subtree(split, end, &mut read)?);
            end = split;
        } else {
            path.push(subtree(start, split, &mut read)?);
            (start, whole) = (split, false);
        }
    }
    if !whole {
        path.push(subtree(start, end, &mut read)?);
    }
    path.reverse();
    Ok(path)
}

/// RFC 9162, 2.1.3.2.
pub fn verify_inclusion(leaf_hash: Digest, leaf: u64, size: u64, path: &[Digest], root: &Digest) -> bool {
    if leaf >= size {
        return false;
    }
    let (mut index, mut last, mut hash) = (leaf, size - 1, leaf_hash);
    for sibling in path {
        if last == 0 {
            return false;
        }
        if index & 1 == 1 || index == last {
            hash = parent(sibling, &hash);
            while index & 1 == 0 && index != 0 {
                (index, last) = (index >> 1, last >> 1);
            }
        } else {
            hash = parent(&hash, sibling);
        }
        (index, last) = (index >> 1, last >> 1);
    }
    last == 0 && hash == *root
}

/// RFC 9162, 2.1.4.2.
pub fn verify_consistency(old: u64, old_root: &Digest, new: u64, new_root: &Digest, path: &[Digest]) -> bool {
    if old == 0 {
        return path.is_empty();
    }
    match old.cmp(&new) {
        Ordering::Less => {}
        Ordering::Equal => return path.is_empty() && old_root == new_root,
        Ordering::Greater => return false,
    }
    let with_old;
    let path = if old.is_power_of_two() {
        with_old = [std::slice::from_ref(old_root), path].concat();
        &with_old[..]
    } else {
        path
    };
    let Some((first, rest)) = path.split_first() else { return false };
    let (mut index, mut last) = (old - 1, new - 1);
    while index & 1 == 1 {
        (index, last) = (index >> 1, last >> 1);
    }
    let (mut from_old, mut from_new) = (*first, *first);
    for node in rest {
        if last == 0 {
            return false;
        }
        if index & 1 == 1 || index == last {
            (from_old, from_new) = (parent(node, &from_old), parent(node, &from_new));
            while index & 1 == 0 && index != 0 {
                (index, last) = (index >> 1, last >> 1);
            }
        } else {
            from_new = parent(&from_new, node);
        }
        (index, last) = (index >> 1, last >> 1);
    }
    last == 0 && from_old == *old_root && from_new == *new_root
}

/// The right edge of a growing tree: enough to append and to know the root, without stored nodes.
#[derive(Default)]
pub struct Edge {
    size: u64,
    peaks: Vec<Option<Digest>>,
}

impl Edge {
    /// Appends a leaf.
    pub fn push(&mut self, leaf: Digest) {
        let nodes = append(self.size, leaf, |level, _| self.peak(level)).unwrap_or_else(|never| match never {});
        for (level, _, hash) in nodes {
            let level = usize::try_from(level).unwrap_or(usize::MAX);
            if self.peaks.len() <= level {
                self.peaks.resize(level + 1, None);
            }
            self.peaks[level] = Some(hash);
        }
        self.size += 1;
    }

    /// The number of leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The root over them.
    pub fn root(&self) -> Digest {
        root(self.size, |level, _| self.peak(level)).unwrap_or_else(|never| match never {})
    }

    fn peak(&self, level: u32) -> Result<Digest, Infallible> {
        let peak = usize::try_from(level).ok().and_then(|level| self.peaks.get(level).copied().flatten());
        Ok(peak.unwrap_or_else(|| unreachable!("only peaks are read")))
    }
}

/// The hash over leaves `[start, end)`, where `start` is a multiple of the subtree's size.
fn subtree<E>(start: u64, end: u64, read: &mut impl FnMut(u32, u64) -> Result<Digest, E>) -> Result<Digest, E> {
    let len = end - start;
    if len.is_power_of_two() {
        return read(len.trailing_zeros(), start / len);
    }
    let split = start + largest_power_below(len);
    let left = subtree(start, split, read)?;
    let right = subtree(split, end, read)?;
    Ok(parent(&left, &right))
}

/// The largest power of two smaller than `len`, for `len > 1`.
fn largest_power_below(len: u64) -> u64 {
    1 << (u64::BITS - 1 - (len - 1).leading_zeros())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    struct Tree(HashMap<(u32, u64), Digest>, u64);

    impl Tree {
        fn of(leaves: u64) -> Self {
            let mut tree = Tree(HashMap::new(), 0);
            for number in 0..leaves {
                let leaf = leaf_hash(&number.to_be_bytes());
                for (level, index, hash) in append(tree.1, leaf, |l, i| tree.read(l, i)).unwrap() {
                    tree.0.insert((level, index), hash);
                }
                tree.1 += 1;
            }
            tree
        }
        fn read(&self, level: u32, index: u64) -> Result<Digest, (u32, u64)> {
            self.0.get(&(level, index)).copied().ok_or((level, index))
        }
    }

    /// RFC 6962, 2.1, straight from its recursive definition.
    fn naive(leaves: &[Vec<u8>]) -> Digest {
        match leaves {
            [] => Hasher::default().finish(),
            [leaf] => leaf_hash(leaf),
            _ => {
                let split = leaves.len().next_power_of_two() / 2;
                parent(&naive(&leaves[..split]), &naive(&leaves[split..]))
            }
        }
    }

    /// The test tree of the certificate-transparency project (merkletree tests, `leaf_inputs` of 8 entries).
    #[test]
    fn known_roots() {
        let hex = |text: &str| data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap();
        let leaves: Vec<Vec<u8>> =
            ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
                .iter()
                .map(|leaf| hex(leaf))
                .collect();
        let roots = [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ];
        let mut nodes: HashMap<(u32, u64), Digest> = HashMap::new();
        for (size, (leaf, expected)) in (0u64..).zip(leaves.iter().zip(roots)) {
            let read = |l, i| nodes.get(&(l, i)).copied().ok_or(());
            let added = append(size, leaf_hash(leaf), read).unwrap();
            nodes.extend(added.into_iter().map(|(l, i, hash)| ((l, i), hash)));
            assert_eq!(root(size + 1, |l, i| nodes.get(&(l, i)).copied().ok_or(())).unwrap().to_string(), expected);
        }
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(root(0, |_, _| Err(())).unwrap().to_string(), empty);
    }

    #[test]
    fn roots_agree_with_the_definition() {
        for size in 0..70 {
            let leaves: Vec<Vec<u8>> = (0..size).map(|n: u64| n.to_be_bytes().to_vec()).collect();
            let tree = Tree::of(size);
            assert_eq!(root(size, |l, i| tree.read(l, i)), Ok(naive(&leaves)), "{size}");
            let mut edge = Edge::default();
            leaves.iter().for_each(|leaf| edge.push(leaf_hash(leaf)));
            assert_eq!(edge.root(), naive(&leaves), "{size}");
        }
    }

    #[test]
    fn proofs_verify_and_nothing_else_does() {
        let tree = Tree::of(40);
        let root_at = |size| root(size, |l, i| tree.read(l, i)).unwrap();
        for size in 1..=40u64 {
            for leaf in 0..size {
                let hash = leaf_hash(&leaf.to_be_bytes());
                let path = inclusion_proof(leaf, size, |l, i| tree.read(l, i)).unwrap();
                assert!(verify_inclusion(hash, leaf, size, &path, &root_at(size)));
                assert!(!verify_inclusion(hash, leaf + 1, size, &path, &root_at(size)));
                assert!(!verify_inclusion(leaf_hash(b"x"), leaf, size, &path, &root_at(size)));
                assert!(!verify_inclusion(hash, leaf, size, &[&path[..], &[hash]].concat(), &root_at(size)));
                assert!(path.is_empty() || !verify_inclusion(hash, leaf, size, &path[1..], &root_at(size)));
            }
            for old in 0..=size {
                let path = consistency_proof(old, size, |l, i| tree.read(l, i)).unwrap();
                assert!(verify_consistency(old, &root_at(old), size, &root_at(size), &path), "{old} {size}");
                let other = leaf_hash(b"other");
                if old > 0 {
                    assert!(!verify_consistency(old, &other, size, &root_at(size), &path));
                    assert!(!verify_consistency(old, &root_at(old), size, &other, &path));
                    assert!(!verify_consistency(
                        old,
                        &root_at(old),
                        size,
                        &root_at(size),
                        &[&path[..], &[other]].concat()
                    ));
                }
                for cut in 1..=path.len() {
                    assert!(!verify_consistency(old, &root_at(old), size, &root_at(size), &path[cut..]));
                }
            }
        }
        let huge = leaf_hash(b"huge");
        assert!(!verify_inclusion(huge, 0, u64::MAX, &[huge; 10], &huge));
        assert!(!verify_consistency(1, &huge, u64::MAX, &huge, &[huge; 10]));
        assert!(!verify_consistency(2, &huge, 1, &huge, &[]));
    }
}
