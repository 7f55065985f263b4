//! The one place where the broker's half comes off.
//!
//! [`release`] and [`release_code`] use up the decision and the record: leaving either out does not compile.

use super::devices::slot;
use super::recorder::Receipt;
use super::vault::{Vault, chain_to, changed, seed_context};
use crate::api::{Refusal, Released};
use crate::crypto::{Ctx, Key, Seed, Signed, Statement, derive_outer_key, open};
use crate::ledger::{Outcome, recipient_digest};
use crate::model::{Blob, Deny, Device, Event, ReleasedItem};
use crate::policy::Permit;

/// Takes the outer layer off the secrets that these permits and this record are about, as they are wrapped to the device
/// that asked.
///
/// # Errors
/// `SECRET_DESTROYED` where the grant's key is gone; integrity where the record names anything else than the permits.
pub fn release(
    vault: &mut Vault<'_>,
    device: &Device,
    permits: Vec<Permit>,
    receipt: &Receipt,
) -> Result<Vec<Released>, Refusal> {
    let Outcome::Mandate(Event::Released { items, .. }) = receipt.outcome() else {
        return Err(changed("a release record"));
    };
    if items.len() != permits.len() {
        return Err(changed("a release record"));
    }
    let items = items.clone();
    permits.into_iter().zip(items).map(|(permit, item)| release_one(vault, device, permit, item, receipt)).collect()
}

#[expect(clippy::needless_pass_by_value, reason = "a permit is used up by its release")]
fn release_one(
    vault: &mut Vault<'_>,
    device: &Device,
    permit: Permit,
    item: ReleasedItem,
    receipt: &Receipt,
) -> Result<Released, Refusal> {
    let (unit, credential, version) = (permit.unit(), permit.credential(), permit.version());
    let named = (item.credential, item.version, item.grant) == (credential, version, permit.grant());
    if !named || receipt.unit() != unit {
        return Err(changed("a release record"));
    }
    let secret = vault.store.secret(unit, credential, version)?.ok_or_else(|| changed("a secret"))?;
    if device.bundle.member != permit.member() || !device.is_active() {
        return Err(Deny::NotGranted.into());
    }
    let recipient = recipient_digest(&device.bundle.enc);
    let wrap = vault.store.wrap(unit, permit.grant(), credential, &slot(permit.grant(), &recipient))?;
    let wrap = wrap.ok_or_else(|| changed("a wrap"))?;
    let ctx = Ctx {
        vault: vault.id(),
        mandate: unit,
        credential,
        version,
        to: Some((permit.grant(), permit.member())),
        recipient,
    };
    let grant_key = vault.segment(unit)?.grant(permit.grant()).map(Key::duplicate).ok_or(Deny::SecretDestroyed)?;
    let inner = derive_outer_key(&grant_key, &ctx).take_off(&wrap.outer).map_err(|_| changed("a wrap"))?;
    let statement: Signed = postcard::from_bytes(&wrap.statement).map_err(|_| changed("a statement"))?;
    // Whoever receives it verifies the statement; here it only says whose admissions to send along.
    let said: Statement = serde_json::from_slice(statement.unverified_bytes()).map_err(|_| changed("a statement"))?;
    let admissions = chain_to(&vault.roster, said.author);
    Ok(Released { credential, version, inner: Blob(inner), ct: Blob(secret.ct), statement, admissions })
}

/// The current code of the account that this permit and this record are about. The seed stays here.
///
/// # Errors
/// `SECRET_DESTROYED` where the seed's key is gone.
#[expect(clippy::needless_pass_by_value, reason = "a permit is used up by its release")]
pub fn release_code(vault: &mut Vault<'_>, permit: Permit, receipt: &Receipt) -> Result<(String, u64), Refusal> {
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
    Ok(seed.code(vault.settings.clock.now().unix_seconds()))
}
