//! Whose keys are whose: the charter signed by the owner root, and the admissions signed by owners.
//!
//! A program that verifies knows one thing beforehand, the fingerprint of the owner root. Everything else follows from
//! signatures: root → charter (broker keys, recovery recipient) and first owner → further members.

use crate::crypto::{Hasher, PublicKey, Signed, Topic, hash};
use crate::model::{Blob, Bundle, Digest, Instant, MemberId, Name, Role, UnitId, VaultId};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::collections::{BTreeMap, BTreeSet};

/// What the owner root says of the vault, signed under [`Topic::Charter`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Charter {
    /// The vault.
    pub vault: VaultId,
    /// Counts charters from 1; a new one is made when the broker's keys were lost.
    pub number: u32,
    /// The roster's unit.
    pub roster: UnitId,
    /// The broker's record key.
    pub record_key: PublicKey,
    /// The broker's checkpoint key.
    pub checkpoint_key: PublicKey,
    /// The age recipient of recovery wraps.
    pub recovery: String,
}

/// What an owner says of a member, signed under [`Topic::Admission`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Admission {
    /// The member's keys, signed by the member under [`Topic::Bundle`].
    pub bundle: Signed,
    /// The roles from now on.
    pub roles: BTreeSet<Role>,
    /// The admitting owner; none where the owner root signs.
    pub by: Option<MemberId>,
}

/// What the owner root orders after a restore, signed under [`Topic::Restart`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Restart {
    /// The vault.
    pub vault: VaultId,
    /// When.
    pub at: Instant,
    /// The gaps: unit, records the anchor knew, records there are.
    pub gaps: Vec<(UnitId, u64, u64)>,
}

impl Restart {
    /// An order, if the owner root signed it for this vault.
    pub fn open(order: &Signed, root: &PublicKey, vault: VaultId) -> Option<Self> {
        let order: Self = parse(order.open(Topic::Restart, root).ok()?)?;
        (order.vault == vault).then_some(order)
    }

    /// Whether a head of so many records is one of those that were lost by it.
    pub fn explains(&self, unit: UnitId, size: u64) -> bool {
        self.gaps.iter().any(|(of, known, found)| *of == unit && size > *found && size <= *known)
    }
}

/// Why charters and admissions do not hold together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DirectoryError {
    /// A charter is not the root's, or not the next one.
    #[error("a charter is not signed by the owner root, or not the next one")]
    Charter,
    /// An admission is not an owner's, or its bundle not the member's.
    #[error("an admission is not signed by an owner, or its keys not by the member")]
    Admission,
}

/// Verified charters and members.
#[derive(Clone, Debug)]
pub struct Directory {
    root: PublicKey,
    charters: Vec<Charter>,
    members: BTreeMap<MemberId, Known>,
}

/// What is known of one member.
#[derive(Clone, Debug, Default)]
struct Known {
    /// Each device's keys, with the time they were in use, where the roster says it.
    devices: Vec<(Bundle, Option<Used>)>,
    was_owner: bool,
}

/// From when to when a device was in use.
#[derive(Clone, Copy, Debug)]
struct Used {
    since: Instant,
    removed: Option<Instant>,
}

impl Known {
    fn device(&self, key: &PublicKey) -> Option<&Bundle> {
        self.devices.iter().map(|(bundle, _)| bundle).find(|bundle| bundle.sign == *key)
    }
}

impl Directory {
    /// Begins from the root's public key and its charters, oldest first.
    ///
    /// # Errors
    /// [`DirectoryError::Charter`].
    pub fn new(root: PublicKey, charters: &[Signed]) -> Result<Self, DirectoryError> {
        let mut opened: Vec<Charter> = Vec::new();
        for (number, signed) in (1..).zip(charters) {
            let bytes = signed.open(Topic::Charter, &root).map_err(|_| DirectoryError::Charter)?;
            let charter: Charter = parse(bytes).ok_or(DirectoryError::Charter)?;
            let follows = opened.last().is_none_or(|last| {
                (last.vault, last.roster, &last.recovery) == (charter.vault, charter.roster, &charter.recovery)
            });
            if !follows || charter.number != number {
                return Err(DirectoryError::Charter);
            }
            opened.push(charter);
        }
        if opened.is_empty() {
            return Err(DirectoryError::Charter);
        }
        Ok(Self { root, charters: opened, members: BTreeMap::new() })
    }

