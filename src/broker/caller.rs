//! Who asks: proven by signature before anything is looked at.

use super::invite::joined_keys;
use super::recorder::Receipt;
use super::vault::Vault;
use super::{Task, Turn, decides_itself, parse};
use crate::api::{FORMAT, FetchAsk, Frame, NOT_CONFIRMED, Refusal, Request};
use crate::crypto::{Signed, Topic};
use crate::ledger::{Assurance, Outcome};
use crate::model::{Deny, Device, Member, MemberId, Name, Roster, SessionId, Standing, UnitId, Verb};
use crate::policy::{self, Scope};
use serde::de::IgnoredAny;

/// A session ends after this long without use, ms.
pub const IDLE_MS: i64 = 15 * 60 * 1000;

/// Who signed a request, by a roster that may have changed since.
pub struct Signer {
    claim: Request<IgnoredAny>,
    /// What a retrieval asks, read before standing in line: most requests are one.
    retrieval: Option<Request<FetchAsk>>,
}

impl Signer {
    /// Checks a request's signature with a key of the member it names.
    ///
    /// # Errors
    /// One sentence for everything: what was wrong tells an attacker nothing.
    pub fn check(roster: &Roster, frame: &Frame) -> Result<Self, Refusal> {
        // What it claims is read to know whose key to check with; nothing is done by it before the check.
        let claim: Request<IgnoredAny> =
            serde_json::from_slice(frame.request.unverified_bytes()).map_err(|_| unproven())?;
        let key = frame.request.claimed_key();
        let known = roster.member(claim.member).is_some_and(|member| member.device(key).is_some());
        let waits = || joined_keys(roster).any(|keys| (keys.member, keys.sign) == (claim.member, *key));
        if !known && !waits() {
            return Err(unproven());
        }
        frame.request.open(Topic::Request, key).map_err(|_| unproven())?;
        if known {
            let bytes = frame.request.unverified_bytes();
            let retrieval = if decides_itself(frame.verb) { parse(bytes).ok() } else { None };
            Ok(Self { claim, retrieval })
        } else {
            // Told to nobody but who holds the keys that wait.
            Err(if claim.vault == roster.vault { Refusal::Authentication(NOT_CONFIRMED.into()) } else { unproven() })
        }
    }

    /// What the request asks, where it is a retrieval and was read already.
    pub fn retrieval(&self) -> Option<&Request<FetchAsk>> {
        self.retrieval.as_ref()
    }
}

fn unproven() -> Refusal {
    Refusal::Authentication("the request is not signed by a member of this vault".into())
}

/// A proven member with their request. There is no other way into an operation.
pub struct Caller {
    member: Member,
    device: Device,
    verb: Verb,
    request: Signed,
    session: Option<SessionId>,
    stepped_up: bool,
    assurance: Assurance,
}

impl Caller {
    /// Proves who asks: a member of the roster; the signature of a device of theirs that is in use, over the exact
    /// bytes; the same vault and verb inside as outside; a nonce of ours, used up by this.
    ///
    /// # Errors
    /// As [`Signer::check`]; busy where the member asks too fast.
    pub fn prove(vault: &Vault<'_>, turn: &mut Turn<'_>, task: &Task) -> Result<Self, Refusal> {
        let Task { frame, assurance, signer } = task;
        let key = frame.request.claimed_key();
        let still =
            |signer: &&Signer| vault.roster.member(signer.claim.member).is_some_and(|m| m.device(key).is_some());
        let fresh;
        let claim = match signer.as_ref().filter(still) {
            Some(signer) => &signer.claim,
            None => {
                fresh = Signer::check(&vault.roster, frame)?;
                &fresh.claim
            }
        };
        let member = vault.roster.member(claim.member).ok_or_else(unproven)?;
        let device = member.device(key).ok_or_else(unproven)?;
        let fits = claim.format == FORMAT && claim.vault == vault.id() && claim.verb == frame.verb;
        if !fits || matches!(member.standing, Standing::Removed { .. }) || !turn.nonces.take(claim.nonce) {
            return Err(unproven());
        }
        let paced = turn.paces.count(member.id(), vault.settings.pace, &*vault.settings.clock);
        paced.map_err(|retry_ms| Refusal::Busy { retry_ms })?;
        let token = claim.step_up.and_then(|token| turn.step_ups.take(token, vault.now()));
        Ok(Self {
            member: member.clone(),
            device: device.clone(),
            verb: frame.verb,
            request: frame.request.clone(),
            session: claim.session.filter(|id| is_live(vault, *id, device)),
            stepped_up: token == Some(member.id()),
            assurance: *assurance,
        })
    }

