//! Members, their roles and public keys, and the roster they stand in.

use super::event::{FoldError, RosterEvent};
use super::{Blob, Digest, Instant, MemberId, Name, Text, UnitId, VaultId, Zone};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What a member may do; a person may hold several.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Members, roles, recovery; reads no secret by virtue of it.
    Owner,
    /// Rows, credentials and grants of the mandates they lead.
    Lead,
    /// Fetches what is granted.
    Specialist,
    /// Reads records only.
    Auditor,
    /// Not of the agency: gives no right, and bounds the others to what the operator permitted in writing (clause 1.2).
    External,
}

impl Role {
    /// Every role that gives a right.
    pub const ALL: [Role; 4] = [Role::Owner, Role::Lead, Role::Specialist, Role::Auditor];

    /// The name in commands and records.
    pub fn name(self) -> &'static str {
        match self {
            Role::Owner => "owner",
            Role::Lead => "lead",
            Role::Specialist => "specialist",
            Role::Auditor => "auditor",
            Role::External => "external",
        }
    }
}

/// The public keys of one device of a member. Self-signed on that device, then admitted by an owner's signature.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Bundle {
    /// The vault it is for.
    pub vault: VaultId,
    /// The member.
    pub member: MemberId,
    /// The member's name.
    pub name: Name,
    /// The device's name among the member's own.
    pub device: Name,
    /// Ed25519 public key that signs statements and requests.
    pub sign: Digest,
    /// age X25519 recipient (`age1…`) that inner wraps are made to.
    pub enc: String,
}

/// What the first device of every member is called.
pub const FIRST_DEVICE: &str = "first";

/// One device of a member: its own pair of keys.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Device {
    /// Its keys and names.
    pub bundle: Bundle,
    /// Since when an owner vouches for it.
    pub since: Instant,
    /// When it was removed, if it was.
    pub removed: Option<Instant>,
    /// The vault's reuse-fingerprint key, wrapped to this device by an owner; leads need it.
    pub reuse_key: Option<Blob>,
}

impl Device {
    /// Whether its keys are in use.
    pub fn is_active(&self) -> bool {
        self.removed.is_none()
    }
    /// Its name among the member's own.
    pub fn label(&self) -> &Name {
        &self.bundle.device
    }
}

/// What an owner invites a newcomer, or a member's further device, to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct InvitedFacts {
    /// The digest of the one-time token; the token itself is in the invitation alone.
    pub token: Digest,
    /// The name the keys must carry.
    pub name: Name,
    /// The roles on admission; empty for a device, whose member has theirs.
    pub roles: BTreeSet<Role>,
    /// The member whose further device it is; none for a new member.
    pub of: Option<MemberId>,
    /// What the device is called.
    pub device: Name,
    /// The operator's written permission for an outsider.
    pub permission: Option<InvitedPermission>,
}

/// The paper that an outsider's admission will stand on: put on file when they are confirmed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct InvitedPermission {
    /// The mandate it is under.
    pub unit: UnitId,
    /// SHA-256 of the paper.
    pub source: Digest,
    /// The paper's file name.
    pub file: Text,
}

/// An invitation that was not used up, or whose keys wait to be confirmed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Invitation {
    /// To what.
    pub invited: InvitedFacts,
    /// Good before this.
    pub until: Instant,
    /// The keys that were handed in under it, signed by themselves, and when.
    pub joined: Option<(Blob, Instant)>,
}

impl Invitation {
    /// Whether keys may still be handed in under it.
    pub fn is_open(&self, now: Instant) -> bool {
        self.joined.is_none() && now < self.until
    }
}

/// Whether a member may act now.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// May act.
    Active,
    /// Locked out until resumed.
    Suspended {
        /// Since when.
        at: Instant,
    },
    /// Gone for good.
    Removed {
        /// Since when.
        at: Instant,
    },
}

/// A member in the roster.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Member {
    /// The member's id.
    pub id: MemberId,
    /// The member's name.
    pub name: Name,
    /// Every device there ever was, oldest first; at least one.
    pub devices: Vec<Device>,
    /// The roles held.
    pub roles: BTreeSet<Role>,
    /// Whether the member may act.
    pub standing: Standing,
    /// Since when.
    pub since: Instant,
    /// Every admission an owner signed for this member, oldest first, as other members' programs verify them.
    pub admissions: Vec<Blob>,
}

impl Member {
    /// A member with their first device.
    pub fn admitted(
        bundle: Bundle,
        roles: BTreeSet<Role>,
        admission: Blob,
        reuse_key: Option<Blob>,
        at: Instant,
    ) -> Self {
        Self {
            id: bundle.member,
            name: bundle.name.clone(),
            devices: vec![Device { bundle, since: at, removed: None, reuse_key }],
            roles,
            standing: Standing::Active,
            since: at,
            admissions: vec![admission],
        }
    }

