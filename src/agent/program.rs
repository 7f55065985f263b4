//! The member's program: signs requests, and believes an answer only after verifying it.

use super::identity::{Identity, Newcomer, to_json};
use super::pins::{Pin, Pins};
use super::wrapping::{NewSecret, Prepared, wrap_onward, wrap_version};
use crate::api::{
    self, Call, CodeLoad, DeviceListAsk, FORMAT, FetchAsk, FetchItem, Frame, Gate, Hello, LocateAsk, Located,
    MandateView, MemberLine, MissingWrap, NameAsk, Nothing, PendingLine, Proof, RecipientLine, RecipientsAsk, Refusal,
    Released, Request, Seen, UnlockAnswer, UnlockAsk, WrapShareAsk, WrapsLoad,
};
use crate::crypto::{
    Ctx, Dek, Entropy, Fields, Key, Secret, Signed, Statement, Topic, commitment, derive_reuse_tag, hash, open_ct,
    open_inner, open_note, wrap_note,
};
use crate::ledger::{
    Admission, Charter, Checkpoint, Directory, Outcome, Record, Restart, from_blob, leaf_of, open_bundle,
    recipient_digest, verify_inclusion,
};
use crate::model::{
    Blob, Bundle, CredentialFacts, CredentialId, Digest, Event, GrantFacts, GrantId, MemberId, Name, NewVersion, Nonce,
    RequestId, ReuseTag, Role, RowId, SecondFactor, SessionId, SharedItem, Text, UnitId,
};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// Why the member's program goes no further.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The broker refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The broker's answer does not hold: nothing of it was used.
    #[error("the broker's answer was not used: {0}")]
    Untrusted(&'static str),
    /// Something here failed.
    #[error("{0}")]
    Failed(String),
}

/// A secret that was released, verified and opened.
pub struct Fetched {
    /// The credential.
    pub credential: CredentialId,
    /// Its version.
    pub version: u32,
    /// Its fields.
    pub fields: Fields,
}

/// A device that data keys were shared with, and how many.
pub struct SharedWith {
    /// The device.
    pub device: Name,
    /// How many secrets it can open from now on.
    pub shared: u64,
    /// How many it still cannot, since this device cannot read them either.
    pub left: u64,
}

/// The grants under a row, with the keys of each device each is for.
type Readers = Vec<(GrantId, Bundle)>;

/// A member's program, unlocked.
pub struct Program {
    gate: Arc<dyn Gate>,
    identity: Identity,
    session: Option<SessionId>,
    reuse_key: Option<Blob>,
    fresh: Option<Nonce>,
    pins: Pins,
    entropy: Arc<dyn Entropy>,
    /// What the last hello said beyond what one request needed.
    spare: Mutex<Option<(Nonce, Directory)>>,
}

impl Program {
    /// For a member's identity, against a broker.
    pub fn new(gate: Arc<dyn Gate>, identity: Identity, state: &Path, entropy: Arc<dyn Entropy>) -> Self {
        let pins = Pins::new(state, identity.member);
        Self { gate, identity, session: None, reuse_key: None, fresh: None, pins, entropy, spare: Mutex::default() }
    }

    /// Goes on under a session that was begun before.
    #[must_use]
    pub fn under(mut self, session: SessionId, reuse_key: Option<Blob>) -> Self {
        (self.session, self.reuse_key) = (Some(session), reuse_key);
        self
    }

    /// Who this is.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Gives the keys back, for a session to keep.
    pub fn into_identity(self) -> Identity {
        self.identity
    }

    /// Begins a session with a two-factor code.
    ///
    /// # Errors
    /// [`AgentError`].
    pub fn unlock(&mut self, code: String, for_ms: i64) -> Result<UnlockAnswer, AgentError> {
        let answer = self.send::<api::UnlockCall>(None, None, UnlockAsk { for_ms }, &CodeLoad { code })?;
        (self.session, self.reuse_key) = (Some(answer.session), answer.reuse_key.clone());
        self.fresh = Some(answer.step_up);
        Ok(answer)
    }

    /// What the code just given still stands for: one sensitive operation.
    pub fn take_fresh(&mut self) -> Option<Nonce> {
        self.fresh.take()
    }

    /// Shows a fresh code for one sensitive operation.
    ///
    /// # Errors
    /// [`AgentError`].
    pub fn step_up(&self, code: String) -> Result<Nonce, AgentError> {
        self.send::<api::StepUpCall>(None, None, Nothing {}, &CodeLoad { code })
    }