    /// Adds an admission: the bundle is the member's own, the admission an owner's or the root's. A member's further
    /// bundle is a further device; the keys of a device never change, and no two members share a key.
    ///
    /// # Errors
    /// [`DirectoryError::Admission`].
    pub fn admit(&mut self, signed: &Signed) -> Result<Bundle, DirectoryError> {
        let (bundle, admission) = self.check(signed).ok_or(DirectoryError::Admission)?;
        let shares = |bundle: &Bundle, known: &Bundle| known.sign == bundle.sign || known.enc == bundle.enc;
        let mut all = self.members.values().flat_map(|known| &known.devices).map(|(known, _)| known);
        if all.any(|known| shares(&bundle, known) && *known != bundle) {
            return Err(DirectoryError::Admission);
        }
        let known = self.members.entry(bundle.member).or_default();
        if known.devices.iter().any(|(known, _)| known.name != bundle.name) {
            return Err(DirectoryError::Admission);
        }
        if known.device(&bundle.sign).is_none() {
            known.devices.push((bundle.clone(), None));
        }
        known.was_owner |= admission.roles.contains(&Role::Owner);
        Ok(bundle)
    }

    /// Says from when to when a device was in use, as the roster has it.
    pub fn bound(&mut self, member: MemberId, key: &PublicKey, since: Instant, removed: Option<Instant>) {
        let known = self.members.get_mut(&member).map(|known| &mut known.devices);
        let device = known.into_iter().flatten().find(|(bundle, _)| bundle.sign == *key);
        if let Some((_, used)) = device {
            *used = Some(Used { since, removed });
        }
    }

    fn check(&self, signed: &Signed) -> Option<(Bundle, Admission)> {
        // Whose signature it must be stands in the bytes; it is believed only once that signature is verified.
        let claimed: Admission = parse(signed.unverified_bytes())?;
        let signer = match claimed.by {
            None => self.root,
            Some(owner) => {
                let owner = self.members.get(&owner).filter(|known| known.was_owner)?;
                owner.device(signed.claimed_key())?.sign
            }
        };
        signed.open(Topic::Admission, &signer).ok()?;
        let bundle = open_bundle(&claimed.bundle)?;
        (bundle.vault == self.vault()).then_some((bundle, claimed))
    }

    /// The vault.
    pub fn vault(&self) -> VaultId {
        self.charter().vault
    }

    /// The newest charter.
    pub fn charter(&self) -> &Charter {
        self.charters.last().unwrap_or_else(|| unreachable!("checked when it was made"))
    }

    /// The owner root's public key.
    pub fn root(&self) -> &PublicKey {
        &self.root
    }

    /// Every record key there was.
    pub fn record_keys(&self) -> impl Iterator<Item = &PublicKey> {
        self.charters.iter().map(|charter| &charter.record_key)
    }

    /// The verified keys of the member's device that signs by this key, in use or not.
    pub fn device(&self, member: MemberId, key: &PublicKey) -> Option<&Bundle> {
        self.members.get(&member)?.device(key)
    }

    /// Every checkpoint key there was, the newest first.
    pub fn checkpoint_keys(&self) -> impl Iterator<Item = &PublicKey> {
        self.charters.iter().rev().map(|charter| &charter.checkpoint_key)
    }

    /// Whether anybody vouches for this member.
    pub fn knows(&self, member: MemberId) -> bool {
        self.members.contains_key(&member)
    }

    /// What a member is called.
    pub fn name_of(&self, member: MemberId) -> Option<Name> {
        self.members.get(&member)?.devices.first().map(|(bundle, _)| bundle.name.clone())
    }

