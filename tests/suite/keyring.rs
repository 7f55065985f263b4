//! The epoch key in the operating system's keyring: where one answers, or where `MANDATUM_TEST_KEYRING` demands it.

use crate::skip::skip;
use crate::support::World;
use mandatum::anchor::{EpochKeys, OsKeys, Slot};
use mandatum::crypto::{Key, System};
use mandatum::model::VaultId;

/// What is written to the keyring comes back, is replaced, and goes; a vault can be made and used by it. Without a
/// keyring the message names the option that does without, and nothing of a vault is left.
#[test]
fn the_epoch_key_lives_in_the_keyring() {
    let keys = OsKeys::new(VaultId([7; 16]));
    if let Err(error) = keys.read(Slot::Current) {
        assert!(std::env::var_os("MANDATUM_TEST_KEYRING").is_none(), "a keyring was demanded: {error}");
        let world = World::empty();
        let kit = world.path("kit");
        let refused = world.as_member("Olga", &format!("init --owner Olga --kit {}", kit.display())).ended(7);
        assert!(refused.stderr.contains("--epoch-key file:PATH"), "{}", refused.stderr);
        assert!(!kit.exists() && !world.path("vault/vault.db").exists());
        return skip(&format!("no keyring answers here, so only the refusal was tried ({error})"));
    }
    let (first, second) = (Key::generate(&System), Key::generate(&System));
    keys.write(Slot::Current, 1, &first).unwrap();
    keys.write(Slot::Next, 2, &second).unwrap();
    assert!(keys.read(Slot::Current).unwrap().is_some_and(|(epoch, key)| epoch == 1 && key == first));
    keys.write(Slot::Current, 2, &second).unwrap();
    keys.remove(Slot::Next).unwrap();
    assert!(keys.read(Slot::Current).unwrap().is_some_and(|(epoch, key)| epoch == 2 && key == second));
    assert!(keys.read(Slot::Next).unwrap().is_none());
    keys.remove(Slot::Current).unwrap();
    assert!(keys.read(Slot::Current).unwrap().is_none());

    let world = World::empty();
    let (kit, otp) = (world.path("kit"), world.path("otp-Olga"));
    world
        .as_member("Olga", &format!("init --owner Olga --kit {} --otpauth-out {}", kit.display(), otp.display()))
        .done();
    world.unlock("Olga");
    world.add_member("Lena", "lead");
    world.unlock("Lena");
    world.open_mandate("Lena", "Romashka");
    world.as_member("Lena", "mandate amend Romashka --remove Bot").done();
    world.as_member("Lena", "fetch Romashka/CRM --field password").done();
    assert!(!world.path("epoch-key").exists());
}