    /// Sends a request of any verb without a load.
    ///
    /// # Errors
    /// [`AgentError`].
    pub fn ask<C: Call<Load = ()>>(
        &self,
        unit: Option<UnitId>,
        step_up: Option<Nonce>,
        ask: C::Ask,
    ) -> Result<C::Answer, AgentError> {
        self.send::<C>(unit, step_up, ask, &())
    }

    /// Sends a request of any verb.
    ///
    /// # Errors
    /// [`AgentError`].
    pub fn send<C: Call>(
        &self,
        unit: Option<UnitId>,
        step_up: Option<Nonce>,
        ask: C::Ask,
        load: &C::Load,
    ) -> Result<C::Answer, AgentError> {
        self.exchange::<C>(unit, step_up, ask, load).map(|(answer, ..)| answer)
    }

    /// Signs and sends a request; gives back what was signed, the heads seen before, and the verified charters.
    fn exchange<C: Call>(
        &self,
        unit: Option<UnitId>,
        step_up: Option<Nonce>,
        ask: C::Ask,
        load: &C::Load,
    ) -> Result<(C::Answer, Signed, Option<Seen>, Directory), AgentError> {
        let load = serde_json::to_vec(load).map_err(|e| AgentError::Failed(e.to_string()))?;
        let load = if load == b"null" { Vec::new() } else { load };
        let pin = unit.map(|unit| self.pins.read(unit)).transpose().map_err(unpinned)?.flatten();
        // What carries a load is sent once: a wrong code would count twice, and a seed is not copied.
        let kept = if load.is_empty() { self.take_spare() } else { None };
        let was_kept = kept.is_some();
        let (nonce, mut directory) = kept.map_or_else(|| self.hello(), Ok)?;
        let mut request = Request {
            format: FORMAT,
            vault: self.identity.vault,
            verb: C::VERB,
            member: self.identity.member,
            unit,
            nonce,
            session: self.session,
            step_up,
            seen: pin.as_ref().map(|pin| pin.seen),
            shown: None,
            ask,
        };
        let sign = |request: &Request<C::Ask>| self.identity.sign.sign(Topic::Request, to_json(request));
        let send = |signed: &Signed, load| self.gate.call(Frame { verb: C::VERB, request: signed.clone(), load });
        let mut signed = sign(&request);
        let mut answer = send(&signed, load);
        if was_kept && matches!(answer, Err(Refusal::Authentication(_))) {
            // A nonce kept from an earlier hello is unknown to a broker that was started since: nothing was done by
            // the request, and it is asked once more with a new one.
            (request.nonce, directory) = self.hello()?;
            signed = sign(&request);
            answer = send(&signed, Vec::new());
        }
        // Retrievals alone are compared with what was seen, and they carry no load.
        if let (Err(Refusal::UnknownHead), Some(pin)) = (&answer, pin) {
            request.shown = Some(pin.note);
            (request.nonce, directory) = self.hello()?;
            signed = sign(&request);
            answer = send(&signed, Vec::new());
        }
        if let (Err(Refusal::Restarted { order }), Some(unit), Some(seen)) = (&answer, unit, request.seen) {
            self.accept_loss(order, unit, seen)?;
            (request.seen, request.shown) = (None, None);
            (request.nonce, directory) = self.hello()?;
            signed = sign(&request);
            answer = send(&signed, Vec::new());
        }
        let seen = request.seen;
        let answer =
            serde_json::from_slice(&answer?).map_err(|_| AgentError::Untrusted("it is not of this version"))?;
        Ok((answer, signed, seen, directory))
    }

    /// Goes on from before what was seen, only where the owner root ordered just that, and not before it was seen: an
    /// order of then says nothing of a loss since.
    fn accept_loss(&self, order: &Blob, unit: UnitId, seen: Seen) -> Result<(), AgentError> {
        let order = from_blob(order).and_then(|order| Restart::open(&order, &self.identity.root, self.identity.vault));
        let at = self.pins.read(unit).map_err(unpinned)?.and_then(|pin| pin.at);
        let after = |order: &Restart| at.is_none_or(|at| at <= order.at);
        if !order.is_some_and(|order| order.explains(unit, seen.size) && after(&order)) {
            return Err(AgentError::Untrusted("no order of the vault's owner explains that records are missing"));
        }
        self.pins.forget(unit).map_err(unpinned)
    }

