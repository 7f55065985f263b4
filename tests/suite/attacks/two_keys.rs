//! One ciphertext that opens under two keys. XChaCha20-Poly1305 does not bind a ciphertext to its key: with both keys at
//! hand, one free block of sixteen bytes makes both tags the same, since a tag is linear in each block.
//!
//! Poly1305 (RFC 8439, 2.5) and the block of ChaCha20 (2.3), by hand: the product's own gives no one-time key away.

use crate::tamper::Lied;
use mandatum::agent::{AgentError, Fields, Key, Secret, System, Topic};
use mandatum::crypto::{Context, Ctx, Signed, Statement, commitment, hash, open_ct, open_exact, seal_ct, wrap_inner};
use mandatum::ledger::recipient_digest;
use mandatum::model::{Blob, Verb};
use serde_json::json;

/// A number below 2^130 - 5.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Number {
    high: u128,
    low: u128,
}

const ZERO: Number = Number { high: 0, low: 0 };
const PRIME: Number = Number { high: 3, low: u128::MAX - 4 };
/// The bit that Poly1305 sets above each whole block.
const ABOVE: Number = Number { high: 1, low: 0 };

impl Number {
    fn of(low: u128) -> Self {
        Self { high: 0, low }
    }

    fn added(self, other: Self) -> Self {
        let (low, carry) = self.low.overflowing_add(other.low);
        let sum = Self { high: self.high + other.high + u128::from(carry), low };
        if sum < PRIME { sum } else { sum.less(PRIME) }
    }

    /// The difference, which is not below zero.
    fn less(self, other: Self) -> Self {
        let (low, borrow) = self.low.overflowing_sub(other.low);
        Self { high: self.high - other.high - u128::from(borrow), low }
    }

    fn subtracted(self, other: Self) -> Self {
        self.added(if other == ZERO { ZERO } else { PRIME.less(other) })
    }

    fn bit(self, at: u32) -> bool {
        if at < 128 { self.low >> at & 1 == 1 } else { self.high >> (at - 128) & 1 == 1 }
    }

    fn times(self, other: Self) -> Self {
        let step = |sum: Self, at| {
            let doubled = sum.added(sum);
            if other.bit(at) { doubled.added(self) } else { doubled }
        };
        (0..130).rev().fold(ZERO, step)
    }

    fn power(self, exponent: Self) -> Self {
        let step = |product: Self, at| {
            let squared = product.times(product);
            if exponent.bit(at) { squared.times(self) } else { squared }
        };
        (0..130).rev().fold(Self::of(1), step)
    }

    /// What it is to be multiplied with to give 1: by Fermat.
    fn inverse(self) -> Self {
        self.power(PRIME.less(Self::of(2)))
    }
}

fn words<const N: usize>(bytes: &[u8]) -> [u32; N] {
    std::array::from_fn(|at| u32::from_le_bytes(bytes[at * 4..at * 4 + 4].try_into().unwrap()))
}

/// The twenty rounds, without adding the state they began with.
fn rounds(mut state: [u32; 16]) -> [u32; 16] {
    let mut quarter = |[a, b, c, d]: [usize; 4]| {
        for (sum, with, turned, by) in [(a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)] {
            state[sum] = state[sum].wrapping_add(state[with]);
            state[turned] = (state[turned] ^ state[sum]).rotate_left(by);
        }
    };
    for _ in 0..10 {
        [[0, 4, 8, 12], [1, 5, 9, 13], [2, 6, 10, 14], [3, 7, 11, 15]].into_iter().for_each(&mut quarter);
        [[0, 5, 10, 15], [1, 6, 11, 12], [2, 7, 8, 13], [3, 4, 9, 14]].into_iter().for_each(&mut quarter);
    }
    state
}

fn state(key: [u32; 8], rest: [u32; 4]) -> [u32; 16] {
    let sigma = words::<4>(b"expand 32-byte k");
    std::array::from_fn(|at| match at {
        0..4 => sigma[at],
        4..12 => key[at - 4],
        _ => rest[at - 12],
    })
}

/// The one-time key of XChaCha20-Poly1305 for a key and a nonce of 24 bytes: multiplier and summand.
fn one_time(key: &Key, nonce: &[u8]) -> (Number, u128) {
    let mixed = rounds(state(words(key.expose()), words(&nonce[..16])));
    let subkey = std::array::from_fn(|at| if at < 4 { mixed[at] } else { mixed[at + 8] });
    let [third, fourth] = words(&nonce[16..]);
    let first = state(subkey, [0, 0, third, fourth]);
    let block = rounds(first);
    let word = |at: usize| u128::from(block[at].wrapping_add(first[at]));
    let four = |from: usize| (0..4).fold(0, |sum, at| sum | word(from + at) << (32 * at));
    (Number::of(four(0) & 0x0fff_fffc_0fff_fffc_0fff_fffc_0fff_ffff), four(4))
}

