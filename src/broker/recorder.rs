//! The recorder: durable first, then read back, then signed.

use super::caller::Caller;
use super::mandates::encode;
use super::vault::{Vault, changed, charters_of, entry_context, evidence_key, new_ends, open_entry, seal_state};
use crate::anchor::{Change, Head};
use crate::api::{Proof, Refusal, Seen};
use crate::crypto::{PublicKey, SignKey, Topic, hash, seal};
use crate::ledger::{
    Checkpoint, ClockMark, Entry, Outcome, Record, Restart, append, consistency_proof, from_blob, inclusion_proof, root,
};
use crate::model::{Deny, Digest, Event, HighWater, Mandate, SessionId, UnitId, VaultId};
use crate::policy::ClockReading;
use crate::store::{StoreError, Write, encode_entry};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// One record to be written.
pub struct Draft {
    /// In which ledger.
    pub unit: UnitId,
    /// What happened.
    pub outcome: Outcome,
    /// The encoded state after it, where it changes.
    pub state: Option<Vec<u8>>,
}

/// Proof that one record is durable and was read back. Made here alone, used up by a release.
#[derive(Debug)]
pub struct Receipt {
    unit: UnitId,
    seq: u64,
    entry: Entry,
    outcome: Outcome,
}

impl Receipt {
    /// The ledger.
    pub fn unit(&self) -> UnitId {
        self.unit
    }

    /// What the durable record says happened.
    pub fn outcome(&self) -> &Outcome {
        &self.outcome
    }
}

/// A record on its way: sealed, with its place.
struct Placed {
    unit: UnitId,
    seq: u64,
    entry: Entry,
    sealed: Vec<u8>,
    state: Option<Vec<u8>>,
    state_digest: Option<Digest>,
    outcome: Outcome,
}

/// New nodes, and the root after them.
type Growth = (Vec<(u32, u64, Digest)>, Digest);

/// A ledger's head, about to be signed.
pub struct UnsignedHead {
    vault: VaultId,
    unit: UnitId,
    checkpoint: Checkpoint,
    key: Arc<SignKey>,
}

impl UnsignedHead {
    /// The head itself.
    pub fn checkpoint(&self) -> Checkpoint {
        self.checkpoint
    }

    /// Its signed note.
    pub fn sign(&self) -> String {
        self.checkpoint.sign(self.vault, self.unit, &self.key)
    }
}

/// The proof of a record whose head is still to be signed: that takes nobody's turn.
pub struct Unsigned {
    proof: Proof,
    head: UnsignedHead,
}

impl Unsigned {
    /// The whole proof.
    pub fn sign(self) -> Proof {
        Proof { checkpoint: self.head.sign(), ..self.proof }
    }
}

