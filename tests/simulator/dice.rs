//! Everything that is random here, from one number.

use mandatum::crypto::Entropy;
use std::sync::Mutex;

/// SplitMix64: small, and good enough to draw steps by.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed ^ 0x9e37_79b9_7f4a_7c15)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    /// One of `0..many`.
    pub fn below(&mut self, many: usize) -> usize {
        usize::try_from(self.next() % many.max(1) as u64).unwrap()
    }

    /// Between both, inclusive.
    pub fn between(&mut self, from: i64, to: i64) -> i64 {
        from + i64::try_from(self.next() % u64::try_from((to - from).max(0) + 1).unwrap()).unwrap()
    }

    /// So often in a hundred.
    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub fn pick<T: Clone>(&mut self, items: &[T]) -> Option<T> {
        if items.is_empty() { None } else { Some(items[self.below(items.len())].clone()) }
    }

    pub fn id(&mut self) -> [u8; 16] {
        let (high, low) = (self.next().to_be_bytes(), self.next().to_be_bytes());
        [high, low].concat().try_into().unwrap()
    }
}

/// The library's randomness: a stream of its own, so that what it draws moves no step.
pub struct Seeded(Mutex<Dice>);

impl Seeded {
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(Dice::new(seed.rotate_left(32) ^ 0x5eed)))
    }
}

impl Entropy for Seeded {
    fn fill(&self, buffer: &mut [u8]) {
        let mut dice = self.0.lock().unwrap();
        for part in buffer.chunks_mut(8) {
            let word = dice.next().to_be_bytes();
            part.copy_from_slice(&word[..part.len()]);
        }
    }
}