    /// A nonce that the last hello gave beyond what one request needed, and the charters it came with.
    fn take_spare(&self) -> Option<(Nonce, Directory)> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// A nonce for one request, and the verified charters.
    fn hello(&self) -> Result<(Nonce, Directory), AgentError> {
        let Hello { nonces: [nonce, next], charters, .. } = self.gate.hello()?;
        let directory = self.directory(&charters)?;
        *self.spare.lock().unwrap_or_else(PoisonError::into_inner) = Some((next, directory.clone()));
        Ok((nonce, directory))
    }

    /// Charters, verified from the pinned root alone.
    fn directory(&self, charters: &[Blob]) -> Result<Directory, AgentError> {
        let signed: Option<Vec<Signed>> = charters.iter().map(from_blob).collect();
        let directory = signed.and_then(|charters| Directory::new(self.identity.root, &charters).ok());
        let directory = directory.filter(|directory| directory.vault() == self.identity.vault);
        directory.ok_or(AgentError::Untrusted("the charter is not signed by this vault's owner root"))
    }

    fn charter(&self) -> Result<Charter, AgentError> {
        let (nonce, directory) = self.take_spare().map_or_else(|| self.hello(), Ok)?;
        let charter = directory.charter().clone();
        // Nothing was asked with it.
        *self.spare.lock().unwrap_or_else(PoisonError::into_inner) = Some((nonce, directory));
        Ok(charter)
    }

    /// Finds a credential by name.
    ///
    /// # Errors
    /// [`AgentError`].
    pub fn locate(
        &self,
        operator: Text,
        system: Text,
        credential: Option<Text>,
        all: bool,
    ) -> Result<Vec<Located>, AgentError> {
        self.ask::<api::LocateCall>(None, None, LocateAsk { operator, system, credential, all })
    }

    /// The main job: gets a secret, verifies everything that proves it, then opens it.
    ///
    /// # Errors
    /// [`AgentError`].
    pub fn fetch(&self, found: &Located, purpose: Option<Text>) -> Result<Fetched, AgentError> {
        let ask = FetchAsk { items: vec![item(found)?], purpose, onward: None };
        let mut opened = self.fetch_keys(found.unit, ask)?;
        let (ctx, dek, released) = opened.pop().ok_or(AgentError::Untrusted("nothing was released"))?;
        let fields = open_ct(&dek, &ctx, &released.ct.0)
            .map_err(|_| AgentError::Untrusted("the ciphertext does not open with its data key"))?;
        Ok(Fetched { credential: released.credential, version: released.version, fields })
    }

    /// A current code of a client's account.
    ///
    /// # Errors
    /// [`AgentError`].
    pub fn code(&self, found: &Located, purpose: Option<Text>) -> Result<(String, u64), AgentError> {
        let asked = item(found)?;
        let ask = FetchAsk { items: vec![asked.clone()], purpose, onward: None };
        let (answer, request, seen, directory) = self.exchange::<api::CodeCall>(Some(found.unit), None, ask, &())?;
        let outcome = self.verify_proof(&answer.proof, found.unit, &request, seen, &directory)?;
        match outcome {
            Outcome::Mandate(Event::CodeReleased { credential, grant, .. })
                if (credential, grant) == (asked.credential, asked.grant) =>
            {
                Ok((answer.code, answer.seconds))
            }
            _ => Err(AgentError::Untrusted("the record is of something else")),
        }
    }

    /// Data keys of released secrets, each verified against its author's statement.
    fn fetch_keys(&self, unit: UnitId, ask: FetchAsk) -> Result<Vec<(Ctx, Dek, Released)>, AgentError> {
        let asked = ask.items.clone();
        let (answer, request, seen, directory) = self.exchange::<api::FetchCall>(Some(unit), None, ask, &())?;
        let outcome = self.verify_proof(&answer.proof, unit, &request, seen, &directory)?;
        let Outcome::Mandate(Event::Released { items, .. }) = outcome else {
            return Err(AgentError::Untrusted("the record is of something else"));
        };
        if items.len() != asked.len() || answer.released.len() != asked.len() {
            return Err(AgentError::Untrusted("the record names other credentials than were asked for"));
        }
        let mut opened = Vec::with_capacity(asked.len());
        for ((asked, recorded), released) in asked.iter().zip(items).zip(answer.released) {
            let same = (recorded.credential, recorded.version, recorded.grant)
                == (asked.credential, asked.version, asked.grant);
            if !same || (released.credential, released.version) != (asked.credential, asked.version) {
                return Err(AgentError::Untrusted("the record names other credentials than were asked for"));
            }
            let (ctx, dek) = self.open_released(unit, asked, &released, &directory)?;
            opened.push((ctx, dek, released));
        }
        Ok(opened)
    }

