//! One request type per verb.

use super::views::{
    CredentialLine, DeviceLine, DueLine, ExposureLine, IncidentView, Located, LogLine, MandateLine, MandateView,
    MemberLine, Overview, PendingLine, Proof, RecipientLine, Released, ReuseLine, VerifyReport,
};
use super::{Call, Seen, Served};
use crate::crypto::{Ctx, Hasher, Signed};
use crate::model::{
    Blob, CredentialFacts, CredentialId, Date, Digest, Draft, Evidence, GrantFacts, GrantId, IncidentFacts, IncidentId,
    Instant, InvitedFacts, Jurisdiction, MemberId, Name, NewVersion, Nonce, Permission, RequestId, ReuseTag, Reviewed,
    RowId, SecondFactor, SessionId, SharedItem, Step, Text, UnitId, Verb, Wish, Zone,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

macro_rules! calls {
    ($($(#[$doc:meta])* $name:ident = $verb:ident { $($ask:tt)* } load $load:ty => $answer:ty;)+) => {
        $(
            #[doc = concat!("`", stringify!($verb), "`")]
            pub struct $name;
            impl Call for $name {
                const VERB: Verb = Verb::$verb;
                type Ask = calls!(@ask $($ask)*);
                type Load = $load;
                type Answer = $answer;
            }
        )+

        /// Each verb with the schemas of what it asks, of its load and of its answer.
        #[cfg(test)]
        pub(super) fn schemas(of: &mut schemars::SchemaGenerator) -> Vec<(Verb, [schemars::Schema; 3])> {
            vec![$((Verb::$verb, [
                of.subschema_for::<calls!(@ask $($ask)*)>(),
                of.subschema_for::<$load>(),
                of.subschema_for::<$answer>(),
            ]),)+]
        }
    };
    (@ask $ask:ty) => { $ask };
}

calls! {
    UnlockCall = Unlock { UnlockAsk } load CodeLoad => UnlockAnswer;
    LockCall = Lock { Nothing } load () => ();
    StepUpCall = StepUp { Nothing } load CodeLoad => Nonce;
    MemberAddCall = MemberAdd { MemberAddAsk } load EnrolLoad => ();
    MemberListCall = MemberList { Nothing } load () => Vec<MemberLine>;
    MemberRoleCall = MemberRole { MemberRoleAsk } load () => ();
    MemberSuspendCall = MemberSuspend { MemberAsk } load () => ();
    MemberResumeCall = MemberResume { MemberAsk } load () => ();
    MemberFactorCall = MemberFactor { MemberAsk } load EnrolLoad => ();
    MemberRemoveCall = MemberRemove { MemberAsk } load () => RevokedAnswer;
    MemberInviteCall = MemberInvite { MemberInviteAsk } load () => Instant;
    MemberPendingCall = MemberPending { Nothing } load () => PendingAnswer;
    MemberConfirmCall = MemberConfirm { MemberConfirmAsk } load () => ();
    MemberRejectCall = MemberReject { MemberRejectAsk } load () => ();
    DeviceListCall = DeviceList { DeviceListAsk } load () => Vec<DeviceLine>;
    DeviceRemoveCall = DeviceRemove { DeviceRemoveAsk } load () => ();
    MandateOpenCall = MandateOpen { MandateOpenAsk } load () => UnitId;
    MandateImportCall = MandateImport { MandateImportAsk } load () => UnitId;
    MandateAnswerCall = MandateAnswer { MandateAnswerAsk } load () => ();
    MandateActivateCall = MandateActivate { MandateActivateAsk } load () => MandateView;
    MandatePermitCall = MandatePermit { MandatePermitAsk } load () => ();
    MandateEvidenceCall = MandateEvidence { MandateEvidenceAsk } load () => ();
    MandateListCall = MandateList { Nothing } load () => Vec<MandateLine>;
    MandateShowCall = MandateShow { NameAsk } load () => MandateView;
    MandateAmendCall = MandateAmend { MandateAmendAsk } load () => MandateView;
    MandateEndCall = MandateEnd { ReasonAsk } load () => EndedAnswer;
    MandateSettleCall = MandateSettle { SettleAsk } load () => ();
    MandateCloseCall = MandateClose { CloseAsk } load () => Instant;
    CredentialAddCall = CredentialAdd { CredentialAddAsk } load SecretsLoad => ();
    CredentialRotateCall = CredentialRotate { CredentialRotateAsk } load SecretsLoad => ();
    CredentialListCall = CredentialList { OptionalNameAsk } load () => Vec<CredentialLine>;
    LocateCall = Locate { LocateAsk } load () => Vec<Located>;
    ReuseCall = Reuse { ReuseAsk } load () => Vec<ReuseLine>;
    RecipientsCall = Recipients { RecipientsAsk } load () => Vec<RecipientLine>;
    GrantCall = Grant { GrantAsk } load WrapsLoad => GrantId;
    WrapShareCall = WrapShare { WrapShareAsk } load WrapsLoad => ();
    RevokeCall = Revoke { RevokeAsk } load () => RevokedAnswer;
    RequestCall = Request { RequestAsk } load () => ();
    DenyCall = Deny { DenyAsk } load () => ();
    ReviewCall = Review { ReviewAsk } load () => ();
    RotationAskCall = RotationAsk { RotationAskAsk } load () => ();
    IncidentOpenCall = IncidentOpen { IncidentOpenAsk } load () => Vec<IncidentView>;
    IncidentNoteCall = IncidentNote { IncidentNoteAsk } load () => ();
    IncidentCloseCall = IncidentClose { IncidentCloseAsk } load () => ();
    IncidentListCall = IncidentList { Nothing } load () => Vec<IncidentView>;
    FetchCall = Fetch { FetchAsk } load () => FetchAnswer;
    CodeCall = Code { FetchAsk } load () => CodeAnswer;
    LogCall = Log { LogAsk } load () => LogAnswer;
    ExtractCall = Extract { NameAsk } load () => ExtractAnswer;
    CheckpointCall = Checkpoint { NameAsk } load () => CheckpointAnswer;
    ExposureCall = Exposure { ExposureAsk } load () => Vec<ExposureLine>;
    VerifyCall = Verify { Nothing } load () => VerifyReport;
    SweepCall = Sweep { Nothing } load () => SweepAnswer;
    DueCall = Due { DueAsk } load () => Vec<DueLine>;
    StatusCall = Status { Nothing } load () => Overview;
    BackupCall = Backup { BackupAsk } load () => BackupAnswer;
    ConfirmClockCall = ConfirmClock { Nothing } load () => ();
}

macro_rules! asks {
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

asks! {
    /// Nothing beyond the verb.
    Nothing {}
    /// How long a session may last at most.
    UnlockAsk {
        /// Milliseconds; cut to 8 hours.
        for_ms: i64,
    }
    /// A session.
    UnlockAnswer {
        /// Its id.
        session: SessionId,
        /// When it ends at the latest.
        until: Instant,
        /// It also ends after this long without use, ms.
        idle_ms: i64,
        /// The vault's reuse key, wrapped to the member, if they hold it.
        reuse_key: Option<Blob>,
        /// The code was fresh: it also stands for one sensitive request now.
        step_up: Nonce,
    }
    /// A new member: keys made at their own keyboard, admitted by the asking owner.
    MemberAddAsk {
        /// The owner's signature over bundle and roles.
        admission: Signed,
        /// The reuse key, wrapped to the member; leads and owners need it.
        reuse_key: Option<Blob>,
    }
    /// New roles.
    MemberRoleAsk {
        /// Whose.
        member: MemberId,
        /// The owner's signature over the bundle and the new roles.
        admission: Signed,
        /// The reuse key, wrapped to each device in use, by the device's name.
        reuse_keys: Vec<(Name, Blob)>,
    }
    /// An invitation to keep: of the token, its digest alone.
    MemberInviteAsk {
        /// To what.
        invited: InvitedFacts,
        /// For how long, milliseconds; cut to 7 days.
        valid_ms: i64,
    }
    /// Invitations, and keys that wait.
    PendingAnswer {
        /// Where newcomers reach the broker.
        served: Served,
        /// Each of them.
        waiting: Vec<PendingLine>,
    }
    /// Keys to confirm.
    MemberConfirmAsk {
        /// The owner's signature over exactly the keys that were handed in, and the roles.
        admission: Signed,
        /// The reuse key, wrapped to them; leads and owners need it.
        reuse_key: Option<Blob>,
    }
    /// An invitation to end.
    MemberRejectAsk {
        /// The digest of its token.
        token: Digest,
    }
    /// Whose devices.
    DeviceListAsk {
        /// The member; none: who asks.
        name: Option<Name>,
    }
    /// A device to remove.
    DeviceRemoveAsk {
        /// Whose.
        name: Name,
        /// Its name.
        device: Name,
    }
    /// Wraps for a further device of a grant's member.
    WrapShareAsk {
        /// The member's grant.
        grant: GrantId,
        /// The device's signing key.
        device: Digest,
        /// What, in the order of the wraps.
        items: Vec<SharedItem>,
    }
    /// A member by name.
    MemberAsk {
        /// The name.
        name: Name,
    }
    /// A mandate to open.
    MandateOpenAsk {
        /// The operator.
        operator: Name,
        /// The contract's number.
        contract: Text,
        /// When it was signed.
        signed: Date,
        /// The last day.
        until: Date,
        /// The operator's zone; none: the agency's.
        zone: Option<Zone>,
        /// Under which law.
        jurisdiction: Jurisdiction,
        /// Who leads it; none: who asks.
        lead: Option<Name>,
        /// The access table.
        rows: Vec<RowSpec>,
    }
    /// A mandate that was read from a file.
    MandateImportAsk {
        /// The operator.
        operator: Name,
        /// The contract's number as read; may be empty.
        contract: Text,
        /// The operator's zone; none: the agency's.
        zone: Option<Zone>,
        /// Under which law.
        jurisdiction: Jurisdiction,
        /// Who leads it; none: who asks.
        lead: Option<Name>,
        /// What was read.
        draft: Draft,
        /// The same file again, knowingly.
        again: bool,
    }
    /// A draft after an answer.
    MandateAnswerAsk {
        /// The operator.
        operator: Text,
        /// Questions still open.
        questions: u32,
        /// What was read and answered so far.
        reading: Blob,
    }
    /// A draft to put in force.
    MandateActivateAsk {
        /// The operator.
        operator: Text,
        /// The contract's number.
        contract: Text,
        /// When it was signed.
        signed: Date,
        /// Its last day.
        until: Date,
        /// SHA-256 of the file it was read from.
        source: Digest,
        /// The access table.
        rows: Vec<RowSpec>,
    }
    /// A permission for an outsider.
    MandatePermitAsk {
        /// The operator.
        operator: Text,
        /// The permission.
        permission: Permission,
    }
    /// Evidence for the closing.
    MandateEvidenceAsk {
        /// The operator.
        operator: Text,
        /// What.
        evidence: Evidence,
    }
    /// A wish for access.
    RequestAsk {
        /// The operator.
        operator: Text,
        /// For what.
        wish: Wish,
    }
    /// A request not granted.
    DenyAsk {
        /// The operator.
        operator: Text,
        /// Which.
        request: RequestId,
        /// Why.
        reason: Text,
    }
    /// The decisions of a review.
    ReviewAsk {
        /// The operator.
        operator: Text,
        /// One line for each live grant that was given.
        lines: Vec<Reviewed>,
    }
    /// Who was asked to change a secret.
    RotationAskAsk {
        /// The operator.
        operator: Text,
        /// Which credential.
        credential: CredentialId,
        /// Who was asked.
        of: Text,
    }
    /// An incident to open.
    IncidentOpenAsk {
        /// In one mandate; none: in every one in reach that it touches.
        operator: Option<Text>,
        /// What is known.
        facts: IncidentFacts,
    }
    /// Something said or done.
    IncidentNoteAsk {
        /// In one mandate; none: in every one the incident reached.
        operator: Option<Text>,
        /// Which incident.
        incident: IncidentId,
        /// What.
        step: Step,
        /// In words.
        text: Text,
    }
    /// An incident to close.
    IncidentCloseAsk {
        /// Which.
        incident: IncidentId,
        /// Whether what it locked may be used again.
        unlock: bool,
        /// What came of it.
        outcome: Text,
    }
    /// A row as it is written.
    RowSpec {
        /// The system.
        system: Name,
        /// Category.
        category: Text,
        /// Platform.
        platform: Text,
        /// Data categories.
        data: Vec<Text>,
        /// Levels.
        levels: BTreeSet<crate::model::Level>,
        /// Purposes.
        purposes: Vec<Text>,
        /// First day; none: the day of signature.
        from: Option<Date>,
        /// Last day; none: the mandate's.
        until: Option<Date>,
        /// A grant lasts at most so many days from when it is made.
        grant_days: Option<u32>,
    }
    /// A mandate by its operator's name.
    NameAsk {
        /// The operator, or `operator@contract`.
        operator: Text,
    }
    /// A mandate, or all there are.
    OptionalNameAsk {
        /// The operator.
        operator: Option<Text>,
    }
    /// Changes of the access table.
    MandateAmendAsk {
        /// The operator.
        operator: Text,
        /// New rows.
        add: Vec<RowSpec>,
        /// Rows by system with new bounds; whatever is not in the spec stays.
        set: Vec<RowSpec>,
        /// Rows to remove, by system.
        remove: Vec<Name>,
        /// A new last day of the mandate.
        until: Option<Date>,
    }
    /// A mandate and a reason.
    ReasonAsk {
        /// The operator.
        operator: Text,
        /// The reason.
        reason: Text,
    }
    /// What ending a mandate left to do.
    EndedAnswer {
        /// The broker's halves destroyed.
        destroyed: u64,
        /// The epoch whose key is gone.
        epoch: u64,
        /// What was opened and not rotated since.
        exposure: Vec<ExposureLine>,
    }
    /// What became of an exposed secret.
    SettleAsk {
        /// The operator.
        operator: Text,
        /// The system.
        system: Name,
        /// The credential's name; empty where the row has one.
        credential: Text,
        /// What was done, or why it is accepted as it is.
        because: Text,
        /// Who confirmed that it was changed; none: it was not, and that is accepted.
        confirmed: Option<Text>,
    }
    /// A mandate to close.
    CloseAsk {
        /// The operator.
        operator: Text,
        /// Years the evidence is kept.
        retain_years: u32,
    }
    /// Credentials to store under rows of one mandate; all of them or none.
    CredentialAddAsk {
        /// Each of them.
        credentials: Vec<CredentialFacts>,
        /// SHA-256 over the load's seeds, in order.
        seeds: crate::model::Digest,
    }
    /// A secret or a second factor to replace.
    CredentialRotateAsk {
        /// Which.
        credential: CredentialId,
        /// The new version.
        version: Option<NewVersion>,
        /// The second factor's new state.
        second_factor: Option<SecondFactor>,
        /// SHA-256 over the load's seeds, in order.
        seeds: crate::model::Digest,
    }
    /// A credential, or all of a row, by name.
    LocateAsk {
        /// The operator.
        operator: Text,
        /// The system or platform.
        system: Text,
        /// The credential's name; none: the only one, or all of them where `all`.
        credential: Option<Text>,
        /// All credentials of the row.
        all: bool,
    }
    /// Fingerprints.
    ReuseAsk {
        /// Of the secrets.
        tags: Vec<ReuseTag>,
    }
    /// Rows of one mandate.
    RecipientsAsk {
        /// Which.
        rows: Vec<RowId>,
    }
    /// A grant with the wraps of everything under its row.
    GrantAsk {
        /// Its facts; the id is the grantor's to choose, the member's to be bound to.
        grant: GrantFacts,
        /// The request it approves.
        answers: Option<RequestId>,
    }
    /// Grants to revoke.
    RevokeAsk {
        /// Whose.
        member: Name,
        /// In which mandate and row; none: everything everywhere.
        of: Option<(Text, Text)>,
        /// Why.
        reason: Text,
    }
    /// What a revocation did.
    RevokedAnswer {
        /// Grants ended.
        grants: u64,
        /// The epoch whose key is gone, if keys were destroyed.
        epoch: Option<u64>,
        /// What that member had opened and nobody has rotated since.
        exposure: Vec<ExposureLine>,
    }
    /// What is to be released.
    FetchAsk {
        /// One place each; more than one only for an onward grant.
        items: Vec<FetchItem>,
        /// For which purpose.
        purpose: Option<Text>,
        /// Data keys for a grant to this member: a lead's bulk read.
        onward: Option<MemberId>,
    }
    /// One credential under one grant.
    FetchItem {
        /// The credential.
        credential: CredentialId,
        /// The version located.
        version: u32,
        /// The grant located.
        grant: GrantId,
    }
    /// Released secrets with their proof.
    FetchAnswer {
        /// In the order asked for.
        released: Vec<Released>,
        /// The record, its place and the signed head.
        proof: Proof,
    }
    /// A released code with its proof.
    CodeAnswer {
        /// The code.
        code: String,
        /// Seconds it stays current.
        seconds: u64,
        /// The record, its place and the signed head.
        proof: Proof,
    }
    /// Which records.
    LogAsk {
        /// The operator; none: the roster's ledger.
        operator: Option<Text>,
        /// Of whom.
        member: Option<Name>,
        /// Since when.
        since: Option<Instant>,
        /// Denials only.
        denied: bool,
    }
    /// Records.
    LogAnswer {
        /// In order.
        lines: Vec<LogLine>,
    }
    /// A whole extract.
    ExtractAnswer {
        /// Its text.
        extract: Blob,
        /// Its head.
        head: Seen,
        /// When each backup was made that holds the mandate.
        backups: Vec<Instant>,
    }
    /// The signed head of one ledger.
    CheckpointAnswer {
        /// The mandate.
        unit: UnitId,
        /// The signed note.
        note: String,
    }
    /// Whose exposure.
    ExposureAsk {
        /// Of one operator.
        operator: Option<Text>,
        /// Of one member.
        member: Option<Name>,
    }
    /// What a sweep did.
    SweepAnswer {
        /// Grants whose term was over.
        expired: u64,
        /// Mandates whose term was over.
        ended: u64,
        /// Keys destroyed.
        destroyed: u64,
        /// Ledgers whose retention was over.
        forgotten: u64,
    }
    /// How far ahead.
    DueAsk {
        /// Days.
        days: u32,
    }
    /// Where to.
    BackupAsk {
        /// The new file's path on the broker's machine.
        path: String,
    }
    /// What a backup holds.
    BackupAnswer {
        /// How many mandates.
        mandates: u64,
    }
}

/// A two-factor code; never recorded.
#[derive(Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CodeLoad {
    /// Six digits.
    pub code: String,
}

/// A new member's second factor; never recorded.
#[derive(Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct EnrolLoad {
    /// The encoded seed.
    pub seed: Vec<u8>,
    /// A code that confirms it, and is used up by that.
    pub code: String,
}

/// Sealed secrets with their wraps.
#[derive(Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SecretsLoad {
    /// One for each new version, in the order of the ask.
    pub secrets: Vec<SecretLoad>,
    /// One for each credential whose second factor is `on` from now.
    pub seeds: Vec<SeedLoad>,
}

/// One version, sealed, and wrapped to everyone who may read it.
#[derive(Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SecretLoad {
    /// Of which credential.
    pub credential: CredentialId,
    /// The ciphertext.
    pub ct: Blob,
    /// The recovery wrap.
    pub rec: Blob,
    /// The author's statement over both.
    pub statement: Signed,
    /// One for each live grant under the row.
    pub wraps: Vec<WrapLoad>,
}

/// One inner wrap.
#[derive(Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct WrapLoad {
    /// The place.
    pub ctx: Ctx,
    /// The inner wrap.
    pub inner: Blob,
    /// The author's statement over it.
    pub statement: Signed,
}

/// One TOTP seed for the broker to keep.
#[derive(Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SeedLoad {
    /// Of which credential.
    pub credential: CredentialId,
    /// The encoded seed.
    pub seed: Blob,
}

impl SeedLoad {
    /// What a signed request says of the seeds beside it: SHA-256 over credential and seed of each, in order.
    pub fn digest(seeds: &[SeedLoad]) -> crate::model::Digest {
        let add = |hasher: Hasher, seed: &SeedLoad| hasher.with(seed.credential.bytes()).with(&seed.seed.0);
        seeds.iter().fold(Hasher::default(), add).finish()
    }
}

/// Wraps for a new grant.
#[derive(Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct WrapsLoad {
    /// One for each secret under the row.
    pub wraps: Vec<WrapLoad>,
}
