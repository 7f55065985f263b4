//! Whose keys are whose: the charter signed by the owner root, and the admissions signed by owners.
//!
//! A program that verifies knows one thing beforehand, the fingerprint of the owner root. Everything else follows from
//! signatures: root → charter (broker keys, recovery recipient) and first owner → further members.

use crate::crypto::{PublicKey, Signed, Topic, hash};
use crate::model::{Blob, Bundle, Digest, Instant, MemberId, Role, UnitId, VaultId};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::collections::{BTreeMap, BTreeSet};

/// What the owner root says of the vault, signed under [`Topic::Charter`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
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
    members: BTreeMap<MemberId, (Bundle, BTreeSet<Role>, bool)>,
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

    /// Adds an admission: the bundle is the member's own, the admission an owner's or the root's, and a member's keys
    /// never change.
    ///
    /// # Errors
    /// [`DirectoryError::Admission`].
    pub fn admit(&mut self, signed: &Signed) -> Result<&Bundle, DirectoryError> {
        let (bundle, admission) = self.check(signed).ok_or(DirectoryError::Admission)?;
        let owner = admission.roles.contains(&Role::Owner);
        let id = bundle.member;
        let known = self.members.entry(id).or_insert_with(|| (bundle.clone(), BTreeSet::new(), false));
        if known.0 != bundle {
            return Err(DirectoryError::Admission);
        }
        (known.1, known.2) = (admission.roles, known.2 || owner);
        Ok(&known.0)
    }

    fn check(&self, signed: &Signed) -> Option<(Bundle, Admission)> {
        // Whose signature it must be stands in the bytes; it is believed only once that signature is verified.
        let claimed: Admission = parse(signed.unverified_bytes())?;
        let signer = match claimed.by {
            None => self.root,
            Some(owner) => self.members.get(&owner).filter(|(_, _, was_owner)| *was_owner)?.0.sign,
        };
        signed.open(Topic::Admission, &signer).ok()?;
        let bundle: Bundle = parse(claimed.bundle.unverified_bytes())?;
        claimed.bundle.open(Topic::Bundle, &bundle.sign).ok()?;
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

    /// A member's verified keys.
    pub fn member(&self, id: MemberId) -> Option<&Bundle> {
        self.members.get(&id).map(|(bundle, ..)| bundle)
    }

    /// The root's fingerprint, as people compare it: eight groups of four hex digits of SHA-256 over the root key.
    pub fn fingerprint(root: &PublicKey) -> String {
        let digest = hash(root.bytes()).to_string();
        let groups: Vec<&str> = (0..8).filter_map(|group| digest.get(4 * group..4 * group + 4)).collect();
        groups.join("-")
    }

    /// This directory's root fingerprint.
    pub fn root_fingerprint(&self) -> String {
        Self::fingerprint(&self.root)
    }
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
