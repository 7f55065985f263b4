//! What a running broker keeps in memory so that the next call need not read it again.
//!
//! Nothing is believed because it is here: a state is used while the anchor names its digest, a node of a tree never
//! changes once it is written, and the root they lead to is compared with the anchor's each time. All of it is dropped
//! when the files were changed by another process, and after every error.

use crate::model::{Digest, Mandate, UnitId};
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

/// Bytes of encoded states that are kept decoded. Decoded they take about four times that.
const STATES: usize = 96 << 20;
/// Nodes of trees that are kept; about a hundred bytes each.
const NODES: usize = 1 << 17;

/// States and nodes that were read or written before.
pub struct Memory {
    states: Recent<UnitId, (Digest, Arc<Mandate>)>,
    nodes: Recent<(UnitId, u32, u64), Digest>,
}

impl Default for Memory {
    fn default() -> Self {
        Self { states: Recent::new(STATES), nodes: Recent::new(NODES) }
    }
}

impl Memory {
    /// The decoded state of this digest.
    pub fn state(&mut self, unit: UnitId, digest: &Digest) -> Option<Arc<Mandate>> {
        self.states.find(&unit).filter(|(of, _)| of == digest).map(|(_, mandate)| Arc::clone(mandate))
    }

    /// Keeps a state, decoded from so many bytes.
    pub fn keep_state(&mut self, digest: Digest, mandate: &Arc<Mandate>, bytes: usize) {
        self.states.keep(mandate.unit, (digest, Arc::clone(mandate)), bytes);
    }

    /// A node of a tree.
    pub fn node(&mut self, unit: UnitId, level: u32, index: u64) -> Option<Digest> {
        self.nodes.find(&(unit, level, index)).copied()
    }

    /// Keeps a node.
    pub fn keep_node(&mut self, unit: UnitId, level: u32, index: u64, hash: Digest) {
        self.nodes.keep((unit, level, index), hash, 1);
    }
}

/// What was used lately, in two generations: when the younger one is full, the older one goes.
struct Recent<K, V> {
    most: usize,
    filled: usize,
    young: HashMap<K, (V, usize)>,
    old: HashMap<K, (V, usize)>,
}

impl<K: Hash + Eq + Copy, V> Recent<K, V> {
    fn new(most: usize) -> Self {
        Self { most, filled: 0, young: HashMap::new(), old: HashMap::new() }
    }

    fn find(&mut self, key: &K) -> Option<&V> {
        if let Some((value, weight)) = self.old.remove(key) {
            self.keep(*key, value, weight);
        }
        self.young.get(key).map(|(value, _)| value)
    }

    fn keep(&mut self, key: K, value: V, weight: usize) {
        if self.filled + weight > self.most / 2 {
            (self.old, self.filled) = (std::mem::take(&mut self.young), 0);
        }
        self.filled += weight;
        if let Some((_, before)) = self.young.insert(key, (value, weight)) {
            self.filled = self.filled.saturating_sub(before);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_stays_and_the_whole_never_outgrows_its_bound() {
        let mut recent = Recent::new(100);
        recent.keep(0, "used", 1);
        for key in 1..10_000 {
            recent.keep(key, "once", 1);
            assert_eq!(recent.find(&0), Some(&"used"), "{key}");
            assert!(recent.young.len() + recent.old.len() <= 100);
        }
        assert_eq!(recent.find(&1), None);
        assert_eq!(recent.find(&9_999), Some(&"once"));
    }

    #[test]
    fn a_value_kept_anew_counts_once() {
        let mut recent = Recent::new(100);
        for round in 0..1000 {
            recent.keep(7, round, 10);
        }
        assert!(recent.filled <= 50);
        assert_eq!(recent.find(&7), Some(&999));
    }
}
