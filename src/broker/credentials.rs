//! `credential add/rotate/list`, and what a program asks before it wraps: `locate`, `recipients`, `reuse`.

use super::caller::Caller;
use super::devices::{devices_of, is_for, slot};
use super::mandates::encode;
use super::recorder::Draft;
use super::vault::{Vault, chain_to, changed, charters_of, seed_context};
use crate::api::{
    CredentialAddAsk, CredentialLine, CredentialRotateAsk, LocateAsk, Located, OptionalNameAsk, RecipientLine,
    RecipientsAsk, Refusal, Request, ReuseAsk, ReuseLine, SecretLoad, SecretsLoad, SeedLoad, WrapLoad,
};
use crate::crypto::{Ctx, Key, Secret, Seed, Signed, Statement, Topic, WRAP_MAX, derive_outer_key, hash, seal};
use crate::ledger::{Outcome, recipient_digest};
use crate::model::{
    Bundle, CredentialId, Deny, Digest, Event, GrantFacts, GrantId, Mandate, NewVersion, Phase, RowId, SecondFactor,
    UnitId, Verb,
};
use crate::policy::{self, Scope};
use crate::store::{SecretRow, WrapRow};
use std::collections::BTreeSet;

/// Stores credentials: all of the request's or none.
///
/// # Errors
/// Input where a row, a wrap or a signature is not right; nothing is stored then.
pub fn add(
    vault: &mut Vault<'_>,
    caller: &Caller,
    request: Request<CredentialAddAsk>,
    load: SecretsLoad,
) -> Result<(), Refusal> {
    let mut mandate = lead_mandate(vault, caller, request.unit)?;
    check_seeds(&load.seeds, &request.ask.seeds)?;
    let credentials = request.ask.credentials;
    let mut secrets = load.secrets.into_iter();
    let mut writes = Writes::new(vault)?;
    for facts in &credentials {
        if let Some(version) = &facts.version {
            let sent = secrets.next().filter(|secret| secret.credential == facts.id);
            let sent = sent.ok_or_else(|| wrong("secrets", "does not hold one sealed secret for each credential"))?;
            writes.secret(vault, caller, &mandate, facts.row, version, sent)?;
            writes.reuse.push((None, version.tag, facts.id));
        }
        writes.second_factor(vault, mandate.unit, facts.id, &facts.second_factor, &load.seeds, false)?;
    }
    let event = Event::CredentialsAdded { credentials };
    mandate.apply(&event, Some(caller.id()), vault.now()).map_err(|e| Refusal::input("credential", e.to_string()))?;
    writes.record(vault, caller, &mandate, event)
}

/// Replaces a credential's secret, or the state of its second factor.
///
/// # Errors
/// As [`add`].
pub fn rotate(
    vault: &mut Vault<'_>,
    caller: &Caller,
    request: Request<CredentialRotateAsk>,
    load: SecretsLoad,
) -> Result<(), Refusal> {
    let ask = request.ask;
    let mut mandate = lead_mandate(vault, caller, request.unit)?;
    check_seeds(&load.seeds, &ask.seeds)?;
    let credential = mandate.credential(ask.credential).ok_or(Refusal::NotFound)?.clone();
    let mut writes = Writes::new(vault)?;
    if let Some(version) = &ask.version {
        let mut secrets = load.secrets.into_iter().filter(|secret| secret.credential == credential.id);
        let sent = secrets.next().ok_or_else(|| wrong("secrets", "does not hold the new sealed secret"))?;
        writes.secret(vault, caller, &mandate, credential.row, version, sent)?;
        writes.reuse.push((credential.current.as_ref().map(|current| current.tag), version.tag, credential.id));
    }
    if let Some(state) = &ask.second_factor {
        let had = credential.second_factor == SecondFactor::On;
        writes.second_factor(vault, mandate.unit, credential.id, state, &load.seeds, had)?;
    }
    let event = Event::Rotated { credential: credential.id, version: ask.version, second_factor: ask.second_factor };
    mandate.apply(&event, Some(caller.id()), vault.now()).map_err(|e| Refusal::input("credential", e.to_string()))?;
    writes.record(vault, caller, &mandate, event)
}

