//! What must hold after a step, whatever the step was: read from the files themselves, beside the brokers.

use crate::model::{Stands, Wall};
use crate::world::{Handed, World};
use mandatum::anchor::Anchor;
use mandatum::api::{self, Proof, Refusal};
use mandatum::crypto::{Context, Key, Signed, open};
use mandatum::ledger::{Audit, Audited, Directory, Edge, Entry, Outcome, from_blob};
use mandatum::model::{Deny, Event, GrantId, Mandate, MemberId, Roster, UnitId, VaultId, Verb};
use mandatum::store::{Store, decode_entry};
use std::collections::{BTreeMap, BTreeSet};

/// Every ledger, verified and folded.
pub struct Fold {
    pub roster: Roster,
    pub mandates: BTreeMap<UnitId, Mandate>,
    /// The grants whose keys the anchor holds.
    held: BTreeSet<(UnitId, GrantId)>,
    /// Whose second factors it holds.
    factors: Vec<MemberId>,
}

impl World {
    /// Folds what is new in every ledger, and compares each with the head and the state that the anchor names.
    pub fn audit(&mut self) -> Fold {
        self.count("audits");
        self.try_fold().unwrap_or_else(|flaw| panic!("the ledgers do not say what the broker keeps: {flaw}"))
    }

    pub fn try_fold(&mut self) -> Result<Fold, String> {
        let mut anchor = Anchor::open(&self.outside()).map_err(|error| error.to_string())?;
        let store = self.store();
        for unit in anchor.units() {
            let segment = anchor.segment(unit).map_err(|error| error.to_string())?.unwrap();
            let (head, key) = (segment.head, segment.evidence_key.as_ref().ok_or("no evidence key")?.duplicate());
            if head.size == 0 {
                continue;
            }
            let ledger = self.ledgers.entry(unit).or_default();
            ledger.read(&key, self.kit.vault, &store, unit)?;
            if (ledger.edge.size(), ledger.edge.root(), ledger.state.digest()) != (head.size, head.root, head.state) {
                return Err(format!("{unit}: the fold of the records is not what the anchor names"));
            }
        }
        let counted: u64 = store.sizes().map_err(|error| error.to_string())?.iter().map(|(_, size)| size).sum();
        if store.counter().ok() != Some(counted) || counted != anchor.core().counter {
            return Err("the count of records is not the anchor's".into());
        }
        self.folded(&mut anchor)
    }

    fn folded(&self, anchor: &mut Anchor) -> Result<Fold, String> {
        let mut held = BTreeSet::new();
        for unit in anchor.units() {
            let segment = anchor.segment(unit).map_err(|error| error.to_string())?.unwrap();
            held.extend(segment.grants.iter().map(|(grant, ..)| (unit, *grant)));
        }
        let factors = anchor.core().factors.iter().map(|factor| factor.member).collect();
        let (mut mandates, mut roster) = (BTreeMap::new(), None);
        for unit in anchor.units() {
            let Some(ledger) = self.ledgers.get(&unit) else { continue };
            match &ledger.state {
                Audited::Mandate(mandate) => drop(mandates.insert(unit, (**mandate).clone())),
                Audited::Roster(folded) => roster = Some((**folded).clone()),
                Audited::Empty => {}
            }
        }
        Ok(Fold { roster: roster.ok_or("no roster")?, mandates, held, factors })
    }

    /// Whatever was read once is there, byte for byte.
    pub fn check_kept(&self) {
        let store = self.store();
        for (unit, ledger) in &self.ledgers {
            let there = store.entries(*unit, 0, u32::MAX).unwrap_or_default();
            let known = ledger.entries.iter().map(|(sealed, _)| sealed);
            let same = there.len() >= known.len() && there.iter().zip(known).all(|((_, found), known)| found == known);
            assert!(same, "{unit}: what was recorded is not there any more");
        }
    }

    /// Every signature, every request, every place: the ledgers as an auditor takes them.
    pub fn verify_all(&self) -> Result<(), String> {
        let rosters = self.ledgers.values().find_map(|ledger| match &ledger.state {
            Audited::Roster(roster) => Some(roster),
            _ => None,
        });
        let directory = directory(rosters.ok_or("no roster")?)?;
        for (unit, ledger) in &self.ledgers {
            let entries: Vec<Entry> = ledger.entries.iter().map(|(_, entry)| entry.clone()).collect();
            let mut audit = Audit::new(&directory, *unit);
            audit.take(&entries).map_err(|flaw| format!("{unit}: {flaw}"))?;
            if (audit.root(), audit.state()) != (ledger.edge.root(), &ledger.state) {
                return Err(format!("{unit}: the audit comes to something else"));
            }
        }
        Ok(())
    }

    /// As [`World::verify_all`], and nothing may be found.
    pub fn end_verified(&self) {
        self.verify_all().unwrap_or_else(|flaw| panic!("the ledgers do not verify: {flaw}"));
    }

