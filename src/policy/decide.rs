//! The decision on one retrieval.

use super::clock::ClockReading;
use super::matrix::{Scope, reach};
use crate::model::{
    Credential, CredentialId, Deny, Grant, GrantId, GrantOrigin, Instant, Mandate, Member, MemberId, Phase, Role,
    Standing, Term, Text, UnitId, Verb, Why,
};

/// Everything a retrieval is judged by.
pub struct Situation<'a> {
    /// What the clocks say.
    pub clock: ClockReading,
    /// Who asks.
    pub member: &'a Member,
    /// `fetch` or `code`.
    pub verb: Verb,
    /// Whether a session with a second factor stands behind the request.
    pub second_factor: bool,
    /// The mandate.
    pub mandate: &'a Mandate,
    /// The credential asked for.
    pub credential: &'a Credential,
    /// What for.
    pub purpose: Purpose<'a>,
}

/// What a retrieval is for.
#[derive(Clone, Copy)]
pub enum Purpose<'a> {
    /// Work under the row: the purpose given, if any.
    Work(Option<&'a Text>),
    /// A lead's program reads data keys to wrap them onward: said so in the record.
    Onward(&'a Text),
    /// A member's program reads what the member holds to wrap it to a further device of the same member.
    OwnDevice(&'a Text),
}

/// The right to one release, made by [`decide`] alone and used up by it: neither `Clone` nor constructible elsewhere.
///
/// ```compile_fail
/// let permit = mandatum::policy::Permit { unit: todo!() };
/// ```
#[derive(Debug, PartialEq, Eq)]
pub struct Permit {
    unit: UnitId,
    member: MemberId,
    credential: CredentialId,
    version: u32,
    grant: GrantId,
    verb: Verb,
    purpose: Text,
    at: Instant,
}

impl Permit {
    /// The mandate's unit.
    pub fn unit(&self) -> UnitId {
        self.unit
    }
    /// For whom.
    pub fn member(&self) -> MemberId {
        self.member
    }
    /// Of what.
    pub fn credential(&self) -> CredentialId {
        self.credential
    }
    /// Which version; 0 where the credential has no secret.
    pub fn version(&self) -> u32 {
        self.version
    }
    /// Under which grant.
    pub fn grant(&self) -> GrantId {
        self.grant
    }
    /// `fetch` or `code`.
    pub fn verb(&self) -> Verb {
        self.verb
    }
    /// The purpose it was given for.
    pub fn purpose(&self) -> &Text {
        &self.purpose
    }
    /// When it was decided.
    pub fn at(&self) -> Instant {
        self.at
    }
}

/// Decides one retrieval: role, mandate state, row, grant, term, purpose, second factor and clock, in this order.
///
/// # Errors
/// The first reason to deny.
pub fn decide(situation: &Situation<'_>) -> Result<Permit, Deny> {
    let Situation { clock, member, verb, second_factor, mandate, credential, purpose } = *situation;
    let now = clock.now();
    if matches!(clock, ClockReading::Behind(_)) {
        return Err(Deny::ClockSuspect);
    }
    if matches!(member.standing, Standing::Suspended { .. }) {
        return Err(Deny::GrantLocked);
    }
    if reach(member, verb, Some(mandate)) == Scope::Never {
        return Err(Deny::RoleForbids);
    }
    if !second_factor {
        return Err(Deny::MfaRequired);
    }
    if mandate.phase != Phase::Active {
        return Err(Deny::MandateNotActive);
    }
    let grant = mandate.grant_for(member.id(), credential.row).ok_or(Deny::NotGranted)?;
    // A standing grant goes with the lead's role; without the role it is none.
    if grant.facts.origin == GrantOrigin::Lead && !(member.is(Role::Lead) && mandate.is_lead(member.id())) {
        return Err(Deny::NotGranted);
    }
    check_grant(grant, now)?;
    let row = mandate.row(credential.row).ok_or(Deny::NotGranted)?;
    // Clause 1.2: nobody from outside without the operator's written permission.
    if member.is(Role::External) && mandate.permission(member.id(), row, now).is_none() {
        return Err(Deny::RoleForbids);
    }
    for term in [mandate.term, row.terms.term, grant.facts.term] {
        check_term(term, now)?;
        if !clock.may_release(term.until) {
            return Err(Deny::ClockSuspect);
        }
    }
    let purpose = match purpose {
        Purpose::Onward(said) if mandate.is_lead(member.id()) && member.is(Role::Lead) => said,
        Purpose::Onward(_) => return Err(Deny::RoleForbids),
        // It goes to the same member under the same grant: the grant itself is the right.
        Purpose::OwnDevice(said) => said,
        Purpose::Work(asked) => choose_purpose(&grant.facts.purposes, asked)?,
    };
    Ok(Permit {
        unit: mandate.unit,
        member: member.id(),
        credential: credential.id,
        version: credential.current.as_ref().map_or(0, |version| version.number),
        grant: grant.facts.id,
        verb,
        purpose: purpose.clone(),
        at: now,
    })
}

fn check_grant(grant: &Grant, now: Instant) -> Result<(), Deny> {
    match grant.ended.as_ref().map(|ended| &ended.why) {
        None if grant.locked.is_some() => Err(Deny::GrantLocked),
        None => check_term(grant.facts.term, now),
        Some(Why::Term) => Err(Deny::TermExpired),
        Some(Why::KeyLost) => Err(Deny::SecretDestroyed),
        Some(_) => Err(Deny::NotGranted),
    }
}

fn check_term(term: Term, now: Instant) -> Result<(), Deny> {
    match now {
        _ if now < term.from => Err(Deny::TermNotStarted),
        _ if term.until <= now => Err(Deny::TermExpired),
        _ => Ok(()),
    }
}

fn choose_purpose<'a>(granted: &'a [Text], asked: Option<&Text>) -> Result<&'a Text, Deny> {
    match (granted, asked) {
        ([only], None) => Ok(only),
        (_, None) => Err(Deny::PurposeRequired),
        (granted, Some(asked)) => {
            granted.iter().find(|purpose| purpose.same(asked.as_str())).ok_or(Deny::PurposeOutsideRow)
        }
    }
}