/// The active mandate of a request, if the caller leads it.
pub fn lead_mandate(vault: &mut Vault<'_>, caller: &Caller, unit: Option<UnitId>) -> Result<Mandate, Refusal> {
    let mandate = vault.mandate(unit.ok_or(Refusal::NotFound)?)?.ok_or(Refusal::NotFound)?;
    if policy::reach(caller.member(), caller.verb(), Some(&mandate)) == Scope::Never {
        return Err(Refusal::NotFound);
    }
    match mandate.phase {
        Phase::Active => Ok(mandate),
        _ => Err(Deny::MandateNotActive.into()),
    }
}

/// What goes into the database with one record.
struct Writes {
    /// Digest of the recovery recipient, to whom everything is wrapped too.
    recovery: Digest,
    secrets: Vec<(CredentialId, u32, SecretRow)>,
    wraps: Vec<(GrantId, CredentialId, Digest, WrapRow)>,
    seeds: Vec<(CredentialId, Vec<u8>)>,
    dropped_seeds: Vec<CredentialId>,
    reuse: Vec<(Option<crate::model::ReuseTag>, crate::model::ReuseTag, CredentialId)>,
}

impl Writes {
    fn new(vault: &Vault<'_>) -> Result<Self, Refusal> {
        Ok(Self {
            recovery: recipient_digest(&vault.recovery()?),
            secrets: Vec::new(),
            wraps: Vec::new(),
            seeds: Vec::new(),
            dropped_seeds: Vec::new(),
            reuse: Vec::new(),
        })
    }

    /// Checks one sealed version with its wraps, and puts the broker's half over each.
    fn secret(
        &mut self,
        vault: &mut Vault<'_>,
        caller: &Caller,
        mandate: &Mandate,
        row: RowId,
        version: &NewVersion,
        sent: SecretLoad,
    ) -> Result<(), Refusal> {
        let ctx = Ctx {
            vault: vault.id(),
            mandate: mandate.unit,
            credential: sent.credential,
            version: version.number,
            to: None,
            recipient: self.recovery,
        };
        let said = check_statement(caller, &sent.statement, &ctx)?;
        let fits = said.ct == hash(&sent.ct.0) && said.ct == version.ct && said.rec == hash(&sent.rec.0);
        if !fits || said.inner != said.rec {
            return Err(wrong("statement", "does not fit the ciphertext and recovery wrap beside it"));
        }
        check_len(&sent.rec.0)?;
        let live: Vec<GrantFacts> =
            mandate.live_grants().map(|grant| grant.facts.clone()).filter(|grant| grant.row == row).collect();
        let mut readers = Vec::with_capacity(live.len());
        for grant in &live {
            readers.extend(devices_of(vault, grant.member)?.into_iter().map(|device| (grant, device.bundle)));
        }
        if readers.len() != sent.wraps.len() {
            return Err(wrong(
                "wraps",
                "does not hold one wrap for each device under each live grant of the row; somebody was granted or revoked meanwhile, try again",
            ));
        }
        for (grant, bundle) in &readers {
            let mut of_grant = sent.wraps.iter().filter(|wrap| wrap.ctx.to == Some((grant.id, grant.member)));
            let wrap = of_grant.find(|wrap| is_for(wrap, bundle));
            let wrap = wrap.ok_or_else(|| wrong("wraps", "lacks the wrap for a live grant of the row; try again"))?;
            let (slot, row) = outer(vault, caller, mandate.unit, grant, bundle, wrap, &said)?;
            self.wraps.push((grant.id, sent.credential, slot, row));
        }
        let statement = postcard::to_stdvec(&sent.statement).map_err(|e| Refusal::Failed(e.to_string()))?;
        let row = SecretRow { ct: sent.ct.0, rec: sent.rec.0, statement };
        self.secrets.push((sent.credential, version.number, row));
        Ok(())
    }