    /// The record of a release, by its request.
    pub fn record_of(&self, request: &Signed) -> Option<(UnitId, u64)> {
        let found = |(unit, ledger): (&UnitId, &Ledger)| {
            let (seq, recorded) = ledger.released.get(request.signature())?;
            (recorded == request).then_some((*unit, *seq))
        };
        self.ledgers.iter().find_map(found)
    }

    /// A call begins and ends; then everything must be as it should be.
    pub fn settle(&mut self) {
        self.beat().unwrap_or_else(|error| panic!("a call: {error}"));
        self.hear();
        self.check_all();
    }

    /// The clock is right again, and the owner has the whole vault verified.
    pub fn the_end(&mut self) {
        if self.wall != Wall::True {
            self.time.skew(-self.skewed);
            self.wall = Wall::True;
        }
        self.settle();
        self.check_kept();
        self.end_verified();
        if self.dice.chance(92) {
            return;
        }
        let olga = self.olga();
        self.ready(olga);
        let report = self.agent(olga).program.ask::<api::VerifyCall>(None, None, api::Nothing {});
        let report = report.unwrap_or_else(|error| panic!("verify: {error}"));
        assert!(report.flaws.is_empty(), "verify: {:?}", report.flaws);
        self.hear();
    }

    /// The model, and every secret that was handed out, stand in the ledgers.
    pub fn check_all(&mut self) -> Fold {
        let fold = self.audit();
        self.check(&fold);
        fold
    }

    pub fn check(&self, fold: &Fold) {
        if let Err(flaw) = self.model.compare(&fold.roster, &fold.mandates) {
            panic!("the verified ledgers do not say what should be so: {flaw}");
        }
        for handed in &self.handed {
            let record = self.record_of(&handed.request);
            let record = record.unwrap_or_else(|| panic!("a secret was handed out, and no record says so"));
            assert!(record == (handed.unit, handed.seq), "the record of a release is another's");
        }
        self.check_keys(fold);
    }

    /// The anchor holds the key of every live grant and of none that is over; no second factor of who left.
    pub fn check_keys(&self, fold: &Fold) {
        let held = &fold.held;
        for (unit, grant) in self.live() {
            let why = if self.wall == Wall::True { "" } else { " while the clock was suspect" };
            assert!(held.contains(&(unit, grant.id)), "the key of the live grant {} is gone{why}", grant.id);
        }
        for contract in self.model.contracts.values() {
            for grant in contract.grants.iter().filter(|grant| !grant.live) {
                let there = held.contains(&(contract.unit, grant.id));
                assert!(!there, "the key of grant {} is there, and the grant is over", grant.id);
            }
        }
        // Whatever the ledgers know of; a key that was made for a grant which never came about harms nobody.
        for (unit, mandate) in &fold.mandates {
            for grant in mandate.grants.iter().filter(|grant| grant.ended.is_some()) {
                assert!(!held.contains(&(*unit, grant.facts.id)), "the key of an ended grant is there");
            }
        }
        for member in &fold.factors {
            let stands = self.model.people.get(member).map(|person| person.stands);
            // One that was enrolled for an admission which never came about harms nobody.
            assert!(stands != Some(Stands::Removed), "the second factor of who left is there");
        }
    }

    /// Looks at everything that was said since: what was released can be read back from the database now.
    pub fn hear(&mut self) {
        let said = std::mem::take(&mut *self.hall.said.lock().unwrap());
        for said in said {
            let proof = match (&said.answer, said.verb) {
                (Ok(answer), Verb::Fetch) => {
                    Some(serde_json::from_slice::<api::FetchAnswer>(answer).expect("an answer").proof)
                }
                (Ok(answer), Verb::Code) => {
                    Some(serde_json::from_slice::<api::CodeAnswer>(answer).expect("an answer").proof)
                }
                _ => None,
            };
            if let Some(proof) = proof {
                self.read_back(&said.request, &proof);
                self.handed.push(Handed { unit: proof.unit, seq: proof.seq, request: said.request.clone() });
            }
            // Where the call never began, its nonce is still good: showing it again is asking again.
            let began = !matches!(
                said.answer,
                Err(Refusal::Authentication(_)
                    | Refusal::Failed(_)
                    | Refusal::Integrity(_)
                    | Refusal::Denied { code: Deny::VaultRolledBack })
            );
            if began {
                self.frames.push((said.verb, said.request, said.load));
            }
        }
        self.check_pins();
    }