    /// Context, statement, inner wrap, commitment: in this order, before anything is used.
    fn open_released(
        &self,
        unit: UnitId,
        asked: &FetchItem,
        released: &Released,
        directory: &Directory,
    ) -> Result<(Ctx, Dek), AgentError> {
        let ctx = Ctx {
            vault: self.identity.vault,
            mandate: unit,
            credential: asked.credential,
            version: asked.version,
            to: Some((asked.grant, self.identity.member)),
            recipient: recipient_digest(&self.identity.enc.recipient()),
        };
        let said = verify_statement(&released.statement, &released.admissions, directory, &self.identity)?;
        let fits = said.ctx == ctx && said.ct == hash(&released.ct.0) && said.inner == hash(&released.inner.0);
        if !fits {
            return Err(AgentError::Untrusted("the author's statement is about something else"));
        }
        let dek = open_inner(&self.identity.enc, &ctx, &released.inner.0)
            .map_err(|_| AgentError::Untrusted("the wrap does not open with your key at this place"))?;
        if commitment(&dek) != said.commit {
            return Err(AgentError::Untrusted("the author wrapped different data keys to different people"));
        }
        Ok((ctx, dek))
    }

    /// The record holds this request, stands at its place under a signed head, and that head extends what was seen.
    fn verify_proof(
        &self,
        proof: &Proof,
        unit: UnitId,
        request: &Signed,
        seen: Option<Seen>,
        directory: &Directory,
    ) -> Result<Outcome, AgentError> {
        let charter = directory.charter();
        let record = Record::open(&proof.record, &charter.record_key)
            .map_err(|_| AgentError::Untrusted("the record is not signed by the broker"))?;
        let about_this = (record.vault, record.unit, record.seq) == (self.identity.vault, unit, proof.seq)
            && record.by == Some(self.identity.member)
            && record.request.as_ref() == Some(request);
        if !about_this || proof.unit != unit {
            return Err(AgentError::Untrusted("the record is of another request"));
        }
        let head = Checkpoint::open(&proof.checkpoint, self.identity.vault, unit, &charter.checkpoint_key)
            .map_err(|_| AgentError::Untrusted("the head is not signed by the broker for this ledger"))?;
        let leaf = leaf_of(&proof.salt, proof.record.unverified_bytes());
        if !verify_inclusion(leaf, proof.seq, head.size, &proof.inclusion, &head.root) {
            return Err(AgentError::Untrusted("the record is not in the ledger"));
        }
        if let Some(seen) = seen {
            let old = Checkpoint { size: seen.size, root: seen.root };
            if !head.extends(&old, &proof.consistency) {
                return Err(AgentError::Untrusted("the ledger does not extend the one seen before"));
            }
        }
        let pin = Pin {
            seen: Seen { size: head.size, root: head.root },
            note: proof.checkpoint.clone(),
            at: Some(record.at),
        };
        self.pins.write(unit, &pin).map_err(unpinned)?;
        Ok(record.outcome)
    }

    /// The signed head of an operator's ledger: the broker's own, and not behind the newest one seen here.
    ///
    /// # Errors
    /// [`AgentError`].
    pub fn checkpoint(&self, operator: Text) -> Result<(String, Seen), AgentError> {
        let (answer, _, _, directory) = self.exchange::<api::CheckpointCall>(None, None, NameAsk { operator }, &())?;
        let key = directory.charter().checkpoint_key;
        let head = Checkpoint::open(&answer.note, self.identity.vault, answer.unit, &key)
            .map_err(|_| AgentError::Untrusted("the head is not signed by the broker for this ledger"))?;
        let head = Seen { size: head.size, root: head.root };
        match self.pins.read(answer.unit).map_err(unpinned)?.map(|pin| pin.seen) {
            Some(seen) if head.size < seen.size || (head.size == seen.size && head.root != seen.root) => {
                Err(AgentError::Untrusted("the ledger does not extend the one seen before"))
            }
            _ => Ok((answer.note, head)),
        }
    }

