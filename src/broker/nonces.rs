//! One-use nonces that cost no memory while they are out.
//!
//! ```text
//! nonce = number (u64 BE) ‖ HMAC-SHA-256(key of this process, "mandatum/nonce/1\0" ‖ number), first 8 bytes
//! ```
//! Numbers are given out one after the other; one bit for each of the last [`WINDOW`] says whether it was used. Whoever
//! asks for nonces by the thousand pushes nobody's out: a request follows its hello within a moment, and the window is
//! longer than what can be asked for in that time.

use crate::crypto::{Entropy, Key, derive_nonce_tag};
use crate::model::Nonce;
use std::sync::{Mutex, PoisonError};

/// How many numbers back a nonce is good.
const WINDOW: u64 = 1 << 22;

/// The nonces of one running broker.
pub struct Nonces {
    key: Key,
    given: Mutex<Given>,
}

struct Given {
    next: u64,
    used: Vec<u64>,
}

impl Nonces {
    /// None given out yet. Another process, or this one started again, knows none of these.
    pub fn new(entropy: &dyn Entropy) -> Self {
        Self { key: Key::generate(entropy), given: Mutex::new(Given { next: 0, used: Vec::new() }) }
    }

    /// A fresh one.
    pub fn generate(&self) -> Nonce {
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        let number = given.next;
        given.next += 1;
        let (word, bit) = place(number);
        match given.used.get_mut(word) {
            Some(used) => *used &= !bit,
            // Grown as it is needed: a process that serves one command needs one word.
            None => given.used.push(0),
        }
        drop(given);
        self.sign(number)
    }

    /// Uses one up; no for what was never given, was used, or is too old.
    pub fn take(&self, nonce: Nonce) -> bool {
        let (number, _) = nonce.0.split_first_chunk::<8>().unwrap_or_else(|| unreachable!("sixteen bytes"));
        let number = u64::from_be_bytes(*number);
        let known = crate::crypto::equal(&self.sign(number).0, &nonce.0);
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        if !known || number >= given.next || given.next - number > WINDOW {
            return false;
        }
        let (word, bit) = place(number);
        let Some(used) = given.used.get_mut(word) else { return false };
        let fresh = *used & bit == 0;
        *used |= bit;
        fresh
    }

    fn sign(&self, number: u64) -> Nonce {
        let mut nonce = [0; 16];
        nonce[..8].copy_from_slice(&number.to_be_bytes());
        nonce[8..].copy_from_slice(&derive_nonce_tag(&self.key, number));
        Nonce(nonce)
    }
}

/// The word and the bit of a number.
fn place(number: u64) -> (usize, u64) {
    let at = number % WINDOW;
    (usize::try_from(at / 64).unwrap_or(usize::MAX), 1 << (at % 64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::System;

    #[test]
    fn each_is_good_once_and_only_here() {
        let (here, there) = (Nonces::new(&System), Nonces::new(&System));
        let given: Vec<Nonce> = (0..300).map(|_| here.generate()).collect();
        assert!(given.iter().all(|nonce| !there.take(*nonce)));
        assert!(given.iter().rev().all(|nonce| here.take(*nonce)));
        assert!(given.iter().all(|nonce| !here.take(*nonce)));
    }

    #[test]
    fn what_was_never_given_or_was_changed_is_refused() {
        let nonces = Nonces::new(&System);
        let nonce = nonces.generate();
        for place in 0..16 {
            let mut changed = nonce;
            changed.0[place] ^= 1;
            assert!(!nonces.take(changed), "{place}");
        }
        assert!(!nonces.take(nonces.sign(1)), "the next one, before it is given");
        assert!(nonces.take(nonce));
    }

    #[test]
    fn a_flood_pushes_none_out_before_the_window_is_through() {
        let nonces = Nonces::new(&System);
        let (first, second) = (nonces.generate(), nonces.generate());
        nonces.given.lock().unwrap().next = WINDOW + 1;
        assert!(!nonces.take(first), "one too old");
        assert!(nonces.take(second), "the oldest of the window");
        // Its place is given out anew, unused.
        let again = nonces.generate();
        assert!(nonces.take(again) && !nonces.take(again));
    }
}