    /// Whether a member ever was an owner, as far as their admissions are here.
    pub fn was_owner(&self, member: MemberId) -> bool {
        self.members.get(&member).is_some_and(|known| known.was_owner)
    }

    /// Whether a device was in use at a time, as far as the roster was said here.
    pub fn was_in_use(&self, member: MemberId, key: &PublicKey, at: Instant) -> bool {
        let known = self.members.get(&member);
        let device = known.and_then(|known| known.devices.iter().find(|(bundle, _)| bundle.sign == *key));
        let in_use = |used: Used| used.since <= at && used.removed.is_none_or(|removed| at <= removed);
        device.is_some_and(|(_, used)| used.is_none_or(in_use))
    }

    /// The root's fingerprint, as people compare it.
    pub fn fingerprint(root: &PublicKey) -> String {
        grouped(&hash(root.bytes()))
    }

    /// This directory's root fingerprint.
    pub fn root_fingerprint(&self) -> String {
        Self::fingerprint(&self.root)
    }
}

/// The fingerprint of a newcomer's keys, as the two people who compare it read it: over the exact bytes the newcomer
/// signed, with the keys in them. Other keys under the same name have another one.
pub fn bundle_fingerprint(bundle: &Signed) -> String {
    grouped(&Hasher::default().with(b"mandatum/keys/1\0").with(bundle.unverified_bytes()).finish())
}

/// Keys that were handed in, if they are signed by themselves.
pub fn open_bundle(signed: &Signed) -> Option<Bundle> {
    let bundle: Bundle = parse(signed.unverified_bytes())?;
    signed.open(Topic::Bundle, &bundle.sign).ok()?;
    Some(bundle)
}

/// Eight groups of four hex digits: the first 128 bits.
fn grouped(digest: &Digest) -> String {
    let digest = digest.to_string();
    let groups: Vec<&str> = (0..8).filter_map(|group| digest.get(4 * group..4 * group + 4)).collect();
    groups.join("-")
}

/// A document in its one spelling: what is read must be what writing it gives again. Two verifiers then cannot read
/// different things in it.
fn parse<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let document: T = serde_json::from_slice(bytes).ok()?;
    (serde_json::to_vec(&document).ok()? == bytes).then_some(document)
}

/// A signed document as opaque bytes, for records and states.
pub fn to_blob(signed: &Signed) -> Blob {
    Blob(postcard::to_stdvec(signed).unwrap_or_else(|_| unreachable!("bytes only")))
}

/// A signed document from opaque bytes.
pub fn from_blob(blob: &Blob) -> Option<Signed> {
    postcard::from_bytes(&blob.0).ok()
}

