//! What a record says happened: the facts a state is folded from.

use super::access::{Draft, Jurisdiction, Permission, Reviewed, Wish};
use super::incident::{IncidentFacts, Step};
use super::mandate::{GrantOrigin, Kind, Level, Narrowed, RevocationPoint, RowTerms, SecondFactor, Strength, Why};
use super::member::{Bundle, InvitedFacts, Role};
use super::settlement::Evidence;
use super::{
    Blob, CredentialId, Date, Digest, GrantId, IncidentId, Instant, MemberId, Name, RequestId, ReuseTag, RowId,
    SessionId, Term, Text, UnitId, VaultId, Zone,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// An event does not follow from the state before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct FoldError(pub &'static str);

/// One change of a mandate's access table.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum RowChange {
    /// A new row.
    Add {
        /// Its id.
        row: RowId,
        /// The system it is for; unique in the mandate.
        system: Name,
        /// The seed table's category (CRM, site form, chat-bot, ad platform), as written.
        category: Text,
        /// The platform, as written.
        platform: Text,
        /// The bounds.
        terms: RowTerms,
    },
    /// New bounds; every grant under the row is narrowed to them in the same step.
    Set {
        /// Which row.
        row: RowId,
        /// The new bounds.
        terms: RowTerms,
    },
    /// The row goes, and every grant under it.
    Remove {
        /// Which row.
        row: RowId,
    },
    /// A new last day of the mandate; rows and grants are cut to it.
    Until {
        /// The last day, inclusive.
        until: Date,
        /// The whole term.
        term: Term,
    },
}

/// The facts of a grant.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct GrantFacts {
    /// Its id.
    pub id: GrantId,
    /// Whose.
    pub member: MemberId,
    /// Under which row.
    pub row: RowId,
    /// Within the row's levels.
    pub levels: BTreeSet<Level>,
    /// Within the row's purposes.
    pub purposes: Vec<Text>,
    /// Within the row's term.
    pub term: Term,
    /// Whether it stands with the lead's role or was given.
    pub origin: GrantOrigin,
}

/// The facts of one version of a secret.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct NewVersion {
    /// 1 for the first.
    pub number: u32,
    /// SHA-256 of the ciphertext.
    pub ct: Digest,
    /// Keyed fingerprint of the secret, to find reuse.
    pub tag: ReuseTag,
    /// The author's estimate of the secret.
    pub strength: Strength,
    /// Why a weak or reused secret was accepted.
    pub allowed_weak: Option<Text>,
}

/// The facts of a stored credential.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CredentialFacts {
    /// Its id.
    pub id: CredentialId,
    /// Under which row.
    pub row: RowId,
    /// Its name under the row; empty where the row has only one.
    pub name: Text,
    /// What it is.
    pub kind: Kind,
    /// The account it opens.
    pub account: Text,
    /// Where it is used.
    pub url: Text,
    /// The state of the account's second factor.
    pub second_factor: SecondFactor,
    /// Where an OAuth token is revoked, if the platform offers it.
    pub revocation: Option<RevocationPoint>,
    /// Why one of the worst kinds of access was taken, where a better one would do.
    pub because: Option<Text>,
    /// The first version; none for delegated access, which has no secret.
    pub version: Option<NewVersion>,
}