/// Every whole block of what a tag is over.
fn blocks(context: &[u8], body: &[u8]) -> Vec<u128> {
    let padded = |bytes: &[u8]| [bytes, &vec![0; bytes.len().next_multiple_of(16) - bytes.len()]].concat();
    let lengths = [context.len(), body.len()].map(|len| u64::try_from(len).unwrap().to_le_bytes()).concat();
    let all = [padded(context), padded(body), lengths].concat();
    all.chunks(16).map(|block| u128::from_le_bytes(block.try_into().unwrap())).collect()
}

fn evaluated(blocks: &[u128], by: Number) -> Number {
    blocks.iter().fold(ZERO, |sum, block| sum.added(Number::of(*block)).added(ABOVE).times(by))
}

/// A sealed text changed in its padding, so that it opens under its own key and under another: first the block at
/// `free`, and its last byte where there is no solution for that.
fn under_both(sealed: &[u8], context: &[u8], keys: [&Key; 2], free: usize) -> Vec<u8> {
    let (nonce, rest) = sealed.split_at(24);
    let mut body = rest[..rest.len() - 16].to_vec();
    let [(r, s), (other_r, other_s)] = keys.map(|key| one_time(key, nonce));
    let last = body.len() - 1;
    for tried in 0..=u8::MAX {
        body[last] = tried;
        body[free..free + 16].fill(0);
        let zeroed = blocks(context, &body);
        let place = (context.len().next_multiple_of(16) + free) / 16;
        let left = u128::try_from(zeroed.len() - place).unwrap();
        let [weight, other_weight] = [r, other_r].map(|r| r.power(Number::of(left)));
        let without = evaluated(&zeroed, r).subtracted(evaluated(&zeroed, other_r));
        let inverse = weight.subtracted(other_weight).inverse();
        // The tags are the lowest 128 bits: what is above them may differ by a few.
        for above in 0..9 {
            let carried = (0..above).fold(ZERO, |sum, _| sum.added(ABOVE));
            let carried = (0..4).fold(carried, |sum, _| sum.subtracted(ABOVE));
            let wanted = Number::of(other_s).subtracted(Number::of(s)).added(carried);
            let block = wanted.subtracted(without).times(inverse);
            if block.high != 0 {
                continue;
            }
            body[free..free + 16].copy_from_slice(&block.low.to_le_bytes());
            let all = blocks(context, &body);
            let tag = evaluated(&all, r).low.wrapping_add(s);
            if tag == evaluated(&all, other_r).low.wrapping_add(other_s) {
                return [nonce, &body, &tag.to_le_bytes()].concat();
            }
        }
    }
    panic!("no solution: the arithmetic is wrong");
}

/// A ciphertext that opens under two data keys, made by the author, who has both: the commitment in their statement names
/// one, and the member's program uses no other, whoever is sent the other key (M6).
#[test]
fn a_ciphertext_that_opens_under_two_keys_is_used_with_one() {
    let lied = Lied::new();
    let (lena, sasha) = (lied.world.identity("Lena"), lied.world.identity("Sasha"));
    let recipient = sasha.enc.recipient();
    let released = lied.gate.last(Verb::Fetch)["released"][0].clone();
    let signed: Signed = serde_json::from_value(released["statement"].clone()).unwrap();
    let said: Statement = serde_json::from_slice(signed.unverified_bytes()).unwrap();
    let ctx: Ctx = said.ctx;
    assert_eq!(ctx.recipient, recipient_digest(&recipient));

    let (one, two) = (Key::generate(&System), Key::generate(&System));
    let fields = Fields::default().with("password", Secret::copy_of(b"of the first key"));
    let sealed = seal_ct(&one, &ctx, &fields, &System);
    let place = Context::new("mandatum/ct/1").at(ctx.vault.bytes()).at(ctx.mandate.bytes()).at(ctx.credential.bytes());
    let context = Context::new("mandatum/ct-aad/1").at(place.number(ctx.version.into()).digest().bytes());
    let ct = under_both(&sealed, context.bytes(), [&one, &two], sealed.len() - 24 - 16 - 48);
    for key in [&one, &two] {
        assert!(open_exact(key, &context, &ct).is_ok(), "it was to open under both");
    }
    assert!(open_exact(&Key::generate(&System), &context, &ct).is_err());
    assert!(open_ct(&one, &ctx, &ct).is_ok());

    // What a member gets who is sent this key, where the statement commits to that one.
    let sent = |key: &Key, committed: &Key| {
        let inner = wrap_inner(&recipient, &ctx, key).unwrap();
        let said = Statement { ct: hash(&ct), inner: hash(&inner), commit: commitment(committed), ..said.clone() };
        let statement = lena.sign.sign(Topic::Statement, serde_json::to_vec(&said).unwrap());
        let ct = json!(Blob(ct.clone()));
        lied.fetch(move |answer| {
            answer["released"][0]["ct"] = ct.clone();
            answer["released"][0]["inner"] = json!(Blob(inner.clone()));
            answer["released"][0]["statement"] = json!(statement);
        })
    };
    assert_eq!(sent(&one, &one).unwrap(), "of the first key", "the lie was well made");
    for (key, committed) in [(&two, &one), (&one, &two)] {
        let answer = sent(key, committed);
        assert!(
            matches!(&answer, Err(AgentError::Untrusted(why)) if why.contains("different data keys")),
            "{answer:?}"
        );
    }
}