/// Where a digest stands for a recipient.
pub fn recipient_digest(recipient: &str) -> Digest {
    hash(recipient.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::{SignKey, System};
    use crate::model::Name;

    const VAULT: VaultId = VaultId([1; 16]);

    fn bundle(member: u8, key: &SignKey, enc: &str) -> Signed {
        let bundle = Bundle {
            vault: VAULT,
            member: MemberId([member; 16]),
            name: Name::parse(&format!("Member {member}")).unwrap(),
            device: Name::parse("first").unwrap(),
            sign: key.public(),
            enc: enc.into(),
        };
        key.sign(Topic::Bundle, serde_json::to_vec(&bundle).unwrap())
    }

    struct Made {
        root: SignKey,
        directory: Directory,
    }

    impl Made {
        fn new() -> Self {
            let root = SignKey::generate(&System);
            let charter = Charter {
                vault: VAULT,
                number: 1,
                roster: UnitId([9; 16]),
                record_key: Digest([2; 32]),
                checkpoint_key: Digest([3; 32]),
                recovery: "age1r".into(),
            };
            let charter = root.sign(Topic::Charter, serde_json::to_vec(&charter).unwrap());
            Self { directory: Directory::new(root.public(), &[charter]).unwrap(), root }
        }

        fn admit(&mut self, bundle: Signed) -> Result<Bundle, DirectoryError> {
            let admission = Admission { bundle, roles: [Role::Specialist].into(), by: None };
            self.directory.admit(&self.root.sign(Topic::Admission, serde_json::to_vec(&admission).unwrap()))
        }
    }

    #[test]
    fn no_two_members_share_a_key() {
        let (mut made, one, two) = (Made::new(), SignKey::generate(&System), SignKey::generate(&System));
        let first = bundle(1, &one, "age1one");
        assert!(made.admit(first.clone()).is_ok() && made.admit(first).is_ok(), "once more is the same");
        assert!(made.admit(bundle(2, &one, "age1two")).is_err(), "the signing key");
        assert!(made.admit(bundle(2, &two, "age1one")).is_err(), "the recipient");
        assert!(made.admit(bundle(2, &two, "age1two")).is_ok());
        let knows = |member: u8| made.directory.knows(MemberId([member; 16]));
        assert_eq!([1, 2, 3].map(knows), [true, true, false]);
    }

    #[test]
    fn a_device_is_in_use_from_its_admission_to_its_removal() {
        let (mut made, one, two) = (Made::new(), SignKey::generate(&System), SignKey::generate(&System));
        let member = MemberId([1; 16]);
        made.admit(bundle(1, &one, "age1one")).unwrap();
        made.admit(bundle(1, &two, "age1two")).unwrap();
        let directory = &mut made.directory;
        let at = |directory: &Directory, key: &SignKey| {
            [9, 10, 15, 20, 21].map(|at| directory.was_in_use(member, &key.public(), Instant(at)))
        };
        assert_eq!(at(directory, &one), [true; 5], "the roster said nothing of it");
        directory.bound(member, &one.public(), Instant(10), Some(Instant(20)));
        assert_eq!(at(directory, &one), [false, true, true, true, false]);
        assert_eq!(at(directory, &two), [true; 5], "another device");
        directory.bound(member, &two.public(), Instant(15), None);
        assert_eq!(at(directory, &two), [false, false, true, true, true]);
        assert_eq!(at(directory, &SignKey::generate(&System)), [false; 5]);
        assert!(!directory.was_in_use(MemberId([2; 16]), &one.public(), Instant(15)));
    }

    #[test]
    fn an_order_explains_what_was_lost_by_it() {
        let (root, unit) = (SignKey::generate(&System), UnitId([4; 16]));
        let order = Restart { vault: VAULT, at: Instant(1), gaps: vec![(UnitId([5; 16]), 99, 0), (unit, 9, 6)] };
        let signed = root.sign(Topic::Restart, serde_json::to_vec(&order).unwrap());
        assert_eq!(Restart::open(&signed, &root.public(), VAULT), Some(order.clone()));
        assert_eq!(Restart::open(&signed, &root.public(), VaultId([2; 16])), None);
        assert_eq!(Restart::open(&signed, &SignKey::generate(&System).public(), VAULT), None);
        assert_eq!([5, 6, 7, 9, 10].map(|size| order.explains(unit, size)), [false, false, true, true, false]);
        assert!(!order.explains(UnitId([6; 16]), 7));
    }

    #[test]
    fn what_people_compare_is_of_the_exact_bytes() {
        let (one, two) = (SignKey::generate(&System), SignKey::generate(&System));
        let signed = bundle(1, &one, "age1one");
        let whole = hash(&[b"mandatum/keys/1\0", signed.unverified_bytes()].concat()).to_string();
        assert_eq!(bundle_fingerprint(&signed).replace('-', ""), whole[..32]);
        assert_eq!(bundle_fingerprint(&signed).split('-').map(str::len).collect::<Vec<_>>(), [4; 8]);
        assert_ne!(bundle_fingerprint(&signed), bundle_fingerprint(&bundle(1, &two, "age1one")));
        assert_eq!(from_blob(&to_blob(&signed)), Some(signed));
        assert_eq!(from_blob(&Blob(vec![7])), None);
    }
}
