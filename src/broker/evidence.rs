//! `mandate evidence`, `rotation ask`: what people put on file about the world outside the vault.

use super::caller::Caller;
use super::vault::Vault;
use crate::api::{MandateEvidenceAsk, Refusal, Request, RotationAskAsk};
use crate::model::{Choice, Event, Evidence, Phase};

/// Puts evidence for the closing on file.
///
/// # Errors
/// Input where it says nothing, or can no longer come true.
pub fn evidence(
    vault: &mut Vault<'_>,
    caller: &Caller,
    request: Request<MandateEvidenceAsk>,
    (): (),
) -> Result<(), Refusal> {
    let MandateEvidenceAsk { operator, evidence } = request.ask;
    let mandate = vault.find(caller.member(), caller.verb(), &operator)?;
    match &evidence {
        Evidence::Revoked { how, by, .. } if how.is_empty() || by.is_empty() => {
            return Err(Refusal::input("how", "say how the access was taken away on the platform, and by whom"));
        }
        Evidence::Copies { by, none, declaration, .. } if by.is_empty() || (!none && declaration.is_empty()) => {
            return Err(Refusal::input(
                "copies",
                "say who declares it, and which copies there were and what became of them",
            ));
        }
        // Logins are handed back while they can still be fetched.
        Evidence::Chosen { choice: Choice::Return, .. } | Evidence::Returned { .. }
            if mandate.phase != Phase::Active && mandate.returned().is_none() =>
        {
            let sentence =
                "the mandate is over and nothing can be retrieved for a return; a return is made before 'mandate end'";
            return Err(Refusal::input("choice", sentence));
        }
        _ => {}
    }
    vault.change(caller, mandate, Event::Evidenced { evidence })?;
    Ok(())
}

/// Records who was asked to change an exposed secret on its platform.
///
/// # Errors
/// Input where there is no such credential.
pub fn ask_rotation(
    vault: &mut Vault<'_>,
    caller: &Caller,
    request: Request<RotationAskAsk>,
    (): (),
) -> Result<(), Refusal> {
    let RotationAskAsk { operator, credential, of } = request.ask;
    let mandate = vault.find(caller.member(), caller.verb(), &operator)?;
    vault.change(caller, mandate, Event::RotationAsked { credential, of })?;
    Ok(())
}
