//! Members, their roles and public keys, and the roster they stand in.

use super::event::{FoldError, RosterEvent};
use super::{Blob, Digest, Instant, MemberId, Name, UnitId, VaultId, Zone};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What a member may do; a person may hold several.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
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

/// A member's public keys. Self-signed by the member, then admitted by an owner's signature.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bundle {
    /// The vault it is for.
    pub vault: VaultId,
    /// The member.
    pub member: MemberId,
    /// The member's name.
    pub name: Name,
    /// Ed25519 public key that signs statements and requests.
    pub sign: Digest,
    /// age X25519 recipient (`age1…`) that inner wraps are made to.
    pub enc: String,
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
    /// The member's keys and name.
    pub bundle: Bundle,
    /// The roles held.
    pub roles: BTreeSet<Role>,
    /// Whether the member may act.
    pub standing: Standing,
    /// Since when.
    pub since: Instant,
    /// Every admission an owner signed for this member, oldest first, as other members' programs verify them.
    pub admissions: Vec<Blob>,
    /// The vault's reuse-fingerprint key, wrapped to this member by an owner; leads need it.
    pub reuse_key: Option<Blob>,
}

impl Member {
    /// The member's id.
    pub fn id(&self) -> MemberId {
        self.bundle.member
    }
    /// The member's name.
    pub fn name(&self) -> &Name {
        &self.bundle.name
    }
    /// Whether the member holds a role.
    pub fn is(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }
    /// Whether the member may act now.
    pub fn is_active(&self) -> bool {
        self.standing == Standing::Active
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
        let owner = Member {
            bundle: bundle.clone(),
            roles: BTreeSet::from([Role::Owner]),
            standing: Standing::Active,
            since: at,
            admissions: vec![admission.clone()],
            reuse_key: Some(reuse_key.clone()),
        };
        Ok(Self { vault: *vault, unit, zone: zone.clone(), charters: vec![charter.clone()], members: vec![owner] })
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
                self.members.push(Member {
                    bundle: bundle.clone(),
                    roles: roles.clone(),
                    standing: Standing::Active,
                    since: at,
                    admissions: vec![admission.clone()],
                    reuse_key: reuse_key.clone(),
                });
            }
            RosterEvent::RolesChanged { member, roles, admission, reuse_key } => {
                let active = self.acting(*member)?;
                active.admissions.push(admission.clone());
                active.roles.clone_from(roles);
                if reuse_key.is_some() {
                    active.reuse_key.clone_from(reuse_key);
                }
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
            }
            RosterEvent::Founded { .. } => return Err(FoldError("a roster is founded once")),
            RosterEvent::Restarted { charter, .. } => self.charters.extend(charter.clone()),
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

    fn acting(&mut self, id: MemberId) -> Result<&mut Member, FoldError> {
        let found = self.members.iter_mut().find(|member| member.id() == id && member.is_active());
        found.ok_or(FoldError("no active member of this id"))
    }
}
