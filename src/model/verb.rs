//! The verbs: one name for command, route, request type, record and file.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

macro_rules! verbs {
    ($($variant:ident = $name:literal, $doc:literal;)+) => {
        /// Everything a member can ask of the broker.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
        #[cfg_attr(test, derive(schemars::JsonSchema))]
        pub enum Verb { $(#[doc = $doc] #[serde(rename = $name)] $variant,)+ }

        impl Verb {
            /// Every verb; the role matrix and its test are generated from this list.
            pub const ALL: &[Verb] = &[$(Verb::$variant),+];

            /// The name in commands, routes and records.
            pub fn name(self) -> &'static str {
                match self { $(Verb::$variant => $name,)+ }
            }
        }
    };
}

verbs! {
    Unlock = "unlock", "Begin a session with a two-factor code.";
    Lock = "lock", "End one's own session.";
    StepUp = "step_up", "Show a fresh two-factor code for one sensitive operation.";
    MemberAdd = "member_add", "Admit a member to the roster.";
    MemberList = "member_list", "List the members.";
    MemberRole = "member_role", "Change a member's roles.";
    MemberSuspend = "member_suspend", "Lock a member out for now.";
    MemberResume = "member_resume", "Let a suspended member in again.";
    MemberFactor = "member_factor", "Enrol a member's second factor anew.";
    MemberRemove = "member_remove", "End a member's access for good.";
    MemberInvite = "member_invite", "Invite a newcomer, or a further device of a member.";
    MemberPending = "member_pending", "List invitations, and keys that wait to be confirmed.";
    MemberConfirm = "member_confirm", "Confirm the keys that were handed in under an invitation.";
    MemberReject = "member_reject", "Withdraw an invitation, or reject the keys handed in under it.";
    DeviceList = "device_list", "List the devices of a member.";
    DeviceRemove = "device_remove", "Refuse a device's keys from now on.";
    MandateOpen = "mandate_open", "Open a mandate with its access table.";
    MandateImport = "mandate_import", "Put a mandate that was read from a file on file as a draft.";
    MandateAnswer = "mandate_answer", "Answer a question about a draft.";
    MandateActivate = "mandate_activate", "Put a draft in force.";
    MandatePermit = "mandate_permit", "Put the operator's permission for an outsider on file.";
    MandateEvidence = "mandate_evidence", "Put evidence for the closing on file.";
    MandateList = "mandate_list", "List the mandates one has to do with.";
    MandateShow = "mandate_show", "Show one mandate.";
    MandateAmend = "mandate_amend", "Add, change or remove rows.";
    MandateEnd = "mandate_end", "End a mandate: nothing can be retrieved afterwards.";
    MandateSettle = "mandate_settle", "Say what became of an exposed secret that is not rotated here.";
    MandateClose = "mandate_close", "Close an ended and settled mandate.";
    CredentialAdd = "credential_add", "Store credentials under rows.";
    CredentialRotate = "credential_rotate", "Replace a credential's secret.";
    CredentialList = "credential_list", "List credentials, without secrets.";
    Locate = "locate", "Find a credential by name before fetching it.";
    Reuse = "reuse", "Ask whether a secret is in use elsewhere, by keyed fingerprint.";
    Recipients = "recipients", "Ask whom the credentials of rows are wrapped to.";
    Grant = "grant", "Give a member access under a row.";
    WrapShare = "wrap_share", "Wrap what a grant gives to a further device of its member.";
    Revoke = "revoke", "Take access away.";
    Request = "request", "Ask the lead of a mandate for access.";
    Deny = "deny", "Deny a request for access.";
    Review = "review", "Record the decisions of an access review.";
    RotationAsk = "rotation_ask", "Record who was asked to change an exposed secret.";
    IncidentOpen = "incident_open", "Open an incident and lock what it reaches.";
    IncidentNote = "incident_note", "Add to the course of an incident.";
    IncidentClose = "incident_close", "Close an incident.";
    IncidentList = "incident_list", "List incidents.";
    Fetch = "fetch", "Get a login's secret.";
    Code = "code", "Get a current two-factor code of a client's account.";
    Log = "log", "Read the ledger.";
    Extract = "extract", "Take an operator's extract.";
    Checkpoint = "checkpoint", "Take the signed head of an operator's ledger.";
    Exposure = "exposure", "List what was opened and not rotated since.";
    Verify = "verify", "Re-fold and compare the whole vault.";
    Sweep = "sweep", "Destroy the keys of what is over.";
    Due = "due", "List what ends soon.";
    Status = "status", "Show the overview.";
    Backup = "backup", "Copy the database while it is in use.";
    ConfirmClock = "confirm_clock", "Confirm the clock after an unexplained jump.";
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Verb {
    type Err = &'static str;
    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Verb::ALL.iter().copied().find(|verb| verb.name() == name).ok_or("not a verb of this version")
    }
}
