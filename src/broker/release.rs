//! The one place where the broker's half comes off.
//!
//! [`HandOut::secrets`] and [`HandOut::code`] use up the decision and the record: leaving either out does not compile.
//! What is left after them, taking the half off and signing the head, takes nobody's turn.

use super::recorder::{Receipt, Unsigned};
use super::vault::{Vault, chain_to, changed, seed_context};
use crate::api::{CodeAnswer, FetchAnswer, Refusal, Released};
use crate::crypto::{Ctx, Key, Seed, Signed, Statement, derive_outer_key, open};
use crate::ledger::{Outcome, recipient_digest};
use crate::model::{Blob, Deny, Device, Event, ReleasedItem, Roster};
use crate::policy::Permit;
use crate::store::SealedRow;
use std::sync::Arc;

/// A release that was decided on and durably recorded.
pub struct HandOut {
    proof: Unsigned,
    what: What,
}

enum What {
    Secrets { wrapped: Vec<Wrapped>, roster: Arc<Roster> },
    Code { code: String, seconds: u64 },
}

/// A secret with both halves on, and the key of the broker's.
struct Wrapped {
    ctx: Ctx,
    grant_key: Key,
    outer: Vec<u8>,
    ct: Vec<u8>,
    statement: Vec<u8>,
}

impl HandOut {
    /// The secrets that these permits and this record are about, each with what is wrapped to the device that asked.
    ///
    /// # Errors
    /// `SECRET_DESTROYED` where a grant's key is gone; integrity where the record names anything else than the permits.
    pub fn secrets(
        vault: &mut Vault<'_>,
        device: &Device,
        permits: Vec<(Permit, SealedRow)>,
        receipt: &Receipt,
        proof: Unsigned,
    ) -> Result<Self, Refusal> {
        let Outcome::Mandate(Event::Released { items, .. }) = receipt.outcome() else {
            return Err(changed("a release record"));
        };
        if items.len() != permits.len() {
            return Err(changed("a release record"));
        }
        let items = permits.into_iter().zip(items);
        let wrapped = items.map(|((permit, sealed), item)| wrapped(vault, device, permit, sealed, item, receipt));
        let wrapped = wrapped.collect::<Result<_, _>>()?;
        Ok(Self { proof, what: What::Secrets { wrapped, roster: Arc::clone(&vault.roster) } })
    }

    /// The current code of the account that this permit and this record are about. The seed stays here.
    ///
    /// # Errors
    /// `SECRET_DESTROYED` where the seed's key is gone.
    #[expect(clippy::needless_pass_by_value, reason = "a permit is used up by its release")]
    pub fn code(vault: &mut Vault<'_>, permit: Permit, receipt: &Receipt, proof: Unsigned) -> Result<Self, Refusal> {
        let recorded = matches!(receipt.outcome(), Outcome::Mandate(Event::CodeReleased { credential, grant, .. })
            if (*credential, *grant) == (permit.credential(), permit.grant()));
        if !recorded || receipt.unit() != permit.unit() {
            return Err(changed("a release record"));
        }
        let (unit, credential) = (permit.unit(), permit.credential());
        let sealed = vault.store.seed(unit, credential)?.ok_or_else(|| changed("a seed"))?;
        let context = seed_context(vault.id(), unit, credential);
        let key = vault.segment(unit)?.state_key.as_ref().ok_or(Deny::SecretDestroyed)?;
        let seed = open(key, &context, &sealed).map_err(|_| changed("a seed"))?;
        let seed = Seed::decode(&seed).ok_or_else(|| changed("a seed"))?;
        let (code, seconds) = seed.code(vault.settings.clock.now().unix_seconds());
        Ok(Self { proof, what: What::Code { code, seconds } })
    }

    /// Takes the broker's half off and signs the head: the verb's answer.
    ///
    /// # Errors
    /// Integrity where a wrap does not open at its place.
    pub fn complete(self) -> Result<Vec<u8>, Refusal> {
        let proof = self.proof.sign();
        let encoded = match self.what {
            What::Secrets { wrapped, roster } => {
                let released = wrapped.into_iter().map(|wrapped| wrapped.release(&roster)).collect::<Result<_, _>>()?;
                serde_json::to_vec(&FetchAnswer { released, proof })
            }
            What::Code { code, seconds } => serde_json::to_vec(&CodeAnswer { code, seconds, proof }),
        };
        encoded.map_err(|e| Refusal::Failed(e.to_string()))
    }
}

#[expect(clippy::needless_pass_by_value, reason = "a permit is used up by its release")]
fn wrapped(
    vault: &mut Vault<'_>,
    device: &Device,
    permit: Permit,
    sealed: SealedRow,
    item: &ReleasedItem,
    receipt: &Receipt,
) -> Result<Wrapped, Refusal> {
    let (unit, credential, version) = (permit.unit(), permit.credential(), permit.version());
    let named = (item.credential, item.version, item.grant) == (credential, version, permit.grant());
    if !named || receipt.unit() != unit {
        return Err(changed("a release record"));
    }
    if device.bundle.member != permit.member() || !device.is_active() {
        return Err(Deny::NotGranted.into());
    }
    let ctx = Ctx {
        vault: vault.id(),
        mandate: unit,
        credential,
        version,
        to: Some((permit.grant(), permit.member())),
        recipient: recipient_digest(&device.bundle.enc),
    };
    let grant_key = vault.segment(unit)?.grant(permit.grant()).map(Key::duplicate).ok_or(Deny::SecretDestroyed)?;
    let SealedRow { ct, wrap } = sealed;
    Ok(Wrapped { ctx, grant_key, outer: wrap.outer, ct, statement: wrap.statement })
}

impl Wrapped {
    fn release(self, roster: &Roster) -> Result<Released, Refusal> {
        let Self { ctx, grant_key, outer, ct, statement } = self;
        let inner = derive_outer_key(&grant_key, &ctx).take_off(&outer).map_err(|_| changed("a wrap"))?;
        let statement: Signed = postcard::from_bytes(&statement).map_err(|_| changed("a statement"))?;
        // Whoever receives it verifies the statement; here it only says whose admissions to send along.
        let said: Statement =
            serde_json::from_slice(statement.unverified_bytes()).map_err(|_| changed("a statement"))?;
        let admissions = chain_to(roster, said.author);
        Ok(Released {
            credential: ctx.credential,
            version: ctx.version,
            inner: Blob(inner),
            ct: Blob(ct),
            statement,
            admissions,
        })
    }
}
