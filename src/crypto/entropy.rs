//! Randomness as an argument.

/// Where random bytes come from. The edge passes the operating system's; the simulator passes its own.
pub trait Entropy: Send + Sync {
    /// Fills the buffer with random bytes.
    fn fill(&self, buffer: &mut [u8]);
}

/// The operating system's generator.
pub struct System;

impl Entropy for System {
    fn fill(&self, buffer: &mut [u8]) {
        // Without randomness nothing here is safe to continue; there is no outside input that leads here.
        if getrandom::fill(buffer).is_err() {
            panic!("the operating system gives no randomness");
        }
    }
}
