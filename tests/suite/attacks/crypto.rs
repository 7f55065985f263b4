//! Keys that are used for something else, numbers that repeat, and the formats of others.

use crate::matrix::{Place, Voice, asked};
use crate::skip::skip;
use crate::support::World;
use mandatum::agent::{Key, SignKey, System, Topic};
use mandatum::api::{FetchAnswer, FetchCall};
use mandatum::crypto::{Context, Entropy, Signed, Statement, commitment, open_ct, seal, verify_note};
use mandatum::ledger::{Checkpoint, recipient_digest};
use mandatum::model::{Digest, UnitId, VaultId};
use std::collections::HashSet;
use std::io::Write;
use std::process::{Command, Stdio};

/// Each kind of statement, by each kind of key there is: no signature is good under another topic or key, and none of a
/// checkpoint is good as a statement, or a statement's as a checkpoint's, whatever the text looks like (M1, M2).
#[test]
fn a_signature_is_good_for_one_thing() {
    let keys: Vec<SignKey> = (0..5).map(|_| SignKey::generate(&System)).collect();
    let (vault, unit) = (VaultId([1; 16]), UnitId([2; 16]));
    let head = Checkpoint { size: 1, root: Digest([3; 32]) };
    let mut accepted = 0;
    for (number, key) in keys.iter().enumerate() {
        let note = head.sign(vault, unit, key);
        let text = note.split("\n\n").next().unwrap().to_owned() + "\n";
        let of_note = key.sign_note(&text);
        for topic in Topic::ALL {
            let pae = format!("DSSEv1 {} {} {} {text}", topic.name().len(), topic.name(), text.len());
            // A note whose text is a statement's encoding: no checkpoint begins so, and none is read so.
            assert!(!text.starts_with("DSSEv1"));
            assert!(Checkpoint::open(&format!("{pae}\n\n— x AAAA\n"), vault, unit, &key.public()).is_err());
            let crossed = Signed::from_parts(text.clone().into_bytes(), key.public(), of_note.to_vec());
            assert!(crossed.open(topic, &key.public()).is_err());
            let signed = key.sign(topic, text.clone().into_bytes());
            assert!(verify_note(&key.public(), &text, signed.signature()).is_err());
            for (other_number, other) in keys.iter().enumerate() {
                for other_topic in Topic::ALL {
                    let good = signed.open(other_topic, &other.public()).is_ok();
                    assert_eq!(good, number == other_number && topic == other_topic);
                    accepted += usize::from(good);
                }
            }
        }
        assert!(Checkpoint::open(&note, vault, unit, &key.public()).is_ok());
        let stranger = keys[(number + 1) % keys.len()].public();
        assert!(Checkpoint::open(&note, vault, unit, &stranger).is_err());
    }
    assert_eq!(accepted, keys.len() * Topic::ALL.len());
}

/// The nonces of 40 000 seals of the same thing with the same key, made side by side, are all different (M5).
#[test]
fn no_nonce_comes_twice() {
    let (key, context) = (Key::generate(&System), Context::new("a test of nonces"));
    let nonces = |count: usize| -> Vec<[u8; 24]> {
        (0..count).map(|_| seal(&key, &context, b"the same", &System)[..24].try_into().unwrap()).collect()
    };
    let halves = std::thread::scope(|scope| {
        let halves = [scope.spawn(|| nonces(20_000)), scope.spawn(|| nonces(20_000))];
        halves.map(|half| half.join().unwrap())
    });
    let all: HashSet<[u8; 24]> = halves.iter().flatten().copied().collect();
    assert_eq!(all.len(), 40_000);
    // The search would see it: a source of zeros repeats.
    struct Zeros;
    impl Entropy for Zeros {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(0);
        }
    }
    assert_eq!(seal(&key, &context, b"one", &Zeros)[..24], seal(&key, &context, b"two", &Zeros)[..24]);
}

/// Without the broker's half a member's wrap is an age file: stock age opens it with the member's key, and what is
/// inside is place and data key (M7; needs age).
#[test]
fn stock_age_opens_a_members_wrap() {
    if Command::new("age").arg("--version").output().is_err() {
        return skip("age is not installed");
    }
    let world = World::with_mandate();
    let [lena, sasha] = ["Lena", "Sasha"].map(|name| Voice::of(&world, name));
    let gate = world.gate();
    let place = Place::of(&*gate, &lena, "Romashka", "Sasha");
    let fetch = asked::<FetchCall>(Some(place.unit), place.item(sasha.id()), &());
    let answer: FetchAnswer = serde_json::from_slice(&sasha.send(&*gate, &fetch, None).unwrap()).unwrap();
    let released = &answer.released[0];
    let said: Statement = serde_json::from_slice(released.statement.unverified_bytes()).unwrap();
    let key = world.file("age-key", sasha.identity.enc.text().expose_str().unwrap());
    let mut age =
        Command::new("age").arg("-d").arg("-i").arg(&key).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    age.stdin.take().unwrap().write_all(&released.inner.0).unwrap();
    let output = age.wait_with_output().unwrap();
    assert!(output.status.success());
    let (context, dek) = output.stdout.split_at(output.stdout.len() - 32);
    assert_eq!(context, said.ctx.context().bytes());
    assert_eq!(said.ctx.recipient, recipient_digest(&sasha.identity.enc.recipient()));
    let dek = Key::from_slice(dek).unwrap();
    assert_eq!(commitment(&dek), said.commit);
    let fields = open_ct(&dek, &said.ctx, &released.ct.0).unwrap();
    let fetched = world.as_member("Sasha", "fetch Romashka/CRM --field password").done().stdout;
    assert_eq!(fields.field("password").unwrap().expose_str(), Some(fetched.trim_end()));
}
