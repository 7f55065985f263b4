//! Choices that one number decides, so that a case can be had again.

use mandatum::crypto::{Key, SignKey};

/// SplitMix64.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x2545_F491_4F6C_DD1D))
    }
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
    pub fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.roll() % u64::try_from(limit.max(1)).unwrap()).unwrap()
    }
    /// True in so many of a hundred.
    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
    pub fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| u8::try_from(self.roll() & 0xFF).unwrap())
    }
    pub fn hex(&mut self, bytes: usize) -> String {
        (0..bytes).map(|_| format!("{:02x}", self.roll() & 0xFF)).collect()
    }
    pub fn key(&mut self) -> SignKey {
        SignKey::from_seed(&Key::from_slice(&self.bytes::<32>()).unwrap())
    }
    /// Those of a list, in its order, that the dice keep: at least one.
    pub fn some<T: Clone>(&mut self, of: &[T]) -> Vec<T> {
        let kept: Vec<T> = of.iter().filter(|_| self.chance(50)).cloned().collect();
        if kept.is_empty() { of.get(self.below(of.len())).into_iter().cloned().collect() } else { kept }
    }
}
