//! What answers show. Their JSON is the `--json` of the commands; `docs/json.md` lists the fields.

use super::Seen;
use crate::crypto::Signed;
use crate::ledger::{Assurance, Record};
use crate::model::{
    Blob, CredentialId, Deny, Digest, GrantId, Incident, IncidentKind, Instant, InvitedFacts, Jurisdiction, Kind,
    Mandate, MemberId, Name, ReuseTag, Role, RowId, Strength, Text, UnitId, Verb, Wish, Zone,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

macro_rules! views {
    ($($(#[$doc:meta])* $name:ident { $($(#[$fdoc:meta])* $field:ident: $type:ty,)* })+) => {
        $(
            $(#[$doc])*
            #[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
            #[cfg_attr(test, derive(schemars::JsonSchema))]
            #[serde(deny_unknown_fields)]
            pub struct $name { $($(#[$fdoc])* pub $field: $type,)* }
        )+
    };
}

views! {
    /// A member.
    MemberLine {
        /// Id.
        member: MemberId,
        /// Name.
        name: Name,
        /// Roles.
        roles: BTreeSet<Role>,
        /// `active`, `suspended` or `removed`.
        standing: String,
        /// Since when a member.
        since: Instant,
        /// Whether a second factor is enrolled.
        second_factor: bool,
        /// Whether one person holds roles that check each other.
        separation_missing: bool,
        /// Every admission, oldest first: the newest one for new roles to be signed over the same keys.
        admissions: Vec<Blob>,
        /// The devices in use, oldest first.
        devices: Vec<DeviceMark>,
    }
    /// A device, as it is named where its keys are meant. The keys themselves stand in the member's admissions.
    DeviceMark {
        /// Its name among the member's own.
        device: Name,
        /// Its signing key.
        key: Digest,
    }
    /// An invitation, or the keys that were handed in under it.
    PendingLine {
        /// To what.
        invited: InvitedFacts,
        /// Good before this.
        until: Instant,
        /// The keys handed in, signed by themselves; none: it was not used yet.
        bundle: Option<Signed>,
        /// When they came.
        joined: Option<Instant>,
        /// The operator whose permission is to be put on file.
        operator: Option<Name>,
    }
    /// A device of a member.
    DeviceLine {
        /// The member.
        member: MemberId,
        /// The member's name.
        name: Name,
        /// The device's name.
        device: Name,
        /// Its signing key.
        key: Digest,
        /// Since when.
        since: Instant,
        /// When it was removed, if it was.
        removed: Option<Instant>,
        /// Whether the request came from it.
        here: bool,
        /// What the member holds and this device has no key for yet, as far as the asker may know.
        missing: Vec<MissingWrap>,
        /// Admissions that lead to its keys.
        admissions: Vec<Blob>,
    }
    /// A secret that a device has no key for yet.
    MissingWrap {
        /// The mandate.
        unit: UnitId,
        /// Operator.
        operator: Name,
        /// System.
        system: Name,
        /// The member's grant.
        grant: GrantId,
        /// The credential.
        credential: CredentialId,
        /// Its version.
        version: u32,
        /// The grant by which the asking device can read it; none where it cannot.
        through: Option<GrantId>,
    }
    /// A mandate in a list.
    MandateLine {
        /// Id.
        unit: UnitId,
        /// Operator.
        operator: Name,
        /// Contract.
        contract: Text,
        /// `active`, `ended` or `closed`.
        phase: String,
        /// The first instant after its term.
        until: Instant,
        /// Rows in force.
        rows: u64,
        /// Credentials.
        credentials: u64,
        /// Live grants, standing ones included.
        grants: u64,
        /// Leads' names.
        leads: Vec<Name>,
    }
    /// A mandate in full, as far as the member may see it.
    MandateView {
        /// The state.
        mandate: Mandate,
        /// Names of the members in it.
        members: BTreeMap<MemberId, Name>,
        /// The newest head of its ledger.
        head: Seen,
    }
    /// A credential without its secret.
    CredentialLine {
        /// The mandate.
        unit: UnitId,
        /// Id.
        credential: CredentialId,
        /// Operator.
        operator: Name,
        /// System.
        system: Name,
        /// Platform.
        platform: Text,
        /// Name under the row; may be empty.
        name: Text,
        /// Kind.
        kind: Kind,
        /// Account.
        account: Text,
        /// Where it is used.
        url: Text,
        /// State of the account's second factor.
        second_factor: String,
        /// Version; none for delegated access.
        version: Option<u32>,
        /// Since when that version.
        changed: Option<Instant>,
        /// Strength of the secret.
        strength: Option<Strength>,
        /// The first instant after the row's term.
        until: Instant,
    }
    /// A credential found by name.
    Located {
        /// The mandate.
        unit: UnitId,
        /// Operator.
        operator: Name,
        /// System.
        system: Name,
        /// The row.
        row: RowId,
        /// The credential.
        credential: CredentialId,
        /// Its name.
        name: Text,
        /// Its kind.
        kind: Kind,
        /// The account.
        account: Text,
        /// Where it is used.
        url: Text,
        /// State of the account's second factor.
        second_factor: String,
        /// Its version; 0 where it has no secret.
        version: u32,
        /// The grant a retrieval would be judged by, if there is one.
        grant: Option<GrantId>,
        /// The purposes to choose from.
        purposes: Vec<Text>,
    }
    /// Where a secret is in use.
    ReuseLine {
        /// Its fingerprint.
        tag: ReuseTag,
        /// The operator; none where it is not yours to know.
        operator: Option<Name>,
        /// The system.
        system: Option<Name>,
        /// Whether it is another operator than the asked-about mandate's.
        other_operator: bool,
    }
    /// Whom a row's credentials are wrapped to.
    RecipientLine {
        /// The row.
        row: RowId,
        /// The grant.
        grant: GrantId,
        /// The member.
        member: MemberId,
        /// The signing key of the member's device; each device in use has a line.
        device: Digest,
        /// Admissions that lead to the member's keys, each after those of its signer.
        admissions: Vec<Blob>,
    }
    /// One released secret, still sealed to the member.
    Released {
        /// The credential.
        credential: CredentialId,
        /// Its version.
        version: u32,
        /// The inner wrap.
        inner: Blob,
        /// The ciphertext.
        ct: Blob,
        /// The author's statement.
        statement: Signed,
        /// Admissions that lead to the author's keys.
        admissions: Vec<Blob>,
    }
    /// That a record exists: the entry, its place, the signed head, and how it follows from what was seen.
    Proof {
        /// The ledger.
        unit: UnitId,
        /// The salt of the entry.
        salt: Digest,
        /// The signed record.
        record: Signed,
        /// Its place.
        seq: u64,
        /// The signed head, a note.
        checkpoint: String,
        /// RFC 6962 audit path of the record.
        inclusion: Vec<Digest>,
        /// RFC 6962 consistency proof from the head that was seen.
        consistency: Vec<Digest>,
    }
    /// A record in a list.
    LogLine {
        /// Its place.
        seq: u64,
        /// When.
        at: Instant,
        /// The level of assurance.
        assurance: Assurance,
        /// Who; none where the broker acted by itself.
        member: Option<Name>,
        /// What was asked.
        verb: Option<Verb>,
        /// What happened.
        event: String,
        /// Why it was denied.
        denied: Option<Deny>,
        /// The systems it was about.
        systems: Vec<String>,
        /// The purpose given.
        purpose: Option<Text>,
        /// The whole record.
        record: Record,
    }
    /// A secret somebody opened that nobody has rotated since.
    ExposureLine {
        /// The mandate.
        unit: UnitId,
        /// Operator.
        operator: Name,
        /// System.
        system: Name,
        /// Credential's name.
        name: Text,
        /// Credential.
        credential: CredentialId,
        /// The version that was opened.
        version: u32,
        /// By whom.
        member: Name,
        /// First time.
        first: Instant,
        /// Last time.
        last: Instant,
        /// How often.
        times: u64,
        /// Only by the member's program, to grant it onward.
        onward_only: bool,
    }
    /// An incident as one operator is told of it.
    IncidentView {
        /// The mandate.
        unit: UnitId,
        /// Operator.
        operator: Name,
        /// The operator's zone.
        zone: Zone,
        /// Under which law its clocks run.
        jurisdiction: Jurisdiction,
        /// The incident.
        incident: Incident,
        /// `operator/system` of what is locked by it.
        systems: Vec<Name>,
        /// What those it reaches had opened and nobody has rotated since.
        exposure: Vec<ExposureLine>,
        /// Names of the members in it.
        members: BTreeMap<MemberId, Name>,
    }
    /// A request that waits.
    RequestLine {
        /// The mandate.
        unit: UnitId,
        /// Operator.
        operator: Name,
        /// Who asks.
        member: Name,
        /// For what.
        wish: Wish,
        /// Since when.
        at: Instant,
    }
    /// Something that ends.
    DueLine {
        /// When: the first instant after.
        until: Instant,
        /// Whole days from now.
        days: i64,
        /// `mandate`, `row` or `grant`.
        what: String,
        /// Operator.
        operator: Name,
        /// System, for rows and grants.
        system: Option<Name>,
        /// Member, for grants.
        member: Option<Name>,
    }
    /// The overview.
    Overview {
        /// The level of assurance.
        assurance: Assurance,
        /// Now, by the broker's clock.
        now: Instant,
        /// `trusted`, `behind` or `jumped`.
        clock: String,
        /// Active mandates in sight.
        mandates: u64,
        /// Credentials in sight.
        credentials: u64,
        /// What ends within 30 days.
        ending: Vec<DueLine>,
        /// Opened and not rotated.
        exposed: Vec<ExposureLine>,
        /// `operator/system` of weak or reused secrets that were accepted, with the reason.
        weak: Vec<(String, Text)>,
        /// `operator/system` of credentials whose second factor is off or unknown.
        without_second_factor: Vec<String>,
        /// Mandates that ended and are not settled.
        unsettled: Vec<Name>,
        /// Drafts, with the questions still open.
        drafts: Vec<(Name, u32)>,
        /// Requests that wait for an answer.
        requests: Vec<RequestLine>,
        /// When the grants of each active mandate were last reviewed, or since when it is in force.
        reviewed: Vec<(Name, Instant)>,
        /// Open incidents: operator, kind, detected, and whether the operator was told.
        incidents: Vec<(Name, IncidentKind, Instant, bool)>,
        /// Members who hold roles that check each other.
        separation_missing: Vec<Name>,
        /// `operator/system` of shared full access: levels that reach everything.
        wide: Vec<String>,
    }
    /// What `verify` found.
    VerifyReport {
        /// Ledgers.
        ledgers: u64,
        /// Records.
        records: u64,
        /// What is wrong; empty: all of it holds.
        flaws: Vec<String>,
        /// The owner root's fingerprint.
        root: String,
    }
}