    /// Admits a newcomer: signs their keys and roles, and hands the reuse key on to those whose roles need it.
    ///
    /// # Errors
    /// [`AgentError`].
    pub fn admit(&self, identity: Identity, roles: BTreeSet<Role>) -> Result<Newcomer, AgentError> {
        let reuse_key = self.reuse_key_for(&identity.bundle(), &roles)?;
        let admission = self.sign_admission(identity.signed_bundle(), roles);
        Ok(Newcomer { identity, admission, reuse_key })
    }

    /// Signs new roles over a member's known keys, and wraps the reuse key to each device in use where they need it.
    ///
    /// # Errors
    /// [`AgentError`].
    pub fn admit_again(
        &self,
        member: MemberId,
        roles: BTreeSet<Role>,
    ) -> Result<(Signed, Vec<(Name, Blob)>), AgentError> {
        let (lines, directory) = self.roster()?;
        let line = lines.iter().find(|line| line.member == member).ok_or(Refusal::NotFound)?;
        let mut reuse_keys = Vec::new();
        for bundle in devices_in(line, &directory)? {
            reuse_keys.extend(self.reuse_key_for(&bundle, &roles)?.map(|key| (bundle.device, key)));
        }
        // The newest admission that is over keys in use: whose they are was verified just now.
        let said = line.admissions.iter().rev().filter_map(read_admission);
        let mut over_used = said.filter(|(_, bundle)| line.devices.iter().any(|mark| mark.key == bundle.sign));
        let (newest, _) = over_used.next().ok_or(AgentError::Untrusted("the member's admission cannot be read"))?;
        Ok((self.sign_admission(newest.bundle, roles), reuse_keys))
    }

    /// The keys that were handed in under an invitation, if they are signed by themselves and are what was invited; and
    /// the roles they would be admitted with.
    ///
    /// # Errors
    /// [`AgentError::Untrusted`].
    pub fn pending_keys(&self, line: &PendingLine) -> Result<(Signed, BTreeSet<Role>), AgentError> {
        let others = || AgentError::Untrusted("the keys are not what was invited, or not signed by themselves");
        let signed = line.bundle.clone().ok_or_else(others)?;
        let (bundle, invited) = (open_bundle(&signed).ok_or_else(others)?, &line.invited);
        let fits =
            bundle.vault == self.identity.vault && bundle.name == invited.name && bundle.device == invited.device;
        if !fits || invited.of.is_some_and(|member| member != bundle.member) {
            return Err(others());
        }
        let Some(member) = invited.of else { return Ok((signed, invited.roles.clone())) };
        // A device comes with the roles its member has: those an owner signed last, not those the broker says.
        let (lines, _) = self.roster()?;
        let line = lines.iter().find(|line| line.member == member).ok_or_else(others)?;
        let last = line.admissions.last().and_then(read_admission).ok_or_else(others)?.0;
        if last.roles != line.roles || !line.name.same(bundle.name.as_str()) {
            return Err(AgentError::Untrusted("the member's roles are other than an owner signed last"));
        }
        Ok((signed, last.roles))
    }

    /// Signs the admission of keys that were handed in, exactly these, and wraps the reuse key to them where needed.
    ///
    /// # Errors
    /// [`AgentError`].
    pub fn confirm(&self, keys: Signed, roles: BTreeSet<Role>) -> Result<(Signed, Option<Blob>), AgentError> {
        let bundle = open_bundle(&keys).ok_or(AgentError::Untrusted("the keys are not signed by themselves"))?;
        let reuse_key = self.reuse_key_for(&bundle, &roles)?;
        Ok((self.sign_admission(keys, roles), reuse_key))
    }