impl Vault<'_> {
    /// Writes records of one caller, and whatever belongs to them, in one durable transaction; then reads each back;
    /// then moves the anchor's heads. Nothing is released before this returned.
    ///
    /// `before` are changes the anchor must know first (keys of what is made), `also` is written with the records.
    ///
    /// # Errors
    /// Any storage error. Then the records are there as a whole or not at all, and the next start finds out which.
    pub fn record(
        &mut self,
        caller: Option<&Caller>,
        drafts: Vec<Draft>,
        before: Vec<Change>,
        also: impl FnOnce(&Write<'_>) -> Result<(), StoreError>,
    ) -> Result<Vec<Receipt>, Refusal> {
        self.record_together(drafts.into_iter().map(|draft| (caller, draft)).collect(), before, Vec::new(), also)
    }

    /// As [`Vault::record`], of one mandate as it is afterwards: the anchor takes its ends together with the new heads.
    /// Where a crash comes between, both are read from the database ([`super::vault`]).
    ///
    /// # Errors
    /// As [`Vault::record`].
    pub fn record_after(
        &mut self,
        caller: Option<&Caller>,
        draft: Draft,
        before: Vec<Change>,
        mandate: &Mandate,
        also: impl FnOnce(&Write<'_>) -> Result<(), StoreError>,
    ) -> Result<Vec<Receipt>, Refusal> {
        let after = new_ends(self.segment(mandate.unit)?, mandate);
        self.record_together(vec![(caller, draft)], before, after, also)
    }

    /// As [`Vault::record`], for many callers at once.
    ///
    /// # Errors
    /// As [`Vault::record`].
    pub fn record_together(
        &mut self,
        drafts: Vec<(Option<&Caller>, Draft)>,
        before: Vec<Change>,
        after: Vec<Change>,
        also: impl FnOnce(&Write<'_>) -> Result<(), StoreError>,
    ) -> Result<Vec<Receipt>, Refusal> {
        // Until all of it is done, what is in memory may be behind what is on disk; and what failed for somebody else in
        // the same turn is not made good by this.
        let was_stale = std::mem::replace(&mut self.stale, true);
        if !before.is_empty() {
            self.anchor.note(before)?;
        }
        let sessions: BTreeSet<SessionId> =
            drafts.iter().filter_map(|(caller, _)| caller.and_then(Caller::session)).collect();
        let placed = self.place(drafts)?;
        let added = u64::try_from(placed.len()).unwrap_or(u64::MAX);
        let grown = self.grow(&placed)?;

        let written = self.store.write(|txn| -> Result<(), StoreError> {
            also(txn)?;
            for (item, (nodes, _)) in placed.iter().zip(&grown) {
                txn.append(item.unit, item.seq, &item.sealed, nodes)?;
                if let Some(state) = &item.state {
                    txn.put_state(item.unit, state)?;
                }
            }
            txn.count(added)
        });
        match written {
            Err(error) if error.is_unknown() => self.settle_unknown(&placed)?,
            known => known?,
        }

        let mut heads: BTreeMap<UnitId, Head> = BTreeMap::new();
        for (item, (nodes, root)) in placed.iter().zip(grown) {
            self.read_back(item)?;
            for (level, index, hash) in nodes {
                self.memory.keep_node(item.unit, level, index, hash);
            }
            let before = heads.get(&item.unit).map(|head| head.state);
            let state =
                item.state_digest.or(before).map_or_else(|| self.segment(item.unit).map(|s| s.head.state), Ok)?;
            heads.insert(item.unit, Head { size: item.seq + 1, root, state });
        }
        let mut changes: Vec<Change> = heads.into_iter().map(|(unit, head)| Change::Head(unit, head)).collect();
        changes.push(Change::Counted(self.anchor.core().counter + added));
        if let ClockReading::Trusted(at) = self.clock {
            changes.push(Change::High(HighWater { at, uptime: self.settings.clock.uptime() }));
        }
        changes.extend(sessions.into_iter().map(|session| Change::Used(session, self.now())));
        changes.extend(after);
        self.anchor.note(changes)?;
        self.stale = was_stale;
        let receipt =
            |item: Placed| Receipt { unit: item.unit, seq: item.seq, entry: item.entry, outcome: item.outcome };
        Ok(placed.into_iter().map(receipt).collect())
    }

    /// The new nodes of the trees these records go into, and the root after each record.
    fn grow(&mut self, placed: &[Placed]) -> Result<Vec<Growth>, Refusal> {
        let mut new: HashMap<(UnitId, u32, u64), Digest> = HashMap::new();
        let mut grown = Vec::with_capacity(placed.len());
        for Placed { unit, seq, entry, .. } in placed {
            let mut read = |level, index| match new.get(&(*unit, level, index)) {
                Some(hash) => Ok(*hash),
                None => self.node(*unit, level, index),
            };
            let nodes = append(*seq, entry.leaf(), &mut read)?;
            new.extend(nodes.iter().map(|(level, index, hash)| ((*unit, *level, *index), *hash)));
            let mut read = |level, index| match new.get(&(*unit, level, index)) {
                Some(hash) => Ok(*hash),
                None => self.node(*unit, level, index),
            };
            let root = root(*seq + 1, &mut read)?;
            grown.push((nodes, root));
        }
        Ok(grown)
    }

    /// Writes one record that changes no state.
    ///
    /// # Errors
    /// As [`Vault::record`].
    pub fn record_one(&mut self, caller: Option<&Caller>, unit: UnitId, outcome: Outcome) -> Result<Receipt, Refusal> {
        let receipts = self.record(caller, vec![Draft { unit, outcome, state: None }], Vec::new(), |_| Ok(()))?;
        receipts.into_iter().next().ok_or_else(|| changed("a ledger"))
    }

    /// Applies one event of a member to a mandate and records it; no key is touched. Gives back the state after it.
    ///
    /// # Errors
    /// Input where the event does not follow; else as [`Vault::record`].
    pub fn change(&mut self, caller: &Caller, mandate: Mandate, event: Event) -> Result<Mandate, Refusal> {
        let mut mandate = mandate;
        let draft = self.drafted(caller, &mut mandate, event, "mandate")?;
        self.record_after(Some(caller), draft, Vec::new(), &mandate, |_| Ok(()))?;
        Ok(mandate)
    }

    /// Applies one event of a member to a mandate; gives back the record it makes.
    ///
    /// # Errors
    /// Input naming the field where the event does not follow.
    pub fn drafted(&self, caller: &Caller, mandate: &mut Mandate, event: Event, field: &str) -> Result<Draft, Refusal> {
        let applied = mandate.apply(&event, Some(caller.id()), self.now());
        applied.map_err(|error| Refusal::input(field, error.to_string()))?;
        Ok(Draft { unit: mandate.unit, outcome: Outcome::Mandate(event), state: Some(encode(mandate)?) })
    }

    /// The head of a ledger, to be signed: only ever what the anchor holds, which only ever is what was read back.
    pub fn head(&mut self, unit: UnitId) -> Result<UnsignedHead, Refusal> {
        let head = self.segment(unit)?.head;
        let checkpoint = Checkpoint { size: head.size, root: head.root };
        Ok(UnsignedHead { vault: self.anchor.vault(), unit, checkpoint, key: self.anchor.checkpoint_key() })
    }

    /// What a member needs to verify that the record exists and that the ledger only grew since they looked.
    pub fn prove(&mut self, receipt: &Receipt, seen: Option<Seen>) -> Result<Unsigned, Refusal> {
        let (unit, seq) = (receipt.unit, receipt.seq);
        let head = self.head(unit)?;
        let (size, seen) = (head.checkpoint.size, seen.map_or(0, |seen| seen.size));
        let inclusion = inclusion_proof(seq, size, |level, index| self.node(unit, level, index))?;
        let consistency = consistency_proof(seen, size, |level, index| self.node(unit, level, index))?;
        let (salt, record) = (receipt.entry.salt, receipt.entry.signed.clone());
        Ok(Unsigned {
            proof: Proof { unit, salt, record, seq, checkpoint: String::new(), inclusion, consistency },
            head,
        })
    }

    /// Compares the head a member has seen with this ledger. A newer one, or another tree, locks the broker: its state
    /// was put back to an earlier time. Only a head that this broker signed does; a member's word alone locks nobody.
    ///
    /// # Errors
    /// `UnknownHead` where the member is to show the signed note; `Restarted` where the owner knows of the loss.
    pub fn check_seen(&mut self, unit: UnitId, seen: Option<Seen>, shown: Option<&str>) -> Result<(), Refusal> {
        let Some(seen) = seen else { return Ok(()) };
        let head = self.segment(unit)?.head;
        let known = seen.size <= head.size
            && (seen.size == 0 || root(seen.size, |level, index| self.node(unit, level, index))? == seen.root);
        if known {
            return Ok(());
        }
        let claimed = Checkpoint { size: seen.size, root: seen.root };
        let (vault, directory) = (self.anchor.vault(), charters_of(&self.roster)?);
        let note = shown.ok_or(Refusal::UnknownHead)?;
        let signed = |key: &PublicKey| Checkpoint::open(note, vault, unit, key) == Ok(claimed);
        if !directory.checkpoint_keys().any(signed) {
            return Err(Refusal::input("seen", "is no head that this broker signed; nothing was done"));
        }
        for order in self.roster.restarts.iter().rev() {
            let opened = from_blob(order).and_then(|signed| Restart::open(&signed, directory.root(), vault));
            if opened.is_some_and(|restart| restart.explains(unit, seen.size)) {
                return Err(Refusal::Restarted { order: order.clone() });
            }
        }
        self.anchor.note(vec![Change::Shown(unit, Head { size: seen.size, root: seen.root, state: head.state })])?;
        Err(Deny::VaultRolledBack.into())
    }

    fn place(&mut self, drafts: Vec<(Option<&Caller>, Draft)>) -> Result<Vec<Placed>, Refusal> {
        let (record_key, at, believed) = (self.anchor.record_key(), self.now(), self.clock.may_destroy());
        let mut placed: Vec<Placed> = Vec::with_capacity(drafts.len());
        for (caller, Draft { unit, outcome, state }) in drafts {
            let earlier = u64::try_from(placed.iter().filter(|item| item.unit == unit).count()).unwrap_or(0);
            let vault = self.anchor.vault();
            let (settings, segment) = (self.settings, self.segment(unit)?);
            let entropy = &*settings.home.entropy;
            let (seq, evidence) = (segment.head.size + earlier, evidence_key(segment)?);
            let state_digest = state.as_deref().map(hash);
            // A closed mandate's state is not kept; only its digest is.
            let keeps_state = segment.state_key.is_some() && !is_closing(&outcome);
            let state = match state {
                Some(plain) if keeps_state => Some(seal_state(segment, vault, &plain, entropy)?),
                Some(_) => Some(Vec::new()),
                None => None,
            };
            let record = Record {
                format: Record::FORMAT,
                vault,
                unit,
                seq,
                at,
                clock: if believed { ClockMark::Trusted } else { ClockMark::Suspect },
                assurance: caller.map_or(settings.assurance, Caller::assurance),
                verb: caller.map(Caller::verb),
                by: caller.map(Caller::id),
                request: caller.map(|caller| caller.request().clone()),
                outcome,
                state: state_digest,
            };
            let mut salt = [0; 32];
            entropy.fill(&mut salt);
            let entry = Entry { salt: Digest(salt), signed: record_key.sign(Topic::Record, record.encode()) };
            let sealed = seal(&evidence, &entry_context(vault, unit, seq), &encode_entry(&entry), entropy);
            placed.push(Placed { unit, seq, entry, sealed, state, state_digest, outcome: record.outcome });
        }
        Ok(placed)
    }

    /// After a commit that was not answered: finds out by the records themselves whether it happened. A transaction is
    /// there as a whole or not at all; anything between is not this broker's work.
    fn settle_unknown(&mut self, placed: &[Placed]) -> Result<(), Refusal> {
        self.store.outlast_cut_off()?;
        let mut there = 0;
        for item in placed {
            match self.store.entry(item.unit, item.seq)? {
                Some((sealed, _)) if sealed == item.sealed => there += 1,
                Some(_) => return Err(changed("a ledger")),
                None => {}
            }
        }
        if there == 0 {
            return Err(Refusal::Failed("the database server was lost before the records were committed".into()));
        }
        if there == placed.len() { Ok(()) } else { Err(changed("a ledger")) }
    }

    /// Reads a record back from the database and compares it with what was to be written.
    fn read_back(&mut self, item: &Placed) -> Result<(), Refusal> {
        let key = evidence_key(self.segment(item.unit)?)?;
        let found = self.store.entry(item.unit, item.seq)?;
        let (sealed, leaf) = found.ok_or_else(|| changed("a new record"))?;
        let entry = open_entry(&key, self.anchor.vault(), item.unit, item.seq, &sealed)?;
        // Read from the database itself, never from memory: this is what a checkpoint may be signed over.
        if entry.leaf() == leaf && leaf == item.entry.leaf() { Ok(()) } else { Err(changed("a new record")) }
    }
}

fn is_closing(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Mandate(crate::model::Event::Closed { .. }))
}
