//! Who asks: proven by signature before anything is looked at.

use super::decides_itself;
use super::invite::joined_keys;
use super::recorder::Receipt;
use super::vault::Vault;
use crate::api::{FORMAT, Frame, NOT_CONFIRMED, Refusal, Request};
use crate::crypto::{Signed, Topic};
use crate::ledger::Outcome;
use crate::model::{Deny, Device, Member, MemberId, Nonce, SessionId, Standing, UnitId, Verb};
use crate::policy::{self, Scope};
use serde::de::IgnoredAny;
use std::collections::{HashMap, VecDeque};

/// A session ends after this long without use, ms.
pub const IDLE_MS: i64 = 15 * 60 * 1000;

/// A proven member with their request. There is no other way into an operation.
pub struct Caller {
    member: Member,
    device: Device,
    verb: Verb,
    request: Signed,
    session: Option<SessionId>,
    stepped_up: bool,
}

impl Caller {
    /// Proves who asks: a known nonce, used up by this; a member of the roster; the signature of a device of theirs that
    /// is in use, over the exact bytes; the same vault and verb inside as outside.
    ///
    /// # Errors
    /// One sentence for everything: what was wrong tells an attacker nothing.
    pub fn prove(
        vault: &Vault<'_>,
        frame: &Frame,
        nonces: &mut VecDeque<Nonce>,
        step_ups: &mut HashMap<Nonce, MemberId>,
    ) -> Result<Self, Refusal> {
        let refused = || Refusal::Authentication("the request is not signed by a member of this vault".into());
        // What it claims is read to know whose key to check with; nothing is done by it before the check.
        let bytes = frame.request.unverified_bytes();
        let claim: Request<IgnoredAny> = serde_json::from_slice(bytes).map_err(|_| refused())?;
        let key = frame.request.claimed_key();
        let known = vault.roster.member(claim.member).and_then(|member| Some((member, member.device(key)?)));
        let Some((member, device)) = known else {
            let waits = joined_keys(&vault.roster).any(|keys| (keys.member, keys.sign) == (claim.member, *key));
            let proven = frame.request.open(Topic::Request, key).is_ok() && claim.vault == vault.id();
            // Told to nobody but who holds the keys that wait.
            return Err(if waits && proven { Refusal::Authentication(NOT_CONFIRMED.into()) } else { refused() });
        };
        frame.request.open(Topic::Request, &device.bundle.sign).map_err(|_| refused())?;
        let fits = claim.format == FORMAT && claim.vault == vault.id() && claim.verb == frame.verb;
        let place = nonces.iter().position(|nonce| *nonce == claim.nonce);
        if !fits || matches!(member.standing, Standing::Removed { .. }) {
            return Err(refused());
        }
        nonces.remove(place.ok_or_else(refused)?);
        let stepped_up = claim.step_up.and_then(|token| step_ups.remove(&token)) == Some(member.id());
        let session = claim.session.filter(|id| is_live(vault, *id, device));
        let (member, device, request) = (member.clone(), device.clone(), frame.request.clone());
        Ok(Self { member, device, verb: frame.verb, request, session, stepped_up })
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