    /// Wraps what a member holds to those of their devices that cannot open it yet: one's own, or, for a lead, those of
    /// a member under one's rows. The read is recorded, naming every secret.
    ///
    /// # Errors
    /// [`AgentError`].
    pub fn share(&self, name: Option<Name>) -> Result<Vec<SharedWith>, AgentError> {
        let unsigned = || AgentError::Untrusted("a device's keys are not signed by an owner");
        let own = name.as_ref().is_none_or(|name| name.same(self.identity.name.as_str()));
        let ask = DeviceListAsk { name };
        let (lines, _, _, charters) = self.exchange::<api::DeviceListCall>(None, None, ask, &())?;
        let mut report = Vec::new();
        for line in lines.into_iter().filter(|line| line.removed.is_none() && !line.missing.is_empty()) {
            let mut directory = charters.clone();
            for admission in line.admissions.iter().filter_map(from_blob) {
                directory.admit(&admission).map_err(|_| unsigned())?;
            }
            let bundle = directory.device(line.member, &line.key).ok_or_else(unsigned)?;
            if own && line.member != self.identity.member {
                return Err(AgentError::Untrusted("the device is another member's"));
            }
            let mut by_grant: BTreeMap<(UnitId, GrantId), Vec<&MissingWrap>> = BTreeMap::new();
            for missing in line.missing.iter().filter(|missing| missing.through.is_some()) {
                by_grant.entry((missing.unit, missing.grant)).or_default().push(missing);
            }
            let mut shared = 0;
            for ((unit, grant), missing) in by_grant {
                shared += self.share_grant(unit, grant, bundle, &missing)?;
            }
            let left = u64::try_from(line.missing.len()).unwrap_or(0).saturating_sub(shared);
            report.push(SharedWith { device: line.device.clone(), shared, left });
        }
        Ok(report)
    }

    fn share_grant(
        &self,
        unit: UnitId,
        grant: GrantId,
        device: &Bundle,
        missing: &[&MissingWrap],
    ) -> Result<u64, AgentError> {
        let read = |missing: &&MissingWrap| {
            let (credential, version) = (missing.credential, missing.version);
            missing.through.map(|grant| FetchItem { credential, version, grant })
        };
        let items = missing.iter().filter_map(read).collect();
        let ask = FetchAsk { items, purpose: None, onward: Some(device.member) };
        let (mut load, mut items) = (WrapsLoad::default(), Vec::new());
        for (ctx, dek, released) in self.fetch_keys(unit, ask)? {
            load.wraps.push(wrap_onward(&self.identity, &ctx, &dek, &released, grant, device)?);
            items.push(SharedItem { credential: released.credential, version: released.version });
        }
        let count = u64::try_from(items.len()).unwrap_or(0);
        self.send::<api::WrapShareCall>(Some(unit), None, WrapShareAsk { grant, device: device.sign, items }, &load)?;
        Ok(count)
    }

    fn sign_admission(&self, bundle: Signed, roles: BTreeSet<Role>) -> Signed {
        let admission = Admission { bundle, roles, by: Some(self.identity.member) };
        self.identity.sign.sign(Topic::Admission, to_json(&admission))
    }

    fn reuse_key_for(&self, bundle: &Bundle, roles: &BTreeSet<Role>) -> Result<Option<Blob>, AgentError> {
        if !roles.contains(&Role::Lead) && !roles.contains(&Role::Owner) {
            return Ok(None);
        }
        let key = self.reuse_key()?;
        let wrapped = wrap_note(&bundle.enc, key.expose()).map_err(|e| AgentError::Failed(e.to_string()))?;
        Ok(Some(Blob(wrapped)))
    }

    fn reuse_key(&self) -> Result<Key, AgentError> {
        let missing = || {
            AgentError::Failed("your roles do not include the vault's reuse key; an owner sets your roles anew".into())
        };
        let wrapped = self.reuse_key.as_ref().ok_or_else(missing)?;
        let plain = open_note(&self.identity.enc, &wrapped.0).map_err(|_| missing())?;
        Key::from_slice(plain.expose()).ok_or_else(missing)
    }

    /// The keyed fingerprint of a secret, to find reuse by.
    ///
    /// # Errors
    /// [`AgentError`] for who does not hold the reuse key.
    pub fn reuse_tag(&self, secret: &Secret) -> Result<ReuseTag, AgentError> {
        Ok(derive_reuse_tag(&self.reuse_key()?, secret))
    }

    /// A mandate as far as one may see it.
    ///
    /// # Errors
    /// [`AgentError`].
    pub fn mandate(&self, operator: Text) -> Result<MandateView, AgentError> {
        self.ask::<api::MandateShowCall>(None, None, NameAsk { operator })
    }