    /// What a proof is about is in the database, at its place, as it was proven.
    fn read_back(&mut self, request: &Signed, proof: &Proof) {
        let store = self.store();
        let outside = self.outside();
        let key = self.evidence.entry(proof.unit).or_insert_with(|| {
            let mut anchor = Anchor::open(&outside).unwrap_or_else(|error| panic!("the anchor: {error}"));
            anchor.segment(proof.unit).unwrap().unwrap().evidence_key.as_ref().unwrap().duplicate()
        });
        let sealed = store.entry(proof.unit, proof.seq).unwrap();
        let (vault, unit) = (self.kit.vault, proof.unit);
        let context = Context::new("mandatum/entry/1").at(vault.bytes()).at(unit.bytes()).number(proof.seq);
        let entry = sealed.and_then(|(sealed, _)| decode_entry(open(key, &context, &sealed).ok()?.expose()));
        let entry = entry.unwrap_or_else(|| panic!("a proof was given for a record that cannot be read back"));
        assert!(entry.salt == proof.salt && entry.signed == proof.record, "a proof for another record than is there");
        let record = entry.proven_record().expect("a record of this broker");
        assert!(record.request.as_ref() == Some(request), "the record of a release holds another request");
        let stored = store.node(unit, 0, proof.seq).expect("a leaf");
        assert!(stored == entry.leaf(), "the leaf of a release is not in the tree");
    }

    /// What members have seen only grows; after a restart, once, it may be what the owner ordered to go on from.
    pub fn check_pins(&mut self) {
        for agent in &self.agents {
            for unit in self.model.contracts.keys() {
                let size = self.pins(agent).read(*unit).unwrap().map_or(0, |pin| pin.seen.size);
                let before = self.pinned.insert((agent.id, *unit), size).unwrap_or(0);
                let fine = before <= size || self.excused.remove(&(agent.id, *unit));
                assert!(fine, "a pin of {} shrank from {before} to {size}", agent.name);
            }
        }
    }
}

/// What is known of one ledger: its entries as they were found, and what they come to.
pub struct Ledger {
    pub entries: Vec<(Vec<u8>, Entry)>,
    edge: Edge,
    state: Audited,
    /// Releases by their requests' signatures.
    released: BTreeMap<Vec<u8>, (u64, Signed)>,
}

impl Default for Ledger {
    fn default() -> Self {
        Self { entries: Vec::new(), edge: Edge::default(), state: Audited::Empty, released: BTreeMap::new() }
    }
}

impl Ledger {
    /// Reads what is new.
    fn read(&mut self, key: &Key, vault: VaultId, store: &Store, unit: UnitId) -> Result<(), String> {
        let new = store.entries(unit, self.edge.size(), u32::MAX).map_err(|error| error.to_string())?;
        for (seq, sealed) in new {
            let context = Context::new("mandatum/entry/1").at(vault.bytes()).at(unit.bytes()).number(self.edge.size());
            let opened = open(key, &context, &sealed).ok().filter(|_| seq == self.edge.size());
            let entry = opened.and_then(|plain| decode_entry(plain.expose()));
            let entry = entry.ok_or_else(|| format!("{unit}: an entry does not open at its place"))?;
            self.take(unit, &entry)?;
            self.entries.push((sealed, entry));
        }
        Ok(())
    }

    fn take(&mut self, unit: UnitId, entry: &Entry) -> Result<(), String> {
        let record = entry.proven_record().map_err(|error| error.to_string())?;
        if (record.unit, record.seq) != (unit, self.edge.size()) {
            return Err("a record is not at its place".into());
        }
        let broken = |error: mandatum::model::FoldError| format!("{unit}/{}: {error}", record.seq);
        match (&mut self.state, &record.outcome) {
            (Audited::Empty, Outcome::Mandate(event)) => {
                let opened = Mandate::open(unit, event, record.by, record.at).map_err(broken)?;
                self.state = Audited::Mandate(Box::new(opened));
            }
            (Audited::Empty, Outcome::Roster(event)) => {
                self.state = Audited::Roster(Box::new(Roster::found(unit, event, record.at).map_err(broken)?));
            }
            (Audited::Mandate(mandate), Outcome::Mandate(event)) => {
                mandate.apply(event, record.by, record.at).map_err(broken)?;
                if matches!(event, Event::Released { .. } | Event::CodeReleased { .. }) {
                    let request = record.request.clone().ok_or("a release that nobody asked for")?;
                    if self.released.insert(request.signature().to_vec(), (record.seq, request)).is_some() {
                        return Err("two releases for one request".into());
                    }
                }
            }
            (Audited::Roster(roster), Outcome::Roster(event)) => roster.apply(event, record.at).map_err(broken)?,
            (_, Outcome::Denied(_) | Outcome::Refused) => {}
            _ => return Err("a record of another kind of ledger".into()),
        }
        self.edge.push(entry.leaf());
        Ok(())
    }
}

fn directory(roster: &Roster) -> Result<Directory, String> {
    let charters: Vec<Signed> = roster.charters.iter().filter_map(from_blob).collect();
    let root = *charters.first().ok_or("no charter")?.claimed_key();
    let mut directory = Directory::new(root, &charters).map_err(|error| error.to_string())?;
    let mut waiting: Vec<Signed> =
        roster.members.iter().flat_map(|member| member.admissions.iter().filter_map(from_blob)).collect();
    let mut before = usize::MAX;
    while waiting.len() < before {
        before = waiting.len();
        waiting.retain(|admission| directory.admit(admission).is_err());
    }
    if waiting.is_empty() { Ok(directory) } else { Err("an admission nobody vouches for".into()) }
}
