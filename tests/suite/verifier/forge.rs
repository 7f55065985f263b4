//! Ledgers made by hand, by somebody who holds every key there is.

use super::dice::Dice;
use mandatum::crypto::{PublicKey, SignKey, Signed, Topic};
use mandatum::ledger::{Admission, Charter, Checkpoint, Directory, Edge, Entry, Extract, ExtractWriter};
use mandatum::model::{Bundle, Digest, FIRST_DEVICE, MemberId, Name, Role, UnitId, VaultId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Every private key.
pub struct Keys {
    pub vault: VaultId,
    pub root: SignKey,
    /// One for each charter, oldest first.
    pub records: Vec<SignKey>,
    pub checkpoint: SignKey,
    /// Of each member's devices; the second is not admitted in every vault.
    pub members: BTreeMap<MemberId, [SignKey; 2]>,
    pub stranger: SignKey,
}

impl Keys {
    pub fn record(&self) -> &SignKey {
        self.records.last().unwrap()
    }

    /// The member's key that this one is the public half of.
    pub fn of(&self, member: MemberId, public: &PublicKey) -> Option<&SignKey> {
        self.members.get(&member)?.iter().find(|key| key.public() == *public)
    }
}

/// The people of a vault, by id.
#[derive(Clone, Copy)]
pub struct People {
    pub owner: MemberId,
    pub leads: [MemberId; 2],
    pub others: [MemberId; 2],
}

impl People {
    pub fn all(&self) -> [MemberId; 5] {
        [self.owner, self.leads[0], self.leads[1], self.others[0], self.others[1]]
    }
}

/// An extract in its parts.
#[derive(Clone)]
pub struct Ledger {
    pub keys: Arc<Keys>,
    pub people: People,
    pub root: PublicKey,
    pub unit: UnitId,
    pub charters: Vec<Signed>,
    pub admissions: Vec<Signed>,
    /// Who has two devices.
    pub two: Vec<MemberId>,
    pub entries: Vec<Entry>,
    pub checkpoint: String,
}

impl Ledger {
    /// A vault of five with an empty ledger.
    pub fn new(dice: &mut Dice) -> Self {
        let ids: [MemberId; 5] = std::array::from_fn(|_| MemberId(dice.bytes()));
        let [owner, lead, second, sasha, vera] = ids;
        let keys = Keys {
            vault: VaultId(dice.bytes()),
            root: dice.key(),
            records: (0..=usize::from(dice.chance(20))).map(|_| dice.key()).collect(),
            checkpoint: dice.key(),
            members: ids.iter().map(|id| (*id, [dice.key(), dice.key()])).collect(),
            stranger: dice.key(),
        };
        let roster = UnitId(dice.bytes());
        let (vault, checkpoint_key, recovery) = (keys.vault, keys.checkpoint.public(), "age1recovery".to_owned());
        let charters = (1u32..).zip(&keys.records).map(|(number, record)| {
            let (record_key, recovery) = (record.public(), recovery.clone());
            let charter = Charter { vault, number, roster, record_key, checkpoint_key, recovery };
            keys.root.sign(Topic::Charter, serde_json::to_vec(&charter).unwrap())
        });
        let charters = charters.collect();
        let mut ledger = Self {
            root: keys.root.public(),
            people: People { owner, leads: [lead, second], others: [sasha, vera] },
            unit: UnitId(dice.bytes()),
            charters,
            keys: Arc::new(keys),
            admissions: Vec::new(),
            two: Vec::new(),
            entries: Vec::new(),
            checkpoint: String::new(),
        };
        ledger.admit(owner, "Olga", &[Role::Owner], None);
        ledger.admit(lead, "Léna", &[Role::Lead, Role::Specialist], Some(owner));
        ledger.admit(second, "Лев", &[Role::Lead], Some(owner));
        ledger.admit(sasha, "Sasha", &[Role::Specialist], Some(owner));
        if dice.chance(30) {
            // An owner of later, who vouches for somebody and then is owner no more.
            ledger.admit(second, "Лев", &[Role::Owner, Role::Lead], Some(owner));
            ledger.admit(second, "Лев", &[], Some(owner));
            ledger.admit(vera, "Vera", &[Role::Specialist, Role::External], Some(second));
        } else {
            ledger.admit(vera, "Vera", &[Role::External], None);
        }
        for (member, name) in [(owner, "Olga"), (lead, "Léna"), (sasha, "Sasha")] {
            if dice.chance(40) {
                // By whichever of the owner's devices there is.
                let key = usize::from(ledger.two.contains(&owner));
                ledger.admit_device((member, name, 1), &[], Some((owner, key)));
                ledger.two.push(member);
            }
        }
        ledger
    }

    fn admit(&mut self, member: MemberId, name: &str, roles: &[Role], by: Option<MemberId>) {
        self.admit_device((member, name, 0), roles, by.map(|by| (by, 0)));
    }

    /// One device of a member, by one device of an owner, or by the owner root.
    fn admit_device(
        &mut self,
        (member, name, number): (MemberId, &str, usize),
        roles: &[Role],
        by: Option<(MemberId, usize)>,
    ) {
        let own = &self.keys.members[&member][number];
        let signer = by.map_or(&self.keys.root, |(by, device)| &self.keys.members[&by][device]);
        let (vault, name, sign, enc) = (self.keys.vault, Name::parse(name).unwrap(), own.public(), own.public());
        let (device, enc) = (Name::parse([FIRST_DEVICE, "phone"][number]).unwrap(), format!("age1{enc}"));
        let bundle = Bundle { vault, member, name, device, sign, enc };
        let bundle = own.sign(Topic::Bundle, serde_json::to_vec(&bundle).unwrap());
        let (roles, by) = (BTreeSet::from_iter(roles.iter().copied()), by.map(|(by, _)| by));
        let admission = Admission { bundle, roles, by };
        self.admissions.push(signer.sign(Topic::Admission, serde_json::to_vec(&admission).unwrap()));
    }

    /// Whose keys are whose.
    pub fn directory(&self) -> Directory {
        let mut directory = Directory::new(self.root, &self.charters).unwrap();
        self.admissions.iter().for_each(|admission| drop(directory.admit(admission).unwrap()));
        directory
    }

    /// The member's key, of one of their devices.
    pub fn device(&self, member: MemberId, dice: &mut Dice) -> &SignKey {
        &self.keys.members[&member][usize::from(self.two.contains(&member) && dice.chance(50))]
    }

    /// One more record, signed by the broker.
    pub fn push(&mut self, record: Vec<u8>, dice: &mut Dice) {
        // The first records of a vault whose keys were lost are signed by the older key.
        let key = if self.entries.len() < 2 { &self.keys.records[0] } else { self.keys.record() };
        self.entries.push(Entry { salt: Digest(dice.bytes()), signed: key.sign(Topic::Record, record) });
    }

    /// The text of a record.
    pub fn text(&self, at: usize) -> String {
        String::from_utf8(self.entries[at].signed.unverified_bytes().to_vec()).unwrap()
    }

    pub fn text_of_any(&self, dice: &mut Dice) -> String {
        self.text(dice.below(self.entries.len()))
    }

    /// Writes a record anew, signed by the broker's own key.
    pub fn rewrite(&mut self, at: usize, text: String) {
        self.entries[at].signed = self.keys.record().sign(Topic::Record, text.into_bytes());
    }

    /// A signed head over the records as they are now.
    pub fn seal(&mut self) {
        let mut edge = Edge::default();
        self.entries.iter().for_each(|entry| edge.push(entry.leaf()));
        let head = Checkpoint { size: edge.size(), root: edge.root() };
        self.checkpoint = head.sign(self.keys.vault, self.unit, &self.keys.checkpoint);
    }

    /// The extract's bytes.
    pub fn write(&self) -> Vec<u8> {
        let (root, unit) = (self.root, self.unit);
        let (charters, admissions) = (self.charters.clone(), self.admissions.clone());
        let mut writer = ExtractWriter::new(Vec::new(), Extract { root, unit, charters, admissions }).unwrap();
        self.entries.iter().for_each(|entry| writer.record(entry).unwrap());
        writer.finish(self.checkpoint.clone()).unwrap()
    }
}
