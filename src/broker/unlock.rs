//! `unlock`, `lock`, `step_up`: second factors and sessions.

use super::caller::{Caller, IDLE_MS};
use super::vault::Vault;
use crate::anchor::{Change, Session};
use crate::api::{CodeLoad, Nothing, Refusal, Request, UnlockAnswer, UnlockAsk};
use crate::crypto::{Secret, Seed};
use crate::ledger::Outcome;
use crate::model::{Deny, MemberId, Nonce, RosterEvent, SessionId};

/// A session lasts this long at most, ms.
const SESSION_MAX_MS: i64 = 8 * 60 * 60 * 1000;
/// Wrong codes in a row before the next one has to wait.
const FREE_FAILURES: u32 = 5;
/// The longest wait after wrong codes, ms.
const WAIT_MAX_MS: i64 = 15 * 60 * 1000;

/// Begins a session.
///
/// # Errors
/// Authentication where the code is wrong; `MFA_REPLAYED` where it was used.
pub fn unlock(
    vault: &mut Vault<'_>,
    caller: &Caller,
    request: Request<UnlockAsk>,
    load: CodeLoad,
) -> Result<UnlockAnswer, Refusal> {
    accept_code(vault, caller, &load.code)?;
    let (now, session) = (vault.now(), SessionId(vault.fresh_id()));
    let until = now.plus(request.ask.for_ms.clamp(0, SESSION_MAX_MS));
    let key = caller.device().bundle.sign;
    let began = Change::Began(Session { id: session, member: caller.id(), until, used: now, key });
    let event = Outcome::Roster(RosterEvent::SessionBegan { session, until });
    // The session's id is in the record; it is good only together with the member's signature.
    vault.record_one(Some(caller), vault.roster.unit, event)?;
    vault.anchor.note(vec![began])?;
    let reuse_key = caller.device().reuse_key.clone();
    let step_up = Nonce(vault.fresh_id());
    Ok(UnlockAnswer { session, until, idle_ms: IDLE_MS, reuse_key, step_up })
}

/// Ends the caller's session; without one there is nothing to end.
///
/// # Errors
/// The record could not be written.
pub fn lock(vault: &mut Vault<'_>, caller: &Caller, _: Request<Nothing>, (): ()) -> Result<(), Refusal> {
    let Some(session) = caller.session() else { return Ok(()) };
    vault.record_one(Some(caller), vault.roster.unit, Outcome::Roster(RosterEvent::SessionEnded))?;
    vault.anchor.note(vec![Change::Over(session)])?;
    Ok(())
}

/// Takes a fresh code for one sensitive operation; the answer is the token its request carries.
///
/// # Errors
/// As [`unlock`].
pub fn step_up(vault: &mut Vault<'_>, caller: &Caller, _: Request<Nothing>, load: CodeLoad) -> Result<Nonce, Refusal> {
    accept_code(vault, caller, &load.code)?;
    Ok(Nonce(vault.fresh_id()))
}

/// A code of a member who asks; what is wrong with it is recorded.
fn accept_code(vault: &mut Vault<'_>, caller: &Caller, code: &str) -> Result<(), Refusal> {
    match judge_code(vault, caller.id(), code)? {
        Judged::Accepted => Ok(()),
        Judged::Replayed => Err(caller.deny(vault, vault.roster.unit, Deny::MfaReplayed)),
        Judged::Wrong => {
            drop(caller.record_refused(vault)?);
            Err(wrong_code())
        }
    }
}

/// What a code is.
pub enum Judged {
    /// Right, and used up by this.
    Accepted,
    /// Right, and used before.
    Replayed,
    /// Wrong, and counted.
    Wrong,
}

/// What is said to a wrong code.
pub fn wrong_code() -> Refusal {
    Refusal::Authentication("the two-factor code is not right: six digits, from the app, right now".into())
}

/// Judges a member's code and takes a right one once: its step is stored durably before anything is done by it
/// (RFC 6238, 5.2).
///
/// # Errors
/// Authentication where no second factor is enrolled, or too many codes were wrong.
pub fn judge_code(vault: &mut Vault<'_>, member: MemberId, code: &str) -> Result<Judged, Refusal> {
    let now = vault.now();
    let missing = || Refusal::Authentication("no second factor is enrolled for this member".into());
    let factor = vault.anchor.core().factor(member).ok_or_else(missing)?;
    if now < factor.blocked_until {
        let seconds = factor.blocked_until.since(now) / 1000 + 1;
        return Err(Refusal::Authentication(format!("too many wrong codes; try again in {seconds} s")));
    }
    let (last_step, failures) = (factor.last_step, factor.failures + 1);
    let seed = Seed::decode(&Secret::copy_of(&factor.seed)).ok_or_else(missing)?;
    match seed.step_of(code, vault.settings.clock.now().unix_seconds()) {
        Some(step) if step > last_step => {
            vault.anchor.note(vec![Change::Accepted(member, step)])?;
            Ok(Judged::Accepted)
        }
        Some(_) => Ok(Judged::Replayed),
        None => {
            let wait = wait_ms(failures);
            vault.anchor.note(vec![Change::Failed(member, failures, now.plus(wait))])?;
            Ok(Judged::Wrong)
        }
    }
}

/// Doubling from one second after the free ones.
pub fn wait_ms(failures: u32) -> i64 {
    let Some(beyond) = failures.checked_sub(FREE_FAILURES) else { return 0 };
    1000_i64.checked_shl(beyond.min(20)).unwrap_or(WAIT_MAX_MS).min(WAIT_MAX_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_and_end_at_a_quarter_of_an_hour() {
        assert_eq!([0, 4, 5, 6, 10].map(wait_ms), [0, 0, 1000, 2000, 32_000]);
        assert_eq!([15, 100, u32::MAX].map(wait_ms), [WAIT_MAX_MS; 3]);
    }
}