    /// The member's id.
    pub fn id(&self) -> MemberId {
        self.id
    }
    /// The member's name.
    pub fn name(&self) -> &Name {
        &self.name
    }
    /// Whether the member holds a role.
    pub fn is(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }
    /// Whether the member may act now.
    pub fn is_active(&self) -> bool {
        self.standing == Standing::Active
    }
    /// The devices in use.
    pub fn active_devices(&self) -> impl Iterator<Item = &Device> {
        self.devices.iter().filter(|device| device.is_active())
    }
    /// The device in use that signs by a key.
    pub fn device(&self, key: &Digest) -> Option<&Device> {
        self.active_devices().find(|device| device.bundle.sign == *key)
    }
    /// The device in use of a name.
    pub fn device_named(&self, label: &str) -> Option<&Device> {
        self.active_devices().find(|device| device.label().same(label))
    }
}

/// The roster: the fold of the vault's own ledger.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Roster {
    /// The vault.
    pub vault: VaultId,
    /// The roster's own unit.
    pub unit: UnitId,
    /// The agency's time zone: the default of mandates.
    pub zone: Zone,
    /// Every charter the owner root signed, oldest first; the last one names the broker's keys now.
    pub charters: Vec<Blob>,
    /// Everyone who ever was a member.
    pub members: Vec<Member>,
    /// Invitations that are open, and keys that wait to be confirmed.
    pub invitations: Vec<Invitation>,
    /// Every order of the owner root to go on after a loss, oldest first: what was lost is no sign of a rollback.
    pub restarts: Vec<Blob>,
}

impl Roster {
    /// The roster after its first record.
    ///
    /// # Errors
    /// The event is not `founded`.
    pub fn found(unit: UnitId, event: &RosterEvent, at: Instant) -> Result<Self, FoldError> {
        let RosterEvent::Founded { vault, zone, charter, bundle, admission, reuse_key } = event else {
            return Err(FoldError("the roster's ledger begins with the founding"));
        };
        let roles = BTreeSet::from([Role::Owner]);
        let owner = Member::admitted(bundle.clone(), roles, admission.clone(), Some(reuse_key.clone()), at);
        Ok(Self {
            vault: *vault,
            unit,
            zone: zone.clone(),
            charters: vec![charter.clone()],
            members: vec![owner],
            invitations: Vec::new(),
            restarts: Vec::new(),
        })
    }

