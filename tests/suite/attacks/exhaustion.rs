//! Whoever wants the vault to be busy with them.

use super::real::{Served, an_hour_ago, come_to_now};
use crate::matrix::{Voice, with_code};
use crate::secrecy::files_under;
use mandatum::api::{Gate, Refusal, UnlockAsk, UnlockCall};
use mandatum::model::Verb;
use std::collections::BTreeMap;
use std::path::Path;

/// Codes that somebody else sends in a member's name, without the member's key, are not looked at and make nobody wait:
/// the member comes in at once, though the other source is slowed down (K2).
#[test]
fn wrong_codes_in_anothers_name_make_them_wait_for_nothing() {
    let world = an_hour_ago();
    come_to_now(&world);
    let served = Served::new(&world);
    let [sasha, lena] = ["Sasha", "Lena"].map(|name| Voice { identity: world.identity(name), session: None });
    let unlock = |code: &str| with_code::<UnlockCall>(UnlockAsk { for_ms: 3_600_000 }, code);
    // Twenty failures are let through from one address, then one a second.
    for n in 0..15 {
        let asked = unlock(&format!("{n:06}"));
        let mut request = lena.request(&served, &asked, None);
        request.member = sasha.id();
        let answer = served.call(lena.frame(Verb::Unlock, &request, &asked.load));
        assert!(matches!(answer, Err(Refusal::Authentication(_))), "{answer:?}");
    }
    come_to_now(&world);
    sasha.send(&served, &unlock(&world.fresh_code("Sasha")), None).unwrap();
}

/// Unlocking costs the broker no key derivation: Argon2id runs in the member's own program, and nothing of the broker or
/// the server calls it (K1).
#[test]
fn the_broker_derives_no_key_from_a_passphrase() {
    let mut elsewhere =
        BTreeMap::from(["open_sealed_file", "seal_file", "Identity::load", "open_kit"].map(|call| (call, 0)));
    for (path, bytes) in files_under(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src")) {
        let text = String::from_utf8(bytes).unwrap_or_default();
        for (call, count) in elsewhere.iter_mut().filter(|(call, _)| text.contains(**call)) {
            let room = path.iter().next().unwrap().to_str().unwrap();
            assert!(!["broker", "server", "store", "anchor"].contains(&room), "{} calls {call}", path.display());
            *count += 1;
        }
    }
    assert!(elsewhere.values().all(|count| *count > 0), "what is looked for has another name: {elsewhere:?}");
}
