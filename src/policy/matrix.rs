//! The role matrix as data (DESIGN.md 10).

use crate::model::{Mandate, Member, Role, Verb};

/// How far a role's right to a verb reaches.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Scope {
    /// Not at all.
    Never,
    /// The member's own records only.
    OwnRecords,
    /// What was granted to the member.
    Granted,
    /// The mandates the member leads.
    Own,
    /// Everything.
    All,
}

/// What one role may do.
pub fn scope_of(role: Role, verb: Verb) -> Scope {
    use Scope::{All, Granted, Never, Own, OwnRecords};
    let [owner, lead, specialist, auditor] = match verb {
        Verb::Unlock | Verb::Lock | Verb::StepUp => [All, All, All, All],
        Verb::MemberAdd
        | Verb::MemberRole
        | Verb::MemberFactor
        | Verb::MemberSuspend
        | Verb::MemberResume
        | Verb::MemberRemove
        | Verb::MemberInvite
        | Verb::MemberPending
        | Verb::MemberConfirm
        | Verb::MemberReject => [All, Never, Never, Never],
        // One's own devices are one's own matter; whoever may list the members may list theirs.
        Verb::DeviceList => [All, All, OwnRecords, All],
        Verb::DeviceRemove => [All, OwnRecords, OwnRecords, OwnRecords],
        Verb::MemberList => [All, All, Never, All],
        Verb::MandateOpen | Verb::MandateImport => [Never, All, Never, Never],
        Verb::MandateAmend | Verb::MandateAnswer | Verb::MandateActivate => [Never, Own, Never, Never],
        Verb::Deny | Verb::Review => [Never, Own, Never, Never],
        Verb::MandateEnd | Verb::MandateSettle | Verb::MandateClose => [All, Own, Never, Never],
        Verb::MandatePermit | Verb::MandateEvidence | Verb::RotationAsk => [All, Own, Never, Never],
        Verb::IncidentOpen | Verb::IncidentNote | Verb::IncidentClose => [All, Own, Never, Never],
        Verb::IncidentList => [All, Own, Never, All],
        // Whose mandate it is does not matter: what one does not know of, one cannot see by asking either.
        Verb::Request => [All, All, All, Never],
        Verb::MandateList | Verb::MandateShow | Verb::Due | Verb::Status => [All, Own, Granted, All],
        Verb::CredentialAdd | Verb::CredentialRotate | Verb::Reuse | Verb::Recipients | Verb::Grant => {
            [Never, Own, Never, Never]
        }
        Verb::CredentialList => [All, Own, Granted, Never],
        Verb::Revoke => [All, Own, Never, Never],
        Verb::Locate | Verb::Fetch | Verb::Code | Verb::WrapShare => [Granted, Own, Granted, Never],
        Verb::Log | Verb::Exposure => [All, Own, OwnRecords, All],
        Verb::Extract | Verb::Checkpoint => [All, Own, Never, All],
        Verb::Verify => [All, All, Never, All],
        Verb::Sweep => [All, All, Never, Never],
        Verb::Backup | Verb::ConfirmClock => [All, Never, Never, Never],
    };
    match role {
        Role::Owner => owner,
        Role::Lead => lead,
        Role::Specialist => specialist,
        Role::Auditor => auditor,
        Role::External => Never,
    }
}

/// Verbs that need a fresh code beyond the session's: exports, closing, role changes, recovery (DESIGN.md 9).
pub fn needs_step_up(verb: Verb) -> bool {
    matches!(
        verb,
        Verb::MemberAdd
            | Verb::MemberRole
            | Verb::MemberRemove
            | Verb::MemberFactor
            | Verb::MemberInvite
            | Verb::MemberConfirm
            | Verb::DeviceRemove
            | Verb::MandateActivate
            | Verb::MandateEnd
            | Verb::MandateClose
            | Verb::IncidentClose
            | Verb::Extract
            | Verb::Backup
            | Verb::ConfirmClock
    )
}

/// How far a member may go with a verb, on a mandate or on the vault as a whole. [`Scope::Never`] where not at all.
pub fn reach(member: &Member, verb: Verb, mandate: Option<&Mandate>) -> Scope {
    if !member.is_active() {
        return Scope::Never;
    }
    let scopes = member.roles.iter().map(|&role| scope_of(role, verb));
    let reaching = scopes.filter(|scope| match (scope, mandate) {
        (Scope::Never, _) => false,
        (Scope::All, _) | (_, None) => true,
        (Scope::Own, Some(mandate)) => mandate.is_lead(member.id()),
        (Scope::Granted | Scope::OwnRecords, Some(mandate)) => mandate.concerns(member.id()),
    });
    reaching.max().unwrap_or(Scope::Never)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// DESIGN.md 10, written once more by hand for the verbs its table names.
    #[test]
    fn the_matrix_says_what_the_design_says() {
        use Scope::{All, Granted, Never, Own, OwnRecords};
        let rows = [
            (Verb::MemberAdd, [All, Never, Never, Never]),
            (Verb::MemberRole, [All, Never, Never, Never]),
            (Verb::MemberSuspend, [All, Never, Never, Never]),
            (Verb::MemberInvite, [All, Never, Never, Never]),
            (Verb::MemberConfirm, [All, Never, Never, Never]),
            (Verb::DeviceRemove, [All, OwnRecords, OwnRecords, OwnRecords]),
            (Verb::MandateOpen, [Never, All, Never, Never]),
            (Verb::MandateAmend, [Never, Own, Never, Never]),
            (Verb::MandateEnd, [All, Own, Never, Never]),
            (Verb::MandateClose, [All, Own, Never, Never]),
            (Verb::CredentialAdd, [Never, Own, Never, Never]),
            (Verb::CredentialRotate, [Never, Own, Never, Never]),
            (Verb::Grant, [Never, Own, Never, Never]),
            (Verb::Revoke, [All, Own, Never, Never]),
            (Verb::Fetch, [Granted, Own, Granted, Never]),
            (Verb::Code, [Granted, Own, Granted, Never]),
            (Verb::Log, [All, Own, OwnRecords, All]),
            (Verb::Exposure, [All, Own, OwnRecords, All]),
            (Verb::Backup, [All, Never, Never, Never]),
        ];
        for (verb, scopes) in rows {
            assert_eq!(Role::ALL.map(|role| scope_of(role, verb)), scopes, "{verb}");
        }
    }

    /// DESIGN.md 9, its kinds spelled out: exports, closing, role changes, recovery; and what confirms people or time.
    #[test]
    fn a_fresh_code_is_needed_for_what_the_design_names() {
        let needing = Verb::ALL.iter().filter(|verb| needs_step_up(**verb)).map(|verb| verb.name());
        let named = [
            "member_add",
            "member_role",
            "member_factor",
            "member_remove",
            "member_invite",
            "member_confirm",
            "device_remove",
            "mandate_activate",
            "mandate_end",
            "mandate_close",
            "incident_close",
            "extract",
            "backup",
            "confirm_clock",
        ];
        assert_eq!(needing.collect::<std::collections::BTreeSet<_>>(), named.into());
    }
}