    /// What every verb needs: an active member, a role that has the verb at all, a second factor, and a fresh code for
    /// the sensitive ones. Denials are recorded.
    ///
    /// # Errors
    /// [`Refusal::Denied`].
    pub fn check_right(&self, vault: &mut Vault<'_>) -> Result<(), Refusal> {
        let opens_session = matches!(self.verb, Verb::Unlock | Verb::Lock);
        let deny = match () {
            () if decides_itself(self.verb) => None,
            () if !self.member.is_active() => Some(Deny::GrantLocked),
            () if policy::reach(&self.member, self.verb, None) == Scope::Never => Some(Deny::RoleForbids),
            () if !opens_session && self.session.is_none() => Some(Deny::MfaRequired),
            () if policy::needs_step_up(self.verb) && !self.stepped_up => Some(Deny::MfaRequired),
            () => None,
        };
        match deny {
            None => Ok(()),
            Some(code) => Err(self.deny(vault, vault.roster.unit, code)),
        }
    }

    /// Records a denial and gives the refusal for it.
    pub fn deny(&self, vault: &mut Vault<'_>, unit: UnitId, code: Deny) -> Refusal {
        match vault.record_one(Some(self), unit, Outcome::Denied(code)) {
            Ok(_) => code.into(),
            Err(failed) => failed,
        }
    }

    /// Records that there was nothing for the caller.
    ///
    /// # Errors
    /// The record could not be written.
    pub fn record_refused(&self, vault: &mut Vault<'_>) -> Result<Receipt, Refusal> {
        vault.record_one(Some(self), vault.roster.unit, Outcome::Refused)
    }

    /// Whether they may know who the members are.
    pub fn may_list_members(&self) -> bool {
        policy::reach(&self.member, Verb::MemberList, None) != Scope::Never
    }

    /// Whose records they mean by a name. Who may not list the members reads their own only, and learns by no other
    /// name whether there is such a member.
    ///
    /// # Errors
    /// Input where there is no such member, or none they may ask for.
    pub fn member_meant(&self, vault: &Vault<'_>, name: &Name) -> Result<MemberId, Refusal> {
        if self.may_list_members() {
            return Ok(vault.member_named(name.as_str())?.id());
        }
        if self.member.name().same(name.as_str()) {
            return Ok(self.id());
        }
        Err(Refusal::input("member", "is not you; you read your own records only"))
    }

    /// The member.
    pub fn member(&self) -> &Member {
        &self.member
    }

    /// The device the request was signed on.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The member's id.
    pub fn id(&self) -> MemberId {
        self.member.id()
    }

    /// What is asked.
    pub fn verb(&self) -> Verb {
        self.verb
    }

    /// The live session behind it, which stands for the second factor.
    pub fn session(&self) -> Option<SessionId> {
        self.session
    }

    /// The level of the door they came in by.
    pub fn assurance(&self) -> Assurance {
        self.assurance
    }

    /// The signed request.
    pub fn request(&self) -> &Signed {
        &self.request
    }

    /// The bytes whose signature was verified.
    pub fn signed_bytes(&self) -> &[u8] {
        self.request.unverified_bytes()
    }
}

fn is_live(vault: &Vault<'_>, id: SessionId, device: &Device) -> bool {
    let now = vault.now();
    let live = |session: &&crate::anchor::Session| {
        let begun_here = session.member == device.bundle.member && session.key == device.bundle.sign;
        session.id == id && begun_here && now < session.until && now.since(session.used) < IDLE_MS
    };
    vault.anchor.core().sessions.iter().any(|session| live(&session))
}