/// What happened to a mandate.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Event {
    /// A mandate was opened.
    Opened {
        /// The operator.
        operator: Name,
        /// The contract's number.
        contract: Text,
        /// When it was signed.
        signed: Date,
        /// Its last day, inclusive.
        until: Date,
        /// The operator's zone.
        zone: Zone,
        /// The term those dates mean there.
        term: Term,
        /// Under which law.
        jurisdiction: Jurisdiction,
        /// Who leads it.
        leads: Vec<MemberId>,
        /// The access table; only `add`.
        rows: Vec<RowChange>,
        /// The leads' standing grants.
        grants: Vec<GrantFacts>,
    },
    /// A mandate was read from a file; it is a draft until it is activated.
    Drafted {
        /// The operator.
        operator: Name,
        /// The contract's number as read; may be empty.
        contract: Text,
        /// The operator's zone.
        zone: Zone,
        /// Under which law.
        jurisdiction: Jurisdiction,
        /// The day it was read: stands for the dates until they are known.
        on: Date,
        /// Who leads it.
        leads: Vec<MemberId>,
        /// What was read.
        draft: Draft,
    },
    /// A question about a draft was answered.
    Answered {
        /// Questions still open.
        questions: u32,
        /// What was read and answered so far.
        reading: Blob,
    },
    /// A draft came into force: a person confirmed that this file is the signed mandate.
    Activated {
        /// The contract's number.
        contract: Text,
        /// When it was signed.
        signed: Date,
        /// Its last day, inclusive.
        until: Date,
        /// The term those dates mean in the operator's zone.
        term: Term,
        /// SHA-256 of the file.
        source: Digest,
        /// The access table; only `add`.
        rows: Vec<RowChange>,
        /// The leads' standing grants.
        grants: Vec<GrantFacts>,
    },
    /// The operator's written permission for an outsider was put on file.
    Permitted {
        /// The permission.
        permission: Permission,
    },
    /// A member asked for access.
    Requested {
        /// For what.
        wish: Wish,
    },
    /// A request was not granted.
    RequestDenied {
        /// Which.
        request: RequestId,
        /// Why.
        reason: Text,
    },
    /// The grants were reviewed.
    Reviewed {
        /// Each of them with the decision on it.
        lines: Vec<Reviewed>,
    },
    /// Somebody was asked to change an exposed secret on its platform.
    RotationAsked {
        /// Of which credential.
        credential: CredentialId,
        /// Who was asked.
        of: Text,
    },
    /// A piece of evidence for the closing was put on file.
    Evidenced {
        /// What.
        evidence: Evidence,
    },
    /// An incident was opened; what is affected is locked from here on.
    IncidentOpened {
        /// What is known.
        facts: IncidentFacts,
        /// The grants locked by it.
        grants: Vec<GrantId>,
    },
    /// Something was said or done in the course of an incident.
    IncidentNoted {
        /// Which.
        incident: IncidentId,
        /// What.
        step: Step,
        /// In words.
        text: Text,
    },
    /// An incident was closed.
    IncidentClosed {
        /// Which.
        incident: IncidentId,
        /// Whether the grants it locked may be used again.
        unlock: bool,
        /// What came of it.
        outcome: Text,
    },
    /// The access table changed.
    Amended {
        /// In order.
        changes: Vec<RowChange>,
        /// The leads' standing grants under new rows.
        grants: Vec<GrantFacts>,
        /// What became of the grants under the rows that changed, so that an extract says it without a fold.
        narrowed: Vec<Narrowed>,
    },
    /// Credentials were stored.
    CredentialsAdded {
        /// Each of them.
        credentials: Vec<CredentialFacts>,
    },
    /// A secret was replaced.
    Rotated {
        /// Which.
        credential: CredentialId,
        /// The new version; none where only the second factor's state changed.
        version: Option<NewVersion>,
        /// The state of the account's second factor, where it changed.
        second_factor: Option<SecondFactor>,
    },
    /// A grant was made.
    Granted {
        /// Its facts.
        grant: GrantFacts,
        /// The request it approves, if there was one.
        answers: Option<RequestId>,
    },
    /// Grants ended before their term.
    Revoked {
        /// Which.
        grants: Vec<GrantId>,
        /// Why.
        why: Why,
    },
    /// Grants reached the end of their term.
    Expired {
        /// Which.
        grants: Vec<GrantId>,
    },
    /// Broker's halves were destroyed.
    Destroyed {
        /// Of which grants.
        grants: Vec<GrantId>,
        /// The epoch whose key could still open them, now gone.
        epoch: u64,
    },
    /// Secrets were released to the requesting member. Changes nothing in the state; exposure is computed from it.
    Released {
        /// Credential, version and grant of each.
        items: Vec<ReleasedItem>,
        /// For which purpose.
        purpose: Text,
    },
    /// A code was released to the requesting member.
    CodeReleased {
        /// Of which credential.
        credential: CredentialId,
        /// Under which grant.
        grant: GrantId,
        /// For which purpose.
        purpose: Text,
    },
    /// Data keys were wrapped to a further device of a grant's own member. Nothing is wider or longer by it.
    Shared {
        /// Under which grant.
        grant: GrantId,
        /// The device's signing key.
        device: Digest,
        /// What.
        items: Vec<SharedItem>,
    },
    /// The mandate ended.
    Ended {
        /// Why.
        why: Why,
    },
    /// An exposed secret was settled without a rotation in this vault.
    Settled {
        /// Which.
        credential: CredentialId,
        /// Up to which version.
        version: u32,
        /// What was done, or why it is accepted as it is.
        because: Text,
        /// Who confirmed that it was changed; none: nobody changed it, and that is accepted.
        confirmed: Option<Text>,
    },
    /// The mandate was closed; its state is readable only as the fold of this ledger.
    Closed {
        /// When the evidence key goes too.
        retain_until: Instant,
    },
    /// The ledger goes on from an older state, by the owner's order.
    Restarted {
        /// Records lost: the anchor knew this many.
        known: u64,
        /// And this root.
        root: Digest,
        /// The records there are.
        found: u64,
    },
    /// Grants were made anew by the recovery kit after the anchor was lost.
    Reissued {
        /// The new grants.
        grants: Vec<GrantFacts>,
        /// The ones they replace, whose keys are lost.
        replaced: Vec<GrantId>,
    },
    /// The ledger was read out.
    Extracted,
}