    /// Keeps or drops a seed, as the second factor's state says.
    fn second_factor(
        &mut self,
        vault: &mut Vault<'_>,
        unit: UnitId,
        credential: CredentialId,
        state: &SecondFactor,
        seeds: &[SeedLoad],
        had: bool,
    ) -> Result<(), Refusal> {
        let sent = seeds.iter().find(|seed| seed.credential == credential);
        match (state, sent) {
            (SecondFactor::On, Some(sent)) => {
                let seed = Secret::copy_of(&sent.seed.0);
                if Seed::decode(&seed).is_none() {
                    return Err(wrong("second factor", "is not a TOTP seed"));
                }
                let context = seed_context(vault.id(), unit, credential);
                let key = vault.segment(unit)?.state_key.as_ref().map(Key::duplicate).ok_or(Deny::SecretDestroyed)?;
                self.seeds.push((credential, seal(&key, &context, seed.expose(), vault.entropy())));
            }
            (SecondFactor::On, None) if had => {}
            (SecondFactor::On, None) => return Err(wrong("second factor", "is said to be on, but no seed was given")),
            (_, Some(_)) => return Err(wrong("second factor", "has a seed but is not said to be on")),
            (_, None) => self.dropped_seeds.push(credential),
        }
        Ok(())
    }

    fn record(self, vault: &mut Vault<'_>, caller: &Caller, mandate: &Mandate, event: Event) -> Result<(), Refusal> {
        let unit = mandate.unit;
        let draft = Draft { unit, outcome: Outcome::Mandate(event), state: Some(encode(mandate)?) };
        vault.record(Some(caller), vec![draft], Vec::new(), |txn| {
            for (credential, version, row) in &self.secrets {
                txn.put_secret(unit, *credential, *version, row)?;
            }
            for (grant, credential, slot, row) in &self.wraps {
                txn.put_wrap(unit, *grant, *credential, slot, row)?;
            }
            for (credential, seed) in &self.seeds {
                txn.put_seed(unit, *credential, seed)?;
            }
            for credential in &self.dropped_seeds {
                txn.drop_seed(unit, *credential)?;
            }
            for (old, tag, credential) in &self.reuse {
                txn.put_reuse(old.as_ref(), tag, unit, *credential)?;
            }
            Ok(())
        })?;
        Ok(())
    }
}

/// What the author of a stored version says of it.
pub fn stored_statement(
    vault: &Vault<'_>,
    unit: UnitId,
    credential: CredentialId,
    version: u32,
) -> Result<Statement, Refusal> {
    let row = vault.store.secret(unit, credential, version)?.ok_or_else(|| changed("a secret"))?;
    let signed: Signed = postcard::from_bytes(&row.statement).map_err(|_| changed("a statement"))?;
    serde_json::from_slice(signed.unverified_bytes()).map_err(|_| changed("a statement"))
}

/// Checks one inner wrap against the grant and the device it is for and the version it wraps, and puts the broker's half
/// over it. Gives back where it is kept, too.
pub fn outer(
    vault: &mut Vault<'_>,
    caller: &Caller,
    unit: UnitId,
    grant: &GrantFacts,
    device: &Bundle,
    wrap: &WrapLoad,
    version: &Statement,
) -> Result<(Digest, WrapRow), Refusal> {
    let recipient = recipient_digest(&device.enc);
    let ctx = Ctx { to: Some((grant.id, grant.member)), recipient, ..version.ctx };
    let said = check_statement(caller, &wrap.statement, &ctx)?;
    let same_version = (said.ct, said.rec, said.commit) == (version.ct, version.rec, version.commit);
    if wrap.ctx != ctx || !same_version || said.inner != hash(&wrap.inner.0) {
        return Err(wrong("wraps", "holds a wrap that does not fit its statement"));
    }
    check_len(&wrap.inner.0)?;
    let key = vault.segment(unit)?.grant(grant.id).map(Key::duplicate).ok_or(Deny::SecretDestroyed)?;
    let outer = derive_outer_key(&key, &ctx).put_on(&wrap.inner.0, vault.entropy());
    let statement = postcard::to_stdvec(&wrap.statement).map_err(|e| Refusal::Failed(e.to_string()))?;
    Ok((slot(grant.id, &recipient), WrapRow { outer, statement }))
}

