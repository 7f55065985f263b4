//! Founding a vault: the first record of the roster, the anchor, the database.

use super::Settings;
use super::members::confirm_seed;
use crate::anchor::{Anchor, Change, Core, Factor, Head, Segment};
use crate::api::{Founding, Refusal};
use crate::crypto::{Key, Signed, Topic, hash, seal, wrap_note};
use crate::ledger::{Charter, ClockMark, Directory, Entry, Outcome, Record, append, root, to_blob};
use crate::model::{Digest, HighWater, Instant, Roster, RosterEvent, UnitId, VaultId};
use crate::store::{Store, StoreError, encode_entry};
use zeroize::Zeroizing;

/// Founds a vault: nothing is left behind where it fails before the anchor is made.
///
/// # Errors
/// Input where the code is wrong; failures of keyring and disk.
pub fn found(settings: &Settings, founding: Founding) -> Result<Signed, Refusal> {
    let entropy = &*settings.home.entropy;
    let now = settings.clock.now();
    let step = confirm_seed(&founding.seed, &founding.code, now.unix_seconds())?;

    // Keys, and the charter that names them.
    let mut id = [0; 16];
    entropy.fill(&mut id);
    let roster_unit = UnitId(id);
    let high = HighWater { at: now, uptime: settings.clock.uptime() };
    let mut core = Core::generate(roster_unit, high, entropy);
    let charter = Charter {
        vault: founding.vault,
        number: 1,
        roster: roster_unit,
        record_key: crate::crypto::SignKey::from_seed(&core.record_key).public(),
        checkpoint_key: crate::crypto::SignKey::from_seed(&core.checkpoint_key).public(),
        recovery: founding.recovery.clone(),
    };
    let charter = (founding.sign_charter)(encode_charter(&charter));
    let mut directory = Directory::new(*charter.claimed_key(), std::slice::from_ref(&charter)).map_err(broken)?;
    let bundle = directory.admit(&founding.admission).map_err(broken)?;

    // The first record and the state it leads to.
    let event = RosterEvent::Founded {
        vault: founding.vault,
        zone: founding.zone,
        charter: to_blob(&charter),
        bundle: bundle.clone(),
        admission: to_blob(&founding.admission),
        reuse_key: founding.reuse_key,
    };
    let roster = Roster::found(roster_unit, &event, now).map_err(|e| Refusal::Integrity(e.to_string()))?;
    let state = postcard::to_stdvec(&roster).map_err(|e| Refusal::Failed(e.to_string()))?;
    let first = First { settings, core: &core, unit: roster_unit, vault: founding.vault, now };
    let entry = first.entry(event, hash(&state));

    // The anchor's part of it.
    let (state_key, evidence_key) = (Key::generate(entropy), Key::generate(entropy));
    let plain = Zeroizing::new([&roster_unit.bytes()[..], state_key.expose(), evidence_key.expose()].concat());
    let keys = wrap_note(&founding.recovery, &plain).map_err(|_| Refusal::input("kit", "has no valid recipient"))?;
    let keys = super::mandates::mark_unit_keys(founding.vault, roster_unit, &evidence_key, &keys, entropy);
    let state_context = super::vault::state_context(founding.vault, roster_unit);
    let sealed_state = seal(&state_key, &state_context, &state, entropy);
    let entry_context = super::vault::entry_context(founding.vault, roster_unit, 0);
    let sealed_entry = seal(&evidence_key, &entry_context, &encode_entry(&entry), entropy);
    let nodes = append(0, entry.leaf(), |_, _| Err(())).unwrap_or_default();
    let root = root(1, |_, _| Ok::<Digest, ()>(entry.leaf())).unwrap_or(Digest([0; 32]));
    let mut segment = Segment::new(roster_unit);
    segment.head = Head { size: 1, root, state: hash(&state) };
    (segment.state_key, segment.evidence_key) = (Some(state_key), Some(evidence_key));
    core.counter = 1;
    core.factors.push(Factor {
        member: bundle.member,
        seed: founding.seed,
        last_step: step,
        failures: 0,
        blocked_until: Instant(0),
    });

    // The database, then the anchor: a vault without an anchor opens nowhere and can be made again.
    let mut store = Store::create(&settings.database, founding.vault)?;
    let label = Digest([0; 32]);
    store.write(|txn| -> Result<(), StoreError> {
        txn.add_unit(roster_unit, &label, &keys)?;
        txn.append(roster_unit, 0, &sealed_entry, &nodes)?;
        txn.count(1)?;
        txn.put_state(roster_unit, &sealed_state)
    })?;
    Anchor::create(&settings.home, founding.vault, core, vec![segment])?.note(vec![Change::High(high)])?;
    Ok(charter)
}

/// The exact bytes of a charter.
pub fn encode_charter(charter: &Charter) -> Vec<u8> {
    serde_json::to_vec(charter).unwrap_or_else(|_| unreachable!("string keys"))
}

fn broken(error: crate::ledger::DirectoryError) -> Refusal {
    Refusal::input("owner", error.to_string())
}

struct First<'a> {
    settings: &'a Settings,
    core: &'a Core,
    unit: UnitId,
    vault: VaultId,
    now: Instant,
}

impl First<'_> {
    fn entry(&self, event: RosterEvent, state: Digest) -> Entry {
        let record = Record {
            format: Record::FORMAT,
            vault: self.vault,
            unit: self.unit,
            seq: 0,
            at: self.now,
            clock: ClockMark::Trusted,
            assurance: self.settings.assurance,
            verb: None,
            by: None,
            request: None,
            outcome: Outcome::Roster(event),
            state: Some(state),
        };
        let mut salt = [0; 32];
        self.settings.home.entropy.fill(&mut salt);
        let key = crate::crypto::SignKey::from_seed(&self.core.record_key);
        Entry { salt: Digest(salt), signed: key.sign(Topic::Record, record.encode()) }
    }
}