/// One released secret.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ReleasedItem {
    /// The credential.
    pub credential: CredentialId,
    /// Its version.
    pub version: u32,
    /// The grant it was released under.
    pub grant: GrantId,
}

/// One secret that a further device can open too.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SharedItem {
    /// The credential.
    pub credential: CredentialId,
    /// Its version.
    pub version: u32,
}

/// What happened to the roster.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum RosterEvent {
    /// The vault was founded.
    Founded {
        /// The vault.
        vault: VaultId,
        /// The agency's zone.
        zone: Zone,
        /// The charter, signed by the owner root.
        charter: Blob,
        /// The first owner's keys.
        bundle: Bundle,
        /// The first owner's admission.
        admission: Blob,
        /// The vault's reuse key, wrapped to the first owner.
        reuse_key: Blob,
    },
    /// A member was admitted.
    Admitted {
        /// Keys and name.
        bundle: Bundle,
        /// Roles.
        roles: BTreeSet<Role>,
        /// The owner's signature over them.
        admission: Blob,
        /// The vault's reuse key, wrapped to the member.
        reuse_key: Option<Blob>,
    },
    /// A member's roles changed.
    RolesChanged {
        /// Whose.
        member: MemberId,
        /// All roles from now on.
        roles: BTreeSet<Role>,
        /// The owner's signature over them.
        admission: Blob,
        /// The vault's reuse key, wrapped to each device in use, by the device's name; none where the roles need it not.
        reuse_keys: Vec<(Name, Blob)>,
    },
    /// An owner invited somebody, or a further device of a member.
    Invited {
        /// To what.
        invited: InvitedFacts,
        /// Good before this.
        until: Instant,
    },
    /// Keys were handed in under an invitation. They are nobody's before an owner confirms them.
    Joined {
        /// The digest of the invitation's token.
        token: Digest,
        /// The keys, signed by themselves.
        bundle: Blob,
    },
    /// An invitation was withdrawn, or the keys handed in under it were rejected.
    InvitationEnded {
        /// The digest of its token.
        token: Digest,
    },
    /// A further device of a member was admitted.
    DeviceAdmitted {
        /// Its keys.
        bundle: Bundle,
        /// The owner's signature over them and the member's roles.
        admission: Blob,
        /// The vault's reuse key, wrapped to the device.
        reuse_key: Option<Blob>,
    },
    /// A device was removed: its key is refused from here on.
    DeviceRemoved {
        /// Whose.
        member: MemberId,
        /// Its name.
        device: Name,
    },
    /// A member was locked out.
    Suspended {
        /// Who.
        member: MemberId,
    },
    /// A member was let in again.
    Resumed {
        /// Who.
        member: MemberId,
    },
    /// A member's second factor was enrolled anew.
    FactorEnrolled {
        /// Whose.
        member: MemberId,
    },
    /// A member left for good.
    Removed {
        /// Who.
        member: MemberId,
    },
    /// A session began after a two-factor code.
    SessionBegan {
        /// Which.
        session: SessionId,
        /// When it ends at the latest.
        until: Instant,
    },
    /// A session was ended by its member.
    SessionEnded,
    /// A mandate was opened; only its unit is named here.
    MandateOpened {
        /// Its unit.
        unit: UnitId,
    },
    /// Keys of whole units were destroyed.
    KeysDestroyed {
        /// The epoch whose key is gone.
        epoch: u64,
        /// Units whose evidence key is gone: their retention is over.
        evidence: Vec<UnitId>,
    },
    /// A backup was made.
    BackedUp {
        /// The mandates it holds.
        units: Vec<UnitId>,
    },
    /// The vault goes on from an older state or a new anchor, by the owner root's signature.
    Restarted {
        /// The order signed by the owner root.
        order: Blob,
        /// The new charter, where the broker's keys were made anew.
        charter: Option<Blob>,
    },
    /// The owner confirmed the clock after a jump.
    ClockConfirmed {
        /// Up to when nothing had been destroyed.
        from: Instant,
    },
}

impl Event {
    /// Whether a state document changes by it. What is read or released leaves the state as it was.
    pub fn changes_state(&self) -> bool {
        !matches!(self, Event::Released { .. } | Event::CodeReleased { .. } | Event::Shared { .. } | Event::Extracted)
    }
}

impl RosterEvent {
    /// Whether the roster changes by it.
    pub fn changes_state(&self) -> bool {
        use RosterEvent as E;
        matches!(
            self,
            E::Founded { .. }
                | E::Admitted { .. }
                | E::RolesChanged { .. }
                | E::Invited { .. }
                | E::Joined { .. }
                | E::InvitationEnded { .. }
                | E::DeviceAdmitted { .. }
                | E::DeviceRemoved { .. }
                | E::Suspended { .. }
                | E::Resumed { .. }
                | E::Removed { .. }
                | E::Restarted { .. }
        )
    }
}