    /// A member by id.
    pub fn member(&self, id: MemberId) -> Option<&Member> {
        self.members.iter().find(|member| member.id() == id)
    }
    /// The member of a name who was not removed.
    pub fn named(&self, name: &str) -> Option<&Member> {
        let gone = |member: &&Member| !matches!(member.standing, Standing::Removed { .. });
        self.members.iter().filter(gone).find(|member| member.name().same(name))
    }
    /// Active members who hold a role.
    pub fn holding(&self, role: Role) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(move |member| member.is_active() && member.is(role))
    }

    /// Applies one event of the roster's ledger.
    ///
    /// # Errors
    /// The event does not follow from the state: unknown member, a name taken, the last owner.
    pub fn apply(&mut self, event: &RosterEvent, at: Instant) -> Result<(), FoldError> {
        match event {
            RosterEvent::Admitted { bundle, roles, admission, reuse_key } => {
                if self.member(bundle.member).is_some() || self.named(bundle.name.as_str()).is_some() {
                    return Err(FoldError("a member of this name or id exists"));
                }
                self.check_new_keys(bundle)?;
                let (roles, admission) = (roles.clone(), admission.clone());
                self.members.push(Member::admitted(bundle.clone(), roles, admission, reuse_key.clone(), at));
                // Whoever came by this name needs no invitation any more.
                self.invitations
                    .retain(|open| open.invited.of.is_some() || !open.invited.name.same(bundle.name.as_str()));
            }
            RosterEvent::RolesChanged { member, roles, admission, reuse_keys } => {
                let active = self.acting(*member)?;
                active.admissions.push(admission.clone());
                active.roles.clone_from(roles);
                for (label, reuse_key) in reuse_keys {
                    let device = active.devices.iter_mut().find(|d| d.is_active() && d.label().same(label.as_str()));
                    device.ok_or(FoldError("no device in use has this name"))?.reuse_key = Some(reuse_key.clone());
                }
            }
            RosterEvent::Invited { invited, until } => self.invite(invited, *until, at)?,
            RosterEvent::Joined { token, bundle } => {
                let open = self.invitations.iter_mut().find(|open| open.invited.token == *token && open.is_open(at));
                open.ok_or(FoldError("no open invitation has this token"))?.joined = Some((bundle.clone(), at));
            }
            RosterEvent::InvitationEnded { token } => {
                let before = self.invitations.len();
                self.invitations.retain(|open| open.invited.token != *token);
                if self.invitations.len() == before {
                    return Err(FoldError("there is no such invitation"));
                }
            }
            RosterEvent::DeviceAdmitted { bundle, admission, reuse_key } => {
                self.check_new_keys(bundle)?;
                let member = self.acting(bundle.member)?;
                if member.name != bundle.name || member.device_named(bundle.device.as_str()).is_some() {
                    return Err(FoldError("a device carries its member's name, and a name of its own"));
                }
                let (bundle, reuse_key) = (bundle.clone(), reuse_key.clone());
                let (member_id, label) = (bundle.member, bundle.device.clone());
                member.devices.push(Device { bundle, since: at, removed: None, reuse_key });
                member.admissions.push(admission.clone());
                self.invitations
                    .retain(|open| open.invited.of != Some(member_id) || !open.invited.device.same(label.as_str()));
            }
            RosterEvent::DeviceRemoved { member, device } => {
                let found = self.members.iter_mut().find(|m| m.id() == *member);
                let found = found.ok_or(FoldError("no such member"))?;
                if found.active_devices().count() < 2 {
                    return Err(FoldError("the last device stays; who leaves is removed with 'member remove'"));
                }
                let device = found.devices.iter_mut().find(|d| d.is_active() && d.label().same(device.as_str()));
                device.ok_or(FoldError("no device in use has this name"))?.removed = Some(at);
            }
            RosterEvent::Suspended { member } => self.acting(*member)?.standing = Standing::Suspended { at },
            RosterEvent::Resumed { member } => {
                let found = self.members.iter_mut().find(|m| m.id() == *member);
                let found = found.ok_or(FoldError("no such member"))?;
                if !matches!(found.standing, Standing::Suspended { .. }) {
                    return Err(FoldError("the member is not suspended"));
                }
                found.standing = Standing::Active;
            }
            RosterEvent::Removed { member } => {
                let found = self.members.iter_mut().find(|m| m.id() == *member);
                let found = found.ok_or(FoldError("no such member"))?;
                if matches!(found.standing, Standing::Removed { .. }) {
                    return Err(FoldError("the member was removed already"));
                }
                found.standing = Standing::Removed { at };
                self.invitations.retain(|open| open.invited.of != Some(*member));
            }
            RosterEvent::Founded { .. } => return Err(FoldError("a roster is founded once")),
            RosterEvent::Restarted { order, charter } => {
                self.restarts.push(order.clone());
                self.charters.extend(charter.clone());
            }
            RosterEvent::FactorEnrolled { .. }
            | RosterEvent::SessionBegan { .. }
            | RosterEvent::SessionEnded
            | RosterEvent::MandateOpened { .. }
            | RosterEvent::KeysDestroyed { .. }
            | RosterEvent::BackedUp { .. }
            | RosterEvent::ClockConfirmed { .. } => {}
        }
        if self.holding(Role::Owner).next().is_none() {
            return Err(FoldError("the last owner stays"));
        }
        Ok(())
    }

    fn invite(&mut self, invited: &InvitedFacts, until: Instant, at: Instant) -> Result<(), FoldError> {
        self.invitations.retain(|known| known.joined.is_some() || known.is_open(at));
        let fits = match invited.of {
            None => self.named(invited.name.as_str()).is_none() && !invited.roles.is_empty(),
            Some(id) => {
                let member = self.acting(id)?;
                let label = invited.device.as_str();
                member.name == invited.name && member.device_named(label).is_none() && invited.roles.is_empty()
            }
        };
        if !fits {
            return Err(FoldError("a member, or a device of this member, has this name already"));
        }
        let same = |known: &Invitation| {
            known.invited.name.same(invited.name.as_str()) && known.invited.device.same(invited.device.as_str())
        };
        if self.invitations.iter().any(|known| known.joined.is_some() && same(known)) {
            return Err(FoldError("keys of this name wait already; confirm or reject them first"));
        }
        self.invitations.retain(|known| !same(known) && known.invited.token != invited.token);
        self.invitations.push(Invitation { invited: invited.clone(), until, joined: None });
        Ok(())
    }

    /// Keys belong to one device for good, of those who left too.
    fn check_new_keys(&self, bundle: &Bundle) -> Result<(), FoldError> {
        let mut known = self.members.iter().flat_map(|member| &member.devices).map(|device| &device.bundle);
        if known.any(|known| known.sign == bundle.sign || known.enc == bundle.enc) {
            return Err(FoldError("these keys are another device's"));
        }
        Ok(())
    }

    fn acting(&mut self, id: MemberId) -> Result<&mut Member, FoldError> {
        let found = self.members.iter_mut().find(|member| member.id() == id && member.is_active());
        found.ok_or(FoldError("no active member of this id"))
    }
}
