//! Sealing a new version and wrapping its data key to everyone who may read it.

use super::identity::{Identity, to_json};
use super::program::AgentError;
use crate::api::{Released, SecretLoad, SecretsLoad, SeedLoad, WrapLoad};
use crate::crypto::{
    Ctx, Dek, Entropy, Fields, Key, Secret, Signed, Statement, Topic, commitment, hash, seal_ct, wrap_inner,
};
use crate::ledger::{Charter, recipient_digest};
use crate::model::{Blob, Bundle, CredentialFacts, Digest, GrantId, NewVersion, UnitId};

/// A credential to store: its facts, its fields and its seed.
pub struct NewSecret {
    /// The facts; `version.ct` is filled in when the fields are sealed.
    pub facts: CredentialFacts,
    /// The secret fields; none for delegated access.
    pub fields: Option<Fields>,
    /// The encoded TOTP seed of the account, where its second factor is on.
    pub seed: Option<Secret>,
}

/// Sealed secrets, ready to be sent.
#[derive(Default)]
pub struct Prepared {
    /// What travels beside the request.
    pub load: SecretsLoad,
}

impl Prepared {
    /// What the signed request says of the seeds.
    pub fn seeds_digest(&self) -> Digest {
        SeedLoad::digest(&self.load.seeds)
    }
}

/// Seals and wraps the first version of a credential; gives back its facts with the ciphertext's digest.
pub(super) fn wrap_version(
    me: &Identity,
    unit: UnitId,
    charter: &Charter,
    readers: &[(GrantId, Bundle)],
    new: NewSecret,
    prepared: &mut Prepared,
    entropy: &dyn Entropy,
) -> Result<CredentialFacts, AgentError> {
    let NewSecret { mut facts, fields, seed } = new;
    if let Some(seed) = seed {
        prepared.load.seeds.push(SeedLoad { credential: facts.id, seed: Blob(seed.expose().to_vec()) });
    }
    if let (Some(version), Some(fields)) = (facts.version.take(), fields) {
        let ctx = Ctx {
            vault: me.vault,
            mandate: unit,
            credential: facts.id,
            version: version.number,
            to: None,
            recipient: recipient_digest(&charter.recovery),
        };
        let sealed = wrap_fields(me, &ctx, &charter.recovery, readers, &fields, version, prepared, entropy)?;
        facts.version = Some(sealed);
    }
    Ok(facts)
}

/// Seals one version under a fresh data key, and wraps that key to the recovery recipient and to every reader.
#[expect(clippy::too_many_arguments, reason = "one version's parts, each of another kind")]
pub(super) fn wrap_fields(
    me: &Identity,
    ctx: &Ctx,
    recovery: &str,
    readers: &[(GrantId, Bundle)],
    fields: &Fields,
    mut version: NewVersion,
    prepared: &mut Prepared,
    entropy: &dyn Entropy,
) -> Result<NewVersion, AgentError> {
    let dek = Key::generate(entropy);
    let ct = seal_ct(&dek, ctx, fields, entropy);
    let rec =
        wrap_inner(recovery, ctx, &dek).map_err(|_| AgentError::Untrusted("the recovery recipient is not one"))?;
    version.ct = hash(&ct);
    let (ct_hash, rec_hash) = (version.ct, hash(&rec));
    let of_version = Statement {
        ctx: *ctx,
        ct: ct_hash,
        inner: rec_hash,
        rec: rec_hash,
        commit: commitment(&dek),
        author: me.member,
    };
    let mut wraps = Vec::with_capacity(readers.len());
    for (grant, bundle) in readers {
        wraps.push(wrap_to(me, &of_version, &dek, *grant, bundle)?);
    }
    let statement = sign(me, &of_version);
    prepared.load.secrets.push(SecretLoad {
        credential: ctx.credential,
        ct: Blob(ct),
        rec: Blob(rec),
        statement,
        wraps,
    });
    Ok(version)
}

/// Wraps a released data key onward to another member.
pub(super) fn wrap_onward(
    me: &Identity,
    ctx: &Ctx,
    dek: &Dek,
    released: &Released,
    grant: GrantId,
    bundle: &Bundle,
) -> Result<WrapLoad, AgentError> {
    let said: Statement = serde_json::from_slice(released.statement.unverified_bytes())
        .map_err(|_| AgentError::Untrusted("a statement cannot be read"))?;
    let of_version = Statement { ctx: *ctx, author: me.member, ..said };
    wrap_to(me, &of_version, dek, grant, bundle)
}

fn wrap_to(
    me: &Identity,
    of_version: &Statement,
    dek: &Dek,
    grant: GrantId,
    bundle: &Bundle,
) -> Result<WrapLoad, AgentError> {
    let ctx = Ctx { to: Some((grant, bundle.member)), recipient: recipient_digest(&bundle.enc), ..of_version.ctx };
    let inner = wrap_inner(&bundle.enc, &ctx, dek).map_err(|_| AgentError::Untrusted("a reader's key is not one"))?;
    let statement = sign(me, &Statement { ctx, inner: hash(&inner), ..of_version.clone() });
    Ok(WrapLoad { ctx, inner: Blob(inner), statement })
}

fn sign(me: &Identity, statement: &Statement) -> Signed {
    me.sign.sign(Topic::Statement, to_json(statement))
}