/// What nobody could open again is not kept.
fn check_len(wrap: &[u8]) -> Result<(), Refusal> {
    if wrap.len() > WRAP_MAX { Err(wrong("wraps", "holds a wrap that is longer than any age makes")) } else { Ok(()) }
}

fn check_statement(caller: &Caller, signed: &Signed, ctx: &Ctx) -> Result<Statement, Refusal> {
    let refused = || wrong("statement", "is not the asking member's signature over this place");
    let bytes = signed.open(Topic::Statement, &caller.device().bundle.sign).map_err(|_| refused())?;
    let said: Statement = serde_json::from_slice(bytes).map_err(|_| refused())?;
    if said.ctx == *ctx && said.author == caller.id() { Ok(said) } else { Err(refused()) }
}

fn check_seeds(seeds: &[SeedLoad], said: &Digest) -> Result<(), Refusal> {
    if SeedLoad::digest(seeds) == *said {
        Ok(())
    } else {
        Err(wrong("second factor", "has another seed than was signed"))
    }
}

fn wrong(field: &str, sentence: &str) -> Refusal {
    Refusal::input(field, sentence)
}

/// Credentials in sight, without secrets.
///
/// # Errors
/// [`Refusal::NotFound`] for an operator that is not there for the caller.
pub fn list(
    vault: &mut Vault<'_>,
    caller: &Caller,
    request: Request<OptionalNameAsk>,
    (): (),
) -> Result<Vec<CredentialLine>, Refusal> {
    let mandates = match &request.ask.operator {
        Some(operator) => vec![vault.find(caller.member(), caller.verb(), operator)?],
        None => vault.mandates_for(caller.member(), caller.verb())?,
    };
    let mut lines = Vec::new();
    for mandate in mandates {
        let scope = policy::reach(caller.member(), caller.verb(), Some(&mandate));
        let only = (scope == Scope::Granted).then(|| caller.id());
        for row in mandate.live_rows().filter(|row| only.is_none_or(|m| mandate.grant_for(m, row.id).is_some())) {
            lines.extend(mandate.credentials_of(row.id).map(|credential| CredentialLine {
                unit: mandate.unit,
                credential: credential.id,
                operator: mandate.operator.clone(),
                system: row.system.clone(),
                platform: row.platform.clone(),
                name: credential.name.clone(),
                kind: credential.kind,
                account: credential.account.clone(),
                url: credential.url.clone(),
                second_factor: credential.second_factor.name().to_owned(),
                version: credential.current.as_ref().map(|version| version.number),
                changed: credential.current.as_ref().map(|version| version.at),
                strength: credential.current.as_ref().map(|version| version.strength),
                until: row.terms.term.until,
            }));
        }
    }
    Ok(lines)
}