    /// Seals new credentials of one mandate, wraps them to everyone under their rows, and stores them: all or none.
    /// `secrets` stands beside `facts`; delegated access has none.
    ///
    /// # Errors
    /// [`AgentError`].
    pub fn add_credentials(&self, unit: UnitId, new: Vec<NewSecret>) -> Result<(), AgentError> {
        let charter = self.charter()?;
        let rows: BTreeSet<RowId> = new.iter().map(|secret| secret.facts.row).collect();
        let known = self.recipients(unit, rows)?;
        let mut prepared = Prepared::default();
        let mut facts: Vec<CredentialFacts> = Vec::with_capacity(new.len());
        for secret in new {
            let readers = known.get(&secret.facts.row).map_or(&[][..], Vec::as_slice);
            facts.push(wrap_version(&self.identity, unit, &charter, readers, secret, &mut prepared, &*self.entropy)?);
        }
        let seeds = prepared.seeds_digest();
        let ask = api::CredentialAddAsk { credentials: facts, seeds };
        self.send::<api::CredentialAddCall>(Some(unit), None, ask, &prepared.load)
    }

    /// Replaces a credential's secret or its second factor.
    ///
    /// # Errors
    /// [`AgentError`].
    pub fn rotate(
        &self,
        found: &Located,
        new: Option<(Fields, NewVersion)>,
        second_factor: Option<(SecondFactor, Option<Secret>)>,
    ) -> Result<(), AgentError> {
        let mut prepared = Prepared::default();
        let mut version = None;
        if let Some((fields, facts)) = new {
            let readers = self.recipients(found.unit, BTreeSet::from([found.row]))?;
            let readers = readers.get(&found.row).map_or(&[][..], Vec::as_slice);
            let charter = self.charter()?;
            let facts = super::wrapping::wrap_fields(
                &self.identity,
                &Ctx {
                    vault: self.identity.vault,
                    mandate: found.unit,
                    credential: found.credential,
                    version: facts.number,
                    to: None,
                    recipient: recipient_digest(&charter.recovery),
                },
                &charter.recovery,
                readers,
                &fields,
                facts,
                &mut prepared,
                &*self.entropy,
            )?;
            version = Some(facts);
        }
        let mut state = None;
        if let Some((second_factor, seed)) = second_factor {
            if let Some(seed) = seed {
                let seed = Blob(seed.expose().to_vec());
                prepared.load.seeds.push(api::SeedLoad { credential: found.credential, seed });
            }
            state = Some(second_factor);
        }
        let seeds = prepared.seeds_digest();
        let ask = api::CredentialRotateAsk { credential: found.credential, version, second_factor: state, seeds };
        self.send::<api::CredentialRotateCall>(Some(found.unit), None, ask, &prepared.load)
    }

    /// Grants a row onward: reads its data keys (recorded, naming every credential) and wraps them to the member.
    ///
    /// # Errors
    /// [`AgentError`].
    pub fn grant(
        &self,
        unit: UnitId,
        facts: GrantFacts,
        answers: Option<RequestId>,
        found: &[Located],
    ) -> Result<GrantId, AgentError> {
        let with_secret: Vec<&Located> = found.iter().filter(|found| found.version > 0).collect();
        let items = with_secret.iter().map(|found| item(found)).collect::<Result<Vec<_>, _>>()?;
        let mut load = WrapsLoad::default();
        if !items.is_empty() {
            let ask = FetchAsk { items, purpose: None, onward: Some(facts.member) };
            let (lines, directory) = self.roster()?;
            let line = lines.iter().find(|line| line.member == facts.member).ok_or(Refusal::NotFound)?;
            let devices = devices_in(line, &directory)?;
            for (ctx, dek, released) in self.fetch_keys(unit, ask)? {
                for device in &devices {
                    load.wraps.push(wrap_onward(&self.identity, &ctx, &dek, &released, facts.id, device)?);
                }
            }
        }
        self.send::<api::GrantCall>(Some(unit), None, api::GrantAsk { grant: facts, answers }, &load)
    }

    /// The members as the broker lists them, and their keys through the admissions an owner signed.
    fn roster(&self) -> Result<(Vec<MemberLine>, Directory), AgentError> {
        let (lines, _, _, mut directory) = self.exchange::<api::MemberListCall>(None, None, Nothing {}, &())?;
        // Owners first: they vouch for the others.
        let mut waiting: Vec<Signed> =
            lines.iter().flat_map(|line| line.admissions.iter().filter_map(from_blob)).collect();
        let mut before = usize::MAX;
        while waiting.len() < before {
            before = waiting.len();
            waiting.retain(|admission| directory.admit(admission).is_err());
        }
        if !waiting.is_empty() {
            return Err(AgentError::Untrusted("no owner vouches for a member's keys"));
        }
        Ok((lines, directory))
    }