/// Finds a credential by name: one, or all of a row. A row that was never granted to the caller is not there.
///
/// # Errors
/// [`Refusal::NotFound`]; input where a name is needed to choose.
pub fn locate(
    vault: &mut Vault<'_>,
    caller: &Caller,
    request: Request<LocateAsk>,
    (): (),
) -> Result<Vec<Located>, Refusal> {
    let ask = request.ask;
    let mandate = vault.find(caller.member(), caller.verb(), &ask.operator)?;
    let row = mandate.row_named(ask.system.as_str()).ok_or(Refusal::NotFound)?.clone();
    let grant = mandate.grant_for(caller.id(), row.id);
    if grant.is_none() {
        // Answered as if it were not there; the attempt stands in the mandate's own ledger.
        return match caller.deny(vault, mandate.unit, Deny::NotGranted) {
            Refusal::Denied { .. } => Err(Refusal::NotFound),
            failed => Err(failed),
        };
    }
    let mut found: Vec<&crate::model::Credential> = mandate.credentials_of(row.id).collect();
    if let Some(name) = &ask.credential {
        found.retain(|credential| credential.name.same(name.as_str()));
    }
    if found.is_empty() && !ask.all {
        return Err(Refusal::NotFound);
    }
    // Without a name the one that has none is meant; there is no other way to say it.
    if ask.credential.is_none() && !ask.all && found.len() > 1 && found.iter().any(|one| one.name.is_empty()) {
        found.retain(|credential| credential.name.is_empty());
    }
    if found.len() > 1 && !ask.all {
        let names: Vec<&str> = found.iter().map(|credential| credential.name.as_str()).collect();
        return Err(wrong("credential", &format!("the row has several; name one of: {}", names.join(", "))));
    }
    let purposes = grant.map_or(Vec::new(), |grant| grant.facts.purposes.clone());
    Ok(found
        .into_iter()
        .map(|credential| Located {
            unit: mandate.unit,
            operator: mandate.operator.clone(),
            system: row.system.clone(),
            row: row.id,
            credential: credential.id,
            name: credential.name.clone(),
            kind: credential.kind,
            account: credential.account.clone(),
            url: credential.url.clone(),
            second_factor: credential.second_factor.name().to_owned(),
            version: credential.current.as_ref().map_or(0, |version| version.number),
            grant: grant.map(|grant| grant.facts.id),
            purposes: purposes.clone(),
        })
        .collect())
}

/// Where a secret with this fingerprint is in use. Of mandates the caller does not lead only that there is one.
///
/// # Errors
/// [`Refusal::NotFound`] for a mandate that is not the caller's to lead.
pub fn reuse(
    vault: &mut Vault<'_>,
    caller: &Caller,
    request: Request<ReuseAsk>,
    (): (),
) -> Result<Vec<ReuseLine>, Refusal> {
    // Asked for a mandate one leads: it is what the answer is relative to.
    let here = Some(lead_mandate(vault, caller, request.unit)?.unit);
    let mut lines = Vec::new();
    for tag in request.ask.tags {
        for (unit, credential) in vault.store.reuse(&tag)? {
            let Some(mandate) = vault.mandate(unit)? else { continue };
            let Some(found) = mandate.credential(credential) else { continue };
            // The table is a cache; what the state says counts.
            if found.current.as_ref().is_none_or(|version| version.tag != tag) {
                continue;
            }
            let visible = policy::reach(caller.member(), Verb::CredentialList, Some(&mandate)) >= Scope::Own;
            let system = mandate.row(found.row).map(|row| row.system.clone());
            lines.push(ReuseLine {
                tag,
                operator: visible.then(|| mandate.operator.clone()),
                system: system.filter(|_| visible),
                other_operator: Some(unit) != here,
            });
        }
    }
    Ok(lines)
}

/// Whom a row's credentials are wrapped to: every device under its live grants, with what proves its keys.
///
/// # Errors
/// [`Refusal::NotFound`].
pub fn recipients(
    vault: &mut Vault<'_>,
    caller: &Caller,
    request: Request<RecipientsAsk>,
    (): (),
) -> Result<Vec<RecipientLine>, Refusal> {
    let mandate = lead_mandate(vault, caller, request.unit)?;
    let rows: BTreeSet<RowId> = request.ask.rows.into_iter().collect();
    if rows.iter().any(|row| mandate.row(*row).is_none()) {
        return Err(Refusal::NotFound);
    }
    let mut lines = Vec::new();
    for facts in mandate.live_grants().map(|grant| &grant.facts).filter(|facts| rows.contains(&facts.row)) {
        let admissions = chain_to(&vault.roster, facts.member);
        lines.extend(devices_of(vault, facts.member)?.into_iter().map(|device| RecipientLine {
            row: facts.row,
            grant: facts.id,
            member: facts.member,
            device: device.bundle.sign,
            admissions: admissions.clone(),
        }));
    }
    Ok(lines)
}

impl Vault<'_> {
    /// The recovery recipient, from the charter.
    pub fn recovery(&self) -> Result<String, Refusal> {
        Ok(charters_of(&self.roster)?.charter().recovery.clone())
    }
}