    /// Everyone the credentials of these rows are wrapped to, with keys verified through the roster.
    fn recipients(&self, unit: UnitId, rows: BTreeSet<RowId>) -> Result<BTreeMap<RowId, Readers>, AgentError> {
        let unsigned = || AgentError::Untrusted("a reader's keys are not signed by an owner");
        let ask = RecipientsAsk { rows: rows.into_iter().collect() };
        let (lines, _, _, charters) = self.exchange::<api::RecipientsCall>(Some(unit), None, ask, &())?;
        let mut verified: BTreeMap<(MemberId, Digest), Bundle> = BTreeMap::new();
        let mut readers: BTreeMap<RowId, Readers> = BTreeMap::new();
        for RecipientLine { row, grant, member, device, admissions } in lines {
            let bundle = match verified.entry((member, device)) {
                Entry::Occupied(known) => known.get().clone(),
                Entry::Vacant(new) => {
                    let mut directory = charters.clone();
                    for admission in admissions.iter().filter_map(from_blob) {
                        directory.admit(&admission).map_err(|_| unsigned())?;
                    }
                    new.insert(directory.device(member, &device).ok_or_else(unsigned)?.clone()).clone()
                }
            };
            readers.entry(row).or_default().push((grant, bundle));
        }
        Ok(readers)
    }

    /// Seals bytes to somebody outside the vault: the operator's own age key.
    ///
    /// # Errors
    /// A sentence where that is no age X25519 recipient.
    pub fn seal_to(recipient: &str, plain: &[u8]) -> Result<Vec<u8>, &'static str> {
        wrap_note(recipient, plain).map_err(|_| "is not an age recipient; they begin with age1")
    }

    /// Whether bytes can be sealed to it.
    ///
    /// # Errors
    /// As [`Program::seal_to`].
    pub fn check_recipient(recipient: &str) -> Result<(), &'static str> {
        Self::seal_to(recipient, b"").map(drop)
    }

    /// The name of the member this program runs for.
    pub fn name(&self) -> &Name {
        &self.identity.name
    }
}

#[expect(clippy::needless_pass_by_value, reason = "used as a function in map_err")]
fn unpinned(error: std::io::Error) -> AgentError {
    AgentError::Failed(format!("pins: {error}"))
}

fn item(found: &Located) -> Result<FetchItem, AgentError> {
    let grant = found.grant.ok_or(AgentError::Refused(Refusal::NotFound))?;
    Ok(FetchItem { credential: found.credential, version: found.version, grant })
}

/// The keys of a member's devices in use, each under an owner's signature.
fn devices_in(line: &MemberLine, directory: &Directory) -> Result<Vec<Bundle>, AgentError> {
    let unsigned = || AgentError::Untrusted("no owner vouches for this member's keys");
    let keys = line.devices.iter().map(|mark| directory.device(line.member, &mark.key).cloned().ok_or_else(unsigned));
    keys.collect()
}

/// An admission with the keys it is over; whose signature it is, a directory says.
fn read_admission(blob: &Blob) -> Option<(Admission, Bundle)> {
    let admission: Admission = serde_json::from_slice(from_blob(blob)?.unverified_bytes()).ok()?;
    let bundle = open_bundle(&admission.bundle)?;
    Some((admission, bundle))
}

/// A statement under the key of an admitted author, or of the owner root after a recovery.
fn verify_statement(
    signed: &Signed,
    admissions: &[Blob],
    directory: &Directory,
    me: &Identity,
) -> Result<Statement, AgentError> {
    let refused = || AgentError::Untrusted("the author's statement is not signed by an admitted member");
    let said: Statement = serde_json::from_slice(signed.unverified_bytes()).map_err(|_| refused())?;
    let own = said.author == me.member && *signed.claimed_key() == me.sign.public();
    let key = if signed.claimed_key() == directory.root() {
        *directory.root()
    } else if own {
        me.sign.public()
    } else {
        let mut directory = directory.clone();
        for admission in admissions.iter().filter_map(from_blob) {
            directory.admit(&admission).map_err(|_| refused())?;
        }
        directory.device(said.author, signed.claimed_key()).ok_or_else(refused)?.sign
    };
    signed.open(Topic::Statement, &key).map_err(|_| refused())?;
    Ok(said)
}
